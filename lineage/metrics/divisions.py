"""Divisions: which of them the result has, exactly or a few frames off."""

from __future__ import annotations

import numpy as np

from lineage.arrays import BoolArray, IntArray
from lineage.matching import Matching, Paths, best_pairs

from .ratio import precision_recall_f1


def branching_measures(matching: Matching, tolerances: tuple[int, ...] = (0, 1, 2, 3)) -> dict[str, float | int | None]:
    """BC(i), branching correctness: F1 of divisions found within i frames, on the tracklets of the tables.

    ``BC{i}`` is None when the truth has no division; ``BC{i}_tp``, ``BC{i}_fp`` and ``BC{i}_fn`` are its counts. A tracklet
    with two children or more divides; one with a single child goes on. See ``same_divisions`` for what counts as found.

    Args:
        matching: Truth and result.
        tolerances: Which i to report, frames.

    Ulman et al. 2017, "An objective comparison of cell-tracking algorithms".
    """
    scores: dict[str, float | int | None] = {}
    truth, result = matching.truth.pieces, matching.result.pieces
    n_truth, n_result = int((truth.n_children >= 2).sum()), int((result.n_children >= 2).sum())
    for i in tolerances:
        hits = len(same_divisions(matching, truth, result, i)[0])
        scores[f"BC{i}"] = precision_recall_f1(hits, n_result, n_truth)[2] if n_truth else None
        scores |= {f"BC{i}_tp": hits, f"BC{i}_fp": n_result - hits, f"BC{i}_fn": n_truth - hits}
    return scores


def division_measures(matching: Matching, tolerances: tuple[int, ...] = (0, 1)) -> dict[str, float | int | None]:
    """Precision, recall and F1 of divisions, on cells from birth to division, whether or not they were missed in between.

    Differs from BC(i) in that a cell missed in some frames, before or after it divides, is still the same cell, and in that a
    division of one side is counted for at most one of the other. A division with the right mother and a wrong daughter is not found: it
    lowers both precision and recall. Names end in ``_1`` for a tolerance of one frame, and so on.

    Args:
        matching: Truth and result.
        tolerances: How many frames early or late a division may be.
    """
    scores: dict[str, float | int | None] = {}
    truth, result = matching.truth.whole, matching.result.whole
    n_truth, n_result = int((truth.n_children >= 2).sum()), int((result.n_children >= 2).sum())
    for tolerance in tolerances:
        row, column = same_divisions(matching, truth, result, tolerance)
        shape = len(truth.parent), len(result.parent)
        hits = len(best_pairs(row, column, np.ones(len(row)), shape)[0])
        values = precision_recall_f1(hits, n_result, n_truth)
        tail = f"_{tolerance}" if tolerance else ""
        scores |= {f"division_{name}{tail}": value for name, value in zip(("precision", "recall", "f1"), values, strict=True)}
        scores[f"division_tp{tail}"] = hits
    return scores


def same_divisions(matching: Matching, truth: Paths, result: Paths, tolerance: int) -> tuple[IntArray, IntArray]:
    """Pairs of divisions that are the same one, up to a few frames.

    A division of the truth and one of the result are the same when
    their mothers end at most ``tolerance`` frames apart, and in the last frame that both live are matched to one another;
    they have as many daughters; and each truth daughter has a result daughter of its own that begins at most
    ``tolerance`` frames apart and is matched to it in the first frame that both live. Matched means: to one another alone.

    Args:
        matching: Truth and result.
        truth: Paths of the truth.
        result: Paths of the result.
        tolerance: Frames.

    Returns:
        The mother paths of truth and of result; int (p,) each.
    """
    row, column = _same_mothers(matching, truth, result, tolerance)
    same = truth.n_children[row] == result.n_children[column]
    row, column = row[same], column[same]
    # All daughters of one against all daughters of the other, as rows: division, truth daughter, result daughter.
    size = truth.n_children[row]
    division = np.repeat(np.arange(len(row)), size**2)
    step = np.arange(len(division)) - np.repeat(np.cumsum(size**2) - size**2, size**2)
    child = truth.children[0][truth.children[1][row][division] + step // size[division]]
    other = result.children[0][result.children[1][column][division] + step % size[division]]
    near = np.abs(truth.first[child] - result.first[other]) <= tolerance
    met = near & _meets(matching, (truth, child), (result, other), np.maximum(truth.first[child], result.first[other]))
    division, child, other = division[met], child[met], other[met]
    # Where several daughters fit, the first is taken, as the challenge's software does.
    taken = np.unique(np.column_stack([division, child]), axis=0, return_index=True)[1]
    own = np.unique(np.column_stack([division[taken], other[taken]]), axis=0)[:, 0]
    complete = np.bincount(own, minlength=len(row)) == size
    return row[complete], column[complete]


def _same_mothers(matching: Matching, truth: Paths, result: Paths, tolerance: int) -> tuple[IntArray, IntArray]:
    """Dividing paths whose ends are near and who are matched in the last frame that both live."""
    mothers = np.flatnonzero(truth.n_children >= 2)
    rows, columns = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for early in range(tolerance + 1):  # the result divides this much earlier; 0: at the same time or later
        frame = truth.last[mothers] - early
        image = np.append(matching.image, -1)[truth.cell(mothers, frame)]
        other = np.append(result.of_cell, -1)[image]
        late = np.append(result.last, -1)[other] - frame
        good = (other >= 0) & (np.append(result.n_children, 0)[other] >= 2) & (late >= 0) & (late <= (0 if early else tolerance))
        rows.append(mothers[good])
        columns.append(other[good])
    return np.concatenate(rows), np.concatenate(columns)


def _meets(matching: Matching, truth: tuple[Paths, IntArray], result: tuple[Paths, IntArray], frame: IntArray) -> BoolArray:
    """Whether two paths are matched to one another in a frame; bool (q,)."""
    image = np.append(matching.image, -1)[truth[0].cell(truth[1], frame)]
    return (image >= 0) & (image == result[0].cell(result[1], frame))
