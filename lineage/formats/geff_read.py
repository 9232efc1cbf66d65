"""Reading GEFF of any version, ours or another tool's; arrays are looked over before they are decoded.

Only NumPy and zarr are needed here: the ``geff`` library refuses what its own older versions wrote, and trusts what a store declares.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from lineage.arrays import Array, FloatArray, IntArray
from lineage.films.units import MICROMETRES, SECONDS
from lineage.forest import Forest
from lineage.measure import AXES

from .graphs import SELECTED, TIMES, Edges, Nodes, forest_of, narrowed, text_column, whole
from .header import KEY, MOST_FRAMES, parsed
from .table import DERIVED
from .zarr_arrays import MARKS, Stored, arrays_below, attributes, values

CELLS = ("tracklet_id", "lineage_id")  # properties that follow from the links
POLYGON = "polygon"
COSTS = ("link_cost", "cost")
LABELS = ("label", "seg_id", "segmentation_id", "mask_id")
PLACES = ("pos", "position", "coords", "centroid")  # properties that hold all coordinates in one array
MOST_INSIDE = 200  # folders that are looked through for a GEFF


def recognises(path: Path) -> bool:
    """Whether a folder is a GEFF, or a zarr that holds one."""
    try:
        return path.is_dir() and bool(_groups(path))
    except (OSError, ValueError):
        return False


def read(path: str | Path, *, merges: str = "refuse") -> Forest:
    """Read lineages from a GEFF, or from a zarr folder with one GEFF inside.

    Axes of type time and space say what is what; without them, properties called ``t``, ``time`` or ``frame`` and ``z``, ``y``,
    ``x``, or ``pos``, do. Places are multiplied by the scale of their axis, and brought to micrometres where their unit is known;
    times that are no frame numbers are divided by their step. Where all ``z`` are 0, the film is 2D. In a candidate graph with a
    property ``selected`` or ``solution`` of nodes or edges, only what it marks is read as links. All other node properties become
    columns, ids other than 0, 1, 2, ... the column ``source_id``.

    Args:
        path: The folder.
        merges: What to do with a node that has two parents: ``refuse``, or ``keep-nearest``.

    Raises:
        FileNotFoundError: No such folder.
        ValueError: No GEFF, several of them, a store that is refused (links, objects, more declared than stored), or edges that make no
            lineages.
    """
    nodes, edges = parts(Path(path))
    with _readable(Path(path)):
        return forest_of(nodes, edges, merges=merges)


def parts(path: Path) -> tuple[Nodes, Edges]:
    """The nodes and edges of a GEFF, whether or not they make lineages; errors as from ``read``."""
    with _readable(path):
        return _parts(*_load(path))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong while a GEFF is read into one line that names it."""
    if not path.is_dir():
        raise FileNotFoundError(f"no such folder: {path}")
    try:
        yield
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, MemoryError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} is no readable GEFF: {reason}") from error


def _groups(path: Path) -> list[Path]:
    """The GEFFs at a path: itself, else those among the groups inside it, two levels deep."""
    if "geff" in attributes(path):
        return [path]
    level = [path]
    for _ in range(2):
        level = [
            entry
            for folder in level
            for entry in sorted(folder.iterdir())
            if entry.is_dir() and not entry.is_symlink() and any((entry / mark).is_file() for mark in MARKS)
        ][:MOST_INSIDE]
        if found := [folder for folder in level if "geff" in attributes(folder)]:
            return found
    return []


def _load(path: Path) -> tuple[dict[str, Any], dict[str, Stored]]:
    """The metadata of the GEFF at a path, and its arrays."""
    groups = _groups(path)
    if not groups:
        raise ValueError("no zarr group here has the attribute geff")
    if len(groups) > 1:
        raise ValueError(f"there are several: open one of {', '.join(group.relative_to(path).as_posix() for group in groups[:6])}")
    said = attributes(groups[0])["geff"]
    if not isinstance(said, dict):
        raise ValueError("its attribute geff is no JSON object")
    return said, arrays_below(groups[0])


def _parts(said: Mapping[str, Any], arrays: Mapping[str, Stored]) -> tuple[Nodes, Edges]:
    missing = [name for name in ("nodes/ids", "edges/ids") if name not in arrays]
    if missing:
        raise ValueError(f"there is no array {missing[0]}")
    ids, pairs = values(arrays["nodes/ids"]), values(arrays["edges/ids"])
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise ValueError(f"node ids are {ids.dtype} of shape {ids.shape}, but must be whole numbers, one a node")
    if pairs.ndim != 2 or pairs.shape[1] != 2 or (pairs.dtype.kind not in "iu" and pairs.size):
        raise ValueError(f"edge ids are {pairs.dtype} of shape {pairs.shape}, but must be pairs of whole numbers")
    header = (said.get("extra") or {}).get(KEY) or {}
    header = parsed(header) if isinstance(header, str) else header
    properties = _properties(arrays, "nodes/props/", len(ids), said)
    nodes = _nodes(said, properties, ids, header)
    edges = _edges(arrays, ids, pairs.astype(ids.dtype), said)
    return nodes, edges


def _properties(arrays: Mapping[str, Stored], place: str, count: int, said: Mapping[str, Any]) -> dict[str, Array]:
    """The properties of nodes or edges as columns; what is missing is NaN, False or an empty text."""
    columns = {}
    for name in [key[len(place) : -len("/values")] for key in arrays if key.startswith(place) and key.endswith("/values")]:
        given = {part: arrays[f"{place}{name}/{part}"] for part in ("values", "missing", "data") if f"{place}{name}/{part}" in arrays}
        for part, array in given.items():
            if part != "data" and array.shape[:1] != (count,):
                raise ValueError(f"property {name} has {part} of shape {array.shape}, but there are {count} ids")
        column = _ragged(values(given["values"]), values(given["data"]), name) if "data" in given else values(given["values"])
        gone = values(given["missing"]).astype(bool) if "missing" in given else np.zeros(count, bool)
        columns[name] = _without(column, gone) if gone.ndim == 1 and gone.any() else column
    declared = said.get("node_props_metadata")
    if place.startswith("nodes") and isinstance(declared, dict) and (lost := sorted(set(declared) - set(columns))):
        raise ValueError(f"property {lost[0]} is declared, but not there")
    return columns


def _ragged(offsets: Array, data: Array, name: str) -> Array:
    """A property with an array of its own shape for every node."""
    column = np.empty(len(offsets), object)
    if offsets.ndim != 2 or offsets.shape[1] < 2 or offsets.dtype.kind not in "iu" or data.ndim != 1:
        raise ValueError(f"property {name} has arrays of varying length that cannot be told apart")
    for i, (start, *shape) in enumerate(offsets.tolist()):  # over nodes: each has a shape of its own
        if start + math.prod(shape) > len(data):
            raise ValueError(f"property {name} of node {i} (counted from 0) reaches beyond its {len(data)} values")
        column[i] = data[start : start + math.prod(shape)].reshape(shape)
    return column


def _without(column: Array, gone: Array) -> Array:
    """A column where some values are missing."""
    if column.dtype.kind in "iu":
        column = column.astype(float)
    column = column.copy()
    column[gone] = np.nan if column.dtype.kind == "f" else False if column.dtype.kind == "b" else "" if column.dtype.kind == "U" else None
    return column


def _nodes(said: Mapping[str, Any], properties: dict[str, Array], ids: IntArray, header: Mapping[str, Any]) -> Nodes:
    axes = [axis for axis in said.get("axes") or () if isinstance(axis, dict) and axis.get("name") in properties]
    frame, interval = _frames(axes, properties)
    position, scale = _positions(said, axes, properties)
    related = [entry for entry in said.get("related_objects") or () if isinstance(entry, dict) and entry.get("type") == "labels"]
    named = [entry.get("node_prop") or entry.get("label_prop") for entry in related]
    label = next((name for name in (*named, *LABELS) if name in properties and properties[name].dtype.kind in "iu"), None)
    pixel = whole(properties.pop(label), label) if label else np.zeros(len(ids), np.int64)
    mark = next((name for name in SELECTED if name in properties and properties[name].dtype.kind == "b"), None)
    selected = properties.pop(mark) if mark else None
    columns: dict[str, Array] = {} if np.array_equal(ids, np.arange(len(ids))) else {"source_id": narrowed(ids, "int64")}
    columns |= _outlines(said, properties, position.shape[1])
    for name in {*DERIVED, *(said.get("track_node_props") or {}).values()}:
        properties.pop(name, None)
    names = header.get("columns") or {}
    for key, column in properties.items():
        name, dtype = names.get(key, (key, ""))
        columns[str(name)] = narrowed(column, str(dtype)) if column.dtype.kind in "biuf" else column
    return Nodes(frame, position, pixel, columns, selected, scale, interval, header=header)


def _frames(axes: list[dict[str, Any]], properties: dict[str, Array]) -> tuple[IntArray, float | None]:
    """Frame numbers, and seconds between frames; taken out of the properties."""
    axis = next((axis for axis in axes if axis.get("type") == "time"), {})
    lower = {name.lower(): name for name in reversed(properties)}
    name = axis.get("name") or next((lower[time] for time in TIMES if time in lower), None)
    if name is None:
        raise ValueError(f"there is no time axis; node properties are {', '.join(properties) or 'none'}")
    time, unit = properties.pop(name), SECONDS.get(str(axis.get("unit") or "").lower())
    step = _positive(axis.get("scale"))
    interval = step * SECONDS[str(axis["scaled_unit"]).lower()] if step and str(axis.get("scaled_unit")).lower() in SECONDS else None
    if unit is None and not (time.dtype.kind == "f" and np.isfinite(time).all() and (time % 1).any()):
        return whole(time, name, MOST_FRAMES), interval
    real = time.astype(float)
    steps = np.diff(np.unique(real))
    step = float(steps.min(initial=np.inf))
    frame = real / step if np.isfinite(step) else np.zeros(len(real))
    with np.errstate(invalid="ignore"):
        if not np.allclose(frame, np.round(frame), rtol=0, atol=1e-3):
            raise ValueError(f"times ({name}) are neither frames nor multiples of one step: the smallest is {step}")
    return whole(np.round(frame), name, MOST_FRAMES), step * unit if unit and np.isfinite(step) else interval


def _places(said: Mapping[str, Any], axes: list[dict[str, Any]], properties: dict[str, Array]) -> list[str]:
    """The properties that hold the coordinates, in order (z,) y, x; none where a single property holds them all."""
    spatial = [str(axis["name"]) for axis in axes if axis.get("type") == "space"] if axes else list(properties)
    hints = said.get("display_hints") if isinstance(said.get("display_hints"), dict) else {}
    hinted = [hints.get(f"display_{way}") for way in ("depth", "vertical", "horizontal")] if hints else []
    ended = {name.lower().rpartition("_")[2]: name for name in reversed(spatial)}  # POSITION_X is an x
    exact = {name.lower(): name for name in reversed(spatial)}
    for names in (hinted, *([given.get(axis) for axis in AXES[3]] for given in (exact, ended if axes else {}))):
        found = [name for name in names if name in spatial]
        if names[-2:] == found[-2:] and len(found) in AXES:
            return found
    return spatial if axes and len(spatial) in AXES else []  # axes of other names come in the order z, y, x


def _positions(said: Mapping[str, Any], axes: list[dict[str, Any]], properties: dict[str, Array]) -> tuple[FloatArray, tuple[float, ...]]:
    """Places in order (z,) y, x, and the size of a pixel where the axes have one; taken out of the properties."""
    names = _places(said, axes, properties)
    columns = [properties.pop(name) for name in names]
    block = next((name for name in PLACES if name in properties and properties[name].ndim == 2), None)
    if not names and block is not None and properties[block].shape[1] in AXES:
        columns = list(properties.pop(block).T)
    if not columns:
        raise ValueError(f"there are no space axes; node properties are {', '.join(properties) or 'none'}")
    for name, column in zip(names, columns, strict=False):
        if column.ndim != 1 or column.dtype.kind not in "iuf":
            raise ValueError(f"axis {name} must be one number a node, not {column.dtype} of shape {column.shape}")
    known = {str(axis["name"]): axis for axis in axes}
    parts, sizes, scaled = [], [], False
    for axis, column in zip([known.get(name, {}) for name in names] or [{}] * len(columns), columns, strict=True):
        size, unit = _positive(axis.get("scale")), MICROMETRES.get(str(axis.get("scaled_unit") or axis.get("unit") or "").lower(), 1.0)
        parts.append((column.astype(float) * (size or 1.0) + float(axis.get("offset") or 0)) * unit)
        sizes.append((size or 1.0) * unit)
        scaled = scaled or size is not None
    if (
        len(parts) == 3 and KEY not in (said.get("extra") or {}) and len(parts[0]) and not parts[0].any()
    ):  # a film that says 0 for the axis that it lacks
        parts, sizes = parts[1:], sizes[1:]
    return np.column_stack(parts), tuple(sizes) if scaled else ()


def _positive(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and 0 < value < np.inf else None


def _outlines(said: Mapping[str, Any], properties: dict[str, Array], n_axes: int) -> dict[str, Array]:
    """Polygons of a 2D film as texts, x y x y ..., relative to the cell; taken out of the properties."""
    name = said.get("polygon")
    if name not in properties or properties[name].dtype != object or n_axes != 2:
        return {}
    found, texts = properties.pop(name), []
    for points in found.tolist():  # over cells: each outline has a length of its own
        flat = points[:, ::-1].ravel().tolist() if points is not None and points.ndim == 2 and points.shape[1] == 2 else []
        texts.append(" ".join(str(int(value)) if value == int(value) else repr(value) for value in map(float, flat)))
    return {"roi": text_column(texts, range(len(texts)), len(texts))}


def _edges(arrays: Mapping[str, Stored], ids: IntArray, pairs: IntArray, said: Mapping[str, Any]) -> Edges:
    """The edges, from row to row; of a candidate graph only those that its solution has."""
    order = np.argsort(ids, kind="stable")
    again = np.flatnonzero(np.diff(ids[order].astype(object) if ids.dtype == np.uint64 else ids[order]) == 0)
    if again.size:
        raise ValueError(f"node {ids[order[again[0]]]} occurs twice")
    place = np.minimum(np.searchsorted(ids[order], pairs), max(len(ids) - 1, 0))
    if pairs.size and (not len(ids) or (ids[order][place] != pairs).any()):
        k = int(np.flatnonzero((ids[order][place] != pairs).any(axis=1))[0]) if len(ids) else 0
        raise ValueError(f"edge {pairs[k, 0]} -> {pairs[k, 1]} names a node that does not exist")
    rows = order[place] if pairs.size else np.zeros((0, 2), np.int64)
    properties = _properties(arrays, "edges/props/", len(pairs), said)
    known = next((properties[name] for name in COSTS if name in properties and properties[name].dtype.kind in "iuf"), None)
    cost = np.full(len(pairs), np.nan) if known is None or known.ndim != 1 else known.astype(float)
    directed = said.get("directed") is not False
    edges = Edges(rows[:, 0], rows[:, 1], cost, lambda row: str(ids[row]), directed)
    mark = next((name for name in SELECTED if name in properties and properties[name].dtype.kind == "b"), None)
    return edges.take(properties[mark]) if mark else edges
