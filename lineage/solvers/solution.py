"""Solution: which variables of a programme are chosen, and how good that is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from lineage.arrays import Array, FloatArray
from lineage.certificate import Certificate, relative_gap
from lineage.program import Program

from .limits import Limits


@dataclass(frozen=True, eq=False)
class Solution:
    """A feasible point of a programme.

    Attributes:
        x: 0 or 1 for every variable; float (v,).
        certificate: Objective, lower bound, gap, solver, status, seconds.
        slack: What deciding otherwise would cost at least, nats: ``link`` (m,) and ``select`` (n,); empty when the solver cannot say.
        memory: What the solver can go on from when a little changes, if it can.
    """

    x: FloatArray
    certificate: Certificate
    slack: Mapping[str, FloatArray] = field(default_factory=dict)
    memory: object = None

    @classmethod
    def of(cls, program: Program, x: Array, bound: float, *, solver: str, started: float, limits: Limits) -> Solution:
        """A solution whose feasibility and objective are worked out anew, whatever the solver said of it.

        Args:
            program: What was solved.
            x: Values within rounding of 0 or 1; float (v,).
            bound: A lower bound of the programme's optimum, nats.
            solver: Its name.
            started: ``time.perf_counter()`` when the solver began.
            limits: What it was asked for.
        """
        x = np.round(x).astype(float)
        assert program.feasible(x), f"{solver} returned a point that breaks the rules"
        objective = float(program.cost @ x)
        gap = relative_gap(objective, min(bound, objective))
        seconds = time.perf_counter() - started
        status = "heuristic" if solver == "greedy" else "time limit" if seconds >= limits.seconds else "stopped"
        status = "optimal" if gap <= max(limits.gap, 1e-9) else status
        return cls(x, Certificate.of(objective, bound, solver=solver, status=status, seconds=seconds))
