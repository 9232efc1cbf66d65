"""Surprises: what a film hardly ever shows, each against the distribution of the film itself.

The score of a surprise is minus the logarithm of how many things as odd as this, or odder, a film like this one would show by
chance. The oddest of the ordinary scores about 0, and what no ordinary film shows scores high.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from lineage.arrays import Array, FloatArray, IntArray
from lineage.scoring.distance import fit_step

from .likelihood import Likelihood
from .sisters import odd_sisters

_NOTICED = 1.3  # times; a change that is smaller is no news, however steady the rest
_LEAP = 3.0  # times the median step, likewise
_ENOUGH = 20  # measured changes, to speak of a distribution
_CYCLES = 8  # complete cell cycles, likewise
_SHORT = 3  # frames; what lives no longer, and comes from nothing and becomes nothing, may be no cell


@dataclass(frozen=True, eq=False)
class Surprises:
    """Odd things of one kind.

    Attributes:
        kind: What they are called.
        row: Where to look; int (k,).
        other: The second detection that is meant, or -1; int (k,).
        score: Nats; float (k,).
        number: What is odd about each: a length, a ratio, a count; float (k,).
        usual: What is usual in the film; float (k,).
    """

    kind: str
    row: IntArray
    other: IntArray
    score: FloatArray
    number: FloatArray
    usual: FloatArray


def surprises(film: Likelihood, least: float) -> list[Surprises]:
    """Everything odd in a forest that scores at least this (nats), kind by kind."""
    found = [
        _jumps(film),
        *(_changes(film, column, kind) for column, kind in (("area", "size change"), ("intensity_mean", "brightness change"))),
        *_ends(film),
        _short_tracks(film),
        _short_daughters(film),
        _soon(film),
        _threefold(film),
        _crowds(film, begins=False),
        _crowds(film, begins=True),
        *(_made(name, mother, other, score, number, usual) for name, mother, other, score, number, usual in odd_sisters(film)),
    ]
    return [_above(some, least) for some in found]


def _above(some: Surprises, least: float) -> Surprises:
    keep = some.score >= least
    return Surprises(some.kind, some.row[keep], some.other[keep], some.score[keep], some.number[keep], some.usual[keep])


def _made(kind: str, row: IntArray, other: IntArray | None, score: FloatArray, number: Array, usual: FloatArray | float) -> Surprises:
    other = np.full(len(row), -1) if other is None else other
    return Surprises(kind, row, other, score, np.asarray(number, float), np.broadcast_to(np.asarray(usual, float), len(row)).copy())


def _none(kind: str) -> Surprises:
    nothing = np.zeros(0)
    return Surprises(kind, np.zeros(0, np.int64), np.zeros(0, np.int64), nothing, nothing, nothing)


def _steps(film: Likelihood) -> tuple[IntArray, IntArray]:
    """Links from one frame to the next of cells that do not divide: rows of the children and of their parents."""
    forest = film.forest
    child = forest.child_rows
    child = child[(forest.gap[child] == 0) & (forest.n_children[forest.parent[child]] == 1)]
    return child, forest.parent[child]


def _jumps(film: Likelihood) -> Surprises:
    """Steps that are long for the film: the square of a t step is F distributed."""
    child, parent = _steps(film)
    place, d = film.forest.detections.position, film.forest.detections.n_axes
    length = np.sqrt(((place[child] - place[parent]) ** 2).sum(1))
    model = film.model.distance
    log_p = stats.f.logsf((length / model.step) ** 2 / d, d, model.tail)
    usual = float(np.median(length)) if len(length) else 0.0
    score = np.where(length > _LEAP * usual, -log_p - np.log(max(len(child), 1)), -np.inf)
    return _made("far jump", child, parent, score, length, usual)


def _changes(film: Likelihood, column: str, kind: str) -> Surprises:
    """Steps with a sudden change of a measured column; changes that the whole frame shares (bleaching, flicker) do not count."""
    cells = film.forest.detections
    child, parent = _steps(film)
    if column not in cells.columns or cells.columns[column].dtype.kind not in "iuf":
        return _none(kind)
    value = cells.columns[column].astype(float)
    cut = cells.columns.get("touches_border", np.zeros(len(cells), bool)).astype(bool)  # what is cut off changes as it moves
    told = np.isfinite(value[child] + value[parent]) & ~cut[child] & ~cut[parent]
    child, parent = child[told], parent[told]
    if len(child) < _ENOUGH:
        return _none(kind)
    positive = float(value[child].min()) > 0 and float(value[parent].min()) > 0
    change = np.log(value[child] / value[parent]) if positive else value[child] - value[parent]
    change = change - _frame_medians(change, cells.frame[child], cells.n_frames)
    if np.median(np.abs(change)) == 0:  # most never change: these are marks, not measurements
        return _none(kind)
    scale, tail = fit_step(np.abs(change), 1, least=1e-2 * (1.0 if positive else float(value[child].std())) + 1e-12)
    log_p = np.log(2.0) + stats.t.logsf(np.abs(change) / scale, tail)
    number = np.exp(np.abs(change)) if positive else np.abs(change)
    usual = np.exp(np.median(np.abs(change))) if positive else np.median(np.abs(change))
    score = np.where(np.abs(change) > (np.log(_NOTICED) if positive else 0), -log_p - np.log(len(child)), -np.inf)
    return _made(kind, child, parent, score, number, usual)


def _frame_medians(value: FloatArray, frame: IntArray, n_frames: int) -> FloatArray:
    """The median of each one's frame, of frames with enough of them; else 0."""
    medians = np.zeros(n_frames)
    for t, some in enumerate(np.split(value, np.searchsorted(frame, np.arange(1, n_frames)))):  # rows are sorted by frame
        if len(some) >= _ENOUGH:
            medians[t] = np.median(some)
    return medians[frame]


def _ends(film: Likelihood) -> list[Surprises]:
    """Lineages that begin or end where they should not."""
    forest, log_n = film.forest, np.log(max(len(film.forest), 1))
    frame, last = forest.detections.frame, forest.detections.n_frames - 1
    begin = np.flatnonzero((forest.parent < 0) & (frame > 0))
    end = np.flatnonzero((forest.n_children == 0) & (frame < last))
    found = []
    for kind, row, cost in (("begins inside", begin, film.appear[begin]), ("ends inside", end, film.disappear[end])):
        found.append(_made(kind, row, None, cost - log_n, np.exp(-cost), len(row) / max(len(forest), 1)))
    return found


def _tracks(film: Likelihood) -> tuple[IntArray, IntArray, IntArray]:
    """First row, last row and number of frames of every path without division, gaps bridged."""
    forest = film.forest
    start = np.flatnonzero((forest.parent < 0) | (forest.n_children[np.maximum(forest.parent, 0)] >= 2))
    first = np.full(len(forest), -1)
    first[start] = start
    last = np.zeros(len(forest), np.int64)
    for rows in forest.detections.frames():  # parents lie in earlier frames
        here = np.arange(rows.start, rows.stop)
        here = here[first[here] < 0]
        first[here] = first[forest.parent[here]]
    last[first] = np.arange(len(forest))  # rows are sorted by frame: the last one written is the last one
    frame = forest.detections.frame
    return start, last[start], frame[last[start]] - frame[start] + 1


def _short_tracks(film: Likelihood) -> Surprises:
    """Tracks that come from nothing and, soon after, become nothing."""
    forest = film.forest
    start, end, length = _tracks(film)
    short = (forest.parent[start] < 0) & (forest.n_children[end] == 0) & (length <= _SHORT)
    start, end, length = start[short], end[short], length[short]
    score = film.appear[start] + film.disappear[end] - np.log(max(len(forest), 1) * np.maximum(length, 1))
    return _made("short track", start, end, np.where(film.appear[start] * film.disappear[end] > 0, score, -np.inf), length, _SHORT)


def _short_daughters(film: Likelihood) -> Surprises:
    """Daughters that are lost soon after their birth."""
    forest = film.forest
    start, end, length = _tracks(film)
    lost = (forest.parent[start] >= 0) & (forest.n_children[end] == 0) & (film.disappear[end] > 0)
    daughters = max(int((forest.parent[start] >= 0).sum()), 1)
    lost &= length <= _SHORT
    score = film.disappear[end] - np.log(daughters * np.maximum(length, 1))
    return _made("daughter lost", start[lost], forest.parent[start[lost]], score[lost], length[lost], _SHORT)


def _soon(film: Likelihood) -> Surprises:
    """Divisions that follow too soon on the last one, against the film's own cell cycles (log-t: robust middle and spread, heavy tails)."""
    forest = film.forest
    start, end, length = _tracks(film)
    full = (forest.parent[start] >= 0) & (forest.n_children[end] >= 2)
    whole, mother, log_length = end[full], forest.parent[start[full]], np.log(length[full])
    if len(whole) < _CYCLES:
        return _none("division too soon")
    middle = float(np.median(log_length))
    spread = max(1.4826 * float(np.median(np.abs(log_length - middle))), 0.1)
    log_p = stats.t.logcdf((log_length - middle) / spread, 3)
    score = np.where(log_length < middle - np.log(_NOTICED), -log_p - np.log(len(whole)), -np.inf)
    return _made("division too soon", whole, mother, score, length[full], np.exp(middle))


def _threefold(film: Likelihood) -> Surprises:
    """Cells with three children or more."""
    row = np.flatnonzero(film.forest.n_children >= 3)
    score = np.full(len(row), -2 * np.log(film.model.divide) - np.log(max(len(film.forest), 1)))
    return _made("divides in three", row, None, score, film.forest.n_children[row].astype(float), 2.0)


def _crowds(film: Likelihood, *, begins: bool) -> Surprises:
    """Frames in which many cells are lost, or turn up, at once: against a Poisson number of the film's usual mean."""
    forest, cells = film.forest, film.forest.detections
    n = cells.n_frames
    if n < 3 or not len(forest):
        return _none("many begin" if begins else "many end")
    rows = forest.roots if begins else np.flatnonzero(forest.n_children == 0)
    rows = rows[cells.frame[rows] > 0] if begins else rows[cells.frame[rows] < n - 1]
    count = np.bincount(cells.frame[rows], minlength=n)
    inner = count[1:] if begins else count[:-1]
    usual = max(float(stats.trim_mean(inner, 0.1)), 1.0 / n)
    spread = max(float(inner.var()) / usual, 1.0) if len(inner) > _ENOUGH else 1.0  # clumsy films lose cells in clumps
    log_p = stats.poisson.logsf(count / spread - 1, usual / spread)
    odd = np.flatnonzero(count >= 3)
    first = np.array([rows[cells.frame[rows] == t][0] for t in odd], np.int64)
    return _made("many begin" if begins else "many end", first, None, (-log_p - np.log(n))[odd], count[odd].astype(float), usual)
