"""Foreground and boundary -> cells: a cell grows from each place that is inside and not on a boundary."""

from dataclasses import dataclass

import numpy as np
from skimage.measure import label

from segmentation.arrays import BoolArray, FloatArray, IntArray
from segmentation.flooding import drop_small, flood


@dataclass(frozen=True)
class Boundary:
    """Seeds are the connected parts of (foreground - boundary > seed); those with several deep places are split.

    Args:
        seed: threshold of foreground minus boundary that a seed must exceed.
        mask: threshold of foreground that a cell's pixels must exceed.
        levels: thresholds of the distance channel, 0..1; a seed that falls apart above one of them becomes its parts.
        smallest: least size of a cell, pixels; smaller ones go to a touching neighbour or vanish.
        speck: least size of a seed and of its parts, pixels.
    """

    seed: float = 0.5
    mask: float = 0.5
    levels: tuple[float, ...] = (0.3, 0.4, 0.5, 0.6, 0.7)
    smallest: int = 20
    speck: int = 3

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", tuple(sorted(self.levels)))  # a list when it comes from a file
        if not (-1 <= self.seed < 1 and 0 <= self.mask < 1 and all(0 <= level < 1 for level in self.levels)):
            raise ValueError(
                f"thresholds are seed {self.seed}, mask {self.mask}, levels {self.levels}: give seed in -1..1, mask and levels in 0..1"
            )

    def __call__(self, probabilities: FloatArray) -> IntArray:
        """Decode one picture.

        Args:
            probabilities: (2 or 3, [Z,] Y, X) foreground, boundary and, if there, distance, 0..1.

        Returns:
            int32 labels ([Z,] Y, X), numbered 1..n.
        """
        if probabilities.ndim not in (3, 4) or len(probabilities) not in (2, 3):
            raise ValueError(f"probabilities have shape {probabilities.shape}: give (2 or 3, [Z,] Y, X)")
        foreground, boundary = probabilities[0], probabilities[1]
        mask = foreground > self.mask
        seeds = drop_small(_parts(mask & (foreground - boundary > self.seed)), self.speck)
        for level in self.levels if len(probabilities) > 2 else ():
            deep = drop_small(_parts((seeds > 0) & (probabilities[2] > level)), self.speck)
            seeds = _split(seeds, deep)
        seeds = _with_seedless(seeds, mask)
        landscape = boundary - foreground - sum(probabilities[2:])  # cells are valleys, their rims ridges
        return self._without_small(flood(landscape, seeds, mask), landscape, mask)

    def _without_small(self, labels: IntArray, landscape: FloatArray, mask: BoolArray) -> IntArray:
        """Give the pixels of too small cells to their neighbours by flooding once more."""
        sizes = np.bincount(labels.ravel())[1:]
        kept = drop_small(labels, self.smallest)
        if not (sizes < self.smallest).any() or not kept.any():
            return kept
        return flood(landscape, kept, mask)


def _parts(mask: BoolArray) -> IntArray:
    """Number the face-connected parts of a mask."""
    return np.asarray(label(mask, connectivity=1), np.int32)


def _split(seeds: IntArray, parts: IntArray) -> IntArray:
    """Replace the seeds that hold two or more parts by these parts."""
    home = np.zeros(int(parts.max(initial=0)) + 1, np.int64)
    home[parts[parts > 0]] = seeds[parts > 0]
    several = np.bincount(home[1:], minlength=int(seeds.max(initial=0)) + 1) > 1
    several[0] = False
    return np.where(several[seeds], np.where(parts > 0, parts + seeds.max(initial=0), 0), seeds)


def _with_seedless(seeds: IntArray, mask: BoolArray) -> IntArray:
    """Make every part of the mask that holds no seed a seed of its own, so that small cells survive."""
    parts = _parts(mask)
    lonely = np.ones(int(parts.max(initial=0)) + 1, bool)
    lonely[parts[seeds > 0]] = False
    lonely[0] = False
    return np.where(lonely[parts], parts + seeds.max(initial=0), seeds)
