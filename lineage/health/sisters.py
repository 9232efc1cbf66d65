"""Sisters: divisions whose daughters lie, or are sized, as no other daughters of the film."""

from __future__ import annotations

import numpy as np
from scipy import stats

from lineage.arrays import FloatArray, IntArray

from .likelihood import Likelihood

_ENOUGH = 8  # divisions, to speak of what is usual
_SPREAD = 0.15  # least spread of logarithms: what differs by less is no news
_TAIL = 3.0  # degrees of freedom: divisions differ, and some outlines are wrong


def odd_sisters(film: Likelihood) -> list[tuple[str, IntArray, IntArray, FloatArray, FloatArray, float]]:
    """How odd each division is, against the other divisions of the film.

    Four things are asked: how far apart the sisters are, how far their middle is from the mother, what they are together, and how
    much the larger is than the smaller (areas). Each logarithm is held against the film's median with the film's own robust spread.

    Returns:
        By thing: its name; rows of the mothers and of the daughters that are farther away, int (k,) each; score, nats, and the
        number, float (k,) each; and what is usual.
    """
    forest, cells = film.forest, film.forest.detections
    mother = np.flatnonzero(forest.n_children == 2)
    first, second = film.children[mother].T
    direct = (forest.gap[first] == 0) & (forest.gap[second] == 0)
    mother, first, second = mother[direct], first[direct], second[direct]
    if len(mother) < _ENOUGH:
        return []
    place = cells.position
    apart = _length(place[first] - place[second])
    middle = _length((place[first] + place[second]) / 2 - place[mother])
    farther = np.where(_length(place[first] - place[mother]) > _length(place[second] - place[mother]), first, second)
    told = {"sisters apart": (apart, 0), "sisters away": (middle + 0.1 * np.median(apart), 1)}
    if "area" in cells.columns:
        area = cells.columns["area"].astype(float)
        told["sisters' size"] = ((area[first] + area[second]) / area[mother], 0)
        told["unequal sisters"] = (np.maximum(area[first], area[second]) / np.minimum(area[first], area[second]), 1)
    odd = []
    for name, (number, sides) in told.items():
        score = _surprise(np.log(np.maximum(number, 1e-9)), one_sided=bool(sides)) - np.log(len(told) * len(mother))
        odd.append((name, mother, farther, score, number, float(np.median(number))))
    return odd


def _length(step: FloatArray) -> FloatArray:
    return np.sqrt((step**2).sum(1))


def _surprise(value: FloatArray, *, one_sided: bool) -> FloatArray:
    """Minus the log of the chance of a value as far from the median, or farther; float (k,)."""
    middle = np.median(value)
    away = (value - middle) / max(1.4826 * float(np.median(np.abs(value - middle))), _SPREAD)
    return -stats.t.logsf(away, _TAIL) if one_sided else -np.log(2.0) - stats.t.logsf(np.abs(away), _TAIL)
