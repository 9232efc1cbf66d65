"""Metrics: how good a result is, one family of measures a module."""

from __future__ import annotations

from lineage.matching import Matching

from .acyclic import acyclic_measures, link_measures
from .biology import biological_measures
from .divisions import branching_measures, division_measures
from .identity import clear_measures, hota_measures, identity_measures
from .lineages import completeness
from .outlines import seg

Scores = dict[str, float | int | None]

__all__ = [
    "Scores",
    "acyclic_measures",
    "biological_measures",
    "branching_measures",
    "clear_measures",
    "completeness",
    "division_measures",
    "hota_measures",
    "identity_measures",
    "link_measures",
    "measures",
    "seg",
]


def measures(matching: Matching) -> Scores:
    """All measures of a matched pair of truth and result, by name; None where a measure is not defined.

    A measure is undefined when its denominator is empty: SEG without outlines, LNK without a link in the truth, BC without
    a division in the truth, and so on. OP_CSB, OP_CTB, BIO and OP_CLB are the means the Cell Tracking Challenge ranks by.
    """
    scores: Scores = {"SEG": seg(matching.jaccard)}
    scores |= acyclic_measures(matching) | biological_measures(matching) | branching_measures(matching)
    scores |= _overall(scores)
    scores |= hota_measures(matching) | identity_measures(matching) | clear_measures(matching)
    scores |= link_measures(matching) | division_measures(matching) | completeness(matching)
    truth, result = matching.truth, matching.result
    return scores | {
        "n_truth_nodes": truth.n_cells,
        "n_result_nodes": result.n_cells,
        "n_matched_nodes": len(matching.truth_cell),
        "n_truth_edges": len(truth.edges[0]),
        "n_result_edges": len(result.edges[0]),
        "n_truth_divisions": int((truth.whole.n_children >= 2).sum()),
        "n_result_divisions": int((result.whole.n_children >= 2).sum()),
        "n_truth_tracklets": len(truth),
        "n_result_tracklets": len(result),
    }


def _overall(scores: Scores) -> Scores:
    both: Scores = {
        "OP_CSB": _mean(scores["SEG"], scores["DET"], whole=True),
        "OP_CTB": _mean(scores["SEG"], scores["TRA"], whole=True),
    }
    for i in range(4):
        both[f"BIO{i}"] = _mean(scores["CT"], scores["TF"], scores[f"BC{i}"], scores["CCA"], whole=False)
        both[f"OP_CLB{i}"] = _mean(scores["LNK"], both[f"BIO{i}"], whole=True)
    return both


def _mean(*values: float | None, whole: bool) -> float | None:
    """Mean of what is defined; None if nothing is, or if the whole is asked for and a part is missing."""
    known = [value for value in values if value is not None]
    if not known or (whole and len(known) < len(values)):
        return None
    return sum(known) / len(known)
