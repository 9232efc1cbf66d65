"""`lineage denoise` and `lineage train restoration`: films in, films and weights out, whole or not at all, mistakes in one line."""

import numpy as np
import pytest
import tifffile

from lineage.films import open_film
from lineage.films.pictures import save_film
from restoration.care import Care
from restoration.denoiser import Denoiser
from restoration.training import again, joined, main, stock
from restoration.views import Listed


@pytest.fixture
def place(tmp_path, noisy_film, monkeypatch):
    """A folder with a noisy film, its truth, and untrained weights."""
    monkeypatch.chdir(tmp_path)
    film, scene = noisy_film
    tifffile.imwrite("noisy.tif", np.maximum(film, 0).astype(np.uint16))
    tifffile.imwrite("good.tif", np.stack([scene] * 6).astype(np.uint16))
    method = Care(width=2, depth=1)
    Denoiser.new(method.network(2, 1), method=method).save("model.safetensors")
    return tmp_path


def test_a_film_is_denoised_into_tiff_and_zarr(place, run):
    code, said, _ = run("denoise", "noisy.tif", "--model", "model.safetensors", "-o", "clean.tif")
    assert code == 0 and said == "6 frames, float32, in clean.tif\n"
    one = open_film("clean.tif")
    assert one.shape == (6, 32, 32)
    code, said, _ = run("denoise", "noisy.tif", "--model", "model.safetensors", "-o", "clean.zarr", "--dtype", "same")
    assert code == 0 and said == "6 frames, uint16, in clean.zarr\n"
    assert np.abs(open_film("clean.zarr")[3] - np.maximum(one[3], 0)).max() <= 0.5
    assert {path.name for path in place.iterdir()} == {"noisy.tif", "good.tif", "model.safetensors", "clean.tif", "clean.zarr"}


@pytest.mark.parametrize("method", ["noise2void", "noise2noise"])
def test_a_film_teaches_its_own_denoiser(place, run, method):
    code, _, _ = run("denoise", "noisy.tif", "--method", method, "--steps", "1", "--minutes", "1", "-o", "own.tif")
    assert code == 0 and open_film("own.tif").shape == (6, 32, 32)


def test_weights_are_trained_from_pairs(place, run):
    words = ("--method", "care", "--steps", "1", "--held", "3", "-o", "new.safetensors")
    code, said, _ = run("train", "restoration", "--pairs", "noisy.tif", "good.tif", *words)
    assert code == 0 and said == "1 steps kept, 4 pictures, weights in new.safetensors\n"
    assert Denoiser.load("new.safetensors").method == Care()
    code, _, _ = run("train", "restoration", "good.tif", "--simulate", *words)
    assert code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("denoise", "none.tif"), "lineage: no such film: none.tif\n"),
        (("denoise", "noisy.tif", "-o", "clean.png"), "lineage: cannot write clean.png: films are written as .tif or .zarr\n"),
        (("denoise", "noisy.tif", "-o", "no/clean.tif"), "lineage: cannot write no/clean.tif: the folder no does not exist\n"),
        (
            ("denoise", "noisy.tif", "--model", "a", "--method", "noise2void"),
            "lineage: --model and --method exclude each other: use trained weights, or train on the film\n",
        ),
        (
            ("denoise", "noisy.tif", "--method", "noise2noise", "--frames", "3"),
            "lineage: --frames, --n2v2 and --struct are for noise2void, not for noise2noise\n",
        ),
        (
            ("denoise", "noisy.tif", "--method", "noise2void", "--dtype", "foo"),
            "lineage: dtype is foo: give a float or integer type, such as 'uint16', or 'same'\n",
        ),
        (
            ("denoise", "noisy.tif", "--method", "noise2void", "--views", "3"),
            "lineage: views is 3: give 1, or 8 to average over all turns and mirror images\n",
        ),
        (("train", "restoration"), "lineage: nothing to learn from: give films, or --pairs LOW HIGH\n"),
        (
            ("train", "restoration", "good.tif", "--method", "care"),
            "lineage: care learns from pairs: give --pairs LOW HIGH, or --simulate if good.tif is a good film\n",
        ),
        (
            ("train", "restoration", "--pairs", "noisy.tif", "good.tif"),
            "lineage: --pairs are for care and noise2noise; noise2void takes the noisy film alone\n",
        ),
        (
            ("train", "restoration", "noisy.tif", "-o", "model.txt"),
            "lineage: model.txt cannot be written: give a .safetensors file in a folder that exists\n",
        ),
    ],
)
def test_mistakes_are_one_line(place, run, words, message):
    before = {path.name for path in place.iterdir()}
    code, _, said = run(*words)
    assert (code, said) == (2, message)
    assert {path.name for path in place.iterdir()} == before


def test_nothing_is_half_written_when_a_frame_is_bad(place, run):
    film = np.ones((3, 16, 16), np.float32)
    film[1, 2, 2] = np.nan
    np.save("bad.npy", film)
    for target in ("clean.tif", "clean.zarr"):
        code, _, said = run("denoise", "bad.npy", "--model", "model.safetensors", "-o", target)
        assert code == 2 and said.startswith("lineage: frame 1: image has 1 NaN or infinite pixels, the first at (2, 2)")
        assert not (place / target).exists() and not list(place.glob(".*"))


def test_a_film_of_stacks_comes_back_from_zarr_with_its_sizes(tmp_path):
    film = np.arange(2 * 3 * 4 * 5, dtype=np.uint16).reshape(2, 3, 4, 5)
    for name in ("film.zarr", "film.tif"):
        save_film(tmp_path / name, film, scale=(2.0, 0.5, 0.5), interval=30.0)
        back = open_film(tmp_path / name)
        assert back.shape == film.shape and back.scale == (2.0, 0.5, 0.5) and back.interval == 30.0
        assert (back[1] == film[1]).all()


def test_the_denoiser_of_nuclei_in_small(tmp_path, noisy_film, capsys):
    """The command that trains the shipped weights, with a step on tiny pictures."""
    film, scene = noisy_film
    (tmp_path / "01").mkdir()
    for t in range(12):
        tifffile.imwrite(tmp_path / "01" / f"t{t:03d}.tif", scene.astype(np.uint16))
    for name in ("low", "high"):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.maximum(film, 0).astype(np.uint16))
    words = [str(tmp_path / "01"), "--pairs", str(tmp_path / "low.tif"), str(tmp_path / "high.tif"), "-o", str(tmp_path / "m.safetensors")]
    assert main([*words, "--steps", "1", "--width", "2", "--depth", "1", "--side", "16", "--count", "2"]) == 0
    assert "si_psnr_noisy" in capsys.readouterr().out
    about = Denoiser.load(tmp_path / "m.safetensors").about
    assert about["pictures"]["low.tif"] == [4, 1, 1] and next(iter(about["pictures"].values())) == [5, 1, 1]
    assert main([str(tmp_path / "nowhere"), "-o", str(tmp_path / "m.safetensors")]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_collections_are_joined_and_balanced():
    few, many = (Listed(n, lambda row, n=n: (n, row)) for n in (2, 5))
    both = joined([again(few, 5), many])
    assert [both[k] for k in range(len(both))] == [(2, 0), (2, 1)] * 2 + [(5, k) for k in range(5)]


def test_nothing_to_learn_from():
    with pytest.raises(ValueError, match=r"^nothing to learn from: give folders of good pictures, or --pairs LOW HIGH$"):
        stock([])
