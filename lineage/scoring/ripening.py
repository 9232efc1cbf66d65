"""Ripening: no division sooner than so many frames after the last one, as a programme of the usual rules.

A cell that is young, born by a division less than so many frames ago, is a copy of its detection that must not divide; detection and
copies exclude each other. Daughters go to copies, copies go on as copies until they are ripe. Copies are made only where a solution
breaks the rule: what is solved is then always a relaxation of the whole rule, so its bound holds, and a solution that breaks the rule
nowhere is the cheapest that obeys it, whichever solver found it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lineage.arrays import BoolArray, FloatArray, IntArray
from lineage.certificate import Certificate
from lineage.detections import Detections
from lineage.forest import Forest
from lineage.graph import CandidateGraph
from lineage.program import all_pairs

from .cycle import ages

Solved = Callable[[CandidateGraph, dict[str, Any]], Forest]  # what a candidate graph and its costs have for a cheapest forest
_SURE = 1.0  # nats by which it is worth more to believe a detection that must be believed than to do without it
_LARGE = 1e3  # nats, where that cannot be said because its lineage must not begin or end there


def ripened(graph: CandidateGraph, costs: dict[str, Any], least: int, solved: Solved, *, gap: float = 1e-4) -> Forest:
    """The cheapest forest in which no cell that was born by a division divides less than so many frames after that division.

    Frames are counted from the last frame of the mother to the last frame of the cell, missed ones included.

    Args:
        graph: The candidate links; n detections, m links.
        costs: Nats, as ``solve`` takes them, all blocks as columns: ``select``, ``appear``, ``disappear``, ``divide`` (n,), ``link``
            (m,), and ``divide_pair`` and ``other_pairs`` if pairs of daughters have costs. None of them forces, but that of ``select`` may.
        least: Fewest frames between two divisions.
        solved: Finds the cheapest forest of a graph without that rule.
        gap: Relative gap between objective and bound that is good enough.

    Returns:
        The forest, its certificate that of the problem with the rule. Where the rule costs anything, ``record`` has ``min_cycle``: how
        many copies were needed (``copies``), and how often the film was solved (``rounds``).
    """
    state, bound, seconds, rounds = np.zeros((0, 2), np.int64), -np.inf, 0.0, 0
    while True:
        copies = Copies.of(graph, costs, state, least)
        forest = copies.back(solved(copies.graph, copies.costs), bound, gap)
        proof = forest.certificate
        assert proof is not None
        bound, seconds, rounds = proof.bound, seconds + proof.seconds, rounds + 1
        new = too_young(forest, least)
        if not len(new):
            break
        state = np.unique(np.concatenate([state, new]), axis=0)
    if not len(state):
        return forest
    forest = forest.with_record(min_cycle={"frames": least, "copies": len(state), "rounds": rounds})
    return replace(forest, certificate=replace(proof, seconds=seconds), memory=None)


def too_young(forest: Forest, least: int) -> IntArray:
    """Where a cell divides too soon: the cells that are young by its mother's division, and the frame in which they are ripe.

    These are all descendants of the mother up to that frame, since a division that is forbidden moves on to the next.

    Args:
        forest: Lineages.
        least: Fewest frames between two divisions.

    Returns:
        Row and frame from which it may divide; int (k, 2), empty when the rule holds.
    """
    frame, parent, age = forest.detections.frame, forest.parent, ages(forest)
    divides = forest.n_children >= 2
    broken = divides & (age >= 0) & (age < least)
    mother = np.full(len(forest), -1)  # of the division that made it young
    row = np.arange(len(forest))
    for rows in forest.detections.frames():
        child = row[rows][parent[rows] >= 0]
        mother[child] = np.where(divides[parent[child]], parent[child], mother[parent[child]])
    guilty = np.zeros(len(forest) + 1, bool)
    guilty[mother[broken]] = True
    found, above = [np.zeros((0, 2), np.int64)], mother.copy()
    while (above >= 0).any():  # once for every generation that fits into so many frames
        ripe = frame[above] + least
        young = (above >= 0) & (frame < ripe)
        here = young & guilty[above]
        found.append(np.stack([row[here], ripe[here]], axis=1))
        above = np.where(young, mother[above], -1)
    return np.unique(np.concatenate(found), axis=0)


@dataclass(frozen=True, eq=False)
class Copies:
    """A candidate graph with copies of some detections that must not divide.

    Attributes:
        graph: Detections and copies, sorted by frame; n + k rows.
        costs: Nats, all blocks.
        before: The graph without copies; n detections, m links.
        origin: Row that each row is, or is a copy of; int (n + k,).
        link: Link that each link stands for; int.
        worth: What it is worth to believe a detection that must be believed, where it has copies, nats; float (n,), else 0.
        forced: Which detections must be believed; bool (n,).
        alone: What such a detection costs by itself, nats; float (n,).
    """

    graph: CandidateGraph
    costs: dict[str, Any]
    before: CandidateGraph
    origin: IntArray
    link: IntArray
    worth: FloatArray
    forced: BoolArray
    alone: FloatArray

    @classmethod
    def of(cls, graph: CandidateGraph, costs: dict[str, Any], state: IntArray, least: int) -> Copies:
        """The graph with copies of some rows, each young until a frame.

        Args:
            graph: The candidate links; n detections, m links.
            costs: Nats, all blocks as columns.
            state: Row and frame from which it may divide; int (k, 2), sorted, no two alike.
            least: Fewest frames between two divisions.
        """
        n, forced = len(graph.detections), np.asarray(costs["select"] == -np.inf)
        alone = np.asarray(costs["appear"] + costs["disappear"], float)
        if not len(state):
            return cls(graph, costs, graph, np.arange(n), np.arange(len(graph)), np.zeros(n), forced, alone)
        frame, origin = graph.detections.frame, np.concatenate([np.arange(n), state[:, 0]])
        order = np.argsort(frame[origin], kind="stable")
        rank = np.argsort(order)
        source, target, link = _links(graph, state, least)
        cells = _cells(graph.detections, origin, order, rank, state)
        wider = CandidateGraph(cells, rank[source], rank[target])
        has = forced & np.isin(np.arange(n), state[:, 0])
        worth = np.where(has, np.where(np.isfinite(alone), np.maximum(alone, 0.0) + _SURE, _LARGE), 0.0)
        select = np.where(has, -worth, costs["select"])
        columns = {"select": select[origin], "disappear": costs["disappear"][origin]}
        young = np.arange(len(origin)) >= n
        columns |= {name: np.where(young, np.inf, costs[name][origin]) for name in ("appear", "divide")}
        made = {name: column[order] for name, column in columns.items()} | {"link": costs["link"][link]}
        born = (source < n) & (target >= n)
        made["other_pairs"] = costs.get("other_pairs", 0.0)
        made["divide_pair"] = _pairs(graph, costs, wider, link, born)
        return cls(wider, made, graph, origin[order], link, worth, forced, alone)

    def back(self, found: Forest, bound: float, gap: float) -> Forest:
        """A forest over detections and copies as one over the detections alone.

        Args:
            found: Lineages of ``graph``.
            bound: A lower bound that is known already, nats.
            gap: Relative gap that is good enough.
        """
        n, proof = len(self.before.detections), found.certificate
        assert proof is not None
        if len(self.origin) == n:
            return found
        rows = np.flatnonzero(found.selected)
        which = self.origin[rows]
        parent, cost, selected = np.full(n, -1), np.full(n, np.nan), self.forced.copy()
        selected[which] = True
        up = found.parent[rows]
        parent[which] = np.where(up >= 0, self.origin[up], -1)
        cost[which] = found.link_cost[rows]
        missed = self.forced.copy()  # must be there, but a solver that stops early may have left it out
        missed[which] = False
        objective = proof.objective + float(self.worth[~missed].sum() + self.alone[missed].sum())
        bound = min(max(proof.bound + float(self.worth.sum()), bound), objective)
        now = Certificate.of(objective, bound, solver=proof.solver, status=proof.status, seconds=proof.seconds)
        good = now.gap <= max(gap, 1e-9)
        now = replace(now, status="optimal" if good else "stopped" if proof.status == "optimal" else proof.status)
        return Forest(self.before.detections, parent, selected, cost, now, without_parts(found.record), self._slack(found, selected))

    def _slack(self, found: Forest, selected: BoolArray) -> dict[str, FloatArray]:
        """What deciding otherwise costs at least: doing otherwise means doing without what was chosen, or with any copy of what was not."""
        slack: dict[str, FloatArray] = {}
        if "link" in found.slack:
            chosen = found.parent[self.graph.target] == self.graph.source
            slack["link"] = _least(self.link, found.slack["link"], chosen, len(self.before))
        if "select" in found.slack:
            here = _least(self.origin, found.slack["select"], found.selected, len(self.before.detections))
            slack["select"] = np.where(self.forced & selected, np.inf, here)
        return slack


def without_parts(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record without the costs of single windows, where these were of another problem."""
    return {name: {**value, "parts": []} if name == "windows" else value for name, value in record.items()}


def _links(graph: CandidateGraph, state: IntArray, least: int) -> tuple[IntArray, IntArray, IntArray]:
    """Ends of all links between detections and copies (copy k is row n + k), and the link that each stands for."""
    n, frame = len(graph.detections), graph.detections.frame
    width = int(max(frame.max(initial=0) + least, state[:, 1].max(initial=0))) + 1
    key = state[:, 0] * width + state[:, 1]

    def copy(row: IntArray, ripe: IntArray) -> IntArray:
        """The copy of each row that is young until then, -1 where there is none."""
        wanted = row * width + ripe
        at = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
        return np.where(key[at] == wanted, n + at, -1)

    links = np.arange(len(graph))
    daughter = copy(graph.target, np.minimum(frame[graph.source] + least, width - 1))
    born = np.flatnonzero(daughter >= 0)
    order = np.argsort(graph.source, kind="stable")
    first, last = (np.searchsorted(graph.source[order], state[:, 0], side=side) for side in ("left", "right"))
    of = np.repeat(np.arange(len(state)), last - first)  # copies go on along every link of their detection
    out = order[np.arange(len(of)) - np.repeat(np.cumsum(last - first) - (last - first), last - first) + first[of]]
    later = copy(graph.target[out], state[of, 1])
    source = np.concatenate([graph.source, graph.source[born], n + of])
    target = np.concatenate([graph.target, daughter[born], np.where(later >= 0, later, graph.target[out])])
    return source, target, np.concatenate([links, born, out])


def _cells(cells: Detections, origin: IntArray, order: IntArray, rank: IntArray, state: IntArray) -> Detections:
    """Detections and copies, of which at most one is real, and no more of those that excluded each other before."""
    n, rows, cuts = len(cells), np.unique(state[:, 0]), np.searchsorted(state[:, 0], np.arange(len(cells) + 1))

    def family(row: int) -> IntArray:
        return np.concatenate([[row], np.arange(n + cuts[row], n + cuts[row + 1])])

    sets = [np.concatenate([family(int(row)) for row in members]) if len(members) else members for members in cells.conflicts]
    inside = set(np.concatenate([np.zeros(0, np.int64), *cells.conflicts]).tolist())
    sets += [family(row) for row in rows.tolist() if row not in inside]  # over detections with copies, which are few
    kept = origin[order]
    return Detections(
        cells.frame[kept], cells.position[kept], cells.label[kept], {}, cells.scale, [rank[members] for members in sets], cells.n_frames
    )


def _pairs(
    graph: CandidateGraph,
    costs: Mapping[str, Any],
    wider: CandidateGraph,
    link: IntArray,
    born: BoolArray,
) -> tuple[IntArray, IntArray, FloatArray]:
    """The pairs of daughters and their costs: where there is a copy of a daughter that is young by this division, it is that copy."""
    m, others = len(graph), costs.get("other_pairs", 0.0)
    a, b, cost = costs.get("divide_pair") or (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    one, two = np.minimum(a, b), np.maximum(a, b)
    touched = np.zeros(len(graph.detections), bool)
    touched[graph.source[link[born]]] = True
    free = ~touched[graph.source[one]]
    pairs = all_pairs(wider, np.unique(wider.source[born]))
    old = np.sort(link[pairs], axis=1)
    right = np.ones(len(link), bool)  # whether a division of the source leads along this link, not along one beside it
    right[link[born]] = False  # the links of the graph itself come first and stand for themselves
    order = np.argsort(one * m + two, kind="stable")
    key, wanted = (one * m + two)[order], old[:, 0] * m + old[:, 1]
    at = np.minimum(np.searchsorted(key, wanted), max(len(key) - 1, 0))
    known = key[at] == wanted if len(key) else np.zeros(len(wanted), bool)
    value = np.where(known, cost[order][at], others) if len(key) else np.full(len(wanted), others)
    value = np.where(right[pairs].all(axis=1), value, np.inf)
    return np.concatenate([one[free], pairs[:, 0]]), np.concatenate([two[free], pairs[:, 1]]), np.concatenate([cost[free], value])


def _least(which: IntArray, value: FloatArray, chosen: BoolArray, size: int) -> FloatArray:
    """For each of some things, the value of the one of its copies that was chosen, or the least of all."""
    least = np.full(size, np.inf)
    np.minimum.at(least, which, value)
    least[which[chosen]] = value[chosen]
    return least
