"""Cells of pictures that are larger than memory, whole and numbered once, as if seen in one piece (needs torch).

The picture is divided into blocks; each is decoded together with a rim (`overlap`) of its neighbours, so that every cell is seen
whole by the block that holds its middle, and that block says what it looks like. Only a cell larger than the rim may be seen in
parts; parts are joined where two blocks agree about the pixels that both of them see.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy import ndimage
from torch import nn

from segmentation.allocation import keep_memory
from segmentation.arrays import AnyArray, BoolArray, FloatArray, IntArray
from segmentation.decoders.interface import Decoder
from segmentation.fit import Progress, pick_device, silent
from segmentation.normalise import Percentiles, Picture, Range
from segmentation.tiles import TILE, Canvas, Place, TileSize, around, ask, cut
from segmentation.unet import UNet

OVERLAP = 96  # pixels; the largest nuclei and most cells under a microscope are smaller


class Model(Protocol):
    """What is needed of a `Segmenter`."""

    @property
    def network(self) -> UNet:
        """Says something of every pixel."""

    @property
    def normalise(self) -> Percentiles:
        """Brings the brightness of the whole picture to a common range."""

    @property
    def decoder(self) -> Decoder:
        """Turns what the network says into cells."""

    @property
    def device(self) -> str:
        """Where the network computes."""


def segment(
    model: Model,
    picture: Picture,
    out: Canvas | None = None,
    *,
    overlap: int = OVERLAP,
    tile: TileSize = TILE,
    progress: Progress = silent,
) -> Any:  # noqa: ANN401 (an array, or `out`)
    """Find the cells of a picture that may be larger than memory.

    The result is that of the picture in one piece wherever cells, and heaps of cells that touch, are smaller than the overlap.

    Args:
        model: a `Segmenter`.
        picture: ([Z,] Y, X), or (C, [Z,] Y, X) when the network takes several channels; an array or anything that is sliced like
            one (memory map, zarr); read block by block, not altered.
        out: receives the labels, ([Z,] Y, X), an integer array of 32 or 64 bits or anything that is assigned to like one.
        overlap: how far blocks look beyond their sides, pixels; at least the largest cell.
        tile: largest side of a block without overlap and halo, pixels; see `segmentation.tiles.plan`.
        progress: wraps the blocks, e.g. to draw a bar; silent by default.

    Returns:
        int32 labels ([Z,] Y, X), or `out` where it was given: 0 background, cells 1..n in the order of their first pixels
        whatever the blocks were; class numbers where the decoder gives classes.
    """
    config = model.network.config
    channels = [picture] if len(picture.shape) == config.dims else [_Channel(picture, c) for c in range(picture.shape[0])]
    shape = tuple(picture.shape[-config.dims :])
    if len(picture.shape) not in (config.dims, config.dims + 1) or len(channels) != config.inputs:
        raise ValueError(f"picture has shape {picture.shape}: the network wants {config.inputs} channel(s) and {config.dims} spatial axes")
    if overlap < 0:
        raise ValueError(f"overlap is {overlap}: give at least 0 pixels, better the size of the largest cell")
    labels = np.zeros(shape, np.int32) if out is None else _checked(out, shape)
    if 0 in shape:
        return labels
    ranges = [model.normalise.over(channel) for channel in channels]
    rim = [-(-overlap // divisor) * divisor for divisor in config.divisors]
    places = list(cut(shape, tile, config, more=max(rim)))
    if all(of.top <= of.bottom for of in ranges):  # nothing to see
        for place in places:
            labels[place] = 0
        return labels
    look = _Look(model, picture, ranges)
    if getattr(model.decoder, "labels_are", "cells") == "classes":  # a pixel's class depends on nothing else
        for place in progress(places, "segmenting"):
            labels[place] = look(place)
        return labels
    for place in places:
        labels[place] = 0
    grid, book = _Grid.of(places, rim, shape), _Book(np.array([-1]), np.array([0]), np.zeros((0, 2), np.int64))
    for number in progress(range(len(places)), "segmenting"):
        book = _enter(grid, number, look(grid.sight(number)), out=labels, book=book)
    numbers = book.numbers()
    for place in places:
        labels[place] = numbers[np.asarray(labels[place])]
    return labels


@dataclass(frozen=True, eq=False)
class _Channel:
    """One channel of a picture; nothing is read before it is sliced."""

    picture: Picture
    channel: int

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.picture.shape[1:])

    def __getitem__(self, place: Any, /) -> Any:  # noqa: ANN401 (what libraries return)
        return self.picture[(self.channel, *place)]


def _checked(out: Canvas, shape: Sequence[int]) -> Canvas:
    """Labels that can be written to, refused when they do not fit."""
    dtype = getattr(out, "dtype", np.dtype(np.int32))
    if tuple(out.shape) != tuple(shape) or np.dtype(dtype).kind not in "iu" or np.dtype(dtype).itemsize < 4:
        raise ValueError(f"out has shape {tuple(out.shape)} and dtype {dtype}: give integers of 32 or 64 bits of shape {tuple(shape)}")
    return out


class _Look:
    """The decoder's cells at a place of the picture."""

    def __init__(self, model: Model, picture: Picture, ranges: Sequence[Range]) -> None:
        keep_memory()
        self.model, self.picture, self.ranges = model, picture, ranges
        self.where = pick_device(model.device)
        network: nn.Module = model.network
        network.to(self.where).eval()

    def __call__(self, place: Place) -> IntArray:
        shape = self.picture.shape[-len(place) :]
        part = around(place, shape, self.model.network.config)
        answers = ask(self.model.network, self.picture, part, where=self.where, normalise=self._normalised)
        return self.model.decoder(self.model.decoder.read(answers))

    def _normalised(self, values: AnyArray) -> FloatArray:
        return np.stack([of(channel) for of, channel in zip(self.ranges, values, strict=True)])


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
