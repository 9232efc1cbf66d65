"""Forest: lineages as one column, the parent of every detection; everything else is read off it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .arrays import Array, BoolArray, FloatArray, IntArray, settle
from .certificate import Certificate
from .detections import Detections

if TYPE_CHECKING:
    import networkx as nx
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Forest:
    """Lineage trees over detections.

    A **tracklet** is a path without division or gap (what CTC and napari call a track), a **lineage** a connected tree.

    Attributes:
        detections: The cells; n rows.
        parent: Row of each cell's parent, always in an earlier frame, or -1; int (n,).
        selected: Which detections are believed; bool (n,), all when not given. Others have no parent and no child.
        link_cost: Cost of the link to the parent; float (n,), nats, NaN where unknown or where there is no parent.
        certificate: How good the solution is, if a solver made it.
        record: What was estimated and set on the way here (JSON-able).
        slack: What deciding otherwise would cost at least, nats, if the solver can say: ``link`` for every candidate link of the
            graph that was solved, ``select`` for every detection; infinite where there was no choice.
        memory: What the solver can go on from when pins or costs change (``solve(start=)``), if it can; it is not written to files.
    """

    detections: Detections
    parent: IntArray
    selected: BoolArray = field(default_factory=lambda: np.zeros(0, bool))
    link_cost: FloatArray = field(default_factory=lambda: np.zeros(0))
    certificate: Certificate | None = None
    record: Mapping[str, Any] = field(default_factory=dict)
    slack: Mapping[str, FloatArray] = field(default_factory=dict)
    memory: object = field(default=None, repr=False)

    def __post_init__(self) -> None:
        n = len(self.detections)
        settle(self, parent=np.asarray(self.parent, np.int64))
        settle(self, selected=np.ones(n, bool) if len(self.selected) == 0 else np.asarray(self.selected, bool))
        settle(self, link_cost=np.full(n, np.nan) if len(self.link_cost) == 0 else np.asarray(self.link_cost, float))
        for name in ("parent", "selected", "link_cost"):
            if len(getattr(self, name)) != n:
                raise ValueError(f"{name} has {len(getattr(self, name))} rows, but there are {n} detections")
        self._check_links()

    def _check_links(self) -> None:
        n, frame = len(self.detections), self.detections.frame
        outside = np.flatnonzero((self.parent < -1) | (self.parent >= n))
        if outside.size:
            raise ValueError(f"row {outside[0]} has the parent row {self.parent[outside[0]]}, but there are {n} detections")
        child = self.child_rows
        back = child[frame[self.parent[child]] >= frame[child]]
        if back.size:
            i, mother = int(back[0]), int(self.parent[back[0]])
            raise ValueError(f"row {i} (frame {frame[i]}) has its parent, row {mother}, in frame {frame[mother]}: parents come earlier")
        dropped = child[~(self.selected[child] & self.selected[self.parent[child]])]
        if dropped.size:
            raise ValueError(f"row {dropped[0]} is linked to row {self.parent[dropped[0]]}, but one of them is not selected")

    def __len__(self) -> int:
        return len(self.detections)

    @cached_property
    def child_rows(self) -> IntArray:
        """Rows that have a parent, rising."""
        return np.flatnonzero(self.parent >= 0)

    @cached_property
    def n_children(self) -> IntArray:
        """Number of children of every detection; int (n,)."""
        return np.bincount(self.parent[self.child_rows], minlength=len(self))

    @cached_property
    def gap(self) -> IntArray:
        """Frames missed between a detection and its parent; int (n,), 0 for roots too."""
        missed = np.zeros(len(self), np.int64)
        child, frame = self.child_rows, self.detections.frame
        missed[child] = frame[child] - frame[self.parent[child]] - 1
        return missed

    @property
    def roots(self) -> IntArray:
        """Rows of selected detections without a parent."""
        return np.flatnonzero(self.selected & (self.parent < 0))

    @property
    def divisions(self) -> IntArray:
        """Rows of the detections that divide: two children or more."""
        return np.flatnonzero(self.n_children >= 2)

    @cached_property
    def tracklet_id(self) -> IntArray:
        """Number of each detection's tracklet, from 1; int (n,), 0 when not selected."""
        return self._numbered(self._starts(gaps=True))

    @cached_property
    def lineage_id(self) -> IntArray:
        """Number of each detection's lineage, from 1; int (n,), 0 when not selected."""
        return self._numbered(self.selected & (self.parent < 0))

    @cached_property
    def parent_tracklet_id(self) -> IntArray:
        """Tracklet that each detection's tracklet comes from; int (n,), 0 when from none."""
        first = np.flatnonzero(self._starts(gaps=True))
        table = np.zeros(len(first) + 1, np.int64)
        has = first[self.parent[first] >= 0]
        table[self.tracklet_id[has]] = self.tracklet_id[self.parent[has]]
        return table[self.tracklet_id]

    @cached_property
    def generation(self) -> IntArray:
        """Number of divisions between a detection and its root; int (n,)."""
        count = np.zeros(len(self), np.int64)
        born = (self.parent >= 0) & (self.n_children[self.parent] >= 2)
        for rows in self._by_frame():
            count[rows] = np.where(self.parent[rows] >= 0, count[self.parent[rows]] + born[rows], 0)
        return count

    def _starts(self, *, gaps: bool) -> BoolArray:
        """Where a path begins: at roots, at daughters and, if asked, after gaps."""
        daughter = (self.parent >= 0) & (self.n_children[self.parent] >= 2)
        return self.selected & ((self.parent < 0) | daughter | (gaps & (self.gap > 0)))

    def _numbered(self, starts: BoolArray) -> IntArray:
        number = np.where(starts, np.cumsum(starts), 0)
        go_on = self.selected & ~starts
        for rows in self._by_frame():  # parents lie in earlier frames, so they are numbered already
            rows = rows[go_on[rows]]
            number[rows] = number[self.parent[rows]]
        return number

    def _by_frame(self) -> list[IntArray]:
        cuts = np.flatnonzero(np.diff(self.detections.frame)) + 1
        return np.split(np.arange(len(self)), cuts)

    def foremost(self, room: int, *, paths: bool = False, first: Sequence[int] = ()) -> IntArray:
        """The lineages to show where there is no room for all: those that divide most often, and of these those of most detections.

        Args:
            room: How many detections they may have together, or how many paths to a last cell; one lineage is shown in any case.
            paths: Whether room is counted in such paths.
            first: Lineages that come before all others, by ``lineage_id``.

        Returns:
            Their ``lineage_id``, rising; int (k,).
        """
        number = self.lineage_id
        cells = np.bincount(number)[1:]
        divisions, ends = (
            np.bincount(number[self.selected & some], minlength=len(cells) + 1)[1:] for some in (self.n_children >= 2, self.n_children == 0)
        )
        behind = np.ones(len(cells), bool)
        behind[np.asarray(first, np.int64) - 1] = False
        order = np.lexsort((-cells, -divisions, behind))
        most = max(int(np.searchsorted(np.cumsum((ends if paths else cells)[order]), room, side="right")), 1)
        return np.sort(order[:most] + 1)

    def tracklets(self) -> pd.DataFrame:
        """One row a tracklet: id, lineage, parent, first and last frame, length, generation, fate.

        ``fate`` is ``divides``, ``gap`` (goes on after missed frames), ``film ends`` or ``lost``.
        """
        return self._paths(self._starts(gaps=True), self.tracklet_id, "tracklet_id").assign(
            parent_tracklet_id=self.parent_tracklet_id[self._starts(gaps=True)]
        )

    def life_table(self) -> pd.DataFrame:
        """One row a cell, from its birth to its division or end, gaps bridged.

        Columns: ``cell_id``, ``lineage_id``, ``mother_cell_id`` (0 for none), ``start`` and ``end`` frame, ``duration`` in frames
        (end - start + 1, missed frames counted), ``missed`` frames, ``generation``, ``fate``, and
        ``complete``: born by a division and ended by one.
        """
        starts = self._starts(gaps=False)
        cell = self._numbered(starts)
        table = self._paths(starts, cell, "cell_id")
        mother = self.parent[starts]
        table["mother_cell_id"] = np.where(mother >= 0, cell[mother], 0)
        table["missed"] = np.bincount(cell, np.where(starts, 0, self.gap), len(table) + 1)[1:].astype(int)
        table["duration"] = table["end"] - table["start"] + 1
        table["complete"] = (table["mother_cell_id"] > 0) & (table["fate"] == "divides")
        return table

    def _paths(self, starts: BoolArray, number: IntArray, name: str) -> pd.DataFrame:
        import pandas as pd

        first = np.flatnonzero(starts)
        frame = self.detections.frame
        last = np.zeros(len(first) + 1, np.int64)
        last[number] = np.arange(len(self))  # rows are sorted by frame: the last one written is the last one
        end = last[1:]
        children = self.n_children[end]
        fate = np.select(
            [children >= 2, children == 1, frame[end] == self.detections.n_frames - 1], ["divides", "gap", "film ends"], "lost"
        )
        return pd.DataFrame(
            {
                name: number[first],
                "lineage_id": self.lineage_id[first],
                "start": frame[first],
                "end": frame[end],
                "length": np.bincount(number, minlength=len(first) + 1)[1:],
                "generation": self.generation[first],
                "fate": fate,
            }
        )

    def to_dataframe(self) -> pd.DataFrame:
        """One row a selected detection: id, parent, frame, label, position, tracklet, lineage, generation, gap, measured columns.

        ``id`` is the row in ``detections``; ``parent_id`` is -1 at a root; ``gap`` counts the frames missed between the parent and the
        cell. Positions are in physical units.
        """
        import pandas as pd

        return pd.DataFrame(self.facts(np.flatnonzero(self.selected)))

    def facts(self, rows: IntArray) -> dict[str, Array]:
        """The columns of ``to_dataframe`` for some rows: what a writer of long tables asks for, block by block.

        Args:
            rows: Rows in ``detections``; int (k,).
        """
        cells = self.detections
        table: dict[str, Array] = {"id": rows, "parent_id": self.parent[rows], "t": cells.frame[rows], "label": cells.label[rows]}
        table |= {axis: cells.position[rows, a] for a, axis in enumerate(cells.axes)}
        for name in ("tracklet_id", "parent_tracklet_id", "lineage_id", "generation", "gap", "link_cost"):
            table[name] = getattr(self, name)[rows]
        return table | {name: column[rows] for name, column in cells.columns.items() if name not in table and column.ndim == 1}

    def to_networkx(self) -> nx.DiGraph[int]:
        """A directed graph, parent to child; nodes are rows and carry what ``to_dataframe`` lists, edges ``dt`` and ``link_cost``."""
        import networkx as nx

        graph: nx.DiGraph[int] = nx.DiGraph()
        table = self.to_dataframe().drop(columns=["parent_id"]).set_index("id")
        facts: list[dict[str, Any]] = [dict(zip(table.columns, row, strict=True)) for row in table.itertuples(index=False, name=None)]
        graph.add_nodes_from(zip(table.index.tolist(), facts, strict=True))
        child = self.child_rows
        columns = (self.parent[child], child, self.gap[child] + 1, self.link_cost[child])
        edges = zip(*(column.tolist() for column in columns), strict=True)
        graph.add_edges_from((a, b, {"dt": dt, "link_cost": cost}) for a, b, dt, cost in edges)
        return graph

    def to_napari(self) -> tuple[FloatArray, dict[int, list[int]], dict[str, Array]]:
        """What a napari Tracks layer takes: ``viewer.add_tracks(data, graph=graph, properties=properties)``.

        Returns:
            data: tracklet id, frame, (z,) y, x; float (n, d + 2), sorted by id, then frame; positions in physical units.
            graph: Parents of each tracklet that has one: {id: [parent id]}.
            properties: Columns of n rows (lineage_id, generation, label, area, ...).
        """
        rows = np.flatnonzero(self.selected)
        rows = rows[np.argsort(self.tracklet_id[rows], kind="stable")]
        cells = self.detections
        data = np.column_stack([self.tracklet_id[rows], cells.frame[rows], cells.position[rows]]).astype(float)
        first = np.flatnonzero(self._starts(gaps=True) & (self.parent >= 0))
        graph = {int(self.tracklet_id[i]): [int(self.tracklet_id[self.parent[i]])] for i in first}
        numbers = {name: column[rows] for name, column in cells.columns.items() if column.ndim == 1 and column.dtype.kind in "iufb"}
        named = {"lineage_id": self.lineage_id[rows], "generation": self.generation[rows], "label": cells.label[rows]}
        return data, graph, {**numbers, **named}

    def with_record(self, **facts: Any) -> Forest:  # noqa: ANN401 - JSON-able values of any kind
        """A forest that shares everything with this one and records more."""
        return replace(self, record={**self.record, **facts})
