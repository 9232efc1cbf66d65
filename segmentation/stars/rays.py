"""The rays of a star: directions in which the distance to the rim is measured, and the facets that join their ends."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from segmentation.arrays import FloatArray, IntArray

Directions = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, eq=False)
class Rays:
    """Directions from the middle of a cell, evenly spread in real space.

    Args:
        unit: (n, d) directions of length 1 in real space, ([z,] y, x).
        spacing: (d,) size of a pixel along each axis; the finest is 1, and that is the unit of all distances.
        facets: (m, d) rays whose ends are joined: the edges of the polygon, the triangles of the polyhedron.
        nearby: (n, m) facets of each ray, those in its own direction first.
    """

    unit: FloatArray
    spacing: FloatArray
    facets: IntArray
    nearby: IntArray

    def __len__(self) -> int:
        return len(self.unit)

    @property
    def dims(self) -> int:
        """Number of spatial axes, 2 or 3."""
        return self.unit.shape[1]

    @property
    def step(self) -> FloatArray:
        """Displacement in pixels of one unit of distance along each ray, (n, d)."""
        return self.unit / self.spacing


def circle(n: int) -> FloatArray:
    """Give n directions at the angles 2 pi k / n.

    Args:
        n: number of rays, at least 3.

    Returns:
        (n, 2) unit vectors (y, x); the first points along x.
    """
    angle = 2 * np.pi * np.arange(n) / n
    return np.stack([np.sin(angle), np.cos(angle)], 1)


def spiral(n: int) -> FloatArray:
    """Give n directions that are spread evenly over the sphere, by a golden spiral from pole to pole.

    Args:
        n: number of rays, at least 4.

    Returns:
        (n, 3) unit vectors (z, y, x).
    """
    height = np.linspace(-1, 1, n)
    turn = math.pi * (3 - math.sqrt(5)) * np.arange(n)
    girth = np.sqrt(1 - height**2)
    return np.stack([height, girth * np.sin(turn), girth * np.cos(turn)], 1)


def check_rays(rays: int | Directions, dims: int, spacing: Sequence[float]) -> None:
    """Refuse rays that cannot enclose anything.

    Args:
        rays: number of rays, or their directions.
        dims: number of spatial axes.
        spacing: size of a pixel along each axis.
    """
    if dims not in (2, 3):
        raise ValueError(f"dims is {dims}: a star has 2 or 3 spatial axes")
    if len(spacing) != dims or not all(0 < s < math.inf for s in spacing):
        raise ValueError(f"spacing is {tuple(spacing)}: give one positive number for each of {dims} axes")
    if isinstance(rays, int):
        if rays <= dims:
            raise ValueError(f"rays is {rays}: give at least {dims + 1} rays in {dims} dimensions")
    elif any(len(ray) != dims or not 0 < math.hypot(*ray) < math.inf for ray in rays) or not _encloses(np.array(rays)):
        raise ValueError(f"rays are {len(rays)} directions that enclose nothing: give vectors of {dims} numbers all around, none of them 0")


@lru_cache(maxsize=16)
def make_rays(rays: int | Directions, dims: int = 2, spacing: tuple[float, ...] | None = None) -> Rays:
    """Lay out the rays of a star.

    Args:
        rays: number of rays, or their directions in real space, ([z,] y, x), of any length.
        dims: number of spatial axes.
        spacing: size of a pixel along each axis, in any unit; default ones.
    """
    step = (1.0,) * dims if spacing is None else spacing
    check_rays(rays, dims, step)
    if isinstance(rays, int):
        directions = circle(rays) if dims == 2 else spiral(rays)
    else:
        directions = np.array(rays) / np.linalg.norm(rays, axis=1, keepdims=True)
    facets = ConvexHull(directions).simplices.astype(np.int64)
    nearby = np.argsort(-directions @ directions[facets].mean(1).T, axis=1, kind="stable")
    return Rays(directions, np.array(step) / min(step), facets, nearby)


@dataclass(frozen=True, eq=False)
class Finer:
    """Rays with further rays between them, on which many stars together can be drawn more precisely than one alone.

    Args:
        rays: all directions, the old ones first.
        share: (old, all) matrix that turns distances along the old rays into distances along all.
        inverse: (levels of facets after each other, d, d) matrix for each facet that turns a direction into its shares of the
            facet's rays; the first level are the old facets, and facet f of one level becomes the `parts` facets
            parts * f, parts * f + 1, ... of the next.
        parts: 2 in 2D, 4 in 3D.
    """

    rays: Rays
    share: FloatArray
    inverse: FloatArray
    parts: int


@lru_cache(maxsize=16)
def finer(rays: Rays, levels: int = 2) -> Finer:
    """Halve the edge between each two neighbouring rays, again and again.

    Args:
        rays: directions.
        levels: how often.
    """
    unit, facets, share = rays.unit, rays.facets, np.eye(len(rays))
    inverse = [_inverse(unit, facets)]
    for _ in range(levels):
        pairs = [(0, 1)] if rays.dims == 2 else [(0, 1), (1, 2), (0, 2)]
        edges = np.sort(np.concatenate([facets[:, pair] for pair in pairs]), axis=1)
        edges, row = np.unique(edges, axis=0, return_inverse=True)
        middle = np.split(len(unit) + row.reshape(-1), len(pairs))  # for each pair of corners the ray between
        halves = np.zeros((len(unit), len(unit) + len(edges)))
        halves[np.arange(len(unit)), np.arange(len(unit))] = 1
        halves[edges.T, len(unit) + np.arange(len(edges))] = 0.5
        between = unit[edges].mean(1)
        unit = np.concatenate([unit, between / np.linalg.norm(between, axis=1, keepdims=True)])
        facets, share = _parts(facets, middle), share @ halves
        inverse.append(_inverse(unit, facets))
    return Finer(Rays(unit, rays.spacing, facets, rays.nearby), share, np.concatenate(inverse), 2 ** (rays.dims - 1))


def _parts(facets: IntArray, middle: Sequence[IntArray]) -> IntArray:
    """The halves of every edge, or the four parts of every triangle, one facet after the other."""
    if facets.shape[1] == 2:
        (a, b), (m,) = facets.T, middle
        corners: list[tuple[IntArray, ...]] = [(a, m), (m, b)]
    else:
        (a, b, c), (ab, bc, ac) = facets.T, middle
        corners = [(a, ab, ac), (ab, b, bc), (ac, bc, c), (ab, bc, ac)]
    return np.stack([np.stack(part, 1) for part in corners], 1).reshape(-1, facets.shape[1])


def _inverse(unit: FloatArray, facets: IntArray) -> FloatArray:
    return np.asarray(np.linalg.inv(unit[facets].transpose(0, 2, 1)))


def _encloses(directions: FloatArray) -> bool:
    """Whether the point in the middle lies inside the hull of the directions."""
    try:
        hull = ConvexHull(directions / np.linalg.norm(directions, axis=1, keepdims=True))
    except (QhullError, ValueError):
        return False
    return bool((hull.equations[:, -1] < -1e-6).all())
