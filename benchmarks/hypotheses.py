"""Let the solver choose among segmentations, against the single one, on real films.

    CYTOLINEAGE_DATA=... python benchmarks/hypotheses.py [--films Fluo-N2DH-SIM+] [--model nuclei-2d]
    CYTOLINEAGE_DATA=... python benchmarks/hypotheses.py --films DIC-C2DH-HeLa PhC-C2DL-PSC --model cells-phase-2d
    CYTOLINEAGE_DATA=... python benchmarks/hypotheses.py --fit

``--fit`` prints the calibration fitted to a third of the training nuclei and to the first halves of the films, and the calibration error
on the validation nuclei and the second halves, which the fit has not seen.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import lineage
import segmentation
from lineage.evaluation import evaluate
from lineage.films import open_film
from lineage.pipeline.choosing import linked_hypotheses
from segmentation.hypotheses import SEARCH, Calibration, Candidates, calibration_error, calibration_of, fitting, from_said
from segmentation.splitting import split

FILMS = {"Fluo-N2DL-HeLa": 25, "Fluo-N2DH-SIM+": 0, "DIC-C2DH-HeLa": 50, "PhC-C2DL-PSC": 25}  # and at what border the truth ends, pixels
NUCLEI = ("Fluo-N2DL-HeLa", "Fluo-N2DH-SIM+")
SHOWN = ("SEG", "DET", "TRA", "LNK", "CHOTA", "division_f1", "n_complete_lineages")


def show(name: str, found: tuple[object, object], truth: Path, border: int, note: str) -> None:
    """Print one line of the table, and one more for the cells inside the field that the truth is of."""
    for where, width in (("", 0), (f", {border} px from the border", border))[: 1 + (border > 0)]:
        scores = evaluate(found, truth, border=width)
        values = (f"{value:.4f}" if isinstance(value := scores[key], float) else str(value) for key in SHOWN)
        print(f"{name + where:52}", *(f"{value:>8}" for value in values), "" if width else note, flush=True)


def compare(folder: Path, name: str) -> None:
    """The model's own segmentation, the likeliest segments, and those that the solver chooses: scores and seconds of linking."""
    model = segmentation.load(name)
    film = open_film(folder / "01")
    said = [model.probabilities(film[t]) for t in range(len(film))]
    labels = [model.decoder(each) for each in said]
    how = {"calibration": calibration_of(model), "search": fitting(SEARCH, model.decoder)}
    found = [from_said(s, model.decoder.channels, [one], **how) for s, one in zip(said, labels, strict=True)]
    truth = folder / "01_GT"
    for way, masks in (("single", labels), ("likeliest", [segments.labels() for segments in found])):
        began = time.process_time()
        forest = lineage.link(masks, film)
        seconds = time.process_time() - began
        show(f"{folder.name} {way}", (forest, masks), truth, FILMS[folder.name], f"{seconds:7.1f} s")
    each = iter(found)
    with tempfile.TemporaryDirectory() as place:
        began = time.process_time()
        options = {"scale": film.scale, "interval": None, "folder": Path(place), "progress": lambda items, what: items}
        forest, chosen = linked_hypotheses(film, lineage.Settings(), **options, guess=lambda _: next(each))
        seconds = time.process_time() - began
        masks = [chosen[t] for t in range(len(film))]
    cells = max(len(forest), 1)
    note = f"{seconds:7.1f} s, {sum(map(len, found)) / cells:.2f} a cell"
    show(f"{folder.name} hypotheses", (forest, masks), truth, FILMS[folder.name], note)


def examples(model: object, files: object, step: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Facts about the candidates of some labelled pictures, and which of them are true."""
    known, true = [], []
    for i in range(0, len(files), step):
        image, labels = files[i]
        said = model.probabilities(image)
        candidates = Candidates.of(said, model.decoder.channels, [model.decoder(said)], search=fitting(SEARCH, model.decoder))
        iou = candidates.overlap(labels)
        known.append(candidates.known[~np.isnan(iou)])
        true.append((iou[~np.isnan(iou)] >= 0.5).astype(float))
    return np.concatenate(known), np.concatenate(true)


def fit(data: Path, name: str) -> None:
    """Fit the calibration, print it, and say how well it holds."""
    model = segmentation.load(name)
    parts = [split(data / "nuclei" / "train"), *(split(data / "ctc" / name / "01") for name in NUCLEI)]
    learned = [examples(model, part.train, 3) for part in parts]
    calibration = Calibration.fit(np.concatenate([known for known, _ in learned]), np.concatenate([true for _, true in learned]))
    print(calibration.described())
    for part in parts:
        known, true = examples(model, part.test, 3) if len(part.test) else examples(model, part.validation)
        score = calibration(known)
        error, brier = calibration_error(score, true), float(((score - true) ** 2).mean())
        print(f"{part.name:24} {len(true):6} candidates  calibration error {error:.4f}  Brier {brier:.4f}")


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", nargs="+", default=NUCLEI, choices=FILMS)
    parser.add_argument("--model", default="nuclei-2d", help="a shipped name or a weights file")
    parser.add_argument("--fit", action="store_true", help="fit the calibration instead")
    options = parser.parse_args()
    data = Path(os.environ.get("CYTOLINEAGE_DATA", ""))
    if not (data / "ctc").is_dir():
        print("CYTOLINEAGE_DATA does not name a folder of real films", file=sys.stderr)
        return 2
    if options.fit:
        fit(data, options.model)
        return 0
    print(f"{'':52}", *(f"{key[:8]:>8}" for key in SHOWN))
    for name in options.films:
        compare(data / "ctc" / name, options.model)
    return 0


if __name__ == "__main__":
    sys.exit(main())
