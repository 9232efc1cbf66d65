"""Array aliases: what the columns of the house are made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

T = TypeVar("T")
Progress = Callable[[Iterable[T], str], Iterable[T]]


LARGE = 2**24  # pixels; frames with more are looked at slab by slab, so that a frame need not fit in memory


class Film(Protocol):
    """Anything that gives one frame at a time: an array, a memory map, zarr, dask, a list of files."""

    def __len__(self) -> int:
        """Number of frames."""
        ...

    def __getitem__(self, frame: int, /) -> Any:  # noqa: ANN401 - zarr, dask and NumPy agree on nothing narrower
        """One frame, (Y, X) or (Z, Y, X), or something NumPy can turn into it."""
        ...


def is_large(shape: Sequence[int]) -> bool:
    """Whether frames of this shape, ([Z,] Y, X), have more than ``LARGE`` pixels."""
    return math.prod(shape) > LARGE


def odd_pixels(image: Array) -> str:
    """What of a picture is no number, in words: ``3 pixels that are NaN``; nothing when all are finite."""
    if image.dtype.kind != "f":
        return ""
    kinds = (("NaN", np.isnan), ("infinite", np.isinf))
    return next((f"{count} pixels that are {name}" for name, which in kinds if (count := int(which(image).sum()))), "")


def slabs(shape: Sequence[int], multiple: int = 1) -> list[tuple[slice]]:
    """How a frame is cut across its first axis, so that no part has more than ``LARGE`` pixels; a frame that has no more is one part.

    Args:
        shape: Of the frame, ([Z,] Y, X).
        multiple: All parts but the last one are so many planes (rows) thick, or a multiple of it.

    Returns:
        Slices of even thickness, one after another; each a place for ``OpenedFilm.part``.
    """
    most = max(LARGE // max(math.prod(shape[1:]) * multiple, 1), 1) * multiple
    count = max(-(-shape[0] // most), 1)
    thick = -(-shape[0] // (count * multiple)) * multiple
    return [(slice(a, min(a + thick, shape[0])),) for a in range(0, max(shape[0], 1), max(thick, 1))]


def part_of(film: Film, t: int, place: tuple[slice, ...]) -> Array:
    """A part of a frame of any film; no more of it than this is read where the film can give parts."""
    if hasattr(film, "part"):
        return np.asarray(film.part(t, place))
    if hasattr(film, "ndim"):
        return np.asarray(cast(Any, film)[(t, *place)])
    return np.asarray(np.asarray(film[t])[place])


def frame_shape(film: Film) -> tuple[int, ...]:
    """Shape of the frames of a film, ([Z,] Y, X)."""
    return tuple(map(int, film.shape[1:])) if hasattr(film, "shape") else np.shape(film[0])


def in_slabs(film: Film, t: int) -> tuple[tuple[int, ...], Iterator[tuple[tuple[slice, ...], Array]]]:
    """A frame slab by slab, each read when it is asked for; a frame that is not ``LARGE`` comes whole, its place is ``()``.

    Returns:
        shape: Of the frame, ([Z,] Y, X).
        slabs: Where each slab is, and its pixels.
    """
    if not hasattr(film, "shape") or not is_large(film.shape[1:]):
        frame = np.asarray(film[t])
        return frame.shape, iter([((), frame)])
    shape = tuple(map(int, film.shape[1:]))
    return shape, ((place, part_of(film, t, place)) for place in slabs(shape))


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
