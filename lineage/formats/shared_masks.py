"""Masks that hold two cells, for formats in which a mask is one cell: each keeps one of them, or is cut in two."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lineage.arrays import Array, BoolArray, IntArray
from lineage.detections import SHARED
from lineage.forest import Forest


def seconds(forest: Forest) -> BoolArray:
    """Which believed cells share their mask with a cell in a row before; bool (n,).

    They are told by the column ``cells``; without it no mask is taken to be shared.
    """
    cells = forest.detections
    second = np.zeros(len(forest), bool)
    holds = cells.columns.get(SHARED)
    if holds is None or holds.dtype.kind not in "iuf":
        return second
    rows = np.flatnonzero(forest.selected & (holds > 1) & (cells.label > 0))
    rows = rows[np.lexsort((rows, cells.label[rows], cells.frame[rows]))]
    second[rows[1:]] = (np.diff(cells.frame[rows]) == 0) & (np.diff(cells.label[rows]) == 0)
    return second


def one_a_mask(forest: Forest) -> Forest:
    """The lineages with one cell a mask: the other one is taken to be missed there, and its lineage goes on behind.

    Rows stay; the slack of the solver, which is about links as they were, is left out.
    """
    gone = seconds(forest)
    if not gone.any():
        return forest
    parent = forest.parent.copy()
    while (hidden := (parent >= 0) & gone[parent]).any():  # once for every frame that two cells stay together at most
        parent[hidden] = parent[parent[hidden]]
    parent[gone] = -1
    moved = parent != forest.parent
    cost = np.where(moved, np.nan, forest.link_cost)
    return replace(forest, parent=parent, selected=forest.selected & ~gone, link_cost=cost, slack={}, memory=None)


def said(forest: Forest, *, cut: bool) -> str:
    """What becomes of masks that hold two cells, in one line; nothing when there are none.

    Args:
        forest: Lineages.
        cut: Whether such masks are cut in two, or kept whole with one of the two cells.
    """
    count = int(seconds(forest).sum())
    if not count:
        return ""
    which = f"{count} mask holds two cells" if count == 1 else f"{count} masks hold two cells"
    return f"{which}: " + ("cut in two, half for each" if cut else "kept whole with one of them, the other one has a gap there")


def halved(image: Array, forest: Forest, second: IntArray, number: IntArray, labels: Array) -> None:
    """Give half of the pixels of shared masks to their second cells, by a straight cut across the long axis.

    Each gets the half that lies towards where its own cell comes from or goes to, as seen from the other one.

    Args:
        image: Mask that is being made, (Y, X) or (Z, Y, X), the whole masks with the numbers of the first cells; altered.
        forest: Lineages.
        second: Rows of the second cells, all of this frame; int (k,).
        number: Value of each of them in the image; int (k,).
        labels: The label image that they were measured from.
    """
    cells = forest.detections
    for row, value in zip(second.tolist(), number.tolist(), strict=True):  # over shared masks, which are few
        pixels = np.argwhere(labels == cells.label[row])
        if len(pixels) < 2:
            raise ValueError(
                f"label {cells.label[row]} of frame {cells.frame[row]} holds two cells, but {len(pixels)} pixel: leave it whole (split)"
            )
        offset = (pixels - pixels.mean(axis=0)) * np.array(cells.scale)
        along = offset @ np.linalg.eigh(offset.T @ offset)[1][:, -1]
        beside = np.flatnonzero(forest.selected & (cells.frame == cells.frame[row]) & (cells.label == cells.label[row]))
        side = _alone(forest, row) - _alone(forest, int(beside[beside != row][0]))
        if (offset @ side) @ along < 0:
            along = -along
        half = pixels[np.argsort(-along, kind="stable")[: len(pixels) // 2]]
        image[tuple(half.T)] = value


def _alone(forest: Forest, row: int) -> Array:
    """Where a cell was last seen in a mask of its own, or where it is seen so again."""
    holds = forest.detections.columns[SHARED]
    before = row
    while before >= 0 and holds[before] > 1:
        before = int(forest.parent[before])
    after = row
    while before < 0 and holds[after] > 1 and forest.n_children[after] == 1:
        after = int(np.flatnonzero(forest.parent == after)[0])
    position: Array = forest.detections.position[before if before >= 0 else after]
    return position
