"""Of many stars on the same cell the most probable one stays: non-maximum suppression by shared area or volume."""

from math import floor

import numpy as np

from segmentation.arrays import AnyArray, FloatArray, IntArray
from segmentation.stars.compiled import compiled, inner
from segmentation.stars.lines import cut, ends, shared, size
from segmentation.stars.rays import Rays

LINES = 14  # across a star, all but the smaller quarter: shared areas are then right to a few hundredths


def suppress(points: AnyArray, distances: FloatArray, rays: Rays, limit: float) -> tuple[IntArray, FloatArray]:
    """Let each star, from the first on, remove all later ones that share too much with it.

    Weigert et al., "Star-convex polyhedra for 3D object detection and segmentation in microscopy", 2020. What counts is the shared
    area over the smaller of both areas, not over their union: a star inside another is removed as well.

    Args:
        points: (n, d) middles of the stars, pixels, ([z,] y, x), by falling probability.
        distances: (n, rays) from there to the rim, units of the finest pixel's side.
        rays: directions of the distances.
        limit: greatest share, 0..1, of the smaller of two stars that both may hold.

    Returns:
        Row of the star that removed it, of several the one that shares most with it; its own row for a star that stays: (n,).
        Shared area over the area of the union of these two, 1 for a star that stays: (n,).
    """
    if not len(points):
        return np.zeros(0, np.int64), np.zeros(0)
    reach = distances.max(1)[:, None] * np.abs(rays.step).max(0)  # (n, d) pixels
    thin = np.ones(rays.dims)  # lines are one apart in these units
    thin[:-1] = np.maximum(2 * np.percentile(reach, 25, axis=0)[:-1] / LINES, 1e-3)
    width = np.maximum(4 * np.median(reach, axis=0)[-2:], 1) / thin[-2:]  # buckets of about two cells
    middles = np.ascontiguousarray(points / thin)
    low = middles.min(0)[-2:]
    buckets = ((middles.max(0)[-2:] - low) / width).astype(np.int64) + 1
    heads = np.full(tuple(buckets), -1, np.int64)
    return _suppress(middles, np.ascontiguousarray(distances, np.float64), rays.step / thin, rays.facets, limit, heads, low, width)


@inner
def _lines(point: FloatArray, distance: FloatArray, step: FloatArray, facets: IntArray) -> tuple[IntArray, IntArray, FloatArray]:
    """Cut a star; one that lies between the lines is taken for the piece of the nearest line at its middle."""
    box, begin, x = cut(ends(point, distance, step), facets)
    if len(x) == 0:
        box[1], box[2], box[3] = round(point[-2]), 1, 1
        box[0] = round(point[0]) if len(point) == 3 else 0
        begin = np.array([0, 2])
        x = np.array([point[-1] - 0.5, point[-1] + 0.5])
    return box, begin, x


@inner
def _range(low: float, high: float, start: float, width: float, count: int) -> tuple[int, int]:
    """First and one past the last bucket that an interval meets; what lies outside belongs to the outermost ones."""
    first = min(max(floor((low - start) / width), 0), count - 1)
    last = min(max(floor((high - start) / width), 0), count - 1)
    return first, last + 1


@compiled
def _suppress(  # noqa: PLR0913
    points: FloatArray,
    distances: FloatArray,
    step: FloatArray,
    facets: IntArray,
    limit: float,
    heads: IntArray,
    low: FloatArray,
    width: FloatArray,
) -> tuple[IntArray, FloatArray]:
    """Stars that stay are chained in every bucket that their box meets; a later star is compared with those it may meet."""
    owner, likeness = np.arange(len(points)), np.ones(len(points))
    stay = [_lines(points[0], distances[0], step, facets)]
    areas, rows, seen = [size(stay[0][2])], [0], [-1]
    chain, who = [-1], [-1]  # next node and star of each node; the first is none
    for j in range(len(points)):
        new = _lines(points[j], distances[j], step, facets)
        area, most = size(new[2]), 0.0
        y, y1 = _range(new[0][1], new[0][1] + new[0][3], low[0], width[0], heads.shape[0])
        x, x1 = _range(new[2].min(), new[2].max(), low[1], width[1], heads.shape[1])
        for by in range(y, y1):
            for bx in range(x, x1):
                node = heads[by, bx]
                while node >= 0:
                    star, node = who[node], chain[node]
                    if seen[star] == j:
                        continue
                    seen[star] = j
                    old = stay[star]
                    both = shared(new[0], new[1], new[2], old[0], old[1], old[2])
                    if both > limit * min(area, areas[star]) and both > most:
                        most, owner[j], likeness[j] = both, rows[star], both / (area + areas[star] - both)
        if owner[j] != j:
            continue
        if j > 0:
            stay.append(new)
            areas.append(area)
            rows.append(j)
            seen.append(-1)
        for by in range(y, y1):
            for bx in range(x, x1):
                chain.append(heads[by, bx])
                who.append(len(stay) - 1)
                heads[by, bx] = len(chain) - 1
    return owner, likeness
