"""Commands that train models on the user's own data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from .shared import bar, numbers, train_app

N = TypeVar("N", int, float)

Folders = Annotated[
    list[Path], typer.Argument(help="Folders with images/ and labels/, Challenge sequences such as 01, or OME-Zarr with labels.")
]
Method = Annotated[str | None, typer.Option(help="Method to find the cells, such as boundary or star; that of --init when not given.")]
ClassNames = Annotated[
    str | None,
    typer.Option(help="Learn classes of pixels, not cells: names such as background,nucleus,membrane, for the labels 0, 1, 2, ..."),
]
Punish = Annotated[str | None, typer.Option(help="Of --classes: entropy, dice, focal, entropy+dice (when not given) or focal+dice.")]
Init = Annotated[str | None, typer.Option(help="Weights to go on from: a shipped name, a weights file, a package, a state dict.")]
Freeze = Annotated[str, typer.Option(help="What of --init stays as it is: encoder, decoder, 'all but head', down.0 or so, or a number.")]
PixelSize = Annotated[str | None, typer.Option(help="Size of a pixel along z,y,x, for planes that lie far apart, such as 2.0,0.5,0.5.")]
Validation = Annotated[str | None, typer.Option(help="Pictures for validation: a share such as 0.2, every n-th such as 5, or a folder.")]
Narrow = Annotated[
    float | None, typer.Option(help="How much more the ground between touching cells counts, such as 5; boundary decoder only.")
]
Patience = Annotated[int | None, typer.Option(help="Stop when so many validations in a row have not been better than the best one.")]


@train_app.command("segmentation")
def train_segmentation(
    folders: Folders,
    out: Annotated[Path, typer.Option("--out", "-o", help="Weights file, .safetensors.")] = Path("model.safetensors"),
    decoder: Method = None,
    classes: ClassNames = None,
    punish: Punish = None,
    balanced: Annotated[bool, typer.Option("--balanced", help="Of --classes: rare classes count more.")] = False,
    init: Init = None,
    freeze: Freeze = "",
    minutes: Annotated[float, typer.Option(help="How long to train at most.")] = 30.0,
    steps: Annotated[int, typer.Option(help="How many batches to learn from at most.")] = 100_000,
    validation: Validation = None,
    gold: Annotated[bool, typer.Option("--gold", help="Of a Challenge sequence: lay the gold cells over the silver ones.")] = False,
    count: Annotated[int, typer.Option(help="Patches in a batch.")] = 10,
    side: Annotated[str | None, typer.Option(help="Side of a patch, pixels, or one each along z,y,x; 160 in 2D and 48 in 3D.")] = None,
    weights: Annotated[str | None, typer.Option(help="How often each folder is drawn, such as 3,1,1; equally when not given.")] = None,
    width: Annotated[int | None, typer.Option(help="Features of a new network on its finest level; 16 when not given.")] = None,
    depth: Annotated[int | None, typer.Option(help="How often a new network halves the picture; 4 when not given.")] = None,
    flat: Annotated[int, typer.Option(help="In 3D: how many of the first halvings leave the z axis alone.")] = 0,
    scale: PixelSize = None,
    narrow: Narrow = None,
    rate: Annotated[float | None, typer.Option(help="Highest learning rate; 2e-3, or 1e-3 with --init, when not given.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed, another model.")] = 0,
    half: Annotated[bool | None, typer.Option("--half/--no-half", help="16-bit floats; on a GPU when not given.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    patience: Patience = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the same command was stopped.")] = False,
) -> None:
    """Train a segmenter on labelled pictures; scores and a training log appear beside the weights."""
    from lineage.provenance import finite
    from segmentation.patches import Feed
    from segmentation.training import train_segmentation as train

    shares = None if weights is None else _numbers(weights, float, "weights")
    feed = Feed(count=count, side=_side(side), weights=shares, seed=seed)
    limits: dict[str, Any] = {"minutes": minutes, "steps": steps, "validation": validation, "gold": gold, "patience": patience}
    how: dict[str, Any] = {"feed": feed, "half": half, "device": device, "resume": resume, "progress": bar}
    how |= {
        "config": _network(width, depth, flat),
        "decoder": _method(decoder, classes, punish, (folders, validation) if balanced else None),
    }
    try:
        table = train(folders, out, init=init, freeze=freeze, narrow=narrow, rate=rate, scale=numbers(scale), **limits, **how)
    except KeyboardInterrupt as stop:
        typer.echo(f"lineage: {stop or 'interrupted; nothing was half-written'}", err=True)
        raise typer.Exit(130) from None
    if not table:
        typer.echo("lineage: no picture was left for validation or test: thresholds are as they were, and nothing is scored", err=True)
    print(json.dumps(finite(table), indent=1))


def _side(text: str | None) -> Any:  # noqa: ANN401 - a number, numbers or None
    """The side of a patch, or one for each axis; None when nothing was said of it."""
    sides = () if text is None else _numbers(text, int, "side")
    return (sides[0] if len(sides) == 1 else sides) or None


def _network(width: int | None, depth: int | None, flat: int) -> Any:  # noqa: ANN401 - a UNetConfig; its module loads torch
    """The shape of a new network; None when nothing was said of it."""
    from segmentation.unet import UNetConfig

    halvings = 4 if depth is None else depth
    if not 0 <= flat <= halvings:
        raise ValueError(f"--flat must be 0 to --depth, {halvings}, not {flat}")
    if width is None and depth is None and not flat:
        return None
    pooling = ((1, 2, 2),) * flat + ((2, 2, 2),) * (halvings - flat) if flat else ()
    return UNetConfig(dims=3 if flat else 2, width=16 if width is None else width, depth=halvings, pooling=pooling)


def _method(decoder: str | None, classes: str | None, punish: str | None, balanced: tuple[list[Path], str | None] | None) -> Any:  # noqa: ANN401 - a decoder
    """The method that is asked for: a name, or classes, weighted by how rare they are in some folders."""
    if classes is None:
        if punish is not None:
            raise ValueError("--punish is for --classes: name the classes, such as background,nucleus,membrane")
        if balanced is not None:
            raise ValueError("--balanced is for --classes: name the classes, such as background,nucleus,membrane")
        return decoder
    if decoder not in (None, "classes"):
        raise ValueError(f"--classes are learned by the decoder classes, not {decoder}: leave --decoder out")
    from segmentation.decoders.classes import Classes
    from segmentation.splitting import parts_of

    method = Classes(tuple(name.strip() for name in classes.split(",")), punish=punish or "entropy+dice")
    if balanced is None:
        return method
    parts = parts_of(*balanced, binary=len(method.names) == 2)
    return method.balanced(labels for part in parts for _, labels in part.train)


def _numbers(text: str, kind: Callable[[str], N], name: str) -> tuple[N, ...]:
    """The numbers of an option with commas between them."""
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--{name} takes numbers with commas between them, such as 3,1,1, not {text}") from None
