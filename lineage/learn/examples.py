"""Examples: films whose lineages are known, made harder by lot, as graphs with the right answer for every cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lineage.arrays import Array, BoolArray, Film, FloatArray, IntArray, Progress, silent
from lineage.candidates import overlapping
from lineage.detections import Detections
from lineage.forest import Forest
from lineage.graph import CandidateGraph

from .facts import Facts, facts, units

Propose = Callable[[Detections], CandidateGraph]

NOBODY, UNKNOWN = -1, -2  # answers that are no link
STEPS = (1, 1, 1, 2, 3)  # every how many frames one is kept, by lot
LONGEST = 10  # frames between masks whose overlap is remembered
_SIZES = ("area", "axis_major", "axis_minor")
_LIGHTS = ("intensity_mean", "intensity_std")


@dataclass(frozen=True, eq=False)
class Example:
    """A candidate graph and what is true of it; n detections, m links.

    Attributes:
        facts: What the network is told.
        answer: For every detection the link to its parent, ``NOBODY`` where none of the links is, ``UNKNOWN`` where it is not known;
            int (n,).
        wrong: Links that are known to be false although the parent is not known; int (k,).
    """

    facts: Facts
    answer: IntArray
    wrong: IntArray

    @classmethod
    def of(cls, graph: CandidateGraph, parent: IntArray, known: BoolArray) -> Example:
        """The example of a graph whose parents are known.

        Args:
            graph: Candidate links.
            parent: Row of the true parent of every detection, over missed frames too, -1 for none; int (n,).
            known: Whether it is known; bool (n,).
        """
        answer = np.full(len(parent), NOBODY)
        true = np.flatnonzero((parent[graph.target] == graph.source) & known[graph.target])
        answer[graph.target[true]] = true
        return cls(facts(graph), np.where(known, answer, UNKNOWN), np.zeros(0, np.int64))


@dataclass(frozen=True, eq=False)
class Lesson:
    """A film whose lineages are known.

    Attributes:
        cells: Its detections; n of them.
        parent: Row of the true parent of each, over missed frames too, -1 for none; int (n,).
        known: Whether that is known; bool (n,).
        pairs: Detections that share pixels, as ``row * n + row`` of the later one, rising; int (p,).
        shared: Their intersection over union, and the pixels they share; float (2, p). None for points.
        name: For messages and tables.
    """

    cells: Detections
    parent: IntArray
    known: BoolArray
    pairs: IntArray
    shared: FloatArray | None
    name: str = "film"

    @classmethod
    def of(
        cls,
        truth: Forest,
        labels: Film | None = None,
        *,
        known: BoolArray | None = None,
        name: str = "film",
        progress: Progress[int] = silent,
    ) -> Lesson:
        """What can be learned from true lineages.

        Args:
            truth: True lineages over the detections of the film; detections that are not selected are no cells.
            labels: The label film, for the overlaps.
            known: Detections whose parent is known; all when not given. Bool (n,).
            name: For messages and tables.
            progress: Wraps the loop over frames.

        Raises:
            ValueError: There is nothing to learn: fewer than two frames with cells, or no link.
        """
        cells = truth.detections
        if len(np.unique(cells.frame)) < 2:
            raise ValueError(f"{name} has cells in {len(np.unique(cells.frame))} frames: nothing can be learned from fewer than two")
        if not (truth.parent >= 0).any():
            raise ValueError(f"{name} has no link between its {len(cells)} cells: give true lineages")
        known = np.ones(len(cells), bool) if known is None else known
        if labels is None:
            return cls(cells, truth.parent, known, np.zeros(0, np.int64), None, name)
        graph = overlapping(cells, labels, max_gap=LONGEST - 1, progress=progress)
        shared = np.stack([graph.columns["iou"], graph.columns["overlap"].astype(float)])
        return cls(cells, truth.parent, known, graph.source * len(cells) + graph.target, shared, name)

    def between(self, start: int, stop: int) -> Lesson:
        """The film from one frame to before another, as a film of its own."""
        rows = np.arange(self.cells.at(start).start, self.cells.at(max(stop - 1, 0)).stop)
        return self.only(rows, (self.cells.frame[rows] - start), min(stop, self.cells.n_frames) - start)

    def only(self, rows: IntArray, frame: IntArray, n_frames: int) -> Lesson:
        """Some of the cells (rows rising), with other frame numbers; who lost their parent come from its nearest kept ancestor."""
        n, new = len(self.cells), np.full(len(self.cells) + 1, -1)
        new[rows] = np.arange(len(rows))
        up = self.parent[rows]
        while np.any(lost := (up >= 0) & (new[up] < 0)):
            up = np.where(lost, self.parent[up], up)
        cells = replace(self.cells.take(rows), frame=frame, n_frames=n_frames)
        source, target = np.divmod(self.pairs, max(n, 1))
        both = (new[source] >= 0) & (new[target] >= 0)
        pairs = new[source[both]] * len(rows) + new[target[both]]
        shared = None if self.shared is None else self.shared[:, both]
        return Lesson(cells, new[up], self.known[rows], pairs, shared, self.name)

    def graph(self, propose: Propose, *, overlaps: bool = True) -> CandidateGraph:
        """Candidate links, with their overlaps where they are known and wanted."""
        graph = propose(self.cells)
        if self.shared is None or not overlaps:
            return graph
        key = graph.source * len(self.cells) + graph.target
        at = np.minimum(np.searchsorted(self.pairs, key), max(len(self.pairs) - 1, 0))
        met = self.pairs[at] == key if len(self.pairs) else np.zeros(len(key), bool)
        iou, overlap = np.where(met, self.shared[:, at], 0.0) if len(self.pairs) else np.zeros((2, len(key)))
        return graph.with_columns(iou=iou, overlap=overlap)

    def example(self, propose: Propose) -> Example:
        """The film as it is."""
        return Example.of(self.graph(propose), self.parent, self.known)


def varied(lesson: Lesson, propose: Propose, rng: np.random.Generator, *, frames: int = 12, most: int = 1500) -> Example:
    """A piece of a film, made harder by lot: frames left out, cells missed, false ones, jitter, drift, stretching, and facts unknown.

    Turning, mirroring and changes of unit are not among it, for they change nothing that the network is told.

    Args:
        lesson: The film.
        propose: Detections -> candidate links.
        rng: Where the lots come from.
        frames: Length of the piece.
        most: Cells in it, about, at most; crowded films give shorter pieces.
    """
    piece = _piece(lesson, rng, frames, most)
    jitter = _perhaps(rng, 0.4, 0.0, 0.15)
    piece = _moved(_with_false(piece, _perhaps(rng, 0.4, 0.0, 0.06), rng), jitter, rng)
    piece, masks = _hidden(piece, rng)
    graph = piece.graph(propose, overlaps=masks and jitter < 0.05)
    return Example.of(graph, piece.parent, piece.known)


def _perhaps(rng: np.random.Generator, chance: float, low: float, high: float) -> float:
    """A number between two others with some chance, else 0."""
    return float(rng.uniform(low, high)) if rng.random() < chance else 0.0


def _piece(lesson: Lesson, rng: np.random.Generator, frames: int, most: int) -> Lesson:
    """Some frames of a film, some of them left out, and some cells missed."""
    cells = lesson.cells
    step = min(int(rng.choice(STEPS)), max(1, (cells.n_frames - 1) // 3))
    length = min(frames * step, cells.n_frames)
    start = int(rng.integers(0, cells.n_frames - length + 1))
    per_frame = len(cells) / cells.n_frames
    length = min(length, step * max(3, int(most / max(per_frame, 1))))
    missed = _perhaps(rng, 0.5, 0.0, 0.12)
    inside = (cells.frame >= start) & (cells.frame < start + length) & ((cells.frame - start) % step == 0)
    rows = np.flatnonzero(inside & (rng.random(len(cells)) >= missed))
    return lesson.only(rows, (cells.frame[rows] - start) // step, -(-length // step))


def _with_false(lesson: Lesson, share: float, rng: np.random.Generator) -> Lesson:
    """False cells in between: each near a true one and like another."""
    cells, n = lesson.cells, len(lesson.cells)
    count = int(rng.binomial(n, share)) if n else 0
    if not count:
        return lesson
    at, like = rng.integers(0, n, count), rng.integers(0, n, count)
    course = rng.normal(size=(count, cells.n_axes))
    course *= (units(cells)[at] * rng.uniform(0.7, 3.0, count) / np.maximum(np.linalg.norm(course, axis=1), 1e-12))[:, None]
    rows, order = np.concatenate([np.arange(n), like]), np.argsort(np.concatenate([cells.frame, cells.frame[at]]), kind="stable")
    frame = np.concatenate([cells.frame, cells.frame[at]])[order]
    place = np.concatenate([cells.position, cells.position[at] + course])[order]
    columns = {name: column[rows][order] for name, column in cells.columns.items()}
    more = Detections(frame, place, cells.label[rows][order], columns, cells.scale, n_frames=cells.n_frames)
    new = np.empty(n + count, np.int64)
    new[order] = np.arange(n + count)
    parent, known = np.full(n + count, -1), np.ones(n + count, bool)
    parent[new[:n]] = np.where(lesson.parent >= 0, new[lesson.parent], -1)
    known[new[:n]] = lesson.known
    source, target = np.divmod(lesson.pairs, n)
    pairs = new[source] * (n + count) + new[target]
    rising = np.argsort(pairs)
    return Lesson(more, parent, known, pairs[rising], None if lesson.shared is None else lesson.shared[:, rising], lesson.name)


def _moved(lesson: Lesson, jitter: float, rng: np.random.Generator) -> Lesson:
    """Cells misplaced and mismeasured, the field stretched, drifting or jumping; lengths in cell diameters."""
    cells = lesson.cells
    if not len(cells):
        return lesson
    unit, d = units(cells), cells.n_axes
    drift = rng.normal(size=d) * _perhaps(rng, 0.15, 0.0, 0.7)
    jumps = rng.normal(size=(cells.n_frames, d)) * _perhaps(rng, 0.1, 0.0, 1.0) * (rng.random((cells.n_frames, 1)) < 0.3)
    stage = (np.arange(cells.n_frames)[:, None] * drift + np.cumsum(jumps, axis=0)) * float(np.median(unit))
    place = cells.position * np.exp(_perhaps(rng, 0.4, -0.25, 0.25)) + stage[cells.frame]
    place = place + rng.normal(size=place.shape) * (jitter * unit)[:, None]
    noisy = {name: cells.columns[name] * np.exp(jitter * rng.normal(size=len(cells))) for name in _SIZES if name in cells.columns}
    return replace(lesson, cells=replace(cells, position=place, columns={**cells.columns, **noisy}))


def _hidden(lesson: Lesson, rng: np.random.Generator) -> tuple[Lesson, bool]:
    """Facts that are not always known hidden by lot: intensities, overlaps, or all but the places; and whether overlaps stay."""
    points = rng.random() < 0.1
    gone: Sequence[str] = (*(_LIGHTS if points or rng.random() < 0.5 else ()), *(_SIZES if points else ()))
    columns: dict[str, Array] = {name: column for name, column in lesson.cells.columns.items() if name not in gone}
    return replace(lesson, cells=replace(lesson.cells, columns=columns)), not points and rng.random() < 0.85
