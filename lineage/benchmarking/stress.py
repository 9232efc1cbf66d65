"""Stress: what films suffer, done to masks or points by lot, while each keeps to the cell of the truth that it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lineage.arrays import Array, Film, FloatArray, IntArray, length
from lineage.candidates import displacements
from lineage.detections import Detections
from lineage.matching import Tracks
from lineage.measure import compact, label_image
from lineage.scoring.film import diameter

from .case import Case

_TRIES = 10  # places tried for a false mask


@dataclass(frozen=True, eq=False)
class Harm:
    """What happens to the detections of a film; n of them.

    Attributes:
        keep: Which stay; bool (n,).
        shift: How far each is moved; float (n, d), physical units.
        stage: How far the whole field is moved in each frame, which is part of ``shift``; float (T, d), physical units.
        copied: Which are seen once more at a place where no cell is; int (k,).
        step: Every how many frames one is kept.
    """

    keep: Array
    shift: FloatArray
    stage: FloatArray
    copied: IntArray
    step: int = 1


def _size(cells: Detections) -> float:
    """Typical diameter of a cell, physical units."""
    return diameter(cells, displacements(cells)[1])


def _none(cells: Detections) -> Harm:
    n, d = len(cells), cells.n_axes
    return Harm(np.ones(n, bool), np.zeros((n, d)), np.zeros((cells.n_frames, d)), np.zeros(0, np.int64))


def _clean(cells: Detections, _amount: float, _rng: np.random.Generator) -> Harm:
    return _none(cells)


def _frames(cells: Detections, amount: float, _rng: np.random.Generator) -> Harm:
    none = _none(cells)
    return Harm(cells.frame % int(amount) == 0, none.shift, none.stage, none.copied, int(amount))


def _drop(cells: Detections, amount: float, rng: np.random.Generator) -> Harm:
    none = _none(cells)
    return Harm(rng.random(len(cells)) >= amount / 100, none.shift, none.stage, none.copied)


def _extra(cells: Detections, amount: float, rng: np.random.Generator) -> Harm:
    none = _none(cells)
    return Harm(none.keep, none.shift, none.stage, np.flatnonzero(rng.random(len(cells)) < amount / 100))


def _jitter(cells: Detections, amount: float, rng: np.random.Generator) -> Harm:
    none = _none(cells)
    return Harm(none.keep, rng.normal(0, amount / 100 * _size(cells), none.shift.shape), none.stage, none.copied)


def _drift(cells: Detections, amount: float, rng: np.random.Generator) -> Harm:
    course = rng.normal(size=cells.n_axes)
    course[:-2] = 0  # stages drift in the plane
    course *= amount / 100 * _size(cells) / np.linalg.norm(course)
    return _moved(cells, np.arange(cells.n_frames)[:, None] * course)


def _jump(cells: Detections, amount: float, rng: np.random.Generator) -> Harm:
    course = rng.normal(size=(cells.n_frames, cells.n_axes))
    course[:, :-2] = 0
    course *= amount / 100 * _size(cells) / np.maximum(np.linalg.norm(course, axis=1, keepdims=True), 1e-12)
    course *= (rng.random(cells.n_frames) < 0.2)[:, None]
    return _moved(cells, np.cumsum(course, axis=0))


def _moved(cells: Detections, stage: FloatArray) -> Harm:
    none = _none(cells)
    return Harm(none.keep, stage[cells.frame], stage, none.copied)


@dataclass(frozen=True)
class Kind:
    """A kind of stress: its usual amount, what the amount means, what it does to detections, and how much of it there can be."""

    amount: float
    says: str
    harm: Callable[[Detections, float, np.random.Generator], Harm]
    most: float = np.inf


STRESSES = {
    "clean": Kind(0, "the film as it is, numbers shuffled", _clean),
    "frames/": Kind(2, "every second (third, ...) frame only", _frames),
    "drop": Kind(5, "so many per cent of the cells are missed", _drop, most=99),
    "extra": Kind(5, "so many false cells per hundred true ones", _extra),
    "jitter": Kind(20, "each cell is misplaced by so many per cent of a cell's diameter", _jitter),
    "drift": Kind(25, "the field moves by so many per cent of a cell's diameter from frame to frame", _drift),
    "jump": Kind(150, "in one frame of five the field jumps by so many per cent of a cell's diameter", _jump),
}


def parsed(name: str) -> tuple[Kind, float]:
    """The kind and the amount of a stress such as ``drop10`` or ``frames/4``.

    Raises:
        ValueError: There is no such stress.
    """
    found = re.fullmatch(r"([a-z]+/?)(\d*)", name)
    kind = STRESSES.get(found[1]) if found else None
    if found is None or kind is None or (found[2] and kind.amount == 0) or (found[1] == "frames/" and found[2] in ("", "0")):
        known = ", ".join(f"{word}{kind.amount:g}" if kind.amount else word for word, kind in STRESSES.items())
        raise ValueError(f"no such stress: {name}; there are {known} (with any whole number)")
    amount = float(found[2] or kind.amount)
    if amount > kind.most:
        raise ValueError(f"no such stress: {name}; {found[1]} is for {kind.most:g} at most")
    return kind, amount


def stressed(case: Case, name: str, folder: Path, seed: int = 0) -> Case:
    """A case under stress; its masks are numbered anew in every frame, or its points in another order, so that neither tells anything.

    Args:
        case: Masks or points and the truth.
        name: Such as ``clean``, ``frames/2``, ``drop5``, ``extra5``, ``jitter``, ``drift``, ``jump``; see ``STRESSES``.
        folder: Where to put the masks, ``labels.npy`` (and ``image.npy``); they are made frame by frame.
        seed: The same seed makes the same film.
    """
    kind, amount = parsed(name)
    rng = np.random.default_rng([seed, *name.encode()])
    harm = kind.harm(case.detections, amount, rng)
    cells, origin, labels, image = _points(case, harm, rng) if case.labels is None else _masks(case, harm, rng, folder)
    new_row = np.full(len(case.detections) + 1, -1)
    new_row[origin[origin >= 0]] = np.flatnonzero(origin >= 0)
    truth, new_cell = thinned(case.truth, harm.step)
    cell, row = new_cell[case.cell], new_row[case.row]
    known = (cell >= 0) & (row >= 0)
    return Case(cells, labels, image, truth, cell[known], row[known])


def thinned(tracks: Tracks, step: int) -> tuple[Tracks, IntArray]:
    """A table of tracklets on every ``step``-th frame, and what becomes of each cell, -1 where its frame is left out; int (n,).

    A tracklet that lies between two kept frames is gone, and its children come from where it came from.
    """
    if step == 1:
        return tracks, np.arange(tracks.n_cells)
    label, begin, end, _ = tracks.table.T
    first, last = -(-begin // step), end // step
    alive = first <= last
    up = tracks.parent.copy()
    while np.any(gone := (up >= 0) & ~np.append(alive, True)[up]):
        up = np.where(gone, np.append(tracks.parent, -1)[up], up)
    table = np.column_stack([label, first, last, np.where(up >= 0, np.append(label, 0)[up], 0)])[alive]
    thin = Tracks(table, tracks.name)
    number = np.where(alive, np.cumsum(alive) - 1, 0)
    place = np.append(thin.start, 0)[number[tracks.tracklet]] + tracks.frame // step - first[tracks.tracklet]
    return thin, np.where((tracks.frame % step == 0) & alive[tracks.tracklet], place, -1)


def _points(case: Case, harm: Harm, rng: np.random.Generator) -> tuple[Detections, IntArray, None, None]:
    cells = case.detections
    around = rng.normal(size=(len(harm.copied), cells.n_axes))
    around *= 2 * _size(cells) * rng.uniform(0.5, 1.5, (len(around), 1)) / np.maximum(np.linalg.norm(around, axis=1), 1e-12)[:, None]
    stay = np.flatnonzero(harm.keep)
    rows = np.concatenate([stay, harm.copied])
    place = np.concatenate([(cells.position + harm.shift)[stay], cells.position[harm.copied] + around])
    origin = np.concatenate([stay, np.full(len(harm.copied), -1)])
    order = np.lexsort((rng.random(len(rows)), cells.frame[rows]))
    columns = {name: column[rows][order] for name, column in cells.columns.items()}
    frame, n_frames = cells.frame[rows][order] // harm.step, -(-cells.n_frames // harm.step)
    new = Detections(frame, place[order], np.zeros(len(rows), np.int64), columns, cells.scale, n_frames=n_frames)
    return new, origin[order], None, None


def _masks(case: Case, harm: Harm, rng: np.random.Generator, folder: Path) -> tuple[Detections, IntArray, Film, Film | None]:
    """Draw the masks anew, frame by frame, on a canvas that is large enough for all that moves."""
    cells, film = case.detections, case.labels
    assert film is not None
    pixels = np.rint(harm.shift / cells.scale).astype(np.int64)
    stage = np.rint(harm.stage / cells.scale).astype(np.int64)
    low = -np.minimum(pixels.min(axis=0, initial=0), 0)
    shape = tuple((np.array(np.asarray(film[0]).shape) + low + np.maximum(pixels.max(axis=0, initial=0), 0)).tolist())
    kept = range(0, length(film), harm.step)
    few = np.bincount(cells.frame, minlength=1).max() < 2**15  # and as many false ones at most
    labels = _film(folder / "labels.npy", (len(kept), *shape), np.dtype(np.uint16 if few else np.uint32))
    origins = []
    for k, t in enumerate(kept):
        labels[k], origin = _drawn(label_image(film[t], t), cells, (t, harm, pixels + low), (shape, rng))
        origins.append(origin)
    picture = None
    if case.image is not None:
        first = np.asarray(case.image[0])
        picture = _film(folder / "image.npy", (len(kept), *shape), first.dtype)
        for k, t in enumerate(kept):
            frame = np.asarray(case.image[t])
            corner = (stage[t] + low).tolist()
            picture[k] = np.median(frame)
            picture[k][tuple(slice(a, a + size) for a, size in zip(corner, frame.shape, strict=True))] = frame
    return Detections.from_labels(labels, scale=cells.scale), np.concatenate(origins), labels, picture


def _film(path: Path, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Array:
    """An array on disk, so that no more than a frame of it need be in memory."""
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)


def _drawn(
    image: Array, cells: Detections, harmed: tuple[int, Harm, IntArray], canvas: tuple[tuple[int, ...], np.random.Generator]
) -> tuple[Array, IntArray]:
    """One frame of masks: what is left of the cells, moved, and false ones where there is room.

    Returns:
        The label image, and the row of each of its labels in turn, -1 for the false ones; int (k,).
    """
    (t, harm, shift), (shape, rng) = harmed, canvas
    rows = cells.at(t)
    values, pixels, owner = compact(image)
    order = np.argsort(cells.label[rows])
    assert np.array_equal(cells.label[rows][order], values)
    row = rows.start + order  # of each value
    where = np.stack(np.unravel_index(pixels, image.shape), axis=1)
    number = np.full(shape, -1)
    stay = harm.keep[row][owner]
    number[tuple((where + shift[row[owner]])[stay].T)] = owner[stay]
    origin = row.tolist()
    for copied in np.flatnonzero(np.isin(row, harm.copied)):  # a loop over the few false masks, each of which must find room
        outline = where[owner == copied] - where[owner == copied].min(axis=0)
        for _ in range(_TRIES):
            place = outline + rng.integers(0, np.maximum(np.array(shape) - outline.max(axis=0), 1))
            if (free := number[tuple(place.T)] < 0).mean() >= 0.5:
                number[tuple(place[free].T)] = len(origin)
                origin.append(-1)
                break
    seen = np.unique(number[number >= 0])
    table = np.zeros(len(origin) + 1, np.uint32)
    table[seen] = rng.permutation(len(seen)) + 1
    by_label = np.empty(len(seen), np.int64)
    by_label[table[seen] - 1] = np.array(origin, np.int64)[seen]
    return table[number], by_label
