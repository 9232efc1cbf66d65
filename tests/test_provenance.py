"""Provenance: what run.json holds of a result and its inputs."""

from __future__ import annotations

import hashlib

from zoo import ZOO

from lineage.provenance import fingerprint, provenance
from lineage.settings import Settings


def test_a_fingerprint_is_that_of_the_content(tmp_path):
    content = bytes(range(256)) * 9000  # more than a block
    (tmp_path / "a.tif").write_bytes(content)
    wanted = {"path": str(tmp_path / "a.tif"), "files": 1, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert fingerprint(tmp_path / "a.tif") == wanted


def test_a_folder_is_its_files_and_their_names(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "b").write_bytes(b"2")
    (tmp_path / "one" / "a").write_bytes(b"1")
    said = fingerprint(tmp_path / "one")
    assert (said["files"], said["bytes"], said["sha256"]) == (2, 2, hashlib.sha256(b"a1b2").hexdigest())
    (tmp_path / "one" / "a").rename(tmp_path / "one" / "c")
    assert fingerprint(tmp_path / "one")["sha256"] != said["sha256"]


def test_what_is_known_of_an_input_is_not_asked_again(tmp_path):
    """A film that was hashed while it was read need not even be there any more."""
    (tmp_path / "labels").write_bytes(b"1")
    inputs = {"film": tmp_path / "gone.zarr", "labels": tmp_path / "labels", "truth": None}
    known = {"film": {"path": "gone.zarr", "blake2b": "12"}, "truth": {"path": "never asked for"}}
    said = provenance(ZOO["division"], Settings(), inputs, fingerprints=known, command="track")
    assert said["inputs"] == {"film": known["film"], "labels": fingerprint(tmp_path / "labels")}
    assert said["command"] == "track" and said["result"]["divisions"] == 1
