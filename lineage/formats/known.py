"""The formats that are known, and which of them a path means: by content where the ending of the name leaves a choice."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lineage.forest import Forest

from . import (
    arrays,
    btrack_h5,
    ctc,
    foreign,
    geff,
    geff_read,
    gexf,
    gexf_read,
    graphml,
    graphml_read,
    intracktive,
    mastodon,
    mastodon_graph,
    mastodon_project,
    napari_csv,
    newick,
    newick_read,
    parquet,
    table,
    trackmate,
    trackmate_read,
    web_json,
)
from .ctc_table import TABLES
from .graphs import Edges, Nodes
from .holding import FACETS, OURS, Loss, text_like_numbers

LONGEST = 600  # letters of a message
CSV = (".csv", ".csv.gz")


def _keeps_none(_name: str, _n_axes: int) -> bool:
    return False


def _one_of(*names: str, spaces: bool = False, free_z: bool = False) -> Callable[[str, int], bool]:
    """A function that knows some names, and those with spaces around them; ``z`` may be free in 2D."""
    return lambda name, n_axes: (name in names and not (free_z and (name, n_axes) == ("z", 2))) or (spaces and name != name.strip())


@dataclass(frozen=True)
class Format:
    """A file format of lineages.

    Attributes:
        key: One word for it, as ``format=`` and the command line take it.
        name: What it is called.
        endings: Of the file names; none for a folder. The first format with an ending is the one that is written.
        read: Path -> Forest.
        write: Forest, path -> file; None where we only read.
        recognises: Whether the content of a path looks like it; quick, and never raising.
        holds: What comes back of what is written, words of ``holding.FACETS``.
        instead: By facet, what becomes of things that it does not hold, where that is not the usual.
        folder: Whether it is a folder, not a file.
        look: Finds what this forest loses beyond the kinds of things that the format never holds.
        parts: Path -> its nodes and edges, whether or not they make lineages, where it is a graph.
        keeps: Whether a name of a column is one that the format keeps for itself, so that no measured column can be called so; takes
            the name and the number of spatial axes.
    """

    key: str
    name: str
    endings: tuple[str, ...]
    read: Callable[..., Forest]
    write: Callable[..., None] | None
    recognises: Callable[[Path], bool]
    holds: frozenset[str]
    instead: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    folder: bool = False
    look: Callable[[Forest], list[Loss]] | None = None
    parts: Callable[[Path], tuple[Nodes, Edges]] | None = None
    keeps: Callable[[str, int], bool] = _keeps_none

    @property
    def masks(self) -> bool:
        """Whether it holds label images."""
        return "masks" in self.holds

    @property
    def draws(self) -> bool:
        """Whether it writes something of label images that are given to it: the images, outlines, or where they lie."""
        return self.write is not None and bool({"labels", "labels_path"} & inspect.signature(self.write).parameters.keys())

    def load(self, path: str | Path, **options: Any) -> Forest:  # noqa: ANN401 - options of any kind
        """Read a file or folder of this format.

        Args:
            path: File or folder.
            **options: Those that this format does not know are left aside.

        Raises:
            FileNotFoundError: No such path.
            ValueError: It cannot be read; one line, which is not as long as what stands in the file.
        """
        try:
            return self.read(path, **_taken(self.read, options))
        except ValueError as error:
            text = " ".join(str(error).split())
            if text == str(error) and len(text) <= LONGEST:
                raise
            raise ValueError(text if len(text) <= LONGEST else f"{text[: LONGEST - 100]} [...] {text[-80:]}") from error

    def save(self, forest: Forest, path: str | Path, **options: Any) -> None:  # noqa: ANN401 - options of any kind
        """Write lineages in this format.

        Args:
            forest: Lineages.
            path: File or folder.
            **options: Those that this format does not know are left aside.

        Raises:
            ValueError: The format is read only, or cannot hold these lineages.
        """
        if self.write is None:
            raise ValueError(f"{self.name} is read only: choose one of {', '.join(known.key for known in FORMATS if known.write)}")
        cells = forest.detections
        columns = {name: column for name, column in cells.columns.items() if not self.keeps(name, cells.n_axes)}
        if len(columns) < len(cells.columns):
            forest = replace(forest, detections=replace(cells, columns=columns))
        self.write(forest, path, **_taken(self.write, options))


def _taken(function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some options that a function takes."""
    return {name: options[name] for name in options.keys() & inspect.signature(function).parameters}


def _known(key: str, name: str, endings: tuple[str, ...], home: Any, **more: Any) -> Format:  # noqa: ANN401 - a module of this room
    """A format from its module; some keep their reader in a module of its own."""
    reader = more.pop("reader", home)
    return Format(
        key,
        name,
        endings,
        reader.read,
        getattr(home, "write", None),
        getattr(home, "recognises", None) or reader.recognises,
        getattr(home, "HOLDS", frozenset()),
        getattr(home, "INSTEAD", MappingProxyType({})),
        **{"look": getattr(home, "look", None), "parts": getattr(reader, "parts", None), **more},
    )


FORMATS = (  # of several with one ending, the first that can be is written, and the last that recognises the content is read
    _known("tables", "tables of other trackers", (".csv", ".txt", ".tsv"), foreign),
    _known("csv", "lineage table", CSV, table, look=text_like_numbers, keeps=_one_of("", *OURS, spaces=True)),
    _known("parquet", "Parquet table", (".parquet",), parquet),
    _known("npz", "NumPy archive", (".npz",), arrays),
    _known("ctc", "Cell Tracking Challenge folder", (), ctc, folder=True),
    _known("gexf", "GEXF graph (Gephi)", (".gexf",), gexf, reader=gexf_read, keeps=_one_of(*OURS, free_z=True)),
    _known(
        "graphml", "GraphML graph", (".graphml",), graphml, reader=graphml_read, keeps=_one_of("", "selected", *OURS - {"id", "parent_id"})
    ),
    _known("trackmate", "TrackMate XML", (".xml",), trackmate, reader=trackmate_read, keeps=_one_of("label")),
    _known("newick", "Newick trees", (".nwk", ".newick", ".tre"), newick, reader=newick_read),
    _known("json", "JSON trees for the web", (".json",), web_json),
    _known(
        "geff", "GEFF (zarr)", (".geff", ".zarr"), geff, reader=geff_read, folder=True, keeps=_one_of("parent_tracklet_id", "generation")
    ),
    _known("mastodon-graph", "Mastodon graph", (".mastodon.graphml",), mastodon_graph, keeps=_one_of("")),
    _known("mastodon", "Mastodon table", (".mastodon.csv", *CSV), mastodon, keeps=_one_of("", spaces=True)),
    _known("intracktive", "inTRACKtive table", (*CSV, ".parquet"), intracktive, keeps=_one_of("", spaces=True)),
    _known("napari", "table of napari's plug-ins", CSV, napari_csv, look=text_like_numbers, keeps=_one_of("", spaces=True)),
    _known("mastodon-project", "Mastodon project", (".mastodon",), mastodon_project),
    _known("btrack", "btrack HDF5", (".h5", ".hdf5"), btrack_h5),
)


def named(key: str) -> Format:
    """The format of a key such as ``csv``.

    Raises:
        ValueError: No such format.
    """
    for known in FORMATS:
        if known.key == key.lower():
            return known
    raise ValueError(f"there is no format {key}; there are {', '.join(known.key for known in FORMATS)}")


def to_read(path: str | Path, key: str = "") -> Format:
    """The format of something that exists: as asked for, else by content among those with its ending, else by content alone.

    Args:
        path: File or folder.
        key: Which format it is; found out when not given.

    Raises:
        FileNotFoundError: No such path.
        ValueError: It is of no known format.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no such file or folder: {path}")
    if key:
        return named(key)
    likely = _fitting(path)
    for known in (*likely, *reversed(FORMATS)):
        if known.recognises(path):
            return known
    if likely:
        return next((known for known in FORMATS if known in likely and known.write), likely[0])
    raise ValueError(f"{path} is of no known format: neither its ending ({_endings(FORMATS)} or a folder) nor its content is known")


def to_write(path: str | Path, key: str = "") -> Format:
    """The format that a name asks for: by its ending; a folder, or a name without an ending, is a Cell Tracking Challenge result.

    Args:
        path: File or folder, which need not exist.
        key: Which format; chosen by the ending when not given.

    Raises:
        ValueError: No such format, or none that is written has this ending.
    """
    if key:
        return named(key)
    writable = [known for known in FORMATS if known.write]
    likely = [known for known in _fitting(Path(path), raw=str(path)) if known in writable]
    if likely:
        best = _reach(likely[0], Path(path).name)
        return next(known for known in writable if known in likely and _reach(known, Path(path).name) == best)
    ending = Path(path).suffix
    raise ValueError(
        f"{path}: no lineage format that is written ends in {ending}; those that do end in {_endings(writable)}, or are folders of masks"
    )


def _fitting(path: Path, raw: str = "") -> list[Format]:
    """Formats whose ending the name has, longest ending first, of equals the last one first; folders when there is none."""
    likely = sorted((known for known in reversed(FORMATS) if _reach(known, path.name)), key=lambda known: -_reach(known, path.name))
    folder = path.is_dir() or raw.endswith(("/", os.sep)) or not path.suffix
    if path.name in TABLES or (folder and not likely):
        return [known for known in FORMATS if not known.endings]
    return likely


def _reach(known: Format, name: str) -> int:
    """Length of the longest ending of a format that a name has; 0 for none."""
    return max((len(ending) for ending in known.endings if name.lower().endswith(ending)), default=0)


def _endings(formats: Sequence[Format]) -> str:
    return ", ".join(dict.fromkeys(ending for known in formats for ending in known.endings))


def table_of_formats() -> str:
    """All formats and what each of them holds, as two Markdown tables."""
    rows = [["key", "format", "endings", "read", "written", "masks"], ["---"] * 6]
    for known in sorted(FORMATS, key=lambda known: not known.write):
        endings = " ".join(f"`{ending}`" for ending in known.endings) or "a folder"
        rows.append([f"`{known.key}`", known.name, endings, "yes", _mark(known.write), _mark(known.masks)])
    written = [known for known in FORMATS if known.write]
    held = [["holds", *(f"`{known.key}`" for known in written)], ["---"] * (len(written) + 1)]
    held += [[f"{facet}: {words}", *(_mark(facet in known.holds) for known in written)] for facet, words in FACETS.items()]
    return "\n\n".join("\n".join(f"| {' | '.join(row)} |" for row in lines) for lines in (rows, held))


def _mark(so: object) -> str:
    return "yes" if so else ""
