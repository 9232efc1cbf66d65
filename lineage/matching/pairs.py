"""Matching: truth and result side by side, cell by cell and link by link."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import coo_array, csr_array, hstack
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from lineage.arrays import Array, BoolArray, FloatArray, IntArray

from .tracks import Tracks


@dataclass(frozen=True, eq=False)
class Matching:
    """Truth and result side by side.

    Attributes:
        truth, result: The two sides.
        truth_cell, result_cell: Matched pairs of cells; int (p,). A truth cell has at most one partner; a result cell that
            covers several truth cells (an undersegmented one) has several.
        jaccard: Intersection over union of each reference object of the segmentation truth with its partner, 0 without
            one; float (q,). None where outlines were not compared.
    """

    truth: Tracks
    result: Tracks
    truth_cell: IntArray
    result_cell: IntArray
    jaccard: FloatArray | None = None

    @cached_property
    def partners(self) -> IntArray:
        """Number of truth cells that each result cell is matched to; int (n_result,)."""
        return np.bincount(self.result_cell, minlength=self.result.n_cells)

    @cached_property
    def image(self) -> IntArray:
        """The result cell of each truth cell, -1 where it has none or one shared with others; int (n_truth,)."""
        return self._map(self.truth_cell, self.result_cell, self.truth.n_cells)

    @cached_property
    def preimage(self) -> IntArray:
        """The truth cell of each result cell, -1 where it has none or several; int (n_result,)."""
        return self._map(self.result_cell, self.truth_cell, self.result.n_cells)

    def _map(self, source: IntArray, target: IntArray, n: int) -> IntArray:
        single = self.partners[self.result_cell] == 1
        table = np.full(n, -1)
        table[source[single]] = target[single]
        return table

    @cached_property
    def edges(self) -> EdgeMatching:
        """Which links of the truth are in the result, and the other way round."""
        source, target, link = self.truth.edges
        here = self.preimage[self.result.edges[0]], self.preimage[self.result.edges[1]]
        judged = (here[0] >= 0) & (here[1] >= 0)
        n = self.truth.n_cells
        key, other = source * n + target, np.where(judged, here[0] * n + here[1], -1)
        found, right = np.isin(key, other), np.isin(other, key)
        kind = link[found][np.argsort(key[found])] != self.result.edges[2][right][np.argsort(other[right])]
        return EdgeMatching(found, right, judged, int(kind.sum()))


@dataclass(frozen=True, eq=False)
class EdgeMatching:
    """Links side by side.

    Attributes:
        found: Which links of the truth are in the result; bool (m_truth,).
        right: Which links of the result are in the truth; bool (m_result,).
        judged: Which links of the result have both ends matched to one truth cell each; bool (m_result,).
        wrong_kind: How many common links are inside a tracklet on one side and to a parent tracklet on the other.
    """

    found: BoolArray
    right: BoolArray
    judged: BoolArray
    wrong_kind: int


def best_pairs(row: IntArray, column: IntArray, gain: Array, shape: tuple[int, int]) -> tuple[IntArray, IntArray]:
    """The one-to-one choice among weighted pairs that gains most.

    Args:
        row: One end of each pair; int (p,).
        column: The other; int (p,).
        gain: What each is worth; (p,), positive.
        shape: Number of rows and of columns.

    Returns:
        The rows and the columns of the chosen pairs; int (q,).
    """
    if not len(row):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    # Every row gets a column of its own that is worth nothing, so that a matching of all rows exists; as zeros are no entries
    # of a sparse matrix, 1 is added to all worths, which changes every complete matching by the same amount.
    pairs: csr_array = coo_array((np.asarray(gain, float) + 1, (row, column)), shape=shape).tocsr()
    alone = csr_array((np.ones(shape[0]), (np.arange(shape[0]), np.arange(shape[0]))), shape=(shape[0], shape[0]))
    left, right = min_weight_full_bipartite_matching(csr_array(hstack([pairs, alone])), maximize=True)
    real = right < shape[1]
    return left[real].astype(np.int64), right[real].astype(np.int64)
