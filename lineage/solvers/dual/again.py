"""Solving again: from the memory of a solution, only what a few pins or other costs have changed.

The shares of the last solution split the new costs too, so the sum of their factors' minima is a bound at once, and what whole
numbers added to it in regions without a change still holds. Only where the old forest is no longer every detection's best choice
is there something to do: there regions are solved as before, beginning with the detections that changed.
"""

from __future__ import annotations

import numpy as np

from lineage.arrays import BoolArray
from lineage.certificate import relative_gap

from .deciding import Votes, vote
from .memory import Memory
from .net import Net
from .regions import begun, mended, seeds
from .searching import ACTIVE, Found, Search, grown, rebound, search, short, wanted
from .sweeps import Shares, ascend_among, regrets

WIDE = 300  # detections that are too many to be solved at once in whole numbers
HOPS, SWEEPS = 5, 6  # how far around a change, and how often, shares are swept


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
    now, new, votes = _begin(net, memory, begin, changes)
    new &= seeds(now, votes)
    for _ in range(2):  # where something changed; then, if that is not enough, wherever the forest costs too much
        left = mended(now, votes, new, len(new))
        assert left is not None
        if relative_gap(now.objective, now.bound) <= gap or left.sum() > WIDE:
            break
        search(now, left, gap, deadline, whole=True)
        votes, new = wanted(now), short(now, now.best) & ~now.inside
    return now.found()


def _begin(net: Net, memory: Memory, begin: tuple[Shares, Votes], changes: tuple[BoolArray, BoolArray]) -> tuple[Search, BoolArray, Votes]:
    """The search, the detections whose shares or region changed, and what each wants: those near a change anew, others as before."""
    (shares, best), (new, active) = begin, changes
    at_source, at_target = regrets(net, shares)
    regret = at_source + at_target
    near = new
    for _ in range(HOPS):
        near = grown(net, regret, near, ACTIVE)
    ascend_among(net, shares, np.flatnonzero(near), SWEEPS)
    wide = grown(net, regret, near, np.inf)
    region = np.where(memory.region >= 0, memory.region, len(new))
    gone = np.zeros(len(new) + 1, bool)
    gone[region[wide]] = gone[len(new)] = True
    region = np.where(gone[region], -1, region)
    lift = np.where(region >= 0, memory.lift, 0.0)
    votes = vote(net, shares)
    votes.there[~near] = best.there[~near]
    votes.at_source[~near[net.source]] = best.at_source[~near[net.source]]
    votes.at_target[~near[net.target]] = best.at_target[~near[net.target]]
    now = begun(net, shares, votes, best, regret)
    now.active |= active
    now.lift, now.region, now.inside = lift, region, region >= 0
    rebound(now)
    return now, wide | ((memory.region >= 0) & (region < 0)), votes
