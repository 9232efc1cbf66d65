"""How many planted errors the health check finds: 20 errors in a film, and its first 40 warnings.

    CYTOLINEAGE_DATA=... python benchmarks/health.py

Errors (swapped links, lost divisions, broken tracks) are planted in the truth as it is read, and in what `lineage.link` makes of the
silver-truth masks, which holds errors of its own; without CYTOLINEAGE_DATA in simulated films only. An error counts as found when
a warning's row is one of its detections. Nothing is tuned on these seeds.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import numpy as np
from conditions import conditions
from planting import KINDS, plant

import lineage
from lineage.films import open_film
from lineage.health import check

SEEDS = range(1000, 1010)
ERRORS, WARNINGS = 20, 40
FILMS = {"Fluo-N2DL-HeLa": "01_ST/SEG", "Fluo-N2DH-SIM+": "01_GT/SEG", "DIC-C2DH-HeLa": "01_ST/SEG", "PhC-C2DL-PSC": "01_ST/SEG"}


def measure(name: str, forest: lineage.Forest) -> None:
    """Print a row: how many errors were found with each seed, and the part of each kind."""
    began = time.perf_counter()
    own = int((check(forest)["score"] > 0).sum())
    seconds = time.perf_counter() - began
    found, planted, hit = [], Counter(), Counter()
    for seed in SEEDS:
        wrong, errors = plant(forest, ERRORS, np.random.default_rng(seed))
        first = set(check(wrong)["row"].head(WARNINGS))
        there = [error for error in errors if first & error.rows]
        found.append(len(there))
        planted.update(error.kind for error in errors)
        hit.update(error.kind for error in there)
    kinds = "  ".join(f"{kind} {hit[kind] / max(planted[kind], 1):.2f}" for kind in KINDS)
    print(
        f"{name:<26} {len(forest):>6} {seconds:>6.2f} {own:>5}   {min(found):>2} {np.mean(found):>5.1f} {max(found):>3}   {kinds}",
        flush=True,
    )


def main() -> None:
    """Print a row a forest."""
    print(conditions())
    print(
        f"{'forest':<26} {'cells':>6} {'s':>6} {'own>0':>5}   {'min':>2} {'mean':>5} {'max':>3}   found of {ERRORS} in {WARNINGS}, by kind"
    )
    for seed in range(3):
        film = lineage.simulate(frames=40, cells=40, size=(400, 400), seed=900 + seed, cycle=14, cycle_spread=3, min_cycle=8)
        measure(f"simulated {seed}", film.truth)
    solid = lineage.simulate(frames=20, cells=20, size=(24, 128, 128), seed=910, cycle=9, cycle_spread=2, min_cycle=6)
    measure("simulated 3D", solid.truth)
    folder = os.environ.get("CYTOLINEAGE_DATA")
    for name, masks in FILMS.items() if folder else ():
        place = Path(folder or "") / "ctc" / name
        measure(f"{name} truth", lineage.read(place / "01_GT/TRA"))
        measure(f"{name} linked", lineage.link(open_film(place / masks, kind="labels")))


if __name__ == "__main__":
    main()
