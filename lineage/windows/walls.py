"""Walls: a window's programme closed off from the film around it, by prices for the bound, by decisions for the forest.

``walled`` is for the bound. Of a link across the wall only the inner end's share counts, what lies outside costs nothing and may
be anything: whatever forest the whole film has, its part inside is lawful here, so the minimum is a lower bound of that part's
cost. ``held`` is for the forest: what lies outside stays as it was decided, and inside the best is found that fits it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lineage.arrays import BoolArray, FloatArray, IntArray
from lineage.program import NODE_BLOCKS, Program

from .decisions import Decisions


def open_ended(program: Program, rows: BoolArray, last: BoolArray) -> Program:
    """The programme of a piece behind which the film goes on.

    Whatever comes after the piece, its forest must be possible here: detections near the end may end there even if they must not
    end in the film, and need not divide. In the last frame, where nothing can go on, ending costs nothing.

    Args:
        program: The piece.
        rows: Detections that may have links beyond its end; (n,).
        last: Those in its last frame; (n,).
    """
    cost, lower, upper = program.cost.copy(), program.lower.copy(), program.upper.copy()
    ends, divides = program.blocks["disappear"], program.blocks["divide"]
    cost[ends][last | (rows & (upper[ends] == 0))] = 0
    upper[ends][rows] = 1
    lower[divides][rows] = 0
    return replace(program, cost=cost, lower=lower, upper=upper)


def walled(program: Program, inside: BoolArray, left: BoolArray, into: FloatArray) -> Program:
    """The programme of some detections, with half links to all others.

    Args:
        program: The piece.
        inside: The detections; (n,).
        left: Those before them; (n,). The rest comes later.
        into: The target's share of every link across the wall; (m,), the rest is the source's. NaN for links that cannot be.
    """
    graph, gone = program.graph, np.isnan(into)
    into = np.where(gone, 0.0, into)
    cost, lower, upper = program.cost.copy(), program.lower.copy(), program.upper.copy()
    right = ~inside & ~left
    for name in NODE_BLOCKS:
        block = program.blocks[name]
        cost[block][~inside] = lower[block][~inside] = 0
        upper[block][left] = 0
        if name != "select":  # what cannot be there cannot be there
            upper[block][right] = 1
    pair = program.blocks["pair"]
    foreign = ~inside[graph.source[program.pairs[:, 0]]]
    cost[pair][foreign] = lower[pair][foreign] = 0
    link, a, b = program.blocks["link"], inside[graph.source], inside[graph.target]
    cost[link] = np.where(a & b, cost[link], np.where(a, cost[link] - into, 0.0))
    upper[link][gone] = 0
    walled_in = replace(program, cost=cost, lower=lower, upper=upper)
    _sell(walled_in, np.flatnonzero(b & left[graph.source]), into)
    lower[link][~a] = upper[link][~a] = 0
    return walled_in


def _sell(program: Program, coming: IntArray, into: FloatArray) -> None:
    """Half links into a wall become appearances: the cheapest is what a past costs at most. The programme is changed in place."""
    graph, link, appear = program.graph, program.blocks["link"], program.blocks["appear"]
    cost, lower, upper = (column[appear] for column in (program.cost, program.lower, program.upper))
    forced = coming[program.lower[link][coming] > 0]
    coming = coming[program.upper[link][coming] > 0]
    coming = coming[lower[graph.target[coming]] == 0]  # what must appear has no parent
    past = np.where(upper > 0, cost, np.inf)
    np.minimum.at(past, graph.target[coming], into[coming])
    cost[:], upper[:] = np.where(np.isfinite(past), past, 0.0), np.isfinite(past)
    child = graph.target[forced]
    cost[child], lower[child] = into[forced], 1


def held(program: Program, made: Decisions, free: BoolArray, left: BoolArray) -> Program:
    """The programme of some detections and all their links, everything else as it was decided.

    Args:
        program: The piece.
        made: What was decided.
        free: The detections that are decided anew; (n,).
        left: Those before them, whose parents may lie before the piece; (n,). Those behind may have children behind it.
    """
    graph = program.graph
    cost, lower, upper = program.cost.copy(), program.lower.copy(), program.upper.copy()
    select, link = program.blocks["select"], program.blocks["link"]
    fixed = ~free
    lower[select][fixed] = upper[select][fixed] = made.selected[fixed]
    still = fixed[graph.source] & fixed[graph.target]
    lower[link][still] = upper[link][still] = made.links(graph)[still]
    for name, rows in (("appear", left), ("disappear", fixed & ~left), ("divide", fixed & ~left)):
        block = program.blocks[name]
        cost[block][rows] = lower[block][rows] = 0
        upper[block][rows] = 1
    pair = program.blocks["pair"]
    behind = (fixed & ~left)[graph.source[program.pairs[:, 0]]]
    cost[pair][behind] = lower[pair][behind] = 0
    return replace(program, cost=cost, lower=lower, upper=upper)
