"""A model goes out as a package that other programs can use and comes back as it was."""

import hashlib
import importlib.util
import io
import json
import re
import subprocess
import sys
import warnings
import zipfile

import numpy as np
import pytest
import torch
import yaml

from segmentation.decoders import DECODERS
from segmentation.decoders.boundary import Boundary
from segmentation.modelzoo import read_package, write_package
from segmentation.modelzoo.processing import Step, Steps
from segmentation.normalise import Percentiles
from segmentation.segmenter import Segmenter
from segmentation.unet import UNetConfig

SHAPES = {
    "plain": UNetConfig(width=2, depth=1),
    "valid": UNetConfig(width=2, depth=1, padding="valid"),
    "linear": UNetConfig(width=2, depth=2, upsampling="linear", norm="none"),
    "two channels": UNetConfig(width=2, depth=1, inputs=2),
    "3D": UNetConfig(dims=3, width=2, depth=1, kernels=((1, 3, 3), (1, 3, 3)), pooling=((1, 2, 2),)),
}
FACTS = {
    "name": "tiny discs",
    "description": "Finds discs.",
    "authors": ["A. Person", {"name": "B. Person", "affiliation": "a place"}],
    "license": "CC-BY-4.0",
    "cite": [{"text": "U-Net", "doi": "10.1007/978-3-319-24574-4_28"}],
    "tags": ["discs"],
}


def picture(config, seed=0):
    rng = np.random.default_rng(seed)
    shape = (40, 44) if config.dims == 2 else (5, 30, 28)
    return rng.gamma(2, 30, (config.inputs, *shape) if config.inputs > 1 else shape).astype(np.uint16)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A model of each shape with thresholds of its own, its package, and the remarks."""
    folder, made = tmp_path_factory.mktemp("packages"), {}
    for name, config in SHAPES.items():
        new = Segmenter.new(config, seed=3, device="cpu")
        model = Segmenter(new.network, Percentiles(2, 99, 3.0), Boundary(seed=0.1, mask=0.45, smallest=3), {"note": "é"}, "cpu")
        path = folder / f"{name}.zip"
        remarks = write_package(model, path, test_image=picture(config), **FACTS)
        made[name] = (model, path, remarks)
    return made


def content(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def array(data):
    return np.load(io.BytesIO(data))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_package_brings_back_the_whole_pipeline(written, shape):
    model, path, _ = written[shape]
    again = read_package(path, device="cpu")
    image = picture(SHAPES[shape], seed=1)
    assert (again.normalise, again.decoder, again.about) == (model.normalise, model.decoder, model.about)
    assert again.network.config == model.network.config
    assert np.abs(again.probabilities(image) - model.probabilities(image)).max() <= 1e-6
    assert np.array_equal(again.predict(image), model.predict(image))
    assert read_package(path, decoder=Boundary(mask=0.2)).decoder == Boundary(mask=0.2)
    assert read_package(path, decoder="boundary").decoder == model.decoder  # its thresholds are kept
    for other in ("distance", "star", "components"):
        with pytest.raises(
            ValueError, match=rf"asks for .*, but the network says {', '.join(model.decoder.channels)}: leave the decoder out$"
        ):
            read_package(path, decoder=other)


@pytest.mark.parametrize("odd", [{"inputs": [{"axes": 5}]}, {"weights": {"torchscript": 7}}, {"outputs": [None]}])
def test_a_description_that_makes_no_sense_is_refused_in_one_line(written, tmp_path, odd):
    files = content(written["flat"][1] if "flat" in written else next(iter(written.values()))[1])
    said = yaml.safe_load(files["rdf.yaml"]) | {"config": {}} | odd
    with zipfile.ZipFile(tmp_path / "odd.zip", "w") as archive:
        for name, data in (files | {"rdf.yaml": yaml.safe_dump(said).encode()}).items():
            archive.writestr(name, data)
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        read_package(tmp_path / "odd.zip")


@pytest.mark.parametrize("shape", SHAPES)
def test_every_file_has_the_hash_that_is_written_and_every_reference_is_there(written, shape):
    _, path, _ = written[shape]
    files = content(path)
    said = yaml.safe_load(files["rdf.yaml"])
    found = []

    def walk(node):
        if isinstance(node, dict):
            if "source" in node:
                found.append((node["source"], node["sha256"]))
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(said)
    assert {name for name, _ in found} | {"rdf.yaml"} == set(files)
    assert all(hashlib.sha256(files[name]).hexdigest() == sha for name, sha in found)
    assert [p.name for p in path.parent.iterdir() if p.suffix == ".part"] == []


@pytest.mark.parametrize("shape", SHAPES)
def test_the_description_has_the_shape_that_the_standard_asks_for(written, shape):
    """Checked by hand, for where the validator of the standard is not installed."""
    model, path, _ = written[shape]
    files = content(path)
    said = yaml.safe_load(files["rdf.yaml"])
    config = model.network.config
    assert said["type"] == "model" and re.fullmatch(r"0\.5\.\d+", said["format_version"]) and len(said["name"]) >= 5
    assert said["authors"] == [{"name": "A. Person"}, {"name": "B. Person", "affiliation": "a place"}]
    assert said["covers"][0]["source"] == "cover.png" and len(files["cover.png"]) < 500_000
    assert re.search("#.*[vV]alidation", files["README.md"].decode())
    entry, answer = said["inputs"][0], said["outputs"][0]
    space = ["z", "y", "x"][-config.dims :]
    for tensor, count in ((entry, config.inputs), (answer, 3)):
        assert [axis["type"] for axis in tensor["axes"]] == ["batch", "channel"] + ["space"] * config.dims
        assert [axis["id"] for axis in tensor["axes"][2:]] == space
        assert len(tensor["axes"][1]["channel_names"]) == count
    given, wanted = array(files["test_input.npy"]), array(files["test_output.npy"])
    assert given.dtype == wanted.dtype == np.float32 and given.shape[:2] == (1, config.inputs) and wanted.shape[:2] == (1, 3)
    for i, (one, other) in enumerate(zip(entry["axes"][2:], answer["axes"][2:], strict=True)):
        least, step = one["size"]["min"], one["size"]["step"]
        assert step == config.divisors[i]
        assert given.shape[2 + i] >= least and (given.shape[2 + i] - least) % step == 0
        assert other["size"]["tensor_id"] == "input" and other["size"]["axis_id"] == one["id"]
        margin = -other["size"].get("offset", 0) // 2
        assert margin == config.margins[i] and wanted.shape[2 + i] == given.shape[2 + i] - 2 * margin
        halo = other.get("halo", 0)
        assert halo + margin >= min(config.halos[i], config.margins[i] or config.halos[i]) and halo % step == 0
        assert least - 2 * margin - 2 * halo >= 1
    for kind, weights in said["weights"].items():
        assert weights["pytorch_version"] == torch.__version__.split("+")[0], kind


VALIDATES = """
import sys, bioimageio.spec as spec
for path in sys.argv[1:]:
    with spec.ValidationContext(perform_io_checks=True, raise_errors=False):
        summary = spec.load_description(path).validation_summary
    print(summary.status, *(error.msg for detail in summary.details for error in detail.errors))
"""


def test_the_packages_validate_with_the_validator_of_the_standard(written):
    if importlib.util.find_spec("bioimageio") is None or importlib.util.find_spec("bioimageio.spec") is None:
        pytest.skip("bioimageio.spec is not installed: pip install cytolineage[zoo]")
    paths = [str(path) for _, path, _ in written.values()]
    run = subprocess.run([sys.executable, "-c", VALIDATES, *paths], capture_output=True, text=True, check=False)
    assert run.stdout.splitlines() == ["valid-format"] * len(SHAPES), run.stderr[-2000:]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_example_is_what_the_segmenter_says(written, shape):
    model, path, _ = written[shape]
    files = content(path)
    given, wanted = array(files["test_input.npy"])[0], array(files["test_output.npy"])[0]
    image = given[0] if len(given) == 1 else given
    margins = model.network.config.margins
    ours = model.probabilities(image)[(slice(None), *(slice(m, n - m) for m, n in zip(margins, image.shape[-len(margins) :], strict=True)))]
    assert wanted.std() > 0 and np.abs(ours - wanted).max() < 1e-5


RUNS_ALONE = """
import sys, json, importlib.abc
class Wall(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("segmentation", "lineage", "scipy", "skimage"):
            raise ImportError(name)
sys.meta_path.insert(0, Wall())
import numpy as np, torch
torch.set_num_threads(1)
sys.path.insert(0, ".")
import network
for values, weights, given, wanted in json.load(open("asked.json")):
    made = network.exported_network(**values).eval()
    made.load_state_dict(torch.load(weights, weights_only=True))
    with torch.inference_mode():
        got = torch.sigmoid(made(torch.from_numpy(np.load(given)))).numpy()
    print(np.abs(got - np.load(wanted)).max())
"""


def test_the_source_in_the_package_builds_the_network_without_this_program(written, tmp_path):
    asked = []
    for i, (model, path, _) in enumerate(written.values()):
        files = content(path)
        said = yaml.safe_load(files["rdf.yaml"])
        steps = [Step(step["id"], step["kwargs"]) for step in said["inputs"][0]["preprocessing"]]
        given = array(files["test_input.npy"])[0]
        axes = ("channel", *("z", "y", "x")[-model.network.config.dims :])
        np.save(tmp_path / f"{i}.npy", Steps(tuple(steps), axes).apply(given, given)[None].astype(np.float32))
        for name in ("network.py", "weights.pt", "test_output.npy"):
            (tmp_path / (name if name == "network.py" else f"{i}{name}")).write_bytes(files[name])
        values = said["weights"]["pytorch_state_dict"]["architecture"]["kwargs"]
        asked.append((values, f"{i}weights.pt", f"{i}.npy", f"{i}test_output.npy"))
    (tmp_path / "asked.json").write_text(json.dumps(asked))
    run = subprocess.run([sys.executable, "-c", RUNS_ALONE], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert len(run.stdout.split()) == len(SHAPES) and all(float(line) < 1e-5 for line in run.stdout.split())


@pytest.mark.parametrize("shape", SHAPES)
def test_the_torchscript_answers_the_same_on_other_sizes(written, shape):
    model, path, remarks = written[shape]
    files = content(path)
    config = model.network.config
    if "weights.torchscript.pt" not in files:
        assert remarks[-1] == "There is no TorchScript: what it records of one picture would not hold for pictures of other sizes."
        return
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        script = torch.jit.load(io.BytesIO(files["weights.torchscript.pt"]))
        shape = config.sides([9] * config.dims)
        normal = torch.from_numpy(np.random.default_rng(0).random((2, config.inputs, *shape)).astype(np.float32))
        compressed = torch.asinh(3 * normal) / np.arcsinh(3)
        assert torch.allclose(script(normal), model.network(compressed), atol=1e-5)


def test_answers_that_are_read_in_different_ways_are_read_inside_the_network():
    from segmentation.modelzoo.exported import ExportedNetwork
    from segmentation.modelzoo.writing import _finish

    class Mixed:
        channels = ("chance", "far", "plain")

        def read(self, answers):
            return np.stack([1 / (1 + np.exp(-answers[0])), np.log1p(np.exp(answers[1])), answers[2]])

    kinds, steps = _finish(Mixed())
    assert (kinds, steps) == (["sigmoid", "softplus", "none"], [])
    unet = Segmenter.new(SHAPES["plain"], device="cpu").network.eval()
    given = torch.rand(1, 1, 8, 8)
    with torch.no_grad():
        raw, read = unet(given)[0].numpy(), ExportedNetwork(unet, 0.0, kinds).eval()(given)[0].numpy()
    assert read == pytest.approx(Mixed().read(raw), abs=1e-6)


@pytest.mark.parametrize("name", sorted(DECODERS))
def test_every_decoder_travels(name, tmp_path):
    model = Segmenter.new(SHAPES["plain"], decoder=DECODERS[name](), device="cpu")
    write_package(model, tmp_path / "m.zip", test_image=picture(SHAPES["plain"]), name="tiny discs")
    again = read_package(tmp_path / "m.zip", device="cpu")
    image = picture(SHAPES["plain"], seed=1)
    assert again.decoder == model.decoder and np.array_equal(again.predict(image), model.predict(image))
    said = yaml.safe_load(content(tmp_path / "m.zip")["rdf.yaml"])
    assert said["outputs"][0]["axes"][1]["channel_names"] == list(model.decoder.channels)


def test_a_folder_and_its_description_are_as_good_as_the_archive(written, tmp_path):
    model, path, _ = written["plain"]
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path)
    image = picture(SHAPES["plain"])
    for place in (tmp_path, tmp_path / "rdf.yaml"):
        assert np.array_equal(read_package(place, device="cpu").predict(image), model.predict(image))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test_image": np.zeros((3, 9, 9))}, "test_image has shape (3, 9, 9): the network takes (Y, X)"),
        ({"name": "tiny"}, "name is 'tiny': give 5 to 128 letters, digits, blanks or any of _+-()"),
        ({"name": "tiny: discs"}, "name is 'tiny: discs': give 5 to 128 letters, digits, blanks or any of _+-()"),
        (
            {"test_image": np.full((9, 9), np.nan)},
            "image has 81 NaN or infinite pixels, the first at (0, 0): replace them by finite values",
        ),
    ],
)
def test_what_cannot_be_exported_is_refused_and_nothing_is_written(written, tmp_path, change, message):
    model = written["plain"][0]
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        write_package(model, tmp_path / "m.zip", **{"test_image": picture(SHAPES["plain"]), "name": "tiny discs"} | change)
    with pytest.raises(ValueError, match=r"m\.tar: a package is a zip archive: let its name end in \.zip$"):
        write_package(model, tmp_path / "m.tar", test_image=picture(SHAPES["plain"]), name="tiny discs")
    assert list(tmp_path.iterdir()) == []
