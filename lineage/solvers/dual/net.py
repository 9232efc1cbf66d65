"""Net: a programme as the columns that the dual solver works on, pins built in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lineage.arrays import BoolArray, FloatArray, IntArray
from lineage.program import Program

SmallInts = NDArray[np.int32]


class Net(NamedTuple):
    """Candidate links sorted by source, with their costs; what cannot be is left out. Never changed by a kernel.

    Attributes:
        frames: First detection of every frame, and the end; (T + 1,).
        out, into: First out-link of every detection, first place in ``at_out`` of its in-links; (n + 1,).
        source, target: Ends of every link; (m,).
        at_in, at_out: Place of every link among those sorted by target, and back; (m,).
        link: Cost; (m,).
        select, appear, disappear, divide: Costs; (n,), infinite where forbidden. ``divide`` is infinite too where pairs have costs.
        off: Cost of not being there; (n,), 0, or infinite where forced.
        bonus: What forced divisions were made cheaper by; (n,).
        first: First listed pair of every detection; (n + 1,).
        one, two: The links of every listed pair; (p,).
        pair: Its cost with the division's; (p,).
        sets: First row of every conflict set in ``rivals``; (s + 1,).
        rivals: Detections of the sets, one set after another.
        n_sets: In how many sets each detection is; (n,).
        set_frames: First set of every frame, and the end; (T + 1,).
        far: A cost beyond all that can be gained, in place of infinity in messages.
    """

    frames: IntArray
    out: IntArray
    into: IntArray
    source: SmallInts
    target: SmallInts
    at_in: SmallInts
    at_out: SmallInts
    link: FloatArray
    select: FloatArray
    appear: FloatArray
    disappear: FloatArray
    divide: FloatArray
    off: FloatArray
    bonus: FloatArray
    first: IntArray
    one: SmallInts
    two: SmallInts
    pair: FloatArray
    sets: IntArray
    rivals: IntArray
    n_sets: IntArray
    set_frames: IntArray
    far: float


@dataclass(frozen=True, eq=False)
class Columns:
    """The programme's columns with the pins worked in, links in the graph's order."""

    cost: dict[str, FloatArray]
    link_alive: BoolArray
    pair_alive: BoolArray
    off: FloatArray
    bonus: FloatArray
    listed: BoolArray


def net_of(program: Program) -> tuple[Net, IntArray, IntArray]:
    """The net of a programme, and where its links and its pairs stand in the programme; None of it is shared with it."""
    graph, n = program.graph, len(program.graph.detections)
    columns = pinned(program)
    edges = np.flatnonzero(columns.link_alive)
    if len(edges) and (np.diff(graph.source[edges]) < 0).any():
        edges = edges[np.argsort(graph.source[edges], kind="stable")]
    place = np.full(len(graph), -1)
    place[edges] = np.arange(len(edges))
    which = np.flatnonzero(columns.pair_alive)
    pairs = place[program.pairs[which]]
    order = np.argsort(graph.source[program.pairs[which, 0]], kind="stable")
    which, pairs = which[order], pairs[order]
    mother = graph.source[program.pairs[which, 0]]
    cost = columns.cost
    divide = np.where(columns.listed, np.inf, cost["divide"])
    frame = graph.detections.frame
    n_frames = graph.detections.n_frames
    sets = conflict_sets(program, np.isfinite(cost["select"]))
    return (
        Net(
            np.searchsorted(frame, np.arange(n_frames + 1)),
            *_linked(graph.source[edges], graph.target[edges], n),
            cost["link"][edges],
            cost["select"],
            cost["appear"],
            cost["disappear"],
            divide,
            columns.off,
            columns.bonus,
            np.searchsorted(mother, np.arange(n + 1)),
            pairs[:, 0].astype(np.int32),
            pairs[:, 1].astype(np.int32),
            cost["pair"][which] + cost["divide"][mother],
            *sets,
            np.searchsorted(frame[sets[1][sets[0][:-1]]], np.arange(n_frames + 1)),
            _far(cost),
        ),
        edges,
        which,
    )


def _linked(source: IntArray, target: IntArray, n: int) -> tuple[IntArray, IntArray, SmallInts, SmallInts, SmallInts, SmallInts]:
    """out, into, source, target, at_in, at_out of links sorted by source."""
    at_out = np.argsort(target, kind="stable")
    at_in = np.empty_like(at_out)
    at_in[at_out] = np.arange(len(at_out))
    out = np.cumsum(np.concatenate([[0], np.bincount(source, minlength=n)]))
    into = np.cumsum(np.concatenate([[0], np.bincount(target, minlength=n)]))
    small = [column.astype(np.int32) for column in (source, target, at_in, at_out)]
    return out, into, small[0], small[1], small[2], small[3]


def conflict_sets(program: Program, alive: BoolArray) -> tuple[IntArray, IntArray, IntArray]:
    """Where each set begins, the rivals in it, and each cell's number of sets; of conflict sets with two or more that can be there."""
    n = len(program.graph.detections)
    given = [np.unique(rows[alive[rows]]) for rows in program.graph.detections.conflicts]
    given = sorted((rows for rows in given if len(rows) > 1), key=lambda rows: int(rows[0]))
    rivals = np.concatenate([*given, np.zeros(0, np.int64)]).astype(np.int64)
    return np.cumsum([0, *map(len, given)]), rivals, np.bincount(rivals, minlength=n)


def pinned(program: Program) -> Columns:
    """Pins and infinite costs as costs: links that cannot be are dropped, what must be has no alternative."""
    graph, n = program.graph, len(program.graph.detections)
    blocks = ("select", "link", "appear", "disappear", "divide", "pair")
    cost = {name: np.where(program.upper[program.blocks[name]] > 0, program.costs(name), np.inf) for name in blocks}
    must = {name: program.lower[program.blocks[name]] > 0 for name in blocks}
    source, target, pairs = graph.source, graph.target, program.pairs
    alive = cost["link"] < np.inf
    for name, end in (("appear", target), ("disappear", source)):
        alive &= ~must[name][end]
    forced = must["select"] | must["appear"] | must["disappear"] | must["divide"]
    if must["pair"].any():
        must["link"] = must["link"].copy()
        must["link"][pairs[must["pair"]]] = True
        must["divide"] = must["divide"] | (np.bincount(source[pairs[must["pair"], 0]], minlength=n) > 0)
    kept = np.flatnonzero(must["link"])
    n_parents = np.bincount(target[kept], minlength=n)
    taken = n_parents > 0
    cost["select"][n_parents > 1] = np.inf
    alive &= ~taken[target] | must["link"]
    cost["appear"][taken] = np.inf
    cost["disappear"][source[kept]] = np.inf
    forced[target[kept]] = forced[source[kept]] = True
    cost["disappear"][must["divide"]] = np.inf
    forced |= must["divide"]
    for rows in graph.detections.conflicts:
        if forced[rows].any():
            cost["select"][rows[~forced[rows]]] = np.inf
    listed = np.zeros(n, bool)
    listed[program.mothers] = True
    cannot = cost["divide"] == np.inf
    pair_alive = (cost["pair"] < np.inf) & ~cannot[source[pairs[:, 0]]]
    alive, pair_alive = _living(program, cost, alive, pair_alive)
    cost = {name: np.where(column == np.inf, np.inf, column) for name, column in cost.items()}
    bonus = np.where(must["divide"], _far(cost), 0.0)
    cost["divide"] = cost["divide"] - bonus
    return Columns(cost, alive, pair_alive, np.where(forced, np.inf, 0.0), bonus, listed)


def _living(program: Program, cost: dict[str, FloatArray], alive: BoolArray, pair_alive: BoolArray) -> tuple[BoolArray, BoolArray]:
    """Drop links of detections that cannot be there, again and again, since that may leave others without a past or future."""
    graph, n = program.graph, len(program.graph.detections)
    source, target, pairs = graph.source, graph.target, program.pairs
    while True:
        dead = cost["select"] == np.inf
        dead |= (cost["appear"] == np.inf) & (np.bincount(target[alive], minlength=n) == 0)
        dead |= (cost["disappear"] == np.inf) & (np.bincount(source[alive], minlength=n) == 0)
        fewer = alive & ~dead[source] & ~dead[target]
        cost["select"][dead] = np.inf
        pair_alive = pair_alive & fewer[pairs].all(axis=1)
        if (fewer == alive).all():
            return fewer, pair_alive
        alive = fewer


def _far(cost: dict[str, FloatArray]) -> float:
    most = max((float(np.abs(column[np.isfinite(column)]).max(initial=0)) for column in cost.values()), default=0.0)
    return 100 * (1 + most)
