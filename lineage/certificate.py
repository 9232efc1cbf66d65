"""Certificate: how good a solution is, proved."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Certificate:
    """What is known about a solution of the programme.

    Attributes:
        objective: Its cost, nats.
        bound: No solution costs less than this, nats.
        gap: ``(objective - bound) / |objective|``, 0 when the solution is proven optimal.
        solver: Which solver found it.
        status: ``optimal`` (the requested gap was reached), ``time limit``, ``heuristic``, or ``stopped`` (the solver gave up).
        seconds: Wall time of the solver.
    """

    objective: float
    bound: float
    gap: float
    solver: str
    status: str
    seconds: float

    @classmethod
    def of(cls, objective: float, bound: float, *, solver: str, status: str, seconds: float) -> Certificate:
        """The certificate of an objective and a bound, the gap worked out; rounding errors above the objective are cut."""
        slack = 1e-6 * max(1.0, abs(objective))
        assert not bound > objective + slack, f"{solver}: bound {bound} above objective {objective}"
        bound = min(bound, objective)
        return cls(objective, bound, relative_gap(objective, bound), solver, status, seconds)


def relative_gap(objective: float, bound: float) -> float:
    """``(objective - bound) / |objective|``; infinite when one of them is, 0 when both agree to rounding."""
    difference = objective - bound
    if difference == math.inf:
        return math.inf
    if difference <= 1e-9 * max(1.0, abs(objective)):
        return 0.0
    return difference / abs(objective) if objective else math.inf
