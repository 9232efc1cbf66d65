"""Training: from films whose lineages are known to calibrated scores of links (needs torch)."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lineage.arrays import BoolArray, FloatArray, IntArray, Progress, silent
from lineage.films.atomic import new_file
from lineage.graph import CandidateGraph
from lineage.simulation import simulate

from .calibration import Calibration, expected_error, judged, log_likelihoods, verdicts
from .examples import UNKNOWN, Example, Lesson, Propose, varied
from .facts import facts
from .model import EdgeModel, Logistic
from .network import Batch, EdgeNetwork, NetworkConfig

HELD = 0.2  # last part in time of what is learned from, kept for choosing and calibration
ALSO = 1 / 3  # of the pieces come from films that are only learned from
_FOLDS = 5


@dataclass(frozen=True)
class Schedule:
    """How long and how a network learns.

    Attributes:
        minutes: How long at most.
        steps: How many pieces of film at most.
        rate: Highest learning rate; it rises over the first twentieth and falls to nothing at the end.
        every: Steps between looks at the films that are kept back.
        frames: Length of a piece of film.
        average: How slowly the averaged weights, which are the ones that are kept, follow.
        seed: Another seed, another network.
    """

    minutes: float = 20.0
    steps: int = 100_000
    rate: float = 2e-3
    every: int = 250
    frames: int = 12
    average: float = 0.995
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("minutes", "steps", "rate", "every"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")


def loss_of(score: Tensor, target: Tensor, answer: Tensor, wrong: Tensor) -> Tensor:
    """Minus the log probability of what is known, a mean over it; softmax over the candidate parents of a cell and none.

    Args:
        score: Log-odds of every link against its target having no parent; (m,).
        target: Row of the detection that each link leads to; (m,).
        answer: For every detection the link to its parent, ``NOBODY`` or ``UNKNOWN``; (n,).
        wrong: Links known to be false whose target's parent is not known; (k,).
    """
    top = score.new_zeros(len(answer)).scatter_reduce(0, target, score.detach(), "amax")
    total = torch.exp(-top).index_add(0, target, torch.exp(score - top[target]))
    log_total = top + torch.log(total)
    has = torch.zeros(len(answer), dtype=torch.bool).index_fill(0, target, 1) & (answer != UNKNOWN)
    linked = answer >= 0
    right = score.new_zeros(len(answer)).masked_scatter(linked, score[answer[linked]])
    known = (log_total - right)[has]
    chance = (score[wrong] - log_total[target[wrong]]).clamp(max=-1e-4)
    false = -torch.log(-torch.expm1(chance))
    return torch.cat([known, false]).mean() if len(known) + len(false) else score.sum() * 0


def train(  # noqa: PLR0913 - most by keyword only
    lessons: Sequence[Lesson],
    propose: Propose,
    schedule: Schedule = Schedule(),
    *,
    also: Sequence[Lesson] = (),
    config: NetworkConfig = NetworkConfig(),  # noqa: B008 - frozen
    log: str | Path | None = None,
    about: dict[str, Any] | None = None,
    progress: Progress[int] = silent,
) -> EdgeModel:
    """Learn to score links from films whose lineages are known; the last fifth of each, in time, chooses and calibrates.

    Args:
        lessons: The films.
        propose: Detections -> candidate links; those that will be used.
        schedule: How long to learn.
        also: Films that are only learned from, such as simulated ones; they choose and calibrate where there are no others.
        config: The size of the network.
        log: CSV file of what was reached when; rewritten whole at every look.
        about: What to remember of where the model comes from.
        progress: Wraps the loop over steps.

    Raises:
        ValueError: No films.
    """
    lessons, also = (lessons, also) if lessons else (also, ())
    if not lessons:
        raise ValueError("there is nothing to learn from: give at least one film with true lineages")
    torch.manual_seed(schedule.seed)
    rng = np.random.default_rng(schedule.seed)
    learn, held = zip(*map(_split, lessons), strict=True)
    share = _shares(learn, also)
    learn = (*learn, *also)
    looks = [example for lesson in held if (example := lesson.example(propose)) and len(judged(example))]
    network, began = EdgeNetwork(config), time.monotonic()
    average, best, table = deepcopy(network), (np.inf, deepcopy(network)), []
    optimiser = torch.optim.AdamW(network.parameters(), lr=schedule.rate, weight_decay=1e-3)
    seen: list[float] = []
    for step in progress(range(schedule.steps), "learning"):
        spent = max(step / schedule.steps, (time.monotonic() - began) / 60 / schedule.minutes)
        if spent < 1:
            seen.append(_learn(network, optimiser, _drawn(learn, share, propose, rng, schedule.frames), schedule.rate * _pace(spent)))
            _follow(average, network, min(schedule.average, (step + 1) / (step + 10)))
        last = spent >= 1 or step == schedule.steps - 1
        if last or (step + 1) % schedule.every == 0:
            scores = [EdgeModel(average).raw(Batch.of(example.facts)) for example in looks]
            reached = _mean([-log_likelihoods(*pair) for pair in zip(scores, looks, strict=True)])
            best = min(best, (reached, deepcopy(average)), key=lambda pair: pair[0])
            minutes = (time.monotonic() - began) / 60
            table.append({"step": step + 1, "minutes": round(minutes, 2), "loss": _mean([np.array(seen)]), "held": reached})
            seen = []
            if log is not None:
                _write(table, log)
        if last:
            break
    model = EdgeModel(best[1], about={**(about or {}), "steps": step + 1, "minutes": round((time.monotonic() - began) / 60, 1)})
    return model.calibrated(Calibration.fit([model.raw(Batch.of(example.facts)) for example in looks], looks))


def train_light(graph: CandidateGraph, link: IntArray, right: BoolArray, *, doubt: float = 0.3) -> EdgeModel:
    """Learn to score the links of a film from a few that were confirmed or rejected: logistic regression on their facts.

    Args:
        graph: The candidate links of the film.
        link: Those that are known; int (k,).
        right: Whether each is true; bool (k,).
        doubt: Strength of the prior that no fact says anything; it counts as much as this many links speaking against.

    Raises:
        ValueError: Nothing is known, or two different parents of one cell are confirmed.
    """
    if not len(link):
        raise ValueError("there are no corrections to learn from: give at least one confirmed or rejected candidate link")
    confirmed = graph.target[link[right]]
    if (twice := np.flatnonzero(np.bincount(confirmed, minlength=1) > 1)).size:
        raise ValueError(f"two parents of the cell in row {twice[0]} are confirmed: keep one")
    known = facts(graph)
    batch = Batch.of(known)
    network = _logistic(batch, _known(graph, known, link, right), doubt)
    fold = np.random.default_rng(0).permutation(len(link)) % min(_FOLDS, len(link))
    scores, tests = [], []
    for k in range(fold.max() + 1 if len(link) > 1 else 0):
        part = _logistic(batch, _known(graph, known, link[fold != k], right[fold != k]), doubt)
        scores.append(EdgeModel(part).raw(batch))
        tests.append(_known(graph, known, link[fold == k], right[fold == k]))
    calibration = Calibration.fit(scores, tests)
    about = {"corrections": len(link), "confirmed": int(right.sum()), "axes": graph.detections.n_axes}
    return EdgeModel(network, Calibration(max(calibration.temperature, 1.0)), about)


def judge(model: EdgeModel, lessons: Sequence[Lesson], propose: Propose) -> tuple[dict[str, dict[str, float]], FloatArray, BoolArray]:
    """How well a model tells parents, film by film, and how sure and how right it is of all cells together.

    Returns:
        For every film the cells, the part whose likeliest parent (or none) is right, minus the mean log-likelihood (nats) and the
        expected calibration error; and of all cells confidence and rightness, (k,) each.
    """
    table, sure, right = {}, [np.zeros(0)], [np.zeros(0, bool)]
    for lesson in lessons:
        example = lesson.example(propose)
        score = model.calibration(model.raw(Batch.of(example.facts)))
        confidence, truth = verdicts(score, example)
        table[lesson.name] = {
            "cells": float(len(truth)),
            "right": _mean([truth.astype(float)]),
            "nats": _mean([-log_likelihoods(score, example)]),
            "ece": expected_error(confidence, truth),
        }
        sure.append(confidence)
        right.append(truth)
    return table, np.concatenate(sure), np.concatenate(right)


def simulated_lessons(count: int, n_axes: int = 2, *, seed: int = 0, progress: Progress[int] = silent) -> Iterator[Lesson]:
    """Lessons from simulated films of all kinds: sparse and crowded, slow and fast, growing and jumping.

    Args:
        count: How many.
        n_axes: 2 or 3.
        seed: The same seed makes the same films.
        progress: Wraps the loop over films.
    """
    rng = np.random.default_rng([seed, 2024])
    size = (224, 224) if n_axes == 2 else (24, 96, 96)
    for k in progress(range(count), "simulating"):
        radius = float(rng.uniform(6, 11))
        room = np.prod(size) * (1 if n_axes == 2 else 2) / (np.pi * radius**2 * (1 if n_axes == 2 else 4 * radius / 3))
        film = simulate(
            frames=24,
            size=size,
            cells=max(3, int(room * rng.uniform(0.05, 0.45))),
            radius=radius,
            aspect=float(rng.uniform(1.1, 1.8)),
            speed=float(radius * rng.uniform(0.05, 0.5)),
            persistence=float(rng.uniform(0, 0.9)),
            cycle=float(rng.uniform(14, 40)),
            expansion=float(rng.choice([0.0, 0.0, 0.02])),
            jump_rate=float(rng.choice([0.0, 0.0, 0.1])),
            jump=radius,
            death_rate=float(rng.choice([0.0, 0.003])),
            miss_rate=float(rng.choice([0.0, 0.02, 0.05])),
            false_rate=float(rng.choice([0.0, 0.02])),
            shuffle_labels=True,
            seed=int(rng.integers(2**31)),
        )
        cells = film.truth.detections
        if len(np.unique(cells.frame)) > 1 and (film.truth.parent >= 0).any():
            yield Lesson.of(film.truth, film.labels, name=f"simulated {k}")


def _split(lesson: Lesson) -> tuple[Lesson, Lesson]:
    """What to learn from, and the last part in time to look at."""
    n = lesson.cells.n_frames
    cut = min(max(n - max(int(n * HELD), 3), 2), n)
    return lesson.between(0, cut), lesson.between(cut, n)


def _shares(lessons: Sequence[Lesson], also: Sequence[Lesson]) -> FloatArray:
    """How often each film is drawn from: large ones oftener, and those that are only learned from a third of the time together."""
    parts = [np.sqrt([len(lesson.cells) + 1.0 for lesson in part]) for part in (lessons, also)]
    return np.concatenate([part / part.sum() * among for part, among in zip(parts, (1 - ALSO, ALSO) if also else (1, 0), strict=True)])


def _drawn(lessons: Sequence[Lesson], share: FloatArray, propose: Propose, rng: np.random.Generator, frames: int) -> Example:
    """A piece of one of the films in which something can be learned."""
    for _ in range(50):
        example = varied(lessons[int(rng.choice(len(lessons), p=share))], propose, rng, frames=frames)
        if len(judged(example)):
            return example
    raise ValueError("the films hold next to nothing that can be learned: their cells have no candidate parents")


def _learn(network: nn.Module, optimiser: torch.optim.Optimizer, example: Example, rate: float) -> float:
    """One step; the loss."""
    network.train()
    for group in optimiser.param_groups:
        group["lr"] = rate
    batch = Batch.of(example.facts)
    loss = loss_of(network(batch), batch.target, torch.from_numpy(example.answer), torch.from_numpy(example.wrong))
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()
    return float(loss.detach())


def _pace(spent: float) -> float:
    """Part of the highest learning rate after this part of the training."""
    return min(1.0, spent / 0.05 + 0.02) * 0.5 * (1 + float(np.cos(np.pi * spent)))


def _follow(average: nn.Module, network: nn.Module, slowness: float) -> None:
    """Let the averaged weights follow."""
    with torch.no_grad():
        for mine, new in zip(average.parameters(), network.parameters(), strict=True):
            mine.lerp_(new, 1 - slowness)


def _known(graph: CandidateGraph, known: Any, link: IntArray, right: BoolArray) -> Example:  # noqa: ANN401 - Facts
    """An example of a few links."""
    answer = np.full(len(graph.detections), UNKNOWN)
    answer[graph.target[link[right]]] = link[right]
    wrong = link[~right]
    return Example(known, answer, wrong[answer[graph.target[wrong]] == UNKNOWN])


def _logistic(batch: Batch, example: Example, doubt: float) -> Logistic:
    """The likeliest logistic regression, its weights drawn to 0."""
    network = Logistic()
    answer, wrong = torch.from_numpy(example.answer), torch.from_numpy(example.wrong)
    count = int((example.answer >= 0).sum()) + len(example.wrong)
    optimiser = torch.optim.LBFGS(network.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        prior = sum((weight**2).sum() for weight in network.parameters())
        total = loss_of(network(batch), batch.target, answer, wrong) + doubt * prior / max(count, 1)
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    return network


def _mean(parts: Sequence[FloatArray]) -> float:
    values = np.concatenate([np.zeros(0), *parts])
    return float(values.mean()) if len(values) else 0.0


def _write(table: Sequence[dict[str, float]], path: str | Path) -> None:
    with new_file(path) as place, place.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, table[0])
        writer.writeheader()
        writer.writerows(table)
