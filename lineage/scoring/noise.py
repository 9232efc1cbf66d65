"""Noise: what part of the detections is false, from those of a first solution that belong to nobody."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lineage.arrays import BoolArray
from lineage.forest import Forest

from .events import border_distance

_LEAST = 0.003  # share of lone detections from which a film counts as noisy; in clean films it is under 0.0003
_COUNT = 4  # and how many there must be at least
_FAR = 3.0  # far from the border: so many times the reach of its events


def false_share(forest: Forest, reach: float) -> float:
    """Share of false detections of a film, 0 when it is clean.

    Cells that are there in one frame only are hardly ever true: a true one would have to appear and to vanish at once. Those far from
    the border and from both ends of the film are counted; other false detections, near the border or linked to each other, are taken
    to be as common.

    Args:
        forest: A solution in which every detection is believed.
        reach: How far events at the border reach into the field, physical units.
    """
    cells = forest.detections
    alone = lone(forest)
    inside = (cells.frame > 0) & (cells.frame < cells.n_frames - 1) & forest.selected
    # A small field may have no cell far from its border; then those farther than the middle one count.
    distance = border_distance(cells)
    middle = float(np.median(distance)) if len(distance) else 0.0
    inside &= distance >= min(_FAR * reach, middle)
    count, among = int((alone & inside).sum()), int(inside.sum())
    return count / among if count >= _COUNT and count > _LEAST * among else 0.0


def lone(forest: Forest) -> BoolArray:
    """Which cells are there in one frame only; bool (n,)."""
    return forest.selected & (forest.parent < 0) & (forest.n_children == 0)


def without_lone(forest: Forest) -> Forest:
    """The forest without those: in a noisy film they would teach that cells come and go."""
    return replace(forest, selected=forest.selected & ~lone(forest))
