"""Mothers: whether a cell looks as cells do that are about to divide: rounded up, brighter, shrunken, or otherwise changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lineage.arrays import BoolArray, FloatArray, IntArray
from lineage.detections import Detections
from lineage.forest import Forest

from .traits import traits

_LEAST = 10  # divisions to learn from
_WORTH = 5.0  # nats that it must bring to divisions it was not learned from
_PARTS = 5  # parts of the film, each judged by what the others teach
_DOUBT = 5.0  # divisions that a solution may have missed, and as many that it may have invented
_PRIOR = 1.0  # standard deviation of the prior about every slope, nats
_EXACT = 1e-8  # nats by which slopes may be off
_KINDS = ("changed", "shifted")  # columns of detections: what changed since the frame before, and since birth


@dataclass(frozen=True)
class Mothers:
    """Log-odds of a division by the looks of a cell, beyond the rate of divisions and what its age says of it.

    A logistic regression on every trait's level, its change since the frame before and its difference from the cell's own mean
    since birth; each in units that are usual in the film, and far ones drawn in.

    Attributes:
        names: The traits.
        middle: What is neither high nor low, a number a fact.
        unit: What is usual, likewise.
        slope: Nats a unit, likewise; facts come trait by trait: level, change, difference.
        start: Nats of a cell in the middle of it all.
        doubt: Share of divisions whose mothers may look like any cell.
        worth: Nats that all this brought to divisions it was not learned from.
    """

    names: tuple[str, ...]
    middle: tuple[float, ...]
    unit: tuple[float, ...]
    slope: tuple[float, ...]
    start: float
    doubt: float
    worth: float

    def __call__(self, detections: Detections) -> FloatArray:
        """Cost of a division of every detection, nats, to be added to that of its age; (n,)."""
        facts = _drawn_in(_facts(detections, self.names), np.array(self.middle), np.array(self.unit))
        told = self.start + facts @ np.array(self.slope)
        return -np.asarray(np.logaddexp(told + np.log1p(-self.doubt), np.log(self.doubt)), float)

    @classmethod
    def fit(cls, detections: Detections, divides: BoolArray, among: IntArray, odds: FloatArray) -> Mothers | None:
        """Learn how mothers look from the divisions of a solution; None where there are too few or it tells too little.

        A solution is wrong here and there. So it is taken to have missed a few divisions among the cells that do not divide and to have
        invented as many, which bounds what is learned from few; and what is learned must foretell divisions of other cells.

        Args:
            detections: The cells, with the columns that ``changes`` gives; n rows.
            divides: Which divide; bool (n,).
            among: Rows of the cells to learn from; int (k,).
            odds: Log-odds of a division by what is known already; float (n,), nats.
        """
        names = tuple(name for name in traits(detections) if all(f"{kind}_{name}" in detections.columns for kind in _KINDS))
        y, offset = divides[among], odds[among]
        if not names or y.sum() < _LEAST:
            return None
        facts = _facts(detections, names)[among]
        middle, unit = _usual(facts)
        known = _drawn_in(facts, middle, unit)
        worth = 0.0
        for part in range(_PARTS):
            held = np.arange(len(y)) % _PARTS == part
            start, slope = _learned(known[~held], y[~held], offset[~held])
            told = start + known[held] @ slope
            worth += float((_log_odds(offset[held] + told, y[held]) - _log_odds(offset[held], y[held])).sum())
        if worth < _WORTH:
            return None
        start, slope = _learned(known, y, offset)
        return cls(
            names, tuple(middle.tolist()), tuple(unit.tolist()), tuple(slope.tolist()), start, _DOUBT / (float(y.sum()) + _DOUBT), worth
        )


def changes(forest: Forest) -> dict[str, FloatArray]:
    """What each trait of a cell changed since the frame before, and how it differs from the cell's own mean since birth.

    Args:
        forest: Lineages over n detections.

    Returns:
        Columns ``changed_NAME`` and ``shifted_NAME``; float (n,), 0 where the cell was not seen before.
    """
    known, n = traits(forest.detections), len(forest)
    value = np.stack([*known.values(), np.ones(n)]) if known else np.zeros((1, n))
    total, last = np.zeros_like(value), value.copy()
    same = (forest.parent >= 0) & (forest.n_children[forest.parent] == 1)
    for rows in forest.detections.frames():  # parents lie in earlier frames
        child = np.arange(rows.start, rows.stop)[same[rows]]
        before = forest.parent[child]
        total[:, child] = total[:, before] + value[:, before]
        last[:, child] = value[:, before]
    mean = np.where(total[-1] > 0, total / np.maximum(total[-1], 1), value)
    columns: dict[str, FloatArray] = {}
    for k, name in enumerate(known):
        columns |= {f"changed_{name}": value[k] - last[k], f"shifted_{name}": value[k] - mean[k]}
    return columns


def _facts(detections: Detections, names: tuple[str, ...]) -> FloatArray:
    """Level, change and difference of every trait; float (n, 3 k)."""
    known: Mapping[str, FloatArray] = traits(detections, names)
    columns = [(known[name], *(detections.columns[f"{kind}_{name}"] for kind in _KINDS)) for name in names]
    return np.stack([column for three in columns for column in three], axis=1)


def _usual(facts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Middle and unit of every fact: the median of levels and none for changes; the median of what they are off, where they are."""
    middle = np.where(np.arange(facts.shape[1]) % 3 == 0, np.median(facts, axis=0), 0.0)
    off = np.abs(facts - middle)
    unit = [float(np.median(column[column > 0])) if (column > 0).any() else 1.0 for column in off.T]
    return middle, np.array(unit)


def _drawn_in(facts: FloatArray, middle: FloatArray, unit: FloatArray) -> FloatArray:
    away = (facts - middle) / unit
    return np.asarray(np.sign(away) * np.log1p(np.abs(away)), float)


def _learned(facts: FloatArray, divides: BoolArray, offset: FloatArray) -> tuple[float, FloatArray]:
    """Start and slopes of the logistic regression, against one that knows the rate only; by Newton's method."""
    wrong = np.where(divides, _DOUBT / max(divides.sum(), 1), _DOUBT / max((~divides).sum(), 1))
    weight, target = 1 + wrong, np.where(divides, 1.0, wrong) / (1 + wrong)
    matrix = np.column_stack([np.ones(len(facts)), facts])
    prior = np.append(1e-9, np.full(facts.shape[1], _PRIOR**-2))
    found = _newton(matrix, weight, target, offset, prior)
    alone = _newton(matrix[:, :1], weight, target, offset, prior[:1])
    return float(found[0] - alone[0]), found[1:]


def _newton(matrix: FloatArray, weight: FloatArray, target: FloatArray, offset: FloatArray, prior: FloatArray) -> FloatArray:
    """Coefficients of the likeliest logistic regression under a normal prior (its precisions); steps that lead down are shortened."""

    def height(found: FloatArray) -> float:
        odds = matrix @ found + offset
        return float(weight @ (target * odds - np.logaddexp(0.0, odds)) - prior @ found**2 / 2)

    found = np.zeros(matrix.shape[1])
    for _ in range(50):
        chance = np.exp(-np.logaddexp(0.0, -(matrix @ found + offset)))
        slope = matrix.T @ (weight * (target - chance)) - prior * found
        bend = (matrix * (weight * chance * (1 - chance))[:, None]).T @ matrix + np.diag(prior)
        step, here = np.linalg.solve(bend, slope), height(found)
        while height(found + step) < here and np.abs(step).max() > _EXACT:
            step = step / 2
        found = found + step
        if np.abs(step).max() <= _EXACT:
            break
    return found


def _log_odds(odds: FloatArray, divides: BoolArray) -> FloatArray:
    """Log-likelihood of what cells do, by the log-odds that they divide; (n,)."""
    return np.asarray(-np.logaddexp(0.0, np.where(divides, -odds, odds)), float)
