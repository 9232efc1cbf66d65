"""Stars as lines of pixels: where parallel lines enter and leave a polygon or polyhedron, and what two of them share.

A star is cut by lines along x, one for each whole number y (in 2D) or each pair of whole numbers z, y (in 3D). The
crossings of a line in rising order are: in, out, in, out, ... So areas, overlaps and pixels are sums over lines,
and a shape needs to be neither convex nor small.

A polyhedron is first cut by the planes z = 0, 1, 2, ... Each triangle leaves a straight edge there, and these edges are the
polygon of that plane. Edges count from their lower end (with it) to their upper end (without it), in z as in y, and a corner of
two triangles is computed in the same way for both: each line crosses the rim an even number of times, whatever the rounding.
"""

from math import ceil

import numpy as np

from segmentation.arrays import FloatArray, IntArray
from segmentation.stars.compiled import inner


@inner
def ends(point: FloatArray, distance: FloatArray, step: FloatArray) -> FloatArray:
    """Places (n, d) where the rays of one star end."""
    place = np.empty(step.shape)
    for k in range(len(step)):
        for a in range(step.shape[1]):
            place[k, a] = point[a] + distance[k] * step[k, a]
    return place


@inner
def cut(corner: FloatArray, facets: IntArray) -> tuple[IntArray, IntArray, FloatArray]:
    """Cut one star into lines.

    Args:
        corner: (n, d) ends of the rays, ([z,] y, x); lines are one apart in z and y.
        facets: (m, d) corners that are joined.

    Returns:
        First z, first y, number of z, number of y: (4,), in 2D one z of 0.
        Begin of each line's crossings: (z * y + 1,), lines by z, then y.
        x of the crossings, rising in each line.
    """
    dims, upper = corner.shape[1], 0
    box = np.zeros(4, np.int64)
    box[2] = 1
    for a in range(dims - 1):
        place = a + 3 - dims  # 1 for y, 0 for z
        box[place] = ceil(corner[:, a].min())
        box[place + 2] = max(ceil(corner[:, a].max()) - box[place], 0)
    for f in range(len(facets)):
        size = 1
        for a in range(dims - 1):
            low = high = corner[facets[f, 0], a]
            for i in range(1, dims):
                low, high = min(low, corner[facets[f, i], a]), max(high, corner[facets[f, i], a])
            size *= ceil(high) - ceil(low)
        upper += size
    line, at = np.empty(upper, np.int64), np.empty(upper)
    used = 0
    for f in range(len(facets)):
        if dims == 2:
            a, b = facets[f]
            used = _edge(corner[a, 0], corner[a, 1], corner[b, 0], corner[b, 1], -box[1], line, at, used)
        else:
            used = _triangle(corner, facets[f], box, line, at, used)
    return _sorted(box, line[:used], at[:used])


@inner
def _triangle(corner: FloatArray, facet: IntArray, box: IntArray, line: IntArray, at: FloatArray, used: int) -> int:
    """Add the crossings of one triangle with all lines: plane by plane its edge, then the lines of that edge."""
    low = min(corner[facet[0], 0], corner[facet[1], 0], corner[facet[2], 0])
    high = max(corner[facet[0], 0], corner[facet[1], 0], corner[facet[2], 0])
    end = np.empty((2, 2))
    for z in range(ceil(low), ceil(high)):
        found = 0
        for i in range(3):
            a, b = facet[i], facet[(i + 1) % 3]
            if corner[a, 0] > corner[b, 0] or (corner[a, 0] == corner[b, 0] and a > b):
                a, b = b, a  # the neighbour triangle must get the same point to the last bit
            if corner[a, 0] <= z < corner[b, 0] and found < 2:
                part = (z - corner[a, 0]) / (corner[b, 0] - corner[a, 0])
                y = corner[a, 1] + part * (corner[b, 1] - corner[a, 1])
                end[found, 0] = min(max(y, min(corner[a, 1], corner[b, 1])), max(corner[a, 1], corner[b, 1]))  # rounding leaves no box
                end[found, 1] = corner[a, 2] + part * (corner[b, 2] - corner[a, 2])
                found += 1
        if found == 2:
            shift = (z - box[0]) * box[3] - box[1]
            used = _edge(end[0, 0], end[0, 1], end[1, 0], end[1, 1], shift, line, at, used)
    return used


@inner
def _edge(y: float, x: float, y1: float, x1: float, shift: int, line: IntArray, at: FloatArray, used: int) -> int:  # noqa: PLR0913
    """Add the crossings of one straight edge with the lines between its ends."""
    if y > y1:
        y, x, y1, x1 = y1, x1, y, x
    for row in range(ceil(y), ceil(y1)):
        line[used] = row + shift
        at[used] = x + (row - y) / (y1 - y) * (x1 - x)
        used += 1
    return used


@inner
def _sorted(box: IntArray, line: IntArray, at: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
    """Sort crossings by line, and in each line by x."""
    begin = np.zeros(box[2] * box[3] + 1, np.int64)
    for i in range(len(line)):
        begin[line[i] + 1] += 1
    for row in range(1, len(begin)):
        begin[row] += begin[row - 1]
    end, x = begin[:-1].copy(), np.empty(len(at))
    for i in range(len(line)):  # by insertion: a line has few crossings
        k = end[line[i]]
        end[line[i]] += 1
        while k > begin[line[i]] and x[k - 1] > at[i]:
            x[k] = x[k - 1]
            k -= 1
        x[k] = at[i]
    return box, begin, x


@inner
def size(x: FloatArray) -> float:
    """Area or volume of a star that was cut, in units of the lines' distances and of x."""
    total = 0.0
    for i in range(0, len(x), 2):
        total += x[i + 1] - x[i]
    return total


@inner
def shared(box: IntArray, begin: IntArray, x: FloatArray, box1: IntArray, begin1: IntArray, x1: FloatArray) -> float:
    """Area or volume that two stars have in common; `begin` may point anywhere into `x`."""
    total = 0.0
    for z in range(max(box[0], box1[0]), min(box[0] + box[2], box1[0] + box1[2])):
        for y in range(max(box[1], box1[1]), min(box[1] + box[3], box1[1] + box1[3])):
            row = (z - box[0]) * box[3] + y - box[1]
            row1 = (z - box1[0]) * box1[3] + y - box1[1]
            i, j = begin[row], begin1[row1]
            while i < begin[row + 1] and j < begin1[row1 + 1]:
                total += max(min(x[i + 1], x1[j + 1]) - max(x[i], x1[j]), 0.0)
                if x[i + 1] < x1[j + 1]:
                    i += 2
                else:
                    j += 2
    return total
