"""Deciding: what the shares speak for, where the two ends of a link disagree, and the forest that both ends agree on."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from lineage.arrays import BoolArray, FloatArray

from .compiled import compiled
from .factor import best_pair, cheapest, past
from .net import Net
from .sweeps import Shares

TIE = 1e-7


class Votes(NamedTuple):
    """What each detection wants; changed in place.

    Attributes:
        there: Whether it is there; (n,).
        at_source, at_target: Whether a link's source, its target wants it; (m,).
    """

    there: BoolArray
    at_source: BoolArray
    at_target: BoolArray


@compiled
def vote(net: Net, shares: Shares) -> Votes:
    """Every detection's best choice, in the order of time; among equal pasts, the one that the past has chosen already."""
    n, m = len(net.select), len(net.link)
    there, at_source, at_target = np.zeros(n, np.bool_), np.zeros(m, np.bool_), np.zeros(m, np.bool_)
    for v in range(n):
        p, q, _, i, j = cheapest(net.out[v], net.out[v + 1], shares.out)
        both, pair = best_pair(net, v, shares.out)
        after = min(net.disappear[v], p, p + q + net.divide[v], both)
        before, called = past(net, v, shares.into), math.inf
        chosen, calling = -1, -1
        for k in range(net.into[v], net.into[v + 1]):
            e = net.at_out[k]
            if shares.into[k] <= before and chosen < 0:
                chosen = e
            if at_source[e] and shares.into[k] < called:
                called, calling = shares.into[k], e
        if net.appear[v] <= before:
            chosen = -1
        best = min(net.off[v], shares.own[v] + before + after)
        if net.select[v] == math.inf:
            continue
        if calling >= 0 and shares.own[v] + called + after <= best + TIE:
            chosen = calling
        elif shares.own[v] + before + after >= net.off[v]:
            continue
        there[v] = True
        if chosen >= 0:
            at_target[chosen] = True
        if after < net.disappear[v]:
            if both <= after:
                at_source[net.one[pair]] = at_source[net.two[pair]] = True
            else:
                at_source[i] = True
                if p + q + net.divide[v] <= after and p + q + net.divide[v] < p:
                    at_source[j] = True
    return Votes(there, at_source, at_target)


@compiled
def costs_of(net: Net, shares: Shares, votes: Votes) -> FloatArray:
    """What every detection's vote costs it, infinite where that cannot be; (n,)."""
    value = np.zeros(len(net.select))
    for v in range(len(value)):
        parents, children, cost = 0, 0, 0.0
        for k in range(net.into[v], net.into[v + 1]):
            if votes.at_target[net.at_out[k]]:
                parents += 1
                cost += shares.into[k]
        for e in range(net.out[v], net.out[v + 1]):
            if votes.at_source[e]:
                children += 1
                cost += shares.out[e]
        if not votes.there[v]:
            value[v] = net.off[v] if parents + children == 0 else math.inf
            continue
        cost += shares.own[v] if net.select[v] < math.inf else math.inf
        cost += net.appear[v] if parents == 0 else 0.0
        cost += net.disappear[v] if children == 0 else 0.0
        if children == 2:
            extra = net.divide[v]
            for j in range(net.first[v], net.first[v + 1]):
                if votes.at_source[net.one[j]] and votes.at_source[net.two[j]]:
                    extra = net.pair[j]
            cost += extra
        lawful = parents <= 1 and children <= 2 and (children == 2 or net.bonus[v] == 0)
        value[v] = cost + net.bonus[v] if lawful else math.inf
    return value


def agreed(net: Net, votes: Votes) -> Votes:
    """The links that both ends want; of rivals the cheapest stays; a detection that is dearer than its absence and alone goes."""
    there = votes.there.copy()
    if len(net.sets) > 1:
        for s in np.flatnonzero(np.add.reduceat(there[net.rivals].astype(int), net.sets[:-1]) > 1):  # few, and each changes the next
            rows = net.rivals[net.sets[s] : net.sets[s + 1]]
            rows = rows[there[rows]]
            if len(rows) > 1:
                there[rows] = False
                there[rows[np.argmin(net.select[rows])]] = True
    link = votes.at_source & votes.at_target & there[net.source] & there[net.target]
    busy = np.zeros(len(there), bool)
    busy[net.source[link]] = busy[net.target[link]] = True
    alone = there & ~busy & (net.off == 0)
    there[alone & (net.select + net.appear + net.disappear >= 0)] = False
    return Votes(there, link, link.copy())


def set_costs(net: Net, shares: Shares, there: BoolArray) -> FloatArray:
    """What a vote costs every conflict set, infinite where it takes more than one; (s,)."""
    if len(net.sets) < 2:
        return np.zeros(0)
    on = there[net.rivals]
    value: FloatArray = np.add.reduceat(np.where(on, shares.rival, 0.0), net.sets[:-1])
    return np.where(np.add.reduceat(on.astype(int), net.sets[:-1]) > 1, np.inf, value)


def objective(net: Net, shares: Shares, votes: Votes) -> float:
    """Cost of a vote on which both ends of every link agree; infinite when it breaks a rule."""
    return float(costs_of(net, shares, votes).sum() + set_costs(net, shares, votes.there).sum())
