"""Trying: every forest of a patch that can matter, the forests that leave the same choices open taken together.

The rows choose one after another. All that later rows need to know is which of them have a parent already and which conflict sets
are taken: a state. Of all choices that lead to a state only the one of least regret can be part of the best forest, so that the
states after each row are found from those after the row before. States whose regret reaches the limit are dropped.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from lineage.arrays import FloatArray, IntArray

from .compiled import inner
from .deciding import Votes
from .desk import ROWS, Desk
from .net import Net

GIVEN_UP = -1.0  # in place of a regret, which is never negative but for rounding
STATES = 4096  # after a row
TABLE = 4 * STATES  # a power of two


class Layers(NamedTuple):
    """The states after so many rows have chosen.

    Attributes:
        size: How many there are; (ROWS + 1,).
        claimed, taken: The rows with a parent that have not chosen yet, the sets taken that have rows left, as bits; (ROWS + 1, STATES).
        regret: So far.
        before, choice: The state before the last row, and what that row chose.
        table, stamp: States of the layer by a number made of them, and of which layer of which search they are; (TABLE,).
        search: How many searches there were, times ROWS; (1,).
    """

    size: IntArray
    claimed: IntArray
    taken: IntArray
    regret: FloatArray
    before: IntArray
    choice: IntArray
    table: IntArray
    stamp: IntArray
    search: IntArray


def no_layers() -> Layers:
    """Room for all layers."""
    shape = (ROWS + 1, STATES)
    whole = np.empty((4, *shape), np.int64)
    table = np.zeros(TABLE, np.int64), np.zeros(TABLE, np.int64)
    return Layers(np.zeros(ROWS + 1, np.int64), whole[0], whole[1], np.empty(shape), whole[2], whole[3], *table, np.zeros(1, np.int64))


@inner
def _arrive(layers: Layers, d: int, claimed: int, taken: int, regret: float) -> int:
    """The place of a state among those after d rows, if it is new or less was paid than before; -1 if not, -2 if there is no room."""
    key = (claimed * 0x9E3779B97F4A7C1 + taken * 0x7FEB352D2C1B3C6D) >> 20
    at = key & (TABLE - 1)
    stamp = layers.search[0] + d
    while layers.stamp[at] == stamp:
        s = layers.table[at]
        if layers.claimed[d, s] == claimed and layers.taken[d, s] == taken:
            if regret >= layers.regret[d, s]:
                return -1
            layers.regret[d, s] = regret
            return int(s)
        at = (at + 1) & (TABLE - 1)
    s = layers.size[d]
    if s >= STATES:
        return -2
    layers.stamp[at], layers.table[at], layers.size[d] = stamp, s, s + 1
    layers.claimed[d, s], layers.taken[d, s], layers.regret[d, s] = claimed, taken, regret
    return int(s)


@inner
def _claims(net: Net, desk: Desk, i: int, k: int) -> int:
    """The rows that choice k of a row claims, as bits."""
    bits = 0
    for e in (desk.one[i, k - 1], desk.two[i, k - 1]):
        if e >= 0 and desk.place[net.target[e]] >= 0:
            bits |= 1 << desk.place[net.target[e]]
    return bits


@inner
def _go_on(net: Net, shares_own: FloatArray, desk: Desk, layers: Layers, d: int, limit: float) -> bool:
    """All states after row d of the order, from those before it; False if there are too many."""
    i = int(desk.order[d])
    me, own = 1 << i, shares_own[desk.rows[i]]
    joint, ends = desk.joint[i], desk.ends[i]
    for s in range(layers.size[d]):
        claimed, taken, paid = layers.claimed[d, s], layers.taken[d, s], layers.regret[d, s]
        rest = claimed & ~me
        for k in range(desk.futures[i] + 1):
            if k == 0:
                regret, bits, now = math.inf, 0, taken
                if claimed == rest:
                    regret = paid + desk.off[i] - desk.best[i]
                    for b in range(ROWS):
                        if ends >> b == 0:
                            break
                        if (ends & ~taken) >> b & 1:
                            regret += desk.unsaid[b]
            else:
                past = -desk.after[i] if claimed != rest else own + desk.free[i] - desk.best[i]
                regret = paid + past + desk.cost[i, k - 1] + desk.rival[i]
                if regret >= limit or taken & joint:
                    break
                regret += desk.wait[i, k - 1]
                bits, now = _claims(net, desk, i, k), taken | joint
            if regret < limit and not bits & rest:
                at = _arrive(layers, d + 1, rest | bits, now & ~ends, regret)
                if at == -2:
                    return False
                if at >= 0:
                    layers.before[d + 1, at], layers.choice[d + 1, at] = s, k
    return True


@inner
def least(net: Net, own: FloatArray, desk: Desk, layers: Layers, r: int, limit: float) -> float:
    """The least regret of a patch below a limit, infinite if there is none, ``GIVEN_UP`` if there are too many states."""
    layers.search[0] += ROWS
    layers.size[: r + 1] = 0
    layers.size[0] = 1
    layers.claimed[0, 0] = layers.taken[0, 0] = 0
    layers.regret[0, 0] = 0.0
    for d in range(r):
        if not _go_on(net, own, desk, layers, d, limit):
            return GIVEN_UP
        if layers.size[d + 1] == 0:
            return math.inf
    s = 0  # nothing is open any more, so there is one state
    desk.won_claim[:r] = -1
    for d in range(r, 0, -1):
        i, k = desk.order[d - 1], layers.choice[d, s]
        desk.won[i] = k
        if k > 0:
            for e in (desk.one[i, k - 1], desk.two[i, k - 1]):
                if e >= 0 and desk.place[net.target[e]] >= 0:
                    desk.won_claim[desk.place[net.target[e]]] = e
        s = layers.before[d, s]
    return float(layers.regret[r, 0])


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
