"""Brightness of whole pictures."""

import re

import numpy as np
import pytest

from segmentation.normalise import Percentiles, check_finite, is_constant


def test_percentiles_become_zero_and_one():
    image = np.random.default_rng(0).normal(100, 10, (50, 60))
    linear = Percentiles(low=2, high=98, compress=0)(image)
    assert np.percentile(linear, [2, 98]) == pytest.approx([0, 1], abs=1e-3)
    assert linear.dtype == np.float32


def test_gain_and_offset_do_not_matter():
    image = np.random.default_rng(0).integers(0, 255, (40, 40)).astype(np.uint16)
    assert Percentiles()(image + np.uint16(32768)) == pytest.approx(Percentiles()(image * 3.0), abs=1e-5)


def test_compression_keeps_order_and_lifts_the_dark():
    image = np.linspace(0, 1, 1001).reshape(7, 143)
    linear, lifted = (Percentiles(low=0, high=100, compress=c)(image) for c in (0, 5))
    assert (np.diff(lifted.ravel()) > 0).all()
    assert (lifted >= linear - 1e-6).all() and lifted.max() == pytest.approx(1)


def test_a_few_bright_pixels_on_a_flat_ground_stay_visible():
    image = np.zeros((100, 100))
    image[50, 50] = 7.0
    assert Percentiles()(image)[50, 50] == pytest.approx(1)


@pytest.mark.parametrize("image", [np.zeros((4, 5)), np.full((4, 5), 9, np.uint8), np.zeros((0, 5)), np.ones((3, 3), bool)])
def test_equal_pixels_become_zeros(image):
    assert is_constant(image) and not Percentiles()(image).any() and Percentiles()(image).shape == image.shape


def test_nan_is_refused_with_its_place():
    image = np.zeros((4, 5))
    image[2, 3] = image[3, 0] = np.nan
    message = "image has 2 NaN or infinite pixels, the first at (2, 3): replace them by finite values"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Percentiles()(image)


@pytest.mark.parametrize("dtype", ["complex64", "U3"])
def test_pictures_that_are_no_real_numbers_are_refused(dtype):
    image = np.zeros((2, 2), dtype)
    message = f"image has dtype {image.dtype}: give a picture of real numbers"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_finite(image)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"low": 60, "high": 50}, "percentiles are 60 and 50: give 0 <= low < high <= 100"),
        ({"compress": -1}, "compress is -1: give a finite number of at least 0"),
    ],
)
def test_bad_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Percentiles(**options)
