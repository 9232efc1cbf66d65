"""Every solver by its name: the optimum of every kind of tiny programme, the theorems, the limits, and what bad input is answered."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from random_programmes import VARIANTS, optimum, random_costs, random_graph, random_program, side_by_side, variant, walk

from lineage import CandidateGraph, Detections, Forest, solve
from lineage.program import BLOCKS, LINEAGE_RULES, Rows, incidence, state
from lineage.solvers import Limits, blame, clash, dual_ascent, greedy, highs, solver_named

EXACT = Limits(gap=0)
NAMES = ("auto", "highs", "dual", "pulp", "greedy")
each_solver = pytest.mark.parametrize("solver", NAMES)
each_exact = pytest.mark.parametrize("solver", ["highs", "dual"])


def tiny(frames, *edges, conflicts=()):
    """A candidate graph from the frames of its detections and its edges."""
    source, target = np.array(edges, int).reshape(-1, 2).T
    return CandidateGraph(Detections(frames, np.zeros((len(frames), 2)), [0] * len(frames), conflicts=conflicts), source, target)


# The optimum


@cache
def drawn(name, seed):
    """A variant and its optimum by looking at every point, which all solvers are held against."""
    graph, costs, pins = variant(name, seed)
    return graph, costs, pins, optimum(state(graph, costs, pins=pins))


@each_solver
@pytest.mark.parametrize("name", VARIANTS)
def test_every_solver_finds_the_brute_force_optimum(name, solver):
    for seed in range(3 if solver == "pulp" else 12):
        graph, costs, pins, best = drawn(name, seed)
        try:
            found = solve(graph, costs, solver, 0, pins).certificate
        except ValueError as error:
            honest = str(error) == "greedy cannot honour these pins: take solver='highs'"
            assert best is None or honest, (seed, str(error))
            assert best is not None or str(error).startswith("these pins cannot hold together: "), seed
            continue
        assert best is not None, seed
        assert found.bound <= best + 1e-6, seed
        assert found.objective >= best - 1e-6, seed
        if solver != "greedy":
            assert found.objective == pytest.approx(best, abs=1e-6), seed
            assert (found.gap, found.status) == (0, "optimal"), seed


def test_the_variants_are_what_they_are_called():
    best = {name: [] for name in VARIANTS}
    for name in VARIANTS:
        for seed in range(12):
            graph, costs, pins, least = drawn(name, seed)
            if least is not None:
                best[name].append((graph, costs, pins, solve(graph, costs, "highs", 0, pins)))
    some = lambda name, what: sum(bool(what(*case)) for case in best[name])  # noqa: E731
    cost = lambda graph, costs, pins: optimum(state(graph, costs, pins=pins))  # noqa: E731
    assert some("gaps", lambda g, c, p, f: (f.gap > 0).any()) >= 5
    for name in ("daughter pairs", "free divisions", "divisions that pay"):
        assert some(name, lambda g, c, p, f: len(f.divisions)) >= 4, name
    free = lambda g: CandidateGraph(replace(g.detections, conflicts=()), g.source, g.target)  # noqa: E731
    assert some("conflict sets", lambda g, c, p, f: cost(free(g), c, p) < f.certificate.objective - 1e-9) >= 5
    assert some("pins", lambda g, c, p, f: cost(g, c, {}) < f.certificate.objective - 1e-9) >= 3
    assert some("infinite costs", lambda g, c, p, f: any(np.isinf(c[name]).any() for name in ("select", "link", "appear"))) >= 3
    assert some("negative costs", lambda g, c, p, f: f.certificate.objective < -5) >= 8
    assert some("positive costs", lambda g, c, p, f: not f.selected.any()) == 12
    assert some("empty frames", lambda g, c, p, f: len(f.child_rows) and len(set(g.detections.frame)) < g.detections.n_frames / 2) >= 5
    lonely = lambda g, f: np.delete(f.selected, np.concatenate([g.source, g.target])).any()  # noqa: E731
    assert some("isolated cells", lambda g, c, p, f: lonely(g, f)) >= 8


# Theorems


@each_exact
def test_dearer_appearances(solver):
    """Add c >= 0 to every appearance. With F an optimum before, G one after, and A(.) the number of appearances,

        f(c) = cost(G) + c A(G) >= f(0) + c A(G)   since G is a forest that the old costs price at f(0) or more,
        f(c) <= cost(F) + c A(F) = f(0) + c A(F)   since F is a forest that the new costs allow:

    c A(G) <= f(c) - f(0) <= c A(F), so that A(G) <= A(F); and f is concave in c, as the least of straight lines.
    """
    graph, costs = walk(120, 6)
    rises = (0.0, 0.5, 1.0, 1.5)
    found = [solve(graph, costs | {"appear": costs["appear"] + c}, solver, 0) for c in rises]
    price, count = [f.certificate.objective for f in found], [len(f.roots) for f in found]
    for c, after, roots in zip(rises, price, count, strict=True):
        assert c * roots - 1e-6 <= after - price[0] <= c * count[0] + 1e-6
    assert count == sorted(count, reverse=True)
    assert count[-1] < count[0]  # or nothing was tried
    assert (np.diff(price, 2) <= 1e-6).all()


@each_exact
def test_one_price_on_either_past_of_forced_cells_moves_the_optimum_by_as_much(solver):
    """Every forced cell has one parent or appears: c on all links and appearances is c on every cell, whatever the forest."""
    graph, costs = walk(120, 7)
    costs["select"] = np.full(len(graph.detections), -np.inf)
    before = solve(graph, costs, solver, 0).certificate.objective
    shifted = {**costs, "appear": costs["appear"] + 1.25, "link": costs["link"] + 1.25}
    assert solve(graph, shifted, solver, 0).certificate.objective == pytest.approx(before + 1.25 * len(graph.detections))


@each_exact
def test_narrowing_never_improves_and_pins_that_agree_cost_nothing(solver):
    graph, costs = walk(40, 9)
    free = solve(graph, costs, solver, 0)
    best = free.certificate.objective
    price = lambda graph, costs, pins=None: solve(graph, costs, solver, 0, pins).certificate.objective  # noqa: E731
    chosen = free.parent[graph.target] == graph.source
    dearer = 0
    for k in [*np.flatnonzero(chosen)[::6].tolist(), *np.flatnonzero(~chosen)[::40].tolist()]:
        keep = np.arange(len(graph)) != k
        without = price(graph.keep(keep), costs | {"link": costs["link"][keep]})
        assert without >= best - 1e-6
        assert (without > best + 1e-6) <= bool(chosen[k])  # doing without what was not chosen costs nothing
        agreeing, other = (price(graph, costs, {"link": {k: value}}) for value in (int(chosen[k]), int(~chosen[k])))
        assert agreeing == pytest.approx(best, abs=1e-6)
        assert other >= best - 1e-6
        if chosen[k]:  # a link that is left out and one that is forbidden are the same
            assert other == pytest.approx(without, abs=1e-6)
        dearer += other > best + 1e-6
    assert dearer > 3


@each_exact
def test_scaling_the_costs_scales_objective_and_bound(solver):
    graph, costs = walk(60, 12, pairs=True)
    pair = costs.pop("divide_pair")
    one = solve(graph, costs | {"divide_pair": pair}, solver, 0)
    for factor in (1e-3, 2.0, 1e4):
        scaled = {name: factor * cost for name, cost in costs.items()} | {"divide_pair": (*pair[:2], factor * pair[2])}
        many = solve(graph, scaled, solver, 0)
        assert many.certificate.objective == pytest.approx(factor * one.certificate.objective, rel=1e-6)
        assert many.certificate.bound == pytest.approx(factor * one.certificate.bound, rel=1e-6)
        assert many.parent.tolist() == one.parent.tolist()


@each_exact
def test_films_that_do_not_meet_add(solver):
    films = [walk(70, 21), walk(50, 22, conflicts=True), variant("gaps", 0)[:2]]
    apart = [solve(graph, costs, solver, 0) for graph, costs in films]
    (graph, costs), rows = side_by_side(*films)
    whole = solve(graph, costs | {"divide_pair": None}, solver, 0)
    alone = [{name: cost for name, cost in costs.items() if name != "divide_pair"} for _, costs in films]
    apart = [solve(graph, costs, solver, 0) for (graph, _), costs in zip(films, alone, strict=True)]
    assert whole.certificate.objective == pytest.approx(sum(f.certificate.objective for f in apart))
    assert whole.certificate.bound == pytest.approx(sum(f.certificate.bound for f in apart))
    for own, forest in zip(rows, apart, strict=True):
        assert whole.parent[own].tolist() == np.where(forest.parent >= 0, own[forest.parent], -1).tolist()
        assert whole.selected[own].tolist() == forest.selected.tolist()


@each_exact
def test_permuting_cells_within_frames_permutes_the_answer(solver):
    graph, costs = walk(100, 9)
    rng, n = np.random.default_rng(0), len(graph.detections)
    order = np.lexsort((rng.random(n), graph.detections.frame))
    place, links = np.argsort(order), rng.permutation(len(graph))
    other = CandidateGraph(graph.detections.take(order), place[graph.source[links]], place[graph.target[links]])
    moved = {name: cost[links] if name == "link" else cost[order] for name, cost in costs.items()}
    one, two = solve(graph, costs, solver, 0), solve(other, moved, solver, 0)
    assert two.certificate.objective == pytest.approx(one.certificate.objective)
    assert np.append(place, -1)[one.parent][order].tolist() == two.parent.tolist()
    assert one.selected[order].tolist() == two.selected.tolist()


# Solving again


@pytest.mark.parametrize("kind", [{}, {"conflicts": True}, {"pairs": True}], ids=["plain", "conflict sets", "daughter pairs"])
def test_from_a_forest_the_answer_is_as_good_as_anew(kind):
    """Round by round a few pins are set, and a few costs changed; each time the last answer is where the next begins."""
    rng = np.random.default_rng(0)
    for seed in (3, 5):
        graph, costs = walk(80, seed, **kind)
        forest, pins = solve(graph, costs, "dual", 0), {"link": {}, "select": {}}
        for _ in range(4):
            costs = costs | {"link": costs["link"] + rng.normal(0, 3, len(graph)) * (rng.random(len(graph)) < 0.01)}
            links, row = rng.choice(len(graph), 2), int(rng.integers(len(graph.detections)))
            chosen = forest.parent[graph.target[links]] == graph.source[links]
            tried = {"link": pins["link"] | dict(zip(links.tolist(), (~chosen).astype(int).tolist(), strict=True))}
            tried |= {"select": pins["select"] | {row: int(not forest.selected[row])}}
            try:
                anew = solve(graph, costs, "highs", 0, tried)
            except ValueError as error:
                with pytest.raises(ValueError, match=f"^{re.escape(str(error))}$"):
                    solve(graph, costs, "dual", 0, tried, forest)
                continue
            pins, forest = tried, solve(graph, costs, "dual", 0, tried, forest)
            assert forest.certificate.objective == pytest.approx(anew.certificate.objective, abs=1e-6)
            assert (forest.certificate.gap, forest.certificate.status) == (0, "optimal")
            assert all((forest.parent[graph.target[k]] == graph.source[k]) == value for k, value in pins["link"].items())


# Limits


@each_solver
def test_the_answer_does_not_hang_on_threads_or_seed(solver):
    graph, costs = walk(60, 11, conflicts=True)
    answers = [solve(graph, costs, solver, 1e-3, threads=threads, seed=seed) for threads, seed in ((0, 0), (1, 0), (2, 0), (0, 7))]
    for other in answers[1:]:
        assert other.parent.tolist() == answers[0].parent.tolist()
        assert other.certificate.bound == pytest.approx(answers[0].certificate.bound)


@each_exact
def test_the_gap_asked_for_is_kept_and_no_more_is_claimed(solver):
    graph, costs = walk(200, 12)
    best = solve(graph, costs, solver, 0).certificate.objective
    for gap in (0.1, 1e-2, 1e-4):
        found = solve(graph, costs, solver, gap).certificate
        assert found.status == "optimal"
        assert found.gap <= gap
        assert found.bound <= best + 1e-6
        assert found.objective >= best - 1e-6


@pytest.mark.parametrize("solver", ["auto", "highs", "dual"])
def test_a_time_limit_is_kept_and_the_bound_still_holds(solver):
    graph, costs = walk(200, 12)
    best = solve(graph, costs, "highs", 0).certificate.objective
    found = solve(graph, costs, solver, 0, time_limit=1e-3).certificate
    assert found.bound <= best + 1e-6 <= found.objective + 2e-6
    assert found.status == ("optimal" if found.gap <= 1e-9 else "time limit")
    assert found.seconds < 20  # one step of a solver may be under way when its time is up, the whole work may not


def test_a_solver_is_told_its_limits():
    heard = []

    def listening(program, limits):
        heard.append(limits)
        return greedy(program, limits)

    solve(*walk(20, 0), listening, 0.25, time_limit=9.0, threads=3, seed=5)
    assert heard == [Limits(gap=0.25, seconds=9.0, threads=3, seed=5)]


# Bad input

STEP, DIVISION = tiny([0, 1], (0, 1)), tiny([0, 1, 1], (0, 1), (0, 2))
TWO_MOTHERS, RIVALS = tiny([0, 0, 1], (0, 2), (1, 2)), tiny([0, 0, 1], (0, 2), (1, 2), conflicts=[[0, 1]])
TRIPLET, CHAIN = tiny([0, 1, 1, 1], (0, 1), (0, 2), (0, 3)), tiny([0, 1, 2], (0, 1), (1, 2))
L01, L02 = "link 0 (row 0 -> row 1)", "link 0 (row 0 -> row 2)"
LISTED = lambda cost: {"divide_pair": ([0], [1], [cost])}  # noqa: E731

CONTRADICTIONS = {  # graph, costs, pins, and the pins that are named
    "two parents": (TWO_MOTHERS, {}, {"link": {0: 1, 1: 1}}, f"{L02} = 1, link 1 (row 1 -> row 2) = 1"),
    "three children": (TRIPLET, {}, {"link": {0: 1, 1: 1, 2: 1}}, f"{L01} = 1, link 1 (row 0 -> row 2) = 1, link 2 (row 0 -> row 3) = 1"),
    "two of a conflict set": (RIVALS, {}, {"select": {0: 1, 1: 1}}, "select row 0 = 1, select row 1 = 1"),
    "two of a conflict set, by what they do": (RIVALS, {}, {"link": {0: 1}, "appear": {1: 1}}, f"{L02} = 1, appear row 1 = 1"),
    "a link between rivals": (tiny([0, 1], (0, 1), conflicts=[[0, 1]]), {}, {"link": {0: 1}}, f"{L01} = 1"),
    "a link into what is forbidden": (STEP, {}, {"link": {0: 1}, "select": {1: 0}}, f"select row 1 = 0, {L01} = 1"),
    "a link out of what is forbidden": (STEP, {"select": [math.inf, 0]}, {"link": {0: 1}}, f"select row 0 = 0, {L01} = 1"),
    "an appearance of what is forbidden": (STEP, {}, {"appear": {0: 1}, "select": {0: 0}}, "select row 0 = 0, appear row 0 = 1"),
    "a parent and an appearance": (STEP, {}, {"link": {0: 1}, "appear": {1: 1}}, f"{L01} = 1, appear row 1 = 1"),
    "a child and an end": (STEP, {}, {"link": {0: 1}, "disappear": {0: 1}}, f"{L01} = 1, disappear row 0 = 1"),
    "a division and an end": (DIVISION, {}, {"divide": {0: 1}, "disappear": {0: 1}}, "disappear row 0 = 1, divide row 0 = 1"),
    "two children, no division": (
        DIVISION,
        {"divide": math.inf},
        {"link": {0: 1, 1: 1}},
        f"{L01} = 1, link 1 (row 0 -> row 2) = 1, divide row 0 = 0",
    ),
    "a division without candidates": (STEP, {}, {"divide": {1: 1}}, "divide row 1 = 1"),
    "a division with one candidate left": (
        DIVISION,
        {},
        {"divide": {0: 1}, "link": {1: 0}},
        "link 1 (row 0 -> row 2) = 0, divide row 0 = 1",
    ),
    "no past": (STEP, {"appear": math.inf}, {"select": {0: 1}}, "select row 0 = 1, appear row 0 = 0"),
    "no past left": (
        STEP,
        {"select": -math.inf, "appear": [0, math.inf]},
        {"link": {0: 0}},
        f"select row 1 = 1, {L01} = 0, appear row 1 = 0",
    ),
    "no future": (STEP, {}, {"select": {1: 1}, "disappear": {1: 0}}, "select row 1 = 1, disappear row 1 = 0"),
    "no past, told by the future": (STEP, {}, {"disappear": {0: 1}, "appear": {0: 0}}, "appear row 0 = 0, disappear row 0 = 1"),
    "a past that has none": (
        CHAIN,
        {},
        {"select": {2: 1, 0: 0}, "appear": {2: 0, 1: 0}},
        "select row 0 = 0, select row 2 = 1, appear row 1 = 0, appear row 2 = 0",
    ),
    "one mother for two": (
        DIVISION,
        {"divide": [math.inf, 0, 0]},
        {"appear": {1: 0, 2: 0}, "select": {1: 1, 2: 1}},
        "select row 1 = 1, select row 2 = 1, appear row 1 = 0, appear row 2 = 0, divide row 0 = 0",
    ),
    "a pair and an end": (DIVISION, LISTED(-math.inf), {"disappear": {0: 1}}, "disappear row 0 = 1, pair of links 0 and 1 = 1"),
    "a pair that is forbidden": (DIVISION, LISTED(math.inf), {"link": {0: 1, 1: 1}}, f"{L01} = 1, link 1 (row 0 -> row 2) = 1"),
}


@each_solver
@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_pins_that_contradict_each_other_are_named(case, solver):
    graph, costs, pins, named = CONTRADICTIONS[case]
    assert optimum(state(graph, costs, pins=pins)) is None
    with pytest.raises(ValueError, match=f"^{re.escape(f'these pins cannot hold together: {named}')}$"):
        solve(graph, costs, solver, 0, pins)


def test_what_clashes_is_impossible_and_the_least_that_is():
    clashes = 0
    for seed in range(250):
        rng = np.random.default_rng(seed)
        graph = random_graph(rng, int(rng.integers(2, 6)), int(rng.integers(1, 8)))
        costs = random_costs(rng, graph)
        program = state(graph, costs)
        pinned = rng.random(len(program)) < 0.3
        value = (rng.random(len(program)) < 0.5).astype(float)
        program = replace(program, lower=np.where(pinned, value, 0.0), upper=np.where(pinned, value, 1.0))
        complaint = clash(program)
        if complaint is None:
            continue
        clashes += 1
        assert optimum(program) is None, seed
        assert blame(program) == complaint
        words = complaint.removeprefix("these pins cannot hold together: ").split(", ")
        named = [v for v in np.flatnonzero(pinned).tolist() if program.name(v) in words]
        assert complaint.endswith(", ".join(program.name(v) for v in named))
        simple = not graph.detections.conflicts and len(program.pairs) == 0  # else fewer may do, for a reason further away
        for left in [named, *([v for v in named if v != gone] for gone in named if simple)]:
            only = np.isin(np.arange(len(program)), left)
            fewer = replace(program, lower=np.where(only, program.lower, 0.0), upper=np.where(only, program.upper, 1.0))
            assert (optimum(fewer) is None) == (left == named), (seed, complaint)
    assert clashes > 100


@each_exact
def test_pins_that_only_together_are_impossible_are_found_in_a_film(solver):
    """Two cells that must have the same mother, who may not divide: no cell by itself is the matter."""
    graph, costs = walk(150, 4)
    costs["select"] = np.full(len(graph.detections), -np.inf)
    mother = int(np.argmax(np.bincount(graph.source) >= 2))
    kids = graph.target[graph.source == mother][:2].tolist()
    others = np.flatnonzero(np.isin(graph.target, kids) & (graph.source != mother)).tolist()
    pins = {"appear": dict.fromkeys(kids, 0), "divide": {mother: 0}, "link": dict.fromkeys(others, 0)}
    program = state(graph, costs, pins=pins)
    assert clash(program) is None
    named = [
        program.name(program.blocks[block].start + row) for block in ("select", "link", "appear", "divide") for row in pins.get(block, kids)
    ]
    shown = [name for name in (program.name(v) for v in range(len(program))) if name in named]
    more = f" and {len(shown) - 10} more" if len(shown) > 10 else ""
    message = f"these pins cannot hold together: {', '.join(shown[:10])}{more}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        solve(graph, costs, solver, pins=pins)


def test_rules_of_ones_own_may_allow_what_the_usual_ones_forbid():
    without_past = LINEAGE_RULES[1:]
    pins = {"link": {0: 1, 1: 1}}
    assert clash(state(TWO_MOTHERS, {}, pins=pins, rules=without_past)) is None
    with pytest.raises(ValueError, match=r"^these pins cannot hold together: .+$"):
        more = [*LINEAGE_RULES, lambda graph: Rows({"link": incidence(graph, graph.target)}, -math.inf, 1)]
        solve(TWO_MOTHERS, {}, pins=pins, rules=more)


BAD_COSTS = {
    "NaN": ({"link": [0, math.nan]}, "cost link is NaN in row 1"),
    "words": ({"link": ["a", "b"]}, "cost link is made of str32, but numbers are needed"),
    "objects": ({"select": [None, 1, 2]}, "cost select is made of object, but numbers are needed"),
    "complex": ({"link": [1j, 0]}, "cost link is made of complex128, but numbers are needed"),
    "ragged": ({"appear": [[1], [1, 2], 3]}, "cost appear is no column: its parts differ in length"),
    "no mapping": ([1, 2], "costs must be a mapping of blocks, not list"),
    "pair of one column": ({"divide_pair": [1.0]}, "divide_pair must be (link a, link b, cost), three columns, not list"),
    "pair of a number": ({"divide_pair": 3.0}, "divide_pair must be (link a, link b, cost), three columns, not float"),
    "pair of half links": ({"divide_pair": ([0.5], [1], [1])}, "divide_pair link a is made of float64, but whole numbers are needed"),
    "pair NaN": ({"divide_pair": ([0], [1], [math.nan])}, "cost divide_pair is NaN in row 0"),
}
BAD_PINS = {
    "a list": ([1], "pins must be a mapping of blocks, not list"),
    "a list of rows": ({"link": [1]}, "pins on link must be {row: 0 or 1}, not list"),
    "a word for a row": ({"link": {"a": 1}}, "pin on link names row 'a', but rows are whole numbers"),
    "half a row": ({"link": {0.5: 1}}, "pin on link names row 0.5, but rows are whole numbers"),
    "out of range": ({"link": {2: 1}}, "pin on link row 2, but there are 2 rows"),
    "before the first": ({"select": {-1: 1}}, "pin on select row -1, but there are 3 rows"),
    "two": ({"link": {0: 2}}, "pin on link row 0 is 2, but a pin is 0 or 1"),
    "nothing": ({"link": {0: None}}, "pin on link row 0 is None, but a pin is 0 or 1"),
    "NaN": ({"link": {0: math.nan}}, "pin on link row 0 is nan, but a pin is 0 or 1"),
    "a word": ({"link": {0: "1"}}, "pin on link row 0 is '1', but a pin is 0 or 1"),
    "an array": ({"link": {0: np.array([1, 0])}}, "pin on link row 0 is array([1, 0]), but a pin is 0 or 1"),
    "an unknown block": ({"edge": {0: 1}}, "no such block to pin: edge; there are select, link, appear, disappear, divide"),
}


@pytest.mark.parametrize(("costs", "message"), BAD_COSTS.values(), ids=BAD_COSTS)
def test_bad_costs_are_refused(costs, message):
    for solver in NAMES:
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            solve(DIVISION, costs, solver)


@pytest.mark.parametrize(("pins", "message"), BAD_PINS.values(), ids=BAD_PINS)
def test_bad_pins_are_refused(pins, message):
    for solver in NAMES:
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            solve(DIVISION, {}, solver, pins=pins)


def test_links_backward_in_time_and_links_named_twice_are_refused():
    for edges, message in {
        ((1, 0),): "edge 0 does not go forward in time: row 1 (frame 1) -> row 0 (frame 0)",
        ((0, 1), (0, 1)): "edges 0 and 1 are the same: row 0 -> row 1",
    }.items():
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            tiny([0, 1], *edges)


@each_solver
def test_infinite_costs_forbid_and_force(solver):
    costs = {"link": [-math.inf, math.inf], "select": [5, 5, -math.inf], "appear": 1.0}
    forest = solve(DIVISION, costs, solver, 0)
    assert forest.parent.tolist() == [-1, 0, -1]
    assert forest.selected.all()
    assert forest.certificate.objective == pytest.approx(12)


@each_solver
def test_a_start_over_another_film_is_refused_before_any_work(solver):
    for start, message in (
        (Forest(STEP.detections, [-1, 0]), "the forest is over 2 detections, but the graph over 3"),
        (Forest(CHAIN.detections, [-1, -1, 0]), "the forest links row 0 -> row 2, which is no candidate link"),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            solve(CHAIN, {}, lambda program, limits: pytest.fail("it was solved"), start=start)
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            solve(CHAIN, {}, solver, start=start)


# The rows


def test_the_usual_rules_are_counted_as_their_rows_say():
    """``feasible`` counts where the rows are the usual ones, and multiplies where they are not: on every kind of point they agree."""
    both = {True: 0, False: 0}
    again = lambda graph: LINEAGE_RULES[0](graph)  # noqa: E731 - one rule twice changes nothing, but makes the rows count
    for seed in range(120):
        rng = np.random.default_rng(seed)
        program = random_program(seed)
        free = replace(program, lower=np.zeros(len(program)), upper=np.ones(len(program)))
        by_rows, free_by_rows = (replace(one, rules=(*LINEAGE_RULES, again)) for one in (program, free))
        points = [rng.integers(0, 2, len(program)).astype(float), rng.random(len(program)), greedy(free).x]
        points += [np.abs(points[-1] - (np.arange(len(program)) == v)) for v in rng.permutation(len(program))[:8]]
        for x in points:
            assert program.feasible(x) == by_rows.feasible(x), seed
            assert free.feasible(x) == free_by_rows.feasible(x), seed
            both[free.feasible(x)] += 1
    assert min(both.values()) > 100


def test_a_row_named_twice_in_a_conflict_set_is_one_row():
    graph = tiny([0, 0, 1], (0, 2), (1, 2), conflicts=[[0, 0], [1, 1, 0]])
    for solver in NAMES:
        assert solve(graph, {"select": [-2.0, -1.0, -1.0]}, solver, 0).selected.tolist() == [True, False, True]


def test_the_rows_are_made_when_they_are_asked_for():
    program = state(*walk(50, 0))
    dual_ascent(program, EXACT)
    assert "_rows" not in vars(program)  # the dual solver does without
    assert program.matrix.shape == (len(program.low), len(program))
    assert program.matrix is program.matrix
    assert "_rows" in vars(state(*walk(50, 0), rules=(*LINEAGE_RULES, LINEAGE_RULES[0])))  # what is wrong with them is said at once


def test_every_variable_has_a_name():
    program = state(DIVISION, {"divide_pair": ([0], [1], [1.0])}, pins={"link": {1: 1}})
    names = [program.name(v) for v in range(len(program))]
    assert [program.blocks[name].start for name in BLOCKS] == sorted(program.blocks[name].start for name in BLOCKS)
    assert names[3:5] == ["link 0 (row 0 -> row 1) = 0", "link 1 (row 0 -> row 2) = 1"]
    assert names[0], names[-1] == ("select row 0 = 0", "pair of links 0 and 1 = 0")
    assert len(set(names)) == len(names)


def test_names_lead_to_solvers():
    assert [solver_named(name) for name in ("highs", "dual", "greedy")] == [highs, dual_ascent, greedy]
