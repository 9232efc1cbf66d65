"""CT, TF, CCA: what a biologist reads off whole tracks."""

from __future__ import annotations

import numpy as np

from lineage.arrays import FloatArray, IntArray
from lineage.matching import Matching, Paths, Tracks

from .ratio import ratio


def biological_measures(matching: Matching) -> dict[str, float | int | None]:
    """Complete tracks (CT), track fractions (TF) and cell cycle accuracy (CCA), on the tracklets of the tables.

    Ulman et al. 2017, "An objective comparison of cell-tracking algorithms".
    """
    owner = assigned(matching)
    return {
        "CT": complete_tracks(matching, owner),
        "TF": track_fractions(matching, owner),
        "CCA": cell_cycle_accuracy(matching.truth, matching.result),
    }


def assigned(matching: Matching) -> IntArray:
    """The result tracklet of each truth cell, -1 where it has no partner or shares it; int (n_truth,)."""
    return np.append(matching.result.tracklet, -1)[matching.image]


def complete_tracks(matching: Matching, owner: IntArray) -> float | None:
    """F1 of tracklets that are matched to one another in every frame and begin and end together.

    Args:
        matching: Truth and result.
        owner: What ``assigned`` says.
    """
    truth, result = matching.truth, matching.result
    if not len(truth):
        return ratio(0, len(result))
    one = np.minimum.reduceat(owner, truth.start)
    same = (one == np.maximum.reduceat(owner, truth.start)) & (one >= 0)
    rows = np.flatnonzero(same)
    complete = (truth.table[rows, 1:3] == result.table[one[rows], 1:3]).all(1)
    return ratio(2 * int(complete.sum()), len(truth) + len(result))


def track_fractions(matching: Matching, owner: IntArray) -> float | None:
    """Mean, over the truth tracklets found at all, of the longest stretch that one result tracklet follows without a break.

    As in the challenge's own software, a result tracklet that follows a truth tracklet from end to end is not considered
    for truth tracklets of larger label.

    Args:
        matching: Truth and result.
        owner: What ``assigned`` says.
    """
    truth, result = matching.truth, matching.result
    if not len(truth):
        return None
    breaks = (np.diff(truth.tracklet, prepend=-1) != 0) | (np.diff(owner, prepend=-2) != 0)
    first = np.flatnonzero(breaks)
    stretch = np.diff(np.append(first, len(owner)))[owner[first] >= 0]
    first = first[owner[first] >= 0]
    row, other = truth.tracklet[first], owner[first]
    label, full = truth.table[row, 0], stretch == truth.length[row]
    limit = np.full(len(result), np.iinfo(np.int64).max)
    np.minimum.at(limit, other[full], label[full])
    kept = label <= limit[other]
    best = np.zeros(len(truth))
    np.maximum.at(best, row[kept], stretch[kept] / truth.length[row[kept]])
    return float(best[best > 0].mean()) if best.any() else 0.0


def cell_cycle_accuracy(truth: Tracks, result: Tracks) -> float | None:
    """One minus the largest distance between the distributions of cell cycle lengths, truth against result.

    A cell cycle is a tracklet born by a division and ended by one. None when the truth has none, 0 when only the result has none.
    """
    lengths, others = (_cycles(side.pieces) for side in (truth, result))
    if not len(lengths):
        return None
    if not len(others):
        return 0.0
    at = np.union1d(lengths, others)
    return float(1 - np.abs(_share(lengths, at) - _share(others, at)).max())


def _cycles(paths: Paths) -> IntArray:
    """Lengths of complete cell cycles, rising, in frames from first to last."""
    divides = paths.n_children >= 2
    complete = divides & (paths.parent >= 0) & np.append(divides, False)[paths.parent]
    return np.sort((paths.last - paths.first)[complete])


def _share(lengths: IntArray, at: IntArray) -> FloatArray:
    return np.searchsorted(lengths, at, side="right") / len(lengths)
