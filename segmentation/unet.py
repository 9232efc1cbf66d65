"""The U-Net: a network that looks at a picture at several scales at once (needs torch)."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

CHANNELS = ("foreground", "boundary", "distance")
_CONVOLUTION: dict[int, type[nn.Module]] = {2: nn.Conv2d, 3: nn.Conv3d}
_WIDENING: dict[int, type[nn.Module]] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_NORM: dict[int, type[nn.Module]] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_POOL: dict[int, type[nn.Module]] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}


@dataclass(frozen=True)
class UNetConfig:
    """The shape of a U-Net, kept beside its weights.

    Args:
        dims: number of spatial axes, 2 or 3.
        inputs: channels of the picture.
        outputs: channels of the answer.
        width: features on the finest level; every level below has twice as many.
        depth: how often the picture is halved.
    """

    dims: int = 2
    inputs: int = 1
    outputs: int = len(CHANNELS)
    width: int = 16
    depth: int = 4

    def __post_init__(self) -> None:
        if self.dims not in (2, 3):
            raise ValueError(f"UNetConfig.dims is {self.dims}: a U-Net has 2 or 3 spatial axes")
        for name, least in (("inputs", 1), ("outputs", 1), ("width", 1), ("depth", 0)):
            got = getattr(self, name)
            if not isinstance(got, int) or got < least:
                raise ValueError(f"UNetConfig.{name} is {got!r}: give an integer of at least {least}")

    @property
    def divisor(self) -> int:
        """The number of pixels that every side of an input must be a multiple of."""
        return int(2**self.depth)

    @property
    def halo(self) -> int:
        """How far, in pixels, an output pixel can see in any direction.

        A block of two 3-convolutions reaches 2 pixels of its own level. On the way out and in that is
        2 * 2 * (1 + 2 + ... + 2**(depth - 1)), at the bottom 2 * 2**depth; and a pixel may sit at the
        edge of the coarsest cell that holds it, which adds 2**depth - 1.
        """
        return 4 * (self.divisor - 1) + 2 * self.divisor + self.divisor - 1


class UNet(nn.Module):
    """U-Net with batch norm: what it says about a pixel depends only on `config.halo` pixels around it.

    Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", 2015.
    Batch norm uses running statistics when predicting, so that a tile is treated as the whole picture is.

    Args:
        config: the shape of the network.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.width * 2**level for level in range(config.depth + 1)]
        coarser = list(itertools.pairwise(widths))
        self.down = nn.ModuleList(_block(config.dims, a, b) for a, b in itertools.pairwise([config.inputs, *widths]))
        self.pool = _POOL[config.dims](2)
        self.widen = nn.ModuleList(_WIDENING[config.dims](b, a, 2, stride=2) for a, b in coarser)
        self.up = nn.ModuleList(_block(config.dims, 2 * a, a) for a, _ in coarser)
        self.head = _CONVOLUTION[config.dims](config.width, config.outputs, 1)

    def forward(self, picture: Tensor) -> Tensor:
        """Give the logits of every pixel.

        Args:
            picture: (n, inputs, [Z,] Y, X), sides multiples of `config.divisor`.

        Returns:
            (n, outputs, [Z,] Y, X) logits.
        """
        check_sides(picture.shape[2:], self.config)
        features, skipped = self.down[0](picture), []  # (n, width, Y, X)
        for block in list(self.down)[1:]:
            skipped.append(features)
            features = block(self.pool(features))  # (n, width * 2**level, Y / 2**level, X / 2**level)
        for level in reversed(range(self.config.depth)):
            wide = self.widen[level](features)
            features = self.up[level](torch.cat([skipped[level], wide], dim=1))
        logits: Tensor = self.head(features)
        return logits  # (n, outputs, Y, X)


def check_sides(shape: Sequence[int], config: UNetConfig) -> None:
    """Refuse a picture whose sides the network cannot halve `depth` times.

    Args:
        shape: spatial shape, ([Z,] Y, X), in pixels.
        config: the network's shape.
    """
    if len(shape) != config.dims or any(side % config.divisor or side == 0 for side in shape):
        raise ValueError(
            f"input of spatial shape {tuple(shape)} does not fit the network: give {config.dims} axes, each a multiple of {config.divisor}"
        )


def _block(dims: int, inputs: int, outputs: int) -> nn.Module:
    """Two convolutions, each followed by batch norm and ReLU; `same` padding."""
    layers: list[nn.Module] = []
    for fan_in in (inputs, outputs):
        layers += [
            _CONVOLUTION[dims](fan_in, outputs, 3, padding=1, bias=False),
            _NORM[dims](outputs),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
