import re

import numpy as np
import pytest
from format_laws import check_that_damage_is_one_line
from zoo import ZOO

from lineage.formats import foreign, intracktive, mastodon, napari_csv, table

SPOTS = (
    "LABEL,ID,TRACK_ID,QUALITY,POSITION_X,POSITION_Y,POSITION_Z,POSITION_T,FRAME,RADIUS,VISIBILITY,MANUAL_SPOT_COLOR\n"
    "Label,Spot ID,Track ID,Quality,X,Y,Z,T,Frame,Radius,Visibility,Spot color\n"
    "Label,Spot ID,Track ID,Quality,X,Y,Z,T,Frame,R,Visibility,Spot color\n"
    ",,,(quality),(micron),(micron),(micron),(min),,(micron),,\n"
    "ID90,90,0,1.5,10.0,20.0,0.0,0.0,0,2.5,1,\n"
    "ID70,70,0,1.25,12.0,22.0,0.0,5.0,2,2.5,1,\n"
    "ID80,80,0,1.75,11.0,21.0,0.0,2.5,1,2.5,1,\n"
    "ID60,60,,1.75,50.0,60.0,0.0,2.5,1,2.5,1,\n"
)
EDGES = (
    "LABEL,TRACK_ID,SPOT_SOURCE_ID,SPOT_TARGET_ID,LINK_COST\nLabel,Track ID,Source spot ID,Target spot ID,Edge cost\n"
    "Label,Track ID,Source ID,Target ID,Cost\n,,,,(cost)\nID90 → ID80,0,90,80,2.0\nID80 → ID70,0,80,70,3.0\n"
)


def columns(forest):
    return {name: column.tolist() for name, column in forest.detections.columns.items()}


@pytest.mark.parametrize(
    ("spots", "edges"), [("film_spots.csv", "film_edges.csv"), ("film-all-spots.csv", "film-edges.csv"), ("Spots.csv", "Edges.csv")]
)
def test_the_two_tables_of_trackmate(tmp_path, spots, edges):
    (tmp_path / spots).write_text(SPOTS, encoding="utf-8")
    (tmp_path / edges).write_text(EDGES, encoding="utf-8")
    assert foreign.recognises(tmp_path / spots)
    assert foreign.recognises(tmp_path / edges)
    back = foreign.read(tmp_path / spots)
    cells = back.detections
    assert back.parent.tolist() == [-1, 0, -1, 1]
    assert (cells.frame.tolist(), cells.position.tolist()) == ([0, 1, 1, 2], [[20, 10], [21, 11], [60, 50], [22, 12]])
    assert cells.interval == 150
    np.testing.assert_array_equal(back.link_cost, [np.nan, 2, np.nan, 3])
    assert columns(back) == {
        "source_id": [90, 80, 60, 70],
        "quality": [1.5, 1.75, 1.75, 1.25],
        "radius": [2.5] * 4,
        "name": ["ID90", "ID80", "ID60", "ID70"],
    }


def test_spots_of_trackmate_without_edges_follow_their_track(tmp_path):
    (tmp_path / "spots.csv").write_text(SPOTS, encoding="utf-8")
    assert foreign.read(tmp_path / "spots.csv").parent.tolist() == [-1, 0, -1, 1]
    (tmp_path / "spots.csv").write_text(SPOTS.replace("ID60,60,,", "ID60,60,0,"), encoding="utf-8")
    message = "track 0 has two spots in frame 1; the table of edges that says who is whose is missing"
    with pytest.raises(ValueError, match=f"^{re.escape(f'{tmp_path}/spots.csv: {message}')}$"):
        foreign.read(tmp_path / "spots.csv")


def test_edges_of_trackmate_without_spots(tmp_path):
    (tmp_path / "edges.csv").write_text(EDGES, encoding="utf-8")
    message = f"{tmp_path}/edges.csv holds only links: the table of spots is missing, {tmp_path}/spots.csv"
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(message)}$"):
        foreign.read(tmp_path / "edges.csv")


def test_times_that_are_none_do_no_harm(tmp_path):
    for odd in ("", "soon", "nan", "7.0"):
        (tmp_path / "spots.csv").write_text(SPOTS.replace(",5.0,2,", f",{odd},2,"), encoding="utf-8")
        assert foreign.read(tmp_path / "spots.csv").detections.interval is None


def test_depth_and_no_unit_of_time(tmp_path):
    (tmp_path / "spots.csv").write_text(SPOTS.replace(",0.0,2.5,1,", ",7.5,2.5,1,").replace("(min)", "(frame)"), encoding="utf-8")
    cells = foreign.read(tmp_path / "spots.csv").detections
    assert (cells.position[1].tolist(), cells.interval) == ([7.5, 21, 11], None)


LAPTRACK = ",frame,y,x,area,tree_id,track_id\n0,0,10.0,20.0,7,0,0\n1,2,11.5,20.0,7,0,2\n2,2,13.0,20.0,8,0,3\n3,1,12.0,20.0,7,0,0\n"


def test_the_tables_of_laptrack(tmp_path):
    (tmp_path / "track_df.csv").write_text(LAPTRACK)
    (tmp_path / "split_df.csv").write_text(",parent_track_id,child_track_id\n0,0,2\n1,0,3\n")
    (tmp_path / "merge_df.csv").write_text('""\n')  # what pandas makes of an empty table
    back = foreign.read(tmp_path / "track_df.csv")
    assert back.parent.tolist() == [-1, 0, 1, 1]
    assert back.detections.position.tolist() == [[10, 20], [12, 20], [11.5, 20], [13, 20]]
    assert columns(back) == {"area": [7, 7, 7, 8]}


def test_other_names_of_coordinates(tmp_path):
    (tmp_path / "a.csv").write_text("frame,index,position_x,position_y,tree_id,track_id\n0,0,1,2,0,0\n1,0,3,4,0,0\n")
    assert foreign.read(tmp_path / "a.csv").detections.position.tolist() == [[2, 1], [4, 3]]
    (tmp_path / "a.csv").write_text("frame,a_x,b_x,a_y,tree_id,track_id\n0,1,1,2,0,0\n")
    with pytest.raises(ValueError, match=f"^{re.escape(f'{tmp_path}/a.csv: any of a_x, b_x may be x: call it x')}$"):
        foreign.read(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "tracks 0 and 2 are of one tree, 0, but the table of splits is missing: split.csv"),
        ({"split.csv": "a\n1\n"}, "the table of splits, split.csv, has no column parent_track_id, child_track_id"),
        ({"split.csv": "parent_track_id,child_track_id\n0,9\n"}, "track 9 has no rows"),
        (
            {"split.csv": "parent_track_id,child_track_id\n2,3\n"},
            "track 3 begins in frame 2, but its parent, track 2, ends in frame 2: parents end before",
        ),
        (
            {"split.csv": "parent_track_id,child_track_id\n0,2\n", "merge.csv": "parent_track_id,child_track_id\n0,3\n"},
            "track 3 comes from several (track 0; merge.csv): lineages do not merge",
        ),
    ],
)
def test_laptracks_tables_that_do_not_fit(tmp_path, files, message):
    (tmp_path / "track.csv").write_text(LAPTRACK)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=f"^{re.escape(f'{tmp_path}/track.csv: {message}')}$"):
        foreign.read(tmp_path / "track.csv")


BTRACK = (
    "ID t x y z parent root state generation dummy{}\n1.0 0.0 1.0 2.0 {z} 1.0 1.0 0.0 0.0 0.0{}\n"
    "2.0 1.0 3.0 4.0 0.0 1.0 1.0 0.0 1.0 1.0{}\n"
)


def test_the_table_of_btrack(tmp_path):
    (tmp_path / "a.csv").write_text(BTRACK.format("", "", "", z="0.0"))
    back = foreign.read(tmp_path / "a.csv")
    assert back.parent.tolist() == [-1, 0]
    assert back.detections.position.tolist() == [[2, 1], [4, 3]]
    assert columns(back) == {"state": [0, 0], "dummy": [False, True]}


def test_properties_that_btrack_does_not_name(tmp_path):
    (tmp_path / "a.csv").write_text(BTRACK.format("", " 10.5 1.0", " nan nan", z="7.0"))
    back = foreign.read(tmp_path / "a.csv")
    assert back.detections.position.tolist() == [[7, 2, 1], [0, 4, 3]]
    np.testing.assert_array_equal(back.detections.columns["property_1"], [10.5, np.nan])
    np.testing.assert_array_equal(back.detections.columns["property_2"], [1, np.nan])


@pytest.mark.parametrize("text", ["1 0 1 0\n2 2 3 1\n3 2 2 1\n5 1 1 0\n", "1 0 1 1 1 0\n2 2 3 1 1 1\n3 2 2 1 1 1\n5 1 1 5 5 0\n"])
def test_tracks_as_numbers(tmp_path, text):
    (tmp_path / "lbep.txt").write_text(text)
    assert foreign.recognises(tmp_path / "lbep.txt")
    back = foreign.read(tmp_path / "lbep.txt")
    assert back.detections.label.tolist() == [1, 1, 5, 2, 3, 2]
    assert back.parent.tolist() == [-1, 0, -1, 1, 1, 3]
    assert back.detections.frame.tolist() == [0, 1, 1, 2, 2, 3]
    assert back.detections.position[:, 0].tolist() == back.detections.frame.tolist()
    assert back.record["positions"] == "drawn as a tree, for the file has none"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 3 1 0\n", "track 1 goes from frame 3 to frame 1"),
        ("1 -1 1 0\n", "track 1 goes from frame -1 to frame 1"),
        ("1 0 1 7\n", "parent track 7 of track 1 has no rows"),
        ("1 0 1 2\n2 0 1 1\n", "track 1 begins in frame 0, but its parent, track 2, ends in frame 1: parents end before"),
        ("1 0 1 0\n1 1 2 0\n", "rows 1 and 2 are both in frame 1 of track 1: a track has one cell a frame"),
        ("1 0 999999999 0\n", "its tracks have 1000000000 cells together, more than 1000000"),
        ("1 0 1 0\n" * 3000 + "1 0 1\n", "line 3001 is not L B E P: '1 0 1'"),
        ("1 0 99999999999999999999 0\n", "line 1 is not L B E P: '1 0 99999999999999999999 0'"),
    ],
)
def test_numbers_that_are_no_tracks(tmp_path, text, message):
    (tmp_path / "lbep.txt").write_text(text)
    with pytest.raises(ValueError, match=f"^{re.escape(f'{tmp_path}/lbep.txt: {message}')}$"):
        foreign.read(tmp_path / "lbep.txt")


def test_the_table_of_edges_of_trackastra(tmp_path):
    (tmp_path / "a.csv").write_text("source_frame,source_label,target_frame,target_label,weight\n0,7,1,3,0.75\n1,3,2,3,1.0\n1,3,2,4,0.5\n")
    back = foreign.read(tmp_path / "a.csv")
    assert back.detections.frame.tolist() == [0, 1, 2, 2]
    assert back.detections.label.tolist() == [7, 3, 3, 4]
    assert back.parent.tolist() == [-1, 0, 1, 1]
    np.testing.assert_allclose(back.link_cost, [np.nan, -np.log(3), -np.inf, 0])
    assert back.record["positions"] == "drawn as a tree, for the file has none"


def test_edges_that_merge(tmp_path):
    (tmp_path / "a.csv").write_text("source_frame,source_label,target_frame,target_label\n0,1,1,3\n0,2,1,3\n")
    message = 'cell 2 has two parents, 0 and 1: lineages do not merge (merges="keep-nearest" keeps the nearer one)'
    with pytest.raises(ValueError, match=f"^{re.escape(f'{tmp_path}/a.csv: {message}')}$"):
        foreign.read(tmp_path / "a.csv")


@pytest.mark.parametrize(
    "text",
    [
        "y,x,frame,particle\n1,2,0,3\n1,3,2,3\n5,5,1,4\n",
        "ID,T,Y,X\n3,0,1,2\n3,2,1,3\n4,1,5,5\n",
        ",track_id,t,y,x\n0,3,0,1,2\n1,3,2,1,3\n2,4,1,5,5\n",
        "track_id\tt\ty\tx\n3\t0\t1\t2\n3\t2\t1\t3\n4\t1\t5\t5\n",
    ],
)
def test_tracks_without_parents(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    assert foreign.recognises(tmp_path / "a.csv")
    back = foreign.read(tmp_path / "a.csv")
    assert (back.parent.tolist(), back.gap.tolist()) == ([-1, -1, 0], [0, 0, 1])
    assert back.detections.position.tolist() == [[1, 2], [5, 5], [1, 3]]
    assert columns(back) == {}


def test_what_is_unknown(tmp_path):
    for text in ("a,b\n1,2\n", "", "hello\n", "\x00\x01"):
        (tmp_path / "a.csv").write_text(text)
        assert not foreign.recognises(tmp_path / "a.csv")
        with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path))}/a\.csv is no table that is known: it has neither [^\n]+$"):
            foreign.read(tmp_path / "a.csv")
    assert not foreign.recognises(tmp_path)
    assert not foreign.recognises(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(f'no such table: {tmp_path}/none')}$"):
        foreign.read(tmp_path / "none")


def test_our_own_tables_are_told_apart(tmp_path):
    for writer in (table, napari_csv, intracktive, mastodon):
        writer.write(ZOO["division"], tmp_path / "a.csv")
        found = {reader for reader in (table, intracktive, mastodon) if reader.recognises(tmp_path / "a.csv")}
        assert found == {table if writer is napari_csv else writer}
        assert napari_csv.recognises(tmp_path / "a.csv") == (writer is napari_csv)


@pytest.mark.parametrize(
    "text", [SPOTS, LAPTRACK, BTRACK.format("", "", "", z="0.0"), "1 0 1 0\n2 2 3 1\n", "y,x,frame,particle\n1,2,0,3\n1,3,2,3\n"]
)
def test_damage_is_one_line(tmp_path, text):
    check_that_damage_is_one_line(foreign.read, tmp_path / "b.csv", text.encode(), seeds=30)


@pytest.mark.parametrize(
    ("name", "spots", "links", "divisions"),
    [("with_gap_closing", 134, 128, 0), ("with_splitting", 134, 130, 2), ("with_splitting_merging", 183, 179, 2)],
)
def test_tables_of_trackmate_itself(data, name, spots, links, divisions):
    path = data / "formats" / "trackmate" / f"trackmate_tracks_{name}_spots.csv"
    back = foreign.read(path, merges="keep-nearest")
    assert (len(back), len(back.child_rows), len(back.divisions)) == (spots, links, divisions)
    if "merging" in name:
        message = 'cell 48612 has two parents, 48736 and 48738: lineages do not merge (merges="keep-nearest" keeps the nearer one)'
        with pytest.raises(ValueError, match=f"^{re.escape(f'{path}: {message}')}$"):
            foreign.read(path)
