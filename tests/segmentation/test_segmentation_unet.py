"""The network sees exactly as far as it says, in every shape it can have."""

import itertools
import json
import re
from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch.nn import functional

from segmentation import layers
from segmentation.layers import BlurPool, Enlarge
from segmentation.unet import UNet, UNetConfig, trim

ODD = {"kernels": ((1, 3), (3, 5), (3, 1)), "pooling": ((1, 2), (3, 2)), "depth": 2}
SHAPES = [
    *({"depth": depth} for depth in range(3)),
    ODD,
    {"dims": 3, "depth": 1, "pooling": ((1, 2, 2),), "kernels": ((1, 3, 3), (3, 3, 3))},
]
WAYS = [
    {"upsampling": up, "padding": padding, "blurpool": blur}
    for up, padding, blur in itertools.product(("transposed", "nearest", "linear"), ("same", "valid"), (False, True))
]


def open_network(config):
    """A network through which everything is seen: no weight is zero or negative, no ReLU shut."""
    network = UNet(config).double().eval()
    for parameter in network.parameters():
        parameter.data.abs_().add_(0.01)
    return network


def random_network(config, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return UNet(config).double().eval()


def reach(network):
    """How far the answers of all places within a coarsest cell depend on the picture, per axis."""
    config = network.config
    shape = config.sides([3 * d + 2 * h for d, h in zip(config.divisors, config.halos, strict=True)])
    picture = torch.ones(1, config.inputs, *shape, dtype=torch.float64, requires_grad=True)
    answer = network(picture)
    first = [(h // d + 1) * d if m == 0 else 0 for h, d, m in zip(config.halos, config.divisors, config.margins, strict=True)]
    far = [0] * config.dims
    for phase in itertools.product(*map(range, config.divisors)):
        at = [a + b for a, b in zip(first, phase, strict=True)]
        (slope,) = torch.autograd.grad(answer[(0, 0, *at)], picture, retain_graph=True)
        seen = torch.nonzero(slope[0, 0]) - torch.tensor([a + m for a, m in zip(at, config.margins, strict=True)])
        far = [max(a, int(b)) for a, b in zip(far, seen.abs().amax(0), strict=True)]
    return tuple(far)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(map(str, way.values())))
def test_the_halo_is_the_measured_reach(monkeypatch, way):
    shapes = [*SHAPES, {"depth": 3}] if list(way.values()) == ["transposed", "same", False] else SHAPES
    means = {2: functional.avg_pool2d, 3: functional.avg_pool3d}  # a mean sees every pixel that the maximum may take
    monkeypatch.setattr(layers, "_MAXIMUM", means)
    for shape in shapes:
        config = UNetConfig(**{"width": 1, "outputs": 1, **shape, **way})
        network = open_network(config)
        if not config.blurpool:
            mean = torch.nn.AvgPool2d if config.dims == 2 else torch.nn.AvgPool3d
            network.pool = torch.nn.ModuleList(mean(factors) for factors in config.factors)
        assert reach(network) == config.halos, config


def test_the_halo_by_hand():
    assert UNetConfig(depth=0).halos == (2, 2)
    assert UNetConfig(depth=1).halos == (9, 9)  # 2, then 2 coarse pixels and up to 1 to the cell's side, then 2
    assert UNetConfig(depth=4).halos == (107, 107)
    assert UNetConfig(dims=3, depth=2, pooling=((1, 2, 2), (2, 2, 2))).halos == (13, 23, 23)
    assert UNetConfig(dims=3, depth=2, pooling=((1, 2, 2), (2, 2, 2))).divisors == (2, 4, 4)


def test_the_first_u_net_by_its_numbers():
    config = UNetConfig(depth=4, padding="valid")
    assert config.margins == (92, 92) and config.sides((388, 388)) == (572, 572)
    assert config.fits((572, 572)) and not config.fits((573, 572)) and not config.fits((572,)) and not config.fits((156, 572))


@pytest.mark.parametrize("way", [way for way in WAYS if way["padding"] == "valid"], ids=lambda way: "-".join(map(str, way.values())))
def test_without_padding_the_answer_is_that_of_the_middle(way):
    for shape in (ODD, {"depth": 1}, {"dims": 3, "depth": 1, "pooling": ((1, 2, 2),)}):
        config = UNetConfig(**{**way, "width": 2, "outputs": 1, **shape})
        padded = UNetConfig(**{**asdict(config), "padding": "same"})
        network, other = random_network(config), UNet(padded).double().eval()
        other.load_state_dict(network.state_dict())
        side, divisors, margins = config.sides(config.divisors), config.divisors, config.margins
        least = [h + d - m for h, d, m in zip(config.halos, divisors, margins, strict=True)]  # far enough from the rim of zeros
        down = [config._lost(axis)[0] for axis in range(config.dims)]
        start = [a + -(a + b) % d for a, b, d in zip(least, down, divisors, strict=True)]  # both part the pixels in the same groups
        length = [-(-(2 * a + n + 2 * d) // d) * d for a, n, d in zip(start, side, divisors, strict=True)]
        whole = torch.randn(1, 1, *length, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        answer = network(whole[(..., *(slice(a, a + n) for a, n in zip(start, side, strict=True)))])
        places = (slice(a + m, a + n - m) for a, n, m in zip(start, side, margins, strict=True))
        expected = other(whole)[(..., *places)]
        assert answer.shape == expected.shape and answer.std() > 0
        assert torch.allclose(answer, expected, atol=1e-12)


def test_old_weights_keep_their_names():
    names = set(UNet(UNetConfig(width=2, depth=1)).state_dict())
    norm = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
    blocks = {f"{way}.{k}.{i}.{n}" for way, k in (("down", 0), ("down", 1), ("up", 0)) for i in (1, 4) for n in norm}
    weights = {f"{way}.{k}.{i}.weight" for way, k in (("down", 0), ("down", 1), ("up", 0)) for i in (0, 3)}
    assert names == blocks | weights | {"widen.0.weight", "widen.0.bias", "head.weight", "head.bias"}
    assert set(UNet(UNetConfig(width=2, depth=1, blurpool=True)).state_dict()) == names


def test_a_config_survives_json():
    config = UNetConfig(dims=3, depth=1, pooling=((1, 2, 2),), kernels=((1, 3, 3), (3, 3, 3)), residual=True, outputs=1)
    assert UNetConfig(**json.loads(json.dumps(asdict(config)))) == config
    assert hash(UNetConfig(dims=3, depth=1, pooling=[[1, 2, 2]])) is not None


def test_what_is_skipped_is_not_seen():
    full = UNet(UNetConfig(width=2, depth=2))
    assert [up[0].in_channels for up in full.up] == [4, 8]
    assert [up[0].in_channels for up in UNet(UNetConfig(width=2, depth=2, top_skip=False)).up] == [2, 8]
    plain = random_network(UNetConfig(width=2, depth=2, skips=False, outputs=1))
    assert [up[0].in_channels for up in plain.up] == [2, 4]
    with torch.no_grad():
        plain.down[2][0].weight.zero_()  # cut at the bottom: nothing of the picture comes through
        first, second = (plain(torch.randn(1, 1, 8, 8, dtype=torch.float64)) for _ in range(2))
    assert torch.equal(first, second)


def test_the_picture_is_added_to_what_a_residual_network_says():
    config = UNetConfig(inputs=5, outputs=1, width=2, depth=1, residual=True, padding="valid")
    network = random_network(config)
    for parameter in network.head.parameters():
        parameter.data.zero_()
    picture = torch.randn(1, 5, 28, 30, dtype=torch.float64)
    assert torch.equal(network(picture), picture[:, 2:3, 8:-8, 8:-8])


def test_without_norm_there_is_nothing_to_run():
    names = UNet(UNetConfig(width=2, depth=1, norm="none")).state_dict()
    assert "down.0.0.bias" in names and not any("running" in name for name in names)


def test_linear_enlarging_is_that_of_the_library():
    picture = torch.randn(1, 2, 5, 7, dtype=torch.float64)
    for factors in ((2, 2), (1, 2), (3, 4)):
        expected = functional.interpolate(picture, scale_factor=factors, mode="bilinear", align_corners=False)
        assert torch.allclose(Enlarge(factors, linear=True, same=True)(picture), expected)
        repeated = functional.interpolate(picture, scale_factor=factors, mode="nearest")
        assert torch.equal(Enlarge(factors, linear=False, same=True)(picture), repeated)


def test_blurpool_by_hand():
    row = torch.tensor([0.0, 4.0, 0.0, 0.0, 8.0, 0.0]).reshape(1, 1, 1, 6)
    # maxima of neighbours, the ends repeated: (0 0) 0, (0 4) 4, (4 0) 4, (0 0) 0, (0 8) 8, (8 0) 8, (0 0) 0
    expected = torch.tensor([(0 + 2 * 4 + 4) / 4, (4 + 2 * 0 + 8) / 4, (8 + 2 * 8 + 0) / 4])
    assert torch.equal(BlurPool((1, 2), same=True)(row).flatten(), expected)
    assert torch.equal(BlurPool((1, 2), same=False)(row).flatten(), expected[1:2])


def test_blurpool_moves_less_with_the_picture_than_plain_pooling():
    rng = torch.Generator().manual_seed(0)
    picture = torch.rand(1, 1, 64, 65, generator=rng)
    moved = {}
    for name, pool in (("blur", BlurPool((2, 2), same=True)), ("plain", torch.nn.MaxPool2d(2))):
        first, second = pool(picture[..., :-1]), pool(picture[..., 1:])
        moved[name] = float((first - second).square().mean() / first.var())
    assert moved["blur"] < 0.5 * moved["plain"]


def test_targets_are_cut_to_the_answer():
    config = UNetConfig(depth=1, width=2, padding="valid")
    wanted = torch.arange(28 * 30.0).reshape(1, 1, 28, 30)
    assert torch.equal(trim(wanted, config), wanted[..., 8:-8, 8:-8])
    assert torch.equal(trim(wanted, UNetConfig()), wanted)
    assert UNet(config).eval()(wanted).shape[2:] == trim(wanted, config).shape[2:]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"padding": "reflect"}, "UNetConfig.padding is 'reflect': give one of same, valid"),
        ({"upsampling": "cubic"}, "UNetConfig.upsampling is 'cubic': give one of transposed, nearest, linear"),
        ({"norm": "group"}, "UNetConfig.norm is 'group': give one of batch, none"),
        ({"pooling": ((2, 2),)}, "UNetConfig.pooling is ((2, 2),): give 4 times 2 integers of at least 1, or nothing"),
        ({"depth": 1, "pooling": ((0, 2),)}, "UNetConfig.pooling is ((0, 2),): give 1 times 2 integers of at least 1, or nothing"),
        ({"depth": 0, "kernels": ((3, 4),)}, "UNetConfig.kernels is ((3, 4),): give 1 times 2 odd integers, or nothing"),
        ({"depth": 0, "kernels": ((3,),)}, "UNetConfig.kernels is ((3,),): give 1 times 2 odd integers, or nothing"),
        (
            {"residual": True, "inputs": 2, "outputs": 1},
            "UNetConfig.residual has no middle 1 of 2 channels: give as many inputs as outputs, or an even number more",
        ),
    ],
)
def test_a_shape_that_cannot_be_is_refused(change, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        UNetConfig(**change)


@pytest.mark.parametrize(
    ("config", "shape", "message"),
    [
        (
            UNetConfig(width=1, depth=1, padding="valid"),
            (19, 20),
            "input of spatial shape (19, 20) does not fit the network: give 2 axes, each 18 or a multiple of 2 more",
        ),
        (
            UNetConfig(width=1, dims=3, depth=1, pooling=((1, 2, 2),)),
            (3, 3, 4),
            "input of spatial shape (3, 3, 4) does not fit the network: give 3 axes, each a multiple of (1, 2, 2)",
        ),
    ],
)
def test_a_picture_that_does_not_fit_is_refused(config, shape, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        UNet(config)(torch.from_numpy(np.zeros((1, 1, *shape), np.float32)))
