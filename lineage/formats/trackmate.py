"""TrackMate XML: spots with features, tracks of edges, calibrated, as TrackMate 7 and 8 open it again.

A TrackMate track is a whole lineage. Places and radii are physical; outlines (``roi``: x y x y ..., relative to the centre of the
spot) too. Every feature of a spot is a number, so columns of text are not held, except ``name`` and ``roi``. Detections that are not
selected are invisible spots. ``QUALITY`` and ``RADIUS``, which TrackMate needs, are made up where there is no such column: 1, and
that of the disc or ball of the cell's ``area``. What a forest is beside its cells and links stands in the element ``Cytolineage``,
which TrackMate ignores.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from lineage.arrays import Array, Film, FloatArray, IntArray, Progress, length, silent
from lineage.films.atomic import new_file
from lineage.forest import Forest

from .header import HEADER, header_of
from .outlines import outlines
from .trackmate_read import ELEMENT, read
from .xml_text import java, mentions, quoted

__all__ = ["HOLDS", "read", "recognises", "write"]

HOLDS = HEADER | {"divisions", "gaps", "isolated", "positions", "labels", "columns", "link_cost", "unselected"}
INSTEAD = {"masks": "outlines of 2D cells are kept where label images are given"}
VERSION = "7.14.0"
CHUNK = 4096  # spots a write
PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
TAKEN = ("ID", "name", "ROI_N_POINTS", "POSITION_X", "POSITION_Y", "POSITION_Z", "POSITION_T", "FRAME", "VISIBILITY")
SPOT = {  # feature: name, short name, dimension, whole number
    "QUALITY": ("Quality", "Quality", "QUALITY", False),
    "POSITION_X": ("X", "X", "POSITION", False),
    "POSITION_Y": ("Y", "Y", "POSITION", False),
    "POSITION_Z": ("Z", "Z", "POSITION", False),
    "POSITION_T": ("T", "T", "TIME", False),
    "FRAME": ("Frame", "Frame", "NONE", True),
    "RADIUS": ("Radius", "R", "LENGTH", False),
    "VISIBILITY": ("Visibility", "Visibility", "NONE", True),
}
EDGE = {
    "SPOT_SOURCE_ID": ("Source spot ID", "Source ID", "NONE", True),
    "SPOT_TARGET_ID": ("Target spot ID", "Target ID", "NONE", True),
    "LINK_COST": ("Edge cost", "Cost", "NONE", False),
    "EDGE_TIME": ("Edge time", "Edge T", "TIME", False),
    "DISPLACEMENT": ("Displacement", "Disp.", "LENGTH", False),
}
TRACK = {
    "TRACK_INDEX": ("Track index", "Index", "NONE", True),
    "TRACK_ID": ("Track ID", "ID", "NONE", True),
    "NUMBER_SPOTS": ("Number of spots in track", "N spots", "NONE", True),
    "NUMBER_GAPS": ("Number of gaps", "N gaps", "NONE", True),
    "NUMBER_SPLITS": ("Number of split events", "N splits", "NONE", True),
    "NUMBER_MERGES": ("Number of merge events", "N merges", "NONE", True),
    "TRACK_DURATION": ("Track duration", "Duration", "TIME", False),
    "TRACK_START": ("Track start", "Track start", "TIME", False),
    "TRACK_STOP": ("Track stop", "Track stop", "TIME", False),
}
SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")
CLOSED = "</SpotsInFrame>\n"
SETTINGS = """<DetectorSettings DETECTOR_NAME="MANUAL_DETECTOR" RADIUS="{radius!r}"/>
<InitialSpotFilter feature="QUALITY" value="{least!r}" isabove="true"/>
<SpotFilterCollection/>
<TrackerSettings TRACKER_NAME="MANUAL_TRACKER"/>
<TrackFilterCollection/>
<AnalyzerCollection><SpotAnalyzers/><EdgeAnalyzers/><TrackAnalyzers/></AnalyzerCollection>
</Settings>
<GUIState state="ConfigureViews"><View key="HYPERSTACKDISPLAYER"/></GUIState>
</TrackMate>
"""


@dataclass(frozen=True, eq=False)
class _Spots:
    """What is written of every detection: its id, its name, its features, and what these were called."""

    ids: IntArray
    names: list[str]
    features: Mapping[str, Array]
    columns: Mapping[str, tuple[str, str]]  # feature: column and its type
    made: list[str]


def write(
    forest: Forest, path: str | Path, *, labels: Film | None = None, image: str | Path | None = None, progress: Progress[int] = silent
) -> None:
    """Write the lineages for TrackMate, with features, calibration and, if there are masks, outlines.

    Args:
        forest: Lineages.
        path: The file; it appears when it is complete.
        labels: Label film, (T, Y, X), to trace the outlines of the cells in; it is only read. In 3D there are none.
        image: The film that TrackMate opens with the file.
        progress: Wraps the loop over the frames of the labels.

    Raises:
        ValueError: The label film is shorter than the lineages, or of another shape.
    """
    cells = forest.detections
    if labels is not None and length(labels) <= cells.frame.max(initial=-1):
        raise ValueError(f"the label film has {length(labels)} frames, but there are cells in frame {cells.frame.max()}")
    spots = _spots_of(forest)
    shape = _shape(forest, labels)
    with new_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(_head(forest, spots))
        file.writelines(_spots(forest, spots, _outlines(forest, labels, progress)))
        file.writelines(_tracks(forest, spots.ids))
        file.writelines(_tail(forest, spots, shape, Path(image) if image else None))


def recognises(path: Path) -> bool:
    """Whether a file begins like TrackMate XML."""
    return mentions(path, "<TrackMate")


def _spots_of(forest: Forest) -> _Spots:
    cells, n = forest.detections, len(forest)
    given = dict(cells.columns)
    ids, names = np.arange(n), [f"ID{i}" for i in range(n)]
    source = given.get("source_id", np.zeros(0))
    if n and source.dtype.kind in "iu" and source.min() >= 0 and source.max() < 2**31 and len(np.unique(source)) == n:
        ids = given.pop("source_id").astype(np.int64)
        names = [f"ID{i}" for i in ids.tolist()]
    if "name" in given and given["name"].dtype.kind in "UO":
        names = [str(name) for name in given.pop("name").tolist()]
    features: dict[str, Array] = {"QUALITY": np.ones(n), "RADIUS": _radius(forest)}
    made = [name for name in features if name not in given or not _is_number(given[name])]
    columns: dict[str, tuple[str, str]] = {}
    for name, column in {"label": cells.label, **{name: column for name, column in given.items() if name != "label"}}.items():
        if _is_number(column):
            key = _key(name, {*columns, *TAKEN, *made})
            columns[key] = (name, column.dtype.name)
            features[key] = column
    return _Spots(ids, names, features, columns, made)


def _is_number(column: Array) -> bool:
    return column.ndim == 1 and column.dtype.kind in "biuf"


def _key(name: str, taken: set[str]) -> str:
    """The name of a column as an XML attribute that is not taken yet."""
    plain = name if PLAIN.fullmatch(name) else "_" + re.sub(r"[^A-Za-z0-9_.-]", "_", name)
    key, k = plain, 2
    while key in taken:
        key, k = f"{plain}_{k}", k + 1
    return key


def _radius(forest: Forest) -> FloatArray:
    """Radius of the disc or ball as large as each cell, physical units; five pixels where the area is not known."""
    cells = forest.detections
    area = cells.columns.get("area", np.zeros(0))
    radius = np.full(len(cells), 5 * min(cells.scale))
    if len(area) and _is_number(area):
        known = np.isfinite(area.astype(float)) & (area > 0)
        size = area[known].astype(float)
        radius[known] = np.sqrt(size / np.pi) if cells.n_axes == 2 else np.cbrt(0.75 * size / np.pi)
    return radius


def _shape(forest: Forest, labels: Film | None) -> tuple[int, ...]:
    """Size of a frame in pixels, (z,) y, x; that of the labels, or large enough for all cells."""
    cells = forest.detections
    if labels is None or not length(labels):
        high = np.ceil((cells.position / np.array(cells.scale)).max(axis=0, initial=0)) + 1
        return tuple(int(size) for size in np.clip(high, 1, 2**31 - 1))
    shape = np.shape(labels[0])
    if len(shape) != cells.n_axes:
        raise ValueError(f"the frames of the label film have shape {shape}, but the cells have {cells.n_axes} axes")
    return shape


def _outlines(forest: Forest, labels: Film | None, progress: Progress[int]) -> Iterator[str]:
    """The outline of every detection, x y x y ..., relative to its centre; nothing where it has none."""
    cells = forest.detections
    if labels is not None and cells.n_axes == 2:
        return outlines(cells, labels, progress)
    roi = cells.columns.get("roi")
    return iter([""] * len(cells)) if roi is None or roi.dtype.kind not in "UO" else (str(text) for text in roi.tolist())


def _head(forest: Forest, spots: _Spots) -> Iterator[str]:
    cells = forest.detections
    known = set(cells.scale) != {1.0} or cells.interval is not None
    header = header_of(forest) | {"features": spots.columns, "made": spots.made}
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<TrackMate version="{VERSION}">\n<Log>Written by cytolineage.</Log>\n'
    yield f"<{ELEMENT}>{quoted([json.dumps(header)])[0]}</{ELEMENT}>\n"
    units = f'spatialunits="{"micron" if known else "pixel"}" timeunits="{"frame" if cells.interval is None else "sec"}"'
    yield f"<Model {units}>\n<FeatureDeclarations>\n<SpotFeatures>\n"
    yield from (_declared(key, *SPOT[key]) for key in SPOT)
    for key, (name, _) in spots.columns.items():
        if key not in SPOT:
            column = spots.features[key]
            small = column.dtype.kind == "b" or bool(np.all(np.abs(column.astype(float)) < 2**31))
            yield _declared(key, name or key, name or key, _dimension(name, cells.n_axes), column.dtype.kind in "biu" and small)
    yield "</SpotFeatures>\n<EdgeFeatures>\n"
    yield from (_declared(key, *EDGE[key]) for key in EDGE)
    yield "</EdgeFeatures>\n<TrackFeatures>\n"
    yield from (_declared(key, *TRACK[key]) for key in TRACK)
    yield "</TrackFeatures>\n</FeatureDeclarations>\n"


def _declared(key: str, name: str, short: str, dimension: str, is_whole: bool) -> str:
    name, short = quoted([name, short])
    return f'<Feature feature="{key}" name="{name}" shortname="{short}" dimension="{dimension}" isint="{str(is_whole).lower()}"/>\n'


def _dimension(name: str, n_axes: int) -> str:
    if name == "area":
        return "AREA" if n_axes == 2 else "NONE"  # VOLUME is not known to TrackMate 7
    return "INTENSITY" if "intensity" in name.lower() else "LENGTH" if name.startswith("axis_") else "NONE"


def _spots(forest: Forest, spots: _Spots, rois: Iterator[str]) -> Iterator[str]:
    cells = forest.detections
    features = dict(spots.features)
    for a, axis in enumerate(reversed(cells.axes)):
        features[f"POSITION_{axis.upper()}"] = cells.position[:, cells.n_axes - 1 - a]
    features.setdefault("POSITION_Z", np.zeros(len(cells)))
    features["POSITION_T"] = cells.frame * (1.0 if cells.interval is None else cells.interval)
    features |= {"FRAME": cells.frame, "VISIBILITY": forest.selected}
    yield f'<AllSpots nspots="{len(cells)}">\n'
    frame = -1
    for start in range(0, len(cells), CHUNK):
        part = slice(start, start + CHUNK)
        parts = [_values(key, column[part]) for key, column in features.items()]
        rows = zip(cells.frame[part].tolist(), spots.ids[part].tolist(), quoted(spots.names[part]), zip(*parts, strict=True), strict=True)
        lines = []
        for t, number, name, values in rows:
            if t != frame:
                lines.append(f'{CLOSED if frame >= 0 else ""}<SpotsInFrame frame="{t}">\n')
                frame = t
            lines.append(f'<Spot ID="{number}" name="{name}"{"".join(values)}{_outline(next(rois))}')
        yield "".join(lines)
    yield f"{CLOSED if frame >= 0 else ''}</AllSpots>\n"


def _values(key: str, column: Array) -> list[str]:
    """A feature as one XML attribute a spot; nothing where it is NaN."""
    if column.dtype.kind in "biu":
        return [f' {key}="{value}"' for value in (column.astype(np.int8) if column.dtype.kind == "b" else column).tolist()]
    return ["" if value != value else f' {key}="{java(value)}"' for value in column.astype(float).tolist()]


def _outline(text: str) -> str:
    """The end of a spot: nothing, or its outline."""
    return f' ROI_N_POINTS="{len(text.split()) // 2}">{quoted([text])[0]}</Spot>\n' if text else "/>\n"


def _tracks(forest: Forest, ids: IntArray) -> Iterator[str]:
    child, frame = forest.child_rows, forest.detections.frame
    child = child[np.argsort(forest.lineage_id[child], kind="stable")]
    parent = forest.parent[child]
    step = 1.0 if forest.detections.interval is None else forest.detections.interval
    far = np.linalg.norm(forest.detections.position[child] - forest.detections.position[parent], axis=1)
    tracks = np.unique(forest.lineage_id[child])
    starts, ends = (np.searchsorted(forest.lineage_id[child], tracks, side).tolist() for side in SIDES)
    columns = {"SPOT_SOURCE_ID": ids[parent], "SPOT_TARGET_ID": ids[child], "LINK_COST": forest.link_cost[child]}
    columns |= {"EDGE_TIME": (frame[child] + frame[parent]) / 2 * step, "DISPLACEMENT": far}
    parts = [_values(key, column) for key, column in columns.items()]
    edges = [f"<Edge{''.join(values)}/>\n" for values in zip(*parts, strict=True)]
    facts = [_values(key, column) for key, column in _track_facts(forest, tracks, step).items()]
    yield "<AllTracks>\n"
    for k, (start, end, values) in enumerate(zip(starts, ends, zip(*facts, strict=True), strict=True)):
        yield f'<Track name="Track_{k}"{"".join(values)}>\n{"".join(edges[start:end])}</Track>\n'
    yield "</AllTracks>\n<FilteredTracks>\n"
    yield from (f'<TrackID TRACK_ID="{k}"/>\n' for k in range(len(tracks)))
    yield "</FilteredTracks>\n</Model>\n"


def _track_facts(forest: Forest, tracks: IntArray, step: float) -> dict[str, Array]:
    lineage, frame = forest.lineage_id, forest.detections.frame
    count = int(lineage.max(initial=0)) + 1
    first, last = np.full(count, np.iinfo(np.int64).max), np.full(count, -1)
    np.minimum.at(first, lineage, frame)
    np.maximum.at(last, lineage, frame)
    number = np.arange(len(tracks))
    return {
        "TRACK_INDEX": number,
        "TRACK_ID": number,
        "NUMBER_SPOTS": np.bincount(lineage, minlength=count)[tracks],
        "NUMBER_GAPS": np.bincount(lineage, forest.gap > 0, count)[tracks].astype(int),
        "NUMBER_SPLITS": np.bincount(lineage, forest.n_children >= 2, count)[tracks].astype(int),
        "NUMBER_MERGES": np.zeros(len(tracks), int),
        "TRACK_DURATION": (last - first)[tracks] * step,
        "TRACK_START": first[tracks] * step,
        "TRACK_STOP": last[tracks] * step,
    }


def _tail(forest: Forest, spots: _Spots, shape: tuple[int, ...], image: Path | None) -> Iterator[str]:
    cells = forest.detections
    depth, height, width = (1,) * (3 - len(shape)) + shape
    dz, dy, dx = (1.0,) * (3 - len(cells.scale)) + cells.scale
    name, folder = quoted([image.name, str(image.parent)] if image else ["", ""])
    sizes = f'width="{width}" height="{height}" nslices="{depth}" nframes="{max(cells.n_frames, 1)}"'
    step = 1.0 if cells.interval is None else float(cells.interval)
    steps = f'pixelwidth="{dx!r}" pixelheight="{dy!r}" voxeldepth="{dz!r}" timeinterval="{step!r}"'
    yield f'<Settings>\n<ImageData filename="{name}" folder="{folder}" {sizes} {steps}/>\n'
    ends = f'xstart="0" xend="{width - 1}" ystart="0" yend="{height - 1}" zstart="0" zend="{depth - 1}"'
    yield f'<BasicSettings {ends} tstart="0" tend="{max(cells.n_frames, 1) - 1}"/>\n'
    quality = spots.features["QUALITY"].astype(float)
    least = float(np.min(quality, initial=0.0, where=np.isfinite(quality)))
    yield SETTINGS.format(radius=float(5 * min(cells.scale)), least=least)
