"""Optical flow: movements that no single map of the field describes are seen in the pictures, and used only where they help."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

import lineage
from lineage.arrays import silent
from lineage.detections import Detections
from lineage.films import open_film
from lineage.forest import Forest
from lineage.linking import candidate_graph, link
from lineage.motion import field_motion, optical_flow
from lineage.pipeline.choosing import linked_hypotheses
from lineage.settings import Settings
from segmentation.hypotheses import Segments

SIDE, FRAMES, FAST = 192, 4, 16.0


def stream(place):
    """Four whirls that turn against each other: how far each place moves between frames; (d, ...) like ``place``."""
    y, x = place[-2:] * np.pi / SIDE
    moved = np.zeros_like(place)
    moved[-2], moved[-1] = FAST * np.sin(2 * y) * np.cos(2 * x), -FAST * np.cos(2 * y) * np.sin(2 * x)
    return moved


def carried(place):
    """Where places get to between frames: many small steps along the stream."""
    for _ in range(10):
        place = place + stream(place) / 10
    return place


def whirling(shape=(SIDE, SIDE), n=250, *, seed=0):
    """A textured film that is stirred, its cells, three pixels wide, and which of them each label of each frame is."""
    rng = np.random.default_rng(seed)
    place = np.stack([rng.uniform(0.05 * side, 0.95 * side, n) for side in shape])
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).astype(float)
    picture = gaussian_filter(rng.normal(size=shape), 3, mode="wrap") * 20
    back = grid
    for _ in range(10):
        back = back - stream(back) / 10
    films, labels, who = [], [], []
    for _ in range(FRAMES):
        films.append(picture)
        frame = np.zeros(shape, np.int32)
        order = rng.permutation(n)
        for number, k in enumerate(order, start=1):
            middle = np.clip(np.rint(place[:, k]).astype(int), 1, np.array(shape) - 2)
            frame[tuple(slice(m - 1, m + 2) for m in middle)] = number
        labels.append(frame)
        who.append(order)
        place, picture = carried(place), map_coordinates(picture, back, order=1, mode="nearest")
    return np.array(films), np.array(labels), who


def right(forest, who):
    """Share of the links between frames that join the same cell."""
    cells = forest.detections
    identity = np.array([who[t][label - 1] for t, label in zip(cells.frame, cells.label, strict=True)])
    child = np.flatnonzero(forest.parent >= 0)
    good = (identity[child] == identity[forest.parent[child]]).sum()
    return good / (cells.frame > 0).sum()


@pytest.fixture(scope="module")
def film():
    return whirling()


def test_the_movement_of_every_place_is_seen(film):
    pictures, labels, _ = film
    cells = Detections.from_labels(labels)
    flow = optical_flow(pictures, cells)
    early = cells.frame < FRAMES - 1
    true = carried(cells.position.T).T
    far = np.sqrt(((true - cells.position) ** 2).sum(axis=1))
    off = np.sqrt(((flow.ahead(cells) - true) ** 2).sum(axis=1))
    assert np.median(off[early]) < 0.25 * np.median(far[early])
    assert np.array_equal(flow.ahead(cells)[~early], cells.position[~early])  # after the last frame nothing is known
    late, again = cells.frame > 0, cells.position.T
    for _ in range(10):
        again = again - stream(again) / 10
    assert np.median(np.sqrt(((flow.behind(cells) - again.T) ** 2).sum(axis=1))[late]) < 0.25 * np.median(far)
    assert np.array_equal(flow.behind(cells)[~late], cells.position[~late])
    two = np.sqrt(((flow.ahead(cells, 2) - carried(carried(cells.position.T)).T) ** 2).sum(axis=1))
    assert np.median(two[cells.frame == 0]) < 0.3 * 2 * np.median(far)


def test_cells_that_are_stirred_are_followed_with_the_pictures_only(film):
    pictures, labels, who = film
    blind, seeing = link(labels), link(labels, pictures)
    assert right(blind, who) < 0.4
    assert right(seeing, who) > 0.94


def test_a_single_plane_is_seen_as_a_flat_picture_is(film):
    pictures, labels, _ = film
    flat, deep = (optical_flow(p[:3], Detections.from_labels(m[:3])) for p, m in ((pictures, labels), (pictures[:, None], labels[:, None])))
    ahead = deep.ahead(Detections.from_labels(labels[:3, None]))
    assert (ahead[:, 0] == 0).all()
    assert np.abs(ahead[:, 1:] - flat.ahead(Detections.from_labels(labels[:3]))).mean() < 0.05 * FAST  # regions are a little smaller


def test_strategies_see_the_pictures_that_a_benchmark_is_given(film):
    pictures, labels, who = film
    cells = Detections.from_labels(labels)
    identity = np.array([who[t][label - 1] for t, label in zip(cells.frame, cells.label, strict=True)])
    row = {(t, k): i for i, (t, k) in enumerate(zip(cells.frame.tolist(), identity.tolist(), strict=True))}
    truth = Forest(cells, [row.get((t - 1, k), -1) for t, k in row])
    table = lineage.benchmark(labels, truth, ("auto",), image=pictures)
    assert table[table.strategy == "auto"].LNK.item() > 0.9  # blind, less than half of the links are right


def test_so_they_are_when_the_solver_chooses_their_segments(film, tmp_path):
    pictures, labels, who = film
    opened, seen = open_film(pictures), {picture.tobytes(): frame for picture, frame in zip(pictures, labels, strict=True)}

    def guess(image):
        return Segments.of_labels(seen[np.asarray(image).tobytes()], 0.9)

    forest, chosen = linked_hypotheses(opened, Settings(), scale=(1, 1), interval=None, folder=tmp_path, progress=silent, guess=guess)
    numbered = [order[np.unique(frame)[1:] - 1] for order, frame in zip(who, labels, strict=True)]  # a segment's label is its number
    assert right(forest, numbered) > 0.94
    np.testing.assert_array_equal(chosen[1] > 0, labels[1] > 0)


def test_brightness_and_units_do_not_matter(film):
    pictures, labels, _ = film
    cells = Detections.from_labels(labels)
    flow = optical_flow(pictures, cells).ahead(cells)
    brighter = (300 + 7 * pictures).astype(np.float32)
    assert optical_flow(brighter, cells).ahead(cells) == pytest.approx(flow, abs=0.05)
    metres = Detections.from_labels(labels, scale=(0.5, 0.5))
    assert optical_flow(pictures, metres).ahead(metres) * 2 == pytest.approx(flow, abs=0.05)


def test_pictures_that_show_no_movement_are_not_used(film):
    pictures, labels, _ = film
    still = np.repeat(labels[:1], FRAMES, axis=0)
    noise = np.random.default_rng(0).normal(size=pictures.shape)
    assert optical_flow(np.repeat(pictures[:1], FRAMES, axis=0), Detections.from_labels(still)) is None
    cells = Detections.from_labels(labels)
    assert optical_flow(noise, cells) is None
    assert optical_flow(np.zeros_like(pictures), cells) is None
    assert "ahead_y" not in candidate_graph(cells, labels, Settings(), image=noise).detections.columns


def test_a_field_that_moves_as_one_is_left_to_its_own_motion():
    rng = np.random.default_rng(1)
    texture = gaussian_filter(rng.normal(size=(160, 160)), 2)
    cells = np.zeros((160, 160), int)
    corners = rng.permutation([(y, x) for y in range(20, 140, 15) for x in range(20, 140, 15)])[:40] + rng.integers(-4, 5, (40, 2))
    for k, (y, x) in enumerate(corners, start=1):
        cells[y : y + 3, x : x + 3] = k
    labels = np.array([np.roll(cells, 6 * t, axis=1) for t in range(3)])
    pictures = np.array([np.roll(texture, 6 * t, axis=1) for t in range(3)])
    found = Detections.from_labels(labels)
    field = field_motion(found)
    assert field is not None
    assert optical_flow(pictures, found, field) is None


def test_stacks_are_seen_too(monkeypatch):
    monkeypatch.setitem(globals(), "FAST", 8.0)
    pictures, labels, who = whirling((8, SIDE // 2, SIDE // 2), n=200)
    cells = Detections.from_labels(labels)
    true = carried(cells.position.T).T
    far, off = (np.sqrt(((place - true) ** 2).sum(axis=1)) for place in (cells.position, optical_flow(pictures, cells).ahead(cells)))
    assert np.median(off[cells.frame < FRAMES - 1]) < 0.2 * np.median(far)
    assert right(link(labels, pictures), who) > 0.95


@pytest.mark.parametrize("frames", [0, 1])
def test_films_too_short_to_show_anything(frames):
    labels = np.zeros((frames, 16, 16), int)
    labels[:, 4:6, 4:6] = 1
    assert optical_flow(np.zeros((frames, 16, 16)), Detections.from_labels(labels)) is None
    assert len(link(labels, np.zeros((frames, 16, 16)))) == frames
