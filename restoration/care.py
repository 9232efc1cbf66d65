"""CARE: learn from pairs of a noisy and a good picture of the same place (needs torch).

Weigert et al., "Content-aware image restoration: pushing the limits of fluorescence microscopy", Nature Methods 15 (2018) 1090.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from restoration.losses import absolute, laplace, squared
from restoration.patches import Feed
from restoration.scales import Constants, Percentile, Scale
from restoration.views import GLANCE, Listed, pairs_of
from segmentation.arrays import FloatArray
from segmentation.unet import UNetConfig

Brightness = Literal["own", "matched", "constants"]


@dataclass(frozen=True)
class Care:
    """Supervised restoration; the best where good pictures can be had.

    Args:
        error: "absolute" (the answer is a median) or "squared" (a mean).
        probabilistic: also learn how unsure each pixel is (a Laplace law); `error` is then not used.
        brightness: "own": noisy and good picture each by its own percentiles. "matched": the good one is first fitted to the noisy one,
            so that the answer keeps the grey levels of the noisy one. "constants": one scale for all, for pairs in the same grey levels.
        align: refuse pairs that are shifted against each other.
        width: features of the network on its finest level.
        depth: how often it makes the picture coarser.
    """

    error: Literal["absolute", "squared"] = "absolute"
    probabilistic: bool = False
    brightness: Brightness = "matched"
    align: bool = True
    width: int = 16
    depth: int = 3

    name: ClassVar[str] = "care"
    feed: ClassVar[Feed] = Feed(signal=0.8)
    frames: ClassVar[int] = 1
    is_blind: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.error not in ("absolute", "squared"):
            raise ValueError(f"error is {self.error!r}: give 'absolute' or 'squared'")
        if self.brightness not in ("own", "matched", "constants"):
            raise ValueError(f"brightness is {self.brightness!r}: give 'own', 'matched' or 'constants'")

    @property
    def has_scale(self) -> bool:
        """Whether the network also says how unsure it is."""
        return self.probabilistic

    def views(self, data: Any) -> Listed:  # noqa: ANN401 - arrays of any library
        """Pairs (noisy, good), checked for size, shift and contrast.

        Args:
            data: sequence of pairs, each picture ([Z,] Y, X).
        """
        return data if isinstance(data, Listed) else pairs_of(data, align=self.align)

    def scale(self, views: Listed) -> Scale:
        """Percentiles of each picture, or constants of the noisy pictures.

        Args:
            views: what `views` gave.
        """
        if self.brightness == "constants":
            return constants_of(views)
        return Percentile(wanted=self.brightness)

    def adapted(self, data: Any) -> Care:  # noqa: ANN401 - nothing to find out
        """The method itself."""
        return self

    def network(self, dims: int, channels: int) -> UNetConfig:
        """A lean U-Net without norm that says what to change; with uncertainty, two answers per channel.

        Args:
            dims: spatial axes.
            channels: of a picture.
        """
        return lean(dims, channels, channels * (2 if self.probabilistic else 1), self.width, self.depth)

    def batches(self, patches: Iterable[tuple[FloatArray, FloatArray]], seed: int) -> Iterable[tuple[FloatArray, FloatArray]]:
        """The patches as they are; with uncertainty, what is to be added to the noisy ones: two answers cannot share one picture."""
        return ((shown, wanted - shown) for shown, wanted in patches) if self.probabilistic else patches

    def loss(self, answers: Tensor, wanted: Tensor) -> Tensor:
        """Absolute or squared error, or the likelihood of a Laplace law."""
        if self.probabilistic:
            return laplace(answers, wanted)
        return (absolute if self.error == "absolute" else squared)(answers, wanted)


def lean(dims: int, inputs: int, outputs: int, width: int, depth: int) -> UNetConfig:
    """A U-Net for restoring: no norm, which would tie grey levels to a batch, and the picture added to the answer where it can be.

    Args:
        dims: spatial axes.
        inputs: channels shown.
        outputs: channels answered.
        width: features on the finest level.
        depth: how often the picture is made coarser.
    """
    return UNetConfig(dims=dims, inputs=inputs, outputs=outputs, width=width, depth=depth, norm="none", residual=outputs <= inputs)


def constants_of(views: Listed) -> Constants:
    """Mean and standard deviation of the pictures that are shown, of about 64 spread over all.

    Args:
        views: what a method's `views` gave.
    """
    step = max(1, len(views) // (8 * GLANCE))
    return Constants.of(views[row][0] for row in range(0, len(views), step))
