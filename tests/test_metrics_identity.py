"""HOTA, CHOTA, IDF1, MOTA by hand, and best pairs against brute force."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from matched import matched

from lineage.matching import best_pairs
from lineage.metrics import clear_measures, hota_measures, identity_measures

WHOLE = [[1, 0, 9, 0]]
CUT = [[1, 0, 5, 0], [2, 6, 9, 0]], {(t, 1): 2 for t in range(6, 10)}  # one name for 6 frames, another for 4
DIVISION = [[1, 0, 3, 0], [2, 4, 8, 1], [3, 4, 8, 1]]


def test_a_cell_that_changes_its_name():
    matching = matched(WHOLE, *CUT)
    assert hota_measures(matching)["HOTA"] == pytest.approx(np.sqrt((6 * 6 / 10 + 4 * 4 / 10) / 10))
    assert identity_measures(matching) == {"IDF1": 0.6, "IDP": 0.6, "IDR": 0.6}
    scores = clear_measures(matching)
    assert (scores["MOTA"], scores["IDSW"]) == (1 - 1 / 10, 1)


def test_a_cut_that_is_linked_is_no_change_of_name():
    result, cover = [[1, 0, 5, 0], [2, 6, 9, 1]], CUT[1]
    matching = matched(WHOLE, result, cover)
    assert (hota_measures(matching)["HOTA"], identity_measures(matching)["IDF1"], clear_measures(matching)["MOTA"]) == (1.0, 1.0, 1.0)


def test_chota_asks_for_kin_where_hota_does_not():
    unlinked = [[1, 0, 3, 0], [2, 4, 8, 0], [3, 4, 8, 0]]
    scores = hota_measures(matched(DIVISION, unlinked))
    assert scores["HOTA"] == 1.0
    # Mother: 4 frames, kin of truth 14, kin of result 4. Daughters: 5 frames each, kin of truth 9, of result 5.
    assert scores["CHOTA"] == pytest.approx(np.sqrt((4 * 4 / 14 + 2 * 5 * 5 / 9) / 14))
    assert hota_measures(matched(DIVISION, DIVISION)) == {"HOTA": 1.0, "CHOTA": 1.0}


def test_missed_and_false_cells():
    matching = matched([[1, 0, 3, 0]], [[1, 0, 2, 0], [7, 0, 0, 0]])
    assert hota_measures(matching)["HOTA"] == pytest.approx(np.sqrt(3 * (3 / 4) / 5))
    assert clear_measures(matching)["MOTA"] == 1 - 2 / 4
    assert identity_measures(matching) == {"IDF1": 6 / 8, "IDP": 3 / 4, "IDR": 3 / 4}


def test_two_cells_under_one_mask():
    scores = clear_measures(matched([[1, 0, 1, 0], [2, 0, 1, 0]], [[1, 0, 1, 0]], {(1, 2): 1}))
    assert (scores["multi_assignments"], scores["MOTA"]) == (1, 1 - (1 + 1) / 4)


def test_mostly_tracked_and_mostly_lost():
    truth = [[1, 0, 9, 0], [2, 0, 9, 0], [3, 0, 9, 0], [4, 0, 9, 0]]
    result = [[1, 0, 7, 0], [2, 0, 6, 0], [3, 0, 0, 0]]
    scores = clear_measures(matched(truth, result))
    assert (scores["MT"], scores["ML"]) == (1 / 4, 2 / 4)


def test_undefined_or_nothing():
    empty = matched([], [])
    scores = hota_measures(empty) | identity_measures(empty) | clear_measures(empty)
    assert {name for name, value in scores.items() if value is not None} == {"IDSW", "multi_assignments"}
    missed = matched(DIVISION, [])
    assert hota_measures(missed) == {"HOTA": 0.0, "CHOTA": 0.0}
    assert identity_measures(missed) == {"IDF1": 0.0, "IDP": None, "IDR": 0.0}
    assert clear_measures(missed)["MOTA"] == 0.0
    assert clear_measures(matched([], DIVISION))["MOTA"] is None


def test_best_pairs_against_every_assignment():
    rng = np.random.default_rng(3)
    for _ in range(60):
        a, b = rng.integers(1, 5, 2)
        gain = rng.integers(1, 9, (a, b)) * (rng.random((a, b)) < 0.6)
        row, column = np.nonzero(gain)
        left, right = best_pairs(row, column, gain[row, column], (a, b))
        wide = np.zeros((a, a + b), int)
        wide[:, :b] = gain
        best = max(wide[np.arange(a), list(order)].sum() for order in permutations(range(a + b), int(a)))
        assert gain[left, right].sum() == best
        assert (gain[left, right] > 0).all()
        assert len(set(left.tolist())) == len(left) == len(set(right.tolist()))
