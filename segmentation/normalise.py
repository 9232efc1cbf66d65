"""Bring the brightness of a whole picture to a common range, once, never tile by tile."""

from dataclasses import dataclass

import numpy as np

from segmentation.arrays import AnyArray, FloatArray


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
        scaled = (values - bottom) / (top - bottom)
        if self.compress > 0:
            scaled = np.arcsinh(self.compress * scaled) / np.arcsinh(self.compress)
        return scaled.astype(np.float32)


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
