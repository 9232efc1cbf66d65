"""Shot: one frame of a simulated film before its masks have their labels, and who is on it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lineage.arrays import Array, BoolArray, IntArray

from .camera import drawn, photographed
from .scenario import Simulation
from .tissue import Tissue, fresh

HIDDEN, SHOWN, MISSED = 0, 1, 2
SMALLEST = 0.1  # part of a cell that must be in the field for it to have a mask
GHOST = -1  # the uid of a mask that is no cell


@dataclass(frozen=True, eq=False)
class Cast:
    """Who is there in one frame and how they fare, m rows.

    Attributes:
        uid: Number of the cell, never used twice, or ``GHOST``; int (m,).
        mother: Number of its mother if it was born in this frame, else -1; int (m,).
        state: Whether the cell is out of the field (``HIDDEN``), has a mask (``SHOWN``), or should have one (``MISSED``); int (m,).
    """

    uid: IntArray
    mother: IntArray
    state: IntArray

    @property
    def shown(self) -> IntArray:
        """Rows that have a mask."""
        return np.flatnonzero(self.state == SHOWN)


@dataclass(frozen=True, eq=False)
class Shot:
    """One frame: the image, uint16, the masks, int with k + 1 where row k shows, both ([Z,] Y, X), and the cast."""

    image: Array
    mask: IntArray
    cast: Cast


def shoot(cells: Tissue, settings: Simulation, frame: int) -> Shot:
    """Draw and photograph one frame; it depends on no other one.

    Args:
        cells: The tissue in this frame.
        settings: What the film shows.
        frame: Its number, which decides on chance.
    """
    tissue, missed = _with_errors(cells, settings, frame)
    ink = drawn(tissue, settings, tissue.uid != GHOST)
    seen = np.bincount(ink.cell, minlength=len(tissue)) >= np.maximum(SMALLEST * _pixels(tissue, settings), 1)
    cast = _cast(tissue, seen, missed)
    mask = np.zeros(int(np.prod(settings.size)), np.int64)
    mask[ink.pixel] = np.where(cast.state == SHOWN, np.arange(len(tissue)) + 1, 0)[ink.cell]
    return Shot(photographed(tissue, ink, settings, frame), mask.reshape(settings.size), cast)


def surveyed(cells: Tissue, settings: Simulation, frame: int) -> tuple[Tissue, Cast]:
    """Who is in one frame when nothing is drawn: cells show while their centre is in the field.

    Args:
        cells: The tissue in this frame.
        settings: What the film shows.
        frame: Its number, which decides on chance.

    Returns:
        The tissue with false cells in it, and the cast, row by row.
    """
    tissue, missed = _with_errors(cells, settings, frame)
    seen = np.all((tissue.position >= 0) & (tissue.position <= settings.field - settings.spacing), axis=1)
    return tissue, _cast(tissue, seen, missed)


def _with_errors(cells: Tissue, settings: Simulation, frame: int) -> tuple[Tissue, BoolArray]:
    """The tissue with false cells in it, and whose mask is missing."""
    rng = np.random.default_rng([settings.seed, 3, frame])
    tissue = cells.joined(_ghosts(len(cells), settings, rng))
    missed = rng.random(len(tissue)) < settings.miss_rate
    return tissue, missed & (tissue.uid != GHOST)


def _cast(tissue: Tissue, seen: BoolArray, missed: BoolArray) -> Cast:
    return Cast(tissue.uid, tissue.mother, np.where(seen, np.where(missed, MISSED, SHOWN), HIDDEN))


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
