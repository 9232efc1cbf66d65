"""Thresholds are found where they are known, for every decoder, and the same each time."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pytest

from segmentation.decoders import DECODERS
from segmentation.decoders.boundary import Boundary
from segmentation.decoders.classes import Classes
from segmentation.decoders.components import Components
from segmentation.tuning import judged, tuned, worth


@dataclass(frozen=True)
class Toy:
    """Finds squares whose brightness lies above one threshold and below another; counts how often it is asked."""

    least: float = 0.0
    most: float = 1.0
    channels = ("brightness",)
    grid = {"least": (0.0, 0.2, 0.5), "most": (0.6, 0.9, 1.0)}  # noqa: RUF012
    asked = []  # noqa: RUF012

    def __call__(self, said):
        self.asked.append(self)
        return np.where((said[0] > self.least) & (said[0] < self.most), np.arange(said[0].size).reshape(said[0].shape) // 4 + 1, 0)


def toy_picture():
    """Four cells of four pixels; the true ones have brightness 0.3 and 0.7, the false ones 0.1 and 0.95."""
    labels = np.repeat([0, 1, 2, 0], 4)[None]
    return labels, np.repeat([0.1, 0.3, 0.7, 0.95], 4)[None, None].astype(np.float16)


def test_the_known_optimum_is_found_and_nothing_is_tried_twice():
    Toy.asked.clear()
    best = tuned(Toy(), [toy_picture()])
    assert best == Toy(least=0.2, most=0.9)
    assert len(Toy.asked) == len(set(Toy.asked))
    assert worth(Toy(), [toy_picture()]) == 2 * 2 / 4 < worth(best, [toy_picture()]) == 2


def test_what_makes_no_difference_stays():
    assert tuned(Toy(most=0.9), [toy_picture()], {"most": (0.8, 0.75)}) == Toy(most=0.9)
    assert tuned(Toy(least=0.15, most=0.9), [toy_picture()]) == Toy(least=0.15, most=0.9)


def test_thresholds_that_need_each_other_are_found_in_the_second_round():
    labels, said = toy_picture()
    best = tuned(Toy(least=0.5, most=0.6), [(labels, said)])
    assert best == Toy(least=0.2, most=0.9)


def test_only_the_grid_is_searched_and_values_take_the_type_of_the_threshold():
    assert tuned(Toy(), [toy_picture()], {"least": (0.2,)}) == Toy(least=0.2)
    best = tuned(Boundary(), [touching()], {"levels": [[0.6, 0.4], []], "smallest": [5.0]})
    assert isinstance(best.levels, tuple) and isinstance(best.smallest, int)


def touching():
    """Two touching discs as a Boundary network would see them, blurred and noisy."""
    rows, columns = np.indices((40, 48))
    away = np.array([np.hypot(rows - 20, columns - x) for x in (15, 31)])
    labels = np.where(away.min(0) <= 9, away.argmin(0) + 1, 0)
    return labels, Boundary().targets(labels)


@pytest.mark.parametrize("name", [name for name in DECODERS if name in ("boundary", "components", "distance", "affinity")])
def test_every_decoder_becomes_better_and_the_same_each_time(name):
    decoder = DECODERS[name]()
    labels, _ = touching()
    noise = np.random.default_rng(1).normal(0, 0.1, (len(decoder.channels), *labels.shape))
    said = np.clip(np.maximum(decoder.targets(labels), 0) * 0.5 + 0.15 + noise, 0, 1).astype(np.float16)
    grid = {key: decoder.grid[key][:2] + decoder.grid[key][-1:] for key in list(decoder.grid)[:3]}
    best = tuned(decoder, [(labels, said)], grid)
    assert worth(best, [(labels, said)]) >= worth(decoder, [(labels, said)])
    assert best == tuned(decoder, [(labels, said)], grid)
    assert {key: value for key, value in vars(best).items() if key not in grid} == {
        key: value for key, value in vars(decoder).items() if key not in grid
    }


def test_pictures_may_be_decoded_at_once():
    pictures = [toy_picture()] * 3
    with ThreadPoolExecutor(2) as pool:
        assert tuned(Toy(), pictures, each=pool.map) == tuned(Toy(), pictures)


def test_classes_are_judged_by_dice():
    truth, result = np.array([[0, 1, 1]]), np.array([[0, 1, 0]])
    assert judged(Classes(), [(truth, result)])["dice_pooled_1"] == pytest.approx(2 / 3)
    assert judged(Components(), [(truth, result)])["ap_image_0.50"] == 1
    said = np.array([[[0.6, 0.6, 0.9]], [[0.4, 0.4, 0.1]]], np.float16)
    found = tuned(Classes(), [(np.array([[1, 1, 0]]), said)])
    assert found == replace(Classes(), favour=2.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tuned(Toy(), []), "there is no picture to tune on: give at least one with its true labels"),
        (lambda: tuned(Toy(), [toy_picture()], {"seed": (1,)}), "grid names 'seed', which Toy does not have: take from least, most"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()
