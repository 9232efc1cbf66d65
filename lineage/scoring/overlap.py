"""Overlap: what shared pixels add to what the distance already says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lineage.arrays import BoolArray, FloatArray, IntArray
from lineage.graph import CandidateGraph

_SHARES = (0.0, 0.05, 0.2, 0.4, 0.6, 0.8)  # lower ends of the classes of shared area; exactly none is a class of its own


@dataclass(frozen=True)
class Overlap:
    """Minus the log-likelihood ratio of the overlap given the distance: the same cell against another cell.

    Overlap and distance say much the same twice; what counts is what the overlap says once the distance is known. So the
    ratio is a table: rows are classes of distance, columns are classes of intersection over union.

    Attributes:
        limits: Upper ends of the classes of distance (per square root of the frames apart), physical units, rising.
        table: Cost in nats; (len(limits) + 1, 7).
    """

    limits: tuple[float, ...]
    table: tuple[tuple[float, ...], ...]

    def __call__(self, graph: CandidateGraph) -> FloatArray:
        """Cost of every edge, nats; (m,)."""
        near, share = classes(graph, self.limits)
        return np.array(self.table)[near, share]

    @classmethod
    def fit(cls, graph: CandidateGraph, true: BoolArray) -> Overlap:
        """Count the table on edges held for true and their rivals.

        Args:
            graph: With the columns ``distance`` and ``iou``.
            true: Which edges are held for true; bool (m,). The others that share a source with one of them are the rivals.
        """
        step = graph.columns["distance"] / np.sqrt(graph.dt)
        limits = tuple(np.unique(np.quantile(step[true], [0.25, 0.5, 0.75, 0.9, 0.97])).tolist()) if true.any() else ()
        near, share = classes(graph, limits)
        has_true = np.zeros(len(graph.detections), bool)
        has_true[graph.source[true]] = True
        rival = ~true & has_true[graph.source] & (graph.dt == 1)
        size = (len(limits) + 1, len(_SHARES) + 1)
        same, other = (_shares_of(near[which], share[which], size) for which in (true & (graph.dt == 1), rival))
        return cls(limits, tuple(map(tuple, np.log(other / same).tolist())))


def classes(graph: CandidateGraph, limits: tuple[float, ...]) -> tuple[IntArray, IntArray]:
    """Class of distance and class of overlap of every edge; int (m,) each."""
    step = graph.columns["distance"] / np.sqrt(graph.dt)
    share = graph.columns["iou"]
    near = np.searchsorted(np.array(limits), step, side="left")
    return near, np.where(share > 0, np.searchsorted(_SHARES, share, side="right"), 0)


def _shares_of(near: IntArray, share: IntArray, size: tuple[int, int]) -> FloatArray:
    """Frequency of each class of overlap in each class of distance, smoothed towards all distances together."""
    count = np.bincount(near * size[1] + share, minlength=size[0] * size[1]).reshape(size).astype(float)
    overall = count.sum(0) + 1.0
    prior = 4 * overall / overall.sum() + 0.5  # a class never seen is rare, not impossible
    return (count + prior) / (count + prior).sum(1, keepdims=True)
