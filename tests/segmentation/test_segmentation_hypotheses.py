"""Hypotheses: nested and alternative segments, their conflicts, and probabilities that come true."""

import itertools
import re
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pytest
from skimage.measure import label

from segmentation.flooding import flood
from segmentation.hypotheses import (
    NAMES,
    SEARCH,
    Calibration,
    Candidates,
    Segments,
    calibrated,
    calibration_error,
    calibration_of,
    from_said,
    hypotheses,
)
from segmentation.hypotheses.facts import facts
from segmentation.hypotheses.parts import covered, finest, merge_tree, refined, touching
from segmentation.segmenter import Segmenter
from segmentation.unet import UNetConfig

WHOLE = Segments(
    (1, 6), np.array([0.5, 0.6, 0.7, 0.9]), np.array([0, 1, 2, 3, 0, 1, 2, 3, 5]), np.array([0, 4, 6, 8, 9]), np.array([-1, 0, 0, -1])
)
CHANNELS = ("foreground", "boundary")
EVEN = Calibration({}, 0.0)  # every segment is as likely as not


@dataclass(frozen=True)
class Model:
    """A segmenter whose network says what the picture holds: foreground in the first half of a grey level, boundary in the other."""

    about: dict = field(default_factory=dict)
    decoder: object = None

    def __post_init__(self):
        object.__setattr__(self, "decoder", self.decoder or Decoder())

    def probabilities(self, image):
        return np.stack([np.floor(image) / 100, image % 1]).astype(np.float32)


class Decoder:
    channels = CHANNELS
    smallest = 5

    def __call__(self, said):
        mask = said[0] > 0.5
        return flood(said[1] - said[0], label(mask & (said[0] - said[1] > 0.3), connectivity=1), mask)


def said_of(picture):
    return Model().probabilities(picture)


def discs(*centres, rim=0.0, shape=(24, 40), radius=6, bright=0.95):
    """Touching discs as a network sees them: foreground, and on the pixels where two of them meet a rim of this strength."""
    rows, columns = np.indices(shape)
    distance = np.stack([np.hypot(rows - y, columns - x) for y, x in centres])
    inside = (distance <= radius).any(0)
    near = np.sort(distance, axis=0)
    met = inside & (near[1] - near[0] < 1.5) if len(centres) > 1 else np.zeros(shape, bool)
    return np.where(inside, np.round(bright * 100), 0.0) + np.where(met, rim, 0.0), np.where(inside, distance.argmin(0) + 1, 0)


# segments


def test_segments_that_share_a_pixel_are_in_a_set_together():
    assert [rows.tolist() for rows in WHOLE.conflicts] == [[0, 1], [0, 2]]
    assert (WHOLE.size.tolist(), WHOLE.owner.tolist()) == ([4, 2, 2, 1], [0, 0, 0, 0, 1, 1, 2, 2, 3])
    assert WHOLE.box[:, :, 1].tolist() == [[0, 4], [0, 2], [2, 4], [5, 6]]
    assert [pixels.tolist() for pixels in WHOLE] == [[0, 1, 2, 3], [0, 1], [2, 3], [5]]


def test_costs_are_nats():
    np.testing.assert_allclose(WHOLE.cost, [0, -np.log(1.5), -np.log(0.7 / 0.3), -np.log(9)], rtol=1e-12)
    sure = replace(WHOLE, score=np.array([0.0, 1.0, 0.5, 0.5]))
    assert np.isfinite(sure.cost).all()
    assert (sure.cost[0], sure.cost[0] > 9) == (pytest.approx(-sure.cost[1]), True)


def test_the_likeliest_choice_is_painted():
    assert WHOLE.best().tolist() == [1, 2, 3]
    assert WHOLE.labels().tolist() == [[2, 2, 3, 3, 0, 4]]
    assert WHOLE.labels([0, 3]).tolist() == [[1, 1, 1, 1, 0, 4]]
    with pytest.raises(ValueError, match=re.escape("segments 0 and 2 share a pixel: choose one of them")):
        WHOLE.labels([0, 2])


def anything(rng, n=7, size=9):
    """Random segments of a small picture, whether nested or not."""
    pixels = [np.sort(rng.choice(size, rng.integers(1, 4), replace=False)) for _ in range(n)]
    ends = np.cumsum([0, *map(len, pixels)])
    return Segments((3, 3), rng.uniform(0.05, 0.95, n), np.concatenate(pixels), ends, np.full(n, -1))


def test_conflicts_and_the_likeliest_choice_are_those_of_enumeration():
    rng = np.random.default_rng(1)
    for _ in range(20):
        some = anything(rng)
        pixels = [set(one.tolist()) for one in some]
        share = {(a, b) for a, b in itertools.combinations(range(len(some)), 2) if pixels[a] & pixels[b]}
        assert {pair for rows in some.conflicts for pair in itertools.combinations(rows.tolist(), 2)} == share
        assert not any(set(a.tolist()) < set(b.tolist()) for a, b in itertools.permutations(some.conflicts, 2))
        lawful = (
            rows
            for k in range(len(some) + 1)
            for rows in itertools.combinations(range(len(some)), k)
            if not share & set(itertools.combinations(rows, 2))
        )
        assert some.cost[some.best()].sum() == pytest.approx(min(some.cost[list(rows)].sum() for rows in lawful))


def test_taking_some_keeps_their_pixels_and_their_nearest_kept_ancestor():
    nested = Segments((1, 4), np.full(3, 0.5), np.array([0, 1, 2, 3, 0, 1, 2, 0]), np.array([0, 4, 7, 8]), np.array([-1, 0, 1]))
    some = nested.take([2, 0])
    assert ([one.tolist() for one in some], some.parent.tolist()) == ([[0], [0, 1, 2, 3]], [1, -1])
    assert len(nested.take([])) == 0


def test_the_cells_of_a_label_picture_come_back():
    labels = np.array([[0, 3, 3], [7, 0, 3]])
    cells = Segments.of_labels(labels, 0.8)
    assert (cells.labels().tolist(), cells.conflicts) == ([[0, 1, 1], [2, 0, 1]], ())
    assert len(Segments.of_labels(np.zeros((2, 2), int)).best()) == 0


def test_columns_that_do_not_belong_together_are_refused():
    message = "score, ends and parent have 2, 2 and 2 rows for 1 pixels: give n, n + 1 and n, and the last end is the number of pixels"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Segments((2, 2), np.ones(2), np.zeros(1, int), np.array([0, 1]), np.array([-1, -1]))
    with pytest.raises(ValueError, match=f"^{re.escape('score of segment 1 is 1.5: give probabilities in 0..1')}$"):
        Segments((2, 2), np.array([0.5, 1.5]), np.array([0, 1]), np.array([0, 1, 2]), np.array([-1, -1]))


# parts


def test_passes_and_contacts_by_hand():
    parts = touching(np.array([[1, 1, 2], [3, 3, 2]]), np.array([[9.0, 5, 8], [7, 2, 6]]))
    assert parts.peak.tolist() == [9, 8, 7]
    assert list(zip(parts.one, parts.two, parts.saddle, parts.contact, strict=True)) == [(0, 1, 5, 1), (0, 2, 7, 2), (1, 2, 2, 1)]


def test_a_mask_falls_apart_at_its_waists_one_after_the_other():
    height = np.array([[9.0, 9, 4, 8, 8, 2, 7, 7]])
    mask = np.ones(height.shape, bool)
    assert [finest(height, mask, levels, speck=2).max() for levels in [(), (1,), (3,), (3, 5), (8,)]] == [1, 1, 2, 3, 1]
    leaves = finest(height, mask, (3, 5), speck=2)
    assert len(np.unique(leaves[0, :2])) == len(np.unique(leaves[0, 3:5])) == len(np.unique(leaves[0, 6:])) == 1
    assert (finest(height, mask, (3, 5), speck=3) == 1).all()


def test_the_tree_merges_over_the_highest_pass_first():
    parts = touching(np.array([[1, 1, 2, 2, 3, 3]]), np.array([[9.0, 4, 5, 8, 7, 9]]))
    assert merge_tree(parts, most=3) == [(0,), (1,), (2,), (1, 2), (0, 1, 2)]
    assert merge_tree(parts, most=2) == [(0,), (1,), (2,), (1, 2)]


def test_another_segmentation_cuts_parts_and_is_covered_by_them():
    parts, other = np.ones((4, 10), int), np.repeat([[1] * 5 + [2] * 5], 4, axis=0)
    other[:, 4] = 0
    cut = refined(parts, [other], np.zeros(parts.shape), smallest=4)
    assert (len(np.unique(cut)), cut.min()) == (2, 1)
    assert sorted(covered(cut, other)) == [(0,), (1,)]
    assert covered(cut, np.ones_like(cut)) == [(0, 1)]
    assert refined(parts, [other], np.zeros(parts.shape), smallest=30).max() == 1


def test_facts_are_those_counted_pixel_by_pixel():
    rng = np.random.default_rng(0)
    labels = label(rng.random((12, 12)) > 0.5, connectivity=1)
    foreground, boundary = rng.uniform(0.2, 0.9, (2, *labels.shape))
    parts = touching(labels, foreground - boundary)
    nodes = [(k,) for k in range(len(parts))] + [(0, 1), (0, 2, 3)]
    trusted = label(rng.random((12, 12)) > 0.5, connectivity=1)
    known = dict(zip(NAMES, facts(parts, nodes, foreground, boundary, trusted, usual=10.0).T, strict=True))
    for row, node in enumerate(nodes):
        inside = np.isin(labels, np.array(node) + 1)
        pairs = [((y, x), (y + dy, x + dx)) for y, x in np.ndindex(12, 12) for dy, dx in ((0, 1), (1, 0)) if max(y + dy, x + dx) < 12]
        rim = [(a, b) for a, b in pairs if inside[a] != inside[b]]
        mean = foreground[inside].mean()
        assert known["foreground"][row] == pytest.approx(np.log(mean / (1 - mean)))
        assert known["inner"][row] == pytest.approx(boundary[inside].mean())
        assert known["rim"][row] == pytest.approx(np.mean([max(boundary[a], boundary[b]) for a, b in rim]))
        assert known["crowd"][row] == pytest.approx(np.mean([labels[a] > 0 and labels[b] > 0 for a, b in rim]))
        assert known["small"][row] + known["large"][row] == pytest.approx(np.log(inside.sum() / 10))
        frame = np.ones_like(inside)
        frame[1:-1, 1:-1] = False
        assert known["border"][row] == (inside & frame).any()
        ious = [(inside & (trusted == k)).sum() / (inside | (trusted == k)).sum() for k in range(1, trusted.max() + 1)]
        assert known["agreed"][row] == pytest.approx(max(ious))


def test_a_dip_is_the_deepest_pass_inside_and_a_rise_the_height_over_the_highest_out():
    parts = touching(np.array([[1, 1, 2, 2, 3, 3]]), np.array([[9.0, 4, 5, 8, 7, 9]]))
    known = facts(
        parts, [(0,), (0, 1), (1, 2), (0, 1, 2)], np.full((1, 6), 0.5), np.zeros((1, 6)), np.array([[0, 1, 1, 1, 2, 2]]), usual=2.0
    )
    assert known[:, NAMES.index("dip")].tolist() == [0, 4, 1, 5]
    assert known[:, NAMES.index("rise")].tolist() == [5, 2, 5, 9]  # over the ground where nothing is beside it
    np.testing.assert_allclose(known[:, NAMES.index("agreed")], [1 / 4, 3 / 4, 2 / 4, 3 / 6])


# probabilities


def test_the_fit_finds_the_odds_that_made_the_data():
    rng = np.random.default_rng(0)
    known = rng.normal(size=(20000, len(NAMES)))
    truth = Calibration({"rim": 2.0, "dip": -1.0}, 0.5)
    true = (rng.random(20000) < truth(known)).astype(float)
    found = Calibration.fit(known, true)
    assert found.weight["rim"] == pytest.approx(2, abs=0.2)
    assert found.weight["dip"] == pytest.approx(-1, abs=0.15)
    assert np.abs(found(known) - truth(known)).mean() < 0.03
    assert calibration_error(found(known), true) < 0.02 < calibration_error(found(known) ** 3, true)
    assert max(abs(value) for name, value in found.weight.items() if "*" in name) < 0.2
    assert Calibration.of(found.described())(known) == pytest.approx(found(known), abs=1e-3)


def test_facts_may_count_only_together():
    rng = np.random.default_rng(1)
    known = rng.normal(3, 2, size=(4000, len(NAMES)))
    rim, dip = ((known[:, NAMES.index(name)] - 3) / 2 for name in ("rim", "dip"))
    true = (rng.random(4000) < 1 / (1 + np.exp(-2 * rim * dip))).astype(float)
    found = Calibration.fit(known, true)
    assert found.weight["rim*dip"] == pytest.approx(2, abs=0.2)
    assert max(abs(found.weight[name]) for name in NAMES) < 0.15
    assert calibration_error(found(known), true) < 0.03
    far = np.full((1, len(NAMES)), 3.0)
    far[0, [NAMES.index("rim"), NAMES.index("dip")]] = 3 + 2 * 4
    assert found(far) == pytest.approx(found(np.where(far > 3, 1e6, far)))  # beyond four units nothing more is said


def test_a_calibration_that_speaks_of_other_facts_is_refused():
    message = f"the calibration of hypotheses speaks of charm, rind, but known are {', '.join(NAMES)}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        calibration_of(Model({"hypotheses": {"weight": {"rind": 1.0, "rim*charm": 1.0}, "bias": 0.0}}))


def test_the_calibration_error_by_hand():
    score, true = np.array([0.92, 0.94, 0.15, 1.0]), np.array([1.0, 0, 0, 1])
    assert calibration_error(score, true) == pytest.approx((abs(0.92 + 0.94 + 1 - 2) + 0.15) / 4)
    assert calibration_error(score, true, bins=1) == pytest.approx(abs(score.sum() - 2) / 4)
    assert calibration_error(np.zeros(0), np.zeros(0)) == 0


def test_nothing_can_be_learned_from_one_kind_only():
    with pytest.raises(ValueError, match=re.escape("3 of 3 segments are cells: give pictures with both true and false ones")):
        Calibration.fit(np.zeros((3, len(NAMES))), np.ones(3))


def test_a_candidate_is_true_when_no_other_is_closer_to_its_cell():
    picture, truth = discs((12, 12), (12, 23), rim=0.2)
    candidates = Candidates.of(said_of(picture), CHANNELS, [Decoder()(said_of(picture))])
    iou = dict(zip(candidates.nodes, candidates.overlap(truth), strict=True))
    assert (iou[(0,)] > 0.9, iou[(1,)] > 0.9, iou[(0, 1)]) == (True, True, 0)
    whole = dict(zip(candidates.nodes, candidates.overlap((truth > 0).astype(int)), strict=True))
    assert whole[(0, 1)] == 1
    assert (whole[(0,)], whole[(1,)]) == (0, 0)
    assert np.isnan(candidates.overlap(np.where(truth == 1, -1, truth))[candidates.nodes.index((0,))])


def test_a_model_learns_its_own_probabilities_and_keeps_them():
    rng = np.random.default_rng(3)
    pairs = []
    for _ in range(12):  # strong rims part two cells, weak ones lie inside of one
        strong, apart = rng.random() < 0.5, rng.integers(9, 12)
        picture, truth = discs((12, 12), (12, 12 + apart), rim=rng.uniform(0.6, 0.9) if strong else rng.uniform(0.05, 0.3))
        pairs.append((picture, truth if strong else (truth > 0).astype(int)))
    model = calibrated(Model(), pairs)
    assert calibration_of(model) == Calibration.of(model.about["hypotheses"])
    assert Model().about == {}
    for rim, count in ((0.8, 2), (0.1, 1)):
        found = hypotheses(model, discs((12, 12), (12, 22), rim=rim)[0])
        assert len(found.best()) == count


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ({"weight": [1.0], "bias": 0.0}, "it is no tables of weight, middle and spread, and a bias"),
        ({"weight": {}, "bias": 0.0, "more": 1}, "it is no tables of weight, middle and spread, and a bias"),
        ({"weight": {}}, "all of its numbers must be finite, and spreads positive"),
        ({"weight": {"rim": "high"}, "bias": 0.0}, "all of its numbers must be finite, and spreads positive"),
        ({"weight": {"rim": float("nan")}, "bias": 0.0}, "all of its numbers must be finite, and spreads positive"),
        ({"weight": {}, "bias": 0.0, "spread": {"rim": 0.0}}, "all of its numbers must be finite, and spreads positive"),
    ],
)
def test_a_damaged_calibration_is_refused(kept, message):
    with pytest.raises(ValueError, match=f"^the calibration of hypotheses is damaged: {re.escape(message)}$"):
        calibration_of(Model({"hypotheses": kept}))


# the whole


def test_where_nothing_is_in_doubt_there_is_one_segment_a_cell():
    picture, truth = discs((10, 10), (12, 30))
    found = from_said(said_of(picture), CHANNELS, [Decoder()(said_of(picture))], EVEN)
    assert (len(found), found.conflicts) == (2, ())
    assert ((found.labels(range(2)) > 0) == (truth > 0)).all()


def test_where_there_is_doubt_the_whole_and_its_parts_exclude_each_other():
    picture, truth = discs((12, 12), (12, 23), rim=0.25)
    (base,) = labels = [Decoder()(said_of(picture))]
    assert base.max() == 1
    found = from_said(said_of(picture), CHANNELS, labels, EVEN)
    whole = int(found.size.argmax())
    halves = [k for k in range(3) if k != whole]
    assert (len(found), [rows.tolist() for rows in found.conflicts]) == (3, sorted(sorted([whole, k]) for k in halves))
    assert [found.parent[k] for k in (whole, *halves)] == [-1, whole, whole]
    assert (np.abs((found.labels(halves) > 0).astype(int) - (truth > 0)) == 0).all()


def test_a_dim_cell_that_the_decoder_does_not_see_is_one_more():
    bright, dim = discs((12, 10))[0], discs((12, 30), bright=0.35)[0]
    said = said_of(bright + dim)
    assert Decoder()(said).max() == 1
    found = from_said(said, CHANNELS, [Decoder()(said)], EVEN)
    assert (len(found), found.conflicts) == (2, ())
    assert len(from_said(said, CHANNELS, [Decoder()(said)], EVEN, search=replace(SEARCH, dim=0.4))) == 1


def test_other_segmentations_add_theirs():
    picture, _ = discs((12, 12))
    other = np.where(Decoder()(said_of(picture)) > 0, 1 + (np.arange(24) > 12)[:, None], 0)
    assert len(hypotheses(Model({"hypotheses": EVEN.described()}), picture)) == 1
    assert len(hypotheses(Model({"hypotheses": EVEN.described()}), picture, others=[other])) == 3
    with pytest.raises(ValueError, match=re.escape("a segmentation has shape (3, 3), but the picture has (24, 40): give one shape")):
        hypotheses(Model(), picture, others=[np.zeros((3, 3), int)])


def test_mirrored_views_are_asked_too():
    class Lopsided(Decoder):  # cuts what lies in the left half of the picture it is given
        def __call__(self, said):
            labels = super().__call__(said)
            return np.where(labels > 0, labels + (np.arange(40) < 10), 0)

    picture, _ = discs((12, 29))
    model = Model({"hypotheses": EVEN.described()}, Lopsided())
    assert len(hypotheses(model, picture)) == 1
    assert len(hypotheses(model, picture, views=True)) == 3


def test_unlikely_segments_and_rivals_of_sure_ones_are_left_out():
    picture, _ = discs((12, 12), (12, 23), rim=0.25)
    candidates = Candidates.of(said_of(picture), CHANNELS, [Decoder()(said_of(picture))])
    scores = {(0,): 0.6, (1,): 0.6, (0, 1): 0.5}

    def kept(**changes):
        return len(candidates.segments(np.array([{**scores, **changes.get("of", {})}[node] for node in candidates.nodes])))

    assert (kept(), kept(of={(0, 1): 0.01}), kept(of={(0, 1): 0.98}), kept(of={(0,): 0.99, (1,): 0.99})) == (3, 2, 1, 2)


def test_stacks_have_hypotheses_too():
    zyx = np.indices((9, 15, 26))
    balls = np.stack([np.sqrt(sum((w - c) ** 2 for w, c in zip(zyx, centre, strict=True))) for centre in ((4, 7, 8), (4, 7, 16))])
    near = np.sort(balls, axis=0)
    inside = near[0] <= 4.5
    said = np.stack([np.where(inside, 0.9, 0.0), np.where(inside & (near[1] - near[0] < 1.5), 0.25, 0.0)]).astype(np.float32)
    found = from_said(said, CHANNELS, [Decoder()(said)], EVEN)
    assert (len(found), len(found.conflicts), found.labels([int(found.size.argmax())]).shape) == (3, 2, (9, 15, 26))


def test_pictures_without_anything_have_no_hypotheses():
    assert len(hypotheses(Model(), np.zeros((16, 16)))) == 0
    dark = np.zeros((16, 16))
    dark[3, 3] = 1.0
    assert (len(hypotheses(Model(), dark)), hypotheses(Model(), dark).labels().max()) == (0, 0)


def test_decoders_without_a_foreground_are_refused():
    model = SimpleNamespace(decoder=SimpleNamespace(channels=("probability",)), about={})
    message = (
        "the decoder SimpleNamespace asks for probability: hypotheses need the channel 'foreground', "
        "as boundary, components and distance have it"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        hypotheses(model, np.eye(4))


def test_the_shipped_model_is_calibrated(data):
    import segmentation
    from segmentation.patches import find_pairs

    files = find_pairs(data / "ctc" / "Fluo-N2DL-HeLa" / "01")
    image, truth = files[80]  # of the half that nothing was fitted to
    model = segmentation.load("nuclei-2d")
    said = model.probabilities(image)
    candidates = Candidates.of(said, model.decoder.channels, [model.decoder(said)])
    iou = candidates.overlap(truth)
    known = ~np.isnan(iou)
    assert calibration_error(calibration_of(model)(candidates.known)[known], (iou[known] >= 0.5).astype(float)) < 0.1


def test_hypotheses_of_several_channels_have_the_shape_of_the_picture():
    model = Segmenter.new(UNetConfig(inputs=2, width=2, depth=1), device="cpu")
    flat = np.stack([np.zeros((16, 16)), np.full((16, 16), 5.0)])
    assert hypotheses(model, flat).shape == (16, 16)
    assert len(hypotheses(model, flat)) == 0
    with pytest.raises(ValueError, match=r"infinite"):
        hypotheses(model, np.full((2, 16, 16), np.inf))
