"""Simulated pictures with labels, as different from each other as microscopes are: something to learn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lineage.arrays import Array, IntArray, Progress, silent
from lineage.films.atomic import new_folder

from .film import simulate
from .scenario import Simulation

WARM = 3  # frames that pass before the picture is taken, so that some cells have divided and all have found their places


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture and its labels.

    Attributes:
        image: Fluorescence, uint16 ([Z,] Y, X).
        labels: Masks, same shape, 0 is background.
        settings: What it was made from.
    """

    image: Array
    labels: IntArray
    settings: Simulation


def drawn_settings(size: Sequence[int], rng: np.random.Generator) -> Simulation:
    """Draw a microscope and a tissue at random: size, shape and crowding of the cells, light, blur, noise, voxel shape.

    Args:
        size: Pixels, (y, x) or (z, y, x).
        rng: Source of randomness.
    """

    def between(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    solid = len(size) == 3
    radius = between(4, min(16, *size[-2:]))
    thick = between(1, 5)
    photons = between(8, 300)
    seen = replace(
        Simulation(frames=1, cells=0, size=tuple(size)),
        scale=(thick, 1.0, 1.0) if solid else None,
        frames=WARM,
        radius=radius,
        radius_spread=rng.uniform(0.03, 0.2),
        aspect=rng.uniform(1.0, 2.0),
        bumps=rng.uniform(0, 0.12),
        speed=rng.uniform(0, 0.3) * radius,
        cycle=12.0,
        min_cycle=6.0,
        photons=photons,
        brightness_spread=rng.uniform(0.1, 0.5),
        texture=rng.uniform(0.05, 0.6),
        blur=between(0.5, 0.25 * radius) if radius > 2 else 0.5,
        background=photons * between(0.02, 0.5),
        gradient=rng.uniform(0, 0.8),
        read_noise=between(0.5, 4),
        seed=int(rng.integers(2**31)),
    )
    return replace(seen, cells=max(1, int(seen.capacity * rng.uniform(0.05, 0.7))))


def pictures(count: int, size: Sequence[int], *, seed: int = 0) -> Iterator[Picture]:
    """Make pictures of fluorescent nuclei with their labels, each seen through another microscope.

    Args:
        count: How many.
        size: Pixels, (y, x) or (z, y, x).
        seed: The same seed gives the same bytes.

    Yields:
        One picture after the other; every one holds a cell at least.
    """
    rng = np.random.default_rng(seed)
    made = 0
    while made < count:
        settings = drawn_settings(size, rng)
        film = simulate(settings)
        labels = film.labels[-1]
        if labels.any():
            yield Picture(film.image[-1], labels, settings)
            made += 1


def save_pictures(folder: str | Path, count: int, size: Sequence[int], *, seed: int = 0, progress: Progress[Picture] = silent) -> int:
    """Write simulated pictures as ``images/NNNN.tif`` and ``labels/NNNN.tif``, the way training wants them.

    Args:
        folder: Appears when all is written; an older one of that kind is replaced.
        count: How many pictures, 1 or more.
        size: Pixels, (y, x) or (z, y, x).
        seed: The same seed gives the same bytes.
        progress: Wraps the loop.

    Returns:
        How many cells there are in all.

    Raises:
        ValueError: A number is out of range.
        OSError: The folder cannot be written.
    """
    import tifffile

    if count < 1:
        raise ValueError(f"pictures must be 1 or more, not {count}")
    cells = 0
    with new_folder(folder, ("images", "labels").__contains__) as place:
        for name in ("images", "labels"):
            (place / name).mkdir()
        for k, picture in enumerate(progress(pictures(count, size, seed=seed), "simulating")):
            axes = {"axes": "ZYX" if len(size) == 3 else "YX"}
            for name, array in (("images", picture.image), ("labels", picture.labels)):
                tifffile.imwrite(place / name / f"{k:04d}.tif", array, compression="zlib", photometric="minisblack", metadata=axes)
            cells += len(np.unique(picture.labels)) - 1
    return cells
