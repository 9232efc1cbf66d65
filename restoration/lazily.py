"""DenoisedPicture: a picture that is denoised where it is sliced, for pictures larger than memory (needs torch)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import EllipsisType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from restoration.patches import turned, turned_back
from restoration.scales import Affine
from segmentation.allocation import keep_memory
from segmentation.arrays import AnyArray, FloatArray
from segmentation.blocks import divided, within
from segmentation.fit import pick_device
from segmentation.normalise import Picture, Place
from segmentation.tiles import TileSize, around, ask, cut, mirrored
from segmentation.unet import UNet

Index = int | slice | EllipsisType


@dataclass(frozen=True, eq=False)
class DenoisedPicture:
    """A picture that is made part by part: `picture[place]` is one part, in memory that grows with the part only; none is kept.

    Attributes:
        shape: ([Z,] Y, X), or (C, [Z,] Y, X) where several channels are denoised; pixels.
        make: gives the part at a place, one slice of step 1 for each axis.
        dtype: type of its pixels, float32.
    """

    shape: tuple[int, ...]
    make: Callable[[Place], FloatArray] = field(repr=False)

    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.float32)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Index | tuple[Index, ...]) -> AnyArray:
        """Denoise a part.

        Args:
            index: whole numbers and slices, as of an array; what is not named is taken whole.
        """
        given = index if isinstance(index, tuple) else (index,)
        if Ellipsis in given:
            at = given.index(Ellipsis)
            given = (*given[:at], *(slice(None),) * (self.ndim - len(given) + 1), *given[at + 1 :])
        if len(given) > self.ndim:
            raise IndexError(f"{len(given)} places are given: the picture has {self.ndim} axes")
        read, rest = [], []
        for axis, (part, length) in enumerate(zip((*given, *(slice(None),) * (self.ndim - len(given))), self.shape, strict=True)):
            if not isinstance(part, (slice, int, np.integer)):
                raise IndexError(f"axis {axis} is sliced by {part!r}: give whole numbers and slices")
            if not isinstance(part, slice) and not -length <= part < length:
                raise IndexError(f"there is no pixel {part} along axis {axis}: the picture has {length}")
            rows = range(length)[part] if isinstance(part, slice) else range(length)[int(part) : int(part) % length + 1 or None]
            low, high = (min(rows[0], rows[-1]), max(rows[0], rows[-1]) + 1) if rows else (0, 0)
            read.append(slice(low, high))
            rest.append(slice(None, None, rows.step) if isinstance(part, slice) else 0)
        empty = any(part.start == part.stop for part in read)
        answer = np.zeros([p.stop - p.start for p in read], np.float32) if empty else self.make(tuple(read))
        return answer[tuple(rest)]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> AnyArray:
        """All of it at once, for what takes arrays only."""
        if copy is False:
            raise ValueError("a denoised picture is made when it is read: it cannot be had without a copy")
        return self[...].astype(self.dtype if dtype is None else dtype, copy=False)


@dataclass(frozen=True, eq=False)
class Turned:
    """A picture turned and mirrored as `patches.turned` does it, read in parts.

    Args:
        picture: (..., Y, X), sliced like an array.
        quarters: turns by 90 degrees, 0..3.
        flip: mirror along y first.
    """

    picture: Picture
    quarters: int
    flip: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Sides in pixels, after turning."""
        *before, height, width = self.picture.shape
        return (*before, width, height) if self.quarters % 2 else (*before, height, width)

    def __getitem__(self, place: Place, /) -> FloatArray:
        """Read a part.

        Args:
            place: one slice for each axis of the turned picture.
        """
        *before, row, column = (slice(*part.indices(n)) for part, n in zip(place, self.shape, strict=True))
        height, width = self.picture.shape[-2:]
        y, x = {
            0: (row, column),
            1: (column, _from_end(row, width)),
            2: (_from_end(row, height), _from_end(column, width)),
            3: (_from_end(column, height), row),
        }[self.quarters]
        part = np.asarray(self.picture[(*before, _from_end(y, height) if self.flip else y, x)])
        return turned(part, quarters=self.quarters, flip=self.flip)

    def place(self, place: Place) -> Place:
        """Where a place of the picture lies in the turned one.

        Args:
            place: slices with a start and a stop, the last two along y and x.
        """
        *before, y, x = place
        height, width = self.picture.shape[-2:]
        y = _from_end(y, height) if self.flip else y
        row, column = {
            0: (y, x),
            1: (_from_end(x, width), y),
            2: (_from_end(y, height), _from_end(x, width)),
            3: (x, _from_end(y, height)),
        }[self.quarters]
        return (*before, row, column)

    def back(self, part: FloatArray) -> FloatArray:
        """A part of the turned picture as it lies in the picture.

        Args:
            part: (..., Y, X).
        """
        return turned_back(part, quarters=self.quarters, flip=self.flip)


@dataclass(frozen=True, eq=False)
class Answers:
    """What a network says of a picture, part by part, the same as of those parts in the whole.

    Args:
        network: a U-Net; set to evaluation and moved to the device.
        scale: of the whole picture.
        read: (raw answers, scaled picture) of a part -> what is meant; None: the raw answers.
        turns: quarters and flips in which the picture is shown; the answers are averaged.
        tile: largest side of a tile, see `segmentation.tiles.plan`.
        device: "auto", "cpu" or "cuda".
    """

    network: UNet
    scale: Affine
    read: Callable[[FloatArray, FloatArray], FloatArray] | None
    turns: Sequence[tuple[int, bool]]
    tile: TileSize
    device: str

    def __call__(self, picture: Picture, place: Place) -> FloatArray:
        """Ask for a part.

        Args:
            picture: (inputs, [Z,] Y, X), or without the first axis for one input; sliced like an array.
            place: one slice for each spatial axis.

        Returns:
            float32 (channels, [Z,] Y, X) of the part, on the network's scale.
        """
        keep_memory()
        self.network.to(pick_device(self.device)).eval()
        total: Any = 0.0
        for quarters, flip in self.turns:
            shown = Turned(picture, quarters, flip)
            total = total + shown.back(self._at(shown, shown.place(place)))
        return np.asarray(total / len(self.turns), np.float32)

    def _at(self, picture: Picture, place: Place) -> FloatArray:
        """The answers for one part, tile by tile; tiles begin where pixels are made coarser in the same groups as in the whole."""
        config = self.network.config
        shape = picture.shape[-config.dims :]
        corner = [part.start // k * k for part, k in zip(place, config.divisors, strict=True)]
        answer: Any = None
        for inner in cut([part.stop - first for part, first in zip(place, corner, strict=True)], self.tile, config):
            here = tuple(slice(part.start + first, part.stop + first) for part, first in zip(inner, corner, strict=True))
            tile = around(here, shape, config)
            said = ask(self.network, picture, tile, where=pick_device(self.device), normalise=self.scale)
            if self.read is not None:
                said = self.read(said, self.scale(mirrored(picture, here)).reshape(-1, *said.shape[1:]))
            if answer is None:
                answer = np.empty((len(said), *(part.stop - part.start for part in place)), np.float32)
            wanted = tuple(slice(max(part.start, p.start), part.stop) for part, p in zip(here, place, strict=True))
            answer[(slice(None), *within(wanted, place))] = said[(slice(None), *within(wanted, here))]
        return np.asarray(answer)


def is_flat(picture: Picture) -> bool:
    """Say whether all pixels of a picture that may be larger than memory are equal; reads no more than is needed to know.

    Args:
        picture: sliced like an array; not empty.
    """
    first: Any = None
    for place in divided(picture.shape, [0] * len(picture.shape)):
        block = np.asarray(picture[place])
        first = block.flat[0] if first is None else first
        if (block != first).any():
            return False
    return True


def _from_end(part: slice, length: int) -> slice:
    """A place counted from the other end."""
    return slice(length - part.stop, length - part.start)
