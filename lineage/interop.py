"""Lineages to and from other Python libraries: NetworkX, motile, napari, Trackastra, laptrack, btrack. None of them is imported.

What leaves is in ``Forest`` itself: ``to_dataframe``, ``to_networkx``, ``to_napari``. tracksdata and funtracks exchange GEFF with us.
Coordinates of other tools are pixels: ``scale`` multiplies them, as everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .arrays import Array, FloatArray, IntArray
from .detections import Detections, checked_scale
from .forest import Forest
from .formats.chains import parent_links, with_parent
from .formats.graphs import Edges, Nodes, forest_of, nodes_of, parents, source_ids
from .formats.table import DERIVED, said_twice, sorted_forest
from .graph import CandidateGraph

if TYPE_CHECKING:
    import networkx as nx
    import pandas as pd

PLACES = ("coords", "pos", "position", "centroid")  # what others call a position that is one value
SAID_TWICE = (*DERIVED, "dt")


def from_networkx(
    graph: nx.DiGraph[Any], *, cost: str = "link_cost", scale: Sequence[float] | float | None = None, merges: str = "refuse"
) -> Forest:
    """Take lineages from a directed graph, parent to child, whose nodes are cells.

    Args:
        graph: Nodes with ``t`` (or ``frame``, ``time``) and ``z`` (3D), ``y``, ``x``, or all coordinates in one attribute ``coords``,
            ``pos``, ``position`` or ``centroid``; ``label`` when known. All other attributes become columns; names of nodes other than
            0, 1, 2, ... the column ``source_id``. Motile's ``TrackGraph`` will do too.
        cost: The attribute of edges that is their cost in nats, where they have it.
        scale: Size of one coordinate step along ([z,] y, x); positions are multiplied by it.
        merges: What to do with a node that has two parents: ``refuse``, or ``keep-nearest``.

    Returns:
        A forest, its rows sorted by frame, nodes of one frame in the order of the graph.

    Raises:
        ValueError: No frames or positions, edges that make no lineages.
    """
    names = list(graph.nodes)
    row = {name: i for i, name in enumerate(names)}
    columns = _attributes([graph.nodes[name] for name in names])
    for axis, values in _place(columns).items():
        columns[axis] = values
    nodes = _scaled(nodes_of(columns, len(names), {}), scale)
    known = {name: column for name, column in nodes.columns.items() if name not in (*SAID_TWICE, cost)}
    pairs = list(graph.edges)
    costs = [graph.edges[pair].get(cost) for pair in pairs]
    links = Edges(
        np.array([row[source] for source, _ in pairs], np.int64),
        np.array([row[target] for _, target in pairs], np.int64),
        np.array([np.nan if value is None else float(value) for value in costs], float),
        lambda node: str(names[node]),
    )
    return said_twice(forest_of(replace(nodes, columns={**known, **source_ids(list(map(str, names)))}), links, merges=merges))


def _attributes(facts: Sequence[Mapping[str, Any]]) -> dict[str, Array]:
    """Attributes of nodes as columns; numbers that some lack are NaN there, texts empty."""
    names = dict.fromkeys(str(name) for said in facts for name in said)
    return {name: _column([said.get(name) for said in facts]) for name in names}


def _column(values: list[Any]) -> Array:
    known = [value for value in values if value is not None]
    if any(isinstance(value, str) for value in known):
        return np.array(["" if value is None else str(value) for value in values], dtype=np.str_)
    shape = np.shape(known[0]) if known else ()
    missing = np.full(shape, np.nan)
    try:
        return np.array([missing if value is None else value for value in values] if len(known) < len(values) else values)
    except ValueError:  # of different shapes
        return np.array([str(value) for value in values], dtype=np.str_)


def _place(columns: dict[str, Array]) -> dict[str, Array]:
    """Coordinates that stand in one attribute as one column an axis; nothing when they stand apart already."""
    if {"y", "x"} <= set(columns):
        return {}
    name = next((name for name in PLACES if name in columns and columns[name].ndim == 2 and columns[name].shape[1] in (2, 3)), None)
    if name is None:
        return {}
    values = columns.pop(name)
    return dict(zip(("z", "y", "x")[-values.shape[1] :], values.T, strict=True))


def _scaled(nodes: Nodes, scale: Sequence[float] | float | None) -> Nodes:
    sizes = checked_scale(scale, nodes.position.shape[1])
    return replace(nodes, position=nodes.position * np.array(sizes), scale=sizes)


def from_trackastra(graph: nx.DiGraph[Any], *, scale: Sequence[float] | float | None = None) -> Forest:
    """Take the result of Trackastra, ``graph`` of ``model.track(...)``; weights of edges (probabilities) become costs in nats.

    Args:
        graph: Nodes with ``time``, ``coords`` and ``label``, edges with ``weight``.
        scale: Size of a pixel along ([z,] y, x).

    Raises:
        ValueError: As ``from_networkx``.
    """
    forest = from_networkx(graph, cost="weight", scale=scale)
    return replace(forest, link_cost=_nats(forest.link_cost))


def _nats(chance: FloatArray) -> FloatArray:
    """Minus the log-odds of probabilities; NaN for what is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((chance >= 0) & (chance <= 1), np.log1p(-chance) - np.log(chance), np.nan)


def from_edge_table(table: pd.DataFrame | Mapping[str, Array], cells: Detections) -> Forest:
    """Link measured cells as Trackastra's table of edges says (``graph_to_edge_table``).

    Args:
        table: Columns ``source_frame``, ``source_label``, ``target_frame``, ``target_label``, and ``weight`` (probability) when known.
        cells: Of the masks that were tracked: ``Detections.from_labels(masks)``.

    Raises:
        ValueError: A cell that is not among the detections, links that make no lineages.
    """
    columns = {str(name): np.asarray(table[name]) for name in map(str, table)}
    known = {pair: i for i, pair in enumerate(zip(cells.frame.tolist(), cells.label.tolist(), strict=True))}
    ends = []
    for end in ("source", "target"):
        if missing := [name for name in (f"{end}_frame", f"{end}_label") if name not in columns]:
            raise ValueError(f"there is no column {', '.join(missing)}; there are {', '.join(columns) or 'none'}")
        pairs = list(zip(columns[f"{end}_frame"].tolist(), columns[f"{end}_label"].tolist(), strict=True))
        if lost := [k for k, pair in enumerate(pairs) if pair not in known]:
            frame, label = pairs[lost[0]]
            raise ValueError(f"edge {lost[0]} names the label {label} in frame {frame}, but no detection is that")
        ends.append(np.array([known[pair] for pair in pairs], np.int64))
    cost = _nats(columns["weight"].astype(float)) if "weight" in columns else np.full(len(ends[0]), np.nan)
    names = [f"{label} in frame {frame}" for frame, label in known]
    return _linked(cells, Edges(ends[0], ends[1], cost, lambda row: names[row], what="label"), np.ones(len(cells), bool))


def _linked(cells: Detections, links: Edges, selected: Array) -> Forest:
    parent, edge = parents(links, cells.frame, cells.position)
    cost = np.full(len(cells), np.nan)
    cost[parent >= 0] = links.cost[edge[parent >= 0]]
    return Forest(cells, parent, selected, cost)


def to_motile(graph: CandidateGraph, costs: Mapping[str, Array] | None = None) -> nx.DiGraph[int]:
    """A candidate graph as motile takes it: ``motile.TrackGraph(to_motile(graph))``.

    Args:
        graph: Nodes become the rows of its detections with ``t``, (``z``,) ``y``, ``x``, ``label`` and the columns that have one value;
            edges carry ``dt`` and the columns of the graph.
        costs: As for ``lineage.solve``: ``select``, ``appear``, ``disappear``, ``divide`` become attributes of nodes, ``link`` of edges,
            for motile's costs to name, with weight 1: ``EdgeSelectedCost(weight=1, attribute="link")``.

    Raises:
        ValueError: A cost of another length, or of a pair of daughters, which motile does not know.
    """
    import networkx as nx

    cells, costs = graph.detections, dict(costs or {})
    nodes: dict[str, Array] = {"t": cells.frame, "label": cells.label}
    nodes |= {axis: cells.position[:, a] for a, axis in enumerate(cells.axes)}
    nodes |= {name: column for name, column in cells.columns.items() if column.ndim == 1 and name not in nodes}
    edges: dict[str, Array] = {"dt": graph.dt} | {name: column for name, column in graph.columns.items() if column.ndim == 1}
    for name, cost in costs.items():
        if name not in ("select", "appear", "disappear", "divide", "link"):
            raise ValueError(f"motile has no place for the cost {name}; it takes select, appear, disappear, divide, link")
        facts, n, what = (edges, len(graph), "edges") if name == "link" else (nodes, len(cells), "detections")
        if np.shape(cost) != (n,):
            raise ValueError(f"the cost {name} has the shape {np.shape(cost)}, but there are {n} {what}")
        facts[name] = np.asarray(cost, float)
    made: nx.DiGraph[int] = nx.DiGraph()
    made.add_nodes_from(enumerate(_rows(nodes, len(cells))))
    pairs = zip(graph.source.tolist(), graph.target.tolist(), _rows(edges, len(graph)), strict=True)
    made.add_edges_from(pairs)
    return made


def _rows(columns: Mapping[str, Array], n: int) -> list[dict[str, Any]]:
    lists = [column.tolist() for column in columns.values()]
    return [dict(zip(columns, values, strict=True)) for values in zip(*lists, strict=True)] if lists else [{} for _ in range(n)]


def from_motile(solution: Any, detections: Detections, *, cost: str = "link") -> Forest:  # noqa: ANN401 - motile has no part here
    """Take a solution of motile (``solver.get_selected_subgraph()``) of a graph that ``to_motile`` made.

    Args:
        solution: ``motile.TrackGraph`` or a NetworkX graph whose nodes are rows of the detections.
        detections: Those of the candidate graph. What the solution does not hold is not selected.
        cost: The attribute of edges that is their cost in nats, where they have it.

    Raises:
        ValueError: A node that is no row, links that make no lineages.
    """
    n = len(detections)
    chosen, pairs = list(solution.nodes), [tuple(pair) for pair in solution.edges]
    for node in (*chosen, *(end for pair in pairs for end in pair)):
        if not (isinstance(node, (int, np.integer)) and 0 <= node < n):
            raise ValueError(f"node {node!r} is no row of the {n} detections: give the graph of to_motile to motile")
    selected = np.zeros(n, bool)
    selected[np.array(chosen, np.int64)] = True
    costs = [solution.edges[pair].get(cost) for pair in pairs]
    ends = np.array(pairs, np.int64).reshape(-1, 2)
    values = np.array([np.nan if value is None else float(value) for value in costs], float)
    return _linked(detections, Edges(ends[:, 0], ends[:, 1], values), selected)


def from_napari(
    data: Array,
    graph: Mapping[int, Sequence[int] | int] | None = None,
    properties: Mapping[str, Array] | pd.DataFrame | None = None,
    *,
    scale: Sequence[float] | float | None = None,
) -> Forest:
    """Take a Tracks layer of napari: ``from_napari(layer.data, layer.graph, layer.properties, scale=layer.scale[1:])``.

    For the other layers: ``Detections.from_labels(layer.data)``, ``Detections.from_points``.

    Args:
        data: Track, frame, (z,) y, x of every cell; (n, d + 2), in any order.
        graph: Parent tracks of the tracks that have any.
        properties: Columns of n rows; ``label`` when known.
        scale: Size of one coordinate step along ([z,] y, x).

    Raises:
        ValueError: Data of another shape, tracks that make no lineages, such as one with two parents.
    """
    data = np.asarray(data, float)
    if data.ndim != 2 or data.shape[1] not in (4, 5):
        raise ValueError(f"a row of a Tracks layer is track, t, (z,) y, x: (n, 4) or (n, 5), not {data.shape}")
    above = [(child, parent) for child, found in (graph or {}).items() for parent in np.atleast_1d(np.asarray(found)).tolist()]
    columns = {str(name): np.asarray((properties or {})[name]) for name in (() if properties is None else list(map(str, properties)))}
    left_out = {*SAID_TWICE, "track_id", "t", "z", "y", "x"}
    kept = {name: column for name, column in columns.items() if name not in left_out}
    return _of_tracks(data[:, 0], data[:, 1], data[:, 2:], np.array(above, np.int64).reshape(-1, 2), kept, scale=scale)


def _of_tracks(
    track: Array, time: Array, place: Array, above: IntArray, columns: Mapping[str, Array], *, scale: Sequence[float] | float | None
) -> Forest:
    """The forest of cells that belong to tracks, and of tracks and their parents."""
    for name, column in columns.items():
        if len(column) != len(track):
            raise ValueError(f"{name} has {len(column)} rows, but there are {len(track)} cells")
    ids, frame = _whole(track, "track"), _whole(time, "frame")
    sizes = checked_scale(scale, place.shape[1])
    label = _whole(columns["label"], "label") if "label" in columns else np.zeros(len(ids), np.int64)
    kept = {name: column for name, column in columns.items() if name != "label"}
    parent = parent_links(ids, frame, above[:, 0], above[:, 1])
    forest = sorted_forest(frame, place * np.array(sizes), label, kept, parent, link_cost=np.full(len(ids), np.nan))
    return replace(forest, detections=replace(forest.detections, scale=sizes))


def _whole(values: Array, name: str) -> IntArray:
    found = np.asarray(values)
    if found.dtype.kind not in "iub":
        real = found.astype(float)
        if (odd := np.flatnonzero(~(np.abs(real) < 2**53) | (real != np.floor(real)))).size:
            raise ValueError(f"row {odd[0]}: {name} must be a whole number, not {found[odd[0]]}")
    return found.astype(np.int64)


def from_laptrack(
    tracks: pd.DataFrame,
    splits: pd.DataFrame | None = None,
    merges: pd.DataFrame | None = None,
    *,
    axes: Sequence[str] = ("y", "x"),
    frame: str = "frame",
    scale: Sequence[float] | float | None = None,
) -> Forest:
    """Take what ``LapTrack.predict_dataframe`` gives: ``from_laptrack(*tracker.predict_dataframe(...))``.

    Args:
        tracks: A row a cell, with ``track_id``; frames in a column or in the index.
        splits: ``parent_track_id``, ``child_track_id`` of every division.
        merges: Must be empty.
        axes: Columns of the coordinates, in order ([z,] y, x).
        frame: Column (or level of the index) of the frames.
        scale: Size of one coordinate step along ([z,] y, x).

    Raises:
        ValueError: A missing column, tracks that merge, or that make no lineages.
    """
    if merges is not None and len(merges):
        parent, child = (merges[name].iloc[0] for name in ("parent_track_id", "child_track_id"))
        raise ValueError(f"track {parent} merges into track {child}: lineages do not merge (merging_cutoff=False)")
    levels = {str(name): tracks.index.get_level_values(str(name)).to_numpy() for name in tracks.index.names if name is not None}
    columns: dict[str, Array] = levels | {str(name): tracks[name].to_numpy() for name in tracks.columns}
    if missing := [name for name in ("track_id", frame, *axes) if name not in columns]:
        raise ValueError(f"there is no column {', '.join(missing)}; there are {', '.join(columns) or 'none'}")
    above = np.zeros((0, 2), np.int64)
    if splits is not None and len(splits):
        above = splits[["child_track_id", "parent_track_id"]].to_numpy().astype(np.int64)
    place = np.column_stack([columns[axis].astype(float) for axis in axes])
    kept = {name: column for name, column in columns.items() if name not in {"track_id", "tree_id", "index", frame, *axes}}
    return _of_tracks(columns["track_id"], columns[frame], place, above, kept, scale=scale)


def from_btrack(tracks: Iterable[Any], *, scale: Sequence[float] | float | None = None) -> Forest:
    """Take the tracks of btrack (``tracker.tracks``, or those of an HDF5 file).

    Args:
        tracks: Tracklets, of which ``ID``, ``parent``, ``t``, ``x``, ``y``, ``z``, ``dummy`` and ``properties`` are looked at. Objects that
            btrack put into missed frames have ``dummy`` in the column of that name; a depth of 0 throughout is none.
        scale: Size of one coordinate step along ([z,] y, x).

    Raises:
        ValueError: Tracks that make no lineages.
    """
    listed = list(tracks)
    of = {name: np.concatenate([np.zeros(0), *(np.asarray(getattr(track, name), float) for track in listed)]) for name in "txyz"}
    ids = np.array([int(track.ID) for track in listed], np.int64)
    mother = np.array([int(track.ID if track.parent is None else track.parent) for track in listed], np.int64)
    has = with_parent(ids, mother)
    lengths = [len(track.t) for track in listed]
    axes = "zyx" if of["z"].any() else "yx"
    dummy = np.concatenate([np.zeros(0, bool), *(np.asarray(track.dummy, bool) for track in listed)])
    columns: dict[str, Array] = {"dummy": dummy} if dummy.any() else {}
    shared = [set(track.properties) for track, n in zip(listed, lengths, strict=True) if n]
    for name in sorted(map(str, set.intersection(*shared))) if shared else []:
        values = np.concatenate([np.asarray(track.properties[name]) for track in listed])
        if len(values) == sum(lengths):
            columns["label" if name == "class_id" else name] = np.nan_to_num(values) if name == "class_id" else values
    place = np.column_stack([of[axis] for axis in axes])
    return _of_tracks(np.repeat(ids, lengths), of["t"], place, np.column_stack([ids[has], mother[has]]), columns, scale=scale)
