"""Link real films from given masks with default settings, and score them.

    CYTOLINEAGE_DATA=... python benchmarks/linking.py

Masks are the silver truth (for Fluo-N2DH-SIM+ the exact masks), labels shuffled in every frame. Nothing is tuned on a film.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
from conditions import conditions

import lineage
from lineage.films import open_film

FILMS = {
    "Fluo-N2DL-HeLa": "01_ST/SEG",
    "Fluo-N2DH-SIM+": "01_GT/SEG",
    "DIC-C2DH-HeLa": "01_ST/SEG",
    "PhC-C2DL-PSC": "01_ST/SEG",
}
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


def main() -> None:
    """Print a row a film."""
    folder = os.environ.get("CYTOLINEAGE_DATA")
    if not folder:
        sys.exit("set CYTOLINEAGE_DATA to a folder with ctc/<film>/01, 01_GT, 01_ST")
    print(conditions())
    print(" ".join(f"{name:>{max(7, len(name))}}" for name in ("film          ", "cells", "seconds", "gap", *SHOWN)))
    for name, masks in FILMS.items():
        place = Path(folder) / "ctc" / name
        labels = shuffled(open_film(place / masks, kind="labels"))
        began = time.perf_counter()
        forest = lineage.link(labels)
        took = time.perf_counter() - began
        scores = lineage.evaluate((forest, labels), place / "01_GT")
        assert forest.certificate is not None
        numbers = [f"{scores[key]:.4f}" for key in SHOWN]
        cells = [f"{name:<14}", f"{len(forest)}", f"{took:.1f}", f"{forest.certificate.gap:.0e}", *numbers]
        heads = ("film          ", "cells", "seconds", "gap", *SHOWN)
        print(" ".join(f"{cell:>{max(7, len(head))}}" for head, cell in zip(heads, cells, strict=True)))


if __name__ == "__main__":
    main()
