"""Hypotheses: nested and alternative segments with calibrated probabilities, for the solver to choose segmentation and links together.

    from segmentation.hypotheses import hypotheses
    segments = hypotheses(segmentation.load("nuclei-2d"), image)

Choosing among nested segments while linking: Turetken et al., 2017; Jug et al., 2014.
"""

from .facts import NAMES, Calibration
from .finding import (
    SEARCH,
    Candidates,
    Search,
    calibrated,
    calibration_error,
    calibration_of,
    fitting,
    from_said,
    hypotheses,
    is_calibrated,
)
from .segments import Segments

__all__ = [
    "NAMES",
    "SEARCH",
    "Calibration",
    "Candidates",
    "Search",
    "Segments",
    "calibrated",
    "calibration_error",
    "calibration_of",
    "fitting",
    "from_said",
    "hypotheses",
    "is_calibrated",
]
