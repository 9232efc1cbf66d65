"""The denoiser: it learns, its file is itself, tiles and turns change nothing they should not, and bad input is refused in one line."""

import re

import numpy as np
import pytest
import torch

import restoration
from restoration.care import Care
from restoration.denoiser import Denoiser, load
from restoration.dose import LowDose, dimmed
from restoration.ensemble import Ensemble
from restoration.judging import SLACK, latest_good
from restoration.losses import absolute, laplace, masked, scale_of, squared
from restoration.noise2noise import Noise2Noise
from restoration.noise2void import Noise2Void
from restoration.patches import Feed
from restoration.pixels import as_dtype
from restoration.quality import psnr
from restoration.whiteness import whiteness
from segmentation.fit import Schedule
from segmentation.unet import UNet, UNetConfig

TINY = {"width": 4, "depth": 1}
QUICK = Schedule(steps=60, every=30, rate=5e-3, decay=0.0, average=0.9)
SHORT = Schedule(steps=2, every=2, rate=1e-3)
FEED = Feed(count=4, side=16)


def new(method, **config):
    """An untrained denoiser for pictures of one channel."""
    return Denoiser.new(method.network(2, 1) if not config else UNetConfig(**config), method=method)


@pytest.fixture(scope="module")
def blind(noisy_film):
    schedule = Schedule(steps=250, every=125, rate=5e-3, decay=0.0, average=0.9)  # fewer pixels teach than with truth
    return Denoiser.train(noisy_film[0], method=Noise2Void(percent=15.0, **TINY), schedule=schedule, feed=FEED)


def test_noise_is_taken_away_without_truth(noisy_film, blind):
    film, scene = noisy_film
    before, after = (psnr(p, scene, data_range=255) for p in (film[0], blind.predict(film[0])))
    assert after > before + 2


def test_noise_is_taken_away_with_two_noisy_views_and_with_truth(noisy_film):
    film, scene = noisy_film
    clean = [(frame, scene.astype(np.float32)) for frame in film[:4]]
    for data, way in ((clean, Care(brightness="constants", align=False, **TINY)), (film[:4], Noise2Noise(**TINY))):
        model = Denoiser.train(data, method=way, schedule=QUICK, feed=FEED)
        assert psnr(model.predict(film[5]), scene, data_range=255) > psnr(film[5], scene, data_range=255) + 2


def test_the_same_seed_gives_the_same_denoiser(noisy_film):
    one, two = (Denoiser.train(noisy_film[0], method=Noise2Void(**TINY), schedule=SHORT, feed=FEED) for _ in range(2))
    assert (one.predict(noisy_film[0][0]) == two.predict(noisy_film[0][0])).all()


@pytest.mark.parametrize("way", [Noise2Void(n2v2=True, **TINY), Noise2Void(frames=3, **TINY), Noise2Void(struct="auto", **TINY)])
def test_every_kind_of_noise2void_learns_and_is_kept(noisy_film, way, tmp_path):
    film = np.tile(noisy_film[0], (1, 2, 2))
    model = Denoiser.train(film, method=way, schedule=SHORT, feed=FEED)
    model.save(tmp_path / "model.safetensors")
    again = Denoiser.load(tmp_path / "model.safetensors")
    assert again.method == model.method and again.scale == model.scale and again.network.config == model.network.config
    frame = model.predict_film(film)[1]
    assert frame.shape == (64, 64) and frame.dtype == np.float32
    assert (again.predict_film(film)[1] == frame).all()


def test_n2v2_has_blurred_pooling_no_finest_connection_and_adds_nothing():
    config = Noise2Void(n2v2=True).network(2, 1)
    assert config.blurpool and not config.top_skip and not config.residual
    assert Noise2Void(n2v2=True).replace == "median"


def test_blind_spots_are_not_handed_on_to_the_answer():
    model = new(Noise2Void(frames=3, **TINY))
    assert not model.network.config.residual and model.network.config.inputs == 3
    with torch.no_grad():
        for weights in model.network.head.parameters():
            weights.zero_()
    stack = np.random.default_rng(0).normal(size=(3, 8, 8)).astype(np.float32)
    answer = model.predict(stack)
    assert answer.shape == (8, 8) and np.ptp(answer) == 0  # whatever was shown


def test_stacks_are_learned_and_restored_as_stacks():
    stack = np.random.default_rng(0).normal(100, 10, (2, 8, 16, 16)).astype(np.float32)
    model = Denoiser.train(stack, method=Noise2Void(width=2, depth=1), schedule=SHORT, feed=Feed(count=2, side=16))
    assert model.network.config.dims == 3 and model.predict(stack[0]).shape == (8, 16, 16)


def test_several_channels_are_restored_together():
    film = np.random.default_rng(0).normal(100, 10, (3, 2, 16, 16)).astype(np.float32)
    model = Denoiser.train(film, method=Noise2Void(channels=2, **TINY), schedule=SHORT, feed=FEED)
    assert model.predict(film[0]).shape == (2, 16, 16)
    assert model.predict_film(film).shape == (3, 2, 16, 16)


def test_tiles_change_nothing(blind):
    picture = np.random.default_rng(0).normal(100, 20, (50, 71))
    whole = blind.predict(picture, tile=None)
    assert np.abs(blind.predict(picture, tile=16) - whole).max() < 1e-3


def test_eight_views_are_alike_from_every_side(blind):
    picture = np.random.default_rng(0).normal(100, 20, (24, 24))
    averaged = blind.predict(picture, views=8)
    assert np.allclose(np.rot90(averaged), blind.predict(np.rot90(picture), views=8), atol=1e-3)
    assert np.allclose(averaged[::-1], blind.predict(picture[::-1], views=8), atol=1e-3)
    assert not np.allclose(averaged, blind.predict(picture), atol=1e-3)
    with pytest.raises(ValueError, match=re.escape("views is 3: give 1, or 8 to average over all turns and mirror images")):
        blind.predict(picture, views=3)


def test_the_type_is_kept_or_changed_on_demand(blind):
    picture = np.random.default_rng(0).poisson(100, (16, 16)).astype(np.uint16)
    before = picture.copy()
    assert blind.predict(picture).dtype == np.float32
    assert blind.predict(picture, dtype="same").dtype == np.uint16
    assert (picture == before).all()
    flat = np.full((5, 9), 7, np.uint8)
    assert (blind.predict(flat, dtype="same") == flat).all()


def test_what_does_not_fit_a_type_is_cut_and_said():
    picture = np.array([[-3.0, 7.6], [254.4, 300.0]], np.float32)
    message = "2 of 4 pixels (50 %) lie outside 0..255 of uint8 and were cut: take dtype='float32' to keep them"
    with pytest.warns(UserWarning, match=f"^{re.escape(message)}$"):
        assert as_dtype(picture, np.uint8).tolist() == [[0, 8], [254, 255]]
    assert as_dtype(picture, np.int16).tolist() == [[-3, 8], [254, 300]]
    with pytest.raises(ValueError, match=re.escape("dtype is complex64: give a float or integer type, such as 'uint16', or 'same'")):
        as_dtype(picture, np.complex64)


def test_a_film_is_denoised_frame_by_frame_when_asked(noisy_film, blind):
    film, asked = noisy_film[0], []

    class Watched:
        dtype = film.dtype

        def __len__(self):
            return len(film)

        def __getitem__(self, t):
            asked.append(t)
            return film[t]

    clean = blind.predict_film(Watched())
    asked.clear()
    assert (clean[4] == blind.predict(film[4])).all() and asked == [4]
    assert len(clean) == 6 and clean.shape == film.shape and clean.ndim == 3
    assert (clean[-1, 3] == clean[5][3]).all()
    with pytest.raises(IndexError, match=re.escape("there is no frame 6: the film has 6 frames")):
        clean[6]


def test_bad_pictures_are_refused(blind):
    hole = np.ones((8, 8))
    hole[2, 3] = np.nan
    for picture, message in (
        (hole, "image has 1 NaN or infinite pixels, the first at (2, 3): replace them by finite values"),
        (np.ones((3, 8, 8)), "image has shape (3, 8, 8): this denoiser takes one (Y, X) picture; give one frame at a time"),
        (np.ones((0, 8)), "image has no pixels: its shape is (0, 8)"),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            blind.predict(picture)
    with pytest.raises(ValueError, match=f"^{re.escape('frame 1: image has 1 NaN or infinite pixels, the first at (2, 3)')}"):
        blind.predict_film([np.ones((8, 8)), hole])[1]
    message = "image has shape (8, 8): this denoiser takes one (3, Y, X) picture, its frames around the one to denoise; or use predict_film"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        new(Noise2Void(frames=3, **TINY)).predict(np.ones((8, 8)))


def test_what_cannot_be_trained():
    with pytest.raises(ValueError, match=re.escape("method is 'n2v': give one of care, noise2noise, noise2void")):
        Denoiser.train(np.zeros((2, 8, 8)), method="n2v")
    noise = np.random.default_rng(0).normal(size=(2, 8, 8))
    message = "the network has inputs=3, but pictures of shape (1, 8, 8) and noise2void need 1"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Denoiser.train(noise, config=UNetConfig(inputs=3, outputs=1))


def test_files_that_are_no_denoisers(tmp_path):
    with pytest.raises(ValueError, match=re.escape("no denoiser 'nothing': give the path of a file")):
        load("nothing")
    (tmp_path / "junk.safetensors").write_bytes(b"junk" * 9)
    with pytest.raises(ValueError, match=r"^.*junk\.safetensors cannot be read as safetensors: "):
        load(tmp_path / "junk.safetensors")
    with pytest.raises(ValueError, match=r"^.*none\.safetensors is not a file: give a model that Denoiser\.save wrote$"):
        Denoiser.load(tmp_path / "none.safetensors")
    assert restoration.load is load and restoration.Denoiser is Denoiser


def test_a_probabilistic_network_says_how_unsure_it_is_and_others_do_not(noisy_film, blind):
    film, scene = noisy_film
    pairs = [(frame, scene.astype(np.float32)) for frame in film[:3]]
    band = Ensemble.train(pairs, 2, method=Care(probabilistic=True, align=False, **TINY), schedule=SHORT, feed=FEED)
    mean, deviation = band.members[0].predict_uncertain(film[4])
    assert mean.shape == deviation.shape == (32, 32) and (deviation > 0).all()
    said = band.predict(film[4])
    both = [member.predict_uncertain(film[4]) for member in band.members]
    assert np.allclose(said.mean, (both[0][0] + both[1][0]) / 2, atol=1e-3)
    assert np.allclose(said.disagreement, np.abs(both[0][0] - both[1][0]) / 2, atol=1e-3) and said.disagreement.max() > 0
    assert np.allclose(said.noise**2, (both[0][1] ** 2 + both[1][1] ** 2) / 2, rtol=1e-3)
    assert np.allclose(said.total**2, said.noise**2 + said.disagreement**2, rtol=1e-3)
    message = "this denoiser does not know how unsure it is: train it with Care(probabilistic=True)"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        blind.predict_uncertain(film[4])
    with pytest.raises(ValueError, match=re.escape("an ensemble of 1 cannot disagree: give at least 2 denoisers")):
        Ensemble(band.members[:1])


def test_losses_by_hand():
    answers, wanted = torch.tensor([[[[1.0, 3.0]]]]), torch.tensor([[[[0.0, 0.0]]]])
    assert squared(answers, wanted) == 5 and absolute(answers, wanted) == 2
    mask = torch.tensor([[[[0.0, 1.0]]]])
    assert masked(answers, torch.cat([wanted, mask], 1)) == 9
    assert masked(answers, torch.cat([wanted, 0 * mask], 1)) == 0
    raw = torch.zeros(1, 1, 1, 2)
    b = scale_of(torch.zeros(1)).item()
    assert b == pytest.approx(np.log(2) + 1e-3)
    assert laplace(torch.cat([answers, raw], 1), wanted).item() == pytest.approx(2 / b + np.log(2 * b))
    message = "answers (1, 1, 1, 2) and wanted (1, 1, 1, 2) do not belong together: channels must be 2 : 1"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        laplace(answers, wanted)


def test_the_loss_looks_at_blind_spots_only():
    way = Noise2Void(percent=5.0)
    pictures = np.random.default_rng(0).normal(size=(2, 1, 16, 16)).astype(np.float32)
    _, wanted = next(iter(way.batches([(pictures, pictures)], 0)))
    answers = torch.zeros(2, 1, 16, 16, requires_grad=True)
    way.loss(answers, torch.from_numpy(wanted)).backward()
    assert ((answers.grad != 0).numpy() == (wanted[:, 1:] > 0)).all()


def test_the_residual_of_the_best_guess_is_as_white_as_expected():
    """In rows of a first-order process, y[i + 1] = a y[i] + e, the best guess from both sides is a (y[i - 1] + y[i + 1]) / (1 + a^2)."""
    rng, a = np.random.default_rng(0), 0.6
    rows = np.zeros((300, 400))
    for i in range(1, 400):
        rows[:, i] = a * rows[:, i - 1] + rng.normal(size=300)
    rows = rows[:, 50:]
    pad = np.pad(rows, ((0, 0), (1, 1)))

    def guess(y, weight=a / (1 + a * a)):
        wide = np.pad(y, ((0, 0), (1, 1)))
        return weight * (wide[:, :-2] + wide[:, 2:])

    best = whiteness(rows, guess)
    assert best.lag[1] == pytest.approx(-a / (1 + a * a), abs=0.02)  # not white, and should not be
    assert best.excess < 0.02 and best.penalty < 0.05
    for other in (lambda y: 0.3 * y, lambda y: guess(y, 0.1), lambda y: guess(y, 0.7), np.zeros_like):
        assert whiteness(rows, other).penalty > 3 * best.penalty
    assert whiteness(pad, lambda y: y).penalty >= 1  # nothing was done


def test_structure_taken_away_is_seen_in_the_local_means():
    rng = np.random.default_rng(0)
    edge = np.where(np.arange(128) < 61, 0.0, 8.0) + np.zeros((128, 1))
    noisy = edge + rng.normal(size=edge.shape)
    assert whiteness(noisy, lambda y: np.zeros_like(y) + edge).penalty < 0.03
    assert whiteness(noisy, lambda y: np.full_like(y, 4.0)).penalty > 0.5


def test_the_latest_network_is_kept_unless_an_earlier_one_was_clearly_whiter():
    def kept(penalties):
        scores = [latest_good(penalties[: k + 1]) for k in range(len(penalties))]
        return max(range(len(scores)), key=lambda k: (scores[k], -k))  # as the training loop chooses

    assert kept([0.9, 0.04, 0.02, 0.03]) == 3  # chance
    assert kept([0.9, 0.02, 0.02 + 1.1 * SLACK, 0.02 + 2 * SLACK]) == 1  # more and more is smoothed away
    assert kept([0.02, 0.5, 0.02 + 0.9 * SLACK]) == 2  # a bad moment in between
    assert kept([0.9]) == 0


def test_a_low_dose_keeps_the_mean_and_counts_photons():
    rng = np.random.default_rng(0)
    picture = rng.uniform(0, 1000, (200, 200))
    dim = dimmed(picture, rng, peak=10.0)
    assert dim.dtype == np.float32 and dim.mean() == pytest.approx(picture.mean(), rel=0.02)
    bright = picture > 900
    assert np.std((dim - picture)[bright]) == pytest.approx(950 / np.sqrt(9.5), rel=0.1)  # photons of about 100 grey levels each
    hazy = dimmed(picture, rng, peak=10.0, haze=5.0, read=2.0)
    assert np.std((hazy - picture)[bright]) == pytest.approx(100 * np.sqrt(9.5 + 5 + 4), rel=0.1)


def test_only_good_pictures_alone_are_always_dimmed():
    good = np.random.default_rng(0).uniform(0, 100, (1, 20, 20))
    noisy = good + 1
    dose, rng = LowDose(mix=0.0), np.random.default_rng(0)
    assert dose((noisy, good), rng)[0] is noisy
    shown, wanted = dose((good, good), rng)
    assert wanted is good and (shown != good).any()
    message = "peak is (9, 3), haze 0.3, read 2.0: give photons, smallest peak first, none negative"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        LowDose(peak=(9, 3))


def test_the_default_network_is_lean():
    """A picture of 1024 x 1024 must not take longer than a second on two cores: multiplications for a pixel are counted."""
    network = UNet(Care().network(2, 1))
    count = 0

    def add(module, _, answer):
        nonlocal count
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            size = module.weight.numel() * (answer.shape[-1] * answer.shape[-2])
            count += size // (4 if isinstance(module, torch.nn.ConvTranspose2d) else 1)

    for module in network.modules():
        module.register_forward_hook(add)
    network(torch.zeros(1, 1, 64, 64))
    assert count / 64**2 < 40_000
