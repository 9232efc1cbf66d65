"""The U-Net: a network that looks at a picture at several scales at once (needs torch)."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from segmentation.layers import CONVOLUTION, POOL, TRANSPOSED, BlurPool, Enlarge, block, centre

CHANNELS = ("foreground", "boundary", "distance")
CHOICES = {"padding": ("same", "valid"), "upsampling": ("transposed", "nearest", "linear"), "norm": ("batch", "none")}

Sides = tuple[int, ...]


@dataclass(frozen=True)
class UNetConfig:
    """The shape of a U-Net, kept beside its weights.

    Args:
        dims: number of spatial axes, 2 or 3.
        inputs: channels of the picture.
        outputs: channels of the answer.
        width: features on the finest level; every level below has twice as many.
        depth: how often the picture is made coarser.
        kernels: sides ([z,] y, x) of the convolutions of each level, finest first, `depth + 1` of them; odd. Empty: 3 everywhere.
        pooling: factors ([z,] y, x) by which each level is made coarser, `depth` of them. Empty: 2 everywhere. Where z is
            sampled more thinly than y and x, (1, 2, 2) on the first levels keeps the voxels' sides comparable.
        padding: "same": the answer is as large as the picture, zeros lie beyond the rim; "valid": only pixels whose whole
            surround is in the picture are answered, the answer is smaller by `margins` on every side.
        upsampling: "transposed" (learned), "nearest" (repeat) or "linear" (interpolate).
        norm: "batch" or "none".
        residual: add the picture's middle channels to the answer, so that the network says only what to change.
        blurpool: blur before taking every second pixel; see `BlurPool`.
        top_skip: connect the finest levels of the way down and up; N2V2 goes without.
        skips: connect any levels; False is a plain fully convolutional network, the U-Net's baseline.
    """

    dims: int = 2
    inputs: int = 1
    outputs: int = len(CHANNELS)
    width: int = 16
    depth: int = 4
    kernels: tuple[Sides, ...] = ()
    pooling: tuple[Sides, ...] = ()
    padding: str = "same"
    upsampling: str = "transposed"
    norm: str = "batch"
    residual: bool = False
    blurpool: bool = False
    top_skip: bool = True
    skips: bool = True

    def __post_init__(self) -> None:
        if self.dims not in (2, 3):
            raise ValueError(f"UNetConfig.dims is {self.dims}: a U-Net has 2 or 3 spatial axes")
        for name, least in (("inputs", 1), ("outputs", 1), ("width", 1), ("depth", 0)):
            got = getattr(self, name)
            if not isinstance(got, int) or got < least:
                raise ValueError(f"UNetConfig.{name} is {got!r}: give an integer of at least {least}")
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"UNetConfig.{name} is {getattr(self, name)!r}: give one of {', '.join(allowed)}")
        for name, count, step in (("kernels", self.depth + 1, 2), ("pooling", self.depth, 1)):
            sides = tuple(tuple(level) for level in getattr(self, name))  # lists when they come from a file
            object.__setattr__(self, name, sides)
            whole = all(len(level) == self.dims and all(isinstance(n, int) and n >= 1 for n in level) for level in sides)
            if len(sides) not in (0, count) or not whole or any((n - 1) % step for level in sides for n in level):
                kind = "odd integers" if step == 2 else "integers of at least 1"
                raise ValueError(f"UNetConfig.{name} is {sides}: give {count} times {self.dims} {kind}, or nothing")
        if self.residual and (self.inputs < self.outputs or (self.inputs - self.outputs) % 2):
            raise ValueError(
                f"UNetConfig.residual has no middle {self.outputs} of {self.inputs} channels: "
                "give as many inputs as outputs, or an even number more"
            )

    @property
    def windows(self) -> tuple[Sides, ...]:
        """Sides of the convolutions of each level, finest first."""
        return self.kernels or ((3,) * self.dims,) * (self.depth + 1)

    @property
    def factors(self) -> tuple[Sides, ...]:
        """How much coarser each level is made, finest first."""
        return self.pooling or ((2,) * self.dims,) * self.depth

    @property
    def joined(self) -> tuple[bool, ...]:
        """Which levels, finest first, hand their features to the way up."""
        return tuple(self.skips and (level > 0 or self.top_skip) for level in range(self.depth))

    @property
    def divisors(self) -> Sides:
        """The pixels of a coarsest cell per axis: places that far apart are treated alike. With "same", sides must be multiples."""
        return tuple(math.prod(level[axis] for level in self.factors) for axis in range(self.dims))

    @property
    def halos(self) -> Sides:
        """How far per axis, in pixels, an output pixel can see in either direction."""
        return tuple(int(max((place - low).max(), (high - place).max())) for place, low, high in map(self._seen, range(self.dims)))

    @property
    def margins(self) -> Sides:
        """By how many pixels per axis the answer is smaller than the picture, on either side; 0 with padding "same"."""
        return tuple(self._lost(axis)[1] for axis in range(self.dims))

    def sides(self, shape: Sequence[int]) -> Sides:
        """Give the smallest input that the network takes and that is answered on this shape or more.

        Args:
            shape: spatial shape ([Z,] Y, X) of the answer, pixels.
        """
        found = []
        for axis, (length, divisor) in enumerate(zip(shape, self.divisors, strict=True)):
            down, lost = self._lost(axis)
            found.append(2 * down + divisor * max(1, -(-(length + 2 * (lost - down)) // divisor)))
        return tuple(found)

    def fits(self, shape: Sequence[int]) -> bool:
        """Say whether the network takes an input of this shape.

        Args:
            shape: spatial shape ([Z,] Y, X), pixels.
        """
        answer = [side - 2 * margin for side, margin in zip(shape, self.margins, strict=False)]
        return len(shape) == self.dims and min(answer) > 0 and self.sides(answer) == tuple(shape)

    def _seen(self, axis: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Every place within a coarsest cell, and the first and last input pixel that its answer depends on along an axis.

        Followed backwards through the network; what comes from below contains what comes through the skip.
        """
        place = np.arange(self.divisors[axis])
        low, high = place, place
        windows, factors = ([level[axis] for level in levels] for levels in (self.windows, self.factors))
        for k, p in zip(windows, factors, strict=False):  # up, from the answer to the bottom
            low, high = low - (k - 1), high + (k - 1)
            if self.upsampling == "linear":  # (j + 1/2) / p - 1/2, rounded down and up
                low, high = (2 * low + 1 - p) // (2 * p), -((p - 1 - 2 * high) // (2 * p))
            else:
                low, high = low // p, high // p
        low, high = low - (windows[-1] - 1), high + (windows[-1] - 1)
        for k, p in reversed(list(zip(windows, factors, strict=False))):  # down, from the bottom to the picture
            more = int(self.blurpool and p > 1)
            low, high = low * p - more - (k - 1), high * p + p - 1 + more + (k - 1)
        return place, low, high

    def _lost(self, axis: int) -> tuple[int, int]:
        """Input pixels lost on either side of an axis: on the way down to the bottom's input, and in all."""
        if self.padding == "same":
            return 0, 0
        windows, factors = ([level[axis] for level in levels] for levels in (self.windows, self.factors))
        down = up = 0
        size = 1  # of a pixel of the level, in input pixels
        for k, p in zip(windows, factors, strict=False):
            down += (k - 1) * size + (size * p if self.blurpool and p > 1 else 0)
            up += (k - 1) * size + (p // 2 * size if self.upsampling == "linear" else 0)
            size *= p
        return down, down + (windows[-1] - 1) * size + up


class UNet(nn.Module):
    """U-Net with batch norm: what it says about a pixel depends only on `config.halos` pixels around it.

    Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", 2015; in 3D Cicek et al.,
    "3D U-Net", 2016. Batch norm uses running statistics when predicting, so that a tile is treated as the whole picture is.

    Args:
        config: the shape of the network.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        same, norm = config.padding == "same", config.norm == "batch"
        widths = [config.width * 2**level for level in range(config.depth + 1)]
        ways = zip(itertools.pairwise([config.inputs, *widths]), config.windows, strict=True)
        self.down = nn.ModuleList(block(a, b, kernel, same=same, norm=norm) for (a, b), kernel in ways)
        self.pool = nn.ModuleList(
            BlurPool(factors, same=same) if config.blurpool else POOL[config.dims](factors) for factors in config.factors
        )
        self.widen = nn.ModuleList(_widen(2 * a, a, factors, config) for a, factors in zip(widths, config.factors, strict=False))
        self.up = nn.ModuleList(
            block(2 * a if joined else a, a, kernel, same=same, norm=norm)
            for a, joined, kernel in zip(widths, config.joined, config.windows, strict=False)
        )
        self.head = CONVOLUTION[config.dims](config.width, config.outputs, 1)

    def forward(self, picture: Tensor) -> Tensor:
        """Give the raw answers (logits) of every pixel.

        Args:
            picture: (n, inputs, [Z,] Y, X), with sides that `config.fits`.

        Returns:
            (n, outputs, [Z,] Y, X), smaller than the picture by `config.margins` on every side.
        """
        check_sides(picture.shape[2:], self.config)
        features, skipped = self.down[0](picture), []  # (n, width, Y, X)
        for shrink, block_ in zip(self.pool, list(self.down)[1:], strict=True):
            skipped.append(features)
            features = block_(shrink(features))  # (n, width * 2**level, Y / 2**level, X / 2**level)
        for level in reversed(range(self.config.depth)):
            features, finer = self.widen[level](features), skipped.pop()
            if self.config.joined[level]:
                features = torch.cat([centre(finer, features.shape[2:]), features], dim=1)
            del finer  # its copy is held already
            features = self.up[level](features)
        answer: Tensor = self.head(features)
        if self.config.residual:
            first = (self.config.inputs - self.config.outputs) // 2
            answer = answer + centre(picture[:, first : first + self.config.outputs], answer.shape[2:])
        return answer  # (n, outputs, Y, X)


def check_sides(shape: Sequence[int], config: UNetConfig) -> None:
    """Refuse a picture whose sides the network cannot make coarser `depth` times.

    Args:
        shape: spatial shape, ([Z,] Y, X), in pixels.
        config: the network's shape.
    """
    if config.fits(shape):
        return
    wanted = f"each a multiple of {_same(config.divisors)}"
    if config.padding == "valid":
        least = config.sides((1,) * config.dims)
        wanted = f"each {_same(least)} or a multiple of {_same(config.divisors)} more"
    raise ValueError(f"input of spatial shape {tuple(shape)} does not fit the network: give {config.dims} axes, {wanted}")


def trim(wanted: Tensor, config: UNetConfig) -> Tensor:
    """Cut targets to the part that a network answers; with padding "same" that is all.

    Args:
        wanted: (n, k, [Z,] Y, X), as large as the picture.
        config: gives `margins`.
    """
    return centre(wanted, [side - 2 * margin for side, margin in zip(wanted.shape[2:], config.margins, strict=True)])


def _same(sides: Sides) -> str:
    """One number where all axes agree, else all of them."""
    return str(sides[0]) if len(set(sides)) == 1 else str(sides)


def _widen(fan_in: int, fan_out: int, factors: Sides, config: UNetConfig) -> nn.Module:
    """The step up to the next finer level."""
    if config.upsampling == "transposed":
        return TRANSPOSED[config.dims](fan_in, fan_out, factors, stride=factors)
    # a convolution of side 1 says the same before and after enlarging; before, it has less to do
    enlarge = Enlarge(factors, linear=config.upsampling == "linear", same=config.padding == "same")
    return nn.Sequential(CONVOLUTION[config.dims](fan_in, fan_out, 1), enlarge)
