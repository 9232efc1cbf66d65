"""Tracks as napari's plug-ins exchange them (napari-track-edit, formerly motile_tracker; funtracks): CSV with one row a cell.

Columns ``t``, ``z`` (3D only), ``y``, ``x`` (physical units), ``id`` (from 1), ``parent_id`` (empty at a root), ``track_id`` (tracklet),
``lineage_id``, ``seg_id`` (pixel value in the label film), ``link_cost`` and what was measured. The arrays of a Tracks layer itself come
from ``Forest.to_napari`` and stand in our ``.npz``; ``lineage.interop.from_napari`` takes them back.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from lineage.arrays import Array
from lineage.forest import Forest

from .csv_text import header, load, shielded, unshielded, write_columns
from .table import forest_of_rows

HOLDS = frozenset({"divisions", "gaps", "isolated", "positions", "labels", "columns", "text", "control", "link_cost"})
INSTEAD = {"other": "written as text"}
KEPT = frozenset(
    "t z y x id parent_id track_id lineage_id seg_id link_cost label node_id frame tracklet_id parent_tracklet_id generation "
    "source_id".split()
)


def write(forest: Forest, path: str | Path) -> None:
    """Write the table; an ending ``.gz`` compresses.

    Args:
        forest: Lineages; only selected detections are written.
        path: The file; it appears when it is complete.
    """
    rows, cells = np.flatnonzero(forest.selected), forest.detections
    number = np.zeros(len(forest) + 1, np.int64)  # the last entry is that of no parent
    number[rows] = np.arange(1, len(rows) + 1)
    above = number[forest.parent[rows]]
    columns: dict[str, Array] = {"t": cells.frame[rows]}
    columns |= {axis: cells.position[rows, a] for a, axis in enumerate(cells.axes)}
    columns |= {"id": number[rows], "parent_id": np.array(["" if k == 0 else str(k) for k in above.tolist()], dtype=np.str_)}
    columns |= {"track_id": forest.tracklet_id[rows], "lineage_id": forest.lineage_id[rows], "seg_id": cells.label[rows]}
    columns |= {"link_cost": forest.link_cost[rows]}
    columns |= {shielded(name, KEPT): column[rows] for name, column in cells.columns.items() if column.ndim == 1}
    write_columns(columns, path)


def recognises(path: Path) -> bool:
    """Whether a file is a table of napari's plug-ins: cells with id and parent, and the track they belong to."""
    names, separator = header(path)
    return separator == "," and {"t", "y", "x", "id", "parent_id", "track_id"} <= set(names) and "tracklet_id" not in names


def read(path: str | Path) -> Forest:
    """Read the table; tracks and lineages are worked out again from who descends from whom.

    Raises:
        FileNotFoundError: No such file.
        ValueError: As ``table.read``.
    """
    table = dict(load(path, as_text=("parent_id",)))
    for name in ("track_id", "tracklet_id", "lineage_id"):
        table.pop(name, None)
    if "seg_id" in table:
        table["label"] = table.pop("seg_id")
    try:
        forest = forest_of_rows(table)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    ids = forest.detections.columns.get("source_id", np.zeros(0))
    ours = np.array_equal(ids, np.arange(1, len(forest) + 1))  # numbers that say nothing
    columns = {unshielded(name, KEPT): column for name, column in forest.detections.columns.items() if not ours or name != "source_id"}
    return replace(forest, detections=replace(forest.detections, columns=columns))
