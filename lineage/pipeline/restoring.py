"""Restoring: a film whose frames are denoised when they are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from lineage.arrays import Array, is_large
from lineage.films import LazyFrame, OpenedFilm, Place
from lineage.pieces import digest_of_weights

DENOISED = "denoised.bin"


@lru_cache(maxsize=8)
def neighbours(name: str) -> int:
    """How many frames on either side of a frame a denoiser looks at; none when there is no denoiser."""
    if not name:
        return 0
    import restoration

    model: Any = restoration.load(name)
    return int(model.frames) // 2


def weights_of(name: str) -> str:
    """Digest of the weights of a denoiser; empty where there is none of this name."""
    import restoration

    return digest_of_weights(Path(restoration.__file__).parent / "weights", name)


def denoised(film: OpenedFilm, name: str, keep: Path | None = None) -> OpenedFilm:
    """The same film as a denoiser sees it: each frame is denoised when it is asked for, and only the last one is kept unless there is
    a place for all; of a frame that is larger than memory, each part when that is asked for.

    Args:
        film: The images; they are not altered.
        name: A shipped denoiser or the file of a trained one; empty for the film as it is. One that looks at neighbouring frames gets
            them from the film.
        keep: Folder where the frames are kept once they are denoised, as long as somebody holds this film.

    Raises:
        ValueError: No such denoiser, or it takes other frames; what is wrong with a frame is said, with its number, when it is read.
    """
    if not name:
        return film
    import restoration

    model: Any = restoration.load(name)
    config, n_axes = model.network.config, len(film.shape) - 1
    if config.dims != n_axes:
        raise ValueError(f"{name} denoises {config.dims}D frames, but the film is {n_axes}D: take other weights, or none")
    if config.inputs != model.frames:
        raise ValueError(f"{name} takes {config.inputs // model.frames} channels, but a film has one: take other weights, or none")
    read = _in_parts(film, model) if is_large(film.shape[1:]) else _whole(film, model, name, keep)
    return replace(film, dtype=np.dtype(np.float32), read=read)


def _whole(film: OpenedFilm, model: Any, name: str, keep: Path | None) -> Callable[[int, Place], Array]:  # noqa: ANN401 - a Denoiser
    """How frames are read that fit in memory: the last one stays in memory, and all that were read on disk where there is a place."""
    clean, done = model.predict_film(film), set[int]()
    store = None if keep is None else np.memmap(keep / DENOISED, np.float32, "w+", shape=film.shape)

    @lru_cache(maxsize=1)  # whoever segments and measures asks for the same frame several times in a row
    def latest(t: int) -> Array:
        if store is not None and t in done:
            return np.array(store[t])
        frame = np.asarray(clean[t])
        if frame.shape != film.shape[1:]:
            raise ValueError(f"frame {t}: the denoiser {name} gave shape {frame.shape} for a frame of shape {film.shape[1:]}")
        if store is not None:
            store[t] = frame
            done.add(t)
        return frame

    return lambda t, place: latest(t)[place].copy()


def _in_parts(film: OpenedFilm, model: Any) -> Callable[[int, Place], Array]:  # noqa: ANN401 - a Denoiser
    """How frames are read that do not: nothing is kept but the brightness of the last one."""
    from restoration.views import check_length, rows_around

    check_length(film, model.frames)

    @lru_cache(maxsize=1)
    def latest(t: int) -> Any:  # noqa: ANN401 - sliced like an array
        return model.lazily(LazyFrame(film, tuple(rows_around(t, frames=model.frames, count=len(film)))))

    def read(t: int, place: Place) -> Array:
        try:
            return np.asarray(latest(t)[place])
        except ValueError as error:
            text = str(error)
            raise ValueError(text if text.startswith("frame") else f"frame {t}: {text}") from error

    return read
