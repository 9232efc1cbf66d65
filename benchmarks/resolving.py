"""Solve a standard film, pin ten links of the answer, and solve it again from that answer.

    python benchmarks/resolving.py [EDGES [GAP [SEED [DRAWS]]]]

Half of the pins forbid a chosen link, the others force one that was not chosen: what a person who corrects a film does. Every draw
takes other links. The certificate of each second solution is compared with that of a solution made anew.
"""

from __future__ import annotations

import json
import statistics
import sys
import time

import numpy as np
from instances import instance

from lineage import CandidateGraph, Forest, solve

PINS = 10


def corrections(graph: CandidateGraph, forest: Forest, rng: np.random.Generator) -> dict[str, dict[int, int]]:
    """Ten pins on links that have no end in common, so that they can hold together."""
    chosen = forest.parent[graph.target] == graph.source
    near = chosen | (graph.dt == 1)
    pins: dict[int, int] = {}
    touched: set[int] = set()
    for k in rng.permutation(np.flatnonzero(near)).tolist():  # a draw: each takes what the ones before have left
        ends = {int(graph.source[k]), int(graph.target[k])}
        forbid = sum(not value for value in pins.values()) < PINS // 2
        if ends & touched or bool(chosen[k]) != forbid:
            continue
        pins[k] = int(not forbid)
        touched |= ends
        if len(pins) == PINS:
            break
    return {"link": pins}


def main() -> None:
    """Print the measurement as one line of JSON."""
    edges, gap, seed, draws = (*sys.argv[1:], *("1e5", "1e-4", "0", "5")[len(sys.argv) - 1 :])
    graph, costs = instance("standard", int(float(edges)), int(seed))
    small, small_costs = instance("standard", 500)
    begin = solve(small, small_costs, "dual", 0)
    solve(small, small_costs, "dual", 0, {"link": {0: 0}}, begin)  # what is compiled or loaded at first use
    began = time.perf_counter()
    first = solve(graph, costs, "dual", float(gap))
    seconds = {"first": time.perf_counter() - began}
    rng = np.random.default_rng(int(seed))
    again, anew, gaps, agree = [], [], [], True
    for _ in range(max(int(draws), 1)):
        pins = corrections(graph, first, rng)
        began = time.perf_counter()
        one = solve(graph, costs, "dual", float(gap), pins, first)
        again.append(time.perf_counter() - began)
        began = time.perf_counter()
        two = solve(graph, costs, "dual", float(gap), pins)
        anew.append(time.perf_counter() - began)
        assert one.certificate is not None
        assert two.certificate is not None
        slack = 1e-6 * abs(one.certificate.objective)
        agree &= one.certificate.bound <= two.certificate.objective + slack and two.certificate.bound <= one.certificate.objective + slack
        gaps.append(one.certificate.gap)
    times = {"again": statistics.median(again), "most": max(again), "anew": statistics.median(anew), "draws": again}
    print(json.dumps({"edges": len(graph), "pins": PINS, **seconds, **times, "gap": max(gaps), "agree": bool(agree)}))


if __name__ == "__main__":
    main()
