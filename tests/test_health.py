"""The health check: each sign on a film made for it, laws, and planted errors."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_forests import forests
from zoo import ZOO, paint

from benchmarks.planting import KINDS, plant
from lineage import health
from lineage.detections import Detections
from lineage.forest import Forest
from lineage.formats import read, write
from lineage.health.stretches import _cuts
from lineage.health.wording import chance, length, odds
from lineage.simulation import simulate

FRAMES, PITCH = 12, 60.0
DIVIDING = (6, 0, 2, 4, 8, 10, 14, 16, 18, 20, 22, 24)


@dataclass
class Track:
    """A cell that trembles about its home from one frame to another."""

    home: tuple[float, float]
    start: int = 0
    end: int = FRAMES - 1
    mother: int = -1
    area: float = 150.0
    jumps: dict[int, float] = field(default_factory=dict)  # frame -> how far to the right from then on
    grows: dict[int, float] = field(default_factory=dict)  # frame -> area times this from then on
    skips: tuple[int, ...] = ()


def film(tracks, *, n_frames=FRAMES):
    """The forest of some tracks, and the row of every (track, frame)."""
    cells = sorted((t, k) for k, track in enumerate(tracks) for t in range(track.start, track.end + 1) if t not in track.skips)
    row = {(k, t): i for i, (t, k) in enumerate(cells)}
    position, area, parent = [], [], []
    for t, k in cells:
        track, rng = tracks[k], np.random.default_rng([k, t])
        position.append(np.add(track.home, (0, sum(v for s, v in track.jumps.items() if s <= t))) + rng.normal(0, 0.5, 2))
        area.append(track.area * np.prod([v for s, v in track.grows.items() if s <= t]) * np.exp(rng.normal(0, 0.02)))
        before = [s for s in range(track.start, t) if (k, s) in row]
        last = [s for s in range(t) if (track.mother, s) in row]
        parent.append(row[k, before[-1]] if before else row[track.mother, last[-1]] if track.mother >= 0 else -1)
    frame, label = np.array(cells).T
    return Forest(Detections(frame, np.array(position), label + 1, {"area": np.array(area)}, n_frames=n_frames), np.array(parent)), row


def quiet():
    """25 cells on a grid."""
    return [Track(tuple(home * PITCH + 30.0)) for home in np.stack(np.divmod(np.arange(25), 5), axis=1)]


def dividing():
    """25 cells on a grid; twelve of them divide in frame 5, into daughters that lie 16 pixels apart and share the area."""
    tracks = quiet()
    for k in DIVIDING:
        tracks[k].end = 5
        y, x = tracks[k].home
        tracks += [Track((y, x + side), start=6, mother=k, area=75.0) for side in (-8.0, 8.0)]
    return tracks


def relinked(forest, changes):
    """The forest with other parents of some rows."""
    parent = forest.parent.copy()
    parent[list(changes)] = list(changes.values())
    return replace(forest, parent=parent)


def first(forest, **options):
    return health.check(forest, **options).iloc[0]


def of_kind(forest, kind):
    found = health.check(forest)
    return found[found["kind"] == kind]


# signs, one by one


@pytest.mark.parametrize("tracks", [quiet(), dividing()], ids=["quiet", "dividing"])
def test_a_healthy_film_has_no_warning_above_zero(tracks):
    assert not (health.check(film(tracks)[0])["score"] > 0).any()


def test_a_broken_track():
    forest, row = film(quiet())
    warning = first(relinked(forest, {row[12, 6]: -1}))
    assert (warning.kind, warning.frame, warning.row, warning.other_row) == ("broken track", 6, row[12, 6], row[12, 5])
    assert warning.score > 5
    assert re.fullmatch(
        r"A track ends in frame 5 and another begins in frame 6, [\d.]+ px away \(the usual step is [\d.]+ px\); "
        r"one unbroken track is over 1000 times likelier\.",
        warning.message,
    )


def test_a_track_broken_by_missed_frames():
    tracks = quiet()
    tracks[12].skips = (6, 7)
    forest, row = film(tracks)
    assert not (health.check(forest)["score"] > 0).any()
    warning = first(relinked(forest, {row[12, 8]: -1}))
    assert (warning.kind, warning.frame, warning.row, warning.other_row) == ("broken track", 8, row[12, 8], row[12, 5])


def test_swapped_links():
    forest, row = film(quiet())
    warning = first(relinked(forest, {row[12, 6]: row[13, 5], row[13, 6]: row[12, 5]}))
    assert (warning.kind, warning.frame) == ("swapped links", 6)
    assert {warning.row, warning.other_row} == {row[12, 6], row[13, 6]}
    assert re.fullmatch(
        r"Two tracks may be swapped between frame 5 and frame 6: steps of [56]\d(\.\d)? px and [56]\d(\.\d)? px, "
        r"exchanged [\d.]+ px and [\d.]+ px; the exchange is over 1000 times likelier\.",
        warning.message,
    )


def test_one_swap_is_one_warning():
    forest, row = film(quiet())
    found = health.check(relinked(forest, {row[12, 6]: row[13, 5], row[13, 6]: row[12, 5]}))
    assert (found["score"] > 0).sum() == 1


@pytest.mark.parametrize("frame", range(1, FRAMES))
def test_a_long_film_is_looked_at_in_stretches(monkeypatch, frame):
    """Wherever the cuts are, and whatever lies across one, what is found is what is found in the film as a whole."""
    tracks = dividing()
    tracks[24].skips = (frame,) if 0 < frame < 5 else ()
    forest, row = film(tracks)
    k, other = (1, 3) if frame != 6 else (25, 27)
    wrong = relinked(
        forest,
        {row[k, frame]: row[other, frame - 1] if frame != 6 else -1} | ({row[other, frame]: row[k, frame - 1]} if frame != 6 else {}),
    )
    names = ["kind", "frame", "row", "other_row", "message"]
    whole = health.check(wrong)
    for name in ("LONG", "PART"):
        monkeypatch.setattr(f"lineage.health.stretches.{name}", 130)
    parts = health.check(wrong)
    assert whole.loc[0, "score"] > 5 and parts.loc[0, "score"] > 5
    assert parts.loc[0, names[:3]].tolist() == whole.loc[0, names[:3]].tolist()


def test_stretches_cover_a_film_once(monkeypatch):
    forest, _ = film(dividing())
    monkeypatch.setattr("lineage.health.stretches.PART", 130)
    cuts = _cuts(forest)
    assert cuts[0] == 0 and cuts[-1] == FRAMES and cuts == sorted(set(cuts)) and len(cuts) == 4
    assert np.diff(np.searchsorted(forest.detections.frame, cuts)).max() < 160


def test_a_lost_division():
    forest, row = film(dividing())
    born = row[25, 6]
    warning = first(relinked(forest, {born: -1}))
    assert (warning.kind, warning.frame, warning.row, warning.other_row) == ("lost division", 6, born, row[6, 5])
    assert re.fullmatch(
        r"A track begins in frame 6, [\d.]+ px from a cell of frame 5 that goes on; a division whose daughter was lost is "
        r"over 1000 times likelier\.",
        warning.message,
    )


def test_another_parent():
    forest, row = film(quiet())
    wrong = relinked(forest, {row[12, 6]: row[13, 5], row[13, 6]: -1})  # 13 goes over to 12, which ends
    found = health.check(wrong)
    assert found.iloc[0].row in (row[12, 6], row[13, 6])
    assert found.iloc[0].kind in ("swapped links", "other parent", "broken track")
    tracks = quiet()
    tracks[13].start = 6
    forest, row = film(tracks)
    stolen = relinked(forest, {row[12, 6]: -1, row[13, 6]: row[12, 5]})
    found = health.check(stolen)
    assert set(found["row"][:2]) & {row[12, 6], row[13, 6]}


def spoilt(off=0.0, area=75.0, sister=75.0):
    """Twelve divisions, of which that of cell 6 has daughters that are this much farther away, of these sizes."""
    tracks = dividing()
    for k, side in ((25, -1), (26, 1)):
        tracks[k].home = (tracks[k].home[0], tracks[k].home[1] + side * off)
    tracks[25].area, tracks[26].area = area, sister
    return film(tracks)


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ({"off": 12.0}, "sisters apart", r"The daughters of the cell in frame 5 lie [34]\d\.\d px apart, usually 1\d(\.\d)? px\."),
        (
            {"area": 300.0, "sister": 300.0},
            "sisters' size",
            r"The daughters of the cell in frame 5 are together 4\.?\d? times as large, usually 1\.",
        ),
        (
            {"area": 130.0, "sister": 20.0},
            "unequal sisters",
            r"A daughter of the cell in frame 5 is 6\.\d times as large as the other, usually 1\.",
        ),
    ],
)
def test_an_odd_division(how, kind, words):
    forest, row = spoilt(**how)
    warning = health.check(forest).iloc[0]
    assert (warning.kind, warning.row, warning.frame) == (kind, row[6, 5], 5)
    assert warning.score > 0
    assert re.fullmatch(words, warning.message)


def test_sisters_that_lie_beside_their_mother():
    tracks = dividing()
    for k in (25, 26):
        y, x = tracks[k].home
        tracks[k].home = (y + 20.0, x)
    forest, row = film(tracks)
    warning = health.check(forest).iloc[0]
    assert (warning.kind, warning.row) == ("sisters away", row[6, 5])
    assert re.fullmatch(
        r"The middle of the daughters of the cell in frame 5 lies 2\d\.\d px from it, usually \d\.\d+ px\.", warning.message
    )


def test_a_doubtful_division():
    """Among few divisions nothing is usual, but no division at all may still be likelier."""
    tracks = quiet()
    tracks[6].end = 5
    tracks += [Track((160.0, 20.0), start=6, mother=6), Track((120.0, 160.0), start=6, mother=6)]
    forest, row = film(tracks)
    found = health.check(forest, least=-10)
    warning = found[found["kind"] == "doubtful division"].iloc[0]
    assert warning.other_row == row[6, 5]
    assert re.fullmatch(r"A daughter in frame 6 lies [\d.]+ px from her mother; no division at all is .*likel.*\.", warning.message)


def test_a_far_jump():
    tracks = quiet()
    tracks[24].jumps = {6: 12.0}
    forest, row = film(tracks)
    warning = of_kind(forest, "far jump").iloc[0]
    assert (warning["rank"], warning.row, warning.other_row) == (1, row[24, 6], row[24, 5])
    assert re.fullmatch(r"The step from frame 5 to frame 6 is 1\d(\.\d)? px long, the median is 0\.\d+ px\.", warning.message)


@pytest.mark.parametrize("way", ["jump", "drift", "film"])
def test_a_stage_that_moves_is_no_error(way):
    forest, row = film(quiet())
    frame = forest.detections.frame
    shift = {"jump": np.where(frame >= 6, 35.0, 0.0), "drift": 4.0 * frame, "film": 0.0 * frame}[way]
    carried = replace(forest, detections=replace(forest.detections, position=forest.detections.position + shift[:, None] * [1.0, 0.5]))
    assert not (health.check(carried)["score"] > 0).any()
    warning = first(relinked(carried, {row[12, 6]: row[13, 5], row[13, 6]: row[12, 5]}))
    assert (warning.kind, warning.frame) == ("swapped links", 6)
    assert {warning.row, warning.other_row} == {row[12, 6], row[13, 6]}


def test_a_change_of_size():
    tracks = quiet()
    tracks[7].grows = {4: 3.0}
    forest, row = film(tracks)
    warning = of_kind(forest, "size change").iloc[0]
    assert (warning["rank"], warning.row, warning.other_row) == (1, row[7, 4], row[7, 3])
    assert re.fullmatch(
        r"The cell's size goes from 1\d\d(\.\d)? to 4\d\d(\.\d)? between frame 3 and frame 4; the usual change is \d\.\d%\.",
        warning.message,
    )


def test_a_flash_of_light_is_not_the_cells_doing():
    forest, row = film(quiet())
    light = np.exp(np.random.default_rng(3).normal(6, 0.02, len(forest))) * np.where(forest.detections.frame == 4, 3.0, 1.0)
    light[row[9, 8] :][forest.detections.label[row[9, 8] :] == 10] *= 2
    forest = replace(forest, detections=forest.detections.with_columns(intensity_mean=light))
    found = health.check(forest)
    assert (found["score"] > 0).sum() == 1
    assert (found.iloc[0].kind, found.iloc[0].row) == ("brightness change", row[9, 8])
    assert found.iloc[0].message.startswith("The cell's brightness goes from ")


def test_brightness_below_zero_can_be_told_too():
    forest, row = film(quiet())
    light = np.random.default_rng(3).normal(0, 1, len(forest))
    light[row[9, 8]] += 100
    forest = replace(forest, detections=forest.detections.with_columns(intensity_mean=light))
    assert first(forest).kind == "brightness change"
    assert first(forest).row in (row[9, 8], row[9, 9])


def test_marks_that_are_never_measured_do_not_change():
    forest, row = film(quiet())
    area = np.full(len(forest), 150.0)
    area[row[7, 4]] = 151.0
    marks = replace(forest, detections=forest.detections.with_columns(area=area))
    assert not len(of_kind(marks, "size change"))


@pytest.mark.parametrize("part", [0.2, 0.5])
def test_marks_that_stand_still_do_not_make_every_step_a_jump(part):
    forest, _ = film(quiet())
    position = forest.detections.position.copy()
    position[:] = position[: len(quiet())][forest.detections.label - 1]
    moving = np.random.default_rng(2).random(len(forest)) < part
    position[moving] += np.random.default_rng(4).normal(0, 1, (moving.sum(), 2))
    marks = replace(forest, detections=replace(forest.detections, position=position))
    assert not (health.check(marks)["score"] > 0).any()


def test_a_lineage_that_begins_or_ends_inside():
    tracks = quiet()
    tracks[11].start, tracks[13].end = 5, 6
    forest, row = film(tracks)
    found = health.check(forest, least=-10)
    begin, end = (found[found["kind"] == kind] for kind in ("begins inside", "ends inside"))
    assert begin["row"].tolist() == [row[11, 5]]
    assert end["row"].tolist() == [row[13, 6]]
    assert re.fullmatch(r"A lineage begins in frame 5, where 1 in \d+ cells of the film begin\.", begin.iloc[0].message)
    assert re.fullmatch(r"A lineage ends in frame 6, where 1 in \d+ cells of the film end\.", end.iloc[0].message)
    assert (found["score"] < 2).all()


def test_a_short_track():
    forest, row = film([*quiet(), Track((50.0, 50.0), start=5, end=6)])
    found = of_kind(forest, "short track")
    assert found["row"].tolist() == [row[25, 5]]
    assert found.iloc[0].message == "A track of 2 frames begins in frame 5, comes from nothing and becomes nothing."


def test_a_daughter_that_is_lost():
    tracks = dividing()
    tracks[26].end = 6
    forest, row = film(tracks)
    found = of_kind(forest, "daughter lost")
    assert (found["row"].tolist(), found["other_row"].tolist()) == ([row[26, 6]], [row[6, 5]])
    assert found.iloc[0].message == "A daughter born in frame 6 is lost after 1 frame."


def test_a_division_too_soon():
    tracks = [Track((30.0, 200.0 * k), end=3) for k in range(10)]
    for k in range(10):
        after = 1 if k == 4 else 8 + k % 2
        for side in (-8.0, 8.0):
            tracks.append(Track((30.0, 200.0 * k + side), start=4, end=3 + after, mother=k, area=75.0))
            grandchildren = [
                Track((30.0 + s, 200.0 * k + side), start=4 + after, end=19, mother=len(tracks) - 1, area=37.0) for s in (-8.0, 8.0)
            ]
            tracks += grandchildren
    forest, row = film(tracks, n_frames=20)
    found = of_kind(forest, "division too soon")
    hasty = [k for k, track in enumerate(tracks) if track.start == track.end == 4]
    assert found["row"].tolist() == [row[k, 4] for k in hasty]
    assert found["other_row"].tolist() == [row[4, 3]] * 2
    assert found.iloc[0].message == "The division in frame 4 comes 1 frame after the last one, the median is 8."


def test_three_daughters():
    forest, row = film([*dividing(), Track((78.0, 78.0), start=6, mother=6, area=75.0)])
    found = of_kind(forest, "divides in three")
    assert found["row"].tolist() == [row[6, 5]]
    assert found.iloc[0].message == "The cell in frame 5 has 3 children."


@pytest.mark.parametrize("kind", ["many end", "many begin"])
def test_many_cells_at_once(kind):
    tracks = quiet()
    for track in tracks[:20]:
        track.start, track.end = (0, 4) if kind == "many end" else (7, FRAMES - 1)
    forest, _ = film(tracks)
    found = of_kind(forest, kind)
    assert found["frame"].tolist() == [4 if kind == "many end" else 7]
    assert found.iloc[0].score > 5
    verb = kind.split()[1]
    assert found.iloc[0].message == f"20 lineages {verb} in frame {found.iloc[0].frame}, 0.083 in the usual frame."


def test_a_cell_believed_by_a_narrow_margin():
    forest, row = film(quiet())
    slack = np.full(len(forest), np.inf)
    slack[row[3, 3]] = 0.25
    found = health.check(replace(forest, slack={"select": slack}))
    doubtful = found[found["kind"] == "doubtful cell"].iloc[0]
    assert (doubtful.row, doubtful.score) == (row[3, 3], -0.25)
    assert doubtful.message == "The cell in frame 3 was believed by a margin of 0.25 nats only."


# words


def test_words():
    assert odds(0.2) == "about as likely"
    assert odds(np.log(2.5)) == "2.5 times likelier"
    assert odds(-np.log(2.5)) == "2.5 times less likely"
    assert odds(np.log(320)) == "300 times likelier"
    assert odds(np.log(5000)) == odds(1e9) == "over 1000 times likelier"
    assert chance(0.005) == "1 in 200"
    cells = ZOO["step"].detections
    assert length(1.23456, cells) == "1.23 px"
    assert length(1.23456, replace(cells, scale=(0.5, 0.5))) == "1.23 µm"


# laws


@pytest.mark.parametrize("name", ZOO)
def test_every_animal_can_be_checked(name):
    lawful(ZOO[name], health.check(ZOO[name], least=-100))
    lawful(ZOO[name], health.check(ZOO[name], labels=paint(ZOO[name]) if name != "unselected noise" else None, least=-100))


def lawful(forest, found):
    assert list(found.columns) == [*health.COLUMNS, *forest.detections.axes]
    assert found["rank"].tolist() == list(range(1, len(found) + 1))
    assert (np.diff(found["score"]) <= 0).all()
    assert np.isfinite(found["score"]).all()
    for name in ("frame", "lineage_id", "tracklet_id"):
        column = forest.detections.frame if name == "frame" else getattr(forest, name)
        assert found[name].tolist() == column[found["row"]].tolist()
    assert forest.selected[found["row"]].all()
    assert forest.selected[found["other_row"][found["other_row"] >= 0]].all()
    assert all(message.endswith(".") and "nan" not in message and "\n" not in message for message in found["message"])


@settings(max_examples=40, deadline=None)
@given(forests(places=st.floats(-1e4, 1e4)))
def test_every_forest_can_be_checked(forest):
    lawful(forest, health.check(forest, least=-1000))


def test_what_is_not_selected_is_not_asked():
    forest, row = film(dividing())
    wrong = relinked(forest, {row[25, 6]: -1, row[12, 6]: -1})
    noise = wrong.detections
    order = np.argsort(np.concatenate([noise.frame, noise.frame]), kind="stable")
    place = np.argsort(order)
    columns = {"area": np.tile(noise.columns["area"], 2)[order]}
    twice = Detections(
        np.tile(noise.frame, 2)[order], np.concatenate([noise.position, noise.position + 3])[order], np.tile(noise.label, 2)[order], columns
    )
    parent = np.concatenate([np.where(wrong.parent >= 0, place[wrong.parent], -1), np.full(len(wrong), -1)])[order]
    mixed = Forest(twice, parent, np.repeat([True, False], len(wrong))[order])
    plain, other = health.check(wrong), health.check(mixed)
    assert other["row"].tolist() == place[plain["row"]].tolist()
    pd.testing.assert_frame_equal(plain.drop(columns=["row", "other_row"]), other.drop(columns=["row", "other_row"]))


@pytest.mark.parametrize("factor", [0.1, 7.0])
def test_the_unit_does_not_matter(factor):
    forest, row = film(dividing())
    wrong = relinked(forest, {row[25, 6]: -1, row[12, 6]: row[13, 5], row[13, 6]: row[12, 5]})
    cells = wrong.detections
    other = replace(cells, position=cells.position * factor, columns={"area": cells.columns["area"] * factor**2}, scale=(factor, factor))
    plain, scaled = health.check(wrong), health.check(replace(wrong, detections=other))
    assert scaled["row"].tolist() == plain["row"].tolist()
    np.testing.assert_allclose(scaled["score"], plain["score"], atol=1e-6)
    assert not scaled["message"].str.contains("px").any()


def test_the_forest_is_not_touched():
    forest, _ = film(dividing())
    before = forest.parent.copy(), forest.detections.position.copy()
    health.check(forest)
    np.testing.assert_array_equal(forest.parent, before[0])
    np.testing.assert_array_equal(forest.detections.position, before[1])


# labels and image


@pytest.fixture(scope="module")
def small():
    return simulate(frames=12, cells=10, size=(120, 120), seed=5, cycle=8, cycle_spread=1, min_cycle=5)


def test_labels_measure_what_points_do_not_know(small):
    cells = small.truth.detections
    points = replace(small.truth, detections=Detections(cells.frame, cells.position, cells.label))
    pd.testing.assert_frame_equal(
        health.check(points, labels=small.labels, image=small.image), health.check(small.truth, labels=small.labels, image=small.image)
    )
    assert len(health.check(points)) != len(health.check(points, labels=small.labels))


def test_labels_of_another_film_are_refused(small):
    cells = small.truth.detections
    points = replace(small.truth, detections=Detections(cells.frame, cells.position, cells.label + 1000))
    with pytest.raises(
        ValueError, match=re.escape(f"row 0 has the label {cells.label[0] + 1000} in frame 0, but no pixel there has this label")
    ):
        health.check(points, labels=small.labels)
    with pytest.raises(ValueError, match=r"^an image says nothing about cells without labels: give labels too$"):
        health.check(points, image=small.image)


# planted errors


def found_in_40(forest, seed):
    wrong, errors = plant(forest, 20, np.random.default_rng(seed))
    assert len(errors) == 20
    assert {error.kind for error in errors} == set(KINDS)
    first_40 = set(health.check(wrong)["row"].head(40))
    return sum(bool(first_40 & error.rows) for error in errors)


def test_errors_are_planted_where_they_say():
    film = simulate(frames=25, cells=20, size=(250, 250), seed=11, cycle=10, cycle_spread=2, min_cycle=6)
    wrong, errors = plant(film.truth, 12, np.random.default_rng(1))
    changed = np.flatnonzero(wrong.parent != film.truth.parent)
    rows = [row for error in errors for row in error.rows]
    assert len(rows) == len(set(rows))
    assert set(changed.tolist()) <= set(rows)
    assert [sum(row in error.rows for row in changed) for error in errors] == [
        2 if error.kind == "swapped links" else 1 for error in errors
    ]
    for error in errors:
        assert error.frame == film.truth.detections.frame[sorted(error.rows)[-1]]


@pytest.mark.parametrize("seed", [21, 22])
def test_planted_errors_are_found_in_a_simulated_film(seed):
    film = simulate(frames=30, cells=30, size=(320, 320), seed=seed, cycle=12, cycle_spread=3, min_cycle=7)
    assert found_in_40(film.truth, seed) >= 18


def test_planted_errors_are_found_in_a_simulated_solid_film():
    film = simulate(frames=16, cells=16, size=(20, 110, 110), seed=23, cycle=8, cycle_spread=2, min_cycle=5)
    assert found_in_40(film.truth, 23) >= 18


@pytest.mark.parametrize("seed", [31, 32, 33])
def test_planted_errors_are_found_in_hela_truth(data, seed):
    assert found_in_40(read(data / "ctc/Fluo-N2DL-HeLa/01_GT/TRA"), seed) >= 15


def test_planted_errors_are_found_in_linked_hela(linked_hela):
    _, forest = linked_hela
    assert [found_in_40(forest, seed) >= 15 for seed in (31, 32, 33)] == [True] * 3


# the command


def test_the_command_lists_warnings(run, tmp_path):
    forest, row = film(dividing())
    wrong = relinked(forest, {row[25, 6]: -1})
    write(wrong, tmp_path / "lineages.csv")
    code, out, err = run("check", tmp_path / "lineages.csv", "--csv", tmp_path / "warnings.csv", "--most", 1)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) == 2
    assert re.fullmatch(r"  1 +\d+\.\d  lost division +A track begins in frame 6, .*\.", lines[0])
    table = pd.read_csv(tmp_path / "warnings.csv")
    assert (
        lines[-1]
        == f"{len(table)} warnings; {(table['score'] > 0).sum()} where an error is likelier than not; all in {tmp_path / 'warnings.csv'}"
    )
    pd.testing.assert_frame_equal(table, health.check(read(tmp_path / "lineages.csv")), rtol=1e-4, check_dtype=False)


def test_the_command_takes_the_masks_of_a_folder(run, small, tmp_path):
    write(small.truth, tmp_path / "ctc", labels=small.labels)
    code, out, err = run("check", tmp_path / "ctc")
    assert (code, err) == (0, "")
    forest = read(tmp_path / "ctc")
    assert out.splitlines()[-1].startswith(f"{len(health.check(forest, labels=small_labels(tmp_path)))} warnings; ")


def small_labels(folder):
    from lineage.films import open_film

    return open_film(folder / "ctc", kind="labels")


def test_the_command_says_what_is_wrong_in_a_line(run, tmp_path):
    assert run("check", tmp_path / "none.csv") == (2, "", f"lineage: no such file or folder: {tmp_path / 'none.csv'}\n")
    forest, _ = film(quiet())
    write(forest, tmp_path / "lineages.csv")
    nowhere = tmp_path / "no" / "warnings.csv"
    code, out, err = run("check", tmp_path / "lineages.csv", "--csv", nowhere)
    assert (code, out, err) == (2, "", f"lineage: cannot write {nowhere}: the folder {tmp_path / 'no'} does not exist\n")
