"""The programme of a part of the film: detections of a region, whole links between them, half links to all others.

A whole link costs what it costs; of a half link only the inner end's share counts. The programme's minimum is then what the
factors inside can reach together while the shares outside stay: summed over regions and the factors of all other detections it
is a lower bound. Its linear relaxation gives the inner links' best shares: a link's in share is the price (dual value) of its
target's past, the rest stays with the source. Rows, over x there, a appears, d disappears, y divides, links e and pairs z::

    sum of e into v   + a = x           e + d <= x  for links of what may divide     x of rivals <= 1
    sum of e out of v + d = x + y       y + d <= x                                   y = sum of z,  z over e <= e

This describes each detection's choices exactly, so that the relaxation is as tight as the factors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from lineage.arrays import BoolArray, FloatArray, IntArray

from .net import Net
from .sweeps import Shares


@dataclass(frozen=True, eq=False)
class Local:
    """The programme of a region.

    Attributes:
        rows: Its detections, rising; (r,).
        whole, leaving, coming: Its whole links, its half links out of it and into it.
        pairs: Listed pairs it can choose.
        sets: Conflict sets inside.
        cost, lower, upper: Of the columns: there, appears, disappears, divides, whole, leaving, coming, pairs.
        ends: Where each of these ends.
        equal, below, limit: ``equal @ x = 0``, ``below @ x <= limit``.
        part: The connected part that each column belongs to.
        n_parts: How many there are.
    """

    rows: IntArray
    whole: IntArray
    leaving: IntArray
    coming: IntArray
    pairs: IntArray
    sets: IntArray
    cost: FloatArray
    lower: FloatArray
    upper: FloatArray
    ends: IntArray
    equal: sparse.csr_array
    below: sparse.csr_array
    limit: FloatArray
    part: IntArray
    n_parts: int

    def columns(self, x: FloatArray, i: int) -> FloatArray:
        """Block i of the columns."""
        return x[self.ends[i] : self.ends[i + 1]]


def ranges(first: IntArray, last: IntArray) -> IntArray:
    """All numbers of several ranges, one after another."""
    length = last - first
    return np.repeat(first - np.concatenate([[0], np.cumsum(length)[:-1]]), length) + np.arange(length.sum())


def incident(net: Net, rows: IntArray) -> tuple[IntArray, IntArray]:
    """The links out of some detections, and into them."""
    return ranges(net.out[rows], net.out[rows + 1]), net.at_out[ranges(net.into[rows], net.into[rows + 1])].astype(np.int64)


def region(net: Net, shares: Shares, rows: IntArray, inside: BoolArray, active: BoolArray) -> Local:
    """The programme of some detections that bounds: active links between them are whole, all others half.

    Of the half links only those are kept that can be chosen: the cheapest in, the two cheapest out, those of the cheapest pairs.
    """
    leaving, coming = incident(net, rows)
    inner = active[leaving] & inside[net.target[leaving]]
    whole, leaving = leaving[inner], leaving[~inner]
    coming = coming[~(active[coming] & inside[net.source[coming]])]
    pairs = _choosable_pairs(net, shares, rows, whole)
    leaving = np.union1d(_choosable_out(net, shares, leaving), np.setdiff1d(np.concatenate([net.one[pairs], net.two[pairs]]), whole))
    return _stated(net, shares, rows, pairs, whole, leaving, _choosable_in(net, shares, coming))


def _choosable_pairs(net: Net, shares: Shares, rows: IntArray, whole: IntArray) -> IntArray:
    """Listed pairs that can be chosen: all of two whole links, the cheapest of each whole link with a half one and of two half."""
    pairs = ranges(net.first[rows], net.first[rows + 1])
    if len(pairs) == 0:
        return pairs
    is_whole = np.zeros(len(net.link), bool)
    is_whole[whole] = True
    one, two = net.one[pairs].astype(np.int64), net.two[pairs].astype(np.int64)
    a, b = is_whole[one], is_whole[two]
    value = net.pair[pairs] + np.where(a, 0.0, shares.out[one]) + np.where(b, 0.0, shares.out[two])
    key = np.where(a, one, np.where(b, two, -1 - net.source[one]))
    keep = a & b
    mixed = np.flatnonzero(~keep)
    order = mixed[np.lexsort((value[mixed], key[mixed]))]
    keep[order[np.flatnonzero(np.diff(key[order], prepend=len(net.link)))]] = True
    return pairs[keep]


def _choosable_in(net: Net, shares: Shares, coming: IntArray) -> IntArray:
    share = shares.into[net.at_in[coming]]
    order = np.lexsort((share, net.target[coming]))
    coming, share = coming[order], share[order]
    first = np.diff(net.target[coming], prepend=-1) != 0
    return coming[first & (share < net.appear[net.target[coming]])]


def _choosable_out(net: Net, shares: Shares, leaving: IntArray) -> IntArray:
    share = shares.out[leaving]
    order = np.lexsort((share, net.source[leaving]))
    leaving, share = leaving[order], share[order]
    first = np.diff(net.source[leaving], prepend=-1) != 0
    second = np.concatenate([[False], first[:-1]])[: len(first)]
    v = net.source[leaving]
    worth = (share < net.disappear[v]) | (share + net.divide[v] < 0)
    return leaving[(first | second) & worth]


def held(net: Net, shares: Shares, rows: IntArray, inside: BoolArray, active: BoolArray, chosen: BoolArray) -> Local:
    """The programme of some detections that improves a forest: all outside stays, links across stay as chosen."""
    leaving, coming = incident(net, rows)
    inner = active[leaving] & inside[net.target[leaving]]
    whole = leaving[inner]
    leaving = leaving[chosen[leaving] & ~inside[net.target[leaving]]]
    coming = coming[chosen[coming] & ~inside[net.source[coming]]]
    pairs = ranges(net.first[rows], net.first[rows + 1])
    local = _stated(net, shares, rows, pairs, whole, leaving, coming)
    local.lower[local.ends[5] : local.ends[7]] = 1
    return local


def _stated(  # noqa: PLR0913 - the columns of a programme
    net: Net, shares: Shares, rows: IntArray, pairs: IntArray, whole: IntArray, leaving: IntArray, coming: IntArray
) -> Local:
    r = len(rows)
    at = np.full(len(net.select), -1)
    at[rows] = np.arange(r)
    out = np.concatenate([whole, leaving])
    column = np.full(len(net.link), -1)
    column[out] = np.arange(len(out))
    pairs = pairs[(column[net.one[pairs]] >= 0) & (column[net.two[pairs]] >= 0)]
    n_pairs = np.bincount(at[net.source[net.one[pairs]]], minlength=r)
    may = (n_pairs > 0) | ((net.divide[rows] < np.inf) & (np.bincount(at[net.source[out]], minlength=r) > 1))
    own, appear, disappear = net.select[rows], net.appear[rows], net.disappear[rows]
    cost = [own, appear, disappear, np.where(may & (n_pairs == 0), net.divide[rows], 0.0), net.link[whole], shares.out[leaving]]
    cost += [shares.into[net.at_in[coming]], net.pair[pairs]]
    ends = np.cumsum([0, *map(len, cost)])
    costs = np.concatenate(cost)
    upper = np.isfinite(costs).astype(float)
    upper[ends[3] : ends[4]] = may
    lower = np.zeros(len(costs))
    lower[:r] = net.off[rows] > 0
    lower[ends[3] : ends[4]] = net.bonus[rows] > 0
    sets = np.flatnonzero(np.bincount(np.repeat(np.arange(len(net.sets) - 1), np.diff(net.sets)), at[net.rivals] >= 0) > 0)
    equal = _equal(net, at, whole, leaving, coming, ends)
    equal = sparse.vstack([equal, _pair_sums(net, at, pairs, n_pairs, ends)], format="csr")
    below, limit = _below(net, at, out, pairs, may, sets, ends)
    labels = sparse.csgraph.connected_components(_touching(net, at, whole, sets), directed=False)
    owner = [np.tile(np.arange(r), 4), at[net.source[out]], at[net.target[coming]], at[net.source[net.one[pairs]]]]
    part = labels[1][np.concatenate(owner)]
    assert (at[net.rivals[ranges(net.sets[sets], net.sets[sets + 1])]] >= 0).all(), "a region cuts a conflict set"
    return Local(
        rows, whole, leaving, coming, pairs, sets, np.where(upper > 0, costs, 0.0), lower, upper, ends, equal, below, limit, part, labels[0]
    )


def _matrix(parts: list[tuple[IntArray, IntArray, float]], shape: tuple[int, int]) -> sparse.csr_array:
    rows = np.concatenate([part[0] for part in parts])
    columns = np.concatenate([part[1] for part in parts])
    values = np.concatenate([np.full(len(part[0]), part[2]) for part in parts])
    return sparse.csr_array((values, (rows, columns)), shape)


def _equal(net: Net, at: IntArray, whole: IntArray, leaving: IntArray, coming: IntArray, ends: IntArray) -> sparse.csr_array:
    """One past, one future."""
    r = int(ends[1])
    k = np.arange(r)
    links = ends[4] + np.arange(len(whole))
    parts = [
        (at[net.target[whole]], links, 1.0),
        (at[net.target[coming]], ends[6] + np.arange(len(coming)), 1.0),
        (k, ends[1] + k, 1.0),
        (k, k, -1.0),
        (r + at[net.source[whole]], links, 1.0),
        (r + at[net.source[leaving]], ends[5] + np.arange(len(leaving)), 1.0),
        (r + k, ends[2] + k, 1.0),
        (r + k, k, -1.0),
        (r + k, ends[3] + k, -1.0),
    ]
    return _matrix(parts, (2 * r, int(ends[-1])))


def _pair_sums(net: Net, at: IntArray, pairs: IntArray, n_pairs: IntArray, ends: IntArray) -> sparse.csr_array:
    """A division is one of the pairs."""
    mothers = np.flatnonzero(n_pairs)
    row = np.searchsorted(mothers, at[net.source[net.one[pairs]]])
    parts = [(np.arange(len(mothers)), ends[3] + mothers, 1.0), (row, ends[7] + np.arange(len(pairs)), -1.0)]
    return _matrix(parts, (len(mothers), int(ends[-1])))


def _below(  # noqa: PLR0913 - blocks of columns
    net: Net, at: IntArray, out: IntArray, pairs: IntArray, may: BoolArray, sets: IntArray, ends: IntArray
) -> tuple[sparse.csr_array, FloatArray]:
    """Links and divisions only of what is there and goes on, pairs only of links, rivals."""
    dividing = np.flatnonzero(may)
    links = np.flatnonzero(may[at[net.source[out]]])
    mother = at[net.source[out[links]]]
    a, b = len(links), len(links) + len(dividing)
    k, y = np.arange(a), a + np.arange(len(dividing))
    used = np.unique(np.concatenate([net.one[pairs], net.two[pairs]]))
    column = np.full(len(net.link), -1)
    column[out] = ends[4] + np.arange(len(out))
    z = ends[7] + np.arange(len(pairs))
    s = b + len(used)
    members = ranges(net.sets[sets], net.sets[sets + 1])
    size = net.sets[sets + 1] - net.sets[sets]
    parts = [
        (k, ends[4] + links, 1.0),
        (k, ends[2] + mother, 1.0),
        (k, mother, -1.0),
        (y, ends[3] + dividing, 1.0),
        (y, ends[2] + dividing, 1.0),
        (y, dividing, -1.0),
        (b + np.searchsorted(used, net.one[pairs]), z, 1.0),
        (b + np.searchsorted(used, net.two[pairs]), z, 1.0),
        (b + np.arange(len(used)), column[used], -1.0),
        (s + np.repeat(np.arange(len(sets)), size), at[net.rivals[members]], 1.0),
    ]
    limit = np.zeros(s + len(sets))
    limit[s:] = 1
    return _matrix(parts, (len(limit), int(ends[-1]))), limit


def _touching(net: Net, at: IntArray, whole: IntArray, sets: IntArray) -> sparse.csr_array:
    """Which detections of a region a whole link or a conflict set joins."""
    r = int(at.max()) + 1
    members = ranges(net.sets[sets], net.sets[sets + 1])
    heads = np.repeat(net.rivals[net.sets[sets]], net.sets[sets + 1] - net.sets[sets])
    one = np.concatenate([at[net.source[whole]], at[heads]])
    two = np.concatenate([at[net.target[whole]], at[net.rivals[members]]])
    return sparse.csr_array((np.ones(len(one)), (one, two)), (r, r))
