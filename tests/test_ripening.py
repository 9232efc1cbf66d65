"""Ripening: no division too soon after the last, exactly: against every forest of tiny graphs, then through ``link``."""

from __future__ import annotations

import math
import re
from functools import partial

import numpy as np
import pytest
from random_programmes import random_costs, random_graph
from zoo import ZOO, forest

from lineage.detections import Detections
from lineage.forest import Forest
from lineage.graph import CandidateGraph
from lineage.linking import link
from lineage.program import state
from lineage.scoring.cycle import ages
from lineage.scoring.ripening import Copies, ripened, too_young
from lineage.settings import Settings
from lineage.simulation import simulate
from lineage.solving import solve
from lineage.windows import in_windows


def usual(solver="highs"):
    return partial(solve, solver=solver, gap=0.0)


def soon(lineages, least):
    """The rule in plain words: whether some cell divides less than ``least`` frames after the division that made it."""
    frame = lineages.detections.frame
    for cell in lineages.divisions:
        above = int(lineages.parent[cell])
        while above >= 0 and lineages.n_children[above] < 2:
            above = int(lineages.parent[above])
        if above >= 0 and frame[cell] - frame[above] < least:
            return True
    return False


def every_forest(program):
    """All forests of a tiny programme, the cheapest first, and what they cost."""
    graph, n, m = program.graph, len(program.graph.detections), len(program.graph)
    bits = (np.arange(2 ** (n + m))[:, None] >> np.arange(n + m) & 1).astype(float)
    select, link = bits[:, :n], bits[:, n:]
    into, out = np.zeros_like(select), np.zeros_like(select)
    for e in range(m):
        into[:, graph.target[e]] += link[:, e]
        out[:, graph.source[e]] += link[:, e]
    x, divide = np.zeros((len(bits), len(program))), (out >= 2).astype(float)
    columns = {"select": select, "link": link, "divide": divide, "appear": select - into, "disappear": select + divide - out}
    for name, column in columns.items():
        x[:, program.blocks[name]] = column
    x[:, program.blocks["pair"]] = link[:, program.pairs].prod(axis=2)
    x = x[((x >= program.lower) & (x <= program.upper)).all(axis=1)]
    value = x @ program.matrix.T
    x = x[((value >= program.low - 1e-9) & (value <= program.high + 1e-9)).all(axis=1)]
    for point in x[np.argsort(x @ program.cost, kind="stable")]:
        parent, selected, _ = program.decode(point)
        yield Forest(graph.detections, parent, selected), float(program.cost @ point)


def eager(seed):
    """A tiny film in which it pays to divide often; now and then all cells must be believed."""
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, int(rng.integers(5, 7)), int(rng.integers(6, 9)), 4)
    costs = random_costs(rng, graph, infinite=False)
    costs |= {"divide": costs["divide"] - 5, "link": costs["link"] - 4, "appear": np.abs(costs["appear"]) + 3}
    if rng.random() < 0.4:
        costs.pop("divide_pair", None)
    if not graph.detections.conflicts and rng.random() < 0.6:
        costs["select"] = np.where(rng.random(len(costs["select"])) < 0.7, -np.inf, costs["select"])
    least = int(rng.integers(2, 5))
    if rng.random() < 0.4:
        costs["other_pairs"] = float(rng.choice([1.0, np.inf]))
    return graph, costs, least


@pytest.mark.parametrize(("solver", "seeds"), [("highs", range(15)), ("dual", range(60))])
def test_it_is_the_cheapest_of_all_lawful_forests(solver, seeds):
    changed = 0
    for seed in seeds:
        graph, costs, least = eager(seed)
        program = state(graph, costs)
        free, best = None, None
        for some, cost in every_forest(program):
            free = cost if free is None else free
            if not soon(some, least):
                best = cost
                break
        found = ripened(graph, costs, least, usual(solver), gap=0.0)
        proof = found.certificate
        assert not soon(found, least), seed
        assert program.cost @ program.encode(found) == pytest.approx(proof.objective), seed
        assert (proof.objective, proof.bound) == (pytest.approx(best), pytest.approx(best)), seed
        assert proof.status == "optimal"
        changed += best > free + 1e-9
    assert changed >= len(seeds) / 10  # without the rule the answer would be wrong


def test_what_keeps_the_rule_is_left_as_it_is():
    for seed in range(20):
        graph, costs, _ = eager(seed)
        free, ruled = solve(graph, costs, "dual", 0.0), ripened(graph, costs, 1, usual("dual"), gap=0.0)
        assert ruled.parent.tolist() == free.parent.tolist()
        assert ruled.record == {}


def tree(steps, generations):
    """Cells that divide every ``steps`` frames: every link of a binary tree, and none other."""
    frame, parent, tips = [0], [-1], [0]
    for generation in range(generations):
        for k in range(steps):
            tips_then, tips = tips, []
            for tip in tips_then:
                for _ in range(2 if k == 0 and generation else 1):
                    parent.append(tip)
                    frame.append(frame[tip] + 1)
                    tips.append(len(frame) - 1)
    order = np.argsort(frame, kind="stable")
    rank = np.append(np.argsort(order), -1)
    frame, parent = np.array(frame)[order], rank[np.array(parent)[order]]
    child = np.flatnonzero(parent >= 0)
    cells = Detections(frame, np.zeros((len(frame), 2)), np.zeros(len(frame), int))
    return CandidateGraph(cells, parent[child], child)


@pytest.mark.parametrize("least", [2, 3, 4, 5, 7])
def test_a_tree_is_cut_as_cheaply_as_can_be(least):
    graph = tree(3, 4)
    n = len(graph.detections)
    costs = {"select": np.full(n, -np.inf), "appear": np.full(n, 3.0), "disappear": np.zeros(n), "divide": np.full(n, -1.0)}
    costs |= {"link": np.full(len(graph), -1.0)}
    free, found = solve(graph, costs, "highs", 0.0), ripened(graph, costs, least, usual(), gap=0.0)
    assert not soon(found, least)
    assert (found.certificate.objective > free.certificate.objective) == (least > 3)
    if least > 3:  # divisions every three frames: of three generations the middle one goes
        assert found.record["min_cycle"]["frames"] == least
        assert len(found.divisions) < len(free.divisions)


def test_who_is_young():
    animal = forest([0, 1, 1, 2, 3, 4, 4], [-1, 0, 0, 1, 3, 4, 4])  # divides in frame 0, and one daughter in frame 3
    assert too_young(animal, 3).tolist() == []
    assert too_young(animal, 4).tolist() == [[1, 4], [2, 4], [3, 4], [4, 4]]  # and her sister
    assert too_young(ZOO["two divisions in a row"], 2).tolist() == [[1, 2], [2, 2]]
    assert too_young(ZOO["empty"], 9).tolist() == []


def test_missed_frames_count():
    animal = forest([0, 1, 1, 5, 6, 6], [-1, 0, 0, 1, 3, 3])
    assert ages(animal)[3] == 5
    assert len(too_young(animal, 5)) == 0
    assert len(too_young(animal, 6)) > 0


def test_copies_say_nothing_by_themselves():
    for seed in range(20):  # every row has a copy that nobody needs: the answer is the same
        graph, costs, _ = eager(seed)
        rows = np.arange(len(graph.detections))
        state_of = np.stack([rows, graph.detections.frame + 90], axis=1)
        copies = Copies.of(graph, costs, state_of, 50)
        assert len(copies.graph.detections) == 2 * len(rows)
        back = copies.back(solve(copies.graph, copies.costs, "dual", 0.0), -math.inf, 0.0)
        assert back.certificate.objective == pytest.approx(solve(graph, costs, "dual", 0.0).certificate.objective), seed


def test_slack_is_a_lower_bound_of_deciding_otherwise():
    checked = 0
    for seed in range(40):
        graph, costs, least = eager(seed)
        found = ripened(graph, costs, least, usual("dual"), gap=0.0)
        if "min_cycle" not in found.record:
            continue
        best, chosen = found.certificate.objective, found.parent[graph.target] == graph.source
        for k in np.flatnonzero(np.isfinite(found.slack["link"])).tolist():
            other = costs | {"link": costs["link"].copy()}
            other["link"][k] = np.inf if chosen[k] else costs["link"][k] - 1e3
            dearer = ripened(graph, other, least, usual("dual"), gap=0.0)
            held = dearer.parent[graph.target[k]] == graph.source[k]
            objective = dearer.certificate.objective + (1e3 if held and not chosen[k] else 0.0)
            if held == chosen[k]:  # there is no other way
                continue
            assert objective >= best + found.slack["link"][k] - 1e-6, (seed, k)
            checked += 1
    assert checked >= 20


@pytest.fixture(scope="module")
def film():
    """A film whose cells divide every few frames."""
    return simulate(frames=24, cells=6, size=(260, 260), seed=2, cycle=8.0).labels


def test_a_film_is_linked_by_the_rule(film):
    free = link(film)
    age = ages(free)[free.divisions]
    assert (age >= 0).sum() >= 3
    least = int(np.median(age[age >= 0])) + 1
    ruled = link(film, settings=Settings(min_cycle=least))
    assert soon(free, least)
    assert not soon(ruled, least)
    assert ruled.selected.all()
    assert ruled.certificate.status == "optimal"
    assert ruled.record["min_cycle"]["frames"] == least


def test_windows_obey_it_too(film):
    whole = link(film, settings=Settings(min_cycle=9, rounds=0))
    parts = link(film, settings=Settings(min_cycle=9, rounds=0, window=10, overlap=6))
    assert not soon(parts, 9)
    assert parts.record["windows"]["parts"] == [] or "min_cycle" not in parts.record
    assert parts.certificate.objective >= whole.certificate.bound - 1e-6
    assert parts.certificate.bound <= whole.certificate.objective + 1e-6


def test_windows_find_the_same_tree():
    graph = tree(3, 4)
    n = len(graph.detections)
    costs = {"select": np.full(n, -np.inf), "appear": np.full(n, 3.0), "disappear": np.zeros(n), "divide": np.full(n, -1.0)}
    costs |= {"link": np.full(len(graph), -1.0)}
    parts = ripened(graph, costs, 5, partial(in_windows, length=4, overlap=3, gap=0.0), gap=0.0)
    assert parts.certificate.objective == pytest.approx(ripened(graph, costs, 5, usual(), gap=0.0).certificate.objective)
    assert not soon(parts, 5)


@pytest.mark.parametrize(
    ("value", "message"),
    [(0, "min_cycle must be at least 1 frame, not 0"), (2.5, "min_cycle must be a whole number of frames, not 2.5")],
)
def test_what_is_no_number_of_frames_is_refused(value, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Settings(min_cycle=value)


def test_it_survives_toml(tmp_path):
    settings = Settings(min_cycle=12)
    (tmp_path / "a.toml").write_text(settings.to_toml(), encoding="utf-8")
    assert Settings.from_toml(tmp_path / "a.toml") == settings
