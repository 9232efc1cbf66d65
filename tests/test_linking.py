"""Linking: settings in and out, then films from masks or points to the lineages that are known to be true."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from zoo import ZOO, paint

import lineage
from lineage.candidates import nearest
from lineage.detections import Detections
from lineage.evaluation import evaluate
from lineage.linking import candidate_graph, link, link_graph
from lineage.scoring.film import first_guess
from lineage.settings import Settings, Weights
from lineage.simulation import simulate
from lineage.solving import solve

# Settings


def written(settings, tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text(settings.to_toml(), encoding="utf-8")
    return file


@effort(max_examples=60, deadline=None)
@given(
    st.builds(
        Settings,
        neighbours=st.integers(1, 99),
        radius=st.none() | st.floats(1e-300, 1e300) | st.just(math.inf),
        max_gap=st.integers(0, 9),
        scores=st.sampled_from([("distance",), ("distance", "overlap")]),
        divisions=st.booleans(),
        appear=st.none() | st.floats(-100, 100),
        detection=st.none() | st.floats(-100, 100),
        miss=st.none() | st.floats(0.001, 0.999),
        rounds=st.integers(0, 5),
        time_limit=st.just(math.inf) | st.floats(0.1, 1e6),
        solver=st.sampled_from(["auto", "pulp:HiGHS"]),
        segment=st.text(st.characters(codec="utf-8", exclude_categories=("Cs",))),
    )
)
def test_settings_survive_toml(tmp_path_factory, settings):
    assert Settings.from_toml(written(settings, tmp_path_factory.mktemp("toml"))) == settings


def test_numbers_of_numpy_are_numbers(tmp_path):
    settings = Settings(radius=np.float32(2.5), max_gap=np.int64(1), gap=np.float64(0.01))
    assert "radius = 2.5\n" in settings.to_toml()
    assert Settings.from_toml(written(settings, tmp_path)) == settings


def test_a_file_changes_what_it_names(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text('radius = 7  # a whole number will do\nscores = ["distance"]\nsolver = "greedy"\n')
    assert Settings.from_toml(file) == replace(Settings(), radius=7, scores=("distance",), solver="greedy")
    file.write_text("")
    assert Settings.from_toml(file) == Settings()


KNOWN = ", ".join(Settings().__dataclass_fields__)
TOML_ERRORS = {
    "unknown": ("neighbors = 3", f"no such setting: neighbors; there are {KNOWN}"),
    "word for number": ('max_gap = "two"', "max_gap must be int, not 'two'"),
    "fraction for whole": ("neighbours = 2.5", "neighbours must be int, not 2.5"),
    "yes for number": ("rounds = true", "rounds must be int, not True"),
    "number for yes": ("divisions = 1", "divisions must be bool, not 1"),
    "word for optional": ('radius = "wide"', "radius must be float, not 'wide'"),
    "yes for optional": ("appear = false", "appear must be float, not False"),
    "word for list": ('scores = "distance"', "scores must be a list, not 'distance'"),
    "list for word": ("solver = [1]", "solver must be str, not [1]"),
}


@pytest.mark.parametrize(("text", "message"), TOML_ERRORS.values(), ids=TOML_ERRORS)
def test_files_that_make_no_sense_are_refused(text, message, tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=f"^{re.escape(f'{file}: {message}')}$"):
        Settings.from_toml(file)


def test_what_is_no_toml_is_refused(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text("radius: 3\n")
    with pytest.raises(ValueError, match=f"^{re.escape(str(file))} is not TOML: .+$"):
        Settings.from_toml(file)


SETTING_ERRORS = {
    "score": ({"scores": ("distance", "colour")}, "no such score: colour; there are distance, overlap, size, intensity, shape, mothers"),
    "no score": ({"scores": ()}, "scores must include distance, but are none"),
    "a score that is a number": (
        {"scores": ("distance", 1)},
        "no such score: 1; there are distance, overlap, size, intensity, shape, mothers",
    ),
    "a cost that is no number": ({"appear": math.nan}, "appear is a cost in nats, not nan"),
    "a division for ever": ({"divide": -math.inf}, "divide is a cost in nats, not -inf"),
    "no distance": ({"scores": ("overlap",)}, "scores must include distance, but are overlap"),
    "neighbours": ({"neighbours": 0}, "neighbours must be at least 1, not 0"),
    "max_gap": ({"max_gap": -1}, "max_gap must be at least 0, not -1"),
    "rounds": ({"rounds": -1}, "rounds must be at least 0, not -1"),
    "gap": ({"gap": math.nan}, "gap must be at least 0, not nan"),
    "half a neighbour": ({"neighbours": 1.5}, "neighbours must be a whole number, not 1.5"),
    "half a gap": ({"max_gap": 1.5}, "max_gap must be a whole number, not 1.5"),
    "weights": ({"weights": {"link": 1}}, "weights must be lineage.settings.Weights(...), not {'link': 1}"),
    "window": ({"window": 20.5}, "window must be a whole number of frames, not 20.5"),
    "overlap": ({"window": 20, "overlap": 3}, "overlap must be more than max_gap, 4, and at most window, 20, not 3"),
    "radius": ({"radius": 0}, "radius must be positive, not 0"),
    "time": ({"time_limit": -1.0}, "time_limit must be positive, not -1.0"),
    "miss": ({"miss": 1.0}, "miss is a probability between 0 and 1, not 1.0"),
}


@pytest.mark.parametrize(("changes", "message"), SETTING_ERRORS.values(), ids=SETTING_ERRORS)
def test_settings_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Settings(**changes)


# Tiny films


@pytest.mark.parametrize("name", [name for name in ZOO if name != "unselected noise"])
def test_the_zoo_is_linked_without_harm(name):
    film = paint(ZOO[name])
    before = film.tobytes()
    film.flags.writeable = False
    forest = link(film)
    assert film.tobytes() == before
    assert len(forest) == len(ZOO[name])
    assert forest.selected.all()
    assert forest.certificate.status == "optimal"
    assert forest.detections.n_frames == len(film)


@pytest.mark.parametrize("name", ["single", "single in a long film", "step", "two strangers"])
def test_what_stands_still_is_linked_as_it_is(name):
    assert link(paint(ZOO[name])).parent.tolist() == ZOO[name].parent.tolist()


def rows_of_cells(n_frames=8, n=6, side=120):
    """A film of discs on a loose grid that move a little to and fro, and where each of them is."""
    film = np.zeros((n_frames, side, side), np.uint16)
    y, x = np.indices((side, side))
    for t in range(n_frames):
        for k in range(n):
            place = 20 + 40 * (k // 3) + (t % 2), 20 + 40 * (k % 3) + (t // 2 % 2)
            film[t][(y - place[0]) ** 2 + (x - place[1]) ** 2 <= 36] = 10 + k
    return film


def test_cells_apart_are_followed_by_name():
    film = rows_of_cells()
    forest = link(film)
    assert (forest.detections.label[forest.parent[forest.child_rows]] == forest.detections.label[forest.child_rows]).all()
    assert len(forest.roots) == 6
    assert forest.divisions.tolist() == []


def test_a_missed_frame_is_bridged_if_it_may_be():
    film = rows_of_cells()
    film[3][film[3] == 12] = 0
    bridged, cut = link(film), link(film, settings=Settings(max_gap=0))
    assert (len(bridged.roots), bridged.gap.max()) == (6, 1)
    assert (len(cut.roots), cut.gap.max()) == (7, 0)


def test_a_division_is_found_unless_forbidden():
    film = rows_of_cells()
    y, x = np.indices(film.shape[1:])
    for t in range(4, 8):
        film[t][film[t] == 11] = 0
        for k, side in ((90, -1), (91, 1)):
            film[t][(y - 20) ** 2 + (x - 60 - side * (3 + 2 * (t - 4))) ** 2 <= 9] = k
    forest = link(film)
    assert [(forest.detections.frame[i], forest.detections.label[i]) for i in forest.divisions] == [(3, 11)]
    assert link(film, settings=Settings(divisions=False)).divisions.tolist() == []
    assert link(film, settings=Settings(divide=50.0)).divisions.tolist() == []


def test_films_of_nothing():
    for film in (np.zeros((3, 8, 8), int), np.zeros((1, 8, 8), int), np.zeros((2, 3, 4, 5), int), np.zeros((0, 8, 8), int)):
        forest = link(film)
        assert (len(forest), forest.certificate.objective) == (0, 0)
        assert forest.detections.n_frames == len(film)
    one = rows_of_cells(n_frames=1)
    assert link(one).parent.tolist() == [-1] * 6
    single = np.where(rows_of_cells() == 10, 1, 0)
    assert link(single).parent.tolist() == [-1, 0, 1, 2, 3, 4, 5, 6]


def test_points_are_linked_like_masks():
    cells = Detections.from_labels(rows_of_cells(), properties=[])
    forest = link(Detections(cells.frame, cells.position, 0 * cells.label))
    assert (cells.label[forest.parent[forest.child_rows]] == cells.label[forest.child_rows]).all()
    assert len(forest.roots) == 6
    three = Detections(cells.frame, np.column_stack([cells.position[:, :1] * 0, cells.position]), cells.label)
    assert link(three).parent.tolist() == forest.parent.tolist()


def test_masks_may_be_lists_or_zarr(tmp_path):
    film = rows_of_cells(4)
    stored = zarr.create_array(store=str(tmp_path / "film.zarr"), shape=film.shape, chunks=(1, 60, 60), dtype="uint16")
    stored[:] = film
    parents = [link(kind).parent.tolist() for kind in (film, list(film), stored)]
    assert parents[0] == parents[1] == parents[2]


@pytest.mark.parametrize("more", [{"image": np.zeros((8, 4, 4))}, {"scale": (1, 1)}])
def test_what_belongs_to_masks_is_refused_for_points(more):
    message = "image, scale and interval are for label films: detections have their own columns, scale and interval"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        link(ZOO["step"].detections, **more)


def test_doubtful_detections_are_dropped_at_their_price():
    cells = Detections.from_labels(rows_of_cells())
    frame, place = np.append(cells.frame, 7), np.vstack([cells.position, [[110.0, 110.0]]])  # one that is nowhere else
    noisy = Detections(frame, place, np.append(cells.label, 99))
    assert link(noisy).selected.all()
    kept = link(noisy, settings=Settings(detection=-1.0, appear=6.0)).selected
    assert kept[:-1].all()
    assert not kept[-1]
    dear = link(noisy, settings=Settings(detection=100.0)).selected
    assert not dear.any()


@pytest.mark.parametrize("leap", [40.0, 1000.0])
@pytest.mark.parametrize("settings", [Settings(), Settings(radius=0.001), Settings(weights=Weights(link=100.0))])
def test_where_nothing_can_be_linked_no_cell_is_lost(leap, settings):
    """Cells that leap to and fro: the links fail, and that says nothing against the cells."""
    frame, cell = np.divmod(np.arange(24), 3)
    cells = Detections(frame, np.stack([20.0 * cell + leap * (frame % 2), 500.0 * (frame % 2)], axis=1), np.zeros(24, int))
    forest = link(cells, settings=settings)
    assert (len(forest), forest.selected.all(), forest.certificate.status) == (24, True, "optimal")


def test_a_film_in_windows_is_linked_lawfully_and_certified_whole():
    film = simulate(frames=24, cells=8, size=(150, 150), seed=4)
    cells = Detections.from_labels(film.labels)
    whole = link(cells, settings=Settings(gap=0))
    one = link(cells, settings=Settings(gap=0, window=24))
    assert np.array_equal(one.parent, whole.parent)
    parts = link(cells, settings=Settings(gap=0, window=9, overlap=6))
    shares = parts.record["windows"]["parts"]
    assert [(part["first"], part["last"]) for part in shares] == [(0, 9), (9, 24)]
    assert sum(part["objective"] for part in shares) == pytest.approx(parts.certificate.objective)
    assert sum(part["bound"] for part in shares) == pytest.approx(parts.certificate.bound)
    assert parts.certificate.gap < 1e-3
    assert (parts.parent == whole.parent).mean() > 0.95


def test_of_two_rivals_one_is_chosen():
    cells = Detections.from_labels(rows_of_cells(4))
    place = np.vstack([cells.position, cells.position[-1:] + 9.0])
    rivals = Detections(np.append(cells.frame, 3), place, np.append(cells.label, 99), conflicts=[[len(cells) - 1, len(cells)]])
    chosen = link(rivals).selected
    assert chosen[:-1].all()
    assert not chosen[-1]


# Simulated films


@pytest.fixture(scope="module")
def film():
    return simulate(frames=25, cells=25, size=(256, 256), seed=1, shuffle_labels=True)


@pytest.fixture(scope="module")
def linked(film):
    before = film.labels.tobytes()
    forest = link(film.labels)
    assert film.labels.tobytes() == before
    return forest


def test_a_film_is_linked_as_it_was_made(film, linked):
    scores = evaluate((linked, film.labels), (film.truth, film.labels))
    assert scores["n_truth_divisions"] >= 10
    assert scores["edge_f1"] >= 0.98
    assert scores["division_f1"] >= 0.9


def test_the_record_says_how_it_was_done(linked):
    record = json.loads(json.dumps(dict(linked.record), allow_nan=False))
    assert {"step", "divide_rate", "miss_rate"} <= set(record["film"])
    assert record["candidates"]["edges"] > len(linked)
    assert record["candidates"]["radius"] > 0
    assert (linked.certificate.status, linked.certificate.solver) == ("optimal", "highs")
    assert linked.certificate.gap <= 1e-4
    assert np.isfinite(linked.link_cost[linked.child_rows]).all()
    assert np.isnan(linked.link_cost[linked.roots]).all()


def test_the_same_call_gives_the_same_lineages(film, linked):
    assert link(film.labels).parent.tolist() == linked.parent.tolist()
    assert lineage.link(film.labels, settings=Settings()).parent.tolist() == linked.parent.tolist()


def test_the_unit_does_not_matter(film, linked):
    assert link(film.labels, scale=0.325).parent.tolist() == linked.parent.tolist()


def test_other_solvers_and_settings_do_well_too(film):
    for settings in (Settings(solver="greedy"), Settings(scores=("distance",)), Settings(rounds=0)):
        scores = evaluate((link(film.labels, settings=settings), film.labels), (film.truth, film.labels))
        assert scores["edge_f1"] >= 0.9, settings


def test_dearer_divisions_are_fewer(film):
    divisions = [len(link(film.labels[:8], settings=Settings(rounds=0, divide=cost)).divisions) for cost in (-12.0, 4.0, 40.0)]
    assert divisions[0] > divisions[1] > divisions[2] == 0


def test_what_is_left_out_of_the_programme_is_not_missed(film):
    cells = Detections.from_labels(film.labels)
    graph = candidate_graph(cells, film.labels, Settings(max_gap=4))
    for changes in ({}, {"appear": 12.0, "divide": 1.0}, {"appear": 1.0, "disappear": 0.5, "divide": -3.0}):
        small = link_graph(graph, Settings(rounds=0, gap=0, **changes)).certificate
        whole = solve(graph, first_guess(cells).costs(graph, **changes) | {"select": -math.inf}, gap=0).certificate
        assert small.objective == pytest.approx(whole.objective, abs=1e-6)


def test_the_steps_of_linking_can_be_taken_one_by_one(film, linked):
    cells = Detections.from_labels(film.labels)
    graph = candidate_graph(cells, film.labels, Settings())
    assert link_graph(graph, Settings()).parent.tolist() == linked.parent.tolist()
    alone = candidate_graph(cells, None, Settings())
    assert len(alone) == len(nearest(cells, 8, max_gap=4)) <= len(graph)
    assert sorted(candidate_graph(cells, film.labels, Settings(scores=("distance",))).columns) == ["distance"]


def test_missed_masks_are_bridged():
    film = simulate(frames=25, cells=25, size=(256, 256), seed=3, miss_rate=0.03, shuffle_labels=True)
    truth = (film.truth, film.labels)
    bridged, cut = link(film.labels), link(film.labels, settings=Settings(max_gap=0))
    missed = int((film.truth.gap > 0).sum())
    assert missed >= 10
    assert (bridged.gap > 0).sum() >= 0.7 * missed
    assert (cut.gap > 0).sum() == 0
    assert bridged.record["film"]["miss_rate"] == pytest.approx(0.03, rel=0.5)
    assert evaluate((bridged, film.labels), truth)["edge_f1"] > evaluate((cut, film.labels), truth)["edge_f1"]


def test_a_film_in_three_dimensions():
    film = simulate(frames=10, cells=12, size=(24, 96, 96), seed=1, shuffle_labels=True)
    scores = evaluate((link(film.labels, film.image, film.scale), film.labels), (film.truth, film.labels))
    assert scores["edge_f1"] >= 0.98


def test_real_nuclei_from_silver_masks(data, linked_hela):
    labels, forest = linked_hela
    scores = evaluate((forest, labels), data / "ctc" / "Fluo-N2DL-HeLa" / "01_GT")
    assert forest.certificate.gap <= 1e-4
    assert scores["CHOTA"] >= 0.95
    assert scores["division_f1"] >= 0.86


def test_slack_speaks_of_the_links_that_were_given():
    rng = np.random.default_rng(0)
    place, velocity = rng.uniform(0, 300, (60, 2)), rng.normal(0, 5, (60, 2))
    cells = Detections(np.repeat(np.arange(10), 60), np.concatenate([place + t * velocity for t in range(10)]), np.zeros(600, int))
    graph = candidate_graph(cells, None, Settings(neighbours=2))  # too few: others are met where the cells head
    forest = link_graph(graph, Settings(solver="dual", gap=0))
    assert forest.record["candidates"]["edges"] > len(graph)
    assert forest.slack["link"].shape == (len(graph),)
    assert (forest.slack["link"] > 0).any()
    direct = graph.keep(np.flatnonzero(graph.dt == 1))
    assert link_graph(direct, Settings(solver="dual", gap=0)).slack["link"].shape == (len(direct),)


def test_slack_speaks_of_the_links_of_the_whole_graph(film):
    cells = Detections.from_labels(film.labels)
    graph = candidate_graph(cells, film.labels, Settings(max_gap=4))
    forest = link_graph(graph, Settings(solver="dual", gap=0))
    chosen = forest.parent[graph.target] == graph.source
    slack = forest.slack["link"]
    assert slack.shape == (len(graph),)
    assert (slack >= 0).all()
    # pinning a chosen link off, on the whole graph, costs at least its slack
    costs = first_guess(cells).costs(graph) | {"select": -math.inf}
    first = link_graph(graph, Settings(solver="dual", gap=0, rounds=0))
    for k in np.flatnonzero(first.parent[graph.target] == graph.source)[::60]:
        other = solve(graph, costs, pins={"link": {int(k): 0}}, gap=0)
        assert other.certificate.objective - first.certificate.objective >= first.slack["link"][k] - 1e-6
    assert chosen.any()


# films in which nothing moves, or moves on a grid: steps say less than they seem to


def walkers(kind, seed, *, n=25, frames=15, rng=None):
    """Cells some 20 apart whose steps are nothing, whole pixels, or all the same: (frame, place, who) of each."""
    rng, side = np.random.default_rng(seed), int(n**0.5)
    start = np.stack(np.divmod(np.arange(n), side), 1) * 20.0 + 15 + rng.uniform(-3, 3, (n, 2))
    speed, walk = rng.normal(0, 0.3, (n, 2)), np.cumsum(rng.normal(0, 0.3, (frames, n, 2)), axis=0)
    path = {
        "resting": np.zeros((frames, n, 2)),
        "straight": np.arange(frames)[:, None, None] * speed,
        "walking on pixels": walk,
        "straight on pixels": np.arange(frames)[:, None, None] * speed,
        "seldom moving": np.cumsum((rng.random((frames, n, 1)) < 0.1) * rng.normal(0, 3, (frames, n, 2)), axis=0),
    }[kind]
    place = start + path
    place = np.round(place) if "pixels" in kind else place
    there = rng.random((frames, n)) > 0.04
    there[[0, -1]] = True
    return [(t, *place[t, i], i) for t in range(frames) for i in range(n) if there[t, i]]


def wrong_parents(forest, who):
    """Cells whose parent is not the same cell as it was seen last."""
    last, wrong = {}, 0
    for row, name in enumerate(who.tolist()):
        wrong += int(forest.parent[row]) != last.get(name, -1)
        last[name] = row
    return wrong


@pytest.mark.parametrize("kind", ["resting", "straight", "walking on pixels", "straight on pixels", "seldom moving"])
@pytest.mark.parametrize("unit", [1.0, 0.01])
def test_steps_of_no_length_make_no_other_cell_of_one_that_moves(kind, unit):
    table = np.array(walkers(kind, seed=1))
    cells = Detections.from_points({"t": table[:, 0], "y": table[:, 1], "x": table[:, 2], "who": table[:, 3]}, unit)
    forest = link(cells)
    assert wrong_parents(forest, forest.detections.columns["who"]) == 0
    assert len(forest.divisions) == 0


def test_masks_that_were_drawn_on_whole_pixels_are_followed():
    rows = walkers("walking on pixels", seed=2)
    labels, grid = np.zeros((15, 130, 130), np.uint16), np.indices((130, 130))
    for t, y, x, i in rows:
        labels[int(t)][((grid - np.array([y, x])[:, None, None]) ** 2).sum(axis=0) <= 16] = i + 1
    forest = link(labels)
    assert wrong_parents(forest, forest.detections.label) == 0
    assert len(forest.divisions) == 0
