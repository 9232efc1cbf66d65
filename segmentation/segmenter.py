"""The Segmenter: normalisation, network and decoder in one value that can be trained, saved and used (needs torch)."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from segmentation.arrays import AnyArray, FloatArray, IntArray
from segmentation.checkpoints import fill, model_format, one_line, read_model, write_model
from segmentation.decoders import Decoder, decoder_named, described, names_cells
from segmentation.decoders.boundary import Boundary
from segmentation.finetuning import Freeze, adapted, check_size, few, freeze_blocks, judge, matching, rate_factors
from segmentation.fit import Progress, Schedule, fit, silent
from segmentation.hypotheses.finding import KEY as CALIBRATION
from segmentation.looking import are_pairs, average, directions_of
from segmentation.normalise import Percentiles, check_finite, is_constant
from segmentation.patches import FEED, Feed, Pair, Sampler, batches, check_pair
from segmentation.tiles import TILE, predict
from segmentation.tuning import judged, tuned, worth
from segmentation.unet import UNet, UNetConfig, trim

KIND = "segmenter"
NEARLY = 0.95  # of the worth on pictures that trained
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
        resume: bool = False,
    ) -> "Segmenter":
        """Train a new segmenter.

        Args:
            sources: collections of (picture, labels) pairs; labels < 0 are ignored.
            validation: pairs that choose the checkpoint and the decoder's thresholds, as in `finetune`.
            config: shape of the network; its outputs follow from the decoder.
            decoder: method to find the cells.
            schedule: how long and how fast.
            feed: how batches are drawn and changed; its seed also sets the first weights. Equal seeds give
                equal segmenters on one machine, unless `schedule.minutes` ends the training.
            folder: receives the log and the checkpoints.
            progress: draws a bar, e.g. a wrapper of rich; silent by default.
            device: "auto", "cpu" or "cuda".
            resume: go on where a training that wrote into `folder` was stopped; all else must be as it was then.
        """
        return cls.new(config, decoder=decoder, seed=feed.seed, device=device).finetune(
            sources, validation=validation, schedule=schedule, feed=feed, decoder=decoder, folder=folder, progress=progress, resume=resume
        )

    def finetune(  # noqa: PLR0913 (keyword-only)
        self,
        sources: Sequence[Sequence[Pair]],
        *,
        validation: Sequence[Pair] = (),
        schedule: Schedule = GENTLE,
        feed: Feed = FEED,
        freeze: Freeze = (),
        head: Literal["same", "new"] = "same",
        rate: float | None = None,
        fade: float = 1.0,
        decoder: Decoder | None = None,
        inputs: int | None = None,
        folder: str | Path | None = None,
        progress: Progress = silent,
        resume: bool = False,
    ) -> "Segmenter":
        """Go on training from these weights; gives a new segmenter, this one stays as it is.

        Args:
            sources: collections of (picture, labels) pairs; labels < 0 are ignored.
            validation: pairs that choose the decoder's thresholds, and the checkpoint: the best one, or the last if that is better once
                its thresholds are chosen. Without any the last weights are kept, and the thresholds of a decoder that is not given, but
                for `sure` of `Boundary`, which was for weights that were sure: it becomes the least that does nearly as well as any on
                up to eight of the pictures that trained.
            schedule: how long and how fast.
            feed: how batches are drawn and changed.
            freeze: what stays as it is, with its batch statistics: "encoder", "decoder", "all but head", blocks such as
                "down.0", or how many blocks, from the picture on; see `segmentation.finetuning.frozen_blocks`.
            head: "same": outputs begin with the weights of the old output of the same name, new ones at random; "new": all at random.
            rate: highest learning rate; default that of the schedule.
            fade: factor of the rate from one block to the one before it; below 1, early blocks change less.
            decoder: another method to find the cells, or another number of classes; default the same.
            inputs: channels of the new pictures; default the same. See `segmentation.finetuning.adapted`.
            folder: receives the log, example pictures and the checkpoints.
            progress: draws a bar, e.g. a wrapper of rich; silent by default.
            resume: go on where a training that wrote into `folder` was stopped; all else must be as it was then.
        """
        wanted = self.decoder if decoder is None else decoder
        rows = matching(self.decoder.channels, wanted.channels, head=head)
        network = adapted(self.network, rows, inputs=inputs or self.network.config.inputs, seed=feed.seed)
        freeze_blocks(network, freeze)
        known = {name: fact for name, fact in self.about.items() if name != CALIBRATION}  # other weights err differently
        config, learner = network.config, replace(self, network=network, decoder=wanted, about=known)
        check_size(feed, config)
        check = getattr(wanted, "check", None)
        _check_validation(validation, config.inputs, check)
        sampler = Sampler(sources, self.normalise, feed, channels=config.inputs, check=check)

        folder, last = None if folder is None else Path(folder), copy.deepcopy(network)

        def score(seen: Any) -> float:  # noqa: ANN401 - a network
            return judge(replace(learner, network=seen).predict, wanted, validation, folder)

        history = fit(
            network,
            batches(sampler, wanted.targets, feed, dims=config.dims, classes=not names_cells(wanted)),
            lambda answers, targets: wanted.loss(answers, trim(targets, config)),
            schedule if rate is None else replace(schedule, rate=rate),
            score=score if len(validation) else None,
            device=self.device,
            folder=folder,
            progress=progress,
            resume=resume,
            factors=rate_factors(network, fade),
            last=last,
        )
        sampler.check_found()
        network.requires_grad_(True)
        last.requires_grad_(True)
        if len(validation):
            others = [] if history.best == len(history.step) - 1 else [replace(learner, network=last)]
            return _worthiest([learner, *others], validation)
        return _settled(learner, sources) if decoder is None and isinstance(wanted, Boundary) else learner

    def probabilities(self, image: AnyArray, *, tile: int | None = TILE, views: int = 1) -> FloatArray:
        """Say what the network thinks of every pixel.

        Args:
            image: ([Z,] Y, X), or (C, [Z,] Y, X) when the network takes several channels; any real dtype, finite.
            tile: largest side of a tile, pixels; the answer does not depend on it. 0: as memory allows; None: one piece.
            views: look from so many sides, 1, 4 or 8, and take the mean: a little better, as many times slower.

        Returns:
            float32 (c, [Z,] Y, X), one picture for each of `decoder.channels`.
        """
        channels = self._channels(image)

        def answer(picture: FloatArray) -> FloatArray:
            return self.decoder.read(predict(self.network, picture, tile=tile, device=self.device))

        seen, ways = np.stack([self.normalise(c) for c in channels]), directions_of(self.decoder)
        return average(answer, seen, views, directions=ways, pairs=are_pairs(self.decoder))

    def predict(self, image: AnyArray, *, tile: int | None = TILE, views: int = 1) -> IntArray:
        """Find the cells of one picture; for one that does not fit in memory see `segmentation.large.segment`.

        Args:
            image: ([Z,] Y, X), or (C, [Z,] Y, X) when the network takes several channels; any real dtype, finite; not altered.
            tile: largest side of a tile, pixels; the answer does not depend on it. 0: as memory allows; None: one piece.
            views: look from so many sides, 1, 4 or 8, and take the mean.

        Returns:
            int32 labels ([Z,] Y, X), 0 = background, cells 1..n; empty for a picture of equal pixels.
        """
        channels = self._channels(image)
        if all(is_constant(c) for c in channels):
            return np.zeros(channels.shape[1:], np.int32)
        return self.decoder(self.probabilities(image, tile=tile, views=views))

    def quality(self, pairs: Sequence[Pair]) -> dict[str, float]:
        """Score the segmenter on labelled pictures; see `segmentation.quality.scores`, for classes `.dice`.

        Args:
            pairs: (picture, labels), labels < 0 are left out.
        """
        return judged(self.decoder, ((labels, self.predict(image)) for image, labels in pairs))

    def tune(self, pairs: Sequence[Pair], grid: Mapping[str, Sequence[Any]] | None = None) -> "Segmenter":
        """Choose the decoder's thresholds on validation pictures (`segmentation.tuning.tuned`); gives a new segmenter.

        Args:
            pairs: (picture, labels), not those of the training.
            grid: values to try per threshold; default: those that the decoder names.
        """
        if not len(pairs):
            raise ValueError("tune got no pairs: give at least one labelled picture")
        return replace(self, decoder=tuned(self.decoder, self.seen(pairs), grid))

    def seen(self, pairs: Sequence[Pair]) -> list[tuple[IntArray, FloatArray]]:
        """Pair the true labels with what the network says of each picture (`Decoder.read`), as 16-bit floats."""
        return [(labels, self.probabilities(image).astype(np.float16)) for image, labels in pairs]

    def save(self, path: str | Path, *, half: bool = False) -> None:
        """Write one safetensors file: the tensors, and everything else as JSON in its metadata.

        Args:
            path: file to write; it appears only when complete.
            half: store convolutions as 16-bit floats (half the size; answers move by about 1e-3).
        """
        if not isinstance(self.network, UNet):
            raise ValueError(f"{path} cannot hold a {type(self.network).__name__}: only U-Nets can be saved; keep the package it came in")
        description = {
            "format": model_format(KIND),
            "network": asdict(self.network.config),
            "normalise": asdict(self.normalise),
            "decoder": described(self.decoder),
            "about": dict(self.about),
        }
        write_model(path, self.network, description, half=half)

    @classmethod
    def load(cls, path: str | Path, *, device: str = "auto") -> "Segmenter":
        """Read what `save` wrote; tensors and JSON only, no code is run.

        Args:
            path: a safetensors file of this program.
            device: "auto", "cpu" or "cuda".
        """
        description, tensors = read_model(path, KIND, "Segmenter.save")
        try:
            made = _assemble(cls, description, device=device)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{path} is no cytolineage {KIND}: {one_line(error)}") from None
        fill(made.network, tensors, str(path))
        return made

    def _channels(self, image: AnyArray) -> AnyArray:
        """The image as (C, [Z,] Y, X), refused when the network cannot take it."""
        image, config = np.asarray(image), self.network.config
        channels = image[None] if image.ndim == config.dims and config.inputs == 1 else image
        if channels.ndim != config.dims + 1 or channels.shape[0] != config.inputs:
            axes = "(Y, X)" if config.dims == 2 else "(Z, Y, X)"
            wanted = f"one {axes} picture" if config.inputs == 1 else f"{config.inputs} channels ahead of {axes}"
            advice = "give one frame and one channel at a time" if config.inputs == 1 else "give them along the first axis"
            raise ValueError(f"image has shape {image.shape}: this segmenter takes {wanted}; {advice}")
        check_finite(image)
        return channels


def _check_validation(pairs: Sequence[Pair], channels: int, check: Callable[[IntArray], object] | None) -> None:
    """Say what is wrong with pictures for validation now, not when all is learned."""
    for row, (image, labels) in enumerate(pairs):
        where = f"validation pair {row}"
        try:
            check_finite(check_pair(image, labels, where=where, channels=channels, check=check))
        except ValueError as error:
            raise ValueError(str(error) if str(error).startswith(where) else f"{where}: {error}") from None


def load(name: str | Path = "nuclei-2d", *, device: str = "auto") -> Segmenter:
    """Load a shipped segmenter by name, or any saved one by path.

    Args:
        name: "nuclei-2d", "cells-phase-2d", "nuclei-3d", or the path of a file that `Segmenter.save` wrote.
        device: "auto", "cpu" or "cuda".
    """
    shipped = {path.stem: path for path in sorted(WEIGHTS.glob("*.safetensors"))}
    if str(name) in shipped:
        return Segmenter.load(shipped[str(name)], device=device)
    if Path(name).is_file():
        return Segmenter.load(name, device=device)
    raise ValueError(f"no segmenter {str(name)!r}: give the path of a file or one of {', '.join(shipped)}")


def _assemble(cls: type[Segmenter], description: Mapping[str, Any], *, device: str) -> Segmenter:
    """A segmenter as a file describes it, its weights not yet filled in."""
    network = UNet(UNetConfig(**description["network"]))
    decoder = {"name": "boundary", **description["decoder"]}  # files of the first version knew one decoder only
    network.eval()
    return cls(
        network,
        Percentiles(**description["normalise"]),
        decoder_named(**decoder),
        description["about"],
        device,
    )


def _worthiest(learners: Sequence[Segmenter], validation: Sequence[Pair]) -> Segmenter:
    """Of several segmenters that with its thresholds tuned does best on validation pictures; the first, if another does no better."""
    found = []
    for learner in learners:
        seen = learner.seen(validation)
        decoder = tuned(learner.decoder, seen)
        found.append((worth(decoder, seen), replace(learner, decoder=decoder)))
    return max(found, key=lambda each: each[0])[1]


def _settled(learner: Segmenter, sources: Sequence[Sequence[Pair]]) -> Segmenter:
    """Choose how sure the network must be of a cell (`Boundary.sure`) on a few of the pictures that trained it, for want of others.

    They flatter it: of its own pictures it is surer than of others. So it need be no surer than what is worth nearly as much as the best.
    """
    seen = learner.seen(few(sources))
    ways = [replace(learner, decoder=replace(learner.decoder, sure=sure)) for sure in Boundary.grid["sure"]]  # type: ignore[type-var]
    worths = [worth(way.decoder, seen) for way in ways]
    return next(way for way, value in zip(ways, worths, strict=True) if value >= NEARLY * max(worths))
