"""From probabilities to cells, and the floods underneath."""

import re

import numpy as np
import pytest

from segmentation import flooding
from segmentation.decoders.boundary import Boundary
from segmentation.flooding import distance_inside, drop_small, flood
from segmentation.quality import count
from segmentation.targets import targets


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
            lambda: Boundary()(np.zeros((8, 9))),
            "probabilities have shape (8, 9): give (2 or 3, [Z,] Y, X)",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()
