"""The training loop: one page, used by every network of the house (needs torch)."""

import copy
import csv
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from segmentation.arrays import FloatArray

Progress = Callable[[Iterable[Any], str], Iterable[Any]]
Batches = Iterator[tuple[FloatArray, FloatArray]]


def silent(items: Iterable[Any], _title: str) -> Iterable[Any]:
    """Show no progress."""
    return items


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn.

    Args:
        steps: largest number of batches.
        minutes: largest duration; the learning rate reaches zero at whichever end comes first.
        rate: highest learning rate.
        warm: share of the training in which the rate rises to it; then it falls as a half cosine to 0.
        decay: weight decay.
        every: batches between two validations.
        half: compute in bfloat16 where that is lawful; 2 to 3 times faster on recent CPUs and GPUs.
        average: share of the running mean of the weights that stays at each step; the mean is what is validated and kept.
            0: the weights themselves. Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992.
    """

    steps: int = 2000
    minutes: float | None = None
    rate: float = 2e-3
    warm: float = 0.05
    decay: float = 1e-2
    every: int = 250
    half: bool = False
    average: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.every < 1:
            raise ValueError(f"steps is {self.steps} and every is {self.every}: give integers of at least 1")
        if self.minutes is not None and not self.minutes > 0:
            raise ValueError(f"minutes is {self.minutes}: give a positive number or None")
        if not 0 <= self.average < 1:
            raise ValueError(f"average is {self.average}: give a number in 0..1, without 1")

    def part_done(self, step: int, seconds: float) -> float:
        """Share of the training that lies behind, 0..1."""
        spent = 0.0 if self.minutes is None else seconds / (60 * self.minutes)
        return min(1.0, max(step / self.steps, spent))

    def rate_at(self, part: float) -> float:
        """Learning rate when this share of the training is done."""
        if part < self.warm:
            return self.rate * max(part / self.warm, 0.01)
        return self.rate * 0.5 * float(1 + np.cos(np.pi * (part - self.warm) / (1 - self.warm)))


@dataclass(frozen=True)
class History:
    """What happened during training; one entry per validation.

    Args:
        step: batches seen.
        loss: mean training loss since the entry before.
        score: validation score, higher is better; NaN without validation.
        seconds: time since the beginning.
    """

    step: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def fit(  # noqa: PLR0913 (keyword-only)
    network: nn.Module,
    batches: Batches,
    loss: Callable[[Tensor, Tensor], Tensor],
    schedule: Schedule,
    *,
    score: Callable[[nn.Module], float] | None = None,
    device: str = "auto",
    folder: Path | None = None,
    progress: Progress = silent,
) -> History:
    """Teach a network; it ends with the weights of its best validation (without one: the last).

    Args:
        network: changed in place; (n, c, [Z,] Y, X) -> the same spatial shape.
        batches: endless pictures and targets, float arrays (n, c, [Z,] Y, X).
        loss: answers, targets -> scalar.
        schedule: how long and how fast.
        score: network -> validation score, higher is better.
        device: "cpu", "cuda" or "auto" (cuda where there is one).
        folder: receives `log.csv`, `best.safetensors` and `last.safetensors`.
        progress: wraps the steps, e.g. to draw a bar; silent by default.
    """
    where = pick_device(device)
    network.to(where)
    _lay_out(network, torch.channels_last)  # in which 2D convolutions are quickest
    mean = copy.deepcopy(network)
    optimiser = torch.optim.AdamW(network.parameters(), lr=schedule.rate, weight_decay=schedule.decay)
    history, losses, best = History(), [], _copy(network)
    start = time.monotonic()
    for step in progress(range(1, schedule.steps + 1), "training"):
        part = schedule.part_done(step - 1, time.monotonic() - start)
        optimiser.param_groups[0]["lr"] = schedule.rate_at(part)
        losses.append(_learn(network, next(batches), loss, optimiser=optimiser, half=schedule.half))
        _blend(mean, network, stay=min(schedule.average, step / (step + 10)))
        done = schedule.part_done(step, time.monotonic() - start) >= 1
        if done or step % schedule.every == 0:
            reached = float("nan") if score is None else _judge(mean, score)
            history.step.append(step)
            history.loss.append(float(np.mean(losses)))
            history.seconds.append(time.monotonic() - start)
            if not history.score or not reached <= max(history.score):
                best = _copy(mean)
            history.score.append(reached)
            losses = []
            _keep(folder, history, best=best, last=mean)
        if done:
            break
    _lay_out(network, torch.contiguous_format)
    network.load_state_dict(best)
    network.eval()
    return history


def pick_device(device: str) -> torch.device:
    """Turn a device's name into a device; "auto" is cuda where there is one, else cpu.

    Args:
        device: "auto", "cpu", "cuda", "cuda:1", ...
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        where = torch.device(device)
    except RuntimeError:
        raise ValueError(f"device {device!r} is unknown: give 'auto', 'cpu' or 'cuda'") from None
    if where.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {device!r} is not there: give 'auto' or 'cpu'")
    return where


def _learn(
    network: nn.Module,
    batch: tuple[FloatArray, FloatArray],
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    optimiser: torch.optim.Optimizer,
    half: bool,
) -> float:
    """One step of gradient descent; gives the loss before it."""
    network.train()
    where = next(network.parameters()).device
    pictures, wanted = (torch.from_numpy(a).to(where) for a in batch)
    if pictures.ndim == 4:
        pictures = pictures.contiguous(memory_format=torch.channels_last)
    with torch.autocast(where.type, torch.bfloat16, enabled=half):
        answers = network(pictures)
    value = loss(answers.float(), wanted)
    if not torch.isfinite(value):
        raise ValueError(f"the training loss is {value.item()}: lower the learning rate or look at the pictures")
    optimiser.zero_grad(set_to_none=True)
    value.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()
    return float(value.detach())


def _lay_out(network: nn.Module, order: torch.memory_format) -> None:
    """Store the weights of 2D convolutions in this order of axes."""
    for weights in network.parameters():
        if weights.ndim == 4:
            weights.data = weights.data.contiguous(memory_format=order)


def _judge(network: nn.Module, score: Callable[[nn.Module], float]) -> float:
    network.eval()
    with torch.inference_mode():
        return float(score(network))


def _blend(mean: nn.Module, network: nn.Module, *, stay: float) -> None:
    """Move the running mean a step towards the network; batch statistics are averaged alike."""
    new = network.state_dict()
    with torch.no_grad():
        for name, value in mean.state_dict().items():
            if value.is_floating_point():
                value.lerp_(new[name], 1 - stay)
            else:
                value.copy_(new[name])


def _copy(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}


def _keep(folder: Path | None, history: History, *, best: dict[str, Tensor], last: nn.Module) -> None:
    """Write the log and both sets of weights, each under a temporary name first."""
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name, tensors in (("best", best), ("last", _copy(last))):
        scratch = folder / f"{name}.safetensors.part"
        scratch.write_bytes(save({k: v.contiguous() for k, v in tensors.items()}))
        scratch.replace(folder / f"{name}.safetensors")
    with (folder / "log.csv").open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(("step", "loss", "score", "seconds"))
        rows.writerows(zip(history.step, history.loss, history.score, history.seconds, strict=True))
