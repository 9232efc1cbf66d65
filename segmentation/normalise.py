"""Bring the brightness of a whole picture to a common range, once, never tile by tile."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from segmentation.arrays import AnyArray, FloatArray

Place = tuple[slice, ...]
BLOCK = {1: 1 << 22, 2: 2048, 3: 160}  # side of the blocks in which a picture that is too large for memory is looked at, pixels


class Picture(Protocol):
    """Anything with a shape that can be sliced: NumPy array, memory map, zarr, dask."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sides in pixels."""

    def __getitem__(self, place: Any, /) -> Any:  # noqa: ANN401 (what libraries return)
        """Read a part."""


class Canvas(Picture, Protocol):
    """A `Picture` that can be written to."""

    def __setitem__(self, place: Any, values: Any, /) -> None:  # noqa: ANN401 (what libraries take)
        """Write a part."""


@dataclass(frozen=True)
class Range:
    """Maps one brightness to 0 and one to 1, then compresses the bright end; treats every pixel alike, whatever is around it.

    Args:
        bottom: brightness that becomes 0.
        top: brightness that becomes 1; not above `bottom`: there is nothing to see, all pixels become 0.
        compress: see `Percentiles`.
    """

    bottom: float
    top: float
    compress: float = 0.0

    def __call__(self, image: AnyArray) -> FloatArray:
        """Normalise a picture, or any part of one.

        Args:
            image: any shape, any real dtype.

        Returns:
            float32, same shape.
        """
        if self.top <= self.bottom:
            return np.zeros(image.shape, np.float32)
        scaled = (np.asarray(image, np.float64) - self.bottom) / (self.top - self.bottom)
        if self.compress > 0:
            scaled = np.arcsinh(self.compress * scaled) / np.arcsinh(self.compress)
        return scaled.astype(np.float32)


@dataclass(frozen=True)
class Percentiles:
    """Maps two percentiles of the whole picture to 0 and 1, then compresses the bright end.

    The compression is x -> asinh(c x) / asinh(c): one very bright cell does not turn all others black.

    Args:
        low: percentile that becomes 0, in 0..100.
        high: percentile that becomes 1, in 0..100.
        compress: the c above; 0 leaves the range linear.
    """

    low: float = 1.0
    high: float = 99.8
    compress: float = 5.0

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 100:
            raise ValueError(f"percentiles are {self.low} and {self.high}: give 0 <= low < high <= 100")
        if not 0 <= self.compress < np.inf:
            raise ValueError(f"compress is {self.compress}: give a finite number of at least 0")

    def __call__(self, image: AnyArray) -> FloatArray:
        """Normalise one picture.

        Args:
            image: ([Z,] Y, X), any real dtype, finite.

        Returns:
            float32, same shape; zeros for a picture in which all pixels are equal.
        """
        check_finite(image)
        if image.size == 0 or is_constant(image):
            return np.zeros(image.shape, np.float32)
        values = np.asarray(image, np.float64)
        bottom, top = np.percentile(values, [self.low, self.high])
        if top <= bottom:  # almost all pixels are equal: fall back on the extremes
            bottom, top = float(values.min()), float(values.max())
        return Range(float(bottom), float(top), self.compress)(values)

    def over(self, picture: Picture) -> Range:
        """Find the range of a picture that may be larger than memory, block by block.

        The range of an array is that of calling the value itself on it, for every real dtype: the percentiles are exact,
        found digit by digit; see `percentiles`.

        Args:
            picture: ([Z,] Y, X), an array or anything that is sliced like one; finite.
        """
        low, bottom, top, high = percentiles(picture, (0.0, self.low, self.high, 100.0))
        return Range(bottom, top, self.compress) if top > bottom else Range(low, high, self.compress)


def percentiles(picture: Picture, wanted: Sequence[float]) -> tuple[float, ...]:
    """Find percentiles of a picture that may be larger than memory, the same numbers that `np.percentile` gives.

    The sorted place of a percentile is found as in a telephone book: a histogram of the first 16 binary digits of all pixels says
    with which digits the pixel at that place begins, a histogram of the next 16 of those pixels how it goes on. A picture of
    8 or 16 bits is read once, of 32 bits twice, of 64 bits four times.

    Args:
        picture: any shape of 1 to 3 axes, any real dtype, finite; an array or anything that is sliced like one.
        wanted: in 0..100.

    Returns:
        One number for each; zeros for a picture without pixels.
    """
    size = int(np.prod(picture.shape, dtype=np.int64))
    if size == 0:
        return (0.0,) * len(wanted)
    places = [(size - 1) * (q / 100) for q in wanted]
    ranks = sorted({rank for place in places for rank in (int(place), min(int(place) + 1, size - 1))})
    values = _ranked(picture, ranks)
    return tuple(_between(values[int(p)], values[min(int(p) + 1, size - 1)], p - int(p)) for p in places)


def _between(a: float, b: float, part: float) -> float:
    """Interpolate as NumPy does, from the nearer end, so that rounding is the same."""
    return b - (b - a) * (1 - part) if part >= 0.5 else a + (b - a) * part


def _ranked(picture: Picture, ranks: Sequence[int]) -> dict[int, float]:
    """The pixels at some places of the sorted picture."""
    found = dict.fromkeys(ranks, 0)  # the digits known so far, as an integer
    below = dict.fromkeys(ranks, 0)  # how many pixels begin with smaller digits
    dtype, bits, known = np.dtype(bool), 16, 0
    while known < bits:
        counts: dict[int, Any] = {digits: np.zeros(1 << 16, np.int64) for digits in set(found.values())}
        for place in _blocks(picture.shape):
            block = np.asarray(picture[place])
            if known == 0:
                check_finite(block)
            dtype, keys = block.dtype, _keys(block)
            bits = 8 * keys.dtype.itemsize
            for digits, count in counts.items():
                mine = keys if known == 0 else keys[keys >> keys.dtype.type(bits - known) == digits]
                count += np.bincount(mine >> keys.dtype.type(bits - known - 16) & keys.dtype.type(0xFFFF), minlength=1 << 16)
        for rank in ranks:
            up_to = np.cumsum(counts[found[rank]])
            digit = int(np.searchsorted(up_to, rank - below[rank], side="right"))
            below[rank] += int(up_to[digit - 1]) if digit else 0
            found[rank] = found[rank] << 16 | digit
        known += 16
    return {rank: _number(digits, dtype, bits) for rank, digits in found.items()}


def _blocks(shape: Sequence[int]) -> Iterator[Place]:
    side = BLOCK[min(len(shape), 3)]
    for corner in itertools.product(*(range(0, length, side) for length in shape)):
        yield tuple(slice(a, min(a + side, length)) for a, length in zip(corner, shape, strict=True))


def _keys(block: AnyArray) -> Any:  # noqa: ANN401 (unsigned integers of 16, 32 or 64 bits)
    """Unsigned integers in the order of the pixels, flat."""
    kind, size = block.dtype.kind, block.dtype.itemsize
    if kind in "bu":
        return block.astype(f"u{max(size, 2)}").ravel()
    size = max(size, 2 if kind == "i" else 4)
    whole = np.ascontiguousarray(block.astype(f"{kind}{min(size, 8)}")).ravel()
    unsigned = whole.view(f"u{whole.dtype.itemsize}")
    sign = unsigned.dtype.type(1 << (8 * whole.dtype.itemsize - 1))
    if kind == "i":
        return unsigned ^ sign
    return np.where(unsigned & sign, ~unsigned, unsigned | sign)  # negative numbers: the larger the farther down


def _number(key: int, dtype: np.dtype[Any], bits: int) -> float:
    """The pixel that has this key."""
    sign = 1 << (bits - 1)
    if dtype.kind in "bu":
        return float(key)
    if dtype.kind == "i":
        return float(key - sign)
    digits = key ^ sign if key & sign else key ^ (2 * sign - 1)
    return float(np.array(digits, f"u{bits // 8}").view(f"f{bits // 8}"))


def is_constant(image: AnyArray) -> bool:
    """Say whether all pixels are equal: then there is nothing to see.

    Args:
        image: ([Z,] Y, X).
    """
    return image.size == 0 or bool(image.min() == image.max())


def check_finite(image: AnyArray) -> None:
    """Refuse a picture with NaN or infinite pixels, naming the first.

    Args:
        image: ([Z,] Y, X).
    """
    if not (np.issubdtype(image.dtype, np.number) or image.dtype == bool) or np.iscomplexobj(image):
        raise ValueError(f"image has dtype {image.dtype}: give a picture of real numbers")
    if np.issubdtype(image.dtype, np.floating) and not np.isfinite(image).all():
        bad = np.argwhere(~np.isfinite(image))
        where = tuple(int(i) for i in bad[0])
        raise ValueError(f"image has {len(bad)} NaN or infinite pixels, the first at {where}: replace them by finite values")
