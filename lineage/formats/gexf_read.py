"""Reading GEXF back: one pass, nothing in the file is ever expanded."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lineage.forest import Forest

from .gexf import DESCRIPTION, recognises, untitled
from .graphs import REAL, TEXT, TRUTH, WHOLE, Edges, Nodes, check_size, column_of, ends, forest_of, nodes_of
from .header import parsed
from .table import DERIVED, said_twice
from .xml_text import parse, readable

__all__ = ["read", "recognises"]

KINDS = {
    **dict.fromkeys(("integer", "long", "short", "byte", "biginteger"), WHOLE),
    **dict.fromkeys(("double", "float", "bigdecimal"), REAL),
    "boolean": TRUTH,
}


class _Content:
    """What the elements of a file said: nodes, their attributes, edges."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}
        self.start: list[str | None] = []
        self.types: dict[str, tuple[str, str]] = {}
        self.values: dict[str, tuple[list[int], list[str]]] = {}  # by attribute: nodes and what they say
        self.edges: list[tuple[str, str]] = []
        self.scope = ""
        self.description: list[str] = []

    def element(self, tag: str, given: dict[str, str]) -> None:
        """Take in the start of an element; called once for every element of the file, so the most frequent one comes first."""
        if tag == "attvalue":
            if self.scope == "node":
                rows, texts = self.values.get(given["for"]) or self.values.setdefault(given["for"], ([], []))
                rows.append(len(self.start) - 1)
                texts.append(given["value"])
        elif tag == "node":
            self.scope = "node"
            if given["id"] in self.ids:
                raise ValueError(f"node {given['id']} occurs twice")
            self.ids[given["id"]] = len(self.start)
            self.start.append(given.get("start"))
        elif tag == "edge":
            self.scope = "edge"
            self.edges.append((given["source"], given["target"]))
        elif tag == "attributes":
            self.scope = given.get("class", "")
        elif tag == "attribute" and self.scope == "node":
            self.types[given["id"]] = (given["title"], given["type"])
        elif tag == "description":
            self.scope = tag

    def text(self, text: str) -> None:
        """Take in the text between tags."""
        if self.scope == "description":
            self.description.append(text)


def read(path: str | Path, *, merges: str = "refuse") -> Forest:
    """Read lineages from a GEXF file, ours or another with the node attributes ``t`` (or ``start``), ``y``, ``x`` and, in 3D, ``z``.

    Edges go from parent to child. Tracklets, lineages and generations are worked out again; all other node attributes are kept.

    Args:
        path: The file.
        merges: What to do with a node that has two parents: ``refuse``, or ``keep-nearest``.

    Raises:
        FileNotFoundError: No such file.
        ValueError: No well-formed XML, a document type or entities (refused), missing attributes, a node with two parents.
    """
    nodes, edges = parts(Path(path))
    with readable(Path(path), "GEXF"):
        return said_twice(forest_of(nodes, edges, merges=merges))


def parts(path: Path) -> tuple[Nodes, Edges]:
    """The nodes and edges of a file, whether or not they make lineages; errors as from ``read``."""
    content = _Content()
    with readable(path, "GEXF"):
        parse(path, content.element, None, content.text)
        return _parts(content)


def _parts(content: _Content) -> tuple[Nodes, Edges]:
    n = len(content.start)
    check_size(n, len(content.types), sum(len(rows) for rows, _ in content.values.values()))
    columns = {
        untitled(text): column_of(KINDS.get(kind, TEXT), *content.values.get(key, ([], [])), n, name=text)
        for key, (text, kind) in content.types.items()
        if untitled(text) not in DERIVED
    }
    if "t" not in columns and all(start is not None for start in content.start):
        columns["t"] = np.array([float(start or 0) for start in content.start])
    cost = columns.pop("link_cost", np.full(n, np.nan)).astype(float)
    source, target = ends(content.edges, content.ids)
    names = list(content.ids)
    said = "".join(content.description)
    header = parsed(said.removeprefix(DESCRIPTION)) if said.startswith(DESCRIPTION) else {}
    return nodes_of(columns, n, header, marked=not header), Edges(source, target, cost[target], names.__getitem__)
