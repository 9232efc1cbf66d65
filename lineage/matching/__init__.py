"""Matching: which cell of a result is which cell of the truth, by overlap or by position."""

from __future__ import annotations

from .overlap import Overlap, References, match_labels
from .pairs import EdgeMatching, Matching, best_pairs
from .position import match_points
from .relabelled import Relabelled, relabelled
from .tracks import Paths, Tracks, topmost, tracks_of

__all__ = [
    "EdgeMatching",
    "Matching",
    "Overlap",
    "Paths",
    "References",
    "Relabelled",
    "Tracks",
    "best_pairs",
    "match_labels",
    "match_points",
    "relabelled",
    "topmost",
    "tracks_of",
]
