"""Solving: a candidate graph and its costs to the cheapest forest, certified."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from .arrays import FloatArray
from .forest import Forest
from .graph import CandidateGraph
from .program import LINEAGE_RULES, Costs, Pins, Program, Rule, state
from .solvers import Limits, Solution, Solver, auto, clash, dual_ascent, solver_named

RESUMING = (auto, dual_ascent)  # solvers that go on from a memory


def solve(  # noqa: PLR0913 - the programme, and how to solve it
    graph: CandidateGraph,
    costs: Costs,
    solver: str | Solver = "auto",
    gap: float = 1e-4,
    pins: Pins | None = None,
    start: Forest | None = None,
    *,
    time_limit: float = math.inf,
    threads: int = 0,
    seed: int = 0,
    rules: Sequence[Rule] = LINEAGE_RULES,
) -> Forest:
    """Find the cheapest forest in a candidate graph.

    Args:
        graph: The candidate links.
        costs: Nats; ``select``, ``appear``, ``disappear``, ``divide`` (n,), ``link`` (m,), ``divide_pair`` (link a (p,), link b (p,),
            cost (p,)), ``other_pairs`` (one number, for pairs not named). What is missing costs 0; plus infinity forbids, minus infinity
            forces.
        solver: ``auto``, ``highs``, ``dual``, ``pulp``, ``pulp:NAME``, ``greedy``, or a function Program, Limits -> Solution.
        gap: Relative gap between objective and lower bound that is good enough; 0 for proven optimal.
        pins: Variables to fix, {block: {row: 0 or 1}}, blocks as in ``costs``.
        start: A forest known before. If it was solved by ``dual`` on the same graph, only what other pins and costs change is solved
            again. It is returned when the solver finds no better one in its time.
        time_limit: Seconds.
        threads: Processor threads the solver may use, where it can be told; 0 leaves it to the solver.
        seed: For solvers that draw lots.
        rules: Families of rows that a forest must obey.

    Returns:
        The forest with its certificate: objective, bound, gap, solver, status, seconds.

    Raises:
        ValueError: Costs of the wrong shape or NaN, an unknown solver, pins that cannot hold together (named), or a start over other
            detections or links.
    """
    limits = Limits(gap, time_limit, threads, seed)
    run = solver_named(solver) if isinstance(solver, str) else solver
    program = state(graph, costs, pins=pins, rules=rules)
    if (complaint := clash(program)) is not None:
        raise ValueError(complaint)
    known = None if start is None else program.encode(start)  # a start over other links is refused before the work, not after it
    memory = start.memory if start is not None else None
    found = run(program, limits, memory) if run in RESUMING else run(program, limits)
    return as_forest(program, _better(program, found, known, limits))


def as_forest(program: Program, solution: Solution) -> Forest:
    """The forest that a solution describes."""
    parent, selected, cost = program.decode(solution.x)
    return Forest(program.graph.detections, parent, selected, cost, solution.certificate, slack=solution.slack, memory=solution.memory)


def _better(program: Program, found: Solution, known: FloatArray | None, limits: Limits) -> Solution:
    """The solution found, or the point known before if that is feasible and cheaper."""
    if known is None or not program.feasible(known) or program.cost @ known >= found.certificate.objective:
        return found
    old = found.certificate
    return Solution.of(program, known, old.bound, solver=old.solver, started=time.perf_counter() - old.seconds, limits=limits)
