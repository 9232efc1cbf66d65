"""Measure 100 frames of 1000x1000 with 300 cells each, beside skimage.regionprops_table on the same frames.

    python benchmarks/measuring.py

The target is under 10 s on one core, and a memory peak that does not grow with the number of frames.
"""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
from conditions import conditions
from skimage.measure import regionprops_table

from lineage import Detections

SIDE, CELLS, RADIUS = 1000, 300, 22
PROPERTIES = ("label", "area", "centroid", "bbox", "intensity_mean", "intensity_std", "inertia_tensor")


class Cells:
    """A label film that is made frame by frame: discs on a grid, moved a little in each frame."""

    def __init__(self, frames: int) -> None:
        self.frames = frames

    def __len__(self) -> int:
        return self.frames

    def __getitem__(self, t: int) -> np.ndarray:
        rng = np.random.default_rng(t)
        grid = np.indices((2 * RADIUS + 1, 2 * RADIUS + 1)) - RADIUS
        disc = (grid**2).sum(0) < RADIUS**2
        frame = np.zeros((SIDE, SIDE), np.uint16)
        for cell in range(CELLS):
            y, x = 4 + 55 * (cell // 18), 4 + 55 * (cell % 18)
            y, x = y + rng.integers(0, 5), x + rng.integers(0, 5)
            frame[y : y + disc.shape[0], x : x + disc.shape[1]][disc] = cell + 1
        return frame


class Picture(Cells):
    """Intensities of the same shape."""

    def __getitem__(self, t: int) -> np.ndarray:
        return np.random.default_rng(t).integers(0, 1000, (SIDE, SIDE), dtype=np.uint16)


def seconds(action: object) -> float:
    """Wall time of a call."""
    began = time.perf_counter()
    action()  # type: ignore[operator]
    return time.perf_counter() - began


def peak(frames: int) -> float:
    """Memory peak of measuring a film of this length, MB."""
    tracemalloc.start()
    Detections.from_labels(Cells(frames), Picture(frames))
    top = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return top / 1e6


def main() -> None:
    """Print the figures."""
    print(conditions())
    labels, image = [Cells(100)[t] for t in range(10)], [Picture(100)[t] for t in range(10)]
    ours = seconds(lambda: Detections.from_labels(labels * 10, image * 10))
    theirs = 10 * seconds(lambda: [regionprops_table(a, b, properties=PROPERTIES) for a, b in zip(labels, image, strict=True)])
    print(f"100 frames of {SIDE}x{SIDE}, {CELLS} cells each: {ours:.1f} s (regionprops_table: {theirs:.1f} s, {theirs / ours:.1f}x)")
    print(f"memory peak: {peak(5):.0f} MB for 5 frames, {peak(40):.0f} MB for 40 frames")


if __name__ == "__main__":
    main()
