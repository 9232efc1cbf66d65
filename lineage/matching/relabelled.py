"""Relabelled: a label film with the numbers of tracklets."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from lineage.arrays import Film, IntArray
from lineage.forest import Forest
from lineage.measure import compact, label_image


@dataclass(frozen=True, eq=False)
class Relabelled:
    """A label film with another number for each cell: that of its tracklet. What is in no tracklet vanishes.

    Attributes:
        film: The label film; it is only read, frame by frame.
        frame, label: Where each cell is found; int (n,), frames never falling.
        number: What to call it; int (n,).
        name: What to call the film in messages.
    """

    film: Film
    frame: IntArray
    label: IntArray
    number: IntArray
    name: str = "the result"
    _cuts: IntArray = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_cuts", np.searchsorted(self.frame, np.arange(len(self.film) + 1)))
        if self._cuts[-1] < len(self.frame):
            raise ValueError(f"{self.name} has a cell in frame {self.frame[-1]}, but its labels have {len(self.film)} frames")

    def __len__(self) -> int:
        return len(self.film)

    def __getitem__(self, frame: int) -> IntArray:
        image = label_image(self.film[frame], frame)
        rows = slice(*self._cuts[frame : frame + 2])
        labels, pixels, owner = compact(image)
        wanted = self.label[rows]
        if np.any(twice := np.diff(np.sort(wanted)) == 0):
            raise ValueError(f"{self.name}: two cells of frame {frame} have the label {np.sort(wanted)[twice.argmax()]}")
        if np.any(lost := ~np.isin(wanted, labels)):
            raise ValueError(f"{self.name} has a cell {wanted[lost.argmax()]} in frame {frame}, but no pixel there has this label")
        number = np.zeros(len(labels), np.int64)
        number[np.searchsorted(labels, wanted)] = self.number[rows]
        new = np.zeros(image.shape, np.int64)
        new.ravel()[pixels] = number[owner]
        return new


def relabelled(forest: Forest, labels: Film, name: str = "the result") -> Relabelled:
    """The label film of a forest with tracklet numbers for labels; unselected cells vanish, frames are made when asked for."""
    rows = np.flatnonzero(forest.selected)
    cells = forest.detections
    return Relabelled(labels, cells.frame[rows], cells.label[rows], forest.tracklet_id[rows], name)
