"""Link real films from given masks, and embryos from points, with default settings, and score them.

    CYTOLINEAGE_DATA=... python benchmarks/linking.py [FILM ...] [--edges WEIGHTS]

Masks are the silver truth (for Fluo-N2DH-SIM+ the exact masks), labels shuffled in every frame. Nothing is tuned on a film, but the learned
scores ``edges-2d``, which count by default, come from the first halves of the four films with masks: ``--edges ""`` does without, and
``--edges FILE`` takes a network that has not seen the film (docs/linking.md). ECE is the expected calibration error of the confidence of
links. For more strategies, other packages, stress and the ceiling: ``lineage benchmark``.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from conditions import conditions

import lineage
from lineage.benchmarking.case import case_of
from lineage.films import open_film
from lineage.learn.calibration import expected_error
from lineage.scoring.confidence import CONFIDENCE

FILMS = {
    "Fluo-N2DL-HeLa": "01_ST/SEG",
    "Fluo-N2DH-SIM+": "01_GT/SEG",
    "DIC-C2DH-HeLa": "01_ST/SEG",
    "PhC-C2DL-PSC": "01_ST/SEG",
}
EMBRYOS = {  # tables of node_id, t, z, y, x, parent_id, and the size of a step along z, y, x
    "astec_Pm02": (1.0, 1.0, 1.0),
    "astec_Pm03": (1.0, 1.0, 1.0),
    "astec_Pm04": (1.0, 1.0, 1.0),
    "astec_Pm05": (1.0, 1.0, 1.0),
    "linajea_120828_side1": (1.0, 1.0, 1.0),
    "live_CD20241009_JIM767_25_L1": (5.7471, 1.0, 1.0),
}
HEADS = ("film          ", "cells", "seconds", "gap")
SHOWN = ("DET", "TRA", "LNK", "CHOTA", "IDF1", "CT", "TF", "division_f1", "division_f1_1", "complete_lineages")


def shuffled(film: lineage.films.OpenedFilm) -> list[np.ndarray]:
    """The label film with other numbers in every frame: nothing may be learned from them."""
    rng = np.random.default_rng(0)
    frames = []
    for t in range(len(film)):
        frame = film[t]
        table = np.concatenate([[0], rng.permutation(int(frame.max())) + 1]).astype(frame.dtype)
        frames.append(table[frame])
    return frames


def embryo(path: Path, scale: tuple[float, ...]) -> lineage.Forest:
    """The lineages of a table of points."""
    table = pd.read_csv(path).sort_values("t", kind="stable").reset_index(drop=True)
    row = dict(zip(table["node_id"], table.index, strict=True))
    points = table[["t", "z", "y", "x"]].assign(t=table["t"] - table["t"].min())
    return lineage.Forest(lineage.Detections.from_points(points, scale), [row.get(parent, -1) for parent in table["parent_id"]])


def miscalibrated(forest: lineage.Forest, truth: lineage.Forest) -> float:
    """Expected calibration error of the confidence of links, against the links between the same detections that are right."""
    child = forest.child_rows
    sure = forest.detections.columns[CONFIDENCE][child]
    return expected_error(sure, forest.parent[child] == truth.parent[child])


def show(name: str, forest: lineage.Forest, seconds: float, scores: dict[str, float | int | None]) -> None:
    """Print one row."""
    assert forest.certificate is not None
    numbers = ["-" if (value := scores[key]) is None else f"{value:.4f}" for key in (*SHOWN, "ECE")]
    cells = [f"{name[:14]:<14}", f"{len(forest)}", f"{seconds:.1f}", f"{forest.certificate.gap:.0e}", *numbers]
    print(" ".join(f"{cell:>{max(7, len(head))}}" for head, cell in zip((*HEADS, *SHOWN, "ECE"), cells, strict=True)), flush=True)


def main() -> None:
    """Print a row a film."""
    folder = os.environ.get("CYTOLINEAGE_DATA")
    if not folder:
        sys.exit("set CYTOLINEAGE_DATA to a folder with ctc/<film>/01, 01_GT, 01_ST, and embryos/")
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("films", nargs="*", help="all when not given", metavar="FILM")
    asked.add_argument("--edges", default="auto", help="learned scores of links, as in Settings")
    given = asked.parse_args()
    wanted, settings = given.films or [*FILMS, *EMBRYOS], lineage.Settings(edges=given.edges)
    if unknown := sorted(set(wanted) - {*FILMS, *EMBRYOS}):
        asked.error(f"no such film: {', '.join(unknown)}; there are {', '.join([*FILMS, *EMBRYOS])}")
    print(conditions())
    print(" ".join(f"{name:>{max(7, len(name))}}" for name in (*HEADS, *SHOWN, "ECE")))
    for name, masks in ((name, FILMS[name]) for name in wanted if name in FILMS):
        place = Path(folder) / "ctc" / name
        labels = shuffled(open_film(place / masks, kind="labels"))
        began = time.perf_counter()
        forest = lineage.link(labels, settings=settings)
        took = time.perf_counter() - began
        error = miscalibrated(forest, case_of(labels, place / "01_GT").oracle())
        show(name, forest, took, lineage.evaluate((forest, labels), place / "01_GT") | {"ECE": error})
    for name, scale in ((name, EMBRYOS[name]) for name in wanted if name in EMBRYOS):
        truth = embryo(Path(folder) / "embryos" / f"{name}.csv.gz", scale)
        began = time.perf_counter()
        forest = lineage.link(truth.detections)
        took = time.perf_counter() - began
        error = miscalibrated(forest, truth)
        show(name, forest, took, lineage.evaluate((forest, None), (truth, None), distance=1e-3) | {"ECE": error})


if __name__ == "__main__":
    main()
