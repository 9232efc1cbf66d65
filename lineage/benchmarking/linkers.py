"""Linkers: the classical ways to choose among candidate links, frame by frame; each takes a graph and what every link gains."""

from __future__ import annotations

import numpy as np

from lineage.arrays import FloatArray, IntArray
from lineage.graph import CandidateGraph
from lineage.matching import best_pairs


def favourite(graph: CandidateGraph, gain: FloatArray) -> IntArray:
    """Each cell comes from the one it gains most by; of more than two children of a cell the best two are kept.

    Args:
        graph: Candidate links; m of them between n detections.
        gain: What each is worth; (m,). Those that are not worth anything are never taken.

    Returns:
        Row of the parent of each detection, or -1; int (n,).
    """
    parent = np.full(len(graph.detections), -1)
    edge = np.flatnonzero(gain > 0)
    edge = edge[np.lexsort((-gain[edge], graph.target[edge]))]
    edge = edge[np.diff(graph.target[edge], prepend=-1) != 0]
    edge = edge[np.lexsort((-gain[edge], graph.source[edge]))]
    first = np.searchsorted(graph.source[edge], graph.source[edge])
    edge = edge[np.arange(len(edge)) - first < 2]
    parent[graph.target[edge]] = graph.source[edge]
    return parent


def one_to_one(graph: CandidateGraph, gain: FloatArray) -> IntArray:
    """The assignment of each frame to the next that gains most, one child a cell (Kuhn 1955).

    Arguments and result are those of ``favourite``.
    """
    parent = np.full(len(graph.detections), -1)
    edge = np.flatnonzero((gain > 0) & (graph.dt == 1))
    return _assigned(graph, gain, edge, parent)


def one_to_one_then_split(graph: CandidateGraph, gain: FloatArray) -> IntArray:
    """The best assignment of each frame to the next; then cells left without a parent are assigned to cells with one child.

    Arguments and result are those of ``favourite``.
    """
    parent = one_to_one(graph, gain)
    n_children = np.bincount(parent[parent >= 0], minlength=len(parent))
    edge = np.flatnonzero((gain > 0) & (graph.dt == 1) & (parent[graph.target] < 0) & (n_children[graph.source] == 1))
    return _assigned(graph, gain, edge, parent)


def two_steps(graph: CandidateGraph, gain: FloatArray) -> IntArray:
    """First the best assignment of each frame to the next; then, over the whole film at once, of the beginnings of the paths found to
    ends (over missed frames) and to middles (divisions) of others.

    Arguments and result are those of ``favourite``; the graph has links over missed frames too.

    Jaqaman et al. 2008, "Robust single-particle tracking in live-cell time-lapse sequences".
    """
    parent = one_to_one(graph, gain)
    ends = np.bincount(parent[parent >= 0], minlength=len(parent)) == 0
    edge = np.flatnonzero((gain > 0) & (parent[graph.target] < 0) & (ends[graph.source] | (graph.dt == 1)))
    return _chosen(graph, gain, edge, parent)


def with_sisters(graph: CandidateGraph, gain: FloatArray, pairs: tuple[IntArray, IntArray, FloatArray]) -> IntArray:
    """The best assignment of each frame to the next; then cells without a parent become the sister of the child with which they pair best.

    Args:
        graph: Candidate links.
        gain: What each is worth; (m,).
        pairs: Two links of one mother, int (p,) each, and what is gained by the second when the first is there; (p,).

    Returns:
        Row of the parent of each detection, or -1; int (n,).
    """
    parent = one_to_one(graph, gain)
    a, b, more = pairs
    a, b, more = np.concatenate([a, b]), np.concatenate([b, a]), np.concatenate([more, more])
    there = (parent[graph.target[a]] == graph.source[a]) & (parent[graph.target[b]] < 0) & (more > 0) & (graph.dt[b] == 1)
    worth = np.zeros(len(graph))
    worth[b[there]] = more[there]
    return _assigned(graph, worth, np.flatnonzero(worth > 0), parent)


def _assigned(graph: CandidateGraph, gain: FloatArray, edge: IntArray, parent: IntArray) -> IntArray:
    """Parents, with the best one-to-one choice of these links added, each frame for itself."""
    frame = graph.detections.frame[graph.source[edge]]
    edge = edge[np.argsort(frame, kind="stable")]
    for links in np.split(edge, np.flatnonzero(np.diff(np.sort(frame))) + 1):
        parent = _chosen(graph, gain, links, parent)
    return parent


def _chosen(graph: CandidateGraph, gain: FloatArray, edge: IntArray, parent: IntArray) -> IntArray:
    """Parents, with the one-to-one choice among these links added that gains most."""
    targets, row = np.unique(graph.target[edge], return_inverse=True)
    sources, column = np.unique(graph.source[edge], return_inverse=True)
    child, mother = best_pairs(row, column, gain[edge], (len(targets), len(sources)))
    new = parent.copy()
    new[targets[child]] = sources[mother]
    return new
