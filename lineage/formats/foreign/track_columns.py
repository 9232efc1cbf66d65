"""Tables that say of every cell to which track it belongs, and nothing of parents: trackpy, napari's Tracks layers, and others."""

from __future__ import annotations

from pathlib import Path

from lineage.forest import Forest
from lineage.formats.chains import Names, forest_of_tracks
from lineage.formats.csv_text import header, load

TRACK, TIME = ("track_id", "particle", "trackID", "TrackID", "ID", "id"), ("t", "frame", "FRAME", "time", "T")
AXES = {"z": ("z", "Z"), "y": ("y", "Y"), "x": ("x", "X")}


def _names(columns: list[str]) -> Names | None:
    track, time = (next((name for name in known if name in columns), "") for known in (TRACK, TIME))
    axes = {axis: next((name for name in known if name in columns), "") for axis, known in AXES.items()}
    if not (track and time and axes["y"] and axes["x"]):
        return None
    parent = "parent_track_id" if "parent_track_id" in columns else ""
    return Names(track, time, tuple(name for name in axes.values() if name), parent, "label", left_out={"", "Unnamed: 0", "index"})


def recognises(path: Path) -> bool:
    """Whether a file has a column of tracks, one of frames, and y and x."""
    return _names(header(path)[0]) is not None


def read(path: Path, _merges: str = "refuse") -> Forest:
    """Read the tracks; each is a lineage of its own, unless ``parent_track_id`` says otherwise.

    Raises:
        ValueError: A number that is none, two cells of a track in one frame.
    """
    names, separator = header(path)
    table = load(path, separator=separator)
    found = _names(list(table)) or _names(names)
    try:
        if found is None:
            raise ValueError(f"there are no columns of tracks, frames, y and x; there are {', '.join(table)}")
        return forest_of_tracks(table, found)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
