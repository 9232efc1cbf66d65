"""The same change of shape for picture and labels; the same seed, the same patch."""

import re

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


def ball(shape=(9, 40, 40), radius=(2, 10, 10)):
    away = np.sqrt(sum(((i - n // 2) / r) ** 2 for i, n, r in zip(np.indices(shape), shape, radius, strict=True)))
    return (away <= 1).astype(np.int32)


@pytest.mark.parametrize("seed", range(4))
def test_stacks_and_their_labels_are_warped_alike(seed):
    labels = ball()
    rng = np.random.default_rng(seed)
    image, warped = Warp(plain=0, bend=3.0, anisotropy=4.0)(
        (labels.astype(np.float32), labels), (1, 0), centre=(4, 20, 20), size=(8, 32, 32), rng=rng
    )
    assert (np.abs(image - warped) < 0.999).all() and set(np.unique(warped)) == {0, 1}


def test_planes_stay_planes_when_only_turned_and_bend_little_where_voxels_are_high():
    depth = np.broadcast_to(np.arange(21.0)[:, None, None], (21, 64, 64))
    size = (7, 24, 24)

    def tilt(**how):
        patches = [
            Warp(plain=0, spread=0, **how)((depth,), (1,), centre=(10, 32, 32), size=size, rng=np.random.default_rng(s))[0]
            for s in range(8)
        ]
        return max(float(np.ptp(patch, axis=(1, 2)).max()) for patch in patches)

    assert tilt(bend=0.0) == pytest.approx(0, abs=1e-6)  # a turn is about z alone: no plane is mixed with another
    assert tilt(bend=2.0, anisotropy=1.0) > 1.5
    assert tilt(bend=2.0, anisotropy=10.0) < 0.8


def test_plain_stacks_are_exact_flips_and_quarter_turns():
    stack = np.random.default_rng(0).random((5, 21, 21)).astype(np.float32)
    views = [np.rot90(m, k, axes=(1, 2)) for f in (stack, stack[::-1]) for m in (f, f[:, ::-1]) for k in range(4)]
    seen = set()
    for seed in range(80):
        (patch,) = Warp(plain=1.0)((stack,), (1,), centre=(2, 10, 10), size=stack.shape, rng=np.random.default_rng(seed))
        seen.add(next(i for i, view in enumerate(views) if np.array_equal(view, patch)))
    assert len(seen) == 16


def test_a_flat_patch_of_unequal_sides_is_cut():
    image = np.random.default_rng(0).random((50, 60)).astype(np.float32)
    (patch,) = Warp(plain=1.0)((image,), (1,), centre=(25, 30), size=(8, 20), rng=np.random.default_rng(0))
    assert patch.shape == (8, 20) and np.isin(patch, image).all()


def test_a_stack_is_blurred_less_across_its_planes():
    dot = np.zeros((9, 33, 33), np.float32)
    dot[4, 16, 16] = 1
    blurry = [Shade(gain=(1, 1), gamma=(1, 1), haze=0, noise=0, blur=4, anisotropy=4)(dot, np.random.default_rng(s)) for s in range(6)]
    spread = [[np.sqrt((b * (i - n // 2) ** 2).sum() / b.sum()) for i, n in zip(np.indices(b.shape), b.shape, strict=True)] for b in blurry]
    assert all(z <= 0.5 * y + 1e-9 for z, y, _ in spread) and max(y for _, y, _ in spread) > 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: Warp(anisotropy=0),
            "zoom is (0.5, 2.0), anisotropy 0 and mesh 32: give 0 < least <= most, a positive number and at least 1 pixel",
        ),
        (
            lambda: Warp(zoom=(2, 1)),
            "zoom is (2, 1), anisotropy 1.0 and mesh 32: give 0 < least <= most, a positive number and at least 1 pixel",
        ),
        (
            lambda: Shade(gain=(0, 1), gamma=(1, 1)),
            "Shade(gain=(0, 1), gamma=(1, 1), haze=0.05, noise=0.1, blur=1.5, anisotropy=1.0) has a factor or exponent that is not "
            "positive, or a negative strength: give 0 for none",
        ),
    ],
)
def test_strengths_that_make_no_sense_are_refused(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()
