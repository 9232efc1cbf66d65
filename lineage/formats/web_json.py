"""Lineages as JSON for web pages: one object a tracklet, flat, with parent and children, so that no depth of a tree is too much.

::

    {"format": "cytolineage-tracklets", "version": 1,
     "axes": ["y", "x"], "scale": [0.5, 0.5], "interval": 300.0, "n_frames": 90,      interval in seconds, null when not known
     "tracklets": [{"id": 1, "parent": null, "children": [2, 3], "lineage": 1, "generation": 0,
                    "start": 0, "end": 4, "fate": "divides",                          divides, gap, film ends or lost
                    "row": [0, 2, ...], "frame": [0, 1, ...],                         one value a detection from here on
                    "label": [1, 1, ...], "position": [[4.0, 4.0], ...],              physical units
                    "link_cost": [null, -1.5, ...],                                   nats, of the link to the parent
                    "columns": {"area": [50.0, ...], ...}}, ...],
     "unselected": {"row": [...], "frame": [...], "label": [...], "position": [...], "columns": {...}},
     "types": {"area": "<f8", ...}, "shapes": {}, "conflicts": [[3, 4], ...],         NumPy types; shapes of columns of arrays
     "certificate": {"objective": ..., ...}, "record": {...}, "slack": {...}}

In d3: ``d3.stratify().id(d => d.id).parentId(d => d.parent)(data.tracklets.filter(d => d.lineage === 1))``. JSON has no NaN: it is null;
infinite numbers are the texts "Infinity" and "-Infinity".
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lineage.arrays import Array, IntArray
from lineage.detections import Detections
from lineage.films.atomic import new_file
from lineage.forest import Forest

from .csv_text import GLANCE, dtype_of, words
from .header import HEADER, headed, header_of

FORMAT = "cytolineage-tracklets"
SAID = re.compile(rb'"format"\s*:\s*"' + FORMAT.encode() + b'"')
HOLDS = frozenset(
    "divisions gaps isolated positions labels columns text control arrays link_cost unselected conflicts scale interval length "
    "certificate record slack".split()
)


def write(forest: Forest, path: str | Path) -> None:
    """Write lineages for the web.

    Args:
        forest: Lineages, unselected detections included.
        path: The file; it appears when it is complete.
    """
    with new_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(_document(forest))


def _document(forest: Forest) -> Iterator[str]:
    """The text, tracklet by tracklet, a line each."""
    cells = forest.detections
    columns = {name: column for name, column in cells.columns.items() if _fits(column)}
    about = {"format": FORMAT, "version": 1, "axes": cells.axes, "interval": None, "certificate": None, "record": {}, "conflicts": []}
    about |= {name: value for name, value in header_of(forest).items() if name != "axes"}
    about |= {
        "types": {name: column.dtype.str if column.dtype.kind != "O" else "<U" for name, column in columns.items()},
        "shapes": {name: column.shape[1:] for name, column in columns.items() if column.ndim > 1},
        "unselected": _facts(forest, columns, np.flatnonzero(~forest.selected)),
    }
    yield json.dumps(_sayable(about), ensure_ascii=True, allow_nan=False)[:-1] + ',\n"tracklets": ['
    between = "\n"
    for tracklet in _tracklets(forest, columns):
        yield between + json.dumps(tracklet, ensure_ascii=True, allow_nan=False)
        between = ",\n"
    yield "\n]}\n"


def _fits(column: Array) -> bool:
    """Numbers, truth values and texts; no dates, bytes, complex numbers or objects."""
    text = column.dtype.kind == "U" or (column.dtype.kind == "O" and all(isinstance(value, str) for value in column.ravel().tolist()))
    return text or column.dtype.kind in "iufb"


def _tracklets(forest: Forest, columns: Mapping[str, Array]) -> Iterator[dict[str, Any]]:
    rows = np.flatnonzero(forest.selected)
    rows = rows[np.argsort(forest.tracklet_id[rows], kind="stable")]
    ends = np.searchsorted(forest.tracklet_id[rows], np.arange(1, int(forest.tracklet_id.max(initial=0)) + 2)).tolist()
    facts = _facts(forest, columns, rows)
    inside = {name: values for name, values in facts.items() if name != "columns"} | {"link_cost": _values(forest.link_cost[rows])}
    table = forest.tracklets().to_dict("list")
    children: dict[int, list[int]] = {}
    for child, parent in zip(table["tracklet_id"], table["parent_tracklet_id"], strict=True):
        children.setdefault(parent, []).append(child)
    names = {"id": "tracklet_id", "lineage": "lineage_id", **dict.fromkeys(("generation", "start", "end", "fate"), "")}
    for k, (a, b) in enumerate(itertools.pairwise(ends)):  # over tracklets: each becomes an object
        said = {name: table[column or name][k] for name, column in names.items()}
        family = {"parent": table["parent_tracklet_id"][k] or None, "children": children.get(said["id"], [])}
        measured = {name: values[a:b] for name, values in facts["columns"].items()}
        yield said | family | {name: values[a:b] for name, values in inside.items()} | {"columns": measured}


def _facts(forest: Forest, columns: Mapping[str, Array], rows: IntArray) -> dict[str, Any]:
    cells = forest.detections
    return {
        "row": rows.tolist(),
        "frame": cells.frame[rows].tolist(),
        "label": cells.label[rows].tolist(),
        "position": cells.position[rows].tolist(),
        "columns": {name: _values(column[rows]) for name, column in columns.items()},
    }


def _values(column: Array) -> list[Any]:
    """Values as JSON has them: NaN is null, infinite numbers are texts."""
    if column.dtype.kind == "f" and not np.isfinite(column).all():
        listed: list[Any] = _sayable(column.tolist())
        return listed
    plain: list[Any] = column.tolist()
    return plain


def _sayable(value: Any) -> Any:  # noqa: ANN401 - anything JSON-able
    if isinstance(value, Mapping):
        return {str(key): _sayable(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_sayable(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def recognises(path: Path) -> bool:
    """Whether a file begins as ours does."""
    try:
        with Path(path).open("rb") as file:
            start = file.read(GLANCE)
    except OSError:
        return False
    return start.lstrip()[:1] == b"{" and bool(SAID.search(start))


def read(path: str | Path) -> Forest:
    """Read lineages back.

    Raises:
        FileNotFoundError: No such file.
        ValueError: No JSON, or not of our kind.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        said = json.loads(path.read_bytes())
        if not isinstance(said, dict) or said.get("format") != FORMAT:
            raise ValueError(f'it is not "format": "{FORMAT}"')
        return _forest(said)
    except KeyError as error:
        raise ValueError(f"{path}: something lacks the entry {error}") from error
    except (ValueError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path} is no readable JSON of lineages: {' '.join(str(error).split()) or type(error).__name__}") from error


def _forest(said: Mapping[str, Any]) -> Forest:
    parts = [*said["tracklets"], said["unselected"]]
    row = _joined(parts, "row", np.int64)
    n, d = len(row), len(said["axes"])
    if not np.array_equal(np.sort(row), np.arange(n)):
        raise ValueError(f"the rows of its tracklets and of what is not selected are not 0 to {n - 1}, each once")
    counts = [len(part["row"]) for part in parts]
    place = np.argsort(row)
    tracked = n - counts[-1]
    selected = np.arange(n) < tracked
    columns = {name: _column([part["columns"][name] for part in parts], kind, n, name) for name, kind in said["types"].items()}
    shaped = {name: column.reshape(n, *said["shapes"][name]) if name in said["shapes"] else column for name, column in columns.items()}
    cost = _column([*(part["link_cost"] for part in parts[:-1]), [None] * counts[-1]], "<f8", n, "link_cost")
    cells = Detections(
        _joined(parts, "frame", np.int64)[place],
        _joined(parts, "position", np.float64).reshape(n, d)[place],
        _joined(parts, "label", np.int64)[place],
        {name: column[place] for name, column in shaped.items()},
    )
    parent = _parents(said["tracklets"], counts, row)[place]
    about = {name: said[name] for name in (*HEADER - {"length"}, "n_frames", "cells", "links") if said.get(name) is not None}
    if "certificate" in about:
        about["certificate"] = _numbers(about["certificate"])
    return headed(Forest(cells, parent, selected[place], cost[place]), about, np.arange(n))


def _joined(parts: list[Mapping[str, Any]], name: str, kind: type) -> Array:
    values = [value for part in parts for value in part[name]]
    if kind is np.int64 and not all(type(value) is int for value in values):
        odd = next(value for value in values if type(value) is not int)
        raise ValueError(f"{name} holds {json.dumps(odd)[:40]}, which is no whole number")
    found: Array = np.array(values, dtype=kind) if values else np.zeros(0, kind)
    return found


def _column(lists: list[list[Any]], kind: str, n: int, name: str) -> Array:
    dtype = dtype_of(kind, name)
    values = [value for part in lists for value in part]
    if len(values) != n:
        raise ValueError(f"the column {name} has {len(values)} values, but there are {n} detections")
    if dtype.kind == "U":
        return words([str(value) for value in values])
    if dtype.kind == "f":
        return np.array(_floats(values), dtype)
    return np.array(values, dtype=dtype)


def _floats(value: Any) -> Any:  # noqa: ANN401 - numbers, in lists of any depth
    return [_floats(inner) for inner in value] if isinstance(value, list) else math.nan if value is None else float(value)


def _numbers(said: Mapping[str, Any]) -> dict[str, Any]:
    """A certificate with its infinite numbers as numbers again."""
    odd = {"Infinity": math.inf, "-Infinity": -math.inf, None: math.nan}
    return {name: odd.get(value, value) for name, value in said.items()}


def _parents(tracklets: list[Mapping[str, Any]], counts: list[int], row: IntArray) -> IntArray:
    """Row of the parent of each detection, as they stand in the file: the one before, or the last of the parent tracklet."""
    ends = np.cumsum(counts)
    parent = np.append(-1, row[:-1])
    index = {tracklet["id"]: k for k, tracklet in enumerate(tracklets)}
    for k, tracklet in enumerate(tracklets):  # over tracklets: names become rows
        if not counts[k]:
            raise ValueError(f"tracklet {tracklet['id']} has no rows")
        above = tracklet["parent"]
        if above is not None and above not in index:
            raise ValueError(f"tracklet {tracklet['id']} has the parent {above}, which does not exist")
        parent[ends[k] - counts[k]] = -1 if above is None else row[ends[index[above]] - 1]
    parent[len(row) - counts[-1] :] = -1
    return parent
