"""Segments: what may be a cell of one picture, with the probability that it is one; some exclude each other."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from segmentation.arrays import AnyArray, BoolArray, FloatArray, IntArray

_SURE = 1e-4  # no probability is closer to 0 or 1 than this


@dataclass(frozen=True, eq=False)
class Segments:
    """Pieces of one picture that may be cells; those that share a pixel exclude each other.

    Args:
        shape: of the picture, ([Z,] Y, X) pixels.
        score: (n,) probability that the segment is a true cell and closer to it than its rivals, 0..1.
        pixels: (p,) flat indices of the pixels, segment after segment, rising within each.
        ends: (n + 1,) where the pixels of each segment begin, and where the last ones end.
        parent: (n,) row of the smallest segment that holds this one and more; -1 where there is none.
    """

    shape: tuple[int, ...]
    score: FloatArray
    pixels: IntArray
    ends: IntArray
    parent: IntArray

    def __post_init__(self) -> None:
        n = len(self.score)
        if len(self.ends) != n + 1 or len(self.parent) != n or (len(self.ends) and self.ends[-1] != len(self.pixels)):
            raise ValueError(
                f"score, ends and parent have {n}, {len(self.ends)} and {len(self.parent)} rows for {len(self.pixels)} pixels: "
                "give n, n + 1 and n, and the last end is the number of pixels"
            )
        odd = np.flatnonzero(~((self.score >= 0) & (self.score <= 1)))
        if odd.size:
            raise ValueError(f"score of segment {odd[0]} is {self.score[odd[0]]}: give probabilities in 0..1")

    def __len__(self) -> int:
        return len(self.score)

    @property
    def size(self) -> IntArray:
        """Number of pixels of each segment; (n,)."""
        return np.diff(self.ends)

    @property
    def owner(self) -> IntArray:
        """Row of the segment that each of `pixels` belongs to; (p,)."""
        return np.repeat(np.arange(len(self)), self.size)

    @property
    def cost(self) -> FloatArray:
        """Minus the log-odds of the score, nats; (n,). Negative is worth choosing."""
        p = np.clip(self.score, _SURE, 1 - _SURE)
        return np.asarray(np.log1p(-p) - np.log(p))

    @cached_property
    def box(self) -> IntArray:
        """First pixel and one past the last along each axis; (n, 2, d)."""
        box = np.zeros((len(self), 2, len(self.shape)), np.int64)
        for axis, where in enumerate(np.unravel_index(self.pixels, self.shape) if len(self) else ()):
            box[:, 0, axis] = np.minimum.reduceat(where, self.ends[:-1])
            box[:, 1, axis] = np.maximum.reduceat(where, self.ends[:-1]) + 1
        return box

    @cached_property
    def conflicts(self) -> tuple[IntArray, ...]:
        """Sets of segments that share a pixel, the largest ones only: of each set at most one is a cell."""
        shared = np.bincount(self.pixels, minlength=1)[self.pixels] > 1
        pixels, owner = self.pixels[shared], self.owner[shared]
        tag = np.random.default_rng(0).integers(1, 2**62, len(self))  # equal sets of owners have equal sums, others hardly ever
        place, at = np.unique(pixels, return_inverse=True)
        total = np.zeros(len(place), np.int64)
        np.add.at(total, at, tag[owner])
        first = np.sort(np.unique(total, return_index=True)[1])
        sets = sparse.csr_array((np.ones(len(at), np.int64), (at, owner)), (len(place), len(self)))[first]
        largest = _largest(sets)
        return tuple(np.sort(sets.indices[sets.indptr[k] : sets.indptr[k + 1]]).astype(np.int64) for k in np.flatnonzero(largest))

    def __iter__(self) -> Iterator[IntArray]:
        """The pixels of one segment after the other."""
        return iter(np.split(self.pixels, self.ends[1:-1])) if len(self) else iter(())

    def best(self) -> IntArray:
        """The likeliest choice of segments without a conflict: the least sum of costs; rows, rising."""
        if not len(self):
            return np.zeros(0, np.int64)
        sets = self.conflicts
        if not sets:
            return np.flatnonzero(self.cost < 0)
        row = np.repeat(np.arange(len(sets)), [len(rows) for rows in sets])
        matrix = sparse.csr_array((np.ones(len(row)), (row, np.concatenate(sets))), (len(sets), len(self)))
        whole = np.ones(len(self), np.int64)
        found = milp(self.cost, integrality=whole, bounds=Bounds(0, 1), constraints=LinearConstraint(matrix, -np.inf, 1))
        assert found.x is not None  # nothing at all is always a choice
        return np.flatnonzero(found.x > 0.5)

    def take(self, rows: AnyArray) -> "Segments":
        """Some of the segments, in this order; those whose parent is left out take the parent's parent.

        Args:
            rows: which ones; (m,).
        """
        rows = np.asarray(rows, np.int64)
        number = np.full(len(self) + 1, -1)
        number[rows] = np.arange(len(rows))
        parent = self.parent.copy()
        while (gone := (parent >= 0) & (number[parent] < 0)).any():
            parent[gone] = parent[parent[gone]]
        ends = np.concatenate([[0], np.cumsum(self.size[rows])])
        at = np.arange(int(ends[-1])) + np.repeat(self.ends[rows] - ends[:-1], self.size[rows])
        return Segments(self.shape, self.score[rows], self.pixels[at], ends, number[parent[rows]])

    def labels(self, rows: AnyArray | None = None) -> IntArray:
        """Paint some segments as a label picture; segment k has the label k + 1.

        Args:
            rows: which ones, none of which share a pixel; the likeliest choice when not given.

        Returns:
            int32, of the shape of the picture.

        Raises:
            ValueError: two of them share a pixel.
        """
        rows = self.best() if rows is None else np.asarray(rows, np.int64)
        chosen: BoolArray = np.isin(self.owner, rows)
        pixels, owner = self.pixels[chosen], self.owner[chosen]
        twice = np.flatnonzero(np.bincount(pixels, minlength=1) > 1)
        if twice.size:
            a, b = owner[pixels == twice[0]][:2]
            raise ValueError(f"segments {a} and {b} share a pixel: choose one of them")
        picture = np.zeros(int(np.prod(self.shape)), np.int32)
        picture[pixels] = owner + 1
        return picture.reshape(self.shape)

    @classmethod
    def of_labels(cls, labels: IntArray, score: FloatArray | float = 1.0) -> "Segments":
        """The cells of a label picture, none of them in doubt with another.

        Args:
            labels: ([Z,] Y, X), 0 = background; cells in rising order of their labels.
            score: (n,) or one probability for all.
        """
        flat = labels.ravel()
        place = np.flatnonzero(flat > 0)
        order = place[np.argsort(flat[place], kind="stable")]
        count = np.unique(flat[place], return_counts=True)[1]
        n = len(count)
        return cls(
            labels.shape,
            np.broadcast_to(np.asarray(score, float), n).copy(),
            order,
            np.concatenate([[0], np.cumsum(count)]).astype(np.int64),
            np.full(n, -1),
        )


def _largest(sets: sparse.csr_array) -> BoolArray:
    """Which rows of a 0/1 matrix (all different) are not contained in another one."""
    size = np.diff(sets.indptr)
    common = sparse.coo_array(sets @ sets.T)
    inside = (common.data == size[common.row]) & (common.row != common.col)
    largest = np.ones(len(size), bool)
    largest[common.row[inside]] = False
    return largest & (size > 1)
