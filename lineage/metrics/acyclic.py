"""DET, TRA, LNK: what it costs to correct the result by hand, as a graph."""

from __future__ import annotations

from lineage.matching import Matching

from .ratio import precision_recall_f1

SPLIT, ADD_CELL, DROP_CELL = 5.0, 10.0, 1.0  # the weights of the Cell Tracking Challenge
DROP_LINK, ADD_LINK, CHANGE_LINK = 1.0, 1.5, 1.0


def acyclic_measures(matching: Matching) -> dict[str, float | int | None]:
    """AOGM, its six error counts, and DET, TRA and LNK, which relate it to the cost of drawing everything by hand.

    NS: splits needed of result cells that cover several truth cells. FN: missed truth cells. FP: result cells that cover
    none. ED: result links between matched cells that the truth has not. EA: truth links to be added. EC: common links that
    are inside a tracklet on one side and to a parent tracklet on the other. Links of result cells that are false or
    cover several truth cells vanish with them and are not counted.

    Matula et al. 2015, "Cell tracking accuracy measurement based on comparison of acyclic oriented graphs".
    """
    truth, edges = matching.truth, matching.edges
    matched, partners = len(matching.truth_cell), matching.partners
    errors = {
        "NS": matched - int((partners > 0).sum()),
        "FN": truth.n_cells - matched,
        "FP": int((partners == 0).sum()),
        "ED": int((edges.judged & ~edges.right).sum()),
        "EA": int((~edges.found).sum()),
        "EC": edges.wrong_kind,
    }
    cells = SPLIT * errors["NS"] + ADD_CELL * errors["FN"] + DROP_CELL * errors["FP"]
    links = DROP_LINK * errors["ED"] + ADD_LINK * errors["EA"] + CHANGE_LINK * errors["EC"]
    all_cells, all_links = ADD_CELL * truth.n_cells, ADD_LINK * len(truth.edges[0])
    return {
        "DET": _saved(cells, all_cells),
        "TRA": _saved(cells + links, all_cells + all_links),
        "LNK": _saved(links, all_links),
        "AOGM": cells + links,
        "AOGM_0": all_cells + all_links,
        **errors,
    }


def link_measures(matching: Matching) -> dict[str, float | int | None]:
    """Precision, recall and F1 of links.

    A link of the result is right when both its ends are matched to one truth cell each and the truth has the link between
    those two, whatever its kind. Links across a gap are right only if both sides skip the same frames.
    """
    right = int(matching.edges.right.sum())
    names = ("edge_precision", "edge_recall", "edge_f1")
    return dict(zip(names, precision_recall_f1(right, len(matching.result.edges[0]), len(matching.truth.edges[0])), strict=True))


def _saved(cost: float, from_scratch: float) -> float | None:
    """Share of the work that the result saves: 1 when nothing is left to do, 0 when starting anew is no dearer."""
    return 1 - min(cost, from_scratch) / from_scratch if from_scratch else None
