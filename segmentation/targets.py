"""Labels -> what the network must say about every pixel."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from segmentation.arrays import AnyArray, BoolArray, FloatArray, IntArray
from segmentation.flooding import distance_inside, neighbours


def relative(spacing: Sequence[float]) -> tuple[float, ...]:
    """Sizes of a pixel in units of the smallest, so that no distance depends on the unit; as they are where they are not positive.

    Args:
        spacing: size of a pixel along each axis, in any unit.
    """
    least = min(spacing, default=1.0)
    return tuple(float(size / least) if least > 0 else float(size) for size in spacing)


def targets(labels: IntArray, spacing: Sequence[float] | None = None) -> FloatArray:
    """Turn a label picture into foreground, boundary and distance.

    Foreground: 1 inside cells. Boundary: 1 where a face neighbour carries another label, on both sides.
    Distance: how deep inside its cell a pixel lies, 0 at the rim, 1 at the deepest place of each cell.

    Args:
        labels: ([Z,] Y, X); > 0 cells, 0 background, < 0 unknown.
        spacing: size of a pixel along each axis, as parts of the smallest (`relative`); default ones.

    Returns:
        float32 (3, [Z,] Y, X) in 0..1, and -1 in every channel where the label is unknown.
    """
    check_labels(labels)
    channels = np.stack([labels > 0, boundaries(labels), depth(labels, spacing)]).astype(np.float32)
    channels[:, labels < 0] = -1
    return channels


def foreground(labels: IntArray) -> FloatArray:
    """Say of every pixel whether it lies in a cell.

    Args:
        labels: ([Z,] Y, X); > 0 cells, 0 background, < 0 unknown.

    Returns:
        float32, same shape: 1 in cells, 0 outside, -1 where unknown.
    """
    check_labels(labels)
    return np.sign(labels).astype(np.float32)


def boundaries(labels: IntArray) -> BoolArray:
    """Mark the pixels with a face neighbour of another label; unknown pixels (< 0) make no boundary.

    Args:
        labels: ([Z,] Y, X).
    """
    edge = np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        here, there = neighbours(labels.ndim, axis)
        differs = (labels[here] != labels[there]) & (labels[here] >= 0) & (labels[there] >= 0)
        edge[here] |= differs
        edge[there] |= differs
    return edge


def depth(labels: IntArray, spacing: Sequence[float] | None = None) -> FloatArray:
    """Distance to the cell's rim over the cell's greatest such distance; where two cells touch it is 0.

    Args:
        labels: ([Z,] Y, X).
        spacing: size of a pixel along each axis, as parts of the smallest (`relative`); default ones.

    Returns:
        float32 in 0..1, same shape.
    """
    inside = labels > 0
    if not inside.any():
        return np.zeros(labels.shape, np.float32)
    touching = boundaries(np.where(inside, labels, -1))
    distance = distance_inside(inside & ~touching, spacing)
    ids, cell = np.unique(labels[inside], return_inverse=True)
    deepest = np.ones(len(ids), np.float32)
    np.maximum.at(deepest, cell, distance[inside])
    relative = np.zeros(labels.shape, np.float32)
    relative[inside] = distance[inside] / deepest[cell]
    return relative


def narrowness(labels: IntArray, reach: float = 3.0, spacing: Sequence[float] | None = None) -> FloatArray:
    """Say how narrow the ground between two cells is at each pixel: 1 where they touch, 0 where only one cell is near.

    exp(-(d1 + d2)^2 / (2 reach^2)) with the distances d1 and d2 to the nearest and to the second nearest cell; a pixel of a cell
    has d1 = 0. After the weight map of Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image
    Segmentation", 2015, which looks at the background only; labels that touch have none between them, so both sides count here.

    Args:
        labels: ([Z,] Y, X); > 0 cells, 0 background, < 0 unknown, which is no cell.
        reach: distance that still counts as narrow, in the unit of `spacing`; beyond four times of it the answer is 0.
        spacing: size of a pixel along each axis; default ones, so that distances are in pixels.

    Returns:
        float32 in 0..1, same shape.
    """
    step = np.ones(labels.ndim) if spacing is None else np.asarray(spacing, float)
    near, second = np.full((2, *labels.shape), np.inf, np.float32)
    for cell, box in _boxes(labels):  # cell by cell: the second nearest needs the distance to each on its own
        margin = np.ceil(4 * reach / step).astype(int)
        wide = tuple(slice(max(side.start - m, 0), side.stop + m) for side, m in zip(box, margin, strict=True))
        away = distance_inside(labels[wide] != cell, tuple(step))
        second[wide] = np.minimum(second[wide], np.maximum(near[wide], away))
        near[wide] = np.minimum(near[wide], away)
    apart = (near + second) / reach
    return np.where(apart <= 4, np.exp(-(apart**2) / 2), 0).astype(np.float32)


def centre_and_depth(labels: IntArray, spacing: Sequence[float] | None = None) -> FloatArray:
    """Say how near to its cell's centre and how deep in its cell each pixel lies.

    Nearness is 1 at the pixel of the cell next to the centre and falls linearly to 0 at the one farthest from it. The centre is
    the centroid; where the cell is not deep there (a banana, a ring, a dumb-bell) it is the pixel next to the centroid of those
    that are at least half as deep as the deepest. Depth is the distance to the nearest pixel outside the cell, over the greatest
    such distance in the cell. After the distance transform of Bai and Urtasun, "Deep Watershed Transform", 2017, and the decoder
    of Archit et al., "Segment Anything for Microscopy", 2025, whose two channels are 1 minus these.

    Args:
        labels: ([Z,] Y, X); cells > 0.
        spacing: size of a pixel along each axis, as parts of the smallest (`relative`); default ones.

    Returns:
        float32 (2, [Z,] Y, X), 0..1, 0 outside cells.
    """
    step = np.ones(labels.ndim) if spacing is None else np.asarray(spacing, float)
    channels = np.zeros((2, *labels.shape), np.float32)
    near, depths = channels
    for cell, box in _boxes(labels):  # cell by cell: each has an outside of its own, which holds the neighbours that touch it
        wide = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in box)
        inside = labels[wide] == cell
        deep = distance_inside(inside, tuple(step))[inside]
        deep /= deep.max()
        near[wide][inside] = _nearness(np.argwhere(inside), deep, step)
        depths[wide][inside] = deep
    return channels


def _boxes(labels: IntArray) -> list[tuple[int, tuple[slice, ...]]]:
    """The number of each cell and the smallest box that holds it."""
    numbers, compact = np.unique(labels, return_inverse=True)
    cells = numbers[numbers > 0]
    compact = np.maximum(compact.reshape(labels.shape) - (len(numbers) - len(cells)) + 1, 0)
    return list(zip(cells.tolist(), ndimage.find_objects(compact), strict=True))


def _nearness(places: AnyArray, deep: FloatArray, step: FloatArray) -> FloatArray:
    """1 at the pixels of a cell next to its centre, 0 at the farthest; the centre always lies deep in the cell."""
    centre = places.mean(0)
    candidates = places[deep >= 0.5]
    away = ((candidates - centre) ** 2).sum(1)
    if away.min() > places.shape[1] / 4 + 1e-6:  # more than half the diagonal of a pixel: the centroid lies in no deep pixel
        centre = candidates[np.argmin(((candidates - centre) * step) ** 2 @ np.ones(len(step)))]
    distance = np.sqrt((((places - centre) * step) ** 2).sum(1))
    span = distance.max() - distance.min()
    return 1 - (distance - distance.min()) / span if span > 0 else np.ones(len(places))


def same_cell(labels: IntArray, offsets: Sequence[Sequence[int]]) -> FloatArray:
    """Say of every pixel and offset whether the pixel and the one at that offset belong to the same cell (affinities).

    Args:
        labels: ([Z,] Y, X); > 0 cells, 0 background, < 0 unknown.
        offsets: (k, d) steps in pixels, ([z,] y, x).

    Returns:
        float32 (k, [Z,] Y, X): 1 in the same cell, 0 in different cells or where one of the two is background, -1 where one of
        the two is unknown or outside the picture.
    """
    channels = np.full((len(offsets), *labels.shape), -1, np.float32)
    for channel, offset in zip(channels, offsets, strict=True):
        here, there = shifted(offset)
        first, second = labels[here], labels[there]
        channel[here] = np.where((first < 0) | (second < 0), -1, (first == second) & (first > 0))
    return channels


def shifted(offset: Sequence[int]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Give the places of the pixels that have a partner at this offset inside the picture, and the places of the partners.

    Args:
        offset: step in pixels along each axis; where it is longer than the picture there are no such pixels.
    """
    here = tuple(slice(max(-o, 0), -o if o > 0 else None) for o in offset)
    there = tuple(slice(max(o, 0), o if o < 0 else None) for o in offset)
    return here, there


def check_labels(labels: IntArray) -> None:
    """Refuse labels that are not integers.

    Args:
        labels: ([Z,] Y, X).
    """
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels have dtype {labels.dtype}: give integers, < 0 where the truth is unknown")
