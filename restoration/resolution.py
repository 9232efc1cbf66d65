"""Pictures with more pixels: what a camera with finer pixels would have seen, learned from sharp pictures (needs torch)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from restoration.axial import PATCHES, Patches, contrasty
from restoration.corrector import SCHEDULE, Corrector, Range
from restoration.degrading import binned, left_by_blur, noise_like
from restoration.noise import NoiseModel, noise_model
from segmentation.arrays import AnyArray, FloatArray
from segmentation.fit import Progress, Schedule, silent
from segmentation.normalise import check_finite
from segmentation.unet import UNetConfig

CONFIG = UNetConfig(outputs=1, width=16, depth=2, norm="none")
KIND = "upsampler"
MOST = 64  # pictures kept in memory to learn from
BLUR = 0.4  # usual width of the point spread function, in pixels of the coarse camera


@dataclass(frozen=True, eq=False)
class Upsampler:
    """Gives pictures `factor` times as many pixels along y and x.

    The network looks at the coarse picture and says for each of its pixels what factor x factor fine ones have more than cubic
    interpolation ("sub-pixel", Shi et al., "Real-time single image and video super-resolution", CVPR 2016). It learns from sharp pictures
    that were made coarse: blurred, averaged as a pixel does, and made as noisy as the camera would make them.
    A network behind the interpolation, as large and taught for as long on a CPU, was 1.4 dB farther from held-back nuclei, and shared less
    with them by Fourier ring correlation too.

    Args:
        corrector: coarse picture -> what cubic interpolation lacks, one channel for each fine pixel of a coarse one.
        factor: fine pixels a coarse one, along each axis.
    """

    corrector: Corrector
    factor: int

    @classmethod
    def train(  # noqa: PLR0913 (keyword-only)
        cls,
        pictures: Sequence[AnyArray] | AnyArray,
        factor: int = 2,
        *,
        blur: float | None = None,
        noisy: bool = True,
        config: UNetConfig = CONFIG,
        schedule: Schedule = SCHEDULE,
        patches: Patches = PATCHES,
        device: str = "auto",
        progress: Progress = silent,
    ) -> "Upsampler":
        """Learn from sharp pictures.

        Args:
            pictures: (n, Y, X), or a list of (Y, X) of any size; finite; not altered.
            factor: fine pixels a coarse one, along each axis; 2 or more.
            blur: standard deviation of the blur that the coarse camera has more, in pixels of the sharp pictures; 0.4 coarse pixels when
                not given.
            noisy: give coarse pictures the noise of the sharp ones; else they are nearly clean.
            config: shape of the network; its outputs are set.
            schedule: how long and how fast.
            patches: how patches are drawn; their side counts fine pixels.
            device: "auto", "cpu" or "cuda".
            progress: draws a bar.

        Raises:
            ValueError: pictures are too small or hold NaN, or the factor is no whole number of at least 2.
        """
        factor = _whole(factor)
        width = BLUR * factor if blur is None else float(blur)
        if not (math.isfinite(width) and width >= 0):
            raise ValueError(f"blur is {blur}: give a standard deviation of at least 0 pixels, or None")
        shape = UNetConfig(**{**config.__dict__, "outputs": factor**2})
        rng = np.random.default_rng(patches.seed)
        rows = sorted(rng.permutation(len(pictures))[:MOST].tolist())
        seen = [_checked(pictures[k], k, factor * max(shape.divisors)) for k in rows]
        span = Range.of(np.concatenate([picture.ravel() for picture in seen]))
        views = [_coarse(picture, factor, width, _noise(picture) if noisy else None, rng) for picture in seen]
        batches = _batches(views, factor, span, patches, divisor=max(shape.divisors))
        about = {"kind": KIND, "factor": factor, "blur": width, "pictures": len(rows), "steps": schedule.steps, "seed": patches.seed}
        corrector = Corrector.learn(
            batches, shape, span, schedule=schedule, seed=patches.seed, about=about, device=device, progress=progress
        )
        return cls(corrector, factor)

    def predict(self, picture: AnyArray) -> FloatArray:
        """Give one picture more pixels.

        Args:
            picture: (Y, X), finite; not altered. Grey levels as in the pictures learned from.

        Returns:
            float32 (Y * factor, X * factor), covering the same field.
        """
        picture = _checked(picture, None, 1)
        return interpolated(picture, self.factor) + spread(self.corrector(picture[None]), self.factor)

    def save(self, path: str | Path) -> None:
        """Write one safetensors file.

        Args:
            path: file to write; it appears only when complete.
        """
        self.corrector.save(path, KIND, {"factor": self.factor})

    @classmethod
    def load(cls, path: str | Path, *, device: str = "auto") -> "Upsampler":
        """Read what `save` wrote; tensors and JSON only, no code is run.

        Args:
            path: a safetensors file of this program.
            device: "auto", "cpu" or "cuda".
        """
        corrector, facts = Corrector.load(path, KIND, device=device)
        return cls(corrector, int(facts["factor"]))


def upsample(  # noqa: PLR0913 (keyword-only)
    film: AnyArray,
    factor: int = 2,
    *,
    upsampler: Upsampler | None = None,
    blur: float | None = None,
    schedule: Schedule = SCHEDULE,
    seed: int = 0,
    device: str = "auto",
    progress: Progress = silent,
) -> FloatArray:
    """Give a picture, or each picture of a film or stack, more pixels along y and x.

    Without an upsampler one is trained on the pictures themselves, made coarse: cells look alike at both sizes (Shocher et al.,
    "Zero-shot super-resolution using deep internal learning", CVPR 2018). One trained on sharper pictures knows more.

    Args:
        film: (Y, X) or (n, Y, X), finite; not altered.
        factor: fine pixels a coarse one, along each axis; a whole number of at least 2.
        upsampler: one that was trained; it decides the factor.
        blur: see `Upsampler.train`; used when one is trained.
        schedule: how long and how fast to learn.
        seed: the same seed gives the same pictures.
        device: "auto", "cpu" or "cuda".
        progress: draws a bar.

    Returns:
        float32 ([n,] Y * factor, X * factor), covering the same field.

    Raises:
        ValueError: pictures are too small or hold NaN, or the factor is no whole number of at least 2.
    """
    film = np.asarray(film)
    if film.ndim not in (2, 3):
        raise ValueError(f"the film has shape {film.shape}: give (Y, X) or (n, Y, X)")
    pictures = film[None] if film.ndim == 2 else film
    if upsampler is None:
        how: dict[str, Any] = {"schedule": schedule, "patches": Patches(seed=seed), "device": device, "progress": progress}
        upsampler = Upsampler.train(pictures, factor, blur=blur, **how)
    elif _whole(factor) != upsampler.factor:
        raise ValueError(f"factor is {factor}, but the upsampler was trained for {upsampler.factor}")
    done = np.stack([upsampler.predict(picture) for picture in pictures])
    return done[0] if film.ndim == 2 else done


def interpolated(picture: AnyArray, factor: int) -> FloatArray:
    """Cubic interpolation to pixels `factor` times as fine, covering the same field.

    Args:
        picture: (Y, X).
        factor: fine pixels a coarse one.

    Returns:
        float32 (Y * factor, X * factor).
    """
    return ndimage.zoom(np.asarray(picture, np.float32), factor, order=3, mode="grid-mirror", grid_mode=True)


def gathered(fine: FloatArray, factor: int) -> FloatArray:
    """The fine pixels of each coarse one as its channels; the opposite of `spread`.

    Args:
        fine: (Y * factor, X * factor).
        factor: fine pixels a coarse one.

    Returns:
        (factor**2, Y, X).
    """
    y, x = (n // factor for n in fine.shape)
    return fine.reshape(y, factor, x, factor).transpose(1, 3, 0, 2).reshape(factor**2, y, x)


def spread(channels: FloatArray, factor: int) -> FloatArray:
    """The channels of each coarse pixel laid out as fine pixels.

    Args:
        channels: (factor**2, Y, X).
        factor: fine pixels a coarse one.

    Returns:
        (Y * factor, X * factor).
    """
    _, y, x = channels.shape
    return channels.reshape(factor, factor, y, x).transpose(2, 0, 3, 1).reshape(y * factor, x * factor)


View = tuple[FloatArray, FloatArray]


def _coarse(sharp: FloatArray, factor: int, width: float, noise: NoiseModel | None, rng: np.random.Generator) -> View:
    """A picture made coarse, (Y, X), and what cubic interpolation of it lacks, (factor**2, Y, X)."""
    y, x = (n // factor * factor for n in sharp.shape)
    low = binned(ndimage.gaussian_filter(sharp.astype(np.float64), width), factor)
    low = noise_like(low, noise, left_by_blur(math.hypot(width, factor / math.sqrt(12))) ** 2, rng).astype(np.float32)
    return low, gathered(sharp[:y, :x] - interpolated(low, factor), factor)


def _batches(views: Sequence[View], factor: int, span: Range, patches: Patches, *, divisor: int) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Endless coarse patches and what is lacking, in units of the range; turned and mirrored at random."""
    rng = np.random.default_rng(patches.seed)
    low_side = min(patches.fitting([n * factor for n in low.shape], divisor * factor) for low, _ in views) // factor
    while True:
        shown, wanted = [], []
        for _ in range(patches.count):
            low, high = _cut(views, low_side, factor, patches.choices if rng.random() < 0.75 else 1, rng=rng)
            shown.append(((low - span.dark) / span.span)[None])
            wanted.append(high / span.span)
        yield np.stack(shown).astype(np.float32), np.stack(wanted).astype(np.float32)


def _cut(views: Sequence[View], side: int, factor: int, choices: int, *, rng: np.random.Generator) -> View:
    """A patch with contrast and what it lacks; the fine pixels turn with the coarse ones."""
    places = []
    for _ in range(choices):
        low, _ = views[k := int(rng.integers(len(views)))]
        places.append((k, *(int(rng.integers(n - side + 1)) for n in low.shape)))
    cuts = [views[k][0][y : y + side, x : x + side] for k, y, x in places]
    best = next(i for i, cut in enumerate(cuts) if cut is contrasty(cuts))
    k, y, x = places[best]
    low, fine = cuts[best], spread(views[k][1][:, y : y + side, x : x + side], factor)
    turns, flip = int(rng.integers(4)), 1 - 2 * int(rng.integers(2))
    return np.rot90(low, turns)[::flip], gathered(np.rot90(fine, turns)[::flip], factor)


def _checked(picture: AnyArray, row: int | None, least: int) -> FloatArray:
    picture = np.asarray(picture)
    name = "the picture" if row is None else f"picture {row}"
    if picture.ndim != 2 or min(picture.shape) < least:
        raise ValueError(f"{name} has shape {picture.shape}: give (Y, X) with at least {least} pixels a side")
    try:
        check_finite(picture)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return picture.astype(np.float32)


def _whole(factor: float) -> int:
    if factor != int(factor) or factor < 2:
        raise ValueError(f"factor is {factor}: give a whole number of at least 2")
    return int(factor)


def _noise(picture: FloatArray) -> NoiseModel | None:
    """The noise of a picture, or None where none can be measured (too small, or without any)."""
    try:
        return noise_model(picture)
    except ValueError:
        return None
