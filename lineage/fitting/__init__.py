"""Fitting: from a few confirmed and rejected links to weights of the evidence."""

from .corrections import Corrections as Corrections
from .corrections import read_corrections as read_corrections
from .weighing import Fit as Fit
from .weighing import fit as fit

__all__ = ["Corrections", "Fit", "fit", "read_corrections"]
