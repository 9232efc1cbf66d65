"""Long gaps: cells that are missed for five to seven frames are found again where the film shows that cells are missed for so long."""

from dataclasses import replace

import numpy as np
import pytest

from lineage import Detections, Settings, link
from lineage.linking import LONG, candidate_graph, link_graph
from lineage.settings import LONGEST_GAP, USUAL_GAP

QUICK = Settings(edges="", rounds=1, motion=False)
USUAL, AS_SHOWN = replace(QUICK, max_gap=USUAL_GAP), QUICK


def film_of(missed, n_frames=50, side=6):
    """A square of discs that stir a little, each missed in some frames: {(row, column): [frames]}; numbers say who is who."""
    y, x = np.indices((24 * side, 24 * side))
    film, rng = np.zeros((n_frames, *y.shape), np.uint16), np.random.default_rng(0)
    for i in range(side):
        for j in range(side):
            course = np.cumsum(rng.normal(0, 0.5, (n_frames, 2)), axis=0)
            course = 12 + 24 * np.array([i, j]) + np.clip(course, -4, 4)
            for t in set(range(n_frames)) - set(missed.get((i, j), ())):
                film[t][(y - course[t, 0]) ** 2 + (x - course[t, 1]) ** 2 <= 30] = 1 + i * side + j
    return film


def runs(lengths, starts=(10,)):
    """From each start the cells are missed in turn, each for so many frames."""
    cells = [(k // 6, k % 6) for k in range(36)]
    missed = {cell: [] for cell in cells}
    for (start, cell), length in zip(((start, cell) for start in starts for cell in cells), lengths, strict=False):
        missed[cell] += range(start, start + length)
    return missed


@pytest.fixture(scope="module")
def vanishing():
    """Nearly all cells are missed twice, in runs of which many go on for long."""
    return film_of(runs([2, 3, 4, 4, 5, 6, 7] * 10, (10, 30)))


def names(forest):
    """Who is linked to whom, by the numbers in the film."""
    child = forest.child_rows
    return forest.detections.label[forest.parent[child]], forest.detections.label[child]


def test_runs_up_to_seven_frames_are_bridged_where_the_film_has_many(vanishing):
    usual, shown = (link(vanishing, settings=settings) for settings in (USUAL, AS_SHOWN))
    assert usual.gap.max() == USUAL_GAP
    assert np.bincount(shown.gap)[1:].tolist() == [0, 10, 10, 20, 10, 10, 10]
    before, after = names(shown)
    assert (before == after).all()
    assert shown.certificate.gap <= Settings().gap


def test_a_film_with_few_gaps_is_linked_as_ever():
    film = film_of(runs([1, 1, 1, 2, 6]))
    usual, shown = (link(film, settings=settings) for settings in (USUAL, AS_SHOWN))
    assert shown.gap.max() <= USUAL_GAP
    assert shown.parent.tolist() == usual.parent.tolist()
    assert shown.certificate.objective == usual.certificate.objective
    assert shown.record["candidates"] == usual.record["candidates"]


@pytest.mark.parametrize("most", [0, 2, 4, 6])
def test_who_says_how_long_is_obeyed(vanishing, most):
    assert link(vanishing, settings=replace(QUICK, max_gap=most)).gap.max() == most


def test_long_links_are_those_of_masks_that_overlap(vanishing):
    cells = Detections.from_labels(vanishing)
    graph, points = candidate_graph(cells, vanishing, AS_SHOWN), candidate_graph(cells, None, AS_SHOWN)
    long = graph.columns[LONG]
    assert graph.dt.max() == LONGEST_GAP + 1
    assert (long == (graph.dt > USUAL_GAP + 1)).all()
    assert (graph.columns["overlap"][long] > 0).all()
    assert points.dt.max() == USUAL_GAP + 1
    assert LONG not in points.columns
    usual = candidate_graph(cells, vanishing, USUAL)
    assert (np.stack([usual.source, usual.target]) == np.stack([graph.source, graph.target])[:, ~long]).all()


def test_learned_scores_know_of_no_long_links(vanishing):
    pytest.importorskip("torch")
    from lineage.learn.facts import LATE
    from lineage.learn.model import learned_costs

    cells = Detections.from_labels(vanishing)
    wide = candidate_graph(cells, vanishing, Settings(max_gap=LONGEST_GAP))
    near = np.flatnonzero(wide.dt <= LATE)
    cost = learned_costs(wide, "edges-2d")
    assert (cost[wide.dt > LATE] == 0).all()
    assert (cost[near] == learned_costs(wide.keep(near), "edges-2d")).all()
    forest = link(vanishing, settings=replace(QUICK, edges="edges-2d"))
    assert forest.gap.max() == LONGEST_GAP
    before, after = names(forest)
    assert (before == after).all()


def test_what_the_settings_say_of_gaps():
    assert (AS_SHOWN.usual_gap, AS_SHOWN.longest_gap) == (USUAL_GAP, LONGEST_GAP)
    assert (Settings(max_gap=9).usual_gap, Settings(max_gap=9).longest_gap) == (9, 9)
    assert Settings(overlap=6, window=20).longest_gap == 5  # a window looks beyond the longest gap
    assert Settings(overlap=2).longest_gap == USUAL_GAP
    assert Settings().replaced({"max_gap": 2}).max_gap == 2
    assert "max_gap" not in Settings().to_toml()
    with pytest.raises(ValueError, match=r"^max_gap must be int, not 2\.5$"):
        Settings().replaced({"max_gap": 2.5})


def test_windows_see_long_gaps(vanishing):
    whole, parts = link(vanishing, settings=AS_SHOWN), link(vanishing, settings=replace(AS_SHOWN, window=16))
    assert parts.parent.tolist() == whole.parent.tolist()


def test_a_graph_without_the_column_is_taken_as_it_is(vanishing):
    cells = Detections.from_labels(vanishing)
    wide = candidate_graph(cells, vanishing, Settings(max_gap=LONGEST_GAP))
    assert link_graph(wide, AS_SHOWN).gap.max() == LONGEST_GAP
