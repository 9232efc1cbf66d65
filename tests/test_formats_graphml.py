import re
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from random_forests import assert_same, forests
from rich_forests import differing, rich
from zoo import ZOO

from lineage.detections import Detections
from lineage.forest import Forest
from lineage.formats import graphml
from lineage.formats.header import KEY

relaxed = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def small(nodes="", edges="", head="", keys="", directed="directed"):
    declared = "".join(f'<key id="{k}" for="node" attr.name="{k}" attr.type="double"/>' for k in "tyx")
    return (
        f'<?xml version="1.0"?>{head}<graphml xmlns="http://graphml.graphdrawing.org/xmlns">{declared}{keys}'
        f'<graph edgedefault="{directed}">{nodes}{edges}</graph></graphml>'
    )


def node(name, t, y=1, x=2, more=""):
    return f'<node id="{name}"><data key="t">{t}</data><data key="y">{y}</data><data key="x">{x}</data>{more}</node>'


def edge(source, target, more=""):
    return f'<edge source="{source}" target="{target}">{more}</edge>'


def of(tmp_path, text, **options):
    (tmp_path / "a.graphml").write_text(text, encoding="utf-8")
    return graphml.read(tmp_path / "a.graphml", **options)


def test_a_file_made_by_hand(tmp_path):
    forest = of(tmp_path, small(node("mother", 0) + node("b", 1, 5, 6.5) + node("a", 1), edge("mother", "a") + edge("mother", "b")))
    cells = forest.detections
    assert cells.frame.tolist() == [0, 1, 1]
    assert cells.position.tolist() == [[1, 2], [5, 6.5], [1, 2]]
    assert forest.parent.tolist() == [-1, 0, 0]
    assert cells.columns["source_id"].tolist() == ["mother", "b", "a"]


@pytest.mark.parametrize("name", ZOO)
def test_zoo_comes_back(tmp_path, name):
    graphml.write(ZOO[name], tmp_path / "a.graphml")
    again = graphml.read(tmp_path / "a.graphml")
    assert_same(again, ZOO[name])
    assert again.detections.n_axes == ZOO[name].detections.n_axes


@relaxed
@given(forests())
def test_random_forests_come_back_whole(tmp_path, forest):
    graphml.write(forest, tmp_path / "a.graphml")
    again = graphml.read(tmp_path / "a.graphml")
    assert_same(again, forest)
    assert (again.certificate, again.record) == (forest.certificate, forest.record)


@pytest.mark.parametrize("seed", range(25))
def test_what_is_lost_is_what_is_not_held(tmp_path, seed):
    forest = rich(np.random.default_rng(seed))
    graphml.write(forest, tmp_path / "a.graphml")
    again = graphml.read(tmp_path / "a.graphml")
    assert differing(forest, again).isdisjoint(graphml.HOLDS)
    for name, column in again.detections.columns.items():
        if column.dtype.kind in "biuf" and len(column):
            assert column.dtype == forest.detections.columns[name].dtype, name


@pytest.mark.parametrize("name", ZOO)
def test_networkx_reads_the_graph_that_we_make_for_it(tmp_path, name):
    forest = ZOO[name]
    graphml.write(forest, tmp_path / "a.graphml")
    theirs, ours = nx.read_graphml(tmp_path / "a.graphml", node_type=int), forest.to_networkx()
    assert theirs.is_directed()
    assert set(theirs.edges) == set(ours.edges)
    assert set(ours.nodes) == set(np.flatnonzero(forest.selected)) <= set(theirs.nodes)
    for i, facts in ours.nodes.items():
        assert {name: value for name, value in theirs.nodes[i].items() if name != "selected"} == {
            name: value for name, value in facts.items() if name != "link_cost"
        }
    assert all(theirs.edges[pair]["dt"] == ours.edges[pair]["dt"] for pair in ours.edges)


@relaxed
@given(forests(choosy=False))
def test_what_networkx_writes_is_read(tmp_path, forest):
    nx.write_graphml(forest.to_networkx(), tmp_path / "a.graphml")
    again, cells = graphml.read(tmp_path / "a.graphml"), forest.detections
    np.testing.assert_array_equal(again.parent, forest.parent)
    np.testing.assert_array_equal(again.link_cost, forest.link_cost)
    np.testing.assert_array_equal(again.detections.position if len(forest) else cells.position, cells.position)
    np.testing.assert_array_equal(again.detections.columns.get("area", np.zeros(0)), cells.columns["area"])


def test_costs_stand_on_edges(tmp_path):
    forest = replace(ZOO["division"], link_cost=np.array([np.nan, -1.5, np.nan]))
    graphml.write(forest, tmp_path / "a.graphml")
    graph = nx.read_graphml(tmp_path / "a.graphml", node_type=int)
    assert graph.edges[0, 1] == {"dt": 1, "link_cost": -1.5}
    assert graph.edges[0, 2] == {"dt": 1}
    assert np.array_equal(graphml.read(tmp_path / "a.graphml").link_cost, forest.link_cost, equal_nan=True)


def test_infinite_numbers_are_those_of_xml_schema(tmp_path):
    cells = Detections([0, 0], [[1, 2], [1, 3]], [1, 2], {"ratio": np.array([np.inf, -np.inf])})
    graphml.write(Forest(cells, [-1, -1]), tmp_path / "a.graphml")
    assert ">-INF<" in (tmp_path / "a.graphml").read_text(encoding="utf-8")
    assert_same(graphml.read(tmp_path / "a.graphml"), Forest(cells, [-1, -1]))


@pytest.mark.parametrize("name", ["selected", "solution", "z", "Z", "Frame", "position_z"])
def test_columns_that_mean_something_elsewhere(tmp_path, name):
    forest = Forest(Detections([0], [[1, 2]], [1], {name: np.array([False]), "a": np.array([3])}), [-1])
    graphml.write(forest, tmp_path / "a.graphml")
    again = graphml.read(tmp_path / "a.graphml")
    assert (again.selected.tolist(), again.detections.position.tolist(), again.detections.frame.tolist()) == ([True], [[1, 2]], [0])
    if name != "selected":
        assert_same(again, forest)


def test_a_file_that_another_program_changed_loses_its_certificate(tmp_path):
    rng = np.random.default_rng(1)
    forest = next(
        f for f in iter(lambda: rich(rng), None) if f.certificate and len(f.child_rows) > 2 and f.record and f.detections.conflicts
    )
    graphml.write(forest, tmp_path / "a.graphml")
    assert graphml.read(tmp_path / "a.graphml").certificate == forest.certificate
    text = (tmp_path / "a.graphml").read_text(encoding="utf-8")
    again = of(tmp_path, re.sub(r"<edge .*\n", "", text, count=1))
    assert (again.certificate, again.detections.conflicts, dict(again.slack)) == (None, (), {})
    assert again.record == forest.record


@pytest.mark.parametrize("header", ["{", "[1]", "[" * 100_000, "null"])
def test_a_header_that_is_none_is_passed_over(tmp_path, header):
    key = f'<key id="{KEY}" for="graph" attr.name="{KEY}" attr.type="string"/>'
    assert len(of(tmp_path, small(f'<data key="{KEY}">{header}</data>' + node("0", 0), keys=key))) == 1


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ('{"scale": [1, 2, 3]}', "scale has 3 values, but there are 2 axes: y, x"),
        ('{"n_frames": 1e30}', "a film of 1e+30 frames"),
        ('{"interval": -1}', "interval must be a positive number of seconds, not -1.0"),
        ('{"cells": 1, "links": 0, "certificate": {}}', "'objective'"),
        ('{"cells": 1, "links": 0, "conflicts": [[7]]}', "a conflict set names row 7, but there are 1 rows"),
        ('{"record": 3}', "'int' object is not iterable"),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path, header, message):
    key = f'<key id="{KEY}" for="graph" attr.name="{KEY}" attr.type="string"/>'
    start = f"{tmp_path}/a.graphml is no readable GraphML: its header (cytolineage) cannot be understood: "
    with pytest.raises(ValueError, match=f"^{re.escape(start + message)}$"):
        of(tmp_path, small(f'<data key="{KEY}">{header}</data>' + node("0", 0), keys=key))


def test_yeds_drawings_are_passed_over(tmp_path):
    keys = (
        '<key id="d6" for="node" yfiles.type="nodegraphics"/><key attr.name="Time" attr.type="int" for="node" id="d7"/>'
        '<key attr.name="X" attr.type="double" for="node" id="d8"/><key attr.name="Y" attr.type="double" for="node" id="d9"/>'
    )
    drawing = '<data key="d6"><y:ShapeNode><y:Geometry x="1"/><y:NodeLabel>7</y:NodeLabel></y:ShapeNode></data>'
    cell = '<node id="n{0}">' + drawing + '<data key="d7">{0}</data><data key="d8"><![CDATA[2]]></data><data key="d9">3</data></node>'
    text = (
        f'<graphml xmlns="http://graphml.graphdrawing.org/xmlns" xmlns:y="http://www.yworks.com/xml/graphml">{keys}'
        f'<graph edgedefault="directed" id="G">{cell.format(0)}{cell.format(1)}<edge id="e0" source="n0" target="n1"/></graph></graphml>'
    )
    forest = of(tmp_path, text)
    assert (forest.parent.tolist(), forest.detections.position.tolist()) == ([-1, 0], [[3, 2], [3, 2]])
    assert list(forest.detections.columns) == ["source_id"]


def test_prefixed_names_defaults_and_labels_that_are_texts(tmp_path):
    text = small(node("0", 0, more='<data key="n">A</data>') + node("1", 1), edge("0", "1"))
    keys = (
        '<key id="n" for="node" attr.name="label" attr.type="string"/>'
        '<key id="k" for="node" attr.name="kind" attr.type="int"><default>7</default></key>'
    )
    text = text.replace("<graph ", keys + "<graph ")
    text = re.sub(r"<(/?)([a-z])", r"<\1g:\2", text).replace("xmlns=", "xmlns:g=")
    columns = of(tmp_path, text).detections.columns
    assert (columns["name"].tolist(), columns["kind"].tolist()) == (["A", ""], [7, 7])


def test_undirected_edges_go_forward_in_time(tmp_path):
    nodes = node("a", 2) + node("b", 1)
    assert of(tmp_path, small(nodes, edge("a", "b"), directed="undirected")).parent.tolist() == [-1, 0]
    with pytest.raises(ValueError, match=r"edge a -> b goes from frame 2 to frame 1: parents come earlier$"):
        of(tmp_path, small(nodes, edge("a", "b")))


def test_a_solution_in_a_candidate_graph(tmp_path):
    key = '<key id="s" for="node" attr.name="solution" attr.type="boolean"/>'
    nodes = "".join(node(k, t, more=f'<data key="s">{s}</data>') for k, t, s in (("a", 0, "true"), ("b", 0, "False"), ("c", 1, "1")))
    forest = of(tmp_path, small(nodes, edge("a", "c") + edge("b", "c"), keys=key))
    assert (forest.selected.tolist(), forest.parent.tolist()) == ([True, False, True], [-1, -1, 0])


def test_the_nearer_of_two_parents_is_kept_on_demand(tmp_path):
    text = small(node("a", 0) + node("b", 0, 9) + node("c", 1, 8), edge("a", "c") + edge("b", "c"))
    assert of(tmp_path, text, merges="keep-nearest").parent.tolist() == [-1, -1, 1]
    with pytest.raises(ValueError, match=r"merges must be one of refuse, keep-nearest, not 'both'$"):
        of(tmp_path, text, merges="both")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_encodings(tmp_path, encoding):
    key = '<key id="n" for="node" attr.name="note" attr.type="string"/>'
    text = small(node("0", 0, more='<data key="n">mère</data>'), keys=key).replace('"1.0"', f'"1.0" encoding="{encoding}"')
    (tmp_path / "a.graphml").write_bytes(text.encode(encoding))
    assert graphml.recognises(tmp_path / "a.graphml")
    assert graphml.read(tmp_path / "a.graphml").detections.columns["note"].tolist() == ["mère"]


def test_what_is_recognised(tmp_path):
    graphml.write(ZOO["step"], tmp_path / "a.graphml")
    assert graphml.recognises(tmp_path / "a.graphml")
    (tmp_path / "b.graphml").write_text("<gexf/>")
    assert not graphml.recognises(tmp_path / "b.graphml")
    assert not graphml.recognises(tmp_path)
    assert not graphml.recognises(tmp_path / "none")


def test_one_long_text_does_not_make_all_rows_long(tmp_path):
    key = '<key id="n" for="node" attr.name="note" attr.type="string"/>'
    long = "x" * 10**6
    nodes = "".join(node(k, 0, more=f'<data key="n">{long if k == 3 else k}</data>') for k in range(5000))
    column = of(tmp_path, small(nodes, keys=key)).detections.columns["note"]
    assert column.dtype == object
    assert (column[2], column[3] == long) == ("2", True)


def test_deep_nesting_is_harmless(tmp_path):
    deep = "<graph>" * 50_000 + "</graph>" * 50_000
    assert len(of(tmp_path, small(node("0", 0) + deep))) == 1


def test_many_declared_keys_do_not_fill_the_memory(tmp_path):
    keys = "".join(f'<key id="k{k}" for="node" attr.name="k{k}" attr.type="double"/>' for k in range(3000))
    nodes = "".join(node(k, 0) for k in range(4000))
    with pytest.raises(ValueError, match=r"it declares 3003 attributes for 4000 nodes, but gives only 12000 values$"):
        of(tmp_path, small(nodes, keys=keys))


BOMB = '<!DOCTYPE graphml [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
NO_DOCTYPE = "it declares a document type or entities, which are refused"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (small(head=BOMB), NO_DOCTYPE),
        (small(head='<!DOCTYPE graphml SYSTEM "file:///etc/passwd">'), NO_DOCTYPE),
        (small(node("a", 0), edge("a", "b")), "edge a -> b names a node that does not exist"),
        (small(node("a", 0) + node("a", 1)), "node a occurs twice"),
        (
            small(node("a", 0) + node("b", 0) + node("c", 1), edge("a", "c") + edge("b", "c")),
            'node c has two parents, a and b: lineages do not merge (merges="keep-nearest" keeps the nearer one)',
        ),
        (small(node("a", 0) + node("b", 1), edge("a", "b") * 2), "edge a -> b occurs twice"),
        (small(node("a", 1), edge("a", "a")), "edge a -> a goes from frame 1 to frame 1: parents come earlier"),
        (small(node("a", 0.5)), "node 0 (counted from 0) has t 0.5, which is no whole number from 0 to 2147483647"),
        (small(node("a", "1e300")), "node 0 (counted from 0) has t 1e+300, which is no whole number from 0 to 2147483647"),
        (small(node("a", -1)), "node 0 (counted from 0) has t -1.0, which is no whole number from 0 to 2147483647"),
        (small(node("a", 0, "nan")), "row 0 (frame 0) has no finite position: [nan, 2.0]"),
        (small(node("a", 0, "INF")), "row 0 (frame 0) has no finite position: [inf, 2.0]"),
        (small(node("a", 0, "one")), "attribute y is declared real, but could not convert string to float: 'one'"),
        (small('<node id="a"/>').replace('attr.name="x"', 'attr.name="ex"'), "nodes have no attribute x; they have source_id, t, y, ex"),
        (small(node("a", 0))[:-20], None),
        ("id,t\n", "syntax error: line 1, column 0"),
        ("", "no element found: line 1, column 0"),
    ],
)
def test_bad_files_are_one_line(tmp_path, text, message):
    start = f"{tmp_path}/a.graphml is no readable GraphML: "
    with pytest.raises(ValueError, match=f"^{re.escape(start)}{re.escape(message) if message else 'unclosed token: line 1, column .*'}$"):
        of(tmp_path, text)


@pytest.mark.parametrize("number", ["9" * 30, "9" * 5000])
def test_whole_numbers_that_are_too_long(tmp_path, number):
    key = '<key id="k" for="node" attr.name="k" attr.type="long"/>'
    with pytest.raises(ValueError, match=r"^[^\n]*attribute k is declared whole, but [^\n]*$"):
        of(tmp_path, small(node("a", 0, more=f'<data key="k">{number}</data>'), keys=key))


def test_an_edge_without_an_end(tmp_path):
    with pytest.raises(ValueError, match=f"^{re.escape(f'{tmp_path}/a.graphml: an element lacks the attribute')} 'target'$"):
        of(tmp_path, small(node("a", 0), '<edge source="a"/>'))


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(f'no such file: {tmp_path}/none.graphml')}$"):
        graphml.read(tmp_path / "none.graphml")
