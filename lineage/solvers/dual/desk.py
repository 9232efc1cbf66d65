"""Desk: the detections of a patch and what may become of each, laid out for the search."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from lineage.arrays import FloatArray, IntArray

from .compiled import inner
from .deciding import Votes
from .factor import future, past
from .net import Net
from .sweeps import Shares, set_factors

ROWS = 64  # detections in a patch, at most
CHOICES = 256  # of one detection
MOST = 30.0  # regret of a choice that is tried, at most
TIE = 1e-10  # what it costs to want something else than a neighbour outside


class Desk(NamedTuple):
    """What the search of one patch writes down; the rows of its detections, in the order of time.

    Attributes:
        rows: The detections; (ROWS,).
        place: Row of every detection here, -1 for none; (n,).
        futures: How many each row has; (ROWS,).
        cost, wait: What each future costs, and the least regret of its links' targets; (ROWS, CHOICES), by rising cost.
        one, two: Its links, -1 for none.
        free, free_link: The cheapest past that no row here decides, and its link, -1 for an appearance; (ROWS,).
        off, best: Cost of not being there, and of the best choice; (ROWS,).
        claim: Which link a row before has chosen; (ROWS,), -1 for none.
        at: Which choice is being tried: 0 is not being there, -1 nothing yet; (ROWS,).
        on: The choice that is noted in ``claim`` and ``taken``, -1 for none; (ROWS,).
        sum: Regret of the rows before; (ROWS + 1,).
        won, won_claim: The best choices yet; (ROWS,).
        taken: How often each conflict set is taken; (s,).
        idle: Cost of every set's best choice; (s,).
        sets, places: Conflict sets of each detection, and its place in ``rivals``, from ``first`` on; first: (n + 1,).
    """

    rows: IntArray
    place: IntArray
    futures: IntArray
    cost: FloatArray
    wait: FloatArray
    one: IntArray
    two: IntArray
    free: FloatArray
    free_link: IntArray
    off: FloatArray
    best: FloatArray
    claim: IntArray
    at: IntArray
    on: IntArray
    sum: FloatArray
    won: IntArray
    won_claim: IntArray
    taken: IntArray
    idle: FloatArray
    sets: IntArray
    places: IntArray
    first: IntArray


def desk_for(net: Net, shares: Shares) -> Desk:
    """An empty desk."""
    n, s = len(net.select), len(net.sets) - 1
    order = np.argsort(net.rivals, kind="stable")
    number = np.repeat(np.arange(s), np.diff(net.sets))
    rows = [np.full(ROWS, -1) for _ in range(8)]
    cost, link = np.zeros((2, ROWS, CHOICES)), np.zeros((2, ROWS, CHOICES), np.int64)
    real = [np.zeros(ROWS) for _ in range(3)]
    first = np.searchsorted(net.rivals[order], np.arange(n + 1))
    return Desk(
        rows[0],
        np.full(n, -1),
        rows[1],
        cost[0],
        cost[1],
        link[0],
        link[1],
        real[0],
        rows[2],
        real[1],
        real[2],
        rows[3],
        rows[4],
        rows[5],
        np.zeros(ROWS + 1),
        rows[6],
        rows[7],
        np.zeros(s, np.int64),
        set_factors(net, shares),
        number[order],
        order,
        first,
    )


@inner
def _insert(desk: Desk, i: int, cost: float, wait: float, one: int, two: int) -> bool:
    """List a future of a row, by rising cost; False if there are too many."""
    k = int(desk.futures[i])
    if k >= CHOICES - 1:
        return False
    desk.futures[i] = k + 1
    while k > 0 and desk.cost[i, k - 1] > cost:
        desk.cost[i, k], desk.wait[i, k] = desk.cost[i, k - 1], desk.wait[i, k - 1]
        desk.one[i, k], desk.two[i, k] = desk.one[i, k - 1], desk.two[i, k - 1]
        k -= 1
    desk.cost[i, k], desk.wait[i, k], desk.one[i, k], desk.two[i, k] = cost, wait, one, two
    return True


@inner
def waits(net: Net, shares: Shares, desk: Desk, e: int) -> float:
    """The least regret of a link's target, if the link is chosen; 0 outside."""
    w = net.target[e]
    j = desk.place[w]
    if j < 0:
        return 0.0
    return max(0.0, shares.own[w] + shares.into[net.at_in[e]] + future(net, w, shares.out) - desk.best[j])


@inner
def _strange(net: Net, votes: Votes, desk: Desk, e: int) -> float:
    """What it adds to choose a link out of a row rather than not: the neighbour outside wants it, or not."""
    if desk.place[net.target[e]] >= 0:
        return 0.0
    return -TIE if votes.at_target[e] else TIE


@inner
def _list_futures(net: Net, shares: Shares, votes: Votes, desk: Desk, i: int) -> bool:
    """List what may become of a row, less what costs far too much; False if there are too many."""
    v = desk.rows[i]
    desk.futures[i] = 0
    if net.select[v] == math.inf:
        return True
    wanted = 0.0
    for e in range(net.out[v], net.out[v + 1]):
        if desk.place[net.target[e]] < 0 and votes.at_target[e]:
            wanted += TIE
    most = future(net, v, shares.out) + MOST
    fits = True
    if net.disappear[v] < most:
        fits = _insert(desk, i, net.disappear[v] + wanted, 0.0, -1, -1)
    for e in range(net.out[v], net.out[v + 1]):
        if shares.out[e] < most:
            cost = shares.out[e] + wanted + _strange(net, votes, desk, e)
            fits = fits and _insert(desk, i, cost, waits(net, shares, desk, e), e, -1)
        if net.divide[v] < math.inf:
            for d in range(net.out[v], e):
                if shares.out[d] + shares.out[e] + net.divide[v] < most:
                    fits = fits and _list_pair(net, shares, votes, desk, i, d, e, net.divide[v] + wanted)
    for j in range(net.first[v], net.first[v + 1]):
        if net.pair[j] + shares.out[net.one[j]] + shares.out[net.two[j]] < most:
            fits = fits and _list_pair(net, shares, votes, desk, i, int(0 + net.one[j]), int(0 + net.two[j]), net.pair[j] + wanted)
    return fits


@inner
def _list_pair(  # noqa: PLR0913 - a choice of a row
    net: Net, shares: Shares, votes: Votes, desk: Desk, i: int, d: int, e: int, extra: float
) -> bool:
    """List a division of a row into two links' targets."""
    cost = shares.out[d] + shares.out[e] + extra + _strange(net, votes, desk, d) + _strange(net, votes, desk, e)
    return _insert(desk, i, cost, waits(net, shares, desk, d) + waits(net, shares, desk, e), d, e)


@inner
def _find_past(net: Net, shares: Shares, votes: Votes, desk: Desk, i: int) -> None:
    """The cheapest past of a row that no other row decides, and what not being there costs."""
    v = desk.rows[i]
    wanted = 0.0
    for k in range(net.into[v], net.into[v + 1]):
        e = net.at_out[k]
        if desk.place[net.source[e]] < 0 and votes.at_source[e]:
            wanted += TIE
    desk.free[i], desk.free_link[i] = net.appear[v] + wanted, -1
    for k in range(net.into[v], net.into[v + 1]):
        e = net.at_out[k]
        if desk.place[net.source[e]] < 0:
            cost = shares.into[k] + wanted + (-TIE if votes.at_source[e] else TIE)
            if cost < desk.free[i]:
                desk.free[i], desk.free_link[i] = cost, e
    for e in range(net.out[v], net.out[v + 1]):
        if desk.place[net.target[e]] < 0 and votes.at_target[e]:
            wanted += TIE
    desk.off[i] = net.off[v] + wanted


@inner
def lay(net: Net, shares: Shares, votes: Votes, after: IntArray, desk: Desk, root: int) -> bool:
    """Lay a patch's detections and their choices on the desk; False if there is too much."""
    r = 0
    v = root
    while v >= 0:
        k = r
        while k > 0 and desk.rows[k - 1] > v:
            desk.rows[k] = desk.rows[k - 1]
            k -= 1
        desk.rows[k] = v
        r += 1
        v = after[v]
    for i in range(r):
        v = desk.rows[i]
        desk.place[v], desk.claim[i], desk.at[i] = i, -1, -1
        here = math.inf
        if net.select[v] < math.inf:
            here = shares.own[v] + past(net, v, shares.into) + future(net, v, shares.out)
        desk.best[i] = min(net.off[v], here)
    fits = True
    for i in range(r):
        fits = fits and _list_futures(net, shares, votes, desk, i)
        _find_past(net, shares, votes, desk, i)
    return fits
