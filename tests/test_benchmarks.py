"""The benchmark of the solvers measures what it says: instances survive the file, peers' answers are checked, slopes are slopes."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lineage.program import state
from lineage.solving import solve

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def bench():
    """The scripts, which are no package: they find each other by their folder."""
    sys.path.insert(0, str(FOLDER))
    import instances
    import solver

    yield solver, instances
    sys.path.remove(str(FOLDER))


@pytest.mark.parametrize("kind", ["standard", "3d", "gaps", "conflicts", "cheap", "pairs"])
def test_an_instance_survives_its_file(bench, kind, tmp_path):
    _, instances = bench
    graph, costs = instances.instance(kind, 800)
    np.savez(tmp_path / "film.npz", **instances.packed(graph, costs))
    with np.load(tmp_path / "film.npz") as file:
        again, same = instances.unpacked(dict(file))
    one, two = state(graph, costs), state(again, same)
    assert (one.cost == two.cost).all()
    assert (one.matrix != two.matrix).nnz == 0
    assert 300 < len(graph) < 1200  # in a small film many cells are near the border
    assert (graph.dt > 1).any() == (kind == "gaps")
    assert bool(graph.detections.conflicts) == (kind == "conflicts")
    assert bool(len(one.pairs)) == (kind == "pairs")
    assert graph.detections.n_axes == (3 if kind == "3d" else 2)


def test_what_a_solver_returned_is_checked(bench, tmp_path):
    solver, instances = bench
    graph, costs = instances.instance("standard", 600)
    program, answer = state(graph, costs), tmp_path / "answer.npz"
    forest = solve(graph, costs, gap=0)
    link = forest.parent[graph.target] == graph.source
    best = forest.certificate.objective

    def checked(select, link, bound=best):
        np.savez(answer, select=select, link=link)
        return solver._checked(program, answer, bound)

    found = checked(forest.selected, link)
    assert found["objective"] == pytest.approx(best)
    assert (found["gap"], found["lawful"], found["bound_holds"]) == (0, True, True)
    assert checked(forest.selected, link, best - 10)["gap"] == pytest.approx(10 / abs(best))
    assert not checked(forest.selected, link, best + 10)["bound_holds"]
    assert checked(forest.selected, link, -math.inf)["gap"] == math.inf
    assert not checked(np.zeros_like(forest.selected), link)["lawful"]  # links between cells that are not there
    assert not checked(np.ones_like(forest.selected), np.ones_like(link))["lawful"]  # two parents
    out = np.bincount(graph.source, minlength=len(program.graph.detections))
    many = (graph.source == np.argmax(out)) | (link & ~np.isin(graph.target, graph.target[graph.source == np.argmax(out)]))
    assert not checked(np.ones_like(forest.selected), many)["lawful"]  # more than two children


def test_slopes_are_those_of_the_lines(bench):
    solver, _ = bench
    rows = [{"solver": "a", "edges": e, "total": 3e-6 * e**1.25, "finished": True} for e in (1e4, 1e5, 1e6)]
    rows += [{"solver": "a", "edges": 1e3, "total": 5.0, "finished": True}, {"solver": "a", "edges": 5e6, "total": 60.0, "finished": False}]
    rows += [{"solver": "b", "edges": 1e4, "total": 1.0, "finished": True}, {"solver": "c", "edges": 1e4, "finished": False}]
    assert solver.slopes(rows) == pytest.approx({"a": 1.25, "b": math.nan}, nan_ok=True)


def test_the_whole_benchmark_runs(tmp_path):
    command = [sys.executable, str(FOLDER / "solver.py"), "--kinds", "standard", "--sizes", "600,1200", "--solvers", "scipy0"]
    command += ["--json", str(tmp_path / "out.json"), "--figure", str(tmp_path / "out.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    record = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert (len(record["runs"]), len(record["medians"])) == (2, 2)
    assert all(row["lawful"] and row["bound_holds"] and row["finished"] and row["gap"] == 0 for row in record["runs"])
    assert done.stdout.count("HiGHS in SciPy") == 2
    assert (tmp_path / "out.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--solvers", "dual0,gurobi"], "no such solver: gurobi; there are auto, dual, highs, greedy, scipy, pulp, motile, scip, ortools"),
        (["--kinds", "soft"], "no such kind: soft; there are easy, standard, hard, 3d, gaps, conflicts, cheap, pairs, resolve"),
    ],
)
def test_wrong_options_are_refused(bench, monkeypatch, capsys, option, message):
    monkeypatch.setattr(sys, "argv", ["solver.py", *option])
    with pytest.raises(SystemExit, match=r"^2$"):
        bench[0].asked()
    assert message in capsys.readouterr().err
