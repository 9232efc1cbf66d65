"""What a network is punished for (needs torch). Targets below zero are ignored.

Two families. Channels that do not exclude each other (foreground, boundary): a sigmoid each, targets of the answers' shape.
Classes of which a pixel has exactly one (`exclusive`): a softmax over the channels, targets class numbers or one channel a class.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from segmentation.arrays import IntArray

Loss = Callable[[Tensor, Tensor], Tensor]
LEAST, MOST = 0.1, 10.0  # a class weight stays between them: no class is forgotten, and none drowns the others


@dataclass(frozen=True)
class BCEDice:
    """Binary cross-entropy plus soft Dice, averaged over channels; lower is better, 0 is perfect.

    Args:
        dice: weight of the Dice part against the cross-entropy.
    """

    dice: float = 1.0

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Give the loss of one batch, a scalar.

        Args:
            logits: (n, c, [Z,] Y, X).
            target: same shape, in 0..1; a value below 0 means "unknown" and has no influence.
        """
        return bce(logits, target) + self.dice * soft_dice(logits, target)


def bce(logits: Tensor, target: Tensor, worth: Tensor | None = None) -> Tensor:
    """Binary cross-entropy of the known pixels, less the entropy of the target, so that 0 is perfect.

    Args:
        logits: (n, c, [Z,] Y, X).
        target: same shape, in 0..1; a value below 0 is ignored.
        worth: how much each pixel counts, same shape or (n, 1, [Z,] Y, X); None: 1. A pixel's worth does not depend on what
            else is in the batch: the sum is divided by the number of known pixels.
    """
    _check(logits, target)
    known = target >= 0
    wanted = torch.where(known, target, 0.0)
    loss = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    entropy = -torch.xlogy(wanted, wanted) - torch.xlogy(1 - wanted, 1 - wanted)
    weight = known if worth is None else known * worth
    return ((loss - entropy) * weight).sum() / known.sum().clamp(min=1)


def soft_dice(logits: Tensor, target: Tensor) -> Tensor:
    """One minus soft Dice, 1 - 2 sum(py) / (sum(p^2) + sum(y^2)), over batch and space, mean over channels.

    Milletari, Navab and Ahmadi, "V-Net", 2016. The epsilon stands in the denominator only; where both the
    prediction and the target are empty the loss is 0.

    Args:
        logits: (n, c, [Z,] Y, X).
        target: same shape, in 0..1; a value below 0 is ignored.
    """
    _check(logits, target)
    known = (target >= 0).to(logits.dtype)
    probability = torch.sigmoid(logits) * known
    wanted = target * known
    return _dice(probability, wanted)


@dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy, the mean over known pixels, less its least possible value, so that 0 is perfect.

    Args:
        weights: how much a pixel of each class counts; of (background, foreground) in every channel, or of each class when
            `exclusive`; `balance` finds them from the data. Empty: all alike. A pixel's worth does not depend on what else is
            in the batch: weights multiply, they are not divided by their sum.
        exclusive: softmax over the channels; else a sigmoid for each.
    """

    weights: tuple[float, ...] = ()
    exclusive: bool = False

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Give the loss of one batch, a scalar.

        Args:
            logits: (n, c, [Z,] Y, X).
            target: same shape in 0..1; when `exclusive` also (n, 1, [Z,] Y, X) class numbers 0..c-1. Below 0: unknown.
        """
        ways = _ways(logits, target, self.weights, exclusive=self.exclusive)
        mass = ways.amount.sum(ways.axis, keepdim=True)
        least = torch.xlogy(ways.amount, mass) - torch.xlogy(ways.amount, ways.amount)  # of a soft target: its entropy
        return _mean(ways.amount * -ways.log - least, ways.known)


@dataclass(frozen=True)
class Dice:
    """One minus soft Dice, over batch and space, the mean over channels; blind to how rare a class is.

    Args:
        exclusive: softmax over the channels; else a sigmoid for each, as in `soft_dice`.
    """

    exclusive: bool = False

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Give the loss of one batch, a scalar.

        Args:
            logits: (n, c, [Z,] Y, X).
            target: same shape in 0..1; when `exclusive` also (n, 1, [Z,] Y, X) class numbers 0..c-1. Below 0: unknown.
        """
        if not self.exclusive:
            return soft_dice(logits, target)
        wanted, known = one_hot(logits, target)
        return _dice(torch.softmax(logits, 1) * known, wanted)


@dataclass(frozen=True)
class Focal:
    """Cross-entropy in which pixels that are already right count less: -(1 - p)^gamma log p, the mean over known pixels.

    Lin et al., "Focal Loss for Dense Object Detection", 2017.

    Args:
        gamma: at least 0; 0 is cross-entropy, 2 is the paper's choice.
        weights: as in `CrossEntropy`; the paper has (0.75, 0.25).
        exclusive: softmax over the channels; else a sigmoid for each.
    """

    gamma: float = 2.0
    weights: tuple[float, ...] = ()
    exclusive: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.gamma < float("inf"):
            raise ValueError(f"gamma is {self.gamma}: give a finite number of at least 0")

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Give the loss of one batch, a scalar.

        Args:
            logits: (n, c, [Z,] Y, X).
            target: same shape in 0..1; when `exclusive` also (n, 1, [Z,] Y, X) class numbers 0..c-1. Below 0: unknown.
        """
        ways = _ways(logits, target, self.weights, exclusive=self.exclusive)
        return _mean(ways.amount * torch.exp(self.gamma * ways.other) * -ways.log, ways.known)


@dataclass(frozen=True)
class Sum:
    """Several losses added up.

    Args:
        parts: pairs of a factor and a loss.
    """

    parts: tuple[tuple[float, Loss], ...]

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """Give the loss of one batch, a scalar; the arguments are those of the parts."""
        return torch.stack([factor * part(logits, target) for factor, part in self.parts]).sum()


def balance(labels: Iterable[IntArray], classes: int) -> tuple[float, ...]:
    """Find class weights with which every class has the same say: w = N / (C N_c), kept within 0.1..10.

    Args:
        labels: pictures of class numbers 0..classes-1, any shape; below 0: unknown, not counted. For cells against
            background give `labels > 0` and 2.
        classes: how many there are.

    Returns:
        One weight a class; of a class that never occurs the greatest, 10.
    """
    counts = np.zeros(classes, np.int64)
    for number, picture in enumerate(labels):
        known = np.asarray(picture).astype(np.int64)
        known = known[known >= 0]
        if known.size and known.max() >= classes:
            raise ValueError(f"label picture {number} has the class {known.max()}: there are {classes} classes, 0..{classes - 1}")
        counts += np.bincount(known, minlength=classes)
    if not counts.any():
        raise ValueError("the label pictures have no known pixel: give at least one to count classes in")
    share = counts * classes / counts.sum()
    return tuple(float(w) for w in np.clip(1 / np.maximum(share, 1e-12), LEAST, MOST))


def one_hot(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Turn targets of exclusive classes into one channel a class.

    Args:
        logits: (n, c, [Z,] Y, X).
        target: (n, 1, [Z,] Y, X) class numbers, or (n, c, [Z,] Y, X) shares that add up to 1; below 0: unknown.

    Returns:
        (n, c, [Z,] Y, X) shares, 0 where unknown; and (n, 1, [Z,] Y, X) what is known, 0 or 1; both of the logits' dtype.
    """
    classes = logits.shape[1]
    if target.shape == logits.shape and classes > 1:
        known = (target >= 0).all(1, keepdim=True)
        return torch.where(known, target, 0.0).to(logits.dtype), known.to(logits.dtype)
    if target.shape != (logits.shape[0], 1, *logits.shape[2:]):
        raise ValueError(
            f"logits {tuple(logits.shape)} and target {tuple(target.shape)} do not fit: give class numbers (n, 1, [Z,] Y, X) "
            "or one channel a class (n, c, [Z,] Y, X)"
        )
    if target.numel() and target.max() >= classes:
        raise ValueError(f"the target has the class {int(target.max())}: the network has {classes} classes, 0..{classes - 1}")
    known = target >= 0
    numbers = torch.arange(classes, device=target.device).reshape(1, -1, *[1] * (target.ndim - 2))
    return ((target == numbers) & known).to(logits.dtype), known.to(logits.dtype)


@dataclass(frozen=True, eq=False)
class _Ways:
    """What a pixel can be, along one axis: how much each counts, and the logarithms of its probability and of the contrary."""

    amount: Tensor
    log: Tensor
    other: Tensor
    known: Tensor
    axis: int


def _ways(logits: Tensor, target: Tensor, weights: Sequence[float], *, exclusive: bool) -> _Ways:
    """A pixel is one of the classes (axis 1); or, in every channel, foreground or background (a new axis 0)."""
    count = logits.shape[1] if exclusive else 2
    if len(weights) not in (0, count) or not all(w >= 0 for w in weights):
        raise ValueError(f"weights are {tuple(weights)}: give {count} numbers of at least 0, one a class, or none")
    worth = torch.tensor(weights or (1.0,) * count, dtype=logits.dtype, device=logits.device)
    if not exclusive:
        _check(logits, target)
        known = target >= 0
        wanted = torch.where(known, target, 0.0).to(logits.dtype)
        amount = torch.stack([worth[0] * (1 - wanted) * known, worth[1] * wanted])
        present, absent = functional.logsigmoid(logits), functional.logsigmoid(-logits)
        return _Ways(amount, torch.stack([absent, present]), torch.stack([present, absent]), known, axis=0)
    wanted, known = one_hot(logits, target)
    log = torch.log_softmax(logits, 1)
    other = torch.log((-torch.expm1(log)).clamp(min=torch.finfo(log.dtype).tiny))
    return _Ways(wanted * worth.reshape(1, -1, *[1] * (logits.ndim - 2)), log, other, known, axis=1)


def _mean(values: Tensor, known: Tensor) -> Tensor:
    """Sum over classes, mean over known pixels; unknown ones already count nothing."""
    return values.sum() / known.sum().clamp(min=1)


def _dice(probability: Tensor, wanted: Tensor) -> Tensor:
    """One minus soft Dice of masked channels."""
    axes = [0, *range(2, probability.ndim)]
    miss = (probability - wanted).square().sum(axes)  # sum(p^2) + sum(y^2) - 2 sum(py)
    size = probability.square().sum(axes) + wanted.square().sum(axes)
    return (miss / (size + 1e-6)).mean()


def _check(logits: Tensor, target: Tensor) -> None:
    if logits.shape != target.shape:
        raise ValueError(f"logits {tuple(logits.shape)} and target {tuple(target.shape)} differ in shape: both must be (n, c, [Z,] Y, X)")
