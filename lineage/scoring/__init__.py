"""Scores: a candidate graph to one cost per edge, pair, detection and event, all in nats."""

from .daughters import Daughters
from .distance import Distance
from .events import Event, appearance, border_distance, disappearance
from .overlap import Overlap
from .size import Size

__all__ = ["Daughters", "Distance", "Event", "Overlap", "Size", "appearance", "border_distance", "disappearance"]
