"""Likeness: what cells look like as evidence of the same cell, by hand, by law, from films whose parameters are known, and in films."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from lineage.detections import Detections
from lineage.graph import CandidateGraph
from lineage.linking import candidate_graph, link, link_graph
from lineage.scoring import Likeness, Trait, traits
from lineage.settings import SCORES, Settings, Weights
from lineage.simulation import simulate

SIZE = Trait("size", mean=np.log(100.0), spread=0.4, step=0.1, loss=-0.5, loss_spread=0.4, difference=0.4)
SHAPE = Trait("shape", mean=0.3, spread=0.3, step=0.05, keep=0.9, alike=0.2, beside=(0.3,), among=(-0.1,))


def cells_of(frames, **columns):
    """Cells of these looks, all in one place."""
    n = len(frames)
    return Detections(np.array(frames), np.zeros((n, 2)), np.arange(1, n + 1), {name: np.array(c, float) for name, c in columns.items()})


def linked_by(cells, edges):
    source, target = np.array(edges, int).reshape(-1, 2).T
    return CandidateGraph(cells, source, target, {"distance": np.zeros(len(source))})


def sized(frames, areas, edges):
    return linked_by(cells_of(frames, area=areas), edges)


def shaped(values):
    """Columns of cells of these log ratios of axes."""
    return {"axis_major": 10 * np.exp(np.array(values)), "axis_minor": np.full(len(values), 10.0)}


# Traits


def test_traits_by_hand():
    cells = cells_of([0, 0, 0, 1], area=[1, 2, 4, 8], intensity_mean=[10, 20, 60, 7], axis_major=[2, 4, 8, 3], axis_minor=[2, 2, 2, 3])
    known = traits(cells)
    assert list(known) == ["size", "intensity", "shape"]
    np.testing.assert_allclose(known["size"], np.log([1, 2, 4, 8]))
    np.testing.assert_allclose(known["shape"], [0, math.log(2), math.log(4), 0])
    usual = 50 / 3  # of how far the cells of frame 0 are from their median, 20
    np.testing.assert_allclose(known["intensity"], [-math.log1p(10 / usual), 0, math.log1p(40 / usual), 0])


def test_what_is_no_number_is_no_trait():
    assert traits(cells_of([0, 0])) == {}
    odd = Detections([0, 0], np.zeros((2, 2)), [1, 2], {"area": np.array(["a", "b"]), "intensity_mean": np.array([1, np.nan])})
    assert traits(odd) == {}
    assert traits(cells_of([0, 0], area=[1, 0], axis_major=[1, 1], axis_minor=[0, 1])) == {}
    assert list(traits(cells_of([0], area=[1], intensity_mean=[1]), ["intensity", "overlap"])) == ["intensity"]
    assert traits(cells_of([0, 0], intensity_mean=[5, 5]))["intensity"].tolist() == [0, 0]


@effort(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, 50), st.floats(-1e3, 1e3), st.floats(0, 0.3))
def test_neither_gain_nor_offset_nor_bleaching_matters(seed, gain, offset, bleach):
    rng = np.random.default_rng(seed)
    frame = np.sort(rng.integers(0, 4, 20))
    value = rng.uniform(1, 100, 20)
    seen = offset + gain * value * np.exp(-bleach * frame)
    one, other = (traits(cells_of(frame, intensity_mean=v))["intensity"] for v in (value, seen))
    np.testing.assert_allclose(one, other, atol=1e-6)
    order = np.lexsort((rng.random(20), frame))  # another order in every frame
    np.testing.assert_allclose(traits(cells_of(frame, intensity_mean=value[order]))["intensity"], one[order])


def test_traits_of_turned_masks_and_other_units():
    film = simulate(frames=2, cells=8, size=(120, 140), seed=1)
    one = traits(Detections.from_labels(film.labels, film.image))
    turned = traits(Detections.from_labels(film.labels.transpose(0, 2, 1), film.image.transpose(0, 2, 1)))
    inches = traits(Detections.from_labels(film.labels, film.image, scale=0.3))
    for name in ("intensity", "shape"):
        np.testing.assert_allclose(turned[name], one[name], atol=1e-9)
        np.testing.assert_allclose(inches[name], one[name], atol=1e-9)
    np.testing.assert_allclose(inches["size"], one["size"] + 2 * math.log(0.3))


# Costs


def test_a_cell_keeps_its_size():
    cost = Likeness((SIZE,))(sized([0, 1, 1, 1, 1], [100, 100, 110, 150, 400], [(0, 1), (0, 2), (0, 3), (0, 4)]))
    assert (np.diff(cost) > 0)[:2].all()
    assert cost[0] < 0 < cost[2]


def test_wrong_outlines_are_forgiven_once_for_all_traits():
    cells = cells_of([0, 1, 1], area=[100, 1e-3, 1e7], **shaped([0.3, 9.0, 0.0]))
    for model in (Likeness((SIZE,)), Likeness((SIZE, SHAPE))):
        cost = model(linked_by(cells, [(0, 1), (0, 2)]))
        assert (cost <= -np.log(0.1) + 1e-9).all()  # one outline in ten may be wrong: no looks cost more than that
        assert (cost > 2).all()


def test_size_does_not_care_for_the_unit():
    edges = [(0, 1), (0, 2)]
    one, other = sized([0, 1, 1], [100, 90, 60], edges), sized([0, 1, 1], [25, 22.5, 15], edges)
    moved = Trait("size", mean=np.log(25.0), spread=0.4, step=0.1)
    np.testing.assert_allclose(Likeness((SIZE,))(one), Likeness((moved,))(other))


def test_sisters_share_what_their_mother_had():
    pair, model = np.array([[0, 1]]), Likeness((SIZE,))
    looks = ([100, 55, 58], [100, 100, 100], [100, 110, 20])  # halves, copies, and two that are uneven
    best, *others = (float(model.sisters(sized([0, 1, 1], areas, [(0, 1), (0, 2)]), pair)[0]) for areas in looks)
    assert best < min(others)


def test_a_trait_that_cells_do_not_keep_says_nothing():
    rng = np.random.default_rng(0)
    value = rng.normal(0.5, 0.2, 40)
    guess = Trait.guess("shape", value)
    cells = cells_of(np.repeat([0, 1, 3], [10, 15, 15]), **shaped(value))
    graph = linked_by(cells, [(i, j) for i in range(10) for j in range(10, 40)])
    np.testing.assert_allclose(Likeness((guess,))(graph), 0, atol=1e-9)


def test_over_a_gap_changes_add_up_as_far_as_they_are_kept():
    steady = Trait("size", 0.0, 1.0, step=0.1)
    assert steady.scale(np.array([1, 4])) == pytest.approx([0.1, 0.2])
    fading = Trait("size", 0.0, 1.0, step=0.1, keep=0.5)
    assert fading.scale(np.array([1, 2, 99])) == pytest.approx([0.1, 0.1 * math.sqrt(1.25), 0.1 * math.sqrt(4 / 3)])
    assert fading.change(np.array([2.0]), np.array([0.5]), np.array([2])) == pytest.approx([0.0])


def test_weights_count_what_each_trait_adds():
    rng = np.random.default_rng(1)
    looks = {"area": np.exp(rng.normal(4.6, 0.3, 30))} | shaped(rng.normal(0.3, 0.2, 30))
    graph = linked_by(cells_of(np.repeat([0, 1], 15), **looks), [(i, j) for i in range(15) for j in range(15, 30)])
    both, size = Likeness((SIZE, SHAPE)), Likeness((SIZE,))
    np.testing.assert_allclose(both(graph, {"shape": 0.0}), size(graph))
    np.testing.assert_allclose(both(graph, {"size": 0.0}), both(graph) - size(graph))
    np.testing.assert_allclose(both(graph, vars(Weights(size=2, shape=0.5))), 1.5 * size(graph) + 0.5 * both(graph))
    np.testing.assert_allclose(Likeness()(graph), 0)
    assert both.only(["size", "overlap"]) == Likeness((SIZE,), ("size",))
    assert both.trait("shape") == SHAPE
    assert both.trait("intensity") is None


# Learning


def pairs_of_frames(before, after, rivals=None):
    """Cells of two frames, each linked to itself and to the next one; which links are true."""
    n = len(before["area"])
    columns = {name: np.concatenate([before[name], after[name]]) for name in before}
    own = [(i, n + i) for i in range(n)]
    others = [(i, n + (i + 1) % n) for i in range(n)]
    graph = linked_by(cells_of(np.repeat([0, 1], n), **columns), own + others)
    return graph, np.arange(2 * n) < n


NONE = np.zeros((0, 2), int)


def test_the_parameters_of_a_film_are_found_again():
    rng = np.random.default_rng(3)
    n = 4000
    x = rng.normal(5, 0.3, n)
    y = x + 0.05 * rng.standard_t(3, n)
    u = 0.4 + 0.2 * rng.normal(size=n)
    v = 0.4 + 0.8 * (u - 0.4) + 0.6 * (y - x) + 0.04 * rng.standard_t(3, n)
    graph, true = pairs_of_frames({"area": np.exp(x)} | shaped(u), {"area": np.exp(y)} | shaped(v))
    found = Likeness.guess(graph.detections).fit(graph, true, true, NONE)
    size, shape = found.traits
    assert (size.name, shape.name) == ("size", "shape")
    assert (size.step, size.keep, size.alike) == pytest.approx((0.05, 1.0, 0.0), rel=0.1, abs=0.05)
    assert (shape.step, shape.keep, shape.beside[0]) == pytest.approx((0.04, 0.8, 0.6), rel=0.1)
    assert shape.spread == pytest.approx(v.std(), rel=0.1)
    assert shape.among[0] == pytest.approx(np.cov(v, y)[0, 1] / y.var(), abs=0.03)


def test_what_daughters_lose_is_found_again():
    rng = np.random.default_rng(3)
    n, p = 400, 60
    before, mothers = np.exp(rng.normal(5, 0.3, n)), np.exp(rng.normal(5, 0.3, p))
    daughters = mothers * np.exp(-0.6 + rng.normal(0, 0.05, p) + rng.normal(0, 0.1, (2, p)))
    single, first, second = n + p + np.arange(n), 2 * n + p + np.arange(p), 2 * n + 2 * p + np.arange(p)
    edges = [*zip(range(n), single, strict=True), *zip(n + np.arange(p), first, strict=True), *zip(n + np.arange(p), second, strict=True)]
    graph = sized([0] * (n + p) + [1] * (n + 2 * p), np.concatenate([before, mothers, before, *daughters]), edges)
    pairs = np.stack([n + np.arange(p), n + p + np.arange(p)], axis=1)
    (size,) = Likeness.guess(graph.detections).fit(graph, np.ones(len(graph), bool), np.arange(len(graph)) < n, pairs).traits
    assert size.loss == pytest.approx(-0.6, abs=0.05)
    assert size.difference == pytest.approx(0.1 * np.sqrt(2), rel=0.5)


def test_neighbours_that_are_alike_make_likeness_tell_less():
    rng = np.random.default_rng(0)
    n = 2000
    tilt = np.cumsum(rng.normal(0, 0.05, n))  # cells that follow each other are much alike, and are each other's rivals
    x = 5 + tilt + rng.normal(0, 0.02, n)
    y = x + 0.02 * rng.standard_t(3, n)
    graph, true = pairs_of_frames({"area": np.exp(x)}, {"area": np.exp(y)})
    guess = Likeness.guess(graph.detections)
    found = guess.fit(graph, true, true, NONE)
    assert found.traits[0].alike == pytest.approx(1.0, abs=0.05)
    assert found.traits[0].spread < 0.2 * guess.traits[0].spread
    own, other = found(graph)[true], found(graph)[~true]
    assert -2 < np.median(own) < 0 < np.median(other)


def test_a_trait_that_repeats_another_is_not_counted_twice():
    rng = np.random.default_rng(0)
    n = 1000
    x = rng.normal(5, 0.3, n)
    y = x + 0.03 * rng.standard_t(3, n)
    copy, own = ({"area": np.exp(x)}, {"area": np.exp(y)}), rng.normal(1.5, 0.3, n)
    twin = pairs_of_frames(copy[0] | shaped(x - 4), copy[1] | shaped(y - 4))
    other = pairs_of_frames(copy[0] | shaped(own), copy[1] | shaped(own + 0.03 * rng.standard_t(3, n)))
    for (graph, true), names in ((twin, ["size"]), (other, ["size", "shape"])):
        found = Likeness.guess(graph.detections).fit(graph, true, true, NONE)
        assert [trait.name for trait in found.traits] == names


def test_noise_is_not_taken_up():
    rng = np.random.default_rng(0)
    x = rng.normal(5, 0.3, 500)
    noise = [shaped(rng.normal(0.5, 0.1, 500)) | {"intensity_mean": rng.uniform(5, 9, 500)} for _ in range(2)]
    graph, true = pairs_of_frames({"area": np.exp(x)} | noise[0], {"area": np.exp(x + 0.05 * rng.normal(size=500))} | noise[1])
    assert [trait.name for trait in Likeness.guess(graph.detections).fit(graph, true, true, NONE).traits] == ["size"]
    few = graph.keep(np.flatnonzero(true)[:10])
    known = Likeness.guess(graph.detections)
    assert known.fit(few, np.ones(10, bool), np.ones(10, bool), NONE) == known  # too few links to learn from


# Films


def meeting(*, crossing, seed=0):
    """Two cells run at each other and either pass or turn back, among others that stay; what each looks like, alike but for noise."""
    rng = np.random.default_rng(seed)
    here = [(40.0 * k, 0.0) for k in range(8)]
    looks = [0.4, 0.1, 0.9, 0.6, 0.2, 0.8, 0.3, 0.7, 0.1, 0.9]
    rows, parent, before = [], [], {}
    for t in range(21):
        x = 3.0 * (t - 10)
        places = [*here, (60.0, 100 + x), (60.0, 100 - x) if t != 10 else (60.5, 100.0)]
        for k, (a, b) in enumerate(places):
            look = looks[k] if crossing or k < 8 or t <= 10 else looks[17 - k]
            who = k if crossing or k < 8 or t <= 10 else 17 - k
            rows.append((t, a + rng.normal(0, 0.1), b + rng.normal(0, 0.1), look + rng.normal(0, 0.01)))
            parent.append(before.get(who, -1))
            before[who] = len(rows) - 1
    table = np.array(rows)
    return table[:, 0].astype(int), table[:, 1:3], table[:, 3], np.array(parent)


LOOKS = {
    "brightness": lambda look, frame: {"intensity_mean": 100 + 50 * look},
    "brightness, bleached": lambda look, frame: {"intensity_mean": 300 + 20 * look * np.exp(-frame / 8)},
    "shape": lambda look, frame: shaped(look),
}


@pytest.mark.parametrize("looks", LOOKS.values(), ids=LOOKS)
def test_two_cells_that_meet_are_told_apart_by_their_looks(looks):
    wrong = 0
    for crossing in (True, False):
        frame, place, look, truth = meeting(crossing=crossing)
        cells = Detections(frame, place, np.zeros(len(frame), int), looks(look, frame))
        assert link(cells).parent.tolist() == truth.tolist()
        blind = link(cells, settings=Settings(scores=("distance",)))
        wrong += int((blind.parent != truth).any())
    assert wrong == 1  # where they are is the same whether they pass or turn back


def test_in_a_film_where_looks_are_noise_nothing_changes():
    film = simulate(frames=16, cells=20, size=(220, 220), seed=4, shuffle_labels=True)
    cells = Detections.from_labels(film.labels, properties=["area"])
    rng = np.random.default_rng(0)
    noisy = cells.with_columns(intensity_mean=rng.uniform(1, 9, len(cells)), **shaped(rng.normal(1, 0.2, len(cells))))
    settings = Settings(scores=tuple(name for name in SCORES if name != "mothers"))
    plain, other = (link_graph(candidate_graph(some, film.labels, settings), settings) for some in (cells, noisy))
    assert other.parent.tolist() == plain.parent.tolist()
    assert other.record["film"]["intensity"] is other.record["film"]["shape"] is None
    assert other.record["film"]["size"] == plain.record["film"]["size"]


def test_the_record_says_which_looks_count():
    film = simulate(frames=14, cells=20, size=(220, 220), seed=4, shuffle_labels=True)
    one, brighter = (link(film.labels, image) for image in (film.image, 40 + 2.5 * film.image.astype(float)))
    record = json.loads(json.dumps(dict(one.record["film"]), allow_nan=False))
    assert record["size"]["name"] == "size"
    assert brighter.parent.tolist() == one.parent.tolist()
    assert {name for name in ("size", "intensity", "shape") if record[name]} == {
        name for name in ("size", "intensity", "shape") if brighter.record["film"][name]
    }
    alone = link(film.labels, film.image, settings=Settings(scores=("distance", "shape"))).record["film"]
    assert alone["size"] is alone["intensity"] is None
