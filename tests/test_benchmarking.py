"""Benchmarking: the ceiling is the ceiling, stress does what it says, strategies keep to their nature, and nobody cheats or hangs."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from zoo import ZOO, paint

import lineage
from lineage import cli
from lineage.benchmarking import STRATEGIES, STRESSES
from lineage.benchmarking.case import case_of, parents
from lineage.benchmarking.comparison import GUARDED, KINDS, benchmark, uncompared, worse
from lineage.benchmarking.errors import errors
from lineage.benchmarking.linkers import favourite, one_to_one, one_to_one_then_split, two_steps, with_sisters
from lineage.benchmarking.running import run as run_strategy
from lineage.benchmarking.strategies import USUAL, Strategy, chosen
from lineage.benchmarking.stress import parsed, stressed, thinned
from lineage.benchmarking.worker import peak_memory, save_points
from lineage.benchmarking.writing import markdown, read_rows, write_comparison
from lineage.candidates import nearest
from lineage.detections import Detections
from lineage.evaluation import evaluate
from lineage.forest import Forest
from lineage.graph import CandidateGraph
from lineage.matching import Tracks, tracks_of
from lineage.settings import Settings
from lineage.simulation import simulate

QUICK = ("nearest", "hungarian", "hungarian+split", "lap", "overlap", "sisters")


@pytest.fixture(scope="module")
def film():
    return simulate(frames=10, cells=10, size=(128, 128), seed=5, miss_rate=0.03)


@pytest.fixture(scope="module")
def case(film):
    return case_of(film.labels, film.truth)


@pytest.fixture(scope="module")
def table(film):
    """The real thing, once: two strategies, one that is absent, one stress, each in its own process."""
    before = film.labels.tobytes()
    made = lineage.benchmark(film.labels, film.truth, ("nearest", ("tight", Settings(max_gap=0))), ("drop10",), seed=3)
    assert film.labels.tobytes() == before
    return made


def points_of(film):
    cells = film.truth.detections
    plain = Detections(cells.frame, cells.position, 0 * cells.label, {}, cells.scale, n_frames=cells.n_frames)
    return plain, Forest(plain, film.truth.parent)


# the table


def test_a_row_for_every_strategy_and_two_for_the_ceilings_under_every_stress(table):
    assert list(zip(table.stress, table.strategy, strict=True)) == [
        (stress, name) for stress in ("clean", "drop10") for name in ("oracle", "oracle direct", "nearest", "tight")
    ]
    assert (table.status == "ok").all()
    linked = table[~table.strategy.str.startswith("oracle")]
    assert (linked.seconds > 0).all()
    assert linked.memory_mb.between(20, 2000).all()
    assert (linked.version == lineage.__version__).all()
    assert table[GUARDED[0]].dtype == float


def test_the_ceiling_of_perfect_masks_is_one_and_nobody_is_above_it(table):
    clean, dropped = (table[table.stress == name].set_index("strategy") for name in ("clean", "drop10"))
    for score in ("LNK", "TRA", "CHOTA", "IDF1", "CT", "TF", "BC0", "edge_f1", "division_f1", "division_f1_1", "complete_lineages"):
        assert clean.loc["oracle", score] == 1, score
    assert dropped.loc["oracle", "CHOTA"] < 0.99
    assert dropped.loc["oracle", "CHOTA"] > dropped.loc["oracle direct", "CHOTA"]
    assert dropped.loc["oracle direct", "LNK"] >= dropped.loc["oracle", "LNK"]
    for name in ("nearest", "tight"):
        assert clean.loc[name, "CHOTA"] > 0.8
        assert dropped.loc[name, "CHOTA"] < dropped.loc["oracle", "CHOTA"]
        assert dropped.loc[name, "LNK"] <= dropped.loc["oracle direct", "LNK"]


def test_the_same_seed_gives_the_same_table(film, table):
    again = benchmark(film.labels, film.truth, ("nearest",), ("drop10",), seed=3)
    key = ["stress", "strategy"]
    told = [*key, "detections", *GUARDED, *KINDS]
    left = table[table.strategy != "tight"][told].reset_index(drop=True)
    pd.testing.assert_frame_equal(left, again[told].reset_index(drop=True))


def test_points_are_compared_too(film):
    cells, truth = points_of(film)
    table = benchmark(cells, truth, ("hungarian", "overlap"), ("extra10",)).set_index(["stress", "strategy"])
    assert table.loc[("clean", "oracle"), "CHOTA"] == 1
    assert table.loc[("clean", "hungarian"), "LNK"] > 0.8
    assert table.loc[("extra10", "hungarian"), "detections"] > len(cells)
    assert table.loc[("clean", "overlap"), "status"] == "absent: it needs masks, and these are points"
    assert np.isnan(table.loc[("clean", "overlap"), "CHOTA"])


# the case: masks and truth


@pytest.mark.parametrize("name", [name for name in ZOO if name != "unselected noise"])
def test_the_oracle_is_the_truth_on_the_zoo(name):
    animal = ZOO[name]
    case = case_of(paint(animal), animal)
    assert case.oracle().parent.tolist() == animal.parent.tolist()
    assert case.oracle(bridges=False).parent.tolist() == animal.parent.tolist()
    assert sum(errors(case, case.oracle()).values()) == 0


def test_a_case_scores_as_evaluate_does(film, case):
    forest = lineage.link(film.labels)
    scores, known = case.score(forest), evaluate((forest, film.labels), (film.truth, film.labels))
    assert {name for name, value in known.items() if scores[name] != value} <= {"SEG", "OP_CSB", "OP_CTB"}  # outlines are not judged


def test_truth_may_be_a_folder_or_a_pair(film, case, tmp_path):
    lineage.write(film.truth, tmp_path / "truth", labels=film.labels)
    for truth in (tmp_path / "truth", (film.truth, film.labels)):
        other = case_of(film.labels, truth)
        assert other.oracle().parent.tolist() == case.oracle().parent.tolist()


def test_the_oracle_bridges_what_was_not_detected():
    animal = ZOO["division with a past"]
    film = paint(animal)
    film[2] = 0
    case = case_of(film, (animal, paint(animal)))
    assert case.detections.frame.tolist() == [0, 1, 3, 3]
    assert case.oracle().parent.tolist() == [-1, 0, 1, 1]
    assert case.oracle(bridges=False).parent.tolist() == [-1, 0, -1, -1]
    assert errors(case, case.oracle()) == dict.fromkeys(KINDS, 0) | {"missed_unseen": 4, "bridges": 2}


REFUSED = {
    "strategy": ({"strategies": ("auto", "psychic")}, f"no such strategy: psychic; there are {', '.join(STRATEGIES)}"),
    "twice": ({"strategies": ("auto", ("auto", Settings()))}, "two strategies have the name auto: give each a name of its own"),
    "stress": (
        {"stress": ("rain",)},
        "no such stress: rain; there are clean, frames/2, drop5, extra5, jitter20, drift25, jump150 (with any whole number)",
    ),
    "time": ({"time_limit": 0}, "time_limit must be positive, not 0"),
    "python": (
        {"strategies": ("auto",), "pythons": {"btrack": "python"}},
        "pythons names btrack, which is not among the strategies: auto",
    ),
    "distance": ({"distance": 3.0}, "distance=3.0 is for points, but these are masks and are matched by overlap: leave it out"),
    "image": ({"image": np.zeros((3, 8, 8))}, "the image has 3 frames, but the masks have 10: they are not of the same film"),
}


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=REFUSED)
def test_what_makes_no_sense_is_refused_in_a_line(film, changes, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        benchmark(film.labels, film.truth, **changes)


@pytest.mark.parametrize("name", ["frames/", "frames/0", "clean3", "drop-5", "drop5x", "", "Drop5", "frames"])
def test_names_of_stress_are_strict(name):
    with pytest.raises(ValueError, match=rf"^no such stress: {re.escape(name)}; there are .+$"):
        parsed(name)


def test_no_more_is_missed_than_there_is():
    with pytest.raises(ValueError, match=r"^no such stress: drop200; drop is for 99 at most$"):
        parsed("drop200")


def test_films_that_do_not_belong_together_are_refused(film):
    with pytest.raises(ValueError, match=r"^the label film has 4 frames, but the truth has 10: they are not of the same film$"):
        case_of(film.labels[:4], (film.truth, film.labels))
    cells, truth = points_of(film)
    short = Detections(cells.frame[:5], cells.position[:5], cells.label[:5])
    with pytest.raises(ValueError, match=r"^the points have 1 frames, but the truth has 10: they are not of the same film$"):
        case_of(short, truth)
    message = "detections are points: their truth is a forest, and image and scale are for label films"
    for bad in ({"truth": (truth, film.labels)}, {"truth": "01_GT"}, {"truth": truth, "scale": 2.0}):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            case_of(cells, **bad)


# stress


@pytest.mark.parametrize("name", ["clean", "frames/2", "frames/3", "drop20", "extra20", "jitter", "drift", "jump"])
@pytest.mark.parametrize("kind", ["masks", "points"])
def test_under_stress_everybody_keeps_to_the_cell_that_he_is(film, case, tmp_path, name, kind):
    whole = case if kind == "masks" else case_of(*points_of(film))
    harmed = stressed(whole, name, tmp_path)
    step = parsed(name)[1] if name.startswith("frames/") else 1
    assert harmed.detections.n_frames == -(-whole.detections.n_frames // step)
    assert (harmed.truth.frame[harmed.cell] == harmed.detections.frame[harmed.row]).all()
    linked, known = harmed.oracle(), harmed.score(harmed.oracle())
    assert (linked.gap[linked.child_rows] >= 0).all()
    expected = {"drop20": (0.4, 0.97)}.get(name, (0.98, 1.0))  # a moved mask may cover a small one
    assert expected[0] <= known["CHOTA"] <= expected[1]
    n, before = len(harmed.detections), len(whole.detections)
    if kind == "masks":
        assert harmed.labels.dtype == np.uint16
        assert len(Detections.from_labels(harmed.labels)) == n
    if name == "drop20":
        assert 0.7 * before < n < 0.9 * before
    if name == "extra20":
        assert 1.05 * before < n < 1.3 * before
        assert len(np.unique(harmed.row)) == before == linked.selected.sum()


def test_numbers_tell_nothing(case, tmp_path):
    clean = stressed(case, "clean", tmp_path)
    cells, forest = clean.detections, clean.oracle()
    child = forest.child_rows
    same = (cells.label[child] == cells.label[forest.parent[child]]).mean()
    assert same < 0.4
    assert clean.score(forest)["CHOTA"] == 1
    for t in range(cells.n_frames):
        assert sorted(cells.label[cells.at(t)]) == list(range(1, cells.at(t).stop - cells.at(t).start + 1))


def test_the_field_moves_as_a_whole_and_nothing_is_lost(case, tmp_path):
    harmed = stressed(case, "drift100", tmp_path)
    old, new = case.detections, harmed.detections
    row_of = dict(zip(harmed.cell.tolist(), harmed.row.tolist(), strict=True))
    moved = np.array([new.position[row_of[c]] - old.position[r] for c, r in zip(case.cell.tolist(), case.row.tolist(), strict=True)])
    for t in range(old.n_frames):
        assert np.ptp(moved[old.frame[case.row] == t], axis=0).max() < 1e-9
    steps = np.linalg.norm(np.diff([moved[old.frame[case.row] == t].mean(0) for t in range(old.n_frames)], axis=0), axis=1)
    assert steps == pytest.approx(np.full(old.n_frames - 1, 20.0), rel=0.1)  # cells are about 20 pixels wide


def test_the_film_goes_where_its_masks_go(film, tmp_path):
    case = stressed(case_of(film.labels, film.truth, image=film.image), "drift100", tmp_path)
    bright = [np.median(picture[mask > 0]) - np.median(picture[mask == 0]) for picture, mask in zip(case.image, case.labels, strict=True)]
    assert np.shape(case.image) == np.shape(case.labels)
    assert min(bright) > 20


def test_every_other_frame_of_a_table():
    #  1: frames 0-3, divides; 2: frame 5 only, gone; 3: 4-9; 4: 6-9, child of 2
    tracks = Tracks(np.array([[1, 0, 3, 0], [2, 5, 5, 1], [3, 4, 9, 1], [4, 6, 9, 2]]))
    thin, place = thinned(tracks, 2)
    assert thin.table.tolist() == [[1, 0, 1, 0], [3, 2, 4, 1], [4, 3, 4, 1]]
    assert place.tolist() == [0, -1, 1, -1, -1, 2, -1, 3, -1, 4, -1, 5, -1, 6, -1]
    assert thinned(tracks, 1)[0] is tracks
    assert parents(thin).tolist() == [-1, 0, 1, 2, 3, 1, 5]


def test_stress_is_drawn_by_seed(case, tmp_path):
    films = []
    for k, seed in enumerate((0, 0, 1)):
        folder = tmp_path / str(k)
        folder.mkdir()
        films.append(np.array(stressed(case, "jitter", folder, seed).labels))
    assert (films[0] == films[1]).all()
    assert films[0].shape != films[2].shape or (films[0] != films[2]).any()


# strategies and linkers


def graph_of(places, links):
    """Cells on a line, frame by frame, and links (source, target)."""
    frame = np.repeat(np.arange(len(places)), [len(row) for row in places])
    x = np.concatenate(places).astype(float)
    cells = Detections(frame, np.column_stack([0 * x, x]), np.zeros(len(x), int))
    return CandidateGraph(cells, *np.array(links).reshape(-1, 2).T)


def test_linkers_keep_to_their_nature():
    #  cells 0, 1 | 2, 3, 4, all links; 0 is near 2 and 3, and everybody's favourite but 4's
    graph = graph_of([[0, 1], [0, 1, 2]], [(a, b) for a in (0, 1) for b in (2, 3, 4)])
    gain = np.array([9.0, 8.0, 1.0, 5.0, 7.0, 6.0])
    assert favourite(graph, gain).tolist() == [-1, -1, 0, 0, 1]
    assert one_to_one(graph, gain).tolist() == [-1, -1, 0, 1, -1]
    assert one_to_one_then_split(graph, gain).tolist() == [-1, -1, 0, 1, 1]
    assert favourite(graph, np.array([9.0, 8.0, 7.0, 0, 0, 0])).tolist() == [-1, -1, 0, 0, -1]  # two children at most
    assert one_to_one(graph, -gain).tolist() == [-1] * 5
    pairs = np.array([0, 3]), np.array([2, 5]), np.array([4.0, 3.0])
    assert with_sisters(graph, gain, pairs).tolist() == [-1, -1, 0, 1, 0]
    assert with_sisters(graph, gain, (*pairs[:2], -pairs[2])).tolist() == [-1, -1, 0, 1, -1]


def test_the_second_step_closes_gaps_before_it_divides():
    #  a cell that is missed in frame 1 while its neighbour goes on
    graph = graph_of([[0, 5], [5], [0, 5]], [(0, 2), (1, 2), (2, 3), (2, 4), (0, 3), (1, 4)])
    assert two_steps(graph, np.array([0, 3.0, 1.0, 3.0, 2.0, 1.0])).tolist() == [-1, -1, 1, 0, 2]
    assert two_steps(graph, np.array([0, 3.0, 2.0, 3.0, 1.0, 1.0])).tolist() == [-1, -1, 1, 2, 2]
    assert one_to_one_then_split(graph, np.array([0, 3.0, 1.0, 3.0, 2.0, 1.0])).tolist() == [-1, -1, 1, 2, 2]


@pytest.mark.parametrize("name", USUAL)
def test_our_strategies_follow_cells_apart(name, case):
    strategy = STRATEGIES[name]
    forest = strategy.run(case.detections, case.labels, None)
    scores = case.score(forest)
    assert scores["edge_recall"] > 0.9
    assert scores["edge_precision"] > 0.9
    assert (len(forest.divisions) == 0) == (name in ("hungarian", "greedy"))  # taking link by link, it finds none of the three
    assert not strategy.run(case.detections.take(np.zeros(0, int)), np.zeros((10, 128, 128), int), None).parent.size


def test_names_and_settings_make_strategies():
    mine = chosen(["auto", ("mine", Settings(max_gap=0))])
    assert [item.name for item in mine] == ["auto", "mine"]
    assert mine[1].settings == Settings(max_gap=0)


@pytest.mark.parametrize("name", sorted(name for name, item in STRATEGIES.items() if item.package))
def test_peers_run_or_say_that_they_are_absent(name, case, tmp_path):
    forest, facts = run_strategy(STRATEGIES[name], stressed(case, "clean", tmp_path), tmp_path, 60)
    if forest is None:
        assert facts["status"].startswith("absent: ")
    else:
        assert case.score(forest)["edge_recall"] > 0.8


# processes


def worker_says(tmp_path, case, script, limit=60.0):
    """What becomes of a strategy whose Python is a script."""
    program = tmp_path / "python"
    program.write_text(script)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "film").mkdir()
    return run_strategy(STRATEGIES["nearest"], stressed(case, "clean", tmp_path / "film"), tmp_path / "film", limit, program)


@pytest.mark.skipif(os.name != "posix", reason="shell scripts are of POSIX systems")
def test_a_process_that_takes_too_long_is_ended_with_its_children(tmp_path, case):
    began = time.perf_counter()
    forest, facts = worker_says(tmp_path, case, f"#!/bin/sh\nsleep 100 & echo $! > {tmp_path}/child\nwait\n", limit=0.5)
    assert (forest, facts["status"]) == (None, "time limit")
    assert time.perf_counter() - began < 10
    child = int((tmp_path / "child").read_text())
    time.sleep(0.2)
    with pytest.raises(ProcessLookupError, match=r"^\[Errno 3\] No such process$"):
        _alive(child)


def _alive(pid):
    """Raise where a process is gone, or only waits to be buried."""
    from pathlib import Path

    state = Path(f"/proc/{pid}/stat")
    if state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] == "Z":
        raise ProcessLookupError(3, "No such process")
    os.kill(pid, 0)


@pytest.mark.skipif(os.name != "posix", reason="shell scripts are of POSIX systems")
def test_a_process_that_breaks_says_how(tmp_path, case):
    forest, facts = worker_says(tmp_path, case, "#!/bin/sh\necho something is rotten >&2\nexit 3\n")
    assert (forest, facts["status"]) == (None, "failed: exit code 3: something is rotten")


def test_what_a_strategy_raises_is_its_row(tmp_path):
    cells, truth = Detections([0, 1], [[0.0, 0], [1, 1]], [0, 0]), Forest(Detections([0, 1], [[0.0, 0], [1, 1]], [0, 0]), [-1, 0])
    case = case_of(cells, truth)
    bad = Strategy.of("bad", Settings(solver="oracle of Delphi"))
    forest, facts = run_strategy(bad, case, tmp_path, 60)
    assert forest is None
    assert facts["status"].startswith("failed: ValueError: ")
    assert "oracle of Delphi" in facts["status"]


def test_memory_is_that_of_the_process():
    peak = peak_memory()
    assert 20 < peak < 20_000


def test_points_go_to_the_worker_as_they_are(tmp_path):
    from lineage.benchmarking.worker import _points

    cells = Detections([0, 2], [[0.0, 0, 1], [1, 2, 3]], [7, 8], {"area": np.array([3.0, 4.0])}, (2.0, 1.0, 1.0), n_frames=5)
    save_points(cells, tmp_path / "points.npz")
    again = _points(tmp_path / "points.npz")
    assert (again.position == cells.position).all()
    assert (again.frame.tolist(), again.label.tolist(), again.n_frames, again.scale) == ([0, 2], [0, 0], 5, (2.0, 1.0, 1.0))
    assert again.columns["area"].tolist() == [3.0, 4.0]


# errors by kind


def kinds(case, parent):
    return {name: count for name, count in errors(case, Forest(case.detections, parent)).items() if count}


def test_wrong_links_are_sorted_by_kind():
    animal = ZOO["division with a past"]  # 0-1-(2,3), 2-4, 3-5
    case = case_of(paint(animal), animal)
    right = animal.parent.tolist()
    assert kinds(case, right) == {}
    assert kinds(case, [-1, -1, 1, 1, 2, 3]) == {"missed_plain": 1}
    assert kinds(case, [-1, 0, 1, -1, 2, 3]) == {"missed_division": 1}
    assert kinds(case, [-1, 0, 1, 1, 2, 2]) == {"missed_plain": 1, "false_division": 1}
    assert kinds(case, [-1, 0, 1, 1, 3, 2]) == {"missed_plain": 2, "false_swap": 2}
    entry = ZOO["entry and exit"]  # 0-1, 2 enters, 2-3
    case = case_of(paint(entry), entry)
    assert kinds(case, [-1, 0, 0, 2]) == {"false_division": 1}
    assert kinds(case, [-1, -1, 0, 2]) == {"missed_plain": 1, "false_birth": 1}
    gap = ZOO["gap"]  # 0-1 . 2-3
    assert kinds(case_of(paint(gap), gap), [-1, 0, -1, 2]) == {"missed_gap": 1}


def test_a_nearer_rival_makes_a_crowd():
    cells = Detections([0, 1, 1], [[0.0, 0], [0, 3], [0, 2]], [0, 0, 0])
    case = case_of(cells, Forest(cells, [-1, 0, -1]), distance=0.5)
    assert kinds(case, [-1, -1, -1]) == {"missed_crowded": 1}
    assert kinds(case, [-1, -1, 0]) == {"missed_crowded": 1, "false_birth": 1}


def test_links_to_noise_are_noise(case, tmp_path):
    harmed = stressed(case, "extra30", tmp_path)
    found = errors(harmed, Forest(harmed.detections, one_to_one(graph := nearest(harmed.detections), 30 - graph.columns["distance"])))
    assert found["false_noise"] >= 3
    assert found["missed_unseen"] == 0


# files and the command


def test_tables_are_written_and_read(table, tmp_path):
    write_comparison(table, tmp_path / "new" / "out", seed=3)
    out = tmp_path / "new" / "out"
    assert {entry.name for entry in out.iterdir()} == {"benchmark.csv", "benchmark.md", "benchmark.json", "benchmark.png"}
    rows = read_rows(out / "benchmark.json")
    assert [row["seed"] for row in rows] == [3] * len(table)
    assert rows[0]["seconds"] is None
    back = pd.read_csv(out / "benchmark.csv")
    assert back.CHOTA.tolist() == pytest.approx(table.CHOTA.tolist())
    text = (out / "benchmark.md").read_text()
    assert text == markdown(table)
    assert text.startswith("## clean\n\n| strategy ")
    assert "| oracle        | 1.0000 | 1.0000 |" in text
    assert (out / "benchmark.png").read_bytes()[:4] == b"\x89PNG"


def test_markdown_says_what_is_absent(table):
    broken = table.assign(status=["ok", "ok", "absent: pip install nothing", "ok"] * 2)
    assert "* nearest: absent: pip install nothing" in markdown(broken)


def test_what_has_become_worse_is_named(table):
    rows = json.loads(table.to_json(orient="records"))
    assert worse(table, rows) == []
    fallen = table.assign(CHOTA=table.CHOTA - 0.01)
    before = table.CHOTA[2]
    assert worse(fallen, rows[2:3]) == [f"nearest, clean: CHOTA fell from {before:.4f} to {before - 0.01:.4f} (ok)"]
    assert worse(fallen, rows, tolerance=0.02) == []
    gone = table.assign(CHOTA=np.nan, status="time limit")
    assert worse(gone, rows[2:3]) == [f"nearest, clean: CHOTA fell from {before:.4f} to nan (time limit)"]
    assert worse(fallen, strange := [{"stress": "rain", "strategy": "nearest", "CHOTA": 1.0}]) == []
    assert uncompared(fallen, rows) == []
    assert uncompared(fallen, [*rows, *strange]) == ["nearest, rain"]


@pytest.mark.parametrize(("text", "message"), [("{", "is no JSON: .+"), ("[1]", "is no benchmark: rows with stress and strategy .+")])
def test_what_is_no_table_is_refused(tmp_path, text, message):
    file = tmp_path / "old.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=f"^{re.escape(str(file))} {message}$"):
        read_rows(file)


@pytest.fixture
def call(monkeypatch, capsys):
    """Call the command in this process: exit code, standard output, standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["lineage", "benchmark", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        printed = capsys.readouterr()
        return stop.value.code, printed.out, printed.err

    return run


def test_the_command_writes_tables_and_guards_them(call, film, tmp_path):
    lineage.write(film.truth, tmp_path / "truth", labels=film.labels)
    np.save(tmp_path / "labels.npy", film.labels)
    (tmp_path / "mine.toml").write_text("max_gap = 0\n")
    arguments = [tmp_path / "labels.npy", "--truth", tmp_path / "truth", "--strategies", f"nearest,mine={tmp_path / 'mine.toml'}"]
    code, out, err = call(*arguments, "-o", tmp_path / "out", "--json", tmp_path / "now.json")
    assert (code, err) == (0, "")
    assert out == (tmp_path / "out" / "benchmark.md").read_text()
    rows = json.loads((tmp_path / "now.json").read_text())
    assert [row["strategy"] for row in rows] == ["oracle", "oracle direct", "nearest", "mine"]
    assert len(rows[0]["film"]["sha256"]) == 64
    rows[2]["CHOTA"] += 0.05
    (tmp_path / "old.json").write_text(json.dumps(rows[2:3]))
    code, out, err = call(*arguments[:3], "--strategies", "nearest", "--against", tmp_path / "old.json", "--json", "-")
    assert code == 1
    assert json.loads(out)[2]["strategy"] == "nearest"
    assert err.startswith("nearest, clean: CHOTA fell from ")
    code, _, err = call(*arguments[:3], "--strategies", "nearest", "--against", tmp_path / "old.json", "--seed", 5)
    assert (code, err) == (2, f"lineage: {tmp_path / 'old.json'} was made with --seed 0: other lots say nothing, give the same one\n")
    (tmp_path / "more.json").write_text(json.dumps([{"stress": "rain", "strategy": "nearest"}, rows[3]]))
    code, _, err = call(
        *arguments[:3], "--strategies", f"mine={tmp_path / 'mine.toml'}", "--against", tmp_path / "more.json", "--json", "-"
    )
    assert (code, err) == (0, "not compared, for it was not run now: nearest, rain\n")
    (tmp_path / "gone.json").write_text(json.dumps(rows[3:]))
    code, _, err = call(*arguments[:3], "--strategies", "nearest", "--against", tmp_path / "gone.json", "--json", "-")
    assert (code, err.splitlines()[-1]) == (2, f"lineage: nothing of {tmp_path / 'gone.json'} was run now, so nothing is compared")
    rows[2]["film"]["sha256"] = "0" * 64
    (tmp_path / "other.json").write_text(json.dumps(rows))
    code, _, err = call(*arguments, "--against", tmp_path / "other.json")
    assert (code, err.startswith(f"lineage: {tmp_path / 'other.json'} is a benchmark of another film than ")) == (2, True)


def test_the_command_takes_points(call, film, tmp_path):
    _, truth = points_of(film)
    lineage.write(truth, tmp_path / "points.csv")
    code, out, _ = call(tmp_path / "points.csv", "--strategies", "hungarian", "--json", "-")
    assert code == 0
    assert [row["CHOTA"] > 0.7 for row in json.loads(out)] == [True] * 3


def test_the_command_stretches_points(call, film, tmp_path):
    _, truth = points_of(film)
    cells, flat = truth.detections, np.array([1 / 64, 1.0])  # as if one step along y were 64 along x
    lineage.write(truth, tmp_path / "right.csv")
    lineage.write(replace(truth, detections=replace(cells, position=cells.position * flat)), tmp_path / "flat.csv")
    scores = ["--strategies", "nearest,auto", "--json", "-"]
    tables = []
    for arguments in ([tmp_path / "right.csv"], [tmp_path / "flat.csv", "--scale", "64,1"], [tmp_path / "flat.csv"]):
        code, out, _ = call(*arguments, *scores)
        assert code == 0
        tables.append([(row["strategy"], row["CHOTA"], row["LNK"]) for row in json.loads(out)])
    assert tables[0] == tables[1] != tables[2]
    code, out, err = call(tmp_path / "flat.csv", "--scale", "64,1,1", *scores)
    assert (code, out, err) == (2, "", "lineage: scale has 3 values, but there are 2 axes: y, x\n")


MISTAKES = {
    "truth": ([], "--truth is needed: a folder of the Cell Tracking Challenge such as 01_GT"),
    "python": (
        ["--truth", "x", "--python", "btrack"],
        "--python takes STRATEGY=PATH of a Python program, such as btrack=venv/bin/python, not btrack",
    ),
    "strategy": (["--truth", "x", "--strategies", "psychic"], f"no such strategy: psychic; there are {', '.join(STRATEGIES)}"),
    "film": (["--truth", "x"], "no such film: labels.tif"),
}


@pytest.mark.parametrize(("more", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_get_a_line(call, more, message):
    assert call("labels.tif", *more) == (2, "", f"lineage: {message}\n")


def test_the_help_names_every_strategy_and_stress(call):
    code, out, _ = call("--help")
    words = " ".join(out.split())
    assert code == 0
    assert all(name in words for name in STRATEGIES)
    assert all(name.rstrip("/") in words for name in STRESSES if name != "clean")


def test_every_stress_and_strategy_says_what_it_is():
    for says in [item.says for item in (*STRESSES.values(), *STRATEGIES.values())]:
        assert len(says.split()) > 2


def test_tracks_of_the_truth_are_those_of_the_forest(film, case):
    assert case.truth.table.tolist() == tracks_of(film.truth)[0].table.tolist()
