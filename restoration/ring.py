"""Fourier ring correlation: down to which detail two pictures of the same scene agree, and so what a picture really resolves."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from segmentation.arrays import AnyArray, FloatArray
from segmentation.normalise import check_finite

THRESHOLD = 1 / 7
SMALLEST = 16  # pixels a side: below, the rings hold too few frequencies to say anything
EDGE = 0.125  # part of each side over which a picture is faded out


@dataclass(frozen=True, eq=False)
class Ring:
    """How far two pictures agree at every scale, from coarse to fine.

    Attributes:
        frequency: Middle of each ring, float (n,), periods per unit of `scale` (per pixel when the scale is 1).
        correlation: -1..1, float (n,); 1 = the same, 0 = unrelated.
        count: Frequencies in each ring, int (n,).
        threshold: Correlation below which detail counts as lost.
        resolution: Smallest period that both pictures share, in units of `scale`; infinite where they share nothing. Where the curve never
            falls below the threshold it is the finest period that was compared, so the truth may be better.
        crosses: Whether the curve falls below the threshold at all.
    """

    frequency: FloatArray
    correlation: FloatArray
    count: AnyArray
    threshold: float
    resolution: float
    crosses: bool

    @property
    def mean(self) -> float:
        """The correlation on average over all frequencies from coarse to fine: one number for how much two pictures share."""
        return float(self.correlation.mean())


def ring_correlation(first: AnyArray, second: AnyArray | None = None, *, scale: float = 1.0, threshold: float = THRESHOLD) -> Ring:
    """Say down to which detail two pictures agree; of a single picture, down to which detail it is more than noise.

    Two pictures must show the same scene with independent noise: then the ring where their correlation falls below 1/7 is the resolution.
    Against a truth it says which detail a restoration got right. Nieuwenhuizen et al., "Measuring image resolution in optical nanoscopy",
    Nature Methods 10 (2013) 557. One picture is parted like a chessboard into pairs of pictures of half the size, whose noise is
    independent where that of pixels is: Koho et al., "Fourier ring correlation simplifies image restoration in fluorescence microscopy",
    Nature Communications 10 (2019) 3103. The known shift of half a new pixel between the two is undone here; as each half has a quarter of
    the pixels, the answer is some 10 to 20 % too coarse.

    Args:
        first: ([Z,] Y, X), finite, at least 16 pixels a side (32 for one picture alone); the same pixel size along all axes.
        second: Same shape; None: the first is held against itself.
        scale: Size of a pixel.
        threshold: Correlation below which detail counts as lost.

    Returns:
        The curve and the resolution.

    Raises:
        ValueError: Shapes differ, a picture is too small, holds NaN, or is constant.
    """
    if not 0 < threshold < 1 or not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"threshold is {threshold} and scale {scale}: give a threshold between 0 and 1 and a positive size")
    first = _checked(first, "the first picture", SMALLEST if second is not None else 2 * SMALLEST)
    if second is None:
        sums, size, step = _halves(first), tuple(n // 2 for n in first.shape), 2 * scale
    else:
        second = _checked(second, "the second picture", SMALLEST)
        if first.shape != second.shape:
            raise ValueError(f"the first picture has shape {first.shape}, but the second has {second.shape}")
        sums, size, step = _sums(first, second, 0.0), first.shape, scale
    cross, one, two, count = sums
    correlation = cross / np.sqrt(np.maximum(one * two, np.finfo(float).tiny))
    rings = len(correlation)
    frequency = (np.arange(rings) + 0.5) / (2 * rings) / step
    return _read(frequency, np.clip(correlation, -1, 1), count, threshold, shape=size)


def _read(frequency: FloatArray, correlation: FloatArray, count: AnyArray, threshold: float, *, shape: tuple[int, ...]) -> Ring:
    """The first crossing of the curve, smoothed over three rings weighted by their size, as the inner rings hold few frequencies."""
    weight = np.sqrt(count.astype(float))
    smooth = ndimage.uniform_filter1d(correlation * weight, 3, mode="nearest") / ndimage.uniform_filter1d(weight, 3, mode="nearest")
    below = np.flatnonzero(smooth < threshold)
    if not len(below):
        return Ring(frequency, correlation, count, threshold, 1 / float(frequency[-1]), crosses=False)
    k = int(below[0])
    if k == 0:
        return Ring(frequency, correlation, count, threshold, math.inf, crosses=True)
    part = (smooth[k - 1] - threshold) / (smooth[k - 1] - smooth[k])
    return Ring(
        frequency, correlation, count, threshold, 1 / float(frequency[k - 1] + part * (frequency[k] - frequency[k - 1])), crosses=True
    )


Sums = tuple[FloatArray, FloatArray, FloatArray, AnyArray]


def _sums(first: FloatArray, second: FloatArray, shift: float) -> Sums:
    """Cross power, both powers and number of frequencies per ring; the second picture is sampled `shift` pixels farther on."""
    fade = _window(first.shape)
    a, b = (fft.fftn((picture - picture.mean()) * fade) for picture in (first, second))
    axes = np.meshgrid(*(fft.fftfreq(n) for n in first.shape), indexing="ij", sparse=True)
    phase = np.exp(-2j * np.pi * shift * sum(axes)) if shift else 1.0
    rings = min(first.shape) // 2
    ring = np.minimum((np.sqrt(sum(axis**2 for axis in axes)) * 2 * rings).astype(int), rings).ravel()

    def total(values: AnyArray) -> FloatArray:
        return np.asarray(np.bincount(ring, values.ravel(), rings + 1)[:rings], float)

    return (
        total((a * np.conj(b * phase)).real),
        total(np.abs(a) ** 2),
        total(np.abs(b) ** 2),
        np.bincount(ring, minlength=rings + 1)[:rings],
    )


def _halves(picture: FloatArray) -> Sums:
    """The sums over both pairs of pixel grids that lie diagonally to each other."""
    even = picture[tuple(slice(0, n // 2 * 2) for n in picture.shape)]
    flip = even[..., ::-1]  # of the mirrored picture the same pair of grids is the other diagonal
    found = []
    for view in (even, flip):
        near, far = view[(slice(0, None, 2),) * view.ndim], view[(slice(1, None, 2),) * view.ndim]
        found.append(_sums(near, far, 0.5))
    cross, one, two, count = (a + b for a, b in zip(*found, strict=True))
    return cross, one, two, count


def _window(shape: tuple[int, ...]) -> FloatArray:
    """One inside, fading to zero as a half cosine over an eighth of every side."""
    fade: FloatArray = np.ones(shape)
    for axis, n in enumerate(shape):
        rim = np.minimum((np.arange(n) + 0.5) / (EDGE * n), (n - np.arange(n) - 0.5) / (EDGE * n))
        line = 0.5 - 0.5 * np.cos(np.pi * np.clip(rim, 0, 1))
        fade *= line.reshape([-1 if k == axis else 1 for k in range(len(shape))])
    return fade


def _checked(picture: AnyArray, name: str, least: int) -> FloatArray:
    picture = np.asarray(picture)
    if picture.ndim not in (2, 3) or min(picture.shape) < least:
        raise ValueError(f"{name} has shape {picture.shape}: give (Y, X) or (Z, Y, X) with at least {least} pixels a side")
    check_finite(picture)
    if picture.min() == picture.max():
        raise ValueError(f"{name} is constant ({picture.flat[0]:g}): there is no detail to compare")
    return picture.astype(np.float64)
