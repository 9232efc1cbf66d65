"""Whether learned scores count by default: every film decides, and those that they were not made for are not asked."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import numpy as np
import pytest

from lineage import Detections, Settings, link, simulate
from lineage.graph import CandidateGraph
from lineage.learn import choosing, model
from lineage.learn.choosing import costs_if_likelier
from lineage.linking import candidate_graph, link_graph

WITHOUT = Settings(edges="")


@cache
def film():
    return simulate(frames=8, cells=12, size=(128, 128), shuffle_labels=True, seed=3)


def taken(forest):
    return forest.record["film"]["learned"]


def same(one, other):
    """Whether two forests have the same links at the same costs."""
    return np.array_equal(one.parent, other.parent) and np.array_equal(one.link_cost, other.link_cost, equal_nan=True)


def two_cells():
    """Two cells in each of two frames, every link a candidate: 0 -> 2 and 1 -> 3 are right."""
    cells = Detections(np.array([0, 0, 1, 1]), np.array([[0.0, 0.0], [0.0, 9.0], [0.0, 1.0], [0.0, 8.0]]), np.zeros(4, np.int64))
    return CandidateGraph(cells, np.array([0, 0, 1, 1]), np.array([2, 3, 2, 3]))


@pytest.mark.parametrize(
    ("learned", "wins"),
    [
        ([-4.0, 4.0, 4.0, -4.0], True),  # surer of what is right
        ([-1.0, 4.0, 4.0, -1.0], False),  # less sure
        ([4.0, -4.0, -4.0, 4.0], False),  # sure of what is wrong
        ([-9.0, -9.0, -9.0, -9.0], False),  # sure that there is a parent, not which
        ([-2.0, 3.0, 3.0, -2.0], False),  # a draw is one for the film
    ],
)
def test_what_explains_the_links_better_is_taken(monkeypatch, learned, wins):
    learned = np.array(learned)
    monkeypatch.setattr(choosing, "learned_costs", lambda graph, name: learned)
    costs = {"link": np.array([3.0, 8.0, 8.0, 3.0]), "appear": np.array([0.0, 0.0, 5.0, 5.0])}  # less the appearance: -2, 3, 3, -2
    found = costs_if_likelier(two_cells(), two_cells(), np.array([0, 3]), costs)
    assert found is (learned if wins else None)


def test_a_cell_that_may_not_appear_has_a_parent_for_certain(monkeypatch):
    monkeypatch.setattr(choosing, "learned_costs", lambda graph, name: np.array([-4.0, 4.0, 4.0, -4.0]))
    costs = {"link": np.array([3.0, 80.0, 80.0, 3.0]), "appear": np.array([0.0, 0.0, np.inf, np.inf])}
    assert costs_if_likelier(two_cells(), two_cells(), np.array([0, 3]), costs) is None


def test_masks_are_linked_with_learned_scores_as_if_they_were_asked_for():
    forest, asked = link(film().labels), link(film().labels, settings=Settings(edges="edges-2d"))
    assert taken(forest) and taken(asked)
    assert same(forest, asked) and not same(forest, link(film().labels, settings=WITHOUT))


def test_always_is_what_is_shipped_for_the_axes_of_the_film():
    always, asked = (link(film().labels, settings=Settings(edges=edges)) for edges in ("always", "edges-2d"))
    assert same(always, asked)
    assert taken(link(film().truth.detections, settings=Settings(edges="always"))) and not taken(link(film().truth.detections))


def test_fast_cells_that_keep_their_course_are_linked_without():
    """The network was never shown such: it makes more mistakes than the film's own model, which follows the course."""
    fast = simulate(frames=12, size=(256, 256), cells=25, speed=10.0, persistence=0.8, shuffle_labels=True, seed=1001)
    forest, plain, forced = (link(fast.labels, settings=Settings(edges=edges)) for edges in ("auto", "", "always"))
    assert not taken(forest) and same(forest, plain)
    wrong = [(result.parent != fast.truth.parent).sum() for result in (plain, forced)]
    assert wrong[0] < wrong[1]


def of(**changed):
    return link(film().labels, settings=Settings(**changed))


def measured():
    return Detections.from_labels(film().labels)


def weighed():
    """Cells with costs of their own, as hypotheses have them."""
    cells = measured()
    return link(cells.with_columns(select_cost=np.full(len(cells), -9.0)), masks=film().labels)


def in_3d():
    return link(simulate(frames=6, cells=12, radius=5.0, size=(16, 64, 64), seed=0).labels)


NOT_ASKED = {
    "not wanted": lambda: of(edges=""),
    "no weight": lambda: of(edges_weight=0.0),
    "no overlaps": lambda: of(scores=("distance", "size")),
    "nothing estimated": lambda: of(rounds=0),
    "masks that merge": lambda: of(merges=True),
    "masks to choose from": weighed,
    "points": lambda: link(film().truth.detections),
    "points with areas": lambda: link(measured()),
    "3D": in_3d,
    "few links": lambda: link(film().labels[:4]),
}


@pytest.mark.parametrize("name", NOT_ASKED)
def test_films_that_they_were_not_made_for_do_without(name, monkeypatch):
    def asked(*_):
        raise AssertionError("asked")

    monkeypatch.setattr(choosing, "learned_costs", asked)
    if name == "not wanted":
        with pytest.raises(AssertionError, match=r"^asked$"):
            link(film().labels)  # so the test would notice
    forest = NOT_ASKED[name]()
    assert not taken(forest)


def test_the_cells_of_a_film_with_too_few_links_are_those_of_one_without():
    few = film().labels[:4]
    assert same(link(few), link(few, settings=WITHOUT))


def test_without_the_weights_films_are_linked_without(monkeypatch, tmp_path):
    monkeypatch.setattr(model, "WEIGHTS", tmp_path)
    forest = link(film().labels)
    assert not taken(forest) and same(forest, of(edges=""))
    (tmp_path / "edges-2d.safetensors").write_bytes(b"damaged")
    assert not taken(link(film().labels))
    with pytest.raises(ValueError, match=r"edges-2d\.safetensors cannot be read as safetensors: .*$"):
        link(film().labels, settings=Settings(edges="always"))  # who asks for them is told


def test_a_graph_that_brings_scores_is_not_asked():
    graph = candidate_graph(measured(), film().labels, Settings())
    told = graph.with_columns(learned=np.where(film().truth.parent[graph.target] == graph.source, -9.0, 9.0))
    forest = link_graph(told, Settings())
    assert taken(forest) and same(forest, link_graph(told, WITHOUT))


def test_torch_is_loaded_for_masks_with_links_enough_only():
    code = """
import sys
from lineage import link, simulate
film = simulate(frames=8, cells=12, size=(128, 128), shuffle_labels=True, seed=3)
link(film.truth.detections), link(film.labels[:4])
assert "torch" not in sys.modules
link(film.labels)
assert "torch" in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
