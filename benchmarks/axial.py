"""Stacks with thick slices: how near interpolation and a network taught by the stack itself come to a stack with cubic voxels.

    python benchmarks/axial.py [--steps 600] [--size 96,128,128] [--seeds 0] [--known]

Nuclei with texture are simulated at cubic voxels; the truth is what a microscope as sharp along z as along x and y would show without
noise. The stack is blurrier along z, has every fourth slice only, and noise. Nothing is tuned on these stacks; the network sees only the
stack it is to improve. Nuclei are counted by `segmentation.classical` with the same settings in every picture, the truth too.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
from conditions import conditions
from scipy import ndimage

from restoration.axial import Isotropic
from restoration.blur import estimate_blur
from restoration.corrector import SCHEDULE
from restoration.degrading import finer_places, resampled
from restoration.quality import affine_fit, nrmse, ssim
from restoration.ring import ring_correlation
from segmentation.classical import classical
from segmentation.fit import Schedule
from segmentation.quality import scores

FACTOR, LATERAL, AXIAL, RADIUS, PHOTONS, GROUND = 4, 1.2, 3.6, 7.0, 60.0, 5.0


def nuclei(size: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Light and labels of nuclei at cubic voxels: ellipsoids with texture that touch and press against each other."""
    rng = np.random.default_rng(seed)
    light, labels = np.zeros(size, np.float32), np.zeros(size, np.int32)
    half = int(1.5 * RADIUS) + 1
    box = np.indices((2 * half + 1,) * 3) - half
    centres: list[np.ndarray] = []
    wanted = int(0.4 * np.prod(size) / (4 / 3 * np.pi * RADIUS**3))
    for _ in range(40 * wanted):
        if len(centres) == wanted:
            break
        centre = rng.uniform(0.6 * RADIUS, np.array(size) - 0.6 * RADIUS)
        if centres and np.min(np.linalg.norm(np.array(centres) - centre, axis=1)) < 1.5 * RADIUS:
            continue
        centres.append(centre)
        axes = RADIUS * rng.uniform(0.85, 1.15, 3)
        at = np.round(centre).astype(int)
        inside = (((box + (at - centre)[:, None, None, None]) / axes[:, None, None, None]) ** 2).sum(0) < 1
        texture = 1 + 3 * ndimage.gaussian_filter(rng.normal(size=box.shape[1:]), 1.5)
        low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, size)
        there = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        here = tuple(slice(a - c + half, b - c + half) for a, b, c in zip(low, high, at, strict=True))
        new = inside[here] & (labels[there] == 0)
        labels[there][new] = len(centres)
        light[there][new] = (np.clip(texture, 0.3, 2) * rng.uniform(0.7, 1.3))[here][new]
    return light, labels


def taken(light: np.ndarray, seed: int) -> np.ndarray:
    """The stack as the microscope gives it: blurred, every fourth slice, photons, read noise, offset."""
    rng = np.random.default_rng([seed, 1])
    thick = ndimage.gaussian_filter(light, (AXIAL, LATERAL, LATERAL))
    photons = rng.poisson(PHOTONS * resampled(thick, FACTOR * (np.arange(len(light) // FACTOR) + 0.5) - 0.5) + GROUND)
    return np.asarray(np.rint(photons + 100 + rng.normal(0, 2, photons.shape)), np.float32)


def cubic(stack: np.ndarray) -> np.ndarray:
    """Cubic spline interpolation along z."""
    places = finer_places(len(stack), FACTOR)
    grid = np.meshgrid(places, *(np.arange(n) for n in stack.shape[1:]), indexing="ij")
    return np.asarray(ndimage.map_coordinates(stack, grid, order=3, mode="nearest"))


def ways(schedule: Schedule, known: float | None) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """How the stack is brought to cubic voxels."""
    scale = (FACTOR, 1, 1)
    found: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "linear": lambda stack: resampled(stack, finer_places(len(stack), FACTOR)),
        "cubic": cubic,
        "isotropic, blur estimated": lambda stack: Isotropic.train(stack, scale, schedule=schedule).predict(stack),
    }
    if known is not None:
        found["isotropic, blur known"] = lambda stack: Isotropic.train(stack, scale, blur=known, schedule=schedule).predict(stack)
    return found


def main() -> None:
    """Print a row a way."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=SCHEDULE.steps)
    parser.add_argument("--size", default="96,128,128")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--known", action="store_true", help="also with the true blur in place of the estimated one")
    asked = parser.parse_args()
    size = tuple(int(n) for n in asked.size.split(","))
    schedule = Schedule(steps=asked.steps, rate=SCHEDULE.rate, average=SCHEDULE.average, decay=SCHEDULE.decay)
    blur = float(np.sqrt(AXIAL**2 - LATERAL**2))
    print(conditions())
    print(f"stacks of {size}, every {FACTOR}th slice, blur {LATERAL} and {AXIAL} pixels, {PHOTONS:g} photons; {asked.steps} steps")
    for seed in (int(s) for s in asked.seeds.split(",")):
        light, labels = nuclei(size, seed)
        truth = PHOTONS * ndimage.gaussian_filter(light, LATERAL) + GROUND + 100
        stack = taken(light, seed)
        print(f"seed {seed}: {labels.max()} nuclei; blur along z {blur:.2f}, estimated {estimate_blur(stack, (FACTOR, 1, 1)):.2f} pixels")
        print(f"{'':26} {'SSIM':>6} {'NRMSE':>6} {'FRC xz':>6} {'count':>6} {'AP50':>6} {'CPU s':>6}")
        row("the truth itself", truth, truth, labels, 0.0)
        for name, way in ways(schedule, blur if asked.known else None).items():
            began = time.process_time()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = way(stack)
            row(name, found, truth, labels, time.process_time() - began)


def row(name: str, found: np.ndarray, truth: np.ndarray, labels: np.ndarray, seconds: float) -> None:
    """Print one row: brightness is fitted to the truth first, as the scores must not reward it."""
    span = float(np.ptp(truth))
    alike = ssim(affine_fit(found, truth), truth, data_range=span)
    middle = truth.shape[1] // 2
    ring = ring_correlation(found[:, middle], truth[:, middle]).mean
    said = classical(found)
    table = scores([(labels, said)])
    numbers = (alike, nrmse(found, truth, fit=True), ring)
    print(
        f"{name:26} " + " ".join(f"{n:6.3f}" for n in numbers) + f" {said.max():6d} {table['ap_pooled_0.50']:6.3f} {seconds:6.0f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
