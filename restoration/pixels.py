"""Pixels: from floats to the type that a file shall have, without wrapping round."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from segmentation.arrays import AnyArray, FloatArray


def grey_type(dtype: DTypeLike) -> np.dtype[Any]:
    """A type that holds grey levels.

    Args:
        dtype: float or integer type, such as "uint16".

    Raises:
        ValueError: another type, or none at all.
    """
    try:
        kind = np.dtype(dtype)
    except TypeError:
        kind = None
    if kind is None or kind.kind not in "fiu":
        raise ValueError(f"dtype is {dtype if kind is None else kind}: give a float or integer type, such as 'uint16', or 'same'")
    return kind


def as_dtype(picture: FloatArray, dtype: DTypeLike) -> AnyArray:
    """A picture in another type; whole numbers are rounded, and cut at the ends of the range with a warning that says how many.

    Args:
        picture: any shape, finite.
        dtype: float or integer type, such as "uint16".

    Raises:
        ValueError: a type that holds no grey levels.
    """
    kind = grey_type(dtype)
    if kind.kind == "f":
        return picture.astype(kind)
    limits = np.iinfo(kind)
    rounded = np.rint(picture.astype(np.float64))
    cut = int(((rounded < limits.min) | (rounded > limits.max)).sum())
    if cut:
        warnings.warn(
            f"{cut} of {picture.size} pixels ({100 * cut / picture.size:.3g} %) lie outside {limits.min}..{limits.max} of {kind} and were "
            "cut: take dtype='float32' to keep them",
            stacklevel=3,
        )
    return np.clip(rounded, limits.min, limits.max).astype(kind)
