"""Every decoder on every animal: labels -> targets -> as if the network said exactly that -> the labels again."""

import json
import re
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from segmentation.decoders import DECODERS, decoder_named, described
from segmentation.decoders.affinity import SOLID, Affinity
from segmentation.decoders.boundary import Boundary
from segmentation.decoders.components import Components
from segmentation.decoders.distance import Distance
from segmentation.quality import count

SPACING = (3.0, 1.0, 1.0)


def crowd(shape, seed, step):
    """Cells that fill the neighbourhood of random centres up to each other; of each the largest connected part."""
    rng, step = np.random.default_rng(seed), np.asarray(step)
    places = np.indices(shape).reshape(len(shape), -1).T * step
    centres = []
    while len(centres) < 9:  # not closer than crumbs would need
        new = rng.random(len(shape)) * (np.array(shape) * step)
        if all(((new - old) ** 2).sum() > 60 for old in centres):
            centres.append(new)
    away = np.sqrt(((places[:, None] - np.array(centres)) ** 2).sum(-1))
    labels = np.where(away.min(1) <= 9, away.argmin(1) + 1, 0).reshape(shape)
    for cell in range(1, len(centres) + 1):
        pieces, _ = ndimage.label(labels == cell)
        labels[(pieces > 0) & (pieces != np.bincount(pieces.ravel())[1:].argmax() + 1)] = 0
    return labels.astype(np.int32)


def disc(labels, place, radius, number, inner=0.0):
    away = np.sqrt(sum((axis - at) ** 2 for axis, at in zip(np.indices(labels.shape), place, strict=True)))
    labels[(away <= radius) & (away >= inner)] = number
    return labels


def ground():
    return np.zeros((40, 48), np.int32)


def touching_discs():
    rows, columns = np.indices((40, 48))
    away = np.array([np.hypot(rows - y, columns - x) for y, x in ((14, 12), (14, 27), (27, 20))])
    return np.where(away.min(0) <= 8, away.argmin(0) + 1, 0).astype(np.int32)


def boxes(shape, *places):
    labels = np.zeros(shape, np.int32)
    for number, place in enumerate(places, 1):
        labels[tuple(slice(*side) for side in place)] = number
    return labels


def banana():
    labels = disc(ground(), (20, 22), 15, 1, inner=8)
    labels[22:] = 0
    return labels


FLAT = {
    "empty": ground(),
    "one cell filling all": ground() + 3,
    "touching discs": touching_discs(),
    "one-pixel cells": boxes((40, 48), ((3, 4), (3, 4)), ((3, 4), (20, 21)), ((30, 31), (30, 31))),
    "touching crumbs": boxes((40, 48), ((5, 6), (5, 7)), ((5, 6), (7, 9)), ((12, 13), (10, 11)), ((12, 13), (11, 12))),
    "ring": disc(ground(), (20, 22), 14, 1, inner=9),
    "nested apart": disc(disc(ground(), (20, 22), 16, 1, inner=9), (20, 22), 6, 2),
    "nested touching": disc(disc(ground(), (20, 22), 16, 1), (20, 22), 8.9, 2),
    "banana": banana(),
    "dumb-bell": np.maximum(disc(disc(ground(), (15, 12), 9, 1), (15, 34), 9, 1), boxes((40, 48), ((13, 18), (12, 34)))),
    "cut by the rim": disc(disc(disc(ground(), (0, 20), 9, 1), (39, 47), 9, 2), (20, 0), 6, 3),
    "slim side by side": boxes((40, 48), ((5, 35), (10, 13)), ((5, 35), (13, 16)), ((5, 35), (16, 19))),
    "high numbers": touching_discs() * 1_000_003,
    "crowd": crowd((48, 64), 0, (1, 1)),
    "other crowd": crowd((48, 64), 2, (1, 1)),
}
DEEP = {
    "empty volume": np.zeros((4, 9, 9), np.int32),
    "two blocks": boxes((8, 16, 24), ((2, 6), (3, 13), (3, 12)), ((2, 6), (3, 13), (12, 21))),
    "stacked slabs": boxes((8, 24, 24), ((1, 4), (4, 18), (4, 18)), ((4, 7), (4, 18), (6, 20))),
    "one voxel": boxes((5, 6, 7), ((2, 3), (3, 4), (3, 4))),
    "crowd volume": crowd((8, 32, 36), 1, SPACING),
}
ZOO = FLAT | DEEP

MADE = {  # as they are for the laws: no cell is too small
    "boundary": Boundary(smallest=1, speck=1, levels=()),
    "components": Components(smallest=1),
    "distance": Distance(smallest=1, smooth=0),
    "affinity": Affinity(smallest=1, stride=1),
}
IN_SPACE = {"distance": {"spacing": SPACING}, "affinity": {"offsets": SOLID}}
BOUND = {"boundary": 0.9, "components": 1.0, "distance": 0.75, "affinity": 1.0}  # IoU with which every cell comes back ...
LIMITS = {  # ... but for these, of which so many cells come back
    "boundary": {
        "touching crumbs": 2,  # all boundary: no seed between them
    },
    "components": {  # what touches is one
        "touching discs": 1,
        "high numbers": 1,
        "touching crumbs": 2,
        "nested touching": 1,
        "slim side by side": 1,
        "two blocks": 1,
        "stacked slabs": 1,
        "crowd": 5,
        "other crowd": 1,
        "crowd volume": 1,
    },
    "distance": {
        "touching crumbs": 2,  # every pixel is the middle of its cell: no valley between seeds
        "dumb-bell": 2,  # two depths, and a centre near both
    },
    "affinity": {},
}
NAMES = [name for name in DECODERS if name in MADE]


def made(name, labels):
    return replace(MADE[name], **(IN_SPACE.get(name, {}) if labels.ndim == 3 else {}))


def numbered(labels):
    return len(np.unique(labels[labels > 0]))


@pytest.mark.parametrize("animal", ZOO)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_said_exactly_comes_back(name, animal):
    labels = ZOO[animal]
    decoder = made(name, labels)
    said = decoder.targets(labels)
    assert said.dtype == np.float32 and said.shape == (len(decoder.channels), *labels.shape)
    found = decoder(np.maximum(said, 0))  # no partner outside the picture
    assert found.dtype == np.int32 and found.shape == labels.shape
    assert sorted(np.unique(found[found > 0])) == list(range(1, numbered(found) + 1))
    assert ((found > 0) == (labels > 0)).all()
    if animal in LIMITS[name]:
        assert numbered(found) == LIMITS[name][animal] != numbered(labels)
    else:
        assert count(labels, found, (BOUND[name],)).ap == 1


@pytest.mark.parametrize("name", NAMES)
def test_unknown_pixels_have_no_influence_on_the_loss(name):
    labels = touching_discs()
    labels[:, 22:32] = -1
    decoder = made(name, labels)
    wanted = torch.from_numpy(decoder.targets(labels))[None]
    answers = torch.from_numpy(np.random.default_rng(0).normal(size=wanted.shape).astype(np.float32)).requires_grad_()
    decoder.loss(answers, wanted).backward()
    assert (answers.grad[0][:, labels < 0] == 0).all()
    assert (answers.grad[0][:, labels >= 0] != 0).any()
    nothing = torch.from_numpy(decoder.targets(np.full_like(labels, -1)))[None]
    assert decoder.loss(answers, nothing) == 0


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_is_least_where_the_network_is_right(name):
    labels = touching_discs()
    decoder = made(name, labels)
    wanted = torch.from_numpy(decoder.targets(labels))[None]
    right = torch.logit(wanted.clamp(1e-6, 1 - 1e-6))
    assert decoder.loss(right, wanted) < 1e-3 < 0.1 < decoder.loss(-right, wanted)
    assert decoder.read(right[0].numpy()) == pytest.approx(wanted[0].clamp(min=0).numpy(), abs=1e-5)


@pytest.mark.parametrize("animal", ["crowd", "high numbers", "crowd volume"])
@pytest.mark.parametrize("name", NAMES)
def test_other_numbers_are_the_same_cells(name, animal):
    labels = ZOO[animal]
    decoder = made(name, labels)
    ids = np.unique(labels)
    other = np.concatenate([[0], np.random.default_rng(0).permutation(len(ids) - 1) * 17 + 5])
    renamed = other[np.searchsorted(ids, labels)]
    assert (decoder.targets(renamed) == decoder.targets(labels)).all()
    assert (decoder.targets(labels.astype(np.int64)) == decoder.targets(labels)).all()


@pytest.mark.parametrize("animal", ["touching discs", "banana", "nested touching", "two blocks"])
@pytest.mark.parametrize("name", NAMES)
def test_a_wider_picture_says_the_same_of_the_same_cells(name, animal):
    labels = ZOO[animal]
    decoder = made(name, labels)
    said = decoder.targets(labels)
    wide = decoder.targets(np.pad(labels, 5))[(slice(None), *[slice(5, -5)] * labels.ndim)]
    assert wide[said >= 0] == pytest.approx(said[said >= 0], abs=1e-6)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", NAMES)
def test_a_mirrored_picture_has_mirrored_cells(name, axis):
    labels = ZOO["other crowd"]
    decoder = made(name, labels)
    once = decoder(np.maximum(decoder.targets(labels), 0))
    again = decoder(np.maximum(decoder.targets(np.flip(labels, axis)), 0))
    assert count(once, np.flip(again, axis), (0.8,)).ap == 1
    if name != "affinity":  # its channels have directions
        assert decoder.targets(np.flip(labels, axis)) == pytest.approx(np.flip(decoder.targets(labels), axis + 1), abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_noise_is_borne(name):
    labels = disc(disc(ground(), (14, 12), 8, 1), (26, 34), 9, 2)
    decoder = replace(MADE[name], smallest=10, **({"smooth": 1.0} if name == "distance" else {}))
    noise = np.random.default_rng(0).normal(0, 0.1, (len(decoder.channels), *labels.shape))
    said = np.clip(np.maximum(decoder.targets(labels), 0) * 0.8 + 0.1 + noise, 0, 1).astype(np.float32)
    assert (count(labels, decoder(said), (0.8,)).ap == 1).all()


@pytest.mark.parametrize("name", NAMES)
def test_small_cells_are_left_out(name):
    labels = disc(disc(ground(), (14, 12), 8, 1), (26, 34), 2, 2)
    assert numbered(MADE[name](np.maximum(MADE[name].targets(labels), 0))) == 2
    decoder = replace(MADE[name], smallest=40)
    assert ((decoder(np.maximum(decoder.targets(labels), 0)) > 0) == (labels == 1)).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_decoder_survives_being_written_down(name):
    decoder = DECODERS[name]()
    words = json.loads(json.dumps(described(decoder)))
    assert decoder_named(words.pop("name"), **words) == decoder
    assert hash(decoder) == hash(DECODERS[name]())
    assert set(decoder.grid) <= {field.name for field in fields(decoder)}
    for threshold, values in decoder.grid.items():
        assert len(values) > 1 and all(getattr(replace(decoder, **{threshold: value}), threshold) == value for value in values)


def test_holes_of_a_cell_are_filled_up_to_a_size_but_not_what_others_border_on():
    ring = boxes((12, 12), ((1, 9), (1, 9)))
    ring[3:7, 3:7] = 0
    assert (Components(holes=16)(Components().targets(ring)) == boxes((12, 12), ((1, 9), (1, 9)))).all()
    assert (Components(holes=15)(Components().targets(ring)) == ring).all()
    assert (Components(holes=200)(Components().targets(1 - np.minimum(ring, 1))) == 1 - np.minimum(ring, 1)).sum() == 144 - 48
    ring[4, 4] = 2
    assert (Components(holes=200, smallest=1)(Components().targets(ring)) == ring).all()


def test_smoothing_joins_what_noise_has_split():
    labels = disc(ground(), (20, 22), 12, 1)
    decoder = Distance(smooth=0)
    said = decoder.targets(labels)
    said[2, 20] *= 0.4  # a furrow through the middle
    assert decoder(said).max() == 2
    assert replace(decoder, smooth=2.0)(said).max() == 1


def test_spacing_makes_a_squeezed_picture_as_good_as_a_full_one():
    full = disc(disc(np.zeros((36, 40), np.int32), (18, 12), 8, 1), (18, 29), 9, 2)
    assert Distance(spacing=(2, 1)).targets(full[::2]) == pytest.approx(Distance().targets(full)[:, ::2], abs=0.15)
    assert not Distance().targets(full[::2]) == pytest.approx(Distance().targets(full)[:, ::2], abs=0.25)


def test_more_evidence_for_parting_gives_more_cells():
    labels = ZOO["crowd"]
    said = np.maximum(Affinity().targets(labels), 0)
    said = np.clip(said * 0.6 + 0.2 + np.random.default_rng(0).normal(0, 0.05, said.shape), 0, 1).astype(np.float32)
    numbers = [Affinity(smallest=1, part=part, stride=1)(said).max() for part in (-0.7, 0.0, 0.7)]
    assert numbers[0] < numbers[1] == 9 < numbers[2]


def test_fewer_far_pairs_still_part_large_cells():
    labels = touching_discs()
    found = Affinity(stride=3)(np.maximum(Affinity().targets(labels), 0))
    assert (count(labels, found, (1.0,)).ap == 1).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: Components(mask=1.0),
            "mask is 1.0, smallest 20, holes 0: give mask in 0..1 and sizes of at least 0 pixels",
        ),
        (lambda: Components()(np.zeros((2, 8, 9))), "probabilities have shape (2, 8, 9): give (1, [Z,] Y, X)"),
        (
            lambda: Distance(deep=-0.1),
            "thresholds are centre 0.5, deep -0.1, mask 0.5: give numbers in 0..1, without 1",
        ),
        (
            lambda: Distance(spacing=[0, 1]),
            "smooth is 1.0 and spacing (0.0, 1.0): give smooth of at least 0 and positive sizes or None",
        ),
        (lambda: Distance()(np.zeros((2, 8, 9))), "distances have shape (2, 8, 9): give (3, [Z,] Y, X)"),
        (
            lambda: Distance(spacing=(2, 1, 1)).targets(ground()),
            "spacing (2.0, 1.0, 1.0) is for 3 axes but the picture has 2: give one size per axis",
        ),
        (
            lambda: Affinity(offsets=((0, 1), (1, 0))),
            "offsets are ((0, 1), (1, 0)): begin with (1, 0), (0, 1), or in 3D (1, 0, 0), (0, 1, 0), (0, 0, 1)",
        ),
        (
            lambda: Affinity(stride=0),
            "mask is 0.5, part 0.0, stride 0: give mask in 0..1, part in -1..1, stride of at least 1",
        ),
        (lambda: Affinity()(np.zeros((3, 8, 9))), "affinities have shape (3, 8, 9): give (9, Y, X)"),
        (lambda: Affinity(offsets=SOLID)(np.zeros((11, 8, 9))), "affinities have shape (11, 8, 9): give (11, Z, Y, X)"),
        (
            lambda: Affinity(offsets=SOLID).targets(ground()),
            "labels have shape (40, 48) but the offsets have 3 axes: give offsets for this picture",
        ),
        (
            lambda: Components().targets(ground() * 1.0),
            "labels have dtype float64: give integers, < 0 where the truth is unknown",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()


@pytest.mark.parametrize("unit", [0.001, 65.0])
@pytest.mark.parametrize("method", [Boundary, Distance])
def test_the_unit_of_the_spacing_does_not_matter(method, unit):
    labels = np.zeros((12, 40), np.int32)
    labels[2:10, 3:19], labels[2:10, 20:36] = 1, 2
    near, far = (method(spacing=(2 * unit, unit)), method(spacing=(2, 1)))
    assert near.spacing == pytest.approx(far.spacing)
    np.testing.assert_allclose(near.targets(labels), far.targets(labels), rtol=1e-5, atol=1e-6)
