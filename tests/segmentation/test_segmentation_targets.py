"""What the network must say, on pictures small enough to check by eye."""

import re

import numpy as np
import pytest

from segmentation.flooding import distance_inside
from segmentation.targets import boundaries, depth, targets


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
