"""Peers: other packages that link cells, each behind the same door as our own strategies; none is needed, each runs if it is installed.

Their settings are their own defaults, but for the lengths, which come from the film as ours do (``usual_radius``), and for divisions
and gaps, which are switched on where the package can.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from lineage.arrays import Film, IntArray
from lineage.candidates import nearest, usual_radius
from lineage.detections import Detections
from lineage.forest import Forest


@dataclass(frozen=True)
class Peer:
    """Another package.

    Attributes:
        package: Its name on the package index and in Python.
        says: What it does here.
        run: Detections, their masks or None, the film or None -> Forest.
        masks, image: Whether it needs masks, or the film.
    """

    package: str
    says: str
    run: Callable[[Detections, Film | None, Film | None], Forest]
    masks: bool = False
    image: bool = False


def _forest(cells: Detections, edges: Iterable[tuple[int, int]]) -> Forest:
    """The forest of links given in either direction; of two parents the last one named counts (a forest holds no merges)."""
    parent = np.full(len(cells), -1)
    links = np.array([(int(a), int(b)) for a, b in edges], np.int64).reshape(-1, 2)
    early = np.where(cells.frame[links[:, 0]] < cells.frame[links[:, 1]], links[:, 0], links[:, 1])
    parent[links.sum(axis=1) - early] = early
    return Forest(cells, parent)


def _laptrack(cells: Detections, _labels: Film | None, _image: Film | None) -> Forest:
    """Fukai and Kawaguchi 2023, "LapTrack: linear assignment particle tracking with tunable metrics"."""
    from laptrack import LapTrack

    far = usual_radius(cells) ** 2
    tracker = LapTrack(cutoff=far, gap_closing_cutoff=far, gap_closing_max_frame_count=2, splitting_cutoff=far)
    tree = tracker.predict([cells.position[rows] for rows in cells.frames()])
    start = np.searchsorted(cells.frame, np.arange(cells.n_frames))
    return _forest(cells, ((start[t] + i, start[u] + j) for (t, i), (u, j) in tree.edges()))


def _btrack(cells: Detections, _labels: Film | None, _image: Film | None) -> Forest:
    """Ulicna et al. 2021, "Automated deep lineage tree analysis using a Bayesian single cell tracking approach"."""
    from btrack import BayesianTracker

    unit = 40 / usual_radius(cells)  # its usual settings reckon with divisions within 40 pixels
    place = np.zeros((len(cells), 3))
    place[:, : cells.n_axes] = cells.position[:, ::-1] * unit
    with BayesianTracker(verbose=False) as tracker:
        tracker.configure(_btrack_settings())
        tracker.max_search_radius = 40
        tracker.append(_btrack_objects(cells.frame, place))
        ends = np.stack([place.min(axis=0, initial=0) - 1, place.max(axis=0, initial=1) + 1], axis=1)
        tracker.volume = tuple(map(tuple, ends.tolist()))
        tracker.track(step_size=1000)
        tracker.optimize()
        tracks = tracker.tracks
    by_name = {track.ID: [ref for ref in track.refs if ref >= 0] for track in tracks}
    edges = [pair for refs in by_name.values() for pair in pairwise(refs)]
    for track in tracks:
        mother, own = by_name.get(track.parent, []), by_name[track.ID]
        if track.parent not in (0, track.ID) and mother and own and cells.frame[mother[-1]] < cells.frame[own[0]]:
            edges.append((mother[-1], own[0]))
    return _forest(cells, edges)


def _btrack_objects(frame: IntArray, place: Any) -> list[Any]:  # noqa: ANN401 - an array
    from btrack.btypes import PyTrackObject

    columns = zip(frame.tolist(), *place.T.tolist(), strict=True)
    return [PyTrackObject.from_dict({"ID": k, "t": t, "x": x, "y": y, "z": z}) for k, (t, x, y, z) in enumerate(columns)]


def _btrack_settings() -> dict[str, Any]:
    """Constant velocity and all of its hypotheses, with the numbers of its guide to configuration."""
    eye, zero = np.eye(3), np.zeros((3, 3))
    motion = {
        "name": "constant velocity",
        "measurements": 3,
        "states": 6,
        "dt": 1.0,
        "accuracy": 7.5,
        "prob_not_assign": 0.1,
        "max_lost": 5,
        "A": np.block([[eye, eye], [zero, eye]]),
        "H": np.block([[eye, zero]]),
        "P": np.diag([0.1, 0.1, 0.1, 1.0, 1.0, 1.0]) * 150,
        "R": eye * 5.0,
        "G": np.array([[0.5, 0.5, 0.5, 1.0, 1.0, 1.0]]) * 15,
        "Q": np.zeros((6, 6)),
    }
    half = np.array([[0.5, 0.5, 0.5, 1.0, 1.0, 1.0]]) * 15
    motion["Q"] = half.T @ half
    hypotheses = ["P_FP", "P_init", "P_term", "P_link", "P_branch", "P_dead"]
    numbers = {
        "lambda_time": 5.0,
        "lambda_dist": 3.0,
        "lambda_link": 10.0,
        "lambda_branch": 50.0,
        "eta": 1e-10,
        "theta_dist": 20.0,
        "theta_time": 5.0,
        "dist_thresh": 40.0,
        "time_thresh": 2.0,
        "apop_thresh": 5,
        "segmentation_miss_rate": 0.1,
        "apoptosis_rate": 0.001,
        "relax": True,
    }
    return {"motion_model": motion, "hypothesis_model": {"name": "cells", "hypotheses": hypotheses, **numbers}}


def _motile(cells: Detections, _labels: Film | None, _image: Film | None) -> Forest:
    """Malin-Mayer and others: an integer programme with costs of distance, of selected cells, of beginnings and of divisions."""
    import motile
    import networkx as nx
    from motile.constraints import MaxChildren, MaxParents
    from motile.costs import EdgeSelectedCost, NodeAppearCost, NodeSelectedCost, NodeSplitCost

    candidates = nearest(cells)
    ends = zip(candidates.source.tolist(), candidates.target.tolist(), candidates.columns["distance"].tolist(), strict=True)
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from((i, {"t": t}) for i, t in enumerate(cells.frame.tolist()))
    graph.add_edges_from((a, b, {"distance": length}) for a, b, length in ends)
    solver = motile.Solver(motile.TrackGraph(graph, frame_attribute="t"))
    solver.add_cost(EdgeSelectedCost(weight=1 / usual_radius(cells), attribute="distance", constant=-1.0))
    solver.add_cost(NodeSelectedCost(constant=-10.0))
    solver.add_cost(NodeAppearCost(constant=1.0))
    solver.add_cost(NodeSplitCost(constant=0.5))
    solver.add_constraint(MaxParents(1))
    solver.add_constraint(MaxChildren(2))
    solver.solve()
    return _forest(cells, solver.get_selected_subgraph().edges)


def _tracksdata(cells: Detections, _labels: Film | None, _image: Film | None) -> Forest:
    """Royer's group: distance edges and an integer programme in ilpy."""
    import polars as pl
    import tracksdata as td

    graph = td.graph.InMemoryGraph()
    axes = cells.axes
    for axis in axes:
        graph.add_node_attr_key(axis, pl.Float64)
    columns = zip(cells.frame.tolist(), *cells.position.T.tolist(), strict=True)
    ids = graph.bulk_add_nodes([{"t": t, **dict(zip(axes, place, strict=True))} for t, *place in columns])
    radius = usual_radius(cells)
    td.edges.DistanceEdges(distance_threshold=radius, n_neighbors=8, attr_keys=list(axes)).add_edges(graph)
    weight = td.EdgeAttr("distance") / radius - 1.0
    td.solvers.ILPSolver(edge_weight=weight, appearance_weight=1.0, division_weight=0.5, return_solution=False).solve(graph)
    edges = graph.edge_attrs(attr_keys=["solution"])
    edges = edges.filter(edges["solution"])
    row = {name: i for i, name in enumerate(ids)}
    pairs = zip(edges["source_id"].to_list(), edges["target_id"].to_list(), strict=True)
    return _forest(cells, ((row[a], row[b]) for a, b in pairs))


def _trackastra(cells: Detections, labels: Film | None, image: Film | None) -> Forest:
    """Gallusser and Weigert 2024, "Trackastra: transformer-based cell tracking for live-cell microscopy"; greedy linking, CPU."""
    from trackastra.model import Trackastra

    assert labels is not None
    assert image is not None
    name = "general_2d" if cells.n_axes == 2 else "ctc"
    folder = Path.home() / ".trackastra" / ".models" / name
    if not folder.is_dir():
        raise FileNotFoundError(f"trackastra has no weights at {folder}: call Trackastra.from_pretrained('{name}') once")
    frames = range(cells.n_frames)
    masks = np.stack([np.asarray(labels[t]) for t in frames])
    graph = Trackastra.from_folder(folder, device="cpu").track(np.stack([np.asarray(image[t]) for t in frames]), masks, mode="greedy")
    graph = graph[0] if isinstance(graph, tuple) else graph
    row = {key: i for i, key in enumerate(zip(cells.frame.tolist(), cells.label.tolist(), strict=True))}
    name_of = {node: row[int(facts["time"]), int(facts["label"])] for node, facts in graph.nodes(data=True)}
    return _forest(cells, ((name_of[a], name_of[b]) for a, b in graph.edges))


PEERS = {
    "laptrack": Peer("laptrack", "LAP frame to frame, then gaps and divisions", _laptrack),
    "btrack": Peer("btrack", "Bayesian filter, then hypotheses by integer programme", _btrack),
    "motile": Peer("motile", "integer programme over distances", _motile),
    "tracksdata": Peer("tracksdata", "integer programme over distances", _tracksdata),
    "trackastra": Peer("trackastra", "transformer, greedy linking", _trackastra, masks=True, image=True),
}
