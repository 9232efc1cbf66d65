"""Events: what it costs a lineage to begin, to end, to divide, or a detection to be there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lineage.arrays import FloatArray
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

    def __call__(self, detections: Detections) -> FloatArray:
        """Cost of the event at every detection, nats; (n,)."""
        excess = max(self.border - self.inside, 0.0) * np.exp(-border_distance(detections) / self.reach)
        return -np.log(self.inside + excess)


def border_distance(detections: Detections) -> FloatArray:
    """Distance of every detection to the border of the field, physical units; float (n,).

    The field is the box around all centres of the film: centres of whole cells never reach the edge of the picture, and
    points have no picture. An axis along which no cell differs is no border.
    """
    if not len(detections):
        return np.zeros(0)
    low, high = detections.position.min(axis=0), detections.position.max(axis=0)
    axes = np.flatnonzero(high > low)
    if not len(axes):
        return np.full(len(detections), np.inf)
    place = detections.position[:, axes]
    return np.minimum(place - low[axes], high[axes] - place).min(axis=1)


def appearance(detections: Detections, event: Event) -> FloatArray:
    """Cost of a lineage that begins at each detection, nats; (n,). The film's first frame is free."""
    return np.where(detections.frame > 0, event(detections), 0.0)


def disappearance(detections: Detections, event: Event) -> FloatArray:
    """Cost of a lineage that ends at each detection, nats; (n,). The film's last frame is free."""
    return np.where(detections.frame < detections.n_frames - 1, event(detections), 0.0)
