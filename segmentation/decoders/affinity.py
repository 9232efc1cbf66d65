"""Affinities -> cells: pixels that belong together are joined, strongest evidence first, unless they are known to be apart."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expit
from torch import Tensor

from segmentation.arrays import FloatArray, IntArray
from segmentation.decoders.interface import Grid
from segmentation.flooding import drop_small
from segmentation.losses import BCEDice
from segmentation.mutex import mutex_watershed
from segmentation.targets import foreground, same_cell

Offsets = tuple[tuple[int, ...], ...]

FLAT: Offsets = ((1, 0), (0, 1), (3, 0), (0, 3), (3, 3), (3, -3), (9, 0), (0, 9))
SOLID: Offsets = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (2, 0, 0), (0, 3, 0), (0, 0, 3), (0, 3, 3), (0, 3, -3), (0, 9, 0), (0, 0, 9))


@dataclass(frozen=True)
class Affinity:
    """The mutex watershed: of all pairs of pixels the surest speaks first, and joins two cells or forbids their union for good.

    Pairs of face neighbours may join (by their affinity) or part (by 1 - affinity), pairs farther away only part.
    Wolf et al., "The Mutex Watershed and its Objective: Efficient, Parameter-Free Graph Partitioning", 2018 and 2020.

    Args:
        mask: threshold of foreground that a cell's pixels must exceed.
        part: added to the evidence of all pairs that they are apart, -1..1; higher gives more and smaller cells.
        smallest: least size of a cell, pixels; smaller ones vanish.
        stride: every so many pixels along each axis the pairs that part are looked at; 1: all, which keeps touching cells of one
            or two pixels apart but takes three times as long.
        offsets: steps from a pixel to its partners, pixels, ([z,] y, x): first one unit step along each axis, then the far ones.
            For volumes take `SOLID` or your own.
    """

    mask: float = 0.5
    part: float = 0.0
    smallest: int = 20
    stride: int = 2
    offsets: Offsets = FLAT

    grid: ClassVar[Grid] = {
        "part": (-0.4, -0.2, -0.1, 0.0, 0.1, 0.2, 0.4),
        "mask": (0.4, 0.5, 0.6),
        "smallest": (8, 15, 25, 40),
    }

    def __post_init__(self) -> None:
        object.__setattr__(self, "offsets", tuple(tuple(int(o) for o in offset) for offset in self.offsets))  # lists when from a file
        dims = len(self.offsets[0]) if self.offsets else 0
        units = tuple(tuple(int(a == b) for b in range(dims)) for a in range(dims))
        if dims not in (2, 3) or self.offsets[:dims] != units or any(len(o) != dims or not any(o) for o in self.offsets):
            raise ValueError(f"offsets are {self.offsets}: begin with (1, 0), (0, 1), or in 3D (1, 0, 0), (0, 1, 0), (0, 0, 1)")
        if not (0 <= self.mask < 1 and -1 <= self.part <= 1 and self.stride >= 1):
            raise ValueError(
                f"mask is {self.mask}, part {self.part}, stride {self.stride}: give mask in 0..1, part in -1..1, stride of at least 1"
            )

    @property
    def dims(self) -> int:
        """Number of axes of the pictures, 2 or 3."""
        return len(self.offsets[0])

    @property
    def channels(self) -> tuple[str, ...]:
        """What the network must say of every pixel."""
        return ("foreground", *(f"same cell as at {' '.join(f'{o:+d}' for o in offset)}" for offset in self.offsets))

    def targets(self, labels: IntArray) -> FloatArray:
        """Turn labels into foreground and affinities; see `segmentation.targets.same_cell`.

        Args:
            labels: ([Z,] Y, X); > 0 cells, 0 background, < 0 unknown.

        Returns:
            float32 (1 + offsets, [Z,] Y, X), 0 or 1, -1 where unknown.
        """
        if labels.ndim != self.dims:
            raise ValueError(f"labels have shape {labels.shape} but the offsets have {self.dims} axes: give offsets for this picture")
        return np.concatenate([foreground(labels)[None], same_cell(labels, self.offsets)])

    def loss(self, answers: Tensor, wanted: Tensor) -> Tensor:
        """Cross-entropy plus Dice (Sørensen), averaged over the channels.

        Args:
            answers: (n, 1 + offsets, [Z,] Y, X) logits.
            wanted: same shape, 0 or 1, below 0 where unknown.
        """
        return BCEDice()(answers, wanted)

    def read(self, answers: FloatArray) -> FloatArray:
        """Turn logits into probabilities.

        Args:
            answers: (1 + offsets, [Z,] Y, X) logits.

        Returns:
            float32, same shape, 0..1.
        """
        return np.asarray(expit(answers), np.float32)

    def __call__(self, said: FloatArray) -> IntArray:
        """Decode one picture.

        Args:
            said: (1 + offsets, [Z,] Y, X) foreground and affinities, 0..1.

        Returns:
            int32 labels ([Z,] Y, X), numbered 1..n.
        """
        if said.ndim != self.dims + 1 or len(said) != len(self.channels):
            raise ValueError(f"affinities have shape {said.shape}: give ({len(self.channels)}, {'Z, ' * (self.dims == 3)}Y, X)")
        mask = said[0] > self.mask
        if not mask.any():
            return np.zeros(mask.shape, np.int32)
        evidence = np.concatenate([said[1 : 1 + self.dims], 1 - said[1:] + self.part])
        pairs = self.offsets[: self.dims] + self.offsets
        labels = mutex_watershed(evidence, pairs, mask, joining=self.dims, stride=self.stride)
        return drop_small(labels, self.smallest)
