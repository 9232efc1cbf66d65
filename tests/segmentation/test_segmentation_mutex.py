"""The mutex watershed: by hand, against its definition, and both implementations against each other."""

import numpy as np
import pytest

from segmentation import mutex
from segmentation.decoders.affinity import FLAT, SOLID
from segmentation.mutex import mutex_watershed


@pytest.fixture(params=["fast", "own"])
def implementation(request, monkeypatch):
    if request.param == "own":
        monkeypatch.setattr(mutex, "_fast_mutex_watershed", None)
    elif mutex._fast_mutex_watershed is None:
        pytest.skip("bioimage-cpp is not installed")


def line(joining, parting):
    """A row of pixels: evidence that neighbours join, and that the first of three and the third part."""
    evidence = np.zeros((2, 1, len(joining) + 1), np.float32)
    evidence[0, 0, : len(joining)] = joining
    evidence[1, 0, : len(parting)] = parting
    return mutex_watershed(evidence, ((0, 1), (0, 2)), np.ones((1, len(joining) + 1), bool), joining=1)[0].tolist()


@pytest.mark.usefixtures("implementation")
def test_the_surest_speaks_first():
    assert line([0.9, 0.8], [0.7]) == [1, 1, 1]  # joined before the doubt is heard
    assert line([0.9, 0.8], [0.85]) == [1, 1, 2]  # forbidden in between: the weaker join comes too late
    assert line([0.8, 0.9], [0.85]) == [1, 2, 2]
    assert line([0.8, 0.9, 0.7, 0.6], [0.85, 0.1, 0.65]) == [1, 2, 2, 2, 3]


@pytest.mark.usefixtures("implementation")
def test_a_ban_is_inherited_by_all_that_joins():
    # 0-1 and 2-3 join, 1|3 part, and 1-2 may therefore not join, though nothing forbids this very pair
    assert line([0.9, 0.5, 0.8], [0.1, 0.7]) == [1, 1, 2, 2]


@pytest.mark.usefixtures("implementation")
def test_nothing_is_said_across_the_mask_and_numbers_have_no_gaps():
    mask = np.array([[True, True, False, True, False, True]])
    found = mutex_watershed(np.ones((1, 1, 6), np.float32), ((0, 1),), mask, joining=1)
    assert found.dtype == np.int32 and found.tolist() == [[1, 1, 0, 2, 0, 3]]
    assert not mutex_watershed(np.ones((1, 1, 6), np.float32), ((0, 1),), mask & False, joining=1).any()


@pytest.mark.parametrize(("shape", "offsets", "stride"), [((24, 30), FLAT, 1), ((24, 30), FLAT, 2), ((5, 10, 11), SOLID, 1)])
def test_both_implementations_agree(monkeypatch, shape, offsets, stride):
    rng, dims = np.random.default_rng(0), len(shape)
    mask = rng.random(shape) < 0.9
    pairs = offsets[:dims] + offsets
    evidence = rng.permutation(len(pairs) * mask.size).reshape(len(pairs), *shape).astype(np.float32)  # no two alike
    fast = mutex_watershed(evidence, pairs, mask, joining=dims, stride=stride)
    monkeypatch.setattr(mutex, "_fast_mutex_watershed", None)
    own = mutex_watershed(evidence, pairs, mask, joining=dims, stride=stride)
    assert (own == fast).all() and own.max() > 5
    assert ((own > 0) == mask).all()
