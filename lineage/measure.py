"""Measurements: what one label image says about its cells, all cells at once."""

from __future__ import annotations

import numpy as np

from .arrays import Array, FloatArray, IntArray

AXES = {2: ("y", "x"), 3: ("z", "y", "x")}
_TOP = np.iinfo(np.int64).max


def label_image(image: object, frame: int) -> Array:
    """One frame of a label film as an integer array, or a ValueError that says why it is none.

    Args:
        image: Label image, (Y, X) or (Z, Y, X); 0 is background.
        frame: Its number, for the message.
    """
    array = np.asarray(image)
    if array.dtype.kind == "f":
        raise ValueError(f"label frame {frame} is {array.dtype}, but labels are whole numbers: convert with astype('uint16')")
    if array.dtype.kind not in "iu":
        raise ValueError(f"label frame {frame} is {array.dtype}, but labels are whole numbers: number the cells (scipy.ndimage.label)")
    if array.ndim not in AXES:
        raise ValueError(f"label frame {frame} has shape {array.shape}, but a frame is (Y, X) or (Z, Y, X)")
    if array.dtype.kind == "i" and array.size and (low := int(array.min())) < 0:
        raise ValueError(f"label frame {frame} holds the label {low}, but labels are not negative: set what is no cell to 0")
    if array.dtype == np.uint64 and array.size and (top := int(array.max())) > _TOP:
        raise ValueError(f"label frame {frame} holds the label {top}, but labels are at most {_TOP}: number the cells anew")
    return array


def compact(image: Array) -> tuple[IntArray, IntArray, IntArray]:
    """Where the cells are: their labels, their pixels, and which pixel belongs to which.

    Args:
        image: Label image of any shape; 0 is background.

    Returns:
        labels: Labels present, rising; int (n,).
        pixels: Flat indices of the labelled pixels, rising; int (p,).
        owner: Position in ``labels`` of each of these pixels; int (p,).
    """
    flat = image.ravel()
    pixels = np.flatnonzero(flat)
    values = flat[pixels]
    top = int(values.max(initial=0))
    if top <= 4 * flat.size:  # a look-up table is faster than sorting, unless labels are huge
        labels = np.flatnonzero(np.bincount(values, minlength=1)).astype(np.int64)
        table = np.zeros(top + 1, np.int64)
        table[labels] = np.arange(len(labels))
        return labels, pixels, table[values]
    labels, owner = np.unique(values, return_inverse=True)
    return labels.astype(np.int64), pixels, owner.astype(np.int64)


def measure(image: Array, scale: FloatArray, intensity: Array | None = None) -> dict[str, Array]:
    """Facts about every cell of one label image.

    Args:
        image: Label image, (Y, X) or (Z, Y, X); 0 is background.
        scale: Size of a pixel along each axis; float (d,), physical units.
        intensity: Image of the same shape, for ``intensity_mean`` and ``intensity_std``.

    Returns:
        Columns, one row a cell, labels rising. ``label``; ``position`` float (n, d), physical units;
        ``area`` (volume in 3D), physical units; ``bbox_min_*`` and ``bbox_max_*``, pixels, the maximum excluded;
        ``inertia_**``, second central moments (the covariance of the pixels), physical units squared;
        ``axis_major`` ... ``axis_minor``, full lengths of the ellipse with these moments, physical units; ``touches_border``.
    """
    labels, pixels, owner = compact(image)
    return {"label": labels} | measure_pixels(pixels, owner, len(labels), image.shape, scale, intensity=intensity)


def measure_pixels(
    pixels: IntArray, owner: IntArray, n: int, shape: tuple[int, ...], scale: FloatArray, *, intensity: Array | None = None
) -> dict[str, Array]:
    """Facts about cells that are given by their pixels, and that may share some.

    Args:
        pixels: Flat indices into an image; int (p,).
        owner: Which cell each of these is a pixel of, 0 to n - 1; int (p,).
        n: How many cells there are.
        shape: Of the image, ([Z,] Y, X).
        scale: Size of a pixel along each axis; float (d,), physical units.
        intensity: Image of this shape, for ``intensity_mean`` and ``intensity_std``.

    Returns:
        The columns of ``measure``, but for ``label``.
    """
    names = AXES[len(shape)]
    count = np.bincount(owner, minlength=n).astype(float)
    where = np.unravel_index(pixels, shape)
    columns: dict[str, Array] = {"area": count * float(np.prod(scale))}
    centre = np.stack([np.bincount(owner, w, n) for w in where], axis=1) / np.maximum(count, 1)[:, None]
    columns["position"] = centre * scale
    columns |= _boxes(where, owner, n, shape)
    columns |= _moments([(w - centre[owner, a]) * scale[a] for a, w in enumerate(where)], owner, count, scale, names)
    if intensity is not None:
        columns |= _intensities(intensity.ravel()[pixels].astype(float), owner, count)
    return columns


def _boxes(where: tuple[Array, ...], owner: IntArray, n: int, shape: tuple[int, ...]) -> dict[str, Array]:
    columns: dict[str, Array] = {}
    touches = np.zeros(n, bool)
    for name, w, size in zip(AXES[len(shape)], where, shape, strict=True):
        low, high = np.full(n, size), np.full(n, -1)
        np.minimum.at(low, owner, w)
        np.maximum.at(high, owner, w)
        columns[f"bbox_min_{name}"], columns[f"bbox_max_{name}"] = low, high + 1
        touches |= (low == 0) | (high == size - 1)
    return columns | {"touches_border": touches}


def _moments(offset: list[FloatArray], owner: IntArray, count: FloatArray, scale: FloatArray, names: tuple[str, ...]) -> dict[str, Array]:
    """Second moments and principal axes; a pixel counts as a box, not a point (its own 1/12 is added)."""
    n, d = len(count), len(names)
    inertia = np.zeros((n, d, d))
    columns: dict[str, Array] = {}
    for a in range(d):
        for b in range(a, d):
            value = np.bincount(owner, offset[a] * offset[b], n) / np.maximum(count, 1)
            value = value + (scale[a] ** 2 / 12 if a == b else 0)
            inertia[:, a, b] = inertia[:, b, a] = value
            columns[f"inertia_{names[a]}{names[b]}"] = value
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh(inertia), 0)) if n else np.zeros((0, d))
    length = 2 * np.sqrt(d + 2) * spread  # a solid ellipse (ellipsoid) of semi-axis a has the moment a^2 / (d + 2)
    for column, name in enumerate(("axis_minor", "axis_middle", "axis_major") if d == 3 else ("axis_minor", "axis_major")):
        columns[name] = length[:, column]
    return columns


def _intensities(value: FloatArray, owner: IntArray, count: FloatArray) -> dict[str, Array]:
    n = len(count)
    mean = np.bincount(owner, value, n) / np.maximum(count, 1)
    variance = np.bincount(owner, (value - mean[owner]) ** 2, n) / np.maximum(count, 1)
    return {"intensity_mean": mean, "intensity_std": np.sqrt(variance)}
