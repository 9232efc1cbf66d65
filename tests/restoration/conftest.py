"""Small noisy pictures whose truth is known, for every test of restoration."""

import numpy as np
import pytest
import torch
from scipy import ndimage

torch.set_num_threads(1)  # many small networks: threads only wait for each other


def blobs(side=32, seed=0, spread=2.0):
    """A smooth picture of mean 100 and standard deviation 30."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(side, side)), spread, mode="wrap")
    return 100 + 30 * (field - field.mean()) / field.std()


@pytest.fixture(scope="session")
def make_blobs():
    return blobs


@pytest.fixture(scope="session")
def noisy_film():
    """A film (6, 32, 32) of one scene with fresh noise of standard deviation 20 in each frame, and the scene."""
    scene = blobs()
    return (scene + np.random.default_rng(1).normal(0, 20, (6, 32, 32))).astype(np.float32), scene
