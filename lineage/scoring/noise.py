"""Noise: what part of the detections is false, from those of a first solution that are there too briefly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lineage.arrays import BoolArray
from lineage.forest import Forest

from .events import Event, border_distance, counted

_LEAST = 0.003  # share of brief detections, beyond what is to be expected, from which a film is noisy; in clean films it is under 0.0016
_COUNT = 4  # and how many there must be at least
_CHANCE = 3.0  # standard deviations of their number that may be chance
MOST = 0.5  # share of false detections at most: where more are brief, it is the links that fail


def false_share(forest: Forest, event: Event) -> float:
    """Share of false detections of a film, 0 when it is clean, or when more than ``MOST`` are too brief to be linked at all.

    Cells that are there in one frame only are hardly ever true: a true one would have to appear and to vanish at once, or to vanish as
    soon as it was born. What is there so briefly is counted, and what is to be expected of it taken off: cells that live longer say how
    often they come and go, where. Other false detections, linked to each other or to cells, are not counted.

    Args:
        forest: A solution in which every detection is believed.
        event: How cells come and go, as far as it is known; what is said of the border is drawn towards it a little.
    """
    cells = forest.detections
    alone, daughter = lone(forest), (forest.parent >= 0) & (forest.n_children[forest.parent] >= 2)
    brief = alone | (daughter & (forest.n_children == 0))
    later, before = cells.frame > 0, cells.frame < cells.n_frames - 1
    old, young = forest.selected & (forest.parent >= 0), forest.selected & (forest.n_children > 0)  # of which it is known that they live
    begins, ends = border_distance(cells, "behind"), border_distance(cells, "ahead")
    appear = np.exp(-counted(event, begins, young & later, forest.parent < 0)(begins))
    vanish = np.exp(-counted(event, ends, old & before, forest.n_children == 0)(ends))
    among = forest.selected & later & before
    count, usual = int((brief & among).sum()), float((vanish * np.where(daughter, 1.0, appear))[among].sum())
    excess = count - usual
    noisy = count >= _COUNT and excess > max(_LEAST * among.sum(), _CHANCE * usual**0.5)
    share = excess / int(among.sum()) if noisy else 0.0
    return share if share <= MOST else 0.0


def lone(forest: Forest) -> BoolArray:
    """Which cells are there in one frame only; bool (n,)."""
    return forest.selected & (forest.parent < 0) & (forest.n_children == 0)


def without_lone(forest: Forest) -> Forest:
    """The forest without those: in a noisy film they would teach that cells come and go."""
    return replace(forest, selected=forest.selected & ~lone(forest))
