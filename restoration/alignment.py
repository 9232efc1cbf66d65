"""Alignment: whether two pictures show the same place, and how far things move from frame to frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import fft

from segmentation.arrays import AnyArray, FloatArray

CLEAR = 8.0  # standard deviations by which a peak must stand out to be believed
BLOCK = 64  # pixels: side of the places whose motion is looked at
SMOOTH = 1.0  # pixels: blur of the correlation, against noise


@dataclass(frozen=True)
class Shift:
    """How far a second picture is shifted against a first one.

    Attributes:
        pixels: along ([z,] y, x): what is at p in the first is at p + pixels in the second.
        clearness: height of the peak in standard deviations of the correlation; below 8 it says nothing.
        advantage: height of the peak over that of no shift, in standard deviations.
    """

    pixels: tuple[int, ...]
    clearness: float
    advantage: float

    @property
    def is_sure(self) -> bool:
        """Whether the pictures are certainly shifted, by a pixel or more."""
        return any(self.pixels) and self.clearness > CLEAR and self.advantage > CLEAR / 4

    @property
    def length(self) -> float:
        """Distance, pixels."""
        return float(np.hypot.reduce(self.pixels))


def shift(first: AnyArray, second: AnyArray) -> Shift:
    """Find the whole-pixel shift between two pictures by phase correlation.

    Kuglin and Hines, "The phase correlation image alignment method", 1975; with a Hann window and a little blur of the correlation.

    Args:
        first: ([Z,] Y, X).
        second: same shape.
    """
    spectra = [fft.rfftn(_windowed(picture)) for picture in (first, second)]
    cross = np.conj(spectra[0]) * spectra[1]
    size = np.abs(cross)
    cross = np.divide(cross, size, out=np.zeros_like(cross), where=size > 1e-9 * size.max(initial=0))
    surface = fft.irfftn(cross * _blur(first.shape), s=first.shape)
    spread = float(surface.std())
    if not spread > 0:
        return Shift((0,) * first.ndim, 0.0, 0.0)
    peak = np.unravel_index(int(surface.argmax()), surface.shape)
    pixels = tuple(int(p) if 2 * p <= n else int(p) - n for p, n in zip(peak, surface.shape, strict=True))
    height = float(surface[peak])
    return Shift(pixels, (height - float(surface.mean())) / spread, (height - float(surface.flat[0])) / spread)


def motion(first: AnyArray, second: AnyArray, block: int = BLOCK) -> float:
    """How far the things that can be seen move between two frames, pixels: the 90th percentile over places with a clear answer.

    Args:
        first: ([Z,] Y, X); the brightest plane of a stack is looked at.
        second: same shape.
        block: side of a place, pixels.

    Returns:
        NaN where no place is clear.
    """
    a, b = (np.asarray(picture, np.float64) for picture in (first, second))
    if a.ndim == 3:
        plane = int(a.sum((1, 2)).argmax())
        a, b = a[plane], b[plane]
    side = min(block, *a.shape)
    places = [(y, x) for y in range(0, a.shape[0] - side + 1, side) for x in range(0, a.shape[1] - side + 1, side)]
    found = [shift(a[y : y + side, x : x + side], b[y : y + side, x : x + side]) for y, x in places]
    lengths = [s.length for s in found if s.clearness > CLEAR]
    return float(np.percentile(lengths, 90)) if lengths else float("nan")


def check_aligned(first: AnyArray, second: AnyArray, *, where: str) -> None:
    """Refuse a pair of pictures that differ in size or are certainly shifted.

    Args:
        first: ([Z,] Y, X).
        second: the same place again.
        where: which pair it is, for the message.
    """
    if first.shape != second.shape:
        raise ValueError(f"{where} has pictures of shape {first.shape} and {second.shape}: cut or resample them to one shape")
    found = shift(first, second)
    if found.is_sure:
        raise ValueError(f"{where} is misaligned: the second picture is shifted by {found.pixels} pixels: register the pictures first")


def _windowed(picture: AnyArray) -> FloatArray:
    values = np.asarray(picture, np.float64)
    values = values - values.mean()
    for axis, n in enumerate(values.shape):
        if n > 2:
            values = values * np.hanning(n + 2)[1:-1].reshape([-1 if k == axis else 1 for k in range(values.ndim)])
    return values


def _blur(shape: Sequence[int]) -> FloatArray:
    """Spectrum of a Gaussian, over the half spectrum of a picture of this shape."""
    axes = [fft.fftfreq(n) for n in shape[:-1]] + [fft.rfftfreq(shape[-1])]
    squares = [f.reshape([-1 if k == axis else 1 for k in range(len(shape))]) ** 2 for axis, f in enumerate(axes)]
    return np.asarray(np.exp(-2 * (np.pi * SMOOTH) ** 2 * sum(squares)), np.float64)
