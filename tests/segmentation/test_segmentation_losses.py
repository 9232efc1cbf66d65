"""Laws of the losses."""

import math
import re

import numpy as np
import pytest
import torch
from torch.nn import functional

from segmentation.losses import BCEDice, CrossEntropy, Dice, Focal, Sum, balance, bce, soft_dice

LOSSES = [bce, soft_dice, BCEDice()]


def truth(seed=0, shape=(2, 3, 8, 8)):
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) > 0.6).float()


@pytest.mark.parametrize("loss", LOSSES)
def test_perfect_is_zero_and_wrong_is_not(loss):
    target = truth()
    sure = 40 * (2 * target - 1)
    assert float(loss(sure, target)) == pytest.approx(0, abs=1e-5)
    assert float(loss(-sure, target)) > 0.9


def test_what_a_pixel_is_worth_multiplies_its_part():
    target = torch.tensor([[[[1.0, 0.0, -1.0]]]])
    logits, worth = torch.zeros(1, 1, 1, 3), torch.tensor([[[[1.0, 4.0, 9.0]]]])
    assert float(bce(logits, target, worth)) == pytest.approx(math.log(2) * (1 + 4) / 2)
    several = truth()
    assert torch.equal(bce(several - 0.3, several, torch.ones(2, 1, 8, 8)), bce(several - 0.3, several))
    assert float(bce(several - 0.3, several, torch.full((2, 1, 8, 8), 3.0))) == pytest.approx(3 * float(bce(several - 0.3, several)))


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


BINARY = [CrossEntropy(), CrossEntropy((0.5, 3.0)), Dice(), Focal(), Focal(0.5, (0.75, 0.25)), Sum(((1.0, Dice()), (2.0, Focal())))]
CLASSES = [
    CrossEntropy(exclusive=True),
    CrossEntropy((0.3, 1.0, 4.0), exclusive=True),
    Dice(exclusive=True),
    Focal(exclusive=True),
    Focal(0.5, (0.3, 1.0, 4.0), exclusive=True),
    Sum(((1.0, Dice(exclusive=True)), (0.5, CrossEntropy(exclusive=True)))),
]


def numbers(seed=0, shape=(2, 1, 6, 8)):
    return torch.randint(0, 3, shape, generator=torch.Generator().manual_seed(seed))


def answers(seed=1, shape=(2, 3, 6, 8)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def shares(classes):
    return torch.cat([classes == c for c in range(3)], 1).float()


@pytest.mark.parametrize("loss", BINARY)
def test_perfect_is_zero_for_every_binary_loss(loss):
    target = truth()
    assert float(loss(60 * (2 * target - 1), target)) == pytest.approx(0, abs=1e-5)
    assert float(loss(-60 * (2 * target - 1), target)) > 0.2


@pytest.mark.parametrize("loss", CLASSES)
def test_perfect_is_zero_for_every_loss_of_classes(loss):
    target = numbers()
    assert float(loss(60 * shares(target), target)) == pytest.approx(0, abs=1e-5)
    assert float(loss(60 * shares((target + 1) % 3), target)) > 0.2


@pytest.mark.parametrize("loss", [*BINARY, *CLASSES])
def test_unknown_pixels_have_no_influence_and_no_gradient_in_any_loss(loss):
    exclusive = loss in CLASSES
    target = numbers() if exclusive else truth(shape=(2, 3, 6, 8))
    target[..., :3] = -1
    logits = answers().requires_grad_()
    loss(logits, target).backward()
    assert (logits.grad[..., :3] == 0).all() and (logits.grad[..., 3:] != 0).any()
    other = logits.detach().clone()
    other[..., :3] += 5
    assert float(loss(other, target)) == float(loss(logits.detach(), target))
    assert float(loss(other, -torch.ones_like(target))) == 0


@pytest.mark.parametrize("loss", CLASSES)
def test_class_numbers_and_one_channel_a_class_are_the_same(loss):
    target = numbers()
    hot = shares(target)
    unknown = target.clone()
    unknown[..., :2] = -1
    hot_unknown = hot.clone()
    hot_unknown[:, 1, :, :2] = -1  # one channel is enough
    for one, many in ((target, hot), (target.float(), hot), (unknown, hot_unknown)):
        assert float(loss(answers(), one)) == float(loss(answers(), many))


def test_cross_entropy_is_the_library_s():
    logits, target = answers(), numbers()
    expected = functional.cross_entropy(logits, target[:, 0])
    assert float(CrossEntropy(exclusive=True)(logits, target)) == pytest.approx(float(expected), rel=1e-5)
    weights = torch.tensor([0.3, 1.0, 4.0])
    each = functional.cross_entropy(logits, target[:, 0], reduction="none") * weights[target[:, 0]]
    assert float(CrossEntropy((0.3, 1.0, 4.0), exclusive=True)(logits, target)) == pytest.approx(float(each.mean()), rel=1e-5)
    yes = truth(shape=logits.shape)
    expected = functional.binary_cross_entropy_with_logits(logits, yes)
    assert float(CrossEntropy()(logits, yes)) == pytest.approx(float(expected), rel=1e-5)
    expected = functional.binary_cross_entropy_with_logits(logits, yes, pos_weight=torch.tensor(3.0))
    assert float(CrossEntropy((1.0, 3.0))(logits, yes)) == pytest.approx(float(expected), rel=1e-5)


def test_two_classes_are_one_foreground():
    target = truth(shape=(2, 1, 6, 8))
    logits = answers(shape=(2, 1, 6, 8))
    both = torch.cat([torch.zeros_like(logits), logits], 1)
    for weights in ((), (0.6, 3.0)):
        for loss in (CrossEntropy, lambda w, exclusive=False: Focal(2.0, w, exclusive)):
            assert float(loss(weights, exclusive=True)(both, target)) == pytest.approx(float(loss(weights)(logits, target)), rel=1e-5)


def test_focal_by_hand():
    logits = torch.logit(torch.tensor([[[[0.9, 0.2, 0.6]]]]))
    target = torch.tensor([[[[1.0, 0.0, -1.0]]]])
    right, wrong = 0.1**2 * -math.log(0.9), 0.2**2 * -math.log(0.8)
    assert float(Focal()(logits, target)) == pytest.approx((right + wrong) / 2, rel=1e-5)
    assert float(Focal(2.0, (0.75, 0.25))(logits, target)) == pytest.approx((0.25 * right + 0.75 * wrong) / 2, rel=1e-5)
    assert float(Focal(0.0)(logits, target)) == pytest.approx(float(CrossEntropy()(logits, target)), rel=1e-5)


def test_dice_of_classes_by_hand():
    target = torch.tensor([[[[0, 0, 1, -1]]]])
    even = torch.zeros(1, 2, 1, 4)  # 1/2 for either class, three known pixels
    first, second = 1 - 2 * 1.0 / (3 * 0.25 + 2), 1 - 2 * 0.5 / (3 * 0.25 + 1)
    assert float(Dice(exclusive=True)(even, target)) == pytest.approx((first + second) / 2, abs=1e-5)


def test_a_soft_target_that_is_met_costs_no_entropy():
    shares = torch.tensor([0.2, 0.5, 0.3]).reshape(1, 3, 1, 1)
    assert float(CrossEntropy(exclusive=True)(shares.log(), shares)) == pytest.approx(0, abs=1e-6)
    tilted = shares * torch.tensor([0.3, 1.0, 4.0]).reshape(1, 3, 1, 1)
    assert float(CrossEntropy((0.3, 1.0, 4.0), exclusive=True)(tilted.log(), shares)) == pytest.approx(0, abs=1e-6)


def test_a_sum_is_the_sum():
    logits, target = answers(), truth(shape=(2, 3, 6, 8))
    both = Sum(((1.0, CrossEntropy()), (1.0, Dice())))(logits, target)
    assert float(both) == pytest.approx(float(BCEDice()(logits, target)), rel=1e-5)


def test_extreme_answers_give_finite_gradients():
    for exclusive, loss in [(False, loss) for loss in BINARY] + [(True, loss) for loss in CLASSES]:
        target = numbers() if exclusive else truth(shape=(2, 3, 6, 8))
        for size in (0.0, 1e3, -1e3):
            logits = (size * answers()).requires_grad_()
            loss(logits, target).backward()
            assert torch.isfinite(logits.grad).all()


def test_weights_give_every_class_the_same_say():
    labels = np.zeros((10, 10), np.int64)
    labels[0, :5] = 1
    labels[1, :5] = -1
    assert balance([labels], 2) == pytest.approx((95 / (2 * 90), 95 / (2 * 5)))
    assert balance([labels > 0, labels > 0], 2) == pytest.approx((100 / (2 * 95), 10.0))  # 200 pixels, 10 of them: 10 exactly
    assert balance([labels], 3) == pytest.approx((95 / (3 * 90), 95 / (3 * 5), 10.0))  # a class that never occurs
    assert balance([np.zeros((100, 100), np.int64)], 20)[0] == 0.1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: CrossEntropy((1.0, 2.0), exclusive=True)(answers(), numbers()),
            "weights are (1.0, 2.0): give 3 numbers of at least 0, one a class, or none",
        ),
        (lambda: Focal(-1.0), "gamma is -1.0: give a finite number of at least 0"),
        (
            lambda: Dice(exclusive=True)(answers(), numbers() + 1),
            "the target has the class 3: the network has 3 classes, 0..2",
        ),
        (
            lambda: Dice(exclusive=True)(answers(), numbers(shape=(2, 2, 6, 8))),
            "logits (2, 3, 6, 8) and target (2, 2, 6, 8) do not fit: give class numbers (n, 1, [Z,] Y, X) "
            "or one channel a class (n, c, [Z,] Y, X)",
        ),
        (lambda: balance([np.array([0, 2])], 2), "label picture 0 has the class 2: there are 2 classes, 0..1"),
        (lambda: balance([np.array([-1])], 2), "the label pictures have no known pixel: give at least one to count classes in"),
    ],
)
def test_what_cannot_be_punished_is_refused(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()
