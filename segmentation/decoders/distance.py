"""Distance to centre and rim -> cells: a cell grows from each place that is near a centre and far from every rim."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import ndimage
from scipy.special import expit
from torch import Tensor

from segmentation.arrays import FloatArray, IntArray
from segmentation.decoders.interface import Grid
from segmentation.flooding import distance_inside, drop_small, flood_without_small, parts, with_seedless
from segmentation.losses import BCEDice
from segmentation.targets import centre_and_depth, foreground, relative

SLOPE = 1e-4  # rise per pixel away from the seeds: on a plateau the nearest seed wins, whatever the order in which pixels are flooded


@dataclass(frozen=True)
class Distance:
    """Seeds are the places both near a centre and deep in a cell; they flood the foreground from the depths to the rims.

    The centre keeps slim neighbours apart, the depth keeps cells of odd shape whole. The decoder of torch-em (Pape, 2025)
    and of Archit et al., "Segment Anything for Microscopy", 2025; the channels here are 1 in the middle and 0 outside.

    Args:
        centre: threshold of nearness to the centre that a seed must exceed, 0..1.
        deep: threshold of depth that a seed must exceed, 0..1.
        mask: threshold of foreground that a cell's pixels must exceed.
        smooth: standard deviation of the blur of both distances before they are thresholded, in pixels, or in units of the
            finest axis where `spacing` is given.
        smallest: least size of a cell, pixels; smaller ones go to a touching neighbour or vanish.
        speck: least size of a seed, pixels.
        spacing: size of a pixel along each axis, in any unit, for pictures whose planes lie far apart; None: equal.
    """

    centre: float = 0.5
    deep: float = 0.5
    mask: float = 0.5
    smooth: float = 1.0
    smallest: int = 20
    speck: int = 1
    spacing: tuple[float, ...] | None = None

    grid: ClassVar[Grid] = {
        "deep": (0.2, 0.3, 0.4, 0.5, 0.6, 0.7),
        "centre": (0.2, 0.35, 0.5, 0.65, 0.8),
        "smooth": (0.0, 1.0, 2.0),
        "mask": (0.4, 0.5, 0.6),
        "speck": (1, 3, 8, 15),
        "smallest": (8, 15, 25, 40),
    }

    def __post_init__(self) -> None:
        if self.spacing is not None:
            object.__setattr__(self, "spacing", relative(self.spacing))  # a list when it comes from a file
        if not all(0 <= value < 1 for value in (self.centre, self.deep, self.mask)):
            raise ValueError(f"thresholds are centre {self.centre}, deep {self.deep}, mask {self.mask}: give numbers in 0..1, without 1")
        if self.smooth < 0 or not all(s > 0 for s in self.spacing or ()):
            raise ValueError(f"smooth is {self.smooth} and spacing {self.spacing}: give smooth of at least 0 and positive sizes or None")

    @property
    def channels(self) -> tuple[str, ...]:
        """What the network must say of every pixel."""
        return ("foreground", "nearness to the centre", "depth")

    def targets(self, labels: IntArray) -> FloatArray:
        """Turn labels into foreground, nearness to the centre and depth; see `segmentation.targets.centre_and_depth`.

        Args:
            labels: ([Z,] Y, X); > 0 cells, 0 background, < 0 unknown.

        Returns:
            float32 (3, [Z,] Y, X) in 0..1, -1 where unknown.
        """
        channels = np.concatenate([foreground(labels)[None], centre_and_depth(labels, self._step(labels.ndim))])
        channels[:, labels < 0] = -1
        return channels

    def loss(self, answers: Tensor, wanted: Tensor) -> Tensor:
        """Cross-entropy plus Dice, averaged over the three channels.

        Args:
            answers: (n, 3, [Z,] Y, X) logits.
            wanted: same shape, in 0..1, below 0 where unknown.
        """
        return BCEDice()(answers, wanted)

    def read(self, answers: FloatArray) -> FloatArray:
        """Turn logits into numbers in 0..1.

        Args:
            answers: (3, [Z,] Y, X) logits.

        Returns:
            float32, same shape.
        """
        return np.asarray(expit(answers), np.float32)

    def __call__(self, said: FloatArray) -> IntArray:
        """Decode one picture.

        Args:
            said: (3, [Z,] Y, X) foreground, nearness to the centre, depth, 0..1.

        Returns:
            int32 labels ([Z,] Y, X), numbered 1..n.
        """
        if said.ndim not in (3, 4) or len(said) != 3:
            raise ValueError(f"distances have shape {said.shape}: give (3, [Z,] Y, X)")
        mask = said[0] > self.mask
        near, deep = (self._smoothed(channel) for channel in said[1:])
        seeds = with_seedless(drop_small(parts(mask & (near > self.centre) & (deep > self.deep)), self.speck), mask)
        slope = SLOPE * distance_inside(seeds == 0, self._step(mask.ndim))
        return flood_without_small(slope - deep, seeds, mask, self.smallest)

    def _step(self, dims: int) -> tuple[float, ...]:
        if self.spacing is not None and len(self.spacing) != dims:
            raise ValueError(f"spacing {self.spacing} is for {len(self.spacing)} axes but the picture has {dims}: give one size per axis")
        return (1.0,) * dims if self.spacing is None else self.spacing

    def _smoothed(self, channel: FloatArray) -> FloatArray:
        step = np.asarray(self._step(channel.ndim))
        channel = np.asarray(channel, np.float32)
        return ndimage.gaussian_filter(channel, self.smooth * step.min() / step) if self.smooth > 0 else channel
