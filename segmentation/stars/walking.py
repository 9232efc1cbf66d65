"""Labels -> distances: from every pixel of a cell, how far it is to the cell's rim along each ray."""

import numpy as np
from scipy import ndimage

from segmentation.arrays import AnyArray, FloatArray, IntArray
from segmentation.flooding import distance_inside
from segmentation.stars.compiled import compiled
from segmentation.stars.rays import Rays


def distances(labels: IntArray, rays: Rays, *, complete: bool = True) -> FloatArray:
    """Measure every cell from each of its pixels; Schmidt et al., "Cell detection with star-convex polygons", 2018.

    One walks along the ray in steps of one unit until the label changes, and then back to where the ray
    left the last pixel of the cell.

    Args:
        labels: ([Z,] Y, X); > 0 cells, 0 background, < 0 unknown.
        rays: directions.
        complete: whether the cell goes on behind the rim of the picture; False: it ends there.

    Returns:
        float32 (n rays, [Z,] Y, X), in units of the finest pixel's side; 0 outside cells. A negative number -d means
        "at least d": the ray left the picture or went into the unknown.
    """
    padded = np.pad(labels.astype(np.int64), 1, constant_values=-1 if complete else 0)
    inside = np.flatnonzero(padded > 0)
    far = np.zeros((len(rays), padded.size), np.float32)
    if len(inside):
        jump, leave = _tables(rays, padded.shape)
        far[:, inside] = _walk(padded.ravel(), inside, jump, leave)
    middle = (slice(None), *(slice(1, -1),) * labels.ndim)
    return np.ascontiguousarray(far.reshape(-1, *padded.shape)[middle])


def centrality(labels: IntArray, spacing: tuple[float, ...] | None = None) -> FloatArray:
    """Say how well each pixel is suited as the middle of its cell: its distance to the rim over the greatest such one.

    Args:
        labels: ([Z,] Y, X); the rim of the picture is no rim of a cell.
        spacing: size of a pixel along each axis; default ones.

    Returns:
        float32 in 0..1, same shape, 0 outside cells.
    """
    relative = np.zeros(labels.shape, np.float32)
    if not (labels > 0).any():
        return relative
    ids, cells = np.unique(np.maximum(labels, 0), return_inverse=True)
    cells = cells.reshape(labels.shape) + int(ids[0] > 0)
    for label, box in enumerate(ndimage.find_objects(cells), 1):  # cell by cell: a touching cell is outside too
        wider = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in box)
        inside = cells[wider] == label
        deep = distance_inside(inside, spacing)
        relative[wider][inside] = deep[inside] / deep[inside].max()
    return relative


def radius(labels: IntArray, spacing: tuple[float, ...] | None = None) -> FloatArray:
    """Give the radius of the ball that is as large as each cell.

    Args:
        labels: ([Z,] Y, X).
        spacing: size of a pixel along each axis; default ones.

    Returns:
        (cells,) in units of the finest pixel's side, by rising label.
    """
    sizes = np.unique(labels[labels > 0], return_counts=True)[1]
    pixel = 1.0 if spacing is None else float(np.prod(np.asarray(spacing) / min(spacing)))
    ball = np.pi if labels.ndim == 2 else 4 / 3 * np.pi
    return np.asarray((sizes * pixel / ball) ** (1 / labels.ndim))


def _tables(rays: Rays, shape: tuple[int, ...]) -> tuple[IntArray, FloatArray]:
    """Of every step along each ray: its displacement in the flat picture, and where the ray leaves that pixel.

    A ray is in pixel p between the distances at which it crosses the sides p - 1/2 and p + 1/2 of every axis.
    """
    with np.errstate(divide="ignore"):
        per_side = 1 / np.abs(rays.step)  # (n, d) distance from one side of a pixel to the other
    longest = int(np.ceil((np.array(shape) * per_side).min(1).max())) + 2
    pixel = np.rint(np.arange(longest)[:, None] * rays.step[:, None])  # (n, steps, d)
    strides = np.array([int(np.prod(shape[a + 1 :])) for a in range(len(shape))])
    leave = ((np.abs(pixel) + 0.5) * per_side[:, None]).min(-1)
    return (pixel @ strides).astype(np.int64), leave.astype(np.float32)


@compiled
def _walk(labels: IntArray, inside: IntArray, jump: IntArray, leave: FloatArray) -> AnyArray:
    """Distances (rays, cells' pixels); negative where a label below zero ended the walk."""
    far = np.empty((len(jump), len(inside)), np.float32)
    for k in range(len(jump)):
        way = jump[k]
        for i in range(len(inside)):
            place, step = inside[i], 1
            while labels[place + way[step]] == labels[place]:
                step += 1
            long = leave[k, step - 1]
            far[k, i] = -long if labels[place + way[step]] < 0 else long
    return far
