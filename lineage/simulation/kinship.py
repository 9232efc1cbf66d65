"""Kinship: who comes from whom in a simulated film, and what the labels of the masks are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lineage.arrays import BoolArray, IntArray
from lineage.detections import Detections
from lineage.forest import Forest

from .scenario import Simulation
from .shot import GHOST, HIDDEN, Cast


@dataclass(frozen=True, eq=False)
class Kinship:
    """The masks of a film and how they belong together, n rows: by frame, in the order of their casts.

    Attributes:
        n_frames: Length of the film.
        frame: Frame of the mask; int (n,).
        parent: Row of the parent, or -1; int (n,).
        selected: Whether it is a cell; bool (n,).
    """

    n_frames: int
    frame: IntArray
    parent: IntArray
    selected: BoolArray

    def labels(self, settings: Simulation) -> IntArray:
        """The label of every mask: the number of its tracklet, or, if the settings say so, any; int (n,)."""
        label = self.forest(Detections(self.frame, np.zeros((len(self.frame), 2)), np.zeros(len(self.frame), np.int64))).tracklet_id.copy()
        label[~self.selected] = label.max(initial=0) + 1 + np.arange(int((~self.selected).sum()))
        if settings.shuffle_labels:
            lot = np.random.default_rng([settings.seed, 4]).random(len(self.frame))
            label[np.lexsort((lot, self.frame))] = np.arange(len(self.frame)) - np.searchsorted(self.frame, self.frame) + 1
        return label

    def by_frame(self, column: IntArray) -> list[IntArray]:
        """A column (n,) cut into one piece a frame."""
        return np.split(column, np.searchsorted(self.frame, np.arange(1, self.n_frames)))

    def forest(self, cells: Detections) -> Forest:
        """The lineages of detections that are in the same order."""
        return Forest(cells, self.parent, self.selected)

    def take(self, order: IntArray) -> Kinship:
        """The same rows in another order."""
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        parent = self.parent[order]
        return Kinship(self.n_frames, self.frame[order], np.where(parent >= 0, place[parent], -1), self.selected[order])


def kinship(casts: Sequence[Cast]) -> Kinship:
    """Who comes from whom.

    Args:
        casts: Who is there, one cast a frame.
    """
    shown = [cast.shown for cast in casts]
    frame = np.repeat(np.arange(len(casts)), [len(rows) for rows in shown])
    selected = np.concatenate([cast.uid[rows] != GHOST for cast, rows in zip(casts, shown, strict=True)])
    return Kinship(len(casts), frame, _parents(casts, shown), selected)


def _parents(casts: Sequence[Cast], shown: Sequence[IntArray]) -> IntArray:
    """Row of the parent of every mask, or -1: where the cell, or else its mother, was last seen.

    A cell that leaves the field loses its past, one whose mask is missing keeps it. A past is handed down once only: daughters of
    a mother who was never seen begin anew, or her own mother could have more than two children.
    """
    n_uid = 1 + max(int(cast.uid.max(initial=-1)) for cast in casts)
    past, known = np.full(n_uid, -1), np.zeros(n_uid, bool)
    parents, n = [], 0
    for cast, rows in zip(casts, shown, strict=True):
        born = np.flatnonzero(cast.mother >= 0)
        mother = cast.mother[born]
        past[cast.uid[born]] = np.where(known[mother], past[mother], -1)
        past[cast.uid[(cast.state == HIDDEN) & (cast.uid != GHOST)]] = -1
        uid = cast.uid[rows]
        real = np.flatnonzero(uid != GHOST)
        parent = np.full(len(rows), -1)
        parent[real] = past[uid[real]]
        past[uid[real]] = n + real
        known[uid[real]] = True
        parents.append(parent)
        n += len(rows)
    return np.concatenate(parents)
