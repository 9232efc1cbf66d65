import re

import numpy as np
import pytest
from format_laws import check_that_damage_is_one_line, check_that_what_is_held_comes_back
from random_forests import assert_same, kept
from zoo import ZOO

from lineage.detections import Detections
from lineage.forest import Forest
from lineage.formats import newick, newick_read


def plain(text):
    """A tree without its comments."""
    return re.sub(r"\[.*?\]", "", text).strip()


def test_a_division_as_text(tmp_path):
    newick.write(ZOO["division"], tmp_path / "a.nwk")
    assert (tmp_path / "a.nwk").read_text() == (
        "(c2:1[&&NHX:frames=1:row=1:label=1:y=4.0:x=4.0],c3:1[&&NHX:frames=1:row=2:label=2:y=4.0:x=12.0])"
        "c1:1[&&NHX:frames=0:row=0:label=1:y=4.0:x=4.0];\n"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("empty", ""),
        ("step", "c1:2;"),
        ("two strangers", "c1:2;\nc2:2;"),
        ("division with a past", "(c2:2,c3:2)c1:2;"),
        ("two divisions in a row", "((c4:1,c5:1)c2:1,c3:2)c1:1;"),
        ("gap", "c1:5;"),  # the branch is as long as the frames that pass, seen or not
        ("division over a gap", "(c2:3,c3:2)c1:2;"),
        ("late daughter", "(c2:2,c3:2)c1:1;"),
    ],
)
def test_branches_are_as_long_as_the_life_of_a_cell(tmp_path, name, text):
    newick.write(ZOO[name], tmp_path / "a.nwk")
    assert plain((tmp_path / "a.nwk").read_text()) == text


@pytest.mark.parametrize("name", ZOO)
def test_zoo_comes_back(tmp_path, name):
    newick.write(ZOO[name], tmp_path / "a.nwk")
    back = newick_read.read(tmp_path / "a.nwk")
    if len(ZOO[name]):
        assert_same(back, kept(ZOO[name]))
        assert newick.recognises(tmp_path / "a.nwk")
    else:
        assert len(back) == 0


def test_what_is_held_comes_back(tmp_path):
    check_that_what_is_held_comes_back(newick.write, newick_read.read, tmp_path / "a.nwk", newick.HOLDS)


def test_another_tools_tree(tmp_path):
    (tmp_path / "a.nwk").write_text("[&R] ((A:2,'B''s [cell]':1):1,C_c:3[a remark])root;\n(x,y);;\n")
    back = newick_read.read(tmp_path / "a.nwk")
    cells = back.detections
    names = cells.columns["name"].tolist()
    assert sorted(names) == sorted([*["A"] * 2, "B's [cell]", *["C_c"] * 3, "root", "", "", "x", "y"])
    assert len(back.roots) == 2
    assert len(back.divisions) == 3
    assert cells.frame[[names.index("root"), names.index("A"), names.index("B's [cell]"), names.index("C_c")]].tolist() == [0, 2, 2, 1]
    assert cells.position[:, 0].tolist() == cells.frame.tolist()
    assert back.record == {"positions": "drawn as a tree, for the file has none"}


def test_our_own_tree_without_its_comments(tmp_path):
    newick.write(ZOO["division with a past"], tmp_path / "a.nwk")
    (tmp_path / "b.nwk").write_text(plain((tmp_path / "a.nwk").read_text()))
    back = newick_read.read(tmp_path / "b.nwk")
    assert back.parent.tolist() == [-1, 0, 1, 1, 2, 3]
    assert back.detections.frame.tolist() == [0, 1, 2, 2, 3, 3]


def test_depth_does_no_harm(tmp_path):
    n = 2_000
    parent = np.empty(2 * n - 1, int)  # a caterpillar: in every frame one of two sisters divides
    parent[0], parent[1::2], parent[2::2] = -1, np.arange(n - 1) * 2 - 1, np.arange(n - 1) * 2 - 1
    parent[1:3] = 0
    frame = np.concatenate([[0], np.repeat(np.arange(1, n), 2)])
    cells = Detections(frame, np.column_stack([frame, parent]), np.zeros(2 * n - 1, int))
    newick.write(Forest(cells, parent), tmp_path / "a.nwk")
    assert newick_read.read(tmp_path / "a.nwk").parent.tolist() == parent.tolist()
    (tmp_path / "b.nwk").write_text("(" * 10_000 + ")" * 10_000 + ";")
    assert len(newick_read.read(tmp_path / "b.nwk").roots) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(a,b", "the text ends inside a tree: a bracket or a semicolon is missing"),
        ("a", "the text ends inside a tree: a bracket or a semicolon is missing"),
        ("(a,b));", "a bracket closes at character 5 that was never opened"),
        ("((a,b);", "a tree ends at character 6 while 1 of its brackets are open"),
        ("a,b;", "there is a comma outside of brackets at character 1"),
        ("a(b);", "a bracket opens at character 1 where a comma or the end of a tree is due"),
        ("a b;", "a second name, 'b', at character 2"),
        ("a:1 2;", "a second branch length, 2, at character 4"),
        ("'a;", '"\'" at character 0 begins nothing that ends'),
        ("(a[remark;", "'[' at character 2 begins nothing that ends"),
        ("(a:0.5,b);", "the branch length 0.5 of node 'a' is no whole number of frames, 1 or more"),
        ("(a:0,b);", "the branch length 0 of node 'a' is no whole number of frames, 1 or more"),
        ("(a:-1,b);", "the branch length -1 of node 'a' is no whole number of frames, 1 or more"),
        ("(a:nan,b);", "the branch length nan of node 'a' is no whole number of frames, 1 or more"),
        ("(a:long,b);", "the branch length 'long' of node 'a' is no number"),
        ("a:1e9;", "the branch of node 'a' is 1e9 frames long, more than 1000000"),
        ("(a:900000,b:900000);", "its branches are 1800001 frames long together, more than 1000000: give them in frames"),
        ("(a[&&NHX:frames=1:row=0:label=1:y=1:x=1],b);", "node 'b' has no comment with frames, but others have"),
        ("a[&&NHX:frames=1|2:row=0|1:label=1:y=1|1:x=1|1];", "node 'a' has 2 frames, but 1 values of label"),
        ("a[&&NHX:frames=2|1:row=0|1:label=1|1:y=1|1:x=1|1];", "node 'a' has frame 1 after frame 2: time goes forward"),
        ("a[&&NHX:frames=1:row=0:label=1:y=nan:x=1];", "row 0 (frame 1) has no finite position: [nan, 1.0]"),
        ("a[&&NHX:frames=one:row=0:label=1:y=1:x=1];", "invalid literal for int() with base 10: 'one'"),
        (f"a[&&NHX:frames={10**30}:row=0:label=1:y=1:x=1];", "Python int too large to convert to C long"),
    ],
)
def test_bad_trees_are_one_line(tmp_path, text, message):
    (tmp_path / "a.nwk").write_text(text)
    with pytest.raises(ValueError, match=f"^{re.escape(f'{tmp_path}/a.nwk is no readable Newick: {message}')}$"):
        newick_read.read(tmp_path / "a.nwk")


def test_damage_is_one_line(tmp_path):
    newick.write(ZOO["two divisions in a row"], tmp_path / "a.nwk")
    check_that_damage_is_one_line(newick_read.read, tmp_path / "b.nwk", (tmp_path / "a.nwk").read_bytes())


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(f'no such file: {tmp_path}/a.nwk')}$"):
        newick_read.read(tmp_path / "a.nwk")
    assert not newick.recognises(tmp_path / "a.nwk")
