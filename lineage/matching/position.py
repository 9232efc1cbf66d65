"""Matching by position: points, frame by frame."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from lineage.arrays import FloatArray, IntArray

from .pairs import Matching, best_pairs
from .tracks import Tracks


def match_points(truth: tuple[Tracks, FloatArray], result: tuple[Tracks, FloatArray], distance: float | None = None) -> Matching:
    """Match by position: in each frame one to one, so that the sum of distances is least, an unmatched cell costing ``distance``.

    Args:
        truth: A table and the position of each of its cells; float (n, d), physical units.
        result: Likewise.
        distance: Cells farther apart than this, in physical units, are never matched. When not given, half the median distance of
            a truth cell to its nearest neighbour; no limit where no frame of the truth has two cells.

    Raises:
        ValueError: Positions with another number of axes, or a distance that is not positive.
    """
    (tracks, place), (others, other_place) = truth, result
    if place.shape[1] != other_place.shape[1]:
        raise ValueError(f"{others.name} has {other_place.shape[1]} spatial axes, but {tracks.name} has {place.shape[1]}")
    if distance is not None and not distance > 0:
        raise ValueError(f"distance must be positive, not {distance}")
    frames = [(np.flatnonzero(tracks.frame == t), np.flatnonzero(others.frame == t)) for t in np.unique(tracks.frame)]
    if distance is None:
        near = [np.asarray(cKDTree(place[rows]).query(place[rows], k=2)[0])[:, 1] for rows, _ in frames if len(rows) > 1]
        distance = float(np.median(np.concatenate(near))) / 2 if near else np.inf
    everything = np.concatenate([place, other_place])
    reach = min(distance, 1.0 + float(np.linalg.norm(np.ptp(everything, axis=0)))) if len(everything) else 1.0
    pairs: list[tuple[IntArray, IntArray]] = [(np.zeros(0, np.int64),) * 2]
    for rows, columns in frames:
        near_by = cKDTree(place[rows]).sparse_distance_matrix(cKDTree(other_place[columns]), reach, output_type="ndarray")
        i, j = best_pairs(near_by["i"], near_by["j"], 2 * reach - near_by["v"], (len(rows), len(columns)))
        pairs.append((rows[i], columns[j]))
    left, right = (np.concatenate(column) for column in zip(*pairs, strict=True))
    return Matching(tracks, others, left, right)
