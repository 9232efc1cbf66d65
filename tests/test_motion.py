"""Motion: known movements of the field are found, rest is left alone, and what is found does not depend on units, place or order."""

from __future__ import annotations

import numpy as np
import pytest

import lineage
from lineage.benchmarking.linkers import favourite
from lineage.candidates import displacements, expected, nearest, overlapping, union, usual_radius
from lineage.detections import Detections
from lineage.evaluation import evaluate
from lineage.forest import Forest
from lineage.linking import candidate_graph, link
from lineage.motion import Motion, expecting, field_motion
from lineage.scoring import border_distance
from lineage.scoring.steps import Heading, Steps, followed, heading, met
from lineage.settings import Settings
from lineage.simulation import simulate


def cloud(moves, n=60, side=200.0, step=1.0, *, dims=2, seed=0):
    """Points at random, no two within 10 of each other, each with small steps of its own, in a field that moves so."""
    rng = np.random.default_rng(seed)
    points = [rng.uniform(0, side, dims)]
    while len(points) < n:
        new = rng.uniform(0, side, dims)
        if min(np.linalg.norm(new - old) for old in points) > 10:
            points.append(new)
    place, frames = np.array(points), []
    for matrix, offset in [(np.eye(dims), np.zeros(dims)), *moves]:
        middle = np.full(dims, side / 2)
        place = (place - middle) @ np.asarray(matrix).T + middle + offset + rng.normal(0, step, place.shape)
        frames.append(place)
    return Detections(np.repeat(np.arange(len(frames)), n), np.concatenate(frames), np.tile(np.arange(1, n + 1), len(frames)))


STILL = (np.eye(2), (0.0, 0.0))


def test_what_rests_is_at_rest():
    assert field_motion(cloud([STILL] * 8)) is None
    assert field_motion(cloud([STILL] * 8, step=4.0)) is None
    assert field_motion(simulate(frames=8, cells=25, seed=3).truth.detections) is None


@pytest.mark.parametrize("jump", [(30.0, 0.0), (-22.0, 25.0), (5.0, -4.0), (60.0, 10.0)])
def test_a_jump_is_found_where_it_was(jump):
    motion = field_motion(cloud([STILL, STILL, (np.eye(2), jump), STILL]))
    assert motion.moved.tolist() == [False, False, True, False, False]
    assert motion.matrix[2] @ [100, 100] + motion.offset[2] - 100 == pytest.approx(np.array(jump), abs=0.7)


def test_a_jump_in_space_is_found():
    motion = field_motion(cloud([(np.eye(3), (0.0, 25.0, -30.0))], n=150, side=150.0, dims=3))
    assert motion.moved.tolist() == [True, False]
    assert motion.matrix[0] @ [75, 75, 75] + motion.offset[0] - 75 == pytest.approx(np.array([0, 25, -30]), abs=0.7)


def test_growth_and_turns_are_found():
    turn = np.array([[np.cos(0.05), -np.sin(0.05)], [np.sin(0.05), np.cos(0.05)]])
    for matrix in (np.eye(2) * 1.06, turn, np.array([[1.0, 0.06], [0.0, 1.0]])):
        motion = field_motion(cloud([(matrix, (0.0, 0.0))] * 3, n=120, side=300.0))
        assert motion.moved.tolist() == [True, True, True, False]
        assert motion.matrix[:3] == pytest.approx(np.array([matrix] * 3), abs=0.01)


def test_growth_and_a_jump_together():
    motion = field_motion(cloud([(np.eye(2) * 1.04, (30.0, -20.0))], n=120, side=300.0))
    assert motion.matrix[0] == pytest.approx(np.eye(2) * 1.04, abs=0.01)
    assert motion.matrix[0] @ [150, 150] + motion.offset[0] - 150 == pytest.approx(np.array([30, -20]), abs=0.7)


def test_some_may_be_missed_divide_or_be_noise():
    cells = cloud([(np.eye(2), (28.0, 10.0))], n=80, side=250.0)
    rng = np.random.default_rng(1)
    keep = np.flatnonzero(rng.random(len(cells)) > 0.15)
    noise = rng.uniform(0, 250, (20, 2))
    frame = np.concatenate([cells.frame[keep], np.tile([0, 1], 10)])
    order = np.argsort(frame, kind="stable")
    place = np.concatenate([cells.position[keep], noise])[order]
    motion = field_motion(Detections(frame[order], place, 0 * order))
    assert motion.matrix[0] @ [125, 125] + motion.offset[0] - 125 == pytest.approx(np.array([28, 10]), abs=1.0)


def test_unit_order_and_place_do_not_matter():
    cells = cloud([(np.eye(2) * 1.03, (25.0, -15.0)), STILL], n=80)
    motion = field_motion(cells)
    larger = field_motion(Detections(cells.frame, cells.position * 7, cells.label))
    assert larger.matrix == pytest.approx(motion.matrix, abs=1e-6)
    assert larger.offset == pytest.approx(motion.offset * 7, abs=1e-4)
    order = np.lexsort((np.random.default_rng(0).random(len(cells)), cells.frame))
    mixed = field_motion(Detections(cells.frame, cells.position[order], cells.label))
    assert mixed.ahead(cells) == pytest.approx(motion.ahead(cells), abs=0.1)
    away = Detections(cells.frame, cells.position + 1000, cells.label)
    assert field_motion(away).ahead(away) == pytest.approx(motion.ahead(cells) + 1000, abs=1e-3)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_few_cells_say_nothing(n):
    cells = Detections(np.repeat([0, 1], n), np.random.default_rng(0).random((2 * n, 2)), np.zeros(2 * n, int))
    assert field_motion(cells) is None


def test_cells_on_one_place_and_empty_frames_do_no_harm():
    assert field_motion(Detections(np.repeat([0, 1], 9), np.zeros((18, 2)), np.zeros(18, int))) is None
    line = np.column_stack([np.zeros(24), np.tile(np.arange(12) * 10.0, 2)])
    assert field_motion(Detections(np.repeat([0, 3], 12), line, np.zeros(24, int), n_frames=6)) is None
    assert field_motion(Detections(np.repeat([0, 1], 12), line, np.zeros(24, int), n_frames=6)) is None


def test_ahead_and_behind_are_each_others_inverse():
    rng = np.random.default_rng(0)
    motion = Motion(np.eye(2) + rng.normal(0, 0.1, (4, 2, 2)), rng.normal(0, 9, (4, 2)), np.ones(4, bool))
    start = rng.random((4, 2)) * 50
    chain = [start]
    for t in range(3):
        chain.append(chain[-1] @ motion.matrix[t].T + motion.offset[t])
    cells = Detections(np.repeat(np.arange(4), 4), np.concatenate(chain), np.zeros(16, int))
    assert motion.ahead(cells)[:12] == pytest.approx(cells.position[4:])
    assert motion.ahead(cells, 2)[:8] == pytest.approx(cells.position[8:])
    assert motion.behind(cells)[4:] == pytest.approx(cells.position[:12])
    assert motion.behind(cells)[:4] == pytest.approx(start)  # there is no frame before the first
    known = expecting(cells, motion)
    assert expected(known) == pytest.approx(motion.ahead(cells))
    assert expected(known, "behind") == pytest.approx(motion.behind(cells))
    assert expected(cells) is cells.position


# what candidates and scores make of it


def jumped():
    """Six frames of discs on a grid; between the third and the fourth frame the stage jumps by more than half of their distance."""
    film = np.zeros((6, 160, 200), np.uint16)
    y, x = np.indices(film.shape[1:])
    rng = np.random.default_rng(3)
    places = [(20 + 30 * k + rng.integers(-6, 7), 20 + 30 * j + rng.integers(-6, 7)) for k in range(4) for j in range(5)]
    for t in range(6):
        for number, (a, b) in enumerate(places):
            a, b = a + (t + number) % 2, b + (0 if t < 3 else 18)
            film[t][(y - a) ** 2 + (x - b) ** 2 <= 36] = number + 1
    return film


def test_candidates_start_where_cells_are_expected():
    cells = Detections.from_labels(jumped())
    motion = field_motion(cells)
    assert motion.moved.tolist() == [False, False, True, False, False, False]
    graph = nearest(cells, 1, ahead=lambda dt: motion.ahead(cells, dt))
    same = cells.label[graph.source] == cells.label[graph.target]
    assert same[cells.frame[graph.source] == 2].sum() == 20
    assert graph.columns["distance"][same].max() < 2
    resting = nearest(cells, 1)
    same = cells.label[resting.source] == cells.label[resting.target]
    assert same[cells.frame[resting.source] == 2].sum() < 20
    assert usual_radius(expecting(cells, motion)) <= usual_radius(cells)
    assert displacements(expecting(cells, motion))[0].max() < 2


def test_masks_are_moved_before_their_overlap_is_counted():
    film = jumped()
    cells = Detections.from_labels(film)
    motion = field_motion(cells)
    moved = overlapping(cells, film, max_gap=1, ahead=lambda dt: motion.ahead(cells, dt))
    same = cells.label[moved.source] == cells.label[moved.target]
    assert same.all()
    assert moved.columns["iou"].min() > 0.7
    both = union([nearest(cells, 4, ahead=lambda dt: motion.ahead(cells, dt)), moved])
    assert both.columns["distance"][both.columns["iou"] > 0].max() < 2
    still = overlapping(cells, film, max_gap=1)
    rest = overlapping(cells, film, max_gap=1, ahead=lambda dt: cells.position)
    assert (still.columns["iou"] == rest.columns["iou"]).all()


def test_who_comes_from_outside_may_begin_cheaply():
    cells = Detections([0, 0, 1, 1], [[0.0, 0], [9, 40], [0, 0], [9, 40]], [1, 2, 1, 2])
    known = cells.with_columns(behind_y=cells.position[:, 0], behind_x=np.array([0, 40, -30, 10.0]))
    assert border_distance(cells).tolist() == [0, 0, 0, 0]
    wide = Detections([0, 0, 1], [[0.0, 0], [100, 100], [50, 50]], [1, 2, 1])
    assert border_distance(wide).tolist() == [0, 0, 50]
    assert border_distance(wide.with_columns(behind_y=np.array([0, 100, 50.0]), behind_x=np.array([0, 100, 20.0])), "behind")[2] == 20
    outside = wide.with_columns(behind_y=np.array([0, 100, 50.0]), behind_x=np.array([0, 100, -20.0]))
    assert border_distance(outside, "behind")[2] == 0
    assert border_distance(outside)[2] == 50
    assert border_distance(known, "behind").tolist() == [0, 0, 0, 0]


def test_a_film_that_jumps_is_linked_and_the_record_says_so():
    film = jumped()
    forest = link(film)
    assert (forest.detections.label[forest.parent[forest.child_rows]] == forest.detections.label[forest.child_rows]).all()
    assert len(forest.roots) == 20
    assert forest.record["motion"]["frames"] == 1
    assert forest.record["motion"]["farthest"] == pytest.approx(18, abs=1)
    assert not any(name.startswith(("ahead", "behind")) for name in forest.detections.columns)
    without = link(film, settings=Settings(motion=False))
    assert without.record["motion"] == {"frames": 0, "farthest": 0.0, "steps": None}
    assert len(without.roots) > 20
    assert "ahead_y" in candidate_graph(Detections.from_labels(film), film, Settings()).detections.columns


def test_a_growing_colony_with_a_jumping_stage():
    film = simulate(frames=14, cells=50, size=(360, 360), seed=1, expansion=0.02, jump_rate=0.5, jump=21.0, shuffle_labels=True)
    truth = (film.truth, film.labels)
    scores = evaluate((lineage.link(film.labels), film.labels), truth)
    assert scores["LNK"] >= 0.95
    assert scores["division_f1"] >= 0.9
    overlap = overlapping(film.truth.detections, film.labels)
    alone = Forest(film.truth.detections, favourite(overlap, overlap.columns["iou"]))
    assert evaluate((alone, film.labels), truth)["LNK"] < 0.7


# steps: a second look, with a first solution


def walkers(kind, n=90, frames=12, seed=0):
    """Cells with steps of length about 3: ``drift`` each keeps its own course, ``flow`` all share a slow swirl, ``random`` neither."""
    rng = np.random.default_rng(seed)
    side = 60.0 * n**0.5
    place = rng.uniform(0, side, (n, 2))
    velocity = rng.normal(0, 2.5, (n, 2))
    rows = [place]
    for _ in range(frames - 1):
        wind = 3 * np.stack([np.sin(place[:, 1] / 90), np.cos(place[:, 0] / 90)], axis=1)
        noise = rng.normal(0, 2.5, (n, 2)) * (1.0 if kind == "random" else 0.3)
        place = place + noise + {"drift": velocity, "flow": wind, "random": 0}[kind]
        rows.append(place)
    cells = Detections(np.repeat(np.arange(frames), n), np.concatenate(rows), np.zeros(n * frames, int))
    return Forest(cells, np.concatenate([np.full(n, -1), np.arange(n * (frames - 1))]))


def test_steps_are_expected_where_they_can_be():
    for kind in ("drift", "flow", "random"):
        forest = walkers(kind)
        graph = nearest(forest.detections, 3)
        head = heading(graph, forest)
        true = forest.parent[graph.target] == graph.source
        if kind == "random":
            assert head is None
            continue
        better, steps = followed(graph, head), head.steps
        assert steps.worth > 0.5
        assert np.median(better.columns["distance"][true]) < 0.6 * np.median(graph.columns["distance"][true])
        assert (better.source == graph.source).all()
        assert better.detections.position is graph.detections.position
        if kind == "drift":
            assert steps.own == pytest.approx(0.95, abs=0.06)
            assert abs(steps.flow) < 0.1
        else:
            assert steps.alone > 0.8


def test_a_wrong_link_leads_nobody_astray():
    forest = walkers("drift")
    graph = nearest(forest.detections, 3)
    parent = forest.parent.copy()
    parent[[100, 101, 200, 203, 333, 336]] = parent[[101, 100, 203, 200, 336, 333]]  # far from each other
    head = heading(graph, Forest(forest.detections, parent))
    better = followed(graph, head)
    assert head.steps.own > 0.85
    true = forest.parent[graph.target] == graph.source
    assert np.median(better.columns["distance"][true]) < 0.6 * np.median(graph.columns["distance"][true])


def mostly_resting(seed=0, runners=6, n=120, frames=14):
    """A true forest of cells that hardly move, but for a few that run as far in a frame as others lie apart, on courses that bend."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(0, 900, (n, 2))
    angle = rng.uniform(0, 2 * np.pi, runners)
    rows = []
    for _ in range(frames):
        rows.append(place + rng.normal(0, 0.5, (n, 2)))
        place = place + rng.normal(0, 1, (n, 2))
        place[:runners] += 25 * np.stack([np.sin(angle), np.cos(angle)], axis=1)
        angle += 0.15
    cells = Detections(np.repeat(np.arange(frames), n), np.concatenate(rows), np.zeros(n * frames, int))
    return Forest(cells, np.concatenate([np.full(n, -1), np.arange(n * (frames - 1))]))


def test_the_steps_of_a_few_that_run_are_believed():
    forest = mostly_resting(runners=30)
    graph = nearest(forest.detections, 3, radius=60)
    better = followed(graph, heading(graph, forest))
    true = (forest.parent[graph.target] == graph.source) & (graph.source % 120 < 30) & (graph.source >= 240)
    assert np.median(graph.columns["distance"][true]) > 20
    assert np.median(better.columns["distance"][true]) < 8


def test_where_a_cell_heads_it_meets_others():
    forest = mostly_resting()
    cells = forest.detections
    graph = nearest(cells, 3, radius=15)
    true = forest.parent[graph.target] == graph.source
    assert not (true & (graph.source % 120 < 6)).any()  # none of the runners can be linked
    head = Heading(Steps(1.0, 0.0, 0.0, 1.0, 1.0), np.zeros_like(cells.position))
    head.shift[120:] = cells.position[120:] - cells.position[:-120]  # of every cell that was there before: its last step
    wider = met(graph, head, 15)
    true = forest.parent[wider.target] == wider.source
    assert (true & (wider.source % 120 < 6)).sum() == 6 * 12  # all but those of the first frame, whose steps are not known
    alone = np.linalg.norm(cells.position[wider.target] - cells.position[wider.source], axis=1)
    np.testing.assert_allclose(wider.columns["distance"], alone)
    pairs = set(zip(wider.source.tolist(), wider.target.tolist(), strict=True))
    assert pairs >= set(zip(graph.source.tolist(), graph.target.tolist(), strict=True))


def test_what_a_cell_meets_is_measured_from_where_the_field_carries_it():
    forest = mostly_resting()
    drift = np.array([3.0, -2.0])
    cells = forest.detections.with_columns(ahead_y=forest.detections.position[:, 0] + 3.0, ahead_x=forest.detections.position[:, 1] - 2.0)
    place = cells.position + drift
    graph = nearest(cells, 2, radius=15, ahead=lambda _: place)
    wider = met(graph, Heading(Steps(1.0, 0.0, 0.0, 1.0, 1.0), np.full_like(place, 30.0)), 40)
    assert len(wider) > len(graph)
    np.testing.assert_allclose(wider.columns["lead_y"], 3.0)
    np.testing.assert_allclose(wider.columns["lead_x"], -2.0)
    far = np.linalg.norm(cells.position[wider.target] - place[wider.source], axis=1)
    np.testing.assert_allclose(wider.columns["distance"], far)


def test_a_few_steps_teach_nothing():
    forest = walkers("drift", n=4, frames=4)
    graph = nearest(forest.detections, 3)
    assert heading(graph, forest) is None
    empty = Detections([], np.zeros((0, 2)), [], n_frames=3)
    assert heading(nearest(empty), Forest(empty, [])) is None


def test_steps_die_away_over_missed_frames():
    forest = walkers("drift")
    graph = nearest(forest.detections, 3, max_gap=2)
    head = heading(graph, forest)
    better, steps = followed(graph, head), head.steps
    cells = forest.detections
    far = np.flatnonzero((graph.dt == 3) & (cells.frame[graph.source] > 0))[:50]
    last = cells.position[graph.source[far]] - cells.position[forest.parent[graph.source[far]]]
    own = min(steps.own, 0.95)
    length = np.median(np.linalg.norm(last, axis=1))
    assert length > 0
    where = cells.position[graph.source[far]] + (1 + own + own**2) * steps.own * last
    distance = np.linalg.norm(cells.position[graph.target[far]] - where, axis=1)
    assert np.median(np.abs(better.columns["distance"][far] - distance)) < 0.15 * length


def test_expected_steps_are_sums():
    steps = Steps(own=0.5, flow=0.25, alone=1.0, mother=1.0, worth=1.0)
    last = np.array([[2.0, 0.0], [np.nan, np.nan]])
    around = np.array([[0.0, 4.0], [1.0, 1.0]])
    assert steps.shift(last, around).tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_a_crowd_that_keeps_its_course_is_linked_by_it():
    rng = np.random.default_rng(4)
    side, n, frames = 300.0, 220, 10
    place, velocity = rng.uniform(0, side, (n, 2)), rng.normal(0, 6, (n, 2))
    rows = [place + t * velocity + rng.normal(0, 0.5, (n, 2)) for t in range(frames)]
    cells = Detections(np.repeat(np.arange(frames), n), np.concatenate(rows), np.zeros(n * frames, int))
    truth = np.concatenate([np.full(n, -1), np.arange(n * (frames - 1))])
    with_steps, without = (link(cells, settings=Settings(motion=motion, divisions=False)) for motion in (True, False))
    right = [(forest.parent == truth)[n:].mean() for forest in (with_steps, without)]
    assert with_steps.record["motion"]["steps"]["own"] > 0.8
    assert right[0] > right[1] + 0.07
    assert right[0] > 0.9
