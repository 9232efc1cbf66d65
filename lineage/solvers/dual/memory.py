"""Memory: what a solution leaves for the next one, so that a few changes are solved where they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lineage.arrays import BoolArray, FloatArray, IntArray

from .deciding import Votes
from .net import Net
from .sweeps import Shares


@dataclass(frozen=True, eq=False)
class Memory:
    """The split of the costs behind a bound, and its forest, in the order of the candidate graph.

    Attributes:
        into: The target's part of every link's cost; (m,), NaN for links that could not be.
        sets, rivals: The conflict sets.
        rival: What went to them.
        there, link: The forest: (n,) and (m,).
    """

    into: FloatArray
    sets: IntArray
    rivals: IntArray
    rival: FloatArray
    there: BoolArray
    link: BoolArray


def remembered(net: Net, shares: Shares, votes: Votes, links: IntArray, n_links: int) -> Memory:
    """The memory of a solution."""
    into, link = np.full(n_links, np.nan), np.zeros(n_links, bool)
    into[links] = shares.into[net.at_in]
    link[links] = votes.at_source
    return Memory(into, net.sets, net.rivals, shares.rival, votes.there, link)


def recalled(net: Net, memory: Memory, links: IntArray) -> tuple[Shares, Votes]:
    """Shares and forest for a film like the one remembered: same detections and links, other costs or pins in places.

    The forest may break rules where pins have changed.
    """
    into = memory.into[links]
    into = np.where(np.isnan(into), net.link / 2, into)
    same = np.array_equal(net.sets, memory.sets) and np.array_equal(net.rivals, memory.rivals)
    rival = memory.rival.copy() if same else np.zeros(len(net.rivals))
    own = np.where(np.isfinite(net.select), net.select, 0.0)
    np.subtract.at(own, net.rivals, rival)
    link = memory.link[links]
    there = memory.there | (net.off > 0)
    there &= np.isfinite(net.select)
    link = link & there[net.source] & there[net.target]
    return Shares(net.link - into, into[net.at_out], own, rival), Votes(there, link, link.copy())


def fits(net: Net, memory: Memory, n_links: int) -> bool:
    """Whether a memory is of a film with as many detections and links."""
    return len(memory.there) == len(net.select) and len(memory.link) == n_links
