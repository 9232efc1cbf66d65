"""Lineage tables: CSV with one row a cell, plain or gzipped.

Columns, header first: ``id`` (whole number, unique), ``parent_id`` (id of the parent, -1 or empty at a root), ``t`` (frame, from 0),
``label`` (pixel value in the label film, 0 if none), ``z`` (3D only), ``y``, ``x`` (physical units), ``tracklet_id``,
``parent_tracklet_id`` (0 for none), ``lineage_id``, ``generation``, ``link_cost`` (nats, of the link to the parent), measured columns.
Not in a CSV: the size of a pixel, the length of the film beyond the last cell, detections that were not selected, the certificate.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lineage.arrays import Array, FloatArray, IntArray
from lineage.detections import Detections
from lineage.films.atomic import new_file
from lineage.forest import Forest
from lineage.measure import AXES

if TYPE_CHECKING:
    import pandas as pd

NAMES = {"id": ("id", "node_id"), "t": ("t", "frame"), "parent_id": ("parent_id",)}  # ours first, then what others call it
CHUNK = 4096  # rows a write
SPECIAL = re.compile(r'[",\r\n]|^\s|\s$')
DERIVED = ("tracklet_id", "parent_tracklet_id", "lineage_id", "generation")  # read off the links again


def write(forest: Forest, path: str | Path) -> None:
    """Write ``Forest.to_dataframe()`` as CSV, numbers in full precision; an ending ``.gz`` compresses.

    Args:
        forest: Lineages; only selected detections are written.
        path: The file; it appears when it is complete.
    """
    table = forest.to_dataframe()
    columns = [table[name].to_numpy() for name in table.columns]
    with new_file(path) as temporary, temporary.open("wb") as raw:
        file: Any = gzip.GzipFile("", "wb", 5, raw, mtime=0) if str(path).endswith(".gz") else raw
        with file:
            file.write((",".join(_quoted(list(table.columns))) + "\n").encode())
            for start in range(0, len(table), CHUNK):
                texts = [_texts(column[start : start + CHUNK]) for column in columns]
                file.write("".join(f"{','.join(row)}\n" for row in zip(*texts, strict=True)).encode())


def _texts(column: Array) -> list[str]:
    """Values as they stand in a CSV, floats in full precision, NaN as nothing."""
    if column.dtype.kind == "f":
        return ["" if value != value else repr(value) for value in column.astype(float).tolist()]
    if column.dtype.kind in "iub":
        return list(map(str, column.tolist()))
    return _quoted(["" if value is None or value != value else str(value) for value in column.tolist()])


def _quoted(texts: list[str]) -> list[str]:
    double = '""'
    return ['"' + text.replace('"', double) + '"' if SPECIAL.search(text) else text for text in texts]


def read(path: str | Path) -> Forest:
    """Read a lineage table, ours or another tool's with the columns id, parent_id, t, (z,) y, x.

    ``node_id`` stands for ``id`` and ``frame`` for ``t``. Rows may come in any order; they are sorted by frame. Tracklets, lineages and
    generations are worked out again; all other columns are kept, and ids other than 0, 1, 2, ... become the column ``source_id``.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not a table, a missing column, a number that is none, duplicate ids, unknown parents, parents that are not earlier.
            Rows are counted from 0, below the header.
    """
    table = _load(Path(path))
    try:
        return _forest({str(name): table[name] for name in table})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _load(path: Path) -> pd.DataFrame:
    import pandas as pd

    if not path.is_file():
        raise FileNotFoundError(f"no such table: {path}")
    zipped: Any = "gzip" if path.name.endswith(".gz") else None
    older = tuple(int(number) for number in pd.__version__.split(".")[:2]) < (3, 1)
    exact: Any = {"float_precision": "round_trip"} if older else {}  # from pandas 3.1 on, the only way there is
    try:
        return pd.read_csv(
            path,
            compression=zipped,
            dtype={"parent_id": str},
            keep_default_na=False,
            na_values=["", "nan", "NaN"],
            **exact,
        )
    except (ValueError, EOFError, OSError) as error:  # pandas' own errors are ValueErrors
        raise ValueError(f"{path} is no readable table: {' '.join(str(error).split())}") from error


def _forest(table: Mapping[str, pd.Series[Any]]) -> Forest:
    used = {ours: next((name for name in names if name in table), "") for ours, names in NAMES.items()}
    axes = AXES[3 if "z" in table else 2]
    missing = [name for name, found in {**used, **{axis: axis * (axis in table) for axis in axes}}.items() if not found]
    if missing:
        raise ValueError(f"there is no column {', '.join(missing)}; there are {', '.join(table) or 'none'}")
    ids, frame = whole(table[used["id"]], used["id"]), whole(table[used["t"]], used["t"])
    claimed = whole(table[used["parent_id"]].fillna("-1"), "parent_id")
    position = np.column_stack([_finite(table[axis], axis) for axis in axes]) if len(ids) else np.zeros((0, len(axes)))
    label = whole(table["label"], "label") if "label" in table else np.zeros(len(ids), np.int64)
    cost = np.asarray(table["link_cost"], float) if "link_cost" in table else np.full(len(ids), np.nan)
    if negative := np.flatnonzero(frame < 0).tolist():
        raise ValueError(f"row {negative[0]} is in frame {frame[negative[0]]}, but frames are counted from 0")
    parent = parent_rows(ids, claimed, frame)
    known = {*used.values(), *axes, *DERIVED, "label", "link_cost"}
    columns = {name: _column(series) for name, series in table.items() if name not in known}
    if not np.array_equal(ids, np.arange(len(ids))) and "source_id" not in columns:
        columns["source_id"] = ids
    return sorted_forest(frame, position, label, columns, parent, link_cost=cost)


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


def whole(series: pd.Series[Any], name: str) -> IntArray:
    """A column as whole numbers; texts such as ``7`` and ``7.0`` are read without loss.

    Raises:
        ValueError: One that is none; the message names the row.
    """
    array = series.to_numpy()
    if array.dtype.kind in "iu":
        return array.astype(np.int64)
    values = [_int(value) for value in array.tolist()]  # over texts: NumPy has no exact cast
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
        number = int(value) if isinstance(value, str) and "." not in value and "e" not in value.lower() else float(value)
    except ValueError:
        return None
    return int(number) if abs(number) < 2**63 and number == number // 1 else None


def _finite(series: pd.Series[Any], name: str) -> FloatArray:
    array = series.to_numpy()
    if array.dtype.kind not in "iufb":
        texts = series.astype(str).str.strip()
        odd = next((i for i, text in enumerate(texts.tolist()) if _float(text) is None), None)
        if odd is not None:
            raise ValueError(f"row {odd}: {name} must be a number, not {texts.iloc[odd]!r}")
        array = np.array([_float(text) for text in texts.tolist()], float)
    lost = np.flatnonzero(~np.isfinite(array.astype(float)))
    if lost.size:
        raise ValueError(f"row {lost[0]} has no finite {name}: {array[lost[0]]}")
    return array.astype(float)


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _column(series: pd.Series[Any]) -> Array:
    array: Array = series.to_numpy()
    if array.dtype.kind in "iufb":
        return array
    values = ["" if value != value or value is None else value for value in array.tolist()]  # NaN is not itself
    if all(isinstance(value, bool) for value in values) and values:
        return np.array(values, bool)
    return np.array([str(value) for value in values], dtype=np.str_)
