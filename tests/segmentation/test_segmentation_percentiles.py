"""The range of a picture that is read block by block is that of the picture."""

import re

import numpy as np
import pytest

from segmentation import normalise
from segmentation.normalise import Percentiles, Range, percentiles

KINDS = ("?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", ">u2", ">f4", "<i2")
WANTED = (0, 1, 37.3, 50, 99.8, 100)


def some(kind, shape, seed=0):
    """Numbers of a kind, over much of its range, negative ones too."""
    dtype = np.dtype(kind)
    size = {1: 40, 2: 3000, 4: 1e8, 8: 1e15}[dtype.itemsize]
    values = np.random.default_rng(seed).normal(0, size, shape)
    return (np.abs(values) if dtype.kind in "bu" else values).astype(dtype)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (50,), (37, 41), (7, 11, 13)])
def test_percentiles_are_those_of_numpy(monkeypatch, kind, shape):
    monkeypatch.setattr(normalise, "BLOCK", {1: 7, 2: 13, 3: 5})
    picture = some(kind, shape)
    assert percentiles(picture, WANTED) == tuple(np.percentile(picture.astype(float), WANTED))
    for value in (Percentiles(), Percentiles(0, 90, 0)):
        assert np.array_equal(value.over(picture)(picture), value(picture))


def test_equal_pixels_and_infinitely_small_steps():
    for values in ([0.0, -0.0, 0.0], [1.0, np.nextafter(1, 2)], [-1e-300, 1e-300], [5.0] * 9):
        assert percentiles(np.array(values), (0, 50, 100)) == tuple(np.percentile(values, (0, 50, 100)))


def test_almost_all_pixels_equal_falls_back_on_the_extremes():
    picture = np.zeros((100, 100), np.uint16)
    picture[0, 0] = 7
    assert Percentiles().over(picture) == Range(0, 7, 5)
    assert np.array_equal(Percentiles().over(picture)(picture), Percentiles()(picture))


def test_nothing_to_see():
    for picture in (np.full((4, 5), 3, np.uint8), np.zeros((0, 5))):
        found = Percentiles().over(picture)
        assert found.bottom == found.top and not found(picture).any()


def test_a_part_is_treated_as_in_the_whole():
    picture = some("u2", (40, 50))
    assert np.array_equal(Percentiles().over(picture)(picture[3:9, 4:40]), Percentiles()(picture)[3:9, 4:40])


def test_only_a_block_is_read_at_a_time(monkeypatch):
    monkeypatch.setattr(normalise, "BLOCK", {2: 16})
    picture, read = some("f4", (50, 70)), []

    class Disk:
        shape = picture.shape

        def __getitem__(self, place):
            read.append(picture[place].size)
            return picture[place]

    assert percentiles(Disk(), (1, 99)) == tuple(np.percentile(picture.astype(float), (1, 99)))
    assert max(read) <= 16 * 16 and sum(read) == 2 * picture.size  # 32 bits: twice


def test_pixels_that_are_no_numbers_are_refused():
    picture = np.zeros((3, 4))
    picture[1, 2] = np.nan
    message = "image has 1 NaN or infinite pixels, the first at (1, 2): replace them by finite values"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Percentiles().over(picture)
