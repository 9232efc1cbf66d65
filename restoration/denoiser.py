"""The Denoiser: scale, network and method in one value that can be trained, saved and used (needs torch)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike

from restoration.care import Care
from restoration.films import DenoisedFilm
from restoration.judging import judge
from restoration.lazily import Answers, DenoisedPicture, is_flat
from restoration.losses import LEAST
from restoration.method import Method
from restoration.noise2noise import Noise2Noise
from restoration.noise2void import Noise2Void
from restoration.patches import Feed, Simulate, patches, turned, turned_back
from restoration.pixels import as_dtype, grey_type
from restoration.scales import Affine, Constants, Scale, describe, scale_from
from restoration.views import check_length, film_of, stack_of
from segmentation.arrays import AnyArray, FloatArray
from segmentation.blocks import Finite
from segmentation.checkpoints import fill, model_format, one_line, read_model, write_model
from segmentation.fit import Progress, Schedule, fit, silent
from segmentation.normalise import Picture, Place, check_finite, is_constant
from segmentation.tiles import TILE, TileSize, predict
from segmentation.unet import UNet, UNetConfig

KIND = "denoiser"
WEIGHTS = Path(__file__).parent / "weights"
METHODS: Mapping[str, Callable[..., Method]] = {"care": Care, "noise2noise": Noise2Noise, "noise2void": Noise2Void}
SCHEDULE = Schedule(steps=2000, rate=1e-3, decay=0.0, average=0.99, half=None)
QUARTERS = tuple((quarters, flip) for flip in (False, True) for quarters in range(4))


@dataclass(frozen=True, eq=False)
class Denoiser:
    """Takes the noise out of pictures and films.

    Args:
        network: says for every pixel what it was without noise, on the scale below.
        scale: brings pictures to a common range and back.
        method: how it learned; says how many frames it is shown, and whether it also says how unsure it is.
        about: what to remember of the training (JSON-able).
        device: "auto", "cpu" or "cuda".
    """

    network: UNet
    scale: Scale = field(default_factory=Constants)
    method: Method = field(default_factory=Care)
    about: Mapping[str, Any] = field(default_factory=dict)
    device: str = "auto"

    @property
    def frames(self) -> int:
        """How many frames of a film it is shown at a time."""
        return self.method.frames

    @classmethod
    def train(  # noqa: PLR0913 (keyword-only)
        cls,
        data: Any,  # noqa: ANN401 - arrays of any library
        *,
        method: str | Method = "noise2void",
        validation: Any = None,  # noqa: ANN401 - arrays of any library
        init: Denoiser | None = None,
        config: UNetConfig | None = None,
        schedule: Schedule = SCHEDULE,
        feed: Feed | None = None,
        simulate: Simulate | None = None,
        folder: Path | None = None,
        progress: Progress = silent,
        device: str = "auto",
    ) -> Denoiser:
        """Train a denoiser.

        Args:
            data: for "care" pairs (noisy, good), for "noise2noise" pairs (noisy, noisy) or a slow film, for "noise2void" a film
                (T, [Z,] Y, X), a list of pictures or one picture. Pictures are ([Z,] Y, X) and read when needed; nothing is altered.
            method: its name, or a `Care`, `Noise2Noise` or `Noise2Void` with other settings.
            validation: data of the same kind that choose the checkpoint by the loss against what is wanted. Of "noise2void", whose
                loss cannot tell, the last weights are kept, unless the residual of earlier ones was clearly whiter (on the training
                frames where no `validation` is given).
            init: a denoiser to go on from, with its scale.
            config: shape of the network; the method's own when not given.
            schedule: how long and how fast.
            feed: how patches are drawn; its seed sets all randomness.
            simulate: changes each view when it is read, for example to a lower dose, see `restoration.dose`.
            folder: receives the log and the checkpoints.
            progress: draws a bar; silent by default.
            device: "auto", "cpu" or "cuda".

        Raises:
            ValueError: the data cannot be learned from; the message names the pair or frame.
        """
        way = method_named(method).adapted(data)
        feed = way.feed if feed is None else feed
        views = way.views(data)
        shape = views[0][0].shape
        channels = len(views[0][1])
        config = config or (init.network.config if init else way.network(len(shape) - 1, channels))
        _check_network(config, way, shape=shape, channels=channels)
        start = init or cls.new(config, method=way, scale=way.scale(views), seed=feed.seed, device=device)
        learner = replace(start, network=copy.deepcopy(start.network), method=way, device=device)
        supply = patches(views, learner.scale, feed, divisors=config.divisors, simulate=simulate)
        known = validation is not None
        score = judge(way, learner.scale, way.views(validation) if known else views, known=known, device=device)
        history = fit(
            learner.network,
            iter(way.batches(supply, feed.seed)),
            way.loss,
            schedule,
            score=score,
            device=device,
            folder=folder,
            progress=progress,
        )
        row = history.step[history.best] if history.step else 0
        about = {"views": len(views), "feed": asdict(feed), "step": row, "of": history.step[-1:], "torch": torch.__version__}
        return replace(learner, about={**about, "before": dict(init.about)} if init else about)

    @classmethod
    def new(cls, config: UNetConfig, *, method: Method, scale: Scale | None = None, seed: int = 0, device: str = "auto") -> Denoiser:
        """Make an untrained denoiser with random weights; where the picture is added to the answer, it begins by changing nothing.

        Args:
            config: shape of the network.
            method: how it will learn.
            scale: mean 0 and standard deviation 1 when not given.
            seed: of the weights.
            device: "auto", "cpu" or "cuda".
        """
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = UNet(config)
        if config.residual:
            with torch.no_grad():
                for weights in network.head.parameters():
                    weights.mul_(0.1)
        return cls(network, scale or Constants(), method, device=device)

    def predict(
        self,
        image: AnyArray,
        *,
        tile: int | None = TILE,
        views: int = 1,
        dtype: DTypeLike | str = np.float32,
    ) -> AnyArray:
        """Denoise one picture.

        Args:
            image: ([Z,] Y, X), finite; (C, [Z,] Y, X) for a network of several channels or frames (the middle frame is denoised).
                Not altered.
            tile: largest side of a tile, pixels; the answer does not depend on it. None: one piece.
            views: 8: also turned and mirrored in every way, and averaged, a little better and 8 times slower; 1: as it is.
            dtype: of the answer; "same": that of the image. Whole numbers are rounded and cut at the ends of their range, with a
                warning that says how many pixels were cut.

        Returns:
            Same shape without channels or frames, in the grey levels of the image. A picture of equal pixels stays as it is.
        """
        picture = self._checked(image)
        middle = self._middle(picture)
        if is_constant(picture):
            answer = middle.astype(np.float32)
        else:
            scale = self.scale.measure(picture)
            answer = scale.back(self._answer(scale(picture), tile=tile, views=views)[: len(middle)])
        given = np.asarray(image).dtype
        return as_dtype(answer[0] if len(answer) == 1 else answer, given if isinstance(dtype, str) and dtype == "same" else dtype)

    def predict_uncertain(self, image: AnyArray, *, tile: int | None = TILE, views: int = 1) -> tuple[FloatArray, FloatArray]:
        """Denoise one picture and say how unsure each pixel is; needs a probabilistic network.

        Args:
            image: ([Z,] Y, X), finite.
            tile: see `predict`.
            views: see `predict`.

        Returns:
            answer: float32, same shape, grey levels.
            deviation: standard deviation of what may be, float32, same shape, grey levels: sqrt(2) times the scale of the Laplace law.

        Raises:
            ValueError: the network was not trained to say it.
        """
        if not self.method.has_scale:
            raise ValueError("this denoiser does not know how unsure it is: train it with Care(probabilistic=True)")
        picture = self._checked(image)
        if is_constant(picture):
            return picture[0].astype(np.float32), np.zeros(picture.shape[1:], np.float32)
        scale = self.scale.measure(picture)
        answer, spread = self._answer(scale(picture), tile=tile, views=views)
        return scale.back(answer), (np.sqrt(2) * scale.gain * spread).astype(np.float32)

    def predict_film(
        self,
        film: Any,  # noqa: ANN401 - arrays of any library
        *,
        tile: int | None = TILE,
        views: int = 1,
        dtype: DTypeLike | str = np.float32,
    ) -> DenoisedFilm:
        """Denoise a film frame by frame, each when it is asked for; memory does not grow with its length.

        Args:
            film: (T, [Z,] Y, X), an array of any library or anything with `len()` and `film[t]`.
            tile: see `predict`.
            views: see `predict`.
            dtype: see `predict`.

        Returns:
            A film of the same length: `denoised[t]` is one frame.
        """
        channels = self.network.config.inputs // self.frames
        film = film_of(film, channels)
        check_length(film, self.frames)
        given = getattr(film, "dtype", None)
        same = isinstance(dtype, str) and dtype == "same"
        kind = grey_type((np.asarray(film[0]).dtype if given is None else given) if same else dtype)
        check_turns(views)

        def make(t: int) -> AnyArray:
            try:
                stack = stack_of(film, t, frames=self.frames, channels=channels)
                return self.predict(stack if len(stack) > 1 else stack[0], tile=tile, views=views, dtype=kind)
            except ValueError as error:
                text = str(error)
                raise ValueError(text if text.startswith("frame") else f"frame {t}: {text}") from None

        return DenoisedFilm((len(film), *np.shape(film[0])), kind, make)

    def lazily(self, picture: Picture, *, tile: TileSize = TILE, views: int = 1) -> DenoisedPicture:
        """Denoise a picture that may be larger than memory, each part when it is sliced; equal to `predict` of the whole.

        Where the scale is that of the picture it is measured now, block by block; all else is read when a part is asked for.

        Args:
            picture: as in `predict`, an array or anything that is sliced like one (memory map, zarr); not altered.
            tile: see `segmentation.tiles.plan`; the answer does not depend on it.
            views: see `predict`.

        Returns:
            float32, same shape without channels or frames, in grey levels: `denoised[place]` is one part.

        Raises:
            ValueError: a shape that the network does not take; pixels that are not finite, now or when a part is read.
        """
        self._check_shape(tuple(picture.shape))
        check_turns(views)
        config, seen = self.network.config, Finite(picture)
        channels = self._answered(config.inputs)
        count = channels.stop - channels.start
        scale = None if is_flat(seen) else self.scale.over(seen)
        read = self._read if self.method.has_scale else None
        answers = Answers(self.network, scale or Affine(0, 1), read, QUARTERS[:views], tile, self.device)

        def make(place: Place) -> FloatArray:
            space = place[-config.dims :]
            if scale is None:  # all pixels are equal: they stay as they are
                part = seen[space if config.inputs == 1 else (channels, *space)]
                said = part.reshape(count, *part.shape[-config.dims :]).astype(np.float32)
            else:
                said = scale.back(answers(seen, space)[:count])
            return said[0] if count == 1 else said[place[0]]

        shape = tuple(picture.shape[-config.dims :])
        return DenoisedPicture(shape if count == 1 else (count, *shape), make)

    def save(self, path: str | Path, *, half: bool = False) -> None:
        """Write one safetensors file: the tensors, and everything else as JSON in its metadata.

        Args:
            path: file to write; it appears only when complete.
            half: store convolutions as 16-bit floats (half the size).
        """
        description = {
            "format": model_format(KIND),
            "network": asdict(self.network.config),
            "scale": describe(self.scale),
            "method": {"name": self.method.name, **asdict(self.method)},  # type: ignore[call-overload]
            "about": dict(self.about),
        }
        write_model(path, self.network, description, half=half)

    @classmethod
    def load(cls, path: str | Path, *, device: str = "auto") -> Denoiser:
        """Read what `save` wrote; tensors and JSON only, no code is run.

        Args:
            path: a safetensors file of this program.
            device: "auto", "cpu" or "cuda".
        """
        description, tensors = read_model(path, KIND, "Denoiser.save")
        try:
            made = _assemble(cls, description, device=device)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{path} is no cytolineage {KIND}: {one_line(error)}") from None
        fill(made.network, tensors, str(path))
        return made

    def _answer(self, picture: FloatArray, *, tile: int | None, views: int) -> FloatArray:
        """What the network says of a scaled picture (C, ...): the clean one, then the scale if it has one; float32 (k, ...)."""
        check_turns(views)
        total: FloatArray = np.zeros(1, np.float32)
        for quarters, flip in QUARTERS[:views]:
            shown = turned(picture, quarters=quarters, flip=flip)
            said = self._read(predict(self.network, shown, tile=tile, device=self.device), shown)
            total = total + turned_back(said, quarters=quarters, flip=flip)
        return np.asarray(total / views, np.float32)

    def _read(self, said: FloatArray, shown: FloatArray) -> FloatArray:
        """The raw answers as clean picture and, if the network says it, scale; see `Care.batches`."""
        if not self.method.has_scale:
            return said
        half = len(said) // 2
        return np.concatenate([shown + said[:half], np.logaddexp(0, said[half:]) + LEAST])

    def _checked(self, image: AnyArray) -> AnyArray:
        """The image as (C, [Z,] Y, X), refused when the network cannot take it."""
        image = np.asarray(image)
        self._check_shape(image.shape)
        check_finite(image)
        return image[None] if self.network.config.inputs == 1 else image

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        """Refuse a picture of a shape that the network cannot take."""
        config = self.network.config
        wanted = "(Y, X)" if config.dims == 2 else "(Z, Y, X)"
        if config.inputs > 1:
            wanted = wanted.replace("(", f"({config.inputs}, ")
        if len(shape) != config.dims + (config.inputs > 1) or (config.inputs > 1 and shape[0] != config.inputs):
            hint = ", its frames around the one to denoise; or use predict_film" if self.frames > 1 else "; give one frame at a time"
            raise ValueError(f"image has shape {shape}: this denoiser takes one {wanted} picture{hint}")
        if 0 in shape:
            raise ValueError(f"image has no pixels: its shape is {shape}")

    def _middle(self, picture: AnyArray) -> AnyArray:
        """The channels that are answered for: all, or those of the middle frame."""
        return picture[self._answered(len(picture))]

    def _answered(self, channels: int) -> slice:
        """Which of the channels that are shown are answered for."""
        count = channels // self.frames
        first = (channels - count) // 2
        return slice(first, first + count)


def check_turns(views: int) -> None:
    """Refuse a number of turned and mirrored pictures that is neither one nor all.

    Args:
        views: 1 or 8.
    """
    if views not in (1, 8):
        raise ValueError(f"views is {views}: give 1, or 8 to average over all turns and mirror images")


def method_named(method: str | Method) -> Method:
    """A method by its name, or as it is.

    Args:
        method: "care", "noise2noise" or "noise2void", or a method.
    """
    if not isinstance(method, str):
        return method
    if method not in METHODS:
        raise ValueError(f"method is {method!r}: give one of {', '.join(METHODS)}")
    return METHODS[method]()


def load(name: str | Path = "nuclei-denoise", *, device: str = "auto") -> Denoiser:
    """Load a shipped denoiser by name, or any saved one by path.

    Args:
        name: "nuclei-denoise", or the path of a file that `Denoiser.save` wrote.
        device: "auto", "cpu" or "cuda".
    """
    shipped = {path.stem: path for path in sorted(WEIGHTS.glob("*.safetensors"))}
    if str(name) in shipped:
        return Denoiser.load(shipped[str(name)], device=device)
    if Path(name).is_file():
        return Denoiser.load(name, device=device)
    known = f" or one of {', '.join(shipped)}" if shipped else ""
    raise ValueError(f"no denoiser {str(name)!r}: give the path of a file{known}")


def _check_network(config: UNetConfig, method: Method, *, shape: tuple[int, ...], channels: int) -> None:
    """Refuse a network that does not fit the pictures and the method."""
    fits = method.network(len(shape) - 1, channels)
    for name in ("dims", "inputs", "outputs"):
        if getattr(config, name) != getattr(fits, name):
            raise ValueError(
                f"the network has {name}={getattr(config, name)}, but pictures of shape {shape} and {method.name} need "
                f"{getattr(fits, name)}"
            )


def _assemble(cls: type[Denoiser], description: Mapping[str, Any], *, device: str) -> Denoiser:
    """A denoiser as a file describes it, its weights not yet filled in."""
    network = UNet(UNetConfig(**description["network"]))
    network.eval()
    settings = dict(description["method"])
    method = METHODS[settings.pop("name")](**settings)
    return cls(network, scale_from(description["scale"]), method, description["about"], device)
