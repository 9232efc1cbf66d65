"""Weighing: the candidate links of one stretch and what they cost, kept as one piece."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lineage import __version__
from lineage.arrays import Array, IntArray
from lineage.linking import candidate_graph, link_graph, linked
from lineage.pieces import Note, Store, digest, digest_of_weights
from lineage.scoring.confidence import CONFIDENCE
from lineage.settings import Settings

from .cells import Cells
from .plan import Stretch

NOBODY = np.iinfo(np.int64).min  # the parent of a cell that has none, where parents are counted from the first cell of the stretch
NODES = ("appear", "disappear", "divide", "select")
_LEARNED = Path(__file__).parent.parent / "learn" / "weights"  # not asked of the package itself, which loads torch
# settings that say nothing about the links of a stretch
_ELSEWHERE = ("segment", "hypotheses", "denoise", "channel", "axes", "holes", "threads", "window")


@dataclass(frozen=True)
class Weighing:
    """The task of one stretch.

    Attributes:
        cells: The cells of the film.
        stretch: Which frames.
        whole: Whether these are all frames of the film, so that its lineages can be said at once.
        settings: What to change of the defaults.
        store: Where the piece goes.
    """

    cells: Cells
    stretch: Stretch
    whole: bool
    settings: Settings
    store: Store

    def __str__(self) -> str:
        return f"the links of frames {self.stretch.first} to {self.stretch.last - 1}"

    @property
    def key(self) -> str:
        """Digest of all that the piece depends on."""
        plain = {name: value for name, value in asdict(self.settings).items() if name not in _ELSEWHERE}
        stretch, seen = asdict(self.stretch), self.cells.digest(self.stretch.before, self.stretch.after)
        return digest(__version__, plain, digest_of_weights(_LEARNED, self.settings.edges), stretch, self.whole, seen)


def weigh(task: Weighing) -> Note:
    """Make sure that the piece of a stretch is there; says what it is.

    It has, of the n detections of the stretch, ``frame``, the costs of ``NODES`` and ``link_confidence``, and ``parent``, all (n,), as the
    stretch alone would have them; of the m links that leave them ``source``, ``target`` and ``link``; and of p pairs of links
    ``pair_one``, ``pair_two`` and ``pair``; and of s conflict sets ``rivals``, one set after another, and ``sets``, (s + 1,), where each
    begins and the last ends. Rows are counted from the first detection of the stretch. A film in one piece has
    ``parent``, ``selected``, ``link_cost`` and ``link_confidence`` instead.
    """
    key = task.key
    if (known := task.store.known(task.stretch.name, key)) is not None:
        return known
    part = task.cells.part(task.stretch.before, task.stretch.after)
    settings = replace(task.settings, window=None)
    graph = candidate_graph(part.detections, part.labels, settings, image=part.image)
    columns, facts = _whole(graph, settings) if task.whole else _stretch(graph, settings, task.stretch)
    return task.store.write(task.stretch.name, key, columns, facts)


def _whole(graph: Any, settings: Settings) -> tuple[Mapping[str, Array], dict[str, Any]]:  # noqa: ANN401 - a CandidateGraph
    """The lineages of a film that is one stretch."""
    forest = link_graph(graph, settings)
    assert forest.certificate is not None
    columns = {"parent": forest.parent, "selected": forest.selected, "link_cost": forest.link_cost}
    columns[CONFIDENCE] = forest.detections.columns[CONFIDENCE]
    return columns, {"certificate": asdict(forest.certificate), "record": dict(forest.record)}


def _stretch(graph: Any, settings: Settings, stretch: Stretch) -> tuple[Mapping[str, Array], dict[str, Any]]:  # noqa: ANN401
    """What one of several stretches says of its own detections."""
    found = linked(graph, settings)
    frame = graph.detections.frame + stretch.before
    low, high = np.searchsorted(frame, [stretch.first, stretch.last]).tolist()
    links, costs = found.worthwhile
    own = (links.source >= low) & (links.source < high)
    order = np.flatnonzero(own)
    order = order[np.lexsort((links.target[order], links.source[order]))]
    place = np.full(len(links), -1)
    place[order] = np.arange(len(order))
    columns = {"frame": frame[low:high], **{name: _column(costs[name], len(frame))[low:high] for name in NODES}}
    columns |= {"source": links.source[order] - low, "target": links.target[order] - low, "link": costs["link"][order]}
    one, two, pair = costs["divide_pair"] if costs.get("divide_pair") is not None else (np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    keep = np.flatnonzero(own[one] & (pair < np.inf))
    keep = keep[np.argsort(place[one[keep]], kind="stable")]
    columns |= {"pair_one": place[one[keep]], "pair_two": place[two[keep]], "pair": pair[keep]}
    columns |= _sets(graph.detections.conflicts, low, high)
    parent = found.forest.parent[low:high]
    columns["parent"] = np.where(parent >= 0, parent - low, NOBODY)
    columns[CONFIDENCE] = found.forest.detections.columns[CONFIDENCE][low:high]
    return columns, {
        "record": dict(found.forest.record) | {"frames": [stretch.first, stretch.last]},
        "pairs": costs.get("divide_pair") is not None,
    }


def _sets(conflicts: Sequence[IntArray], low: int, high: int) -> dict[str, Array]:
    """The conflict sets of the rows from ``low`` to ``high``, counted from the first; none reaches beyond its frame."""
    own = [rows - low for rows in conflicts if len(rows) and low <= rows[0] < high]
    return {"rivals": np.concatenate([np.zeros(0, np.int64), *own]), "sets": np.cumsum([0, *map(len, own)])}


def _column(cost: Any, n: int) -> Array:  # noqa: ANN401 - a number or a column
    return np.broadcast_to(np.asarray(cost, float), (n,))
