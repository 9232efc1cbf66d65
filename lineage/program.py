"""The integer programme: rules and costs of a candidate graph, stated as sparse columns.

Over 0/1 variables in named blocks the cost is minimised subject to rows, one family of rows a rule::

    in(i)  + appear_i    = select_i               every selected detection has one parent or appears
    out(i) + disappear_i = select_i + divide_i    one child, or two when it divides, or it ends
    2 divide_i          <= out(i)                 a division has two children
    link_ij             <= select_i               nothing comes from what is not there (tightens the relaxation)
    sum of select over a conflict set <= 1
    divide_i = sum of pair_iab,  sum over b of pair_iab <= link_ia     only where daughter pairs have costs

A rule is a function of the graph that returns rows; it never sees a solver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse

from .arrays import Array, BoolArray, FloatArray, IntArray
from .forest import Forest
from .graph import CandidateGraph

Pins = Mapping[str, Mapping[int, int | bool]]
Costs = Mapping[str, Any]

NODE_BLOCKS = ("select", "appear", "disappear", "divide")


@dataclass(frozen=True, eq=False)
class Rows:
    """A family of linear rows: ``low <= sum over blocks of matrix @ block <= high``."""

    terms: Mapping[str, sparse.csr_array]
    low: float
    high: float


Rule = Callable[[CandidateGraph], Rows]


def one_past(graph: CandidateGraph) -> Rows:
    """A selected detection has one parent or appears."""
    one = _identity(len(graph.detections))
    return Rows({"link": incidence(graph, graph.target), "appear": one, "select": -one}, 0, 0)


def one_future(graph: CandidateGraph) -> Rows:
    """A selected detection goes on, divides in two, or disappears."""
    one = _identity(len(graph.detections))
    return Rows({"link": incidence(graph, graph.source), "disappear": one, "select": -one, "divide": -one}, 0, 0)


def two_daughters(graph: CandidateGraph) -> Rows:
    """A division has two children: with one observed child it is a continuation."""
    one = _identity(len(graph.detections))
    return Rows({"divide": 2 * one, "link": -incidence(graph, graph.source)}, -np.inf, 0)


def from_something(graph: CandidateGraph) -> Rows:
    """A link comes from a selected detection; implied for whole numbers, but it tightens the relaxation."""
    m = len(graph)
    start = sparse.csr_array((np.ones(m), graph.source, np.arange(m + 1)), (m, len(graph.detections)))
    return Rows({"link": _identity(m), "select": -start}, -np.inf, 0)


def one_of_each_conflict(graph: CandidateGraph) -> Rows:
    """Of a conflict set at most one detection is real."""
    sets = graph.detections.conflicts
    ends = np.cumsum([0, *map(len, sets)])
    rows = np.concatenate([*sets, np.zeros(0, np.int64)]).astype(np.int64)
    return Rows({"select": sparse.csr_array((np.ones(len(rows)), rows, ends), (len(sets), len(graph.detections)))}, -np.inf, 1)


LINEAGE_RULES: tuple[Rule, ...] = (one_past, one_future, two_daughters, from_something, one_of_each_conflict)


@dataclass(frozen=True, eq=False)
class Program:
    """Minimise ``cost @ x`` over 0/1 columns x with ``low <= matrix @ x <= high`` and ``lower <= x <= upper``.

    Attributes:
        graph: The candidate graph it speaks of.
        blocks: Which variables stand for what: ``select``, ``link``, ``appear``, ``disappear``, ``divide`` and ``pair``.
        cost: Nats; float (v,), finite.
        matrix: The rows; (r, v).
        low, high: Their limits; float (r,).
        lower, upper: Limits of the variables, equal where pinned; float (v,).
        pairs: The two links of every daughter pair; int (p, 2).
        mothers: Rows of the detections whose divisions must be one of these pairs, rising.
        pins: What the caller fixed, for messages.
        rules: What the rows were made of; some solvers know only the usual ones.
    """

    graph: CandidateGraph
    blocks: Mapping[str, slice]
    cost: FloatArray
    matrix: sparse.csr_array
    low: FloatArray
    high: FloatArray
    lower: FloatArray
    upper: FloatArray
    pairs: IntArray
    mothers: IntArray
    pins: Pins = field(default_factory=dict)
    rules: Sequence[Rule] = LINEAGE_RULES

    def __len__(self) -> int:
        return len(self.cost)

    def costs(self, block: str) -> FloatArray:
        """Costs of one block, nats."""
        return self.cost[self.blocks[block]]

    def feasible(self, x: Array, tolerance: float = 1e-6) -> bool:
        """Whether x obeys every row and every limit."""
        value = self.matrix @ x
        inside = (self.low - tolerance <= value) & (value <= self.high + tolerance)
        return bool(inside.all() and (self.lower <= x).all() and (x <= self.upper).all())

    def encode(self, forest: Forest) -> FloatArray:
        """The columns x that say the same as a forest over the same detections.

        Raises:
            ValueError: The forest has a link that is no candidate.
        """
        graph, x = self.graph, np.zeros(len(self))
        n = max(len(graph.detections), 1)
        child = forest.child_rows
        order = np.argsort(graph.source * n + graph.target)
        key = (graph.source * n + graph.target)[order]
        wanted = forest.parent[child] * n + child
        at = np.minimum(np.searchsorted(key, wanted), max(len(key) - 1, 0))
        missing = np.flatnonzero(key[at] != wanted) if len(key) else np.arange(len(wanted))
        if missing.size:
            i = int(child[missing[0]])
            raise ValueError(f"the forest links row {forest.parent[i]} -> row {i}, which is no candidate link")
        link = np.zeros(len(graph))
        link[order[at]] = 1
        divide = (forest.n_children >= 2).astype(float)
        x[self.blocks["link"]], x[self.blocks["divide"]] = link, divide
        x[self.blocks["select"]] = forest.selected
        x[self.blocks["appear"]] = forest.selected & (forest.parent < 0)
        x[self.blocks["disappear"]] = forest.selected & (forest.n_children == 0)
        x[self.blocks["pair"]] = link[self.pairs].prod(axis=1)
        return x

    def decode(self, x: Array) -> tuple[IntArray, BoolArray, FloatArray]:
        """What x says as columns of a forest: ``parent``, ``selected``, ``link_cost``, each (n,)."""
        graph = self.graph
        chosen = np.flatnonzero(x[self.blocks["link"]] > 0.5)
        parent, cost = np.full(len(graph.detections), -1), np.full(len(graph.detections), np.nan)
        parent[graph.target[chosen]] = graph.source[chosen]
        cost[graph.target[chosen]] = self.costs("link")[chosen]
        return parent, x[self.blocks["select"]] > 0.5, cost


def state(graph: CandidateGraph, costs: Costs, *, pins: Pins | None = None, rules: Sequence[Rule] = LINEAGE_RULES) -> Program:
    """Write costs and rules down as one programme.

    Args:
        graph: The candidate links.
        costs: Nats. ``select``, ``appear``, ``disappear``, ``divide``: (n,) or one number; ``link``: (m,) or one number;
            ``divide_pair``: (link a (p,), link b (p,), cost (p,)), charged when both links are chosen. What is missing costs 0.
            An infinite cost pins: plus infinity forbids, minus infinity forces.
        pins: Variables to fix, {block: {row: 0 or 1}}.
        rules: Families of rows to obey; add to the usual ones, since encodings, greedy and the elementary bound rely on them.

    Raises:
        ValueError: An unknown block, a column of the wrong length, a NaN, a pair whose links have different sources,
            a pin on a row that is not there, or pins that contradict each other. The message names the row.
    """
    if unknown := sorted(set(costs) - {*NODE_BLOCKS, "link", "divide_pair"}):
        raise ValueError(f"no such cost: {', '.join(unknown)}; there are {', '.join(NODE_BLOCKS)}, link, divide_pair")
    n, m = len(graph.detections), len(graph)
    mothers, pairs, pair_cost = _pairs(graph, costs.get("divide_pair"))
    columns = {name: _column(costs.get(name, 0.0), n, name) for name in NODE_BLOCKS}
    columns |= {"link": _column(costs.get("link", 0.0), m, "link"), "pair": pair_cost}
    columns = {name: columns[name] for name in ("select", "link", "appear", "disappear", "divide", "pair")}
    ends = np.cumsum([0, *map(len, columns.values())]).tolist()
    blocks = {name: slice(a, b) for name, a, b in zip(columns, ends, ends[1:], strict=False)}
    families = [rule(graph) for rule in rules] + (_pair_rows(graph, mothers, pairs) if len(mothers) else [])
    matrix, low, high = _stack(families, {name: len(column) for name, column in columns.items()})
    cost = np.concatenate(list(columns.values()))
    lower, upper = (cost == -np.inf).astype(float), (cost != np.inf).astype(float)
    _pin(lower, upper, blocks, pins or {})
    cost = np.where(np.isfinite(cost), cost, 0.0)
    return Program(graph, blocks, cost, matrix, low, high, lower, upper, pairs, mothers, pins or {}, rules)


def incidence(graph: CandidateGraph, end: IntArray) -> sparse.csr_array:
    """(n, m), 1 where an edge has this end."""
    m = len(end)
    return sparse.csr_array(sparse.csc_array((np.ones(m), end, np.arange(m + 1)), (len(graph.detections), m)))


def _identity(n: int) -> sparse.csr_array:
    return sparse.csr_array((np.ones(n), np.arange(n), np.arange(n + 1)), (n, n))


def _column(value: object, length: int, name: str) -> FloatArray:
    column = np.asarray(value, float)
    if column.ndim == 0:
        column = np.full(length, float(column))
    if column.shape != (length,):
        raise ValueError(f"cost {name} has shape {column.shape}, but ({length},) is needed")
    if np.isnan(column).any():
        raise ValueError(f"cost {name} is NaN in row {int(np.argmax(np.isnan(column)))}")
    return column


def _pairs(graph: CandidateGraph, given: tuple[Array, Array, Array] | None) -> tuple[IntArray, IntArray, FloatArray]:
    """Mothers that have a pair cost, all pairs of their outgoing links (less the forbidden ones), and what these cost.

    A pair for which no cost is given costs 0.
    """
    if given is None or len(given[0]) == 0:
        return np.zeros(0, np.int64), np.zeros((0, 2), np.int64), np.zeros(0)
    m = len(graph)
    a, b, cost = (np.asarray(column) for column in given)
    if not len(a) == len(b) == len(cost):
        raise ValueError(f"divide_pair has columns of {len(a)}, {len(b)} and {len(cost)} rows")
    for end in (a, b):
        if (outside := np.flatnonzero((end < 0) | (end >= m))).size:
            raise ValueError(f"divide_pair row {outside[0]} names link {end[outside[0]]}, but there are {m} links")
    a, b = np.minimum(a, b).astype(np.int64), np.maximum(a, b).astype(np.int64)
    cost = _column(cost, len(a), "divide_pair")
    if (odd := np.flatnonzero((graph.source[a] != graph.source[b]) | (a == b))).size:
        raise ValueError(f"divide_pair row {odd[0]} joins links {a[odd[0]]} and {b[odd[0]]}, which are not two links of one mother")
    mothers = np.unique(graph.source[a])
    full = all_pairs(graph, mothers)
    order = np.argsort(full[:, 0] * m + full[:, 1])
    full = full[order]
    at = np.searchsorted(full[:, 0] * m + full[:, 1], a * m + b)
    if (twice := np.flatnonzero(np.bincount(at, minlength=len(full)) > 1)).size:
        raise ValueError(f"divide_pair names the links {full[twice[0], 0]} and {full[twice[0], 1]} twice")
    column = np.zeros(len(full))
    column[at] = cost
    allowed = column != np.inf
    return mothers, full[allowed], column[allowed]


def all_pairs(graph: CandidateGraph, mothers: IntArray) -> IntArray:
    """Every unordered pair of outgoing links of some detections (rows); int (p, 2), the smaller link first."""
    order = np.argsort(graph.source, kind="stable")
    first = np.searchsorted(graph.source[order], mothers)
    degree = np.searchsorted(graph.source[order], mothers, side="right") - first
    pairs = [np.zeros((0, 2), np.int64)]
    for k in np.unique(degree):  # all mothers with k links at once
        start = first[degree == k]
        one, two = np.triu_indices(k, 1)
        pairs.append(np.stack([(start[:, None] + one).ravel(), (start[:, None] + two).ravel()], axis=1))
    return np.sort(order[np.concatenate(pairs)], axis=1)


def _pair_rows(graph: CandidateGraph, mothers: IntArray, pairs: IntArray) -> list[Rows]:
    """A division is one of its daughter pairs; a link that is off is in no chosen pair.

    The second family is summed over all pairs of a link. That is tighter than a row a pair, and fewer rows: what remains of
    one detection's future is the hull of its choices (no child, one, or one of the pairs).
    """
    p, m, n = len(pairs), len(graph), len(graph.detections)
    row = np.searchsorted(mothers, graph.source[pairs[:, 0]])
    which = sparse.csr_array((np.ones(len(mothers)), mothers, np.arange(len(mothers) + 1)), (len(mothers), n))
    total = sparse.csr_array((np.ones(p), (row, np.arange(p))), (len(mothers), p))
    links, at = np.unique(pairs.T, return_inverse=True)
    of_link = sparse.csr_array((np.ones(2 * p), (at.ravel(), np.tile(np.arange(p), 2))), (len(links), p))
    link = sparse.csr_array((np.ones(len(links)), links, np.arange(len(links) + 1)), (len(links), m))
    return [Rows({"divide": which, "pair": -total}, 0, 0), Rows({"pair": of_link, "link": -link}, -np.inf, 0)]


def _stack(families: Sequence[Rows], sizes: Mapping[str, int]) -> tuple[sparse.csr_array, FloatArray, FloatArray]:
    """All families as one matrix over all blocks."""
    for rows in families:
        if unknown := sorted(set(rows.terms) - set(sizes)):
            raise ValueError(f"a rule speaks of {', '.join(unknown)}; there are {', '.join(sizes)}")
    heights = [next(iter(rows.terms.values())).shape[0] for rows in families]
    parts = [
        sparse.hstack([rows.terms.get(name, sparse.csr_array((height, size))) for name, size in sizes.items()], format="csr")
        for rows, height in zip(families, heights, strict=True)
    ]
    matrix = sparse.csr_array(sparse.vstack(parts, format="csr")) if parts else sparse.csr_array((0, sum(sizes.values())))
    low = np.repeat([float(rows.low) for rows in families], heights)
    high = np.repeat([float(rows.high) for rows in families], heights)
    return matrix, low, high


def _pin(lower: FloatArray, upper: FloatArray, blocks: Mapping[str, slice], pins: Pins) -> None:
    for block, values in pins.items():
        if block not in blocks or block == "pair":
            raise ValueError(f"no such block to pin: {block}; there are {', '.join(b for b in blocks if b != 'pair')}")
        start, stop = blocks[block].start, blocks[block].stop
        for row, value in values.items():
            if not 0 <= row < stop - start:
                raise ValueError(f"pin on {block} row {row}, but there are {stop - start} rows")
            if value not in (0, 1):
                raise ValueError(f"pin on {block} row {row} is {value}, but a pin is 0 or 1")
            if not lower[start + row] <= value <= upper[start + row]:
                raise ValueError(f"pin {block} row {row} = {int(value)} contradicts its infinite cost")
            lower[start + row] = upper[start + row] = value
