"""Whether neighbouring pixels share their noise, how far and in which direction, and what a blind spot must then hide."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import fft, ndimage

from segmentation.arrays import AnyArray, FloatArray

REACH = 8  # pixels: the farthest neighbours looked at
LEAST = 0.05  # correlation that is worth speaking of
SURE = 5.0  # standard errors that a correlation must exceed
TREND = 3.0  # pixels: what is smoother than a Gaussian of this width is no noise of pixels
WIDEST = 7  # pixels: reach of the largest mask suggested

Pair = tuple[FloatArray, FloatArray | None]


@dataclass(frozen=True, eq=False)
class NoiseCorrelation:
    """How far neighbouring pixels share their noise.

    Attributes:
        map: Correlation with the pixel at each offset, float (17, 17), (y, x), 1 in the middle.
        error: Standard error of one entry.
    """

    map: FloatArray
    error: float

    @property
    def limit(self) -> float:
        """The correlation from which on neighbours are said to share noise: 0.05, or five standard errors where that is more."""
        return max(LEAST, SURE * self.error)

    @property
    def reach(self) -> tuple[int, int]:
        """How many pixels along y and along x noise is shared without a break; (0, 0) for white noise."""
        middle = len(self.map) // 2
        along = []
        for line in (self.map[middle:, middle], self.map[middle, middle:]):
            alike = np.abs(line[1:]) > self.limit
            along.append(int(np.argmin(alike)) if not alike.all() else len(alike))
        return along[0], along[1]

    @property
    def direction(self) -> str:
        """In which direction noise is shared: "none", "rows" (along x), "columns" (along y), "cross" or "square" (diagonals too)."""
        y, x = self.reach
        if y and x:
            middle = len(self.map) // 2
            return "square" if abs(self.map[middle + 1, middle + 1]) > self.limit else "cross"
        return "rows" if x else "columns" if y else "none"

    @property
    def mask(self) -> AnyArray | None:
        """What structN2V should hide around a blind spot, bool (2 ry + 1, 2 rx + 1), True = hidden, the middle too; None for white noise.

        Broaddus et al., "Removing structured noise with self-supervised blind-spot networks", ISBI 2020.
        """
        y, x = (min(n, WIDEST) for n in self.reach)
        if not (x or y):
            return None
        hidden = np.zeros((2 * y + 1, 2 * x + 1), bool)
        hidden[y, :] = hidden[:, x] = True
        if self.direction == "square":
            hidden[:] = True
        return hidden

    def filtered(self, kernel: FloatArray) -> float:
        """Variance of the noise after a small filter, relative to white noise of the same variance; 1 for white noise.

        Args:
            kernel: Odd sides of at most 17 pixels, (y, x).
        """
        lags = autocorrelation_of(kernel)
        middle, reach = len(self.map) // 2, [min(n // 2, len(self.map) // 2) for n in lags.shape]
        here = self.map[tuple(slice(middle - r, middle + r + 1) for r in reach)]
        here = np.where(np.abs(here) > self.limit, here, 0.0)  # chance must not bend the measure
        same = lags[tuple(slice(n // 2 - r, n // 2 + r + 1) for n, r in zip(lags.shape, reach, strict=True))]
        return max(float((here * same).sum()) / float((kernel**2).sum()), 0.05)


def noise_correlation(pairs: Sequence[Pair], variance: Callable[[FloatArray], FloatArray]) -> NoiseCorrelation:
    """Measure how far neighbouring pixels of the background share their noise.

    Args:
        pairs: Planes (Y, X) with the same plane of the next frame, or None; NaN = unknown. With a next frame their difference is looked at,
            in which whatever stands still is gone.
        variance: Brightness -> noise variance.
    """
    power, share, pixels = np.zeros((2 * REACH + 1,) * 2), np.zeros((2 * REACH + 1,) * 2), 0.0
    for a, b in pairs:
        mean = a if b is None else (a + b) / 2
        seen = np.isfinite(mean)
        noise = np.where(seen, a if b is None else (b - a) / math.sqrt(2), 0.0)
        level = ndimage.gaussian_filter(np.where(seen, mean, np.nanmedian(mean)), TREND)
        noise = noise / np.sqrt(variance(level))
        if b is None:  # away with the picture itself, before its edges can leak into the background
            noise = np.where(seen, noise - ndimage.median_filter(noise, 7), 0.0)
        noise = np.clip(noise - np.median(noise[seen]), -5, 5)
        quiet = seen & _quiet(level, noise)
        fine = (noise - ndimage.gaussian_filter(noise, TREND, mode="reflect")) * quiet
        power += lagged(fine, REACH)
        share += lagged(quiet.astype(float), REACH)
        pixels += float(quiet.sum())
    raw = power / np.maximum(share, 1.0)
    raw = raw / max(raw[REACH, REACH], 1e-12)
    error = 1 / math.sqrt(max(pixels, 1.0))
    return NoiseCorrelation(_before_detrending((raw + raw[::-1, ::-1]) / 2, max(LEAST, SURE * error)), error)


def lagged(picture: FloatArray, reach: int) -> FloatArray:
    """Sum of the products of all pairs of pixels at each offset.

    Args:
        picture: (Y, X).
        reach: Farthest offset, pixels.

    Returns:
        Float (2 reach + 1, 2 reach + 1), offset 0 in the middle.
    """
    size = tuple(fft.next_fast_len(n + reach, real=True) for n in picture.shape)
    found = fft.irfftn(np.abs(fft.rfftn(picture, size)) ** 2, size)
    rows = np.arange(-reach, reach + 1)
    return found[rows[:, None], rows]


def autocorrelation_of(kernel: FloatArray) -> FloatArray:
    """Sum of products of a small filter with itself at each offset, float (2 h - 1, 2 w - 1).

    Args:
        kernel: (h, w).
    """
    h, w = kernel.shape
    return np.asarray(ndimage.correlate(np.pad(kernel, ((h - 1, h - 1), (w - 1, w - 1))), kernel, mode="constant")[
        h // 2 : h // 2 + 2 * h - 1, w // 2 : w // 2 + 2 * w - 1
    ])  # fmt: skip


def _quiet(level: FloatArray, noise: FloatArray) -> AnyArray:
    """The darker half of the picture, without places where smooth blobs remain (cells that moved)."""
    dark = level <= np.median(level)
    blobs = np.abs(ndimage.gaussian_filter(noise, 2 * TREND))
    return dark & (blobs <= np.percentile(blobs[dark], 80))


def _before_detrending(seen: FloatArray, limit: float) -> FloatArray:
    """The correlation that the noise had before its trend was taken away, which lowers the correlation of near neighbours.

    What is sure of it is detrended in thought; by how much that changes it is added to what was seen, and so again until both agree.
    """
    lags = _of_detrending()
    found = np.zeros_like(seen)
    found[REACH, REACH] = 1
    for _ in range(6):
        sure = np.where(np.abs(found) > limit, found, 0.0)
        after = ndimage.convolve(sure, lags, mode="constant")
        found = seen + sure - after / max(after[REACH, REACH], 1e-12)
        found[REACH, REACH] = 1
    return found


@cache
def _of_detrending() -> FloatArray:
    """Sum of products of the filter that takes the trend away with itself, at each offset, float (33, 33)."""
    side = 2 * (4 * round(TREND) + REACH) + 1
    impulse = np.zeros((side, side))
    impulse[side // 2, side // 2] = 1
    return lagged(impulse - ndimage.gaussian_filter(impulse, TREND), 2 * REACH)
