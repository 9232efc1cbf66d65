"""GEFF, the exchange format of motile, tracksdata, funtracks, ultrack, trackastra, inTRACKtive and TrackMate 9: a graph in a zarr folder.

Node properties: ``t``, ``z``, ``y``, ``x`` (physical units) as axes, ``label`` (pixel value), ``tracklet_id`` and ``lineage_id``, what was
measured, and ``selected`` where some detections are not. Here a tracklet is what GEFF means by the word: a path without division, gaps
bridged. Edge properties: ``dt`` (frames) and ``link_cost`` (nats). Outlines (``roi``) become polygons, which keep their numbers, but not
how these were spelt. What a forest is beside its cells and links stands in the free part of the metadata, under ``cytolineage``.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from lineage.arrays import Array, BoolArray, IntArray
from lineage.films.atomic import new_folder
from lineage.forest import Forest

from .geff_read import CELLS, POLYGON, read, recognises
from .graphs import SELECTED
from .header import HEADER, KEY, header_of

if TYPE_CHECKING:
    from geff_spec import GeffMetadata

__all__ = ["HOLDS", "read", "recognises", "write"]

HOLDS = HEADER | {"divisions", "gaps", "isolated", "positions", "labels", "columns", "text", "control", "arrays", "link_cost", "unselected"}
OURS = ("zarr.json", ".zgroup", ".zattrs", ".zmetadata", "nodes", "edges")  # entries of such a folder
SAFE = re.compile(r"\w([\w .-]{0,58}\w)?")  # names that are folders on every system


def write(
    forest: Forest,
    path: str | Path,
    *,
    labels_path: str | Path | None = None,
    image_path: str | Path | None = None,
    overwrite: bool = False,
) -> None:
    """Write the lineages as a GEFF folder, unselected detections as nodes without edges.

    Args:
        forest: Lineages.
        path: The folder, usually ``*.geff``; it appears when it is complete and replaces an older one.
        labels_path: Where the label film lies, for the metadata; best a zarr beside the folder.
        image_path: Where the film lies.
        overwrite: Write into a folder that holds other things too; they are kept.

    Raises:
        FileExistsError: The folder holds other things and ``overwrite`` is not set.
    """
    from geff.core_io import write_arrays

    path = Path(path)
    names = _names(forest)
    child = forest.child_rows
    cost = forest.link_cost[child]
    edges = {"dt": _property(forest.gap[child] + 1), "link_cost": _property(cost, np.isnan(cost))}
    related = [("labels", labels_path, "label"), ("image", image_path, None)]
    said = _metadata(forest, names, [(kind, _relative(other, path), name) for kind, other, name in related if other is not None])
    with new_folder(path, OURS.__contains__, overwrite=overwrite) as temporary:
        temporary.rmdir()  # geff takes a folder that is there for an older GEFF
        write_arrays(
            temporary,
            node_ids=np.arange(len(forest)),
            node_props=_node_properties(forest, names),
            edge_ids=np.column_stack([forest.parent[child], child]),
            edge_props=edges,
            metadata=said,
        )


def _relative(other: str | Path, path: Path) -> str:
    return Path(os.path.relpath(other, path)).as_posix()


def _property(values: Array, missing: BoolArray | None = None) -> Any:  # noqa: ANN401 - geff's own dictionary
    return {"values": values, "missing": missing if missing is not None and missing.any() else None}


def _names(forest: Forest) -> dict[str, str]:
    """The property of every column that GEFF can hold: its name, made safe where folders cannot be called so."""
    cells = forest.detections
    taken = {"t", "label", "selected", POLYGON, *cells.axes, *CELLS}
    names: dict[str, str] = {}
    for name, column in cells.columns.items():
        if not (column.dtype.kind in "biufU" or _is_text(column)) or (name == "roi" and _polygons(forest) is not None):
            continue
        safe = name if SAFE.fullmatch(name) else quote(name, safe=" ", errors="surrogatepass").replace(".", "%2E")[:100] or "unnamed"
        key, k = safe, 2
        while key.lower() in taken:  # some systems do not tell A from a
            key, k = f"{safe}_{k}", k + 1
        taken.add(key.lower())
        names[name] = key
    return names


def _is_text(column: Array) -> bool:
    return column.dtype.kind == "O" and column.ndim == 1 and all(isinstance(value, str) for value in column.tolist())


def _node_properties(forest: Forest, names: Mapping[str, str]) -> dict[str, Any]:
    cells = forest.detections
    properties: dict[str, Any] = {"t": _property(cells.frame)}
    properties |= {axis: _property(np.ascontiguousarray(cells.position[:, a])) for a, axis in enumerate(cells.axes)}
    properties |= {"label": _property(cells.label)}
    properties |= {name: _property(ids) for name, ids in zip(CELLS, _tracks(forest), strict=True)}
    if not forest.selected.all() or not cells.columns.keys().isdisjoint(SELECTED):
        properties["selected"] = _property(forest.selected)
    for name, key in names.items():
        column = cells.columns[name]
        empty = np.isnan(column) if column.dtype.kind == "f" and column.ndim == 1 else None
        properties[key] = _property(_plain(column), empty)
    if (polygons := _polygons(forest)) is not None:
        properties[POLYGON] = _property(polygons, np.array([not len(points) for points in polygons], bool))
    return properties


def _plain(column: Array) -> Array:
    """A column in a type that GEFF knows."""
    if column.dtype.kind in "UO":
        text = column.astype(np.str_)
        return text if text.dtype.itemsize else text.astype("U1")
    if column.dtype.kind == "f" and column.dtype.itemsize not in (4, 8):
        column = column.astype(np.float32 if column.dtype.itemsize < 4 else np.float64)
    return np.ascontiguousarray(column.astype(column.dtype.newbyteorder("="), copy=False))


def _tracks(forest: Forest) -> tuple[IntArray, IntArray]:
    """Tracklets as GEFF defines them, gaps bridged, and lineages; a detection that is not selected is one of its own."""
    tracklet, lineage = forest.tracklet_id.copy(), forest.lineage_id.copy()
    after = np.flatnonzero((forest.gap > 0) & (forest.n_children[forest.parent] == 1))
    number = np.arange(int(tracklet.max(initial=0)) + 1)
    for i, before in zip(tracklet[after].tolist(), tracklet[forest.parent[after]].tolist(), strict=True):
        number[i] = number[before]  # over gaps: each goes on with what the one before it was, and those come first
    tracklet = number[tracklet]
    alone = np.flatnonzero(~forest.selected)
    for ids in (tracklet, lineage):
        ids[alone] = int(ids.max(initial=0)) + 1 + np.arange(len(alone))
    return tracklet, lineage


def _polygons(forest: Forest) -> Array | None:
    """Outlines as arrays of points, (k, 2) y x, relative to the cell; None when there are none."""
    cells = forest.detections
    roi = cells.columns.get("roi")
    if roi is None or cells.n_axes != 2 or roi.dtype.kind not in "UO" or not len(roi):
        return None
    polygons = np.empty(len(roi), object)
    try:
        for i, text in enumerate(roi.tolist()):  # over cells: each outline has a length of its own
            polygons[i] = np.ascontiguousarray(np.array(text.split(), float).reshape(-1, 2)[:, ::-1])
    except (ValueError, AttributeError):
        return None  # another kind of text, which stays text
    return polygons


def _metadata(forest: Forest, names: Mapping[str, str], related: list[tuple[str, str, str | None]]) -> GeffMetadata:
    from geff_spec import Axis, DisplayHint, GeffMetadata, RelatedObject

    cells = forest.detections
    unit = "pixel" if set(cells.scale) == {1.0} and cells.interval is None else "micrometer"
    clock: dict[str, Any] = {} if cells.interval is None else {"scale": cells.interval, "scaled_unit": "second"}
    axes = [Axis(name="t", type="time", unit="frame", **clock), *(Axis(name=axis, type="space", unit=unit) for axis in cells.axes)]
    header: Any = header_of(forest) | {"columns": {key: [name, cells.columns[name].dtype.name] for name, key in names.items()}}
    try:
        json.dumps(header, allow_nan=False)
    except ValueError:
        header = json.dumps(header)  # numbers that are not finite have no place in JSON, so it goes in as text
    return GeffMetadata(
        directed=True,
        axes=axes,
        node_props_metadata={},
        edge_props_metadata={},
        polygon=POLYGON if _polygons(forest) is not None else None,
        track_node_props={"tracklet": CELLS[0], "lineage": CELLS[1]},
        related_objects=[RelatedObject(type=kind, path=place, node_prop=name) for kind, place, name in related] or None,
        display_hints=DisplayHint(
            display_horizontal="x", display_vertical="y", display_depth="z" if cells.n_axes == 3 else None, display_time="t"
        ),
        extra={KEY: header},
    )
