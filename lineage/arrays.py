"""Array aliases: what the columns of the house are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

T = TypeVar("T")
Progress = Callable[[Iterable[T], str], Iterable[T]]


class Film(Protocol):
    """Anything that gives one frame at a time: an array, a memory map, zarr, dask, a list of files."""

    def __len__(self) -> int:
        """Number of frames."""
        ...

    def __getitem__(self, frame: int, /) -> Any:  # noqa: ANN401 - zarr, dask and NumPy agree on nothing narrower
        """One frame, (Y, X) or (Z, Y, X), or something NumPy can turn into it."""
        ...


def settle(value: object, **columns: object) -> None:
    """Set fields of a frozen value while it is being made (in ``__post_init__``)."""
    for name, column in columns.items():
        object.__setattr__(value, name, column)


def length(film: Film) -> int:
    """Number of frames of a film; a Zarr array has a shape, but no ``len``."""
    return len(film) if hasattr(film, "__len__") else int(cast(Any, film).shape[0])


def silent(items: Iterable[T], _what: str) -> Iterable[T]:
    """Show no progress; the default of every ``progress`` argument."""
    return items
