"""Films to OME-Zarr (NGFF 0.5, zarr 3), frame by frame in any order, by as many processes as one likes.

A frame is a chunk of its own, or several, so whoever writes a frame touches no other one. Chunks are packed by zstd with its checksum, and
those without any cell are stored too: a chunk that is lost or damaged is told from an empty one, and ``open_film`` says so.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from lineage.arrays import Array

from .atomic import new_folder
from .ome_zarr import is_zarr
from .opened import Place
from .zarr_chunks import MARK, WHOLE

MOST_PIXELS = 2**24  # of one chunk: 32 MiB of image, 64 MiB of labels
LEVEL = 1  # of zstd; higher ones take twice the time and save a few percent of noise
_SCRATCH = {2: 512, 3: 64}  # side of the chunks of what is only for work in between, by the number of axes
LEFT = ("*.partial", ".*.tmp")  # what a writer that was killed may leave
_OPENING = Lock()  # the library takes what becomes of empty chunks from a setting of the whole process


def create_labels_zarr(
    path: str | Path, shape: Sequence[int], scale: Sequence[float] = (), interval: float | None = None, *, dtype: str = "uint32"
) -> None:
    """Begin a label film on disk: its description, and no frame yet.

    A path such as ``film.zarr/labels/cells`` puts it into the OME-Zarr image ``film.zarr``, where viewers find it.

    Args:
        path: The folder, usually ``*.zarr``; it appears when it is complete.
        shape: (T, [Z,] Y, X), pixels.
        scale: Size of a pixel along ([z,] y, x), micrometres; ones, or nothing, where it is not known.
        interval: Time from frame to frame, seconds, if known.
        dtype: Type of the labels, ``uint8``, ``uint16``, ``uint32`` or ``uint64``.

    Raises:
        FileExistsError: There is something of that name.
        ValueError: A shape that is no film's.
    """
    path = Path(path)
    image = path.absolute().parent.parent
    if path.absolute().parent.name != "labels" or not is_zarr(image):
        _create(path, shape, scale, interval, np.dtype(dtype), {"image-label": {}})
        return
    (image / "labels").mkdir(exist_ok=True)
    _create(path, shape, scale, interval, np.dtype(dtype), {"image-label": {"source": {"image": "../../"}}})
    _list_labels(image, path.name)


def create_image_zarr(
    path: str | Path, shape: Sequence[int], scale: Sequence[float] = (), interval: float | None = None, *, dtype: str = "uint16"
) -> None:
    """Begin an image film on disk: its description, and no frame yet.

    Args:
        path: The folder, usually ``*.zarr``; it appears when it is complete.
        shape: (T, [Z,] Y, X), pixels.
        scale: Size of a pixel along ([z,] y, x), micrometres; ones, or nothing, where it is not known.
        interval: Time from frame to frame, seconds, if known.
        dtype: Type of the pixels.

    Raises:
        FileExistsError: There is something of that name.
        ValueError: A shape that is no film's.
    """
    _create(Path(path), shape, scale, interval, np.dtype(dtype), {})


def write_frame(path: str | Path, t: int, frame: Array, place: Place = ()) -> None:
    """Write one frame of a film that ``create_labels_zarr`` or ``create_image_zarr`` began, or a part of it; another one is not touched.

    Args:
        path: The folder that was begun.
        t: Which frame.
        frame: Its pixels, ([Z,] Y, X); whole numbers that the film's type holds.
        place: Which part of the frame these are, best one that ``chunk_places`` gives; the whole when not given.

    Raises:
        ValueError: No film of ours there, a frame of another shape, or pixels that its type does not hold.
        IndexError: The film has no such frame.
        OSError: It cannot be written; one line that names film and frame.
    """
    array = _opened(Path(path))
    if not 0 <= t < array.shape[0]:
        raise IndexError(f"{path} has no frame {t}: it has {array.shape[0]} frames")
    sides = tuple(len(range(*part.indices(size))) for part, size in zip(place, array.shape[1:], strict=False))
    pixels = _fitting(np.asarray(frame), array.dtype, f"frame {t} of {path}", (*sides, *array.shape[1 + len(sides) :]))
    try:
        array[(t, *place)] = pixels
    except OSError as error:
        raise type(error)(f"cannot write frame {t} of {path}: {error.strerror or error}") from error


def sweep(path: str | Path) -> None:
    """Remove what writers that were killed left behind; call it while nobody writes, as when a run is taken up again.

    Args:
        path: The folder of a film.
    """
    for pattern in LEFT:
        for file in Path(path).rglob(pattern):
            file.unlink(missing_ok=True)


def chunk_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """How a film is cut into chunks: a frame each, or, where it has more than 2^24 pixels, slabs along z, then tiles of a plane.

    Args:
        shape: (T, [Z,] Y, X), pixels.
    """
    *depth, y, x = shape[1:]
    tile = [y, x]
    while tile[0] * tile[1] > MOST_PIXELS:  # halve the longer side
        side = int(tile[1] > tile[0])
        tile[side] = -(-tile[side] // 2)
    most = max(MOST_PIXELS // (tile[0] * tile[1]), 1) if tile == [y, x] else 1
    slabs = [-(-planes // -(-planes // most)) for planes in depth]  # of even thickness
    return (1, *slabs, *tile)


def chunk_places(shape: Sequence[int]) -> Iterator[Place]:
    """The parts of a frame that are chunks of their own, in films that this module writes.

    Args:
        shape: Of the film, (T, [Z,] Y, X), pixels.
    """
    sides = zip(shape[1:], chunk_shape(shape)[1:], strict=True)
    yield from itertools.product(*([slice(a, min(a + cut, size)) for a in range(0, size, cut)] for size, cut in sides))


@contextmanager
def scratch(folder: Path, shape: Sequence[int], dtype: str) -> Iterator[Any]:
    """A zarr array for a picture that is worked on, zero at first, which is gone when the block ends.

    It lies on disk in small chunks that are not packed, so that no more of it is in memory than is written or read.

    Args:
        folder: Where it lies meanwhile.
        shape: ([Z,] Y, X), pixels.
        dtype: Type of its pixels.
    """
    import zarr

    chunks = tuple(min(_SCRATCH[len(shape)], side) for side in shape)
    with tempfile.TemporaryDirectory(prefix=".", suffix=".partial", dir=folder) as place:
        yield zarr.create_array(f"{place}/0", shape=tuple(shape), chunks=chunks, dtype=dtype, compressors=None)


def _create(path: Path, shape: Sequence[int], scale: Sequence[float], interval: float | None, dtype: np.dtype[Any], said: Any) -> None:  # noqa: ANN401 - JSON
    import zarr
    from zarr.codecs import ZstdCodec

    axes = "tzyx" if len(shape) == 4 else "tyx"
    if len(shape) not in (3, 4) or min(shape) < 1:
        raise ValueError(f"cannot write {path}: a film is (T, Y, X) or (T, Z, Y, X) with one pixel or more, not {tuple(shape)}")
    if path.exists():
        raise FileExistsError(f"cannot write {path}: it is there already; remove it or choose another name")
    with new_folder(path, lambda _: False) as temporary:
        group = zarr.create_group(temporary, zarr_format=3)
        group.create_array(
            "0",
            shape=tuple(map(int, shape)),
            chunks=chunk_shape(shape),
            dtype=dtype,
            compressors=ZstdCodec(level=LEVEL, checksum=True),
            dimension_names=tuple(axes),
            attributes={MARK: {WHOLE: True}},
        )
        group.attrs.update({"ome": {"version": "0.5", "multiscales": [_multiscale(axes, scale, interval)], **said}})


def _multiscale(axes: str, scale: Sequence[float], interval: float | None) -> dict[str, Any]:
    sizes = [float(size) for size in scale] or [1.0] * (len(axes) - 1)
    time = {"name": "t", "type": "time"} | ({"unit": "second"} if interval is not None else {})
    known = {"unit": "micrometer"} if set(sizes) != {1.0} else {}
    space = [{"name": axis, "type": "space"} | known for axis in axes[1:]]
    steps = [1.0 if interval is None else float(interval), *sizes]
    dataset = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": steps}]}
    return {"axes": [time, *space], "datasets": [dataset]}


def _list_labels(image: Path, name: str) -> None:
    """Note in an OME-Zarr image that it has labels of that name."""
    import zarr

    group = zarr.open_group(image / "labels", mode="a", zarr_format=3)
    there = [*dict(group.attrs).get("ome", {}).get("labels", ())]
    group.attrs.update({"ome": {"version": "0.5", "labels": sorted({*there, name})}})


def _opened(path: Path) -> Any:  # noqa: ANN401 - zarr has no types
    import zarr

    try:
        with _OPENING, zarr.config.set({"array.write_empty_chunks": True}):
            array: Any = zarr.open_array(path / "0", mode="r+")
            mark = dict(array.attrs).get(MARK)
    except Exception as error:  # zarr raises a dozen types here
        raise ValueError(f"{path} was not begun as a film: call create_labels_zarr or create_image_zarr first") from error
    if not isinstance(mark, dict) or not mark.get(WHOLE):
        raise ValueError(f"{path} was not begun as a film: call create_labels_zarr or create_image_zarr first")
    return array


def _fitting(frame: Array, dtype: np.dtype[Any], name: str, shape: tuple[int, ...]) -> Array:
    """A frame as the film holds it."""
    if frame.shape != shape:
        raise ValueError(f"{name} has shape {frame.shape}, but the film has {shape}")
    if frame.dtype == dtype or dtype.kind == "f":
        return frame.astype(dtype, copy=False)
    if frame.dtype.kind not in "iub":
        raise ValueError(f"{name} is {frame.dtype}, but the film holds {dtype}: convert it")
    low, high = int(frame.min()), int(frame.max())
    limits = np.iinfo(dtype)
    if low < limits.min or high > limits.max:
        raise ValueError(f"{name} holds {low if low < limits.min else high}, but the film holds {dtype}: {limits.min} to {limits.max}")
    return frame.astype(dtype)
