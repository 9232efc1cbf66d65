"""Reading TrackMate XML of any version since 2: one pass, nothing in the file is ever expanded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lineage.arrays import Array, BoolArray, FloatArray, IntArray
from lineage.films.units import MICROMETRES, SECONDS
from lineage.forest import Forest

from .graphs import REAL, WHOLE, Edges, Nodes, check_size, column_of, ends, forest_of, narrowed, source_ids, text_column, whole
from .header import MOST_FRAMES, parsed
from .xml_text import parse, readable

ELEMENT = "Cytolineage"
PLACES = ("POSITION_X", "POSITION_Y", "POSITION_Z")
READ = (*PLACES, "POSITION_T", "FRAME", "VISIBILITY")  # features that are no columns


class _Content:
    """What the elements of a file said: features, spots, edges, tracks, the image."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}
        self.names: list[str] = []
        self.frames: list[str] = []
        self.values: dict[str, tuple[list[int], list[str]]] = {}  # by feature: spots and what they say
        self.rois: tuple[list[int], list[str], list[str]] = ([], [], [])  # spots, numbers of points, points
        self.is_whole: dict[str, bool] = {}
        self.edges: list[tuple[str, str]] = []
        self.costs: tuple[list[int], list[str]] = ([], [])
        self.track_of: list[str] = []  # of every edge
        self.shown: set[str] | None = None  # tracks that the user has not filtered away
        self.image: dict[str, str] = {}
        self.units: dict[str, str] = {}
        self.header: list[str] = []
        self.frame, self.track, self.scope = "", "", ""
        self.text: list[str] | None = None  # where text goes

    def start(self, tag: str, given: dict[str, str]) -> None:
        """Take in the start of an element; the most frequent ones come first."""
        if tag == "Spot":
            self._spot(given)
        elif tag == "Edge":
            if "LINK_COST" in given:
                self.costs[0].append(len(self.edges))
                self.costs[1].append(given["LINK_COST"])
            self.edges.append((given["SPOT_SOURCE_ID"], given["SPOT_TARGET_ID"]))
            self.track_of.append(self.track)
        elif tag == "SpotsInFrame":
            self.frame = given["frame"]
        elif tag == "Track":
            self.track = given["TRACK_ID"]
        elif tag == "TrackID" and self.shown is not None:
            self.shown.add(given["TRACK_ID"])
        elif tag == "FilteredTracks":
            self.shown = set()
        elif tag in ("SpotFeatures", "EdgeFeatures", "TrackFeatures"):
            self.scope = tag
        elif tag == "Feature" and self.scope == "SpotFeatures":
            self.is_whole[given["feature"]] = given.get("isint", "").lower() == "true"
        elif tag == "Model":
            self.units = given
        elif tag == "ImageData":
            self.image = given
        elif tag == ELEMENT:
            self.text = self.header

    def _spot(self, given: dict[str, str]) -> None:
        row, number = len(self.ids), given.pop("ID")
        if number in self.ids:
            raise ValueError(f"spot {number} occurs twice")
        self.ids[number] = row
        self.names.append(given.pop("name", ""))
        self.frames.append(self.frame)
        points = given.pop("ROI_N_POINTS", "")
        if points:
            self.text = []
            self.rois[0].append(row)
            self.rois[1].append(points)
        for feature, value in given.items():
            rows, texts = self.values.get(feature) or self.values.setdefault(feature, ([], []))
            rows.append(row)
            texts.append(value)

    def end(self, tag: str) -> None:
        """Take in the end of an element."""
        if tag == "Spot" and self.text is not None:
            self.rois[2].append("".join(self.text))
            self.text = None
        elif tag == ELEMENT:
            self.text = None

    def data(self, text: str) -> None:
        """Take in the text between tags."""
        if self.text is not None:
            self.text.append(text)


def read(path: str | Path, *, merges: str = "refuse") -> Forest:
    """Read the spots and tracks of a TrackMate file.

    Features of spots become columns of the same name, outlines the column ``roi`` (x y x y ..., relative to the position, physical
    units), names the column ``name`` where they say more than the id, and ids the column ``source_id``. Edges go forward in time.
    Spots in no track are cells of their own, unless they are invisible. Tracks that were filtered away are not read as links, and
    their spots, like invisible ones, are not selected. Features of edges (but for their cost) and of tracks follow from the rest
    and are not kept. A film of one plane is 2D.

    Args:
        path: The file.
        merges: What to do with a spot that has two parents: ``refuse``, or ``keep-nearest``.

    Raises:
        FileNotFoundError: No such file.
        ValueError: No well-formed XML, a document type or entities (refused), features that are no numbers, edges that make no
            lineages.
    """
    nodes, edges = parts(Path(path))
    with readable(Path(path), "TrackMate file"):
        return forest_of(nodes, edges, merges=merges)


def parts(path: Path) -> tuple[Nodes, Edges]:
    """The nodes and edges of a file, whether or not they make lineages; errors as from ``read``."""
    content = _Content()
    with readable(path, "TrackMate file"):
        parse(path, content.start, content.end, content.data)
        if not content.units and not content.ids:
            raise ValueError("it has no element Model")
        return _parts(content)


def _parts(content: _Content) -> tuple[Nodes, Edges]:
    n = len(content.ids)
    check_size(n, len(content.values), sum(len(rows) for rows, _ in content.values.values()))
    header = parsed("".join(content.header))
    known, made = _described(header)
    micrometres = MICROMETRES.get(content.units.get("spatialunits", "").strip().lower(), 1.0)
    position = _positions(content, n, header) * micrometres
    columns = source_ids(list(content.ids)) | _columns(content, n, known, made) | _texts(content, n, micrometres)
    source, target = ends(content.edges, content.ids)
    cost = column_of(REAL, *content.costs, len(source), name="LINK_COST")
    hidden = np.array([content.shown is not None and track not in content.shown for track in content.track_of], bool)
    links = Edges(source[~hidden], target[~hidden], cost[~hidden], list(content.ids).__getitem__, directed=False, what="spot")
    frame = whole(column_of(REAL, range(n), content.frames, n, name="frame"), "frame", MOST_FRAMES)
    label = whole(columns.pop("label"), "label") if "label" in known and "label" in columns else np.zeros(n, np.int64)
    scale, interval, n_frames = _calibration(content, position.shape[1], micrometres)
    selected = _selected(content, n, source, target, hidden)
    return Nodes(frame, position, label, columns, selected, scale, interval, n_frames, header), links


def _positions(content: _Content, n: int, header: Mapping[str, Any]) -> FloatArray:
    """Places of the spots, (z,) y, x, in the units of the file."""
    x, y, z = (column_of(REAL, *content.values.get(name, ([], [])), n, name=name) for name in PLACES)
    slices = content.image.get("nslices", "1").strip()
    flat = slices in ("", "0", "1") and (not n or bool((z == z[0]).all()) or bool(np.isnan(z).all()))
    if "axes" in header:
        flat = header["axes"] == "yx"
    return np.column_stack([y, x] if flat else [z, y, x])


def _described(header: Mapping[str, Any]) -> tuple[dict[str, tuple[str, str]], set[str]]:
    """What our own writer says of its features: the column of each and its type; and which it made up."""
    try:
        known = {str(feature): (str(name), np.dtype(kind).name) for feature, (name, kind) in header.get("features", {}).items()}
        return known, set(map(str, header.get("made", [])))
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError("its header says nothing of its features") from error


def _columns(content: _Content, n: int, known: Mapping[str, tuple[str, str]], made: set[str]) -> dict[str, Array]:
    """Features of the spots, by name, in the type that they are declared with."""
    columns = {}
    for feature in dict.fromkeys((*content.is_whole, *content.values)):
        if feature in READ or (feature in made and feature not in known):
            continue
        rows, texts = content.values.get(feature, ([], []))
        name, dtype = known.get(feature, (feature, ""))
        kind = WHOLE if content.is_whole.get(feature) or np.dtype(dtype or float).kind in "iu" else REAL
        if rows or feature in known:
            columns[name] = narrowed(_numbers(kind, rows, texts, n, feature), dtype)
    return columns


def _numbers(kind: str, rows: list[int], texts: list[str], n: int, name: str) -> Array:
    """A feature; TrackMate writes some whole numbers as ``1.0``."""
    if kind == REAL or all(text.lstrip("+-").isdigit() for text in texts):
        return column_of(kind, rows, texts, n, name=name)
    real = column_of(REAL, rows, texts, n, name=name)
    with np.errstate(invalid="ignore"):
        exact = bool((np.abs(real) < 2**53).all() and (real == np.floor(real)).all())
    return real.astype(np.int64) if exact else real


def _texts(content: _Content, n: int, micrometres: float) -> dict[str, Array]:
    """Names and outlines."""
    columns = {}
    if any(name not in ("", f"ID{number}") for name, number in zip(content.names, content.ids, strict=True)):
        columns["name"] = text_column(content.names, range(n), n)
    found = []
    names = list(content.ids)
    for row, declared, text in zip(*content.rois, strict=True):  # over outlines: each is a text of its own length
        numbers = text.split()
        if not declared.isdigit() or len(numbers) != 2 * int(declared):
            raise ValueError(f"spot {names[row]} declares {declared} outline points, but gives {len(numbers)} coordinates")
        values = np.array(numbers, float)
        if not np.isfinite(values).all():
            raise ValueError(f"spot {names[row]} has an outline that is not finite")
        found.append(" ".join(numbers) if micrometres == 1 else " ".join(map(repr, (values * micrometres).tolist())))
    if found:
        columns["roi"] = text_column(found, content.rois[0], n)
    return columns


def _selected(content: _Content, n: int, source: IntArray, target: IntArray, hidden: BoolArray) -> BoolArray:
    """Spots in a track that is shown, and visible ones in no track."""
    visible = column_of(REAL, *content.values.get("VISIBILITY", ([], [])), n, name="VISIBILITY") != 0
    for some, value in ((hidden, False), (~hidden, True)):
        visible[source[some]] = visible[target[some]] = value
    return visible


def _calibration(content: _Content, n_axes: int, micrometres: float) -> tuple[tuple[float, ...], float | None, int]:
    """Size of a pixel, (z,) y, x, seconds between frames, and number of frames; ones and nothing where the file does not say."""
    sizes = [_positive(content.image.get(name)) for name in ("voxeldepth", "pixelheight", "pixelwidth")]
    scale = tuple((size or 1.0) * micrometres for size in sizes[3 - n_axes :])
    unit = SECONDS.get(content.units.get("timeunits", "").strip().lower())
    step = _positive(content.image.get("timeinterval"))
    frames = _positive(content.image.get("nframes")) or 0.0
    return scale, step * unit if step and unit else None, int(min(frames, MOST_FRAMES))


def _positive(text: str | None) -> float | None:
    try:
        value = float(text or 0)
    except ValueError:
        return None
    return value if 0 < value < np.inf else None
