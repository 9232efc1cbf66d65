"""Factors: what every detection's own best choice costs when links are split between their ends, in one pass over the columns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lineage.arrays import BoolArray, FloatArray, IntArray
from lineage.program import NODE_BLOCKS, Program


class Split(NamedTuple):
    """How costs are split between those who decide.

    Attributes:
        into: The target's share of every link, nats; (m,), the rest is its source's.
        dead: Links that no forest can hold; (m,).
        rivals: Detections of the conflict sets, one set after another; (r,).
        rival: What each of them hands to its set, nats; (r,).
        sets: Where each set begins and the last ends; (s + 1,).
    """

    into: FloatArray
    dead: BoolArray
    rivals: IntArray
    rival: FloatArray
    sets: IntArray


def factor_bound(program: Program, split: Split, own: BoolArray) -> float:
    """A lower bound of the optimum, nats, from the own best choice of every detection and every conflict set.

    With p and q the two smallest shares of a detection's links out of it, it pays at least ::

        min(0, select - handed to sets + min(appear, in shares) + min(disappear, p, p + q + divide))

    or the second part alone where it is forced, and a set at least the least that was handed to it, if that is negative. What
    they choose need not agree, so the sum is never above the optimum (Haller et al. 2020); the better the split, the closer.

    Args:
        program: The programme of some detections, walled off from all others.
        split: How costs are split.
        own: The detections; (n,). Of links across the wall they bear what the programme says.
    """
    graph, n = program.graph, len(program.graph.detections)
    cost = np.where(program.upper > 0, program.cost, np.inf)
    block = {name: cost[program.blocks[name]] for name in (*NODE_BLOCKS, "link", "pair")}
    into = np.where(own[graph.target], split.into, 0.0)
    past, select = block["appear"], block["select"]
    np.minimum.at(past, graph.target, np.where(block["link"] < np.inf, into, np.inf))
    out = block["link"] - into
    p, q = _two_smallest(out, graph.source, n)
    divide = block["divide"] + p + q
    if len(program.mothers):
        one, two = program.pairs.T
        both = np.full(n, np.inf)
        np.minimum.at(both, graph.source[one], block["pair"] + out[one] + out[two])
        divide[program.mothers] = (block["divide"] + both)[program.mothers]
    rival = np.where(own[split.rivals], split.rival, 0.0)
    np.subtract.at(select, split.rivals, rival)
    here = select + past + np.minimum(np.minimum(block["disappear"], p), divide)
    value = np.where(program.lower[program.blocks["select"]] > 0, here, np.minimum(here, 0.0)).sum()
    return float(value + (np.minimum.reduceat(np.minimum(rival, 0.0), split.sets[:-1]).sum() if len(rival) else 0.0))


def _two_smallest(value: FloatArray, end: IntArray, n: int) -> tuple[FloatArray, FloatArray]:
    """Smallest and second smallest value at every end; infinite where there are too few."""
    order = np.lexsort((value, end))
    first = np.searchsorted(end[order], np.arange(n))
    degree = np.bincount(end, minlength=n)
    padded = np.append(value[order], [np.inf, np.inf])
    one = np.where(degree > 0, padded[np.minimum(first, len(value))], np.inf)
    two = np.where(degree > 1, padded[np.minimum(first + 1, len(value))], np.inf)
    return one, two
