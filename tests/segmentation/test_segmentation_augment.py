"""The same change of shape for picture and labels; the same seed, the same patch."""

import numpy as np
import pytest

from segmentation.augment import Shade, Warp, smooth_noise


def cut(warp, arrays, orders, seed=0, side=32):
    rng = np.random.default_rng(seed)
    return warp(arrays, orders, centre=(40, 50), size=(side, side), rng=rng)


@pytest.mark.parametrize("seed", range(6))
def test_picture_and_labels_are_warped_alike(seed):
    rows, columns = np.indices((96, 96))
    labels = (np.hypot(rows - 42, columns - 48) < 14).astype(np.int32)
    image, warped = cut(Warp(bend=4.0), (labels.astype(np.float32), labels), (1, 0), seed)
    assert (np.abs(image - warped) < 0.999).all()  # they differ by interpolation only
    assert 0 < warped.mean() < 1
    assert set(np.unique(warped)) == {0, 1}
    assert np.array_equal(image >= 0.75, (image >= 0.75) & (warped == 1))


def test_equal_seeds_give_equal_patches_and_others_do_not():
    image = np.random.default_rng(3).random((96, 96)).astype(np.float32)
    first, again, other = (cut(Warp(), (image,), (1,), seed)[0] for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_plain_patches_are_exact_flips_and_turns():
    image = np.random.default_rng(3).random((96, 96)).astype(np.float32)
    middle = image[40 - 16 : 40 + 17, 50 - 16 : 50 + 17]
    seen = set()
    for seed in range(60):
        (patch,) = cut(Warp(plain=1.0), (image,), (1,), seed, side=33)
        views = [np.rot90(m, k) for m in (middle, middle.T) for k in range(4)]
        seen.add(next(i for i, view in enumerate(views) if np.array_equal(view, patch)))
    assert len(seen) == 8


def test_zoom_changes_the_size_of_objects_within_its_range():
    rows, columns = np.indices((128, 128))
    labels = (np.hypot(rows - 40, columns - 50) < 8).astype(np.int32)
    warp = Warp(plain=0, bend=0, spread=2.0, zoom=(0.5, 2.0))
    areas = [cut(warp, (labels,), (0,), seed, side=48)[0].sum() / labels.sum() for seed in range(30)]
    assert 0.2 < min(areas) < 0.4 and 3.4 < max(areas) < 4.4


def test_the_source_is_not_altered_and_the_rim_is_mirrored():
    image = np.random.default_rng(0).random((20, 20)).astype(np.float32)
    before = image.copy()
    (patch,) = Warp()((image,), (1,), centre=(0, 0), size=(48, 48), rng=np.random.default_rng(1))
    assert np.array_equal(image, before)
    assert image.min() <= patch.min() and patch.max() <= image.max()


def test_three_dimensions_are_flipped_in_z_and_turned_in_the_plane():
    stack = np.random.default_rng(0).random((8, 40, 40)).astype(np.float32)
    patches = [Warp()((stack,), (1,), centre=(4, 20, 20), size=(4, 16, 16), rng=np.random.default_rng(s))[0] for s in range(4)]
    assert {p.shape for p in patches} == {(4, 16, 16)}
    assert not np.array_equal(patches[0], patches[1])


def test_shade_changes_brightness_reproducibly_and_not_its_input():
    image = np.random.default_rng(0).random((32, 32)).astype(np.float32)
    before = image.copy()
    first, again, other = (Shade()(image, np.random.default_rng(s)) for s in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert np.array_equal(image, before) and first.dtype == np.float32


def test_shade_without_strength_is_the_identity():
    image = np.linspace(-0.2, 1.2, 64, dtype=np.float32).reshape(8, 8)
    still = Shade(gain=(1, 1), gamma=(1, 1), haze=0, noise=0, blur=0)
    assert still(image, np.random.default_rng(0)) == pytest.approx(image, abs=1e-6)


def test_smooth_noise_is_smooth():
    field = smooth_noise((64, 64), 32, np.random.default_rng(0))
    assert np.abs(np.diff(field, axis=0)).max() < 0.2 < field.std()
