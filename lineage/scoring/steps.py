"""Steps: where each cell is expected in the next frame, from its own steps before and from those of its neighbours."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from lineage.arrays import FloatArray
from lineage.candidates import expected, nearest, union
from lineage.forest import Forest
from lineage.graph import CandidateGraph

from .course import Course
from .distance import fit_step, log_step

_NEIGHBOURS = 6
_MET = 2  # cells near to where one heads that may be it
_LEAST = 50  # steps to learn from
_PRIOR = 5.0  # divisions' worth of the guess that mothers move as others do
_WORTH = 0.12  # nats a link, on average, that expectations must bring
_MORE = 0.02  # nats a link that all steps before must say more than the last one


@dataclass(frozen=True)
class Steps:
    """How much of its step a cell repeats, and how much it shares the steps of its neighbours.

    Cells keep their course (persistence), and tissues flow: what a cell did before and what its neighbours do in this frame
    says where it goes. Both are counted beyond the movement of the whole field.

    Attributes:
        own: Part that a cell makes of the step that its course says, or of its own last step.
        flow: Part of the mean step of its neighbours that it shares.
        alone: The same, for a cell whose last step is not known.
        mother: Part of its expected step that the middle of a mother's daughters makes.
        worth: What this brings, nats a link.
        course: How cells keep their course, if all steps before say more than the last one.
    """

    own: float
    flow: float
    alone: float
    mother: float
    worth: float
    course: Course | None = None

    @property
    def kept(self) -> float:
        """Part of a step that the next one repeats. Over missed frames cells are expected to come no farther, whatever their course."""
        return self.course.repeated if self.course else min(max(self.own, 0.0), 0.95)

    def shift(self, last: FloatArray, around: FloatArray) -> FloatArray:
        """Expected step of every cell in the next frame; float (n, d), physical units.

        Args:
            last: Its last step, or what its course says, NaN where it is not known; float (n, d).
            around: Mean step of its neighbours, 0 where there are none; float (n, d).
        """
        known = np.isfinite(last).all(axis=1, keepdims=True)
        return np.where(known, self.own * np.nan_to_num(last) + self.flow * around, self.alone * around)


@dataclass(frozen=True, eq=False)
class Heading:
    """Where the cells of a film head.

    Attributes:
        steps: What is known of how they move.
        shift: Expected step of each in the next frame, beyond the field's; float (n, d), physical units.
    """

    steps: Steps
    shift: FloatArray


def heading(graph: CandidateGraph, forest: Forest, *, known: bool = False, least: float = 0.0) -> Heading | None:
    """Where each cell's own and its neighbours' steps lead, if that explains the links of a solution better than the field alone.

    Args:
        graph: Candidate links, with their distances from where the field alone would carry the cells.
        forest: A solution over the same detections.
        known: Whether it is known what the cells look like. Then no step counts that is much longer than others, so that a few cells
            that run in a resting film are told apart by their looks where they meet; of points nothing is known but their courses.
        least: Smallest scale of steps that positions can tell, physical units.
    """
    last, nexts = _own_steps(graph, forest, known=known)
    around = _around(graph, nexts)
    steps = _learned(last, nexts, around, least)
    if (course := Course.fit(forest, last)) is not None:
        hope = course.ahead(forest, last)
        better = _learned(hope, nexts, around, least)
        if better is not None and (steps is None or better.worth > steps.worth + _MORE):
            steps, last = replace(better, course=course), hope
    if steps is None:
        return None
    shift = steps.shift(last, around)
    return Heading(replace(steps, mother=_of_mothers(graph, forest, shift)), shift)


def met(graph: CandidateGraph, head: Heading, radius: float | None = None) -> CandidateGraph:
    """The graph with links to the cells that lie nearest to where each one heads, be they far from where the field alone carries it.

    Args:
        graph: Candidate links, with their distances from where the field carries the cells.
        head: Where the cells head.
        radius: See ``nearest``.
    """
    cells = graph.detections
    field = expected(cells)
    place = field + head.shift
    near = nearest(cells, _MET, radius=radius, ahead=lambda _: place)
    distance = np.sqrt(((cells.position[near.target] - field[near.source]) ** 2).sum(axis=1))
    lead = (field - cells.position)[near.source]
    leads = {name: lead[:, k] for k, axis in enumerate(cells.axes) if (name := f"lead_{axis}") in graph.columns}
    return union([replace(near, columns={"distance": distance, **leads}), graph])


def followed(graph: CandidateGraph, head: Heading) -> CandidateGraph:
    """The graph with every cell expected where it heads.

    Distances and the columns ``ahead_*`` of the detections are changed; over missed frames the steps die away.
    """
    steps, shift = head.steps, head.shift
    kept = (1 - steps.kept**graph.dt) / (1 - steps.kept)  # what is repeated of a step is repeated again, and less each time
    start = _start(graph) + kept[:, None] * shift[graph.source]
    cells = graph.detections
    place = expected(cells) + steps.mother * shift  # of plain links the distance has it all; what is left to say is where daughters lie
    columns = {f"ahead_{axis}": place[:, k] for k, axis in enumerate(cells.axes)}
    distance = np.sqrt(((cells.position[graph.target] - start) ** 2).sum(axis=1))
    return replace(graph.with_columns(distance=distance), detections=cells.with_columns(**columns))


def _start(graph: CandidateGraph) -> FloatArray:
    """Where the field carries the source of every edge; float (m, d)."""
    cells = graph.detections
    lead = [graph.columns[f"lead_{axis}"] for axis in cells.axes if f"lead_{axis}" in graph.columns]
    return cells.position[graph.source] + (np.stack(lead, axis=1) if lead else 0.0)


def _own_steps(graph: CandidateGraph, forest: Forest, *, known: bool) -> tuple[FloatArray, FloatArray]:
    """The step of every cell into its frame and out of it, beyond the field's, NaN where there is none or it divides; float (n, d) each."""
    cells, child = graph.detections, forest.child_rows
    mother = forest.parent[child]
    plain = (forest.gap[child] == 0) & (forest.n_children[mother] == 1)
    child, mother = child[plain], mother[plain]
    last, nexts = np.full((2, *cells.position.shape), np.nan)
    last[child] = cells.position[child] - expected(cells)[mother]
    last[child] = nexts[mother] = _bounded(last[child]) if known else _believed(last[child], last[mother])
    return last, nexts


def _believed(step: FloatArray, before: FloatArray) -> FloatArray:
    """Steps as far as they are usual, or differ from the cell's step before as usual: a wrong link leads nobody astray; float (m, d)."""
    usual, turned = _bounded(step), before + _bounded(step - before)
    nearer = ((turned - step) ** 2).sum(axis=1) < ((usual - step) ** 2).sum(axis=1)  # not where the step before is not known
    return np.where(nearer[:, None], turned, usual)


def _bounded(vectors: FloatArray) -> FloatArray:
    """Vectors no longer than three times the usual length; float (m, d), NaN where they are."""
    length = np.sqrt((vectors**2).sum(axis=1))
    known = length[np.isfinite(length)]
    longest = 3 * float(np.median(known)) if len(known) else 0.0
    return vectors * np.minimum(1, longest / np.maximum(length, 1e-12))[:, None]


def _around(graph: CandidateGraph, nexts: FloatArray) -> FloatArray:
    """Mean step of the nearest neighbours of every cell, itself left out; float (n, d), 0 where there are none."""
    cells = graph.detections
    around = np.zeros_like(cells.position)
    for rows in cells.frames():
        known = np.flatnonzero(np.isfinite(nexts[rows]).all(axis=1)) + rows.start
        if len(known) <= _NEIGHBOURS:
            continue
        near = known[np.asarray(cKDTree(cells.position[known]).query(cells.position[rows], k=_NEIGHBOURS + 1)[1])]
        other = near != np.arange(rows.start, rows.stop)[:, None]
        other[:, -1] &= ~other[:, :-1].all(axis=1)  # a cell that is not among its own neighbours has one too many
        around[rows] = (nexts[near] * other[..., None]).sum(axis=1) / other.sum(axis=1)[:, None]
    return around


def _learned(last: FloatArray, nexts: FloatArray, around: FloatArray, least: float) -> Steps | None:
    """Least squares on the steps of a solution, and what they bring."""
    gone = np.isfinite(nexts).all(axis=1)
    both = gone & np.isfinite(last).all(axis=1)
    if both.sum() < _LEAST:
        return None
    own, flow = _least_squares((last[both], around[both]), nexts[both])
    (alone,) = _least_squares((around[gone],), nexts[gone])
    steps = Steps(own, flow, alone, 1.0, 0.0)
    worth = _explained(nexts[gone], steps.shift(last, around)[gone], least)
    return replace(steps, worth=worth) if worth > _WORTH else None


def _of_mothers(graph: CandidateGraph, forest: Forest, shift: FloatArray) -> float:
    """What part of their expected step mothers make, by the middles of their daughters; five divisions' worth of all of it."""
    cells, child = graph.detections, forest.child_rows
    child = child[(forest.gap[child] == 0) & (forest.n_children[forest.parent[child]] == 2)]
    count = np.bincount(forest.parent[child], minlength=len(cells))
    mother = np.flatnonzero(count == 2)
    middle = np.stack([np.bincount(forest.parent[child], place, len(cells)) for place in cells.position[child].T], axis=1)[mother] / 2
    step, hope = middle - expected(cells)[mother], shift[mother]
    length = np.sqrt((step**2).sum(axis=1))
    step = step * np.minimum(1, 2 * np.median(length) / np.maximum(length, 1e-12))[:, None] if len(mother) else step
    prior = _PRIOR * float((shift**2).sum(axis=1).mean())
    return float(np.clip(((step * hope).sum() + prior) / ((hope**2).sum() + prior), 0, 1)) if prior else 1.0


def _least_squares(causes: tuple[FloatArray, ...], effect: FloatArray) -> tuple[float, ...]:
    matrix = np.stack([cause.ravel() for cause in causes], axis=1)
    return tuple(np.linalg.lstsq(matrix, effect.ravel(), rcond=None)[0].tolist())


def _explained(step: FloatArray, shift: FloatArray, least: float) -> float:
    """Nats a link by which steps are likelier when they are expected; each side with the scale and tail that fit it best."""
    d = step.shape[1]
    likelihoods = []
    for rest in (step, step - shift):
        length = np.sqrt((rest**2).sum(axis=1))
        scale, tail = fit_step(length, d, least=max(least, 1e-9 + 1e-3 * float(np.median(length))))
        likelihoods.append(float(log_step(length, scale, tail, d).mean()))
    return likelihoods[1] - likelihoods[0]
