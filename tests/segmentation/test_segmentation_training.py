"""The training command, from folders to a model file and its scores."""

import hashlib
import json
import re

import numpy as np
import pytest
import tifffile
import torch
from safetensors.torch import save_file

from segmentation.decoders.boundary import Boundary
from segmentation.decoders.components import Components
from segmentation.fit import Schedule
from segmentation.hypotheses import is_calibrated
from segmentation.patches import Feed
from segmentation.segmenter import Segmenter, load
from segmentation.splitting import split
from segmentation.training import start, train_segmentation
from segmentation.unet import UNetConfig


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


def test_gold_cells_are_only_for_learning(sequence):
    silver = sequence.with_name("01_ST") / "SEG"
    sequence.with_name("01_GT").rename(sequence.with_name("01_ST"))
    (sequence.with_name("01_GT") / "SEG").mkdir(parents=True)
    for t in (1, 5, 15):
        (sequence.with_name("01_GT") / "SEG" / f"man_seg{t:03}.tif").write_bytes((silver / f"man_seg{t:03}.tif").read_bytes())
    parts = split(sequence, gold=True)
    assert [path.stem for path in parts.train.better if path] == ["man_seg001"]
    assert not parts.validation.better and not parts.test.better and not split(sequence).train.better


def test_the_command_writes_model_log_and_scores(folder, tmp_path, run):
    output = tmp_path / "model.safetensors"
    words = ["train", "segmentation", folder, "-o", output, "--steps", "2", "--count", "2", "--side", "32", "--device", "cpu"]
    assert run(*words, "--minutes", "1", "--weights", "2", "--width", "4", "--depth", "2", "--rate", "1e-3", "--narrow", "5")[0] == 0
    model = load(output)
    assert model.decoder.narrow == 5
    notes = json.loads(output.with_suffix(".json").read_text())
    assert notes["folders"] == model.about["folders"] == {f"{tmp_path.name}/data": notes["folders"][f"{tmp_path.name}/data"]}
    assert {"ap_pooled_0.50", "ap_image_0.50", "SEG"} < set(notes["scores"][f"{tmp_path.name}/data validation model"])
    assert notes["scores"][f"{tmp_path.name}/data validation classical"]["ap_pooled_0.50"] > 0.5
    assert (tmp_path / "model.log" / "log.csv").is_file()
    assert (model.network.config.width, model.network.config.depth) == (4, 2)
    assert run(*words, "--init", output)[0] == 0
    assert load(output).about["before"]["feed"]["weights"] == [2.0] and load(output).decoder.narrow == 5


def test_bad_input_is_one_line_and_exit_code_2(tmp_path, run):
    code, printed, err = run("train", "segmentation", tmp_path, "-o", tmp_path / "m.safetensors")
    message = (
        f"lineage: {tmp_path} has no labelled pictures: give a folder with images/ and labels/, "
        "or a sequence NN beside which lies NN_ST/SEG or NN_GT/SEG\n"
    )
    assert (code, printed, err) == (2, "", message)
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


def names(files):
    return [p.stem for p in files.images]


def test_a_share_is_held_by_name_whatever_else_is_there(folder):
    few, many = (set(names(split(folder, share).validation)) for share in (0.2, 0.6))
    assert few < many and len(many) < 12
    for kind in ("images", "labels"):
        (folder / kind / "n0.tif").rename(folder / kind / "m0.tif")
    assert set(names(split(folder, 0.6).validation)) - {"m0"} == many - {"n0"}
    assert len(split(folder, 0.0).train) == 12


def test_of_a_film_a_share_is_its_end_and_every_nth_is_every_nth(sequence):
    assert names(split(sequence, 0.25).validation) == [f"t{t:03}" for t in range(15, 20)]
    assert names(split(sequence, 5).validation) == ["t004", "t009", "t014", "t019"]
    assert len(split(sequence, 5).train) == 16 and len(split(sequence, 5).test) == 0


@pytest.mark.parametrize("given", [1, 1.5, -0.1, 2.5])
def test_other_numbers_split_nothing(folder, given):
    message = f"validation is {given}: give a share such as 0.2, every n-th picture such as 5, or a folder"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        split(folder, given)


QUICK = {"steps": 1, "minutes": None, "feed": Feed(count=1, side=16), "device": "cpu"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny") / "tiny.safetensors"
    Segmenter.new(UNetConfig(width=2, depth=1), device="cpu").save(path)
    return path


def test_a_folder_may_be_for_validation_alone_and_the_decoder_another(folder, tiny, tmp_path):
    other = tmp_path / "other"
    for kind in ("images", "labels"):
        (other / kind).mkdir(parents=True)
        tifffile.imwrite(other / kind / "v.tif", tifffile.imread(folder / kind / "n1.tif"))
    table = train_segmentation(
        [folder], tmp_path / "m.safetensors", init=tiny, decoder="components", validation=str(other), freeze="encoder", **QUICK
    )
    assert list(table) == [f"{tmp_path.name}/data validation model", f"{tmp_path.name}/data validation classical"]
    model = load(tmp_path / "m.safetensors")
    assert isinstance(model.decoder, Components) and model.about["folders"] == {
        f"{tmp_path.name}/data": {"train": 12, "validation": 1, "test": 0}
    }
    old = load(tiny).network.state_dict()
    assert torch.equal(model.network.state_dict()["down.0.0.weight"], old["down.0.0.weight"])
    assert (tmp_path / "m.log" / "examples.png").is_file()


@pytest.mark.parametrize(("asked", "narrow"), [(None, None), (None, 3.0), ("boundary", None)])
def test_without_validation_how_sure_a_cell_must_be_is_not_inherited(folder, tmp_path, asked, narrow):
    first = tmp_path / "first.safetensors"
    Segmenter.new(UNetConfig(width=2, depth=1), decoder=Boundary(sure=0.99, speck=7), device="cpu").save(first)
    train_segmentation([folder], tmp_path / "m.safetensors", init=first, decoder=asked, narrow=narrow, validation=0.0, **QUICK)
    decoder = load(tmp_path / "m.safetensors").decoder
    assert decoder.sure < 0.99 and decoder.narrow == (narrow or 0.0)
    assert decoder.speck == (7 if asked is None else Boundary().speck)


def test_a_trained_model_knows_how_probable_its_segments_are_and_forgets_it_when_it_learns_more(tmp_path):
    rng = np.random.default_rng(5)
    rows, columns = np.indices((48, 48))
    places = [(12, 12), (12, 36), (36, 12), (36, 36)]
    labels = np.stack([sum((k + 1) * (np.hypot(rows - y, columns - x) < 7) for k, (y, x) in enumerate(places))] * 30)
    for kind, pictures in (("images", 100.0 * (labels > 0) + rng.normal(0, 30, labels.shape)), ("labels", labels)):
        (tmp_path / kind).mkdir()
        for t, picture in enumerate(pictures.astype(np.uint8 if kind == "labels" else np.float32)):
            tifffile.imwrite(tmp_path / kind / f"{t:02}.tif", picture)
    train_segmentation([tmp_path], tmp_path / "m.safetensors", validation=0.9, config=UNetConfig(width=4, depth=2), **QUICK | {"steps": 20})
    model = load(tmp_path / "m.safetensors")
    assert is_calibrated(model) and set(model.about["hypotheses"]) == {"weight", "bias", "middle", "spread"}
    few = split(tmp_path, 0.1)
    assert not is_calibrated(model.finetune([few.train], schedule=Schedule(steps=1), feed=Feed(count=1, side=16)))
    train_segmentation([tmp_path], tmp_path / "few.safetensors", validation=0.1, init=tmp_path / "m.safetensors", **QUICK)
    assert not is_calibrated(load(tmp_path / "few.safetensors"))  # pictures for validation hold less than a hundred cells


def test_stacks_with_channels_get_a_network_of_their_own(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.zeros((2, 4, 16, 16), np.uint16)
    labels[:, 1:3, 4:12, 4:12] = 1
    np.save(tmp_path / "images.npy", rng.random((2, 2, 4, 16, 16)))
    np.save(tmp_path / "labels.npy", labels)
    train_segmentation([tmp_path], tmp_path / "m.safetensors", validation=0.0, **QUICK | {"feed": Feed(count=2, side=16)})
    config = load(tmp_path / "m.safetensors").network.config
    assert (config.dims, config.inputs) == (3, 2)


def test_a_stopped_command_is_resumed_and_leaves_no_model_before(folder, tiny, tmp_path):
    output = tmp_path / "m.safetensors"

    def stopping(items, what):
        for i, item in enumerate(items):
            if what == "training" and i == 1:
                raise KeyboardInterrupt
            yield item

    how = QUICK | {"steps": 2, "init": tiny, "validation": 0.0}
    with pytest.raises(
        KeyboardInterrupt, match=f"^training stopped at step 1; it can be resumed from {re.escape(str(tmp_path / 'm.log'))}$"
    ):
        train_segmentation([folder], output, progress=stopping, **how)
    assert not output.exists()
    says = f"{tmp_path / 'm.log' / 'resume.safetensors'} does not fit the training: seed was 0 and is 1; give it as it was, or begin anew"
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        train_segmentation([folder], output, resume=True, **how | {"feed": Feed(count=1, side=16, seed=1)})
    train_segmentation([folder], output, resume=True, **how)
    train_segmentation([folder], tmp_path / "n.safetensors", **how)
    one, other = (load(path).network.state_dict() for path in (output, tmp_path / "n.safetensors"))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_weights_to_go_on_from(tiny, tmp_path):
    assert start("nuclei-2d", device="cpu").network.config.depth == 4
    model = start(tiny, device="cpu")
    assert model.network.config.width == 2 and model.device == "cpu"
    state = tmp_path / "state.pt"
    torch.save(model.network.state_dict(), state)
    bare = tmp_path / "state.safetensors"
    save_file(model.network.state_dict(), bare)
    for path in (state, bare):
        again = start(path, like=model)
        assert all(torch.equal(v, model.network.state_dict()[k]) for k, v in again.network.state_dict().items())
        message = f"{path} belongs to another network: its tensor down.0.0.weight has shape (2, 1, 3, 3), wanted (16, 1, 3, 3)"
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            start(path)
    with pytest.raises(ValueError, match=r"^no segmenter 'nowhere': give the path of a file or one of [\w, -]+$"):
        start("nowhere")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decoder": "magic"}, r"decoder 'magic' is unknown: take one of [\w, ]+"),
        (
            {"decoder": "star", "narrow": 5.0},
            "narrow is 5.0: only the decoder boundary knows it, not Star; leave it out",
        ),
        ({"resume": True}, r"there is nothing to resume: [^\n]+m.log/resume.safetensors is not there; begin anew, without resume"),
        ({"validation": "tomorrow"}, "validation is tomorrow: give a share such as 0.2, every n-th picture such as 5, or a folder"),
    ],
)
def test_what_cannot_be_trained_is_refused_and_nothing_appears(folder, tmp_path, changes, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        train_segmentation([folder], tmp_path / "m.safetensors", **QUICK | changes)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_flat_weights_for_stacks_are_refused(tiny, tmp_path):
    np.save(tmp_path / "images.npy", np.zeros((2, 4, 16, 16)))
    np.save(tmp_path / "labels.npy", np.ones((2, 4, 16, 16), int))
    message = f"{tiny} works in 2D, the pictures are 3D: give other weights, or none"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        train_segmentation([tmp_path], tmp_path / "m.safetensors", init=tiny, validation=0.0, **QUICK)
