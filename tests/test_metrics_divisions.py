"""Divisions found, missed, early and late, counted by hand."""

from __future__ import annotations

import pytest
from matched import matched

from lineage.metrics import branching_measures, division_measures, measures

TRUTH = [[1, 0, 3, 0], [2, 4, 8, 1], [3, 4, 8, 1]]
LATE = [[1, 0, 4, 0], [2, 5, 8, 1], [3, 5, 8, 1]], {(4, 2): 1, (4, 3): None}  # one frame late; the mother covers a daughter
EARLY = [[1, 0, 2, 0], [2, 3, 8, 1], [3, 3, 8, 1]], {(3, 1): 2}


def test_exact():
    scores = division_measures(matched(TRUTH, TRUTH)) | branching_measures(matched(TRUTH, TRUTH))
    assert {scores[name] for name in ("division_precision", "division_recall", "division_f1", "division_f1_1", "BC0", "BC3")} == {1.0}


@pytest.mark.parametrize("shifted", [LATE, EARLY])
def test_one_frame_off(shifted):
    matching = matched(TRUTH, *shifted)
    scores = division_measures(matching) | branching_measures(matching)
    assert (scores["division_f1"], scores["BC0"]) == (0.0, 0.0)
    assert (scores["division_f1_1"], scores["BC1"]) == (1.0, 1.0)


def test_two_frames_off():
    late = [[1, 0, 5, 0], [2, 6, 8, 1], [3, 6, 8, 1]]
    cover = {(4, 2): 1, (5, 2): 1, (4, 3): None, (5, 3): None}
    scores = branching_measures(matched(TRUTH, late, cover))
    assert [scores[f"BC{i}"] for i in range(4)] == [0.0, 0.0, 1.0, 1.0]
    assert division_measures(matched(TRUTH, late, cover))["division_f1_1"] == 0.0


@pytest.mark.parametrize(
    ("result", "cover"),
    [
        ([[1, 0, 3, 0], [2, 4, 8, 1], [9, 4, 8, 1]], {}),  # a wrong daughter
        ([[1, 0, 3, 0], [2, 4, 8, 1], [3, 4, 8, 1]], {(3, 1): None}),  # the mother missed when she divides
        ([[1, 0, 3, 0], [2, 4, 8, 1], [3, 4, 8, 1], [4, 4, 8, 1]], {}),  # three daughters
        ([[1, 0, 3, 0], [2, 4, 8, 1], [3, 5, 8, 0]], {}),  # one daughter
        ([[1, 0, 3, 0], [2, 4, 8, 1], [3, 4, 8, 1]], {(4, 3): 2}),  # daughters under one mask
    ],
)
def test_not_the_same_division(result, cover):
    scores = division_measures(matched(TRUTH, result, cover)) | branching_measures(matched(TRUTH, result, cover))
    assert (scores["division_recall"], scores["division_tp"], scores["BC0_tp"]) == (0.0, 0, 0)


def test_swapped_daughters_are_daughters():
    assert division_measures(matched(TRUTH, TRUTH, {(t, a): b for t in range(4, 9) for a, b in ((2, 3), (3, 2))}))["division_f1"] == 1.0


def test_three_daughters_found():
    three = [*TRUTH, [4, 4, 8, 1]]
    assert division_measures(matched(three, three))["division_f1"] == 1.0
    assert division_measures(matched(three, TRUTH))["division_f1"] == 0.0


def test_precision_and_recall():
    result = [*TRUTH, [11, 0, 3, 0], [12, 4, 8, 11], [13, 4, 8, 11]]
    scores = division_measures(matched(TRUTH, result))
    assert (scores["division_precision"], scores["division_recall"], scores["division_f1"]) == (0.5, 1.0, 2 / 3)
    scores = division_measures(matched(result, TRUTH))
    assert (scores["division_precision"], scores["division_recall"], scores["division_f1"]) == (1.0, 0.5, 2 / 3)


def test_undefined_without_divisions():
    lone = [[1, 0, 3, 0]]
    scores = division_measures(matched(lone, lone)) | branching_measures(matched(lone, lone))
    assert [scores[name] for name in ("division_precision", "division_recall", "division_f1", "BC0")] == [None] * 4
    scores = division_measures(matched(lone, TRUTH)) | branching_measures(matched(lone, TRUTH))
    assert [scores[name] for name in ("division_precision", "division_recall", "division_f1", "BC0")] == [0.0, None, 0.0, None]
    scores = division_measures(matched(TRUTH, lone)) | branching_measures(matched(TRUTH, lone))
    assert [scores[name] for name in ("division_precision", "division_recall", "division_f1", "BC0")] == [None, 0.0, 0.0, 0.0]


def test_a_single_child_is_no_division():
    gap = [[1, 0, 3, 0], [2, 6, 8, 1]]
    assert measures(matched(gap, gap))["n_truth_divisions"] == 0


def test_a_gap_in_the_life_of_a_mother_or_daughter_hides_no_division():
    result = [[1, 0, 1, 0], [5, 3, 3, 1], [2, 4, 4, 5], [6, 7, 8, 2], [3, 4, 8, 5]]  # mother missed in 2, daughter 2 in 5 and 6
    cover = {(2, 1): None, (3, 1): 5, (7, 2): 6, (8, 2): 6}
    assert division_measures(matched(TRUTH, result, cover))["division_f1"] == 1.0
    late = [[1, 0, 3, 0], [2, 4, 4, 1], [6, 5, 8, 2], [3, 5, 8, 1]]  # daughter 3 a frame late, when 2 goes by another name
    cover = {(t, 2): 6 for t in range(5, 9)} | {(4, 3): None}
    assert division_measures(matched(TRUTH, late, cover))["division_f1_1"] == 1.0


def test_a_division_is_counted_once():
    # The truth divides twice in a row, the result once: within one frame it could pass for either.
    truth = [[1, 0, 3, 0], [2, 4, 4, 1], [3, 4, 8, 1], [4, 5, 8, 2], [5, 5, 8, 2]]
    result = [[1, 0, 3, 0], [2, 4, 8, 1], [3, 4, 8, 1]]
    cover = {(t, 4): 2 for t in range(5, 9)}
    scores = division_measures(matched(truth, result, cover))
    assert (scores["division_tp"], scores["division_tp_1"]) == (1, 1)
