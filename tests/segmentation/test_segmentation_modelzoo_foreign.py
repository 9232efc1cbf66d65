"""Packages of others: a U-Net with other names, TorchScript of any network, all processing steps, and what is refused."""

import hashlib
import io
import re
import stat
import warnings
import zipfile

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save
from scipy.special import expit
from torch import nn

from segmentation.checkpoints import fill, read_tensors
from segmentation.decoders.boundary import Boundary
from segmentation.modelzoo import archive, load, read_package, write_package
from segmentation.modelzoo.matching import fits
from segmentation.modelzoo.processing import Step, Steps
from segmentation.modelzoo.readout import understood
from segmentation.normalise import Percentiles
from segmentation.segmenter import Segmenter
from segmentation.tiles import predict
from segmentation.unet import UNet, UNetConfig

WIDTH = 3


class Foreign(nn.Module):
    """A U-Net as others write it: other names and another order, offsets before the norm, joins the other way round."""

    def __init__(self, inputs=1, outputs=2, norm=True, flip=True, last=None):
        super().__init__()
        self.flip, self.last = flip, last
        self.encoders = nn.ModuleList([self.pair(inputs, WIDTH, norm), self.pair(WIDTH, 2 * WIDTH, norm)])
        self.base = self.pair(2 * WIDTH, 4 * WIDTH, norm)
        self.samplers = nn.ModuleList([nn.ConvTranspose2d(4 * WIDTH, 2 * WIDTH, 2, 2), nn.ConvTranspose2d(2 * WIDTH, WIDTH, 2, 2)])
        self.decoders = nn.ModuleList([self.pair(4 * WIDTH, 2 * WIDTH, norm), self.pair(2 * WIDTH, WIDTH, norm)])
        self.out_conv = nn.Conv2d(WIDTH, outputs, 1)

    @staticmethod
    def pair(a, b, norm):
        parts = []
        for features in (a, b):
            parts += [nn.Conv2d(features, b, 3, padding=1), *([nn.BatchNorm2d(b)] if norm else []), nn.ReLU()]
        return nn.Sequential(*parts)

    def forward(self, x):
        first = self.encoders[0](x)
        second = self.encoders[1](nn.functional.max_pool2d(first, 2))
        x = self.base(nn.functional.max_pool2d(second, 2))
        x = self.samplers[0](x)
        x = self.decoders[0](torch.cat([x, second] if self.flip else [second, x], 1))
        x = self.samplers[1](x)
        x = self.decoders[1](torch.cat([x, first] if self.flip else [first, x], 1))
        x = self.out_conv(x)
        return torch.sigmoid(x) if self.last == "sigmoid" else x


def lived(network, seed=0):
    """A network whose norms have seen something, so that no tensor could stand for another."""
    torch.manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.5 if "var" in name else tensor + 0.3 * torch.randn_like(tensor))
    return network.eval()


def npy(values):
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def saved(tensors):
    stream = io.BytesIO()
    torch.save(tensors, stream)
    return stream.getvalue()


def traced(network, given):
    stream = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch writes another format by now; packages hold this one
        torch.jit.save(torch.jit.trace(network, given, check_trace=False), stream)
    return stream.getvalue()


SCALE = [{"id": "scale_range", "kwargs": {"axes": ["y", "x"], "min_percentile": 1, "max_percentile": 99.5, "eps": "1e-6"}}]
SIGMOID = [{"id": "sigmoid"}]


def image(inputs=1, seed=0):
    shape = (48, 64) if inputs == 1 else (inputs, 48, 64)
    return np.random.default_rng(seed).gamma(2, 30, shape).astype(np.float32)


def description(network, pre=SCALE, post=SIGMOID, names=("foreground", "boundary"), inputs=1, kinds=("pytorch_state_dict",)):
    """The files of a foreign package and its description, with the example computed by the plain words of the standard."""
    axes = [{"type": "batch"}, {"type": "channel", "channel_names": [f"c{i}" for i in range(inputs)]}]
    given = image(inputs)
    given = given if inputs > 1 else given[None]
    low, high = np.percentile(given, [1, 99.5], axis=(1, 2), keepdims=True)
    normal = ((given - low) / (high - low + 1e-6)).astype(np.float32) if pre is SCALE else given
    with torch.no_grad():
        said = network(torch.from_numpy(normal)[None]).numpy()
    said = expit(said) if post is SIGMOID else said
    files = {"in.npy": npy(given[None]), "out.npy": npy(said.astype(np.float32))}
    weights = {}
    if "pytorch_state_dict" in kinds:
        files["w.pt"] = saved(network.state_dict())
        weights["pytorch_state_dict"] = {"source": "w.pt", "architecture": {"callable": "Foreign", "source": "f.py", "kwargs": {}}}
    if "torchscript" in kinds:
        files["s.pt"] = traced(network, torch.from_numpy(normal)[None])
        weights["torchscript"] = {"source": "s.pt", "pytorch_version": "2.0"}
    for entry in weights.values():
        entry["sha256"] = hashlib.sha256(files[entry["source"]]).hexdigest()
    size = {"min": 16, "step": 4}
    ends = [{"type": "space", "id": i, "size": {"tensor_id": "input", "axis_id": i}, "halo": 24} for i in "yx"]
    return files, {
        "type": "model",
        "format_version": "0.5.4",
        "name": "foreign",
        "inputs": [
            {
                "id": "input",
                "axes": axes + [{"type": "space", "id": i, "size": size} for i in "yx"],
                "test_tensor": {"source": "in.npy"},
                "preprocessing": pre,
            }
        ],
        "outputs": [
            {
                "id": "output",
                "axes": [{"type": "batch"}, {"type": "channel", "channel_names": list(names)}, *ends],
                "test_tensor": {"source": "out.npy"},
                "postprocessing": post,
            }
        ],
        "weights": weights,
    }


def package(path, files, said):
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("rdf.yaml", yaml.safe_dump(said))
        for name, content in files.items():
            made.writestr(name, content)
    return path


def expected(network, pixels):
    """What the package means, in plain words: percentiles, network, sigmoid."""
    pixels = pixels if pixels.ndim == 3 else pixels[None]
    low, high = np.percentile(pixels, [1, 99.5], axis=(1, 2), keepdims=True)
    with torch.no_grad():
        said = network(torch.from_numpy(((pixels - low) / (high - low)).astype(np.float32))[None])[0].numpy()
    return said if network.last else expit(said)


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("last", [None, "sigmoid"])
def test_a_foreign_unet_becomes_one_of_ours(tmp_path, norm, flip, last):
    network = lived(Foreign(norm=norm, flip=flip, last=last))
    path = package(tmp_path / "f.zip", *description(network, post=[] if last else SIGMOID))
    model = read_package(path, device="cpu")
    pixels = image(seed=1)
    assert type(model.network) is UNet and model.normalise == Percentiles(1, 99.5, 0)
    assert model.decoder == Boundary(levels=()) and model.network.config.outputs == 3
    said = model.probabilities(pixels)
    assert np.abs(said[:2] - expected(network, pixels)).max() < 1e-5
    assert np.array_equal(model.predict(pixels), Boundary(levels=())(said[:2]))  # the third channel decides nothing
    model.save(tmp_path / "m.safetensors")
    assert np.array_equal(load(tmp_path / "m.safetensors", device="cpu").predict(pixels), model.predict(pixels))


def test_a_unet_that_only_looks_like_ours_is_not_taken_for_it(tmp_path):
    network = lived(Foreign())
    files, said = description(network)
    for part in network.modules():
        if isinstance(part, nn.Sequential):
            part[2] = nn.LeakyReLU(0.2)  # no tensor shows it
    files["out.npy"] = description(network)[0]["out.npy"]
    message = (
        "has weights of the kinds pytorch_state_dict, and its state dict is not that of a U-Net of ours with a verifiable example: "
        "pytorch_state_dict or torchscript is wanted"
    )
    with pytest.raises(ValueError, match=f"f.zip {re.escape(message)}$"):
        read_package(package(tmp_path / "f.zip", files, said))


@pytest.mark.parametrize("inputs", [1, 2])
def test_torchscript_of_any_network_is_used_in_tiles(tmp_path, inputs):
    network = lived(Foreign(inputs=inputs))
    path = package(tmp_path / "f.zip", *description(network, inputs=inputs, kinds=("torchscript",)))
    model = load(path, device="cpu")
    pixels = image(inputs, seed=1)
    assert model.probabilities(pixels) == pytest.approx(expected(network, pixels), abs=1e-5)
    assert model.decoder.channels == ("foreground", "boundary")
    large = np.random.default_rng(2).random((inputs, 90, 131)).astype(np.float32)
    one, tiled = (predict(model.network, large, tile=tile, device="cpu") for tile in (None, 32))
    assert one.shape == (2, 90, 131) and np.abs(one - tiled).max() < 1e-5 * np.ptp(one)
    assert model.predict(image(inputs)[..., :5, :7]).shape == (5, 7)
    with pytest.raises(
        ValueError, match=r"^f net: only models whose parts are of this program can be exported: this one lives in its package$"
    ):
        write_package(model, tmp_path / "again.zip", test_image=pixels, name="f net")


def test_the_example_decides_whether_a_package_is_understood(tmp_path):
    files, said = description(lived(Foreign()), kinds=("torchscript",))
    files["out.npy"] = npy(1 - np.load(io.BytesIO(files["out.npy"])))
    with pytest.raises(
        ValueError, match=r"f\.zip: s\.pt misses the example of the package by [\d.]+ of its range: the package is not used$"
    ):
        read_package(package(tmp_path / "f.zip", files, said))


def test_a_description_of_version_0_4_is_read(tmp_path):
    network = lived(Foreign())
    files, _ = description(network)
    older = {
        "type": "model",
        "format_version": "0.4.9",
        "name": "old",
        "inputs": [
            {
                "name": "input",
                "axes": "bcyx",
                "shape": {"min": [1, 1, 16, 16], "step": [0, 0, 4, 4]},
                "preprocessing": [
                    {"name": "scale_range", "kwargs": {"mode": "per_sample", "axes": "yx", "min_percentile": 1, "max_percentile": 99.5}}
                ],
            }
        ],
        "outputs": [
            {
                "name": "foreground",
                "axes": "bcyx",
                "shape": {"reference_tensor": "input", "scale": [1, 0, 1, 1], "offset": [0, 1, 0, 0]},
                "halo": [0, 0, 24, 24],
                "postprocessing": [{"name": "sigmoid"}],
            }
        ],
        "test_inputs": ["in.npy"],
        "test_outputs": ["out.npy"],
        "weights": {"pytorch_state_dict": {"source": "w.pt", "architecture": "f.py:Foreign", "kwargs": {"depth": 2}}},
    }
    model = read_package(package(tmp_path / "f.zip", files, older), decoder=Boundary(levels=()), device="cpu")
    assert np.abs(model.probabilities(image(seed=1))[:2] - expected(network, image(seed=1))).max() < 1e-5


AXES = ("channel", "y", "x")
GRID = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
MEANS, SPREADS = GRID.mean((1, 2), keepdims=True), GRID.std((1, 2), keepdims=True)


@pytest.mark.parametrize(
    ("name", "values", "wanted"),
    [
        ("binarize", {"threshold": 5}, GRID > 5),
        ("binarize", {"threshold": [5, 20], "axis": "channel"}, GRID > np.array([5, 20])[:, None, None]),
        ("clip", {"min": 3, "max": 7}, GRID.clip(3, 7)),
        ("clip", {"max_percentile": 50}, GRID.clip(None, 11)),
        ("clip", {"min": 2, "max_percentile": 50, "axes": ["y", "x"]}, GRID.clip(2, np.array([5, 17])[:, None, None])),
        ("ensure_dtype", {"dtype": "uint8"}, GRID.astype(np.uint8)),
        ("fixed_zero_mean_unit_variance", {"mean": 3, "std": 2}, (GRID - 3) / 2),
        ("fixed_zero_mean_unit_variance", {"mean": [3, 4], "std": [2, 4], "axis": "channel"}, (GRID - [[[3]], [[4]]]) / [[[2]], [[4]]]),
        ("scale_linear", {"gain": 2, "offset": 1}, 2 * GRID + 1),
        ("scale_linear", {"gain": [1, 2], "axis": "channel"}, GRID * [[[1]], [[2]]]),
        ("scale_range", {}, GRID / (23 + 1e-6)),
        ("scale_range", {"axes": ["batch", "y", "x"], "eps": 0.1}, (GRID - [[[0]], [[12]]]) / 11.1),
        ("scale_range", {"min_percentile": 25, "max_percentile": 75}, (GRID - 5.75) / (11.5 + 1e-6)),
        ("scale_range", {"reference_tensor": "input"}, (GRID - 100) / (23 + 1e-6)),
        ("sigmoid", {}, 1 / (1 + np.exp(-GRID))),
        ("softmax", {}, np.exp(GRID - GRID.max(0)) / np.exp(GRID - GRID.max(0)).sum(0)),
        ("zero_mean_unit_variance", {"axes": ["y", "x"]}, (GRID - MEANS) / (SPREADS + 1e-6)),
        ("zero_mean_unit_variance", {}, (GRID - GRID.mean()) / (GRID.std() + 1e-6)),
        ("scale_mean_variance", {"reference_tensor": "input"}, GRID + 100),
    ],
)
def test_every_step_does_what_the_standard_says(name, values, wanted):
    kept = GRID.copy()
    got = Steps((Step(name, values),), AXES).apply(GRID, GRID + 100)
    assert got.dtype == wanted.dtype or got.dtype.kind == "f"
    assert got == pytest.approx(np.asarray(wanted, np.float64), abs=1e-5) and np.array_equal(GRID, kept)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: Step("stardist_postprocessing"),
            "step 'stardist_postprocessing' is not known here: known are binarize, clip, ensure_dtype, fixed_zero_mean_unit_variance, "
            "scale_linear, scale_mean_variance, scale_range, sigmoid, softmax, zero_mean_unit_variance",
        ),
        (lambda: Step("clip", {"most": 1}), "step clip has the parameter 'most': known are min, max, min_percentile, max_percentile, axes"),
        (
            lambda: Steps((Step("scale_range", {"min_percentile": 9, "max_percentile": 2}),), AXES).apply(GRID, GRID),
            "step has the percentiles 9 and 2: give 0 <= low < high <= 100",
        ),
        (
            lambda: Steps((Step("scale_range", {"axes": ["t"]}),), AXES).apply(GRID, GRID),
            "step names the axis 't': the array has channel, y, x",
        ),
        (lambda: Steps((), AXES).apply(GRID[0], GRID), "array has shape (3, 4): these steps want the axes channel, y, x"),
        (
            lambda: Steps((Step("scale_linear", {"gain": [1, 2, 3], "axis": "channel"}),), AXES).apply(GRID, GRID),
            "step has 3 numbers along the axis 'channel' of an array of shape (2, 3, 4)",
        ),
        (
            lambda: Steps((Step("fixed_zero_mean_unit_variance", {"mean": 0, "std": 0}),), AXES).apply(GRID, GRID),
            "step fixed_zero_mean_unit_variance has the std 0.0: give positive numbers",
        ),
        (
            lambda: understood(["flow", "chance"]),
            "the network answers flow, chance: say with decoder= what that means, one of ",
        ),
        (
            lambda: understood(["foreground"], Boundary()),
            "the network answers foreground: Boundary wants foreground, boundary, distance",
        ),
    ],
)
def test_steps_and_names_that_make_no_sense_are_refused(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}[a-z, ]*$"):
        call()


def test_names_of_channels_choose_the_decoder():
    assert understood(["Boundary", "x", "Nuclei"]) == (Boundary(levels=()), (2, 0))
    assert understood(["foreground", "boundary", "distance"]) == (Boundary(), (0, 1, 2))
    assert understood(["a", "b"], Boundary(mask=0.3)) == (Boundary(mask=0.3), (0, 1))


def test_weights_that_fit_no_unet_fit_none():
    assert list(fits({}, 1)) == [] and list(fits({"a.weight": torch.zeros(4, 4)}, 1)) == []
    assert list(fits(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 7, 3)).state_dict(), 7)) == []
    tensors = UNet(UNetConfig(width=2, depth=1)).state_dict()
    assert len(list(fits(tensors, 3))) == 2 and list(fits(tensors, 5)) == []
    assert list(fits({k: v for k, v in tensors.items() if "up.0.1" not in k}, 3)) == []


# what is damaged, hostile or of another kind


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    model = Segmenter.new(UNetConfig(width=2, depth=1), device="cpu")
    path = tmp_path_factory.mktemp("own") / "m.zip"
    write_package(model, path, test_image=image(), name="tiny net")
    with zipfile.ZipFile(path) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def refused(path, message):
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}{message}$"):
        read_package(path)


def rewritten(path, files):
    with zipfile.ZipFile(path, "w") as made:
        for name, content in files.items():
            made.writestr(name, content)
    return path


def changed(files, **changes):
    said = yaml.safe_load(files["rdf.yaml"])
    return files | {"rdf.yaml": yaml.safe_dump(said | changes).encode()}


def test_a_changed_file_is_found_by_its_hash(own, tmp_path):
    content = bytearray(own["model.safetensors"])
    content[-1] ^= 1
    path = rewritten(tmp_path / "m.zip", own | {"model.safetensors": bytes(content)})
    refused(path, r": file model\.safetensors was changed: its sha256 is [0-9a-f]{12}\.\.\., described is [0-9a-f]{12}\.\.\.")


@pytest.mark.parametrize("name", ["weights.pt", "network.py", "test_input.npy", "test_output.npy"])
def test_every_file_that_is_described_is_looked_at(own, tmp_path, name):
    content = bytearray(own[name])
    content[len(content) // 2] ^= 1
    refused(rewritten(tmp_path / "m.zip", own | {name: bytes(content)}), rf": file {re.escape(name)} was changed: its sha256 is .+")


def test_weights_that_another_program_trained_on_are_not_taken_for_the_old_ones(own, tmp_path):
    """It writes the state dict anew and its hash, and knows nothing of our own file."""
    tensors = torch.load(io.BytesIO(own["weights.pt"]), weights_only=True)
    stream = io.BytesIO()
    torch.save({name: value + (0.01 if name.endswith("head.bias") else 0) for name, value in tensors.items()}, stream)
    said = yaml.safe_load(own["rdf.yaml"])
    said["weights"]["pytorch_state_dict"]["sha256"] = hashlib.sha256(stream.getvalue()).hexdigest()
    files = own | {"weights.pt": stream.getvalue(), "rdf.yaml": yaml.safe_dump(said).encode()}
    says = r": weights\.pt and model\.safetensors have other weights \(head\.bias\): one of them was changed, and nobody can say which .+"
    refused(rewritten(tmp_path / "m.zip", files), says)


def test_a_bit_that_flipped_inside_the_archive_is_found(own, tmp_path):
    path = rewritten(tmp_path / "m.zip", own)
    whole = path.read_bytes()
    at = whole.rindex(own["model.safetensors"][-64:])  # the same numbers are in the state dict before it
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    refused(path, r": file model\.safetensors is damaged: Bad CRC-32 for file 'model\.safetensors'")
    path.write_bytes(whole[:200])
    refused(path, " cannot be read as a zip archive: File is not a zip file")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: {k: v for k, v in f.items() if k != "rdf.yaml"}, r" is no model package: it holds no rdf\.yaml"),
        (
            lambda f: {k: v for k, v in f.items() if k != "model.safetensors"},
            r" lacks the file model\.safetensors: the package is not complete",
        ),
        (lambda f: f | {"../evil.py": b""}, r": the name '\.\./evil\.py' leaves the package: such an archive is not opened"),
        (lambda f: f | {"/etc/evil": b""}, r": the name '/etc/evil' leaves the package: such an archive is not opened"),
        (lambda f: f | {"c:evil": b""}, r": the name 'c:evil' leaves the package: such an archive is not opened"),
        (lambda f: f | {f"{i}": b"" for i in range(1001)}, r" holds more than 1000 files: that is no model package"),
        (lambda f: f | {"rdf.yaml": b"a: [1"}, r": rdf\.yaml is no YAML: while parsing .*"),
        (lambda f: f | {"rdf.yaml": b"[" * 20000}, r": rdf\.yaml nests more than 50 lists and mappings: that is no description of a model"),
        (
            lambda f: f | {"rdf.yaml": b"!!python/object/apply:os.system [ls]"},
            r": rdf\.yaml is no YAML: could not determine a constructor.*",
        ),
        (lambda f: f | {"rdf.yaml": b"a: &a {x: 1}\nb: {<<: *a}"}, r": rdf\.yaml merges mappings by '<<': write them out"),
        (lambda f: f | {"rdf.yaml": b"x" * 200_001}, r": rdf\.yaml has 200001 bytes: at most 200000 are read"),
        (lambda f: f | {"rdf.yaml": b"hello"}, r": rdf\.yaml: the description is of type str: names with values are wanted"),
        (lambda f: changed(f, type="dataset"), r": rdf\.yaml describes a 'dataset': give a package of type model"),
        (
            lambda f: changed(f, format_version="0.6.0"),
            r": rdf\.yaml has format_version 0\.6\.0: descriptions of version 0\.4 and 0\.5 are read",
        ),
        (lambda f: changed(f, inputs=[]), r": rdf\.yaml has 0 inputs: models with one input and one output are used here"),
        (lambda f: changed(f, weights=3), r": rdf\.yaml: weights is of type int: names with values are wanted"),
        (
            lambda f: changed(f, weights={"torchscript": {"source": "https://example.org/w.pt"}}),
            r": rdf\.yaml, weights\.torchscript: source is 'https://example\.org/w\.pt': a file inside the package is wanted, "
            "nothing is downloaded",
        ),
        (
            lambda f: changed(f, config={"cytolineage": {"format": "x"}}),
            r" is of format 'x': wanted is 'cytolineage\.package/1'",
        ),
        (
            lambda f: changed(f, config={"cytolineage": {"format": "cytolineage.package/1"}}),
            r": rdf\.yaml does not name the model's file and its sha256",
        ),
        (
            lambda f: changed(f, config={}),
            " was rewritten by another program and lost what brings the pipeline back: ask for the original",
        ),
    ],
)
def test_packages_that_are_none_are_refused_in_one_line(own, tmp_path, change, message):
    refused(rewritten(tmp_path / "m.zip", change(own)), message)


def test_other_kinds_of_hostile_archives_are_refused(own, tmp_path, monkeypatch):
    path = tmp_path / "link.zip"
    with zipfile.ZipFile(path, "w") as made:
        member = zipfile.ZipInfo("weights.pt")
        member.external_attr = (stat.S_IFLNK | 0o777) << 16
        made.writestr(member, "/etc/passwd")
    refused(path, r": weights\.pt is a link: give a package of plain files")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "rdf.yaml").symlink_to(path)
    refused(tmp_path / "folder", r": rdf\.yaml is a link: give a package of plain files")
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as made, pytest.warns(UserWarning, match=r"^Duplicate name: 'rdf\.yaml'$"):
        made.writestr("rdf.yaml", "a")
        made.writestr("rdf.yaml", "b")
    refused(tmp_path / "twice.zip", r": rdf\.yaml is there twice: the package is ambiguous")
    refused(tmp_path / "nowhere", r" is neither a file nor a folder: give a model package, a zip archive or a folder with rdf\.yaml")
    monkeypatch.setattr(archive, "MOST_BYTES", 100_000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("zeros", bytes(10**7))
    assert (tmp_path / "bomb.zip").stat().st_size < 100_000
    refused(tmp_path / "bomb.zip", r" holds 0\.0 GiB unpacked: at most 0 GiB are read")


def test_a_member_that_holds_more_than_it_says_is_not_unpacked_further(own, tmp_path):
    path = rewritten(tmp_path / "m.zip", {"rdf.yaml": b"x" * 5000})
    whole = path.read_bytes()
    path.write_bytes(whole.replace((5000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(ValueError, match=r"m\.zip: file rdf\.yaml is damaged: .+$"):
        archive.open_package(path).read("rdf.yaml")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(tmp_path, bad):
    network = lived(Foreign())
    network.base[0].weight.data[0, 0, 0, 0] = bad
    for kinds, name, key in ((("pytorch_state_dict",), "w.pt", "base.0.weight"), (("torchscript",), "s.pt", "module.base.0.weight")):
        path = package(tmp_path / "f.zip", *description(network, kinds=kinds))
        refused(path, re.escape(f": {name} is damaged: its tensor {key} has NaN or infinite numbers"))


def test_a_network_for_other_pictures_is_refused(tmp_path):
    network = lived(Foreign(inputs=2))
    files, said = description(network, inputs=2)
    said["inputs"][0]["axes"][1]["channel_names"] = ["one"]
    refused(package(tmp_path / "f.zip", files, said), r": w\.pt is of a network with 2 input channel\(s\): 1 are described")
    files, said = description(lived(Foreign()), kinds=("torchscript",))
    for axis in said["inputs"][0]["axes"][2:]:
        axis["size"] = 48
    refused(
        package(tmp_path / "f.zip", files, said),
        r": s\.pt takes pictures of 48 x 48 pixels only: networks whose sides can grow are used here",
    )
    files["s.pt"] = b"no script"
    del said["weights"]["torchscript"]["sha256"]
    said["inputs"][0]["axes"][2:] = [{"type": "space", "id": i, "size": {"min": 16, "step": 4}} for i in "yx"]
    refused(package(tmp_path / "f.zip", files, said), r": s\.pt cannot be read as TorchScript: .+")
    said["inputs"][0]["axes"] = said["inputs"][0]["axes"][::-1]
    refused(
        package(tmp_path / "f.zip", files, said),
        r": rdf\.yaml, inputs has the axes x, y, channel, batch: networks that take batch, channel, \[z,\] y, x are used here",
    )
    files, said = description(lived(Foreign(inputs=2)), inputs=2, pre=[{"id": "zero_mean_unit_variance"}], post=[])
    refused(
        package(tmp_path / "f.zip", files, said),
        ": the preprocessing zero_mean_unit_variance does not treat every channel for itself: it is not used here",
    )
    files, said = description(lived(Foreign()), post=[{"id": "cellpose_flow_dynamics", "kwargs": {}}])
    refused(
        package(tmp_path / "f.zip", files, said),
        r": rdf\.yaml, outputs: step 'cellpose_flow_dynamics' is not known here: known are [\w, ]+",
    )


class Evil:
    def __reduce__(self):
        return print, ("this code was run",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (saved({"a": Evil()}), "w.pt cannot be read as tensors alone: Weights only load failed[^\n]+"),
        (saved({"a": 3}), "w.pt holds no state dict: names with tensors are wanted"),
        (b"hello", "w.pt cannot be read as tensors alone: [^\n]+"),
    ],
)
def test_a_checkpoint_is_tensors_and_nothing_else(content, message, capsys):
    with pytest.raises(ValueError, match=f"^{message}$"):
        read_tensors(content, "w.pt")
    assert capsys.readouterr().out == ""


def test_checkpoints_are_read_as_people_write_them():
    tensors = {"a.weight": torch.ones(2, 3), "b": torch.zeros(1)}
    for content, name in (
        (saved(tensors), "w.pt"),
        (saved({"model_state": tensors, "epoch": 3}), "w.pt"),
        (save(tensors), "w.safetensors"),
    ):
        found = read_tensors(content, name)
        assert sorted(found) == ["a.weight", "b"] and torch.equal(found["a.weight"], tensors["a.weight"])


def test_weights_of_another_network_are_refused_by_the_first_tensor():
    tensors = UNet(UNetConfig(width=2, depth=1)).state_dict()
    for config, message in (
        (UNetConfig(width=3, depth=1), "its tensor down.0.0.weight has shape (2, 1, 3, 3), wanted (3, 1, 3, 3)"),
        (UNetConfig(width=2, depth=1, inputs=2), "its tensor down.0.0.weight has shape (2, 1, 3, 3), wanted (2, 2, 3, 3)"),
        (UNetConfig(width=2, depth=2), "it lacks the tensor down.2.0.weight of shape (8, 4, 3, 3)"),
        (UNetConfig(width=2, depth=0), "its tensor down.1.0.weight has no place here"),
    ):
        network = UNet(config)
        before = {key: value.clone() for key, value in network.state_dict().items()}
        with pytest.raises(ValueError, match=f"^{re.escape('w.pt belongs to another network: ' + message)}$"):
            fill(network, tensors, "w.pt")
        assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_the_command_lists_shows_exports_and_imports(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run("models", "list")
    assert code == 0 and [line for line in out.splitlines() if line.startswith("nuclei-2d: Finds fluorescent nuclei")]
    Segmenter.new(UNetConfig(width=2, depth=1), device="cpu").save("tiny net.safetensors")
    code, out, _ = run("models", "export", "tiny net.safetensors", "m.zip", "--author", "A. Person", "--license", "CC-BY-4.0")
    assert code == 0 and re.search(r"^written: m\.zip \(\d\.\d MB\)$", out, re.MULTILINE)
    code, out, _ = run("models", "show", "m.zip")
    assert code == 0 and out.splitlines()[0] == "network: UNet, 0.00 million parameters" and "says: foreground, boundary, distance" in out
    code, out, _ = run("models", "import", "m.zip", "-o", "again.safetensors")
    assert code == 0 and out.splitlines()[-1] == "written: again.safetensors"
    shown = [load(name, device="cpu").probabilities(image()) for name in ("tiny net.safetensors", "again.safetensors", "m.zip")]
    assert np.array_equal(shown[0], shown[1]) and np.array_equal(shown[0], shown[2])
    package(tmp_path / "f.zip", *description(lived(Foreign()), kinds=("torchscript",)))
    left = sorted(path.name for path in tmp_path.iterdir())
    for words, message in (
        (("import", "f.zip"), "f.zip: its network or processing cannot be told in a weights file: use the package itself as the model"),
        (("import", "none.zip"), "none.zip is neither a file nor a folder: give a model package, a zip archive or a folder with rdf.yaml"),
        (("import", "m.zip", "--decoder", "magic"), "decoder 'magic' is unknown: take one of "),
        (("export", "tiny net.safetensors", "m.zip", "--image", "m.zip"), "m.zip cannot be read as TIFF: "),
    ):
        code, out, err = run("models", *words)
        assert code == 2 and err.startswith(f"lineage: {message}") and err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == left
