"""Solvers: Program -> Solution, each with a certificate."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lineage.program import Program

from .greedy import greedy
from .highs import highs
from .infeasible import blame
from .limits import Limits
from .pulp import pulp, pulp_solver
from .solution import Solution

Solver = Callable[[Program, Limits], Solution]

SOLVERS: Mapping[str, Solver] = {"highs": highs, "pulp": pulp, "greedy": greedy}


def solver_named(name: str) -> Solver:
    """The solver of a name: ``auto``, ``highs``, ``pulp``, ``pulp:NAME`` (a solver PuLP knows) or ``greedy``.

    Raises:
        ValueError: No such solver; the message lists what there is.
    """
    if name.startswith("pulp:"):
        return pulp_solver(name.removeprefix("pulp:"))
    solver = SOLVERS.get("highs" if name == "auto" else name)
    if solver is None:
        raise ValueError(f"no such solver: {name}; there are auto, {', '.join(SOLVERS)}, pulp:NAME")
    return solver


__all__ = ["SOLVERS", "Limits", "Solution", "Solver", "blame", "greedy", "highs", "pulp", "pulp_solver", "solver_named"]
