"""Detections: the cells that were segmented or clicked, one row each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from .arrays import Array, Film, FloatArray, IntArray, Progress, in_slabs, length, odd_pixels, part_of, settle, silent
from .measure import AXES, label_image, measure_slabs

if TYPE_CHECKING:
    import pandas as pd

_MEASURED = frozenset(("area", "axis_minor", "axis_middle", "axis_major"))
_LONGEST = 100_000  # frames of a table of points, beside a thousand for each of them
SHARED = "cells"  # column that says how many cells the mask of each holds, where some hold two: then two rows have one label


@dataclass(frozen=True, eq=False)
class Masks:
    """The pixels of every detection of a film: what a label film says, for detections that may share pixels.

    Attributes:
        shape: (T, [Z,] Y, X), pixels.
        pixels: Flat indices into the detection's frame, detection after detection; int (p,), may lie on disk.
        ends: Where the pixels of each detection begin, and where the last ones end; int (n + 1,).
    """

    shape: tuple[int, ...]
    pixels: IntArray
    ends: IntArray

    def at(self, rows: slice) -> tuple[IntArray, IntArray]:
        """Flat indices of the pixels of some rows that follow each other, and the row each belongs to; int (p,) each."""
        ends = self.ends[rows.start : rows.stop + 1]
        owner = np.repeat(np.arange(rows.start, rows.stop), np.diff(ends))
        return np.asarray(self.pixels[ends[0] : ends[-1]], np.int64), owner


@dataclass(frozen=True, eq=False)
class Detections:
    """The cells of a film as aligned columns, sorted by frame.

    Attributes:
        frame: When each cell was seen; int (n,), 0-based, never falling.
        position: Where its centre was; float (n, d) in order (z,) y, x, in physical units (pixels times ``scale``).
        label: Its value in the label image of that frame; int (n,), 0 when made from points.
        columns: Further facts, each an array of n rows (area, intensity_mean, score, ...).
        scale: Size of a pixel along each axis of ``position``, physical units; ones when not given.
        conflicts: Sets of rows of which at most one is real.
        n_frames: Length of the film; the last frame with a cell, plus one, when not given.
        interval: Seconds between frames; None when not known.
    """

    frame: IntArray
    position: FloatArray
    label: IntArray
    columns: Mapping[str, Array] = field(default_factory=dict)
    scale: tuple[float, ...] = ()
    conflicts: Sequence[IntArray] = ()
    n_frames: int = 0
    interval: float | None = None

    def __post_init__(self) -> None:
        settle(self, frame=_whole(self.frame, "frame"))
        settle(self, label=_whole(self.label, "label"))
        settle(self, position=np.asarray(self.position, float))
        if self.position.ndim != 2 or self.position.shape[1] not in AXES:
            raise ValueError(f"position has shape {self.position.shape}, but one (z,) y, x a row is needed: (n, 2) or (n, 3)")
        settle(self, scale=checked_scale(self.scale, self.position.shape[1]))
        settle(self, columns={name: np.asarray(column) for name, column in self.columns.items()})
        for name, column in {"position": self.position, "label": self.label, **self.columns}.items():
            if len(column) != len(self.frame):
                raise ValueError(f"{name} has {len(column)} rows, but frame has {len(self.frame)}")
        if self.interval is not None and not 0 < self.interval < np.inf:
            raise ValueError(f"interval must be a positive number of seconds, not {self.interval}")
        self._check_values()
        settle(self, conflicts=tuple(_whole(rows, "conflicts") for rows in self.conflicts))
        for rows in self.conflicts:
            if len(rows) and not (0 <= rows.min() and rows.max() < len(self)):
                raise ValueError(f"a conflict set names row {rows[(rows < 0) | (rows >= len(self))][0]}, but there are {len(self)} rows")
        settle(self, n_frames=max(int(self.n_frames), int(self.frame.max(initial=-1)) + 1))

    def _check_values(self) -> None:
        falls = np.flatnonzero(np.diff(self.frame) < 0)
        if falls.size:
            before, after = self.frame[falls[0] : falls[0] + 2]
            raise ValueError(f"frames must not fall: row {falls[0] + 1} is in frame {after}, after {before}")
        if len(self.frame) and self.frame[0] < 0:
            raise ValueError(f"frames are counted from 0: row 0 is in frame {self.frame[0]}")
        lost = np.flatnonzero(~np.isfinite(self.position).all(1))
        if lost.size:
            raise ValueError(f"row {lost[0]} (frame {self.frame[lost[0]]}) has no finite position: {self.position[lost[0]].tolist()}")

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def n_axes(self) -> int:
        """Number of spatial axes, 2 or 3."""
        return self.position.shape[1]

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the spatial axes, in the order of ``position``."""
        return AXES[self.n_axes]

    def at(self, frame: int) -> slice:
        """Rows of one frame."""
        return slice(*np.searchsorted(self.frame, [frame, frame + 1]).tolist())

    def frames(self) -> Iterator[slice]:
        """Rows of every frame of the film, in turn; empty slices where there is no cell."""
        ends = np.searchsorted(self.frame, np.arange(self.n_frames + 1)).tolist()
        return map(slice, ends[:-1], ends[1:])

    def with_columns(self, **columns: Array) -> Detections:
        """Detections that share everything with these and know more."""
        return replace(self, columns={**self.columns, **columns})

    def take(self, rows: IntArray) -> Detections:
        """The detections of some rows (rising), as a value of its own; conflict sets are dropped."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        return replace(self, frame=self.frame[rows], position=self.position[rows], label=self.label[rows], columns=columns, conflicts=())

    @classmethod
    def from_labels(
        cls,
        labels: Film,
        image: Film | None = None,
        scale: Sequence[float] | float | None = None,
        *,
        interval: float | None = None,
        properties: Sequence[str] | None = None,
        progress: Progress[int] = silent,
    ) -> Detections:
        """Measure the cells of a label film, frame by frame.

        Args:
            labels: Label film, (T, [Z,] Y, X), anything that can be indexed by frame; 0 is background. It is only read.
            image: Film of the same shape, for intensities.
            scale: Size of a pixel along ([z,] y, x), or one number for all; physical units.
            interval: Seconds between frames, if known.
            properties: Which measured columns to keep; all when not given (see ``measure``).
            progress: Wraps the loop over frames.

        Raises:
            ValueError: Labels that are negative or no whole numbers, frames of different shape, an image of
                another shape or with NaN. The message names the frame.
        """
        if image is not None and length(image) != length(labels):
            raise ValueError(f"the image has {length(image)} frames, but the labels have {length(labels)}")
        tables: list[dict[str, Array]] = []
        shape: tuple[int, ...] | None = None
        for t in progress(range(length(labels)), "measuring"):
            there, slabs = in_slabs(labels, t)
            checked = ((place, label_image(part, t)) for place, part in slabs)
            first = next(checked)
            if shape is not None and there != shape:
                raise ValueError(f"label frame {t} has shape {there}, but frame 0 has {shape}")
            shape = there
            parts = ((part, _intensity(image, t, place, part.shape)) for place, part in chain([first], checked))
            tables.append(measure_slabs(parts, shape, np.array(checked_scale(scale, len(shape)))))
        cells = cls.from_tables(tables, len(shape) if shape else 2, scale, properties)
        return replace(cells, interval=interval)

    @classmethod
    def from_tables(
        cls,
        tables: Sequence[Mapping[str, Array]],
        n_axes: int,
        scale: Sequence[float] | float | None,
        properties: Sequence[str] | None = None,
    ) -> Detections:
        """Put the measurements of the frames of a film together.

        Args:
            tables: What ``measure`` gives, one table a frame.
            n_axes: Spatial axes, for a film without frames.
            scale: Size of a pixel along each axis, physical units.
            properties: Which measured columns to keep; all when not given.
        """
        if not tables:
            return cls(np.zeros(0, np.int64), np.zeros((0, n_axes)), np.zeros(0, np.int64), {}, checked_scale(scale, n_axes))
        columns = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
        frame = np.repeat(np.arange(len(tables)), [len(table["label"]) for table in tables])
        position, label = columns.pop("position"), columns.pop("label")
        if properties is not None:
            if unknown := sorted(set(properties) - set(columns)):
                raise ValueError(f"no such property: {', '.join(unknown)}; there are {', '.join(columns)}")
            columns = {name: columns[name] for name in properties}
        return cls(frame, position, label, columns, checked_scale(scale, n_axes), n_frames=len(tables))

    @classmethod
    def from_points(
        cls,
        table: pd.DataFrame | Mapping[str, Array],
        scale: Sequence[float] | float | None = None,
        *,
        n_frames: int = 0,
        interval: float | None = None,
    ) -> Detections:
        """Take cells from a table of points.

        Args:
            table: Columns ``t`` (or ``frame``), ``y``, ``x`` and, in 3D, ``z``, in any order of rows; ``label`` when known.
                All other columns are kept. The result is sorted by frame, rows of one frame keep their order.
            scale: Size of one coordinate step along ([z,] y, x); positions are multiplied by it, and so are ``area`` and ``axis_*``,
                which are thought of in the same steps.
            n_frames: Length of the film; up to the last point when not given.
            interval: Seconds between frames, if known.

        Raises:
            ValueError: A column is missing; a frame, a position or an area is not a finite number; or frames that are times.
        """
        if not hasattr(table, "keys"):
            raise ValueError(f"points must be a table with the columns t, (z), y, x, not {type(table).__name__}")
        columns = {str(name): np.asarray(table[name]) for name in map(str, table)}
        time = next((name for name in ("t", "frame") if name in columns), None)
        missing = [name for name in ("y", "x") if name not in columns] + ([] if time else ["t"])
        if time is None or missing:
            raise ValueError(f"the table of points has no column {', '.join(missing)}; it has {', '.join(columns) or 'none'}")
        axes = AXES[3 if "z" in columns else 2]
        frame = _whole(columns.pop(time), "frame")
        _check_frames(frame, time)
        order = np.argsort(frame, kind="stable")
        sizes = checked_scale(scale, len(axes))
        position = np.stack([np.asarray(columns.pop(axis), float) for axis in axes], axis=1) * sizes
        label = _whole(columns.pop("label", np.zeros(len(frame), np.int64)), "label")
        for name in columns.keys() & _MEASURED:
            columns[name] = _measured(columns[name], name)
        kept = _grown({name: column[order] for name, column in columns.items()}, sizes)
        return cls(frame[order], position[order], label[order], kept, sizes, n_frames=n_frames, interval=interval)


def stretched(cells: Detections, scale: Sequence[float] | float) -> Detections:
    """Detections whose coordinates count steps of this size along ([z,] y, x), in physical units.

    Raises:
        ValueError: Another number of sizes than axes, or one that is not positive.
    """
    sizes = checked_scale(scale, cells.n_axes)
    return replace(cells, position=cells.position * sizes, scale=sizes, columns=_grown(cells.columns, sizes))


def _grown(columns: Mapping[str, Array], sizes: Sequence[float]) -> dict[str, Array]:
    """Columns in which areas and lengths count steps of this size, in physical units."""
    volume = math.prod(sizes)
    unit = {"area": volume} | dict.fromkeys(_MEASURED - {"area"}, volume ** (1 / len(sizes)))
    return {name: column * unit[name] if name in unit and column.dtype.kind in "iuf" else column for name, column in columns.items()}


def _measured(column: Array, name: str) -> FloatArray:
    """A column of sizes as numbers."""
    try:
        sizes = np.asarray(column, float)
    except ValueError:
        raise ValueError(f"the column {name} holds what is no number: {next(v for v in column.tolist() if isinstance(v, str))!r}") from None
    if (bad := np.flatnonzero(~np.isfinite(sizes) | (sizes < 0))).size:
        raise ValueError(f"row {int(bad[0])}: {name} is {sizes[bad[0]]}: give each cell its size, or leave the column out")
    return sizes


def _check_frames(frame: IntArray, name: str) -> None:
    """Refuse times, or numbers of other things, in the place of the numbers of frames: each frame that is passed over takes memory."""
    last = int(frame.max(initial=0))
    if last > _LONGEST + 1000 * len(frame):
        raise ValueError(f"{name} goes up to {last}, but there are {len(frame)} points: give the numbers of frames, from 0, not times")


def checked_scale(scale: Sequence[float] | float | None, n_axes: int) -> tuple[float, ...]:
    """``scale`` as one positive number an axis; ones when it is not given.

    Raises:
        ValueError: Another number of values than axes, or one that is not positive.
    """
    if scale is None or np.size(scale) == 0:
        return (1.0,) * n_axes
    sizes = tuple(np.broadcast_to(np.asarray(scale, float), n_axes).tolist()) if np.size(scale) in (1, n_axes) else ()
    if not sizes:
        raise ValueError(f"scale has {np.size(scale)} values, but there are {n_axes} axes: {', '.join(AXES[n_axes])}")
    if not all(np.isfinite(sizes)) or min(sizes) <= 0:
        raise ValueError(f"scale must be positive and finite, not {sizes}")
    return sizes


def _whole(values: object, name: str) -> IntArray:
    array = np.asarray(values)
    if array.dtype.kind not in "iu" and array.size:
        with np.errstate(invalid="ignore"):
            odd = array.dtype.kind != "f" or ~np.isfinite(array) | (array != np.floor(array))
        if np.any(odd):
            row = int(np.argmax(odd)) if np.ndim(odd) else 0
            raise ValueError(f"{name} must be whole numbers: row {row} holds {array.ravel()[row]}")
    return array.astype(np.int64)


def _intensity(image: Film | None, t: int, place: tuple[slice, ...], shape: tuple[int, ...]) -> Array | None:
    """The same part of the image as one of the labels, which has this shape."""
    if image is None:
        return None
    frame = part_of(image, t, place) if place else np.asarray(image[t])
    if frame.shape != shape:
        raise ValueError(f"image frame {t} has shape {frame.shape}, but its labels have {shape}")
    if odd := odd_pixels(frame):
        raise ValueError(f"image frame {t} has {odd}: fill them before tracking")
    return frame
