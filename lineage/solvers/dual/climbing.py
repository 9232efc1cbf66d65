"""Climbing: sweeps and flows in turn, until the bound hardly rises any more."""

from __future__ import annotations

import time

import numpy as np

from lineage.certificate import relative_gap

from .deciding import Votes, agreed, objective
from .flow import balance, forest_of, front, priced, share_prices
from .net import Net
from .sweeps import Shares, ascend, bound, even_shares, settle_between

FIRST = 10  # sweeps before the first flow
BETWEEN = 3  # sweeps between flows
ROUNDS = 40
REACH = 0.5  # divisions dearer than this beyond a detection's best choice are no part of the flow
LEAST = 1e-6  # relative gain of a round that is worth another one
OF_GAP = 0.02  # or this part of the gap asked for


def climbed(net: Net, gap: float, deadline: float) -> tuple[Shares, Votes]:
    """Shares whose bound is near the relaxation's, and a forest.

    Sweeps move costs between neighbours only; the flow carries what is left over through the film, but knows nothing of what
    binds a division to its mother. In turn they do both. The flow may lose bound; then the climb ends where it was best.
    """
    shares = even_shares(net)
    ascend(net, shares, FIRST)
    best = _nothing(net)
    cost, low = objective(net, shares, best), bound(net, shares)
    search = front(len(net.select), len(net.link))
    for _ in range(ROUNDS):
        kept = Shares(*(column.copy() for column in shares))
        flow = priced(net, shares, REACH)
        search.seen[:] = search.done[:] = 0
        balance(net, flow, search, 0)
        forest = agreed(net, forest_of(net, flow))
        share_prices(net, flow, shares)
        ascend(net, shares, BETWEEN)
        if (price := objective(net, shares, forest)) < cost:
            best, cost = forest, price
        before, low = low, bound(net, shares)
        if low < before:
            shares, low = kept, before
            break
        small = low - before <= max(LEAST, OF_GAP * gap) * abs(low)
        if small or relative_gap(cost, low) <= gap or time.perf_counter() > deadline:
            break
    settle_between(net, shares)
    return shares, best


def _nothing(net: Net) -> Votes:
    """The empty forest."""
    m = len(net.link)
    return Votes(np.zeros(len(net.select), bool), np.zeros(m, bool), np.zeros(m, bool))
