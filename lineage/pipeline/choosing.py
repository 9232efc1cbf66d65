"""Choosing: hypotheses of every frame as detections that exclude each other, and the label film of those that were chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lineage.arrays import Array, IntArray, Progress, is_large
from lineage.detections import Detections, Masks
from lineage.films import OpenedFilm
from lineage.forest import Forest
from lineage.linking import candidate_graph, link_graph
from lineage.measure import measure_pixels
from lineage.scoring.rivals import COST, LIKELIEST
from lineage.settings import Settings

from .segmenting import automatic, each, kept, model_named

Guess = Callable[[Array], Any]  # image -> segmentation.hypotheses.Segments
PIXELS = "hypotheses.bin"


def guesser(name: str, n_axes: int) -> Guess:
    """A function image -> hypotheses, by shipped weights or a weights file.

    Raises:
        ValueError: No such weights, the classical method, or weights whose decoder does not say where the foreground is.
    """
    name = automatic(name, n_axes)
    if name == "classical":
        raise ValueError("hypotheses need a trained segmenter, but the method is classical: name weights, or do without hypotheses")
    from segmentation.hypotheses import hypotheses

    return partial(hypotheses, model_named(name, n_axes))


def guess_wanted(settings: Settings, shape: tuple[int, ...]) -> Guess | None:
    """How hypotheses are found where the settings, or else film and weights, speak for them; None where one segmentation is linked.

    Args:
        settings: ``hypotheses``, ``segment`` and ``merges`` count.
        shape: Of the film, (T, [Z,] Y, X).

    Raises:
        ValueError: They are asked for and there is no way, see ``guesser``; or there are no such weights.
    """
    n_axes = len(shape) - 1
    name = automatic(settings.segment, n_axes)
    if settings.hypotheses is not None:
        return guesser(name, n_axes) if settings.hypotheses else None
    if name == "classical" or settings.merges or is_large(shape[1:]):
        return None
    from segmentation.hypotheses import hypotheses, is_calibrated

    model = model_named(name, n_axes)
    return partial(hypotheses, model) if is_calibrated(model) else None


def linked_hypotheses(  # noqa: PLR0913 - all but two by keyword only
    film: OpenedFilm,
    settings: Settings,
    *,
    scale: Sequence[float],
    interval: float | None,
    folder: Path,
    progress: Progress[Any],
    guess: Guess,
) -> tuple[Forest, OpenedFilm]:
    """Let the solver choose segmentation and links together.

    Args:
        film: The images.
        settings: Of linking.
        scale: Size of a pixel along ([z,] y, x), physical units.
        interval: Seconds between frames, if known.
        folder: Where the pixels and the label film are kept while the run lasts.
        progress: Wraps the loops over frames.
        guess: What finds the hypotheses of a frame.

    Returns:
        The lineages over the chosen segments alone, with the column ``probability``, and the film of their labels.
    """
    cells, masks = gathered(film, guess, scale=scale, interval=interval, folder=folder, progress=progress)
    forest = link_graph(candidate_graph(cells, masks, settings, image=film, progress=progress), settings)
    labels = kept(_film_of(forest, masks), film.shape, folder)
    del masks
    (folder / PIXELS).unlink()
    return chosen(forest, len(cells.conflicts)), labels


def gathered(
    film: OpenedFilm, guess: Guess, *, scale: Sequence[float], interval: float | None, folder: Path, progress: Progress[Any]
) -> tuple[Detections, Masks]:
    """The hypotheses of all frames as measured detections with costs and conflict sets, and their pixels, which stay on disk.

    A detection's label is the number of its segment in its frame, from 1.
    """
    tables: list[dict[str, Array]] = []
    conflicts: list[IntArray] = []
    counts = [np.zeros(1, np.int64)]
    first = 0
    with (folder / PIXELS).open("wb") as file:
        for t, segments in each(film, guess, progress):
            tables.append(tabled(segments, film[t], scale))
            conflicts += [first + rows for rows in segments.conflicts]
            counts.append(segments.size)
            segments.pixels.astype(np.int64).tofile(file)
            first += len(segments)
    ends = np.cumsum(np.concatenate(counts))
    pixels: IntArray = np.memmap(folder / PIXELS, np.int64, "r") if ends[-1] else np.zeros(0, np.int64)
    cells = Detections.from_tables(tables, len(film.shape) - 1, scale)
    return replace(cells, conflicts=conflicts, interval=interval), Masks(film.shape, pixels, ends)


def tabled(segments: Any, image: Array, scale: Sequence[float]) -> dict[str, Array]:  # noqa: ANN401 - segmentation.hypotheses.Segments
    """What is measured of the n segments of a frame, what choosing each costs by itself, and the likeliest choice; columns (n,)."""
    n = len(segments)
    best = np.isin(np.arange(n), segments.best())
    facts = measure_pixels(segments.pixels, segments.owner, n, segments.shape, np.asarray(scale, float), intensity=image)
    return {"label": np.arange(1, n + 1), **facts, COST: segments.cost, LIKELIEST: best, "probability": segments.score}


def painted(masks: Masks, rows: slice, label: Array) -> Array:
    """The label image of a frame, uint32.

    Args:
        masks: Of all segments.
        rows: Those of the frame.
        label: What each of the film's is painted with, 0 where it is not chosen; those that are chosen are disjoint.
    """
    picture = np.zeros(int(np.prod(masks.shape[1:])), np.uint32)
    pixels, owner = masks.at(rows)
    chosen = label[owner] > 0
    picture[pixels[chosen]] = label[owner[chosen]]
    return picture.reshape(masks.shape[1:])


def _film_of(forest: Forest, masks: Masks) -> Iterator[Array]:
    """The label image of each frame: the chosen segments, disjoint since a shared pixel makes a conflict."""
    label = np.where(forest.selected, forest.detections.label, 0).astype(np.uint32)
    for t in range(masks.shape[0]):
        yield painted(masks, forest.detections.at(t), label)


def chosen(forest: Forest, sets: int) -> Forest:
    """The forest over the chosen segments alone.

    Args:
        forest: Over all segments.
        sets: How many sets of them there are of which at most one is real, for the record.
    """
    cells, rows = forest.detections, np.flatnonzero(forest.selected)
    number = np.full(len(forest) + 1, -1)
    number[rows] = np.arange(len(rows))
    columns = {name: column for name, column in cells.columns.items() if name not in (COST, LIKELIEST)}
    counted = {"segments": len(cells), "sets": sets, "chosen": len(rows)}
    return replace(
        forest.with_record(hypotheses=counted),
        detections=replace(cells, columns=columns, conflicts=()).take(rows),
        parent=number[forest.parent[rows]],
        selected=np.ones(len(rows), bool),
        link_cost=forest.link_cost[rows],
        slack={"select": forest.slack["select"][rows]} if "select" in forest.slack else {},
    )
