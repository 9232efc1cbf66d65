"""Sisters: which two links of a cell may lead to its daughters, and what the pair costs beyond the two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from lineage.arrays import BoolArray, FloatArray, IntArray
from lineage.graph import CandidateGraph
from lineage.program import couples

from .births import Births
from .daughters import Daughters, waits
from .likeness import Likeness

_BLOCK = 1 << 18  # pairs that are weighed at once: of all of them at once there may be too many for the memory


@dataclass(frozen=True, eq=False)
class Sisters:
    """What pairs of links cost beyond their links: what says that a cell goes on along each, taken back, and what says that it divides.

    Attributes:
        daughters: Where daughters lie.
        births: When they are first seen; None while nothing is known of it. Then pairs of which one is seen late cost nothing but looks
            that speak against them: else they would be found where there are none.
        likeness: How they look. A daughter that is seen late has grown, so that her looks may speak against the pair, but not for it.
        weight: How much where they lie and how they look counts.
        gap: How much it counts when they are first seen.
    """

    daughters: Daughters
    births: Births | None
    likeness: Likeness
    weight: float
    gap: float

    def worthwhile(
        self, graph: CandidateGraph, costs: Mapping[str, FloatArray], *, way: FloatArray, looks: FloatArray, free: BoolArray
    ) -> tuple[IntArray, IntArray, FloatArray]:
        """All pairs that may be worth it: both links, int (p,) each, and what they cost, nats, (p,).

        A pair cannot be in a cheapest forest when it is cheaper to let one of the daughters appear instead, or both, and the mother end.
        Of pairs in which a daughter is seen late, which are many, those are left out too that are worth less than the best of the links
        between consecutive frames that they leave aside: those to her, and of the mother, if neither is seen at once.

        Args:
            graph: The candidate links; n detections, m links.
            costs: Of links and events, nats: ``link`` (m,), and ``appear``, ``disappear`` and ``divide`` (n,).
            way: What each link costs for its displacement and the frames that it leaves out, nats; (m,).
            looks: What it costs for the looks of the cell, nats; (m,).
            free: Links all of whose pairs are given, whatever they cost; bool (m,).
        """
        dt, link = graph.dt, costs["link"]
        into, out = (_best(end[dt == 1], link[dt == 1], len(graph.detections)) for end in (graph.target, graph.source))
        saved = costs["appear"][graph.target] - link + np.where(dt > 1, into[graph.target], 0.0)  # when a daughter need not appear
        found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
        for pairs in _in_blocks(graph):
            a, b = pairs.T
            mother, one, two = graph.source[a], dt[a] > 1, dt[b] > 1
            ended = saved[a] + saved[b] + costs["disappear"][mother] + np.where(one & two, out[mother], 0.0)
            most = np.minimum(np.minimum(saved[a], saved[b]), ended) - costs["divide"][mother]
            most = np.where(free[a] | free[b], np.inf, most)
            found.append(self._cheaper(graph, pairs, one | two, most, way, looks))
        one, two, cost = zip(*found, strict=True)
        return np.concatenate(one), np.concatenate(two), np.concatenate(cost)

    def _cheaper(
        self, graph: CandidateGraph, pairs: IntArray, late: BoolArray, most: FloatArray, way: FloatArray, looks: FloatArray
    ) -> tuple[IntArray, IntArray, FloatArray]:
        """Those of some pairs that cost less than ``most``: both links, and what they cost. What costs little to know comes first."""
        here = ~late if self.births is None else np.ones(len(pairs), bool)  # of which it counts where the daughters lie
        cost = np.zeros(len(pairs)) if self.births is None else self.gap * self.births(waits(graph, pairs))
        cost[here] -= way[pairs[here, 0]] + way[pairs[here, 1]]
        hope = ~late | (cost + np.where(here, self.weight * self.daughters.least(graph, pairs), 0.0) < most)
        known = np.flatnonzero(hope & here)
        cost[known] += self.weight * self.daughters(graph, pairs[known], np.zeros(len(graph)))
        left = np.flatnonzero(hope & (~late | (cost < most)))
        alike = self.weight * self.likeness.sisters(graph, pairs[left]) - looks[pairs[left, 0]] - looks[pairs[left, 1]]
        cost[left] += np.where(late[left], np.maximum(alike, 0.0), alike)
        left = left[cost[left] < most[left]]
        return pairs[left, 0], pairs[left, 1], cost[left]


def _best(end: IntArray, cost: FloatArray, n: int) -> FloatArray:
    """What the best of the links is worth that have each of n detections for this end, as a cost: 0 where none is worth anything."""
    best = np.zeros(n)
    np.minimum.at(best, end, cost)
    return best


def _in_blocks(graph: CandidateGraph) -> Iterator[IntArray]:
    """Every pair of links of one source, in blocks of about as many; int (p, 2) each."""
    order = np.argsort(graph.source, kind="stable")
    degree = np.bincount(graph.source, minlength=len(graph.detections))
    block = (degree * (degree - 1) // 2).cumsum() // _BLOCK
    for links in np.split(order, np.flatnonzero(np.diff(block[graph.source[order]])) + 1):
        yield links[couples(graph.source[links], np.unique(graph.source[links]))]
