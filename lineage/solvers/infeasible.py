"""Why a programme has no solution: the pins that contradict each other."""

from __future__ import annotations

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from lineage.arrays import FloatArray, IntArray
from lineage.program import Program

_MOST = 200  # pins that are tried one by one


def blame(program: Program) -> str:
    """One line that names a smallest set of pins (and infinite costs) that cannot hold together.

    Without pins every programme has a solution, the empty one. Pins are let go one by one; those without which the rest
    becomes possible stay (a deletion filter).
    """
    pinned = np.flatnonzero((program.lower == program.upper) | (program.lower > 0))
    if len(pinned) <= _MOST:
        pinned = _minimal(program, pinned)
    named = [_name(program, int(v)) for v in pinned[:10]]
    more = f" and {len(pinned) - 10} more" if len(pinned) > 10 else ""
    return f"these pins cannot hold together: {', '.join(named)}{more}"


def _minimal(program: Program, pinned: IntArray) -> IntArray:
    kept = list(pinned)
    for v in pinned:
        without = [w for w in kept if w != v]
        if not _possible(program, np.array(without, np.int64)):
            kept = without
    return np.array(kept, np.int64)


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
