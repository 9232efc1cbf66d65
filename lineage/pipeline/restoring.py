"""Restoring: a film whose frames are denoised when they are read."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from lineage.arrays import Array
from lineage.films import OpenedFilm


def denoised(film: OpenedFilm, name: str) -> OpenedFilm:
    """The same film as a denoiser sees it: each frame is denoised when it is asked for, and only the last one is kept.

    Args:
        film: The images; they are not altered.
        name: A shipped denoiser or the file of a trained one; empty for the film as it is.

    Raises:
        ValueError: No such denoiser, or it cannot take a frame; the message names the frame.
    """
    if not name:
        return film
    import restoration

    model: Any = restoration.load(name)

    @lru_cache(maxsize=1)
    def latest(t: int) -> Array:
        try:
            clean = np.asarray(model.predict(film[t]))
        except ValueError as error:
            raise ValueError(f"frame {t}: {error}") from error
        if clean.shape != film.shape[1:]:
            raise ValueError(f"frame {t}: the denoiser {name} gave shape {clean.shape} for a frame of shape {film.shape[1:]}")
        return clean

    return replace(film, dtype=np.dtype(np.float32), read=lambda t: latest(t).copy())
