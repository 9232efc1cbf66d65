"""Outlines: the borders of all cells of a label image as short polygons, traced at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lineage.arrays import Array, FloatArray, IntArray
from lineage.measure import compact

FEWEST, MOST, STEP = 8, 40, 3.2  # points of a polygon; pixel sides that one of its sides stands for
EAST, SOUTH, WEST, NORTH = range(4)


@dataclass(frozen=True, eq=False)
class Outlines:
    """The outer borders of the cells of one label image.

    Attributes:
        label: Whose border each polygon is; int (k,). A cell in pieces has several.
        length: Number of its points; int (k,).
        point: The points (y, x) of all polygons, one after the other, clockwise; float (p, 2), pixels, centres at whole numbers.
    """

    label: IntArray
    length: IntArray
    point: FloatArray


def outlines(image: Array) -> Outlines:
    """Trace the border of every cell: along the sides of its pixels, then smoothed and thinned.

    Pixels that touch at a corner belong together; holes are not traced. Of a stack the shadow along z is traced, cell by cell, so
    that cells that overlap in the shadow keep their whole borders.

    Args:
        image: Label image, (Y, X) or (Z, Y, X); 0 is background.
    """
    labels, owner, y, x = _shadow(image)
    if not len(labels):
        return Outlines(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 2)))
    height, width = image.shape[-2:]
    who, vy, vx, heading = _sides(owner, y, x, width)
    after = _after(((who * (height + 2) + vy) * (width + 2) + vx) * 4, heading, width)
    loop, order, length = _loops(after)
    middle = np.column_stack([vy + np.array([0.0, 0.5, 0.0, -0.5])[heading], vx + np.array([0.5, 0.0, -0.5, 0.0])[heading]]) - 0.5
    who, middle = who[order], middle[order]
    first = np.cumsum(length) - length
    outer = _twice_area(middle, loop, first, length) > 0
    return _thinned(labels[who[first]], middle, first, length, outer)


def _shadow(image: Array) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Labels, and the pixels (cell, y, x) of every cell's shadow, sorted."""
    labels, pixels, owner = compact(image)
    height, width = image.shape[-2:]
    row, x = np.divmod(pixels % (height * width), width)
    key = (owner * height + row) * (width + 1) + x  # the empty column keeps the end of one row from touching the start of the next
    key = np.unique(key) if image.ndim == 3 else np.sort(key)
    line, x = np.divmod(key, width + 1)
    return labels, *np.divmod(line, height), x


def _sides(owner: IntArray, y: IntArray, x: IntArray, width: int) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """The pixel sides that the borders run along, the cell on the right hand: whose, where they begin, and where they head."""
    height = int(y.max()) + 2
    key = (owner * height + y) * (width + 1) + x
    right = np.append(np.diff(key) == 1, False)
    left = np.append(False, right[:-1])
    below = np.minimum(np.searchsorted(key, key + width + 1), len(key) - 1)
    down = key[below] == key + width + 1
    up = np.zeros(len(key), bool)
    up[below[down]] = True
    parts = []
    for towards, inside, dy, dx in ((EAST, up, 0, 0), (SOUTH, right, 0, 1), (WEST, down, 1, 1), (NORTH, left, 1, 0)):
        free = ~inside
        parts.append((owner[free], y[free] + dy, x[free] + dx, np.full(int(free.sum()), towards)))
    who, vy, vx, heading = (np.concatenate(column) for column in zip(*parts, strict=True))
    return who, vy, vx, heading


def _after(corner: IntArray, heading: IntArray, width: int) -> IntArray:
    """The side that follows each side: where borders meet at a corner, the leftmost turn, which joins pixels that touch there."""
    order = np.argsort(corner + heading)
    known = (corner + heading)[order]
    end = corner + 4 * np.array([1, width + 2, -1, -(width + 2)])[heading]
    after = np.full(len(corner), -1)
    for turn in (1, 0, 3):  # right, straight, left: what is found last counts
        wanted = end + (heading + turn) % 4
        at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        after = np.where(known[at] == wanted, order[at], after)
    return after


def _loops(after: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Sort sides into closed walks: number of each side's loop in the new order, that order, and the length of every loop.

    Pointers are doubled (Wyllie 1979): after k rounds every side knows what lies 2^k sides ahead.
    """
    n = len(after)
    lowest, ahead = np.arange(n), after
    while True:
        better = np.minimum(lowest, lowest[ahead])
        if np.array_equal(better, lowest):
            break
        lowest, ahead = better, ahead[ahead]
    last = after == lowest  # the side before the loop's first one
    to_go = np.where(last, 0, 1)
    ahead = np.where(last, np.arange(n), after)
    while to_go[ahead].any():
        to_go, ahead = to_go + to_go[ahead], ahead[ahead]
    order = np.lexsort((-to_go, lowest))
    _, loop, length = np.unique(lowest[order], return_inverse=True, return_counts=True)
    return loop, order, length


def _twice_area(point: FloatArray, loop: IntArray, first: IntArray, length: IntArray) -> FloatArray:
    """Twice the area inside each loop; negative where the cell lies outside, as around a hole."""
    here = np.arange(len(point)) - first[loop]
    other = first[loop] + (here + 1) % length[loop]
    y, x = point.T
    return np.bincount(loop, x * y[other] - x[other] * y, len(first)).astype(float)


def _thinned(label: IntArray, point: FloatArray, first: IntArray, length: IntArray, keep: Array) -> Outlines:
    """Polygons of few points: each is the mean of five neighbouring side middles, so that stairs become slopes."""
    label, first, length = label[keep], first[keep], length[keep]
    wanted = np.minimum(np.clip(np.round(length / STEP), FEWEST, MOST).astype(np.int64), length)
    loop = np.repeat(np.arange(len(label)), wanted)
    k = np.arange(int(wanted.sum())) - np.repeat(np.cumsum(wanted) - wanted, wanted)
    at = k * length[loop] // wanted[loop]
    smooth = np.zeros((len(loop), 2))
    for step, weight in ((-2, 1), (-1, 2), (0, 2), (1, 2), (2, 1)):
        smooth += weight / 8 * point[first[loop] + (at + step) % length[loop]]
    return Outlines(label, wanted, smooth)
