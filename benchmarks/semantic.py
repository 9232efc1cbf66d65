"""Rare classes: which loss finds them, and what the U-Net's skip connections are worth.

    python benchmarks/semantic.py [--rare 0.01] [--steps 200] [--seeds 2] [--noise 0.2] [--rate 0.002] [--json FILE]

Simulated pictures of three classes: ground, bodies (large dim discs, about a tenth) and specks (discs of 2 pixels, about `--rare` of all
pixels), under noise of `--noise` times the specks' brightness. Every row is a network of its own, trained on new pictures in every step
and judged on the same pictures that no training sees; the likeliest class is taken, no threshold is tuned. Printed are the means
over the seeds, and the seconds of processor time of one training. An IoU of 0 for specks means: not one was found.

What is often taught, that cross-entropy fails on rare classes where Dice holds, depends on the regime: with little noise Dice alone
beats cross-entropy alone, with `--noise 0.35` it is Dice that stalls (where the softmax is confidently wrong its slope vanishes).
Their sum leads there, and comes close where there is little.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from conditions import conditions

from segmentation.decoders.classes import Classes, class_scores
from segmentation.fit import Schedule, fit
from segmentation.tiles import predict
from segmentation.unet import UNet, UNetConfig

NAMES = ("ground", "body", "speck")
SIDE, COUNT = 64, 4
WIDTH, DEPTH = 6, 2


def picture(rng: np.random.Generator, rare: float, noise: float, side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
    """A picture (1, Y, X) and its classes (Y, X)."""
    rows, columns = np.indices((side, side))
    classes = np.zeros((side, side), np.int32)
    for radius, share, number in ((9, 0.1, 1), (2, rare, 2)):
        for _ in range(rng.poisson(share * side**2 / (np.pi * radius**2))):
            y, x = rng.uniform(0, side, 2)
            classes[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = number
    brightness = np.array([0.0, 0.5, 1.0])[classes]
    return (brightness + rng.normal(0, noise, classes.shape)).astype(np.float32)[None], classes


def feed(decoder: Classes, rare: float, noise: float, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches without end."""
    rng = np.random.default_rng([seed, 1])
    while True:
        pairs = [picture(rng, rare, noise) for _ in range(COUNT)]
        yield np.stack([image for image, _ in pairs]), np.stack([decoder.targets(classes) for _, classes in pairs])


def trained(decoder: Classes, asked: argparse.Namespace, *, steps: int, seed: int, skips: bool) -> tuple[UNet, float]:
    """A network that has learned for so many steps, and the seconds of processor time it took."""
    torch.manual_seed(seed)
    network = UNet(UNetConfig(outputs=len(NAMES), width=WIDTH, depth=DEPTH, skips=skips))
    began = time.process_time()
    fit(network, feed(decoder, asked.rare, asked.noise, seed), decoder.loss, Schedule(steps=steps, rate=asked.rate), device="cpu")
    return network, time.process_time() - began


def row(name: str, decoder: Classes, asked: argparse.Namespace, *, steps: int, skips: bool) -> dict[str, Any]:
    """One network and loss: its scores, the mean over the seeds."""
    rng = np.random.default_rng(0)
    judged = [picture(rng, asked.rare, asked.noise, 2 * SIDE) for _ in range(12)]
    tables, seconds = [], []
    for seed in range(asked.seeds):
        network, spent = trained(decoder, asked, steps=steps, seed=seed, skips=skips)
        pairs = [(classes, decoder(decoder.read(predict(network, image, device="cpu")))) for image, classes in judged]
        tables.append(class_scores(pairs, NAMES))
        seconds.append(spent)
    means = {key: float(np.mean([table[key] for table in tables])) for key in tables[0]}
    means["dice_speck_worst"] = min(table["dice_speck"] for table in tables)
    return {"network": "U-Net" if skips else "FCN", "loss": name, "steps": steps, **means, "seconds": float(np.mean(seconds))}


def contenders(asked: argparse.Namespace) -> Iterator[tuple[str, Classes, bool]]:
    """Name of the loss, decoder, and whether the network has skip connections."""
    rng = np.random.default_rng([0, 2])
    weights = Classes(NAMES).balanced(picture(rng, asked.rare, asked.noise)[1] for _ in range(50)).weights
    yield "cross-entropy", Classes(NAMES, "entropy"), True
    yield "weighted cross-entropy", Classes(NAMES, "entropy", weights), True
    yield "focal", Classes(NAMES, "focal"), True
    yield "weighted focal", Classes(NAMES, "focal", weights), True
    yield "Dice", Classes(NAMES, "dice"), True
    yield "cross-entropy + Dice", Classes(NAMES, "entropy+dice"), True
    yield "cross-entropy + Dice", Classes(NAMES, "entropy+dice"), False
    yield "weighted cross-entropy", Classes(NAMES, "entropy", weights), False


def line(found: dict[str, Any]) -> str:
    """A row of the table."""
    scores = "  ".join(f"{found[f'dice_{name}']:6.3f} {found[f'iou_{name}']:6.3f}" for name in NAMES)
    return f"{found['network']:6}{found['loss']:24}{found['steps']:6}  {scores}  {found['dice_speck_worst']:6.3f}  {found['seconds']:7.1f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rare", type=float, default=0.01, help="share of pixels in specks")
    parser.add_argument("--steps", type=int, nargs="+", default=[200], help="batches to learn from")
    parser.add_argument("--seeds", type=int, default=2, help="trainings per row")
    parser.add_argument("--noise", type=float, default=0.2, help="standard deviation, in brightness of a speck")
    parser.add_argument("--rate", type=float, default=0.002, help="highest learning rate")
    parser.add_argument("--json", help="write the rows here; - for standard output")
    asked = parser.parse_args(arguments)
    out = sys.stderr if asked.json == "-" else sys.stdout
    print(conditions(), f"torch {torch.__version__}, {torch.get_num_threads()} threads", file=out, sep=", ")
    print(
        f"specks {asked.rare:.1%} of pixels, noise {asked.noise}, rate {asked.rate}, {asked.seeds} seeds, {COUNT} x {SIDE}^2 a step",
        file=out,
    )
    heads = "  ".join(f"{'Dice':>6} {'IoU':>6}" for _ in NAMES)
    print(f"{'':36}  {'  '.join(f'{name:^13}' for name in NAMES)}   speck", file=out)
    print(f"{'net':6}{'loss':24}{'steps':>6}  {heads}  {'worst':>6}  {'seconds':>7}", file=out)
    rows = []
    for steps in asked.steps:
        for name, decoder, skips in contenders(asked):
            rows.append(
                {"rare": asked.rare, "noise": asked.noise, "rate": asked.rate, **row(name, decoder, asked, steps=steps, skips=skips)}
            )
            print(line(rows[-1]), file=out, flush=True)
    text = json.dumps(rows, indent=1)
    if asked.json == "-":
        print(text)
    elif asked.json:
        scratch = Path(asked.json + ".part")
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(asked.json)


if __name__ == "__main__":
    main()
