"""The mutex watershed: join pixels and forbid unions in falling order of evidence; by bioimage-cpp where it is installed."""

from collections.abc import Sequence

import numpy as np

from segmentation.arrays import AnyArray, BoolArray, FloatArray, IntArray
from segmentation.targets import shifted

try:
    from bioimage_cpp.segmentation import mutex_watershed as _fast_mutex_watershed
except ImportError:  # no wheel for this machine
    _fast_mutex_watershed = None


def mutex_watershed(evidence: FloatArray, offsets: Sequence[Sequence[int]], mask: BoolArray, *, joining: int, stride: int = 1) -> IntArray:
    """Go through all pairs of pixels, the surest first; each joins the cells of its pixels or forbids their union for good.

    Wolf et al., "The Mutex Watershed and its Objective: Efficient, Parameter-Free Graph Partitioning", 2020.

    Args:
        evidence: (k, [Z,] Y, X); channel c says how sure it is that a pixel and the one at `offsets[c]` belong together (the first
            `joining` channels) or do not (the others).
        offsets: (k, d) steps in pixels.
        mask: ([Z,] Y, X); pairs that reach outside it say nothing.
        joining: number of channels that join.
        stride: of the other channels only the pixels at multiples of this count.

    Returns:
        int32 labels ([Z,] Y, X), numbered 1..n by their first pixels, 0 outside the mask; pixels that nothing joins are cells of one pixel.
    """
    if _fast_mutex_watershed is not None and mask.any():
        found = _fast_mutex_watershed(
            np.ascontiguousarray(evidence, np.float32),
            [tuple(offset) for offset in offsets],
            joining,
            strides=None if stride == 1 else (stride,) * mask.ndim,
            mask=np.ascontiguousarray(mask),
        )
        return _in_order(found, mask)
    first, second, joins = _pairs(evidence, offsets, mask, joining=joining, stride=stride)
    return _in_order(np.asarray(_joined(mask.size, first, second, joins)).reshape(mask.shape), mask)


def _in_order(marks: AnyArray, mask: BoolArray) -> IntArray:
    """Number the cells 1..n in the order of their first pixels."""
    labels = np.zeros(mask.shape, np.int32)
    _, place, cell = np.unique(marks[mask], return_index=True, return_inverse=True)
    labels[mask] = np.argsort(np.argsort(place))[cell] + 1
    return labels


def _pairs(
    evidence: FloatArray, offsets: Sequence[Sequence[int]], mask: BoolArray, *, joining: int, stride: int
) -> tuple[IntArray, IntArray, BoolArray]:
    """Both pixels of every pair inside the mask, and whether the pair joins; the surest pair first."""
    number = np.arange(mask.size).reshape(mask.shape)
    grid = np.zeros(mask.shape, bool)
    grid[(slice(None, None, stride),) * mask.ndim] = True
    first, second, joins, sure = [], [], [], []
    for channel, offset in enumerate(offsets):
        here, there = shifted(offset)
        counts = mask[here] & mask[there] & (grid[here] | (channel < joining))
        first.append(number[here][counts])
        second.append(number[there][counts])
        joins.append(np.full(int(counts.sum()), channel < joining))
        sure.append(evidence[channel][here][counts])
    order = np.argsort(-np.concatenate(sure), kind="stable")
    return np.concatenate(first)[order], np.concatenate(second)[order], np.concatenate(joins)[order]


def _joined(size: int, first: IntArray, second: IntArray, joins: BoolArray) -> list[int]:
    """The root of every pixel after all pairs have spoken; pair by pair, as each verdict needs those before it."""
    parent, foes = list(range(size)), [set[int]() for _ in range(size)]

    def root(pixel: int) -> int:
        while parent[pixel] != pixel:
            parent[pixel] = pixel = parent[parent[pixel]]
        return pixel

    for a, b, join in zip(first.tolist(), second.tolist(), joins.tolist(), strict=True):
        one, other = root(a), root(b)
        if one == other or other in foes[one]:
            continue
        if not join:
            foes[one].add(other)
            foes[other].add(one)
            continue
        if len(foes[one]) < len(foes[other]):
            one, other = other, one
        parent[other] = one
        for foe in foes[other]:  # foes are roots, so they must hear of the union
            foes[foe].discard(other)
            foes[foe].add(one)
        foes[one] |= foes[other]
    return [root(pixel) for pixel in range(size)]
