"""How long it takes to choose among 10,000 stars, 2D and 3D, and to give them outlines and pixels; one core.

    python benchmarks/stars.py

Every pixel near the middle of a simulated cell says the distances to the cell's rim, with noise. The target is 10,000 candidates in
less than a second. Times are processor seconds of the second call: the first one compiles.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from conditions import conditions

from segmentation.decoders.star import Star
from segmentation.stars.consensus import consent
from segmentation.stars.drawing import draw
from segmentation.stars.rays import finer
from segmentation.stars.suppression import suppress

NOISE = 0.1  # standard deviation of the logarithm of a distance
CASES: Sequence[tuple[int, tuple[int, ...], int, float, tuple[float, ...]]] = (  # candidates, shape, cells, radius, spacing
    (10_000, (512, 512), 200, 10, (1, 1)),
    (10_000, (512, 512), 20, 40, (1, 1)),
    (100_000, (2048, 2048), 3000, 9, (1, 1)),
    (10_000, (32, 160, 160), 60, 9, (1, 1, 1)),
    (10_000, (24, 256, 256), 40, 15, (3, 1, 1)),
)


def said_of(cells: np.ndarray, radii: np.ndarray, points: np.ndarray, star: Star, rng: np.random.Generator) -> np.ndarray:
    """Noisy distances from points in balls to their rims, (n, rays)."""
    rays = star.aims
    away = (points - cells) * rays.spacing
    along = away @ rays.unit.T
    far = -along + np.sqrt(along**2 + (radii**2 - (away**2).sum(1))[:, None])
    return np.asarray(far * np.exp(rng.normal(0, NOISE, far.shape)), np.float32)


def case(
    count: int, shape: tuple[int, ...], n: int, size: float, spacing: tuple[float, ...]
) -> tuple[Star, np.ndarray, np.ndarray, np.ndarray]:
    """Points, probabilities and distances of so many candidates, the most probable first."""
    rng, star = np.random.default_rng(0), Star(dims=len(shape), spacing=spacing)
    middles = rng.uniform(0, 1, (n, len(shape))) * shape
    radii = size * rng.uniform(0.7, 1.3, n)
    cell = rng.integers(n, size=count)
    way = rng.normal(size=(count, len(shape)))
    way *= (rng.uniform(0, 0.5, count) ** (1 / len(shape)) / np.linalg.norm(way, axis=1))[:, None]
    points = np.rint(middles[cell] + 0.9 * way * radii[cell, None] / spacing).clip(0, np.array(shape) - 1)
    offset = (points - middles[cell]) * spacing
    inside = np.linalg.norm(offset, axis=1) < 0.9 * radii[cell]
    points, cell, offset = points[inside], cell[inside], offset[inside]
    chance = 1 - np.linalg.norm(offset, axis=1) / radii[cell] + rng.normal(0, 0.03, len(points))
    order = np.argsort(-chance, kind="stable")
    return star, points[order], chance[order], said_of(middles[cell], radii[cell], points, star, rng)[order]


def seconds(action: Callable[[], Any]) -> tuple[float, Any]:
    """Processor time of the second call, and its result."""
    action()
    began = time.process_time()
    result = action()
    return time.process_time() - began, result


def main() -> None:
    """Print a row for each case."""
    print(conditions())
    print(f"{'shape':>16} {'cells':>6} {'radius':>6} {'rays':>5} {'candidates':>10} {'stay':>6}   suppress  outline  draw, seconds")
    for count, shape, n, size, spacing in CASES:
        star, points, chance, far = case(count, shape, n, size, spacing)
        rays, fine = star.aims, finer(star.aims)
        chosen, (owner, alike) = seconds(lambda a=points, b=far, c=rays: suppress(a, b, c, 0.4))
        stay = owner == np.arange(len(owner))
        voice = np.where(stay | (alike > 0.5), np.maximum(chance, 1e-3), 0)
        agreed, outline = seconds(lambda a=points, b=far, c=voice, d=owner, e=rays, f=fine: consent(a, b, c, d, e, f))
        drawn, _ = seconds(lambda a=points[stay], b=outline, c=fine, d=shape: draw(a, b, c.rays, d))
        name = "x".join(map(str, shape))
        print(
            f"{name:>16} {n:>6} {size:>6} {len(rays):>5} {len(points):>10} {stay.sum():>6}   {chosen:>8.3f} {agreed:>8.3f} {drawn:>5.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
