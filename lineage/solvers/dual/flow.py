"""Flow: the film as a minimum-cost flow, made optimal from the shares' prices by shortest augmenting paths.

Lineages are units of flow: they appear or are born by a division, pass detections (from their past side to their future side)
and links, and disappear. Only one thing is lost: a division unit may start where no lineage arrives. Every side of a detection
has a price; an arc's reduced cost is its cost plus the price where it starts less the price where it ends. Arcs of negative
reduced cost carry flow, those of positive none, so that only some sides are out of balance. Each of these is put right along
the cheapest path, which Dijkstra's algorithm finds from close by since the prices are nearly right, and the prices of what it
passed are moved so that all arcs stay in order (Jonker and Volgenant 1987 did so for assignments). The prices of the optimal
flow are shares: a link's in share is the price of its target's past.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from lineage.arrays import BoolArray, FloatArray, IntArray

from .compiled import compiled, inner
from .deciding import Votes
from .factor import best_pair, cheapest
from .net import Net
from .sweeps import Shares

NODE: Any = np.int64(-1)  # of one type, lest a variant of a kernel be compiled for each
APPEAR: Any = np.int64(-2)
DISAPPEAR: Any = np.int64(-3)
DIVIDE: Any = np.int64(-4)


class Flow(NamedTuple):
    """Prices and flow; changed in place.

    Attributes:
        price: Of every detection's past side (2 v) and future side (2 v + 1); (2 n,).
        node, appear, disappear, divide: Cost of the arcs; (n,), infinite where there is none.
        on: Whether the arc of a detection carries flow: (4, n), in the order of these costs.
        link: Whether a link does; (m,).
        excess: Flow that arrives less flow that leaves; (2 n,).
    """

    price: FloatArray
    node: FloatArray
    appear: FloatArray
    disappear: FloatArray
    divide: FloatArray
    on: BoolArray
    link: BoolArray
    excess: IntArray


@compiled
def priced(net: Net, shares: Shares, reach: float) -> Flow:
    """Prices that the shares stand for, after a backward sweep, and the flow that they call for.

    Divisions that cost more than ``reach`` above a detection's best choice are left out.
    """
    n, m = len(net.select), len(net.link)
    price = np.zeros(2 * n)
    node, divide = np.empty(n), np.full(n, math.inf)
    for v in range(n):
        node[v] = shares.own[v] - (net.far if net.off[v] > 0 else 0.0)
        if net.select[v] == math.inf:
            node[v] = math.inf
        into = shares.into[net.into[v]] if net.into[v] < net.into[v + 1] else math.inf
        before = min(into, net.appear[v])
        p, q, _, _, _ = cheapest(net.out[v], net.out[v + 1], shares.out)
        both, _ = best_pair(net, v, shares.out)
        alone, apart = min(net.disappear[v], p), max(net.disappear[v], p)
        second = min(apart, q)
        twice = min(both, p + q + net.divide[v])
        best = min(net.off[v], shares.own[v] + before + min(alone, twice))
        price[2 * v] = before if before < math.inf else net.far
        off = -node[v] - price[2 * v]  # a future cheaper than this is worth being there
        level = alone
        if alone < off:
            level = 0.5 * (alone + min(second, off, alone + net.far))
        if shares.own[v] + before + twice < best + reach:
            divide[v] = twice - p - q
            without, gain = shares.own[v] + before + alone, twice - alone
            if net.off[v] == 0 and without > 0 and gain < 0:
                shift = 0.5 * (without - gain)
                node[v] -= shift
                divide[v] += shift
                off += shift
            if twice < min(alone, off):
                level = min(-divide[v], 0.5 * (q + min(alone + net.far, second)))
                level = max(level, q) if q < math.inf else level
        price[2 * v + 1] = -level if abs(level) < math.inf else 0.0
    on, link = np.zeros((4, n), np.bool_), np.zeros(m, np.bool_)
    flow = Flow(price, node, net.appear, net.disappear, divide, on, link, np.zeros(2 * n, np.int64))
    _saturate(net, flow)
    return flow


@inner
def _saturate(net: Net, flow: Flow) -> None:
    """Every arc of negative reduced cost carries flow; count what arrives and leaves."""
    price, excess = flow.price, flow.excess
    for v in range(len(flow.node)):
        if flow.node[v] + price[2 * v] - price[2 * v + 1] < 0:
            flow.on[0, v] = True
            excess[2 * v] -= 1
            excess[2 * v + 1] += 1
        if flow.appear[v] - price[2 * v] < 0:
            flow.on[1, v] = True
            excess[2 * v] += 1
        if flow.disappear[v] + price[2 * v + 1] < 0:
            flow.on[2, v] = True
            excess[2 * v + 1] -= 1
        if flow.divide[v] - price[2 * v + 1] < 0:
            flow.on[3, v] = True
            excess[2 * v + 1] += 1
        for e in range(net.out[v], net.out[v + 1]):
            if net.link[e] + price[2 * v + 1] - price[2 * net.target[e]] < 0:
                flow.link[e] = True
                excess[2 * v + 1] -= 1
                excess[2 * net.target[e]] += 1


class Front(NamedTuple):
    """The front of a shortest-path search, kept from search to search.

    Attributes:
        distance: Of every side, and of the world outside (2 n); (2 n + 1,).
        seen: In which search the distance was set; done: in which it was final.
        before, by: The side before on the path, and the arc: a link, or NODE, APPEAR, DISAPPEAR, DIVIDE.
        key, side: The heap.
        size: Of the heap, and of the list of final sides; (2,).
        final: Sides whose distance is final.
    """

    distance: FloatArray
    seen: IntArray
    done: IntArray
    before: IntArray
    by: IntArray
    key: FloatArray
    side: IntArray
    size: IntArray
    final: IntArray


def front(n: int, m: int) -> Front:
    """A front for n detections and m links."""
    s = 2 * n + 1
    seen, done, before, by, final = (np.zeros(s, np.int64) for _ in range(5))
    heap = 2 * m + 8 * n + 8
    return Front(np.zeros(s), seen, done, before, by, np.zeros(heap), np.zeros(heap, np.int64), np.zeros(2, np.int64), final)


@inner
def _reach(f: Front, search: int, side: int, distance: float, before: int, by: int) -> None:
    """Note a path to a side if it is the shortest yet, and put it on the heap."""
    if f.seen[side] == search and f.distance[side] <= distance:
        return
    f.seen[side], f.distance[side], f.before[side], f.by[side] = search, distance, before, by
    i = f.size[0]
    f.size[0] += 1
    while i > 0:
        up = (i - 1) // 2
        if f.key[up] <= distance:
            break
        f.key[i], f.side[i] = f.key[up], f.side[up]
        i = up
    f.key[i], f.side[i] = distance, side


@inner
def _nearest(f: Front) -> tuple[float, int]:
    """Take the nearest side off the heap."""
    key, side = f.key[0], f.side[0]
    f.size[0] -= 1
    size = f.size[0]
    last_key, last_side = f.key[size], f.side[size]
    i = 0
    while 2 * i + 1 < size:
        down = 2 * i + 1
        if down + 1 < size and f.key[down + 1] < f.key[down]:
            down += 1
        if f.key[down] >= last_key:
            break
        f.key[i], f.side[i] = f.key[down], f.side[down]
        i = down
    f.key[i], f.side[i] = last_key, last_side
    return key, side


@inner
def _leave(net: Net, flow: Flow, f: Front, search: int, u: int, d: float) -> None:
    """Go on from a side along arcs that can take more flow, or give some back."""
    price, world, v = flow.price, 2 * len(flow.node), u // 2
    here = price[u]
    step = max(0.0, flow.node[v] + price[2 * v] - price[2 * v + 1])
    if u % 2 == 0:
        if not flow.on[0, v] and flow.node[v] < math.inf:
            _reach(f, search, u + 1, d + step, u, NODE)
        if flow.on[1, v]:
            _reach(f, search, world, d + max(0.0, here - flow.appear[v]), u, APPEAR)
        for k in range(net.into[v], net.into[v + 1]):
            e = int(0 + net.at_out[k])
            if flow.link[e]:
                w = 2 * net.source[e] + 1
                _reach(f, search, w, d + max(0.0, here - net.link[e] - price[w]), u, e)
        return
    if flow.on[0, v]:
        _reach(f, search, u - 1, d + max(0.0, price[u] - price[u - 1] - flow.node[v]), u, NODE)
    if not flow.on[2, v] and flow.disappear[v] < math.inf:
        _reach(f, search, world, d + max(0.0, flow.disappear[v] + here), u, DISAPPEAR)
    if flow.on[3, v]:
        _reach(f, search, world, d + max(0.0, here - flow.divide[v]), u, DIVIDE)
    for e in range(net.out[v], net.out[v + 1]):
        if not flow.link[e]:
            w = 2 * net.target[e]
            _reach(f, search, w, d + max(0.0, net.link[e] + here - price[w]), u, e)


@inner
def _arrive(net: Net, flow: Flow, f: Front, search: int, u: int, d: float) -> None:
    """Go back from a side along arcs that can bring more flow to it, or take some from it."""
    price, world, v = flow.price, 2 * len(flow.node), u // 2
    here = price[u]
    if u % 2 == 0:
        if flow.on[0, v]:
            _reach(f, search, u + 1, d + max(0.0, price[u + 1] - here - flow.node[v]), u, NODE)
        if not flow.on[1, v] and flow.appear[v] < math.inf:
            _reach(f, search, world, d + max(0.0, flow.appear[v] - here), u, APPEAR)
        for k in range(net.into[v], net.into[v + 1]):
            e = int(0 + net.at_out[k])
            if not flow.link[e]:
                w = 2 * net.source[e] + 1
                _reach(f, search, w, d + max(0.0, net.link[e] + price[w] - here), u, e)
        return
    if not flow.on[0, v] and flow.node[v] < math.inf:
        _reach(f, search, u - 1, d + max(0.0, flow.node[v] + price[u - 1] - here), u, NODE)
    if flow.on[2, v]:
        _reach(f, search, world, d + max(0.0, -flow.disappear[v] - here), u, DISAPPEAR)
    if not flow.on[3, v] and flow.divide[v] < math.inf:
        _reach(f, search, world, d + max(0.0, flow.divide[v] - here), u, DIVIDE)
    for e in range(net.out[v], net.out[v + 1]):
        if flow.link[e]:
            w = 2 * net.target[e]
            _reach(f, search, w, d + max(0.0, price[w] - net.link[e] - here), u, e)


@inner
def _balance(net: Net, flow: Flow, f: Front, search: int, start: int) -> bool:
    """Put one side right along the cheapest path to one that is wrong the other way, or to the world; False if there is none."""
    world = 2 * len(flow.node)
    sign = 1 if flow.excess[start] > 0 else -1
    f.size[0] = f.size[1] = 0
    _reach(f, search, start, 0.0, NODE, NODE)
    end, reached = -1, 0.0
    while f.size[0] > 0:
        d, u = _nearest(f)
        if f.done[u] == search:
            continue
        if u == world or sign * flow.excess[u] < 0:
            end, reached = u, d
            break
        f.done[u] = search
        f.final[f.size[1]] = u
        f.size[1] += 1
        if sign > 0:
            _leave(net, flow, f, search, u, d)
        else:
            _arrive(net, flow, f, search, u, d)
    if end < 0:
        return False
    for i in range(f.size[1]):
        u = f.final[i]
        flow.price[u] += sign * (f.distance[u] - reached)
    flow.excess[start] -= sign
    if end != world:
        flow.excess[end] += sign
    u = end
    while u != start:
        w, arc = f.before[u], f.by[u]
        if arc >= 0:
            flow.link[arc] = not flow.link[arc]
        else:
            v = w // 2
            flow.on[-1 - arc, v] = not flow.on[-1 - arc, v]
        u = w
    return True


@compiled
def balance(net: Net, flow: Flow, f: Front, search: int) -> int:
    """Put every side right; returns the number of the last search."""
    for start in range(len(flow.excess)):
        while flow.excess[start] > 0:
            search += 1
            if not _balance(net, flow, f, search, start):
                break
    for start in range(len(flow.excess)):
        while flow.excess[start] < 0:
            search += 1
            if not _balance(net, flow, f, search, start):
                break
    return search


def share_prices(net: Net, flow: Flow, shares: Shares) -> None:
    """The prices as shares, in place."""
    paid = flow.price[2 * net.target]
    shares.into[:] = paid[net.at_out]
    shares.out[:] = net.link - paid


@compiled
def forest_of(net: Net, flow: Flow) -> Votes:
    """The forest that a flow describes: division units without a mother are dropped, and children that cannot be siblings."""
    n = len(net.select)
    link = np.zeros(len(net.link), np.bool_)
    there = np.zeros(n, np.bool_)
    for v in range(n):
        there[v] = flow.on[0, v] and net.select[v] < math.inf
    for v in range(n):
        first, second = -1, -1
        if there[v]:
            for e in range(net.out[v], net.out[v + 1]):
                if flow.link[e] and there[net.target[e]]:
                    if first < 0 or net.link[e] - net.appear[net.target[e]] < net.link[first] - net.appear[net.target[first]]:
                        first, second = e, first
                    else:
                        second = e
        if first >= 0:
            link[first] = True
        if second >= 0:
            may = net.divide[v] < math.inf
            for j in range(net.first[v], net.first[v + 1]):
                i, k = net.one[j], net.two[j]
                may = may or (i == first and k == second) or (i == second and k == first)
            link[second] = may
    return Votes(there, link, link.copy())
