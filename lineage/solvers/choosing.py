"""Choosing: which solver for which programme; and the dual one, which is loaded when it is first used."""

from __future__ import annotations

from importlib import import_module

from lineage.program import LINEAGE_RULES, Program

from .highs import highs
from .limits import Limits
from .solution import Solution

SMALL = 10_000  # links up to which HiGHS has finished before the compiled code of the dual solver is loaded


def auto(program: Program, limits: Limits = Limits()) -> Solution:  # noqa: B008 - frozen
    """Solve with HiGHS what is small or has rules of its own, by dual ascent what is large.

    Raises:
        ValueError: The pins admit no solution.
    """
    usual = tuple(program.rules) == LINEAGE_RULES
    return dual(program, limits) if usual and len(program.graph) > SMALL else highs(program, limits)


def dual(program: Program, limits: Limits = Limits()) -> Solution:  # noqa: B008 - frozen
    """Solve by dual ascent (``lineage.solvers.dual``); its compiler is loaded now, not with the package.

    Raises:
        ValueError: The programme has rules other than the usual ones, or its pins admit no solution.
    """
    run = import_module("lineage.solvers.dual").dual
    solution: Solution = run(program, limits)
    return solution
