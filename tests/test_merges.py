"""Merges: two cells that meet, share a mask and part again keep their lineages, are counted, and leave in every format."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from random_forests import assert_same

import lineage
from lineage.detections import SHARED, Detections
from lineage.evaluation import evaluate
from lineage.forest import Forest
from lineage.formats import read, write
from lineage.formats.converting import prepare
from lineage.formats.ctc import open_folder
from lineage.formats.ctc_validate import validate
from lineage.formats.known import FORMATS
from lineage.formats.shared_masks import halved, one_a_mask, said, seconds
from lineage.health import check
from lineage.linking import link
from lineage.program import couples
from lineage.report import report
from lineage.settings import Settings
from lineage.viewing.layers import lineage_film

MERGES = Settings(merges=True)
FRAMES = 12


def disc(image, y, x, radius, value):
    rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
    image[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = value


def meeting(together=(4, 5, 6), *, mother=False, sizes=(6, 6)):
    """Two cells that come together along a row, are one mask for some frames, and part; seven others mind their own business."""
    rng, film = np.random.default_rng(0), np.zeros((FRAMES, 110, 150), np.uint16)
    place = np.array([(y, x) for y in (15, 55, 95) for x in (20, 130)] + [(15, 75)], float)
    middle = np.mean(together) if together else 5
    for t in range(FRAMES):
        place = place + rng.normal(0, 0.5, place.shape)
        for k, (y, x) in enumerate(place, start=1):
            disc(film[t], y, x, 6, k)
        apart = max(1.5 * abs(t - middle) + 4, 5.5 if t in together else 7)
        both = [(75 - apart, sizes[0]), (75 + apart, sizes[1])]
        for k, (x, radius) in enumerate(both):
            disc(film[t], 55, x, radius, 20 if t in together else 20 + k)
        if mother and t < 5:
            disc(film[t], 95, 75, 8, 30)
        elif mother:
            for k, side in enumerate((-1, 1)):
                disc(film[t], 95, 75 + side * (6.5 + 0.5 * (t - 5)), 5.6, 30 + k)
    return film


@pytest.fixture(scope="module")
def met():
    """Film and lineages."""
    film = meeting()
    return film, link(film, settings=MERGES)


@pytest.fixture(scope="module")
def plain(met):
    """The lineages of the same film without a word for merges."""
    return link(met[0], settings=Settings(edges=""))  # as merges do


def at(forest, frame, label):
    """Rows of a label in a frame."""
    cells = forest.detections
    return np.flatnonzero((cells.frame == frame) & (cells.label == label))


def test_two_cells_go_on_through_one_mask(met, plain):
    _, forest = met
    assert len(plain.divisions) + len(plain.roots) + plain.gap.sum() != 9  # without a word for it, something is wrong
    assert (len(forest.roots), len(forest.divisions), forest.gap.max()) == (9, 0, 0)
    assert len(forest) == 9 * FRAMES
    for k in (20, 21):  # each goes on as itself, on its own side
        assert forest.lineage_id[at(forest, 3, k)] == forest.lineage_id[at(forest, 7, k)]
    assert forest.record["merges"]["meetings"] == 1
    assert forest.record["merges"]["masks"] == 3


def test_rows_say_how_many_cells_their_mask_holds(met):
    _, forest = met
    holds = forest.detections.columns[SHARED]
    assert np.flatnonzero(holds == 2).tolist() == sorted(np.concatenate([at(forest, t, 20) for t in (4, 5, 6)]).tolist())
    assert set(holds.tolist()) == {1, 2}
    for t in (4, 5, 6):
        one, two = at(forest, t, 20)
        assert forest.detections.position[one].tolist() == forest.detections.position[two].tolist()
        assert forest.lineage_id[one] != forest.lineage_id[two]


def test_the_certificate_is_that_of_these_lineages(met, plain):
    _, forest = met
    assert forest.certificate.status == "optimal"
    assert forest.certificate.objective < plain.certificate.objective  # it explains the film better


def test_without_the_setting_nothing_is_said_of_it(plain):
    assert "merges" not in plain.record
    assert SHARED not in plain.detections.columns


def test_a_film_without_meetings_is_left_as_it_is():
    film = meeting((), mother=True)
    plain, asked = link(film, settings=Settings(edges="")), link(film, settings=MERGES)  # merges do without learned scores
    assert_same(plain, asked)
    assert asked.certificate.objective == plain.certificate.objective
    assert asked.record["merges"] == {"meetings": 0, "masks": 0, "possible": 0, "rate": 0.01}


def test_a_division_is_no_parting_and_a_parting_no_division():
    forest = link(meeting(mother=True), settings=MERGES)
    assert [(int(forest.detections.frame[i]), int(forest.detections.label[i])) for i in forest.divisions] == [(4, 30)]
    assert forest.record["merges"]["meetings"] == 1
    assert (len(forest.roots), forest.gap.max()) == (10, 0)


def test_cells_are_told_apart_by_size_too():
    forest = link(meeting(sizes=(7, 5)), settings=MERGES)
    assert forest.record["merges"]["meetings"] == 1
    for k in (20, 21):
        assert forest.lineage_id[at(forest, 3, k)] == forest.lineage_id[at(forest, 7, k)]


def test_they_may_stay_together_until_the_film_ends():
    forest = link(meeting(tuple(range(8, FRAMES))), settings=MERGES)
    assert forest.record["merges"]["masks"] == FRAMES - 8
    assert (len(forest.roots), len(forest.divisions)) == (9, 0)
    assert (forest.detections.frame[forest.n_children == 0] == FRAMES - 1).all()


def test_two_that_touch_from_the_start_are_a_division():
    forest = link(meeting((0, 1, 2)), settings=MERGES)
    assert forest.record["merges"]["meetings"] == 0
    assert len(forest.divisions) == 1


@pytest.mark.parametrize("change", [{"solver": "dual"}, {"window": 6, "overlap": 5}, {"min_cycle": 3, "detection": -5.0}])
def test_it_does_not_matter_how_the_film_is_solved(met, change):
    film, forest = met
    other = link(film, settings=replace(MERGES, **change))
    assert other.record["merges"]["meetings"] == 1
    assert other.parent.tolist() == forest.parent.tolist()


def test_numbers_of_the_labels_do_not_matter(met):
    film, forest = met
    turned = np.where(film > 0, 200 - film.astype(int), 0)
    other = link(turned, settings=MERGES)
    assert other.record["merges"] == pytest.approx(forest.record["merges"])
    assert np.bincount(other.lineage_id).tolist() == np.bincount(forest.lineage_id).tolist()
    for k in (20, 21):
        assert other.lineage_id[at(other, 3, 200 - k)] == other.lineage_id[at(other, 7, 200 - k)]


def test_the_unit_does_not_matter(met):
    film, forest = met
    other = link(film, scale=(0.2, 0.2), settings=MERGES)
    assert other.parent.tolist() == forest.parent.tolist()
    assert other.record["merges"]["masks"] == 3


def test_nothing_is_claimed_of_how_sure_their_links_are(met):
    _, forest = met
    sure, holds = forest.detections.columns["link_confidence"], forest.detections.columns[SHARED]
    touched = (holds == 2) | (holds[forest.parent] == 2) & (forest.parent >= 0)
    assert np.isnan(sure[touched]).all()
    assert np.isfinite(sure[~touched & (forest.parent >= 0)]).all()


def test_slack_has_a_row_for_each(met):
    film, _ = met
    forest = link(film, settings=replace(MERGES, solver="dual"))
    assert len(forest.slack["select"]) == len(forest)
    assert len(forest.slack["link"]) == forest.record["candidates"]["edges"]


def test_points_are_refused():
    cells = Detections(np.repeat(np.arange(3), 2), np.random.default_rng(0).uniform(0, 9, (6, 2)), np.zeros(6, int))
    message = "merges are told by areas, but these detections have none: give label masks, or leave merges out"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        link(cells, settings=MERGES)


def test_hypotheses_are_refused():
    message = "merges are for one segmentation, but hypotheses are several: leave one of the two out"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Settings(merges=True, hypotheses=True)


def test_couples_are_all_pairs_at_an_end():
    assert couples(np.array([5, 5, 7, 5]), np.array([5, 7])).tolist() == [[0, 1], [0, 3], [1, 3]]


# On the way out


def test_one_cell_a_mask_leaves_a_gap(met):
    _, forest = met
    single = one_a_mask(forest)
    assert seconds(forest).sum() == 3
    assert len(single) == len(forest)
    assert single.selected.sum() == len(forest) - 3
    assert (len(single.roots), len(single.divisions), sorted(single.gap[single.gap > 0].tolist())) == (9, 0, [3])
    assert one_a_mask(single) is single
    plain = Forest(forest.detections, forest.parent)
    assert one_a_mask(replace(plain, detections=replace(plain.detections, columns={}))).selected.all()  # nothing says that they are shared


def test_it_is_said_in_a_line(met):
    _, forest = met
    assert said(forest, cut=False) == "3 masks hold two cells: kept whole with one of them, the other one has a gap there"
    assert said(forest, cut=True) == "3 masks hold two cells: cut in two, half for each"
    assert said(one_a_mask(forest), cut=True) == ""


@pytest.mark.parametrize("gaps", ["split", "fill"])
def test_masks_of_the_challenge(met, gaps, tmp_path):
    film, forest = met
    before = film.tobytes()
    write(forest, tmp_path / "ctc", labels=film, gaps=gaps)
    assert film.tobytes() == before
    assert validate(tmp_path / "ctc") == []
    masks, back = open_folder(tmp_path / "ctc").labels, read(tmp_path / "ctc")
    assert all(((masks[t] > 0) == (film[t] > 0)).all() for t in range(FRAMES))
    assert len(back) == len(forest) - (3 if gaps == "split" else 0)
    assert (len(back.roots), len(back.divisions), int(back.gap.max())) == (9, 0, 3 if gaps == "split" else 0)
    if gaps == "fill":  # each half lies on the side that its cell has come from
        for k in (20, 21):
            row, x = int(at(forest, 5, 20)[0]), forest.detections.position[at(forest, 3, k)[0], 1]
            lineage_of = forest.lineage_id[at(forest, 3, k)[0]]
            row = next(int(i) for i in at(forest, 5, 20) if forest.lineage_id[i] == lineage_of)
            half = np.argwhere(masks[5] == forest.tracklet_id[row])
            assert np.sign(half[:, 1].mean() - 75) == np.sign(x - 75)
            assert len(half) == pytest.approx((film[5] == 20).sum() / 2, abs=1)


def test_a_mask_of_a_pixel_cannot_be_cut(met):
    _, forest = met
    second = np.flatnonzero(seconds(forest))[:1]
    t, label = int(forest.detections.frame[second[0]]), int(forest.detections.label[second[0]])
    image = np.zeros((9, 9), int)
    image[4, 4] = label
    message = f"label {label} of frame {t} holds two cells, but 1 pixel: leave it whole (split)"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        halved(image.copy(), forest, second, np.array([9]), image)


@pytest.mark.parametrize("gaps", ["split", "fill"])
@pytest.mark.parametrize("known", [known for known in FORMATS if known.write], ids=lambda known: known.key)
def test_every_format_takes_it(met, known, gaps, tmp_path):
    film, forest = met
    path = tmp_path / f"a{known.endings[0] if known.endings else ''}"
    write(forest, path, format=known.key, labels=film, gaps=gaps)
    back = read(path, format=known.key)
    assert len(back.divisions) == 0
    if "labels" in known.holds and "columns" in known.holds and known.key != "mastodon":
        assert back.parent.tolist() == forest.parent.tolist()
        assert back.detections.label.tolist() == forest.detections.label.tolist()
        assert back.detections.columns[SHARED].tolist() == forest.detections.columns[SHARED].tolist()
        assert seconds(back).tolist() == seconds(forest).tolist()


def test_conversion_says_it(met, tmp_path):
    film, forest = met
    np.save(tmp_path / "labels.npy", film)
    write(forest, tmp_path / "a.csv")
    for gaps, words in (("split", "kept whole"), ("fill", "cut in two")):
        plan = prepare(tmp_path / "a.csv", tmp_path / gaps, labels=tmp_path / "labels.npy", gaps=gaps)
        assert any(words in str(loss) for loss in plan.losses)
        plan.write()
        assert len(read(tmp_path / gaps)) == len(forest) - 3 * (gaps == "split")


def test_it_can_be_scored_shown_and_checked(met, tmp_path):
    film, forest = met
    write(forest, tmp_path / "truth", labels=film)
    assert evaluate((forest, film), tmp_path / "truth")["CHOTA"] == pytest.approx(1)
    assert set(np.unique(lineage_film(forest, film)[5]).tolist()) == {
        0,
        *forest.lineage_id[at(one_a_mask(forest), 5, 20)[:1]].tolist(),
    } | set(forest.lineage_id[(forest.detections.frame == 5) & ~seconds(forest)].tolist())
    assert "row" in check(forest, labels=film)
    report(forest, None, film, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert re.search(r'"shared": ?3\b', page)


# Links over missed frames


def test_a_table_says_which_links_bridge_a_gap(tmp_path):
    cells = Detections([0, 1, 4], [[1, 1], [2, 2], [3, 3]], [1, 1, 1])
    forest = Forest(cells, [-1, 0, 1])
    assert forest.to_dataframe()["gap"].tolist() == [0, 0, 2]
    for ending in (".csv", ".gexf"):
        write(forest, tmp_path / f"a{ending}")
        back = lineage.read(tmp_path / f"a{ending}")
        assert "gap" not in back.detections.columns
        assert back.gap.tolist() == [0, 0, 2]


def test_the_gap_of_another_tool_is_kept(tmp_path):
    (tmp_path / "a.csv").write_text("id,parent_id,t,y,x,gap\n0,-1,0,1,1,7\n1,0,1,1,1,9\n")
    assert read(tmp_path / "a.csv").detections.columns["gap"].tolist() == [7, 9]
