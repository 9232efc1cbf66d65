"""The training command, from folders to a model file and its scores."""

import hashlib
import json
import re

import numpy as np
import pytest
import tifffile

from segmentation.segmenter import load
from segmentation.training import main, split, train_segmentation


@pytest.fixture
def folder(tmp_path, make_discs):
    for i in range(12):
        image, labels = make_discs(np.random.default_rng(i), side=64, count=4)
        for kind, array in (("images", image), ("labels", labels.astype(np.uint16))):
            (tmp_path / "data" / kind).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(tmp_path / "data" / kind / f"n{i}.tif", array)
    return tmp_path / "data"


@pytest.fixture
def sequence(tmp_path):
    for t in range(20):
        for place, name in (("01", f"t{t:03}"), ("01_GT/SEG", f"man_seg{t:03}")):
            (tmp_path / "film" / place).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(tmp_path / "film" / place / f"{name}.tif", np.zeros((8, 8), np.uint8))
    return tmp_path / "film" / "01"


def test_images_are_split_by_the_hash_of_their_names(folder):
    parts = split(folder)
    held = {p.stem for p in parts.validation.images}
    assert held == {f"n{i}" for i in range(12) if int(hashlib.sha1(f"n{i}".encode()).hexdigest(), 16) % 10 in (2, 3)}
    assert held and len(parts.train) == 12 - len(held) and len(parts.test) == 0
    assert not held & {p.stem for p in parts.train.images}


def test_sequences_are_split_in_time(sequence):
    parts = split(sequence)
    assert parts.name == "film/01"
    assert [p.stem for p in parts.validation.images] == ["t005"]
    assert [p.stem for p in parts.test.images] == [f"t{t:03}" for t in range(10, 20)]
    assert len(parts.train) == 9


def test_the_command_writes_model_log_and_scores(folder, tmp_path):
    output = tmp_path / "model.safetensors"
    words = [str(folder), "-o", str(output), "--steps", "2", "--count", "2", "--side", "32", "--device", "cpu"]
    assert main([*words, "--minutes", "1", "--weights", "2"]) == 0
    model = load(output)
    notes = json.loads(output.with_suffix(".json").read_text())
    assert notes["folders"] == model.about["folders"] == {f"{tmp_path.name}/data": notes["folders"][f"{tmp_path.name}/data"]}
    assert {"ap_pooled_0.50", "ap_image_0.50", "SEG"} < set(notes["scores"][f"{tmp_path.name}/data validation model"])
    assert notes["scores"][f"{tmp_path.name}/data validation classical"]["ap_pooled_0.50"] > 0.5
    assert (tmp_path / "model.log" / "log.csv").is_file()
    assert main([*words, "--init", str(output)]) == 0
    assert load(output).about["before"]["feed"]["weights"] == [2.0]


def test_bad_input_is_one_line_and_exit_code_2(tmp_path, capsys):
    assert main([str(tmp_path), "-o", str(tmp_path / "m.safetensors")]) == 2
    said = capsys.readouterr()
    message = (
        f"error: {tmp_path} has no labelled pictures: give a folder with images/ and labels/, "
        "or a sequence NN beside which lies NN_ST/SEG or NN_GT/SEG\n"
    )
    assert said.err == message and said.out == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("folders", "output", "message"),
    [
        ([], "m.safetensors", "no folder to learn from: give at least one folder of labelled pictures"),
        (["x"], "m.pt", "m.pt cannot be written: give a .safetensors file in a folder that exists"),
        (
            ["x"],
            "no/where/m.safetensors",
            "no/where/m.safetensors cannot be written: give a .safetensors file in a folder that exists",
        ),
    ],
)
def test_what_would_fail_at_the_end_is_refused_at_the_start(folders, output, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        train_segmentation(folders, output)


def test_too_few_pictures_are_refused(folder):
    held = split(folder).validation.images[0].stem
    for kind in ("images", "labels"):
        for path in (folder / kind).iterdir():
            if path.stem != held:
                path.unlink()
    message = f"{folder} leaves no picture to learn from: 1 pictures are too few"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        split(folder)
