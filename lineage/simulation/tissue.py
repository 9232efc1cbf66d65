"""Tissue: the cells at one time as columns, and the step to the next time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
from scipy.spatial import cKDTree

from lineage.arrays import Array, FloatArray, IntArray

from .scenario import FULL, Simulation

MITOSIS = 3.0  # frames over which a mother rounds up and brightens before she divides, and daughters fade after
DYING = 3  # frames from the decision to die to the disappearance
PULL = 4  # power of the crowd's size to which cells die in a steady tissue: 10 % too many, half as many deaths more
PLATE = 0.6  # axis ratio of a newborn daughter: flat across the axis of division
CONTACT = 0.95  # distance of two cells that press on each other, as a part of the sum of their radii: they touch
WAVES, NUCLEOLI, MODES = 6, 3, 3  # ripples and dark spots of the texture, bumps of the outline


@dataclass(frozen=True, eq=False)
class Tissue:
    """Cells at one time, m rows. Lengths are in pixels along x.

    Attributes:
        uid: Number of the cell, never used twice; int (m,).
        mother: Number of its mother if it was born in this frame, else -1; int (m,).
        position, velocity, axis: Centre, velocity and direction of the long axis; float (m, d).
        birth_radius: Radius of the sphere of its volume at birth; float (m,).
        age, cycle: Time since birth and at division, frames; float (m,).
        stretch, goal: Logarithm of the axis ratio, now and at rest; float (m,).
        light: Brightness; float (m,).
        doom: Frames left to live for the dying, else -1; int (m,).
        bumps, bump_axis: Height and direction of the outline's bumps; float (m, 3) and (m, 3, d).
        wave, phase, nucleolus: Texture, in units of the radius; float (m, 6, d), (m, 6) and (m, 3, d).
    """

    uid: IntArray
    mother: IntArray
    position: FloatArray
    velocity: FloatArray
    axis: FloatArray
    birth_radius: FloatArray
    age: FloatArray
    cycle: FloatArray
    stretch: FloatArray
    goal: FloatArray
    light: FloatArray
    doom: IntArray
    bumps: FloatArray
    bump_axis: FloatArray
    wave: FloatArray
    phase: FloatArray
    nucleolus: FloatArray

    def __len__(self) -> int:
        return len(self.uid)

    @property
    def n_axes(self) -> int:
        """Number of spatial axes."""
        return self.position.shape[1]

    @property
    def full_radius(self) -> FloatArray:
        """Radius of the sphere of the same volume, which doubles over the cycle; float (m,)."""
        return self.birth_radius * 2 ** (np.minimum(self.age / self.cycle, 1) / self.n_axes)

    @property
    def radius(self) -> FloatArray:
        """Radius as seen: dividing cells are condensed, dying ones shrink; float (m,)."""
        shrunk = np.where(self.doom >= 0, 0.8 ** (DYING - self.doom), 1.0)
        return self.full_radius * (1 - 0.08 * self.mitosis) * shrunk

    @property
    def mitosis(self) -> FloatArray:
        """How close to division a cell is, 0 (between divisions) to 1 (divides); float (m,)."""
        return np.clip(1 - (self.cycle - self.age) / MITOSIS, 0, 1)

    @property
    def glow(self) -> FloatArray:
        """Brightness as seen: dividing, newborn and dying cells are condensed and bright; float (m,)."""
        newborn = np.clip(1 - self.age / MITOSIS, 0, 1)
        dying = np.where(self.doom >= 0, 0.6, 0)
        return self.light * (1 + np.maximum(np.maximum(0.9 * self.mitosis, 0.7 * newborn), dying))

    @property
    def semi_axes(self) -> tuple[FloatArray, FloatArray]:
        """Half length along the axis and across it; float (m,) each. The volume does not depend on the stretch."""
        d, radius = self.n_axes, self.radius
        return radius * np.exp(self.stretch * (d - 1) / d), radius * np.exp(-self.stretch / d)

    def reach(self, direction: FloatArray, rows: IntArray) -> FloatArray:
        """Distance from the centre to the outline of some cells, along unit vectors; float (k,)."""
        along, across = (half[rows] for half in self.semi_axes)
        cosine = (direction * self.axis[rows]).sum(1)
        return 1 / np.sqrt((cosine / along) ** 2 + np.maximum(1 - cosine**2, 0) / across**2)

    def take(self, rows: Array) -> Tissue:
        """Some of the cells, by rows or mask."""
        return Tissue(*(getattr(self, column.name)[rows] for column in fields(self)))

    def joined(self, other: Tissue) -> Tissue:
        """These cells and others."""
        return Tissue(*(np.concatenate([getattr(self, c.name), getattr(other, c.name)]) for c in fields(self)))


def fresh(position: FloatArray, settings: Simulation, rng: np.random.Generator, first_uid: int) -> Tissue:
    """New cells at given places, each at a random time of its cycle.

    Args:
        position: Centres, float (m, d), pixels along x.
        settings: What cells are like.
        rng: Source of chance.
        first_uid: Number of the first of them.
    """
    m, d = position.shape
    cycle = _cycles(m, settings, rng)
    # In a growing population young cells are commoner than old ones: the density of ages falls by half over the cycle.
    phase = -np.log2(1 - rng.random(m) / 2)
    middle = settings.radius * 2 ** (-0.5 / d)
    goal = np.abs(rng.normal(math.log(settings.aspect), 0.4 * math.log(settings.aspect), m))
    return Tissue(
        uid=first_uid + np.arange(m),
        mother=np.full(m, -1),
        position=position,
        velocity=rng.normal(0, settings.speed / math.sqrt(d), (m, d)),
        axis=unit(rng.normal(size=(m, d))),
        birth_radius=middle * np.exp(rng.normal(0, settings.radius_spread, m)),
        age=phase * (cycle - 1e-9),
        cycle=cycle,
        stretch=goal.copy(),
        goal=goal,
        light=np.exp(rng.normal(0, settings.brightness_spread, m)),
        doom=np.full(m, -1),
        **_looks(m, d, settings, rng),
    )


def _cycles(m: int, settings: Simulation, rng: np.random.Generator) -> FloatArray:
    return np.maximum(rng.normal(settings.cycle, settings.cycle_spread, m), settings.min_cycle)


def _looks(m: int, d: int, settings: Simulation, rng: np.random.Generator) -> dict[str, FloatArray]:
    spot = unit(rng.normal(size=(m, NUCLEOLI, d))) * 0.6 * rng.random((m, NUCLEOLI, 1)) ** (1 / d)
    return {
        "bumps": rng.normal(0, settings.bumps, (m, MODES)) / np.arange(1, MODES + 1),
        "bump_axis": unit(rng.normal(size=(m, MODES, d))),
        "wave": rng.normal(0, 4, (m, WAVES, d)),
        "phase": rng.uniform(0, 2 * math.pi, (m, WAVES)),
        "nucleolus": spot,
    }


def unit(vectors: FloatArray) -> FloatArray:
    """The vectors along the last axis, at length 1."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def grow(settings: Simulation) -> Iterator[Tissue]:
    """The tissue in every frame, one after another; it reaches beyond the field of view, so cells come and go.

    The tissue lives on a torus somewhat larger than the field. A cell that runs out on one side comes in on the other as another cell.
    """
    rng = np.random.default_rng([settings.seed, 0])
    tissue = _seeded(settings, rng)
    first = next_uid = len(tissue)
    yield tissue
    for _ in range(1, settings.frames):
        tissue = _aged(_mourned(tissue, settings, rng, first), settings, rng)
        tissue, next_uid = _divided(tissue, settings, rng, next_uid)
        tissue = _moved(tissue, settings, rng)
        tissue = replace(tissue, position=_pushed(tissue, settings, 6))
        tissue, next_uid = _wrapped(tissue, settings, next_uid)
        yield tissue


def _seeded(settings: Simulation, rng: np.random.Generator) -> Tissue:
    """The cells of the field, pushed apart, and others around it that do not show yet."""
    field, margin = settings.field, settings.margin
    low = np.minimum(2.0, field / 4)
    inside = fresh(low + rng.random((settings.cells, len(field))) * (field - 2 * low), settings, rng, 0)
    for _ in range(15):  # the field's own cells stay in it
        inside = replace(inside, position=np.clip(_pushed(inside, settings, 4), low, field - low))
    box = field + 2 * margin
    density = settings.cells / float(np.prod(np.maximum(field, 2 * settings.radius)))
    place = rng.random((rng.poisson(density * float(np.prod(box))), len(field))) * box - margin
    hidden = ((place < -0.6 * margin) | (place > field - 1 + 0.6 * margin)).any(1)
    return inside.joined(fresh(place[hidden], settings, rng, settings.cells))


def _divided(tissue: Tissue, settings: Simulation, rng: np.random.Generator, next_uid: int) -> tuple[Tissue, int]:
    """Split the cells whose time has come along their long axis; the daughters share the mother's volume."""
    due = (tissue.age >= tissue.cycle) & (tissue.doom < 0)
    mothers = tissue.take(due)
    m, d = mothers.position.shape
    if m == 0:
        return tissue, next_uid
    share = np.clip(rng.normal(0.5, 0.03, m), 0.4, 0.6)
    tilt = unit(mothers.axis + rng.normal(0, 0.1, (m, d)))
    daughters: list[Tissue] = []
    for sign, part in ((1, share), (-1, 1 - share)):
        young = fresh(mothers.position, settings, rng, next_uid + len(daughters) * m)
        radius = mothers.full_radius * part ** (1 / d)
        daughters.append(
            replace(
                young,
                mother=mothers.uid,
                position=mothers.position + sign * (0.85 * radius)[:, None] * tilt,
                velocity=mothers.velocity + sign * (0.15 * radius)[:, None] * tilt,
                axis=tilt,
                birth_radius=radius,
                age=np.zeros(m),
                stretch=np.full(m, math.log(PLATE)),
                light=mothers.light * np.exp(rng.normal(0, 0.05, m)),
            )
        )
    return tissue.take(~due).joined(daughters[0]).joined(daughters[1]), next_uid + 2 * m


def _mourned(tissue: Tissue, settings: Simulation, rng: np.random.Generator, first: int) -> Tissue:
    """Cells that die shrink for some frames and are gone then.

    Cells that divide after ``cycle`` frames keep their number when ln 2 / cycle of them die in a frame. That alone would let the number
    wander as chance has it, so more die when there are more than at first, and fewer when there are fewer.
    """
    steady = math.log(2) / settings.cycle * (np.count_nonzero(tissue.doom < 0) / first) ** PULL if settings.steady and first else 0.0
    chosen = (rng.random(len(tissue)) < settings.death_rate + steady) & (tissue.doom < 0)
    doom = np.where(chosen, DYING, np.where(tissue.doom > 0, tissue.doom - 1, tissue.doom))
    gone = tissue.doom == 0
    return replace(tissue, doom=doom).take(~gone)


def _moved(tissue: Tissue, settings: Simulation, rng: np.random.Generator) -> Tissue:
    """A persistent random walk, on a field that may drift, expand and jump."""
    m, d = tissue.position.shape
    keep = settings.persistence
    kick = rng.normal(0, settings.speed / math.sqrt(d), (m, d))
    velocity = keep * tissue.velocity + math.sqrt(1 - keep**2) * kick
    centre = (settings.field - 1) / 2
    position = centre + (tissue.position + velocity - centre) * (1 + settings.expansion)
    jump = rng.normal(0, settings.jump, d) * (rng.random() < settings.jump_rate)
    return replace(tissue, velocity=velocity, position=position + np.asarray(settings.drift or 0.0) + jump)


def _aged(tissue: Tissue, settings: Simulation, rng: np.random.Generator) -> Tissue:
    """Cells grow older, slower where there is no room left, and change their shape a little."""
    m, d = tissue.position.shape
    volume = (math.pi if d == 2 else 4 / 3 * math.pi) * tissue.radius**d
    cover = float(volume.sum() / np.prod(settings.field + 2 * settings.margin))
    pace = min(max((1.2 * FULL - cover) / (0.2 * FULL), 0.0), 1.0)  # full speed up to FULL, none from 1.2 FULL on
    goal = np.where(tissue.mitosis > 0, 0.05, tissue.goal)
    return replace(
        tissue,
        mother=np.full(m, -1),
        age=tissue.age + pace,
        stretch=tissue.stretch + 0.4 * (goal - tissue.stretch),
        axis=unit(tissue.axis + rng.normal(0, 0.12, (m, d))),
        bumps=0.9 * tissue.bumps + rng.normal(0, 0.43 * settings.bumps, (m, MODES)) / np.arange(1, MODES + 1),
        phase=tissue.phase + rng.normal(0, 0.15, (m, WAVES)),
    )


def _pushed(tissue: Tissue, settings: Simulation, times: int) -> FloatArray:
    """Centres after cells that overlap have pushed each other apart, a few times; float (m, d)."""
    position = tissue.position.copy()
    if len(position) < 2:
        return position
    box = settings.field + 2 * settings.margin
    longest = float(np.maximum(*tissue.semi_axes).max())
    # Two cells may come nearer while they are pushed, so pairs are taken from a little further off than they can touch.
    within = min(2.3 * longest, 0.49 * float(box.min()))
    a, b = cKDTree(np.mod(position + settings.margin, box), boxsize=box).query_pairs(within, output_type="ndarray").T
    for _ in range(times):
        apart = position[b] - position[a]
        apart -= box * np.round(apart / box)
        distance = np.linalg.norm(apart, axis=1)
        direction = apart / np.maximum(distance, 1e-9)[:, None]
        overlap = CONTACT * (tissue.reach(direction, a) + tissue.reach(direction, b)) - distance
        push = 0.3 * np.maximum(overlap, 0)[:, None] * direction
        np.add.at(position, a, -push)
        np.add.at(position, b, push)
    return position


def _wrapped(tissue: Tissue, settings: Simulation, next_uid: int) -> tuple[Tissue, int]:
    """Cells that ran out of the tissue come in on the other side, as others."""
    box, margin = settings.field + 2 * settings.margin, settings.margin
    out = np.any((tissue.position < -margin) | (tissue.position >= box - margin), axis=1)
    uid, mother = tissue.uid.copy(), tissue.mother.copy()
    uid[out] = next_uid + np.arange(np.count_nonzero(out))
    mother[out] = -1
    position = np.where(np.expand_dims(out, 1), np.mod(tissue.position + margin, box) - margin, tissue.position)
    return replace(tissue, uid=uid, mother=mother, position=position), next_uid + int(np.count_nonzero(out))
