"""Confidence: what undoing a link costs is what some other forest costs more, and doubtful links are as often right as it says."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from lineage.detections import Detections
from lineage.forest import Forest
from lineage.graph import CandidateGraph
from lineage.linking import link
from lineage.program import all_pairs, state
from lineage.scoring.confidence import CONFIDENCE, TEMPERATURE, _Changes, link_confidence
from lineage.settings import Settings
from lineage.simulation import simulate
from lineage.solving import solve


def film(counts, *, seed, skip=True):
    """A few cells in a few frames, every one a candidate for every later one, and random costs."""
    rng = np.random.default_rng(seed)
    frame = np.repeat(np.arange(len(counts)), counts)
    n = len(frame)
    cells = Detections(frame, rng.uniform(0, 9, (n, 2)), np.arange(1, n + 1))
    source, target = np.nonzero((frame[:, None] < frame) & ((frame[:, None] + 1 == frame) | skip))
    graph = CandidateGraph(cells, source, target)
    pairs = all_pairs(graph, np.unique(source))[:: 1 + seed % 2]  # in every second film half of them
    costs = {
        "link": rng.normal(-2, 2, len(graph)),
        "appear": np.where(frame > 0, rng.uniform(0, 4, n), 0),
        "disappear": np.where(frame < len(counts) - 1, rng.uniform(0, 4, n), 0),
        "divide": rng.uniform(0, 4, n),
        "divide_pair": (pairs[:, 0], pairs[:, 1], rng.normal(0, 1, len(pairs))),
        "other_pairs": 1.5,
        "select": np.full(n, -np.inf),
    }
    return graph, costs


def every_forest(graph, costs):
    """The parent column of every forest over all detections, and its cost."""
    program = state(graph, costs)
    ways = [np.append(np.flatnonzero(graph.target == row), -1) for row in range(len(graph.detections))]
    for choice in product(*ways):
        parent = np.array([graph.source[edge] if edge >= 0 else -1 for edge in choice])
        if np.bincount(parent[parent >= 0], minlength=1).max() <= 2:
            x = program.encode(Forest(graph.detections, parent))
            yield parent, float(program.cost @ x)


@pytest.mark.parametrize("seed", range(8))
def test_every_small_change_is_a_forest_without_the_link_and_costs_what_it_says(seed):
    graph, costs = film([2, 3, 2], seed=seed)
    best = solve(graph, costs, gap=0.0)
    forests = list(every_forest(graph, costs))
    least = min(cost for _, cost in forests)
    change = _Changes.of(graph, costs, best)
    seen = 0
    for child, cost in (change.appear(), *change.other_parent(), *change.other_child(), change.exchange()):
        for row, extra in zip(child, cost, strict=True):
            others = [value - least for parent, value in forests if parent[row] != best.parent[row]]
            assert min(abs(np.array(others) - extra)) < 1e-9
            seen += 1
    assert seen >= (best.parent >= 0).sum()


@pytest.mark.parametrize("seed", range(8))
def test_where_one_cell_chooses_it_is_the_exact_probability(seed, monkeypatch):
    monkeypatch.setattr("lineage.scoring.confidence.TEMPERATURE", 1.0)
    graph, costs = film([3, 1], seed=seed)
    best = solve(graph, costs, gap=0.0)
    weight = {}
    for parent, cost in every_forest(graph, costs):
        weight[parent[3]] = weight.get(parent[3], 0.0) + np.exp(-cost)
    sure = link_confidence(graph, costs, best)
    assert np.isnan(sure[:3]).all()
    chosen = best.parent[3]
    assert np.isnan(sure[3]) if chosen < 0 else sure[3] == pytest.approx(weight[chosen] / sum(weight.values()))


def test_without_pairs_costs_or_links():
    cells = Detections(np.array([0, 1]), np.zeros((2, 2)), np.array([1, 2]))
    graph = CandidateGraph(cells, np.array([0]), np.array([1]))
    sure = link_confidence(graph, {"link": np.array([-2.0])}, Forest(cells, np.array([-1, 0])))
    assert sure[1] == pytest.approx(1 / (1 + np.exp(-2 / TEMPERATURE)))
    assert np.isnan(link_confidence(graph, {"link": np.array([2.0])}, Forest(cells, np.array([-1, -1])))).all()
    none = CandidateGraph(Detections(np.zeros(0, int), np.zeros((0, 2)), np.zeros(0, int)), np.zeros(0, int), np.zeros(0, int))
    assert len(link_confidence(none, {"link": np.zeros(0)}, Forest(none.detections, np.zeros(0, int)))) == 0


def test_what_is_not_believed_is_no_way_out():
    """A rival of a cell, which is as near, and a cell nobody believes in before it make its link no less probable."""
    frame, y = np.array([0, 0, 1, 1]), np.array([0.0, 9, 0, 0])
    cells = Detections(frame, np.column_stack([y, y]), np.arange(4), conflicts=[[2, 3]])
    graph = CandidateGraph(cells, [0, 0, 1], [2, 3, 2])
    believed = Forest(cells, [-1, -1, 0, -1], selected=[True, False, True, False])
    ends = {"appear": np.full(4, 3.0), "disappear": np.full(4, 3.0), "divide": np.full(4, 3.0)}
    beside = link_confidence(graph, ends | {"link": np.array([-2.0, -2, -2])}, believed)
    alone = link_confidence(graph.keep(np.array([0])), ends | {"link": np.array([-2.0])}, believed)
    np.testing.assert_array_equal(beside, alone)
    assert beside[2] > 0.95


def test_two_cells_that_could_be_swapped_are_doubtful_and_one_alone_is_not():
    labels = np.zeros((4, 40, 90), int)
    for t in range(4):
        labels[t, 10:15, 70:75] = 3
        for label, y in ((1, 10), (2, 20)):
            y = y if t < 2 else 13 + label
            labels[t, y : y + (5 if t < 2 else 1), 10:15] = label
    forest = link(labels)
    sure = forest.detections.columns[CONFIDENCE]
    assert np.nanmin(sure[forest.detections.label == 3]) > 0.9
    assert np.array_equal(np.isnan(sure), forest.parent < 0)


@pytest.mark.parametrize("settings", [Settings(), Settings(solver="greedy"), Settings(divisions=False), Settings(window=6, overlap=5)])
def test_whatever_solves(settings):
    film = simulate(frames=12, cells=12, seed=2)
    forest = link(film.labels, settings=settings)
    sure = forest.detections.columns[CONFIDENCE]
    assert np.array_equal(np.isnan(sure), forest.parent < 0)
    assert ((sure[forest.parent >= 0] > 0) & (sure[forest.parent >= 0] <= 1)).all()


def test_doubtful_links_are_as_often_right_as_they_say():
    doubts, right = [], []
    for seed in range(4):
        film = simulate(frames=15, cells=40, speed=10.0, persistence=0.0, seed=seed)
        forest = link(film.truth.detections)
        linked = forest.parent >= 0
        doubts.append(forest.detections.columns[CONFIDENCE][linked])
        right.append((forest.parent == film.truth.parent)[linked])
    sure, right = np.concatenate(doubts), np.concatenate(right)
    place = np.minimum((sure * 20).astype(int), 19)
    error = sum(abs(sure[place == k].sum() - right[place == k].sum()) for k in range(20)) / len(sure)
    assert (~right).sum() > 30
    assert error < 0.03, error
    assert sure[~right].mean() < 0.9 < sure[right].mean()
