"""OpenedFilm: a film on disk, one frame in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lineage.arrays import Array

Kind = Literal["image", "labels"]
Sources = tuple[Path, ...] | None
Place = tuple[slice, ...]  # a part of a frame, one slice along each of ([z,] y, x); the whole frame: ()


def unknown_sources(_frame: int) -> Sources:
    """Of arrays, whose frames lie in no file that is known."""
    return None


@dataclass(frozen=True, eq=False)
class OpenedFilm:
    """A film that is read frame by frame: ``film[t]`` is one frame, (Y, X) or (Z, Y, X), ``film.part(t, place)`` a part of one.

    Attributes:
        shape: (T, [Z,] Y, X), pixels.
        dtype: Type of its pixels.
        read: Gives a part of frame t, or the whole, ``()``, a fresh array; no more than that part is in memory where the file allows it.
        scale: Size of a pixel along ([z,] y, x) as the file says it, micrometres where it names a unit of length; ones when it is silent.
        interval: Time from frame to frame, seconds where the file names a unit of time; None when it is silent.
        path: Where it lies; None for an array.
        numbers: Number of each frame in the sequence, from the file names; 0, 1, 2, ... unless the film is sparse or starts later.
        sources: Gives the files that frame t is read from, those that are there, without reading them; None where that is not known.
            While they are the same ones, of the same sizes and dates, the frame is the same.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[int, Place], Array] = field(repr=False)
    scale: tuple[float, ...] = ()
    interval: float | None = None
    path: Path | None = None
    numbers: tuple[int, ...] = field(default=(), repr=False)
    sources: Callable[[int], Sources] = field(default=unknown_sources, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", tuple(map(float, self.scale)) or (1.0,) * (len(self.shape) - 1))
        object.__setattr__(self, "numbers", tuple(self.numbers) or tuple(range(self.shape[0])))

    @property
    def name(self) -> str:
        """What to call the film: its file name, or ``array``."""
        return self.path.name if self.path else "array"

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, frame: int) -> Array:
        t = self._frame(frame)
        array = self.read(t, ())
        if array.shape != self.shape[1:]:
            raise ValueError(f"{self.name}: frame {t} has shape {array.shape}, but frame 0 has {self.shape[1:]}")
        return array

    def part(self, frame: int, place: Place) -> Array:
        """A part of a frame.

        Args:
            frame: Which one.
            place: One slice along each of ([z,] y, x), or only along the first of them.
        """
        return self.read(self._frame(frame), place)

    def _frame(self, frame: int) -> int:
        t = int(frame)
        if not -len(self) <= t < len(self):
            raise IndexError(f"{self.name} has no frame {t}: it has {len(self)} frames")
        return t % len(self)


@dataclass(frozen=True, eq=False)
class LazyFrame:
    """One frame of a film, or some, of which only what is sliced is read: ``frame[place]``, as of an array.

    Attributes:
        film: The film.
        frames: Numbers of the frames; one frame has no axis for them.
    """

    film: OpenedFilm
    frames: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """([F,] [Z,] Y, X); the first axis only where there are several frames."""
        return (*((len(self.frames),) if len(self.frames) > 1 else ()), *self.film.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels."""
        return self.film.dtype

    def __getitem__(self, place: Any) -> Array:  # noqa: ANN401 - a slice or a tuple of slices, the first a number or a slice of frames
        place = place if isinstance(place, tuple) else (place,)
        if len(self.frames) == 1:
            return self.film.part(self.frames[0], place)
        some = self.frames[place[0]]
        parts = [self.film.part(t, place[1:]) for t in (some if isinstance(some, tuple) else (some,))]
        return np.stack(parts) if isinstance(some, tuple) else parts[0]


@dataclass(frozen=True)
class Layout:
    """Where time, depth and channel lie among the axes of an array.

    Attributes:
        axes: One letter an axis: T, Z, Y, X, C (channel) or ``_`` (length 1, dropped).
        shape: Length of each.
        channel: Which channel to take; 0 when there is one.
    """

    axes: str
    shape: tuple[int, ...]
    channel: int = 0

    @property
    def frames(self) -> int:
        """Number of frames; 1 without a time axis."""
        return self.shape[self.axes.index("T")] if "T" in self.axes else 1

    @property
    def spatial(self) -> tuple[int, ...]:
        """Lengths of ([z,] y, x), in this order."""
        return tuple(self.shape[self.axes.index(axis)] for axis in "ZYX" if axis in self.axes)

    def parts(self, place: Place) -> dict[str, slice]:
        """A place by the letters of its axes."""
        return dict(zip([axis for axis in "ZYX" if axis in self.axes], place, strict=False))

    def pick(self, array: Any, frame: int, place: Place = ()) -> Array:  # noqa: ANN401 - NumPy, memory map or zarr
        """One frame of ``array``, or a part of it, its axes in the order ([z,] y, x)."""
        index = {"T": frame, "C": self.channel, "_": 0, **self.parts(place)}
        picked = np.array(array[tuple(index.get(axis, slice(None)) for axis in self.axes)])
        left = [axis for axis in self.axes if axis in "ZYX"]
        return picked.transpose([left.index(axis) for axis in "ZYX" if axis in left])


def layout(axes: str, shape: Sequence[int], *, channel: int | None, name: str) -> Layout:
    """Make sense of axis letters: unnamed axes are time, then depth; axes of length 1 that mean nothing are dropped.

    Args:
        axes: One letter an axis, as tifffile names them; ``Q``, ``I`` and others are unnamed, ``S`` (colour) is a channel.
        shape: Length of each axis.
        channel: Which channel to take where there are several.
        name: Of the film, for messages.

    Raises:
        ValueError: Too many axes, no plane, several channels and none chosen, a channel that is not there.
    """
    letters = list(axes.upper().replace("S", "C"))
    if letters.count("C") > 1:
        letters = ["_" if axis == "C" and size == 1 else axis for axis, size in zip(letters, shape, strict=True)]
    for k, axis in enumerate(letters):
        if axis not in "TZCYX_":
            free = [wanted for wanted in "TZ" if wanted not in letters]
            letters[k] = free[0] if free else "_" if shape[k] == 1 else axis
    read = "".join(letters)
    if sorted(read.replace("_", "")) != sorted(set(read.replace("_", ""))) or not set("YX") <= set(read) <= set("TZCYX_"):
        raise ValueError(
            f"{name} has axes {axes} of shape {tuple(shape)}, but a film is (T, Y, X) or (T, Z, Y, X): name them (axes=, --axes)"
        )
    if 0 in shape:
        raise ValueError(f"{name} is empty: its shape is {tuple(shape)}")
    count = shape[read.index("C")] if "C" in read else 1
    if channel is None and count > 1:
        frames = "" if "T" in read else f", or say axes={axes.replace('C', 'T')!r} (--axes) if these are frames"
        raise ValueError(f"{name} has {count} channels: choose one with channel=0 to channel={count - 1} (--channel){frames}")
    return Layout(read, tuple(shape), _channel(count, channel, name))


def _channel(count: int, channel: int | None, name: str) -> int:
    if channel is not None and not 0 <= channel < count:
        raise ValueError(f"{name} has no channel {channel}: it has {count}")
    return channel or 0


def of_array(array: Any, axes: str, *, channel: int | None = None, path: Path | None = None) -> OpenedFilm:  # noqa: ANN401 - NumPy, zarr, dask
    """A film from anything with ``shape``, ``dtype`` and NumPy's indexing.

    Args:
        array: Of any order of axes.
        axes: One letter an axis; see ``layout``. Empty: (T, [Z,] Y, X) by their number, or one frame (Y, X).
        channel: Which channel to take where there are several.
        path: Where it lies, for messages.
    """
    name = str(path) if path else "array"
    plan = layout_of(array, axes, channel=channel, name=name)

    def read(t: int, place: Place) -> Array:
        try:
            return plan.pick(array, t, place)
        except (OSError, ValueError, RuntimeError) as error:
            raise ValueError(f"{name}: frame {t} cannot be read: {' '.join(str(error).split())}") from error

    return OpenedFilm((plan.frames, *plan.spatial), np.dtype(array.dtype), read, path=path)


def layout_of(array: Any, axes: str, *, channel: int | None, name: str) -> Layout:  # noqa: ANN401 - NumPy, zarr, dask
    """The layout of an array whose axes may be given, or follow from their number; see ``of_array``."""
    axes = axes or {2: "YX", 3: "TYX", 4: "TZYX"}.get(array.ndim, "?" * array.ndim)
    if len(axes) != array.ndim:
        raise ValueError(f"{name} has {array.ndim} axes of shape {tuple(array.shape)}, but {axes} names {len(axes)}")
    return layout(axes, array.shape, channel=channel, name=name)


def in_one_file(film: OpenedFilm, path: Path) -> OpenedFilm:
    """The film, knowing that every frame of it lies in one file."""
    return replace(film, sources=lambda _frame: (path,))


def checked(film: OpenedFilm, kind: Kind) -> OpenedFilm:
    """The film, if its pixels are numbers, and whole ones for labels.

    Raises:
        ValueError: They are not.
    """
    name = film.path or film.name
    if kind == "labels" and film.dtype.kind not in "iu":
        raise ValueError(f"{name} holds {film.dtype}, but labels are whole numbers: convert with astype('uint16')")
    if film.dtype.kind not in "iufb":
        raise ValueError(f"{name} holds {film.dtype}, but the pixels of a film are real numbers")
    return film


def with_scale(film: OpenedFilm, scale: dict[str, float], interval: float | None) -> OpenedFilm:
    """The film with the pixel sizes of its file, by axis letter; a size that is no positive number is taken as 1."""
    sizes = [scale.get(axis, 1.0) for axis in "ZYX"[-(len(film.shape) - 1) :]]
    good = tuple(size if np.isfinite(size) and size > 0 else 1.0 for size in sizes)
    usable = interval if interval and np.isfinite(interval) and interval > 0 else None
    return replace(film, scale=good, interval=usable)


def known_sizes(*films: object) -> tuple[tuple[float, ...] | None, float | None]:
    """What opened films say about the size of a pixel and the time between frames: the first one that says something.

    Args:
        films: Films of the same specimen, the most trusted first; arrays and other things say nothing.

    Returns:
        scale: Along ([z,] y, x), or None.
        interval: Seconds, or None.
    """
    opened = [film for film in films if isinstance(film, OpenedFilm)]
    scale = next((film.scale for film in opened if set(film.scale) != {1.0}), None)
    return scale, next((film.interval for film in opened if film.interval is not None), None)
