"""Course: where each cell heads, from all of its past steps, by one Kalman filter over all cells at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from lineage.arrays import BoolArray, FloatArray
from lineage.forest import Forest

_KEPT = (0.3, 0.5, 0.65, 0.8, 0.9, 0.95)  # persistences that are tried
_LAGS = 6
_LEAST = 50  # pairs of steps to learn from


@dataclass(frozen=True)
class Course:
    """How cells keep their course: the velocity of a cell fades, is renewed by chance, and is seen through noise.

    From frame to frame a cell moves by its velocity and by a step of its own; what is seen of it jitters around where it is.

    Attributes:
        kept: Part of its velocity that a cell keeps from frame to frame.
        speed: Variance of velocities along each axis, physical units squared.
        jitter: Variance of where a cell is seen.
        wander: Variance of steps that lead nowhere.
    """

    kept: float
    speed: float
    jitter: float
    wander: float

    @classmethod
    def fit(cls, forest: Forest, last: FloatArray) -> Course | None:
        """Match how much steps resemble earlier steps of the same cell; None with too few of them, or if they do not.

        Args:
            forest: Whose steps they are.
            last: The step of every cell into its frame, NaN where it is not known; float (n, d), physical units.
        """
        alike, count = _likeness_of_steps(forest, last)
        if count[1] < _LEAST:
            return None
        lag, weight = np.arange(_LAGS), np.sqrt(count / count[0])
        found = []
        for kept in _KEPT:  # the velocity lives on, jitter takes back in the next step what it gave, and wandering is forgotten
            parts = np.stack([kept**lag, np.where(lag == 0, 2.0, np.where(lag == 1, -1.0, 0.0)), lag == 0], axis=1)
            variances, rest = nnls(parts * weight[:, None], alike * weight)
            found.append((rest, cls(kept, *variances.tolist())))
        best = min(found, key=lambda each: each[0])[1]
        return best if best.speed or best.jitter else None

    @property
    def repeated(self) -> float:
        """Part of a step that the next one repeats, on average; below 1."""
        return max(self.kept * self.speed - self.jitter, 0.0) / max(self.speed + self.wander + 2 * self.jitter, 1e-300)

    def ahead(self, forest: Forest, last: FloatArray) -> FloatArray:
        """Expected step of every cell out of its frame, by the filter of Kalman (1960); float (n, d), NaN where ``last`` is.

        Frame by frame all cells are weighed at once. Axes are alike and apart, so two numbers and their three variances say all of a
        cell: how far it is from where it is seen, and its velocity.

        Args:
            forest: Whose steps they are.
            last: The step of every cell into its frame, NaN where it is not known: there a course begins; float (n, d).
        """
        off, velocity = np.zeros((2, *last.shape))
        place, both, speed = (np.full(len(last), v) for v in (self.jitter, 0.0, self.speed))  # variances
        renewed, known = self.speed * (1 - self.kept**2), _known(last)
        for rows in forest.detections.frames():
            cell = np.arange(rows.start, rows.stop)[known[rows]]
            before = forest.parent[cell]
            course = self.kept * velocity[before]
            faded = self.kept**2 * speed[before] + renewed
            crossed = self.kept * both[before] + faded
            spread = place[before] + 2 * self.kept * both[before] + faded + self.wander
            gain, turn = (part / np.maximum(spread + self.jitter, 1e-300) for part in (spread, crossed))
            surprise = last[cell] - (off[before] + course)
            off[cell] = (gain - 1)[:, None] * surprise
            velocity[cell] = course + turn[:, None] * surprise
            place[cell], both[cell], speed[cell] = (1 - gain) * spread, (1 - gain) * crossed, faded - turn * crossed
        return np.where(known[:, None], off + self.kept * velocity, np.nan)


def _likeness_of_steps(forest: Forest, last: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean product, along an axis, of every step and that of 0, 1, 2, ... frames before, and of how many; float (lags,) each."""
    known = _known(last)
    cell = before = np.flatnonzero(known)
    alike, count = np.zeros((2, _LAGS))
    for lag in range(_LAGS):
        count[lag] = len(cell)
        alike[lag] = (last[cell] * last[before]).mean() if len(cell) else 0.0
        up = forest.parent[before]
        on = known[up] & (up >= 0)
        cell, before = cell[on], up[on]
    return alike, count


def _known(last: FloatArray) -> BoolArray:
    """Of which cells the step is known; bool (n,)."""
    return np.asarray(np.isfinite(last).all(axis=1))
