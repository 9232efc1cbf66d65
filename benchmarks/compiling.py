"""Seconds until the dual solver's first answers in this process, kind by kind; with NUMBA_CACHE_DIR empty, what compiling costs.

    NUMBA_CACHE_DIR=$(mktemp -d) python benchmarks/compiling.py

The kinds use different kernels: daughter pairs and conflict sets have some of their own, and so has going on from a start.
"""

from __future__ import annotations

import json
import time
from typing import Any

from instances import instance

import lineage


def main() -> None:
    """Print the seconds as one line of JSON."""
    seconds: dict[str, float] = {}
    began, worked = time.perf_counter(), time.process_time()
    for kind in ("standard", "pairs", "conflicts"):
        graph, costs = instance(kind, 1000)
        start = time.perf_counter()
        forest = lineage.solve(graph, costs, "dual", 0)
        seconds[kind] = time.perf_counter() - start
    pinned: dict[str, Any] = {"link": {0: 0}}
    start = time.perf_counter()
    lineage.solve(graph, costs, "dual", 0, pinned, forest)
    seconds["start"] = time.perf_counter() - start
    print(json.dumps(seconds | {"all": time.perf_counter() - began, "cpu": time.process_time() - worked}))


if __name__ == "__main__":
    main()
