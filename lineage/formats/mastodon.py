"""Tables of Mastodon: the one that it imports, and the two that it exports.

*Import table* (``.mastodon.csv``; Mastodon: File > Import > CSV Importer): columns ``ID``, ``PARENT_ID`` (-1 for none), ``FRAME``,
``POSITION_X``, ``POSITION_Y``, ``POSITION_Z`` (physical units; ``0`` in every row of a 2D film), ``RADIUS`` (of a disc or ball of the
cell's ``area``), ``LABEL`` (pixel value), then ``LINK_COST`` and what was measured as numbers, which Mastodon leaves aside.
*Its own tables*: ``NAME-Spot.csv`` and ``NAME-Link.csv``, with three lines of header. Its GraphML: ``mastodon_graph``; its projects:
``mastodon_project``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from lineage.arrays import Array, FloatArray, IntArray
from lineage.forest import Forest

from .chains import Links, graph_forest
from .csv_text import Table, header, load, shielded, unshielded, write_columns
from .table import DERIVED, forest_of_rows, frames, plain, real, whole

HOLDS = frozenset({"divisions", "gaps", "isolated", "positions", "labels", "columns", "link_cost"})
NAMES = ("ID", "PARENT_ID", "FRAME", "POSITION_X", "POSITION_Y", "POSITION_Z", "RADIUS", "LABEL", "LINK_COST")
KEPT = frozenset({*map(str.lower, NAMES), *DERIVED, *"mother_id quality tag t z y x node_id source_id".split()})
MOST = 2**31  # Mastodon's whole numbers have 32 bits


def write(forest: Forest, path: str | Path) -> None:
    """Write the table that Mastodon's CSV importer takes, with the column names that its dialog should be given.

    Args:
        forest: Lineages; only selected detections and columns of numbers are written.
        path: The file; it appears when it is complete.

    Raises:
        ValueError: More detections than Mastodon can number.
    """
    rows, number = numbered(forest)
    cells = forest.detections
    position = cells.position[rows]
    columns: dict[str, Array] = {"ID": number[rows], "PARENT_ID": number[forest.parent[rows]], "FRAME": cells.frame[rows]}
    columns |= {"POSITION_X": position[:, -1], "POSITION_Y": position[:, -2]}
    columns["POSITION_Z"] = position[:, 0] if cells.n_axes == 3 else np.zeros(len(rows), np.int64)
    columns |= {"RADIUS": _radius(forest)[rows], "LABEL": cells.label[rows], "LINK_COST": forest.link_cost[rows]}
    for name, column in cells.columns.items():
        if column.ndim == 1 and column.dtype.kind in "iufb":
            columns[shielded(name, KEPT)] = column[rows]
    write_columns(columns, path)


def numbered(forest: Forest) -> tuple[IntArray, IntArray]:
    """Rows of the selected detections, and the number of every row, from 0; -1 for others and for no row.

    Raises:
        ValueError: More than Mastodon can count.
    """
    rows = np.flatnonzero(forest.selected)
    if max(len(rows), int(forest.detections.label.max(initial=0)), forest.detections.n_frames) >= MOST:
        raise ValueError(f"Mastodon counts with 32 bits: detections, frames and labels must be below {MOST}")
    number = np.full(len(forest) + 1, -1)
    number[rows] = np.arange(len(rows))
    return rows, number


def _radius(forest: Forest) -> FloatArray:
    """Radius of a disc or ball as large as each cell, physical units; of the middle cell where the size is not known, else 1."""
    cells = forest.detections
    area = cells.columns.get("area", np.zeros(0))
    size = area.astype(float) if area.ndim == 1 and area.dtype.kind in "iuf" and len(area) else np.full(len(cells), np.nan)
    size = np.where(np.isfinite(size) & (size > 0), size, np.nan)
    radius = np.sqrt(size / np.pi) if cells.n_axes == 2 else np.cbrt(size * 3 / (4 * np.pi))
    known = radius[np.isfinite(radius)]
    made: FloatArray = np.where(np.isfinite(radius), radius, float(np.median(known)) if known.size else 1.0)
    return made


def recognises(path: Path) -> bool:
    """Whether a file is a table that Mastodon imports, or one of the two that it exports."""
    return _is_import(path) or _is_export(path)


def _is_import(path: Path) -> bool:
    names = set(header(path)[0])
    return {"POSITION_X", "POSITION_Y", "FRAME", "ID"} <= names and bool(names & {"PARENT_ID", "MOTHER_ID"})


def _is_export(path: Path) -> bool:
    names = set(header(path)[0])
    return {"ID", "Spot frame", "Spot position"} <= names or {"ID", "Link target IDs"} <= names


def read(path: str | Path, *, merges: str = "refuse") -> Forest:
    """Read an import table (with any separator, ``MOTHER_ID`` for ``PARENT_ID``), or the two tables that Mastodon exports.

    Of the latter, either may be named; the other one lies beside it: ``NAME-Spot.csv``, ``NAME-Link.csv``.

    Args:
        path: The table.
        merges: What to do with a spot that has two parents: ``refuse``, or ``keep-nearest``.

    Raises:
        FileNotFoundError: No such file, or not both of the two.
        ValueError: Not such a table, a missing column, a number that is none, a spot with two parents.
    """
    path = Path(path)
    if path.is_file() and _is_export(path):
        return _exported(path, merges)
    table = load(path, separator=header(path)[1], as_text=("PARENT_ID", "MOTHER_ID"))
    try:
        return _imported(table)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _imported(table: Table) -> Forest:
    mother = "PARENT_ID" if "PARENT_ID" in table else "MOTHER_ID"
    names = {"ID": "id", mother: "parent_id", "FRAME": "t", "POSITION_X": "x", "POSITION_Y": "y", "POSITION_Z": "z"}
    missing = [name for name in names if name not in table and name != "POSITION_Z"]
    if missing:
        raise ValueError(f"there is no column {', '.join(missing)}; there are {', '.join(table) or 'none'}")
    names |= {"LABEL": "label", "LINK_COST": "link_cost"}
    renamed = {names.get(name, name): series for name, series in table.items()}
    z = renamed.get("z")
    if z is not None and z.dtype.kind == "i" and not z.any():  # whole zeros: a film without depth
        del renamed["z"]
    if "label" in renamed and renamed["label"].dtype.kind not in "iu":
        renamed["name"] = renamed.pop("label")
    if "LABEL" in table:  # ours: the radius is read off the area again
        renamed.pop("RADIUS", None)
    forest = forest_of_rows(renamed)
    columns = {unshielded(name, KEPT): column for name, column in forest.detections.columns.items()}
    return replace(forest, detections=replace(forest.detections, columns=columns))


def _exported(path: Path, merges: str) -> Forest:
    """The forest of the spot and the link table; three lines of header, of which the first names the columns."""
    spots_path, links_path = _pair(path)
    spots, links = (load(name, skip=(1, 2)) for name in (spots_path, links_path))
    try:
        axes = ["Spot position.2", "Spot position.1", "Spot position"]
        if missing := [name for name in ("ID", "Spot frame", *axes) if name not in spots]:
            raise ValueError(f"there is no column {', '.join(missing)}; there are {', '.join(spots) or 'none'}")
        ids, frame = whole(spots["ID"], "ID"), frames(spots["Spot frame"], "Spot frame")
        position = np.column_stack([real(spots[name], name) for name in axes]).reshape(-1, 3)
        known = {"ID", "Spot frame", *axes, "Spot track ID"}
        columns = {"name" if name == "Label" else name: plain(series) for name, series in spots.items() if name not in known}
    except ValueError as error:
        raise ValueError(f"{spots_path}: {error}") from error
    try:
        ends = ("Link target IDs", "Link target IDs.1")
        if missing := [name for name in ends if name not in links]:
            raise ValueError(f"there is no column {', '.join(missing)}; there are {', '.join(links) or 'none'}")
        source, target = (whole(links[name], name) for name in ends)
        forest = graph_forest(ids, frame, position, Links(source, target, np.full(len(source), np.nan)), merges=merges)
    except ValueError as error:
        raise ValueError(f"{links_path}: {error}") from error
    order = np.argsort(frame, kind="stable")
    kept = {**forest.detections.columns, **{name: column[order] for name, column in columns.items()}}
    return replace(forest, detections=replace(forest.detections, columns=kept))


def _pair(path: Path) -> tuple[Path, Path]:
    links = "Link target IDs" in header(path)[0]
    mine, other = ("Link", "Spot") if links else ("Spot", "Link")
    beside = path.with_name(other.join(path.name.rsplit(mine, 1))) if mine in path.name else path.with_name(f"{path.stem}-{other}.csv")
    if not beside.is_file():
        raise FileNotFoundError(f"{path} holds only the {mine.lower()}s: the table of {other.lower()}s is missing, {beside}")
    return (beside, path) if links else (path, beside)
