"""Frames that are larger than memory: looked at slab by slab, they give what they give whole."""

import re
from itertools import pairwise

import numpy as np
import pytest
import tifffile

import lineage
from lineage import Detections, arrays, pipeline
from lineage.arrays import part_of, slabs
from lineage.candidates import overlapping
from lineage.films import LazyFrame, open_film, shadow
from lineage.films.zarr_writing import chunk_places, create_image_zarr, create_labels_zarr, scratch, write_frame
from lineage.formats import ctc
from lineage.measure import measure, measure_slabs
from lineage.pieces import Resources
from lineage.settings import Settings
from lineage.simulation import simulate

SCALE = (2.0, 0.5, 0.5)


@pytest.fixture(scope="module")
def flat():
    return simulate(frames=6, cells=14, size=(120, 150), radius=7, cycle=8, cycle_spread=2, seed=3)


@pytest.fixture(scope="module")
def deep():
    return simulate(frames=4, cells=8, size=(20, 64, 70), scale=SCALE, radius=5, cycle=6, cycle_spread=1, seed=5)


@pytest.fixture
def tiny(monkeypatch):
    """Frames of more than 4000 pixels are large."""
    monkeypatch.setattr(arrays, "LARGE", 4000)


def on_disk(film, folder, name):
    path = folder / f"{name}.zarr"
    create = create_labels_zarr if film.dtype.kind == "u" and name == "masks" else create_image_zarr
    create(path, film.shape, SCALE[-(film.ndim - 1) :], 60.0)
    for t, frame in enumerate(film):
        write_frame(path, t, frame)
    return path


@pytest.mark.parametrize(("shape", "multiple"), [((7, 1000), 1), ((20, 64, 70), 1), ((20, 64, 70), 3), ((1, 9, 9), 1), ((3, 90, 90), 1)])
def test_slabs_cover_a_frame_once_and_none_is_large(tiny, shape, multiple):
    found = slabs(shape, multiple)
    assert np.concatenate([np.arange(shape[0])[place] for place in found]).tolist() == [*range(shape[0])]
    thick = [place.stop - place.start for (place,) in found]
    plane = int(np.prod(shape[1:]))
    assert max(thick) * plane <= max(arrays.LARGE, multiple * plane)
    assert all(n % multiple == 0 for n in thick[:-1])
    assert len(set(thick[:-1])) <= 1


def test_a_frame_that_is_not_large_is_one_slab():
    assert slabs((20, 64, 70)) == [(slice(0, 20),)]


@pytest.mark.parametrize("kind", ["zarr", "tif", "npy", "folder", "array", "list"])
def test_every_film_gives_parts(deep, tmp_path, kind):
    image, place = deep.image, (slice(3, 9), slice(10, 30), slice(0, 7))
    if kind == "zarr":
        film = open_film(on_disk(image, tmp_path, "film"))
    elif kind == "tif":
        tifffile.imwrite(tmp_path / "a.tif", image, compression="zlib", metadata={"axes": "TZYX"})
        film = open_film(tmp_path / "a.tif")
    elif kind == "npy":
        np.save(tmp_path / "a.npy", image)
        film = open_film(tmp_path / "a.npy")
    elif kind == "folder":
        for t, frame in enumerate(image):
            tifffile.imwrite(tmp_path / f"t{t:03d}.tif", frame)
        film = open_film(tmp_path)
    else:
        film = open_film(image if kind == "array" else [*image])
    for some in (place, place[:1], ()):
        np.testing.assert_array_equal(film.part(2, some), image[2][some])
        np.testing.assert_array_equal(part_of(image, 2, some), image[2][some])
        np.testing.assert_array_equal(part_of([*image], 2, some), image[2][some])
    np.testing.assert_array_equal(LazyFrame(film, (1,))[place], image[1][place])
    lazy = LazyFrame(film, (0, 2, 1))
    assert (lazy.shape, lazy.dtype) == ((3, *image.shape[1:]), image.dtype)
    np.testing.assert_array_equal(lazy[(slice(1, 3), *place)], image[[2, 1]][(slice(None), *place)])
    np.testing.assert_array_equal(lazy[(1, *place)], image[2][place])


def test_a_lost_chunk_is_missed_only_where_it_is(deep, tmp_path, monkeypatch):
    monkeypatch.setattr("lineage.films.zarr_writing.MOST_PIXELS", 5 * 64 * 70)
    path = on_disk(deep.image, tmp_path, "film")
    assert len([*chunk_places(deep.image.shape)]) == 4
    (path / "0/c/1/2/0/0").unlink()
    film = open_film(path)
    np.testing.assert_array_equal(film.part(1, (slice(0, 10),)), deep.image[1, :10])
    says = f"{path}: frame 1 is incomplete, its chunk 0/c/1/2/0/0 was lost: copy or make it again"
    with pytest.raises(ValueError, match=re.escape(says)):
        film.part(1, (slice(9, 11),))


def test_parts_of_a_frame_are_written_by_themselves(tmp_path):
    create_labels_zarr(tmp_path / "a.zarr", (2, 6, 8))
    write_frame(tmp_path / "a.zarr", 1, np.full((2, 8), 7, np.uint32), (slice(2, 4),))
    write_frame(tmp_path / "a.zarr", 1, np.full((1, 3), 9, np.uint32), (slice(0, 1), slice(5, 8)))
    frame = open_film(tmp_path / "a.zarr", kind="labels")[1]
    assert (frame[2:4] == 7).all()
    assert (frame[0, 5:] == 9).all()
    assert np.count_nonzero(frame) == 19
    says = f"frame 1 of {tmp_path / 'a.zarr'} has shape (2, 8), but the film has (3, 8)"
    with pytest.raises(ValueError, match=re.escape(says)):
        write_frame(tmp_path / "a.zarr", 1, np.zeros((2, 8), np.uint32), (slice(0, 3),))


def test_scratch_is_zero_and_goes_away(tmp_path):
    with scratch(tmp_path, (3, 4, 5), "int32") as canvas:
        assert not canvas[:].any()
        canvas[1, :2] = 4
        assert canvas[1].sum() == 40
    with pytest.raises(KeyError, match="out"), scratch(tmp_path, (4, 5), "int32"):
        raise KeyError("out")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("cuts", [(0, 20), (0, 1, 20), (0, 3, 4, 5, 17, 20)])
def test_measures_do_not_depend_on_slabs(deep, cuts):
    labels, image, scale = deep.labels[1], deep.image[1].astype(float), np.array(SCALE)
    whole = measure(labels, scale, image)
    parts = ((labels[a:b], image[a:b]) for a, b in pairwise(cuts))
    found = measure_slabs(parts, labels.shape, scale)
    assert list(found) == list(whole)
    for name, column in whole.items():
        np.testing.assert_allclose(found[name], column, rtol=1e-12, atol=1e-10, err_msg=name)
        assert found[name].dtype == column.dtype
    bare = measure_slabs(((labels[a:b], None) for a, b in pairwise(cuts)), labels.shape, scale)
    assert list(bare) == [name for name in whole if not name.startswith("intensity")]


@pytest.mark.parametrize("which", ["flat", "deep"])
@pytest.mark.parametrize("moved", [False, True])
def test_overlaps_do_not_depend_on_slabs(which, moved, request, monkeypatch):
    film = request.getfixturevalue(which)
    cells = Detections.from_labels(film.labels)
    rng = np.random.default_rng(1)
    away = rng.normal(0, 4, cells.position.shape)
    ahead = (lambda dt: cells.position + dt * away) if moved else None
    whole = overlapping(cells, film.labels, max_gap=2, ahead=ahead)
    for large in (500, 4000, 9000):
        monkeypatch.setattr(arrays, "LARGE", large)
        found = overlapping(cells, film.labels, max_gap=2, ahead=ahead)
        np.testing.assert_array_equal(found.source, whole.source)
        np.testing.assert_array_equal(found.target, whole.target)
        for name, column in whole.columns.items():
            np.testing.assert_array_equal(found.columns[name], column)


def test_labels_and_detections_that_differ_are_told_in_slabs_too(deep, tiny):
    cells = Detections.from_labels(deep.labels)
    odd = int(cells.label[cells.at(1)][0])
    labels = deep.labels.copy()
    labels[1][labels[1] == odd] = 0
    says = re.escape(f"labels and detections differ in frame 1: label {odd} is in only one of them")
    with pytest.raises(ValueError, match=says):
        overlapping(cells, labels)
    labels[1, 0, 0, 0] = 999
    with pytest.raises(ValueError, match="labels and detections differ in frame 1: label 999 is in only one of them"):
        overlapping(cells, labels)


def same(found, whole, rtol=1e-9):
    """The same cells with the same links, whatever their numbers are."""
    one, other = found.detections, whole.detections
    assert len(one) == len(other)
    rows = [(other.at(t), place) for t, place in zip(one.frame, one.position, strict=True)]
    row = np.array([here.start + np.argmin(((other.position[here] - place) ** 2).sum(1)) for here, place in rows])
    assert sorted(row) == [*range(len(row))]
    for name in ("area", "bbox_max_y", "inertia_yx", "intensity_std"):
        np.testing.assert_allclose(one.columns[name], other.columns[name][row], rtol=rtol, atol=1e-7)
    np.testing.assert_array_equal(np.where(found.parent >= 0, row[found.parent], -1), whole.parent[row])
    np.testing.assert_array_equal(found.selected, whole.selected[row])
    np.testing.assert_allclose(found.link_cost, whole.link_cost[row], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("which", ["flat", "deep"])
@pytest.mark.parametrize("given", [False, True])
def test_a_film_of_large_frames_has_the_lineages_of_the_whole(which, given, request, tmp_path, monkeypatch):
    film = request.getfixturevalue(which)
    path = on_disk(film.image, tmp_path, "film")
    masks = on_disk(film.labels.astype(np.uint16), tmp_path, "masks") if given else None
    how = {"settings": Settings(segment="classical"), "resources": Resources()}
    whole = pipeline.run(path, tmp_path / "whole", labels=masks, **how)
    monkeypatch.setattr(arrays, "LARGE", 4000)
    found = pipeline.run(path, tmp_path / "out", labels=masks, **how)
    same(found.forest, whole.forest)
    names = {entry.name for entry in (tmp_path / "whole").iterdir()}
    assert {entry.name for entry in (tmp_path / "out").iterdir()} == names
    assert not [*(tmp_path / "out.pieces").rglob("*.partial")]
    if not given:
        one, other = (open_film(tmp_path / name / "labels.zarr", kind="labels") for name in ("whole", "out"))
        for t in range(len(film.image)):
            np.testing.assert_array_equal(other[t] > 0, one[t] > 0)
    one, other = (ctc.open_folder(tmp_path / name / "ctc") for name in ("whole", "out"))
    assert lineage.evaluate(tmp_path / "out" / "ctc", tmp_path / "whole" / "ctc")["CHOTA"] == pytest.approx(1)
    for t in range(len(film.image)):
        np.testing.assert_array_equal(other.labels[t] > 0, one.labels[t] > 0)


@pytest.mark.parametrize("which", ["flat"])
def test_large_frames_are_restored_and_segmented_by_networks(which, request, tmp_path, monkeypatch):
    film = request.getfixturevalue(which)
    path = on_disk(film.image[:2], tmp_path, "film")
    how = {"settings": Settings(segment="nuclei-2d", denoise="nuclei-denoise", hypotheses=False), "resources": Resources()}
    whole = pipeline.run(path, tmp_path / "whole", **how)
    monkeypatch.setattr(arrays, "LARGE", 4000)
    found = pipeline.run(path, tmp_path / "out", **how)
    same(found.forest, whole.forest, rtol=1e-3)


def test_stacks_are_shown_as_their_shadows(deep, tiny):
    film = open_film(deep.image)
    dark = shadow(film)
    assert dark.shape == (len(film), 1, *film.shape[2:])
    np.testing.assert_array_equal(dark[1], deep.image[1].max(0)[None])


def test_films_that_are_not_large_are_shown_as_they_are(deep):
    film = open_film(deep.image)
    assert shadow(film) is film


def test_what_is_wrong_in_a_large_frame_is_said_with_its_number(deep, tmp_path, tiny):
    image = deep.image.astype(np.float32)
    image[2, 11, 5, 5] = np.nan
    np.save(tmp_path / "film.npy", image)
    says = "frame 2: picture has NaN or infinite pixels, one of them at (11, 5, 5): replace them by finite values"
    with pytest.raises(ValueError, match=re.escape(says)):
        pipeline.run(tmp_path / "film.npy", tmp_path / "out", settings=Settings(segment="classical"), resources=Resources())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("method", ["classical", "nuclei-2d"])
def test_large_frames_are_segmented_into_a_file_in_parts(tmp_path, monkeypatch, method):
    film = simulate(frames=2, cells=8, size=(128, 160), radius=7, seed=3).image
    np.save(tmp_path / "film.npy", film)
    whole = pipeline.segment_to_file(tmp_path / "film.npy", tmp_path / "whole.tif", method)
    monkeypatch.setattr(arrays, "LARGE", 4000)
    assert pipeline.segment_to_file(tmp_path / "film.npy", tmp_path / "parts.tif", method) == whole > 0
    one, two = (tifffile.imread(tmp_path / name) for name in ("whole.tif", "parts.tif"))
    assert ((one > 0) == (two > 0)).mean() > 0.999
    with pytest.raises(ValueError, match=r"^views is 4, but (frames of shape|the classical method looks from one side)"):
        pipeline.segment_to_file(tmp_path / "film.npy", tmp_path / "views.tif", method, views=4)
    with pytest.raises(ValueError, match=r"^cannot write \S+masks\.png: films are written as \.tif or \.zarr$"):
        pipeline.segment_to_file(tmp_path / "film.npy", tmp_path / "masks.png", method)
    assert {path.name for path in tmp_path.iterdir()} == {"film.npy", "whole.tif", "parts.tif"}
