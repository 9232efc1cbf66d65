"""Lineage tables as Parquet: the columns of our CSV with their types, unselected detections too; needs pyarrow.

Columns as in the CSV (``id`` ``parent_id`` ``t`` ``label`` ``z`` ``y`` ``x`` ``tracklet_id`` ``parent_tracklet_id`` ``lineage_id``
``generation`` ``link_cost`` and what was measured), ``selected`` where some detections are not, lists for columns with more than one
value a cell. What is true of the whole forest stands as JSON under ``cytolineage`` in the metadata of the file: ``scale``, ``interval``
(seconds), ``n_frames``, ``conflicts``, ``certificate``, ``record``, ``slack``, and the type of each measured column in ``columns``.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lineage.arrays import Array
from lineage.films.atomic import new_file
from lineage.forest import Forest

from .csv_text import Table, dtype_of, shielded, unshielded, words
from .header import KEY, headed, header_of
from .table import forest_of_rows

if TYPE_CHECKING:
    import pandas as pd

HOLDS = frozenset(
    "divisions gaps isolated positions labels columns text control arrays link_cost unselected conflicts scale interval length "
    "certificate record slack".split()
)
KEPT = frozenset(
    "id parent_id t label z y x tracklet_id parent_tracklet_id lineage_id generation link_cost selected node_id frame source_id".split()
)
MAGIC = b"PAR1"
MOST_ROWS, ROWS_A_BYTE = 1_000_000, 50  # repeated values take no room in Parquet: a small file may claim any number of rows


def _arrow(name: str = "pyarrow") -> Any:  # noqa: ANN401 - a module
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(f"Parquet files need the package pyarrow ({error}): pip install 'cytolineage[parquet]'") from error


def write(forest: Forest, path: str | Path) -> None:
    """Write a forest with all its columns, unselected detections included.

    Args:
        forest: Lineages.
        path: The file; it appears when it is complete.

    Raises:
        ValueError: The package pyarrow is not installed.
    """
    cells, n = forest.detections, len(forest)
    columns: dict[str, Array] = {"id": np.arange(n), "parent_id": forest.parent, "t": cells.frame, "label": cells.label}
    columns |= {axis: cells.position[:, a] for a, axis in enumerate(cells.axes)}
    for name in ("tracklet_id", "parent_tracklet_id", "lineage_id", "generation", "link_cost"):
        columns[name] = getattr(forest, name)
    if not forest.selected.all():
        columns["selected"] = forest.selected
    measured = {shielded(name, KEPT): column for name, column in cells.columns.items() if _fits(column)}
    types = {name: [column.dtype.str, *column.shape[1:]] for name, column in measured.items()}
    about = header_of(forest) | {"columns": types}
    write_columns(columns | measured, path, about)


def _fits(column: Array) -> bool:
    """Numbers, truth values and texts; no dates, bytes, complex numbers or objects."""
    text = column.dtype.kind == "U" or (column.dtype.kind == "O" and all(isinstance(value, str) for value in column.ravel().tolist()))
    return text or column.dtype.kind in "iufb"


def write_columns(columns: Mapping[str, Array], path: str | Path, about: Mapping[str, Any] | None = None) -> None:
    """Write columns as Parquet.

    Args:
        columns: Arrays of as many rows each; int, float, bool or text, with any number of values a row.
        path: The file; it appears when it is complete.
        about: What is true of the whole, JSON-able.

    Raises:
        ValueError: The package pyarrow is not installed.
    """
    arrow, files = _arrow(), _arrow("pyarrow.parquet")
    metadata = {KEY: json.dumps(about)} if about else None
    made = arrow.table({name: _column(arrow, column) for name, column in columns.items()}).replace_schema_metadata(metadata)
    with new_file(path) as temporary:
        files.write_table(made, temporary, compression="zstd")


def _column(arrow: Any, column: Array) -> Any:  # noqa: ANN401 - pyarrow has no types
    if column.ndim > 1:
        size = int(np.prod(column.shape[1:]))
        return arrow.FixedSizeListArray.from_arrays(_column(arrow, column.reshape(-1)), size) if size else arrow.nulls(len(column))
    if column.dtype.kind in "UO":
        return arrow.array([str(value).encode("utf-8", "replace").decode() for value in column.tolist()], arrow.string())
    if column.dtype.kind == "f" and column.dtype.itemsize not in (4, 8):
        column = column.astype(np.float64)
    return arrow.array(np.ascontiguousarray(column, column.dtype.newbyteorder("=")))


def looks_like(path: str | Path) -> bool:
    """Whether a file begins as Parquet does."""
    try:
        with Path(path).open("rb") as file:
            return file.read(4) == MAGIC
    except OSError:
        return False


def recognises(path: Path) -> bool:
    """Whether a file is Parquet; what stands in it is seen when it is read."""
    return looks_like(path)


def names(path: str | Path) -> list[str]:
    """The names of the columns of a Parquet file; none when it is damaged or pyarrow is not installed."""
    try:
        return list(_arrow("pyarrow.parquet").read_schema(path).names)
    except (ValueError, OSError):  # pyarrow's own errors are of these kinds
        return []


def read(path: str | Path) -> Forest:
    """Read a forest back, or another tool's table with the columns id, parent_id, t, (z,) y, x (see ``table.read``).

    Raises:
        FileNotFoundError: No such file.
        ValueError: No readable table, or the package pyarrow is not installed.
    """
    table, about = _load(Path(path))
    try:
        return _forest(table, about) if about else forest_of_rows(_series(table))
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split()) or type(error).__name__}") from error


def load(path: str | Path) -> Table:
    """The columns of a Parquet file.

    Raises:
        FileNotFoundError: No such file.
        ValueError: No readable table, or the package pyarrow is not installed.
    """
    return _series(_load(Path(path))[0])


def _load(path: Path) -> tuple[dict[str, Array], Mapping[str, Any] | None]:
    if not path.is_file():
        raise FileNotFoundError(f"no such table: {path}")
    arrow, files = _arrow(), _arrow("pyarrow.parquet")
    try:
        with files.ParquetFile(path) as file:
            most = max(MOST_ROWS, ROWS_A_BYTE * path.stat().st_size)
            if file.metadata.num_rows > most:
                raise ValueError(f"it claims {file.metadata.num_rows} rows in {path.stat().st_size} bytes, which is not believed")
            said = (file.schema_arrow.metadata or {}).get(KEY.encode())
            table = file.read()
        return {name: _values(table.column(name)) for name in table.column_names}, json.loads(said) if said else None
    except (ValueError, OSError, arrow.ArrowException, RecursionError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no readable Parquet table: {' '.join(str(error).split()) or type(error).__name__}") from error


def _values(column: Any) -> Array:  # noqa: ANN401 - pyarrow has no types
    """A column as an array; lists of one length become rows of an array, what is missing among texts is empty."""
    kind, n = str(column.type), len(column)
    if kind.startswith("fixed_size_list") and column.null_count == 0 and n:
        return _values(column.combine_chunks().flatten()).reshape(n, -1)
    if kind.startswith(("fixed_size_list", "list", "large_list", "struct", "map", "null")):
        return np.zeros((n, 0))
    if kind in ("string", "large_string", "string_view") or kind.startswith("dictionary"):
        return np.array([str(value) if value is not None else "" for value in column.to_pylist()], dtype=object)
    found: Array = column.to_numpy(zero_copy_only=False)
    return found


def _series(table: Mapping[str, Array]) -> dict[str, pd.Series[Any]]:
    import pandas as pd

    return {name: pd.Series(array, dtype=object if array.dtype == object else None) for name, array in table.items() if array.ndim == 1}


def _forest(table: Mapping[str, Array], about: Mapping[str, Any]) -> Forest:
    """A forest of ours: links as a foreign one's, so that they are checked, then what only we write."""
    types = about["columns"]
    ours = {name: array for name, array in table.items() if name in KEPT and name != "selected"}
    forest = forest_of_rows(_series(ours))
    columns = {unshielded(name, KEPT): _typed(table[name], dtype_of(kind, name), shape) for name, (kind, *shape) in types.items()}
    selected = table["selected"] if "selected" in table else np.ones(len(forest), bool)
    cells = replace(forest.detections, columns=columns)
    return headed(replace(forest, detections=cells, selected=selected), about, np.arange(len(forest)))


def _typed(array: Array, dtype: np.dtype[Any], shape: list[int]) -> Array:
    if 0 in array.shape:
        return np.zeros((len(array), *shape), dtype)
    flat = words([str(value) for value in array.ravel().tolist()]) if dtype.kind == "U" else array.astype(dtype)
    return flat.reshape(len(array), *shape)
