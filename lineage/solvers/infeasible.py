"""Why a programme has no solution: the pins that contradict each other.

``clash`` looks at every detection and every conflict set by itself, which takes no time in a film of any size; ``blame`` asks
HiGHS, and finds what only several detections together rule out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from lineage.arrays import BoolArray, FloatArray, IntArray
from lineage.program import BLOCKS, LINEAGE_RULES, NODE_BLOCKS, Program, conflict_members

_STEPS = (2, 2, 4)  # how many rows further the search for contradicting pins goes each time before it takes the whole programme


def clash(program: Program) -> str | None:
    """One line that names pins (and infinite costs) of one detection or conflict set that cannot hold together, if there are any.

    Only programmes that obey the usual rules are looked at; others may allow what these forbid.
    """
    if not set(LINEAGE_RULES) <= set(program.rules) or not program.lower.any():  # where nothing is forced, nothing need be there
        return None
    return next((_sentence(program, variables) for variables in _clashes(program)), None)


def _clashes(program: Program) -> Iterator[IntArray]:
    """Variables whose pins contradict each other; the first case of every kind."""
    graph, n = program.graph, len(program.graph.detections)
    at = {name: program.blocks[name].start + np.arange(n) for name in NODE_BLOCKS}
    on = {name: program.lower[program.blocks[name]] > 0 for name in BLOCKS}
    off = {name: program.upper[program.blocks[name]] < 1 for name in BLOCKS}
    into, out = (_first_three(end, np.flatnonzero(on["link"]), n, program.blocks["link"].start) for end in (graph.target, graph.source))
    proof = np.full(n, -1)  # a variable from which it follows that the detection is there
    for name in ("divide", "disappear", "appear"):
        proof[on[name]] = at[name][on[name]]
    for links in (out[0], into[0]):
        proof[links >= 0] = links[links >= 0]
    proof[on["select"]] = at["select"][on["select"]]
    must = proof >= 0
    free_in, free_out = (np.bincount(end[~off["link"]], minlength=n) for end in (graph.target, graph.source))
    yield from _barred(program, on["divide"] & (free_out < 2), graph.source, [at["divide"]], needed=2)
    for wrong, *columns in (
        (must & off["select"], proof, at["select"]),
        (into[1] >= 0, into[0], into[1]),
        ((into[0] >= 0) & on["appear"], into[0], at["appear"]),
        (out[2] >= 0, *out),
        ((out[0] >= 0) & on["disappear"], out[0], at["disappear"]),
        (on["divide"] & on["disappear"], at["disappear"], at["divide"]),
        ((out[1] >= 0) & off["divide"], out[0], out[1], at["divide"]),
    ):
        if wrong.any():
            yield np.array([column[np.argmax(wrong)] for column in columns])
    yield from _crowded(program, proof)
    yield from _barred(program, must & off["appear"] & (free_in == 0), graph.target, [proof, at["appear"]])
    yield from _barred(program, must & off["disappear"] & (free_out == 0), graph.source, [proof, at["disappear"]])


def _barred(program: Program, wrong: BoolArray, end: IntArray, columns: list[IntArray], *, needed: int = 1) -> Iterator[IntArray]:
    """The variables of the first detection that is left fewer links than it needs, and so many links forbidden that it is."""
    if wrong.any():
        v = int(np.argmax(wrong))
        links = program.blocks["link"].start + np.flatnonzero(end == v)
        enough = max(len(links) - needed + 1, 0)
        yield np.concatenate([[column[v] for column in columns], links[program.upper[links] < 1][:enough]])


def _first_three(end: IntArray, links: IntArray, n: int, start: int) -> IntArray:
    """Variables of the first three of some links at every end; int (3, n), -1 where there are fewer."""
    links = links[np.argsort(end[links], kind="stable")]
    place = np.arange(len(links)) - np.searchsorted(end[links], end[links])
    found = np.full((3, n), -1)
    few = place < 3
    found[place[few], end[links][few]] = start + links[few]
    return found


def _crowded(program: Program, proof: IntArray) -> Iterator[IntArray]:
    """The first conflict set with two detections that must be there."""
    rows, ends = conflict_members(program.graph)
    of_set = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
    crowded = np.flatnonzero(np.bincount(of_set, proof[rows] >= 0, len(ends) - 1) > 1)
    if crowded.size:
        members = rows[ends[crowded[0]] : ends[crowded[0] + 1]]
        links = np.flatnonzero(program.lower[program.blocks["link"]] > 0)
        inner = links[np.isin(program.graph.source[links], members) & np.isin(program.graph.target[links], members)]
        there = proof[members]
        yield program.blocks["link"].start + inner[:1] if inner.size else there[there >= 0][:2]


@dataclass(frozen=True, eq=False)
class _Part:
    """Some rows of a programme, and the variables in them; what is impossible in a part is impossible in the whole."""

    columns: IntArray
    matrix: sparse.csr_array
    low: FloatArray
    high: FloatArray
    lower: FloatArray
    upper: FloatArray

    @classmethod
    def of(cls, program: Program, rows: IntArray) -> _Part:
        matrix = program.matrix[rows]
        columns = np.unique(matrix.indices).astype(np.int64)
        return cls(columns, matrix[:, columns], program.low[rows], program.high[rows], program.lower[columns], program.upper[columns])

    @property
    def pinned(self) -> IntArray:
        """Pinned variables, by their place in ``columns``."""
        return np.flatnonzero(self.lower == self.upper)

    def possible(self, pinned: IntArray) -> bool:
        """Whether there is a point that honours some of the pins."""
        n = len(self.columns)
        lower, upper = np.zeros(n), np.ones(n)
        lower[pinned], upper[pinned] = self.lower[pinned], self.upper[pinned]
        if n == 0 or self.matrix.shape[0] == 0:
            return True
        rows = LinearConstraint(self.matrix, self.low, self.high)
        return milp(np.zeros(n), constraints=rows, integrality=np.ones(n, np.int64), bounds=Bounds(lower, upper)).x is not None


def blame(program: Program) -> str:
    """One line that names a smallest set of pins (and infinite costs) that cannot hold together.

    Without pins every programme with the usual rules has a solution, the empty one. What is near the caller's pins is looked at
    first, then more and more. The set is found by halving (QuickXplain, Junker 2004): few questions to the solver even among
    thousands of pins.
    """
    if (complaint := clash(program)) is not None:
        return complaint
    part = next((part for part in _parts(program) if not part.possible(part.pinned)), None)
    if part is None:
        return "HiGHS finds no solution, but no pins that contradict each other either"
    if not part.possible(part.pinned[:0]):
        return "the rules admit no solution, even without pins"
    return _sentence(program, part.columns[_minimal(part, part.pinned[:0], part.pinned, changed=False)])


def _parts(program: Program) -> Iterator[_Part]:
    """The rows within some steps of the caller's pins, wider and wider; in the end the whole programme, which is known to be impossible."""
    touches = abs(program.matrix)
    near = np.zeros(len(program), bool)
    for block, rows in program.pins.items():
        near[program.blocks[block].start + np.fromiter(rows, np.int64, len(rows))] = True
    for steps in _STEPS if near.any() else ():
        for _ in range(steps):
            inside = touches @ near.astype(float) > 0
            near |= touches.T @ inside.astype(float) > 0
        if near.all():
            break
        yield _Part.of(program, np.flatnonzero(inside))
    yield _Part.of(program, np.arange(len(program.low)))


def possible(program: Program) -> bool:
    """Whether the pins admit a solution."""
    whole = _Part.of(program, np.arange(len(program.low)))
    return whole.possible(whole.pinned)


def _minimal(part: _Part, given: IntArray, pinned: IntArray, *, changed: bool) -> IntArray:
    """A smallest part of ``pinned`` that is impossible together with the pins ``given`` (which may be impossible by themselves)."""
    if changed and not part.possible(given):
        return pinned[:0]
    if len(pinned) == 1:
        return pinned
    one, two = pinned[: len(pinned) // 2], pinned[len(pinned) // 2 :]
    second = _minimal(part, np.concatenate([given, one]), two, changed=True)
    first = _minimal(part, np.concatenate([given, second]), one, changed=len(second) > 0)
    return np.concatenate([first, second])


def _sentence(program: Program, pinned: IntArray) -> str:
    """The complaint about some pinned variables."""
    pinned = np.unique(pinned)
    named = [program.name(int(v)) for v in pinned[:10]]
    more = f" and {len(pinned) - 10} more" if len(pinned) > 10 else ""
    return f"these pins cannot hold together: {', '.join(named)}{more}"
