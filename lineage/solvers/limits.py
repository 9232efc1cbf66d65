"""Limits: when a solver may stop."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """When a solver may stop.

    Attributes:
        gap: Relative gap between objective and bound that is good enough; 0 for proven optimal.
        seconds: Wall time it may take.
        threads: Processor threads it may use; 0 leaves it to the solver.
        seed: For solvers that draw lots.
    """

    gap: float = 1e-4
    seconds: float = math.inf
    threads: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.gap < math.inf:
            raise ValueError(f"gap must be a number from 0 up, not {self.gap}")
        if not self.seconds > 0:
            raise ValueError(f"the time limit must be positive, not {self.seconds} s")
        if self.threads < 0:
            raise ValueError(f"threads must not be negative, but is {self.threads}")
