"""Scaling: a film of any size to lineages, piece by piece, on this machine or on many."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lineage.arrays import Progress, is_large, silent
from lineage.films import OpenedFilm, open_film
from lineage.films.zarr_writing import create_labels_zarr, sweep
from lineage.forest import Forest
from lineage.pieces import Resources, Spread, Store, all_done, digest, held, spreading
from lineage.settings import Settings
from lineage.stretches import check, link_in_stretches

from .choosing import chosen, guess_wanted
from .frames import Frame, FrameCells, Measured, Source, measured, recipe_of
from .guessing import Painting, paint
from .restoring import weights_of as denoiser_of
from .segmenting import automatic, model_named
from .segmenting import weights_of as segmenter_of

LABELS = "labels.zarr"
PIECES = ".pieces"  # what is added to the name of the folder of the results


@dataclass(frozen=True, eq=False)
class Scaled:
    """What was found piece by piece.

    Attributes:
        forest: The lineages.
        labels: The masks they speak of.
        inputs: Digests of film and masks.
        seconds: What every stage took.
    """

    forest: Forest
    labels: OpenedFilm
    inputs: dict[str, Any]
    seconds: dict[str, float] = field(default_factory=dict)


@contextmanager
def pieces_of(out: str | Path) -> Iterator[Path]:
    """The folder of the pieces of a result, beside it, kept for this run while the block lasts."""
    out = Path(out).absolute()
    with held(out.with_name(out.name + PIECES)) as folder:
        ours = re.compile(re.escape(f".{out.name}.") + r"\d+\.(tmp|old)")
        for left in (path for path in out.parent.iterdir() if ours.fullmatch(path.name)):  # of a run that was killed
            shutil.rmtree(left, ignore_errors=True)
        yield folder


def in_pieces(  # noqa: PLR0913 - the film, and by keyword how to work on it
    film: OpenedFilm | None,
    masks: OpenedFilm | None,
    settings: Settings,
    folder: Path,
    resources: Resources,
    *,
    scale: Sequence[float],
    interval: float | None,
    tell: Callable[[str], None] = lambda _: None,
    progress: Progress[Any] = silent,
) -> Scaled:
    """Find the lineages of a film piece by piece; what is in the folder from a run before is not done again.

    Args:
        film: The images, on disk; None when there are only masks.
        masks: The masks, on disk; None when they are made here.
        settings: What to change of the defaults.
        folder: Holds the pieces: ``frames/``, ``links/``, ``lineages.npz``, and ``labels.zarr`` when masks are made here.
        resources: Memory, and who does the work.
        scale: Size of a pixel along each axis, physical units.
        interval: Seconds between frames; None when not known.
        tell: Is told where the cluster's dashboard is.
        progress: Wraps the loops over frames, stretches and windows.

    Raises:
        ValueError: Film or masks that are no files, or what makes no sense in a frame.
        OSError: No space is left, a scheduler that cannot be reached, and the like: run it again when that is mended.
    """
    check(settings)
    store, seconds = Store(folder), dict[str, float]()
    source = _source(film, masks, settings, store, scale=scale, interval=interval)
    store.tidy()
    with spreading(resources, folder, tell) as spread:
        began = time.perf_counter()
        frames = _measured(source, len(_given(film, masks)), spread, progress)
        seconds["frames"] = time.perf_counter() - began
        cells = FrameCells(source, frames)
        began = time.perf_counter()
        found = link_in_stretches(cells, store, settings, memory=resources.memory, spread=spread, progress=progress)
        columns: dict[str, Any] = dict(found.columns)
        sure = {"link_confidence": columns.pop("link_confidence")}
        detections = cells.detections(0, len(frames)).with_columns(**sure)
        forest = Forest(detections, **columns, certificate=found.certificate, record=found.record)
        if source.guess:
            forest = chosen(forest, sum(frame.sets for frame in frames))
            _paint(source, forest, spread, progress)
        seconds["linking"] = time.perf_counter() - began
    inputs = {
        name: {"path": str(opened.path), "frames": len(opened), "blake2b": digest([getattr(frame, what) for frame in frames])}
        for name, opened, what in (("film", film, "picture"), ("labels", masks, "mask"))
        if opened is not None
    }
    return Scaled(forest, source.labels, inputs, seconds)


def _given(film: OpenedFilm | None, masks: OpenedFilm | None) -> OpenedFilm:
    given = film or masks
    assert given is not None
    return given


def _source(
    film: OpenedFilm | None, masks: OpenedFilm | None, settings: Settings, store: Store, *, scale: Sequence[float], interval: float | None
) -> Source:
    """Where the frames are and what is to be done with them; begins the label film where it is made here."""
    given = _given(film, masks)
    places = [opened.path for opened in (film, masks) if opened is not None]
    if None in places:
        raise ValueError("a film is worked on in pieces by its path, but this one is an array: save it first, as .zarr or .tif")
    segment = "" if masks is not None else automatic(settings.segment, len(given.shape) - 1)
    if segment not in ("", "classical"):
        model_named(segment, len(given.shape) - 1)  # what cannot work is said before the work begins
    guess = masks is None and _guesses(given, settings)
    made = store.folder.absolute() / LABELS
    if masks is None:
        _begin(made, given, scale, interval)
    where = made if masks is None else _absolute(masks)
    weights, reading = [segmenter_of(segment), denoiser_of(settings.denoise)], tuple(settings.reading.items())
    recipe = recipe_of(segment, settings.denoise, scale, weights, guess=guess, reading=reading)
    image = None if film is None else _absolute(film)
    how: dict[str, Any] = {"segment": segment, "guess": guess, "denoise": settings.denoise, "reading": reading, "recipe": recipe}
    return Source(store, image, where, masks is None, **how, scale=tuple(map(float, scale)), interval=interval)


def _paint(source: Source, forest: Forest, spread: Spread, progress: Progress[Any]) -> None:
    """The masks of the segments that were chosen, written to the film of all masks."""
    cells, shape = forest.detections, source.labels.shape
    label = [tuple(cells.label[cells.at(t)].tolist()) for t in range(shape[0])]
    tasks = [Painting(source.store, source.masks, t, shape[1:], label[t]) for t in range(shape[0])]
    all_done(spread, paint, tasks, progress=progress, what="painting")


def _guesses(film: OpenedFilm, settings: Settings) -> bool:
    """Whether the solver chooses among several segmentations.

    Raises:
        ValueError: It is asked to, but cannot.
    """
    if settings.hypotheses and is_large(film.shape[1:]):
        raise ValueError(f"frames of shape {film.shape[1:]} are segmented part by part, once: leave hypotheses out")
    return guess_wanted(settings, film.shape) is not None


def _begin(path: Path, film: OpenedFilm, scale: Sequence[float], interval: float | None) -> None:
    """The label film that frames are written to; one that is there and fits is gone on with."""
    if path.exists():
        there = open_film(path, kind="labels")
        if there.shape == film.shape and (there.scale, there.interval) == (tuple(map(float, scale)), interval):
            return sweep(path)
        shutil.rmtree(path)
    create_labels_zarr(path, film.shape, scale, interval)


def _measured(source: Source, n_frames: int, spread: Spread, progress: Progress[Any]) -> tuple[Measured, ...]:
    """All frames, measured."""
    return tuple(all_done(spread, measured, [Frame(source, t) for t in range(n_frames)], progress=progress, what="frames"))


def _absolute(film: OpenedFilm) -> Path:
    assert film.path is not None
    return film.path.absolute()


def hand_over(labels: Path, folder: Path) -> Path:
    """The label film that was made, among the results: the same files under another name, copied only where that cannot be."""

    def linked(source: str, target: str) -> str:
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)
        return target

    return Path(shutil.copytree(labels, folder / LABELS, copy_function=linked))
