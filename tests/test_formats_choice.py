import re

import pytest
from random_forests import assert_same
from zoo import ZOO

import lineage
from lineage.formats import FORMATS, read, write


def test_the_root_offers_both():
    assert (lineage.read, lineage.write) == (read, write)


@pytest.mark.parametrize("name", ["a.csv", "A.CSV", "a.csv.gz", "a.gexf", "a.npz"])
def test_the_ending_chooses(tmp_path, name):
    write(ZOO["division"], tmp_path / name)
    assert_same(read(str(tmp_path / name)), ZOO["division"])
    assert [f.name for f in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["01_RES", "01_RES/", "run.2/"])
def test_a_folder_is_a_challenge_result(tmp_path, name):
    write(ZOO["division"], f"{tmp_path}/{name}")
    assert (tmp_path / name / "res_track.txt").is_file()
    assert read(f"{tmp_path}/{name}").parent.tolist() == [-1, 0, 0]


def test_each_ending_has_one_format():
    endings = [ending for known in FORMATS for ending in known.endings]
    assert len(endings) == len(set(endings))
    assert sum(not known.endings for known in FORMATS) == 1


def test_unknown_endings(tmp_path):
    (tmp_path / "a.doc").write_text("")
    message = (
        f"{tmp_path}/a.doc: no lineage format ends in .doc; supported are .csv, .csv.gz, .gexf, .npz and Cell Tracking Challenge folders"
    )
    for action in (lambda: read(tmp_path / "a.doc"), lambda: write(ZOO["step"], tmp_path / "a.doc")):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            action()


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.gexf", "a.npz", "a"])
def test_outputs_that_cannot_be_written(tmp_path, name):
    path = tmp_path / "no" / name
    message = f"cannot write {path}: the folder {tmp_path}/no does not exist"
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(message)}$"):
        write(ZOO["step"], path)


@pytest.mark.parametrize("name", ["a.csv", "a.gexf", "a.npz", "a"])
def test_inputs_that_are_not_there(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(f'no such file or folder: {tmp_path / name}')}$"):
        read(tmp_path / name)
