"""The noise of a film, measured from the film alone: photons, camera, and whether neighbouring pixels share it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from restoration.correlation import NoiseCorrelation, noise_correlation
from segmentation.arrays import AnyArray, FloatArray
from segmentation.normalise import check_finite

FRAMES = 8  # frames, or pairs of frames, that are looked at: spread evenly over the film
PLANES = 8  # slices of a stack that are looked at
BINS, FEWEST = 40, 400  # brightness levels of the photon transfer curve, and pixels that a level needs
MOST_LOST = 0.95  # part of the pixels that may say nothing
BLANK = 9  # side in pixels of a square that noise does not leave in one grey level
TRUSTED = 0.03  # part by which the variance of a level may be off however many pixels it has: cells move
LAPLACE = np.outer([1.0, -2.0, 1.0], [1.0, -2.0, 1.0]) / 6  # takes away whatever is smooth; white noise keeps its variance
RING = np.where((np.indices((3, 3)) == 1).all(0), 1.0, -1 / 8)  # a pixel less the mean of its eight neighbours
RING_CUBES = float((RING**3).sum())

Pair = tuple[FloatArray, FloatArray | None]


@dataclass(frozen=True, eq=False)
class NoiseModel:
    """Noise whose variance grows with the light: variance = gain * (grey level - offset) + read**2.

    Attributes:
        gain: Grey levels per photon; 0 where the noise does not grow with the light.
        offset: Grey level without any light.
        read: Noise of the camera without any light, standard deviation in grey levels.
        gain_error, offset_error, read_error: One standard error of each; infinite where the film does not say.
        offset_from: Where the offset is from: "given", "skewness" (photons make noise lopsided, cameras do not) or "darkest" (the darkest
            level of the film: the true offset may be lower).
        level, variance: The photon transfer curve: brightness and noise variance, float (k,).
        background: The usual grey level of the darker part of the film.
        saturated: Part of the pixels at the upper end of what the file can hold.
        correlation: How far neighbouring pixels share their noise.
    """

    gain: float
    offset: float
    read: float
    gain_error: float
    offset_error: float
    read_error: float
    offset_from: str
    level: FloatArray
    variance: FloatArray
    background: float
    saturated: float
    correlation: NoiseCorrelation

    def variance_at(self, image: AnyArray | float) -> FloatArray:
        """The noise variance that a true brightness comes with.

        Args:
            image: Grey levels without noise, any shape.

        Returns:
            Float, same shape.
        """
        return np.maximum(self.gain * (np.asarray(image, float) - self.offset), 0) + max(self.read**2, 1e-12)

    def photons(self, level: float) -> float:
        """How many photons a grey level stands for; NaN where the gain is not known.

        Args:
            level: Grey level.
        """
        return (level - self.offset) / self.gain if self.gain > 0 else math.nan

    def sample(self, image: AnyArray, *, seed: int = 0) -> FloatArray:
        """A noisy picture of a true one: photons drawn by lot, then the noise of the camera.

        Args:
            image: Grey levels without noise, any shape.
            seed: The same seed gives the same picture.

        Returns:
            Float, same shape.
        """
        rng, image = np.random.default_rng(seed), np.asarray(image, float)
        shot = image if self.gain <= 0 else self.offset + self.gain * rng.poisson(np.maximum((image - self.offset) / self.gain, 0))
        return shot + rng.normal(0, max(self.read, 1e-6), image.shape)


def noise_model(film: Any, *, offset: float | None = None) -> NoiseModel:  # noqa: ANN401 - an array, an opened film, a list
    """Measure the noise of a film: grey levels per photon, dark level, read noise, and whether pixels share noise.

    Noise is told from cells by a filter that takes away everything smooth, applied to the difference of consecutive frames where there are
    several, else to the picture itself. Its variance against the brightness is the photon transfer curve, a straight line whose slope is
    the gain (Janesick, "Photon Transfer", SPIE 2007). The line alone does not say where the light begins; that is read off the skewness of
    the noise of dark pixels, gain**2 * (level - offset), and where that is too faint to measure, the darkest level stands in. Sharp,
    immobile texture in a single picture looks like noise: measure a film where there is one.

    Args:
        film: (T, [Z,] Y, X), an array or anything with `len()` whose items are frames; or one (Y, X) picture. Finite; not altered.
        offset: Grey level without any light, where it is known.

    Raises:
        ValueError: Frames are smaller than 32 pixels, hold NaN, are constant, or too many pixels are saturated to see any noise.
    """
    pairs, saturated = _pairs(film)
    level, variance, count = _transfer(pairs)
    correlation = noise_correlation(pairs, lambda m: np.interp(m, level, variance))
    variance = variance / correlation.filtered(LAPLACE)  # what the filter does to noise that neighbours share
    (slope, at_zero), spread = _line(level, variance, count)
    gain = float(slope) if slope > 2 * math.sqrt(spread[0, 0]) else 0.0
    if gain == 0:
        at_zero = float(np.average(variance, weights=count / variance**2))
    low, high = max(-at_zero / gain if gain > 0 else -math.inf, 0.0 if level[0] >= 0 else -math.inf), float(level[0])
    lopsided = offset is None and gain > 0 and correlation.direction == "none"  # mixing pixels takes skewness away
    found = _offset(pairs, gain, gain_error=math.sqrt(spread[0, 0])) if lopsided else (math.nan, math.inf)
    if offset is not None:
        dark, error, source = float(offset), 0.0, "given"
    elif found[1] < max(0.3 * (high - low), 0.02 * (level[-1] - level[0])):
        dark, error, source = min(max(found[0], low), high), found[1], "skewness"
    else:
        dark, error, source = high, math.inf, "darkest"
    there = np.array([dark, 1.0])
    squared = max(float(there @ [gain, at_zero]), 0.0)
    doubt = math.hypot(math.sqrt(float(there @ spread @ there)), gain * error if gain else 0.0)
    read = math.sqrt(squared)
    return NoiseModel(
        gain, dark, read, math.sqrt(spread[0, 0]), error, min(doubt / max(2 * read, 1e-9), math.sqrt(doubt)), source,
        level, variance, _background(pairs), saturated, correlation,
    )  # fmt: skip


def frames_of(film: Any) -> Sequence[AnyArray]:  # noqa: ANN401 - an array of any library, a list of frames
    """The frames of a film; one (Y, X) picture is a film of one frame.

    Args:
        film: (T, [Z,] Y, X) or (Y, X).
    """
    return [np.asarray(film)] if getattr(film, "ndim", 0) == 2 else film


def _pairs(film: Any) -> tuple[list[Pair], float]:  # noqa: ANN401 - as above
    """Planes with the same plane of the next frame (None for a single frame), NaN where a pixel says nothing, and how much is saturated."""
    frames = frames_of(film)
    if len(frames) == 0:
        raise ValueError("the film has no frames: give at least one picture")
    first = np.unique(np.linspace(0, max(len(frames) - 2, 0), min(FRAMES, max(len(frames) - 1, 1))).astype(int))
    planes: list[Pair] = []
    for t in first:
        one = _planes(frames[t], int(t))
        planes += zip(one, _planes(frames[t + 1], int(t) + 1) if len(frames) > 1 else [None] * len(one), strict=True)
    cut = [_cut(a, b) for a, b in planes]
    rims = [_blank(a) | (_blank(b) if b is not None else False) for a, b in planes]
    if np.mean([(gone | rim).mean() for (gone, _), rim in zip(cut, rims, strict=True)]) > MOST_LOST:
        rims = [np.zeros_like(rim) for rim in rims]  # a picture without noise, not one with a rim
    pairs = [
        (np.where(gone | rim, np.nan, a), None if b is None else np.where(gone | rim, np.nan, b))
        for (a, b), (gone, _), rim in zip(planes, cut, rims, strict=True)
    ]
    lost = float(np.mean([share for _, share in cut]))
    if np.mean([np.isnan(a).mean() for a, _ in pairs]) > MOST_LOST:
        raise ValueError(f"{100 * lost:.0f} % of the pixels are saturated and most others are cut at 0: no noise can be seen")
    return pairs, lost


def _cut(a: AnyArray, b: AnyArray | None) -> tuple[AnyArray, float]:
    """Which pixels are cut off in either plane, and those around them; and the share of those at the upper end."""
    ends = [_ends(plane) for plane in (a, b) if plane is not None]
    low, full = np.any([end[0] for end in ends], axis=0), np.any([end[1] for end in ends], axis=0)
    return np.asarray(ndimage.binary_dilation(low | full, np.ones((3, 3), bool))), float(full.mean())


def _planes(frame: AnyArray, t: int) -> list[AnyArray]:
    frame = np.asarray(frame)
    if frame.ndim not in (2, 3) or min(frame.shape[-2:]) < 32:
        raise ValueError(f"frame {t} has shape {frame.shape}: give (Y, X) or (Z, Y, X) with at least 32 pixels along y and x")
    try:
        check_finite(frame)
    except ValueError as error:
        raise ValueError(f"frame {t}: {error}") from None
    if frame.min() == frame.max():
        raise ValueError(f"frame {t} is constant ({frame.flat[0]:g}): it has no noise to measure")
    stack = frame[None] if frame.ndim == 2 else frame
    return [stack[z] for z in np.unique(np.linspace(0, len(stack) - 1, min(PLANES, len(stack))).astype(int))]


def _ends(plane: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Which pixels are cut off at the lower, which at the upper end: at the end of the type, or at an extreme that many pixels share."""
    ends = []
    for value, limit in ((plane.min(), "min"), (plane.max(), "max")):
        at = plane == value
        whole = plane.dtype.kind in "ui" and value == getattr(np.iinfo(plane.dtype), limit)
        ends.append(at if whole or (limit == "max" and at.mean() > 0.002 and np.unique(plane).size > 16) else np.zeros_like(at))
    return ends[0], ends[1]


def _blank(plane: AnyArray) -> AnyArray:
    """Which pixels belong to squares in which all are equal, such as the rim of a picture that was shifted: no camera saw them."""
    square = np.ones((BLANK, BLANK), bool)
    flat = ndimage.maximum_filter(plane, BLANK) == ndimage.minimum_filter(plane, BLANK)
    return np.asarray(ndimage.binary_dilation(flat, square)) if flat.any() else flat


def _transfer(pairs: list[Pair]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Brightness, variance of the noise, and number of pixels, for each level of brightness that enough pixels have."""
    levels, rests = [], []
    for a, b in pairs:
        mean = a if b is None else (a + b) / 2
        noise = ndimage.convolve(a if b is None else (b - a) / math.sqrt(2), LAPLACE)[1:-1, 1:-1].ravel()
        smooth = ndimage.convolve(mean, np.full((5, 5), 1 / 25))[1:-1, 1:-1].ravel()  # uncorrelated with the filter's answer
        seen = np.isfinite(noise + smooth)
        levels.append(smooth[seen])
        rests.append(noise[seen])
    level, rest = np.concatenate(levels), np.concatenate(rests)
    edges = np.linspace(float(np.percentile(level, 0.02)), float(np.percentile(level, 99.98)), BINS + 1)
    bins = np.clip(np.searchsorted(edges, level, side="right") - 1, -1, BINS)
    totals = np.bincount(bins[bins >= 0], minlength=BINS + 1)[:BINS]
    rows, first = [], 0
    for k in range(BINS):  # thinly filled levels are joined with the next brighter ones
        if (n := int(totals[first : k + 1].sum())) >= FEWEST:
            inside = (bins >= first) & (bins <= k)
            rows.append((float(level[inside].mean()), _variance(rest[inside]), n))
            first = k + 1
    if not rows:
        raise ValueError(f"no level of brightness has {FEWEST} pixels: give more or larger frames")
    means, variances, counts = (np.array(column, float) for column in zip(*rows, strict=True))
    seen = variances > 0 if (variances > 0).any() else np.ones(len(rows), bool)  # a level without any noise is no light but a blank rim
    return means[seen], np.maximum(variances[seen], 1e-12), counts[seen]


def _variance(values: FloatArray) -> float:
    """Variance without the outliers: those beyond three deviations are left out, and what a normal law would lose by it is added."""
    away = values - np.median(values)
    deviation = 1.4826 * float(np.median(np.abs(away)))
    if deviation == 0:
        return float(values.var())
    for _ in range(3):
        deviation = math.sqrt(float(away[np.abs(away) <= 3 * deviation].var()) / 0.97334)
    return deviation**2


def _line(level: FloatArray, variance: FloatArray, count: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Straight line through the photon transfer curve and the covariance of (slope, value at 0); moving edges weigh little."""
    if len(level) < 3:
        return np.array([0.0, float(np.average(variance, weights=count))]), np.diag([math.inf, float(np.var(variance))])
    centre, span = float(level.mean()), float(np.ptp(level))  # a camera with a large offset shows a small range far from 0
    matrix, trust, fitted = np.column_stack([(level - centre) / span, np.ones_like(level)]), np.ones_like(level), variance
    for _ in range(20):
        weight = trust / (fitted**2 * (4 / count + TRUSTED**2))  # of filtered neighbours, which overlap, a quarter count
        inverse = np.linalg.inv(matrix.T @ (weight[:, None] * matrix))
        line = inverse @ (matrix.T @ (weight * variance))
        fitted = np.maximum(matrix @ line, 0.3 * variance)
        off = (variance / fitted - 1) / 0.1
        trust = 1 / np.maximum(1, np.abs(off))
    chance = float(np.sum(weight * (variance - matrix @ line) ** 2)) / max(len(level) - 2, 1)
    back = np.array([[1 / span, 0.0], [-centre / span, 1.0]])
    return back @ line, back @ inverse @ back.T * max(chance, 1.0)


def _offset(pairs: list[Pair], gain: float, *, gain_error: float) -> tuple[float, float]:
    """Dark level and its standard error, from dark pixels: the third moment of shot noise is gain**2 * (level - offset)."""
    dark, rests = [], []
    for a, b in pairs:
        smooth = ndimage.convolve(a, np.full((3, 3), 1 / 9))
        seen = smooth <= np.nanpercentile(smooth, 40)
        for plane in (a,) if b is None else (a, b):
            rests.append((values := ndimage.convolve(plane, RING)[seen])[np.isfinite(values)])
            dark.append(plane[seen & np.isfinite(plane)])
    rest = np.concatenate(rests)
    rest = rest - rest.mean()
    deviation = math.sqrt(_variance(rest))
    rest = rest[np.abs(rest) < 6 * deviation]
    third, error = float((rest**3).mean()) / RING_CUBES, math.sqrt(15 / max(len(rest), 1)) * deviation**3 / RING_CUBES
    return float(np.concatenate(dark).mean()) - third / gain**2, math.hypot(error / gain**2, 2 * third * gain_error / gain**3)


def _background(pairs: list[Pair]) -> float:
    return float(np.median([np.nanpercentile(ndimage.convolve(a, np.full((5, 5), 1 / 25)), 20) for a, _ in pairs]))
