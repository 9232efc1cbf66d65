"""Is this file sound? Every violation with file, frame and row, whatever the format."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lineage.arrays import Array, BoolArray, FloatArray, IntArray, Progress, silent
from lineage.forest import Forest
from lineage.measure import AXES

from . import ctc_validate
from .csv_text import Table, load
from .ctc_table import Violation, in_cycle
from .graphs import Edges, Nodes
from .known import to_read
from .table import NAMES

BELOW_HEADER = 2  # line of the first row of a table, counted from 1


def validate(path: str | Path, *, format: str = "", progress: Progress[int] = silent) -> list[Violation]:  # noqa: A002 - what one would call it
    """All violations of a file or folder of lineages; empty when it is sound.

    Folders of the Cell Tracking Challenge, lineage tables and graphs (GEXF, GraphML, GEFF, TrackMate XML) are searched for every
    violation; of other formats, the first thing that stops them from being read is reported. Of lineages that can be read, what is odd
    but usable is a warning: cells with more than two children, several cells of one frame with one label or in one place.

    Args:
        path: File or folder.
        format: Key of its format, such as ``csv``; found out when not given.
        progress: Wraps the loop over masks.

    Raises:
        FileNotFoundError: No such path.
        ValueError: It is of no known format.
    """
    path = Path(path)
    chosen = to_read(path, format)
    if chosen.key == "ctc":
        return ctc_validate.validate(path, progress=progress)
    try:
        found = _table(path) if chosen.key == "csv" else graph_faults(*chosen.parts(path), str(path)) if chosen.parts else []
        if found:
            return found
        forest = chosen.load(path)
    except (ValueError, OSError) as error:
        message = str(error).removeprefix(f"{path}: ").removeprefix(f"{path} ")
        return [Violation("unreadable", str(path), None, None, message)]
    return doubts(forest, str(path))


def doubts(forest: Forest, file: str) -> list[Violation]:
    """What is odd about lineages, yet possible: each a warning.

    Args:
        forest: Lineages.
        file: Where they come from, for the messages.
    """
    cells = forest.detections
    found = []
    for i in np.flatnonzero(forest.n_children > 2).tolist():  # over odd rows only
        message = f"cell {i} has {forest.n_children[i]} children"
        found.append(Violation("more than two children", file, int(cells.frame[i]), None, message))
    labelled = forest.selected & (cells.label > 0)
    for kind, columns, rows in (
        ("one label, two cells", cells.label[:, None], np.flatnonzero(labelled)),
        ("one place, two cells", cells.position, np.flatnonzero(forest.selected)),
    ):
        for first, second in _doubles(cells.frame, columns, rows):
            shared = f"label {cells.label[first]}" if columns.shape[1] == 1 else f"place {cells.position[first].tolist()}"
            found.append(Violation(kind, file, int(cells.frame[first]), None, f"cells {first} and {second} share the {shared}"))
    return found


def graph_faults(nodes: Nodes, edges: Edges, file: str) -> list[Violation]:
    """Everything that keeps nodes and edges from being lineages.

    Args:
        nodes: Cells, as a file says them.
        edges: Links; those at cells that are not selected say nothing.
        file: Where they come from, for the messages.
    """
    frame, selected = nodes.frame, np.ones(len(nodes.frame), bool) if nodes.selected is None else nodes.selected
    edges = edges.take(selected[edges.source] & selected[edges.target])
    turned = np.zeros(len(edges.source), bool) if edges.directed else frame[edges.source] > frame[edges.target]
    source, target = np.where(turned, edges.target, edges.source), np.where(turned, edges.source, edges.target)
    found = []

    def add(kind: str, node: int, message: str) -> None:
        found.append(Violation(kind, file, int(frame[node]), None, message))

    for i in np.flatnonzero(~np.isfinite(nodes.position).all(1)).tolist():  # over broken cells only, as below
        add("no finite position", i, f"{edges.what} {edges.name(i)} lies at {nodes.position[i].tolist()}")
    for k in np.flatnonzero(frame[source] >= frame[target]).tolist():
        i, j = int(source[k]), int(target[k])
        add("parent not earlier", j, f"edge {edges.name(i)} -> {edges.name(j)} goes from frame {frame[i]} to frame {frame[j]}")
    pairs, count = np.unique(np.column_stack([target, source]), axis=0, return_counts=True)
    for j, i in pairs[count > 1].tolist():
        add("duplicate edge", j, f"edge {edges.name(i)} -> {edges.name(j)} occurs twice")
    children, first, count = np.unique(pairs[:, 0], return_index=True, return_counts=True)
    for j, k, n in zip(children[count > 1].tolist(), first[count > 1].tolist(), count[count > 1].tolist(), strict=True):
        mothers = ", ".join(edges.name(i) for i in pairs[k : k + n, 1].tolist())
        add("two parents", j, f"{edges.what} {edges.name(j)} has {n} parents: {mothers}")
    return found


def _doubles(frame: IntArray, columns: FloatArray | IntArray, rows: IntArray) -> list[tuple[int, int]]:
    """Pairs of rows of one frame that agree in all columns: each with the one before it."""
    keys = (*columns[rows].T[::-1], frame[rows])
    order = rows[np.lexsort(keys)]
    same = (np.diff(frame[order]) == 0) & (np.diff(columns[order], axis=0) == 0).all(1)
    return [(int(order[k]), int(order[k + 1])) for k in np.flatnonzero(same)]


def _table(path: Path) -> list[Violation]:
    """Everything that a lineage table says wrongly; the row is the line of the file, the header being line 1."""
    try:
        table = load(path, as_text=tuple(name for names in NAMES.values() for name in names))
    except (ValueError, OSError) as error:
        return [Violation("unreadable", str(path), None, None, str(error).removeprefix(f"{path} "))]
    used = {ours: next((name for name in names if name in table), "") for ours, names in NAMES.items()}
    axes = [axis for axis in AXES[3] if axis in table or axis != "z"]
    missing = [name for name in (*(ours for ours, name in used.items() if not name), *axes) if name not in table and not used.get(name)]
    if missing:
        there = ", ".join(table) or "none"
        return [Violation("missing column", str(path), None, 1, f"there is no column {name}; there are {there}") for name in missing]
    return sorted(_rows(table, used, axes, str(path)), key=lambda violation: violation.row or 0)


def _rows(table: Table, used: dict[str, str], axes: list[str], file: str) -> list[Violation]:
    found: list[Violation] = []
    ids, ids_good = _whole(table, used["id"])
    frame, frame_good = _whole(table, used["t"])
    claimed, claimed_good = _whole(table, used["parent_id"], nothing=-1)

    def add(kind: str, rows: IntArray, message: str, **columns: Array) -> None:
        for k in rows.tolist():  # over broken rows only
            when = int(frame[k]) if frame_good[k] else None
            words = {name: column[k : k + 1].tolist()[0] for name, column in columns.items()}
            found.append(Violation(kind, file, when, k + BELOW_HEADER, message.format(**words)))

    for name, good in ((used["id"], ids_good), (used["t"], frame_good), (used["parent_id"], claimed_good)):
        add("no whole number", np.flatnonzero(~good), f"{name} is {{given!r}}", given=table[name].to_numpy())
    negative = frame_good & (frame < 0)
    add("negative frame", np.flatnonzero(negative), "the frame is {t}, but frames are counted from 0", t=frame)
    for axis in axes:
        add("no finite number", np.flatnonzero(~_finite(table, axis)), f"{axis} is {{given!r}}", given=table[axis].to_numpy())
    known = np.flatnonzero(ids_good)
    order = known[np.argsort(ids[known], kind="stable")]
    twice = np.flatnonzero(np.diff(ids[order]) == 0)
    add("duplicate id", np.sort(order[twice + 1]), "the id {id} has a row already", id=ids)
    child = np.flatnonzero(claimed_good & (claimed != -1))
    place = np.minimum(np.searchsorted(ids[order], claimed[child]), max(len(order) - 1, 0))
    is_known = ids[order][place] == claimed[child] if len(order) else np.zeros(len(child), bool)
    add("unknown parent", child[~is_known], "the parent is {parent}, but no row has this id", parent=claimed)
    child, mother = child[is_known], order[place[is_known]] if len(order) else child[:0]
    up = np.full(len(ids), -1)
    up[child] = mother
    late = child[frame_good[child] & frame_good[up[child]] & (frame[up[child]] >= frame[child])]
    add("parent not earlier", late, "the parent {parent} is in frame {when}, not before", parent=claimed, when=frame[up])
    add("cyclic parent", in_cycle(up), "the cell {id} is an ancestor of itself", id=ids)
    return found


def _whole(table: Table, name: str, nothing: int | None = None) -> tuple[IntArray, BoolArray]:
    """A column of texts as whole numbers, and where it holds such; ``nothing`` stands for an empty one."""
    values = np.zeros(len(table[name]), np.int64)
    good = np.ones(len(values), bool)
    for k, text in enumerate(table[name].tolist()):  # over texts: NumPy has no exact cast
        if text != text and nothing is not None:
            values[k] = nothing
            continue
        try:
            number = float(text)
            values[k] = int(text) if str(text).strip().lstrip("+-").isdecimal() else int(number)
            good[k] = number == number // 1 and abs(number) < 2**63
        except (ValueError, OverflowError):
            good[k] = False
    return values, good


def _finite(table: Table, name: str) -> BoolArray:
    array = table[name].to_numpy()
    if array.dtype.kind in "iufb":
        return np.isfinite(array.astype(float))
    values = np.full(len(array), np.nan)
    for k, text in enumerate(array.tolist()):  # over texts: one of them is no number
        try:
            values[k] = float(text)
        except ValueError:
            continue
    return np.isfinite(values)
