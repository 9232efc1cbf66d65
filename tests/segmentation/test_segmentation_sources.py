"""Labelled pictures from files and arrays of many kinds; what does not fit is named."""

import re

import numpy as np
import pytest
import tifffile
import zarr

from segmentation import sources, splitting
from segmentation.sources import Files, Film, find_pairs, laid_over, unknown_rim, whole_labels
from segmentation.splitting import split


def film(shape=(3, 6, 7)):
    images = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    labels = np.zeros(shape, np.uint16)
    labels[:, 1:3, 1:4] = np.arange(1, shape[0] + 1)[:, None, None]
    return images, labels


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".zarr":
        zarr.save_array(str(path), array)
    else:
        tifffile.imwrite(path, array, photometric="minisblack", compression="zlib" if "packed" in str(path.parent) else None)


def ome(path, array, axes, *, version="0.4"):
    group = zarr.open_group(str(path), mode="a")
    group.create_array("0", data=array)
    said = [{"axes": [{"name": axis} for axis in axes], "datasets": [{"path": "0"}]}]
    group.attrs.update({"multiscales": said} if version == "0.4" else {"ome": {"multiscales": said}})


@pytest.mark.parametrize(("kind", "place"), [(".tif", "plain"), (".tif", "packed"), (".npy", "plain"), (".zarr", "plain")])
def test_two_stacks_are_paired_by_frame(tmp_path, kind, place):
    images, labels = film()
    for name, array in (("images", images), ("labels", labels)):
        save(tmp_path / place / f"{name}{kind}", array)
    found = find_pairs(tmp_path / place)
    assert isinstance(found, Film) and len(found) == 3 and found.names == ("000", "001", "002")
    assert np.array_equal(found[1][0], images[1]) and np.array_equal(found[1][1], labels[1]) and found[1][1].dtype == np.int32
    assert [pair[0].min() for pair in found.only([2, 0])] == [images[2].min(), images[0].min()]
    named = find_pairs(tmp_path / place / f"images{kind}", tmp_path / place / f"labels{kind}", rim=1)
    assert (named[0][1][0] == -1).all() and named[0][1][2, 2] == 1


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_an_ome_zarr_carries_its_labels(tmp_path, version):
    images, labels = film()
    ome(tmp_path / "film.zarr", images[:, None, None], "tczyx", version=version)
    ome(tmp_path / "film.zarr" / "labels" / "cells", labels[:, None], "tzyx", version=version)
    found = find_pairs(tmp_path / "film.zarr")
    assert len(found) == 3 and np.array_equal(found[2][0], images[2]) and np.array_equal(found[2][1], labels[2])


def test_channels_planes_and_a_single_time_are_understood(tmp_path):
    picture, labels = np.arange(2 * 4 * 6 * 7).reshape(2, 4, 6, 7), np.ones((4, 6, 7), np.uint8)
    ome(tmp_path / "images.zarr", picture, "czyx")
    ome(tmp_path / "labels.zarr", labels, "zyx")
    found = find_pairs(tmp_path)
    assert len(found) == 1 and np.array_equal(found[0][0], picture) and found[0][1].shape == (4, 6, 7)


def test_arrays_of_any_kind_make_a_film():
    images, labels = film((2, 3, 6, 7))
    two = Film(np.stack([images, images], 1), labels)
    assert two[0][0].shape == (2, 3, 6, 7) and two[0][1].shape == (3, 6, 7)


def test_colours_come_first_whatever_the_file_says(tmp_path):
    image, labels = np.arange(6 * 7 * 3, dtype=np.uint8).reshape(6, 7, 3), np.ones((6, 7), np.uint16)
    for name, array in (("last", image), ("first", np.moveaxis(image, -1, 0))):
        save(tmp_path / name / "images" / "a.tif", array)
        save(tmp_path / name / "labels" / "a.tif", labels)
        assert np.array_equal(find_pairs(tmp_path / name)[0][0], np.moveaxis(image, -1, 0))


def test_labels_are_made_whole_without_loss():
    assert whole_labels(np.array([[0.0, 3.0]]), "x").tolist() == [[0, 3]]
    assert whole_labels(np.array([0, 2**40, 2**33], np.uint64), "x").tolist() == [0, 2, 1]
    assert whole_labels(np.array([-1, 0, 2**40, 7]), "x").tolist() == [-1, 0, 2, 1]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([True]), "x has labels that are only true or false: give each cell a number of its own"),
        (np.array([0.5]), "x has float64 labels that are no whole numbers: give each cell a whole number, 0 for background"),
        (np.array([np.nan], np.float32), "x has float32 labels that are no whole numbers: give each cell a whole number, 0 for background"),
        (np.array([1j]), "x has complex128 labels that are no whole numbers: give each cell a whole number, 0 for background"),
    ],
)
def test_labels_that_are_no_numbers_of_cells_are_refused(labels, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        whole_labels(labels, "x")


def row(text):
    return np.array([[int(c) if c != "?" else -1 for c in text]], np.int32)


@pytest.mark.parametrize(
    ("silver", "gold", "expected"),
    [
        ("0111022200", "0000000000", "0111022200"),  # nothing drawn, nothing changes
        ("0111022200", "0011000000", "0033022200"),  # the cell is replaced, what is left of it is background
        ("0111022200", "0111100000", "0333322200"),
        ("0111022200", "0000500000", "0111722200"),  # a cell where there was none
        ("0111022220", "0000550000", "0111772220"),  # a neighbour loses a pixel only
        ("0111111000", "0055000000", "0?66???000"),  # silver held two cells, one is drawn: what is left may be the other
        ("0111111000", "0055056000", "0066067000"),  # both are drawn: most of silver lies in them
        ("?111????00", "0000055000", "?111?66?00"),
        ("0111222000", "0055550000", "0077770000"),  # one cell where silver saw two
    ],
)
def test_better_masks_take_the_place_of_those_they_lie_on(silver, gold, expected):
    before = row(silver)
    laid = laid_over(before, row(gold))
    assert laid.dtype == np.int32 and np.array_equal(laid, row(expected)), laid
    assert np.array_equal(before, row(silver))


def test_what_is_laid_over_does_not_depend_on_numbers_or_place():
    rng = np.random.default_rng(0)
    silver, gold = (np.kron(rng.integers(0, 9, (4, 5)), np.ones((3, 3), int)) for _ in range(2))
    gold[rng.random(gold.shape) < 0.5] = 0
    laid, other = laid_over(silver, gold), laid_over(np.where(silver > 0, 50 - silver, 0), np.where(gold > 0, 30 - gold, 0))
    assert np.array_equal(np.sign(laid), np.sign(other))
    assert len(np.unique(np.stack([laid, other]).reshape(2, -1), axis=1).T) == len(np.unique(laid)) == len(np.unique(other))
    assert np.array_equal(np.sign(laid_over(silver.T, gold.T)), np.sign(laid).T)


def sequence(folder, gold_shape=(60, 60)):
    """Three frames with silver truth, one of them with a gold cell as well."""
    silver, gold = np.zeros((60, 60), np.uint16), np.zeros(gold_shape, np.uint16)
    silver[28:33, 28:33], gold[28:35, 28:33] = 4, 9
    for t in range(3):
        save(folder / "01" / f"t{t:03}.tif", np.zeros((60, 60), np.uint8))
        save(folder / "01_ST" / "SEG" / f"man_seg{t:03}.tif", silver)
    save(folder / "01_GT" / "SEG" / "man_seg001.tif", gold)
    return folder / "01"


def test_gold_cells_lie_over_silver_ones_where_they_are_wanted(tmp_path):
    plain, files = find_pairs(sequence(tmp_path)), find_pairs(tmp_path / "01", gold=True)
    assert not plain.better and [path is None for path in files.better] == [True, False, True]
    for t in (0, 2):
        assert np.array_equal(files[t][1], plain[t][1])
    assert (files[1][1] == 13).sum() == 35 and not (files[1][1] == 4).any() and (files[1][1] == -1).sum() == (plain[1][1] == -1).sum()
    assert (files.only([1])[0][1] == 13).any() and not plain.only([1]).better
    assert not find_pairs(tmp_path / "01", gold=True, rim=0).only([0]).better[0]


def test_gold_masks_of_another_shape_are_refused(tmp_path):
    files = find_pairs(sequence(tmp_path, (61, 60)), gold=True)
    gold, silver = (tmp_path / f"01_{kind}" / "SEG" / "man_seg001.tif" for kind in ("GT", "ST"))
    message = f"{gold} has shape (61, 60) but {silver} has (60, 60): both must have one shape"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        files[1]


def broken(folder, kind):
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    (folder / "a.npy").write_text("no array")
    (folder / "images" / "a.tif").write_text("no picture")
    save(folder / "labels" / "a.tif", np.zeros((4, 4), np.uint8))
    save(folder / "b.tif", np.zeros((2, 4, 4), np.uint8))
    save(folder / "c.tif", np.zeros((3, 4, 4), np.uint8))
    (folder / "text.csv").write_text("t")
    ome(folder / "odd.zarr", np.zeros((2, 4, 4)), "cyt")
    zarr.open_group(str(folder / "bare.zarr"), mode="w")
    ome(folder / "film.zarr", np.zeros((2, 4, 4)), "tyx")
    (folder / "film.zarr" / "labels").mkdir()
    pairs = {
        "picture": lambda: find_pairs(folder)[0],
        "array": lambda: find_pairs(folder / "a.npy", folder / "b.tif"),
        "length": lambda: find_pairs(folder / "b.tif", folder / "c.tif"),
        "absent": lambda: find_pairs(folder / "b.tif", folder / "z.tif"),
        "mixed": lambda: find_pairs(folder / "b.tif", folder / "labels"),
        "kind": lambda: find_pairs(folder / "text.csv", folder / "b.tif"),
        "axes": lambda: find_pairs(folder / "odd.zarr", folder / "b.tif"),
        "bare": lambda: find_pairs(folder / "bare.zarr", folder / "b.tif"),
        "unlabelled": lambda: find_pairs(folder / "film.zarr"),
        "count": lambda: Files((folder,), ()),
        "better": lambda: Files((folder,), (folder,), better=(None, None)),
    }
    return pairs[kind]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("picture", "{f}/images/a.tif cannot be read as TIFF: [^\n]+"),
        ("array", "{f}/a.npy is no readable NumPy file: [^\n]+"),
        (
            "length",
            "{f}/b.tif with c.tif has images of shape \\(2, 4, 4\\) and labels of shape \\(3, 4, 4\\): "
            "give \\(T, \\[C,\\] \\[Z,\\] Y, X\\) and \\(T, \\[Z,\\] Y, X\\)",
        ),
        ("absent", "{f}/z.tif does not exist: give a folder of TIFFs, or a stack \\(.tif, .tiff, .npy, .zarr\\)"),
        ("mixed", "{f}/b.tif and {f}/labels are of two kinds: give two folders of TIFFs or two stacks \\(.tif, .tiff, .npy, .zarr\\)"),
        ("kind", "{f}/text.csv is no stack of pictures: give .tif, .tiff, .npy, .zarr"),
        ("axes", "{f}/odd.zarr has the axes cyt and shape \\(2, 4, 4\\): give some of t, c, z, y, x in this order"),
        ("bare", "{f}/bare.zarr is no readable zarr array or OME-Zarr image: 'multiscales'"),
        ("unlabelled", "{f}/film.zarr has no label image in labels/: name the labels"),
        ("count", "1 images but 0 label files: give one for each"),
        ("better", "1 images but 2 better label files: give one or None for each, or none"),
    ],
)
def test_what_cannot_be_paired_is_refused_in_one_line(tmp_path, kind, message):
    call = broken(tmp_path, kind)
    with pytest.raises(ValueError, match=f"^{message.format(f=re.escape(str(tmp_path)))}$"):
        call()


class Read:
    """An array that counts the pixels that are read of it."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.most = array, array.shape, array.dtype, 0

    def __getitem__(self, place):
        part = self.array[place]
        self.most = max(self.most, part.size)
        return part


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(sources, "LARGE", 500)
    monkeypatch.setattr(sources, "BLOCK", 200)


@pytest.mark.parametrize(("shape", "channels"), [((30, 20), 0), ((30, 20), 2), ((6, 20, 10), 0), ((6, 20, 10), 3)])
def test_large_frames_come_in_blocks_that_tile_them(small_blocks, shape, channels):
    rng = np.random.default_rng(0)
    images, labels = rng.random((2, *([channels] if channels else []), *shape)), rng.integers(0, 9, (2, *shape))
    watched = Read(images), Read(labels)
    found = Film(*watched)
    assert len(found) == 2 * len(found.blocks) > 4
    again, seen = np.full_like(images, np.nan), np.zeros_like(labels)
    for row in range(len(found)):
        (t, k), (image, part) = found.rows[row], found[row]
        again[(t, ..., *found.blocks[k])] = image
        seen[(t, *found.blocks[k])] += part + 1
    assert np.array_equal(again, images) and np.array_equal(seen, labels + 1)
    assert watched[0].most <= 200 * max(channels, 1) and watched[1].most <= 200
    assert found.names[len(found.blocks)] == "001-000" and found.place(1) == "block 1 of frame 0 of film"
    assert found.frames == (0, 1) and found.only([0]).frames == (0,) and np.array_equal(found.only([3])[0][1], found[3][1])
    assert len(Film(images, labels, frames=(1,))) == len(found.blocks)


def test_the_rim_of_a_large_frame_is_that_of_the_whole(small_blocks):
    labels = np.zeros((1, 30, 20), np.int32)
    labels[0, 0, 0] = 7
    found, whole = Film(labels.astype(float), labels, rim=4), unknown_rim(labels[0], 4)
    for row, place in enumerate(found.blocks):
        assert np.array_equal(found[row][1], whole[place])


def test_an_ome_zarr_is_read_block_by_block(small_blocks, tmp_path):
    images, labels = film((1, 3, 30, 20))
    ome(tmp_path / "film.zarr", images[:, None], "tczyx", version="0.5")
    ome(tmp_path / "film.zarr" / "labels" / "cells", labels, "tzyx", version="0.5")
    found = find_pairs(tmp_path / "film.zarr")
    for row, place in enumerate(found.blocks):
        assert np.array_equal(found[row][0], images[0][place]) and np.array_equal(found[row][1], labels[0][place])


def test_blocks_of_one_large_frame_are_split_like_frames(small_blocks, monkeypatch, tmp_path):
    images, labels = film((1, 80, 60))
    labels[:] = 1
    for name, array in (("images", images), ("labels", labels)):
        np.save(tmp_path / f"{name}.npy", array)
    part = split(tmp_path)
    parts = [part.train, part.validation, part.test]
    assert sorted(row for kind in parts for row in kind.rows) == list(Film(images, labels).rows) and min(map(len, parts)) > 0
    monkeypatch.setattr(splitting, "LOOKED_AT", 3)
    few = split(tmp_path, 0.5)
    assert len(few.validation) == 3 and len(few.train) == len(split(tmp_path, 0.5).train)
    labels[:, 45:] = 0  # only blocks with cells are judged, if there are any
    np.save(tmp_path / "labels.npy", labels)
    assert all((found > 0).any() for _, found in split(tmp_path, 0.5).validation)
    np.save(tmp_path / "labels.npy", np.where(labels > 0, 0, 0))
    assert len(split(tmp_path, 0.5).validation) == 3


def test_marks_of_the_unknown_stay_below_zero_however_far():
    marks = np.array([[np.iinfo(np.int64).min, -(2**40), -1, 0, 5]])
    assert whole_labels(marks, "x").tolist() == [[-1, -1, -1, 0, 5]]


def test_one_cell_may_have_the_number_255():
    one = np.zeros((5, 6), np.uint8)
    one[1:3, 1:3] = 255
    assert whole_labels(one, "x").max() == 255
    one[4, 4] = 255
    with pytest.raises(ValueError, match=r"^x has labels that are only 0 and 255: give each cell a number of its own$"):
        whole_labels(one, "x")
    assert whole_labels(one, "x", binary=True).max() == 1
