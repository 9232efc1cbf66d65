"""What the training command is asked for: classes of pixels, bare weights, early ends; and pictures that cannot be learned from."""

import json
import re

import numpy as np
import pytest
import tifffile
import torch
from safetensors.torch import load_file

from segmentation.decoders.classes import Classes
from segmentation.decoders.distance import Distance
from segmentation.patches import Feed
from segmentation.segmenter import Segmenter, load
from segmentation.splitting import parts_of
from segmentation.training import train_segmentation
from segmentation.unet import UNetConfig

SMALL = UNetConfig(width=4, depth=2)
QUICK = {"steps": 2, "feed": Feed(count=2, side=32), "config": SMALL, "device": "cpu"}


def write(folder, pictures):
    """Pictures and labels as TIFFs of equal names."""
    for i, (image, labels) in enumerate(pictures):
        for kind, array in (("images", image), ("labels", labels)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(folder / kind / f"n{i}.tif", array)
    return folder


@pytest.fixture
def pictures(make_discs):
    return [make_discs(np.random.default_rng(i), side=64, count=4) for i in range(10)]


@pytest.fixture
def folder(tmp_path, pictures):
    return write(tmp_path / "data", [(image, labels.astype(np.uint16)) for image, labels in pictures])


# classes


def test_classes_are_learned_by_their_names(tmp_path, pictures, run):
    three = [(image, np.where(labels > 2, 2, np.minimum(labels, 1)).astype(np.uint8)) for image, labels in pictures]
    words = ["train", "segmentation", write(tmp_path / "data", three), "-o", tmp_path / "m.safetensors", "--steps", "30", "--count", "2"]
    how = ["--side", "32", "--width", "4", "--depth", "2", "--classes", "background,left, right", "--punish", "dice", "--balanced"]
    assert run(*words, *how, "--validation", "5")[0] == 0
    model = load(tmp_path / "m.safetensors")
    assert model.decoder.names == ("background", "left", "right")
    assert model.decoder.punish == "dice"
    assert model.decoder.weights[0] < min(model.decoder.weights[1:])  # the background is common
    notes = json.loads((tmp_path / "m.json").read_text())
    scores = notes["scores"][f"{tmp_path.name}/data validation model"]
    assert {"dice_pooled_1", "dice_pooled_2", "dice_pooled_mean"} < set(scores)


@pytest.mark.parametrize("kind", [bool, np.uint8, np.uint16])
def test_of_two_classes_whatever_is_labelled_is_the_second(tmp_path, pictures, kind):
    """Masks that are true or false, 0 and 255, or one number a cell: all mean the same."""
    of = {bool: lambda n: n > 0, np.uint8: lambda n: np.uint8(255) * (n > 0), np.uint16: lambda n: n.astype(np.uint16)}[kind]
    folder = write(tmp_path / "data", [(image, of(labels)) for image, labels in pictures])
    (part,) = parts_of([folder], 5, binary=True)
    assert {n for files in (part.train, part.validation) for _, labels in files for n in np.unique(labels).tolist()} == {0, 1}
    train_segmentation([folder], tmp_path / "m.safetensors", decoder="classes", validation=5, **QUICK)
    assert set(np.unique(load(tmp_path / "m.safetensors").predict(pictures[0][0])).tolist()) <= {0, 1}


def test_a_class_that_has_no_name_is_said_with_its_picture(folder, tmp_path, run):
    words = ["train", "segmentation", folder, "-o", tmp_path / "m.safetensors", "--steps", "2", "--classes", "a,b,c", "--validation", "5"]
    code, _, said = run(*words)
    place = re.escape(str(folder / "images"))
    assert re.fullmatch(rf"lineage: {place}/n\d\.tif: labels hold the number \d: give class numbers 0\.\.2 for a, b, c\n", said), said
    assert (code, sorted(path.name for path in tmp_path.iterdir())) == (2, ["data"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--balanced"], "--balanced is for --classes: name the classes, such as background,nucleus,membrane"),
        (["--classes", "a,b", "--decoder", "star"], "--classes are learned by the decoder classes, not star: leave --decoder out"),
        (["--classes", "a"], "names are ('a',): give at least two different classes, the background first"),
        (["--classes", "a,b", "--punish", "me"], "punish is 'me': give one of entropy, dice, focal, entropy+dice, focal+dice"),
        (["--validation", "nan"], "validation is nan: give a share such as 0.2, every n-th picture such as 5, or a folder"),
        (["--init", "nuclei-2d", "--width", "8"], "nuclei-2d has width 16 and depth 4, which cannot be changed: leave width and depth out"),
    ],
)
def test_what_makes_no_sense_is_one_line(folder, tmp_path, run, words, says):
    assert run("train", "segmentation", folder, "-o", tmp_path / "m.safetensors", *words) == (2, "", f"lineage: {says}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_classes_are_no_cells(tmp_path, pictures, run):
    np.save(tmp_path / "film.npy", np.stack([pictures[0][0], pictures[1][0]]))
    Segmenter.new(SMALL, decoder=Classes(("ground", "cell"))).save(tmp_path / "c.safetensors")
    weights = tmp_path / "c.safetensors"
    says = f"lineage: {weights} names classes of pixels (ground, cell), not cells: take other weights\n"
    for more in ([], ["--hypotheses"], ["--memory", "1GB"]):
        assert run("track", tmp_path / "film.npy", "--segment", weights, "-o", tmp_path / "out", *more) == (2, "", says)
    code, said, _ = run("segment", tmp_path / "film.npy", "--method", weights, "-o", tmp_path / "masks.tif")
    assert (code, said) == (0, f"classes of pixels, no cells, in {tmp_path / 'masks.tif'}\n")
    assert tifffile.imread(tmp_path / "masks.tif").max() <= 1


# where a training begins and ends


@pytest.mark.parametrize(("decoder", "config"), [(None, SMALL), ("distance", SMALL), ("components", UNetConfig(width=4, depth=1))])
def test_bare_weights_of_any_shape_and_method_are_gone_on_from(folder, tmp_path, decoder, config):
    how = QUICK | {"config": config, "decoder": decoder, "validation": 5}
    train_segmentation([folder], tmp_path / "first.safetensors", **how)
    bare = tmp_path / "first.log" / "last.safetensors"
    known = load_file(bare)
    train_segmentation([folder], tmp_path / "next.safetensors", **how | {"feed": Feed(count=2, side=32, seed=3)}, init=bare, rate=1e-12)
    now = load(tmp_path / "next.safetensors").network.state_dict()
    for name in ("head.weight", "head.bias"):
        torch.testing.assert_close(now[name], known[name], atol=1e-5, rtol=0)


def test_a_training_that_gets_no_better_ends(folder, tmp_path, run):
    words = ["train", "segmentation", folder, "-o", tmp_path / "m.safetensors", "--steps", "400", "--count", "1", "--side", "16"]
    assert run(*words, "--width", "4", "--depth", "1", "--rate", "1e-9", "--patience", "2", "--validation", "5")[0] == 0
    log = (tmp_path / "m.log" / "log.csv").read_text().splitlines()
    assert 1 < len(log) <= 6


def test_the_head_may_be_the_same_or_new(folder):
    with pytest.raises(ValueError, match=r"^head is 'huh': give 'same' or 'new'$"):
        Segmenter.new(SMALL).finetune([parts_of([folder], 5)[0].train], head="huh")


# pictures that cannot be learned from


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_bad_picture_is_said_before_the_training(folder, tmp_path, value):
    bad = folder / "images" / "n4.tif"
    image = tifffile.imread(bad).astype(np.float32)
    image[3, 3] = value
    tifffile.imwrite(bad, image)
    says = f"^{re.escape(str(bad))}: image has 1 NaN or infinite pixels, the first at"
    with pytest.raises(ValueError, match=says):  # it is for validation
        train_segmentation([folder], tmp_path / "m.safetensors", validation=5, **QUICK)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    with pytest.raises(ValueError, match=says):  # it is learned from
        train_segmentation([folder], tmp_path / "m.safetensors", validation=3, **QUICK | {"steps": 60})
    assert not (tmp_path / "m.safetensors").exists() and not (tmp_path / "m.json").exists()


def test_a_bad_frame_of_the_test_is_said_before_the_training(tmp_path, pictures):
    film = np.stack([image for image, _ in pictures]).astype(np.float32)
    film[-1, 2, 2] = np.nan
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data" / "images.npy", film)
    np.save(tmp_path / "data" / "labels.npy", np.stack([labels for _, labels in pictures]))
    with pytest.raises(ValueError, match=r"^frame 9 of .*images\.npy with labels\.npy: image has 1 NaN"):
        train_segmentation([tmp_path / "data"], tmp_path / "m.safetensors", **QUICK)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_the_file_of_a_picture_with_other_channels_is_named(folder, tmp_path):
    odd = folder / "images" / "n5.tif"
    tifffile.imwrite(odd, np.stack([tifffile.imread(odd)] * 2), photometric="minisblack")
    with pytest.raises(ValueError, match=f"^{re.escape(str(odd))} has 2 channel"):
        train_segmentation([folder], tmp_path / "m.safetensors", validation=5, **QUICK | {"steps": 60})


def test_nothing_but_background_teaches_nothing(tmp_path, pictures):
    folder = write(tmp_path / "data", [(image, np.zeros(image.shape, np.uint8)) for image, _ in pictures])
    with pytest.raises(ValueError, match=r"^none of the \d+ label pictures( that were drawn)? has a cell: give "):
        train_segmentation([folder], tmp_path / "m.safetensors", validation=5, **QUICK)
    assert not (tmp_path / "m.safetensors").exists()


def test_scores_are_json_also_where_there_is_nothing_to_score(tmp_path, pictures):
    some = [(image, labels.astype(np.uint16) * (i not in (4, 9))) for i, (image, labels) in enumerate(pictures)]
    folder = write(tmp_path / "data", some)  # the pictures for validation are empty
    train_segmentation([folder], tmp_path / "m.safetensors", decoder=Distance(), validation=5, **QUICK)

    def refused(word):
        raise AssertionError(word)

    notes = json.loads((tmp_path / "m.json").read_text(), parse_constant=refused)
    assert notes["scores"][f"{tmp_path.name}/data validation model"]["SEG"] is None


# stacks whose planes lie far apart


@pytest.fixture
def stacks(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.zeros((8, 32, 32), np.uint16)
    labels[2:6, 4:14, 4:14], labels[2:6, 16:26, 14:24] = 1, 2
    return write(tmp_path / "stacks", [((50 * (labels > 0) + rng.random(labels.shape)).astype(np.float32), labels) for _ in range(2)])


@pytest.mark.parametrize(("decoder", "knows"), [("boundary", True), ("distance", True), ("star", True), ("components", False)])
def test_the_size_of_a_pixel_reaches_decoder_and_changes(run, tmp_path, stacks, decoder, knows):
    words = ["train", "segmentation", stacks, "-o", tmp_path / "m.safetensors", "--steps", "1", "--count", "1", "--validation", "0"]
    how = ["--side", "8,16,16", "--width", "2", "--depth", "1", "--decoder", decoder, "--scale", "2,0.5,0.5"]
    assert run(*words, *how)[0] == 0
    model = load(tmp_path / "m.safetensors")
    assert getattr(model.decoder, "spacing", None) == ((4.0, 1.0, 1.0) if knows else None)
    fed = json.loads((tmp_path / "m.json").read_text())["feed"]
    assert (fed["warp"]["anisotropy"], fed["shade"]["anisotropy"]) == (4.0, 4.0)


@pytest.mark.parametrize("scale", ["1,1", "2,0.5,0.5,1", "0,1,1", "nan,1,1", "-2,1,1"])
def test_sizes_that_are_none_are_refused(run, tmp_path, stacks, scale):
    code, _, error = run("train", "segmentation", stacks, "-o", tmp_path / "m.safetensors", "--scale", scale)
    assert code == 2
    assert re.fullmatch(r"lineage: scale is \(.*\): give the positive size of a pixel along each of the 3 axes of the pictures\n", error)
    assert not (tmp_path / "m.log").exists()


# pictures with an axis for one channel, masks that number nothing, requests without sense


@pytest.mark.parametrize("last", [False, True])
def test_an_axis_of_one_channel_is_none(run, tmp_path, pictures, last):
    write(tmp_path / "one", [(image[..., None] if last else image[None], labels.astype(np.uint16)) for image, labels in pictures])
    words = ["train", "segmentation", tmp_path / "one", "-o", tmp_path / "m.safetensors", "--steps", "1", "--count", "1", "--side", "32"]
    assert run(*words, "--width", "2", "--depth", "1", "--validation", "4")[0] == 0
    model = load(tmp_path / "m.safetensors")
    assert model.network.config.inputs == 1
    image = pictures[0][0]
    np.testing.assert_array_equal(model.predict(image[None]), model.predict(image))


def test_balanced_classes_are_counted_on_the_pictures_that_teach(run, tmp_path, pictures):
    one = write(tmp_path / "one", [(pictures[0][0], pictures[0][1].astype(np.uint16))])
    words = ["train", "segmentation", one, "-o", tmp_path / "m.safetensors", "--steps", "1", "--count", "1", "--side", "32"]
    how = ["--width", "2", "--depth", "1", "--classes", "background,cell", "--balanced", "--validation", "0"]
    code, printed, error = run(*words, *how)
    assert (code, printed) == (0, "{}\n")
    assert error == "lineage: no picture was left for validation or test: thresholds are as they were, and nothing is scored\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--freeze", "encoder"], "freeze is 'encoder', but new weights know nothing worth keeping: give init, or leave freeze out"),
        (["--punish", "dice"], "--punish is for --classes: name the classes, such as background,nucleus,membrane"),
        (["--seed", "-1"], "seed is -1: give a whole number of at least 0"),
        (["--weights", "inf"], "weights are (inf,): give finite numbers of at least 0"),
    ],
)
def test_what_would_have_no_effect_is_refused(run, tmp_path, folder, options, message):
    assert run("train", "segmentation", folder, "-o", tmp_path / "m.safetensors", *options) == (2, "", f"lineage: {message}\n")


def test_masks_that_number_nothing_are_refused(run, tmp_path, pictures):
    write(tmp_path / "masks", [(image, (255 * (labels > 0)).astype(np.uint8)) for image, labels in pictures])
    code, _, error = run("train", "segmentation", tmp_path / "masks", "-o", tmp_path / "m.safetensors", "--steps", "1")
    assert (code, "has labels that are only 0 and 255: give each cell a number of its own" in error) == (2, True)


def test_slips_in_python_are_said_before_the_training(pictures):
    small = Segmenter.new(SMALL, device="cpu")
    with pytest.raises(ValueError, match=r"^sources are pairs of pictures and labels, .* give \[pairs\]$"):
        small.finetune(pictures)
    nan = (np.full((64, 64), np.nan), pictures[0][1])
    with pytest.raises(ValueError, match=r"^validation pair 1: image has 4096 NaN"):
        small.finetune([pictures], validation=[pictures[0], nan])
    with pytest.raises(ValueError, match=r"^validation pair 0 has an image of shape \(64, 63\)"):
        small.finetune([pictures], validation=[(pictures[0][0][:, 1:], pictures[0][1])])
