import logging
import re
import subprocess
import sys

import numpy as np
import pytest
import tifffile
import zarr

from lineage.films import OpenedFilm, open_film, save_labels
from lineage.films.atomic import new_file, new_folder

RNG = np.random.default_rng(0)
FLAT = RNG.integers(0, 60000, (4, 6, 5)).astype(np.uint16)
DEEP = RNG.integers(0, 60000, (2, 3, 6, 5)).astype(np.uint16)


def assert_film(film, array):
    assert film.shape == array.shape
    assert len(film) == len(array)
    assert film.dtype == array.dtype
    for t, frame in enumerate(array):
        np.testing.assert_array_equal(film[t], frame)
        assert film[t].dtype == array.dtype


def refused(path, message, error=ValueError, **options):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        open_film(path, **options)


@pytest.mark.parametrize("array", [FLAT, DEEP, FLAT[:3], FLAT.astype(np.float32), DEEP.astype(np.uint8), FLAT[:1]])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"truncate": True}, {"bigtiff": True, "byteorder": ">"}])
def test_tiff_stacks(tmp_path, array, options):
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack", **options)
    assert_film(open_film(tmp_path / "a.tif"), array)


def test_pages_without_any_metadata_are_time(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", FLAT, photometric="minisblack", metadata=None)
    assert_film(open_film(str(tmp_path / "a.tif")), FLAT)


def test_one_plane_is_a_film_of_one_frame(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", FLAT[0])
    assert_film(open_film(tmp_path / "a.tif"), FLAT[:1])


def test_every_order_of_axes(tmp_path):
    tifffile.imwrite(tmp_path / "a.ome.tif", DEEP.transpose(1, 0, 2, 3), metadata={"axes": "ZTYX"}, photometric="minisblack")
    assert_film(open_film(tmp_path / "a.ome.tif"), DEEP)
    colour = np.stack([DEEP, DEEP + 1], axis=1)
    for axes, order in (("TCZYX", (0, 1, 2, 3, 4)), ("CTZYX", (1, 0, 2, 3, 4)), ("TZCYX", (0, 2, 1, 3, 4))):
        tifffile.imwrite(tmp_path / "b.ome.tif", colour.transpose(order), metadata={"axes": axes}, photometric="minisblack")
        assert_film(open_film(tmp_path / "b.ome.tif", channel=1), DEEP + 1)
    refused(tmp_path / "b.ome.tif", f"{tmp_path}/b.ome.tif has 2 channels: choose one with channel=0 to channel=1 (--channel)")
    refused(tmp_path / "b.ome.tif", f"{tmp_path}/b.ome.tif has no channel 2: it has 2", channel=2)


def test_channels_that_may_be_frames(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", FLAT, imagej=True)  # tifffile calls an unnamed axis of an ImageJ stack channels
    hint = "choose one with channel=0 to channel=3 (--channel), or say axes='TYX' (--axes) if these are frames"
    refused(tmp_path / "a.tif", f"{tmp_path}/a.tif has 4 channels: {hint}")
    assert_film(open_film(tmp_path / "a.tif", axes="TYX"), FLAT)


def test_colour_samples_are_channels(tmp_path):
    colour = np.stack([FLAT, FLAT + 1, FLAT + 2], axis=-1)
    tifffile.imwrite(tmp_path / "a.tif", colour, photometric="rgb", metadata={"axes": "TYXS"})
    assert_film(open_film(tmp_path / "a.tif", channel=2), FLAT + 2)


def test_ome_sizes_and_interval(tmp_path):
    sizes = {"PhysicalSizeX": 250.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2.0, "TimeIncrement": 5.0}
    meta = {"axes": "TZYX", **sizes, "TimeIncrementUnit": "min"}
    tifffile.imwrite(tmp_path / "a.ome.tif", DEEP, metadata=meta, photometric="minisblack")
    film = open_film(tmp_path / "a.ome.tif")
    assert (film.scale, film.interval) == ((2.0, 0.5, 0.25), 300.0)


def test_imagej_sizes_and_interval(tmp_path):
    meta = {"axes": "TZYX", "spacing": 2.0, "unit": "um", "finterval": 4.0}
    tifffile.imwrite(tmp_path / "a.tif", DEEP, imagej=True, resolution=(4.0, 2.0), metadata=meta)
    film = open_film(tmp_path / "a.tif")
    assert (film.scale, film.interval) == ((2.0, 0.5, 0.25), 4.0)
    assert_film(film, DEEP)


def test_imagej_slices_are_time_when_there_is_no_time(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", FLAT, imagej=True, metadata={"axes": "ZYX", "unit": "inch"}, resolution=(72, 72))
    film = open_film(tmp_path / "a.tif")
    assert_film(film, FLAT)
    assert (film.scale, film.interval) == ((1.0, 1.0), None)
    assert open_film(tmp_path / "a.tif", axes="ZYX").shape == (1, 4, 6, 5)
    refused(tmp_path / "a.tif", f"{tmp_path}/a.tif has axes ZYX of shape (4, 6, 5), but axes='TZYX' names 4", axes="TZYX")


def test_nothing_is_logged_or_printed(tmp_path, capfd):
    tifffile.imwrite(tmp_path / "a.tif", FLAT, photometric="minisblack")
    whole = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path))}/a\.tif is cut off or corrupt after page 0: [^\n]+$"):
        open_film(tmp_path / "a.tif")
    assert capfd.readouterr() == ("", "")
    assert not logging.getLogger("tifffile").filters


@pytest.mark.parametrize("options", [{}, {"metadata": None}, {"imagej": True}, {"ome": True}, {"compression": "zlib"}])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.97])
def test_a_cut_file_is_never_a_shorter_film(tmp_path, options, part):
    noise = RNG.integers(0, 60000, (6, 40, 50)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", noise, photometric="minisblack", **options)
    whole = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path))}/a\.tif is [^\n]*(page \d|TIFF)[^\n]*$"):
        open_film(tmp_path / "a.tif")


def test_a_corrupt_page_is_named(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", FLAT, photometric="minisblack", compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        start = tif.pages[2].dataoffsets[0]
    content = bytearray((tmp_path / "a.tif").read_bytes())
    content[start : start + 20] = b"\x00" * 20
    (tmp_path / "a.tif").write_bytes(content)
    film = open_film(tmp_path / "a.tif")
    np.testing.assert_array_equal(film[1], FLAT[1])
    with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path))}/a\.tif: page 2 cannot be decoded, the file is corrupt: [^\n]+$"):
        film[2]


@pytest.mark.parametrize("content", [b"", b"II", b"this is no picture at all", b"II*\x00\xff\xff\xff\xff"])
def test_what_is_no_tiff(tmp_path, content):
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path))}/a\.tif [^\n]+$"):
        open_film(tmp_path / "a.tif")


def test_pages_of_different_shape(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        for shape in ((6, 5), (6, 5), (7, 5)):
            tif.write(np.zeros(shape, np.uint8), metadata=None, contiguous=False)
    refused(tmp_path / "a.tif", f"{tmp_path}/a.tif: page 2 has shape (7, 5) uint8, but page 0 has (6, 5) uint8")


@pytest.mark.parametrize("kind", ["lzw", "zstd"])
def test_a_compression_that_needs_imagecodecs(tmp_path, kind):
    pytest.importorskip("imagecodecs")
    tifffile.imwrite(tmp_path / "a.tif", FLAT, photometric="minisblack", compression=kind)
    code = (
        "import sys; sys.modules['imagecodecs'] = None\n"
        "from lineage.films import open_film\n"
        f"try: open_film({str(tmp_path / 'a.tif')!r})\n"
        "except ValueError as error: sys.stdout.write(str(error))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{tmp_path}/a.tif is compressed with {kind.upper()}, which needs imagecodecs: pip install cytolineage[lzw]"
    assert done.stderr == ""


def write_frames(folder, names, frames=None):
    folder.mkdir(parents=True)
    for k, name in enumerate(names):
        tifffile.imwrite(folder / name, FLAT[k] if frames is None else frames[k], photometric="minisblack")


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["t000.tif", "t001.tif", "t002.tif"], (0, 1, 2)),
        (["img_9.tif", "img_10.tif", "img_11.tif"], (9, 10, 11)),
        (["t1_c00.TIF", "t2_c00.TIF", "t3_c00.TIF"], (1, 2, 3)),
        (["2026-run3-t00.ome.tiff", "2026-run3-t01.ome.tiff"], (0, 1)),
        (["only.tif"], (0,)),
        (["t017.tif"], (17,)),
    ],
)
def test_folders_are_sorted_by_number(tmp_path, names, numbers):
    write_frames(tmp_path / "f", names)
    (tmp_path / "f" / "readme.txt").write_text("not a frame")
    (tmp_path / "f" / "._t000.tif").write_bytes(b"left by a Mac")
    film = open_film(tmp_path / "f")
    assert_film(film, FLAT[: len(names)])
    assert (film.numbers, film.name) == (numbers, "f")


def test_folder_of_stacks_is_3d(tmp_path):
    write_frames(tmp_path / "f", ["t0.tif", "t1.tif"], DEEP)
    assert_film(open_film(tmp_path / "f"), DEEP)


@pytest.mark.parametrize(
    ("names", "kind", "message"),
    [
        (["t0.tif", "t1.tif", "t3.tif"], FileNotFoundError, "{f}: frame 2 is missing in t0.tif to t3.tif"),
        (["t0.tif", "mean.tif"], ValueError, "{f}/t0.tif is not named like mean.tif: a film folder holds the frames of one film only"),
        (["t0.tif", "mean0.tif"], ValueError, "{f}/t0.tif is not named like mean0.tif: a film folder holds the frames of one film only"),
        (["t1.tif", "t01.tif"], ValueError, "{f}: t01.tif and t1.tif both are frame 1"),
        (["a0b0.tif", "a1b1.tif"], ValueError, "{f}: more than one number varies in the names a0b0.tif ... a1b1.tif"),
        (["man_seg_000_002.tif"], ValueError, "{f}/man_seg_000_002.tif is one slice of a 3D truth: only whole frames make a film"),
        ([], FileNotFoundError, "no TIFF in the folder {f}"),
    ],
)
def test_bad_folders(tmp_path, names, kind, message):
    write_frames(tmp_path / "f", names)
    refused(tmp_path / "f", message.format(f=tmp_path / "f"), kind)


def test_frames_of_different_shape_name_both_files(tmp_path):
    write_frames(tmp_path / "f", ["t0.tif", "t1.tif"], [FLAT[0], FLAT[1][1:]])
    refused(tmp_path / "f", f"{tmp_path}/f/t1.tif has shape (5, 5), but t0.tif has (6, 5)")
    write_frames(tmp_path / "g", ["t0.tif", "t1.tif"], [FLAT[0], FLAT[1].astype(np.uint8)])
    refused(tmp_path / "g", f"{tmp_path}/g/t1.tif holds uint8, but t0.tif holds uint16")


def test_a_frame_that_vanishes_later(tmp_path):
    write_frames(tmp_path / "f", ["t0.tif", "t1.tif"])
    film = open_film(tmp_path / "f")
    (tmp_path / "f" / "t1.tif").unlink()
    with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path))}/f/t1\.tif is no readable TIFF: [^\n]+$"):
        film[1]


def test_challenge_folders(tmp_path):
    write_frames(tmp_path / "01_GT" / "TRA", ["man_track000.tif", "man_track001.tif"])
    write_frames(tmp_path / "01_GT" / "SEG", ["man_seg001.tif", "man_seg003.tif"])
    write_frames(tmp_path / "01_ST" / "SEG", ["man_seg000.tif", "man_seg001.tif"])
    write_frames(tmp_path / "01_RES", ["mask000.tif", "mask001.tif"])
    for name in ("01_GT", "01_GT/TRA", "01_ST", "01_ST/SEG", "01_RES"):
        assert_film(open_film(tmp_path / name, kind="labels"), FLAT[:2])
    gold = tmp_path / "01_GT" / "SEG"
    message = f"{gold}: frame 0 is missing in man_seg001.tif to man_seg003.tif; a sparse truth opens with sparse=True"
    refused(gold, message, FileNotFoundError, kind="labels")
    film = open_film(gold, kind="labels", sparse=True)
    assert_film(film, FLAT[:2])
    assert film.numbers == (1, 3)
    refused(tmp_path, f"no TIFF in the folder {tmp_path}; it holds the folders 01_GT, 01_RES, 01_ST: name one of them", FileNotFoundError)


def test_a_lost_first_mask_is_missed(tmp_path):
    write_frames(tmp_path / "01_RES", ["mask001.tif", "mask002.tif"])
    message = f"{tmp_path}/01_RES: frame 0 is missing in mask001.tif to mask002.tif; a sparse truth opens with sparse=True"
    refused(tmp_path / "01_RES", message, FileNotFoundError)


def test_numpy_files(tmp_path):
    for array in (FLAT, DEEP, FLAT > 9):
        np.save(tmp_path / "a.npy", array)
        assert_film(open_film(tmp_path / "a.npy"), array)
    np.save(tmp_path / "a.npy", FLAT.transpose(1, 2, 0))
    assert_film(open_film(tmp_path / "a.npy", axes="YXT"), FLAT)
    np.save(tmp_path / "b.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path))}/b\.npy is no readable NumPy file: [^\n]+$"):
        open_film(tmp_path / "b.npy")
    np.save(tmp_path / "c.npy", FLAT * 1j)
    refused(tmp_path / "c.npy", f"{tmp_path}/c.npy holds complex128, but the pixels of a film are real numbers")
    np.save(tmp_path / "d.npy", np.zeros((1, 2, 3, 4, 5)))
    message = "has axes ????? of shape (1, 2, 3, 4, 5), but a film is (T, Y, X) or (T, Z, Y, X): name them (axes=, --axes)"
    refused(tmp_path / "d.npy", f"{tmp_path}/d.npy {message}")
    np.save(tmp_path / "e.npy", np.zeros((0, 3, 4)))
    refused(tmp_path / "e.npy", f"{tmp_path}/e.npy is empty: its shape is (0, 3, 4)")


@pytest.mark.parametrize("version", [2, 3])
def test_zarr_arrays(tmp_path, version):
    array = zarr.create_array(tmp_path / "a.zarr", shape=DEEP.shape, dtype=DEEP.dtype, chunks=(1, 3, 4, 4), zarr_format=version)
    array[:] = DEEP
    assert_film(open_film(tmp_path / "a.zarr", kind="labels"), DEEP)


def ome_zarr(path, version, array, axes, *, scale=None, top=None):
    group = zarr.create_group(path, zarr_format=version)
    level = group.create_array("s0", shape=array.shape, dtype=array.dtype, chunks=tuple(max(1, n // 2) for n in array.shape))
    level[:] = array
    small = group.create_array("s1", shape=array[..., ::2].shape, dtype=array.dtype)
    small[:] = array[..., ::2]
    dataset = {"path": "s0"}
    if scale:
        dataset["coordinateTransformations"] = [{"type": "scale", "scale": scale}]
    image = {"version": "0.4", "axes": axes, "datasets": [dataset, {"path": "s1"}]}
    if top:
        image["coordinateTransformations"] = [{"type": "scale", "scale": top}]
    content = {"multiscales": [image]}
    group.attrs.update({"ome": {"version": "0.5", **content}} if version == 3 else content)


AXES = [
    {"name": "t", "type": "time", "unit": "minute"},
    {"name": "c", "type": "channel"},
    {"name": "z", "type": "space", "unit": "nanometer"},
    {"name": "y", "type": "space", "unit": "micrometer"},
    {"name": "x", "type": "space", "unit": "micrometer"},
]


@pytest.mark.parametrize("version", [2, 3])
def test_ome_zarr(tmp_path, version):
    path = tmp_path / "a.ome.zarr"
    ome_zarr(path, version, DEEP[:, None], AXES, scale=[1, 1, 500, 0.25, 0.125], top=[2, 1, 4, 2, 2])
    film = open_film(path)
    assert_film(film, DEEP)
    assert (film.scale, film.interval) == ((2.0, 0.5, 0.25), 120.0)


def test_ome_zarr_channels_and_silence(tmp_path):
    ome_zarr(tmp_path / "a.zarr", 2, np.stack([DEEP, DEEP + 1], axis=1), ["t", "c", "z", "y", "x"])
    refused(tmp_path / "a.zarr", f"{tmp_path}/a.zarr has 2 channels: choose one with channel=0 to channel=1 (--channel)")
    film = open_film(tmp_path / "a.zarr", channel=1)
    assert_film(film, DEEP + 1)
    assert (film.scale, film.interval) == ((1.0, 1.0, 1.0), None)


def test_bad_zarr(tmp_path):
    group = zarr.create_group(tmp_path / "a.zarr")
    refused(
        tmp_path / "a.zarr", f"{tmp_path}/a.zarr is a zarr group without an image (no multiscales): open one of its arrays, but it has none"
    )
    group.create_array("cells", shape=(2, 3, 3), dtype="u1")
    refused(tmp_path / "a.zarr", f"{tmp_path}/a.zarr is a zarr group without an image (no multiscales): open one of cells")
    group.attrs.update({"ome": {"multiscales": [{"datasets": [{"path": "s7"}]}]}})
    refused(tmp_path / "a.zarr", f"{tmp_path}/a.zarr: the OME-Zarr metadata cannot be understood: KeyError 's7'")
    (tmp_path / "b.zarr").mkdir()
    with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path))}/b\.zarr is no readable zarr: [^\n]+$"):
        open_film(tmp_path / "b.zarr")
    array = zarr.create_array(tmp_path / "c.zarr", shape=(2, 4, 4), dtype="u2", chunks=(1, 4, 4))
    array[:] = 7
    (tmp_path / "c.zarr" / "c" / "1" / "0" / "0").write_bytes(b"rubbish")
    film = open_film(tmp_path / "c.zarr")
    with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path))}/c\.zarr: frame 1 cannot be read: [^\n]+$"):
        film[1]


def test_opened_arrays_pass_through():
    film = open_film(FLAT, kind="labels")
    assert_film(film, FLAT)
    assert film.name == "array"
    assert open_film(film) is film
    assert_film(open_film(list(DEEP)), DEEP)
    assert_film(open_film(FLAT[0]), FLAT[:1])
    with pytest.raises(ValueError, match=r"^array: frame 1 has shape \(5, 5\), but frame 0 has \(6, 5\)$"):
        open_film([FLAT[0], FLAT[1][1:]])[1]
    refused([], "a film is a path, an array or a list of frames, not list without a frame")
    refused(7, "a film is a path, an array or a list of frames, not int")
    refused([np.zeros(3)], "a frame is (Y, X) or (Z, Y, X), but the first one has shape (3,)")


def test_frames_are_fresh_and_bounded():
    film = open_film(FLAT)
    film[0][:] = 0
    np.testing.assert_array_equal(film[0], FLAT[0])
    np.testing.assert_array_equal(film[-1], FLAT[3])
    assert len(list(film)) == 4
    for t in (4, -5):
        with pytest.raises(IndexError, match=f"^array has no frame {t}: it has 4 frames$"):
            film[t]


def test_paths_that_are_no_film(tmp_path):
    refused(tmp_path / "no.tif", f"no such film: {tmp_path}/no.tif", FileNotFoundError)
    (tmp_path / "a.avi").write_bytes(b"RIFF")
    supported = "supported are .tif, .tiff, .npy, .zarr, a folder of TIFFs, or .nd2, .czi, .lif through bioio"
    refused(tmp_path / "a.avi", f"{tmp_path}/a.avi: films with the ending .avi are not supported; {supported}")
    (tmp_path / "a").write_bytes(b"RIFF")
    refused(tmp_path / "a", f"{tmp_path}/a: films with the ending (none) are not supported; {supported}")
    tifffile.imwrite(tmp_path / "f.tif", FLAT.astype(np.float32), photometric="minisblack")
    refused(
        tmp_path / "f.tif", f"{tmp_path}/f.tif holds float32, but labels are whole numbers: convert with astype('uint16')", kind="labels"
    )


@pytest.mark.parametrize("film", [FLAT, DEEP, DEEP.astype(np.int64), FLAT[:1], FLAT * 0])
def test_labels_are_saved_small(tmp_path, film):
    save_labels(tmp_path / "a.tif", film, scale=(2.0, 0.5, 0.25)[-film.ndim + 1 :], interval=60)
    again = open_film(tmp_path / "a.tif", kind="labels")
    assert_film(again, film.astype(np.uint16))
    assert (again.scale, again.interval) == ((2.0, 0.5, 0.25)[-film.ndim + 1 :], 60.0)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.pages[0].compression.name == "ADOBE_DEFLATE"
    assert [f.name for f in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.parametrize("film", [FLAT, DEEP, DEEP.astype(np.int64), FLAT[:1], FLAT * 0])
def test_labels_are_saved_as_zarr(tmp_path, film):
    for _ in range(2):  # an older one is replaced
        save_labels(tmp_path / "a.zarr", film, scale=(2.0, 0.5, 0.25)[-film.ndim + 1 :], interval=60)
    again = open_film(tmp_path / "a.zarr", kind="labels")
    assert_film(again, film.astype(np.uint32))
    assert (again.scale, again.interval) == ((2.0, 0.5, 0.25)[-film.ndim + 1 :], 60.0)
    assert [f.name for f in tmp_path.iterdir()] == ["a.zarr"]


def test_a_folder_that_is_no_zarr_is_left_alone(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"a\.zarr: something that is no zarr has this name$"):
        save_labels(tmp_path / "a.zarr", FLAT)
    with pytest.raises(ValueError, match=r"label frame 1 holds the label -"):
        save_labels(tmp_path / "b.zarr", [FLAT[0], -FLAT[1].astype(int)])
    assert [f.name for f in tmp_path.rglob("*")] == ["a.zarr", "thesis.txt"]


def test_large_labels_need_32_bits(tmp_path):
    film = FLAT.astype(np.int64)
    film[2, 1, 1] = 65536
    save_labels(tmp_path / "a.tif", film)
    assert_film(open_film(tmp_path / "a.tif"), film.astype(np.uint32))
    film[2, 1, 1] = 2**32
    with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path))}/b\.tif: labels above 4294967295 do not fit a TIFF: renumber them$"):
        save_labels(tmp_path / "b.tif", film)
    assert not (tmp_path / "b.tif").exists()


def test_labels_that_are_none_leave_nothing(tmp_path):
    cases = [
        (np.zeros((0, 3, 3), int), f"nothing to write to {tmp_path}/a.tif: the film has no frame"),
        (
            [FLAT[0], -FLAT[1].astype(int)],
            f"label frame 1 holds the label {-int(FLAT[1].max())}, but labels are not negative: set what is no cell to 0",
        ),
        ([FLAT[0], FLAT[1][1:]], "label frame 1 has shape (5, 5), but frame 0 has (6, 5)"),
    ]
    for film, message in cases:
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            save_labels(tmp_path / "a.tif", film)
    assert list(tmp_path.iterdir()) == []


def test_one_frame_at_a_time(tmp_path):
    asked = []

    class Film:
        def __len__(self):
            return 3

        def __getitem__(self, t):
            asked.append(t)
            return FLAT[t]

    save_labels(tmp_path / "a.tif", Film())
    assert asked == [0, 0, 1, 2]


def test_files_appear_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match=r"^halfway$"), new_file(path) as temporary:
        temporary.write_text("new")
        raise RuntimeError("halfway")
    assert (path.read_text(), len(list(tmp_path.iterdir()))) == ("old", 1)
    with new_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert (path.read_text(), len(list(tmp_path.iterdir()))) == ("new", 1)


def test_places_that_cannot_be_written(tmp_path):
    gone = tmp_path / "no" / "a.txt"
    message = re.escape(f"cannot write {gone}: the folder {tmp_path}/no does not exist")
    with pytest.raises(FileNotFoundError, match=f"^{message}$"), new_file(gone):
        raise AssertionError("never reached")
    with pytest.raises(IsADirectoryError, match=f"^{re.escape(f'cannot write {tmp_path}: it is a folder')}$"), new_file(tmp_path):
        raise AssertionError("never reached")
    (tmp_path / "f").write_text("")
    message = re.escape(f"cannot write the folder {tmp_path}/f: a file has this name")
    with pytest.raises(FileExistsError, match=f"^{message}$"), new_folder(tmp_path / "f", lambda _: True):
        raise AssertionError("never reached")
    with pytest.raises(PermissionError, match=f"^{re.escape(f'cannot write {tmp_path}/g: Permission denied')}$"), new_file(tmp_path / "g"):
        raise PermissionError(13, "Permission denied")


def test_real_films(data):
    film = open_film(data / "3d/Fluo-N3DH-CHO_02_crop_img.tif")
    assert (film.shape, film[9].shape) == ((10, 5, 443, 512), (5, 443, 512))
    assert open_film(data / "ctc/Fluo-N2DL-HeLa/01").shape == (92, 700, 1100)
    assert open_film(data / "ctc/Fluo-N2DL-HeLa/01_GT/SEG", kind="labels", sparse=True).numbers[:3] == (12, 13, 14)
    assert isinstance(open_film(data / "formats/geff/graph_labels_seg.zarr/labels", kind="labels"), OpenedFilm)
