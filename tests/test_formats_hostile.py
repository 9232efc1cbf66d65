"""Files that mean harm, in every format that can carry it: refused in one line, or harmless, in bounded time and memory."""

import gzip
import json
import re
import zipfile

import numpy as np
import pytest
from fuzzing import complaint
from zoo import ZOO

from lineage.detections import Detections
from lineage.forest import Forest
from lineage.formats import read, write

LOL = '<!DOCTYPE x [<!ENTITY a "ha">{}]>'.format("".join(f'<!ENTITY {chr(98 + k)} "{f"&{chr(97 + k)};" * 10}">' for k in range(12)))
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>'
HEAD = "id,parent_id,t,y,x\n"
GEXF = (
    '<gexf xmlns="http://gexf.net/1.3" version="1.3"><graph><attributes class="node"><attribute id="t" title="t" type="integer"/>'
    '<attribute id="y" title="y" type="double"/><attribute id="x" title="x" type="double"/></attributes><nodes>{nodes}</nodes>'
    "<edges>{edges}</edges></graph></gexf>"
)
GRAPHML = (
    '<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><key id="t" for="node" attr.name="t" attr.type="int"/>'
    '<key id="y" for="node" attr.name="y" attr.type="double"/><key id="x" for="node" attr.name="x" attr.type="double"/>'
    '<graph edgedefault="directed">{nodes}{edges}</graph></graphml>'
)
TRACKMATE = (
    '<TrackMate version="7.11.1"><Model spatialunits="pixel" timeunits="frame"><AllSpots nspots="1000000000">{nodes}</AllSpots>'
    '<AllTracks><Track name="a" TRACK_ID="0">{edges}</Track></AllTracks>'
    '<FilteredTracks><TrackID TRACK_ID="0"/></FilteredTracks></Model></TrackMate>'
)


def gexf(cells, links):
    nodes = "".join(
        f'<node id="{i}"><attvalues><attvalue for="t" value="{t}"/><attvalue for="y" value="{y}"/><attvalue for="x" value="{x}"/>'
        "</attvalues></node>"
        for i, t, y, x in cells
    )
    return GEXF.format(nodes=nodes, edges="".join(f'<edge id="{k}" source="{a}" target="{b}"/>' for k, (a, b) in enumerate(links)))


def graphml(cells, links):
    nodes = "".join(
        f'<node id="{i}"><data key="t">{t}</data><data key="y">{y}</data><data key="x">{x}</data></node>' for i, t, y, x in cells
    )
    return GRAPHML.format(nodes=nodes, edges="".join(f'<edge source="{a}" target="{b}"/>' for a, b in links))


def trackmate(cells, links):
    spots = "".join(
        f'<SpotsInFrame frame="{t}"><Spot ID="{i}" name="ID{i}" FRAME="{t}" POSITION_T="{t}" POSITION_X="{x}" POSITION_Y="{y}" '
        f'POSITION_Z="0" RADIUS="1" QUALITY="1" VISIBILITY="1"/></SpotsInFrame>'
        for i, t, y, x in cells
    )
    edges = "".join(f'<Edge SPOT_SOURCE_ID="{a}" SPOT_TARGET_ID="{b}" LINK_COST="1"/>' for a, b in links)
    return TRACKMATE.format(nodes=spots, edges=edges)


def csv(cells, links):
    mother = {b: a for a, b in links}
    return HEAD + "".join(f"{i},{mother.get(i, -1)},{t},{y},{x}\n" for i, t, y, x in cells)


XML = {"a.gexf": gexf, "a.graphml": graphml, "a.xml": trackmate}
GRAPHS = {**XML, "a.csv": csv}
SOUND = [(1, 0, 1, 1), (2, 1, 1, 2), (3, 2, 1, 3)]


def refused(path, *words):
    """Refused in one line that holds these words; in bounded time and memory."""
    assert complaint(path) == ""
    with pytest.raises((ValueError, OSError), match=r"^[^\n]+$") as error:
        read(path)
    assert all(re.search(word, str(error.value)) for word in words), str(error.value)


@pytest.mark.parametrize("name", GRAPHS)
def test_the_sound_one_is_read(tmp_path, name):
    (tmp_path / name).write_text(GRAPHS[name](SOUND, [(1, 2), (2, 3)]))
    assert read(tmp_path / name).parent.tolist() == [-1, 0, 1]


@pytest.mark.parametrize("name", XML)
@pytest.mark.parametrize("bomb", [LOL, OUTSIDE, "<!DOCTYPE x>"])
def test_entities_are_refused(tmp_path, name, bomb):
    text = XML[name](SOUND, [(1, 2)]).replace('"1"', '"&a;"', 1)
    (tmp_path / name).write_text(f'<?xml version="1.0"?>{bomb}{text}')
    refused(tmp_path / name, "document type|entities")


@pytest.mark.parametrize("name", XML)
def test_deep_nesting_is_harmless(tmp_path, name):
    text = XML[name](SOUND, [(1, 2), (2, 3)])
    end = text.rindex("</")
    (tmp_path / name).write_text(text[:end] + "<a>" * 200_000 + "</a>" * 200_000 + text[end:])
    assert complaint(tmp_path / name) == ""
    assert read(tmp_path / name).parent.tolist() == [-1, 0, 1]


@pytest.mark.parametrize("name", XML)
def test_huge_attributes_are_harmless(tmp_path, name):
    (tmp_path / name).write_text(XML[name](SOUND, [(1, 2), (2, 3)]).replace(">", f' more="{"x" * 5_000_000}">', 1))
    assert complaint(tmp_path / name) == ""


@pytest.mark.parametrize("opening", ["(", "((a,b)", "[", '{"a":', '{"lineages":[{"cells":'])
@pytest.mark.parametrize("name", ["a.nwk", "a.json"])
def test_deep_trees_are_refused(tmp_path, name, opening):
    (tmp_path / name).write_text(opening * 300_000)
    refused(tmp_path / name)


def test_a_deep_lineage_comes_back(tmp_path):
    """5,000 generations: no reader or writer may climb by recursion."""
    n = 5_000
    frame = np.repeat(np.arange(n), 2)[1:]
    parent = np.concatenate([[-1], np.repeat(np.arange(-1, 2 * n - 3, 2)[: n - 1], 2).clip(0)])
    deep = Forest(Detections(frame, np.column_stack([frame, np.arange(len(frame))]), np.ones(len(frame), int)), parent)
    for name in ("a.nwk", "a.json"):
        write(deep, tmp_path / name)
        again = read(tmp_path / name)
        assert len(again.divisions) == len(deep.divisions)
        assert again.generation.max() == deep.generation.max()


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize(
    ("cells", "links", "words"),
    [
        ([(1, 0, "nan", 1)], [], "nan|NaN|no y"),
        ([(1, 0, 1, "inf")], [], "inf"),
        ([(1, 0, 1, "1e999")], [], "inf"),
        ([(1, 0, 1, 1), (1, 1, 1, 1)], [], "twice|so has row 0"),
        ([(1, -3, 1, 1)], [], "-3"),
        ([(1, 0, 1, 1), (2, 1, 1, 1)], [(9, 2)], "9"),
        ([(1, 0, 1, 1), (2, 0, 1, 1)], [(1, 2)], "frame 0"),
        ([(1, 0, 1, 1)], [(1, 1)], "1"),
        ([(1, "1e99", 1, 1)], [], "1e\\+?99"),
    ],
)
def test_cells_that_cannot_be(tmp_path, name, cells, links, words):
    (tmp_path / name).write_text(GRAPHS[name](cells, links))
    refused(tmp_path / name, words)


@pytest.mark.parametrize("name", ["a.gexf", "a.graphml", "a.csv"])
def test_parents_in_later_frames_and_cycles(tmp_path, name):
    (tmp_path / name).write_text(GRAPHS[name](SOUND, [(3, 2)]))
    refused(tmp_path / name, "parents come earlier")
    (tmp_path / name).write_text(GRAPHS[name](SOUND, [(1, 2), (2, 3), (3, 1)]))
    refused(tmp_path / name, "parents come earlier")


@pytest.mark.parametrize("name", XML)
def test_merges_and_edges_that_occur_twice(tmp_path, name):
    (tmp_path / name).write_text(XML[name](SOUND, [(1, 3), (2, 3)]))
    refused(tmp_path / name, "3 has two parents, 1 and 2")
    (tmp_path / name).write_text(XML[name](SOUND, [(1, 2), (1, 2)]))
    refused(tmp_path / name, "1 -> 2 occurs twice")


def test_a_billion_rows_that_are_not_there(tmp_path):
    write(ZOO["division"], tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "a.npz") as old, zipfile.ZipFile(tmp_path / "b.npz", "w") as new:
        for name in old.namelist():
            new.writestr(name, _claiming(name, old.read(name)))
    refused(tmp_path / "b.npz", "claims the shape")
    write(ZOO["division"], tmp_path / "c.geff")
    for file in (tmp_path / "c.geff").rglob("*"):
        if file.name in (".zarray", "zarr.json") and "shape" in file.read_text():
            text = json.loads(file.read_text())
            text["shape"] = [10**9, *text["shape"][1:]]
            file.write_text(json.dumps(text))
    refused(tmp_path / "c.geff")
    write(ZOO["division"], tmp_path / "r")
    for row in ("1 0 1000000000 0", "1 1000000000 1000000000 0", "1 -1000000000 0 0"):
        (tmp_path / "r" / "res_track.txt").write_text(row + "\n")
        refused(tmp_path / "r", "1000000000")


def _claiming(name, data):
    """An array whose header claims a billion rows."""
    if not name.startswith("label"):
        return data
    header = b"{'descr': '<i8', 'fortran_order': False, 'shape': (1000000000,), }".ljust(117) + b"\n"
    return data[:8] + len(header).to_bytes(2, "little") + header + data[-24:]


def test_archives_that_unpack_without_end(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(HEAD.encode() + b"0" * 120_000_000, 9))
    refused(tmp_path / "a.csv.gz", "unpacks to more than")
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("frame.npy", b"\0" * 200_000_000)
        archive.writestr("parent.npy", b"\0" * 100)
    refused(tmp_path / "a.npz", "unpacks to 200000100 bytes")


def test_zarr_does_not_leave_its_folder(tmp_path):
    write(ZOO["division"], tmp_path / "secret.geff")
    write(ZOO["division"], tmp_path / "a.geff")
    chunk = max((file for file in (tmp_path / "a.geff" / "nodes" / "ids").rglob("*") if file.is_file()), key=lambda file: file.name == "0")
    chunk.unlink()
    chunk.symlink_to(tmp_path / "secret.geff" / chunk.relative_to(tmp_path / "a.geff"))
    refused(tmp_path / "a.geff", "link")
    props = tmp_path / "a.geff" / "nodes" / "props"
    (props / "x").rename(tmp_path / "elsewhere")
    (props / "x").symlink_to(tmp_path / "elsewhere")
    refused(tmp_path / "a.geff", "link")


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.npz", "a.gexf", "a.graphml", "a.xml", "a.nwk", "a.json", "a.h5", "a.mastodon"])
@pytest.mark.parametrize("content", [b"", b"\x00" * 300, b"\xff\xfe\x00", b"PK\x03\x04rubbish", b"PAR1PAR1", b"\x89HDF\r\n\x1a\n", b"<a>"])
def test_rubbish(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    if name == "a.nwk" and not content:  # a forest without a tree
        assert len(read(tmp_path / name)) == 0
    else:
        refused(tmp_path / name)


@pytest.mark.parametrize("name", ["a.csv", "a.npz", "a.gexf", "a.xml", "a.json", "a.h5"])
def test_folders_with_the_name_of_a_file(tmp_path, name):
    (tmp_path / name).mkdir()
    refused(tmp_path / name)


@pytest.mark.parametrize("name", ["a.geff", "a"])
def test_files_with_the_name_of_a_folder(tmp_path, name):
    (tmp_path / name).write_bytes(b"rubbish")
    refused(tmp_path / name)
