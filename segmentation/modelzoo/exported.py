"""The network as a package of others can use it: with what standard steps cannot say built in (needs torch).

`source.bundled` writes this module together with the U-Net into one file, so that a package needs no more than torch and NumPy.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from segmentation.unet import UNet, UNetConfig

FINISH: Mapping[str, Callable[[Tensor], Tensor]] = {
    "none": lambda answer: answer,
    "sigmoid": torch.sigmoid,
    "softplus": functional.softplus,
}


class ExportedNetwork(nn.Module):
    """A U-Net between the compression of bright pixels and the reading of its answers.

    Args:
        unet: the network proper.
        compress: c of asinh(c x) / asinh(c); 0 leaves the range linear.
        finish: for each output channel one of "none", "sigmoid", "softplus".
    """

    def __init__(self, unet: UNet, compress: float, finish: Sequence[str]) -> None:
        super().__init__()
        self.unet, self.compress, self.finish = unet, compress, tuple(finish)

    def forward(self, picture: Tensor) -> Tensor:
        """Answer for every pixel of a picture (n, c, [Z,] Y, X) whose percentiles are 0 and 1."""
        if self.compress > 0:
            picture = torch.asinh(self.compress * picture) / math.asinh(self.compress)
        answer: Tensor = self.unet(picture)
        if all(kind == "none" for kind in self.finish):
            return answer
        return torch.cat([FINISH[kind](answer[:, i : i + 1]) for i, kind in enumerate(self.finish)], dim=1)


def exported_network(compress: float, finish: Sequence[str], network: Mapping[str, Any]) -> ExportedNetwork:
    """Build the network from plain values, without its weights.

    Args:
        compress: c of asinh(c x) / asinh(c).
        finish: for each output channel one of "none", "sigmoid", "softplus".
        network: fields of `UNetConfig`.
    """
    return ExportedNetwork(UNet(UNetConfig(**network)), compress, finish)
