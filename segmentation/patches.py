"""Pictures with their labels, from memory or read lazily from folders, and random patches of them."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile

from segmentation.arrays import AnyArray, FloatArray, IntArray
from segmentation.augment import Shade, Warp

Pair = tuple[AnyArray, IntArray]

SILVER_RIM = 25  # pixels: silver masks of the Cell Tracking Challenge leave out the cells at the rim


@dataclass(frozen=True)
class Files(Sequence[Pair]):
    """Pictures and label pictures on disk; a pair is read each time it is asked for.

    Args:
        images: TIFF files of pictures.
        labels: TIFF files of labels, in the same order.
        rim: width in pixels of the outer frame in which "no label" means "unknown" (-1).
    """

    images: tuple[Path, ...]
    labels: tuple[Path, ...]
    rim: int = 0

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise ValueError(f"{len(self.images)} images but {len(self.labels)} label files: give one for each")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Pair:  # type: ignore[override]
        """Read one pair: picture and int32 labels, both ([Z,] Y, X)."""
        image, labels = tifffile.imread(self.images[index]), tifffile.imread(self.labels[index])
        if image.shape != labels.shape:
            raise ValueError(
                f"{self.images[index]} has shape {image.shape} but {self.labels[index]} has {labels.shape}: "
                "picture and labels must have one shape"
            )
        return image, unknown_rim(labels.astype(np.int32), self.rim)

    def only(self, rows: Sequence[int]) -> "Files":
        """Give the pairs of these rows.

        Args:
            rows: row numbers.
        """
        return Files(tuple(self.images[i] for i in rows), tuple(self.labels[i] for i in rows), self.rim)


def find_pairs(folder: str | Path, *, rim: int | None = None) -> Files:
    """Find the pictures with labels in a folder.

    Args:
        folder: holds `images/` and `labels/` with equal file names; or is the sequence `NN` of a Cell Tracking
            Challenge data set, beside which lies `NN_ST/SEG` (preferred: complete) or `NN_GT/SEG`.
        rim: see `Files`; by default 25 pixels for silver truth (`NN_ST`), otherwise 0.
    """
    folder = Path(folder)
    if (folder / "images").is_dir() and (folder / "labels").is_dir():
        images = {p.stem: p for p in _tiffs(folder / "images")}
        labels = {p.stem: p for p in _tiffs(folder / "labels")}
        names = sorted(images.keys() & labels.keys())
        width = 0
    else:
        truth = next((t for k in ("ST", "GT") if (t := folder.with_name(f"{folder.name}_{k}") / "SEG").is_dir()), None)
        if not folder.is_dir() or truth is None:
            raise ValueError(
                f"{folder} has no labelled pictures: give a folder with images/ and labels/, "
                "or a sequence NN beside which lies NN_ST/SEG or NN_GT/SEG"
            )
        images = {p.stem.removeprefix("t"): p for p in _tiffs(folder)}
        labels = {p.stem.removeprefix("man_seg"): p for p in _tiffs(truth)}
        names = sorted(images.keys() & labels.keys())
        width = SILVER_RIM if truth.parent.name.endswith("_ST") else 0
    if not names:
        raise ValueError(f"{folder} has no picture whose label file has the same name: give at least one pair")
    chosen = width if rim is None else rim
    return Files(tuple(images[n] for n in names), tuple(labels[n] for n in names), chosen)


def unknown_rim(labels: IntArray, rim: int) -> IntArray:
    """Mark the unlabelled pixels of the outer frame as unknown (-1).

    Args:
        labels: ([Z,] Y, X); not altered.
        rim: width of the frame in the last two axes, pixels.
    """
    if rim <= 0:
        return labels
    inner = np.zeros(labels.shape, bool)
    inner[..., rim : labels.shape[-2] - rim, rim : labels.shape[-1] - rim] = True
    return np.where((labels == 0) & ~inner, -1, labels)


@dataclass(frozen=True)
class Feed:
    """How training batches are drawn.

    Args:
        count: patches per batch.
        side: side of a patch, pixels; a multiple of the network's divisor.
        weights: how often each source is drawn relative to the others; default equally, whatever its size.
        foreground: share of patches centred on a cell.
        warp: random change of shape.
        shade: random change of brightness.
        keep: number of normalised pictures kept in memory.
        seed: of all randomness of the training.
    """

    count: int = 10
    side: int = 160
    weights: tuple[float, ...] | None = None
    foreground: float = 0.8
    warp: Warp = field(default_factory=Warp)
    shade: Shade = field(default_factory=Shade)
    keep: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 1 or self.side < 1 or self.keep < 1:
            raise ValueError(f"count is {self.count}, side {self.side} and keep {self.keep}: give integers of at least 1")


FEED = Feed()


@dataclass(frozen=True, eq=False)
class Sampler:
    """Draws places to learn from: first a source, then a picture, then a pixel, mostly of a cell.

    Args:
        sources: collections of pairs.
        normalise: whole picture -> normalised picture.
        feed: gives `weights`, `foreground` and `keep`.
    """

    sources: Sequence[Sequence[Pair]]
    normalise: Callable[[AnyArray], FloatArray]
    feed: Feed = FEED
    _cache: OrderedDict[tuple[int, int], Pair] = field(default_factory=OrderedDict, repr=False)

    def __post_init__(self) -> None:
        if not self.sources or not all(len(s) for s in self.sources):
            raise ValueError(f"sources have {[len(s) for s in self.sources]} pairs: give at least one, none empty")
        weights, n = self.feed.weights, len(self.sources)
        if weights is not None and (len(weights) != n or min(weights) < 0 or not sum(weights) > 0):
            raise ValueError(f"weights are {tuple(weights)}: give one of at least 0 for each of {n} sources")

    def __call__(self, rng: np.random.Generator) -> tuple[FloatArray, IntArray, tuple[int, ...]]:
        """Draw a normalised picture, its labels and the pixel to look at.

        Args:
            rng: source of randomness.
        """
        shares = np.asarray(self.feed.weights or np.ones(len(self.sources)), float)
        source = int(rng.choice(len(self.sources), p=shares / shares.sum()))
        image, labels = self._pair(source, int(rng.integers(len(self.sources[source]))))
        cells = np.flatnonzero(labels > 0) if rng.random() < self.feed.foreground else np.empty(0, int)
        place = int(rng.choice(cells)) if len(cells) else int(rng.integers(labels.size))
        return image, labels, tuple(int(i) for i in np.unravel_index(place, labels.shape))

    def _pair(self, source: int, row: int) -> Pair:
        key = (source, row)
        if key not in self._cache:
            image, labels = self.sources[source][row]
            check_pair(image, labels, where=f"pair {row} of source {source}")
            while len(self._cache) >= self.feed.keep:
                self._cache.popitem(last=False)
            self._cache[key] = (self.normalise(image), labels)
        return self._cache[key]


def check_pair(image: AnyArray, labels: IntArray, *, where: str) -> None:
    """Refuse a picture and labels that do not belong together.

    Args:
        image: ([Z,] Y, X).
        labels: ([Z,] Y, X) integers.
        where: which pair it is, for the message.
    """
    if image.shape != labels.shape or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"{where} has an image of shape {image.shape} and {labels.dtype} labels of shape {labels.shape}: "
            "give integer labels of the shape of the image"
        )


def batches(
    sampler: Sampler,
    to_targets: Callable[[IntArray], FloatArray],
    feed: Feed = FEED,
    *,
    dims: int = 2,
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Give batches of augmented patches without end.

    Args:
        sampler: where to look.
        to_targets: labels ([Z,] Y, X) -> targets (c, [Z,] Y, X).
        feed: how to draw and change the patches.
        dims: number of spatial axes.

    Yields:
        Pictures (count, 1, [Z,] Y, X) and targets (count, c, [Z,] Y, X), float32.
    """
    rng = np.random.default_rng(feed.seed)
    size = (feed.side,) * dims
    while True:
        pictures, wanted = [], []
        for _ in range(feed.count):
            image, labels, centre = sampler(rng)
            patch, truth = feed.warp((image, labels), (1, 0), centre=centre, size=size, rng=rng)
            pictures.append(feed.shade(patch, rng)[None])
            wanted.append(to_targets(truth))
        yield np.stack(pictures), np.stack(wanted)


def _tiffs(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in (".tif", ".tiff"))
