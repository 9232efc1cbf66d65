"""AOGM, DET, TRA, LNK and links, counted by hand."""

from __future__ import annotations

import re

import numpy as np
import pytest
from matched import matched

from lineage.matching import Tracks
from lineage.metrics import acyclic_measures, link_measures

ERRORS = ("NS", "FN", "FP", "ED", "EA", "EC")
DIVISION = [[1, 0, 1, 0], [2, 2, 3, 1], [3, 2, 3, 1]]  # 6 cells, 3 links inside tracklets, 2 to the mother


def errors(*sides):
    scores = acyclic_measures(matched(*sides))
    return [scores[name] for name in ERRORS]


@pytest.mark.parametrize(
    ("result", "cover", "wrong"),
    [
        (DIVISION, {}, [0, 0, 0, 0, 0, 0]),
        ([], {}, [0, 6, 0, 0, 5, 0]),
        ([[1, 0, 1, 0], [2, 2, 3, 1], [3, 2, 2, 1]], {}, [0, 1, 0, 0, 1, 0]),  # a cell missed at the end
        ([*DIVISION, [4, 1, 2, 0]], {}, [0, 0, 2, 0, 0, 0]),  # two false cells: the link between them goes with them
        ([[1, 0, 1, 0], [2, 2, 3, 1]], {(2, 3): 2, (3, 3): 2}, [2, 0, 0, 0, 4, 0]),  # daughters in one mask
        ([[1, 0, 1, 0], [2, 2, 3, 0], [3, 2, 3, 0]], {}, [0, 0, 0, 0, 2, 0]),  # the division missed
        ([[1, 0, 3, 0], [3, 2, 3, 0]], {(2, 2): 1, (3, 2): 1}, [0, 0, 0, 0, 1, 1]),  # one daughter goes by the name of the mother
        (DIVISION, {(3, 2): 3, (3, 3): 2}, [0, 0, 0, 2, 2, 0]),  # daughters swapped in the last frame
        ([[1, 0, 0, 0], [9, 1, 1, 1], [2, 2, 3, 9], [3, 2, 3, 9]], {(1, 1): 9}, [0, 0, 0, 0, 0, 1]),  # a cut without need
    ],
)
def test_errors_counted_by_hand(result, cover, wrong):
    assert errors(DIVISION, result, cover) == wrong


def test_weights_are_those_of_the_challenge():
    result = [[1, 0, 1, 0], [2, 2, 3, 1], [3, 2, 2, 1], [4, 0, 0, 0]]
    scores = acyclic_measures(matched(DIVISION, result))
    assert scores["AOGM"] == 10 + 1 + 1.5
    assert scores["AOGM_0"] == 6 * 10 + 5 * 1.5
    assert scores["DET"] == pytest.approx(1 - 11 / 60)
    assert scores["LNK"] == pytest.approx(1 - 1.5 / 7.5)
    assert scores["TRA"] == pytest.approx(1 - 12.5 / 67.5)


def test_nothing_is_worse_than_starting_anew():
    noise = [[k, 0, 3, 0] for k in range(4, 40)]
    assert acyclic_measures(matched(DIVISION, noise))["DET"] == 0.0


def test_a_gap_is_a_link_of_its_own():
    truth = [[1, 0, 1, 0], [2, 4, 5, 1]]
    assert errors(truth, truth) == [0] * 6
    assert errors(truth, [[1, 0, 1, 0], [2, 4, 5, 0]]) == [0, 0, 0, 0, 1, 0]
    filled = [[1, 0, 5, 0]]  # the result saw the cell all the time: two false cells, and the link across the gap is gone
    assert errors(truth, filled, {(4, 2): 1, (5, 2): 1}) == [0, 0, 2, 0, 1, 0]


def test_undefined_without_cells_or_links():
    assert acyclic_measures(matched([], []))["TRA"] is None
    lone = acyclic_measures(matched([[1, 0, 0, 0]], [[1, 0, 0, 0]]))
    assert (lone["DET"], lone["LNK"], lone["TRA"]) == (1.0, None, 1.0)


def test_links_in_and_out():
    scores = link_measures(matched(DIVISION, [[1, 0, 1, 0], [2, 2, 3, 1], [3, 2, 2, 1]]))
    assert scores == {"edge_precision": 1.0, "edge_recall": 4 / 5, "edge_f1": 8 / 9}
    scores = link_measures(matched(DIVISION, [*DIVISION, [4, 0, 3, 0]]))
    assert (scores["edge_precision"], scores["edge_recall"]) == (5 / 8, 1.0)
    assert link_measures(matched(DIVISION, [])) == {"edge_precision": None, "edge_recall": 0.0, "edge_f1": 0.0}
    assert link_measures(matched([], [])) == {"edge_precision": None, "edge_recall": None, "edge_f1": None}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([[0, 0, 1, 0]], "the truth has the tracklet [0, 0, 1, 0], but labels are positive"),
        ([[1, 0, 1, 0], [1, 2, 3, 0]], "the truth has the tracklet [1, 0, 1, 0], but labels are unique"),
        ([[1, 2, 1, 0]], "the truth has the tracklet [1, 2, 1, 0], but 0 <= first frame <= last frame"),
        ([[1, 0, 1, 7]], "the truth has the tracklet [1, 0, 1, 7], but a parent has a row of its own"),
        ([[1, 0, 2, 0], [2, 2, 3, 1]], "the truth has the tracklet [2, 2, 3, 1], but its parent ends not before it begins"),
        ([[1, 0, 2, 1]], "the truth has the tracklet [1, 0, 2, 1], but its parent ends not before it begins"),
    ],
)
def test_tables_that_make_no_sense(table, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Tracks(np.array(table), "the truth")
