"""Stars -> labels: each polygon or polyhedron is filled, the most probable on top."""

from collections.abc import Sequence
from math import ceil

import numpy as np

from segmentation.arrays import AnyArray, FloatArray, IntArray
from segmentation.stars.compiled import compiled
from segmentation.stars.lines import cut, ends
from segmentation.stars.rays import Rays


def draw(points: AnyArray, distances: FloatArray, rays: Rays, shape: Sequence[int]) -> IntArray:
    """Fill the stars of a picture; a pixel belongs to a star that holds its middle, to the first one of several.

    Args:
        points: (n, d) middles of the stars, pixels, ([z,] y, x), by falling probability.
        distances: (n, rays) from there to the rim, units of the finest pixel's side.
        rays: directions of the distances.
        shape: of the picture, ([Z,] Y, X).

    Returns:
        int32 labels: 1 + row of the star, 0 where none is. A star that others hide altogether is not in it.
    """
    canvas = np.zeros((1, *shape)[-3:], np.int32)
    _draw(np.ascontiguousarray(points, np.float64), np.ascontiguousarray(distances, np.float64), rays.step, rays.facets, canvas)
    return canvas.reshape(tuple(shape))


@compiled
def _draw(points: FloatArray, distances: FloatArray, step: FloatArray, facets: IntArray, canvas: IntArray) -> None:
    """Draw the last star first."""
    for i in range(len(points) - 1, -1, -1):
        box, begin, x = cut(ends(points[i], distances[i], step), facets)
        for z in range(max(box[0], 0), min(box[0] + box[2], canvas.shape[0])):
            for y in range(max(box[1], 0), min(box[1] + box[3], canvas.shape[1])):
                row = (z - box[0]) * box[3] + y - box[1]
                for k in range(begin[row], begin[row + 1], 2):
                    canvas[z, y, max(ceil(x[k]), 0) : max(min(ceil(x[k + 1]), canvas.shape[2]), 0)] = i + 1
