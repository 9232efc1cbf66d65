"""Slack: what deciding otherwise about one link or one detection would cost at least."""

from __future__ import annotations

import math

import numpy as np

from lineage.arrays import BoolArray, FloatArray, IntArray

from .compiled import compiled, inner
from .deciding import Votes
from .factor import cheapest, future, past
from .net import Net
from .searching import Found
from .sweeps import Shares, bound, regrets


@inner
def _without_child(net: Net, shares: Shares, v: int, e: int, before: float) -> float:
    """Cost of a detection's best choice without a link out of it, ``before`` that of its best past."""
    p, q, r, i, j = cheapest(net.out[v], net.out[v + 1], shares.out)
    one, two = (q, r) if e == i else (p, r) if e == j else (p, q)
    after = min(net.disappear[v], one, one + two + net.divide[v])
    for k in range(net.first[v], net.first[v + 1]):
        if net.one[k] != e and net.two[k] != e:
            after = min(after, net.pair[k] + shares.out[net.one[k]] + shares.out[net.two[k]])
    return min(net.off[v], shares.own[v] + before + after)


@inner
def _without_parent(net: Net, shares: Shares, v: int, e: int, after: float) -> float:
    """Cost of a detection's best choice without a link into it, ``after`` that of its best future."""
    before = net.appear[v]
    for k in range(net.into[v], net.into[v + 1]):
        if net.at_out[k] != e:
            before = min(before, shares.into[k])
    return min(net.off[v], shares.own[v] + before + after)


@compiled
def flipped(net: Net, shares: Shares, link: BoolArray, there: BoolArray, regret: FloatArray) -> FloatArray:
    """What each detection's other state costs beyond its best choice; chosen links' ``regret`` becomes that of doing without."""
    other = np.empty(len(there))
    regret[link] = 0.0
    for v in range(len(there)):
        on, before, after = math.inf, past(net, v, shares.into), future(net, v, shares.out)
        if net.select[v] < math.inf:
            on = shares.own[v] + before + after
        best = min(net.off[v], on)
        other[v] = (net.off[v] if there[v] else on) - best
        for e in range(net.out[v], net.out[v + 1]):
            if link[e]:
                regret[e] += _without_child(net, shares, v, e, before) - best
        for k in range(net.into[v], net.into[v + 1]):
            e = int(0 + net.at_out[k])
            if link[e]:
                regret[e] += _without_parent(net, shares, v, e, after) - best
    return other


def slacks(net: Net, shares: Shares, found: Found, links: IntArray, n_links: int) -> dict[str, FloatArray]:
    """How much dearer than the forest found every forest is that decides otherwise, about one link or one detection.

    A forest that takes a link costs at least the bound and what the link costs its two ends beyond their own best; one that
    leaves out a link or a detection likewise. What whole numbers added to the bound in the regions of these detections does not
    count, and the gap is taken off; so slack is a lower bound, 0 where nothing is known.

    Args:
        net: The film.
        shares: The split of its costs behind the bound.
        found: The forest and its bound.
        links: Where the net's links stand among all.
        n_links: How many there are in all; those that are no part of the net cannot be decided otherwise.

    Returns:
        ``link`` (n_links,) and ``select`` (n,); nats, infinite where there is no other way.
    """
    votes: Votes = found.votes
    at_source, at_target = regrets(net, shares)
    regret = at_source + at_target
    other = flipped(net, shares, votes.at_source, votes.there, regret)
    lift = _of_region(found)
    gap = found.objective - bound(net, shares) - float(found.lift.sum())  # what these shares prove, which may be less than the best bound
    a, b = net.source, net.target
    both = np.where(found.region[a] == found.region[b], np.maximum(lift[a], lift[b]), lift[a] + lift[b])
    link = np.full(n_links, np.inf)
    link[links] = np.maximum(regret - both - gap, 0.0)
    return {"link": link, "select": np.maximum(other - lift - gap, 0.0)}


def _of_region(found: Found) -> FloatArray:
    """The lift of the region that each detection is in."""
    region = found.region
    inside = region >= 0
    total = np.bincount(region[inside], found.lift[inside], len(region))
    lift: FloatArray = np.where(inside, total[region], 0.0)
    return lift
