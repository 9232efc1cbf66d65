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

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from .arrays import Array, BoolArray, FloatArray, IntArray
from .forest import Forest
from .graph import CandidateGraph

Pins = Mapping[str, Mapping[int, int | bool]]
Costs = Mapping[str, Any]

NODE_BLOCKS = ("select", "appear", "disappear", "divide")
BLOCKS = ("select", "link", "appear", "disappear", "divide", "pair")


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
    rows, ends = conflict_members(graph)
    return Rows({"select": sparse.csr_array((np.ones(len(rows)), rows, ends), (len(ends) - 1, len(graph.detections)))}, -np.inf, 1)


LINEAGE_RULES: tuple[Rule, ...] = (one_past, one_future, two_daughters, from_something, one_of_each_conflict)


@dataclass(frozen=True, eq=False)
class Program:
    """Minimise ``cost @ x`` over 0/1 columns x with ``low <= matrix @ x <= high`` and ``lower <= x <= upper``.

    The rows are made when a solver first asks for them: the dual one never does, and they are most of what a programme weighs.

    Attributes:
        graph: The candidate graph it speaks of.
        blocks: Which variables stand for what: ``select``, ``link``, ``appear``, ``disappear``, ``divide`` and ``pair``.
        cost: Nats; float (v,), finite.
        lower, upper: Limits of the variables, equal where pinned; float (v,).
        pairs: The two links of every daughter pair; int (p, 2).
        mothers: Rows of the detections whose divisions must be one of these pairs, rising.
        pins: What the caller fixed, for messages.
        rules: What the rows are made of; some solvers know only the usual ones.
    """

    graph: CandidateGraph
    blocks: Mapping[str, slice]
    cost: FloatArray
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

    @cached_property
    def _rows(self) -> tuple[sparse.csr_array, FloatArray, FloatArray]:
        families = [rule(self.graph) for rule in self.rules]
        families += _pair_rows(self.graph, self.mothers, self.pairs) if len(self.mothers) else []
        return _stack(families, {name: where.stop - where.start for name, where in self.blocks.items()})

    @property
    def matrix(self) -> sparse.csr_array:
        """The rows; (r, v)."""
        return self._rows[0]

    @property
    def low(self) -> FloatArray:
        """Lower limits of the rows; float (r,)."""
        return self._rows[1]

    @property
    def high(self) -> FloatArray:
        """Upper limits of the rows; float (r,)."""
        return self._rows[2]

    def feasible(self, x: Array, tolerance: float = 1e-6) -> bool:
        """Whether x obeys every row and every limit."""
        if not ((self.lower <= x).all() and (x <= self.upper).all()):
            return False
        if tuple(self.rules) == LINEAGE_RULES:  # their rows are known: counting is quicker than making them
            return all(bool((amount <= tolerance).all()) for amount in self._beyond(x))
        value = self.matrix @ x
        return bool(((self.low - tolerance <= value) & (value <= self.high + tolerance)).all())

    def _beyond(self, x: Array) -> Iterator[Array]:
        """By how much x breaks each of the usual rules, a family at a time, in their order."""
        graph, n = self.graph, len(self.graph.detections)
        select, link, appear, disappear, divide, pair = (x[self.blocks[name]] for name in BLOCKS)
        yield np.abs(np.bincount(graph.target, link, n) + appear - select)
        out = np.bincount(graph.source, link, n)
        yield np.abs(out + disappear - select - divide)
        yield 2 * divide - out
        yield link - select[graph.source]
        rows, ends = conflict_members(graph)
        yield np.bincount(np.repeat(np.arange(len(ends) - 1), np.diff(ends)), select[rows], len(ends) - 1) - 1
        mother = graph.source[self.pairs[:, 0]]
        yield np.abs(np.bincount(mother, pair, n) - divide)[self.mothers]
        yield np.bincount(self.pairs.ravel(), np.repeat(pair, 2), len(graph)) - link

    def name(self, variable: int) -> str:
        """What a variable is called in messages, with the value it is pinned to: ``link 3 (row 0 -> row 2) = 1``."""
        block = next(name for name, where in self.blocks.items() if where.start <= variable < where.stop)
        row, value = variable - self.blocks[block].start, int(self.lower[variable])
        if block == "pair":
            return f"pair of links {self.pairs[row, 0]} and {self.pairs[row, 1]} = {value}"
        if block != "link":
            return f"{block} row {row} = {value}"
        return f"link {row} (row {self.graph.source[row]} -> row {self.graph.target[row]}) = {value}"

    def encode(self, forest: Forest) -> FloatArray:
        """The columns x that say the same as a forest over the same detections.

        Raises:
            ValueError: The forest is over other detections, or has a link that is no candidate.
        """
        graph, x = self.graph, np.zeros(len(self))
        if len(forest) != len(graph.detections):
            raise ValueError(f"the forest is over {len(forest)} detections, but the graph over {len(graph.detections)}")
        n = max(len(graph.detections), 1)
        child = forest.child_rows
        order = np.argsort(graph.source * n + graph.target, kind="stable")
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
            ``divide_pair``: (link a (p,), link b (p,), cost (p,)), charged when both links are chosen, and ``other_pairs``: one
            number, for all pairs that are not named. What is missing costs 0. An infinite cost pins: plus infinity forbids, minus
            infinity forces.
        pins: Variables to fix, {block: {row: 0 or 1}}.
        rules: Families of rows to obey; add to the usual ones, since encodings, greedy and the elementary bound rely on them.

    Raises:
        ValueError: An unknown block, a column of the wrong length, a NaN, a pair whose links have different sources,
            a pin on a row that is not there, or pins that contradict each other. The message names the row.
    """
    for name, given in (("costs", costs), ("pins", pins or {})):
        if not isinstance(given, Mapping):
            raise ValueError(f"{name} must be a mapping of blocks, not {type(given).__name__}")
    if unknown := sorted(set(costs) - {*NODE_BLOCKS, "link", "divide_pair", "other_pairs"}):
        raise ValueError(f"no such cost: {', '.join(unknown)}; there are {', '.join(NODE_BLOCKS)}, link, divide_pair, other_pairs")
    n, m = len(graph.detections), len(graph)
    mothers, pairs, pair_cost = _pairs(graph, costs.get("divide_pair"), costs.get("other_pairs", 0.0))
    columns = {name: _column(costs.get(name, 0.0), n, name) for name in NODE_BLOCKS}
    columns |= {"link": _column(costs.get("link", 0.0), m, "link"), "pair": pair_cost}
    ends = np.cumsum([0, *(len(columns[name]) for name in BLOCKS)]).tolist()
    blocks = {name: slice(a, b) for name, a, b in zip(BLOCKS, ends, ends[1:], strict=False)}
    cost = np.concatenate([columns[name] for name in BLOCKS])
    lower, upper = (cost == -np.inf).astype(float), (cost != np.inf).astype(float)
    _pin(lower, upper, blocks, pins or {})
    cost[~np.isfinite(cost)] = 0.0
    program = Program(graph, blocks, cost, lower, upper, pairs, mothers, pins or {}, rules)
    if tuple(rules) != LINEAGE_RULES:
        program.matrix  # noqa: B018 - what is wrong with a rule of the caller's own is said here
    return program


def incidence(graph: CandidateGraph, end: IntArray) -> sparse.csr_array:
    """(n, m), 1 where an edge has this end."""
    m = len(end)
    return sparse.csr_array(sparse.csc_array((np.ones(m), end, np.arange(m + 1)), (len(graph.detections), m)))


def conflict_members(graph: CandidateGraph) -> tuple[IntArray, IntArray]:
    """Rows of all conflict sets, one set after another, and where each begins and the last ends; int (k,), (s + 1,)."""
    sets, n = graph.detections.conflicts, max(len(graph.detections), 1)
    of_set = np.repeat(np.arange(len(sets)), [len(rows) for rows in sets])
    key = np.unique(of_set * n + np.concatenate([*sets, np.zeros(0, np.int64)]).astype(np.int64))  # a row named twice is one row
    return key % n, np.searchsorted(key, np.arange(len(sets) + 1) * n)


def _identity(n: int) -> sparse.csr_array:
    return sparse.csr_array((np.ones(n), np.arange(n), np.arange(n + 1)), (n, n))


def _column(value: object, length: int, name: str) -> FloatArray:
    column = _array(value, f"cost {name}", "biuf").astype(float)
    if column.ndim == 0:
        column = np.full(length, float(column))
    if column.shape != (length,):
        raise ValueError(f"cost {name} has shape {column.shape}, but ({length},) is needed")
    if np.isnan(column).any():
        raise ValueError(f"cost {name} is NaN in row {int(np.argmax(np.isnan(column)))}")
    return column


def _array(value: object, name: str, kinds: str) -> Array:
    """A value as an array of numbers of these kinds; an empty one may be of any."""
    try:
        column = np.asarray(value)
    except ValueError:
        raise ValueError(f"{name} is no column: its parts differ in length") from None
    if column.size and column.dtype.kind not in kinds:
        what = "whole numbers" if kinds == "iu" else "numbers"
        raise ValueError(f"{name} is made of {column.dtype.name}, but {what} are needed")
    return column


def _pairs(graph: CandidateGraph, given: tuple[Array, Array, Array] | None, others: float) -> tuple[IntArray, IntArray, FloatArray]:
    """Mothers whose pairs of outgoing links have costs, these pairs (less the forbidden ones), and what they cost.

    Where the pairs that are not named cost nothing, mothers of whom none is named need no pairs; where they are forbidden, no pair
    needs to be made that is not named.
    """
    if (one := _array(others, "cost other_pairs", "biuf")).ndim or not one > -np.inf:
        raise ValueError(f"cost other_pairs must be one number, or infinity, not {others!r}")
    a, b, cost = _named(graph, given)
    if not len(a) and others == 0:
        return np.zeros(0, np.int64), np.zeros((0, 2), np.int64), np.zeros(0)
    mothers = np.unique(graph.source[a]) if others == 0 else np.flatnonzero(np.bincount(graph.source) > 1)
    full = np.stack([a, b], axis=1) if others == np.inf else all_pairs(graph, mothers)
    key, named = (pairs[:, 0] * len(graph) + pairs[:, 1] for pairs in (full, np.stack([a, b], axis=1)))
    order = np.argsort(key)
    full, key = full[order], key[order]
    at = np.searchsorted(key, named)
    if (twice := np.flatnonzero(np.bincount(at, minlength=len(full)) > 1)).size:
        raise ValueError(f"divide_pair names the links {full[twice[0], 0]} and {full[twice[0], 1]} twice")
    column = np.full(len(full), float(others))
    column[at] = cost
    allowed = column != np.inf
    return mothers, full[allowed], column[allowed]


def _named(graph: CandidateGraph, given: tuple[Array, Array, Array] | None) -> tuple[IntArray, IntArray, FloatArray]:
    """The two links of every pair that has a cost of its own, the smaller first, and that cost; (p,) each."""
    nothing = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    if given is None:
        return nothing
    if not isinstance(given, Sequence) or len(given) != 3:
        raise ValueError(f"divide_pair must be (link a, link b, cost), three columns, not {type(given).__name__}")
    m = len(graph)
    a, b = (np.atleast_1d(_array(column, f"divide_pair link {name}", "iu")) for name, column in zip("ab", given[:2], strict=True))
    cost = np.atleast_1d(_array(given[2], "cost divide_pair", "biuf"))
    if len(a) == len(b) == len(cost) == 0:
        return nothing
    if not len(a) == len(b) == len(cost):
        raise ValueError(f"divide_pair has columns of {len(a)}, {len(b)} and {len(cost)} rows")
    for end in (a, b):
        if (outside := np.flatnonzero((end < 0) | (end >= m))).size:
            raise ValueError(f"divide_pair row {outside[0]} names link {end[outside[0]]}, but there are {m} links")
    a, b = np.minimum(a, b).astype(np.int64), np.maximum(a, b).astype(np.int64)
    cost = _column(cost, len(a), "divide_pair")
    if (odd := np.flatnonzero((graph.source[a] != graph.source[b]) | (a == b))).size:
        raise ValueError(f"divide_pair row {odd[0]} joins links {a[odd[0]]} and {b[odd[0]]}, which are not two links of one mother")
    return a, b, cost


def all_pairs(graph: CandidateGraph, mothers: IntArray) -> IntArray:
    """Every unordered pair of outgoing links of some detections (rows); int (p, 2), the smaller link first."""
    return couples(graph.source, mothers)


def couples(end: IntArray, rows: IntArray) -> IntArray:
    """Every unordered pair of links that have one of these rows for the same end; int (p, 2), the smaller link first.

    Args:
        end: Source, or target, of every link; int (m,).
        rows: Detections.
    """
    order = np.argsort(end, kind="stable")
    first = np.searchsorted(end[order], rows)
    degree = np.searchsorted(end[order], rows, side="right") - first
    pairs = [np.zeros((0, 2), np.int64)]
    for k in np.unique(degree):  # all that have k links at once
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
        if not isinstance(values, Mapping):
            raise ValueError(f"pins on {block} must be {{row: 0 or 1}}, not {type(values).__name__}")
        start, stop = blocks[block].start, blocks[block].stop
        for row, value in values.items():
            if not isinstance(row, int | np.integer):
                raise ValueError(f"pin on {block} names row {row!r}, but rows are whole numbers")
            if not 0 <= row < stop - start:
                raise ValueError(f"pin on {block} row {row}, but there are {stop - start} rows")
            if not isinstance(value, int | float | np.number | np.bool_) or value not in (0, 1):
                raise ValueError(f"pin on {block} row {row} is {value!r}, but a pin is 0 or 1")
            if not lower[start + row] <= value <= upper[start + row]:
                raise ValueError(f"pin {block} row {row} = {int(value)} contradicts its infinite cost")
            lower[start + row] = upper[start + row] = value
