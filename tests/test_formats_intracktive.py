import importlib.util
import re

import numpy as np
import pytest
from format_laws import check_that_damage_is_one_line, check_that_what_is_held_comes_back
from random_forests import assert_same, kept
from zoo import ZOO

from lineage.detections import Detections
from lineage.forest import Forest
from lineage.formats import intracktive

ENDINGS = [
    "csv",
    "csv.gz",
    pytest.param("parquet", marks=pytest.mark.skipif(not importlib.util.find_spec("pyarrow"), reason="pyarrow is not installed")),
]


def test_a_division_over_a_gap_as_text(tmp_path):
    intracktive.write(ZOO["division over a gap"], tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == (
        "track_id,t,y,x,parent_track_id,label,link_cost\n"
        "1,0,4.0,4.0,-1,1,\n1,1,4.0,4.0,-1,1,\n2,3,4.0,4.0,1,1,\n3,3,4.0,12.0,1,2,\n2,4,4.0,4.0,1,1,\n"
    )


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", ZOO)
def test_zoo_comes_back(tmp_path, name, ending):
    path = tmp_path / f"a.{ending}"
    intracktive.write(ZOO[name], path)
    assert intracktive.recognises(path)
    back = intracktive.read(path)
    if len(ZOO[name]):
        assert_same(back, kept(ZOO[name]))
    else:
        assert len(back) == 0


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_held_comes_back(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    check_that_what_is_held_comes_back(intracktive.write, intracktive.read, path, intracktive.HOLDS)


def test_columns_that_have_names_of_the_format(tmp_path):
    columns = {"track_id": np.array([5, 6]), "t": np.array([0.5, 1.5]), "cell_z": np.array([1, 2]), "cell_size": np.array([3, 4])}
    intracktive.write(Forest(Detections([0, 1], [[1, 2], [3, 4]], [1, 1], columns), [-1, 0]), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().splitlines()[0].endswith(",cell_track_id,cell_t,cell_cell_z,cell_size")
    back = intracktive.read(tmp_path / "a.csv").detections
    assert {name: column.tolist() for name, column in back.columns.items()} == {k: v.tolist() for k, v in columns.items()}


def test_a_table_of_ultrack_without_ids(tmp_path):
    (tmp_path / "tracks.csv").write_text(
        "track_id,t,z,y,x,parent_track_id\n3,2,1,1,1,1\n1,0,0,0,0,-1\n1,1,0,0,0.5,-1\n2,3,5,5,5,1\n3,3,1,1,2,1\n4,0,9,9,9,0\n"
    )
    back = intracktive.read(tmp_path / "tracks.csv")
    assert back.detections.frame.tolist() == [0, 0, 1, 2, 3, 3]
    assert back.parent.tolist() == [-1, -1, 0, 2, 2, 3]
    assert back.detections.position[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("track_id,t,y,x\n1,0,1,1\n", "there is no column parent_track_id; there are track_id, t, y, x"),
        ("1,0,1,1,-1\n1,0,2,2,-1\n", "rows 0 and 1 are both in frame 0 of track 1: a track has one cell a frame"),
        ("1,0,1,1,9\n", "parent track 9 of track 1 has no rows"),
        ("1,3,1,1,-1\n2,2,1,1,1\n", "track 2 begins in frame 2, but its parent, track 1, ends in frame 3: parents end before"),
        ("1,0,1,1,2\n2,1,1,1,1\n", "track 1 begins in frame 0, but its parent, track 2, ends in frame 1: parents end before"),
        ("1,0,1,1,-1\n2,0,1,1,-1\n3,1,1,1,1\n3,2,1,1,2\n", "track 3 has two parents, tracks 1 and 2: lineages do not merge"),
        ("1,-1,1,1,-1\n", "row 0 is in frame -1, but frames are counted from 0"),
        ("1,99999999999,1,1,-1\n", "row 0 is in frame 99999999999, but frames are at most 2147483647"),
        ("1,0,nan,1,-1\n", "row 0 has no finite y: nan"),
        ("1,0,1,inf,-1\n", "row 0 has no finite x: inf"),
        ("a,0,1,1,-1\n", "row 0: track_id must be a whole number, not 'a'"),
        ("1,0,1,1,up\n", "row 0: parent_track_id must be a whole number, not 'up'"),
        (",0,1,1,-1\n", "row 0 has no track_id"),
    ],
)
def test_bad_tables_name_the_row(tmp_path, text, message):
    head = "" if "track_id" in text else "track_id,t,y,x,parent_track_id\n"
    (tmp_path / "a.csv").write_text(head + text)
    with pytest.raises(ValueError, match=f"^{re.escape(f'{tmp_path}/a.csv: {message}')}$"):
        intracktive.read(tmp_path / "a.csv")


def test_rows_longer_than_the_header(tmp_path):
    (tmp_path / "a.csv").write_text("track_id,t,y,x,parent_track_id\n1,0,1,1,-1,7\n")
    message = f"{tmp_path}/a.csv is no readable table: rows have more values than the header has names"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        intracktive.read(tmp_path / "a.csv")


def test_damage_is_one_line(tmp_path):
    intracktive.write(ZOO["two divisions in a row"], tmp_path / "a.csv")
    check_that_damage_is_one_line(intracktive.read, tmp_path / "b.csv", (tmp_path / "a.csv").read_bytes())


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(f'no such table: {tmp_path}/a.csv')}$"):
        intracktive.read(tmp_path / "a.csv")
    assert not intracktive.recognises(tmp_path / "a.csv")
