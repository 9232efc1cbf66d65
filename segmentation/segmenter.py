"""The Segmenter: normalisation, network and decoder in one value that can be trained, saved and used (needs torch)."""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from segmentation.arrays import AnyArray, FloatArray, IntArray
from segmentation.decoders import Decoder, decoder_named, described
from segmentation.decoders.boundary import Boundary
from segmentation.fit import Progress, Schedule, fit, silent
from segmentation.normalise import Percentiles, check_finite, is_constant
from segmentation.patches import FEED, Feed, Pair, Sampler, batches
from segmentation.quality import scores
from segmentation.tiles import TILE, predict
from segmentation.tuning import tuned
from segmentation.unet import UNet, UNetConfig

FORMAT = "cytolineage.segmenter/1"
WEIGHTS = Path(__file__).parent / "weights"
CONFIG, DECODER, SCHEDULE, GENTLE = UNetConfig(), Boundary(), Schedule(), Schedule(steps=500, rate=5e-4)


@dataclass(frozen=True, eq=False)
class Segmenter:
    """Finds the cells of a picture.

    Args:
        network: says for every pixel what the decoder asks for.
        normalise: brings the brightness of the whole picture (of each channel) to a common range.
        decoder: knows what the network must say and turns it into cells; its thresholds can be tuned.
        about: what to remember of the training (JSON-able).
        device: "auto", "cpu" or "cuda".
    """

    network: UNet
    normalise: Percentiles = field(default_factory=Percentiles)
    decoder: Decoder = field(default_factory=Boundary)
    about: Mapping[str, Any] = field(default_factory=dict)
    device: str = "auto"

    @classmethod
    def new(cls, config: UNetConfig = CONFIG, *, decoder: Decoder = DECODER, seed: int = 0, device: str = "auto") -> "Segmenter":
        """Make an untrained segmenter with random weights.

        Args:
            config: shape of the network; its outputs follow from the decoder.
            decoder: method to find the cells.
            seed: of the weights.
            device: "auto", "cpu" or "cuda".
        """
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return cls(UNet(replace(config, outputs=len(decoder.channels))), decoder=decoder, device=device)

    @classmethod
    def train(  # noqa: PLR0913 (keyword-only)
        cls,
        sources: Sequence[Sequence[Pair]],
        *,
        validation: Sequence[Pair] = (),
        config: UNetConfig = CONFIG,
        decoder: Decoder = DECODER,
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
            config: shape of the network; its outputs follow from the decoder.
            decoder: method to find the cells.
            schedule: how long and how fast.
            feed: how batches are drawn and changed; its seed also sets the first weights. Equal seeds give
                equal segmenters on one machine, unless `schedule.minutes` ends the training.
            folder: receives the log and the checkpoints.
            progress: draws a bar, e.g. a wrapper of rich; silent by default.
            device: "auto", "cpu" or "cuda".
        """
        return cls.new(config, decoder=decoder, seed=feed.seed, device=device).finetune(
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
        supply = batches(Sampler(sources, self.normalise, feed), self.decoder.targets, feed, dims=network.config.dims)

        def score(judged: Any) -> float:  # noqa: ANN401 - a network
            return replace(learner, network=judged).quality(validation)["ap_image_mean"]

        fit(
            network,
            supply,
            self.decoder.loss,
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
            image: ([Z,] Y, X), or (C, [Z,] Y, X) when the network takes several channels; any real dtype, finite.
            tile: largest side of a tile, pixels; the answer does not depend on it. None: one piece.

        Returns:
            float32 (c, [Z,] Y, X), one picture for each of `decoder.channels`.
        """
        channels = self._channels(image)
        answers = predict(self.network, np.stack([self.normalise(c) for c in channels]), tile=tile, device=self.device)
        return self.decoder.read(answers)

    def predict(self, image: AnyArray, *, tile: int | None = TILE) -> IntArray:
        """Find the cells of one picture.

        Args:
            image: ([Z,] Y, X), or (C, [Z,] Y, X) when the network takes several channels; any real dtype, finite; not altered.
            tile: largest side of a tile, pixels; the answer does not depend on it. None: one piece.

        Returns:
            int32 labels ([Z,] Y, X), 0 = background, cells 1..n; empty for a picture of equal pixels.
        """
        channels = self._channels(image)
        if all(is_constant(c) for c in channels):
            return np.zeros(channels.shape[1:], np.int32)
        return self.decoder(self.probabilities(image, tile=tile))

    def quality(self, pairs: Sequence[Pair]) -> dict[str, float]:
        """Score the segmenter on labelled pictures; see `segmentation.quality.scores`.

        Args:
            pairs: (picture, labels), labels < 0 are left out.
        """
        return scores((labels, self.predict(image)) for image, labels in pairs)

    def tune(self, pairs: Sequence[Pair], grid: Mapping[str, Sequence[Any]] | None = None) -> "Segmenter":
        """Choose the decoder's thresholds on validation pictures (`segmentation.tuning.tuned`); gives a new segmenter.

        Args:
            pairs: (picture, labels), not those of the training.
            grid: values to try per threshold; default: those that the decoder names.
        """
        if not len(pairs):
            raise ValueError("tune got no pairs: give at least one labelled picture")
        seen = [(labels, self.probabilities(image).astype(np.float16)) for image, labels in pairs]
        return replace(self, decoder=tuned(self.decoder, seen, grid))

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
            "decoder": described(self.decoder),
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

    def _channels(self, image: AnyArray) -> AnyArray:
        """The image as (C, [Z,] Y, X), refused when the network cannot take it."""
        image, config = np.asarray(image), self.network.config
        channels = image[None] if config.inputs == 1 else image
        if channels.ndim != config.dims + 1 or channels.shape[0] != config.inputs:
            axes = "(Y, X)" if config.dims == 2 else "(Z, Y, X)"
            wanted = f"one {axes} picture" if config.inputs == 1 else f"{config.inputs} channels ahead of {axes}"
            advice = "give one frame and one channel at a time" if config.inputs == 1 else "give them along the first axis"
            raise ValueError(f"image has shape {image.shape}: this segmenter takes {wanted}; {advice}")
        check_finite(image)
        return channels


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
    decoder = {"name": "boundary", **description["decoder"]}  # files of the first version knew one decoder only
    network.load_state_dict(dict(tensors))
    network.eval()
    return cls(
        network,
        Percentiles(**description["normalise"]),
        decoder_named(**decoder),
        description["about"],
        device,
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
