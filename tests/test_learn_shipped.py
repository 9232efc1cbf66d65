"""The learned scores that are shipped: small, described, calibrated on frames they have not learned from."""

from __future__ import annotations

import time

import numpy as np
import pytest

from lineage import Forest, link, simulate
from lineage.benchmarking.case import case_of
from lineage.detections import Detections
from lineage.learn import Lesson, judge, load
from lineage.learn.calibration import expected_error
from lineage.learn.model import WEIGHTS
from lineage.linking import candidate_graph
from lineage.settings import Settings

SHIPPED = sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))


def propose(cells):
    return candidate_graph(cells, None, Settings())


@pytest.mark.parametrize("name", SHIPPED)
def test_weights_are_small_and_have_a_card(name):
    path = WEIGHTS / f"{name}.safetensors"
    assert path.stat().st_size < 12e6
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    assert card.startswith(f"# {name}\n") and "Trained on" in card and "Measured" in card
    model = load(name)
    assert sum(weight.numel() for weight in model.network.parameters()) < 1_000_000
    assert model.about["films"] and model.calibration.temperature > 0


@pytest.mark.parametrize("name", SHIPPED)
def test_auto_chooses_by_the_axes_of_the_film(name):
    assert load("auto", int(name[-2])).about == load(name).about


@pytest.mark.skipif("edges-2d" not in SHIPPED, reason="edges-2d is not shipped")
def test_simulated_nuclei_are_followed_with_learned_scores():
    film = simulate(frames=10, cells=15, size=(128, 128), seed=5)
    forest = link(film.labels, settings=Settings(edges="auto"))
    assert (forest.parent == film.truth.parent).mean() > 0.97
    alone = link(film.labels, settings=Settings(edges="edges-2d", edges_weight=1.0))
    assert (alone.parent == film.truth.parent).mean() > 0.93


@pytest.mark.skipif("edges-2d" not in SHIPPED, reason="edges-2d is not shipped")
def test_hela_is_scored_quickly_and_honestly(data):
    """The second half in time, which nothing was learned from."""
    folder = data / "ctc" / "Fluo-N2DL-HeLa"
    case = case_of(folder / "01_ST" / "SEG", folder / "01_GT")
    truth = case.oracle()
    cells = Detections.from_labels(case.labels)
    lesson = Lesson.of(Forest(cells, truth.parent, truth.selected), case.labels)
    model = load("edges-2d")
    began = time.process_time()
    model.scores(lesson.graph(propose))
    assert time.process_time() - began < 10
    _, sure, right = judge(model, [lesson.between(46, 92)], propose)
    assert len(right) > 5000 and right.mean() > 0.99
    assert expected_error(sure, right) < 0.03
    assert np.abs(sure[~right] - 0.5).mean() < np.abs(sure[right] - 0.5).mean()  # it is less sure where it errs


def test_shipped_scores_of_the_other_kind_of_film_are_refused():
    film = simulate(frames=3, cells=4, seed=0)
    with pytest.raises(ValueError, match=r"^edges-3d does not know 2D films: take edges-2d, or auto$"):
        link(film.labels, settings=Settings(edges="edges-3d"))
