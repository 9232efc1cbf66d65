"""Cells across blocks are whole, unique, and those of the picture in one piece."""

import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.measure import label

import segmentation
from segmentation import large, tiles
from segmentation.decoders.boundary import Boundary
from segmentation.decoders.classes import Classes
from segmentation.decoders.components import Components
from segmentation.large import segment
from segmentation.normalise import Percentiles
from segmentation.tiles import predict
from segmentation.unet import UNet, UNetConfig


def mirror(dims, outputs=1, inputs=None):
    """A network that says what it sees."""
    config = UNetConfig(dims=dims, inputs=inputs or outputs, outputs=outputs, width=1, depth=1, norm="none", residual=True)
    network = UNet(config)
    for parameter in network.parameters():
        parameter.data.zero_()
    return network


@dataclass(frozen=True, eq=False)
class Seer:
    """As much of a Segmenter as is needed; by default its cells are the connected bright parts of the picture."""

    network: Any
    decoder: Any = field(default_factory=lambda: Components(mask=0.6, smallest=1))
    normalise: Percentiles = field(default_factory=lambda: Percentiles(0, 100, 0))
    device: str = "cpu"


FLAT = Seer(mirror(2))


def balls(shape, count, seed, radius=(2.0, 5.0)):
    """Bright balls anywhere, also beyond the sides and on each other."""
    rng = np.random.default_rng(seed)
    grid, picture = np.indices(shape), np.zeros(shape, np.float32)
    for _ in range(count):
        away = sum((axis - rng.uniform(0, n)) ** 2 for axis, n in zip(grid, shape, strict=True))
        picture[away < rng.uniform(*radius) ** 2] = 1
    return picture


def extent(labels):
    return max((part.stop - part.start for box in ndimage.find_objects(labels) for part in box), default=0)


@pytest.mark.parametrize("seed", range(12))
def test_cells_smaller_than_the_overlap_are_those_of_the_whole_picture(seed):
    rng = np.random.default_rng(seed)
    dims = 2 if seed % 4 else 3
    shape = tuple(rng.integers(20, 90, dims) if dims == 2 else rng.integers(14, 20, dims))
    picture = balls(shape, int(rng.integers(3, 25)), seed)
    expected = label(picture > 0, connectivity=1)  # numbered in the order of first pixels
    assert expected.max() > 1
    for _ in range(2):
        tile = (2 * rng.integers(3, 16 if dims == 2 else 8, dims)).tolist()
        found = segment(Seer(mirror(dims)), picture, overlap=extent(expected), tile=tile)
        assert found.dtype == np.int32 and np.array_equal(found, expected)


def test_cells_on_seams_and_corners():
    picture = np.zeros((64, 64), np.float32)
    for y, x in ((0, 0), (13, 14), (15, 30), (29, 29), (31, 46), (46, 8), (62, 62), (60, 31)):  # seams at 16, 32, 48
        picture[y : y + 4, x : x + 5] = 1
    expected = label(picture, connectivity=1)
    assert expected.max() == 8
    assert np.array_equal(segment(FLAT, picture, overlap=6, tile=16), expected)
    assert segment(FLAT, picture, overlap=0, tile=16).max() > 8  # without overlap the seams cut cells


@pytest.mark.parametrize("dims", [2, 3])
def test_blocks_of_many_tiles_give_the_same_cells(dims, monkeypatch):
    shape = (118, 130) if dims == 2 else (30, 46, 42)
    picture = balls(shape, 40, seed=dims)
    expected = label(picture, connectivity=1)
    monkeypatch.setattr(large, "PIXELS", {2: 70**2, 3: 30**3})
    monkeypatch.setattr(tiles, "MEMORY", 60_000 if dims == 2 else 900_000)
    assert np.array_equal(segment(Seer(mirror(dims)), picture, overlap=extent(expected) if dims == 2 else 8), expected)


def test_blocks_of_a_large_stack_are_larger_than_what_they_look_at_beside_them():
    config = segmentation.load("nuclei-3d").network.config
    places = [*large._aligned((512, 2048, 2048), [32, 32, 32], config)]
    sides = np.array([[part.stop - part.start for part in place] for place in places])
    assert (sides.prod(1).sum(), sides.min() >= 64) == (512 * 2048 * 2048, True)
    assert (sides + 64).prod(1).max() <= large.PIXELS[3]
    assert all(part.start % step == 0 for place in places for part, step in zip(place, config.divisors, strict=True))


def test_larger_cells_are_joined():
    picture = np.zeros((90, 80), np.float32)
    picture[3:80, 5:9] = picture[40:60, 20:70] = picture[85:88, 12:79] = 1
    expected = label(picture, connectivity=1)
    for tile in (10, 16, (20, 10)):
        assert np.array_equal(segment(FLAT, picture, overlap=8, tile=tile), expected)


def test_the_shipped_kind_of_decoder_gives_the_same_cells(make_discs):
    image, _ = make_discs(np.random.default_rng(3), side=96, count=14, radius=(4, 6), gap=-2.0)
    smooth = ndimage.gaussian_filter(image, 1)
    picture = np.stack([smooth > 0.4, 0 * image, np.clip(ndimage.distance_transform_edt(smooth > 0.4) / 6, 0, 1)])
    seer = Seer(mirror(2, 3), Boundary(mask=0.6, seed=0.55, smallest=4))
    seer = replace(seer, decoder=replace(seer.decoder, levels=(0.6, 0.7)))
    said = seer.decoder.read(predict(seer.network, np.stack([seer.normalise(c) for c in picture.astype(np.float32)]), device="cpu"))
    expected = seer.decoder(said)
    assert expected.max() >= 10
    found = segment(seer, picture.astype(np.float32), overlap=40, tile=24)
    pairs = np.unique(np.stack([expected.ravel(), found.ravel()]), axis=1)
    assert pairs.shape[1] == expected.max() + 1 == found.max() + 1  # the same up to numbering


class Moody(Components):
    """Sees all cells one pixel larger when what it is shown has some height and not another."""

    def __call__(self, said):
        labels = super().__call__(said)
        return np.where(labels == 0, ndimage.grey_dilation(labels, 3), labels) if said.shape[1] % 4 else labels


def test_blocks_that_disagree_still_give_each_cell_once():
    picture = np.zeros((90, 90), np.float32)
    for y in range(4, 84, 11):
        for x in range(3, 84, 11):
            picture[y : y + 5, x : x + 5] = 1
    seer = replace(FLAT, decoder=Moody(mask=0.6, smallest=1))
    found = segment(seer, picture, overlap=10, tile=22)
    assert found.max() == 64 and len(np.unique(found)) == 65
    assert 64 * 25 < (found > 0).sum() < 64 * 49  # some were seen larger, not all
    assert [len(np.unique(found[picture > 0][label(picture)[picture > 0] == k])) for k in range(1, 65)] == [1] * 64


class Disk:
    """A picture, or labels, of which only parts can be had; it knows the largest."""

    def __init__(self, values):
        self.values, self.shape, self.dtype, self.most = values, values.shape, values.dtype, 0

    def __getitem__(self, place):
        part = self.values[place]
        self.most = max(self.most, part.size)
        return part

    def __setitem__(self, place, values):
        self.values[place] = values


def test_only_blocks_are_read_and_written(monkeypatch):
    monkeypatch.setattr("segmentation.normalise.BLOCK", {2: 50})
    values = (1000 * balls((150, 130), 30, 0)).astype(np.uint16)
    before = values.copy()
    picture, out = Disk(values), Disk(np.full(values.shape, 7, np.int32))
    assert segment(FLAT, picture, out, overlap=24, tile=20) is out
    assert np.array_equal(out.values, label(values > 0, connectivity=1)) and np.array_equal(values, before)
    assert picture.most <= (20 + 2 * 24 + 2 * 10) ** 2 and out.most <= (20 + 2 * 24) ** 2


def test_a_zarr_of_several_channels(tmp_path):
    zarr = pytest.importorskip("zarr")
    values = np.stack([balls((40, 50), 8, seed) for seed in range(3)])
    picture = zarr.create_array(str(tmp_path / "picture.zarr"), shape=values.shape, chunks=(1, 16, 16), dtype="f4")
    out = zarr.create_array(str(tmp_path / "out.zarr"), shape=(40, 50), chunks=(16, 16), dtype="i4")
    picture[:] = values
    seer = Seer(mirror(2, inputs=3, outputs=1))
    segment(seer, picture, out, overlap=50, tile=16)
    assert np.array_equal(out[:], label(values[1] > 0, connectivity=1))  # a residual network adds the middle channel


def test_classes_keep_their_numbers():
    picture = np.stack([np.full((30, 34), 0.5), *balls((2, 30, 34), 9, 1)]).astype(np.float32)
    seer = Seer(mirror(2, 3), Classes(("a", "b", "c")))
    ranges = [seer.normalise(c) for c in picture]
    expected = seer.decoder(seer.decoder.read(np.stack(ranges)))
    assert np.array_equal(segment(seer, picture, overlap=4, tile=8), expected) and set(np.unique(expected)) >= {0, 1}


@pytest.mark.parametrize("shape", [(1, 1), (5, 40), (0, 4)])
def test_tiny_empty_and_constant_pictures(shape):
    assert np.array_equal(segment(FLAT, np.zeros(shape)), np.zeros(shape))
    out = np.full(shape, 3, np.int64)
    segment(FLAT, np.full(shape, 9.0), out)
    assert not out.any()


def test_the_network_may_answer_without_padding():
    config = UNetConfig(inputs=1, outputs=1, width=1, depth=1, norm="none", residual=True, padding="valid")
    network = UNet(config)
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    picture = balls((50, 40), 9, 2)
    assert np.array_equal(segment(Seer(network), picture, overlap=30, tile=16), label(picture, connectivity=1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: segment(FLAT, np.zeros((2, 8, 8))),
            "picture has shape (2, 8, 8): the network wants 1 channel(s) and 2 spatial axes",
        ),
        (lambda: segment(FLAT, np.zeros((8, 8)), overlap=-1), "overlap is -1: give at least 0 pixels, better the size of the largest cell"),
        (
            lambda: segment(FLAT, np.zeros((8, 8)), np.zeros((8, 8), np.uint16)),
            "out has shape (8, 8) and dtype uint16: give integers of 32 or 64 bits of shape (8, 8)",
        ),
        (
            lambda: segment(FLAT, np.zeros((8, 8)), np.zeros((8, 9), np.int32)),
            "out has shape (8, 9) and dtype int32: give integers of 32 or 64 bits of shape (8, 8)",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()
