"""Detections and candidate graphs: measured against plain loops and scikit-image, from every kind of film, and what they refuse."""

from __future__ import annotations

import re
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import zarr
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from skimage.measure import regionprops
from zoo import ZOO, paint

from lineage.detections import Detections, checked_scale, stretched
from lineage.graph import CandidateGraph
from lineage.measure import compact

SCALES = {2: (0.5, 0.25), 3: (2.0, 0.5, 0.25)}


def blobs(seed, shape=(24, 30), cells=8):
    """A label image of random blobs, some touching each other and the border, labels with holes in the numbering."""
    rng = np.random.default_rng(seed)
    image = np.zeros(shape, np.int32)
    grid = np.indices(shape)
    for label in rng.permutation(np.arange(1, 3 * cells))[:cells]:
        centre = rng.uniform(0, shape).reshape(-1, *[1] * len(shape))
        width = rng.uniform(1.2, 4, len(shape)).reshape(centre.shape)
        image[(((grid - centre) / width) ** 2).sum(0) <= 1] = label
    return image


def plain(image, scale, picture):
    """What one label image says, one cell at a time."""
    names = ("z", "y", "x")[-image.ndim :]
    for label in sorted(set(image.ravel().tolist()) - {0}):
        pixels = np.argwhere(image == label)
        centre = pixels.mean(0)
        offset = (pixels - centre) * scale
        spread = offset.T @ offset / len(pixels) + np.diag(np.square(scale) / 12)
        length = 2 * np.sqrt(image.ndim + 2) * np.sqrt(np.linalg.eigvalsh(spread))
        fact = {"label": label, "area": len(pixels) * np.prod(scale), "position": centre * scale}
        fact |= {f"bbox_min_{a}": low for a, low in zip(names, pixels.min(0), strict=True)}
        fact |= {f"bbox_max_{a}": high + 1 for a, high in zip(names, pixels.max(0), strict=True)}
        fact |= {f"inertia_{a}{b}": spread[i, j] for i, a in enumerate(names) for j, b in enumerate(names) if i <= j}
        fact |= {"axis_minor": length[0], "axis_major": length[-1]} | ({"axis_middle": length[1]} if image.ndim == 3 else {})
        fact["touches_border"] = bool((pixels == 0).any() or (pixels == np.array(image.shape) - 1).any())
        yield fact | {"intensity_mean": picture[image == label].mean(), "intensity_std": picture[image == label].std()}


# Hand-made


def test_two_cells_by_hand():
    film = np.zeros((2, 5, 6), np.uint8)
    film[0, 1:3, 1:4] = 7  # 2 x 3 pixels
    film[1, 4, 5] = 2
    cells = Detections.from_labels(film, scale=(2.0, 0.5))
    assert cells.frame.tolist() == [0, 1]
    assert cells.label.tolist() == [7, 2]
    assert cells.position.tolist() == [[3.0, 1.0], [8.0, 2.5]]
    assert cells.scale == (2.0, 0.5)
    assert (cells.n_frames, cells.n_axes, cells.axes) == (2, 2, ("y", "x"))
    column = {name: values.tolist() for name, values in cells.columns.items()}
    assert column["area"] == [6.0, 1.0]
    assert (column["bbox_min_y"], column["bbox_max_y"]) == ([1, 4], [3, 5])
    assert (column["bbox_min_x"], column["bbox_max_x"]) == ([1, 5], [4, 6])
    assert column["touches_border"] == [False, True]
    # a box of sides 4 and 1.5 has the moments side^2 / 12
    assert column["inertia_yy"] == pytest.approx([16 / 12, 4 / 12])
    assert column["inertia_xx"] == pytest.approx([1.5**2 / 12, 0.5**2 / 12])
    assert column["inertia_yx"] == [0.0, 0.0]


def test_a_disc_has_its_diameter_for_axes():
    grid = np.indices((41, 41))
    cells = Detections.from_labels([(((grid - 20) ** 2).sum(0) <= 15**2).astype(int)], scale=2.0)
    assert cells.columns["axis_major"] == pytest.approx(60, rel=0.01)
    assert cells.columns["axis_minor"] == pytest.approx(60, rel=0.01)
    ball = ((np.indices((21, 21, 21)) - 10) ** 2).sum(0) <= 8**2
    axes = Detections.from_labels([ball.astype(int)]).columns
    assert [axes[f"axis_{name}"][0] for name in ("minor", "middle", "major")] == pytest.approx([16, 16, 16], rel=0.02)


# Against plain loops and scikit-image


@pytest.mark.parametrize("shape", [(24, 30), (9, 14, 16)], ids=["2D", "3D"])
@pytest.mark.parametrize("seed", range(3))
def test_every_column_is_what_a_loop_over_cells_finds(shape, seed):
    scale, rng = SCALES[len(shape)], np.random.default_rng(seed)
    film = np.stack([blobs(seed, shape), np.zeros(shape, np.int32), blobs(seed + 50, shape)])
    picture = rng.normal(100, 20, film.shape)
    cells = Detections.from_labels(film, picture, scale)
    facts = [(t, fact) for t in range(3) for fact in plain(film[t], scale, picture[t])]
    assert len(facts) > 10
    assert cells.frame.tolist() == [t for t, _ in facts]
    found = {"label": cells.label, "position": cells.position, **cells.columns}
    assert sorted(found) == sorted(facts[0][1])
    for name, column in found.items():
        np.testing.assert_allclose(column, [fact[name] for _, fact in facts], rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("shape", [(24, 30), (9, 14, 16)], ids=["2D", "3D"])
def test_scikit_image_agrees(shape):
    image, scale = blobs(3, shape), SCALES[len(shape)]
    picture = np.random.default_rng(0).normal(100, 20, shape)
    cells = Detections.from_labels([image], [picture], scale)
    regions = regionprops(image, picture, spacing=scale)
    assert cells.label.tolist() == [region.label for region in regions]
    np.testing.assert_allclose(cells.position, [region.centroid for region in regions])
    np.testing.assert_allclose(cells.columns["area"], [region.area for region in regions])
    np.testing.assert_allclose(cells.columns["intensity_mean"], [region.intensity_mean for region in regions])
    low = np.stack([cells.columns[f"bbox_min_{axis}"] for axis in cells.axes], 1)
    high = np.stack([cells.columns[f"bbox_max_{axis}"] for axis in cells.axes], 1)
    assert np.hstack([low, high]).tolist() == [list(region.bbox) for region in regions]
    if len(shape) == 2:  # scikit-image takes pixels for points: half a pixel of difference at most
        flat = regionprops(image)
        straight = Detections.from_labels([image]).columns
        np.testing.assert_allclose(straight["axis_major"], [region.axis_major_length for region in flat], atol=0.6)


@effort(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([0, 0, 1, 2, 5, 10**9, 2**62]), min_size=0, max_size=30))
def test_compact_finds_what_unique_finds(values):
    labels, pixels, owner = compact(np.array(values, np.int64))
    assert labels.tolist() == sorted(set(values) - {0})
    assert pixels.tolist() == [k for k, value in enumerate(values) if value]
    assert labels[owner].tolist() == [value for value in values if value]


@pytest.mark.parametrize("kind", ["uint8", "int8", "uint16", "int32", "uint32", "int64", "uint64"])
def test_every_kind_of_whole_number_is_the_same_film(kind):
    film = np.stack([blobs(0), blobs(1)])
    one, two = Detections.from_labels(film), Detections.from_labels(film.astype(kind))
    assert one.label.tolist() == two.label.tolist()
    for name, column in one.columns.items():
        np.testing.assert_array_equal(column, two.columns[name], name)


@pytest.mark.parametrize("kind", ["uint32", "int64", "uint64"])
def test_labels_may_be_huge(kind):
    film = np.zeros((1, 6, 6), kind)
    film[0, 1, 1], film[0, 3:5, 3] = 10**9, 7
    cells = Detections.from_labels(film)
    assert cells.label.tolist() == [7, 10**9]
    assert cells.columns["area"].tolist() == [2, 1]


def test_relabelling_changes_nothing_but_labels():
    image = blobs(4)
    number = np.append(0, np.random.default_rng(0).permutation(100)[:30] + 1)
    one, two = Detections.from_labels([image]), Detections.from_labels([number[image]])
    order = np.argsort(number[one.label])
    assert two.label.tolist() == number[one.label][order].tolist()
    np.testing.assert_allclose(two.position, one.position[order])


# Films of every kind


def test_films_without_cells_and_frames_without_cells():
    empty = np.zeros((3, 4, 4), int)
    cells = Detections.from_labels(empty, empty)
    assert (len(cells), cells.n_frames, cells.position.shape) == (0, 3, (0, 2))
    assert "intensity_std" in cells.columns
    assert [rows.stop - rows.start for rows in cells.frames()] == [0, 0, 0]
    gap = empty.copy()
    gap[2, 1, 1] = 5
    cells = Detections.from_labels(gap)
    assert (cells.frame.tolist(), cells.label.tolist(), cells.n_frames) == ([2], [5], 3)
    assert len(Detections.from_labels(np.zeros((0, 4, 4), int))) == 0
    assert Detections.from_labels(empty[:1]).n_frames == 1


@pytest.mark.parametrize("animal", ZOO.values(), ids=ZOO)
def test_painted_animals_are_measured_back(animal):
    cells, truth = Detections.from_labels(paint(animal)), animal.detections
    assert cells.frame.tolist() == truth.frame.tolist()
    assert cells.label.tolist() == truth.label.tolist()
    if len(truth):
        np.testing.assert_allclose(cells.position, truth.position, atol=1e-12)


def test_lists_memory_maps_and_zarr_are_films(tmp_path):
    film = np.stack([blobs(t) for t in range(3)]).astype(np.uint16)
    picture = np.random.default_rng(0).integers(0, 1000, film.shape).astype(np.uint16)
    mapped = np.memmap(tmp_path / "film.dat", np.uint16, "w+", shape=film.shape)
    mapped[:] = film
    stored = zarr.create_array(store=str(tmp_path / "film.zarr"), shape=film.shape, chunks=(1, 8, 8), dtype="uint16")
    stored[:] = film
    one = Detections.from_labels(film, picture)
    for other in (list(film), film.tolist(), mapped, stored):
        two = Detections.from_labels(other, list(picture))
        for name, column in {"position": one.position, "label": one.label, **one.columns}.items():
            np.testing.assert_array_equal(column, {"position": two.position, "label": two.label, **two.columns}[name], name)


def test_the_films_are_only_read():
    film, picture = np.stack([blobs(0), blobs(1)]), np.random.default_rng(0).normal(size=(2, 24, 30))
    before = film.tobytes(), picture.tobytes()
    film.flags.writeable = picture.flags.writeable = False
    Detections.from_labels(film, picture)
    assert (film.tobytes(), picture.tobytes()) == before


class Lazy:
    """A film that makes its frames when asked, and knows how many are alive at once."""

    def __init__(self, n_frames):
        self.n_frames = n_frames

    def __len__(self):
        return self.n_frames

    def __getitem__(self, t):
        frame = np.zeros((300, 300), np.uint16)
        frame[10:40, 10 + t : 40 + t] = 3
        return frame


def test_memory_does_not_grow_with_the_film():
    peaks = []
    for n_frames in (3, 30):
        tracemalloc.start()
        Detections.from_labels(Lazy(n_frames), Lazy(n_frames))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 100_000  # one frame is 180 000 bytes


def test_properties_are_chosen_and_progress_is_told():
    seen = []
    told = lambda items, what: seen.append(what) or items  # noqa: E731
    cells = Detections.from_labels([blobs(0)], properties=["touches_border", "area"], progress=told)
    assert list(cells.columns) == ["touches_border", "area"]
    assert seen == ["measuring"]
    assert list(Detections.from_labels([blobs(0)], properties=[]).columns) == []


# What is refused


GOOD = np.ones((2, 4, 4), int)
PROPERTIES = (
    "area, bbox_min_y, bbox_max_y, bbox_min_x, bbox_max_x, touches_border, inertia_yy, inertia_yx, inertia_xx, axis_minor, axis_major"
)
LABEL_ERRORS = {
    "fractions": ([GOOD[0], GOOD[0] / 2], {}, "label frame 1 is float64, but labels are whole numbers: convert with astype('uint16')"),
    "a mask": ([GOOD[0] > 0], {}, "label frame 0 is bool, but labels are whole numbers: number the cells (scipy.ndimage.label)"),
    "negative": ([GOOD[0], -3 * GOOD[0]], {}, "label frame 1 holds the label -3, but labels are not negative: set what is no cell to 0"),
    "beyond all": (
        [np.full((2, 2), 2**63, np.uint64)],
        {},
        "label frame 0 holds the label 9223372036854775808, but labels are at most 9223372036854775807: number the cells anew",
    ),
    "one picture": (GOOD[0], {}, "label frame 0 has shape (4,), but a frame is (Y, X) or (Z, Y, X)"),
    "five axes": (GOOD[None, None], {}, "label frame 0 has shape (1, 2, 4, 4), but a frame is (Y, X) or (Z, Y, X)"),
    "shapes": ([GOOD[0], GOOD[0][:3]], {}, "label frame 1 has shape (3, 4), but frame 0 has (4, 4)"),
    "image length": (GOOD, {"image": GOOD[:1]}, "the image has 1 frames, but the labels have 2"),
    "image shape": (GOOD, {"image": GOOD[:, :, :3]}, "image frame 0 has shape (4, 3), but its labels have (4, 4)"),
    "NaN": (
        GOOD,
        {"image": [GOOD[0], np.where(np.eye(4) > 0, np.nan, 1.0)]},
        "image frame 1 has 4 pixels that are NaN: fill them before tracking",
    ),
    "infinite": (
        GOOD,
        {"image": [GOOD[0], np.where(np.eye(4) > 0, -np.inf, 1.0)]},
        "image frame 1 has 4 pixels that are infinite: fill them before tracking",
    ),
    "scale of other axes": (GOOD, {"scale": (1, 1, 1)}, "scale has 3 values, but there are 2 axes: y, x"),
    "scale zero": (GOOD, {"scale": (1, 0)}, "scale must be positive and finite, not (1.0, 0.0)"),
    "scale negative": (GOOD, {"scale": -1}, "scale must be positive and finite, not (-1.0, -1.0)"),
    "scale NaN": (GOOD, {"scale": float("nan")}, "scale must be positive and finite, not (nan, nan)"),
    "property": (GOOD, {"properties": ["area", "colour"]}, f"no such property: colour; there are {PROPERTIES}"),
}


@pytest.mark.parametrize(("film", "arguments", "message"), LABEL_ERRORS.values(), ids=LABEL_ERRORS)
def test_films_that_make_no_sense_are_refused(film, arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Detections.from_labels(film, **arguments)


def test_one_number_is_the_scale_of_every_axis():
    assert checked_scale(0.5, 3) == (0.5, 0.5, 0.5)
    assert checked_scale(None, 2) == checked_scale((), 2) == (1.0, 1.0)


# Points


def test_points_are_sorted_by_frame_and_keep_their_facts():
    table = pd.DataFrame({"x": [1.0, 2, 3], "t": [2, 0, 2], "y": [4.0, 5, 6], "score": [0.1, 0.2, 0.3], "kind": list("abc")})
    before = table.copy()
    cells = Detections.from_points(table, scale=(2, 10))
    assert cells.frame.tolist() == [0, 2, 2]
    assert cells.position.tolist() == [[10, 20], [8, 10], [12, 30]]
    assert cells.columns["kind"].tolist() == ["b", "a", "c"]
    assert cells.columns["score"].tolist() == [0.2, 0.1, 0.3]
    assert sorted(cells.columns) == ["kind", "score"]
    assert cells.label.tolist() == [0, 0, 0]
    assert (cells.n_frames, cells.scale) == (3, (2.0, 10.0))
    pd.testing.assert_frame_equal(table, before)


def test_points_in_three_dimensions_with_labels_from_a_mapping():
    cells = Detections.from_points({"frame": [1, 0], "z": [1, 2], "y": [3, 4], "x": [5, 6], "label": [8.0, 9.0]}, n_frames=7)
    assert cells.position.tolist() == [[2, 4, 6], [1, 3, 5]]
    assert cells.label.tolist() == [9, 8]
    assert (cells.axes, cells.n_frames) == (("z", "y", "x"), 7)
    assert len(Detections.from_points({"t": [], "y": [], "x": []})) == 0


POINT_ERRORS = {
    "no x": ({"t": [0], "y": [1.0]}, {}, "the table of points has no column x; it has t, y"),
    "no time": ({"y": [1.0], "x": [1.0]}, {}, "the table of points has no column t; it has y, x"),
    "nothing": ({}, {}, "the table of points has no column y, x, t; it has none"),
    "half a frame": ({"t": [0, 1.5], "y": [1, 2], "x": [1, 2]}, {}, "frame must be whole numbers: row 1 holds 1.5"),
    "no frame": ({"t": [0, np.nan], "y": [1, 2], "x": [1, 2]}, {}, "frame must be whole numbers: row 1 holds nan"),
    "no place": ({"t": [1, 0], "y": [np.nan, 2], "x": [1, 2]}, {}, "row 1 (frame 1) has no finite position: [nan, 1.0]"),
    "endless place": ({"t": [0], "y": [np.inf], "x": [1]}, {}, "row 0 (frame 0) has no finite position: [inf, 1.0]"),
    "before the film": ({"t": [-1, 0], "y": [1, 2], "x": [1, 2]}, {}, "frames are counted from 0: row 0 is in frame -1"),
    "words for frames": ({"t": ["a"], "y": [1], "x": [2]}, {}, "frame must be whole numbers: row 0 holds a"),
    "scale": ({"t": [0], "y": [1], "x": [2]}, {"scale": (1, 2, 3)}, "scale has 3 values, but there are 2 axes: y, x"),
}


@pytest.mark.parametrize(("table", "arguments", "message"), POINT_ERRORS.values(), ids=POINT_ERRORS)
def test_points_that_make_no_sense_are_refused(table, arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Detections.from_points(table, **arguments)


# The value itself


PLACE = np.zeros((3, 2))
VALUE_ERRORS = {
    "falling frames": (([0, 2, 1], PLACE, [1, 1, 1]), {}, "frames must not fall: row 2 is in frame 1, after 2"),
    "one dimension": (([0], [[1.0]], [1]), {}, "position has shape (1, 1), but one (z,) y, x a row is needed: (n, 2) or (n, 3)"),
    "flat positions": (([0], [1.0, 2.0], [1]), {}, "position has shape (2,), but one (z,) y, x a row is needed: (n, 2) or (n, 3)"),
    "rows": (([0, 1, 2], PLACE[:2], [1, 1, 1]), {}, "position has 2 rows, but frame has 3"),
    "column": (([0, 1, 2], PLACE, [1, 1, 1]), {"columns": {"area": [1.0]}}, "area has 1 rows, but frame has 3"),
    "label": (([0, 1, 2], PLACE, [1, 1.5, 1]), {}, "label must be whole numbers: row 1 holds 1.5"),
    "conflict above": (
        ([0, 1, 2], PLACE, [1, 1, 1]),
        {"conflicts": [[0, 1], [2, 3]]},
        "a conflict set names row 3, but there are 3 rows",
    ),
    "conflict below": (([0, 1, 2], PLACE, [1, 1, 1]), {"conflicts": [[-1, 1]]}, "a conflict set names row -1, but there are 3 rows"),
}


@pytest.mark.parametrize(("values", "more", "message"), VALUE_ERRORS.values(), ids=VALUE_ERRORS)
def test_columns_that_do_not_fit_are_refused(values, more, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Detections(*values, **more)


def test_rows_of_frames_and_parts():
    cells = Detections([0, 0, 2], PLACE, [4, 5, 6], {"area": [1.0, 2.0, 3.0]}, conflicts=[[0, 1], []], n_frames=4)
    assert [cells.at(t) for t in range(4)] == list(cells.frames()) == [slice(0, 2), slice(2, 2), slice(2, 3), slice(3, 3)]
    some = cells.take(np.array([1, 2]))
    assert (some.label.tolist(), some.columns["area"].tolist(), some.n_frames, some.conflicts) == ([5, 6], [2, 3], 4, ())
    more = cells.with_columns(score=np.arange(3))
    assert sorted(more.columns) == ["area", "score"]
    assert sorted(cells.columns) == ["area"]  # the old value is as it was
    with pytest.raises(AttributeError, match=r"^cannot assign to field 'frame'$"):
        cells.frame = [1]


# Candidate graphs


CELLS = Detections([0, 0, 1, 3], np.zeros((4, 2)), [1, 2, 1, 1])
GRAPH_ERRORS = {
    "backwards": (([0, 2], [2, 1]), {}, "edge 1 does not go forward in time: row 2 (frame 1) -> row 1 (frame 0)"),
    "sideways": (([0], [1]), {}, "edge 0 does not go forward in time: row 0 (frame 0) -> row 1 (frame 0)"),
    "twice": (([0, 1, 0], [2, 2, 2]), {}, "edges 0 and 2 are the same: row 0 -> row 2"),
    "no such target": (([0], [4]), {}, "edge 0 has target 4, but there are 4 detections"),
    "no such source": (([0, -1], [2, 2]), {}, "edge 1 has source -1, but there are 4 detections"),
    "ends": (([0, 1], [2]), {}, "target has 1 rows, but there are 2 edges"),
    "column": (([0, 1], [2, 2]), {"columns": {"iou": [0.5]}}, "iou has 1 rows, but there are 2 edges"),
}


@pytest.mark.parametrize(("ends", "more", "message"), GRAPH_ERRORS.values(), ids=GRAPH_ERRORS)
def test_edges_that_make_no_sense_are_refused(ends, more, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        CandidateGraph(CELLS, *ends, **more)


def test_a_graph_knows_its_edges():
    graph = CandidateGraph(CELLS, [0, 1, 2], [2, 3, 3], {"iou": [0.1, 0.2, 0.3]})
    assert len(graph) == 3
    assert graph.dt.tolist() == [1, 3, 2]
    assert graph.keep(np.array([False, True, True])).columns["iou"].tolist() == [0.2, 0.3]
    assert graph.keep(np.array([2, 0])).source.tolist() == [2, 0]
    assert sorted(graph.with_columns(cost=np.zeros(3)).columns) == ["cost", "iou"]
    assert len(CandidateGraph(Detections([], np.zeros((0, 2)), []), [], [])) == 0


# tables of points that hold sizes


def test_sizes_in_a_table_count_the_same_steps_as_places():
    table = {"t": [0, 0], "z": [1, 2], "y": [3, 4], "x": [5, 6], "area": [8, 27], "axis_major": [2, 3], "score": [1, 2]}
    cells = Detections.from_points(table, (8, 1, 1))
    np.testing.assert_allclose(cells.columns["area"], [64, 216])
    np.testing.assert_allclose(cells.columns["axis_major"], [4, 6])
    assert cells.columns["score"].tolist() == [1, 2]
    again = stretched(Detections.from_points(table), (8, 1, 1))
    for name, column in cells.columns.items():
        np.testing.assert_allclose(again.columns[name], column)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"area": ["large", "1"]}, "the column area holds what is no number: 'large'"),
        ({"area": [1.0, np.nan]}, "row 1: area is nan: give each cell its size, or leave the column out"),
        ({"area": [1.0, -2.0]}, "row 1: area is -2.0: give each cell its size, or leave the column out"),
        ({"t": [0, 10**9]}, "t goes up to 1000000000, but there are 2 points: give the numbers of frames, from 0, not times"),
    ],
)
def test_sizes_and_frames_that_are_none_are_refused(table, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Detections.from_points({"t": [0, 1], "y": [0, 1], "x": [0, 1]} | table)
