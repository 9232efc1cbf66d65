"""The training loop, used by every network of the house: it can be stopped and resumed without a trace (needs torch)."""

import copy
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from segmentation import journal, resuming
from segmentation.arrays import FloatArray
from segmentation.checkpoints import fill
from segmentation.interrupt import undisturbed

SETTLING = 16  # batches from which the statistics of the mean weights are measured
RESUME = "resume.safetensors"

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
        half: compute with 16-bit floats where that is lawful: bfloat16, or float16 on a GPU without it; 2 to 3 times faster on
            recent CPUs and GPUs. None: on a GPU only.
        average: share of the running mean of the weights that stays at each step; the mean is what is validated and kept.
            0: the weights themselves. Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992.
        patience: validations in a row without a better score after which the training ends; None: it goes on.
    """

    steps: int = 2000
    minutes: float | None = None
    rate: float = 2e-3
    warm: float = 0.05
    decay: float = 1e-2
    every: int = 250
    half: bool | None = None
    average: float = 0.0
    patience: int | None = None

    def __post_init__(self) -> None:
        if self.steps < 1 or self.every < 1:
            raise ValueError(f"steps is {self.steps} and every is {self.every}: give integers of at least 1")
        if self.minutes is not None and not self.minutes > 0:
            raise ValueError(f"minutes is {self.minutes}: give a positive number or None")
        if not self.rate > 0:
            raise ValueError(f"rate is {self.rate}: give a positive number")
        if not 0 <= self.average < 1:
            raise ValueError(f"average is {self.average}: give a number in 0..1, without 1")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience is {self.patience}: give an integer of at least 1, or None")

    def part_done(self, step: int, seconds: float) -> float:
        """Share of the training that lies behind, 0..1."""
        spent = 0.0 if self.minutes is None else seconds / (60 * self.minutes)
        return min(1.0, max(step / self.steps, spent))

    def rate_at(self, part: float) -> float:
        """Learning rate when this share of the training is done."""
        if part < self.warm:
            return self.rate * max(part / self.warm, 0.01)
        return self.rate * 0.5 * float(1 + np.cos(np.pi * (part - self.warm) / max(1 - self.warm, 1e-9)))


@dataclass(frozen=True)
class History:
    """What happened during training; one entry per validation.

    Args:
        step: batches seen.
        loss: mean training loss since the entry before.
        score: validation score, higher is better; NaN without validation.
        seconds: time since the beginning, without interruptions.
        rate: learning rate.
    """

    step: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)

    @property
    def best(self) -> int:
        """Row of the best score; the last row without validation."""
        known = [(score, row) for row, score in enumerate(self.score) if not np.isnan(score)]
        return max(known, key=lambda pair: (pair[0], -pair[1]))[1] if known else len(self.step) - 1


@dataclass
class _Run:
    """All that changes while a network learns, and so all that must be kept to go on later."""

    network: nn.Module
    mean: nn.Module
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    best: dict[str, Tensor]
    history: History = field(default_factory=History)
    losses: list[float] = field(default_factory=list)
    recent: deque[FloatArray] = field(default_factory=lambda: deque(maxlen=SETTLING))
    step: int = 0
    seconds: float = 0.0
    recipe: Mapping[str, Any] = field(default_factory=dict)


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
    resume: bool = False,
    factors: Mapping[str, float] | None = None,
    last: nn.Module | None = None,
) -> History:
    """Teach a network; it ends with the weights of its best validation (without one: the last).

    Weights that need no gradient stay as they are, and so do the statistics of a batch norm whose weights are such.
    A training that is cut and resumed gives the same network, bit for bit on a CPU, as one that is not
    (unless `schedule.minutes` ends it). Ctrl-C waits for the end of a step; what was learned is then in `folder`.

    Args:
        network: changed in place; (n, c, [Z,] Y, X) -> the same spatial shape.
        batches: endless pictures and targets, float arrays (n, c, [Z,] Y, X). When it can `skip(count)`, resuming is
            quick; otherwise the batches of the past are drawn again and thrown away. Their `recipe`, if any, must be the same then.
        loss: answers, targets -> scalar.
        schedule: how long and how fast.
        score: network -> validation score, higher is better.
        device: "cpu", "cuda" or "auto" (cuda where there is one).
        folder: receives `log.csv`, `curves.png`, the weights `best.safetensors` and `last.safetensors`, and
            `resume.safetensors`, with all that is needed to go on.
        progress: wraps the steps, e.g. to draw a bar; silent by default.
        resume: go on where the training that wrote into `folder` was stopped.
        factors: name of a weight -> factor of its learning rate; 1 where not named.
        last: a network of the same architecture that receives the last weights, validated or not.

    Raises:
        ValueError: nothing can be learned, the loss is no number, ``folder`` is a file, or there is nothing to resume, or other batches
            than before.
        KeyboardInterrupt: Ctrl-C; says where the training can go on.
    """
    where = pick_device(device)
    if schedule.patience is not None and score is None:
        raise ValueError(f"patience is {schedule.patience}, but nothing is validated: give validation pictures, or no patience")
    if folder is not None and folder.exists() and not folder.is_dir():  # better said now than when the first weights are to be kept
        raise ValueError(f"the log of the training cannot be written: {folder} is a file, not a folder")
    precision = _precision(schedule.half, where)
    network.to(where)
    _lay_out(network, torch.channels_last)  # in which 2D convolutions are quickest
    with torch.random.fork_rng(devices=[where] if where.type == "cuda" else []):
        run = _begin(network, schedule, factors or {}, scaled=precision is torch.float16)
        run.recipe = getattr(batches, "recipe", {})
        if resume:
            _load(run, folder, batches)
        start = time.monotonic() - run.seconds
        try:
            _judge(run, schedule, score, folder=folder, precision=precision)  # when it was stopped between a step and its validation
            for _ in progress(range(run.step, schedule.steps), "training"):
                if _done(run, schedule):
                    break
                with undisturbed():
                    _set_rate(run.optimiser, schedule.rate_at(schedule.part_done(run.step, time.monotonic() - start)))
                    batch = next(batches)
                    run.recent.append(batch[0])
                    run.losses.append(_learn(run, batch, loss, precision=precision))
                    run.step += 1
                    _blend(run.mean, run.network, stay=min(schedule.average, run.step / (run.step + 10)))
                    run.seconds = time.monotonic() - start
                _judge(run, schedule, score, folder=folder, precision=precision)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_farewell(run, folder)) from None
    _lay_out(network, torch.contiguous_format)
    for ready, weights in ((network, run.best), (last, run.mean.state_dict())):
        if ready is not None:
            ready.load_state_dict(weights)
            ready.eval()
    return run.history


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


def _begin(network: nn.Module, schedule: Schedule, factors: Mapping[str, float], *, scaled: bool) -> _Run:
    """A run at step 0."""
    learning = {name: weights for name, weights in network.named_parameters() if weights.requires_grad}
    unknown = sorted(factors.keys() - {name for name, _ in network.named_parameters()})
    if not learning or unknown:
        raise ValueError(
            f"the network has no weights {', '.join(unknown)}" if unknown else "all weights are frozen: leave some free to learn"
        )
    groups: dict[float, list[nn.Parameter]] = {}
    for name, weights in learning.items():
        groups.setdefault(float(factors.get(name, 1.0)), []).append(weights)
    optimiser = torch.optim.AdamW(
        [{"params": group, "factor": factor} for factor, group in groups.items()], lr=schedule.rate, weight_decay=schedule.decay
    )
    scaler = torch.amp.GradScaler(next(network.parameters()).device.type, enabled=scaled)
    return _Run(network, copy.deepcopy(network), optimiser, scaler, best=_copy(network))


def _precision(half: bool | None, where: torch.device) -> torch.dtype | None:
    """The 16-bit type to compute with, if any."""
    if half is False or (half is None and where.type != "cuda"):
        return None
    return torch.float16 if where.type == "cuda" and not torch.cuda.is_bf16_supported() else torch.bfloat16


def _set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate * group["factor"]


def _learn(
    run: _Run,
    batch: tuple[FloatArray, FloatArray],
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    precision: torch.dtype | None,
) -> float:
    """One step of gradient descent; gives the loss before it."""
    _set_to_learn(run.network)
    where = next(run.network.parameters()).device
    answers = _answer(run.network, batch[0], precision)
    value = loss(answers.float(), torch.from_numpy(batch[1]).to(where))
    if not torch.isfinite(value):
        raise ValueError(f"the training loss is {value.item()}: lower the learning rate or look at the pictures")
    run.optimiser.zero_grad(set_to_none=True)
    run.scaler.scale(value).backward()  # type: ignore[no-untyped-call]
    run.scaler.unscale_(run.optimiser)
    torch.nn.utils.clip_grad_norm_(run.network.parameters(), 1.0)
    run.scaler.step(run.optimiser)
    run.scaler.update()
    return float(value.detach())


def _answer(network: nn.Module, pictures: FloatArray, precision: torch.dtype | None) -> Tensor:
    """What the network says, in the layout and precision of the training."""
    where = next(network.parameters()).device
    given = torch.from_numpy(pictures).to(where)
    if given.ndim == 4:
        given = given.contiguous(memory_format=torch.channels_last)
    with torch.autocast(where.type, precision or torch.bfloat16, enabled=precision is not None):
        answers: Tensor = network(given)
    return answers


def _lay_out(network: nn.Module, order: torch.memory_format) -> None:
    """Store the weights of 2D convolutions in this order of axes."""
    for weights in network.parameters():
        if weights.ndim == 4:
            weights.data = weights.data.contiguous(memory_format=order)


def _set_to_learn(network: nn.Module) -> None:
    """Training mode, but for batch norms with frozen weights: they go on with the statistics they have."""
    network.train()
    for norm in network.modules():
        if isinstance(norm, _BatchNorm) and _frozen(norm):
            norm.eval()


def _frozen(norm: _BatchNorm) -> bool:
    return norm.affine and not norm.weight.requires_grad


def _blend(mean: nn.Module, network: nn.Module, *, stay: float) -> None:
    """Move the running mean a step towards the network."""
    new = network.state_dict()
    with torch.no_grad():
        for name, value in mean.state_dict().items():
            if value.is_floating_point():
                value.lerp_(new[name], 1 - stay)
            else:
                value.copy_(new[name])


def _settle(run: _Run, precision: torch.dtype | None) -> None:
    """Measure the batch statistics of the mean weights on the last batches.

    The mean of the statistics that the passing weights had is not what the mean weights see: their features are others.
    So the mean network is shown some batches, and its statistics are the plain average over these; as in Izmailov et al.,
    "Averaging weights leads to wider optima and better generalization", 2018.
    """
    norms = [m for m in run.mean.modules() if isinstance(m, _BatchNorm) and m.track_running_stats and not _frozen(m)]
    momenta = [norm.momentum for norm in norms]
    _set_to_learn(run.mean)
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average
    with torch.no_grad():
        for pictures in run.recent if norms else ():
            _answer(run.mean, pictures, precision)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def _judge(
    run: _Run,
    schedule: Schedule,
    score: Callable[[nn.Module], float] | None,
    *,
    folder: Path | None,
    precision: torch.dtype | None,
) -> None:
    """Validate and write everything down, where it is time to and not yet done."""
    over = schedule.part_done(run.step, run.seconds) >= 1
    if not run.step or (run.history.step and run.history.step[-1] == run.step) or not (over or run.step % schedule.every == 0):
        return
    if schedule.average:
        _settle(run, precision)
    run.mean.eval()
    reached = float("nan")
    if score is not None:
        with torch.inference_mode():
            reached = float(score(run.mean))
    history = run.history
    with undisturbed():
        if not history.score or not reached <= max(history.score):
            run.best = _copy(run.mean)
        row = (run.step, float(np.mean(run.losses)), reached, run.seconds, float(run.optimiser.param_groups[0]["lr"]))
        for name, value in zip(("step", "loss", "score", "seconds", "rate"), row, strict=True):
            getattr(history, name).append(value)
        run.losses = []
        if folder is not None:
            _keep(run, folder)
            journal.write(folder, asdict(history), best=history.best)


def _done(run: _Run, schedule: Schedule) -> bool:
    """Whether time is over, or patience."""
    waited = len(run.history.step) - 1 - run.history.best
    return schedule.part_done(run.step, run.seconds) >= 1 or (schedule.patience is not None and waited >= schedule.patience)


def _copy(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}


def _keep(run: _Run, folder: Path) -> None:
    """Write both sets of weights and the state of the training."""
    folder.mkdir(parents=True, exist_ok=True)
    where = next(run.network.parameters()).device
    tensors = {"random.cpu": torch.random.get_rng_state()}
    if where.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(where)
    for prefix, part in (("network", _copy(run.network)), ("mean", _copy(run.mean)), ("best", run.best)):
        tensors |= {f"{prefix}.{name}": tensor for name, tensor in part.items()}
    tensors |= {f"optimiser.{name}": tensor for name, tensor in resuming.of_optimiser(run.optimiser).items()}
    notes = {
        "step": run.step,
        "seconds": run.seconds,
        "losses": run.losses,
        "history": asdict(run.history),
        "scaler": run.scaler.state_dict(),
        "recipe": dict(run.recipe),
    }
    resuming.write(folder / RESUME, tensors, notes)
    resuming.write(folder / "best.safetensors", run.best)
    resuming.write(folder / "last.safetensors", _copy(run.mean))


def _load(run: _Run, folder: Path | None, batches: Batches) -> None:
    """Bring a run, and the supply of batches, to the state that `_keep` wrote."""
    if folder is None:
        raise ValueError("there is nothing to resume without a folder: name the folder of the training that was stopped")
    tensors, notes = resuming.read(folder / RESUME)
    resuming.check(notes.get("recipe", {}), run.recipe, where=str(folder / RESUME))
    for prefix, part in (("network", run.network), ("mean", run.mean)):
        fill(part, resuming.under(tensors, prefix), str(folder / RESUME))
    run.best = resuming.under(tensors, "best")
    resuming.fill_optimiser(run.optimiser, resuming.under(tensors, "optimiser"), where=str(folder / RESUME))
    run.scaler.load_state_dict(notes["scaler"])
    run.step, run.seconds, run.losses, run.history = notes["step"], notes["seconds"], notes["losses"], History(**notes["history"])
    torch.random.set_rng_state(tensors["random.cpu"])
    if "random.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random.cuda"], next(run.network.parameters()).device)
    again = min(run.step, SETTLING)
    if hasattr(batches, "skip"):
        batches.skip(run.step - again)
    else:
        for _ in itertools.islice(batches, run.step - again):
            pass
    run.recent.extend(pictures for pictures, _ in itertools.islice(batches, again))


def _farewell(run: _Run, folder: Path | None) -> str:
    """Keep what was learned when somebody stops the training, and say where it is."""
    if folder is None or not run.step:
        return f"training stopped at step {run.step}; nothing was kept"
    _keep(run, folder)
    return f"training stopped at step {run.step}; it can be resumed from {folder}"
