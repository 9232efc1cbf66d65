"""Fourier ring correlation against pictures whose resolution is known."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from scipy import ndimage

from restoration.ring import ring_correlation

RNG = np.random.default_rng(0)
SPOTS = ndimage.gaussian_filter(RNG.poisson(0.02, (128, 160)) * 3000.0, 2.0)


def photons(scene, seed):
    return np.random.default_rng(seed).poisson(scene + 5).astype(float)


def test_a_picture_agrees_with_itself_everywhere():
    ring = ring_correlation(SPOTS, SPOTS)
    np.testing.assert_allclose(ring.correlation, 1)
    assert ring.mean == pytest.approx(1)
    assert not ring.crosses
    assert ring.resolution == pytest.approx(2, rel=0.02)


def test_brightness_and_offset_do_not_matter():
    np.testing.assert_allclose(ring_correlation(SPOTS, 3 * SPOTS + 7).correlation, 1)


def test_independent_noise_shares_nothing():
    ring = ring_correlation(RNG.normal(size=(128, 160)), RNG.normal(size=(128, 160)))
    assert abs(ring.mean) < 0.05
    assert np.abs(ring.correlation[8:]).max() < 0.25
    assert ring.crosses
    assert ring.resolution > 30


def test_noise_alone_has_no_detail():
    assert abs(ring_correlation(RNG.normal(size=(128, 128))).mean) < 0.05


def test_the_resolution_is_where_the_correlation_of_known_spectra_crosses():
    """White signal and noise of equal power up to a known frequency, and noise alone beyond: the crossing is that frequency."""
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(128), np.fft.fftfreq(128), indexing="ij"))
    scene = np.fft.ifft2(np.fft.fft2(RNG.normal(size=(128, 128))) * (radius < 0.25)).real
    first, second = (scene + 0.3 * RNG.normal(size=scene.shape) for _ in range(2))
    assert ring_correlation(first, second).resolution == pytest.approx(4, rel=0.1)


def test_one_picture_tells_nearly_what_two_tell_and_promises_no_more():
    two = ring_correlation(photons(SPOTS / 50, 1), photons(SPOTS / 50, 2)).resolution
    one = ring_correlation(photons(SPOTS / 50, 1)).resolution
    assert 4 < two
    assert two < one < 1.25 * two


def test_more_light_resolves_more():
    found = [ring_correlation(photons(SPOTS / part, 1), photons(SPOTS / part, 2)).resolution for part in (300, 30, 3)]
    assert found == sorted(found, reverse=True)


def test_the_order_of_the_pictures_does_not_matter():
    a, b = photons(SPOTS, 1), photons(SPOTS, 2)
    np.testing.assert_allclose(ring_correlation(a, b).correlation, ring_correlation(b, a).correlation)


def test_the_size_of_a_pixel_scales_the_answer():
    a, b = photons(SPOTS, 1), photons(SPOTS, 2)
    assert ring_correlation(a, b, scale=0.1).resolution == pytest.approx(0.1 * ring_correlation(a, b).resolution)


def test_stacks_have_shells():
    stack = ndimage.gaussian_filter(RNG.normal(size=(24, 32, 32)), 1.5)
    assert ring_correlation(stack, stack).mean == pytest.approx(1)
    assert abs(ring_correlation(stack, RNG.normal(size=stack.shape)).mean) < 0.1


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (SPOTS, SPOTS[1:], "the first picture has shape (128, 160), but the second has (127, 160)"),
        (
            np.zeros((8, 99)),
            np.zeros((8, 99)),
            "the first picture has shape (8, 99): give (Y, X) or (Z, Y, X) with at least 16 pixels a side",
        ),
        (SPOTS[:20], None, "the first picture has shape (20, 160): give (Y, X) or (Z, Y, X) with at least 32 pixels a side"),
        (np.ones((32, 32)), SPOTS[:32, :32], "the first picture is constant (1): there is no detail to compare"),
        (
            np.where(np.eye(32) > 0, np.nan, 1),
            SPOTS[:32, :32],
            "image has 32 NaN or infinite pixels, the first at (0, 0): replace them by finite values",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(first, second, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ring_correlation(first, second)


def test_a_wrong_threshold_is_refused():
    with pytest.raises(ValueError, match=re.escape("threshold is 1.5 and scale 1.0: give a threshold between 0 and 1 and a positive size")):
        ring_correlation(SPOTS, threshold=1.5)
    assert math.isfinite(ring_correlation(SPOTS, threshold=0.5).resolution)
