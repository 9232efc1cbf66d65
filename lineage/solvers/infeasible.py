"""Why a programme has no solution: the pins that contradict each other."""

from __future__ import annotations

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from lineage.arrays import FloatArray, IntArray
from lineage.program import Program


def blame(program: Program) -> str:
    """One line that names a smallest set of pins (and infinite costs) that cannot hold together.

    Without pins every programme with the usual rules has a solution, the empty one. The set is found by halving (QuickXplain,
    Junker 2004): few questions to the solver even among thousands of pins.
    """
    pinned = np.flatnonzero(program.lower == program.upper)
    if not _possible(program, pinned[:0]):
        return "the rules admit no solution, even without pins"
    pinned = np.sort(_minimal(program, pinned[:0], pinned, changed=False))
    named = [_name(program, int(v)) for v in pinned[:10]]
    more = f" and {len(pinned) - 10} more" if len(pinned) > 10 else ""
    return f"these pins cannot hold together: {', '.join(named)}{more}"


def _minimal(program: Program, given: IntArray, pinned: IntArray, *, changed: bool) -> IntArray:
    """A smallest part of ``pinned`` that is impossible together with the pins ``given`` (which may be impossible by themselves)."""
    if changed and not _possible(program, given):
        return pinned[:0]
    if len(pinned) == 1:
        return pinned
    one, two = pinned[: len(pinned) // 2], pinned[len(pinned) // 2 :]
    second = _minimal(program, np.concatenate([given, one]), two, changed=True)
    first = _minimal(program, np.concatenate([given, second]), one, changed=len(second) > 0)
    return np.concatenate([first, second])


def _possible(program: Program, pinned: IntArray) -> bool:
    lower, upper = np.zeros(len(program)), np.ones(len(program))
    lower[pinned], upper[pinned] = program.lower[pinned], program.upper[pinned]
    rows = LinearConstraint(program.matrix, program.low, program.high)
    nothing: FloatArray = np.zeros(len(program))
    return milp(nothing, constraints=rows, integrality=np.ones(len(program), np.int64), bounds=Bounds(lower, upper)).x is not None


def _name(program: Program, variable: int) -> str:
    block = next(name for name, where in program.blocks.items() if where.start <= variable < where.stop)
    row, value = variable - program.blocks[block].start, int(program.lower[variable])
    if block != "link":
        return f"{block} row {row} = {value}"
    return f"link {row} (row {program.graph.source[row]} -> row {program.graph.target[row]}) = {value}"
