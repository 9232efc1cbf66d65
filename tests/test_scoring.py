"""Scores: each against what its words promise, then whole models against films whose rates are known."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from scipy import integrate
from zoo import ZOO

from lineage.candidates import nearest
from lineage.detections import Detections
from lineage.forest import Forest
from lineage.graph import CandidateGraph
from lineage.linking import link
from lineage.program import all_pairs
from lineage.scoring import Daughters, Distance, Event, Likeness, Overlap, Trait, appearance, border_distance, disappearance
from lineage.scoring.cycle import Cycle, ages
from lineage.scoring.distance import fit_step, log_step
from lineage.scoring.film import FilmModel, estimate, first_guess
from lineage.scoring.noise import false_share, lone, without_lone
from lineage.scoring.overlap import classes
from lineage.settings import Settings
from lineage.simulation import simulate


def hops(*lengths, dims=2, dt=1):
    """One mother at the origin and a candidate at each distance from her along x."""
    n = len(lengths)
    position = np.zeros((n + 1, dims))
    position[1:, -1] = lengths
    cells = Detections([0] + [dt] * n, position, np.ones(n + 1, int))
    return CandidateGraph(cells, np.zeros(n, int), np.arange(1, n + 1), {"distance": np.array(lengths, float)})


def cloud(seed, dims=2, n=12):
    rng = np.random.default_rng(seed)
    frame = np.sort(rng.integers(0, 3, n))
    return Detections(frame, rng.uniform(0, 20, (n, dims)), np.ones(n, int))


def moved(cells, *, turn=None, shift=0.0, stretch=1.0):
    turn = np.eye(cells.n_axes) if turn is None else turn
    return Detections(cells.frame, stretch * (cells.position @ turn + shift), cells.label)


# Distance


@pytest.mark.parametrize("dims", [2, 3])
def test_farther_costs_more(dims):
    cost = Distance(step=2.0, tail=3.0, density=0.001)(hops(*np.linspace(0, 90, 40), dims=dims))
    assert (np.diff(cost) > 0).all()
    assert cost[0] < 0 < cost[-1]


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("tail", [1.0, 3.0, 30.0])
def test_a_step_is_a_probability(dims, tail):
    shell = lambda r: (2 * math.pi * r if dims == 2 else 4 * math.pi * r**2) * math.exp(log_step(r, 2.0, tail, dims))  # noqa: E731
    total, _ = integrate.quad(shell, 0, math.inf, limit=200)
    assert total == pytest.approx(1, abs=1e-5)


@effort(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([2, 3]), st.floats(0.1, 10))
def test_distance_does_not_care_where_up_is_nor_for_the_unit(seed, dims, stretch):
    cells, rng = cloud(seed, dims), np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(dims, dims)))[0]
    score = Distance(1.5, 4.0, 0.02)
    cost = score(nearest(cells, 3, radius=15.0, max_gap=1))
    np.testing.assert_allclose(score(nearest(moved(cells, turn=turn, shift=7.0), 3, radius=15.0, max_gap=1)), cost, atol=1e-8)
    inches = Distance(1.5 * stretch, 4.0, 0.02 / stretch**dims)
    np.testing.assert_allclose(inches(nearest(moved(cells, stretch=stretch), 3, radius=15.0 * stretch, max_gap=1)), cost, atol=1e-8)


def test_a_gap_widens_the_step():
    score = Distance(2.0, 3.0, 0.01)
    near, far = score(hops(0.0, 12.0)), score(hops(0.0, 12.0, dt=4))
    assert far[0] > near[0]  # standing still for four frames says less
    assert far[1] < near[1]  # moving far in four frames says more
    assert far[1] == pytest.approx(score(hops(6.0))[0] + 2 * math.log(2))  # twice the scale along each of two axes


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(("step", "tail"), [(1.0, 3.0), (0.2, 1.5), (40.0, 30.0)])
def test_fit_step_finds_what_made_the_steps(dims, step, tail):
    rng = np.random.default_rng(0)
    steps = step * rng.normal(size=(6000, dims)) / np.sqrt(rng.chisquare(tail, 6000) / tail)[:, None]
    scale, found = fit_step(np.linalg.norm(steps, axis=1), dims, least=1e-6)
    assert scale == pytest.approx(step, rel=0.08)
    assert found == (tail if tail < 10 else pytest.approx(tail, abs=20))


def test_fit_step_without_steps_or_movement():
    assert fit_step(np.zeros(0), 2, least=0.5) == (0.5, 3.0)
    scale, _ = fit_step(np.zeros(100), 2, least=0.5)
    assert scale == 0.5


# Overlap


def with_iou(distance, iou, source):
    n = max(source) + 1
    m = len(source)
    cells = Detections([0] * n + [1] * m, np.zeros((n + m, 2)), np.ones(n + m, int))
    return CandidateGraph(cells, source, n + np.arange(m), {"distance": np.array(distance, float), "iou": np.array(iou, float)})


def test_overlap_classes_by_hand():
    graph = with_iou([0, 1, 1.5, 2, 5, 0], [0.0, 0.01, 0.05, 0.3, 0.8, 1.0], [0] * 6)
    near, share = classes(graph, (1.0, 2.0))
    assert near.tolist() == [0, 0, 1, 1, 2, 0]
    assert share.tolist() == [0, 1, 2, 3, 6, 6]


def test_overlap_is_the_table_of_counts():
    n = 4000  # mothers at distance 1; three of four true links overlap by 0.5, and one of five rivals
    k = np.arange(n)
    iou = np.concatenate([np.where(k % 4, 0.5, 0.0), np.where(k % 5, 0.0, 0.5)])
    graph = with_iou(np.ones(2 * n), iou, np.tile(k, 2))
    score = Overlap.fit(graph, np.arange(2 * n) < n)
    assert score.limits == (1.0,)
    expected = np.where(graph.columns["iou"] > 0, math.log(0.2 / 0.75), math.log(0.8 / 0.25))
    np.testing.assert_allclose(score(graph), expected, atol=0.02)


def test_overlap_is_counted_anew_for_every_distance():
    n = 4000  # near links always overlap and so do near rivals; far links overlap half the time, far rivals never
    k = np.arange(2 * n)
    near = np.tile(k < n, 2)
    iou = np.where(near, 0.5, np.where((np.arange(4 * n) < 2 * n) & (np.tile(k, 2) % 2 == 0), 0.5, 0.0))
    graph = with_iou(np.where(near, 1.0, 5.0), iou, np.tile(k, 2))
    cost = Overlap.fit(graph, np.arange(4 * n) < 2 * n)(graph)
    assert cost[near] == pytest.approx(np.zeros(2 * n), abs=0.02)
    assert cost[~near & (iou == 0)] == pytest.approx(np.full(3 * n // 2, math.log(2)), abs=0.02)
    assert (cost[~near & (iou > 0)] < -4).all()


def test_only_rivals_of_known_links_are_counted():
    graph = with_iou([1.0] * 4, [0.9, 0.0, 0.9, 0.9], [0, 0, 1, 1])  # mother 1 has no true link: her candidates say nothing
    alone = with_iou([1.0] * 2, [0.9, 0.0], [0, 0])
    assert Overlap.fit(graph, np.array([True, False, False, False])) == Overlap.fit(alone, np.array([True, False]))


def test_nothing_known_says_nothing():
    graph = with_iou([1.0, 2.0], [0.9, 0.0], [0, 0])
    np.testing.assert_allclose(Overlap.fit(graph, np.zeros(2, bool))(graph), 0, atol=1e-12)


# Daughters


def sisters(*pairs, dims=2):
    """A mother at the origin and pairs of places in the next frame; the graph and the pairs of links."""
    places = np.array([place for pair in pairs for place in pair], float)
    if dims == 3:
        places = np.column_stack([np.zeros(len(places)), places])
    n = len(places)
    cells = Detections([0] + [1] * n, np.vstack([np.zeros(dims), places]), np.ones(n + 1, int))
    graph = CandidateGraph(cells, np.zeros(n, int), np.arange(1, n + 1), {"distance": np.linalg.norm(places, axis=1)})
    return graph, np.arange(n).reshape(-1, 2)


@pytest.mark.parametrize("dims", [2, 3])
def test_daughters_lie_on_both_sides_of_their_mother(dims):
    score = Daughters(separation=10.0, spread=2.0, offset=2.0, density=1e-3)
    graph, pairs = sisters([(0, 5), (0, -5)], [(0, 5), (5, 0)], [(0, 5), (0, 6)], [(0, 5), (0, 20)], dims=dims)
    both, corner, together, apart = score(graph, pairs, np.zeros(len(graph)))
    assert both < corner < apart
    assert both < together
    assert both < 0


@pytest.mark.parametrize("dims", [2, 3])
def test_where_two_sisters_lie_is_a_probability(dims):
    """exp(-cost) times the chance of two strangers sums to 1 over all unordered pairs of places."""
    score = Daughters(separation=3.0, spread=0.5, offset=1.0, density=1.0)
    rng = np.random.default_rng(0)
    middle, half = rng.uniform(-5, 5, (200_000, dims)), rng.uniform(-3, 3, (200_000, dims))
    n = len(middle)
    places = np.vstack([middle + half, middle - half])
    cells = Detections([0] + [1] * 2 * n, np.vstack([np.zeros(dims), places]), np.ones(2 * n + 1, int))
    graph = CandidateGraph(cells, np.zeros(2 * n, int), np.arange(1, 2 * n + 1), {"distance": np.zeros(2 * n)})
    density = np.exp(-score(graph, np.column_stack([np.arange(n), n + np.arange(n)]), np.zeros(2 * n)))
    volume = 10**dims * 6**dims * 2**dims  # of the box of (middle, half), and the Jacobian of (a, b)
    assert density.mean() * volume / 2 == pytest.approx(1, abs=0.1)  # each unordered pair was drawn in two orders


def test_the_distances_of_a_pair_are_replaced():
    score = Daughters(10.0, 2.0, 2.0, 1e-3)
    graph, pairs = sisters([(0, 5), (0, -5)], [(0, 4), (0, -6)])
    distance = np.array([1.0, 2.0, -3.0, 0.5])
    without, replaced = score(graph, pairs, 0 * distance), score(graph, pairs, distance)
    np.testing.assert_allclose(without - replaced, [3.0, -2.5])


# Events


def test_events_are_likelier_at_the_border():
    cells = Detections([0] * 5, [[0, 0], [0, 10], [10, 0], [10, 10], [5, 5]], np.ones(5, int))
    assert border_distance(cells).tolist() == [0, 0, 0, 0, 5]
    cost = Event(inside=0.01, border=0.2, reach=1.0)(border_distance(cells))
    assert cost[:4] == pytest.approx([-math.log(0.2)] * 4)
    assert cost[4] == pytest.approx(-math.log(0.01 + 0.19 * math.exp(-5)))
    flat = Event(inside=0.05, border=0.01, reach=1.0)(border_distance(cells))  # a border below the inside is no border
    assert flat == pytest.approx([-math.log(0.05)] * 5)


def test_borders_of_odd_films():
    assert border_distance(Detections([], np.zeros((0, 2)), [])).shape == (0,)
    assert border_distance(Detections([0], [[3.0, 4.0]], [1])).tolist() == [math.inf]
    on_a_line = Detections([0, 0, 0], [[7, 0], [7, 4], [7, 10]], [1, 2, 3])
    assert border_distance(on_a_line).tolist() == [0, 4, 0]


def test_the_ends_of_the_film_are_free():
    cells = Detections([0, 1, 2], np.zeros((3, 2)), [1, 1, 1], n_frames=4)
    event = Event(0.1, 0.1, 1.0)
    dear = -math.log(0.1)
    assert appearance(cells, event) == pytest.approx([0, dear, dear])
    assert disappearance(cells, event) == pytest.approx([dear, dear, dear])
    assert disappearance(Detections(cells.frame, cells.position, cells.label), event) == pytest.approx([dear, dear, 0])


# Models of films


@pytest.fixture(scope="module")
def film():
    made = simulate(frames=30, cells=40, size=(320, 320), seed=2, death_rate=0.004)
    cells = Detections.from_labels(made.labels)
    graph = nearest(cells, 8, max_gap=2)
    assert len(cells) == len(made.truth)
    truth = Forest(cells, made.truth.parent)
    return graph, truth


def true_step(truth):
    """Root mean square step along one axis, of cells that neither divide nor were missed."""
    child = truth.child_rows[(truth.gap[truth.child_rows] == 0) & (truth.n_children[truth.parent[truth.child_rows]] == 1)]
    step = truth.detections.position[child] - truth.detections.position[truth.parent[child]]
    return math.sqrt(float((step**2).mean()))


def spread(distance):
    """Root mean square of a t step along one axis."""
    return distance.step * math.sqrt(distance.tail / (distance.tail - 2))


def test_the_first_guess_knows_the_step(film):
    graph, truth = film
    assert spread(first_guess(graph.detections).distance) == pytest.approx(true_step(truth), rel=0.3)


def test_the_estimate_knows_the_rates(film):
    graph, truth = film
    model = estimate(first_guess(graph.detections), graph, truth)
    assert spread(model.distance) == pytest.approx(true_step(truth), rel=0.15)
    assert model.divide == pytest.approx(len(truth.divisions) / len(truth), rel=0.3)
    frame = truth.detections.frame
    lost = (truth.n_children == 0) & (frame < truth.detections.n_frames - 1)
    deep = border_distance(truth.detections) > 30
    assert model.disappear.inside == pytest.approx(lost[deep].mean(), rel=0.6, abs=0.002)
    assert model.disappear.border > 2 * model.disappear.inside
    assert model.miss < 0.002
    mothers = truth.divisions
    apart = [np.ptp(truth.detections.position[truth.parent == i], axis=0) for i in mothers]
    found = model.daughters.separation * np.mean(model.daughters.size)  # the separation is in units of the cells of a frame
    assert found == pytest.approx(np.mean(np.linalg.norm(apart, axis=1)), rel=0.15)


def test_missed_frames_are_counted():
    rng = np.random.default_rng(0)
    frame = np.repeat(np.arange(40), 10)
    place = np.tile(np.column_stack([np.zeros(10), np.arange(10) * 30.0]), (40, 1)) + rng.normal(0, 1, (400, 2))
    here = (rng.random(400) > 0.1) | (frame == 0) | (frame == 39)
    row = np.cumsum(here) - 1
    cell = np.tile(np.arange(10), 40)
    before = [np.flatnonzero(here[:k] & (cell[:k] == cell[k])) for k in np.flatnonzero(here)]
    cells = Detections(frame[here], place[here], np.ones(here.sum(), int))
    truth = Forest(cells, [row[rows[-1]] if len(rows) else -1 for rows in before])
    model = estimate(first_guess(cells), nearest(cells, 3, max_gap=3), truth)
    assert model.miss == pytest.approx(0.1, rel=0.4)
    assert model.divide < 0.005
    assert spread(model.distance) == pytest.approx(math.sqrt(2), rel=0.15)


def test_a_model_is_recorded_in_plain_numbers(film):
    graph, truth = film
    for model in (first_guess(graph.detections), estimate(first_guess(graph.detections), graph, truth)):
        record = json.loads(json.dumps(model.record(), allow_nan=False))
        assert record["divide_rate"] == model.divide
        assert {"step", "step_tail", "density", "divide_rate", "miss_rate", "appear", "disappear", "sisters", "overlap"} <= set(record)


def test_the_costs_of_a_film_favour_its_truth(film):
    graph, truth = film
    model = estimate(first_guess(graph.detections), graph, truth)
    costs = model.costs(graph)
    true = truth.parent[graph.target] == graph.source
    single = true & (truth.n_children[graph.source] == 1)
    assert np.median(costs["link"][single]) < -2 < 2 < np.median(costs["link"][~true])
    a, b, cost = costs["divide_pair"]
    right = true[a] & true[b]
    assert right.sum() >= 0.9 * len(truth.divisions)
    whole = costs["link"][a] + costs["link"][b] + costs["divide"][graph.source[a]] + cost
    other = costs["appear"][graph.target[a]] + costs["appear"][graph.target[b]] + costs["disappear"][graph.source[a]]
    assert (whole < other)[right].mean() > 0.9
    assert (whole < other)[~right].sum() < 0.1 * len(all_pairs(graph, np.unique(graph.source)))


def test_a_pair_is_forbidden_only_when_letting_a_daughter_appear_costs_no_more():
    graph, _ = sisters([(0, 5), (0, -5)])
    model = first_guess(graph.detections)
    assert isinstance(model, FilmModel)
    for divide in (-50.0, 50.0):
        costs = model.costs(graph, divide=divide, appear=8.0)
        a, b, _ = costs["divide_pair"]
        assert (a.tolist(), b.tolist()) == (([0], [1]) if divide < 0 else ([], []))
        assert costs["other_pairs"] == math.inf
        assert costs["divide"].tolist() == [divide] * 3
        assert costs["appear"].tolist() == [0, 8, 8]  # the first frame stays free
    assert len(all_pairs(graph, np.array([0]))) == 1


def test_cells_of_next_to_no_area_have_a_size():
    cells = Detections.from_points({"t": [0], "y": [0.0], "x": [0.0]}).with_columns(area=np.array([5e-324]))
    assert first_guess(cells).distance.density > 0


@pytest.mark.parametrize("told", [False, True], ids=["model", "with learned scores"])
@pytest.mark.parametrize("known", [(), (5, 40)], ids=["nothing known", "two links known"])
@pytest.mark.parametrize("first", [True, False], ids=["first guess", "estimate"])
def test_no_pair_is_forbidden_that_is_worth_it(film, first, known, told):
    """Looked for in all pairs, late sisters among them, whatever they look like.

    Worth it is what costs less than to let one daughter appear, or both, and the mother end. A late daughter, and a mother without any at
    once, must besides be worth the best link between consecutive frames that they leave aside.
    """
    graph, truth = film
    graph = graph.with_columns(learned=np.random.default_rng(0).normal(0, 3, len(graph))) if told else graph
    model = first_guess(graph.detections)
    model = replace(model if first else estimate(model, graph, truth), divide=0.2)  # so that it is close
    costs, every = (model.costs(graph, appear=6.0, spare=np.array(spare, int)) for spare in (known, range(len(graph))))
    a, b, cost = every["divide_pair"]
    assert len(a) == len(all_pairs(graph, np.unique(graph.source)))
    mother, late = graph.source[a], graph.dt > 1
    best = {}
    for k in np.flatnonzero(~late):
        for end in (("to", graph.target[k]), ("from", graph.source[k])):
            best[end] = min(best.get(end, 0.0), every["link"][k])
    aside = np.array([best.get(("to", row), 0.0) for row in graph.target]) * late
    saved = every["appear"][graph.target] - every["link"] + aside  # by letting a daughter appear instead
    both = saved[a] + saved[b] + every["disappear"][mother]
    both += np.array([best.get(("from", row), 0.0) for row in mother]) * (late[a] & late[b])
    worth = cost + every["divide"][mother] < np.minimum(np.minimum(saved[a], saved[b]), both)
    assert (worth & (late[a] | late[b])).any() and (worth & ~(late[a] | late[b])).any() and worth.mean() < 0.5
    worth |= np.isin(a, known) | np.isin(b, known)
    returns = np.isinf(costs["link"])  # nobody is a daughter who left the field and came back
    worth &= ~(returns[a] | returns[b]) | np.isin(a, known) | np.isin(b, known)
    rows = [
        sorted(zip(*(column.tolist() for column in columns), strict=True))
        for columns in (costs["divide_pair"], (a[worth], b[worth], cost[worth]))
    ]
    assert [row[:2] for row in rows[0]] == [row[:2] for row in rows[1]]
    np.testing.assert_allclose([row[2] for row in rows[0]], [row[2] for row in rows[1]])


# Units of daughters


def test_daughters_are_measured_by_the_cells_of_their_frame():
    place = np.array([[0.0, 0], [0, -5], [0, 5], [0, -10], [0, 10]])
    cells = Detections(np.array([0, 1, 1, 1, 1]), place, np.zeros(5, int))
    graph = CandidateGraph(cells, np.zeros(4, int), np.arange(1, 5), {"distance": np.zeros(4)})
    pairs, nothing = np.array([[0, 1], [2, 3]]), np.zeros(4)
    plain = Daughters(10.0, 2.0, 2.0, 1e-3)(graph, pairs, nothing)
    np.testing.assert_allclose(Daughters(1.0, 0.2, 0.2, 1e-3, (10.0, 10.0))(graph, pairs, nothing), plain)
    large = Daughters(1.0, 0.2, 0.2, 1e-3, (20.0, 10.0))(graph, pairs, nothing)  # cells twice as large: the wider pair fits
    assert plain[0] < plain[1]
    assert large[1] < large[0]


def test_misses_come_in_runs():
    cells = Detections(np.array([0, 1, 2, 3]), np.zeros((4, 2)), np.zeros(4, int))
    graph = CandidateGraph(cells, np.zeros(3, int), np.arange(1, 4), {"distance": np.zeros(3)})
    model = replace(first_guess(cells), distance=Distance(1.0, 1e9, 1.0), miss=0.01, again=0.5)
    extra = model.costs(graph)["link"] - model.distance(graph)
    np.testing.assert_allclose(extra, [0, -np.log(0.01), -np.log(0.01) - np.log(0.5)])


# noise


def lives(lengths, n_frames=40, side=200.0):
    """Cells at rest far from each other, each there for so many frames from frame 10 on, and four that mark the corners of the field."""
    corners = [(t, a, b) for t in range(n_frames) for a in (0.0, side) for b in (0.0, side)]
    rows = [(10 + t, 60.0 + k % 9 * 10, 60.0 + k // 9 * 10) for k, length in enumerate(lengths) for t in range(length)]
    table = np.array(sorted(corners + rows))
    cells = Detections(table[:, 0].astype(int), table[:, 1:], np.zeros(len(table), int))
    where = {(int(t), a, b): i for i, (t, a, b) in enumerate(table.tolist())}
    return Forest(cells, [where.get((int(t) - 1, a, b), -1) for t, a, b in table.tolist()])


def test_lone_detections_make_a_film_noisy():
    guess = Event(inside=0.01, border=0.02, reach=5.0)
    clean, noisy = lives([20] * 40), lives([20] * 40 + [1] * 20)
    assert false_share(clean, guess) == 0
    assert false_share(noisy, guess) == pytest.approx(20 / 972, rel=0.15)  # among the cells of other frames than the first and the last
    assert false_share(lives([20] * 40 + [1] * 3), guess) == 0  # three may happen
    assert false_share(lives([20] * 40 + [2] * 20), guess) == 0
    assert false_share(Forest(Detections([], np.zeros((0, 2)), []), []), guess) == 0
    assert lone(noisy).sum() == 20
    assert without_lone(noisy).selected.sum() == len(noisy) - 20
    assert false_share(without_lone(noisy), guess) == 0


def test_daughters_that_vanish_at_once_make_a_film_noisy():
    guess = Event(inside=0.01, border=0.02, reach=5.0)
    film = lives([20] * 40 + [1] * 20 + [20] * 20)
    cells = film.detections
    start = np.flatnonzero((film.parent < 0) & (film.n_children == 0))
    parent = film.parent.copy()
    parent[start] = np.flatnonzero(cells.frame == 9)[0]  # of a corner, which goes on
    few = parent.copy()
    few[start] = -1
    one = Forest(cells, np.where(np.arange(len(cells)) == start[0], parent, few))
    assert one.n_children.max() == 2
    assert lone(one).sum() == 19
    assert false_share(one, guess) == pytest.approx(false_share(Forest(cells, few), guess), rel=0.01)


def test_what_comes_and_goes_at_the_border_does_not():
    rng = np.random.default_rng(0)
    n, frames = 40, 30
    place = np.concatenate([rng.uniform(20, 180, (n, 2)), np.stack([np.zeros(n), np.linspace(0, 200, n)], axis=1)])
    turns = np.concatenate([np.zeros((n, frames), bool), rng.random((n, frames)) < 0.3])  # at the border they come and go
    there = (turns.cumsum(axis=1) + np.arange(2 * n)[:, None]) % 2 == 0
    there[:n] = True
    t, k = np.nonzero(there.T)
    row = np.full((2 * n, frames), -1)
    row[k, t] = np.arange(len(t))
    parent = np.where(t > 0, row[k, t - 1], -1)
    film = Forest(Detections(t, place[k], np.zeros(len(t), int)), parent)
    assert lone(film).sum() > 50
    assert false_share(film, Event(inside=0.01, border=0.2, reach=2.0)) == 0


def test_false_detections_are_dropped_from_noisy_films_only():
    for rate in (0.0, 0.05):
        film = simulate(frames=14, cells=25, size=(256, 256), seed=2, false_rate=rate, shuffle_labels=True)
        forest = link(film.labels)
        false = ~film.truth.selected
        assert forest.record["film"]["false_share"] == pytest.approx(rate, rel=0.7)
        if not rate:
            assert forest.selected.all()
            continue
        assert false.sum() >= 10
        assert (~forest.selected & false).sum() >= 0.7 * false.sum()
        assert (~forest.selected & ~false).sum() <= 0.01 * len(false)
        assert link(film.labels, settings=Settings(detection=-math.inf)).selected.all()


def test_a_late_sister_is_weighed_by_size_only_against_it():
    #  mother of area 100 in frame 0; a daughter in frame 1 and one that is seen from frame 2 on
    def pair_cost(areas):
        cells = Detections([0, 1, 2], [[0.0, 0], [0, -4], [0, 5]], [1, 1, 1], {"area": np.array(areas)})
        graph = CandidateGraph(cells, [0, 0], [1, 2], {"distance": np.array([4.0, 5.0])})
        size = Trait("size", mean=4.3, spread=0.4, step=0.1, loss=-0.5, loss_spread=0.4, difference=0.4)
        model = replace(first_guess(cells), distance=Distance(3.0, 3.0, 1e-3), likeness=Likeness((size,)))
        return model.costs(graph, appear=50.0)["divide_pair"][2][0]

    assert pair_cost([100.0, 55.0, 52.0]) == 0
    assert pair_cost([100.0, 100.0, 95.0]) > 1


# age


def test_ages_count_from_the_last_frame_of_the_mother():
    assert ages(ZOO["division with a past"]).tolist() == [-1, -1, 1, 1, 2, 2]
    assert ages(ZOO["division over a gap"]).tolist() == [-1, -1, 2, 2, 3]
    assert ages(ZOO["two divisions in a row"]).tolist() == [-1, 1, 1, 1, 1, 2]
    assert ages(ZOO["gap"]).tolist() == [-1] * 4
    assert ages(ZOO["empty"]).tolist() == []


def test_the_young_are_told_from_the_grown():
    rng = np.random.default_rng(0)
    age = rng.integers(-1, 40, 20_000)
    divides = rng.random(20_000) < np.where(age < 0, 0.03, np.where(age < 18, 0.001, 0.05))
    cycle = Cycle.fit(age, divides, 0.03)
    assert cycle.limit == pytest.approx(18, abs=1)
    assert (cycle.young, cycle.grown, cycle.unknown) == pytest.approx((0.001, 0.05, 0.03), rel=1.0)
    cost = cycle(np.array([-1, 0, cycle.limit - 1, cycle.limit, 99]))
    assert cost == pytest.approx(-np.log([cycle.unknown, cycle.young, cycle.young, cycle.grown, cycle.grown]))


def test_without_a_difference_there_is_no_cycle():
    rng = np.random.default_rng(0)
    age = rng.integers(0, 40, 20_000)
    assert Cycle.fit(age, rng.random(20_000) < 0.03, 0.03) is None
    assert Cycle.fit(age, rng.random(20_000) < np.where(age < 18, 0.05, 0.001), 0.03) is None  # the young divide more: that is no cycle
    assert Cycle.fit(age[:100], np.arange(100) < 9, 0.1) is None  # too few
    assert Cycle.fit(np.zeros(0, int), np.zeros(0, bool), 0.01) is None
    assert Cycle.fit(np.full(50, -1), np.ones(50, bool), 0.5) is None


def test_a_film_teaches_its_cycle():
    film = simulate(frames=50, cells=6, size=(220, 220), seed=3, cycle=16, cycle_spread=1.5, min_cycle=12, shuffle_labels=True)
    cycle = link(film.labels).record["film"]["cycle"]
    assert 8 <= cycle["limit"] <= 16
    assert cycle["young"] < 0.2 * cycle["grown"]
    assert link(film.labels[:6]).record["film"]["cycle"] is None
