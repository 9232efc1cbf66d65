"""What we ship: the promises of the package and of the nuclei-2d weights."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from scipy.special import expit

import segmentation
from segmentation.patches import find_pairs
from segmentation.quality import count, seg
from segmentation.segmenter import WEIGHTS
from segmentation.tiles import predict
from segmentation.unet import UNet, UNetConfig


@pytest.fixture(scope="module")
def nuclei():
    return segmentation.load("nuclei-2d", device="cpu")


def test_importing_the_package_loads_no_torch():
    code = "import sys, segmentation; assert 'torch' not in sys.modules; segmentation.Segmenter; assert 'torch' in sys.modules"
    root = str(Path(segmentation.__file__).parents[1])
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)


def test_the_root_has_at_most_twelve_names_and_all_are_there():
    assert len(segmentation.__all__) <= 12
    assert all(callable(getattr(segmentation, name)) for name in segmentation.__all__)
    assert set(segmentation.__all__) <= set(dir(segmentation))
    with pytest.raises(AttributeError, match=r"^module 'segmentation' has no attribute 'cells': it has [\w, ]+$"):
        _ = segmentation.cells


def blobs(diameter, seed=0, side=256):
    """Soft nuclei on a noisy ground: the picture and how many there are."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices((side, side))
    labels, image, pitch = np.zeros((side, side), np.int32), np.full((side, side), 20.0), int(1.6 * diameter)
    for y in range(pitch, side - pitch // 2, pitch):
        for x in range(pitch, side - pitch // 2, pitch):
            a, b = diameter / 2 * rng.uniform(0.85, 1.1, 2)
            away = np.hypot((rows - y) / a, (columns - x) / b)
            labels[away <= 1] = labels.max() + 1
            image += rng.uniform(60, 120) / (1 + np.exp((away - 1) * a / 0.8))
    return rng.poisson(image).astype(np.uint16), labels


@pytest.mark.parametrize("diameter", [14, 24, 40])
def test_simulated_nuclei_are_counted_and_outlined(nuclei, diameter):
    image, labels = blobs(diameter)
    found = nuclei.predict(image)
    assert found.max() == labels.max()
    assert (count(labels, found, (0.7,)).ap == 1).all()


def test_touching_nuclei_are_parted(nuclei):
    rows, columns = np.indices((96, 128))
    centres = [(48, 40), (48, 63), (48, 86)]
    away = np.array([np.hypot(rows - y, columns - x) for y, x in centres]).min(0)
    image = np.random.default_rng(0).poisson(20 + 100 / (1 + np.exp((away - 12) / 0.8)))
    assert nuclei.predict(image).max() == 3


@pytest.mark.parametrize("shape", [(20, 31), (180, 417), (400, 96)])
def test_tiles_of_the_shipped_network_change_nothing(nuclei, shape):
    picture = nuclei.normalise(np.resize(blobs(24)[0], shape))[None]
    one, tiled = (expit(predict(nuclei.network, picture, tile=tile, device="cpu")) for tile in (None, 128))
    assert one.shape == (3, *shape) and one.std() > 0.01
    assert np.abs(tiled - one).max() < 1e-5


def shipped():
    """Every file of weights in the house."""
    root = Path(segmentation.__file__).parents[1]
    return sorted([*root.glob("segmentation/weights/*.safetensors"), *root.glob("restoration/weights/*.safetensors")])


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
def test_tiles_change_nothing_in_any_shipped_network(path):
    with safe_open(path, "pt") as file:
        description = json.loads(file.metadata()["cytolineage"])
        tensors = {name: file.get_tensor(name).float() for name in file.keys()}
    network = UNet(UNetConfig(**description["network"]))
    network.load_state_dict(tensors)
    config = network.config
    for axis, (halo, divisor) in enumerate(zip(config.halos, config.divisors, strict=True)):
        shape = [2 * d + 1 for d in config.divisors]
        shape[axis] = halo + 4 * divisor + 1  # the first tile does not see the end
        tile = [d if a == axis else 4 * d for a, d in enumerate(config.divisors)]
        picture = np.random.default_rng(0).random((config.inputs, *shape)).astype(np.float32)
        one, tiled = (predict(network, picture, tile=size, device="cpu") for size in (None, tile))
        assert one.std() > 0 and np.abs(tiled - one).max() < 1e-5 * max(1, np.abs(one).max())


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (17, 17)])
def test_tiny_pictures(nuclei, shape):
    labels = nuclei.predict(np.random.default_rng(0).random(shape))
    assert labels.shape == shape and labels.dtype == np.int32


def test_the_file_is_small_and_carries_its_card(nuclei):
    assert (WEIGHTS / "nuclei-2d.safetensors").stat().st_size < 5e6
    assert (WEIGHTS / "nuclei-2d.md").read_text().startswith("# nuclei-2d")
    assert nuclei.about["folders"] and all(torch.isfinite(p).all() for p in nuclei.network.parameters())


def real(folder):
    root = os.environ.get("CYTOLINEAGE_DATA")
    if not root or not (Path(root) / folder).is_dir():
        pytest.skip(f"CYTOLINEAGE_DATA names no folder with {folder}")
    return find_pairs(Path(root) / folder)


def test_real_nuclei_of_the_second_half_of_a_film(nuclei):
    files = real("ctc/Fluo-N2DL-HeLa/01")
    pairs = [(labels, nuclei.predict(image)) for image, labels in (files[60], files[90])]
    floor = [(labels, segmentation.classical(image)) for image, labels in (files[60], files[90])]
    assert seg(pairs) > 0.75 and seg(pairs) > seg(floor) + 0.1
