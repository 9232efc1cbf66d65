import re

import pytest
from random_forests import assert_same
from zoo import ZOO

import lineage
from lineage.formats import FORMATS, read, write
from lineage.formats.holding import EVERYTHING, FACETS
from lineage.formats.known import named, table_of_formats, to_read, to_write

WRITTEN = [known for known in FORMATS if known.write]
SUPPORTED = "and Cell Tracking Challenge folders"


def test_the_root_offers_both():
    assert (lineage.read, lineage.write) == (read, write)


@pytest.mark.parametrize("name", ["a.csv", "A.CSV", "a.csv.gz", "a.gexf", "a.npz", "a.graphml", "a.xml", "a.json", "a.geff", "a.nwk"])
def test_the_ending_chooses(tmp_path, name):
    write(ZOO["division"], tmp_path / name)
    assert_same(read(str(tmp_path / name)), ZOO["division"]) if name != "a.xml" else read(tmp_path / name)
    assert [f.name for f in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("a.csv", "csv"), ("a.CSV.gz", "csv"), ("a.parquet", "parquet"), ("a.npz", "npz"), ("a.gexf", "gexf"), ("a.graphml", "graphml"),
        ("a.xml", "trackmate"), ("a.nwk", "newick"), ("a.newick", "newick"), ("a.tre", "newick"), ("a.json", "json"), ("a.geff", "geff"),
        ("a.zarr", "geff"), ("a.mastodon.csv", "mastodon"), ("01_RES", "ctc"), ("a.b/", "ctc"), ("res_track.txt", "ctc"),
    ],
)  # fmt: skip
def test_what_a_name_asks_for(name, key):
    assert to_write(name).key == key


@pytest.mark.parametrize("known", WRITTEN, ids=[known.key for known in WRITTEN])
@pytest.mark.parametrize("named_so", [True, False])
def test_content_chooses_where_the_name_does_not(tmp_path, known, named_so):
    """Under the ending that the format shares with others, and under a name that says nothing."""
    path = tmp_path / f"a{known.endings[-1] if known.endings and named_so else ''}"
    write(ZOO["division with a past"], path, format=known.key)
    assert to_read(path).key == known.key
    assert read(path).parent.tolist() == ZOO["division with a past"].parent.tolist()
    assert read(path, format=known.key).parent.tolist() == ZOO["division with a past"].parent.tolist()


@pytest.mark.parametrize("name", ["01_RES", "01_RES/", "run.2/"])
def test_a_folder_is_a_challenge_result(tmp_path, name):
    write(ZOO["division"], f"{tmp_path}/{name}")
    assert (tmp_path / name / "res_track.txt").is_file()
    assert read(f"{tmp_path}/{name}").parent.tolist() == [-1, 0, 0]


def test_a_table_of_masks_stands_for_its_folder(tmp_path):
    write(ZOO["division"], tmp_path / "01_RES")
    assert to_read(tmp_path / "01_RES" / "res_track.txt").key == "ctc"
    assert len(read(tmp_path / "01_RES" / "res_track.txt")) == 3


def test_content_that_is_nothing_known(tmp_path):
    (tmp_path / "a.csv").write_text("one,two\n1,2\n")
    with pytest.raises(
        ValueError, match=f"^{re.escape(str(tmp_path))}/a.csv: there is no column id, t, parent_id, y, x; there are one, two$"
    ):
        read(tmp_path / "a.csv")
    (tmp_path / "a.xml").write_text("<html/>")
    with pytest.raises(ValueError, match=f"^{re.escape(str(tmp_path))}/a.xml is no readable TrackMate file: [^\n]+$"):
        read(tmp_path / "a.xml")


def test_keys_are_words_and_facets_are_known():
    keys = [known.key for known in FORMATS]
    assert len(keys) == len(set(keys))
    assert all(known.holds <= EVERYTHING and set(known.instead) <= EVERYTHING for known in FORMATS)
    assert all(known.holds or known.write is None for known in FORMATS)
    with pytest.raises(ValueError, match=f"^there is no format doc; there are {', '.join(keys)}$"):
        named("doc")


def test_what_is_read_only_is_not_written(tmp_path):
    keys = ", ".join(known.key for known in WRITTEN)
    for name, key in (("a.mastodon", "mastodon-project"), ("a.h5", "btrack")):
        with pytest.raises(ValueError, match=f"^{re.escape(named(key).name)} is read only: choose one of {keys}$"):
            write(ZOO["step"], tmp_path / name, format=key)
        with pytest.raises(
            ValueError, match=rf"^[^\n]*: no lineage format that is written ends in {name[1:]}; those that do end in [^\n]+$"
        ):
            write(ZOO["step"], tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_unknown_endings(tmp_path):
    (tmp_path / "a.doc").write_text("")
    with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path))}/a.doc is of no known format: [^\n]+$"):
        read(tmp_path / "a.doc")
    with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path))}/a.doc: no lineage format that is written ends in .doc; [^\n]+$"):
        write(ZOO["step"], tmp_path / "a.doc")


@pytest.mark.parametrize("known", WRITTEN, ids=[known.key for known in WRITTEN])
def test_outputs_that_cannot_be_written(tmp_path, known):
    path = tmp_path / "no" / f"a{known.endings[0] if known.endings else ''}"
    message = f"cannot write {path}: the folder {tmp_path}/no does not exist"
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(message)}$"):
        write(ZOO["step"], path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.csv", "a.gexf", "a.npz", "a", "a.geff", "a.mastodon"])
def test_inputs_that_are_not_there(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(f'no such file or folder: {tmp_path / name}')}$"):
        read(tmp_path / name)


def test_the_table_of_formats_names_each_format_and_each_facet():
    lines = table_of_formats().split("\n")
    heads = [line.split(" | ")[0].strip("| `") for line in lines if line.startswith("| ")]
    assert heads[:2] == ["key", "---"]
    assert set(heads[2 : 2 + len(FORMATS)]) == {known.key for known in FORMATS}
    assert [head.split(":")[0] for head in heads[-len(FACETS) :]] == list(FACETS)
    widths = {line.count("|") for line in lines[len(FORMATS) + 3 :]}
    assert widths == {len(WRITTEN) + 2}
