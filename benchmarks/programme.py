"""State the programme of random films, from 10,000 to 1,000,000 candidate edges, and show that it grows linearly.

    python benchmarks/programme.py [--large]

The rows are made when a solver asks for them, which the dual one does not: ``state`` is what every solver waits for, ``rows`` what
the others wait for besides. The target is under 0.2 s for both at 100,000 edges and under 4 s at 1,000,000. Memory (MB) is the peak
of the process above what it held before, without the rows and with them; ``--large`` adds 5,000,000 edges, without.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from conditions import conditions
from contenders import forget, resident

from lineage import CandidateGraph, Detections
from lineage.candidates import nearest
from lineage.program import Program, state


def film(cells: int, frames: int = 20, seed: int = 0) -> CandidateGraph:
    """Random points, each linked to about three of the next frame."""
    rng = np.random.default_rng(seed)
    frame = np.sort(rng.integers(0, frames, cells))
    side = (cells / frames) ** 0.5
    detections = Detections(frame, rng.random((cells, 2)) * side, np.zeros(cells, int))
    return nearest(detections, 2, radius=1.5)


def stated(graph: CandidateGraph, seed: int = 0) -> Program:
    """The programme with random costs."""
    rng = np.random.default_rng(seed)
    n, m = len(graph.detections), len(graph)
    costs = {name: rng.normal(size=n) for name in ("select", "appear", "disappear", "divide")}
    return state(graph, costs | {"link": rng.normal(size=m)})


def main() -> None:
    """Print the figures."""
    print(conditions())
    names = ("edges", "columns", "state", "us/edge", "MB", "rows", "rows s", "us/edge", "MB")
    print("{:>10} {:>10} {:>8} {:>8} {:>6} {:>10} {:>8} {:>8} {:>6}".format(*names))
    for cells in (3_900, 39_000, 390_000, *([1_950_000] if "--large" in sys.argv else [])):
        graph = film(cells)
        before, times = start_of_peak(), []
        for _ in range(3):
            began = time.perf_counter()
            program = stated(graph)
            times.append(time.perf_counter() - began)
        lean = resident("VmHWM") - before
        line = f"{len(graph):>10,} {len(program):>10,} {min(times):>8.4f} {min(times) / len(graph) * 1e6:>8.3f} {lean:>6.0f}"
        if cells > 1_000_000:
            print(line)
            continue
        began = time.perf_counter()
        rows = program.matrix.shape[0]
        took = time.perf_counter() - began
        full = resident("VmHWM") - before
        print(f"{line} {rows:>10,} {took:>8.3f} {took / len(graph) * 1e6:>8.3f} {full:>6.0f}", flush=True)


def start_of_peak() -> float:
    """Forget the peak of memory; what the process holds now, MB."""
    forget()
    return resident()


if __name__ == "__main__":
    main()
