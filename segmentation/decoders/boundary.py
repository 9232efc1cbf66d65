"""Foreground and boundary -> cells: a cell grows from each place that is inside and not on a boundary."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expit
from torch import Tensor

from segmentation.arrays import FloatArray, IntArray
from segmentation.decoders.interface import Grid
from segmentation.flooding import drop_small, drop_unsure, flood_without_small, parts, with_seedless
from segmentation.losses import BCEDice
from segmentation.targets import targets


@dataclass(frozen=True)
class Boundary:
    """Seeds are the connected parts of (foreground - boundary > seed); those with several deep places are split.

    Args:
        seed: threshold of foreground minus boundary that a seed must exceed.
        mask: threshold of foreground that a cell's pixels must exceed.
        levels: thresholds of the distance channel, 0..1; a seed that falls apart above one of them becomes its parts.
        smallest: least size of a cell, pixels; smaller ones go to a touching neighbour or vanish.
        speck: least size of a seed and of its parts, pixels.
        sure: least mean foreground of a cell, 0..1; blurred or dim shapes of which the network is less sure vanish. 0: all stay.
        spacing: size of a pixel along each axis, in any unit, for the depths that are taught; None: equal.
    """

    seed: float = 0.5
    mask: float = 0.5
    levels: tuple[float, ...] = (0.3, 0.4, 0.5, 0.6, 0.7)
    smallest: int = 20
    speck: int = 3
    sure: float = 0.0
    spacing: tuple[float, ...] | None = None

    grid: ClassVar[Grid] = {
        "levels": ((), (0.5,), (0.4, 0.5, 0.6), (0.3, 0.4, 0.5, 0.6, 0.7), (0.4, 0.5, 0.6, 0.7, 0.8)),
        "speck": (3, 8, 15, 30),
        "mask": (0.4, 0.5, 0.6),
        "seed": (0.0, 0.25, 0.5, 0.8),
        "smallest": (8, 15, 25, 40),
        "sure": (0.0, 0.6, 0.7, 0.8),
    }

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", tuple(sorted(self.levels)))  # a list when it comes from a file
        if self.spacing is not None:
            object.__setattr__(self, "spacing", tuple(float(s) for s in self.spacing))
        if not 0 <= self.sure < 1 or not all(s > 0 for s in self.spacing or ()):
            raise ValueError(f"sure is {self.sure} and spacing {self.spacing}: give sure in 0..1, without 1, and positive sizes or None")
        if not (-1 <= self.seed < 1 and 0 <= self.mask < 1 and all(0 <= level < 1 for level in self.levels)):
            raise ValueError(
                f"thresholds are seed {self.seed}, mask {self.mask}, levels {self.levels}: give seed in -1..1, mask and levels in 0..1"
            )

    @property
    def channels(self) -> tuple[str, ...]:
        """What the network must say of every pixel."""
        return ("foreground", "boundary", "distance")

    def targets(self, labels: IntArray) -> FloatArray:
        """Turn labels into foreground, boundary and distance; see `segmentation.targets.targets`.

        Args:
            labels: ([Z,] Y, X); > 0 cells, 0 background, < 0 unknown.

        Returns:
            float32 (3, [Z,] Y, X) in 0..1, -1 where unknown.
        """
        return targets(labels, self.spacing)

    def loss(self, answers: Tensor, wanted: Tensor) -> Tensor:
        """Cross-entropy plus Dice, averaged over the three channels.

        Args:
            answers: (n, 3, [Z,] Y, X) logits.
            wanted: same shape, in 0..1, below 0 where unknown.
        """
        return BCEDice()(answers, wanted)

    def read(self, answers: FloatArray) -> FloatArray:
        """Turn logits into probabilities.

        Args:
            answers: (3, [Z,] Y, X) logits.

        Returns:
            float32, same shape, 0..1.
        """
        return np.asarray(expit(answers), np.float32)

    def __call__(self, said: FloatArray) -> IntArray:
        """Decode one picture.

        Args:
            said: (2 or 3, [Z,] Y, X) foreground, boundary and, if there, distance, 0..1.

        Returns:
            int32 labels ([Z,] Y, X), numbered 1..n.
        """
        if said.ndim not in (3, 4) or len(said) not in (2, 3):
            raise ValueError(f"probabilities have shape {said.shape}: give (2 or 3, [Z,] Y, X)")
        foreground, boundary = said[0], said[1]
        mask = foreground > self.mask
        seeds = drop_small(parts(mask & (foreground - boundary > self.seed)), self.speck)
        for level in self.levels if len(said) > 2 else ():
            deep = drop_small(parts((seeds > 0) & (said[2] > level)), self.speck)
            seeds = _split(seeds, deep)
        landscape = boundary - foreground - sum(said[2:])  # cells are valleys, their rims ridges
        labels = flood_without_small(landscape, with_seedless(seeds, mask), mask, self.smallest)
        return drop_unsure(labels, foreground, self.sure)


def _split(seeds: IntArray, pieces: IntArray) -> IntArray:
    """Replace the seeds that hold two or more parts by these parts."""
    home = np.zeros(int(pieces.max(initial=0)) + 1, np.int64)
    home[pieces[pieces > 0]] = seeds[pieces > 0]
    several = np.bincount(home[1:], minlength=int(seeds.max(initial=0)) + 1) > 1
    several[0] = False
    return np.where(several[seeds], np.where(pieces > 0, pieces + seeds.max(initial=0), 0), seeds)
