"""Making a sharp picture worse on purpose, exactly as a coarser microscope would: blur, noise, fewer samples; and grids in between."""

import math

import numpy as np
from scipy import ndimage
from scipy.sparse import csr_array

from restoration.noise import NoiseModel
from segmentation.arrays import AnyArray, FloatArray


def finer_places(count: int, factor: float) -> FloatArray:
    """Where the samples of a finer grid lie between those of a coarse one; both grids cover the same length with the same middle.

    A grid of `count` samples is `count` steps long, so that the finer one has `count * factor` samples. Where that is no whole number,
    it is rounded down and what is left over is cut evenly at both ends: the new step is exact.

    Args:
        count: Samples of the coarse grid.
        factor: Its step over the new one; 1 or more, need not be whole.

    Returns:
        Float (m,), in steps of the coarse grid, the first of whose samples lies at 0.
    """
    m = math.floor(count * factor + 1e-6)
    return (np.arange(m) + 0.5 - m / 2) / factor + (count - 1) / 2


def interpolating(places: AnyArray, count: int) -> csr_array:
    """Linear interpolation as a matrix; beyond the ends the last sample is repeated.

    Args:
        places: (m,), in steps of the grid of samples.
        count: Samples, at 0 .. count - 1.

    Returns:
        Sparse (m, count); its product with samples (count, ...) are the values at the places.
    """
    at = np.clip(np.asarray(places, float), 0, count - 1)
    low = np.minimum(at.astype(int), max(count - 2, 0))
    high, part, rows = np.minimum(low + 1, count - 1), at - low, np.arange(len(at))
    entries = (np.concatenate([1 - part, part]), (np.concatenate([rows, rows]), np.concatenate([low, high])))
    return csr_array(entries, shape=(len(at), count))


def resampled(stack: AnyArray, places: AnyArray) -> FloatArray:
    """A stack at other places along its first axis, by linear interpolation.

    Args:
        stack: (n, ...).
        places: (m,), in steps of the first axis.

    Returns:
        float32 (m, ...).
    """
    flat = np.asarray(stack, np.float32).reshape(len(stack), -1)
    return np.asarray(interpolating(places, len(stack)).astype(np.float32) @ flat, np.float32).reshape(len(places), *np.shape(stack)[1:])


def noise_like(picture: FloatArray, noise: NoiseModel | None, left: float, rng: np.random.Generator) -> FloatArray:
    """A picture with as much noise as the camera would give it, when a part of that is in it already.

    Args:
        picture: Grey levels, any shape.
        noise: Of the camera; None: the picture as it is.
        left: Part of the noise's variance that blurring or averaging has left in the picture.
        rng: Source of randomness.
    """
    if noise is None:
        return picture
    return picture + rng.normal(0, 1, picture.shape) * np.sqrt(max(1 - left, 0.0) * noise.variance_at(picture))


def left_by_blur(sigma: float) -> float:
    """Part of the variance of white noise that a Gaussian blur along one axis leaves.

    Args:
        sigma: Standard deviation of the Gaussian, pixels.
    """
    impulse = np.zeros(2 * math.ceil(4 * sigma) + 3)
    impulse[len(impulse) // 2] = 1
    return float((ndimage.gaussian_filter1d(impulse, sigma) ** 2).sum()) if sigma > 0 else 1.0


def binned(picture: AnyArray, factor: int) -> FloatArray:
    """What a camera with pixels `factor` times as wide would see: the mean of each block; odd rims are cut off.

    Args:
        picture: (..., Y, X).
        factor: Pixels a block, along y and x.
    """
    y, x = (n // factor for n in np.shape(picture)[-2:])
    cut = np.asarray(picture, float)[..., : y * factor, : x * factor]
    return cut.reshape(*cut.shape[:-2], y, factor, x, factor).mean((-3, -1))
