import re
from dataclasses import dataclass, field
from types import SimpleNamespace

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from random_forests import assert_same, forests, kept
from zoo import ZOO, paint

from lineage import interop
from lineage.detections import Detections
from lineage.forest import Forest
from lineage.graph import CandidateGraph

relaxed = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


# NetworkX


@pytest.mark.parametrize("name", ZOO)
def test_zoo_goes_to_networkx_and_back(name):
    back = interop.from_networkx(ZOO[name].to_networkx())
    if len(ZOO[name]):
        assert_same(back, kept(ZOO[name], source_id=True))
    else:
        assert len(back) == 0


@relaxed
@given(forests())
def test_random_forests_go_to_networkx_and_back(forest):
    if forest.selected.any():
        assert_same(interop.from_networkx(forest.to_networkx()), kept(forest, source_id=True))


def test_positions_in_one_attribute_and_names_of_nodes():
    graph = nx.DiGraph()
    graph.add_node("b", time=1, pos=np.array([3, 4]), area=2.0)
    graph.add_node("a", time=0, pos=(1, 2), kind="round")
    graph.add_edge("a", "b", cost=-1.5)
    back = interop.from_networkx(graph, cost="cost", scale=(2, 0.5))
    assert back.detections.position.tolist() == [[2, 1], [6, 2]]
    assert back.detections.scale == (2, 0.5)
    assert back.parent.tolist() == [-1, 0]
    np.testing.assert_array_equal(back.link_cost, [np.nan, -1.5])
    np.testing.assert_array_equal(back.detections.columns["area"], [np.nan, 2])
    assert back.detections.columns["kind"].tolist() == ["round", ""]
    assert back.detections.columns["source_id"].tolist() == ["a", "b"]


def node(t, **facts):
    return {"t": t, "y": 0.0, "x": 0.0} | facts


@pytest.mark.parametrize(
    ("nodes", "edges", "message"),
    [
        ({0: node(0), 1: node(0), 2: node(1)}, [(0, 2), (1, 2)], "node 2 has two parents, 0 and 1: lineages do not merge"),
        ({0: node(1), 1: node(1)}, [(0, 1)], "edge 0 -> 1 goes from frame 1 to frame 1: parents come earlier"),
        ({0: {"t": 0, "y": 1}}, [], "nodes have no attribute x; they have t, y"),
        ({0: node(0, y=np.nan)}, [], "row 0 (frame 0) has no finite position: [nan, 0.0]"),
        ({0: node(0.5)}, [], "node 0 (counted from 0) has t 0.5, which is no whole number from 0 to 2147483647"),
    ],
)
def test_graphs_that_are_no_lineages(nodes, edges, message):
    graph = nx.DiGraph(edges)
    graph.add_nodes_from(nodes.items())
    with pytest.raises(ValueError, match=f"^{re.escape(message)}( \\(merges=[^)]*\\))?$"):
        interop.from_networkx(graph)


def test_a_merge_can_be_cut():
    graph = nx.DiGraph([(0, 2), (1, 2)])
    graph.add_nodes_from([(0, node(0, x=5.0)), (1, node(0, x=1.0)), (2, node(1))])
    assert interop.from_networkx(graph, merges="keep-nearest").parent.tolist() == [-1, -1, 1]


# Trackastra


def test_a_graph_of_trackastra():
    graph = nx.DiGraph()
    graph.add_node(0, time=0, label=7, coords=(1.0, 2.0))
    graph.add_node(1, time=1, label=3, coords=(3.0, 4.0))
    graph.add_edge(0, 1, weight=0.75)
    back = interop.from_trackastra(graph, scale=2)
    assert (back.detections.label.tolist(), back.detections.position.tolist()) == ([7, 3], [[2, 4], [6, 8]])
    np.testing.assert_allclose(back.link_cost, [np.nan, -np.log(3)])


def test_a_table_of_edges_and_its_masks():
    forest = ZOO["division with a past"]
    cells = Detections.from_labels(paint(forest))
    child = forest.child_rows
    table = pd.DataFrame(
        {
            "source_frame": cells.frame[forest.parent[child]],
            "source_label": cells.label[forest.parent[child]],
            "target_frame": cells.frame[child],
            "target_label": cells.label[child],
            "weight": 0.5,
        }
    )
    back = interop.from_edge_table(table, cells)
    assert back.parent.tolist() == forest.parent.tolist()
    assert back.detections is cells
    np.testing.assert_array_equal(back.link_cost[child], 0)
    with pytest.raises(ValueError, match=r"^edge 1 names the label 99 in frame 1, but no detection is that$"):
        interop.from_edge_table(table.assign(source_label=[1, 99, 1, 1, 1]), cells)
    with pytest.raises(ValueError, match=r"^there is no column target_label; there are source_frame, source_label, target_frame, weight$"):
        interop.from_edge_table(table.drop(columns="target_label"), cells)
    twice = pd.concat([table, table.iloc[1:2].assign(source_frame=1, source_label=1, target_label=1, target_frame=3)])
    message = "label 1 in frame 3 has two parents, 1 in frame 1 and 1 in frame 2: lineages do not merge"
    with pytest.raises(ValueError, match=re.escape(message)):
        interop.from_edge_table(twice, cells)


# motile


def diamond():
    cells = Detections(
        [0, 0, 1, 1], [[0, 0], [0, 9], [1, 0], [1, 9]], [1, 2, 1, 2], {"area": np.array([1, 2, 3, 4]), "box": np.zeros((4, 2))}
    )
    return CandidateGraph(cells, [0, 0, 1], [2, 3, 3], {"distance": np.array([1.0, 9.5, 1.0])})


def test_what_motile_gets():
    graph = interop.to_motile(diamond(), {"link": np.array([-3.0, 2, -4]), "appear": np.arange(4)})
    assert graph.nodes[1] == {"t": 0, "label": 2, "y": 0.0, "x": 9.0, "area": 2, "appear": 1.0}
    assert graph.edges[0, 3] == {"dt": 1, "distance": 9.5, "link": 2.0}
    assert list(graph.nodes) == [0, 1, 2, 3]
    assert all(type(value) in (int, float) for _, said in graph.nodes(data=True) for value in said.values())
    message = "motile has no place for the cost divide_pair; it takes select, appear, disappear, divide, link"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        interop.to_motile(diamond(), {"divide_pair": np.zeros(3)})
    with pytest.raises(ValueError, match=f"^{re.escape('the cost link has the shape (4,), but there are 3 edges')}$"):
        interop.to_motile(diamond(), {"link": np.zeros(4)})


@dataclass
class Solution:
    """What motile's TrackGraph has: dictionaries of nodes and edges."""

    nodes: dict = field(default_factory=dict)
    edges: dict = field(default_factory=dict)


@pytest.mark.parametrize("kind", ["motile", "networkx"])
def test_what_motile_gives(kind):
    graph = interop.to_motile(diamond(), {"link": np.array([-3.0, 2, -4])})
    chosen = graph.edge_subgraph([(0, 2)])
    solution = chosen if kind == "networkx" else Solution(dict(chosen.nodes), {(0, 2): {"link": -3.0}})
    back = interop.from_motile(solution, diamond().detections)
    assert back.parent.tolist() == [-1, -1, 0, -1]
    assert back.selected.tolist() == [True, False, True, False]
    np.testing.assert_array_equal(back.link_cost, [np.nan, np.nan, -3, np.nan])


def test_solutions_that_do_not_fit():
    cells = diamond().detections
    with pytest.raises(ValueError, match=r"^node 7 is no row of the 4 detections: give the graph of to_motile to motile$"):
        interop.from_motile(Solution({7: {}}), cells)
    with pytest.raises(ValueError, match=r"^row 2 is linked to row 0, but one of them is not selected$"):
        interop.from_motile(Solution({0: {}}, {(0, 2): {}}), cells)
    with pytest.raises(ValueError, match=r"^node 3 has two parents, 0 and 1: lineages do not merge"):
        interop.from_motile(Solution({0: {}, 1: {}, 3: {}}, {(0, 3): {}, (1, 3): {}}), cells)
    assert not interop.from_motile(Solution(), cells).selected.any()


def test_motile_solves_what_we_state():
    motile = pytest.importorskip("motile", reason="motile is not installed")
    from motile.constraints import MaxParents
    from motile.costs import EdgeSelectedCost

    solver = motile.Solver(motile.TrackGraph(interop.to_motile(diamond(), {"link": np.array([-3.0, 2, -4])})))
    solver.add_cost(EdgeSelectedCost(weight=1, attribute="link"))
    solver.add_constraint(MaxParents(1))
    solver.solve()
    assert interop.from_motile(solver.get_selected_subgraph(), diamond().detections).parent.tolist() == [-1, -1, 0, 1]


# napari


def track_by_track(forest):
    """What a Tracks layer holds of a forest: numbers, and the cells of a frame in the order of their tracks."""
    whole = kept(forest)
    order = np.lexsort((whole.tracklet_id, whole.detections.frame))
    cells = whole.detections.take(order)
    numbers = {name: column for name, column in cells.columns.items() if column.dtype.kind != "U"}
    parent = np.append(np.argsort(order), -1)[whole.parent[order]]
    return Forest(Detections(cells.frame, cells.position, cells.label, numbers), parent)


@pytest.mark.parametrize("name", ZOO)
def test_zoo_goes_to_napari_and_back(name):
    data, graph, properties = ZOO[name].to_napari()
    if len(data):
        assert_same(interop.from_napari(data, graph, properties), track_by_track(ZOO[name]))


@relaxed
@given(forests())
def test_random_forests_go_to_napari_and_back(forest):
    data, graph, properties = forest.to_napari()
    if len(data):
        assert_same(interop.from_napari(data, graph, properties), track_by_track(forest))


def test_a_layer_with_a_scale_and_plain_parents():
    data = np.array([[1, 0, 2, 3], [2, 1, 4, 5], [3, 1, 6, 7]], float)
    back = interop.from_napari(data, {2: 1, 3: [1]}, scale=(2, 0.5))
    assert back.parent.tolist() == [-1, 0, 0]
    assert back.detections.position.tolist() == [[4, 1.5], [8, 2.5], [12, 3.5]]


@pytest.mark.parametrize(
    ("data", "graph", "message"),
    [
        ([[1, 0, 2]], {}, "a row of a Tracks layer is track, t, (z,) y, x: (n, 4) or (n, 5), not (1, 3)"),
        ([[1, 0, 2, 3], [2, 0, 2, 3], [3, 1, 2, 3]], {3: [1, 2]}, "track 3 has two parents, tracks 1 and 2: lineages do not merge"),
        ([[1, 0, 2, 3]], {1: [5]}, "parent track 5 of track 1 has no rows"),
        ([[1, 0, 2, 3]], {5: [1]}, "track 5 has no rows"),
        ([[1, 0, 2, 3], [1, 0, 4, 5]], {}, "rows 0 and 1 are both in frame 0 of track 1: a track has one cell a frame"),
        ([[1, 0.5, 2, 3]], {}, "row 0: frame must be a whole number, not 0.5"),
        ([[np.nan, 0, 2, 3]], {}, "row 0: track must be a whole number, not nan"),
        ([[1, 0, np.inf, 3]], {}, "row 0 (frame 0) has no finite position: [inf, 3.0]"),
    ],
)
def test_layers_that_are_no_lineages(data, graph, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        interop.from_napari(np.array(data), graph)


def test_properties_of_another_length():
    with pytest.raises(ValueError, match=r"^area has 2 rows, but there are 1 cells$"):
        interop.from_napari(np.array([[1, 0, 2, 3]]), properties={"area": np.zeros(2)})


# laptrack


def lap():
    tracks = pd.DataFrame({"frame": [0, 1, 2, 2], "y": [1.0, 2, 3, 4], "x": [5.0, 6, 7, 8], "area": [1, 2, 3, 4], "tree_id": 0})
    splits = pd.DataFrame({"parent_track_id": [0, 0], "child_track_id": [1, 2]})
    return tracks.assign(track_id=[0, 0, 1, 2]), splits


@pytest.mark.parametrize("in_index", [False, True])
def test_data_frames_of_laptrack(in_index):
    tracks, splits = lap()
    if in_index:
        tracks = tracks.assign(index=range(4)).set_index(["frame", "index"])
    back = interop.from_laptrack(tracks, splits, pd.DataFrame(), scale=2)
    assert back.parent.tolist() == [-1, 0, 1, 1]
    assert back.detections.position.tolist() == [[2, 10], [4, 12], [6, 14], [8, 16]]
    assert {name: column.tolist() for name, column in back.detections.columns.items()} == {"area": [1, 2, 3, 4]}


def test_data_frames_that_do_not_fit():
    tracks, splits = lap()
    with pytest.raises(ValueError, match=r"^track 0 merges into track 1: lineages do not merge \(merging_cutoff=False\)$"):
        interop.from_laptrack(tracks, None, splits)
    with pytest.raises(ValueError, match=r"^there is no column z; there are frame, y, x, area, tree_id, track_id$"):
        interop.from_laptrack(tracks, axes=("z", "y", "x"))


def test_laptrack_itself():
    laptrack = pytest.importorskip("laptrack", reason="laptrack is not installed")
    cells = pd.DataFrame({"frame": [0, 1, 2, 2], "y": [0.0, 0, 0, 4], "x": [0.0, 1, 2, 2]})
    found = laptrack.LapTrack(cutoff=25, splitting_cutoff=25).predict_dataframe(cells, ["y", "x"], frame_col="frame")
    assert interop.from_laptrack(*found).parent.tolist() == [-1, 0, 1, 1]


# btrack


def tracklet(number, parent, times, *, z=0.0, dummy=(), **properties):
    n = len(times)
    return SimpleNamespace(
        ID=number,
        parent=parent,
        t=list(times),
        x=[float(t) for t in times],
        y=[2.0 * t for t in times],
        z=[z] * n,
        dummy=[t in dummy for t in times],
        properties={name: np.array(values) for name, values in properties.items()},
    )


def test_tracks_of_btrack():
    tracks = [
        tracklet(1, 1, [0, 1], area=[1.0, 2.0], class_id=[7, 7]),
        tracklet(2, 1, [2, 3], dummy=[2], area=[np.nan, 3.0], class_id=[np.nan, 8]),
        tracklet(3, None, [0], area=[9.0], class_id=[4]),
    ]
    back = interop.from_btrack(tracks, scale=(0.5, 2))
    assert back.parent.tolist() == [-1, -1, 0, 2, 3]
    assert back.detections.position.tolist() == [[0, 0], [0, 0], [1, 2], [2, 4], [3, 6]]
    assert back.detections.label.tolist() == [7, 4, 7, 0, 8]
    assert back.detections.columns["dummy"].tolist() == [False, False, False, True, False]
    np.testing.assert_array_equal(back.detections.columns["area"], [1, 9, 2, np.nan, 3])


def test_depth_of_btrack():
    assert interop.from_btrack([tracklet(1, 0, [0], z=3.0)]).detections.position.tolist() == [[3, 0, 0]]
    assert len(interop.from_btrack([])) == 0


def test_btrack_itself():
    btrack = pytest.importorskip("btrack", reason="btrack is not installed")
    objects = [btrack.btypes.PyTrackObject.from_dict({"ID": i, "t": i, "x": 2.0 * i, "y": 1.0, "z": 0.0, "label": 0}) for i in range(3)]
    tracks = [btrack.btypes.Tracklet(1, objects[:2]), btrack.btypes.Tracklet(2, objects[2:], parent=1)]
    assert interop.from_btrack(tracks).parent.tolist() == [-1, 0, 1]
