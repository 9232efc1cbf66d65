"""Descriptions of version 0.4, in the words of version 0.5."""

from collections.abc import Mapping, Sequence
from typing import Any

_KINDS = {"b": "batch", "c": "channel", "z": "space", "y": "space", "x": "space", "t": "time", "i": "index"}
_LONG = {"b": "batch", "c": "channel", "t": "time", "i": "index"}


def modernised(said: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """Give a description in the words of version 0.5.

    Statistics that version 0.4 takes over a whole data set are taken over each picture.

    Args:
        said: the description, of version 0.4 or 0.5.
        where: the file, for messages.

    Raises:
        ValueError: another version, or a part that is missing or of another kind than it must be.
    """
    version = str(said.get("format_version"))
    if version.startswith("0.5."):
        return said
    if not version.startswith("0.4."):
        raise ValueError(f"{where} has format_version {version}: descriptions of version 0.4 and 0.5 are read")
    try:
        return dict(said) | {
            "inputs": _tensors(said, "input"),
            "outputs": _tensors(said, "output"),
            "weights": {kind: _weights(entry) for kind, entry in said["weights"].items()},
        }
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"{where} is no description of version {version}: {type(error).__name__} at {error}") from None


def _tensors(said: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    tests = said.get(f"test_{kind}s") or []
    found = []
    for i, tensor in enumerate(said[f"{kind}s"]):
        letters = str(tensor["axes"])
        shape, halo = tensor["shape"], tensor.get("halo") or [0] * len(letters)
        axes = [_axis(letter, _side(shape, i), halo[i], tensor) for i, letter in enumerate(letters)]
        key = "preprocessing" if kind == "input" else "postprocessing"
        found.append(
            {
                "id": tensor["name"],
                "axes": axes,
                key: [_step(step, letters) for step in tensor.get(key) or []],
                "test_tensor": {"source": tests[i]} if i < len(tests) else None,
            }
        )
    return found


def _axis(letter: str, size: Any, halo: int, tensor: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - as the file says it
    axis = {"type": _KINDS[letter], "id": _LONG.get(letter, letter), "size": size, "halo": halo}
    if letter == "c":
        count = size if isinstance(size, int) and size > 0 else 1
        axis["channel_names"] = [f"channel{i}" for i in range(count)] if count > 1 else [str(tensor["name"])]
    return axis


def _side(shape: Any, i: int) -> Any:  # noqa: ANN401 - as the file says it
    if isinstance(shape, list):
        return shape[i]
    if "min" in shape:
        return {"min": shape["min"][i], "step": shape["step"][i]} if shape["step"][i] else shape["min"][i]
    offset = shape["offset"][i]
    return int(2 * offset) if not shape["scale"][i] else {"tensor_id": shape["reference_tensor"]}


def _step(said: Mapping[str, Any], letters: str) -> dict[str, Any]:
    values = dict(said.get("kwargs") or {})
    mode, name = values.pop("mode", None), str(said["name"])
    if "axes" in values:
        values["axes"] = [_LONG.get(letter, letter) for letter in str(values["axes"]) if letter in letters]
    if name == "zero_mean_unit_variance" and mode == "fixed":
        values.pop("axes", None)
        values.pop("eps", None)
        name = "fixed_zero_mean_unit_variance"
        values |= {"axis": "channel"} if isinstance(values.get("mean"), list) else {}
    return {"id": name, "kwargs": values}


def _weights(said: Mapping[str, Any]) -> dict[str, Any]:
    words: Sequence[str] = str(said.get("architecture", "")).rsplit(":", 1)
    return dict(said) | {"architecture": {"callable": words[-1], "kwargs": said.get("kwargs") or {}}}
