"""GEXF 1.3, the graph format of Gephi: a dynamic graph with one node a cell, laid out as trees that grow downwards.

Node attributes are typed: ``t``, ``cell_label`` (pixel value), ``z``, ``y``, ``x`` (physical units), ``tracklet_id``,
``parent_tracklet_id``, ``lineage_id``, ``generation``, ``gap`` (frames missed before), ``link_cost`` and what was measured. A node lives
from its frame to that of its last child, an edge from parent to child (``dt`` frames), so the time line of Gephi shows lineages grow.
Names that Gephi keeps for itself (label, id, weight, ...) get the prefix ``cell_``; attributes that are NaN are left out, and edge
attributes are never dynamic, because Gephi drops those whose start equals their end. The description of the graph ends with what a
forest is beside its cells, as JSON.
"""

from __future__ import annotations

import colorsys
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lineage.arrays import Array, FloatArray
from lineage.films.atomic import new_file
from lineage.forest import Forest

from .blocks import ROWS, blocks
from .header import header_of
from .xml_text import java, mentions, quoted, texts

HOLDS = frozenset("divisions gaps isolated positions labels columns text link_cost scale interval length certificate record".split())
GEXF, VIZ = "http://gexf.net/1.3", "http://gexf.net/1.3/viz"
RESERVED = ("id", "label", "timeset", "interval", "timestamp", "weight", "kind", "type", "source", "target", "pid")
PREFIX = "cell_"
STEP = 10.0  # between neighbouring leaves and frames, in Gephi's units
SIZE, SIZE_DIVIDING = 5.0, 8.0
LINKS = ("id", "parent_id")  # columns of the table that are no attributes of a node
KNOWN = '<attvalue for="edge_cost" value="{}"/>'
DESCRIPTION = "Cell lineages, one node a cell."


def write(forest: Forest, path: str | Path) -> None:
    """Write the lineages for Gephi, laid out, coloured by lineage, with a time line.

    Args:
        forest: Lineages; only selected detections are written.
        path: The file; it appears when it is complete.
    """
    with new_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(_document(forest))


def recognises(path: Path) -> bool:
    """Whether a file begins like GEXF."""
    return mentions(path, "<gexf")


def title(name: str) -> str:
    """The name of a column in the file: names that Gephi keeps for itself get a prefix."""
    return PREFIX + name if name.lower().replace(PREFIX, "") in RESERVED else name


def untitled(text: str) -> str:
    """The column that ``title`` gave this name."""
    return text.removeprefix(PREFIX) if text.lower().replace(PREFIX, "") in RESERVED else text


def tree_layout(forest: Forest) -> FloatArray:
    """Where each detection stands along the leaf axis, so that no two branches cross.

    Every subtree owns an interval as wide as its number of leaves, inside that of its parent; a detection stands in the middle of its own.

    Returns:
        Positions in leaves, from 0; float (n,).
    """
    parent, frame = forest.parent, forest.detections.frame
    rows_of = np.split(np.arange(len(frame)), np.flatnonzero(np.diff(frame)) + 1)
    leaves = (forest.n_children == 0).astype(np.int64)
    for rows in reversed(rows_of):  # children come later, so they have been counted
        rows = rows[parent[rows] >= 0]
        np.add.at(leaves, parent[rows], leaves[rows])
    order = np.argsort(parent, kind="stable")  # siblings side by side; roots, whose parent is -1, are siblings too
    before = np.cumsum(leaves[order]) - leaves[order]
    first = np.searchsorted(parent[order], parent[order])
    start = np.zeros(len(frame), np.int64)
    start[order] = before - before[first] if len(order) else before
    for rows in rows_of:
        rows = rows[parent[rows] >= 0]
        start[rows] += start[parent[rows]]
    return start + (leaves - 1) / 2


def _document(forest: Forest) -> Iterator[str]:
    count = int(forest.selected.sum())
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield f'<gexf xmlns="{GEXF}" xmlns:viz="{VIZ}" version="1.3">\n'
    header = {name: value for name, value in header_of(forest).items() if name not in ("conflicts", "slack")} | {"cells": count}
    yield f"<meta><creator>cytolineage</creator><description>{quoted([f'{DESCRIPTION} {json.dumps(header)}'])[0]}</description></meta>\n"
    yield '<graph mode="dynamic" defaultedgetype="directed" timeformat="double" timerepresentation="interval">\n'
    yield '<attributes class="node" mode="static">\n'
    for name, kind in _types(forest).items():
        text = quoted([title(name)])[0]
        yield f'<attribute id="{text}" title="{text}" type="{kind}"/>\n'
    yield "</attributes>\n"
    yield '<attributes class="edge" mode="static">\n<attribute id="dt" title="dt" type="integer"/>\n'
    yield '<attribute id="edge_cost" title="edge_cost" type="double"/>\n</attributes>\n<nodes>\n'
    yield from _nodes(forest)
    yield "</nodes>\n<edges>\n"
    yield from _edges(forest)
    yield "</edges>\n</graph>\n</gexf>\n"


def _types(forest: Forest) -> dict[str, str]:
    """What kind of values each attribute of a node has, in GEXF's words; whole numbers are long if one of them is."""
    kinds: dict[str, str] = {}
    for block in blocks(forest):
        for name, column in block.items():
            if name not in LINKS and kinds.get(name) != "long":
                kinds[name] = _type(column)
    return kinds


def _nodes(forest: Forest) -> Iterator[str]:
    frame, child = forest.detections.frame, forest.child_rows
    end = frame.copy()
    np.maximum.at(end, forest.parent[child], frame[child])
    leaf, dividing = tree_layout(forest) * STEP, forest.n_children >= 2
    for block in blocks(forest):
        part = block["id"]
        cells = _attributes({name: column for name, column in block.items() if name not in LINKS}, len(part))
        colours = {lineage: _colour(lineage) for lineage in set(forest.lineage_id[part].tolist())}
        facts = zip(
            part.tolist(), frame[part].tolist(), end[part].tolist(), leaf[part].tolist(), forest.tracklet_id[part].tolist(),
            forest.lineage_id[part].tolist(), dividing[part].tolist(), cells, strict=True,
        )  # fmt: skip
        yield "".join(
            f'<node id="{i}" label="cell {tracklet} at {t}" start="{t}.0" end="{last}.0"><attvalues>{values}</attvalues>'
            f'<viz:color {colours[lineage]}/><viz:position x="{x!r}" y="{-STEP * t!r}" z="0.0"/>'
            f'<viz:size value="{SIZE_DIVIDING if divides else SIZE}"/></node>\n'
            for i, t, last, x, tracklet, lineage, divides, values in facts
        )


def _edges(forest: Forest) -> Iterator[str]:
    frame = forest.detections.frame
    for start in range(0, len(forest.child_rows), ROWS):
        child = forest.child_rows[start : start + ROWS]
        mother, cost = forest.parent[child], forest.link_cost[child]
        weight = np.where(
            np.isnan(cost), 1.0, np.exp(-np.clip(cost, -4.6, 4.6))
        )  # odds of the link, 0.01 to 100: Gephi wants positive ones
        columns = (mother, child, frame[mother], frame[child], cost, weight)
        yield "".join(
            f'<edge id="{j}" source="{i}" target="{j}" weight="{odds!r}" start="{begin}.0" end="{end}.0">'
            f'<attvalues><attvalue for="dt" value="{end - begin}"/>'
            f"{KNOWN.format(java(nats)) if nats == nats else ''}</attvalues></edge>\n"
            for i, j, begin, end, nats, odds in zip(*(column.tolist() for column in columns), strict=True)
        )


def _type(column: Array) -> str:
    if column.dtype.kind == "b":
        return "boolean"
    if column.dtype.kind in "iu":
        wide = column.size and (int(column.max()) > 2**31 - 1 or int(column.min()) < -(2**31))
        return "long" if wide else "integer"
    return "double" if column.dtype.kind == "f" else "string"


def _attributes(columns: dict[str, Array], count: int) -> list[str]:
    """The attribute values of every node as one string each."""
    parts = []
    for name, column in columns.items():
        head = f'<attvalue for="{quoted([title(name)])[0]}" value="'
        values = texts(column, java)
        parts.append([f'{head}{value}"/>' if value is not None else "" for value in values])
    return ["".join(row) for row in zip(*parts, strict=True)] if parts else [""] * count


def _colour(lineage: int) -> str:
    """Attributes of ``viz:color`` of a lineage: hues a golden ratio apart, so neighbours differ."""
    red, green, blue = colorsys.hls_to_rgb(lineage * 0.6180339887 % 1, 0.45 + 0.1 * (lineage % 3), 0.65)
    return f'r="{round(255 * red)}" g="{round(255 * green)}" b="{round(255 * blue)}"'
