"""Tiles change nothing, whatever the network, the picture and the tiles; and only a tile is in memory at a time."""

import re
import tracemalloc

import numpy as np
import pytest
import torch

from segmentation import tiles
from segmentation.normalise import Percentiles, Range
from segmentation.tiles import mirrored, plan, predict
from segmentation.unet import UNet, UNetConfig


def trained_looking(config, seed=0):
    """A random network whose batch norms have statistics, as after training."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = UNet(config)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d):
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 2)
                module.weight.data.uniform_(0.5, 1.5)
    return network.eval()


SHAPES = [(1, 1), (5, 70), (16, 16), (33, 100), (130, 97)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_tiled_equals_untiled(shape, depth):
    network = trained_looking(UNetConfig(width=4, depth=depth), seed=depth)
    picture = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    whole = predict(network, picture, tile=None)
    assert whole.shape == (3, *shape) and whole.dtype == np.float32
    for tile in (16, 50, 1000):
        assert np.abs(predict(network, picture, tile=tile) - whole).max() < 1e-5


def some_config(rng):
    """A network of any shape that a configuration can have."""
    dims, depth, inputs = int(rng.integers(2, 4)), int(rng.integers(0, 3)), int(rng.integers(1, 3))
    kernels = [rng.choice([1, 3, 5], dims).tolist() for _ in range(depth + 1)]
    pooling = [rng.choice([1, 2, 3], dims).tolist() for _ in range(depth)]
    yes = rng.random(7) < 0.5
    return UNetConfig(
        dims=dims,
        depth=depth,
        inputs=inputs,
        outputs=inputs,
        width=2,
        kernels=kernels if yes[0] else (),
        pooling=pooling if yes[1] else (),
        padding=str(rng.choice(["same", "valid"])),
        upsampling=str(rng.choice(["transposed", "nearest", "linear"])),
        norm=str(rng.choice(["batch", "none"])),
        residual=bool(yes[2]),
        blurpool=bool(yes[3]),
        top_skip=bool(yes[4]),
        skips=bool(yes[5] or yes[6]),
    )


@pytest.mark.parametrize("seed", range(24))
def test_tiled_equals_untiled_for_every_kind_of_network(seed):
    rng = np.random.default_rng(seed)
    config = some_config(rng)
    network = trained_looking(config, seed)
    shape = rng.integers(1, 70 if config.dims == 2 else 22, config.dims)
    picture = rng.normal(size=(config.inputs, *shape)).astype(np.float32)
    whole = predict(network, picture, tile=None)
    tiled = predict(network, picture, tile=tuple(int(d * rng.integers(1, 6)) for d in config.divisors))
    assert whole.shape == (config.outputs, *shape)
    assert np.abs(tiled - whole).max() <= 1e-5 * max(1, np.abs(whole).max())


def test_a_shorter_halo_would_be_seen(monkeypatch):
    network = trained_looking(UNetConfig(width=4, depth=2))
    picture = np.random.default_rng(0).normal(size=(1, 96, 96)).astype(np.float32)
    whole = predict(network, picture, tile=None)
    monkeypatch.setattr(UNetConfig, "halos", (4, 4))
    assert np.abs(predict(network, picture, tile=24) - whole).max() > 1e-4


def test_tiles_between_the_multiples_of_the_divisor_would_be_seen(monkeypatch):
    network = trained_looking(UNetConfig(width=4, depth=2, padding="valid"))
    picture = np.random.default_rng(0).normal(size=(1, 40, 40)).astype(np.float32)
    whole = predict(network, picture, tile=None)
    for first, least, most in ((20, 0, 1e-5), (21, 1e-4, np.inf)):
        places = [(slice(0, first), slice(0, 40)), (slice(first, 40), slice(0, 40))]
        monkeypatch.setattr(tiles, "cut", lambda *_, places=places: places)
        assert least <= np.abs(predict(network, picture, tile=20) - whole).max() <= most


def test_three_dimensions():
    network = trained_looking(UNetConfig(dims=3, width=2, depth=1))
    picture = np.random.default_rng(0).normal(size=(1, 7, 20, 33)).astype(np.float32)
    whole = predict(network, picture, tile=None)
    assert whole.shape == (3, 7, 20, 33)
    assert np.abs(predict(network, picture, tile=8) - whole).max() < 1e-5


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("shape", [(256, 160), (250, 7)])
def test_tiles_cover_every_pixel_once_and_no_read_exceeds_tile_and_halo(padding, shape):
    config = UNetConfig(depth=3, padding=padding)
    halo = -(-max(config.halos) // 8) * 8
    covered = np.zeros(shape, int)
    for part in plan(covered.shape, 64, config):
        covered[part.write] += 1
        for read, keep, write in zip(part.read, part.keep, part.write, strict=True):
            assert write.start % 8 == 0 and write.stop - write.start <= 64
            assert read.start + keep.start + config.margins[0] == write.start and keep.stop - keep.start == write.stop - write.start
            assert read.stop - read.start <= 64 + 2 * halo
        assert config.fits([read.stop - read.start for read in part.read])
    assert (covered == 1).all()


@pytest.mark.parametrize(("dims", "shape"), [(2, (30000, 50000)), (3, (40, 3000, 5000)), (2, (64, 64))])
def test_the_tiles_size_is_chosen_by_memory(dims, shape):
    config = UNetConfig(dims=dims, depth=2 if dims == 3 else 4)
    parts = list(plan(shape, 0, config))
    most = max(np.prod([read.stop - read.start for read in part.read]) for part in parts)
    assert most * (5 * config.width + config.inputs + config.outputs) * 4 <= tiles.MEMORY
    assert most > min(0.4 * tiles.MEMORY / 4 / (5 * config.width + 4), np.prod(shape) - 1)  # and not much smaller than need be


@pytest.mark.parametrize("place", [(0, 5), (-3, 2), (3, 9), (-14, 21), (4, 5), (7, 12)])
def test_mirroring_is_that_of_the_whole_picture(place):
    picture = np.random.default_rng(0).integers(0, 9, (2, 5, 8))
    padded = np.pad(picture, [(0, 0), (20, 20), (20, 20)], mode="symmetric")
    found = mirrored(picture, (slice(*place), slice(-2, 11)))
    assert np.array_equal(found, padded[:, 20 + place[0] : 20 + place[1], 18:31])


class Watched:
    """A picture that knows how much of it was read at a time."""

    def __init__(self, values):
        self.values, self.shape, self.most = values, values.shape, 0

    def __getitem__(self, place):
        part = self.values[place]
        self.most = max(self.most, part.size)
        return part


def test_a_picture_on_disk_is_read_and_written_tile_by_tile(tmp_path):
    network = trained_looking(UNetConfig(width=2, depth=1, outputs=2))
    values = np.random.default_rng(0).integers(0, 4000, (300, 200)).astype(np.uint16)
    picture = np.memmap(tmp_path / "picture", np.uint16, "w+", shape=values.shape)
    picture[:] = values
    watched, out = Watched(picture), np.memmap(tmp_path / "out", np.float32, "w+", shape=(2, 300, 200))
    given = predict(network, watched, tile=40, normalise=Percentiles().over(picture), out=out)
    assert given is out and watched.most <= (40 + 20) ** 2
    assert np.abs(out - predict(network, Percentiles()(values)[None], tile=None)).max() < 1e-5
    assert np.array_equal(picture, values)


def test_memory_is_that_of_a_tile(monkeypatch):
    monkeypatch.setattr(tiles, "keep_memory", lambda: False)
    network = trained_looking(UNetConfig(width=2, depth=1, outputs=1))
    peaks = []
    for length in (64, 1024):
        picture, out = np.zeros((length, 256), np.float32), np.zeros((1, length, 256), np.float32)
        tracemalloc.start()
        predict(network, picture, tile=64, out=out, normalise=Range(0, 1))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] + 50_000


def test_training_mode_is_left_for_prediction():
    network = trained_looking(UNetConfig(width=4, depth=1)).train()
    picture = np.random.default_rng(0).normal(size=(1, 32, 32)).astype(np.float32)
    first = predict(network, picture)
    assert np.array_equal(first, predict(network, 1 * picture)) and not network.training


def test_a_picture_without_pixels():
    assert predict(UNet(UNetConfig(width=2, depth=1)), np.zeros((1, 0, 5), np.float32)).shape == (3, 0, 5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: UNetConfig(dims=4), "UNetConfig.dims is 4: a U-Net has 2 or 3 spatial axes"),
        (lambda: UNetConfig(width=0), "UNetConfig.width is 0: give an integer of at least 1"),
        (lambda: UNetConfig(depth=-1), "UNetConfig.depth is -1: give an integer of at least 0"),
        (
            lambda: UNet(UNetConfig(width=2, depth=2))(torch.zeros(1, 1, 6, 8)),
            "input of spatial shape (6, 8) does not fit the network: give 2 axes, each a multiple of 4",
        ),
        (
            lambda: predict(UNet(UNetConfig(width=2, depth=1)), np.zeros((2, 8, 8), np.float32)),
            "picture has shape (2, 8, 8): the network wants 1 channel(s) and 2 spatial axes",
        ),
        (
            lambda: predict(UNet(UNetConfig(width=2, depth=1)), np.zeros((1, 8, 8), np.float32), out=np.zeros((8, 8))),
            "out has shape (8, 8): the answer has (3, 8, 8)",
        ),
        (
            lambda: predict(UNet(UNetConfig(width=2, depth=2)), np.zeros((1, 8, 8), np.float32), tile=(4,)),
            "tile is (4,) pixels: give at least 4, the divisor of the network",
        ),
        (
            lambda: predict(UNet(UNetConfig(width=2, depth=3)), np.zeros((1, 8, 8), np.float32), tile=4),
            "tile is 4 pixels: give at least 8, the divisor of the network",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()
