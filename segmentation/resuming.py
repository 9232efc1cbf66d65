"""The state of a training in a file, tensors and JSON only, so that the training can go on later (needs torch)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from segmentation.whole import whole_file

NOTES = "cytolineage.training"


def write(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, Any] | None = None) -> None:
    """Write a safetensors file under a temporary name and rename it when it is complete.

    Args:
        path: file to write.
        tensors: by name.
        notes: JSON-able values, kept in the metadata.
    """
    metadata = None if notes is None else {NOTES: json.dumps(notes)}
    with whole_file(path) as scratch:
        scratch.write_bytes(save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, metadata=metadata))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write` wrote of a training.

    Args:
        path: a safetensors file with notes.

    Raises:
        ValueError: it is not there, cannot be read, or is no state of a training.
    """
    if not path.is_file():
        raise ValueError(f"there is nothing to resume: {path} is not there; begin anew, without resume")
    try:
        with safe_open(path, "pt") as file:
            notes = (file.metadata() or {}).get(NOTES)
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} cannot be read as safetensors: {_one_line(error)}") from None
    if notes is None:
        raise ValueError(f"{path} is no state of a training: begin anew, without resume")
    return tensors, json.loads(notes)


def check(before: Mapping[str, Any], now: Mapping[str, Any], *, where: str) -> None:
    """Refuse to go on with other pictures or settings than before.

    Args:
        before: plain values by name, as a file gives them back.
        now: those of the training that is to go on.
        where: the file, for the message.

    Raises:
        ValueError: a value is another; names the first.
    """
    again = json.loads(json.dumps(now))
    for name in again:
        if name in before and before[name] != again[name]:
            raise ValueError(
                f"{where} does not fit the training: {name} was {before[name]} and is {again[name]}; give it as it was, or begin anew"
            )


def under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Give the tensors whose names begin with a prefix and a dot, without these.

    Args:
        tensors: by name.
        prefix: first part of the names.
    """
    return {name.removeprefix(f"{prefix}."): tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}.")}


def of_optimiser(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Give the tensors that an optimiser keeps for each weight, named NUMBER.KEY.

    Args:
        optimiser: its settings are not given, they follow from the schedule.
    """
    state = optimiser.state_dict()["state"]
    return {f"{row}.{key}": torch.as_tensor(value) for row, values in state.items() for key, value in values.items()}


def fill_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor], *, where: str) -> None:
    """Put back what `of_optimiser` gave.

    Args:
        optimiser: of the same weights; changed in place.
        tensors: named NUMBER.KEY.
        where: the file, for the message.
    """
    weights = [w for group in optimiser.param_groups for w in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        row, key = name.split(".", 1)
        fits = int(row) < len(weights) and tensor.shape in (torch.Size(), weights[int(row)].shape)
        if not fits:
            raise ValueError(f"{where} does not fit the training: other weights were frozen, or their rates were grouped otherwise")
        alike = tensor if tensor.shape != weights[int(row)].shape else torch.empty_like(weights[int(row)]).copy_(tensor)
        state.setdefault(int(row), {})[key] = alike.detach()
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
