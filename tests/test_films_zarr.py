"""Films in zarr: written by many, and no lost or damaged chunk is taken for an empty one."""

from __future__ import annotations

import json
import re
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np
import pytest
import tifffile
import zarr

from lineage.films import open_film, zarr_writing
from lineage.films.zarr_writing import chunk_shape, create_image_zarr, create_labels_zarr, sweep, write_frame

RNG = np.random.default_rng(0)
FLAT = RNG.integers(100, 60000, (4, 6, 5)).astype(np.uint16)
DEEP = RNG.integers(100, 60000, (3, 4, 6, 5)).astype(np.uint16)
MASKS = FLAT.astype(np.uint32) * (FLAT > 30000)


def written(path, film, create=create_labels_zarr, **known):
    create(path, film.shape, **known)
    for t, frame in enumerate(film):
        write_frame(path, t, frame)
    return path


def assert_pixels(film, array):
    assert film.shape == array.shape
    for t, frame in enumerate(array):
        np.testing.assert_array_equal(film[t], frame)


def refused(message, error, call, *arguments, **options):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        call(*arguments, **options)


def files(folder):
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


# writing


@pytest.mark.parametrize("film", [FLAT, DEEP, FLAT[:1], FLAT * 0])
def test_labels_come_back_with_scale_and_interval(tmp_path, film):
    scale = (2.0, 0.5, 0.25)[-film.ndim + 1 :]
    written(tmp_path / "a.zarr", film, scale=scale, interval=60.0)
    again = open_film(tmp_path / "a.zarr", kind="labels")
    assert_pixels(again, film)
    assert (again.dtype, again.scale, again.interval) == (np.uint32, scale, 60.0)


def test_images_come_back_and_what_is_not_known_stays_so(tmp_path):
    film = open_film(written(tmp_path / "a.zarr", FLAT, create_image_zarr))
    assert_pixels(film, FLAT)
    assert (film.dtype, film.scale, film.interval) == (np.uint16, (1.0, 1.0), None)
    assert_pixels(open_film(written(tmp_path / "b.zarr", FLAT / 7, partial(create_image_zarr, dtype="float64"))), FLAT / 7)


def test_what_is_written_is_ome_zarr(tmp_path):
    written(tmp_path / "a.zarr", DEEP, scale=(2, 1, 1), interval=5)
    group = zarr.open_group(tmp_path / "a.zarr", mode="r", zarr_format=3)
    said = group.attrs["ome"]
    assert said["version"] == "0.5" and said["image-label"] == {}
    (image,) = said["multiscales"]
    assert [(axis["name"], axis["type"], axis["unit"]) for axis in image["axes"]] == [
        ("t", "time", "second"),
        *((axis, "space", "micrometer") for axis in "zyx"),
    ]
    assert image["datasets"] == [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [5.0, 2.0, 1.0, 1.0]}]}]
    assert (group["0"].chunks, group["0"].metadata.dimension_names) == ((1, 4, 6, 5), ("t", "z", "y", "x"))
    codec = json.loads((tmp_path / "a.zarr" / "0" / "zarr.json").read_text())["codecs"][-1]
    assert (codec["name"], codec["configuration"]["checksum"]) == ("zstd", True)


def test_the_order_of_writing_does_not_show(tmp_path):
    written(tmp_path / "a.zarr", MASKS)
    create_labels_zarr(tmp_path / "b.zarr", MASKS.shape)
    for t in (2, 0, 3, 0, 1):
        write_frame(tmp_path / "b.zarr", t, MASKS[t])
    assert files(tmp_path / "a.zarr") == files(tmp_path / "b.zarr")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.zarr", "b.zarr"]


def test_processes_write_side_by_side(tmp_path):
    written(tmp_path / "a.zarr", MASKS)
    create_labels_zarr(tmp_path / "b.zarr", MASKS.shape)
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        list(pool.map(write_frame, [tmp_path / "b.zarr"] * 4, range(4), MASKS))
    assert files(tmp_path / "a.zarr") == files(tmp_path / "b.zarr")


@pytest.mark.parametrize(
    ("shape", "chunks"),
    [
        ((9, 2048, 2048), (1, 2048, 2048)),
        ((9, 4096, 4096), (1, 4096, 4096)),
        ((9, 4096, 4097), (1, 4096, 2049)),
        ((9, 20000, 6000), (1, 5000, 3000)),
        ((9, 100, 512, 512), (1, 50, 512, 512)),
        ((9, 300, 2048, 2048), (1, 4, 2048, 2048)),
        ((9, 3, 10000, 6000), (1, 1, 5000, 3000)),
        ((1, 1, 1), (1, 1, 1)),
    ],
)
def test_a_frame_is_a_chunk_unless_it_is_too_large(shape, chunks):
    assert chunk_shape(shape) == chunks
    assert np.prod(chunks) <= zarr_writing.MOST_PIXELS


def test_frames_in_several_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(zarr_writing, "MOST_PIXELS", 12)
    assert_pixels(open_film(written(tmp_path / "a.zarr", DEEP), kind="labels"), DEEP)
    assert len(open_film(tmp_path / "a.zarr").sources(0)) == 1 + 4 * 4  # (1, 1, 3, 3): two by two in every plane


def test_labels_inside_an_image(tmp_path):
    path = written(tmp_path / "a.zarr", FLAT, create_image_zarr, scale=(0.5, 0.5))
    for name in ("truth", "cells"):
        written(path / "labels" / name, MASKS, scale=(0.5, 0.5))
    assert_pixels(open_film(path), FLAT)
    assert_pixels(open_film(path / "labels" / "cells", kind="labels"), MASKS)
    group = zarr.open_group(path, mode="r")
    assert group["labels"].attrs["ome"] == {"version": "0.5", "labels": ["cells", "truth"]}
    assert group["labels/truth"].attrs["ome"]["image-label"] == {"source": {"image": "../../"}}


def test_what_cannot_be_begun_or_written(tmp_path):
    path = tmp_path / "a.zarr"
    create_labels_zarr(path, FLAT.shape, dtype="uint16")
    there = f"cannot write {path}: it is there already; remove it or choose another name"
    refused(there, FileExistsError, create_labels_zarr, path, FLAT.shape)
    shape = f"cannot write {tmp_path}/b.zarr: a film is (T, Y, X) or (T, Z, Y, X) with one pixel or more, not "
    for bad in ((3, 4), (2, 0, 3), (1, 1, 1, 1, 1)):
        refused(f"{shape}{bad}", ValueError, create_image_zarr, tmp_path / "b.zarr", bad)
    parent = f"cannot write {tmp_path}/no/b.zarr: the folder {tmp_path}/no does not exist"
    refused(parent, FileNotFoundError, create_image_zarr, tmp_path / "no" / "b.zarr", FLAT.shape)
    refused(f"{path} has no frame 4: it has 4 frames", IndexError, write_frame, path, 4, FLAT[0])
    refused(f"{path} has no frame -1: it has 4 frames", IndexError, write_frame, path, -1, FLAT[0])
    refused(f"frame 1 of {path} has shape (5, 5), but the film has (6, 5)", ValueError, write_frame, path, 1, FLAT[1][1:])
    limits = "but the film holds uint16: 0 to 65535"
    refused(f"frame 1 of {path} holds 70000, {limits}", ValueError, write_frame, path, 1, np.full((6, 5), 70000))
    refused(f"frame 1 of {path} holds -2, {limits}", ValueError, write_frame, path, 1, np.full((6, 5), -2))
    refused(f"frame 1 of {path} is float64, but the film holds uint16: convert it", ValueError, write_frame, path, 1, FLAT[1] / 1)
    assert not (path / "0" / "c").exists()
    zarr.create_array(tmp_path / "c.zarr" / "0", shape=FLAT.shape, dtype="u2")
    for other in ("c.zarr", "d.zarr"):
        message = f"{tmp_path}/{other} was not begun as a film: call create_labels_zarr or create_image_zarr first"
        refused(message, ValueError, write_frame, tmp_path / other, 0, FLAT[0])
    (path / "0" / "c").write_text("in the way")
    with pytest.raises(OSError, match=rf"^cannot write frame 0 of {re.escape(str(path))}: [^\n]+$"):
        write_frame(path, 0, FLAT[0])


def test_leftovers_of_the_killed_are_swept_away(tmp_path):
    path = written(tmp_path / "a.zarr", MASKS)
    before = files(path)
    (path / "0" / "c" / "1" / "0" / "0.5f2a.partial").write_bytes(b"half")
    (path / ".0.77.tmp").write_bytes(b"half")
    sweep(path)
    assert files(path) == before


# what was lost


def test_a_lost_chunk_of_ours_is_told_from_an_empty_one(tmp_path):
    path = written(tmp_path / "a.zarr", np.concatenate([MASKS[:2] * 0, MASKS[2:]]))
    (path / "0" / "c" / "1" / "0" / "0").unlink()
    message = f"{path}: frame 1 is incomplete, its chunk 0/c/1/0/0 was lost: copy or make it again"
    for options in ({"kind": "labels"}, {"kind": "image"}, {"holes": True}):
        film = open_film(path, **options)
        assert not film[0].any() and film[2].any()
        refused(message, ValueError, film.__getitem__, 1)


def test_a_film_of_ours_can_be_opened_while_it_is_written(tmp_path):
    create_labels_zarr(tmp_path / "a.zarr", MASKS.shape)
    film = open_film(tmp_path / "a.zarr", kind="labels")
    write_frame(tmp_path / "a.zarr", 2, MASKS[2])
    np.testing.assert_array_equal(film[2], MASKS[2])
    with pytest.raises(ValueError, match="frame 0 is incomplete"):
        film[0]


def test_no_damage_changes_a_pixel_unseen(tmp_path):
    """Whichever bit is flipped, the frame is refused and the chunk named, or it is what it was."""
    path = written(tmp_path / "a.zarr", MASKS)
    chunk = path / "0" / "c" / "3" / "0" / "0"
    whole = chunk.read_bytes()
    film = open_film(path, kind="labels")
    seen = 0
    for k in range(len(whole)):
        chunk.write_bytes(whole[:k] + bytes([whole[k] ^ 1 << k % 8]) + whole[k + 1 :])
        try:
            np.testing.assert_array_equal(film[3], MASKS[3])
        except ValueError as error:
            assert re.fullmatch(rf"{re.escape(str(path))}: frame 3 cannot be read: its chunk 0/c/3/0/0 is damaged: [^\n]+", str(error))
            seen += 1
    assert seen >= len(whole) - 2
    for part in (b"", whole[:-1], whole[: len(whole) // 2]):
        chunk.write_bytes(part)
        with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: frame 3 cannot be read: its chunk 0/c/3/0/0 is damaged: [^\n]+$"):
            film[3]
    np.testing.assert_array_equal(film[2], MASKS[2])


@pytest.mark.parametrize("codec", ["gzip", "zstd", "blosc", None])
def test_damaged_chunks_of_others_are_named_too(tmp_path, codec):
    from zarr import codecs

    chosen = {"gzip": codecs.GzipCodec(), "zstd": codecs.ZstdCodec(), "blosc": codecs.BloscCodec(), None: None}[codec]
    array = zarr.create_array(tmp_path / "a.zarr", shape=DEEP.shape, dtype="u2", chunks=(2, 2, 6, 5), compressors=chosen)
    array[:] = DEEP
    film = open_film(tmp_path / "a.zarr")
    (tmp_path / "a.zarr" / "c" / "0" / "1" / "0" / "0").write_bytes(b"rubbish")
    with pytest.raises(
        ValueError, match=rf"^{re.escape(str(tmp_path))}/a.zarr: frame 1 cannot be read: its chunk c/0/1/0/0 is damaged: .+$"
    ):
        film[1]
    np.testing.assert_array_equal(film[2], DEEP[2])


def of_others(path, film, *, version=3, chunks=(1, 3, 5), fill=0, **options):
    array = zarr.create_array(path, shape=film.shape, dtype=film.dtype, chunks=chunks, zarr_format=version, fill_value=fill, **options)
    array[:] = film
    return path


SEPARATED = {2: [{"name": "v2", "separator": "."}, {"name": "v2", "separator": "/"}], 3: [{"name": "default", "separator": "/"}]}


@pytest.mark.parametrize(("version", "keys"), [(version, keys) for version, choice in SEPARATED.items() for keys in choice])
def test_a_hole_in_what_a_camera_saw_is_refused(tmp_path, version, keys):
    path = of_others(tmp_path / "a.zarr", FLAT, version=version, chunk_key_encoding=keys)
    name = {("v2", "."): "2.1.0", ("v2", "/"): "2/1/0", ("default", "/"): "c/2/1/0"}[keys["name"], keys["separator"]]
    assert_pixels(open_film(path), FLAT)
    (path / name).unlink()
    message = (
        f"{path}: frame 2 lacks its chunk {name}, and no pixel that is stored is blank: "
        "copy the film again, or open it with holes=True (--holes) if it is blank there"
    )
    film = open_film(path)
    refused(message, ValueError, film.__getitem__, 2)
    np.testing.assert_array_equal(film[1], FLAT[1])
    blank = FLAT[2].copy()
    blank[3:] = 0
    np.testing.assert_array_equal(open_film(path, holes=True)[2], blank)


def padded(fill, dtype="u2"):
    """A film that is blank outside of its middle, which is not where chunks end."""
    film = np.full((3, 9, 10), fill, dtype)
    film[:, 2:4, 1:9] = FLAT[:3, :2, :1]
    return film


@pytest.mark.parametrize(("fill", "dtype"), [(0, "u2"), (65535, "u2"), (0.0, "f4"), (np.nan, "f4")])
def test_an_image_with_a_blank_border_is_none_that_lost_something(tmp_path, fill, dtype):
    film = padded(fill, dtype)
    path = of_others(tmp_path / "a.zarr", film, fill=fill)
    assert not (path / "c" / "0" / "2").exists()
    assert_pixels(open_film(path), film)


def test_a_frame_of_which_nothing_is_left_is_refused(tmp_path):
    film = padded(0)
    film[1] = 0
    path = of_others(tmp_path / "a.zarr", film)
    message = (
        f"{path}: frame 1 lacks its chunk c/1/0/0, and no pixel that is stored is blank: "
        "copy the film again, or open it with holes=True (--holes) if it is blank there"
    )
    refused(message, ValueError, open_film(path).__getitem__, 1)
    assert_pixels(open_film(path, holes=True), film)
    assert_pixels(open_film(path, kind="labels"), film)  # masks of a frame without cells are honest
    nothing = of_others(tmp_path / "b.zarr", film * 0)
    refused(message.replace("a.zarr: frame 1", "b.zarr: frame 0").replace("c/1", "c/0"), ValueError, open_film, nothing)


def test_shards_are_the_chunks_that_can_be_lost(tmp_path):
    path = of_others(tmp_path / "a.zarr", FLAT, chunks=(1, 3, 5), shards=(1, 6, 5))
    film = open_film(path)
    assert_pixels(film, FLAT)
    assert [file.name for file in film.sources(1)] == ["zarr.json", "0"]
    (path / "c" / "1" / "0" / "0").unlink()
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: frame 1 lacks its chunk c/1/0/0, .+$"):
        film[1]


def test_channels_are_looked_at_one_by_one(tmp_path):
    both = np.stack([FLAT, FLAT + 1], axis=1)
    path = of_others(tmp_path / "a.zarr", both, chunks=(2, 1, 6, 5), dimension_names=("t", "c", "y", "x"))
    (path / "c" / "1" / "0" / "0" / "0").unlink()
    assert_pixels(open_film(path, channel=1), FLAT + 1)
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: frame 3 lacks its chunk c/1/0/0/0, .+$"):
        open_film(path, channel=0)[3]


# where a frame comes from


def test_frames_know_their_files(tmp_path):
    np.save(tmp_path / "a.npy", FLAT)
    tifffile.imwrite(tmp_path / "a.tif", FLAT, photometric="minisblack")
    tifffile.imwrite(tmp_path / "b.tif", FLAT, photometric="minisblack", compression="zlib")
    (tmp_path / "f").mkdir()
    for t, frame in enumerate(FLAT):
        tifffile.imwrite(tmp_path / "f" / f"t{t}.tif", frame)
    for name in ("a.npy", "a.tif", "b.tif"):
        assert open_film(tmp_path / name).sources(3) == (tmp_path / name,)
    assert open_film(tmp_path / "f").sources(3) == (tmp_path / "f" / "t3.tif",)
    assert open_film(FLAT).sources(3) is None
    assert open_film(list(FLAT)).sources(3) is None


def test_frames_of_a_zarr_know_their_chunks(tmp_path):
    path = written(tmp_path / "a.zarr", FLAT)
    film = open_film(path, kind="labels")
    assert film.sources(3) == (path / "0" / "zarr.json", path / "0" / "c" / "3" / "0" / "0")
    (path / "0" / "c" / "3" / "0" / "0").unlink()
    assert film.sources(3) == (path / "0" / "zarr.json",)
    old = of_others(tmp_path / "b.zarr", FLAT, version=2, chunks=(2, 6, 5))
    assert open_film(old).sources(3) == (old / ".zarray", old / "1.0.0")


def test_an_ome_tiff_in_several_files_names_them(tmp_path):
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" Type="uint16" SizeX="5" '
        'SizeY="6" SizeZ="1" SizeC="1" SizeT="2" DimensionOrder="XYZCT"><Channel ID="Channel:0"/>{}</Pixels></Image></OME>'
    )
    data = '<TiffData IFD="0" FirstT="{t}"><UUID FileName="{name}">urn:uuid:{uuid}</UUID></TiffData>'
    ids = ["11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"]
    blocks = "".join(data.format(t=t, name=f"p{t}.ome.tif", uuid=uuid) for t, uuid in enumerate(ids))
    for t, uuid in enumerate(ids):
        text = xml.format(blocks).replace("<OME ", f'<OME UUID="urn:uuid:{uuid}" ')
        tifffile.imwrite(tmp_path / f"p{t}.ome.tif", FLAT[t], photometric="minisblack", description=text, metadata=None, ome=False)
    film = open_film(tmp_path / "p0.ome.tif")
    assert_pixels(film, FLAT[:2])
    assert film.sources(0) == (tmp_path / "p0.ome.tif",)
    assert film.sources(1) == (tmp_path / "p0.ome.tif", tmp_path / "p1.ome.tif")
