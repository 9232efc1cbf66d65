"""DenoisedFilm: a film whose frames are denoised when they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from segmentation.arrays import AnyArray


@dataclass(frozen=True, eq=False)
class DenoisedFilm:
    """A film that is made frame by frame: `film[t]` is one frame; none is kept.

    Attributes:
        shape: (T, [Z,] Y, X), pixels.
        dtype: type of its pixels.
        make: gives frame t.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    make: Callable[[int], AnyArray] = field(repr=False)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | tuple[Any, ...]) -> AnyArray:
        frame, rest = (index[0], index[1:]) if isinstance(index, tuple) else (index, ())
        t = int(frame)
        if not -len(self) <= t < len(self):
            raise IndexError(f"there is no frame {t}: the film has {len(self)} frames")
        picture = self.make(t % len(self))
        return picture[rest] if rest else picture
