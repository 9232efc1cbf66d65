"""Simulation: the settings of a simulated film, checked once."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from numbers import Integral, Real

import numpy as np

from lineage.arrays import FloatArray
from lineage.detections import checked_scale

FULL = 0.6  # part of the field that cells may cover in frame 0; randomly placed discs jam at 0.55, pushing gets a little further
_LIMITS = {  # lowest and highest value of every setting that is one number
    "frames": (1, math.inf),
    "cells": (0, math.inf),
    "seed": (0, math.inf),
    "radius": (1, math.inf),
    "radius_spread": (0, 0.5),
    "aspect": (1, 4),
    "bumps": (0, 0.2),
    "cycle": (1, math.inf),
    "cycle_spread": (0, math.inf),
    "min_cycle": (1, math.inf),
    "speed": (0, math.inf),
    "persistence": (0, 1),
    "expansion": (-0.2, 0.2),
    "jump_rate": (0, 1),
    "jump": (0, math.inf),
    "death_rate": (0, 1),
    "miss_rate": (0, 1),
    "false_rate": (0, 10),
    "photons": (0, 10_000),
    "brightness_spread": (0, 1),
    "texture": (0, 1),
    "blur": (0, 50),
    "background": (0, 10_000),
    "gradient": (0, 1),
    "read_noise": (0, 1_000),
    "offset": (0, 10_000),
}
_WHOLE = ("frames", "cells", "seed")


@dataclass(frozen=True)
class Simulation:
    """What a simulated film shows. Lengths are in pixels along x, times in frames, light in photons.

    Attributes:
        frames: Length of the film.
        cells: Cells in the field of view in frame 0.
        size: Pixels of one frame, (y, x) or (z, y, x).
        seed: The same seed gives the same bytes.
        scale: Size of a pixel along ([z,] y, x), physical units; ones, in 3D (2, 1, 1), when not given.
        radius: Mean radius of a cell half way through its cycle.
        radius_spread: How much cells differ in radius, as a part of it.
        aspect: Mean ratio of long to short axis between divisions.
        bumps: How far outlines depart from ellipses, as a part of the radius.
        cycle, cycle_spread, min_cycle: Mean time from birth to division, its standard deviation and its minimum.
        speed: Root mean square displacement from frame to frame.
        persistence: How much of its velocity a cell keeps from frame to frame, 0 (Brownian) to 1 (straight).
        drift: Displacement of the whole field in every frame, one number an axis; none when not given.
        expansion: Growth of the whole field about its centre in every frame, as a part of its size.
        jump_rate, jump: Chance of a stage jump in a frame, and its standard deviation along each axis.
        death_rate: Chance that a cell dies in a frame.
        steady: Let as many cells die as are born, so that their number stays about what it is at first, however long the film.
        miss_rate: Chance that a cell's mask is missing in a frame, which leaves a gap in its lineage.
        false_rate: Masks that are no cells, per cell.
        shuffle_labels: Number the masks of every frame anew and at random; else a mask's label is its tracklet's number.
        photons: Light of a cell's middle in one pixel; low values make dark, noisy films.
        brightness_spread, texture: How much cells differ in brightness, and places within a cell.
        blur: Standard deviation of the point spread function; along z it is 2.5 times wider.
        background, gradient: Light of the background, and how much of it changes across the field.
        read_noise, offset: Noise and dark value of the camera, grey levels.
    """

    frames: int = 30
    cells: int = 20
    size: tuple[int, ...] = (256, 256)
    seed: int = 0
    scale: tuple[float, ...] | None = None
    radius: float = 10.0
    radius_spread: float = 0.08
    aspect: float = 1.3
    bumps: float = 0.05
    cycle: float = 24.0
    cycle_spread: float = 4.0
    min_cycle: float = 8.0
    speed: float = 2.0
    persistence: float = 0.6
    drift: tuple[float, ...] | None = None
    expansion: float = 0.0
    jump_rate: float = 0.0
    jump: float = 0.0
    death_rate: float = 0.0
    steady: bool = False
    miss_rate: float = 0.0
    false_rate: float = 0.0
    shuffle_labels: bool = False
    photons: float = 60.0
    brightness_spread: float = 0.2
    texture: float = 0.25
    blur: float = 1.2
    background: float = 12.0
    gradient: float = 0.4
    read_noise: float = 2.0
    offset: float = 100.0

    def __post_init__(self) -> None:
        for name in ("size", "drift", "scale"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, tuple(value) if np.ndim(value) else (value,))
        if len(self.size) not in (2, 3) or any(not isinstance(side, Real) or side < 1 or side % 1 for side in self.size):
            raise ValueError(f"size must be (y, x) or (z, y, x), each 1 or more pixels, not {self.size}")
        object.__setattr__(self, "size", tuple(int(side) for side in self.size))
        for name, (low, high) in _LIMITS.items():
            object.__setattr__(self, name, _number(name, getattr(self, name), low, high))
        checked_scale(self.scale, len(self.size))
        if self.drift is not None and (len(self.drift) != len(self.size) or not np.isfinite(self.drift).all()):
            raise ValueError(f"drift must be one finite number for each of the {len(self.size)} axes, not {self.drift}")
        if self.cells > self.capacity:
            raise ValueError(
                f"cells must be {self.capacity} or less, not {self.cells}: no more of radius {self.radius:g} fit into {self.size}"
            )

    @property
    def pixel(self) -> tuple[float, ...]:
        """Size of a pixel along each axis, physical units."""
        return checked_scale(self.scale or ((1, 1) if len(self.size) == 2 else (2, 1, 1)), len(self.size))

    @property
    def spacing(self) -> FloatArray:
        """Size of a pixel along each axis, in pixels along x; float (d,)."""
        return np.array(self.pixel) / self.pixel[-1]

    @property
    def field(self) -> FloatArray:
        """Size of the field of view, in pixels along x; float (d,)."""
        return np.array(self.size) * self.spacing

    @property
    def margin(self) -> float:
        """How far the simulated tissue reaches beyond the field of view, in pixels along x."""
        return 3 * self.radius

    @property
    def capacity(self) -> int:
        """How many cells fit into the field of view."""
        one = math.pi * self.radius**2 * (4 * self.radius / 3 if len(self.size) == 3 else 1)
        room = np.prod(np.maximum(self.field, 2 * self.radius))
        return int(FULL * room / one)


def _number(name: str, value: object, low: float, high: float) -> float:
    """A setting as the number it must be, or a ValueError that says what it may be."""
    kind = "whole" if name in _WHOLE else "finite"
    number = float(value) if isinstance(value, Real) else math.nan
    if not math.isfinite(number) or (kind == "whole" and number % 1):
        raise ValueError(f"{name} must be a {kind} number, not {value!r}")
    if not low <= number <= high:
        raise ValueError(f"{name} must be {low} or more{f' and {high} or less' if high < math.inf else ''}, not {value}")
    return (int(value) if isinstance(value, Integral) else int(number)) if kind == "whole" else number


def changed(settings: Simulation | None, overrides: dict[str, object]) -> Simulation:
    """Settings with some of them overridden, or a TypeError that names the known ones."""
    known = [field.name for field in fields(Simulation)]
    if unknown := sorted(set(overrides) - set(known)):
        raise TypeError(f"no such setting: {', '.join(unknown)}; there are {', '.join(known)}")
    given = {name: getattr(settings, name) for name in known} if settings else {}
    return Simulation(**{**given, **overrides})
