"""Whole: what the summary of a page counts over all lineages, where the page itself holds some of them only."""

from __future__ import annotations

from typing import Any

import numpy as np

from lineage.arrays import FloatArray
from lineage.films import OpenedFilm
from lineage.forest import Forest

BARS = 28  # of a histogram, at most
FAR = 0.95  # of the steps are shorter than the border is wide in which cells come and go


def whole(forest: Forest, film: OpenedFilm | None) -> dict[str, Any]:
    """Counts, counts of each frame and histograms of a forest, as the script of a small page works them out from its rows.

    Args:
        forest: Lineages.
        film: The film or its masks, which say where the field of view ends.
    """
    cells, rows, n = forest.detections, np.flatnonzero(forest.selected), max(forest.detections.n_frames, 1 if film is None else len(film))
    child = forest.child_rows
    table, lives = forest.tracklets(), forest.life_table()
    direct = child[(forest.gap[child] == 0) & (forest.n_children[forest.parent[child]] == 1)]
    steps = np.sqrt(((cells.position[direct] - cells.position[forest.parent[direct]]) ** 2).sum(1))
    low, high = _field(forest, film)
    near = 1.5 * _radius(forest, float(np.prod(high - low)))
    margin = max(float(np.sort(steps)[int(FAR * (len(steps) - 1))]) if len(steps) else 0.0, near)
    place, rim = cells.position[:, -2:], near if film is None else 0.0  # cells have a size: the field reaches beyond the outermost
    inside = np.asarray(((place - low + rim > margin) & (high - place + rim > margin)).all(1))
    begins = forest.roots[(cells.frame[forest.roots] > 0) & inside[forest.roots]]
    ends = np.flatnonzero(forest.selected & (forest.n_children == 0) & (cells.frame < n - 1) & inside)
    counted = {"cells": rows, "divisions": forest.divisions, "appear": begins, "vanish": ends}
    return {
        "detections": len(rows),
        "tracklets": len(table),
        "lineages": len(forest.roots),
        "divided": len(forest.divisions),
        "bridged": int((forest.gap > 0).sum()),
        "appeared": len(begins),
        "vanished": len(ends),
        "margin": margin,
        **{name: np.bincount(cells.frame[some], minlength=n).tolist() for name, some in counted.items()},
        "lengths": histogram(table["length"].to_numpy(float), counts=True),
        "steps": histogram(steps, counts=False),
        "lives": histogram(lives["duration"].to_numpy(float)[lives["complete"].to_numpy(bool)], counts=True),
    }


def histogram(values: FloatArray, *, counts: bool) -> dict[str, Any] | None:
    """Bars as the script of the page makes them, with the median and where nine of ten lie; None without values.

    Args:
        values: Any; float (n,).
        counts: Whether they are whole numbers; if not, bars begin at 0 and the last half percent is in the last one.
    """
    good = np.sort(values[np.isfinite(values)])
    if not len(good):
        return None
    low, high = (float(good[0]), float(good[-1])) if counts else (0.0, float(good[int(np.ceil(0.995 * (len(good) - 1)))]))
    step = max(1.0, np.ceil((high - low + 1) / BARS)) if counts else high / BARS or 1.0
    count = int((high - low) // step) + 1 if counts else BARS
    bars = np.bincount(np.minimum(((good - low) // step).astype(np.int64), count - 1), minlength=count)
    x = low + np.arange(count) * step + ((step - 1) / 2 if counts else step / 2)
    middle, begin, end = (float(good[int(part * (len(good) - 1) + 0.5)]) for part in (0.5, 0.05, 0.95))
    return {"x": x.tolist(), "bins": bars.tolist(), "step": float(step), "median": middle, "low": begin, "high": end, "count": len(good)}


def _radius(forest: Forest, room: float) -> float:
    """How large a cell is about: by its area, or a fifth of the distance to the next; at most half of that.

    Args:
        forest: Lineages.
        room: Area of the field of view, physical units squared.
    """
    cells, rows = forest.detections, forest.selected
    spacing = float(np.sqrt(room * max(cells.n_frames, 1) / max(int(rows.sum()), 1)))
    area = cells.columns.get("area", np.zeros(0))
    area = area[rows] if len(area) == len(cells) and area.dtype.kind in "iuf" and cells.n_axes == 2 else np.zeros(0)
    radius = np.sort(np.sqrt(area[area > 0] / np.pi))
    return min(float(radius[len(radius) // 2]) if len(radius) else 0.2 * spacing, 0.5 * spacing)


def _field(forest: Forest, film: OpenedFilm | None) -> tuple[FloatArray, FloatArray]:
    """The lower and the upper corner of the field of view in the plane; without a film, of the box around all cells; (2,) each."""
    cells = forest.detections
    scale = np.array(cells.scale[-2:])
    if film is not None:
        return -0.5 * scale, (np.array(film.shape[-2:]) - 0.5) * scale
    place = cells.position[forest.selected, -2:] if forest.selected.any() else np.zeros((1, 2))
    return place.min(0), place.max(0)
