"""Data frames of laptrack as CSV: tracks, splits, merges."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lineage.arrays import IntArray
from lineage.forest import Forest
from lineage.formats.chains import Names, forest_of_tracks
from lineage.formats.csv_text import Table, header, load
from lineage.formats.table import whole

AXES = ("z", "y", "x")
INDEX = ("Unnamed: 0", "index", "level_0")


def recognises(path: Path) -> bool:
    """Whether a file is laptrack's table of tracks."""
    return {"frame", "track_id", "tree_id"} <= set(header(path)[0])


def read(path: Path, merges: str = "refuse") -> Forest:
    """Read the tracks and, from the table beside it with ``split`` for ``track`` in its name, who divides into whom.

    Args:
        path: The table of tracks; positions are in the columns (z,) y, x, or in those that end so, such as ``position_x``.
        merges: ``refuse`` merged tracks. laptrack's tables do not say which cells are merged, so there is no other choice.

    Raises:
        ValueError: A missing column, tracks of one tree without a table of splits, tracks that merge.
    """
    table = load(path)
    try:
        axes = _axes(table)
        left_out = {"tree_id", *INDEX}
        return forest_of_tracks(table, Names("track_id", "frame", axes, label="label", left_out=left_out), _splits(path, table))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _axes(table: Table) -> tuple[str, ...]:
    """The columns of positions, in order (z,) y, x."""
    found: dict[str, str] = {}
    for axis in AXES:
        ends = (f"_{axis}", f"-{axis}")
        names = [name for name in table if name.lower() == axis] or [name for name in table if name.lower().endswith(ends)]
        if len(names) > 1:
            raise ValueError(f"any of {', '.join(names)} may be {axis}: call it {axis}")
        found |= dict.fromkeys([axis], names[0]) if names else {}
    if missing := [axis for axis in ("y", "x") if axis not in found]:
        raise ValueError(f"there is no column {', '.join(missing)}; there are {', '.join(table)}")
    return tuple(found[axis] for axis in AXES if axis in found)


def _splits(path: Path, table: Table) -> IntArray:
    """Child and parent track of every split; (k, 2)."""
    beside, merged = (path.with_name(word.join(path.name.rsplit("track", 1))) for word in ("split", "merge"))
    if "track" not in path.name or not beside.is_file():
        trees = np.column_stack([whole(table["tree_id"], "tree_id"), whole(table["track_id"], "track_id")])
        pairs = np.unique(trees, axis=0)
        shared = np.flatnonzero(np.diff(pairs[:, 0]) == 0)
        if shared.size:
            (tree, one), (_, other) = pairs[shared[0] : shared[0] + 2].tolist()
            needed = beside.name if "track" in path.name else "a file named like it, with track and split in the names"
            raise ValueError(f"tracks {one} and {other} are of one tree, {tree}, but the table of splits is missing: {needed}")
        return np.zeros((0, 2), np.int64)
    if "track" in path.name and merged.is_file() and header(merged)[0] not in ([], [""]):
        merges = load(merged)
        if "parent_track_id" in merges and len(merges["parent_track_id"]):
            child, parent = merges.get("child_track_id"), merges["parent_track_id"]
            which = f"track {child.iloc[0]} " if child is not None else "a track "
            raise ValueError(f"{which}comes from several (track {parent.iloc[0]}; {merged.name}): lineages do not merge")
    if header(beside)[0] in ([], [""]):  # pandas writes an empty table so
        return np.zeros((0, 2), np.int64)
    splits = load(beside)
    if missing := [name for name in ("parent_track_id", "child_track_id") if name not in splits]:
        raise ValueError(f"the table of splits, {beside.name}, has no column {', '.join(missing)}")
    return np.column_stack([whole(splits["child_track_id"], "child_track_id"), whole(splits["parent_track_id"], "parent_track_id")])
