import io
import re
import struct
import zipfile
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from format_laws import check_that_damage_is_one_line, check_that_what_is_held_comes_back
from random_forests import assert_same, kept
from rich_forests import differing, rich
from zoo import ZOO

from lineage.detections import Detections
from lineage.forest import Forest
from lineage.formats import graphml, mastodon, mastodon_graph, mastodon_project, table
from lineage.formats.holding import losses


def test_a_division_as_text(tmp_path):
    forest = ZOO["division"]
    area = np.array([np.pi * 4, np.nan, np.pi])
    mastodon.write(Forest(forest.detections.with_columns(area=area), forest.parent), tmp_path / "a.csv")
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines[0] == "ID,PARENT_ID,FRAME,POSITION_X,POSITION_Y,POSITION_Z,RADIUS,LABEL,LINK_COST,area"
    assert [line.split(",")[:9] for line in lines[1:]] == [
        ["0", "-1", "0", "4.0", "4.0", "0", "2.0", "1", ""],
        ["1", "0", "1", "4.0", "4.0", "0", "1.5", "1", ""],  # the size of this one is not known
        ["2", "0", "1", "12.0", "4.0", "0", "1.0", "2", ""],
    ]


def test_a_ball_has_the_volume_of_its_cell(tmp_path):
    cells = Detections([0], [[1, 2, 3]], [1], {"area": np.array([4 / 3 * np.pi * 27])})
    mastodon.write(Forest(cells, [-1]), tmp_path / "a.csv")
    line = (tmp_path / "a.csv").read_text().splitlines()[1].split(",")
    assert (line[3:6], float(line[6])) == (["3.0", "2.0", "1.0"], pytest.approx(3))


@pytest.mark.parametrize("name", ZOO)
def test_zoo_comes_back(tmp_path, name):
    mastodon.write(ZOO[name], tmp_path / "a.csv")
    assert mastodon.recognises(tmp_path / "a.csv")
    back = mastodon.read(tmp_path / "a.csv")
    if len(ZOO[name]):
        assert_same(back, kept(ZOO[name]))
    else:
        assert len(back) == 0


def test_what_is_held_comes_back(tmp_path):
    check_that_what_is_held_comes_back(mastodon.write, mastodon.read, tmp_path / "a.csv", mastodon.HOLDS)


def test_flat_films_with_depth_stay_3d(tmp_path):
    mastodon.write(Forest(Detections([0], [[0, 2, 3]], [1]), [-1]), tmp_path / "a.csv")
    assert mastodon.read(tmp_path / "a.csv").detections.position.tolist() == [[0, 2, 3]]


def test_columns_that_have_names_of_the_format(tmp_path):
    columns = {"RADIUS": np.array([5, 6]), "generation": np.array([7, 8]), "id": np.array([0.5, 1.5])}
    mastodon.write(Forest(Detections([0, 1], [[1, 2], [3, 4]], [1, 1], columns), [-1, 0]), tmp_path / "a.csv")
    back = mastodon.read(tmp_path / "a.csv").detections
    assert {name: column.tolist() for name, column in back.columns.items()} == {k: v.tolist() for k, v in columns.items()}


@pytest.mark.parametrize("mother", ["PARENT_ID", "MOTHER_ID"])
def test_a_table_for_the_importer_of_mastodon(tmp_path, mother):
    (tmp_path / "a.csv").write_text(
        f"ID;QUALITY;POSITION_X;POSITION_Y;POSITION_Z;FRAME;RADIUS;TAG;{mother}\n"
        "7; 50.5; 11.0; 12.0; 5.0; 0; 4.; tag1; -1\n9; 1.5; 30.0; 31.0; 6.0; 1; 2; tag2; 7\n"
    )
    assert mastodon.recognises(tmp_path / "a.csv")
    back = mastodon.read(tmp_path / "a.csv")
    assert back.parent.tolist() == [-1, 0]
    assert back.detections.position.tolist() == [[5, 12, 11], [6, 31, 30]]
    assert {name: column.tolist() for name, column in back.detections.columns.items()} == {
        "QUALITY": [50.5, 1.5],
        "RADIUS": [4, 2],
        "TAG": ["tag1", "tag2"],
        "source_id": [7, 9],
    }


SPOTS = (
    "Label,ID,Spot frame,Spot position,Spot position,Spot position,Spot N links,Spot track ID\n"
    ",,,X,Y,Z,,\n,,,(µm),(µm),(µm),,\n"
    "mother,4,0,1.0,2.0,3.0,2,0\nson,6,1,4.0,5.0,6.0,1,0\ndaughter,5,1,7.0,8.0,9.0,1,0\n"
)
LINKS = "Label,ID,Link target IDs,Link target IDs\n,,Source spot id,Target spot id\n,,,\n4-6,0,4,6\n4-5,1,5,4\n"


@pytest.mark.parametrize("named", ["Spot", "Link"])
def test_the_two_tables_that_mastodon_leaves(tmp_path, named):
    (tmp_path / "MastodonTable-Spot.csv").write_text(SPOTS, encoding="utf-8")
    (tmp_path / "MastodonTable-Link.csv").write_text(LINKS)
    path = tmp_path / f"MastodonTable-{named}.csv"
    assert mastodon.recognises(path)
    back = mastodon.read(path)
    assert back.parent.tolist() == [-1, 0, 0]
    assert back.detections.position.tolist() == [[3, 2, 1], [6, 5, 4], [9, 8, 7]]
    assert {name: column.tolist() for name, column in back.detections.columns.items()} == {
        "source_id": [4, 6, 5],
        "name": ["mother", "son", "daughter"],
        "Spot N links": [2, 1, 1],
    }


def test_a_table_whose_other_half_is_missing(tmp_path):
    (tmp_path / "a-Spot.csv").write_text(SPOTS, encoding="utf-8")
    message = f"{tmp_path}/a-Spot.csv holds only the spots: the table of links is missing, {tmp_path}/a-Link.csv"
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(message)}$"):
        mastodon.read(tmp_path / "a-Spot.csv")


def test_spots_with_two_parents(tmp_path):
    (tmp_path / "a-Spot.csv").write_text(SPOTS.replace("daughter,5,1,7.0,8.0,9.0", "daughter,5,0,4.0,5.0,7.0"), encoding="utf-8")
    (tmp_path / "a-Link.csv").write_text(LINKS.replace("5,4", "5,6"))
    message = 'cell 6 has two parents, 4 and 5: lineages do not merge (merges="keep-nearest" keeps the nearer one)'
    with pytest.raises(ValueError, match=f"^{re.escape(f'{tmp_path}/a-Link.csv: {message}')}$"):
        mastodon.read(tmp_path / "a-Link.csv")
    assert mastodon.read(tmp_path / "a-Link.csv", merges="keep-nearest").parent.tolist() == [-1, -1, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ID,PARENT_ID,FRAME,POSITION_X\n", "there is no column POSITION_Y; there are ID, PARENT_ID, FRAME, POSITION_X"),
        ("ID,PARENT_ID,FRAME,POSITION_X,POSITION_Y\n1,-1,0,1,\n", "row 0 has no finite y: nan"),
        ("ID,PARENT_ID,FRAME,POSITION_X,POSITION_Y\n1,7,0,1,1\n", None),
        ("ID,PARENT_ID,FRAME,POSITION_X,POSITION_Y\n1,-1,0,1,1\n1,-1,0,1,1\n", "row 1 has the id 1, but so has row 0"),
    ],
)
def test_bad_tables_name_the_row(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    message = message or "row 0 (id 1) has the parent 7, but no row has this id; no parent is -1 or empty"
    with pytest.raises(ValueError, match=f"^{re.escape(f'{tmp_path}/a.csv: {message}')}$"):
        mastodon.read(tmp_path / "a.csv")


def asked_for(path):
    """A graph as Mastodon's importer takes it: no types but int and float, of nodes and edges only, and x, y, z, frame, label."""
    root = ElementTree.parse(path).getroot()
    space = "{http://graphml.graphdrawing.org/xmlns}"
    keys = {key.get("id"): key.attrib for key in root.findall(f"{space}key")}
    names = [key["attr.name"].lower() for key in keys.values()]
    assert len(set(names)) == len(names)
    assert {"x", "y", "z", "frame", "label"} <= set(names)
    assert {key["for"] for key in keys.values()} <= {"node", "edge"}
    assert {key["attr.type"] for key in keys.values()} <= {"int", "float"}
    nodes = {}
    for node in root.findall(f"{space}graph/{space}node"):
        said = nodes[node.get("id")] = {keys[data.get("key")]["attr.name"]: data.text for data in node.findall(f"{space}data")}
        for data in node.findall(f"{space}data"):
            whole = keys[data.get("key")]["attr.type"] == "int"
            assert -(2**31) <= int(data.text) < 2**31 if whole else isinstance(float(data.text), float)
        assert {"x", "y", "z", "frame", "label"} <= set(said)
    return nodes, {(edge.get("source"), edge.get("target")) for edge in root.findall(f"{space}graph/{space}edge")}


@pytest.mark.parametrize("name", ZOO)
def test_the_graph_says_what_mastodons_importer_asks_for(tmp_path, name):
    forest = ZOO[name]
    parts = (getattr(forest.detections, part) for part in ("frame", "position", "label"))
    cells = Detections(*parts, scale=(2.0,) * forest.detections.n_axes)
    mastodon_graph.write(Forest(cells, forest.parent, forest.selected), tmp_path / "a.graphml")
    nodes, edges = asked_for(tmp_path / "a.graphml")
    rows = np.flatnonzero(forest.selected)
    for said, row in zip(nodes.values(), rows, strict=True):
        assert int(said["frame"]) == cells.frame[row]
        place = [float(said[axis]) for axis in "zyx"]
        assert place[-cells.n_axes :] == (cells.position[row] / 2).tolist()  # in pixels
    number = dict(zip(rows.tolist(), nodes, strict=True))
    assert edges == {(number[int(forest.parent[i])], number[i]) for i in forest.child_rows.tolist()}


@pytest.mark.parametrize("name", ZOO)
def test_the_graphs_of_the_zoo_come_back(tmp_path, name):
    mastodon_graph.write(ZOO[name], tmp_path / "a.graphml")
    assert mastodon_graph.recognises(tmp_path / "a.graphml")
    back, whole = mastodon_graph.read(tmp_path / "a.graphml"), kept(ZOO[name])
    length = ZOO[name].detections.n_frames
    if len(whole):
        assert_same(back, replace(whole, detections=replace(whole.detections, n_frames=length)))
    else:
        assert (len(back), back.detections.n_frames) == (0, length)


def test_what_a_graph_holds_comes_back(tmp_path):
    path = tmp_path / "a.graphml"
    for seed in range(40):
        forest = rich(np.random.default_rng(seed))
        mastodon_graph.write(forest, path)
        asked_for(path)
        expected = {loss.facet for loss in losses(forest, mastodon_graph.HOLDS) + mastodon_graph.look(forest)}
        assert differing(forest, mastodon_graph.read(path)) == expected, seed


def test_columns_that_a_graph_of_mastodon_keeps_for_itself(tmp_path):
    columns = {"X": np.array([5, 6]), "Label": np.array([7, 8]), "cell_t": np.array([0.5, 1.5]), "on": np.array([True, False])}
    mastodon_graph.write(Forest(Detections([0, 1], [[1, 2], [3, 4]], [1, 1], columns), [-1, 0]), tmp_path / "a.graphml")
    nodes, _ = asked_for(tmp_path / "a.graphml")
    assert nodes["0"]["cell_X"] == "5"
    back = mastodon_graph.read(tmp_path / "a.graphml").detections
    assert {name: column.tolist() for name, column in back.columns.items()} == {k: v.tolist() for k, v in columns.items()}


def test_graphs_of_others(tmp_path):
    graphml.write(ZOO["division"], tmp_path / "a.graphml")
    assert not mastodon_graph.recognises(tmp_path / "a.graphml")
    assert_same(mastodon_graph.read(tmp_path / "a.graphml"), ZOO["division"])


def test_damaged_graphs_are_one_line(tmp_path):
    mastodon_graph.write(ZOO["two divisions in a row"], tmp_path / "a.graphml")
    check_that_damage_is_one_line(mastodon_graph.read, tmp_path / "b.graphml", (tmp_path / "a.graphml").read_bytes(), seeds=150)


def test_numbers_that_mastodon_cannot_count(tmp_path):
    forest = Forest(Detections([0], [[1, 2]], [2**31]), [-1])
    message = "Mastodon counts with 32 bits: detections, frames and labels must be below 2147483648"
    for write in (mastodon.write, mastodon_graph.write):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            write(forest, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


PROJECT = '<?xml version="1.0"?><MamutProject version="0.3"><SpaceUnits>µm</SpaceUnits><TimeUnits>frame</TimeUnits></MamutProject>'


def spot(frame, x, y, z, radius=2.0):
    return struct.pack("<dddi7d", x, y, z, frame, radius**2, 0, 0, radius**2, 0, radius**2, radius**2)


def model(spots, links, *, size=50, n_spots=None):
    """What Mastodon saves: an object stream with its data in blocks, then an object."""
    data = struct.pack(">i", len(spots) if n_spots is None else n_spots) + b"".join(spots)
    data += struct.pack(">i", len(links)) + b"".join(struct.pack(">iiii", *link, 0, 0) for link in links)
    parts = [data[k : k + size] for k in range(0, len(data), size)]
    head = (lambda part: struct.pack(">Bi", 0x7A, len(part))) if size > 255 else (lambda part: struct.pack(">BB", 0x77, len(part)))
    return b"\xac\xed\x00\x05" + b"".join(head(part) + part for part in parts) + b"\x75r\x00\x13[Ljava.lang.String;"


def project(raw, text=PROJECT):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.raw", raw)
        archive.writestr("project.xml", text)
    return file.getvalue()


GOOD = model([spot(1, 1, 2, 3), spot(0, 4, 5, 6, radius=3), spot(1, 7, 8, 9)], [(1, 0), (1, 2)])


@pytest.mark.parametrize("size", [50, 200, 1024])
def test_a_project(tmp_path, size):
    (tmp_path / "a.mastodon").write_bytes(project(model([spot(1, 1, 2, 3), spot(0, 4, 5, 6, radius=3)], [(1, 0)], size=size)))
    assert mastodon_project.recognises(tmp_path / "a.mastodon")
    back = mastodon_project.read(tmp_path / "a.mastodon")
    assert back.parent.tolist() == [-1, 0]
    assert back.detections.position.tolist() == [[6, 5, 4], [3, 2, 1]]
    np.testing.assert_allclose(back.detections.columns["radius"], [3, 2])
    assert back.detections.columns["covariance"][0].tolist() == [[9, 0, 0], [0, 9, 0], [0, 0, 9]]
    assert back.record == {"space_units": "µm", "time_units": "frame"}


def test_the_axes_of_an_ellipsoid_are_turned_with_its_place(tmp_path):
    raw = struct.pack("<dddi7d", 1, 2, 3, 0, 11, 12, 13, 22, 23, 33, 99)
    (tmp_path / "a.mastodon").write_bytes(project(model([raw], [])))
    covariance = mastodon_project.read(tmp_path / "a.mastodon").detections.columns["covariance"]
    assert covariance[0].tolist() == [[33, 23, 13], [23, 22, 12], [13, 12, 11]]


BOMB = '<!DOCTYPE p [<!ENTITY a "aa">]><p>&a;</p>'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (project(b"nothing"), "its model.raw does not begin as a Java object stream"),
        (project(GOOD[:30]), "its model.raw ends inside a block"),
        (project(model([], [], n_spots=10**9)), "its model.raw claims 1000000000 spots, but ends before them"),
        (project(model([], [], n_spots=-1)), "its model.raw claims -1 spots, but ends before them"),
        (project(model([spot(0, 1, 2, 3)], [(0, 5)])), "link 0 has the target 5, but there are 1 spots"),
        (project(model([spot(0, 1, 2, 3)] * 2, [(0, 1)])), "edge 0 -> 1 goes from frame 0 to frame 0: parents come earlier"),
        (
            project(model([spot(0, 1, 2, 3), spot(0, 1, 2, 4), spot(1, 1, 2, 3)], [(0, 2), (1, 2)])),
            'cell 2 has two parents, 0 and 1: lineages do not merge (merges="keep-nearest" keeps the nearer one)',
        ),
        (project(model([spot(-3, 1, 2, 3)], [])), "row 0 is in frame -3, but frames are counted from 0"),
        (project(model([spot(0, np.nan, 2, 3)], [])), "row 0 (frame 0) has no finite position: [3.0, 2.0, nan]"),
        (project(GOOD, BOMB), "its project.xml declares a document type or entities, which are refused"),
        (project(GOOD, "<p>"), "its project.xml is no XML: no element found: line 1, column 3"),
        (b"PK", "File is not a zip file"),
        (b"", "File is not a zip file"),
    ],
)
def test_bad_projects_are_one_line(tmp_path, content, message):
    (tmp_path / "a.mastodon").write_bytes(content)
    with pytest.raises(ValueError, match=f"^{re.escape(f'{tmp_path}/a.mastodon is no readable project of Mastodon: {message}')}$"):
        mastodon_project.read(tmp_path / "a.mastodon")


def test_a_project_that_is_far_larger_than_its_file(tmp_path):
    (tmp_path / "a.mastodon").write_bytes(project(b"\x00" * 2**24))
    message = r"is no readable project of Mastodon: its model\.raw claims 16777216 bytes out of \d+, which is not believed$"
    with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path))}/a\.mastodon {message}"):
        mastodon_project.read(tmp_path / "a.mastodon")


def test_an_archive_of_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("other", "")
    assert not mastodon_project.recognises(tmp_path / "a.zip")
    with pytest.raises(
        ValueError, match=rf"^{re.escape(str(tmp_path))}/a\.zip is no readable project of Mastodon: it has no model\.raw, project\.xml$"
    ):
        mastodon_project.read(tmp_path / "a.zip")


def test_damage_is_one_line(tmp_path):
    check_that_damage_is_one_line(mastodon_project.read, tmp_path / "a.mastodon", project(GOOD), seeds=200)


def test_a_project_of_mastodon_itself(data):
    back = mastodon_project.read(data / "formats" / "mastodon" / "tgmm-mini.mastodon")
    truth = table.read(data / "formats" / "mastodon" / "tgmm-mini.csv.gz")
    assert (len(back), len(back.child_rows), len(back.roots), len(back.divisions)) == (3087, 2981, 106, 53)
    assert back.parent.tolist() == truth.parent.tolist()
    assert back.detections.frame.tolist() == truth.detections.frame.tolist()
    np.testing.assert_allclose(back.detections.position, truth.detections.position, atol=6e-4)  # the truth is rounded
    assert back.detections.columns["covariance"].shape == (3087, 3, 3)
