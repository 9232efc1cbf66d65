"""Labelled pictures, read when they are asked for: folders of TIFFs, Challenge sequences, stacks, zarr, arrays in memory."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from scipy import ndimage

from segmentation.arrays import AnyArray, IntArray
from segmentation.blocks import divided

Pair = tuple[AnyArray, IntArray]
Row = tuple[int, int]  # frame and block

SILVER_RIM = 25  # pixels: silver masks of the Cell Tracking Challenge leave out the cells at the rim
LARGE = 1 << 24  # pixels of a frame; larger ones are learned from in blocks
BLOCK = 1 << 21  # pixels of such a block, at most; small, for one is read for a patch or two
STACKS = (".tif", ".tiff", ".npy", ".zarr")


@dataclass(frozen=True)
class Files(Sequence[Pair]):
    """Pictures and label pictures on disk, one file each; a pair is read each time it is asked for.

    Args:
        images: TIFF files of pictures.
        labels: TIFF files of labels, in the same order.
        rim: width in pixels of the outer frame in which "no label" means "unknown" (-1).
        better: for each picture a TIFF file of labels that take the place of those they lie on (`laid_over`), or None; or empty.
        binary: what lies in any cell is 1: labels of two classes. Then they may be true or false, or 0 and 255.
    """

    images: tuple[Path, ...]
    labels: tuple[Path, ...]
    rim: int = 0
    better: tuple[Path | None, ...] = ()
    binary: bool = False

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise ValueError(f"{len(self.images)} images but {len(self.labels)} label files: give one for each")
        if len(self.better) not in (0, len(self.images)):
            raise ValueError(f"{len(self.images)} images but {len(self.better)} better label files: give one or None for each, or none")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Pair:  # type: ignore[override]
        """Read one pair: picture ([C,] [Z,] Y, X), channels first whatever the file has, and int32 labels ([Z,] Y, X)."""
        image, labels = _read(self.images[index]), _read(self.labels[index])
        if image.ndim == labels.ndim + 1 and image.shape[:-1] == labels.shape:  # colours last, as in photographs
            image = np.moveaxis(image, -1, 0)
        image = _without_channel(image, labels)
        if image.shape[-labels.ndim :] != labels.shape or image.ndim > labels.ndim + 1:
            raise ValueError(
                f"{self.images[index]} has shape {image.shape} but {self.labels[index]} has {labels.shape}: "
                "picture and labels must have one shape"
            )
        known = unknown_rim(whole_labels(labels, str(self.labels[index]), binary=self.binary), self.rim)
        path = self.better[index] if self.better else None
        if path is None:
            return image, known
        better = whole_labels(_read(path), str(path), binary=self.binary)
        if better.shape != known.shape:
            raise ValueError(f"{path} has shape {better.shape} but {self.labels[index]} has {known.shape}: both must have one shape")
        over = laid_over(known, better)
        return image, np.minimum(over, 1) if self.binary else over

    @property
    def names(self) -> tuple[str, ...]:
        """What each picture is called."""
        return tuple(path.stem for path in self.images)

    def place(self, row: int) -> str:
        """Where a picture is, for messages: its file."""
        return str(self.images[row])

    def only(self, rows: Sequence[int]) -> "Files":
        """Give the pairs of these rows.

        Args:
            rows: row numbers.
        """
        images, labels = (tuple(paths[i] for i in rows) for paths in (self.images, self.labels))
        return replace(self, images=images, labels=labels, better=tuple(self.better[i] for i in rows) if self.better else ())


@dataclass(frozen=True, eq=False)
class Film(Sequence[Pair]):
    """A labelled film in arrays of any library (NumPy, memmap, zarr, dask); a frame is read each time it is asked for.

    Frames of more than `LARGE` pixels are given in blocks of up to `BLOCK`, each a pair of its own, so that no frame need fit in memory.

    Args:
        images: (T, [C,] [Z,] Y, X).
        labels: (T, [Z,] Y, X), integers.
        rim: width in pixels of the outer frame in which "no label" means "unknown" (-1).
        frames: which frames to take, all by default.
        name: what to call it in messages.
        binary: see `Files`.
        rows: frame and block of each pair; by default those of `frames`, in order.
    """

    images: Any
    labels: Any
    rim: int = 0
    frames: tuple[int, ...] | None = None
    name: str = "film"
    binary: bool = False
    rows: tuple[Row, ...] | None = None

    def __post_init__(self) -> None:
        image, labels = tuple(self.images.shape), tuple(self.labels.shape)
        spatial = labels[1:]
        if len(spatial) not in (2, 3) or image[:1] != labels[:1] or image[-len(spatial) :] != spatial or len(image) > len(labels) + 1:
            raise ValueError(
                f"{self.name} has images of shape {image} and labels of shape {labels}: give (T, [C,] [Z,] Y, X) and (T, [Z,] Y, X)"
            )
        if self.rows is None:
            frames = range(labels[0]) if self.frames is None else self.frames
            object.__setattr__(self, "rows", tuple((t, k) for t in frames for k in range(len(self.blocks))))
        object.__setattr__(self, "frames", tuple(dict.fromkeys(t for t, _ in self.rows or ())))

    @cached_property
    def blocks(self) -> list[tuple[slice, ...]]:
        """The parts of a frame that are pairs: the whole of it, unless it is large."""
        spatial = tuple(self.labels.shape[1:])
        if math.prod(spatial) <= LARGE:
            return [tuple(slice(0, side) for side in spatial)]
        return list(divided(spatial, (0,) * len(spatial), pixels=BLOCK))

    def __len__(self) -> int:
        return len(self.rows or ())

    def __getitem__(self, index: int) -> Pair:  # type: ignore[override]
        """Read one pair: picture ([C,] [Z,] Y, X) and int32 labels ([Z,] Y, X) of a frame, or of a block of it."""
        t, k = (self.rows or ())[index]
        labels = self.labelled(index)
        return _without_channel(_part(self.images, t, self.blocks[k]), labels), labels

    def labelled(self, row: int) -> IntArray:
        """Read the labels of one pair alone.

        Args:
            row: row number.
        """
        t, k = (self.rows or ())[row]
        place = self.blocks[k]
        labels = whole_labels(_part(self.labels, t, place), self.place(row), binary=self.binary)
        return unknown_rim(labels, self.rim, place=place, sides=tuple(self.labels.shape[1:]))

    def place(self, row: int) -> str:
        """Where a picture is, for messages: the number of its frame, and of its block where it has several, and the film."""
        t, k = (self.rows or ())[row]
        return f"{f'block {k} of ' if len(self.blocks) > 1 else ''}frame {t} of {self.name}"

    @property
    def names(self) -> tuple[str, ...]:
        """The numbers of the frames, and of the blocks where they have several, as words."""
        several = len(self.blocks) > 1
        return tuple(f"{t:03}{f'-{k:03}' if several else ''}" for t, k in self.rows or ())

    def only(self, rows: Sequence[int]) -> "Film":
        """Give the pairs of these rows.

        Args:
            rows: row numbers.
        """
        return replace(self, rows=tuple((self.rows or ())[i] for i in rows))


def find_pairs(folder: str | Path, labels: str | Path | None = None, *, rim: int | None = None, gold: bool = False) -> Files | Film:
    """Find pictures with labels; nothing is read yet.

    Args:
        folder: one of these.
            A folder that holds `images` and `labels`: two folders of TIFFs with equal file names, or two stacks.
            The sequence `NN` of a Cell Tracking Challenge data set, beside which lies `NN_ST/SEG` (preferred: complete) or `NN_GT/SEG`.
            An OME-Zarr image with labels inside.
            With `labels`: a folder of TIFFs, or a stack: .tif, .npy or .zarr, (T, [C,] [Z,] Y, X).
        labels: where the labels are, when they are not found by the rules above; of the same kind as the pictures.
        rim: see `Files`; by default 25 pixels for silver truth (`NN_ST`), otherwise 0.
        gold: where a Challenge sequence has silver truth, lay the gold cells (`NN_GT/SEG`) of the frames that have some over it;
            see `laid_over`. By default silver truth stays as it is.

    Raises:
        ValueError: nothing there that could be learned from.
    """
    folder = Path(folder)
    if labels is not None:
        return _matched(folder, Path(labels), rim=rim or 0)
    if _is_zarr(folder) and (folder / "labels").is_dir():
        return Film(_zarr(folder), _zarr(_named_labels(folder)), rim or 0, name=str(folder))
    inside = [next(iter(_candidates(folder, name)), None) for name in ("images", "labels")]
    if inside[0] is not None and inside[1] is not None:
        return _matched(inside[0], inside[1], rim=rim or 0)
    truth = next((t for k in ("ST", "GT") if (t := folder.with_name(f"{folder.name}_{k}") / "SEG").is_dir()), None)
    if not folder.is_dir() or truth is None:
        raise ValueError(
            f"{folder} has no labelled pictures: give a folder with images/ and labels/, "
            "or a sequence NN beside which lies NN_ST/SEG or NN_GT/SEG"
        )
    silver = SILVER_RIM if truth.parent.name.endswith("_ST") else 0
    files = _same_names(folder, truth, rim=silver if rim is None else rim)
    drawn = folder.with_name(f"{folder.name}_GT") / "SEG"
    if not gold or not silver or not drawn.is_dir():
        return files
    return replace(files, better=tuple(p if (p := drawn / path.name).is_file() else None for path in files.labels))


def unknown_rim(labels: IntArray, rim: int, *, place: Sequence[slice] = (), sides: Sequence[int] = ()) -> IntArray:
    """Mark the unlabelled pixels of the outer frame as unknown (-1).

    Args:
        labels: ([Z,] Y, X); not altered.
        rim: width of the frame in the last two axes, pixels.
        place: where these labels lie in a picture that they are part of.
        sides: of that picture, pixels.
    """
    if rim <= 0:
        return labels
    corner, whole = [part.start for part in place] or [0] * labels.ndim, sides or labels.shape
    inner = np.zeros(labels.shape, bool)
    rows, columns = (slice(max(rim - corner[axis], 0), max(whole[axis] - rim - corner[axis], 0)) for axis in (-2, -1))
    inner[..., rows, columns] = True
    return np.where((labels == 0) & ~inner, -1, labels)


def laid_over(labels: IntArray, better: IntArray) -> IntArray:
    """Let better masks, drawn for some cells only, take the place of the masks that they lie on.

    A mask goes when more than half of it lies in better ones, or when it covers more than half of a better one; what is left of it
    is background in the first case and unknown (-1) in the second, for it may hold another cell that nobody drew. The others stay,
    but for the pixels that a better one takes.

    Args:
        labels: ([Z,] Y, X); > 0 cells, 0 background, < 0 unknown; not altered.
        better: same shape; cells > 0.

    Returns:
        int32, same shape; the better cells have numbers above all others.
    """
    drawn, top = better > 0, int(labels.max(initial=0))
    size = np.bincount(np.maximum(labels, 0).ravel(), minlength=top + 1)
    taken = np.bincount(labels[drawn & (labels > 0)], minlength=top + 1)
    cells, place = np.unique(better[drawn], return_inverse=True)
    pairs, shared = np.unique(place * (top + 1) + np.maximum(labels[drawn], 0), return_counts=True)
    covers = pairs[2 * shared > np.bincount(place, minlength=len(cells))[pairs // (top + 1)]] % (top + 1)
    after = np.arange(top + 1)
    after[covers] = -1
    after[2 * taken > size] = 0
    after[0] = 0
    kept = np.where(labels > 0, after[np.maximum(labels, 0)], labels)
    return np.where(drawn, better + top, kept).astype(np.int32)


def whole_labels(labels: AnyArray, where: str, *, binary: bool = False) -> IntArray:
    """Turn labels as they come from files into int32; numbers that are too large are renumbered.

    Args:
        labels: ([Z,] Y, X), of any real dtype; not altered.
        where: which labels they are, for the message.
        binary: whatever is above 0 becomes 1, and they may be true or false.

    Raises:
        ValueError: they are no whole numbers.
    """
    if labels.dtype == bool and binary:
        return labels.astype(np.int32)
    if labels.dtype == bool:
        raise ValueError(f"{where} has labels that are only true or false: give each cell a number of its own")
    if labels.dtype == np.uint8 and not binary and _is_mask(labels):
        raise ValueError(f"{where} has labels that are only 0 and 255: give each cell a number of its own")
    whole = np.issubdtype(labels.dtype, np.integer)
    if not whole and not (np.issubdtype(labels.dtype, np.floating) and np.isfinite(labels).all() and (labels == np.rint(labels)).all()):
        raise ValueError(f"{where} has {labels.dtype} labels that are no whole numbers: give each cell a whole number, 0 for background")
    if labels.size and labels.max() > np.iinfo(np.int32).max:
        values, rows = np.unique(labels, return_inverse=True)
        labels = (rows - np.searchsorted(values, 0)).reshape(labels.shape)
    if labels.size and labels.min() < -1:
        labels = np.maximum(labels, -1)
    whole_numbers: IntArray = labels.astype(np.int32, copy=False)
    return np.minimum(whole_numbers, 1) if binary else whole_numbers


def _is_mask(labels: AnyArray) -> bool:
    """Whether there is nothing but 0 and 255, and more than one heap of it; one alone may be a cell of that number."""
    if not labels.size or labels.max() != 255 or ((labels > 0) & (labels < 255)).any():
        return False
    return int(ndimage.label(labels)[1]) > 1


def _candidates(folder: Path, name: str) -> list[Path]:
    """What could hold the pictures of this name in a folder."""
    found = [folder / f"{name}{ending}" for ending in ("", *STACKS)]
    return [path for path in found if path.exists()]


def _matched(images: Path, labels: Path, *, rim: int) -> Files | Film:
    """Two folders of TIFFs, paired by name; or two stacks, paired by frame."""
    for path in (images, labels):
        if not path.exists():
            raise ValueError(f"{path} does not exist: give a folder of TIFFs, or a stack ({', '.join(STACKS)})")
    folders = [path.is_dir() and not _is_zarr(path) for path in (images, labels)]
    if all(folders):
        return _same_names(images, labels, rim=rim)
    if any(folders):
        raise ValueError(f"{images} and {labels} are of two kinds: give two folders of TIFFs or two stacks ({', '.join(STACKS)})")
    return Film(_stack(images), _stack(labels), rim, name=f"{images} with {labels.name}")


def _same_names(folder: Path, truth: Path, *, rim: int) -> Files:
    """The TIFFs of two folders whose names are equal, less the prefixes of the Challenge."""
    images = {p.stem: p for p in _tiffs(folder)}
    labels = {p.stem: p for p in _tiffs(truth)}
    if not images.keys() & labels.keys():
        images = {name.removeprefix("t"): path for name, path in images.items()}
        labels = {name.removeprefix("man_seg"): path for name, path in labels.items()}
    names = sorted(images.keys() & labels.keys())
    if not names:
        place = folder.parent if folder.name == "images" and truth.name == "labels" else folder
        raise ValueError(f"{place} has no picture whose label file has the same name: give at least one pair")
    return Files(tuple(images[n] for n in names), tuple(labels[n] for n in names), rim)


def _read(path: Path) -> AnyArray:
    try:
        return np.asarray(tifffile.imread(path))
    except (tifffile.TiffFileError, OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as TIFF: {' '.join(str(error).split())}") from None


def _stack(path: Path) -> Any:  # noqa: ANN401 - an array of NumPy, or what looks like one
    """A file with all frames, opened without reading them where the format allows."""
    if _is_zarr(path) or path.suffix.lower() == ".zarr":
        return _zarr(path)
    if path.suffix.lower() not in STACKS:
        raise ValueError(f"{path} is no stack of pictures: give {', '.join(STACKS)}")
    try:
        if path.suffix.lower() == ".npy":
            return np.load(path, mmap_mode="r", allow_pickle=False)
        return tifffile.memmap(path, mode="r")
    except (ValueError, OSError, EOFError, tifffile.TiffFileError) as error:
        if path.suffix.lower() == ".npy":
            raise ValueError(f"{path} is no readable NumPy file: {' '.join(str(error).split())}") from None
        return _read(path)  # compressed, or not in one piece


@dataclass(frozen=True, eq=False)
class _Frames:
    """A zarr array as (T, [C,] [Z,] Y, X): with time even where it has none, without channels and planes where it has one."""

    array: Any
    axes: str

    @property
    def shape(self) -> tuple[int, ...]:
        sides = dict(zip(self.axes, self.array.shape, strict=True))
        return (sides.get("t", 1), *(n for axis, n in sides.items() if axis in "yx" or (axis in "cz" and n > 1)))

    def __getitem__(self, key: Any) -> AnyArray:  # noqa: ANN401 - a frame, or a frame and the place of a part of it
        t, *place = key if isinstance(key, tuple) else (key,)
        spatial = [axis for axis, n in zip(self.axes, self.array.shape, strict=True) if axis in "yx" or (axis == "z" and n > 1)]
        index = {"t": t} | {axis: 0 for axis, n in zip(self.axes, self.array.shape, strict=True) if axis in "cz" and n == 1}
        index |= dict(zip(spatial, place[1:], strict=False))  # after the ellipsis
        return np.asarray(self.array[tuple(index.get(axis, slice(None)) for axis in self.axes)])


def _without_channel(image: AnyArray, labels: IntArray) -> AnyArray:
    """The picture without its axis of channels where it has one channel only."""
    return image[0] if image.ndim == labels.ndim + 1 and image.shape[0] == 1 else image


def _part(array: Any, t: int, place: Sequence[slice]) -> AnyArray:  # noqa: ANN401 - an array of any library
    """A part of a frame of an array (T, ..., [Z,] Y, X), and nothing else of it."""
    return np.asarray(array[(t, ..., *place)])


def _is_zarr(path: Path) -> bool:
    return path.is_dir() and any((path / mark).is_file() for mark in ("zarr.json", ".zarray", ".zgroup", ".zattrs"))


def _zarr(path: Path) -> Any:  # noqa: ANN401 - a zarr array, or what looks like one
    """A zarr array (T, [Z,] Y, X), or the finest level of an OME-Zarr image in whatever axes it says."""
    import zarr  # here, for most users have TIFFs and it takes half a second

    try:
        node: Any = zarr.open(str(path), mode="r")
        if hasattr(node, "shape"):
            return node
        attributes = dict(node.attrs)
        image = attributes.get("ome", attributes)["multiscales"][0]
        array = node[image["datasets"][0]["path"]]
        axes = "".join(str(a["name"] if isinstance(a, dict) else a)[:1].lower() for a in image.get("axes", "tczyx"))
    except Exception as error:  # zarr raises a dozen types here
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} is no readable zarr array or OME-Zarr image: {reason}") from None
    if len(axes) != array.ndim or axes != "".join(a for a in "tczyx" if a in axes) or not axes.endswith("yx"):
        raise ValueError(f"{path} has the axes {axes} and shape {array.shape}: give some of t, c, z, y, x in this order")
    return _Frames(array, axes)


def _named_labels(folder: Path) -> Path:
    """The first label image of an OME-Zarr."""
    names = sorted(path for path in (folder / "labels").iterdir() if _is_zarr(path))
    if not names:
        raise ValueError(f"{folder} has no label image in labels/: name the labels")
    return names[0]


def _tiffs(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in (".tif", ".tiff"))
