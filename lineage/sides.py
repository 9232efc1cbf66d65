"""Sides: what is scored and what it is held against, wherever they lie."""

from __future__ import annotations

from pathlib import Path

from .arrays import Film
from .films import open_film
from .films.ome_zarr import is_zarr
from .forest import Forest
from .formats import read
from .formats.ctc_table import TABLES, find_table
from .simulation.streaming import LABELS, TRUTH

Source = str | Path | tuple[Forest, Film | None]

TABLE, MASKS, MADE = "lineages.csv", "ctc", "labels.zarr"  # in a folder of results


def side_of(source: Source) -> Source:
    """A pair (forest, labels) as it is; of a path the folder of the Cell Tracking Challenge, or the pair that it stands for.

    A folder of results stands for its ``ctc``, or where it has none for its ``lineages.csv`` and the masks ``labels.zarr`` that they
    speak of, if they have masks; a simulated film (``film.zarr``) for its true lineages and their masks; any other file of lineages, in
    whatever format, for its cells as points.

    Raises:
        FileNotFoundError: No such file or folder.
        ValueError: No known format, or content that is not what it seems.
    """
    if isinstance(source, tuple):
        return source
    path = Path(source)
    if (path / TRUTH).exists():
        return read(path / TRUTH), open_film(path / LABELS, kind="labels")
    if (path.is_file() and path.name not in TABLES) or is_zarr(path):
        return read(path), None
    if path.is_dir() and find_table(path) is None:
        if (path / MASKS).is_dir():
            return path / MASKS
        if (path / TABLE).is_file():
            return read(path / TABLE), open_film(path / MADE, kind="labels") if (path / MADE).is_dir() else None
    return source
