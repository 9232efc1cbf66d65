"""Our measures beside py-ctcmetrics, on random little films with every kind of error and on real ones."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest
import tifffile

from lineage.evaluation import evaluate

SHAPE = (80, 80)
SPOTS = np.array([(y, x) for y in range(8, 80, 16) for x in range(8, 80, 16)])  # discs of radius 5 do not touch
GRID = np.indices(SHAPE)
SAME = {f"AOGM_{name}": name for name in ("NS", "FN", "FP", "ED", "EA", "EC")} | {"MULTI-ASSIGNMENTS": "multi_assignments"}
SAME |= {name: name for name in ("SEG", "DET", "TRA", "LNK", "CT", "TF", "CCA", "CHOTA", "HOTA", "IDF1", "IDP", "IDR", "MOTA", "IDSW")}
SAME |= {name: name for name in ("AOGM", "AOGM_0", "OP_CSB", "OP_CTB")}
for _i in range(4):
    SAME |= {f"{name}({_i})": f"{name}{_i}" for name in ("BC", "BIO", "OP_CLB")}
    SAME |= {f"{what}_div({_i})": f"BC{_i}_{what}" for what in ("tp", "fp", "fn")}


def true_cells(rng, n_frames):
    """Cells on spots of a grid: frame, mask and parent of each. Births, divisions into two or three, deaths, gaps."""
    cells, alive = [], {}  # alive: spot -> last cell there
    for t in range(n_frames):
        free = [s for s in range(len(SPOTS)) if s not in alive]
        rng.shuffle(free)
        for spot, last in list(alive.items()):
            if t < cells[last]["frame"] + cells[last]["missing"] + 1:
                continue
            fate = rng.random()
            if fate < 0.05:
                del alive[spot]
                continue
            n_daughters = 3 if fate < 0.07 else 2 if fate < 0.18 else 1
            del alive[spot]
            for place in [spot, *[free.pop() for _ in range(n_daughters - 1) if free]]:
                alive[place] = add(cells, t, disc(place, rng), last, 0 if rng.random() > 0.06 else int(rng.integers(1, 3)))
        for _ in range(max(rng.poisson(4 if t == 0 else 0.4), not alive)):  # py-ctcmetrics fails on a truth with an empty frame
            if free:
                alive[place] = add(cells, t, disc(place := free.pop(), rng), -1, 0)
    return cells


def add(cells, frame, mask, parent, missing):
    cells.append({"frame": frame, "mask": mask, "parent": parent, "missing": missing})
    return len(cells) - 1


def disc(spot, rng, radius=4.0):
    return ((GRID - SPOTS[spot].reshape(2, 1, 1)) ** 2).sum(0) <= (radius + rng.random()) ** 2


def spoilt(cells, rng, harm):
    """What a poor tracker makes of the cells: missed, false, merged, split, shrunken ones, and links lost, swapped and invented."""
    made = [dict(cell, mask=np.roll(cell["mask"], rng.integers(-2, 3, 2), (0, 1))) for cell in cells]
    gone = set()
    for k, cell in enumerate(made):
        same = [j for j in range(len(made)) if made[j]["frame"] == cell["frame"] and j != k and j not in gone]
        before = [j for j in range(len(made)) if made[j]["frame"] < cell["frame"] and cell["frame"] - made[j]["frame"] < 3]
        what = rng.random() / harm
        if what < 0.05:
            gone.add(k)
        elif what < 0.10 and same:  # two cells under one mask
            other = same[rng.integers(len(same))]
            made[other] = dict(made[other], mask=made[other]["mask"] | cell["mask"])
            gone.add(k)
        elif what < 0.15:  # one cell in two halves, both linked to the past
            half = GRID[0] < np.median(GRID[0][cell["mask"]])
            add(made, cell["frame"], cell["mask"] & half, cell["parent"] if rng.random() < 0.7 else -1, 0)
            made[k] = dict(cell, mask=cell["mask"] & ~half)
        elif what < 0.20 and same:  # swapped
            other = same[rng.integers(len(same))]
            made[k]["parent"], made[other]["parent"] = made[other]["parent"], cell["parent"]
        elif what < 0.25 and before:
            made[k] = dict(cell, parent=before[rng.integers(len(before))])
        elif what < 0.30:
            made[k] = dict(cell, parent=-1)
        elif what < 0.35:
            add(made, cell["frame"], disc(rng.integers(len(SPOTS)), rng, 2.0), -1, 0)
    for cell in made:  # the children of what is gone go to their grandparent, over a gap, or to nobody
        while cell["parent"] in gone:
            cell["parent"] = made[cell["parent"]]["parent"] if rng.random() < 0.6 else -1
    order = sorted(set(range(len(made))) - gone, key=lambda k: made[k]["frame"])
    place = {k: row for row, k in enumerate(order)} | {-1: -1}
    return [dict(made[k], parent=place[made[k]["parent"]]) for k in order]


def folder_of(cells, n_frames, path, rng, names=("mask", "res_track.txt")):
    """Paint the cells and number their tracklets, which end at divisions and gaps, and now and then for no reason."""
    film = np.full((n_frames, *SHAPE), -1)
    for k, cell in enumerate(cells):
        film[cell["frame"]][cell["mask"]] = k
    seen = [k for k, cell in enumerate(cells) if (film[cell["frame"]] == k).any()]  # a cell painted over entirely is none
    for cell in cells:
        while cell["parent"] >= 0 and cell["parent"] not in seen:
            cell["parent"] = cells[cell["parent"]]["parent"]
    children = np.bincount([cells[k]["parent"] + 1 for k in seen], minlength=len(cells) + 1)[1:]
    rows, tracklet = [], {}
    for k in seen:
        parent, t = cells[k]["parent"], cells[k]["frame"]
        goes_on = parent >= 0 and children[parent] == 1 and cells[parent]["frame"] == t - 1 and rng.random() > 0.05
        if goes_on:
            tracklet[k] = tracklet[parent]
            rows[tracklet[k]][2] = t
        else:
            tracklet[k] = len(rows)
            rows.append([0, t, t, tracklet.get(parent, -1)])
    label = rng.permutation(len(rows) + 20)[: len(rows)] + 1
    table = [[int(label[r]), row[1], row[2], int(label[row[3]]) if row[3] >= 0 else 0] for r, row in enumerate(rows)]
    path.mkdir(parents=True)
    (path / names[1]).write_text("".join(f"{' '.join(map(str, row))}\n" for row in table))
    numbers = np.append([label[tracklet[k]] if k in tracklet else 0 for k in range(len(cells))], 0).astype(np.uint16)
    for t in range(n_frames):
        tifffile.imwrite(path / f"{names[0]}{t:03d}.tif", numbers[film[t]])


def outlines(cells, path, rng, n_frames):
    """A sparse segmentation truth: some frames, masks of a little other size."""
    path.mkdir(parents=True)
    for t in sorted(rng.choice(n_frames, 3, replace=False).tolist()):
        image = np.zeros(SHAPE, np.uint16)
        for number, cell in enumerate((cell for cell in cells if cell["frame"] == t), 1):
            image[np.roll(cell["mask"], rng.integers(-1, 2, 2), (0, 1))] = number
        tifffile.imwrite(path / f"man_seg{t:03d}.tif", image)


def referee(result, truth):
    """What py-ctcmetrics says; an undefined ratio is None, as with us."""
    ctc = pytest.importorskip("ctc_metrics", reason="py-ctcmetrics is not installed")
    names = [name for name in ctc.metrics.ALL_METRICS if name != "SEG" or (truth / "SEG").is_dir()]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        scores = ctc.evaluate_sequence(str(result), str(truth), names, threads=1)
    assert scores["Valid"] == 1
    return {name: None if value is None or not math.isfinite(value) else value for name, value in scores.items()}


def assert_same(ours, theirs):
    compared = {name: theirs[name] for name in SAME if name in theirs}
    assert {name: ours[SAME[name]] for name in compared} == pytest.approx(compared, abs=1e-9)
    return compared


@pytest.mark.parametrize("seed", range(32))
def test_same_as_the_referee_on_random_films(seed, tmp_path, capsys):
    rng = np.random.default_rng(seed)
    n_frames = int(rng.integers(5, 12))
    cells = true_cells(rng, n_frames)
    truth, result = tmp_path / "01_GT", tmp_path / "01_RES"
    bad = spoilt(cells, rng, harm=(0.3, 1.0, 2.0)[seed % 3])
    outlines(cells, truth / "SEG", rng, n_frames)
    folder_of(cells, n_frames, truth / "TRA", rng, ("man_track", "man_track.txt"))
    folder_of(bad, n_frames, result, rng)
    compared = assert_same(evaluate(result, truth), referee(result, truth))
    assert len(compared) == len(SAME)
    capsys.readouterr()


def test_the_random_films_hold_every_error(tmp_path):
    total = dict.fromkeys(("NS", "FN", "FP", "ED", "EA", "EC", "BC0_tp", "BC0_fp", "BC0_fn", "IDSW", "multi_assignments"), 0)
    for seed in (1, 2, 4, 5):
        rng = np.random.default_rng(seed)
        cells = true_cells(rng, 10)
        folder_of(spoilt(cells, rng, harm=1.0), 10, tmp_path / f"{seed}_RES", rng)
        folder_of(cells, 10, tmp_path / f"{seed}_GT", rng, ("man_track", "man_track.txt"))
        scores = evaluate(tmp_path / f"{seed}_RES", tmp_path / f"{seed}_GT")
        total = {name: value + scores[name] for name, value in total.items()}
    assert min(total.values()) > 0


@pytest.mark.parametrize("pair", ["ctc_testing_dataset_03", "Fluo-N2DL-HeLa_01"])
def test_same_as_the_referee_on_real_films(pair, data):
    expected = json.loads((data / "metrics" / "expected.json").read_text())[pair]
    ours = evaluate(data / expected["res"], data / expected["gt"])
    compared = assert_same(ours, expected["py_ctcmetrics"])
    assert len(compared) >= len(SAME) - 3
    if "official_logs" in expected:
        assert ours["DET"] == pytest.approx(expected["official_logs"]["DET"], abs=5e-7)
        assert ours["TRA"] == pytest.approx(expected["official_logs"]["TRA"], abs=5e-7)


def test_same_divisions_and_lineages_as_traccuracy(data):
    expected = json.loads((data / "metrics" / "expected.json").read_text())["Fluo-N2DL-HeLa_01"]
    ours = evaluate(data / expected["res"], data / expected["gt"])
    by_overlap, by_point = (expected["traccuracy"][name] for name in ("CTCMatcher()", "PointMatcher(threshold=15)"))
    for tail, frames in (("", "Frame Buffer 0"), ("_1", "Frame Buffer 1")):
        theirs = by_point["DivisionMetrics"][frames]
        for name in ("Recall", "Precision", "F1"):
            assert ours[f"division_{name.lower()}{tail}"] == pytest.approx(theirs[f"Division {name}"], abs=1e-9)
    assert ours["n_reproduced_lineages"] == by_overlap["CompleteTracks"]["correct_lineages"]
    assert ours["n_complete_tracklets"] == by_overlap["CompleteTracks"]["correct_tracklets"]
    assert ours["complete_lineages"] == 30 / 77  # of 43 reproduced lineages, 13 are continued where the truth ends or begins
    assert ours["CHOTA"] == pytest.approx(by_overlap["CHOTAMetric"]["CHOTA"], abs=1e-9)
