"""Two questions to a denoiser that need no truth: what did it take away, and what does it see where there is nothing."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from restoration.correlation import REACH, lagged
from restoration.noise import NoiseModel
from segmentation.arrays import AnyArray, FloatArray

Denoise = Callable[[AnyArray], AnyArray]

COARSE = 2.0  # pixels: detail of this width and larger is looked for in what was taken away
BANDS = (0.0, 0.02, 0.04, 0.08, 0.12, 0.18, 0.25, 0.35, 0.5)  # periods per pixel


@dataclass(frozen=True, eq=False)
class Residual:
    """What a denoiser took away: noisy less denoised, each pixel in units of its own noise.

    Attributes:
        removed: Variance of what was taken away over that of the noise: 1 = all noise and nothing else, 0 = nothing was done.
        rows, columns: Correlation of neighbours along x and along y, less that of the noise itself; 0 = white.
        detail: Power of coarse detail (2 pixels and more) over what noise alone has: 1 = noise only, more = parts of cells were taken.
        image: Correlation of coarse detail in what was taken away with coarse detail that is left, -1..1; above 0 contrast was lost.
        bias: Mean of what was taken away, in standard deviations of the noise; 0 = brightness is kept.
        map: Correlation of what was taken away with itself at each offset, float (17, 17).
        picture: What was taken away in the last frame looked at, in units of the noise, (Y, X).
    """

    removed: float
    rows: float
    columns: float
    detail: float
    image: float
    bias: float
    map: FloatArray
    picture: FloatArray


def check_residual(noisy: AnyArray | Sequence[AnyArray], denoised: AnyArray | Sequence[AnyArray], noise: NoiseModel) -> Residual:
    """Look at what a denoiser took away: it should be noise, all of it and nothing else.

    Args:
        noisy: (n, Y, X) pictures, or one (Y, X).
        denoised: The same pictures after denoising, in the same grey levels.
        noise: The noise of the film, see `noise_model`.

    Raises:
        ValueError: The shapes differ.
    """
    before, after = ([a] if np.ndim(a) == 2 else list(a) for a in (np.asarray(noisy), np.asarray(denoised)))
    if len(before) != len(after) or np.shape(before[0]) != np.shape(after[0]):
        raise ValueError(f"the noisy pictures have shape {np.shape(noisy)}, but the denoised ones have {np.shape(denoised)}")
    power, rows = np.zeros((2 * REACH + 1,) * 2), []
    for one, two in zip(before, after, strict=True):
        clean = np.asarray(two, float)
        rest = (np.asarray(one, float) - clean) / np.sqrt(noise.variance_at(clean))
        centred = rest - rest.mean()
        power += lagged(centred, REACH)
        coarse, left = _coarse(centred), _coarse(clean / math.sqrt(max(noise.read**2, 1e-12)))
        rows.append(
            (float(rest.var()), float(rest.mean()), float(coarse.var()), _correlation(coarse, left - ndimage.uniform_filter(left, 31)))
        )
    removed, bias, coarse_power, image = np.mean(rows, axis=0)
    middle = power[REACH, REACH]
    found = power / middle if middle > 0 else np.zeros_like(power)
    impulse = np.zeros((2 * REACH + 1,) * 2)
    impulse[REACH, REACH] = 1
    kernel = ndimage.gaussian_filter(impulse, COARSE)
    usual = removed * float((kernel**2).sum()) * noise.correlation.filtered(kernel)
    beside, below = noise.correlation.map[REACH, REACH + 1], noise.correlation.map[REACH + 1, REACH]
    return Residual(
        removed=float(removed),
        rows=float(found[REACH, REACH + 1] - beside) if middle > 0 else 0.0,
        columns=float(found[REACH + 1, REACH] - below) if middle > 0 else 0.0,
        detail=float(coarse_power / usual) if usual > 0 else 0.0,
        image=float(image),
        bias=float(bias),
        map=found,
        picture=rest,
    )


@dataclass(frozen=True, eq=False)
class Empty:
    """What a denoiser makes of a picture in which there is nothing but noise.

    Attributes:
        gain: Power of the answer over that of the noise, for each band of scales, float (k,); above 1 structure was made.
        frequency: Middle of each band, periods per pixel, float (k,).
        invented: The largest of `gain`.
        left: Standard deviation of the answer over that of the noise: 0 = a perfectly empty picture.
        shift: How far the mean moved, in standard deviations of the noise.
        before, after: The empty picture and the answer, (Y, X).
    """

    gain: FloatArray
    frequency: FloatArray
    invented: float
    left: float
    shift: float
    before: FloatArray
    after: FloatArray


def check_empty(denoiser: Denoise, noise: NoiseModel, *, side: int = 256, seed: int = 0) -> Empty:
    """Show a denoiser an empty field with the noise of a film: whatever structure it gives back is its own.

    No filter that only weakens noise can have more power at any scale than the noise it was shown; what has more was invented.

    Args:
        denoiser: Picture (Y, X) -> picture of the same shape, in the same grey levels.
        noise: The noise of the film, see `noise_model`; noise that neighbours share is drawn so, too.
        side: Pixels a side.
        seed: The same seed gives the same picture.

    Raises:
        ValueError: The denoiser gives back another shape, or NaN.
    """
    before = _like(noise, side, seed)
    after = np.asarray(denoiser(before.astype(np.float32)), float)
    if after.shape != before.shape or not np.isfinite(after).all():
        raise ValueError(f"the denoiser turned an empty picture of shape {before.shape} into {after.shape} or NaN: it must keep the shape")
    one, two = (np.abs(fft.fftn(picture - picture.mean())) ** 2 for picture in (before, after))
    radius = np.hypot(*np.meshgrid(fft.fftfreq(side), fft.fftfreq(side), indexing="ij"))
    band = np.digitize(radius, BANDS) - 1
    inside = [(band == k) & (radius > 0) for k in range(len(BANDS) - 1)]
    # the mean power of the noise, not this draw's, would need its true spectrum; bands hold enough frequencies
    gain = np.array([two[b].sum() / max(one[b].sum(), 1e-12) for b in inside])
    deviation = float(before.std())
    return Empty(
        gain=gain,
        frequency=np.array([(a + b) / 2 for a, b in itertools.pairwise(BANDS)]),
        invented=float(gain.max()),
        left=float(after.std()) / deviation,
        shift=float(after.mean() - before.mean()) / deviation,
        before=before,
        after=after,
    )


def _like(noise: NoiseModel, side: int, seed: int) -> FloatArray:
    """An empty picture at the brightness of the background, its noise shared between neighbours as measured."""
    level = np.full((side, side), noise.background)
    picture = noise.sample(level, seed=seed)
    if noise.correlation.direction == "none":
        return picture
    lags = np.where(np.abs(noise.correlation.map) > noise.correlation.limit, noise.correlation.map, 0.0)
    wide = np.zeros((side, side))
    rows = np.arange(-REACH, REACH + 1)
    wide[rows[:, None], rows] = lags
    spectrum = np.maximum(fft.fftn(wide).real, 0)
    mixed = fft.ifftn(fft.fftn(picture - level) * np.sqrt(spectrum / spectrum.mean())).real
    return level + mixed


def _coarse(picture: FloatArray) -> FloatArray:
    return ndimage.gaussian_filter(picture, COARSE)


def _correlation(a: FloatArray, b: FloatArray) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = math.sqrt(float((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / size if size > 0 else 0.0
