"""Fitting: the lineages of a window made to agree with what was decided before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lineage.arrays import FloatArray
from lineage.program import Program, state
from lineage.solvers import Limits, auto, clash

from .columns import Columns
from .decisions import Decisions
from .views import View
from .walls import held


@dataclass(frozen=True)
class Join:
    """Where a window is joined to those before.

    Attributes:
        seam: Its first frame.
        back: First frame that is decided anew: no link reaches from before the view to there or later.
        near: First frame that stays as the window alone has it, if it can.
        reach: Most frames that a link spans.
    """

    seam: int
    back: int
    near: int
    reach: int


def fitted(view: View, past: Decisions, ahead: Decisions | None, join: Join, limits: Limits) -> Decisions | None:
    """The cheapest forest of a view that agrees with the past; None if there is none.

    Around the seam all is decided anew, before that stays the past. What comes later is at first held as the window alone has it,
    so that little is to be solved, and set free if that is impossible.

    Args:
        view: What is seen.
        past: Decisions about what it shows of the time before the seam.
        ahead: Decisions about it all; without, all from ``join.back`` on is free.
        join: Where the seam is.
        limits: When to stop.
    """
    n, row = len(view.frame), view.row_at(join.seam)
    if ahead is not None:
        both = past.then(ahead.part(row, view.row + n))
        shown = _cut(view, join.near + join.reach)
        end = view.row + len(shown.frame)
        near = _fitted(shown, both.part(view.row, end), join, limits, join.near)
        if near is not None:
            return near.then(both.part(end, view.row + n))
    m = view.row + n - row
    nothing = Decisions(row, np.full(m, -1), np.zeros(m, bool), np.full(m, np.nan))
    return _fitted(view, past.then(nothing), join, limits, None)


def _fitted(view: View, made: Decisions, join: Join, limits: Limits, near: int | None) -> Decisions | None:
    """The cheapest forest of a view in which only the detections from ``join.back`` to ``near`` are decided anew."""
    frame = view.frame
    left = frame < join.back
    free = ~left if near is None else ~left & (frame < near)
    program = held(view.program, made, free, left)
    x = _point(program, limits)
    if x is None:
        return None
    new = Decisions.read(view.program, x, view.row)
    return made.part(view.row, view.row_at(join.back)).then(new.part(view.row_at(join.back), view.row + len(frame)))


def _point(program: Program, limits: Limits) -> FloatArray | None:
    """The cheapest point of a programme; None where the pins admit none."""
    if clash(program) is not None:
        return None
    try:
        return auto(program, limits).x
    except ValueError:
        return None


def _cut(view: View, last: int) -> View:
    """What a view shows before a frame."""
    if view.frame.max(initial=0) < last:
        return view
    piece = Columns.of(*view.piece)(0, last - view.first)
    return View(view.first, view.row, piece, state(piece.graph, piece.costs, pins=piece.pins))
