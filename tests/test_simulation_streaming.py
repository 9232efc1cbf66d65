"""Simulated films of any length: streamed to disk as they would be in memory, steady tissues, and lineages without pictures."""

from __future__ import annotations

import re
import time
import tracemalloc
from multiprocessing import active_children

import numpy as np
import pytest
from scipy.spatial import cKDTree

import lineage
from lineage.films import open_film
from lineage.simulation import Simulation, simulate, simulate_to, simulated_points
from lineage.simulation.camera import drawn
from lineage.simulation.tissue import grow

SMALL = {"frames": 10, "cells": 8, "size": (96, 96), "cycle": 8, "cycle_spread": 1, "min_cycle": 5, "radius": 7}
DEEP = {"frames": 5, "cells": 5, "size": (12, 60, 70), "cycle": 6, "cycle_spread": 1, "min_cycle": 3, "radius": 8, "seed": 1}


def refused(message, error, call, *arguments, **options):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        call(*arguments, **options)


def files(folder):
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def assert_same_lineages(forest, truth):
    for name in ("parent", "selected"):
        np.testing.assert_array_equal(getattr(forest, name), getattr(truth, name))
    for name in ("frame", "position", "label", "scale", "n_frames"):
        np.testing.assert_array_equal(getattr(forest.detections, name), getattr(truth.detections, name))
    for name in ("area", "touches_border"):
        np.testing.assert_array_equal(forest.detections.columns[name], truth.detections.columns[name])


# films on disk


@pytest.mark.parametrize(
    "settings",
    [
        SMALL,
        SMALL | {"miss_rate": 0.2, "false_rate": 0.3, "death_rate": 0.03, "scale": (0.5, 0.25)},
        SMALL | {"steady": True, "shuffle_labels": True},
        DEEP,
        {"cells": 0, "frames": 2, "size": (20, 30)},
        {"cells": 3, "frames": 1, "size": (90, 70), "miss_rate": 1},
    ],
)
def test_a_streamed_film_is_the_film(tmp_path, settings):
    film, path = simulate(**settings), tmp_path / "film.zarr"
    given = simulate_to(path, **settings)
    image, labels = open_film(path), open_film(path / "labels" / "truth", kind="labels")
    assert image.dtype == film.image.dtype
    assert image.shape == labels.shape == film.image.shape
    assert image.scale == labels.scale == film.scale
    for t in range(len(film.image)):
        np.testing.assert_array_equal(image[t], film.image[t])
        np.testing.assert_array_equal(labels[t], film.labels[t])
    for truth in (given, lineage.read(path / "truth.geff")):
        assert_same_lineages(truth, film.truth)
        assert truth.record["simulation"]["cells"] == settings["cells"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["film.zarr"]


def test_workers_change_nothing(tmp_path):
    simulate_to(tmp_path / "one.zarr", **SMALL)
    simulate_to(tmp_path / "two.zarr", Simulation(**SMALL), workers=2)
    one, two = files(tmp_path / "one.zarr"), files(tmp_path / "two.zarr")
    assert len(one) > 20
    assert one == two


def test_longer_films_take_no_more_memory(tmp_path):
    settings = {"cells": 8, "size": (160, 160), "steady": True, "cycle": 60}
    simulate_to(tmp_path / "warm.zarr", **settings, frames=2)  # what is loaded once is loaded
    peaks = []
    for frames in (3, 9):
        tracemalloc.start()
        simulate_to(tmp_path / f"{frames}.zarr", **settings, frames=frames)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] > 160 * 160 * 8  # the law would see a frame of masks
    assert peaks[1] - peaks[0] < 160 * 160 * 2  # one more image would be too much


def test_frames_are_counted_on_the_way(tmp_path):
    told = []

    def progress(items, what):
        told.append((what, len(items)))
        return items

    simulate_to(tmp_path / "film.zarr", **SMALL, progress=progress)
    assert told == [("filming", 10), ("labelling", 10)]


@pytest.mark.parametrize(("stage", "workers"), [("filming", 1), ("labelling", 1), ("filming", 2)])
def test_a_film_that_is_interrupted_leaves_nothing(tmp_path, workers, stage):
    def progress(items, what):
        for k in items:
            if (what, k) == (stage, 1):
                raise KeyboardInterrupt
            yield k

    with pytest.raises(KeyboardInterrupt):
        simulate_to(tmp_path / "film.zarr", frames=2, cells=2, size=(40, 40), workers=workers, progress=progress)
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_is_killed_is_told_in_one_line(tmp_path):
    def progress(items, what):
        yield 0
        for worker in active_children():
            worker.kill()
        yield from items[1:]

    message = "a process that draws frames was ended from outside, perhaps for want of memory: take fewer workers"
    path = tmp_path / "film.zarr"
    refused(message, ChildProcessError, simulate_to, path, frames=20, cells=2, size=(40, 40), workers=2, progress=progress)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_of_the_film_that_is_meant(tmp_path, monkeypatch):
    def full(path, t, _frame):
        raise OSError(f"cannot write frame {t} of {path}: No space left on device")

    monkeypatch.setattr("lineage.simulation.streaming.write_frame", full)
    path = tmp_path / "film.zarr"
    refused(f"cannot write frame 0 of {path}: No space left on device", OSError, simulate_to, path, cells=2, size=(40, 40))
    assert list(tmp_path.iterdir()) == []


def test_films_that_cannot_be_made(tmp_path):
    path = tmp_path / "film.zarr"
    path.mkdir()
    (path / "mine").write_text("not to be touched")
    refused(f"cannot write {path}: it is there already; remove it or choose another name", FileExistsError, simulate_to, path)
    assert (path / "mine").read_text() == "not to be touched"
    refused(
        f"cannot write {tmp_path}/no/a.zarr: the folder {tmp_path}/no does not exist",
        FileNotFoundError,
        simulate_to,
        tmp_path / "no/a.zarr",
    )
    refused("workers must be 1 or more, not 0", ValueError, simulate_to, tmp_path / "a.zarr", workers=0)
    refused("frames must be 1 or more, not 0", ValueError, simulate_to, tmp_path / "a.zarr", frames=0)
    with pytest.raises(TypeError, match=r"^no such setting: cels; there are frames, cells, [^\n]+$"):
        simulate_to(tmp_path / "a.zarr", cels=3)
    assert list(tmp_path.iterdir()) == [path]


# pixels


@pytest.mark.parametrize("settings", [{"cells": 28, "size": (80, 90), "radius": 7}, {"cells": 12, "size": (20, 50, 60), "radius": 7}])
def test_where_cells_overlap_the_deeper_one_shows(settings):
    """Drawn together, every pixel shows the cell that it lies deepest in when each is drawn alone."""
    settings = Simulation(**settings, frames=1, bumps=0.1)
    tissue = next(grow(settings))
    real = np.arange(len(tissue)) % 3 > 0
    depth = np.full((len(tissue), int(np.prod(settings.size))), np.inf)
    for k in range(len(tissue)):
        alone = drawn(tissue.take(np.array([k])), settings, real[:1])
        depth[k, alone.pixel] = alone.depth + (0 if real[k] else 2)
    ink = drawn(tissue, settings, real)
    assert (np.isfinite(depth).sum(0) > 1).any()
    np.testing.assert_array_equal(ink.pixel, np.flatnonzero(np.isfinite(depth).any(0)))
    np.testing.assert_array_equal(ink.cell, depth.argmin(0)[ink.pixel])
    np.testing.assert_allclose(ink.depth, depth.min(0)[ink.pixel] - np.where(real[ink.cell], 0, 2), atol=1e-12)


# long films


def in_view(settings):
    """How many cells have their centre in the field, frame by frame."""
    return np.array([((t.position >= 0) & (t.position < settings.field)).all(1).sum() for t in grow(settings)])


@pytest.mark.parametrize(("cycle", "seed"), [(24.0, 0), (60.0, 1)])
def test_a_steady_tissue_keeps_its_number(cycle, seed):
    settings = {"frames": 150, "cells": 40, "size": (400, 400), "cycle": cycle, "cycle_spread": cycle / 6, "seed": seed}
    count = in_view(Simulation(**settings, steady=True))
    assert 30 < count[100:].mean() < 50
    assert 20 < count.min() <= count.max() < 64
    grown = in_view(Simulation(**settings | {"frames": 90, "cycle": 24, "cycle_spread": 4}))
    assert grown[-1] > 70


def test_a_steady_tissue_still_divides_and_dies():
    truth = simulated_points(frames=100, cells=40, size=(400, 400), steady=True)
    inside = (truth.detections.position > 40).all(1) & (truth.detections.position < 360).all(1)
    lost = inside & (truth.n_children == 0) & (truth.detections.frame < 99)
    assert len(truth.divisions) > 60
    assert lost.sum() > 30
    assert not simulated_points(frames=3, cells=0, size=(400, 400), steady=True).detections.frame.size


# points


@pytest.mark.parametrize(
    "settings", [SMALL | {"cells": 14, "size": (200, 200)}, DEEP | {"cells": 9, "size": (20, 90, 100), "scale": (2, 0.5, 0.5)}]
)
def test_points_are_the_cells_of_the_film(settings):
    """Every whole mask has its point in the middle, and they are mothers and daughters alike."""
    film, points = simulate(**settings).truth, simulated_points(**settings)
    masks, dots = film.detections, points.detections
    assert (dots.scale, dots.n_frames) == (masks.scale, masks.n_frames)
    partner = np.full(len(film), -1)
    for t in range(masks.n_frames):
        here, there = masks.at(t), dots.at(t)
        away, row = cKDTree(dots.position[there]).query(masks.position[here])
        partner[here] = np.where(away < 0.25 * 2 * 8 * masks.scale[-1], there.start + row, -1)
    whole = ~masks.columns["touches_border"]
    assert (partner[whole] >= 0).mean() > 0.98
    child = np.flatnonzero((film.parent >= 0) & (partner >= 0))
    child = child[partner[film.parent[child]] >= 0]
    assert len(child) > 20
    np.testing.assert_array_equal(points.parent[partner[child]], partner[film.parent[child]])


def test_points_lie_in_the_field_and_obey_chance():
    settings = {"frames": 20, "cells": 60, "size": (400, 400), "seed": 3}
    plain = simulated_points(**settings)
    assert ((plain.detections.position >= 0) & (plain.detections.position <= 399)).all()
    assert (plain.n_children.max(), plain.gap.max(), plain.selected.all()) == (2, 0, True)
    assert not plain.detections.label.any()
    again = simulated_points(Simulation(**settings))
    np.testing.assert_array_equal(again.detections.position, plain.detections.position)
    holes = simulated_points(**settings, miss_rate=0.2)
    assert 0.15 < 1 - len(holes) / len(plain) < 0.25
    assert holes.gap.max() > 0
    false = simulated_points(**settings, false_rate=0.3)
    assert 0.2 < (~false.selected).sum() / len(plain) < 0.4
    assert false.selected.sum() == len(plain)


def test_many_points_are_quick():
    begun = time.process_time()
    truth = simulated_points(frames=10, cells=3000, size=(1700, 1700), cycle=80, steady=True)
    assert time.process_time() - begun < 5  # drawn, such a film takes half a minute
    assert len(truth) > 29_000
    assert len(truth.divisions) > 100


# the command


def test_the_command_streams_what_linking_and_scores_take(run, tmp_path):
    path = tmp_path / "film.zarr"
    code, printed, _ = run("simulate", "--out", path, "--frames", 8, "--cells", 6, "--size", "96,96", "--steady", "--cycle", 12)
    assert code == 0
    truth, labels = lineage.read(path / "truth.geff"), open_film(path / "labels" / "truth", kind="labels")
    assert printed == f"{len(truth)} cells in 8 frames, {len(truth.divisions)} divisions, in {path}\n"
    assert truth.record["simulation"]["cycle_spread"] == 2
    assert lineage.evaluate((lineage.link(labels), labels), (truth, labels))["DET"] == 1
    code, printed, told = run("simulate", "--out", path)
    assert (code, printed) == (2, "")
    assert told == f"lineage: cannot write {path}: it is there already; remove it or choose another name\n"


@pytest.mark.parametrize("name", ["points.geff", "points.csv"])
def test_the_command_makes_points(run, tmp_path, name):
    code, printed, _ = run("simulate", "--out", tmp_path / name, "--frames", 8, "--cells", 6, "--size", "96,96")
    points = simulated_points(frames=8, cells=6, size=(96, 96))
    assert (code, printed) == (0, f"{len(points)} cells in 8 frames, {len(points.divisions)} divisions, in {tmp_path / name}\n")
    np.testing.assert_array_equal(lineage.read(tmp_path / name).parent, points.parent)


def test_workers_are_for_films_that_are_streamed(run, tmp_path):
    code, _, told = run("simulate", "--out", tmp_path / "film", "--workers", 2)
    message = f"lineage: --workers 2 is for films that are written to a name that ends in .zarr, not {tmp_path / 'film'}\n"
    assert (code, told) == (2, message)
    assert not (tmp_path / "film").exists()
