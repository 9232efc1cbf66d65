"""Labels -> what the network must say about every pixel."""

import numpy as np

from segmentation.arrays import BoolArray, FloatArray, IntArray
from segmentation.flooding import distance_inside


def targets(labels: IntArray) -> FloatArray:
    """Turn a label picture into foreground, boundary and distance.

    Foreground: 1 inside cells. Boundary: 1 where a face neighbour carries another label, on both sides.
    Distance: how deep inside its cell a pixel lies, 0 at the rim, 1 at the deepest place of each cell.

    Args:
        labels: ([Z,] Y, X); > 0 cells, 0 background, < 0 unknown.

    Returns:
        float32 (3, [Z,] Y, X) in 0..1, and -1 in every channel where the label is unknown.
    """
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels have dtype {labels.dtype}: give integers, < 0 where the truth is unknown")
    inside = labels > 0
    channels = np.stack([inside, boundaries(labels), depth(labels)]).astype(np.float32)
    channels[:, labels < 0] = -1
    return channels


def boundaries(labels: IntArray) -> BoolArray:
    """Mark the pixels with a face neighbour of another label; unknown pixels (< 0) make no boundary.

    Args:
        labels: ([Z,] Y, X).
    """
    edge = np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        here, there = _neighbours(labels.ndim, axis)
        differs = (labels[here] != labels[there]) & (labels[here] >= 0) & (labels[there] >= 0)
        edge[here] |= differs
        edge[there] |= differs
    return edge


def depth(labels: IntArray) -> FloatArray:
    """Distance to the cell's rim over the cell's greatest such distance; where two cells touch it is 0.

    Args:
        labels: ([Z,] Y, X).

    Returns:
        float32 in 0..1, same shape.
    """
    inside = labels > 0
    if not inside.any():
        return np.zeros(labels.shape, np.float32)
    touching = boundaries(np.where(inside, labels, -1))
    distance = distance_inside(inside & ~touching)
    ids, cell = np.unique(labels[inside], return_inverse=True)
    deepest = np.ones(len(ids), np.float32)
    np.maximum.at(deepest, cell, distance[inside])
    relative = np.zeros(labels.shape, np.float32)
    relative[inside] = distance[inside] / deepest[cell]
    return relative


def _neighbours(dims: int, axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The places of all pixels but the last, and all but the first, along one axis."""
    before, after = [slice(None)] * dims, [slice(None)] * dims
    before[axis], after[axis] = slice(None, -1), slice(1, None)
    return tuple(before), tuple(after)
