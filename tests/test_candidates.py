"""Candidate links against brute force: every pair of detections looked at, every pixel counted."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from zoo import ZOO, paint

from lineage.candidates import displacements, nearest, overlapping, spacings, union, usual_radius
from lineage.detections import Detections
from lineage.graph import CandidateGraph


def edges(graph):
    return list(zip(graph.source.tolist(), graph.target.tolist(), strict=True))


@st.composite
def films(draw, dims=(2, 3)):
    """Detections at random places, some frames empty; no two distances are the same."""
    frames = sorted(draw(st.lists(st.integers(0, 5), max_size=14)))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    return Detections(frames, rng.uniform(0, 10, (len(frames), draw(st.sampled_from(dims)))), np.ones(len(frames), int))


def brute_force(cells, count, radius, max_gap):
    """The links that either end asks for, found by looking at every pair."""
    wanted = set()
    n, frame = len(cells), cells.frame
    far = lambda i, j: math.dist(cells.position[i], cells.position[j])  # noqa: E731
    for i in range(n):
        for dt in range(-max_gap - 1, max_gap + 2):
            there = [j for j in range(n) if frame[j] == frame[i] + dt and far(i, j) <= radius * math.sqrt(abs(dt))] if dt else []
            choices = count if abs(dt) == 1 else max(1, count // 2)
            wanted |= {(i, j) if dt > 0 else (j, i) for j in sorted(there, key=lambda j: far(i, j))[:choices]}
    return sorted(wanted)


@effort(max_examples=120, deadline=None)
@given(films(), st.integers(1, 5), st.floats(0.5, 12), st.integers(0, 3))
def test_nearest_is_what_looking_at_every_pair_finds(cells, count, radius, max_gap):
    graph = nearest(cells, count, radius=radius, max_gap=max_gap)
    assert edges(graph) == brute_force(cells, count, radius, max_gap)
    step = cells.position[graph.target] - cells.position[graph.source]
    np.testing.assert_allclose(graph.columns["distance"], np.linalg.norm(step, axis=1))


def line(*places_of_frames):
    """Detections on a line: places of every frame in turn."""
    frame = np.repeat(np.arange(len(places_of_frames)), [len(places) for places in places_of_frames])
    place = np.concatenate([*places_of_frames, []])
    return Detections(frame, np.column_stack([np.zeros(len(place)), place]), np.ones(len(place), int))


def test_nobodys_favourite_still_asks_for_itself():
    crowd = line([0.0], [0.5, 1.0, 2.0])
    assert edges(nearest(crowd, 1, radius=5)) == [(0, 1), (0, 2), (0, 3)]  # each of the three asks for row 0


def test_the_radius_is_reached_and_grows_with_the_root_of_time():
    cells = line([0.0], [3.0], [3 * math.sqrt(2)], [0.0])
    assert edges(nearest(cells, 1, radius=3, max_gap=0))[0] == (0, 1)
    assert (0, 2) in edges(nearest(cells, 1, radius=3, max_gap=1))
    assert (0, 2) not in edges(nearest(cells, 1, radius=2.999, max_gap=1))
    assert (0, 3) in edges(nearest(cells, 1, radius=3, max_gap=2))


def test_half_as_many_are_asked_across_a_gap():
    cells = line([0.0, 5.0], [], [1.0, 4.0, 4.5])
    assert edges(nearest(cells, 2, radius=10, max_gap=1)) == [(0, 2), (1, 3), (1, 4)]
    assert len(nearest(cells, 4, radius=10, max_gap=1)) == 6


@pytest.mark.parametrize("animal", ZOO.values(), ids=ZOO)
def test_every_link_of_the_zoo_is_a_candidate(animal):
    graph = nearest(animal.detections, 3, radius=20.0, max_gap=2)
    assert {(int(animal.parent[i]), int(i)) for i in animal.child_rows} <= set(edges(graph))


def test_films_without_links():
    for cells in (line(), line([1.0]), line([1.0, 2.0]), line([1.0], [], [], [2.0])):
        graph = nearest(cells, max_gap=1)
        assert len(graph) == 0
        assert graph.columns["distance"].shape == (0,)


CALL_ERRORS = {
    "count": ({"count": 0}, "count must be at least 1, not 0"),
    "gap": ({"max_gap": -1}, "max_gap must not be negative, but is -1"),
    "radius": ({"radius": 0.0}, "radius must be positive, not 0.0"),
    "no radius": ({"radius": math.nan}, "radius must be positive, not nan"),
}


@pytest.mark.parametrize(("arguments", "message"), CALL_ERRORS.values(), ids=CALL_ERRORS)
def test_wrong_calls_are_refused(arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        nearest(line([0.0], [1.0]), **arguments)


# Overlap


@effort(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(0, 2), st.sampled_from([(6, 7), (3, 4, 5)]))
def test_overlap_counts_every_shared_pixel(seed, n_frames, max_gap, shape):
    rng = np.random.default_rng(seed)
    film = (
        rng.integers(0, 4, (n_frames, *shape)) * rng.integers(0, 2, (n_frames, *shape)) * rng.integers(0, 2, (n_frames, *[1] * len(shape)))
    )
    cells = Detections.from_labels(film * 1000)
    graph = overlapping(cells, film * 1000, max_gap=max_gap)
    expected = []
    for i in range(len(cells)):
        for j in range(len(cells)):
            if 0 < cells.frame[j] - cells.frame[i] <= max_gap + 1:
                one, two = (film[cells.frame[k]] * 1000 == cells.label[k] for k in (i, j))
                if (one & two).any():
                    expected.append((i, j, (one & two).sum(), (one & two).sum() / (one | two).sum()))
    assert edges(graph) == [row[:2] for row in expected]
    assert graph.columns["overlap"].tolist() == [row[2] for row in expected]
    np.testing.assert_allclose(graph.columns["iou"], [row[3] for row in expected])
    assert sorted(graph.columns) == ["distance", "iou", "overlap"]


@effort(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([(6, 7), (3, 4, 5)]))
def test_every_mask_is_moved_by_itself_and_cut_at_the_border(seed, shape):
    rng = np.random.default_rng(seed)
    film = rng.integers(0, 3, (4, *shape))
    cells = Detections.from_labels(film)
    away = rng.integers(-3, 4, (len(cells), len(shape)))
    graph = overlapping(cells, film, max_gap=1, ahead=lambda dt: cells.position + dt * away)
    expected = []
    for i in range(len(cells)):
        for j in range(len(cells)):
            if 0 < (dt := int(cells.frame[j] - cells.frame[i])) <= 2:
                places = (np.argwhere(film[cells.frame[i]] == cells.label[i]) + dt * away[i]).tolist()
                inside = [tuple(place) for place in places if all(0 <= k < size for k, size in zip(place, shape, strict=True))]
                if count := sum(film[cells.frame[j]][place] == cells.label[j] for place in inside):
                    expected.append((i, j, count))
    assert list(zip(*(column.tolist() for column in (graph.source, graph.target, graph.columns["overlap"])), strict=True)) == expected


def test_overlap_by_hand():
    film = np.zeros((3, 4, 6), np.uint8)
    film[0, :, :3] = 1
    film[1, :, 2:4], film[1, 0, 0] = 9, 4
    film[2, :, 3:] = 1
    graph = overlapping(Detections.from_labels(film), film, max_gap=1)
    assert edges(graph) == [(0, 1), (0, 2), (2, 3)]
    assert graph.columns["overlap"].tolist() == [1, 4, 4]
    assert graph.columns["iou"].tolist() == [1 / 12, 4 / 16, 4 / 16]


def test_overlap_reads_zarr_frame_by_frame(tmp_path):
    film = paint(ZOO["division with a past"])
    stored = zarr.create_array(store=str(tmp_path / "film.zarr"), shape=film.shape, chunks=(1, 8, 8), dtype="uint16")
    stored[:] = film
    cells = Detections.from_labels(film)
    assert edges(overlapping(cells, stored)) == edges(overlapping(cells, film))


def test_films_without_cells_overlap_nowhere():
    film = np.zeros((3, 4, 4), int)
    graph = overlapping(Detections.from_labels(film), film)
    assert len(graph) == 0
    assert sorted(graph.columns) == ["distance", "iou", "overlap"]


FILM = np.zeros((2, 4, 4), int)
FILM[0, 0, 0], FILM[1, 1, 1] = 3, 5
OTHERS = {
    "another label": ([0, 1], [3, 6], FILM, "labels and detections differ in frame 1: label 5 is in only one of them"),
    "one too many": ([0, 1, 1], [3, 5, 7], FILM, "labels and detections differ in frame 1: label 7 is in only one of them"),
    "one missing": ([1], [5], FILM, "labels and detections differ in frame 0: label 3 is in only one of them"),
    "one twice": ([0, 0, 1], [3, 3, 5], FILM, "labels and detections differ in frame 0: two detections have the label 3"),
    "a short film": ([0, 1], [3, 5], FILM[:1], "the label film has 1 frames, but there are detections in frame 1"),
    "no labels": ([0, 1], [3, 5], FILM / 1.0, "label frame 0 is float64, but labels are whole numbers: convert with astype('uint16')"),
}


@pytest.mark.parametrize(("frames", "labels", "film", "message"), OTHERS.values(), ids=OTHERS)
def test_labels_of_another_film_are_refused(frames, labels, film, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        overlapping(Detections(frames, np.zeros((len(frames), 2)), labels), film)


# Union


def test_a_union_has_all_edges_and_what_is_known_of_them():
    cells = line([0.0, 9.0], [1.0, 8.0])
    one = CandidateGraph(cells, [1, 0], [3, 2], {"iou": [0.5, 0.25], "distance": [1.0, 1.0]})
    two = CandidateGraph(cells, [0, 0], [3, 2], {"flow": [4, 7]})
    both = union([one, two])
    assert edges(both) == [(0, 2), (0, 3), (1, 3)]
    assert both.columns["iou"].tolist() == [0.25, 0, 0.5]
    assert both.columns["flow"].tolist() == [7, 4, 0]
    assert both.columns["distance"].tolist() == [1, 8, 1]
    assert edges(union([both])) == edges(union([both, one, two])) == edges(both)


@effort(max_examples=40, deadline=None)
@given(films())
def test_a_union_is_a_union_of_sets(cells):
    one, two = nearest(cells, 1, radius=9.0), nearest(cells, 4, radius=3.0, max_gap=2)
    both = union([one, two])
    assert edges(both) == sorted({*edges(one), *edges(two)})
    np.testing.assert_allclose(both.columns["distance"], union([two, one]).columns["distance"])


# Radius


@effort(max_examples=60, deadline=None)
@given(films(dims=(2,)))
def test_displacements_are_those_of_mutual_nearest_neighbours(cells):
    frames = [np.flatnonzero(cells.frame == t) for t in range(cells.n_frames)]
    far = np.linalg.norm(cells.position[:, None] - cells.position[None], axis=2)
    steps, spacings = [], []
    for here, there in zip(frames, [*frames[1:], []], strict=False):
        for i in here:
            spacings += [far[i, [j for j in here if j != i]].min()] if len(here) > 1 else []
            if len(there) and here[far[here, there[far[i, there].argmin()]].argmin()] == i:
                steps.append(far[i, there].min())
    found, spacing = displacements(cells)
    np.testing.assert_allclose(np.sort(found), np.sort(steps))
    np.testing.assert_allclose(spacing, np.median(spacings) if spacings else np.nan)


def test_the_usual_radius_follows_the_film():
    calm = line(*[np.arange(0, 100, 10.0) + t * 0.1 for t in range(5)])
    assert usual_radius(calm) == pytest.approx(10)  # one typical distance between neighbours
    wide = line(*[np.arange(0, 1000, 100.0) + t * 40.0 for t in range(5)])
    assert usual_radius(wide) == pytest.approx(200)  # five times the median step
    twice = Detections(calm.frame, calm.position * 3, calm.label)
    assert usual_radius(twice) == pytest.approx(3 * usual_radius(calm))


@pytest.mark.parametrize(
    ("cells", "radius"),
    [(line(), 1.0), (line([4.0]), 1.0), (line([4.0, 4.0]), 1.0), (line([4.0, 7.0]), 3.0), (line([4.0], [4.0]), 1.0)],
    ids=["nothing", "one", "two in one place", "two", "one that stands still"],
)
def test_there_is_always_a_radius(cells, radius):
    assert usual_radius(cells) == radius
    nearest(cells)


def test_spacings_follow_each_frame():
    wide = np.stack([np.zeros(50), 40.0 * np.arange(50)], axis=1)
    cells = Detections(np.repeat([0, 1], 50), np.concatenate([wide, wide / 4]), np.zeros(100, int), n_frames=4)
    found = spacings(cells)
    assert found[0] == pytest.approx(40, rel=0.05)
    assert found[1] == pytest.approx(10, rel=0.1)
    assert found[2] == found[3] == pytest.approx(25)  # frames without cells take the median of the film
    assert np.isnan(spacings(Detections(np.array([0, 1]), np.zeros((2, 2)), np.zeros(2, int)))).all()


def test_daughters_of_large_early_cells_are_candidates():
    early = np.array([[0.0, 0], [0, 100], [0, 200], [0, 300]])
    late = np.stack([np.ones(400), 5.0 * np.arange(400)], axis=1)
    place = np.concatenate([early, early + np.array([0, 60]), late, late])
    cells = Detections(np.repeat([0, 1, 2, 3], [4, 4, 400, 400]), place, np.zeros(808, int))
    graph = nearest(cells)
    assert usual_radius(cells) < 60
    assert (0, 4) in set(zip(graph.source.tolist(), graph.target.tolist(), strict=True))  # 60 away, in a frame of large cells
