"""Judging: which checkpoint of a training is the best (needs torch)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from restoration.method import Method
from restoration.scales import Scale
from restoration.views import Listed
from restoration.whiteness import whiteness
from segmentation.arrays import AnyArray, FloatArray
from segmentation.tiles import predict
from segmentation.unet import UNetConfig

PROBE = 192  # pixels: side of the pictures by whose residual a network is judged
PLANES = 8  # of a stack
FEW, MANY = 4, 32  # pictures looked at: for the whiteness, and of held-out pairs
SLACK = 0.05  # differences in whiteness below it say nothing, see `judge`


def judge(method: Method, scale: Scale, views: Listed, *, known: bool, device: str = "auto") -> Callable[[Any], float] | None:
    """How to score a network while it learns; higher is better.

    A blind-spot network is judged by the whiteness of its residual, any other by its loss on held-out pairs, if there are some.
    Whiteness tells a network that has learned nothing, copies the noise or smooths too much from a good one, but not two good ones:
    on photographs with noise of standard deviation 25 (width 16, depth 2, batches of 8), it fell from 0.74 to 0.02 while the
    PSNR of 16 held-out ones rose from 20.8 to 25.4 dB (180 steps), and then said 0.02 to 0.03 for all from 25.4 to 26.1 dB (1440 steps).
    Learning from one picture alone it was 0.029 to 0.037 anywhere from 25.9 to 27.0 dB (180 to 840 steps).
    So the last mean of the weights is kept, unless an earlier one was whiter by more than `SLACK`.

    Args:
        method: gives the loss, and whether the network is blind.
        scale: brings pictures to a common range.
        views: to judge by.
        known: whether they are held out; a loss on training pairs says nothing.
        device: "auto", "cpu" or "cuda".
    """
    if not (method.is_blind or known):
        return None
    count = min(len(views), FEW if method.is_blind else MANY)
    rows = sorted({round(k) for k in np.linspace(0, len(views) - 1, count)})
    rng = np.random.default_rng(0)
    pairs = [scale.pair(*views[row], rng) for row in rows]
    if not method.is_blind:
        return lambda network: -float(np.mean([_loss(network, method, *pair, device=device) for pair in pairs]))
    probes: list[FloatArray] = []
    seen: list[float] = []

    def score(network: Any) -> float:  # noqa: ANN401 - a U-Net
        if not probes:
            probes.extend(brightest(shown, network.config) for shown, _ in pairs)
        seen.append(float(np.mean([_penalty(network, probe, device=device) for probe in probes])))
        return latest_good(seen)

    return score


def latest_good(penalties: Sequence[float]) -> float:
    """The score of the last of a row of networks: it beats the earlier ones unless one of them was clearly whiter.

    Args:
        penalties: of the networks so far, lower is better.
    """
    excess = penalties[-1] - min(penalties) - SLACK
    return -excess if excess > 0 else 1e-6 * len(penalties)


def _loss(network: Any, method: Method, shown: FloatArray, wanted: FloatArray, *, device: str) -> float:  # noqa: ANN401 - a U-Net
    said = predict(network, shown, device=device)
    wanted = wanted - shown if method.has_scale else wanted
    return float(method.loss(torch.from_numpy(said[None]), torch.from_numpy(wanted[None])))


def _penalty(network: Any, shown: FloatArray, *, device: str) -> float:  # noqa: ANN401 - a U-Net
    """Mean over the channels that are answered for."""
    answered = network.config.outputs
    first = (len(shown) - answered) // 2

    def answer(channel: int) -> Callable[[FloatArray], FloatArray]:
        def denoise(picture: FloatArray) -> FloatArray:
            changed = shown.copy()
            changed[first + channel] = picture
            return np.asarray(predict(network, changed, tile=None, device=device)[channel])

        return denoise

    return float(np.mean([whiteness(shown[first + k], answer(k)).penalty for k in range(answered)]))


def brightest(picture: AnyArray, config: UNetConfig) -> AnyArray:
    """The part of a picture with the largest contrast, at most 192 pixels along y and x and 8 planes along z.

    Args:
        picture: (C, [Z,] Y, X).
        config: of the network; the sides are multiples of its divisors where the picture is large enough.
    """
    most = (*((PLANES,) if picture.ndim == 4 else ()), PROBE, PROBE)
    sides = [n if n < d else min(n, side) // d * d for n, side, d in zip(picture.shape[1:], most, config.divisors, strict=True)]
    planes = slice((picture.shape[1] - sides[0]) // 2, (picture.shape[1] + sides[0]) // 2)
    lead = (slice(None), planes) if picture.ndim == 4 else (slice(None),)
    places = [
        (*lead, slice(y, y + sides[-2]), slice(x, x + sides[-1]))
        for y in range(0, picture.shape[-2] - sides[-2] + 1, sides[-2])
        for x in range(0, picture.shape[-1] - sides[-1] + 1, sides[-1])
    ]
    return picture[max(places, key=lambda place: float(np.std(picture[place])))]
