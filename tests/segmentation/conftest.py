"""Pictures of discs with known labels: the films that every test can afford."""

import numpy as np
import pytest
import torch

torch.set_num_threads(1)  # many small networks: threads only wait for each other


def discs(rng, side=96, count=8, radius=(5, 9), gap=1.0):
    """A noisy picture of bright discs on a dark ground, and its labels."""
    labels = np.zeros((side, side), np.int32)
    rows, columns = np.indices(labels.shape)
    placed = []
    while len(placed) < count:
        r = rng.uniform(*radius)
        y, x = rng.uniform(r, side - r, 2)
        if all(np.hypot(y - b, x - a) > r + s + gap for b, a, s in placed):
            placed.append((y, x, r))
            labels[np.hypot(rows - y, columns - x) <= r] = len(placed)
    brightness = np.concatenate([[0.1], rng.uniform(0.6, 1.0, count)])
    image = brightness[labels] + rng.normal(0, 0.05, labels.shape)
    return image.astype(np.float32), labels


@pytest.fixture(scope="session")
def make_discs():
    return discs
