"""The report as a file: what goes in comes out again, nothing in it can act, and it is small."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from report_pages import Page, families, read_page, script_of, unpacked
from zoo import ZOO, paint

from lineage.arrays import silent
from lineage.certificate import Certificate
from lineage.cli import app
from lineage.detections import Detections
from lineage.films import open_film
from lineage.forest import Forest
from lineage.report import open_result, report
from lineage.report.data import outline_columns, shown_of
from lineage.report.outlines import outlines
from lineage.report.packing import pack, packable
from lineage.report.page import page_of, safe_json
from lineage.report.pictures import pictures_of
from lineage.report.whole import histogram

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"'><svg/onload=alert(1)>",
    "<!--<script>",
    "]]>\u2028\u2029alert(1)//",
    "{{script}}{{policy}}",
    "javascript:alert(1)",
    "\x00\x07\U0001f600",
    "not utf-8: \udc80",
]
no_signs = pd.DataFrame({"kind": [], "frame": [], "row": [], "message": []})


# Columns


def test_what_is_packed_comes_out_again():
    columns = {
        "frame": np.array([0, 0, 1, 5]),
        "parent": np.array([-1, -1, 0, 70_000]),
        "low": np.array([-300, 300, 0, 2]),
        "huge": np.array([2**40, 0, 1, -(2**40)]),
        "flag": np.array([True, False, True, True]),
        "size": np.array([0.5, np.nan, np.inf, -2.25]),
        "name": np.array(["b", "", None, "a"], object),
        "none": np.zeros(0, int),
    }
    packed = pack(columns)
    again = unpacked(packed.columns, packed.text)
    for name in ("frame", "parent", "low", "huge", "flag", "size", "none"):
        np.testing.assert_array_equal(again[name], columns[name], name)
    assert again["name"].tolist() == ["b", "", "", "a"]
    assert [entry["kind"] for entry in packed.columns] == ["u1", "i4", "i2", "f8", "u1", "f4", "i4", "u1"]


@given(arrays.arrays(np.int64, st.integers(0, 40), elements=st.integers(-(2**53), 2**53)))
@settings(max_examples=40, deadline=None)
def test_any_whole_numbers_survive(values):
    packed = pack({"some": values, "more": values[::-1]})
    again = unpacked(packed.columns, packed.text)
    np.testing.assert_array_equal(again["some"], values)
    np.testing.assert_array_equal(again["more"], values[::-1])


@given(arrays.arrays(np.float32, st.integers(0, 40)))
@settings(max_examples=40, deadline=None)
def test_any_single_numbers_survive(values):
    packed = pack({"some": values})
    np.testing.assert_array_equal(unpacked(packed.columns, packed.text)["some"], values)


def test_neighbours_that_are_alike_take_little_room():
    frame = np.repeat(np.arange(1000), 100)
    assert len(pack({"frame": frame, "id": np.arange(100_000)}).text) < 2_000


def test_what_is_no_plain_column_is_not_packed():
    assert packable(np.zeros(3)) and packable(np.array(["a", "b"])) and packable(np.array([True]))
    assert not packable(np.zeros((3, 2)))
    assert not packable(np.array([1j]))
    assert not packable(np.array([f"name {k}" for k in range(70_000)]))


# Outlines


def filled(polygon, shape):
    """Which pixels of a frame lie inside a polygon (even-odd rule)."""
    y, x = np.indices(shape).reshape(2, -1).astype(float) + 1e-7
    inside = np.zeros(len(y), bool)
    for (y0, x0), (y1, x1) in zip(polygon, np.roll(polygon, -1, 0), strict=True):
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return inside.reshape(shape)


def polygons(found):
    return np.split(found.point, np.cumsum(found.length)[:-1])


def test_an_outline_encloses_its_cell():
    y, x = np.indices((60, 70))
    image = np.zeros((60, 70), np.uint16)
    image[(y - 20) ** 2 + (x - 20) ** 2 <= 13**2] = 7
    image[(y - 40) ** 2 / 100 + (x - 50) ** 2 / 250 <= 1] = 300
    found = outlines(image)
    assert found.label.tolist() == [7, 300]
    for label, polygon in zip(found.label, polygons(found), strict=True):
        inside, cell = filled(polygon, image.shape), image == label
        assert (inside & cell).sum() / (inside | cell).sum() > 0.93
        assert len(polygon) <= 40


def test_touching_cells_single_pixels_and_the_rim_are_outlined():
    image = np.zeros((6, 8), int)
    image[:3, :4], image[:3, 4:], image[5, 7] = 1, 2, 3
    found = outlines(image)
    assert found.label.tolist() == [1, 2, 3]
    assert found.point.min() >= -0.5 and (found.point.max(0) <= [5.5, 7.5]).all()


def test_pixels_that_touch_at_a_corner_are_one_cell_and_pieces_are_several():
    corner = np.array([[1, 0], [0, 1]])
    assert outlines(corner).label.tolist() == [1]
    apart = np.array([[4, 0, 0, 4]])
    assert outlines(apart).label.tolist() == [4, 4]


def test_a_hole_is_not_traced():
    ring = np.ones((7, 7), int)
    ring[2:5, 2:5] = 0
    assert len(outlines(ring).label) == 1


def test_no_cell_no_outline():
    assert len(outlines(np.zeros((5, 5), int)).label) == 0


def test_a_stack_is_outlined_by_its_shadow_where_cells_overlap():
    stack = np.zeros((2, 20, 20), int)
    stack[0, 2:12, 2:12] = 1
    stack[1, 6:16, 6:16] = 2
    found = outlines(stack)
    flat = [outlines((stack == label).any(0).astype(int)) for label in (1, 2)]
    assert found.label.tolist() == [1, 2]
    for polygon, alone in zip(polygons(found), flat, strict=True):
        np.testing.assert_allclose(polygon, alone.point)


@pytest.mark.parametrize("seed", range(4))
def test_outlines_of_random_noise_cover_it(seed):
    """However ragged the cells are, every loop closes and none is lost: along the sides, areas add up to the pixels and the holes."""
    image = np.random.default_rng(seed).integers(0, 3, (17, 19))
    found = outlines(image)
    assert found.length.sum() == len(found.point)
    assert set(found.label) == {1, 2}
    assert np.isfinite(found.point).all()


# Pictures


def grey(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("L")).astype(int)


def decoded(shown):
    return [grey(base64.b64decode(text)) for text in shown.texts]


def test_pictures_show_the_film_stretched():
    film = np.tile(np.linspace(33_000, 34_000, 64), (3, 48, 1)).astype(np.uint16)
    film[2] = 33_000
    shown = pictures_of(open_film(film), progress=silent)
    first, _, last = decoded(shown)
    assert first.shape == (48, 64) and shown.size == (48, 64) and shown.layers == 0
    assert first[:, 0].max() < 12 and first[:, -1].min() > 243 and last.max() < 12
    assert (np.diff(first.mean(0)) > -3).all()


def test_a_large_film_shrinks(monkeypatch):
    monkeypatch.setattr("lineage.report.pictures.SIDE", 50)
    shown = pictures_of(open_film(np.zeros((2, 60, 100), np.uint8)), progress=silent)
    assert shown.size == (30, 50) and decoded(shown)[0].shape == (30, 50) and shown.shape == (60, 100)


def test_pictures_keep_to_the_room_there_is(monkeypatch):
    film = np.random.default_rng(0).integers(0, 255, (6, 200, 200)).astype(np.uint8)
    whole = sum(map(len, pictures_of(open_film(film), progress=silent).texts))
    monkeypatch.setattr("lineage.report.pictures.BYTES", 20_000)
    small = pictures_of(open_film(film), progress=silent)
    assert sum(map(len, small.texts)) * 3 / 4 < 26_000 < whole
    assert small.size[0] < 200


def test_a_stack_has_its_maximum_and_layers():
    film = np.zeros((2, 5, 16, 16), np.float32)
    film[0, 1, 4:8, 4:8], film[0, 4, 10:14, 10:14] = 1, 1
    shown = pictures_of(open_film(film), progress=silent)
    assert shown.layers == 5 and shown.depth == 5 and len(shown.texts) == 12
    images = decoded(shown)
    assert images[0][5, 5] > 200 and images[0][12, 12] > 200
    assert images[2][5, 5] > 200 and images[2][12, 12] < 50 and images[5][12, 12] > 200 and images[1].max() < 50


def test_odd_films_are_shown_all_the_same():
    holes = np.full((2, 8, 8), np.nan, np.float32)
    holes[0, 2, 2] = 5
    for film in (holes, np.zeros((1, 8, 8), bool), np.full((1, 8, 8), 7, np.int32), -np.eye(8)[None]):
        assert len(decoded(pictures_of(open_film(film), progress=silent))) == len(film)


# The page


def made(tmp_path, forest, *args, **kwargs):
    path = tmp_path / "report.html"
    report(forest, *args, path=path, **kwargs)
    return path


@pytest.mark.parametrize("name", ZOO)
def test_every_animal_is_in_its_report(name, tmp_path):
    animal = ZOO[name]
    cells = animal.detections
    masks = paint(animal)
    page = read_page(made(tmp_path, animal, masks.astype(np.uint8), masks))
    rows = np.flatnonzero(animal.selected)
    columns = page.columns
    np.testing.assert_array_equal(columns["id"], rows)
    np.testing.assert_array_equal(columns["frame"], cells.frame[rows])
    np.testing.assert_array_equal(columns["tracklet_id"], animal.tracklet_id[rows])
    np.testing.assert_array_equal(columns["generation"], animal.generation[rows])
    parent = columns["parent"]
    np.testing.assert_array_equal(np.where(parent >= 0, rows[parent], -1) if len(rows) else parent, animal.parent[rows])
    np.testing.assert_allclose(columns["position:x"], cells.position[rows, -1])
    assert set(columns["outline:row"]) == set(range(len(rows)))
    assert page.meta["frames"] == len(masks) and len(page.pictures) == len(masks) * (1 + page.meta["pictures"]["layers"])


def test_a_report_holds_what_is_known(tmp_path):
    forest, image, labels = families()
    forest = replace(
        forest,
        certificate=Certificate(-10.0, -10.0, 0.0, "highs", "optimal", 1.5),
        slack={"select": np.linspace(0, 1, len(forest))},
        detections=replace(forest.detections, interval=300.0, scale=(0.5, 0.5)),
    )
    signs = pd.DataFrame({"kind": ["jump"], "frame": [3], "row": [9], "score": [2.5], "message": ["It jumps."]})
    scores = {"TRA": 0.9, "CT": float("nan")}
    meta = (page := read_page(made(tmp_path, forest, image, labels, scores=scores, checks=signs, title="My film", unit="µm"))).meta
    assert meta["title"] == "My film" and meta["unit"] == "µm" and meta["interval"] == 300 and meta["scale"] == [0.5, 0.5]
    assert meta["record"]["certificate"]["solver"] == "highs" and meta["scores"] == {"TRA": 0.9, "CT": None}
    assert meta["signs"] == [{"kind": "jump", "frame": 3, "row": 9, "score": 2.5, "message": "It jumps."}]
    columns = page.columns
    np.testing.assert_allclose(columns["slack"], np.linspace(0, 1, len(forest)), rtol=1e-6)
    np.testing.assert_allclose(columns["link_cost"], forest.link_cost, rtol=1e-6)
    assert columns["measured:name"][5] == "cell 005"
    assert page.all("title")[0][1] == "My film"


def test_outlines_lie_around_their_cells(tmp_path):
    forest, _, labels = families()
    columns = (page := read_page(made(tmp_path, forest, None, labels))).columns
    fine = page.meta["fineness"]
    ends = np.cumsum(columns["outline:length"])
    for k in range(0, len(ends), 7):
        part = slice(ends[k] - columns["outline:length"][k], ends[k])
        row = columns["outline:row"][k]
        centre = [columns["outline:y"][part].mean() / fine, columns["outline:x"][part].mean() / fine]
        np.testing.assert_allclose(centre, forest.detections.position[row], atol=1.5)


def test_warnings_are_sought_when_none_are_given(tmp_path):
    forest, _, _ = families()
    parent = forest.parent.copy()
    broken = np.flatnonzero((forest.detections.frame == 9) & (parent >= 0))[:2]
    parent[broken] = parent[broken[::-1]]
    meta = read_page(made(tmp_path, Forest(forest.detections, parent))).meta
    assert any(sign["frame"] in (8, 9, 10) for sign in meta["signs"])


def test_long_tables_of_warnings_are_cut(tmp_path, monkeypatch):
    monkeypatch.setattr("lineage.report.data.MOST_SIGNS", 3)
    forest, _, _ = families()
    signs = pd.DataFrame({"kind": "odd", "frame": range(9), "row": range(9), "message": "Odd."})
    rows = read_page(made(tmp_path, forest, checks=signs)).meta["signs"]
    assert [sign["row"] for sign in rows] == [0, 1, 2] and rows[0]["score"] is None


def test_a_crowd_is_shown_in_part_and_counted_as_a_whole(tmp_path, monkeypatch):
    """Four lineages of as many cells: those with warning signs are shown, under their own numbers; the summary counts all."""
    forest, image, labels = families()
    rows = np.flatnonzero(forest.lineage_id == 3)
    checks = pd.DataFrame({"kind": "odd", "frame": 2, "row": [int(rows[4]), 0], "message": "Odd."})
    monkeypatch.setattr("lineage.report.data.MOST_CELLS", len(rows) + 5)
    monkeypatch.setattr("lineage.report.data.MOST_SUSPECTS", 1)
    page = read_page(made(tmp_path, forest, image, labels, checks=checks))
    columns, meta = page.columns, page.meta
    np.testing.assert_array_equal(columns["id"], rows)
    np.testing.assert_array_equal(columns["tracklet_id"], forest.tracklet_id[rows])
    assert set(columns["lineage_id"]) == {3} and set(columns["outline:row"]) == set(range(len(rows)))
    np.testing.assert_array_equal(np.where(columns["parent"] < 0, -1, rows[columns["parent"]]), forest.parent[rows])
    assert [sign["row"] for sign in meta["signs"]] == [4, -1]  # the page has no row for the other one: its frame is shown
    said = meta["whole"]
    assert (said["detections"], said["lineages"], said["divided"]) == (len(forest), 4, len(forest.divisions))
    assert said["cells"] == np.bincount(forest.detections.frame).tolist() and len(page.pictures) == len(image)


def test_a_page_with_room_for_all_counts_for_itself(tmp_path, monkeypatch):
    forest, image, labels = families()
    monkeypatch.setattr("lineage.report.data.MOST_CELLS", len(forest))
    page = read_page(made(tmp_path, forest, image, labels, checks=no_signs))
    assert page.meta["whole"] is None and len(page.columns["id"]) == len(forest)


def test_outlines_of_some_cells_are_those_that_they_have_among_all(monkeypatch):
    forest, _, labels = families()
    monkeypatch.setattr("lineage.report.data.MOST_CELLS", 1)
    some = shown_of(forest, np.array([5]))
    rows = np.flatnonzero(some.selected)
    assert set(forest.lineage_id[rows]) == {forest.lineage_id[5]}
    for film in (labels, np.where(labels > 0, labels.astype(np.int64) + 10**9, 0)):  # labels too large for a table
        named = replace(some, detections=replace(some.detections, label=some.detections.label + (film.max() > 10**6) * 10**9))
        part = outline_columns(named, open_film(film, kind="labels"), some=True, progress=silent)
        whole = outline_columns(forest, open_film(labels, kind="labels"), progress=silent)
        kept = np.isin(whole["outline:row"], rows)
        np.testing.assert_array_equal(rows[part["outline:row"]], whole["outline:row"][kept])
        for axis in "yx":
            np.testing.assert_array_equal(part[f"outline:{axis}"], whole[f"outline:{axis}"][np.repeat(kept, whole["outline:length"])])


def test_bars_hold_every_value_once():
    steps = np.append(np.linspace(0, 10, 1000), [500.0, np.nan])  # the far one is in the last bar
    bars = histogram(steps, counts=False)
    assert bars["count"] == sum(bars["bins"]) == 1001 and len(bars["bins"]) == 28
    assert bars["x"][0] == bars["step"] / 2 and 9.9 < bars["x"][-1] + bars["step"] / 2 < 10.1
    assert (bars["low"], bars["median"], bars["high"]) == tuple(np.sort(steps[:-1])[[50, 500, 950]])
    counts = histogram(np.array([3.0, 3, 5, 60]), counts=True)
    assert counts["step"] == 3 and counts["bins"] == [3, *[0] * 18, 1] and counts["x"][0] == 4
    assert histogram(np.zeros(0), counts=True) is None


def test_a_long_film_has_pictures_of_some_frames(monkeypatch):
    film = np.arange(1, 8, dtype=np.uint8)[:, None, None] * np.ones((1, 9, 9), np.uint8)
    monkeypatch.setattr("lineage.report.pictures.MOST", 3)
    shown = pictures_of(open_film(film), progress=silent)
    assert shown.every == 3 and len(shown.texts) == 3
    level = [picture.mean() for picture in decoded(shown)]
    np.testing.assert_allclose(np.diff(level), 3 * 255 / 6, rtol=0.06)


def test_columns_that_do_not_fit_are_named(tmp_path, monkeypatch):
    forest, _, _ = families()
    n = len(forest)
    forest = replace(forest, detections=forest.detections.with_columns(pair=np.zeros((n, 2)), last=np.zeros(n)))
    monkeypatch.setattr("lineage.report.data.MOST_VALUES", 3 * n)
    assert read_page(made(tmp_path, forest, checks=no_signs)).meta["leftOut"] == ["pair", "last"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_stay_texts(text, tmp_path):
    """Wherever a name can come from, it does not end its element, and the only script is ours."""
    forest, _, _ = families()
    n = len(forest)
    cells = forest.detections.with_columns(**{text: np.full(n, text, object)})
    forest = replace(forest, detections=cells)
    signs = pd.DataFrame({"kind": [text], "frame": [0], "row": [0], "score": [1.0], "message": [text]}, dtype=object)
    clean = made(tmp_path, families()[0], checks=no_signs).read_text(encoding="utf-8")
    path = made(tmp_path, forest, checks=signs, title=text, unit=text, scores={text: text}, record={text: [{text: text}]})
    page, plain = read_page(path), read_page(tmp_path / "report.html")
    assert script_of(path.read_text(encoding="utf-8")) == script_of(clean)
    assert [(tag, sorted(attrs)) for tag, attrs, _ in page.elements] == [(tag, sorted(attrs)) for tag, attrs, _ in plain.elements]
    assert len(page.elements) == len(Page(clean).elements)
    assert not any(key.startswith("on") for _, attrs, _ in page.elements for key in attrs)
    meta = page.meta
    assert meta["title"] == meta["unit"] == meta["signs"][0]["message"] == text and meta["record"] == {text: [{text: text}]}
    assert page.columns[f"measured:{text}"][0] == text
    assert page.all("title")[0][1] == text.replace("\udc80", "?")


def test_the_browser_is_told_to_run_this_script_only_and_to_fetch_nothing(tmp_path):
    path = made(tmp_path, ZOO["division"], checks=no_signs)
    text = path.read_text(encoding="utf-8")
    (attrs, _), *_ = read_page(path).all("meta", **{"http-equiv": "Content-Security-Policy"})
    digest = base64.b64encode(hashlib.sha256(script_of(text).encode()).digest()).decode()
    assert attrs["content"].startswith("default-src 'none'; script-src 'sha256-" + digest + "'; style-src 'sha256-")
    assert "unsafe" not in attrs["content"] and "http" not in attrs["content"]
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", text)
    runnable = [attrs for attrs, _ in read_page(path).all("script") if "type" not in attrs]
    assert len(runnable) == 1 and "src" not in runnable[0]


def test_json_in_a_page_is_json_and_harmless():
    for text in HOSTILE:
        written = safe_json({text: text})
        assert not re.search(r"[<>&\u2028\u2029]", written)
        assert json.loads(written) == {text: text}
    with pytest.raises(ValueError, match=r"^Out of range float values are not JSON compliant"):
        safe_json(float("nan"))


def test_what_json_does_not_know_becomes_text(tmp_path):
    record = {"count": np.int64(3), "path": Path("a/b"), "lost": float("inf")}
    meta = read_page(made(tmp_path, ZOO["step"], checks=no_signs, record=record)).meta
    assert meta["record"] == {"count": "3", "path": "a/b", "lost": None}


def test_a_title_is_no_template():
    parts = "".join(page_of("{{script}}", {"a": 1}, "", ()))
    assert "<title>{{script}}</title>" in parts


# Bad input


def test_what_does_not_belong_together_is_told(tmp_path):
    forest, image, labels = families()
    path = tmp_path / "report.html"
    cases = [
        ({"film": image[:5]}, "the film has 5 frames, but the lineages have a cell in frame 17"),
        ({"labels": labels[:5]}, "the label film has 5 frames, but the lineages have a cell in frame 17"),
        ({"film": image[:, None]}, "the film has frames of shape (1, 100, 100), but the lineages have the axes (y, x)"),
        ({"film": image[:, :50], "labels": labels}, "the film has shape (18, 50, 100), but its labels have (18, 100, 100)"),
        (
            {"labels": labels + np.uint16(1000) * (labels > 0)},
            "no cell of the lineages is in the label masks: give the masks that the lineages were linked from",
        ),
        ({"labels": image}, "array holds float32, but labels are whole numbers: convert with astype('uint16')"),
        ({"checks": pd.DataFrame({"kind": []})}, "the table of warning signs has no column frame, row, message; it has kind"),
    ]
    for arguments, message in cases:
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            report(forest, path=path, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_told_before_the_work(tmp_path):
    path = tmp_path / "no" / "report.html"
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(f'cannot write {path}: the folder {path.parent} does not exist')}$"):
        report(ZOO["step"], film=[], path=path)


# The command


def call(*arguments):
    from typer.testing import CliRunner

    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What ``lineage track`` writes of a small film of masks."""
    from lineage import pipeline

    place = tmp_path_factory.mktemp("run")
    _, image, labels = families(generations=2)
    np.save(place / "film.npy", image)
    np.save(place / "labels.npy", labels)
    pipeline.run(place / "film.npy", place / "out", labels=place / "labels.npy", scale=(0.5, 0.5))
    return place


def test_tracking_writes_a_report(folder):
    page = read_page(folder / "out" / "report.html")
    assert page.meta["title"] == "film.npy" and page.meta["record"]["settings"] and len(page.pictures) == 12
    assert set(page.columns["outline:row"]) == set(range(len(page.columns["frame"])))


def outline_of(columns, row):
    ends = np.cumsum(columns["outline:length"])
    (k,) = np.flatnonzero(columns["outline:row"] == row)
    part = slice(ends[k] - columns["outline:length"][k], ends[k])
    return columns["outline:y"][part], columns["outline:x"][part]


def test_a_report_is_made_again_from_the_folder(folder, tmp_path):
    done = call("report", folder / "out", "-o", tmp_path / "again.html")
    assert done.exit_code == 0, done.output
    assert "again.html: 72 cells" in done.output and "without" not in done.output
    again, first = read_page(tmp_path / "again.html"), read_page(folder / "out" / "report.html")
    assert again.meta["scale"] == first.meta["scale"] == [0.5, 0.5]
    assert again.meta["record"]["inputs"] == first.meta["record"]["inputs"]
    assert again.pictures == first.pictures
    for name in ("frame", "parent", "tracklet_id", "position:x"):
        np.testing.assert_array_equal(again.columns[name], first.columns[name], name)
    for row in range(72):  # the masks of the folder are numbered by tracklet, so outlines come in another order
        np.testing.assert_array_equal(outline_of(again.columns, row), outline_of(first.columns, row))


def test_a_film_that_was_changed_since_is_not_shown(folder, tmp_path):
    moved = tmp_path / "moved"
    moved.mkdir()
    opened = open_result(folder / "out")
    assert opened.film is not None and opened.labels is not None
    record = (folder / "out" / "run.json").read_text(encoding="utf-8")
    (moved / "lineages.csv").write_bytes((folder / "out" / "lineages.csv").read_bytes())
    (moved / "run.json").write_text(record.replace('"bytes": ', '"bytes": 1'), encoding="utf-8")
    again = open_result(moved)
    assert again.film is None and again.labels is None and again.record is not None
    assert again.forest.detections.scale == (0.5, 0.5)


def test_points_alone_make_a_report(tmp_path):
    (tmp_path / "tracks.csv").write_text("id,parent_id,t,z,y,x,name\n1,-1,0,0,1,2,AB\n2,1,1,0,1,3,ABa\n3,1,1,2,1,1,ABp\n", encoding="utf-8")
    done = call("report", tmp_path / "tracks.csv", "--out", tmp_path / "r.html")
    assert done.exit_code == 0, done.output
    assert done.output.endswith("MB; without film (give --film) and masks (give --labels)\n")
    page = read_page(tmp_path / "r.html")
    assert page.columns["measured:name"].tolist() == ["AB", "ABa", "ABp"] and page.meta["pictures"] is None and page.meta["shape"] is None


def test_a_broken_record_is_told(tmp_path):
    (tmp_path / "lineages.csv").write_text("id,parent_id,t,y,x\n1,-1,0,1,2\n", encoding="utf-8")
    (tmp_path / "run.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(ValueError, match=f"^{re.escape(str(tmp_path / 'run.json'))} holds no JSON object, but list$"):
        open_result(tmp_path)
    (tmp_path / "run.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=f"^{re.escape(str(tmp_path / 'run.json'))} is not JSON: "):
        open_result(tmp_path)


# Size and speed


def embryo(n_frames=250, cells=400):
    """Points in space that drift, 100,000 of them."""
    rng = np.random.default_rng(0)
    steps = rng.normal(0, 0.5, (n_frames, cells, 3))
    position = rng.uniform(0, 300, (cells, 3)) + np.cumsum(steps, axis=0)
    parent = np.arange(n_frames * cells) - cells
    frame = np.repeat(np.arange(n_frames), cells)
    return Forest(Detections(frame, position.reshape(-1, 3), np.zeros(len(frame), int)), np.maximum(parent, -1))


def test_a_hundred_thousand_points_are_small(tmp_path):
    path = made(tmp_path, embryo(), checks=no_signs)
    assert path.stat().st_size <= 15e6


def test_hela_is_small_and_quick(data, tmp_path):
    """The last 23 of 92 frames, where the cells are most, within a quarter of what a page of the whole film may take: 25 MB and 20 s."""
    from lineage.formats import read

    film, masks = open_film(data / "ctc/Fluo-N2DL-HeLa/01"), open_film(data / "metrics/Fluo-N2DL-HeLa/01_RES", kind="labels")
    film, masks = ([whole[t] for t in range(69, 92)] for whole in (film, masks))
    whole = read(data / "metrics/Fluo-N2DL-HeLa/01_RES")
    rows = np.flatnonzero(whole.detections.frame >= 69)
    cells = whole.detections.take(rows)
    cells = replace(cells, frame=cells.frame - 69, n_frames=23)
    begin = time.process_time()
    path = made(tmp_path, Forest(cells, np.maximum(whole.parent[rows] - rows[0], -1)), film, masks)
    assert path.stat().st_size <= 25e6 / 4
    assert time.process_time() - begin <= 20 / 4 or os.cpu_count() == 1
