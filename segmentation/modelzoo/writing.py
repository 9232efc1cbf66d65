"""A Segmenter -> a model package that other programs can use (bioimage.io model description 0.5; needs torch)."""

import copy
import hashlib
import io
import re
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from scipy.special import expit, softmax

from segmentation.arrays import AnyArray, FloatArray
from segmentation.decoders import DECODERS, Decoder, described
from segmentation.modelzoo import exported
from segmentation.modelzoo.archive import write_archive
from segmentation.modelzoo.exported import ExportedNetwork, exported_network
from segmentation.modelzoo.papers import cover, documentation
from segmentation.modelzoo.processing import Step, Steps
from segmentation.modelzoo.reading import FORMAT
from segmentation.modelzoo.source import bundled
from segmentation.normalise import Percentiles, check_finite
from segmentation.segmenter import Segmenter
from segmentation.tiles import mirrored
from segmentation.unet import UNet, UNetConfig

FORMAT_VERSION = "0.5.12"
LARGEST = 256  # pixels of a side of the example, where the network takes that few
Person = str | Mapping[str, str]


def write_package(  # noqa: PLR0913 (keyword-only)
    model: Segmenter,
    path: str | Path,
    *,
    test_image: AnyArray,
    name: str,
    description: str = "",
    authors: Sequence[Person] = (),
    license: str = "",  # noqa: A002 (the field's name)
    cite: Sequence[Mapping[str, str]] = (),
    tags: Sequence[str] = (),
    documentation_text: str = "",
) -> list[str]:
    """Write a model as a package (a zip archive) that other programs can use and that this one reads back as it was.

    Percentiles become the standard step scale_range; the compression of bright pixels is part of the exported network, since no
    standard step says it. The network is there as a state dict with its source, which needs torch and NumPy only, and as
    TorchScript. Thresholds of the decoder are under `config.cytolineage`; other programs get what the network says.

    Args:
        model: with a U-Net of this program.
        path: archive to write (.zip); it appears only when complete.
        test_image: ([C,] [Z,] Y, X), real numbers; a part of it is the example in the package.
        name: of the model, 5 to 128 letters, digits, blanks or any of _+-().
        description: one or two sentences.
        authors: names, or mappings with name and, say, affiliation, orcid, github_user.
        license: SPDX identifier, such as "CC-BY-4.0".
        cite: mappings with text and doi or url.
        tags: words to find it by.
        documentation_text: the model card, Markdown.

    Returns:
        What other programs will do otherwise, and what could not be exported; one sentence each.

    Raises:
        ValueError: a model or an image that cannot be exported; says why.
    """
    _check(model, name, path)
    before = Steps(tuple(_preprocessing(model)), ("channel", *_space(model.network.config)))
    given = _example(np.asarray(test_image), model.network.config)
    finish, after = _finish(model.decoder)
    network = ExportedNetwork(copy.deepcopy(model.network), model.normalise.compress, finish).cpu().eval()
    normal = torch.from_numpy(np.asarray(before.apply(given, given), np.float32))[None]
    with torch.inference_mode():
        answer = network(normal)[0].numpy()
    answer = np.asarray(Steps(tuple(after), before.axes).apply(answer, given), np.float32)
    files = _weights(model, network, normal)
    files |= {"test_input.npy": _npy(given[None]), "test_output.npy": _npy(answer[None])}
    alone = given[0] if model.network.config.inputs == 1 else given
    files["cover.png"] = cover(given[0], model.predict(alone))
    remarks = _remarks(model, after, scripted="weights.torchscript.pt" in files)
    facts = {"name": name, "description": description, "finds": ", ".join(model.decoder.channels), "license": license}
    text = documentation(model.about, {k: v for k, v in facts.items() if v}, remarks, documentation_text)
    files["README.md"] = text.encode()
    said = _frame(files, name=name, description=description, authors=authors, license=license, cite=cite, tags=tags)
    said |= {"inputs": [_input(model, before, files)], "outputs": [_output(model, after, files)]}
    said["weights"] = _weight_entries(model, finish, files)
    said["config"] = _config(model, files)
    write_archive(path, {"rdf.yaml": yaml.safe_dump(said, sort_keys=False, allow_unicode=True, width=120).encode()} | files)
    return remarks


def is_savable(model: Segmenter) -> bool:
    """Say whether all parts of a model are of this program, so that it can be saved, trained further and exported.

    Args:
        model: any segmenter; those that use the TorchScript or the processing steps of a package live in that package only.
    """
    ours: tuple[type[Any], ...] = tuple(DECODERS.values())
    return type(model.network) is UNet and type(model.normalise) is Percentiles and type(model.decoder) in ours


def _check(model: Segmenter, name: str, path: str | Path) -> None:
    if not is_savable(model):
        raise ValueError(f"{name}: only models whose parts are of this program can be exported: this one lives in its package")
    if not re.fullmatch(r"[A-Za-z0-9_+\- ()]{5,128}", name):
        raise ValueError(f"name is {name!r}: give 5 to 128 letters, digits, blanks or any of _+-()")
    if Path(path).suffix != ".zip":
        raise ValueError(f"{path}: a package is a zip archive: let its name end in .zip")


def _space(config: UNetConfig) -> tuple[str, ...]:
    return ("z", "y", "x")[-config.dims :]


def _preprocessing(model: Segmenter) -> list[Step]:
    # each channel of each picture for itself; eps is what other programs use whatever is written here
    axes, normalise = list(_space(model.network.config)), model.normalise
    values = {"axes": axes, "min_percentile": normalise.low, "max_percentile": normalise.high, "eps": 1e-6}
    return [Step("scale_range", values)]


def _sides(config: UNetConfig) -> tuple[int, ...]:
    """The smallest sides that are described: a halo on either side and something between."""
    return config.sides([max(1, 2 * (halo - margin) + 1) for halo, margin in zip(_halos(config), config.margins, strict=True)])


def _halos(config: UNetConfig) -> tuple[int, ...]:
    """Halos as multiples of the divisors, so that blocks without their halos begin where the network's coarse pixels do."""
    if config.padding == "valid":
        return config.margins
    return tuple(-(-halo // divisor) * divisor for halo, divisor in zip(config.halos, config.divisors, strict=True))


def _example(image: AnyArray, config: UNetConfig) -> FloatArray:
    """The middle of a picture, mirrored where it is too small, in sides that the description allows."""
    check_finite(image)
    image = image[None] if image.ndim == config.dims else image
    if image.ndim != config.dims + 1 or image.shape[0] != config.inputs or 0 in image.shape:
        axes = f"{'Z, ' * (config.dims == 3)}Y, X)"
        wanted = f"({axes}" if config.inputs == 1 else f"(C, {axes} with {config.inputs} channels"
        raise ValueError(f"test_image has shape {image.shape}: the network takes {wanted}")
    least = _sides(config)
    place = []
    for side, low, step in zip(image.shape[1:], least, config.divisors, strict=True):
        length = low + max(0, (min(side, LARGEST) - low) // step) * step
        first = max(0, (side - length) // 2)
        place.append(slice(first, first + length))
    return np.ascontiguousarray(mirrored(image, tuple(place)), dtype=np.float32)


def _finish(decoder: Decoder) -> tuple[list[str], list[Step]]:
    """How the decoder reads each channel: as standard steps where all are read alike, else inside the network."""
    count = len(decoder.channels)
    probe = np.random.default_rng(0).normal(0, 3, (count, 4, 5)).astype(np.float32)
    said = decoder.read(probe)
    if np.allclose(said, expit(probe), atol=1e-5):
        return ["none"] * count, [Step("sigmoid")]
    if np.allclose(said, softmax(probe, axis=0), atol=1e-5):
        return ["none"] * count, [Step("softmax", {"axis": "channel"})]
    ways = {"none": probe, "sigmoid": expit(probe), "softplus": np.logaddexp(0, probe)}
    kinds = [next((k for k, way in ways.items() if np.allclose(way[i], said[i], atol=1e-5)), "none") for i in range(count)]
    return kinds, []


def _weights(model: Segmenter, network: ExportedNetwork, example: torch.Tensor) -> dict[str, bytes]:
    """The network in every format, and the pipeline as this program keeps it."""
    stream = io.BytesIO()
    torch.save({key: value.contiguous() for key, value in network.state_dict().items()}, stream)
    files = {"weights.pt": stream.getvalue(), "network.py": bundled(exported).encode()}
    if (script := _scripted(network, example)) is not None:
        files["weights.torchscript.pt"] = script
    with tempfile.TemporaryDirectory() as folder:
        tensors = model.network.state_dict().values()
        exact = all(torch.equal(value.half().float(), value) for value in tensors if value.ndim > 1)  # as in a file of half the size
        model.save(Path(folder) / "model.safetensors", half=exact)
        files["model.safetensors"] = (Path(folder) / "model.safetensors").read_bytes()
    return files


def _scripted(network: ExportedNetwork, example: torch.Tensor) -> bytes | None:
    """The network as TorchScript; None where what was recorded on one picture does not hold for another of another size."""
    config = network.unet.config
    other = example[..., : config.sides([1] * config.dims)[-1]] if config.padding == "valid" else example[..., : config.divisors[-1]]
    with warnings.catch_warnings(), torch.inference_mode(mode=False), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer warns of every Python number
        traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
        try:
            same = torch.allclose(traced(other), network(other), atol=1e-5)
        except RuntimeError:
            same = False
        if not same:
            return None
        stream = io.BytesIO()
        torch.jit.save(traced, stream)
    return stream.getvalue()


def _npy(values: FloatArray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=False)
    return stream.getvalue()


def _remarks(model: Segmenter, after: Sequence[Step], *, scripted: bool) -> list[str]:
    found = [
        "The package gives what the network says of every pixel; cells are found by the decoder, whose thresholds are under "
        "`config.cytolineage` and which `segmentation.modelzoo.read_package` brings back.",
        "scale_range divides by the range plus 0.000001; this program divides by the range. Pictures of integers do not feel it.",
        "Where almost all pixels are equal, so that both percentiles are, this program takes the extremes; scale_range does not.",
        "This program mirrors a picture up to sides that the network takes; other programs may pad otherwise, which is felt at the rim.",
    ]
    if model.normalise.compress > 0:
        found.append(f"The network begins with asinh({model.normalise.compress:g} x) / asinh({model.normalise.compress:g}).")
    if not after:
        found.append("The last nonlinearity is part of the network where there is one.")
    if not scripted:
        found.append("There is no TorchScript: what it records of one picture would not hold for pictures of other sizes.")
    return found


def _frame(files: Mapping[str, bytes], **said: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of the description
    people = [{"name": person} if isinstance(person, str) else dict(person) for person in said["authors"]]
    frame = {
        "type": "model",
        "format_version": FORMAT_VERSION,
        "name": said["name"],
        "description": said["description"],
        "authors": people,
        "cite": [dict(entry) for entry in said["cite"]],
        "license": said["license"],
        "tags": list(said["tags"]),
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    frame = {key: value for key, value in frame.items() if value}
    papers = {"documentation": _file("README.md", files), "covers": [_file("cover.png", files)]}
    return frame | papers | {"attachments": [_file("model.safetensors", files)]}


def _file(name: str, files: Mapping[str, bytes]) -> dict[str, str]:
    return {"source": name, "sha256": hashlib.sha256(files[name]).hexdigest()}


def _input(model: Segmenter, before: Steps, files: Mapping[str, bytes]) -> dict[str, Any]:
    config = model.network.config
    names = ["raw"] if config.inputs == 1 else [f"raw{i}" for i in range(config.inputs)]
    axes: list[dict[str, Any]] = [{"type": "batch"}, {"type": "channel", "channel_names": names}]
    for axis, least, step in zip(_space(config), _sides(config), config.divisors, strict=True):
        axes.append({"type": "space", "id": axis, "size": {"min": least, "step": step}})
    return {
        "id": "input",
        "axes": axes,
        "data": {"type": "float32"},
        "test_tensor": _file("test_input.npy", files),
        "preprocessing": [{"id": step.name, "kwargs": dict(step.values)} for step in before.steps],
    }


def _output(model: Segmenter, after: Sequence[Step], files: Mapping[str, bytes]) -> dict[str, Any]:
    config = model.network.config
    axes: list[dict[str, Any]] = [{"type": "batch"}, {"type": "channel", "channel_names": list(model.decoder.channels)}]
    for axis, halo, margin in zip(_space(config), _halos(config), config.margins, strict=True):
        size: dict[str, Any] = {"tensor_id": "input", "axis_id": axis} | ({"offset": -2 * margin} if margin else {})
        axes.append({"type": "space", "id": axis, "size": size} | ({"halo": halo - margin} if halo > margin else {}))
    return {
        "id": "output",
        "axes": axes,
        "data": {"type": "float32"},
        "test_tensor": _file("test_output.npy", files),
        "postprocessing": [{"id": step.name} | ({"kwargs": dict(step.values)} if step.values else {}) for step in after],
    }


def _weight_entries(model: Segmenter, finish: Sequence[str], files: Mapping[str, bytes]) -> dict[str, Any]:
    version = torch.__version__.split("+")[0]
    values = {"compress": model.normalise.compress, "finish": list(finish), "network": _plain(asdict(model.network.config))}
    architecture = _file("network.py", files) | {"callable": exported_network.__name__, "kwargs": values}
    entries: dict[str, Any] = {
        "pytorch_state_dict": _file("weights.pt", files) | {"pytorch_version": version, "architecture": architecture}
    }
    if "weights.torchscript.pt" in files:
        script = _file("weights.torchscript.pt", files)
        entries["torchscript"] = script | {"pytorch_version": version, "parent": "pytorch_state_dict"}
    return entries


def _config(model: Segmenter, files: Mapping[str, bytes]) -> dict[str, Any]:
    return {
        "cytolineage": {
            "format": FORMAT,
            "model": _file("model.safetensors", files),
            "normalise": asdict(model.normalise),
            "decoder": _plain(described(model.decoder)),
        }
    }


def _plain(value: Any) -> Any:  # noqa: ANN401 - values that YAML can hold
    """Lists in place of tuples: what every reader of YAML understands."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value.item() if isinstance(value, np.generic) else value
