"""Cycle: how likely a cell is to divide at its age, learned from a first solution; young cells hardly do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lineage.arrays import BoolArray, FloatArray, IntArray
from lineage.forest import Forest

_LEAST = 10  # divisions of cells of known age to learn from
_WORTH = 5.0  # nats that the distinction must bring


@dataclass(frozen=True)
class Cycle:
    """Rates of division of the young, of the grown, and of cells whose birth was not seen, per detection.

    Attributes:
        limit: Age from which cells count as grown, frames since the last frame of their mother.
        young, grown, unknown: Rates.
    """

    limit: int
    young: float
    grown: float
    unknown: float

    def __call__(self, age: IntArray) -> FloatArray:
        """Cost of a division at these ages (-1 where unknown), nats; (n,)."""
        return -np.log(np.select([age < 0, age < self.limit], [self.unknown, self.young], self.grown))

    @classmethod
    def fit(cls, age: IntArray, divides: BoolArray, rate: float) -> Cycle | None:
        """Find the age that tells the young from the grown best, by the likelihood of two rates; None where one rate will do.

        Args:
            age: Of every detection that is believed; int (n,), -1 where unknown.
            divides: Whether it divides; bool (n,).
            rate: Rate of divisions of the film; one division's worth of it is added to every rate.
        """
        known = age >= 0
        if (divides & known).sum() < _LEAST:
            return None
        alive = np.bincount(age[known]).cumsum()
        dead = np.bincount(age[known & divides], minlength=len(alive)).cumsum()
        young, grown = _rates(dead, alive, rate), _rates(dead[-1] - dead, alive[-1] - alive, rate)
        both = float(dead[-1] / alive[-1])
        gain = _likelihood(dead, alive, young) + _likelihood(dead[-1] - dead, alive[-1] - alive, grown)
        gain = np.where(young < grown, gain, -np.inf)
        best = int(gain.argmax())
        if gain[best] - _likelihood(dead[-1:], alive[-1:], np.array([both]))[0] < _WORTH:
            return None
        unknown = float(_rates(np.array([(divides & ~known).sum()]), np.array([(~known).sum()]), rate)[0])
        return cls(best + 1, float(young[best]), float(grown[best]), unknown)


def ages(forest: Forest) -> IntArray:
    """Frames since the mother of every cell was last seen, -1 where no division was; int (n,)."""
    frame, parent = forest.detections.frame, forest.parent
    age = np.full(len(forest), -1)
    for rows in forest.detections.frames():
        child = np.arange(rows.start, rows.stop)[parent[rows] >= 0]
        mother = parent[child]
        step = frame[child] - frame[mother]
        age[child] = np.where(forest.n_children[mother] >= 2, step, np.where(age[mother] >= 0, age[mother] + step, -1))
    return age


def _rates(count: IntArray, among: IntArray, rate: float) -> FloatArray:
    return np.asarray((count + 1) / (among + 1 / rate), float)


def _likelihood(count: IntArray, among: IntArray, rate: FloatArray) -> FloatArray:
    return np.asarray(count * np.log(rate) + (among - count) * np.log1p(-rate), float)
