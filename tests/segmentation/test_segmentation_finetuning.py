"""From one task to another: what fits is kept, what is frozen stays, what does not fit is named."""

import copy
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from segmentation.decoders.boundary import Boundary
from segmentation.decoders.classes import Classes
from segmentation.decoders.components import Components
from segmentation.finetuning import adapted, blocks, frozen_blocks, matching, rate_factors, with_weights
from segmentation.fit import Schedule
from segmentation.patches import Feed
from segmentation.segmenter import Segmenter
from segmentation.unet import UNet, UNetConfig

SMALL = UNetConfig(width=2, depth=2)
ORDER = ["down.0", "down.1", "down.2", "up.1", "up.0", "head"]
QUICK = {"schedule": Schedule(steps=2, rate=1e-2), "feed": Feed(count=2, side=16)}


@pytest.fixture(scope="module")
def model():
    made = Segmenter.new(SMALL, device="cpu")
    for name, value in made.network.state_dict().items():
        if "running_var" in name:  # as if it had seen something
            value.mul_(1.5)
    return made


@pytest.fixture(scope="module")
def pairs(make_discs):
    return [make_discs(np.random.default_rng(seed), side=32, count=3, radius=(3, 5)) for seed in range(3)]


def answers(network, picture):
    with torch.inference_mode():
        return network.eval()(picture)


def test_blocks_are_named_in_the_order_of_the_computation(model):
    assert blocks(model.network) == ORDER


@pytest.mark.parametrize(
    ("freeze", "names"),
    [
        ((), []),
        ("", []),
        (0, []),
        (2, ["down.0", "down.1"]),
        ("2", ["down.0", "down.1"]),
        ("encoder", ["down.0", "down.1", "down.2"]),
        ("decoder", ["up.1", "up.0"]),
        ("all but head", ORDER[:-1]),
        ("up.0, down.0", ["down.0", "up.0"]),
        (["encoder", "up.1"], ORDER[:4]),
    ],
)
def test_frozen_parts_are_named(model, freeze, names):
    assert frozen_blocks(model.network, freeze) == names


@pytest.mark.parametrize("freeze", ["encoder", "all but head", 1])
def test_frozen_parts_and_their_statistics_do_not_move(model, pairs, freeze):
    tuned = model.finetune([pairs], freeze=freeze, **QUICK)
    still = frozen_blocks(model.network, freeze)
    old = model.network.state_dict()
    moved = {name for name, value in tuned.network.state_dict().items() if not torch.equal(value, old[name])}
    for block in ORDER:
        names = {name for name in old if name.replace("widen", "up").startswith(f"{block}.")}
        assert not names & moved if block in still else {name for name in names if not name.endswith("bias")} <= moved
    assert all(weights.requires_grad for weights in tuned.network.parameters())


def test_a_pretrained_start_and_its_head_survive_when_nothing_changes(model):
    same = adapted(model.network, [0, 1, 2], inputs=1, seed=0)
    assert same is not model.network
    assert all(torch.equal(v, model.network.state_dict()[k]) for k, v in same.state_dict().items())


@pytest.mark.parametrize(("old", "new"), [(1, 3), (3, 1), (2, 3)])
def test_new_input_channels_that_show_the_old_ones_change_no_answer(old, new):
    network = UNet(replace(SMALL, inputs=old)).eval()
    picture = torch.randn(1, 1, 16, 16)
    made = adapted(network, [0, 1, 2], inputs=new, seed=0)
    assert made.config.inputs == new
    there, here = (answers(net, picture.expand(-1, n, -1, -1)) for net, n in ((network, old), (made, new)))
    assert torch.allclose(there, here, atol=1e-5)


def test_outputs_of_the_same_name_keep_their_weights(model):
    rows = matching(("foreground", "boundary", "distance"), ("distance", "flow", "foreground"))
    assert rows == [2, None, 0]
    assert matching(("a",), ("a",), head="new") == [None]
    with pytest.raises(ValueError, match=r"^head is 'huh': give 'same' or 'new'$"):
        matching(("a",), ("a",), head="huh")
    made = adapted(model.network, [*rows, None], inputs=1, seed=5)
    again, other = (adapted(model.network, [*rows, None], inputs=1, seed=seed) for seed in (5, 6))
    assert made.config.outputs == 4
    picture = torch.randn(1, 1, 16, 16)
    old, new = answers(model.network, picture), answers(made, picture)
    assert torch.allclose(new[:, 0], old[:, 2], atol=1e-6) and torch.allclose(new[:, 2], old[:, 0], atol=1e-6)
    assert torch.equal(made.head.weight, again.head.weight) and not torch.equal(made.head.weight, other.head.weight)


def test_another_decoder_and_more_channels_are_learned(model, pairs):
    two = [(np.stack([image, -image]), labels) for image, labels in pairs]
    tuned = model.finetune([two], decoder=Components(), inputs=2, validation=two[:1], **QUICK)
    assert isinstance(tuned.decoder, Components) and tuned.network.config.outputs == len(Components().channels)
    assert tuned.predict(two[0][0]).shape == (32, 32)
    assert model.network.config == SMALL and isinstance(model.decoder, Boundary)


def test_classes_are_judged_by_dice_and_drawn(model, pairs, tmp_path):
    two = [(image, np.minimum(labels, 1)) for image, labels in pairs]
    tuned = model.finetune([two], decoder=Classes(names=("ground", "cell")), validation=two[:1], folder=tmp_path, **QUICK)
    score = float((tmp_path / "log.csv").read_text().splitlines()[-1].split(",")[2])
    untuned = replace(tuned, decoder=Classes(names=("ground", "cell")))
    assert score == pytest.approx(untuned.quality(two[:1])["dice_image_mean"])
    assert (tmp_path / "examples.png").is_file()


def test_a_new_head_forgets_the_old_one_and_a_rate_of_its_own(model, pairs):
    feed = replace(QUICK["feed"], seed=8)
    how = QUICK | {"feed": feed, "rate": 1e-9}
    kept, fresh = (model.finetune([pairs], head=head, **how).network.head.weight for head in ("same", "new"))
    old = model.network.head.weight
    assert torch.allclose(kept, old, atol=1e-6) and not torch.allclose(fresh, old, atol=1e-2)


def test_rates_fade_from_the_head_to_the_picture(model):
    factors = rate_factors(model.network, 0.5)
    assert factors["head.weight"] == 1 and factors["up.0.0.weight"] == factors["widen.0.weight"] == 0.5
    assert factors["down.0.0.weight"] == 0.5**5
    assert factors.keys() == {name for name, _ in model.network.named_parameters()}


@pytest.mark.parametrize("shape", [(8, 32, 32), (5, 20, 40)])
def test_stacks_are_learned_with_patches_of_their_own_shape(shape):
    config = UNetConfig(dims=3, width=2, depth=1, pooling=((1, 2, 2),))
    rng = np.random.default_rng(0)
    labels = np.zeros(shape, np.int32)
    labels[2:4, 5:12, 6:14] = 1
    feed = Feed(count=2, side=(3, 16, 12))
    model = Segmenter.train([[(rng.random(shape), labels)]], config=config, schedule=Schedule(steps=2), feed=feed, device="cpu")
    assert model.predict(rng.random(shape)).shape == shape


def wrapped(tensors):
    return {"epoch": torch.tensor(3), "state_dict": {f"module.{name}": value for name, value in tensors.items()}}


@pytest.mark.parametrize("kind", ["safetensors", "pt", "wrapped"])
def test_a_state_dict_of_the_same_architecture_is_taken(model, tmp_path, kind):
    tensors = {name: value for name, value in model.network.state_dict().items() if "num_batches" not in name}
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pt")
    if kind == "safetensors":
        save_file(tensors, path)
    else:
        torch.save(wrapped(tensors) if kind == "wrapped" else tensors, path)
    made = with_weights(UNet(SMALL), path)
    picture = torch.randn(1, 1, 16, 16)
    assert torch.equal(answers(made, picture), answers(model.network, picture))


class Code:
    def __reduce__(self):
        return print, ("code was run",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.update({"down.1.0.weight": torch.zeros(4, 9, 3, 3)}),
            "{path} belongs to another network: its tensor down.1.0.weight has shape (4, 9, 3, 3), wanted (4, 2, 3, 3)",
        ),
        (lambda t: t.pop("head.bias"), "{path} belongs to another network: it lacks the tensor head.bias of shape (3,)"),
        (lambda t: t.update(extra=torch.zeros(1)), "{path} belongs to another network: its tensor extra has no place here"),
    ],
)
def test_the_first_tensor_that_does_not_fit_is_named(model, tmp_path, change, message):
    path, network = tmp_path / "w.pt", UNet(SMALL)
    tensors, before = dict(model.network.state_dict()), copy.deepcopy(network)
    change(tensors)
    torch.save(tensors, path)
    with pytest.raises(ValueError, match=f"^{re.escape(message.format(path=path))}$"):
        with_weights(network, path)
    assert all(torch.equal(v, before.state_dict()[k]) for k, v in network.state_dict().items())


def test_code_in_a_file_of_weights_is_not_run(tmp_path, capsys):
    torch.save({"a": Code()}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=f"^{re.escape(str(tmp_path / 'w.pt'))} cannot be read as tensors alone: [^\n]+$"):
        with_weights(UNet(SMALL), tmp_path / "w.pt")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda m, p: m.finetune([p], freeze="stem"),
            "freeze names 'stem': give a number, encoder, decoder, all but head, or some of down.0, down.1, down.2, up.1, up.0, head",
        ),
        (lambda m, p: m.finetune([p], freeze=6), "freeze is 6: give a number of blocks in 0..5"),
        (lambda m, p: m.finetune([p], freeze=ORDER), "all weights are frozen: leave some free to learn"),
        (lambda m, p: m.finetune([p], fade=0), "fade is 0: give a number above 0, at most 1"),
        (
            lambda m, p: m.finetune([p], feed=Feed(side=30)),
            "side is 30: the network takes multiples of (4, 4) pixels, for example (32, 32)",
        ),
        (
            lambda m, p: m.finetune([p], feed=Feed(side=4, count=1)),
            "side is 4 and count 1: batch norm has nothing to compare; give larger or more patches",
        ),
        (lambda m, p: m.finetune([p], feed=Feed(side=(8, 16, 16))), "side is (8, 16, 16): give one number, or one for each of 2 axes"),
        (
            lambda m, p: m.finetune([p[:1]], inputs=2, **QUICK),
            "pair 0 of source 0 has 1 channel(s), its image has shape (32, 32): the network takes 2",
        ),
        (
            lambda m, p: m.finetune([[(np.stack([i] * 3), labels) for i, labels in p[:1]]], **QUICK),
            "pair 0 of source 0 has 3 channel(s), its image has shape (3, 32, 32): the network takes 1",
        ),
        (
            lambda m, p: m.finetune([[(np.full_like(i, np.nan), labels) for i, labels in p[:1]]], **QUICK),
            "pair 0 of source 0: image has 1024 NaN or infinite pixels, the first at (0, 0): replace them by finite values",
        ),
        (
            lambda m, p: m.finetune([[(i, 0 * labels) for i, labels in p]], **QUICK),
            "none of the 3 label pictures has a cell: give at least one with a number above 0",
        ),
        (
            lambda m, p: m.finetune([[(np.ones((4, 8, 8)), np.ones((4, 8, 8), int))]], **QUICK),
            "labels have shape (4, 8, 8): the network takes pictures of 2 spatial axes",
        ),
        (lambda m, p: with_weights(m.network, p), "nowhere.pt is not a file: give weights, .safetensors or a PyTorch state dict"),
    ],
)
def test_bad_requests_are_refused(model, pairs, call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call(model, Path("nowhere.pt") if "nowhere" in message else pairs)


def test_one_pixel_cells_and_empty_pictures_are_learned_from(model):
    rng = np.random.default_rng(0)
    dot = np.zeros((20, 20), np.int32)
    dot[7, 9] = 1
    tuned = model.finetune(
        [[(rng.random((20, 20)), dot), (rng.random((20, 20)), 0 * dot), (np.zeros((3, 5)), np.zeros((3, 5), int))]], **QUICK
    )
    assert all(torch.isfinite(weights).all() for weights in tuned.network.parameters())
