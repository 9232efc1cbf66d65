"""Train a segmenter from folders of labelled pictures and report how good it is (needs torch).

From a shell: `python -m segmentation.training FOLDER ... -o model.safetensors --minutes 30`.
"""

import argparse
import hashlib
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from segmentation.arrays import AnyArray, IntArray
from segmentation.classical import classical
from segmentation.fit import Progress, Schedule, silent
from segmentation.patches import FEED, Feed, Files, find_pairs
from segmentation.quality import scores, seg
from segmentation.segmenter import Segmenter, load

EVERY = 500  # batches between two looks at the validation pictures
AVERAGE = 0.998  # of the running mean of the weights: about the last 500 batches
GLANCE = 24  # validation pictures that choose the checkpoint; all of them tune the thresholds


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
    train: Files
    validation: Files
    test: Files


def split(folder: str | Path) -> Split:
    """Split a folder for training.

    `images/ + labels/`: an image is for validation when int(sha1(name), 16) % 10 is 2 or 3, for training otherwise.
    A Challenge sequence: the first half in time is for training, every tenth frame of it for validation,
    and the second half for the test.

    Args:
        folder: see `segmentation.patches.find_pairs`.
    """
    files = find_pairs(folder)
    rows = range(len(files))
    film = not (Path(folder) / "images").is_dir()
    early = [i for i in rows if i < (len(files) + 1) // 2 or not film]
    held = [i for i in early if (i % 10 == 5 if film else _bucket(files.images[i].stem) in (2, 3))]
    learn = [i for i in early if i not in set(held)]
    if not learn:
        raise ValueError(f"{folder} leaves no picture to learn from: {len(files)} pictures are too few")
    late = [i for i in rows if i not in set(early)]
    return Split("/".join(Path(folder).resolve().parts[-2:]), files.only(learn), files.only(held), files.only(late))


def train_segmentation(  # noqa: PLR0913 (keyword-only)
    folders: Sequence[str | Path],
    output: str | Path,
    *,
    minutes: float | None = 30.0,
    steps: int = 100_000,
    feed: Feed = FEED,
    init: str | Path | None = None,
    half: bool = False,
    device: str = "auto",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Train a segmenter and write it, its scores and its training log.

    Args:
        folders: labelled pictures, see `split`.
        output: model file (.safetensors); beside it appear `<stem>.json` (the scores) and `<stem>.log/`.
        minutes: largest duration of the training proper; None: only `steps` counts.
        steps: largest number of batches.
        feed: how batches are drawn and changed; holds the seed.
        init: a saved segmenter (path or shipped name) to go on from; None: a new one.
        half: train in bfloat16.
        device: "auto", "cpu", "cuda".
        progress: draws a bar; silent by default.

    Returns:
        The scores, as in the JSON file.
    """
    output = Path(output)
    _check_request(folders, output)
    parts = [split(folder) for folder in folders]
    validation = [part.validation[i] for part in parts for i in range(len(part.validation))]
    glance = validation[:: max(1, -(-len(validation) // GLANCE))]
    began = time.monotonic()
    first = Segmenter.new(seed=feed.seed, device=device) if init is None else load(init, device=device)
    model = first.finetune(
        [part.train for part in parts],
        validation=glance,
        schedule=Schedule(steps=steps, minutes=minutes, half=half, average=AVERAGE, every=EVERY),
        feed=feed,
        folder=output.with_suffix(".log"),
        progress=progress,
    )
    spent = round((time.monotonic() - began) / 60, 1)
    if validation:
        model = model.tune(validation)
    model = replace(model, about=_about(parts, feed, minutes=spent, before=first.about))
    model.save(output)
    table = report(model, parts)
    output.with_suffix(".json").write_text(json.dumps(dict(model.about) | {"scores": table}, indent=1) + "\n")
    return table


def report(model: Segmenter, parts: Iterable[Split]) -> dict[str, dict[str, float]]:
    """Score a segmenter, and the classical one beside it, on the held-out pictures of each folder.

    Args:
        model: a trained segmenter.
        parts: splits of folders.

    Returns:
        One row of scores for each folder, held-out part and method.
    """
    methods: Mapping[str, Callable[[AnyArray], IntArray]] = {"model": model.predict, "classical": classical}
    table = {}
    for part, (method, predict) in itertools.product(parts, methods.items()):
        for kind, files in (("validation", part.validation), ("test", part.test)):
            pairs = [(labels, predict(image)) for image, labels in files]
            if pairs:
                table[f"{part.name} {kind} {method}"] = scores(pairs) | {"SEG": seg(pairs)}
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the training from a shell; gives the exit code.

    Args:
        arguments: words of the command line; default those of the process.
    """
    parser = argparse.ArgumentParser(prog="python -m segmentation.training", description=__doc__)
    parser.add_argument("folders", nargs="+", help="images/ + labels/, or a sequence NN beside NN_ST or NN_GT")
    parser.add_argument("-o", "--output", type=Path, required=True, help="model file to write (.safetensors)")
    parser.add_argument("--minutes", type=float, default=30.0, help="largest duration of the training")
    parser.add_argument("--steps", type=int, default=100_000, help="largest number of batches")
    parser.add_argument("--weights", type=float, nargs="+", help="how often each folder is drawn (default: equally)")
    parser.add_argument("--count", type=int, default=FEED.count, help="patches per batch")
    parser.add_argument("--side", type=int, default=FEED.side, help="side of a patch, pixels")
    parser.add_argument("--seed", type=int, default=0, help="of all randomness")
    parser.add_argument("--init", help="saved segmenter to go on from (default: a new one)")
    parser.add_argument("--half", action="store_true", help="train in bfloat16")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    options = vars(parser.parse_args(arguments))
    weights = options.pop("weights")
    drawn = {name: options.pop(name) for name in ("count", "side", "seed")}
    try:
        feed = Feed(weights=None if weights is None else tuple(weights), **drawn)
        train_segmentation(feed=feed, **options)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def _bucket(name: str) -> int:
    """The tenth, 0..9, into which the hash of a name falls."""
    return int(hashlib.sha1(name.encode()).hexdigest(), 16) % 10


def _check_request(folders: Sequence[str | Path], output: Path) -> None:
    """Refuse at the start what would fail at the end."""
    if not folders:
        raise ValueError("no folder to learn from: give at least one folder of labelled pictures")
    if output.suffix != ".safetensors" or not output.parent.is_dir():
        raise ValueError(f"{output} cannot be written: give a .safetensors file in a folder that exists")


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


if __name__ == "__main__":
    sys.exit(main())
