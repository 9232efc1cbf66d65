"""Choosing: which solver for which programme; and the dual one, which is loaded when it is first used."""

from __future__ import annotations

from importlib import import_module

from lineage.program import LINEAGE_RULES, Program

from .highs import highs
from .limits import Limits
from .solution import Solution

SMALL = 10_000  # links up to which HiGHS has finished before the compiled code of the dual solver is loaded


def auto(program: Program, limits: Limits = Limits(), start: object = None) -> Solution:  # noqa: B008 - frozen
    """Solve with HiGHS what is small or has rules of its own, by dual ascent what is large; ``start`` as for ``dual``.

    Raises:
        ValueError: The pins admit no solution.
    """
    usual = tuple(program.rules) == LINEAGE_RULES
    return dual(program, limits, start) if usual and len(program.graph) > SMALL else highs(program, limits)


def dual(program: Program, limits: Limits = Limits(), start: object = None) -> Solution:  # noqa: B008 - frozen
    """Solve by dual ascent (``lineage.solvers.dual``); its compiler is loaded now, not with the package.

    Args:
        program: What to solve.
        limits: When to stop.
        start: The ``memory`` of a solution of the same programme with other pins or costs: only what they change is solved again.

    Raises:
        ValueError: The programme has rules other than the usual ones, or its pins admit no solution.
    """
    run = import_module("lineage.solvers.dual").dual
    solution: Solution = run(program, limits, start)
    return solution
