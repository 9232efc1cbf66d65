"""TrackMate's tables of spots and edges as CSV, with its four lines of header or with one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from lineage.arrays import Array, FloatArray, IntArray
from lineage.forest import Forest
from lineage.formats.chains import Links, graph_forest
from lineage.formats.csv_text import Table, glance, header, load
from lineage.formats.table import costs, frames, plain, real, whole

SPOT, EDGE = ("id", "frame", "position_x", "position_y"), ("spot_source_id", "spot_target_id")
SECONDS = {"sec": 1.0, "s": 1.0, "second": 1.0, "seconds": 1.0, "min": 60.0, "minute": 60.0, "minutes": 60.0, "h": 3600.0, "hour": 3600.0}


def recognises(path: Path) -> bool:
    """Whether a file is a table of TrackMate's spots or edges."""
    names = {name.lower() for name in header(path)[0]}
    spots = set(SPOT) <= names and not names & {"parent_id", "mother_id"}
    return spots or set(EDGE) <= names


def read(path: Path, merges: str = "refuse") -> Forest:
    """Read the spots and the edges; without edges, spots follow each other by TRACK_ID if no track divides.

    Args:
        path: Either of the two; the other has the same name with ``spot`` and ``edge`` exchanged.
        merges: What to do with a spot that has two parents: ``refuse``, or ``keep-nearest``.

    Raises:
        FileNotFoundError: The edges are given, but the spots are not beside them.
        ValueError: A missing column, a number that is none, links that make no lineages.
    """
    edges = set(EDGE) <= {name.lower() for name in header(path)[0]}
    spots_path, edges_path = (_partner(path, "edge", "spot"), path) if edges else (path, _partner(path, "spot", "edge"))
    if spots_path is None or not spots_path.is_file():
        raise FileNotFoundError(f"{path} holds only links: the table of spots is missing, {spots_path or 'with spots in its name'}")
    spots = _load(spots_path)
    try:
        forest = _linked(spots, _links(edges_path), merges) if edges_path and edges_path.is_file() else _by_track(spots)
    except ValueError as error:
        raise ValueError(f"{spots_path}: {error}") from error
    interval = _interval(spots_path, spots)
    return replace(forest, detections=replace(forest.detections, interval=interval)) if interval else forest


def _partner(path: Path, mine: str, other: str) -> Path | None:
    """The name of the other table: the word in it exchanged, ``allspots`` and ``all-spots`` being ``edges`` too."""
    name = path.name
    exchanged = ((f"all-{mine}", other), (f"all{mine}", other), (mine, other), (mine.title(), other.title()), (mine.upper(), other.upper()))
    for one, two in exchanged:
        if one in name:
            return path.with_name(two.join(name.rsplit(one, 1)))
    return None


def _load(path: Path) -> Table:
    """The table without the lines that describe its columns; names in small letters."""
    lines = glance(path)[1:4]
    described = [k for k, line in enumerate(lines, 1) if not any(_is_number(word) for word in line.split(","))]
    table = load(path, skip=described)
    return {name.lower(): series for name, series in table.items() if not name.startswith("Unnamed")}


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _spots(spots: Table) -> tuple[IntArray, IntArray, FloatArray, dict[str, Array]]:
    """Ids, frames, positions and everything else."""
    if missing := [name for name in SPOT if name not in spots]:
        raise ValueError(f"there is no column {', '.join(missing)}; there are {', '.join(spots) or 'none'}")
    ids, frame = whole(spots["id"], "ID"), frames(spots["frame"], "FRAME")
    axes = [axis for axis in ("position_z", "position_y", "position_x") if axis in spots]
    position = np.column_stack([real(spots[axis], axis.upper()) for axis in axes]).reshape(-1, len(axes))
    if len(axes) == 3 and not position[:, 0].any():  # TrackMate gives depth 0 to films without
        position = position[:, 1:]
    known = {*axes, "id", "frame", "track_id", "position_t", "visibility", "manual_spot_color", "label"}
    columns = {name: plain(series) for name, series in spots.items() if name not in known}
    if "label" in spots:
        columns["name"] = plain(spots["label"])
    return ids, frame, position, columns


def _links(path: Path) -> Links:
    edges = _load(path)
    try:
        source, target = (whole(edges[name], name.upper()) for name in EDGE)
        return Links(source, target, costs({"link_cost": edges["link_cost"]} if "link_cost" in edges else {}, len(source)))
    except KeyError as error:
        raise ValueError(f"the table of edges beside it, {path.name}, has no column {error}") from None
    except ValueError as error:
        raise ValueError(f"in the table of edges beside it, {path.name}: {error}") from error


def _linked(spots: Table, links: Links, merges: str) -> Forest:
    ids, frame, position, columns = _spots(spots)
    forest = graph_forest(ids, frame, position, links, merges=merges)
    order = np.argsort(frame, kind="stable")
    kept = {**forest.detections.columns, **{name: column[order] for name, column in columns.items()}}
    return replace(forest, detections=replace(forest.detections, columns=kept))


def _by_track(spots: Table) -> Forest:
    """Spots of one track one after the other; those in no track stand alone."""
    ids, frame, position, columns = _spots(spots)
    if "track_id" not in spots:
        return graph_forest(ids, frame, position, Links(ids[:0], ids[:0], np.zeros(0)))
    track = whole(spots["track_id"], "TRACK_ID", missing=-1)
    order = np.lexsort((frame, track))
    follows = (np.diff(track[order]) == 0) & (track[order][1:] >= 0)
    if (twice := np.flatnonzero(follows & (np.diff(frame[order]) == 0))).size:
        k = order[twice[0]]
        raise ValueError(f"track {track[k]} has two spots in frame {frame[k]}; the table of edges that says who is whose is missing")
    links = Links(ids[order][:-1][follows], ids[order][1:][follows], np.full(int(follows.sum()), np.nan))
    forest = graph_forest(ids, frame, position, links)
    by_frame = np.argsort(frame, kind="stable")
    kept = {**forest.detections.columns, **{name: column[by_frame] for name, column in columns.items()}}
    return replace(forest, detections=replace(forest.detections, columns=kept))


def _interval(path: Path, spots: Table) -> float | None:
    """Seconds between frames, from POSITION_T and the unit that the header gives it."""
    lines = [line.split(",") for line in glance(path)[:4]]
    if len(lines) < 4 or "position_t" not in spots or "POSITION_T" not in lines[0]:
        return None
    place = lines[0].index("POSITION_T")
    unit = lines[3][place].strip("() ") if place < len(lines[3]) else ""
    if unit not in SECONDS or spots["position_t"].dtype.kind not in "iuf":
        return None
    time, frame = spots["position_t"].to_numpy().astype(float), whole(spots["frame"], "FRAME")
    later = frame > 0
    steps = time[later] / frame[later]
    if not later.any() or not np.isfinite(steps).all() or steps.min() <= 0 or np.ptp(steps) > 1e-6 * steps.max():
        return None
    return float(steps[0]) * SECONDS[unit]
