"""Pixels: which belong to the cells of a film, frame by frame, or slab by slab where a frame is too large to be looked at whole."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from .arrays import Array, Film, IntArray, frame_shape, is_large, part_of, slabs
from .detections import Detections, Masks
from .measure import compact, label_image


@dataclass(frozen=True, eq=False)
class Pixels:
    """The pixels of the cells of a film, of frames that fit in memory or of their slabs.

    Attributes:
        detections: The cells.
        labels: Their label film or masks.
        kept: How many frames that are looked at whole are kept.
    """

    detections: Detections
    labels: Film | Masks
    kept: int
    _known: dict[int, tuple[IntArray, IntArray]] = field(default_factory=dict, repr=False)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Of a frame, ([Z,] Y, X)."""
        return self.labels.shape[1:] if isinstance(self.labels, Masks) else frame_shape(self.labels)

    @cached_property
    def slabs(self) -> list[tuple[slice, ...]]:
        """Where the slabs are; one ``()`` if frames are looked at whole."""
        whole = isinstance(self.labels, Masks) or not hasattr(self.labels, "shape") or not is_large(self.shape)
        return [()] if whole else [*slabs(self.shape)]

    def span(self, place: tuple[slice, ...]) -> slice:
        """Flat indices of a slab, from the first to the one behind the last."""
        plane = math.prod(self.shape[1:])
        return slice(place[0].start * plane, place[0].stop * plane) if place else slice(0, self.shape[0] * plane)

    def at(self, t: int, place: tuple[slice, ...]) -> tuple[IntArray, IntArray]:
        """Flat indices of the pixels of cells in a slab, and the detection each belongs to."""
        if not place and t in self._known:
            return self._known[t]
        if isinstance(self.labels, Masks):
            found = self.labels.at(self.detections.at(t))
        else:
            image = label_image(part_of(self.labels, t, place) if place else self.labels[t], t)
            found = _rows_of_pixels(self.detections, image, t)
        if place:
            return found[0] + self.span(place).start, found[1]
        self._known[t] = found
        self._known.pop(t - self.kept, None)
        return found

    def arriving(self, t: int, place: tuple[slice, ...], shift: IntArray | None) -> tuple[IntArray, IntArray]:
        """The cells of a frame and their pixels in a slab when each is moved by so many pixels, (n, d): rows, and flat indices."""
        if not place:
            pixels, rows = self.at(t, ())
            return (rows, pixels) if shift is None else _moved(rows, pixels, shift, self.shape)
        cells, size = self.detections.at(t), self.shape[0]
        away = np.zeros((len(self.detections), len(self.shape)), np.int64) if shift is None else shift
        low, high = (int(np.clip(side, 0, size)) for side in _before(place[0], away[cells, 0]))
        if low == high:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        pixels, rows = self.at(t, (slice(low, high),))
        rows, pixels = _moved(rows, pixels, away, self.shape)
        span = self.span(place)
        inside = (pixels >= span.start) & (pixels < span.stop)
        return rows[inside], pixels[inside]

    def check(self, t: int, size: IntArray) -> None:
        """Refuse detections of a frame that were seen in no pixel of it."""
        rows = self.detections.at(t)
        lost = np.flatnonzero(size[rows] == 0)
        if lost.size and not isinstance(self.labels, Masks):
            raise ValueError(
                f"labels and detections differ in frame {t}: label {self.detections.label[rows][lost].min()} is in only one of them"
            )


def _before(side: slice, away: IntArray) -> tuple[int, int]:
    """From where to where planes may be moved to some others, if cells are moved by so many."""
    return side.start - int(away.max(initial=0)), side.stop - int(away.min(initial=0))


def _moved(rows: IntArray, pixels: IntArray, shift: IntArray, shape: tuple[int, ...]) -> tuple[IntArray, IntArray]:
    """Pixels and the rows they belong to, each cell moved by its own shift; what leaves the picture is lost."""
    inside = np.ones(len(pixels), bool)
    for size, place, away in zip(shape, np.unravel_index(pixels, shape), shift.T, strict=True):
        there = place + away[rows]
        inside &= (there >= 0) & (there < size)
    strides = np.cumprod([1, *shape[:0:-1]])[::-1]
    rows = rows[inside]
    return rows, pixels[inside] + (shift @ strides)[rows]


def _rows_of_pixels(detections: Detections, image: Array, t: int) -> tuple[IntArray, IntArray]:
    """Flat indices of the labelled pixels of a frame, or of a part of it, and the detection each belongs to."""
    values, pixels, owner = compact(image)
    rows = detections.at(t)
    order = np.argsort(detections.label[rows], kind="stable")
    label = detections.label[rows][order]
    if (twice := np.flatnonzero(np.diff(label) == 0)).size:
        raise ValueError(f"labels and detections differ in frame {t}: two detections have the label {label[twice[0]]}")
    place = np.searchsorted(label, values)
    known = np.isin(values, label)
    if not known.all():
        raise ValueError(f"labels and detections differ in frame {t}: label {values[~known][0]} is in only one of them")
    return pixels, rows.start + order[place][owner]
