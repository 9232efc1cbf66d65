"""Pieces: the part of a film between two frames, as whoever has the film hands it over, checked and brought into one order."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from lineage.arrays import Array, IntArray
from lineage.graph import CandidateGraph
from lineage.program import Costs, Pins


class Piece(NamedTuple):
    """The part of a film between two frames.

    Attributes:
        graph: Its detections, frames counted from the piece's first, and all links between them.
        costs: Nats, as ``lineage.solve`` takes them, rows as in ``graph``.
        pins: Variables to fix, {block: {row: 0 or 1}}, rows as in ``graph``.
    """

    graph: CandidateGraph
    costs: Costs
    pins: Pins = MappingProxyType({})


Pieces = Callable[[int, int], tuple[CandidateGraph, Costs] | tuple[CandidateGraph, Costs, Pins]]


def handed_over(pieces: Pieces, first: int, last: int) -> Piece:
    """The piece of the frames from ``first`` to ``last``, the last one excluded, its links in one order.

    Raises:
        ValueError: There are detections in other frames.
    """
    piece = Piece(*pieces(first, last))
    frame = piece.graph.detections.frame
    if len(frame) and frame[-1] >= last - first:
        raise ValueError(
            f"the piece of frames {first} to {last - 1} has a detection in its frame {frame[-1]}, but it has {last - first} frames: "
            "frames are counted from the piece's first"
        )
    return ordered(piece)


def ordered(piece: Piece) -> Piece:
    """The piece with its links sorted by source, then target, so that the order in which they came makes no difference."""
    graph, costs = piece.graph, piece.costs
    n, m = max(len(graph.detections), 1), len(graph)
    key = graph.source * n + graph.target
    if m < 2 or (np.diff(key) > 0).all():
        return piece
    order = np.argsort(key, kind="stable")
    place = np.empty(m, np.int64)
    place[order] = np.arange(m)
    costs = dict(costs)
    if np.shape(costs.get("link", 0.0)) == (m,):
        costs["link"] = np.asarray(costs["link"])[order]
    if costs.get("divide_pair") is not None:
        one, two, cost = costs["divide_pair"]
        costs["divide_pair"] = (_placed(place, one), _placed(place, two), cost)
    pins = dict(piece.pins)
    if "link" in pins:
        pins["link"] = {int(place[row]) if 0 <= row < m else row: value for row, value in pins["link"].items()}
    return Piece(graph.keep(order), costs, pins)


def _placed(place: IntArray, links: Array) -> Array:
    """Links by their new places; numbers that name no link stay, so that they are complained of."""
    links = np.asarray(links)
    inside = (links >= 0) & (links < len(place))
    return np.where(inside, place[np.where(inside, links, 0)], links)


def reach(piece: Piece, first: int, row: int, overlap: int) -> int:
    """Most frames that a link or a conflict set of a piece spans.

    Args:
        piece: The piece.
        first: Its first frame.
        row: Number of its first detection in the whole film.
        overlap: Most frames that are allowed.

    Raises:
        ValueError: It is more; the message names the link or the set.
    """
    graph, frame = piece.graph, piece.graph.detections.frame
    most = int(graph.dt.max(initial=0))

    def place(i: int) -> str:
        return f"row {row + i} (frame {first + frame[i]})"

    if most > overlap:
        k = int(np.argmax(graph.dt))
        raise ValueError(too_far(f"the link from {place(int(graph.source[k]))} to {place(int(graph.target[k]))}", most, overlap))
    sets = [rows for rows in graph.detections.conflicts if len(rows)]
    if sets:
        starts = np.cumsum([0, *map(len, sets)])[:-1]
        lowest, highest = (least.reduceat(np.concatenate(sets), starts) for least in (np.minimum, np.maximum))
        span = frame[highest] - frame[lowest]
        s = int(np.argmax(span))
        if span[s] > overlap:
            raise ValueError(too_far(f"the conflict set of {place(int(lowest[s]))} and {place(int(highest[s]))}", int(span[s]), overlap))
        most = max(most, int(span[s]))
    return most


def too_far(what: str, span: int, overlap: int) -> str:
    """The complaint about a link or a conflict set that spans more frames than windows overlap by."""
    return f"{what} spans {span} frames, but windows overlap by {overlap}: take an overlap of {span} or more"
