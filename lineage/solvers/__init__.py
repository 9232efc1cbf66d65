"""Solvers: Program -> Solution, each with a certificate."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lineage.program import Program

from .choosing import auto
from .choosing import dual as dual_ascent
from .greedy import greedy
from .highs import highs
from .infeasible import blame, clash
from .limits import Limits
from .pulp import pulp, pulp_solver
from .solution import Solution

Solver = Callable[[Program, Limits], Solution]

SOLVERS: Mapping[str, Solver] = {"highs": highs, "dual": dual_ascent, "pulp": pulp, "greedy": greedy}


def solver_named(name: str) -> Solver:
    """The solver of a name: ``auto``, ``highs``, ``dual``, ``pulp``, ``pulp:NAME`` (a solver PuLP knows) or ``greedy``.

    Raises:
        ValueError: No such solver; the message lists what there is.
    """
    if name.startswith("pulp:"):
        return pulp_solver(name.removeprefix("pulp:"))
    solver = auto if name == "auto" else SOLVERS.get(name)
    if solver is None:
        raise ValueError(f"no such solver: {name}; there are auto, {', '.join(SOLVERS)}, pulp:NAME")
    return solver


__all__ = [
    "SOLVERS",
    "Limits",
    "Solution",
    "Solver",
    "auto",
    "blame",
    "clash",
    "dual_ascent",
    "greedy",
    "highs",
    "pulp",
    "pulp_solver",
    "solver_named",
]
