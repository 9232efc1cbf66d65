"""Files of microscopes (Nikon .nd2, Zeiss .czi, Leica .lif), read through ``bioio`` where it is installed."""

from __future__ import annotations

import importlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from lineage.arrays import Array, slabs

from .opened import OpenedFilm, Place, in_one_file, layout, with_scale

READERS = {".nd2": "bioio-nd2", ".czi": "bioio-czi", ".lif": "bioio-lif"}
INSTALL = "pip install cytolineage[bioio]"


def open_vendor(path: Path, *, channel: int | None = None, axes: str = "") -> OpenedFilm:
    """A film in a microscope's own format; its frames are read when asked for.

    Args:
        path: The file.
        channel: Which channel to take where there are several.
        axes: One letter an axis, when the file does not say or says it wrongly.

    Raises:
        ValueError: ``bioio`` or its reader is not installed, the file is damaged or holds several scenes, axes that make no film.
    """
    try:
        bioio: Any = importlib.import_module("bioio")
    except ImportError as error:
        raise ValueError(f"{path} is read through bioio, which is not installed: {INSTALL}") from error
    try:
        image: Any = bioio.BioImage(path)
        scenes, order, shape, dtype = tuple(image.scenes), str(image.dims.order), tuple(image.shape), np.dtype(image.dtype)
        sizes, interval = image.physical_pixel_sizes, image.time_interval
    except Exception as error:  # every reader raises what it likes
        reader = READERS[path.suffix.lower()]
        raise ValueError(f"{path} cannot be read through {reader} ({INSTALL}): {_reason(error)}") from error
    if len(scenes) > 1:
        raise ValueError(f"{path} holds {len(scenes)} scenes ({', '.join(map(str, scenes[:4]))}): save each as a film of its own")
    flat = "".join("_" if axis == "Z" and size == 1 else axis for axis, size in zip(order, shape, strict=True))
    plan = layout(axes or flat, shape, channel=channel, name=str(path))

    def read(t: int, place: Place) -> Array:
        at = {"T": t, "C": plan.channel, "_": 0}
        fixed = {real: at[axis] for real, axis in zip(order, plan.axes, strict=True) if axis in at}
        left = [(real, axis) for real, axis in zip(order, plan.axes, strict=True) if axis not in at]
        part = tuple(plan.parts(place).get(axis, slice(None)) for _, axis in left)
        try:
            frame = np.asarray(image.get_image_dask_data("".join(real for real, _ in left), **fixed)[part].compute())
        except Exception as error:
            raise ValueError(f"{path}: frame {t} cannot be read: {_reason(error)}") from error
        letters = [axis for _, axis in left]
        return frame.transpose([letters.index(axis) for axis in "ZYX" if axis in letters])

    film = in_one_file(OpenedFilm((plan.frames, *plan.spatial), dtype, read, path=path), path)
    film.part(0, slabs(plan.spatial)[0])
    known = {axis: float(size) for axis in "ZYX" if (size := getattr(sizes, axis, None)) is not None}
    return with_scale(film, known, interval.total_seconds() if isinstance(interval, timedelta) else interval)


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
