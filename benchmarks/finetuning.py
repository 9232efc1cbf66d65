"""What a few annotated cells are worth: untouched weights, weights from scratch, and fine-tuned ones, on types of pictures never seen.

    CYTOLINEAGE_DATA=... python benchmarks/finetuning.py --cells 20 50 100 --steps 60 --figure curve.png

nuclei-2d has seen fluorescent nuclei only; here are cells in differential interference contrast and in phase contrast. Of early frames a
window holds the annotated cells, all that lies outside is unknown; the frames that score are of the second half of the film. Each
training has the same number of batches, of the same patches; nothing is tuned but what `finetune` does by itself: the last weights count.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from conditions import conditions

import segmentation
from segmentation.finetuning import Freeze
from segmentation.fit import Schedule
from segmentation.patches import Feed
from segmentation.quality import scores, seg
from segmentation.segmenter import Segmenter
from segmentation.sources import Pair, find_pairs

FILMS = ("DIC-C2DH-HeLa", "PhC-C2DL-PSC")
EARLY = 5  # frames between two that are annotated


def annotated(film: segmentation.patches.Files, cells: int) -> list[Pair]:
    """Early frames in which about so many whole cells, near each other, have labels; all else is unknown."""
    pairs, left = [], cells
    for frame in range(0, len(film) // 2, EARLY):
        if left <= 0:
            break
        image, labels = film[frame]
        names = np.unique(labels[labels > 0])
        places = np.array([np.argwhere(labels == name).mean(0) for name in names])
        middle = places[np.abs(places - places.mean(0)).max(1).argmin()]
        near = np.abs(places - middle).max(1)
        reach = np.sort(near)[min(left, len(names)) - 1]  # half the side of the window
        kept = np.isin(labels, names[near <= reach])
        window = np.zeros(labels.shape, bool)
        low = np.maximum(np.floor(middle - reach).astype(int), 0)
        high = np.ceil(middle + reach).astype(int) + 1
        window[low[0] : high[0], low[1] : high[1]] = True
        pairs.append((image, np.where(kept | (window & (labels <= 0)), labels, -1)))
        left -= int((near <= reach).sum())
    return pairs


def curve(name: str, root: Path, options: argparse.Namespace) -> list[dict[str, object]]:
    """One row for each number of cells and each way to train."""
    film = find_pairs(root / "ctc" / name / "01")
    late = np.linspace(len(film) * 0.6, len(film) - 1, options.frames).astype(int)
    truth = [film[int(frame)] for frame in late]
    given = segmentation.load(options.init)
    rows = [row(name, 0, "untouched", given, truth, 0.0)]
    for cells in options.cells:
        pairs = annotated(film, cells)
        count = sum(len(np.unique(labels[labels > 0])) for _, labels in pairs)
        if count < cells and len(rows) > 1:
            break  # the film has no more early cells
        fresh = replace(Segmenter.new(given.network.config, decoder=given.decoder, seed=options.seed), normalise=given.normalise)
        ways: list[tuple[str, Segmenter, float, Freeze]] = [("scratch", fresh, 2e-3, ()), ("fine-tuned", given, 1e-3, ())]
        ways += [("encoder frozen", given, 1e-3, "encoder")] if options.frozen else []
        for way, first, rate, freeze in ways:
            start = time.process_time()
            feed = Feed(count=options.count, side=options.side, seed=options.seed)
            schedule = Schedule(steps=options.steps, rate=rate, average=0.9, every=options.steps)
            model = first.finetune([pairs], schedule=schedule, feed=feed, freeze=freeze)
            rows.append(row(name, count, way, model, truth, time.process_time() - start))
    return rows


def row(name: str, cells: int, way: str, model: Segmenter, truth: list[Pair], seconds: float) -> dict[str, object]:
    """Scores of one model on the late frames."""
    found = [(labels, model.predict(image)) for image, labels in truth]
    table = scores(found)
    numbers = {"AP50": table["ap_pooled_0.50"], "AP70": table["ap_pooled_0.70"], "SEG": seg(found)}
    line = {"film": name, "cells": cells, "weights": way, **{key: round(value, 3) for key, value in numbers.items()}}
    print(f"{name:14} {cells:5} {way:14} " + " ".join(f"{value:6.3f}" for value in numbers.values()) + f" {seconds:9.0f}", flush=True)
    return line | {"cpu_seconds": round(seconds, 1)}


def draw(rows: list[dict[str, object]], path: Path) -> None:
    """The curves: AP at IoU 0.5 against the number of annotated cells."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), layout="constrained", dpi=110)
    films = list(dict.fromkeys(row["film"] for row in rows))
    for axes, film in zip(figure.subplots(1, len(films), squeeze=False)[0], films, strict=True):
        mine = [row for row in rows if row["film"] == film]
        axes.axhline(mine[0]["AP50"], color="0.5", linestyle=":", label="untouched")
        for way in dict.fromkeys(row["weights"] for row in mine[1:]):
            points = [(row["cells"], row["AP50"]) for row in mine if row["weights"] == way]
            axes.plot(*zip(*points, strict=True), "o-", label=way)
        axes.set(title=film, xlabel="annotated cells", ylabel="AP at IoU 0.5, later frames", ylim=(0, 1), xscale="log")
        axes.set_xticks(sorted({row["cells"] for row in mine[1:]}), labels=[str(n) for n in sorted({row["cells"] for row in mine[1:]})])
        axes.minorticks_off()
        axes.legend(frameon=False, fontsize="small")
    figure.savefig(path)


def main() -> int:
    """Print conditions and table; write JSON and the figure where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", nargs="+", default=FILMS)
    parser.add_argument("--cells", type=int, nargs="+", default=[20, 50, 100, 200])
    parser.add_argument("--steps", type=int, default=150, help="batches of each training")
    parser.add_argument("--count", type=int, default=6, help="patches in a batch")
    parser.add_argument("--side", type=int, default=128, help="side of a patch, pixels")
    parser.add_argument("--frames", type=int, default=4, help="later frames that score")
    parser.add_argument("--init", default="nuclei-2d", help="weights that are fine-tuned")
    parser.add_argument("--frozen", action="store_true", help="also fine-tune with a frozen encoder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    root = os.environ.get("CYTOLINEAGE_DATA", "")
    if not Path(root, "ctc").is_dir():
        print("CYTOLINEAGE_DATA does not name a folder of real films", file=sys.stderr)
        return 2
    said = (
        f"{options.steps} batches of {options.count} patches of {options.side} pixels, {options.frames} later frames, seed {options.seed}"
    )
    print(f"{conditions()}\n{said}\n{'film':14} {'cells':>5} {'weights':14} {'AP50':>6} {'AP70':>6} {'SEG':>6} {'CPU sec':>9}")
    rows = [row for name in options.films for row in curve(name, Path(root), options)]
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if options.figure:
        draw(rows, options.figure)
    return 0


if __name__ == "__main__":
    sys.exit(main())
