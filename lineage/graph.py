"""CandidateGraph: every link that might be true, before any is believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from .arrays import Array, IntArray
from .detections import Detections


@dataclass(frozen=True, eq=False)
class CandidateGraph:
    """Possible links between detections: edge k says that source[k] may become target[k].

    Attributes:
        detections: The nodes; n rows.
        source, target: Row numbers into ``detections``; int (m,). Always forward in time, no pair twice.
        columns: Facts about the edges (distance, iou, ...), each an array of m rows.
    """

    detections: Detections
    source: IntArray
    target: IntArray
    columns: Mapping[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("source", "target"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.int64).ravel())
        object.__setattr__(self, "columns", {name: np.asarray(column) for name, column in self.columns.items()})
        for name, column in {"target": self.target, **self.columns}.items():
            if len(column) != len(self.source):
                raise ValueError(f"{name} has {len(column)} rows, but there are {len(self.source)} edges")
        self._check_ends()

    def _check_ends(self) -> None:
        n, frame = len(self.detections), self.detections.frame
        for name, end in (("source", self.source), ("target", self.target)):
            outside = np.flatnonzero((end < 0) | (end >= n))
            if outside.size:
                raise ValueError(f"edge {outside[0]} has {name} {end[outside[0]]}, but there are {n} detections")
        back = np.flatnonzero(frame[self.source] >= frame[self.target])
        if back.size:
            k = int(back[0])
            i, j = int(self.source[k]), int(self.target[k])
            raise ValueError(f"edge {k} does not go forward in time: row {i} (frame {frame[i]}) -> row {j} (frame {frame[j]})")
        key = self.source * max(n, 1) + self.target
        order = np.argsort(key, kind="stable")
        twice = np.flatnonzero(np.diff(key[order]) == 0)
        if twice.size:
            a, b = sorted(order[twice[0] : twice[0] + 2].tolist())
            raise ValueError(f"edges {a} and {b} are the same: row {self.source[a]} -> row {self.target[a]}")

    def __len__(self) -> int:
        return len(self.source)

    @property
    def dt(self) -> IntArray:
        """Frames from source to target; int (m,), 1 unless the edge bridges a gap."""
        return self.detections.frame[self.target] - self.detections.frame[self.source]

    def with_columns(self, **columns: Array) -> CandidateGraph:
        """A graph that shares everything with this one and knows more."""
        return replace(self, columns={**self.columns, **columns})

    def keep(self, edges: Array) -> CandidateGraph:
        """The graph of some of the edges, given by mask or rows."""
        columns = {name: column[edges] for name, column in self.columns.items()}
        return replace(self, source=self.source[edges], target=self.target[edges], columns=columns)
