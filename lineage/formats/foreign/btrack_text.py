"""What btrack writes as text: its table of cells, and the table L B E P of tracks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lineage.arrays import Array
from lineage.forest import Forest
from lineage.formats.chains import Names, drawn, forest_of_tracks, parent_links, with_parent
from lineage.formats.csv_text import glance, header, load
from lineage.formats.table import sorted_forest

LBEP = (4, 6)  # numbers a line: with the root and the generation, or without
MOST = 1_000_000  # cells that a table of tracks may ask for: a few digits can claim any number of frames


def recognises(path: Path) -> bool:
    """Whether a file is btrack's table of cells."""
    return {"ID", "t", "x", "y", "parent", "root"} <= set(header(path)[0])


def read(path: Path, _merges: str = "refuse") -> Forest:
    """Read the cells: positions are in order x, y, z in the file; a depth of 0 throughout is none.

    btrack writes properties of its objects without naming them in the header: they become ``property_1``, ``property_2``, ...

    Raises:
        ValueError: A missing column, a number that is none, tracks that make no lineages.
    """
    names, separator = header(path)
    first = glance(path)[1:2]
    more = len(first[0].split(None if separator == " " else separator)) - len(names) if first else 0
    table = dict(load(path, separator=separator, names=[*names, *(f"property_{k + 1}" for k in range(more))]))
    depth = "z" in table and table["z"].dtype.kind in "iuf" and bool(table["z"].any())
    if not depth:
        table.pop("z", None)
    axes = ("z", "y", "x") if depth else ("y", "x")
    if "dummy" in table and table["dummy"].dtype.kind in "iuf":
        table["dummy"] = table["dummy"] != 0
    try:
        return forest_of_tracks(table, Names("ID", "t", axes, "parent", left_out={"root", "generation"}))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def recognises_lbep(path: Path) -> bool:
    """Whether a file holds nothing but lines of four (or six) whole numbers."""
    lines = [line.split() for line in glance(path) if line.strip()]
    even = bool(lines) and len(lines[0]) in LBEP and {len(line) for line in lines} == {len(lines[0])}
    return even and all(_whole(word) for line in lines for word in line)


def _whole(word: str) -> bool:
    return word.removeprefix("-").isascii() and word.removeprefix("-").isdigit()


def read_lbep(path: Path, _merges: str = "refuse") -> Forest:
    """Read the tracks of a table L B E P: a cell in every frame from B to E, labelled L, hanging on track P.

    Raises:
        ValueError: A line that is no row, tracks that make no lineages; lines are counted from 1.
    """
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
        words = line.split()
        if words and (len(words) not in LBEP or not all(map(_whole, words)) or max(map(len, words)) > 18):
            raise ValueError(f"{path}: line {number} is not L B E P: {line.strip()[:60]!r}")
        if words:
            rows.append([int(word) for word in words[:4]])
    try:
        return _of_tracks(np.array(rows, np.int64).reshape(-1, 4))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _of_tracks(table: Array) -> Forest:
    track, begin, end, above = table.T
    if (odd := np.flatnonzero((begin < 0) | (end < begin))).size:
        k = odd[0]
        raise ValueError(f"track {track[k]} goes from frame {begin[k]} to frame {end[k]}")
    if (total := sum((end - begin + 1).tolist())) > MOST:
        raise ValueError(f"its tracks have {total} cells together, more than {MOST}")
    length = end - begin + 1
    cell = np.repeat(np.arange(len(track)), length)
    frame = begin[cell] + np.arange(total) - (np.cumsum(length) - length)[cell]
    has = with_parent(track, above)
    parent = parent_links(track[cell], frame, track[has], above[has])
    nothing = np.full(total, np.nan)
    return drawn(sorted_forest(frame, np.zeros((total, 2)), track[cell], {}, parent, link_cost=nothing))
