"""Whiteness: whether a blind-spot network took away all that is noise and nothing else, without any truth.

The loss of such a network against noisy pixels flattens at the variance of the noise and cannot choose between two networks. What can:
an optimal guess from the neighbours leaves a residual that no neighbour explains, and whose mean is zero everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from segmentation.arrays import AnyArray, FloatArray

WINDOW = 8  # pixels: side of the places whose mean residual is looked at
STEP = 0.1  # of the probe, as a part of the residual


@dataclass(frozen=True)
class Whiteness:
    """What is left in the residual (noisy less denoised) of a blind-spot network.

    Attributes:
        lag: correlation of the residuals of direct neighbours along ([z,] y, x).
        expected: what it would be for the best guess from the neighbours; below 0, as a noisy pixel that helps to guess its
            neighbour draws both residuals apart.
        local: variance of the means of small windows over what independent residuals would give, less 1, at least 0: structure
            that was taken away, as a blurred edge or a wrong brightness.
    """

    lag: tuple[float, ...]
    expected: tuple[float, ...]
    local: float

    @property
    def excess(self) -> float:
        """Root mean square of the correlations beyond what is expected; 0 for the best guess."""
        return float(np.sqrt(np.mean((np.array(self.lag) - np.array(self.expected)) ** 2)))

    @property
    def penalty(self) -> float:
        """One number to choose a network by, lower is better: `excess` plus the share of the variance that is local structure."""
        return self.excess + self.local / WINDOW ** len(self.lag)


def whiteness(noisy: AnyArray, denoise: Callable[[FloatArray], FloatArray], *, seed: int = 0) -> Whiteness:
    """Look at the residual of a blind-spot denoiser.

    For the best guess f from the neighbours, the residual r = y - f(y) is uncorrelated with every function of the neighbours, so that
    E[r_i r_j] = -E[r_i (f(y))_j], and to first order this is -E[r_i^2 df_j / dy_i]. The derivative is measured with one more
    prediction, for the picture plus a small multiple of its residual with random signs.

    Args:
        noisy: ([Z,] Y, X).
        denoise: picture -> picture of the same shape, in the same grey levels.
        seed: of the signs.
    """
    y = np.asarray(noisy, np.float64)
    answer = np.asarray(denoise(y), np.float64)
    rest = y - answer
    power = float((rest**2).mean())
    if not power > 0:
        return Whiteness((1.0,) * y.ndim, (0.0,) * y.ndim, float(WINDOW**y.ndim))  # nothing was done
    signed = rest * np.random.default_rng(seed).choice([-1.0, 1.0], y.shape)
    change = (np.asarray(denoise(y + STEP * signed), np.float64) - answer) / STEP
    lags, wanted = [], []
    for axis in range(y.ndim):
        first, second = ([slice(None)] * y.ndim for _ in range(2))
        first[axis], second[axis] = slice(None, -1), slice(1, None)
        a, b = tuple(first), tuple(second)
        lags.append(float((rest[a] * rest[b]).mean()) / power if y.shape[axis] > 1 else 0.0)
        moved = (signed[a] * change[b] + signed[b] * change[a]) / 2
        wanted.append(-float(moved.mean()) / power if y.shape[axis] > 1 else 0.0)
    return Whiteness(tuple(lags), tuple(wanted), _local(rest, power))


def _local(rest: FloatArray, power: float) -> float:
    """Variance of window means, relative to independent residuals, less 1."""
    sides = [min(WINDOW, n) for n in rest.shape]
    cut = rest[tuple(slice(0, n // side * side) for n, side in zip(rest.shape, sides, strict=True))]
    split = [k for n, side in zip(cut.shape, sides, strict=True) for k in (n // side, side)]
    means = cut.reshape(split).mean(axis=tuple(range(1, 2 * rest.ndim, 2)))
    return max(0.0, float((means**2).mean()) * float(np.prod(sides)) / power - 1)
