"""Pieces: written once, whole or not at all, found again, and complained of by name when damaged."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lineage.pieces import Resources, Store, bytes_of, digest, digest_of_array, digest_of_columns, digest_of_file, held, here, spreading

COLUMNS = {"label": np.array([1, 2, 5]), "area": np.array([2.5, np.nan, np.inf]), "none": np.zeros((0, 2), np.float32)}


def test_a_piece_is_read_as_it_was_written(tmp_path):
    store = Store(tmp_path / "pieces")
    note = store.write("frames/000001", "key", COLUMNS, {"cells": 3})
    back = store.read("frames/000001")
    assert list(back) == list(COLUMNS)
    for name, column in COLUMNS.items():
        np.testing.assert_array_equal(back[name], column)
        assert back[name].dtype == column.dtype
    assert store.note("frames/000001") == note
    assert (note.key, note.facts) == ("key", {"cells": 3})
    assert sorted(path.name for path in (tmp_path / "pieces" / "frames").iterdir()) == ["000001.npz"]


def test_a_piece_is_known_by_what_it_was_made_from(tmp_path):
    store = Store(tmp_path)
    assert store.note("links/0") is None
    assert store.known("links/0", "a") is None
    note = store.write("links/0", "a", {})
    assert store.known("links/0", "a") == note
    assert store.known("links/0", "b") is None
    store.drop("links/0")
    store.drop("links/0")
    assert store.known("links/0", "a") is None


def test_equal_pieces_are_equal_bytes(tmp_path):
    one, two = Store(tmp_path / "one"), Store(tmp_path / "two")
    for store in (one, two):
        store.write("x", "k", COLUMNS, {"b": 1, "a": [2.0]})
    assert one.path("x").read_bytes() == two.path("x").read_bytes()


@pytest.mark.parametrize("where", [0.2, 0.5, 0.9])
def test_a_flipped_bit_is_found_and_named(tmp_path, where):
    store = Store(tmp_path)
    store.write("links/000000", "k", {"cost": np.arange(1000.0)})
    path = store.path("links/000000")
    data = bytearray(path.read_bytes())
    data[int(where * len(data))] ^= 1
    path.write_bytes(data)
    says = re.escape(f"{path} is damaged (") + ".*" + re.escape("): delete it and run the same command again, only this piece is made anew")
    with pytest.raises(ValueError, match=says):
        store.read("links/000000")


@pytest.mark.parametrize("size", [0, 1, 60, 2000])
def test_a_cut_piece_is_found_and_named(tmp_path, size):
    store = Store(tmp_path)
    store.write("links/000000", "k", {"cost": np.arange(1000.0)})
    path = store.path("links/000000")
    path.write_bytes(path.read_bytes()[:size])
    for ask in (store.read, store.note):
        with pytest.raises(ValueError, match=re.escape(f"{path} is damaged (")):
            ask("links/000000")


def test_a_piece_that_is_gone_is_said(tmp_path):
    says = re.escape(f"{tmp_path / 'lineages.npz'} is gone: run the same command again")
    with pytest.raises(FileNotFoundError, match=f"^{says}$"):
        Store(tmp_path).read("lineages")


def test_a_foreign_archive_is_no_piece(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("other.json", json.dumps({}))
    with pytest.raises(ValueError, match="is damaged"):
        Store(tmp_path).note("x")


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.write("x", "old", {"a": np.arange(3)})

    def full(_file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=re.escape(f"cannot write {tmp_path / 'x.npz'}: No space left on device")):
        store.write("x", "new", {"a": np.arange(4)})
    monkeypatch.undo()
    assert store.known("x", "old") is not None
    np.testing.assert_array_equal(store.read("x")["a"], np.arange(3))
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]


def test_what_dead_writers_left_is_swept(tmp_path):
    store = Store(tmp_path)
    store.write("frames/1", "k", {})
    (tmp_path / "frames" / ".2.npz.abc.partial").write_bytes(b"half")
    store.tidy()
    assert [path.name for path in (tmp_path / "frames").iterdir()] == ["1.npz"]


def test_digests_tell_values_apart():
    values = [1, 1.5, "1", None, [1], {"a": 1}, {"a": 2}, {"b": 1}, [1, 2], [2, 1], True]
    assert len({digest(value) for value in values}) == len(values)
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest(np.int64(3), np.float32(0.5)) == digest(3, 0.5)
    with pytest.raises(TypeError, match=r"^a digest is of plain values, not of ndarray$"):
        digest(np.zeros(2))


def test_digests_tell_arrays_apart():
    arrays = [np.zeros(4), np.zeros((2, 2)), np.zeros(4, np.float32), np.zeros(8, np.float32), np.ones(4), np.zeros(0), np.zeros((0, 2))]
    assert len({digest_of_array(array) for array in arrays}) == len(arrays)
    turned = np.arange(6).reshape(2, 3)
    assert digest_of_array(turned.T) == digest_of_array(turned.T.copy())
    assert digest_of_columns({"a": arrays[0], "b": arrays[4]}) == digest_of_columns({"b": arrays[4], "a": arrays[0]})
    assert digest_of_columns({"a": arrays[0], "b": arrays[4]}) != digest_of_columns({"a": arrays[4], "b": arrays[0]})


def test_digest_of_a_file(tmp_path):
    for name, content in (("one", b"x"), ("two", b"x"), ("other", b"y")):
        (tmp_path / name).write_bytes(content)
    assert digest_of_file(tmp_path / "one") == digest_of_file(tmp_path / "two") != digest_of_file(tmp_path / "other")


@pytest.mark.parametrize(
    ("text", "size"), [("4GB", 4 * 10**9), ("500 MB", 5 * 10**8), ("2GiB", 2**31), ("1.5gb", 15 * 10**8), ("12", 12), ("1TB", 10**12)]
)
def test_sizes(text, size):
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-4GB", "4 gigs", "4GB 2", "inf"])
def test_what_is_no_size(text):
    with pytest.raises(ValueError, match=f"^{re.escape(f'memory must be a size such as 4GB or 500MB, not {text!r}')}$"):
        bytes_of(text)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"memory": 10**8}, "memory must be at least 1GB, not 100000000 bytes: the libraries alone take half of that"),
        ({"workers": -1}, "workers must be 0 or more processes, not -1"),
        ({"workers": 2, "scheduler": "tcp://a:1"}, "workers, scheduler and client each say who does the work: give one of them"),
    ],
)
def test_resources_that_make_no_sense(given, says):
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        Resources(**given)


def test_work_here_is_done_one_after_another(tmp_path):
    seen = []

    def work(task):
        seen.append(task)
        return task * task

    with spreading(Resources(), tmp_path) as spread:
        assert spread is here
        made = spread(work, [3, 1, 2])
        assert seen == []  # nothing is done before it is asked for
        assert next(made) == (0, 9)
        assert seen == [3]
        assert list(made) == [(1, 1), (2, 4)]


def test_one_run_at_a_time(tmp_path):
    with held(tmp_path / "out.pieces") as folder:
        says = f"another run is working in {folder}: wait for it, or choose another folder"
        with pytest.raises(BlockingIOError, match=f"^{re.escape(says)}$"), held(folder):
            pass
    with held(folder):
        pass


def test_a_run_that_was_killed_lets_go(tmp_path):
    code = "import os, signal, sys\nfrom lineage.pieces import held\nwith held(sys.argv[1]):\n    os.kill(os.getpid(), signal.SIGKILL)"
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "p")], cwd=Path(__file__).parents[1], check=False).returncode != 0
    with held(tmp_path / "p"):
        pass


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("x")
    folder = tmp_path / "file" / "p"
    with pytest.raises(OSError, match=re.escape(f"cannot write into {folder}: Not a directory")), held(folder):
        pass
