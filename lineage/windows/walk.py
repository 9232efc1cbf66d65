"""The walk: window after window, each bounded by itself, its lineages brought to agree with those before."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace

import numpy as np

from lineage.certificate import relative_gap
from lineage.program import Program
from lineage.solvers import Limits, Solution, Solver, clash

from .decisions import Decisions, costs_of
from .factors import factor_bound
from .fitting import Join, fitted
from .pieces import Pieces, reach
from .seams import Seam, check_same, crossing, put_up, split_of
from .views import Plan, View, looked
from .walls import walled


@dataclass(eq=False)
class Open:
    """A window that may still change.

    Attributes:
        row: Row of the first detection that it sees.
        made: What was decided about its detections.
        seam: Where it begins; None for the first.
        bound: What it costs at least.
        early, late: What its detections cost, those that the next window does not see and those it does.
        carried: What its part of the chosen links into it costs.
        seconds: Wall time it took.
    """

    row: int
    made: Decisions
    seam: Seam | None
    bound: float
    early: float = 0.0
    late: float = 0.0
    carried: float = 0.0
    seconds: float = 0.0


@dataclass(eq=False)
class Walk:
    """The state of the walk: what changes from window to window.

    Attributes:
        pieces, plan: The film and its windows.
        solver, limits: Solves what a window sees.
        deadline: ``time.perf_counter()`` when to stop.
        open: The windows that may still change, in turn.
        done: How many may not.
        seam: Where the next window begins.
        row: Row of the first detection that the next window sees.
        reach: Most frames that any link has spanned so far.
    """

    pieces: Pieces
    plan: Plan
    solver: Solver
    limits: Limits
    deadline: float
    open: list[Open] = field(default_factory=list)
    done: int = 0
    seam: Seam | None = None
    row: int = 0
    reach: int = 0

    def window(self, k: int) -> Open:
        """An open window by its number."""
        return self.open[k - self.done]

    def limited(self, k: int) -> Limits:
        """When to stop solving what window k sees: its even part of the time that is left."""
        if math.isinf(self.deadline):
            return self.limits
        left = (self.deadline - time.perf_counter()) / (len(self.plan) - k)
        return Limits(self.limits.gap, max(left, 1e-3), self.limits.threads, self.limits.seed)


def stepped(now: Walk, k: int) -> None:
    """Bound the next window, and make its lineages agree with those before."""
    started = time.perf_counter()
    view, seam = looked(now.pieces, now.plan, k, k, now.row), now.seam
    now.reach = max(now.reach, reach(view.piece, view.first, view.row, now.plan.overlap))
    ahead, bound = _bounded(now, view, k)
    own = ahead.part(view.row_at(now.plan.first(k)), view.row_at(now.plan.first(k + 1)))
    now.open.append(Open(view.row, own, seam, bound))
    _agree(now, view, k, ahead)
    now.row = view.row_at(now.plan.first(k + 1) - now.plan.overlap)
    now.window(k).seconds = time.perf_counter() - started


def _bounded(now: Walk, view: View, k: int) -> tuple[Decisions, float]:
    """The best forest of what a window sees when its past is for sale at the seam's prices, and a bound of the window's own part.

    Puts up the prices at the next seam.
    """
    program, frame, limits = view.program, view.frame, now.limited(k)
    graph, first, last = program.graph, now.plan.first(k), now.plan.first(k + 1)
    into = np.zeros(len(graph))
    if now.seam is not None:
        into[check_same(now.seam, program, view.row, view.first)] = now.seam.into
    ahead = walled(program, frame >= first, frame < first, into)
    found = _asked(now, view, ahead, limits)
    made = Decisions.read(program, found.x, view.row)
    if last == now.plan.n_frames:
        return made, found.certificate.bound
    split, across = split_of(ahead, found, limits), crossing(graph, last - view.first)
    into[across] = np.where(split.dead, np.nan, split.into)[across]
    now.seam = put_up(program, view.row, (last, view.first), into, now.plan.overlap)
    own = (frame >= first) & (frame < last)
    part = walled(program, own, frame < first, into)
    bound = factor_bound(part, split, own)
    if relative_gap(float(costs_of(part, made).sum()), bound) > limits.gap:
        bound = max(bound, _asked(now, view, part, now.limited(k)).certificate.bound)
    return made, bound


def _asked(now: Walk, view: View, program: Program, limits: Limits) -> Solution:
    """What the solver says of a programme of a view; pins of one detection that contradict each other are named before."""
    if (complaint := clash(program)) is not None:
        raise ValueError(view.placed(complaint))
    try:
        return now.solver(program, limits)
    except ValueError as error:
        raise ValueError(view.placed(str(error))) from None


def _agree(now: Walk, view: View, k: int, ahead: Decisions) -> None:
    """Settle what a window and those before it share; where that is not possible, decide the windows before anew as well."""
    j, made = k, ahead if k == 0 else _joined(now, view, k, ahead)
    while made is None:
        j -= 1
        if j < 0 or 0 < j <= now.done:
            raise ValueError(
                f"the pins from frame {now.plan.first(k)} on cannot hold with what was decided before it and handed over: "
                "take a longer overlap, or let more windows be revised"
            )
        view = looked(now.pieces, now.plan, j, k, now.window(j).row)
        made = _joined(now, view, j, None)
    _written(now, view, range(j, k + 1), made)


def _joined(now: Walk, view: View, j: int, ahead: Decisions | None) -> Decisions | None:
    """What window j and later ones see, made to agree with the windows before."""
    seam, overlap = now.plan.first(j), now.plan.overlap
    none = Decisions(view.row, *(np.zeros(0, kind) for kind in (np.int64, bool, float)))
    past = now.window(j - 1).made.part(view.row, view.row_at(seam)) if j else none
    join = Join(seam, seam - overlap + now.reach if j else 0, seam + 2 * overlap, now.reach)
    return fitted(view, past, ahead, join, replace(now.limits, seconds=math.inf))  # small, and there is no doing without


def _written(now: Walk, view: View, windows: range, made: Decisions) -> None:
    """Decisions about what some windows see become those of the windows, and of the one before."""
    plan = now.plan
    total = np.concatenate([[0.0], np.cumsum(costs_of(view.program, made))])
    for i in range(max(windows.start - 1, 0), windows.stop):
        window = now.window(i)
        begin, end = max(window.made.row, view.row), view.row_at(plan.first(i + 1))
        window.made = window.made.part(window.made.row, begin).then(made.part(begin, end))
        shown = view.row_at(plan.first(i + 1) - plan.overlap)
        if i in windows:
            window.early = float(total[shown - view.row] - total[begin - view.row])
        window.late = float(total[end - view.row] - total[shown - view.row])
        if i in windows and window.seam is not None:
            seam = window.seam
            window.carried = float(seam.into[made.parent[seam.target - view.row] == seam.source].sum())
