"""Noise2Noise: learn from two noisy pictures of the same place, or from the consecutive frames of a slow film (needs torch).

Lehtinen et al., "Noise2Noise: learning image restoration without clean data", ICML 2018.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from restoration.care import constants_of, lean
from restoration.losses import squared
from restoration.patches import Feed
from restoration.scales import Scale
from restoration.views import STILL, Listed, consecutive_of, pairs_of
from segmentation.arrays import FloatArray
from segmentation.unet import UNetConfig


@dataclass(frozen=True)
class Noise2Noise:
    """Restoration from two noisy views: the squared error to a noisy picture is least for the mean of what may be, the clean one.

    Args:
        film: the data are a slow film, of which each frame and the next count as two views; otherwise they are pairs.
        still: pixels that things may move from frame to frame of it; more is refused.
        align: refuse pairs that are shifted against each other.
        width: features of the network on its finest level.
        depth: how often it makes the picture coarser.
    """

    film: bool = False
    still: float = STILL
    align: bool = True
    width: int = 16
    depth: int = 3

    name: ClassVar[str] = "noise2noise"
    feed: ClassVar[Feed] = Feed(signal=0.5)
    frames: ClassVar[int] = 1
    is_blind: ClassVar[bool] = False
    has_scale: ClassVar[bool] = False

    def views(self, data: Any) -> Listed:  # noqa: ANN401 - arrays of any library
        """Both directions of every pair, or of every two consecutive frames.

        Args:
            data: sequence of pairs of pictures ([Z,] Y, X), or with `film` a film (T, [Z,] Y, X).
        """
        if isinstance(data, Listed):
            return data
        return consecutive_of(data, still=self.still) if self.film else pairs_of(data, align=self.align, swap=True)

    def scale(self, views: Listed) -> Scale:
        """Mean and standard deviation of the noisy pictures, the same for both views: the mean must be kept.

        Args:
            views: what `views` gave.
        """
        return constants_of(views)

    def adapted(self, data: Any) -> Noise2Noise:  # noqa: ANN401
        """The method, with `film` set when the data are no pairs.

        Args:
            data: the user's.
        """
        if isinstance(data, Listed):
            return self
        first = data[0] if len(data) else ()
        is_pair = isinstance(first, tuple | list) and len(first) == 2 and np.ndim(first[0]) >= 2
        return self if is_pair or self.film else Noise2Noise(True, self.still, self.align, self.width, self.depth)

    def network(self, dims: int, channels: int) -> UNetConfig:
        """A lean U-Net without norm that says what to change.

        Args:
            dims: spatial axes.
            channels: of a picture.
        """
        return lean(dims, channels, channels, self.width, self.depth)

    def batches(self, patches: Iterable[tuple[FloatArray, FloatArray]], seed: int) -> Iterable[tuple[FloatArray, FloatArray]]:
        """The patches as they are."""
        return patches

    def loss(self, answers: Tensor, wanted: Tensor) -> Tensor:
        """Squared error: the absolute one would give the median of the noise."""
        return squared(answers, wanted)
