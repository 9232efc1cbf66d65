"""Shadow: stacks that are too large to be looked at whole, each as one plane."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import numpy as np

from lineage.arrays import Array, is_large, slabs

from .opened import OpenedFilm, Place


def shadow(film: OpenedFilm) -> OpenedFilm:
    """A film of large stacks as their maxima along z, one plane deep, (T, 1, Y, X); any other film as it is.

    A plane and its chunks must fit in memory, a stack need not.
    """
    if len(film.shape) != 4 or not is_large(film.shape[1:]):
        return film

    def read(t: int, place: Place) -> Array:
        planes = (film.part(t, (slab[0], *place[1:])).max(0) for slab in slabs(film.shape[1:]))
        return np.asarray(reduce(np.maximum, planes))[None]

    return replace(film, shape=(len(film), 1, *film.shape[2:]), read=read)
