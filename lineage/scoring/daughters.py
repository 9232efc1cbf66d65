"""Daughters: whether two cells lie as sisters do, one on each side of where their mother was."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import i0e

from lineage.arrays import FloatArray, IntArray
from lineage.candidates import expected
from lineage.graph import CandidateGraph

from .distance import log_step

TAIL = 3.0  # degrees of freedom of the middle's step


@dataclass(frozen=True)
class Daughters:
    """Cost of a pair of daughters in place of two plain displacements.

    Sisters part: the middle between them stays near the mother (a t step of scale ``offset``: most mothers stay, some leap) and they
    lie about one ``separation`` apart in any direction (``log_around``). Two other cells lie anywhere. The log-likelihood ratio of
    these replaces the distance costs of the two links, which speak of cells that do not divide.

    Attributes:
        separation: Distance between sisters in the first frame after division, in units of ``size``.
        spread: Standard deviation of where one lies around the other, along each axis.
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
        d = graph.detections.n_axes
        apart, middle = (length / self.unit(graph, pairs) for length in geometry(graph, pairs))
        offset, spread = self._scales(graph, pairs)
        ratio = log_step(middle, offset, TAIL, d) + log_around(apart, self.separation, spread, d) - self._other(graph, pairs)
        return -ratio - distance[pairs].sum(axis=1)

    def least(self, graph: CandidateGraph, pairs: IntArray) -> FloatArray:
        """What each pair costs at least, wherever the two lie, without the distances; (p,), nats."""
        d = graph.detections.n_axes
        offset, spread = self._scales(graph, pairs)
        return self._other(graph, pairs) - log_step(np.zeros(len(pairs)), offset, TAIL, d) + d / 2 * np.log(2 * np.pi * spread**2)

    def _scales(self, graph: CandidateGraph, pairs: IntArray) -> tuple[FloatArray, FloatArray]:
        """Offset and spread: a daughter that was missed at first has had time to move; (p,) each."""
        late = np.sqrt(np.maximum(*waits(graph, pairs).T))
        return self.offset * late, self.spread * late

    def _other(self, graph: CandidateGraph, pairs: IntArray) -> FloatArray:
        """Log density of two other cells, in either order, for sisters have none; (p,)."""
        return 2 * np.log(self.density) + 2 * graph.detections.n_axes * np.log(self.unit(graph, pairs)) - np.log(2)

    def unit(self, graph: CandidateGraph, pairs: IntArray) -> FloatArray:
        """What lengths are measured in around the mother of each pair; (p,), physical units."""
        if not self.size:
            return np.ones(len(pairs))
        return np.array(self.size)[graph.detections.frame[graph.source[pairs[:, 0]]]]


def log_around(length: FloatArray, radius: float, spread: FloatArray | float, n_axes: int) -> FloatArray:
    """Log density of a point this far from another when it lies ``radius`` from it in any direction, and is blurred; (p,).

    The distance is that of Rice (1945) in 2D, and the density is finite even where the two lie on each other. Cells of one frame do not,
    but a daughter that is seen late may lie where the other was, and then she is hardly a daughter.

    Args:
        length: Distance; (p,).
        radius: Distance without the blur.
        spread: Standard deviation of the blur along each axis; (p,) or one for all.
        n_axes: 2 or 3.
    """
    x = np.maximum(length * radius / spread**2, 1e-9)
    turned = np.log(i0e(x)) if n_axes == 2 else np.log(-np.expm1(-2 * x) / (2 * x))  # mean over all directions
    return np.asarray(turned - ((length - radius) / spread) ** 2 / 2 - n_axes / 2 * np.log(2 * np.pi * spread**2), float)


def waits(graph: CandidateGraph, pairs: IntArray) -> IntArray:
    """Frames from the mother of each pair to either cell; int (p, 2)."""
    frame = graph.detections.frame
    return frame[graph.target[pairs]] - frame[graph.source[pairs]]


def geometry(graph: CandidateGraph, pairs: IntArray) -> tuple[FloatArray, FloatArray]:
    """Distance between the sisters of each pair, and of their middle from where the mother is expected; float (p,) each, physical units."""
    place = graph.detections.position
    a, b = place[graph.target[pairs[:, 0]]], place[graph.target[pairs[:, 1]]]
    mother = expected(graph.detections)[graph.source[pairs[:, 0]]]
    return _length(a - b), _length((a + b) / 2 - mother)


def _length(step: FloatArray) -> FloatArray:
    return np.sqrt(np.einsum("pd,pd->p", step, step))
