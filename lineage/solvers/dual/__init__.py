"""Dual: lineages of any size by dual ascent, min-cost flow and exact repair, with a bound that always holds.

Every detection's choices form a factor; links' costs are shared between their ends so that the sum of the factors' minima, a
lower bound of the programme, becomes as large as it can. Sweeps forward and backward in time move costs between neighbours
(Haller et al. 2020), a minimum-cost flow carries what is left over through the film, and where detections still disagree their
neighbourhood is solved exactly: by trying all that can matter where it is small, by HiGHS where it is not. Bound and objective then
meet, or the certificate says how far apart they are. What was found is remembered, so that a few changes cost little.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np

from lineage.arrays import FloatArray, IntArray
from lineage.certificate import relative_gap
from lineage.program import LINEAGE_RULES, Program
from lineage.solvers.highs import highs
from lineage.solvers.limits import Limits
from lineage.solvers.solution import Solution

from .again import renewed
from .answer import Impossible, Unsound
from .climbing import QUICK, THOROUGH, bottom, climbed
from .deciding import Votes
from .memory import Memory, changed, fits, recalled, remembered
from .net import Net, net_of
from .regions import patched, repaired
from .searching import Found
from .slack import slacks
from .sweeps import Shares
from .warming import other_half, wait_for

FEW = 100  # detections that may have changed, or a twentieth of all, for a memory to be worth it


def dual(program: Program, limits: Limits = Limits(), start: object = None) -> Solution:  # noqa: B008 - frozen
    """Solve a programme with the usual rules by dual ascent.

    Args:
        program: What to solve.
        limits: When to stop.
        start: The ``memory`` of a solution of a programme on the same graph: the climb begins where that one ended.

    Returns:
        The solution with its ``slack``, and with a ``memory`` to start from.

    Raises:
        ValueError: The programme has rules other than the usual ones, or its pins admit no solution (they are named).
    """
    if tuple(program.rules) != LINEAGE_RULES:
        raise ValueError("solver dual knows the usual rules only: take solver='highs'")
    started = time.perf_counter()
    deadline = started + limits.seconds
    net, links, pairs = net_of(program)
    if ((net.select == np.inf) & (net.off == np.inf)).any():
        return highs(program, limits)
    try:
        shares, found = _found(program, (net, links, pairs), start, max(limits.gap, 1e-9), deadline)
    except (Impossible, Unsound):  # HiGHS names the pins that contradict each other, and has a bound of its own
        return highs(program, limits)
    if not math.isfinite(found.objective) or found.bound > found.objective + 1e-6 * max(1.0, abs(found.objective)):
        return highs(program, limits)
    x = _encoded(program, net, links, pairs, found.votes)
    if not ((program.lower <= x).all() and (x <= program.upper).all()):  # a forced link that nothing can pay for
        return highs(program, limits)
    solution = Solution.of(program, x, found.bound, solver="dual", started=started, limits=limits)
    slack = slacks(net, shares, found, links, len(program.graph))
    return replace(solution, slack=slack, memory=remembered(program, net, shares, found, links, pairs))


def _found(program: Program, film: tuple[Net, IntArray, IntArray], start: object, gap: float, deadline: float) -> tuple[Shares, Found]:
    """Shares and forest: from a memory, if that is enough, or from nothing."""
    net, links, pairs = film
    if isinstance(start, Memory) and fits(program, net, start):
        shares, forest = recalled(net, start, links)
        new = changed(program, net, start, links, pairs)
        few = int(new.sum()) <= max(FEW, len(new) // 20)
        found = renewed(net, start, (shares, forest), (new, start.active[links]), gap, deadline) if few else None
        if found is not None and (relative_gap(found.objective, found.bound) <= gap or time.perf_counter() > deadline):
            return shares, found
    compiling = other_half()
    shares, forest = climbed(net, bottom(net), QUICK, gap, deadline)
    wait_for(compiling)
    if (known := patched(net, shares, forest, gap)) is not None:
        return shares, known
    shares, forest = climbed(net, (shares, forest), THOROUGH, gap, deadline)
    return shares, repaired(net, shares, forest, gap, deadline)


def _encoded(program: Program, net: Net, links: IntArray, pairs: IntArray, votes: Votes) -> FloatArray:
    """The columns of the programme that a forest stands for."""
    n = len(net.select)
    chosen = votes.at_source
    x = np.zeros(len(program))
    x[program.blocks["select"]] = votes.there
    x[program.blocks["link"].start + links[chosen]] = 1
    children = np.bincount(net.source[chosen], minlength=n)
    x[program.blocks["appear"]] = votes.there & (np.bincount(net.target[chosen], minlength=n) == 0)
    x[program.blocks["disappear"]] = votes.there & (children == 0)
    x[program.blocks["divide"]] = children == 2
    both = chosen[net.one] & chosen[net.two]
    x[program.blocks["pair"].start + pairs[both]] = 1
    return x
