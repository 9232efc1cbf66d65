"""Climbing: sweeps and flows in turn, until the bound hardly rises any more."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from lineage.certificate import relative_gap

from .deciding import Votes, agreed, objective
from .flow import balance, forest_of, front, priced, share_prices
from .net import Net
from .sweeps import Shares, ascend, bound, even_shares, settle_between

FIRST = 6  # sweeps before the first flow
ROUNDS = 40
REACH = 0.5  # divisions dearer than this beyond a detection's best choice are no part of the flow
OF_GAP = 0.02  # part of the gap asked for whose gain is not worth another round


@dataclass(frozen=True)
class Pace:
    """How patiently to climb.

    Attributes:
        sweeps: Between flows.
        least: Relative gain of a round that is worth another one.
    """

    sweeps: int
    least: float


QUICK, THOROUGH = Pace(2, 1e-4), Pace(3, 1e-6)


def bottom(net: Net) -> tuple[Shares, Votes]:
    """Where a climb begins: shares after the first sweeps, and no lineage at all."""
    shares, m = even_shares(net), len(net.link)
    ascend(net, shares, FIRST)
    return shares, Votes(np.zeros(len(net.select), bool), np.zeros(m, bool), np.zeros(m, bool))


def climbed(net: Net, begin: tuple[Shares, Votes], pace: Pace, gap: float, deadline: float) -> tuple[Shares, Votes]:
    """Shares whose bound is near the relaxation's, and a forest.

    Sweeps move costs between neighbours only; the flow carries what is left over through the film, but knows nothing of what
    binds a division to its mother. In turn they do both. The flow may lose bound; then the climb ends where it was best.

    Args:
        net: The film.
        begin: Shares and forest to go on from.
        pace: How patiently.
        gap: Relative gap that is good enough.
        deadline: ``time.perf_counter()`` when to stop.
    """
    shares, best = begin
    cost, low = objective(net, shares, best), bound(net, shares)
    search = front(len(net.select), len(net.link))
    for _ in range(ROUNDS):
        kept = Shares(*(column.copy() for column in shares))
        flow = priced(net, shares, REACH)
        search.seen[:] = search.done[:] = 0
        balance(net, flow, search, 0)
        forest = agreed(net, forest_of(net, flow))
        share_prices(net, flow, shares)
        ascend(net, shares, pace.sweeps)
        if (price := objective(net, shares, forest)) < cost:
            best, cost = forest, price
        before, low = low, bound(net, shares)
        if low < before:
            shares, low = kept, before
            break
        small = low - before <= max(pace.least, OF_GAP * gap) * abs(low)
        if small or relative_gap(cost, low) <= gap or time.perf_counter() > deadline:
            break
    settle_between(net, shares)
    return shares, best
