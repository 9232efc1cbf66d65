"""Linking: detections or label film to a forest, with costs that the film itself gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .arrays import Array, BoolArray, Film, Progress, silent
from .candidates import nearest, overlapping, union, usual_radius
from .detections import Detections
from .forest import Forest
from .graph import CandidateGraph
from .program import LINEAGE_RULES
from .scoring.film import FilmModel, estimate, first_guess
from .settings import Settings
from .solving import solve


def link(
    labels: Film | Detections,
    image: Film | None = None,
    scale: Sequence[float] | float | None = None,
    settings: Settings = Settings(),  # noqa: B008 - frozen
    *,
    progress: Progress[int] = silent,
) -> Forest:
    """Find the lineages of a label film, or of detections.

    Candidate links are the nearest detections and those that overlap, also across missed frames. What they cost is estimated
    from the film: a first guess, solve, estimate from the solution, solve again. The forest's ``record`` says what was found.

    Args:
        labels: Label film (T, [Z,] Y, X), indexed by frame, or detections (made from points or measured before).
        image: Film of the same shape, for intensities; with labels only.
        scale: Size of a pixel along ([z,] y, x), physical units; with labels only.
        settings: What to change of the defaults.
        progress: Wraps the loops over frames.

    Raises:
        ValueError: Labels or settings that make no sense; the message says what and where.
    """
    if isinstance(labels, Detections):
        if image is not None or scale is not None:
            raise ValueError("image and scale are for label films: detections have their own columns and scale")
        return link_graph(candidate_graph(labels, None, settings), settings)
    detections = Detections.from_labels(labels, image, scale, progress=progress)
    return link_graph(candidate_graph(detections, labels, settings, progress=progress), settings)


def candidate_graph(detections: Detections, labels: Film | None, settings: Settings, *, progress: Progress[int] = silent) -> CandidateGraph:
    """The candidate links of a film: the nearest, and with labels those that overlap."""
    near = nearest(detections, settings.neighbours, radius=settings.radius, max_gap=settings.max_gap)
    if labels is None or "overlap" not in settings.scores:
        return near
    return union([near, overlapping(detections, labels, max_gap=settings.max_gap, progress=progress)])


def link_graph(graph: CandidateGraph, settings: Settings) -> Forest:
    """Solve a candidate graph with costs estimated from it; see ``link``."""
    model = _as_set(first_guess(graph.detections), settings)
    forest = _solved(graph, model, settings)
    for _ in range(settings.rounds):
        model = _as_set(estimate(model, graph, forest), settings)
        forest = _solved(graph, model, settings)
    radius = settings.radius if settings.radius is not None else usual_radius(graph.detections)
    return forest.with_record(film=model.record(), candidates={"edges": len(graph), "radius": radius})


def _as_set(model: FilmModel, settings: Settings) -> FilmModel:
    model = replace(model, miss=settings.miss) if settings.miss is not None else model
    model = replace(model, overlap=None) if "overlap" not in settings.scores else model
    return replace(model, size=None) if "size" not in settings.scores else model


def _solved(graph: CandidateGraph, model: FilmModel, settings: Settings) -> Forest:
    costs = model.costs(graph, appear=settings.appear, disappear=settings.disappear, divide=settings.divide)
    n = len(graph.detections)
    if not settings.divisions:
        costs["divide"], costs["divide_pair"] = np.full(n, np.inf), None
    believed = settings.detection is None and not graph.detections.conflicts
    costs["select"] = np.full(n, -np.inf if believed else settings.detection if settings.detection is not None else -5.0)
    keep, costs = _worthwhile(graph, costs)
    forest = solve(
        graph.keep(keep),
        costs,
        settings.solver,
        settings.gap,
        time_limit=settings.time_limit,
        threads=settings.threads,
        seed=settings.seed,
        rules=LINEAGE_RULES,
    )
    if "link" not in forest.slack:
        return forest
    slack = np.zeros(len(graph))  # of a link that was left out nothing is known but that choosing it costs something
    slack[keep] = forest.slack["link"]
    return replace(forest, slack={**forest.slack, "link": slack})


def _worthwhile(graph: CandidateGraph, costs: dict[str, Any]) -> tuple[BoolArray, dict[str, Any]]:
    """Which links a cheapest forest may hold, bool (m,), and the costs of the graph of these.

    A link is not worth it when ending at its source and appearing at its target costs no more, unless it may be one of a
    pair of daughters (``FilmModel`` has forbidden the pairs that are not worth it).
    """
    cost: Array = costs["link"]
    keep = cost < costs["appear"][graph.target] + costs["disappear"][graph.source]
    pairs = costs["divide_pair"]
    if pairs is None:
        return keep, {**{k: v for k, v in costs.items() if k != "divide_pair"}, "link": cost[keep]}
    a, b, pair_cost = pairs
    alive = pair_cost != np.inf
    keep[a[alive]] = keep[b[alive]] = True
    both = keep[a] & keep[b]
    number = np.cumsum(keep) - 1
    return keep, {**costs, "link": cost[keep], "divide_pair": (number[a[both]], number[b[both]], pair_cost[both])}
