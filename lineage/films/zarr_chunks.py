"""Chunks of a zarr array: which files a frame is read from, and whether one of them was lost or damaged.

Writers leave out chunks that hold nothing but the fill value, unless they are told not to, so a chunk that was lost reads as zeros. What is
known tells the two apart, as far as it goes:

- Arrays of ours are marked: every chunk was written, so a missing one was lost. They are always refused.
- A label film may be without cells in a chunk or a whole frame, so a missing chunk is believed to be empty.
- An image that is blank in places (cropped, fused, deconvolved, registered) has blank pixels beside the missing chunks too. One of a
  camera has none: dark places have an offset and noise. So a frame is refused when no pixel of it that is stored has the fill value,
  and so is one of which nothing is stored; whoever knows that it is blank says ``holes``.

A shard counts as a chunk: those inside it are not looked at.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lineage.arrays import Array

from .opened import Layout, Place, Sources

MARK, WHOLE = "cytolineage", "every_chunk_written"  # attribute of arrays whose empty chunks are stored too
METADATA = ("zarr.json", ".zarray")


@dataclass(frozen=True, eq=False)
class Chunked:
    """A film in a zarr array, chunk by chunk.

    Attributes:
        array: The zarr array.
        plan: Where time, depth and channel lie among its axes.
        folder: Where it lies.
        path: The film that it belongs to, for messages.
        holes: Believe that what is missing is blank, unless the array is marked.
    """

    array: Any
    plan: Layout
    folder: Path
    path: Path
    holes: bool

    def read(self, t: int, place: Place) -> Array:
        """A part of frame t, or the whole, ``()``; ([Z,] Y, X).

        Raises:
            ValueError: A chunk of it was lost or is damaged; the message names it.
        """
        lost = [(file, part) for file, part in self.chunks(t, place) if not file.is_file()]
        if lost and self.marked:
            raise ValueError(f"{self.path}: frame {t} is incomplete, its chunk {self._name(lost[0][0])} was lost: copy or make it again")
        try:
            frame = self.plan.pick(self.array, t, place)
        except Exception as error:  # codecs raise whatever they like
            raise ValueError(f"{self.path}: frame {t} cannot be read: {self._damage(t, place)}{_reason(error)}") from error
        if lost and not self.holes and self._blank(frame) <= sum(self._pixels(part) for _, part in lost):
            raise ValueError(
                f"{self.path}: frame {t} lacks its chunk {self._name(lost[0][0])}, and no pixel that is stored is blank: "
                "copy the film again, or open it with holes=True (--holes) if it is blank there"
            )
        return frame

    def sources(self, t: int) -> Sources:
        """The files that frame t is read from, those that are there."""
        described = (self.folder / name for name in METADATA)
        return tuple(file for file in (*described, *(file for file, _ in self.chunks(t))) if file.is_file())

    @property
    def marked(self) -> bool:
        """Whether every chunk was written, the empty ones too."""
        mark = dict(self.array.attrs).get(MARK)
        return isinstance(mark, dict) and mark.get(WHOLE) is True

    def chunks(self, t: int, place: Place = ()) -> Iterator[tuple[Path, tuple[slice, ...]]]:
        """The file of every chunk that frame t, or a part of it, lies in, and what it holds of that part, as a part of the array."""
        cuts = getattr(self.array, "shards", None) or self.array.chunks
        at = {"T": t, "C": self.plan.channel, "_": 0}
        wanted = {axis: slice(k, k + 1) for axis, k in at.items()} | self.plan.parts(place)
        sides = zip(self.plan.axes, self.plan.shape, strict=True)
        ends = [wanted.get(axis, slice(None)).indices(size)[:2] for axis, size in sides]
        steps = [range(low // cut, -(-high // cut)) for (low, high), cut in zip(ends, cuts, strict=True)]
        for step in itertools.product(*steps):
            within = zip(step, cuts, ends, strict=True)
            part = tuple(slice(max(k * cut, low), min((k + 1) * cut, high)) for k, cut, (low, high) in within)
            yield self.folder / self.array.metadata.encode_chunk_key(step), part

    def _pixels(self, place: tuple[slice, ...]) -> int:
        """How many pixels of a frame lie in a part of the array."""
        return int(np.prod([part.stop - part.start for axis, part in zip(self.plan.axes, place, strict=True) if axis in "ZYX"]))

    def _blank(self, frame: Array) -> int:
        """How many pixels have the fill value."""
        fill = self.array.fill_value or 0  # zarr 2 may leave it open
        return int(np.count_nonzero(np.isnan(frame) if fill != fill else frame == fill))

    def _damage(self, t: int, place: Place) -> str:
        """Which chunk of a frame that cannot be read is the one."""
        for file, part in self.chunks(t, place):
            try:
                self.array[part]
            except Exception:  # codecs raise whatever they like
                return f"its chunk {self._name(file)} is damaged: "
        return ""

    def _name(self, file: Path) -> str:
        return file.relative_to(self.path).as_posix()


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
