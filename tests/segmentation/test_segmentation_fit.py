"""The training loop: stopped and resumed without a trace, frozen where asked, the mean of the weights with statistics of its own."""

import copy
import json
import os
import re
import signal
import threading
from itertools import count

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from segmentation import fit as fitting
from segmentation import journal
from segmentation.fit import RESUME, History, Schedule, fit
from segmentation.interrupt import undisturbed
from segmentation.journal import examples, outlined
from segmentation.losses import BCEDice
from segmentation.unet import UNet, UNetConfig


@pytest.fixture(autouse=True)
def undrawn(monkeypatch, request):
    """Curves take time; only the test of the log draws them."""
    if "log" not in request.node.name:
        monkeypatch.setattr(journal, "curves", lambda *_, **__: None)


class Supply:
    """Batches that depend on their number alone; remembers which were drawn."""

    def __init__(self):
        self.at, self.drawn = 0, []

    def __iter__(self):
        return self

    def __next__(self):
        rng = np.random.default_rng(self.at)
        self.drawn.append(self.at)
        self.at += 1
        picture = rng.normal(1, 2, (2, 1, 8, 8)).astype(np.float32)
        return picture, (picture > 1).astype(np.float32)

    def skip(self, some):
        self.at += some


def network(seed=0, **more):
    torch.manual_seed(seed)
    return UNet(UNetConfig(width=2, depth=1, outputs=1, **more))


def score(net):
    """Deterministic, and not monotonous."""
    return float(sum(p.sum() for p in net.parameters()).cos())


def train(net, schedule, batches=None, **more):
    return fit(net, batches or Supply(), BCEDice(), schedule, score=more.pop("score", score), device="cpu", **more)


class Stop:
    """Ends a training after so many steps, as Ctrl-C does."""

    def __init__(self, after):
        self.after = after

    def __call__(self, items, _title):
        for done, item in zip(count(), items):
            if done == self.after:
                raise KeyboardInterrupt
            yield item


def equal(a, b):
    return all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())


@pytest.mark.parametrize("cut", [1, 3, 7, 8])
def test_a_run_cut_in_two_equals_the_run_in_one_piece(tmp_path, cut, monkeypatch):
    monkeypatch.setattr(fitting, "SETTLING", 3)
    schedule = Schedule(steps=8, every=3, rate=1e-2, average=0.8)
    whole, halves, last, late = (network() for _ in range(4))
    straight = train(whole, schedule, last=last)
    message = f"training stopped at step {cut}; it can be resumed from {tmp_path}"
    if cut < 8:
        with pytest.raises(KeyboardInterrupt, match=f"^{re.escape(message)}$"):
            train(halves, schedule, folder=tmp_path, progress=Stop(cut))
    else:
        train(halves, schedule, folder=tmp_path)  # resuming what is finished changes nothing
    resumed, supply = network(seed=9), Supply()
    history = train(resumed, schedule, supply, folder=tmp_path, resume=True, last=late)
    assert equal(whole, resumed) and equal(last, late)
    assert (history.step, history.loss, history.score, history.rate) == (straight.step, straight.loss, straight.score, straight.rate)
    assert supply.drawn == list(range(max(0, cut - 3), 8))


def test_the_state_holds_everything_that_moves(tmp_path):
    schedule = Schedule(steps=9, every=4, rate=1e-2, average=0.5)
    with pytest.raises(KeyboardInterrupt, match=r"^training stopped at step \d+; it can be resumed from "):
        train(network(), schedule, folder=tmp_path, progress=Stop(5))
    state = load_file(tmp_path / RESUME)
    kinds = {name.split(".")[0] for name in state}
    assert kinds == {"network", "mean", "best", "optimiser", "random"}
    assert not torch.equal(state["network.head.weight"], state["mean.head.weight"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best.safetensors", "last.safetensors", "log.csv", RESUME]
    assert torch.equal(load_file(tmp_path / "last.safetensors")["head.weight"], state["mean.head.weight"])


def test_batches_that_cannot_skip_are_drawn_again(tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "SETTLING", 2)
    schedule, whole, resumed = Schedule(steps=6, every=3), network(), network()
    train(whole, schedule)
    with pytest.raises(KeyboardInterrupt, match=r"^training stopped at step \d+; it can be resumed from "):
        train(network(), schedule, folder=tmp_path, progress=Stop(5))
    train(resumed, schedule, (batch for batch in Supply()), folder=tmp_path, resume=True)
    assert equal(whole, resumed)


@pytest.fixture
def listening():
    """Ctrl-C arrives, even where the tests were started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("listening")
def test_a_signal_waits_for_the_end_of_the_step(tmp_path):
    net, schedule = network(), Schedule(steps=8, every=4)

    class Interrupted(Supply):
        def __next__(self):
            if self.at == 5:
                os.kill(os.getpid(), signal.SIGINT)
            return super().__next__()

    with pytest.raises(KeyboardInterrupt, match=f"^training stopped at step 6; it can be resumed from {re.escape(str(tmp_path))}$"):
        train(net, schedule, Interrupted(), folder=tmp_path)
    resumed, whole = network(seed=3), network()
    train(whole, schedule)
    train(resumed, schedule, folder=tmp_path, resume=True)
    assert equal(resumed, whole)
    with pytest.raises(KeyboardInterrupt, match=r"^training stopped at step 6; nothing was kept$"):
        train(network(), schedule, Interrupted())


def test_the_handler_of_the_caller_comes_back():
    before, seen = signal.getsignal(signal.SIGINT), []
    try:
        signal.signal(signal.SIGINT, lambda *_: seen.append("handler"))
        with undisturbed():
            os.kill(os.getpid(), signal.SIGINT)
            seen.append("work")
        assert seen == ["work", "handler"]
        worker = threading.Thread(target=lambda: seen.append(undisturbed().__enter__()))
        worker.start()
        worker.join()
        assert seen[-1] is None
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_last_weights_are_not_lost_when_earlier_ones_scored_better():
    scores, once, twice, last = iter([2.0, 1.0]), network(), network(), network()
    train(twice, Schedule(steps=4, every=2), score=lambda _: next(scores), last=last)
    train(once, Schedule(steps=4, every=4), score=None)
    assert equal(last, once) and not equal(twice, once) and not last.training


def test_patience_ends_a_training_that_no_longer_improves():
    scores = iter([1.0, 2.0, 2.0, 1.5, 1.0, 9.0])
    history = train(network(), Schedule(steps=60, every=2, patience=3), score=lambda _: next(scores))
    assert history.score == [1.0, 2.0, 2.0, 1.5, 1.0] and history.best == 1
    assert History().best == -1 and History(step=[1, 2], score=[np.nan, np.nan]).best == 1


def test_the_mean_has_the_statistics_of_its_own_weights(monkeypatch):
    kept = []
    monkeypatch.setattr(
        fitting, "_copy", lambda net: kept.append(copy.deepcopy(net)) or {k: v.clone() for k, v in net.state_dict().items()}
    )
    supply = Supply()
    train(network(), Schedule(steps=12, every=12, rate=3e-2, average=0.9), supply)
    mean = kept[-1]  # as it was validated
    first = mean.down[0][:2]
    again = copy.deepcopy(first)
    again[1].reset_running_stats()
    again[1].momentum = None
    again.train()
    for number in range(12):
        supply.at = number
        again(torch.from_numpy(next(supply)[0]))
    assert first[1].running_mean == pytest.approx(again[1].running_mean.numpy(), abs=1e-6)
    assert first[1].running_var == pytest.approx(again[1].running_var.numpy(), rel=1e-5)
    assert not mean.training and mean.down[0][1].momentum == 0.1


def test_what_is_frozen_stays_to_the_bit():
    net = network()
    for weights in net.down.parameters():
        weights.requires_grad_(False)
    before = copy.deepcopy(net)
    train(net, Schedule(steps=6, every=3, rate=1e-2, average=0.9))
    same = {name for name, value in net.state_dict().items() if torch.equal(value, before.state_dict()[name])}
    assert same == {name for name in net.state_dict() if name.startswith("down.")}  # the running statistics too


def test_factors_slow_down_what_they_name():
    still, free = network(), network()
    factors = {name: 0.0 for name, _ in still.named_parameters() if name != "head.bias"}
    start = copy.deepcopy(still)
    for net, given in ((still, factors), (free, {})):
        train(net, Schedule(steps=4, rate=1e-2, decay=0.5), score=None, factors=given)
    moved = {name for name, value in still.named_parameters() if not torch.equal(value, start.get_parameter(name))}
    assert moved == {"head.bias"}
    assert all(not torch.equal(value, start.get_parameter(name)) for name, value in free.named_parameters())


def test_dropout_resumes_and_the_caller_s_randomness_is_untouched(tmp_path):
    def made(seed):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Dropout(0.5), nn.Conv2d(4, 1, 1))

    schedule, whole = Schedule(steps=6, every=2), made(0)
    state = torch.random.get_rng_state()
    train(whole, schedule, score=None)
    assert torch.equal(torch.random.get_rng_state(), state)
    with pytest.raises(KeyboardInterrupt, match=r"^training stopped at step 3; it can be resumed from "):
        train(made(0), schedule, score=None, folder=tmp_path, progress=Stop(3))
    resumed = made(7)
    train(resumed, schedule, score=None, folder=tmp_path, resume=True)
    assert equal(whole, resumed)


def test_half_precision_learns_nearly_the_same():
    results = []
    for half in (False, None, True):
        net = network()
        results.append(train(net, Schedule(steps=4, every=4, half=half), score=None).loss[-1])
    assert results[0] == results[1] != results[2] == pytest.approx(results[0], rel=0.05)


def test_the_log_has_a_table_and_curves(tmp_path):
    train(network(), Schedule(steps=4, every=2), folder=tmp_path)
    rows = (tmp_path / "log.csv").read_text().splitlines()
    assert rows[0] == "step,loss,score,seconds,rate" and [row.split(",")[0] for row in rows[1:]] == ["2", "4"]
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.glob("*.part"))


def test_outlines_run_along_the_inner_side_of_cells():
    labels = np.zeros((5, 6), int)
    labels[1:4, 1:3], labels[1:4, 3:5] = 1, 2
    shown = outlined(np.zeros((5, 6)), labels, colour=(1.0, 0.0, 0.0))
    assert np.array_equal(shown[..., 0] == 1, labels > 0)  # two pixels wide: each has a neighbour that differs
    assert shown.shape == (5, 6, 3) and (shown[..., 1:] == 0).all()


def test_examples_are_drawn_of_stacks_and_channels_too(tmp_path):
    flat, stack = np.zeros((6, 7), np.int32), np.ones((3, 6, 7), np.int32)
    picture = np.random.default_rng(0).random((2, 3, 6, 7))
    examples(tmp_path / "e.png", [(picture[0, 0], flat, flat), (picture, stack, stack)])
    assert (tmp_path / "e.png").read_bytes().startswith(b"\x89PNG") and len(list(tmp_path.iterdir())) == 1


def tampered(folder, kind):
    path = folder / RESUME
    if kind == "absent":
        return
    fit(network(), Supply(), BCEDice(), Schedule(steps=2), device="cpu", folder=folder)
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    elif kind == "weights":
        save_file({"a": torch.zeros(2)}, path)
    elif kind == "other":
        fit(network(inputs=1), Supply(), BCEDice(), Schedule(steps=2), device="cpu", folder=folder)
        tensors = load_file(path)
        del tensors["network.head.weight"]
        notes = {"step": 2, "seconds": 0, "losses": [], "history": {}, "scaler": {}}
        save_file(tensors, path, metadata={"cytolineage.training": json.dumps(notes)})


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("absent", "there is nothing to resume: {path} is not there; begin anew, without resume"),
        ("cut", "{path} cannot be read as safetensors: [^\n]+"),
        ("weights", "{path} is no state of a training: begin anew, without resume"),
        ("other", "{path} belongs to another network: it lacks the tensor head.weight of shape \\(1, 2, 1, 1\\)"),
    ],
)
def test_what_cannot_be_resumed_is_refused(tmp_path, kind, message):
    tampered(tmp_path, kind)
    with pytest.raises(ValueError, match=f"^{message.format(path=re.escape(str(tmp_path / RESUME)))}$"):
        train(network(), Schedule(steps=4), folder=tmp_path, resume=True)


def frozen():
    net = network()
    net.requires_grad_(False)
    return net


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Schedule(rate=0), "rate is 0: give a positive number"),
        (lambda: Schedule(patience=0), "patience is 0: give an integer of at least 1, or None"),
        (
            lambda: train(network(), Schedule(patience=2), score=None),
            "patience is 2, but nothing is validated: give validation pictures, or no patience",
        ),
        (lambda: train(frozen(), Schedule()), "all weights are frozen: leave some free to learn"),
        (lambda: train(network(), Schedule(), factors={"neck.bias": 1.0}), "the network has no weights neck.bias"),
        (
            lambda: train(network(), Schedule(), resume=True),
            "there is nothing to resume without a folder: name the folder of the training that was stopped",
        ),
    ],
)
def test_bad_requests_are_refused(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()


def test_a_log_that_cannot_be_written_is_said_at_once(tmp_path):
    (path := tmp_path / "m.log").write_text("mine")
    net = network()
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(ValueError, match=f"^the log of the training cannot be written: {re.escape(str(path))} is a file, not a folder$"):
        train(net, Schedule(steps=2), folder=path)
    assert path.read_text() == "mine"
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_state_of_other_frozen_weights_is_refused(tmp_path):
    train(network(), Schedule(steps=2), folder=tmp_path)
    net = network()
    net.head.requires_grad_(False)
    message = f"{tmp_path / RESUME} does not fit the training: other weights were frozen, or their rates were grouped otherwise"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        train(net, Schedule(steps=4), folder=tmp_path, resume=True)
