"""Simulated films: image, masks and truth agree, and chance obeys the settings."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from scipy import ndimage

import lineage
from lineage.simulation import Simulation, simulate
from lineage.simulation.film import _labelled
from lineage.simulation.kinship import kinship
from lineage.simulation.shot import HIDDEN, MISSED, SHOWN, Cast, Shot

SMALL = {"frames": 12, "cells": 8, "size": (96, 96), "cycle": 8, "cycle_spread": 1, "min_cycle": 5, "radius": 7}


@pytest.fixture(scope="module")
def film():
    return simulate(**SMALL)


def masks(labels):
    """(frame, label) of every mask."""
    return [(t, int(k)) for t, frame in enumerate(labels) for k in np.unique(frame) if k]


def agree(film):
    """Truth and masks tell the same story, in plain words."""
    cells, truth = film.truth.detections, film.truth
    assert list(zip(cells.frame.tolist(), cells.label.tolist(), strict=True)) == masks(film.labels)
    for t, label, place in zip(cells.frame, cells.label, cells.position, strict=True):
        pixels = np.argwhere(film.labels[t] == label)
        np.testing.assert_allclose(place, pixels.mean(0) * film.scale, atol=1e-9)
    child = np.flatnonzero(truth.parent >= 0)
    assert (cells.frame[truth.parent[child]] < cells.frame[child]).all()
    assert truth.n_children.max(initial=0) <= 2
    assert cells.n_frames == len(film.labels) == len(film.image)


def test_the_plain_call_makes_the_film_that_is_promised():
    film = lineage.simulate(frames=2)
    assert film.image.shape == film.labels.shape == (2, 256, 256)
    assert film.image.dtype == film.labels.dtype == np.uint16
    assert film.scale == film.truth.detections.scale == (1.0, 1.0)
    assert np.sum(film.truth.detections.frame == 0) == 20
    width = film.truth.detections.columns["axis_major"]
    assert 18 < np.median(width) < 24


def test_defaults_are_thirty_frames_of_twenty_cells():
    assert (Simulation().frames, Simulation().cells, Simulation().size, Simulation().seed) == (30, 20, (256, 256), 0)


def test_settings_and_overrides_are_the_same_thing(film):
    one = simulate(Simulation(**SMALL))
    two = simulate(Simulation(cells=3, size=(96, 96)), **SMALL)
    np.testing.assert_array_equal(one.image, film.image)
    np.testing.assert_array_equal(two.labels, film.labels)
    assert one.settings == two.settings == film.settings


def test_same_seed_same_bytes_other_seed_other_bytes(film):
    again, other = simulate(**SMALL), simulate(**SMALL, seed=1)
    assert again.image.tobytes() == film.image.tobytes()
    assert again.labels.tobytes() == film.labels.tobytes()
    assert again.truth.parent.tobytes() == film.truth.parent.tobytes()
    assert other.image.tobytes() != film.image.tobytes()
    assert other.labels.tobytes() != film.labels.tobytes()


def test_the_camera_does_not_move_the_cells(film):
    dark = simulate(**SMALL, photons=5, read_noise=20, blur=3)
    np.testing.assert_array_equal(dark.labels, film.labels)
    assert (dark.image != film.image).any()


def test_a_shorter_film_is_the_beginning_of_a_longer_one(film):
    short = simulate(**{**SMALL, "frames": 5})
    np.testing.assert_array_equal(short.image, film.image[:5])
    np.testing.assert_array_equal(short.labels > 0, film.labels[:5] > 0)


def test_masks_and_truth_agree(film):
    agree(film)


def test_labels_are_the_numbers_of_the_tracklets(film):
    np.testing.assert_array_equal(film.truth.detections.label, film.truth.tracklet_id)


def test_shuffled_labels_are_counted_anew_in_every_frame(film):
    mixed = simulate(**SMALL, shuffle_labels=True)
    np.testing.assert_array_equal(mixed.labels > 0, film.labels > 0)
    agree(mixed)
    for frame in mixed.labels:
        present = np.unique(frame[frame > 0])
        np.testing.assert_array_equal(present, np.arange(len(present)) + 1)
    places = lambda f: sorted(map(tuple, f.truth.detections.position[f.truth.divisions].tolist()))  # noqa: E731
    assert places(mixed) == places(film)
    assert len(film.truth.divisions)
    assert (mixed.truth.detections.label != mixed.truth.tracklet_id).any()


@pytest.mark.parametrize("seed", range(3))
def test_frame_zero_holds_the_cells_asked_for(seed):
    for cells in (0, 1, 7):
        film = simulate(frames=1, cells=cells, size=(90, 70), seed=seed)
        assert len(film.truth) == cells


def test_the_number_of_cells_is_conserved():
    """From frame to frame: cells now = cells before - divided - lost + daughters + new."""
    film = simulate(**SMALL, death_rate=0.02, seed=4)
    truth, frame = film.truth, film.truth.detections.frame
    for t in range(1, 12):
        before, now = np.flatnonzero(frame == t - 1), np.flatnonzero(frame == t)
        children = truth.n_children[before]
        assert len(now) == len(before) + np.sum(children == 2) - np.sum(children == 0) + np.sum(truth.parent[now] < 0)


def test_cells_do_not_come_from_nowhere_or_vanish_but_at_the_border():
    film = simulate(frames=25, cells=15, size=(160, 160), seed=2, speed=4, persistence=0.9)
    cells, truth = film.truth.detections, film.truth
    new = (truth.parent < 0) & (cells.frame > 0)
    lost = (truth.n_children == 0) & (cells.frame < 24)
    assert new.sum() and lost.sum()
    assert cells.columns["touches_border"][new | lost].all()


def test_dying_cells_vanish_inside_the_field():
    film = simulate(frames=25, cells=15, size=(160, 160), seed=2, death_rate=0.03)
    cells = film.truth.detections
    lost = (film.truth.n_children == 0) & (cells.frame < 24)
    assert not cells.columns["touches_border"][lost].all()


def test_mothers_divide_into_two_halves_nearby():
    film = simulate(frames=30, cells=30, size=(300, 300), seed=1, bumps=0)
    cells, truth = film.truth.detections, film.truth
    whole = ~cells.columns["touches_border"]
    mothers = [i for i in truth.divisions if whole[[i, *np.flatnonzero(truth.parent == i)]].all()]
    assert len(mothers) > 10
    area = cells.columns["area"]
    for i in mothers:
        a, b = np.flatnonzero(truth.parent == i)
        middle = cells.position[[a, b]].mean(0)
        assert np.linalg.norm(middle - cells.position[i]) < 10  # a few pixels of walking and pushing
        assert 0.7 < (area[a] + area[b]) / area[i] < 1.3
        assert 0.55 < area[a] / area[b] < 1.8
        assert 8 < np.linalg.norm(cells.position[a] - cells.position[b]) < 24


def test_mothers_round_up_and_brighten_before_they_divide():
    film = simulate(frames=30, cells=30, size=(300, 300), seed=1)
    cells, truth = film.truth.detections, film.truth
    whole = ~cells.columns["touches_border"]
    mothers = truth.divisions[whole[truth.divisions]]
    others = np.setdiff1d(np.flatnonzero(whole & (truth.generation == 0)), mothers)
    shape = cells.columns["axis_major"] / cells.columns["axis_minor"]
    light = cells.columns["intensity_mean"]
    assert np.median(shape[mothers]) < np.median(shape[others]) - 0.08
    assert np.median(light[mothers]) > np.median(light[others]) + 20


def test_cells_grow_over_their_cycle():
    film = simulate(frames=20, cells=6, size=(200, 200), cycle=19.5, cycle_spread=0.01, min_cycle=19, seed=3, bumps=0, radius_spread=0)
    table = film.truth.life_table()
    cells = film.truth.detections
    long = table[(table["duration"] == table["duration"].max())]["cell_id"].tolist()
    assert long
    rows = np.flatnonzero(film.truth.lineage_id == table.set_index("cell_id").loc[long[0], "lineage_id"])
    area = cells.columns["area"][rows[~cells.columns["touches_border"][rows]]]
    assert area[-4] > 1.3 * area[0]


def test_no_cell_divides_before_the_shortest_cycle():
    film = simulate(frames=40, cells=10, size=(200, 200), cycle=9, cycle_spread=6, min_cycle=6, seed=5)
    table = film.truth.life_table()
    durations = table[table["complete"]]["duration"]
    assert len(durations) > 10
    assert durations.min() == 6
    assert durations.max() > 9


def test_neighbours_touch_but_do_not_swallow_each_other():
    film = simulate(frames=4, cells=40, size=(200, 200), seed=1)
    touching = sum(np.any((a != b) & (a > 0) & (b > 0)) for f in film.labels for a, b in ((f[1:], f[:-1]), (f[:, 1:], f[:, :-1])))
    assert touching == 8
    whole = ~film.truth.detections.columns["touches_border"]
    assert film.truth.detections.columns["area"][whole].min() > 80
    pieces = [ndimage.label(film.labels[t] == k)[1] for t, k in masks(film.labels)]
    assert np.mean(np.array(pieces) == 1) > 0.97


def test_gaps_happen_only_where_masks_are_missed(film):
    assert not (film.truth.gap > 0).any()
    holes = simulate(**SMALL, miss_rate=0.2)
    agree(holes)
    assert (holes.truth.gap > 0).any()
    np.testing.assert_array_equal(holes.image, film.image)
    kept = holes.labels > 0
    assert (film.labels[kept] > 0).all()
    missing = 1 - len(holes.truth) / len(film.truth)
    assert 0.1 < missing < 0.3


def test_the_truth_over_a_gap_is_the_truth_without_it(film):
    """A cell's parent with missed masks is its nearest ancestor that is left."""
    holes = simulate(**SMALL, miss_rate=0.2)
    full, few = film.truth, holes.truth
    spot = lambda forest, i: (int(forest.detections.frame[i]), *forest.detections.position[i].tolist())  # noqa: E731
    row_in_full = {spot(full, i): i for i in range(len(full))}
    left = {row_in_full[spot(few, i)]: i for i in range(len(few))}
    bridged = 0
    for j, i in left.items():
        up = int(full.parent[j])
        while up >= 0 and up not in left:
            up = int(full.parent[up])
            bridged += 1
        assert few.parent[i] in ((left[up],) if up >= 0 else (-1,))
    assert bridged


@examples(max_examples=8, deadline=None)
@given(st.floats(0, 1), st.floats(0, 0.5), st.integers(0, 10_000), st.booleans())
def test_any_mixture_of_errors_leaves_a_lawful_truth(miss, false, seed, shuffle):
    agree(simulate(**SMALL, miss_rate=miss, false_rate=false, seed=seed, shuffle_labels=shuffle, death_rate=0.05))


def parents(*frames):
    """Parent rows of a film given as frames of (uid, mother, state)."""
    return kinship([Cast(*np.array(frame).T.reshape(3, -1)) for frame in frames]).parent.tolist()


def test_a_missed_cell_keeps_its_past():
    assert parents([(0, -1, SHOWN)], [(0, -1, MISSED)], [(0, -1, SHOWN)]) == [-1, 0]


def test_a_cell_that_left_the_field_comes_back_as_another():
    assert parents([(0, -1, SHOWN)], [(0, -1, HIDDEN)], [(0, -1, SHOWN)]) == [-1, -1]
    assert parents([(0, -1, SHOWN)], [(0, -1, HIDDEN)], [(0, -1, MISSED)], [(0, -1, SHOWN)]) == [-1, -1]


def test_daughters_of_a_missed_mother_come_from_where_she_was_last_seen():
    assert parents([(0, -1, SHOWN)], [(0, -1, MISSED)], [(1, 0, SHOWN), (2, 0, SHOWN)]) == [-1, 0, 0]


def test_daughters_of_a_hidden_mother_begin_anew():
    assert parents([(0, -1, SHOWN)], [(0, -1, HIDDEN)], [(1, 0, SHOWN), (2, 0, SHOWN)]) == [-1, -1, -1]


def test_daughters_of_a_mother_never_seen_begin_anew_or_their_grandmother_had_three_children():
    young = [(1, 0, MISSED), (2, 0, SHOWN)]
    assert parents([(0, -1, SHOWN)], young, [(3, 1, SHOWN), (4, 1, SHOWN), (2, -1, SHOWN)]) == [-1, 0, -1, -1, 1]


def test_masks_that_are_no_cells_have_no_past():
    assert parents([(-1, -1, SHOWN), (0, -1, SHOWN)], [(0, -1, SHOWN), (-1, -1, SHOWN)]) == [-1, -1, 1, -1]


def test_false_masks_are_in_the_labels_but_not_in_the_truth(film):
    noisy = simulate(**SMALL, false_rate=0.5)
    agree(noisy)
    ghosts = ~noisy.truth.selected
    assert ghosts.sum() > 20
    assert (noisy.truth.tracklet_id[ghosts] == 0).all()
    assert len(set(noisy.truth.detections.label[ghosts].tolist())) == ghosts.sum()
    assert film.truth.selected.all()
    np.testing.assert_array_equal(noisy.labels[film.labels > 0], film.labels[film.labels > 0])


def test_all_masks_missed_leaves_an_empty_truth():
    film = simulate(**SMALL, miss_rate=1)
    assert len(film.truth) == 0
    assert not film.labels.any()
    assert film.truth.detections.n_frames == 12


def test_a_film_without_cells_is_noise_alone():
    film = simulate(cells=0, frames=2, size=(20, 30))
    assert film.image.shape == (2, 20, 30)
    assert not film.labels.any() and len(film.truth) == 0
    assert film.image.std() > 0


@pytest.mark.parametrize(("n", "dtype"), [(65535, np.uint16), (65536, np.uint32)])
def test_many_tracklets_need_wider_labels(n, dtype):
    mask = np.pad(np.arange(n) + 1, (0, 300 * 300 - n)).reshape(300, 300)
    shot = Shot(mask, mask, Cast(np.arange(n), np.full(n, -1), np.full(n, SHOWN)))
    labels, _ = _labelled([shot], kinship([shot.cast]), Simulation(size=(300, 300)))
    assert labels.dtype == dtype
    np.testing.assert_array_equal(labels[0], mask)


def test_three_dimensions():
    film = simulate(frames=6, cells=6, size=(14, 80, 90), cycle=6, cycle_spread=1, min_cycle=3, radius=8, seed=1)
    assert film.image.shape == (6, 14, 80, 90)
    assert film.scale == (2.0, 1.0, 1.0)
    agree(film)
    assert film.truth.detections.n_axes == 3
    assert np.sum(film.truth.detections.frame == 0) == 6
    assert len(film.truth.divisions)


def test_three_dimensional_cells_are_round_in_physical_units():
    film = simulate(frames=1, cells=3, size=(60, 90, 90), scale=(0.6, 0.3, 0.3), aspect=1, bumps=0, radius=8, radius_spread=0, cycle=1000)
    columns = film.truth.detections.columns
    whole = ~columns["touches_border"]
    assert whole.any()
    np.testing.assert_allclose(columns["axis_major"][whole] / columns["axis_minor"][whole], 1, atol=0.08)
    assert (np.abs(columns["axis_major"][whole] / (0.3 * 16) - 1) < 0.2).all()


def test_a_drifting_field_takes_its_cells_along():
    still = {"frames": 6, "cells": 10, "size": (200, 200), "speed": 0, "cycle": 1000, "bumps": 0}
    for drift in ((0.0, 0.0), (3.0, -2.0)):
        film = simulate(**still, drift=drift)
        cells, rows = film.truth.detections, film.truth.child_rows
        rows = rows[~(cells.columns["touches_border"][rows] | cells.columns["touches_border"][film.truth.parent[rows]])]
        steps = cells.position[rows] - cells.position[film.truth.parent[rows]]
        assert len(steps) > 20
        np.testing.assert_allclose(np.median(steps, 0), drift, atol=0.35)


def test_an_expanding_field_pulls_cells_apart():
    film = simulate(frames=2, cells=10, size=(200, 200), speed=0, cycle=1000, expansion=0.05, bumps=0, seed=2)
    cells, rows = film.truth.detections, film.truth.child_rows
    rows = rows[~(cells.columns["touches_border"][rows] | cells.columns["touches_border"][film.truth.parent[rows]])]
    before = cells.position[film.truth.parent[rows]] - 99.5
    step = cells.position[rows] - cells.position[film.truth.parent[rows]]
    assert len(rows) > 4
    slope = (before * step).sum() / (before**2).sum()
    assert 0.035 < slope < 0.065


def test_a_stage_jump_moves_all_cells_alike():
    film = simulate(frames=2, cells=12, size=(200, 200), speed=0, cycle=1000, bumps=0, jump_rate=1, jump=8, seed=1)
    cells, rows = film.truth.detections, film.truth.child_rows
    rows = rows[~(cells.columns["touches_border"][rows] | cells.columns["touches_border"][film.truth.parent[rows]])]
    step = cells.position[rows] - cells.position[film.truth.parent[rows]]
    assert np.linalg.norm(np.median(step, 0)) > 3
    assert (np.linalg.norm(step - np.median(step, 0), axis=1) < 3).all()


def test_speed_is_the_displacement_from_frame_to_frame():
    film = simulate(frames=10, cells=8, size=(300, 300), speed=4, cycle=1000, seed=3)
    cells, rows = film.truth.detections, film.truth.child_rows
    rows = rows[~(cells.columns["touches_border"][rows] | cells.columns["touches_border"][film.truth.parent[rows]])]
    step = cells.position[rows] - cells.position[film.truth.parent[rows]]
    assert 3 < np.sqrt((step**2).sum(1).mean()) < 5


def test_growth_stops_when_the_field_is_full():
    film = simulate(frames=40, cells=8, size=(70, 70), radius=6, cycle=4, cycle_spread=1, min_cycle=2)
    count = Counter(film.truth.detections.frame.tolist())
    assert count[39] > 16
    assert (film.labels > 0).mean(axis=(1, 2)).max() < 0.95


def test_the_image_shows_the_masks(film):
    inside, outside = film.image[film.labels > 0], film.image[film.labels == 0]
    assert inside.mean() > outside.mean() + 30
    assert abs(float(simulate(cells=0, frames=1, size=(64, 64), background=0, read_noise=0).image.mean()) - 100) < 1e-9


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"cells": -1}, "cells must be 0 or more, not -1"),
        ({"cells": 2.5}, "cells must be a whole number, not 2.5"),
        ({"frames": 0}, "frames must be 1 or more, not 0"),
        ({"frames": "ten"}, "frames must be a whole number, not 'ten'"),
        ({"size": (64,)}, "size must be (y, x) or (z, y, x), each 1 or more pixels, not (64,)"),
        ({"size": 64}, "size must be (y, x) or (z, y, x), each 1 or more pixels, not (64,)"),
        ({"size": (4, 4, 64, 64)}, "size must be (y, x) or (z, y, x), each 1 or more pixels, not (4, 4, 64, 64)"),
        ({"size": (64, 0)}, "size must be (y, x) or (z, y, x), each 1 or more pixels, not (64, 0)"),
        ({"size": (64, 64.5)}, "size must be (y, x) or (z, y, x), each 1 or more pixels, not (64, 64.5)"),
        ({"cells": 100, "size": (128, 128)}, "cells must be 31 or less, not 100: no more of radius 10 fit into (128, 128)"),
        ({"miss_rate": 1.5}, "miss_rate must be 0 or more and 1 or less, not 1.5"),
        ({"photons": float("nan")}, "photons must be a finite number, not nan"),
        ({"seed": -1}, "seed must be 0 or more, not -1"),
        ({"drift": (1, 2, 3)}, "drift must be one finite number for each of the 2 axes, not (1, 2, 3)"),
    ],
)
def test_bad_settings_are_refused_in_one_line(bad, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        simulate(**bad)


def test_an_unknown_setting_is_named():
    with pytest.raises(TypeError, match=r"^no such setting: colour; there are frames, cells, size, .*, offset$"):
        simulate(colour="red")


def test_a_bad_scale_is_refused():
    with pytest.raises(ValueError, match=r"^scale .*$"):
        simulate(scale=(1, -1))
