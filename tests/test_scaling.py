"""Films in pieces: the same lineages as whole, nothing done twice, everything found again, whatever dies."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

import lineage
from lineage import pipeline
from lineage.films import open_film
from lineage.films.zarr_writing import create_image_zarr, write_frame
from lineage.pieces import Resources, Store
from lineage.pipeline import frames, running
from lineage.settings import Settings
from lineage.simulation import simulate
from lineage.stretches.plan import A_CELL, FREE

ROOT = Path(__file__).parents[1]
CLASSICAL = Settings(segment="classical")
IN_PIECES = Resources()


@pytest.fixture(autouse=True)
def unseen(monkeypatch):
    """No pictures of the results are drawn, which takes longer than all else here."""
    monkeypatch.setattr(running, "write_overview", lambda *_: None)


@pytest.fixture(scope="module")
def film():
    """A short film of a few cells."""
    return simulate(frames=9, cells=8, size=(96, 110), radius=7, cycle=10, cycle_spread=2, seed=2)


@pytest.fixture
def place(film, tmp_path):
    """The film on disk as OME-Zarr, a folder of frames and a stack, and its masks as a stack."""
    create_image_zarr(tmp_path / "film.zarr", film.image.shape, (0.5, 0.5), 60.0)
    (tmp_path / "frames").mkdir()
    for t, image in enumerate(film.image):
        write_frame(tmp_path / "film.zarr", t, image)
        tifffile.imwrite(tmp_path / "frames" / f"t{t:03d}.tif", image)
    tifffile.imwrite(tmp_path / "film.tif", film.image)
    tifffile.imwrite(tmp_path / "masks.tif", film.labels)
    return tmp_path


def small(cells):
    """Memory for so many cells at once; less than users may ask for."""
    resources = Resources()
    object.__setattr__(resources, "memory", FREE + A_CELL * cells)
    return resources


def dates(folder):
    """When every file was written."""
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.name != "lock"}


def contents(folder):
    """Every file of a result that does not say when it was made."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "times.json"}


@pytest.mark.parametrize("name", ["film.zarr", "film.tif", "frames"])
def test_a_film_in_pieces_has_the_lineages_of_the_whole(place, name):
    whole = pipeline.run(place / name, place / "whole", settings=CLASSICAL)
    done = pipeline.run(place / name, place / "out", settings=CLASSICAL, resources=IN_PIECES)
    for column in ("parent", "selected", "link_cost"):
        np.testing.assert_array_equal(getattr(done.forest, column), getattr(whole.forest, column))
    for column, values in whole.forest.detections.columns.items():
        np.testing.assert_array_equal(done.forest.detections.columns[column], values)
    assert (place / "out" / "lineages.csv").read_bytes() == (place / "whole" / "lineages.csv").read_bytes()
    masks = open_film(place / "out" / "labels.zarr", kind="labels")
    assert masks.shape == open_film(place / name).shape
    np.testing.assert_array_equal(np.unique(masks[3])[1:], np.sort(done.forest.detections.label[done.forest.detections.frame == 3]))
    assert {path.name for path in (place / "out").iterdir()} - {"labels.zarr", "times.json"} == {
        path.name for path in (place / "whole").iterdir()
    }


def test_masks_that_are_given_stay_where_they_are(place, film):
    done = pipeline.run(place / "film.tif", place / "out", labels=place / "masks.tif", resources=IN_PIECES)
    whole = lineage.link(film.labels, film.image)
    np.testing.assert_array_equal(done.forest.parent, whole.parent)
    assert not (place / "out" / "labels.zarr").exists()
    assert not (place / "out.pieces" / "labels.zarr").exists()
    alone = pipeline.run(None, place / "alone", labels=place / "masks.tif", resources=IN_PIECES)
    np.testing.assert_array_equal(alone.forest.parent, lineage.link(film.labels).parent)


def test_stretches_of_a_film(place):
    """With less memory the film falls into stretches; the lineages agree, and the certificate is of the whole."""
    settings = CLASSICAL.replaced({"overlap": 2, "max_gap": 1})
    whole = pipeline.run(place / "film.zarr", place / "whole", settings=settings).forest
    done = pipeline.run(place / "film.zarr", place / "out", settings=settings, resources=small(75)).forest
    assert len(list((place / "out.pieces" / "links").glob("*.npz"))) > 1
    assert done.certificate.status == "optimal"
    assert (done.parent != whole.parent).mean() < 0.05
    assert len(done.record["stretches"]) == len(list((place / "out.pieces" / "links").glob("*.npz")))


def test_the_same_command_again_does_nothing_again(place):
    pipeline.run(place / "film.zarr", place / "out", settings=CLASSICAL, resources=IN_PIECES)
    first, made = contents(place / "out"), dates(place / "out.pieces")
    pipeline.run(place / "film.zarr", place / "out", settings=CLASSICAL, resources=IN_PIECES)
    assert dates(place / "out.pieces") == made
    assert contents(place / "out") == first


def test_times_are_apart_from_the_result(place):
    pipeline.run(place / "film.zarr", place / "out", settings=CLASSICAL, resources=IN_PIECES, command="lineage track")
    assert set(json.loads((place / "out" / "times.json").read_text())) == {"command", "made", "seconds", "stages"}
    record = json.loads((place / "out" / "run.json").read_text())
    assert not {"command", "made", "seconds"} & set(record)
    assert record["certificate"]["seconds"] == 0
    assert record["inputs"]["film"]["frames"] == 9


def test_a_changed_frame_is_done_again_alone(place, film):
    pipeline.run(place / "film.zarr", place / "out", settings=CLASSICAL, resources=IN_PIECES)
    made = dates(place / "out.pieces")
    image = film.image[4].copy()
    image[:40] = image[40]
    write_frame(place / "film.zarr", 4, image)
    pipeline.run(place / "film.zarr", place / "out", settings=CLASSICAL, resources=IN_PIECES)
    changed = {str(path) for path, date in dates(place / "out.pieces").items() if made.get(path) != date}
    assert changed == {"frames/000004.npz", "links/000000.npz", "labels.zarr/0/c/4/0/0"}
    pipeline.run(place / "film.zarr", place / "fresh", settings=CLASSICAL, resources=IN_PIECES)
    assert contents(place / "out") == contents(place / "fresh")


def test_a_touched_film_is_read_again_but_not_worked_on(place):
    pipeline.run(place / "frames", place / "out", settings=CLASSICAL, resources=IN_PIECES)
    made = dates(place / "out.pieces")
    os.utime(place / "frames" / "t004.tif")
    pipeline.run(place / "frames", place / "out", settings=CLASSICAL, resources=IN_PIECES)
    changed = {str(path) for path, date in dates(place / "out.pieces").items() if made.get(path) != date}
    assert changed == {"frames/000004.npz"}  # its note: what the file looks like now


def test_another_method_is_another_result(place, monkeypatch):
    pipeline.run(place / "film.zarr", place / "out", settings=CLASSICAL, resources=IN_PIECES)
    made, seen = dates(place / "out.pieces"), []
    monkeypatch.setattr(frames, "_how", lambda name, scale: lambda image: seen.append(name) or np.uint16(image > 300))
    pipeline.run(place / "film.zarr", place / "out", settings=Settings(segment="nuclei-2d", hypotheses=False), resources=IN_PIECES)
    assert seen == ["nuclei-2d"] * 9
    now = dates(place / "out.pieces")
    assert {path for path in now if made[path] == now[path]} == {Path("labels.zarr/zarr.json"), Path("labels.zarr/0/zarr.json")}


def test_links_alone_are_done_again_when_only_they_depend_on_it(place):
    pipeline.run(place / "film.zarr", place / "out", settings=CLASSICAL, resources=IN_PIECES)
    made = dates(place / "out.pieces")
    pipeline.run(place / "film.zarr", place / "out", settings=CLASSICAL.replaced({"max_gap": 1}), resources=IN_PIECES)
    now = dates(place / "out.pieces")
    assert {str(path) for path in now if made[path] != now[path]} == {"links/000000.npz"}


def test_masks_that_were_lost_are_made_again(place):
    pipeline.run(place / "film.zarr", place / "out", settings=CLASSICAL, resources=IN_PIECES)
    first = contents(place / "out")
    (place / "out.pieces" / "labels.zarr" / "0" / "c" / "5" / "0" / "0").unlink()
    pipeline.run(place / "film.zarr", place / "out", settings=CLASSICAL, resources=IN_PIECES)
    assert contents(place / "out") == first


def test_a_damaged_chunk_of_masks_is_named(place):
    pipeline.run(place / "film.zarr", place / "out", settings=CLASSICAL, resources=IN_PIECES)
    chunk = place / "out.pieces" / "labels.zarr" / "0" / "c" / "5" / "0" / "0"
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 8
    chunk.unlink()  # the results hold the same file
    chunk.write_bytes(data)
    shutil.rmtree(place / "out.pieces" / "links")
    with pytest.raises(ValueError, match=r"frame 5.*c/5/0/0"):
        pipeline.run(place / "film.zarr", place / "out", settings=CLASSICAL, resources=IN_PIECES)


def test_a_damaged_piece_is_named(place):
    pipeline.run(place / "film.zarr", place / "out", settings=CLASSICAL, resources=IN_PIECES)
    piece = place / "out.pieces" / "frames" / "000003.npz"
    piece.write_bytes(piece.read_bytes()[:-9])
    with pytest.raises(ValueError, match=re.escape(f"{piece} is damaged (")):
        pipeline.run(place / "film.zarr", place / "out", settings=CLASSICAL, resources=IN_PIECES)
    piece.unlink()
    pipeline.run(place / "film.zarr", place / "out", settings=CLASSICAL, resources=IN_PIECES)


def test_a_film_with_a_lost_chunk_is_named_and_nothing_is_written(place):
    chunk = place / "film.zarr" / "0" / "c" / "6" / "0" / "0"
    kept = chunk.read_bytes()
    chunk.unlink()
    with pytest.raises(ValueError, match=r"frame 6"):
        pipeline.run(place / "film.zarr", place / "out", settings=CLASSICAL, resources=IN_PIECES)
    assert not (place / "out").exists()
    made = dates(place / "out.pieces")
    chunk.write_bytes(kept)
    pipeline.run(place / "film.zarr", place / "out", settings=CLASSICAL, resources=IN_PIECES)
    now = dates(place / "out.pieces")
    assert all(now[path] == date for path, date in made.items())  # the frames before it were not done again


def test_a_full_disk_is_said_and_nothing_is_lost(place, monkeypatch):
    written = []
    whole = Store.write

    def full(self, name, *rest, **more):
        if name == "frames/000004":
            monkeypatch.setattr(os, "fsync", no_space)
        written.append(name)
        return whole(self, name, *rest, **more)

    def no_space(_file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Store, "write", full)
    with pytest.raises(
        OSError, match=re.escape(f"cannot write {(place / 'out.pieces' / 'frames' / '000004.npz')}: No space left on device")
    ):
        pipeline.run(place / "film.zarr", place / "out", settings=CLASSICAL, resources=IN_PIECES)
    monkeypatch.undo()
    assert not (place / "out").exists()
    made = dates(place / "out.pieces" / "frames")
    assert len(made) == 4
    pipeline.run(place / "film.zarr", place / "out", settings=CLASSICAL, resources=IN_PIECES)
    now = dates(place / "out.pieces" / "frames")
    assert all(now[path] == date for path, date in made.items())


def test_two_runs_do_not_share_a_folder(place):
    from lineage.pipeline.scaling import pieces_of

    with pieces_of(place / "out"), pytest.raises(BlockingIOError, match="another run is working in"):
        pipeline.run(place / "film.zarr", place / "out", settings=CLASSICAL, resources=IN_PIECES)


def test_what_needs_the_film_whole_is_refused(place):
    with pytest.raises(ValueError, match=r"^merges cannot be used on a film in pieces"):
        pipeline.run(place / "film.zarr", place / "out", settings=Settings(merges=True), resources=IN_PIECES)
    assert not (place / "out").exists()
    assert not (place / "out.pieces" / "frames").exists()


def test_a_frame_with_nan_is_named(tmp_path):
    image = np.random.default_rng(0).normal(100, 5, (3, 40, 40)).astype(np.float32)
    image[1, 3, 3] = np.nan
    np.save(tmp_path / "film.npy", image)
    np.save(tmp_path / "masks.npy", np.uint16(image > 103))
    with pytest.raises(ValueError, match=r"^frame 1: it has 1 pixels that are NaN: fill them before tracking$"):
        pipeline.run(tmp_path / "film.npy", tmp_path / "out", labels=tmp_path / "masks.npy", resources=IN_PIECES)


def test_a_run_that_is_killed_goes_on(place):
    """Killed again and again at any moment, it ends with the same bytes, and no piece is written twice."""
    command = [sys.executable, "-m", "lineage", "track", "film.zarr", "-o", "out", "--segment", "classical", "--memory", "1GB"]
    subprocess.run([*command[:6], "whole", *command[7:]], cwd=place, check=True, capture_output=True, env=environment())
    rng, made = np.random.default_rng(0), {}
    pieces = place / "out.pieces"
    for _ in range(2):
        run = subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
        deadline, target = time.monotonic() + 60, rng.integers(1, 10)
        while run.poll() is None and time.monotonic() < deadline and written(pieces) < len(made) + target // 3:
            time.sleep(0.002)
        run.send_signal(signal.SIGKILL)
        run.wait()
        now = {path: path.stat().st_mtime_ns for path in pieces.rglob("[0-9]*.npz")}
        assert all(now[path] == date for path, date in made.items())
        made = now
    assert made
    subprocess.run(command, cwd=place, check=True, capture_output=True, env=environment())
    now = {path: path.stat().st_mtime_ns for path in pieces.rglob("[0-9]*.npz")}
    assert all(now[path] == date for path, date in made.items())
    assert contents(place / "out") == contents(place / "whole")
    assert not list(place.glob(".out*"))


def written(pieces):
    """How many pieces there are; folders that are renamed meanwhile are passed over."""
    return sum(name.endswith(".npz") for _, _, names in os.walk(pieces) for name in names)


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--memory", "lots"], "lineage: memory must be a size such as 4GB or 500MB, not 'lots'"),
        (["--memory", "10MB"], "lineage: memory must be at least 1GB, not 10000000 bytes: the libraries alone take half of that"),
        (["--workers", "-2"], "lineage: workers must be 0 or more processes, not -2"),
        (
            ["--workers", "2", "--scheduler", "tcp://a:1"],
            "lineage: workers, scheduler and client each say who does the work: give one of them",
        ),
    ],
)
def test_wrong_options_are_one_line(place, options, says):
    command = [sys.executable, "-m", "lineage", "track", "film.zarr", "-o", "out", *options]
    run = subprocess.run(command, cwd=place, capture_output=True, text=True, env=environment(), check=False)
    assert (run.returncode, run.stderr.strip()) == (2, says)
    assert not (place / "out").exists()


@pytest.mark.parametrize("resources", [None, IN_PIECES])
def test_missing_chunks_are_blank_for_who_says_so(film, tmp_path, resources):
    import zarr

    image = np.maximum(film.image, 1)
    array = zarr.create_array(tmp_path / "film.zarr", shape=image.shape, chunks=(1, 48, 55), dtype=image.dtype)
    array[:] = image
    (tmp_path / "film.zarr/c/3/1/1").unlink()
    says = f"{tmp_path / 'film.zarr'}: frame 3 lacks its chunk c/3/1/1, and no pixel that is stored is blank: "
    with pytest.raises(ValueError, match=re.escape(says)):
        pipeline.run(tmp_path / "film.zarr", tmp_path / "out", settings=CLASSICAL, resources=resources)
    assert not (tmp_path / "out").exists()
    done = pipeline.run(tmp_path / "film.zarr", tmp_path / "out", settings=Settings(segment="classical", holes=True), resources=resources)
    assert done.forest.detections.n_frames == 9
