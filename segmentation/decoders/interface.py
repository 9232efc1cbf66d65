"""What every method of instance or semantic segmentation promises: the same six things."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from torch import Tensor

from segmentation.arrays import FloatArray, IntArray

Grid = Mapping[str, Sequence[Any]]


class Decoder(Protocol):
    """From labels to what the network must say, and from what it says back to labels.

    A decoder is a frozen dataclass; its fields are thresholds and sizes, all of them JSON-able.

    Attributes:
        grid: thresholds that can be tuned on labelled pictures, and the values to try.
    """

    grid: ClassVar[Grid]

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of what the network must say of every pixel; as many as the network has outputs."""
        ...

    def targets(self, labels: IntArray) -> FloatArray:
        """Turn labels into what the network is compared with.

        Args:
            labels: ([Z,] Y, X); > 0 cells, 0 background, < 0 unknown.

        Returns:
            float32 (k, [Z,] Y, X).
        """
        ...

    def loss(self, answers: Tensor, wanted: Tensor) -> Tensor:
        """Say how far the network is off, a scalar; unknown pixels have no influence.

        Args:
            answers: (n, len(channels), [Z,] Y, X), raw.
            wanted: (n, k, [Z,] Y, X), as `targets` gives them.
        """
        ...

    def read(self, answers: FloatArray) -> FloatArray:
        """Turn raw answers into what they mean: probabilities in 0..1, distances in pixels.

        Args:
            answers: (len(channels), [Z,] Y, X).

        Returns:
            float32, same shape.
        """
        ...

    def __call__(self, said: FloatArray) -> IntArray:
        """Find the cells in what the network said.

        Args:
            said: (len(channels), [Z,] Y, X), as `read` gives it.

        Returns:
            int32 labels ([Z,] Y, X), numbered 1..n, 0 = background.
        """
        ...


def names_cells(decoder: Decoder) -> bool:
    """Say whether the labels of a decoder number cells, or else name classes.

    Args:
        decoder: any.
    """
    return bool(getattr(decoder, "labels_are", "cells") == "cells")
