"""The command line as a user meets it: the whole way on a small film, and one line for everything that goes wrong."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

import lineage

BLANK = np.zeros((3, 32, 32), np.uint16)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A simulated film on disk: film.tif and truth/."""
    from lineage.pipeline import save_simulated
    from lineage.simulation import simulate

    made = simulate(frames=12, cells=8, size=(140, 140), seed=4, photons=200.0)
    folder = tmp_path_factory.mktemp("film") / "simulated"
    save_simulated(made.image, made.labels, made.truth, folder)
    return folder


RUNS: dict[str, tuple[int, str, Path]] = {}  # what several tests look at is run once


@pytest.fixture
def tracked(run, film):
    """The film tracked by its pixels: exit code, what was printed, and the results."""
    if "pixels" not in RUNS:
        out = film.parent / "new" / "out"
        asked = ["--truth", film / "truth", "--segment", "classical", "--max-gap", 1]
        RUNS["pixels"] = (*run("track", film / "film.tif", "-o", out, *asked)[:2], out)
    return RUNS["pixels"]


@pytest.fixture
def linked(run, film):
    """The masks tracked without their film: exit code, what was printed, and the results."""
    if "masks" not in RUNS:
        out = film.parent / "linked"
        RUNS["masks"] = (*run("track", "--labels", film / "truth", "-o", out, "--truth", film / "truth", "--json", "-")[:2], out)
    return RUNS["masks"]


def refused(result, message):
    """Exit code 2, nothing on standard output, and exactly this one line on standard error."""
    code, out, err = result
    assert (code, out) == (2, "")
    assert err == f"lineage: {message}\n"


# the whole way


def test_track_leaves_every_file_and_scores_against_the_truth(tracked):
    code, printed, out = tracked
    assert code == 0
    assert {entry.name for entry in out.iterdir()} == {
        "lineages.csv", "lineages.gexf", "lineages.geff", "report.html", "ctc", "overview.png", "run.json", "metrics.json",
    }  # fmt: skip
    scores = json.loads((out / "metrics.json").read_text())
    assert scores["DET"] > 0.85
    assert scores["LNK"] > 0.75
    assert all(name in printed for name in ("SEG", "DET", "TRA", "LNK", "division F1", "lower bound"))
    csv, gexf, ctc = (lineage.read(out / name) for name in ("lineages.csv", "lineages.gexf", "ctc"))
    assert csv.parent.tolist() == gexf.parent.tolist()
    spans = [sorted(forest.tracklets()[["start", "end", "generation"]].itertuples(index=False)) for forest in (csv, ctc)]
    assert spans[0] == spans[1]


def test_run_json_says_how_good_and_how_made(tracked):
    record = json.loads((tracked[2] / "run.json").read_text())
    assert record["settings"]["max_gap"] == 1
    assert record["settings"]["seed"] == 0
    assert 0 <= record["certificate"]["gap"] <= 1e-4
    assert record["certificate"]["bound"] <= record["certificate"]["objective"]
    assert len(record["inputs"]["film"]["sha256"]) == 64
    assert record["versions"]["cytolineage"] == lineage.__version__
    assert record["estimated"]["film"]["step"] > 0
    assert record["seconds"] > 0


def test_masks_are_tracked_without_a_film(linked):
    code, _, out = linked
    assert code == 0
    scores = json.loads((out / "metrics.json").read_text())
    assert scores["SEG"] == 1
    assert scores["LNK"] > 0.98


def test_the_users_files_stay_as_they_are(run, film, tmp_path):
    before = {path: path.read_bytes() for path in film.rglob("*") if path.is_file()}
    run("track", film / "film.tif", "--labels", film / "truth", "-o", tmp_path / "out")
    assert before == {path: path.read_bytes() for path in film.rglob("*") if path.is_file()}


def test_the_same_command_gives_the_same_lineages(run, film, tracked, tmp_path):
    run("track", film / "film.tif", "-o", tmp_path / "again", "--segment", "classical", "--max-gap", 1)
    folders = (tracked[2], tmp_path / "again")
    assert (folders[0] / "lineages.csv").read_bytes() == (folders[1] / "lineages.csv").read_bytes()
    gexf = [re.sub(r"seconds&quot;: [\d.e-]+", "", (folder / "lineages.gexf").read_text(encoding="utf-8")) for folder in folders]
    assert gexf[0] == gexf[1]  # but for the wall time of the solver


def test_segment_then_track_then_evaluate_then_validate(run, film, tmp_path):
    masks, out = tmp_path / "masks.tif", tmp_path / "out"
    code, printed, _ = run("segment", film / "film.tif", "-o", masks, "--method", "classical")
    assert code == 0
    assert printed.endswith(f" cells, masks in {masks}\n")
    assert [entry.name for entry in tmp_path.iterdir()] == ["masks.tif"]
    assert run("track", film / "film.tif", "--labels", masks, "-o", out)[0] == 0
    assert run("validate", out / "ctc")[:2] == (0, f"{out / 'ctc'}: 0 errors, 0 warnings\n")
    code, printed, _ = run("evaluate", out / "ctc", film / "truth", "--json", "-")
    (row,) = json.loads(printed)
    assert (code, row["result"]) == (0, str(out / "ctc"))
    assert row["DET"] > 0.85


def test_json_on_standard_output_is_all_there_is(linked):
    assert json.loads(linked[1])[0]["SEG"] == 1


def test_simulate_makes_what_evaluate_takes(run, tmp_path):
    code, printed, _ = run("simulate", "-o", tmp_path / "film", "--frames", 5, "--cells", 6, "--size", "96,96")
    assert code == 0
    assert "in 5 frames" in printed
    code, printed, _ = run("evaluate", tmp_path / "film" / "truth", tmp_path / "film" / "truth")
    assert code == 0
    assert "TRA                  1.0000" in printed


def test_settings_from_a_file_and_options_that_win(run, film, tmp_path):
    (tmp_path / "settings.toml").write_text("max_gap = 0\nrounds = 1\n")
    run("track", "--labels", film / "truth", "-o", tmp_path / "out", "--settings", tmp_path / "settings.toml", "--max-gap", 1)
    settings = json.loads((tmp_path / "out" / "run.json").read_text())["settings"]
    assert (settings["rounds"], settings["max_gap"]) == (1, 1)


def test_the_scale_is_carried_to_positions(run, film, linked, tmp_path):
    run("track", "--labels", film / "truth", "-o", tmp_path / "half", "--scale", "0.5,0.5")
    one, half = lineage.read(linked[2] / "lineages.csv"), lineage.read(tmp_path / "half" / "lineages.csv")
    np.testing.assert_allclose(half.detections.position, one.detections.position / 2)
    assert one.parent.tolist() == half.parent.tolist()


def test_a_film_in_three_dimensions(run, tmp_path):
    assert run("simulate", "-o", tmp_path / "film", "--frames", 4, "--cells", 5, "--size", "12,64,64")[0] == 0
    assert run("track", tmp_path / "film" / "film.tif", "-o", tmp_path / "out", "--truth", tmp_path / "film" / "truth")[0] == 0
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["TRA"] > 0.5


def test_every_kind_of_film_gives_the_same_lineages(run, film, tmp_path):
    import zarr

    image = tifffile.imread(film / "film.tif")[:6]
    tifffile.imwrite(tmp_path / "film.tif", image)
    np.save(tmp_path / "film.npy", image)
    zarr.save_array(tmp_path / "film.zarr", image)
    (tmp_path / "film.folder").mkdir()
    for t, frame in enumerate(image):
        tifffile.imwrite(tmp_path / "film.folder" / f"t{t:03d}.tif", frame)
    found = {}
    for kind in ("tif", "folder", "npy", "zarr"):
        assert run("track", tmp_path / f"film.{kind}", "-o", tmp_path / kind, "--segment", "classical")[0] == 0
        found[kind] = (tmp_path / kind / "lineages.csv").read_bytes()
    assert len(found["tif"].splitlines()) > 20
    assert set(found.values()) == {found["tif"]}


def test_the_demo_is_the_whole_way_on_a_simulated_film(run, tmp_path):
    code, printed, _ = run("demo", "-o", tmp_path / "demo", "--segment", "classical")
    assert code == 0
    assert {
        "film.tif",
        "truth",
        "overview.png",
        "lineages.csv",
        "lineages.gexf",
        "lineages.geff",
        "report.html",
        "ctc",
        "run.json",
        "metrics.json",
    } == {entry.name for entry in (tmp_path / "demo").iterdir()}
    assert "division F1" in printed


# edges of what is a film


def test_a_film_without_any_cell(run, tmp_path):
    tifffile.imwrite(tmp_path / "film.tif", BLANK, photometric="minisblack")
    code, printed, _ = run("track", tmp_path / "film.tif", "-o", tmp_path / "out")
    assert code == 0
    assert printed.startswith("0 cells in 3 frames, 0 lineages, 0 divisions\n")
    assert len(lineage.read(tmp_path / "out" / "ctc")) == 0


def test_a_film_of_one_frame(run, film, tmp_path):
    tifffile.imwrite(tmp_path / "film.tif", tifffile.imread(film / "film.tif")[:1], photometric="minisblack")
    code, printed, _ = run("track", tmp_path / "film.tif", "-o", tmp_path / "out", "--segment", "classical")
    assert code == 0
    assert "in 1 frame, 8 lineages, 0 divisions" in printed


# what goes wrong


def test_no_such_film(run, tmp_path):
    refused(run("track", tmp_path / "no.tif", "-o", tmp_path / "out"), f"no such film: {tmp_path / 'no.tif'}")
    assert not (tmp_path / "out").exists()


def test_nothing_to_track(run, tmp_path):
    refused(run("track", "-o", tmp_path / "out"), "nothing to track: give a film, or label masks")


def test_an_empty_folder(run, tmp_path):
    (tmp_path / "film").mkdir()
    code, _, err = run("track", tmp_path / "film", "-o", tmp_path / "out")
    assert code == 2
    assert err.startswith("lineage: ")
    assert str(tmp_path / "film") in err
    assert err.count("\n") == 1


def test_a_missing_frame(run, tmp_path):
    (tmp_path / "film").mkdir()
    for t in (0, 1, 3):
        tifffile.imwrite(tmp_path / "film" / f"t{t:03d}.tif", BLANK[0])
    code, _, err = run("track", tmp_path / "film", "-o", tmp_path / "out")
    assert code == 2
    assert "2" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_frames_of_different_shape(run, tmp_path):
    (tmp_path / "film").mkdir()
    for t, side in enumerate((32, 32, 30)):
        tifffile.imwrite(tmp_path / "film" / f"t{t:03d}.tif", np.zeros((32, side), np.uint16))
    code, _, err = run("track", tmp_path / "film", "-o", tmp_path / "out")
    assert code == 2
    assert "(32, 30)" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(("dtype", "value"), [(np.float32, 1), (np.int16, -3)])
def test_labels_that_are_no_labels(run, tmp_path, dtype, value):
    masks = BLANK.astype(dtype)
    masks[1, 4:9, 4:9] = value
    np.save(tmp_path / "masks.npy", masks)
    code, _, err = run("track", "--labels", tmp_path / "masks.npy", "-o", tmp_path / "out")
    assert code == 2
    assert "label" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_more_cells_than_ctc_can_hold(tmp_path):
    masks = np.zeros((1, 300, 300), np.uint32)
    masks[0].flat[:70_000] = np.arange(1, 70_001)
    forest = lineage.Forest(lineage.Detections.from_labels(masks), np.full(70_000, -1))
    with pytest.raises(ValueError, match="65535"):
        lineage.write(forest, tmp_path / "01_RES", labels=masks)
    assert list(tmp_path.iterdir()) == []


def test_labels_above_65535_are_fine_where_cells_are_few(run, tmp_path):
    masks = np.zeros((2, 32, 32), np.uint32)
    masks[:, 4:9, 4:9] = 70_000
    np.save(tmp_path / "masks.npy", masks)
    assert run("track", "--labels", tmp_path / "masks.npy", "-o", tmp_path / "out")[0] == 0
    assert int(tifffile.imread(tmp_path / "out" / "ctc" / "mask000.tif").max()) == 1


def test_an_image_with_nan(run, film, tmp_path):
    image = tifffile.imread(film / "film.tif").astype(np.float32)
    image[2, 3, 4] = np.nan
    np.save(tmp_path / "film.npy", image)
    code, _, err = run("track", tmp_path / "film.npy", "-o", tmp_path / "out", "--segment", "classical")
    assert code == 2
    assert err.startswith("lineage: frame 2: ")
    assert err.count("\n") == 1
    refused(
        run("track", tmp_path / "film.npy", "--labels", film / "truth", "-o", tmp_path / "out"),
        "image frame 2 has 1 pixels that are NaN: fill them before tracking",
    )
    assert not (tmp_path / "out").exists()


def test_a_corrupt_tiff(run, film, tmp_path):
    whole = (film / "film.tif").read_bytes()
    (tmp_path / "film.tif").write_bytes(whole[: len(whole) // 2])
    code, _, err = run("track", tmp_path / "film.tif", "-o", tmp_path / "out")
    assert code == 2
    assert "film.tif" in err
    assert err.count("\n") == 1


def test_masks_that_cannot_be_written(run, film, tmp_path):
    there = tmp_path / "no" / "masks.tif"
    refused(run("segment", film / "film.tif", "-o", there), f"cannot write {there}: the folder {there.parent} does not exist")


def test_an_output_that_cannot_be_written(run, film, tmp_path):
    (tmp_path / "file").write_text("mine")
    code, _, err = run("track", "--labels", film / "truth", "-o", tmp_path / "file")
    assert code == 2
    assert err == f"lineage: cannot write the folder {tmp_path / 'file'}: a file has this name\n"
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_with_other_files_is_left_alone(run, film, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    code, _, err = run("track", "--labels", film / "truth", "-o", tmp_path / "out")
    assert code == 2
    assert "thesis.txt" in err
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_an_older_result_is_replaced(run, film, linked, tmp_path):
    out = Path(shutil.copytree(linked[2], tmp_path / "out"))
    assert run("track", "--labels", film / "truth", "-o", out, "--max-gap", 0)[0] == 0
    assert json.loads((out / "run.json").read_text())["settings"]["max_gap"] == 0


def test_the_truth_of_another_film(run, film, tmp_path):
    run("simulate", "-o", tmp_path / "other", "--frames", 5, "--cells", 6, "--size", "96,96")
    refused(
        run("track", film / "film.tif", "-o", tmp_path / "out", "--truth", tmp_path / "other" / "truth"),
        f"{tmp_path / 'other' / 'truth'} is the truth of another film: it has shape (5, 96, 96), the film has (12, 140, 140)",
    )
    assert not (tmp_path / "out").exists()


def test_labels_of_another_film(run, film, tmp_path):
    np.save(tmp_path / "masks.npy", BLANK)
    refused(
        run("track", film / "film.tif", "--labels", tmp_path / "masks.npy", "-o", tmp_path / "out"),
        "the film has shape (12, 140, 140), but its labels have (3, 32, 32)",
    )


@pytest.mark.parametrize(
    ("option", "value", "word"),
    [
        ("--solver", "magic", "no such solver: magic; there are auto, "),
        ("--segment", "magic", "magic"),
        ("--score", "magic", "magic"),
        ("--gap", "-1", "gap must be at least 0, not -1.0"),
        ("--scale", "a,b", "--scale takes numbers with commas between them, such as 2.0,0.5,0.5, not a,b"),
        ("--scale", "1,2,3,4", "scale has 4 values, but there are 2 axes: y, x"),
        ("--max-gap", "-1", "max_gap must be at least 0, not -1"),
        ("--nonsense", "1", "--nonsense"),
    ],
)
def test_unknown_option_values(run, film, tmp_path, option, value, word):
    code, out, err = run("track", film / "film.tif", "-o", tmp_path / "out", option, value)
    assert (code, out) == (2, "")
    assert word in err
    assert err.startswith("lineage: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_settings_that_are_none(run, film, tmp_path):
    (tmp_path / "bad.toml").write_text("max_gaps = 1\n")
    code, _, err = run("track", "--labels", film / "truth", "-o", tmp_path / "out", "--settings", tmp_path / "bad.toml")
    assert code == 2
    assert "no such setting: max_gaps" in err
    assert err.count("\n") == 1


def test_a_folder_that_breaks_the_rules_is_told_line_by_line(run, film, tmp_path):
    run("track", "--labels", film / "truth", "-o", tmp_path / "out")
    table = tmp_path / "out" / "ctc" / "res_track.txt"
    table.write_text(table.read_text() + "999 0 3 0\n")
    code, printed, _ = run("validate", tmp_path / "out" / "ctc")
    assert code == 1
    mask = table.parent / "mask000.tif"
    assert printed.startswith(f"{mask}: frame 0: missing label: label 999 is in the table but not in the mask of frame 0\n")
    assert printed.endswith(" errors, 0 warnings\n")


def test_the_command_itself_and_its_help():
    command = [sys.executable, "-m", "lineage"]
    version = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout == f"cytolineage {lineage.__version__}\n"
    shown = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout
    assert all(name in shown for name in ("demo", "track", "segment", "evaluate", "validate", "simulate", "train"))
    wrong = subprocess.run([*command, "nothing"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "lineage: No such command 'nothing'. (try lineage --help)\n"
    assert Path(command[0]).exists()
