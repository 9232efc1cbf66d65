"""Likeness: a cell stays much as it was from frame to frame, in size, brightness and shape, and sisters share what their mother was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from lineage.arrays import BoolArray, FloatArray, IntArray
from lineage.detections import Detections
from lineage.graph import CandidateGraph

from .distance import fit_step, log_step
from .traits import NEEDED, traits

Values = Mapping[str, FloatArray]
ONES: Mapping[str, float] = MappingProxyType({})

FAILURE = 0.1  # share of links whose outlines went wrong, so that the looks of the cell say nothing
_PRIOR = 5.0  # divisions' worth of the model before
_FEWEST, _LEAST = 20, 50  # links to learn from; links to take up a new trait from
_WORTH = 0.12  # nats a link, on average, that a new trait must bring
_CLOSE = 0.05  # least spread of a trait in a film, while nothing else is known
_TAIL = 3.0  # degrees of freedom of what differs between cells


@dataclass(frozen=True)
class Trait:
    """How one trait goes on in a cell, how it differs between cells, and how sisters share it.

    The same cell keeps a part of how it differs from the mean and changes by a t step. Another cell lies about the mean or, since
    neighbours may be alike, about a part of the way to it. What the traits before say is not said again: ``beside`` is the part of
    their changes that this one shares, ``among`` the part of their differences between cells.

    Attributes:
        name: ``size``, ``intensity`` or ``shape``.
        mean, spread: Mean over the film, and scale of how another cell differs.
        step, tail: Scale and degrees of freedom of the change of a cell between frames.
        keep: Part of its difference from the mean that a cell keeps from one frame to the next.
        alike: Part of its difference from the mean that it has in common with its neighbours.
        loss, loss_spread: Mean of two daughters less their mother, and its standard deviation.
        difference: Standard deviation of the difference of two sisters.
        beside, among: Coefficients on the traits before.
    """

    name: str
    mean: float
    spread: float
    step: float
    tail: float = 3.0
    keep: float = 1.0
    alike: float = 0.0
    loss: float = 0.0
    loss_spread: float = 1.0
    difference: float = 1.0
    beside: tuple[float, ...] = ()
    among: tuple[float, ...] = ()

    @classmethod
    def guess(cls, name: str, value: FloatArray) -> Trait:
        """A first guess, before any link is known: cells keep their size, of other traits nothing is said."""
        mean, spread = (float(value.mean()), max(float(value.std()), _CLOSE)) if len(value) else (0.0, 1.0)
        if name == "size":
            return cls(name, mean, spread, step=0.1, loss=-0.5, loss_spread=0.4, difference=0.4)
        return cls(name, mean, spread, step=spread, keep=0.0, loss_spread=1.4 * spread, difference=1.4 * spread)

    def change(self, before: FloatArray, after: FloatArray, dt: IntArray) -> FloatArray:
        """What a cell changes beyond what is expected of it; (m,)."""
        return np.asarray(after - self.mean - self.keep**dt * (before - self.mean), float)

    def scale(self, dt: IntArray) -> FloatArray:
        """Scale of the change over some frames: each keeps its part of the changes before it; (m,)."""
        frames = dt if self.keep == 1 else (1 - self.keep ** (2.0 * dt)) / (1 - self.keep**2)
        return np.asarray(self.step * np.sqrt(frames), float)

    def any_cell(self, value: FloatArray) -> FloatArray:
        """Log density of any cell of the film having this value; (n,)."""
        return log_step(np.abs(value - self.mean), self.spread, _TAIL, 1)

    def contrast(self, before: FloatArray, after: FloatArray) -> FloatArray:
        """How another cell differs from what is expected of a neighbour; (m,)."""
        return np.asarray(after - self.mean - self.alike * (before - self.mean), float)


@dataclass(frozen=True)
class Likeness:
    """Minus the log-likelihood ratio of what cells look like: the same cell against another cell of the film.

    The traits are weighed together: each is asked only for what those before it have not said, and one outline in ten is taken to be
    wrong, so that none of its traits says anything. Of two daughters, the mean lies at a mean ``loss`` from the mother, and their
    difference is small.

    Attributes:
        traits: Those that count.
        names: Those that may count.
    """

    traits: tuple[Trait, ...] = ()
    names: tuple[str, ...] = tuple(NEEDED)

    def __call__(self, graph: CandidateGraph, weights: Mapping[str, float] = ONES) -> FloatArray:
        """Cost of every edge, nats; (m,).

        Args:
            graph: The candidate links; their detections tell the traits.
            weights: How much each trait counts, by name, for what it says beyond those before it; 1 when not given.
        """
        values = self._values(graph)
        same = np.zeros((len(self.traits), len(graph)))
        for k, (trait, change) in enumerate(zip(self.traits, _changes(self.traits, values, graph), strict=True)):
            same[k] = log_step(np.abs(change), trait.scale(graph.dt), trait.tail, 1)
        return self._weighed(same, self._other(values, graph.source, graph.target), weights)

    def sisters(self, graph: CandidateGraph, pairs: IntArray) -> FloatArray:
        """Cost of the looks of each pair of daughters, nats; (p,). It takes the place of the costs of the two links."""
        values = self._values(graph)
        mother, (a, b) = graph.source[pairs[:, 0]], graph.target[pairs].T
        same = np.zeros((len(self.traits), len(pairs)))
        for k, trait in enumerate(self.traits):
            lost, apart = _shared(values[trait.name], mother, a, b)
            same[k] = log_step(np.abs(lost - trait.loss), trait.loss_spread, _TAIL, 1) + log_step(np.abs(apart), trait.difference, _TAIL, 1)
        return self._weighed(same, self._other(values, mother, a) + self._other(values, mother, b), ONES)

    def trait(self, name: str) -> Trait | None:
        """The model of one trait, if it counts."""
        return next((trait for trait in self.traits if trait.name == name), None)

    def only(self, names: Iterable[str]) -> Likeness:
        """The model in which no other traits may count than these."""
        kept = tuple(name for name in self.names if name in tuple(names))
        return Likeness(tuple(trait for trait in self.traits if trait.name in kept), kept)

    @classmethod
    def guess(cls, detections: Detections) -> Likeness:
        """A first guess, before any link is known: that cells keep their size."""
        return cls(tuple(Trait.guess(name, value) for name, value in traits(detections, ["size"]).items()))

    def fit(self, graph: CandidateGraph, true: BoolArray, alone: BoolArray, pairs: IntArray) -> Likeness:
        """The model again, from a solution, with every trait that explains its links better.

        A trait beyond the size is learned from every second link first, and taken up if it brings enough to the others.

        Args:
            graph: Candidate links; m of them.
            true: Those of the solution; bool (m,).
            alone: Those of them between consecutive frames, of cells that did not divide; bool (m,).
            pairs: Pairs of links, of cells that did; int (p, 2).
        """
        values, known = traits(graph.detections, self.names), np.flatnonzero(alone)
        has_next = np.zeros(len(graph.detections), bool)
        has_next[graph.source[known]] = True
        rival = np.flatnonzero(~true & has_next[graph.source] & (graph.dt == 1))
        links, held, rivals = graph.keep(known), graph.keep(known[1::2]), graph.keep(rival)
        found: tuple[Trait, ...] = ()
        for name, value in values.items():
            start = self.trait(name) or Trait.guess(name, value)
            if name != "size":
                tried = Likeness((*found, _learned(start, found, values, graph.keep(known[::2]), rivals)))
                worth = float((Likeness(found)(held) - tried(held)).mean()) if len(known) >= _LEAST else 0.0
                if worth < _WORTH:
                    continue
            start = _learned(start, found, values, links, rivals) if len(known) >= _FEWEST else start
            found = (*found, _of_sisters(start, value, graph, pairs))
        return Likeness(found, self.names)

    def _values(self, graph: CandidateGraph) -> Values:
        return traits(graph.detections, [trait.name for trait in self.traits])

    def _other(self, values: Values, source: IntArray, target: IntArray) -> FloatArray:
        """Log density of each trait of another cell; (k, m)."""
        contrasts = _contrasts(self.traits, values, source, target)
        other = [log_step(np.abs(away), trait.spread, _TAIL, 1) for trait, away in zip(self.traits, contrasts, strict=True)]
        return np.reshape(other, (len(self.traits), len(source)))

    def _weighed(self, same: FloatArray, other: FloatArray, weights: Mapping[str, float]) -> FloatArray:
        """Cost of each link from the log densities of its traits, (k, m) each: what every trait adds, by its weight; (m,)."""
        same, other = same.cumsum(axis=0), other.cumsum(axis=0)
        cost = other - np.logaddexp(same + np.log(1 - FAILURE), other + np.log(FAILURE))
        weight = np.array([weights.get(trait.name, 1.0) for trait in self.traits])
        return np.asarray(weight @ np.diff(cost, axis=0, prepend=0.0), float)


def _changes(models: Sequence[Trait], values: Values, graph: CandidateGraph) -> list[FloatArray]:
    """What each trait changes along every edge beyond what it was expected to and what the traits before tell; (m,) each."""
    dt = graph.dt
    changes = [trait.change(values[trait.name][graph.source], values[trait.name][graph.target], dt) for trait in models]
    return [_beyond(changes, k, trait.beside) for k, trait in enumerate(models)]


def _contrasts(models: Sequence[Trait], values: Values, source: IntArray, target: IntArray) -> list[FloatArray]:
    """How each trait of another cell differs beyond what the traits before tell; (m,) each."""
    contrasts = [trait.contrast(values[trait.name][source], values[trait.name][target]) for trait in models]
    return [_beyond(contrasts, k, trait.among) for k, trait in enumerate(models)]


def _beyond(parts: Sequence[FloatArray], k: int, coefficients: Sequence[float]) -> FloatArray:
    return parts[k] - sum((c * part for c, part in zip(coefficients, parts, strict=False)), np.zeros(len(parts[k])))


def _learned(start: Trait, before: tuple[Trait, ...], values: Values, links: CandidateGraph, rivals: CandidateGraph) -> Trait:
    """How a trait goes on in cells, from links of a solution, and how it differs between neighbours, from their rivals."""
    value = values[start.name] - start.mean
    dt = np.ones(1, np.int64)
    changes = [t.change(values[t.name][links.source], values[t.name][links.target], dt) for t in before]
    (keep, *beside), rest = _regression([value[links.source], *changes], value[links.target], robust=True)
    step, tail = fit_step(np.abs(rest), 1, least=0.01)
    contrasts = [t.contrast(values[t.name][rivals.source], values[t.name][rivals.target]) for t in before]
    (alike, *among), rest = _regression([value[rivals.source], *contrasts], value[rivals.target], robust=False)
    spread = max(float(rest.std()), step) if len(rest) >= _FEWEST else start.spread  # nobody is more like another than like itself
    return replace(start, step=step, tail=tail, keep=min(keep, 1.0), alike=alike, spread=spread, beside=tuple(beside), among=tuple(among))


def _regression(causes: Sequence[FloatArray], effect: FloatArray, *, robust: bool) -> tuple[list[float], FloatArray]:
    """Coefficients of least squares, and what is left of the effect; robust: of a t step with three degrees of freedom."""
    matrix, weight = np.stack(causes, axis=1), np.ones(len(effect))
    if len(effect) < _FEWEST:
        return [0.0] * len(causes), effect
    for _ in range(8 if robust else 1):
        root = np.sqrt(weight)
        found = np.linalg.lstsq(matrix * root[:, None], effect * root, rcond=None)[0]
        rest = effect - matrix @ found
        weight = 1 / (_TAIL + rest**2 / max(float(np.median(np.abs(rest))) ** 2, 1e-12))
    return found.tolist(), rest


def _shared(value: FloatArray, mother: IntArray, a: IntArray, b: IntArray) -> tuple[FloatArray, FloatArray]:
    """Mean of two daughters less their mother, and their difference; (p,) each."""
    return (value[a] + value[b]) / 2 - value[mother], value[a] - value[b]


def _of_sisters(before: Trait, value: FloatArray, graph: CandidateGraph, pairs: IntArray) -> Trait:
    """The model of a trait with how the sisters of a solution share it, and five divisions' worth of the model before."""
    lost, apart = _shared(value, graph.source[pairs[:, 0]], *graph.target[pairs].T)
    n = len(pairs) + _PRIOR
    loss = float((lost.sum() + _PRIOR * before.loss) / n)
    loss_spread = float(np.sqrt((((lost - loss) ** 2).sum() + _PRIOR * before.loss_spread**2) / n))
    difference = float(np.sqrt(((apart**2).sum() + _PRIOR * before.difference**2) / n))
    return replace(before, loss=loss, loss_spread=loss_spread, difference=difference)
