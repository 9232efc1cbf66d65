"""Lineages in files: one module a format, chosen by the ending of the name; a folder is a Cell Tracking Challenge result."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lineage.arrays import Film, Progress, silent
from lineage.forest import Forest

from . import arrays, ctc, gexf, gexf_read, table
from .ctc_table import TABLES

__all__ = ["FORMATS", "Format", "read", "write"]


@dataclass(frozen=True)
class Format:
    """A file format of lineages.

    Attributes:
        name: What it is called.
        endings: Of the file names; none for a folder.
        read: Path -> Forest.
        write: Forest, path -> file. With masks, it also takes ``labels``, ``overwrite`` and ``progress``.
        masks: Whether it holds label images.
    """

    name: str
    endings: tuple[str, ...]
    read: Callable[..., Forest]
    write: Callable[..., None]
    masks: bool = False


FORMATS = (
    Format("lineage table", (".csv", ".csv.gz"), table.read, table.write),
    Format("GEXF graph", (".gexf",), gexf_read.read, gexf.write),
    Format("NumPy archive", (".npz",), arrays.read, arrays.write),
    Format("Cell Tracking Challenge folder", (), ctc.read, ctc.write, masks=True),
)


def write(
    forest: Forest,
    path: str | Path,
    *,
    labels: Film | None = None,
    overwrite: bool = False,
    progress: Progress[Any] = silent,
) -> None:
    """Write lineages; the ending of the name says how: ``.csv``, ``.csv.gz``, ``.gexf``, ``.npz``, or a folder for masks and a table.

    A file appears when it is complete, and replaces an older one of that name.

    Args:
        forest: Lineages.
        path: File or folder.
        labels: The label film that the detections were measured from, for formats with masks; it is only read.
        overwrite: Write into a folder that holds other files too; they are kept.
        progress: Wraps loops over frames.

    Raises:
        ValueError: An ending that is not known, or a forest that the format cannot hold.
        OSError: The file cannot be written.
    """
    chosen = _format(path)
    if chosen.masks:
        chosen.write(forest, path, labels=labels, overwrite=overwrite, progress=progress)
    else:
        chosen.write(forest, path)


def read(path: str | Path) -> Forest:
    """Read lineages; the ending of the name, or that it is a folder, says how (see ``write``).

    Raises:
        FileNotFoundError: No such file or folder.
        ValueError: An ending that is not known, or content that is not what the ending says; the message names row, line or frame.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"no such file or folder: {path}")
    return _format(path).read(path)


def _format(path: str | Path) -> Format:
    """The format of a path: by the longest ending that fits; a folder, or a name without an ending, is the one with masks."""
    name = Path(path).name.lower()
    fitting = [(ending, known) for known in FORMATS for ending in known.endings if name.endswith(ending)]
    if fitting:
        return max(fitting, key=lambda pair: len(pair[0]))[1]
    folder = Path(path).is_dir() or str(path).endswith(("/", os.sep)) or not Path(path).suffix or name in TABLES
    if folder:
        return next(known for known in FORMATS if not known.endings)
    endings = ", ".join(ending for known in FORMATS for ending in known.endings)
    raise ValueError(f"{path}: no lineage format ends in {Path(path).suffix}; supported are {endings} and Cell Tracking Challenge folders")
