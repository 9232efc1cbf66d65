"""Foreground and boundary -> cells: a cell grows from each place that is inside and not on a boundary."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expit
from torch import Tensor

from segmentation.arrays import BoolArray, FloatArray, IntArray
from segmentation.decoders.interface import Grid
from segmentation.flooding import drop_small, drop_unsure, flood_without_small, parts, with_seedless
from segmentation.losses import bce, soft_dice
from segmentation.targets import narrowness, relative, targets

CLOSE = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75)


@dataclass(frozen=True)
class Boundary:
    """Seeds are the connected parts of (foreground - boundary > seed); those with several deep places are split.

    Args:
        seed: threshold of foreground minus boundary that a seed must exceed.
        mask: threshold of foreground that a cell's pixels must exceed.
        levels: thresholds of the distance channel, 0..1; a seed that falls apart above one of them becomes its parts.
        smallest: least size of a cell, pixels; smaller ones go to a touching neighbour or vanish.
        speck: least size of a seed and of its parts, pixels.
        rise: by how much the deepest place of a part must exceed the level at which the seed falls apart, so that a ripple
            of the distance splits nothing while two clear peaks do, however high the saddle between them; needs close levels.
        sure: least mean foreground of a cell, 0..1; blurred or dim shapes of which the network is less sure vanish. 0: all stay.
        spacing: size of a pixel along each axis, in any unit, for the depths that are taught; None: equal.
        narrow: how much more the pixels where two cells touch, or nearly touch, count in training; 0: as much as all others.
        reach: distance from cell to cell that still counts as narrow, pixels; see `segmentation.targets.narrowness`.
    """

    seed: float = 0.5
    mask: float = 0.5
    levels: tuple[float, ...] = (0.3, 0.4, 0.5, 0.6, 0.7)
    smallest: int = 20
    speck: int = 3
    sure: float = 0.0
    spacing: tuple[float, ...] | None = None
    narrow: float = 0.0
    reach: float = 3.0
    rise: float = 0.0

    grid: ClassVar[Grid] = {
        "rise": (0.0, 0.1, 0.15, 0.2, 0.25, 0.3),
        "levels": ((), (0.5,), (0.4, 0.5, 0.6), (0.3, 0.4, 0.5, 0.6, 0.7), (0.4, 0.5, 0.6, 0.7, 0.8), CLOSE),
        "speck": (3, 8, 15, 30),
        "mask": (0.4, 0.5, 0.6),
        "seed": (0.0, 0.25, 0.5, 0.8),
        "smallest": (8, 15, 25, 40),
        "sure": (0.0, 0.6, 0.7, 0.8),
    }

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", tuple(sorted(self.levels)))  # a list when it comes from a file
        if self.spacing is not None:
            object.__setattr__(self, "spacing", relative(self.spacing))
        if not 0 <= self.sure < 1 or not all(s > 0 for s in self.spacing or ()):
            raise ValueError(f"sure is {self.sure} and spacing {self.spacing}: give sure in 0..1, without 1, and positive sizes or None")
        if not (0 <= self.rise < 1 and 0 <= self.narrow < np.inf and 0 < self.reach < np.inf):
            raise ValueError(
                f"rise is {self.rise}, narrow {self.narrow} and reach {self.reach}: give rise in 0..1, without 1, "
                "narrow of at least 0 and a positive reach, both finite"
            )
        if not (-1 <= self.seed < 1 and 0 <= self.mask < 1 and all(0 <= level < 1 for level in self.levels)):
            raise ValueError(
                f"thresholds are seed {self.seed}, mask {self.mask}, levels {self.levels}: give seed in -1..1, mask and levels in 0..1"
            )

    @property
    def channels(self) -> tuple[str, ...]:
        """What the network must say of every pixel."""
        return ("foreground", "boundary", "distance")

    def targets(self, labels: IntArray) -> FloatArray:
        """Turn labels into foreground, boundary and distance, and how much each pixel counts; see `segmentation.targets`.

        Args:
            labels: ([Z,] Y, X); > 0 cells, 0 background, < 0 unknown.

        Returns:
            float32 (3, [Z,] Y, X) in 0..1, -1 where unknown; when `narrow` a fourth channel, the worth of each pixel.
        """
        taught = targets(labels, self.spacing)
        if not self.narrow:
            return taught
        return np.concatenate([taught, 1 + self.narrow * narrowness(labels, self.reach, self.spacing)[None]])

    def loss(self, answers: Tensor, wanted: Tensor) -> Tensor:
        """Cross-entropy plus Dice, averaged over the three channels.

        Args:
            answers: (n, 3, [Z,] Y, X) logits.
            wanted: (n, 3 or 4, [Z,] Y, X), in 0..1, below 0 where unknown; the fourth, if there, weights the cross-entropy.
        """
        taught, worth = wanted[:, :3], wanted[:, 3:]
        return bce(answers, taught, worth if worth.shape[1] else None) + soft_dice(answers, taught)

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
            pieces = parts((seeds > 0) & (said[2] > level))
            seeds = _split(seeds, pieces, self._count(pieces, said[2], level))
        landscape = boundary - foreground - sum(said[2:])  # cells are valleys, their rims ridges
        labels = flood_without_small(landscape, with_seedless(seeds, mask), mask, self.smallest)
        return drop_unsure(labels, foreground, self.sure)

    def _count(self, pieces: IntArray, height: FloatArray, level: float) -> BoolArray:
        """Which pieces count as parts, (highest piece + 1,): those that are large enough and rise far enough above the level."""
        counts = np.bincount(pieces.ravel(), minlength=1) >= max(self.speck, 1)
        if self.rise:
            tall = np.zeros(len(counts), bool)
            tall[pieces[height >= level + self.rise]] = True
            counts &= tall
        counts[0] = False
        return counts


def _split(seeds: IntArray, pieces: IntArray, counts: BoolArray) -> IntArray:
    """Replace the seeds that hold two or more pieces that count by these pieces."""
    home = np.zeros(len(counts), np.int64)
    home[pieces.ravel()] = seeds.ravel()
    top = int(seeds.max(initial=0))
    several = np.bincount(home[counts], minlength=top + 1) > 1
    if not several.any():
        return seeds
    numbers = np.where(counts & several[home], np.arange(len(counts)) + top, 0).astype(np.int32)
    return np.where(several[seeds], numbers[pieces], seeds)
