"""Columns: a whole film as sorted columns, in memory or mapped from files, from which pieces are cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from lineage.arrays import Array, BoolArray, IntArray
from lineage.detections import Detections
from lineage.graph import CandidateGraph
from lineage.program import NODE_BLOCKS, Costs, Pins

from .pieces import Piece, ordered, too_far

CHUNK = 1_000_000  # links looked at together


@dataclass(frozen=True, eq=False)
class Columns:
    """A film's columns, in memory or mapped from files; called with two frames it gives the piece between them.

    Only what a piece needs is read: where it begins is found by halving, so the columns must be sorted.

    Attributes:
        frame: Frame of every detection, never falling; int (n,).
        source, target: Ends of every link, sorted by source; int (m,).
        costs: Nats, as ``lineage.solve`` takes them; the pairs of ``divide_pair`` sorted by their first link.
        conflicts: Sets of rows of which at most one is real.
        pins: Variables to fix, {block: {row: 0 or 1}}.
    """

    frame: Array
    source: Array
    target: Array
    costs: Costs
    conflicts: Sequence[IntArray] = ()
    pins: Pins = field(default_factory=dict)

    def __post_init__(self) -> None:
        n, m = len(self.frame), len(self.source)
        if len(self.target) != m:
            raise ValueError(f"target has {len(self.target)} rows, but source has {m}")
        for name in (*NODE_BLOCKS, "link"):
            shape, size = np.shape(self.costs.get(name, 0.0)), m if name == "link" else n
            if shape not in ((), (size,)):
                raise ValueError(f"cost {name} has shape {shape}, but ({size},) is needed")
        for block, values in self.pins.items():
            size = m if block == "link" else n
            for row in values:
                if not isinstance(row, int | np.integer) or not 0 <= row < size:
                    raise ValueError(f"pin on {block} row {row!r}, but there are {size} rows")

    @classmethod
    def of(cls, graph: CandidateGraph, costs: Costs, pins: Pins | None = None) -> Columns:
        """The columns of a graph in memory, its links brought into the order of their sources."""
        graph, costs, pins = ordered(Piece(graph, costs, pins or {}))
        costs = dict(costs)
        if costs.get("divide_pair") is not None:
            one, two, cost = map(np.asarray, costs["divide_pair"])
            order = np.argsort(one, kind="stable")
            costs["divide_pair"] = (one[order], two[order], cost[order])
        return cls(graph.detections.frame, graph.source, graph.target, costs, graph.detections.conflicts, pins)

    def __call__(self, first: int, last: int) -> Piece:
        """The piece of the frames from ``first`` to ``last``, the last one excluded.

        Raises:
            ValueError: The links of these frames are not sorted by source.
        """
        a, b = np.searchsorted(self.frame, [first, last]).tolist()
        e, f = np.searchsorted(self.source, [a, b]).tolist()
        source, target = (np.asarray(column[e:f], np.int64) - a for column in (self.source, self.target))
        if len(source) and (source[0] < 0 or source[-1] >= b - a or (np.diff(source) < 0).any()):
            raise ValueError(f"the links of frames {first} to {last - 1} are not sorted by source")
        keep = target < b - a
        n = b - a
        frame = np.asarray(self.frame[a:b], np.int64) - first
        cells = Detections(frame, np.zeros((n, 2)), np.zeros(n, np.int64), conflicts=self._rivals(a, b), n_frames=last - first)
        graph = CandidateGraph(cells, source[keep], target[keep])
        return Piece(graph, self._costs((a, b), (e, f), keep), self._pins((a, b), (e, f), keep))

    def check(self, overlap: int) -> None:
        """Look at every link and conflict set, for those that no window would see.

        Raises:
            ValueError: One spans more frames than windows overlap by; it is named.
        """
        for e in range(0, len(self.source), CHUNK):
            source, target = (np.asarray(column[e : e + CHUNK], np.int64) for column in (self.source, self.target))
            dt = np.asarray(self.frame)[target] - np.asarray(self.frame)[source]
            if len(dt) and dt.max() > overlap:
                k = int(np.argmax(dt))
                i, j = int(source[k]), int(target[k])
                what = f"the link from row {i} (frame {self.frame[i]}) to row {j} (frame {self.frame[j]})"
                raise ValueError(too_far(what, int(dt[k]), overlap))
        for rows in self._sets[0]:
            i, j = int(rows[0]), int(rows[-1])
            if (span := int(self.frame[j] - self.frame[i])) > overlap:
                what = f"the conflict set of row {i} (frame {self.frame[i]}) and row {j} (frame {self.frame[j]})"
                raise ValueError(too_far(what, span, overlap))

    def _costs(self, rows: tuple[int, int], links: tuple[int, int], keep: BoolArray) -> dict[str, Any]:
        """The costs of some detections and links, of these only those that are kept."""
        number = np.cumsum(keep) - 1
        costs: dict[str, Any] = {}
        for name, column in self.costs.items():
            if name == "divide_pair":
                if column is None:
                    continue
                p, q = np.searchsorted(column[0], links).tolist()
                one, two = (np.asarray(end[p:q], np.int64) - links[0] for end in column[:2])
                if len(one) and (min(one.min(), two.min()) < 0 or max(one.max(), two.max()) >= len(keep)):
                    raise ValueError("divide_pair is not sorted by its first link, or joins links of different mothers")
                both = keep[one] & keep[two]
                costs[name] = number[one[both]], number[two[both]], np.asarray(column[2][p:q])[both]
            elif np.ndim(column) == 0:
                costs[name] = column
            else:
                costs[name] = np.asarray(column[slice(*links)])[keep] if name == "link" else np.asarray(column[slice(*rows)])
        return costs

    def _pins(self, rows: tuple[int, int], links: tuple[int, int], keep: BoolArray) -> Mapping[str, Mapping[int, int | bool]]:
        """The pins on some detections and links."""
        number = np.cumsum(keep) - 1
        pins = {}
        for block, (pinned, values) in self._pinned.items():
            a, b = links if block == "link" else rows
            at = slice(*np.searchsorted(pinned, [a, b]).tolist())
            inside = zip((pinned[at] - a).tolist(), values[at], strict=True)
            pins[block] = {int(number[row]): value for row, value in inside if keep[row]} if block == "link" else dict(inside)
        return pins

    @cached_property
    def _pinned(self) -> dict[str, tuple[IntArray, list[int | bool]]]:
        """Pinned rows of every block, rising, and to what."""
        return {block: (np.array(sorted(values), np.int64), [values[row] for row in sorted(values)]) for block, values in self.pins.items()}

    @cached_property
    def _sets(self) -> tuple[list[IntArray], IntArray, IntArray]:
        """The conflict sets, sorted, with their first and their last rows."""
        sets = [np.unique(rows) for rows in self.conflicts if len(rows)]
        return sets, np.array([rows[0] for rows in sets], np.int64), np.array([rows[-1] for rows in sets], np.int64)

    def _rivals(self, a: int, b: int) -> list[IntArray]:
        """What conflict sets hold of some rows, counted from the first."""
        sets, lowest, highest = self._sets
        cut = [sets[s][(sets[s] >= a) & (sets[s] < b)] - a for s in np.flatnonzero((lowest < b) & (highest >= a)).tolist()]
        return [rows for rows in cut if len(rows) > 1]
