"""The network sees exactly as far as it says, and tiles change nothing."""

import re

import numpy as np
import pytest
import torch

from segmentation.tiles import plan, predict
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


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_the_halo_is_the_measured_reach(depth):
    config = UNetConfig(width=2, depth=depth, outputs=1)
    network = trained_looking(config).double()
    for parameter in network.parameters():
        parameter.data.abs_()  # no ReLU is shut, nothing cancels
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.zero_()
    side = -(-(2 * config.halo + 3 * config.divisor) // config.divisor) * config.divisor
    middle = side // 2
    reach = 0
    for at in range(middle, middle + config.divisor):  # every place within the coarsest cell
        picture = torch.rand(1, 1, side, side, dtype=torch.float64, requires_grad=True)
        network(picture)[0, 0, at, at].backward()
        seen = torch.nonzero(picture.grad[0, 0])
        reach = max(reach, int((seen - at).abs().max()))
    assert reach <= config.halo
    assert reach >= config.halo - config.divisor  # the maxima of the utmost cells may lie nearer


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


def test_a_shorter_halo_or_unaligned_tiles_would_be_seen(monkeypatch):
    network = trained_looking(UNetConfig(width=4, depth=2))
    picture = np.random.default_rng(0).normal(size=(1, 96, 96)).astype(np.float32)
    whole = predict(network, picture, tile=None)
    monkeypatch.setattr(UNetConfig, "halo", 4)
    assert np.abs(predict(network, picture, tile=24) - whole).max() > 1e-4


def test_three_dimensions():
    network = trained_looking(UNetConfig(dims=3, width=2, depth=1))
    picture = np.random.default_rng(0).normal(size=(1, 7, 20, 33)).astype(np.float32)
    whole = predict(network, picture, tile=None)
    assert whole.shape == (3, 7, 20, 33)
    assert np.abs(predict(network, picture, tile=8) - whole).max() < 1e-5


def test_tiles_cover_every_pixel_once_and_no_read_exceeds_tile_and_halo():
    config = UNetConfig(depth=3)
    halo = -(-config.halo // 8) * 8
    covered = np.zeros((256, 160), int)
    for part in plan(covered.shape, 64, config):
        covered[part.write] += 1
        for read, keep, write in zip(part.read, part.keep, part.write, strict=True):
            assert read.start % 8 == 0 and write.start % 8 == 0
            assert read.start + keep.start == write.start and keep.stop - keep.start == write.stop - write.start
            assert write.stop - write.start <= 64 and read.stop - read.start <= 64 + 2 * halo
    assert (covered == 1).all()


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
            lambda: predict(UNet(UNetConfig(width=2, depth=3)), np.zeros((1, 8, 8), np.float32), tile=4),
            "tile is 4 pixels: give at least 8, the divisor of the network",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()
