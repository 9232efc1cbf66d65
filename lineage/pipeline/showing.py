"""Showing: a simulated film, tracked and scored, to see what the program does."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lineage.arrays import Array, Progress, silent
from lineage.films.atomic import new_folder
from lineage.forest import Forest
from lineage.formats import ctc
from lineage.settings import Settings
from lineage.simulation import Simulation, simulate

from .running import OUTPUTS, Run, run


def demo(out: str | Path, *, settings: Settings = Settings(), seed: int = 0, progress: Progress[Any] = silent) -> Run:  # noqa: B008
    """Simulate a film, track it, and score the result against the truth; all files go into one folder.

    Beside the results of ``run`` there are ``film.tif`` and ``truth/``, the film and its lineages as simulated.
    """
    simulated = simulate(Simulation(frames=40, cells=16, size=(360, 360), seed=seed, miss_rate=0.0))
    Path(out).absolute().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        save_simulated(simulated.image, simulated.labels, simulated.truth, Path(place) / "simulated")
        there = Path(place) / "simulated"
        done = run(there / "film.tif", out, truth=there / "truth", settings=settings, command="lineage demo", progress=progress)
        for name in ("film.tif", "truth"):
            _bring(there / name, Path(out) / name)
    return done


def save_simulated(image: Array, labels: Array, truth: Forest, folder: str | Path, *, progress: Progress[Any] = silent) -> None:
    """Write a simulated film: ``film.tif`` and ``truth/`` (masks and table of the Cell Tracking Challenge), into one folder."""
    with new_folder(folder, OUTPUTS.__contains__) as place:
        _write_tiff(image, place / "film.tif", truth.detections.scale)
        ctc.write(truth, place / "truth", labels=labels, progress=progress)


def _write_tiff(image: Array, path: Path, scale: Sequence[float]) -> None:
    import tifffile

    axes = "TZYX" if image.ndim == 4 else "TYX"
    meta = {"axes": axes, "scale": [float(size) for size in scale]}
    tifffile.imwrite(path, image, compression="zlib", photometric="minisblack", metadata=meta)


def _bring(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.move(source, target)
