"""Quality: how close a restored image is to the true one, in the numbers that papers report.

The number depends on what it is measured against, so the grey-level range is always stated by the caller, never guessed. Scores of
several images are averaged after scoring; the score of the mean error is another number.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
WINDOW = 11  # pixels; a Gaussian of standard deviation 1.5, cut at 3.5 standard deviations


def psnr(prediction: object, truth: object, *, data_range: float) -> float:
    """How far the truth stands out from the errors, in decibels; more is better.

    ``20 log10(data_range) - 10 log10(mean squared error)``.

    Args:
        prediction: Restored image, any shape.
        truth: True image, same shape.
        data_range: Grey levels from darkest to brightest that the number refers to, such as 255.

    Returns:
        Decibels; infinite when both are the same.

    Raises:
        ValueError: Shapes differ, pixels are not finite, or the range is not positive.
    """
    p, t = _pair(prediction, truth)
    return _decibels(_range(data_range), float(np.mean((p - t) ** 2)))


def si_psnr(prediction: object, truth: object, *, data_range: float | None = None) -> float:
    """Decibels after the prediction was brightened and shifted to fit the truth best; more is better.

    Blind to wrong brightness and offset, so it flatters: state it beside ``psnr``. See Weigert et al., Nature Methods 15 (2018) 1090.

    Args:
        prediction: Restored image, any shape.
        truth: True image, same shape, not constant.
        data_range: As in ``psnr``; the truth's own maximum minus minimum when not given, as in the paper.

    Returns:
        Decibels. A perfect affine image of the truth gives infinity or, through rounding, above 200.

    Raises:
        ValueError: Shapes differ, pixels are not finite, the truth is constant, or the range is not positive.
    """
    p, t = _pair(prediction, truth)
    span = _span(t)
    return _decibels(span if data_range is None else _range(data_range), float(np.mean((_fitted(p, t) - t) ** 2)))


def nrmse(prediction: object, truth: object, *, fit: bool = False) -> float:
    """Root mean square error as a part of the truth's range (maximum minus minimum); less is better.

    Args:
        prediction: Restored image, any shape.
        truth: True image, same shape, not constant.
        fit: Brighten and shift the prediction to fit the truth best before comparing, as in Weigert et al. 2018.

    Returns:
        0 when both are the same.

    Raises:
        ValueError: Shapes differ, pixels are not finite, or the truth is constant.
    """
    p, t = _pair(prediction, truth)
    span = _span(t)
    return math.sqrt(float(np.mean(((_fitted(p, t) if fit else p) - t) ** 2))) / span


def ssim(prediction: object, truth: object, *, data_range: float) -> float:
    """Structural similarity, the mean over the image; 1 for the same image, more is better.

    With the Gaussian window of standard deviation 1.5 of Wang et al., IEEE Transactions on Image Processing 13 (2004) 600.

    Args:
        prediction: Restored image, (Y, X) or (Z, Y, X), at least 11 pixels along every axis.
        truth: True image, same shape.
        data_range: As in ``psnr``.

    Returns:
        -1 to 1.

    Raises:
        ValueError: Shapes differ, pixels are not finite, the image is smaller than the window, or the range is not positive.
    """
    from skimage.metrics import structural_similarity

    p, t = _pair(prediction, truth)
    if min(p.shape, default=0) < WINDOW:
        raise ValueError(f"the image has shape {p.shape}, but ssim needs at least {WINDOW} pixels along every axis")
    how: dict[str, Any] = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(p, t, data_range=_range(data_range), **how))


def affine_fit(prediction: object, truth: object) -> FloatArray:
    """The prediction times a factor plus an offset, both chosen for the least squared error to the truth.

    Args:
        prediction: Restored image, any shape; a constant one becomes the mean of the truth.
        truth: True image, same shape.

    Returns:
        The fitted prediction, float, same shape.

    Raises:
        ValueError: Shapes differ or pixels are not finite.
    """
    return _fitted(*_pair(prediction, truth))


def _fitted(p: FloatArray, t: FloatArray) -> FloatArray:
    centred = p - p.mean()
    power = float(np.sum(centred**2))
    factor = float(np.sum(centred * (t - t.mean()))) / power if power > 0 else 0.0
    return factor * centred + t.mean()


def _pair(prediction: object, truth: object) -> tuple[FloatArray, FloatArray]:
    """Both images as float, or a ValueError that says why they cannot be compared."""
    p, t = np.asarray(prediction), np.asarray(truth)
    if p.shape != t.shape:
        raise ValueError(f"the prediction has shape {p.shape}, but the truth has {t.shape}")
    if p.size == 0:
        raise ValueError(f"the images have no pixels: shape {p.shape}")
    for name, image in (("prediction", p), ("truth", t)):
        if image.dtype.kind not in "biuf":
            raise ValueError(f"the {name} is {image.dtype}, but pixels are real numbers")
        if odd := image.size - int(np.isfinite(image).sum()):
            raise ValueError(f"the {name} has {odd} pixels that are NaN or infinite: fill or cut them before scoring")
    return p.astype(np.float64), t.astype(np.float64)


def _range(data_range: float) -> float:
    if not (math.isfinite(data_range) and data_range > 0):
        raise ValueError(f"data_range must be positive and finite, not {data_range}")
    return float(data_range)


def _span(t: FloatArray) -> float:
    span = float(t.max() - t.min())
    if span == 0:
        raise ValueError(f"the truth is constant ({t.flat[0]:g}), so errors have no range to be compared with: use psnr with a data_range")
    return span


def _decibels(data_range: float, error: float) -> float:
    return 20 * math.log10(data_range) - 10 * math.log10(error) if error > 0 else math.inf
