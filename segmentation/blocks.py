"""Blocks: pictures larger than memory, looked at part by part, and the cells of the parts put together.

The picture is divided into blocks; each is looked at together with a rim of its neighbours, so that every cell is seen whole by the
block that holds its middle, and that block says what it looks like. Only a cell larger than the rim may be seen in parts; parts are
joined where two blocks agree about the pixels that both of them see.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from segmentation.arrays import AnyArray, BoolArray, IntArray
from segmentation.normalise import Canvas, Picture, Place, check_finite

PIXELS = 1 << 22  # that are looked at together

Look = Callable[[Place], IntArray]
Progress = Callable[[Iterable[Any], str], Iterable[Any]]


def silent(items: Iterable[Any], _title: str) -> Iterable[Any]:
    """Show no progress."""
    return items


@dataclass(frozen=True, eq=False)
class Finite:
    """A picture that is refused where it is read and is not finite.

    Args:
        picture: (..., [Z,] Y, X), sliced like an array.
    """

    picture: Picture

    @property
    def shape(self) -> tuple[int, ...]:
        """Sides in pixels."""
        return tuple(self.picture.shape)

    def __getitem__(self, place: Place, /) -> AnyArray:
        """Read a part.

        Args:
            place: one slice for each axis.
        """
        values = np.asarray(self.picture[place])
        check_finite(values[..., :0])  # its type
        if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
            bad = np.argwhere(~np.isfinite(values))[0]
            where = tuple(int(i) + (part.start or 0) for i, part in zip(bad, place, strict=True))
            raise ValueError(f"picture has NaN or infinite pixels, one of them at {where}: replace them by finite values")
        return values


def divided(shape: Sequence[int], rim: Sequence[int], *, tile: int | Sequence[int] = 0, pixels: int = PIXELS) -> Iterator[Place]:
    """Divide a picture into blocks of about equal size.

    Args:
        shape: sides, pixels.
        rim: how far each block looks beyond its sides along each axis, pixels.
        tile: largest side of a block without its rim, pixels; one for all axes or one for each. 0: chosen by `pixels`.
        pixels: most pixels of a block with its rim; more only where a block would become narrower than its rim.
    """
    axes = []
    for length, parts in zip(shape, _parts(shape, rim, tile=tile, pixels=pixels), strict=True):
        edges = [length * i // parts for i in range(parts + 1)]
        axes.append([slice(a, b) for a, b in itertools.pairwise(edges)])
    yield from itertools.product(*axes)


def _parts(shape: Sequence[int], rim: Sequence[int], *, tile: int | Sequence[int], pixels: int) -> list[int]:
    """Into how many blocks each axis is divided: where memory decides, the longest side first."""
    largest = [tile] * len(shape) if isinstance(tile, int) else list(tile)
    if len(largest) != len(shape) or any(side < 0 for side in largest) or (0 in largest and any(largest)) or pixels < 1:
        raise ValueError(f"tile is {tile} and pixels {pixels}: give sides of at least 1 pixel, or tile=0 and at least 1 pixel")
    if any(largest):
        return [max(-(-length // side), 1) for length, side in zip(shape, largest, strict=True)]
    return fewest(shape, rim, pixels, units=[1] * len(shape), least=[max(more, 1) for more in rim])


def fewest(counts: Sequence[int], rim: Sequence[int], pixels: float, *, units: Sequence[int], least: Sequence[int]) -> list[int]:
    """Into how many parts each axis is divided so that no part is too large with its rim: the longest side is divided first.

    Args:
        counts: sides of the picture, units.
        rim: what is read beyond a part on either side, pixels.
        pixels: most of a part with its rim.
        units: pixels of a unit; parts are whole units.
        least: an axis is divided no more once its parts are no longer than this, pixels.
    """
    parts = [1] * len(counts)
    while True:
        proper = [-(-count // n) * unit for count, n, unit in zip(counts, parts, units, strict=True)]
        read = [min(side + 2 * more, count * unit) for side, more, count, unit in zip(proper, rim, counts, units, strict=True)]
        divisible = [axis for axis, side in enumerate(proper) if side > least[axis]]
        if math.prod(read) <= pixels or not divisible:
            return parts
        parts[max(divisible, key=lambda axis: proper[axis])] += 1


def widened(place: Place, rim: Sequence[int], shape: Sequence[int]) -> Place:
    """A place and what lies around it, as far as the picture goes.

    Args:
        place: one slice for each axis.
        rim: pixels along each axis.
        shape: sides of the picture, pixels.
    """
    return tuple(slice(max(p.start - more, 0), min(p.stop + more, n)) for p, more, n in zip(place, rim, shape, strict=True))


def within(place: Place, wide: Place) -> Place:
    """Where a place lies inside a wider one.

    Args:
        place: one slice for each axis.
        wide: the same, around it.
    """
    return tuple(slice(p.start - w.start, p.stop - w.start) for p, w in zip(place, wide, strict=True))


def labels_for(out: Canvas | None, shape: Sequence[int]) -> Any:  # noqa: ANN401 (an array, or `out`)
    """Labels that can be written to, refused when they do not fit.

    Args:
        out: an integer array of 32 or 64 bits, or anything that is assigned to like one; None: a new one.
        shape: that they must have.
    """
    if out is None:
        return np.zeros(shape, np.int32)
    dtype = getattr(out, "dtype", np.dtype(np.int32))
    if tuple(out.shape) != tuple(shape) or np.dtype(dtype).kind not in "iu" or np.dtype(dtype).itemsize < 4:
        raise ValueError(f"out has shape {tuple(out.shape)} and dtype {dtype}: give integers of 32 or 64 bits of shape {tuple(shape)}")
    return out


def stitch(look: Look, labels: Canvas, places: Sequence[Place], rim: Sequence[int], progress: Progress = silent) -> None:
    """Write the cells of all blocks, whole and numbered 1..n in the order of their first pixels.

    Args:
        look: gives the labels of a place, 0 = background; is asked for every block with its rim.
        labels: ([Z,] Y, X), receives them; what was there is lost.
        places: the blocks, which cover all of it.
        rim: pixels along each axis; at least the size of a cell.
        progress: wraps the blocks, e.g. to draw a bar.
    """
    for place in places:
        labels[place] = 0
    grid, book = _Grid.of(places, rim, labels.shape), _Book(np.array([-1]), np.array([0]), np.zeros((0, 2), np.int64))
    for number in progress(range(len(places)), "segmenting"):
        book = _enter(grid, number, look(grid.sight(number)), out=labels, book=book)
    numbers = book.numbers()
    for place in places:
        labels[place] = numbers[np.asarray(labels[place])]


@dataclass(frozen=True, eq=False)
class _Grid:
    """The blocks, and the sights: each block with its rim.

    Args:
        low: (n, d) first pixel of each block.
        high: (n, d) first pixel after each block.
        first: (n, d) first pixel of each sight.
        stop: (n, d) first pixel after each sight.
        shape: (d,) sides of the picture.
    """

    low: IntArray
    high: IntArray
    first: IntArray
    stop: IntArray
    shape: IntArray

    @classmethod
    def of(cls, places: Sequence[Place], rim: Sequence[int], shape: Sequence[int]) -> "_Grid":
        low, high = (np.array([[getattr(p, end) for p in place] for place in places]) for end in ("start", "stop"))
        return cls(low, high, np.maximum(low - np.array(rim), 0), np.minimum(high + np.array(rim), shape), np.array(shape))

    def sight(self, number: int) -> Place:
        return tuple(slice(int(a), int(b)) for a, b in zip(self.first[number], self.stop[number], strict=True))

    def earlier(self, number: int) -> dict[int, Place]:
        """The blocks that have spoken and see some of what this one sees, and where in this one's sight that is."""
        low = np.maximum(self.first[:number], self.first[number]) - self.first[number]
        high = np.minimum(self.stop[:number], self.stop[number]) - self.first[number]
        found = np.flatnonzero((low < high).all(1))
        return {int(k): tuple(slice(int(a), int(b)) for a, b in zip(low[k], high[k], strict=True)) for k in found}


@dataclass(frozen=True, eq=False)
class _Book:
    """All cells entered so far; row 0 is the background.

    Args:
        first: (n + 1,) place of the cell's first pixel in the flat picture.
        whole: (n + 1,) the row of which this one is a part, or itself.
        partial: (m, 2) row of a whole cell of which only a part was seen, and the block that saw it.
    """

    first: IntArray
    whole: IntArray
    partial: IntArray

    def numbers(self) -> IntArray:
        """The final number of every row, in the order of first pixels; parts have the number of the whole."""
        first = np.full(len(self.first), np.iinfo(np.int64).max)
        np.minimum.at(first, self.whole, self.first)
        kept = np.unique(self.whole)
        numbers = np.zeros(len(first), np.int32)
        numbers[kept[np.argsort(first[kept], kind="stable")]] = np.arange(len(kept))
        return numbers[self.whole]


def _enter(grid: _Grid, number: int, seen: IntArray, *, out: Canvas, book: _Book) -> _Book:
    """Write into the labels what this block is to say: cells that are not there yet, and what is missing of parts."""
    sight, earlier = grid.sight(number), grid.earlier(number)
    partial, mine, missed = _standing(grid, number, seen, earlier)
    written = book.whole[np.asarray(out[sight])]
    row, whole = _joined(seen, written, len(partial), earlier=earlier, book=book)
    written = whole[written]
    size = np.bincount(seen.ravel(), minlength=len(partial))
    taken = np.bincount(seen[written > 0], minlength=len(partial))
    new = np.flatnonzero((row == 0) & (2 * taken <= size) & (size > 0) & (mine | missed & ~partial))
    row[new] = len(whole) + np.arange(len(new))
    whole = np.concatenate([whole, row[new]])
    free = (written == 0) & (row[seen] > 0)
    first = np.concatenate([book.first, np.full(len(new), np.iinfo(np.int64).max)])
    if free.any():
        out[sight] = np.where(free, row[seen], written)
        corner = [part.start for part in sight]
        pixels = tuple(at + start for at, start in zip(np.nonzero(free), corner, strict=True))
        np.minimum.at(first, row[seen[free]], np.ravel_multi_index(pixels, tuple(grid.shape)))
    cells = np.flatnonzero((row > 0) & partial)
    notes = np.stack([row[cells], np.full(len(cells), number)], 1)
    return _Book(first, whole, np.concatenate([np.stack([whole[book.partial[:, 0]], book.partial[:, 1]], 1), notes]))


def _standing(grid: _Grid, number: int, seen: IntArray, earlier: Iterable[int]) -> tuple[BoolArray, BoolArray, BoolArray]:
    """Say of every cell (n + 1,): it goes on beyond the sight; it is this block's to enter; or that of one that has spoken.

    A cell that is seen whole is entered by the block that holds the middle of its box, one that is not by all that hold some of it.
    """
    boxes = ndimage.find_objects(seen)
    present = np.flatnonzero([box is not None for box in boxes]) + 1
    low, high = (
        np.array([[getattr(p, end) for p in box] for box in boxes if box], np.int64).reshape(-1, seen.ndim) for end in ("start", "stop")
    )
    open_low, open_high = grid.first[number] > 0, grid.stop[number] < grid.shape
    middle = (low + high - 1) // 2 + grid.first[number]
    columns = np.zeros((3, len(boxes) + 1), bool)
    columns[0, present] = ((low == 0) & open_low | (high == seen.shape) & open_high).any(1)
    columns[1, present] = ((middle >= grid.low[number]) & (middle < grid.high[number])).all(1)
    inside = tuple(
        slice(int(a), int(b)) for a, b in zip(grid.low[number] - grid.first[number], grid.high[number] - grid.first[number], strict=True)
    )
    columns[1] = np.where(columns[0], np.bincount(seen[inside].ravel(), minlength=len(boxes) + 1) > 0, columns[1])
    for k in earlier:
        columns[2, present] |= ((middle >= grid.low[k]) & (middle < grid.high[k])).all(1)
    return columns[0], columns[1], columns[2]


def _joined(seen: IntArray, written: IntArray, cells: int, *, earlier: Mapping[int, Place], book: _Book) -> tuple[IntArray, IntArray]:
    """For every cell the row that it is the rest of, 0: none; and which rows are one cell, now that this block has looked.

    A cell is the rest of a row that an earlier block saw in part when within what both blocks see their IoU is above a half.
    """
    row: IntArray = np.zeros(cells, np.int64)
    whole = book.whole.copy()
    for k, zone in earlier.items():
        parts = book.partial[book.partial[:, 1] == k, 0]
        if not len(parts):
            continue
        here = seen[zone].ravel()
        rows, there = np.unique(written[zone], return_inverse=True)
        there = there.ravel()
        pairs, shared = np.unique((here * len(rows) + there)[(here > 0) & (rows[there] > 0)], return_counts=True)
        cell, other = np.divmod(pairs, len(rows))
        union = np.bincount(here, minlength=cells)[cell] + np.bincount(there)[other] - shared
        agreed = np.isin(rows[other], parts) & (2 * shared > union)  # an IoU above a half: at most one for each
        for c, o in zip(cell[agreed], rows[other[agreed]], strict=True):  # few: cells larger than the overlap
            if row[c]:
                whole[whole == row[c]] = whole[o]
            row[c] = whole[o]
            row = whole[row]
    return row, whole
