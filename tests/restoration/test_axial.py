"""Stacks made isotropic, and slices drawn in between: grids, blur and networks against scenes that are known."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from scipy import ndimage

from restoration.axial import Isotropic, Patches, isotropic
from restoration.blur import blur_from_beads, estimate_blur
from restoration.degrading import binned, finer_places, interpolating, left_by_blur, resampled
from restoration.slices import Between, fill
from segmentation.fit import Schedule
from segmentation.unet import UNetConfig

TINY = UNetConfig(outputs=1, width=4, depth=1, norm="none")
SHORT = Schedule(steps=3, rate=1e-3)
FEW = Patches(count=2, side=16)


def blobs(size=(48, 48, 48), seed=0):
    """Light that looks alike in all directions, with detail of two pixels and more."""
    light = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=size), 1.2)
    return 1000 + 300 * light / light.std()


def thinned(light, factor, blur):
    """Every factor-th slice of light that was made blurrier along z."""
    return resampled(ndimage.gaussian_filter1d(light, blur, axis=0), factor * (np.arange(len(light) // factor) + 0.5) - 0.5)


STACK = thinned(blobs(), 3, 2.0) + np.random.default_rng(1).normal(0, 10, (16, 48, 48))


def test_a_finer_grid_by_hand():
    np.testing.assert_allclose(finer_places(2, 2), [-0.25, 0.25, 0.75, 1.25])
    np.testing.assert_allclose(finer_places(3, 1), [0, 1, 2])
    np.testing.assert_allclose(finer_places(3, 1.5), [0, 2 / 3, 4 / 3, 2])  # 4.5 pixels: 4, the rest cut at both ends


@pytest.mark.parametrize(("count", "factor"), [(5, 2), (7, 3.3), (4, 2.5), (11, 4)])
def test_a_finer_grid_has_the_exact_step_and_the_same_middle(count, factor):
    places = finer_places(count, factor)
    assert len(places) == int(count * factor)
    np.testing.assert_allclose(np.diff(places), 1 / factor)
    assert places.mean() == pytest.approx((count - 1) / 2)


def test_linear_interpolation_is_exact_for_lines_and_repeats_the_ends():
    np.testing.assert_allclose(interpolating([-1, 0, 0.25, 2, 9], 3) @ np.array([10.0, 20, 40]), [10, 10, 12.5, 40, 40])
    np.testing.assert_allclose(resampled(np.arange(6.0).reshape(3, 2), [0.5]), [[1, 2]])


def test_bins_are_means_and_blur_leaves_what_it_says():
    np.testing.assert_allclose(binned(np.arange(15.0).reshape(3, 5), 2), [[3, 5]])
    noise = np.random.default_rng(0).normal(size=100_000)
    assert left_by_blur(0) == 1
    for sigma in (0.5, 2.0):
        assert ndimage.gaussian_filter1d(noise, sigma).var() == pytest.approx(left_by_blur(sigma), rel=0.03)


@pytest.mark.parametrize("blur", [1.5, 3.0])
def test_the_additional_blur_is_read_off_the_spectra(blur):
    stack = thinned(blobs((64, 64, 64)), 2, blur)
    assert estimate_blur(stack, (0.2, 0.1, 0.1)) == pytest.approx(0.1 * blur, rel=0.12)
    noisy = stack + np.random.default_rng(0).normal(0, 20, stack.shape)
    assert estimate_blur(noisy, (0.2, 0.1, 0.1)) == pytest.approx(0.1 * blur, rel=0.2)


def test_a_stack_as_sharp_along_z_has_no_additional_blur():
    assert estimate_blur(blobs(), (1, 1, 1)) < 0.3


def test_beads_tell_the_additional_blur():
    light = np.zeros((60, 60, 60))
    light[tuple(np.array([[15, 15, 15], [40, 20, 40], [20, 42, 35]]).T)] = 4e5
    beads = np.random.default_rng(0).poisson(ndimage.gaussian_filter(light, (3, 1.2, 1.2))[::2] + 5.0)
    assert blur_from_beads(beads, (0.2, 0.1, 0.1)) == pytest.approx(0.1 * np.sqrt(3**2 - 1.2**2), rel=0.05)
    with pytest.raises(ValueError, match=r"^no bead stands alone: give a stack with single bright points, some pixels from its edges$"):
        blur_from_beads(np.eye(8)[:, :, None] * np.ones(8), (1, 1, 1))


def test_a_network_taught_nothing_interpolates():
    """Before the first step the network corrects nothing, so that training starts at linear interpolation."""
    how = {"blur": 2.0, "config": TINY, "patches": FEW}
    first = Isotropic.train(STACK, (3, 1, 1), schedule=Schedule(steps=1, rate=1e-12), **how).predict(STACK)
    np.testing.assert_allclose(first, resampled(STACK, finer_places(16, 3)), atol=1e-3)


def test_learning_brings_the_stack_nearer_to_the_truth():
    model = Isotropic.train(
        STACK, (3, 1, 1), blur=2.0, config=UNetConfig(outputs=1, width=8, depth=1, norm="none"),
        schedule=Schedule(steps=80, rate=5e-3, average=0.9), patches=Patches(count=4, side=32),
    )  # fmt: skip
    truth, linear = blobs(), resampled(STACK, finer_places(16, 3))
    inner = slice(6, -6)
    errors = [float(np.sqrt(np.mean((found - truth)[inner] ** 2))) for found in (linear, model.predict(STACK))]
    assert errors[1] < 0.85 * errors[0]


def test_the_same_seed_gives_the_same_stack_and_nothing_is_altered(tmp_path):
    before = STACK.copy()
    model = Isotropic.train(STACK, (3, 1, 1), config=TINY, schedule=SHORT, patches=FEW)
    again = Isotropic.train(STACK, (3, 1, 1), config=TINY, schedule=SHORT, patches=FEW)
    np.testing.assert_array_equal(model.predict(STACK), again.predict(STACK))
    np.testing.assert_array_equal(STACK, before)
    assert model.predict(STACK).shape == (48, 48, 48)
    model.save(tmp_path / "a.safetensors")
    loaded = Isotropic.load(tmp_path / "a.safetensors")
    assert (loaded.factor, loaded.blur, loaded.corrector.about) == (model.factor, model.blur, model.corrector.about)
    np.testing.assert_array_equal(loaded.predict(STACK), model.predict(STACK))
    with pytest.raises(ValueError, match=r"is no cytolineage slices: its format is 'cytolineage.axial/1', wanted 'cytolineage.slices/1'$"):
        Between.load(tmp_path / "a.safetensors")


def test_both_directions_are_averaged():
    """A stack turned by a quarter about z gives the turned result, as both z-x and z-y planes are asked."""
    model = Isotropic.train(STACK, (3, 1, 1), blur=2.0, config=TINY, schedule=Schedule(steps=5, rate=1e-2), patches=FEW)
    turned = model.predict(STACK.transpose(0, 2, 1))
    np.testing.assert_allclose(turned, model.predict(STACK).transpose(0, 2, 1), atol=0.05)


def test_a_height_that_is_no_whole_number_of_pixels_is_said():
    with pytest.warns(UserWarning, match=r"^16 slices are 40\.80 pixels high: the result has 40 slices of exactly one pixel, 0\.40 pixels"):
        assert isotropic(STACK, (2.55, 1, 1), blur=1.0, schedule=Schedule(steps=1)).shape == (40, 48, 48)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isotropic(STACK, (0.5, 0.2, 0.2), blur=0.4, schedule=Schedule(steps=1)).shape == (40, 48, 48)


@pytest.mark.parametrize(
    ("stack", "scale", "message"),
    [
        (STACK[0], (1, 1, 1), "the stack has shape (48, 48): give (Z, Y, X) with at least 2 voxels a side, one frame at a time"),
        (STACK, (1, 1), "scale is (1.0, 1.0): give the size of a voxel along z, y, x, three positive numbers"),
        (STACK, (3, 1, 2), "scale is (3.0, 1.0, 2.0): pixels must be square, the same size along y and x"),
        (STACK, (1, 1, 1), "scale is (1.0, 1.0, 1.0): slices lie as close as pixels or closer, so there is nothing to fill in"),
        (np.ones((8, 16, 16)), (2, 1, 1), "the stack is constant (1): there is nothing to sharpen"),
        (STACK[:4], (2, 1, 1), "the stack has 4 slices: give at least 8, or say the blur"),
    ],
)
def test_stacks_that_cannot_be_used_are_refused(stack, scale, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        isotropic(stack, scale, schedule=SHORT)


def drifting(n=14, speed=1.0, size=40):
    """Discs that move straight on; float (n, size, size)."""
    y, x = np.indices((size, size))
    frames = []
    for t in range(n):
        places = [(10 + speed * t, 12), (30 - speed * t, 28)]
        frames.append(sum(np.clip(5 - np.hypot(y - cy % size, x - cx), 0, 3) for cy, cx in places) * 100)
    return np.stack(frames) + 50


FILL = {"schedule": Schedule(steps=120, rate=1e-2, average=0.9), "patches": Patches(count=4, side=32)}


def test_between_two_frames_a_network_is_nearer_than_their_mean():
    film = drifting(speed=2.0)
    model = Between.train(
        film, centres=[1, 2, 3, 4, 6, 7, 8, 10, 11, 12], config=UNetConfig(inputs=2, outputs=1, width=8, depth=1, norm="none"), **FILL
    )
    found = model.predict(film[4], film[6])
    off, mean_off = (float(np.abs(picture - film[5]).mean()) for picture in (found, (film[4] + film[6]) / 2))
    assert off < 0.9 * mean_off
    np.testing.assert_allclose(model.predict(film[6], film[4]), found, atol=1e-3)


def test_missing_frames_are_drawn_and_the_others_stay():
    film = drifting()
    film[6] = np.nan
    done = fill(film, [6], schedule=SHORT)
    assert done.new == (6,)
    assert np.isfinite(done.film).all()
    np.testing.assert_array_equal(np.delete(done.film, 6, 0), np.delete(film, 6, 0).astype(np.float32))
    assert done.method == ("network" if done.error < done.linear else "linear")
    if done.method == "linear":
        np.testing.assert_allclose(done.film[6], (film[5] + film[7]) / 2, rtol=1e-6)


def test_one_more_slice_between_every_two():
    film = drifting(8)
    done = fill(film, schedule=SHORT)
    assert done.film.shape == (15, 40, 40)
    assert done.new == tuple(range(1, 15, 2))
    np.testing.assert_array_equal(done.film[::2], film.astype(np.float32))


def test_the_plain_mean_draws_where_the_network_is_no_better():
    """Noise cannot be foretold: the mean of the neighbours is as good as it gets."""
    film = np.random.default_rng(0).normal(100, 10, (7, 32, 32))
    done = fill(film, schedule=Schedule(steps=2, rate=0.5))
    assert done.method == "linear"
    np.testing.assert_allclose(done.film[1], (film[0] + film[1]) / 2, rtol=1e-5)


def test_cells_that_jump_farther_than_their_size_are_said():
    with pytest.warns(UserWarning, match=r"^\d+ % of the cells move by more than their own size: pictures in between show them at two"):
        assert fill(drifting(speed=9.0), schedule=SHORT).moved > 0.1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fill(drifting(speed=0.5), schedule=SHORT).moved == 0


@pytest.mark.parametrize(
    ("film", "missing", "message"),
    [
        (drifting(6), [0], "picture 0 of 6 cannot be drawn: the pictures before and after it must be there"),
        (drifting(6), [2, 3], "picture 2 of 6 cannot be drawn: the pictures before and after it must be there"),
        (drifting(3), None, "1 of 3 pictures have both neighbours: at least 3 are needed to learn from"),
        ([np.ones((9, 9)), np.ones((9, 8)), *np.ones((4, 9, 9))], None, "picture 1 has shape (9, 8): give (Y, X) pictures of one shape"),
    ],
)
def test_films_that_cannot_be_filled_are_refused(film, missing, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        fill(film, missing, schedule=SHORT)
