"""Cells that leave the field and come back: told from cells that were missed near its border."""

from __future__ import annotations

from dataclasses import replace
from math import comb

import numpy as np
import pandas as pd
import pytest

from lineage.detections import Detections
from lineage.graph import CandidateGraph
from lineage.linking import link
from lineage.scoring.events import Event, came_back
from lineage.scoring.film import first_guess
from lineage.settings import Weights

LEAVE, ENTER = Event(0.01, 0.11, 5.0), Event(0.02, 0.03, 5.0)


def chance(outside, leave=LEAVE, ahead=0.0, enter=ENTER, behind=0.0):
    n = np.atleast_1d(np.asarray(outside, np.int64))
    return came_back(n, leave, np.full(len(n), ahead), enter, np.full(len(n), behind))


# How often


def test_catalan_numbers():
    n = np.arange(1, 11)
    expected = [0.1 * comb(2 * k, k) / (k + 1) / 4**k for k in n]
    np.testing.assert_allclose(chance(n), expected)
    assert chance(np.arange(1, 100_000)).sum() == pytest.approx(0.1, rel=5e-3)  # sooner or later every cell is back
    assert chance(np.zeros(0, np.int64)).shape == (0,)


@pytest.mark.parametrize("law", ["normal", "uniform", "standard_cauchy"])
def test_walks_of_any_symmetric_law_are_back_as_often(law):
    rng = np.random.default_rng(0)
    draw = getattr(rng, law)
    steps = draw(size=(100_000, 7)) if law != "uniform" else draw(-1, 1, size=(100_000, 7))
    outside = np.cumsum(steps, axis=1) > 0
    left = outside[outside[:, 0]]
    for n in range(1, 6):
        back = left[:, :n].all(axis=1) & ~left[:, n]
        assert back.mean() == pytest.approx(chance(n)[0] / 0.1, abs=0.006)


def test_only_near_the_border():
    near = chance(2)[0]
    assert chance(2, ahead=5.0)[0] == pytest.approx(near / np.e)
    assert chance(2, behind=5.0)[0] == pytest.approx(near / np.e)
    assert chance(2, leave=Event(0.05, 0.02, 5.0))[0] == 0  # where no more cells end than elsewhere none leaves


# Which links


def model_of(cells, miss):
    rates = {"appear": replace(ENTER, border=0.1), "disappear": LEAVE}
    return replace(first_guess(cells), miss=miss, again=0.5, **rates)


def gap_from(place, miss, **given):
    """What a link over one missed frame costs, from ``place`` and back to it, in a field of 100 by 100."""
    at = [(0, 0, 0), (0, 100, 100), (0, *place), (2, *place)]
    cells = Detections.from_points(pd.DataFrame(at, columns=["t", "y", "x"]))
    graph = CandidateGraph(cells, np.array([2]), np.array([3]), {"distance": np.zeros(1)})
    return model_of(cells, miss).costs(graph, **given)["link"][0]


def test_where_cells_are_hardly_missed_one_that_is_back_is_another():
    assert gap_from((1, 50), miss=0.001) == np.inf
    assert np.isfinite(gap_from((50, 50), miss=0.001))  # nobody leaves from the middle


def test_where_cells_are_often_missed_it_is_the_same():
    assert np.isfinite(gap_from((1, 50), miss=0.1))


def test_no_weight_makes_it_no_number_and_a_confirmed_link_stays():
    assert gap_from((1, 50), miss=0.001, weights=Weights(gap=0.0)) == np.inf
    assert np.isfinite(gap_from((1, 50), miss=0.001, spare=np.array([0])))


# Films of which it is known


def walkers(seed, missed):
    """Cells that walk across the border of a field and back, as points with the number of each; some are missed for a frame."""
    rng = np.random.default_rng(seed)
    n, frames, side = 150, 40, 300.0
    at = rng.uniform(-60, side + 60, (n, 2)) + np.cumsum(rng.normal(0, 3.0, (frames, n, 2)), axis=0)
    seen = ((at > 0) & (at < side)).all(axis=2)
    there = seen & (rng.random((frames, n)) >= missed)
    t, who = np.nonzero(there)
    left = np.cumsum(~seen, axis=0)[t, who]  # a cell that comes back is another
    table = pd.DataFrame({"t": t, "y": at[t, who, 0], "x": at[t, who, 1]})
    return table, who * 1000 + left


def gaps_right(seed, missed):
    """How many links over missed frames join one cell before it left and after, or another one; and how many are right."""
    table, cell = walkers(seed, missed)
    forest = link(Detections.from_points(table))
    late = np.flatnonzero(forest.gap > 0)
    returns = (cell[late] // 1000 == cell[forest.parent[late]] // 1000) & (cell[late] != cell[forest.parent[late]])
    return int(returns.sum()), int((cell[late] == cell[forest.parent[late]]).sum())


@pytest.mark.parametrize("seed", [1, 2])
def test_cells_that_come_back_are_others(seed):
    returned, _ = gaps_right(seed, missed=0.0)
    assert returned == 0


def test_cells_that_are_missed_are_found_again():
    returned, right = gaps_right(1, missed=0.05)
    assert right > 100
    assert returned < 15  # 17 if nobody ever left
