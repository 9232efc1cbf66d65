"""Looking from several sides."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from segmentation.decoders.affinity import SOLID, Affinity
from segmentation.decoders.boundary import Boundary
from segmentation.looking import VIEWS, View, are_pairs, average, directions_of
from segmentation.tiles import predict
from segmentation.unet import UNet, UNetConfig

ROWS = np.arange(24.0).reshape(1, 4, 6)


def test_a_view_by_hand():
    picture = np.array([[1, 2], [3, 4]])
    assert View()(picture).tolist() == [[1, 2], [3, 4]]
    assert View(True)(picture).tolist() == [[2, 1], [4, 3]]
    assert View(turns=1)(picture).tolist() == [[2, 4], [1, 3]]
    assert View(True, 1)(picture).tolist() == [[1, 3], [2, 4]]


def test_the_views_are_all_different_and_can_be_undone():
    for number, views in VIEWS.items():
        assert len({view(ROWS).tobytes() + bytes(view(ROWS).shape) for view in views}) == number
        assert all(np.array_equal(view.back(view(ROWS)), ROWS) for view in views)
    assert all(view(ROWS).shape == ROWS.shape for view in VIEWS[4])


@pytest.mark.parametrize("view", VIEWS[8])
def test_directions_turn_with_the_picture(view):
    picture = np.zeros((9, 9))
    picture[4, 4], picture[5, 7] = 1, 2  # from the first to the second: (1, 3)
    turned = view(picture)
    way = np.argwhere(turned == 2)[0] - np.argwhere(turned == 1)[0]
    assert tuple(way) == view.direction((1, 3)) and view.direction((9, 1, 3))[0] == 9


def asked(network):
    return lambda picture: predict(network, picture, device="cpu")


def test_the_mean_turns_with_the_picture():
    torch.manual_seed(0)
    for config, shape in ((UNetConfig(width=2, depth=1), (8, 12)), (UNetConfig(dims=3, width=2, depth=1), (4, 8, 12))):
        answer = asked(UNet(config))
        picture = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
        upright = average(answer, picture)
        assert upright.dtype == np.float32 and upright.shape == (3, *shape)
        assert np.abs(upright - answer(picture)).max() > 1e-3
        for view in VIEWS[8]:
            assert np.abs(average(answer, view(picture)) - view(upright)).max() < 1e-6
        assert np.array_equal(average(answer, picture, 1), answer(picture))


def test_one_that_sees_the_same_from_all_sides_is_not_changed():
    assert np.allclose(average(lambda picture: picture**2, ROWS), ROWS**2)


def steps(picture, ways):
    """How much brighter the pixel in each direction is, the picture going on mirrored."""
    wide = np.pad(picture[0], 1, mode="symmetric")
    return np.stack([wide[1 + y : wide.shape[0] - 1 + y, 1 + x : wide.shape[1] - 1 + x] - picture[0] for y, x in ways])


def test_channels_of_directions_are_exchanged():
    ways = [(0, 1), (1, 0), (0, -1), (-1, 0)]
    picture = np.random.default_rng(0).normal(size=(1, 5, 7))
    expected = steps(picture, ways)
    assert np.allclose(average(lambda p: steps(p, ways), picture, directions=ways), expected)
    assert np.abs(average(lambda p: steps(p, ways), picture) - expected).max() > 0.1  # as if they were none


def test_scalars_among_directions_stay():
    ways = [None, (0, 1), (0, -1)]
    picture = np.random.default_rng(0).normal(size=(1, 5, 7))
    answer = lambda p: np.concatenate([p, steps(p, ways[1:])])  # noqa: E731
    assert np.allclose(average(answer, picture, 4, directions=ways), answer(picture))


def test_what_the_decoders_say():
    assert directions_of(Boundary()) is None
    assert directions_of(SimpleNamespace(directions=((0, 1),))) == ((0, 1),)
    ways = directions_of(Affinity())
    assert ways[0] is None and len(ways) == len(Affinity().channels)
    assert (are_pairs(Affinity()), are_pairs(Boundary())) == (True, False)
    with pytest.raises(ValueError, match=r"^channel 2 is about the direction \(0.0, 1.0\), which no channel is about in every view: give"):
        average(lambda p: p, ROWS, directions=ways)


@pytest.mark.parametrize("views", [4, 8])
@pytest.mark.parametrize(("decoder", "shape"), [(Affinity(), (24, 24)), (Affinity(offsets=SOLID), (6, 24, 24))])
def test_pairs_are_the_same_from_either_end(decoder, shape, views):
    """Who says the truth of every pair in every view is believed as if the picture had been seen upright only."""
    labels = np.kron(np.random.default_rng(0).integers(0, 5, tuple(n // 6 for n in shape)), np.ones((6,) * len(shape), int))
    wanted = decoder.targets(labels)
    seen = average(lambda p: decoder.targets(p[0].astype(int)), labels[None], views, directions=directions_of(decoder), pairs=True)
    inside = np.zeros(wanted.shape, bool)  # pairs that the picture holds
    inside[0] = True
    for k, step in enumerate(decoder.offsets, start=1):
        inside[k][tuple(slice(max(-n, 0), side - max(n, 0)) for n, side in zip(step, shape, strict=True))] = True
    np.testing.assert_array_equal(seen[inside], wanted[inside])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: average(lambda p: p, ROWS, 3), "views is 3: give one of 1, 4, 8"),
        (
            lambda: average(lambda p: p, ROWS, 8, directions=((0.0, 1.0), (0.0, -1.0))),
            "channel 0 is about the direction (0.0, 1.0), which no channel is about in every view: give views=1",
        ),
    ],
)
def test_what_cannot_be_turned_is_refused(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()
