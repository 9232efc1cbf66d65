"""Stacks whose slices lie far apart and are blurry along z, made as sharp along z as along x and y (needs torch)."""

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from restoration.blur import checked_stack, estimate_blur
from restoration.corrector import SCHEDULE, Corrector, Range
from restoration.degrading import finer_places, interpolating, left_by_blur, noise_like, resampled
from restoration.noise import NoiseModel, noise_model
from segmentation.arrays import AnyArray, FloatArray
from segmentation.fit import Progress, Schedule, silent
from segmentation.unet import UNetConfig

CONFIG = UNetConfig(outputs=1, width=16, depth=2, norm="none")
KIND = "axial"


@dataclass(frozen=True)
class Patches:
    """How patches are drawn from a stack or film.

    Args:
        count: patches a batch.
        side: of a patch, pixels; made smaller where the pictures are smaller.
        choices: places of which the one with most contrast is taken, three times in four.
        seed: of all randomness.
    """

    count: int = 8
    side: int = 64
    choices: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.count, self.side, self.choices) < 1:
            raise ValueError(f"count is {self.count}, side {self.side} and choices {self.choices}: give integers of at least 1")

    def fitting(self, shape: Sequence[int], divisor: int) -> int:
        """The side of a patch that fits pictures of this shape.

        Args:
            shape: (Y, X) pixels.
            divisor: the side must be a multiple of it.
        """
        side = min(self.side, *shape) // divisor * divisor
        if side < 1:
            raise ValueError(f"pictures of shape {tuple(shape)} are too small for this network: give at least {divisor} pixels a side")
        return side


PATCHES = Patches()


@dataclass(frozen=True, eq=False)
class Isotropic:
    """Sharpens stacks along z; learned from the slices of a stack, which are sharp along x and y.

    Weigert, Royer, Jug and Myers, "Isotropic reconstruction of 3D fluorescence microscopy images using convolutional neural networks",
    MICCAI 2017, with the arithmetic mean of both directions.

    Args:
        corrector: adds what is missing to a plane (z, x) or (z, y) after linear interpolation along z.
        factor: distance of slices over the size of a pixel.
        blur: additional blur along z, pixels.
    """

    corrector: Corrector
    factor: float
    blur: float

    @classmethod
    def train(  # noqa: PLR0913 (keyword-only)
        cls,
        stack: AnyArray,
        scale: Sequence[float],
        *,
        blur: float | None = None,
        config: UNetConfig = CONFIG,
        schedule: Schedule = SCHEDULE,
        patches: Patches = PATCHES,
        device: str = "auto",
        progress: Progress = silent,
    ) -> "Isotropic":
        """Learn from one stack alone.

        Args:
            stack: (Z, Y, X), finite; not altered.
            scale: size of a voxel along z, y, x; those along y and x equal.
            blur: standard deviation by which the stack is blurrier along z, in the unit of `scale`; None: from its spectra, see
                `restoration.blur.estimate_blur`. Beads tell it best, see `restoration.blur.blur_from_beads`.
            config: shape of the network.
            schedule: how long and how fast.
            patches: how patches are drawn.
            device: "auto", "cpu" or "cuda".
            progress: draws a bar.

        Raises:
            ValueError: the stack or the scale cannot be used, or z is sampled as finely as x and y.
        """
        stack, step = checked_stack(stack, scale)
        factor = _factor(step)
        if blur is not None and not (math.isfinite(blur) and blur >= 0):
            raise ValueError(f"blur is {blur}: give a standard deviation of at least 0 in the unit of scale, or None")
        width = (estimate_blur(stack, scale) if blur is None else blur) / step[2]
        span = Range.of(stack)
        batches = _batches(stack, _Degrading(factor, float(width), _noise(stack)), patches, divisor=max(config.divisors))
        about = {"kind": KIND, "scale": step.tolist(), "blur": float(width * step[2]), "steps": schedule.steps, "seed": patches.seed}
        scaled = _scaled(batches, span)
        corrector = Corrector.learn(
            scaled, config, span, schedule=schedule, seed=patches.seed, about=about, device=device, progress=progress
        )
        return cls(corrector, factor, float(width))

    def predict(self, stack: AnyArray, *, progress: Progress = silent) -> FloatArray:
        """Sharpen a stack that was taken like the one learned from.

        Args:
            stack: (Z, Y, X), finite; not altered.
            progress: draws a bar.

        Returns:
            float32 (Z', Y, X) with cubic voxels. Z' = Z * factor; where that is no whole number it is rounded down, the rest is cut evenly
            at both ends, and a warning says so.
        """
        stack, _ = checked_stack(stack, (1, 1, 1))
        fine = _interpolated(stack, self.factor)
        correction = np.zeros_like(fine)
        for axis in progress((1, 2), "sharpening along z"):
            for k in range(fine.shape[axis]):
                place = (slice(None), k) if axis == 1 else (slice(None), slice(None), k)
                correction[place] += self.corrector(fine[place][None])[0] / 2
        return fine + correction

    def save(self, path: str | Path) -> None:
        """Write one safetensors file.

        Args:
            path: file to write; it appears only when complete.
        """
        self.corrector.save(path, KIND, {"factor": self.factor, "blur": self.blur})

    @classmethod
    def load(cls, path: str | Path, *, device: str = "auto") -> "Isotropic":
        """Read what `save` wrote; tensors and JSON only, no code is run.

        Args:
            path: a safetensors file of this program.
            device: "auto", "cpu" or "cuda".
        """
        corrector, facts = Corrector.load(path, KIND, device=device)
        return cls(corrector, float(facts["factor"]), float(facts["blur"]))


def isotropic(  # noqa: PLR0913 (keyword-only)
    stack: AnyArray,
    scale: Sequence[float],
    *,
    blur: float | None = None,
    schedule: Schedule = SCHEDULE,
    seed: int = 0,
    device: str = "auto",
    progress: Progress = silent,
) -> FloatArray:
    """Make a stack as finely sampled and as sharp along z as along x and y, learning from the stack itself.

    Args:
        stack: (Z, Y, X), finite; not altered. One frame of a film; for more frames train once: `Isotropic.train(...).predict(frame)`.
        scale: size of a voxel along z, y, x; those along y and x equal.
        blur: standard deviation by which the stack is blurrier along z, in the unit of `scale`; None: from its spectra.
        schedule: how long and how fast to learn.
        seed: the same seed gives the same stack.
        device: "auto", "cpu" or "cuda".
        progress: draws a bar.

    Returns:
        float32 (Z', Y, X) with cubic voxels; see `Isotropic.predict`.

    Raises:
        ValueError: the stack or the scale cannot be used, or z is sampled as finely as x and y.
    """
    how = {"schedule": schedule, "patches": Patches(seed=seed), "device": device, "progress": progress}
    return Isotropic.train(stack, scale, blur=blur, **how).predict(stack, progress=progress)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class _Degrading:
    """What turns lines along x into lines such as those along z.

    Args:
        factor: distance of slices in pixels.
        width: of the additional blur, pixels.
        noise: of the camera.
    """

    factor: float
    width: float
    noise: NoiseModel | None

    @property
    def margin(self) -> int:
        """Pixels needed beyond a patch at both ends."""
        return math.ceil(3 * self.width + self.factor) + 1

    def __call__(self, patch: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Blur (n + 2 margin, m) along the first axis, thin it out at a random phase, add noise, interpolate back: (n, m)."""
        n, margin = len(patch) - 2 * self.margin, self.margin
        blurred = ndimage.gaussian_filter1d(patch, self.width, axis=0, truncate=3) if self.width > 0 else patch
        first = margin - self.factor * rng.uniform(0, 1)
        count = math.ceil((margin + n - first) / self.factor) + 1
        thin = interpolating(first + self.factor * np.arange(count), len(patch)) @ blurred
        thin = noise_like(thin, self.noise, left_by_blur(self.width), rng)
        return np.asarray(interpolating((margin + np.arange(n) - first) / self.factor, count) @ thin)


def _batches(stack: FloatArray, degrade: _Degrading, patches: Patches, *, divisor: int) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Endless degraded planes and what they lack, grey levels (n, 1, side, side); x and y act as z in turn."""
    rng = np.random.default_rng(patches.seed)
    side, margin = patches.fitting(stack.shape[1:], divisor), degrade.margin
    padded = np.pad(stack, ((0, 0), (margin, margin), (margin, margin)), mode="symmetric")
    while True:
        shown, wanted = [], []
        for _ in range(patches.count):
            piece = contrasty([_piece(padded, side, margin, rng) for _ in range(patches.choices if rng.random() < 0.75 else 1)])
            low = degrade(piece, rng)
            shown.append(low[None])
            wanted.append(piece[margin : margin + side][None] - low[None])
        yield np.stack(shown), np.stack(wanted)


def _piece(padded: FloatArray, side: int, margin: int, rng: np.random.Generator) -> FloatArray:
    """A random part of a slice, turned and mirrored at random; float64 (side + 2 margin, side)."""
    z = rng.integers(len(padded))
    along = int(rng.integers(2))  # which of y and x acts as z
    plane = padded[z] if along == 0 else padded[z].T
    y = int(rng.integers(plane.shape[0] - 2 * margin - side + 1))
    x = margin + int(rng.integers(plane.shape[1] - 2 * margin - side + 1))
    piece = plane[y : y + side + 2 * margin, x : x + side].astype(np.float64)
    return piece[:: 1 - 2 * int(rng.integers(2)), :: 1 - 2 * int(rng.integers(2))]


def contrasty(pieces: Sequence[FloatArray]) -> FloatArray:
    """The piece with the most contrast.

    Args:
        pieces: of any shape.
    """
    return max(pieces, key=lambda piece: float(piece.var()))


def _scaled(batches: Iterator[tuple[FloatArray, FloatArray]], span: Range) -> Iterator[tuple[FloatArray, FloatArray]]:
    for shown, wanted in batches:
        yield ((shown - span.dark) / span.span).astype(np.float32), (wanted / span.span).astype(np.float32)


def _factor(step: FloatArray) -> float:
    factor = float(step[0] / step[2])
    if factor <= 1:
        raise ValueError(f"scale is {tuple(step.tolist())}: slices lie as close as pixels or closer, so there is nothing to fill in")
    return factor


def _interpolated(stack: FloatArray, factor: float) -> FloatArray:
    """The stack at cubic voxels by linear interpolation; warns where their number had to be rounded."""
    places = finer_places(len(stack), factor)
    rest = len(stack) * factor - len(places)
    if rest > 1e-3:
        warnings.warn(
            f"{len(stack)} slices are {len(stack) * factor:.2f} pixels high: the result has {len(places)} slices of exactly one pixel, "
            f"{rest / 2:.2f} pixels are cut at either end",
            stacklevel=3,
        )
    return resampled(stack, places)


def _noise(stack: FloatArray) -> NoiseModel | None:
    """The noise of the slices, or None where none can be measured (too small, or without any)."""
    try:
        return noise_model(stack[None])
    except ValueError:
        return None
