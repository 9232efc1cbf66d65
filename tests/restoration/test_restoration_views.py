"""What is shown and wanted: pairs, neighbours, consecutive frames; and what cannot be learned from is refused."""

import re

import numpy as np
import pytest

from restoration.alignment import check_aligned, motion, shift
from restoration.noise2noise import Noise2Noise
from restoration.patches import Feed, patch_size, patches, signal_places, turned, turned_back
from restoration.scales import Affine, Constants, Percentile, describe, matched, scale_from
from restoration.views import Listed, consecutive_of, neighbours_of, pairs_of, rows_around


def test_a_shift_is_found_and_none_where_there_is_none(make_blobs):
    scene, rng = make_blobs(64), np.random.default_rng(0)
    noisy = [scene + rng.normal(0, 8, scene.shape) for _ in range(2)]
    assert shift(*noisy).pixels == (0, 0)
    moved = shift(noisy[0], np.roll(noisy[1], (3, -2), (0, 1)))
    assert moved.pixels == (3, -2) and moved.is_sure and moved.length == pytest.approx(np.hypot(3, 2))
    noise = [rng.normal(size=(64, 64)) for _ in range(2)]
    assert not shift(*noise).is_sure
    assert not shift(np.zeros((8, 8)), np.zeros((8, 8))).is_sure


def test_pairs_of_another_size_or_place_are_refused(make_blobs):
    scene = make_blobs(64)
    check_aligned(scene, scene + 1, where="pair 0")
    message = "pair 0 has pictures of shape (64, 64) and (64, 60): cut or resample them to one shape"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        pairs_of([(scene, scene[:, :60])])
    message = "pair 1 is misaligned: the second picture is shifted by (4, 0) pixels: register the pictures first"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        pairs_of([(scene, scene), (scene, np.roll(scene, 4, 0))])
    assert len(pairs_of([(scene, np.roll(scene, 4, 0))], align=False)) == 1


def test_pairs_that_say_nothing_are_refused(make_blobs):
    scene = make_blobs(32)
    hole = scene.copy()
    hole[3, 4] = np.nan
    for pair, message in (
        ((scene, np.full((32, 32), 7.0)), "pair 0: the wanted picture is constant (7): leave the pair out"),
        ((np.zeros((32, 32)), scene), "pair 0: the noisy picture is constant (0): leave the pair out"),
        ((hole, scene), "pair 0: image has 1 NaN or infinite pixels, the first at (3, 4): replace them by finite values"),
        ((scene,), "pair 0 has 1 pictures: give (noisy, wanted)"),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            pairs_of([pair])
    with pytest.raises(ValueError, match=re.escape("there is no pair to learn from: give at least one (noisy, wanted)")):
        pairs_of([])


def test_saturated_pictures_are_said(make_blobs):
    scene = make_blobs(48)
    bright = np.minimum(scene, np.percentile(scene, 90))
    with pytest.warns(UserWarning, match=r"^frame 0: 10\.\d % of the pixels have the largest value \(\d+\.?\d*\): they are saturated, "):
        neighbours_of(bright[None])


def test_a_pair_can_be_used_in_both_directions():
    a, b = np.random.default_rng(0).normal(size=(2, 16, 16))
    views = pairs_of([(a, b)], align=False, swap=True)
    assert len(views) == 2
    assert (views[0][0][0] == a).all() and (views[1][0][0] == b).all() and (views[1][1][0] == a).all()


def test_the_neighbours_of_a_frame_and_at_the_ends_those_on_the_other_side():
    film = np.arange(4)[:, None, None] + np.zeros((4, 3, 3)) + np.eye(3)
    views = neighbours_of(film, frames=3)
    shown, wanted = views[0]
    assert shown[:, 0, 1].tolist() == [1, 0, 1] and wanted[:, 0, 1].tolist() == [0]
    assert views[3][0][:, 0, 1].tolist() == [2, 3, 2] and views[2][0][:, 0, 1].tolist() == [1, 2, 3]
    assert [rows_around(t, frames=5, count=5) for t in (0, 1, 4)] == [[2, 1, 0, 1, 2], [3, 0, 1, 2, 3], [2, 3, 4, 3, 2]]


@pytest.mark.parametrize("frames", [1, 3, 5])
def test_no_frame_is_its_own_neighbour(frames):
    """Else the network would see the noise that it is to guess."""
    for count in range(frames, frames + 4):
        for t in range(count):
            rows = rows_around(t, frames=frames, count=count)
            assert rows.count(t) == 1 and rows[frames // 2] == t and set(rows) <= set(range(count))


def test_films_that_cannot_be_learned_from():
    for film, settings, message in (
        (np.zeros((1, 8, 8)), {"frames": 3}, "the film has 1 frame(s), but frames=3 neighbours are shown: give a longer film or frames=1"),
        (np.full((2, 8, 8), 5.0), {}, "the film is constant (5): there is nothing to learn from it"),
        ([], {}, "the film has no frame: give at least one"),
        (
            np.full((2, 8, 8), np.inf),
            {},
            "frame 0: image has 64 NaN or infinite pixels, the first at (0, 0): replace them by finite values",
        ),
        ([np.zeros(5)], {}, "frame 0 has shape (5,): give pictures of shape (Y, X) or (Z, Y, X)"),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            neighbours_of(film, **settings)


def test_consecutive_frames_count_as_two_views_unless_things_move(noisy_film, make_blobs):
    film, _ = noisy_film
    views = consecutive_of(film)
    assert len(views) == 10
    assert (views[2][0][0] == film[1]).all() and (views[2][1][0] == film[2]).all() and (views[3][0][0] == film[2]).all()
    scene = make_blobs(64)
    fast = np.stack([np.roll(scene, 5 * t, 1) for t in range(3)])
    assert motion(fast[0], fast[1]) == 5
    message = (
        "things move by 5.0 pixels from frame to frame (most from frame 0: 5.0), and noise2noise takes two frames as the same scene "
        "(1.5 is the limit): use method noise2void, with frames=3 if they move little"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        consecutive_of(fast)
    message = "the film has a single frame: noise2noise needs two views of the same; noise2void needs one"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        consecutive_of(film[:1])


def test_noise2noise_tells_a_film_from_pairs(noisy_film):
    film, scene = noisy_film
    assert Noise2Noise().adapted(film).film and Noise2Noise().adapted(list(film)).film
    assert not Noise2Noise().adapted([(scene, scene)]).film


def test_scales_go_and_come_back():
    picture = np.random.default_rng(0).normal(500, 40, (3, 20, 20))
    scale = Constants.of([picture[:1], picture[1:]])
    assert scale.mean == pytest.approx(picture.mean()) and scale.std == pytest.approx(picture.std())
    for kind in (scale, Percentile(2, 99.8)):
        affine = kind.measure(picture)
        assert np.allclose(affine.back(affine(picture)), picture, atol=1e-3)
        assert scale_from(describe(kind)) == kind
    assert Percentile().measure(np.full((4, 4), 9.0)) == Affine(9.0, 1.0)
    shown, wanted = scale.pair(picture, picture + scale.std, np.random.default_rng(0))
    assert np.allclose(wanted - shown, 1, atol=1e-5)
    with pytest.raises(ValueError, match=re.escape("all training pictures are constant (3): there is nothing to learn from them")):
        Constants.of([np.full((4, 4), 3.0)])


def test_percentiles_of_pairs():
    rng = np.random.default_rng(0)
    good = rng.uniform(0, 1, (1, 50, 50))
    noisy = 200 * good + 1000 + rng.normal(0, 20, good.shape)
    shown, own = Percentile(wanted="own").pair(noisy, good, rng)
    assert 0.9 < np.ptp(own) < 1.2
    assert np.allclose(matched(good, noisy), 200 * good + 1000, atol=8)  # noise does not flatten the fit
    shown, fitted = Percentile(wanted="matched").pair(noisy, good, rng)
    assert abs(float((fitted - shown).mean())) < 0.01


def test_patches_cut_shown_and_wanted_alike():
    plane = np.arange(30 * 40.0).reshape(1, 30, 40)
    views = Listed(2, lambda row: (plane, plane + 10_000 * (row + 1)))
    shown, wanted = next(patches(views, Constants(), Feed(count=8, side=16, signal=0.5), divisors=(4, 4)))
    assert shown.shape == wanted.shape == (8, 1, 16, 16)
    assert set(np.unique(wanted - shown)) == {10_000, 20_000}
    again, _ = next(patches(views, Constants(), Feed(count=8, side=16, signal=0.5), divisors=(4, 4)))
    assert (again == shown).all()


def test_long_films_are_exchanged_view_by_view():
    seen = []

    def make(row):
        seen.append(row)
        return (np.full((1, 8, 8), float(row)),) * 2

    stream = patches(Listed(9, make), Constants(), Feed(count=4, side=8, keep=3), divisors=(1, 1))
    for _ in range(12):
        next(stream)
    assert set(seen[1:]) == set(range(9))  # the first one is asked for its size
    assert len(seen) <= 1 + 3 + 12


def test_patches_fit_the_picture_and_the_network():
    assert patch_size((100, 100), 64, (8, 8)) == (64, 64)
    assert patch_size((5, 30, 50), 64, (4, 4, 4)) == (4, 28, 28)
    message = "a picture of shape (6, 40) is too small for patches of side 64: this network needs at least (8, 8); "
    with pytest.raises(ValueError, match=f"^{re.escape(message)}give larger pictures or patches or a network of less depth$"):
        patch_size((6, 40), 64, (8, 8))


def test_signal_is_where_something_bright_is_near_the_middle():
    dark = np.zeros((1, 40, 40))
    dark[0, 29:32, 9:12] = 1
    places = signal_places(dark + 1e-6 * np.random.default_rng(0).normal(size=dark.shape), (8, 8))
    assert places.shape == (33, 33)
    assert places[26, 6] and not places[5, 5] and places.sum() <= 49


@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("flip", [False, True])
def test_turns_are_undone(quarters, flip):
    picture = np.random.default_rng(0).normal(size=(2, 5, 7))
    assert (turned_back(turned(picture, quarters=quarters, flip=flip), quarters=quarters, flip=flip) == picture).all()
