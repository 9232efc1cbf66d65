"""Classes instead of cells, from targets to training."""

import re
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from segmentation.decoders.classes import LOSSES, Classes, class_scores
from segmentation.fit import Schedule, fit
from segmentation.tiles import predict
from segmentation.unet import UNet, UNetConfig

THREE = Classes(("ground", "nucleus", "membrane"))


def test_targets_are_class_numbers_and_unknown():
    labels = np.array([[0, 1], [2, -5]], np.int32)
    wanted = THREE.targets(labels)
    assert wanted.dtype == np.float32 and wanted.tolist() == [[[0, 1], [2, -1]]]
    assert THREE.targets(labels[None]).shape == (1, 1, 2, 2)


def test_the_likeliest_class_is_taken():
    said = THREE.read(np.array([[[2.0, 0.0, 0.0]], [[1.0, 3.0, 0.0]], [[0.0, 0.0, 0.0]]], np.float32))
    assert said.dtype == np.float32 and np.allclose(said.sum(0), 1) and said[0, 0, 2] == pytest.approx(1 / 3)
    assert THREE(said).dtype == np.int32 and THREE(said).tolist() == [[0, 1, 0]]


def test_a_favoured_class_is_taken_earlier():
    said = np.array([[[0.6, 0.6]], [[0.3, 0.05]], [[0.1, 0.35]]], np.float32)
    assert THREE(said).tolist() == [[0, 0]]
    assert replace(THREE, favour=5.0)(said).tolist() == [[1, 2]]
    assert replace(THREE, favour=1.0 + 1e-9)(said).tolist() == [[0, 0]]


@pytest.mark.parametrize("names", [("ground", "cell"), ("a", "b", "c", "d")])
@pytest.mark.parametrize("punish", LOSSES)
def test_what_is_perfect_is_decoded_to_the_labels_and_costs_nothing(names, punish):
    decoder = Classes(names, punish)
    labels = np.random.default_rng(0).integers(0, len(names), (2, 5, 6)).astype(np.int32)
    answers = 40.0 * np.stack([labels == c for c in range(len(names))]).astype(np.float32)
    assert np.array_equal(decoder(decoder.read(answers)), labels)
    wanted = torch.from_numpy(decoder.targets(labels))[None]
    assert float(decoder.loss(torch.from_numpy(answers)[None], wanted)) == pytest.approx(0, abs=1e-4)
    assert float(decoder.loss(-torch.from_numpy(answers)[None], wanted)) > 0.5


def test_weights_come_from_the_labels():
    labels = np.zeros((10, 10), np.int32)
    labels[:2] = 1
    labels[2, :5] = 2
    assert THREE.balanced([labels]).weights == pytest.approx((100 / 3 / 75, 100 / 3 / 20, 100 / 3 / 5))
    assert THREE.weights == ()


def test_it_survives_a_file():
    decoder = THREE.balanced([np.array([[0, 1, 2]])])
    fields = asdict(decoder)
    assert Classes(**{**fields, "names": list(fields["names"]), "weights": list(fields["weights"])}) == decoder


def test_a_network_learns_classes(make_discs):
    rng, decoder = np.random.default_rng(0), Classes(("ground", "dim", "bright"))

    def batches():
        while True:
            classes = [make_discs(rng, side=32, count=2, radius=(4, 6))[1] for _ in range(4)]
            pictures = [(c + rng.normal(0, 0.1, c.shape)).astype(np.float32) for c in classes]
            yield np.stack(pictures)[:, None], np.stack([decoder.targets(c) for c in classes])

    torch.manual_seed(1)
    network = UNet(UNetConfig(width=4, depth=1, outputs=3))
    fit(network, batches(), decoder.loss, Schedule(steps=80, rate=2e-2), device="cpu")
    pictures, wanted = next(batches())
    found = [decoder(decoder.read(predict(network, picture, device="cpu"))) for picture in pictures]
    assert class_scores(zip(wanted[:, 0].astype(int), found, strict=True), decoder.names)["iou_mean"] > 0.7


def test_scores_by_hand():
    truth = np.array([[0, 0, 1, 1, -1]])
    result = np.array([[0, 1, 1, 0, 2]])
    table = class_scores([(truth, result)], ("ground", "cell", "other"))
    assert table["dice_cell"] == pytest.approx(0.5) and table["iou_cell"] == pytest.approx(1 / 3)
    assert table["iou_ground"] == pytest.approx(1 / 3) and table["iou_other"] == 1  # neither there nor found
    assert table["iou_mean"] == pytest.approx((1 / 3 + 1) / 2)
    assert class_scores([(truth, result)] * 2, ("ground", "cell", "other")) == table


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Classes(("one",)), "names are ('one',): give at least two different classes, the background first"),
        (lambda: Classes(punish="hinge"), "punish is 'hinge': give one of entropy, dice, focal, entropy+dice, focal+dice"),
        (lambda: Classes(weights=(1.0,)), "weights are (1.0,): give 2 numbers of at least 0, one a class, or none"),
        (lambda: Classes(favour=0.0), "favour is 0.0: give a finite number above 0"),
        (
            lambda: THREE.targets(np.array([[3]])),
            "labels hold the number 3: give class numbers 0..2 for ground, nucleus, membrane",
        ),
        (lambda: THREE(np.zeros((2, 4, 4))), "probabilities have shape (2, 4, 4): give (3, [Z,] Y, X)"),
        (
            lambda: class_scores([(np.zeros((1, 2), int), np.zeros((2, 1), int))], ("a", "b")),
            "truth has shape (1, 2) and result (2, 1): give one shape",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()
