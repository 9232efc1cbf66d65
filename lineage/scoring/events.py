"""Events: what it costs a lineage to begin, to end, to divide, or a detection to be there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lineage.arrays import BoolArray, FloatArray, IntArray
from lineage.candidates import expected
from lineage.detections import Detections


@dataclass(frozen=True)
class Event:
    """A rare event whose rate rises towards the border of the field of view.

    Attributes:
        inside: Rate far from the border, per detection.
        border: Rate at the border.
        reach: Distance over which the excess at the border falls by the factor e, physical units.
    """

    inside: float
    border: float
    reach: float

    def __call__(self, distance: FloatArray) -> FloatArray:
        """Cost of the event at these distances from the border (physical units, 0 outside), nats; (n,)."""
        return -np.log(self.inside + self.excess(distance))

    def excess(self, distance: FloatArray) -> FloatArray:
        """How much its rate exceeds that inside the field; (n,)."""
        return max(self.border - self.inside, 0.0) * np.exp(-distance / self.reach)


def counted(before: Event, distance: FloatArray, could: BoolArray, did: BoolArray) -> Event:
    """The rates of an event again, by counting; the excess at the border is weighted by closeness to it.

    Args:
        before: The event as it was known, five cells' worth of it at the border, and how far that reaches.
        distance: Distance of each cell from the border, physical units; (n,).
        could: To which it could have happened; bool (n,).
        did: To which it has; bool (n,).
    """
    near = np.exp(-distance / before.reach)
    far = could & (near < 0.05)
    inside = (float((did & far).sum()) + 0.5) / (float(far.sum()) + 100)
    events, exposure = float(did[could].sum()), float(near[could].sum())
    expected = inside * float((1 - near[could]).sum())
    border = (max(events - expected, 0.0) + 5 * before.border) / (exposure + 5)
    return replace(before, inside=inside, border=min(max(border, inside), 0.9))


def border_distance(detections: Detections, name: str = "") -> FloatArray:
    """Distance of every detection to the border of the field, physical units; float (n,).

    Args:
        detections: The cells.
        name: ``behind`` or ``ahead``: the least of the distances of the cell and of where it would have been in the frame before, or is
            expected in the next (see ``expected``), 0 where that is outside the field: the field itself may move.

    The field is the box around all centres of the film: centres of whole cells never reach the edge of the picture, and
    points have no picture. An axis along which no cell differs is no border.
    """
    if not len(detections):
        return np.zeros(0)
    low, high = detections.position.min(axis=0), detections.position.max(axis=0)
    axes = np.flatnonzero(high > low)
    if not len(axes):
        return np.full(len(detections), np.inf)
    places = [detections.position, *([expected(detections, name)] if name else [])]
    far = [np.minimum(place[:, axes] - low[axes], high[axes] - place[:, axes]).min(axis=1) for place in places]
    return np.maximum(np.min(far, axis=0), 0.0)


def appearance(detections: Detections, event: Event) -> FloatArray:
    """Cost of a lineage that begins at each detection, nats; (n,). The film's first frame is free."""
    return np.where(detections.frame > 0, event(border_distance(detections, "behind")), 0.0)


def disappearance(detections: Detections, event: Event) -> FloatArray:
    """Cost of a lineage that ends at each detection, nats; (n,). The film's last frame is free."""
    return np.where(detections.frame < detections.n_frames - 1, event(border_distance(detections, "ahead")), 0.0)


def came_back(outside: IntArray, leave: Event, ahead: FloatArray, enter: Event, behind: FloatArray) -> FloatArray:
    """Probability that a cell leaves the field and is back after so many frames; (m,).

    Cells leave as often as more end at the border than elsewhere, and come back near it. Outside they walk: whatever the law of the
    steps, if it is symmetric and continuous, a walk that has just crossed a line is back after n frames with the probability
    C(n) / 4^n, C(n)
    the Catalan numbers 1, 2, 5, 14, ... (Sparre Andersen 1954).

    Args:
        outside: Frames between leaving and being back, at least 1; int (m,).
        leave: Rate of lineages that end.
        ahead: Distance from the border where the cell would have been next, physical units; (m,).
        enter: Rate of lineages that begin.
        behind: Distance from the border where the cell that is back would have been before, physical units; (m,).
    """
    n = np.arange(1, outside.max(initial=1) + 1)
    back = np.cumprod((2 * n - 1) / (2 * n + 2))[outside - 1]
    return leave.excess(ahead) * back * np.exp(-behind / enter.reach)
