"""Weighing: how much each kind of evidence should count, learned from confirmed and rejected links.

A structured support vector machine. The energy of a forest is linear in the weights, E(x; w) = w . phi(x). A few links are known; all
others that the film has are presumed, as far as its own model is sure of them, since who corrects some links has passed by others. The
forest to be imitated, x*, is the cheapest that obeys the corrections, and the one to be avoided the cheapest that does not, with
``MARGIN`` nats off for every correction that it breaks, and ``MARGIN`` times how sure it is for every presumed link that it lacks:

    minimise  |(w - 1) / s|^2 / 2 + max over x of [ MARGIN * mistakes(x) + E(x*; w) - E(x; w) ]

The maximum is one more run of the solver. It is approached from below by its tangents (cutting planes), each of which is one forest.
The prior about the film's own model, s, is wide where costs are rates and narrow where they are measured.

Then the film is linked again with these weights, and with some of the way to them; they are kept only where more links are righted than
must be expected to be wronged: of the corrections it is known, of every other link that changes as the film's own model was sure of it.

Tsochantaridis et al., "Large Margin Methods for Structured and Interdependent Output Variables", JMLR 2005; Teo et al., "Bundle Methods
for Regularized Risk Minimization", JMLR 2010.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from lineage.arrays import Film, FloatArray, IntArray
from lineage.certificate import Certificate
from lineage.forest import Forest
from lineage.graph import CandidateGraph
from lineage.linking import Linked, candidate_graph, cheapest, costs_of, linked
from lineage.scoring.confidence import CONFIDENCE, link_confidence
from lineage.settings import Settings, Weights

from .corrections import Corrections, of_table, read_corrections

NAMES = tuple(field.name for field in fields(Weights))
SPREAD = np.array([0.5 if name != "link" else 2.0 for name in NAMES])  # of the prior about the weights given
MARGIN = 2.0  # nats
ROUNDS, PLANES, GOOD = 5, 30, 0.01
STEPS = (1.0, 0.5, 0.25)  # of the way to the weights that were learned
LEAST = 1.5  # links that must be expected to be righted before weights are believed: the best of a few trials is luck in part
_FARTHER = "neighbours, radius or max_gap"
FORCED = 1e3  # nats that a confirmed link is worth where it cannot be pinned


@dataclass(frozen=True, eq=False)
class Fit:
    """What corrections have taught.

    Attributes:
        weights: How much each kind of evidence counts now.
        settings: The settings with these weights; ``Settings.to_toml`` keeps them.
        forest: The film linked again with them, the corrections obeyed.
        before, after: Part of the corrections that the film's own model, and the learned weights, get right by themselves.
        strangers: Corrections about links that are no candidates: too far apart to be considered.
        changed: Links that are in one of the two forests only; the corrections themselves not counted.
        learned: Whether the weights are others than before.
    """

    weights: Weights
    settings: Settings
    forest: Forest
    before: float
    after: float
    strangers: int
    changed: int
    learned: bool = True

    def __str__(self) -> str:
        moved = ", ".join(f"{name} {getattr(self.weights, name):.2f}" for name in NAMES)
        kept = "" if self.learned else " (as they were: no others are worth it)"
        lines = [
            f"corrections followed without being told: {self.before:.1%} before, {self.after:.1%} after",
            f"weights: {moved}{kept}",
            f"{self.changed} other links changed",
        ]
        if self.strangers:
            lines.append(f"{self.strangers} corrections are about links that are no candidates: raise {_FARTHER}")
        return "\n".join(lines)


def fit(
    forest: Forest,
    corrections: Corrections | Mapping[str, Any] | str | Path,
    labels: Film | None = None,
    settings: Settings = Settings(),  # noqa: B008 - frozen
    *,
    image: Film | None = None,
) -> Fit:
    """Learn from confirmed and rejected links how much each kind of evidence should count, and link the film again.

    Args:
        forest: The lineages that were looked at.
        corrections: Links with a verdict; a table or CSV file of them, see ``lineage.fitting.read_corrections``.
        labels: The label film the forest was made from, for the overlaps; without it they count as unknown.
        settings: What the film was linked with; its weights are where the learning begins.
        image: The film itself, for movements that can be seen, if it was linked with it.

    Raises:
        ValueError: No corrections, unknown cells, corrections that cannot hold together (two parents of one cell), or none about
            candidate links.
        FileNotFoundError: No such file.
    """
    if isinstance(corrections, (str, Path)):
        corrections = read_corrections(corrections, forest)
    known = corrections if isinstance(corrections, Corrections) else of_table(corrections, forest)
    if not len(known):
        raise ValueError("there are no corrections: give at least one confirmed or rejected link")
    graph = candidate_graph(forest.detections, labels, settings, image=image)
    first = _Task.of(linked(graph, settings), known, settings)
    best = _best(first, graph, known)
    told = best.solved(best.weights, obeying=True)
    sure = link_confidence(best.film.graph, best.costs(best.weights), told)
    told = replace(told, detections=best.film.forest.detections.with_columns(**{CONFIDENCE: sure}))
    others = np.setdiff1d(np.arange(len(told)), known.target)
    return Fit(
        weights=best.settings.weights,
        settings=best.settings,
        forest=told.with_record(**best.film.forest.record),
        before=first.follows,
        after=best.follows,
        strangers=int((~known.among(first.film.graph)[1]).sum()),
        changed=int((told.parent != first.film.forest.parent)[others].sum()),
        learned=best.settings.weights != first.settings.weights,
    )


def _best(first: _Task, graph: CandidateGraph, known: Corrections) -> _Task:
    """The film linked with learned weights that are worth it, or as it was where none are; see the head of this module.

    The forest to be imitated, and the film's own model, depend on the weights; both are found anew only while nothing has been gained.
    """
    task = first
    for _ in range(ROUNDS):
        start, toward = task.weights, task.learned(task.margin(first.film))
        if np.abs(toward - start).max() < GOOD:
            break
        tried = [_relinked(first.settings, start + part * (toward - start), graph, known) for part in STEPS]
        worth = [first.worth(other.film.forest) for other in tried]
        if max(worth) > LEAST:
            return tried[int(np.argmax(worth))]
        task = tried[0]
    return first


def _relinked(settings: Settings, weights: FloatArray, graph: CandidateGraph, known: Corrections) -> _Task:
    """The film linked with other weights."""
    then = replace(settings, weights=_weights(weights))
    return _Task.of(linked(graph, then), known, then)


def _weights(values: FloatArray) -> Weights:
    return Weights(**dict(zip(NAMES, values.tolist(), strict=True)))


@dataclass(frozen=True, eq=False)
class _Task:
    """A film whose costs can be worked out for any weights, and the links of it that are known; k of them.

    Attributes:
        film: The film as linked.
        settings: What it was linked with.
        link: The known candidate links; int (k,).
        right: Whether each is true; bool (k,).
    """

    film: Linked
    settings: Settings
    link: IntArray
    right: Any

    @classmethod
    def of(cls, film: Linked, known: Corrections, settings: Settings) -> _Task:
        """The corrections that are about candidate links."""
        link, there = known.among(film.graph)
        if not there.any():
            raise ValueError(f"none of the corrections is about a candidate link: raise {_FARTHER}")
        return cls(film, settings, link[there], known.right[there])

    @property
    def weights(self) -> FloatArray:
        """The weights that the film was linked with; (w,)."""
        return np.array([getattr(self.settings.weights, name) for name in NAMES])

    @property
    def follows(self) -> float:
        """Part of the corrections that the film follows as it was linked, without being told."""
        return float((_has(self.film.graph, self.film.forest)[self.link] == self.right).mean())

    def margin(self, film: Linked) -> FloatArray:
        """Nats off for a forest that lacks a link which it should have (above 0), or has one that it should lack; (m,).

        Args:
            film: The film as it was first, whose other links are presumed.
        """
        graph = self.film.graph
        sure = np.nan_to_num(film.forest.detections.columns[CONFIDENCE])[graph.target]
        presumed = _has(graph, film.forest) & ~np.isin(graph.target, graph.target[self.link])  # of cells of which nobody has spoken
        margin = MARGIN * np.where(presumed, np.maximum(2 * sure - 1, 0.0), 0.0)
        margin[self.link] = np.where(self.right, MARGIN, -MARGIN)
        return np.asarray(margin)

    def costs(self, weights: FloatArray) -> dict[str, Any]:
        """Costs of the film for some weights, nats; pairs with a known link are never forbidden."""
        return self._costs(self.film.graph, weights, self.link)

    def _costs(self, graph: CandidateGraph, weights: FloatArray, spare: IntArray) -> dict[str, Any]:
        of = replace(self.settings, weights=_weights(weights))
        return costs_of(graph, self.film.model, of, spare) | {"select": self.film.costs["select"]}

    def solved(self, weights: FloatArray, *, obeying: bool = False, margin: FloatArray | float = 0.0) -> Forest:
        """The cheapest forest by the film's rules: with the corrections obeyed, or with so many nats off for what it breaks; (m,)."""
        costs = self.costs(weights)
        costs["link"] = costs["link"] + margin
        if not obeying:
            return cheapest(self.film.graph, costs, self.settings)
        if self.settings.min_cycle is None:
            return cheapest(
                self.film.graph, costs, self.settings, {"link": dict(zip(self.link.tolist(), map(int, self.right), strict=True))}
            )
        costs["link"][self.link] = np.where(self.right, costs["link"][self.link] - FORCED, np.inf)
        forest = cheapest(self.film.graph, costs, self.settings)
        if broken := int((_has(self.film.graph, forest)[self.link] != self.right).sum()):
            raise ValueError(f"{broken} of the corrections cannot hold together with min_cycle {self.settings.min_cycle}: leave one out")
        proof = forest.certificate
        assert proof is not None
        worth = FORCED * int(self.right.sum())
        honest = Certificate.of(
            proof.objective + worth, proof.bound + worth, solver=proof.solver, status=proof.status, seconds=proof.seconds
        )
        return replace(forest, certificate=honest)

    def terms(self, forest: Forest) -> FloatArray:
        """phi: what each kind of evidence contributes to the energy of a forest, nats; (w,). Of its own links alone, none forbidden."""
        ones, graph = np.ones(len(NAMES)), self.film.graph.keep(np.flatnonzero(_has(self.film.graph, forest)))
        every = np.arange(len(graph))
        base = _energy(graph, forest, self._costs(graph, ones, every))
        return np.array([_energy(graph, forest, self._costs(graph, ones + unit, every)) - base for unit in np.eye(len(NAMES))])

    def worth(self, forest: Forest) -> float:
        """How many links more than this film has another forest has right: of the known ones, and of the others as is to be expected."""
        graph, before = self.film.graph, self.film.forest
        sure = np.nan_to_num(before.detections.columns[CONFIDENCE])
        spoken = np.zeros(len(before), bool)
        spoken[graph.target[self.link]] = True
        other = (forest.parent != before.parent) & (before.parent >= 0) & ~spoken
        mother, child = graph.source[self.link], graph.target[self.link]
        gained = ((forest.parent[child] == mother) == self.right).sum() - ((before.parent[child] == mother) == self.right).sum()
        return float(gained - np.maximum(2 * sure[other] - 1, 0.0).sum())

    def learned(self, margin: FloatArray) -> FloatArray:
        """The weights that minimise the objective at the head of this module, by cutting planes; (w,).

        Args:
            margin: Nats off for every link, see ``margin``; (m,).
        """
        weights = start = self.weights
        target = self.solved(start, obeying=True)
        wanted, has = self.terms(target), _has(self.film.graph, target)
        slopes, heights = np.zeros((0, len(start))), np.zeros(0)
        for _ in range(PLANES):
            worst = self.solved(weights, margin=margin)
            held = _has(self.film.graph, worst)
            height = float((margin * (has.astype(float) - held)).sum())
            slope = wanted - self.terms(worst)
            if slope @ weights + height <= _highest(slopes, heights, weights) + GOOD:
                break
            slopes, heights = np.vstack([slopes, slope]), np.append(heights, height)
            weights = _lowest(slopes, heights, start)
        return weights


def _highest(slopes: FloatArray, heights: FloatArray, weights: FloatArray) -> float:
    """Height of the highest plane at some weights; nowhere below 0, the height of the forest to be imitated itself."""
    return max(0.0, float((slopes @ weights + heights).max(initial=0.0)))


def _lowest(slopes: FloatArray, heights: FloatArray, start: FloatArray) -> FloatArray:
    """The weights, 0 or more but for ``link``, with the least sum of prior and highest plane: a small quadratic programme."""
    from scipy.optimize import minimize

    low = np.where(np.array(NAMES) == "link", -np.inf, 0.0)

    def height(v: FloatArray) -> float:
        return 0.5 * float((((v[:-1] - start) / SPREAD) ** 2).sum()) + float(v[-1])

    def steepness(v: FloatArray) -> FloatArray:
        return np.append((v[:-1] - start) / SPREAD**2, 1.0)

    above: Any = {  # the last variable lies on or above every plane
        "type": "ineq",
        "fun": lambda v: v[-1] - slopes @ v[:-1] - heights,
        "jac": lambda _: np.hstack([-slopes, np.ones((len(slopes), 1))]),
    }
    options: dict[str, Any] = {"method": "SLSQP", "constraints": above, "options": {"maxiter": 200, "ftol": 1e-9}}
    bounds = [*((float(least), np.inf) for least in low), (0.0, np.inf)]
    found = minimize(height, np.append(start, _highest(slopes, heights, start)), jac=steepness, bounds=bounds, **options)
    return np.maximum(found.x[:-1], low)


def _has(graph: CandidateGraph, forest: Forest) -> Any:  # noqa: ANN401 - bool (m,)
    """Which candidate links a forest holds; bool (m,)."""
    return forest.parent[graph.target] == graph.source


def _energy(graph: CandidateGraph, forest: Forest, costs: Mapping[str, Any]) -> float:
    """What a forest costs, nats."""
    link = _has(graph, forest)
    total = float(costs["link"][link].sum())
    if costs["divide_pair"] is not None:
        a, b, pair = costs["divide_pair"]
        total += float(pair[link[a] & link[b]].sum())
    total += float(costs["appear"][forest.selected & (forest.parent < 0)].sum())
    total += float(costs["disappear"][forest.selected & (forest.n_children == 0)].sum())
    return total + float(costs["divide"][forest.n_children >= 2].sum())
