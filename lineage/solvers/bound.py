"""A lower bound of the programme in one pass over its columns."""

from __future__ import annotations

import numpy as np

from lineage.arrays import FloatArray, IntArray
from lineage.program import Program


def elementary_bound(program: Program) -> float:
    """A lower bound of the optimum, nats, from each detection's own best choice.

    Every link's cost is shared evenly between its ends; then each detection takes the cheapest parent or appears, and the
    cheapest child, the two cheapest and a division, or disappears, or is not there. What the ends choose need not agree, so
    the sum of the minima is never above the optimum (the starting point of dual ascent; Haller et al. 2020).
    """
    graph, n = program.graph, len(program.graph.detections)
    cost = np.where(program.upper > 0, program.cost, np.inf)
    half = cost[program.blocks["link"]] / 2
    best_in, _ = _two_smallest(half, graph.target, n)
    p, q = _two_smallest(half, graph.source, n)
    pair = np.zeros(n)
    pair[program.mothers] = np.inf
    np.minimum.at(pair, graph.source[program.pairs[:, 0]], cost[program.blocks["pair"]])
    block = {name: cost[program.blocks[name]] for name in ("select", "appear", "disappear", "divide")}
    past = np.minimum(block["appear"], best_in)
    future = np.minimum(np.minimum(block["disappear"], p), p + q + block["divide"] + pair)
    here = block["select"] + past + future
    return float(np.where(program.lower[program.blocks["select"]] > 0, here, np.minimum(0, here)).sum())


def _two_smallest(value: FloatArray, end: IntArray, n: int) -> tuple[FloatArray, FloatArray]:
    """Smallest and second smallest value at every end; infinite where there are too few."""
    order = np.lexsort((value, end))
    first = np.searchsorted(end[order], np.arange(n + 1))
    degree = np.diff(first)
    padded = np.append(value[order], [np.inf, np.inf])
    one = np.where(degree > 0, padded[np.minimum(first[:-1], len(value))], np.inf)
    two = np.where(degree > 1, padded[np.minimum(first[:-1] + 1, len(value))], np.inf)
    return one, two
