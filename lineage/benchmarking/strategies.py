"""Strategies: named ways from detections to lineages, put together from the same parts: candidates, scores, and who chooses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from lineage.arrays import Film, FloatArray, IntArray
from lineage.candidates import nearest, overlapping, usual_radius
from lineage.detections import Detections
from lineage.forest import Forest
from lineage.graph import CandidateGraph
from lineage.linking import candidate_graph, link_graph
from lineage.scoring.film import first_guess
from lineage.settings import Settings

from .linkers import favourite, one_to_one, one_to_one_then_split, two_steps, with_sisters
from .peers import PEERS

GAP = 2  # most frames that the classical way over missed frames leaves out, as is usual


@dataclass(frozen=True)
class Strategy:
    """A way from detections to lineages.

    Attributes:
        name: What it is called.
        says: What it does.
        run: Detections, their masks or None, the film or None -> Forest.
        package: The Python package it needs, if it is not ours.
        masks, image: Whether it needs masks, or the film.
        settings: What it is made of, if it is our own way with other settings.
    """

    name: str
    says: str
    run: Callable[[Detections, Film | None, Film | None], Forest]
    package: str | None = None
    masks: bool = False
    image: bool = False
    settings: Settings | None = None

    @classmethod
    def of(cls, name: str, settings: Settings, says: str = "our programme, with other settings") -> Strategy:
        """Our own way with some settings."""

        def run(cells: Detections, labels: Film | None, image: Film | None) -> Forest:
            return link_graph(candidate_graph(cells, labels, settings, image=image), settings)

        return cls(name, says, run, settings=settings)


Linker = Callable[[CandidateGraph, FloatArray], IntArray]


def _by_distance(linker: Linker, max_gap: int = 0) -> Callable[[Detections, Film | None, Film | None], Forest]:
    """Nearest candidates, worth the more the nearer; nothing at the usual radius."""

    def run(cells: Detections, _labels: Film | None, _image: Film | None) -> Forest:
        graph = nearest(cells, max_gap=max_gap)
        gain = 1 - (graph.columns["distance"] / usual_radius(cells)) ** 2 / graph.dt
        return Forest(cells, linker(graph, gain))

    return run


def _by_overlap(cells: Detections, labels: Film | None, _image: Film | None) -> Forest:
    assert labels is not None
    graph = overlapping(cells, labels)
    return Forest(cells, favourite(graph, graph.columns["iou"]))


def _by_sisters(cells: Detections, _labels: Film | None, _image: Film | None) -> Forest:
    graph = nearest(cells)
    costs = first_guess(cells).costs(graph)
    link, appear = costs["link"], costs["appear"][graph.target]
    a, b, pair = costs["divide_pair"]
    gain = appear + costs["disappear"][graph.source] - link
    # With one child there, the other need not appear; both links change to those of daughters.
    more = (appear - link)[b] - pair - costs["divide"][graph.source[b]]
    other = (appear - link)[a] - pair - costs["divide"][graph.source[a]]
    return Forest(cells, with_sisters(graph, gain, (a, b, np.minimum(more, other))))


_OURS = (
    Strategy("nearest", "the nearest cell of the frame before; two children at most", _by_distance(favourite)),
    Strategy("hungarian", "the best assignment of each frame to the next, no divisions", _by_distance(one_to_one)),
    Strategy("hungarian+split", "then cells left over become second children", _by_distance(one_to_one_then_split)),
    Strategy("lap", "two-step LAP: frame to frame, then gaps and divisions over the whole film", _by_distance(two_steps, GAP)),
    Strategy("overlap", "the cell of the frame before that it overlaps most", _by_overlap, masks=True),
    Strategy("sisters", "the best assignment by likelihood, then sisters by the cost of pairs", _by_sisters),
    Strategy.of("distance", Settings(scores=("distance",), motion=False), "our programme with distances only"),
    Strategy.of("distance+motion", Settings(scores=("distance",)), "our programme with distances, the field's movement undone"),
    Strategy.of("greedy", Settings(edges="", solver="greedy"), "our costs, chosen greedily"),
    Strategy.of(
        "learned+greedy", Settings(edges="always", edges_weight=0.5, solver="greedy"), "our costs with learned scores, chosen greedily"
    ),
    Strategy.of("learned+ilp", Settings(edges="always"), "our programme with learned scores"),
    Strategy.of("auto", Settings(), "our programme with our defaults"),
)
_PEERS = tuple(
    Strategy(name, peer.says, peer.run, package=peer.package, masks=peer.masks, image=peer.image) for name, peer in PEERS.items()
)
STRATEGIES: Mapping[str, Strategy] = {strategy.name: strategy for strategy in (*_OURS, *_PEERS)}
USUAL = tuple(strategy.name for strategy in _OURS)


def chosen(strategies: Iterable[str | tuple[str, Settings]]) -> tuple[Strategy, ...]:
    """The strategies of these names; a pair of a name and settings is our own way with these settings.

    Raises:
        ValueError: There is no strategy of that name, or two have the same.
    """
    wanted = [STRATEGIES.get(item, item) if isinstance(item, str) else Strategy.of(*item) for item in strategies]
    names = []
    for item in wanted:
        if isinstance(item, str):
            raise ValueError(f"no such strategy: {item}; there are {', '.join(STRATEGIES)}")
        names.append(item.name)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two strategies have the name {twice[0]}: give each a name of its own")
    return tuple(item for item in wanted if isinstance(item, Strategy))
