"""Films on disk: opened lazily, one frame in memory at a time; label films saved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lineage.arrays import Array

from .ome_zarr import is_zarr, open_zarr
from .opened import Kind, LazyFrame, OpenedFilm, Place, checked, in_one_file, known_sizes, of_array
from .saving import save_labels
from .shadow import shadow

__all__ = ["SUPPORTED", "LazyFrame", "OpenedFilm", "Place", "known_sizes", "open_film", "save_labels", "shadow"]

SUPPORTED = ".tif, .tiff, .npy, .zarr, a folder of TIFFs, or .nd2, .czi, .lif through bioio"


def open_film(
    path: Any,  # noqa: ANN401 - a path, an array of any library, a list of frames
    *,
    kind: Kind = "image",
    sparse: bool = False,
    channel: int | None = None,
    axes: str = "",
    holes: bool = False,
) -> OpenedFilm:
    """Open a film; no frame is kept in memory.

    Args:
        path: A TIFF stack (plain, ImageJ, OME), a folder with one TIFF a frame (such as ``01``, ``01_GT/TRA``, ``01_RES`` of the
            Cell Tracking Challenge; ``01_GT`` and ``01_ST`` stand for the TRA and SEG inside), a NumPy file, an OME-Zarr image or a
            zarr array, or, where ``bioio`` is installed, .nd2, .czi and .lif; or an opened array or list of frames, which is passed
            through. Plain stacks are (T, Y, X) or (T, Z, Y, X).
        kind: ``labels`` makes sure that the pixels are whole numbers.
        sparse: Accept missing frames in a folder (gold truth): the film has the frames that are there, ``numbers`` says which.
        channel: Which channel to take, where there are several.
        axes: One letter an axis (T, C, Z, Y, X), for files that do not say it or say it wrongly; not for folders, where a file is a frame.
        holes: Accept an image in a zarr whose chunks are missing where it is blank. Writers leave out chunks that hold the fill value
            alone, and one that was lost looks the same; ``lineage.films.zarr_chunks`` tells when a film is refused without this.

    Returns:
        The film; ``len(film)``, ``film[t]``, ``film.shape`` (T, [Z,] Y, X), ``film.scale``, ``film.interval``.

    Raises:
        FileNotFoundError: No such path, an empty folder, or a missing frame.
        ValueError: What is there is no film; the message names the file, the page or the frame.
    """
    if not isinstance(path, str | Path):
        return checked(_passed(path, channel, axes), kind)
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no such film: {path}")
    if is_zarr(path) or path.suffix.lower() == ".zarr":
        return checked(open_zarr(path, channel=channel, axes=axes, holes=holes or kind == "labels"), kind)
    return checked(_opened(path, sparse=sparse, channel=channel, axes=axes), kind)


def _opened(path: Path, *, sparse: bool, channel: int | None, axes: str) -> OpenedFilm:
    from .folder import TIFF, open_folder
    from .tiff import open_tiff
    from .vendor import READERS, open_vendor

    if path.is_dir():
        if axes:
            raise ValueError(f"{path} is a folder with a file for each frame, but axes={axes} is said of one file: leave axes out")
        return open_folder(path, sparse=sparse, channel=channel)
    if path.suffix.lower() in TIFF:
        return open_tiff(path, channel=channel, axes=axes)
    if path.suffix.lower() == ".npy":
        return _numpy(path, channel, axes)
    if path.suffix.lower() in READERS:
        return open_vendor(path, channel=channel, axes=axes)
    raise ValueError(f"{path}: films with the ending {path.suffix or '(none)'} are not supported; supported are {SUPPORTED}")


def _numpy(path: Path, channel: int | None, axes: str) -> OpenedFilm:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path} is no readable NumPy file: {' '.join(str(error).split())}") from error
    return in_one_file(of_array(array, axes, channel=channel, path=path), path)


def _passed(film: Any, channel: int | None, axes: str) -> OpenedFilm:  # noqa: ANN401 - arrays of any library
    if isinstance(film, OpenedFilm):
        return film
    if hasattr(film, "shape") and hasattr(film, "dtype"):
        return of_array(film, axes, channel=channel)
    if not isinstance(film, Sequence) or not len(film):
        raise ValueError(f"a film is a path, an array or a list of frames, not {type(film).__name__}{'' if film else ' without a frame'}")
    frames: Sequence[Any] = film
    first = np.asarray(frames[0])
    if first.ndim not in (2, 3) or not math.prod(first.shape):
        raise ValueError(f"a frame is (Y, X) or (Z, Y, X), but the first one has shape {first.shape}")

    def read(t: int, place: Place) -> Array:
        return np.array(frames[t])[place]

    return replace(of_array(first[None], ""), shape=(len(frames), *first.shape), read=read, numbers=tuple(range(len(frames))))
