"""A film in windows: solved one after another, handed over one after another, certified as a whole."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from lineage.arrays import BoolArray, FloatArray, IntArray, Progress, silent
from lineage.certificate import Certificate
from lineage.forest import Forest
from lineage.graph import CandidateGraph
from lineage.program import Costs, Pins
from lineage.solvers import Limits, Solver, solver_named

from .columns import Columns
from .pieces import Pieces
from .views import Plan
from .walk import Walk, stepped


@dataclass(frozen=True, eq=False)
class Window:
    """The lineages of one window of a film, in the rows of the whole film.

    Attributes:
        first, last: Its frames, the last one excluded.
        row: Row of its first detection.
        parent: Row of each detection's parent, or -1; (n,). It may lie in the window before.
        selected: Which detections are believed; (n,).
        link_cost: Cost of the link to the parent, nats, NaN where there is none; (n,).
        certificate: What its part of the film costs, and what that must cost at least; of a link across a seam each side bears
            the share that was agreed.
    """

    first: int
    last: int
    row: int
    parent: IntArray
    selected: BoolArray
    link_cost: FloatArray
    certificate: Certificate

    def record(self) -> dict[str, float | int]:
        """Its frames, objective, bound and gap, JSON-able."""
        proof = self.certificate
        return {"first": self.first, "last": self.last, "objective": proof.objective, "bound": proof.bound, "gap": proof.gap}


def solve_windows(  # noqa: PLR0913 - the film, the windows, and how to solve them
    pieces: Pieces,
    n_frames: int,
    take: Callable[[Window], None],
    *,
    length: int = 20,
    overlap: int = 8,
    solver: str | Solver = "auto",
    gap: float = 1e-4,
    time_limit: float = math.inf,
    threads: int = 0,
    seed: int = 0,
    revise: int = 2,
    progress: Progress[int] = silent,
) -> Certificate:
    """Find the lineages of a film that need not fit in memory, window by window.

    Args:
        pieces: Gives the part of the film between two frames, ``pieces(first, last)`` with the last excluded: a ``CandidateGraph`` with
            its frames counted from ``first`` and all links between these frames, its costs as ``lineage.solve`` takes them and, if
            wanted, pins. Parts overlap; what they share must be the same in both. ``Columns`` is one for columns on disk.
        n_frames: Length of the film.
        take: Called with every window, in turn, when it will not change any more.
        length: Frames of a window.
        overlap: Frames that a window sees before and behind it; at least as many as any link or conflict set spans. The longer,
            the smaller the gap at the seams.
        solver: Solves what a window sees; as for ``lineage.solve``. Seams are always settled by the best there is.
        gap: Relative gap between objective and lower bound of the film that is good enough.
        time_limit: Seconds for the whole film.
        threads: Processor threads the solver may use, where it can be told; 0 leaves it to the solver.
        seed: For solvers that draw lots.
        revise: How many windows are kept back: they are decided anew if pins further on make that necessary.
        progress: Wraps the loop over windows.

    Returns:
        The certificate of the whole film. ``status`` is ``optimal`` when the gap asked for was reached, seams included.

    Raises:
        ValueError: Windows shorter than the overlap, a link or conflict set that spans more frames than it, pieces that differ in
            what they share, costs that make no sense, or pins that cannot hold together. The message says where.
    """
    plan, started = Plan(n_frames, length, overlap), time.perf_counter()
    if revise < 0:
        raise ValueError(f"revise must be a number of windows from 0 up, not {revise}")
    if isinstance(pieces, Columns):
        pieces.check(overlap)
    name, run = (solver, solver_named(solver)) if isinstance(solver, str) else (getattr(solver, "__name__", "solver"), solver)
    count, limits = len(plan), Limits(gap, time_limit, threads, seed)
    if count > 1:  # a window's forest and its bound may each be off
        limits = replace(limits, gap=gap / 2)
    now = Walk(pieces, plan, run, limits, started + time_limit)
    parts: list[Certificate] = []
    for k in progress(range(count), "windows"):
        stepped(now, k)
        while now.open and (k == count - 1 or now.done < k - revise):
            window = _closed(now, name, gap)
            parts.append(window.certificate)
            take(window)
    whole = (sum(part.objective for part in parts), sum(part.bound for part in parts))
    return _certified(*whole, name, gap, time.perf_counter() - started, time_limit)


def in_windows(  # noqa: PLR0913 - the graph, the windows, and how to solve them
    graph: CandidateGraph,
    costs: Costs,
    length: int = 20,
    overlap: int = 8,
    *,
    pins: Pins | None = None,
    solver: str | Solver = "auto",
    gap: float = 1e-4,
    time_limit: float = math.inf,
    threads: int = 0,
    seed: int = 0,
    progress: Progress[int] = silent,
) -> Forest:
    """Find the cheapest forest in a candidate graph window by window, in little more memory than the graph itself takes.

    Args:
        graph: The candidate links.
        costs: Nats, as ``lineage.solve`` takes them.
        length: Frames of a window.
        overlap: Frames that a window sees before and behind it; at least as many as any link or conflict set spans.
        pins: Variables to fix, {block: {row: 0 or 1}}.
        solver: Solves what a window sees.
        gap: Relative gap between objective and lower bound of the film that is good enough.
        time_limit: Seconds for the whole film.
        threads: Processor threads the solver may use.
        seed: For solvers that draw lots.
        progress: Wraps the loop over windows.

    Returns:
        The forest with the certificate of the whole film. Its ``record`` has ``windows``: their ``length`` and ``overlap`` and of each
        its frames (``first``, ``last``), ``objective``, ``bound`` and ``gap``.

    Raises:
        ValueError: As for ``solve_windows``.
    """
    windows: list[Window] = []
    n_frames = graph.detections.n_frames
    certificate = solve_windows(
        Columns.of(graph, costs, pins),
        n_frames,
        windows.append,
        length=length,
        overlap=overlap,
        solver=solver,
        gap=gap,
        time_limit=time_limit,
        threads=threads,
        seed=seed,
        revise=n_frames,
        progress=progress,
    )
    parent, selected, cost = (np.concatenate([getattr(window, name) for window in windows]) for name in ("parent", "selected", "link_cost"))
    record = {"windows": {"length": length, "overlap": overlap, "parts": [window.record() for window in windows]}}
    return Forest(graph.detections, parent, selected, cost, certificate, record)


def _closed(now: Walk, name: str, gap: float) -> Window:
    """Hand over the first window that is open."""
    window, k = now.open.pop(0), now.done
    now.done += 1
    cost = window.early + window.late + window.carried - (now.open[0].carried if now.open else 0.0)
    certificate = _certified(cost, window.bound, name, gap, window.seconds)
    return Window(now.plan.first(k), now.plan.first(k + 1), *window.made, certificate)


def _certified(objective: float, bound: float, name: str, gap: float, seconds: float, most: float = math.inf) -> Certificate:
    """The certificate of a window or a film."""
    proof = Certificate.of(objective, bound, solver=f"{name} in windows", status="stopped", seconds=seconds)
    if proof.gap <= max(gap, 1e-9):
        return replace(proof, status="optimal")
    return replace(proof, status="time limit" if seconds >= most else "heuristic" if name == "greedy" else "stopped")
