"""Calibration: whether scores mean what they say, and the temperature and bias that make them so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lineage.arrays import Array, BoolArray, FloatArray, IntArray
from lineage.films.atomic import new_file

from .examples import UNKNOWN, Example

BINS = 10


@dataclass(frozen=True)
class Calibration:
    """What turns the scores of a network into nats: ``score / temperature + bias``.

    Attributes:
        temperature: How much too sure the network is.
        bias: Log-odds to be added to every link against having no parent.
    """

    temperature: float = 1.0
    bias: float = 0.0

    def __call__(self, score: FloatArray) -> FloatArray:
        """Log-odds of every link against its target having no parent, nats; (m,)."""
        return score / self.temperature + self.bias

    @classmethod
    def fit(cls, scores: Sequence[FloatArray], examples: Sequence[Example]) -> Calibration:
        """The likeliest temperature and bias for films whose lineages are known (Guo et al., ICML 2017).

        Args:
            scores: What the network says of the links of each film; (m,) each.
            examples: The films.
        """
        from scipy.optimize import minimize

        def loss(v: FloatArray) -> float:
            own = cls(float(np.exp(v[0])), float(v[1]))
            parts = [log_likelihoods(own(score), example) for score, example in zip(scores, examples, strict=True)]
            return -float(np.concatenate(parts).mean()) + 1e-4 * float(v @ v)  # a little prior, so that it is finite

        if not any(len(log_likelihoods(score, example)) for score, example in zip(scores, examples, strict=True)):
            return cls()
        found = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-7})
        return cls(float(np.exp(np.clip(found.x[0], -3, 3))), float(np.clip(found.x[1], -5, 5)))


def parent_probabilities(score: FloatArray, target: IntArray, n: int) -> tuple[FloatArray, FloatArray]:
    """Probability of every link, and of every detection having no parent among its candidates.

    Args:
        score: Log-odds of every link against its target having no parent; (m,).
        target: Row of the detection that each link leads to; int (m,).
        n: How many detections there are.

    Returns:
        (m,) and (n,); of the links into a detection and its having no parent they sum up to 1.
    """
    top = np.zeros(n)  # the score of having no parent
    np.maximum.at(top, target, score)
    weight = np.exp(score - top[target])
    alone = np.exp(-top)
    total = alone + np.bincount(target, weight, n)
    return weight / total[target], alone / total


def judged(example: Example) -> IntArray:
    """Detections whose parent is known and which have candidates at all; int (k,)."""
    has = np.zeros(len(example.answer), bool)
    has[example.facts.target] = True
    return np.flatnonzero(has & (example.answer != UNKNOWN))


def log_likelihoods(score: FloatArray, example: Example) -> FloatArray:
    """Log probability of the right answer for every detection that is judged; (k,), nats."""
    link, alone = parent_probabilities(score, example.facts.target, len(example.answer))
    answer = example.answer[(rows := judged(example))]
    chance = np.where(answer >= 0, np.append(link, 1.0)[answer], alone[rows])
    return np.log(np.maximum(chance, 1e-12))


def verdicts(score: FloatArray, example: Example) -> tuple[FloatArray, BoolArray]:
    """How sure the likeliest answer is for every detection that is judged, and whether it is right; (k,) each."""
    link, alone = parent_probabilities(score, example.facts.target, len(example.answer))
    order = np.lexsort((link, example.facts.target))
    best = np.full(len(alone), -1)
    best[example.facts.target[order]] = order  # the last one is the likeliest
    best = np.where(np.append(link, 0.0)[best] > alone, best, -1)
    rows = judged(example)
    sure = np.where(best >= 0, np.append(link, 0.0)[best], alone)
    return sure[rows], (best == example.answer)[rows]


def expected_error(sure: FloatArray, right: BoolArray) -> float:
    """Expected calibration error: how far confidence is from the part that is right, on average over ten classes of confidence."""
    if not len(sure):
        return 0.0
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    count, told, true = (np.bincount(bins, weight, BINS) for weight in (None, sure, right))
    return float(np.abs(told - true).sum() / count.sum())


def reliability_diagram(sure: FloatArray, right: Array, path: str | Path) -> None:
    """Draw how often links of each confidence are right, and how many there are.

    Args:
        sure: Confidence of each answer; (k,).
        right: Whether it is right; (k,).
        path: Picture, such as ``.png``; it appears when it is complete.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2, 5.0), layout="constrained")
    axes, counts = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    seen = np.unique(bins)
    told, true = ([float(column[bins == k].mean()) for k in seen] for column in (sure, right))
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.plot(told, true, "o-", color="#3a8ed6")
    axes.set(ylabel="part that is right", xlim=(0, 1), ylim=(0, 1))
    axes.set_title(f"expected calibration error {expected_error(sure, np.asarray(right, bool)):.3f}", fontsize=10)
    counts.bar((seen + 0.5) / BINS, [int((bins == k).sum()) for k in seen], width=0.9 / BINS, color="#3a8ed6")
    counts.set(yscale="log", xlabel="confidence of the likeliest parent (or none)", ylabel="cells")
    with new_file(path) as place:
        figure.savefig(place, format=Path(path).suffix[1:] or "png", dpi=120)
