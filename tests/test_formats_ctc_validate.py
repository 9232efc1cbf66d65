import re
import warnings

import numpy as np
import pytest
import tifffile
from ctc_metrics.scripts.validate import validate_sequence
from zoo import ZOO, paint

from lineage.formats import write
from lineage.formats.ctc_validate import validate


@pytest.fixture
def good(tmp_path):
    """Labels 1 (frames 0-1), 2 and 3 (its daughters, frame 2 on), 4 frames."""
    folder = tmp_path / "01_RES"
    write(ZOO["division with a past"], folder, labels=paint(ZOO["division with a past"]))
    assert (folder / "res_track.txt").read_text() == "1 0 1 0\n2 2 3 1\n3 2 3 1\n"
    return folder


def referee(folder):
    """What py-ctcmetrics says; a crash counts as no."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return bool(validate_sequence(str(folder), threads=1)["Valid"])
        except (AssertionError, IndexError, ValueError):
            return False


def table(*rows):
    return lambda folder: (folder / "res_track.txt").write_text("".join(f"{row}\n" for row in rows))


def mask(t, change):
    def break_it(folder):
        file = folder / f"mask{t:03d}.tif"
        frame = tifffile.imread(file)
        tifffile.imwrite(file, change(frame))

    return break_it


def paint_pixel(frame):
    frame[0, 0] = 7
    return frame


def cut(folder):
    file = folder / "mask002.tif"
    file.write_bytes(file.read_bytes()[:-40])


def blank(frame):
    return frame * 0


BROKEN = {
    "text": (table("1 0 1 0", "2 2 3", "3 2 3 1"), {("not four integers", None, 2), ("extra label", 2, None), ("extra label", 3, None)}),
    "words": (
        table("L B E P", "1 0 1 0", "2 2 3 1", "3 2 3 1"),
        {("not four integers", None, 1)},
    ),
    "label twice": (table("1 0 1 0", "2 2 3 1", "3 2 3 1", "3 2 3 1"), {("duplicate label", None, 4)}),
    "label 0": (table("1 0 1 0", "2 2 3 1", "3 2 3 1", "0 1 0 0"), {("label out of range", None, 4), ("ends before it begins", None, 4)}),
    "negative frame": (table("1 -1 1 0", "2 2 3 1", "3 2 3 1"), {("negative number", None, 1)}),
    "negative parent": (table("1 0 1 0", "2 2 3 -1", "3 2 3 1"), {("negative number", None, 2)}),
    "ends before": (
        table("1 0 1 0", "2 3 2 1", "3 2 3 1"),
        {("ends before it begins", None, 2), ("extra label", 2, None), ("extra label", 3, None)},
    ),
    "unknown parent": (table("1 0 1 0", "2 2 3 9", "3 2 3 1"), {("unknown parent", None, 2)}),
    "self parent": (table("1 0 1 0", "2 2 3 2", "3 2 3 1"), {("self parent", None, 2)}),
    "cycle": (
        table("1 0 1 0", "2 2 3 3", "3 2 3 2"),
        {("parent ends too late", None, 2), ("parent ends too late", None, 3), ("cyclic parent", None, 2), ("cyclic parent", None, 3)},
    ),
    "late parent": (
        table("1 0 2 0", "2 2 3 1", "3 2 3 1"),
        {("parent ends too late", None, 2), ("parent ends too late", None, 3), ("missing label", 2, None)},
    ),
    "after the last mask": (table("1 0 1 0", "2 2 4 1", "3 2 3 1"), {("after the last mask", None, 2)}),
    "missing label": (mask(3, lambda frame: frame * (frame != 2)), {("missing label", 3, None)}),
    "extra label": (mask(0, paint_pixel), {("extra label", 0, None)}),
    "extra label in the last frame": (mask(3, paint_pixel), {("extra label", 3, None)}),
    "blank mask": (mask(1, blank), {("missing label", 1, None)}),
    "missing mask": (lambda folder: (folder / "mask001.tif").unlink(), {("missing mask", 1, None)}),
    "missing first mask": (lambda folder: (folder / "mask000.tif").unlink(), {("missing mask", 0, None)}),
    "shape": (mask(1, lambda frame: np.pad(frame, ((0, 1), (0, 0)))), {("frame shape", 1, None)}),
    "dtype": (mask(1, lambda frame: frame.astype(np.uint8)), {("pixel type", 1, None)}),
    "signed": (mask(1, lambda frame: frame.astype(np.int16)), {("pixel type", 1, None)}),
    "float": (mask(1, lambda frame: frame.astype(np.float32)), {("pixel type", 1, None)}),
    "cut": (cut, {("unreadable mask", 2, None)}),
    "disconnected": (
        mask(0, lambda frame: np.pad(frame, 0) + np.eye(*frame.shape, dtype=np.uint16)[::-1] * 0 + _dot(frame)),
        {("disconnected label", 0, None)},
    ),
    "no table": (lambda folder: (folder / "res_track.txt").unlink(), {("no table", None, None)}),
    "no masks": (
        lambda folder: [file.unlink() for file in folder.glob("*.tif")],
        {("no masks", None, None), *(("after the last mask", None, row) for row in (1, 2, 3))},
    ),
    "stray file": (lambda folder: tifffile.imwrite(folder / "mean.tif", np.zeros((3, 3), np.uint16)), {("file name", None, None)}),
    "two digits": (lambda folder: (folder / "mask003.tif").rename(folder / "mask0003.tif"), {("file name", 3, None)}),
    "images": (lambda folder: _raw(folder, 3), {("mask count", None, None)}),
}
HOLES = {"after the last mask", "shape", "dtype", "signed", "float", "disconnected", "stray file", "images"}  # py-ctcmetrics lets them pass


def _dot(frame):
    dot = np.zeros_like(frame)
    dot[0, -1] = 1
    return dot


def _raw(folder, count):
    raw = folder.parent / "01"
    raw.mkdir()
    for t in range(count):
        tifffile.imwrite(raw / f"t{t:03d}.tif", np.zeros((3, 3), np.uint8))


@pytest.mark.parametrize("name", BROKEN)
def test_each_fault_is_found_and_nothing_else(good, name):
    break_it, expected = BROKEN[name]
    break_it(good)
    found = validate(good)
    assert {(v.kind, v.frame, v.row) for v in found} == expected
    assert all(v.message and "\n" not in v.message and v.file for v in found)
    assert all(v.is_warning == (v.kind == "disconnected label") for v in found)


@pytest.mark.parametrize("name", [name for name in BROKEN if name not in {"no table", "no masks", "cut"}])
def test_the_referee_agrees_but_for_its_holes(good, name):
    assert referee(good)
    BROKEN[name][0](good)
    assert referee(good) == (name in HOLES)
    assert validate(good)


def test_all_faults_at_once(good):
    for name in ("extra label", "missing label", "dtype"):
        BROKEN[name][0](good)
    table("1 0 1 0", "2 2 3 9", "3 2 3 1")(good)
    assert [v.kind for v in validate(good)] == ["unknown parent", "extra label", "pixel type", "missing label"]


def test_messages(good):
    table("1 0 1 0", "2 2 3 1", "3 2 4 1")(good)
    paint_in = mask(0, paint_pixel)
    paint_in(good)
    assert [(v.file, v.message) for v in validate(good)] == [
        (f"{good}/res_track.txt", "label 3 ends in frame 4, but the last mask is that of frame 3"),
        (f"{good}/mask000.tif", "label 7 is in the mask but not in the table of frame 0"),
    ]


@pytest.mark.parametrize("name", ZOO)
def test_what_we_write_is_valid_and_the_referee_says_so(tmp_path, name):
    write(ZOO[name], tmp_path / "r", labels=paint(ZOO[name]))
    assert validate(tmp_path / "r") == []
    if name != "empty":  # py-ctcmetrics cannot read a result without cells
        assert referee(tmp_path / "r")


def test_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(f'no such folder: {tmp_path}/x')}$"):
        validate(tmp_path / "x")


@pytest.mark.parametrize(
    ("name", "warned"),
    [
        ("metrics/ctc_testing_dataset/03_RES", 0),
        ("metrics/Fluo-N2DL-HeLa/01_RES", 0),
        ("ctc/DIC-C2DH-HeLa/01_GT", 0),
        ("ctc/Fluo-N2DH-SIM+/01_GT", 27),
    ],
)
def test_real_folders_are_valid(data, tmp_path, name, warned):
    found = validate(data / name)
    assert [v.kind for v in found] == ["disconnected label"] * warned
    folder = data / name
    if folder.name == "01_GT":  # the referee wants a result
        for file in (folder / "TRA").iterdir():
            (tmp_path / file.name.replace("man_track.txt", "res_track.txt")).symlink_to(file)
        folder = tmp_path
    assert referee(folder)
