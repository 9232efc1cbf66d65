"""Seams: the links that cross from one window into the next, and how their costs are split between the two."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lineage.arrays import BoolArray, FloatArray, IntArray
from lineage.graph import CandidateGraph
from lineage.program import Program
from lineage.solvers import Limits, Solution, dual_ascent

from .factors import Split

SAME = 1e-6  # relative; what two pieces may say differently about one cost


class Seam(NamedTuple):
    """The links that cross into a window.

    Attributes:
        frame: First frame of the window.
        source, target: Their ends, rows of the whole film; (c,), sorted by source, then target.
        cost: Nats; (c,).
        into: The part of it that the window bears, the rest is left to the windows before; (c,), NaN where no forest holds the link.
        seen: How many detections each frame has that both windows see; (f,).
    """

    frame: int
    source: IntArray
    target: IntArray
    cost: FloatArray
    into: FloatArray
    seen: IntArray


def crossing(graph: CandidateGraph, frame: int) -> BoolArray:
    """Which links of a piece cross from before one of its frames to there or later; (m,)."""
    at = graph.detections.frame
    across: BoolArray = (at[graph.source] < frame) & (at[graph.target] >= frame)
    return across


def put_up(program: Program, row: int, frames: tuple[int, int], into: FloatArray, overlap: int) -> Seam:
    """The seam to the next window.

    Args:
        program: The piece before it.
        row: Row of its first detection in the whole film.
        frames: First frame of the next window, first frame of the piece.
        into: The target's part of every link's cost; (m,).
        overlap: Frames that both windows see before and behind the seam.
    """
    frame, first = frames
    graph, across = program.graph, crossing(program.graph, frame - first)
    cost = program.costs("link")[across]
    seen = np.bincount(graph.detections.frame, minlength=frame - first + overlap)[frame - first - overlap :]
    return Seam(frame, graph.source[across] + row, graph.target[across] + row, cost, into[across], seen)


def split_of(program: Program, solution: Solution, limits: Limits) -> Split:
    """A good split of a programme's costs.

    The dual solver leaves one behind; where another solver was taken it is asked besides. Any split gives a bound that holds;
    where there is none to be had, each end of a link bears half.
    """
    memory: Any = solution.memory
    if not hasattr(memory, "into"):
        memory = dual_ascent(program, limits).memory
    half = program.costs("link") / 2
    if not hasattr(memory, "into"):
        none = np.zeros(0, np.int64)
        return Split(half, np.zeros(len(half), bool), none, np.zeros(0), np.zeros(1, np.int64))
    dead = np.isnan(memory.into)
    return Split(np.where(dead, half, memory.into), dead, memory.rivals, memory.rival, memory.sets)


def check_same(seam: Seam, program: Program, row: int, first: int) -> BoolArray:
    """Which links of a piece are those of a seam, once it is sure that the pieces before and behind it agree about what they share.

    Args:
        seam: As the piece before gives it.
        program: The piece behind.
        row: Row of its first detection in the whole film.
        first: Its first frame.

    Raises:
        ValueError: They do not agree; the message names the frame or the link.
    """
    graph = program.graph
    count = np.bincount(graph.detections.frame, minlength=len(seam.seen))[: len(seam.seen)]
    if (other := np.flatnonzero(count != seam.seen)).size:
        t = int(other[0])
        raise ValueError(f"two pieces differ: frame {first + t} has {seam.seen[t]} detections in one and {count[t]} in the next")
    across = crossing(graph, seam.frame - first)
    source, target, cost = graph.source[across] + row, graph.target[across] + row, program.costs("link")[across]
    if not (np.array_equal(source, seam.source) and np.array_equal(target, seam.target)):
        here, there = (set(zip(a.tolist(), b.tolist(), strict=True)) for a, b in ((source, target), (seam.source, seam.target)))
        i, j = min(here ^ there)
        raise ValueError(f"two pieces differ: the link row {i} -> row {j} across frame {seam.frame} is in one of them only")
    if (other := np.flatnonzero(np.abs(cost - seam.cost) > SAME * (1 + np.abs(cost)))).size:
        k = int(other[0])
        link = f"link row {source[k]} -> row {target[k]} across frame {seam.frame}"
        raise ValueError(f"two pieces differ: the {link} costs {seam.cost[k]:g} in one and {cost[k]:g} in the next")
    return across
