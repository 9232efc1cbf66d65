"""Train a denoiser, write it, and report how good it is on pictures that it has not seen (needs torch).

From a shell: `python -m restoration.training GOOD... --pairs LOW HIGH -o model.safetensors --minutes 60` learns from good pictures, made
noisy by simulation, and from real pairs. `lineage train restoration` does the same and more for films of any kind.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from restoration.care import Care
from restoration.denoiser import Denoiser, load
from restoration.dose import LowDose
from restoration.method import Method
from restoration.patches import Feed
from restoration.quality import psnr, si_psnr
from restoration.views import Listed, View, pairs_of
from segmentation.arrays import AnyArray
from segmentation.fit import Progress, Schedule, silent
from segmentation.unet import UNetConfig

SHARES = (4, 1, 1)  # of real pairs, in this order: to learn from, to choose the checkpoint, to report on


@dataclass(frozen=True, eq=False)
class Stock:
    """What a denoiser of nuclei learns from.

    Args:
        learn: views to learn from.
        choose: views that choose the checkpoint.
        report: views that nothing is chosen by.
        about: how many of which, for the record.
    """

    learn: Listed
    choose: Listed
    report: Listed
    about: dict[str, Any]


def stock(good: Sequence[str | Path], pairs: Sequence[tuple[str | Path, str | Path]] = ()) -> Stock:
    """Gather good pictures and real pairs, and hold some of each out.

    Args:
        good: folders of TIFFs. A sequence of the Cell Tracking Challenge (its name is a number) gives its first half in time to learn
            from, of which every tenth frame chooses, and every tenth frame of its second half for the report. Of other pictures those
            with int(sha1(name), 16) % 10 = 2 choose, and those with 3 are for the report.
        pairs: files of noisy and good stacks (n, Y, X), frame by frame the same place; the first four sixths are to learn from, the
            next one chooses, the last one is for the report.
    """
    parts: list[tuple[Listed, Listed, Listed]] = []
    about = {}
    for folder in map(Path, good):
        parts.append(_good(folder))
        about["/".join(folder.resolve().parts[-2:])] = [len(views) for views in parts[-1]]
    for low, high in pairs:
        views = pairs_of(_zipped(low, high))
        edges = [len(views) * sum(SHARES[:k]) // sum(SHARES) for k in range(len(SHARES) + 1)]
        learn, choose, last = (views.only(range(a, b)) for a, b in itertools.pairwise(edges))
        parts.append((learn, choose, last))
        about[Path(low).name] = [len(views) for views in parts[-1]]
    if not parts:
        raise ValueError("nothing to learn from: give folders of good pictures, or --pairs LOW HIGH")
    if empty := [name for name, counts in about.items() if 0 in counts]:
        raise ValueError(f"{empty[0]} has too few pictures to hold some out: {about[empty[0]]} to learn, choose and report")
    most = max(len(learn) for learn, _, _ in parts)
    learn = joined([again(learn, most) for learn, _, _ in parts])
    return Stock(learn, joined([choose for _, choose, _ in parts]), joined([last for _, _, last in parts]), about)


def train_restoration(  # noqa: PLR0913 (keyword-only)
    data: Any,  # noqa: ANN401 - arrays of any library
    output: str | Path,
    *,
    method: str | Method = "noise2void",
    minutes: float | None = 30.0,
    steps: int = 100_000,
    validation: Any = None,  # noqa: ANN401 - as data
    simulate: LowDose | None = None,
    feed: Feed | None = None,
    config: UNetConfig | None = None,
    init: str | Path | None = None,
    half: bool | None = None,
    device: str = "auto",
    about: dict[str, Any] | None = None,
    progress: Progress = silent,
) -> Denoiser:
    """Train a denoiser and write it; the training log lies in `<stem>.log/` beside it.

    Args:
        data: see `Denoiser.train`.
        output: model file (.safetensors).
        method: "care", "noise2noise", "noise2void" or one of them with settings.
        minutes: largest duration; None: only `steps` counts.
        steps: largest number of batches.
        validation: see `Denoiser.train`.
        simulate: makes the noisy pictures of good ones, each time others.
        feed: how patches are drawn; holds the seed.
        config: shape of the network.
        init: a saved denoiser (path or shipped name) to go on from.
        half: train with 16-bit floats; None: on a GPU only.
        device: "auto", "cpu", "cuda".
        about: what else to remember.
        progress: draws a bar; silent by default.
    """
    output = Path(output)
    if output.suffix != ".safetensors" or not output.absolute().parent.is_dir():
        raise ValueError(f"{output} cannot be written: give a .safetensors file in a folder that exists")
    began = time.monotonic()
    first = None if init is None else load(init, device=device)
    model = Denoiser.train(
        data,
        method=method,
        validation=validation,
        init=first,
        config=config,
        schedule=Schedule(steps=steps, minutes=minutes, rate=1e-3, decay=0.0, every=250, average=0.995, half=half),
        feed=feed,
        simulate=simulate,
        folder=output.with_suffix(".log"),
        progress=progress,
        device=device,
    )
    spent = round((time.monotonic() - began) / 60, 1)
    model = replace(model, about={**model.about, "minutes": spent, **(about or {})})
    model.save(output)
    return model


def report(model: Denoiser, views: Listed) -> dict[str, float]:
    """Score a denoiser on pairs: the mean over pictures, in decibels, of the noisy and of the denoised one.

    Args:
        model: a trained denoiser.
        views: pairs (noisy, wanted), not those of the training.

    Returns:
        psnr (range: largest minus smallest value of the wanted picture) and si_psnr, before and after.
    """
    rows = []
    for k in range(len(views)):
        noisy, wanted = (picture[0] for picture in views[k])
        span = float(np.ptp(wanted.astype(np.float64)))
        clean = model.predict(noisy)
        rows.append([f(p, wanted, **r) for p in (noisy, clean) for f, r in ((psnr, {"data_range": span}), (si_psnr, {}))])
    names = ("psnr_noisy", "si_psnr_noisy", "psnr", "si_psnr")
    return dict(zip(names, (float(v) for v in np.mean(rows, axis=0)), strict=True))


def simulated(views: Listed, seed: int) -> Listed:
    """Views of good pictures with simulated noisy ones, always the same: for judging.

    Args:
        views: views whose noisy and wanted picture are the same.
        seed: another seed, other noise.
    """
    return Listed(len(views), lambda row: LowDose()(views[row], np.random.default_rng((seed, row))))


def joined(parts: Sequence[Listed]) -> Listed:
    """Several collections of views as one.

    Args:
        parts: in this order.
    """
    ends = np.cumsum([len(part) for part in parts])

    def make(row: int) -> View:
        part = int(np.searchsorted(ends, row, side="right"))
        return parts[part][row - int(ends[part]) + len(parts[part])]

    return Listed(int(ends[-1]), make)


def again(views: Listed, count: int) -> Listed:
    """The views, repeated until there are about so many: every collection is then drawn from equally often.

    Args:
        views: at least one.
        count: how many there shall be.
    """
    times = max(1, round(count / len(views)))
    return views.only([row for _ in range(times) for row in range(len(views))])


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the denoiser of nuclei from a shell; gives the exit code.

    Args:
        arguments: words of the command line; default those of the process.
    """
    parser = argparse.ArgumentParser(prog="python -m restoration.training", description=__doc__)
    parser.add_argument("good", nargs="*", help="folders of good pictures, made noisy by simulation")
    parser.add_argument("--pairs", nargs=2, action="append", default=[], metavar=("LOW", "HIGH"), help="stacks of real pairs")
    parser.add_argument("-o", "--output", type=Path, required=True, help="model file to write (.safetensors)")
    parser.add_argument("--minutes", type=float, default=60.0, help="largest duration of the training")
    parser.add_argument("--steps", type=int, default=100_000, help="largest number of batches")
    parser.add_argument("--width", type=int, default=16, help="features of the network on its finest level")
    parser.add_argument("--depth", type=int, default=3, help="how often it makes the picture coarser")
    parser.add_argument("--count", type=int, default=16, help="patches per batch")
    parser.add_argument("--side", type=int, default=64, help="side of a patch, pixels")
    parser.add_argument("--seed", type=int, default=0, help="of all randomness")
    parser.add_argument("--init", help="saved denoiser to go on from")
    parser.add_argument("--half", action="store_true", default=None, help="train with 16-bit floats")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    options = vars(parser.parse_args(arguments))
    try:
        goods = stock(options.pop("good"), options.pop("pairs"))
        way = Care(error="squared", brightness="matched", width=options.pop("width"), depth=options.pop("depth"))
        feed = replace(way.feed, signal=0.6, **{name: options.pop(name) for name in ("count", "side", "seed")})
        facts = {"pictures": goods.about, "simulate": "LowDose()"}
        model = train_restoration(goods.learn, method=way, validation=goods.choose, simulate=LowDose(), feed=feed, about=facts, **options)
        table = report(model, goods.report)
        replace(model, about={**model.about, "held_out": table}).save(options["output"], half=True)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(json.dumps(table) + "\n")
    return 0


def _bucket(name: str) -> int:
    """The tenth, 0..9, into which the hash of a name falls."""
    return int(hashlib.sha1(name.encode()).hexdigest(), 16) % 10


def _good(folder: Path) -> tuple[Listed, Listed, Listed]:
    """The pictures of a folder to learn from, to choose by and to report on."""
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".tif", ".tiff")) if folder.is_dir() else []
    if not paths:
        raise ValueError(f"{folder} has no TIFF: give a folder of good pictures")
    if folder.name.isdigit():
        half = (len(paths) + 1) // 2
        choose, last = paths[5:half:10], paths[half + 5 :: 10]
        learn = [p for p in paths[:half] if p not in set(choose)]
    else:
        choose, last = ([p for p in paths if _bucket(p.stem) == tenth] for tenth in (2, 3))
        learn = [p for p in paths if _bucket(p.stem) not in (2, 3)]
    return _pictures(learn), simulated(_pictures(choose), 0), simulated(_pictures(last), 1)


def _pictures(paths: Sequence[Path]) -> Listed:
    """Good pictures as views, the same picture shown and wanted."""

    def make(row: int) -> View:
        picture = tifffile.imread(paths[row])[None]
        if picture.ndim != 3:
            raise ValueError(f"{paths[row]} has shape {picture.shape[1:]}: give grey pictures (Y, X)")
        return picture, picture

    return Listed(len(paths), make)


def _zipped(low: str | Path, high: str | Path) -> list[tuple[AnyArray, AnyArray]]:
    """Two stacks, frame by frame."""
    stacks = []
    for path in (low, high):
        if not Path(path).is_file():
            raise ValueError(f"{path} is not a file: give a TIFF stack")
        stacks.append(tifffile.imread(path))
    if len(stacks[0]) != len(stacks[1]):
        raise ValueError(f"{low} has {len(stacks[0])} pictures but {high} has {len(stacks[1])}: give one for each")
    return list(zip(*stacks, strict=True))


if __name__ == "__main__":
    sys.exit(main())
