"""Simulated films: image, masks and true lineages that agree to the pixel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lineage.arrays import Array, IntArray
from lineage.detections import Detections
from lineage.forest import Forest

from .camera import drawn, photographed
from .scenario import Simulation, changed
from .tissue import Tissue, fresh, grow

HIDDEN, SHOWN, MISSED = 0, 1, 2
SMALLEST = 0.1  # part of a cell that must be in the field for it to have a mask
GHOST = -1  # the uid of a mask that is no cell


@dataclass(frozen=True, eq=False)
class SimulatedFilm:
    """A film and all that is true about it.

    Attributes:
        image: Fluorescence, uint16 (T, [Z,] Y, X).
        labels: Masks, uint16 (uint32 if there are more than 65535), same shape, 0 is background.
        truth: The lineages; one detection for every mask of ``labels``, measured from it. Masks that are no cells are not selected.
        scale: Size of a pixel along ([z,] y, x), physical units.
        settings: What the film was made from.
    """

    image: Array
    labels: Array
    truth: Forest
    scale: tuple[float, ...]
    settings: Simulation


@dataclass(frozen=True, eq=False)
class _Shot:
    """One frame before labels are given: the image, mask k + 1 where row k shows, and who the rows are and how they fare."""

    image: Array
    mask: Array
    uid: IntArray
    mother: IntArray
    state: IntArray


def simulate(settings: Simulation | None = None, /, **overrides: Any) -> SimulatedFilm:  # noqa: ANN401 - any setting
    """Make a film of fluorescent nuclei that move, touch, grow and divide, with masks and true lineages.

    Cells are bumpy ellipses (ellipsoids) on a persistent random walk. They double their volume over a cycle of random length,
    round up, brighten and split along their long axis into daughters that share the volume; cells that press on each other give
    way. They come and go through the border; a cell that leaves and comes back is another one, for nobody could know.

    Args:
        settings: What the film shows; defaults when not given.
        overrides: Single settings by name, such as ``frames=30, cells=20, size=(256, 256), seed=0``; see ``Simulation``.
            A ``size`` of three numbers, (z, y, x), makes a 3D film.

    Returns:
        Film, masks and truth. The same settings give the same bytes.

    Raises:
        ValueError: A setting is out of range; the message names it.
        TypeError: There is no such setting.
    """
    settings = changed(settings, overrides)
    shots = list(_shots(settings))
    image = np.stack([shot.image for shot in shots])
    labels, order, parent, selected = _labelled(shots, settings)
    cells = Detections.from_labels(labels, image, settings.pixel)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    parent = parent[order]
    parent = np.where(parent >= 0, place[parent], -1)
    return SimulatedFilm(image, labels, Forest(cells, parent, selected[order]), settings.pixel, settings)


def _shots(settings: Simulation) -> Iterator[_Shot]:
    """The film frame by frame; nothing of a frame is kept but what the next one grows from."""
    for frame, cells in enumerate(grow(settings)):
        rng = np.random.default_rng([settings.seed, 3, frame])
        tissue = cells.joined(_ghosts(len(cells), settings, rng))
        ink = drawn(tissue, settings, tissue.uid != GHOST)
        missed = rng.random(len(tissue)) < settings.miss_rate
        whole = _pixels(tissue, settings)
        seen = np.bincount(ink.cell, minlength=len(tissue)) >= np.maximum(SMALLEST * whole, 1)
        state = np.where(seen, np.where(missed & (tissue.uid != GHOST), MISSED, SHOWN), HIDDEN)
        mask = np.zeros(int(np.prod(settings.size)), np.int64)
        mask[ink.pixel] = np.where(state[ink.cell] == SHOWN, ink.cell + 1, 0)
        yield _Shot(photographed(tissue, ink, settings, frame), mask.reshape(settings.size), tissue.uid, tissue.mother, state)


def _pixels(tissue: Tissue, settings: Simulation) -> Array:
    """About how many pixels a whole cell has; float (m,)."""
    ball = np.pi if tissue.n_axes == 2 else 4 / 3 * np.pi
    return ball * tissue.radius**tissue.n_axes / np.prod(settings.spacing)


def _ghosts(n_cells: int, settings: Simulation, rng: np.random.Generator) -> Tissue:
    """Small dim debris at random places, which a segmentation takes for cells."""
    share = float(np.prod(settings.field / (settings.field + 2 * settings.margin)))
    place = rng.random((rng.poisson(settings.false_rate * n_cells * share), len(settings.size))) * (settings.field - 1)
    debris = fresh(place, settings, rng, 0)
    return replace(
        debris,
        uid=np.full(len(debris), GHOST),
        birth_radius=debris.birth_radius * rng.uniform(0.35, 0.6, len(debris)),
        light=0.3 * debris.light,
        age=debris.cycle / 2,
    )


def _labelled(shots: Sequence[_Shot], settings: Simulation) -> tuple[Array, IntArray, IntArray, Array]:
    """Give the masks their labels: the numbers of the tracklets they belong to.

    Returns:
        The label film; the rows in the order in which its masks are measured (by frame, then label), int (n,); and, in the order
        of the shots, the parent of every row, int (n,), and whether it is a cell, bool (n,).
    """
    shown = [np.flatnonzero(shot.state == SHOWN) for shot in shots]
    frame = np.repeat(np.arange(len(shots)), [len(rows) for rows in shown])
    selected = np.concatenate([shot.uid[rows] != GHOST for shot, rows in zip(shots, shown, strict=True)])
    parent = _parents(shots, shown)
    blank = Detections(frame, np.zeros((len(frame), len(settings.size))), np.zeros(len(frame), np.int64))
    label = Forest(blank, parent, selected).tracklet_id.copy()
    label[~selected] = label.max(initial=0) + 1 + np.arange(int((~selected).sum()))
    if settings.shuffle_labels:
        lot = np.random.default_rng([settings.seed, 4]).random(len(frame))
        label[np.lexsort((lot, frame))] = np.arange(len(frame)) - np.searchsorted(frame, frame) + 1
    labels = np.zeros((len(shots), *settings.size), np.uint16 if label.max(initial=0) < 2**16 else np.uint32)
    ends = np.searchsorted(frame, np.arange(len(shots) + 1))
    for t, (shot, rows) in enumerate(zip(shots, shown, strict=True)):
        table = np.zeros(len(shot.uid) + 1, labels.dtype)
        table[rows + 1] = label[ends[t] : ends[t + 1]]
        labels[t] = table[shot.mask]
    return labels, np.lexsort((label, frame)), parent, selected


def _parents(shots: Sequence[_Shot], shown: Sequence[IntArray]) -> IntArray:
    """Row of the parent of every mask, or -1: where the cell, or else its mother, was last seen.

    A cell that leaves the field loses its past, one whose mask is missing keeps it. A past is handed down once only: daughters of
    a mother who was never seen begin anew, or her own mother could have more than two children.
    """
    n_uid = 1 + max(int(shot.uid.max(initial=-1)) for shot in shots)
    past, known = np.full(n_uid, -1), np.zeros(n_uid, bool)
    parents, n = [], 0
    for shot, rows in zip(shots, shown, strict=True):
        born = np.flatnonzero(shot.mother >= 0)
        mother = shot.mother[born]
        past[shot.uid[born]] = np.where(known[mother], past[mother], -1)
        past[shot.uid[(shot.state == HIDDEN) & (shot.uid != GHOST)]] = -1
        uid = shot.uid[rows]
        real = np.flatnonzero(uid != GHOST)
        parent = np.full(len(rows), -1)
        parent[real] = past[uid[real]]
        past[uid[real]] = n + real
        known[uid[real]] = True
        parents.append(parent)
        n += len(rows)
    return np.concatenate(parents)
