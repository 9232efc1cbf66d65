"""The Segmenter: normalisation, network and decoder in one value that can be trained, saved and used (needs torch)."""

import copy
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from scipy.special import expit
from torch import nn

from segmentation.arrays import AnyArray, FloatArray, IntArray
from segmentation.decoders.boundary import Boundary
from segmentation.fit import Progress, Schedule, fit, silent
from segmentation.losses import BCEDice
from segmentation.normalise import Percentiles, check_finite, is_constant
from segmentation.patches import FEED, Feed, Pair, Sampler, batches
from segmentation.quality import scores
from segmentation.targets import targets
from segmentation.tiles import TILE, predict
from segmentation.unet import UNet, UNetConfig

FORMAT = "cytolineage.segmenter/1"
WEIGHTS = Path(__file__).parent / "weights"
CONFIG, SCHEDULE, GENTLE = UNetConfig(), Schedule(), Schedule(steps=500, rate=5e-4)
GRID: Mapping[str, Sequence[Any]] = {
    "levels": ((), (0.5,), (0.4, 0.5, 0.6), (0.3, 0.4, 0.5, 0.6, 0.7), (0.4, 0.5, 0.6, 0.7, 0.8)),
    "speck": (3, 8, 15, 30),
    "mask": (0.4, 0.5, 0.6),
    "seed": (0.0, 0.25, 0.5, 0.8),
    "smallest": (8, 15, 25, 40),
}


@dataclass(frozen=True, eq=False)
class Segmenter:
    """Finds the cells of a picture.

    Args:
        network: says for every pixel: foreground, boundary, distance.
        normalise: brings the brightness of the whole picture to a common range.
        decoder: turns what the network says into cells; its thresholds can be tuned.
        about: what to remember of the training (JSON-able).
        device: "auto", "cpu" or "cuda".
    """

    network: UNet
    normalise: Percentiles = field(default_factory=Percentiles)
    decoder: Boundary = field(default_factory=Boundary)
    about: Mapping[str, Any] = field(default_factory=dict)
    device: str = "auto"

    @classmethod
    def new(cls, config: UNetConfig = CONFIG, *, seed: int = 0, device: str = "auto") -> "Segmenter":
        """Make an untrained segmenter with random weights.

        Args:
            config: shape of the network.
            seed: of the weights.
            device: "auto", "cpu" or "cuda".
        """
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return cls(UNet(config), device=device)

    @classmethod
    def train(  # noqa: PLR0913 (keyword-only)
        cls,
        sources: Sequence[Sequence[Pair]],
        *,
        validation: Sequence[Pair] = (),
        config: UNetConfig = CONFIG,
        schedule: Schedule = SCHEDULE,
        feed: Feed = FEED,
        folder: Path | None = None,
        progress: Progress = silent,
        device: str = "auto",
    ) -> "Segmenter":
        """Train a new segmenter.

        Args:
            sources: collections of (picture, labels) pairs; labels < 0 are ignored.
            validation: pairs that choose the best checkpoint and the decoder's thresholds.
            config: shape of the network.
            schedule: how long and how fast.
            feed: how batches are drawn and changed; its seed also sets the first weights. Equal seeds give
                equal segmenters on one machine, unless `schedule.minutes` ends the training.
            folder: receives the log and the checkpoints.
            progress: draws a bar, e.g. a wrapper of rich; silent by default.
            device: "auto", "cpu" or "cuda".
        """
        return cls.new(config, seed=feed.seed, device=device).finetune(
            sources, validation=validation, schedule=schedule, feed=feed, folder=folder, progress=progress
        )

    def finetune(
        self,
        sources: Sequence[Sequence[Pair]],
        *,
        validation: Sequence[Pair] = (),
        schedule: Schedule = GENTLE,
        feed: Feed = FEED,
        folder: Path | None = None,
        progress: Progress = silent,
    ) -> "Segmenter":
        """Go on training from these weights; gives a new segmenter, this one stays as it is.

        Args:
            sources: collections of (picture, labels) pairs; labels < 0 are ignored.
            validation: pairs that choose the best checkpoint and the decoder's thresholds.
            schedule: how long and how fast.
            feed: how batches are drawn and changed.
            folder: receives the log and the checkpoints.
            progress: draws a bar, e.g. a wrapper of rich; silent by default.
        """
        network = copy.deepcopy(self.network)
        learner = replace(self, network=network)
        supply = batches(Sampler(sources, self.normalise, feed), targets, feed, dims=network.config.dims)

        def score(_network: nn.Module) -> float:
            return learner.quality(validation)["ap_image_mean"]

        fit(
            network,
            supply,
            BCEDice(),
            schedule,
            score=score if len(validation) else None,
            device=self.device,
            folder=folder,
            progress=progress,
        )
        return learner.tune(validation) if len(validation) else learner

    def probabilities(self, image: AnyArray, *, tile: int | None = TILE) -> FloatArray:
        """Say what the network thinks of every pixel.

        Args:
            image: ([Z,] Y, X), any real dtype, finite.
            tile: largest side of a tile, pixels; the answer does not depend on it. None: one piece.

        Returns:
            float32 (3, [Z,] Y, X) in 0..1: foreground, boundary, distance.
        """
        image = self._checked(image)
        logits = predict(self.network, self.normalise(image)[None], tile=tile, device=self.device)
        return np.asarray(expit(logits), np.float32)

    def predict(self, image: AnyArray, *, tile: int | None = TILE) -> IntArray:
        """Find the cells of one picture.

        Args:
            image: ([Z,] Y, X), any real dtype, finite; not altered.
            tile: largest side of a tile, pixels; the answer does not depend on it. None: one piece.

        Returns:
            int32 labels, same shape, 0 = background, cells 1..n; empty for a picture of equal pixels.
        """
        image = self._checked(image)
        if is_constant(image):
            return np.zeros(image.shape, np.int32)
        return self.decoder(self.probabilities(image, tile=tile))

    def quality(self, pairs: Sequence[Pair]) -> dict[str, float]:
        """Score the segmenter on labelled pictures; see `segmentation.quality.scores`.

        Args:
            pairs: (picture, labels), labels < 0 are left out.
        """
        return scores((labels, self.predict(image)) for image, labels in pairs)

    def tune(self, pairs: Sequence[Pair], grid: Mapping[str, Sequence[Any]] = GRID) -> "Segmenter":
        """Choose the decoder's thresholds on validation pictures; gives a new segmenter.

        One threshold after the other is set to the value with the highest mean of pooled and per-image AP
        over IoU 0.5..0.95, at most twice round; a threshold stays where no other value is better.

        Args:
            pairs: (picture, labels), not those of the training.
            grid: values to try per threshold.
        """
        if not len(pairs):
            raise ValueError("tune got no pairs: give at least one labelled picture")
        seen = [(labels, self.probabilities(image).astype(np.float16)) for image, labels in pairs]

        def worth(decoder: Boundary) -> float:
            table = scores((labels, decoder(said.astype(np.float32))) for labels, said in seen)
            return table["ap_pooled_mean"] + table["ap_image_mean"]

        best, height = self.decoder, worth(self.decoder)
        tried = {best}
        for _, name in itertools.product(range(2), grid):
            for value in grid[name]:
                trial = replace(best, **{name: type(getattr(best, name))(value)})
                if trial not in tried and (reached := worth(trial)) > height:
                    best, height = trial, reached
                tried.add(trial)
        return replace(self, decoder=best)

    def save(self, path: str | Path, *, half: bool = False) -> None:
        """Write one safetensors file: the tensors, and everything else as JSON in its metadata.

        Args:
            path: file to write; it appears only when complete.
            half: store convolutions as 16-bit floats (half the size; answers move by about 1e-3).
        """
        path = Path(path)
        description = {
            "format": FORMAT,
            "network": asdict(self.network.config),
            "normalise": asdict(self.normalise),
            "decoder": asdict(self.decoder),
            "about": dict(self.about),
        }
        tensors = {k: v.detach().cpu().contiguous() for k, v in self.network.state_dict().items()}
        if half:
            tensors = {k: v.half() if v.ndim > 1 else v for k, v in tensors.items()}
        scratch = path.with_name(path.name + ".part")
        scratch.write_bytes(save(tensors, metadata={"cytolineage": json.dumps(description)}))
        scratch.replace(path)

    @classmethod
    def load(cls, path: str | Path, *, device: str = "auto") -> "Segmenter":
        """Read what `save` wrote; tensors and JSON only, no code is run.

        Args:
            path: a safetensors file of this program.
            device: "auto", "cpu" or "cuda".
        """
        path = Path(path)
        if not path.is_file():
            raise ValueError(f"{path} is not a file: give a model that Segmenter.save wrote")
        try:
            with safe_open(path, "pt") as file:
                text = (file.metadata() or {}).get("cytolineage", "{}")
                tensors = {name: file.get_tensor(name).float() for name in file.keys()}
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path} cannot be read as safetensors: {_one_line(error)}") from None
        try:
            return _assemble(cls, json.loads(text), tensors, device=device)
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise ValueError(f"{path} is no cytolineage segmenter: {_one_line(error)}") from None

    def _checked(self, image: AnyArray) -> AnyArray:
        """The image as an array, refused when the network cannot take it."""
        image = np.asarray(image)
        dims = self.network.config.dims
        if image.ndim != dims:
            wanted = "(Y, X)" if dims == 2 else "(Z, Y, X)"
            raise ValueError(
                f"image has shape {image.shape}: this segmenter takes one {wanted} picture; give one frame and one channel at a time"
            )
        check_finite(image)
        return image


def load(name: str | Path = "nuclei-2d", *, device: str = "auto") -> Segmenter:
    """Load a shipped segmenter by name, or any saved one by path.

    Args:
        name: "nuclei-2d", or the path of a file that `Segmenter.save` wrote.
        device: "auto", "cpu" or "cuda".
    """
    shipped = {path.stem: path for path in sorted(WEIGHTS.glob("*.safetensors"))}
    if str(name) in shipped:
        return Segmenter.load(shipped[str(name)], device=device)
    if Path(name).is_file():
        return Segmenter.load(name, device=device)
    raise ValueError(f"no segmenter {str(name)!r}: give the path of a file or one of {', '.join(shipped)}")


def _assemble(cls: type[Segmenter], description: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], *, device: str) -> Segmenter:
    if description.get("format") != FORMAT:
        raise ValueError(f"its format is {description.get('format')!r}, wanted {FORMAT!r}")
    network = UNet(UNetConfig(**description["network"]))
    network.load_state_dict(dict(tensors))
    network.eval()
    return cls(
        network,
        Percentiles(**description["normalise"]),
        Boundary(**description["decoder"]),
        description["about"],
        device,
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
