"""Newick, the format of tree viewers: one tree a lineage, one line each, a node a cell from its birth to its division or end.

A node is called ``c`` and a number; its branch length is the number of frames from the end of its mother (for a root: from the frame
before its first) to its own end, so that leaves stand where they are last seen. A comment in the style of NHX, ``[&&NHX:...]``,
carries what the tree cannot: ``frames``, ``row`` (which detection of all), ``label`` and the positions ``z``, ``y``, ``x`` (physical
units) of every detection of the cell, separated by ``|``, and with the frames the gaps. Readers that know no comments skip them.
Not in Newick: everything measured, costs, detections that were not selected, scale and interval.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lineage.arrays import Array, IntArray
from lineage.films.atomic import new_file
from lineage.forest import Forest

from .csv_text import glance

HOLDS = frozenset({"divisions", "gaps", "isolated", "positions", "labels"})


def write(forest: Forest, path: str | Path) -> None:
    """Write one tree a lineage.

    Args:
        forest: Lineages; only selected detections are written.
        path: The file; it appears when it is complete.
    """
    with new_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(_trees(forest))


def recognises(path: Path) -> bool:
    """Whether a text begins as a tree in Newick does: with brackets or a name, and our comment or a closing semicolon."""
    lines = [line.strip() for line in glance(path)]
    first = next((line for line in lines if line), "")
    return first.startswith("(") or ("[&&NHX:frames=" in first and first.endswith(";"))


def cells_of(forest: Forest) -> IntArray:
    """Number of each detection's cell, from 0 in the order of birth; gaps are bridged; int (n,), -1 when not selected."""
    starts = forest.selected & ((forest.parent < 0) | (forest.n_children[forest.parent] >= 2))
    cell = np.where(starts, np.cumsum(starts) - 1, -1)
    follows = forest.selected & ~starts
    cuts = np.flatnonzero(np.diff(forest.detections.frame)) + 1
    for rows in np.split(np.arange(len(forest)), cuts):  # parents lie in earlier frames, so they have their number
        rows = rows[follows[rows]]
        cell[rows] = cell[forest.parent[rows]]
    return cell


def _trees(forest: Forest) -> Iterator[str]:
    """The text, in pieces: depth first without recursion, for lineages may be deep."""
    cell = cells_of(forest)
    rows = np.flatnonzero(cell >= 0)
    rows = rows[np.argsort(cell[rows], kind="stable")]  # cell by cell, each in the order of time
    first = np.searchsorted(cell[rows], np.arange(int(cell.max(initial=-1)) + 2))
    comment = _comments(forest, rows, first)
    birth = forest.parent[rows[first[:-1]]]
    end = forest.detections.frame[rows[first[1:] - 1]]
    before = np.where(birth < 0, forest.detections.frame[rows[first[:-1]]] - 1, forest.detections.frame[birth])
    node = [f"c{k + 1}:{length}{text}" for k, (length, text) in enumerate(zip((end - before).tolist(), comment, strict=True))]
    mother = np.where(birth < 0, -1, cell[birth])
    children: list[list[int]] = [[] for _ in node]
    for k in np.flatnonzero(mother >= 0).tolist():  # over cells: a tree as text is written node by node
        children[mother[k]].append(k)
    for root in np.flatnonzero(mother < 0).tolist():
        yield from _tree(root, children, node)
        yield ";\n"


def _tree(root: int, children: list[list[int]], node: list[str]) -> Iterator[str]:
    ahead: list[int | str] = [root]
    while ahead:
        step = ahead.pop()
        if isinstance(step, str):
            yield step
            continue
        ahead.append(node[step])
        if below := children[step]:
            ahead.append(")")
            for k, child in enumerate(reversed(below)):
                ahead += [",", child] if k else [child]
            ahead.append("(")


def _comments(forest: Forest, rows: IntArray, first: IntArray) -> list[str]:
    """Per cell, what the tree cannot carry; rows stand cell by cell, and cell k has those from first[k] to first[k + 1]."""
    cells = forest.detections
    number = np.cumsum(forest.selected) - 1
    columns: dict[str, Array] = {"frames": cells.frame, "row": number, "label": cells.label}
    columns |= {axis: cells.position[:, a] for a, axis in enumerate(cells.axes)}
    parts = []
    for name, column in columns.items():
        words = list(map(repr, column[rows].tolist()))
        parts.append([f":{name}={'|'.join(words[a:b])}" for a, b in zip(first[:-1].tolist(), first[1:].tolist(), strict=True)])
    return [f"[&&NHX{''.join(part)}]" for part in zip(*parts, strict=True)]
