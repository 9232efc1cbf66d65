"""Confidence: how probable each link of a solution is, from what the small changes that would undo it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lineage.arrays import BoolArray, FloatArray, IntArray
from lineage.forest import Forest
from lineage.graph import CandidateGraph

CONFIDENCE = "link_confidence"  # column of detections
TEMPERATURE = 2.0  # costs overstate: the evidence of one link repeats itself, and more may be wrong than one change undoes


def link_confidence(graph: CandidateGraph, costs: Mapping[str, Any], forest: Forest) -> FloatArray:
    """Probability of the link of every cell to its parent, NaN where it has none; float (n,).

    Costs are nats, so a forest is ``exp(-difference)`` times as probable as a cheaper one. For every link the forests that a small
    change makes without it are weighed against the one that was found: the child appears, or goes to another parent, or two parents
    exchange children; the parent ends, or takes a cell that had none. What other cells would do meanwhile is taken as it is, as
    in one step of Gibbs sampling (Geman and Geman 1984). The log-odds are divided by one temperature (Guo et al. 2017), the same for
    all films; it was chosen with seven real films in view, HeLa and PSC cells deciding.

    Args:
        graph: Candidate links that were solved; n detections, m links.
        costs: As for ``solve``, nats; ``link``, ``appear``, ``disappear``, ``divide``, ``divide_pair``, ``other_pairs``.
        forest: The solution.
    """
    change = _Changes.of(graph, costs, forest)
    odds = np.zeros(len(forest))
    for child, cost in (change.appear(), *change.other_parent(), *change.other_child(), change.exchange()):
        np.add.at(odds, child, np.exp(-np.maximum(cost, 0.0)))  # no change is an improvement, but for the gap of the solution
    return np.where(change.link >= 0, 1 / (1 + odds ** (1 / TEMPERATURE)), np.nan)


@dataclass(frozen=True, eq=False)
class _Changes:
    """A solution, and what it costs to change it.

    Attributes:
        graph: The candidate links.
        cost: Of every link, nats; (m,).
        appear_cost, disappear, divide: Of every detection, nats; (n,).
        pairs: Keys of the pairs of links that may be sisters, rising, and what they cost; (p,) each.
        others: What pairs cost that are not among these.
        link: The link to the parent of every detection, or -1; int (n,).
        children: How many it has; int (n,).
        sister: The other child of its parent, or -1; int (n,).
        only: A child of it, or -1; int (n,).
        there: Whether it is believed; bool (n,). The others are no cells that a change could reach.
    """

    graph: CandidateGraph
    cost: FloatArray
    appear_cost: FloatArray
    disappear: FloatArray
    divide: FloatArray
    pairs: tuple[IntArray, FloatArray]
    others: float
    link: IntArray
    children: IntArray
    sister: IntArray
    only: IntArray
    there: BoolArray

    @classmethod
    def of(cls, graph: CandidateGraph, costs: Mapping[str, Any], forest: Forest) -> _Changes:
        n, m = len(graph.detections), max(len(graph), 1)
        link, only, sister = (np.full(n, -1) for _ in range(3))
        chosen = np.flatnonzero(forest.parent[graph.target] == graph.source)
        link[graph.target[chosen]] = chosen
        mother = graph.source[chosen]
        only[mother] = graph.target[chosen]
        first = np.full(n, -1)
        first[mother[::-1]] = graph.target[chosen][::-1]
        two = (first >= 0) & (first != only)
        sister[first[two]], sister[only[two]] = only[two], first[two]
        a, b, pair = costs["divide_pair"] if costs.get("divide_pair") is not None else (np.zeros(0, int), np.zeros(0, int), np.zeros(0))
        key = np.minimum(a, b) * m + np.maximum(a, b)
        order = np.argsort(key, kind="stable")
        appear, disappear, divide = (np.asarray(costs.get(name, np.zeros(n)), float) for name in ("appear", "disappear", "divide"))
        pairs = (np.asarray(key[order], np.int64), np.asarray(pair, float)[order])
        cost, children = np.asarray(costs["link"], float), np.bincount(mother, minlength=n)
        others = costs.get("other_pairs", 0.0)
        return cls(graph, cost, appear, disappear, divide, pairs, others, link, children, sister, only, forest.selected)

    def appear(self) -> tuple[IntArray, FloatArray]:
        """The child appears, and its parent ends or has one child less."""
        child = np.flatnonzero(self.link >= 0)
        return child, self._left(child) + self.appear_cost[child]

    def other_parent(self) -> list[tuple[IntArray, FloatArray]]:
        """The child goes to another parent, which had ended or now divides."""
        graph = self.graph
        other = (self.link[graph.target] >= 0) & (self.link[graph.target] != np.arange(len(graph)))
        edge = np.flatnonzero(other & self.there[graph.source])
        child, parent = graph.target[edge], graph.source[edge]
        spare, single = self.children[parent] == 0, self.children[parent] == 1
        ended, one = edge[spare], edge[single]
        mother = graph.source[one]
        both = self.divide[mother] + self._pair(one, self.link[self.only[mother]])
        ways = ((child[spare], self.cost[ended] - self.disappear[parent[spare]]), (child[single], self.cost[one] + both))
        return [(rows, self._left(rows) + cost) for rows, cost in ways]

    def other_child(self) -> list[tuple[IntArray, FloatArray]]:
        """The parent takes a cell that had no parent in place of the child, which appears."""
        graph = self.graph
        edge = np.flatnonzero((self.link[graph.target] < 0) & self.there[graph.target] & (self.children[graph.source] > 0))
        gain = self.cost[edge] - self.appear_cost[graph.target[edge]]
        ways = []
        left = self.only[graph.source[edge]]
        for child in (left, self.sister[left]):
            there = child >= 0
            rows, new = child[there], edge[there]
            pair, two = np.zeros(len(rows)), self.sister[rows] >= 0
            stays = self.link[self.sister[rows[two]]]
            pair[two] = self._pair(new[two], stays) - self._pair(self.link[rows[two]], stays)
            ways.append((rows, gain[there] + self.appear_cost[rows] - self.cost[self.link[rows]] + pair))
        return ways

    def exchange(self) -> tuple[IntArray, FloatArray]:
        """Two parents with one child each exchange them."""
        graph, n = self.graph, max(len(self.graph.detections), 1)
        key = graph.source * n + graph.target
        order = np.argsort(key, kind="stable")
        edge = np.flatnonzero((self.link[graph.target] >= 0) & (self.children[graph.source] == 1))
        child, other = graph.target[edge], self.only[graph.source[edge]]
        parent = graph.source[self.link[child]]
        wanted = parent * n + other
        place = np.minimum(np.searchsorted(key[order], wanted), max(len(key) - 1, 0))
        back = order[place] if len(key) else place
        fine = (key[back] == wanted) & (self.children[parent] == 1) & (child != other)
        edge, back, child, other = edge[fine], back[fine], child[fine], other[fine]
        return child, self.cost[edge] + self.cost[back] - self.cost[self.link[child]] - self.cost[self.link[other]]

    def _left(self, child: IntArray) -> FloatArray:
        """What it costs a parent to be without this child; nats."""
        link = self.link[child]
        parent, sister = self.graph.source[link], self.sister[child]
        family, two = self.disappear[parent], sister >= 0
        family[two] = -self.divide[parent[two]] - self._pair(link[two], self.link[sister[two]])
        return np.asarray(family - self.cost[link])

    def _pair(self, one: IntArray, two: IntArray) -> FloatArray:
        """Cost of pairs of links as sisters."""
        keys, cost = self.pairs
        if not len(keys):
            return np.full(len(one), self.others)
        key = np.minimum(one, two) * max(len(self.graph), 1) + np.maximum(one, two)
        place = np.minimum(np.searchsorted(keys, key), len(keys) - 1)
        return np.where(keys[place] == key, cost[place], self.others)
