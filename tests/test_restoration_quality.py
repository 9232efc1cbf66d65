"""Scores of restored images against hand-made cases and laws."""

from __future__ import annotations

import math
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import restoration
from restoration.quality import affine_fit, nrmse, psnr, si_psnr, ssim

TRUTH = np.array([[0.0, 10.0], [20.0, 30.0]])


@pytest.fixture
def noisy():
    rng = np.random.default_rng(0)
    truth = rng.random((32, 40)) * 200
    return truth + rng.normal(0, 10, truth.shape), truth


def test_psnr_of_an_error_of_one_tenth_of_the_range_is_twenty_decibels():
    assert psnr(TRUTH + 25.5, TRUTH, data_range=255) == pytest.approx(20)


def test_psnr_counts_squares():
    assert psnr(TRUTH + np.diag([0, 2]), TRUTH, data_range=1) == pytest.approx(-10 * math.log10(4 / 4))
    assert psnr(TRUTH + np.diag([4, 0]), TRUTH, data_range=1) == pytest.approx(-10 * math.log10(16 / 4))


def test_ten_times_the_range_is_twenty_decibels_more():
    assert psnr(TRUTH + 3, TRUTH, data_range=100) - psnr(TRUTH + 3, TRUTH, data_range=10) == pytest.approx(20)


def test_psnr_of_the_truth_itself_is_infinite():
    assert psnr(TRUTH, TRUTH, data_range=1) == math.inf


def test_whole_numbers_do_not_wrap_around():
    a, b = np.zeros((2, 2), np.uint8), np.full((2, 2), 255, np.uint8)
    assert psnr(a, b, data_range=255) == pytest.approx(0)


def test_si_psnr_by_hand():
    """The best fit of (1, 0, 0, 0) to (0, 0, 0, 4) has factor -4/3: fitted (0, 4/3, 4/3, 4/3), mean square error 8/3."""
    prediction, truth = np.array([1.0, 0, 0, 0]), np.array([0, 0, 0, 4.0])
    np.testing.assert_allclose(affine_fit(prediction, truth), [0, 4 / 3, 4 / 3, 4 / 3])
    assert si_psnr(prediction, truth) == pytest.approx(10 * math.log10(16 / (8 / 3)))
    assert si_psnr(prediction, truth, data_range=255) == pytest.approx(20 * math.log10(255) - 10 * math.log10(8 / 3))


def test_si_psnr_agrees_with_the_recipe_of_unit_variance(noisy):
    """Centre both, bring the truth to unit variance, scale the prediction by least squares, range = (max - min) / std."""
    p, t = noisy
    unit = (t - t.mean()) / t.std()
    centred = p - p.mean()
    centred = centred * (centred * unit).sum() / (centred**2).sum()
    expected = 20 * math.log10((t.max() - t.min()) / t.std()) - 10 * math.log10(np.mean((centred - unit) ** 2))
    assert si_psnr(p, t) == pytest.approx(expected)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.01, 100), st.floats(-1000, 1000))
def test_si_psnr_does_not_see_brightness_and_offset(factor, offset):
    rng = np.random.default_rng(1)
    truth = rng.random((8, 8))
    prediction = truth + rng.normal(0, 0.1, truth.shape)
    assert si_psnr(factor * prediction + offset, truth) == pytest.approx(si_psnr(prediction, truth), abs=1e-4)
    assert nrmse(factor * prediction + offset, truth, fit=True) == pytest.approx(nrmse(prediction, truth, fit=True), rel=1e-5)


def test_an_affine_image_of_the_truth_is_perfect_but_for_its_brightness():
    assert si_psnr(2 * TRUTH + 3, TRUTH) > 200
    assert psnr(2 * TRUTH + 3, TRUTH, data_range=30) < 5


def test_si_psnr_is_never_below_psnr_of_the_same_range(noisy):
    p, t = noisy
    assert si_psnr(1.1 * p + 5, t, data_range=255) > psnr(1.1 * p + 5, t, data_range=255)


def test_a_constant_prediction_is_worth_the_mean():
    np.testing.assert_array_equal(affine_fit(np.full((2, 2), 7.0), TRUTH), np.full((2, 2), 15.0))
    assert si_psnr(np.full((2, 2), 7.0), TRUTH) == pytest.approx(20 * math.log10(30 / TRUTH.std()))


def test_nrmse_by_hand():
    assert nrmse(TRUTH + 3, TRUTH) == pytest.approx(0.1)
    assert nrmse(TRUTH, TRUTH) == 0
    assert nrmse(TRUTH + 3, TRUTH, fit=True) == pytest.approx(0)


def test_ssim_is_one_for_the_truth_and_falls_with_noise(noisy):
    p, t = noisy
    assert ssim(t, t, data_range=200) == pytest.approx(1)
    assert ssim(t + 5 * (p - t), t, data_range=200) < ssim(p, t, data_range=200) < 1


def test_ssim_of_two_constant_images_follows_the_formula():
    """Without structure only the luminance term is left: (2ab + C1) / (a^2 + b^2 + C1), C1 = (0.01 range)^2."""
    a, b, c = 10.0, 20.0, (0.01 * 100) ** 2
    value = ssim(np.full((16, 16), a), np.full((16, 16), b), data_range=100)
    assert value == pytest.approx((2 * a * b + c) / (a**2 + b**2 + c))


def test_ssim_in_three_dimensions(noisy):
    p, t = (np.stack([image] * 11) for image in noisy)
    assert 0 < ssim(p, t, data_range=200) < 1


SCORES = [
    lambda p, t: psnr(p, t, data_range=1),
    si_psnr,
    nrmse,
    lambda p, t: ssim(p, t, data_range=1),
    affine_fit,
]


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize(
    ("prediction", "truth", "message"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2)), "the prediction has shape (2, 3), but the truth has (3, 2)"),
        (np.zeros((0, 3)), np.zeros((0, 3)), "the images have no pixels: shape (0, 3)"),
        (np.array([np.nan, 1]), np.zeros(2), "the prediction has 1 pixels that are NaN or infinite: fill or cut them before scoring"),
        (np.zeros(2), np.array([np.inf, np.nan]), "the truth has 2 pixels that are NaN or infinite: fill or cut them before scoring"),
        (np.zeros(2, complex), np.zeros(2), "the prediction is complex128, but pixels are real numbers"),
    ],
)
def test_images_that_cannot_be_compared(score, prediction, truth, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        score(prediction, truth)


@pytest.mark.parametrize("score", [si_psnr, nrmse])
def test_a_constant_truth_has_no_range(score):
    message = "the truth is constant (5), so errors have no range to be compared with: use psnr with a data_range"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        score(TRUTH, np.full((2, 2), 5.0))


@pytest.mark.parametrize("score", [psnr, si_psnr, ssim])
@pytest.mark.parametrize("data_range", [0, -1, math.nan, math.inf])
def test_a_range_must_be_positive(score, data_range):
    image = np.arange(144.0).reshape(12, 12)
    with pytest.raises(ValueError, match=f"^data_range must be positive and finite, not {re.escape(str(data_range))}$"):
        score(image, image, data_range=data_range)


def test_an_image_smaller_than_the_window():
    message = "the image has shape (2, 2), but ssim needs at least 11 pixels along every axis"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ssim(TRUTH, TRUTH, data_range=1)


def test_scores_are_at_the_doorstep_and_the_doorstep_is_light():
    assert restoration.psnr is psnr and restoration.ssim is ssim
    assert set(dir(restoration)) >= {"nrmse", "psnr", "si_psnr", "ssim"}
    with pytest.raises(AttributeError, match=r"^module 'restoration' has no attribute 'magic'$"):
        restoration.magic  # noqa: B018
    code = "import sys, restoration; assert not {'torch', 'skimage', 'numpy'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
