"""Learned: how the score of a network and the film's own model are weighed against each other."""

from __future__ import annotations

from typing import Any

import numpy as np

from lineage.graph import CandidateGraph

LEARNED = "learned"  # column of links: minus the log-odds of each against its target having no parent, nats


def pooled(costs: dict[str, Any], graph: CandidateGraph, weight: float) -> dict[str, Any]:
    """The costs of the film's own model and of a network's scores as one, a logarithmic opinion pool (Genest and Zidek 1986).

    Both tell how likely every whole forest is: the model by links, events and pairs of sisters, the network by the links alone, as it
    has already weighed each against its rivals, against another daughter and against no parent at all. The pooled
    log-likelihood is their weighted mean, so evidence that both have seen counts once. What the model says of pairs of sisters, the
    network has no word for: of that the model's part remains.

    Args:
        costs: Of the model, nats: link (m,), and appear, disappear and divide (n,).
        graph: Candidate links with the column ``learned``.
        weight: Of the network, from 0 (the model alone) to 1 (the network alone).
    """
    own = 1.0 - weight
    score = np.asarray(graph.columns[LEARNED], float)
    # A cost that the user has made infinite stays so, whatever the weight.
    mine = {name: np.where(np.isinf(cost), cost, own * np.where(np.isinf(cost), 0.0, cost)) for name, cost in costs.items()}
    return mine | {"link": mine["link"] + weight * score}
