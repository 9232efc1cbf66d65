"""Completeness: what comes out right from beginning to end."""

from __future__ import annotations

import numpy as np

from lineage.arrays import BoolArray, IntArray
from lineage.matching import Matching, topmost

from .ratio import ratio


def completeness(matching: Matching) -> dict[str, float | int | None]:
    """Shares of truth lineages and of truth tracklets that are reproduced without any error.

    A **lineage** (connected tree) is complete when each of its cells has a partner of its own, each of its links is in
    the result, and no further link of the result leads to or from these partners: no false daughter, no continuation beyond the
    truth, no parent of the root. Only whether a link is inside a tracklet or to a parent tracklet does not matter.

    It is **reproduced** when all cells and links are there and no false daughter branches off, even if the result goes on where
    the truth ends, or begins earlier; truths that end at the border of what was annotated are fairly judged so. This is
    what other software calls complete.

    A **tracklet** (row of the table) is complete when each of its cells has a partner of its own, each link inside it is in the result,
    and no false daughter branches off before its last cell. Where it comes from and what becomes of it does not matter.
    """
    truth = matching.truth
    lost, loose, branching, attached = _errors(matching)
    last = np.append(np.diff(truth.tracklet) != 0, True)[: truth.n_cells]
    root = topmost(np.where(truth.parent >= 0, truth.parent, np.arange(len(truth))))[truth.tracklet]
    wrong_tracklet = _any(lost | (loose & ~last) | (branching & ~last), truth.tracklet, len(truth))
    good = {
        "complete_lineages": ~_any(lost | loose | attached, root, len(truth)) & (truth.parent < 0),
        "reproduced_lineages": ~_any(lost | loose | branching, root, len(truth)) & (truth.parent < 0),
        "complete_tracklets": ~wrong_tracklet,
    }
    n_lineages = int((truth.parent < 0).sum())
    whole = {"complete_lineages": n_lineages, "reproduced_lineages": n_lineages, "complete_tracklets": len(truth)}
    scores: dict[str, float | int | None] = {"n_truth_lineages": n_lineages}
    for name, rows in good.items():
        scores[name] = ratio(int(rows.sum()), whole[name])
        scores[f"n_{name}"] = int(rows.sum())
    return scores


def _errors(matching: Matching) -> tuple[BoolArray, BoolArray, BoolArray, BoolArray]:
    """Truth cells without a partner, those of which a link to a child is missing, with a false daughter, with any false link; bool (n,)."""
    truth, result, edges = matching.truth, matching.result, matching.edges
    source, target, _ = result.edges
    many = np.bincount(source, minlength=result.n_cells) >= 2
    start, end = matching.preimage[source], matching.preimage[target]
    extra = ~edges.right
    return (
        matching.image < 0,
        _any(~edges.found, truth.edges[0], truth.n_cells),
        _any(extra & many[source] & (start >= 0), start, truth.n_cells),
        _any(extra & (start >= 0), start, truth.n_cells) | _any(extra & (end >= 0), end, truth.n_cells),
    )


def _any(wrong: BoolArray, group: IntArray, n: int) -> BoolArray:
    """Whether any row of each group is wrong; bool (n,)."""
    return np.bincount(group[wrong], minlength=n) > 0
