"""``lineage convert`` and ``lineage validate`` as a user meets them."""

from __future__ import annotations

import re

import numpy as np
import pytest
from zoo import ZOO, paint

from lineage.certificate import Certificate
from lineage.films import save_labels
from lineage.forest import Forest
from lineage.formats import FORMATS, read, write


def test_convert_says_what_it_reads_and_writes(run, tmp_path):
    write(ZOO["division"], tmp_path / "a.csv")
    code, out, err = run("convert", tmp_path / "a.csv", tmp_path / "a.gexf")
    assert (code, err) == (0, "")
    assert out == (
        f"{tmp_path}/a.csv (lineage table): 3 cells in 2 frames, 1 lineages, 1 divisions\nwritten: {tmp_path}/a.gexf (GEXF graph (Gephi))\n"
    )
    assert read(tmp_path / "a.gexf").parent.tolist() == [-1, 0, 0]


def test_convert_says_what_is_lost_before_it_writes(run, tmp_path):
    forest = Forest(ZOO["gap"].detections, ZOO["gap"].parent, certificate=Certificate(0, 0, 0, "highs", "optimal", 1), record={"seed": 1})
    write(forest, tmp_path / "a.npz")
    code, out, err = run("convert", "--strict", tmp_path / "a.npz", tmp_path / "a.csv")
    assert code == 2
    assert out.splitlines()[1:] == [
        "what the target (lineage table) cannot hold:",
        "  certificate: the certificate of the solver; left out",
        "  record: the record of how it was made (seed); left out",
    ]
    assert err == (
        f"lineage: {tmp_path}/a.csv was not written: its format (lineage table) cannot hold all of {tmp_path}/a.npz (certificate, record)\n"
    )
    assert not (tmp_path / "a.csv").exists()
    code, again, _ = run("convert", tmp_path / "a.npz", tmp_path / "a.csv")
    assert code == 0
    assert again == out + f"written: {tmp_path}/a.csv (lineage table)\n"


def test_convert_with_masks_gaps_and_formats_named(run, tmp_path):
    write(ZOO["gap"], tmp_path / "a.csv", format="napari")
    save_labels(tmp_path / "masks.tif", paint(ZOO["gap"]))
    code, out, _ = run(
        "convert", tmp_path / "a.csv", tmp_path / "01_RES", "--labels", tmp_path / "masks.tif", "--gaps", "fill", "--from", "napari"
    )
    assert code == 0
    assert "5 cells in 5 frames, 1 lineages, 0 divisions\n1 of them put into missed frames\n" in out
    assert "positions: 4 positions; they are measured from the masks again" in out
    assert (tmp_path / "01_RES" / "res_track.txt").read_text() == "1 0 4 0\n"
    code, out, _ = run("validate", tmp_path / "01_RES")
    assert (code, out) == (0, f"{tmp_path}/01_RES: 0 errors, 0 warnings\n")
    code, out, _ = run("convert", tmp_path / "01_RES", tmp_path / "b.csv", "--to", "intracktive")
    assert "  masks: the label images; keep them beside the file\n" in out
    assert (tmp_path / "b.csv").read_text().startswith("track_id,t,y,x,parent_track_id")


def test_merges_are_refused_or_cut(run, tmp_path):
    write(ZOO["two strangers"], tmp_path / "a.graphml")
    text = (tmp_path / "a.graphml").read_text()
    links = re.findall(r"<edge [^\n]*\n", text)
    merged = text.replace(
        links[1], links[1] + re.sub(r'source="\w+"', re.search(r'source="\w+"', links[0])[0], links[1]).replace("<edge id", "<edge id")
    )
    (tmp_path / "a.graphml").write_text(merged)
    code, out, err = run("convert", tmp_path / "a.graphml", tmp_path / "b.csv")
    assert (code, out) == (2, "")
    assert "has two parents" in err
    code, out, err = run("convert", tmp_path / "a.graphml", tmp_path / "b.csv", "--merges", "keep-nearest")
    assert (code, err) == (0, "")
    assert "  merges: 1 link of a cell with two parents; the nearest parent is kept\n" in out
    assert read(tmp_path / "b.csv").parent.tolist() == [-1, -1, 0, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no.csv", "b.csv"], "no such file or folder: no.csv"),
        (["a.csv", "a.csv"], "a.csv is, or holds, what is read (a.csv): give the result another name"),
        (["a.csv", "c.gexf"], "c.gexf exists already: choose another name, or overwrite it (--overwrite)"),
        (["a.csv", "b.h5", "--to", "btrack"], "btrack HDF5 is read only: choose one of KEYS"),
        (["a.csv", "no/b.gexf"], "cannot write no/b.gexf: the folder no does not exist"),
        (["a.csv", "b.csv", "--from", "doc"], "there is no format doc; there are ALL"),
        (["a.csv", "b", "--labels", "no.tif"], "no such film: no.tif"),
        (["rubbish.csv", "b.gexf"], "rubbish.csv: there is no column id, t, parent_id, y, x; there are what"),
    ],
)
def test_what_goes_wrong_is_one_line(run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    write(ZOO["step"], "a.csv")
    (tmp_path / "c.gexf").write_text("mine")
    (tmp_path / "rubbish.csv").write_text("what\n1\n")
    message = message.replace("KEYS", ", ".join(known.key for known in FORMATS if known.write))
    code, _, err = run("convert", *arguments)
    assert (code, err) == (2, f"lineage: {message.replace('ALL', ', '.join(known.key for known in FORMATS))}\n")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.csv", "c.gexf", "rubbish.csv"]
    assert (tmp_path / "c.gexf").read_text() == "mine"


def test_the_list_of_formats(run):
    code, out, _ = run("convert", "--formats")
    assert code == 0
    assert all(f"| `{known.key}` | {known.name} |" in out for known in FORMATS)


def test_validate_any_format(run, tmp_path):
    write(ZOO["division"], tmp_path / "a.geff")
    assert run("validate", tmp_path / "a.geff")[:2] == (0, f"{tmp_path}/a.geff: 0 errors, 0 warnings\n")
    (tmp_path / "a.csv").write_text("id,parent_id,t,y,x\n1,-1,0,nan,1\n2,1,1,1,1\n2,1,1,1,1\n")
    code, out, err = run("validate", tmp_path / "a.csv")
    assert (code, err) == (1, "")
    assert out.splitlines() == [
        f"{tmp_path}/a.csv:2: frame 0: no finite number: y is nan",
        f"{tmp_path}/a.csv:4: frame 1: duplicate id: the id 2 has a row already",
        f"{tmp_path}/a.csv: 2 errors, 0 warnings",
    ]
    (tmp_path / "b.gexf").write_text("<gexf>")
    code, out, _ = run("validate", tmp_path / "b.gexf")
    assert code == 1
    assert re.fullmatch(rf"{tmp_path}/b.gexf: unreadable: [^\n]+\n{tmp_path}/b.gexf: 1 error, 0 warnings\n", out)
    assert run("validate", tmp_path / "no.csv") == (2, "", f"lineage: no such file or folder: {tmp_path}/no.csv\n")


def test_interval_and_scale_travel_through_a_run(run, tmp_path):
    film = np.zeros((3, 24, 24), np.uint16)
    film[:, 4:10, 4:10] = 1
    save_labels(tmp_path / "masks.tif", film, scale=(0.5, 0.25), interval=120)
    code, _, err = run("track", "--labels", tmp_path / "masks.tif", "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    for name in ("ctc", "lineages.gexf", "lineages.geff"):
        cells = read(tmp_path / "out" / name).detections
        assert (name, cells.scale, cells.interval) == (name, (0.5, 0.25), 120.0)


def test_interval_and_scale_may_be_given(run, tmp_path):
    film = np.zeros((2, 24, 24), np.uint16)
    film[:, 4:10, 4:10] = 1
    np.save(tmp_path / "masks.npy", film)
    code, _, err = run(
        "track", "--labels", tmp_path / "masks.npy", "-o", tmp_path / "out", "--scale", "0.5,0.25", "--interval", "90", "--solver", "greedy"
    )
    assert (code, err) == (0, "")
    cells = read(tmp_path / "out" / "lineages.gexf").detections
    assert (cells.scale, cells.interval) == ((0.5, 0.25), 90.0)
    code, _, err = run("track", "--labels", tmp_path / "masks.npy", "-o", tmp_path / "o", "--interval", "-5", "--solver", "greedy")
    assert (code, err) == (2, "lineage: interval must be a positive number of seconds, not -5.0\n")
    assert not (tmp_path / "o").exists()
