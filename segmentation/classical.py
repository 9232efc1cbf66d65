"""Segmentation without any training: threshold, distance, watershed. The floor that learned models must clear."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu

from segmentation.arrays import AnyArray, IntArray
from segmentation.flooding import distance_inside, drop_small, flood
from segmentation.normalise import check_finite, is_constant


def classical(
    image: AnyArray,
    *,
    scale: Sequence[float] | None = None,
    sigma: float = 1.0,
    local: float | None = None,
    apart: float = 5.0,
    smallest: int = 20,
) -> IntArray:
    """Find bright cells on a dark background.

    Gaussian blur, Otsu's threshold, distance to the background (smoothed), its maxima as seeds, watershed.

    Args:
        image: (Y, X) or (Z, Y, X), any real dtype, finite; not altered.
        scale: size of a pixel along each axis, in units of the finest; default ones.
        sigma: blur of the picture and of the distance, in the unit of `scale`.
        local: width of a Gaussian whose blur is first taken off as background, in the unit of `scale`;
            choose several cell diameters. None: one threshold for the raw picture.
        apart: least distance of two cell centres, in the unit of `scale`.
        smallest: least size of a cell, pixels.

    Returns:
        int32 labels, same shape, 0 = background, cells 1..n; empty for a picture of equal pixels.
    """
    image = np.asarray(image)
    step = np.ones(image.ndim) if scale is None else np.asarray(scale, float)
    if image.ndim not in (2, 3) or step.shape != (image.ndim,) or not (step > 0).all():
        raise ValueError(
            f"image has shape {image.shape} and scale {tuple(map(float, step))}: "
            "give a (Y, X) or (Z, Y, X) picture and one positive number per axis"
        )
    check_finite(image)
    if is_constant(image):
        return np.zeros(image.shape, np.int32)
    smooth = ndimage.gaussian_filter(image.astype(np.float32), sigma / step)
    if local is not None:
        smooth = smooth - ndimage.gaussian_filter(smooth, local / step)
    mask = smooth > threshold_otsu(smooth)
    distance = ndimage.gaussian_filter(distance_inside(mask, tuple(step)), sigma / step)
    return drop_small(flood(-distance, _peaks(distance, mask, apart=apart, step=step), mask), smallest)


def _peaks(distance: AnyArray, mask: AnyArray, *, apart: float, step: AnyArray) -> IntArray:
    """Number the pixels that lie deepest within `apart` in their part of the mask; of equals the first."""
    reach = np.maximum(np.ceil(apart / step), 1).astype(int)
    grid = np.indices([2 * int(r) + 1 for r in reach]) - reach.reshape(-1, *[1] * len(step))
    ball = ((grid * step.reshape(-1, *[1] * len(step))) ** 2).sum(0) <= apart**2
    places = peak_local_max(distance, footprint=ball, labels=ndimage.label(mask)[0], exclude_border=False)
    places = places[np.argsort(-distance[tuple(places.T)], kind="stable")]
    kept = np.ones(len(places), bool)
    near = cKDTree(places * step).query_pairs(apart, output_type="ndarray") if len(places) else np.empty((0, 2), int)
    for higher, lower in near[np.lexsort(near.T[::-1])]:  # in falling height: each verdict needs those before it
        kept[lower] &= not kept[higher]
    seeds = np.zeros(distance.shape, np.int32)
    seeds[tuple(places[kept].T)] = np.arange(1, kept.sum() + 1)
    return seeds
