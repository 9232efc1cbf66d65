"""What a restoring network is punished for (needs torch)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

LEAST = 1e-3  # smallest scale that a network can claim, in units of the picture's own scale


def squared(answers: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared error; its best answer is the mean of what may be.

    Args:
        answers: (n, k, [Z,] Y, X).
        wanted: same shape.
    """
    _check(answers, wanted, 1, 1)
    return (answers - wanted).square().mean()


def absolute(answers: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute error; its best answer is the median of what may be.

    Args:
        answers: (n, k, [Z,] Y, X).
        wanted: same shape.
    """
    _check(answers, wanted, 1, 1)
    return (answers - wanted).abs().mean()


def laplace(answers: Tensor, wanted: Tensor) -> Tensor:
    """Negative log-likelihood of a Laplace law at every pixel, |y - m| / b + log 2b. Weigert et al., Nature Methods 2018.

    Args:
        answers: (n, 2k, [Z,] Y, X): k medians m, then k raw scales, of which b is made by `scale_of`.
        wanted: (n, k, [Z,] Y, X).
    """
    _check(answers, wanted, 2, 1)
    middle, raw = answers.chunk(2, dim=1)
    scale = scale_of(raw)
    return ((wanted - middle).abs() / scale + torch.log(2 * scale)).mean()


def scale_of(raw: Tensor) -> Tensor:
    """The scale of a Laplace law from what a network says: softplus plus a thousandth, always positive.

    Args:
        raw: any shape.
    """
    return functional.softplus(raw) + LEAST


def masked(answers: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared error at the blind spots only.

    Args:
        answers: (n, k, [Z,] Y, X).
        wanted: (n, 2k, [Z,] Y, X): k pictures, then k masks, 1 at the blind spots.
    """
    _check(answers, wanted, 1, 2)
    picture, mask = wanted.chunk(2, dim=1)
    return ((answers - picture).square() * mask).sum() / mask.sum().clamp(min=1)


def _check(answers: Tensor, wanted: Tensor, one: int, other: int) -> None:
    """Both must hold the same pixels; channels in the proportion one : other."""
    if answers.shape[0] != wanted.shape[0] or answers.shape[2:] != wanted.shape[2:] or answers.shape[1] * other != wanted.shape[1] * one:
        raise ValueError(
            f"answers {tuple(answers.shape)} and wanted {tuple(wanted.shape)} do not belong together: channels must be {one} : {other}"
        )
