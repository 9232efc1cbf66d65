"""Lineages in files: one module a format, chosen by content and the ending of the name; a folder is a Cell Tracking Challenge result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lineage.arrays import Film, Progress, silent
from lineage.forest import Forest

from .ctc import Gaps
from .filling import filled
from .known import FORMATS, Format, to_read, to_write

__all__ = ["FORMATS", "Format", "read", "write"]


def write(  # noqa: PLR0913 - all but two by keyword only
    forest: Forest,
    path: str | Path,
    *,
    format: str = "",  # noqa: A002 - what one would call it
    labels: Film | None = None,
    gaps: Gaps = "split",
    overwrite: bool = False,
    progress: Progress[Any] = silent,
) -> None:
    """Write lineages; the ending of the name says how (``.csv``, ``.gexf``, ``.npz``, ...), a folder is for masks and a table.

    A file appears when it is complete, and replaces an older one of that name. What a format cannot hold is left out without a
    word: ``lineage.formats.converting`` says it before.

    Args:
        forest: Lineages.
        path: File or folder.
        format: One of the keys in ``FORMATS``, such as ``csv``, where the ending does not say it.
        labels: The label film that the detections were measured from, for formats with masks; it is only read.
        gaps: ``fill`` puts a cell into every missed frame (see ``filled``); ``split`` leaves the lineages as they are, and formats whose
            tracks skip no frame begin a new one.
        overwrite: Write into a folder that holds other files too; they are kept.
        progress: Wraps loops over frames.

    Raises:
        ValueError: An ending that is not known, or a forest that the format cannot hold.
        OSError: The file cannot be written.
    """
    forest = filled(forest) if gaps == "fill" else forest
    to_write(path, format).save(forest, path, labels=labels, gaps=gaps, overwrite=overwrite, progress=progress)


def read(path: str | Path, *, format: str = "", progress: Progress[Any] = silent) -> Forest:  # noqa: A002 - what one would call it
    """Read lineages; the content, and the ending of the name where that leaves a choice, say how.

    Args:
        path: File or folder.
        format: One of the keys in ``FORMATS``, such as ``csv``; found out when not given.
        progress: Wraps loops over frames.

    Raises:
        FileNotFoundError: No such file or folder.
        ValueError: No known format, or content that is not what it seems; the message names row, line or frame.
    """
    return to_read(path, format).load(path, progress=progress)
