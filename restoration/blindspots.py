"""Blind spots: single pixels are hidden from a network that must guess them from their neighbours.

Krull, Buchholz and Jug, "Noise2Void", CVPR 2019; the median and N2V2 in Höck et al., 2022; structured spots in Broaddus et al., 2020.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from segmentation.arrays import BoolArray, FloatArray, IntArray

Replace = Literal["uniform", "median"]
ROUNDS = 8  # draws before the neighbours of the last few spots, at the rim of a patch, are listed one by one


@dataclass(frozen=True)
class Struct:
    """Neighbours that are hidden together with each blind spot, because their noise depends on it; the loss is at the spot only.

    Args:
        spans: how many pixels are hidden along ([z,] y, x), odd; (1, 9) is a horizontal line, (9, 9) a cross.
        box: hide the whole box between the spans, not only the lines along the axes.
    """

    spans: tuple[int, ...]
    box: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "spans", tuple(self.spans))  # a list when it comes from a file
        if len(self.spans) not in (2, 3) or any(not isinstance(n, int) or n < 1 or n % 2 == 0 for n in self.spans):
            raise ValueError(f"spans are {self.spans}: give an odd number of pixels for each axis ([z,] y, x), 1 where none is hidden")

    def offsets(self) -> IntArray:
        """Where the hidden neighbours lie, (k, d), pixels from the spot; without the spot itself."""
        steps = itertools.product(*(range(-(n // 2), n // 2 + 1) for n in self.spans))
        kept = [step for step in steps if any(step) and (self.box or sum(map(bool, step)) == 1)]
        return np.array(kept, int).reshape(-1, len(self.spans))


def spots(shape: Sequence[int], percent: float, rng: np.random.Generator) -> IntArray:
    """Choose blind spots: one in each cell of a grid, uniformly within it, so that they keep their distance.

    The grid's cells have side (100 / percent)^(1/d), which need not be whole, and the grid lies at random: every pixel is chosen with
    the same probability, percent / 100, in two dimensions and in three.

    Args:
        shape: of the patch, ([Z,] Y, X) pixels.
        percent: share of the pixels, per cent.
        rng: source of randomness.

    Returns:
        (n, d) pixels, all different.
    """
    side = (100 / percent) ** (1 / len(shape))
    cells = np.stack(np.meshgrid(*(np.arange(int(np.ceil(n / side)) + 1) for n in shape), indexing="ij"), -1).reshape(-1, len(shape))
    origin = rng.random(len(shape)) * side
    places = np.floor((cells + rng.random(cells.shape)) * side - origin).astype(int)
    inside = ((places >= 0) & (places < np.asarray(shape))).all(axis=1)
    return np.unique(places[inside], axis=0)  # two cells can share a pixel


def window(radius: int, dims: int, struct: Struct | None = None) -> IntArray:
    """All neighbours from which a replacement may come, (k, d): the window but the spot and what is hidden with it.

    Args:
        radius: of the window, pixels.
        dims: number of axes.
        struct: what is hidden together with the spot.
    """
    steps = itertools.product(range(-radius, radius + 1), repeat=dims)
    hidden = {(0,) * dims, *(map(tuple, struct.offsets().tolist()) if struct else ())}
    return np.array([step for step in steps if step not in hidden], int).reshape(-1, dims)


def neighbours(places: IntArray, offsets: IntArray, shape: Sequence[int], rng: np.random.Generator) -> IntArray:
    """Draw one neighbour for each place, all those inside the patch with the same probability.

    Args:
        places: (n, d) pixels.
        offsets: (k, d) where neighbours lie.
        shape: of the patch.
        rng: source of randomness.

    Returns:
        (n, d) pixels.
    """
    chosen = places + offsets[rng.integers(len(offsets), size=len(places))]
    for _ in range(ROUNDS):
        outside = np.flatnonzero(~_inside(chosen, shape))
        if not len(outside):
            return chosen
        chosen[outside] = places[outside] + offsets[rng.integers(len(offsets), size=len(outside))]
    for row in np.flatnonzero(~_inside(chosen, shape)):  # a handful at the rim
        all_of_it = places[row] + offsets
        all_of_it = all_of_it[_inside(all_of_it, shape)]
        if not len(all_of_it):
            raise ValueError(f"no neighbour is left in a patch of shape {tuple(shape)}: give larger patches or hide fewer pixels")
        chosen[row] = all_of_it[rng.integers(len(all_of_it))]
    return chosen


def medians(channel: FloatArray, places: IntArray, offsets: IntArray) -> FloatArray:
    """The median of the neighbours of each place, those inside the patch.

    Args:
        channel: ([Z,] Y, X).
        places: (n, d) pixels.
        offsets: (k, d) where neighbours lie; neither the place itself nor what is hidden with it is among them.

    Returns:
        (n,).
    """
    around = places[:, None] + offsets
    inside = _inside(around, channel.shape)
    values = channel[tuple(np.moveaxis(np.where(inside[..., None], around, 0), -1, 0))]
    return np.asarray(np.nanmedian(np.where(inside, values, np.nan), axis=1), channel.dtype)


def blind(  # noqa: PLR0913 (keyword-only)
    pictures: FloatArray,
    rng: np.random.Generator,
    *,
    percent: float,
    radius: int,
    replace: Replace = "uniform",
    struct: Struct | None = None,
    channels: slice = slice(None),
) -> tuple[FloatArray, FloatArray]:
    """Hide pixels of a batch, each channel for itself.

    Args:
        pictures: (n, C, [Z,] Y, X); not altered.
        rng: source of randomness.
        percent: share of the pixels that are blind spots, per cent.
        radius: of the window from which replacements come, pixels.
        replace: by a "uniform"ly drawn neighbour or by the "median" of all of them.
        struct: neighbours that are hidden too.
        channels: which channels have blind spots.

    Returns:
        changed: (n, C, [Z,] Y, X).
        mask: (n, K, [Z,] Y, X), 1 at the blind spots of these channels, by where they are and not by whether their value changed.
    """
    shape = pictures.shape[2:]
    if struct is not None and len(struct.spans) != len(shape):
        raise ValueError(f"struct has spans {struct.spans} for {len(struct.spans)} axes, but the pictures have {len(shape)}")
    offsets = window(radius, len(shape), struct)
    if not len(offsets):
        raise ValueError(f"struct spans {struct.spans if struct else ()} fill the window of radius {radius}: give a larger radius")
    changed = pictures.copy()
    mask = np.zeros_like(pictures[:, channels])
    for before, after, marks in zip(pictures[:, channels], changed[:, channels], mask, strict=True):
        for row, channel in enumerate(before):
            places = spots(shape, percent, rng)
            marks[row][tuple(places.T)] = 1
            hidden = places if struct is None else _with_struct(places, struct, shape)
            if replace == "median":
                after[row][tuple(hidden.T)] = medians(channel, hidden, offsets)
            else:
                after[row][tuple(hidden.T)] = channel[tuple(neighbours(hidden, offsets, shape, rng).T)]
    return changed, mask


def _with_struct(places: IntArray, struct: Struct, shape: Sequence[int]) -> IntArray:
    """The spots and the neighbours that are hidden with them."""
    near = (places[:, None] + struct.offsets()).reshape(-1, places.shape[1])
    return np.unique(np.concatenate([places, near[_inside(near, shape)]]), axis=0)


def _inside(places: IntArray, shape: Sequence[int]) -> BoolArray:
    return np.asarray(((places >= 0) & (places < np.asarray(shape))).all(axis=-1))
