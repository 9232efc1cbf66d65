"""What a network is told of a film, and what it makes of it: the same wherever the film lies and however it is turned or measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lineage import simulate
from lineage.candidates import nearest
from lineage.detections import Detections
from lineage.graph import CandidateGraph
from lineage.learn.facts import CELL, LINK, facts, units
from lineage.learn.model import EdgeModel, Logistic
from lineage.learn.network import Batch, EdgeNetwork, NetworkConfig
from lineage.linking import candidate_graph
from lineage.settings import Settings


def model(seed=0, **sizes):
    torch.manual_seed(seed)
    return EdgeModel(EdgeNetwork(NetworkConfig(**{"width": 16, "heads": 2, **sizes})))


@pytest.fixture(scope="module")
def cells():
    film = simulate(frames=6, cells=12, size=(120, 160), seed=3)
    return Detections.from_labels(film.labels, film.image)


@pytest.fixture(scope="module")
def points():
    rng = np.random.default_rng(1)
    start = rng.uniform(0, 60, (15, 3))
    place = np.concatenate([start + rng.normal(0, 1, start.shape) * t for t in range(5)])
    return Detections(np.repeat(np.arange(5), 15), place, np.zeros(75, np.int64))


def same(one, two):
    np.testing.assert_allclose(one, two, rtol=1e-4, atol=2e-4)


def changed(cells, place, scale=1.0, **columns):
    power = scale**cells.n_axes
    sizes = {
        name: cells.columns[name] * (power if name == "area" else scale)
        for name in ("area", "axis_major", "axis_minor")
        if name in cells.columns
    }
    size = tuple(scale * step for step in cells.scale)
    return Detections(cells.frame, place, cells.label, {**cells.columns, **sizes, **columns}, size, n_frames=cells.n_frames)


@pytest.mark.parametrize("which", ["cells", "points"])
def test_scores_do_not_change_when_the_film_is_moved_turned_or_mirrored(which, request):
    """By right angles, for the border of the field stays the border; by other angles all but the distance to it stays."""
    given = request.getfixturevalue(which)
    graph = nearest(given, 5, max_gap=1)
    quarter = given.position[:, ::-1] * ([-1] + [1] * (given.n_axes - 1))
    mirrored = given.position * ([1] * (given.n_axes - 1) + [-1])
    for place in (given.position + 1000.0, quarter, mirrored):
        other = CandidateGraph(changed(given, place), graph.source, graph.target, graph.columns)
        same(model().scores(graph), model().scores(other))
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(given.n_axes, given.n_axes)))[0]
    turned = facts(CandidateGraph(changed(given, given.position @ turn.T), graph.source, graph.target, graph.columns))
    same(np.delete(facts(graph).cell, 5, axis=1), np.delete(turned.cell, 5, axis=1))
    same(facts(graph).link, turned.link)
    same(facts(graph).step @ turn.T, turned.step)
    same(facts(graph).away @ turn.T, turned.away)


def test_arrows_tell_the_network_where_its_neighbours_went(points):
    """Without products of arrows the network could not tell going on from going back."""
    graph = nearest(points, 5, max_gap=1)
    told = Batch.of(facts(graph))
    with torch.no_grad():
        once = model().network(told)
        back = model().network(Batch(**{**vars(told), "step": -told.step}))
    assert float((once - back).abs().max()) > 1e-3


@pytest.mark.parametrize("which", ["cells", "points"])
def test_scores_do_not_change_with_the_unit(which, request):
    given = request.getfixturevalue(which)
    graph = candidate_graph(given, None, Settings(max_gap=1))
    large = candidate_graph(changed(given, given.position * 0.25, 0.25), None, Settings(max_gap=1))
    assert np.array_equal(graph.source, large.source) and np.array_equal(graph.target, large.target)
    same(model().scores(graph), model().scores(large))


def test_the_order_of_cells_and_links_does_not_matter(cells):
    graph = nearest(cells, 4, max_gap=1)
    rng = np.random.default_rng(0)
    order = np.lexsort((rng.random(len(cells)), cells.frame))
    new = np.argsort(order)
    mixed = rng.permutation(len(graph))
    columns = {name: column[mixed] for name, column in graph.columns.items()}
    other = CandidateGraph(cells.take(order), new[graph.source[mixed]], new[graph.target[mixed]], columns)
    same(model().scores(graph)[mixed], model().scores(other))


def test_large_films_are_scored_piece_by_piece(cells, monkeypatch):
    graph = nearest(cells, 4, max_gap=2)
    whole = model().scores(graph)
    monkeypatch.setattr("lineage.learn.network._AT_ONCE", 7)
    same(whole, model().scores(graph))


def test_what_is_not_known_is_marked_and_counts_as_nothing(cells):
    graph = nearest(cells, 4)
    told = facts(graph)
    assert told.cell.shape == (len(cells), CELL) and told.link.shape == (len(graph), LINK)
    assert told.cell[:, 11:14].all() and not told.link[:, 12].any() and not told.link[:, 9:12].any()
    bare = facts(
        CandidateGraph(Detections(cells.frame, cells.position, cells.label, n_frames=6), graph.source, graph.target, graph.columns)
    )
    assert not bare.cell[:, [0, 1, 2, 3, 4, 11, 12, 13]].any() and not bare.link[:, 13:16].any()
    known = graph.with_columns(iou=np.full(len(graph), 0.5), overlap=np.full(len(graph), 10.0))
    np.testing.assert_allclose(facts(known).link[:, 9], 0.5)
    np.testing.assert_allclose(facts(known).link[:, 10], 10 / cells.columns["area"][graph.source])
    assert facts(known).link[:, 12].all()


def test_facts_of_two_sisters():
    """Mother in the middle of her daughters, another cell far away: the facts say symmetric, and how far apart."""
    place = np.array([[0.0, 0], [0, 10], [0, -1], [0, 1], [0, 10]])
    area = np.array([np.pi] * 5)  # diameter 2
    cells = Detections(np.array([0, 0, 1, 1, 1]), place, np.zeros(5, np.int64), {"area": area})
    graph = CandidateGraph(cells, [0, 0, 1], [2, 3, 4], {"distance": np.array([1.0, 1, 0])})
    np.testing.assert_allclose(units(cells), 2.0, rtol=2e-3)
    sisters = facts(graph).link[:, 20:]
    np.testing.assert_allclose(sisters[:2], [[0, 1, 0, 1]] * 2, atol=2e-3)
    assert sisters[2].tolist() == [6.0, 6.0, 0.0, 0.0]
    near = facts(graph).near
    assert near[0, 0] == 0 and set(near[0][near[0] >= 0].tolist()) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("n", [0, 1])
def test_films_with_next_to_nothing_in_them(n):
    cells = Detections(np.zeros(n, np.int64), np.zeros((n, 2)), np.zeros(n, np.int64))
    graph = CandidateGraph(cells, [], [], {"distance": np.zeros(0)})
    assert model().scores(graph).shape == (0,)
    assert EdgeModel(Logistic()).scores(graph).shape == (0,)


def test_cells_on_top_of_each_other_and_one_point_a_frame():
    twice = Detections(np.repeat(np.arange(3), 9), np.ones((27, 2)), np.zeros(27, np.int64))
    assert np.isfinite(model().scores(nearest(twice, 3))).all()
    one = Detections(np.arange(4), np.arange(8.0).reshape(4, 2), np.zeros(4, np.int64))
    assert np.isfinite(model().scores(nearest(one, 3))).all()


def test_a_network_is_small():
    assert sum(weight.numel() for weight in EdgeNetwork(NetworkConfig()).parameters()) < 1_000_000
