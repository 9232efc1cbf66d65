"""Programme of a film whose stretches were weighed: read from their pieces, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lineage.arrays import Array, BoolArray, FloatArray, IntArray
from lineage.detections import Detections
from lineage.forest import Forest
from lineage.graph import CandidateGraph
from lineage.pieces import Store
from lineage.scoring.confidence import CONFIDENCE, link_confidence
from lineage.windows import Piece

from .plan import Stretch
from .weighing import NOBODY, NODES


@dataclass(frozen=True, eq=False)
class Weighed:
    """The candidate links of a film and their costs, given part by part as ``solve_windows`` wants them.

    Attributes:
        store: Where the pieces of the stretches are.
        stretches: One after another.
        count: Detections in every frame; int (T,).
        ends: Where the detections of every frame begin, and the last ones end; int (T + 1,).
    """

    store: Store
    stretches: Sequence[Stretch]
    count: IntArray
    ends: IntArray
    _kept: dict[int, dict[str, Array]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, store: Store, stretches: Sequence[Stretch], count: IntArray) -> Weighed:
        """The programme of stretches whose pieces are there."""
        return cls(store, stretches, count, np.concatenate([[0], np.cumsum(count)]))

    def __call__(self, first: int, last: int) -> Piece:
        """The part of the frames from ``first`` to ``last``, the last one excluded."""
        low, high = int(self.ends[first]), int(self.ends[last])
        inside = [k for k, stretch in enumerate(self.stretches) if stretch.first < last and stretch.last > first]
        for k in [k for k in self._kept if k < inside[0]]:
            del self._kept[k]
        nodes: dict[str, list[Array]] = {name: [] for name in ("frame", *NODES)}
        links: dict[str, list[Array]] = {name: [] for name in ("source", "target", "link")}
        pairs: dict[str, list[Array]] = {name: [] for name in ("pair_one", "pair_two", "pair")}
        conflicts: list[IntArray] = []
        n_links = 0
        for k in inside:
            piece, start = self._piece(k), int(self.ends[self.stretches[k].first])
            rows = slice(max(low - start, 0), min(high - start, len(piece["frame"])))
            for name, parts in nodes.items():
                parts.append(piece[name][rows])
            source, target = piece["source"] + start, piece["target"] + start
            keep = (source >= low) & (target < high)
            place = np.cumsum(keep) - 1 + n_links
            for name, column in (("source", source - low), ("target", target - low), ("link", piece["link"])):
                links[name].append(column[keep])
            both = keep[piece["pair_one"]] & keep[piece["pair_two"]]
            for name in ("pair_one", "pair_two"):
                pairs[name].append(place[piece[name][both]])
            pairs["pair"].append(piece["pair"][both])
            conflicts += _inside(piece, start - low, high - low)
            n_links += int(keep.sum())
        node, link, pair = map(_joined, (nodes, links, pairs))
        n = high - low
        cells = Detections(node["frame"] - first, np.zeros((n, 2)), np.zeros(n, np.int64), conflicts=conflicts, n_frames=last - first)
        costs: dict[str, Any] = {name: node[name] for name in NODES} | {"link": link["link"]}
        if self._paired:
            costs |= {"divide_pair": (pair["pair_one"], pair["pair_two"], pair["pair"]), "other_pairs": np.inf}
        return Piece(CandidateGraph(cells, link["source"], link["target"]), costs)

    def confidence(self, parent: IntArray, selected: BoolArray, overlap: int) -> FloatArray:
        """How probable each link of the film's lineages is; (n,), NaN where there is none.

        Nearly always it is as the stretch alone had it; where its lineages had to give way to those of its neighbours, it is weighed again.

        Args:
            parent: Row of the parent of every detection, or -1; int (n,).
            selected: Which detections are believed; bool (n,).
            overlap: Frames to look at beyond a stretch.
        """
        sure = np.full(len(parent), np.nan)
        for k, stretch in enumerate(self.stretches):
            start, end = int(self.ends[stretch.first]), int(self.ends[stretch.last])
            piece, now = self._piece(k), parent[start:end]
            before = np.where(piece["parent"] == NOBODY, -1, piece["parent"] + start)
            sure[start:end] = piece[CONFIDENCE]
            other = start + np.flatnonzero(before != now)
            if not len(other):
                continue
            a, b = max(0, stretch.first - overlap), min(len(self.count), stretch.last + overlap)
            low, high = int(self.ends[a]), int(self.ends[b])
            graph, costs, _ = self(a, b)
            mother = np.where(parent[low:high] >= low, parent[low:high] - low, -1)
            again = link_confidence(graph, costs, Forest(graph.detections, mother, selected[low:high]))
            sure[other] = again[other - low]
        return sure

    def _piece(self, k: int) -> dict[str, Array]:
        if k not in self._kept:
            self._kept[k] = self.store.read(self.stretches[k].name)
        return self._kept[k]

    @property
    def _paired(self) -> bool:
        """Whether divisions are decided by pairs."""
        note = self.store.note(self.stretches[0].name)
        return note is not None and bool(note.facts["pairs"])


def _inside(piece: dict[str, Array], shift: int, n: int) -> list[IntArray]:
    """The conflict sets of a stretch whose rows, moved by so many, are among the first n."""
    rivals, ends = piece["rivals"] + shift, piece["sets"]
    first = rivals[ends[:-1]] if len(ends) > 1 else np.zeros(0, np.int64)
    return [rivals[ends[k] : ends[k + 1]] for k in np.flatnonzero((first >= 0) & (first < n)).tolist()]


def _joined(table: dict[str, list[Array]]) -> dict[str, Array]:
    return {name: np.concatenate(parts) for name, parts in table.items()}
