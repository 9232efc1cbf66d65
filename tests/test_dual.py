"""The dual solver: its bound never lies, its answer is the optimum, its theorems hold."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from random_programmes import optimum, random_costs, random_graph, random_pins, random_program, walk

from lineage import CandidateGraph, Detections, solve
from lineage.program import LINEAGE_RULES, state
from lineage.solvers import Limits, highs, solver_named
from lineage.solvers.dual import dual
from lineage.solvers.dual.flow import balance, front, priced, share_prices
from lineage.solvers.dual.net import net_of
from lineage.solvers.dual.sweeps import ascend, bound, even_shares, settle_between

EXACT = Limits(gap=0)


@pytest.mark.parametrize("first", range(0, 400, 100))
def test_bound_never_lies_and_the_answer_is_the_optimum(first):
    for seed in range(first, first + 100):
        program = random_program(seed)
        best = optimum(program)
        if best is None:
            with pytest.raises(ValueError, match=r"^these pins cannot hold together: .+$"):
                dual(program, EXACT)
            continue
        _check_bounds(program, best)
        found = dual(program, EXACT).certificate
        assert found.objective == pytest.approx(best, abs=1e-6), seed
        assert found.status == "optimal", seed
        assert found.bound <= best + 1e-6, seed


def _check_bounds(program, best):
    """Every sweep raises the bound, the flow may lower it; it is never above the optimum."""
    net, _, _ = net_of(program)
    shares = even_shares(net)
    low = bound(net, shares)
    for turn in range(6):
        if turn == 3:
            flow = priced(net, shares, 1.0)
            balance(net, flow, front(len(net.select), len(net.link)), 0)
            share_prices(net, flow, shares)
            low = -np.inf
        if turn == 5:
            settle_between(net, shares)
        else:
            ascend(net, shares, 1)
        before, low = low, bound(net, shares)
        assert before - 1e-7 <= low <= best + 1e-7


@pytest.mark.parametrize("first", range(5000, 5100, 50))
def test_same_optimum_as_highs(first):
    for seed in range(first, first + 50):
        rng = np.random.default_rng(seed)
        program = random_program(seed, int(rng.integers(8, 30)), int(rng.integers(10, 100)), int(rng.integers(3, 8)))
        try:
            other = highs(program, EXACT).certificate.objective
        except ValueError:
            with pytest.raises(ValueError, match=r"^these pins cannot hold together: .+$"):
                dual(program, EXACT)
            continue
        assert dual(program, EXACT).certificate.objective == pytest.approx(other, abs=1e-6), seed


@pytest.mark.parametrize("kind", [{}, {"conflicts": True}, {"pairs": True}])
def test_films_of_every_kind(kind):
    for seed in range(4):
        program = state(*walk(100, seed, **kind))
        ours, other = dual(program, EXACT).certificate, highs(program, EXACT).certificate
        assert ours.objective == pytest.approx(other.objective, abs=1e-6)
        assert ours.gap == 0


def test_deterministic():
    program = state(*walk(250, 5, conflicts=True))
    one, two = dual(program, EXACT), dual(program, EXACT)
    assert (one.x == two.x).all()
    assert one.certificate.bound == two.certificate.bound


def test_cells_without_links_and_films_without_cells():
    none = CandidateGraph(Detections([], np.zeros((0, 2)), []), [], [])
    assert solve(none, {}, "dual").certificate.objective == 0
    lonely = CandidateGraph(Detections([0, 3], np.zeros((2, 2)), [1, 1]), [], [])
    assert solve(lonely, {"select": [-1.0, 1.0]}, "dual", 0).selected.tolist() == [True, False]


def test_other_rules_are_refused_and_auto_gives_them_to_highs():
    graph, costs = walk(seed=10)
    rules = (*LINEAGE_RULES, LINEAGE_RULES[0])
    with pytest.raises(ValueError, match=re.escape("solver dual knows the usual rules only: take solver='highs'") + "$"):
        solve(graph, costs, "dual", rules=rules)
    assert solve(graph, costs, rules=rules).certificate.solver == "highs"


def test_auto_takes_the_dual_solver_for_large_programmes(monkeypatch):
    monkeypatch.setattr("lineage.solvers.choosing.SMALL", 100)
    assert solve(*walk(seed=11)).certificate.solver == "dual"
    assert solver_named("dual")(state(*walk(seed=11)), EXACT).certificate.solver == "dual"


def test_forest_has_the_slack_of_links_and_cells():
    graph, costs = walk(seed=11)
    forest = solve(graph, costs, "dual", 0)
    assert forest.slack["link"].shape == (len(graph),)
    assert forest.slack["select"].shape == (len(graph.detections),)
    assert (forest.slack["link"] >= 0).all()
    assert not solve(graph, costs, "highs", 0).slack


def test_compiler_is_loaded_only_with_the_dual_solver():
    code = "import sys, lineage, lineage.solving, lineage.solvers; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def other_way(graph, costs, pins, block, row, value):
    """The optimum of a tiny programme when one thing is decided otherwise; None when it cannot be, or was pinned already."""
    program = state(graph, costs, pins=pins)
    at = program.blocks[block].start + row
    if program.lower[at] == program.upper[at]:
        return None
    lower, upper = program.lower.copy(), program.upper.copy()
    lower[at] = upper[at] = value
    return optimum(replace(program, lower=lower, upper=upper))


@pytest.mark.parametrize("gap", [0, 0.1])
def test_slack_is_a_lower_bound_of_what_deciding_otherwise_costs(gap):
    """Of links and cells, in tiny programmes with everything in them, also where the answer is not proven to be the best one."""
    known = {"link": 0, "select": 0}
    for seed in range(300, 400):
        rng = np.random.default_rng(seed)
        graph = random_graph(rng, int(rng.integers(2, 6)), int(rng.integers(1, 8)))
        costs = random_costs(rng, graph, infinite=bool(seed % 2))
        pins = random_pins(rng, graph, costs)
        try:
            found = dual(state(graph, costs, pins=pins), Limits(gap=gap))
        except ValueError:
            continue
        for block in known:
            for row, slack in enumerate(found.slack.get(block, [])):
                value = 1 - int(found.x[state(graph, costs).blocks[block]][row])
                other = other_way(graph, costs, pins, block, row, value)
                assert other is None or other - found.certificate.objective >= slack - 1e-6, (seed, block, row)
                known[block] += bool(0 < slack < np.inf)
    assert min(known.values()) > 60  # or the bounds would say nothing


@pytest.mark.parametrize("kind", [{}, {"conflicts": True}, {"pairs": True}])
def test_slack_of_a_film_is_a_lower_bound_too(kind):
    graph, costs = walk(80, 3, **kind)
    found = solve(graph, costs, "dual", 0)
    chosen = {"link": found.parent[graph.target] == graph.source, "select": found.selected}
    tight = 0
    for block, value in chosen.items():
        for row in np.argsort(-found.slack[block])[:: len(value) // 8].tolist():  # from the surest to the least sure
            other = solve(graph, costs, "highs", 0, {block: {row: 1 - int(value[row])}}).certificate.objective
            rise = other - found.certificate.objective
            assert found.slack[block][row] <= rise + 1e-6
            tight += found.slack[block][row] > 0.5 * rise > 0
    assert tight >= 3


@pytest.mark.parametrize("kind", [{}, {"conflicts": True}, {"pairs": True}])
def test_start_from_memory_finds_the_same_optimum(kind):
    graph, costs = walk(80, 14, **kind)
    first = dual(state(graph, costs), EXACT)
    chosen = np.flatnonzero(first.x[state(graph, costs).blocks["link"]])
    for row in chosen[::12].tolist():
        program = state(graph, costs, pins={"link": {row: 0}})
        again = dual(program, EXACT, first.memory).certificate
        assert again.objective == pytest.approx(highs(program, EXACT).certificate.objective)
        assert again.gap == 0


def test_forced_link_that_cannot_be_is_blamed():
    graph = CandidateGraph(Detections([0, 0, 1], np.zeros((3, 2)), [0, 0, 0]), [0, 1], [2, 2])
    message = "these pins cannot hold together: link 0 (row 0 -> row 2) = 1, link 1 (row 1 -> row 2) = 1"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        dual(state(graph, {}, pins={"link": {0: 1, 1: 1}}), EXACT)


def test_rivals_in_overlapping_sets():
    """A set may lose all it holds to other sets before its turn comes."""
    sets = [[2, 3], [9, 11, 10], [12, 1], [5, 6], [2, 7], [1, 2], [12, 10]]
    source, target = np.transpose([(1, 4), (0, 6), (3, 10), (7, 11), (5, 12), (6, 9), (2, 8)])
    frame = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2]
    graph = CandidateGraph(Detections(frame, np.zeros((13, 2)), [0] * 13, conflicts=sets, n_frames=4), source, target)
    costs = {
        "select": [-4.78, -3.79, -2.49, -4.01, -0.34, -3.28, 0.03, -3.02, -1.51, -3.6, -2.46, -2.5, -3.13],
        "appear": [4.68, 1.78, 0.82, 1.93, 1.34, 1.73, 6.32, 1.29, 3.53, 1.77, 4.74, 2.19, 2.83],
        "disappear": [2.17, 0.2, 0.02, 3.11, 0.02, 0.17, 1.88, 2.06, -0.22, 2.92, -0.18, 3.2, 1.19],
        "divide": [2.84, 1.47, 4.5, 2.04, 1.75, 1.8, 1.87, 0.25, -0.11, 2.54, 1.21, 2.14, 3.71],
        "link": [-2.08, -1.34, -0.24, -1.81, -2.56, -0.7, -1.82],
    }
    program = state(graph, costs)
    assert dual(program, EXACT).certificate.objective == pytest.approx(highs(program, EXACT).certificate.objective)


def test_wrong_prices_would_be_noticed():
    program = state(*walk(seed=12))
    net, _, _ = net_of(program)
    shares = even_shares(net)
    ascend(net, shares, 5)
    best = dual(program, EXACT).certificate.objective
    assert bound(net, replace_into(shares, shares.into + 1)) > best  # costs out of nothing: what the other tests would catch


def replace_into(shares, into):
    return shares._replace(into=into)


def test_program_carries_its_rules():
    program = state(*walk(seed=13))
    assert program.rules == LINEAGE_RULES
    assert replace(program, rules=()).rules == ()
