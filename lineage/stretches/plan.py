"""Plan: where a film is cut into stretches, so that each fits in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lineage.arrays import IntArray

FREE = 4 * 10**8  # bytes that the libraries take
A_POINT, A_MASK, A_CELL = 5_000, 9_000, 24_000  # bytes that linking takes a point, a mask, and a mask whose links are scored by a network
A_RIVAL = 32_000  # the same of a segment that excludes others: it has many that it could be linked to
_HALVINGS = 40


@dataclass(frozen=True)
class Stretch:
    """Some frames of a film, and those around them that are looked at as well.

    Attributes:
        first, last: Its own frames, the last one excluded.
        before, after: What it sees, the last one excluded.
    """

    first: int
    last: int
    before: int
    after: int

    @property
    def name(self) -> str:
        """What its piece is called."""
        return f"links/{self.first:06d}"


def cut(count: IntArray, memory: int, overlap: int, a_cell: int = A_CELL) -> list[Stretch]:
    """Cut a film into as few stretches as memory allows, all about as large.

    Args:
        count: Cells in every frame; int (T,).
        memory: Bytes that a process may take.
        overlap: Frames that a stretch sees on either side.
        a_cell: Bytes that linking takes a cell, at most.

    Raises:
        ValueError: Even the shortest stretch does not fit; the message says what would do.
    """
    n_frames = len(count)
    ends = np.concatenate([[0], np.cumsum(count)])
    most = max(memory - FREE, 0) // a_cell
    if ends[-1] <= most:
        return [Stretch(0, n_frames, 0, n_frames)]
    firsts = _greedy(ends, most, overlap, a_cell)
    low, high = int(ends[-1] // len(firsts)), int(most)  # the evenest cut into as many: the smallest bound that allows it
    for _ in range(_HALVINGS):
        if high - low <= 1:
            break
        middle = (low + high) // 2
        try:
            fits = len(_greedy(ends, middle, overlap, a_cell)) <= len(firsts)
        except ValueError:
            fits = False
        low, high = (low, middle) if fits else (middle, high)
    firsts = _greedy(ends, high, overlap, a_cell)
    sides = zip(firsts, [*firsts[1:], n_frames], strict=True)
    return [Stretch(a, b, max(0, a - overlap), min(n_frames, b + overlap)) for a, b in sides]


def _greedy(ends: IntArray, most: int, overlap: int, a_cell: int) -> list[int]:
    """First frames of stretches that see at most so many cells each, one after another as long as possible."""
    n_frames, firsts = len(ends) - 1, [0]
    while True:
        a = firsts[-1]
        seen = int(np.searchsorted(ends, ends[max(0, a - overlap)] + most, "right")) - 1  # frames up to here fit
        if seen >= n_frames:
            return firsts
        b = seen - overlap
        if b < a + overlap:  # shorter than what is looked at beside it: it would cost more than it does
            a, b = max(0, a - overlap), min(n_frames, a + 2 * overlap)
            cells = int(ends[b] - ends[a])
            need = (cells * a_cell + FREE) / 10**9
            raise ValueError(
                f"frames {a} to {b - 1} hold {cells} cells, and linking them takes about {need:.1f} GB: allow that much memory"
            )
        firsts.append(b)
