import json
import re
import sys

import numpy as np
import pytest
from format_laws import check_that_damage_is_one_line, check_that_what_is_held_comes_back
from hypothesis import HealthCheck, given, settings
from random_forests import assert_same, forests
from zoo import ZOO

from lineage.detections import Detections
from lineage.forest import Forest
from lineage.formats import parquet

relaxed = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def test_without_pyarrow_one_line_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    message = r"^Parquet files need the package pyarrow \([^\n]+\): pip install 'cytolineage\[parquet\]'$"
    with pytest.raises(ValueError, match=message):
        parquet.write(ZOO["step"], tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=message):
        parquet.read(tmp_path / "a.parquet")
    assert [file.name for file in tmp_path.iterdir()] == ["a.parquet"]
    assert parquet.recognises(tmp_path / "a.parquet")


def test_a_division_as_another_tool_sees_it(tmp_path):
    files = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    parquet.write(ZOO["division"], tmp_path / "a.parquet")
    table = files.read_table(tmp_path / "a.parquet")
    assert table.to_pydict() == {
        "id": [0, 1, 2],
        "parent_id": [-1, 0, 0],
        "t": [0, 1, 1],
        "label": [1, 1, 2],
        "y": [4.0, 4.0, 4.0],
        "x": [4.0, 4.0, 12.0],
        "tracklet_id": [1, 2, 3],
        "parent_tracklet_id": [0, 1, 1],
        "lineage_id": [1, 1, 1],
        "generation": [0, 1, 1],
        "link_cost": [pytest.approx(np.nan, nan_ok=True)] * 3,
    }
    said = json.loads(table.schema.metadata[b"cytolineage"])
    assert (said["scale"], said["n_frames"]) == ([1.0, 1.0], 2)


@pytest.mark.parametrize("name", ZOO)
def test_zoo_comes_back(tmp_path, name):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet.write(ZOO[name], tmp_path / "a.parquet")
    assert parquet.recognises(tmp_path / "a.parquet")
    assert_same(parquet.read(tmp_path / "a.parquet"), ZOO[name])


@relaxed
@given(forests())
def test_random_forests_come_back(tmp_path, forest):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet.write(forest, tmp_path / "a.parquet")
    back = parquet.read(tmp_path / "a.parquet")
    assert_same(back, forest)
    assert (back.certificate, back.record) == (forest.certificate, forest.record)
    assert all(column.dtype == forest.detections.columns[name].dtype or not len(column) for name, column in back.detections.columns.items())


def test_what_is_held_comes_back(tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    check_that_what_is_held_comes_back(parquet.write, parquet.read, tmp_path / "a.parquet", parquet.HOLDS)


def test_odd_types(tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    columns = {
        "id": np.array([0, 255], np.uint8),
        "cell_id": np.array([5, 6], np.int16),
        "huge": np.array([2**64 - 1, 0], np.uint64),
        "half": np.array([np.inf, np.nan], np.float16),
        "other_end": np.array([1, 2], ">i4"),
        "strided": np.arange(4)[::2],
        "boxes": np.array([[[1, 2]], [[3, 4]]], np.int16),
        "none": np.zeros((2, 0), np.float32),
        "truth": np.array([[True, False], [False, True]]),
        "names": np.array([["a", "b"], ["c", "\u2028é"]]),
        "long": np.array(["x" * 10_000, ""], dtype=object),
    }
    cells = Detections([0, 1], [[1, 2], [3, 4]], [1, 1], columns, interval=2.5)
    parquet.write(Forest(cells, [-1, 0]), tmp_path / "a.parquet")
    back = parquet.read(tmp_path / "a.parquet").detections
    assert list(back.columns) == list(columns)
    for name, column in columns.items():
        assert name == "long" or back.columns[name].dtype == column.dtype
        np.testing.assert_array_equal(back.columns[name], column)


def test_another_tools_table(tmp_path):
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    files = pytest.importorskip("pyarrow.parquet")
    table = arrow.table(
        {
            "node_id": arrow.array([30, 10, 20], arrow.uint16()),
            "frame": [2, 0, 1],
            "parent_id": [20, None, 10],
            "y": [6, 2, 4],
            "x": [5.0, 1.0, 3.0],
            "kind": arrow.array(["a", None, "c"]).dictionary_encode(),
            "lists": [[1], [2, 3], None],
        }
    )
    files.write_table(table, tmp_path / "a.parquet")
    back = parquet.read(tmp_path / "a.parquet")
    assert back.parent.tolist() == [-1, 0, 1]
    assert back.detections.position.tolist() == [[2, 1], [4, 3], [6, 5]]
    found = {name: column.tolist() for name, column in back.detections.columns.items()}
    assert found == {"kind": ["", "c", "a"], "source_id": [10, 20, 30]}


def test_a_small_file_that_claims_many_rows(tmp_path):
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    files = pytest.importorskip("pyarrow.parquet")
    table = arrow.table({name: np.zeros(2_000_000, np.int8) for name in ("id", "t", "parent_id", "y", "x")})
    files.write_table(table, tmp_path / "a.parquet")
    size = (tmp_path / "a.parquet").stat().st_size
    message = f"{tmp_path}/a.parquet is no readable Parquet table: it claims 2000000 rows in {size} bytes, which is not believed"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parquet.read(tmp_path / "a.parquet")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1PAR1", b"id,t\n1,2\n"])
def test_what_is_no_parquet(tmp_path, content):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path))}/a\.parquet is no readable Parquet table: [^\n]+$"):
        parquet.read(tmp_path / "a.parquet")
    assert parquet.names(tmp_path / "a.parquet") == []


def test_damage_is_one_line(tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet.write(ZOO["two divisions in a row"], tmp_path / "a.parquet")
    check_that_damage_is_one_line(parquet.read, tmp_path / "b.parquet", (tmp_path / "a.parquet").read_bytes(), seeds=300)


def test_a_header_that_lies(tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    columns = {name: np.array([0]) for name in ("id", "t", "y", "x")} | {"parent_id": np.array([-1])}
    lies = (
        {"columns": {"area": ["<f8"]}},
        {"columns": {"y": ["<M8[s]"]}},
        {"columns": [1]},
        {"columns": {}, "scale": "wide"},
        {"scale": [1]},
    )
    for about in lies:
        parquet.write_columns(columns, tmp_path / "a.parquet", about)
        with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path))}/a\.parquet: [^\n]+$"):
            parquet.read(tmp_path / "a.parquet")
