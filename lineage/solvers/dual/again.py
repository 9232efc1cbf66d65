"""Solving again: from the memory of a solution, only what a few pins or other costs have changed.

The shares of the last solution split the new costs too, so the sum of their factors' minima is a bound at once, and what whole
numbers added to it in regions without a change still holds. Only where the old forest is no longer every detection's best choice
is there something to do: there regions are solved as before, beginning with the detections that changed.
"""

from __future__ import annotations

import numpy as np

from lineage.arrays import BoolArray
from lineage.certificate import relative_gap

from .deciding import Votes, objective
from .memory import Memory
from .net import Net
from .searching import ACTIVE, AROUND, Found, Search, closed, grown, improve, rebound, search, short
from .sweeps import Shares, regrets


def renewed(
    net: Net, memory: Memory, begin: tuple[Shares, Votes], changes: tuple[BoolArray, BoolArray], gap: float, deadline: float
) -> Found:
    """Solve again around the detections that changed; then, if the gap is not reached, wherever the forest costs too much.

    Args:
        net: The film.
        memory: What is remembered.
        begin: The split of the costs, changed in place, and the forest of before, which may break rules.
        changes: Detections that changed, (n,), and links that were whole inside a region, (m,).
        gap: Relative gap that is good enough.
        deadline: ``time.perf_counter()`` when to stop.
    """
    now, new = _begin(net, memory, begin, changes)
    near = new
    for _ in range(AROUND):
        near = grown(net, now.regret, near, ACTIVE)
    improve(now, np.flatnonzero(closed(net, near)), deadline)
    search(now, short(now, now.best) & near, gap, deadline, whole=True)
    if relative_gap(now.objective, now.bound) > gap:
        search(now, short(now, now.best) & ~now.inside, gap, deadline, whole=True)
    return now.found()


def _begin(net: Net, memory: Memory, begin: tuple[Shares, Votes], changes: tuple[BoolArray, BoolArray]) -> tuple[Search, BoolArray]:
    """The search with every wish as in the old forest, and the detections that changed, with those of their old regions."""
    (shares, best), (new, active) = begin, changes
    at_source, at_target = regrets(net, shares)
    regret = at_source + at_target
    region = np.where(memory.lift[memory.region] > 0, memory.region, -1)
    region[memory.region < 0] = -1
    gone = np.zeros(len(new), bool)
    gone[region[new & (region >= 0)]] = True
    undone = (region >= 0) & gone[region]
    region[undone] = -1
    lift = np.where(region >= 0, memory.lift, 0.0)
    there, source, target = (np.where(column, 100, 0).astype(np.int8) for column in best)
    active = active | (regret < ACTIVE)
    now = Search(net, shares, regret, active, there, source, target, region >= 0, lift, region, best, objective(net, shares, best))
    rebound(now)
    return now, new | undone
