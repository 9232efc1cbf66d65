"""Searching: regions are solved, joined to what they disagree with and solved again, until bound and objective meet."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lineage.arrays import BoolArray, FloatArray, IntArray
from lineage.certificate import relative_gap

from .answer import Answer, Impossible, Unsound, solved
from .deciding import Votes, agreed, costs_of, objective, set_costs
from .local import Local, held, incident, ranges, region
from .net import Net
from .sweeps import Shares, factors, factors_of, set_factors

NEAR = 0.25  # regret up to which a link carries a region on to its other end
ACTIVE = 2.0  # regret up to which a link inside a region is whole from the beginning
ROUNDS = 200
PROOF = 1e-7  # gaps below this are asked for proofs: the bound's work then comes first
EVERY = 8  # how often the forest is improved while regions are relaxed
IMPROVE = 4  # how often at a time, as long as it helps
AROUND = 2  # how many links far around the detections where it costs too much


@dataclass(frozen=True, eq=False)
class Found:
    """A forest and a lower bound.

    Attributes:
        votes: The forest, both ends agreed.
        objective: Its cost; infinite when none was found.
        bound: No forest costs less.
        lift: What whole numbers add to the factors' bound, booked on one detection of every region; (n,).
        region: Which region each detection was solved in, -1 for none; (n,).
        active: Links that were whole inside a region, or would be; (m,).
    """

    votes: Votes
    objective: float
    bound: float
    lift: FloatArray
    region: IntArray
    active: BoolArray


@dataclass(eq=False)
class Search:
    """The state of the search: what changes from round to round.

    Attributes:
        net, shares: The film and the split of its costs.
        regret: What every link cost beyond its ends' own best when the search began.
        active: Links that are whole inside a region.
        there: Whether every detection wants to be there, per cent; so many choices of a relaxation are fractions.
        at_source, at_target: Whether a link's source, its target wants it, per cent.
        inside: Which detections are in a region.
        lift, region, best, objective, bound: As in ``Found``.
    """

    net: Net
    shares: Shares
    regret: FloatArray
    active: BoolArray
    there: NDArray[np.int8]
    at_source: NDArray[np.int8]
    at_target: NDArray[np.int8]
    inside: BoolArray
    lift: FloatArray
    region: IntArray
    best: Votes
    objective: float
    bound: float = -math.inf

    def found(self) -> Found:
        """What was found so far."""
        return Found(self.best, self.objective, self.bound, self.lift, self.region, self.active)


def search(now: Search, new: BoolArray, gap: float, deadline: float, *, whole: bool) -> bool:
    """Solve and enlarge regions, beginning with some detections; whether it ended because nothing is disputed."""
    near = NEAR
    for turn in range(ROUNDS):
        if relative_gap(now.objective, now.bound) <= gap or time.perf_counter() > deadline:
            return False
        if not new.any():
            return True
        new = grown(now.net, now.regret, new, near)
        inside = closed(now.net, now.inside | new)
        new |= inside & ~now.inside
        now.inside = inside
        rows = _touched(now, new)
        local = region(now.net, now.shares, rows, now.inside, now.active)
        answer = solved(local, deadline - time.perf_counter(), whole=whole)
        if not answer.done:
            return False
        _write_back(now, local, answer)
        new = _disputed(now, rows)
        _book(now, local, answer)
        rebound(now)
        offer(now, agreed(now.net, wanted(now)))
        due = whole or not new.any() or (turn % EVERY == 0 and gap > PROOF and len(now.net.rivals) == 0)
        if due and relative_gap(now.objective, now.bound) > gap:
            improve(now, rows if whole else rows[:0], deadline)
    return False


def wanted(now: Search) -> Votes:
    """What is wanted, by more than half where choices are fractions."""
    return Votes(now.there > 50, now.at_source > 50, now.at_target > 50)


def offer(now: Search, votes: Votes) -> None:
    """Take a forest if it is cheaper."""
    cost = objective(now.net, now.shares, votes)
    if cost < now.objective:
        now.best, now.objective = votes, cost


def rebound(now: Search) -> None:
    """Take the bound that holds now, if it is better."""
    value = factors(now.net, now.shares).sum() + set_factors(now.net, now.shares).sum() + now.lift.sum()
    now.bound = max(now.bound, float(value))


def _book(now: Search, local: Local, answer: Answer) -> None:
    """What the parts of a region reach beyond their factors is lift."""
    net, part, rows = now.net, local.part[: len(local.rows)], local.rows
    reached = np.bincount(part, factors_of(net, now.shares, rows) - net.bonus[rows], local.n_parts)
    if len(local.sets):
        at = np.searchsorted(rows, net.rivals[net.sets[local.sets]])
        reached += np.bincount(part[at], set_factors(net, now.shares)[local.sets], local.n_parts)
    tight = reached >= answer.relaxed - 1e-5 * (1 + np.abs(answer.relaxed))
    tight |= np.bincount(part, net.bonus[rows], local.n_parts) > 0  # a forced division is only dear to break in a factor
    if not tight.all():
        raise Unsound("the factors do not reach their relaxation")
    first = np.unique(part, return_index=True)[1]
    now.lift[rows] = 0.0
    now.lift[rows[first]] = np.maximum(answer.least - reached, 0.0)


def short(now: Search, votes: Votes, rounding: float = 1e-6) -> BoolArray:
    """Detections whose vote costs more than their best choice, or whose rivals' does."""
    net = now.net
    new: BoolArray = costs_of(net, now.shares, votes) > factors(net, now.shares) + rounding
    if len(net.sets) > 1:
        over = set_costs(net, now.shares, votes.there) > set_factors(net, now.shares) + rounding
        new[net.rivals[np.repeat(over, np.diff(net.sets))]] = True
    return new


def grown(net: Net, regret: FloatArray, rows: BoolArray, near: float) -> BoolArray:
    """Some detections and those that a link of small regret joins to them."""
    more = rows.copy()
    leaving, coming = incident(net, np.flatnonzero(rows))
    more[net.target[leaving[regret[leaving] < near]]] = True
    more[net.source[coming[regret[coming] < near]]] = True
    return more


def closed(net: Net, rows: BoolArray) -> BoolArray:
    """Some detections and the conflict sets that they are in, as a whole."""
    inside = rows.copy()
    which = np.repeat(np.arange(len(net.sets) - 1), np.diff(net.sets))
    while len(net.rivals):
        hit = np.zeros(len(net.sets) - 1, bool)
        hit[which[inside[net.rivals]]] = True
        more = net.rivals[hit[which]]
        if inside[more].all():
            break
        inside[more] = True
    return inside


def _touched(now: Search, new: BoolArray) -> IntArray:
    """The detections of the regions that have something new."""
    net = now.net
    rows = np.flatnonzero(now.inside)
    at = np.full(len(now.inside), -1)
    at[rows] = np.arange(len(rows))
    leaving = ranges(net.out[rows], net.out[rows + 1])
    joined = leaving[now.active[leaving] & now.inside[net.target[leaving]]]
    one, two = [at[net.source[joined]]], [at[net.target[joined]]]
    if len(net.sets) > 1:
        heads = np.repeat(net.rivals[net.sets[:-1]], np.diff(net.sets))
        within = now.inside[heads]
        one.append(at[heads[within]])
        two.append(at[net.rivals[within]])
    a, b = np.concatenate(one), np.concatenate(two)
    graph = sparse.csr_array((np.ones(len(a)), (a, b)), (len(rows), len(rows)))
    count, part = sparse.csgraph.connected_components(graph, directed=False)
    dirty = np.zeros(count, bool)
    dirty[part[new[rows]]] = True
    now.region[rows] = rows[np.unique(part, return_index=True)[1]][part]
    return rows[dirty[part]]


def _write_back(now: Search, local: Local, answer: Answer) -> None:
    """The region's prices become its shares, its choices its wishes."""
    net, shares, x = now.net, now.shares, answer.x
    at = np.zeros(len(net.select))
    at[local.rows] = answer.price
    paid = at[net.target[local.whole]]
    shares.into[net.at_in[local.whole]] = paid
    shares.out[local.whole] = net.link[local.whole] - paid
    if len(local.sets):
        members = ranges(net.sets[local.sets], net.sets[local.sets + 1])
        shares.rival[members] = np.repeat(answer.rival_price, net.sets[local.sets + 1] - net.sets[local.sets])
        shares.own[local.rows] = np.where(np.isfinite(net.select[local.rows]), net.select[local.rows], 0.0)
        np.subtract.at(shares.own, net.rivals[members], shares.rival[members])
    leaving, coming = incident(net, local.rows)
    now.at_source[leaving] = now.at_target[coming] = 0
    now.there[local.rows] = _percent(local.columns(x, 0))
    now.at_source[local.whole] = now.at_target[local.whole] = _percent(local.columns(x, 4))
    now.at_source[local.leaving] = _percent(local.columns(x, 5))
    now.at_target[local.coming] = _percent(local.columns(x, 6))


def _percent(x: FloatArray) -> FloatArray:
    """Per cent, where only what is a whole number becomes 0 or 100."""
    return np.where(x == np.round(x), 100 * x, np.clip(np.round(100 * x), 1, 99))


def improve(now: Search, rows: IntArray, deadline: float) -> None:
    """Improve the best forest, all held but some detections, or, if none are given, the surroundings of where it costs too much."""
    net = now.net
    for _ in range(1 if len(rows) else IMPROVE):
        best, before = now.best, now.objective
        inside = np.zeros(len(net.select), bool)
        inside[rows] = True
        if len(rows) == 0:
            inside = short(now, best)
            for _ in range(AROUND):
                inside = grown(net, now.regret, inside, ACTIVE)
            inside = closed(net, inside)
        free = np.flatnonzero(inside)
        if len(free) == 0:
            return
        local = held(net, now.shares, free, inside, now.active | best.at_source, best.at_source)
        try:
            answer = solved(local, deadline - time.perf_counter(), whole=True)
        except Impossible:  # what is held outside breaks a rule, so there was no forest yet
            return
        if not answer.done:
            return
        there, link = best.there.copy(), best.at_source.copy()
        there[free] = local.columns(answer.x, 0) > 0.5
        link[local.whole] = local.columns(answer.x, 4) > 0.5
        offer(now, Votes(there, link, link.copy()))
        if now.objective >= before - 1e-9:
            return


def _disputed(now: Search, rows: IntArray) -> BoolArray:
    """Detections at the ends of links on which a region and its surroundings differ; these links are whole from now on."""
    net = now.net
    leaving, coming = incident(net, rows)
    links = np.concatenate([leaving, coming])
    links = links[now.at_source[links] != now.at_target[links]]
    now.active[links] = True
    new = np.zeros(len(net.select), bool)
    new[net.source[links]] = new[net.target[links]] = True
    return new
