"""Windows: the bound of the whole film never lies, its forest is lawful, and nothing but the overlap decides how good both are."""

from __future__ import annotations

import gc
import re
import weakref
from dataclasses import replace

import numpy as np
import pytest
from random_programmes import random_costs, random_graph, random_pins

from lineage import CandidateGraph, Detections, solve
from lineage.program import state
from lineage.solvers import Limits, highs
from lineage.windows import Columns, Piece, in_windows, solve_windows
from lineage.windows.decisions import Decisions, costs_of
from lineage.windows.factors import Split, factor_bound
from lineage.windows.walls import walled

EXACT = Limits(gap=0)


def case(seed):
    """A random film with everything in it that windows of some length and overlap can hold: graph, costs, pins, length, overlap."""
    rng = np.random.default_rng(seed)
    overlap = int(rng.integers(1, 4))
    length = int(rng.integers(overlap, 6))
    graph = random_graph(rng, int(rng.integers(3, 30)), 200, int(rng.integers(4, 13)))
    keep = (graph.dt <= overlap) & (rng.random(len(graph)) < 0.7)
    cells = graph.detections
    sets = [rows for rows in cells.conflicts if np.ptp(cells.frame[rows]) <= overlap]
    graph = CandidateGraph(replace(cells, conflicts=sets), graph.source[keep], graph.target[keep])
    costs = random_costs(rng, graph)
    return graph, costs, random_pins(rng, graph, costs), length, overlap


def walking(frames=40, cells=40, seed=0):
    """Cells that walk, divide and are mistaken in a square; links to near ones one and two frames on, and costs."""
    rng = np.random.default_rng(seed)
    side, x, places = cells**0.5, rng.uniform(0, cells**0.5, (cells, 2)), []
    for _ in range(frames):
        places.append(np.concatenate([x[rng.random(len(x)) > 0.05], rng.uniform(0, side, (3, 2))]))
        x = np.concatenate([x, x[rng.random(len(x)) < 0.01]])
        x = np.clip(x + rng.normal(0, 0.2, x.shape), 0, side)
    frame, place = np.repeat(np.arange(frames), [len(p) for p in places]), np.concatenate(places)
    apart = ((place[:, None] - place) ** 2).sum(2)
    dt = frame - frame[:, None]
    source, target = np.nonzero((dt > 0) & (dt <= 2) & (apart < 0.8 * dt))
    n = len(frame)
    graph = CandidateGraph(Detections(frame, place, np.zeros(n, int)), source, target)
    link = apart[source, target] / (0.16 * graph.dt) + 2 * (graph.dt - 1) + rng.normal(0, 0.3, len(graph))
    costs = {"select": rng.normal(-2, 1, n), "link": link, "appear": 4.0, "disappear": 4.0, "divide": rng.normal(3, 1, n)}
    return graph, costs


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_bound_and_objective_enclose_the_optimum_and_the_forest_is_lawful(first):
    for seed in range(first, first + 20):
        graph, costs, pins, length, overlap = case(seed)
        program = state(graph, costs, pins=pins)
        try:
            best = highs(program, EXACT).certificate.objective
        except ValueError:
            with pytest.raises(ValueError, match=r"these pins cannot hold together: .+$"):
                in_windows(graph, costs, length, overlap, pins=pins)
            continue
        forest = in_windows(graph, costs, length, overlap, pins=pins, gap=0)
        x, proof = program.encode(forest), forest.certificate
        assert program.feasible(x), seed
        assert proof.objective == pytest.approx(program.cost @ x, abs=1e-6), seed
        assert proof.bound <= best + 1e-6, seed
        assert best <= proof.objective + 1e-6, seed
        link = x[program.blocks["link"]] > 0.5
        np.testing.assert_allclose(forest.link_cost[graph.target[link]], program.costs("link")[link])
        parts = forest.record["windows"]["parts"]
        assert [(part["first"], part["last"]) for part in parts][:: len(parts) - 1 or 1][0][0] == 0
        assert sum(part["objective"] for part in parts) == pytest.approx(proof.objective, abs=1e-9)
        assert sum(part["bound"] for part in parts) == pytest.approx(proof.bound, abs=1e-5)
        assert all(part["bound"] <= part["objective"] for part in parts)


def test_windows_that_hold_the_whole_film_give_what_the_whole_solve_gives():
    graph, costs = walking(15, 25)
    for length, overlap in ((15, 2), (10, 5), (100, 100)):
        forest, whole = in_windows(graph, costs, length, overlap), solve(graph, costs)
        np.testing.assert_array_equal(forest.parent, whole.parent)
        np.testing.assert_array_equal(forest.selected, whole.selected)
        assert forest.certificate.objective == pytest.approx(whole.certificate.objective)
        assert forest.certificate.bound == pytest.approx(whole.certificate.bound)
        assert forest.certificate.status == whole.certificate.status == "optimal"
        assert forest.certificate.solver == "auto in windows"


def test_the_gap_of_a_film_is_small_and_fades_with_the_overlap():
    graph, costs = walking(30, 16)
    best = solve(graph, costs, gap=0).certificate.objective
    gaps = []
    for overlap in (2, 4, 8):
        proof = in_windows(graph, costs, 10, overlap, gap=1e-5).certificate
        assert proof.bound <= best + 1e-6 <= proof.objective + 2e-6
        gaps.append(proof.gap)
    assert gaps[0] > gaps[2]
    assert gaps[1] < 1e-2
    assert gaps[2] < 1e-3


def test_any_split_and_any_wall_bound_the_film():
    rng, tight = np.random.default_rng(0), 0
    for seed in range(40):
        graph, costs, pins, _, _ = case(seed)
        program = state(graph, costs, pins=pins)
        try:
            best = highs(program, EXACT).certificate.objective
        except ValueError:
            continue
        into = program.costs("link") * rng.choice([0, 0.5, 1]) + rng.normal(0, rng.choice([0, 1]), len(graph))
        wall = rng.integers(1, graph.detections.n_frames)
        before = graph.detections.frame < wall
        nobody = np.zeros(len(before), bool)
        parts = [walled(program, before, nobody, into), walled(program, ~before, before, into)]
        least = sum(highs(part, EXACT).certificate.objective for part in parts)
        assert least <= best + 1e-6, seed
        tight += least > best - 1e-6
        none = np.zeros(0, np.int64)
        for part, own in zip(parts, (before, ~before), strict=True):
            inner = np.where(own[graph.source] & own[graph.target], into, 0.0)
            bound = factor_bound(part, Split(inner, inner == np.inf, none, np.zeros(0), np.zeros(1, np.int64)), own)
            assert bound <= highs(part, EXACT).certificate.objective + 1e-6, seed
    assert tight > 5


def test_conflict_sets_bound_too():
    """Two rivals that both save 3: without what they hand to their set the bound would be -6."""
    cells = Detections(np.zeros(2, int), np.zeros((2, 2)), np.zeros(2, int), conflicts=[np.array([0, 1])])
    program = state(CandidateGraph(cells, [], []), {"select": -3.0})
    own, into = np.ones(2, bool), np.zeros(0)
    none = Split(into, into > 0, np.zeros(0, np.int64), into, np.zeros(1, np.int64))
    assert factor_bound(program, none, own) == -6
    assert factor_bound(program, Split(into, into > 0, np.array([0, 1]), np.array([-3.0, -3.0]), np.array([0, 2])), own) == -3


def test_costs_of_detections_add_up_to_those_of_the_forest():
    for seed in range(40):
        graph, costs, pins, _, _ = case(seed)
        program = state(graph, costs, pins=pins)
        try:
            x = highs(program, EXACT).x
        except ValueError:
            continue
        made = Decisions.read(program, x, 100)
        assert (made.parent[made.parent >= 0] >= 100).all()
        assert costs_of(program, made).sum() == pytest.approx(program.cost @ x, abs=1e-9)


def chain(frames, cells=1):
    """So many cells in every frame, row = frame * cells + number, each linked to all of the next frame."""
    row = np.arange(frames * cells)
    pairs = [(i, j) for i in row for j in row if j // cells == i // cells + 1]
    source, target = np.array(pairs, int).reshape(-1, 2).T
    return CandidateGraph(Detections(row // cells, np.zeros((len(row), 2)), np.zeros(len(row), int)), source, target)


def test_a_division_at_the_seam_is_one():
    """One cell up to frame 3, two from frame 4, where the second window begins; the pair's cost decides which daughters they are."""
    frame = np.array([0, 1, 2, 3, 4, 4, 4, 5, 5, 5, 6, 6, 6, 7, 7, 7])
    ends = [(0, 1), (1, 2), (2, 3), (3, 4), (3, 5), (3, 6), *((i, i + 3) for i in range(4, 13))]
    source, target = np.array(ends).T
    graph = CandidateGraph(Detections(frame, np.zeros((16, 2)), np.zeros(16, int)), source, target)
    costs = {"select": -5.0, "link": -1.0, "appear": 4.0, "disappear": 4.0, "divide": 1.0}
    costs["divide_pair"] = (np.array([3, 3, 4]), np.array([4, 5, 5]), np.array([3.0, 0.0, 3.0]))
    forest = in_windows(graph, costs, 4, 1, gap=0)
    assert forest.parent[:10].tolist() == [-1, 0, 1, 2, 3, -1, 3, 4, 5, 6]
    assert len(forest.record["windows"]["parts"]) == 2
    without = in_windows(graph, {**costs, "divide": 50.0}, 4, 1, gap=0)
    assert without.divisions.size == 0


def test_a_cell_missed_at_the_seam_is_bridged():
    frame = np.array([0, 1, 2, 5, 6, 7])  # missed in frames 3 and 4; windows begin at 0 and 4
    graph = CandidateGraph(Detections(frame, np.zeros((6, 2)), np.zeros(6, int)), np.arange(5), np.arange(1, 6))
    costs = {"select": -1.0, "link": 0.0, "appear": 4.0, "disappear": 4.0}
    assert in_windows(graph, costs, 4, 3).parent.tolist() == [-1, 0, 1, 2, 3, 4]
    with pytest.raises(
        ValueError, match=r"^the link from row 2 \(frame 2\) to row 3 \(frame 5\) spans 3 frames, but windows overlap by 2: "
    ):
        in_windows(graph, costs, 4, 2)


def test_rivals_on_both_sides_of_a_seam_are_not_both_taken():
    graph = chain(8)
    cells = replace(graph.detections, conflicts=[np.array([3, 4])])
    graph = CandidateGraph(cells, graph.source, graph.target)
    costs = {"select": np.array([-5, -5, -5, -5, -6, -5, -5, -5.0]), "link": -1.0, "appear": 1.0, "disappear": 1.0}
    forest = in_windows(graph, costs, 4, 2, gap=0)
    assert forest.selected.tolist() == [True, True, True, False, True, True, True, True]
    with pytest.raises(
        ValueError, match=r"^the conflict set of row 3 \(frame 3\) and row 7 \(frame 7\) spans 4 frames, but windows overlap by 3: "
    ):
        in_windows(CandidateGraph(replace(cells, conflicts=[np.array([3, 7])]), graph.source, graph.target), costs, 4, 3)


def test_what_is_pinned_near_the_end_of_a_view_may_lie_behind_it():
    """The first window sees frames 0 to 5; there the cell of row 10 must divide, its daughters lie in frame 6."""
    forest = in_windows(chain(12, 2), {"select": -1.0, "appear": 1.0}, 4, 2, pins={"divide": {10: 1}, "appear": {12: 0}})
    assert forest.parent[[12, 13]].tolist() == [10, 10]
    forest = in_windows(chain(12), {"select": -1.0, "disappear": np.where(np.arange(12) < 11, np.inf, 0.0)}, 4, 2)
    assert forest.parent.tolist() == list(range(-1, 11))


def test_a_cell_that_is_pinned_to_appear_has_no_past_for_sale():
    forest = in_windows(chain(8), {"select": -1.0, "link": -5.0, "appear": 1.0, "disappear": 1.0}, 4, 1, pins={"appear": {4: 1}}, gap=0)
    assert forest.parent.tolist() == [-1, 0, 1, 2, -1, 4, 5, 6]
    assert forest.certificate.objective == pytest.approx(-34)
    assert forest.certificate.bound == pytest.approx(-34)


def late_pin():
    """Two cells a frame, the first cheap, links only straight on; nothing appears after frame 0, and the dear one must be there at last."""
    graph = chain(12, 2)
    straight = graph.source % 2 == graph.target % 2
    graph = graph.keep(straight)
    cells = replace(graph.detections, conflicts=[np.array([2 * t, 2 * t + 1]) for t in range(12)])
    graph = CandidateGraph(cells, graph.source, graph.target)
    row = np.arange(24)
    costs = {"select": np.where(row % 2, -1.0, -3.0), "appear": np.where(row < 2, 0.0, np.inf)}
    return graph, costs, {"select": {23: 1}}


def test_a_pin_far_behind_is_honoured_by_deciding_windows_before_anew():
    graph, costs, pins = late_pin()
    assert in_windows(graph, costs, 3, 1).selected.tolist() == 12 * [True, False]
    forest = in_windows(graph, costs, 3, 1, pins=pins)
    assert forest.selected.tolist() == 12 * [False, True]
    assert forest.certificate.objective == pytest.approx(-12)
    assert forest.certificate.bound < -20  # and it shows: no window near the beginning could know


def test_a_pin_behind_what_was_handed_over_is_complained_of():
    graph, costs, pins = late_pin()
    message = (
        "the pins from frame 9 on cannot hold with what was decided before it and handed over: "
        "take a longer overlap, or let more windows be revised"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        solve_windows(Columns.of(graph, costs, pins), 12, lambda window: None, length=3, overlap=1, revise=1)


def handed(pieces, n_frames, **options):
    """All windows of a film, and its certificate."""
    windows = []
    return windows, solve_windows(pieces, n_frames, windows.append, **options)


def test_a_cell_whose_parent_lies_before_the_view_need_not_appear_there():
    columns = Columns.of(chain(16), {"select": -1.0, "appear": np.where(np.arange(16) == 0, 0.0, np.inf)})
    windows, proof = handed(columns, 16, length=3, overlap=3, revise=0)
    assert np.concatenate([w.parent for w in windows]).tolist() == list(range(-1, 15))
    assert proof.objective == proof.bound == -16


def test_windows_come_in_turn_with_rows_of_the_whole_film():
    graph, costs = walking(30, 15)
    whole = in_windows(graph, costs, 8, 3)
    windows, proof = handed(Columns.of(graph, costs), 30, length=8, overlap=3)
    assert [(w.first, w.last) for w in windows] == [(0, 8), (8, 16), (16, 24), (24, 30)]
    assert [w.row for w in windows] == np.searchsorted(graph.detections.frame, [0, 8, 16, 24]).tolist()
    np.testing.assert_array_equal(np.concatenate([w.parent for w in windows]), whole.parent)
    np.testing.assert_array_equal(np.concatenate([w.selected for w in windows]), whole.selected)
    assert proof == replace(whole.certificate, seconds=proof.seconds)


def test_how_the_pieces_are_handed_over_makes_no_difference(tmp_path):
    graph, costs = walking(16, 12)
    costs["divide_pair"] = (
        (pairs := np.array([(i, i + 1) for i in range(len(graph) - 1) if graph.source[i] == graph.source[i + 1]]).T)[0],
        *(
            pairs[1],
            np.linspace(-1, 1, pairs.shape[1]),
        ),
    )
    first = in_windows(graph, costs, 6, 2)
    again = in_windows(graph, costs, 6, 2)
    order = np.random.default_rng(1).permutation(len(graph))
    place = np.argsort(order)
    a, b, pair = costs["divide_pair"]
    mixed = {**costs, "link": costs["link"][order], "divide_pair": (place[b], place[a], pair)}
    others = [again, in_windows(graph.keep(order), mixed, 6, 2)]
    columns = {
        "frame": graph.detections.frame,
        "source": graph.source,
        "target": graph.target,
        **{k: costs[k] for k in ("select", "divide", "link")},
    }
    columns |= {"a": a, "b": b, "pair": pair}
    for name, column in columns.items():
        np.save(tmp_path / f"{name}.npy", column)
    disk = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in columns}
    known = {**costs, **{k: disk[k] for k in ("select", "divide", "link")}, "divide_pair": (disk["a"], disk["b"], disk["pair"])}
    mapped = Columns(disk["frame"], disk["source"], disk["target"], known)
    cut = Columns.of(graph, costs)

    def turned(begin, end):
        piece = cut(begin, end)
        back = np.arange(len(piece.graph))[::-1]
        one, two, cost = piece.costs["divide_pair"]
        last = len(back) - 1
        return piece.graph.keep(back), {**piece.costs, "link": piece.costs["link"][back], "divide_pair": (last - one, last - two, cost)}

    for pieces in (mapped, cut, turned):
        windows, proof = handed(pieces, 16, length=6, overlap=2)
        np.testing.assert_array_equal(np.concatenate([w.parent for w in windows]), first.parent)
        assert (proof.objective, proof.bound) == (first.certificate.objective, first.certificate.bound)
    for other in others:
        np.testing.assert_array_equal(other.parent, first.parent)
        assert other.certificate.bound == first.certificate.bound


def test_one_window_is_in_memory_at_a_time():
    graph, costs = walking(30, 15)
    columns, asked, kept = Columns.of(graph, costs), [], []

    def pieces(first, last):
        gc.collect()
        assert [piece for piece in kept if piece() is not None] == []
        piece = columns(first, last)
        kept.append(weakref.ref(piece.graph))
        asked.append((first, last))
        return piece

    handed(pieces, 30, length=8, overlap=3)
    assert asked == [(0, 11), (5, 19), (13, 27), (21, 30)]


@pytest.mark.parametrize("solver", ["highs", "dual", "greedy", highs])
def test_any_solver_will_do(solver):
    graph, costs = walking(24, 20)
    best = solve(graph, costs, gap=0).certificate.objective
    proof = in_windows(graph, costs, 8, 4, solver=solver).certificate
    assert proof.solver == f"{solver if isinstance(solver, str) else 'highs'} in windows"
    assert proof.bound <= best + 1e-6 <= proof.objective + 2e-6
    assert proof.gap < (0.5 if solver == "greedy" else 5e-3)


def test_small_films():
    empty = Detections(np.zeros(0, int), np.zeros((0, 2)), np.zeros(0, int))
    for n_frames in (0, 1, 30):
        forest = in_windows(CandidateGraph(replace(empty, n_frames=n_frames), [], []), {}, 4, 2)
        assert len(forest) == 0
        assert forest.certificate.objective == forest.certificate.bound == 0
    alone = Detections(np.array([0, 9, 9, 21]), np.zeros((4, 2)), np.zeros(4, int), n_frames=30)
    forest = in_windows(CandidateGraph(alone, [], []), {"select": -1.0}, 4, 2)
    assert forest.selected.all()
    assert forest.certificate.objective == forest.certificate.bound == -4


def test_progress_and_time():
    graph, costs = walking(30, 15)
    seen = []

    def progress(items, what):
        seen.append((list(items), what))
        return items

    in_windows(graph, costs, 8, 3, progress=progress)
    assert seen == [([0, 1, 2, 3], "windows")]
    program = state(graph, costs)
    hurried = in_windows(graph, costs, 8, 3, time_limit=1e-3)
    assert program.feasible(program.encode(hurried))
    assert hurried.certificate.status in ("optimal", "time limit")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 2}, "windows of 2 frames are shorter than their overlap of 3: take longer windows"),
        ({"overlap": 0}, "overlap must be a whole number from 1 up, not 0"),
        ({"length": 2.5}, "length must be a whole number from 1 up, not 2.5"),
        ({"solver": "best"}, "no such solver: best; there are auto, highs, dual, pulp, greedy, pulp:NAME"),
        ({"gap": -1}, "gap must be a number from 0 up, not -1"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        in_windows(chain(12), {}, **{"length": 4, "overlap": 3, **options})


def test_no_less_than_no_window_can_be_revised():
    with pytest.raises(ValueError, match=r"^revise must be a number of windows from 0 up, not -1$"):
        handed(Columns.of(chain(12), {}), 12, length=4, overlap=2, revise=-1)


def test_pieces_that_differ_are_named():
    graph = chain(12, 2)
    cut = Columns.of(graph, {"link": np.arange(len(graph), dtype=float), "select": -1.0})

    def told(change):
        with pytest.raises(ValueError, match=r".") as error:
            handed(change, 12, length=4, overlap=2)
        return str(error.value)

    def fewer(first, last):
        piece = cut(first, last)
        if first:
            rows = np.arange(2, len(piece.graph.detections))
            links = piece.graph.source >= 2
            cells = piece.graph.detections.take(rows)
            return CandidateGraph(cells, piece.graph.source[links] - 2, piece.graph.target[links] - 2), {}
        return piece

    assert told(fewer) == "two pieces differ: frame 2 has 2 detections in one and 0 in the next"

    def sparser(first, last):
        piece = cut(first, last)
        keep = (piece.graph.source != 2) | (first == 0)
        return piece.graph.keep(keep), {**piece.costs, "link": piece.costs["link"][keep]}

    dearer = lambda first, last: cut(first, last)._replace(costs={"link": cut(first, last).costs["link"] + first})  # noqa: E731
    assert told(sparser) == "two pieces differ: the link row 6 -> row 8 across frame 4 is in one of them only"
    message = "two pieces differ: the link row 6 -> row 8 across frame 4 costs 12 in one and 14 in the next"
    assert told(dearer) == message

    def counted(first, last):
        piece = cut(first, last)
        cells = replace(piece.graph.detections, frame=piece.graph.detections.frame + first)
        return CandidateGraph(cells, piece.graph.source, piece.graph.target), piece.costs

    expected = "the piece of frames 2 to 9 has a detection in its frame 9, but it has 8 frames: frames are counted from the piece's first"
    assert told(counted) == expected
    nan = lambda first, last: cut(first, last)._replace(costs={"select": np.nan})  # noqa: E731
    assert told(nan) == "the piece of frames 0 to 5: cost select is NaN in row 0"


@pytest.mark.parametrize(
    ("costs", "pins", "message"),
    [
        ({"select": np.zeros(3)}, {}, "cost select has shape (3,), but (24,) is needed"),
        ({"link": np.zeros(24)}, {}, "cost link has shape (24,), but (44,) is needed"),
        ({}, {"select": {24: 1}}, "pin on select row 24, but there are 24 rows"),
        ({}, {"link": {-1: 1}}, "pin on link row -1, but there are 44 rows"),
        (
            {"worth": 1.0},
            {},
            "the piece of frames 0 to 5: no such cost: worth; there are select, appear, disappear, divide, link, divide_pair, other_pairs",
        ),
    ],
)
def test_costs_and_pins_that_make_no_sense(costs, pins, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        in_windows(chain(12, 2), costs, 4, 2, pins=pins)


def test_pins_that_contradict_each_other_are_named_with_their_place():
    graph = chain(12)
    message = "frames 6 on, rows counted from row 6: these pins cannot hold together: select row 4 = 0, link 3 (row 3 -> row 4) = 1"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        in_windows(graph, {}, 4, 2, pins={"select": {10: 0}, "link": {9: 1}})


def test_columns_must_be_sorted():
    graph = chain(12, 2)
    back = np.arange(len(graph))[::-1]
    columns = Columns(graph.detections.frame, graph.source[back], graph.target[back], {})
    with pytest.raises(ValueError, match=r"^the links of frames 0 to 5 are not sorted by source$"):
        handed(columns, 12, length=4, overlap=2)
    with pytest.raises(ValueError, match=r"^target has 1 rows, but source has 44$"):
        Columns(graph.detections.frame, graph.source, graph.target[:1], {})


def test_a_piece_holds_what_lies_between_its_frames():
    graph = chain(6, 2)
    costs = {"select": np.arange(12.0), "link": np.arange(20.0), "appear": 2.0, "divide_pair": ([0, 4, 8], [1, 5, 9], [0.5, 1.5, 2.5])}
    pins = {"select": {1: 1, 5: 0}, "link": {0: 1, 4: 0, 12: 1}}
    piece = Columns.of(graph, costs, pins)(1, 4)
    assert isinstance(piece, Piece)
    assert piece.graph.detections.frame.tolist() == [0, 0, 1, 1, 2, 2]
    np.testing.assert_array_equal(piece.graph.source, graph.source[4:12] - 2)
    assert piece.costs["select"].tolist() == list(range(2, 8))
    assert piece.costs["link"].tolist() == list(range(4, 12))
    assert piece.costs["appear"] == 2.0
    assert [column.tolist() for column in piece.costs["divide_pair"]] == [[0, 4], [1, 5], [1.5, 2.5]]
    assert piece.pins == {"select": {3: 0}, "link": {0: 0}}
