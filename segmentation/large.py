"""Cells that a network finds in pictures larger than memory, whole and numbered once, as if seen in one piece (needs torch).

How the cells of the blocks are put together, see `segmentation.blocks`; without a network, see `classical_in_blocks`.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import nn

from segmentation.allocation import keep_memory
from segmentation.arrays import AnyArray, FloatArray, IntArray
from segmentation.blocks import Progress, divided, labels_for, silent, stitch
from segmentation.decoders.interface import Decoder, names_cells
from segmentation.fit import pick_device
from segmentation.normalise import Canvas, Percentiles, Picture, Place, Range
from segmentation.tiles import TILE, TileSize, around, ask, cut
from segmentation.unet import UNet, UNetConfig

OVERLAP = {2: 96, 3: 32}  # pixels, by axes; the largest nuclei and most cells under a microscope are smaller
PIXELS = {2: 1 << 22, 3: 1 << 23}  # of a block with its rim, by axes


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
    overlap: int | None = None,
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
        overlap: how far blocks look beyond their sides, pixels; at least the largest cell. Default 96 in the plane, 32 in space.
        tile: largest side of a block without overlap and halo, pixels; see `segmentation.tiles.plan`. 0: a few million pixels, of which
            the network sees as many at a time as its features have memory for.
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
    overlap = OVERLAP[config.dims] if overlap is None else overlap
    if overlap < 0:
        raise ValueError(f"overlap is {overlap}: give at least 0 pixels, better the size of the largest cell")
    labels = labels_for(out, shape)
    if 0 in shape:
        return labels
    ranges = [model.normalise.over(channel) for channel in channels]
    rim = [-(-overlap // divisor) * divisor for divisor in config.divisors]
    places = list(_aligned(shape, rim, config)) if tile == TILE else list(cut(shape, tile, config))
    if all(of.top <= of.bottom for of in ranges):  # nothing to see
        for place in places:
            labels[place] = 0
        return labels
    look = _Look(model, picture, ranges, tile)
    if not names_cells(model.decoder):  # a pixel's class depends on nothing else
        for place in progress(places, "segmenting"):
            labels[place] = look(place)
        return labels
    stitch(look, labels, places, rim, progress)
    return labels


def _aligned(shape: Sequence[int], rim: Sequence[int], config: UNetConfig) -> Iterator[Place]:
    """Blocks that begin at multiples of the divisors, as large as is looked at together."""
    units = [-(-length // divisor) for length, divisor in zip(shape, config.divisors, strict=True)]
    rims = [more // divisor for more, divisor in zip(rim, config.divisors, strict=True)]
    for place in divided(units, rims, pixels=PIXELS[config.dims] // math.prod(config.divisors)):
        sides = zip(place, config.divisors, shape, strict=True)
        yield tuple(slice(part.start * divisor, min(part.stop * divisor, length)) for part, divisor, length in sides)


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


class _Look:
    """The decoder's cells at a place of the picture."""

    def __init__(self, model: Model, picture: Picture, ranges: Sequence[Range], tile: TileSize) -> None:
        keep_memory()
        self.model, self.picture, self.ranges, self.tile = model, picture, ranges, tile
        self.where = pick_device(model.device)
        network: nn.Module = model.network
        network.to(self.where).eval()

    def __call__(self, place: Place) -> IntArray:
        config = self.model.network.config
        answers = np.empty((config.outputs, *(part.stop - part.start for part in place)), np.float32)
        for here in cut(answers.shape[1:], self.tile, config):
            there = tuple(slice(part.start + side.start, part.start + side.stop) for part, side in zip(place, here, strict=True))
            part = around(there, self.picture.shape[-len(place) :], config)
            said = ask(self.model.network, self.picture, part, where=self.where, normalise=self._normalised)
            answers[(slice(None), *here)] = said
        return self.model.decoder(self.model.decoder.read(answers))

    def _normalised(self, values: AnyArray) -> FloatArray:
        return np.stack([of(channel) for of, channel in zip(self.ranges, values, strict=True)])
