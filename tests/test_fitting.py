"""Weights learned from corrections: laws of the little programme, the reading of tables, and a film that gets better."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

import lineage
from lineage.benchmarking.case import case_of
from lineage.fitting import Corrections, fit, read_corrections
from lineage.fitting.numbering import linked_before
from lineage.fitting.weighing import NAMES, SPREAD, _highest, _lowest, _Task
from lineage.linking import candidate_graph, linked
from lineage.scoring.cycle import ages
from lineage.settings import Settings, Weights

ONES = np.array([0.0 if name == "link" else 1.0 for name in NAMES])
POOR = Settings(weights=Weights(divide=8.0), rounds=1, solver="dual")  # divisions are far too dear
HALF = 8  # frames


@pytest.fixture(scope="module")
def film():
    return lineage.simulate(frames=16, cells=12, size=(160, 160), seed=5, cycle=10, cycle_spread=2, min_cycle=5, speed=3.0)


@pytest.fixture(scope="module")
def task(film):
    """The film linked by a poor model, and what somebody says of its first half: every mistake, and some links that are right."""
    done = linked(candidate_graph(film.truth.detections, film.labels, POOR), POOR)
    graph = done.graph
    true, held = (forest.parent[graph.target] == graph.source for forest in (film.truth, done.forest))
    early = film.truth.detections.frame[graph.target] < HALF
    rows = np.concatenate([np.flatnonzero(early & (true != held)), np.flatnonzero(early & true & held)[::7]])
    return _Task.of(done, Corrections(graph.source[rows], graph.target[rows], true[rows]), POOR)


def test_without_planes_the_weights_stay():
    assert np.allclose(_lowest(np.zeros((0, len(NAMES))), np.zeros(0), ONES), ONES)


@pytest.mark.parametrize("seed", range(8))
def test_the_little_programme_is_solved(seed):
    """No step in any direction makes the sum of prior and highest plane smaller."""
    rng = np.random.default_rng(seed)
    slopes, heights = rng.normal(size=(4, len(NAMES))), rng.uniform(0, 4, 4)
    best = _lowest(slopes, heights, ONES)

    def total(w):
        return 0.5 * (((w - ONES) / SPREAD) ** 2).sum() + _highest(slopes, heights, w)

    low = np.where(np.array(NAMES) == "link", -np.inf, 0.0)
    assert (best >= low).all()
    around = np.maximum(best + rng.normal(scale=rng.choice([1e-3, 1e-2, 0.3], (400, 1)), size=(400, len(NAMES))), low)
    assert min(map(total, around)) >= total(best) - 1e-6


def test_the_energy_is_linear_in_the_weights(task):
    """The terms times the weights differ between two forests as their costs do."""
    one, two = task.solved(ONES), task.solved(ONES, obeying=True)
    weights = np.where(np.arange(len(NAMES)) == NAMES.index("link"), 0.7, 0.4)
    costs = [_cost(task, forest, weights) for forest in (one, two)]
    assert (task.terms(two) - task.terms(one)) @ weights == pytest.approx(costs[1] - costs[0], abs=1e-6)


def _cost(task, forest, weights):
    graph = task.film.graph
    costs = replace(task, link=np.arange(len(graph))).costs(weights)  # with no pair forbidden
    held = forest.parent[graph.target] == graph.source
    a, b, pair = costs["divide_pair"]
    total = costs["link"][held].sum() + pair[held[a] & held[b]].sum() + costs["divide"][forest.n_children >= 2].sum()
    total += costs["appear"][forest.selected & (forest.parent < 0)].sum()
    return total + costs["disappear"][forest.selected & (forest.n_children == 0)].sum()


def test_obeying_is_obeyed(task):
    forest = task.solved(ONES, obeying=True)
    assert ((forest.parent[task.film.graph.target] == task.film.graph.source)[task.link] == task.right).all()


def test_corrections_of_the_first_half_mend_the_second(film, task):
    """Divisions that are far too dear are missed everywhere; what is said of the first half brings them back in the second."""
    known = Corrections(task.film.graph.source[task.link], task.film.graph.target[task.link], task.right)
    learned = fit(task.film.forest, known, film.labels, POOR)
    assert learned.before < 0.9 < learned.after
    assert learned.weights.divide < POOR.weights.divide
    assert ((learned.forest.parent[known.target] == known.source) == known.right).all()  # and what was said is obeyed
    later = film.truth.detections.frame >= HALF
    wrong = [
        int((forest.parent != film.truth.parent)[later].sum())
        for forest in (task.film.forest, lineage.link(film.labels, settings=learned.settings))
    ]
    assert wrong[1] <= wrong[0] / 2
    assert "corrections followed without being told" in str(learned)


def crowd(seed):
    """A film with missed and false cells, of which a few links are wrong."""
    made = {"frames": 18, "cells": 20, "size": (220, 220), "radius": 8, "speed": 6, "miss_rate": 0.04, "false_rate": 0.03, "cycle": 14}
    return lineage.simulate(**made, seed=seed, shuffle_labels=True)


@pytest.fixture(scope="module")
def corrected():
    """Such a film as linked, which links are wrong, and what somebody says: all of these, and sixty of the others."""
    film = crowd(2)
    case = case_of(film.labels, (film.truth, film.labels))
    forest, true = lineage.link(film.labels), case.oracle().parent
    child = forest.child_rows
    wrong = child[forest.parent[child] != true[child]]
    fine = np.random.default_rng(0).choice(np.setdiff1d(child, wrong), 60, replace=False)
    mended = wrong[true[wrong] >= 0]
    source = np.concatenate([forest.parent[fine], forest.parent[wrong], true[mended]])
    right = np.repeat([True, False, True], [len(fine), len(wrong), len(mended)])
    return film, case, forest, Corrections(source, np.concatenate([fine, wrong, mended]), right)


def test_the_film_own_model_is_not_made_worse(corrected):
    """Where links are as good as the film allows, corrections of its mistakes do no harm to it, nor to another film."""
    film, case, forest, known = corrected
    learned = fit(forest, known, film.labels)
    before, told = case.score(forest), case.score(learned.forest)
    assert told["edge_f1"] > before["edge_f1"] + 0.01
    assert case.score(lineage.link(film.labels, settings=learned.settings))["edge_f1"] >= before["edge_f1"]
    other = crowd(102)
    judged = case_of(other.labels, (other.truth, other.labels))
    one, two = (judged.score(lineage.link(other.labels, settings=settings))["edge_f1"] for settings in (Settings(), learned.settings))
    assert two >= one - 0.003
    sure = learned.forest.detections.columns["link_confidence"]
    np.testing.assert_array_equal(np.isfinite(sure), learned.forest.parent >= 0)


@pytest.fixture(scope="module")
def confirmed():
    """A small film, and a few links that are right whatever the rules are."""
    film = lineage.simulate(frames=12, cells=8, size=(130, 130), seed=5, cycle=5, cycle_spread=1, min_cycle=4, speed=2.0)
    forest = lineage.link(film.labels)
    child = forest.child_rows[forest.n_children[forest.parent[forest.child_rows]] == 1][:6]
    return film, forest, Corrections(forest.parent[child], child, np.ones(6, bool))


@pytest.mark.parametrize("rules", [{"min_cycle": 6}, {"divisions": False}, {"window": 6, "overlap": 3, "max_gap": 1}])
def test_the_rules_of_the_film_hold_beside_corrections(confirmed, rules):
    film, forest, fine = confirmed
    found = fit(forest, fine, film.labels, Settings(**rules)).forest
    assert ((found.parent[fine.target] == fine.source) == fine.right).all()
    assert found.certificate.status == "optimal"
    if "min_cycle" in rules:
        divided = found.n_children >= 2
        young = ages(found)[divided]
        assert divided.any() and not ((young >= 0) & (young < 6)).any()
    if "divisions" in rules:
        assert not len(found.divisions)


def test_corrections_find_their_candidate_links(task):
    graph = task.film.graph
    rows = np.array([0, len(graph) // 2, len(graph) - 1])
    link, there = Corrections(graph.source[rows], graph.target[rows], np.ones(3, bool)).among(graph)
    assert (link == rows).all() and there.all()
    link, there = Corrections(graph.source[:1], graph.source[:1], np.ones(1, bool)).among(graph)
    assert link.tolist() == [-1] and not there.any()


def test_corrections_that_agree_change_nothing(film):
    good = Settings(rounds=1, solver="dual")
    done = linked(candidate_graph(film.truth.detections, film.labels, good), good)
    sure = np.flatnonzero(done.forest.slack["link"] > 5)[:5]
    known = Corrections(
        done.graph.source[sure], done.graph.target[sure], (done.forest.parent[done.graph.target] == done.graph.source)[sure]
    )
    learned = fit(done.forest, known, film.labels, good)
    assert learned.weights == Weights()
    assert learned.changed == 0


def _write(path, text):
    path.write_text(text)
    return path


def test_tables_by_id_and_by_label_say_the_same(tmp_path, film):
    forest = film.truth
    child = int(np.flatnonzero(forest.parent >= 0)[3])
    mother = int(forest.parent[child])
    cells = forest.detections
    by_id = read_corrections(_write(tmp_path / "a.csv", f"source,target,right\n{mother},{child},confirmed\n"), forest)
    row = f"{cells.frame[mother]},{cells.label[mother]},{cells.frame[child]},{cells.label[child]},yes"
    by_label = read_corrections(_write(tmp_path / "b.csv", f"source_t,source_label,target_t,target_label,right\n{row}\n"), forest)
    for known in (by_id, by_label):
        assert (known.source.tolist(), known.target.tolist(), known.right.tolist()) == ([mother], [child], [True])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "source,right\n1,1\n",
            "corrections need the columns source, target, right or source_t, source_label, target_t, target_label, right; "
            "there are source, right",
        ),
        ("source,target,right\n0,99999,1\n", "row 0: target 99999 is the id of no cell"),
        ("source,target,right\nabc,16,1\n", "source must be numbers of cells, but holds 'abc'"),
        ("source,target,right\n0,40,1\n1,40,1\n", "two parents of the cell 40 are confirmed, 0 and 1: keep one"),
        ("source,target,right\n40,0,1\n", "row 0: the link does not go forward in time: frame 3 -> 0"),
        ("source,target,right\n0,40,maybe\n", "row 0: right is 'maybe': give 1, true, yes or confirmed, or 0, false, no or rejected"),
        ("source,target,right\n0,40,1\n0,40,0\n", "the link 0 -> 40 is both confirmed and rejected"),
        ("source_t,source_label,target_t,target_label,right\n0,999,1,1,1\n", "row 0: there is no cell with label 999 in frame 0 (source)"),
    ],
)
def test_bad_tables_are_refused_in_one_line(tmp_path, film, text, message):
    path = _write(tmp_path / "c.csv", text)
    with pytest.raises(ValueError, match=f"^{re.escape(f'{path}: {message}')}$"):
        read_corrections(path, film.truth)


def test_no_corrections_and_strangers_are_refused(film):
    empty = Corrections(np.zeros(0, int), np.zeros(0, int), np.zeros(0, bool))
    with pytest.raises(ValueError, match=re.escape("there are no corrections: give at least one confirmed or rejected link")):
        fit(film.truth, empty, film.labels)
    far = Corrections(np.array([0]), np.array([len(film.truth) - 1]), np.array([False]))
    with pytest.raises(
        ValueError, match=re.escape("none of the corrections is about a candidate link: raise neighbours, radius or max_gap")
    ):
        fit(film.truth, far, film.labels, Settings(rounds=0))


def test_two_confirmed_parents_of_one_cell_are_named(film):
    graph = candidate_graph(film.truth.detections, film.labels, Settings())
    target = int(np.bincount(graph.target).argmax())
    both = np.flatnonzero((graph.target == target) & (graph.dt == 1))[:2]
    one, two = sorted(graph.source[both].tolist())
    with pytest.raises(ValueError, match=f"^two parents of the cell {target} are confirmed, {one} and {two}: keep one$"):
        Corrections(graph.source[both], graph.target[both], np.array([True, True]))


def test_weights_go_through_toml(tmp_path):
    settings = Settings(weights=Weights(sisters=0.25, link=-1.5))
    path = _write(tmp_path / "s.toml", settings.to_toml())
    assert Settings.from_toml(path) == settings
    bad = _write(tmp_path / "t.toml", "[weights]\nspeed = 2.0\n")
    names = ", ".join(NAMES)
    with pytest.raises(ValueError, match=f"^{re.escape(f'{bad}: no such weight: speed; there are {names}')}$"):
        Settings.from_toml(bad)
    with pytest.raises(ValueError, match=re.escape("weight gap must be a finite number of at least 0, not -1")):
        Weights(gap=-1)


def test_the_command_writes_settings_that_track_takes(tmp_path, film, run):
    import tifffile

    tifffile.imwrite(tmp_path / "labels.tif", film.labels)
    forest = lineage.link(film.labels)
    child = int(np.flatnonzero(forest.parent >= 0)[0])
    _write(tmp_path / "c.csv", f"source,target,right\n{forest.parent[child]},{child},1\n")
    code, said, _ = run("train", "edges", tmp_path / "labels.tif", "--from", tmp_path / "c.csv", "-o", tmp_path / "s.toml")
    assert code == 0
    assert "corrections followed without being told: 100.0% before, 100.0% after" in said
    assert Settings.from_toml(tmp_path / "s.toml") == Settings()
    code, _, said = run("train", "edges", tmp_path / "labels.tif", "--from", tmp_path / "none.csv", "-o", tmp_path / "s2.toml")
    assert (code, said.strip()) == (2, f"lineage: no such table: {tmp_path / 'none.csv'}")
    assert not (tmp_path / "s2.toml").exists()


@pytest.mark.parametrize(
    ("out", "more", "says"),
    [
        ("bad.csv", [], "bad.csv cannot be written: give --out a name that ends in .toml or .safetensors"),
        ("w.toml", ["--lineages", "foo.xyz"], "foo.xyz"),
        ("w.toml", ["--lineages", "none/foo.csv"], "cannot write none/foo.csv: the folder "),
        ("w.safetensors", ["--lineages", "foo.csv"], "--lineages is for weights of the evidence: give --out a name that ends in .toml"),
        ("w.toml", ["--film", "none.tif"], "no such film: none.tif"),
    ],
)
def test_what_cannot_be_written_is_said_before_the_work(tmp_path, film, run, monkeypatch, out, more, says):
    monkeypatch.chdir(tmp_path)
    np.save("labels.npy", film.labels)
    _write(tmp_path / "c.csv", "source,target,right\n0,12,1\n")
    code, _, said = run("train", "edges", "labels.npy", "--from", "c.csv", "-o", out, *more)
    assert (code, said.startswith(f"lineage: {says}"), said.count("\n")) == (2, True, 1), said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.csv", "labels.npy"]


def test_corrections_of_a_result_name_its_own_cells(tmp_path, corrected, run, monkeypatch):
    """The masks of a result are in another order than its table: numbers are those of the table."""
    film, _, _, _ = corrected
    monkeypatch.chdir(tmp_path)
    few = 6
    np.save("labels.npy", film.labels[:few])
    np.save("film.npy", film.image[:few])
    assert run("track", "film.npy", "--labels", "labels.npy", "-o", "out")[0] == 0
    shutil.rmtree("out/labels.zarr", ignore_errors=True)
    table = lineage.read("out/lineages.csv")
    before, masks, _ = linked_before(tmp_path / "out")
    forest = before(lineage.link(masks))
    ids = forest.detections.columns["source_id"]
    assert (ids != np.arange(len(ids))).any()
    np.testing.assert_allclose(forest.detections.position, table.detections.position[ids])
    rows = [f"{table.parent[row]},{row},1" for row in table.child_rows[:30]]
    _write(tmp_path / "c.csv", "\n".join(["source,target,right", *rows]))
    code, said, _ = run("train", "edges", "out", "--from", "c.csv", "--film", "film.npy", "-o", "w.toml", "--lineages", "fixed.csv")
    assert (code, "no candidates" in said) == (0, False)
    fixed = lineage.read("fixed.csv")  # names each cell as the result did, for the next round
    np.testing.assert_allclose(fixed.detections.position, table.detections.position)
    np.testing.assert_array_equal(fixed.parent[table.child_rows[:30]], table.parent[table.child_rows[:30]])
    assert run("train", "edges", "out", "--from", "c.csv", "-o", "w.safetensors")[1].startswith("learned from 30 corrections")
    (tmp_path / "out" / "ctc" / "mask000.tif").write_bytes((tmp_path / "out" / "ctc" / "mask001.tif").read_bytes())
    code, _, said = run("train", "edges", "out", "--from", "c.csv", "-o", "x.toml")
    assert (code, said.startswith("lineage: out: its masks are not one for each cell of lineages.csv")) == (2, True)


def test_what_corrections_cannot_say_is_said_in_their_words(tmp_path, corrected, run):
    film, _, _, _ = corrected
    np.save(tmp_path / "labels.npy", film.labels[:4])
    first = len(np.unique(film.labels[0])) - 1
    for text, says in (
        ("source,target,right\n", "there are no corrections: give at least one confirmed or rejected link"),
        (
            f"source,target,right\n0,{first},1\n0,{first + 1},1\n0,{first + 2},1\n",
            "3 daughters of the cell 0 are confirmed: a cell has at most two",
        ),
    ):
        _write(tmp_path / "c.csv", text)
        code, _, said = run("train", "edges", tmp_path / "labels.npy", "--from", tmp_path / "c.csv", "-o", tmp_path / "w.toml")
        assert (code, says in said, said.count("\n")) == (2, True, 1), said
    with pytest.raises(ValueError, match=r"^corrections must be a table with the columns source, target, right, not list$"):
        lineage.fit(lineage.link(film.labels[:4]), [(1, 2, True)], film.labels[:4])


def test_weights_that_stay_are_said_to(corrected):
    film, _, _, _ = corrected
    forest = lineage.link(film.labels[:5])
    rows = forest.child_rows[:5]
    learned = lineage.fit(forest, {"source": forest.parent[rows], "target": rows, "right": np.ones(5, int)}, film.labels[:5])
    assert not learned.learned
    assert "(as they were: no others are worth it)" in str(learned)
