"""Commands that make films better: denoise, train restoration."""

from __future__ import annotations

import sys
import tempfile
import warnings
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from .shared import Axes, Channel, Holes, app, bar, reading_of, train_app

Film = Annotated[Path, typer.Argument(help="TIFF stack, folder of TIFFs, NPY or OME-Zarr.")]
Minutes = Annotated[float, typer.Option(help="How long to train at most.")]
Steps = Annotated[int, typer.Option(help="How many batches to learn from at most.")]
Frames = Annotated[int, typer.Option(help="Frames that are shown at a time: 1, 3 or 5; more help when cells move little.")]
Struct = Annotated[bool, typer.Option("--struct", help="Measure whether pixels share noise, and hide the neighbours that do.")]
N2V2 = Annotated[bool, typer.Option("--n2v2", help="The N2V2 network, against checkerboards.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Seed = Annotated[int, typer.Option(help="Another seed, another model.")]
Half = Annotated[bool | None, typer.Option("--half/--no-half", help="16-bit floats; on a GPU when not given.")]


class _Method(StrEnum):
    """Ways of learning."""

    care = "care"
    noise2noise = "noise2noise"
    noise2void = "noise2void"


class _Alone(StrEnum):
    """Ways of learning from the film itself."""

    noise2noise = "noise2noise"
    noise2void = "noise2void"


@app.command()
def denoise(
    film: Film,
    out: Annotated[Path, typer.Option("--out", "-o", help="TIFF stack (.tif) or OME-Zarr (.zarr) for the denoised film.")] = Path(
        "denoised.tif"
    ),
    model: Annotated[str | None, typer.Option(help="nuclei-denoise or a weights file; nuclei-denoise when no --method is given.")] = None,
    method: Annotated[_Alone | None, typer.Option(help="Train on the film itself: noise2void, or noise2noise if it is slow.")] = None,
    views: Annotated[int, typer.Option(help="8: average over all turns and mirror images, 8 times slower; 1: not.")] = 1,
    dtype: Annotated[str, typer.Option(help="Type of the pixels: float32, uint16, ... or same, as in the film.")] = "float32",
    channel: Channel = None,
    axes: Axes = None,
    holes: Holes = None,
    minutes: Minutes = 10.0,
    steps: Steps = 100_000,
    frames: Frames = 1,
    n2v2: N2V2 = False,
    struct: Struct = False,
    seed: Seed = 0,
    half: Half = None,
    device: Device = "auto",
) -> None:
    """Take the noise out of a film, with trained weights or by learning from the film itself."""
    from lineage.films import open_film
    from lineage.films.pictures import check_target, save_film
    from restoration.denoiser import check_turns, load
    from restoration.pixels import grey_type

    check_target(out)
    check_turns(views)  # what cannot work is said before the training
    if dtype != "same":
        grey_type(dtype)
    if model is not None and method is not None:
        raise ValueError("--model and --method exclude each other: use trained weights, or train on the film")
    with _said_once():
        opened = open_film(film, **reading_of(channel, axes, holes))
        if method is None:
            denoiser: Any = load(model or "nuclei-denoise", device=device)
        else:
            how = _method(method.value, frames=frames, n2v2=n2v2, struct=struct)
            denoiser = _trained(opened, how, minutes=minutes, steps=steps, seed=seed, half=half, device=device)
        clean = denoiser.predict_film(opened, views=views, dtype=dtype)
        save_film(out, clean, scale=opened.scale, interval=opened.interval, progress=bar)
    print(f"{len(clean)} frames, {clean.dtype}, in {out}")


@train_app.command("restoration")
def train_restoration(
    data: Annotated[list[Path] | None, typer.Argument(help="Films; for care good ones, with --simulate.", show_default=False)] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Weights file, .safetensors.")] = Path("denoiser.safetensors"),
    method: Annotated[
        _Method, typer.Option(help="care: from pairs; noise2noise: from noisy pairs or a slow film; noise2void.")
    ] = _Method.noise2void,
    pairs: Annotated[tuple[Path, Path] | None, typer.Option(help="Noisy film and good (or second noisy) film of the same.")] = None,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="care: make the noisy pictures from the good ones, with few photons.")
    ] = False,
    probabilistic: Annotated[bool, typer.Option("--probabilistic", help="care: also learn how unsure each pixel is.")] = False,
    held: Annotated[int, typer.Option(help="Every n-th picture chooses the checkpoint; 0: none.")] = 8,
    init: Annotated[str | None, typer.Option(help="Weights to go on from.")] = None,
    minutes: Minutes = 30.0,
    steps: Steps = 100_000,
    frames: Frames = 1,
    n2v2: N2V2 = False,
    struct: Struct = False,
    count: Annotated[int, typer.Option(help="Patches in a batch.")] = 16,
    side: Annotated[int, typer.Option(help="Side of a patch, pixels.")] = 64,
    seed: Seed = 0,
    half: Half = None,
    device: Device = "auto",
) -> None:
    """Train a denoiser on your own films; a training log appears beside the weights."""
    from restoration.dose import LowDose
    from restoration.training import simulated
    from restoration.training import train_restoration as train

    how = _method(method.value, frames=frames, n2v2=n2v2, struct=struct, probabilistic=probabilistic)
    with _said_once():
        views = _views(data or [], pairs, how, simulate=simulate)
        learn, choose = _split(views, held if method is _Method.care or pairs is not None else 0)
        model = train(
            learn,
            out,
            method=how,
            validation=simulated(choose, 0) if simulate and choose is not None else choose,
            minutes=minutes,
            steps=steps,
            simulate=LowDose() if simulate else None,
            feed=_feed(how, count=count, side=side, seed=seed),
            init=init,
            half=half,
            device=device,
            progress=bar,
        )
    print(f"{model.about['step']} steps kept, {model.about['views']} pictures, weights in {out}")


def _method(name: str, *, frames: int, n2v2: bool, struct: bool, probabilistic: bool = False) -> Any:  # noqa: ANN401 - a method
    from restoration.care import Care
    from restoration.noise2noise import Noise2Noise
    from restoration.noise2void import Noise2Void

    if name != "noise2void" and (frames != 1 or n2v2 or struct):
        raise ValueError(f"--frames, --n2v2 and --struct are for noise2void, not for {name}")
    if name != "care" and probabilistic:
        raise ValueError(f"--probabilistic is for care, not for {name}")
    if name == "care":
        return Care(probabilistic=probabilistic)
    return Noise2Noise() if name == "noise2noise" else Noise2Void(frames=frames, n2v2=n2v2, struct="auto" if struct else None)


def _feed(how: Any, **changes: int) -> Any:  # noqa: ANN401 - a method, a feed
    from dataclasses import replace

    return replace(how.feed, **changes)


def _trained(film: Any, how: Any, *, minutes: float, steps: int, seed: int, half: bool | None, device: str) -> Any:  # noqa: ANN401
    """A denoiser of this film; its log is not kept."""
    from restoration.training import train_restoration as train

    with tempfile.TemporaryDirectory() as place:
        output = Path(place) / "model.safetensors"
        limits: dict[str, Any] = {"minutes": minutes, "steps": steps, "half": half, "device": device}
        return train(film, output, method=how, feed=_feed(how, seed=seed), progress=bar, **limits)


def _views(films: list[Path], pairs: tuple[Path, Path] | None, how: Any, *, simulate: bool) -> Any:  # noqa: ANN401
    """What is shown and wanted, from films on disk."""
    from lineage.films import open_film
    from restoration.training import joined
    from restoration.views import pairs_of

    if simulate and how.name != "care":
        raise ValueError(f"--simulate makes noisy pictures of good ones, for care, not for {how.name}")
    parts = []
    if pairs is not None:
        if how.name == "noise2void":
            raise ValueError("--pairs are for care and noise2noise; noise2void takes the noisy film alone")
        low, high = (open_film(path) for path in pairs)
        if low.shape != high.shape:
            raise ValueError(f"{pairs[0]} has shape {low.shape}, but {pairs[1]} has {high.shape}: pairs show the same frames")
        both = [_Pair(low, high, t) for t in range(len(low))]
        parts.append(pairs_of(both, swap=how.name == "noise2noise"))
    for path in films:
        film = open_film(path)
        if how.name == "care":
            if not simulate:
                raise ValueError(f"care learns from pairs: give --pairs LOW HIGH, or --simulate if {path} is a good film")
            parts.append(_good(film))
        else:
            parts.append(how.adapted(film).views(film))
    if not parts:
        raise ValueError("nothing to learn from: give films, or --pairs LOW HIGH")
    return joined(parts)


def _good(film: Any) -> Any:  # noqa: ANN401 - a film, views
    """Every frame of a good film, both shown and wanted: noise is added to what is shown."""
    from restoration.views import Listed, frame_of

    def view(t: int) -> Any:  # noqa: ANN401 - two arrays
        frame = frame_of(film, t, 1)
        return frame, frame

    return Listed(len(film), view)


class _Pair:
    """Two films at one frame, read when asked for."""

    def __init__(self, low: Any, high: Any, t: int) -> None:  # noqa: ANN401 - films
        self._films, self._t = (low, high), t

    def __len__(self) -> int:
        return 2

    def __getitem__(self, which: int) -> Any:  # noqa: ANN401 - an array
        return self._films[which][self._t]


def _split(views: Any, every: int) -> tuple[Any, Any]:  # noqa: ANN401 - views
    """The views to learn from, and those that choose the checkpoint or None."""
    rows = range(len(views))
    if every < 2 or len(views) < every:
        return views, None
    return views.only([k for k in rows if k % every != every - 1]), views.only([k for k in rows if k % every == every - 1])


class _said_once(warnings.catch_warnings):
    """Warnings of the packages below go to standard error, one line each, every kind once."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.simplefilter("always", UserWarning)
        seen: set[str] = set()

        def show(message: Any, *_: Any, **__: Any) -> None:  # noqa: ANN401
            kind = "".join(letter for letter in str(message) if not letter.isdigit())  # not once a frame
            if kind not in seen:
                seen.add(kind)
                print(f"lineage: {message}", file=sys.stderr)

        warnings.showwarning = show
