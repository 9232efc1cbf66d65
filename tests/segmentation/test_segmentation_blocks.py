"""Pictures in blocks: the classical method finds the cells of the whole picture, and no more of it is read than is looked at."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from skimage.filters import threshold_otsu

from segmentation.blocks import Finite, divided, silent, widened, within
from segmentation.classical import _Look, _Way, classical, classical_in_blocks


def cells(shape, scale, count, seed):
    """A noisy picture of bright balls anywhere, many of them touching."""
    rng = np.random.default_rng(seed)
    grid, picture = np.indices(shape), np.zeros(shape)
    for _ in range(count):
        away = sum(((axis - rng.uniform(0, n)) * s) ** 2 for axis, n, s in zip(grid, shape, scale, strict=True))
        picture = np.maximum(picture, np.exp(-((away / rng.uniform(3, 7) ** 2) ** 2)))
    return (picture * 500 + rng.poisson(100, shape)).astype(np.uint16)


def by_first_pixels(labels):
    """The same cells, numbered in the order of their first pixels."""
    numbers, first = np.unique(labels, return_index=True)
    order = numbers[numbers > 0][np.argsort(first[numbers > 0])]
    table = np.zeros(labels.max() + 1, int)
    table[order] = np.arange(1, len(order) + 1)
    return table[labels]


def way(scale, local=None):
    return _Way(np.array(scale, float), 1.0, local, 5.0, 20)


def largest_heap(picture, scale):
    """Side of the largest heap of touching cells, in the unit of the scale."""
    smooth = way(scale).smooth(picture)
    heaps = ndimage.label(smooth > threshold_otsu(smooth))[0]
    return max((part.stop - part.start) * s for box in ndimage.find_objects(heaps) for part, s in zip(box, scale, strict=True))


@pytest.mark.parametrize(
    ("shape", "scale", "count", "seed", "tiles"),
    [
        ((200, 220), (1, 1), 32, 0, (40, (300, 29))),
        ((160, 170), (1, 1), 42, 1, (31, 50)),
        ((120, 200), (1.6, 1), 25, 2, (29, 64)),
        ((300, 340), (1, 1), 70, 1, (40,)),  # a draw between two cells here hung on other heaps
        ((12, 70, 90), (3, 1, 1), 16, 3, ((7, 41, 50),)),
        ((40, 46, 60), (1, 1, 1), 8, 4, ((50, 20, 24),)),
    ],
)
def test_the_cells_are_those_of_the_whole_picture(shape, scale, count, seed, tiles):
    picture = cells(shape, scale, count, seed)
    expected = by_first_pixels(classical(picture, scale=scale))
    assert expected.max() >= 5
    overlap = largest_heap(picture, scale) + 1
    for tile in tiles:
        found = classical_in_blocks(picture, scale=scale, overlap=overlap, tile=tile)
        assert found.dtype == np.int32 and np.array_equal(found, expected)


def test_the_background_is_taken_off_as_in_the_whole_picture():
    picture = cells((150, 160), (1, 1), 16, 5) + np.linspace(0, 900, 160).astype(np.uint16)
    expected = by_first_pixels(classical(picture, local=12))
    assert expected.max() >= 8
    assert np.array_equal(classical_in_blocks(picture, local=12, overlap=60, tile=45), expected)


@pytest.mark.parametrize(("shape", "scale"), [((120, 120), (1, 1)), ((80, 130), (2, 1)), ((10, 40, 44), (3, 1, 1))])
def test_a_heap_depends_on_nothing_farther_away(shape, scale):
    """Small heaps with narrow gaps: each is cut out with what lies so far around it, and is parted as in the whole."""
    rng, method = np.random.default_rng(0), replace(way(scale), smallest=1)
    field = ndimage.gaussian_filter(rng.normal(size=shape), 1.6 / np.array(scale))
    mask = field > 0.35 * field.std()
    whole, heaps = method.cells(mask), ndimage.label(mask)[0]

    def changed(rim):
        count = 0
        for heap, box in enumerate(ndimage.find_objects(heaps), 1):
            wide = widened(widened(box, [1] * len(shape), shape), rim, shape)
            here = heaps[box] == heap
            before, after = whole[box][here], method.cells(mask[wide])[within(box, wide)][here]
            count += not np.array_equal(by_first_pixels(before), by_first_pixels(after))
        return count

    assert changed([0] * len(shape)) > 0
    assert changed(method.surround()) == 0


def test_without_overlap_cells_are_cut():
    picture = cells((190, 210), (1, 1), 60, 1)
    assert not np.array_equal(classical_in_blocks(picture, overlap=0, tile=16), by_first_pixels(classical(picture)))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64])
@pytest.mark.parametrize(("shape", "scale", "local"), [((90, 70), (1, 1), None), ((90, 70), (2.3, 1), 9), ((9, 30, 34), (3, 1, 1), None)])
def test_the_threshold_is_that_of_the_whole_picture(dtype, shape, scale, local):
    picture = (cells(shape, scale, 9, 0) / 3).astype(dtype)
    smooth = way(scale, local).smooth(picture)
    for tile in (7, 32, 100):
        places = list(divided(shape, [0] * len(shape), tile=tile))
        look = _Look(Finite(picture), way(scale, local))
        assert look.otsu(places, silent) == threshold_otsu(smooth)
        assert all(np.array_equal(look.smooth(place), smooth[place]) for place in places)


class Disk:
    """A picture, or labels, of which only parts can be had; it knows the largest."""

    def __init__(self, values):
        self.values, self.shape, self.dtype, self.most = values, values.shape, values.dtype, 0

    def __getitem__(self, place):
        part = self.values[place]
        self.most = max(self.most, part.size)
        return part

    def __setitem__(self, place, values):
        self.values[place] = values


def test_only_blocks_are_read_and_written():
    values = cells((260, 240), (1, 1), 50, 6)
    before = values.copy()
    picture, out = Disk(values), Disk(np.full(values.shape, 7, np.int64))
    pixels = 30_000
    assert classical_in_blocks(picture, out, overlap=30, pixels=pixels) is out
    assert np.array_equal(out.values, by_first_pixels(classical(values))) and np.array_equal(values, before)
    assert 0 < picture.most <= pixels and 0 < out.most <= pixels


def test_a_zarr_and_a_bar(tmp_path):
    zarr = pytest.importorskip("zarr")
    values = cells((80, 90), (1, 1), 12, 7)
    picture = zarr.create_array(str(tmp_path / "picture.zarr"), shape=values.shape, chunks=(32, 32), dtype="u2")
    out = zarr.create_array(str(tmp_path / "out.zarr"), shape=values.shape, chunks=(32, 32), dtype="i4")
    picture[:] = values
    titles = []
    classical_in_blocks(picture, out, overlap=30, tile=40, progress=lambda items, title: titles.append((title, len(items))) or items)
    assert np.array_equal(out[:], by_first_pixels(classical(values)))
    assert titles == [("looking for the range", 6), ("looking for the threshold", 6), ("segmenting", 6)]


@pytest.mark.parametrize("shape", [(0, 5), (1, 1), (40, 50), (4, 20, 20)])
@pytest.mark.parametrize("value", [0, 5.5])
def test_empty_and_constant_pictures_have_no_cells(shape, value):
    out = np.full(shape, 3, np.int64)
    classical_in_blocks(np.full(shape, value), out, tile=16)
    assert not out.any() and out.shape == classical(np.full(shape, value)).shape


@pytest.mark.parametrize("seed", range(20))
def test_blocks_cover_every_pixel_once_and_are_not_too_large(seed):
    rng = np.random.default_rng(seed)
    dims = int(rng.integers(1, 4))
    shape, rim, pixels = rng.integers(1, 60, dims).tolist(), rng.integers(0, 12, dims).tolist(), int(rng.integers(1, 20_000))
    times, order = np.zeros(shape, int), []
    for place in divided(shape, rim, pixels=pixels):
        times[place] += 1
        order.append(tuple(part.start for part in place))
        wide = widened(place, rim, shape)
        read = times[wide].size
        assert read <= pixels or all(p.stop - p.start <= max(more, 1) for p, more in zip(place, rim, strict=True))
        assert np.zeros(times[wide].shape)[within(place, wide)].shape == times[place].shape
    assert (times == 1).all() and order == sorted(order)
    tile = rng.integers(1, 30, dims).tolist()
    sides = [[part.stop - part.start for part in place] for place in divided(shape, rim, tile=tile)]
    assert (np.array(sides) <= tile).all() and sum(map(math.prod, sides)) == math.prod(shape)


def with_bad(value):
    picture = cells((50, 60), (1, 1), 5, 0).astype(float)
    picture[33, 45] = value
    return picture


PIXELS_OR_TILE = "give sides of at least 1 pixel, or tile=0 and at least 1 pixel"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: classical_in_blocks(np.zeros(5)),
            "picture has shape (5,) and scale (1.0,): give a (Y, X) or (Z, Y, X) picture and one positive number per axis",
        ),
        (
            lambda: classical_in_blocks(np.zeros((5, 5)), scale=(1, 0)),
            "picture has shape (5, 5) and scale (1.0, 0.0): give a (Y, X) or (Z, Y, X) picture and one positive number per axis",
        ),
        (
            lambda: classical_in_blocks(with_bad(np.nan), tile=20),
            "picture has NaN or infinite pixels, one of them at (33, 45): replace them by finite values",
        ),
        (
            lambda: classical_in_blocks(with_bad(np.inf)),
            "picture has NaN or infinite pixels, one of them at (33, 45): replace them by finite values",
        ),
        (
            lambda: classical_in_blocks(np.zeros((5, 5), complex)),
            "image has dtype complex128: give a picture of real numbers",
        ),
        (
            lambda: classical_in_blocks(np.zeros((8, 8)), overlap=-1),
            "overlap is -1: give at least 0, better the size of the largest heap of cells",
        ),
        (lambda: classical_in_blocks(np.zeros((8, 8)), tile=(4, 0)), f"tile is (4, 0) and pixels 4194304: {PIXELS_OR_TILE}"),
        (lambda: classical_in_blocks(np.zeros((8, 8)), pixels=0), f"tile is 0 and pixels 0: {PIXELS_OR_TILE}"),
        (
            lambda: classical_in_blocks(np.zeros((8, 8)), np.zeros((8, 8), np.uint16)),
            "out has shape (8, 8) and dtype uint16: give integers of 32 or 64 bits of shape (8, 8)",
        ),
        (
            lambda: classical_in_blocks(np.zeros((8, 8)), np.zeros((8, 9), np.int32)),
            "out has shape (8, 9) and dtype int32: give integers of 32 or 64 bits of shape (8, 8)",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()
