import re

import numpy as np
import pytest
from format_laws import check_that_what_is_held_comes_back
from random_forests import assert_same, kept
from zoo import ZOO

from lineage.detections import Detections
from lineage.forest import Forest
from lineage.formats import napari_csv


def test_a_division_as_text(tmp_path):
    napari_csv.write(ZOO["division"], tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == (
        "t,y,x,id,parent_id,track_id,lineage_id,seg_id,link_cost\n0,4.0,4.0,1,,1,1,1,\n1,4.0,4.0,2,1,2,1,1,\n1,4.0,12.0,3,1,3,1,2,\n"
    )


@pytest.mark.parametrize("name", ZOO)
def test_zoo_comes_back(tmp_path, name):
    napari_csv.write(ZOO[name], tmp_path / "a.csv")
    assert napari_csv.recognises(tmp_path / "a.csv")
    back = napari_csv.read(tmp_path / "a.csv")
    if len(ZOO[name]):
        assert_same(back, kept(ZOO[name]))
    else:
        assert len(back) == 0


def test_what_is_held_comes_back(tmp_path):
    check_that_what_is_held_comes_back(napari_csv.write, napari_csv.read, tmp_path / "a.csv", napari_csv.HOLDS)


def test_columns_that_have_names_of_the_format(tmp_path):
    columns = {"track_id": np.array([5, 6]), "source_id": np.array([8, 9]), "label": np.array(["a", "b"])}
    napari_csv.write(Forest(Detections([0, 1], [[1, 2], [3, 4]], [1, 1], columns), [-1, 0]), tmp_path / "a.csv")
    back = napari_csv.read(tmp_path / "a.csv").detections
    assert {name: column.tolist() for name, column in back.columns.items()} == {k: v.tolist() for k, v in columns.items()}


def test_ids_of_others_are_kept(tmp_path):
    (tmp_path / "a.csv").write_text("t,y,x,id,parent_id,track_id,seg_id,area\n1,2,3,70,12,2,,5\n0,1,1,12,,1,4,6\n")
    back = napari_csv.read(tmp_path / "a.csv")
    assert back.parent.tolist() == [-1, 0]
    assert back.detections.label.tolist() == [4, 0]
    assert {name: column.tolist() for name, column in back.detections.columns.items()} == {"area": [6, 5], "source_id": [12, 70]}


def test_bad_tables_name_the_row(tmp_path):
    (tmp_path / "a.csv").write_text("t,y,x,id,parent_id,track_id\n0,1,1,1,2,1\n")
    message = f"{tmp_path}/a.csv: row 0 (id 1) has the parent 2, but no row has this id; no parent is -1 or empty"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        napari_csv.read(tmp_path / "a.csv")


def test_a_table_of_motile_tracker(data):
    path = data / "formats" / "napari_csv" / "hela_example_tracks.csv"
    assert napari_csv.recognises(path)
    back = napari_csv.read(path)
    assert (len(back), int(back.tracklet_id.max()), len(back.divisions)) == (8601, 263, 61)
    assert list(back.detections.columns) == ["source_id"]
