"""Field: cells near the border of the picture, which some truths leave out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lineage.arrays import Array, IntArray
from lineage.measure import compact

from .pairs import Matching
from .tracks import Tracks


def near_border(image: Array, width: float) -> IntArray:
    """Labels whose centre lies closer than ``width`` pixels to the border of the picture along y or x, rising.

    Args:
        image: Label image, ([Z,] Y, X).
        width: Pixels.
    """
    labels, pixels, owner = compact(image)
    count = np.bincount(owner, minlength=len(labels))
    near = np.zeros(len(labels), bool)
    for place, size in list(zip(np.unravel_index(pixels, image.shape), image.shape, strict=True))[-2:]:
        middle = np.bincount(owner, place, len(labels)) / count
        near |= np.minimum(middle, size - 1 - middle) < width
    return labels[near]


def without(matching: Matching, lost: IntArray) -> Matching:
    """The same matching, had the result not held some cells that are nobody's partner.

    What remains of a tracklet is as many tracklets as it has runs of frames, each the parent of the next; children come from its last one,
    or where nothing remains from what their parent came from.

    Args:
        matching: Truth and result side by side.
        lost: Cells of the result; int (l,).
    """
    result = matching.result
    kept = np.ones(result.n_cells, bool)
    kept[lost] = False
    cell = np.flatnonzero(kept)
    of, frame = result.tracklet[cell], result.frame[cell]
    new = (np.diff(of, prepend=-1) != 0) | (np.diff(frame, prepend=-1) != 1)
    first, last = np.flatnonzero(new), np.append(np.flatnonzero(new)[1:], len(cell)) - 1 if len(cell) else np.zeros(0, np.int64)
    latest = np.zeros(len(result) + 1, np.int64)  # label of the last run of each tracklet, 0 where nothing remains
    latest[of[first]] = np.arange(len(first)) + 1
    up = result.parent
    while np.any(gone := (up >= 0) & (latest[up] == 0)):
        up = np.where(gone, np.append(result.parent, -1)[up], up)
    follows = np.diff(of[first], prepend=-1) == 0
    mother = np.where(follows, np.arange(len(first)), np.where(up[of[first]] >= 0, latest[up[of[first]]], 0))
    table = np.column_stack([np.arange(len(first)) + 1, frame[first], frame[last], mother])
    number = np.cumsum(kept) - 1
    return replace(matching, result=Tracks(table, result.name), result_cell=number[matching.result_cell])
