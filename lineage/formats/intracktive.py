"""The table that inTRACKtive takes (``intracktive convert``): one row a cell, CSV or Parquet.

Columns ``track_id`` (tracklet, from 1), ``t``, ``z`` (3D only), ``y``, ``x`` (physical units), ``parent_track_id`` (-1 for none),
``label``, ``link_cost`` and what was measured as numbers, so that ``--add_all_attributes`` takes the file as it is.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lineage.arrays import Array
from lineage.forest import Forest

from . import parquet
from .chains import Names, forest_of_tracks
from .csv_text import Table, header, load, shielded, write_columns

HOLDS = frozenset({"divisions", "gaps", "isolated", "positions", "labels", "columns", "link_cost"})
KEPT = frozenset({"track_id", "t", "z", "y", "x", "parent_track_id", "label", "link_cost"})


def write(forest: Forest, path: str | Path) -> None:
    """Write the table; an ending ``.parquet`` makes it Parquet, ``.gz`` a compressed CSV.

    Args:
        forest: Lineages; only selected detections and columns of numbers are written.
        path: The file; it appears when it is complete.

    Raises:
        ValueError: Parquet, and the package pyarrow is not installed.
    """
    rows, cells = np.flatnonzero(forest.selected), forest.detections
    above = forest.parent_tracklet_id[rows]
    columns: dict[str, Array] = {"track_id": forest.tracklet_id[rows], "t": cells.frame[rows]}
    columns |= {axis: cells.position[rows, a] for a, axis in enumerate(cells.axes)}
    columns |= {"parent_track_id": np.where(above == 0, -1, above), "label": cells.label[rows], "link_cost": forest.link_cost[rows]}
    for name, column in cells.columns.items():
        if column.ndim == 1 and column.dtype.kind in "iufb":
            columns[shielded(name, KEPT)] = column[rows]
    if str(path).endswith(".parquet"):
        parquet.write_columns(columns, path)
    else:
        write_columns(columns, path)


def recognises(path: Path) -> bool:
    """Whether a file has the columns of inTRACKtive, and names no parents of single cells."""
    names = set(parquet.names(path) if parquet.looks_like(path) else header(path)[0])
    return {"track_id", "t", "y", "x", "parent_track_id"} <= names and not {"parent_id"} & names


def read(path: str | Path) -> Forest:
    """Read the table: rows of one track follow each other, and a track hangs on the last row of its parent track.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A missing column, a number that is none, two rows of a track in one frame, parent tracks that do not exist or end late;
            Parquet, and the package pyarrow is not installed.
    """
    table: Table = parquet.load(path) if parquet.looks_like(path) else load(path, as_text=("parent_track_id",))
    axes = ("z", "y", "x") if "z" in table else ("y", "x")
    try:
        return forest_of_tracks(table, Names("track_id", "t", axes, "parent_track_id", "label", kept=KEPT))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
