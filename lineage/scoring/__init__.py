"""Scores: a candidate graph to one cost per edge, pair, detection and event, all in nats."""

from .daughters import Daughters
from .distance import Distance
from .events import Event, appearance, border_distance, disappearance
from .overlap import Overlap

__all__ = ["Daughters", "Distance", "Event", "Overlap", "appearance", "border_distance", "disappearance"]
