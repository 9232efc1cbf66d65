"""The size of a pixel and the time between frames travel from the film to everything that can hold them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tifffile
import zarr

from lineage import Detections, link
from lineage.films import known_sizes, open_film, save_labels
from lineage.formats import FORMATS, read, write

MASKS = np.zeros((3, 20, 20), np.uint16)
MASKS[:, 4:9, 4:9] = 1


@pytest.fixture
def film(tmp_path):
    save_labels(tmp_path / "masks.tif", MASKS, scale=(0.5, 0.25), interval=60)
    return open_film(tmp_path / "masks.tif", kind="labels")


def test_detections_take_an_interval():
    assert Detections.from_labels(MASKS, interval=5).interval == 5
    assert Detections.from_points({"t": [0], "y": [1], "x": [1]}, interval=5.5).interval == 5.5
    assert Detections.from_labels(MASKS).interval is None
    for wrong in (0, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match=f"^interval must be a positive number of seconds, not {wrong}$"):
            Detections.from_labels(MASKS, interval=wrong)


def test_link_asks_the_film(film):
    cells = link(film).detections
    assert (cells.scale, cells.interval) == ((0.5, 0.25), 60)
    cells = link(film, scale=(1, 2), interval=7).detections
    assert (cells.scale, cells.interval) == ((1, 2), 7)
    cells = link(MASKS, film).detections  # masks are silent, their image speaks
    assert (cells.scale, cells.interval) == ((0.5, 0.25), 60)
    cells = link(MASKS).detections
    assert (cells.scale, cells.interval) == ((1, 1), None)


def test_the_first_film_that_says_something_is_believed(film):
    silent = open_film(MASKS)
    other = replace(film, scale=(3.0, 3.0), interval=None)
    assert known_sizes(silent, MASKS, None, film) == ((0.5, 0.25), 60)
    assert known_sizes(other, film) == ((3.0, 3.0), 60)
    assert known_sizes(silent) == (None, None)


HOLDING = [known for known in FORMATS if known.write and {"scale", "interval"} <= known.holds]


@pytest.mark.parametrize("known", HOLDING, ids=[known.key for known in HOLDING])
def test_every_format_that_can_holds_them(tmp_path, film, known):
    path = tmp_path / f"a{known.endings[0] if known.endings else ''}"
    write(link(film), path, format=known.key, labels=film)
    cells = read(path).detections
    assert (cells.scale, cells.interval) == ((0.5, 0.25), 60)


def test_most_formats_can():
    assert {known.key for known in HOLDING} >= {"ctc", "gexf", "geff", "graphml", "trackmate", "parquet", "json", "npz"}


@pytest.mark.parametrize("version", [2, 3])
def test_ome_zarr(tmp_path, version):
    group = zarr.create_group(store=str(tmp_path / "a.zarr"), zarr_format=version)
    group.create_array("0", shape=MASKS.shape, chunks=(1, 20, 20), dtype="uint16")[:] = MASKS
    axes = [
        {"name": "t", "type": "time", "unit": "minute"},
        {"name": "y", "type": "space", "unit": "nanometer"},
        {"name": "x", "type": "space"},
    ]
    multiscale = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [2, 500, 0.25]}]}]}
    group.attrs.update({"ome": {"version": "0.5", "multiscales": [multiscale]}} if version == 3 else {"multiscales": [multiscale]})
    cells = link(open_film(tmp_path / "a.zarr", kind="labels")).detections
    assert (cells.scale, cells.interval) == ((0.5, 0.25), 120)


def test_ome_tiff_units_and_times_of_planes(tmp_path):
    path = tmp_path / "a.ome.tif"
    meta = {"axes": "TYX", "PhysicalSizeX": 250, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "µm"}
    times = {"DeltaT": [0.0, 0.5, 1.0], "DeltaTUnit": ["min"] * 3, "TheT": [0, 1, 2], "TheZ": [0] * 3, "TheC": [0] * 3}
    tifffile.imwrite(path, MASKS, photometric="minisblack", metadata={**meta, "Plane": times})
    film = open_film(path)
    assert (film.scale, film.interval) == ((0.5, 0.25), 30.0)
    tifffile.imwrite(path, MASKS, photometric="minisblack", metadata={**meta, "TimeIncrement": 2, "TimeIncrementUnit": "min"})
    assert open_film(path).interval == 120
