"""Sweeps: every detection in turn keeps what it needs of its links' costs and sends the rest on, forward and backward in time."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from lineage.arrays import FloatArray, IntArray

from .compiled import compiled, inner
from .factor import cheapest, future, needed, paired_needed, past, past_needed
from .net import Net


class Shares(NamedTuple):
    """Who holds which part of every cost; the sweeps change it in place.

    Attributes:
        out: The source's part of every link's cost; (m,).
        into: The target's part, in the order of targets (``net.at_in``); (m,).
        own: What is left to each detection of its select cost; (n,).
        rival: What went to the conflict sets, in the order of ``net.rivals``.
    """

    out: FloatArray
    into: FloatArray
    own: FloatArray
    rival: FloatArray


def even_shares(net: Net) -> Shares:
    """Half of every link's cost at either end, nothing at the conflict sets."""
    own = np.where(np.isfinite(net.select), net.select, 0.0)
    return Shares(net.link / 2, (net.link / 2)[net.at_out], own, np.zeros(len(net.rivals)))


@inner
def send_on(net: Net, shares: Shares, v: int, weight: float) -> None:
    """A detection sends on what it does not need of its out shares (or a part of it)."""
    out, into = shares.out, shares.into
    a, b = net.out[v], net.out[v + 1]
    if a == b:
        return
    none = min(net.disappear[v], net.off[v] - shares.own[v] - past(net, v, into))
    if net.first[v] < net.first[v + 1]:
        need = paired_needed(net, v, out, none)
        for e in range(a, b):
            rest = weight * (out[e] - need[e - a])
            into[net.at_in[e]] += rest
            out[e] -= rest
    else:
        p, q, r, i, j = cheapest(a, b, out)
        one, two, others = needed(p, q, r, none, net.divide[v], net.far)
        for e in range(a, b):
            keep = one if e == i else two if e == j else others
            rest = weight * (out[e] - keep)
            into[net.at_in[e]] += rest
            out[e] -= rest


@inner
def send_back(net: Net, shares: Shares, v: int) -> None:
    """A detection sends back what it does not need of its in shares."""
    out, into = shares.out, shares.into
    a, b = net.into[v], net.into[v + 1]
    if a == b:
        return
    none = min(net.appear[v], net.off[v] - shares.own[v] - future(net, v, out))
    p, q, _, _, _ = cheapest(a, b, into)
    keep = past_needed(p, q, none, net.far)
    for k in range(a, b):
        out[net.at_out[k]] += into[k] - keep
        into[k] = keep


@inner
def compete(net: Net, shares: Shares, t: int, seen: FloatArray) -> None:
    """Detections of a frame hand their cost to their conflict sets, and these hand back all but what decides between them."""
    a, b = net.set_frames[t], net.set_frames[t + 1]
    for s in range(a, b):
        for k in range(net.sets[s], net.sets[s + 1]):
            v = net.rivals[k]
            if net.off[v] > 0:
                continue
            value = (shares.own[v] + past(net, v, shares.into) + future(net, v, shares.out)) / (net.n_sets[v] - seen[v])
            seen[v] = (seen[v] + 1) % net.n_sets[v]
            if value < math.inf:
                shares.own[v] -= value
                shares.rival[k] += value
    for s in range(a, b):
        p, q, _, _, _ = cheapest(net.sets[s], net.sets[s + 1], shares.rival)
        keep = 0.5 * (p + min(q, 0.0)) if p < 0 else 0.0
        for k in range(net.sets[s], net.sets[s + 1]):
            shares.own[net.rivals[k]] += shares.rival[k] - keep
            shares.rival[k] = keep


@compiled
def _sweep(net: Net, shares: Shares, rows: IntArray, rounds: int, sets: bool, last: float) -> None:
    """So many sweeps forward and backward over some detections, rising; with ``last`` a forward one of this weight at the end."""
    n_frames, m = len(net.frames) - 1, len(rows)
    seen = np.zeros(len(net.select))
    for i in range(rounds + 1):
        weight, t = 1.0 if i < rounds else last, 0
        if weight == 0:
            break
        for v in rows:
            while sets and t < n_frames and net.frames[t] <= v:
                compete(net, shares, t, seen)
                compete(net, shares, t, seen)
                t += 1
            send_on(net, shares, v, weight)
        if i == rounds:
            break
        t = n_frames - 1
        for k in range(m):
            v = rows[m - 1 - k]
            while sets and t >= 0 and v < net.frames[t + 1]:
                compete(net, shares, t, seen)
                compete(net, shares, t, seen)
                t -= 1
            send_back(net, shares, v)


def ascend(net: Net, shares: Shares, rounds: int) -> None:
    """So many sweeps forward and backward."""
    _sweep(net, shares, np.arange(len(net.select)), rounds, len(net.rivals) > 0, 0.0)


def settle_between(net: Net, shares: Shares) -> None:
    """One forward sweep at half weight: both ends of a link then see which way it leans. The bound is concave, so it cannot fall."""
    _sweep(net, shares, np.arange(len(net.select)), 0, False, 0.5)


def ascend_among(net: Net, shares: Shares, rows: IntArray, rounds: int) -> None:
    """So many sweeps over some detections, rising, and one at half weight at the end; conflict sets keep what they have."""
    _sweep(net, shares, rows, rounds, False, 0.5)


@compiled
def factors_of(net: Net, shares: Shares, rows: IntArray) -> FloatArray:
    """Cost of some detections' own best choices."""
    value = np.empty(len(rows))
    for i in range(len(rows)):
        v = rows[i]
        here = math.inf
        if net.select[v] < math.inf:
            here = shares.own[v] + past(net, v, shares.into) + future(net, v, shares.out)
        value[i] = min(net.off[v], here) + net.bonus[v]
    return value


def factors(net: Net, shares: Shares) -> FloatArray:
    """Cost of every detection's own best choice; (n,)."""
    return factors_of(net, shares, np.arange(len(net.select)))


def set_factors(net: Net, shares: Shares) -> FloatArray:
    """Cost of every conflict set's own best choice; (s,)."""
    if len(net.sets) < 2:
        return np.zeros(0)
    value: FloatArray = np.minimum(np.minimum.reduceat(shares.rival, net.sets[:-1]), 0.0)
    return value


def bound(net: Net, shares: Shares) -> float:
    """A lower bound of the programme, nats."""
    return float(factors(net, shares).sum() + set_factors(net, shares).sum())


@compiled
def regrets(net: Net, shares: Shares) -> tuple[FloatArray, FloatArray]:
    """What a link costs its source and its target beyond their own best; (m,) each, in the order of links, never negative."""
    at_source, at_target = np.empty(len(net.link)), np.empty(len(net.link))
    for v in range(len(net.select)):
        a, b = net.out[v], net.out[v + 1]
        before, after = past(net, v, shares.into), future(net, v, shares.out)
        best = min(net.off[v], shares.own[v] + before + after)
        p, q, _, i, _ = cheapest(a, b, shares.out)
        for e in range(a, b):
            second = q if e == i else p
            at_source[e] = shares.own[v] + before + shares.out[e] + min(0.0, second + net.divide[v]) - best
        for j in range(net.first[v], net.first[v + 1]):
            value = shares.own[v] + before + shares.out[net.one[j]] + shares.out[net.two[j]] + net.pair[j] - best
            at_source[net.one[j]] = min(at_source[net.one[j]], value)
            at_source[net.two[j]] = min(at_source[net.two[j]], value)
        for k in range(net.into[v], net.into[v + 1]):
            at_target[net.at_out[k]] = shares.own[v] + shares.into[k] + after - best
    return at_source, at_target
