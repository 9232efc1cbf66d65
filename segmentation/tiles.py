"""Prediction tile by tile that equals prediction in one piece (needs torch).

Three conditions make it so: every tile is read with a halo as wide as the network can see; every tile begins at
a multiple of the pooling divisor, so that all tiles make their pixels coarser in the same groups; and nothing in the
network or before it depends on the statistics of a tile. Beyond its sides a picture is mirrored, tile by tile, so
that the picture and the answer may lie on disk and be of any size.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from segmentation.allocation import keep_memory
from segmentation.arrays import FloatArray
from segmentation.blocks import fewest
from segmentation.fit import pick_device
from segmentation.normalise import Canvas, Picture, Place
from segmentation.unet import UNet, UNetConfig

TILE = 0  # chosen by memory
MEMORY = 750_000_000  # bytes that the features of one tile may take

TileSize = int | Sequence[int] | None


@dataclass(frozen=True)
class Tile:
    """One tile: what to read, which part of the answer to keep, and where to put it.

    Args:
        read: place in the picture that goes on, mirrored, beyond its sides; may begin below zero.
        keep: place of the tile proper inside the network's answer to what was read.
        write: place of the tile proper in the picture.
    """

    read: Place
    keep: Place
    write: Place


def plan(shape: Sequence[int], tile: TileSize, config: UNetConfig) -> Iterator[Tile]:
    """Divide a picture into tiles of about equal size.

    Args:
        shape: spatial shape, ([Z,] Y, X) pixels.
        tile: largest side of a tile without its halo, pixels; one for all axes or one for each. 0: as large as fits into
            `MEMORY`. None: one tile.
        config: gives halos, divisors and margins.
    """
    for place in cut(shape, tile, config):
        yield around(place, shape, config)


def cut(shape: Sequence[int], tile: TileSize, config: UNetConfig) -> Iterator[Place]:
    """Divide a picture into places of about equal size that begin at multiples of the divisors.

    Args:
        shape: spatial shape, ([Z,] Y, X) pixels.
        tile: see `plan`.
        config: gives halos and divisors.
    """
    axes = []
    for length, divisor, parts in zip(shape, config.divisors, _parts(shape, tile, config), strict=True):
        cells = -(-length // divisor)
        edges = [cells * i // parts * divisor for i in range(parts + 1)]
        axes.append([slice(a, min(b, length)) for a, b in itertools.pairwise(edges)])
    yield from itertools.product(*axes)


def around(place: Place, shape: Sequence[int], config: UNetConfig) -> Tile:
    """Say what must be read for the answer at a place.

    Args:
        place: one slice an axis, beginning at a multiple of the divisor.
        shape: spatial shape of the picture.
        config: gives halos, divisors and margins.
    """
    read, keep = [], []
    for axis, (part, divisor, margin) in enumerate(zip(place, config.divisors, config.margins, strict=True)):
        if config.padding == "valid":
            length = config.sides([part.stop - part.start] * config.dims)[axis]
            read.append(slice(part.start - margin, part.start - margin + length))
            keep.append(slice(0, part.stop - part.start))
        else:  # the picture goes on to the next multiple of the divisor
            halo, end, stop = (-(-n // divisor) * divisor for n in (config.halos[axis], shape[axis], part.stop))
            first = max(part.start - halo, 0)
            read.append(slice(first, min(stop + halo, end)))
            keep.append(slice(part.start - first, part.stop - first))
    return Tile(tuple(read), tuple(keep), place)


def predict(
    network: UNet,
    picture: Picture,
    *,
    tile: TileSize = TILE,
    device: str = "auto",
    normalise: Callable[[FloatArray], FloatArray] | None = None,
    out: Canvas | None = None,
) -> Any:  # noqa: ANN401 (an array, or `out`)
    """Let a network answer for every pixel of a picture of any size, in bounded memory.

    Args:
        network: a U-Net; set to evaluation (running statistics) and moved to the device.
        picture: (inputs, [Z,] Y, X), or without the first axis for one input; an array, or anything that is sliced like one
            (memory map, zarr), which is then read tile by tile. Normalised as a whole, or by `normalise`.
        tile: see `plan`; the answer does not depend on it.
        device: "auto", "cpu", "cuda".
        normalise: is called with each piece (inputs, [Z,] Y, X); must treat every pixel alike, e.g. a `Range` of the whole picture.
        out: receives the answer, (outputs, [Z,] Y, X); an array or anything that is assigned to like one.

    Returns:
        float32 (outputs, [Z,] Y, X), the raw answers (logits); `out` where it was given.
    """
    config = network.config
    alone = config.inputs == 1 and len(picture.shape) == config.dims
    shape = picture.shape if alone else picture.shape[1:]
    if not alone and (len(picture.shape) != config.dims + 1 or picture.shape[0] != config.inputs):
        raise ValueError(f"picture has shape {picture.shape}: the network wants {config.inputs} channel(s) and {config.dims} spatial axes")
    if out is not None and tuple(out.shape) != (config.outputs, *shape):
        raise ValueError(f"out has shape {tuple(out.shape)}: the answer has {(config.outputs, *shape)}")
    answer: Any = np.zeros((config.outputs, *shape), np.float32) if out is None else out
    if 0 in shape:
        return answer
    keep_memory()
    where = pick_device(device)
    network.to(where).eval()
    for part in plan(shape, tile, config):
        answer[(slice(None), *part.write)] = ask(network, picture, part, where=where, normalise=normalise)
    return answer


def ask(
    network: UNet,
    picture: Picture,
    part: Tile,
    *,
    where: torch.device,
    normalise: Callable[[FloatArray], FloatArray] | None = None,
) -> FloatArray:
    """Let a network answer for one tile.

    Args:
        network: on its device and set to evaluation.
        picture: as in `predict`.
        part: which tile.
        where: the network's device.
        normalise: as in `predict`.

    Returns:
        (outputs, [Z,] Y, X), raw answers of the tile proper.
    """
    values = mirrored(picture, part.read)
    values = values[None] if values.ndim == len(part.read) else values
    piece = np.asarray(values if normalise is None else normalise(values), np.float32)
    tensor = torch.from_numpy(np.ascontiguousarray(piece))[None].to(where)
    if tensor.ndim == 4:
        tensor = tensor.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        answer: FloatArray = network(tensor)[0].cpu().numpy()
    return answer[(slice(None), *part.keep)]


def mirrored(picture: Picture, place: Place) -> Any:  # noqa: ANN401 (an array of the picture's kind of numbers)
    """Read a part of a picture that goes on, mirrored again and again, beyond its sides.

    Args:
        picture: (..., [Z,] Y, X); only the pixels that are needed are read.
        place: one slice for each of the last axes; may begin below zero and end beyond the picture.

    Returns:
        The part, of the shape of the slices, as a NumPy array.
    """
    leading = len(picture.shape) - len(place)
    read, turned = [slice(None)] * leading, []
    for axis, (part, length) in enumerate(zip(place, picture.shape[leading:], strict=True), leading):
        if 0 <= part.start and part.stop <= length:
            read.append(part)
            continue
        rows = np.arange(part.start, part.stop) % (2 * length)
        rows = np.where(rows < length, rows, 2 * length - 1 - rows)
        read.append(slice(int(rows.min()), int(rows.max()) + 1))
        turned.append((axis, rows - rows.min()))
    values = np.asarray(picture[tuple(read)])
    for axis, rows in turned:
        values = values.take(rows, axis)
    return values


def _parts(shape: Sequence[int], tile: TileSize, config: UNetConfig) -> list[int]:
    """Into how many tiles each axis is divided."""
    cells = [-(-length // divisor) for length, divisor in zip(shape, config.divisors, strict=True)]
    if tile is None:
        return [1] * len(cells)
    if tile == 0:
        return _affordable(cells, config)
    largest = [tile] * len(cells) if isinstance(tile, int) else list(tile)
    if len(largest) != len(cells) or any(side < divisor for side, divisor in zip(largest, config.divisors, strict=True)):
        least = config.divisors[0] if len(set(config.divisors)) == 1 else config.divisors
        raise ValueError(f"tile is {tile} pixels: give at least {least}, the divisor of the network")
    return [-(-count // (side // divisor)) for count, side, divisor in zip(cells, largest, config.divisors, strict=True)]


def _affordable(cells: Sequence[int], config: UNetConfig) -> list[int]:
    """The fewest tiles whose features fit into memory: the longest side is divided first."""
    most = MEMORY / 4 / (5 * config.width + config.inputs + config.outputs)  # pixels: about five finest maps live at one time
    halos = [-(-halo // divisor) * divisor for halo, divisor in zip(config.halos, config.divisors, strict=True)]
    return fewest(cells, halos, most, units=config.divisors, least=config.divisors)
