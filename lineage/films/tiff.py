"""TIFF stacks: plain, ImageJ and OME, page by page."""

from __future__ import annotations

import html
import itertools
import logging
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import tifffile

from lineage.arrays import Array, slabs

from .opened import Layout, OpenedFilm, Place, Sources, in_one_file, layout, of_array, with_scale
from .units import MICROMETRES, micrometres, seconds

SMALL, SQUEEZED = 2**28, 20_000  # bytes, and times smaller than its pixels: no honest page is
FOREIGN_UNITS = ("", "pixel", "pixels", "inch")  # of resolutions that are about printing, not about the specimen


@contextmanager
def quiet() -> Iterator[list[str]]:
    """Keep tifffile from logging; the list receives its errors."""
    errors: list[str] = []

    def hear(record: logging.LogRecord) -> bool:
        if record.levelno >= logging.ERROR:
            errors.append(" ".join(record.getMessage().split()))
        return False

    logger = logging.getLogger("tifffile")
    logger.addFilter(hear)
    try:
        yield errors
    finally:
        logger.removeFilter(hear)


def open_tiff(path: Path, *, channel: int | None = None, axes: str = "", one_frame: bool = False, probe: bool = True) -> OpenedFilm:
    """A TIFF stack as a film; its pages are checked now and decoded when asked for.

    Args:
        path: The file.
        channel: Which channel to take where there are several.
        axes: One letter an axis, when the file does not say or says it wrongly.
        one_frame: The file is one frame of a film: its pages are depth, not time.
        probe: Decode the first frame at once, so that a file that cannot be decoded is found here, not in the middle of a run.

    Raises:
        ValueError: No readable TIFF, cut off, pages of different shape, several series, axes that make no film.
    """
    with quiet() as errors:
        try:
            tif = tifffile.TiffFile(path)
        except Exception as error:  # a file that is none makes tifffile raise whatever it likes
            raise ValueError(f"{path} is no readable TIFF: {_reason(error)}") from error
        with tif:
            try:
                all_series = list(tif.series)
            except Exception as error:
                raise ValueError(f"{path} is no readable TIFF: {_reason(error)}") from error
            if errors:
                raise ValueError(f"{path} is cut off or corrupt after page {len(tif.pages) - 1}: {errors[0]}")
            series = _only(all_series, path)
            try:
                film = _film(tif, path, series, channel, axes or _axes(series, one_frame=one_frame))
            except Exception as error:
                if isinstance(error, ValueError | OSError) and str(path) in str(error):
                    raise
                raise ValueError(f"{path} is cut off or corrupt: {_reason(error)}") from error
    if probe:
        film.part(0, slabs(film.shape[1:])[0])
    return film


def _only(all_series: list[Any], path: Path) -> Any:  # noqa: ANN401 - tifffile has no types
    if not all_series:
        raise ValueError(f"{path} holds no image")
    if len(all_series) > 1:
        raise ValueError(_several(path, all_series))
    return all_series[0]


def _film(tif: Any, path: Path, series: Any, channel: int | None, named: str) -> OpenedFilm:  # noqa: ANN401 - tifffile has no types
    pages = list(series.pages)
    if len(named) != len(series.shape):
        raise ValueError(f"{path} has axes {series.axes} of shape {series.shape}, but axes={named!r} names {len(named)}")
    _check_pages(path, pages, tif.filehandle.size)
    if len(pages) == 1 and series.size > math.prod(series.keyframe.shape):  # one page stands for the whole stack
        film = in_one_file(of_array(tifffile.memmap(path, mode="r"), named, channel=channel, path=path), path)
    else:
        film = _of_pages(path, series, named, channel)
    return with_scale(film, *_sizes(tif))


def _axes(series: Any, *, one_frame: bool) -> str:  # noqa: ANN401 - tifffile has no types
    """The axes of a series; ImageJ calls the frames of a plain stack slices, so its Z is time when it knows no time."""
    axes: str = series.axes
    if one_frame:
        return axes if "Z" in axes else re.sub("[TQI]", "Z", axes, count=1)
    return axes.replace("Z", "T") if series.kind == "imagej" and "T" not in axes else axes


def _several(path: Path, all_series: list[Any]) -> str:
    first, other = all_series[0], all_series[1]
    page = getattr(other.pages[0], "index", "?")
    if first.kind == "ome":
        return f"{path} holds {len(all_series)} image series: save each as a film of its own"
    return f"{path}: page {page} has shape {other.keyframe.shape} {other.dtype}, but page 0 has {first.keyframe.shape} {first.dtype}"


def _check_pages(path: Path, pages: list[Any], size: int) -> None:
    for k, page in enumerate(pages):
        if page is None:
            raise ValueError(f"{path}: page {k} is missing")
        last = max((offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)), default=0)
        if page.parent.filehandle.path == str(path.absolute()) and last > size:
            raise ValueError(f"{path} is cut off: page {k} needs {last} bytes, but the file has {size}")
        claimed = math.prod(page.shape) * page.dtype.itemsize if page.dtype is not None else 0
        if claimed > SMALL + SQUEEZED * size:
            raise ValueError(f"{path}: page {k} claims the shape {page.shape}, which is not believed of a file of {size} bytes")


def _of_pages(path: Path, series: Any, axes: str, channel: int | None) -> OpenedFilm:  # noqa: ANN401 - tifffile has no types
    """Pages lie on a grid of the leading axes (time, depth, channel); each holds the rest."""
    pages, shape = list(series.pages), tuple(series.shape)
    n_lead = next(k for k in range(len(shape) - 2, -1, -1) if math.prod(shape[:k]) == len(pages))
    whole = layout(axes, shape, channel=channel, name=str(path))
    if "T" in whole.axes[n_lead:]:
        raise ValueError(f"{path} has axes {axes} of shape {shape}: time inside a page is not supported, reorder to TZYX")
    outer = Layout(whole.axes[:n_lead], shape[:n_lead], whole.channel)
    depth = "Z" if "Z" in outer.axes else ""
    inner = Layout(depth + whole.axes[n_lead:], (*outer.spatial, *shape[n_lead:]), whole.channel)
    grid = np.arange(len(pages)).reshape(outer.shape)
    lock = Lock()

    def read(t: int, place: Place) -> Array:
        rows = outer.pick(grid, t, place[: len(outer.spatial)])
        with lock:
            decoded = [_decode(path, pages[k], k) for k in rows.ravel().tolist()]
        try:
            rest = (slice(None),) * len(place[: len(outer.spatial)]) + place[len(outer.spatial) :]  # what is a page is picked already
            return inner.pick(np.stack(decoded).reshape(*rows.shape, *shape[n_lead:]), 0, rest)
        except ValueError as error:
            raise ValueError(f"{path}: frame {t} cannot be decoded, the file is corrupt: {error}") from error

    def sources(t: int) -> Sources:  # the pages of an OME-TIFF may lie in other files
        parts = {pages[k].parent.filehandle.path for k in outer.pick(grid, t).ravel().tolist()}
        return (path, *(Path(part) for part in sorted(parts - {str(path.absolute())})))

    return OpenedFilm((whole.frames, *whole.spatial), np.dtype(series.dtype), read, path=path, sources=sources)


def _decode(path: Path, page: Any, number: int) -> Array:  # noqa: ANN401 - tifffile has no types
    file = page.parent.filehandle
    try:
        with quiet():
            file.open()
            try:
                return np.asarray(page.asarray())
            finally:
                file.close()
    except FileNotFoundError as error:
        raise FileNotFoundError(f"no such file: {path}") from error
    except Exception as error:  # decoders raise whatever they like
        if "imagecodecs" in str(error) or isinstance(error, ImportError):
            kind = getattr(page.compression, "name", page.compression)
            raise ValueError(f"{path} is compressed with {kind}, which needs imagecodecs: pip install cytolineage[lzw]") from error
        raise ValueError(f"{path}: page {number} cannot be decoded, the file is corrupt: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _sizes(tif: Any) -> tuple[dict[str, float], float | None]:  # noqa: ANN401 - tifffile has no types
    """Pixel size by axis and frame interval, from OME, ImageJ or our own metadata."""
    if tif.is_ome:
        return _ome_sizes(tif.ome_metadata or "")
    if tif.is_imagej:
        return _imagej_sizes(tif)
    for entry in tif.shaped_metadata or ():
        scale, interval = entry.get("scale"), entry.get("interval")
        if isinstance(scale, list) or interval is not None:
            sizes = scale if isinstance(scale, list) and all(isinstance(size, int | float) for size in scale) else []
            known = float(interval) if isinstance(interval, int | float) else None
            return dict(zip("ZYX"[-len(sizes) :], map(float, sizes), strict=False)), known
    return {}, None


def _imagej_sizes(tif: Any) -> tuple[dict[str, float], float | None]:  # noqa: ANN401 - tifffile has no types
    meta = tif.imagej_metadata or {}
    unit = str(meta.get("unit", ""))
    tags = tif.pages[0].tags
    sizes: dict[str, float] = {}
    if unit.strip().lower() not in FOREIGN_UNITS:
        for axis, tag in (("X", "XResolution"), ("Y", "YResolution")):
            above, below = tags[tag].value if tag in tags else (0, 0)
            if above:
                sizes[axis] = micrometres(below / above, unit)
        if isinstance(meta.get("spacing"), float | int):
            sizes["Z"] = micrometres(float(meta["spacing"]), unit)
    interval = meta.get("finterval")
    return sizes, seconds(float(interval), str(meta.get("tunit", ""))) if isinstance(interval, float | int) else None


def _ome_sizes(xml: str) -> tuple[dict[str, float], float | None]:
    """The attributes of the first Pixels element, read without an XML parser: nothing in a file is ever expanded."""
    pixels = re.search(r"<(?:\w+:)?Pixels\b([^>]*)>", xml)
    found = _attributes(pixels.group(1)) if pixels else {}
    sizes = {}
    for axis in "ZYX":
        value, unit = _number(found.get(f"PhysicalSize{axis}")), found.get(f"PhysicalSize{axis}Unit", "um")
        if value is not None and unit.lower() in MICROMETRES:
            sizes[axis] = micrometres(value, unit)
    interval = _number(found.get("TimeIncrement"))
    return sizes, seconds(interval, found.get("TimeIncrementUnit", "s")) if interval else _plane_interval(xml)


def _plane_interval(xml: str) -> float | None:
    """The usual time between frames, from when their first planes were taken."""
    taken: dict[int, float] = {}
    for plane in re.finditer(r"<(?:\w+:)?Plane\b([^>]*)>", xml):
        found = _attributes(plane.group(1))
        frame, moment = found.get("TheT", ""), _number(found.get("DeltaT"))
        if frame.isdecimal() and len(frame) < 10 and moment is not None and found.get("TheZ") == found.get("TheC") == "0":
            taken[int(frame)] = seconds(moment, found.get("DeltaTUnit", "s"))
    frames = sorted(taken)
    steps = [(taken[b] - taken[a]) / (b - a) for a, b in itertools.pairwise(frames)]
    return float(np.median(steps)) if steps else None


def _attributes(text: str) -> dict[str, str]:
    return {name: html.unescape(value) for name, value in re.findall(r"(\w+)\s*=\s*[\"']([^\"']*)[\"']", text)}


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
