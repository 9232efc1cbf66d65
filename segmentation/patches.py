"""Random patches of labelled pictures, batch by batch: batch k is made from the seed and k alone."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from skimage.measure import label

from segmentation.arrays import AnyArray, FloatArray, IntArray
from segmentation.augment import Shade, Warp, look
from segmentation.sources import Files, Film, Pair, find_pairs, unknown_rim

__all__ = [
    "FEED",
    "Batches",
    "Feed",
    "Files",
    "Film",
    "Pair",
    "Sampler",
    "apart",
    "batches",
    "check_pair",
    "find_pairs",
    "place_of",
    "unknown_rim",
]

SIDE = {2: 160, 3: 48}  # of a patch, pixels, by the number of axes


@dataclass(frozen=True)
class Feed:
    """How training batches are drawn.

    Args:
        count: patches per batch.
        side: side of a patch, pixels; one for all axes or one for each ([z,] y, x); multiples of the network's divisors.
            None: 160 in two dimensions, 48 in three.
        weights: how often each source is drawn relative to the others; default equally, whatever its size.
        foreground: share of patches centred on a cell.
        warp: random change of shape.
        shade: random change of brightness.
        keep: number of normalised pictures kept in memory.
        seed: of all randomness of the training.
        memory: most memory that the kept pictures may take, megabytes; one is kept in any case.
    """

    count: int = 10
    side: int | tuple[int, ...] | None = None
    weights: tuple[float, ...] | None = None
    foreground: float = 0.8
    warp: Warp = field(default_factory=Warp)
    shade: Shade = field(default_factory=Shade)
    keep: int = 1000
    seed: int = 0
    memory: int = 2048

    def __post_init__(self) -> None:
        if isinstance(self.side, Sequence):
            object.__setattr__(self, "side", tuple(int(n) for n in self.side))  # a list when it comes from a file
        sides = self.side if isinstance(self.side, tuple) else (1 if self.side is None else self.side,)
        if min(self.count, self.keep, self.memory, *sides) < 1:
            raise ValueError(
                f"count is {self.count}, side {self.side}, keep {self.keep} and memory {self.memory}: give integers of at least 1"
            )
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}: give a whole number of at least 0")
        if not all(0 <= weight < np.inf for weight in self.weights or ()):
            raise ValueError(f"weights are {tuple(self.weights or ())}: give finite numbers of at least 0")
        if not 0 <= self.foreground <= 1:
            raise ValueError(f"foreground is {self.foreground}: give a share in 0..1")

    def size(self, dims: int) -> tuple[int, ...]:
        """Shape of a patch ([z,] y, x), pixels.

        Args:
            dims: number of spatial axes.
        """
        side = SIDE[dims] if self.side is None else self.side
        size = (side,) * dims if isinstance(side, int) else side
        if len(size) != dims:
            raise ValueError(f"side is {self.side}: give one number, or one for each of {dims} axes")
        return size


FEED = Feed()


@dataclass(frozen=True, eq=False)
class Sampler:
    """Draws places to learn from: first a source, then a picture, then a pixel, mostly of a cell.

    Args:
        sources: collections of pairs.
        normalise: whole picture, of one channel -> normalised picture.
        feed: gives `weights`, `foreground`, `keep` and `memory`.
        channels: how many channels a picture has; with more than one, pictures are (C, [Z,] Y, X).
        check: refuses labels that cannot be learned from.
    """

    sources: Sequence[Sequence[Pair]]
    normalise: Callable[[AnyArray], FloatArray]
    feed: Feed = FEED
    channels: int = 1
    check: Callable[[IntArray], object] | None = None
    _cache: OrderedDict[tuple[int, int], Pair] = field(default_factory=OrderedDict, repr=False)
    _empty: set[tuple[int, int]] = field(default_factory=set, repr=False)
    _found: list[tuple[int, int]] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        if any(isinstance(source, tuple) for source in self.sources):
            raise ValueError("sources are pairs of pictures and labels, but must be collections of such pairs: give [pairs]")
        if not self.sources or not all(len(s) for s in self.sources):
            raise ValueError(f"sources have {[len(s) for s in self.sources]} pairs: give at least one, none empty")
        weights, n = self.feed.weights, len(self.sources)
        if weights is not None and (len(weights) != n or min(weights) < 0 or not sum(weights) > 0):
            raise ValueError(f"weights are {tuple(weights)}: give one of at least 0 for each of {n} sources")

    def __call__(self, rng: np.random.Generator) -> tuple[FloatArray, IntArray, tuple[int, ...]]:
        """Draw a normalised picture, its labels and the pixel to look at.

        Args:
            rng: source of randomness.

        Raises:
            ValueError: a picture and its labels do not fit; or all pictures have been seen, and none has a cell.
        """
        shares = np.asarray(self.feed.weights or np.ones(len(self.sources)), float)
        source = int(rng.choice(len(self.sources), p=shares / shares.sum()))
        image, labels = self._pair(source, int(rng.integers(len(self.sources[source]))))
        cells = np.flatnonzero(labels > 0) if rng.random() < self.feed.foreground else np.empty(0, int)
        place = int(rng.choice(cells)) if len(cells) else int(rng.integers(labels.size))
        return image, labels, tuple(int(i) for i in np.unravel_index(place, labels.shape))

    def check_found(self) -> None:
        """Refuse to have learned from pictures of which none has a cell.

        Raises:
            ValueError: pictures were drawn, and no label was above 0.
        """
        if self._empty and not self._found:
            raise ValueError(f"none of the {len(self._empty)} label pictures that were drawn has a cell: give some with numbers above 0")

    def _pair(self, source: int, row: int) -> Pair:
        key = (source, row)
        if key not in self._cache:
            where = place_of(self.sources[source], row, f"pair {row} of source {source}")
            try:
                image, labels = self.sources[source][row]
            except IndexError:
                raise ValueError(f"{where} is not there, though the source says that it has {len(self.sources[source])}") from None
            image = check_pair(image, labels, where=where, channels=self.channels, check=self.check)
            self._make_room(image.size * 4 + labels.nbytes)
            self._cache[key] = (self._normalised(image, where), labels)
            if (labels > 0).any():
                self._found.append(key)
            else:
                self._empty.add(key)
                if len(self._empty) == sum(len(s) for s in self.sources):
                    raise ValueError(f"none of the {len(self._empty)} label pictures has a cell: give at least one with a number above 0")
        return self._cache[key]

    def _normalised(self, image: AnyArray, where: str) -> FloatArray:
        """Bring each channel to its range."""
        try:
            return np.stack([self.normalise(c) for c in image]) if self.channels > 1 else self.normalise(image)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None

    def _make_room(self, size: int) -> None:
        """Forget the oldest pictures until one of this many bytes may be kept."""
        held = sum(image.nbytes + labels.nbytes for image, labels in self._cache.values())
        while self._cache and (len(self._cache) >= self.feed.keep or held + size > self.feed.memory * 2**20):
            image, labels = self._cache.popitem(last=False)[1]
            held -= image.nbytes + labels.nbytes


def place_of(source: Sequence[Pair], row: int, otherwise: str) -> str:
    """Where a pair is, for messages: its file or frame where the collection knows, see `Files.place`."""
    return str(source.place(row)) if hasattr(source, "place") else otherwise


def check_pair(
    image: AnyArray, labels: IntArray, *, where: str, channels: int = 1, check: Callable[[IntArray], object] | None = None
) -> AnyArray:
    """Refuse a picture and labels that do not belong together.

    Args:
        image: ([Z,] Y, X), or (C, [Z,] Y, X).
        labels: ([Z,] Y, X) integers.
        where: which pair it is, for the message.
        channels: how many channels the picture must have.
        check: refuses further labels.

    Returns:
        The picture: ([Z,] Y, X) where it must have one channel, else (C, [Z,] Y, X).
    """
    image, labels = np.asarray(image), np.asarray(labels)
    if not labels.size:
        raise ValueError(f"{where} has no pixels, its shape is {labels.shape}: give pictures of at least one pixel")
    spatial = image.shape[-labels.ndim :]
    if spatial != labels.shape or image.ndim > labels.ndim + 1 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"{where} has an image of shape {image.shape} and {labels.dtype} labels of shape {labels.shape}: "
            "give integer labels of the shape of the image"
        )
    found = image.shape[0] if image.ndim > labels.ndim else 1
    if found != channels:
        raise ValueError(f"{where} has {found} channel(s), its image has shape {image.shape}: the network takes {channels}")
    if check is not None:
        try:
            check(labels)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
    return image.reshape(labels.shape) if channels == 1 else image


@dataclass(eq=False)
class Batches(Iterator[tuple[FloatArray, FloatArray]]):
    """Augmented patches without end: pictures (count, C, [Z,] Y, X) and targets (count, c, [Z,] Y, X), float32.

    Args:
        sampler: where to look.
        to_targets: labels ([Z,] Y, X) -> targets (c, [Z,] Y, X).
        feed: how to draw and change the patches.
        dims: number of spatial axes.
        drawn: number of the next batch; a batch depends on nothing but the seed and its number.
        classes: labels are class numbers, which mirror images share, not cell numbers.
    """

    sampler: Sampler
    to_targets: Callable[[IntArray], FloatArray]
    feed: Feed = FEED
    dims: int = 2
    drawn: int = 0
    classes: bool = False

    def __next__(self) -> tuple[FloatArray, FloatArray]:
        """Make the next batch."""
        rng = np.random.default_rng([self.feed.seed, self.drawn])
        size = self.feed.size(self.dims)
        pairs = [self._patch(size, rng) for _ in range(self.feed.count)]
        self.drawn += 1
        return np.stack([picture for picture, _ in pairs]), np.stack([wanted for _, wanted in pairs])

    @property
    def recipe(self) -> dict[str, Any]:
        """What the batches depend on, by name; a training that is resumed must find it again."""
        settings = {name: value for name, value in asdict(self.feed).items() if name not in ("keep", "memory")}  # which change no batch
        return settings | {"pictures": [len(source) for source in self.sampler.sources]}

    def skip(self, count: int) -> None:
        """Leave out so many batches; a training that is resumed begins where it ended.

        Args:
            count: number of batches.
        """
        self.drawn += count

    def _patch(self, size: tuple[int, ...], rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """One picture (C, [Z,] Y, X) and its targets."""
        image, labels, centre = self.sampler(rng)
        if labels.ndim != self.dims:
            raise ValueError(f"labels have shape {labels.shape}: the network takes pictures of {self.dims} spatial axes")
        places = self.feed.warp.places(centre=centre, size=size, rng=rng)
        channels = image.reshape(-1, *labels.shape)
        picture = np.stack([self.feed.shade(look(channel, places, 1), rng) for channel in channels])
        truth = look(labels, places, 0)
        if not self.classes and any(p.min() < 0 or p.max() > n - 1 for p, n in zip(places, labels.shape, strict=True)):
            truth = apart(truth)
        return picture, self.to_targets(truth)


def batches(
    sampler: Sampler,
    to_targets: Callable[[IntArray], FloatArray],
    feed: Feed = FEED,
    *,
    dims: int = 2,
    classes: bool = False,
) -> Batches:
    """Give batches of augmented patches without end.

    Args:
        sampler: where to look.
        to_targets: labels ([Z,] Y, X) -> targets (c, [Z,] Y, X).
        feed: how to draw and change the patches.
        dims: number of spatial axes.
        classes: labels are class numbers, not cell numbers.

    Returns:
        An iterator of pictures (count, C, [Z,] Y, X) and targets (count, c, [Z,] Y, X), float32.
    """
    return Batches(sampler, to_targets, feed, dims, classes=classes)


def apart(labels: IntArray) -> IntArray:
    """Give each connected part a number of its own: a cell and its mirror image beyond the rim are two cells, unless they touch.

    Args:
        labels: ([Z,] Y, X); < 0 stays as it is.

    Returns:
        int32, same shape.
    """
    parts = label(np.maximum(labels, 0), background=0, connectivity=labels.ndim)
    return np.where(labels < 0, labels, parts).astype(np.int32)
