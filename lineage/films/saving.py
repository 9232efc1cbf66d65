"""Label films to TIFF or OME-Zarr, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lineage.arrays import Array, Film, Progress, silent
from lineage.measure import label_image

from .atomic import new_file, new_folder
from .pictures import ZARR, check_target
from .zarr_writing import create_labels_zarr, write_frame


def save_labels(
    path: str | Path,
    film: Film,
    *,
    scale: Sequence[float] = (),
    interval: float | None = None,
    progress: Progress[int] = silent,
) -> None:
    """Write a label film as a compressed TIFF stack or an OME-Zarr label image, one frame in memory at a time.

    Pixels of a TIFF are uint16; a film with labels above 65535 is read a second time and written as uint32, as those of a zarr always are.

    Args:
        path: The TIFF, or with the ending .zarr the folder; it appears when it is complete, an older one is replaced.
        film: Label film, (T, [Z,] Y, X).
        scale: Size of a pixel along ([z,] y, x); ``open_film`` reads it back.
        interval: Time from frame to frame.
        progress: Wraps the loop over frames.

    Raises:
        ValueError: No frame, frames of different shape, labels that are negative, no whole numbers or above 4294967295.
    """
    if not len(film):
        raise ValueError(f"nothing to write to {path}: the film has no frame")
    shape = label_image(film[0], 0).shape
    if Path(path).suffix.lower() == ZARR:
        _save_zarr(check_target(path), film, (len(film), *shape), tuple(scale), interval, progress)
        return
    meta: dict[str, Any] = {"axes": "TZYX" if len(shape) == 3 else "TYX"}
    if len(scale):
        meta["scale"] = [float(size) for size in scale]
    if interval is not None:
        meta["interval"] = float(interval)
    with new_file(path) as temporary:
        for dtype in (np.uint16, np.uint32):
            try:
                return _write(temporary, _pages(film, shape, np.dtype(dtype), progress), (len(film), *shape), np.dtype(dtype), meta)
            except OverflowError:
                continue
        raise ValueError(f"{path}: labels above 4294967295 do not fit a TIFF: renumber them")


def _save_zarr(
    path: Path, film: Film, shape: tuple[int, ...], scale: Sequence[float], interval: float | None, progress: Progress[int]
) -> None:
    with new_folder(path, lambda _: True) as temporary:  # `check_target` has seen that what is there is a zarr
        temporary.rmdir()
        create_labels_zarr(temporary, shape, scale, interval)
        for t in progress(range(len(film)), "writing masks"):
            write_frame(temporary, t, label_image(film[t], t))


def _write(path: Path, pages: Iterator[Array], shape: tuple[int, ...], dtype: np.dtype[Any], meta: dict[str, Any]) -> None:
    import tifffile

    options = {"compression": "zlib", "photometric": "minisblack", "metadata": meta}
    with tifffile.TiffWriter(path, bigtiff=np.prod(shape, dtype=float) * dtype.itemsize > 2**32) as tif:
        tif.write(pages, shape=shape, dtype=dtype, **options)


def _pages(film: Film, shape: tuple[int, ...], dtype: np.dtype[Any], progress: Progress[int]) -> Iterator[Array]:
    for t in progress(range(len(film)), "saving labels"):
        frame = label_image(film[t], t)
        if frame.shape != shape:
            raise ValueError(f"label frame {t} has shape {frame.shape}, but frame 0 has {shape}")
        if frame.size and int(frame.max()) > np.iinfo(dtype).max:
            raise OverflowError(f"label frame {t} needs more than {dtype.itemsize} bytes a pixel")
        yield from frame.astype(dtype).reshape(-1, *shape[-2:])
