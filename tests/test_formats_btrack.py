import re
import sys

import numpy as np
import pytest
from format_laws import check_that_damage_is_one_line

from lineage.formats import btrack_h5

COORDS = np.array([[0, 1, 2, 0, 0], [1, 3, 4, 0, 0], [1, 9, 9, 0, 0], [2, 5, 6, 0, 0], [3, 5, 6, 0, 0]], np.float32)
GOOD = {
    "objects/obj_type_1/coords": COORDS,
    "objects/obj_type_1/labels": np.array([[0], [1], [0], [0], [0]], np.float32),
    "objects/obj_type_1/properties/area": np.array([1, 2, 3, 4, 5], np.float32),
    "objects/obj_type_1/properties/class_id": np.array([7, 8, 9, 7, 7], np.float32),
    "tracks/obj_type_1/tracks": np.array([0, 1, 3, -1, 4], np.int32),
    "tracks/obj_type_1/map": np.array([[0, 2], [2, 3], [3, 5]], np.uint32),
    "tracks/obj_type_1/LBEPR": np.array([[1, 0, 1, 1, 1, 0], [2, 2, 2, 1, 1, 1], [4, 2, 3, 1, 1, 1]], np.int32),
    "tracks/obj_type_1/dummies": np.array([[2, 7, 8, 0, 1]], np.float32),
}


def written(path, **changes):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    with h5py.File(path, "w") as file:
        for name, value in (GOOD | {name.replace("__", "/"): value for name, value in changes.items()}).items():
            if value is not None:
                file[name] = value
    return path


def test_without_h5py_one_line_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "a.h5").write_bytes(btrack_h5.MAGIC)
    assert btrack_h5.recognises(tmp_path / "a.h5")
    message = r"HDF5 files need the package h5py \([^\n]+\): pip install h5py$"
    with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path))}/a\.h5: {message}"):
        btrack_h5.read(tmp_path / "a.h5")


def test_a_division_with_a_predicted_cell(tmp_path):
    back = btrack_h5.read(written(tmp_path / "a.h5"))
    cells = back.detections
    assert cells.frame.tolist() == [0, 1, 1, 2, 2, 3]
    assert cells.position.tolist() == [[2, 1], [4, 3], [9, 9], [6, 5], [8, 7], [6, 5]]
    assert back.selected.tolist() == [True, True, False, True, True, True]
    assert back.parent.tolist() == [-1, 0, -1, 1, 1, 4]
    assert cells.label.tolist() == [7, 8, 9, 7, 0, 7]
    assert list(cells.columns) == ["state", "area", "dummy"]
    assert cells.columns["dummy"].tolist() == [False, False, False, False, True, False]
    np.testing.assert_array_equal(cells.columns["area"], [1, 2, 3, 4, np.nan, 5])
    np.testing.assert_array_equal(cells.columns["state"], [0, 1, 0, 0, np.nan, 0])


def test_depth(tmp_path):
    deep = COORDS + np.array([0, 0, 0, 0.5, 0], np.float32)
    assert btrack_h5.read(written(tmp_path / "a.h5", objects__obj_type_1__coords=deep)).detections.position[0].tolist() == [0.5, 2, 1]


def test_properties_with_several_values_and_of_odd_length(tmp_path):
    box = np.arange(10, dtype=np.float32).reshape(5, 2)
    changes = {"objects/obj_type_1/properties/box": box, "objects/obj_type_1/properties/odd": np.zeros(3)}
    back = btrack_h5.read(written(tmp_path / "a.h5", **changes))
    assert back.detections.columns["box"].shape == (6, 2)
    assert "odd" not in back.detections.columns


PLACE = "objects__obj_type_1__coords"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tracks__obj_type_1__tracks": [0, 1, 9, -1, 4]}, "a track names object 9, but there are 5 objects and 1 predicted ones"),
        ({"tracks__obj_type_1__tracks": [0, 1, 3, -2, 4]}, "a track names object -2, but there are 5 objects and 1 predicted ones"),
        ({"tracks__obj_type_1__tracks": [0, 1, 1, -1, 4]}, "object 1 is in two tracks"),
        ({"tracks__obj_type_1__map": [[0, 2], [2, 3]]}, "3 tracks are named, but 2 have cells"),
        ({"tracks__obj_type_1__map": [[0, 2], [1, 3], [3, 5]]}, "the tracks do not follow each other"),
        ({"tracks__obj_type_1__map": [[0, 2], [2, 3], [3, 4]]}, "the tracks have 4 cells together, but 5 are named"),
        ({"tracks__obj_type_1__LBEPR": [[1, 0, 1, 9], [2, 2, 2, 1], [4, 2, 3, 1]]}, "parent track 9 of track 1 has no rows"),
        (
            {"tracks__obj_type_1__LBEPR": [[1, 0, 1, 2], [2, 2, 2, 1], [4, 2, 3, 1]]},
            "track 1 begins in frame 0, but its parent, track 2, ends in frame 2: parents end before",
        ),
        ({"tracks__obj_type_1__LBEPR": [[1, 0, 1]] * 3}, "tracks/obj_type_1/LBEPR has 3 columns, but 4 are needed"),
        ({PLACE: COORDS + 0.5}, "object 0 is at time 0.5, which is no frame"),
        ({PLACE: COORDS * np.nan}, "object 0 is at time nan, which is no frame"),
        ({PLACE: [b"text"] * 5}, "objects/obj_type_1/coords is no array of numbers in this file"),
        ({name.replace("/", "__"): None for name in GOOD if name.startswith("tracks")}, "it has no tracks"),
    ],
)
def test_bad_files_are_one_line(tmp_path, changes, message):
    path = written(tmp_path / "a.h5", **changes)
    with pytest.raises(ValueError, match=f"^{re.escape(f'{path} is no readable file of btrack: {message}')}$"):
        btrack_h5.read(path)


def test_arrays_that_lie_elsewhere_are_not_followed(tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    written(tmp_path / "other.h5")
    name = "objects/obj_type_1/coords"
    path = written(tmp_path / "a.h5", **{name: None})
    with h5py.File(path, "a") as file:
        file[name] = h5py.ExternalLink("other.h5", name)
    message = f"{path} is no readable file of btrack: {name} is a link to somewhere else, which is not followed"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        btrack_h5.read(path)


def test_an_array_that_claims_more_than_its_file_can_hold(tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    name = "objects/obj_type_1/coords"
    path = written(tmp_path / "a.h5", **{name: None})
    with h5py.File(path, "a") as file:
        file.create_dataset(name, (10**9, 5), "f4", chunks=(1024, 5))
    message = rf"is no readable file of btrack: {name} claims 20000000000 bytes in a file of \d+, which is not believed$"
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))} {message}"):
        btrack_h5.read(path)


def test_damage_is_one_line(tmp_path):
    check_that_damage_is_one_line(btrack_h5.read, tmp_path / "b.h5", written(tmp_path / "a.h5").read_bytes(), seeds=150)


def test_what_is_no_hdf5(tmp_path):
    pytest.importorskip("h5py", reason="h5py is not installed")
    (tmp_path / "a.h5").write_text("nothing")
    assert not btrack_h5.recognises(tmp_path / "a.h5")
    with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path))}/a\.h5 is no readable file of btrack: [^\n]+$"):
        btrack_h5.read(tmp_path / "a.h5")
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(f'no such file: {tmp_path}/none.h5')}$"):
        btrack_h5.read(tmp_path / "none.h5")


def test_a_file_of_btrack_itself(tmp_path):
    pytest.importorskip("h5py", reason="h5py is not installed")
    btrack = pytest.importorskip("btrack", reason="btrack is not installed")
    objects = [btrack.btypes.PyTrackObject.from_dict({"ID": i, "t": i, "x": 2.0 * i, "y": 1.0, "z": 0.0, "label": 0}) for i in range(3)]
    tracks = [btrack.btypes.Tracklet(1, objects[:2]), btrack.btypes.Tracklet(2, objects[2:], parent=1)]
    for track in tracks:
        track.root, track.generation, track.parent, track.fate = 1, track.ID - 1, 1, btrack.constants.Fates.UNDEFINED
    with btrack.io.HDF5FileHandler(tmp_path / "a.h5", "w") as file:
        file.write_objects(objects)
        file.write_tracks(tracks)
    assert btrack_h5.read(tmp_path / "a.h5").parent.tolist() == [-1, 0, 1]
