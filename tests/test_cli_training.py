"""The command that trains: what it takes, what it leaves behind, and what it says when something is wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

import segmentation
from segmentation.segmenter import Segmenter
from segmentation.unet import UNetConfig


@pytest.fixture
def pictures(tmp_path):
    """Three small pictures of a square cell."""
    for i in range(3):
        labels = np.zeros((32, 32), np.uint16)
        labels[4 + i : 14, 6:20] = 1
        for kind, array in (("images", labels * 100 + np.arange(32, dtype=np.uint16)), ("labels", labels)):
            (tmp_path / "data" / kind).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(tmp_path / "data" / kind / f"p{i}.tif", array)
    Segmenter.new(UNetConfig(width=2, depth=1), device="cpu").save(tmp_path / "tiny.safetensors")
    return tmp_path


@pytest.fixture
def words(pictures):
    few = ["--steps", "2", "--count", "1", "--side", "16", "--validation", "3"]
    return ["train", "segmentation", pictures / "data", *few, "--device", "cpu", "--init", pictures / "tiny.safetensors"]


def test_a_model_scores_and_a_log_appear(run, words, pictures):
    out = pictures / "m.safetensors"
    words += ["-o", out, "--decoder", "components", "--freeze", "1", "--seed", "4"]
    code, printed, err = run(*words)
    assert (code, err) == (0, "")
    name = f"{pictures.name}/data validation model"
    assert json.loads(printed)[name]["SEG"] >= 0
    model = segmentation.load(out)
    assert type(model.decoder).__name__ == "Components" and model.about["feed"]["seed"] == 4 and model.network.config.width == 2
    assert json.loads((pictures / "m.json").read_text())["scores"] == json.loads(printed)
    made = sorted(path.name for path in (pictures / "m.log").iterdir())
    assert made == ["best.safetensors", "curves.png", "examples.png", "last.safetensors", "log.csv", "resume.safetensors"]
    assert run(*words, "--resume")[:2] == (0, printed)


def test_ctrl_c_is_one_line_that_says_how_to_go_on(run, words, pictures, monkeypatch):
    def stopped(items, _what):
        for i, item in enumerate(items):
            if i:
                raise KeyboardInterrupt
            yield item

    monkeypatch.setattr("lineage.cli.training.bar", stopped)
    code, printed, err = run(*words, "-o", pictures / "m.safetensors")
    assert (code, printed) == (130, "")
    assert err == f"lineage: training stopped at step 1; it can be resumed from {pictures / 'm.log'}\n"
    assert not (pictures / "m.safetensors").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--freeze", "stem"], "freeze names 'stem': give a number, encoder, decoder, all but head, or some of down.0, down.1, up.0, head"),
        (["--resume"], "there is nothing to resume: {folder}/m.log/resume.safetensors is not there; begin anew, without resume"),
        (["--side", "15"], "side is 15: the network takes multiples of (2, 2) pixels, for example (16, 16)"),
        (["--minutes", "-1"], "minutes is -1.0: give a positive number or None"),
        (["--count", "0"], "count is 0, side 16, keep 1000 and memory 2048: give integers of at least 1"),
        (["--device", "abacus"], "device 'abacus' is unknown: give 'auto', 'cpu' or 'cuda'"),
        (["--validation", "1"], "validation is 1.0: give a share such as 0.2, every n-th picture such as 5, or a folder"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_nothing_is_written(run, words, pictures, more, message):
    before = sorted(pictures.iterdir())
    code, printed, err = run(*words, "-o", pictures / "m.safetensors", *more)
    assert (code, printed, err) == (2, "", f"lineage: {message.format(folder=pictures)}\n")
    assert sorted(pictures.iterdir()) == before


def test_no_pictures_are_told_by_name(run, tmp_path):
    code, _, err = run("train", "segmentation", tmp_path, "-o", tmp_path / "m.safetensors")
    assert code == 2 and err.startswith(f"lineage: {tmp_path} has no labelled pictures: ") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--side", "16,x", "--side takes numbers with commas between them, such as 3,1,1, not 16,x"),
        ("--weights", "much", "--weights takes numbers with commas between them, such as 3,1,1, not much"),
        ("--flat", "9", "--flat must be 0 to --depth, 4, not 9"),
        ("--side", "16,16,16", "side is (16, 16, 16): give one number, or one for each of 2 axes"),
        ("--weights", "1,2", "weights are (1.0, 2.0): give one of at least 0 for each of 1 sources"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(run, words, pictures, option, value, message):
    code, printed, err = run(*words, "-o", pictures / "m.safetensors", option, value)
    assert (code, printed, err) == (2, "", f"lineage: {message}\n")
    assert not (pictures / "m.safetensors").exists()
