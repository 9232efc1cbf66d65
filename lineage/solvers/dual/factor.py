"""One detection's factor: its cheapest past and future, and how much of its links' costs it needs.

Every link's cost is split into an out share (its source's) and an in share (its target's). With p <= q the two smallest out
shares of a detection, its factor is ::

    In  = min(appear, smallest in share)
    Out = min(disappear, p, p + q + divide)          end | one child | divide
    f   = min(off, own + In + Out)                   off is 0, or infinite where the detection is forced

so that the division sits inside the factor: no pair is enumerated unless pairs have costs of their own (``paired``). The sum
of all f is a lower bound of the programme (Haller et al. 2020). What a factor does not need of a link's cost it sends to the
link's other end; no step lowers the bound.
"""

from __future__ import annotations

import math

from lineage.arrays import FloatArray

from .compiled import inner
from .net import Net


@inner
def cheapest(first: int, last: int, share: FloatArray) -> tuple[float, float, float, int, int]:
    """The three smallest of some shares and where the first two are; infinite and -1 where there are too few."""
    p = q = r = math.inf
    a = b = -1
    for e in range(first, last):
        s = share[e]
        if s < r:
            if s < q:
                r = q
                if s < p:
                    q, b = p, a
                    p, a = s, e
                else:
                    q, b = s, e
            else:
                r = s
    return p, q, r, a, b


@inner
def smallest(first: int, last: int, share: FloatArray, other: float) -> float:
    """The smallest of some shares and another number."""
    low = other
    for k in range(first, last):
        low = min(low, share[k])
    return low


@inner
def needed(p: float, q: float, r: float, none: float, divide: float, far: float) -> tuple[float, float, float]:
    """What a detection needs of its out shares: of the cheapest, of the second cheapest and of each other one.

    ``none`` is what it costs to have no child or not to be there, less its own and its past's cost. There are three cases.
    Where a pair is best, both shares rise, evenly towards what would make a third child or a single one as good. Where one
    child is best, its share rises half-way to the next best future. Where none is best, shares fall as long as neither a
    single child nor a pair becomes better than none. Others fall to where they would begin to matter. ``far`` stands in for
    infinity where there is no alternative.
    """
    if p + q + divide < min(none, p):
        level = min(-divide, 0.5 * (q + min(r, q + far)))
        rise = 2 * level - p - q
        top = 2 * level + divide
        part = (none - divide - p - q) / rise if top > none and rise > 0 else 1.0
        one, two = p + part * (level - p), q + part * (level - q)
        return one, two, max(one, two)
    if p < none:
        one = 0.5 * (p + min(q, none, p + far))
        rest = min(max(one, -divide), q)
        return one, rest, rest
    if q == math.inf:
        return none, none, none
    even = max(none, 0.5 * (none - divide))
    if p >= even:
        return even, even, even
    rest = none - divide - p
    return p, rest, rest


@inner
def past_needed(p: float, q: float, none: float, far: float) -> float:
    """What a detection needs of each in share: it has at most one parent, so all get the same."""
    return none if none <= p else 0.5 * (p + min(q, none, p + far))


@inner
def best_pair(net: Net, v: int, share: FloatArray) -> tuple[float, int]:
    """The cheapest listed pair of daughters, division included, and which it is; infinite and -1 without any."""
    low, best = math.inf, -1
    for k in range(net.first[v], net.first[v + 1]):
        value = net.pair[k] + share[net.one[k]] + share[net.two[k]]
        if value < low:
            low, best = value, k
    return low, best


@inner
def past(net: Net, v: int, into: FloatArray) -> float:
    """Cost of a detection's cheapest past."""
    return smallest(net.into[v], net.into[v + 1], into, net.appear[v])


@inner
def future(net: Net, v: int, out: FloatArray) -> float:
    """Cost of a detection's cheapest future."""
    p, q, _, _, _ = cheapest(net.out[v], net.out[v + 1], out)
    best = min(net.disappear[v], p, p + q + net.divide[v])
    if net.first[v] < net.first[v + 1]:
        both, _ = best_pair(net, v, out)
        best = min(best, both)
    return best


@inner
def paired_needed(net: Net, v: int, share: FloatArray, none: float) -> FloatArray:
    """What a detection whose pairs have costs needs of each out share; the three cases of ``needed``.

    A level is fixed that no future may undercut. The chosen links' shares rise towards it; every other share falls to the
    least that keeps all singles and pairs at the level, a pair's lack split evenly, or covered by what its other link has.
    """
    a, b = net.out[v], net.out[v + 1]
    p, q, _, k, _ = cheapest(a, b, share)
    both, best = best_pair(net, v, share)
    fixed, other, level = -1, -1, none
    need = share[a:b].copy()
    if both < min(none, p):
        fixed, other = net.one[best], net.two[best]
        level = _raise_pair(net, v, best, share, need, none)
    elif p < none:
        fixed = k
        level = 0.5 * (p + _rival_of_one(net, v, k, share, min(q, none, p + net.far)))
        need[k - a] = level
    held = need.copy()
    for e in range(a, b):
        if e != fixed and e != other:
            need[e - a] = level
    for j in range(net.first[v], net.first[v + 1]):
        half = 0.5 * (level - net.pair[j])
        for turn in range(2):
            i, k = (net.one[j], net.two[j]) if turn == 0 else (net.two[j], net.one[j])
            if i != fixed and i != other:
                rest = level - net.pair[j] - held[k - a]
                need[i - a] = max(need[i - a], rest if k == fixed or k == other else max(half, rest))
    for e in range(a, b):
        if e != fixed and e != other:
            need[e - a] = min(need[e - a], share[e])
    return need


@inner
def _rival_of_one(net: Net, v: int, k: int, share: FloatArray, rival: float) -> float:
    """The best future without the link k, of those given and the pairs."""
    for j in range(net.first[v], net.first[v + 1]):
        if net.one[j] != k and net.two[j] != k:
            rival = min(rival, net.pair[j] + share[net.one[j]] + share[net.two[j]])
    return rival


@inner
def _raise_pair(net: Net, v: int, best: int, share: FloatArray, need: FloatArray, none: float) -> float:
    """Raise the shares of the best pair in ``need``; returns the level reached."""
    a, b = net.out[v], net.out[v + 1]
    i, k, cost = net.one[best], net.two[best], net.pair[best]
    instead_i, instead_k = share[i] + net.far, share[k] + net.far  # what else could go with k, and with i
    rival = math.inf
    for j in range(net.first[v], net.first[v + 1]):
        x, y = net.one[j], net.two[j]
        if j != best:
            value = net.pair[j] + share[x] + share[y]
            if x == k or y == k:
                instead_i = min(instead_i, value - cost - share[k])
            elif x == i or y == i:
                instead_k = min(instead_k, value - cost - share[i])
            else:
                rival = min(rival, value)
    for e in range(a, b):
        if e != i and e != k:
            rival = min(rival, share[e])
    now = share[i] + share[k] + cost
    up_i = min(-cost, 0.5 * (share[i] + instead_i)) - share[i]
    up_k = min(-cost, 0.5 * (share[k] + instead_k)) - share[k]
    top = min(none, 0.5 * (now + rival), now + up_i + up_k)
    part = (top - now) / (up_i + up_k) if up_i + up_k > 0 else 0.0
    need[i - a] = share[i] + part * up_i
    need[k - a] = share[k] + part * up_k
    return top
