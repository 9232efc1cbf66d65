import itertools
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from lxml import etree
from random_forests import assert_same, forests, kept
from rich_forests import differing, rich
from zoo import ZOO

from lineage.detections import Detections
from lineage.forest import Forest
from lineage.formats import gexf, gexf_read, read, write

relaxed = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
HELD = ("scale", "n_frames", "interval")


def held(forest):
    """What GEXF holds of a forest: the rows that are selected, and what stands in the description."""
    some, cells = kept(forest), forest.detections
    detections = replace(some.detections, **{name: getattr(cells, name) for name in HELD})
    return replace(some, detections=detections, certificate=forest.certificate, record=forest.record)


NS = {"g": gexf.GEXF, "viz": gexf.VIZ}


@pytest.fixture(scope="module")
def schema():
    return etree.XMLSchema(etree.parse(Path(__file__).parent / "data" / "gexf13.xsd"))


def tree(path):
    return etree.parse(path, etree.XMLParser(resolve_entities=False, no_network=True))


def test_the_schema_refuses_what_the_format_forbids(schema):
    good = '<gexf xmlns="http://gexf.net/1.3" version="1.3"><graph><nodes><node id="0"/></nodes><edges/></graph></gexf>'
    assert schema.validate(etree.fromstring(good))
    for old, new in [
        ('version="1.3"', 'version="1.2"'),
        ("<graph>", '<graph timeformat="long">'),
        ("<graph>", '<graph mode="moving">'),
        ("<nodes>", "<edges/><nodes>"),
        ("<edges/>", ""),
        ("<edges/>", '<edges><edge source="0"/></edges>'),
        ("<edges/>", '<edges><edge source="0" target="1"/></edges>'),
        ('<node id="0"/>', '<node id="0"/><node id="0"/>'),
        ("<nodes>", '<attributes class="node"><attribute id="a" title="a" type="int"/></attributes><nodes>'),
    ]:
        assert not schema.validate(etree.fromstring(good.replace(old, new))), new


@pytest.mark.parametrize("name", ZOO)
def test_zoo_is_valid_and_comes_back(tmp_path, schema, name):
    write(ZOO[name], tmp_path / "a.gexf")
    schema.assertValid(tree(tmp_path / "a.gexf"))
    assert_same(read(tmp_path / "a.gexf"), held(ZOO[name]))


@relaxed
@given(forests())
def test_random_forests_are_valid_and_come_back(tmp_path, schema, forest):
    write(forest, tmp_path / "a.gexf")
    schema.assertValid(tree(tmp_path / "a.gexf"))
    again = read(tmp_path / "a.gexf")
    assert_same(again, held(forest))
    assert (again.certificate, again.record) == (forest.certificate, forest.record)


def test_what_gephi_needs(tmp_path):
    forest = ZOO["late daughter"]
    write(Forest(forest.detections, forest.parent, link_cost=[np.nan, 1.0, -100, np.nan]), tmp_path / "a.gexf")
    graph = tree(tmp_path / "a.gexf").find("g:graph", NS)
    assert dict(graph.attrib) == {
        "mode": "dynamic",
        "defaultedgetype": "directed",
        "timeformat": "double",
        "timerepresentation": "interval",
    }
    nodes, edges = graph.findall("g:nodes/g:node", NS), graph.findall("g:edges/g:edge", NS)
    assert [(n.get("start"), n.get("end")) for n in nodes] == [("0.0", "2.0"), ("1.0", "2.0"), ("2.0", "2.0"), ("2.0", "2.0")]
    assert nodes[0].get("label") == "cell 1 at 0"
    alive = {n.get("id"): (float(n.get("start")), float(n.get("end"))) for n in nodes}
    for edge in edges:
        assert alive[edge.get("source")][0] == float(edge.get("start")) < float(edge.get("end")) == alive[edge.get("target")][0]
    weights = [float(edge.get("weight")) for edge in edges]
    np.testing.assert_allclose(weights, [np.exp(-1), np.exp(4.6), 1])
    assert [edge.find("g:attvalues/g:attvalue", NS).get("value") for edge in edges] == ["1", "2", "1"]
    titles = [a.get("title") for a in graph.findall("g:attributes[@class='node']/g:attribute", NS)]
    assert "cell_label" in titles
    assert not set(titles) & set(gexf.RESERVED)


@pytest.mark.parametrize("seed", range(6))
def test_the_blocks_do_not_show(tmp_path, monkeypatch, seed):
    forest = rich(np.random.default_rng(seed), n=30)
    gexf.write(forest, tmp_path / "whole.gexf")
    for module in ("blocks", "gexf"):
        monkeypatch.setattr(f"lineage.formats.{module}.ROWS", 3)
    gexf.write(forest, tmp_path / "blocks.gexf")
    assert (tmp_path / "blocks.gexf").read_bytes() == (tmp_path / "whole.gexf").read_bytes()


def test_one_wide_number_makes_its_attribute_long(tmp_path, monkeypatch):
    """Whichever block it is in."""
    monkeypatch.setattr("lineage.formats.blocks.ROWS", 2)
    count, most = np.arange(6), np.array([1, 2, 2**40, 3, 4, 5])
    forest = Forest(Detections(np.arange(6), np.zeros((6, 2)), np.ones(6, int), {"count": count, "most": most}), np.arange(6) - 1)
    gexf.write(forest, tmp_path / "a.gexf")
    kinds = {node.get("id"): node.get("type") for node in etree.parse(tmp_path / "a.gexf").iterfind(".//g:attribute", NS)}
    assert (kinds["count"], kinds["most"], kinds["t"], kinds["y"]) == ("integer", "long", "integer", "double")


def test_names_that_gephi_keeps_come_back():
    for name in ("label", "Label", "weight", "cell_weight", "cell_cell_id", "area", "cell_area"):
        assert gexf.untitled(gexf.title(name)) == name
        assert gexf.title(name).lower() not in gexf.RESERVED
    assert len({gexf.title(name) for name in ("label", "cell_label", "cell_cell_label")}) == 3


@pytest.mark.parametrize("name", ZOO)
def test_branches_do_not_cross(name):
    forest = ZOO[name]
    x, frame = gexf.tree_layout(forest), forest.detections.frame
    child = forest.child_rows
    for i, j in itertools.combinations(child.tolist(), 2):
        a, b = forest.parent[i], forest.parent[j]
        if (frame[a], frame[i]) == (frame[b], frame[j]):
            assert (x[a] - x[b]) * (x[i] - x[j]) >= 0
    for t in np.unique(frame):
        assert len(set(x[frame == t])) == np.sum(frame == t), "two cells on one spot"


@relaxed
@given(forests(choosy=False))
def test_subtrees_own_disjoint_intervals(forest):
    x, n = gexf.tree_layout(forest), len(forest)
    below = [{i} for i in range(n)]
    for i in reversed(range(n)):
        if forest.parent[i] >= 0:
            below[forest.parent[i]] |= below[i]
    leaf = forest.n_children == 0
    assert sorted(x[leaf].tolist()) == list(range(int(leaf.sum())))
    for i, j in itertools.combinations(range(n), 2):
        if not below[i] & below[j]:
            a, b = x[list(below[i])], x[list(below[j])]
            assert a.max() < b.min() or b.max() < a.min()


def test_text_that_xml_cannot_hold(tmp_path):
    cells = Detections([0], [[1, 2]], [1], {"note": np.array(["a\x00b\n<&\"'\t"])})
    write(Forest(cells, [-1]), tmp_path / "a.gexf")
    assert read(tmp_path / "a.gexf").detections.columns["note"].tolist() == ["a\ufffdb\n<&\"'\t"]


def test_infinite_numbers_are_javas(tmp_path):
    cells = Detections([0, 0], [[1, 2], [1, 3]], [1, 2], {"ratio": np.array([np.inf, -np.inf])})
    write(Forest(cells, [-1, -1]), tmp_path / "a.gexf")
    assert 'value="-Infinity"' in (tmp_path / "a.gexf").read_text()
    assert_same(read(tmp_path / "a.gexf"), Forest(cells, [-1, -1]))


def test_columns_that_mean_something_elsewhere(tmp_path):
    columns = {name: np.array([False]) for name in ("selected", "solution", "z", "Frame")}
    forest = Forest(Detections([0], [[1, 2]], [1], columns), [-1])
    write(forest, tmp_path / "a.gexf")
    assert_same(read(tmp_path / "a.gexf"), forest)


@pytest.mark.parametrize("seed", range(20))
def test_what_is_lost_is_what_is_not_held(tmp_path, schema, seed):
    forest = rich(np.random.default_rng(seed))
    write(forest, tmp_path / "a.gexf")
    schema.assertValid(tree(tmp_path / "a.gexf"))
    assert differing(forest, read(tmp_path / "a.gexf")).isdisjoint(gexf.HOLDS)


def test_the_nearer_of_two_parents_is_kept_on_demand(tmp_path):
    near, far = node("a", 0), node("b", 0).replace('value="2"', 'value="9"')
    edges = '<edge source="b" target="c"/><edge source="a" target="c"/>'
    (tmp_path / "a.gexf").write_text(small(near + far + node("c", 1), edges))
    assert gexf_read.read(tmp_path / "a.gexf", merges="keep-nearest").parent.tolist() == [-1, -1, 0]


def small(nodes="", edges="", head=""):
    declared = "".join(f'<attribute id="{k}" title="{k}" type="double"/>' for k in "yx")
    return (
        f'<?xml version="1.0"?>{head}<gexf xmlns="http://gexf.net/1.3" version="1.3"><graph>'
        f'<attributes class="node">{declared}</attributes><nodes>{nodes}</nodes><edges>{edges}</edges></graph></gexf>'
    )


def node(name, t):
    values = '<attvalues><attvalue for="y" value="1"/><attvalue for="x" value="2"/></attvalues>'
    return f'<node id="{name}" start="{t}">{values}</node>'


def test_another_tools_file(tmp_path):
    (tmp_path / "a.gexf").write_text(small(node("b", 3) + node("a", 1), '<edge source="a" target="b"/>'))
    forest = read(tmp_path / "a.gexf")
    assert (forest.detections.frame.tolist(), forest.parent.tolist()) == ([1, 3], [-1, 0])


BOMB = '<!DOCTYPE gexf [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (small(head=BOMB), "it declares a document type or entities, which are refused"),
        (small(head='<!DOCTYPE gexf SYSTEM "file:///etc/passwd">'), "it declares a document type or entities, which are refused"),
        (small(node("a", 0), '<edge source="a" target="b"/>'), "edge a -> b names a node that does not exist"),
        (small(node("a", 0) + node("a", 1)), "node a occurs twice"),
        (
            small(node("a", 0) + node("b", 0) + node("c", 1), '<edge source="a" target="c"/><edge source="b" target="c"/>'),
            'node c has two parents, a and b: lineages do not merge (merges="keep-nearest" keeps the nearer one)',
        ),
        (
            small(node("a", 1) + node("b", 1), '<edge source="a" target="b"/>'),
            "edge a -> b goes from frame 1 to frame 1: parents come earlier",
        ),
        (small('<node id="a"/>'), "nodes have no attribute t; they have y, x"),
        (small(node("a", 0.5)), "node 0 (counted from 0) has t 0.5, which is no whole number from 0 to 2147483647"),
        (small('<node id="a" start="0"/>'), "row 0 (frame 0) has no finite position: [nan, nan]"),
        (
            small(node("a", 0).replace('value="1"', 'value="one"')),
            "attribute y is declared real, but could not convert string to float: 'one'",
        ),
        (small(node("a", 0))[:-20], "unclosed token: line 1, column 333"),
        ("id,t\n", "syntax error: line 1, column 0"),
        ("", "no element found: line 1, column 0"),
    ],
)
def test_bad_files_are_one_line(tmp_path, text, message):
    (tmp_path / "a.gexf").write_text(text)
    with pytest.raises(ValueError, match=f"^{re.escape(f'{tmp_path}/a.gexf is no readable GEXF: {message}')}$"):
        read(tmp_path / "a.gexf")


def test_an_edge_without_an_end(tmp_path):
    (tmp_path / "a.gexf").write_text(small(node("a", 0), '<edge source="a"/>'))
    with pytest.raises(ValueError, match=f"^{re.escape(f'{tmp_path}/a.gexf: an element lacks the attribute')} 'target'$"):
        read(tmp_path / "a.gexf")
