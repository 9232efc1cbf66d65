"""Likelihood: what the links, families, beginnings and ends of a forest cost under the film's own distributions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from lineage.arrays import Film, FloatArray, IntArray
from lineage.candidates import nearest, overlapping, union
from lineage.detections import Detections
from lineage.forest import Forest
from lineage.graph import CandidateGraph
from lineage.scoring.distance import fit_step
from lineage.scoring.events import appearance, disappearance
from lineage.scoring.film import FilmModel, estimate, first_guess

MOST_MISSED = 2  # frames across which a broken track is looked for
_NEIGHBOURS = 6
_STILL = 0.3  # of the steps that are exactly none: more than that, and these are marks, set once by a person and left
_COMMON = 10  # links between two frames, to speak of a movement of the field


@dataclass(frozen=True, eq=False)
class Likelihood:
    """A forest and a model of its film, estimated from it: anything that might have happened instead has a cost, too.

    Attributes:
        forest: The lineages; every detection is selected. Positions are as if the field had stood still.
        seen: The detections where they were seen.
        graph: Who might have become whom; m links, with those of the forest among them.
        model: How the cells of the film move, grow, divide, come and go.
    """

    forest: Forest
    seen: Detections
    graph: CandidateGraph
    model: FilmModel

    @classmethod
    def of(cls, forest: Forest, labels: Film | None) -> Likelihood:
        """Estimate the film's distributions from a forest, and list the links that might be true.

        Args:
            forest: Lineages whose detections are all selected.
            labels: The label film, for the overlap of cells.
        """
        still = at_rest(forest)
        cells = still.detections
        graph = union([nearest(cells, _NEIGHBOURS, max_gap=MOST_MISSED), _links(still)])
        if labels is not None and len(cells):
            graph = union([graph, overlapping(cells, labels, max_gap=MOST_MISSED)])
        model = estimate(first_guess(cells), graph, still)
        if still is not forest:  # who comes and goes at the border is seen where the border is
            seen = estimate(first_guess(forest.detections), union([_links(forest)]), forest)
            model = replace(model, appear=seen.appear, disappear=seen.disappear)
        return cls(still, forest.detections, graph, _moving(model, still))

    @classmethod
    def alone(cls, forest: Forest, model: FilmModel) -> Likelihood:
        """A forest under distributions that are known already, without any links but its own.

        Args:
            forest: Lineages whose detections are all selected.
            model: Of the same film.
        """
        still = at_rest(forest)
        return cls(still, forest.detections, _links(still), model)

    @cached_property
    def appear(self) -> FloatArray:
        """Cost of a lineage that begins at each detection; float (n,), nats."""
        return appearance(self.seen, self.model.appear)

    @cached_property
    def disappear(self) -> FloatArray:
        """Cost of a lineage that ends at each detection; float (n,), nats."""
        return disappearance(self.seen, self.model.disappear)

    @cached_property
    def children(self) -> IntArray:
        """The first two children of every detection, -1 where there is none; int (n, 2)."""
        forest = self.forest
        table = np.full((len(forest), 2), -1)
        child = forest.child_rows[np.argsort(forest.parent[forest.child_rows], kind="stable")]
        mother = forest.parent[child]
        rank = np.arange(len(child)) - np.searchsorted(mother, mother)
        table[mother[rank < 2], rank[rank < 2]] = child[rank < 2]
        return table

    def family(self, mother: IntArray, first: IntArray, second: IntArray) -> FloatArray:
        """Cost of what becomes of a cell: two children, one, or none.

        Args:
            mother: Rows; int (f,).
            first: Rows of its children, or -1; int (f,).
            second: Likewise.

        Returns:
            Nats; float (f,). Children that do not come after their mother are forbidden (infinite).
        """
        first, second = np.where(first < 0, second, first), np.where(first < 0, -1, second)
        cost = np.where(first < 0, self.disappear[mother], 0.0)
        frame = self.forest.detections.frame
        for child in (first, second):
            cost[(child >= 0) & (frame[child] <= frame[mother])] = np.inf
        one, two = np.isfinite(cost) & (first >= 0), np.isfinite(cost) & (second >= 0)
        pairs, graph = self._graph(np.concatenate([mother[one], mother[two]]), np.concatenate([first[one], second[two]]))
        plain = self._plain(graph)
        link = plain + self.missed(graph) + self._shared(graph)
        cost[one] += link[pairs[: one.sum()]]
        cost[two] += link[pairs[one.sum() :]] - np.log(self.model.divide)
        sisters = np.stack([pairs[: one.sum()][two[one]], pairs[one.sum() :]], axis=1)
        cost[two] += self._pair(graph, sisters, plain)
        return cost

    def _graph(self, source: IntArray, target: IntArray) -> tuple[IntArray, CandidateGraph]:
        """The graph of some links, and where each of them is in it."""
        cells = self.forest.detections
        n = max(len(cells), 1)
        key, place = np.unique(source * n + target, return_inverse=True)
        source, target = np.divmod(key, n)
        step = cells.position[target] - cells.position[source]
        columns = {"distance": np.sqrt((step**2).sum(1))}
        if "iou" in self.graph.columns:
            known = self.graph.source * n + self.graph.target
            at = np.minimum(np.searchsorted(known, key), max(len(known) - 1, 0))
            columns["iou"] = np.where(known[at] == key, self.graph.columns["iou"][at], 0.0)
        return place.ravel(), CandidateGraph(cells, source, target, columns)

    def _plain(self, graph: CandidateGraph) -> FloatArray:
        cost = self.model.distance(graph)
        return cost + self.model.likeness(graph)

    def _shared(self, graph: CandidateGraph) -> FloatArray:
        """Cost of the overlap; over longer gaps it was not looked for and says nothing."""
        known = graph.dt <= MOST_MISSED + 1
        return np.where(known, self.model.overlap(graph), 0.0) if self.model.overlap else np.zeros(len(graph))

    def missed(self, graph: CandidateGraph) -> FloatArray:
        """Cost of the frames that each link leaves out; float (m,), nats."""
        missed = graph.dt - 1
        return -np.where(missed > 0, np.log(self.model.miss) + (missed - 1) * np.log(self.model.again), 0.0)

    def _pair(self, graph: CandidateGraph, pairs: IntArray, plain: FloatArray) -> FloatArray:
        """What two children cost beyond their two links; float (p,). A daughter that was missed at first says nothing."""
        cost = self.model.daughters(graph, pairs, plain)
        cost = cost + self.model.likeness.sisters(graph, pairs)
        return np.where((graph.dt[pairs] == 1).all(axis=1), cost, 0.0)


def believed(forest: Forest) -> tuple[Forest, IntArray]:
    """The forest of the selected detections alone, without sizes that are none, and their rows; int (k,)."""
    rows = np.flatnonzero(forest.selected)
    place = np.full(len(forest) + 1, -1)
    place[rows] = np.arange(len(rows))
    cells = replace(forest.detections, conflicts=()) if len(rows) == len(forest) else forest.detections.take(rows)
    area = cells.columns.get("area", np.ones(len(cells)))
    if area.dtype.kind not in "iuf" or not np.isfinite(area).all() or not (area > 0).all():  # a file may hold anything
        cells = replace(cells, columns={name: column for name, column in cells.columns.items() if name != "area"})
    return Forest(cells, place[forest.parent[rows]], link_cost=forest.link_cost[rows]), rows


def _moving(model: FilmModel, forest: Forest) -> FilmModel:
    """The model with the steps of those that move, when many do not: marks that a person set once and left for some frames."""
    length = steps(forest)
    moves = length > 1e-6 * length.max(initial=0.0)
    if not moves.any() or moves.mean() > 1 - _STILL:
        return model
    step, tail = fit_step(length[moves], forest.detections.n_axes, least=model.distance.step)
    return replace(model, distance=replace(model.distance, step=step, tail=tail))


def at_rest(forest: Forest) -> Forest:
    """The forest without what its cells move in common: from frame to frame, the median step of its links; itself if that is nothing.

    A drifting stage, or one that jumps, is no error of the linking. With few links in a frame nothing is said of it.
    """
    cells = forest.detections
    child = forest.child_rows[forest.gap[forest.child_rows] == 0]
    step = cells.position[child] - cells.position[forest.parent[child]]
    common = np.zeros((max(cells.n_frames, 1), cells.n_axes))
    for t, some in enumerate(np.split(step, np.searchsorted(cells.frame[child], np.arange(1, cells.n_frames)))):
        if len(some) >= _COMMON and (some == 0).all(axis=1).mean() < _STILL:
            middle = np.median(some, axis=0)
            spread = np.median(np.abs(some - middle), axis=0) + 1e-12
            common[t] = np.where(np.abs(middle) > 3 * spread / len(some) ** 0.5, middle, 0.0)
    if not common.any():
        return forest
    return replace(forest, detections=replace(cells, position=cells.position - np.cumsum(common, axis=0)[cells.frame]))


def steps(forest: Forest) -> FloatArray:
    """Displacements from one frame to the next; float (s,), physical units."""
    child = forest.child_rows[forest.gap[forest.child_rows] == 0]
    step = forest.detections.position[child] - forest.detections.position[forest.parent[child]]
    return np.sqrt((step**2).sum(1))


def _links(forest: Forest) -> CandidateGraph:
    child = forest.child_rows
    return CandidateGraph(forest.detections, forest.parent[child], child)
