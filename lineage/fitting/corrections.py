"""Corrections: links that somebody looked at and confirmed or rejected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lineage.arrays import BoolArray, IntArray
from lineage.detections import Detections
from lineage.forest import Forest
from lineage.formats.csv_text import load
from lineage.graph import CandidateGraph

BY_ID = ("source", "target")
BY_LABEL = ("source_t", "source_label", "target_t", "target_label")
WORDS = {"1": True, "true": True, "yes": True, "confirmed": True, "0": False, "false": False, "no": False, "rejected": False}


@dataclass(frozen=True, eq=False)
class Corrections:
    """Links between detections that are known to be right or wrong; k of them.

    Attributes:
        source, target: Rows of the detections that each link joins; int (k,).
        right: Whether the link is true; bool (k,).
    """

    source: IntArray
    target: IntArray
    right: BoolArray

    def __post_init__(self) -> None:
        columns = (np.asarray(self.source, np.int64), np.asarray(self.target, np.int64), np.asarray(self.right, bool))
        for name, column in zip(("source", "target", "right"), columns, strict=True):
            object.__setattr__(self, name, column)
        if any(column.shape != (len(columns[0]),) for column in columns):
            raise ValueError(f"corrections must be columns of one length, not {', '.join(str(column.shape) for column in columns)}")
        pairs = np.stack(columns[:2], axis=1)
        known, where, count = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
        right = np.bincount(where.ravel(), weights=self.right, minlength=len(known))
        if (torn := np.flatnonzero((right > 0) & (right < count))).size:
            a, b = known[torn[0]]
            raise ValueError(f"the link {a} -> {b} is both confirmed and rejected")
        parents = known[right == count]
        order = np.argsort(parents[:, 1], kind="stable")
        if (twice := np.flatnonzero(np.diff(parents[order, 1]) == 0)).size:
            (one, child), (two, _) = parents[order][twice[0] : twice[0] + 2].tolist()
            raise ValueError(f"two parents of the cell {child} are confirmed, {one} and {two}: keep one")
        mothers, children = np.unique(parents[:, 0], return_counts=True)
        if (many := np.flatnonzero(children > 2)).size:
            raise ValueError(f"{children[many[0]]} daughters of the cell {mothers[many[0]]} are confirmed: a cell has at most two")

    def __len__(self) -> int:
        return len(self.right)

    def among(self, graph: CandidateGraph) -> tuple[IntArray, BoolArray]:
        """The candidate link that each correction is about, -1 for none, int (k,); and whether it is there at all, bool (k,)."""
        n = max(len(graph.detections), 1)
        key = graph.source * n + graph.target
        order = np.argsort(key, kind="stable")
        wanted = self.source * n + self.target
        at = np.minimum(np.searchsorted(key[order], wanted), max(len(key) - 1, 0))
        there = key[order][at] == wanted if len(key) else np.zeros(len(self), bool)
        return np.where(there, order[at] if len(key) else -1, -1), there


def read_corrections(path: str | Path, forest: Forest) -> Corrections:
    """Read a table of confirmed and rejected links.

    Columns: ``source`` and ``target``, the ids that the cells have in ``lineages.csv``; or ``source_t``, ``source_label``, ``target_t``
    and ``target_label``, frame and pixel value in the label film. And ``right``: 1, true, yes or confirmed; 0, false, no or rejected.

    Args:
        path: CSV file, plain or gzipped.
        forest: The lineages that were looked at.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A column is missing, a cell is unknown, a verdict is none of the words, a link goes backwards; rows are counted from 0.
    """
    try:
        return of_table(load(path, as_text=("right",)), forest)
    except ValueError as error:
        raise ValueError(f"{path}: {error}" if not str(error).startswith(str(path)) else str(error)) from None


def of_table(table: Mapping[str, Any], forest: Forest) -> Corrections:
    """Corrections from columns named as in ``read_corrections``.

    Args:
        table: Columns, such as a pandas data frame.
        forest: The lineages that were looked at.

    Raises:
        ValueError: As ``read_corrections``.
    """
    if not hasattr(table, "keys"):
        raise ValueError(f"corrections must be a table with the columns {', '.join(BY_ID)}, right, not {type(table).__name__}")
    names = list(table)
    if "right" not in names or not (set(BY_ID) <= set(names) or set(BY_LABEL) <= set(names)):
        either = f"{', '.join(BY_ID)}, right or {', '.join(BY_LABEL)}, right"
        raise ValueError(f"corrections need the columns {either}; there are {', '.join(names) or 'none'}")
    cells = forest.detections
    if set(BY_ID) <= set(names):
        ids = np.flatnonzero(forest.selected) if "source_id" not in cells.columns else cells.columns["source_id"]
        ends = [_rows_of_ids(np.asarray(table[name]), ids, forest, name) for name in BY_ID]
    else:
        ends = [_rows_of_labels(np.asarray(table[f"{end}_t"]), np.asarray(table[f"{end}_label"]), cells, end) for end in BY_ID]
    source, target = ends
    if (back := np.flatnonzero(cells.frame[source] >= cells.frame[target])).size:
        k = int(back[0])
        raise ValueError(f"row {k}: the link does not go forward in time: frame {cells.frame[source[k]]} -> {cells.frame[target[k]]}")
    return Corrections(source, target, _verdicts(np.asarray(table["right"])))


def _rows_of_ids(given: Any, ids: IntArray, forest: Forest, name: str) -> IntArray:  # noqa: ANN401 - whatever the table holds
    """Rows of the detections with these ids; ids are those of ``lineages.csv``: rows, or the column ``source_id``."""
    if not len(given):
        return np.zeros(0, np.int64)
    if np.asarray(given).dtype.kind not in "iuf":
        raise ValueError(f"{name} must be numbers of cells, but holds {next(text for text in given if not str(text).isdigit())!r}")
    rows = np.arange(len(forest)) if len(ids) == len(forest) else ids
    order = np.argsort(ids, kind="stable")
    at = np.minimum(np.searchsorted(ids[order], given), max(len(ids) - 1, 0))
    if len(ids) == 0 or (unknown := np.flatnonzero(ids[order][at] != given)).size:
        k = int(unknown[0]) if len(ids) else 0
        raise ValueError(f"row {k}: {name} {given[k]} is the id of no cell")
    return rows[order][at]


def _rows_of_labels(frames: Any, labels: Any, cells: Detections, end: str) -> IntArray:  # noqa: ANN401 - whatever the table holds
    """Rows of the detections with these labels in these frames."""
    known = {(int(t), int(value)): row for row, (t, value) in enumerate(zip(cells.frame, cells.label, strict=True))}
    rows = np.array([known.get((int(t), int(value)), -1) for t, value in zip(frames, labels, strict=True)], np.int64)  # a few hundred
    if (unknown := np.flatnonzero(rows < 0)).size:
        k = int(unknown[0])
        raise ValueError(f"row {k}: there is no cell with label {labels[k]} in frame {frames[k]} ({end})")
    return rows


def _verdicts(given: Any) -> BoolArray:  # noqa: ANN401 - whatever the table holds
    """Words as truth values."""
    words = [str(value).strip().lower().removesuffix(".0") for value in given]
    for k, word in enumerate(words):
        if word not in WORDS:
            raise ValueError(f"row {k}: right is {given[k]!r}: give 1, true, yes or confirmed, or 0, false, no or rejected")
    return np.array([WORDS[word] for word in words], bool)
