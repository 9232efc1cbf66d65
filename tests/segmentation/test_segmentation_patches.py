"""Finding labelled pictures and drawing patches from them."""

import re

import numpy as np
import pytest
import tifffile

from segmentation.augment import Shade, Warp
from segmentation.normalise import Percentiles
from segmentation.patches import Feed, Files, Sampler, apart, batches, find_pairs, unknown_rim
from segmentation.targets import targets


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, array)


@pytest.fixture
def folder(tmp_path, make_discs):
    for i in range(3):
        image, labels = make_discs(np.random.default_rng(i), side=64, count=4)
        write(tmp_path / "images" / f"cell{i}.tif", (1000 * image.clip(0)).astype(np.uint16))
        write(tmp_path / "labels" / f"cell{i}.tif", labels.astype(np.uint16))
    return tmp_path


def test_a_folder_of_images_and_labels_is_read_lazily_by_name(folder):
    (folder / "images" / "cell0.tif").unlink()  # a label without a picture is no pair
    files = find_pairs(folder)
    assert [p.name for p in files.images] == ["cell1.tif", "cell2.tif"] == [p.name for p in files.labels]
    image, labels = files[1]
    assert image.shape == labels.shape == (64, 64) and labels.dtype == np.int32 and labels.max() == 4
    assert files.only([1]).images == files.images[1:] and files.rim == 0


@pytest.mark.parametrize(("truth", "rim"), [("ST", 25), ("GT", 0)])
def test_a_challenge_sequence_is_paired_by_number(tmp_path, truth, rim):
    for t in range(3):
        write(tmp_path / "01" / f"t{t:03}.tif", np.full((60, 60), t, np.uint8))
    for t in (0, 2):
        write(tmp_path / f"01_{truth}" / "SEG" / f"man_seg{t:03}.tif", np.full((60, 60), t, np.uint16))
    files = find_pairs(tmp_path / "01")
    assert len(files) == 2 and files.rim == rim
    assert (files[1][0] == 2).all() and (files[1][1] == 2).all()
    assert (files[0][1] == -1).sum() == (60 * 60 - 10 * 10 if rim else 0)


def test_silver_truth_is_preferred(tmp_path):
    for kind in ("ST", "GT"):
        write(tmp_path / f"01_{kind}" / "SEG" / "man_seg000.tif", np.ones((60, 60), np.uint16))
    write(tmp_path / "01" / "t000.tif", np.ones((60, 60), np.uint8))
    assert find_pairs(tmp_path / "01").labels[0].parent.parent.name == "01_ST"
    assert find_pairs(tmp_path / "01", rim=3).rim == 3


def test_only_unlabelled_pixels_of_the_rim_become_unknown():
    labels = np.zeros((6, 7), np.int32)
    labels[0, 2] = 5
    marked = unknown_rim(labels, 1)
    assert marked[0, 2] == 5 and (marked[0, 3:] == -1).all() and (marked[1:-1, 1:-1] == 0).all()
    assert not (labels < 0).any()


def test_half_of_the_sources_and_most_centres_on_cells(make_discs):
    rare = [make_discs(np.random.default_rng(0), side=64, count=2)]
    common = [make_discs(np.random.default_rng(s), side=64, count=3) for s in range(9)]
    sampler = Sampler([rare, common], Percentiles(), Feed(foreground=0.9))
    rng = np.random.default_rng(0)
    drawn = [sampler(rng) for _ in range(300)]
    from_rare = np.mean([labels is rare[0][1] for _, labels, _ in drawn])
    on_cells = np.mean([labels[centre] > 0 for _, labels, centre in drawn])
    assert 0.4 < from_rare < 0.6 and 0.85 < on_cells < 0.97


def test_weights_choose_the_source(make_discs):
    pairs = [make_discs(np.random.default_rng(s), side=64, count=2) for s in range(2)]
    sampler = Sampler([pairs[:1], pairs[1:]], Percentiles(), Feed(weights=(0, 1)))
    assert all(sampler(np.random.default_rng(s))[1] is pairs[1][1] for s in range(20))


def test_memory_is_bounded_by_keep(make_discs):
    pairs = [make_discs(np.random.default_rng(s), side=64, count=2) for s in range(5)]
    calls = []

    def counting(image):
        calls.append(1)
        return Percentiles()(image)

    for keep, least, most in ((5, 1, 5), (1, 6, 60)):
        calls.clear()
        sampler, rng = Sampler([pairs], counting, Feed(keep=keep)), np.random.default_rng(0)
        for _ in range(60):
            sampler(rng)
        assert least <= len(calls) <= most


def test_batches_have_the_promised_shape_and_repeat_with_the_seed(folder):
    def first(seed):
        feed = Feed(count=3, side=32, seed=seed)
        return next(batches(Sampler([find_pairs(folder)], Percentiles(), feed), targets, feed))

    pictures, wanted = first(0)
    assert pictures.shape == (3, 1, 32, 32) and wanted.shape == (3, 3, 32, 32)
    assert pictures.dtype == wanted.dtype == np.float32
    assert np.array_equal(pictures, first(0)[0]) and not np.array_equal(pictures, first(1)[0])


def test_a_batch_depends_on_the_seed_and_its_number_alone(make_discs):
    pairs = [make_discs(np.random.default_rng(s), side=40, count=2) for s in range(3)]

    def supply(keep):
        feed = Feed(count=2, side=16, seed=4, keep=keep)
        return batches(Sampler([pairs], Percentiles(), feed), targets, feed)

    straight, skipping = supply(3), supply(1)
    drawn = [next(straight) for _ in range(5)]
    skipping.skip(3)
    for pictures, wanted in drawn[3:]:
        again = next(skipping)
        assert np.array_equal(again[0], pictures) and np.array_equal(again[1], wanted)
    assert not np.array_equal(drawn[0][0], drawn[1][0])


def test_channels_are_normalised_each_for_itself_and_warped_alike(make_discs):
    image, labels = make_discs(np.random.default_rng(0), side=40, count=3)
    still = Shade(gain=(1, 1), gamma=(1, 1), haze=0, noise=0, blur=0)
    feed = Feed(count=2, side=(16, 24), shade=still)
    sampler = Sampler([[(np.stack([image, 50 - 7 * image]), labels)]], Percentiles(low=0, high=100, compress=0), feed, channels=2)
    pictures, wanted = next(batches(sampler, targets, feed))
    assert pictures.shape == (2, 2, 16, 24) and wanted.shape == (2, 3, 16, 24)
    assert pictures[:, 0] == pytest.approx(1 - pictures[:, 1], abs=1e-5)


def test_stacks_are_cut_with_sides_of_their_own():
    labels = np.zeros((6, 40, 40), np.int32)
    labels[2:4, 10:20, 10:20] = 1
    feed = Feed(count=2, side=(4, 16, 24), warp=Warp(anisotropy=4.0))
    sampler = Sampler([[(labels * 1.0 + np.arange(6)[:, None, None], labels)]], Percentiles(), feed)
    pictures, wanted = next(batches(sampler, targets, feed, dims=3))
    assert pictures.shape == (2, 1, 4, 16, 24) and wanted.shape == (2, 3, 4, 16, 24)
    assert Feed().size(2) == (160, 160) and Feed().size(3) == (48, 48, 48)
    with pytest.raises(ValueError, match=r"^labels have shape \(6, 40, 40\): the network takes pictures of 2 spatial axes$"):
        next(batches(sampler, targets, Feed(side=8)))


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (7, 5)])
def test_pictures_smaller_than_the_patch_are_mirrored(shape):
    labels = np.ones(shape, np.int32)
    feed = Feed(count=4, side=24, warp=Warp(plain=0.5))
    pictures, wanted = next(batches(Sampler([[(np.random.default_rng(0).random(shape), labels)]], Percentiles(), feed), targets, feed))
    assert pictures.shape == (4, 1, 24, 24) and np.isfinite(pictures).all()
    assert (wanted[:, 0] == 1).all()


def test_a_cell_and_its_mirror_image_are_two_unless_they_touch():
    labels = np.array([[5, 0, 5, 5, -1], [0, 0, 0, 0, 5], [3, 0, 0, 0, 0]])
    assert apart(labels).tolist() == [[1, 0, 2, 2, -1], [0, 0, 0, 0, 2], [3, 0, 0, 0, 0]]
    seen = []
    film = [(np.random.default_rng(0).random((12, 12)), np.pad(np.ones((2, 2), np.int32), ((5, 5), (2, 8))))]
    feed = Feed(count=20, side=24, warp=Warp(plain=1.0))
    next(batches(Sampler([film], Percentiles(), feed), lambda labels: seen.append(labels) or labels[None].astype(np.float32), feed))
    assert max(truth.max() for truth in seen) > 2 and all(truth.max() == len(np.unique(truth)) - 1 for truth in seen)


def test_classes_keep_their_numbers_beyond_the_rim():
    labels = np.full((9, 9), 7, np.int32)
    feed = Feed(count=2, side=16)
    sampler = Sampler([[(np.random.default_rng(0).random((9, 9)), labels)]], Percentiles(), feed)
    for classes, number in ((False, 1), (True, 7)):
        _, wanted = next(batches(sampler, lambda truth: truth[None].astype(np.float32), feed, classes=classes))
        assert (wanted == number).all()


def test_memory_is_bounded_by_megabytes_too():
    pairs = [(np.random.default_rng(s).random((400, 400)), np.ones((400, 400), np.int32)) for s in range(4)]  # 1.2 MB each as they are kept
    sampler, rng = Sampler([pairs], Percentiles(), Feed(memory=3)), np.random.default_rng(0)
    for _ in range(20):
        sampler(rng)
        assert 1 <= len(sampler._cache) <= 2


def test_no_truth_is_refused(tmp_path):
    message = (
        f"{tmp_path} has no labelled pictures: give a folder with images/ and labels/, "
        "or a sequence NN beside which lies NN_ST/SEG or NN_GT/SEG"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        find_pairs(tmp_path)


def test_no_common_name_is_refused(folder):
    for path in (folder / "labels").iterdir():
        path.rename(path.with_name("x" + path.name))
    message = f"{folder} has no picture whose label file has the same name: give at least one pair"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        find_pairs(folder)


def test_pictures_and_labels_of_different_shape_are_refused_by_name(folder):
    write(folder / "labels" / "cell0.tif", np.zeros((5, 5), np.uint16))
    image, labels = folder / "images" / "cell0.tif", folder / "labels" / "cell0.tif"
    message = f"{image} has shape (64, 64) but {labels} has (5, 5): picture and labels must have one shape"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        find_pairs(folder)[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: Sampler([], Percentiles()), "sources have [] pairs: give at least one, none empty"),
        (lambda p: Sampler([[p], []], Percentiles()), "sources have [1, 0] pairs: give at least one, none empty"),
        (
            lambda p: Sampler([[p]], Percentiles(), Feed(weights=(1, 2))),
            "weights are (1, 2): give one of at least 0 for each of 1 sources",
        ),
        (lambda p: Feed(count=0), "count is 0, side None, keep 1000 and memory 2048: give integers of at least 1"),
        (lambda p: Feed(side=(8, 0)), "count is 10, side (8, 0), keep 1000 and memory 2048: give integers of at least 1"),
        (lambda p: Feed(foreground=2), "foreground is 2: give a share in 0..1"),
        (lambda p: Feed(side=(8, 8)).size(3), "side is (8, 8): give one number, or one for each of 3 axes"),
        (
            lambda p: Sampler([[p]], Percentiles(), channels=2)(np.random.default_rng(0)),
            "pair 0 of source 0 has 1 channel(s), its image has shape (4, 4): the network takes 2",
        ),
        (
            lambda p: Sampler([[(np.stack([p[0]] * 3), p[1])]], Percentiles())(np.random.default_rng(0)),
            "pair 0 of source 0 has 3 channel(s), its image has shape (3, 4, 4): the network takes 1",
        ),
        (
            lambda p: Sampler([[(p[0] * np.nan, p[1])]], Percentiles())(np.random.default_rng(0)),
            "pair 0 of source 0: image has 16 NaN or infinite pixels, the first at (0, 0): replace them by finite values",
        ),
        (
            lambda p: Sampler([[(p[0][:0], p[1][:0])]], Percentiles())(np.random.default_rng(0)),
            "pair 0 of source 0 has no pixels, its shape is (0, 4): give pictures of at least one pixel",
        ),
        (
            lambda p: Sampler([[(p[0], p[1].astype(float))]], Percentiles())(np.random.default_rng(0)),
            "pair 0 of source 0 has an image of shape (4, 4) and float64 labels of shape (4, 4): "
            "give integer labels of the shape of the image",
        ),
        (
            lambda p: Sampler([[p]], Percentiles())(np.random.default_rng(0)),
            "none of the 1 label pictures has a cell: give at least one with a number above 0",
        ),
        (lambda p: Files(("a",), ()), "1 images but 0 label files: give one for each"),
        (
            lambda p: Sampler([[(p[0], p[1][1:])]], Percentiles())(np.random.default_rng(0)),
            "pair 0 of source 0 has an image of shape (4, 4) and int64 labels of shape (3, 4): "
            "give integer labels of the shape of the image",
        ),
    ],
)
def test_bad_input_is_refused(make, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make((np.zeros((4, 4)), np.zeros((4, 4), np.int64)))
