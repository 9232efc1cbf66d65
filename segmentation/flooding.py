"""Distances and floods on pixel grids: by bioimage-cpp where it is installed, else by SciPy and scikit-image."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from segmentation.arrays import AnyArray, BoolArray, FloatArray, IntArray

try:
    from bioimage_cpp.distance import distance_transform as _fast_distance
    from bioimage_cpp.segmentation import watershed as _fast_watershed
except ImportError:  # no wheel for this machine
    _fast_distance = _fast_watershed = None


def distance_inside(mask: BoolArray, spacing: Sequence[float] | None = None) -> FloatArray:
    """Give each pixel its distance to the nearest pixel outside the mask.

    Args:
        mask: ([Z,] Y, X), True inside.
        spacing: size of a pixel along each axis, in any unit; default ones.

    Returns:
        float32, same shape, in the unit of `spacing`; a mask without outside gives the longest side everywhere.
    """
    step = (1.0,) * mask.ndim if spacing is None else tuple(float(s) for s in spacing)
    if mask.size and mask.all():
        return np.full(mask.shape, max(n * s for n, s in zip(mask.shape, step, strict=True)), np.float32)
    if _fast_distance is not None and mask.size:
        return np.asarray(_fast_distance(np.ascontiguousarray(mask), sampling=step))
    return np.asarray(ndimage.distance_transform_edt(mask, sampling=step), np.float32)


def flood(landscape: FloatArray, seeds: IntArray, mask: BoolArray) -> IntArray:
    """Let the seeds grow uphill until they meet: the watershed (Meyer and Beucher, 1990).

    Args:
        landscape: ([Z,] Y, X), low where cells are.
        seeds: same shape, > 0 where a cell begins.
        mask: same shape; nothing grows outside it.

    Returns:
        int32 labels, same shape, with the numbers of the seeds.
    """
    terrain = np.ascontiguousarray(landscape, dtype=np.float32)
    start = np.ascontiguousarray(seeds, dtype=np.int32)
    if _fast_watershed is not None and terrain.size and terrain.ndim in (2, 3):
        return np.asarray(_fast_watershed(terrain, start, mask=np.ascontiguousarray(mask)))
    return np.asarray(watershed(terrain, start, mask=mask), np.int32)


def drop_small(labels: IntArray, smallest: int) -> IntArray:
    """Remove objects of fewer than `smallest` pixels and number the others 1..n.

    Args:
        labels: ([Z,] Y, X), 0 = background.
        smallest: least size that is kept, in pixels.

    Returns:
        int32 labels, same shape.
    """
    sizes = np.bincount(labels.ravel(), minlength=1)
    kept = sizes >= max(smallest, 1)
    kept[0] = False
    return renumbered(labels, kept)


def renumbered(labels: IntArray, kept: BoolArray) -> IntArray:
    """Number the kept objects 1..n in their old order and erase the others.

    Args:
        labels: ([Z,] Y, X), 0 = background.
        kept: (highest label + 1,), True for the labels that stay; the entry of 0 must be False.
    """
    table: AnyArray = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    return np.asarray(table[labels])
