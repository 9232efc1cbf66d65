"""Weights from files: tensors only, and each is looked at before it is used (needs torch)."""

import io
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor, nn

from segmentation.whole import whole_file

NOTES = "cytolineage"  # where a model file describes itself, in its metadata
_WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "net")


def write_model(path: str | Path, network: nn.Module, description: Mapping[str, Any], *, half: bool = False) -> None:
    """Write a model as one safetensors file: the tensors, and everything else as JSON in its metadata.

    Args:
        path: file to write; it appears only when complete.
        network: whose weights are written.
        description: JSON-able; "format" says what the model is.
        half: store convolutions as 16-bit floats.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    if half:
        tensors = {name: value.half() if value.ndim > 1 else value for name, value in tensors.items()}
    with whole_file(path) as scratch:
        scratch.write_bytes(save(tensors, metadata={NOTES: json.dumps(description)}))


def read_model(path: str | Path, kind: str, writer: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read what `write_model` wrote; tensors and JSON only, no code is run.

    Args:
        path: a safetensors file of this program.
        kind: what the model must be, such as "segmenter"; its format is then "cytolineage.segmenter/1".
        writer: what writes such files, for the message.

    Returns:
        The description, and 32-bit tensors by name.

    Raises:
        ValueError: no such file, none of this program, or a model of another kind.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} is not a file: give a model that {writer} wrote")
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(NOTES, "{}")
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} cannot be read as safetensors: {one_line(error)}") from None
    try:
        description = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path} is no cytolineage {kind}: {one_line(error)}") from None
    found = description.get("format") if isinstance(description, dict) else None
    if found != model_format(kind):
        raise ValueError(f"{path} is no cytolineage {kind}: its format is {found!r}, wanted {model_format(kind)!r}")
    return description, tensors


def model_format(kind: str) -> str:
    """The name of the format of a kind of model.

    Args:
        kind: such as "segmenter".
    """
    return f"cytolineage.{kind}/1"


def one_line(error: Exception) -> str:
    """What an error says, on one line and not endless.

    Args:
        error: of any kind.
    """
    return " ".join(str(error).split())[:200]


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
