"""Stretches: the lineages of a film linked in parts are those of the film, and its certificate is of the whole."""

import pickle
import re
from dataclasses import replace

import numpy as np
import pytest

from lineage import Detections, Forest, Settings, link
from lineage.pieces import Store
from lineage.simulation import simulate
from lineage.stretches import SavedCells, Stretch, cut, link_in_stretches, remembering, save_cells
from lineage.stretches.plan import A_CELL, A_POINT, FREE
from lineage.stretches.weighing import NODES


def memory(cells):
    """Bytes that allow so many cells at once."""
    return FREE + A_CELL * cells


@pytest.fixture(scope="module")
def cells():
    """A film of points: cells that move, divide and are missed now and then."""
    film = simulate(frames=44, cells=14, size=(170, 170), cycle=22, cycle_spread=3, death_rate=0.01, miss_rate=0.02, radius=8, seed=5)
    found = film.truth.detections
    return Detections(found.frame, found.position, np.zeros(len(found), int), n_frames=44)


@pytest.fixture
def saved(cells, tmp_path):
    return save_cells(cells, tmp_path / "cells")


def some(saved):
    """As much memory as lets the film fall into several stretches."""
    return FREE + A_POINT * int(saved.count.max()) * 26


@pytest.mark.parametrize("seed", range(12))
def test_stretches_cover_the_film_and_fit(seed):
    rng = np.random.default_rng(seed)
    count, overlap = rng.integers(0, 50, rng.integers(1, 200)), int(rng.integers(1, 9))
    most = int(50 * (3 * overlap + rng.integers(1, 30)))
    plan = cut(count, memory(most), overlap)
    assert [part.first for part in plan] == [0, *(part.last for part in plan[:-1])]
    assert plan[-1].last == len(count)
    for part in plan:
        assert count[part.before : part.after].sum() <= most
        assert part.before == max(0, part.first - overlap)
        assert part.after == min(len(count), part.last + overlap)
    if len(plan) > 1:
        assert count.sum() > most
        assert all(part.last - part.first >= overlap for part in plan[:-1])


def test_a_film_that_fits_is_one_stretch():
    assert cut(np.full(10, 100), memory(1000), 8) == [Stretch(0, 10, 0, 10)]
    assert len(cut(np.full(100, 100), memory(9999), 8)) == 2
    assert cut(np.zeros(0, int), memory(1), 8) == [Stretch(0, 0, 0, 0)]


def test_stretches_are_even():
    sizes = [part.last - part.first for part in cut(np.full(1000, 10), memory(1700), 8)]
    assert len(sizes) == 7
    assert max(sizes) - min(sizes) <= 10


def test_frames_that_are_too_full_are_named():
    says = "frames 0 to 15 hold 1600000 cells, and linking them takes about 38.8 GB: allow that much memory"
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        cut(np.full(40, 100_000), memory(100_000), 8)


def test_cells_on_disk_are_those_that_were_saved(cells, tmp_path):
    cells = replace(cells.with_columns(area=np.arange(len(cells)) * 0.5), scale=(0.5, 0.25), interval=60.0)
    saved = save_cells(cells, tmp_path / "cells")
    np.testing.assert_array_equal(saved.count, np.bincount(cells.frame, minlength=44))
    for first, last in ((0, 44), (0, 7), (30, 44), (12, 13)):
        part = saved.part(first, last).detections
        rows = slice(*np.searchsorted(cells.frame, [first, last]))
        np.testing.assert_array_equal(part.frame, cells.frame[rows] - first)
        np.testing.assert_array_equal(part.position, cells.position[rows])
        np.testing.assert_array_equal(part.columns["area"], cells.columns["area"][rows])
        assert (part.scale, part.interval, part.n_frames) == ((0.5, 0.25), 60.0, last - first)
    again = pickle.loads(pickle.dumps(saved))
    assert again.digest(3, 9) == saved.digest(3, 9) != saved.digest(3, 10)


def test_columns_on_disk_work_without_being_read(cells, saved):
    """Detections keep what is mapped, and lineages are the same."""
    whole = saved.detections
    assert isinstance(whole, Detections)
    assert isinstance(whole.position.base, np.memmap)
    np.testing.assert_array_equal(link(whole).parent, link(cells).parent)


def test_a_graph_takes_columns_on_disk(cells, tmp_path):
    from lineage import CandidateGraph, solve
    from lineage.candidates import nearest

    graph = nearest(cells, 4, max_gap=1)
    for name, column in (("source", graph.source), ("target", graph.target), ("distance", graph.columns["distance"])):
        np.save(tmp_path / f"{name}.npy", column)
    source, target, distance = (np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("source", "target", "distance"))
    mapped = CandidateGraph(cells, source, target, {"distance": distance})
    assert np.shares_memory(mapped.source, source)
    assert np.shares_memory(mapped.columns["distance"], distance)
    costs = {"link": distance - 8.0, "appear": np.full(len(cells), 4.0), "disappear": np.full(len(cells), 4.0)}
    np.testing.assert_array_equal(solve(mapped, costs).parent, solve(graph, costs).parent)


def test_rivals_are_not_saved(cells, tmp_path):
    with pytest.raises(ValueError, match=r"^cells that exclude each other cannot be linked in stretches: link them whole$"):
        save_cells(replace(cells, conflicts=(np.array([0, 1]),)), tmp_path / "cells")


def test_a_film_that_fits_is_linked_as_ever(cells, saved, tmp_path):
    found, whole = link_in_stretches(saved, Store(tmp_path / "p")), link(cells)
    for name in ("parent", "selected", "link_cost"):
        np.testing.assert_array_equal(found.columns[name], getattr(whole, name))
    np.testing.assert_array_equal(found.columns["link_confidence"], whole.detections.columns["link_confidence"])
    assert replace(found.certificate, seconds=0.0) == replace(whole.certificate, seconds=0.0)
    assert found.record["film"] == whole.record["film"]


def test_stretches_agree_with_the_whole(cells, saved, tmp_path):
    """Every stretch knows the rates of its own frames only, so costs differ a little, and lineages hardly."""
    found, whole = link_in_stretches(saved, Store(tmp_path / "p"), memory=some(saved)), link(cells)
    assert len(found.stretches) >= 2
    assert (found.columns["parent"] != whole.parent).mean() < 0.01
    sure, known = found.columns["link_confidence"], whole.detections.columns["link_confidence"]
    both = (found.columns["parent"] >= 0) & (whole.parent >= 0)
    assert np.isfinite(sure[found.columns["parent"] >= 0]).all()
    assert np.isnan(sure[found.columns["parent"] < 0]).all()
    assert np.abs(sure - known)[both].mean() < 0.02
    Forest(cells, found.columns["parent"], found.columns["selected"])  # a lawful one


def test_the_certificate_is_of_the_whole_film(cells, saved, tmp_path):
    """The cost of the lineages by the costs that the stretches say, each detection and link once, is the objective; no less is possible."""
    from lineage import CandidateGraph, solve
    from lineage.stretches.programme import Weighed

    store = Store(tmp_path / "p")
    found = link_in_stretches(saved, store, memory=some(saved))
    graph, costs, _ = Weighed.of(store, found.stretches, saved.count)(0, 44)
    assert isinstance(graph, CandidateGraph)
    best = solve(graph, costs, gap=0.0)
    proof = found.certificate
    assert proof.bound - 1e-6 <= best.certificate.objective <= proof.objective + 1e-6
    assert proof.gap <= 1e-4
    assert proof.status == "optimal"
    np.testing.assert_allclose(best.certificate.objective, proof.objective, rtol=1e-4)


def test_every_cost_is_said_once(saved, tmp_path):
    store = Store(tmp_path / "p")
    found = link_in_stretches(saved, store, memory=some(saved))
    n = 0
    for part in found.stretches:
        piece = store.read(part.name)
        assert all(len(piece[name]) == len(piece["frame"]) for name in NODES)
        assert (piece["source"] >= 0).all()
        assert (piece["source"] < len(piece["frame"])).all()
        n += len(piece["frame"])
    assert n == saved.count.sum()


def test_nothing_is_done_twice(saved, tmp_path):
    store = Store(tmp_path / "p")
    first = link_in_stretches(saved, store, memory=some(saved))
    dates = {path: path.stat().st_mtime_ns for path in (tmp_path / "p").rglob("*.npz")}
    assert len(dates) == len(first.stretches) + 1
    again = link_in_stretches(saved, store, memory=some(saved))
    assert dates == {path: path.stat().st_mtime_ns for path in (tmp_path / "p").rglob("*.npz")}
    for name, column in first.columns.items():
        np.testing.assert_array_equal(again.columns[name], column)
    assert (again.certificate, again.record) == (first.certificate, first.record)


@pytest.mark.parametrize("solver", ["auto", "dual", "highs", "greedy"])
def test_a_walk_that_was_stopped_goes_on_where_it_was(saved, tmp_path, monkeypatch, solver):
    settings, real, asked = Settings(solver=solver), remembering.solver_named, []

    def failing(after):
        def named(name):
            def solve(program, limits):
                if len(asked) >= after:
                    raise MemoryError("killed")
                asked.append(name)
                return real(name)(program, limits)

            return solve

        return named

    monkeypatch.setattr(remembering, "solver_named", failing(10**6))
    quiet = link_in_stretches(saved, Store(tmp_path / "quiet"), settings, memory=some(saved))
    whole, store = len(asked), Store(tmp_path / "p")
    assert whole >= 2
    asked.clear()
    for stop in sorted({1, whole - 1}):
        monkeypatch.setattr(remembering, "solver_named", failing(stop))
        with pytest.raises(MemoryError, match="killed"):
            link_in_stretches(saved, store, settings, memory=some(saved))
        assert len([*(store.folder / "windows").iterdir()]) == stop
    monkeypatch.setattr(remembering, "solver_named", failing(10**6))
    found = link_in_stretches(saved, store, settings, memory=some(saved))
    assert len(asked) == whole  # nothing was solved twice
    assert not (store.folder / "windows").exists()
    for name, column in quiet.columns.items():
        np.testing.assert_array_equal(found.columns[name], column)
    assert (found.certificate, found.record) == (quiet.certificate, quiet.record)
    assert store.path("lineages").read_bytes() == Store(tmp_path / "quiet").path("lineages").read_bytes()


def test_what_changed_is_done_again_and_nothing_else(cells, saved, tmp_path):
    store = Store(tmp_path / "p")
    parts = link_in_stretches(saved, store, memory=some(saved)).stretches
    dates = {part.name: store.path(part.name).stat().st_mtime_ns for part in parts}
    late = cells.frame == 43
    moved = save_cells(replace(cells, position=cells.position + np.where(late, 0.25, 0.0)[:, None]), tmp_path / "moved")
    link_in_stretches(moved, store, memory=some(saved))
    redone = [part for part in parts if store.path(part.name).stat().st_mtime_ns != dates[part.name]]
    assert redone == [part for part in parts if part.after == 44]
    fresh = link_in_stretches(moved, Store(tmp_path / "fresh"), memory=some(saved))
    np.testing.assert_array_equal(link_in_stretches(moved, store, memory=some(saved)).columns["parent"], fresh.columns["parent"])


def test_another_setting_is_another_result(saved, tmp_path):
    store = Store(tmp_path / "p")
    link_in_stretches(saved, store, memory=some(saved))
    part = cut(saved.count, some(saved), 8, A_POINT)[0]
    before = store.note(part.name)
    link_in_stretches(saved, store, Settings(max_gap=1), memory=some(saved))
    assert store.note(part.name).key != before.key
    link_in_stretches(saved, store, Settings(), memory=some(saved))
    assert store.note(part.name) == before


def test_a_film_without_cells(tmp_path):
    empty = Detections(np.zeros(0, int), np.zeros((0, 2)), np.zeros(0, int), n_frames=5)
    found = link_in_stretches(save_cells(empty, tmp_path / "cells"), Store(tmp_path / "p"))
    assert len(found.columns["parent"]) == 0
    assert found.certificate.objective == 0


def test_what_needs_the_whole_film_is_refused(saved, tmp_path):
    says = "merges cannot be used on a film in pieces: leave the memory limit and the workers out, or merges"
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        link_in_stretches(saved, Store(tmp_path / "p"), Settings(merges=True))


def test_a_cycle_time_holds_where_the_film_fits(saved, tmp_path):
    settings = Settings(min_cycle=6)
    np.testing.assert_array_equal(
        link_in_stretches(saved, Store(tmp_path / "p"), settings).columns["parent"], link(saved.detections, settings=settings).parent
    )
    with pytest.raises(ValueError, match=r"^min_cycle needs the whole film in memory, about 0\.4 GB: allow that much, or leave it out$"):
        link_in_stretches(saved, Store(tmp_path / "q"), settings, memory=some(saved))


def test_saved_cells_are_a_value(saved):
    assert isinstance(saved, SavedCells)
    assert saved == SavedCells(saved.folder, saved.scale, saved.n_frames, saved.interval)
