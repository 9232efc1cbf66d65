"""Blind spots lie where they should, as often, and are replaced as they should: each known mistake of others has its test."""

import re

import numpy as np
import pytest

from restoration.blindspots import Struct, blind, medians, neighbours, spots, window
from restoration.noise2void import Noise2Void, struct_of


@pytest.mark.parametrize(
    ("shape", "percent"), [((64, 64), 0.2), ((64, 64), 2.0), ((40, 56), 1.5), ((24, 32, 40), 0.2), ((16, 24, 24), 2.0)]
)
def test_the_share_of_spots_is_what_was_asked_in_two_and_in_three_dimensions(shape, percent):
    """Another program takes the square root in three dimensions too: 0.2 per cent become 0.009."""
    rng = np.random.default_rng(0)
    draws = 200
    count = sum(len(spots(shape, percent, rng)) for _ in range(draws))
    wanted = draws * np.prod(shape) * percent / 100
    assert abs(count - wanted) < 0.06 * wanted  # two cells may share a pixel: a little below


def test_every_pixel_is_a_spot_equally_often():
    rng = np.random.default_rng(0)
    seen = np.zeros((6, 7))
    for _ in range(4000):
        seen[tuple(spots((6, 7), 10.0, rng).T)] += 1
    assert seen.min() > 300 and seen.max() < 470  # 4000 * 10 % = 400, standard deviation below 20


def test_spots_are_spread():
    """One a cell: two spots of neighbouring cells can touch, but no place is crowded."""
    rng = np.random.default_rng(0)
    counts = [len(spots((50, 50), 4.0, rng)) for _ in range(50)]
    assert np.std(counts) < 6  # independent pixels would give 9.8


def test_neighbours_are_drawn_alike_also_in_the_same_row_and_column_and_never_the_spot():
    """Another program never takes a neighbour of the same row or column, and takes +1 twice as often."""
    rng = np.random.default_rng(0)
    places = np.full((24 * 2000, 2), 5)
    found = neighbours(places, window(2, 2), (11, 11), rng) - 5
    values, counts = np.unique(found, axis=0, return_counts=True)
    assert len(values) == 24 and [0, 0] not in values.tolist()
    assert [0, 1] in values.tolist() and [-2, 0] in values.tolist()
    assert counts.min() > 1750 and counts.max() < 2250  # 2000, standard deviation 44


def test_neighbours_at_the_rim_are_inside_and_alike():
    rng = np.random.default_rng(0)
    found = neighbours(np.zeros((3 * 2000, 2), int), window(1, 2), (8, 8), rng)
    values, counts = np.unique(found, axis=0, return_counts=True)
    assert values.tolist() == [[0, 1], [1, 0], [1, 1]]
    assert counts.min() > 1850 and counts.max() < 2150


def test_neighbours_in_a_line_of_three_pixels():
    """So little room that drawing fails again and again: the last ones are listed."""
    found = neighbours(np.full((400, 2), 1) * [0, 1], window(5, 2), (1, 3), np.random.default_rng(0))
    assert set(map(tuple, found.tolist())) == {(0, 0), (0, 2)}


def test_no_neighbour_at_all():
    with pytest.raises(
        ValueError, match=re.escape("no neighbour is left in a patch of shape (1, 1): give larger patches or hide fewer pixels")
    ):
        neighbours(np.zeros((1, 2), int), window(1, 2), (1, 1), np.random.default_rng(0))


def test_the_median_of_what_is_inside_without_the_spot():
    channel = np.arange(25.0).reshape(5, 5)
    around = [0, 1, 2, 5, 7, 10, 11, 12]
    assert medians(channel, np.array([[1, 1]]), window(1, 2)) == np.median(around)
    assert medians(channel, np.array([[0, 0]]), window(1, 2)) == np.median([1, 5, 6])


def test_the_median_leaves_out_what_is_hidden_with_the_spot():
    channel = np.zeros((5, 5))
    channel[2] = 1000  # noise shared along the row
    assert medians(channel, np.array([[2, 2]]), window(1, 2, Struct((1, 3)))) == 0
    assert medians(channel, np.array([[2, 2]]), window(1, 2)) == 0
    channel[:, 2] = 1000
    assert medians(channel, np.array([[2, 2]]), window(1, 2, Struct((3, 3)))) == 0


@pytest.mark.parametrize("replace", ["uniform", "median"])
def test_the_mask_is_where_the_spots_are_even_where_nothing_changed(replace):
    """Another program marks "value changed", and so forgets the spots of flat and saturated places."""
    flat = np.full((3, 1, 32, 32), 7.0, np.float32)
    changed, mask = blind(flat, np.random.default_rng(0), percent=4.0, radius=3, replace=replace)
    assert (changed == flat).all()
    assert 25 < mask.sum() / 3 < 55 and set(np.unique(mask)) == {0, 1}


@pytest.mark.parametrize("replace", ["uniform", "median"])
def test_only_spots_change_and_the_input_stays(replace):
    pictures = np.random.default_rng(1).normal(size=(2, 1, 24, 24)).astype(np.float32)
    before = pictures.copy()
    changed, mask = blind(pictures, np.random.default_rng(0), percent=3.0, radius=2, replace=replace)
    assert (pictures == before).all()
    assert (changed[mask == 0] == pictures[mask == 0]).all()
    assert (changed[mask == 1] != pictures[mask == 1]).all()


def test_uniform_replacements_are_values_of_the_untouched_window():
    pictures = np.arange(2 * 20 * 20, dtype=np.float32).reshape(2, 1, 20, 20)
    changed, mask = blind(pictures, np.random.default_rng(0), percent=10.0, radius=2)
    for n, _, y, x in np.argwhere(mask):
        origin = changed[n, 0, y, x] - 400 * n
        assert max(abs(origin // 20 - y), abs(origin % 20 - x)) <= 2


def test_each_channel_has_spots_of_its_own():
    pictures = np.random.default_rng(1).normal(size=(1, 2, 32, 32)).astype(np.float32)
    _, mask = blind(pictures, np.random.default_rng(0), percent=2.0, radius=3)
    assert mask.shape == (1, 2, 32, 32)
    assert (mask[0, 0] != mask[0, 1]).any()


def test_of_a_film_only_the_middle_frame_is_blind():
    pictures = np.random.default_rng(1).normal(size=(2, 5, 16, 16)).astype(np.float32)
    way = Noise2Void(frames=5, percent=5.0)
    changed, wanted = next(iter(way.batches([(pictures, pictures[:, 2:3])], seed=0)))
    assert (changed[:, [0, 1, 3, 4]] == pictures[:, [0, 1, 3, 4]]).all()
    assert (changed[:, 2] != pictures[:, 2]).sum() == wanted[:, 1].sum() > 0
    assert (wanted[:, 0] == pictures[:, 2]).all()


def test_a_structured_spot_hides_its_line_but_counts_alone():
    pictures = np.random.default_rng(1).normal(size=(1, 1, 32, 32)).astype(np.float32)
    changed, mask = blind(pictures, np.random.default_rng(0), percent=0.5, radius=5, struct=Struct((1, 5)))
    hidden = np.argwhere(changed[0, 0] != pictures[0, 0])
    centres = np.argwhere(mask[0, 0])
    assert len(hidden) > 2 * len(centres) > 0
    assert all(any(y == cy and abs(x - cx) <= 2 for cy, cx in centres) for y, x in hidden)


@pytest.mark.parametrize(
    ("struct", "offsets"),
    [
        (Struct((1, 3)), {(0, -1), (0, 1)}),
        (Struct((3, 1)), {(-1, 0), (1, 0)}),
        (Struct((3, 3)), {(0, -1), (0, 1), (-1, 0), (1, 0)}),
        (Struct((3, 3), box=True), {(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)} - {(0, 0)}),
        (Struct((1, 1, 3)), {(0, 0, -1), (0, 0, 1)}),
    ],
)
def test_what_a_struct_hides(struct, offsets):
    assert set(map(tuple, struct.offsets().tolist())) == offsets
    assert not offsets & set(map(tuple, window(2, len(struct.spans), struct).tolist()))


def test_the_struct_that_the_measured_noise_suggests():
    assert struct_of(None, 2) is None
    assert set(map(tuple, struct_of(np.ones((1, 5), bool), 2).offsets().tolist())) == {(0, -2), (0, -1), (0, 1), (0, 2)}
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)
    assert struct_of(cross, 3) == Struct((1, 3, 3))
    assert struct_of(np.ones((3, 3), bool), 2) == Struct((3, 3), box=True)


def test_noise_shared_along_rows_is_found_and_hidden():
    noise = np.random.default_rng(0).normal(size=(2, 96, 98))
    film = 100 + 10 * (noise[:, :, 1:-1] + noise[:, :, :-2])  # each pixel shares half of its variance with the one to the left
    found = Noise2Void(struct="auto").adapted(film.astype(np.float32)).struct
    assert found is not None and found.spans[0] == 1 and found.spans[1] >= 3
    white = 100 + 10 * noise
    assert Noise2Void(struct="auto").adapted(white.astype(np.float32)).struct is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"percent": 0}, "percent is 0: give a share of the pixels above 0 and at most 25 per cent"),
        ({"radius": 0}, "radius is 0: give an integer of at least 1"),
        ({"replace": "mean"}, "replace is 'mean': give 'uniform' or 'median'"),
        ({"frames": 2}, "frames is 2: give 1, 3 or 5, so that there is one in the middle"),
        ({"frames": 3, "channels": 2}, "channels is 2 and frames 3: give at least 1 channel, and several of one of them only"),
    ],
)
def test_settings_that_cannot_be(wrong, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Noise2Void(**wrong)


def test_structs_that_cannot_be():
    message = "spans are (2, 3): give an odd number of pixels for each axis ([z,] y, x), 1 where none is hidden"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Struct((2, 3))
    pictures = np.zeros((1, 1, 8, 8), np.float32)
    message = "struct has spans (1, 1, 3) for 3 axes, but the pictures have 2"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        blind(pictures, np.random.default_rng(0), percent=2, radius=2, struct=Struct((1, 1, 3)))
    message = "struct spans (3, 3) fill the window of radius 1: give a larger radius"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        blind(pictures, np.random.default_rng(0), percent=2, radius=1, struct=Struct((3, 3), box=True))
