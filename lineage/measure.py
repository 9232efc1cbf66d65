"""Measurements: what one label image says about its cells, all cells at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

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
    return _facts(
        _tallied(pixels, owner, n, shape, scale, intensity=None if intensity is None else intensity.ravel()[pixels]), shape, scale
    )


def measure_slabs(parts: Iterable[tuple[Array, Array | None]], shape: tuple[int, ...], scale: FloatArray) -> dict[str, Array]:
    """The columns of ``measure`` of a label image that is looked at slab by slab; it need not fit in memory.

    Args:
        parts: Slabs of the label image, and of the image where there is one, one after another along the first axis.
        shape: Of the whole, ([Z,] Y, X).
        scale: Size of a pixel along each axis; float (d,), physical units.
    """
    first, found = 0, list[tuple[IntArray, _Tally]]()
    for image, intensity in parts:
        labels, pixels, owner = compact(image)
        seen = None if intensity is None else intensity.ravel()[pixels]
        found.append((labels, _tallied(pixels + first * math.prod(shape[1:]), owner, len(labels), shape, scale, intensity=seen)))
        first += len(image)
    labels, owner = np.unique(np.concatenate([labels for labels, _ in found]), return_inverse=True)
    whole = found[0][1] if len(found) == 1 else _Tally.of([tally for _, tally in found], owner, len(labels), scale)
    return {"label": labels} | _facts(whole, shape, scale)


@dataclass(frozen=True, eq=False)
class _Tally:
    """What is counted of cells, or of parts of cells.

    Attributes:
        count: Pixels; float (n,).
        total: Sum of their coordinates, pixels; float (n, d), whole numbers.
        low, high: First and last coordinate along each axis; int (d, n).
        scatter: Sum of products of their offsets from the mean, physical units squared; float (n, d, d).
        light: Sum of the intensity; float (n,). None where there is no image.
        glitter: Sum of the squares of its offsets from the mean; likewise.
    """

    count: FloatArray
    total: FloatArray
    low: IntArray
    high: IntArray
    scatter: FloatArray
    light: FloatArray | None
    glitter: FloatArray | None

    @property
    def centre(self) -> FloatArray:
        """Mean coordinates, pixels; float (n, d)."""
        return self.total / np.maximum(self.count, 1)[:, None]

    @classmethod
    def of(cls, parts: Sequence[_Tally], owner: IntArray, n: int, scale: FloatArray) -> _Tally:
        """That of the n cells of which these are parts; sums about means are put together as Chan, Golub and LeVeque (1983) do.

        Args:
            parts: Tallies, p rows altogether.
            owner: Which cell each row is of; int (p,).
            n: How many cells there are.
            scale: Size of a pixel along each axis.
        """
        count, total, scatter = (np.concatenate([getattr(part, name) for part in parts]) for name in ("count", "total", "scatter"))
        d = len(scale)
        whole = cls(np.zeros(n), np.zeros((n, d)), np.full((d, n), _TOP), np.full((d, n), -1), np.zeros((n, d, d)), None, None)
        np.add.at(whole.count, owner, count)
        np.add.at(whole.total, owner, total)
        for axis in range(d):
            np.minimum.at(whole.low[axis], owner, np.concatenate([part.low[axis] for part in parts]))
            np.maximum.at(whole.high[axis], owner, np.concatenate([part.high[axis] for part in parts]))
        off = (total / count[:, None] - whole.centre[owner]) * scale
        np.add.at(whole.scatter, owner, scatter + count[:, None, None] * off[:, :, None] * off[:, None, :])
        if parts[0].light is None:
            return whole
        light, glitter = (np.concatenate([getattr(part, name) for part in parts]) for name in ("light", "glitter"))
        bright = _sums(owner, light, n)
        off = light / count - (bright / whole.count)[owner]
        return replace(whole, light=bright, glitter=_sums(owner, glitter + count * off**2, n))


def _tallied(pixels: IntArray, owner: IntArray, n: int, shape: tuple[int, ...], scale: FloatArray, *, intensity: Array | None) -> _Tally:
    """The tally of cells given by their pixels; see ``measure_pixels``; ``intensity`` is that of each pixel, (p,)."""
    count = np.bincount(owner, minlength=n).astype(float)
    where = np.unravel_index(pixels, shape)
    total = np.stack([_sums(owner, w, n) for w in where], axis=1)
    low, high = np.tile(np.array(shape)[:, None], n), np.full((len(shape), n), -1)
    for axis, w in enumerate(where):
        np.minimum.at(low[axis], owner, w)
        np.maximum.at(high[axis], owner, w)
    centre = total / np.maximum(count, 1)[:, None]
    offset = [(w - centre[owner, a]) * scale[a] for a, w in enumerate(where)]
    scatter = np.zeros((n, len(shape), len(shape)))
    for a in range(len(shape)):
        for b in range(a, len(shape)):
            scatter[:, a, b] = scatter[:, b, a] = _sums(owner, offset[a] * offset[b], n)
    if intensity is None:
        return _Tally(count, total, low, high, scatter, None, None)
    value = intensity.astype(float)
    light = _sums(owner, value, n)
    mean = light / np.maximum(count, 1)
    return _Tally(count, total, low, high, scatter, light, _sums(owner, (value - mean[owner]) ** 2, n))


def _sums(owner: IntArray, values: Array, n: int) -> FloatArray:
    """The sum of the values of each of n owners; float (n,)."""
    return np.bincount(owner, values, n).astype(float, copy=False)


def _facts(tally: _Tally, shape: tuple[int, ...], scale: FloatArray) -> dict[str, Array]:
    """The columns of ``measure``, but for ``label``."""
    names, size = AXES[len(shape)], np.maximum(tally.count, 1)
    columns: dict[str, Array] = {"area": tally.count * float(np.prod(scale)), "position": tally.centre * scale}
    for axis, name in enumerate(names):
        columns[f"bbox_min_{name}"], columns[f"bbox_max_{name}"] = tally.low[axis], tally.high[axis] + 1
    columns["touches_border"] = ((tally.low == 0) | (tally.high == np.array(shape)[:, None] - 1)).any(0)
    columns |= _moments(tally.scatter / size[:, None, None], scale, names)
    if tally.light is not None and tally.glitter is not None:
        columns |= {"intensity_mean": tally.light / size, "intensity_std": np.sqrt(tally.glitter / size)}
    return columns


def _moments(inertia: FloatArray, scale: FloatArray, names: tuple[str, ...]) -> dict[str, Array]:
    """Second moments and principal axes; a pixel counts as a box, not a point (its own 1/12 is added)."""
    n, d = inertia.shape[:2]
    columns: dict[str, Array] = {}
    for a in range(d):
        for b in range(a, d):
            value = inertia[:, a, b] + (scale[a] ** 2 / 12 if a == b else 0)
            inertia[:, a, b] = inertia[:, b, a] = value
            columns[f"inertia_{names[a]}{names[b]}"] = value
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh(inertia), 0)) if n else np.zeros((0, d))
    length = 2 * np.sqrt(d + 2) * spread  # a solid ellipse (ellipsoid) of semi-axis a has the moment a^2 / (d + 2)
    for column, name in enumerate(("axis_minor", "axis_middle", "axis_major") if d == 3 else ("axis_minor", "axis_major")):
        columns[name] = length[:, column]
    return columns
