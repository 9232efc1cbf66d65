"""Weighing: how much each kind of evidence should count, learned from confirmed and rejected links.

A structured support vector machine with latent variables. The energy of a forest is linear in the weights, E(x; w) = w . phi(x). A few
links are known, the others are not; so the forest to be imitated is the cheapest that obeys the corrections, and the one to be
avoided the cheapest that does not, with ``MARGIN`` nats off for every correction it breaks:

    minimise  |(w - 1) / s|^2 / 2 + max over x of [ MARGIN * mistakes(x) + E(x*; w) - E(x; w) ],   x* the one to be imitated

The maximum is one more run of the solver. It is approached from below by its tangents (cutting planes), each of which is one forest;
x* is found anew a few times. The prior about the film's own model, s, is wide where costs are rates and narrow where they are measured.

Tsochantaridis et al., "Large Margin Methods for Structured and Interdependent Output Variables", JMLR 2005; Yu and Joachims, "Learning
Structural SVMs with Latent Variables", ICML 2009; Teo et al., "Bundle Methods for Regularized Risk Minimization", JMLR 2010.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from lineage.arrays import Film, FloatArray, IntArray
from lineage.forest import Forest
from lineage.graph import CandidateGraph
from lineage.linking import Linked, candidate_graph, linked
from lineage.program import LINEAGE_RULES
from lineage.settings import Settings, Weights
from lineage.solving import solve

from .corrections import Corrections, of_table, read_corrections

NAMES = tuple(field.name for field in fields(Weights))
SPREAD = np.array([0.5 if name != "link" else 2.0 for name in NAMES])  # of the prior about the weights given
MARGIN = 2.0  # nats
ROUNDS, PLANES, GOOD = 3, 12, 0.01


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
    """

    weights: Weights
    settings: Settings
    forest: Forest
    before: float
    after: float
    strangers: int
    changed: int

    def __str__(self) -> str:
        moved = ", ".join(f"{name} {getattr(self.weights, name):.2f}" for name in NAMES)
        lines = [
            f"corrections followed without being told: {self.before:.1%} before, {self.after:.1%} after",
            f"weights: {moved}",
            f"{self.changed} other links changed",
        ]
        if self.strangers:
            lines.append(f"{self.strangers} corrections are about links that are no candidates: raise neighbours or radius")
        return "\n".join(lines)


def fit(
    forest: Forest,
    corrections: Corrections | Mapping[str, Any] | str | Path,
    labels: Film | None = None,
    settings: Settings = Settings(),  # noqa: B008 - frozen
) -> Fit:
    """Learn from confirmed and rejected links how much each kind of evidence should count, and link the film again.

    Args:
        forest: The lineages that were looked at.
        corrections: Links with a verdict; a table or CSV file of them, see ``lineage.fitting.read_corrections``.
        labels: The label film the forest was made from, for the overlaps; without it they count as unknown.
        settings: What the film was linked with; its weights are where the learning begins.

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
    graph = candidate_graph(forest.detections, labels, settings)
    first = linked(graph, settings)
    before = best = _Task.of(first, known, settings)
    for _ in range(ROUNDS):
        task = _relinked(best, graph, known)
        if task.follows <= best.follows:
            break
        best = task
    told = replace(best.solved(best.weights, obeying=True), detections=first.forest.detections)
    others = np.setdiff1d(np.arange(len(told)), known.target)
    return Fit(
        weights=best.settings.weights,
        settings=best.settings,
        forest=told.with_record(**best.film.forest.record),
        before=before.follows,
        after=best.follows,
        strangers=int((~known.among(first.graph)[1]).sum()),
        changed=int((told.parent != first.forest.parent)[others].sum()),
    )


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
            raise ValueError("none of the corrections is about a candidate link: raise neighbours or radius")
        return cls(film, settings, link[there], known.right[there])

    @property
    def weights(self) -> FloatArray:
        """The weights that the film was linked with; (w,)."""
        return np.array([getattr(self.settings.weights, name) for name in NAMES])

    @property
    def follows(self) -> float:
        """Part of the corrections that the film follows as it was linked, without being told."""
        return float((_has(self.film.graph, self.film.forest)[self.link] == self.right).mean())

    def costs(self, weights: FloatArray) -> dict[str, Any]:
        """Costs of the film for some weights, nats; pairs with a known link are never forbidden."""
        given: dict[str, Any] = {name: getattr(self.settings, name) for name in ("appear", "disappear", "divide")}
        of = Weights(**dict(zip(NAMES, weights.tolist(), strict=True)))
        return self.film.model.costs(self.film.graph, weights=of, spare=self.link, **given) | {"select": self.film.costs["select"]}

    def solved(self, weights: FloatArray, *, obeying: bool = False, margin: float = 0.0) -> Forest:
        """The cheapest forest: with the corrections obeyed, or with so many nats off for every one that is broken."""
        costs = self.costs(weights)
        costs["link"] = costs["link"].copy()
        costs["link"][self.link] += np.where(self.right, margin, -margin)
        pins = {"link": dict(zip(self.link.tolist(), self.right.astype(int).tolist(), strict=True))} if obeying else None
        return solve(self.film.graph, costs, self.settings.solver, self.settings.gap, pins, rules=LINEAGE_RULES)

    def terms(self, forest: Forest) -> FloatArray:
        """phi: what each kind of evidence contributes to the energy of a forest, nats; (w,)."""
        ones = np.ones(len(NAMES))
        everything = replace(self, link=np.arange(len(self.film.graph)))  # no pair is forbidden, so that every energy is finite
        base = _energy(self.film.graph, forest, everything.costs(ones))
        return np.array([_energy(self.film.graph, forest, everything.costs(ones + unit)) - base for unit in np.eye(len(NAMES))])


def _relinked(task: _Task, graph: CandidateGraph, known: Corrections) -> _Task:
    """The film linked again with weights learned from it; its own model is estimated anew, for it depends on the weights."""
    weights = _learned(task, task.weights)
    settings = replace(task.settings, weights=Weights(**dict(zip(NAMES, weights.tolist(), strict=True))))
    return _Task.of(linked(graph, settings), known, settings)


def _learned(task: _Task, start: FloatArray) -> FloatArray:
    """The weights that minimise the objective at the head of this module, for a given model of the film; (w,)."""
    weights = start
    for _ in range(ROUNDS):
        wanted = task.terms(task.solved(weights, obeying=True))
        before, slopes, heights = weights, np.zeros((0, len(start))), np.zeros(0)
        for _ in range(PLANES):
            worst = task.solved(weights, margin=MARGIN)
            mistakes = int((_has(task.film.graph, worst)[task.link] != task.right).sum())
            slope = wanted - task.terms(worst)
            if slope @ weights + MARGIN * mistakes <= _highest(slopes, heights, weights) + GOOD:
                break
            slopes, heights = np.vstack([slopes, slope]), np.append(heights, MARGIN * mistakes)
            weights = _lowest(slopes, heights, start)
        if np.abs(weights - before).max() < GOOD:
            break
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
    a, b, pair = costs["divide_pair"]
    total = float(costs["link"][link].sum()) + float(pair[link[a] & link[b]].sum())
    total += float(costs["appear"][forest.selected & (forest.parent < 0)].sum())
    total += float(costs["disappear"][forest.selected & (forest.n_children == 0)].sum())
    return total + float(costs["divide"][forest.n_children >= 2].sum())
