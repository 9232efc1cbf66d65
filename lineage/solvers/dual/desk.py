"""Desk: the detections of a patch and what may become of each, laid out for the search."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from lineage.arrays import FloatArray, IntArray

from .compiled import NONE, inner
from .deciding import Votes
from .factor import future, past
from .net import Net
from .sweeps import Shares, set_factors

ROWS = 62  # detections in a patch, at most
CHOICES = 256  # of one detection
MOST = 30.0  # regret of a choice that is tried, at most
TIE = 1e-10  # what it costs to want something else than a neighbour outside


class Desk(NamedTuple):
    """What the search of one patch writes down. Its detections are rows here, at most ``ROWS``, its conflict sets at most as many.

    Attributes:
        rows: The detections; (ROWS,).
        place: Row of every detection here, -1 for none; (n,).
        futures: How many each row has; (ROWS,).
        cost, wait: What each future costs, and the least regret of its links' targets; (ROWS, CHOICES), by rising cost.
        one, two: Its links, -1 for none.
        free, free_link: The cheapest past that no row here decides, and its link, -1 for an appearance; (ROWS,).
        off, best, after: Cost of not being there, of the best choice, of the best future; (ROWS,).
        most: What a future of each row may cost; (ROWS,).
        order: The rows, each after those that may claim it; (ROWS,). left, stack: To find it.
        first, sets, places: Conflict sets of each detection, from ``first`` on, and its places in ``rivals``; (n + 1,), (r,), (r,).
        idle: Cost of every set's best choice; (s,).
        bit: Number of every set here, -1 for none; (s,).
        joint: The bits of each row's sets; (ROWS,). ends: Of those of which it is the last row.
        rival: Regret of each row's sets for its being there; unsaid: of each set here for none of its rows being there; (ROWS,).
        won, won_claim: The best choices, 0 for not being there, and the links into the rows that other rows chose; (ROWS,).
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
    after: FloatArray
    most: FloatArray
    order: IntArray
    left: IntArray
    stack: IntArray
    first: IntArray
    sets: IntArray
    places: IntArray
    idle: FloatArray
    bit: IntArray
    joint: IntArray
    ends: IntArray
    rival: FloatArray
    unsaid: FloatArray
    won: IntArray
    won_claim: IntArray


def desk_for(net: Net, shares: Shares) -> Desk:
    """An empty desk."""
    n, s = len(net.select), len(net.sets) - 1
    order = np.argsort(net.rivals, kind="stable")
    number = np.repeat(np.arange(s), np.diff(net.sets))
    whole, real = np.full((10, ROWS), -1), np.zeros((7, ROWS))
    cost, link = np.zeros((2, ROWS, CHOICES)), np.zeros((2, ROWS, CHOICES), np.int64)
    return Desk(
        rows=whole[0],
        place=np.full(n, -1),
        futures=whole[1],
        cost=cost[0],
        wait=cost[1],
        one=link[0],
        two=link[1],
        free=real[0],
        free_link=whole[2],
        off=real[1],
        best=real[2],
        after=real[3],
        most=real[4],
        order=whole[3],
        left=whole[4],
        stack=whole[5],
        first=np.searchsorted(net.rivals[order], np.arange(n + 1)),
        sets=number[order],
        places=order,
        idle=set_factors(net, shares),
        bit=np.full(s, -1),
        joint=whole[6],
        ends=whole[7],
        rival=real[5],
        unsaid=real[6],
        won=whole[8],
        won_claim=whole[9],
    )


@inner
def _insert(desk: Desk, i: int, cost: float, wait: float, one: int, two: int) -> bool:
    """List a future of a row, by rising cost, if its regret is below the limit; False if there are too many."""
    k = int(desk.futures[i])
    if cost + wait >= desk.most[i]:
        return True
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
def _waits(net: Net, shares: Shares, desk: Desk, e: int) -> float:
    """The least regret of a link's target, if the link is chosen; 0 outside."""
    w = net.target[e]
    j = desk.place[w]
    if j < 0:
        return 0.0
    return max(0.0, shares.own[w] + shares.into[net.at_in[e]] + desk.after[j] - desk.best[j])


@inner
def _strange(net: Net, votes: Votes, desk: Desk, e: int) -> float:
    """What it adds to choose a link out of a row rather than not: the neighbour outside wants it, or not."""
    if desk.place[net.target[e]] >= 0:
        return 0.0
    return -TIE if votes.at_target[e] else TIE


@inner
def _list_futures(net: Net, shares: Shares, votes: Votes, desk: Desk, i: int, limit: float) -> bool:
    """List what may become of a row with a regret below a limit; False if there are too many."""
    v = desk.rows[i]
    desk.futures[i] = 0
    if net.select[v] == math.inf:
        return True
    wanted = 0.0
    for e in range(net.out[v], net.out[v + 1]):
        if desk.place[net.target[e]] < 0 and votes.at_target[e]:
            wanted += TIE
    after = desk.after[i]
    desk.most[i] = limit + desk.best[i] - shares.own[v] - past(net, v, shares.into)  # what a future may cost
    fits = after < desk.most[i] and _insert(desk, i, net.disappear[v] + wanted, 0.0, NONE, NONE)
    for e in range(net.out[v], net.out[v + 1]):
        cost = shares.out[e] + wanted + _strange(net, votes, desk, e)
        fits = fits and _insert(desk, i, cost, _waits(net, shares, desk, e), e, NONE)
        if net.divide[v] < math.inf:
            for d in range(net.out[v], e):
                fits = fits and _list_pair(net, shares, votes, desk, i, d, e, net.divide[v] + wanted)
    for j in range(net.first[v], net.first[v + 1]):
        fits = fits and _list_pair(net, shares, votes, desk, i, int(0 + net.one[j]), int(0 + net.two[j]), net.pair[j] + wanted)
    return fits or after >= desk.most[i]


@inner
def _list_pair(  # noqa: PLR0913 - a choice of a row
    net: Net, shares: Shares, votes: Votes, desk: Desk, i: int, d: int, e: int, extra: float
) -> bool:
    """List a division of a row into two links' targets."""
    cost = shares.out[d] + shares.out[e] + extra + _strange(net, votes, desk, d) + _strange(net, votes, desk, e)
    return _insert(desk, i, cost, _waits(net, shares, desk, d) + _waits(net, shares, desk, e), d, e)


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
def lay(net: Net, shares: Shares, votes: Votes, after: IntArray, desk: Desk, root: int) -> int:
    """Lay a patch's detections on the desk; returns how many they are."""
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
        desk.place[v], desk.after[i] = i, future(net, v, shares.out)
        here = math.inf
        if net.select[v] < math.inf:
            here = shares.own[v] + past(net, v, shares.into) + desk.after[i]
        desk.best[i] = min(net.off[v], here)
    for i in range(r):
        _find_past(net, shares, votes, desk, i)
    return r


@inner
def _lay_sets(net: Net, shares: Shares, desk: Desk, r: int) -> bool:
    """Number the conflict sets of the rows, in their order; False if there are too many."""
    size = 0
    for d in range(r):
        i = desk.order[d]
        v = desk.rows[i]
        desk.joint[i], desk.ends[i], desk.rival[i] = 0, 0, 0.0
        for k in range(desk.first[v], desk.first[v + 1]):
            s = desk.sets[k]
            if desk.bit[s] < 0:
                if size >= ROWS - 2:
                    return False
                desk.bit[s], desk.left[size], desk.unsaid[size] = size, net.sets[s + 1] - net.sets[s], -desk.idle[s]
                size += 1
            b = desk.bit[s]
            desk.left[b] -= 1
            desk.joint[i] |= 1 << b
            desk.rival[i] += shares.rival[desk.places[k]] - desk.idle[s]
            if desk.left[b] == 0:
                desk.ends[i] |= 1 << b
    return True


@inner
def clear(desk: Desk, r: int) -> None:
    """Take the patch off the desk."""
    for i in range(r):
        v = desk.rows[i]
        desk.place[v] = -1
        for k in range(desk.first[v], desk.first[v + 1]):
            desk.bit[desk.sets[k]] = -1


@inner
def list_choices(net: Net, shares: Shares, votes: Votes, desk: Desk, r: int, limit: float) -> bool:
    """List all choices with a regret below a limit, and put the rows in order; False if there are too many."""
    for i in range(r):
        if not _list_futures(net, shares, votes, desk, i, limit):
            return False
        desk.left[i] = 0
    size = 0
    for i in range(r):
        _count(net, desk, i, -NONE, size)
    for i in range(r - 1, -1, -1):
        if desk.left[i] == 0:
            desk.stack[size] = i
            size += 1
    for k in range(r):  # a row comes after those whose choices may claim it, and soon after the last of them
        size -= 1
        i = int(desk.stack[size])
        desk.order[k] = i
        size = _count(net, desk, i, NONE, size)
    for i in range(r):
        v = desk.rows[i]
        for k in range(desk.first[v], desk.first[v + 1]):
            desk.bit[desk.sets[k]] = -1
    return _lay_sets(net, shares, desk, r)


@inner
def _count(net: Net, desk: Desk, i: int, step: int, size: int) -> int:
    """Count a row's links at their targets, up or down; a target with none left goes on the stack. Returns its size."""
    for k in range(desk.futures[i]):
        for e in (desk.one[i, k], desk.two[i, k]):
            if e >= 0 and desk.place[net.target[e]] >= 0:
                j = desk.place[net.target[e]]
                desk.left[j] += step
                if desk.left[j] == 0:
                    desk.stack[size] = j
                    size += 1
    return size
