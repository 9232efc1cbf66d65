"""Reading Newick back, ours and other tools': one pass, without recursion."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lineage.arrays import IntArray
from lineage.forest import Forest
from lineage.measure import AXES

from .chains import drawn
from .table import sorted_forest

TOKEN = re.compile(r"\s+|(?P<comment>\[[^\]]*\])|'(?P<quoted>(?:[^']|'')*)'|(?P<mark>[(),:;])|(?P<word>[^\s()\[\]',:;]+)")
MOST = 1_000_000  # cells that branch lengths alone may ask for: a few letters can claim any number of frames


@dataclass
class _Node:
    """A cell as the text says it: its mother, what it is called, its branch length and its comment."""

    mother: int = -1
    name: str = ""
    length: str = ""
    comment: str = ""
    place: int = 0


@dataclass
class _Reading:
    """Where the reading stands: nodes so far, and the brackets that are open, each with the nodes that stand in it."""

    nodes: list[_Node] = field(default_factory=list)
    open: list[list[int]] = field(default_factory=lambda: [[]])
    fresh: bool = True  # a node may begin here
    after_colon: bool = False


def read(path: str | Path) -> Forest:
    """Read trees: ours with all their detections, others' with a cell in every frame of a branch.

    In a tree without our comments, branch lengths are frames (1 where there is none), every tree begins in frame 0, cells that have a
    name carry it in the column ``name``, and positions are drawn: y is the frame, x the place among the leaves; the record says so.

    Raises:
        FileNotFoundError: No such file.
        ValueError: No trees, brackets that do not match, branch lengths that are no whole numbers; the message names the place.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        nodes = _parse(path.read_text(encoding="utf-8-sig"))
        with_comment = [node.comment.startswith("[&&NHX:frames=") for node in nodes]
        if all(with_comment):
            return _ours(nodes)
        if any(with_comment):
            raise ValueError(f"node {nodes[with_comment.index(False)].name!r} has no comment with frames, but others have")
        return _plain(nodes)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{path} is no readable Newick: {' '.join(str(error).split())}") from error


def _parse(text: str) -> list[_Node]:
    """The nodes of all trees; mothers stand after their daughters, as in the text."""
    state, place = _Reading(), 0
    while place < len(text):
        found = TOKEN.match(text, place)
        if not found:
            raise ValueError(f"{text[place]!r} at character {place} begins nothing that ends")
        kind = found.lastgroup
        if kind == "mark":
            _mark(state, found["mark"], place)
        elif kind is not None:
            _word(state, kind, found[kind], place)
        place = found.end()
    if len(state.open) > 1 or state.open[0]:
        raise ValueError("the text ends inside a tree: a bracket or a semicolon is missing")
    return state.nodes


def _mark(state: _Reading, mark: str, place: int) -> None:
    if mark == ":":
        state.after_colon = True
        _here(state, place)
        return
    state.after_colon = False
    if mark == "(":
        if not state.fresh:
            raise ValueError(f"a bracket opens at character {place} where a comma or the end of a tree is due")
        state.open.append([])
        return
    if not (mark == ";" and state.fresh and not state.open[-1]):  # an empty statement is harmless
        _here(state, place)
    if mark == ",":
        if len(state.open) == 1:
            raise ValueError(f"there is a comma outside of brackets at character {place}")
        state.fresh = True
    elif mark == ")":
        if len(state.open) == 1:
            raise ValueError(f"a bracket closes at character {place} that was never opened")
        daughters = state.open.pop()
        state.fresh = True
        mother = _here(state, place)
        for k in daughters:
            state.nodes[k].mother = mother
    else:
        if len(state.open) > 1:
            raise ValueError(f"a tree ends at character {place} while {len(state.open) - 1} of its brackets are open")
        state.open[0].clear()
        state.fresh = True


def _here(state: _Reading, place: int) -> int:
    """The node that is being read; a new one where one may begin."""
    if state.fresh:
        state.nodes.append(_Node(place=place))
        state.open[-1].append(len(state.nodes) - 1)
        state.fresh = False
    return state.open[-1][-1]


def _word(state: _Reading, kind: str, word: str, place: int) -> None:
    if kind == "comment" and state.fresh:
        return  # before a node: a remark on the file, such as [&R]
    node = state.nodes[_here(state, place)]
    if kind == "comment":
        node.comment = node.comment or word
    elif state.after_colon:
        if node.length:
            raise ValueError(f"a second branch length, {word}, at character {place}")
        node.length = word
    elif node.name:
        raise ValueError(f"a second name, {word!r}, at character {place}")
    else:
        node.name = word.replace("''", "'")


def _ours(nodes: list[_Node]) -> Forest:
    """The forest of trees whose nodes say all of their detections."""
    facts = [dict(part.partition("=")[::2] for part in node.comment[7:-1].split(":")) for node in nodes]
    axes = AXES[3 if facts and "z" in facts[0] else 2]
    columns: dict[str, list[str]] = {name: [] for name in ("frames", "row", "label", *axes)}
    counts = []
    for node, said in zip(nodes, facts, strict=True):  # over cells: text becomes columns
        counts.append(said["frames"].count("|") + 1)
        for name, column in columns.items():
            values = said.get(name, "").split("|")
            if len(values) != counts[-1]:
                raise ValueError(f"node {node.name!r} has {counts[-1]} frames, but {len(values)} values of {name}")
            column += values
    frame = np.array([int(word) for word in columns["frames"]], np.int64)
    position = np.column_stack([np.array(columns[axis], float) for axis in axes]).reshape(-1, len(axes))
    label, row = (np.array([int(word) for word in columns[name]], np.int64) for name in ("label", "row"))
    parent = _chained(nodes, np.array(counts, np.int64), frame)
    order = np.argsort(row, kind="stable")  # as the detections stood before they were written
    rank = np.full(len(order) + 1, -1)
    rank[order] = np.arange(len(order))
    costs = np.full(len(order), np.nan)
    return sorted_forest(frame[order], position[order], label[order], {}, rank[parent[order]], link_cost=costs)


def _chained(nodes: list[_Node], counts: IntArray, frame: IntArray) -> IntArray:
    """Parents of detections that stand cell by cell: the one before, and at a birth the last one of the mother."""
    ends = np.cumsum(counts)
    first = ends - counts
    parent = np.arange(len(frame)) - 1
    mother = np.array([node.mother for node in nodes], np.int64)
    parent[first] = np.where(mother < 0, -1, ends[mother] - 1)
    child = np.flatnonzero(parent >= 0)
    back = child[frame[parent[child]] >= frame[child]]
    if back.size:
        row = int(back[0])
        name = nodes[int(np.searchsorted(ends, row, side="right"))].name
        raise ValueError(f"node {name!r} has frame {frame[row]} after frame {frame[parent[row]]}: time goes forward")
    return parent


def _plain(nodes: list[_Node]) -> Forest:
    """The forest of trees that say only how long branches are: a cell in every frame."""
    length = np.array([_frames(node) for node in nodes], np.int64)
    if (total := int(length.sum())) > MOST:
        raise ValueError(f"its branches are {total} frames long together, more than {MOST}: give them in frames")
    end = np.zeros(len(nodes) + 1, np.int64)
    for k in reversed(range(len(nodes))):  # mothers stand after their daughters
        end[k] = length[k] + end[nodes[k].mother]
    cell = np.repeat(np.arange(len(nodes)), length)
    first = np.cumsum(length) - length
    frame = end[cell] - length[cell] + np.arange(total) - first[cell]
    parent = _chained(nodes, length, frame)
    named = {"name": np.array([node.name for node in nodes], dtype=np.str_)[cell]} if any(node.name for node in nodes) else {}
    zeros = np.zeros(total, np.int64)
    return drawn(sorted_forest(frame, np.zeros((total, 2)), zeros, named, parent, link_cost=np.full(total, np.nan)))


def _frames(node: _Node) -> int:
    if not node.length:
        return 1
    try:
        length = float(node.length)
    except ValueError:
        raise ValueError(f"the branch length {node.length!r} of node {node.name!r} is no number") from None
    if length != length // 1 or length < 1:
        raise ValueError(f"the branch length {node.length} of node {node.name!r} is no whole number of frames, 1 or more")
    if length > MOST:
        raise ValueError(f"the branch of node {node.name!r} is {node.length} frames long, more than {MOST}")
    return int(length)
