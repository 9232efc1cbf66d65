"""Scores: a candidate graph to one cost per edge, pair, detection and event, all in nats."""

from .daughters import Daughters
from .distance import Distance
from .events import Event, appearance, border_distance, disappearance
from .likeness import Likeness, Trait
from .overlap import Overlap
from .traits import traits

__all__ = ["Daughters", "Distance", "Event", "Likeness", "Overlap", "Trait", "appearance", "border_distance", "disappearance", "traits"]
