"""The stars that one star removed have a say in its outline."""

import numpy as np

from segmentation.arrays import AnyArray, BoolArray, FloatArray, IntArray
from segmentation.stars.compiled import compiled, inner
from segmentation.stars.rays import Finer, Rays

LEAST = 0.5  # distance from the middle of a pixel to its side
MOST = 100  # members, the most probable ones, that have a say: more cost time and change little


def consent(points: AnyArray, distances: FloatArray, weights: FloatArray, owner: IntArray, rays: Rays, fine: Finer) -> FloatArray:
    """Average the outlines of all stars that belong together, seen from the one that stays.

    One pixel's distances are noisy; a cell has many pixels. Each end of a ray of each member lies somewhere on the cell's rim:
    in some direction from the middle of the star that stays, and by some length beyond or within its outline. These lengths
    are averaged at the rays on both sides (in 3D: the three rays around) and added to the outline, first at the old rays, then at
    the fine ones: as members see the rim from many places, the outline becomes finer than the rays of any one of them.

    Args:
        points: (n, d) middles of the stars, pixels.
        distances: (n, rays) from there to the rim, units of the finest pixel's side.
        weights: (n,) of each star's outline; > 0 for those that stay, 0 for those without a say.
        owner: (n,) row of the star that removed it; its own for a star that stays.
        rays: directions of the distances.
        fine: `finer(rays)`.

    Returns:
        (stars that stay, fine rays) distances, in rising order of their rows.
    """
    stay = np.flatnonzero(owner == np.arange(len(owner)))
    place = np.zeros(len(owner), np.int64)
    place[stay] = np.arange(len(stay))
    weights = np.asarray(weights, np.float64)
    members = _first((weights > 0) & (owner != np.arange(len(owner))), owner)
    own, prior = np.asarray(distances[stay], np.float64), weights[stay][:, None]
    stages = (  # first at the old rays, so that the ends of few members do not stand out from the rays between them
        (members, np.eye(len(rays)), rays.facets, fine.inverse[: len(rays.facets)]),
        (np.concatenate([members, stay]), fine.share, fine.rays.facets, fine.inverse),
    )
    for rows, share, facets, inverse in stages:
        outline = own @ share
        away = np.ascontiguousarray((points[rows] - points[owner[rows]]) * rays.spacing, np.float64)
        voice = np.stack([weights[rows], place[owner[rows]]], 1)
        far = np.ascontiguousarray(distances[rows], np.float64)
        more, mass = _vote(away, far, voice, outline, rays.unit, rays.nearby, facets, inverse)
        own = np.maximum(outline + more / (mass + prior), LEAST)
    return np.asarray(own)


def _first(chosen: BoolArray, owner: IntArray) -> IntArray:
    """The rows of the first MOST chosen members of every star."""
    rows = np.flatnonzero(chosen)
    rows = rows[np.argsort(owner[rows], kind="stable")]
    _, start, count = np.unique(owner[rows], return_index=True, return_counts=True)
    return rows[np.arange(len(rows)) - np.repeat(start, count) < MOST]


@inner
def _shares(matrix: FloatArray, u: FloatArray, share: FloatArray) -> float:
    """Fill in the shares of a facet's rays in a direction; give the least one, below 0 where the facet does not hold it."""
    least = np.inf
    for a in range(len(u)):
        share[a] = matrix[a, 0] * u[0] + matrix[a, 1] * u[1]
        if len(u) == 3:
            share[a] += matrix[a, 2] * u[2]
        least = min(least, share[a])
    return least


@compiled
def _vote(  # noqa: PLR0913
    away: FloatArray,
    distances: FloatArray,
    voice: FloatArray,
    outline: FloatArray,
    unit: FloatArray,
    nearby: IntArray,
    facets: IntArray,
    inverse: FloatArray,
) -> tuple[AnyArray, AnyArray]:
    """Sum the weighted lengths beyond the outline, and the weights, at the rays around each end of each member.

    An end u lies between the rays A, B (, C) for which u = a A + b B + c C has no negative share. They are sought among the old
    facets, those in the direction of the member's ray first, and then from each facet to its part that holds u.
    """
    dims, old = unit.shape[1], nearby.shape[1]
    parts = 2 ** (dims - 1)
    more, mass = np.zeros(outline.shape), np.zeros(outline.shape)
    share, u = np.empty(dims), np.empty(dims)
    for i in range(len(away)):
        weight, star = voice[i, 0], int(voice[i, 1])
        for k in range(len(unit)):
            for a in range(dims):
                u[a] = away[i, a] + distances[i, k] * unit[k, a]
            facet = -1
            for f in nearby[k]:
                if _shares(inverse[f], u, share) >= -1e-9 * distances[i, k]:
                    facet = f
                    break
            if facet < 0:  # the very middle
                continue
            level, count = 0, old
            while level + count < len(inverse):
                level, count, best, most = level + count, count * parts, facet, -np.inf
                for f in range(facet * parts, facet * parts + parts):
                    least = _shares(inverse[level + f], u, share)
                    if least > most:
                        best, most = f, least
                facet = best
            _shares(inverse[level + facet], u, share)
            total, length = 0.0, 0.0
            for a in range(dims):
                total += share[a]
                length += u[a] * u[a]
            length = np.sqrt(length)
            for a in range(dims):
                length -= share[a] / total * outline[star, facets[facet, a]]
            for a in range(dims):
                more[star, facets[facet, a]] += weight * share[a] / total * length
                mass[star, facets[facet, a]] += weight * share[a] / total
    return more, mass
