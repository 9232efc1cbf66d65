"""Segmentation and links chosen together: a film in which no single segmentation is right in every frame."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pytest
from skimage.measure import label

import lineage
import restoration
import segmentation
from lineage import Detections, Settings, pipeline
from lineage.candidates import overlapping
from lineage.detections import Masks
from lineage.evaluation import evaluate
from lineage.forest import Forest
from lineage.linking import link
from lineage.measure import measure, measure_pixels
from lineage.scoring.rivals import selection
from segmentation.flooding import flood

FRAMES, SHAPE, RADIUS = 10, (72, 96), 6
PLACES = (  # two pairs touch
    *((14, 14), (14, 25.5), (14, 50), (14, 76), (36, 20)),
    *((36, 48), (36, 60.5), (40, 80), (58, 16), (58, 44), (58, 74)),
)
TOUCHING = ((0, 1), (5, 6))
MERGED, CUT = (3, 4, 7), (2, 5, 6)  # frames in which the pairs run together, and in which one cell seems to be two


class Decoder:
    """Cells are what remains of the foreground less the boundary."""

    channels = ("foreground", "boundary")
    smallest = 8

    def __call__(self, said):
        mask = said[0] > 0.5
        return flood(said[1] - said[0], label(mask & (said[0] - said[1] > 0.4), connectivity=1), mask)


def network(dims, inputs):
    return SimpleNamespace(config=SimpleNamespace(dims=dims, inputs=inputs))


@dataclass(frozen=True)
class Model:
    """A network that finds in a picture what was painted into it: 100 times the foreground, and the boundary after the point."""

    about: dict = field(default_factory=lambda: {"hypotheses": {"weight": {"seam": -5.0, "parts": 4.0}, "bias": 0.3}})  # all is in doubt
    decoder: Decoder = field(default_factory=Decoder)
    network: object = field(default_factory=lambda: network(2, 1))

    def probabilities(self, image):
        return np.stack([np.floor(image) / 100, image % 1]).astype(np.float32)

    def predict(self, image):
        return self.decoder(self.probabilities(image))


@pytest.fixture(scope="module")
def film():
    """Images, true labels and true lineages."""
    rows, columns = np.indices(SHAPE)
    rng = np.random.default_rng(0)
    images, labels = [], []
    for t in range(FRAMES):
        place = np.array(PLACES) + t * np.array([0.4, 0.3])
        wobble = 1 + 0.05 * rng.normal(size=len(place))  # no cell keeps its size to the pixel
        distance = np.hypot(rows - place[:, 0, None, None], columns - place[:, 1, None, None]) / wobble[:, None, None]
        inside, owner = (distance <= RADIUS).any(0), distance.argmin(0) + 1
        seam = np.zeros(SHAPE)
        for a, b in TOUCHING:
            seam[inside & (abs(distance[a] - distance[b]) < 1.3) & np.isin(owner, (a + 1, b + 1))] = 0.35 if t in MERGED else 0.9
        if t in CUT:  # a dark groove across the third cell
            seam[(owner == 3) & (abs(columns - place[2, 1]) < 1)] = 0.7
        images.append(np.where(inside, 90 + seam, 0.0))
        labels.append(np.where(inside, owner, 0).astype(np.uint16))
    return np.stack(images), np.stack(labels), chains(np.stack(labels))


def chains(labels):
    """The lineages of a film in which equal labels are one cell."""
    cells = Detections.from_labels(labels)
    order = np.lexsort((cells.frame, cells.label))
    parent = np.full(len(cells), -1)
    same = np.flatnonzero(np.diff(cells.label[order]) == 0)
    parent[order[same + 1]] = order[same]
    return Forest(cells, parent)


@pytest.fixture
def model(monkeypatch):
    """The model in the place of the shipped one."""
    made = Model()
    monkeypatch.setattr(segmentation, "load", lambda name: made, raising=False)
    return made


def scores(forest, labels, film):
    return evaluate((forest, labels), (film[2], film[1]))


def test_a_single_segmentation_loses_what_hypotheses_recover(film, model, tmp_path):
    np.save(tmp_path / "film.npy", film[0])
    single = pipeline.run(tmp_path / "film.npy", tmp_path / "single", settings=Settings(hypotheses=False))
    pipeline.run(tmp_path / "film.npy", tmp_path / "both", settings=Settings(hypotheses=True))
    segmented = pipeline.segment(film[0])
    alone = scores(single.forest, segmented, film)
    counts = [len(np.unique(frame)) - 1 for frame in segmented]
    assert all(counts[t] < 11 for t in MERGED)
    assert all(counts[t] == 12 for t in CUT)
    assert (alone["complete_tracklets"] < 0.8, alone["TRA"] < 0.97) == (True, True)
    painted = lineage.films.open_film(tmp_path / "both" / "ctc")
    together = scores(lineage.read(tmp_path / "both" / "ctc"), [painted[t] for t in range(FRAMES)], film)
    assert (together["TRA"], together["LNK"], together["complete_lineages"], together["SEG"]) == (1, 1, 1, pytest.approx(1, abs=0.02))
    # and all the files are as without hypotheses
    names = [sorted(entry.name for entry in (tmp_path / place).iterdir()) for place in ("single", "both")]
    assert names[0] == names[1]
    forest = lineage.read(tmp_path / "both" / "lineages.csv")
    assert (forest.selected.all(), forest.detections.conflicts, "probability" in forest.detections.columns) == (True, (), True)
    assert json.loads((tmp_path / "both" / "run.json").read_text())["settings"]["hypotheses"] is True
    sure = forest.detections.columns["link_confidence"]  # every link says how probable it is
    np.testing.assert_array_equal(np.isfinite(sure), forest.parent >= 0)
    assert 0.5 < sure[forest.parent >= 0].min() <= sure[forest.parent >= 0].max() <= 1


def test_in_memory_too(film, model):
    forest = lineage.track(film[0], Settings(hypotheses=True))
    assert (len(forest), len(forest.roots)) == (FRAMES * len(PLACES), len(PLACES))


def test_they_are_chosen_among_unless_something_speaks_against_it(film, model, tmp_path, monkeypatch):
    few = film[0][:4]

    def many(**changes):
        return lineage.track(few, Settings(**changes)).record.get("hypotheses", {}).get("segments", 0)

    assert many() == many(hypotheses=True) > len(few) * len(PLACES)
    assert (many(hypotheses=False), many(merges=True), many(segment="classical")) == (0, 0, 0)
    np.save(tmp_path / "film.npy", few)
    np.save(tmp_path / "masks.npy", film[1][:4])
    files = {"film": tmp_path / "film.npy", "out": tmp_path / "out"}
    assert pipeline.run(**files).forest.record["hypotheses"]["segments"] == many()
    assert "hypotheses" not in pipeline.run(**files, labels=tmp_path / "masks.npy").forest.record
    monkeypatch.setattr(lineage.arrays, "LARGE", film[0][0].size - 1)
    assert (many(), many(hypotheses=True) > 0) == (0, True)


def test_a_model_that_does_not_know_how_probable_its_segments_are_is_taken_at_its_word(film, monkeypatch):
    monkeypatch.setattr(segmentation, "load", lambda name, **_: Model(about={}))
    assert "hypotheses" not in lineage.track(film[0][:3]).record
    assert "hypotheses" in lineage.track(film[0][:3], Settings(hypotheses=True)).record


def test_without_doubt_hypotheses_change_nothing(film, model):
    plain = film[0][[0, 1, 8, 9]]
    one, two = (lineage.track(plain, Settings(hypotheses=wanted)) for wanted in (False, True))
    np.testing.assert_allclose(sorted(one.detections.position.tolist()), sorted(two.detections.position.tolist()))
    assert (len(one.roots), len(one.child_rows)) == (len(two.roots), len(two.child_rows))


def test_films_without_cells(model):
    for shape in ((1, 8, 8), (3, 16, 16)):
        assert len(lineage.track(np.zeros(shape), Settings(hypotheses=True))) == 0


@pytest.mark.parametrize(
    ("settings", "given", "message"),
    [
        ({}, {"labels": True}, "hypotheses are for films that are segmented here, but label masks were given: leave one of the two out"),
        (
            {"segment": "classical"},
            {},
            "hypotheses need a trained segmenter, but the method is classical: name weights, or do without hypotheses",
        ),
    ],
)
def test_hypotheses_that_cannot_be_had(film, tmp_path, settings, given, message):
    np.save(tmp_path / "film.npy", film[0])
    np.save(tmp_path / "labels.npy", film[1])
    labels = tmp_path / "labels.npy" if given else None
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        pipeline.run(tmp_path / "film.npy", tmp_path / "out", labels=labels, settings=Settings(hypotheses=True, **settings))
    assert not (tmp_path / "out").exists()


def test_a_bad_frame_is_named(model):
    broken = np.zeros((3, 8, 8))
    broken[1, 2, 2] = 5
    broken[2, 2, 2] = np.nan
    object.__setattr__(model, "decoder", SimpleNamespace(channels=("probability",)))
    message = (
        "frame 0: the decoder SimpleNamespace asks for probability: hypotheses need the channel 'foreground', "
        "as boundary, components and distance have it"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        lineage.track(broken, Settings(hypotheses=True))


# masks that share pixels


def test_masks_that_do_not_share_pixels_overlap_as_labels_do(film):
    labels = film[1][:4]
    cells = Detections.from_labels(labels)
    pixels = [np.flatnonzero(labels[t].ravel() == k) for t, k in zip(cells.frame, cells.label, strict=True)]
    masks = Masks(labels.shape, np.concatenate(pixels), np.cumsum([0, *map(len, pixels)]))
    ahead = lambda dt: cells.position + dt * np.array([0.4, 0.3])  # noqa: E731
    for options in ({}, {"max_gap": 2}, {"max_gap": 1, "ahead": ahead}):
        one, two = (overlapping(cells, of, **options) for of in (labels, masks))
        assert (one.source.tolist(), one.target.tolist()) == (two.source.tolist(), two.target.tolist())
        for name in one.columns:
            np.testing.assert_array_equal(one.columns[name], two.columns[name])


def test_overlaps_of_masks_that_share_pixels_are_those_of_sets():
    rng = np.random.default_rng(0)
    sets = [np.sort(rng.choice(16, rng.integers(1, 9), replace=False)) for _ in range(12)]
    cells = Detections(np.repeat([0, 1, 2], 4), rng.random((12, 2)), np.tile(np.arange(1, 5), 3))
    masks = Masks((3, 4, 4), np.concatenate(sets), np.cumsum([0, *map(len, sets)]))
    graph = overlapping(cells, masks, max_gap=1)
    found = {(i, j): v for i, j, v in zip(graph.source, graph.target, graph.columns["iou"], strict=True)}
    pairs = {(i, j): (set(sets[i]), set(sets[j])) for i in range(12) for j in range(12) if cells.frame[i] < cells.frame[j]}
    wanted = {pair: len(a & b) / len(a | b) for pair, (a, b) in pairs.items() if a & b}
    assert found == pytest.approx(wanted)


def test_pixels_are_measured_as_labels_are(film):
    image, labels = film[0][0], film[1][0]
    known = measure(labels, np.array([2.0, 0.5]), image)
    pixels = [np.flatnonzero(labels.ravel() == k) for k in known["label"]]
    owner = np.repeat(np.arange(len(pixels)), list(map(len, pixels)))
    found = measure_pixels(np.concatenate(pixels), owner, len(pixels), labels.shape, np.array([2.0, 0.5]), intensity=image)
    assert set(known) == {"label", *found}
    for name, column in found.items():
        np.testing.assert_allclose(column, known[name], err_msg=name)


# what choosing costs


def test_parts_are_charged_what_they_would_earn_too_much():
    area = np.array([100.0, 60, 40, 50, 50])
    cells = Detections(np.zeros(5, int), np.zeros((5, 2)), np.arange(1, 6), {"area": area, "select_cost": np.array([-1.0, -1, 0.5, -1, 2])})
    rivals = replace(cells, conflicts=[[0, 1], [0, 2]])
    np.testing.assert_allclose(selection(rivals, 10.0), [-1, -1 + 0.6 * 4, 0.5 + 0.6 * 6, -np.inf, 2])
    np.testing.assert_allclose(selection(rivals, 0.0), [-1, -1, 0.5, -np.inf, 2])
    np.testing.assert_allclose(selection(cells, 10.0), [-np.inf, -np.inf, 0.5, -np.inf, 2])


def test_masks_are_for_detections_only(film):
    with pytest.raises(ValueError, match=f"^{re.escape('masks are for detections: label films are their own masks')}$"):
        link(film[1], masks=Masks((1, 2, 2), np.zeros(0, int), np.zeros(1, int)))


# which model


def test_auto_takes_what_is_shipped(monkeypatch, tmp_path):
    monkeypatch.setattr(segmentation, "__file__", str(tmp_path / "__init__.py"))
    (tmp_path / "weights").mkdir()
    assert [pipeline.segmenting.automatic("auto", n) for n in (2, 3)] == ["classical", "classical"]
    for name in ("nuclei-2d", "nuclei-3d"):
        (tmp_path / "weights" / f"{name}.safetensors").touch()
    assert [pipeline.segmenting.automatic("auto", n) for n in (2, 3)] == ["nuclei-2d", "nuclei-3d"]
    assert pipeline.segmenting.automatic("cells-phase-2d", 2) == "cells-phase-2d"


@pytest.mark.parametrize(
    ("dims", "inputs", "axes", "message"),
    [
        (2, 1, 3, "mine segments 2D frames, but the film is 3D: take 'classical' or give label masks"),
        (3, 1, 2, "mine segments 3D frames, but the film is 2D: take 'classical' or give label masks"),
        (2, 2, 2, "mine takes 2 channels, but a film has one: take other weights or give label masks"),
    ],
)
def test_models_for_other_films_are_refused(monkeypatch, dims, inputs, axes, message):
    made = Model(network=network(dims, inputs))
    monkeypatch.setattr(segmentation, "load", lambda name: made, raising=False)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        pipeline.segmenter("mine", n_axes=axes)


def test_models_for_stacks_segment_stacks(monkeypatch):
    made = Model(network=network(3, 1))
    monkeypatch.setattr(segmentation, "load", lambda name: made, raising=False)
    stack = np.zeros((1, 5, 12, 12))
    stack[0, 1:4, 3:9, 3:9] = 90
    (labels,) = pipeline.segment(stack, "nuclei-3d")
    assert ((labels == 1) == (stack[0] > 0)).all()


# denoising


class Denoiser:
    """Takes off what it knows to be noise, and remembers how often it was asked."""

    frames = 1
    network = SimpleNamespace(config=SimpleNamespace(dims=2, inputs=1))

    def __init__(self, noise):
        self.noise, self.asked, self.film = noise, 0, None

    def predict_film(self, film):
        self.film = film
        return self

    def __getitem__(self, t):
        self.asked += 1
        return self.film[t] - self.noise


def test_denoised_frames_are_segmented_and_measured(film, model, monkeypatch, tmp_path):
    images = film[0][:3]
    noise = 40 * (np.add.outer(np.arange(SHAPE[0]), np.arange(SHAPE[1])) % 2)
    denoiser = Denoiser(noise)
    monkeypatch.setattr(restoration, "load", lambda name: {"mine": denoiser}[name], raising=False)
    clean, noisy = lineage.track(images), lineage.track(images + noise)
    restored = lineage.track(images + noise, Settings(denoise="mine"))
    np.testing.assert_array_equal(restored.detections.position, clean.detections.position)
    np.testing.assert_allclose(restored.detections.columns["intensity_mean"], clean.detections.columns["intensity_mean"])
    assert noisy.detections.columns["intensity_mean"].tolist() != clean.detections.columns["intensity_mean"].tolist()
    np.save(tmp_path / "noisy.npy", images + noise)
    shown = []
    monkeypatch.setattr(pipeline.running, "report", lambda forest, film, *rest, **more: shown.append(np.stack([film[t] for t in range(3)])))
    done = pipeline.run(tmp_path / "noisy.npy", tmp_path / "out", settings=Settings(denoise="mine", hypotheses=True))
    chosen = lineage.track(images, Settings(hypotheses=True))
    np.testing.assert_array_equal(done.forest.detections.position, chosen.detections.position)
    np.testing.assert_array_equal(shown[0], images + noise)


def test_a_frame_is_denoised_once_when_asked_twice(film, monkeypatch):
    denoiser = Denoiser(0)
    monkeypatch.setattr(restoration, "load", lambda name: denoiser, raising=False)
    opened = pipeline.restoring.denoised(lineage.films.open_film(film[0]), "mine")
    opened[2][:] = -1  # the caller's own copy
    np.testing.assert_array_equal(opened[2], film[0][2])
    assert (denoiser.asked, opened[3].shape, denoiser.asked) == (1, SHAPE, 2)


def test_a_denoiser_that_fails_names_the_frame(film, monkeypatch):
    monkeypatch.setattr(restoration, "load", lambda name: Denoiser(np.zeros((1, 1, 1))), raising=False)
    opened = pipeline.restoring.denoised(lineage.films.open_film(film[0]), "mine")
    message = "frame 2: the denoiser mine gave shape (1, 72, 96) for a frame of shape (72, 96)"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        opened[2]


def test_the_command_takes_both(film, model, monkeypatch, run, tmp_path):
    monkeypatch.setattr(restoration, "load", lambda name: Denoiser(0), raising=False)
    np.save(tmp_path / "film.npy", film[0])
    code, printed, _ = run("track", tmp_path / "film.npy", "-o", tmp_path / "out", "--hypotheses", "--denoise", "mine")
    assert code == 0
    assert "110 cells in 10 frames, 11 lineages, 0 divisions" in printed
    assert json.loads((tmp_path / "out" / "run.json").read_text())["settings"]["denoise"] == "mine"
