"""Weights of a foreign U-Net, put into a U-Net of ours where they fit (needs torch).

The names of the tensors differ from package to package, so that shapes and order decide. Shapes do not say in which order
a network joins or which nonlinearity it takes: every fit is a guess that the example of the package has to confirm.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from segmentation.unet import UNet, UNetConfig

_NORM = ("weight", "bias", "running_mean", "running_var")


def fits(tensors: Mapping[str, Tensor], outputs: int) -> Iterator[UNet]:
    """Give the U-Nets of ours that these weights could belong to, filled with them.

    Args:
        tensors: a state dict, in the order in which its network made its parts: the way down first.
        outputs: channels of the answer.
    """
    convolutions = [key for key, value in tensors.items() if value.ndim in (4, 5) and value.is_floating_point()]
    shape = _shape(tensors, convolutions, outputs)
    if shape is None:
        return
    ways = ("transposed",) if any(_is_step_up(tensors[key]) for key in convolutions) else ("nearest", "linear")
    for way in ways:
        network = UNet(replace(shape, upsampling=way))
        assigned = _assigned(tensors, network)
        if assigned is None:
            continue
        for swap in (False, True):
            network = UNet(network.config)
            network.load_state_dict(_swapped(assigned, network.config) if swap else assigned)
            yield network.eval()


def _is_step_up(weight: Tensor) -> bool:
    """Whether a weight is that of a transposed convolution which doubles sides: (2 w, w, 2, 2)."""
    return weight.shape[0] == 2 * weight.shape[1] and all(side in (1, 2) for side in weight.shape[2:]) and 2 in weight.shape[2:]


def _shape(tensors: Mapping[str, Tensor], convolutions: list[str], outputs: int) -> UNetConfig | None:
    """Guess the shape of the network; None where it is certainly no U-Net like ours."""
    if not convolutions:
        return None
    first = tensors[convolutions[0]]
    width, inputs, dims = first.shape[0], first.shape[1], first.ndim - 2
    depth = math.log2(max(tensors[key].shape[0] for key in convolutions) / width) if width else -1.0
    if depth < 0 or depth != int(depth) or depth > 8 or any(side % 2 == 0 for side in first.shape[2:]):
        return None
    ups = {tensors[key].shape[1]: tuple(tensors[key].shape[2:]) for key in convolutions if _is_step_up(tensors[key])}
    pooling = tuple(ups.get(width * 2**level, (2,) * dims) for level in range(int(depth)))
    return UNetConfig(
        dims=dims,
        inputs=inputs,
        outputs=outputs,
        width=width,
        depth=int(depth),
        kernels=(tuple(first.shape[2:]),) * (int(depth) + 1) if set(first.shape[2:]) != {3} else (),
        pooling=pooling if set(pooling) != {(2,) * dims} else (),
        norm="batch" if any(key.endswith("running_mean") for key in tensors) else "none",
    )


def _assigned(tensors: Mapping[str, Tensor], network: UNet) -> dict[str, Tensor] | None:
    """The foreign tensors under our names: those of equal shape one after the other; None where some are missing or left."""
    convolutions = {key.rsplit(".", 1)[0]: value for key, value in tensors.items() if value.ndim > 2}
    norms = {key.rsplit(".", 1)[0]: value for key, value in tensors.items() if key.endswith("running_mean")}
    found, convolution = {}, ""
    for key, mine in network.state_dict().items():
        home, part = key.rsplit(".", 1)
        if mine.ndim > 2:
            convolution = next((name for name, value in convolutions.items() if value.shape == mine.shape), "")
            if not convolution:
                return None
            found[key] = convolutions.pop(convolution)
        elif part == "num_batches_tracked":
            found[key] = mine
        elif f"{home}.running_mean" in network.state_dict():
            if part == "weight":
                norm = next((name for name, value in norms.items() if value.shape == mine.shape), "")
                if not norm:
                    return None
                norms.pop(norm)
            if f"{norm}.{part}" not in tensors:
                return None
            found[key] = tensors[f"{norm}.{part}"]
            if part == "running_mean" and f"{convolution}.bias" in tensors:  # the offset of a convolution goes into the mean
                found[key] = found[key] - tensors[f"{convolution}.bias"]
        else:
            found[key] = tensors.get(f"{convolution}.bias", torch.zeros_like(mine))
        if found[key].shape != mine.shape:
            return None
    return None if convolutions or norms else found


def _swapped(assigned: Mapping[str, Tensor], config: UNetConfig) -> dict[str, Tensor]:
    """The same weights for a network that joined what comes from below in front of what came across."""
    changed = dict(assigned)
    for level in range(config.depth):
        key = f"up.{level}.0.weight"
        changed[key] = torch.roll(assigned[key], assigned[key].shape[1] // 2, dims=1)
    return changed
