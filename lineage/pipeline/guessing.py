"""Guessing: the hypotheses of every frame kept as pieces, given back for some frames, and painted once the solver has chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from lineage.arrays import Array, IntArray
from lineage.detections import Masks
from lineage.films import open_film
from lineage.films.zarr_writing import write_frame
from lineage.pieces import Note, Store, digest

from .choosing import Guess, guesser, painted, tabled
from .segmenting import one_thread


def segments_name(number: int) -> str:
    """What the piece with the segments of a frame is called."""
    return f"segments/{number:06d}"


def painted_name(number: int) -> str:
    """What the piece is called that says which segments of a frame its masks are."""
    return f"painted/{number:06d}"


def guess_frame(store: Store, number: int, image: Array, segment: str, scale: tuple[float, ...]) -> tuple[Mapping[str, Array], str, int]:
    """Find the hypotheses of a frame and keep them as a piece.

    The piece has the pixels of its n segments (``pixels``, and ``ends``, (n + 1,)) and the sets of which at most one is real
    (``rivals``, rows, and ``sets``, where each begins and the last ends).

    Returns:
        What is measured of each, n rows; the digest of the piece; how many sets there are.
    """
    with one_thread():
        segments = _guess(segment, len(scale))(image)
    sets = segments.conflicts
    columns = {
        "pixels": segments.pixels.astype(np.int64),
        "ends": segments.ends,
        "rivals": np.concatenate([np.zeros(0, np.int64), *sets]),
        "sets": np.cumsum([0, *map(len, sets)]),
    }
    written = store.write(segments_name(number), "", columns)
    return tabled(segments, image, scale), written.digest, len(sets)


def segments_stand(store: Store, number: int, known: str) -> bool:
    """Whether the segments of a frame are there, and are those that were measured."""
    note: Note | None = store.note(segments_name(number))
    return note is not None and note.digest == known


def segments_of(store: Store, first: int, last: int, shape: tuple[int, ...]) -> tuple[list[IntArray], Masks]:
    """The conflict sets and the pixels of the segments of some frames, rows counted from the first.

    Args:
        store: Where their pieces are.
        first: The first frame.
        last: The frame after the last.
        shape: Of a frame, ([Z,] Y, X).
    """
    conflicts: list[IntArray] = []
    pixels, sizes, rows = [np.zeros(0, np.int64)], [np.zeros(1, np.int64)], 0
    for number in range(first, last):
        piece = store.read(segments_name(number))
        conflicts += [rows + piece["rivals"][a:b] for a, b in zip(piece["sets"][:-1], piece["sets"][1:], strict=True)]
        pixels.append(piece["pixels"])
        sizes.append(np.diff(piece["ends"]))
        rows += len(sizes[-1])
    return conflicts, Masks((last - first, *shape), np.concatenate(pixels), np.cumsum(np.concatenate(sizes)))


@dataclass(frozen=True)
class Painting:
    """The task of painting the segments of a frame that were chosen.

    Attributes:
        store: Where its segments are.
        labels: The label film.
        number: Which frame.
        shape: Its shape, ([Z,] Y, X).
        chosen: Labels of the segments, from 1.
    """

    store: Store
    labels: Path
    number: int
    shape: tuple[int, ...]
    chosen: tuple[int, ...]

    def __str__(self) -> str:
        return f"the masks of frame {self.number}"


def paint(task: Painting) -> None:
    """Make sure that the masks of a frame are written; the piece that says so is taken back before they change."""
    store, name = task.store, painted_name(task.number)
    segments = store.note(segments_name(task.number))
    key = digest("" if segments is None else segments.digest, task.chosen)
    if (note := store.known(name, key)) is not None and note.facts["files"] == _files(task):
        return
    store.drop(name)
    _, masks = segments_of(store, task.number, task.number + 1, task.shape)
    label = np.zeros(len(masks.ends) - 1, np.uint32)
    label[np.array(task.chosen, np.int64) - 1] = task.chosen
    write_frame(task.labels, task.number, painted(masks, slice(0, len(label)), label))
    store.write(name, key, {}, {"files": _files(task)})


def _files(task: Painting) -> int:
    """How many files the masks of a frame are."""
    return len(open_film(task.labels, kind="labels", holes=True).sources(task.number) or ())


@lru_cache(maxsize=2)
def _guess(name: str, n_axes: int) -> Guess:
    return guesser(name, n_axes)
