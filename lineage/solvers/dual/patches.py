"""Patches: small regions, solved by trying every forest in them, and joined to what they disagree with.

In a patch some detections are chosen together; links between them are whole, of all others only the inner end's share counts.
Detections take their choices in the order of time, each one that fits what those before it chose. A choice's regret is what it
costs beyond the detection's best. The least sum of regrets is what whole numbers add to the sum of the factors' minima: the
patch's lift. Since the shares are nearly the best there are, only a few choices have small regrets, and the search is short.

The sides of a half link may want different things. Then the other end joins the patch, and it is solved again. Among forests that
cost the same the one is taken that suits the neighbours. Patches that grow or take too long are left to ``searching``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from lineage.arrays import BoolArray, FloatArray, IntArray

from .compiled import compiled, inner
from .deciding import Votes
from .desk import MOST, ROWS, TIE, Desk, clear, desk_for, lay, list_choices
from .net import Net
from .sweeps import Shares
from .trying import GIVEN_UP, Layers, least, no_layers, write

__all__ = ["Patches", "desk_for", "kept_patches", "no_layers", "no_patches", "patch"]

PART = 0.02  # of the detections seen, in patches given up, before the rest is not tried
FIRST, WIDER = 0.25, 10.0  # regrets looked for at first, and how many times more if there are none


class Patches(NamedTuple):
    """Which detections are chosen together; changed in place.

    Attributes:
        root: First detection of each detection's patch, -1 for none; (n,).
        after: The next one of the patch, -1 for none; (n,).
        last, size: Of the patch, at its root; (n,).
        lift: What whole numbers add, at its root, negative before it is solved; (n,).
        failed: Whether it was given up, at its root; (n,).
    """

    root: IntArray
    after: IntArray
    last: IntArray
    size: IntArray
    lift: FloatArray
    failed: BoolArray


def no_patches(n: int) -> Patches:
    """No patches among n detections."""
    return Patches(np.full(n, -1), np.full(n, -1), np.full(n, -1), np.zeros(n, np.int64), np.zeros(n), np.zeros(n, bool))


def kept_patches(region: IntArray, lift: FloatArray) -> Patches:
    """Regions that were solved before as patches, so that what disagrees with one of them joins it as a whole.

    Args:
        region: First detection of each detection's region, -1 for none; (n,).
        lift: What whole numbers add, at that detection; (n,).
    """
    patches = no_patches(len(region))
    rows = np.flatnonzero(region >= 0)
    rows = rows[np.argsort(region[rows], kind="stable")]
    heads, first, size = np.unique(region[rows], return_index=True, return_counts=True)
    patches.root[rows] = region[rows]
    patches.after[rows[:-1]] = rows[1:]
    patches.last[heads] = rows[first + size - 1]
    patches.after[patches.last[heads]] = -1
    patches.size[heads], patches.lift[heads] = size, lift[heads]
    return patches


@inner
def _solve(  # noqa: PLR0913 - columns
    net: Net, shares: Shares, votes: Votes, patches: Patches, desk: Desk, layers: Layers, root: int
) -> None:
    """Solve one patch: its votes and its lift, or that it failed."""
    r = int(patches.size[root])
    found = GIVEN_UP
    if r <= ROWS:
        lay(net, shares, votes, patches.after, desk, root)
        limit = FIRST
        while limit <= MOST and list_choices(net, shares, votes, desk, r, limit):
            found = least(net, shares.own, desk, layers, r, limit)
            if found < math.inf:
                break
            limit, found = WIDER * limit, GIVEN_UP
        if found != GIVEN_UP:
            outside = write(net, votes, desk, r)
            patches.lift[root] = max(0.0, found - TIE * outside)
        clear(desk, r)
    patches.failed[root] = found == GIVEN_UP


@inner
def _join(patches: Patches, a: int, b: int) -> int:
    """Join the patches of two detections, which may be new; returns the root."""
    for v in (a, b):
        if patches.root[v] < 0:
            patches.root[v] = patches.last[v] = v
            patches.after[v], patches.size[v], patches.lift[v], patches.failed[v] = -1, 1, -1.0, False
    a, b = int(patches.root[a]), int(patches.root[b])
    if a == b:
        return a
    if patches.size[a] < patches.size[b]:
        a, b = b, a
    v = b
    while v >= 0:
        patches.root[v] = a
        v = int(patches.after[v])
    patches.after[patches.last[a]] = b
    patches.last[a] = patches.last[b]
    patches.size[a] += patches.size[b]
    patches.failed[a] |= patches.failed[b]
    patches.lift[a] = -1.0
    return a


@inner
def _close(net: Net, patches: Patches, desk: Desk, root: int) -> int:
    """Join to a patch all rivals of its detections; returns the root."""
    v = root
    while v >= 0 and patches.size[root] <= ROWS:  # the list grows at its end, or in front of the smaller part
        before = root
        for k in range(desk.first[v], desk.first[v + 1]):
            s = desk.sets[k]
            for j in range(net.sets[s], net.sets[s + 1]):
                root = _join(patches, root, int(net.rivals[j]))
        v = int(patches.after[v]) if root == before else root
    return root


@inner
def _differ(net: Net, votes: Votes, patches: Patches, root: int) -> int:
    """Join to a patch the other ends of its disputed links; returns the root, the same if there were none."""
    v, now = root, root
    for _ in range(patches.size[root]):
        for e in range(net.out[v], net.out[v + 1]):
            if votes.at_source[e] != votes.at_target[e]:
                now = _join(patches, now, int(0 + net.target[e]))
        for k in range(net.into[v], net.into[v + 1]):
            e = net.at_out[k]
            if votes.at_source[e] != votes.at_target[e]:
                now = _join(patches, now, int(0 + net.source[e]))
        v = int(patches.after[v])
    return now


@compiled
def patch(  # noqa: PLR0913 - columns
    net: Net, shares: Shares, votes: Votes, patches: Patches, desk: Desk, layers: Layers, seeds: IntArray, patience: int
) -> bool:
    """Solve and join patches, from some detections on, until no link of a patch that was solved is disputed.

    Args:
        net: The film.
        shares: The split of its costs; it stays as it is.
        votes: What each detection wants; changed in place.
        patches: Where patches begin, changed in place.
        desk: To work on.
        layers: To work on.
        seeds: Detections to begin with; (k,).
        patience: How many may be given up before the rest is not tried, besides a small part.

    Returns:
        Whether it was worth it; False when so many were given up that the rest was not tried.
    """
    for i in range(len(seeds)):
        _join(patches, int(seeds[i]), int(seeds[i]))
    given_up = 0
    for i in range(len(seeds)):
        root = int(patches.root[seeds[i]])
        while patches.lift[root] < 0 and not patches.failed[root]:
            root = _close(net, patches, desk, root)
            _solve(net, shares, votes, patches, desk, layers, root)
            if not patches.failed[root]:
                root = _differ(net, votes, patches, root)
            given_up += patches.failed[root]
        if given_up > patience + i * PART:
            return False
    return True
