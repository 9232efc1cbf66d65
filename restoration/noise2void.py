"""Noise2Void: learn from the noisy film alone, by guessing hidden pixels from their neighbours (needs torch).

Krull, Buchholz and Jug, "Noise2Void - learning denoising from single noisy images", CVPR 2019; N2V2: Höck et al., 2022, arXiv 2211.08512;
structN2V: Broaddus et al., "Removing structured noise with self-supervised blind-spot networks", ISBI 2020.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from torch import Tensor

from restoration.blindspots import Replace, Struct, blind
from restoration.care import constants_of, lean
from restoration.losses import masked
from restoration.method import check_odd
from restoration.noise import noise_model
from restoration.patches import Feed
from restoration.scales import Scale
from restoration.views import Listed, film_of, neighbours_of
from segmentation.arrays import FloatArray
from segmentation.unet import UNetConfig


@dataclass(frozen=True)
class Noise2Void:
    """Restoration from noisy pictures alone; the noise of each pixel must have mean zero and not depend on its neighbours.

    Args:
        percent: share of the pixels of a patch that are blind spots, per cent.
        radius: of the window from which their replacements come, pixels.
        replace: by a "uniform"ly drawn neighbour (never the pixel itself) or by the "median" of all.
        frames: frames of a film that are shown, 1, 3 or 5; only the middle one has blind spots, and it is the one restored.
        channels: of a picture; each has blind spots of its own.
        n2v2: the network of N2V2 (blurred pooling, no connection on the finest level) with median replacement, against
            checkerboards.
        struct: what is hidden around each spot, for noise that neighbours share; "auto": as measured from the data.
        width: features of the network on its finest level.
        depth: how often it makes the picture coarser.
    """

    percent: float = 2.0
    radius: int = 5
    replace: Replace = "uniform"
    frames: int = 1
    channels: int = 1
    n2v2: bool = False
    struct: Struct | Literal["auto"] | None = None
    width: int = 24
    depth: int = 2

    name: ClassVar[str] = "noise2void"
    feed: ClassVar[Feed] = Feed()
    is_blind: ClassVar[bool] = True
    has_scale: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if isinstance(self.struct, dict):  # from a file
            object.__setattr__(self, "struct", Struct(**self.struct))
        if self.n2v2:
            object.__setattr__(self, "replace", "median")
        check_odd(self.frames)
        if not 0 < self.percent <= 25:
            raise ValueError(f"percent is {self.percent}: give a share of the pixels above 0 and at most 25 per cent")
        if not isinstance(self.radius, int) or self.radius < 1:
            raise ValueError(f"radius is {self.radius!r}: give an integer of at least 1")
        if self.replace not in ("uniform", "median"):
            raise ValueError(f"replace is {self.replace!r}: give 'uniform' or 'median'")
        if self.channels < 1 or (self.channels > 1 and self.frames > 1):
            raise ValueError(
                f"channels is {self.channels} and frames {self.frames}: give at least 1 channel, and several of one of them only"
            )

    def views(self, data: Any) -> Listed:  # noqa: ANN401 - arrays of any library
        """Every frame, with those around it.

        Args:
            data: film (T, [Z,] Y, X), a list of pictures, or one picture (Y, X); with several channels each is (C, [Z,] Y, X).
        """
        return data if isinstance(data, Listed) else neighbours_of(data, frames=self.frames, channels=self.channels)

    def scale(self, views: Listed) -> Scale:
        """Mean and standard deviation of the training pictures, kept.

        Args:
            views: what `views` gave.
        """
        return constants_of(views)

    def adapted(self, data: Any) -> Noise2Void:  # noqa: ANN401 - arrays of any library
        """The method, with "auto" replaced by what hides the noise that neighbours were found to share.

        Args:
            data: the user's.
        """
        if self.struct != "auto":
            return self
        if isinstance(data, Listed):  # views that somebody made: the wanted pictures are the film
            data = [data[row][1][0] if self.channels == 1 else data[row][1] for row in range(min(len(data), 8))]
        film = film_of(data, self.channels)
        frame = np.asarray(film[0])
        planes = film if self.channels == 1 else [np.asarray(film[t])[0] for t in range(min(len(film), 8))]
        return replace(self, struct=struct_of(noise_model(planes).correlation.mask, frame.ndim - (self.channels > 1)))

    def network(self, dims: int, channels: int) -> UNetConfig:
        """A U-Net without norm, the picture not added to its answer; for N2V2 with blurred pooling and without the finest connection.

        What is shown at a blind spot is none of its own, so a network that adds it must first learn to take it away again.

        Args:
            dims: spatial axes.
            channels: of a picture.
        """
        config = replace(lean(dims, channels * self.frames, channels, self.width, self.depth), residual=False)
        return replace(config, blurpool=True, top_skip=False) if self.n2v2 else config

    def batches(self, patches: Iterable[tuple[FloatArray, FloatArray]], seed: int) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Hide pixels of each patch; the untouched ones and the mask are what is wanted.

        Args:
            patches: batches of (shown, wanted).
            seed: of the spots.
        """
        rng = np.random.default_rng(seed)
        struct = None if self.struct == "auto" else self.struct
        for shown, wanted in patches:
            middle = self.frames // 2 * self.channels
            changed, mask = blind(
                shown,
                rng,
                percent=self.percent,
                radius=self.radius,
                replace=self.replace,
                struct=struct,
                channels=slice(middle, middle + self.channels),
            )
            yield changed, np.concatenate([wanted, mask], axis=1)

    def loss(self, answers: Tensor, wanted: Tensor) -> Tensor:
        """Squared error at the blind spots."""
        return masked(answers, wanted)


def struct_of(mask: Any, dims: int) -> Struct | None:  # noqa: ANN401 - bool array or None
    """What to hide around each blind spot, from the mask that the measured noise suggests.

    Args:
        mask: bool (2 ry + 1, 2 rx + 1), True = hidden, see `restoration.correlation.NoiseCorrelation.mask`; None for white noise.
        dims: axes of the pictures; along z nothing is hidden.
    """
    if mask is None:
        return None
    return Struct((1,) * (dims - 2) + tuple(int(n) for n in np.shape(mask)), box=bool(np.all(mask)))
