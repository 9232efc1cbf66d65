"""Reading GEXF back: one pass, nothing in the file is ever expanded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np

from lineage.arrays import Array, FloatArray, IntArray
from lineage.forest import Forest
from lineage.measure import AXES

from .gexf import untitled
from .table import DERIVED, sorted_forest

WHOLE = ("integer", "long", "short", "byte", "biginteger")
REAL = ("double", "float", "bigdecimal")


class _Content:
    """What the elements of a file said: nodes, their attributes, edges."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}
        self.start: list[str | None] = []
        self.types: dict[str, tuple[str, str]] = {}
        self.values: dict[str, tuple[list[int], list[str]]] = {}  # by attribute: nodes and what they say
        self.edges: list[tuple[str, str]] = []
        self.scope = ""

    def element(self, tag: str, given: dict[str, str]) -> None:
        """Take in the start of an element; called once for every element of the file, so the most frequent one comes first."""
        if tag == "attvalue":
            if self.scope == "node":
                rows, texts = self.values.get(given["for"]) or self.values.setdefault(given["for"], ([], []))
                rows.append(len(self.start) - 1)
                texts.append(given["value"])
        elif tag == "node":
            self.scope = "node"
            if given["id"] in self.ids:
                raise ValueError(f"node {given['id']} occurs twice")
            self.ids[given["id"]] = len(self.start)
            self.start.append(given.get("start"))
        elif tag == "edge":
            self.scope = "edge"
            self.edges.append((given["source"], given["target"]))
        elif tag == "attributes":
            self.scope = given.get("class", "")
        elif tag == "attribute" and self.scope == "node":
            self.types[given["id"]] = (given["title"], given["type"])


def read(path: str | Path) -> Forest:
    """Read lineages from a GEXF file, ours or another with the node attributes ``t`` (or ``start``), ``y``, ``x`` and, in 3D, ``z``.

    Edges go from parent to child. Tracklets, lineages and generations are worked out again; all other node attributes are kept.

    Raises:
        FileNotFoundError: No such file.
        ValueError: No well-formed XML, a document type or entities (refused), missing attributes, a node with two parents.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        return _forest(_parse(path))
    except KeyError as error:
        raise ValueError(f"{path}: an element lacks the attribute {error}") from error
    except (ValueError, expat.ExpatError) as error:
        raise ValueError(f"{path} is no readable GEXF: {error}") from error


def _parse(path: Path) -> _Content:
    content = _Content()
    parser = expat.ParserCreate()
    parser.StartElementHandler = content.element
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    with path.open("rb") as file:
        parser.ParseFile(file)
    return content


def _refuse(*_: Any) -> None:  # noqa: ANN401 - expat passes what it likes
    raise ValueError("it declares a document type or entities, which are refused")


def _forest(content: _Content) -> Forest:
    n = len(content.start)
    columns = {
        untitled(text): _column(kind, *content.values.get(key, ([], [])), n, name=text) for key, (text, kind) in content.types.items()
    }
    if "t" not in columns and all(start is not None for start in content.start):
        columns["t"] = np.array([float(start or 0) for start in content.start])
    axes = AXES[3 if "z" in columns else 2]
    missing = [name for name in ("t", *axes) if name not in columns]
    if missing and n:
        raise ValueError(f"nodes have no attribute {', '.join(missing)}; they have {', '.join(columns) or 'none'}")
    empty = np.zeros(n)
    position = np.column_stack([columns.pop(axis, empty).astype(float) for axis in axes])
    frame, label = _whole(columns.pop("t", empty), "t"), _whole(columns.pop("label", empty), "label")
    cost: FloatArray = columns.pop("link_cost", np.full(n, np.nan)).astype(float)
    kept = {name: column for name, column in columns.items() if name not in DERIVED}
    return sorted_forest(frame, position, label, kept, _parents(content, frame), link_cost=cost)


def _whole(column: Array, name: str) -> IntArray:
    real = column.astype(float)
    odd = np.flatnonzero(~np.isfinite(real) | (real != np.floor(np.where(np.isfinite(real), real, 0))) | (real < 0))
    if odd.size:
        raise ValueError(f"node {odd[0]} (counted from 0) has {name} {column[odd[0]]}, which is no whole number from 0")
    return column.astype(np.int64)


def _column(kind: str, rows: list[int], texts: list[str], n: int, *, name: str) -> Array:
    """An attribute as a column of n rows; numbers that some nodes lack become NaN."""
    turn: Callable[[str], Any] = int if kind in WHOLE else float if kind in REAL else _true if kind == "boolean" else str
    try:
        found = list(map(turn, texts))
    except ValueError as error:
        raise ValueError(f"attribute {name} is declared {kind}, but {error}") from error
    if kind in WHOLE + REAL:
        column = np.full(n, np.nan) if kind in REAL or len(rows) < n else np.zeros(n, np.int64)
    else:
        column = np.zeros(n, bool) if kind == "boolean" else np.full(n, "", dtype=f"U{max(map(len, texts), default=1) or 1}")
    column[rows] = found
    return column


def _true(text: str) -> bool:
    return text.strip().lower() in ("true", "1")


def _parents(content: _Content, frame: IntArray) -> IntArray:
    parent = np.full(len(content.start), -1)
    for source, target in content.edges:  # over edges: names are turned into rows one by one
        if source not in content.ids or target not in content.ids:
            raise ValueError(f"edge {source} -> {target} names a node that does not exist")
        i, j = content.ids[source], content.ids[target]
        if parent[j] >= 0:
            raise ValueError(f"node {target} has two parents: lineages do not merge")
        if frame[i] >= frame[j]:
            raise ValueError(f"edge {source} -> {target} goes from frame {frame[i]} to frame {frame[j]}: parents come earlier")
        parent[j] = i
    return parent
