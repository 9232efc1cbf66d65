"""Memory: what a solution leaves for the next one, so that a few changes are solved where they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lineage.arrays import BoolArray, FloatArray, IntArray
from lineage.program import Program

from .deciding import Votes
from .net import Net
from .searching import Found
from .sweeps import Shares

SAME = 1e-12  # relative; what rounding may make of a cost that was split and added up again


@dataclass(frozen=True, eq=False)
class Memory:
    """The split of the costs behind a bound, the costs that were split, and the forest, in the order of the programme.

    Attributes:
        out, into: The source's and the target's part of every link's cost; (m,), NaN for links that could not be.
        facts: What every detection's choices cost besides: select, appear, disappear, divide, off, bonus; (6, n).
        pairs: The programme's daughter pairs; (p, 2).
        pair: What they cost with the division, infinite for those that could not be; (p,).
        sets, rivals: The conflict sets.
        rival: What went to them.
        there, link: The forest; (n,) and (m,).
        lift, region: What whole numbers add to the bound, as in ``Found``; (n,).
        active: Links that were whole inside a region; (m,).
    """

    out: FloatArray
    into: FloatArray
    facts: FloatArray
    pairs: IntArray
    pair: FloatArray
    sets: IntArray
    rivals: IntArray
    rival: FloatArray
    there: BoolArray
    lift: FloatArray
    region: IntArray
    link: BoolArray
    active: BoolArray


def remembered(program: Program, net: Net, shares: Shares, found: Found, links: IntArray, pairs: IntArray) -> Memory:
    """The memory of a solution.

    Args:
        program: What was solved.
        net: The film.
        shares: The split of its costs.
        found: The forest.
        links: Where the net's links stand in the programme.
        pairs: Where its pairs do.
    """
    m = len(program.graph)
    out, into = np.full(m, np.nan), np.full(m, np.nan)
    out[links], into[links] = shares.out, shares.into[net.at_in]
    chosen, active = np.zeros(m, bool), np.zeros(m, bool)
    chosen[links], active[links] = found.votes.at_source, found.active
    pair = _pair_costs(program, net, pairs)
    rivals = net.sets, net.rivals, shares.rival
    return Memory(out, into, _facts(net), program.pairs, pair, *rivals, found.votes.there, found.lift, found.region, chosen, active)


def _facts(net: Net) -> FloatArray:
    return np.stack([net.select, net.appear, net.disappear, net.divide, net.off, net.bonus])


def _pair_costs(program: Program, net: Net, pairs: IntArray) -> FloatArray:
    cost = np.full(len(program.pairs), np.inf)
    cost[pairs] = net.pair
    return cost


def fits(program: Program, net: Net, memory: Memory) -> bool:
    """Whether a memory is of a programme with the same detections, links, pairs and conflict sets, as far as their numbers tell."""
    same = memory.facts.shape[1] == len(net.select) and len(memory.out) == len(program.graph)
    return same and all(
        np.array_equal(one, two) for one, two in ((net.sets, memory.sets), (net.rivals, memory.rivals), (program.pairs, memory.pairs))
    )


def recalled(net: Net, memory: Memory, links: IntArray) -> tuple[Shares, Votes]:
    """Shares and forest for a film like the one remembered, with other costs or pins in places.

    What a link's cost rose or fell by goes to its source. The forest may break rules where pins have changed.
    """
    into = memory.into[links]
    into = np.where(np.isnan(into), net.link / 2, into)
    own = np.where(np.isfinite(net.select), net.select, 0.0)
    np.subtract.at(own, net.rivals, memory.rival)
    there = (memory.there | (net.off > 0)) & np.isfinite(net.select)
    link = memory.link[links] & there[net.source] & there[net.target]
    return Shares(net.link - into, into[net.at_out], own, memory.rival.copy()), Votes(there, link, link.copy())


def changed(program: Program, net: Net, memory: Memory, links: IntArray, pairs: IntArray) -> BoolArray:
    """Detections whose choices, or what these cost, are not what they were; (n,)."""
    graph = program.graph
    new: BoolArray = (_facts(net) != memory.facts).any(axis=0)
    other = ~np.isnan(memory.out)  # gone, unless it is among the links
    before = memory.out[links] + memory.into[links]
    other[links] = ~(np.abs(before - net.link) <= SAME * (1 + np.abs(net.link)))  # true also for links that are new: NaN
    pair = graph.source[program.pairs[_pair_costs(program, net, pairs) != memory.pair, 0]]
    new[graph.source[other]] = new[graph.target[other]] = new[pair] = True
    return new
