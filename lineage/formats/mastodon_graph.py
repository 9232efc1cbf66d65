"""The GraphML that Mastodon imports (File > Import > GraphML): no types but ``int`` (32 bits) and ``float``, and no data of graphs.

Nodes have ``x``, ``y``, ``z`` (pixels, because Mastodon multiplies them by the size of a pixel; 0 in 2D), ``frame``, ``label`` (pixel
value), ``tracklet_id``, ``lineage_id``, ``link_cost`` and what was measured as numbers; Mastodon makes features of them. What it leaves
aside, scale, interval, length and record, stands in the description at the top.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr, unescape

import numpy as np

from lineage.arrays import Array
from lineage.films.atomic import new_file
from lineage.forest import Forest

from . import graphml_read
from .csv_text import GLANCE, shielded, unshielded
from .header import headed, header_of, parsed
from .holding import Loss
from .mastodon import numbered
from .table import DERIVED
from .xml_text import java, readable, texts

HOLDS = frozenset("divisions gaps isolated positions labels columns link_cost scale interval length record".split())
KEPT = frozenset({*DERIVED, *"x y z t frame time timepoint position_t position_z position_y position_x label name".split()}) | {
    *"selected solution link_cost cost source_id id".split()
}
MARK, ABOUT = "mastodon_pixels", ("axes", "scale", "n_frames", "interval", "record")
CHUNK = 4096  # nodes a write
WIDE = 2**31
MOST_ABOUT = 2**24  # bytes in which the description must end
DESCRIPTION = re.compile(rb"<graphml[^>]*>\s*<desc>([^<]*)</desc>")


def look(forest: Forest) -> list[Loss]:
    """What is lost of columns that are held otherwise: whole numbers of more than 32 bits."""
    names = [name for name, column in forest.detections.columns.items() if _is_number(column) and _too_wide(column[forest.selected])]
    return [Loss("columns", f"{', '.join(names)}: whole numbers of more than 32 bits; they are rounded to 53")] if names else []


def _is_number(column: Array) -> bool:
    return column.ndim == 1 and column.dtype.kind in "iufb"


def _too_wide(column: Array) -> bool:
    """Whether a column holds whole numbers that Java's ``int`` does not hold."""
    return column.dtype.kind in "iu" and len(column) > 0 and (int(column.max()) >= WIDE or int(column.min()) < -WIDE)


def write(forest: Forest, path: str | Path) -> None:
    """Write the graph.

    Args:
        forest: Lineages; only selected detections and columns of numbers are written.
        path: The file; it appears when it is complete.

    Raises:
        ValueError: More detections, frames or labels than Mastodon can count.
    """
    rows, number = numbered(forest)
    with new_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(_document(forest, rows, number))


def _document(forest: Forest, rows: Array, number: Array) -> Iterator[str]:
    about = {MARK: True} | {name: value for name, value in header_of(forest).items() if name in ABOUT}
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n'
    yield f"<desc>{escape(json.dumps(about))}</desc>\n"
    columns = _columns(forest, rows)
    starts = []
    for k, (name, column) in enumerate(columns.items()):
        kind = "int" if column.dtype.kind in "iub" and not _too_wide(column) else "float"
        yield f'<key id="d{k}" for="node" attr.name={quoteattr(name)} attr.type="{kind}"><desc>{column.dtype.name}</desc></key>\n'
        starts.append(f'<data key="d{k}">')
    yield '<graph edgedefault="directed">\n'
    for start in range(0, len(rows), CHUNK):
        parts = [_said(column[start : start + CHUNK], first) for column, first in zip(columns.values(), starts, strict=True)]
        ids = number[rows[start : start + CHUNK]].tolist()
        yield "".join(f'<node id="{node}">{"".join(said)}</node>\n' for node, *said in zip(ids, *parts, strict=True))
    child = forest.child_rows
    for source, target in zip(number[forest.parent[child]].tolist(), number[child].tolist(), strict=True):
        yield f'<edge source="{source}" target="{target}"/>\n'
    yield "</graph>\n</graphml>\n"


def _said(column: Array, start: str) -> list[str]:
    """The data elements of some nodes; nothing for NaN."""
    plain = column.astype(np.int8) if column.dtype.kind == "b" else column
    return [f"{start}{text}</data>" if text is not None else "" for text in texts(plain, java)]


def _columns(forest: Forest, rows: Array) -> dict[str, Array]:
    cells = forest.detections
    pixel = cells.position[rows] / np.array(cells.scale)
    depth = pixel[:, 0] if cells.n_axes == 3 else np.zeros(len(rows))
    columns: dict[str, Array] = {"x": pixel[:, -1], "y": pixel[:, -2], "z": depth, "frame": cells.frame[rows], "label": cells.label[rows]}
    columns |= {"tracklet_id": forest.tracklet_id[rows], "lineage_id": forest.lineage_id[rows], "link_cost": forest.link_cost[rows]}
    return columns | {shielded(name, KEPT): column[rows] for name, column in cells.columns.items() if _is_number(column)}


def recognises(path: Path) -> bool:
    """Whether a file is a GraphML that we wrote for Mastodon."""
    try:
        with Path(path).open("rb") as file:
            start = file.read(GLANCE)
    except OSError:
        return False
    return b"<graphml" in start and f'<desc>{{"{MARK}"'.encode() in start


def read(path: str | Path) -> Forest:
    """Read the graph back; another program's GraphML is read as ``graphml`` does.

    Raises:
        FileNotFoundError: No such file.
        ValueError: As for any GraphML.
    """
    path = Path(path)
    forest = graphml_read.read(path)
    with readable(path, "GraphML"):
        about = _about(path)
        if MARK not in about:
            return forest
        cells = forest.detections
        flat = about.get("axes") == "yx" and cells.n_axes == 3
        columns = {unshielded(name, KEPT): column for name, column in cells.columns.items()}
        cells = replace(cells, position=cells.position[:, 1:] if flat else cells.position, scale=(), columns=columns)
        header = {name: about[name] for name in ABOUT[1:] if name in about}
        forest = headed(replace(forest, detections=cells), header, np.arange(len(forest)))
        position = forest.detections.position * np.array(forest.detections.scale)
        return replace(forest, detections=replace(forest.detections, position=position))


def _about(path: Path) -> dict[str, Any]:
    """What the description at the top of a file says; the file is known to be well-formed."""
    with path.open("rb") as file:
        found = DESCRIPTION.search(file.read(MOST_ABOUT))
    return parsed(unescape(found[1].decode())) if found else {}
