"""Tracks: the table of tracklets, and the cells, links and paths that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lineage.arrays import BoolArray, IntArray
from lineage.forest import Forest


@dataclass(frozen=True, eq=False)
class Tracks:
    """One side of a comparison: a table of tracklets, and the cells and links that follow from it.

    Cells are numbered tracklet by tracklet, in each by frame. The table, not a forest, is the measure of things, because
    the Cell Tracking Challenge tells a link inside a tracklet from a link to a parent tracklet, gap or not.

    Attributes:
        table: One row a tracklet: label, first frame, last frame (included), label of the parent or 0; int (k, 4).
        name: What to call it in messages.
    """

    table: IntArray
    name: str = "the result"

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", np.asarray(self.table, np.int64).reshape(-1, 4))
        label, begin, end, mother = self.table.T
        rising = np.sort(label)
        for wrong, why in (
            (label <= 0, "labels are positive"),
            (np.isin(label, rising[1:][np.diff(rising) == 0]), "labels are unique"),
            ((begin < 0) | (end < begin), "0 <= first frame <= last frame"),
            ((mother != 0) & ~np.isin(mother, label), "a parent has a row of its own"),
        ):
            if wrong.any():
                raise ValueError(f"{self.name} has the tracklet {self.table[wrong.argmax()].tolist()}, but {why}")
        late = (self.parent >= 0) & (end[self.parent] >= begin) if len(label) else np.zeros(0, bool)
        if late.any():
            raise ValueError(f"{self.name} has the tracklet {self.table[late.argmax()].tolist()}, but its parent ends not before it begins")

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def parent(self) -> IntArray:
        """Row of each tracklet's parent, or -1; int (k,)."""
        order = np.argsort(self.table[:, 0])
        place = np.searchsorted(self.table[order, 0], self.table[:, 3])
        return np.where(self.table[:, 3] > 0, np.append(order, -1)[place], -1)

    @cached_property
    def length(self) -> IntArray:
        """Number of cells in each tracklet; int (k,)."""
        return self.table[:, 2] - self.table[:, 1] + 1

    @cached_property
    def start(self) -> IntArray:
        """First cell of each tracklet; int (k,)."""
        return np.cumsum(self.length) - self.length

    @property
    def n_cells(self) -> int:
        """Number of cells, all frames together."""
        return int(self.length.sum())

    @cached_property
    def tracklet(self) -> IntArray:
        """Tracklet (row of the table) of each cell; int (n,)."""
        return np.repeat(np.arange(len(self)), self.length)

    @cached_property
    def frame(self) -> IntArray:
        """Frame of each cell; int (n,)."""
        return np.arange(self.n_cells) - self.start[self.tracklet] + self.table[self.tracklet, 1]

    @cached_property
    def edges(self) -> tuple[IntArray, IntArray, BoolArray]:
        """Links: source cell, target cell, and whether it is a link to a parent tracklet; (m,) each."""
        within = np.flatnonzero(np.diff(self.tracklet, append=-1) == 0)
        child = np.flatnonzero(self.parent >= 0)
        mother = self.parent[child]
        source = np.concatenate([within, self.start[mother] + self.length[mother] - 1])
        target = np.concatenate([within + 1, self.start[child]])
        return source, target, np.arange(len(source)) >= len(within)

    @cached_property
    def whole(self) -> Paths:
        """Paths from birth to division or end: tracklets joined where one is the only child of another."""
        k = len(self)
        n_children = np.bincount(self.parent[self.parent >= 0], minlength=k)
        joins = (self.parent >= 0) & (n_children[self.parent] == 1) if k else np.zeros(0, bool)
        first, of_tracklet = np.unique(topmost(np.where(joins, self.parent, np.arange(k))), return_inverse=True)
        last = np.zeros(len(first), np.int64)
        np.maximum.at(last, of_tracklet, self.table[:, 2])
        mother = self.parent[first]
        parent = np.where(mother >= 0, np.append(of_tracklet, -1)[mother], -1)
        return Paths(of_tracklet[self.tracklet], self.frame, self.table[first, 1], last, parent)

    @cached_property
    def pieces(self) -> Paths:
        """The tracklets as paths, as the table has them."""
        return Paths(self.tracklet, self.frame, self.table[:, 1], self.table[:, 2], self.parent)

    def at(self, frame: int) -> tuple[IntArray, IntArray]:
        """Labels alive in a frame, rising, and the cells they stand for."""
        rows = np.flatnonzero((self.table[:, 1] <= frame) & (frame <= self.table[:, 2]))
        rows = rows[np.argsort(self.table[rows, 0])]
        return self.table[rows, 0], self.start[rows] + frame - self.table[rows, 1]


@dataclass(frozen=True, eq=False)
class Paths:
    """Cells threaded on paths that never branch.

    Attributes:
        of_cell: Path of each cell; int (n,).
        frame: Frame of each cell; int (n,).
        first, last: First and last frame of each path; int (c,).
        parent: Path that each path comes from, or -1; int (c,).
    """

    of_cell: IntArray
    frame: IntArray
    first: IntArray
    last: IntArray
    parent: IntArray

    @cached_property
    def children(self) -> tuple[IntArray, IntArray]:
        """Children sorted by parent, and where those of each path begin; int (j,) and (c + 1,)."""
        child = np.flatnonzero(self.parent >= 0)
        child = child[np.argsort(self.parent[child], kind="stable")]
        return child, np.searchsorted(self.parent[child], np.arange(len(self.parent) + 1))

    @cached_property
    def n_children(self) -> IntArray:
        """Number of children of each path; int (c,)."""
        return np.diff(self.children[1])

    @cached_property
    def _sorted(self) -> tuple[IntArray, IntArray, int]:
        stride = int(self.frame.max(initial=0)) + 2
        key = self.of_cell * stride + self.frame
        order = np.argsort(key)
        return np.append(key[order], np.iinfo(np.int64).max), np.append(order, -1), stride

    def cell(self, path: IntArray, frame: IntArray) -> IntArray:
        """The cell of each path in each frame, -1 where there is none; int (q,)."""
        key, order, stride = self._sorted
        wanted = path * stride + frame
        place = np.searchsorted(key, wanted)
        return np.where((key[place] == wanted) & (frame >= 0) & (frame < stride) & (path >= 0), order[place], -1)


def tracks_of(forest: Forest, name: str = "the result") -> tuple[Tracks, IntArray]:
    """The table of tracklets of a forest, split at divisions and at gaps.

    Returns:
        tracks: The table and what follows from it.
        rows: The row in ``forest.detections`` of each of its cells; int (n,).
    """
    rows = np.flatnonzero(forest.selected)
    rows = rows[np.argsort(forest.tracklet_id[rows], kind="stable")]
    tracklet, frame = forest.tracklet_id[rows], forest.detections.frame[rows]
    first = np.flatnonzero(np.diff(tracklet, prepend=0))
    last = np.append(first[1:], len(rows))[: len(first)] - 1
    table = np.column_stack([tracklet[first], frame[first], frame[last], forest.parent_tracklet_id[rows][first]])
    return Tracks(table, name), rows


def topmost(up: IntArray) -> IntArray:
    """Follow ``up`` (self at the top) to the top from everywhere at once; int (n,)."""
    while np.any(up[up] != up):
        up = up[up]
    return up
