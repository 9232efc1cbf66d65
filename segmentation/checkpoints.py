"""Weights from files: tensors only, and each is looked at before it is used (needs torch)."""

import io
import pickle
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

_WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "net")


def read_tensors(content: bytes, name: str) -> dict[str, Tensor]:
    """Read a checkpoint: a safetensors file, or what `torch.save` wrote of a state dict; no code in it is run.

    Args:
        content: the bytes of the file.
        name: of the file, for messages; .safetensors says the format.

    Returns:
        Tensors by name, in the order of the file.

    Raises:
        ValueError: no such file, or one that holds more than tensors.
    """
    try:
        if name.endswith(".safetensors"):
            return dict(load(content))
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, ValueError, EOFError, KeyError, OSError, pickle.UnpicklingError) as error:
        raise ValueError(f"{name} cannot be read as tensors alone: {' '.join(str(error).split())[:160]}") from None
    for wrapper in _WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise ValueError(f"{name} holds no state dict: names with tensors are wanted")
    return {str(key): value for key, value in found.items()}


def fill(network: nn.Module, tensors: Mapping[str, Any], name: str) -> None:
    """Put weights into a network, refused when they belong to another one.

    Args:
        network: receives the weights; unchanged when they are refused.
        tensors: by name, as `network.state_dict()` has them.
        name: of the file, for messages.

    Raises:
        ValueError: names the first tensor that is missing, too many, of another shape, or not finite.
    """
    own = network.state_dict()
    for key, mine in own.items():
        if key not in tensors:
            raise ValueError(f"{name} belongs to another network: it lacks the tensor {key} of shape {tuple(mine.shape)}")
        if tuple(tensors[key].shape) != tuple(mine.shape):
            shapes = f"{tuple(tensors[key].shape)}, wanted {tuple(mine.shape)}"
            raise ValueError(f"{name} belongs to another network: its tensor {key} has shape {shapes}")
    if extra := [key for key in tensors if key not in own]:
        raise ValueError(f"{name} belongs to another network: its tensor {extra[0]} has no place here")
    check_numbers(tensors, name)
    network.load_state_dict(dict(tensors))


def check_numbers(tensors: Mapping[str, Tensor], name: str) -> None:
    """Refuse weights with NaN or infinite numbers, naming the first tensor.

    Args:
        tensors: by name.
        name: of the file, for messages.
    """
    for key, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{name} is damaged: its tensor {key} has NaN or infinite numbers")
