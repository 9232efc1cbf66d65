"""Greedy: links taken one by one, the most worthwhile first; fast, and a baseline to beat."""

from __future__ import annotations

import time

import numpy as np

from lineage.arrays import BoolArray, FloatArray, IntArray
from lineage.program import NODE_BLOCKS, Program

from .bound import elementary_bound
from .infeasible import blame, possible
from .limits import Limits
from .solution import Solution


def greedy(program: Program, limits: Limits = Limits()) -> Solution:  # noqa: B008 - frozen
    """Take links in the order of what they save, as long as they save anything.

    A link saves an appearance and a disappearance, or, as a second child, an appearance at the price of a division.
    At the end, trees that cost more than they save are dropped again. The bound is the elementary one.

    Raises:
        ValueError: The pins (or infinite costs) admit no solution (they are named), or are more than it can honour.
    """
    started = time.perf_counter()
    x = _assemble(program, *_take_links(program))
    if not program.feasible(x):
        raise ValueError("greedy cannot honour these pins: take solver='highs'" if possible(program) else blame(program))
    return Solution.of(program, x, elementary_bound(program), solver="greedy", started=started, limits=limits)


def without_time(program: Program, limits: Limits) -> FloatArray:
    """The greedy point, for a solver whose time is up before it has any; float (v,).

    Raises:
        ValueError: There are pins that it cannot honour.
    """
    x = _assemble(program, *_take_links(program))
    if not program.feasible(x):
        raise ValueError(f"no solution that honours the pins was found in {limits.seconds:g} s: allow more time")
    return x


def _take_links(program: Program) -> tuple[IntArray, IntArray]:
    """The first and second chosen link out of every detection; int (n,) each, -1 for none."""
    graph, n = program.graph, len(program.graph.detections)
    cost, appear, disappear, divide = (program.costs(name) for name in ("link", "appear", "disappear", "divide"))
    link, select = program.blocks["link"], program.blocks["select"]
    forced, allowed = program.lower[link] > 0, program.upper[link] > 0
    allowed &= (program.upper[select][graph.source] > 0) & (program.upper[select][graph.target] > 0)
    saving = cost - appear[graph.target] - disappear[graph.source]
    order = np.lexsort((saving, ~forced))
    order = order[(allowed & ((saving < 0) | forced | (cost + divide[graph.source] < appear[graph.target])))[order]]
    pair = {(int(a), int(b)): c for (a, b), c in zip(program.pairs.tolist(), program.costs("pair").tolist(), strict=True)}
    unlisted = np.zeros(n)  # cost of a pair that is not in the programme: forbidden where the mother has pairs, else nothing
    unlisted[program.mothers] = np.inf
    may_divide = (program.upper[program.blocks["divide"]] > 0).tolist()
    may_end = (program.upper[program.blocks["disappear"]] > 0).tolist()
    first, second, taken = [-1] * n, [-1] * n, [False] * n
    rivals = _rivals(program)
    source, target = graph.source.tolist(), graph.target.tolist()
    gone = [False] * n
    for k in order.tolist():  # each choice changes what is left to choose: no way round a loop over links
        i, j = source[k], target[k]
        if taken[j] or gone[i] or gone[j] or second[i] >= 0 or j in rivals.get(i, ()):
            continue
        if first[i] >= 0:
            a, b = min(first[i], k), max(first[i], k)
            change = cost[k] + divide[i] - appear[j] + pair.get((a, b), unlisted[i])
            if not may_divide[i] or change == np.inf or (change >= 0 and not forced[k]):
                continue
            second[i] = k
        elif saving[k] < 0 or forced[k] or not may_end[i]:
            first[i] = k
        else:
            continue
        taken[j] = True
        for row in (i, j):
            for rival in rivals.get(row, ()):
                gone[rival] = True
    return np.array(first, np.int64), np.array(second, np.int64)


def _rivals(program: Program) -> dict[int, set[int]]:
    """The detections that cannot be real together with a detection."""
    rivals: dict[int, set[int]] = {}
    for rows in program.graph.detections.conflicts:
        for row in rows.tolist():
            rivals.setdefault(row, set()).update(set(rows.tolist()) - {row})
    return rivals


def _assemble(program: Program, first: IntArray, second: IntArray) -> FloatArray:
    """The whole point that goes with the chosen links: trees that do not pay are dropped, lone detections that pay are kept."""
    graph, n = program.graph, len(program.graph.detections)
    link = np.zeros(len(graph))
    chosen = np.concatenate([first[first >= 0], second[second >= 0]])
    link[chosen] = 1
    has_parent = np.zeros(n, bool)
    has_parent[graph.target[chosen]] = True
    x = np.zeros(len(program))
    x[program.blocks["link"]] = link
    x[program.blocks["divide"]] = second >= 0
    x[program.blocks["appear"]] = ~has_parent
    x[program.blocks["disappear"]] = first < 0
    x[program.blocks["select"]] = 1
    x[program.blocks["pair"]] = link[program.pairs].prod(axis=1)
    keep = _worth_keeping(program, x, first, second)
    for name in ("select", "appear", "disappear", "divide"):
        x[program.blocks[name]] *= keep
    x[program.blocks["link"]] *= keep[graph.source]
    if len(program.pairs):
        x[program.blocks["pair"]] *= keep[graph.source[program.pairs[:, 0]]]
    return x


def _worth_keeping(program: Program, x: FloatArray, first: IntArray, second: IntArray) -> BoolArray:
    """Which detections are in a tree that saves cost (or is pinned), and lose no conflict; bool (n,)."""
    graph, n = program.graph, len(program.graph.detections)
    own = sum((program.costs(name) * x[program.blocks[name]] for name in ("select", "appear", "disappear", "divide")), np.zeros(n))
    np.add.at(own, graph.source, program.costs("link") * x[program.blocks["link"]])
    if len(program.pairs):
        np.add.at(own, graph.source[program.pairs[:, 0]], program.costs("pair") * x[program.blocks["pair"]])
    tree = np.arange(n)
    parent = np.full(n, -1)
    for links in (first, second):
        taken = links[links >= 0]
        parent[graph.target[taken]] = graph.source[taken]
    for rows in graph.detections.frames():  # parents lie in earlier frames: their tree is known
        here = np.arange(rows.start, rows.stop)
        tree[here] = np.where(parent[here] >= 0, tree[parent[here]], here)
    pinned = (program.lower[program.blocks["select"]] > 0) | (program.lower[program.blocks["appear"]] > 0)
    forced_link = program.lower[program.blocks["link"]] > 0
    pinned[graph.source[forced_link]] = True
    must = np.bincount(tree, pinned, n) > 0
    total = np.bincount(tree, own, n)
    beyond = sum((x[program.blocks[name]] > program.upper[program.blocks[name]] for name in NODE_BLOCKS), np.zeros(n))
    barred = np.bincount(tree, beyond, n) > 0
    keep = (must | (total < 0)) & ~barred
    rivals = _rivals(program)
    for root in np.argsort(np.where(must, -np.inf, total), kind="stable").tolist() if rivals else []:
        if keep[root] and tree[root] == root:  # trees that save most first: their rivals' trees go
            members = np.flatnonzero(tree == root)
            for row in members.tolist():
                for rival in rivals.get(row, ()):
                    keep[tree[rival]] &= tree[rival] == root
    return keep[tree]
