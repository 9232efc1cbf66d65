"""Does denoising help tracking? One film as it is, with a tenth of its light, and denoised again: lineage scores side by side.

    python benchmarks/denoise_tracking.py [--film Fluo-N2DL-HeLa/01] [--models nuclei-denoise,gaussian:1.5] [--dose 0.1] [--frames 92]

The gain and offset of the film are measured on the film; photons are then thinned by lot (what is left of Poisson light is Poisson light
again) and the camera's read noise is added anew. A model is the name of shipped weights, a weights file, or ``gaussian:SIGMA``, the floor
that a model must clear. Segmenter and linker are the same in every row, with default settings; nothing is tuned here. `back` is the part of
the lost CHOTA that a row brings back.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from conditions import conditions
from scipy import ndimage

import lineage
import restoration
from lineage import pipeline
from lineage.films import open_film
from restoration.noise import NoiseModel, noise_model

SHOWN = ("SEG", "DET", "TRA", "LNK", "CHOTA", "CT", "TF", "division_f1", "division_f1_1", "complete_lineages")
Way = Callable[[np.ndarray], np.ndarray]


def thinned(frame: np.ndarray, noise: NoiseModel, dose: float, rng: np.random.Generator) -> np.ndarray:
    """A frame as it would be with a part of its light."""
    photons = np.rint(np.maximum((frame.astype(float) - noise.offset) / noise.gain, 0)).astype(np.int64)
    grey = noise.offset + noise.gain * rng.binomial(photons, dose) + rng.normal(0, noise.read, frame.shape)
    return np.clip(np.rint(grey), 0, 65535).astype(np.uint16)


def way(model: str) -> Way:
    """A denoiser by its name."""
    name, _, sigma = model.partition(":")
    if name == "gaussian":
        return lambda frame: ndimage.gaussian_filter(frame.astype(np.float32), float(sigma or 1))
    denoiser = restoration.load(model)
    return lambda frame: np.asarray(denoiser.predict(frame))


def cut(truth: Path, frames: int, folder: Path) -> Path:
    """The truth of the first frames of a film, as a folder of the Cell Tracking Challenge."""
    for kind, names in (("TRA", "man_track*.tif"), ("SEG", "man_seg*.tif")):
        (folder / kind).mkdir(parents=True)
        for path in sorted((truth / kind).glob(names)):
            if int("".join(c for c in path.stem.split("_")[-1] if c.isdigit()) or 0) < frames:
                tifffile.imwrite(folder / kind / path.name, tifffile.imread(path))
    rows = [[int(n) for n in line.split()] for line in (truth / "TRA" / "man_track.txt").read_text(encoding="ascii").splitlines() if line]
    kept = [(label, first, min(last, frames - 1), parent) for label, first, last, parent in rows if first < frames]
    text = "".join(" ".join(map(str, row)) + "\n" for row in kept)
    (folder / "TRA" / "man_track.txt").write_text(text, encoding="ascii")
    return folder


def scored(frames: list[np.ndarray], truth: Path, segment: str) -> dict[str, float | int | None]:
    """Segment, link, score."""
    masks = pipeline.segment(np.stack(frames), segment)
    return lineage.evaluate((lineage.link(masks, np.stack(frames)), masks), truth)


def show(name: str, scores: dict[str, float | int | None], back: float | None, seconds: float) -> None:
    """Print one row."""
    cells = ["-" if (value := scores.get(key)) is None else f"{value:.4f}" for key in SHOWN]
    cells += ["-" if back is None else f"{back:.2f}", f"{seconds:.0f}"]
    heads = (*SHOWN, "back", "CPU s")
    print(f"{name[:28]:<28} " + " ".join(f"{cell:>{max(6, len(head))}}" for head, cell in zip(heads, cells, strict=True)), flush=True)


def asked() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--film", default="Fluo-N2DL-HeLa/01")
    parser.add_argument("--models", default="gaussian:1.5,nuclei-denoise")
    parser.add_argument("--dose", type=float, default=0.1)
    parser.add_argument("--frames", type=int, default=0, help="only the first frames; all when 0")
    parser.add_argument("--segment", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", help="write the rows to this file")
    return parser.parse_args()


def main() -> None:
    """Print a row a version of the film."""
    options, data = asked(), os.environ.get("CYTOLINEAGE_DATA")
    if not data:
        sys.exit("set CYTOLINEAGE_DATA to a folder with ctc/<film>/01 and 01_GT")
    place = Path(data) / "ctc" / options.film
    opened = open_film(place)
    count = options.frames or len(opened)
    noise, rng = noise_model(opened), np.random.default_rng(options.seed)
    clean = [opened[t] for t in range(count)]
    low = [thinned(frame, noise, options.dose, rng) for frame in clean]
    ways: dict[str, Way | None] = {model: way(model) for model in options.models.split(",") if model}
    print(conditions())
    print(
        f"{options.film}, {count} frames, dose {options.dose:g}, seed {options.seed}; gain {noise.gain:.3g}, offset {noise.offset:.1f} "
        f"({noise.offset_from}), read noise {noise.read:.3g}, noise shared: {noise.correlation.direction}; segmenter {options.segment}"
    )
    print(f"{'':28} " + " ".join(f"{head:>{max(6, len(head))}}" for head in (*SHOWN, "back", "CPU s")))
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        truth = cut(place.with_name(f"{place.name}_GT"), count, Path(folder) / "truth")
        for name, how in {"as it is": None, "low dose": None, **ways}.items():
            began = time.process_time()
            frames = clean if name == "as it is" else low if how is None else [how(frame) for frame in low]
            scores = scored(frames, truth, options.segment)
            ends = [float(row["CHOTA"]) for row in rows[:2]]  # type: ignore[arg-type]
            lost = ends[0] - ends[1] if len(ends) == 2 else 0.0
            back = (float(scores["CHOTA"] or 0) - ends[1]) / lost if lost > 0 else None
            show(name, scores, back, time.process_time() - began)
            rows.append({"name": name, "dose": options.dose, "frames": count, "back": back, **scores})
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
