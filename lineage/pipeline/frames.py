"""Frames: every frame of a film restored, segmented and measured once, by whichever process comes to it, and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from lineage import __version__
from lineage.arrays import Array, IntArray, odd_pixels
from lineage.detections import Detections
from lineage.films import OpenedFilm, Place, open_film
from lineage.films.zarr_writing import chunk_places, scratch, write_frame
from lineage.measure import label_image, measure_slabs
from lineage.pieces import Note, Store, digest
from lineage.stretches import Part

from .guessing import guess_frame, painted_name, segments_of, segments_stand
from .looking import Looked, kept
from .restoring import denoised, neighbours
from .segmenting import one_thread, segmenter, segmenter_in_blocks

Reading = tuple[tuple[str, Any], ...]  # what `open_film` is told, by name

BLANK: Reading = (("holes", True),)  # of masks that are made here


@dataclass(frozen=True)
class Source:
    """Where the frames of a film are and what is to be done with each.

    Attributes:
        store: Where the pieces go.
        film: The images; None when there are only masks.
        masks: The masks; those that are made here go there too.
        made: Whether they are made here.
        segment: How; see ``segmenter``.
        guess: Whether several segmentations of every frame are kept, among which the solver chooses before masks are made.
        denoise: What restores the images; empty for nothing.
        reading: How they are read; see ``Settings.reading``.
        recipe: Digest of all that says how: versions, methods, their weights.
        scale: Size of a pixel along each axis, physical units.
        interval: Seconds between frames; None when not known.
    """

    store: Store
    film: Path | None
    masks: Path
    made: bool
    segment: str
    guess: bool
    denoise: str
    reading: Reading
    recipe: str
    scale: tuple[float, ...]
    interval: float | None

    @property
    def image(self) -> OpenedFilm | None:
        """The images as they are, opened."""
        return None if self.film is None else _opened(self.film, "image", self.reading, _dated(self.film))

    @property
    def seen(self) -> OpenedFilm | None:
        """The images as they are looked at, restored where that is wanted."""
        return None if self.film is None else _restored(self.film, self.denoise, self.reading, _dated(self.film))

    @property
    def labels(self) -> OpenedFilm:
        """The masks, opened."""
        return _opened(self.masks, "labels", BLANK, _dated(self.masks))


@dataclass(frozen=True)
class Frame:
    """The task of one frame."""

    source: Source
    number: int

    def __str__(self) -> str:
        return f"frame {self.number}"

    @property
    def name(self) -> str:
        """What its piece is called."""
        return f"frames/{self.number:06d}"

    @property
    def signature(self) -> list[list[Any]] | None:
        """Names, sizes and dates of the files that it depends on; None where they are not known."""
        source, files = self.source, list[Path]()
        for film, numbers in ((source.image, self.around), (None if source.made else source.labels, range(self.number, self.number + 1))):
            for t in numbers if film is not None else ():
                assert film is not None
                found = film.sources(t)
                if found is None:
                    return None
                files += found
        try:
            status = [(path, path.stat()) for path in files]
        except FileNotFoundError:
            return None
        return [[str(path), found.st_size, found.st_mtime_ns] for path, found in status]

    @property
    def around(self) -> range:
        """The frames of the film that it is made from."""
        reach = neighbours(self.source.denoise) if self.source.film is not None else 0
        last = len(self.source.image or ()) - 1
        return range(max(0, self.number - reach), min(last, self.number + reach) + 1)


@dataclass(frozen=True)
class Measured:
    """What became of a frame.

    Attributes:
        cells: How many there are.
        digest: Digest of their measurements, their masks and the picture.
        picture: Digest of the picture as it was read.
        mask: Digest of the masks, or of the segments among which is chosen.
        sets: How many sets of these there are of which at most one is a cell.
    """

    cells: int
    digest: str
    picture: str
    mask: str
    sets: int = 0


def measured(task: Frame) -> Measured:
    """Make sure that a frame is segmented and measured, and say what it holds; what is wrong with it is said with its number.

    A frame whose files have not changed is not even read. The masks are written before the piece, and the piece is taken back before
    its masks are changed, so that a piece that is there always speaks of the masks that are there.
    """
    source, store, signature = task.source, task.source.store, task.signature
    note = store.note(task.name)
    if note is not None and signature is not None and note.facts["signature"] == signature and _stands(task, note):
        return _said(note)
    try:
        pictures = [] if source.image is None else [Looked(source.image, t).digest for t in task.around]
        given = None if source.made else Looked(source.labels, task.number)
        key = digest(source.recipe, pictures, None if given is None else given.digest)
        if note is not None and note.key == key and _stands(task, note):  # other files, the same pixels
            return _said(store.write(task.name, key, store.read(task.name), {**note.facts, "signature": signature}))
        columns, mask, sets = _made(task, given)
    except ValueError as error:
        prefix = "" if f"frame {task.number}" in str(error) else f"frame {task.number}: "
        raise ValueError(f"{prefix}{error}") from error
    facts = {"signature": signature, "recipe": source.recipe, "cells": len(columns["label"]), "mask": mask, "sets": sets}
    facts["picture"] = pictures[task.number - task.around.start] if pictures else ""
    facts["files"] = len(source.labels.sources(task.number) or ()) if source.made and not source.guess else 0
    return _said(store.write(task.name, key, columns, facts))


def _made(task: Frame, given: Looked | None) -> tuple[Mapping[str, Array], str, int]:
    """What is measured of the cells of a frame, which are found first where their masks are not given; see ``Measured`` for the rest."""
    source, t = task.source, task.number
    with ExitStack() as stack:
        seen = None if source.seen is None else Looked(source.seen, t)
        if seen is not None and source.denoise:
            seen = stack.enter_context(kept(seen, source.store.folder))
        if given is None:
            assert seen is not None
            source.store.drop(task.name)
            source.store.drop(painted_name(t))
            if source.guess:
                return guess_frame(source.store, t, _finite(seen.whole), source.segment, source.scale)
            given = _segmented(source, t, seen)
        if seen is not None and seen.shape != given.shape:
            raise ValueError(f"image frame {t} has shape {seen.shape}, but its labels have {given.shape}")
        labels = (label_image(part, t) for part in given.parts())
        parts = ((part, None) for part in labels) if seen is None else zip(labels, map(_finite, seen.parts()), strict=True)
        return measure_slabs(parts, given.shape, np.array(source.scale)), given.digest, 0


def _segmented(source: Source, t: int, seen: Looked) -> Looked:
    """The masks of a frame, written to the film of all masks."""
    with one_thread() if source.segment not in ("", "classical") else nullcontext():
        if not seen.large:
            labels = np.asarray(_how(source.segment, source.scale)(_finite(seen.whole))).astype(np.uint32)
            write_frame(source.masks, t, labels)
            return Looked.at(labels)
        with scratch(source.store.folder, seen.shape, "int32") as canvas:
            _how_in_blocks(source.segment, source.scale)(seen.lazy, canvas)
            for place in chunk_places((1, *seen.shape)):
                write_frame(source.masks, t, canvas[place], place)
    return Looked(source.labels, t)


@dataclass(frozen=True)
class FrameCells:
    """The cells of frames that were measured; see ``stretches.Cells``.

    Attributes:
        source: Where their pieces and masks are.
        frames: What became of each frame.
    """

    source: Source
    frames: tuple[Measured, ...]

    @cached_property
    def count(self) -> IntArray:
        """Cells in every frame; int (T,)."""
        return np.array([frame.cells for frame in self.frames], np.int64)

    @property
    def masks(self) -> bool:
        """They have masks."""
        return True

    @property
    def rivals(self) -> bool:
        """Whether some exclude others."""
        return self.source.guess

    def detections(self, first: int, last: int) -> Detections:
        """The cells of some frames, without what they exclude."""
        source = self.source
        tables: list[Mapping[str, Array]] = [source.store.read(Frame(source, t).name) for t in range(first, last)]
        return replace(Detections.from_tables(tables, len(source.scale), source.scale), interval=source.interval)

    def part(self, first: int, last: int) -> Part:
        """The cells, masks and pictures of some frames."""
        source, cells = self.source, self.detections(first, last)
        seen = None if source.seen is None else clipped(source.seen, first, last)
        if not source.guess:
            return Part(cells, clipped(source.labels, first, last), seen)
        conflicts, masks = segments_of(source.store, first, last, source.labels.shape[1:])
        return Part(replace(cells, conflicts=conflicts), masks, seen)

    def digest(self, first: int, last: int) -> str:
        """Digest of all that these frames hold."""
        return digest(self.source.denoise, self.source.interval, [frame.digest for frame in self.frames[first:last]])


def clipped(film: OpenedFilm, first: int, last: int) -> OpenedFilm:
    """Some frames of a film, as a film."""

    def read(t: int, place: Place) -> Array:
        return film.read(first + t, place)

    return replace(film, shape=(last - first, *film.shape[1:]), read=read, numbers=film.numbers[first:last])


def recipe_of(
    segment: str, denoise: str, scale: Sequence[float], weights: Sequence[str], *, guess: bool = False, reading: Reading = ()
) -> str:
    """Digest of how frames are worked on.

    Args:
        segment: How they are segmented; empty when masks are given.
        denoise: What restores them.
        scale: Size of a pixel along each axis.
        weights: Digests of the weights of both.
        guess: Whether several segmentations are kept.
        reading: How the images are read.
    """
    return digest(__version__, segment, guess, denoise, list(map(float, scale)), list(weights), list(map(list, reading)))


def _said(note: Note) -> Measured:
    facts = note.facts
    return Measured(facts["cells"], digest(note.digest, facts["mask"], facts["picture"]), facts["picture"], facts["mask"], facts["sets"])


def _stands(task: Frame, note: Note) -> bool:
    """Whether a piece was made in the way that is wanted, and the masks that it speaks of are there."""
    source = task.source
    if note.facts["recipe"] != source.recipe:
        return False
    if source.guess:
        return segments_stand(source.store, task.number, note.facts["mask"])
    return not source.made or note.facts["files"] == len(source.labels.sources(task.number) or ())


def _finite(image: Array) -> Array:
    if odd := odd_pixels(image):
        raise ValueError(f"it has {odd}: fill them before tracking")
    return image


def _dated(path: Path) -> int:
    return path.stat().st_mtime_ns


@lru_cache(maxsize=8)
def _opened(path: Path, kind: Any, reading: Reading, _date: int) -> OpenedFilm:  # noqa: ANN401 - a Kind
    return open_film(path, kind=kind, **dict(reading))


@lru_cache(maxsize=2)
def _restored(path: Path, name: str, reading: Reading, date: int) -> OpenedFilm:
    film = denoised(_opened(path, "image", reading, date), name)

    def read(t: int, place: Place) -> Array:
        with one_thread():
            return film.read(t, place)

    return replace(film, read=read) if name else film


@lru_cache(maxsize=2)
def _how(name: str, scale: tuple[float, ...]) -> Any:  # noqa: ANN401 - a Segment
    return segmenter(name, n_axes=len(scale), scale=scale)


@lru_cache(maxsize=2)
def _how_in_blocks(name: str, scale: tuple[float, ...]) -> Any:  # noqa: ANN401 - a function of an image and a canvas
    return segmenter_in_blocks(name, n_axes=len(scale), scale=scale)
