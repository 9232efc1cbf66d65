"""How much blurrier a stack is along z than along x and y, measured on the stack itself or on beads."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import ndimage, optimize

from restoration.degrading import resampled
from segmentation.arrays import AnyArray, FloatArray
from segmentation.normalise import check_finite

LEAST = 8  # slices from which a spectrum along z can be read
TRIALS = 24  # widths tried before the best is refined


def estimate_blur(stack: AnyArray, scale: Sequence[float]) -> float:
    """Estimate how much blurrier a stack is along z than along x and y, by matching the power spectra.

    Slices blurred along x by the right Gaussian and thinned out like z have, along x, the spectrum that the stack has along z. The slices
    themselves mix light from above and below; to compare like with like, the lines along z are taken from a stack that is as blurry along
    y as it is along z. White noise is taken off both. True as far as the specimen looks alike in all directions.

    Args:
        stack: (Z, Y, X), finite, at least 8 slices that span more than the blur.
        scale: Size of a voxel along z, y, x; those along y and x must be equal.

    Returns:
        Standard deviation of the additional blur along z, in the unit of `scale`; 0 where z is as sharp.

    Raises:
        ValueError: Too few slices, NaN, or a scale that does not fit.
    """
    stack, step = checked_stack(stack, scale)
    if len(stack) < LEAST:
        raise ValueError(f"the stack has {len(stack)} slices: give at least {LEAST}, or say the blur")
    pixel, factor = step[2], step[0] / step[2]
    sharp = stack - stack.mean()
    floor = _noise(sharp)
    lines = _thinned_places(stack.shape, factor)

    def mismatch(sigma: float) -> float:
        """Squared difference of the log spectra along z and along x, where both are above the noise."""
        width, share = sigma / pixel, _share(sigma / pixel)
        along_z = _power(ndimage.gaussian_filter1d(sharp, width, axis=1) if width > 0 else sharp, 0) - floor * share
        blurred = ndimage.gaussian_filter1d(sharp, width, axis=2) if width > 0 else sharp
        thin = np.moveaxis(resampled(np.moveaxis(blurred, 2, 0), lines), 0, 2)
        along_x = _power(thin, 2, len(stack)) - floor * share
        least = 3 * floor * share / math.sqrt(stack[0].size) + 1e-3 * max(float(along_z.max()), 1e-12)
        seen = (along_z > least) & (along_x > least)
        seen[:1] = False  # how bright the stack is on the whole says nothing about blur
        if seen.sum() < 2:
            return math.inf
        off = np.log(along_z[seen] / along_x[seen])
        weight = np.sqrt(along_z[seen])
        off = off - np.average(off, weights=weight)
        return float(np.average(off**2, weights=weight))

    trials = np.linspace(0, 3 * step[0] + 4 * pixel, TRIALS)
    errors = [mismatch(sigma) for sigma in trials]
    if not np.isfinite(errors).any():
        raise ValueError("the stack has no detail above its noise that could be compared: say the blur")
    k = int(np.argmin(errors))
    bounds = (trials[max(k - 1, 0)], trials[min(k + 1, TRIALS - 1)])
    found = optimize.minimize_scalar(mismatch, bounds=bounds, method="bounded", options={"xatol": 0.02 * pixel})
    return float(found.x) if found.fun < errors[k] else float(trials[k])


def blur_from_beads(stack: AnyArray, scale: Sequence[float], *, most: int = 50) -> float:
    """Measure on a picture of beads how much blurrier the microscope is along z than along x and y.

    Beads are single bright points, small against the blur. The brightest that stand alone are fitted with a Gaussian along each axis.

    Args:
        stack: (Z, Y, X), finite.
        scale: Size of a voxel along z, y, x; those along y and x must be equal.
        most: Beads to use.

    Returns:
        Standard deviation of the additional blur along z, in the unit of `scale`: the median of the beads.

    Raises:
        ValueError: No bead stands alone with enough room around it.
    """
    stack, step = checked_stack(stack, scale)
    sides = np.array([max(3, math.ceil(5 * step[2] / s)) for s in step])
    smooth = ndimage.gaussian_filter(stack, (0, 1, 1))
    away = stack.max() - np.median(stack)
    peaks = (ndimage.maximum_filter(smooth, [2 * int(n) + 1 for n in sides]) == smooth) & (smooth > np.median(stack) + 0.2 * away)
    places = np.argwhere(peaks)
    reach = 2 * sides
    room = ((places >= np.minimum(reach, 4)) & (places < np.array(stack.shape) - np.minimum(reach, 4))).all(1)
    places = places[room]
    places = places[np.argsort(-stack[tuple(places.T)])][:most]
    widths = []
    for place in places:  # one fit a bead, and there are few
        box = stack[tuple(slice(max(p - r, 0), p + r + 1) for p, r in zip(place, reach, strict=True))]
        rows = [_width(_profile(box, axis, place, reach), step[axis]) for axis in range(3)]
        if all(math.isfinite(width) for width in rows):
            widths.append((rows[0], (rows[1] + rows[2]) / 2))
    if not widths:
        raise ValueError("no bead stands alone: give a stack with single bright points, some pixels from its edges")
    axial, lateral = np.median(widths, axis=0)
    return math.sqrt(max(axial**2 - lateral**2, 0.0))


def checked_stack(stack: AnyArray, scale: Sequence[float]) -> tuple[FloatArray, FloatArray]:
    """The stack as float32 and the scale as an array, or a ValueError that says what does not fit.

    Args:
        stack: (Z, Y, X).
        scale: Size of a voxel along z, y, x.
    """
    stack, step = np.asarray(stack), np.asarray(scale, float)
    if stack.ndim != 3 or min(stack.shape) < 2:
        raise ValueError(f"the stack has shape {stack.shape}: give (Z, Y, X) with at least 2 voxels a side, one frame at a time")
    if step.shape != (3,) or not (np.isfinite(step) & (step > 0)).all():
        raise ValueError(f"scale is {tuple(np.ravel(step).tolist())}: give the size of a voxel along z, y, x, three positive numbers")
    if abs(step[1] / step[2] - 1) > 0.01:
        raise ValueError(f"scale is {tuple(step.tolist())}: pixels must be square, the same size along y and x")
    check_finite(stack)
    if stack.min() == stack.max():
        raise ValueError(f"the stack is constant ({stack.flat[0]:g}): there is nothing to sharpen")
    return stack.astype(np.float32), step


def _thinned_places(shape: tuple[int, ...], factor: float) -> FloatArray:
    """Places along x as far apart as the slices are, as many as there are slices or as fit."""
    count = min(shape[0], int(shape[2] / factor))
    return (shape[2] - 1) / 2 + factor * (np.arange(count) - (count - 1) / 2)


def _power(stack: FloatArray, axis: int, length: int | None = None) -> FloatArray:
    """Mean power spectrum of the lines along an axis, faded out at the ends, at the frequencies of lines of another length."""
    lines = np.moveaxis(stack, axis, -1)
    n = lines.shape[-1]
    fade = np.hanning(n + 2)[1:-1]
    middle = lines - (lines * fade).sum(-1, keepdims=True) / fade.sum()
    power = (np.abs(np.fft.rfft(middle * fade, axis=-1)) ** 2).mean(tuple(range(lines.ndim - 1))) / (fade**2).sum()
    if length in (None, n):
        return power
    return np.interp(np.fft.rfftfreq(length or n), np.fft.rfftfreq(n), power)


def _noise(stack: FloatArray) -> float:
    """Variance of the noise: the power in the corners of the slices' spectra, where no microscope puts light."""
    power = (np.abs(np.fft.fft2(stack)) ** 2).mean(0) / stack[0].size
    high = [np.abs(np.fft.fftfreq(n)) > 0.4 for n in stack.shape[1:]]
    return float(np.median(power[np.ix_(*high)]))


def _share(width: float) -> float:
    """Part of the variance of white noise that a blur along one axis leaves."""
    frequency = np.fft.fftfreq(512)
    return float(np.mean(np.exp(-((2 * np.pi * frequency * width) ** 2))))


def _profile(box: FloatArray, axis: int, place: AnyArray, reach: AnyArray) -> FloatArray:
    """Brightness along one axis through the middle of a bead."""
    middle = [min(int(p), int(r)) for p, r in zip(place, reach, strict=True)]
    return box[tuple(slice(None) if k == axis else m for k, m in enumerate(middle))]


def _width(profile: FloatArray, step: float) -> float:
    """Standard deviation of a Gaussian on a level ground fitted to a profile; NaN where none fits."""
    x = np.arange(len(profile)) * step

    def model(x: FloatArray, ground: float, height: float, middle: float, sigma: float) -> FloatArray:
        return ground + height * np.exp(-((x - middle) ** 2) / (2 * sigma**2))

    first = (float(profile.min()), float(np.ptp(profile)), float(x[np.argmax(profile)]), 1.5 * step)
    try:
        fitted = optimize.curve_fit(model, x, profile.astype(float), first, maxfev=400)[0]
    except (RuntimeError, TypeError):
        return math.nan
    width = abs(float(fitted[3]))
    return width if width < x[-1] else math.nan
