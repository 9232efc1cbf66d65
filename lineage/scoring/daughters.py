"""Daughters: whether two cells lie as sisters do, one on each side of where their mother was."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lineage.arrays import FloatArray, IntArray
from lineage.candidates import expected
from lineage.graph import CandidateGraph

from .distance import log_step

TAIL = 3.0  # degrees of freedom of the middle's step


@dataclass(frozen=True)
class Daughters:
    """Cost of a pair of daughters in place of two plain displacements.

    Sisters part: the middle between them stays near the mother (a t step of scale ``offset``: most mothers stay, some leap) and they
    lie about one ``separation`` apart in any direction. Two other cells lie anywhere. The log-likelihood ratio of these replaces the
    distance costs of the two links, which speak of cells that do not divide.

    Attributes:
        separation: Mean distance between sisters in the first frame after division, in units of ``size``.
        spread: Its standard deviation.
        offset: Scale, along each axis, of the middle about the mother.
        density: Cells per physical unit of area (volume in 3D).
        size: Size of things in each frame, physical units: in embryos cells get smaller, and what is far at the end is near at
            the beginning. Ones when not given.
    """

    separation: float
    spread: float
    offset: float
    density: float
    size: tuple[float, ...] = ()

    def __call__(self, graph: CandidateGraph, pairs: IntArray, distance: FloatArray) -> FloatArray:
        """Cost of each pair of links, nats, to be added to the costs of its two links.

        Args:
            graph: The candidate links.
            pairs: Two links of one mother each; int (p, 2).
            distance: The distance cost inside the cost of every link, nats; float (m,).
        """
        unit = self.unit(graph, pairs)
        apart, middle = (length / unit for length in geometry(graph, pairs))
        d = graph.detections.n_axes
        late = np.sqrt(graph.dt[pairs].max(axis=1))  # a daughter that was missed at first has had time to move
        offset, spread = self.offset * late, self.spread * late
        log_middle = log_step(middle, offset, TAIL, d)
        log_apart = -(((apart - self.separation) / spread) ** 2) / 2 - np.log(spread * np.sqrt(2 * np.pi))
        around = np.log(2 * np.pi * apart) if d == 2 else np.log(4 * np.pi * apart**2)
        other = 2 * np.log(self.density) + 2 * d * np.log(unit)
        ratio = log_middle + log_apart - around + np.log(2) - other  # log 2: sisters have no order
        return -ratio - distance[pairs].sum(axis=1)

    def unit(self, graph: CandidateGraph, pairs: IntArray) -> FloatArray:
        """What lengths are measured in around the mother of each pair; (p,), physical units."""
        if not self.size:
            return np.ones(len(pairs))
        return np.array(self.size)[graph.detections.frame[graph.source[pairs[:, 0]]]]


def geometry(graph: CandidateGraph, pairs: IntArray) -> tuple[FloatArray, FloatArray]:
    """Distance between the sisters of each pair, and of their middle from where the mother is expected; float (p,) each, physical units."""
    place = graph.detections.position
    a, b = place[graph.target[pairs[:, 0]]], place[graph.target[pairs[:, 1]]]
    mother = expected(graph.detections)[graph.source[pairs[:, 0]]]
    apart = np.sqrt(((a - b) ** 2).sum(1))
    return np.maximum(apart, 1e-9), np.sqrt((((a + b) / 2 - mother) ** 2).sum(1))
