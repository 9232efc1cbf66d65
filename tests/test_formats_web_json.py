import json
import re

import numpy as np
import pytest
from format_laws import check_that_damage_is_one_line, check_that_what_is_held_comes_back
from hypothesis import HealthCheck, given, settings
from random_forests import assert_same, forests
from zoo import ZOO

from lineage.detections import Detections
from lineage.forest import Forest
from lineage.formats import web_json

relaxed = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def written(forest, folder):
    web_json.write(forest, folder / "a.json")
    return json.loads((folder / "a.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_a_division_as_objects(tmp_path):
    forest = ZOO["division"]
    said = written(Forest(forest.detections, forest.parent, link_cost=[np.nan, -1.5, np.inf]), tmp_path)
    assert (said["format"], said["axes"], said["n_frames"], said["interval"]) == ("cytolineage-tracklets", ["y", "x"], 2, None)
    mother, first, second = said["tracklets"]
    assert mother == {
        "id": 1,
        "parent": None,
        "children": [2, 3],
        "lineage": 1,
        "generation": 0,
        "start": 0,
        "end": 0,
        "fate": "divides",
        "row": [0],
        "frame": [0],
        "label": [1],
        "position": [[4.0, 4.0]],
        "link_cost": [None],
        "columns": {},
    }
    assert [(t["parent"], t["children"], t["generation"], t["link_cost"]) for t in (first, second)] == [
        (1, [], 1, [-1.5]),
        (1, [], 1, ["Infinity"]),
    ]


@pytest.mark.parametrize("name", ZOO)
def test_zoo_comes_back(tmp_path, name):
    web_json.write(ZOO[name], tmp_path / "a.json")
    assert web_json.recognises(tmp_path / "a.json")
    assert_same(web_json.read(tmp_path / "a.json"), ZOO[name])


@relaxed
@given(forests())
def test_random_forests_come_back(tmp_path, forest):
    web_json.write(forest, tmp_path / "a.json")
    back = web_json.read(tmp_path / "a.json")
    assert_same(back, forest)
    assert (back.certificate, back.record) == (forest.certificate, forest.record)


def test_what_is_held_comes_back(tmp_path):
    check_that_what_is_held_comes_back(web_json.write, web_json.read, tmp_path / "a.json", web_json.HOLDS)


def test_odd_types_and_infinite_numbers(tmp_path):
    columns = {
        "byte": np.array([0, 255], np.uint8),
        "huge": np.array([2**64 - 1, 0], np.uint64),
        "half": np.array([np.inf, np.nan], np.float16),
        "boxes": np.array([[[1, 2]], [[3, 4]]], np.int16),
        "name": np.array(["\u2028</script>", "\x00é"]),
        "object": np.array(["a", "bcd"], dtype=object),
    }
    written(Forest(Detections([0, 1], [[1, 2], [3, 4]], [1, 1], columns, interval=2.5), [-1, 0]), tmp_path)
    back = web_json.read(tmp_path / "a.json").detections
    assert back.interval == 2.5
    for name, column in columns.items():
        assert name == "object" or back.columns[name].dtype == column.dtype
        np.testing.assert_array_equal(back.columns[name], column)


ODD = (",", "<M8[s]", "V99", "i4,(3", 7, None, "<U" + "9" * 20)
NONE = {"row": [], "frame": [], "label": [], "position": [], "columns": {}}


def changed(**entries):
    return {
        "format": "cytolineage-tracklets",
        "axes": ["y", "x"],
        "scale": [1.0, 1.0],
        "n_frames": 2,
        "types": {},
        "shapes": {},
        "record": {},
        "unselected": NONE,
        "tracklets": [tracklet(1, None, 0)],
    } | entries


def tracklet(number, parent, at, /, **entries):
    facts = {"id": number, "parent": parent, "row": [at], "frame": [at], "label": [1], "position": [[1, 2]], "link_cost": [None]}
    return facts | {"columns": {}} | entries


def test_what_another_program_might_write(tmp_path):
    two = [tracklet(7, 9, 1), tracklet(9, None, 0)]
    (tmp_path / "a.json").write_text(json.dumps(changed(tracklets=two), separators=(",", ":")))
    assert web_json.recognises(tmp_path / "a.json")
    assert web_json.read(tmp_path / "a.json").parent.tolist() == [-1, 0]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ([], 'it is not "format": "cytolineage-tracklets"'),
        ({"format": "geojson"}, 'it is not "format": "cytolineage-tracklets"'),
        (changed(tracklets=[tracklet(1, 2, 0)]), "tracklet 1 has the parent 2, which does not exist"),
        (changed(tracklets=[tracklet(1, None, 3)]), "the rows of its tracklets and of what is not selected are not 0 to 0, each once"),
        (changed(tracklets=[tracklet(1, 2, 1, frame=[0]), tracklet(2, None, 0, frame=[0])]), None),
        (changed(tracklets=[tracklet(1, None, 0, frame=[0.5])]), "frame holds 0.5, which is no whole number"),
        (changed(tracklets=[tracklet(1, None, 0, frame=[True])]), "frame holds true, which is no whole number"),
        (changed(tracklets=[tracklet(1, None, 0, position=[[None, 1]])]), "row 0 (frame 0) has no finite position: [nan, 1.0]"),
        (changed(tracklets=[tracklet(1, None, 0, link_cost=[])]), "the column link_cost has 0 values, but there are 1 detections"),
        (changed(tracklets=[tracklet(1, None, 0, row=[], frame=[], label=[], position=[], link_cost=[])]), "tracklet 1 has no rows"),
        *(
            (
                changed(types={"a": kind}, unselected=NONE | {"columns": {"a": []}}, tracklets=[tracklet(1, None, 0, columns={"a": [1]})]),
                f"the column a is of type {str(kind)[:20]!r}, which is nothing that we write",
            )
            for kind in ODD
        ),
        (changed(n_frames=10**30), None),
        (changed(record=[1]), None),
        (changed(scale=["wide", 1]), None),
    ],
)
def test_bad_files_are_one_line(tmp_path, said, message):
    (tmp_path / "a.json").write_text(json.dumps(said))
    expected = re.escape(f"{tmp_path}/a.json is no readable JSON of lineages: {message or ''}") + ("" if message else "[^\n]+")
    with pytest.raises(ValueError, match=f"^{expected}$"):
        web_json.read(tmp_path / "a.json")


def test_an_entry_that_lacks(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"format": "cytolineage-tracklets"}))
    with pytest.raises(ValueError, match=f"^{re.escape(f'{tmp_path}/a.json: something lacks the entry')} 'tracklets'$"):
        web_json.read(tmp_path / "a.json")


@pytest.mark.parametrize("text", ["[" * 100_000, "{" * 100_000, '{"a":' * 100_000, "", "nonsense", "\xff", "1" * 10_000])
def test_what_is_no_json(tmp_path, text):
    (tmp_path / "a.json").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path))}/a\.json is no readable JSON of lineages: [^\n]+$"):
        web_json.read(tmp_path / "a.json")
    assert not web_json.recognises(tmp_path / "a.json")


def test_damage_is_one_line(tmp_path):
    web_json.write(ZOO["two divisions in a row"], tmp_path / "a.json")
    check_that_damage_is_one_line(web_json.read, tmp_path / "b.json", (tmp_path / "a.json").read_bytes())


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(f'no such file: {tmp_path}/a.json')}$"):
        web_json.read(tmp_path / "a.json")
