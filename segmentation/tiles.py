"""Prediction tile by tile that equals prediction in one piece (needs torch).

Three conditions make it so: every tile is read with a halo as wide as the network can see; every tile begins at
a multiple of the pooling divisor, so that all tiles halve their pixels in the same pairs; and nothing in the
network or before it depends on the statistics of a tile.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from segmentation.allocation import keep_memory
from segmentation.arrays import FloatArray
from segmentation.fit import pick_device
from segmentation.unet import UNet, UNetConfig

TILE = 1280

Place = tuple[slice, ...]


@dataclass(frozen=True)
class Tile:
    """One tile: what to read, which part of the answer to keep, and where to put it.

    Args:
        read: place in the padded picture, with the halo.
        keep: place of the tile proper inside what was read.
        write: place of the tile proper in the padded picture.
    """

    read: Place
    keep: Place
    write: Place


def plan(shape: Sequence[int], tile: int, config: UNetConfig) -> Iterator[Tile]:
    """Divide a picture into tiles of about equal size.

    Args:
        shape: spatial shape, ([Z,] Y, X) pixels, each a multiple of `config.divisor`.
        tile: largest side of a tile without its halo, pixels.
        config: gives halo and divisor.
    """
    if tile < config.divisor:
        raise ValueError(f"tile is {tile} pixels: give at least {config.divisor}, the divisor of the network")
    halo = -(-config.halo // config.divisor) * config.divisor
    sides = []
    for length in shape:
        parts = -(-length // (tile // config.divisor * config.divisor))
        edges = [length // config.divisor * i // parts * config.divisor for i in range(parts + 1)]
        sides.append([(a, b, max(a - halo, 0), min(b + halo, length)) for a, b in itertools.pairwise(edges)])
    for axes in itertools.product(*sides):
        yield Tile(
            read=tuple(slice(low, high) for _, _, low, high in axes),
            keep=tuple(slice(a - low, b - low) for a, b, low, _ in axes),
            write=tuple(slice(a, b) for a, b, _, _ in axes),
        )


def predict(network: UNet, picture: FloatArray, *, tile: int | None = TILE, device: str = "auto") -> FloatArray:
    """Let a network answer for every pixel of a picture of any size, in bounded memory.

    The far sides are mirrored up to the next multiple of the divisor; then the picture is treated tile by tile.

    Args:
        network: a U-Net; set to evaluation (running statistics) and moved to the device.
        picture: float (inputs, [Z,] Y, X), normalised as a whole.
        tile: largest side of a tile without its halo, pixels; None: all in one piece.
        device: "auto", "cpu", "cuda".

    Returns:
        float32 (outputs, [Z,] Y, X), the raw answers (logits).
    """
    config = network.config
    shape = picture.shape[1:]
    if picture.ndim != config.dims + 1 or picture.shape[0] != config.inputs:
        raise ValueError(f"picture has shape {picture.shape}: the network wants {config.inputs} channel(s) and {config.dims} spatial axes")
    answer = np.zeros((config.outputs, *shape), np.float32)
    if answer.size == 0:
        return answer
    keep_memory()
    where = pick_device(device)
    network.to(where).eval()
    extra = [(0, -n % config.divisor) for n in shape]
    padded = np.pad(np.asarray(picture, np.float32), [(0, 0), *extra], mode="symmetric")
    whole = max(padded.shape[1:])
    for part in plan(padded.shape[1:], whole if tile is None else tile, config):
        piece = torch.from_numpy(np.ascontiguousarray(padded[(slice(None), *part.read)]))[None].to(where)
        if config.dims == 2:
            piece = piece.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            said = network(piece)[0].cpu().numpy()
        target = answer[(slice(None), *part.write)]  # cut where the padding was
        inner = tuple(slice(k.start, k.start + n) for k, n in zip(part.keep, target.shape[1:], strict=True))
        target[...] = said[(slice(None), *inner)]
    return answer
