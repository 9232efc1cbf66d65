"""Patches: small pieces of views, mostly where there is something to see, turned and mirrored at random."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from restoration.scales import Scale
from restoration.views import View, Views
from segmentation.arrays import BoolArray, FloatArray, IntArray

BRIGHT = 0.4  # share of the 99.9th percentile that something near must exceed, after Weigert et al. 2018
Simulate = Callable[[View, np.random.Generator], View]


@dataclass(frozen=True)
class Feed:
    """How training batches are drawn.

    Args:
        count: patches per batch.
        side: side of a patch along y and x, pixels; along z the stack may be thinner. Cut to what fits the pictures and network.
        signal: share of patches that are drawn where the wanted picture has signal; the others lie anywhere, so that the network
            also learns what nothing looks like.
        keep: number of views kept in memory; of a longer film one is exchanged with every batch.
        seed: of all randomness of the training.
    """

    count: int = 16
    side: int = 64
    signal: float = 0.0
    keep: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.count, self.side, self.keep) < 1:
            raise ValueError(f"count is {self.count}, side {self.side} and keep {self.keep}: give integers of at least 1")
        if not 0 <= self.signal <= 1:
            raise ValueError(f"signal is {self.signal}: give a share in 0..1")


FEED = Feed()


@dataclass(frozen=True, eq=False)
class Scaled:
    """One view in memory.

    Args:
        shown: (C, [Z,] Y, X).
        wanted: (K, [Z,] Y, X).
        good: first corners of patches with signal, as flat indices; empty where there is none.
    """

    shown: FloatArray
    wanted: FloatArray
    good: IntArray


@dataclass(eq=False)
class Shelf:
    """The views in memory, scaled; of more than fit, one is exchanged for another each time `turn` is called.

    Args:
        views: all of them.
        scale: brings shown and wanted pictures to a common range.
        size: of the patches that will be cut, pixels.
        feed: gives `keep` and `signal`.
        rng: source of randomness.
        simulate: changes a view each time it is read, for example to a lower dose; None: as it is.
    """

    views: Views
    scale: Scale
    size: Sequence[int]
    feed: Feed
    rng: np.random.Generator
    simulate: Simulate | None = None
    _held: dict[int, Scaled] = field(default_factory=dict, repr=False)
    _order: list[int] = field(default_factory=list, repr=False)

    def draw(self) -> Scaled:
        """One view at random of those in memory."""
        if len(self.views) <= self.feed.keep:
            row = int(self.rng.integers(len(self.views)))
            if row not in self._held:
                self._held[row] = self._read(row)
            return self._held[row]
        while len(self._held) < self.feed.keep:
            self._take()
        return self._held[list(self._held)[int(self.rng.integers(len(self._held)))]]

    def turn(self) -> None:
        """Drop the view that was held longest, where there are more than fit or each reading differs."""
        if self._held and (len(self.views) > self.feed.keep or self.simulate is not None):
            del self._held[next(iter(self._held))]

    def _take(self) -> None:
        if not self._order:
            self._order = [int(row) for row in self.rng.permutation(len(self.views))]
        row = self._order.pop()
        if row not in self._held:
            self._held[row] = self._read(row)

    def _read(self, row: int) -> Scaled:
        shown, wanted = self.views[row]
        if self.simulate is not None:
            shown, wanted = self.simulate((shown, wanted), self.rng)
        shown, wanted = self.scale.pair(shown, wanted, self.rng)
        if min(length - n for length, n in zip(shown.shape[1:], self.size, strict=True)) < 0:
            raise ValueError(
                f"view {row} has a picture of shape {shown.shape[1:]}, smaller than the patches, {tuple(self.size)}: give a smaller side"
            )
        good = np.flatnonzero(signal_places(wanted, self.size)) if self.feed.signal else np.empty(0, int)
        return Scaled(shown, wanted, good)


def patches(
    views: Views,
    scale: Scale,
    feed: Feed,
    *,
    divisors: Sequence[int],
    simulate: Simulate | None = None,
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Give batches of patches without end.

    Args:
        views: where from.
        scale: brings them to a common range.
        feed: how to draw.
        divisors: numbers of pixels that the sides of a patch must be multiples of, per spatial axis.
        simulate: changes a view each time it is read.

    Yields:
        Shown (count, C, [Z,] Y, X) and wanted (count, K, [Z,] Y, X), float32.
    """
    rng = np.random.default_rng(feed.seed)
    size = patch_size(views[0][0].shape[1:], feed.side, divisors)
    shelf = Shelf(views, scale, size, feed, rng, simulate)
    while True:
        pairs = [_cut(shelf.draw(), size, feed.signal, rng) for _ in range(feed.count)]
        shelf.turn()
        yield np.stack([shown for shown, _ in pairs]), np.stack([wanted for _, wanted in pairs])


def patch_size(shape: Sequence[int], side: int, divisors: Sequence[int]) -> tuple[int, ...]:
    """The largest patch of at most this side that fits a picture and the network.

    Args:
        shape: of the picture, ([Z,] Y, X) pixels.
        side: wanted, pixels.
        divisors: the sides must be multiples of these.
    """
    size = tuple(min(side, n) // d * d for n, d in zip(shape, divisors, strict=True))
    plane = min(size[-2:])
    size = (*size[:-2], plane // divisors[-1] * divisors[-1], plane // divisors[-1] * divisors[-1])
    if min(size) < 1 or size[-1] % divisors[-2]:
        raise ValueError(
            f"a picture of shape {tuple(shape)} is too small for patches of side {side}: this network needs at least {tuple(divisors)}; "
            "give larger pictures or patches or a network of less depth"
        )
    return size


def signal_places(wanted: FloatArray, size: Sequence[int]) -> BoolArray:
    """Where a patch can begin so that something bright lies near its middle; see Weigert et al. 2018.

    Args:
        wanted: (K, [Z,] Y, X).
        size: of the patch, pixels.

    Returns:
        bool, one for each possible first corner.
    """
    bright = wanted.max(axis=0)
    level = BRIGHT * float(np.percentile(bright, 99.9)) + (1 - BRIGHT) * float(np.percentile(bright, 2))
    near = ndimage.maximum_filter(bright, [max(1, n // 2) for n in size]) > level
    middle = tuple(slice(n // 2, length - n + n // 2 + 1) for n, length in zip(size, bright.shape, strict=True))
    return np.asarray(near[middle])


def _cut(view: Scaled, size: Sequence[int], signal: float, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """One patch of a view, the same place and turn for both."""
    room = [length - n + 1 for length, n in zip(view.shown.shape[1:], size, strict=True)]
    bright = rng.random() < signal and len(view.good) > 0
    corner = np.unravel_index(int(rng.choice(view.good)), room) if bright else [rng.integers(free) for free in room]
    place = (slice(None), *(slice(int(c), int(c) + n) for c, n in zip(corner, size, strict=True)))
    quarters, flip, over = int(rng.integers(4)), rng.random() < 0.5, rng.random() < 0.5
    shown, wanted = (turned(array[place], quarters=quarters, flip=flip, over=over) for array in (view.shown, view.wanted))
    return shown, wanted


def turned(picture: FloatArray, *, quarters: int, flip: bool, over: bool = False) -> FloatArray:
    """A picture turned in its plane, mirrored if asked, and stacks also upside down.

    Args:
        picture: (C, [Z,] Y, X).
        quarters: turns by 90 degrees.
        flip: mirror along y first.
        over: mirror along z, where there is one.
    """
    if flip:
        picture = picture[..., ::-1, :]
    if over and picture.ndim == 4:
        picture = picture[:, ::-1]
    return np.ascontiguousarray(np.rot90(picture, quarters, (-2, -1)))


def turned_back(picture: FloatArray, *, quarters: int, flip: bool) -> FloatArray:
    """Undo `turned`.

    Args:
        picture: (C, [Z,] Y, X).
        quarters: as it was turned.
        flip: as it was mirrored.
    """
    back = np.rot90(picture, -quarters, (-2, -1))
    return np.ascontiguousarray(back[..., ::-1, :] if flip else back)
