"""A denoised picture in parts is the denoised picture, and no more is read than its parts need."""

import re

import numpy as np
import pytest
import torch

from restoration import scales
from restoration.care import Care
from restoration.denoiser import QUARTERS, Denoiser
from restoration.lazily import DenoisedPicture, Turned
from restoration.noise2void import Noise2Void
from restoration.patches import turned
from restoration.scales import Constants, Percentile
from segmentation.unet import UNetConfig

PARTS = (
    np.s_[:],
    np.s_[..., 5:31, 7:19],
    np.s_[..., 17:18, 33:34],
    np.s_[..., 30:, :-3],
    np.s_[..., 3:22:2, 20],
)


def noisy(shape, seed=0):
    return np.random.default_rng(seed).normal(400, 60, shape).astype(np.float32)


def restless(config, method, scale):
    """A denoiser with random weights, batch statistics included: every pixel of its answer depends on all that it sees."""
    model = Denoiser.new(config, method=method, scale=scale, seed=1, device="cpu")
    with torch.no_grad():
        for name, value in model.network.state_dict().items():
            if name.endswith(("weight", "bias")):
                value.copy_(torch.randn(value.shape, generator=torch.Generator().manual_seed(len(name))) * value.numel() ** -0.3)
    return model


FLAT = UNetConfig(dims=3, inputs=1, outputs=1, width=2, depth=2, pooling=((1, 2, 2), (2, 2, 2)), residual=True)
KINDS = {
    "plain": (UNetConfig(inputs=1, outputs=1, width=3, depth=2, residual=True), Care(), Constants(400, 60), (41, 38)),
    "percentiles": (UNetConfig(inputs=1, outputs=1, width=3, depth=1), Care(), Percentile(), (41, 38)),
    "stack": (FLAT, Care(), Percentile(3, 99), (7, 37, 35)),
    "frames": (UNetConfig(inputs=3, outputs=1, width=3, depth=1), Noise2Void(frames=3), Percentile(), (3, 36, 39)),
    "channels": (UNetConfig(inputs=2, outputs=2, width=3, depth=1), Noise2Void(channels=2), Constants(400, 60), (2, 36, 39)),
    "probabilistic": (UNetConfig(inputs=1, outputs=2, width=3, depth=1), Care(probabilistic=True), Percentile(), (40, 37)),
    "valid": (UNetConfig(inputs=1, outputs=1, width=3, depth=1, padding="valid"), Care(), Percentile(), (40, 37)),
}


@pytest.mark.parametrize(("kind", "views"), [*((kind, 1) for kind in KINDS), ("plain", 8), ("channels", 8)])
def test_parts_are_those_of_the_whole(kind, views):
    config, method, scale, shape = KINDS[kind]
    model, picture = restless(config, method, scale), noisy(shape)
    whole = model.predict(picture, views=views)
    assert np.ptp(whole) > 1
    for tile in (0, 12) if views == 1 else (12,):
        lazy = model.lazily(picture, tile=tile, views=views)
        assert lazy.shape == whole.shape and lazy.ndim == whole.ndim and len(lazy) == len(whole) and lazy.dtype == np.float32
        for part in PARTS:
            answer = lazy[part]
            assert answer.shape == whole[part].shape and answer.dtype == np.float32
            assert np.abs(answer - whole[part]).max() <= 1e-5 * np.ptp(whole)


def test_a_single_frame_or_channel_is_had_alone():
    config, method, scale, shape = KINDS["channels"]
    model, picture = restless(config, method, scale), noisy(shape)
    whole, lazy = model.predict(picture), model.lazily(picture)
    for part in (1, np.s_[0:1, 3:20], np.s_[-1, :, 4], np.s_[1, 2, 3]):
        assert np.allclose(lazy[part], whole[part], atol=1e-5 * np.ptp(whole)) and np.shape(lazy[part]) == np.shape(whole[part])


INDICES = (
    *(0, -1, np.int64(2), np.s_[:], np.s_[...], np.s_[1:3], np.s_[..., 2], np.s_[1, ..., 3], np.s_[2, 3, 4], np.s_[:, 1:-1, ::2]),
    *(
        np.s_[::-1],
        np.s_[1, 5:1:-2, :],
        np.s_[3:3],
        np.s_[:, 9:, 4],
        np.s_[2:, ...],
        np.s_[0, :, :, ...],
        np.s_[-1:],
        np.s_[:, -5:-2, 6::3],
    ),
)


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_it_is_sliced_like_an_array(index):
    values, asked = noisy((4, 7, 9)), []
    lazy = DenoisedPicture(values.shape, lambda place: asked.append(place) or values[place])
    assert np.array_equal(lazy[index], values[index]) and np.shape(lazy[index]) == np.shape(values[index])
    assert all(
        part.step is None and 0 <= part.start < part.stop <= n for place in asked for part, n in zip(place, values.shape, strict=True)
    )


def test_it_becomes_an_array():
    values = noisy((4, 7))
    lazy = DenoisedPicture(values.shape, values.__getitem__)
    assert np.array_equal(np.asarray(lazy), values) and np.asarray(lazy, np.float64).dtype == np.float64
    with pytest.raises(ValueError, match=r"^a denoised picture is made when it is read: it cannot be had without a copy$"):
        np.array(lazy, copy=False)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ((0, 0, 0), "3 places are given: the picture has 2 axes"),
        ((slice(None), 7), "there is no pixel 7 along axis 1: the picture has 7"),
        (-5, "there is no pixel -5 along axis 0: the picture has 4"),
        (([0, 1],), "axis 0 is sliced by [0, 1]: give whole numbers and slices"),
    ],
)
def test_places_that_are_none_are_refused(index, message):
    with pytest.raises(IndexError, match=f"^{re.escape(message)}$"):
        DenoisedPicture((4, 7), np.zeros((4, 7)).__getitem__)[index]


@pytest.mark.parametrize("shape", [(9, 12), (2, 5, 8), (2, 3, 6, 7)])
def test_turned_pictures_are_read_in_parts(shape):
    picture, rng = noisy(shape), np.random.default_rng(1)
    for quarters, flip in QUARTERS:
        view, whole = Turned(picture, quarters, flip), turned(picture, quarters=quarters, flip=flip)
        assert view.shape == whole.shape
        for _ in range(5):
            ends = [sorted(rng.choice(n + 1, 2, replace=False)) for n in shape]
            place = tuple(slice(int(a), int(b)) for a, b in ends)
            there = view.place(place)
            assert np.array_equal(view[there], whole[there])
            assert np.array_equal(view.back(view[there]), picture[place])


class Disk:
    """A picture of which only parts can be had; it knows the largest, and how many."""

    def __init__(self, values):
        self.values, self.shape, self.most, self.times = values, values.shape, 0, 0

    def __getitem__(self, place):
        part = self.values[place]
        self.most, self.times = max(self.most, part.size), self.times + 1
        return part


def test_no_more_is_read_than_is_asked_for():
    config, method, scale, _ = KINDS["plain"]
    values = noisy((2100, 2200))
    picture = Disk(values)
    lazy = restless(config, method, scale).lazily(picture, tile=40)
    assert picture.times == 1  # enough to know that not all pixels are equal
    picture.most = 0
    lazy[1000:1100, 900:1000]
    halo = max(config.halos) + max(config.divisors)
    assert 0 < picture.most <= (40 + 2 * halo) ** 2


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32])
def test_the_scale_of_a_large_picture_is_the_one_that_is_measured_in_one_piece(dtype, monkeypatch):
    monkeypatch.setattr(scales, "ENOUGH", 3001)
    values = (np.random.default_rng(2).gamma(2, 20, (3, 1200, 1300))).astype(dtype)
    for picture in (values[:, None], values[0, :9], values[:, :4, :7]):
        for kind in (Percentile(10.5, 99), Constants(3, 4)):
            assert kind.over(Disk(picture)) == kind.measure(picture)


def test_the_scale_of_a_picture_of_almost_equal_pixels():
    picture = np.full((40, 50), 7, np.uint16)
    picture[3, 4] = 90
    assert Percentile().over(picture) == Percentile().measure(picture) == scales.Affine(7, 83)


@pytest.mark.parametrize("kind", ["plain", "frames", "channels"])
def test_a_constant_picture_stays_as_it_is(kind):
    config, method, scale, shape = KINDS[kind]
    model, picture = restless(config, method, scale), np.full(shape, 77, np.uint16)
    lazy, whole = model.lazily(picture), model.predict(picture)
    assert lazy[:].dtype == np.float32 and np.array_equal(lazy[...], whole) and np.array_equal(lazy[..., 3:9, 4], whole[..., 3:9, 4])


@pytest.mark.parametrize("kind", ["plain", "percentiles", "stack", "frames"])
def test_pixels_that_are_not_finite_are_named_when_they_are_read(kind):
    config, method, scale, shape = KINDS[kind]
    model, picture = restless(config, method, scale), noisy((*shape[:-2], 2300, 2000) if kind == "plain" else shape)
    where = (*(n // 2 for n in picture.shape[:-1]), 30) if kind != "plain" else (2290, 30)
    picture[where] = np.nan
    message = f"^{re.escape(f'picture has NaN or infinite pixels, one of them at {where}: replace them by finite values')}$"
    if kind == "plain":  # nothing is measured, so nothing is read that is not asked for
        lazy = model.lazily(picture)
        assert np.isfinite(lazy[:20, :20]).all()
        with pytest.raises(ValueError, match=message):
            lazy[2280:, :20]
    else:
        with pytest.raises(ValueError, match=message):
            model.lazily(picture)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda model: model.lazily(np.zeros((3, 8, 8))),
            "image has shape (3, 8, 8): this denoiser takes one (Y, X) picture; give one frame at a time",
        ),
        (lambda model: model.lazily(np.zeros((0, 8))), "image has no pixels: its shape is (0, 8)"),
        (lambda model: model.lazily(noisy((8, 8)), views=3), "views is 3: give 1, or 8 to average over all turns and mirror images"),
        (lambda model: model.lazily(np.zeros((8, 8), complex)), "image has dtype complex128: give a picture of real numbers"),
    ],
)
def test_bad_input_is_refused(call, message):
    config, method, scale, _ = KINDS["plain"]
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call(restless(config, method, scale))
