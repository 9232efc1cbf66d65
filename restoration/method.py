"""What a way of learning to restore must offer: one protocol, one module for each way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Protocol

import numpy as np
from torch import Tensor

from restoration.patches import Feed
from restoration.scales import Scale
from restoration.views import Listed
from segmentation.arrays import FloatArray
from segmentation.unet import UNetConfig


class Method(Protocol):
    """A way of learning to restore; a frozen dataclass whose fields are kept with the network."""

    name: ClassVar[str]
    feed: ClassVar[Feed]

    @property
    def frames(self) -> int:
        """How many frames of a film are shown at a time."""
        ...

    @property
    def is_blind(self) -> bool:
        """Whether the network never sees the pixel that it answers for, so that its residual can be judged without truth."""
        ...

    @property
    def has_scale(self) -> bool:
        """Whether the network also says how unsure it is."""
        ...

    def views(self, data: Any) -> Listed:  # noqa: ANN401 - arrays of any library
        """What is shown and wanted, from the user's data."""
        ...

    def scale(self, views: Listed) -> Scale:
        """What brings the pictures to a common range."""
        ...

    def adapted(self, data: Any) -> Method:  # noqa: ANN401 - arrays of any library
        """The method with what it finds out from the data."""
        ...

    def network(self, dims: int, channels: int) -> UNetConfig:
        """The network that suits it, for pictures of so many axes and channels."""
        ...

    def batches(self, patches: Iterable[tuple[FloatArray, FloatArray]], seed: int) -> Iterable[tuple[FloatArray, FloatArray]]:
        """Batches for the training loop, from patches of (shown, wanted)."""
        ...

    def loss(self, answers: Tensor, wanted: Tensor) -> Tensor:
        """What the network is punished for."""
        ...


def check_odd(frames: int) -> None:
    """Refuse a number of frames that has no middle.

    Args:
        frames: how many frames are shown at a time.
    """
    if not isinstance(frames, int | np.integer) or frames < 1 or frames % 2 == 0:
        raise ValueError(f"frames is {frames!r}: give 1, 3 or 5, so that there is one in the middle")
