"""Reading GraphML, ours, NetworkX's, igraph's or yEd's: one pass, nothing in the file is ever expanded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lineage.arrays import Array, FloatArray
from lineage.forest import Forest

from .graphs import REAL, TEXT, TRUTH, WHOLE, Edges, Nodes, check_size, column_of, ends, forest_of, narrowed, nodes_of, source_ids
from .header import KEY, parsed
from .table import DERIVED, said_twice
from .xml_text import parse, readable

KINDS = {**dict.fromkeys(("int", "integer", "long"), WHOLE), "float": REAL, "double": REAL, "boolean": TRUTH}
COSTS = ("link_cost", "cost")  # what edges call it


class _Key:
    """A declared attribute, and what nodes or edges say of it."""

    def __init__(self, given: dict[str, str]) -> None:
        self.name = given.get("attr.name", "")
        self.kind = KINDS.get(given.get("attr.type", "string"), TEXT)
        self.scope = given.get("for", "all")
        self.default: str | None = None
        self.described = ""
        self.said: dict[str, tuple[list[int], list[str]]] = {"node": ([], []), "edge": ([], []), "graph": ([], [])}

    def column(self, scope: str, n: int) -> Array:
        """What all n nodes or edges say."""
        rows, texts = self.said[scope]
        return narrowed(column_of(self.kind, rows, texts, n, name=self.name, default=self.default), self.described)


class _Content:
    """What the elements of a file said: keys, nodes, edges."""

    def __init__(self) -> None:
        self.keys: dict[str, _Key] = {}
        self.ids: dict[str, int] = {}
        self.edges: list[tuple[str, str]] = []
        self.directed = True
        self.scopes: list[tuple[str, int]] = []  # the graph, node or edge that is open, and its number
        self.key: _Key | None = None  # whose text is being read
        self.inside = ""  # the tag that encloses it
        self.text: list[str] = []

    def start(self, tag: str, given: dict[str, str]) -> None:
        """Take in the start of an element; the most frequent one comes first."""
        if self.inside:  # drawings of other programs
            return
        plain = tag.rpartition(":")[2] if ":" in tag else tag
        if plain == "data":
            self.key = self.keys.get(given["key"])
            self.inside = tag
        elif plain == "node":
            if given["id"] in self.ids:
                raise ValueError(f"node {given['id']} occurs twice")
            self.scopes.append((plain, len(self.ids)))
            self.ids[given["id"]] = len(self.ids)
        elif plain == "edge":
            self.scopes.append((plain, len(self.edges)))
            self.edges.append((given["source"], given["target"]))
        elif plain == "graph":
            self.scopes.append((plain, 0))
            self.directed = self.directed and given.get("edgedefault", "directed") == "directed"
        elif plain == "key":
            self.key = _Key(given)
            if self.key.name not in DERIVED:  # what follows from the links is passed over
                self.keys[given["id"]] = self.key
        elif plain in ("default", "desc") and self.key is not None:
            self.inside = tag

    def end(self, tag: str) -> None:
        """Take in the end of an element."""
        if tag == self.inside:
            said, self.text, self.inside = "".join(self.text), [], ""
            if tag.endswith("data"):
                if self.key is not None and self.scopes:
                    scope, number = self.scopes[-1]
                    rows, texts = self.key.said[scope]
                    rows.append(number)
                    texts.append(said)
                self.key = None
            elif self.key is not None and tag.endswith("default"):
                self.key.default = said
            elif self.key is not None:
                self.key.described = said
        elif self.inside:
            return
        elif (tag := tag.rpartition(":")[2]) in ("node", "edge", "graph"):
            self.scopes.pop()
        elif tag == "key":
            self.key = None

    def data(self, text: str) -> None:
        """Take in the text between tags."""
        if self.inside and self.key is not None:
            self.text.append(text)


def read(path: str | Path, *, merges: str = "refuse") -> Forest:
    """Read lineages from a GraphML file with the node data ``t`` (or ``frame``, ``time``), ``y``, ``x`` and, in 3D, ``z``.

    Edges go from parent to child; where the graph is undirected, forward in time. Nodes whose ``selected`` or ``solution`` is false are
    not selected. Tracklets, lineages and generations are worked out again; all other node data are kept.

    Args:
        path: The file.
        merges: What to do with a node that has two parents: ``refuse``, or ``keep-nearest``.

    Raises:
        FileNotFoundError: No such file.
        ValueError: No well-formed XML, a document type or entities (refused), missing data, edges that make no lineages.
    """
    nodes, edges = parts(Path(path))
    with readable(Path(path), "GraphML"):
        return said_twice(forest_of(nodes, edges, merges=merges))


def parts(path: Path) -> tuple[Nodes, Edges]:
    """The nodes and edges of a file, whether or not they make lineages; errors as from ``read``."""
    content = _Content()
    with readable(path, "GraphML"):
        parse(path, content.start, content.end, content.data)
        return _parts(content)


def _parts(content: _Content) -> tuple[Nodes, Edges]:
    n = len(content.ids)
    named = [key for key in content.keys.values() if key.name]
    nodes = [key for key in named if key.scope in ("node", "all") and (key.scope == "node" or key.said["node"][0])]
    check_size(n, len(nodes), sum(len(key.said["node"][0]) for key in nodes))
    names = list(content.ids)
    columns = source_ids(names) | {key.name: key.column("node", n) for key in nodes}
    cost = columns.pop("link_cost", np.full(n, np.nan))
    source, target = ends(content.edges, content.ids)
    links = Edges(source, target, _costs(named, len(source), cost[target]), names.__getitem__, content.directed)
    return nodes_of(columns, n, _header(named)), links


def _costs(keys: list[_Key], m: int, other: Array) -> FloatArray:
    """Costs of the edges; where no edge says, what the child says of its link."""
    found = next((key for name in COSTS for key in keys if key.name == name and key.said["edge"][0] and key.kind in (WHOLE, REAL)), None)
    column = found.column("edge", m) if found else other
    return column.astype(float) if column.dtype.kind in "iuf" else np.full(m, np.nan)


def _header(keys: list[_Key]) -> dict[str, Any]:
    said = [text for key in keys if key.name == KEY for text in key.said["graph"][1]]
    return parsed(said[0]) if said else {}
