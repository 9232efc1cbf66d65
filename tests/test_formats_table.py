import gzip
import re
from dataclasses import replace

import numpy as np
import pytest
from format_laws import check_that_damage_is_one_line, check_that_what_is_held_comes_back
from hypothesis import HealthCheck, given, settings
from random_forests import WORDS, assert_same, forests, kept
from rich_forests import rich
from zoo import ZOO

from lineage.detections import Detections
from lineage.forest import Forest
from lineage.formats import read, table
from lineage.formats.csv_text import write_columns

HEADER = "id,parent_id,t,label,y,x,tracklet_id,parent_tracklet_id,lineage_id,generation,gap,link_cost\n"
relaxed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def test_a_division_as_text(tmp_path):
    forest = ZOO["division"]
    table.write(Forest(forest.detections, forest.parent, link_cost=[np.nan, -1.5, 0.1]), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == (
        HEADER + "0,-1,0,1,4.0,4.0,1,0,1,0,0,\n1,0,1,1,4.0,4.0,2,1,1,1,0,-1.5\n2,0,1,2,4.0,12.0,3,1,1,1,0,0.1\n"
    )


@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
@pytest.mark.parametrize("name", ZOO)
def test_zoo_comes_back(tmp_path, name, ending):
    path = tmp_path / f"a.{ending}"
    table.write(ZOO[name], path)
    if len(ZOO[name]):
        assert_same(read(path), kept(ZOO[name], source_id=True))
    else:
        assert len(read(path)) == 0
    assert [f.name for f in tmp_path.iterdir()] == [path.name]


@relaxed
@given(forests(words=WORDS.map("w{}".format)))  # a text column of nothing or of digits only cannot be told from numbers in a CSV
def test_random_forests_come_back(tmp_path, forest):
    if forest.selected.any():
        table.write(forest, tmp_path / "a.csv")
        assert_same(table.read(tmp_path / "a.csv"), kept(forest, source_id=True))


def test_what_is_held_comes_back(tmp_path):
    check_that_what_is_held_comes_back(table.write, table.read, tmp_path / "a.csv", table.HOLDS)


def test_what_has_no_place_is_written_as_text(tmp_path):
    cells = Detections([0], [[1, 2]], [1], {"phase": np.array([1 + 2j]), "day": np.array(["2020-02-02"], "M8[D]")})
    table.write(Forest(cells, [-1]), tmp_path / "a.csv")
    back = table.read(tmp_path / "a.csv").detections.columns
    assert {name: column.tolist() for name, column in back.items()} == {"phase": ["(1+2j)"], "day": ["2020-02-02 00:00:00"]}


def test_one_long_text_does_not_make_all_rows_long(tmp_path):
    rows = "".join(f"{i},0,1,1,-1,a\n" for i in range(1, 500))
    (tmp_path / "a.csv").write_text("id,t,y,x,parent_id,note\n0,0,1,1,-1," + "x" * 100_000 + "\n" + rows)
    note = read(tmp_path / "a.csv").detections.columns["note"]
    assert (len(note[0]), note[499], note.dtype) == (100_000, "a", object)


def test_whole_numbers_of_any_size(tmp_path):
    (tmp_path / "a.csv").write_text(f"id,t,y,x,parent_id,hash\n1,0,1,1,-1,{2**64 - 1}\n2,0,1,1,-1,0\n")
    assert read(tmp_path / "a.csv").detections.columns["hash"].tolist() == [2**64 - 1, 0]


@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
@pytest.mark.parametrize("seed", range(4))
def test_the_blocks_do_not_show(tmp_path, monkeypatch, ending, seed):
    """A file is the same to the byte, whether it is written from one data frame or some rows at a time."""
    forest = rich(np.random.default_rng(seed))
    n = len(forest)
    odd = {
        "when": np.arange(n).astype("datetime64[D]"),
        "thing": np.array([None, 1, "x", 2.5] * n, object)[:n],
        "half": np.ones(n, np.float16),
    }
    forest = replace(forest, detections=forest.detections.with_columns(**odd))
    frame = forest.to_dataframe()
    write_columns({name: frame[name].to_numpy() for name in frame}, tmp_path / f"whole.{ending}")
    monkeypatch.setattr("lineage.formats.blocks.ROWS", 3)
    table.write(forest, tmp_path / f"blocks.{ending}")
    assert (tmp_path / f"blocks.{ending}").read_bytes() == (tmp_path / f"whole.{ending}").read_bytes()


def test_tables_are_recognised_by_their_header(tmp_path):
    path = tmp_path / "a.csv"
    for text, known in {
        "id,t,y,x,parent_id\n": True,
        '"node_id","frame","z","y","x","parent_id"\n1,0,1,1,1,\n': True,
        "\ufeffid,t,y,x,parent_id\n": True,
        "id,t,y,x\n": False,
        "id t y x parent_id\n": False,
        "": False,
        "\x00": False,
    }.items():
        path.write_text(text, encoding="utf-8")
        assert table.recognises(path) == known, text
    path.write_bytes(b"\xff\xfe\x00")
    assert not table.recognises(path)
    assert not table.recognises(tmp_path)
    assert not table.recognises(tmp_path / "none.csv")


def test_gzip_is_gzip_and_the_same_every_time(tmp_path):
    for name in ("a.csv.gz", "b.csv.gz"):
        table.write(ZOO["step"], tmp_path / name)
    assert gzip.decompress((tmp_path / "a.csv.gz").read_bytes()).decode().startswith(HEADER)
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()


def test_other_tools_tables(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,y,node_id,frame,parent_id,track_id\n5,6,30,2,20.0,7\n1,2,10,0,,7\n3,4,20,1,10.0,7\n")
    forest = read(path)
    assert forest.parent.tolist() == [-1, 0, 1]
    assert forest.detections.frame.tolist() == [0, 1, 2]
    assert forest.detections.position.tolist() == [[2, 1], [4, 3], [6, 5]]
    assert {name: column.tolist() for name, column in forest.detections.columns.items()} == {
        "track_id": [7, 7, 7],
        "source_id": [10, 20, 30],
    }


def test_ids_of_64_bits_are_read_exactly(tmp_path):
    big = 2**53 + 1
    (tmp_path / "a.csv").write_text(f"id,t,y,x,parent_id\n{big},0,1,1,-1\n{big - 1},0,1,1,\n5,1,1,1,{big}\n")
    assert read(tmp_path / "a.csv").parent.tolist() == [-1, -1, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,t,y,parent_id\n", "there is no column x; there are id, t, y, parent_id"),
        ("a\n1\n", "there is no column id, t, parent_id, y, x; there are a"),
        ("id,t,y,x,parent_id\n1,0,1,1,-1\n1,0,1,1,-1\n", "row 1 has the id 1, but so has row 0"),
        ("id,t,y,x,parent_id\n1,0,1,1,-1\n2,1,1,1,7\n", "row 1 (id 2) has the parent 7, but no row has this id; no parent is -1 or empty"),
        (
            "id,t,y,x,parent_id\n1,1,1,1,2\n2,1,1,1,-1\n",
            "row 0 (id 1) has its parent, 2, in frame 1, not before frame 1: parents come earlier",
        ),
        ("id,t,y,x,parent_id\n1,0,1,1,1\n", "row 0 (id 1) has its parent, 1, in frame 0, not before frame 0: parents come earlier"),
        (
            "id,t,y,x,parent_id\n1,0,1,1,2\n2,1,1,1,1\n",
            "row 0 (id 1) has its parent, 2, in frame 1, not before frame 0: parents come earlier",
        ),
        ("id,t,y,x,parent_id\n1,0,1,1,-1\n2,0,,1,-1\n", "row 1 has no finite y: nan"),
        ("id,t,y,x,parent_id\n1,0,1,inf,-1\n", "row 0 has no finite x: inf"),
        ("id,t,y,x,parent_id\n1,0,1,left,-1\n", "row 0: x must be a number, not 'left'"),
        ("id,t,y,x,parent_id\n1,0.5,1,1,-1\n", "row 0: t must be a whole number, not '0.5'"),
        ("id,t,y,x,parent_id\n1,,1,1,-1\n", "row 0 has no t"),
        ("id,t,y,x,parent_id\n1,-2,1,1,-1\n", "row 0 is in frame -2, but frames are counted from 0"),
        ("id,t,y,x,parent_id\n1,3000000000,1,1,-1\n", "row 0 is in frame 3000000000, but frames are at most 2147483647"),
        (f"id,t,y,x,parent_id\n{2**63},0,1,1,-1\n", f"row 0: id must be a whole number, not '{2**63}'"),
        (f"id,t,y,x,parent_id\n{'9' * 40},0,1,1,-1\n", f"row 0: id must be a whole number, not '{'9' * 40}'"),
        ("id,t,y,x,parent_id,link_cost\n1,0,1,1,-1,cheap\n", "row 0: link_cost must be a number, not 'cheap'"),
        ("id,t,y,x,parent_id\nc1,0,1,1,-1\n", "row 0: id must be a whole number, not 'c1'"),
        ("id,t,y,x,parent_id\n1,0,1,1,mother\n", "row 0: parent_id must be a whole number, not 'mother'"),
    ],
)
def test_bad_tables_name_the_row(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=f"^{re.escape(f'{tmp_path}/a.csv: {message}')}$"):
        read(tmp_path / "a.csv")


@pytest.mark.parametrize("content", [b"", b"id,t\n1,2,3,4\n5,6,7\n8,9,1,2,3\n", b"\xff\xfe\x00\x80,\n"])
def test_what_is_no_table(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path))}/a\.csv(?: is no readable table)?: [^\n]+$"):
        read(tmp_path / "a.csv")


def test_damage_is_one_line(tmp_path):
    table.write(ZOO["two divisions in a row"], tmp_path / "a.csv")
    check_that_damage_is_one_line(table.read, tmp_path / "b.csv", (tmp_path / "a.csv").read_bytes())


def test_a_gz_that_is_cut(tmp_path):
    table.write(ZOO["two divisions in a row"], tmp_path / "a.csv.gz")
    check_that_damage_is_one_line(table.read, tmp_path / "b.csv.gz", (tmp_path / "a.csv.gz").read_bytes())


def test_rows_longer_than_the_header(tmp_path):
    (tmp_path / "a.csv").write_text("id,t,y,x,parent_id\n1,0,1,1,-1,7\n")
    message = f"{tmp_path}/a.csv is no readable table: rows have more values than the header has names"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        read(tmp_path / "a.csv")


def test_gz_that_is_none(tmp_path):
    (tmp_path / "a.csv.gz").write_text(HEADER)
    with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path))}/a\.csv\.gz is no readable table: [^\n]+$"):
        read(tmp_path / "a.csv.gz")


def test_positions_stay_physical(tmp_path):
    cells = Detections([0], [[0.1 + 0.2, 1 / 3, 1e-17]], [3], scale=(2.0, 0.5, 0.5))
    table.write(Forest(cells, [-1]), tmp_path / "a.csv")
    assert read(tmp_path / "a.csv").detections.position.tolist() == [[0.1 + 0.2, 1 / 3, 1e-17]]


@pytest.mark.parametrize(
    ("name", "cells", "roots", "divisions"),
    [
        ("embryos/astec_Pm02.csv.gz", 22466, 70, 501),
        ("embryos/linajea_120828_side1.csv.gz", 38156, 110, 149),
        ("embryos/live_CD20241009_JIM767_25_L1.csv.gz", 22568, 4, 410),
        ("formats/napari_csv/hela_example_tracks.csv", 8601, 141, 61),
        ("formats/mastodon/tgmm-mini.csv.gz", 3087, 106, 53),
    ],
)
def test_published_tables(data, name, cells, roots, divisions):
    forest = read(data / name)
    assert (len(forest), len(forest.roots), len(forest.divisions)) == (cells, roots, divisions)
