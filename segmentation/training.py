"""Train a segmenter from folders of labelled pictures and report how good it is (needs torch).

From a shell: `lineage train segmentation FOLDER ... -o model.safetensors --minutes 30`, or with
`python -m segmentation.training` in place of the first three words.
"""

import hashlib
import itertools
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from segmentation.arrays import AnyArray, IntArray
from segmentation.classical import classical
from segmentation.decoders import DECODERS, Decoder, decoder_named, usual
from segmentation.decoders.boundary import Boundary
from segmentation.finetuning import Freeze, names_cells, with_weights
from segmentation.fit import RESUME, Progress, Schedule, silent
from segmentation.hypotheses import calibrated
from segmentation.modelzoo import read_package
from segmentation.patches import FEED, Feed, Pair
from segmentation.quality import seg
from segmentation.segmenter import CONFIG, WEIGHTS, Segmenter, load
from segmentation.sources import Files, Film, find_pairs
from segmentation.tuning import judged
from segmentation.unet import UNetConfig
from segmentation.whole import whole_file

GLANCE = 24  # validation pictures that choose the checkpoint; all of them tune the thresholds
JUDGED = 60  # and so many of them say how probable its segments are
ENOUGH = 100  # cells in these, if they are to say it
GENTLE_RATE = 1e-3  # to go on from other weights
WORDS = "a share such as 0.2, every n-th picture such as 5, or a folder"


@dataclass(frozen=True)
class Split:
    """Which pictures of one folder are for what.

    Args:
        name: the last two parts of the path of the folder.
        train: pictures to learn from.
        validation: pictures that choose checkpoint and thresholds.
        test: pictures that nothing was chosen on; only used for the report.
    """

    name: str
    train: Files | Film
    validation: Files | Film
    test: Files | Film


def split(folder: str | Path, validation: float | int | None = None, *, gold: bool = False) -> Split:
    """Split a folder for training.

    Args:
        folder: see `segmentation.sources.find_pairs`.
        validation: which pictures are for validation.
            None, for pictures with names (`images/ + labels/`): those for which int(sha1(name), 16) % 10 is 2 or 3; for a
            film: the first half in time is for training, every tenth frame of it for validation, and the second half for the test.
            A share below 1: so many pictures by the hash of their names, so that one stays where it is when others come or go;
            of a film the last frames, since neighbours are too much alike. 0: none.
            A whole number n of at least 2: every n-th picture.
        gold: learn from gold cells where a Challenge sequence has them beside silver ones; the other parts stay as they are.

    Raises:
        ValueError: nothing is left to learn from, or no such way to split.
    """
    files = find_pairs(folder)
    rows, film = range(len(files)), isinstance(files, Film) or not (Path(folder) / "images").is_dir()
    early = [i for i in rows if validation is not None or i < (len(files) + 1) // 2 or not film]
    held = [i for i in early if _held(i, files, validation, film=film)]
    learn = [i for i in early if i not in set(held)]
    if not learn:
        raise ValueError(f"{folder} leaves no picture to learn from: {len(files)} pictures are too few")
    late = [i for i in rows if i not in set(early)]
    taught = find_pairs(folder, gold=True) if gold else files
    return Split("/".join(Path(folder).resolve().parts[-2:]), taught.only(learn), files.only(held), files.only(late))


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
    config: UNetConfig = CONFIG,
    init: str | Path | None = None,
    decoder: str | None = None,
    freeze: Freeze = (),
    narrow: float | None = None,
    rate: float | None = None,
    validation: str | float | None = None,
    gold: bool = False,
    half: bool | None = None,
    device: str = "auto",
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
        config: shape of a new network; number of axes and of channels follow from the pictures.
        init: weights to go on from, see `start`; None: new ones.
        decoder: method to find the cells, one of `segmentation.decoders.DECODERS`; default that of `init`, else boundary.
        freeze: what of `init` stays as it is; see `Segmenter.finetune`.
        narrow: how much more the ground between touching cells counts, see `segmentation.decoders.boundary.Boundary`; default
            as `init` had it, else 0.
        rate: highest learning rate; default 2e-3 for new weights and 1e-3 to go on from others.
        validation: see `split`; or the path of a folder with pictures for validation alone.
        gold: learn from gold cells where a Challenge sequence has them beside silver ones; see `segmentation.sources.laid_over`.
        half: train with 16-bit floats; None: on a GPU only.
        device: "auto", "cpu", "cuda".
        resume: go on where the same command was stopped.
        progress: draws a bar; silent by default.

    Returns:
        The scores, as in the JSON file.
    """
    output = Path(output)
    log = output.with_suffix(".log")
    _check_request(folders, output, decoder, log=log if resume else None)
    parts = _parts(folders, validation, gold=gold)
    pictures = [part.validation[i] for part in parts for i in range(len(part.validation))]
    glance = pictures[:: max(1, -(-len(pictures) // GLANCE))]
    began = time.monotonic()
    config = _fitting(config, parts[0].train)
    first = Segmenter.new(config, seed=feed.seed, device=device) if init is None else _fitting_start(init, config, device)
    first, method = _start_and_method(decoder, first, narrow)
    model = first.finetune(
        [part.train for part in parts],
        validation=glance,
        schedule=Schedule(steps=steps, minutes=minutes, half=half, average=0.998, every=min(500, max(10, steps // 10))),
        feed=feed,
        freeze=freeze,
        rate=GENTLE_RATE if rate is None and init is not None else rate,
        decoder=method,
        inputs=config.inputs,
        folder=log,
        progress=progress,
        resume=resume,
    )
    spent = round((time.monotonic() - began) / 60, 1)
    model = model.tune(pictures) if pictures else model
    model = _aware(replace(model, about=_about(parts, feed, minutes=spent, before=first.about)), pictures)
    model.save(output)
    table = report(model, parts)
    _write_json(output.with_suffix(".json"), dict(model.about) | {"scores": table})
    return table


def _aware(model: Segmenter, pictures: Sequence[Pair]) -> Segmenter:
    """The model with probabilities for its segments (see `segmentation.hypotheses`); as it is where decoder or pictures cannot give any."""
    some = pictures[:: max(1, -(-len(pictures) // JUDGED))]
    if "foreground" not in model.decoder.channels or sum(len(np.unique(labels[labels > 0])) for _, labels in some) < ENOUGH:
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
        scratch.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def _is_whole(path: Path) -> bool:
    """Whether a safetensors file is a segmenter, or damaged (then its reader says so), and not just weights."""
    try:
        with safe_open(path, "pt") as file:
            return "cytolineage" in (file.metadata() or {})
    except (SafetensorError, OSError):
        return True


def _held(row: int, files: Files | Film, validation: float | int | None, *, film: bool) -> bool:
    """Whether a picture is for validation."""
    name = files.names[row]
    if validation is None:
        return row % 10 == 5 if film else _hash(name) % 10 in (2, 3)
    if 0 <= validation < 1:
        return row >= round(len(files) * (1 - validation)) if film else _hash(name) % 1000 < 1000 * validation
    if validation < 2 or validation != int(validation):
        raise ValueError(f"validation is {validation}: give {WORDS}")
    return row % int(validation) == int(validation) - 1


def _hash(name: str) -> int:
    """A number that depends on the name alone."""
    return int(hashlib.sha1(name.encode()).hexdigest(), 16)


def _parts(folders: Sequence[str | Path], validation: str | float | None, *, gold: bool) -> list[Split]:
    """Split all folders; a folder for validation alone is one more part, without pictures to learn from."""
    try:
        share = None if validation is None else float(validation)
    except ValueError:
        if not Path(str(validation)).exists():
            raise ValueError(f"validation is {validation}: give {WORDS}") from None
        other = find_pairs(str(validation))
        none = other.only([])
        own = Split("/".join(Path(str(validation)).resolve().parts[-2:]), none, other, none)
        first, *more = [split(folder, 0.0, gold=gold) for folder in folders]
        return [replace(first, validation=own.validation), *more]
    return [split(folder, share, gold=gold) for folder in folders]


def _start_and_method(name: str | None, first: Segmenter, narrow: float | None) -> tuple[Segmenter, Decoder | None]:
    """The first segmenter and the decoder that is asked for; None, and it is that of the segmenter, if none is and its outputs will do."""
    method = _method(name, first, narrow)
    if name is None and method.channels == first.decoder.channels:
        return replace(first, decoder=method), None
    return first, method


def _method(name: str | None, first: Segmenter, narrow: float | None) -> Decoder:
    """The decoder that is named; else that of the first weights, if it is one of ours."""
    ours = isinstance(first.decoder, tuple(DECODERS.values()))
    method = usual(name, first.network.config.dims) if name is not None else first.decoder if ours else Boundary()
    if narrow is None:
        return method
    if not isinstance(method, Boundary):
        raise ValueError(f"narrow is {narrow}: only the decoder boundary knows it, not {type(method).__name__}; leave it out")
    return replace(method, narrow=narrow)


def _fitting(config: UNetConfig, files: Files | Film) -> UNetConfig:
    """The network for pictures of so many axes and channels."""
    image, labels = files[0]
    return replace(config, dims=labels.ndim, inputs=image.shape[0] if image.ndim > labels.ndim else 1)


def _fitting_start(init: str | Path, config: UNetConfig, device: str) -> Segmenter:
    """The segmenter to go on from, if it is for as many axes as the pictures have."""
    first = start(init, device=device)
    if first.network.config.dims != config.dims:
        raise ValueError(f"{init} works in {first.network.config.dims}D, the pictures are {config.dims}D: give other weights, or none")
    return first


def _first_channel(image: AnyArray, labels: IntArray) -> AnyArray:
    return image[0] if image.ndim > labels.ndim else image


def _check_request(folders: Sequence[str | Path], output: Path, decoder: str | None, *, log: Path | None) -> None:
    """Refuse at the start what would fail at the end."""
    if not folders:
        raise ValueError("no folder to learn from: give at least one folder of labelled pictures")
    if output.suffix != ".safetensors" or not output.parent.is_dir():
        raise ValueError(f"{output} cannot be written: give a .safetensors file in a folder that exists")
    if decoder is not None:
        decoder_named(decoder)
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
