"""Laws of the losses."""

import re

import pytest
import torch

from segmentation.losses import BCEDice, bce, soft_dice

LOSSES = [bce, soft_dice, BCEDice()]


def truth(seed=0, shape=(2, 3, 8, 8)):
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) > 0.6).float()


@pytest.mark.parametrize("loss", LOSSES)
def test_perfect_is_zero_and_wrong_is_not(loss):
    target = truth()
    sure = 40 * (2 * target - 1)
    assert float(loss(sure, target)) == pytest.approx(0, abs=1e-5)
    assert float(loss(-sure, target)) > 0.9


def test_a_soft_target_that_is_met_costs_nothing():
    target = torch.tensor([[[[0.2, 0.5, 0.9]]]])
    assert float(BCEDice()(torch.logit(target), target)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_ignored_pixels_have_no_influence_and_no_gradient(loss):
    target = truth()
    target[:, :, :, :3] = -1
    logits = torch.randn(target.shape, generator=torch.Generator().manual_seed(1), requires_grad=True)
    loss(logits, target).backward()
    assert (logits.grad[:, :, :, :3] == 0).all()
    assert (logits.grad[:, :, :, 3:] != 0).any()
    other = logits.detach().clone()
    other[:, :, :, :3] += 5
    assert float(loss(other, target)) == float(loss(logits.detach(), target))


@pytest.mark.parametrize("loss", LOSSES)
def test_everything_ignored_costs_nothing(loss):
    logits = torch.randn(1, 2, 4, 4, requires_grad=True)
    value = loss(logits, -torch.ones(1, 2, 4, 4))
    value.backward()
    assert value.item() == 0
    assert not logits.grad.any()


def test_dice_of_an_empty_target_vanishes_with_the_prediction():
    empty = torch.zeros(1, 1, 4, 4)
    assert float(soft_dice(empty - 30, empty)) == pytest.approx(0, abs=1e-4)
    assert float(soft_dice(empty + 30, empty)) == pytest.approx(1, abs=1e-4)


def test_dice_by_hand_and_as_a_mean_over_channels():
    target = torch.tensor([[[[1.0, 1.0, 0.0, 0.0]], [[1.0, 1.0, 1.0, 1.0]]]])
    half = torch.zeros_like(target)  # p = 1/2 everywhere
    first = 1 - 2 * 1.0 / (4 * 0.25 + 2)
    second = 1 - 2 * 2.0 / (4 * 0.25 + 4)
    assert float(soft_dice(half, target)) == pytest.approx((first + second) / 2, abs=1e-5)


def test_shapes_must_agree():
    message = "logits (1, 1, 4, 4) and target (1, 2, 4, 4) differ in shape: both must be (n, c, [Z,] Y, X)"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        bce(torch.zeros(1, 1, 4, 4), torch.zeros(1, 2, 4, 4))
