"""The integer programme and its solvers: the laws on every 0/1 point of tiny graphs, then optima, certificates, theorems."""

from __future__ import annotations

import math
import re
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from random_programmes import random_costs, random_graph
from scipy.sparse import csr_array
from zoo import ZOO

from lineage.candidates import nearest
from lineage.certificate import Certificate, relative_gap
from lineage.detections import Detections
from lineage.forest import Forest
from lineage.graph import CandidateGraph
from lineage.program import LINEAGE_RULES, Rows, all_pairs, incidence, one_future, one_past, state, two_daughters
from lineage.solvers import Limits, Solution, blame, greedy, highs, pulp, solver_named
from lineage.solvers.bound import elementary_bound
from lineage.solving import solve

EXACT = Limits(gap=0)


def tiny(frames, *edges, conflicts=(), n_frames=0):
    """A candidate graph from the frames of its detections and its edges."""
    cells = Detections(frames, np.zeros((len(frames), 2)), np.arange(1, len(frames) + 1), conflicts=conflicts, n_frames=n_frames)
    source, target = np.array(edges, int).reshape(-1, 2).T
    return CandidateGraph(cells, source, target)


GRAPHS = {
    "nothing": tiny([]),
    "one cell": tiny([0]),
    "two strangers": tiny([0, 2]),
    "step": tiny([0, 1], (0, 1)),
    "over a gap": tiny([0, 2], (0, 1)),
    "division": tiny([0, 1, 1], (0, 1), (0, 2)),
    "late daughter": tiny([0, 1, 2], (0, 1), (0, 2)),
    "two mothers": tiny([0, 0, 1], (0, 2), (1, 2)),
    "rivals in a frame": tiny([0, 0, 1], (0, 2), (1, 2), conflicts=[[0, 1]]),
    "rivals over time": tiny([0, 1], (0, 1), conflicts=[[0, 1]]),
}
TRIPLET = tiny([0, 1, 1, 1], (0, 1), (0, 2), (0, 3))
PAIRS = {"division": ([0], [1]), "late daughter": ([1], [0])}


def lawful(graph, x, pairs=None):
    """The spec in plain words, one detection at a time; ``pairs`` maps two links to the value of their pair."""
    select, link, appear, disappear, divide = (x[name] for name in ("select", "link", "appear", "disappear", "divide"))
    for i in range(len(graph.detections)):
        parents = [k for k in np.flatnonzero(graph.target == i) if link[k]]
        children = [k for k in np.flatnonzero(graph.source == i) if link[k]]
        if not select[i]:
            if parents or children or appear[i] or disappear[i] or divide[i]:
                return False
            continue
        if len(parents) + appear[i] != 1:  # it has one parent, or it appears
            return False
        future = {0: (1, 0), 1: (0, 0), 2: (0, 1)}.get(len(children))  # it ends, goes on, or divides in two
        if (disappear[i], divide[i]) != future:
            return False
    if any(sum(select[i] for i in rows) > 1 for rows in graph.detections.conflicts):
        return False
    return all(bool(value) == (link[a] and link[b]) for (a, b), value in (pairs or {}).items())


def points(program):
    """Every 0/1 point of a programme, with its blocks by name."""
    for bits in product((0, 1), repeat=len(program)):
        x = np.array(bits, float)
        yield x, {name: x[where] for name, where in program.blocks.items()}


def cheapest(program):
    """Cost of the cheapest point that obeys rows and limits, infinite when there is none: by trying all of them."""
    free = np.flatnonzero(program.lower != program.upper)
    x = np.repeat(program.lower[None], 2 ** len(free), axis=0)
    x[:, free] = (np.arange(2 ** len(free))[:, None] >> np.arange(len(free))) & 1
    value = np.asarray(program.matrix @ x.T).T
    inside = ((program.low - 1e-9 <= value) & (value <= program.high + 1e-9)).all(1)
    return (x[inside] @ program.cost).min(initial=math.inf)


# Laws


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_the_rows_admit_exactly_the_lawful_points(graph):
    program = state(graph, {})
    count = 0
    for x, blocks in points(program):
        assert program.feasible(x) == lawful(graph, blocks), blocks
        count += program.feasible(x)
    assert count > 0  # the empty forest at least


@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_is_on_when_both_its_links_are(name):
    graph, (a, b) = GRAPHS[name], PAIRS[name]
    program = state(graph, {"divide_pair": (a, b, [1.0])})
    assert program.pairs.tolist() == [[0, 1]]
    for x, blocks in points(program):
        assert program.feasible(x) == lawful(graph, blocks, {(0, 1): blocks["pair"][0]}), blocks


@pytest.mark.parametrize("forbidden", [(), (1,), (0, 1, 2)], ids=["all", "one forbidden", "none left"])
def test_with_three_candidates_a_division_is_one_of_the_pairs(forbidden):
    cost = np.array([math.inf if k in forbidden else 1.0 for k in range(3)])
    program = state(TRIPLET, {"divide_pair": ([0, 2, 1], [1, 0, 2], cost), "select": [-math.inf, 0, 0, 0], "appear": [0, 0, 0, 0]})
    listed = {pair: k for k, pair in enumerate([(0, 1), (0, 2), (1, 2)]) if k not in forbidden}
    assert [tuple(pair) for pair in program.pairs.tolist()] == list(listed)
    ends = [program.blocks[name].start for name in ("appear", "disappear", "divide")]
    seen = set()
    for links in product((0, 1), repeat=3):
        for divide, *pair in product((0, 1), repeat=1 + len(listed)):
            x = np.zeros(len(program))  # the mother and all three: those without a link to her appear
            x[program.blocks["select"]] = 1
            x[program.blocks["link"]] = links
            x[ends[0] : ends[0] + 4] = [1, *(1 - np.array(links))]
            x[ends[1] : ends[1] + 4] = [not any(links), 1, 1, 1]
            x[ends[2]] = divide
            x[program.blocks["pair"]] = pair
            chosen = tuple(k for k in range(3) if links[k])
            fits = len(chosen) < 2 or chosen in listed
            rightly = len(chosen) <= 2 and fits and divide == (len(chosen) == 2) and pair == [p == chosen for p in listed]
            assert program.feasible(x) == rightly, (links, divide, pair)
            seen |= {chosen} if rightly else set()
    assert seen == {(), (0,), (1,), (2,), *listed}


def test_a_division_with_one_observed_child_is_none():
    program = state(GRAPHS["division"], {"divide": -10.0, "select": -1.0}, pins={"link": {1: 0}, "select": {0: 1, 1: 1}})
    x = highs(program).x
    assert x[program.blocks["divide"]].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("rule", "name", "costs"),
    [
        (one_past, "two mothers", {"link": -1.0, "select": 0.1}),  # a child of two mothers
        (one_future, "division", {"link": -1.0, "divide": 5.0}),  # two children without a division
        (two_daughters, "step", {"divide": -1.0}),  # a division with one child
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_without_the_rule_the_answer_is_wrong(rule, name, costs):
    graph = GRAPHS[name]
    for rules, right in ((LINEAGE_RULES, True), ([r for r in LINEAGE_RULES if r is not rule], False)):
        program = state(graph, costs, rules=rules)
        x = highs(program, EXACT).x
        assert lawful(graph, {block: x[where] for block, where in program.blocks.items()}) == right


def test_without_the_conflict_rule_both_rivals_are_chosen():
    graph = GRAPHS["rivals in a frame"]
    chosen = [highs(state(graph, {"select": -1.0}, rules=rules)).x[:2].sum() for rules in (LINEAGE_RULES, LINEAGE_RULES[:-1])]
    assert chosen == [1, 2]


def test_a_link_out_of_a_selected_cell_only_tightens_the_relaxation():
    graph = GRAPHS["step"]
    loose = state(graph, {}, rules=[rule for rule in LINEAGE_RULES if rule.__name__ != "from_something"])
    for x, blocks in points(loose):
        assert loose.feasible(x) == lawful(graph, blocks)
    x = np.zeros(len(loose))  # two fifths of a mother that divides into four fifths of one daughter
    for name, value in {"select": [0.4, 0.8], "link": 0.8, "appear": [0.4, 0], "divide": [0.4, 0], "disappear": [0, 0.8]}.items():
        x[loose.blocks[name]] = value
    assert loose.feasible(x)
    assert not state(graph, {}).feasible(x)


def test_a_rule_of_ones_own_is_more_rows():
    graph, costs = GRAPHS["division"], {"link": -3.0, "divide": -3.0}
    nobody_divides = lambda graph: Rows({"divide": csr_array(np.eye(len(graph.detections)))}, 0, 0)  # noqa: E731
    assert solve(graph, costs).divisions.tolist() == [0]
    forest = solve(graph, costs, rules=[*LINEAGE_RULES, nobody_divides])
    assert forest.divisions.tolist() == []
    assert forest.certificate.objective == -3


def test_a_rule_about_an_unknown_block_is_refused():
    message = "a rule speaks of merge; there are select, link, appear, disappear, divide, pair"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        state(GRAPHS["step"], {}, rules=[lambda graph: Rows({"merge": incidence(graph, graph.target)}, 0, 0)])


# Costs and pins


def test_numbers_and_columns_are_the_same_cost():
    graph = GRAPHS["division"]
    one, many = state(graph, {"select": 2, "link": -1.5}), state(graph, {"select": [2, 2, 2], "link": [-1.5, -1.5]})
    np.testing.assert_array_equal(one.cost, many.cost)
    assert one.costs("link").tolist() == [-1.5, -1.5]
    assert one.costs("appear").tolist() == [0, 0, 0]
    assert len(one) == 3 * 4 + 2


def test_an_infinite_cost_forbids_or_forces():
    graph = GRAPHS["division"]
    program = state(graph, {"link": [-math.inf, math.inf], "select": [0, 0, -math.inf]})
    assert np.isfinite(program.cost).all()
    forest = solve(graph, {"link": [-math.inf, math.inf], "select": [5, 5, -math.inf]})
    assert forest.parent.tolist() == [-1, 0, -1]
    assert forest.selected.all()


def test_an_infinite_pair_cost_forbids_or_forces():
    graph = GRAPHS["division"]
    pair = lambda cost: {"divide_pair": ([0], [1], [cost]), "link": -5.0, "divide": 1.0}  # noqa: E731
    assert solve(graph, pair(0)).divisions.tolist() == [0]
    assert solve(graph, pair(math.inf)).divisions.tolist() == []
    assert solve(graph, pair(-math.inf) | {"link": 9.0}).divisions.tolist() == [0]


@pytest.mark.parametrize("others", [0.0, 1.5, math.inf])
@pytest.mark.parametrize("seed", range(8))
def test_a_cost_of_all_other_pairs_is_as_good_as_naming_them(seed, others):
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, 6, 8)
    costs = random_costs(rng, graph, infinite=False) | {"divide": -4.0}
    pairs, named = all_pairs(graph, np.arange(6)), slice(None, None, 2)
    cost = rng.normal(0, 2, len(pairs))
    every = cost.copy()
    every[1::2] = others
    said = state(graph, costs | {"divide_pair": (*pairs[named].T, cost[named]), "other_pairs": others})
    listed = state(graph, costs | {"divide_pair": (*pairs.T, every)})
    assert optimum(said) == pytest.approx(optimum(listed))
    if others and len(pairs):
        assert said.mothers.tolist() == listed.mothers.tolist()
        assert said.pairs.tolist() == listed.pairs.tolist()
        assert said.costs("pair").tolist() == listed.costs("pair").tolist()


def test_where_no_pair_is_named_the_cost_of_others_is_that_of_all():
    costs = {"link": -5.0, "divide": 1.0}
    for others, divisions in ((0, [0]), (3.0, [0]), (5.0, []), (math.inf, [])):
        for pairs in (None, ([], [], [])):
            assert solve(GRAPHS["division"], costs | {"other_pairs": others, "divide_pair": pairs}).divisions.tolist() == divisions


def test_pins_fix_variables():
    graph, costs = GRAPHS["division"], {"link": -1.0, "divide": 3.0, "appear": 2.0}
    assert solve(graph, costs).parent.tolist() in ([-1, 0, -1], [-1, -1, 0], [-1, -1, -1])
    assert solve(graph, costs, pins={"divide": {0: 1}}).parent.tolist() == [-1, 0, 0]
    assert solve(graph, costs, pins={"divide": {0: True}, "select": {1: False}, "link": {}} | {"divide": {}}).selected[1] is np.False_
    assert solve(graph, costs, pins={"link": {1: 1}, "divide": {0: 0}}).parent.tolist() == [-1, -1, 0]


STATE_ERRORS = {
    "unknown cost": (
        {"costs": {"merge": 1, "split": 2}},
        "no such cost: merge, split; there are select, appear, disappear, divide, link, divide_pair, other_pairs",
    ),
    "length of a node cost": ({"costs": {"appear": [1, 2]}}, "cost appear has shape (2,), but (3,) is needed"),
    "length of a link cost": ({"costs": {"link": np.zeros((2, 1))}}, "cost link has shape (2, 1), but (2,) is needed"),
    "NaN": ({"costs": {"link": [0, np.nan]}}, "cost link is NaN in row 1"),
    "NaN for all": ({"costs": {"select": np.nan}}, "cost select is NaN in row 0"),
    "pair columns": ({"costs": {"divide_pair": ([0], [1], [1, 2])}}, "divide_pair has columns of 1, 1 and 2 rows"),
    "pair of no link": ({"costs": {"divide_pair": ([0, 0], [1, 2], [1, 2])}}, "divide_pair row 1 names link 2, but there are 2 links"),
    "pair NaN": ({"costs": {"divide_pair": ([0], [1], [np.nan])}}, "cost divide_pair is NaN in row 0"),
    "pair of itself": (
        {"costs": {"divide_pair": ([1], [1], [0])}},
        "divide_pair row 0 joins links 1 and 1, which are not two links of one mother",
    ),
    "other pairs NaN": ({"costs": {"other_pairs": np.nan}}, "cost other_pairs must be one number, or infinity, not nan"),
    "other pairs forced": ({"costs": {"other_pairs": -math.inf}}, "cost other_pairs must be one number, or infinity, not -inf"),
    "other pairs column": ({"costs": {"other_pairs": [1, 2]}}, "cost other_pairs must be one number, or infinity, not [1, 2]"),
    "other pairs word": ({"costs": {"other_pairs": "never"}}, "cost other_pairs is made of str160, but numbers are needed"),
    "pair twice of those alone": (
        {"costs": {"divide_pair": ([0, 1], [1, 0], [1, 2]), "other_pairs": math.inf}},
        "divide_pair names the links 0 and 1 twice",
    ),
    "pair twice": ({"costs": {"divide_pair": ([0, 1], [1, 0], [1, 2])}}, "divide_pair names the links 0 and 1 twice"),
    "unknown block": (
        {"costs": {}, "pins": {"pair": {0: 1}}},
        "no such block to pin: pair; there are select, link, appear, disappear, divide",
    ),
    "pin out of range": ({"costs": {}, "pins": {"select": {3: 1}}}, "pin on select row 3, but there are 3 rows"),
    "pin of no row": ({"costs": {}, "pins": {"link": {-1: 1}}}, "pin on link row -1, but there are 2 rows"),
    "pin of a half": ({"costs": {}, "pins": {"link": {0: 0.5}}}, "pin on link row 0 is 0.5, but a pin is 0 or 1"),
    "pin against cost": (
        {"costs": {"link": [math.inf, 0]}, "pins": {"link": {0: 1}}},
        "pin link row 0 = 1 contradicts its infinite cost",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), STATE_ERRORS.values(), ids=STATE_ERRORS)
def test_nonsense_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        state(GRAPHS["division"], **arguments)


def test_a_pair_of_two_mothers_is_refused():
    message = "divide_pair row 0 joins links 0 and 1, which are not two links of one mother"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        state(GRAPHS["two mothers"], {"divide_pair": ([1], [0], [0.0])})


# Encoding


def complete(animal):
    """The graph of all forward links between the detections of a forest."""
    frame = animal.detections.frame
    source, target = np.nonzero(frame[:, None] < frame[None, :])
    return CandidateGraph(animal.detections, source, target)


@pytest.mark.parametrize("animal", ZOO.values(), ids=ZOO)
def test_decode_undoes_encode(animal):
    graph = complete(animal)
    cost = np.arange(len(graph)) + 0.5
    pairs = ([0], [1], [7.0]) if len(graph) > 1 and graph.source[0] == graph.source[1] else None
    program = state(graph, {"link": cost, "divide_pair": pairs})
    x = program.encode(animal)
    assert program.feasible(x)
    parent, selected, link_cost = program.decode(x)
    assert parent.tolist() == animal.parent.tolist()
    assert selected.tolist() == animal.selected.tolist()
    known = {(a, b): c for a, b, c in zip(graph.source.tolist(), graph.target.tolist(), cost.tolist(), strict=True)}
    expected = [known[a, b] if a >= 0 else math.nan for b, a in enumerate(parent.tolist())]
    np.testing.assert_array_equal(link_cost, expected)


@pytest.mark.parametrize("edges", [[], [(0, 1)]], ids=["no candidates", "another candidate"])
def test_encode_names_a_link_that_is_no_candidate(edges):
    graph = tiny([0, 1, 1], *edges)
    message = "the forest links row 0 -> row 2, which is no candidate link"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        state(graph, {}).encode(Forest(graph.detections, [-1, -1, 0]))


def test_three_children_are_no_lawful_forest():
    program = state(TRIPLET, {})
    assert not program.feasible(program.encode(Forest(TRIPLET.detections, [-1, 0, 0, 0])))


# Optima


@st.composite
def programmes(draw, *, pins=True):
    """A small programme with costs of every kind: negative, positive, equal, zero, infinite; conflicts, gaps, pairs, pins."""
    frames = sorted(draw(st.lists(st.integers(0, 3), min_size=0, max_size=5)))
    forward = [(i, j) for i, a in enumerate(frames) for j, b in enumerate(frames) if a < b]
    edges = sorted(draw(st.lists(st.sampled_from(forward), unique=True, max_size=5))) if forward else []
    conflicts = draw(st.lists(st.lists(st.integers(0, len(frames) - 1), unique=True, max_size=3), max_size=2)) if frames else []
    graph = tiny(frames, *edges, conflicts=[np.array(rows, int) for rows in conflicts])
    number = st.sampled_from([-4.0, -2.5, -1.0, -1.0, 0.0, 0.0, 1.0, 1.5, 3.0]) | st.floats(-5, 5)
    if pins:
        number |= st.sampled_from([math.inf, -math.inf]) if draw(st.integers(0, 3)) == 0 else number
    column = lambda length: draw(st.lists(number, min_size=length, max_size=length))  # noqa: E731
    costs = {name: column(len(frames)) for name in ("select", "appear", "disappear", "divide")} | {"link": column(len(edges))}
    two = [(a, b) for a in range(len(edges)) for b in range(a) if edges[a][0] == edges[b][0]]
    pairs = draw(st.lists(st.sampled_from(two), unique=True)) if two else []
    pair_cost = draw(st.lists(st.floats(-5, 5) | st.just(math.inf), min_size=len(pairs), max_size=len(pairs)))
    costs["divide_pair"] = ([a for a, _ in pairs], [b for _, b in pairs], pair_cost)
    return state(graph, costs)


def optimum(program):
    """The optimum by brute force, detections and links first: what they leave open is known."""
    graph = program.graph
    best = math.inf
    for links in product((0, 1), repeat=len(graph)):
        link = np.array(links, float)
        into = np.bincount(graph.target, link, len(graph.detections))
        out = np.bincount(graph.source, link, len(graph.detections))
        if (into > 1).any() or (out > 2).any():
            continue
        linked = (into + out) > 0
        lone = np.flatnonzero(~linked)
        for chosen in product((0, 1), repeat=len(lone)):
            x = np.zeros(len(program))
            select = linked.astype(float)
            select[lone] = chosen
            x[program.blocks["select"]], x[program.blocks["link"]] = select, link
            x[program.blocks["appear"]], x[program.blocks["disappear"]] = select * (into == 0), select * (out == 0)
            x[program.blocks["divide"]], x[program.blocks["pair"]] = out == 2, link[program.pairs].prod(axis=1)
            if program.feasible(x):
                best = min(best, float(program.cost @ x))
    return best


@effort(max_examples=80, deadline=None)
@given(programmes())
def test_the_solver_finds_the_brute_force_optimum(program):
    best = optimum(program)
    if best == math.inf:
        with pytest.raises(ValueError, match=r"^these pins cannot hold together: .+ = [01]$"):
            highs(program, EXACT)
        return
    found = highs(program, EXACT)
    assert program.feasible(found.x)
    assert found.certificate.objective == pytest.approx(best, abs=1e-6)
    assert found.certificate.bound == pytest.approx(best, abs=1e-6)
    assert found.certificate.status == "optimal"
    assert elementary_bound(program) <= best + 1e-9


def test_both_ways_of_brute_force_agree():
    rng = np.random.default_rng(0)
    for graph in GRAPHS.values():
        costs = {name: rng.normal(size=len(graph.detections)) for name in ("select", "appear", "disappear", "divide")}
        program = state(graph, costs | {"link": rng.normal(size=len(graph)) - 1})
        assert optimum(program) == pytest.approx(cheapest(program), abs=1e-12)


@effort(max_examples=25, deadline=None)
@given(programmes())
def test_pulp_finds_the_same_optimum(program):
    best = optimum(program)
    if best == math.inf:
        with pytest.raises(ValueError, match=r"^these pins cannot hold together: .+ = [01]$"):
            pulp(program, EXACT)
        return
    found = pulp(program, EXACT)
    assert program.feasible(found.x)
    assert found.certificate.objective == pytest.approx(best, abs=1e-6)
    assert found.certificate.solver == "pulp:PULP_CBC_CMD"
    assert found.certificate.status == "optimal"


@effort(max_examples=80, deadline=None)
@given(programmes(pins=False))
def test_greedy_is_feasible_and_its_bound_is_one(program):
    best, found = optimum(program), greedy(program)
    assert program.feasible(found.x)
    assert found.certificate.bound <= best + 1e-9
    assert best <= found.certificate.objective + 1e-9
    assert found.certificate.objective <= 1e-9  # never worse than nothing at all
    assert found.certificate.status in ("heuristic", "optimal")
    assert (found.certificate.status == "optimal") == (found.certificate.gap <= 1e-4)


@effort(max_examples=60, deadline=None)
@given(programmes())
def test_greedy_honours_pins_or_says_so(program):
    try:
        found = greedy(program)
    except ValueError as error:
        possible = optimum(program) < math.inf
        assert re.match(
            r"greedy cannot honour these pins: take solver='highs'$" if possible else "these pins cannot hold together: ", str(error)
        )
        return
    assert program.feasible(found.x)
    assert found.certificate.objective >= optimum(program) - 1e-9


def film(seed, n_frames=8, per_frame=12):
    """A candidate graph and costs of random points: enough for solvers to disagree on, if they did."""
    rng = np.random.default_rng(seed)
    frame = np.repeat(np.arange(n_frames), per_frame)
    cells = Detections(frame, rng.uniform(0, 30, (len(frame), 2)), np.ones(len(frame), int))
    graph = nearest(cells, 4, radius=15.0, max_gap=1)
    link = graph.columns["distance"] - 8 + 2 * (graph.dt - 1) + rng.normal(0, 0.5, len(graph))
    a, b = np.nonzero(np.triu(graph.source[:, None] == graph.source[None, :], 1))
    costs = {"link": link, "appear": 3.0, "disappear": 3.0, "divide": 1.0, "select": rng.normal(-1, 2, len(cells))}
    return graph, costs | {"divide_pair": (a, b, rng.normal(0, 2, len(a)))}


@pytest.mark.parametrize("seed", range(3))
def test_solvers_agree_on_a_film(seed):
    graph, costs = film(seed, 6)
    program = state(graph, costs)
    exact, other, fast = highs(program, EXACT), pulp(program, EXACT), greedy(program)
    assert exact.certificate.objective == pytest.approx(other.certificate.objective, abs=1e-5)
    assert exact.certificate.gap <= 1e-9
    assert fast.certificate.bound <= exact.certificate.bound + 1e-6
    assert fast.certificate.objective < 0.6 * exact.certificate.objective


def test_the_elementary_bound_by_hand():
    step, division = GRAPHS["step"], GRAPHS["division"]
    assert elementary_bound(state(step, {"link": -3.0, "appear": 1.0})) == pytest.approx(-2.0)  # appear 1, link -1.5 at each end
    assert elementary_bound(state(step, {"select": -math.inf, "appear": 1.0, "disappear": 4.0, "link": 3.0})) == pytest.approx(7.5)
    for cost, bound in ((2.0, -98.0), (60.0, -40.0), (200.0, 0.0), (math.inf, 0.0)):
        assert elementary_bound(state(division, {"divide": -100.0, "divide_pair": ([0], [1], [cost])})) == pytest.approx(bound)


# Theorems


def test_permuting_detections_permutes_the_answer():
    graph, costs = film(4)
    cells, rng = graph.detections, np.random.default_rng(1)
    order = np.concatenate([rows.start + rng.permutation(rows.stop - rows.start) for rows in cells.frames()])
    new = np.argsort(order)  # where each old row is now
    shuffled = CandidateGraph(Detections(cells.frame, cells.position[order], cells.label), new[graph.source], new[graph.target])
    one, two = solve(graph, costs, gap=0), solve(shuffled, costs | {"select": costs["select"][order]}, gap=0)
    assert one.certificate.objective == pytest.approx(two.certificate.objective, abs=1e-6)
    assert one.selected[order].tolist() == two.selected.tolist()
    moved = np.where(one.parent >= 0, new[one.parent], -1)
    assert moved[order].tolist() == two.parent.tolist()


@effort(max_examples=40, deadline=None)
@given(programmes(pins=False), st.randoms(use_true_random=False))
def test_narrowing_never_makes_it_cheaper(program, random):
    graph = program.graph
    costs = {name: program.costs(name) for name in ("select", "link", "appear", "disappear", "divide")}
    wide = highs(state(graph, costs), EXACT).certificate.objective
    keep = np.array([random.random() < 0.6 for _ in range(len(graph))], bool)
    fewer = highs(state(graph.keep(keep), costs | {"link": costs["link"][keep]}), EXACT).certificate.objective
    assert fewer >= wide - 1e-6
    if len(graph.detections):
        pinned = highs(state(graph, costs, pins={"select": {0: random.randint(0, 1)}}), EXACT) if not graph.detections.conflicts else None
        assert pinned is None or pinned.certificate.objective >= wide - 1e-6


def test_a_price_on_everything_moves_the_objective_by_as_much():
    graph, costs = film(5)
    before = solve(graph, costs | {"select": -math.inf}, gap=0)
    after = solve(graph, costs | {"select": -math.inf, "appear": 4.0, "link": costs["link"] + 1.0}, gap=0)
    assert after.parent.tolist() == before.parent.tolist()  # every detection has one parent or appears
    assert after.certificate.objective == pytest.approx(before.certificate.objective + len(graph.detections), abs=1e-6)


# Certificates, limits, names


def test_the_certificate_says_what_is_known():
    graph, costs = film(0)
    certificate = solve(graph, costs).certificate
    assert certificate.gap == pytest.approx((certificate.objective - certificate.bound) / abs(certificate.objective), abs=1e-9)
    assert (certificate.solver, certificate.status) == ("highs", "optimal")
    assert 0 < certificate.seconds < 60
    forest = solve(graph, costs)
    linked = forest.child_rows
    assert np.isfinite(forest.link_cost[linked]).all()
    assert np.isnan(np.delete(forest.link_cost, linked)).all()


def test_gaps_are_relative():
    assert relative_gap(-10.0, -11.0) == pytest.approx(0.1)
    assert relative_gap(-10.0, -10.0) == 0
    assert relative_gap(0.0, -1.0) == math.inf
    assert relative_gap(5.0, -math.inf) == math.inf
    assert relative_gap(1e9, 1e9 - 0.5) == 0  # rounding
    assert Certificate.of(1.0, 1.0 + 1e-9, solver="s", status="optimal", seconds=0).bound == 1.0


def test_a_bound_above_the_objective_is_a_bug_in_a_solver():
    with pytest.raises(AssertionError, match=re.escape("mine: bound 2.0 above objective 1.0")):
        Certificate.of(1.0, 2.0, solver="mine", status="optimal", seconds=0)


@pytest.mark.parametrize("solver", ["highs", "pulp"])
def test_out_of_time_there_is_still_an_honest_forest(solver):
    graph, costs = film(0, n_frames=12, per_frame=15)
    best = solve(graph, costs, gap=0).certificate
    forest = solve(graph, costs, solver, time_limit=1e-6)
    certificate = forest.certificate
    assert certificate.bound <= best.objective <= certificate.objective + 1e-6
    assert certificate.status == ("optimal" if certificate.gap <= 1e-4 else "time limit")
    program = state(graph, costs)
    assert program.feasible(program.encode(forest))
    assert program.cost @ program.encode(forest) == pytest.approx(certificate.objective)


@pytest.mark.parametrize("solver", ["highs", "pulp"])
def test_out_of_time_with_pins_that_greedy_cannot_honour(solver):
    graph, costs = film(0, n_frames=12, per_frame=15)
    with pytest.raises(ValueError, match=r"^no solution that honours the pins was found in 1e-06 s: allow more time$"):
        solve(graph, costs, solver, time_limit=1e-6, pins={"divide": dict.fromkeys(range(5), 1)})


def test_a_wide_gap_is_respected():
    graph, costs = film(2)
    best, rough = solve(graph, costs, gap=0).certificate, solve(graph, costs, gap=0.3).certificate
    assert rough.gap <= 0.3
    assert rough.bound <= best.objective <= rough.objective + 1e-9


def test_a_better_start_is_kept():
    graph, costs = film(3)
    best = solve(graph, costs, gap=0)
    kept = solve(graph, costs, "greedy", start=best)
    assert kept.parent.tolist() == best.parent.tolist()
    assert kept.certificate.objective == pytest.approx(best.certificate.objective)
    assert kept.certificate.solver == "greedy"
    assert kept.certificate.bound < best.certificate.objective
    poor = solve(graph, costs, "greedy")
    assert solve(graph, costs, start=poor).certificate.objective == pytest.approx(best.certificate.objective)


def test_a_start_that_reaches_the_gap_is_optimal():
    graph, costs = tiny([0, 1, 1], (0, 1), (0, 2)), {"link": [-2.0, -2.0], "divide": -1.0}
    lazy = lambda program, limits: Solution.of(program, np.zeros(len(program)), -5.0, solver="lazy", started=0.0, limits=limits)  # noqa: E731
    forest = solve(graph, costs, lazy, start=Forest(graph.detections, [-1, 0, 0]))
    assert (forest.certificate.objective, forest.certificate.gap, forest.certificate.status) == (-5, 0, "optimal")


def test_a_start_that_breaks_a_pin_is_dropped():
    graph = GRAPHS["step"]
    start = Forest(graph.detections, [-1, 0])
    assert solve(graph, {"link": -1.0}, start=start, pins={"link": {0: 0}}).parent.tolist() == [-1, -1]


def test_a_start_over_other_links_is_refused():
    message = "the forest links row 0 -> row 1, which is no candidate link"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        solve(tiny([0, 1]), {}, start=Forest(GRAPHS["step"].detections, [-1, 0]))


def test_the_same_call_gives_the_same_answer():
    graph, costs = film(6, 5)
    for solver in ("highs", "pulp", "greedy"):
        one, two = (solve(graph, costs, solver) for _ in range(2))
        assert one.parent.tolist() == two.parent.tolist()
        assert one.selected.tolist() == two.selected.tolist()


@pytest.mark.parametrize("solver", ["highs", "pulp", "greedy"])
def test_a_film_without_cells_costs_nothing(solver):
    forest = solve(tiny([], n_frames=3), {}, solver)
    assert len(forest) == 0
    assert (forest.certificate.objective, forest.certificate.gap, forest.certificate.status) == (0, 0, "optimal")


def test_contradicting_pins_are_named_and_no_others():
    graph = tiny([0, 0, 1, 1], (0, 2), (1, 2), (0, 3))
    pins = {"select": {0: 1, 3: 0}, "link": {0: 1, 1: 1}}
    message = "these pins cannot hold together: link 0 (row 0 -> row 2) = 1, link 1 (row 1 -> row 2) = 1"
    for solver in ("highs", "pulp"):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            solve(graph, {"disappear": -1.0}, solver, pins=pins)
    assert blame(state(graph, {}, pins=pins)) == message


def test_one_pin_can_contradict_the_rules():
    with pytest.raises(ValueError, match=r"^these pins cannot hold together: divide row 1 = 1$"):
        solve(GRAPHS["step"], {}, pins={"divide": {1: 1}})


def test_the_pin_is_found_among_many():
    graph, costs = film(1, n_frames=12, per_frame=15)
    k = int(np.flatnonzero(graph.source == 0)[0])
    message = f"these pins cannot hold together: link {k} (row 0 -> row {graph.target[k]}) = 1, disappear row 0 = 1"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        solve(graph, costs | {"select": -math.inf}, pins={"link": {k: 1}, "disappear": {0: 1}})


def test_rules_that_admit_nothing_are_blamed():
    three_parents = lambda graph: Rows({"link": incidence(graph, graph.target)[2:]}, 3, 3)  # noqa: E731
    with pytest.raises(ValueError, match=r"^the rules admit no solution, even without pins$"):
        solve(GRAPHS["two mothers"], {}, rules=[*LINEAGE_RULES, three_parents])


CALL_ERRORS = {
    "solver": ({"solver": "gurobi"}, "no such solver: gurobi; there are auto, highs, dual, pulp, greedy, pulp:NAME"),
    "negative gap": ({"gap": -0.1}, "gap must be a number from 0 up, not -0.1"),
    "NaN gap": ({"gap": math.nan}, "gap must be a number from 0 up, not nan"),
    "infinite gap": ({"gap": math.inf}, "gap must be a number from 0 up, not inf"),
    "no time": ({"time_limit": 0}, "the time limit must be positive, not 0 s"),
    "NaN time": ({"time_limit": math.nan}, "the time limit must be positive, not nan s"),
    "threads": ({"threads": -1}, "threads must not be negative, but is -1"),
}


@pytest.mark.parametrize(("arguments", "message"), CALL_ERRORS.values(), ids=CALL_ERRORS)
def test_wrong_calls_are_refused(arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        solve(GRAPHS["step"], {}, **arguments)


def test_a_solver_that_pulp_does_not_reach():
    with pytest.raises(ValueError, match=r"^PuLP reaches no solver NOSUCH here; it reaches .*PULP_CBC_CMD.*$"):
        solve(GRAPHS["step"], {}, "pulp:NOSUCH")


def test_a_solver_by_its_name_in_pulp():
    forest = solve(GRAPHS["division"], {"link": -1.0}, "pulp:PULP_CBC_CMD", threads=1)
    assert forest.parent.tolist() == [-1, 0, 0]
    assert forest.certificate.solver == "pulp:PULP_CBC_CMD"
    assert solver_named("highs") is highs
