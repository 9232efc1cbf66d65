"""A segmenter learns, is saved and loaded, and refuses what it cannot take."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from segmentation import segmenter
from segmentation.decoders.boundary import Boundary
from segmentation.finetuning import few
from segmentation.fit import History, Schedule, fit, pick_device
from segmentation.losses import BCEDice
from segmentation.normalise import Percentiles
from segmentation.patches import Feed
from segmentation.segmenter import Segmenter, load
from segmentation.unet import UNet, UNetConfig

SMALL = UNetConfig(width=6, depth=2)
QUICK = Feed(count=6, side=48, seed=3)


@pytest.fixture(scope="module")
def pairs(make_discs):
    return [make_discs(np.random.default_rng(seed)) for seed in range(8)]


@pytest.fixture(scope="module")
def learned(pairs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("log")
    schedule = Schedule(steps=60, every=30, rate=1e-2)
    model = Segmenter.train([pairs[:6]], validation=pairs[6:], config=SMALL, schedule=schedule, feed=QUICK, folder=folder, device="cpu")
    return model, folder


def test_training_on_discs_beats_the_untrained_network(learned, pairs):
    model, _ = learned
    before = Segmenter.new(SMALL, seed=QUICK.seed, device="cpu").quality(pairs[6:])
    after = model.quality(pairs[6:])
    assert before["ap_pooled_0.50"] < 0.2
    assert after["ap_pooled_0.50"] > 0.8


def test_log_and_checkpoints_are_written(learned):
    _, folder = learned
    rows = (folder / "log.csv").read_text().splitlines()
    assert rows[0] == "step,loss,score,seconds,rate" and [r.split(",")[0] for r in rows[1:]] == ["30", "60"]
    assert float(rows[2].split(",")[1]) < float(rows[1].split(",")[1])
    names = ["best.safetensors", "curves.png", "examples.png", "last.safetensors", "log.csv", "resume.safetensors"]
    assert sorted(p.name for p in folder.iterdir()) == names


def test_equal_seeds_give_equal_segmenters_and_the_caller_s_randomness_is_untouched(pairs):
    state = torch.random.get_rng_state()
    schedule = Schedule(steps=3)
    first, again = (Segmenter.train([pairs], config=SMALL, schedule=schedule, feed=QUICK, device="cpu") for _ in range(2))
    other = Segmenter.train([pairs], config=SMALL, schedule=schedule, feed=Feed(count=6, side=48, seed=4), device="cpu")
    image = pairs[0][0]
    assert np.array_equal(first.probabilities(image), again.probabilities(image))
    assert not np.array_equal(first.probabilities(image), other.probabilities(image))
    assert torch.equal(state, torch.random.get_rng_state())


def test_finetune_gives_a_new_segmenter(learned, pairs):
    model, _ = learned
    before = model.probabilities(pairs[0][0])
    tuned = model.finetune([pairs], schedule=Schedule(steps=2), feed=QUICK)
    assert np.array_equal(model.probabilities(pairs[0][0]), before)
    assert not np.array_equal(tuned.probabilities(pairs[0][0]), before)


def test_what_asks_for_a_sure_network_does_not_stay_when_it_learns_something_else(learned, pairs):
    model = replace(learned[0], decoder=Boundary(sure=0.99, smallest=20))
    how = {"schedule": Schedule(steps=2), "feed": QUICK}
    assert not model.predict(pairs[0][0]).any()
    tuned = model.finetune([pairs], **how)
    assert tuned.decoder.sure < 0.99 and replace(tuned.decoder, sure=0.99) == model.decoder
    assert tuned.quality(pairs)["ap_pooled_0.50"] > 0.5
    assert model.finetune([pairs], decoder=model.decoder, **how).decoder == model.decoder  # who gives it means it
    assert Segmenter.train([pairs], config=SMALL, decoder=model.decoder, device="cpu", **how).decoder == model.decoder


@pytest.mark.parametrize(("sizes", "taken"), [([20], [0, 3, 6, 9, 12, 15, 18]), ([2, 9], [0, 1, 0, 3, 6]), ([3] * 9, [0] * 9)])
def test_a_few_pictures_of_each_source(sizes, taken):
    sources = [[(k, k) for k in range(size)] for size in sizes]
    assert [pair[0] for pair in few(sources)] == taken


def test_the_last_weights_win_when_their_thresholds_are_better(learned, pairs, monkeypatch):
    """The score of a checkpoint is taken with thresholds that were for other weights: it may prefer the wrong one."""
    scores = iter([1.0, 0.0])
    monkeypatch.setattr(segmenter, "judge", lambda *_: next(scores))
    how = {"validation": pairs[6:], "schedule": Schedule(steps=60, every=30, rate=1e-2), "feed": QUICK}
    model = Segmenter.train([pairs[:6]], config=SMALL, device="cpu", **how)
    assert np.array_equal(model.probabilities(pairs[0][0]), learned[0].probabilities(pairs[0][0]))  # of step 60, as the true scores choose


def test_tuning_never_lowers_the_score_it_tunes(learned, pairs):
    model, _ = learned
    poor = Segmenter(model.network, model.normalise, Boundary(seed=0.8, mask=0.95, smallest=1), device="cpu")
    better = poor.tune(pairs[6:], {"mask": (0.5, 0.95), "smallest": (1, 20)})
    old, new = (m.quality(pairs[6:])["ap_image_mean"] for m in (poor, better))
    assert new > old and better.decoder.mask == 0.5 and isinstance(better.decoder.smallest, int)


def test_save_and_load_give_the_same_answers(learned, pairs, tmp_path):
    model, _ = learned
    model = Segmenter(model.network, Percentiles(low=2), model.decoder, {"note": "é"}, "cpu")
    model.save(tmp_path / "m.safetensors")
    again = Segmenter.load(tmp_path / "m.safetensors")
    assert (again.normalise, again.decoder, again.about) == (model.normalise, model.decoder, model.about)
    assert np.array_equal(again.probabilities(pairs[0][0]), model.probabilities(pairs[0][0]))
    assert np.array_equal(load(tmp_path / "m.safetensors").predict(pairs[0][0]), model.predict(pairs[0][0]))
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_half_precision_on_disk_is_smaller_and_close(learned, pairs, tmp_path):
    model, _ = learned
    for half in (False, True):
        model.save(tmp_path / f"{half}.safetensors", half=half)
    small = Segmenter.load(tmp_path / "True.safetensors")
    assert (tmp_path / "True.safetensors").stat().st_size < 0.7 * (tmp_path / "False.safetensors").stat().st_size
    assert small.probabilities(pairs[0][0]) == pytest.approx(model.probabilities(pairs[0][0]), abs=0.02)


def test_equal_pixels_give_no_cell(learned):
    for value in (0, 7):
        labels = learned[0].predict(np.full((50, 40), value, np.uint16))
        assert labels.shape == (50, 40) and labels.dtype == np.int32 and not labels.any()
    assert learned[0].predict(np.zeros((0, 9))).shape == (0, 9)


def test_offset_gain_and_dtype_do_not_matter(learned, pairs):
    image = (100 * pairs[0][0].clip(0)).astype(np.uint8)
    shifted = image.astype(np.uint16) * 3 + 32768
    assert learned[0].probabilities(shifted) == pytest.approx(learned[0].probabilities(image), abs=1e-4)


def not_a_model(path, kind):
    if kind == "text":
        path.write_text("hello")
    elif kind == "cut":
        Segmenter.new(SMALL).save(path)
        path.write_bytes(path.read_bytes()[:-100])
    elif kind == "foreign":
        save_file({"a": torch.zeros(3)}, path)
    elif kind == "json":
        save_file({"a": torch.zeros(3)}, path, metadata={"cytolineage": "{"})
    elif kind == "future":
        save_file({"a": torch.zeros(3)}, path, metadata={"cytolineage": json.dumps({"format": "x/2"})})
    else:
        Segmenter.new(SMALL).save(path)
        description = {"format": "cytolineage.segmenter/1", "network": {"width": 3}, "normalise": {}, "decoder": {}}
        description["about"] = {}
        save_file({"a": torch.zeros(3)}, path, metadata={"cytolineage": json.dumps(description)})


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("text", "{path} cannot be read as safetensors: [^\n]+"),
        ("cut", "{path} cannot be read as safetensors: [^\n]+"),
        ("foreign", "{path} is no cytolineage segmenter: its format is None, wanted 'cytolineage.segmenter/1'"),
        ("json", "{path} is no cytolineage segmenter: Expecting property name[^\n]+"),
        ("future", "{path} is no cytolineage segmenter: its format is 'x/2', wanted 'cytolineage.segmenter/1'"),
        ("shapes", r"{path} belongs to another network: it lacks the tensor down\.0\.0\.weight of shape \(3, 1, 3, 3\)"),
    ],
)
def test_foreign_and_broken_files_are_refused_in_one_line(tmp_path, kind, message):
    path = tmp_path / "m.safetensors"
    not_a_model(path, kind)
    with pytest.raises(ValueError, match=f"^{message.format(path=re.escape(str(path)))}$"):
        Segmenter.load(path)


BAD = np.zeros((6, 6))
BAD[1, 2] = np.nan


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda m: m.predict(np.zeros((6, 6, 3))),
            "image has shape (6, 6, 3): this segmenter takes one (Y, X) picture; give one frame and one channel at a time",
        ),
        (
            lambda m: m.predict(BAD),
            "image has 1 NaN or infinite pixels, the first at (1, 2): replace them by finite values",
        ),
        (lambda m: m.tune([]), "tune got no pairs: give at least one labelled picture"),
        (lambda m: Segmenter.load("nowhere"), "nowhere is not a file: give a model that Segmenter.save wrote"),
        (lambda m: load("nuclei-9d"), "no segmenter 'nuclei-9d': give the path of a file or one of cells-phase-2d, nuclei-2d, nuclei-3d"),
        (lambda m: Schedule(steps=0), "steps is 0 and every is 250: give integers of at least 1"),
        (lambda m: Schedule(minutes=0), "minutes is 0: give a positive number or None"),
        (lambda m: pick_device("abacus"), "device 'abacus' is unknown: give 'auto', 'cpu' or 'cuda'"),
        (lambda m: m.finetune([]), "sources have []" + " pairs: give at least one, none empty"),
    ],
)
def test_bad_input_is_refused(learned, call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call(learned[0])


def ones(value=1.0):
    while True:
        yield np.full((1, 1, 8, 8), value, np.float32), np.ones((1, 1, 8, 8), np.float32)


def test_the_best_validation_wins_not_the_last():
    network = UNet(UNetConfig(width=2, depth=1, outputs=1))
    seen, marks = iter([1.0, 3.0, 2.0]), []

    def score(net):
        marks.append({k: v.clone() for k, v in net.state_dict().items()})
        assert not net.training
        return next(seen)

    history = fit(network, ones(), BCEDice(), Schedule(steps=6, every=2), score=score, device="cpu")
    assert isinstance(history, History) and history.step == [2, 4, 6] and history.score == [1.0, 3.0, 2.0]
    assert all(torch.equal(v, marks[1][k]) for k, v in network.state_dict().items())
    assert not all(torch.equal(v, marks[2][k]) for k, v in network.state_dict().items())


def test_time_ends_the_training_and_the_rate_has_fallen_to_zero():
    network = UNet(UNetConfig(width=2, depth=1, outputs=1))
    titles = []

    def bar(items, title):
        titles.append(title)
        return items

    history = fit(network, ones(), BCEDice(), Schedule(steps=10**9, minutes=0.01), device="cpu", progress=bar)
    assert 0.5 < history.seconds[-1] < 5 and titles == ["training"]
    schedule = Schedule(steps=100, minutes=1)
    assert schedule.part_done(10, 30) == 0.5 and schedule.part_done(90, 30) == 0.9
    rates = [schedule.rate_at(p) for p in (0, 0.025, 0.05, 0.5, 1)]
    assert rates[0] < rates[1] < rates[2] == schedule.rate > rates[3] > rates[4] == pytest.approx(0)


def test_a_loss_that_is_no_number_stops_the_training():
    network = UNet(UNetConfig(width=2, depth=1, outputs=1))
    message = "the training loss is nan: lower the learning rate or look at the pictures"
    with pytest.raises(ValueError, match=f"^{message}$"):
        fit(network, ones(np.nan), BCEDice(), Schedule(steps=2), device="cpu")
