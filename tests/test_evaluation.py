"""Evaluation end to end: pairs, folders, points; perfect results, empty ones, and those of another film."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import tifffile
from zoo import ZOO, forest, paint

from lineage.detections import Detections
from lineage.evaluation import evaluate, summary
from lineage.forest import Forest
from lineage.matching import Matching, Overlap, Tracks, match_points, relabelled, tracks_of
from lineage.matching.field import without

KEYS = """SEG DET TRA LNK CT TF BC0 BC1 BC2 BC3 CCA CHOTA HOTA IDF1 MOTA edge_precision edge_recall edge_f1
division_precision division_recall division_f1 division_precision_1 division_recall_1 division_f1_1 complete_lineages
complete_tracklets AOGM NS FN FP ED EA EC n_truth_nodes n_result_nodes n_truth_divisions n_result_divisions""".split()
SHARES = [key for key in KEYS if key not in ("AOGM", "NS", "FN", "FP", "ED", "EA", "EC") and not key.startswith("n_")]
ANIMALS = pytest.mark.parametrize("animal", ZOO.values(), ids=ZOO)


def ctc_folder(animal, labels, path, mask="mask", text="res_track.txt"):
    """The CTC folder of a painted forest, written with other means than the package's."""
    path.mkdir(parents=True)
    table = tracks_of(animal)[0].table
    (path / text).write_text("".join(f"{' '.join(map(str, row))}\n" for row in table.tolist()))
    for t, image in enumerate(relabelled(animal, labels)):
        tifffile.imwrite(path / f"{mask}{t:03d}.tif", image.astype(np.uint16), photometric="minisblack")
    return path


def perfect(scores):
    """1 where defined, None only where the truth has nothing to be measured."""
    assert {scores[key] for key in SHARES} <= {1.0, None}
    assert scores["AOGM"] == 0
    assert (scores["DET"] is None) == (scores["n_truth_nodes"] == 0)
    assert (scores["LNK"] is None) == (scores["n_truth_edges"] == 0)
    assert (scores["division_f1_1"] is None) == (scores["BC0"] is None) == (scores["n_truth_divisions"] == 0)
    return scores


@ANIMALS
def test_a_truth_is_perfect_against_itself(animal):
    labels = paint(animal)
    scores = perfect(evaluate((animal, labels), (animal, labels)))
    assert set(KEYS) <= set(scores)
    assert (scores["SEG"] is None) == (scores["n_truth_nodes"] == 0)
    assert scores["n_truth_divisions"] == len(animal.divisions)
    assert scores["n_truth_nodes"] == animal.selected.sum()
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores


@ANIMALS
def test_points_are_perfect_against_themselves(animal):
    scores = perfect(evaluate((animal, None), (animal, None)))
    assert scores["SEG"] is None


@pytest.mark.parametrize("animal", [ZOO[name] for name in ("division with a past", "gap", "late daughter", "unselected noise")])
def test_a_folder_is_the_same_as_the_pair(animal, tmp_path):
    labels = paint(animal)
    result = ctc_folder(animal, labels, tmp_path / "01_RES")
    truth = ctc_folder(animal, labels, tmp_path / "01_GT" / "TRA", "man_track", "man_track.txt")
    pair = evaluate((animal, labels), (animal, labels))
    assert evaluate(result, result) == pair
    assert evaluate(result, (animal, labels)) == evaluate((animal, labels), str(result)) == pair
    markers = pair | {"SEG": None, "OP_CSB": None, "OP_CTB": None}  # TRA holds markers, no outlines
    assert evaluate(result, truth) == evaluate(result, truth.parent) == evaluate((animal, labels), truth / "man_track.txt") == markers


@pytest.mark.parametrize("folder", ["Fluo-N2DL-HeLa/01_GT/TRA", "Fluo-N2DH-SIM+/01_GT/TRA"])
def test_a_real_truth_is_perfect_against_itself(folder, data):
    perfect(evaluate(data / "ctc" / folder, data / "ctc" / folder))


def test_swapped_and_lost_links():
    labels = paint(ZOO["crossing"])
    scores = evaluate((ZOO["two strangers"], labels), (ZOO["crossing"], labels))
    assert (scores["DET"], scores["ED"], scores["EA"], scores["edge_f1"]) == (1.0, 2, 2, 0.0)
    animal = ZOO["lost daughter"]
    alone = Forest(animal.detections, np.where(np.arange(4) == 2, -1, animal.parent))
    scores = evaluate((alone, paint(animal)), (animal, paint(animal)))
    assert (scores["EA"], scores["EC"], scores["division_recall"], scores["complete_lineages"]) == (1, 1, 0.0, 0.0)


def test_unselected_cells_vanish():
    animal, labels = ZOO["unselected noise"], paint(ZOO["unselected noise"])
    all_of_it = Forest(animal.detections, animal.parent)
    assert evaluate((all_of_it, labels), (animal, labels))["FP"] == 1
    assert evaluate((animal, labels), (all_of_it, labels))["FN"] == 1


def test_false_cells_at_the_border_may_be_left_out():
    labels = np.zeros((3, 20, 30), int)
    labels[:, 9:12, 13:16] = 1
    truth = (Forest(Detections.from_labels(labels), [-1, 0, 1]), labels)
    more = labels.copy()
    more[0, 0:3, 5:8] = 2  # its centre is a pixel from the border
    more[1, 1:4, 5:8] = 2
    more[2, 9:12, 4:7] = 2  # and here five
    found = (Forest(Detections.from_labels(more), [-1, -1, 0, 1, 2, 3]), more)
    false = {border: evaluate(found, truth, border=border)["FP"] for border in (0, 1, 1.5, 2, 2.5, 5, 5.5)}
    assert false == {0: 3, 1: 3, 1.5: 2, 2: 2, 2.5: 1, 5: 1, 5.5: 0}
    assert perfect(evaluate(found, truth, border=5.5))["n_result_tracklets"] == 1
    assert evaluate(truth, found, border=20)["FN"] == 3  # the truth is to be found wherever it is
    assert perfect(evaluate(found, found, border=20))["n_result_tracklets"] == 2


@pytest.mark.parametrize("seed", range(40))
def test_without_some_cells_children_come_from_the_nearest_cell_that_is_left(seed):
    rng = np.random.default_rng(seed)
    table, last = [], []
    for label in range(1, rng.integers(2, 9)):
        mother = int(rng.integers(0, label))
        begin = int(last[mother - 1] + rng.integers(1, 3)) if mother else int(rng.integers(0, 3))
        last.append(begin + int(rng.integers(0, 4)))
        table.append([label, begin, last[-1], mother])
    tracks = Tracks(np.array(table))
    lost = np.flatnonzero(rng.random(tracks.n_cells) < 0.4)
    left = without(Matching(Tracks(np.zeros((0, 4))), tracks, np.zeros(0, int), np.zeros(0, int)), lost).result
    mother = np.full(tracks.n_cells + 1, -1)
    mother[tracks.edges[1]] = tracks.edges[0]
    kept = np.setdiff1d(np.arange(tracks.n_cells), lost)
    wanted = set()
    for row, cell in enumerate(kept.tolist()):
        up = int(mother[cell])
        while up in lost:
            up = int(mother[up])
        if up >= 0:
            wanted.add((int(np.searchsorted(kept, up)), row))
    assert set(zip(*(end.tolist() for end in left.edges[:2]), strict=True)) == wanted
    assert left.frame.tolist() == tracks.frame[kept].tolist()


def test_masks_are_read_once_and_never_altered():
    class Counting:
        def __init__(self, film):
            self.film, self.seen = film, []

        def __len__(self):
            return len(self.film)

        def __getitem__(self, t):
            self.seen.append(t)
            return self.film[t]

    animal, labels = ZOO["gap"], paint(ZOO["gap"])
    labels.setflags(write=False)
    film, heard = Counting(labels), []
    evaluate((animal, film), (animal, labels), progress=lambda items, what: heard.append(what) or items)
    assert (film.seen, heard) == ([0, 1, 2, 3, 4], ["matching"])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, np.uint32])
def test_any_kind_of_labels(dtype):
    animal = ZOO["two divisions in a row"]
    labels = paint(animal).astype(dtype)
    if dtype is np.uint32:
        labels[labels > 0] += 4_000_000_000
        cells = animal.detections
        animal = Forest(Detections(cells.frame, cells.position, cells.label + 4_000_000_000), animal.parent)
    perfect(evaluate((animal, labels), (animal, labels)))


def test_nothing_found_and_nothing_to_find():
    animal, labels = ZOO["division"], paint(ZOO["division"])
    nothing = forest([], [], n_frames=2), np.zeros_like(labels)
    scores = evaluate(nothing, (animal, labels))
    zero = [
        "SEG",
        "DET",
        "TRA",
        "LNK",
        "CT",
        "TF",
        "BC0",
        "CHOTA",
        "HOTA",
        "IDF1",
        "MOTA",
        "edge_f1",
        "division_recall",
        "complete_lineages",
    ]
    assert {scores[key] for key in zero} == {0.0}
    scores = evaluate((animal, labels), nothing)
    assert {scores[key] for key in ("SEG", "DET", "TRA", "LNK", "TF", "BC0", "MOTA", "edge_recall", "complete_lineages")} == {None}
    assert (scores["FP"], scores["edge_precision"], scores["HOTA"]) == (3, 0.0, 0.0)
    points = evaluate((nothing[0], None), (animal, None))
    assert (points["DET"], points["FN"]) == (0.0, 3)
    assert evaluate((animal, None), (nothing[0], None))["FP"] == 3


def square(*boxes, shape=(12, 12)):
    image = np.zeros(shape, np.uint16)
    for label, box in enumerate(boxes, 1):
        image[box] = label
    return image


def test_more_than_half_must_be_covered():
    truth = square(np.s_[0:2, 0:6])[None]  # 12 pixels
    for width, found in ((3, 0), (4, 1)):  # 6 pixels are half, 8 are more
        result = square(np.s_[0:2, 0:width])[None]
        scores = evaluate((forest([0], [-1]), result), (forest([0], [-1]), truth))
        assert (scores["FN"], scores["SEG"]) == (1 - found, pytest.approx(found * 8 / 12))


def test_overlap_against_sets_of_pixels():
    rng = np.random.default_rng(0)
    for k in range(40):
        image, other = rng.integers(0, 4, (2, 3, 4)) * (1 if k % 2 else 10**12)
        got = Overlap.of(image, other)
        pixels = [{label: set(np.flatnonzero(a == label)) for label in np.unique(a[a > 0]).tolist()} for a in (image, other)]
        want = {
            (a, b): len(here & there) / len(here | there)
            for a, here in pixels[0].items()
            for b, there in pixels[1].items()
            if 2 * len(here & there) > len(here)
        }
        pairs = zip(got.labels[got.row].tolist(), got.others[got.column].tolist(), strict=True)
        assert dict(zip(pairs, got.jaccard[got.row].tolist(), strict=True)) == pytest.approx(want)
        assert got.labels.tolist() == list(pixels[0])
        assert got.jaccard.sum() == pytest.approx(sum(want.values()))


def test_a_sparse_segmentation_truth(tmp_path):
    animal = ZOO["gap"]
    labels = paint(animal)
    result = ctc_folder(animal, labels, tmp_path / "01_RES")
    truth = ctc_folder(animal, labels, tmp_path / "01_GT" / "TRA", "man_track", "man_track.txt").parent
    (truth / "SEG").mkdir()
    exact, off = (labels[1] > 0) * np.uint16(9), np.roll(labels[3], 1, 1)
    tifffile.imwrite(truth / "SEG" / "man_seg001.tif", exact)
    tifffile.imwrite(truth / "SEG" / "man_seg003.tif", off)
    common, both = ((off > 0) & (labels[3] > 0)).sum(), ((off > 0) | (labels[3] > 0)).sum()
    assert evaluate(result, truth)["SEG"] == pytest.approx((1 + common / both) / 2)
    assert evaluate(result, truth / "TRA")["SEG"] is None
    tifffile.imwrite(truth / "SEG" / "man_seg017.tif", off)
    message = f"{truth / 'SEG'} annotates frame 17, but the truth has 5 frames"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        evaluate(result, truth)


def test_single_slices_of_a_three_dimensional_truth(tmp_path):
    animal = ZOO["three dimensions"]
    labels = paint(animal)
    result = ctc_folder(animal, labels, tmp_path / "01_RES")
    truth = ctc_folder(animal, labels, tmp_path / "01_GT" / "TRA", "man_track", "man_track.txt").parent
    (truth / "SEG").mkdir()
    middle = int(animal.detections.position[0, 0])
    tifffile.imwrite(truth / "SEG" / f"man_seg_000_{middle:03d}.tif", labels[0, middle])
    tifffile.imwrite(truth / "SEG" / f"man_seg_001_{middle:03d}.tif", labels[1, middle])
    tifffile.imwrite(truth / "SEG" / f"man_seg_001_{middle + 1:03d}.tif", np.roll(labels[1, middle + 1], 3, 0))
    assert len(np.unique(labels[1, middle])) == 3
    assert evaluate(result, truth)["SEG"] == pytest.approx((1 + 2 + 2 * 0) / 5)  # every object of every slice counts
    for file in (truth / "SEG").iterdir():
        file.unlink()
    tifffile.imwrite(truth / "SEG" / "man_seg001.tif", labels[1], photometric="minisblack")
    assert evaluate(result, truth)["SEG"] == 1.0


def crowd(shift=(0.0, 0.0), frames=3, side=4):
    """Cells on a lattice with spacing 10, each going on to the next frame."""
    spots = 10.0 * np.argwhere(np.ones((side, side)))
    n = len(spots)
    cells = Detections(np.repeat(np.arange(frames), n), np.tile(spots, (frames, 1)) + shift, np.zeros(n * frames, int))
    return Forest(cells, np.concatenate([np.full(n, -1), np.arange(n * (frames - 1))]))


def test_points_within_half_the_spacing_are_matched():
    assert evaluate((crowd((0.0, 4.9)), None), (crowd(), None))["TRA"] == 1.0
    assert evaluate((crowd((0.0, 4.9)), None), (crowd(), None), distance=4.0)["FN"] == 48
    assert evaluate((crowd((3.6, 3.6)), None), (crowd(), None))["FN"] == 48
    assert evaluate((crowd((3.6, 3.6)), None), (crowd(), None), distance=6)["DET"] == 1.0


def test_points_are_matched_one_to_one_and_nearest():
    truth = Forest(Detections([0, 0], [[0.0, 0.0], [0.0, 3.0]], [0, 0]), [-1, -1])
    result = Forest(Detections([0, 0, 0], [[0.0, 1.0], [0.0, 2.5], [0.0, 3.1]], [0, 0, 0]), [-1, -1, -1])
    scores = evaluate((result, None), (truth, None), distance=2.0)
    assert (scores["FN"], scores["FP"], scores["NS"]) == (0, 1, 0)
    sides = [(tracks, cells.detections.position[rows]) for cells in (truth, result) for tracks, rows in [tracks_of(cells)]]
    matching = match_points(*sides, 2.0)
    assert dict(zip(matching.truth_cell.tolist(), matching.result_cell.tolist(), strict=True)) == {0: 0, 1: 2}


def test_a_lone_point_is_matched_wherever_it_is():
    near, far = (Forest(Detections([0], [[0.0, x]], [0]), [-1]) for x in (0.0, 90.0))
    assert evaluate((far, None), (near, None))["DET"] == 1.0
    assert evaluate((far, None), (near, None), distance=5.0)["DET"] == 0.0


LABELS = paint(ZOO["division"])
PAIR = (ZOO["division"], LABELS)
LARGER = paint(ZOO["division"], (30, 40))


@pytest.mark.parametrize(
    ("result", "truth", "options", "message"),
    [
        (PAIR, (ZOO["division"], LABELS[[0, 1, 1]]), {}, "the result has 2 frames, but the truth has 3: they are not of the same film"),
        (
            PAIR,
            (ZOO["division"], LARGER),
            {},
            f"frame 0 of the result has shape {LABELS.shape[1:]}, but that of the truth has (30, 40): they are not of the same film",
        ),
        (
            (ZOO["three dimensions"], paint(ZOO["three dimensions"])),
            PAIR,
            {},
            f"frame 0 of the result has shape {paint(ZOO['three dimensions']).shape[1:]}, "
            f"but that of the truth has {LABELS.shape[1:]}: they are not of the same film",
        ),
        ((ZOO["division"], LABELS[:1]), PAIR, {}, "the result has a cell in frame 1, but its labels have 1 frames"),
        ((ZOO["division"], LABELS * 0), PAIR, {}, "the result has a cell 1 in frame 0, but no pixel there has this label"),
        (
            (Forest(Detections([0, 0], [[1, 1], [2, 2]], [5, 5]), [-1, -1]), LABELS),
            PAIR,
            {},
            "the result: two cells of frame 0 have the label 5",
        ),
        (
            (ZOO["division"], LABELS / 2),
            PAIR,
            {},
            "label frame 0 is float64, but labels are whole numbers: convert with astype('uint16')",
        ),
        (
            (ZOO["division"], None),
            PAIR,
            {},
            "the result has no labels, but the other side has: give masks to both, or none to either (lineage convert 01_GT truth.csv)",
        ),
        (
            PAIR,
            (ZOO["division"], None),
            {},
            "the truth has no labels, but the other side has: give masks to both, or none to either (lineage convert 01_GT truth.csv)",
        ),
        (PAIR, PAIR, {"distance": 3}, "distance=3 is for points, but these have labels and are matched by overlap: leave it out"),
        ((ZOO["division"], None), (ZOO["division"], None), {"distance": 0}, "distance must be positive, not 0"),
        ((ZOO["division"], None), (ZOO["division"], None), {"border": 3}, "border=3 is for labels, but these are points: leave it out"),
        (PAIR, PAIR, {"border": -1}, "border must be at least 0 pixels, not -1"),
        (
            (ZOO["three dimensions"], None),
            (ZOO["division"], None),
            {},
            "the result has 3 spatial axes, but the truth has 2",
        ),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(result, truth, options, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        evaluate(result, truth, **options)


def test_folders_that_do_not_agree_with_themselves(tmp_path):
    animal, labels = ZOO["division"], LABELS
    folder = ctc_folder(animal, labels, tmp_path / "01_RES")
    (folder / "res_track.txt").write_text("1 0 0 0\n2 1 1 1\n")
    message = f"the result ({folder}) has the label 3 in frame 1, but its table has no such tracklet alive there"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        evaluate(folder, PAIR)
    (folder / "res_track.txt").write_text("1 0 1 0\n2 1 1 0\n3 1 1 0\n")
    message = f"the result ({folder}) has the tracklet 1 alive in frame 1, but no pixel there has this label"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        evaluate(folder, PAIR)


def test_a_folder_that_is_not_there(tmp_path):
    message = f"no such folder: {tmp_path / 'nowhere'}"
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(message)}$"):
        evaluate(tmp_path / "nowhere", PAIR)


def test_the_summary_is_a_small_table():
    lines = summary(evaluate(PAIR, PAIR)).splitlines()
    assert lines[0] == "SEG                  1.0000  outlines"
    assert lines[1] == "DET                  1.0000  cells: 0 missed, 0 false, 0 to be split"
    assert lines[5] == "division F1          1.0000  1 of 1 divisions found, 1 claimed"
    assert "CCA                       -  lengths of cell cycles" in lines
    assert {line[27:29] for line in lines} == {"  "}
    assert summary({"DET": 0.5}).splitlines()[1] == "DET                  0.5000  cells: ? missed, ? false, ? to be split"
