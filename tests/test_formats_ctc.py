import re

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_forests import forests
from zoo import ZOO, paint

from lineage.detections import Detections
from lineage.films import open_film
from lineage.forest import Forest
from lineage.formats import ctc, read, write
from lineage.formats.ctc_validate import validate

relaxed = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def facts(forest, *, positions=True):
    """What a folder holds: per cell its frame, tracklet and (rounded) position, and the tracklet and frame of its parent."""
    cells, found = forest.detections, set()
    for i in np.flatnonzero(forest.selected):
        p = forest.parent[i]
        mother = (int(cells.frame[p]), int(forest.tracklet_id[p])) if p >= 0 else None
        place = tuple(np.round(cells.position[i], 6).tolist()) if positions else None
        found.add((int(cells.frame[i]), int(forest.tracklet_id[i]), place, mother))
    return found


def renumbered(forest):
    """The same forest with cells of one frame in the order of their tracklets, as reading masks gives them."""
    rows = np.flatnonzero(forest.selected)
    rows = rows[np.lexsort((forest.tracklet_id[rows], forest.detections.frame[rows]))]
    rank = np.full(len(forest) + 1, -1)
    rank[rows] = np.arange(len(rows))
    return Forest(forest.detections.take(rows), rank[forest.parent[rows]])


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("single", "1 0 0 0\n"),
        ("gap", "1 0 1 0\n2 3 4 1\n"),
        ("division", "1 0 0 0\n2 1 1 1\n3 1 1 1\n"),
        ("division over a gap", "1 0 1 0\n2 3 4 1\n3 3 3 1\n"),
        ("late daughter", "1 0 0 0\n2 1 1 1\n3 2 2 1\n4 2 2 1\n"),
        ("unselected noise", "1 0 1 0\n"),
        ("empty", ""),
    ],
)
def test_the_table_splits_at_divisions_and_gaps(tmp_path, name, rows):
    if name == "late daughter":
        animal = Forest(Detections([0, 1, 2, 2], [[4, 4], [4, 4], [4, 12], [4, 20]], [1, 1, 2, 3]), [-1, 0, 0, 0])
    else:
        animal = ZOO[name]
    ctc.write(animal, tmp_path / "01_RES", labels=paint(animal))
    assert (tmp_path / "01_RES" / "res_track.txt").read_text() == rows


@pytest.mark.parametrize("drawn", [False, True])
@pytest.mark.parametrize("name", ZOO)
def test_zoo_comes_back_and_is_valid(tmp_path, name, drawn):
    animal = ZOO[name]
    film = paint(animal)
    before = film.copy()
    film.setflags(write=False)
    write(animal, tmp_path / "01_RES", labels=None if drawn else film)
    np.testing.assert_array_equal(film, before)
    assert validate(tmp_path / "01_RES") == []
    again = read(tmp_path / "01_RES")
    want = renumbered(animal)
    assert facts(again) == facts(want)
    assert again.parent.tolist() == want.parent.tolist()
    np.testing.assert_array_equal(again.detections.label, want.tracklet_id)
    assert again.detections.n_frames == max(animal.detections.n_frames, 1)
    for file in (tmp_path / "01_RES").glob("mask*.tif"):
        assert tifffile.imread(file).dtype == np.uint16


@relaxed
@given(forests(places=st.integers(-3, 6).map(float)))
def test_crowded_cells_are_drawn_apart_and_come_back(tmp_path, forest):
    write(forest, tmp_path / "r")
    assert [v for v in validate(tmp_path / "r") if not v.is_warning] == []
    assert facts(read(tmp_path / "r"), positions=False) == facts(renumbered(forest), positions=False)


def test_many_cells_in_one_point(tmp_path):
    cells = Detections(np.zeros(500, int), np.zeros((500, 2)), np.zeros(500, int))
    write(Forest(cells, np.full(500, -1)), tmp_path / "r")
    assert len(read(tmp_path / "r")) == 500


def test_discs_are_discs_at_the_place_of_the_cell(tmp_path):
    cells = Detections([0, 0, 0], np.array([[5, 5], [5, 8], [-4, 5]]) * 0.5, [0, 0, 0], scale=(0.5, 0.5))
    write(Forest(cells, [-1] * 3), tmp_path / "r")
    frame = open_film(tmp_path / "r", kind="labels")[0]
    rows = ["".join(map(str, row)) for row in frame[7:12, 3:11]]
    assert rows == ["00100200", "01112220", "11112222", "01112220", "00100200"]
    assert frame[0, 5] == 3


def test_a_canvas_beyond_memory_is_refused(tmp_path):
    cells = Detections([0, 0], [[0, 0], [1e6, 1e6]], [0, 0])
    message = "drawing the cells needs frames of (1000003, 1000003) pixels: give the labels, or detections with a larger scale"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        write(Forest(cells, [-1, -1]), tmp_path / "r")
    assert list(tmp_path.iterdir()) == []


def test_huge_labels_are_found_without_a_huge_table():
    image = np.array([[0, 3_000_000_000], [7, 8]], np.uint32)
    fresh = ctc.relabelled(image, np.array([3_000_000_000, 7]), np.array([2, 1]), frame=0)
    assert fresh.tolist() == [[0, 2], [1, 0]]
    assert fresh.dtype == np.uint16
    assert ctc.relabelled(image, np.zeros(0, int), np.zeros(0, int), frame=0).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("old", "message"),
    [
        ([1, 1], "label 1 stands for two cells of frame 4"),
        ([1, 9], "frame 4 of the label film has no label 9, but the forest has a cell there"),
    ],
)
def test_labels_must_fit(old, message):
    for image in (np.array([[1, 2]], np.uint16), np.array([[1, 2**31]], np.uint32)):
        with pytest.raises(ValueError, match=f"^{message}$"):
            ctc.relabelled(image, np.array(old), np.array([1, 2]), frame=4)


def test_a_film_that_does_not_fit(tmp_path):
    with pytest.raises(ValueError, match=r"^the label film has 1 frames, but the forest has 2$"):
        write(ZOO["step"], tmp_path / "r", labels=paint(ZOO["single"]))
    points = Forest(Detections([0], [[4, 4]], [0]), [-1])
    with pytest.raises(ValueError, match=r"^row 0 \(frame 0\) has no label: write without labels, discs are drawn$"):
        write(points, tmp_path / "r", labels=paint(ZOO["single"]))
    assert list(tmp_path.iterdir()) == []


def test_65536_tracklets_are_too_many(tmp_path):
    cells = Detections(np.zeros(65536, int), np.zeros((65536, 2)), np.zeros(65536, int))
    message = "65536 tracklets do not fit 16-bit masks: the Cell Tracking Challenge format holds 65535"
    with pytest.raises(ValueError, match=f"^{message}$"):
        write(Forest(cells, np.full(65536, -1)), tmp_path / "r")


@pytest.mark.parametrize(("frames", "last"), [(999, "mask998.tif"), (1000, "mask0999.tif")])
def test_digits_of_the_names(tmp_path, frames, last):
    cells = Detections([frames - 1], [[1, 1]], [0])
    write(Forest(cells, [-1]), tmp_path / "r")
    assert sorted(f.name for f in (tmp_path / "r").iterdir())[frames - 1] == last


def test_an_older_result_is_replaced_as_a_whole(tmp_path):
    write(ZOO["gap"], tmp_path / "r")
    write(ZOO["single"], tmp_path / "r")
    assert sorted(f.name for f in (tmp_path / "r").iterdir()) == ["mask000.tif", "res_track.txt"]
    assert [f.name for f in tmp_path.iterdir()] == ["r"]


def test_other_files_are_kept(tmp_path):
    write(ZOO["gap"], tmp_path / "r")
    (tmp_path / "r" / "notes.txt").write_text("mine")
    message = f"{tmp_path}/r holds other files (notes.txt): choose another folder, or overwrite=True to write into it"
    with pytest.raises(FileExistsError, match=f"^{re.escape(message)}$"):
        write(ZOO["single"], tmp_path / "r")
    assert len(list((tmp_path / "r").iterdir())) == 7
    write(ZOO["single"], tmp_path / "r", overwrite=True)
    assert sorted(f.name for f in (tmp_path / "r").iterdir()) == ["mask000.tif", "notes.txt", "res_track.txt"]
    assert (tmp_path / "r" / "notes.txt").read_text() == "mine"


def test_a_failure_leaves_the_older_result(tmp_path):
    write(ZOO["single"], tmp_path / "r")

    def broken(items, _what):
        yield from list(items)[:1]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        write(ZOO["gap"], tmp_path / "r", progress=broken)
    assert sorted(f.name for f in (tmp_path / "r").iterdir()) == ["mask000.tif", "res_track.txt"]
    assert [f.name for f in tmp_path.iterdir()] == ["r"]


def test_truth_folders_and_scale(tmp_path):
    write(ZOO["three dimensions"], tmp_path / "r")
    truth = tmp_path / "01_GT" / "TRA"
    truth.mkdir(parents=True)
    for file in (tmp_path / "r").iterdir():
        file.rename(truth / file.name.replace("mask", "man_track").replace("res_", "man_"))
    for path in (truth, truth.parent, truth / "man_track.txt"):
        assert read(path).parent.tolist() == [-1, 0, 0]
    folder = ctc.open_folder(truth.parent)
    assert folder.table.tolist() == [[1, 0, 0, 0], [2, 1, 1, 1], [3, 1, 1, 1]]
    assert (folder.labels.shape, folder.path) == ((2, 7, 7, 15), truth)
    scaled = ctc.read(truth, scale=(2, 1, 1))
    assert scaled.detections.position[0].tolist() == [8, 4, 4]


@pytest.fixture
def gap(tmp_path):
    write(ZOO["gap"], tmp_path / "r")
    return tmp_path / "r"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1 0 1 0\n2 3 4\n", "line 2: '2 3 4' is not four whole numbers L B E P"),
        ("1 0 1 0\n\n2 3 4 x\n", "line 3: '2 3 4 x' is not four whole numbers L B E P"),
        ("1 0 1 0\n2 3 4.0 1\n", "line 2: '2 3 4.0 1' is not four whole numbers L B E P"),
        ("1 0 1 0\n2 4 3 1\n", "line 2: label 2 begins in frame 4 and ends before, in frame 3"),
        ("1 0 1 0\n2 3 4 5\n", "line 2: label 2 has the parent 5, which has no row"),
        ("1 0 1 0\n1 3 4 0\n", "line 2: label 1 has a row already"),
        ("1 0 3 0\n2 3 4 1\n", "line 2: label 2 begins in frame 3, but its parent 1 ends in frame 3: parents end earlier"),
        ("1 0 1 0\n2 3 9 1\n", "line 2: label 2 ends in frame 9, but there are 5 masks"),
    ],
)
def test_bad_rows_name_their_line(gap, rows, message):
    (gap / "res_track.txt").write_text(rows)
    with pytest.raises(ValueError, match=f"^{re.escape(f'{gap}/res_track.txt, {message}')}$"):
        read(gap)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1 0 2 0\n2 3 4 1\n", "label 1 is in the table but not in the mask of frame 2"),
        ("1 0 1 0\n2 4 4 1\n", "label 2 is in the mask but not in the table of frame 3"),
        ("1 0 1 0\n", "label 2 is in the mask but not in the table of frame 3 (2 such cases; validate lists all)"),
    ],
)
def test_masks_and_table_must_agree(gap, rows, message):
    (gap / "res_track.txt").write_text(rows)
    with pytest.raises(ValueError, match=f"^{re.escape(f'{gap}: {message}')}$"):
        read(gap)


def test_what_is_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(f'no such file or folder: {tmp_path}/x')}$"):
        read(tmp_path / "x")
    message = f"{tmp_path} holds neither res_track.txt nor man_track.txt: it is no Cell Tracking Challenge folder"
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(message)}$"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "cells", "divisions"), [("metrics/Fluo-N2DL-HeLa/01_RES", 8600, 106), ("ctc/DIC-C2DH-HeLa/01_GT", 1120, 8)]
)
def test_real_folders(data, name, cells, divisions):
    forest = read(data / name)
    assert (len(forest), len(forest.divisions)) == (cells, divisions)


def test_a_real_result_is_written_back(data, tmp_path):
    forest = read(data / "metrics/ctc_testing_dataset/03_RES")
    write(forest, tmp_path / "r", labels=ctc.open_folder(data / "metrics/ctc_testing_dataset/03_RES").labels)
    assert validate(tmp_path / "r") == []
    assert facts(read(tmp_path / "r")) == facts(renumbered(forest))
