"""What the network must say, on pictures small enough to check by eye."""

import re

import numpy as np
import pytest

from segmentation.flooding import distance_inside, fill_holes, flood_without_small, with_seedless
from segmentation.targets import boundaries, centre_and_depth, depth, foreground, narrowness, same_cell, targets


def picture(text):
    return np.array([[int(c) if c != "?" else -1 for c in row] for row in text.split()])


TOUCHING = picture("0000000 0112220 0112220 0000000")


def test_foreground_is_where_a_label_is():
    assert (targets(TOUCHING)[0] == (TOUCHING > 0)).all()


def test_boundary_lies_on_both_sides_of_a_change_of_label():
    labels = picture("000000 000000 001110 001110 001110 000000")
    expected = picture("000000 001110 011111 011011 011111 001110")
    assert (boundaries(labels) == expected).all()


def test_touching_cells_have_a_boundary_between_them():
    assert boundaries(TOUCHING)[1:3, 2:4].all()


def test_no_boundary_against_the_rim_of_the_picture():
    assert not boundaries(np.ones((4, 5), int)).any()


def test_three_dimensions():
    labels = np.zeros((3, 3, 3), int)
    labels[1, 1, 1] = 7
    assert boundaries(labels).sum() == 7  # the voxel and its six face neighbours
    assert targets(labels).shape == (3, 3, 3, 3)


def test_depth_is_one_in_the_middle_of_each_cell_whatever_its_size():
    labels = np.zeros((40, 40), int)
    labels[2:9, 2:9] = 1
    labels[12:33, 12:33] = 70000
    relative = depth(labels)
    assert relative[5, 5] == relative[22, 22] == relative.max() == 1
    assert relative[2, 2] == pytest.approx(1 / 4)
    assert (relative[labels == 0] == 0).all()


def test_depth_is_zero_where_cells_touch():
    labels = np.zeros((9, 13), int)
    labels[1:8, 1:7], labels[1:8, 7:12] = 1, 2
    assert (depth(labels)[1:8, 6:8] == 0).all()
    assert depth(labels)[4, 3] == 1


def test_unknown_pixels_are_minus_one_everywhere_and_make_no_boundary():
    labels = picture("??000 ??110 00110 00000")
    marked = targets(labels)
    assert (marked[:, :2, :2] == -1).all()
    assert (marked[:, labels >= 0] >= 0).all()
    assert not boundaries(picture("??11 ??11")).any()


def test_empty_labels_give_zero_targets():
    assert not targets(np.zeros((4, 4), np.uint16)).any()


def test_labels_must_be_integers():
    message = "labels have dtype float64: give integers, < 0 where the truth is unknown"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        targets(np.zeros((3, 3)))


@pytest.mark.parametrize("spacing", [None, (2.0, 1.0)])
def test_distance_equals_brute_force(spacing):
    rng = np.random.default_rng(0)
    mask = rng.random((9, 11)) < 0.8
    step = np.array(spacing or (1, 1))
    outside = np.argwhere(~mask)
    brute = [[np.sqrt((((outside - (y, x)) * step) ** 2).sum(1).min()) for x in range(11)] for y in range(9)]
    assert distance_inside(mask, spacing) == pytest.approx(np.array(brute), abs=1e-4)


def test_distance_without_any_outside_is_the_longest_side():
    assert (distance_inside(np.ones((3, 5), bool), (4.0, 2.0)) == 12).all()


def test_foreground_knows_three_things():
    assert foreground(picture("?0 92")).tolist() == [[-1, 0], [1, 1]]
    assert foreground(np.array([[0, 65535]], np.uint16)).tolist() == [[0, 1]]


def test_nearness_and_depth_by_hand():
    near, deep = centre_and_depth(picture("0000000 0111110 0111110 0111110 0000000"))
    far = np.hypot(1, 2)
    row = 1 - np.array([2, 1, 0, 1, 2]) / far
    assert near[2, 1:6] == pytest.approx(row)
    assert near[1, 1] == pytest.approx(0) and near[1, 3] == pytest.approx(1 - 1 / far)
    assert deep[1:4, 1:6].tolist() == [[0.5] * 5, [0.5, 1, 1, 1, 0.5], [0.5] * 5]
    assert not near[0].any() and not deep[:, 0].any()


def test_cells_that_touch_have_a_rim_each():
    deep = centre_and_depth(picture("1112222"))[1]
    assert deep == pytest.approx(np.array([[1, 2 / 3, 1 / 3, 1 / 4, 1 / 2, 3 / 4, 1]]))


def test_one_and_two_pixels_are_all_centre():
    assert (centre_and_depth(picture("0500 0000 0077"))[:, [0, 2, 2], [1, 2, 3]] == 1).all()


def test_the_centre_of_a_ring_lies_in_the_ring():
    labels = np.ones((9, 9), int)
    labels[3:6, 3:6] = 0
    labels = np.pad(labels, 2)
    near, deep = centre_and_depth(labels)
    assert near.max() == 1 and labels[np.unravel_index(near.argmax(), near.shape)] == 1
    assert deep[np.unravel_index(near.argmax(), near.shape)] >= 0.5


def test_spacing_stretches_an_axis():
    labels = np.zeros((9, 9), int)
    labels[2:7, 2:7] = 1
    near, deep = centre_and_depth(labels, (4.0, 1.0))
    assert near[4, 2] > near[2, 4] and deep[4, 2] == pytest.approx(1 / 3) and deep[2, 4] == 1
    assert depth(labels, (4.0, 1.0))[2, 4] == 1 > depth(labels)[2, 4]
    assert (targets(labels, (4.0, 1.0))[2] == depth(labels, (4.0, 1.0))).all()


def test_narrowness_by_hand():
    sums = np.array([5, 4, 4, 4, 4, 4, 5.0])  # of both distances: in a cell the first is 0, between cells both add up to the gap
    assert np.allclose(narrowness(picture("1100022"), 3), np.exp(-(sums**2) / 18))
    assert np.allclose(narrowness(picture("1122"), 3), np.exp(-(np.array([2, 1, 1, 2.0]) ** 2) / 18))
    assert not narrowness(picture("110000022"), 1).any()  # the gap is wider than four times the reach


@pytest.mark.parametrize("labels", ["0000000", "1111111", "0110000", "011??0?"])
def test_with_less_than_two_cells_nothing_is_narrow(labels):
    assert not narrowness(picture(labels)).any()


def crowd(seed, shape=(24, 31)):
    """Cells in rings around random places, some of which touch."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(0, shape, (6, len(shape)))
    away = np.array([np.linalg.norm(np.moveaxis(np.indices(shape), 0, -1) - place, axis=-1) for place in places])
    return np.where(away.min(0) <= 5, 7 * away.argmin(0) + 3, 0)


@pytest.mark.parametrize(("shape", "spacing"), [((24, 31), None), ((24, 31), (2.0, 0.5)), ((7, 12, 13), (2.0, 1.0, 1.0))])
def test_narrowness_equals_its_definition(shape, spacing):
    labels = crowd(len(shape), shape)
    away = np.sort([distance_inside(labels != cell, spacing) for cell in np.unique(labels[labels > 0])], axis=0)[:2].sum(0)
    expected = np.where(away <= 8, np.exp(-(away**2) / 8), 0)
    assert np.allclose(narrowness(labels, 2.0, spacing), expected, atol=1e-6) and (expected > 0.3).any()


def test_narrowness_does_not_depend_on_numbers_place_or_unit():
    labels = crowd(1)
    seen = narrowness(labels)
    assert np.array_equal(narrowness(np.where(labels > 0, 100 - labels, 0)), seen)
    assert np.allclose(narrowness(np.pad(labels, 9))[9:-9, 9:-9], seen)
    assert np.allclose(narrowness(labels, 3 * 0.25, (0.25, 0.25)), seen, atol=1e-6)
    assert np.allclose(narrowness(labels[:, ::-1].T), seen[:, ::-1].T)


def test_same_cell_by_hand():
    together = same_cell(picture("1120 11?0"), ((0, 1), (1, 0), (0, -2), (5, 0)))
    assert together[0].tolist() == [[1, 0, 0, -1], [1, -1, -1, -1]]
    assert together[1].tolist() == [[1, 1, -1, 0], [-1] * 4]
    assert together[2].tolist() == [[-1, -1, 0, 0], [-1, -1, -1, 0]]
    assert (together[3] == -1).all()


@pytest.mark.parametrize("offset", [(1, 0), (-2, 1), (0, -3), (4, 4)])
def test_same_cell_equals_its_definition(offset):
    labels = np.random.default_rng(0).integers(-1, 3, (7, 9))
    together = same_cell(labels, (offset,))[0]
    for y, x in np.ndindex(labels.shape):
        b, a = y + offset[0], x + offset[1]
        if not (0 <= b < 7 and 0 <= a < 9) or labels[y, x] < 0 or labels[b, a] < 0:
            assert together[y, x] == -1
        else:
            assert together[y, x] == (labels[y, x] == labels[b, a] > 0)


def test_holes_are_filled_where_one_cell_encloses_them():
    labels = picture("111110 101120 111220 112020 112220 000000")
    assert (fill_holes(labels, 1) == picture("111110 111120 111220 112220 112220 000000")).all()
    assert (fill_holes(labels, 0) == labels).all() and fill_holes(labels, 9).dtype == np.int32
    touching = picture("111222 100002 111222")  # two cells enclose it: whose is it?
    assert (fill_holes(touching, 100) == touching).all()
    assert (fill_holes(picture("011 101 110"), 100) == picture("011 101 110")).all()  # open across a corner
    assert (fill_holes(picture("111 101 101"), 100) == picture("111 101 101")).all()  # open to the rim


def test_small_cells_go_to_those_they_touch_and_parts_without_seed_survive():
    mask = picture("1111111 0000000 1100000") > 0
    seeds = with_seedless(picture("1000002 0000000 0000000"), mask)
    assert seeds.tolist() == [[1, 0, 0, 0, 0, 0, 2], [0] * 7, [4, 4, 0, 0, 0, 0, 0]]
    landscape = np.array([[0, 1, 2, 3, 4, 5, 0]] + [[0] * 7] * 2, float)
    found = flood_without_small(landscape, seeds, mask, 1)
    assert found[0].tolist() == [1, 1, 1, 1, 1, 2, 2] and found[2].tolist() == [3, 3, 0, 0, 0, 0, 0]
    assert flood_without_small(landscape, seeds, mask, 3).tolist() == [[1] * 7, [0] * 7, [0] * 7]
