"""Scales: from grey levels to numbers that a network likes, and back; the constants are kept with the network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from segmentation.arrays import AnyArray, FloatArray
from segmentation.blocks import divided
from segmentation.normalise import Picture

Wanted = Literal["same", "own", "matched"]
SPREAD = ((1.0, 3.0), (99.5, 99.9))  # percentiles drawn in training, after Weigert et al. 2018
ENOUGH = 1 << 20  # pixels from which percentiles are taken at most; more change nothing


@dataclass(frozen=True)
class Affine:
    """Grey level = offset + gain * number.

    Args:
        offset: grey level that becomes 0.
        gain: grey levels that make 1; positive.
    """

    offset: float
    gain: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.offset) and math.isfinite(self.gain) and self.gain > 0):
            raise ValueError(f"a scale has offset {self.offset} and gain {self.gain}: both must be finite and the gain positive")

    def __call__(self, image: AnyArray) -> FloatArray:
        """Grey levels to numbers, float32."""
        return ((np.asarray(image, np.float64) - self.offset) / self.gain).astype(np.float32)

    def back(self, image: FloatArray) -> FloatArray:
        """Numbers to grey levels, float32."""
        return (np.asarray(image, np.float64) * self.gain + self.offset).astype(np.float32)


class Scale(Protocol):
    """What brings pictures to a common range: fixed constants, or each picture by its own percentiles."""

    kind: ClassVar[str]

    def measure(self, picture: AnyArray) -> Affine:
        """The scale of one picture."""
        ...

    def over(self, picture: Picture) -> Affine:
        """The scale of one picture that may be larger than memory, the same as `measure` finds."""
        ...

    def pair(self, picture: AnyArray, wanted: AnyArray, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """A picture and what is wanted for it, both scaled for training."""
        ...


@dataclass(frozen=True)
class Constants:
    """One scale for all pictures: mean and standard deviation of the training set.

    Args:
        mean: grey level that becomes 0.
        std: grey levels that make 1; positive.
    """

    mean: float = 0.0
    std: float = 1.0

    kind: ClassVar[str] = "constants"

    def __post_init__(self) -> None:
        Affine(self.mean, self.std)

    @classmethod
    def of(cls, pictures: Iterable[AnyArray]) -> Constants:
        """Mean and standard deviation of all pixels of some pictures; refuses pictures without any contrast.

        Args:
            pictures: any shapes; one in memory at a time.
        """
        count, mean, power = 0, 0.0, 0.0
        for picture in pictures:  # merged as in Chan, Golub and LeVeque 1979: no cancellation for bright offsets
            values = np.asarray(picture, np.float64)
            new, there = values.size, float(values.mean())
            step = there - mean
            power += float(((values - there) ** 2).sum()) + step**2 * count * new / (count + new)
            mean += step * new / (count + new)
            count += new
        if not power > 0:
            raise ValueError(f"all training pictures are constant ({mean:g}): there is nothing to learn from them")
        return cls(mean, math.sqrt(power / count))

    def measure(self, picture: AnyArray) -> Affine:
        """The scale of one picture: always the same."""
        return Affine(self.mean, self.std)

    def over(self, picture: Picture) -> Affine:
        """The scale of one picture that may be larger than memory: always the same; nothing is read."""
        return Affine(self.mean, self.std)

    def pair(self, picture: AnyArray, wanted: AnyArray, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """A picture and what is wanted for it, both on the common scale."""
        scale = Affine(self.mean, self.std)
        return scale(picture), scale(wanted)


@dataclass(frozen=True)
class Percentile:
    """Every picture by its own percentiles, which become 0 and 1; undone after the prediction. See Weigert et al. 2018.

    Args:
        low: percentile that becomes 0, in 0..100; in training drawn from 1..3.
        high: percentile that becomes 1; in training drawn from 99.5..99.9.
        wanted: how the wanted picture of a pair is scaled: "same" as the noisy one, by its "own" percentiles, or "matched": first
            brightened and shifted to fit the noisy one best (least squares), then the same, so that grey levels stay what they were.
    """

    low: float = 2.0
    high: float = 99.8
    wanted: Wanted = "own"

    kind: ClassVar[str] = "percentile"

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 100:
            raise ValueError(f"percentiles are {self.low} and {self.high}: give 0 <= low < high <= 100")
        if self.wanted not in ("same", "own", "matched"):
            raise ValueError(f"wanted is {self.wanted!r}: give 'same', 'own' or 'matched'")

    def measure(self, picture: AnyArray) -> Affine:
        """The scale of one picture; a constant one is only shifted."""
        return _between(picture, self.low, self.high)

    def over(self, picture: Picture) -> Affine:
        """The scale of one picture that may be larger than memory, the same as `measure` finds; read once, block by block.

        Args:
            picture: any shape, sliced like an array; not empty.
        """
        every, known, ends = _every(math.prod(picture.shape)), [], []
        strides = [math.prod(picture.shape[axis + 1 :]) for axis in range(len(picture.shape))]
        for place in divided(picture.shape, [0] * len(picture.shape)):
            block = np.asarray(picture[place])
            rows = np.ogrid[place]
            number = sum(row % every * (stride % every) for row, stride in zip(rows, strides, strict=True))  # in the whole, flat
            known.append(block[number % every == 0])
            ends += [float(block.min()), float(block.max())]
        bottom, top = (float(v) for v in np.percentile(np.concatenate(known), [self.low, self.high]))
        if top <= bottom:  # almost all pixels are equal
            bottom, top = min(ends), max(ends)
        return Affine(bottom, top - bottom if top > bottom else 1.0)

    def pair(self, picture: AnyArray, wanted: AnyArray, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """A picture and what is wanted for it, scaled by percentiles drawn for both together."""
        low, high = (float(rng.uniform(*limits)) for limits in SPREAD)
        scale = _between(picture, low, high)
        if self.wanted == "own":
            return scale(picture), _between(wanted, low, high)(wanted)
        return scale(picture), scale(matched(wanted, picture) if self.wanted == "matched" else wanted)


SCALES: Mapping[str, type[Constants | Percentile]] = {kind.kind: kind for kind in (Constants, Percentile)}


def describe(scale: Scale) -> dict[str, Any]:
    """What to write down of a scale, JSON-able."""
    return {"kind": scale.kind, **asdict(scale)}  # type: ignore[call-overload]


def scale_from(description: Mapping[str, Any]) -> Scale:
    """Make a scale of what `describe` wrote down."""
    arguments = dict(description)
    return SCALES[arguments.pop("kind")](**arguments)


def matched(wanted: AnyArray, picture: AnyArray) -> FloatArray:
    """The wanted picture times a factor plus an offset, fitted to the noisy one: noise does not bias this direction of the fit.

    Args:
        wanted: clean picture, any shape.
        picture: noisy picture, same shape.

    Returns:
        float64, same shape.
    """
    clean, noisy = np.asarray(wanted, np.float64), np.asarray(picture, np.float64)
    centred = clean - clean.mean()
    power = float((centred**2).sum())
    factor = float((centred * (noisy - noisy.mean())).sum()) / power if power > 0 else 0.0
    return factor * centred + noisy.mean()


def _between(picture: AnyArray, low: float, high: float) -> Affine:
    values = np.asarray(picture).ravel()
    bottom, top = (float(v) for v in np.percentile(values[:: _every(values.size)], [low, high]))
    if top <= bottom:  # almost all pixels are equal
        bottom, top = float(np.min(picture)), float(np.max(picture))
    return Affine(bottom, top - bottom if top > bottom else 1.0)


def _every(size: int) -> int:
    """Every how many pixels one is looked at."""
    return max(1, size // ENOUGH)
