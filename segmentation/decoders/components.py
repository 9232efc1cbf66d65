"""Foreground -> cells: each connected part is a cell. The simplest method, for cells that do not touch."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expit
from torch import Tensor

from segmentation.arrays import FloatArray, IntArray
from segmentation.decoders.interface import Grid
from segmentation.flooding import drop_small, fill_holes, parts
from segmentation.losses import BCEDice
from segmentation.targets import foreground


@dataclass(frozen=True)
class Components:
    """Cells are the face-connected parts of the foreground; cells that touch become one.

    Args:
        mask: threshold of foreground that a cell's pixels must exceed.
        smallest: least size of a cell, pixels; smaller ones vanish.
        holes: size in pixels up to which a hole in a cell is filled; 0: none.
    """

    mask: float = 0.5
    smallest: int = 20
    holes: int = 0

    grid: ClassVar[Grid] = {
        "mask": (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
        "smallest": (8, 15, 25, 40),
        "holes": (0, 20, 100),
    }

    def __post_init__(self) -> None:
        if not (0 <= self.mask < 1 and self.smallest >= 0 and self.holes >= 0):
            raise ValueError(
                f"mask is {self.mask}, smallest {self.smallest}, holes {self.holes}: give mask in 0..1 and sizes of at least 0 pixels"
            )

    @property
    def channels(self) -> tuple[str, ...]:
        """What the network must say of every pixel."""
        return ("foreground",)

    def targets(self, labels: IntArray) -> FloatArray:
        """Turn labels into foreground.

        Args:
            labels: ([Z,] Y, X); > 0 cells, 0 background, < 0 unknown.

        Returns:
            float32 (1, [Z,] Y, X), 0 or 1, -1 where unknown.
        """
        return foreground(labels)[None]

    def loss(self, answers: Tensor, wanted: Tensor) -> Tensor:
        """Cross-entropy plus Dice.

        Args:
            answers: (n, 1, [Z,] Y, X) logits.
            wanted: same shape, 0 or 1, below 0 where unknown.
        """
        return BCEDice()(answers, wanted)

    def read(self, answers: FloatArray) -> FloatArray:
        """Turn logits into probabilities.

        Args:
            answers: (1, [Z,] Y, X) logits.

        Returns:
            float32, same shape, 0..1.
        """
        return np.asarray(expit(answers), np.float32)

    def __call__(self, said: FloatArray) -> IntArray:
        """Decode one picture.

        Args:
            said: (1, [Z,] Y, X) foreground, 0..1.

        Returns:
            int32 labels ([Z,] Y, X), numbered 1..n.
        """
        if said.ndim not in (3, 4) or len(said) != 1:
            raise ValueError(f"probabilities have shape {said.shape}: give (1, [Z,] Y, X)")
        return fill_holes(drop_small(parts(said[0] > self.mask), self.smallest), self.holes)
