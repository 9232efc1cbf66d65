"""Facts: what a network is told of the cells and candidate links of a film, free of place, direction and unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from lineage.arrays import Array, BoolArray, FloatArray, IntArray
from lineage.candidates import displacements, expected, spacings
from lineage.detections import Detections
from lineage.graph import CandidateGraph
from lineage.program import all_pairs
from lineage.scoring.events import border_distance

REACH = 2  # frames before and after in which a cell has neighbours
NEAREST = {0: 6, 1: 6, 2: 4}  # neighbours in its own frame, in the next to it, and in the second
CELL, LINK = 16, 24  # facts of a cell and of a link
LATE = 5  # longest gap that has a fact of its own
_FAR = 6.0  # lengths beyond so many units are all the same


@dataclass(frozen=True, eq=False)
class Facts:
    """A candidate graph as a network sees it: n detections, m links, k neighbours each, d axes.

    Lengths are in units of a cell's diameter in its frame, the movement of the whole field undone. All but ``away`` and ``step`` stay as
    they are when the film is turned or mirrored; these two turn with it.

    Attributes:
        cell: Facts of every detection, 0 where not known; float (n, CELL).
        near: Neighbours in space and time, itself first, -1 where there are fewer; int (n, k).
        late: Frames from the detection to each neighbour; int (n, k).
        away: From where the field carries the detection to each neighbour; float (n, k, d).
        source, target: Rows of the detections that each link joins; int (m,).
        link: Facts of every link; float (m, LINK).
        step: From where the field carries the source to the target; float (m, d).
    """

    cell: FloatArray
    near: IntArray
    late: IntArray
    away: FloatArray
    source: IntArray
    target: IntArray
    link: FloatArray
    step: FloatArray


def facts(graph: CandidateGraph) -> Facts:
    """Measure what a network is told of a film.

    Args:
        graph: Candidate links with the column ``distance``; ``iou`` and ``overlap``, and the detections' area, axes and intensity count
            where they are known.
    """
    cells = graph.detections
    unit = units(cells)
    steps = displacements(cells)[0]
    usual = float(np.median(steps / np.median(unit))) if len(steps) else 0.2
    crowd = spacings(cells)[cells.frame] / unit
    near, late = _neighbours(cells)
    away = _bounded((_place(cells)[near] - _carried(cells, late)) / unit[:, None, None])
    away[near < 0] = 0.0
    lead = [graph.columns[f"lead_{axis}"] for axis in cells.axes if f"lead_{axis}" in graph.columns]
    step = cells.position[graph.target] - cells.position[graph.source] - (np.stack(lead, axis=1) if lead else 0.0)
    step = _bounded(step / unit[graph.source][:, None])
    own = np.column_stack([_of_cells(cells, unit), np.full(len(cells), np.log(max(usual, 1e-2))), _log(crowd, 3.0)])
    return Facts(own, near, late, away, graph.source, graph.target, _of_links(graph, unit, step, usual), step)


def units(cells: Detections) -> FloatArray:
    """Diameter of a cell in the frame of each detection, physical units; float (n,).

    From the areas where they are known, else most of the distance between neighbours; frames with few cells are drawn to the film's.
    """
    if "area" in cells.columns and len(cells):
        area, count = cells.columns["area"], np.bincount(cells.frame, minlength=cells.n_frames)
        power = 1 / cells.n_axes
        film = float(np.median(area)) ** power
        frame = np.array([float(np.median(area[rows])) ** power if rows.stop > rows.start else film for rows in cells.frames()])
        size = 1.13 * (frame * count + 2 * film) / (count + 2)
    else:
        size = 0.7 * spacings(cells)
    if not (np.isfinite(size) & (size > 0)).all():  # one point a frame: only its steps have a length
        steps = displacements(cells)[0]
        size = np.where(np.isfinite(size) & (size > 0), size, (float(np.median(steps)) if len(steps) else 0.0) or 1.0)
    return np.asarray(size[cells.frame], float)


def _place(cells: Detections) -> FloatArray:
    """Position of every detection and, last, of none; float (n + 1, d)."""
    return np.vstack([cells.position, np.zeros((1, cells.n_axes))])


def _carried(cells: Detections, late: IntArray) -> FloatArray:
    """Where the field carries each detection by so many frames; float (n, k, d)."""
    ahead = (expected(cells, "ahead") - cells.position)[:, None]
    behind = (expected(cells, "behind") - cells.position)[:, None]
    return cells.position[:, None] + np.maximum(late, 0)[..., None] * ahead + np.maximum(-late, 0)[..., None] * behind


def _neighbours(cells: Detections) -> tuple[IntArray, IntArray]:
    """The nearest cells of each frame around, itself first; rows (-1 for none) and frames away, int (n, k) each."""
    trees = [cKDTree(cells.position[rows]) if rows.stop > rows.start else None for rows in cells.frames()]
    firsts = [rows.start for rows in cells.frames()]
    offsets = [0, *(sign * dt for dt in range(1, REACH + 1) for sign in (-1, 1))]
    near, late = [np.arange(len(cells))[:, None]], [np.zeros((len(cells), 1), np.int64)]
    for offset in offsets:
        count = NEAREST[abs(offset)]
        which = np.full((len(cells), count + (offset == 0)), -1)
        there = _carried(cells, np.full((len(cells), 1), offset))[:, 0]
        for t, rows in enumerate(cells.frames()):
            tree = trees[t + offset] if 0 <= t + offset < len(trees) else None
            if tree is None or rows.stop == rows.start:
                continue
            k = min(which.shape[1], tree.n)
            which[rows, :k] = np.asarray(tree.query(there[rows], k=list(range(1, k + 1)))[1]) + firsts[t + offset]
        if offset == 0:  # itself is there already; where others lie on it, the last one goes
            itself = which == np.arange(len(cells))[:, None]
            itself[:, -1] |= ~itself.any(axis=1)
            which = which[~itself].reshape(len(cells), count)
        near.append(which)
        late.append(np.full(which.shape, offset))
    return np.hstack(near), np.hstack(late)


def _of_cells(cells: Detections, unit: FloatArray) -> FloatArray:
    """Facts of every detection but those of the film; float (n, CELL - 2)."""
    n, known = len(cells), cells.columns
    size = _log(known["area"]) if "area" in known and n else np.zeros(n)
    size = size - np.median(size) if n else size
    shape = "axis_major" in known and "axis_minor" in known
    long = _log(known["axis_major"] / np.maximum(known["axis_minor"], 1e-12)) if shape else np.zeros(n)
    light, grain = (_standing(cells, name) for name in ("intensity_mean", "intensity_std"))
    border = np.exp(-np.minimum(border_distance(cells) / unit, 20.0))
    near = _log(_distances_in_frame(cells) / unit[:, None], 3.0)
    start, end = np.minimum(cells.frame, 4) / 4, np.minimum(cells.n_frames - 1 - cells.frame, 4) / 4
    flags = [np.full(n, float(there)) for there in ("area" in known, shape, "intensity_mean" in known)]
    return np.column_stack([size, _within_frame(cells, size), long, light, grain, border, near, start, end, *flags])


def _standing(cells: Detections, name: str) -> FloatArray:
    """How many standard deviations of its frame a column of each detection is above the mean; 0 where it is not known; float (n,)."""
    if name not in cells.columns or not len(cells):
        return np.zeros(len(cells))
    value, count = np.asarray(cells.columns[name], float), np.maximum(np.bincount(cells.frame), 1)
    value = value - (np.bincount(cells.frame, value) / count)[cells.frame]
    spread = np.sqrt(np.bincount(cells.frame, value**2) / count)[cells.frame]
    return np.clip(value / np.maximum(spread, 1e-12), -4, 4)


def _within_frame(cells: Detections, value: FloatArray) -> FloatArray:
    """A column less its median in each frame; float (n,)."""
    middle = np.array([float(np.median(value[rows])) if rows.stop > rows.start else 0.0 for rows in cells.frames()])
    return np.clip(value - middle[cells.frame], -4, 4)


def _distances_in_frame(cells: Detections) -> FloatArray:
    """Distance to the three nearest cells of the same frame, infinite where there are fewer; float (n, 3)."""
    near = np.full((len(cells), 3), np.inf)
    for rows in cells.frames():
        if rows.stop - rows.start > 1:
            place = cells.position[rows]
            near[rows] = np.asarray(cKDTree(place).query(place, k=[2, 3, 4])[0])
    return near


def _of_links(graph: CandidateGraph, unit: FloatArray, step: FloatArray, usual: float) -> FloatArray:
    """Facts of every link; float (m, LINK)."""
    cells, known, dt = graph.detections, graph.columns, graph.dt
    length = np.sqrt((step**2).sum(axis=1))
    bare = cells.position[graph.target] - cells.position[graph.source]
    bare_length = np.minimum(np.sqrt((bare**2).sum(axis=1)) / unit[graph.source], _FAR)
    late = [(dt == k).astype(float) for k in range(1, LATE)] + [np.log(dt)]
    far = [length, _log(length + 0.05), np.log1p(length / (max(usual, 1e-2) * np.sqrt(dt))), bare_length]
    iou = known.get("iou", np.zeros(len(graph)))
    shared = known.get("overlap", np.zeros(len(graph))) * float(np.prod(cells.scale))
    area = cells.columns.get("area", np.full(len(cells), np.inf))
    overlap = [iou, shared / area[graph.source], shared / area[graph.target], np.full(len(graph), float("iou" in known))]
    size = _log(cells.columns["area"]) if "area" in cells.columns else np.zeros(len(cells))
    growth = np.clip(size[graph.target] - size[graph.source], -3, 3)
    light = _standing(cells, "intensity_mean")
    alike = [growth, np.abs(growth), light[graph.target] - light[graph.source]]
    rivals = [*_rivals(graph.target, dt, length), *_rivals(graph.source, dt, length)]
    return np.column_stack([*late, *far, *overlap, *alike, *rivals, _sisters(graph, unit, step, size)])


def _rivals(end: IntArray, dt: IntArray, length: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Among the links of one end with the same lateness: 1 / rank by length, and how much longer than the shortest; float (m,) each."""
    order = np.lexsort((length, dt, end))
    fresh = np.ones(len(end), bool)
    fresh[1:] = (np.diff(end[order]) != 0) | (np.diff(dt[order]) != 0)
    first = np.maximum.accumulate(np.where(fresh, np.arange(len(end)), 0))
    rank, more = np.empty(len(end)), np.empty(len(end))
    rank[order] = 1.0 / (1 + np.arange(len(end)) - first)
    more[order] = length[order] - length[order][first]
    return rank, more


def _sisters(graph: CandidateGraph, unit: FloatArray, step: FloatArray, size: FloatArray) -> FloatArray:
    """The most symmetric sister that a target could have: how far their middle is from the mother, how far they are apart, their sizes.

    Returns:
        Middle and separation (units), log of the sisters' mean size over the mother's, whether there is such a sister; float (m, 4).
    """
    found = np.zeros((len(graph), 4))
    found[:, :2] = _FAR
    soon = np.flatnonzero(graph.dt == 1)
    if not len(soon):
        return found
    near = graph.keep(soon)
    pairs = soon[all_pairs(near, np.unique(near.source))]
    middle = np.sqrt(((step[pairs[:, 0]] + step[pairs[:, 1]]) ** 2).sum(axis=1)) / 2
    best, who, sister = _best(np.concatenate([pairs, pairs[:, ::-1]]), np.tile(middle, 2), len(graph))
    apart = np.sqrt(((step[who] - step[sister]) ** 2).sum(axis=1))
    loss = (size[graph.target[who]] + size[graph.target[sister]]) / 2 - size[graph.source[who]]
    found[who] = np.column_stack([best, np.minimum(apart, 2 * _FAR), np.clip(loss, -3, 3), np.ones(len(who))])
    return found


def _best(pairs: IntArray, value: FloatArray, m: int) -> tuple[FloatArray, IntArray, IntArray]:
    """The partner with the least value of every link that has one: value, link, partner."""
    order = np.lexsort((pairs[:, 1], value, pairs[:, 0]))
    link = pairs[order, 0]
    first: BoolArray = np.append(True, np.diff(link) != 0) if len(link) else np.zeros(0, bool)
    return value[order][first], link[first], pairs[order, 1][first]


def _bounded(vector: FloatArray) -> FloatArray:
    """Vectors of no more than a certain length; float (..., d)."""
    length = np.sqrt((vector**2).sum(axis=-1, keepdims=True))
    return vector * np.minimum(1.0, _FAR / np.maximum(length, 1e-12))


def _log(value: Array, most: float = 30.0) -> FloatArray:
    """Logarithm, bounded on both sides."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(np.clip(np.log(np.asarray(value, float)), -most, most), nan=0.0, posinf=most, neginf=-most)
