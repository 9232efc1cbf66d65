"""Points from a file to lineages and all their files, and what is scored wherever it lies; what cannot be is one line."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
import tifffile

import lineage
from lineage import pipeline
from lineage.detections import Detections
from lineage.evaluation import evaluate
from lineage.forest import Forest
from lineage.simulation import simulate, simulate_to


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A film, its true lineages as points in three formats, and a plain table of points with a column of its own."""
    place = tmp_path_factory.mktemp("points")
    made = simulate(frames=8, cells=10, size=(120, 130), radius=6, cycle=9, seed=4)
    tifffile.imwrite(place / "film.tif", made.image)
    truth = Forest(made.truth.detections.with_columns(), made.truth.parent)
    for ending in ("csv", "geff", "xml"):
        lineage.write(truth, place / f"truth.{ending}")
    cells = truth.detections
    table = pd.DataFrame({"frame": cells.frame, "x": cells.position[:, 1], "y": cells.position[:, 0], "quality": np.arange(len(cells)) / 7})
    table.sample(frac=1, random_state=0).to_csv(place / "spots.csv", index=False)
    table.to_csv(place / "spots.tsv", index=False, sep="\t")
    return place


def test_points_become_lineages_in_every_file(place):
    done = pipeline.run_points(place / "spots.csv", place / "out", film=place / "film.tif", truth=place / "truth.geff")
    assert (done.scores["DET"], done.scores["LNK"] > 0.97) == (1, True)
    assert sorted(path.name for path in done.folder.iterdir()) == [
        *("lineages.csv", "lineages.geff", "lineages.gexf", "metrics.json", "overview.png", "report.html", "run.json")
    ]
    again = lineage.read(place / "out" / "lineages.csv")
    assert set(np.round(again.detections.columns["quality"] * 7).astype(int)) == set(range(len(again)))
    np.testing.assert_array_equal(np.isfinite(again.detections.columns["link_confidence"]), again.parent >= 0)
    record = json.loads((place / "out" / "run.json").read_text())
    assert set(record["inputs"]) == {"points", "film", "truth"}
    assert evaluate(place / "out", place / "truth.csv") == evaluate(place / "out" / "lineages.geff", place / "truth.xml") == done.scores


@pytest.mark.parametrize("name", ["spots.tsv", "truth.csv", "truth.geff", "truth.xml"])
def test_points_of_any_file_are_the_same_points(place, name):
    one, two = pipeline.points_of(place / "spots.csv"), pipeline.points_of(place / name)
    assert sorted(map(tuple, np.column_stack([one.frame, one.position]).round(6))) == sorted(
        map(tuple, np.column_stack([two.frame, two.position]).round(6))
    )


def test_steps_have_a_size(place):
    plain, sized = (pipeline.points_of(place / "truth.csv", scale) for scale in (None, (2.0, 0.5)))
    np.testing.assert_allclose(sized.position, plain.position * [2, 0.5])
    assert (sized.scale, pipeline.points_of(place / "spots.csv", (2.0, 0.5), 60.0).interval) == ((2.0, 0.5), 60.0)


def test_on_the_command_line(place, run, monkeypatch):
    monkeypatch.chdir(place)
    assert run("link", "spots.csv", "-o", "cli", "--truth", "truth.csv", "--json", "scores.json")[0] == 0
    row = json.loads((place / "scores.json").read_text())[0]
    code, out, _ = run("evaluate", "cli", "truth.csv", "--distance", "0.5")
    assert (code, f"{row['CHOTA']:.4f}" in out) == (0, True)
    code, out, _ = run("link", "cli/lineages.geff", "-o", "twice")
    assert (code, "ctc" in out) == (0, False)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["none.csv"], "no such file or folder: none.csv"),
        (["film.tif"], "film.tif is of no known format: "),
        (["bad.csv"], "bad.csv: "),
        (
            ["spots.csv", "--settings", "guess.toml"],
            "hypotheses and denoising are for films that are segmented here, but points were given",
        ),
        (["spots.csv", "--settings", "merge.toml"], "merges are told by areas, but these detections have none"),
        (["spots.csv", "--scale", "1,1,1"], "spots.csv: scale has 3 values, but there are 2 axes: y, x"),
        (["spots.csv", "--distance", "-1", "--truth", "truth.csv"], "distance must be positive, not -1.0"),
        (["spots.csv", "--truth", "film.tif"], "film.tif is of no known format: "),
        (["spots.csv", "--film", "short.npy"], "the film has 2 frames, but there is a point in frame 7"),
        (["spots.csv", "--film", "deep.npy"], "the film has frames of shape (2, 9, 9), but the points have the axes y, x"),
    ],
)
def test_wrong_points_are_one_line_and_nothing_is_written(place, run, monkeypatch, given, says):
    monkeypatch.chdir(place)
    (place / "bad.csv").write_text("t,y,x\n0,1,2\n1,nan,3\n")
    (place / "guess.toml").write_text("hypotheses = true")
    (place / "merge.toml").write_text("merges = true")
    np.save(place / "short.npy", np.zeros((2, 9, 9), np.uint8))
    np.save(place / "deep.npy", np.zeros((8, 2, 9, 9), np.uint8))
    code, _, error = run("link", *given, "-o", "wrong")
    assert (code, error.count("\n"), error.startswith(f"lineage: {says}")) == (2, 1, True), error
    assert not (place / "wrong").exists()


def test_masks_are_not_scored_by_points(place, run, monkeypatch):
    monkeypatch.chdir(place)
    code, _, error = run("track", "film.tif", "-o", "wrong", "--truth", "truth.csv")
    assert (code, error.startswith("lineage: truth.csv has no masks, but the film is scored by masks: ")) == (2, True)
    assert not (place / "wrong").exists()


def test_a_film_without_points(tmp_path):
    (tmp_path / "none.csv").write_text("t,y,x\n")
    forest = pipeline.run_points(tmp_path / "none.csv", tmp_path / "out").forest
    assert (len(forest), len(lineage.read(tmp_path / "out" / "lineages.csv"))) == (0, 0)


# sides of a score


def test_a_simulated_film_is_its_own_truth_and_a_folder_of_results_its_own_result(tmp_path):
    simulate_to(tmp_path / "film.zarr", frames=5, cells=5, size=(80, 80), radius=6, seed=1)
    done = pipeline.run(
        tmp_path / "film.zarr",
        tmp_path / "out",
        labels=tmp_path / "film.zarr" / "labels" / "truth",
        truth=tmp_path / "film.zarr",
    )
    assert done.scores["SEG"] == 1
    assert evaluate(tmp_path / "out", tmp_path / "film.zarr") == evaluate(tmp_path / "out" / "ctc", tmp_path / "film.zarr") == done.scores
    other = lineage.simulate(frames=6, cells=5, size=(80, 80), radius=6, seed=1)
    np.save(tmp_path / "other.npy", other.image)
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / 'film.zarr'} is the truth of another film: it has shape (5, 80, 80)")):
        pipeline.run(tmp_path / "other.npy", tmp_path / "wrong", truth=tmp_path / "film.zarr")


def test_points_are_no_masks(place):
    cells = Detections.from_points({"t": [0], "y": [1], "x": [1]})
    masks = (Forest(cells.with_columns(), [-1]), np.ones((1, 3, 3), int))
    with pytest.raises(ValueError, match=r"^the result has no labels, but the other side has: "):
        evaluate(place / "truth.csv", masks)
