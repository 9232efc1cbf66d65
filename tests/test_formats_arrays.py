import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from random_forests import assert_same, forests
from zoo import ZOO

from lineage.detections import Detections
from lineage.forest import Forest
from lineage.formats import arrays, read, write

relaxed = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.mark.parametrize("name", ZOO)
def test_zoo_comes_back(tmp_path, name):
    write(ZOO[name], tmp_path / "a.npz")
    assert_same(read(tmp_path / "a.npz"), ZOO[name])


@relaxed
@given(forests())
def test_random_forests_come_back_whole(tmp_path, forest):
    arrays.write(forest, tmp_path / "a.npz")
    again = arrays.read(tmp_path / "a.npz")
    assert_same(again, forest)
    assert again.certificate == forest.certificate
    assert again.record == forest.record


def test_conflicts_come_back(tmp_path):
    cells = Detections([0, 0, 0, 1], np.zeros((4, 2)), [1, 2, 3, 1], conflicts=[[0, 1], [1, 2], []])
    arrays.write(Forest(cells, [-1] * 4), tmp_path / "a.npz")
    assert [rows.tolist() for rows in read(tmp_path / "a.npz").detections.conflicts] == [[0, 1], [1, 2], []]


def test_napari_takes_the_tracks(tmp_path):
    write(ZOO["division over a gap"], tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        data, graph, _ = ZOO["division over a gap"].to_napari()
        np.testing.assert_array_equal(archive["tracks_data"], data)
        assert {child: [parent] for child, parent in archive["tracks_graph"].tolist()} == graph


def test_objects_are_refused(tmp_path):
    cells = Detections([0], [[0, 0]], [1], {"note": np.array([{}], object)})
    with pytest.raises(ValueError, match=r"^column note holds Python objects, which are not saved: make it numbers or text$"):
        write(Forest(cells, [-1]), tmp_path / "a.npz")
    assert list(tmp_path.iterdir()) == []


def test_pickles_are_never_loaded(tmp_path):
    np.savez(tmp_path / "a.npz", frame=np.array([print], object), allow_pickle=True)
    message = f"{tmp_path}/a.npz is no readable lineage archive: Object arrays cannot be loaded when allow_pickle=False"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        read(tmp_path / "a.npz")


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "flipped", "other arrays", "one array"])
def test_damage_is_one_line(tmp_path, damage):
    path = tmp_path / "a.npz"
    write(ZOO["division with a past"], path)
    whole = path.read_bytes()
    if damage == "other arrays":
        np.savez(path, a=np.zeros(3))
    elif damage == "one array":
        np.save(tmp_path / "b.npy", np.zeros(3))
        path.write_bytes((tmp_path / "b.npy").read_bytes())
    else:
        path.write_bytes({"cut": whole[:500], "text": b"id,t\n", "empty": b"", "flipped": whole[:60] + b"\x55" * 40 + whole[100:]}[damage])
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))} is no readable lineage archive: [^\n]+$"):
        read(path)
