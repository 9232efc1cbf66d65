"""State the programme of random films, from 10,000 to 1,000,000 candidate edges, and show that it grows linearly.

    python benchmarks/programme.py

The target is under 0.2 s for 100,000 edges and under 4 s for 1,000,000.
"""

from __future__ import annotations

import time

import numpy as np
from conditions import conditions

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
    print(f"{'edges':>10} {'rows':>10} {'columns':>10} {'seconds':>8} {'us/edge':>8}")
    for cells in (3_900, 39_000, 390_000):
        graph = film(cells)
        best = np.inf
        for _ in range(3):
            began = time.perf_counter()
            program = stated(graph)
            best = min(best, time.perf_counter() - began)
        rows, columns = program.matrix.shape
        print(f"{len(graph):>10,} {rows:>10,} {columns:>10,} {best:>8.3f} {best / len(graph) * 1e6:>8.2f}")


if __name__ == "__main__":
    main()
