"""FilmModel: everything the costs of one film are made of, guessed from the film and estimated again from its lineages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lineage.arrays import BoolArray, FloatArray, IntArray
from lineage.candidates import displacements, spacings
from lineage.detections import Detections
from lineage.forest import Forest
from lineage.graph import CandidateGraph
from lineage.settings import Weights

from .births import Births
from .cycle import Cycle
from .daughters import TAIL, Daughters, geometry, waits
from .distance import Distance, fit_step, grain
from .events import Event, appearance, border_distance, came_back, counted, disappearance
from .learned import LEARNED, pooled
from .likeness import Likeness
from .mothers import Mothers
from .overlap import Overlap
from .sisters import Sisters
from .traits import NEEDED

WEIGHTS = Weights()


@dataclass(frozen=True)
class FilmModel:
    """How the cells of one film move, divide, come and go; all that the costs are made of.

    Attributes:
        distance: Displacements of cells.
        overlap: What overlap adds, if the graph has it and a first solution was there to count on.
        likeness: What size, brightness and shape add, where they are known.
        daughters: Where daughters lie.
        appear, disappear: Rates of lineages that begin and end inside the film.
        divide: Rate of divisions, per detection.
        miss: Rate at which a cell that was detected is missed in the next frame.
        again: Probability that a missed cell is missed once more.
        births: How often daughters are first seen late, if a first solution was there to tell.
        cycle: How the rate of divisions depends on age, if a first solution was there to tell (column ``cycle_age`` of the detections).
        mothers: How it depends on the looks of a cell, likewise (columns that ``changes`` gives).
        learned: Weight of a network's scores against all this, if the graph has them (column ``learned``); see ``pooled``.
    """

    distance: Distance
    overlap: Overlap | None
    likeness: Likeness
    daughters: Daughters
    appear: Event
    disappear: Event
    divide: float
    miss: float
    again: float = 0.5
    births: Births | None = None
    cycle: Cycle | None = None
    mothers: Mothers | None = None
    learned: float = 0.5

    def costs(
        self,
        graph: CandidateGraph,
        *,
        appear: float | None = None,
        disappear: float | None = None,
        divide: float | None = None,
        weights: Weights = WEIGHTS,
        spare: IntArray | None = None,
    ) -> dict[str, Any]:
        """Costs of a candidate graph by block, nats, ready for ``solve``; pairs of daughters that cannot be worth it are forbidden.

        Args:
            graph: Candidate links with the column ``distance`` and, for the overlap, ``iou``; n detections, m links.
            appear: Cost of the event, nats, in place of the model's own; what is free stays free.
            disappear: Likewise.
            divide: Likewise.
            weights: How much each kind of evidence counts.
            spare: Links that are never forbidden, nor their pairs, whatever they cost: those that may be pinned; int (k,).
        """
        cells = graph.detections
        distance = weights.distance * self.distance(graph)
        likeness = self.likeness(graph, vars(weights))
        link = distance + likeness + weights.gap * self._missed(graph) + weights.link
        link = link + weights.overlap * self.overlap(graph) if self.overlap else link
        divisions = self.cycle(cells.columns["cycle_age"]) if self.cycle else np.full(len(cells), -np.log(self.divide))
        looks = weights.mothers * self.mothers(cells) if self.mothers else 0.0
        free = np.zeros(len(graph), bool)
        if spare is not None:
            free[spare] = True
        costs = {
            "link": np.where(self._returns(graph) & ~free, np.inf, link),
            "appear": weights.appear * appearance(cells, self.appear),
            "disappear": weights.disappear * disappearance(cells, self.disappear),
            "divide": weights.divide * divisions + looks,
        }
        given = {"appear": appear, "disappear": disappear, "divide": divide}  # before the pairs, which are weighed against them
        costs |= {name: np.where(costs[name] != 0, value, 0.0) for name, value in given.items() if value is not None}
        own = 1.0
        if LEARNED in graph.columns:
            costs, own = pooled(costs, graph, self.learned), 1.0 - self.learned
        sisters = Sisters(self.daughters, self.births, self.likeness, own * weights.sisters, own * weights.gap)
        way = own * (distance + weights.gap * self._missed(graph))
        pairs = sisters.worthwhile(graph, costs, way=way, looks=own * likeness, free=free)
        return costs | {"divide_pair": pairs, "other_pairs": np.inf}

    def _missed(self, graph: CandidateGraph) -> FloatArray:
        """Cost of the frames that each edge leaves out; (m,). Misses come in runs: one is rare, the next one no more."""
        missed = graph.dt - 1
        return -np.where(missed > 0, np.log(self.miss) + (missed - 1) * np.log(self.again), 0.0)

    def _returns(self, graph: CandidateGraph) -> BoolArray:
        """Which edges rather lead from a cell that left the field to its return than over frames in which it was missed; (m,)."""
        returns = np.zeros(len(graph), bool)
        late = np.flatnonzero(graph.dt > 1)
        ahead, behind = (border_distance(graph.detections, name) for name in ("ahead", "behind"))
        back = came_back(graph.dt[late] - 1, self.disappear, ahead[graph.source[late]], self.appear, behind[graph.target[late]])
        returns[late] = back > np.exp(-self._missed(graph)[late])
        return returns

    def record(self) -> dict[str, Any]:
        """The numbers, JSON-able, for the record of a run."""
        return {
            "step": self.distance.step,
            "step_tail": self.distance.tail,
            "density": self.distance.density,
            "divide_rate": self.divide,
            "cycle": vars(self.cycle) if self.cycle else None,
            "mothers": vars(self.mothers) if self.mothers else None,
            "miss_rate": self.miss,
            "miss_again": self.again,
            "births": vars(self.births) if self.births else None,
            "appear": vars(self.appear),
            "disappear": vars(self.disappear),
            "sisters": {name: value for name, value in vars(self.daughters).items() if name not in ("density", "size")},
            "cell_size": float(np.median(self.daughters.size)) if self.daughters.size else None,
            **{name: vars(trait) if (trait := self.likeness.trait(name)) else None for name in NEEDED},
            "overlap": vars(self.overlap) if self.overlap else None,
        }


def first_guess(detections: Detections) -> FilmModel:
    """A model of a film before any link is known, from mutual nearest neighbours and the sizes of the cells.

    Rates start at round values: two in a hundred detections come or go at the border and half as many inside, one in a hundred
    divides, one in a hundred is missed. Sisters start one cell diameter apart (or, for points, most of the spacing).
    """
    steps, spacing = displacements(detections)
    n_axes = detections.n_axes
    size = diameter(detections, spacing)
    least = grain(detections, size)
    step, tail = fit_step(steps, n_axes, least=least)
    density = _density(detections, spacing, size)
    reach = max(size / 4, float(np.quantile(steps, 0.95)) / 2 if len(steps) else 0.0)
    rate = Event(inside=0.01, border=0.02, reach=reach)
    sizes = tuple(_sizes(detections, size).tolist())
    sisters = Daughters(separation=1.0, spread=0.4, offset=0.3, density=density, size=sizes)
    return FilmModel(Distance(step, tail, density, least), None, Likeness.guess(detections), sisters, rate, rate, divide=0.01, miss=0.01)


def estimate(model: FilmModel, graph: CandidateGraph, forest: Forest) -> FilmModel:
    """The model again, from a solution found with it.

    Every rate and mean is drawn a little towards the model before (a few pseudo-counts), so that a film with few divisions or
    none keeps a sensible one.
    """
    cells = graph.detections
    selected = max(int(forest.selected.sum()), 1)
    missed, frames = int((forest.gap > 0).sum()), int(forest.gap.sum())
    miss, again = (missed + 1) / (selected + missed + 100), (frames - missed + 5.0) / (frames + 10.0)
    true = forest.parent[graph.target] == graph.source
    links = np.flatnonzero(true & (graph.dt == 1))
    pairs = _chosen_pairs(graph, links)
    single = true & (graph.dt == 1) & (forest.n_children[graph.source] == 1)
    step, tail = fit_step(graph.columns["distance"][single], cells.n_axes, least=model.distance.least)
    distance = replace(model.distance, step=step, tail=tail) if single.sum() >= 20 else model.distance
    divide = (len(forest.divisions) + 1) / (selected + 100)
    age = cells.columns.get("cycle_age")
    cycle = None if age is None else Cycle.fit(age[forest.selected], forest.n_children[forest.selected] >= 2, divide)
    odds = -cycle(age) if cycle and age is not None else np.full(len(cells), np.log(divide))
    among = np.flatnonzero(forest.selected & (cells.frame < cells.n_frames - 1))
    begins, ends = border_distance(cells, "behind"), border_distance(cells, "ahead")
    return replace(
        model,
        likeness=model.likeness.fit(graph, true, single, pairs),
        distance=distance,
        overlap=Overlap.fit(graph, true) if "iou" in graph.columns else None,
        daughters=_sisters(model.daughters, graph, true),
        appear=counted(model.appear, begins, forest.selected & (cells.frame > 0), forest.parent < 0),
        disappear=counted(model.disappear, ends, forest.selected & (cells.frame < cells.n_frames - 1), forest.n_children == 0),
        divide=divide,
        cycle=cycle,
        mothers=Mothers.fit(cells, forest.n_children >= 2, among, odds),
        miss=miss,
        again=again,
        births=Births.fit(waits(graph, _chosen_pairs(graph, np.flatnonzero(true))), miss, again),
    )


def diameter(detections: Detections, spacing: float) -> float:
    """Typical diameter of a cell, physical units; from areas where they are known, else most of the spacing.

    Args:
        detections: The cells.
        spacing: Typical distance of neighbours, physical units; see ``candidates.displacements``.
    """
    if "area" in detections.columns and len(detections):
        area = max(float(np.median(detections.columns["area"])), 1e-200)
        return 2 * (area / np.pi) ** 0.5 if detections.n_axes == 2 else 2 * (3 * area / (4 * np.pi)) ** (1 / 3)
    return 0.7 * spacing if np.isfinite(spacing) and spacing > 0 else 1.0


def _sizes(detections: Detections, size: float) -> FloatArray:
    """Typical diameter of a cell in each frame, physical units; float (T,). Points: from how far apart they lie there."""
    if "area" not in detections.columns:
        near = spacings(detections)
        return np.where(near > 0, 0.7 * near, size)
    diameters = np.array([diameter(detections.take(np.arange(rows.start, rows.stop)), np.nan) for rows in detections.frames()])
    count = np.array([rows.stop - rows.start for rows in detections.frames()])
    return (diameters * count + 2 * size) / (count + 2)


def _density(detections: Detections, spacing: float, size: float) -> float:
    """Cells per unit of area (volume), from the typical spacing: a Poisson pattern's median nearest neighbour lies there."""
    near = spacing if np.isfinite(spacing) and spacing > 0 else 10 * size
    ball = np.pi * near**2 if detections.n_axes == 2 else 4 / 3 * np.pi * near**3
    return float(np.log(2) / ball)


def _sisters(before: Daughters, graph: CandidateGraph, true: BoolArray) -> Daughters:
    """Separation and offset of sisters from the divisions of a solution, with five divisions' worth of the model before."""
    links = np.flatnonzero(true & (graph.dt == 1))
    pairs = _chosen_pairs(graph, links)
    unit = before.unit(graph, pairs)
    apart, middle = (length / unit for length in geometry(graph, pairs))
    prior, n, d = 5.0, len(pairs), graph.detections.n_axes
    usual = np.sqrt(before.separation**2 + (d - 1) * before.spread**2)  # the blur across makes distances longer
    mean = (apart.sum() + prior * usual) / (n + prior)
    variance = (((apart - mean) ** 2).sum() + prior * before.spread**2) / (n + prior)
    separation = np.sqrt(max(mean**2 - (d - 1) * variance, 0.0))
    offset = before.offset**2
    for _ in range(20):  # expectation-maximisation of a t step's scale: what leaps counts less
        weight = (TAIL + d) / (TAIL + middle**2 / offset)
        offset = ((weight * middle**2).sum() / d + prior * before.offset**2) / (n + prior)
    return replace(before, separation=float(separation), spread=float(np.sqrt(variance)), offset=float(np.sqrt(offset)))


def _chosen_pairs(graph: CandidateGraph, links: IntArray) -> IntArray:
    """The pairs of chosen links that share a mother; int (p, 2)."""
    order = links[np.argsort(graph.source[links], kind="stable")]
    same = graph.source[order[1:]] == graph.source[order[:-1]]
    return np.stack([order[:-1][same], order[1:][same]], axis=1)
