"""Births: how often daughters are first seen late, both in the same frame or one after the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lineage.arrays import FloatArray, IntArray

_PRIOR = 5.0  # divisions' worth of cells that are missed by chance


@dataclass(frozen=True)
class Births:
    """What it costs a pair of daughters to be seen first when they are, in place of what it costs any two cells to be missed.

    Newborn cells are not missed as others are: they are bright, small and close together, often one mask until they part, and then both
    are missed at once. The cost is minus the logarithm of how often that happens, so that daughters which are seen at once pay a little.

    Attributes:
        together: Share of divisions after which both daughters are first seen in the same frame, later than the next.
        apart: Share of divisions of which one daughter is seen sooner than the other.
        again: Probability that what is missed is missed once more.
    """

    together: float
    apart: float
    again: float

    def __call__(self, dt: IntArray) -> FloatArray:
        """Cost of each pair of daughters, nats; (p,).

        Args:
            dt: Frames from the last of the mother to the first of either daughter; int (p, 2).
        """
        one, two = dt.T - 1
        same = one == two
        missed = np.where(same, one, one + two)
        late = np.log(np.where(same, self.together, self.apart / 2))  # apart: either may be the late one
        late += (missed - 1) * np.log(self.again)
        return -np.where(missed > 0, late, np.log1p(-self.together - self.apart))

    @classmethod
    def fit(cls, dt: IntArray, miss: float, again: float) -> Births:
        """Count the divisions of a solution; what is missed by chance is added, five divisions' worth of it.

        Args:
            dt: Frames from the last of the mother to the first of either daughter, of every division; int (p, 2).
            miss: Rate at which any cell is missed.
            again: Probability that a missed cell is missed once more.
        """
        same, n = dt[:, 0] == dt[:, 1], len(dt) + _PRIOR
        together, apart = int((same & (dt[:, 0] > 1)).sum()), int((~same).sum())
        return cls((together + _PRIOR * miss) / n, (apart + _PRIOR * 2 * miss * (1 - miss)) / n, again)
