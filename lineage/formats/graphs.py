"""What graph files share: nodes with typed facts, and edges that become parents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lineage.arrays import Array, BoolArray, FloatArray, IntArray
from lineage.detections import Detections
from lineage.forest import Forest
from lineage.measure import AXES

from .header import MOST_FRAMES, headed
from .table import DERIVED

CUT = "cut_links"  # what the record of a forest calls the links that were cut where cells have two parents
MERGES = ("refuse", "keep-nearest")
TIMES = ("t", "frame", "time", "timepoint", "position_t")
SELECTED = ("selected", "solution")  # how others mark the part of a candidate graph that is believed
WHOLE, REAL, TRUTH, TEXT = "whole", "real", "truth", "text"
FREE = 10**7  # values that a file may ask for without giving any
SHARE = 100  # values that it may ask for, for each that it gives
NARROW = tuple(map(np.dtype, "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32".split()))


@dataclass(frozen=True, eq=False)
class Edges:
    """The edges of a graph file.

    Attributes:
        source, target: Nodes, in the order of the file; int (m,).
        cost: Nats; float (m,), NaN where unknown.
        name: What the file calls a node, for messages.
        directed: Whether source and target mean something; if not, edges go forward in time.
        what: The format's word for a node.
    """

    source: IntArray
    target: IntArray
    cost: FloatArray
    name: Callable[[int], str] = str
    directed: bool = True
    what: str = "node"

    def take(self, some: Array) -> Edges:
        """The edges of a mask."""
        return Edges(self.source[some], self.target[some], self.cost[some], self.name, self.directed, self.what)


@dataclass(frozen=True, eq=False)
class Nodes:
    """The nodes of a graph file, as columns of n rows in the order of the file."""

    frame: IntArray
    position: FloatArray
    label: IntArray
    columns: Mapping[str, Array]
    selected: BoolArray | None = None
    scale: tuple[float, ...] = ()
    interval: float | None = None
    n_frames: int = 0
    header: Mapping[str, Any] = field(default_factory=dict)


def forest_of(nodes: Nodes, edges: Edges, *, merges: str = "refuse") -> Forest:
    """A forest from the nodes and edges of a file, sorted by frame.

    Args:
        nodes: Cells. Edges at those that are not selected are left out.
        edges: Links.
        merges: What to do with a node that has two parents: ``refuse``, or ``keep-nearest``.

    Raises:
        ValueError: Edges that make no lineages, positions that are not finite.
    """
    selected = np.ones(len(nodes.frame), bool) if nodes.selected is None else nodes.selected
    edges = edges.take(selected[edges.source] & selected[edges.target])
    parent, link = parents(edges, nodes.frame, nodes.position, merges=merges)
    cost = np.full(len(parent), np.nan)
    cost[parent >= 0] = edges.cost[link[parent >= 0]]
    order = np.argsort(nodes.frame, kind="stable")
    rank = np.full(len(order) + 1, -1)  # the last entry is the place of no parent
    rank[order] = np.arange(len(order))
    kept = {name: column[order] for name, column in nodes.columns.items()}
    cells = Detections(
        nodes.frame[order], nodes.position[order], nodes.label[order], kept, nodes.scale, n_frames=nodes.n_frames, interval=nodes.interval
    )
    forest = Forest(cells, rank[parent[order]], selected[order], cost[order])
    forest, cut = headed(forest, nodes.header, order), len(edges.source) - len(forest.child_rows)
    return forest.with_record(**{CUT: cut}) if cut else forest


def parents(edges: Edges, frame: IntArray, position: FloatArray, *, merges: str = "refuse") -> tuple[IntArray, IntArray]:
    """The parent of every node, and the edge that leads there.

    Args:
        edges: Links between nodes.
        frame: Of the nodes; int (n,).
        position: Of the nodes; float (n, d).
        merges: What to do with a node that has two parents: ``refuse``, or ``keep-nearest``.

    Returns:
        parent: Node, or -1; int (n,).
        edge: Its edge, or -1; int (n,).

    Raises:
        ValueError: An edge that does not go forward in time, one that occurs twice, or a node with two parents.
    """
    if merges not in MERGES:
        raise ValueError(f"merges must be one of {', '.join(MERGES)}, not {merges!r}")
    source, target = edges.source, edges.target
    if not edges.directed:
        turned = frame[source] > frame[target]
        source, target = np.where(turned, target, source), np.where(turned, source, target)
    back = np.flatnonzero(frame[source] >= frame[target])
    if back.size:
        i, j = int(source[back[0]]), int(target[back[0]])
        raise ValueError(f"edge {edges.name(i)} -> {edges.name(j)} goes from frame {frame[i]} to frame {frame[j]}: parents come earlier")
    length = np.linalg.norm(position[source] - position[target], axis=1) if merges != "refuse" else np.zeros(len(source))
    order = np.lexsort((source, length, target))
    again = np.flatnonzero(np.diff(target[order]) == 0) + 1
    if again.size:
        _check_twice(edges, source, target)
    if again.size and merges == "refuse":
        first, second = int(order[again[0] - 1]), int(order[again[0]])
        child, one, other = (edges.name(int(node)) for node in (target[first], source[first], source[second]))
        raise ValueError(
            f'{edges.what} {child} has two parents, {one} and {other}: lineages do not merge (merges="keep-nearest" keeps the nearer one)'
        )
    kept = np.delete(order, again)
    parent, edge = np.full(len(frame), -1), np.full(len(frame), -1)
    parent[target[kept]], edge[target[kept]] = source[kept], kept
    return parent, edge


def _check_twice(edges: Edges, source: IntArray, target: IntArray) -> None:
    order = np.lexsort((source, target))
    twice = np.flatnonzero((np.diff(source[order]) == 0) & (np.diff(target[order]) == 0))
    if twice.size:
        k = int(order[twice[0]])
        raise ValueError(f"edge {edges.name(int(source[k]))} -> {edges.name(int(target[k]))} occurs twice")


def ends(names: Sequence[tuple[str, str]], nodes: Mapping[str, int]) -> tuple[IntArray, IntArray]:
    """The nodes that edges name.

    Raises:
        ValueError: A node that does not exist.
    """
    try:
        rows = np.array([(nodes[source], nodes[target]) for source, target in names], np.int64).reshape(-1, 2)
    except KeyError:
        source, target = next(pair for pair in names if pair[0] not in nodes or pair[1] not in nodes)
        raise ValueError(f"edge {source} -> {target} names a node that does not exist") from None
    return rows[:, 0], rows[:, 1]


def nodes_of(columns: dict[str, Array], n: int, header: Mapping[str, Any], *, marked: bool = True) -> Nodes:
    """Cells from what a file says about its nodes.

    Args:
        columns: Facts; frames are called ``t``, ``frame`` or ``time``, places ``z``, ``y``, ``x``, in either case. They are taken out.
        n: Number of nodes.
        header: As from ``header_of``; empty when it is not our file.
        marked: Whether a column ``selected`` or ``solution`` says which nodes are believed.

    Raises:
        ValueError: Frames or places are missing, or are no numbers.
    """
    given = {name.lower(): name for name in reversed(columns)}
    time = next((given[name] for name in TIMES if name in given), "t")
    places = {axis: next((given[name] for name in (axis, f"position_{axis}") if name in given), axis) for axis in AXES[3]}
    axes = {"yx": AXES[2], "zyx": AXES[3]}.get(str(header.get("axes")), AXES[3 if places["z"] in columns else 2])
    missing = [name for name in ("t", *axes) if {"t": time, **places}[name] not in columns]
    if missing and n:
        raise ValueError(f"nodes have no attribute {', '.join(missing)}; they have {', '.join(columns) or 'none'}")
    empty = np.zeros(n)
    position = np.column_stack([_real(columns.pop(places[axis], empty), axis) for axis in axes])
    frame = whole(columns.pop(time, empty), "t", most=MOST_FRAMES)
    if "label" in columns and columns["label"].dtype.kind not in "iufb":  # what another program shows, no pixel value
        columns["label_text" if "name" in columns else "name"] = columns.pop("label")
    label = whole(columns.pop("label", empty), "label")
    mark = next((name for name in SELECTED if marked and name in columns and columns[name].dtype.kind == "b"), "")
    selected = columns.pop(mark).astype(bool) if mark else None
    kept = {name: column for name, column in columns.items() if name not in DERIVED}
    return Nodes(frame, position, label, kept, selected, header=header)


def _real(column: Array, name: str) -> FloatArray:
    if column.dtype.kind not in "iufb" and len(column):
        raise ValueError(f"attribute {name} must be a number, not text such as {str(column[0])!r}")
    return column.astype(float) if len(column) else np.zeros(0)


def whole(column: Array, name: str, most: int = 2**63 - 1) -> IntArray:
    """A column as whole numbers from 0.

    Raises:
        ValueError: One that is none; the message names the node, counted from 0.
    """
    if column.dtype.kind in "iu":
        odd = np.flatnonzero((column < 0) | (column > most))
    else:
        real = _real(column, name)
        with np.errstate(invalid="ignore"):
            odd = np.flatnonzero(~np.isfinite(real) | (real != np.floor(real)) | (real < 0) | (real >= float(most) + 1))
    if odd.size:
        raise ValueError(f"node {odd[0]} (counted from 0) has {name} {column[odd[0]]}, which is no whole number from 0 to {most}")
    return column.astype(np.int64)


def check_size(nodes: int, columns: int, values: int) -> None:
    """Refuse a file that asks for far more values than it gives.

    Raises:
        ValueError: It declares so many attributes for so many nodes, and so few of them have values, that memory would be wasted.
    """
    if nodes * columns > FREE + SHARE * values:
        raise ValueError(f"it declares {columns} attributes for {nodes} nodes, but gives only {values} values")


def column_of(kind: str, rows: Sequence[int], texts: Sequence[str], n: int, *, name: str, default: str | None = None) -> Array:
    """An attribute as a column of n rows, from the texts of some nodes.

    Args:
        kind: ``whole``, ``real``, ``truth`` or ``text``.
        rows: The nodes that have it.
        texts: What they say.
        n: Number of nodes.
        name: Of the attribute, for messages.
        default: What the others say; when not given, NaN, False or nothing.

    Raises:
        ValueError: A text that is not of the kind.
    """
    if kind == TEXT:
        return text_column(texts, rows, n, default or "")
    turn: Callable[[str], Any] = int if kind == WHOLE else float if kind == REAL else truth
    try:
        found = _array(kind, list(map(turn, texts)))
        other = turn(default) if default is not None else False if kind == TRUTH else np.nan
        if kind == WHOLE and default is None and len(rows) < n:
            found = found.astype(float)
        column = np.full(n, other, dtype=found.dtype) if len(rows) < n or default is not None else np.empty(n, found.dtype)
        column[rows] = found
    except (ValueError, OverflowError) as error:
        raise ValueError(f"attribute {name} is declared {kind}, but {error}") from error
    return column


def _array(kind: str, values: list[Any]) -> Array:
    if kind != WHOLE:
        return np.array(values, bool if kind == TRUTH else float)
    try:
        return np.array(values, np.int64)
    except OverflowError:
        return np.array(values, np.uint64)


def narrowed(column: Array, name: str) -> Array:
    """A column in the type that it once had, such as ``uint8``; as it is when that would change a value or is no such type."""
    old = next((dtype for dtype in NARROW if dtype.name == name), column.dtype)
    if old.kind != column.dtype.kind and column.dtype.kind not in "iu":
        return column
    with np.errstate(over="ignore"):
        narrow = column.astype(old)
    same = np.array_equal(narrow, column, equal_nan=column.dtype.kind == "f")
    return narrow if same else column


def source_ids(names: Sequence[str]) -> dict[str, Array]:
    """The names of nodes as the column ``source_id``, whole numbers if they are; nothing when they are 0, 1, 2, ..."""
    if all(name == str(i) for i, name in enumerate(names)):
        return {}
    try:
        return {"source_id": np.array(list(map(int, names)), np.int64)}
    except (ValueError, OverflowError):
        return {"source_id": text_column(names, range(len(names)), len(names))}


def truth(text: str) -> bool:
    """Whether a text says true: ``true`` or ``1``."""
    return text.strip().lower() in ("true", "1")


def text_column(texts: Sequence[str], rows: Sequence[int], n: int, default: str = "") -> Array:
    """Texts of some nodes as a column of n rows; where one is much longer than the others, rows are not made as long as it is."""
    longest = max(max(map(len, texts), default=0), len(default), 1)
    wide = n * longest > 4 * (sum(map(len, texts)) + 16 * n)
    column = np.full(n, default, dtype=object if wide else f"U{longest}")
    column[rows] = np.array(texts, dtype=column.dtype) if len(texts) else []
    return column
