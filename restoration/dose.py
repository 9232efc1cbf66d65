"""Dose: what a good picture would have looked like with fewer photons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from restoration.views import View
from segmentation.arrays import AnyArray, FloatArray


@dataclass(frozen=True)
class LowDose:
    """Replaces the noisy picture of a view by a simulated one: photons are counted, the camera adds read noise.

    Views whose noisy and wanted picture are the same array (good pictures alone) are always replaced; real pairs as often as `mix` says.

    Args:
        peak: fewest and most photons at the bright end of the picture; drawn log-uniformly.
        haze: largest number of photons of an even background, as a part of the peak.
        read: largest standard deviation of the read noise, photons.
        mix: share of real pairs whose noisy picture is replaced.
    """

    peak: tuple[float, float] = (4.0, 400.0)
    haze: float = 0.3
    read: float = 2.0
    mix: float = 0.3

    def __post_init__(self) -> None:
        if not 0 < self.peak[0] <= self.peak[1] or self.haze < 0 or self.read < 0:
            raise ValueError(f"peak is {self.peak}, haze {self.haze}, read {self.read}: give photons, smallest peak first, none negative")

    def __call__(self, view: View, rng: np.random.Generator) -> View:
        """The view with a simulated noisy picture.

        Args:
            view: (noisy, wanted), each (C, [Z,] Y, X).
            rng: source of randomness.
        """
        shown, wanted = view
        if not np.may_share_memory(shown, wanted) and rng.random() >= self.mix:
            return view
        peak = float(np.exp(rng.uniform(*np.log(self.peak))))
        haze, read = peak * self.haze * rng.random() ** 2, self.read * rng.random()
        return dimmed(wanted, rng, peak=peak, haze=haze, read=read), wanted


def dimmed(picture: AnyArray, rng: np.random.Generator, *, peak: float, haze: float = 0.0, read: float = 0.0) -> FloatArray:
    """A picture as it would look with few photons, in its own grey levels.

    The darkest per cent counts as no light. The mean of many such pictures is the picture itself.

    Args:
        picture: any shape.
        rng: source of randomness.
        peak: photons at the 99.8th percentile.
        haze: photons of an even background, taken away again afterwards, with its noise left.
        read: standard deviation of the read noise, photons.

    Returns:
        float32, same shape.
    """
    values = np.asarray(picture, np.float64)
    dark, bright = np.percentile(values, [1, 99.8])
    if bright <= dark:
        dark, bright = float(values.min()), float(values.max())
    step = (bright - dark) / peak if bright > dark else 1.0  # grey levels a photon
    photons = (values - dark) / step
    light = np.maximum(photons, 0)
    counted = rng.poisson(light + haze) - haze + rng.normal(0, read, values.shape)
    return ((counted + photons - light) * step + dark).astype(np.float32)
