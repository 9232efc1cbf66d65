import json
import os
import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from random_forests import assert_same, forests
from rich_forests import differing, rich
from zoo import ZOO

from lineage.detections import Detections
from lineage.forest import Forest
from lineage.formats import geff
from lineage.formats.geff_read import recognises
from lineage.formats.zarr_arrays import unpacked_size

relaxed = settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def validated(path):
    """What geff's own validators and reader make of a folder."""
    from geff.core_io import read_to_memory
    from geff.validate.data import ValidationConfig

    checks = ValidationConfig(graph=True, sphere=True, ellipsoid=True, lineage=True, tracklet=True)
    return read_to_memory(path, data_validation=checks)


def foreign(path, ids, pairs, nodes, edges=None, *, form=2, **said):
    """A GEFF as another tool would write it, by hand: columns, or (column, missing)."""
    root = zarr.open_group(str(path), mode="w", zarr_format=form)
    ids = np.asarray(ids)
    root["nodes/ids"], root["edges/ids"] = ids, np.asarray(pairs, ids.dtype).reshape(-1, 2)
    for scope, properties in (("nodes", nodes), ("edges", edges or {})):
        root.require_group(f"{scope}/props")
        for name, column in properties.items():
            for part, values in zip(("values", "missing", "data"), column if isinstance(column, tuple) else (column,), strict=False):
                if values is not None:
                    root[f"{scope}/props/{name}/{part}"] = np.asarray(values)
    root.attrs["geff"] = {"geff_version": "1.0", "directed": True, **said}
    return path


def axes(*names, **more):
    kinds = {"t": "time", "time": "time", "frame": "time"}
    return [{"name": name, "type": kinds.get(name, "space"), **more.get(name, {})} for name in names]


PLACES = {"t": [0, 1, 1], "y": [1.0, 2, 3], "x": [4.0, 5, 6]}


def test_a_file_made_by_hand(tmp_path):
    path = foreign(tmp_path / "a.geff", [10, 30, 20], [(10, 30), (10, 20)], {**PLACES, "area": [7, 8, 9]}, axes=axes("t", "y", "x"))
    forest = geff.read(path)
    assert forest.parent.tolist() == [-1, 0, 0]
    assert forest.detections.position.tolist() == [[1, 4], [2, 5], [3, 6]]
    columns = {name: column.tolist() for name, column in forest.detections.columns.items()}
    assert columns == {"source_id": [10, 30, 20], "area": [7, 8, 9]}


@pytest.mark.parametrize("name", ZOO)
def test_zoo_is_valid_and_comes_back(tmp_path, name):
    geff.write(ZOO[name], tmp_path / "a.geff")
    found = validated(tmp_path / "a.geff")
    assert found["metadata"].track_node_props == {"tracklet": "tracklet_id", "lineage": "lineage_id"}
    assert len(found["node_ids"]) == len(ZOO[name])
    again = geff.read(tmp_path / "a.geff")
    assert_same(again, ZOO[name])
    assert again.detections.n_axes == ZOO[name].detections.n_axes


@relaxed
@given(forests())
def test_random_forests_are_valid_and_come_back_whole(tmp_path, forest):
    geff.write(forest, tmp_path / "a.geff")
    validated(tmp_path / "a.geff")
    again = geff.read(tmp_path / "a.geff")
    assert_same(again, forest)
    assert (again.certificate, again.record) == (forest.certificate, forest.record)


@pytest.mark.parametrize("seed", range(6))
def test_what_is_lost_is_what_is_not_held(tmp_path, seed):
    forest = rich(np.random.default_rng(seed))
    geff.write(forest, tmp_path / "a.geff")
    validated(tmp_path / "a.geff")
    again = geff.read(tmp_path / "a.geff")
    assert differing(forest, again).isdisjoint(geff.HOLDS)
    for name, column in again.detections.columns.items():
        if column.dtype.kind in "biuf":
            assert column.dtype == forest.detections.columns[name].dtype, name


def test_what_other_tools_look_for(tmp_path):
    cells = replace(ZOO["division over a gap"].detections, scale=(0.5, 0.5), interval=300.0)
    (tmp_path / "labels.zarr").mkdir()
    geff.write(replace(ZOO["division over a gap"], detections=cells), tmp_path / "a.geff", labels_path=tmp_path / "labels.zarr")
    found = validated(tmp_path / "a.geff")
    said = found["metadata"]
    assert [(axis.name, axis.type, axis.unit, axis.scale, axis.scaled_unit) for axis in said.axes] == [
        ("t", "time", "frame", 300.0, "second"),
        ("y", "space", "micrometer", None, None),
        ("x", "space", "micrometer", None, None),
    ]
    assert (said.display_hints.display_horizontal, said.display_hints.display_vertical, said.display_hints.display_time) == ("x", "y", "t")
    [labels] = said.related_objects
    assert (labels.type, labels.path, labels.node_prop) == ("labels", "../labels.zarr", "label")
    assert found["node_props"]["tracklet_id"]["values"].tolist() == [1, 1, 2, 3, 2]
    assert found["edge_props"]["dt"]["values"].tolist() == [1, 2, 2, 1]
    assert found["edge_props"]["link_cost"]["missing"].tolist() == [True] * 4


def test_tracklets_go_over_gaps_as_geff_defines_them(tmp_path):
    frames, parent = [0, 2, 4, 6, 8, 8, 10], [-1, 0, 1, 2, 3, 3, 4]
    cells = Detections(frames, np.zeros((7, 2)), np.ones(7, int))
    geff.write(Forest(cells, parent), tmp_path / "a.geff")
    found = validated(tmp_path / "a.geff")["node_props"]["tracklet_id"]["values"]
    assert len(set(found[:4])) == 1
    assert found[4] == found[6] != found[5]


def test_missing_numbers_are_marked(tmp_path):
    cells = Detections([0, 0], [[1, 2], [3, 4]], [1, 2], {"area": np.array([np.nan, 3])})
    geff.write(Forest(cells, [-1, -1]), tmp_path / "a.geff")
    assert validated(tmp_path / "a.geff")["node_props"]["area"]["missing"].tolist() == [True, False]


ODD = (
    "a/b",
    "..",
    ".",
    "",
    "../../x",
    "t",
    "T",
    "é",
    "x" * 300,
    "selected",
    "solution",
    "polygon",
    "tracklet",
    "%2E",
    "A",
    "a",
    "a_2",
    "x y ",
)


def test_columns_of_odd_names(tmp_path):
    columns = {name: np.array([False, True]) if k % 2 else np.array([k, k + 1]) for k, name in enumerate(ODD)}
    forest = Forest(Detections([0, 1], [[1, 2], [3, 4]], [1, 2], columns), [-1, 0])
    geff.write(forest, tmp_path / "a.geff")
    validated(tmp_path / "a.geff")
    assert_same(geff.read(tmp_path / "a.geff"), forest)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.geff"]
    names = [entry.name for entry in (tmp_path / "a.geff" / "nodes" / "props").iterdir()]
    assert len({name.lower() for name in names}) == len(names)
    assert set(geff.read(tmp_path / "a.geff").detections.columns) == set(ODD)


def test_odd_types(tmp_path):
    columns = {kind: np.array([1, 2]).astype(kind) for kind in ("float16", "float32", ">f8", ">i4", "uint64", "longdouble")}
    columns |= {"object": np.array(["a", "be"], object), "U0": np.array(["", ""]), "time": np.array([1, 2], "datetime64[s]")}
    geff.write(Forest(Detections([0, 1], [[1, 2], [3, 4]], [1, 2], columns), [-1, 0]), tmp_path / "a.geff")
    validated(tmp_path / "a.geff")
    again = geff.read(tmp_path / "a.geff").detections.columns
    assert {name: column.tolist() for name, column in again.items()} == {
        name: column.tolist() for name, column in columns.items() if name != "time"
    }
    assert (again["float16"].dtype, again["uint64"].dtype) == (np.float16, np.uint64)


def test_numbers_that_json_does_not_know(tmp_path):
    forest = replace(ZOO["step"], slack={"select": np.array([np.inf, 1.5])}, record={"best": -np.inf, "n": 10**20})
    geff.write(forest, tmp_path / "a.geff")
    again = geff.read(tmp_path / "a.geff")
    assert (again.slack["select"].tolist(), again.record) == ([np.inf, 1.5], forest.record)
    json.loads((tmp_path / "a.geff" / ".zattrs").read_text(encoding="utf-8"), parse_constant=pytest.fail)


def test_outlines_are_polygons(tmp_path):
    cells = Detections([0, 1, 1], [[1, 2], [3, 4], [5, 6]], [1, 2, 3], {"roi": np.array(["0 1.5 2 -3", "", "1e-05 0.1 -0.25 7 8 9"])})
    forest = Forest(cells, [-1, 0, 0])
    geff.write(forest, tmp_path / "a.geff")
    found = validated(tmp_path / "a.geff")
    assert found["metadata"].polygon == "polygon"
    assert found["node_props"]["polygon"]["values"][0].tolist() == [[1.5, 0], [-3, 2]]
    assert_same(geff.read(tmp_path / "a.geff"), forest)
    words = replace(forest, detections=replace(cells, columns={"roi": np.array(["north", "", "south"])}))
    geff.write(words, tmp_path / "a.geff")
    assert_same(geff.read(tmp_path / "a.geff"), words)


def test_folders_are_replaced_only_when_they_are_ours(tmp_path):
    geff.write(ZOO["step"], tmp_path / "a.geff")
    geff.write(ZOO["single"], tmp_path / "a.geff")
    assert len(geff.read(tmp_path / "a.geff")) == 1
    (tmp_path / "a.geff" / "mine.txt").write_text("x")
    with pytest.raises(FileExistsError, match=re.escape("holds other files (mine.txt)")):
        geff.write(ZOO["step"], tmp_path / "a.geff")
    assert len(geff.read(tmp_path / "a.geff")) == 1


def test_the_real_one(data):
    path = data / "formats" / "geff" / "graph_labels_seg.zarr"
    assert recognises(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the file uses a word that geff has given up
        theirs = validated(path / "tracks")
    for place in (path, path / "tracks"):
        forest = geff.read(place)
        assert (len(forest), len(forest.child_rows), len(forest.divisions), forest.detections.n_frames) == (103, 93, 4, 10)
        assert list(forest.detections.columns) == []
        row = {
            number: i for i, number in enumerate(np.argsort(np.argsort(theirs["node_props"]["frame"]["values"], kind="stable")).tolist())
        }
        for number, y, x, t in zip(
            theirs["node_ids"], *(theirs["node_props"][name]["values"] for name in ("y", "x", "frame")), strict=True
        ):
            assert forest.detections.position[row[number]].tolist() == [y, x]
            assert forest.detections.frame[row[number]] == t
        assert {(row[a], row[b]) for a, b in theirs["edge_ids"]} == {(int(forest.parent[i]), int(i)) for i in forest.child_rows}


@pytest.mark.parametrize("form", [2, 3])
def test_candidate_graphs_are_read_as_their_solution(tmp_path, form):
    pairs, nodes = [(0, 2), (1, 2)], {"t": [0, 0, 1], "y": [1.0, 2, 3], "x": [4.0, 5, 6]}
    for scope, name in (("edges", "solution"), ("edges", "selected"), ("nodes", "solution")):
        marks = {name: [False, True] if scope == "edges" else [False, True, True]}
        given = {"nodes": {**nodes, **marks}, "edges": {}} if scope == "nodes" else {"nodes": nodes, "edges": marks}
        forest = geff.read(foreign(tmp_path / "a.geff", [0, 1, 2], pairs, **given, form=form))
        assert forest.parent.tolist() == [-1, -1, 1]
        assert forest.selected.tolist() == ([False, True, True] if scope == "nodes" else [True] * 3)
    foreign(tmp_path / "a.geff", [0, 1, 2], pairs, nodes)
    with pytest.raises(ValueError, match=re.escape('node 2 has two parents, 0 and 1: lineages do not merge (merges="keep-nearest" keeps')):
        geff.read(tmp_path / "a.geff")
    assert geff.read(tmp_path / "a.geff", merges="keep-nearest").parent.tolist() == [-1, -1, 1]


@pytest.mark.parametrize("time", ["t", "time", "frame", "Time"])
def test_names_without_axes(tmp_path, time):
    nodes = {time: [0, 1], "pos": [[1.0, 2, 3], [4, 5, 6]]}
    forest = geff.read(foreign(tmp_path / "a.geff", [0, 1], [(0, 1)], nodes))
    assert (forest.detections.frame.tolist(), forest.detections.position.tolist()) == ([0, 1], [[1, 2, 3], [4, 5, 6]])


def test_axes_of_other_names_are_in_order(tmp_path):
    nodes = {"frame": [0, 1], "depth": [1.0, 2], "row": [3.0, 4], "column": [5.0, 6]}
    forest = geff.read(foreign(tmp_path / "a.geff", [0, 1], [(0, 1)], nodes, axes=axes("frame", "depth", "row", "column")))
    assert forest.detections.position.tolist() == [[1, 3, 5], [2, 4, 6]]


def test_trackmates_axes_are_known_by_their_ends_or_by_the_hints(tmp_path):
    nodes = {"FRAME": [0, 1], "POSITION_X": [1.0, 2], "POSITION_Y": [3.0, 4], "POSITION_Z": [0.0, 0]}
    said = [{"name": name, "type": "space" if name[0] == "P" else "time"} for name in ("POSITION_X", "POSITION_Y", "POSITION_Z", "FRAME")]
    path = tmp_path / "a.geff"
    assert geff.read(foreign(path, [0, 1], [(0, 1)], nodes, axes=said)).detections.position.tolist() == [[3, 1], [4, 2]]
    nodes["POSITION_Z"] = [0.0, 5]
    assert geff.read(foreign(path, [0, 1], [(0, 1)], nodes, axes=said)).detections.position.tolist() == [[0, 3, 1], [5, 4, 2]]
    nodes = {"t": [0, 1], "a": [1.0, 2], "b": [3.0, 4]}
    hints = {"display_horizontal": "a", "display_vertical": "b"}
    path = foreign(path, [0, 1], [(0, 1)], nodes, axes=axes("t", "a", "b"), display_hints=hints)
    assert geff.read(path).detections.position.tolist() == [[3, 1], [4, 2]]


def test_pixels_with_a_scale_become_places(tmp_path):
    said = axes(
        "t",
        "y",
        "x",
        t={"unit": "frame", "scale": 5, "scaled_unit": "minute"},
        y={"unit": "pixel", "scale": 0.5, "scaled_unit": "micrometer"},
        x={"unit": "pixel", "scale": 250, "scaled_unit": "nanometer", "offset": 1000},
    )
    cells = geff.read(foreign(tmp_path / "a.geff", [0, 1, 2], [(0, 1)], PLACES, axes=said)).detections
    np.testing.assert_allclose(cells.position, [[0.5, 2], [1, 2.25], [1.5, 2.5]])
    assert (cells.scale, cells.interval) == ((0.5, 0.25), 300)


def test_times_that_are_no_frames(tmp_path):
    nodes = {"t": [0.0, 2.5, 7.5], "y": [1.0, 2, 3], "x": [4.0, 5, 6]}
    cells = geff.read(foreign(tmp_path / "a.geff", [0, 1, 2], [(0, 1)], nodes, axes=axes("t", "y", "x", t={"unit": "minute"}))).detections
    assert (cells.frame.tolist(), cells.interval) == ([0, 1, 3], 150)
    nodes["t"] = [0, 1, 2.5]
    foreign(tmp_path / "a.geff", [0, 1, 2], [(0, 1)], nodes, axes=axes("t", "y", "x"))
    with pytest.raises(ValueError, match=re.escape("times (t) are neither frames nor multiples of one step: the smallest is 1.0")):
        geff.read(tmp_path / "a.geff")


def test_labels_texts_missing_values_and_arrays(tmp_path):
    nodes = {
        **PLACES,
        "seg": np.array([7, 8, 9], np.uint16),
        "track_id": [1, 2, 3],
        "count": (np.array([1, 2, 3]), np.array([False, True, False])),
        "name": (np.array(["a", "b", "é"]), np.array([True, False, False])),
        "flag": (np.array([True, True, False]), np.array([True, False, False])),
        "bbox": np.arange(6).reshape(3, 2),
        "shape": (np.array([[0, 2, 2], [4, 1, 2], [6, 0, 2]], np.uint64), None, np.arange(6.0)),
    }
    objects = [{"type": "image", "path": "../i"}, {"type": "labels", "path": "../labels", "node_prop": "seg"}]
    path = foreign(
        tmp_path / "a.geff", [0, 1, 2], [(0, 1)], nodes, polygon="shape", related_objects=objects, track_node_props={"tracklet": "track_id"}
    )
    cells = geff.read(path).detections
    assert cells.label.tolist() == [7, 8, 9]
    columns = {name: column.tolist() for name, column in cells.columns.items()}
    np.testing.assert_array_equal(columns.pop("count"), [1, np.nan, 3])
    assert columns == {
        "name": ["", "b", "é"],
        "flag": [False, True, False],
        "bbox": [[0, 1], [2, 3], [4, 5]],
        "roi": ["1 0 3 2", "5 4", ""],
    }


@pytest.mark.parametrize("form", [2, 3])
def test_text_of_varying_length(tmp_path, form):
    path = foreign(tmp_path / "a.geff", [0, 1], [(0, 1)], {"t": [0, 1], "y": [0, 0], "x": [0, 0]}, form=form)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        group = zarr.open_group(str(path), mode="r+", zarr_format=form)
        group.create_array("nodes/props/name/values", shape=(2,), dtype=str)[:] = np.array(["mère", "x"], object)
    assert geff.read(path).detections.columns["name"].tolist() == ["mère", "x"]


@pytest.mark.parametrize("number", [-5, 7, 2**63 + 1])
def test_ids_of_any_size(tmp_path, number):
    ids = np.array([number, 2], np.uint64 if number > 0 else np.int64)
    forest = geff.read(foreign(tmp_path / "a.geff", ids, ids.reshape(1, 2), {"t": [0, 1], "y": [0, 0], "x": [0, 0]}))
    assert (forest.parent.tolist(), forest.detections.columns["source_id"].tolist()) == ([-1, 0], [number, 2])


def test_undirected_graphs_go_forward_in_time(tmp_path):
    nodes = {"t": [1, 0], "y": [0, 0], "x": [0, 0]}
    assert geff.read(foreign(tmp_path / "a.geff", [5, 6], [(5, 6)], nodes, directed=False)).parent.tolist() == [-1, 0]
    foreign(tmp_path / "a.geff", [5, 6], [(5, 6)], nodes)
    with pytest.raises(ValueError, match=r"edge 5 -> 6 goes from frame 1 to frame 0: parents come earlier$"):
        geff.read(tmp_path / "a.geff")


def test_a_geff_inside_a_zarr(tmp_path):
    zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2).require_group("deep")
    foreign(tmp_path / "a.zarr" / "deep" / "tracks", [0, 1, 2], [(0, 1)], PLACES)
    assert recognises(tmp_path / "a.zarr")
    assert len(geff.read(tmp_path / "a.zarr")) == 3
    foreign(tmp_path / "a.zarr" / "deep" / "more", [0, 1, 2], [(0, 1)], PLACES)
    with pytest.raises(ValueError, match=re.escape("there are several: open one of deep/more, deep/tracks")):
        geff.read(tmp_path / "a.zarr")


def test_what_is_recognised(tmp_path):
    geff.write(ZOO["step"], tmp_path / "a.geff")
    assert recognises(tmp_path / "a.geff")
    assert not recognises(tmp_path / "none")
    (tmp_path / "b.geff").mkdir()
    assert not recognises(tmp_path / "b.geff")
    (tmp_path / "b.geff" / ".zattrs").write_text("{")
    assert not recognises(tmp_path / "b.geff")


def refused(path, message):
    with pytest.raises(ValueError, match=f"^{re.escape(f'{path} is no readable GEFF: ')}{message}$"):
        geff.read(path)


@pytest.mark.parametrize("form", [2, 3])
def test_arrays_that_lie_elsewhere_are_refused(tmp_path, form):
    path = foreign(tmp_path / "a.geff", [0, 1, 2], [(0, 1)], PLACES, form=form)
    outside = tmp_path / "outside"
    (path / "nodes" / "props" / "y").rename(outside)
    (path / "nodes" / "props" / "y").symlink_to(outside)
    refused(path, "nodes/props/y is a link or no plain file, which is refused")
    (path / "nodes" / "props" / "y").unlink()
    outside.rename(path / "nodes" / "props" / "y")
    geff.read(path)
    chunk = next(
        file
        for file in (path / "nodes" / "props" / "y" / "values").rglob("*")
        if file.is_file() and not file.suffix and file.name[0] != "."
    )
    chunk.rename(tmp_path / "chunk")
    os.mkfifo(chunk)
    refused(path, "nodes/props/y/values/.* is a link or no plain file, which is refused")


def changed(file, **new):
    said = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**said, **new}), encoding="utf-8")


def test_objects_are_refused(tmp_path):
    path = foreign(tmp_path / "a.geff", [0, 1, 2], [(0, 1)], PLACES)
    file = path / "nodes" / "props" / "y" / "values" / ".zarray"
    changed(file, dtype="|O", filters=[{"id": "pickle", "protocol": 5}])
    refused(path, "values holds Python objects, which are refused")
    changed(file, dtype="|O", filters=[{"id": "vlen-utf8"}, {"id": "pickle"}])
    refused(path, "values is coded with pickle, which is refused")
    changed(file, dtype="<f8", filters=[], compressor={"id": "msgpack2"})
    refused(path, "values is coded with msgpack2, which is refused")


def test_a_small_store_cannot_declare_much(tmp_path):
    path = foreign(tmp_path / "a.geff", [0, 1, 2], [(0, 1)], PLACES)
    file = path / "nodes" / "ids" / ".zarray"
    changed(file, shape=[10**9], chunks=[10**9])
    refused(path, "its arrays are declared to hold 80000000[0-9]* bytes, but the store has [0-9]* bytes only")
    changed(file, shape=[3], chunks=[10**12])
    refused(path, "its arrays are declared to hold 80000000[0-9]* bytes, but the store has [0-9]* bytes only")
    changed(file, shape=[10**6], chunks=[1])
    refused(path, "its arrays are declared to have 10000[0-9]* chunks, but the store has [0-9]* files only")
    changed(file, shape=[4], chunks=[3])
    refused(path, r"property t has values of shape \(3,\), but there are 4 ids")
    changed(file, shape=[-3])
    refused(path, r"ids has shape \(-3,\) in chunks of \(3,\)")
    changed(file, shape=["many"])
    refused(path, "invalid literal for int.*")
    changed(file, shape=None)
    refused(path, "the metadata of ids cannot be understood: TypeError .*")


def test_chunks_that_unpack_to_too_much_are_refused(tmp_path):
    from numcodecs import Blosc, Zstd

    bomb = np.zeros(10**7, np.uint8)
    for codec, settings_of in ((Zstd(), {"id": "zstd", "level": 1}), (Blosc(), {"id": "blosc"})):
        path = foreign(tmp_path / "a.geff", [0, 1, 2], [(0, 1)], PLACES)
        changed(path / "nodes" / "props" / "y" / "values" / ".zarray", compressor=settings_of, filters=None)
        (path / "nodes" / "props" / "y" / "values" / "0").write_bytes(codec.encode(bomb))
        refused(path, "a chunk of values unpacks to 10000000 bytes, but its chunks hold 24")


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 65_791, 65_792, 10**6])
def test_sizes_that_chunks_say_themselves(size):
    from numcodecs import Blosc, Zstd

    content = np.zeros(size, np.uint8)
    assert unpacked_size(Zstd().encode(content)[:18], "zstd") == size
    assert unpacked_size(Blosc().encode(content)[:18], "blosc") == size
    assert unpacked_size(b"", "zstd") == unpacked_size(b"", "blosc") == unpacked_size(b"\x28\xb5\x2f\xfd\xff", "zstd") == 0


@pytest.mark.parametrize("form", [2, 3])
def test_damaged_stores_are_one_line(tmp_path, form):
    path = foreign(tmp_path / "a.geff", [0, 1], [(0, 1)], {"t": [0, 1], "y": [1, 2], "x": [0, 0]}, form=form)
    for file in sorted(file for file in path.rglob("*") if file.is_file() and "x" not in file.parts):
        whole = file.read_bytes()
        for damage in (b"", whole[:-1], b"{}") if file.parent.name == "values" or file.name[0] != "." else (b"\xff\x00",):
            file.write_bytes(damage)
            try:
                geff.read(path)
            except ValueError as error:
                assert str(error).startswith(f"{path} is no readable GEFF: ")
                assert "\n" not in str(error)
        file.write_bytes(whole)
    assert len(geff.read(path)) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": [0, 0, 2]}, "node 0 occurs twice"),
        ({"pairs": [(0, 7)]}, "edge 0 -> 7 names a node that does not exist"),
        ({"pairs": [(0, 1), (0, 1)]}, "edge 0 -> 1 occurs twice"),
        ({"pairs": [(1, 1)]}, "edge 1 -> 1 goes from frame 1 to frame 1: parents come earlier"),
        ({"ids": [0.0, 1, 2]}, r"node ids are float64 of shape \(3,\), but must be whole numbers, one a node"),
        ({"nodes": {**PLACES, "y": [1, np.nan, 2]}}, r"row 1 \(frame 1\) has no finite position: \[nan, 5.0\]"),
        ({"nodes": {**PLACES, "t": [-1, 0, 0]}}, r"node 0 \(counted from 0\) has t -1, which is no whole number from 0 to 2147483647"),
        ({"nodes": {**PLACES, "y": ["a", "b", "c"]}}, r"axis y must be one number a node, not <U1 of shape \(3,\)"),
        ({"nodes": {"y": [1, 2, 3], "x": [1, 2, 3]}}, "there is no time axis; node properties are x, y"),
        ({"nodes": {"t": [1, 2, 3], "x": [1, 2, 3]}}, "there are no space axes; node properties are x"),
        ({"nodes": {**PLACES, "y": [1, 2]}}, r"property y has values of shape \(2,\), but there are 3 ids"),
        ({"node_props_metadata": {"gone": {}}}, "property gone is declared, but not there"),
        ({"extra": {"cytolineage": {"scale": [0, 0]}}}, r"its header \(cytolineage\) cannot be understood: scale must be .*"),
        ({"extra": {"cytolineage": {"columns": {"t": 1}}}, "nodes": {**PLACES, "q": [1, 2, 3]}}, None),
        ({"axes": 3}, "'int' object is not iterable"),
        ({"extra": 3}, "'int' object has no attribute 'get'"),
        (
            {"nodes": {**PLACES, "v": (np.array([[0, 9]] * 3, np.uint64), None, np.arange(3))}},
            r"property v of node 0 \(counted from 0\) reaches beyond its 3 values",
        ),
    ],
)
def test_bad_content_is_one_line(tmp_path, change, message):
    given = {"ids": [0, 1, 2], "pairs": [(0, 1)], "nodes": PLACES, **change}
    path = foreign(tmp_path / "a.geff", **given)
    if message is None:
        assert len(geff.read(path)) == 3
    else:
        refused(path, message)


def test_folders_that_are_no_geff(tmp_path):
    (tmp_path / "a.geff").mkdir()
    refused(tmp_path / "a.geff", "no zarr group here has the attribute geff")
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(f'no such folder: {tmp_path}/none')}$"):
        geff.read(tmp_path / "none")
    path = foreign(tmp_path / "b.geff", [0, 1, 2], [(0, 1)], PLACES)
    changed(path / ".zattrs", geff=[1])
    refused(path, "its attribute geff is no JSON object")
