"""Write and read 100,000 cells in every format: seconds, size, memory, and how these grow from 10,000 cells on.

    python benchmarks/formats.py [FORMAT ...]

Targets for 100,000 cells with six measured columns: CSV, GEFF and the table of a Cell Tracking Challenge folder (masks apart) written
in 2 s and read in 3 s; GEXF, GraphML and TrackMate XML in 6 s each way; memory linear.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
from conditions import conditions

from lineage import Detections, Forest
from lineage.formats import FORMATS, ctc
from lineage.formats.ctc_table import check_rows, parse_table

SMALL, LARGE, FRAMES = 10_000, 100_000, 250
TARGETS = {"csv": (2, 3), "geff": (2, 3), "ctc text": (2, 3), "gexf": (6, 6), "graphml": (6, 6), "trackmate": (6, 6)}


def forest(n: int) -> Forest:
    """Lineages of n cells over 250 frames: 1 % of the cells divide, 1 % are lost, some are missed for a frame."""
    rng = np.random.default_rng(0)
    width = n // FRAMES
    frame = np.repeat(np.arange(FRAMES), width)
    before = np.arange(n) - width * np.where(rng.random(n) < 0.01, 2, 1)
    parent = np.where(rng.random(n) < 0.01, before - before % width + rng.integers(0, width, n), before)
    parent = np.where((parent >= 0) & (rng.random(n) > 0.01), parent, -1)
    position = rng.uniform(0, 1000, (n, 2))
    columns = {
        "area": rng.integers(50, 500, n),
        "intensity_mean": rng.uniform(0, 65535, n),
        "eccentricity": rng.random(n),
        "angle": rng.uniform(-np.pi, np.pi, n),
        "score": rng.random(n).astype(np.float32),
        "touches_border": rng.random(n) < 0.05,
    }
    label = np.arange(n) % width + 1
    return Forest(Detections(frame, position, label, columns, (0.5, 0.5), interval=300.0), parent, link_cost=rng.normal(size=n))


def seconds(action: Callable[[], object]) -> tuple[float, float]:
    """Wall time and processor time of a call; they differ where the machine is shared."""
    began, worked = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - began, time.process_time() - worked


def peak(action: Callable[[], object]) -> float:
    """Most memory that a call held at a time, MB, as far as Python and NumPy know of it."""
    tracemalloc.start()
    action()
    top = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return top / 1e6


def size(path: Path) -> float:
    """Of a file or folder, MB."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) / 1e6


def write_text(cells: Forest, path: Path) -> None:
    """Only the text table of a Cell Tracking Challenge folder."""
    path.write_text("".join(f"{a} {b} {e} {p}\n" for a, b, e, p in ctc.tracklet_table(cells).tolist()))


def read_text(path: Path) -> None:
    """Only the text table, checked."""
    table, line, _ = parse_table(path)
    check_rows(path, table, line)


def measured(key: str, cells: Forest, folder: Path) -> tuple[float, ...]:
    """Seconds of the processor to write and to read, of the clock, MB of the file, MB of memory to write and to read."""
    known = next((known for known in FORMATS if known.key == key), None)
    path = folder / f"cells{known.endings[0] if known and known.endings else '.txt'}"
    write = (lambda: known.save(cells, path)) if known else (lambda: write_text(cells, path))
    read = (lambda: known.load(path)) if known else (lambda: read_text(path))
    tries = [[seconds(action) for _ in range(3)] for action in (write, read)]
    worked, clock = ([min(one[k] for one in times) for times in tries] for k in (1, 0))
    found = (*worked, *clock, size(path), peak(write), peak(read))
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return found


def main() -> None:
    """Print the figures."""
    print(conditions())
    print(f"{LARGE} cells: seconds of the processor (of the clock), MB of the file, MB of memory; growth from {SMALL} cells on")
    print(f"{'':14} {'write':>15} {'read':>15} {'size':>7} {'memory':>11} {'growth':>17}   target")
    small, large = forest(SMALL), forest(LARGE)
    for cells in (small, large):  # worked out once, kept by the forest
        _ = cells.tracklet_id, cells.lineage_id, cells.generation, cells.parent_tracklet_id
    wanted = sys.argv[1:] or ["ctc text", *(known.key for known in FORMATS if known.write and known.key != "ctc")]
    with tempfile.TemporaryDirectory() as place:
        for key in wanted:
            measured(key, small, Path(place))  # libraries load once
            few, many = (measured(key, cells, Path(place)) for cells in (small, large))
            grows = [many[k] / max(few[k], 1e-3) for k in (0, 1)] + [max(many[5:]) / max(*few[5:], 1)]
            goal = TARGETS.get(key, ())
            verdict = "" if not goal else "reached" if many[0] <= goal[0] and many[1] <= goal[1] else "missed"
            print(
                f"{key:14} {many[0]:6.2f} ({many[2]:6.2f}) {many[1]:6.2f} ({many[3]:6.2f}) {many[4]:7.1f} {many[5]:5.0f} {many[6]:5.0f} "
                f"{grows[0]:5.1f} {grows[1]:5.1f} {grows[2]:5.1f}   {verdict} {' and '.join(f'{limit} s' for limit in goal)}",
                flush=True,
            )


if __name__ == "__main__":
    main()
