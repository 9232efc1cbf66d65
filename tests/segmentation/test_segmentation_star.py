"""Stars as a decoder: labels -> targets -> as if the network said exactly that -> the labels again; loss; bad input."""

import json
import re
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from segmentation.decoders.star import Star
from segmentation.quality import count

STRETCHED = (3.0, 1.0, 1.0)
DEEP = Star(rays=32, dims=3, spacing=STRETCHED)


def blobs(shape, n, size, seed, spacing=None):
    """Ellipsoids that push each other aside: a pixel belongs to the one in which it lies deepest."""
    rng = np.random.default_rng(seed)
    step = np.ones(len(shape)) if spacing is None else np.array(spacing)
    places = np.indices(shape).reshape(len(shape), -1).T * step
    deepest, labels = np.ones(len(places)), np.zeros(len(places), np.int32)
    for cell in range(1, n + 1):
        turn = np.linalg.qr(rng.normal(size=(len(shape),) * 2))[0] / (size * rng.uniform(0.8, 1.3, len(shape)))
        middle = rng.uniform(0.1, 0.9, len(shape)) * shape * step
        away = np.linalg.norm((places - middle) @ turn, axis=1)
        labels[away < deepest] = cell
        deepest = np.minimum(deepest, away)
    return labels.reshape(shape)


def box(shape, *sides):
    labels = np.zeros(shape, np.int32)
    for cell, side in enumerate(sides, 1):
        labels[tuple(slice(*s) for s in side)] = cell
    return labels


def fit(labels, found):
    """Mean over the cells of the IoU with what was found of them."""
    both = count(labels, found, (0.5,))
    return float(both.iou[0] / (both.hits + both.missed)[0])


def raw(said, unit):
    """Answers that `read` turns into what was said."""
    far = np.maximum(np.abs(said[1:]) / unit, 1e-4)
    return np.concatenate([np.log(said[:1].clip(1e-6, 1 - 1e-6) / (1 - said[:1].clip(1e-6, 1 - 1e-6))), np.log(np.expm1(far))])


CROWD = blobs((80, 90), 14, 9, 0)
VOLUME = blobs((12, 40, 44), 7, 9, 1, STRETCHED)


@pytest.mark.parametrize(
    ("star", "labels"),
    [(Star(), CROWD), (Star(complete=False, every=2), CROWD), (Star(rays=12), blobs((70, 70), 12, 6, 3)), (DEEP, VOLUME)],
)
def test_what_is_said_exactly_comes_back(star, labels):
    said = star.targets(labels)
    assert said.dtype == np.float32 and said.shape == (len(star.channels), *labels.shape)
    found = star(said)
    assert found.dtype == np.int32 and found.max() == len(np.unique(labels)) - 1
    assert fit(labels, found) > 0.93 and fit(labels, found) > fit(labels, replace(star, consensus=False)(said)) > 0.85


@pytest.mark.parametrize("star", [Star(), DEEP])
@pytest.mark.parametrize("shape", [(0, 0, 0), (1, 1, 1), (6, 7, 9)])
def test_where_nothing_is_said_nothing_is_found(star, shape):
    for labels in (np.zeros(shape[-star.dims :], np.int32), np.full(shape[-star.dims :], -1)):
        assert (star(star.targets(labels)) == 0).all() and len(star.objects(star.targets(labels))) == 0


@pytest.mark.parametrize("star", [Star(), DEEP])
def test_cells_of_one_pixel_and_cells_cut_by_the_rim_come_back(star):
    shape = (5, 9, 11)[-star.dims :]
    labels = np.zeros(shape, np.int32)
    labels[(2,) * star.dims] = labels[(0,) * star.dims] = 1
    labels[(0,) * star.dims] = 2
    assert ((star(star.targets(labels)) > 0) == (labels > 0)).all()
    labels[(*[slice(1, 4)] * (star.dims - 2), slice(2, 6), slice(7, None))] = 3
    found = star(star.targets(labels))
    assert fit(labels, found) > 0.9 and found.max() == 3
    assert replace(star, smallest=2)(star.targets(labels)).max() == 1


def test_one_cell_that_fills_the_picture_comes_back():
    labels = np.full((24, 30), 9)
    assert (Star()(Star().targets(labels)) == 1).mean() > 0.95
    everywhere = np.full((33, 24, 30), 0.5, np.float32)
    everywhere[1:] = 6
    found = Star(probability=0.4)(everywhere)  # equal pixels: stars side by side, the first in the picture first
    assert found[0, 0] == 1 and found.max() > 2 and (found == Star(probability=0.4)(everywhere)).all()
    assert (Star(probability=0.5)(everywhere) == 0).all()


@pytest.mark.parametrize("axis", [0, 1])
def test_a_mirrored_picture_has_mirrored_cells(axis):
    mirrored = Star()(Star().targets(np.flip(CROWD, axis)))
    assert fit(Star()(Star().targets(CROWD)), np.flip(mirrored, axis)) > 0.97


def test_objects_are_ordered_by_probability_and_drawn_one_over_the_other():
    said = Star().targets(CROWD)
    said[0][CROWD == 3] *= 0.8
    stars = Star().objects(said)
    assert (np.diff(stars.probabilities) <= 0).all() and stars.probabilities[-1] == pytest.approx(0.8)
    assert (stars.probabilities == said[(0, *stars.points.T)]).all() and CROWD[tuple(stars.points[-1])] == 3
    assert stars.corners.shape == (14, 128, 2) and len(stars.rays) == 128
    drawn = stars.drawn(CROWD.shape)
    assert (drawn[tuple(stars.points.T)] == np.arange(1, 15)).all() and (stars.drawn(CROWD.shape, 0.5) > 0).sum() < (drawn > 0).sum() / 3
    two = np.zeros((33, 20, 20), np.float32)
    two[0, 10, 8], two[0, 10, 12], two[1:] = 0.7, 0.9, 4
    assert Star(overlap=0.5)(two)[10, 9] == 1  # the better one is on top
    assert Star(overlap=0.2)(two).max() == 1


def test_stars_are_sought_on_a_grid_and_away_from_the_rim():
    said = Star().targets(CROWD)
    assert (Star(every=4).objects(said).points % 4 == 0).all()
    points = Star(border=12).objects(said).points
    assert len(points) and points.min() >= 12 and (points < np.array(CROWD.shape) - 12).all()


def test_a_network_that_finds_a_middle_everywhere_is_not_followed_everywhere():
    """In 3D no more than an eighth of the pixels are looked at, and those are the most probable."""
    said = np.full((97, 8, 16, 16), 0.01, np.float32)  # stars that hardly meet
    said[0] = np.random.default_rng(0).uniform(0.5, 0.6, said[0].shape)
    found = Star(dims=3, overlap=1.0, consensus=False).objects(said)
    assert 0 < len(found) <= said[0].size // 8
    assert found.probabilities.min() >= np.quantile(said[0], 0.87)


def test_outlines_average_the_noise_of_single_pixels():
    said = Star().targets(CROWD)
    said[1:] *= np.exp(np.random.default_rng(0).normal(0, 0.2, said[1:].shape))
    assert fit(CROWD, Star()(said)) > fit(CROWD, Star(consensus=False)(said)) + 0.03


def test_a_flood_of_the_probability_reaches_where_rays_do_not():
    horseshoe = np.minimum(box((40, 40), ((5, 35), (5, 12)), ((28, 35), (12, 35)), ((5, 28), (28, 35))), 1)
    said = Star().targets(horseshoe)
    said[0, :, 12:] *= 0.3  # its middle is in one arm
    assert fit(horseshoe, Star(rim=0.05)(said)) > 0.95 and Star()(said).max() == 1
    assert (Star()(said)[horseshoe == 1] == 0).mean() > 0.3


@pytest.mark.parametrize("star", [Star(rays=8, unit=7.0), replace(DEEP, rays=8)])
def test_the_loss_is_least_where_the_network_is_right(star):
    labels = CROWD if star.dims == 2 else VOLUME
    wanted = star.targets(labels)
    right = raw(np.maximum(wanted, 0) + 2 * np.maximum(-wanted, 0), star.unit)  # what is at least d may be 2 d
    target = torch.from_numpy(wanted)[None]
    assert star.loss(torch.from_numpy(right)[None].float(), target) < 1e-3
    assert star.read(right)[0] == pytest.approx(np.maximum(wanted[0], 0), abs=1e-5)
    assert np.maximum(star.read(right)[1:], 0)[wanted[1:] > 0] == pytest.approx(wanted[1:][wanted[1:] > 0], rel=1e-4)
    for wrong in (right * [[[-1]]] if star.dims == 2 else right * -1.0, right + 1, right - 1):
        assert star.loss(torch.from_numpy(wrong)[None].float(), target) > 0.1


def test_a_ray_cut_off_by_the_picture_may_be_longer_but_not_shorter():
    labels = np.ones((6, 6), np.int32)
    star = Star(rays=4)
    wanted = torch.from_numpy(star.targets(labels))[None]
    losses = [float(star.loss(torch.from_numpy(raw(star.targets(labels) * part, star.unit))[None], wanted)) for part in (0.5, 1, 3)]
    assert (wanted[:, 1:] < 0).all() and losses[0] > losses[1] + 0.05
    cut = replace(star, complete=False)
    assert (torch.from_numpy(cut.targets(labels)) == wanted[0].abs()).all()
    far, near = (torch.from_numpy(raw(cut.targets(labels), cut.unit))[None] for _ in range(2))
    far[:, 1:] += 2
    assert star.loss(far, wanted) == pytest.approx(float(star.loss(near, wanted)), abs=1e-3)
    assert cut.loss(far, wanted.abs()) > cut.loss(near, wanted.abs()) + 0.1


def test_unknown_pixels_have_no_influence_on_the_loss():
    labels = CROWD.copy()
    labels[:, 30:50] = -1
    wanted = torch.from_numpy(Star(rays=8).targets(labels))[None]
    answers = torch.from_numpy(np.random.default_rng(0).normal(size=wanted.shape).astype(np.float32)).requires_grad_()
    Star(rays=8).loss(answers, wanted).backward()
    assert (answers.grad[0][:, labels < 0] == 0).all() and (answers.grad[0][:, labels >= 0] != 0).any()
    nothing = torch.from_numpy(Star(rays=8).targets(np.full_like(labels, -1)))[None]
    assert Star(rays=8).loss(answers, nothing) == 0


def test_answers_that_follow_the_loss_become_the_cells():
    labels = blobs((32, 36), 4, 6, 4)
    star = Star(rays=16).sized([labels])
    wanted = torch.from_numpy(star.targets(labels))[None]
    answers = torch.zeros_like(wanted, requires_grad=True)
    adam = torch.optim.Adam([answers], lr=0.2)
    for _ in range(60):
        adam.zero_grad()
        star.loss(answers, wanted).backward()
        adam.step()
    assert fit(labels, star(star.read(answers[0].detach().numpy()))) > 0.9


def test_the_unit_is_the_median_radius():
    labels = box((20, 20), ((0, 3), (0, 3)), ((5, 12), (5, 12)), ((14, 19), (14, 19)))
    assert Star().sized([labels]).unit == Star().sized([labels, labels]).unit == round((25 / np.pi) ** 0.5, 2)
    assert Star(dims=3, spacing=(0.4, 0.2, 0.2)).sized([np.ones((2, 3, 4), int)]).unit == round((48 * 3 / 4 / np.pi) ** (1 / 3), 2)


@pytest.mark.parametrize("star", [Star(), DEEP, Star(rays=((1, 0), (0.0, 1), (-1, 0), (0, -1)), probability=0.3)])
def test_a_decoder_survives_being_written_down(star):
    again = Star(**json.loads(json.dumps(asdict(star))))
    assert again == star and hash(again) == hash(star) and again.aims is star.aims
    assert len(star.channels) == 1 + len(star.aims) and star.channels[:2] == ("probability", "distance 0")
    for name, values in star.grid.items():
        assert all(getattr(replace(star, **{name: value}), name) == value for value in values)


def with_nan():
    said = np.zeros((33, 5, 6), np.float32)
    said[4, 2, 3] = np.nan
    return said


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Star()(with_nan()), "what the network said holds 1 values that are not finite: give finite ones"),
        (lambda: Star()(np.zeros((32, 5, 6))), "what the network said has shape (32, 5, 6): give (33, Y, X)"),
        (lambda: Star(dims=3)(np.zeros((97, 5, 6))), "what the network said has shape (97, 5, 6): give (97, Z, Y, X)"),
        (lambda: Star().targets(CROWD * 1.0), "labels have shape (80, 90) and dtype float64: give integers with 2 axes"),
        (lambda: Star().targets(VOLUME), "labels have shape (12, 40, 44) and dtype int32: give integers with 2 axes"),
        (lambda: Star().sized([CROWD * 0]), "the labels hold no cell: give pictures with at least one label above 0"),
        (lambda: Star().sized([]), "the labels hold no cell: give pictures with at least one label above 0"),
        (
            lambda: Star(overlap=1.5),
            "thresholds are probability 0.5, overlap 1.5, rim 0.0: give probability and rim in 0..1 without 1, overlap in 0..1",
        ),
        (lambda: Star(every=0), "unit is 10.0, every 0, border 0: give unit > 0, every >= 1, border >= 0"),
        (lambda: Star(dims=4), "dims is 4: a star has 2 or 3 spatial axes"),
        (lambda: Star(rays=2), "rays is 2: give at least 3 rays in 2 dimensions"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()
