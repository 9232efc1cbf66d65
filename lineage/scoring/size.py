"""Size: a cell keeps its size from frame to frame, and daughters share their mother's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lineage.arrays import BoolArray, FloatArray, IntArray
from lineage.detections import Detections
from lineage.graph import CandidateGraph

from .distance import fit_step, log_step

_FAILURE = 0.1  # share of links whose outlines went wrong, so that their sizes say nothing
_PRIOR = 5.0  # divisions' worth of the model before


@dataclass(frozen=True)
class Size:
    """Minus the log-likelihood ratio of a size: the same cell against any cell of the film.

    The same cell's logarithm of area (volume) changes by a t step; any cell's is drawn from the film's own t distribution. One
    outline in ten is taken to be wrong, so that its size says nothing. Of two daughters, the mean logarithm lies at a mean
    ``loss`` below the mother's, and their difference is small.

    Attributes:
        step, tail: Scale and degrees of freedom of the change of log area of a cell between frames.
        mean, spread: Mean and standard deviation of log area over the film.
        loss, loss_spread: Mean log area of two daughters less the mother's, and its standard deviation.
        difference: Standard deviation of the difference of log area of two sisters.
    """

    step: float
    tail: float
    mean: float
    spread: float
    loss: float = -0.5
    loss_spread: float = 0.4
    difference: float = 0.4

    def __call__(self, graph: CandidateGraph) -> FloatArray:
        """Cost of every edge, nats; (m,)."""
        size = log_size(graph.detections)
        change = np.abs(size[graph.target] - size[graph.source])
        same = log_step(change, self.step * np.sqrt(graph.dt), self.tail, 1)
        other = self._any(size[graph.target])
        return other - np.logaddexp(same + np.log(1 - _FAILURE), other + np.log(_FAILURE))

    def sisters(self, graph: CandidateGraph, pairs: IntArray) -> FloatArray:
        """Cost of the sizes of each pair of daughters, nats; (p,). It takes the place of the costs of the two links."""
        size = log_size(graph.detections)
        a, b = size[graph.target[pairs[:, 0]]], size[graph.target[pairs[:, 1]]]
        mother = size[graph.source[pairs[:, 0]]]
        lost = np.abs((a + b) / 2 - mother - self.loss)
        same = log_step(lost, self.loss_spread, 3.0, 1) + log_step(np.abs(a - b), self.difference, 3.0, 1)
        other = self._any(a) + self._any(b)
        return other - np.logaddexp(same + np.log(1 - _FAILURE), other + np.log(_FAILURE))

    def _any(self, size: FloatArray) -> FloatArray:
        return log_step(np.abs(size - self.mean), self.spread, 3.0, 1)

    @classmethod
    def guess(cls, detections: Detections) -> Size:
        """A first guess, before any link is known."""
        size = log_size(detections)
        return cls(0.1, 3.0, float(size.mean()) if len(size) else 0.0, max(float(size.std()), 0.05) if len(size) else 1.0)

    def fit(self, graph: CandidateGraph, alone: BoolArray, pairs: IntArray) -> Size:
        """The model again, from the links of cells that did not divide (bool (m,)) and the pairs of those that did."""
        size = log_size(graph.detections)
        change = np.abs(size[graph.target[alone]] - size[graph.source[alone]])
        step, tail = fit_step(change, 1, least=0.01) if alone.sum() >= 20 else (self.step, self.tail)
        a, b = size[graph.target[pairs[:, 0]]], size[graph.target[pairs[:, 1]]]
        lost, n = (a + b) / 2 - size[graph.source[pairs[:, 0]]], len(pairs) + _PRIOR
        loss = (lost.sum() + _PRIOR * self.loss) / n
        loss_spread = np.sqrt((((lost - loss) ** 2).sum() + _PRIOR * self.loss_spread**2) / n)
        difference = np.sqrt((((a - b) ** 2).sum() + _PRIOR * self.difference**2) / n)
        return Size(step, tail, self.mean, self.spread, float(loss), float(loss_spread), float(difference))


def log_size(detections: Detections) -> FloatArray:
    """Logarithm of the area (volume) of every detection; (n,)."""
    return np.log(np.maximum(detections.columns["area"], 1e-12))
