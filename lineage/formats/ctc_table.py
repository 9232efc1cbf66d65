"""The text table of a Cell Tracking Challenge folder: one row a tracklet, ``L B E P``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lineage.arrays import IntArray

TABLES = ("res_track.txt", "man_track.txt")
WARNINGS = ("disconnected label", "more than two children", "one label, two cells", "one place, two cells")


@dataclass(frozen=True)
class Violation:
    """One rule that a file or folder breaks.

    Attributes:
        kind: Which rule, a few words; those of ``WARNINGS`` are warnings, all others errors.
        file: The file it is found in.
        frame: The frame, where there is one.
        row: Line of the file, from 1, where there is one.
        message: What is wrong, in one sentence.
    """

    kind: str
    file: str
    frame: int | None
    row: int | None
    message: str

    def __str__(self) -> str:
        line = f":{self.row}" if self.row is not None else ""
        frame = f" frame {self.frame}:" if self.frame is not None else ""
        return f"{self.file}{line}:{frame} {'warning: ' if self.is_warning else ''}{self.kind}: {self.message}"

    @property
    def is_warning(self) -> bool:
        """Whether the folder is usable all the same."""
        return self.kind in WARNINGS


def find_table(folder: Path) -> Path | None:
    """The text table of a folder, or None."""
    return next((folder / name for name in TABLES if (folder / name).is_file()), None)


def parse_table(path: Path) -> tuple[IntArray, IntArray, list[Violation]]:
    """The rows of a table that are four whole numbers, and what is wrong with the others.

    Args:
        path: ``res_track.txt`` or ``man_track.txt``; blank lines are skipped.

    Returns:
        table: Columns L B E P; int (k, 4).
        line: Line of each row, from 1; int (k,).
        violations: Lines that are no row.
    """
    rows: list[list[int]] = []
    lines: list[int] = []
    wrong: list[Violation] = []
    for number, text in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), start=1):
        words = text.split()
        if not words:
            continue
        try:
            row = [int(word) for word in words]
            if len(row) != 4 or max(map(abs, row)) >= 2**62:
                raise ValueError
        except ValueError:
            message = f"{text.strip()[:60]!r} is not four whole numbers L B E P"
            wrong.append(Violation("not four integers", str(path), None, number, message))
            continue
        rows.append(row)
        lines.append(number)
    return np.array(rows, np.int64).reshape(-1, 4), np.array(lines, np.int64), wrong


def check_rows(path: Path, table: IntArray, line: IntArray) -> list[Violation]:
    """Everything that a table says against itself.

    Args:
        path: Of the table, for the messages.
        table: Columns L B E P; int (k, 4).
        line: Line of each row; int (k,).
    """
    found: list[Violation] = []

    def add(kind: str, rows: IntArray, message: str) -> None:
        for k in rows.tolist():  # over broken rows only
            words = dict(zip("LBEP", table[k].tolist(), strict=True))
            found.append(Violation(kind, str(path), None, int(line[k]), message.format(**words)))

    label, begin, end, parent = table.T
    add("label out of range", np.flatnonzero((label < 1) | (label > 65535)), "label {L} is not within 1 to 65535")
    add("negative number", np.flatnonzero((begin < 0) | (end < 0)), "label {L} lives in frames {B} to {E}, but frames are counted from 0")
    add("negative number", np.flatnonzero(parent < 0), "label {L} has the parent {P}; no parent is 0")
    add("ends before it begins", np.flatnonzero(begin > end), "label {L} begins in frame {B} and ends before, in frame {E}")
    order = np.argsort(label, kind="stable")
    add("duplicate label", np.sort(order[1:][np.diff(label[order]) == 0]), "label {L} has a row already")
    add("self parent", np.flatnonzero((parent == label) & (parent > 0)), "label {L} is its own parent")
    has = np.flatnonzero((parent > 0) & (parent != label))
    place = np.searchsorted(label[order], parent[has])
    known = (place < len(label)) & (label[order][np.minimum(place, len(label) - 1)] == parent[has]) if len(label) else has == 1
    add("unknown parent", has[~known], "label {L} has the parent {P}, which has no row")
    child, mother = has[known], order[place[known]]
    late = end[mother] >= begin[child]
    for k, m in zip(child[late].tolist(), mother[late].tolist(), strict=True):
        message = f"label {label[k]} begins in frame {begin[k]}, but its parent {label[m]} ends in frame {end[m]}: parents end earlier"
        found.append(Violation("parent ends too late", str(path), None, int(line[k]), message))
    up = np.full(len(label), -1)
    up[child] = mother
    add("cyclic parent", in_cycle(up), "label {L} is an ancestor of itself")
    return found


def in_cycle(parent: IntArray) -> IntArray:
    """Rows on a cycle of a parent column: where one still is after climbing as often as there are rows; int (k,)."""
    up = np.append(parent, -1)  # the last entry is the place of no parent
    for _ in range(max(len(parent), 1).bit_length()):
        up = up[up]  # twice as many steps
    return np.unique(up[up >= 0])
