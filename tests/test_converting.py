import itertools
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich_forests import differing, rich
from zoo import ZOO, paint

from lineage.detections import Detections
from lineage.films import save_labels
from lineage.forest import Forest
from lineage.formats import FORMATS, ctc, ctc_validate, read, write
from lineage.formats.converting import convert, prepare
from lineage.formats.filling import filled
from lineage.formats.holding import EVERYTHING, FACETS, OURS, losses

WRITTEN = [known for known in FORMATS if known.write]
PAIRS = list(itertools.product(WRITTEN, WRITTEN))
relaxed = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def named(known, stem):
    return stem + (known.endings[0] if known.endings else "")


def lost(conversion):
    return {loss.facet for loss in conversion.losses}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The same random forests in every format."""
    folder = tmp_path_factory.mktemp("written")
    for known, seed in itertools.product(WRITTEN, range(2)):
        write(rich(np.random.default_rng(seed)), folder / named(known, f"{known.key}{seed}"), format=known.key)
    return folder


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=[f"{a.key} to {b.key}" for a, b in PAIRS])
def test_the_report_says_exactly_what_was_lost(tmp_path, written, first, second):
    seed = (WRITTEN.index(first) + WRITTEN.index(second)) % 2  # every format reads and writes both forests, but not with every other
    there, here = written / named(first, f"{first.key}{seed}"), tmp_path / named(second, "b")
    conversion = prepare(there, here, read_as=first.key, write_as=second.key)
    conversion.write()
    again = read(here, format=second.key)
    found = differing(conversion.forest, again, by_tracklet=second.key == "ctc")
    assert found == lost(conversion) - {"masks"}
    assert ("masks" in lost(conversion)) == (first.masks and not second.masks)


@pytest.mark.parametrize("known", WRITTEN, ids=[known.key for known in WRITTEN])
def test_what_a_format_holds_comes_back(tmp_path, known):
    @settings(relaxed, max_examples=4 if known.folder else 8)
    @given(st.integers(0, 2**32))
    def law(seed):
        forest = rich(np.random.default_rng(seed))
        path = tmp_path / named(known, "a")
        write(forest, path, format=known.key)
        reported = {loss.facet for loss in losses(forest, known.holds)} | {loss.facet for loss in (known.look or (lambda _: []))(forest)}
        if known.key == "ctc" and np.array_equal(forest.detections.label, forest.tracklet_id):
            reported -= {"labels"}
        assert differing(forest, read(path, format=known.key), by_tracklet=known.key == "ctc") == reported

    law()


NAMES = [*sorted(OURS), "frame", "time", "source_id", "node_id", "selected", "name", "track_id", "RADIUS", "pos", "", " x", "a/b", "a\nb"]


@pytest.mark.parametrize("known", [k for k in WRITTEN if not k.masks], ids=[k.key for k in WRITTEN if not k.masks])
def test_columns_that_are_called_like_our_own_facts(tmp_path, known):
    """They come back, or the report says that they do not; and they never take the place of the facts themselves."""

    def planned(names, d):
        columns = {name: np.array([7, 5, 6]) + k for k, name in enumerate(names)}
        cells = Detections([0, 1, 1], np.arange(3.0 * d).reshape(3, d) + 0.5, [1, 2, 3], columns)
        forest = Forest(cells, [-1, 0, 0], link_cost=[np.nan, 1.5, -2])
        write(forest, tmp_path / "a.npz")
        return forest, prepare(tmp_path / "a.npz", tmp_path / named(known, "b"), write_as=known.key)

    for d in (2, 3) if not known.folder else (2,):
        held = [name for name in NAMES if known.folder and not lost(planned([name], d)[1])]  # folders are slow: these go in one
        for names in [*([held] if held else []), *([name] for name in NAMES if name not in held)]:
            forest, plan = planned(names, d)
            plan.write(overwrite=True)
            assert (names, differing(forest, read(tmp_path / named(known, "b"), format=known.key))) == (names, lost(plan))


def test_the_comparison_sees_every_facet():
    """What the law is judged by is itself no blind judge."""
    names = {"columns": "area", "text": "kind", "control": "note", "arrays": "box", "other": "phase"}
    columns = {"area": [1.0, 2, 3], "kind": ["a", "b", "c"], "note": ["\x07", "b", "c"], "box": np.ones((3, 2)), "phase": [1j, 2, 3]}
    cells = Detections([0, 1, 3], np.arange(6.0).reshape(3, 2), [4, 5, 6], columns, (0.5, 2.0), [[0, 1]], 9, 60.0)
    whole = Forest(cells, [-1, 0, 1], [1, 1, 1], [np.nan, 1, 2], ZOO["step"].certificate, {"seed": 1}, {"link": np.ones(2)})
    assert differing(whole, whole) == set()
    other = {"labels": {"label": [4, 5, 7]}, "scale": {"scale": (1, 1)}, "interval": {"interval": None}, "length": {"n_frames": 4}}
    for facet, change in {**other, "conflicts": {"conflicts": ()}}.items():
        assert differing(whole, replace(whole, detections=replace(cells, **change))) == {facet}
    for facet, name in names.items():
        left = {key: column for key, column in columns.items() if key != name}
        found = differing(whole, replace(whole, detections=replace(cells, columns=left)))
        assert found == ({facet} if facet != "control" else {"text"})
    column = np.array(["?", "b", "c"])
    assert differing(whole, replace(whole, detections=cells.with_columns(note=column))) == {"control"}
    changes = {"gaps": {"parent": [-1, 0, -1]}, "record": {"record": {}}, "slack": {"slack": {}}, "link_cost": {"link_cost": [0, 1, 3]}}
    for facet, change in changes.items():
        assert differing(whole, replace(whole, **change)) == {facet}
    fork = ZOO["division"]
    assert differing(fork, replace(fork, parent=[-1, 0, -1])) == {"divisions"}
    noise = ZOO["unselected noise"]
    assert differing(noise, replace(noise, selected=[])) == {"unselected"}
    assert differing(noise, Forest(noise.detections.take(np.array([0, 2])), [-1, 0])) == {"unselected"}
    assert differing(ZOO["single"], Forest(ZOO["single"].detections.take(np.zeros(0, int)), [])) == {"isolated"}


def test_every_loss_is_said_with_its_count():
    cells = Detections(
        [0, 1, 3, 3, 5, 5],
        np.arange(12.0).reshape(6, 2),
        [1, 1, 1, 2, 0, 0],
        {"area": np.ones(6), "kind": np.array(["a\x07", *"bcdef"]), "box": np.ones((6, 2)), "when": np.ones(6, "datetime64[s]")},
        (0.5, 2.0),
        [[0, 1]],
        9,
        300.0,
    )
    forest = Forest(
        cells, [-1, 0, 1, 1, -1, -1], [1, 1, 1, 1, 1, 0], [np.nan, -1.5, 2, 3, np.nan, np.nan], None, {"seed": 1}, {"select": np.ones(6)}
    )
    assert [str(loss) for loss in losses(forest, set(), masks=True, instead={"gaps": "filled"})] == [
        "divisions: 1 division; daughters begin lineages of their own",
        "gaps: 2 links bridge missed frames; filled",
        "isolated: 1 cell without any link; left out",
        "positions: 5 positions; they read as 0",
        "labels: 4 labels of cells in their masks; they read as 0",
        "columns: 1 column (area); left out",
        "text: 1 column (kind); left out",
        "arrays: 1 column (box); left out",
        "other: 1 column (when); left out",
        "link_cost: 3 costs of links; left out",
        "unselected: 1 detection that is not selected; left out",
        "conflicts: 1 conflict set; left out",
        "scale: the size of a pixel, 0.5 x 2 (y, x); it reads as 1",
        "interval: 300 seconds between frames; left out",
        "length: 3 frames after the last cell; the film ends with its last cell",
        "record: the record of how it was made (seed); left out",
        "slack: the slack of every decision; left out",
        "masks: the label images; keep them beside the file",
    ]
    assert [str(loss) for loss in losses(forest, EVERYTHING - {"control"})] == [
        "control: 1 text with control characters; those are replaced"
    ]
    assert [loss.facet for loss in losses(ZOO["empty"], set())] == ["length"]


def test_a_word_that_is_no_facet():
    with pytest.raises(ValueError, match=f"^mask is nothing that a format holds; there are {', '.join(FACETS)}$"):
        losses(ZOO["step"], {"mask"})


def test_masks_are_carried(tmp_path):
    animal = ZOO["division with a past"]
    write(animal, tmp_path / "01_RES", labels=paint(animal))
    done = convert(tmp_path / "01_RES", tmp_path / "02_RES")
    assert done.losses == []
    assert read(tmp_path / "02_RES").parent.tolist() == animal.parent.tolist()
    assert lost(prepare(tmp_path / "01_RES", tmp_path / "a.npz")) == {"masks"}


@pytest.mark.parametrize("known", [True, False])
def test_masks_are_given(tmp_path, known):
    """Cells of points are found in the masks by where they lie."""
    animal = ZOO["division with a past"]
    cells = animal.detections
    points = Forest(
        Detections(cells.frame, cells.position * 0.5, cells.label if known else cells.label * 0, scale=(0.5, 0.5)), animal.parent
    )
    write(points, tmp_path / "a.npz")
    save_labels(tmp_path / "masks.tif", paint(animal) * 9 if not known else paint(animal), interval=60)
    done = convert(tmp_path / "a.npz", tmp_path / "01_RES", labels=tmp_path / "masks.tif")
    assert lost(done) == {"positions"} | ({"labels"} if known else set())
    again = read(tmp_path / "01_RES")
    np.testing.assert_array_equal(again.detections.position, points.detections.position)
    assert (again.parent.tolist(), again.detections.scale, again.detections.interval) == (animal.parent.tolist(), (0.5, 0.5), 60.0)
    masks = ctc.open_folder(tmp_path / "01_RES").labels
    assert all(((masks[t] > 0) == (paint(animal)[t] > 0)).all() for t in range(4))


def test_outlines_are_kept_where_masks_are_not(tmp_path):
    animal = ZOO["division with a past"]
    write(animal, tmp_path / "01_RES", labels=paint(animal))
    done = convert(tmp_path / "01_RES", tmp_path / "a.xml")
    assert [str(loss) for loss in done.losses] == ["masks: the label images; outlines of 2D cells are kept where label images are given"]
    assert all(len(text) > 10 for text in read(tmp_path / "a.xml").detections.columns["roi"].tolist())


def test_a_geff_says_where_its_masks_lie(tmp_path):
    animal = ZOO["division with a past"]
    write(animal, tmp_path / "a.csv")
    masks = zarr.create_array(store=str(tmp_path / "masks.zarr"), shape=paint(animal).shape, chunks=(1, 13, 17), dtype="uint16")
    masks[:] = paint(animal)
    done = convert(tmp_path / "a.csv", tmp_path / "a.geff", labels=tmp_path / "masks.zarr")
    assert lost(done) == {"masks"}
    said = json.loads((tmp_path / "a.geff" / ".zattrs").read_text())["geff"]["related_objects"]
    assert [(other["type"], other["path"]) for other in said] == [("labels", "../masks.zarr")]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ([[4, 4], [4, 40]], "row 1 (frame 0) lies at pixel [4, 40], outside the masks, which have shape (9, 17)"),
        ([[4, 4], [4, 8]], "row 1 (frame 0) lies at pixel [4, 8] on the background of the masks: it has no label"),
        ([[4, 4], [4, 5]], "two cells of frame 0 lie on the label 1 of the masks: these masks do not belong to these lineages"),
    ],
)
def test_masks_of_something_else(tmp_path, place, message):
    write(Forest(Detections([0, 0], place, [0, 0]), [-1, -1]), tmp_path / "a.npz")
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        prepare(tmp_path / "a.npz", tmp_path / "r", labels=paint(ZOO["two strangers"], (9, 17)))


def test_masks_that_are_too_short(tmp_path):
    write(Forest(Detections([0, 5], [[4, 4], [4, 4]], [0, 0]), [-1, -1]), tmp_path / "a.npz")
    message = "the label film has shape (2, 9, 17), but the lineages have 6 frames and 2 axes"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        prepare(tmp_path / "a.npz", tmp_path / "r", labels=paint(ZOO["two strangers"], (9, 17)))


def test_strict_refuses_and_writes_nothing(tmp_path):
    write(Forest(ZOO["step"].detections, [-1, 0], record={"seed": 1}), tmp_path / "a.npz")
    message = f"{tmp_path}/a.csv was not written: its format (lineage table) cannot hold all of {tmp_path}/a.npz (record)"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        convert(tmp_path / "a.npz", tmp_path / "a.csv", strict=True)
    assert [f.name for f in tmp_path.iterdir()] == ["a.npz"]
    assert convert(tmp_path / "a.npz", tmp_path / "a.gexf", strict=True).losses == []


@pytest.mark.parametrize("target", ["a.csv", "./a.csv", "b/../a.csv", "link.csv", "hard.csv"])
def test_the_source_is_never_overwritten(tmp_path, target):
    (tmp_path / "b").mkdir()
    write(ZOO["step"], tmp_path / "a.csv")
    (tmp_path / "link.csv").symlink_to(tmp_path / "a.csv")
    (tmp_path / "hard.csv").hardlink_to(tmp_path / "a.csv")
    before = (tmp_path / "a.csv").read_bytes()
    with pytest.raises(ValueError, match=r"^[^\n]* is, or holds, what is read \([^\n]*a.csv\): give the result another name$"):
        convert(tmp_path / "a.csv", f"{tmp_path}/{target}", overwrite=True)
    assert (tmp_path / "a.csv").read_bytes() == before


def test_nor_are_the_masks(tmp_path):
    write(ZOO["step"], tmp_path / "a.csv")
    save_labels(tmp_path / "01_RES.tif", paint(ZOO["step"]))
    (tmp_path / "01_RES").mkdir()
    (tmp_path / "01_RES.tif").rename(tmp_path / "01_RES" / "masks.tif")
    place = f"{tmp_path}/01_RES"
    message = f"{place} is, or holds, what is read ({place}/masks.tif): give the result another name"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        convert(tmp_path / "a.csv", tmp_path / "01_RES", labels=tmp_path / "01_RES" / "masks.tif", overwrite=True)


def test_an_older_file_is_kept_unless_said(tmp_path):
    write(ZOO["step"], tmp_path / "a.csv")
    (tmp_path / "b.gexf").write_text("mine")
    message = f"{tmp_path}/b.gexf exists already: choose another name, or overwrite it (--overwrite)"
    with pytest.raises(FileExistsError, match=f"^{re.escape(message)}$"):
        convert(tmp_path / "a.csv", tmp_path / "b.gexf")
    assert (tmp_path / "b.gexf").read_text() == "mine"
    convert(tmp_path / "a.csv", tmp_path / "b.gexf", overwrite=True)
    assert read(tmp_path / "b.gexf").parent.tolist() == [-1, 0]


def test_options_that_make_no_sense(tmp_path):
    write(ZOO["step"], tmp_path / "a.csv")
    message = "gaps are split or filled (fill), merges refused (refuse) or cut (keep-nearest), not no and refuse"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        prepare(tmp_path / "a.csv", tmp_path / "b.csv", gaps="no")


def test_gaps_are_filled_on_a_straight_line():
    cells = Detections([0, 0, 3, 4], [[0, 0], [9, 9], [3, 6], [4, 4]], [5, 6, 7, 8], {"area": np.ones(4), "kind": np.array([*"abcd"])})
    whole = filled(Forest(cells, [-1, -1, 0, 2], link_cost=[np.nan, np.nan, 1.5, 2.5]))
    assert whole.detections.frame.tolist() == [0, 0, 1, 2, 3, 4]
    assert whole.parent.tolist() == [-1, -1, 0, 2, 3, 4]
    assert whole.detections.position.tolist() == [[0, 0], [9, 9], [1, 2], [2, 4], [3, 6], [4, 4]]
    assert whole.detections.label.tolist() == [5, 6, 0, 0, 7, 8]
    assert whole.detections.columns["interpolated"].tolist() == [False, False, True, True, False, False]
    assert whole.detections.columns["kind"].tolist() == ["a", "b", "", "", "c", "d"]
    np.testing.assert_array_equal(whole.detections.columns["area"], [1, 1, np.nan, np.nan, 1, 1])
    np.testing.assert_array_equal(whole.link_cost, [np.nan, np.nan, np.nan, np.nan, 1.5, 2.5])


@relaxed
@given(st.integers(0, 2**32))
def test_filling_leaves_the_rest_alone(seed):
    forest = rich(np.random.default_rng(seed))
    whole = filled(forest)
    assert whole.gap.max(initial=0) == 0
    assert len(whole) == len(forest) + forest.gap.sum()
    assert len(whole.divisions) == len(forest.divisions)
    assert whole.lineage_id.max(initial=0) == forest.lineage_id.max(initial=0)
    if not forest.gap.any():
        assert whole is forest
        return
    seen = np.flatnonzero(~whole.detections.columns["interpolated"])
    np.testing.assert_array_equal(whole.detections.position[seen], forest.detections.position)
    np.testing.assert_array_equal(whole.selected[seen], forest.selected)
    for rows, before in zip(whole.detections.conflicts, forest.detections.conflicts, strict=True):
        np.testing.assert_array_equal(rows, seen[before])
    assert differing(filled(whole), whole) == set()


@pytest.mark.parametrize("name", [name for name, animal in ZOO.items() if animal.gap.any()])
@pytest.mark.parametrize("drawn", [True, False])
def test_filled_challenge_folders(tmp_path, name, drawn):
    animal = ZOO[name]
    write(animal, tmp_path / "r", labels=None if drawn else paint(animal), gaps="fill")
    assert ctc_validate.validate(tmp_path / "r") == []
    again = read(tmp_path / "r")
    assert again.gap.max() == 0
    assert len(again) == len(animal) + animal.gap.sum()
    ctc.write(animal, tmp_path / "q", labels=None if drawn else paint(animal), gaps="fill")
    assert (tmp_path / "q" / "res_track.txt").read_bytes() == (tmp_path / "r" / "res_track.txt").read_bytes()


def test_a_missed_cell_is_drawn_where_there_is_room(tmp_path):
    film = np.zeros((3, 5, 9), np.uint16)
    film[0, 1:4, 0:3] = 1
    film[2, 1:4, 4:7] = 1
    film[1, :, 3:] = 2
    cells = Detections.from_labels(film)
    forest = Forest(cells, [-1, -1, 0])
    write(forest, tmp_path / "r", labels=film, gaps="fill")
    frame = ctc.open_folder(tmp_path / "r").labels[1]
    assert ["".join(map(str, row)) for row in frame.tolist()] == ["000222222", "001222222", "001222222", "001222222", "000222222"]
    film[1, :, :] = 2
    message = "frame 1 has no free pixel for a cell that was missed there: split the gaps instead of filling them"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        write(Forest(Detections.from_labels(film), [-1, -1, 0]), tmp_path / "s", labels=film, gaps="fill")
    film[1, 0, 8] = 0
    write(Forest(Detections.from_labels(film), [-1, -1, 0]), tmp_path / "s", labels=film, gaps="fill")
    assert ctc.open_folder(tmp_path / "s").labels[1][0, 8] == 1


def test_scale_and_interval_travel_through_masks(tmp_path):
    for scale, interval in (((0.5, 2.0), 300.0), ((1.0, 1.0), 7.5), ((0.25, 0.5), None)):
        cells = Detections([0, 1], np.array([[4, 4], [4, 4]]) * scale, [1, 1], scale=scale, interval=interval)
        write(Forest(cells, [-1, 0]), tmp_path / "r")
        again = read(tmp_path / "r").detections
        assert (again.scale, again.interval) == (scale, interval)
