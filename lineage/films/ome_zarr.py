"""Zarr arrays and OME-Zarr images (zarr 2 and 3), chunk by chunk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lineage.arrays import slabs

from .opened import OpenedFilm, layout_of, with_scale
from .units import micrometres, seconds
from .zarr_chunks import Chunked

MARKS = ("zarr.json", ".zarray", ".zgroup", ".zattrs")
OLD_AXES = ("t", "c", "z", "y", "x")  # OME-Zarr before 0.3 does not name them


def is_zarr(path: Path) -> bool:
    """Whether a folder is a zarr array or group."""
    return path.is_dir() and any((path / mark).is_file() for mark in MARKS)


def open_zarr(path: Path, *, channel: int | None = None, axes: str = "", holes: bool = False) -> OpenedFilm:
    """A zarr array, or the full-resolution image of an OME-Zarr, as a film.

    Args:
        path: The folder of the array or of the image.
        channel: Which channel to take where there are several.
        axes: One letter an axis, when the file does not say or says it wrongly.
        holes: Believe that missing chunks are blank where that is not known; see ``zarr_chunks``.

    Raises:
        ValueError: No readable zarr, a group without an image, axes that make no film; or a chunk of the first frame was lost.
    """
    import zarr

    try:
        node: Any = zarr.open(str(path), mode="r")
    except Exception as error:  # zarr raises a dozen types here
        raise ValueError(f"{path} is no readable zarr: {' '.join(str(error).split()) or type(error).__name__}") from error
    if hasattr(node, "shape"):
        names = getattr(node.metadata, "dimension_names", None) or ()
        return _in_chunks(node, path, channel, axes or _letters(names, node.ndim), holes=holes)
    image, multiscale = _multiscale(node, path)
    return _of_image(image, multiscale, path, channel, axes, holes=holes)


def _in_chunks(array: Any, path: Path, channel: int | None, axes: str, *, holes: bool) -> OpenedFilm:  # noqa: ANN401 - zarr has no types
    """The film of an array; a first frame that cannot be decoded is found here, not in the middle of a run."""
    plan = layout_of(array, axes, channel=channel, name=str(path))
    chunked = Chunked(array, plan, path / array.path, path, holes)
    if not chunked.marked:  # ours can be decoded, and may be opened while they are being written
        chunked.read(0, slabs(plan.spatial)[0])
    return OpenedFilm((plan.frames, *plan.spatial), array.dtype, chunked.read, path=path, sources=chunked.sources)


def _letters(names: Any, count: int) -> str:  # noqa: ANN401 - a list or a tuple of names or None
    first = "".join(str(name)[:1].upper() for name in names)
    return first if len(first) == count and set(first) <= set("TCZYX") else ""


def _multiscale(node: Any, path: Path) -> tuple[Any, Mapping[str, Any]]:  # noqa: ANN401 - zarr has no types
    """The group that holds an image and what it says about it."""
    attributes = dict(node.attrs)
    attributes = attributes.get("ome", attributes)
    if "bioformats2raw.layout" in attributes and "0" in node:
        return _multiscale(node["0"], path)
    found = attributes.get("multiscales")
    if found:
        return node, found[0]
    inside = ", ".join(sorted(node)[:6])
    raise ValueError(f"{path} is a zarr group without an image (no multiscales): open one of {inside or 'its arrays, but it has none'}")


def _of_image(
    node: Any,  # noqa: ANN401 - zarr has no types
    multiscale: Mapping[str, Any],
    path: Path,
    channel: int | None,
    axes: str,
    *,
    holes: bool,
) -> OpenedFilm:
    try:
        dataset = multiscale["datasets"][0]
        array = node[dataset["path"]]
        described = [axis if isinstance(axis, dict) else {"name": axis} for axis in multiscale.get("axes", OLD_AXES)]
        names = [str(axis["name"]) for axis in described]
        steps = _product(dataset, multiscale, len(names))
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"{path}: the OME-Zarr metadata cannot be understood: {type(error).__name__} {error}") from error
    film = _in_chunks(array, path, channel, axes or _letters(names, array.ndim), holes=holes)
    sizes = {name.upper(): micrometres(step, axis.get("unit")) for name, step, axis in zip(names, steps, described, strict=True)}
    interval = next((seconds(step, axis.get("unit")) for axis, step in zip(described, steps, strict=True) if _is_time(axis)), None)
    said = any("scale" in entry for entry in dataset.get("coordinateTransformations", ()))
    return with_scale(film, sizes if said else {}, interval if said else None)


def _is_time(axis: Mapping[str, Any]) -> bool:
    """A time axis with a unit; without one its step is a count of frames, not a time."""
    return str(axis["name"]).lower() == "t" and bool(axis.get("unit"))


def _product(dataset: Mapping[str, Any], multiscale: Mapping[str, Any], count: int) -> list[float]:
    """The step along every axis: the scale of the level times the scale of the whole image."""
    steps = [1.0] * count
    for owner in (dataset, multiscale):
        for entry in owner.get("coordinateTransformations", ()):
            if "scale" in entry:
                steps = [step * float(factor) for step, factor in zip(steps, entry["scale"], strict=True)]
    return steps
