"""`lineage track --denoise`: the film as a real denoiser sees it, frame by frame."""

import re

import numpy as np
import pytest

import lineage
from lineage import pipeline
from lineage.films import open_film
from lineage.pipeline.restoring import denoised
from lineage.settings import Settings
from restoration.care import Care
from restoration.denoiser import Denoiser
from restoration.noise2void import Noise2Void


@pytest.fixture
def saved(tmp_path):
    """Saves a small denoiser with random weights; gives it and where it lies."""

    def save(method, *, dims=2, channels=1):
        model = Denoiser.new(method.network(dims, channels), method=method)
        model.save(tmp_path / "model.safetensors")
        return model, str(tmp_path / "model.safetensors")

    return save


@pytest.mark.parametrize("frames", [1, 3, 5])
def test_every_frame_is_denoised_with_those_around_it(saved, noisy_film, frames):
    film = noisy_film[0]
    model, name = saved(Noise2Void(frames=frames, width=2, depth=1))
    before = film.copy()
    opened = denoised(open_film(film), name)
    assert (opened.shape, opened.dtype) == (film.shape, np.float32)
    for t, frame in enumerate(model.predict_film(film)[k] for k in range(len(film))):
        np.testing.assert_array_equal(opened[t], frame)
    assert not np.array_equal(opened[0], film[0])
    np.testing.assert_array_equal(film, before)


def test_a_frame_is_read_and_denoised_once_when_asked_again(saved, noisy_film):
    film, asked = noisy_film[0], []

    class Watched:
        shape, dtype, ndim = film.shape, film.dtype, film.ndim

        def __len__(self):
            return len(film)

        def __getitem__(self, place):
            asked.append(place[0] if isinstance(place, tuple) else place)
            return film[place]

    opened = denoised(open_film(Watched()), saved(Care(width=2, depth=1))[1])
    asked.clear()
    first = opened[2]
    first[:] = 0  # the caller's own copy
    assert opened[2].any() and asked == [2]


def test_every_frame_of_a_run_is_denoised_once(saved, noisy_film, tmp_path, monkeypatch):
    film, asked = noisy_film[0], []
    np.save(tmp_path / "film.npy", film)
    _, name = saved(Care(width=2, depth=1))
    real = Denoiser.predict
    monkeypatch.setattr(Denoiser, "predict", lambda self, image, **how: asked.append(1) or real(self, image, **how))
    settings = Settings(segment="classical", denoise=name)
    done = pipeline.run(tmp_path / "film.npy", tmp_path / "out", settings=settings)
    assert len(asked) == len(film)
    assert not list((tmp_path / "out").glob("*.bin"))
    asked.clear()
    again = lineage.track(film, settings)
    assert len(asked) == len(film)
    np.testing.assert_array_equal(again.detections.position, done.forest.detections.position)
    np.testing.assert_array_equal(again.parent, done.forest.parent)


def test_a_noisy_film_is_tracked_through_a_denoiser(saved, noisy_film):
    """A network that adds nothing changes nothing, so that the lineages are those of the film itself."""
    film = noisy_film[0]
    model, name = saved(Care(width=2, depth=1))
    for weights in model.network.head.parameters():
        weights.data.zero_()
    model.save(name)
    plain, restored = (lineage.track(film, Settings(segment="classical", denoise=how)) for how in ("", name))
    assert len(plain.detections) and len(plain.detections) == len(restored.detections)
    np.testing.assert_allclose(restored.detections.position, plain.detections.position)


@pytest.mark.parametrize(
    ("method", "shape", "message"),
    [
        (Care(width=2, depth=1), (3, 4, 16, 16), "{name} denoises 2D frames, but the film is 3D: take other weights, or none"),
        (Noise2Void(channels=2, width=2, depth=1), (3, 16, 16), "{name} takes 2 channels, but a film has one: take other weights, or none"),
        (
            Noise2Void(frames=5, width=2, depth=1),
            (3, 16, 16),
            "the film has 3 frame(s), but frames=5 neighbours are shown: give a longer film or frames=1",
        ),
    ],
)
def test_films_that_do_not_fit_are_refused_before_the_work(saved, method, shape, message):
    _, name = saved(method, channels=getattr(method, "channels", 1))
    with pytest.raises(ValueError, match=f"^{re.escape(message.format(name=name))}$"):
        denoised(open_film(np.ones(shape)), name)


def test_a_frame_that_cannot_be_denoised_is_named_once(saved):
    film = np.ones((4, 16, 16))
    film[2, 3, 4] = np.nan
    opened = denoised(open_film(film), saved(Noise2Void(frames=3, width=2, depth=1))[1])
    assert opened[0].shape == (16, 16)
    message = "frame 2: image has 1 NaN or infinite pixels, the first at (3, 4): replace them by finite values"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        opened[1]  # its neighbour is the one that is bad
