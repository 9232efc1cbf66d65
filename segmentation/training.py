"""Train a segmenter from folders of labelled pictures and report how good it is (needs torch).

From a shell: `lineage train segmentation FOLDER ... -o model.safetensors --minutes 30`, or with
`python -m segmentation.training` in place of the first three words.
"""

import itertools
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from segmentation.arrays import AnyArray, IntArray
from segmentation.classical import classical
from segmentation.decoders import DECODERS, Decoder, decoder_named, names_cells, usual
from segmentation.decoders.boundary import Boundary
from segmentation.decoders.classes import Classes
from segmentation.finetuning import Freeze, with_weights
from segmentation.fit import RESUME, Progress, Schedule, silent
from segmentation.hypotheses import calibrated
from segmentation.modelzoo import read_package
from segmentation.patches import FEED, Feed, Pair
from segmentation.quality import seg
from segmentation.segmenter import CONFIG, WEIGHTS, Segmenter, load
from segmentation.sources import Files, Film
from segmentation.splitting import Split, judged_later, parts_of
from segmentation.tuning import judged
from segmentation.unet import UNetConfig
from segmentation.whole import whole_file

GLANCE = 24  # validation pictures that choose the checkpoint; all of them tune the thresholds
JUDGED = 60  # and so many of them say how probable its segments are
ENOUGH = 100  # cells in these, if they are to say it
GENTLE_RATE = 1e-3  # to go on from other weights


def start(init: str | Path, *, like: Segmenter | None = None, device: str = "auto") -> Segmenter:
    """Find the segmenter to go on from.

    Args:
        init: a shipped name; a file that `Segmenter.save` wrote; a bioimage.io package (a .zip, or a folder with rdf.yaml);
            or a state dict of the architecture of `like` (.safetensors, .pt, .pth), tensors only.
        like: gives architecture, normalisation and decoder to a bare state dict; default the shipped nuclei-2d.
        device: "auto", "cpu" or "cuda".

    Raises:
        ValueError: nothing there that could be gone on from; for a state dict, the first tensor that does not fit.
    """
    path = Path(init)
    if str(init) in {file.stem for file in WEIGHTS.glob("*.safetensors")} or not path.exists():
        return load(init, device=device)
    if path.is_dir() or path.suffix == ".zip":
        return replace(read_package(path), device=device)
    if path.suffix == ".safetensors" and _is_whole(path):
        return Segmenter.load(path, device=device)
    model = like or load("nuclei-2d")
    return replace(model, network=with_weights(model.network, path), about={"weights": path.name}, device=device)


def train_segmentation(  # noqa: PLR0913 (keyword-only)
    folders: Sequence[str | Path],
    output: str | Path,
    *,
    minutes: float | None = 30.0,
    steps: int = 100_000,
    feed: Feed = FEED,
    config: UNetConfig | None = None,
    init: str | Path | None = None,
    decoder: str | Decoder | None = None,
    freeze: Freeze = (),
    narrow: float | None = None,
    scale: Sequence[float] | None = None,
    rate: float | None = None,
    validation: str | float | None = None,
    gold: bool = False,
    half: bool | None = None,
    device: str = "auto",
    patience: int | None = None,
    resume: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Train a segmenter and write it, its scores and its training log.

    Whether the network works in 2D or 3D, and on how many channels, follows from the first picture.

    Args:
        folders: labelled pictures, see `split`.
        output: model file (.safetensors); beside it appear `<stem>.json` (the scores) and `<stem>.log/`. The model knows how probable its
            segments are where its decoder has a foreground: fitted to pictures for validation, for `segmentation.hypotheses`.
        minutes: largest duration of the training proper; None: only `steps` counts.
        steps: largest number of batches.
        feed: how batches are drawn and changed; holds the seed.
        config: shape of a new network, or of bare weights in `init`; number of axes and of channels follow from the pictures.
        init: weights to go on from, see `start`; None: new ones.
        decoder: method to find the cells, one of `segmentation.decoders.DECODERS`, or its name; default that of `init`, else boundary. With
            `Classes` labels are numbers of classes; of two classes, all labels above 0 are the second one.
        freeze: what of `init` stays as it is; see `Segmenter.finetune`.
        narrow: how much more the ground between touching cells counts, see `segmentation.decoders.boundary.Boundary`; default
            as `init` had it, else 0.
        scale: size of a pixel along ([z,] y, x), in any unit: what the decoder calls near (its `spacing`), and how stacks are turned, bent
            and blurred; default as `init` had it, and as `feed` says, else equal.
        rate: highest learning rate; default 2e-3 for new weights and 1e-3 to go on from others.
        validation: see `split`; or the path of a folder with pictures for validation alone.
        gold: learn from gold cells where a Challenge sequence has them beside silver ones; see `segmentation.sources.laid_over`.
        half: train with 16-bit floats; None: on a GPU only.
        device: "auto", "cpu", "cuda".
        patience: stop when so many validations in a row have not been better than the best one; None: never.
        resume: go on where the same command was stopped.
        progress: draws a bar; silent by default.

    Returns:
        The scores, as in the JSON file.
    """
    output, log = Path(output), Path(output).with_suffix(".log")
    _check_request(folders, output, decoder, log=log if resume else None, freeze=freeze, init=init)
    parts = parts_of(folders, validation, gold=gold, binary=_is_binary(decoder))
    shape = _fitting(config or CONFIG, parts[0].train)
    feed, wanted = _thick(feed, scale, shape.dims), usual(decoder, shape.dims) if isinstance(decoder, str) else decoder
    fresh = Segmenter.new(shape, decoder=wanted or Boundary(), seed=feed.seed, device=device)
    first, method = _start_and_method(wanted, fresh if init is None else _fitting_start(init, fresh, config), narrow, scale)
    pictures, began = judged_later(parts, method or first.decoder, shape.inputs), time.monotonic()
    model = first.finetune(
        [part.train for part in parts],
        validation=pictures[:: max(1, -(-len(pictures) // GLANCE))],
        schedule=Schedule(steps, minutes=minutes, half=half, average=0.998, every=min(500, max(10, steps // 10)), patience=patience),
        feed=feed,
        freeze=freeze,
        rate=GENTLE_RATE if rate is None and init is not None else rate,
        decoder=method,
        inputs=shape.inputs,
        folder=log,
        progress=progress,
        resume=resume,
    )
    spent = round((time.monotonic() - began) / 60, 1)
    model = model.tune(pictures) if pictures else model
    model = _aware(replace(model, about=_about(parts, feed, minutes=spent, before=first.about)), pictures)
    table = report(model, parts)
    model.save(output)
    _write_json(output.with_suffix(".json"), dict(model.about) | {"scores": table})
    return table


def _is_binary(decoder: str | Decoder | None) -> bool:
    """Whether there are two classes, so that whatever is labelled is the second one."""
    return decoder == "classes" or (isinstance(decoder, Classes) and len(decoder.names) == 2)


def _aware(model: Segmenter, pictures: Sequence[Pair]) -> Segmenter:
    """The model with probabilities for its segments (see `segmentation.hypotheses`); as it is where decoder or pictures cannot give any."""
    some = pictures[:: max(1, -(-len(pictures) // JUDGED))]
    foreground = names_cells(model.decoder) and "foreground" in model.decoder.channels
    if not foreground or sum(len(np.unique(labels[labels > 0])) for _, labels in some) < ENOUGH:
        return model
    try:
        return calibrated(model, some)
    except ValueError:  # no segment is false, or none is true
        return model


def report(model: Segmenter, parts: Iterable[Split]) -> dict[str, dict[str, float]]:
    """Score a segmenter, and the classical one beside it, on the held-out pictures of each folder.

    Args:
        model: a trained segmenter.
        parts: splits of folders.

    Returns:
        One row of scores for each folder, held-out part and method.
    """
    methods: dict[str, Callable[[AnyArray], IntArray]] = {"model": model.predict}
    cells = names_cells(model.decoder)
    if cells:
        methods["classical"] = classical
    table = {}
    for part, (method, predict) in itertools.product(parts, methods.items()):
        for kind, files in (("validation", part.validation), ("test", part.test)):
            pairs = [(labels, predict(image if method == "model" else _first_channel(image, labels))) for image, labels in files]
            if pairs:
                table[f"{part.name} {kind} {method}"] = judged(model.decoder, pairs) | ({"SEG": seg(pairs)} if cells else {})
    return table


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    with whole_file(path) as scratch:
        scratch.write_text(json.dumps(_finite(values), indent=1) + "\n", encoding="utf-8")


def _finite(value: Any) -> Any:  # noqa: ANN401 - JSON-able
    """The value with None in the place of numbers that are not finite, which JSON does not know."""
    if isinstance(value, Mapping):
        return {name: _finite(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _is_whole(path: Path) -> bool:
    """Whether a safetensors file is a segmenter, or damaged (then its reader says so), and not just weights."""
    try:
        with safe_open(path, "pt") as file:
            return "cytolineage" in (file.metadata() or {})
    except (SafetensorError, OSError):
        return True


def _thick(feed: Feed, scale: Sequence[float] | None, dims: int) -> Feed:
    """The feed with stacks changed as their thickness wants it."""
    if scale is None:
        return feed
    if len(scale) != dims or not all(0 < size < math.inf for size in scale):
        raise ValueError(f"scale is {tuple(scale)}: give the positive size of a pixel along each of the {dims} axes of the pictures")
    thick = scale[0] / (math.prod(scale[1:]) ** 0.5) if dims == 3 else 1.0
    return replace(feed, warp=replace(feed.warp, anisotropy=thick), shade=replace(feed.shade, anisotropy=thick))


def _start_and_method(
    asked: Decoder | None, first: Segmenter, narrow: float | None, scale: Sequence[float] | None
) -> tuple[Segmenter, Decoder | None]:
    """The first segmenter and the decoder that is asked for; None, and it is that of the segmenter, if none is and its outputs will do."""
    method: Any = _method(asked, first, narrow)
    if scale is not None and hasattr(method, "spacing"):
        method = replace(method, spacing=tuple(size / min(scale) for size in scale))
    if asked is None and method.channels == first.decoder.channels:
        return replace(first, decoder=method), None
    return first, method


def _method(asked: Decoder | None, first: Segmenter, narrow: float | None) -> Decoder:
    """The decoder that is asked for; else that of the first weights, if it is one of ours."""
    ours = isinstance(first.decoder, tuple(DECODERS.values()))
    method = asked if asked is not None else first.decoder if ours else Boundary()
    if narrow is None:
        return method
    if not isinstance(method, Boundary):
        raise ValueError(f"narrow is {narrow}: only the decoder boundary knows it, not {type(method).__name__}; leave it out")
    return replace(method, narrow=narrow)


def _fitting(config: UNetConfig, files: Files | Film) -> UNetConfig:
    """The network for pictures of so many axes and channels."""
    image, labels = files[0]
    return replace(config, dims=labels.ndim, inputs=image.shape[0] if image.ndim > labels.ndim else 1)


def _fitting_start(init: str | Path, fresh: Segmenter, asked: UNetConfig | None) -> Segmenter:
    """The segmenter to go on from, if it is for as many axes as a new one would be, and of the shape that is asked for."""
    first = start(init, like=fresh, device=fresh.device)
    own, dims = first.network.config, fresh.network.config.dims
    if own.dims != dims:
        raise ValueError(f"{init} works in {own.dims}D, the pictures are {dims}D: give other weights, or none")
    if asked is not None and (own.width, own.depth) != (asked.width, asked.depth):
        raise ValueError(f"{init} has width {own.width} and depth {own.depth}, which cannot be changed: leave width and depth out")
    return first


def _first_channel(image: AnyArray, labels: IntArray) -> AnyArray:
    return image[0] if image.ndim > labels.ndim else image


def _check_request(
    folders: Sequence[str | Path],
    output: Path,
    decoder: str | Decoder | None,
    *,
    log: Path | None,
    freeze: Freeze,
    init: str | Path | None,
) -> None:
    """Refuse at the start what would fail at the end."""
    if not folders:
        raise ValueError("no folder to learn from: give at least one folder of labelled pictures")
    if output.suffix != ".safetensors" or not output.parent.is_dir():
        raise ValueError(f"{output} cannot be written: give a .safetensors file in a folder that exists")
    if isinstance(decoder, str):
        decoder_named(decoder)
    if freeze and init is None:
        raise ValueError(f"freeze is {freeze!r}, but new weights know nothing worth keeping: give init, or leave freeze out")
    if log is not None and not (log / RESUME).is_file():
        raise ValueError(f"there is nothing to resume: {log / RESUME} is not there; begin anew, without resume")


def _about(parts: Sequence[Split], feed: Feed, *, minutes: float, before: Mapping[str, Any]) -> dict[str, Any]:
    """What a model remembers of its training."""
    sizes = {p.name: {"train": len(p.train), "validation": len(p.validation), "test": len(p.test)} for p in parts}
    return {
        "folders": sizes,
        "feed": asdict(feed),
        "minutes": minutes,
        "torch": torch.__version__,
        "before": dict(before),
    }
