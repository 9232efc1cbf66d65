"""The segmentation that needs no training."""

import re

import numpy as np
import pytest

from segmentation import classical
from segmentation.quality import count


def test_discs_are_found(make_discs):
    for seed in range(3):
        image, labels = make_discs(np.random.default_rng(seed), side=128, count=10, gap=2)
        found = classical(image, sigma=2, apart=8)
        assert found.dtype == np.int32
        assert (count(labels, found, (0.7,)).ap == 1).all()


def test_touching_discs_are_parted_and_the_distance_does_it():
    rows, columns = np.indices((40, 60))
    image = ((np.hypot(rows - 20, columns - 20) < 11) | (np.hypot(rows - 20, columns - 38) < 9)).astype(float)
    assert classical(image).max() == 2
    assert classical(image, apart=30).max() == 1


def test_a_sloping_ground_needs_the_local_threshold():
    rows, columns = np.indices((100, 200))
    image = columns / 50.0
    centres = [(50, 20), (50, 70), (50, 120), (50, 180)]
    for y, x in centres:
        image = image + np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 50)
    assert classical(image).max() < 4 or (classical(image) > 0).mean() > 0.3
    found = classical(image, local=15)
    assert all(found[centre] > 0 for centre in centres)
    assert len({int(found[centre]) for centre in centres}) == 4 and (found > 0).mean() < 0.15


@pytest.mark.parametrize("scale", [(1.0, 1.0, 1.0), (4.0, 1.0, 1.0)])
def test_two_balls_in_space_with_anisotropic_voxels(scale):
    z, y, x = np.indices((int(32 / scale[0]), 32, 60))
    z = z * scale[0]
    balls = [np.sqrt((z - 16) ** 2 + (y - 16) ** 2 + (x - at) ** 2) < 11 for at in (16, 37)]
    found = classical((balls[0] | balls[1]).astype(np.float32), scale=scale)
    assert found.max() == 2
    assert (count(balls[0] + 2 * (balls[1] & ~balls[0]), found, (0.8,)).ap == 1).all()


def test_small_things_vanish(make_discs):
    image, _ = make_discs(np.random.default_rng(0))
    assert classical(image, smallest=10**6).max() == 0


@pytest.mark.parametrize("value", [0, 5])
def test_equal_pixels_give_no_cell(value):
    labels = classical(np.full((20, 30), value, np.uint16))
    assert labels.shape == (20, 30) and labels.dtype == np.int32 and not labels.any()


def test_the_picture_is_not_altered(make_discs):
    image, _ = make_discs(np.random.default_rng(0))
    before = image.copy()
    classical(image, local=20)
    assert np.array_equal(image, before)


@pytest.mark.parametrize(
    ("image", "scale", "message"),
    [
        (
            np.zeros(5),
            None,
            "image has shape (5,) and scale (1.0,): give a (Y, X) or (Z, Y, X) picture and one positive number per axis",
        ),
        (
            np.zeros((5, 5)),
            (1, 0),
            "image has shape (5, 5) and scale (1.0, 0.0): give a (Y, X) or (Z, Y, X) picture and one positive number per axis",
        ),
        (
            np.full((2, 2), np.inf),
            None,
            "image has 4 NaN or infinite pixels, the first at (0, 0): replace them by finite values",
        ),
    ],
)
def test_bad_input_is_refused(image, scale, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        classical(image, scale=scale)
