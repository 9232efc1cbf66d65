"""The dual solver: its bound never lies, its answer is the optimum, its theorems hold."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from random_programmes import optimum, random_costs, random_graph, random_program

from lineage import CandidateGraph, Detections, solve
from lineage.program import LINEAGE_RULES, state
from lineage.solvers import Limits, highs, solver_named
from lineage.solvers.dual import dual
from lineage.solvers.dual.flow import balance, front, priced, share_prices
from lineage.solvers.dual.net import net_of
from lineage.solvers.dual.sweeps import ascend, bound, even_shares, settle_between

EXACT = Limits(gap=0)


def film(cells=300, seed=0, *, conflicts=False, pairs=False):
    """Cells that walk a little in ten frames, with the links to near ones."""
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, cells, 0, 10)
    frame, place = graph.detections.frame, rng.random((cells, 2)) * (cells / 10) ** 0.5
    source, target = np.nonzero((frame[:, None] + 1 == frame) & (((place[:, None] - place) ** 2).sum(2) < 2))
    sets = [np.flatnonzero(frame == t)[:2] for t in range(10)] if conflicts else ()
    graph = CandidateGraph(Detections(frame, place, np.zeros(cells, int), conflicts=sets), source, target)
    costs = random_costs(np.random.default_rng(seed + 1), graph, infinite=False)
    costs |= {"appear": np.abs(costs["appear"]) + 2, "disappear": np.abs(costs["disappear"]) + 2}
    if not pairs:
        costs.pop("divide_pair", None)
    return graph, costs


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
        program = state(*film(seed=seed, **kind))
        ours, other = dual(program, EXACT).certificate, highs(program, EXACT).certificate
        assert ours.objective == pytest.approx(other.objective, abs=1e-6)
        assert ours.gap == 0


def test_gap_asked_for_is_reached():
    program = state(*film(600, 3))
    best = dual(program, EXACT).certificate.objective
    for gap in (1e-1, 1e-2, 1e-3):
        found = dual(program, Limits(gap=gap)).certificate
        assert found.gap <= gap
        assert found.bound <= best + 1e-6 <= found.objective + 2e-6


def test_bound_holds_when_time_is_up():
    program = state(*film(600, 4))
    best = dual(program, EXACT).certificate.objective
    found = dual(program, Limits(gap=0, seconds=1e-3)).certificate
    assert found.bound <= best + 1e-6
    assert found.objective >= best - 1e-6
    assert found.status == ("optimal" if found.gap <= 1e-9 else "time limit")


def test_deterministic():
    program = state(*film(500, 5, conflicts=True))
    one, two = dual(program, EXACT), dual(program, EXACT)
    assert (one.x == two.x).all()
    assert one.certificate.bound == two.certificate.bound


def test_dearer_appearances_cost_as_much_as_there_are():
    graph, costs = film(seed=6)
    before = solve(graph, costs, "dual", 0)
    after = solve(graph, {**costs, "appear": costs["appear"] + 0.5}, "dual", 0)
    rise = after.certificate.objective - before.certificate.objective
    assert 0.5 * len(after.roots) - 1e-6 <= rise <= 0.5 * len(before.roots) + 1e-6


def test_constant_on_every_choice_of_forced_cells_shifts_the_optimum():
    graph, costs = film(seed=7)
    costs["select"] = np.full(len(graph.detections), -np.inf)
    before = solve(graph, costs, "dual", 0).certificate.objective
    shifted = {**costs, "appear": costs["appear"] + 1, "link": costs["link"] + 1}  # one of both comes before every cell
    assert solve(graph, shifted, "dual", 0).certificate.objective == pytest.approx(before + len(graph.detections))


def test_narrowing_never_improves():
    graph, costs = film(seed=8)
    best = solve(graph, costs, "dual", 0).certificate.objective
    for gone in range(0, len(graph), 40):
        assert solve(graph, costs, "dual", 0, {"link": {gone: 0}}).certificate.objective >= best - 1e-6


def test_permuting_cells_and_links_permutes_the_answer():
    graph, costs = film(seed=9)
    rng, n = np.random.default_rng(0), len(graph.detections)
    order = np.lexsort((rng.random(n), graph.detections.frame))
    place, links = np.argsort(order), rng.permutation(len(graph))
    other = CandidateGraph(graph.detections.take(order), place[graph.source[links]], place[graph.target[links]])
    moved = {name: cost[links] if name == "link" else cost[order] for name, cost in costs.items()}
    one, two = solve(graph, costs, "dual", 0), solve(other, moved, "dual", 0)
    assert two.certificate.objective == pytest.approx(one.certificate.objective)
    assert (np.append(order, -1)[two.parent] == one.parent[order]).all()


def test_cells_without_links_and_films_without_cells():
    none = CandidateGraph(Detections([], np.zeros((0, 2)), []), [], [])
    assert solve(none, {}, "dual").certificate.objective == 0
    lonely = CandidateGraph(Detections([0, 3], np.zeros((2, 2)), [1, 1]), [], [])
    assert solve(lonely, {"select": [-1.0, 1.0]}, "dual", 0).selected.tolist() == [True, False]


def test_other_rules_are_refused_and_auto_gives_them_to_highs():
    graph, costs = film(seed=10)
    rules = (*LINEAGE_RULES, LINEAGE_RULES[0])
    with pytest.raises(ValueError, match=re.escape("solver dual knows the usual rules only: take solver='highs'") + "$"):
        solve(graph, costs, "dual", rules=rules)
    assert solve(graph, costs, rules=rules).certificate.solver == "highs"


def test_auto_takes_the_dual_solver_for_large_programmes(monkeypatch):
    monkeypatch.setattr("lineage.solvers.choosing.SMALL", 100)
    assert solve(*film(seed=11)).certificate.solver == "dual"
    assert solver_named("dual")(state(*film(seed=11)), EXACT).certificate.solver == "dual"


def test_forest_has_the_slack_of_links_and_cells():
    graph, costs = film(seed=11)
    forest = solve(graph, costs, "dual", 0)
    assert forest.slack["link"].shape == (len(graph),)
    assert forest.slack["select"].shape == (len(graph.detections),)
    assert (forest.slack["link"] >= 0).all()
    assert not solve(graph, costs, "highs", 0).slack


def test_compiler_is_loaded_only_with_the_dual_solver():
    code = "import sys, lineage, lineage.solving, lineage.solvers; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_slack_is_a_lower_bound_of_what_deciding_otherwise_costs():
    known = 0
    for seed in range(300, 380):
        rng = np.random.default_rng(seed)
        graph = random_graph(rng, int(rng.integers(2, 6)), int(rng.integers(1, 8)))
        costs = random_costs(rng, graph, infinite=False)
        found = dual(state(graph, costs), EXACT)
        program = state(graph, costs)
        for block in ("link", "select"):
            for row, slack in enumerate(found.slack[block]):
                pin = {block: {row: 1 - int(found.x[program.blocks[block]][row])}}
                other = optimum(state(graph, costs, pins=pin))
                assert other is None or other - found.certificate.objective >= slack - 1e-6, (seed, block, row)
                known += bool(0 < slack < np.inf)
    assert known > 300  # or the bounds would say nothing


@pytest.mark.parametrize("kind", [{}, {"conflicts": True}, {"pairs": True}])
def test_start_from_memory_finds_the_same_optimum(kind):
    graph, costs = film(seed=14, **kind)
    first = dual(state(graph, costs), EXACT)
    chosen = np.flatnonzero(first.x[state(graph, costs).blocks["link"]])
    for row in chosen[::25].tolist():
        program = state(graph, costs, pins={"link": {row: 0}})
        again = dual(program, EXACT, first.memory).certificate
        assert again.objective == pytest.approx(highs(program, EXACT).certificate.objective)
        assert again.gap == 0


def test_forced_link_that_cannot_be_is_blamed():
    graph = CandidateGraph(Detections([0, 0, 1], np.zeros((3, 2)), [0, 0, 0]), [0, 1], [2, 2])
    message = "these pins cannot hold together: link 0 (row 0 -> row 2) = 1, link 1 (row 1 -> row 2) = 1"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        dual(state(graph, {}, pins={"link": {0: 1, 1: 1}}), EXACT)


def test_wrong_prices_would_be_noticed():
    program = state(*film(seed=12))
    net, _, _ = net_of(program)
    shares = even_shares(net)
    ascend(net, shares, 5)
    best = dual(program, EXACT).certificate.objective
    assert bound(net, replace_into(shares, shares.into + 1)) > best  # costs out of nothing: what the other tests would catch


def replace_into(shares, into):
    return shares._replace(into=into)


def test_program_carries_its_rules():
    program = state(*film(seed=13))
    assert program.rules == LINEAGE_RULES
    assert replace(program, rules=()).rules == ()
