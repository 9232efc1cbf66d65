"""Traits: what a cell looks like, one number each: its size, its brightness, its shape."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from lineage.arrays import Array, FloatArray
from lineage.detections import Detections

NEEDED = {"size": ("area",), "intensity": ("intensity_mean",), "shape": ("axis_major", "axis_minor")}  # columns of detections


def traits(detections: Detections, names: Iterable[str] = tuple(NEEDED)) -> dict[str, FloatArray]:
    """The traits of every detection that its columns tell, by name; float (n,) each.

    ``size`` is the logarithm of the area (volume). ``shape`` is the logarithm of the longest over the shortest axis. ``intensity`` is
    the mean intensity among the cells of its frame (see ``among_frame``): neither the gain nor the offset of the camera matters, nor
    bleaching or flicker. A trait is left out where a number is not finite, or where an area or an axis is not positive.
    """
    known: dict[str, FloatArray] = {}
    for name in (name for name in names if name in NEEDED):
        facts = [detections.columns.get(column) for column in NEEDED[name]]
        if any(fact is None or fact.dtype.kind not in "iuf" or not np.isfinite(fact).all() for fact in facts):
            continue
        first, last = np.asarray(facts[0], float), np.asarray(facts[-1], float)
        if name == "intensity":
            known[name] = among_frame(first, detections)
        elif (first > 0).all() and (last > 0).all():
            known[name] = np.log(first) if name == "size" else np.log(first / last)
    return known


def among_frame(value: Array, detections: Detections) -> FloatArray:
    """Each value above or below the median of its frame, in mean absolute deviations of the frame, far ones drawn in; float (n,).

    Invariant under any rising linear change of a frame's values. Near the median it is linear, far from it logarithmic, for what
    is bright is often bright by a factor. 0 where all cells of a frame are alike.
    """
    away = np.zeros(len(value))
    for rows in detections.frames():
        if rows.stop > rows.start:
            off = value[rows] - np.median(value[rows])
            usual = float(np.abs(off).mean())
            away[rows] = off / usual if usual > 1e-9 * float(np.abs(value[rows]).max()) else 0.0
    return np.asarray(np.sign(away) * np.log1p(np.abs(away)), float)


def log_size(detections: Detections) -> FloatArray:
    """Logarithm of the area (volume) of every detection; (n,)."""
    return np.log(np.maximum(detections.columns["area"], 1e-12))
