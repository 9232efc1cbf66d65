"""HiGHS: the exact solver inside SciPy (Huangfu and Hall 2018), asked in three steps.

1. The linear relaxation. The programme's rows describe each detection's choices tightly, so it is often whole already: then it
   is the optimum.
2. Where it is not, only the neighbourhood of the broken variables is solved in whole numbers, all else held at the relaxation's
   values. The relaxation is the bound; with the gap asked for, this is enough.
3. Otherwise the whole programme goes to branch and cut.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from lineage.arrays import BoolArray, FloatArray
from lineage.certificate import relative_gap
from lineage.program import Program

from .bound import elementary_bound
from .greedy import without_time
from .infeasible import blame
from .limits import Limits
from .solution import Solution

_INFEASIBLE = 2
_WHOLE = 1e-6
_HOPS = 2  # how far around a broken variable the second step looks


@dataclass(frozen=True, eq=False)
class _Answer:
    """What HiGHS said: a point, or None, and a bound that holds in any case."""

    x: FloatArray | None
    bound: float


def highs(program: Program, limits: Limits = Limits()) -> Solution:  # noqa: B008 - frozen
    """Solve a programme to the requested gap with SciPy's HiGHS.

    When the time is up before HiGHS has any solution, the greedy one is returned with the best bound known.

    Raises:
        ValueError: The pins admit no solution; the message names those that contradict each other.
    """
    started = time.perf_counter()
    if len(program) == 0:
        return Solution.of(program, np.zeros(0), 0.0, solver="highs", started=started, limits=limits)
    answer = _ask(program, program.lower, program.upper, limits, started, whole=False)
    bound = answer.bound if math.isfinite(answer.bound) else elementary_bound(program)
    x = answer.x
    if x is not None and (broken := np.abs(x - np.round(x)) > _WHOLE).any():
        near = _near(program, broken)
        held = np.round(x)
        local = _ask(program, np.where(near, program.lower, held), np.where(near, program.upper, held), limits, started)
        x = local.x
        if x is None or relative_gap(float(program.cost @ x), bound) > limits.gap:
            exact = _ask(program, program.lower, program.upper, limits, started)
            found = [point for point in (x, exact.x) if point is not None]
            x = min(found, key=lambda point: float(program.cost @ point), default=None)
            bound = max(bound, exact.bound)
    x = without_time(program, limits) if x is None else x
    return Solution.of(program, x, bound, solver="highs", started=started, limits=limits)


def _ask(program: Program, lower: FloatArray, upper: FloatArray, limits: Limits, started: float, *, whole: bool = True) -> _Answer:
    """Let HiGHS solve the programme within limits of the variables, as a linear or a whole-number one."""
    left = limits.seconds - (time.perf_counter() - started)
    if left <= 0:
        return _Answer(None, -math.inf)
    result = milp(
        program.cost,
        constraints=LinearConstraint(program.matrix, program.low, program.high),
        integrality=np.full(len(program), int(whole), np.int64),
        bounds=Bounds(lower, upper),
        options={"mip_rel_gap": limits.gap, "time_limit": min(left, 1e9)},
    )
    if result.status == _INFEASIBLE and lower is program.lower:
        raise ValueError(blame(program))
    bound = result.mip_dual_bound if whole else result.fun if result.status == 0 else None
    x = result.x if whole or result.status == 0 else None
    return _Answer(x, -math.inf if bound is None else float(bound))


def _near(program: Program, broken: BoolArray) -> BoolArray:
    """Which variables share a row with a broken one, or with one that does; bool (v,)."""
    touches = abs(program.matrix)
    near = broken.astype(float)
    for _ in range(2 * _HOPS):
        near = ((touches.T @ (touches @ near)) > 0).astype(float)
    return (near > 0) | broken
