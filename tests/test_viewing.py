"""napari: our side without it, and, where it is installed, the layers, the plugin and the widget in it (no screen is needed)."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from random_forests import forests
from zoo import ZOO, paint

import lineage
from lineage import viewing
from lineage.detections import Detections
from lineage.films import open_film
from lineage.forest import Forest
from lineage.formats import write
from lineage.plot import lineage_colours
from lineage.simulation import simulate
from lineage.viewing import layers_of, plugin, window
from lineage.viewing.layers import LazyFilm, lazy, lineage_film, tracks_layer

MANIFEST = Path(lineage.__file__).parent / "napari.yaml"
needs_napari = pytest.mark.skipif(importlib.util.find_spec("napari") is None, reason="napari is not installed")


@pytest.fixture(scope="module")
def made():
    return simulate(frames=8, cells=5, size=(60, 70), seed=3, cycle=6, cycle_spread=1, min_cycle=4, radius=3, scale=(0.5, 0.5))


@pytest.fixture
def no_napari(monkeypatch):
    monkeypatch.setitem(sys.modules, "napari", None)


# the manifest


def python_names(text):
    return re.findall(r"^\s+python_name: (\S+)$", text, re.MULTILINE)


def test_every_function_that_the_manifest_names_is_there():
    names = python_names(MANIFEST.read_text(encoding="utf-8"))
    assert len(names) == 2
    for name in names:
        module, function = name.split(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_every_contribution_runs_a_command_of_the_manifest():
    text = MANIFEST.read_text(encoding="utf-8")
    commands = re.findall(r"^    - id: (\S+)$", text, re.MULTILINE)
    used = re.findall(r"^    - command: (\S+)$", text, re.MULTILINE)
    assert sorted(commands) == sorted(used)
    assert text.startswith("name: cytolineage\n"), "napari wants the name of the distribution"
    assert all(command.startswith("cytolineage.") for command in commands)


def test_no_qt_is_imported_by_us():
    for path in Path(viewing.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        named = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
        named += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert not {name.split(".")[0].lower() for name in named} & {"qtpy", "pyqt5", "pyqt6", "pyside2", "pyside6", "magicgui"}


def test_the_widget_asks_for_layers_and_plain_choices():
    parameters = inspect.signature(plugin.link_layers).parameters
    assert {name: parameter.annotation for name, parameter in parameters.items()} == {
        "labels": "napari.layers.Labels",
        "image": "napari.layers.Image | None",
        "missed_frames": "int",
        "divisions": "bool",
        "warnings": "bool",
    }
    assert [name for name, parameter in parameters.items() if parameter.default is inspect.Parameter.empty] == ["labels"]


# layers without napari


def test_a_result_is_three_layers_in_one_space(made):
    (film, film_facts, film_kind), (cells, cells_facts, cells_kind), (tracks, tracks_facts, tracks_kind) = layers_of(
        made.truth, made.image, made.labels, name="here"
    )
    assert (film_kind, cells_kind, tracks_kind) == ("image", "labels", "tracks")
    assert [facts["name"] for facts in (film_facts, cells_facts, tracks_facts)] == ["here film", "here cells by lineage", "here tracks"]
    assert film_facts["scale"] == cells_facts["scale"] == (1.0, 0.5, 0.5)
    assert film.shape == cells.shape == made.labels.shape
    np.testing.assert_array_equal(film, made.image)
    assert tracks.shape == (made.truth.selected.sum(), 4)
    assert tracks_facts["graph"] == made.truth.to_napari()[1]
    assert tracks_facts["color_by"] in tracks_facts["properties"]
    assert all(len(column) == len(tracks) for column in tracks_facts["properties"].values())


def test_masks_carry_the_number_of_their_lineage(made):
    before = made.labels.copy()
    (cells, _, _) = layers_of(made.truth, labels=made.labels)[0]
    detections = made.truth.detections
    for row in range(0, len(made.truth), 7):
        t, label = detections.frame[row], detections.label[row]
        assert np.unique(cells[t][made.labels[t] == label]).tolist() == [made.truth.lineage_id[row]]
    assert ((np.asarray(cells) > 0) == (made.labels > 0)).all()
    assert cells.dtype == np.uint16
    np.testing.assert_array_equal(made.labels, before)


def test_masks_of_what_is_not_selected_vanish():
    animal = ZOO["unselected noise"]
    cells = np.asarray(lineage_film(animal, paint(animal)))
    assert np.unique(cells).tolist() == [0, 1]


@pytest.mark.parametrize("name", ZOO)
def test_every_animal_makes_layers(name):
    labels = paint(ZOO[name])
    layers = layers_of(ZOO[name], labels, labels)
    assert [kind for _, _, kind in layers] == ["image", "labels", *(["tracks"] if len(ZOO[name]) else [])]
    assert layers[0][0].ndim == 1 + ZOO[name].detections.n_axes


@settings(max_examples=40, deadline=None)
@given(forests(places=st.floats(-1e6, 1e6)))
def test_tracks_obey_what_napari_asks_of_them(forest):
    """Sorted by id, then frame; ids once per frame; parents in the graph are ids that ended before."""
    if not forest.selected.any():
        return
    data, facts, _ = tracks_layer(forest)
    order = np.lexsort((data[:, 1], data[:, 0]))
    np.testing.assert_array_equal(order, np.arange(len(data)))
    assert len(np.unique(data[:, :2], axis=0)) == len(data)
    ids = set(data[:, 0].astype(int).tolist())
    for child, parents in facts["graph"].items():
        assert {child, *parents} <= ids
        begin = data[data[:, 0] == child, 1].min()
        assert all(data[data[:, 0] == parent, 1].max() < begin for parent in parents)
    for name, column in facts["properties"].items():
        assert np.isfinite(column.astype(float)).all(), name


# films that are sliced


class Counted:
    """A film that tells which frames were asked for."""

    def __init__(self, array):
        self.array, self.asked = array, []

    def __len__(self):
        return len(self.array)

    def __getitem__(self, t):
        self.asked.append(t)
        return self.array[t]


INDICES = [
    3,
    -1,
    (2, slice(None), slice(None)),
    (2, slice(1, 3), 4),
    slice(1, 4),
    (slice(None), 2, 3),
    (slice(0, 0),),
    Ellipsis,
    (Ellipsis, 2),
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_a_lazy_film_is_indexed_like_an_array(index):
    array = np.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7)
    np.testing.assert_array_equal(lazy(array)[index], array[index])


def test_a_lazy_film_reads_only_what_is_looked_at():
    film = Counted(np.zeros((50, 4, 4), np.uint8))
    opened = lazy(film)
    assert film.asked == [0]
    opened[7], opened[9, 1:3]
    assert film.asked == [0, 7, 9]
    assert (opened.shape, opened.ndim, opened.size, opened.dtype, len(opened)) == ((50, 4, 4), 3, 800, np.uint8, 50)


def test_a_lazy_film_becomes_an_array():
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    film = LazyFilm((2, 3, 4), np.dtype(np.int16), lambda t: array[t])
    assert np.asarray(film).dtype == np.int16
    np.testing.assert_array_equal(np.asarray(film, dtype=float), array)


# errors without napari


@pytest.mark.parametrize(
    ("film", "message"),
    [
        (np.zeros((2, 60, 70)), "the film has 2 frames, but there are cells in frame 7"),
        (np.zeros((0, 60, 70)), "the film has 0 frames, but there are cells in frame 7"),
        (np.zeros((8, 3, 60, 70)), "frames of the film have 3 axes, but the cells have the axes y, x"),
    ],
)
def test_films_of_another_kind_are_refused(made, film, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        layers_of(made.truth, film)


def test_without_napari_it_says_what_to_install(made, no_napari):
    message = "napari is not installed (napari is missing): pip install 'cytolineage[napari]'"
    with pytest.raises(ModuleNotFoundError, match=f"^{re.escape(message)}$"):
        viewing.view(made.image, made.labels, made.truth)


def test_nothing_to_look_at():
    with pytest.raises(ValueError, match=r"^there is nothing to look at: give a film, labels or lineages$"):
        viewing.view()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a screen")
def test_without_a_screen_it_says_so(made, monkeypatch):
    monkeypatch.setitem(sys.modules, "napari", sys)  # any module will do: it is not asked
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match=r"^there is no screen to open napari on: DISPLAY is not set; lineage report needs none$"):
        viewing.view(made.image)


def test_the_command_says_what_is_wrong_in_a_line(run, no_napari, made, tmp_path):
    assert run("view", tmp_path / "none") == (2, "", f"lineage: no such file or folder: {tmp_path / 'none'}\n")
    write(made.truth, tmp_path / "lineages.csv")
    code, out, err = run("view", tmp_path / "lineages.csv")
    assert (code, out) == (2, "")
    assert err == "lineage: napari is not installed (napari is missing): pip install 'cytolineage[napari]'\n"


def test_the_command_hands_over_film_masks_and_lineages(run, made, tmp_path, monkeypatch):
    got = []
    monkeypatch.setattr(viewing, "view", lambda *given: got.append(given))
    write(made.truth, tmp_path / "ctc", labels=made.labels)
    tifffile.imwrite(tmp_path / "film.tif", made.image)
    assert run("view", tmp_path / "ctc", "--film", tmp_path / "film.tif") == (0, "", "")
    ((film, labels, forest),) = got
    np.testing.assert_array_equal(film[3], made.image[3])
    assert labels.shape == made.labels.shape
    assert len(forest) == made.truth.selected.sum()


# what the reader takes


def test_the_reader_takes_lineages_and_nothing_else(made, tmp_path):
    write(made.truth, tmp_path / "ours.csv")
    write(made.truth, tmp_path / "ours.csv.gz")
    write(made.truth, tmp_path / "01_RES", labels=made.labels)
    (tmp_path / "01_GT" / "TRA").mkdir(parents=True)
    (tmp_path / "01_GT" / "TRA" / "man_track.txt").write_text("")
    (tmp_path / "some.geff").mkdir()
    for name in ("ours.csv", "ours.csv.gz", "01_RES", "01_GT", "01_GT/TRA", "some.geff"):
        assert plugin.reader(str(tmp_path / name)) is plugin.read_layers, name
        assert plugin.reader([str(tmp_path / name)]) is plugin.read_layers, name
    (tmp_path / "other.csv").write_text("index,axis-0,axis-1\n0,1,2\n")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "broken.csv.gz").write_bytes(b"no gzip")
    (tmp_path / "film.tif").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for name in ("other.csv", "binary.csv", "empty.csv", "broken.csv.gz", "film.tif", "folder", "none.csv"):
        assert plugin.reader(str(tmp_path / name)) is None, name
    assert plugin.reader([str(tmp_path / "ours.csv"), str(tmp_path / "ours.csv.gz")]) is None
    assert plugin.reader([]) is None


def test_a_table_without_a_unit_is_laid_over_its_film(made, tmp_path):
    tifffile.imwrite(tmp_path / "film.tif", made.image, imagej=True, resolution=(2, 2), metadata={"axes": "TYX", "unit": "um"})
    film = open_film(tmp_path / "film.tif")
    assert film.scale == (0.5, 0.5)
    cells = made.truth.detections
    table = replace(made.truth, detections=replace(cells, scale=(1.0, 1.0)))
    assert window.shown.__module__ == "lineage.viewing.window"
    assert window.scaled(table, film).detections.scale == (0.5, 0.5)
    pixels = replace(table, detections=replace(cells, scale=(1.0, 1.0), position=cells.position * 2))
    assert window.scaled(pixels, film).detections.scale == (1.0, 1.0)
    assert window.scaled(made.truth, film) is made.truth
    assert window.scaled(table, None) is table


# in napari


@pytest.fixture
def viewer(monkeypatch):
    """napari without a window: the model behind it, which checks layers just the same."""
    napari = pytest.importorskip("napari", reason="napari is not installed")
    from napari.components import ViewerModel

    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    monkeypatch.setattr(napari, "Viewer", ViewerModel)
    return ViewerModel()


quietly = pytest.mark.filterwarnings("ignore")  # napari warns of itself when it is loaded


@needs_napari
@quietly
def test_view_opens_film_masks_and_tracks(viewer, made):
    opened = viewing.view(made.image, made.labels, made.truth, block=False)
    assert [(layer.name, type(layer).__name__) for layer in opened.layers] == [
        ("film", "Image"),
        ("cells by lineage", "Labels"),
        ("tracks", "Tracks"),
    ]
    tracks, cells = opened.layers["tracks"], opened.layers["cells by lineage"]
    data, graph, _ = made.truth.to_napari()
    np.testing.assert_array_equal(tracks.data, data)
    assert {k: list(v) for k, v in tracks.graph.items()} == graph
    assert opened.dims.current_step[0] == 0
    for row in (0, 5, len(made.truth) - 1):
        place = (made.truth.detections.frame[row], *made.truth.detections.position[row])
        assert np.asarray(cells.data[place[0]])[tuple(np.round(np.array(place[1:]) / 0.5).astype(int))] == made.truth.lineage_id[row]


@needs_napari
@quietly
def test_colours_are_those_of_the_figures(viewer, made):
    opened = viewing.view(None, made.labels, made.truth, block=False)
    rows = np.flatnonzero(made.truth.selected)
    rows = rows[np.argsort(made.truth.tracklet_id[rows], kind="stable")]
    expected = lineage_colours(made.truth.lineage_id)
    np.testing.assert_allclose(opened.layers["tracks"].track_colors[:, :3], expected[rows], atol=1e-6)
    colour = opened.layers["cells by lineage"].colormap.map(made.truth.lineage_id[:5])
    np.testing.assert_allclose(colour[:, :3], expected[:5], atol=1e-6)


@needs_napari
@quietly
@pytest.mark.parametrize("name", ZOO)
def test_every_animal_opens(viewer, name):
    labels = paint(ZOO[name])
    opened = viewing.view(labels, labels, ZOO[name], block=False)
    assert len(opened.layers) == (3 if len(ZOO[name]) else 2)


@needs_napari
@quietly
def test_a_film_alone_opens(viewer, made):
    assert [type(layer).__name__ for layer in viewing.view(made.image, block=False).layers] == ["Image"]
    assert [type(layer).__name__ for layer in viewing.view(labels=made.labels, block=False).layers] == ["Labels"]


@needs_napari
@quietly
@pytest.mark.parametrize("name", ["lineages.csv", "01_RES"])
def test_the_reader_reads_into_napari(viewer, made, tmp_path, name):
    write(made.truth, tmp_path / name, labels=made.labels) if "." not in name else write(made.truth, tmp_path / name)
    for data, facts, kind in plugin.reader(str(tmp_path / name))(str(tmp_path / name)):
        getattr(viewer, f"add_{kind}")(data, **facts)
    tracks = viewer.layers[-1]
    assert tracks.name == f"{name} tracks"
    np.testing.assert_array_equal(tracks.data[:, :2], made.truth.to_napari()[0][:, :2])
    assert len(viewer.layers) == (1 if "." in name else 2)


@needs_napari
@quietly
def test_the_widget_links_a_layer_and_shows_what_looks_wrong(viewer, made):
    labels = viewer.add_labels(made.labels, name="masks", scale=(1, 0.5, 0.5))
    image = viewer.add_image(made.image)
    layers = plugin.link_layers(labels, image, missed_frames=1)
    assert [kind for _, _, kind in layers] == ["labels", "tracks", "points"]
    for data, facts, kind in layers:
        getattr(viewer, f"add_{kind}")(data, **facts)
    forest = lineage.link(made.labels, made.image, 0.5, lineage.Settings(max_gap=1))
    np.testing.assert_allclose(viewer.layers["masks tracks"].data, forest.to_napari()[0])
    assert [kind for _, _, kind in plugin.link_layers(labels, warnings=False)] == ["labels", "tracks"]
    flat = viewer.add_labels(made.labels[0], name="flat")
    with pytest.raises(ValueError, match=re.escape("the layer flat has the shape (60, 70), but a film is (T, Y, X) or (T, Z, Y, X)")):
        plugin.link_layers(flat)


def test_warnings_are_points_at_their_cells(made):
    truth = made.truth
    born = truth.child_rows[truth.n_children[truth.parent[truth.child_rows]] == 1][10]
    wrong = replace(truth, parent=np.where(np.arange(len(truth)) == born, -1, truth.parent))
    place, facts, kind = plugin.warning_layer(wrong)
    assert kind == "points"
    assert facts["ndim"] == 3
    assert facts["features"]["kind"][0] == "broken track"
    np.testing.assert_allclose(place[0], [truth.detections.frame[born], *truth.detections.position[born]])
    assert all(len(column) == len(place) for column in facts["features"].values())
    nothing = Forest(Detections(np.zeros(0, int), np.zeros((0, 2)), np.zeros(0, int)), np.zeros(0, int))
    assert plugin.warning_layer(nothing)[0].shape == (0, 3)


@needs_napari
@quietly
def test_napari_takes_the_manifest():
    npe2 = pytest.importorskip("npe2")
    manifest = npe2.PluginManifest.from_file(MANIFEST)
    manifest.validate_imports()
    assert [command.id for command in manifest.contributions.commands] == ["cytolineage.reader", "cytolineage.link"]
    assert manifest.contributions.widgets[0].autogenerate


@needs_napari
@quietly
def test_the_widget_can_be_made_from_the_signature(monkeypatch):
    """By magicgui, as napari does it; where no window can be made, its types are resolved all the same."""
    magicgui = pytest.importorskip("magicgui")
    from magicgui.signature import magic_signature

    assert magicgui.__version__
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    names = {name: parameter.annotation for name, parameter in magic_signature(plugin.link_layers).parameters.items()}
    assert "Labels" in str(names["labels"]) and "Image" in str(names["image"])
