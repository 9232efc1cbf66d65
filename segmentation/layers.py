"""The parts that a U-Net is put together from: blocks of convolutions, ways to shrink, ways to enlarge (needs torch)."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

CONVOLUTION: dict[int, type[nn.Module]] = {2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED: dict[int, type[nn.Module]] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
NORM: dict[int, type[nn.Module]] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
POOL: dict[int, type[nn.Module]] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
_MAXIMUM: dict[int, Callable[..., Tensor]] = {2: functional.max_pool2d, 3: functional.max_pool3d}


def block(fan_in: int, fan_out: int, kernel: Sequence[int], *, same: bool, norm: bool) -> nn.Module:
    """Two convolutions, each followed by batch norm (if wanted) and ReLU.

    Args:
        fan_in: features that come in.
        fan_out: features that go out.
        kernel: sides of the convolution, ([z,] y, x), odd.
        same: keep the size by a rim of zeros; else only pixels whose whole surround is there are answered.
        norm: batch norm; without it the convolutions have an offset of their own.
    """
    dims, rim = len(kernel), tuple(k // 2 if same else 0 for k in kernel)
    layers: list[nn.Module] = []
    for features in (fan_in, fan_out):
        layers.append(CONVOLUTION[dims](features, fan_out, tuple(kernel), padding=rim, bias=not norm))
        layers += [NORM[dims](fan_out)] if norm else []
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class BlurPool(nn.Module):
    """Shrink without aliasing: the maximum around every pixel, a [1 2 1] blur, then every p-th pixel.

    Zhang, "Making Convolutional Networks Shift-Invariant Again", 2019; in denoising it takes away the checkerboards of N2V
    (Hoeck et al., "N2V2", 2022). A coarse pixel sees its p fine pixels and one more on either side.

    Args:
        factors: how much smaller every axis becomes, ([z,] y, x); an axis of factor 1 is left alone.
        same: repeat the outermost pixel where the neighbour is missing; else one coarse pixel on either side is not answered.
    """

    def __init__(self, factors: Sequence[int], *, same: bool) -> None:
        super().__init__()
        self.factors, self.same = tuple(factors), same

    def forward(self, features: Tensor) -> Tensor:
        """Shrink features (n, c, [Z,] Y, X)."""
        if self.same:
            rim = [int(p > 1) for p in reversed(self.factors) for _ in range(2)]
            features = functional.pad(features, rim, mode="replicate")
        else:  # p - 1 pixels of the outermost coarse pixel are needed by nobody
            for axis, p in enumerate(self.factors, 2):
                features = features.narrow(axis, p - 1, features.shape[axis] - 2 * (p - 1))
        features = _MAXIMUM[len(self.factors)](features, self.factors, stride=1)
        for axis, p in enumerate(self.factors, 2):
            if p > 1:  # the weights are no parameters: three shifted views, taken at every p-th pixel
                length = features.shape[axis] - 2
                views = [features.narrow(axis, i, length) for i in range(3)]
                every = torch.arange(0, length, p, device=features.device)
                left, here, right = (view.index_select(axis, every) for view in views)
                features = 0.25 * left + 0.5 * here + 0.25 * right
        return features


class Enlarge(nn.Module):
    """Enlarge by repeating pixels, or by linear interpolation between the centres of the coarse pixels.

    Written out by hand because the library's linear interpolation by 3 rounds differently in different tiles.

    Args:
        factors: how much larger every axis becomes, ([z,] y, x).
        linear: interpolate; else repeat.
        same: beyond the rim the outermost pixel is repeated; else the p // 2 fine pixels that would need it are not answered.
    """

    def __init__(self, factors: Sequence[int], *, linear: bool, same: bool) -> None:
        super().__init__()
        self.factors, self.linear, self.same = tuple(factors), linear, same

    def forward(self, features: Tensor) -> Tensor:
        """Enlarge features (n, c, [Z,] Y, X)."""
        for axis, p in enumerate(self.factors, 2):
            if p == 1:
                continue
            phases = _between(features, axis, p) if self.linear else [features] * p
            features = torch.stack(phases, axis + 1).flatten(axis, axis + 1)
            if self.linear and not self.same:
                features = features.narrow(axis, p // 2, features.shape[axis] - 2 * (p // 2))
        return features


def _between(features: Tensor, axis: int, p: int) -> list[Tensor]:
    """The p fine pixels of every coarse one: fine pixel j lies (j + 1/2) / p - 1/2 from its centre."""
    last = features.shape[axis] - 1
    left = torch.cat([features.narrow(axis, 0, 1), features.narrow(axis, 0, last)], axis)
    right = torch.cat([features.narrow(axis, 1, last), features.narrow(axis, last, 1)], axis)
    away = [(j + 0.5) / p - 0.5 for j in range(p)]
    return [features + abs(f) * ((right if f > 0 else left) - features) for f in away]


def centre(features: Tensor, shape: Sequence[int]) -> Tensor:
    """Cut the middle out of features.

    Args:
        features: (n, c, [Z,] Y, X).
        shape: spatial shape that is wanted; as much is cut off on the left as on the right.
    """
    for axis, side in enumerate(shape, 2):
        features = features.narrow(axis, (features.shape[axis] - side) // 2, side)
    return features
