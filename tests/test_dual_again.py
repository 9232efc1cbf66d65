"""Solving again: after other pins or costs the answer is as good as one made anew, and its bound never lies."""

from __future__ import annotations

import numpy as np
import pytest
from random_programmes import optimum, random_costs, random_graph, walk

from lineage import solve
from lineage.program import state
from lineage.solvers import Limits, highs
from lineage.solvers.dual import dual
from lineage.solvers.dual.memory import Memory
from lineage.solvers.dual.patches import kept_patches

EXACT = Limits(gap=0)


def some_pins(rng, graph):
    """A few pins of any kind, which may contradict each other."""
    pins = {}
    for block, size in (("link", len(graph)), ("select", len(graph.detections)), ("divide", len(graph.detections))):
        rows = rng.choice(size, min(size, int(rng.integers(0, 3))), replace=False) if size else []
        pins[block] = {int(row): int(rng.integers(0, 2)) for row in rows}
    return pins


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_other_pins_and_costs_on_tiny_graphs(first):
    """Against every 0/1 point: conflict sets, gaps, pairs and pins included."""
    for seed in range(first, first + 50):
        rng = np.random.default_rng(seed)
        graph = random_graph(rng, int(rng.integers(1, 7)), int(rng.integers(0, 8)), 4)
        costs = random_costs(rng, graph, infinite=False)
        known = dual(state(graph, costs), EXACT)
        for _ in range(3):
            costs = {**costs, "link": costs["link"] + rng.integers(-1, 2, len(graph)) * (rng.random(len(graph)) < 0.3)}
            program = state(graph, costs, pins=some_pins(rng, graph))
            best = optimum(program)
            if best is None:
                continue
            found = dual(program, EXACT, known.memory)
            assert found.certificate.objective == pytest.approx(best, abs=1e-6), seed
            assert found.certificate.bound <= best + 1e-6, seed
            assert found.certificate.status == "optimal", seed
            known = found


@pytest.mark.parametrize("kind", [{}, {"conflicts": True}, {"pairs": True}])
def test_a_film_with_pins(kind):
    graph, costs = walk(seed=5, **kind)
    rng = np.random.default_rng(0)
    known = solve(graph, costs, "dual", gap=0)
    assert isinstance(known.memory, Memory)
    for _ in range(5):
        chosen = np.flatnonzero(known.parent[graph.target] == graph.source)
        pins = {"link": {int(row): 0 for row in rng.choice(chosen, 3, replace=False)}}
        again = solve(graph, costs, "dual", 0, pins, known)
        other = highs(state(graph, costs, pins=pins), EXACT).certificate
        assert again.certificate.objective == pytest.approx(other.objective, abs=1e-6)
        assert again.certificate.gap == 0
        assert again.certificate.bound <= other.objective + 1e-6
        assert again.certificate.objective > known.certificate.objective


def test_nothing_changed_is_solved_at_once():
    graph, costs = walk(seed=1)
    known = solve(graph, costs, "dual", gap=0)
    again = solve(graph, costs, "dual", 0, None, known)
    assert np.array_equal(again.parent, known.parent)
    assert again.certificate.objective == known.certificate.objective
    assert again.certificate.gap == 0


def test_slack_after_pins_is_still_a_lower_bound():
    graph, costs = walk(cells=60, seed=3)
    known = solve(graph, costs, "dual", gap=0)
    chosen = np.flatnonzero(known.parent[graph.target] == graph.source)
    pins = {"link": {int(chosen[0]): 0}}
    again = solve(graph, costs, "dual", 0, pins, known)
    for link in range(0, len(graph), 7):
        if link == chosen[0]:
            continue
        other = int(again.parent[graph.target[link]] != graph.source[link])
        try:
            dearer = highs(state(graph, costs, pins={"link": {**pins["link"], link: other}}), EXACT).certificate.objective
        except ValueError:
            continue
        assert again.certificate.objective + again.slack["link"][link] <= dearer + 1e-6


def test_a_memory_of_another_film_is_not_used():
    small, small_costs = walk(cells=40, seed=2)
    graph, costs = walk(cells=60, seed=2)
    program = state(graph, costs)
    memory = dual(state(small, small_costs), EXACT).memory
    found, other = dual(program, EXACT, memory).certificate, highs(program, EXACT).certificate
    assert found.objective == pytest.approx(other.objective, abs=1e-6)
    assert found.gap == 0


def test_regions_that_are_kept_are_joined_whole():
    """A detection of a region that was lifted before cannot join another patch alone: its lift would count twice."""
    region = np.array([0, -1, 0, 3, 3, 0, -1])
    patches = kept_patches(region, np.array([0.5, 0, 0, 0.25, 0, 0, 0]))
    assert patches.root.tolist() == region.tolist()
    for head, members in ((0, [0, 2, 5]), (3, [3, 4])):
        walk_along, row = [], head
        while row >= 0:
            walk_along.append(row)
            row = int(patches.after[row])
        assert walk_along == members
        assert patches.last[head] == members[-1]
        assert patches.size[head] == len(members)
    assert patches.lift[[0, 3]].tolist() == [0.5, 0.25]
    assert not patches.failed.any()


def test_one_correction_after_another():
    """Every solution starts from the one before, so that regions lifted before are kept, dropped and joined; dense cells dispute much."""
    graph, costs = walk(cells=160, seed=11)
    costs = {**costs, "divide": costs["divide"] - 2.0}
    rng, pins = np.random.default_rng(1), {}
    known = dual(state(graph, costs), EXACT)
    for _ in range(8):
        chosen = np.flatnonzero(known.x[state(graph, costs).blocks["link"]] > 0.5)
        pins = {**pins, int(rng.choice(chosen)): 0}
        program = state(graph, costs, pins={"link": pins})
        known, other = dual(program, EXACT, known.memory), highs(program, EXACT).certificate
        assert known.certificate.objective == pytest.approx(other.objective, abs=1e-6)
        assert known.certificate.bound <= other.objective + 1e-6
        assert known.certificate.status == "optimal"
