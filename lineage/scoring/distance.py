"""Distance: how far a cell moved, against where another cell would lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from lineage.arrays import FloatArray
from lineage.detections import Detections
from lineage.graph import CandidateGraph

_CENTRE, _ROUNDED = 0.1, 0.3  # how far the centre of a mask is off, and a position on whole pixels; pixels
_FINEST, _COARSEST = 0.01, 0.05  # parts of a cell: nothing is told better than the one, and what pixels tell is no worse than the other


@dataclass(frozen=True)
class Distance:
    """Minus the log-likelihood ratio of a displacement: the same cell against another cell.

    The same cell moves by a multivariate t step (Lange, Little and Taylor 1989), whose tails forgive the few that jump;
    another cell lies anywhere, at the density of cells in the film. Over a gap the step's scale grows with the square root
    of the frames (diffusion).

    Attributes:
        step: Scale of a step along each axis between consecutive frames, physical units.
        tail: Degrees of freedom; small values mean heavy tails.
        density: Cells per physical unit of area (volume in 3D).
        least: Smallest scale that positions can tell, see ``grain``.
    """

    step: float
    tail: float
    density: float
    least: float = 0.0

    def __call__(self, graph: CandidateGraph) -> FloatArray:
        """Cost of every edge, nats; (m,)."""
        d = graph.detections.n_axes
        scale = self.step * np.sqrt(graph.dt)
        return np.log(self.density) - log_step(graph.columns["distance"], scale, self.tail, d)


def grain(detections: Detections, size: float) -> float:
    """How finely positions tell where cells are, physical units; steps that seem smaller are no sharper evidence.

    Masks are drawn in pixels, and a tenth of one is as much as their centres can tell; of positions that are whole pixels it is their
    rounding error. No position is taken for better than a hundredth of a cell: cells that rest, or that were put on a straight line,
    would have steps of no length at all, and any that differs would be another cell.

    Args:
        detections: The cells.
        size: Typical diameter of a cell, physical units.
    """
    pixel, place = min(detections.scale), detections.position / np.asarray(detections.scale)
    rounded = len(place) > 0 and bool((np.abs(place - np.rint(place)) < 1e-6).all())
    told = _ROUNDED * pixel if rounded else _CENTRE * pixel if "area" in detections.columns else 0.0
    return max(_FINEST * size, min(told, _COARSEST * size))


def log_step(length: FloatArray, scale: FloatArray | float, tail: float, n_axes: int) -> FloatArray:
    """Log density of an isotropic t step of this length; (m,), nats per physical unit of area or volume."""
    d = n_axes
    const = gammaln((tail + d) / 2) - gammaln(tail / 2) - d / 2 * np.log(tail * np.pi)
    return const - d * np.log(scale) - (tail + d) / 2 * np.log1p((length / scale) ** 2 / tail)


def fit_step(length: FloatArray, n_axes: int, *, least: float) -> tuple[float, float]:
    """Most likely scale and tail of isotropic t steps with these lengths.

    For each of a grid of tails the scale is found by expectation-maximisation; the likeliest pair is returned.

    Args:
        length: Observed steps, physical units; float (s,).
        n_axes: 2 or 3.
        least: Smallest scale allowed, physical units (a film that stands still has no scale of its own).
    """
    if not len(length):
        return least, 3.0
    square = length[:: max(1, len(length) // 20_000)] ** 2
    best = (-np.inf, least, 3.0)
    for tail in (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0, 30.0):
        variance = max(float(np.median(square)) / n_axes, least**2)
        for _ in range(30):
            weight = (tail + n_axes) / (tail + square / variance)
            variance = max(float((weight * square).mean()) / n_axes, least**2)
        likelihood = float(log_step(np.sqrt(square), np.sqrt(variance), tail, n_axes).sum())
        best = max(best, (likelihood, float(np.sqrt(variance)), tail))
    return best[1], best[2]
