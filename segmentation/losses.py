"""What a network is punished for (needs torch). Targets below zero are ignored."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


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


def bce(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy of the known pixels, less the entropy of the target, so that 0 is perfect.

    Args:
        logits: (n, c, [Z,] Y, X).
        target: same shape, in 0..1; a value below 0 is ignored.
    """
    _check(logits, target)
    known = target >= 0
    wanted = torch.where(known, target, 0.0)
    loss = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    entropy = -torch.xlogy(wanted, wanted) - torch.xlogy(1 - wanted, 1 - wanted)
    return ((loss - entropy) * known).sum() / known.sum().clamp(min=1)


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
    axes = [0, *range(2, logits.ndim)]
    miss = (probability - wanted).square().sum(axes)  # sum(p^2) + sum(y^2) - 2 sum(py)
    size = probability.square().sum(axes) + wanted.square().sum(axes)
    return (miss / (size + 1e-6)).mean()


def _check(logits: Tensor, target: Tensor) -> None:
    if logits.shape != target.shape:
        raise ValueError(f"logits {tuple(logits.shape)} and target {tuple(target.shape)} differ in shape: both must be (n, c, [Z,] Y, X)")
