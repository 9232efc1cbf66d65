"""Tracks as chains: rows of one track follow each other in time, and a track hangs on the last row of its parent track."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from lineage.arrays import BoolArray, FloatArray, IntArray
from lineage.forest import Forest

from .csv_text import Table, unshielded
from .gexf import tree_layout
from .graphs import CUT, Edges, parents
from .table import costs, frames, plain, real, sorted_forest, whole

DRAWN = "drawn as a tree, for the file has none"  # what the record of a forest says of its positions


@dataclass(frozen=True)
class Names:
    """What a table of tracks calls its columns.

    Attributes:
        track: Track of a row.
        time: Its frame.
        axes: Its position, in order (z,) y, x.
        parent: Parent track of its track, -1, 0 or nothing for none; no such column when empty.
        label: Pixel value in the label film; no such column when empty.
        left_out: Columns that say nothing new.
        kept: Names that the format keeps for itself, so that columns of that name have a prefix.
    """

    track: str
    time: str
    axes: tuple[str, ...]
    parent: str = ""
    label: str = ""
    left_out: Collection[str] = ()
    kept: Collection[str] = ()


@dataclass(frozen=True, eq=False)
class Links:
    """Links between cells that are named by ids.

    Attributes:
        source: One end of each; int (m,).
        target: The other end; int (m,).
        cost: Its cost; float (m,), NaN where not known.
    """

    source: IntArray
    target: IntArray
    cost: FloatArray


def forest_of_tracks(table: Table, names: Names, mother: IntArray | None = None) -> Forest:
    """The forest of a table with one row a cell that says to which track it belongs.

    Args:
        table: Columns, rows in any order.
        names: What they are called.
        mother: Tracks and their parent tracks, where those stand in a table of their own; int (k, 2).

    Raises:
        ValueError: A missing column, a number that is none, tracks that are no chains or do not hang together.
    """
    needed = (names.track, names.time, *names.axes, *([names.parent] if names.parent else []))
    if missing := [name for name in needed if name not in table]:
        raise ValueError(f"there is no column {', '.join(missing)}; there are {', '.join(table) or 'none'}")
    track, frame = whole(table[names.track], names.track), frames(table[names.time], names.time)
    n, d = len(track), len(names.axes)
    position = np.column_stack([real(table[axis], axis) for axis in names.axes]) if n else np.zeros((0, d))
    pairs = np.zeros((0, 2), np.int64) if mother is None else mother
    if names.parent:
        above = whole(table[names.parent], names.parent, missing=-1)
        has = with_parent(track, above)
        pairs = np.column_stack([track[has], above[has]])
    label = whole(table[names.label], names.label, missing=0) if names.label in table else np.zeros(n, np.int64)
    known = {*needed, *names.left_out, names.label, "link_cost"}
    columns = {unshielded(name, names.kept): plain(series) for name, series in table.items() if name not in known}
    parent = parent_links(track, frame, pairs[:, 0], pairs[:, 1])
    return sorted_forest(frame, position, label, columns, parent, link_cost=costs(table, n))


def parent_links(track: IntArray, frame: IntArray, child: IntArray, mother: IntArray) -> IntArray:
    """Rows of the parents of rows that belong to tracks.

    Args:
        track: Track of every row; int (n,). Missed frames inside a track are gaps.
        frame: Its frame; int (n,).
        child: Tracks that have a parent track; int (k,). Saying the same twice does no harm.
        mother: Their parent tracks; int (k,).

    Returns:
        Row of each row's parent, -1 for none; int (n,).

    Raises:
        ValueError: Two rows of a track in one frame, a track that does not exist or has two parents, a parent track that does not end
            before its child begins.
    """
    order = np.lexsort((frame, track))
    same = np.diff(track[order]) == 0
    if (twice := np.flatnonzero(same & (np.diff(frame[order]) == 0))).size:
        a, b = sorted(order[twice[0] : twice[0] + 2].tolist())
        raise ValueError(f"rows {a} and {b} are both in frame {frame[a]} of track {track[a]}: a track has one cell a frame")
    parent = np.full(len(track), -1)
    parent[order[1:][same]] = order[:-1][same]
    ids, first = np.unique(track[order], return_index=True)
    last = np.append(first[1:], len(track)) - 1
    child, mother = _pairs(child, mother)
    for named, what in ((child, "track"), (mother, "parent track")):
        if (unknown := np.flatnonzero(~np.isin(named, ids))).size:
            k = unknown[0]
            of = f" of track {child[k]}" if what != "track" else ""
            raise ValueError(f"{what} {named[k]}{of} has no rows")
    begin, end = order[first[np.searchsorted(ids, child)]], order[last[np.searchsorted(ids, mother)]]
    if (late := np.flatnonzero(frame[end] >= frame[begin])).size:
        k = late[0]
        when = f"begins in frame {frame[begin[k]]}, but its parent, track {mother[k]}, ends in frame {frame[end[k]]}"
        raise ValueError(f"track {child[k]} {when}: parents end before")
    parent[begin] = end
    return parent


def _pairs(child: IntArray, mother: IntArray) -> tuple[IntArray, IntArray]:
    pairs = np.unique(np.column_stack([child, mother]), axis=0)
    if (merged := np.flatnonzero(np.diff(pairs[:, 0]) == 0)).size:
        (one, a), (_, b) = pairs[merged[0] : merged[0] + 2].tolist()
        raise ValueError(f"track {one} has two parents, tracks {a} and {b}: lineages do not merge")
    return pairs[:, 0], pairs[:, 1]


def with_parent(track: IntArray, parent_track: IntArray) -> BoolArray:
    """Which rows name a parent track: not -1, not their own, and not 0 unless there is a track 0; bool (n,)."""
    return (parent_track != -1) & (parent_track != track) & ((parent_track != 0) | bool((track == 0).any()))


def drawn(forest: Forest) -> Forest:
    """A forest whose cells are placed as they are drawn: y is the frame, x the place among the leaves of its tree.

    For files that say who descends from whom, but not where the cells were; the record says so under ``positions``.
    """
    cells = forest.detections
    position = np.column_stack([cells.frame.astype(float), tree_layout(forest)])
    return replace(forest, detections=replace(cells, position=position, scale=())).with_record(positions=DRAWN)


def graph_forest(ids: IntArray, frame: IntArray, position: FloatArray, links: Links, *, merges: str = "refuse") -> Forest:
    """The forest of cells with ids and of links between ids, each in any order; columns are left to the caller.

    Args:
        ids: Id of every cell; int (n,). They become the column ``source_id`` unless they are 0, 1, 2, ...
        frame: Its frame; int (n,).
        position: Where it is; float (n, d), physical units.
        links: Which cells are linked; the one in the earlier frame is the parent, whichever way the link is written.
        merges: What to do with a cell that has two parents: ``refuse``, or ``keep-nearest``.

    Returns:
        The cells, sorted by frame, those of one frame as they stood.

    Raises:
        ValueError: An id twice, a negative frame, a link between cells that do not exist or are in one frame, a cell with two parents.
    """
    order = np.argsort(ids, kind="stable")
    if (twice := np.flatnonzero(np.diff(ids[order]) == 0)).size:
        a, b = order[twice[0] : twice[0] + 2].tolist()
        raise ValueError(f"row {b} has the id {ids[b]}, but so has row {a}")
    one, other = _rows_of(ids, order, links.source, links), _rows_of(ids, order, links.target, links)
    edges = Edges(one, other, links.cost, lambda row: str(ids[row]), directed=False, what="cell")
    parent, link = parents(edges, frame, position, merges=merges)
    cost = np.full(len(ids), np.nan)
    cost[parent >= 0] = links.cost[link[parent >= 0]]
    named = {} if np.array_equal(ids, np.arange(len(ids))) else {"source_id": ids}
    forest = sorted_forest(frame, position, np.zeros(len(ids), np.int64), named, parent, link_cost=cost)
    cut = len(one) - len(forest.child_rows)
    return forest.with_record(**{CUT: cut}) if cut else forest


def _rows_of(ids: IntArray, order: IntArray, ends: IntArray, links: Links) -> IntArray:
    place = np.minimum(np.searchsorted(ids[order], ends), max(len(ids) - 1, 0))
    known = ids[order][place] == ends if len(ids) else np.zeros(len(ends), bool)
    if (unknown := np.flatnonzero(~known)).size:
        k = unknown[0]
        raise ValueError(f"the link {links.source[k]} -> {links.target[k]} names the cell {ends[k]}, which does not exist")
    return order[place]
