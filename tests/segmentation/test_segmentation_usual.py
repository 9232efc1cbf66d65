"""Decoders by name, with what is usual for pictures of so many axes."""

import numpy as np
import pytest

from segmentation.decoders import DECODERS, usual


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", DECODERS)
def test_every_decoder_takes_labels_of_so_many_axes(name, dims):
    decoder = usual(name, dims)
    labels = np.zeros((9,) * dims, np.int32)
    labels[(slice(3, 6),) * dims] = 1
    wanted = decoder.targets(labels)
    assert wanted.shape[1:] == labels.shape
    assert name == "classes" or wanted.shape[0] == len(decoder.channels)


def test_no_such_decoder_is_said():
    known = "boundary, components, distance, affinity, star, classes"
    with pytest.raises(ValueError, match=f"^decoder 'moon' is unknown: take one of {known}$"):
        usual("moon", 2)
