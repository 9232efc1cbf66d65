"""Scores of hand-made cases, and against the plain definition on random ones."""

import re

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from segmentation.quality import THRESHOLDS, count, dice, overlaps, scores, seg

TRUTH = np.zeros((10, 20), np.int32)
TRUTH[1:5, 1:5] = 3  # 16 pixels
TRUTH[1:5, 8:12] = 900_000  # 16 pixels
TRUTH[6:9, 1:5] = 7  # 12 pixels

RESULT = np.zeros_like(TRUTH)
RESULT[1:5, 1:5] = 1  # IoU 1
RESULT[1:5, 9:12] = 2  # IoU 12 / 16
RESULT[6:9, 14:18] = 5  # a phantom


def test_counts_by_hand():
    c = count(TRUTH, RESULT, (0.5, 0.75, 0.8))
    assert c.hits.tolist() == [2, 2, 1]
    assert c.wrong.tolist() == [1, 1, 2]
    assert c.missed.tolist() == [1, 1, 2]
    assert c.ap == pytest.approx([2 / 4, 2 / 4, 1 / 5])
    assert c.f1 == pytest.approx([4 / 6, 4 / 6, 2 / 6])
    assert c.pq == pytest.approx([1.75 / 3, 1.75 / 3, 1 / 3])


def test_seg_by_hand():
    assert seg([(TRUTH, RESULT)]) == pytest.approx((1 + 0.75 + 0) / 3)


def test_seg_needs_more_than_half_of_the_true_cell_and_forgives_phantoms():
    half, more = TRUTH.copy(), TRUTH.copy()
    half[1:5, 1:3] = 0
    more[1:2, 1:5] = 0
    assert seg([(TRUTH, half)]) == pytest.approx(2 / 3)
    assert seg([(TRUTH, more)]) == pytest.approx((2 + 0.75) / 3)
    phantom = TRUTH.copy()
    phantom[6:9, 14:18] = 99
    assert seg([(TRUTH, phantom)]) == 1


def test_seg_pools_cells_over_pictures_and_is_nan_without_cells():
    empty = np.zeros_like(TRUTH)
    assert seg([(TRUTH, RESULT), (empty, RESULT)]) == seg([(TRUTH, RESULT)])
    assert np.isnan(seg([(empty, RESULT)]))


def test_perfect_whatever_the_numbers():
    other = np.where(TRUTH > 0, TRUTH % 11 + 40, 0)
    c = count(TRUTH, other)
    assert (c.ap == 1).all() and (c.pq == 1).all() and seg([(TRUTH, other)]) == 1


@pytest.mark.parametrize(("truth", "result", "ap"), [(0, 0, 1), (0, 1, 0), (1, 0, 0)])
def test_empty_pictures(truth, result, ap):
    c = count(np.full((3, 3), truth), np.full((3, 3), result))
    assert (c.ap == ap).all() and (c.f1 == ap).all() and (c.pq == ap).all()


def test_two_halves_of_one_cell_are_one_hit():
    truth = np.ones((2, 4), int)
    result = np.array([[1, 1, 2, 2]] * 2)
    for a, b in ((truth, result), (result, truth)):
        c = count(a, b, (0.5,))
        assert c.hits == 1 and c.wrong + c.missed == 1


def test_unknown_pixels_are_left_out_of_everything():
    truth = TRUTH.copy()
    truth[:, 13:] = -1
    c = count(truth, RESULT, (0.5,))
    assert (c.hits, c.wrong, c.missed) == (2, 0, 1)


@pytest.mark.parametrize("seed", range(5))
def test_equals_the_definition_on_random_labels(seed):
    rng = np.random.default_rng(seed)
    truth, result = rng.integers(0, 4, (2, 6, 6))
    truth, result = np.repeat(truth, 2, 1), np.repeat(np.where(rng.random((6, 6)) < 0.8, truth, result), 2, 1)
    hits = sum(((truth == a) & (result == b)).sum() / ((truth == a) | (result == b)).sum() >= 0.6 for a in range(1, 4) for b in range(1, 4))
    assert count(truth, result, (0.6,)).hits == hits


def test_joint_histogram():
    table = overlaps(np.array([[0, 5, 5, -1]]), np.array([[2, 2, 9, 9]])).toarray()
    assert table.tolist() == [[0, 1, 0], [0, 1, 1]]


def test_pooled_and_per_image_differ_as_defined():
    one = np.zeros((4, 12), int)
    one[1:3, 1:3] = 1
    many = np.zeros((4, 12), int)
    for i in range(3):
        many[1:3, 1 + 4 * i : 3 + 4 * i] = i + 1
    table = scores([(one, one), (many, np.zeros_like(many))])
    assert table["ap_image_0.50"] == table["ap_image_mean"] == 0.5
    assert table["ap_pooled_0.50"] == table["ap_pooled_mean"] == 0.25
    assert len(THRESHOLDS) == 10 and THRESHOLDS[-1] == 0.95 and "pq_pooled_0.95" in table
    assert scores([]) == {}


def best_matching(truth, result, threshold):
    """The notes' definition, word for word: IoU of every pair, one-to-one by the Hungarian method."""
    a, b = (np.unique(x[x > 0]) for x in (truth, result))
    iou = np.array([[((truth == i) & (result == j)).sum() / ((truth == i) | (result == j)).sum() for j in b] for i in a])
    iou = iou.reshape(len(a), len(b))
    rows, columns = linear_sum_assignment(-(iou >= threshold).astype(float) - iou / (2 * max(min(iou.shape), 1)))
    good = iou[rows, columns] >= threshold
    hits = int(good.sum())
    return hits, len(b) - hits, len(a) - hits, float(iou[rows, columns][good].sum())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.9])
def test_ap_f1_and_pq_equal_the_definition_by_the_hungarian_method(seed, threshold):
    rng = np.random.default_rng(seed)
    truth = np.kron(rng.integers(0, 9, (4, 5)), np.ones((4, 4), int))
    result = np.where(rng.random(truth.shape) < 0.12 * (seed + 1), np.roll(truth, 1, 1), truth * 7)
    hits, wrong, missed, iou = best_matching(truth, result, threshold)
    c = count(truth, result, (threshold,))
    assert (c.hits, c.wrong, c.missed, c.iou) == (hits, wrong, missed, pytest.approx(iou))
    assert c.ap == pytest.approx(hits / (hits + wrong + missed))
    assert c.f1 == pytest.approx(2 * hits / (2 * hits + wrong + missed))
    assert c.pq == pytest.approx(iou / (hits + wrong / 2 + missed / 2))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
@pytest.mark.parametrize("factor", [1, 20])
def test_the_joint_histogram_is_the_same_for_low_and_high_numbers_and_every_type(dtype, factor):
    rng = np.random.default_rng(0)
    truth, result = rng.integers(0, 12, (2, 3, 4, 5))
    expected = [[((truth == a) & (result == b)).sum() for b in np.unique([0, *result.flat])] for a in np.unique([0, *truth.flat])]
    assert overlaps((truth * factor).astype(dtype), result.astype(dtype)).toarray().tolist() == expected
    assert overlaps(truth * 10**12 * factor, result).toarray().tolist() == expected


def test_dice_by_hand():
    truth = np.array([[0, 1, 1, 1, 2, 2, 0, -1]])
    result = np.array([[0, 1, 1, 2, 2, 0, 0, 2]])
    table = dice([(truth, result)])
    assert table["dice_pooled_1"] == table["dice_image_1"] == pytest.approx(2 * 2 / (3 + 2))
    assert table["dice_pooled_2"] == pytest.approx(2 * 1 / (2 + 2))
    assert table["dice_pooled_mean"] == pytest.approx((4 / 5 + 1 / 2) / 2)


def test_dice_pooled_and_per_image_differ_as_defined_and_absent_classes_are_no_fault():
    full, none = np.ones((2, 3), int), np.zeros((2, 3), int)
    table = dice([(full, full), (full, none), (none, none)])
    assert table["dice_image_1"] == pytest.approx((1 + 0 + 1) / 3)
    assert table["dice_pooled_1"] == pytest.approx(2 * 6 / (12 + 6))
    assert dice([(none, none)])["dice_pooled_mean"] == dice([(none, none)], [1, 2])["dice_image_2"] == 1
    assert dice([(full, full)], [1, 5]) == dice([(full, full)]) | {"dice_pooled_5": 1, "dice_image_5": 1}
    assert dice([(full, none)])["dice_pooled_mean"] == 0 and dice([]) == {}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: count(a, a, (0.3,)), "thresholds are (0.3,): give numbers in 0.5..1"),
        (lambda a: count(a, a[1:]), "truth has shape (10, 20) and result (9, 20): give one shape"),
        (lambda a: count(a * 1.0, a), "truth has dtype float64: give integer labels"),
        (lambda a: dice([(a, a[1:])]), "truth has shape (10, 20) and result (9, 20): give one shape"),
        (lambda a: seg([(a, a * 1.0)]), "result has dtype float64: give integer labels"),
        (
            lambda a: count(a, a, (0.5,)) + count(a, a, (0.6,)),
            "thresholds differ: (0.5,) and (0.6,): count both alike",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call(TRUTH)
