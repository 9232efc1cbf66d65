"""Lineage tables: CSV with one row a cell, plain or gzipped.

Columns, header first: ``id`` (whole number, unique), ``parent_id`` (id of the parent, -1 or empty at a root), ``t`` (frame, from 0),
``label`` (pixel value in the label film, 0 if none), ``z`` (3D only), ``y``, ``x`` (physical units), ``tracklet_id``,
``parent_tracklet_id`` (0 for none), ``lineage_id``, ``generation``, ``gap`` (frames missed between the parent and the cell),
``link_cost`` (nats, of the link to the parent), measured columns.
Not in a CSV: the size of a pixel, the time between frames, the length of the film beyond the last cell, detections that were not
selected, the certificate, columns with more than one value a cell. Texts that are all numbers come back as numbers: a CSV has no types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lineage.arrays import Array, FloatArray, IntArray
from lineage.detections import Detections
from lineage.forest import Forest
from lineage.measure import AXES

from .blocks import blocks
from .csv_text import Table, header, load, words, write_blocks
from .header import MOST_FRAMES

if TYPE_CHECKING:
    import pandas as pd

HOLDS = frozenset({"divisions", "gaps", "isolated", "positions", "labels", "columns", "text", "control", "link_cost"})
INSTEAD = {"other": "written as text"}
NAMES = {"id": ("id", "node_id"), "t": ("t", "frame"), "parent_id": ("parent_id",)}  # ours first, then what others call it
DERIVED = ("tracklet_id", "parent_tracklet_id", "lineage_id", "generation")  # read off the links again


def write(forest: Forest, path: str | Path) -> None:
    """Write ``Forest.to_dataframe()`` as CSV, numbers in full precision; an ending ``.gz`` compresses.

    Args:
        forest: Lineages; only selected detections are written.
        path: The file; it appears when it is complete.
    """
    write_blocks(blocks(forest), path)


def recognises(path: Path) -> bool:
    """Whether a file is a table with one row a cell that names its parent: columns id, parent_id, t, y, x, whoever wrote it."""
    names, separator = header(path)
    return separator == "," and {"y", "x"} <= set(names) and all(set(names) & set(known) for known in NAMES.values())


def read(path: str | Path) -> Forest:
    """Read a lineage table, ours or another tool's with the columns id, parent_id, t, (z,) y, x.

    ``node_id`` stands for ``id`` and ``frame`` for ``t``. Rows may come in any order; they are sorted by frame. Tracklets, lineages and
    generations are worked out again; all other columns are kept, and ids other than 0, 1, 2, ... become the column ``source_id``.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not a table, a missing column, a number that is none, duplicate ids, unknown parents, parents that are not earlier.
            Rows are counted from 0, below the header.
    """
    table = load(path, as_text=("parent_id",))
    try:
        return forest_of_rows(table)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def forest_of_rows(table: Table) -> Forest:
    """The forest of a table with one row a cell, from its columns (see ``read``).

    Raises:
        ValueError: As ``read``, without the name of the file.
    """
    used = {ours: next((name for name in names if name in table), "") for ours, names in NAMES.items()}
    axes = AXES[3 if "z" in table else 2]
    missing = [name for name, found in {**used, **{axis: axis * (axis in table) for axis in axes}}.items() if not found]
    if missing:
        raise ValueError(f"there is no column {', '.join(missing)}; there are {', '.join(table) or 'none'}")
    ids, frame = whole(table[used["id"]], used["id"]), frames(table[used["t"]], used["t"])
    claimed = whole(table[used["parent_id"]], "parent_id", missing=-1)
    position = np.column_stack([real(table[axis], axis) for axis in axes]) if len(ids) else np.zeros((0, len(axes)))
    label = whole(table["label"], "label", missing=0) if "label" in table else np.zeros(len(ids), np.int64)
    cost = costs(table, len(ids))
    parent = parent_rows(ids, claimed, frame)
    known = {*used.values(), *axes, *DERIVED, "label", "link_cost"}
    columns = {name: plain(series) for name, series in table.items() if name not in known}
    if not np.array_equal(ids, np.arange(len(ids))) and "source_id" not in columns:
        columns["source_id"] = ids
    return said_twice(sorted_forest(frame, position, label, columns, parent, link_cost=cost))


def said_twice(forest: Forest) -> Forest:
    """The forest without the column ``gap``, where it says what the links say; another tool's may mean something else."""
    column = forest.detections.columns.get("gap")
    if column is None or not np.array_equal(column, forest.gap):
        return forest
    kept = {name: values for name, values in forest.detections.columns.items() if name != "gap"}
    return replace(forest, detections=replace(forest.detections, columns=kept))


def parent_rows(ids: IntArray, claimed: IntArray, frame: IntArray) -> IntArray:
    """Rows of the parents that ids name.

    Args:
        ids: Id of every row; int (n,).
        claimed: Id of its parent, -1 for none; int (n,).
        frame: Its frame; int (n,).

    Raises:
        ValueError: An id twice, a parent that does not exist or is not in an earlier frame.
    """
    order = np.argsort(ids, kind="stable")
    twice = np.flatnonzero(np.diff(ids[order]) == 0)
    if twice.size:
        first, second = order[twice[0] : twice[0] + 2].tolist()
        raise ValueError(f"row {second} has the id {ids[second]}, but so has row {first}")
    child = np.flatnonzero(claimed != -1)
    place = np.minimum(np.searchsorted(ids[order], claimed[child]), max(len(ids) - 1, 0))
    unknown = child[ids[order][place] != claimed[child]]
    if unknown.size:
        i = unknown[0]
        raise ValueError(f"row {i} (id {ids[i]}) has the parent {claimed[i]}, but no row has this id; no parent is -1 or empty")
    parent = np.full(len(ids), -1)
    parent[child] = order[place]
    back = child[frame[parent[child]] >= frame[child]]
    if back.size:
        i = back[0]
        when = f"frame {frame[parent[i]]}, not before frame {frame[i]}"
        raise ValueError(f"row {i} (id {ids[i]}) has its parent, {claimed[i]}, in {when}: parents come earlier")
    return parent


def sorted_forest(
    frame: IntArray,
    position: FloatArray,
    label: IntArray,
    columns: Mapping[str, Array],
    parent: IntArray,
    *,
    link_cost: FloatArray,
) -> Forest:
    """A forest from rows in any order: they are sorted by frame, and parents follow their rows."""
    order = np.argsort(frame, kind="stable")
    rank = np.full(len(order) + 1, -1)  # the last entry is the place of no parent
    rank[order] = np.arange(len(order))
    kept = {name: column[order] for name, column in columns.items()}
    cells = Detections(frame[order], position[order], label[order], kept)
    return Forest(cells, rank[parent[order]], link_cost=link_cost[order])


def frames(series: pd.Series[Any], name: str) -> IntArray:
    """A column as frames, whole numbers from 0.

    Raises:
        ValueError: One that is none; the message names the row.
    """
    return checked_frames(whole(series, name))


def checked_frames(frame: IntArray) -> IntArray:
    """Frames, if they are counted from 0.

    Raises:
        ValueError: One that is not; the message names the row.
    """
    if (odd := np.flatnonzero((frame < 0) | (frame > MOST_FRAMES))).size:
        i = odd[0]
        far = "counted from 0" if frame[i] < 0 else f"at most {MOST_FRAMES}"
        raise ValueError(f"row {i} is in frame {frame[i]}, but frames are {far}")
    return frame


def whole(series: pd.Series[Any], name: str, *, missing: int | None = None) -> IntArray:
    """A column as whole numbers; texts such as ``7`` and ``7.0`` are read without loss.

    Args:
        series: The column.
        name: What it is, for the message.
        missing: What stands for nothing; nothing is an error when not given.

    Raises:
        ValueError: One that is none; the message names the row.
    """
    array = series.to_numpy()
    if array.dtype.kind == "i" or (array.dtype.kind == "u" and array.max(initial=0) < 2**63):
        return array.astype(np.int64)
    # over texts: NumPy has no exact cast
    values = [missing if value != value or value is None else _int(value) for value in array.tolist()]
    for row, value in enumerate(values):
        if value is None:
            given = array[row]
            raise ValueError(
                f"row {row} has no {name}" if given != given else f"row {row}: {name} must be a whole number, not {str(given)!r}"
            )
    return np.array(values, np.int64)


def _int(value: Any) -> int | None:  # noqa: ANN401 - what a cell of a table holds: text or a number
    """A whole number of 64 bits, ``7`` without a detour over floats, or None."""
    try:
        exact = isinstance(value, int) or (isinstance(value, str) and "." not in value and "e" not in value.lower())
        number = int(value) if exact else float(value)
    except ValueError:
        return None
    return int(number) if abs(number) < 2**63 and number == number // 1 else None


def real(series: pd.Series[Any], name: str) -> FloatArray:
    """A column as finite numbers.

    Raises:
        ValueError: One that is none; the message names the row.
    """
    array = _numbers(series, name)
    lost = np.flatnonzero(~np.isfinite(array))
    if lost.size:
        raise ValueError(f"row {lost[0]} has no finite {name}: {array[lost[0]]}")
    return array


def costs(table: Table, n: int) -> FloatArray:
    """The column ``link_cost`` of a table of n rows; float (n,), NaN where it says nothing."""
    return _numbers(table["link_cost"], "link_cost") if "link_cost" in table else np.full(n, np.nan)


def _numbers(series: pd.Series[Any], name: str) -> FloatArray:
    array = series.to_numpy()
    if array.dtype.kind in "iufb":
        return array.astype(float)
    values = [np.nan if value != value else _float(str(value).strip()) for value in array.tolist()]
    if None in values:
        row = values.index(None)
        raise ValueError(f"row {row}: {name} must be a number, not {str(array[row]).strip()!r}")
    return np.array(values, float)


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def plain(series: pd.Series[Any]) -> Array:
    """A column of a table as numbers, truth values or texts; what is missing among texts is empty."""
    array: Array = series.to_numpy()
    if array.dtype.kind in "iufb":
        return array
    values = ["" if value != value or value is None else value for value in array.tolist()]  # NaN is not itself
    if all(isinstance(value, bool) for value in values) and values:
        return np.array(values, bool)
    return words([str(value) for value in values])
