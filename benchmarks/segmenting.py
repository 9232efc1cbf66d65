"""Compare the methods of instance segmentation on the same pictures: errors, time and memory of each.

    python benchmarks/segmentation.py [--methods boundary,distance,affinity,classical] [--minutes 5] [--data simulated,nuclei]
                                      [--json rows.json] [--figure pictures.png]
    python benchmarks/segmentation.py --speed nuclei-2d [--repeat 5] [--threads 2]

Every method gets the same U-Net (--width, --depth), the same patches in the same order, the same time (--minutes) and the same
validation pictures, on which its checkpoint and thresholds are chosen; it is scored on others. `simulated` are crowds of touching
nuclei with exact labels; `nuclei` is the folder nuclei/train below CYTOLINEAGE_DATA: tenth 2 (by the hash of the name) chooses,
tenth 3 is scored. `classical` is the floor, untrained.

AP is TP / (TP + FP + FN), mean over pictures / pooled over cells. A result that holds most of each of several true cells has `merged`
them, a true cell that holds most of each of several results is `split`; `missed` and `false` are cells most of which nothing covers.
Seconds are of this process (CPU) where they are so called. Decoding is timed for one picture of 1024x1024 in a process of its own;
`memory` is the peak of that process above what it held before, MB.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from conditions import conditions
from scipy import ndimage, sparse

from segmentation.classical import classical
from segmentation.decoders import DECODERS
from segmentation.fit import Schedule
from segmentation.patches import Feed
from segmentation.quality import overlaps, scores, seg
from segmentation.segmenter import Segmenter, load
from segmentation.splitting import split
from segmentation.unet import UNetConfig

SIDE = 1024  # of the picture that is timed
COLUMNS = ("data", "method", "AP.5", "AP.7", "AP.9", "PQ.5", "SEG", "merged", "split", "missed", "false", "cells")
COLUMNS += ("steps", "train s", "network s", "decode s", "share", "memory")

Pairs = list[tuple[np.ndarray, np.ndarray]]


def crowd(rng: np.random.Generator, side: int = 256, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """A picture of clumped elliptic nuclei that touch and push each other flat, blurred and noisy, and its labels."""
    middles = rng.uniform(20, side - 20, (max(count // 8, 1), 2))
    centres: list[np.ndarray] = []
    for _ in range(50 * count):
        place = middles[rng.integers(len(middles))] + rng.normal(0, 0.09 * side, 2)
        if len(centres) < count and (place > 0).all() and (place < side).all() and all(np.hypot(*(place - c)) > 11 for c in centres):
            centres.append(place)
    nearest, labels = np.full((side, side), np.inf), np.zeros((side, side), np.int32)
    grid = np.indices((side, side))
    for number, (y, x) in enumerate(centres, 1):
        angle, long = rng.uniform(0, np.pi), rng.uniform(8, 13)
        short = long * rng.uniform(0.6, 1)
        along = (grid[0] - y) * np.sin(angle) + (grid[1] - x) * np.cos(angle)
        across = (grid[0] - y) * np.cos(angle) - (grid[1] - x) * np.sin(angle)
        away = np.hypot(along / long, across / short)
        here = (away < 1) & (away < nearest)
        labels[here], nearest[here] = number, away[here]
    pieces = [ndimage.label(labels == number)[0] for number in range(1, len(centres) + 1)]
    for piece in pieces:  # what a neighbour has cut off belongs to nobody
        labels[(piece > 0) & (piece != np.bincount(piece.ravel())[1:].argmax() + 1 if piece.any() else False)] = 0
    light = np.concatenate([[0.05], rng.uniform(0.25, 1, len(centres))])[labels] * (1.1 - 0.5 * np.minimum(nearest, 1) ** 2)
    light = ndimage.gaussian_filter(light, rng.uniform(0.8, 2.0)) + 0.1 * ndimage.gaussian_filter(light, 12)
    photons = rng.uniform(30, 200)
    return (rng.poisson(photons * light) / photons + rng.normal(0, 0.02, light.shape)).astype(np.float32), labels


def data(name: str, small: bool) -> dict[str, Any]:
    """Pictures to learn from, to choose by, and to be scored on."""
    if name == "simulated":
        counts = (4, 2, 2) if small else (60, 10, 20)
        kinds = zip(("train", "validation", "test"), counts, (1, 2, 3), strict=True)
        return {kind: [crowd(np.random.default_rng((seed, i))) for i in range(n)] for kind, n, seed in kinds}
    parts = split(Path(os.environ["CYTOLINEAGE_DATA"]) / "nuclei" / "train")
    tenths = [int(hashlib.sha1(path.name.encode()).hexdigest(), 16) % 10 for path in parts.validation.images]
    stems = [int(hashlib.sha1(path.stem.encode()).hexdigest(), 16) % 10 for path in parts.validation.images]
    tenths = stems if set(stems) <= {2, 3} else tenths
    chosen = {kind: [i for i, t in enumerate(tenths) if t == tenth] for kind, tenth in (("validation", 2), ("test", 3))}
    most = 2 if small else None
    held = {kind: [parts.validation[i] for i in rows[:most]] for kind, rows in chosen.items()}
    return {"train": parts.train.only(range(len(parts.train))[:most])} | held


def errors(pairs: Pairs) -> dict[str, int]:
    """How often each kind of error occurs; see the head of this file."""
    table = dict.fromkeys(("merged", "split", "missed", "false", "cells"), 0)
    for truth, result in pairs:
        joint = overlaps(truth, result)
        true_size, found_size = joint.sum(1).ravel(), joint.sum(0).ravel()
        both = sparse.coo_array(joint[1:, 1:])
        swallowed = np.bincount(both.col[2 * both.data > true_size[1:][both.row]], minlength=1)
        fragments = np.bincount(both.row[2 * both.data > found_size[1:][both.col]], minlength=1)
        table["merged"] += int(swallowed[swallowed > 1].sum())
        table["split"] += int((fragments > 1).sum())
        table["missed"] += int((2 * joint[:, [0]].toarray().ravel() > true_size)[1:].sum())
        table["false"] += int((2 * joint[[0]].toarray().ravel() > found_size)[1:].sum())
        table["cells"] += int((true_size[1:] > 0).sum())
    return table


def resident(*, anew: bool = False) -> float:
    """Largest memory of this process so far, MB; with `anew` it is forgotten first, where the system can (Linux)."""
    status, forget = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not status.is_file():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    if anew and os.access(forget, os.W_OK):
        forget.write_text("5")
    return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1e3


def decode_alone(decoder: Callable[[np.ndarray], np.ndarray], path: str, repeat: int) -> tuple[float, float]:
    """CPU seconds of decoding (median, after one warm-up) and the memory it takes; runs in a process of its own."""
    said = np.load(path).astype(np.float32)
    before, seconds = resident(anew=True), []
    for _ in range(repeat + 1):
        began = time.process_time()
        decoder(said)
        seconds.append(time.process_time() - began)
    return statistics.median(seconds[1:]), resident() - before


def apart(action: Callable[..., Any], *arguments: object) -> object:
    """Call a function in a new process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(action, *arguments).result()


def trained(name: str, sets: Mapping[str, Any], given: argparse.Namespace) -> tuple[Segmenter, int]:
    """A segmenter of this method, and how many steps it has learned."""
    with tempfile.TemporaryDirectory() as folder:
        model = Segmenter.train(
            [sets["train"]],
            validation=sets["validation"],
            config=UNetConfig(width=given.width, depth=given.depth),
            decoder=DECODERS[name](),
            schedule=Schedule(steps=given.steps, minutes=given.minutes, every=given.every, average=0.99),
            feed=Feed(count=given.count, side=given.side, seed=given.seed),
            folder=Path(folder),
        )
        with (Path(folder) / "log.csv").open(newline="") as log:
            return model, int(list(csv.DictReader(log))[-1]["step"])


def measured(name: str, source: str, sets: Mapping[str, Any], given: argparse.Namespace) -> tuple[dict[str, Any], list[np.ndarray]]:
    """One row of the table, and the labels of the scored pictures."""
    row: dict[str, Any] = {"data": source, "method": name}
    test: Pairs = list(sets["test"])
    if name == "classical":
        began = time.process_time()
        found = [classical(image) for image, _ in test]
        pixels = sum(labels.size for labels in found)
        row["decode s"] = (time.process_time() - began) * SIDE**2 / pixels
    else:
        began = time.perf_counter()
        model, row["steps"] = trained(name, sets, given)
        row["train s"], row["decoder"] = time.perf_counter() - began, str(model.decoder)
        began = time.process_time()
        said = [model.probabilities(image) for image, _ in test]
        pixels = sum(each[0].size for each in said)
        row["network s"] = (time.process_time() - began) * SIDE**2 / pixels
        found = [model.decoder(each) for each in said]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "said.npy"
            largest = max(said, key=lambda each: each[0].size)
            np.save(file, np.pad(largest, [(0, 0), *((0, max(SIDE - n, 0)) for n in largest.shape[1:])], "wrap")[:, :SIDE, :SIDE])
            row["decode s"], row["memory"] = apart(decode_alone, model.decoder, str(file), given.repeat)  # type: ignore[misc]
        row["share"] = row["decode s"] / (row["decode s"] + row["network s"])
    pairs = [(labels, result) for (_, labels), result in zip(test, found, strict=True)]
    table = scores(pairs)
    row["scores"] = table
    for short, long in (("5", "0.50"), ("7", "0.70"), ("9", "0.90")):
        row[f"AP.{short}"] = f"{table[f'ap_image_{long}']:.3f}/{table[f'ap_pooled_{long}']:.3f}"
    return row | {"PQ.5": table["pq_pooled_0.50"], "SEG": seg(pairs)} | errors(pairs), found


def speed(name: str, repeat: int, threads: int) -> dict[str, dict[str, float]]:
    """Seconds (wall, CPU) of each part of the prediction of one picture, and the peak of memory by then; in a process of its own."""
    torch.set_num_threads(threads)
    picture, model = picture_to_time(), load(name)
    peak = {"before": resident(anew=True)}
    parts: dict[str, Callable[[Any], Any]] = {
        "normalise": lambda _: model.normalise(picture),
        "network (and normalise)": lambda _: model.probabilities(picture),
        "decode": model.decoder,
    }
    times: dict[str, list[tuple[float, float]]] = {key: [] for key in parts}
    for _ in range(repeat + 1):
        said: Any = None
        for key, part in parts.items():
            wall, cpu = time.perf_counter(), time.process_time()
            said = part(said)
            times[key].append((time.perf_counter() - wall, time.process_time() - cpu))
            peak.setdefault(key, resident())  # of the first run: a peak never falls
    rows = {"before": {"memory": peak["before"]}}
    for key, seconds in times.items():
        wall, cpu = (statistics.median(column) for column in zip(*seconds[1:], strict=True))
        rows[key] = {"wall": wall, "cpu": cpu, "memory": peak[key]}
    rows["all"] = {kind: rows["network (and normalise)"][kind] + rows["decode"][kind] for kind in ("wall", "cpu")}
    rows["all"] |= {"memory": resident(), "cells": float(said.max())}
    return rows


def picture_to_time() -> np.ndarray:
    """A picture of 1024x1024: a frame of HeLa cells repeated where the data are there, else simulated crowds."""
    folder = Path(os.environ.get("CYTOLINEAGE_DATA", "")) / "ctc" / "Fluo-N2DL-HeLa" / "01"
    if os.environ.get("CYTOLINEAGE_DATA") and folder.is_dir():
        frame = split(folder).test[0][0]
        return np.pad(frame, [(0, max(SIDE - n, 0)) for n in frame.shape], "symmetric")[:SIDE, :SIDE]
    return np.block([[crowd(np.random.default_rng((4, i, j)))[0] for i in range(SIDE // 256)] for j in range(SIDE // 256)])


def printed(row: Mapping[str, Any]) -> str:
    """One line of the table."""
    words = []
    for column in COLUMNS:
        value = row.get(column, "-")
        if isinstance(value, float):
            value = f"{value:.0f}" if column in ("memory", "train s") else f"{value:.3f}"
        words.append(f"{value:>{max(len(column), 11) if column in ('data', 'method') or column.startswith('AP') else max(len(column), 6)}}")
    return " ".join(words)


def drawn(path: Path, shown: Mapping[str, list[np.ndarray]], picture: tuple[np.ndarray, np.ndarray]) -> None:
    """Draw the truth and every method's outlines on one picture: green where the IoU reaches 0.7, otherwise red."""
    from matplotlib.figure import Figure

    image, truth = picture
    figure = Figure(figsize=(4 * (1 + len(shown)), 4.4), layout="constrained")
    axes = figure.subplots(1, 1 + len(shown), squeeze=False)[0]
    for ax, (name, labels) in zip(axes, {"truth": truth, **{key: found[0] for key, found in shown.items()}}.items(), strict=True):
        ax.imshow(image, cmap="gray", vmax=np.percentile(image, 99.8))
        joint = overlaps(truth, labels)
        union = joint.sum(1).reshape(-1, 1) + joint.sum(0).reshape(1, -1) - joint.toarray()
        good = np.concatenate([[False], (joint.toarray() / np.maximum(union, 1))[1:, 1:].max(0, initial=0) >= 0.7])
        numbers = np.concatenate([[0], np.unique(labels[labels > 0])])
        for number, right in zip(numbers[1:], good[1:], strict=True):
            ax.contour(labels == number, [0.5], colors="tab:green" if right else "tab:red", linewidths=0.8)
        ax.set_title(f"{name}: {len(numbers) - 1} cells")
        ax.set_axis_off()
    figure.savefig(path, dpi=110)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    methods = [name for name in DECODERS if name != "classes"] + ["classical"]
    sources = ["simulated"] + ["nuclei"] * ("CYTOLINEAGE_DATA" in os.environ)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default=",".join(methods), help=f"of {', '.join(methods)}")
    parser.add_argument("--data", default=",".join(sources), help="of simulated, nuclei")
    parser.add_argument("--minutes", type=float, default=5.0, help="training of each method on each data set")
    for name, default in (("steps", 100_000), ("every", 250), ("width", 16), ("depth", 4), ("count", 8), ("side", 128), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--repeat", type=int, default=3, help="runs of each timing")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--small", action="store_true", help="a few pictures only: to see whether it runs")
    parser.add_argument("--speed", metavar="NAME", help="time a shipped model (or a file) instead")
    parser.add_argument("--json", type=Path, help="file for the rows")
    parser.add_argument("--figure", type=Path, help="PNG with the first scored picture of the first data")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    print(conditions(), f"torch {torch.__version__}, {given.threads} threads", sep=", ")
    if given.speed:
        rows: Any = apart(speed, given.speed, given.repeat, given.threads)
        print(f"{given.speed}, one picture of {SIDE}x{SIDE}, median of {given.repeat} (seconds), peak of the process so far (MB)")
        for key, row in rows.items():
            print(f"{key:<24} " + "  ".join(f"{kind} {value:.0f}" if value >= 30 else f"{kind} {value:.3f}" for kind, value in row.items()))
    else:
        rows = compared(given)
    if given.json:
        given.json.write_text(json.dumps({"conditions": conditions(), "rows": rows}, indent=1) + "\n")
    return 0


def compared(given: argparse.Namespace) -> list[dict[str, Any]]:
    """All rows, printed as they come."""
    budget = f"{given.minutes:g} minutes each, at most {given.steps} steps of {given.count} patches of {given.side}x{given.side}"
    print(f"U-Net of width {given.width} and depth {given.depth}, {budget}, seed {given.seed}; decoding of {SIDE}x{SIDE}, CPU s")
    print(printed({column: column for column in COLUMNS}), flush=True)
    rows, shown, first = [], {}, given.data.split(",")[0]
    for source in given.data.split(","):
        sets = data(source, given.small)
        for name in given.methods.split(","):
            row, found = measured(name, source, sets, given)
            print(printed(row), flush=True)
            rows.append(row)
            if source == first:
                shown[name] = found
        if given.figure and source == first:
            drawn(given.figure, shown, sets["test"][0])
    return rows
