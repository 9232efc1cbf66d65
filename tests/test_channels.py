"""Films of several channels, and files that say their axes wrongly: every command that reads a film takes the channel that is named."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from lineage import Settings, pipeline
from lineage.films import open_film
from lineage.pieces import Resources
from lineage.report import open_result
from lineage.simulation import simulate


@pytest.fixture(scope="module")
def cells():
    """A film of one channel."""
    return simulate(frames=4, cells=5, size=(64, 64), seed=3).image


@pytest.fixture(scope="module")
def colours(cells, tmp_path_factory):
    """The same cells as the second of two channels, in an ImageJ file; nothing but grey is in the first."""
    path = tmp_path_factory.mktemp("colours") / "two.tif"
    tifffile.imwrite(path, np.stack([np.full_like(cells, 7), cells], axis=1), imagej=True, metadata={"axes": "TCYX"})
    return path


def table(folder):
    """The lineages of a result."""
    return (folder / "lineages.csv").read_text()


@pytest.mark.parametrize("pieces", [(), ("--memory", "1GB")])
def test_a_channel_is_tracked_as_if_it_were_the_film(run, tmp_path, cells, colours, pieces):
    tifffile.imwrite(tmp_path / "one.tif", cells, imagej=True, metadata={"axes": "TYX"})
    assert run("track", tmp_path / "one.tif", "--segment", "classical", "-o", tmp_path / "one")[0] == 0
    code, said, _ = run("track", colours, "--channel", 1, "--segment", "classical", "-o", tmp_path / "two", *pieces)
    assert (code, said.split(",")[0]) == (0, f"{len(table(tmp_path / 'one').splitlines()) - 1} cells in 4 frames")
    assert table(tmp_path / "two") == table(tmp_path / "one")
    assert json.loads((tmp_path / "two" / "run.json").read_text())["settings"]["channel"] == 1
    np.testing.assert_array_equal(open_result(tmp_path / "two").film[2], cells[2])  # read as it was for the result
    np.testing.assert_array_equal(open_result(tmp_path / "two", colours).film[2], cells[2])
    assert run("report", tmp_path / "two", "-o", tmp_path / "page.html")[0] == 0
    assert run("check", tmp_path / "two", "--film", colours)[0] == 0


def test_pieces_of_one_channel_are_not_taken_for_another(tmp_path, cells, colours):
    resources = Resources(memory=1 << 30)
    done = [
        pipeline.run(colours, tmp_path / "out", settings=Settings(segment="classical", channel=channel), resources=resources)
        for channel in (0, 1)
    ]
    assert [len(run.forest) > 0 for run in done] == [False, True]


def test_python_takes_arrays_of_several_channels(cells):
    colour = np.stack([np.full_like(cells, 7), cells])
    settings = Settings(segment="classical", channel=1, axes="CTYX")
    alone = pipeline.track(cells, Settings(segment="classical"))
    np.testing.assert_array_equal(pipeline.track(colour, settings).detections.position, alone.detections.position)
    assert settings.reading == {"channel": 1, "axes": "CTYX", "holes": False}
    assert Settings.from_toml(_written(settings)) == settings


def _written(settings):
    from tempfile import NamedTemporaryFile

    with NamedTemporaryFile("w", suffix=".toml", delete=False) as file:
        file.write(settings.to_toml())
    return file.name


def test_masks_noise_and_points_of_a_channel(run, tmp_path, cells, colours):
    assert run("segment", colours, "--channel", 1, "--method", "classical", "-o", tmp_path / "masks.tif")[0] == 0
    masks = tifffile.imread(tmp_path / "masks.tif")
    assert masks.shape == cells.shape
    assert masks.max() > 0
    assert run("segment", colours, "--channel", 1, "--method", "classical", "-o", tmp_path / "masks.zarr")[0] == 0
    np.testing.assert_array_equal(open_film(tmp_path / "masks.zarr", kind="labels")[3], masks[3])
    assert run("diagnose", colours, "--channel", 1, "-o", tmp_path / "noise.json")[0] == 0
    (tmp_path / "points.csv").write_text("t,y,x\n0,10,10\n1,11,10\n2,12,10\n3,13,10\n")
    code, said, _ = run("link", tmp_path / "points.csv", "--film", colours, "--channel", 1, "-o", tmp_path / "linked")
    assert (code, said.split(",")[0]) == (0, "4 cells in 4 frames")
    assert open_result(tmp_path / "linked").film.shape == cells.shape


def test_frames_that_a_file_calls_channels(run, tmp_path, cells):
    tifffile.imwrite(tmp_path / "odd.tif", cells, imagej=True)  # an axis that nobody named is one of channels for ImageJ
    code, _, error = run("track", tmp_path / "odd.tif", "--segment", "classical", "-o", tmp_path / "out")
    assert code != 0
    assert "has 4 channels: choose one with channel=0 to channel=3 (--channel), or say axes='TYX' (--axes) if these are frames" in error
    assert run("track", tmp_path / "odd.tif", "--axes", "TYX", "--segment", "classical", "-o", tmp_path / "out")[0] == 0


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ((), "has 2 channels: choose one with channel=0 to channel=1 (--channel)"),
        (("--channel", 2), "has no channel 2: it has 2"),
        (("--channel", -1), "has no channel -1: it has 2"),
        (("--axes", "TYX"), "has axes TCYX of shape (4, 2, 64, 64), but axes='TYX' names 3"),
    ],
)
@pytest.mark.parametrize("command", ["track", "segment", "diagnose", "denoise"])
def test_channels_that_are_not_there_are_refused(run, tmp_path, colours, command, options, reason):
    out = {"track": "out", "segment": "masks.tif", "diagnose": "noise.json", "denoise": "clean.tif"}[command]
    code, _, error = run(command, colours, *options, "-o", tmp_path / out)
    assert (code, error.count("\n")) == (2, 1)
    assert reason in error
    assert not list(tmp_path.iterdir())


def test_axes_are_not_for_folders(run, tmp_path, cells):
    (tmp_path / "film").mkdir()
    tifffile.imwrite(tmp_path / "film" / "t0.tif", cells[0])
    code, _, error = run("track", tmp_path / "film", "--axes", "TYX", "-o", tmp_path / "out")
    assert code == 2
    assert "film is a folder with a file for each frame, but axes=TYX is said of one file: leave axes out" in error
