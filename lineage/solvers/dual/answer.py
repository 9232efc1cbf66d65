"""Answers: a local programme minimised by HiGHS, relaxed or in whole numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from lineage.arrays import FloatArray, IntArray

from .local import Local

FRACTION = 1e-6


@dataclass(frozen=True, eq=False)
class Answer:
    """What became of a local programme.

    Attributes:
        x: Its columns; whole numbers, if these were asked for.
        price: Dual value of every detection's past.
        rival_price: Dual value of every conflict set.
        relaxed: Minimum of the relaxation of every part; (n_parts,).
        least: Minimum of every part, or a bound of it; (n_parts,).
        done: Whether all of it could be solved in time.
    """

    x: FloatArray
    price: FloatArray
    rival_price: FloatArray
    relaxed: FloatArray
    least: FloatArray
    done: bool


class Unsound(ArithmeticError):
    """Rounding, or a fault, broke what the bound rests on: nothing may be claimed, and another solver must do."""


class Impossible(ValueError):
    """A region admits no solution, so the programme does not."""


def solved(local: Local, seconds: float, *, whole: bool) -> Answer:
    """Minimise a local programme: the relaxation of all of it, then whole numbers for the parts where that is fractional.

    Args:
        local: The programme.
        seconds: Wall time it may take.
        whole: Whether to go on to whole numbers.

    Raises:
        Impossible: There is no solution.
    """
    options: Any = {"time_limit": max(min(seconds, 1e9), 0.0)}
    if (local.lower > local.upper).any():
        raise Impossible("no solution")
    zero = np.zeros(local.equal.shape[0])
    limits = np.stack([local.lower, local.upper], axis=1)
    relax: Any = linprog  # its types know no sparse matrices
    result = relax(local.cost, local.below, local.limit, local.equal, zero, limits, method="highs", options=options)
    if result.status == 2:
        raise Impossible("no solution")
    no = np.zeros(0)
    if result.status != 0:
        return Answer(no, no, no, no, no, False)
    x = np.asarray(result.x)
    price, rival_price = result.eqlin.marginals[: len(local.rows)], result.ineqlin.marginals[len(local.limit) - len(local.sets) :]
    relaxed = np.bincount(local.part, local.cost * x, local.n_parts).astype(float)
    least = relaxed.copy()
    x = np.where(np.abs(x - np.round(x)) > FRACTION, x, np.round(x))
    for part in np.unique(local.part[x != np.round(x)]).tolist() if whole else []:
        columns = np.flatnonzero(local.part == part)
        point, low = _whole(local, columns, seconds)
        if point is None:
            return Answer(no, no, no, no, no, False)
        least[part] = max(low, least[part])
        x[columns] = point
    return Answer(x, price, rival_price, relaxed, least, True)


def _whole(local: Local, columns: IntArray, seconds: float) -> tuple[FloatArray | None, float]:
    """Minimise one part in whole numbers: the point, and the bound proved."""
    equal = local.equal[:, columns]
    below = local.below[:, columns]
    equal = equal[np.flatnonzero(np.diff(equal.indptr))]
    some = np.flatnonzero(np.diff(below.indptr))
    rows = [LinearConstraint(equal, 0, 0), LinearConstraint(below[some], -np.inf, local.limit[some])]
    result = milp(
        local.cost[columns],
        constraints=rows,
        integrality=np.ones(len(columns), np.int64),
        bounds=Bounds(local.lower[columns], local.upper[columns]),
        options={"time_limit": max(min(seconds, 1e9), 0.0), "mip_rel_gap": 0.0},
    )
    if result.status == 2:
        raise Impossible("no solution")
    if result.x is None or result.status != 0:
        return None, -np.inf
    return np.round(result.x), float(result.mip_dual_bound)
