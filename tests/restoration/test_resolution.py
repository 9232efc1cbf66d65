"""Pictures with more pixels: the geometry by hand, the learning on a scene that is known."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy import ndimage

from restoration.axial import Patches
from restoration.degrading import binned
from restoration.resolution import Upsampler, gathered, interpolated, spread, upsample
from restoration.ring import ring_correlation
from segmentation.fit import Schedule
from segmentation.unet import UNetConfig

TINY = UNetConfig(outputs=1, width=4, depth=1, norm="none")
SHORT = Schedule(steps=3, rate=1e-3)
FEW = Patches(count=2, side=16)


def discs(seed=0, size=64):
    """Sharp discs, as no cubic interpolation can draw them."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((size, size))
    light = sum(np.clip(4 - np.hypot(y - cy, x - cx), 0, 1) for cy, cx in rng.uniform(0, size, (size // 3, 2)))
    return 100 + 400 * np.minimum(light, 1)


def coarse(sharp, factor=2):
    return binned(ndimage.gaussian_filter(sharp, 0.4 * factor), factor)


def test_channels_are_laid_out_as_the_pixels_of_a_block():
    fine = np.arange(24.0).reshape(4, 6)
    parts = gathered(fine, 2)
    np.testing.assert_array_equal(parts[:, 0, 0], [0, 1, 6, 7])
    np.testing.assert_array_equal(spread(parts, 2), fine)
    np.testing.assert_array_equal(gathered(spread(parts, 2), 2), parts)
    nine = np.random.default_rng(0).normal(size=(9, 2, 5))
    np.testing.assert_array_equal(gathered(spread(nine, 3), 3), nine)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_interpolation_covers_the_same_field(factor):
    """A coarse pixel is the mean of its block: of a straight slope the interpolation is the slope, without any shift."""
    fine = np.tile(np.arange(12.0 * factor), (12 * factor, 1))
    again = interpolated(binned(fine, factor), factor)
    inner = slice(3 * factor, -3 * factor)
    np.testing.assert_allclose(again[inner, inner], fine[inner, inner], atol=0.1)


def test_a_network_taught_nothing_interpolates():
    model = Upsampler.train([discs()], 2, config=TINY, schedule=Schedule(steps=1, rate=1e-12), patches=FEW)
    np.testing.assert_allclose(model.predict(discs(1)), interpolated(discs(1), 2), atol=1e-2)


def test_a_network_beats_interpolation_in_error_and_resolution():
    config = UNetConfig(outputs=1, width=8, depth=1, norm="none")
    schedule = Schedule(steps=150, rate=5e-3, average=0.9)
    model = Upsampler.train(
        [discs(k) for k in range(6)], 2, noisy=False, config=config, schedule=schedule, patches=Patches(count=4, side=32)
    )
    truth = discs(99)
    found, plain = model.predict(coarse(truth)), interpolated(coarse(truth), 2)
    assert np.mean((found - truth) ** 2) < 0.85 * np.mean((plain - truth) ** 2)
    assert ring_correlation(found, truth).mean > ring_correlation(plain, truth).mean


def test_the_same_seed_gives_the_same_picture_and_files_keep_it(tmp_path):
    film = np.stack([discs(0, 48), discs(1, 48)])
    before = film.copy()
    one, two = (upsample(film, 3, schedule=SHORT) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(film, before)
    assert one.shape == (2, 144, 144)
    assert one.dtype == np.float32
    model = Upsampler.train(film, 2, config=TINY, schedule=SHORT, patches=FEW)
    model.save(tmp_path / "up.safetensors")
    again = Upsampler.load(tmp_path / "up.safetensors")
    np.testing.assert_array_equal(again.predict(film[0]), model.predict(film[0]))
    np.testing.assert_array_equal(upsample(film[0], 2, upsampler=again), model.predict(film[0]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["up.safetensors"]


def test_pictures_of_any_sizes_may_teach_and_be_enlarged():
    model = Upsampler.train([discs(0, 40), discs(1, 64)[:, :33]], 2, config=TINY, schedule=SHORT, patches=FEW)
    assert model.predict(discs(2, 21)[:, :13]).shape == (42, 26)


@pytest.mark.parametrize(
    ("film", "how", "message"),
    [
        (discs(), {"factor": 1.5}, "factor is 1.5: give a whole number of at least 2"),
        (discs(), {"factor": 1}, "factor is 1: give a whole number of at least 2"),
        (discs()[0], {}, "the film has shape (64,): give (Y, X) or (n, Y, X)"),
        (discs(0, 6), {}, "picture 0 has shape (6, 6): give (Y, X) with at least 8 pixels a side"),
        (discs(), {"blur": -1.0}, "blur is -1.0: give a standard deviation of at least 0 pixels, or None"),
        (
            np.where(discs() > 400, np.inf, discs()),
            {},
            f"picture 0: image has {int((discs() > 400).sum())} NaN or infinite pixels, the first at "
            f"{tuple(int(i) for i in np.argwhere(discs() > 400)[0])}: replace them by finite values",
        ),
    ],
)
def test_pictures_that_cannot_be_enlarged_are_refused(film, how, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        upsample(film, schedule=SHORT, **how)


def test_an_upsampler_keeps_its_factor():
    model = Upsampler.train([discs()], 2, config=TINY, schedule=SHORT, patches=FEW)
    with pytest.raises(ValueError, match=r"^factor is 3, but the upsampler was trained for 2$"):
        upsample(discs(), 3, upsampler=model)


def test_a_file_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path / 'no'))} is not a file: give a model that save wrote$"):
        Upsampler.load(tmp_path / "no")
    (tmp_path / "bad").write_bytes(b"not tensors")
    with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path / 'bad'))} cannot be read as safetensors: "):
        Upsampler.load(tmp_path / "bad")
