"""Trying: every forest of a patch, least regret first, as far as it can matter."""

from __future__ import annotations

import math

from .compiled import inner
from .deciding import Votes
from .desk import Desk, waits
from .net import Net
from .sweeps import Shares

STEPS = 4_000  # choices tried for a patch


@inner
def _rivals(net: Net, shares: Shares, desk: Desk, v: int, there: bool) -> float:
    """Regret of a detection's conflict sets for its being there or not; infinite if another one is."""
    regret = 0.0
    for k in range(desk.first[v], desk.first[v + 1]):
        s = desk.sets[k]
        if there:
            if desk.taken[s] > 0:
                return math.inf
            regret += shares.rival[desk.places[k]] - desk.idle[s]
        elif desk.taken[s] == 0 and net.rivals[net.sets[s + 1] - 1] == v:
            regret -= desk.idle[s]
    return regret


@inner
def _mark(net: Net, desk: Desk, i: int, k: int, on: bool) -> None:
    """Note what choice k of a row claims, or take the note back."""
    if k <= 0:
        return
    v = desk.rows[i]
    for j in range(desk.first[v], desk.first[v + 1]):
        desk.taken[desk.sets[j]] += 1 if on else -1
    for e in (desk.one[i, k - 1], desk.two[i, k - 1]):
        if e >= 0 and desk.place[net.target[e]] >= 0:
            desk.claim[desk.place[net.target[e]]] = e if on else -1


@inner
def _fits(net: Net, desk: Desk, i: int, k: int) -> bool:
    """Whether no link of choice k of a row leads to a row that has a parent."""
    for e in (desk.one[i, k - 1], desk.two[i, k - 1]):
        if e >= 0 and desk.place[net.target[e]] >= 0 and desk.claim[desk.place[net.target[e]]] >= 0:
            return False
    return True


@inner
def _regret(net: Net, shares: Shares, desk: Desk, i: int, k: int) -> float:
    """Regret of choice k of a row, its links' targets left aside; infinite if it cannot be."""
    v, claim = desk.rows[i], desk.claim[i]
    if k == 0:
        return desk.off[i] - desk.best[i] + _rivals(net, shares, desk, v, False) if claim < 0 else math.inf
    before, paid = desk.free[i], 0.0
    if claim >= 0:
        before, paid = shares.into[net.at_in[claim]], waits(net, shares, desk, claim)
    return shares.own[v] + before + desk.cost[i, k - 1] - desk.best[i] - paid + _rivals(net, shares, desk, v, True)


@inner
def least(net: Net, shares: Shares, desk: Desk, r: int, limit: float) -> float:
    """The least regret of a patch below a limit, infinite if there is none, -1 if the search takes too long."""
    best, i = limit, 0
    desk.at[0] = desk.on[0] = -1
    for _ in range(STEPS):
        if desk.on[i] >= 0:
            _mark(net, desk, i, int(desk.on[i]), False)
            desk.on[i] = -1
        desk.at[i] += 1
        k = int(desk.at[i])
        total = desk.sum[i] + _regret(net, shares, desk, i, k) if k <= desk.futures[i] else math.inf
        if k > desk.futures[i] or (k > 0 and best <= total < math.inf):  # all other futures cost more
            i -= 1
            if i < 0:
                return best if best < limit else math.inf
            continue
        if k > 0:
            total = total + desk.wait[i, k - 1] if _fits(net, desk, i, k) else math.inf
        if total >= best:
            continue
        desk.on[i] = k
        _mark(net, desk, i, k, True)
        if i + 1 < r:
            desk.sum[i + 1] = total
            i += 1
            desk.at[i] = desk.on[i] = -1
            continue
        best = total
        for j in range(r):
            desk.won[j], desk.won_claim[j] = desk.at[j], desk.claim[j]
    for j in range(i + 1):
        if desk.on[j] >= 0:
            _mark(net, desk, j, int(desk.on[j]), False)
    return -1.0


@inner
def write(net: Net, votes: Votes, desk: Desk, r: int) -> int:
    """The best choices become the votes; returns the number of links to the outside."""
    outside = 0
    for i in range(r):
        v = desk.rows[i]
        for e in range(net.out[v], net.out[v + 1]):
            votes.at_source[e] = False
            outside += desk.place[net.target[e]] < 0
        for k in range(net.into[v], net.into[v + 1]):
            votes.at_target[net.at_out[k]] = False
            outside += desk.place[net.source[net.at_out[k]]] < 0
    for i in range(r):
        k, claim = desk.won[i], desk.won_claim[i]
        votes.there[desk.rows[i]] = k > 0
        if k > 0:
            before = claim if claim >= 0 else desk.free_link[i]
            if before >= 0:
                votes.at_target[before] = True
            for e in (desk.one[i, k - 1], desk.two[i, k - 1]):
                if e >= 0:
                    votes.at_source[e] = True
    return outside
