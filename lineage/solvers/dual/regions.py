"""Regions: where detections disagree about a link, their neighbourhood is solved together, until bound and objective meet.

Outside the regions every detection holds its own best choice, inside they are chosen together. A half link on which the two
sides differ joins its ends to a region, which is then solved again. The sum of all minima is a lower bound at any time; when
nothing is disputed any more, it is the cost of the forest.

First the regions are only relaxed. Their prices become shares, so that the bound rises to the relaxation's of the whole film.
What is fractional then is solved in whole numbers, in regions that grow from there.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lineage.arrays import BoolArray, FloatArray
from lineage.certificate import relative_gap

from .deciding import Votes, agreed, objective, vote
from .net import Net
from .patches import desk_for, kept_patches, no_layers, patch
from .searching import ACTIVE, Found, Search, offer, rebound, search, short, wanted
from .sweeps import Shares, ascend, regrets

__all__ = ["Found", "patched", "repaired"]

SOME = 2  # patches that may be given up before the rest is not tried, and a small part of all
ROUNDING = 1e-9  # what a vote may cost beyond the best without being looked at
LEAST = 1e-10  # lift below which a region is let go again


def patched(net: Net, shares: Shares, best: Votes, gap: float) -> Found | None:
    """Solve patches only; None if they do not reach the gap."""
    votes = vote(net, shares)
    at_source, at_target = regrets(net, shares)
    now = begun(net, shares, votes, best, at_source + at_target)
    mended(now, votes, seeds(now, votes))
    return now.found() if relative_gap(now.objective, now.bound) <= gap else None


def repaired(net: Net, shares: Shares, best: Votes, gap: float, deadline: float) -> Found:
    """Solve patches, then regions, until the gap is reached, nothing is disputed or the time is up.

    Args:
        net: The film.
        shares: The split of its costs; changed in place.
        best: A forest to begin with; it may break rules.
        gap: Relative gap that is good enough.
        deadline: ``time.perf_counter()`` when to stop.
    """
    votes = vote(net, shares)
    at_source, at_target = regrets(net, shares)
    now = begun(net, shares, votes, best, at_source + at_target)
    new = seeds(now, votes)
    left = mended(now, votes, new)
    if left is None:
        now.active |= votes.at_source != votes.at_target
        offer(now, agreed(net, votes))
        rebound(now)
    if search(now, new if left is None else left, gap, deadline, whole=False):
        new = _fractional(now)
        now.inside = settled(now)
        left = mended(now, wanted(now), new)
        search(now, new if left is None else left, gap, deadline, whole=True)
    if now.lift.max(initial=0.0) < 1e-6:  # prices are right to a solver's tolerance only; a sweep puts that right
        now.lift[:] = 0.0
        ascend(net, shares, 1)
        rebound(now)
    return now.found()


def begun(net: Net, shares: Shares, votes: Votes, best: Votes, regret: FloatArray) -> Search:
    """The search before anything is solved."""
    n, wish = len(net.select), _wishes(votes)
    now = Search(net, shares, regret, regret < ACTIVE, *wish, np.zeros(n, bool), np.zeros(n), np.full(n, -1), best, math.inf)
    now.objective = objective(net, shares, best)
    return now


def _wishes(votes: Votes) -> tuple[NDArray[np.int8], NDArray[np.int8], NDArray[np.int8]]:
    """Votes per cent."""
    one, two, three = (np.where(column, 100, 0).astype(np.int8) for column in votes)
    return one, two, three


def mended(now: Search, votes: Votes, new: BoolArray, patience: int = SOME) -> BoolArray | None:
    """Solve patches from some detections on; where detections of those given up still disagree, None if too many were."""
    net, n = now.net, len(now.lift)
    patches, found = kept_patches(now.region, now.lift), Votes(*(column.copy() for column in votes))
    if not patch(net, now.shares, found, patches, desk_for(net, now.shares), no_layers(), np.flatnonzero(new), patience):
        return None
    now.there, now.at_source, now.at_target = _wishes(found)
    rows = np.flatnonzero(patches.root >= 0)
    given_up = np.zeros(n, bool)
    given_up[rows] = patches.failed[patches.root[rows]]
    done = rows[~given_up[rows]]
    now.region[given_up], now.lift[rows] = -1, 0.0
    roots, first, which = np.unique(patches.root[done], return_index=True, return_inverse=True)
    now.region[done] = done[first][which]  # a region goes by its first detection
    now.lift[done[first]] = patches.lift[roots]
    now.inside = settled(now)
    inner = now.inside[net.source] & (now.region[net.source] == now.region[net.target])
    now.active |= inner | (found.at_source != found.at_target)
    offer(now, agreed(net, found))
    rebound(now)
    return seeds(now, found) & given_up if given_up.any() else given_up


def settled(now: Search) -> BoolArray:
    """The detections of regions that whole numbers lift; all others are in no region any more."""
    has = now.region >= 0
    has[has] = now.lift[now.region[has]] > LEAST
    now.region[~has] = -1
    now.lift[~has] = 0.0
    return has


def seeds(now: Search, votes: Votes) -> BoolArray:
    """Detections at the ends of a disputed link, or whose vote is not their best, or whose rivals are not at theirs."""
    net = now.net
    new = short(now, votes, ROUNDING)
    disputed = votes.at_source != votes.at_target
    new[net.source[disputed]] = new[net.target[disputed]] = True
    return new


def _fractional(now: Search) -> BoolArray:
    """Detections with a choice that is no whole number, or whose links' choices are none."""
    net = now.net
    new: BoolArray = now.there % 100 != 0
    links = (now.at_source % 100 != 0) | (now.at_target % 100 != 0)
    new[net.source[links]] = new[net.target[links]] = True
    return new
