"""The description of a model package (rdf.yaml, bioimage.io model description 0.5), read with mistrust."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from segmentation.modelzoo.archive import Package
from segmentation.modelzoo.older import modernised
from segmentation.modelzoo.processing import Step, Steps

LONGEST = 200_000  # bytes of a description; those of the zoo have up to 20,000
DEEPEST = 50  # lists and mappings inside each other: the time to parse them grows with the square
_OPENS = (yaml.BlockMappingStartToken, yaml.BlockSequenceStartToken, yaml.FlowMappingStartToken, yaml.FlowSequenceStartToken)
_CLOSES = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)
_SCIENTIFIC = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")  # 1e-6 is a number in YAML 1.2, a text for readers of YAML 1.1
_SPACE = ("z", "y", "x")


@dataclass(frozen=True)
class File:
    """A file of the package.

    Args:
        name: path inside the package.
        sha256: what it must hash to; None: not said.
    """

    name: str
    sha256: str | None


@dataclass(frozen=True)
class Tensor:
    """One input or output of the network; its axes are batch, channel, [z,] y, x.

    Args:
        name: its id.
        channels: names of the channels.
        space: ids of the spatial axes.
        least: smallest side of each spatial axis, pixels.
        step: sides grow by multiples of this, pixels; 0 where the side is fixed.
        halo: pixels at the rim of each spatial axis that are not to be trusted.
        steps: processing of this tensor.
        test: an example.
    """

    name: str
    channels: tuple[str, ...]
    space: tuple[str, ...]
    least: tuple[int, ...]
    step: tuple[int, ...]
    halo: tuple[int, ...]
    steps: Steps
    test: File | None


@dataclass(frozen=True)
class Weights:
    """The numbers of the network in one format.

    Args:
        file: where they are.
        architecture: what the package says of the network that they belong to.
    """

    file: File
    architecture: Mapping[str, Any]


@dataclass(frozen=True)
class Description:
    """What a package says of its model.

    Args:
        name: of the model.
        picture: the input.
        answer: the output.
        weights: by format, such as "torchscript".
        ours: what this program wrote for itself; empty for the packages of others.
    """

    name: str
    picture: Tensor
    answer: Tensor
    weights: Mapping[str, Weights]
    ours: Mapping[str, Any]


def read_description(package: Package) -> Description:
    """Read and check the description of a package.

    Args:
        package: an open package.

    Raises:
        ValueError: no model, no description of version 0.4 or 0.5, or a model of a kind that is not used here.
    """
    where = f"{package.path}: {package.description}"
    said = modernised(_mapping(_parsed(package.read(package.description), where), "the description", where), where)
    if said.get("type") != "model":
        raise ValueError(f"{where} describes a {said.get('type')!r}: give a package of type model")
    tensors = []
    for kind in ("inputs", "outputs"):
        listed = _list(said.get(kind), kind, where)
        if len(listed) != 1:
            raise ValueError(f"{where} has {len(listed)} {kind}: models with one input and one output are used here")
        tensors.append(_tensor(_mapping(listed[0], kind, where), f"{where}, {kind}"))
    weights = _mapping(said.get("weights"), "weights", where)
    config = said.get("config")
    ours = config.get("cytolineage") if isinstance(config, dict) else None
    return Description(
        str(said.get("name", "")),
        tensors[0],
        tensors[1],
        {str(kind): _weights(entry, f"{where}, weights.{kind}") for kind, entry in weights.items() if entry is not None},
        ours if isinstance(ours, dict) else {},
    )


def _parsed(content: bytes, where: str) -> Any:  # noqa: ANN401 - whatever the file holds
    """The values of a YAML text; small, without tags that make objects, without merges that multiply."""
    if len(content) > LONGEST:
        raise ValueError(f"{where} has {len(content)} bytes: at most {LONGEST} are read")
    try:
        depth = 0
        for token in yaml.scan(content):
            depth += isinstance(token, _OPENS) - isinstance(token, _CLOSES)
            if depth > DEEPEST:
                raise ValueError(f"{where} nests more than {DEEPEST} lists and mappings: that is no description of a model")
            if isinstance(token, yaml.ScalarToken) and token.plain and token.value == "<<":
                raise ValueError(f"{where} merges mappings by '<<': write them out")
        return yaml.safe_load(content)
    except (yaml.YAMLError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(f"{where} is no YAML: {' '.join(str(error).split())[:160]}") from None


def _tensor(said: Mapping[str, Any], where: str) -> Tensor:
    axes = [_mapping(axis, "an axis", where) for axis in _list(said.get("axes"), "axes", where)]
    kinds = [str(axis.get("type")) for axis in axes]
    space = tuple(str(axis.get("id", "x")) for axis, kind in zip(axes, kinds, strict=True) if kind == "space")
    if kinds != ["batch", "channel", *["space"] * len(space)] or space != _SPACE[-len(space) :] or len(space) < 2:
        names = ", ".join(str(axis.get("id", kind)) for axis, kind in zip(axes, kinds, strict=True))
        raise ValueError(f"{where} has the axes {names}: networks that take batch, channel, [z,] y, x are used here")
    sizes = [_size(axis.get("size"), where) for axis in axes[2:]]
    key = "preprocessing" if "preprocessing" in said else "postprocessing"
    test = said.get("test_tensor")
    return Tensor(
        name=str(said.get("id", "input")),
        channels=tuple(str(name) for name in _list(axes[1].get("channel_names"), "channel_names", where)),
        space=space,
        least=tuple(least for least, _ in sizes),
        step=tuple(step for _, step in sizes),
        halo=tuple(_integer(axis.get("halo", 0), "halo", where) for axis in axes[2:]),
        steps=Steps(tuple(_step(step, where) for step in _list(said.get(key) or [], key, where)), ("channel", *space)),
        test=None if test is None else _file(_mapping(test, "test_tensor", where), where),
    )


def _size(said: Any, where: str) -> tuple[int, int]:  # noqa: ANN401 - as the file says it
    """Least side and step; (0, 0) for a side that refers to another axis."""
    if isinstance(said, dict) and "min" in said:
        return _integer(said["min"], "min", where), _integer(said.get("step"), "step", where)
    if isinstance(said, dict):
        return 0, 0
    return _integer(said, "size", where), 0


def _step(said: Any, where: str) -> Step:  # noqa: ANN401 - as the file says it
    said = _mapping(said, "a step", where)
    values = _mapping(said.get("kwargs") or {}, "kwargs", where)
    try:
        return Step(str(said.get("id")), {str(key): _number(value) for key, value in values.items()})
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _weights(said: Any, where: str) -> Weights:  # noqa: ANN401 - as the file says it
    said = _mapping(said, "the entry", where)
    architecture = said.get("architecture")
    return Weights(_file(said, where), architecture if isinstance(architecture, dict) else {})


def _file(said: Mapping[str, Any], where: str) -> File:
    source = said.get("source")
    if not isinstance(source, str) or "://" in source:
        raise ValueError(f"{where}: source is {source!r}: a file inside the package is wanted, nothing is downloaded")
    sha256 = said.get("sha256")
    return File(source, None if sha256 is None else str(sha256))


def _number(value: Any) -> Any:  # noqa: ANN401 - as the file says it
    if isinstance(value, list):
        return [_number(part) if isinstance(part, str) else part for part in itertools.islice(value, 1000)]
    return float(value) if isinstance(value, str) and _SCIENTIFIC.fullmatch(value) else value


def _mapping(value: Any, what: str, where: str) -> Mapping[str, Any]:  # noqa: ANN401 - as the file says it
    if not isinstance(value, dict):
        raise ValueError(f"{where}: {what} is of type {type(value).__name__}: names with values are wanted")
    return value


def _list(value: Any, what: str, where: str) -> Sequence[Any]:  # noqa: ANN401 - as the file says it
    if not isinstance(value, list):
        raise ValueError(f"{where}: {what} is of type {type(value).__name__}: a list is wanted")
    return value


def _integer(value: Any, what: str, where: str) -> int:  # noqa: ANN401 - as the file says it
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 10**6:
        raise ValueError(f"{where}: {what} is {value!r}: an integer of at least 0 is wanted")
    return value
