"""Births: daughters that are first seen late, in costs by hand, in laws, and in films of which every birth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from scipy import integrate

from lineage.candidates import nearest
from lineage.detections import Detections
from lineage.forest import Forest
from lineage.graph import CandidateGraph
from lineage.linking import link
from lineage.program import all_pairs
from lineage.scoring import Daughters, film
from lineage.scoring.births import Births
from lineage.scoring.daughters import log_around
from lineage.scoring.film import estimate, first_guess
from lineage.solving import solve

# When they are seen


def test_costs_by_hand():
    births = Births(together=0.2, apart=0.1, again=0.5)
    dt = np.array([[1, 1], [2, 2], [4, 4], [1, 2], [2, 1], [1, 3], [2, 3]])
    chance = [0.7, 0.2, 0.2 * 0.25, 0.05, 0.05, 0.05 * 0.5, 0.05 * 0.25]
    np.testing.assert_allclose(births(dt), -np.log(chance))
    assert births(np.zeros((0, 2), np.int64)).shape == (0,)


@effort(max_examples=50, deadline=None)
@given(st.floats(1e-6, 0.4), st.floats(1e-6, 0.4))
def test_one_of_these_happens(together, apart):
    """With what is missed seen in the next frame for certain, the chances of all that may be sum to 1."""
    births = Births(together, apart, 1e-300)
    assert np.exp(-births(np.array([[1, 1], [2, 2], [1, 2], [2, 1]]))).sum() == pytest.approx(1)


def test_births_are_counted():
    dt = np.array([[1, 1]] * 85 + [[2, 2]] * 7 + [[1, 2], [3, 1], [2, 3]])
    births = Births.fit(dt, 0.01, 0.4)
    assert births == Births((7 + 0.05) / 100, pytest.approx((3 + 5 * 2 * 0.01 * 0.99) / 100), 0.4)
    nothing = Births.fit(np.zeros((0, 2), np.int64), 0.01, 0.4)  # then they are missed as all cells are
    assert (nothing.together, nothing.apart) == pytest.approx((0.01, 0.0198))


# Where they lie


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(("radius", "spread"), [(1.0, 0.2), (1.0, 2.0), (0.0, 1.0), (3.0, 0.01)])
def test_a_place_around_another_is_a_probability(dims, radius, spread):
    def shell(r):
        return np.exp(log_around(np.array([r]), radius, spread, dims))[0] * (2 * np.pi * r if dims == 2 else 4 * np.pi * r**2)

    near = max(radius - 8 * spread, 0.0)
    assert integrate.quad(shell, near, radius + 8 * spread, points=[radius], limit=200)[0] == pytest.approx(1, abs=1e-4)
    assert np.isfinite(log_around(np.zeros(1), radius, spread, dims)).all()


@pytest.mark.parametrize("dims", [2, 3])
def test_a_place_around_another_is_a_blurred_ring(dims):
    rng = np.random.default_rng(0)
    way = rng.normal(size=(200_000, dims))
    places = 2.0 * way / np.linalg.norm(way, axis=1)[:, None] + rng.normal(0, 0.7, way.shape)
    count, ends = np.histogram(np.linalg.norm(places, axis=1), bins=np.linspace(0.5, 4, 8))
    middle = (ends[1:] + ends[:-1]) / 2
    volume = np.pi * np.diff(ends**2) if dims == 2 else 4 / 3 * np.pi * np.diff(ends**3)
    np.testing.assert_allclose(np.exp(log_around(middle, 2.0, 0.7, dims)), count / len(way) / volume, rtol=0.1)


def couple(place, dt=(1, 1), dims=2):
    """A mother at the origin and two cells; the graph and the pair of links."""
    order = np.argsort(dt, kind="stable")
    places = np.vstack([np.zeros(dims), np.array(place, float)[order]])
    cells = Detections([0, *np.array(dt)[order]], places, np.ones(3, int))
    return CandidateGraph(cells, [0, 0], [1, 2], {"distance": np.linalg.norm(places[1:], axis=1)}), np.array([[0, 1]])


@effort(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([2, 3]), st.integers(1, 5), st.floats(0.01, 3), st.floats(0.01, 3))
def test_no_place_costs_less_than_the_least(seed, dims, late, spread, offset):
    score = Daughters(1.5, spread, offset, 0.01)
    graph, pairs = couple(np.random.default_rng(seed).normal(0, 1, (2, dims)), (1, late), dims)
    assert score(graph, pairs, np.zeros(2)) >= score.least(graph, pairs)


def test_a_cell_and_itself_four_frames_later_are_no_sisters():
    """They lie on each other, where the density of a ring would be without bounds."""
    score = Daughters(1.0, 0.2, 0.2, 0.01)
    for dims in (2, 3):
        here, there = np.zeros(dims), np.eye(dims)[0]
        itself, _ = couple([here, here], (1, 5), dims)
        sister, pairs = couple([-there / 2, there / 2], (1, 5), dims)
        assert score(sister, pairs, np.zeros(2)) < score(itself, pairs, np.zeros(2))


@pytest.mark.parametrize("dims", [2, 3])
def test_separation_and_spread_are_found_again(dims):
    rng = np.random.default_rng(1)
    n, separation, spread = 400, 10.0, 3.0
    mother = np.arange(n)[:, None] * 100.0 * np.eye(dims)[0]
    way = rng.normal(size=(n, dims))
    half = (separation * way / np.linalg.norm(way, axis=1)[:, None] + rng.normal(0, spread, way.shape)) / 2
    cells = Detections(np.repeat([0, 1, 1], n), np.vstack([mother, mother + half, mother - half]), np.ones(3 * n, int))
    truth = Forest(cells, np.concatenate([np.full(n, -1), np.arange(n), np.arange(n)]))
    graph = nearest(cells, 3)
    before = replace(first_guess(cells), daughters=Daughters(8.0, 2.0, 1.0, 0.01))
    found = estimate(before, graph, truth).daughters
    assert (found.separation, found.spread) == pytest.approx((separation, spread), rel=0.1)


# Films


def colony(missed=(), *, strangers=(), frames=16, dims=2, seed=0):
    """Twenty-five cells on a wide grid, all but the first five of which divide once; and what they truly come from.

    Args:
        missed: Of each column of cells, by its number, how many frames its two daughters are missed at first.
        strangers: Frame and place of cells that come from nowhere, and stay.
        frames: How many.
        dims: Axes; of three, the first is flat.
        seed: Of their steps.
    """
    rng, missed = np.random.default_rng(seed), dict(missed)
    cells, last = [], {}  # frame, place, area, name: that of a daughter is her mother's and one more
    for row, column in np.ndindex(5, 5):
        home, turn = 40.0 * np.array([row, column]), rng.uniform(0, np.pi)
        birth, side = (5 + (row + column) % 4, 6.0 * np.array([np.sin(turn), np.cos(turn)])) if row else (frames, 0.0)
        cells += [(t, home, 120.0, (row, column)) for t in range(birth)]
        for sign, late in zip((1, -1), missed.get(column, (0, 0)), strict=True):
            cells += [(t, home + sign * side, 60.0, (row, column, sign)) for t in range(birth + late, frames)]
    cells += [(t, np.array(place), 60.0, ("stranger", k)) for k, (start, place) in enumerate(strangers) for t in range(start, frames)]
    cells.sort(key=lambda cell: cell[0])
    parent = []
    for i, (_, _, _, name) in enumerate(cells):
        parent.append(last.get(name, last.get(name[:2], -1) if len(name) == 3 else -1))
        last[name] = i
    place = np.array([place for _, place, _, _ in cells]) + rng.normal(0, 0.5, (len(cells), 2))
    place = place if dims == 2 else np.column_stack([np.zeros(len(place)), place])
    area = np.array([area for _, _, area, _ in cells]) * np.exp(rng.normal(0, 0.05, len(cells)))
    return Forest(Detections([t for t, _, _, _ in cells], place, np.ones(len(cells), int), {"area": area}), parent)


LATE = {"one, for a frame": (0, 1), "one, for two frames": (0, 2), "both, for a frame": (1, 1), "both, for two frames": (2, 2)}


@pytest.mark.parametrize("dims", [2, 3], ids=["flat", "flat in three dimensions"])
@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
def test_a_division_is_found_though_a_daughter_is_missed_at_first(late, dims):
    truth = colony({1: late, 3: late}, dims=dims)
    assert len(truth.divisions) == 20
    assert link(truth.detections).parent.tolist() == truth.parent.tolist()


def test_without_births_they_are_not_found(monkeypatch):
    truth = colony({1: (0, 1), 3: (1, 1)})
    monkeypatch.setattr(film.Births, "fit", lambda *_: None)
    alone = link(truth.detections)
    monkeypatch.undo()
    assert (alone.parent != truth.parent).sum() >= 4
    assert link(truth.detections).parent.tolist() == truth.parent.tolist()


@pytest.mark.parametrize("start", [7, 8, 9])
@pytest.mark.parametrize("dims", [2, 3])
def test_who_enters_beside_a_cell_is_not_her_daughter(start, dims):
    """A cell that goes on where it was, and another that comes to lie beside it: the middle of the two is not where a mother was."""
    truth = colony({1: (0, 1)}, strangers=[(start, (0.0, 52.0)), (start, (0.0, 132.0))], dims=dims)
    assert link(truth.detections).parent.tolist() == truth.parent.tolist()


def test_cells_that_are_all_seen_have_no_late_daughters():
    truth = colony(dims=3)
    forest = link(truth.detections)
    assert forest.parent.tolist() == truth.parent.tolist()
    births = forest.record["film"]["births"]
    assert births["together"] < 0.005
    assert births["apart"] < 0.005


def test_a_film_teaches_when_daughters_are_seen():
    forest = link(colony({0: (1, 1), 1: (1, 1), 2: (0, 2)}).detections)
    births = forest.record["film"]["births"]
    assert births["together"] == pytest.approx(8 / 25, rel=0.05)  # of twenty divisions, and five more
    assert births["apart"] == pytest.approx(4 / 25, rel=0.1)


@pytest.mark.parametrize("seed", range(3))
def test_no_pair_that_is_left_out_is_missed(seed):
    """Of pairs with a late daughter those that gain too little are left out unweighed; with all of them the cheapest forest is the same."""
    truth = colony({1: (0, 1), 2: (2, 2), 4: (1, 3)}, strangers=[(8, (12.0, 80.0))], seed=seed)
    graph = nearest(truth.detections, 8, max_gap=4)
    model = estimate(first_guess(truth.detections), graph, truth)
    some, every = (model.costs(graph, spare=np.array(spare, int)) for spare in ((), range(len(graph))))
    assert len(some["divide_pair"][0]) < 0.2 * len(every["divide_pair"][0])
    assert len(every["divide_pair"][0]) == len(all_pairs(graph, np.unique(graph.source)))
    forced = {"select": np.full(len(truth), -np.inf)}
    found, best = (solve(graph, costs | forced) for costs in (some, every))
    assert found.certificate.objective == pytest.approx(best.certificate.objective)
    assert found.parent.tolist() == best.parent.tolist() == truth.parent.tolist()
