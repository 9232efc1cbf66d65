"""Weights learned from corrections: laws of the little programme, the reading of tables, and a film that gets better."""

import re
from dataclasses import replace

import numpy as np
import pytest

import lineage
from lineage.fitting import Corrections, fit, read_corrections
from lineage.fitting.weighing import NAMES, SPREAD, _highest, _lowest, _Task
from lineage.linking import candidate_graph, linked
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
    with pytest.raises(ValueError, match=re.escape("none of the corrections is about a candidate link: raise neighbours or radius")):
        fit(film.truth, far, film.labels, Settings(rounds=0))


def test_two_confirmed_parents_of_one_cell_are_named(film):
    graph = candidate_graph(film.truth.detections, film.labels, Settings())
    target = int(np.bincount(graph.target).argmax())
    both = np.flatnonzero((graph.target == target) & (graph.dt == 1))[:2]
    with pytest.raises(ValueError, match="pins"):
        fit(film.truth, Corrections(graph.source[both], graph.target[both], np.array([True, True])), film.labels, Settings(rounds=0))


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
