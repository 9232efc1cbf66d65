"""What the commands share: the app, options that occur more than once, progress, settings, scores."""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from lineage.settings import Settings

T = TypeVar("T")

app = typer.Typer(
    help="From a time-lapse film to certified lineage trees.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
train_app = typer.Typer(help="Train a model on your own data.", rich_markup_mode=None)
app.add_typer(train_app, name="train")


class Gaps(StrEnum):
    """What becomes of links over missed frames."""

    leave = "split"
    fill = "fill"


Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the results; an older result there is replaced.")]
SettingsFile = Annotated[Path | None, typer.Option("--settings", help="TOML file with settings; options given here win.")]
Scale = Annotated[str | None, typer.Option(help="Size of a pixel along z,y,x or y,x, for example 2.0,0.5,0.5.")]
Distance = Annotated[
    float | None, typer.Option(help="How far apart points of one cell may be; half of what neighbours are apart when not given.")
]
Channel = Annotated[int | None, typer.Option(help="Which channel of the film to look at, from 0, where it has several.")]
Axes = Annotated[
    str | None, typer.Option(help="One letter for each axis of the film, such as TCYX, where its file does not say it or says it wrongly.")
]
Holes = Annotated[bool | None, typer.Option("--holes/--no-holes", help="What is missing of a film in Zarr is blank, not lost.")]
Json = Annotated[str | None, typer.Option("--json", help="Write the numbers to this file; - for standard output.")]
Segment = Annotated[str | None, typer.Option(help="auto, classical, a shipped name such as cells-phase-2d, or a weights file.")]


def bar(items: Iterable[T], what: str) -> Iterable[T]:
    """A progress bar on standard error, on a terminal only."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(items, what, console=console, transient=True, disable=not console.is_terminal)


def numbers(text: str | None) -> tuple[float, ...] | None:
    """The numbers of an option such as ``--scale 2.0,0.5,0.5``."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--scale takes numbers with commas between them, such as 2.0,0.5,0.5, not {text}") from None


def settings_of(path: Path | None, **changes: Any) -> Settings:  # noqa: ANN401 - any setting
    """Settings from a file, if there is one, and from the options that were given."""
    settings = Settings.from_toml(path) if path else Settings()
    return settings.replaced({name: value for name, value in changes.items() if value is not None})


def reading_of(channel: int | None, axes: str | None, holes: bool | None = None) -> dict[str, Any]:
    """What ``lineage.films.open_film`` is to be told of a film."""
    return settings_of(None, channel=channel, axes=axes, holes=holes).reading


def report(scores: dict[str, Any] | None, json_to: str | None, rows: dict[str, Any]) -> None:
    """Scores on the screen, and as JSON where asked."""
    from lineage.evaluation import summary
    from lineage.provenance import finite, write_json

    if json_to == "-":
        print(json.dumps(finite([rows | (scores or {})])))
        return
    if json_to is not None:
        write_json([rows | (scores or {})], json_to)
    if scores is not None:
        print(summary(scores))
