"""Films of grey levels to TIFF or OME-Zarr, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lineage.arrays import Array, Film, Progress, silent

from .atomic import new_file, new_folder
from .ome_zarr import is_zarr

TIFF, ZARR = (".tif", ".tiff"), ".zarr"


def check_target(path: str | Path) -> Path:
    """Refuse, before the work begins, a place where a film cannot be written.

    Args:
        path: The TIFF (.tif, .tiff) or OME-Zarr (.zarr) that is meant.

    Raises:
        ValueError: Another ending.
        OSError: No such folder, or something else has this name.
    """
    path = Path(path)
    if path.suffix.lower() not in (*TIFF, ZARR):
        raise ValueError(f"cannot write {path}: films are written as .tif or .zarr")
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: the folder {path.parent} does not exist")
    if path.suffix.lower() == ZARR and path.exists() and not is_zarr(path):
        raise FileExistsError(f"cannot write {path}: something that is no zarr has this name")
    if path.suffix.lower() in TIFF and path.is_dir():
        raise IsADirectoryError(f"cannot write {path}: it is a folder")
    return path


def save_film(
    path: str | Path,
    film: Film,
    *,
    scale: Sequence[float] = (),
    interval: float | None = None,
    progress: Progress[int] = silent,
) -> None:
    """Write a film of grey levels, one frame in memory at a time.

    Args:
        path: A TIFF (.tif) or an OME-Zarr (.zarr, one chunk a plane); it appears when it is complete, an older one is replaced.
        film: (T, [Z,] Y, X); every frame is read once. Its pixels keep their type.
        scale: Size of a pixel along ([z,] y, x), micrometres; `open_film` reads it back.
        interval: Seconds from frame to frame.
        progress: Wraps the loop over frames.

    Raises:
        ValueError: No frame, or frames of different shape or type.
        OSError: It cannot be written.
    """
    path = check_target(path)
    if not len(film):
        raise ValueError(f"nothing to write to {path}: the film has no frame")
    first = np.asarray(film[0])
    if path.suffix.lower() == ZARR:
        _save_zarr(path, _frames(film, first, progress), first, len(film), _ome(first.ndim, scale, interval, path.stem))
        return
    meta: dict[str, Any] = {"axes": "TZYX" if first.ndim == 3 else "TYX"}
    if len(scale):
        meta["scale"] = [float(size) for size in scale]
    if interval is not None:
        meta["interval"] = float(interval)
    with new_file(path) as temporary:
        _save_tiff(temporary, _frames(film, first, progress), (len(film), *first.shape), first.dtype, meta)


def _frames(film: Film, first: Array, progress: Progress[int]) -> Iterator[Array]:
    for t in progress(range(len(film)), "denoising"):
        frame = first if t == 0 else np.asarray(film[t])
        if frame.shape != first.shape or frame.dtype != first.dtype:
            raise ValueError(f"frame {t} is {frame.dtype} of shape {frame.shape}, but frame 0 is {first.dtype} of shape {first.shape}")
        yield frame


def _save_tiff(path: Path, frames: Iterator[Array], shape: tuple[int, ...], dtype: np.dtype[Any], meta: dict[str, Any]) -> None:
    import tifffile

    pages = (page for frame in frames for page in frame.reshape(-1, *shape[-2:]))
    with tifffile.TiffWriter(path, bigtiff=np.prod(shape, dtype=float) * dtype.itemsize > 2**31) as tif:
        tif.write(pages, shape=shape, dtype=dtype, compression="zlib", photometric="minisblack", metadata=meta)


def _save_zarr(path: Path, frames: Iterator[Array], like: Array, count: int, attributes: dict[str, Any]) -> None:
    """One array "0" in a group with the metadata of OME-Zarr 0.4."""
    import zarr

    with new_folder(path, lambda _: True) as temporary:  # `check_target` has seen that what is there is a zarr
        group = zarr.open_group(str(temporary), mode="w", zarr_format=2)
        chunks = (1,) * (like.ndim - 1) + tuple(min(n, 1024) for n in like.shape[-2:])
        array = group.create_array("0", shape=(count, *like.shape), chunks=chunks, dtype=like.dtype)
        group.attrs.update(attributes)
        for t, frame in enumerate(frames):
            array[t] = frame


def _ome(ndim: int, scale: Sequence[float], interval: float | None, name: str) -> dict[str, Any]:
    """What OME-Zarr says of an image of one resolution."""
    letters = "tzyx" if ndim == 3 else "tyx"
    axes: list[dict[str, str]] = [{"name": letter, "type": "space", "unit": "micrometer"} for letter in letters[1:]]
    time = {"name": "t", "type": "time"} | ({"unit": "second"} if interval is not None else {})
    steps = [float(interval or 1.0), *(map(float, scale) if len(scale) else [1.0] * ndim)]
    dataset = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": steps}]}
    return {"multiscales": [{"version": "0.4", "name": name, "axes": [time, *axes], "datasets": [dataset]}]}
