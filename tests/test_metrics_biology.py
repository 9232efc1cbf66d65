"""CT, TF, CCA and completeness, counted by hand."""

from __future__ import annotations

import pytest
from matched import matched

from lineage.metrics import biological_measures, completeness

DIVISION = [[1, 0, 1, 0], [2, 2, 3, 1], [3, 2, 3, 1]]


def test_complete_tracks_count_both_ways():
    assert biological_measures(matched(DIVISION, DIVISION))["CT"] == 1.0
    assert biological_measures(matched(DIVISION, DIVISION[:2]))["CT"] == 2 * 2 / 5
    longer = [[1, 0, 1, 0], [2, 2, 3, 1], [3, 1, 3, 0]]  # begins a frame early: not the same tracklet
    assert biological_measures(matched(DIVISION, longer))["CT"] == 2 * 2 / 6
    assert biological_measures(matched(DIVISION, []))["CT"] == 0.0
    assert biological_measures(matched([], DIVISION))["CT"] == 0.0
    assert biological_measures(matched([], []))["CT"] is None


def test_complete_tracks_are_not_shared():
    assert biological_measures(matched(DIVISION, DIVISION[:2], {(3, 3): 2}))["CT"] == 2 * 1 / 5


def test_track_fractions_are_longest_stretches_of_what_was_found():
    truth = [[1, 0, 9, 0], [2, 0, 9, 0], [3, 0, 9, 0]]
    cut = {(4, 1): None} | {(t, 2): 5 for t in range(7, 10)}
    result = [[1, 0, 9, 0], [2, 0, 6, 0], [5, 7, 9, 0]]
    assert biological_measures(matched(truth, result, cut))["TF"] == pytest.approx((5 / 10 + 7 / 10) / 2)
    assert biological_measures(matched(truth, [[9, 0, 1, 0]]))["TF"] == 0.0


def test_track_fractions_keep_the_order_of_the_challenge():
    truth = [[1, 0, 1, 0], [2, 2, 5, 0]]  # one result tracklet follows both: it counts for the first that it follows whole
    cover = {(t, 2): 1 for t in range(2, 5)}
    assert biological_measures(matched(truth, [[1, 0, 4, 0]], cover))["TF"] == 1.0
    swapped = [[2, 0, 1, 0], [1, 2, 5, 0]]
    cover = {(0, 2): 1, (1, 2): 1, (5, 1): None}
    assert biological_measures(matched(swapped, [[1, 0, 4, 0]], cover))["TF"] == pytest.approx((1 + 3 / 4) / 2)


def test_cell_cycles_need_a_birth_and_a_division():
    truth = [[1, 0, 1, 0], [2, 2, 5, 1], [3, 2, 9, 1], [4, 6, 9, 2], [5, 6, 9, 2]]  # tracklet 2 alone is a whole cycle, length 3
    assert biological_measures(matched(truth, truth))["CCA"] == 1.0
    longer = [[1, 0, 1, 0], [2, 2, 6, 1], [3, 2, 9, 1], [4, 7, 9, 2], [5, 7, 9, 2]]
    assert biological_measures(matched(truth, longer))["CCA"] == 0.0
    assert biological_measures(matched(truth, DIVISION))["CCA"] == 0.0
    assert biological_measures(matched(DIVISION, truth))["CCA"] is None
    two = [*truth, [11, 0, 1, 0], [12, 2, 6, 11], [13, 2, 9, 11], [14, 7, 9, 12], [15, 7, 9, 12]]
    assert biological_measures(matched(truth, two))["CCA"] == 0.5


LINEAGES = [*DIVISION, [4, 0, 3, 0]]


@pytest.mark.parametrize(
    ("result", "cover", "complete", "reproduced", "tracklets"),
    [
        (LINEAGES, {}, 2, 2, 4),
        ([*DIVISION, [4, 0, 4, 0]], {}, 1, 2, 4),  # goes on beyond the truth
        ([*DIVISION, [5, 0, 0, 0], [4, 1, 3, 5]], {(0, 4): 5}, 2, 2, 3 + 1),  # cut without a gap: the same cells, the same links
        ([*DIVISION, [4, 0, 3, 0], [5, 2, 3, 0]], {}, 2, 2, 4),  # a stranger harms nobody
        ([*DIVISION, [4, 0, 1, 0], [6, 2, 3, 4], [5, 2, 3, 4]], {(2, 4): 6, (3, 4): 6}, 1, 1, 3),  # a false daughter in the middle
        ([*DIVISION, [4, 0, 3, 0], [5, 4, 4, 4], [6, 4, 4, 4]], {}, 1, 1, 4),  # a false division after the end
        ([[1, 0, 1, 0], [2, 2, 3, 0], [3, 2, 3, 0], [4, 0, 3, 0]], {}, 1, 1, 4),  # the division missed
        ([[1, 0, 1, 0], [2, 2, 3, 1], [3, 2, 3, 1], [4, 0, 2, 0]], {}, 1, 1, 3),  # the last cell missed
        ([[1, 0, 1, 0], [2, 2, 3, 1], [3, 2, 3, 1], [9, 1, 3, 0]], {(1, 4): 9, (2, 4): 9, (3, 4): 9}, 1, 1, 3),  # the first missed
        ([], {}, 0, 0, 0),
    ],
)
def test_complete_from_beginning_to_end(result, cover, complete, reproduced, tracklets):
    scores = completeness(matched(LINEAGES, result, cover))
    assert scores["n_complete_lineages"] == complete
    assert scores["n_reproduced_lineages"] == reproduced
    assert scores["n_complete_tracklets"] == tracklets
    assert scores["complete_lineages"] == complete / 2


def test_a_false_parent_of_the_root_is_attached():
    truth, result = [[1, 2, 4, 0]], [[9, 0, 1, 0], [1, 2, 4, 9]]
    scores = completeness(matched(truth, result))
    assert (scores["complete_lineages"], scores["reproduced_lineages"]) == (0.0, 1.0)


def test_nothing_to_complete():
    scores = completeness(matched([], DIVISION))
    assert (scores["complete_lineages"], scores["complete_tracklets"], scores["n_truth_lineages"]) == (None, None, 0)
