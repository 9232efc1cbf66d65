"""Forests: what is read off the parent column, for every animal of the zoo, then laws on random forests."""

from __future__ import annotations

import re

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from random_forests import forests
from zoo import ZOO, forest

from lineage.detections import Detections
from lineage.forest import Forest

NUMBERS = {  # animal: tracklet_id, parent_tracklet_id, lineage_id, generation, divisions
    "empty": ([], [], [], [], []),
    "single": ([1], [0], [1], [0], []),
    "single in a long film": ([1], [0], [1], [0], []),
    "step": ([1, 1], [0, 0], [1, 1], [0, 0], []),
    "two strangers": ([1, 2, 1, 2], [0, 0, 0, 0], [1, 2, 1, 2], [0, 0, 0, 0], []),
    "crossing": ([1, 2, 2, 1], [0, 0, 0, 0], [1, 2, 2, 1], [0, 0, 0, 0], []),
    "division": ([1, 2, 3], [0, 1, 1], [1, 1, 1], [0, 1, 1], [0]),
    "division with a past": ([1, 1, 2, 3, 2, 3], [0, 0, 1, 1, 1, 1], [1] * 6, [0, 0, 1, 1, 1, 1], [1]),
    "two divisions in a row": ([1, 2, 3, 4, 5, 3], [0, 1, 1, 2, 2, 1], [1] * 6, [0, 1, 1, 2, 2, 1], [0, 1]),
    "lost daughter": ([1, 2, 3, 2], [0, 1, 1, 1], [1] * 4, [0, 1, 1, 1], [0]),
    "gap": ([1, 1, 2, 2], [0, 0, 1, 1], [1] * 4, [0] * 4, []),
    "gap over two frames": ([1, 2], [0, 1], [1, 1], [0, 0], []),
    "division over a gap": ([1, 1, 2, 3, 2], [0, 0, 1, 1, 1], [1] * 5, [0, 0, 1, 1, 1], [1]),
    "late daughter": ([1, 2, 3, 2], [0, 1, 1, 1], [1] * 4, [0, 1, 1, 1], [0]),
    "entry and exit": ([1, 1, 2, 2], [0, 0, 0, 0], [1, 1, 2, 2], [0] * 4, []),
    "empty frame between strangers": ([1, 2], [0, 0], [1, 2], [0, 0], []),
    "unselected noise": ([1, 0, 1], [0, 0, 0], [1, 0, 1], [0, 0, 0], []),
    "three dimensions": ([1, 2, 3], [0, 1, 1], [1, 1, 1], [0, 1, 1], [0]),
}
TRACKLETS = {  # animal: (start, end, length, fate) of every tracklet
    "empty": [],
    "single": [(0, 0, 1, "film ends")],
    "single in a long film": [(1, 1, 1, "lost")],
    "step": [(0, 1, 2, "film ends")],
    "two strangers": [(0, 1, 2, "film ends")] * 2,
    "crossing": [(0, 1, 2, "film ends")] * 2,
    "division": [(0, 0, 1, "divides"), (1, 1, 1, "film ends"), (1, 1, 1, "film ends")],
    "division with a past": [(0, 1, 2, "divides"), (2, 3, 2, "film ends"), (2, 3, 2, "film ends")],
    "two divisions in a row": [(0, 0, 1, "divides"), (1, 1, 1, "divides"), (1, 2, 2, "film ends"), *[(2, 2, 1, "film ends")] * 2],
    "lost daughter": [(0, 0, 1, "divides"), (1, 2, 2, "film ends"), (1, 1, 1, "lost")],
    "gap": [(0, 1, 2, "gap"), (3, 4, 2, "film ends")],
    "gap over two frames": [(0, 0, 1, "gap"), (3, 3, 1, "film ends")],
    "division over a gap": [(0, 1, 2, "divides"), (3, 4, 2, "film ends"), (3, 3, 1, "lost")],
    "late daughter": [(0, 0, 1, "divides"), (1, 2, 2, "film ends"), (2, 2, 1, "film ends")],
    "entry and exit": [(0, 1, 2, "lost"), (1, 2, 2, "film ends")],
    "empty frame between strangers": [(0, 0, 1, "lost"), (2, 2, 1, "film ends")],
    "unselected noise": [(0, 1, 2, "film ends")],
    "three dimensions": [(0, 0, 1, "divides"), (1, 1, 1, "film ends"), (1, 1, 1, "film ends")],
}
CELLS = {  # animal: (mother, start, end, duration, missed, fate, complete) of every cell, where they differ from the tracklets
    "gap": [(0, 0, 4, 5, 1, "film ends", False)],
    "gap over two frames": [(0, 0, 3, 4, 2, "film ends", False)],
    "division over a gap": [(0, 0, 1, 2, 0, "divides", False), (1, 3, 4, 2, 0, "film ends", False), (1, 3, 3, 1, 0, "lost", False)],
    "two divisions in a row": [
        (0, 0, 0, 1, 0, "divides", False),
        (1, 1, 1, 1, 0, "divides", True),
        (1, 1, 2, 2, 0, "film ends", False),
        (2, 2, 2, 1, 0, "film ends", False),
        (2, 2, 2, 1, 0, "film ends", False),
    ],
}


def test_every_animal_has_its_answers():
    assert list(NUMBERS) == list(TRACKLETS) == list(ZOO)


@pytest.mark.parametrize("name", ZOO)
def test_numbers_of_the_zoo(name):
    animal = ZOO[name]
    found = (animal.tracklet_id, animal.parent_tracklet_id, animal.lineage_id, animal.generation, animal.divisions)
    assert tuple(column.tolist() for column in found) == NUMBERS[name]


@pytest.mark.parametrize("name", ZOO)
def test_tracklets_of_the_zoo(name):
    table = ZOO[name].tracklets()
    assert list(zip(table["start"], table["end"], table["length"], table["fate"], strict=True)) == TRACKLETS[name]
    tracklet, parent, lineage, generation, _ = (np.array(column, int) for column in NUMBERS[name])
    ids, first = np.unique(tracklet[tracklet > 0], return_index=True)
    assert table["tracklet_id"].tolist() == ids.tolist()
    first = np.flatnonzero(tracklet > 0)[first]
    for column, values in (("parent_tracklet_id", parent), ("lineage_id", lineage), ("generation", generation)):
        assert table[column].tolist() == values[first].tolist(), column


@pytest.mark.parametrize("name", CELLS)
def test_lives_of_the_zoo(name):
    table = ZOO[name].life_table()
    columns = ["mother_cell_id", "start", "end", "duration", "missed", "fate", "complete"]
    assert list(table[columns].itertuples(index=False, name=None)) == CELLS[name]
    assert table["cell_id"].tolist() == list(range(1, len(table) + 1))


def test_life_and_tracklets_are_the_same_where_nothing_is_missed():
    for animal in ZOO.values():
        if not animal.gap.any():
            cells, tracklets = animal.life_table(), animal.tracklets()
            for one, two in (("cell_id", "tracklet_id"), ("mother_cell_id", "parent_tracklet_id"), ("start", "start"), ("fate", "fate")):
                assert cells[one].tolist() == tracklets[two].tolist()


def test_gaps_children_and_roots():
    animal = ZOO["division over a gap"]
    assert animal.gap.tolist() == [0, 0, 1, 1, 0]
    assert animal.n_children.tolist() == [1, 2, 1, 0, 0]
    assert animal.roots.tolist() == [0]
    assert animal.child_rows.tolist() == [1, 2, 3, 4]
    assert ZOO["unselected noise"].roots.tolist() == [0]
    assert forest([0, 1, 1, 1], [-1, 0, 0, 0]).divisions.tolist() == [0]  # three daughters are one division


# Laws on random forests


@effort(max_examples=50, deadline=None)
@given(forests())
def test_tracklets_are_the_longest_paths_without_gap_or_division(some):
    frame, tracklet = some.detections.frame, some.tracklet_id
    assert ((tracklet > 0) == some.selected).all()
    assert sorted(set(tracklet[tracklet > 0].tolist())) == list(range(1, tracklet.max(initial=0) + 1))
    for i in some.child_rows.tolist():
        mother = some.parent[i]
        plain = frame[i] == frame[mother] + 1 and (some.parent == mother).sum() == 1
        assert (tracklet[i] == tracklet[mother]) == plain
        assert some.parent_tracklet_id[i] == (some.parent_tracklet_id[mother] if plain else tracklet[mother])
    for number in set(tracklet[tracklet > 0].tolist()):
        frames = frame[tracklet == number].tolist()
        assert frames == list(range(frames[0], frames[-1] + 1))


@effort(max_examples=50, deadline=None)
@given(forests())
def test_lineages_are_the_connected_components(some):
    graph = some.to_networkx()
    components = {frozenset(part) for part in nx.weakly_connected_components(graph)}
    rows = np.flatnonzero(some.selected)
    found = {frozenset(rows[some.lineage_id[rows] == number].tolist()) for number in set(some.lineage_id[rows].tolist())}
    assert found == components
    assert (some.lineage_id[~some.selected] == 0).all()
    assert len(found) == len(some.roots)


@effort(max_examples=50, deadline=None)
@given(forests())
def test_generations_count_divisions_on_the_way_to_the_root(some):
    graph = some.to_networkx()
    for i in graph:
        above = nx.ancestors(graph, i)
        assert some.generation[i] == sum(graph.out_degree(j) >= 2 for j in above)


@effort(max_examples=40, deadline=None)
@given(forests())
def test_tables_add_up(some):
    tracklets, lives = some.tracklets(), some.life_table()
    assert tracklets["length"].sum() == lives["length"].sum() == some.selected.sum()
    assert lives["missed"].sum() == sum(some.gap[i] for i in some.child_rows if some.n_children[some.parent[i]] == 1)
    assert (lives["duration"] == lives["length"] + lives["missed"]).all()
    assert (tracklets["fate"] == "divides").sum() == (lives["fate"] == "divides").sum() == len(some.divisions)
    assert "gap" not in set(lives["fate"])
    table = some.to_dataframe()
    assert table["id"].tolist() == np.flatnonzero(some.selected).tolist()
    assert table["parent_id"].tolist() == some.parent[some.selected].tolist()
    assert {"t", "label", "y", "x", "tracklet_id", "parent_tracklet_id", "lineage_id", "generation", "link_cost", "area"} <= set(table)


@effort(max_examples=40, deadline=None)
@given(forests(choosy=False))
def test_the_order_of_rows_in_a_frame_does_not_matter(some):
    cells = some.detections
    order = np.concatenate([np.arange(rows.start, rows.stop)[::-1] for rows in cells.frames()] or [np.zeros(0, int)]).astype(int)
    new = np.argsort(order)
    parent = np.where(some.parent >= 0, new[some.parent] if len(some) else 0, -1)[order]
    other = Forest(Detections(cells.frame, cells.position[order], cells.label[order], n_frames=cells.n_frames), parent)
    same = lambda column: {frozenset(np.flatnonzero(column == k).tolist()) for k in set(column.tolist())}  # noqa: E731
    for name in ("tracklet_id", "lineage_id"):
        assert same(getattr(some, name)[order]) == same(getattr(other, name))
    assert some.generation[order].tolist() == other.generation.tolist()
    fates = lambda table: sorted(zip(table["start"], table["end"], table["fate"], strict=True))  # noqa: E731
    assert fates(some.tracklets()) == fates(other.tracklets())


@effort(max_examples=40, deadline=None)
@given(forests())
def test_napari_gets_what_it_takes(some):
    data, graph, properties = some.to_napari()
    cells = some.detections
    assert data.shape == (some.selected.sum(), 2 + cells.n_axes)
    order = np.lexsort((data[:, 1], data[:, 0]))
    assert order.tolist() == list(range(len(data)))
    assert not (np.diff(data[:, :2], axis=0) == 0).all(1).any()  # a track is in one place at a time
    ids = set(data[:, 0].astype(int).tolist())
    parents = {(child, parent) for child, [parent] in graph.items()}
    assert {number for pair in parents for number in pair} <= ids
    table = some.tracklets()
    has = table[table["parent_tracklet_id"] > 0]
    assert parents == set(zip(has["tracklet_id"], has["parent_tracklet_id"], strict=True))
    assert all(len(column) == len(data) for column in properties.values())
    assert {"lineage_id", "generation", "label", "area"} <= set(properties)
    for row in range(len(data)):  # every row is the cell it says
        i = np.flatnonzero((some.tracklet_id == data[row, 0]) & (cells.frame == data[row, 1]))
        assert cells.position[i].tolist() == [data[row, 2:].tolist()]
        assert properties["label"][row] == cells.label[i[0]]


def test_the_graph_knows_gaps_and_costs():
    cells = Detections([0, 2, 2], [[1, 2], [3, 4], [5, 6]], [7, 8, 9], {"area": [10.0, 20.0, 30.0]})
    graph = Forest(cells, [-1, 0, -1], [True, True, False], [np.nan, -1.5, np.nan]).to_networkx()
    assert list(graph.edges(data=True)) == [(0, 1, {"dt": 2, "link_cost": -1.5})]
    assert list(graph) == [0, 1]
    assert (graph.nodes[1]["t"], graph.nodes[1]["label"], graph.nodes[1]["area"], graph.nodes[1]["x"]) == (2, 8, 20.0, 4.0)


# What is refused


CELLS_OF = Detections([0, 1, 1], np.zeros((3, 2)), [1, 1, 2])
ERRORS = {
    "parent later": (([1, -1, -1],), "row 0 (frame 0) has its parent, row 1, in frame 1: parents come earlier"),
    "parent beside": (([-1, 0, 1],), "row 2 (frame 1) has its parent, row 1, in frame 1: parents come earlier"),
    "own parent": (([0, -1, -1],), "row 0 (frame 0) has its parent, row 0, in frame 0: parents come earlier"),
    "no such parent": (([-1, 3, -1],), "row 1 has the parent row 3, but there are 3 detections"),
    "below -1": (([-1, 0, -2],), "row 2 has the parent row -2, but there are 3 detections"),
    "too few": (([-1, 0],), "parent has 2 rows, but there are 3 detections"),
    "selected": (([-1, 0, -1], [True, True]), "selected has 2 rows, but there are 3 detections"),
    "costs": (([-1, 0, -1], [], [0.0]), "link_cost has 1 rows, but there are 3 detections"),
    "dropped child": (([-1, 0, -1], [True, False, True]), "row 1 is linked to row 0, but one of them is not selected"),
    "dropped mother": (([-1, -1, 0], [False, True, True]), "row 2 is linked to row 0, but one of them is not selected"),
}


@pytest.mark.parametrize(("columns", "message"), ERRORS.values(), ids=ERRORS)
def test_parents_that_make_no_sense_are_refused(columns, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Forest(CELLS_OF, *columns)


@given(forests())
@effort(max_examples=30, deadline=None)
def test_facts_of_some_rows_are_rows_of_the_table(some):
    table, rows = some.to_dataframe(), np.flatnonzero(some.selected)
    part = some.facts(rows[1::2])
    assert list(part) == list(table)
    for name, column in part.items():
        np.testing.assert_array_equal(column, table[name].to_numpy()[1::2])


def test_the_foremost_lineages_divide_most_and_live_long():
    """Lineage 1: three cells of a division; 2: five of none; 3: a single; 4: two divisions, five cells."""
    frame = [0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 3, 4]
    parent = [-1, -1, -1, -1, 0, 0, 1, 3, 3, 6, 7, 7, 9, 12]
    some = forest(frame, parent)
    assert some.foremost(100).tolist() == [1, 2, 3, 4]
    assert some.foremost(5).tolist() == [4]
    assert some.foremost(0).tolist() == [4]  # one is shown in any case
    assert some.foremost(8).tolist() == [1, 4]
    assert some.foremost(13).tolist() == [1, 2, 4]
    assert some.foremost(4, paths=True).tolist() == [4]
    assert some.foremost(5, paths=True).tolist() == [1, 4]
    assert some.foremost(6, first=[3]).tolist() == [3, 4]
    assert some.foremost(5, first=[3, 2]).tolist() == [2]


def test_without_cells_no_lineage_is_foremost():
    assert ZOO["empty"].foremost(3).tolist() == []


def test_a_forest_remembers_more_without_changing():
    before = Forest(CELLS_OF, [-1, 0, 0], record={"a": 1})
    after = before.with_record(b=2)
    assert (dict(before.record), dict(after.record)) == ({"a": 1}, {"a": 1, "b": 2})
    assert after.parent is before.parent
