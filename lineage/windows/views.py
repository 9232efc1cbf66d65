"""Views: which frames the windows of a film see, and the programme of what they see."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lineage.arrays import IntArray
from lineage.program import Program, state

from .pieces import Piece, Pieces, handed_over
from .walls import open_ended


@dataclass(frozen=True)
class Plan:
    """Where windows begin and what they see.

    Attributes:
        n_frames: Length of the film.
        length: Frames of a window.
        overlap: Frames that a window sees before and behind it.
    """

    n_frames: int
    length: int
    overlap: int

    def __post_init__(self) -> None:
        for name, least in (("n_frames", 0), ("length", 1), ("overlap", 1)):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or value < least:
                raise ValueError(f"{name} must be a whole number from {least} up, not {value!r}")
        if self.length < self.overlap:
            raise ValueError(f"windows of {self.length} frames are shorter than their overlap of {self.overlap}: take longer windows")

    def __len__(self) -> int:
        """Number of windows; what the last but one would see in any case is not worth one of its own."""
        return max(1, math.ceil((self.n_frames - self.overlap) / self.length))

    def first(self, k: int) -> int:
        """First frame of a window; the length of the film behind the last."""
        return self.n_frames if k >= len(self) else k * self.length

    def seen(self, j: int, k: int) -> tuple[int, int]:
        """The frames that the windows from j to k see together."""
        return max(0, self.first(j) - self.overlap), min(self.n_frames, self.first(k + 1) + self.overlap)


@dataclass(frozen=True, eq=False)
class View:
    """A piece of the film and its programme.

    Attributes:
        first: Its first frame.
        row: Row of its first detection in the whole film.
        piece: As it was handed over.
        program: Its programme, open towards the rest of the film.
    """

    first: int
    row: int
    piece: Piece
    program: Program

    @property
    def frame(self) -> IntArray:
        """Frame of every detection in the whole film; (n,)."""
        frame: IntArray = self.piece.graph.detections.frame + self.first
        return frame

    def row_at(self, frame: int) -> int:
        """Row, in the whole film, of the first detection in a frame or later."""
        return self.row + int(np.searchsorted(self.piece.graph.detections.frame, frame - self.first))

    def placed(self, complaint: str) -> str:
        """A complaint about the piece, with what its rows mean."""
        return f"frames {self.first} on, rows counted from row {self.row}: {complaint}" if self.row else complaint


def looked(pieces: Pieces, plan: Plan, j: int, k: int, row: int) -> View:
    """What the windows from j to k see.

    Args:
        pieces: Gives the parts of the film.
        plan: Where the windows are.
        j: The first of them.
        k: The last.
        row: Row of the first detection they see in the whole film.

    Raises:
        ValueError: The costs or the pins make no sense; the message names the frames.
    """
    first, last = plan.seen(j, k)
    piece = handed_over(pieces, first, last)
    try:
        program = state(piece.graph, piece.costs, pins=piece.pins)
    except ValueError as error:
        raise ValueError(f"the piece of frames {first} to {last - 1}: {error}") from None
    if last < plan.n_frames:
        frame = piece.graph.detections.frame + first
        program = open_ended(program, frame >= last - plan.overlap, frame == last - 1)
    return View(first, row, piece, program)
