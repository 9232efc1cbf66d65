"""Noise measured on films whose noise is known, and denoisers judged whose faults are known."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
from scipy import ndimage

from restoration.checks import check_empty, check_residual
from restoration.correlation import autocorrelation_of, lagged, noise_correlation
from restoration.diagnosing import diagnose
from restoration.noise import noise_model


def scene(size=(128, 160), seed=0, cells=14, photons=60.0, ground=10.0):
    """Photons of an immobile field of soft discs."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(size)
    light = np.zeros(size)
    for cy, cx, r in zip(rng.uniform(0, size[0], cells), rng.uniform(0, size[1], cells), rng.uniform(6, 10, cells), strict=True):
        light = np.maximum(light, np.clip(1.5 - np.hypot(y - cy, x - cx) / r, 0, 1) * rng.uniform(0.5, 1))
    return photons * ndimage.gaussian_filter(light, 1.2) + ground


def film(light, *, gain=2.0, offset=100.0, read=3.0, frames=6, seed=0, mix=None):
    """What a camera makes of it; `mix` is a kernel that makes neighbours share noise."""
    rng = np.random.default_rng(seed)
    moving = np.stack([ndimage.shift(light, (0.7 * t, -0.4 * t), order=1, mode="nearest") for t in range(frames)])
    noise = gain * (rng.poisson(moving) - moving) + rng.normal(0, read, moving.shape)
    if mix is not None:
        noise = ndimage.convolve(noise, np.asarray(mix, float)[None] / math.sqrt(np.square(mix).sum()))
    return gain * moving + offset + noise


LIGHT = scene()
FILM = film(LIGHT)
TRUE = np.stack([ndimage.shift(LIGHT, (0.7 * t, -0.4 * t), order=1, mode="nearest") for t in range(6)]) * 2 + 100
NOISE = noise_model(FILM)


@pytest.mark.parametrize(("gain", "offset", "read"), [(2.0, 100.0, 3.0), (0.7, 50.0, 1.0), (5.0, 400.0, 20.0), (1.0, 0.0, 0.5)])
def test_gain_offset_and_read_noise_are_recovered(gain, offset, read):
    found = noise_model(film(LIGHT, gain=gain, offset=offset, read=read))
    assert found.gain == pytest.approx(gain, rel=0.06)
    assert abs(found.gain - gain) < 4 * found.gain_error
    assert found.offset_from == "skewness"
    assert abs(found.offset - offset) < max(4 * found.offset_error, 1.5 * gain)
    assert abs(found.read - read) < max(4 * found.read_error, 0.25 * read)
    assert found.background == pytest.approx(offset + 10 * gain, rel=0.06)


def test_a_known_offset_makes_the_read_noise_sure():
    found = noise_model(FILM, offset=100)
    assert (found.offset, found.offset_error, found.offset_from) == (100, 0, "given")
    assert found.read == pytest.approx(3, rel=0.2)


@pytest.mark.parametrize("more", [1_000.0, 33_000.0])
def test_a_large_offset_changes_nothing_else(more):
    """Some cameras and converters add half the range of 16 bits."""
    found = noise_model(FILM + more)
    assert found.gain == pytest.approx(NOISE.gain, rel=1e-6)
    assert found.offset == pytest.approx(NOISE.offset + more, abs=1e-3)
    assert found.read == pytest.approx(NOISE.read, rel=1e-3)


def test_the_variance_is_the_line_through_the_transfer_curve():
    np.testing.assert_allclose(NOISE.variance_at(np.array([100.0, 200.0])), [9, 2 * 100 + 9], rtol=0.2)
    assert NOISE.photons(200) == pytest.approx(50, rel=0.1)


def test_one_picture_is_enough_for_the_gain():
    found = noise_model(FILM[0])
    assert found.gain == pytest.approx(2, rel=0.2)
    assert found.correlation.direction == "none"


def test_stacks_are_looked_at_slice_by_slice():
    assert noise_model(FILM[:, None]).gain == NOISE.gain
    assert noise_model(FILM.reshape(2, 3, *LIGHT.shape)).gain == pytest.approx(2, rel=0.1)


def test_any_sequence_of_frames_will_do_and_nothing_is_altered():
    frames = [frame.copy() for frame in FILM]
    assert noise_model(frames).gain == NOISE.gain
    np.testing.assert_array_equal(np.stack(frames), FILM)


def test_noise_that_does_not_grow_with_light_has_no_gain():
    rng = np.random.default_rng(0)
    found = noise_model(TRUE + rng.normal(0, 5, TRUE.shape))
    assert found.gain == 0
    assert found.read == pytest.approx(5, rel=0.05)
    assert math.isnan(found.photons(300))
    assert found.offset_from == "darkest"


def test_the_model_draws_noise_like_the_films():
    again = noise_model(np.stack([NOISE.sample(frame, seed=t) for t, frame in enumerate(TRUE)]))
    assert again.gain == pytest.approx(NOISE.gain, rel=0.1)


@pytest.mark.parametrize(
    ("mix", "direction", "reach"),
    [
        ([[1, 1, 0]], "rows", (0, 1)),
        ([[1], [1], [0]], "columns", (1, 0)),
        ([[1, 1, 1]], "rows", (0, 2)),
        ([[1, 1, 0], [1, 1, 0], [0, 0, 0]], "square", (1, 1)),
        ([[0, 0.4, 0], [0.4, 1, 0.4], [0, 0.4, 0]], "square", (2, 2)),
    ],
)
def test_shared_noise_is_found_with_its_direction(mix, direction, reach):
    found = noise_model(film(LIGHT, mix=mix)).correlation
    assert found.direction == direction
    assert found.reach == reach
    assert found.mask.shape == (2 * reach[0] + 1, 2 * reach[1] + 1)
    assert found.mask.all()


def test_the_shared_part_is_measured_as_it_is():
    """Three pixels of equal weight share 2/3 with the nearest and 1/3 with the next; taking away the trend must not change that."""
    found = noise_model(film(LIGHT, mix=[[1, 1, 1]])).correlation
    np.testing.assert_allclose(found.map[8, 8:12], [1, 2 / 3, 1 / 3, 0], atol=0.03)


def test_a_cross_hides_no_diagonals():
    found = NOISE.correlation
    values = np.zeros((17, 17))
    values[8, 7:10] = values[7:10, 8] = 0.3
    cross = type(found)(values, 0.001)
    assert cross.direction == "cross"
    np.testing.assert_array_equal(cross.mask, [[False, True, False], [True, True, True], [False, True, False]])


def test_what_a_filter_makes_of_shared_noise_is_known():
    found = noise_model(film(LIGHT, mix=[[1, 1, 0]]))
    assert found.correlation.filtered(np.array([[0.5, 0.5, 0]])) == pytest.approx(1.5, abs=0.06)
    assert found.gain == pytest.approx(2, rel=0.15)  # the filter that measures it would be wrong by a third
    assert NOISE.correlation.filtered(np.array([[0.5, 0.5, 0]])) == 1


def test_false_alarms_of_shared_noise_are_rare():
    rng = np.random.default_rng(0)
    found = [noise_correlation([(rng.normal(size=(64, 64)), rng.normal(size=(64, 64)))], np.ones_like) for _ in range(40)]
    assert sum(f.direction != "none" for f in found) == 0
    assert all(f.mask is None for f in found)
    spread = np.std([f.map[8, 9] for f in found])
    assert spread == pytest.approx(found[0].error, rel=0.3)  # the stated standard error is the true one


def test_lagged_sums_are_those_of_the_definition():
    a = np.random.default_rng(0).normal(size=(5, 7))
    for dy, dx in ((0, 0), (1, 0), (-2, 1), (2, 2)):
        want = sum(a[y, x] * a[y + dy, x + dx] for y in range(5) for x in range(7) if 0 <= y + dy < 5 and 0 <= x + dx < 7)
        assert lagged(a, 2)[2 + dy, 2 + dx] == pytest.approx(want)
    np.testing.assert_allclose(autocorrelation_of(a[:3, :3]), lagged(a[:3, :3], 2), atol=1e-12)


def test_saturated_pixels_are_counted_and_left_out():
    bright = np.rint(film(LIGHT, gain=4, offset=20))
    bright = np.where(bright > np.percentile(bright, 98), 255, np.maximum(bright, 0)).astype(np.uint8)
    found = noise_model(bright)
    assert 0.005 < found.saturated < 0.2
    assert found.gain == pytest.approx(4, rel=0.15)
    assert "Saturation" in {verdict.title for verdict in diagnose(bright).verdicts}


def test_a_blank_rim_says_nothing_of_the_noise():
    seen = film(LIGHT, gain=4, offset=20)
    rim = np.pad(seen, ((0, 0), (20, 0), (0, 30)))  # as registration leaves it
    plain, padded = noise_model(seen), noise_model(rim)
    assert padded.gain == pytest.approx(plain.gain, rel=0.05)
    assert padded.read == pytest.approx(plain.read, abs=2)
    assert padded.level.min() == pytest.approx(plain.level.min(), rel=0.1)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((3, 16, 64)), "frame 0 has shape (16, 64): give (Y, X) or (Z, Y, X) with at least 32 pixels along y and x"),
        (np.zeros((0, 64, 64)), "the film has no frames: give at least one picture"),
        (np.ones((3, 64, 64)), "frame 0 is constant (1): it has no noise to measure"),
        (
            np.where(np.arange(3)[:, None, None] == 1, np.nan, FILM[:3]),
            "frame 1: image has 20480 NaN or infinite pixels, the first at (0, 0): replace them by finite values",
        ),
        (
            np.where(LIGHT > 10.01, 255, 0).astype(np.uint8),
            "saturated",
        ),
    ],
)
def test_films_without_noise_to_measure_are_refused(bad, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        noise_model(bad)


def blurred(sigma):
    return lambda picture: ndimage.gaussian_filter(picture, sigma)


def inventive(picture):
    """Smooths, and turns what little contrast there is into blobs."""
    rough = ndimage.gaussian_filter(picture, 3) - ndimage.gaussian_filter(picture, 6)
    return ndimage.gaussian_filter(picture, 2) + 15 * np.maximum(rough - rough.std(), 0)


def marks(found):
    return {verdict.title: verdict.mark for verdict in found.verdicts}


def test_a_perfect_denoiser_takes_noise_and_nothing_else():
    found = check_residual(FILM, TRUE, NOISE)
    assert found.removed == pytest.approx(1, abs=0.08)
    assert (found.rows, found.columns, found.bias, found.image) == pytest.approx((0, 0, 0, 0), abs=0.05)
    assert found.detail == pytest.approx(1, abs=0.12)
    said = marks(diagnose(FILM, denoised=TRUE))
    assert (said["Lost detail"], said["Noise"]) == ("good", "good")


def test_the_identity_does_nothing_and_invents_nothing():
    said = diagnose(FILM, denoiser=lambda picture: picture)
    assert said.residual.removed == pytest.approx(0, abs=1e-9)
    assert said.empty.gain == pytest.approx(np.ones(8))
    assert (marks(said)["Noise"], marks(said)["Empty field"]) == ("look", "good")
    assert "bad" not in marks(said).values()


def test_a_denoiser_that_invents_structure_is_found_out():
    said = diagnose(FILM, denoiser=inventive)
    assert said.empty.invented > 2
    assert (marks(said)["Empty field"], marks(said)["Added detail"]) == ("bad", "bad")
    assert said.verdicts[0].mark == "bad"


def test_a_denoiser_that_takes_cells_away_is_found_out():
    said = marks(diagnose(FILM, denoiser=blurred(4)))
    assert (said["Lost detail"], said["Empty field"]) == ("bad", "good")


def test_mild_smoothing_leaves_noise():
    found = diagnose(FILM, denoiser=blurred(0.7))
    assert marks(found)["Noise"] == "look"
    assert found.residual.rows < -0.1
    assert "bad" not in marks(found).values()


def test_a_shifted_brightness_is_said():
    said = marks(diagnose(FILM, denoised=TRUE + 3))
    assert said["Brightness"] == "look"
    assert check_empty(lambda picture: picture + 30, NOISE).shift > 1


@pytest.mark.parametrize("sigma", [0.5, 1, 2, 4])
def test_no_smoothing_filter_is_said_to_invent(sigma):
    assert check_empty(blurred(sigma), NOISE).invented <= 1.01


def test_the_empty_field_has_the_noise_of_the_film():
    shared = noise_model(film(LIGHT, mix=[[1, 1, 0]]))
    found = check_empty(lambda picture: picture, shared).before
    deviation = math.sqrt(float(shared.variance_at(shared.background)))
    assert found.std() == pytest.approx(deviation, rel=0.05)
    beside = np.corrcoef(found[:, 1:].ravel(), found[:, :-1].ravel())[0, 1]
    assert beside == pytest.approx(0.5, abs=0.05)


def test_residuals_of_shared_noise_are_not_held_against_the_denoiser():
    shared = film(LIGHT, mix=[[1, 1, 0]])
    found = check_residual(shared, TRUE, noise_model(shared))
    assert abs(found.rows) < 0.06
    assert found.detail == pytest.approx(1, abs=0.15)


def test_the_page_and_the_numbers_are_written(tmp_path):
    found = diagnose(FILM, denoiser=blurred(1))
    for name in ("page.png", "numbers.json"):
        assert found.save(tmp_path / name) == tmp_path / name
    assert (tmp_path / "page.png").stat().st_size > 20_000
    facts = json.loads((tmp_path / "numbers.json").read_text(encoding="utf-8"))
    assert facts["noise"]["gain"] == found.noise.gain
    assert facts["correlation"]["direction"] == "none"
    assert facts["residual"]["detail"] == found.residual.detail
    assert len(facts["empty"]["gain"]) == 8
    assert {verdict["title"] for verdict in facts["verdicts"]} >= {"Light", "Camera", "Neighbours", "Resolution", "Noise", "Empty field"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["numbers.json", "page.png"]


def test_what_is_not_known_is_null(tmp_path):
    rng = np.random.default_rng(0)
    found = diagnose(TRUE[:2] + rng.normal(0, 5, TRUE[:2].shape))
    found.save(tmp_path / "n.json")
    facts = json.loads((tmp_path / "n.json").read_text(encoding="utf-8"))
    assert facts["noise"]["offset_error"] is None
    assert (facts["residual"], facts["empty"]) == (None, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"denoised": TRUE[:3]}, "the film has shape (6, 128, 160), but the denoised one has (3, 128, 160): give the same frames"),
        ({"denoised": TRUE * np.nan}, "frame 0 of the denoised film has 20480 NaN or infinite pixels"),
        ({"denoiser": lambda p: p[:9]}, "the denoiser turned a picture of shape (128, 160) into (9, 160): it must keep the shape"),
    ],
)
def test_what_is_no_denoised_version_is_refused(change, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        diagnose(FILM, **change)


def test_the_command_judges_films_on_disk(run, tmp_path):
    np.save(tmp_path / "film.npy", FILM.astype(np.float32))
    np.save(tmp_path / "clean.npy", TRUE.astype(np.float32))
    code, said, complaint = run("diagnose", tmp_path / "film.npy", "--denoised", tmp_path / "clean.npy", "-o", tmp_path / "page.json")
    assert (code, complaint) == (0, "")
    assert "good  Lost detail: None: what was taken away looks like noise." in said
    assert json.loads((tmp_path / "page.json").read_text(encoding="utf-8"))["residual"]["removed"] == pytest.approx(1, abs=0.08)


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("page.txt", "cannot save a diagnosis as page.txt: the name must end in .png, .pdf, .svg, .json"),
        ("nowhere/page.png", "cannot write nowhere/page.png: the folder nowhere does not exist"),
    ],
)
def test_the_command_says_at_once_what_cannot_be_written(run, tmp_path, monkeypatch, out, message):
    monkeypatch.chdir(tmp_path)
    code, _, complaint = run("diagnose", "film.npy", "-o", out)
    assert (code, complaint) == (2, f"lineage: {message}\n")


def test_a_real_film_has_noise_shared_along_rows(data):
    from lineage.films import open_film

    film = open_film(data / "ctc" / "Fluo-N2DL-HeLa" / "01")
    found = noise_model([film[t] for t in range(3)])
    assert found.correlation.direction == "rows"
    assert 0.3 < found.gain < 0.8
    assert found.offset < 33_100
