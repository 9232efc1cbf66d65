"""HOTA, CHOTA, IDF1, MOTA: whether a cell keeps its name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csr_array, eye_array

from lineage.arrays import FloatArray, IntArray
from lineage.matching import Matching, Paths, best_pairs

from .ratio import precision_recall_f1, ratio


@dataclass(frozen=True, eq=False)
class Encounters:
    """How often each truth cell (from birth to division or end, gaps bridged) met each result cell.

    Attributes:
        row, column, count: Pairs that met, and in how many frames; int (p,).
        missed: Frames in which each truth cell met none; int (a,).
        spare: Frames in which each result cell met none; int (b,).
    """

    row: IntArray
    column: IntArray
    count: IntArray
    missed: IntArray
    spare: IntArray

    @classmethod
    def of(cls, matching: Matching) -> Encounters:
        """Count them."""
        truth, result = matching.truth.whole, matching.result.whole
        a, b = len(truth.parent), len(result.parent)
        key = truth.of_cell[matching.truth_cell] * max(b, 1) + result.of_cell[matching.result_cell]
        pair, count = np.unique(key, return_counts=True)
        alone = np.ones(matching.truth.n_cells, bool)
        alone[matching.truth_cell] = False
        missed = np.bincount(truth.of_cell[alone], minlength=a)
        spare = np.bincount(result.of_cell[matching.partners == 0], minlength=b)
        return cls(pair // max(b, 1), pair % max(b, 1), count, missed, spare)

    @property
    def truth_total(self) -> FloatArray:
        """Encounters and misses of each truth cell; float (a,)."""
        return _sums(self.row, self.count, len(self.missed)) + self.missed

    @property
    def result_total(self) -> FloatArray:
        """Encounters and spare frames of each result cell; float (b,)."""
        return _sums(self.column, self.count, len(self.spare)) + self.spare

    @property
    def total(self) -> int:
        """Encounters, misses and spare frames of all."""
        return int(self.count.sum() + self.missed.sum() + self.spare.sum())


def _sums(group: IntArray, count: IntArray, n: int) -> FloatArray:
    return np.bincount(group, weights=count, minlength=n).astype(np.float64)


def hota_measures(matching: Matching) -> dict[str, float | int | None]:
    """HOTA and CHOTA: detection and association in one number.

    HOTA asks of every match how well the two cells agree over their whole lives; CHOTA asks the same of the cells together
    with all their ancestors and descendants.

    Luiten et al. 2020, "HOTA: a higher order metric for evaluating multi-object tracking";
    Kaiser et al. 2024, "CHOTA: a higher order accuracy metric for cell tracking".
    """
    met = Encounters.of(matching)
    shape = len(met.missed), len(met.spare)
    alone = [eye_array(n, dtype=np.int64, format="csr") for n in shape]
    kin = [relatives(side.whole) for side in (matching.truth, matching.result)]
    return {"HOTA": _association(met, alone[0], alone[1]), "CHOTA": _association(met, kin[0], kin[1])}


def _association(met: Encounters, kin: csr_array, other_kin: csr_array) -> float | None:
    if not met.total:
        return None
    table = coo_array((met.count, (met.row, met.column)), shape=(len(met.missed), len(met.spare))).tocsr()
    # Encounters of the kin of one with the kin of the other, only for pairs that met: the whole product would be full, as
    # everybody in a tree is kin to its root.
    shared = np.asarray((kin @ table)[met.row].multiply(other_kin[met.column]).sum(axis=1)).ravel()
    union = (kin @ met.truth_total)[met.row] + (other_kin @ met.result_total)[met.column] - shared
    return float(np.sqrt((met.count * shared / union).sum() / met.total))


def relatives(paths: Paths) -> csr_array:
    """Which paths are ancestor and descendant, or the same; 0 or 1, sparse (c, c)."""
    n = len(paths.parent)
    young = old = np.arange(n)
    rows, columns = [young], [old]
    while len(young):  # once a generation
        old = paths.parent[old]
        young, old = young[old >= 0], old[old >= 0]
        rows += [young, old]
        columns += [old, young]
    row, column = np.concatenate(rows), np.concatenate(columns)
    return coo_array((np.ones(len(row), np.int64), (row, column)), shape=(n, n)).tocsr()


def identity_measures(matching: Matching) -> dict[str, float | int | None]:
    """IDF1 (with IDP, IDR): frames rightly named, when each truth cell may be given the name of one result cell.

    Ristani et al. 2016, "Performance measures and a data set for multi-target, multi-camera tracking".
    """
    met = Encounters.of(matching)
    shape = len(met.missed), len(met.spare)
    table = coo_array((met.count, (met.row, met.column)), shape=shape).tocsr()
    row, column = best_pairs(met.row, met.column, met.count, shape)
    hits = int(np.asarray(table[row, column]).sum()) if len(row) else 0
    precision, recall, f1 = precision_recall_f1(hits, int(met.result_total.sum()), int(met.truth_total.sum()))
    return {"IDF1": f1, "IDP": precision, "IDR": recall}


def clear_measures(matching: Matching) -> dict[str, float | int | None]:
    """MOTA and what it is made of, and the shares of truth cells mostly tracked (MT) and mostly lost (ML).

    IDSW: a truth cell, when next matched, is matched to another result cell than before. multi_assignments: truth cells
    beyond the first under one result cell; these are also what keeps MOTA from rewarding undersegmentation. MT: one result cell
    follows the truth cell in at least 80 % of its frames; ML: none does in 20 %.

    Bernardin & Stiefelhagen 2008, "Evaluating multiple object tracking performance: the CLEAR MOT metrics".
    """
    met = Encounters.of(matching)
    truth, result = matching.truth, matching.result
    order = np.lexsort((truth.frame[matching.truth_cell], truth.whole.of_cell[matching.truth_cell]))
    mine = truth.whole.of_cell[matching.truth_cell[order]]
    yours = result.whole.of_cell[matching.result_cell[order]]
    switches = int(((np.diff(mine) == 0) & (np.diff(yours) != 0)).sum())
    extra = int(np.maximum(matching.partners - 1, 0).sum())
    errors = int(met.missed.sum() + met.spare.sum()) + switches + extra
    best = np.zeros(len(met.missed))
    np.maximum.at(best, met.row, met.count)
    share = best / met.truth_total
    return {
        "MOTA": 1 - errors / truth.n_cells if truth.n_cells else None,
        "IDSW": switches,
        "multi_assignments": extra,
        "MT": ratio(int((share >= 0.8).sum()), len(share)),
        "ML": ratio(int((share < 0.2).sum()), len(share)),
    }
