"""From probabilities to cells, and the floods underneath."""

import re

import numpy as np
import pytest
import torch

from segmentation import flooding
from segmentation.decoders.boundary import CLOSE, Boundary
from segmentation.flooding import distance_inside, drop_small, flood
from segmentation.losses import BCEDice
from segmentation.quality import count
from segmentation.targets import narrowness, targets


def touching_discs():
    """Seven discs that overlap: each pixel belongs to the nearest centre."""
    rows, columns = np.indices((70, 120))
    centres = [(20, 20), (20, 38), (20, 56), (36, 29), (36, 47), (50, 90), (34, 95)]
    away = np.array([np.hypot(rows - y, columns - x) for y, x in centres])
    return np.where(away.min(0) <= 10, away.argmin(0) + 1, 0).astype(np.int32)


@pytest.mark.parametrize("decoder", [Boundary(), Boundary(levels=()), Boundary(seed=0.2, mask=0.3)])
def test_perfect_probabilities_give_the_cells_back(decoder):
    labels = touching_discs()
    found = decoder(targets(labels))
    assert found.dtype == np.int32 and found.max() == 7
    assert (count(labels, found, (0.9,)).ap == 1).all()
    assert ((found > 0) == (labels > 0)).all()


def test_without_the_boundary_the_same_discs_run_together():
    said = targets(touching_discs())
    said[1] = 0
    assert Boundary(levels=())(said).max() == 2


def test_depth_parts_cells_whose_boundary_was_missed():
    labels = touching_discs()
    said = targets(labels)
    said[1] = 0
    assert (count(labels, Boundary()(said), (0.8,)).ap == 1).all()


def ridge(*heights):
    """A long cell whose depth follows these heights along its length, and no boundary inside."""
    said = np.zeros((3, 20, 60), np.float32)
    said[0, 5:15, 5:55] = 1
    said[2, 5:15, 5:55] = np.interp(np.linspace(0, len(heights) - 1, 50), np.arange(len(heights)), heights)
    return said


@pytest.mark.parametrize(
    ("heights", "flat", "risen"),
    [
        ((0.9, 0.65, 0.9), 1, 2),  # two clear peaks with a high saddle: the usual levels up to 0.6 miss it
        ((0.55, 0.44, 0.55), 2, 1),  # a ripple
        ((0.9, 0.3, 0.9, 0.3, 0.9), 3, 3),
        ((0.9, 0.65, 0.75, 0.72, 0.74), 1, 1),  # one peak and a shoulder
        ((0.4, 0.9, 0.4), 1, 1),
    ],
)
def test_a_seed_falls_apart_between_peaks_that_rise(heights, flat, risen):
    assert Boundary(levels=(0.3, 0.4, 0.5, 0.6))(ridge(*heights)).max() == flat
    assert Boundary(levels=CLOSE, rise=0.15)(ridge(*heights)).max() == risen


@pytest.mark.parametrize("rise", [0.1, 0.2, 0.3])
def test_a_higher_rise_never_gives_more_cells(rise):
    noise = np.random.default_rng(3).normal(0, 0.05, (3, 70, 120)).astype(np.float32)
    said = targets(touching_discs()) * 0.9 + noise
    said[1] = 0
    counts = [Boundary(levels=CLOSE, rise=r)(said).max() for r in (0.05, rise, 0.9)]
    assert counts[0] >= counts[1] >= counts[2] == 2


def test_narrow_ground_counts_more_in_the_loss_and_changes_nothing_else():
    labels = touching_discs()
    plain, decoder = Boundary(), Boundary(narrow=5.0, reach=2.0)
    wanted = decoder.targets(labels)
    assert np.array_equal(wanted[:3], plain.targets(labels)) and plain.targets(labels).shape[0] == 3
    assert np.allclose(wanted[3], 1 + 5 * narrowness(labels, 2.0))
    assert np.array_equal(decoder(wanted[:3]), plain(wanted[:3]))
    both = torch.from_numpy(wanted)[None]
    answers = torch.zeros(1, 3, *labels.shape, requires_grad=True)
    assert decoder.loss(answers, both[:, :3]) == BCEDice()(answers, both[:, :3])
    assert float(decoder.loss(torch.where(both[:, :3] > 0.5, 40.0, -40.0)[:, :2], both[:, [0, 1]])) == pytest.approx(0, abs=1e-5)
    decoder.loss(answers, both).backward()
    strong = answers.grad.clone()
    answers.grad = None
    decoder.loss(answers, both[:, :3]).backward()
    more = (strong.abs() - answers.grad.abs())[0].sum(0)
    assert (more[wanted[3] > 1.5] > 0).all() and torch.allclose(more[wanted[3] == 1], torch.zeros(()))


def test_unknown_ground_has_no_say_however_narrow():
    labels = np.array([[1, 1, -1, 2, 2, 0]])
    wanted = torch.from_numpy(Boundary(narrow=5.0).targets(labels))[None]
    answers = torch.zeros(1, 3, 1, 6, requires_grad=True)
    Boundary(narrow=5.0).loss(answers, wanted).backward()
    assert not answers.grad[..., 2].any() and answers.grad[..., 1].any()


def test_a_dent_smaller_than_a_speck_splits_nothing():
    labels = np.zeros((30, 30), np.int32)
    labels[5:25, 5:25] = 1
    said = targets(labels)
    said[2, 15] *= 0.3  # a furrow through the middle
    assert Boundary(speck=3)(said).max() == 2
    assert Boundary(speck=200)(said).max() == 1


def test_noise_on_the_probabilities_is_borne():
    labels = touching_discs()
    said = targets(labels) * 0.8 + 0.1 + np.random.default_rng(0).normal(0, 0.04, (3, *labels.shape))
    assert (count(labels, Boundary()(said.astype(np.float32)), (0.8,)).ap == 1).all()


def test_cells_too_small_for_a_seed_survive():
    labels = np.zeros((20, 20), np.int32)
    labels[5:7, 5:15] = 1  # two pixels wide: all of it is boundary
    assert Boundary(smallest=10)(targets(labels)).max() == 1
    assert Boundary(smallest=21)(targets(labels)).max() == 0


def test_a_fragment_goes_to_its_neighbour_by_flooding():
    said = np.zeros((2, 20, 30), np.float32)
    said[0, 5:15, 5:25] = 1
    said[1, 5:15, 21] = 1  # a boundary that cuts off 10 x 3 pixels
    assert Boundary(smallest=10)(said).max() == 2
    found = Boundary(smallest=45)(said)
    assert found.max() == 1 and (found > 0).sum() == 200


def test_what_the_network_is_unsure_of_vanishes():
    labels = touching_discs()
    said = targets(labels)
    said[0] *= np.array([0, 0.9, 0.6, 0.9, 0.9, 0.65, 0.9, 0.9])[labels]
    assert Boundary()(said).max() == 7
    found = Boundary(sure=0.7)(said)
    assert (count(np.where(np.isin(labels, (2, 5)), 0, labels), found, (0.8,)).ap == 1).all()
    assert Boundary(sure=0.95)(said).max() == 0


def test_three_dimensions():
    labels = np.zeros((10, 16, 30), np.int32)
    labels[2:8, 3:13, 3:15], labels[2:8, 3:13, 15:27] = 1, 2
    found = Boundary()(targets(labels))
    assert found.max() == 2 and (count(labels, found, (0.8,)).ap == 1).all()


def test_nothing_in_nothing_out():
    found = Boundary()(np.zeros((3, 8, 9), np.float32))
    assert found.shape == (8, 9) and not found.any()


def test_numbers_are_consecutive_after_removal():
    labels = np.array([[0, 4, 4, 4, 0, 2, 0, 9, 9]])
    assert drop_small(labels, 2).tolist() == [[0, 1, 1, 1, 0, 0, 0, 2, 2]]


@pytest.mark.parametrize("shape", [(60, 70), (8, 30, 31)])
def test_both_floods_and_distances_agree(monkeypatch, shape):
    rng = np.random.default_rng(0)
    mask = rng.random(shape) < 0.97
    terrain = -distance_inside(mask)
    seeds = np.zeros(shape, np.int32)
    seeds[tuple(rng.integers(0, n, 6) for n in shape)] = np.arange(1, 7)
    fast = flood(terrain, seeds, mask), distance_inside(mask, range(1, 1 + len(shape)))
    monkeypatch.setattr(flooding, "_fast_watershed", None)
    monkeypatch.setattr(flooding, "_fast_distance", None)
    slow = flood(terrain, seeds, mask), distance_inside(mask, range(1, 1 + len(shape)))
    assert fast[0].dtype == slow[0].dtype == np.int32
    assert ((fast[0] > 0) == (slow[0] > 0)).all()
    assert fast[1] == pytest.approx(slow[1], abs=1e-4)
    discs = touching_discs()
    landscape = -distance_inside(discs > 0) + targets(discs)[1]
    start = np.where(targets(discs)[2] > 0.7, discs, 0)
    slow_discs = flood(landscape, start, discs > 0)
    monkeypatch.undo()
    assert (flood(landscape, start, discs > 0) == slow_discs).mean() > 0.99


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: Boundary(seed=1.5, levels=()),
            "thresholds are seed 1.5, mask 0.5, levels (): give seed in -1..1, mask and levels in 0..1",
        ),
        (
            lambda: Boundary(sure=1.0),
            "sure is 1.0 and spacing None: give sure in 0..1, without 1, and positive sizes or None",
        ),
        (
            lambda: Boundary(rise=1.0, narrow=-1.0),
            "rise is 1.0, narrow -1.0 and reach 3.0: give rise in 0..1, without 1, narrow of at least 0 and a positive reach, both finite",
        ),
        (
            lambda: Boundary()(np.zeros((8, 9))),
            "probabilities have shape (8, 9): give (2 or 3, [Z,] Y, X)",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()
