"""The published candidate graph of a HeLa film (Jug, Levinkov et al., Moral Lineage Tracing, CVPR 2016), solved and checked.

The paper's problem decides at once which superpixels of a frame are one cell and which cells are linked. Ours takes the superpixels as
they are: all edges inside a frame are cut. What remains is a programme of ours, in the paper's costs (a linked edge saves the
log-odds of not being cut, a birth or a death costs 5, none in the first and last frame), and its optimum is an upper bound of the
paper's. Files come with no solution, so what is compared is what independent solvers prove.
"""

from __future__ import annotations

import numpy as np
import pytest

from lineage import CandidateGraph, Detections, solve
from lineage.program import state
from lineage.solvers.bound import elementary_bound

LEAST = 1 / 255  # probabilities are cut here, as the authors do
EVENT = 5.0
OPTIMUM = -43_863.86693  # proven by three solvers that have nothing in common: dual, HiGHS and CBC; -1195.49415 in the units of the paper


def published(folder):
    """The graph between frames, its costs, and the rows of the edges inside frames; from ``nodes.csv`` and ``edges.csv``."""
    nodes = np.loadtxt(folder / "nodes.csv", ndmin=2)
    edges = np.loadtxt(folder / "edges.csv", ndmin=2)
    frame, number = nodes[:, 0].astype(int), nodes[:, 1].astype(int)
    row = {key: k for k, key in enumerate(zip(frame.tolist(), number.tolist(), strict=True))}
    ends = [np.array([row[int(t), int(i)] for t, i in edges[:, a : a + 2]], int).reshape(-1) for a in (0, 2)]
    forward = frame[ends[0]] < frame[ends[1]]
    cells = Detections(frame, nodes[:, [3, 2]], number + 1)
    cut = np.clip(edges[:, 4], LEAST, 1 - LEAST)
    graph = CandidateGraph(cells, ends[0][forward], ends[1][forward])
    event = np.full(len(cells), EVENT)
    costs = {"select": np.full(len(cells), -np.inf), "link": np.log(cut / (1 - cut))[forward]}
    costs |= {"appear": np.where(frame == 0, 0.0, event), "disappear": np.where(frame == cells.n_frames - 1, 0.0, event)}
    return graph, costs, np.log((1 - cut) / cut)


def test_the_format_is_read(tmp_path):
    (tmp_path / "nodes.csv").write_text("0 0 10 20 0.5\n0 1 11 21 0.01\n1 0 12 22 0.01\n", encoding="utf-8")
    (tmp_path / "edges.csv").write_text("0 0 0 1 0.9\n0 0 1 0 0.0\n0 1 1 0 0.5\n", encoding="utf-8")
    graph, costs, all_cut = published(tmp_path)
    assert graph.detections.position.tolist() == [[20, 10], [21, 11], [22, 12]]
    assert (graph.source.tolist(), graph.target.tolist()) == ([0, 1], [2, 2])
    assert costs["link"] == pytest.approx([-np.log(254), 0])
    assert all_cut == pytest.approx([-np.log(9), np.log(254), 0])
    assert (costs["appear"].tolist(), costs["disappear"].tolist()) == ([0, 0, 5], [5, 5, 0])
    assert solve(graph, costs, gap=0).parent.tolist() == [-1, -1, 0]


def test_the_published_instance_is_solved_to_proven_optimality(data):
    folder = data / "instances" / "mlt_N2DL-HeLa_full"
    if not folder.is_dir():
        pytest.skip("there is no instances/mlt_N2DL-HeLa_full in CYTOLINEAGE_DATA")
    graph, costs, all_cut = published(folder)
    assert (len(graph.detections), len(graph), graph.detections.n_frames) == (10_882, 17_349, 92)
    program = state(graph, costs)
    found = {solver: solve(graph, costs, solver, 0) for solver in ("dual", "highs")}
    for forest in found.values():
        certificate = forest.certificate
        assert (certificate.gap, certificate.status) == (0, "optimal")
        x = program.encode(forest)
        assert program.feasible(x)
        assert program.cost @ x == pytest.approx(certificate.objective)
        assert elementary_bound(program) < certificate.bound
    one, two = (forest.certificate for forest in found.values())
    assert one.objective == pytest.approx(two.objective, abs=1e-5)
    assert one.objective == pytest.approx(OPTIMUM, abs=1e-3)
    greedy = solve(graph, costs, "greedy").certificate
    assert greedy.bound <= one.objective < greedy.objective
    assert one.objective + all_cut.sum() == pytest.approx(-1195.49415, abs=1e-3)  # there, it is the edges that are cut that have a price
