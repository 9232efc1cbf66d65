"""A model package -> a Segmenter: ours as it was, those of others where their network can be used (needs torch)."""

import io
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from scipy.special import expit
from torch import nn

from segmentation.arrays import AnyArray
from segmentation.checkpoints import check_numbers, fill, read_tensors
from segmentation.decoders import Decoder, usual
from segmentation.decoders.boundary import Boundary
from segmentation.modelzoo.archive import Package, open_package
from segmentation.modelzoo.description import Description, File, read_description
from segmentation.modelzoo.exported import exported_network
from segmentation.modelzoo.matching import fits
from segmentation.modelzoo.processing import Step, Steps
from segmentation.modelzoo.readout import Readout, understood
from segmentation.modelzoo.scripted import scripted
from segmentation.normalise import Percentiles
from segmentation.segmenter import Segmenter
from segmentation.segmenter import load as load_segmenter
from segmentation.unet import UNet

FORMAT = "cytolineage.package/1"
NEAR = 0.01  # by how much, relative to its range, the example of a package may be missed; other versions round differently


def load(name: str | Path = "nuclei-2d", *, device: str = "auto") -> Segmenter:
    """Load a segmenter, wherever it is: a shipped one by name, a saved one, or a model package.

    Args:
        name: "nuclei-2d", the path of a file that `Segmenter.save` wrote, or that of a package; see `read_package`.
        device: "auto", "cpu" or "cuda".
    """
    path = Path(name)
    if path.is_dir() or (path.is_file() and path.suffix in (".zip", ".yaml")):
        return read_package(path, device=device)
    return load_segmenter(name, device=device)


def read_package(path: str | Path, *, decoder: Decoder | str | None = None, device: str = "auto") -> Segmenter:
    """Read a model package (bioimage.io model description): an archive or a folder.

    A package that `write_package` made gives back the whole pipeline. Of others, the state dict is taken where it fits a U-Net of
    ours, else the TorchScript; either must reproduce the example in the package. State dicts load as tensors, nothing else;
    TorchScript is a programme, see `segmentation.modelzoo.scripted`. Python code in a package is never run, nothing is downloaded.

    Args:
        path: zip archive, folder, or the rdf.yaml in a folder.
        decoder: finds cells in what the network answers, or its name; None: chosen by the names of its channels. A name leaves the
            thresholds of a decoder of this name as they are in the package.
        device: "auto", "cpu" or "cuda".

    Raises:
        ValueError: no package, a damaged or changed one, or a model of a kind that is not used here; in one line.
    """
    package = open_package(path)
    try:
        return _read(package, decoder, device, Path(path).name)
    except (TypeError, KeyError, IndexError, AttributeError) as error:
        what = " ".join(str(error).split())[:120]
        raise ValueError(f"{package.path}: {package.description} cannot be understood ({type(error).__name__}: {what})") from None


def _read(package: Package, decoder: Decoder | str | None, device: str, file_name: str) -> Segmenter:
    """The model of a package that is open."""
    said = read_description(package)
    if said.ours:
        model = _own(package, said, device)
        return model if decoder is None else _redecoded(model, decoder, str(package.path))
    decoder = usual(decoder, len(said.picture.space)) if isinstance(decoder, str) else decoder
    try:
        wanted, picks = understood(said.answer.channels, decoder)
    except ValueError as error:
        raise ValueError(f"{package.path}: {error}") from None
    if len(said.picture.channels) > 1 and (joining := said.picture.steps.joining):
        raise ValueError(f"{package.path}: the preprocessing {joining[0]} does not treat every channel for itself: it is not used here")
    about = {"package": file_name, "name": said.name}
    found = _from_state(package, said) if "pytorch_state_dict" in said.weights else None
    if found is not None:
        network, finished = found
        readout = Readout(wanted, _after(said, finished), said.answer.channels, picks)
        return _ours(Segmenter(network, _normaliser(said), readout, about, device))
    if "torchscript" in said.weights:
        file = said.weights["torchscript"].file
        where = f"{package.path}: {file.name}"
        foreign = scripted(package.read(file.name, file.sha256), said.picture, said.answer, where)
        check_numbers(foreign.state_dict(), where)
        missed = _missed(package, said, foreign, said.answer.steps)
        if missed is not None and missed > NEAR:
            raise ValueError(f"{where} misses the example of the package by {missed:.2g} of its range: the package is not used")
        readout = Readout(wanted, said.answer.steps, said.answer.channels, picks)
        return Segmenter(cast(UNet, foreign), cast(Percentiles, said.picture.steps), readout, about, device)
    kinds = ", ".join(said.weights) or "none"
    reason = ", and its state dict is not that of a U-Net of ours with a verifiable example" if "pytorch_state_dict" in said.weights else ""
    raise ValueError(f"{package.path} has weights of the kinds {kinds}{reason}: pytorch_state_dict or torchscript is wanted")


def _redecoded(model: Segmenter, decoder: Decoder | str, where: str) -> Segmenter:
    """A model with another decoder, if that asks for what its network says; with its own, if only the name of that is given."""
    if isinstance(decoder, str):
        decoder = usual(decoder, model.network.config.dims)
        if type(decoder) is type(model.decoder):
            return model
    if decoder.channels != model.decoder.channels:
        asked, there = ", ".join(decoder.channels[:6]), ", ".join(model.decoder.channels[:6])
        raise ValueError(f"{where}: {type(decoder).__name__} asks for {asked}, but the network says {there}: leave the decoder out")
    return replace(model, decoder=decoder)


def _own(package: Package, said: Description, device: str) -> Segmenter:
    """The pipeline that this program wrote, from the safetensors in the package."""
    if said.ours.get("format") != FORMAT:
        raise ValueError(f"{package.path} is of format {said.ours.get('format')!r}: wanted is {FORMAT!r}")
    entry = said.ours.get("model")
    if not isinstance(entry, dict) or not isinstance(entry.get("source"), str) or not isinstance(entry.get("sha256"), str):
        raise ValueError(f"{package.path}: {package.description} does not name the model's file and its sha256")
    content = package.read(entry["source"], entry["sha256"])
    _check_others(package, said)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder) / "model.safetensors"
        scratch.write_bytes(content)
        try:
            model = Segmenter.load(scratch, device=device)
        except ValueError as error:
            raise ValueError(str(error).replace(str(scratch), f"{package.path}: {entry['source']}")) from None
    check_numbers(model.network.state_dict(), f"{package.path}: {entry['source']}")
    _check_same(package, said, model, entry["source"])
    return model


def _check_others(package: Package, said: Description) -> None:
    """Refuse a package of ours of which any described file was changed: nobody could say which of them is meant.

    Raises:
        ValueError: a file is not what its sha256 says; names it.
    """
    tests = [tensor.test for tensor in (said.picture, said.answer) if tensor.test is not None]
    for file in [*(weights.file for weights in said.weights.values()), *tests]:
        package.read(file.name, file.sha256)
    for weights in said.weights.values():
        source, sha256 = weights.architecture.get("source"), weights.architecture.get("sha256")
        if isinstance(source, str):
            package.read(source, None if sha256 is None else str(sha256))


def _check_same(package: Package, said: Description, model: Segmenter, name: str) -> None:
    """Refuse a package of ours whose state dict has other weights than the model: another program has trained on.

    Raises:
        ValueError: they differ; names both files.
    """
    weights = said.weights.get("pytorch_state_dict")
    if weights is None:
        return
    where = f"{package.path}: {weights.file.name}"
    others = read_tensors(package.read(weights.file.name, weights.file.sha256), where)
    for key, tensor in model.network.state_dict().items():
        other = others.get(f"unet.{key}")
        if other is None or other.shape != tensor.shape or not torch.allclose(other.float(), tensor.cpu().float(), atol=1e-6):
            raise ValueError(f"{where} and {name} have other weights ({key}): one of them was changed, and nobody can say which is meant")


def _from_state(package: Package, said: Description) -> tuple[UNet, str] | None:
    """A U-Net of ours with the weights of the package, and the nonlinearity at its end; None where it is another network."""
    weights = said.weights["pytorch_state_dict"]
    where = f"{package.path}: {weights.file.name}"
    tensors = read_tensors(package.read(weights.file.name, weights.file.sha256), where)
    check_numbers(tensors, where)
    if weights.architecture.get("callable") == exported_network.__name__:
        return _exported(package, said, tensors, where), "none"
    inputs = [value.shape[1] for value in tensors.values() if value.ndim == len(said.picture.space) + 2][:1]
    if inputs and inputs[0] != len(said.picture.channels):
        raise ValueError(f"{where} is of a network with {inputs[0]} input channel(s): {len(said.picture.channels)} are described")
    for network in fits(tensors, len(said.answer.channels)):
        for finish in ("none", "sigmoid"):
            missed = _missed(package, said, network, _after(said, finish))
            if missed is not None and missed <= NEAR:
                return network, finish
    return None


def _exported(package: Package, said: Description, tensors: dict[str, torch.Tensor], where: str) -> UNet:
    """The U-Net of a package whose architecture is ours but whose description another program has rewritten."""
    values = said.weights["pytorch_state_dict"].architecture.get("kwargs") or {}
    try:
        network = exported_network(**values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {' '.join(str(error).split())[:160]}") from None
    fill(network, tensors, where)
    missed = _missed(package, said, network, said.answer.steps)
    if network.compress or any(kind != "none" for kind in network.finish) or missed is None or missed > NEAR:
        raise ValueError(f"{package.path} was rewritten by another program and lost what brings the pipeline back: ask for the original")
    return network.unet.eval()


def _after(said: Description, finish: str) -> Steps:
    """Postprocessing with the nonlinearity that the foreign network held in itself."""
    steps = said.answer.steps
    return steps if finish == "none" else replace(steps, steps=(Step(finish), *steps.steps))


def _missed(package: Package, said: Description, network: nn.Module, after: Steps) -> float | None:
    """How far a network is from the example in the package, relative to its range; None where there is none."""
    if said.picture.test is None or said.answer.test is None:
        return None
    given, wanted = (_example(package, file, len(said.picture.space) + 2) for file in (said.picture.test, said.answer.test))
    before = np.asarray(said.picture.steps.apply(given[0], given[0]), np.float32)
    try:
        with torch.inference_mode():
            raw = network(torch.from_numpy(before)[None])[0].numpy()
    except (RuntimeError, ValueError):
        return None
    got = np.asarray(after.apply(raw, given[0]), np.float64)
    if any(a < b for a, b in zip(got.shape, wanted.shape[1:], strict=True)):
        return None
    cut = tuple(slice((a - b) // 2, (a - b) // 2 + b) for a, b in zip(got.shape, wanted.shape[1:], strict=True))  # the halo
    return float(np.abs(got[cut] - wanted[0]).max() / max(float(np.ptp(wanted)), 1e-6))


def _example(package: Package, file: File, axes: int) -> AnyArray:
    content = package.read(file.name, file.sha256)
    try:
        found = np.asarray(np.load(io.BytesIO(content), allow_pickle=False))
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{package.path}: {file.name} is no NPY file: {' '.join(str(error).split())[:120]}") from None
    if found.ndim != axes or len(found) != 1 or found.dtype.kind not in "biuf":
        got = f"shape {found.shape} and dtype {found.dtype}"
        raise ValueError(f"{package.path}: {file.name} has {got}: one picture with {axes} axes is wanted")
    return found


def _normaliser(said: Description) -> Percentiles:
    """Ours where it says the same as the steps of the package, else those steps."""
    steps = [step for step in said.picture.steps.steps if step.name != "ensure_dtype" or step.values["dtype"] not in ("float32", "float64")]
    if len(steps) == 1 and steps[0].name == "scale_range":
        values = steps[0].values
        axes = [name for name in values.get("axes") or ("channel", *said.picture.space) if name != "batch"]
        per_channel = sorted(axes) == sorted(said.picture.space) or len(said.picture.channels) == 1
        if per_channel and set(axes) >= set(said.picture.space) and values.get("reference_tensor") is None:
            return Percentiles(float(values.get("min_percentile", 0.0)), float(values.get("max_percentile", 100.0)), compress=0.0)
    return cast(Percentiles, said.picture.steps)


def _ours(model: Segmenter) -> Segmenter:
    """Take the decoder itself where the network's answers are what it reads: such a model can be saved and trained further."""
    readout = cast(Readout, model.decoder)
    steps = [step.name for step in readout.steps.steps if step.name != "ensure_dtype"]
    probe = np.linspace(-6, 6, len(readout.names), dtype=np.float32).reshape(-1, *[1] * model.network.config.dims)
    if steps != ["sigmoid"]:
        return model
    if readout.picks == tuple(range(len(readout.decoder.channels))) and len(readout.names) == len(readout.picks):
        same = np.allclose(readout.decoder.read(probe), expit(probe), atol=1e-6)
        return replace(model, decoder=readout.decoder) if same else model
    if isinstance(readout.decoder, Boundary) and len(readout.picks) == 2:
        return replace(model, network=_with_third(model.network, readout.picks), decoder=replace(readout.decoder, levels=()))
    return model


def _with_third(network: UNet, picks: tuple[int, ...]) -> UNet:
    """The network with foreground, boundary and a distance that is the same everywhere and so decides nothing."""
    wider = UNet(replace(network.config, outputs=3))
    tensors = network.state_dict()
    for key in ("head.weight", "head.bias"):
        rows = tensors[key][list(picks)]
        tensors[key] = torch.cat([rows, torch.zeros_like(rows[:1])])
    wider.load_state_dict(tensors)
    return wider.eval()
