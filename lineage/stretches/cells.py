"""Cells of a film on disk, given part by part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from lineage.arrays import Array, Film, FloatArray, IntArray
from lineage.detections import Detections, Masks
from lineage.films.atomic import new_folder
from lineage.pieces import digest_of_columns


class Part(NamedTuple):
    """The cells of some frames.

    Attributes:
        detections: Frames counted from the part's first.
        labels: Their masks, if there are any, the same frames; ``Masks`` where they may share pixels.
        image: The pictures, likewise.
    """

    detections: Detections
    labels: Film | Masks | None = None
    image: Film | None = None


class Cells(Protocol):
    """The cells of a film, wherever they are kept; it is sent to whoever works on a part."""

    @property
    def count(self) -> IntArray:
        """Cells in every frame; int (T,)."""
        ...

    @property
    def masks(self) -> bool:
        """Whether they have masks, or are points."""
        ...

    @property
    def rivals(self) -> bool:
        """Whether some exclude others, so that the solver chooses among them."""
        ...

    def part(self, first: int, last: int) -> Part:
        """The cells of the frames from ``first`` to ``last``, the last one excluded."""
        ...

    def digest(self, first: int, last: int) -> str:
        """Digest of all that a part holds."""
        ...


@dataclass(frozen=True)
class SavedCells:
    """Detections whose columns are NumPy files, mapped and not read: only what is asked for comes into memory.

    Attributes:
        folder: Holds ``frame.npy``, ``position.npy``, ``label.npy`` and one file for each further column in ``columns/``.
        scale: Size of a pixel along each axis, physical units.
        n_frames: Length of the film.
        interval: Seconds between frames; None when not known.
    """

    folder: Path
    scale: tuple[float, ...]
    n_frames: int
    interval: float | None = field(default=None)

    @cached_property
    def _mapped(self) -> dict[str, Array]:
        files = {name: self.folder / f"{name}.npy" for name in ("frame", "position", "label")}
        files |= {f"columns/{path.stem}": path for path in sorted((self.folder / "columns").glob("*.npy"))}
        return {name: np.load(path, mmap_mode="r", allow_pickle=False) for name, path in files.items()}

    def __getstate__(self) -> dict[str, Any]:  # what is mapped here is mapped anew there
        return {name: value for name, value in vars(self).items() if name != "_mapped"}

    @cached_property
    def count(self) -> IntArray:
        """Cells in every frame; int (T,)."""
        return np.diff(np.searchsorted(self._mapped["frame"], np.arange(self.n_frames + 1))).astype(np.int64)

    @property
    def masks(self) -> bool:
        """They are points."""
        return False

    @property
    def rivals(self) -> bool:
        """None excludes another."""
        return False

    @property
    def detections(self) -> Detections:
        """All of them; the columns stay on disk."""
        return self._detections(slice(0, int(self.count.sum())), 0, self.n_frames)

    def part(self, first: int, last: int) -> Part:
        """The cells of some frames, in memory."""
        return Part(self._detections(self._rows(first, last), first, last - first))

    def digest(self, first: int, last: int) -> str:
        """Digest of their columns."""
        rows = self._rows(first, last)
        return digest_of_columns({name: column[rows] for name, column in self._mapped.items()})

    def _rows(self, first: int, last: int) -> slice:
        return slice(*np.searchsorted(self._mapped["frame"], [first, last]).tolist())

    def _detections(self, rows: slice, first: int, n_frames: int) -> Detections:
        column = {name: values[rows] for name, values in self._mapped.items()}
        position: FloatArray = column.pop("position")
        frame, label = column.pop("frame") - first if first else column.pop("frame"), column.pop("label")
        rest: Mapping[str, Array] = {name.removeprefix("columns/"): values for name, values in column.items()}
        return Detections(frame, position, label, rest, self.scale, n_frames=n_frames, interval=self.interval)


def save_cells(detections: Detections, folder: str | Path) -> SavedCells:
    """Write the columns of detections to files, so that parts of them can be read by themselves.

    Args:
        detections: Without conflict sets.
        folder: Appears when all is written; an older one of that kind is replaced.

    Raises:
        ValueError: There are conflict sets.
        OSError: The folder cannot be written.
    """
    if detections.conflicts:
        raise ValueError("cells that exclude each other cannot be linked in stretches: link them whole")
    with new_folder(folder, ("frame.npy", "position.npy", "label.npy", "columns").__contains__) as place:
        (place / "columns").mkdir()
        for name in ("frame", "position", "label"):
            np.save(place / f"{name}.npy", getattr(detections, name))
        for name, column in detections.columns.items():
            np.save(place / "columns" / f"{name}.npy", column)
    return SavedCells(Path(folder), detections.scale, detections.n_frames, detections.interval)
