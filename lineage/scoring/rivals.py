"""Rivals: detections of which only some can be true, so that the solver chooses among them while it links."""

from __future__ import annotations

import numpy as np

from lineage.arrays import BoolArray, FloatArray
from lineage.detections import Detections
from lineage.forest import Forest
from lineage.graph import CandidateGraph

from .distance import log_step
from .likeness import Trait
from .traits import log_size

COST, LIKELIEST = "select_cost", "likeliest"  # columns of detections
_FEWEST = 20  # links to learn from
_EARNED = 0.6  # of a usual link: what two parts earn beyond the whole, whether they are two cells or the halves of one


def weighed(detections: Detections) -> bool:
    """Whether the detections have costs of their own (column ``select_cost``, nats: minus the log-odds of being a true cell)."""
    return COST in detections.columns


def likeliest(detections: Detections) -> Detections:
    """Only the detections that are the likeliest choice by themselves (column ``likeliest``); all where there is no such column."""
    chosen = detections.columns.get(LIKELIEST)
    return detections if chosen is None else detections.take(np.flatnonzero(chosen))


def only_likeliest(detections: Detections) -> FloatArray:
    """Costs that force this choice, nats; (n,)."""
    return np.where(detections.columns[LIKELIEST], -np.inf, np.inf)


def selection(detections: Detections, worth: float, size: Trait | None = None) -> FloatArray:
    """Cost of choosing each detection, nats; (n,).

    A link between two true cells is worth some nats. But two halves of a cell follow each other faithfully too, and would earn more
    than the whole does. So the parts of a larger rival are charged what they would earn too much, ``_EARNED`` of ``worth``, times the
    part of the rival's area that they leave to others, which adds up to one such charge for each part beyond the first. It is less than
    a link: the lines between parts waver, and large cells overlap with themselves better than small ones. (Measured in simulated films:
    of 9.7 nats, halves of a cell earn 3 to 6 beyond the whole, two true cells 5 to 7 beyond their union, so that links hardly tell the
    one from the other.) And a link between two cells of the same odd size is worth more than others, since hardly any other cell has
    it; but two cells in one have an odd size in every frame. So rivals are charged how odd their size is. Detections that are more
    likely than not and have no rival are believed.

    Args:
        detections: With the columns ``select_cost`` and, where some exclude others, ``area``.
        worth: What a usual link is worth, nats.
        size: What sizes are usual in the film, if sizes count.
    """
    sets = [rows for rows in detections.conflicts if len(rows) > 1]
    cost = np.asarray(detections.columns[COST], float)
    rival = np.zeros(len(detections), bool)
    area = np.asarray(detections.columns.get("area", np.ones(len(detections))), float)
    largest = area.copy()
    if sets:
        row, ends = np.concatenate(sets), np.cumsum([0, *map(len, sets)])
        rival[row] = True
        np.maximum.at(largest, row, np.repeat(np.maximum.reduceat(area[row], ends[:-1]), np.diff(ends)))
    charged = cost + _EARNED * worth * (1 - area / np.maximum(largest, 1e-12))
    charged += np.where(rival, _oddness(detections, size), 0.0) if size is not None else 0.0
    return np.where(rival | (cost > 0), charged, -np.inf)


def _oddness(detections: Detections, size: Trait) -> FloatArray:
    """How many nats rarer the size of each detection is than the usual one; (n,)."""
    off = np.abs(log_size(detections) - size.mean)
    return log_step(np.zeros(len(off)), size.spread, 3.0, 1) - log_step(off, size.spread, 3.0, 1)


def usual_worth(graph: CandidateGraph, link: FloatArray, forest: Forest) -> float:
    """What a usual link of a solution is worth, nats: minus the median cost of its links between consecutive frames; not below 0.

    Args:
        graph: Candidate links; m of them.
        link: Their costs, nats; (m,).
        forest: The solution.
    """
    true = (forest.parent[graph.target] == graph.source) & (graph.dt == 1)
    return max(-float(np.median(link[true])), 0.0) if true.sum() >= _FEWEST else 0.0


def between_chosen(graph: CandidateGraph, forest: Forest) -> BoolArray:
    """Which candidate links join two detections that a solution believes; bool (m,). The others teach nothing of true cells."""
    return forest.selected[graph.source] & forest.selected[graph.target]
