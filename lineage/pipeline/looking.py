"""Looking: one frame of a film, whole where it is small, part by part where it need not fit in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lineage.arrays import Array, is_large, slabs
from lineage.films import LazyFrame, OpenedFilm, open_film
from lineage.films.zarr_writing import scratch
from lineage.pieces import digest, digest_of_array


@dataclass(frozen=True, eq=False)
class Looked:
    """A frame that is looked at more than once; it is kept in memory unless it is large (``arrays.LARGE``).

    Attributes:
        film: The film.
        number: Which frame.
    """

    film: OpenedFilm
    number: int

    @classmethod
    def at(cls, frame: Array) -> Looked:
        """A frame that is in memory."""
        return cls(open_film(frame[None]), 0)

    @property
    def shape(self) -> tuple[int, ...]:
        """([Z,] Y, X), pixels."""
        return self.film.shape[1:]

    @property
    def large(self) -> bool:
        """Whether it is looked at part by part."""
        return is_large(self.shape)

    @cached_property
    def whole(self) -> Array:
        """All its pixels."""
        return self.film[self.number]

    @property
    def lazy(self) -> LazyFrame:
        """Its pixels, read where they are sliced."""
        return LazyFrame(self.film, (self.number,))

    def parts(self) -> Iterator[Array]:
        """Its slabs along the first axis, one after another; one if it is not large."""
        if not self.large:
            yield self.whole
            return
        for place in slabs(self.shape):
            yield self.film.part(self.number, place)

    @cached_property
    def digest(self) -> str:
        """The digest of its pixels."""
        found = [digest_of_array(part) for part in self.parts()]
        return digest(found) if self.large else found[0]


@contextmanager
def kept(frame: Looked, folder: Path) -> Iterator[Looked]:
    """The same frame, on disk while the block lasts if it is large: one whose pixels are worked out whenever they are looked at."""
    if not frame.large:
        yield frame
        return
    with scratch(folder, (1, *frame.shape), frame.film.dtype.name) as canvas:
        for place in slabs(frame.shape):
            canvas[(0, *place)] = frame.film.part(frame.number, place)
        yield Looked(open_film(canvas), 0)
