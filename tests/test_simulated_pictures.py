"""Simulated pictures to learn from: lawful, different, repeatable, and written whole or not at all."""

import re

import numpy as np
import pytest
import tifffile

from lineage.simulation import pictures, save_pictures
from lineage.simulation.pictures import drawn_settings

SIZES = [(48, 64), (6, 24, 28)]


@pytest.mark.parametrize("size", SIZES)
def test_every_picture_has_its_size_a_cell_and_light_where_the_cells_are(size):
    for picture in pictures(4, size, seed=3):
        assert picture.image.shape == picture.labels.shape == size
        assert picture.image.dtype == np.uint16
        cells = picture.labels > 0
        assert cells.any()
        if 0 < cells.mean() < 0.5:
            assert picture.image[cells].mean() > picture.image[~cells].mean()


def test_the_same_seed_gives_the_same_pictures_and_another_others():
    one, two, three = (next(iter(pictures(1, SIZES[0], seed=seed))) for seed in (1, 1, 2))
    assert np.array_equal(one.image, two.image)
    assert np.array_equal(one.labels, two.labels)
    assert not np.array_equal(one.image, three.image)


def test_fewer_pictures_are_the_first_of_more():
    few, many = list(pictures(2, SIZES[0], seed=5)), list(pictures(3, SIZES[0], seed=5))
    assert all(np.array_equal(a.image, b.image) for a, b in zip(few, many, strict=False))


def test_microscopes_differ():
    rng = np.random.default_rng(0)
    made = [drawn_settings(SIZES[1], rng) for _ in range(20)]
    for name in ("radius", "photons", "blur", "texture", "scale", "background"):
        assert len({getattr(settings, name) for settings in made}) == len(made), name


def test_a_dark_corner_has_no_light_rather_than_less_than_none():
    from lineage.simulation import simulate

    film = simulate(frames=1, cells=0, size=(32, 32), background=200, gradient=1.0, read_noise=0, seed=4)
    assert film.image.min() >= 100  # the offset of the camera
    assert film.image.max() > 150


@pytest.mark.parametrize("size", SIZES)
def test_the_folder_can_be_trained_on(tmp_path, size):
    from segmentation.patches import find_pairs

    cells = save_pictures(tmp_path / "made", 3, size, seed=1)
    pairs = find_pairs(tmp_path / "made")
    again = list(pictures(3, size, seed=1))
    assert len(pairs) == 3
    for (image, labels), picture in zip(pairs, again, strict=True):
        assert np.array_equal(image, picture.image)
        assert np.array_equal(labels, picture.labels)
    assert cells == sum(len(np.unique(p.labels)) - 1 for p in again)


def test_the_command_writes_pictures(tmp_path, run):
    code, said, _ = run("simulate", "--pictures", "2", "--size", "40,48", "-o", tmp_path / "made")
    assert code == 0
    assert re.search(r"\d+ cells in 2 pictures, in ", said)
    assert sorted(p.name for p in (tmp_path / "made" / "images").iterdir()) == ["0000.tif", "0001.tif"]
    assert tifffile.imread(tmp_path / "made" / "labels" / "0001.tif").shape == (40, 48)


def test_no_pictures_are_refused(tmp_path, run):
    code, _, said = run("simulate", "--pictures", "0", "-o", tmp_path / "made")
    assert code == 2
    assert "pictures must be 1 or more, not 0" in said
    assert not (tmp_path / "made").exists()
