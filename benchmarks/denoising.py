"""How much noise each way of learning takes away, beside classical filters, on pictures that were not learned from.

    CYTOLINEAGE_DATA=... python benchmarks/denoising.py natural --minutes 60
    CYTOLINEAGE_DATA=... python benchmarks/denoising.py w2s nuclei --minutes 20
    python benchmarks/denoising.py speed

natural  Train400 to learn, Set12 to report, Gaussian noise of standard deviation 25 that is not clipped. PSNR at range 255, the mean of the
         values of each picture; SI-PSNR after the best affine fit, range of each true picture.
w2s      W2S, one shot against the mean of 400. The fields that come first (three quarters) are learned from, the others reported on.
nuclei   nuclei at low and high exposure. The first two thirds of the pairs (other stage positions) are learned from.

Noise2Void sees the noisy pictures of the learning part only, so the reported ones are new to it too. Noise2Noise needs two noisy
pictures and is run on the natural images. Filters are tuned on pictures of the learning part. Nothing is chosen by the reported part.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
import torch
from conditions import conditions
from scipy import ndimage
from skimage.restoration import denoise_nl_means

from restoration.care import Care
from restoration.denoiser import Denoiser
from restoration.method import Method
from restoration.noise import LAPLACE
from restoration.noise2noise import Noise2Noise
from restoration.noise2void import Noise2Void
from restoration.patches import Feed
from restoration.quality import psnr, si_psnr, ssim
from segmentation.fit import Schedule
from segmentation.unet import UNet

SIGMA = 25.0
TUNED = 6  # pictures that a filter is tuned on
Pair = tuple[np.ndarray, np.ndarray]
Restore = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Budget:
    """What each training may take."""

    minutes: float | None = 60.0
    steps: int = 1_000_000
    width: int = 32
    depth: int = 2
    count: int = 16
    side: int = 64
    rate: float = 1e-3
    percent: float = 2.0
    half: bool | None = None
    device: str = "auto"
    seed: int = 0

    def train(self, data: object, method: Method) -> Denoiser:
        """A denoiser within the budget."""
        every = max(1, min(1000, self.steps))
        schedule = Schedule(steps=self.steps, minutes=self.minutes, rate=self.rate, decay=0.0, every=every, half=self.half, average=0.995)
        feed = Feed(count=self.count, side=self.side, signal=method.feed.signal, keep=400, seed=self.seed)
        return Denoiser.train(data, method=method, schedule=schedule, feed=feed, device=self.device)


@dataclass(frozen=True, eq=False)
class Task:
    """Pictures to learn from and pictures to report on, with the range of the PSNR, or None for that of each true picture."""

    name: str
    learn: Sequence[Pair]
    test: Sequence[Pair]
    methods: dict[str, tuple[Method, object]]
    span: float | None = None


def natural(clean: np.ndarray, test: Sequence[np.ndarray], budget: Budget) -> Task:
    """Natural images with Gaussian noise, not clipped."""
    rng = np.random.default_rng(0)
    first, second = (clean + rng.normal(0, SIGMA, clean.shape).astype(np.float32) for _ in range(2))
    pairs = [(picture + np.random.default_rng(k).normal(0, SIGMA, picture.shape), picture.astype(float)) for k, picture in enumerate(test)]
    size = {"width": budget.width, "depth": budget.depth}
    true = clean.astype(np.float32)
    methods: dict[str, tuple[Method, object]] = {
        "noise2void": (Noise2Void(percent=budget.percent, **size), first),
        "noise2noise": (Noise2Noise(align=False, **size), list(zip(first, second, strict=True))),
        "care": (Care(error="squared", brightness="constants", align=False, **size), list(zip(first, true, strict=True))),
    }
    return Task("natural", list(zip(first[:TUNED], true[:TUNED], strict=True)), pairs, methods, 255.0)


def paired(name: str, low: np.ndarray, high: np.ndarray, split: int, budget: Budget) -> Task:
    """Real pairs, of which the first ones are learned from."""
    pairs = list(zip(low, high, strict=True))
    size = {"width": budget.width, "depth": budget.depth}
    methods: dict[str, tuple[Method, object]] = {
        "noise2void": (Noise2Void(percent=budget.percent, **size), low[:split]),
        "noise2void struct": (Noise2Void(percent=budget.percent, struct="auto", **size), low[:split]),
        "care": (Care(error="squared", brightness="matched", **size), pairs[:split]),
    }
    return Task(name, pairs[: split : max(1, split // TUNED)], pairs[split:], methods)


def filters(learn: Iterable[Pair]) -> dict[str, Restore]:
    """Gaussian, median and non-local means, each with the strength that is best on the learning part."""
    known = list(learn)

    def gaussian(strength: float) -> Restore:
        return lambda picture: ndimage.gaussian_filter(picture.astype(float), strength)

    def median(strength: float) -> Restore:
        return lambda picture: ndimage.median_filter(picture.astype(float), int(strength))

    def means(strength: float) -> Restore:
        def restore(picture: np.ndarray) -> np.ndarray:
            values = picture.astype(float)
            sigma = 1.4826 * float(np.median(np.abs(ndimage.convolve(values, LAPLACE))))
            return np.asarray(denoise_nl_means(values, 5, 10, h=strength * sigma, sigma=sigma, fast_mode=True))

        return restore

    grids = {gaussian: (0.5, 0.7, 1.0, 1.4, 2.0, 3.0), median: (3, 5, 7, 9), means: (0.6, 1.0, 1.4, 2.0, 2.8)}
    best = {}
    for make, grid in grids.items():
        worth = {value: float(np.mean([si_psnr(make(value)(noisy), true) for noisy, true in known])) for value in grid}
        value = max(worth, key=lambda v: worth[v])
        best[f"{'non-local means' if make is means else make.__name__} {value:g}"] = make(value)
    return best


def score(restore: Restore, pairs: Iterable[Pair], span: float | None) -> tuple[float, float, float]:
    """PSNR, SI-PSNR and SSIM, each the mean over pictures."""
    rows = []
    for noisy, true in pairs:
        answer, truth = np.asarray(restore(noisy), float), true.astype(float)
        width = float(np.ptp(truth)) if span is None else span
        rows.append((psnr(answer, truth, data_range=width), si_psnr(answer, truth), ssim(answer, truth, data_range=width)))
    mean = np.mean(rows, axis=0)
    return float(mean[0]), float(mean[1]), float(mean[2])


def run(task: Task, budget: Budget, chosen: Sequence[str] = ()) -> dict[str, tuple[float, float, float]]:
    """Print a row a method."""
    what = f"range {task.span:g}" if task.span else "range of each true picture"
    print(f"\n{task.name}: {len(task.test)} pictures reported on, PSNR at {what}, {budget}")
    print(f"{'':27} {'PSNR':>7} {'SI-PSNR':>8} {'SSIM':>7} {'minutes':>8} {'CPU min':>8} {'steps':>7}")
    table = {}

    def show(name: str, restore: Restore, minutes: float = 0.0, cpu: float = 0.0, steps: str = "") -> None:
        table[name] = row = score(restore, task.test, task.span)
        print(f"{name:27} {row[0]:7.2f} {row[1]:8.2f} {row[2]:7.4f} {minutes:8.1f} {cpu:8.1f} {steps:>7}", flush=True)

    show("noisy", lambda picture: picture)
    for name, restore in filters(task.learn).items():
        show(name, restore)
    for name, (method, data) in task.methods.items():
        if chosen and name not in chosen:
            continue
        began, busy = time.monotonic(), time.process_time()
        model = budget.train(data, method)
        spent, cpu = (time.monotonic() - began) / 60, (time.process_time() - busy) / 60
        show(name, model.predict, spent, cpu, f"{model.about['step']}/{model.about['of'][0]}")
        show(f"{name}, 8 views", lambda picture, model=model: model.predict(picture, views=8))
    return table


def speed(side: int = 1024, *, width: int = 16, depth: int = 3, threads: int = 2, device: str = "auto") -> float:
    """Seconds for one picture, the best of three, with the network of nuclei-denoise."""
    torch.set_num_threads(threads)
    method = Care(width=width, depth=depth)
    model = Denoiser.new(method.network(2, 1), method=method, device=device)
    picture = np.random.default_rng(0).poisson(20, (side, side)).astype(np.uint16)
    model.predict(picture)
    times = []
    for _ in range(3):
        began, spent = time.perf_counter(), time.process_time()
        model.predict(picture)
        times.append((time.perf_counter() - began, time.process_time() - spent))
    network: UNet = model.network
    count = sum(p.numel() for p in network.parameters())
    best = min(times)
    print(f"{side}x{side}, width {width}, depth {depth}, {count} weights, {threads} threads: {best[0]:.2f} s, CPU {best[1]:.2f} s")
    return best[0]


def main() -> None:
    """Run the tasks that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="+", choices=("natural", "w2s", "nuclei", "speed"))
    parser.add_argument("--minutes", type=float, default=60.0, help="for each training")
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--methods", nargs="*", default=[], help="noise2void, noise2noise, care, 'noise2void struct'; all when not given")
    for name, kind in (("width", int), ("depth", int), ("count", int), ("side", int), ("seed", int), ("rate", float), ("percent", float)):
        parser.add_argument(f"--{name}", type=kind, default=getattr(Budget, name))
    parser.add_argument("--half", action="store_true", default=None)
    parser.add_argument("--device", default="auto")
    options = vars(parser.parse_args())
    tasks, methods = options.pop("tasks"), options.pop("methods")
    budget = Budget(**options)
    print(f"{conditions()}, torch {torch.__version__}, {torch.get_num_threads()} threads, {budget.device}")
    if "speed" in tasks:
        speed(device=budget.device)
    if tasks == ["speed"]:
        return
    folder = Path(os.environ.get("CYTOLINEAGE_DATA", "")) / "denoising"
    if not (folder / "Train400.tif").is_file():
        sys.exit("set CYTOLINEAGE_DATA to a folder with denoising/Train400.tif, Set12/, w2s_*.tif, nuclei_*.tif")
    if "natural" in tasks:
        test = [tifffile.imread(path) for path in sorted((folder / "Set12").glob("*.tif"))]
        run(natural(tifffile.imread(folder / "Train400.tif"), test, budget), budget, methods)
    for name, low, high in (("w2s", "w2s_avg1", "w2s_avg400"), ("nuclei", "nuclei_low", "nuclei_high")):
        if name in tasks:
            stacks = [tifffile.imread(folder / f"{part}.tif") for part in (low, high)]
            split = 3 * len(stacks[0]) // 4 if name == "w2s" else 2 * len(stacks[0]) // 3
            run(paired(name, stacks[0], stacks[1], split, budget), budget, methods)


if __name__ == "__main__":
    main()
