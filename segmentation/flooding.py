"""Distances and floods on pixel grids: by bioimage-cpp where it is installed, else by SciPy and scikit-image."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from skimage.measure import label
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
        landscape: ([Z,] Y, X), low where cells are. On a plateau any of the seeds beside it may win all of it: give it a slope.
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


def parts(mask: BoolArray) -> IntArray:
    """Number the face-connected parts of a mask 1..n.

    Args:
        mask: ([Z,] Y, X).

    Returns:
        int32, same shape, 0 outside the mask.
    """
    return np.asarray(label(mask, connectivity=1), np.int32)


def with_seedless(seeds: IntArray, mask: BoolArray) -> IntArray:
    """Make every part of the mask that holds no seed a seed of its own, so that small cells survive.

    Args:
        seeds: ([Z,] Y, X), > 0 where a cell begins.
        mask: same shape, True inside cells.

    Returns:
        int32 seeds, same shape; the old ones keep their numbers.
    """
    pieces = parts(mask)
    lonely = np.ones(int(pieces.max(initial=0)) + 1, bool)
    lonely[pieces[seeds > 0]] = False
    lonely[0] = False
    return np.where(lonely[pieces], pieces + seeds.max(initial=0), seeds).astype(np.int32)


def flood_without_small(landscape: FloatArray, seeds: IntArray, mask: BoolArray, smallest: int) -> IntArray:
    """Flood, take the seeds of too small cells away, and flood once more, so that their pixels go to a touching neighbour.

    Args:
        landscape: ([Z,] Y, X), low where cells are.
        seeds: same shape, > 0 where a cell begins.
        mask: same shape; nothing grows outside it.
        smallest: least size of a cell, pixels; a smaller one without a neighbour vanishes.

    Returns:
        int32 labels, same shape, numbered 1..n.
    """
    labels = flood(landscape, seeds, mask)
    sizes = np.bincount(labels.ravel())[1:]
    kept = drop_small(labels, smallest)
    if not (sizes < smallest).any() or not kept.any():
        return kept
    return flood(landscape, kept, mask)


def fill_holes(labels: IntArray, largest: int) -> IntArray:
    """Give the background that one cell encloses to that cell.

    Args:
        labels: ([Z,] Y, X), 0 = background; not altered.
        largest: size in pixels above which a hole stays a hole; 0: all stay.

    Returns:
        int32 labels, same shape.
    """
    if largest < 1 or not labels.any():
        return np.asarray(labels, np.int32)
    holes = np.asarray(label(labels == 0, connectivity=labels.ndim), np.int32)
    count = int(holes.max()) + 1
    least, most = np.full(count, np.iinfo(np.int64).max), np.zeros(count, np.int64)  # lowest and highest label beside each hole
    closed = np.bincount(holes.ravel(), minlength=count) <= largest
    closed[0] = False
    for axis in range(labels.ndim):
        before, after = neighbours(labels.ndim, axis)
        for here, there in ((before, after), (after, before)):
            at = (holes[here] > 0) & (labels[there] > 0)
            np.minimum.at(least, holes[here][at], labels[there][at])
            np.maximum.at(most, holes[here][at], labels[there][at])
        closed[np.take(holes, [0, -1], axis)] = False  # open to the rim of the picture
    filler = np.where(closed & (least == most), most, 0)
    return np.where(holes > 0, filler[holes], labels).astype(np.int32)


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


def drop_unsure(labels: IntArray, foreground: FloatArray, least: float) -> IntArray:
    """Remove the objects whose mean foreground is lower than `least` and number the others 1..n.

    Args:
        labels: ([Z,] Y, X), numbered 1..n, 0 = background.
        foreground: same shape, probability of being inside a cell.
        least: 0..1; at 0 nothing is removed.

    Returns:
        int32 labels, same shape.
    """
    if least <= 0 or not labels.any():
        return labels
    sizes = np.bincount(labels.ravel())
    kept = np.bincount(labels.ravel(), foreground.ravel()) >= least * sizes
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


def neighbours(dims: int, axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Give the places of all pixels but the last, and all but the first, along one axis: pairs of face neighbours.

    Args:
        dims: number of axes.
        axis: the axis along which they are neighbours.
    """
    before, after = [slice(None)] * dims, [slice(None)] * dims
    before[axis], after[axis] = slice(None, -1), slice(1, None)
    return tuple(before), tuple(after)
