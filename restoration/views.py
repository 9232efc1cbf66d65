"""Views: what is shown to a network and what is wanted of it, picture by picture, read when asked for."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from restoration.alignment import check_aligned, motion
from segmentation.arrays import AnyArray
from segmentation.normalise import check_finite, is_constant

GLANCE = 8  # pictures that are looked at before the training begins
STILL = 1.5  # pixels that things may move between two frames that are taken as two views of the same
SATURATED = 0.005  # share of pixels at the largest value from which on it is said
SEVERAL = 10  # pixels; fewer are chance

View = tuple[AnyArray, AnyArray]


class Views(Protocol):
    """A sequence of (shown, wanted), each (C, [Z,] Y, X)."""

    def __len__(self) -> int:
        """Number of views."""
        ...

    def __getitem__(self, index: int, /) -> View:
        """One view; read afresh each time."""
        ...


@dataclass(frozen=True, eq=False)
class Listed:
    """Views that are made when asked for.

    Args:
        count: how many.
        make: row -> (shown, wanted).
    """

    count: int
    make: Callable[[int], View] = field(repr=False)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> View:
        if not 0 <= index < self.count:
            raise IndexError(f"there is no view {index}: there are {self.count}")
        return self.make(index)

    def only(self, rows: Sequence[int]) -> Listed:
        """The views of these rows.

        Args:
            rows: row numbers.
        """
        chosen = [int(row) for row in rows]
        return Listed(len(chosen), lambda index: self.make(chosen[index]))


def pairs_of(data: Any, *, align: bool = True, swap: bool = False) -> Listed:  # noqa: ANN401 - arrays of any library
    """Views of pairs: the noisy picture is shown, the other one is wanted.

    Args:
        data: pairs (noisy, wanted), each ([Z,] Y, X); a sequence, read when asked for.
        align: refuse pairs that are shifted against each other.
        swap: use every pair in both directions.

    Raises:
        ValueError: no pair, shapes that differ, a shift, a constant picture, NaN; the message names the pair.
    """
    count = len(data)
    if not count:
        raise ValueError("there is no pair to learn from: give at least one (noisy, wanted)")

    def make(row: int) -> View:
        pair = data[row % count]
        if len(pair) != 2:
            raise ValueError(f"pair {row % count} has {len(pair)} pictures: give (noisy, wanted)")
        noisy, wanted = (_with_channel(picture, f"pair {row % count}", count=1) for picture in pair)
        return (wanted, noisy) if row >= count else (noisy, wanted)

    for row in _some(count):
        noisy, wanted = make(row)
        where = f"pair {row}"
        if noisy.shape != wanted.shape:
            raise ValueError(f"{where} has pictures of shape {noisy.shape[1:]} and {wanted.shape[1:]}: cut or resample them to one shape")
        for name, picture in (("noisy", noisy), ("wanted", wanted)):
            if is_constant(picture):
                raise ValueError(f"{where}: the {name} picture is constant ({picture.flat[0]:g}): leave the pair out")
            warn_saturated(picture, where=f"{where}, {name} picture")
        if align:
            check_aligned(noisy[0], wanted[0], where=where)
    return Listed(count * (2 if swap else 1), make)


def neighbours_of(film: Any, *, frames: int = 1, channels: int = 1) -> Listed:  # noqa: ANN401 - arrays of any library
    """Views of a film alone: a frame, with the frames around it, is shown, and the frame itself is wanted.

    At the ends of the film see `rows_around`.

    Args:
        film: (T, [Z,] Y, X), or a list of pictures of any sizes; with several channels each is (C, [Z,] Y, X).
        frames: how many are shown, odd.
        channels: of one picture.

    Raises:
        ValueError: fewer frames than `frames`, all frames constant, NaN; the message names the frame.
    """
    film = film_of(film, channels)
    count = len(film)
    check_length(film, frames)

    def make(t: int) -> View:
        return stack_of(film, t, frames=frames, channels=channels), frame_of(film, t, channels)

    looked = [(t, frame_of(film, t, channels)) for t in _some(count)]
    if all(is_constant(picture) for _, picture in looked):
        raise ValueError(f"the film is constant ({looked[0][1].flat[0]:g}): there is nothing to learn from it")
    for t, picture in looked:
        warn_saturated(picture, where=f"frame {t}")
    return Listed(count, make)


def consecutive_of(film: Any, *, still: float = STILL) -> Listed:  # noqa: ANN401 - arrays of any library
    """Views of a slow film: a frame is shown, the next (or the previous) one is wanted, as if it were the same scene.

    Args:
        film: (T, [Z,] Y, X).
        still: pixels that things may move from frame to frame.

    Raises:
        ValueError: one frame only, or things move too much; the message says how much.
    """
    film = film_of(film, 1)
    count = len(film)
    if count < 2:
        raise ValueError("the film has a single frame: noise2noise needs two views of the same; noise2void needs one")
    moves = [(t, motion(*(frame_of(film, k, 1)[0] for k in (t, t + 1)))) for t in _some(count - 1)]
    known = [(t, pixels) for t, pixels in moves if np.isfinite(pixels)]
    if known and (median := float(np.median([pixels for _, pixels in known]))) > still:
        t, most = max(known, key=lambda pair: pair[1])
        raise ValueError(
            f"things move by {median:.1f} pixels from frame to frame (most from frame {t}: {most:.1f}), and noise2noise takes two frames "
            f"as the same scene ({still:g} is the limit): use method noise2void, with frames=3 if they move little"
        )

    def make(row: int) -> View:
        t, back = divmod(row, 2)
        first, second = frame_of(film, t, 1), frame_of(film, t + 1, 1)
        return (second, first) if back else (first, second)

    return Listed(2 * (count - 1), make)


def film_of(film: Any, channels: int) -> Any:  # noqa: ANN401 - arrays of any library
    """The film, with a single picture counted as a film of one frame.

    Args:
        film: (T, [Z,] Y, X), a list of pictures, or one picture (Y, X).
        channels: of one picture.
    """
    ndim = getattr(film, "ndim", None)
    if ndim == 2 or (channels > 1 and ndim == 3):
        return film[None]
    if not len(film):
        raise ValueError("the film has no frame: give at least one")
    return film


def frame_of(film: Any, t: int, channels: int) -> AnyArray:  # noqa: ANN401 - arrays of any library
    """One frame with its channels in front, (C, [Z,] Y, X), checked.

    Args:
        film: (T, [Z,] Y, X), or (T, C, [Z,] Y, X) with several channels.
        t: which frame.
        channels: how many it must have.
    """
    return _with_channel(film[t], f"frame {t}", channels)


def stack_of(film: Any, t: int, *, frames: int, channels: int = 1) -> AnyArray:  # noqa: ANN401 - arrays of any library
    """A frame and those around it as channels, (frames * C, [Z,] Y, X); the frame itself is in the middle.

    Args:
        film: (T, [Z,] Y, X).
        t: frame in the middle.
        frames: how many, odd; see `rows_around`.
        channels: of one frame.
    """
    rows = rows_around(t, frames=frames, count=len(film))
    stack = [frame_of(film, row, channels) for row in rows]
    if len({picture.shape for picture in stack}) > 1:
        raise ValueError(
            f"frames {rows[0]} to {rows[-1]} have shapes {[p.shape[1:] for p in stack]}: neighbouring frames must have one shape"
        )
    return np.concatenate(stack) if frames > 1 else stack[0]


def rows_around(t: int, *, frames: int, count: int) -> list[int]:
    """A frame and those around it; for one beyond an end of the film stands the one as far on the other side.

    A frame is never its own neighbour: the network would see the noise that it is to guess.

    Args:
        t: frame in the middle.
        frames: how many, odd, at most `count`.
        count: length of the film.
    """
    steps = range(-(frames // 2), frames // 2 + 1)
    return [t + step if 0 <= t + step < count else t - step for step in steps]


def check_length(film: Any, frames: int) -> None:  # noqa: ANN401 - arrays of any library
    """Refuse a film that is too short to show a frame with those around it.

    Args:
        film: (T, [Z,] Y, X).
        frames: how many are shown at a time.
    """
    if len(film) < frames:
        raise ValueError(f"the film has {len(film)} frame(s), but frames={frames} neighbours are shown: give a longer film or frames=1")


def warn_saturated(picture: AnyArray, *, where: str) -> None:
    """Say so when many pixels share the largest value: their true brightness cannot be learnt.

    Args:
        picture: any shape.
        where: which one it is, for the message.
    """
    if picture.size and not is_constant(picture):
        top = picture.max()
        share = float((picture == top).mean())
        if (
            share >= SATURATED
            and share * picture.size >= SEVERAL
            and top > np.median(picture)
            and len(np.unique(picture.ravel()[:10_000])) > 16
        ):
            warnings.warn(
                f"{where}: {100 * share:.1f} % of the pixels have the largest value ({top:g}): they are saturated, and their true "
                "brightness cannot be restored; expose less",
                stacklevel=4,
            )


def _with_channel(picture: Any, where: str, count: int) -> AnyArray:  # noqa: ANN401 - arrays of any library
    """A picture as (C, [Z,] Y, X), refused when its pixels are not finite."""
    array = np.asarray(picture)
    try:
        check_finite(array)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if count == 1:
        array = array[None]
    if array.ndim not in (3, 4) or len(array) != count or not array.size:
        wanted = "(Y, X) or (Z, Y, X)" if count == 1 else f"({count}, [Z,] Y, X)"
        raise ValueError(f"{where} has shape {np.shape(picture)}: give pictures of shape {wanted}")
    return array


def _some(count: int) -> list[int]:
    """Rows spread over all, at most `GLANCE`."""
    return sorted({round(k) for k in np.linspace(0, count - 1, min(count, GLANCE))})
