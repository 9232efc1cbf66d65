"""Decisions: who is whose parent in a part of the film, and what that costs each detection."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lineage.arrays import Array, BoolArray, FloatArray, IntArray
from lineage.graph import CandidateGraph
from lineage.program import Program


class Decisions(NamedTuple):
    """What was decided about detections that follow one another in the film.

    Attributes:
        row: Row of the first in the whole film.
        parent: Row of each one's parent in the whole film, or -1; (n,).
        selected: Which are believed; (n,).
        link_cost: Cost of the link to the parent, nats, NaN where there is none; (n,).
    """

    row: int
    parent: IntArray
    selected: BoolArray
    link_cost: FloatArray

    @classmethod
    def read(cls, program: Program, x: Array, row: int) -> Decisions:
        """What a point of a piece's programme says; the piece's first detection has this row."""
        parent, selected, cost = program.decode(x)
        return cls(row, np.where(parent >= 0, parent + row, -1), selected, cost)

    def part(self, first: int, last: int) -> Decisions:
        """Those about some of the detections, rows of the whole film."""
        at = slice(first - self.row, last - self.row)
        return Decisions(first, self.parent[at], self.selected[at], self.link_cost[at])

    def then(self, more: Decisions) -> Decisions:
        """These up to where others begin, followed by the others."""
        kept = self.part(self.row, more.row)
        columns = (np.concatenate([one, two]) for one, two in zip(kept[1:], more[1:], strict=True))
        return Decisions(self.row, *columns)

    def links(self, graph: CandidateGraph) -> BoolArray:
        """Which links of a piece were chosen, both ends among these; (m,)."""
        chosen: BoolArray = self.parent[graph.target] == graph.source + self.row
        return chosen


def costs_of(program: Program, made: Decisions) -> FloatArray:
    """What decisions cost each detection of a piece, nats; (n,). The cost of a link is its source's, as is that of a pair."""
    graph, n = program.graph, len(program.graph.detections)
    chosen = made.links(graph)
    children = np.bincount(graph.source[chosen], minlength=n)
    cost = np.where(made.selected, program.costs("select"), 0.0)
    cost += np.where(made.selected & (made.parent < 0), program.costs("appear"), 0.0)
    cost += np.where(made.selected & (children == 0), program.costs("disappear"), 0.0)
    cost += np.where(children == 2, program.costs("divide"), 0.0)
    cost += np.bincount(graph.source[chosen], program.costs("link")[chosen], n)
    both = chosen[program.pairs].all(axis=1)
    cost += np.bincount(graph.source[program.pairs[both, 0]], program.costs("pair")[both], n)
    return cost
