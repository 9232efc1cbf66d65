"""Any solver that PuLP reaches; CBC comes with it."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from lineage.program import Program

from .bound import elementary_bound
from .greedy import without_time
from .infeasible import blame
from .limits import Limits
from .solution import Solution

CBC = "PULP_CBC_CMD"


@contextmanager
def _quiet() -> Iterator[None]:
    """PuLP 3 announces what PuLP 4 will change; until then (it is pinned below 4) that is no news to the user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def pulp_model(program: Program) -> tuple[Any, list[Any]]:
    """The programme as a PuLP ``LpProblem``, made from its columns, and its ``LpVariable`` for every column."""
    from pulp import LpAffineExpression, LpConstraint, LpConstraintEQ, LpConstraintGE, LpConstraintLE, LpMinimize, LpProblem, LpVariable

    model = LpProblem("lineage", LpMinimize)
    with _quiet():
        x = [LpVariable(f"x{v}", 0, 1, "Integer") for v in range(len(program))]
    for v in np.flatnonzero((program.lower > 0) | (program.upper < 1)):
        x[v].lowBound, x[v].upBound = program.lower[v], program.upper[v]
    model.setObjective(LpAffineExpression(list(zip(x, program.cost.tolist(), strict=True))))
    matrix = program.matrix
    start, column, value = matrix.indptr.tolist(), matrix.indices.tolist(), matrix.data.tolist()
    for r, (low, high) in enumerate(zip(program.low.tolist(), program.high.tolist(), strict=True)):  # PuLP takes objects, row by row
        terms = [(x[column[k]], value[k]) for k in range(start[r], start[r + 1])]
        sides = [(LpConstraintEQ, low)] if low == high else [(LpConstraintGE, low), (LpConstraintLE, high)]
        for sense, limit in sides:
            if math.isfinite(limit):
                model.addConstraint(LpConstraint(LpAffineExpression(terms), sense, rhs=limit))
    return model, x


def pulp(program: Program, limits: Limits = Limits(), *, name: str = CBC) -> Solution:  # noqa: B008 - frozen
    """Solve a programme with a solver of PuLP, by default the bundled CBC.

    The bound is what the solver's own tolerance proves (objective less the requested gap) when it says it has finished, and
    the elementary bound otherwise.

    Raises:
        ValueError: PuLP does not reach this solver here, or the pins admit no solution.
    """
    import pulp as library

    started = time.perf_counter()
    if len(program) == 0:
        return Solution.of(program, np.zeros(0), 0.0, solver=f"pulp:{name}", started=started, limits=limits)
    options: dict[str, Any] = {"msg": False, "gapRel": limits.gap}
    options |= {"timeLimit": limits.seconds} if math.isfinite(limits.seconds) else {}
    options |= {"threads": limits.threads} if limits.threads else {}
    model, variables = pulp_model(program)
    with _quiet():
        model.solve(library.getSolver(name, **options))
    if model.status == library.LpStatusInfeasible:
        raise ValueError(blame(program))
    values = [variable.value() or 0.0 for variable in variables]
    bound = elementary_bound(program)
    if model.sol_status not in (library.LpSolutionOptimal, library.LpSolutionIntegerFeasible):
        return Solution.of(program, without_time(program, limits), bound, solver=f"pulp:{name}", started=started, limits=limits)
    x = np.round(np.array(values, float))
    if model.sol_status == library.LpSolutionOptimal:
        objective = float(program.cost @ x)
        bound = objective - limits.gap * abs(objective)
    return Solution.of(program, x, bound, solver=f"pulp:{name}", started=started, limits=limits)


def pulp_solver(name: str) -> partial[Solution]:
    """The solver of PuLP with this name, as a function Program, Limits -> Solution.

    Raises:
        ValueError: It is not there; the message lists those that are.
    """
    import pulp as library

    with _quiet():
        reached = library.listSolvers(onlyAvailable=True)
    if name not in reached:
        raise ValueError(f"PuLP reaches no solver {name} here; it reaches {', '.join(reached) or 'none'}")
    return partial(pulp, name=name)
