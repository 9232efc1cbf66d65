"""Figures: trees that do not cross, tracks where the cells are, files that are whole or not there."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from zoo import ZOO, forest, paint

from lineage import plot
from lineage.detections import Detections
from lineage.forest import Forest
from lineage.simulation import simulate


@pytest.fixture(scope="module")
def film():
    return simulate(
        frames=10, cells=6, size=(80, 90), cycle=6, cycle_spread=1, min_cycle=4, miss_rate=0.1, false_rate=0.1, radius=7, seed=2
    )


def lines(ax):
    """All line segments drawn as collections, as ((x, y), (x, y)), by solid and dashed."""
    found = {"solid": [], "dashed": []}
    for collection in ax.collections:
        if isinstance(collection, LineCollection):
            dashed = collection.get_linestyle()[0][1] is not None if collection.get_segments() else False
            found["dashed" if dashed else "solid"] += [tuple(map(tuple, np.round(s, 6).tolist())) for s in collection.get_segments()]
    return found


def test_a_division_is_a_fork():
    drawn = lines(plot.lineage_trees(ZOO["division with a past"]))
    assert sorted(drawn["solid"]) == sorted(
        [
            ((0, 0.5), (1, 0.5)),  # the mother
            ((1, 0.5), (1, 0)),  # the fork
            ((1, 0.5), (1, 1)),
            ((1, 0), (2, 0)),  # from the fork to the daughters' first frame
            ((1, 1), (2, 1)),
            ((2, 0), (3, 0)),  # the daughters
            ((2, 1), (3, 1)),
        ]
    )
    assert not drawn["dashed"]


def test_a_gap_is_dashed():
    drawn = lines(plot.lineage_trees(ZOO["gap"]))
    assert sorted(drawn["solid"]) == [((0, 0), (1, 0)), ((3, 0), (4, 0))]
    assert drawn["dashed"] == [((1, 0), (3, 0))]


def test_daughters_found_late_hang_on_dashed_lines():
    drawn = lines(plot.lineage_trees(ZOO["division over a gap"]))
    assert sorted(drawn["dashed"]) == [((1, 0), (3, 0)), ((1, 1), (3, 1))]


def test_time_may_run_down():
    right = lines(plot.lineage_trees(ZOO["two divisions in a row"]))["solid"]
    ax = plot.lineage_trees(ZOO["two divisions in a row"], time="down")
    assert sorted(lines(ax)["solid"]) == sorted(tuple(point[::-1] for point in line) for line in right)
    assert ax.get_ylabel() == "frame"
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_lost_cells_carry_a_cross_and_only_they():
    def crosses(name):
        ax = plot.lineage_trees(ZOO[name])
        marks = [c for c in ax.collections if not isinstance(c, LineCollection) and len(c.get_paths()[0].vertices) == 4]
        return sorted(tuple(offset) for c in marks for offset in c.get_offsets().tolist())

    assert crosses("lost daughter") == [(1.0, 1.0)]
    assert crosses("single in a long film") == [(1.0, 0.0)]
    assert crosses("division") == []


def test_the_legend_explains_what_is_there():
    def words(name):
        legend = plot.lineage_trees(ZOO[name]).get_legend()
        return [] if legend is None else [text.get_text() for text in legend.get_texts()]

    assert words("gap") == ["missed"]
    assert words("lost daughter") == ["lost, left or died"]
    assert words("step") == []
    assert plot.lineage_trees(ZOO["gap"], legend=False).get_legend() is None


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.parametrize("time", ["right", "down"])
def test_every_animal_can_be_drawn(name, time):
    animal = ZOO[name]
    ax = plot.lineage_trees(animal, time=time)
    if time == "down":
        ax.figure.draw_without_rendering()
    assert (ax.get_xlabel() if time == "right" else ax.get_ylabel()) == "frame"
    assert len(ax.collections[0].get_segments()) == animal.tracklet_id.max(initial=0)
    assert len(lines(ax)["dashed"]) == (animal.gap > 0).sum()


def test_a_forest_without_cells_says_so():
    ax = plot.lineage_trees(ZOO["empty"])
    assert [text.get_text() for text in ax.texts] == ["no cells"]
    assert ax.get_xlim()[0] < 0 and ax.get_xlim()[1] > 1


def test_trees_that_do_not_meet_in_time_share_a_place():
    place = plot.tree_layout(np.array([0, 0, 5]), np.array([2, 9, 9]), np.array([-1, -1, -1]))
    assert place.tolist() == [0, 1, 0]
    place = plot.tree_layout(np.array([0, 3]), np.array([2, 9]), np.array([-1, -1]))
    assert place.tolist() == [0, 1], "with no frame between them, two lineages would look like one"


def test_a_wide_tree_needs_neighbouring_places():
    start, end, parent = np.array([0, 0, 0, 5, 6, 6]), np.array([2, 9, 2, 5, 9, 9]), np.array([-1, -1, -1, -1, 3, 3])
    assert plot.tree_layout(start, end, parent).tolist() == [0, 1, 2, 2.5, 2, 3]


@st.composite
def forests(draw):
    frames = sorted(draw(st.lists(st.integers(0, 8), min_size=1, max_size=40)))
    parent, children = [], [0] * len(frames)
    for i, t in enumerate(frames):
        able = [j for j in range(i) if frames[j] < t and children[j] < 2]
        mother = draw(st.sampled_from([-1, *able[-6:]]))
        parent.append(mother)
        if mother >= 0:
            children[mother] += 1
    return forest(frames, parent, n_frames=9)


@settings(max_examples=60, deadline=None)
@given(forests())
def test_lines_never_cross(tree):
    """No two lines lie on each other, and a fork meets nobody but the mother and her daughters."""
    table = tree.tracklets()
    start, end = table["start"].to_numpy(), table["end"].to_numpy()
    parent = table["parent_tracklet_id"].to_numpy() - 1
    place = plot.tree_layout(start, end, parent)
    begin = np.where(parent >= 0, end[parent], start)  # a line hangs on its mother's end
    family = {(i, int(parent[i])) for i in range(len(table))} | {(int(parent[i]), i) for i in range(len(table))}
    for i in range(len(table)):
        for j in range(i):
            if place[i] == place[j] and (i, j) not in family:
                assert end[j] < begin[i] or end[i] < begin[j]
    for mother in range(len(table)):
        daughters = np.flatnonzero(parent == mother)
        if len(daughters) < 2:
            continue
        low, high = place[daughters].min(), place[daughters].max()
        assert place[mother] == place[daughters].mean()
        among = (begin <= end[mother]) & (end >= end[mother]) & (place >= low) & (place <= high)
        assert set(np.flatnonzero(among).tolist()) <= {mother, *daughters.tolist()}


def test_colours_are_stable_and_differ():
    colours = plot.lineage_colours(np.arange(1, 19))
    np.testing.assert_array_equal(plot.lineage_colours(np.array([7, 3])), colours[[6, 2]])
    apart = np.abs(colours[:, None] - colours).max(2) + np.eye(18)
    assert apart.min() > 0.05
    luminance = colours @ [0.2126, 0.7152, 0.0722]
    assert 0.1 < luminance.min() and luminance.max() < 0.85, "seen on white and on black"
    np.testing.assert_array_equal(plot.lineage_colours(np.array([0])), [[0.6, 0.6, 0.6]])


def test_hundreds_of_tracklets_are_drawn_thin():
    many = forest([0] * 300, [-1] * 300)
    few = plot.lineage_trees(ZOO["step"]).collections[0].get_linewidth()[0]
    ax = plot.lineage_trees(many)
    assert ax.collections[0].get_linewidth()[0] < few
    assert ax.figure.get_figheight() > 20


def test_a_frame_is_stretched_between_percentiles():
    image = np.arange(24 * 13.0).reshape(24, 13)
    ax = plot.tracks_over_frame(ZOO["step"], image, 0)
    shown = ax.images[0]
    np.testing.assert_array_equal(shown.get_array(), image)
    np.testing.assert_allclose(shown.get_clim(), np.percentile(image, [0.5, 99.8]))
    assert ax.get_title() == "frame 0"


def test_three_dimensions_are_shown_as_their_maximum():
    animal = ZOO["three dimensions"]
    labels = paint(animal)
    ax = plot.tracks_over_frame(animal, labels[1] * 5.0, 1, labels_frame=labels[1])
    np.testing.assert_array_equal(ax.images[0].get_array(), (labels[1] * 5).max(0))
    assert len(ax.collections[-1].get_segments()) == 2


def test_outlines_run_round_the_masks():
    animal = ZOO["crossing"]
    labels = paint(animal)
    before = labels.copy()
    ax = plot.tracks_over_frame(animal, labels[1], 1, labels_frame=labels[1])
    outlines = ax.collections[-1]
    assert len(outlines.get_segments()) == 2
    for segment, row in zip(outlines.get_segments(), (2, 3), strict=True):
        low, high = segment.min(0)[::-1], segment.max(0)[::-1]
        np.testing.assert_allclose((low + high) / 2, animal.detections.position[row])
        np.testing.assert_allclose(high - low, 5)  # a disc of radius 2 is five pixels wide
    np.testing.assert_array_equal(labels, before)
    expected = 0.8 * plot.lineage_colours(animal.lineage_id[[2, 3]]) + 0.2
    np.testing.assert_allclose(outlines.get_colors()[:, :3], expected)


def test_masks_that_are_no_cells_are_grey_and_dotted():
    animal = ZOO["unselected noise"]
    labels = paint(animal)
    outlines = plot.tracks_over_frame(animal, labels[0], 0, labels_frame=labels[0]).collections[-1]
    np.testing.assert_allclose(outlines.get_colors()[1, :3], 0.8 * 0.6 + 0.2)
    assert [style[1] is None for style in outlines.get_linestyle()] == [True, False]


def test_large_labels_do_not_need_large_tables():
    labels = np.zeros((12, 12), np.int64)
    labels[3:6, 3:6] = 2**40
    cells = Detections.from_labels(labels[None])
    ax = plot.tracks_over_frame(Forest(cells, np.array([-1])), labels, 0, labels_frame=labels)
    assert len(ax.collections[-1].get_segments()) == 1


def tails(ax):
    return sorted(lines(ax)["solid"])


def test_tails_lead_back_to_where_the_cells_came_from():
    walk = forest([0, 1, 2, 3], [-1, 0, 1, 2], place=[0, 1, 2, 3])
    image = np.zeros((9, 40))
    step = lambda i: ((4.0 + 8 * i, 4.0), (4.0 + 8 * (i - 1), 4.0))  # noqa: E731
    assert tails(plot.tracks_over_frame(walk, image, 3)) == [step(1), step(2), step(3)]
    assert tails(plot.tracks_over_frame(walk, image, 3, tail=2)) == [step(2), step(3)]
    assert tails(plot.tracks_over_frame(walk, image, 3, tail=0)) == []
    assert tails(plot.tracks_over_frame(walk, image, 1)) == [step(1)]


def test_tails_of_sisters_join_at_the_mother_and_fade():
    animal = ZOO["division with a past"]
    ax = plot.tracks_over_frame(animal, np.zeros((12, 24)), 3, tail=4)
    collection = ax.collections[0]
    assert len(collection.get_segments()) == 5  # two steps of each daughter, one of the mother
    alpha = {round(float(a), 6) for a in collection.get_colors()[:, 3]}
    assert alpha == {1.0, round(1 - 0.85 / 4, 6), round(1 - 0.85 / 2, 6)}


def test_positions_are_drawn_in_pixels_whatever_the_scale():
    cells = Detections([0, 1], [[10.0, 4.0], [10.0, 6.0]], [1, 1], scale=(5, 2))
    ax = plot.tracks_over_frame(Forest(cells, [-1, 0]), np.zeros((8, 8)), 1)
    assert tails(ax) == [((3.0, 2.0), (2.0, 2.0))]
    assert ax.get_aspect() == 2.5


@pytest.mark.parametrize(
    ("width", "pixel", "unit", "text", "pixels"),
    [(100, 1, "", "20 px", 20), (256, 0.65, "µm", "20 µm", 20 / 0.65), (50, 2.0, "", "20 µm", 10)],
)
def test_the_scale_bar_has_a_round_length(width, pixel, unit, text, pixels):
    cells = Detections(np.zeros(0, int), np.zeros((0, 2)), np.zeros(0, int), scale=(pixel, pixel))
    ax = plot.tracks_over_frame(Forest(cells, np.zeros(0, int)), np.zeros((20, width)), 0, unit=unit)
    assert [t.get_text() for t in ax.texts] == [text]
    assert np.ptp(ax.lines[0].get_xdata()) == pytest.approx(pixels)


@pytest.mark.parametrize("name", ZOO)
def test_every_animal_can_be_drawn_over_its_film(name):
    labels = paint(ZOO[name])
    for t, frame in enumerate(labels):
        ax = plot.tracks_over_frame(ZOO[name], frame, t, labels_frame=frame)
        if t == 1:
            ax.figure.draw_without_rendering()
        assert len(ax.collections[-1].get_segments()) == len(np.unique(frame)) - 1


def test_a_given_axes_is_drawn_into():
    ax = Figure().add_subplot()
    assert plot.lineage_trees(ZOO["step"], ax) is ax
    assert plot.tracks_over_frame(ZOO["step"], np.zeros((9, 9)), 0, Figure().add_subplot()).figure is not ax.figure


def test_frames_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=f"^{re.escape('image frame 1 has shape (2, 8, 8), but the detections have the axes (y, x)')}$"):
        plot.tracks_over_frame(ZOO["step"], np.zeros((2, 8, 8)), 1)
    with pytest.raises(ValueError, match=f"^{re.escape('label frame 0 has shape (8, 9), but its image has (8, 8)')}$"):
        plot.tracks_over_frame(ZOO["step"], np.zeros((8, 8)), 0, labels_frame=np.zeros((8, 9), int))


def test_constant_and_holey_images_are_drawn():
    for image in (np.full((8, 8), 5), np.full((8, 8), np.nan)):
        plot.tracks_over_frame(ZOO["single"], image, 0).figure.draw_without_rendering()


def test_an_overview_shows_first_middle_last_and_the_trees(film):
    figure = plot.overview(film.truth, film.image, film.labels)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[:3] == ["frame 0", "frame 4", "frame 9"]
    trees = figure.axes[3]
    truth = film.truth
    words = f"{len(truth.roots)} lineages, {len(truth.life_table())} cells, {len(truth.divisions)} divisions"
    assert trees.get_title(loc="right") == words
    assert len(trees.collections[0].get_segments()) == truth.tracklet_id.max()


def test_an_overview_of_a_crowd_draws_the_lineages_that_divide_most(film, monkeypatch):
    truth = film.truth
    page = sys.modules["lineage.plot.overview"]  # the name is that of the function
    monkeypatch.setattr(page, "LINES", 3)
    for few, drawn in ((4, truth.foremost(4, paths=True)), (0, truth.foremost(0, paths=True))):
        monkeypatch.setattr(page, "FEW", few)
        trees = plot.overview(truth, film.image, film.labels).axes[3]
        words = "the one that divides" if len(drawn) == 1 else f"the {len(drawn)} that divide"
        title = trees.get_title(loc="right").splitlines()
        assert title[0].startswith(f"{len(truth.roots)} lineages, ") and title[1] == f"drawn: {words} most"
        some = np.isin(truth.lineage_id, drawn)
        assert len(trees.collections[0].get_segments()) == len(np.unique(truth.tracklet_id[some])) < truth.tracklet_id.max()


def test_an_overview_of_chosen_frames_without_labels(film):
    figure = plot.overview(film.truth, film.image, frames=[2])
    assert [ax.get_title() for ax in figure.axes] == ["frame 2", ""]


@pytest.mark.parametrize(("name", "magic"), [("a.png", b"\x89PNG"), ("b.svg", b"<?xml"), ("c.PDF", b"%PDF")])
def test_figures_are_saved_by_the_ending_and_always_alike(film, tmp_path, name, magic):
    target = tmp_path / name
    for _ in range(2):
        plot.overview(film.truth, film.image, film.labels, target, frames=[1])
        content = target.read_bytes()
        assert content.startswith(magic)
        assert [p.name for p in tmp_path.iterdir()] == [name]
    assert content == (plot.save_figure(plot.overview(film.truth, film.image, film.labels, frames=[1]), target)).read_bytes()


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "trees.png"
    target.write_bytes(b"old")

    def broken(_self, path, **_how):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", broken)
    with pytest.raises(OSError, match=r"^disk full$"):
        plot.save_figure(Figure(), target)
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["trees.png"]


def test_empty_films_make_honest_figures(tmp_path):
    plot.overview(ZOO["empty"], np.zeros((2, 8, 8)), np.zeros((2, 8, 8), int), tmp_path / "empty.png")
    assert (tmp_path / "empty.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"path": "trees.gif"}, ValueError, "cannot save a figure as trees.gif: the name must end in .png, .svg, .pdf"),
        ({"path": "nowhere/trees.png"}, FileNotFoundError, "cannot save trees.png: there is no folder nowhere"),
        ({"labels": np.zeros((3, 8, 8), int)}, ValueError, "the film has 2 frames, but the labels have 3"),
        ({"frames": [0, 2]}, ValueError, "frames [0, 2] cannot be shown: the film has 2 frames"),
        ({"frames": []}, ValueError, "frames [] cannot be shown: the film has 2 frames"),
    ],
)
def test_overviews_that_cannot_be(how, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        plot.overview(ZOO["step"], np.zeros((2, 8, 8)), **how)
    assert not list(tmp_path.iterdir())


def test_an_empty_film_cannot_be_shown():
    with pytest.raises(ValueError, match=f"^{re.escape('frames [] cannot be shown: the film has 0 frames')}$"):
        plot.overview(ZOO["empty"], np.zeros((0, 8, 8)))


def test_plotting_needs_no_screen_and_importing_lineage_no_matplotlib():
    code = "import sys, lineage; assert 'matplotlib' not in sys.modules; import lineage.plot; assert 'matplotlib.pyplot' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# one lineage, time, units


def test_some_lineages_are_drawn_alone_and_keep_their_colours():
    animal = forest([0, 0, 1, 1, 2, 2, 2], [-1, -1, 0, 1, 3, 3, 2])
    ax = plot.lineage_trees(animal, lineages=[2])
    drawn = lines(ax)["solid"]
    assert sorted(drawn) == sorted(lines(plot.lineage_trees(forest([0, 1, 2, 2], [-1, 0, 1, 1])))["solid"])
    colours = {
        tuple(colour) for part in ax.collections if isinstance(part, LineCollection) for colour in np.round(part.get_colors()[:, :3], 6)
    }
    assert colours == {tuple(np.round(plot.lineage_colours(np.array([2]))[0], 6))}
    assert len(lines(plot.lineage_trees(animal, lineages=[1, 2]))["solid"]) == len(lines(plot.lineage_trees(animal))["solid"])
    with pytest.raises(ValueError, match=r"^there is no lineage 3: the forest has 2, counted from 1$"):
        plot.lineage_trees(animal, lineages=[1, 3])
    with pytest.raises(ValueError, match=r"^there is no lineage 1: the forest has 0, counted from 1$"):
        plot.lineage_trees(ZOO["empty"], lineages=[1])


def timed(animal, interval, **changes):
    cells = dataclasses.replace(animal.detections, interval=interval, **changes)
    return dataclasses.replace(animal, detections=cells)


@pytest.mark.parametrize(
    ("interval", "n_frames", "label", "second"),
    [(None, 10, "frame", None), (2.0, 10, "time (s)", "3"), (300.0, 10, "time (min)", "10"), (1800.0, 92, "time (h)", "10")],
)
def test_time_is_told_in_round_numbers(interval, n_frames, label, second):
    animal = timed(ZOO["step"], interval, n_frames=n_frames)
    ax = plot.cells_per_frame(animal)
    assert ax.get_xlabel() == label
    if interval is None:
        return
    at, names = ax.get_xticks(), [text.get_text() for text in ax.get_xticklabels()]
    assert names[:2] == ["0", second]
    unit = {"s": 1, "min": 60, "h": 3600}[label[6:-1]]
    np.testing.assert_allclose(at, [float(name) * unit / interval for name in names])
    assert max(at) <= n_frames - 1 + 1e-9
    assert plot.lineage_trees(animal).get_xlabel() == label
    assert plot.lineage_trees(animal, time="down").get_ylabel() == label
    assert plot.space_time(animal).get_ylabel() == label


def test_a_frame_tells_its_time():
    ax = plot.tracks_over_frame(timed(ZOO["step"], 300.0, n_frames=20), np.zeros((9, 9)), 7)
    assert ax.get_title() == "frame 7, 35 min"


@pytest.mark.parametrize(("scale", "unit", "name"), [((1, 1), "", "px"), ((0.5, 0.5), "", "µm"), ((0.5, 0.5), "mm", "mm")])
def test_lengths_have_units(scale, unit, name):
    animal = timed(ZOO["division with a past"], None, scale=scale)
    assert plot.displacements(animal, unit=unit).get_xlabel() == f"displacement per frame ({name})"
    assert plot.space_time(animal, axis="y", unit=unit).get_xlabel() == f"y ({name})"


# charts


def test_cells_are_counted_and_events_are_marked():
    animal = forest([0, 0, 1, 1, 2, 2, 2, 3], [-1, -1, 0, 1, 2, 2, -1, 4], n_frames=4)
    ax = plot.cells_per_frame(animal)
    (count,) = ax.lines
    assert count.get_xdata().tolist() == [0, 1, 2, 3]
    assert count.get_ydata().tolist() == [2, 2, 3, 1]
    divisions, begins, ends = (marks.get_offsets()[:, 0].tolist() for marks in ax.collections)
    assert (divisions, begins, ends) == ([1], [2], [1, 2])
    assert [text.get_text() for text in ax.texts] == ["divisions", "begin", "end"]


def test_cells_that_are_not_selected_are_not_counted():
    assert plot.cells_per_frame(ZOO["unselected noise"]).lines[0].get_ydata().tolist() == [1, 1]


def heights(ax):
    """What the histograms drawn as outlines hold: label -> bin heights."""
    return {patch.get_label(): patch.get_xy() for patch in ax.patches if not patch.get_label().startswith("_") and hasattr(patch, "get_xy")}


def test_displacements_of_cells_and_of_daughters_are_told_apart():
    walk = forest([0, 1, 2, 3, 3, 5], [-1, 0, 1, 2, 2, 3], place=[0, 1, 2, 2, 4, 9])
    ax = plot.displacements(walk)
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["cells (2), median 8 px", "daughters (2), median 8 px"], "the link over a gap is no step"
    for outline in heights(ax).values():
        assert outline[:, 1].max() <= 1
    assert plot.displacements(forest([0, 1], [-1, 0], place=[0, 0])).get_xlim()[1] > 0, "cells that stand still"
    assert [text.get_text() for text in plot.displacements(ZOO["two strangers"]).get_legend().get_texts()] == ["cells (2), median 0 px"]
    assert [text.get_text() for text in plot.displacements(ZOO["single"]).texts] == ["no links"]


def test_the_share_of_cells_not_divided_is_that_of_kaplan_and_meier():
    age, whole = np.array([2.0, 3, 3, 5, 6, 6]), np.array([True, True, False, True, False, True])
    x, left = plot.undivided(age, whole)
    assert x.tolist() == [0, 2, 3, 5, 6]
    np.testing.assert_allclose(left, [1, 5 / 6, 5 / 6 * 4 / 5, 5 / 6 * 4 / 5 * 2 / 3, 5 / 6 * 4 / 5 * 2 / 3 / 2])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=30))
def test_without_losses_it_is_the_plain_share(ages):
    age = np.array(ages, float)
    x, left = plot.undivided(age, np.ones(len(age), bool))
    np.testing.assert_allclose(left, [(age > a).mean() for a in x], atol=1e-12)


def test_division_timing_counts_whole_cycles_and_cut_ones():
    animal = forest([0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 5], [-1, 0, 0, 1, 2, 3, 4, 5, 5, 6, 9], n_frames=6)
    ax = plot.division_timing(timed(animal, 600.0))
    assert ax.get_title(loc="left") == "1 whole cycles, median 30 min\n3 more not seen to divide"
    assert ax.get_xlabel() == "age (min)"
    assert plot.division_timing(animal).get_xlabel() == "age (frames)"
    silent = plot.division_timing(ZOO["division"])
    assert [text.get_text() for text in silent.texts] == ["no cell was seen\nfrom birth to division"]


def test_space_and_time_hold_every_link_once():
    animal = ZOO["division over a gap"]
    ax = plot.space_time(animal)
    drawn = sorted(lines(ax)["solid"] + lines(ax)["dashed"])
    x, frame, child = animal.detections.position[:, 1], animal.detections.frame, animal.child_rows
    assert drawn == sorted(((x[animal.parent[i]], frame[animal.parent[i]]), (x[i], frame[i])) for i in child)
    assert len(lines(ax)["dashed"]) == (animal.gap > 0).sum()
    assert ax.get_ylim()[0] > ax.get_ylim()[1], "time runs down, as in a kymograph"
    with pytest.raises(ValueError, match=r"^there is no axis z: positions have the axes y, x$"):
        plot.space_time(animal, axis="z")
    assert plot.space_time(ZOO["three dimensions"], axis="z").get_xlabel() == "z (px)"


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.parametrize("chart", [plot.cells_per_frame, plot.displacements, plot.division_timing, plot.space_time])
def test_every_animal_has_every_chart(name, chart):
    ax = chart(ZOO[name])
    if name in ("empty", "single", "division over a gap"):
        ax.figure.draw_without_rendering()
    assert ax.get_xlabel() and ax.get_ylabel()


def overlapping(figure):
    """Pairs of texts of a figure that lie on each other."""
    FigureCanvasAgg(figure).draw()
    axes = figure.axes
    texts = [t for ax in axes for t in [*ax.texts, ax.xaxis.label, ax.yaxis.label, ax.title, ax._left_title]]
    texts += [tick.label1 for ax in axes for axis in (ax.xaxis, ax.yaxis) for tick in axis._update_ticks()]
    texts += [t for legend in [*(ax.get_legend() for ax in axes), *figure.legends] if legend for t in legend.get_texts()]
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts if t.get_text() and t.get_visible()]
    width, height = figure.get_size_inches() * figure.dpi
    outside = [name for name, box in boxes if box.x0 < -1 or box.y0 < -1 or box.x1 > width + 1 or box.y1 > height + 1]
    pairs = [(a, b) for i, (a, one) in enumerate(boxes) for b, two in boxes[:i] if one.padded(-1).overlaps(two.padded(-1))]
    return pairs + outside


@pytest.mark.parametrize("interval", [None, 300.0])
@pytest.mark.parametrize("chart", ["cells_per_frame", "displacements", "division_timing", "space_time", "lineage_trees"])
def test_no_words_lie_on_each_other(film, chart, interval):
    assert overlapping(getattr(plot, chart)(timed(film.truth, interval)).figure) == []


def test_words_that_lie_on_each_other_would_be_found():
    ax = Figure().add_subplot()
    ax.text(0.5, 0.5, "one")
    ax.text(0.51, 0.5, "two")
    assert overlapping(ax.figure) == [("two", "one")]


# strategies


def comparison():
    rows = [("oracle", "A", 0.99, 0.9), ("ours", "A", 0.9, 0.8), ("greedy", "A", 0.8, 0.7), ("broken", "A", np.nan, np.nan)]
    rows += [("oracle", "B", 1.0, 1.0), ("ours", "B", 0.96, 0.9), ("greedy", "B", 0.7, 0.6), ("broken", "B", np.nan, np.nan)]
    return pd.DataFrame(rows, columns=["strategy", "film", "CHOTA", "division_f1"])


def test_strategies_are_sorted_and_every_film_is_a_point():
    first = plot.strategies(comparison(), scores=("CHOTA", "division_f1"))
    assert [text.get_text() for text in first.get_yticklabels()] == ["broken", "greedy", "ours"]
    assert [ax.get_xlabel() for ax in first.figure.axes] == ["CHOTA", "division f1"]
    a, b, mean = first.collections
    assert a.get_offsets().tolist()[:2] == [[0.9, 2], [0.8, 1]]
    assert b.get_offsets().tolist()[:2] == [[0.96, 2], [0.7, 1]]
    np.testing.assert_allclose(mean.get_offsets()[1:], [[0.75, 1], [0.93, 2]])
    assert [line.get_xdata()[0] for line in first.lines] == [0.99, 1.0]
    (legend,) = first.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["A", "B", "mean", "best possible"]
    assert overlapping(first.figure) == []


def test_one_film_without_a_ceiling_needs_no_legend():
    table = comparison().iloc[1:3]
    assert not plot.strategies(table, scores=("CHOTA",)).figure.legends
    stresses = comparison().rename(columns={"film": "stress"})
    assert [text.get_text() for text in plot.strategies(stresses, scores=("CHOTA",)).figure.legends[0].get_texts()][:2] == ["A", "B"]
    plot.strategies(table.drop(columns="film"), scores=("CHOTA",)).figure.draw_without_rendering()


def test_tables_that_compare_nothing_are_refused():
    with pytest.raises(ValueError, match=r"^the table of strategies has no column LNK$"):
        plot.strategies(comparison())
    with pytest.raises(ValueError, match=r"^the table of strategies has no column place$"):
        plot.strategies(comparison(), scores=("CHOTA",), by="place")
    with pytest.raises(ValueError, match=r"^the table of strategies has no rows$"):
        plot.strategies(comparison().iloc[:0], scores=("CHOTA",))
