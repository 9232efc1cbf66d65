"""Choosing: whether the links of a film speak for learned scores, so that every film decides for itself whether they count."""

from __future__ import annotations

from typing import Any

import numpy as np

from lineage.arrays import FloatArray, IntArray
from lineage.graph import CandidateGraph

from .calibration import parent_probabilities
from .model import AUTO, learned_costs

_MOST = 50.0  # nats; what may not appear has a parent for certain


def costs_if_likelier(field: CandidateGraph, graph: CandidateGraph, links: IntArray, costs: dict[str, Any]) -> FloatArray | None:
    """Learned scores of the links of a film, if they explain its lineages better than what the film says of itself.

    Asked are links of a first solution, how likely each is among the candidates of its target and none: on what was not learned from, the
    mean log-likelihood is highest for the true probabilities (Good 1952). The solution was found by the film's own costs, so
    these are favoured. Learned scores lose where cells do what the network has not seen, such as keeping a fast course.

    Args:
        field: Candidate links as ``lineage.linking.candidate_graph`` makes them; n detections, m links.
        graph: The same links as the film's own costs see them.
        links: Those to judge by, of the solution, from one frame to the next in cells that do not divide; int (k,).
        costs: The film's own, nats: ``link`` (m,) and ``appear`` (n,).

    Returns:
        Nats, as ``learned_costs`` gives them, (m,); None if the film's own costs explain it as well.
    """
    learned = learned_costs(field, AUTO)
    own = costs["link"] - np.minimum(costs["appear"], _MOST)[graph.target]
    return learned if _surprise(learned, graph, links) < _surprise(own, graph, links) else None


def _surprise(cost: FloatArray, graph: CandidateGraph, links: IntArray) -> float:
    """Minus the mean log-likelihood of some links, each among the candidates of its target and none, nats."""
    chance = parent_probabilities(-cost, graph.target, len(graph.detections))[0]
    return -float(np.log(np.maximum(chance[links], 1e-12)).mean())
