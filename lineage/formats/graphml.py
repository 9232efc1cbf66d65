"""GraphML, the graph format of NetworkX, igraph, yEd and Cytoscape: one node a cell, typed facts, an edge from parent to child.

Node data: ``t``, ``label`` (pixel value), ``z``, ``y``, ``x`` (physical units), ``tracklet_id``, ``parent_tracklet_id``, ``lineage_id``,
``generation``, ``gap`` (frames missed before), what was measured, and ``selected`` where some detections are not. Edge data: ``dt``
(frames) and ``link_cost`` (nats). Graph data: ``cytolineage``, what a forest is beside its cells and links, as JSON. Numbers that are
NaN are left out. The keys are those of NetworkX: ``networkx.read_graphml(path, node_type=int)`` gives a graph like
``Forest.to_networkx()``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lineage.arrays import Array
from lineage.films.atomic import new_file
from lineage.forest import Forest

from .graphml_read import read
from .graphs import SELECTED
from .header import HEADER, KEY, header_of
from .xml_text import mentions, quoted, texts

__all__ = ["HOLDS", "read", "recognises", "write"]

HOLDS = HEADER | {"divisions", "gaps", "isolated", "positions", "labels", "columns", "text", "link_cost", "unselected"}
GRAPHML = "http://graphml.graphdrawing.org/xmlns"
CHUNK = 4096  # nodes a write
TYPES = {"b": "boolean", "i": "long", "u": "long", "f": "double"}


def write(forest: Forest, path: str | Path) -> None:
    """Write the lineages as a directed graph, unselected detections as nodes without edges.

    Args:
        forest: Lineages.
        path: The file; it appears when it is complete.
    """
    with new_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(_document(forest))


def recognises(path: Path) -> bool:
    """Whether a file begins like GraphML."""
    return mentions(path, "<graphml")


def node_facts(forest: Forest) -> dict[str, Array]:
    """What graph files say of every detection, selected or not: frame, label, place, tracklet, lineage, generation, gap, measured columns.

    A measured column that has the name of one of these is left out.
    """
    cells = forest.detections
    facts: dict[str, Array] = {"t": cells.frame, "label": cells.label}
    facts |= {axis: cells.position[:, a] for a, axis in enumerate(cells.axes)}
    facts |= {name: getattr(forest, name) for name in ("tracklet_id", "parent_tracklet_id", "lineage_id", "generation", "gap")}
    if not forest.selected.all() or not cells.columns.keys().isdisjoint(SELECTED):
        facts["selected"] = forest.selected
    return facts | {name: column for name, column in cells.columns.items() if name not in facts and column.ndim == 1}


def _document(forest: Forest) -> Iterator[str]:
    facts = node_facts(forest)
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<graphml xmlns="{GRAPHML}">\n'
    keys = {name: f"d{k}" for k, name in enumerate(facts)}
    for name, column in facts.items():
        kind = TYPES.get(column.dtype.kind, "string")
        kept = f"<desc>{column.dtype.name}</desc>" if kind in ("long", "double") else ""
        yield f'<key id="{keys[name]}" for="node" attr.name="{quoted([name])[0]}" attr.type="{kind}">{kept}</key>\n'
    yield '<key id="dt" for="edge" attr.name="dt" attr.type="long"/>\n'
    yield '<key id="cost" for="edge" attr.name="link_cost" attr.type="double"/>\n'
    yield f'<key id="{KEY}" for="graph" attr.name="{KEY}" attr.type="string"/>\n<graph id="lineages" edgedefault="directed">\n'
    yield f'<data key="{KEY}">{quoted([json.dumps(header_of(forest))])[0]}</data>\n'
    for start in range(0, len(forest), CHUNK):
        part = {keys[name]: column[start : start + CHUNK] for name, column in facts.items()}
        yield "".join(_nodes(part, start))
    yield from _edges(forest)
    yield "</graph>\n</graphml>\n"


def _nodes(facts: dict[str, Array], start: int) -> Iterator[str]:
    parts = []
    for key, column in facts.items():
        parts.append([f'<data key="{key}">{value}</data>' if value else "" for value in texts(column, _schema_double)])
    for i, row in enumerate(zip(*parts, strict=True), start):
        yield f'<node id="{i}">{"".join(row)}</node>\n'


def _edges(forest: Forest) -> Iterator[str]:
    child = forest.child_rows
    costs = texts(forest.link_cost[child], _schema_double)
    rows = zip(forest.parent[child].tolist(), child.tolist(), (forest.gap[child] + 1).tolist(), costs, strict=True)
    for i, j, dt, cost in rows:
        known = f'<data key="cost">{cost}</data>' if cost is not None else ""
        yield f'<edge source="{i}" target="{j}"><data key="dt">{dt}</data>{known}</edge>\n'


def _schema_double(value: float) -> str | None:
    """A number as XML Schema writes it, in full precision; None for NaN."""
    if value != value:
        return None
    return repr(value) if abs(value) != np.inf else "INF" if value > 0 else "-INF"
