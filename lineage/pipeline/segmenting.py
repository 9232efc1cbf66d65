"""Segmenting: a film to a label film, frame by frame, by any method that the house has."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lineage.arrays import LARGE, Array, Progress, is_large, silent
from lineage.films import LazyFrame, OpenedFilm, open_film, save_labels
from lineage.films.pictures import check_target
from lineage.measure import compact
from lineage.pieces import digest_of_weights
from lineage.settings import Settings

Segment = Callable[[Array], Array]

AUTOMATIC = {2: "nuclei-2d", 3: "nuclei-3d"}  # by the number of spatial axes, where they are shipped


def segmenter(name: str, *, n_axes: int = 2, scale: Sequence[float] = (), views: int = 1, cells: bool = True) -> Segment:
    """A function image -> labels: ``classical``, shipped weights (``nuclei-2d``), a weights file, or ``auto``.

    Args:
        name: Which of them.
        n_axes: Spatial axes of the film; ``auto`` takes the shipped ``nuclei-2d`` or ``nuclei-3d``, and ``classical`` where there is none.
        scale: Size of a pixel along each axis, for the classical method on anisotropic stacks.
        views: From how many sides a network looks: 1, 4 or 8.
        cells: Whether cells are wanted; else weights that name classes of pixels will do too.

    Raises:
        ValueError: No such weights, or weights for another number of axes or for several channels, or that name classes.
    """
    name = automatic(name, n_axes)
    if name == "classical":
        import segmentation

        if views != 1:
            raise ValueError(f"views is {views}, but the classical method looks from one side: name weights, or leave views out")

        relative = tuple(size / min(scale) for size in scale) or None
        return lambda image: segmentation.classical(image, scale=relative)
    model = model_named(name, n_axes, cells=cells)
    return partial(model.predict, views=views) if views != 1 else model.predict


def segmenter_in_blocks(name: str, *, n_axes: int = 2, scale: Sequence[float] = ()) -> Callable[[Any, Any], None]:
    """The same for images that are larger than memory: a function that reads parts of an image and writes parts of its labels.

    Cells are those of the image in one piece wherever heaps of them are smaller than the blocks' overlap.

    Args:
        name: See ``segmenter``.
        n_axes: Likewise.
        scale: Likewise.

    Returns:
        A function of the image, which is sliced like an array, and of what receives the labels, which is assigned to like one and holds
        integers of 32 bits.
    """
    if name == "classical":
        from segmentation.classical import classical_in_blocks

        relative = tuple(size / min(scale) for size in scale) or None
        return lambda image, out: classical_in_blocks(image, out, scale=relative, pixels=LARGE)
    model = model_named(name, n_axes, cells=False)

    def how(image: Any, out: Any) -> None:  # noqa: ANN401
        from segmentation.large import segment

        segment(model, image, out)

    return how


def one_thread() -> AbstractContextManager[None]:
    """Let networks compute on one thread while the block lasts, so that they say the same to the bit on every machine."""
    from segmentation import allocation

    return allocation.one_thread()


def weights_of(name: str) -> str:
    """Digest of the weights that a name stands for; empty where there are none."""
    import segmentation

    return digest_of_weights(Path(segmentation.__file__).parent / "weights", name)


def automatic(name: str, n_axes: int) -> str:
    """The method that ``auto`` stands for: what is shipped for so many axes, else ``classical``; other names are kept."""
    if name != "auto":
        return name
    import segmentation

    wanted = AUTOMATIC[n_axes]
    shipped = (Path(segmentation.__file__).parent / "weights" / f"{wanted}.safetensors").is_file()
    return wanted if shipped else "classical"


def model_named(name: str, n_axes: int, *, cells: bool = True) -> Any:  # noqa: ANN401 - a Segmenter; its module loads torch
    """A trained segmenter, if it takes frames of so many axes and one channel, and finds cells where these are wanted.

    Raises:
        ValueError: It does not, or there is none of this name.
    """
    import segmentation

    model: Any = segmentation.load(name)  # type: ignore[operator]
    config = model.network.config
    if config.dims != n_axes:
        raise ValueError(f"{name} segments {config.dims}D frames, but the film is {n_axes}D: take 'classical' or give label masks")
    if config.inputs != 1:
        raise ValueError(f"{name} takes {config.inputs} channels, but a film has one: take other weights or give label masks")
    if cells and not finds_cells(model):
        raise ValueError(f"{name} names classes of pixels ({', '.join(model.decoder.channels)}), not cells: take other weights")
    return model


def finds_cells(model: Any) -> bool:  # noqa: ANN401 - a Segmenter
    """Whether the labels of a trained segmenter number cells, or else name classes."""
    from segmentation.decoders import names_cells

    return names_cells(model.decoder)


def segment(film: Any, method: str = "auto", *, progress: Progress[int] = silent) -> list[Array]:  # noqa: ANN401 - path or array
    """Segment a film frame by frame.

    Args:
        film: Path or array, (T, [Z,] Y, X).
        method: See ``segmenter``.
        progress: Wraps the loop over frames.

    Returns:
        One label image a frame, uint16 where its labels fit.

    Raises:
        ValueError: The film cannot be read, or holds NaN; the message names the frame.
    """
    opened = open_film(film)
    return list(segmented(opened, segmenter(method, n_axes=len(opened.shape) - 1, scale=opened.scale), progress))


def segment_to_file(
    film: str | Path,
    out: str | Path,
    method: str = "auto",
    *,
    views: int = 1,
    reading: Mapping[str, Any] = Settings().reading,
    progress: Progress[int] = silent,
) -> int | None:
    """Segment a film on disk into label masks, a TIFF stack or an OME-Zarr; memory does not grow with its length.

    Args:
        film: The images.
        out: The TIFF (.tif), or the OME-Zarr (.zarr); it appears when it is complete, an older one is replaced.
        method: See ``segmenter``; weights that name classes of pixels paint the numbers of these.
        views: From how many sides a network looks: 1, 4 or 8.
        reading: How the film is read: ``channel``, ``axes`` and ``holes`` of ``lineage.films.open_film``.
        progress: Wraps the loops over frames.

    Returns:
        How many cells were found, over all frames; None where the masks are classes.

    Raises:
        ValueError: The film cannot be read, or holds NaN, the message names the frame; or the name is neither that of a TIFF nor of a zarr.
    """
    check_target(out)
    opened = open_film(film, **reading)
    if views != 1 and is_large(opened.shape[1:]):
        raise ValueError(f"views is {views}, but frames of shape {opened.shape[1:]} are looked at in parts, from one side: leave views out")
    how = segmenter(method, n_axes=len(opened.shape) - 1, scale=opened.scale, views=views, cells=False)
    with tempfile.TemporaryDirectory(prefix=".labels", dir=Path(out).absolute().parent) as place:
        if is_large(opened.shape[1:]):
            masks = _in_blocks(opened, method, Path(place), progress)
        else:
            masks = kept(segmented(opened, how, progress), opened.shape, Path(place))
        save_labels(out, masks, scale=opened.scale, interval=opened.interval, progress=progress)
        name = automatic(method, len(opened.shape) - 1)
        cells = name == "classical" or finds_cells(model_named(name, len(opened.shape) - 1, cells=False))
        return sum(len(compact(masks[t])[0]) for t in range(len(masks))) if cells else None


def _in_blocks(film: OpenedFilm, method: str, folder: Path, progress: Progress[int]) -> OpenedFilm:
    """The label film of a film whose frames are looked at in parts, on disk."""
    store = np.lib.format.open_memmap(folder / "labels.npy", "w+", np.int32, film.shape)
    name = automatic(method, len(film.shape) - 1)
    how = segmenter_in_blocks(name, n_axes=len(film.shape) - 1, scale=film.scale)
    for t in progress(range(len(film)), "segmenting"):
        how(LazyFrame(film, (t,)), store[t])
    store.flush()
    return open_film(folder / "labels.npy", kind="labels")


def segmented(film: OpenedFilm, how: Segment, progress: Progress[int]) -> Iterator[Array]:
    """The labels of each frame in turn, uint16 where they fit; what is wrong with a frame is said with its number."""
    for _, labels in each(film, how, progress):
        yield labels.astype(np.uint16) if labels.max(initial=0) <= np.iinfo(np.uint16).max else labels


def each(film: OpenedFilm, how: Callable[[Array], Any], progress: Progress[int]) -> Iterator[tuple[int, Any]]:
    """Every frame's number and what a method makes of it; what is wrong with a frame is said with its number."""
    for t in progress(range(len(film)), "segmenting"):
        try:
            made = how(film[t])
        except ValueError as error:
            prefix = "" if str(error).startswith("frame ") else f"frame {t}: "
            raise ValueError(f"{prefix}{error}") from error
        yield t, made


def segmented_to_disk(film: OpenedFilm, method: str, scale: Sequence[float], folder: Path, progress: Progress[int]) -> OpenedFilm:
    """The label film of a film, kept on disk while the run lasts so that memory does not grow with its length."""
    how = segmenter(method, n_axes=len(film.shape) - 1, scale=scale)
    return kept(segmented(film, how, progress), film.shape, folder)


def kept(frames: Iterator[Array], shape: tuple[int, ...], folder: Path) -> OpenedFilm:
    """A label film on disk, in ``labels.npy``, written frame by frame."""
    store = np.lib.format.open_memmap(folder / "labels.npy", "w+", np.uint32, shape)
    for t, labels in enumerate(frames):
        store[t] = labels
    store.flush()
    return open_film(folder / "labels.npy", kind="labels")
