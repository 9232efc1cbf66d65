"""The command ``lineage``: every command is a public function that one could call from a notebook."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from . import __version__
from .settings import SCORES, Settings

T = TypeVar("T")

UsageError: type[Exception] = typer.BadParameter.__mro__[1]  # of click, or of the copy of click that newer typers carry

app = typer.Typer(
    help="From a time-lapse film to certified lineage trees.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
train_app = typer.Typer(help="Train a model on your own data.", rich_markup_mode=None)
app.add_typer(train_app, name="train")

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the results; an older result there is replaced.")]
SettingsFile = Annotated[Path | None, typer.Option("--settings", help="TOML file with settings; options given here win.")]
Scale = Annotated[str | None, typer.Option(help="Size of a pixel along z,y,x or y,x, for example 2.0,0.5,0.5.")]
Json = Annotated[str | None, typer.Option("--json", help="Write the numbers to this file; - for standard output.")]
Segment = Annotated[str | None, typer.Option(help="auto, classical, nuclei-2d, or a weights file.")]


class _Score(StrEnum):
    """Evidence that a user may choose."""

    distance = "distance"
    overlap = "overlap"
    size = "size"


assert tuple(_Score) == SCORES


def main() -> None:
    """Run the command; what goes wrong is one line on standard error and the exit code 2."""
    try:
        code = app(standalone_mode=False)
    except UsageError as error:
        message: str = error.format_message()  # type: ignore[attr-defined]
        sys.exit(_say(f"lineage: {_one_line(message)} (try lineage --help)", 2))
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(_say("lineage: interrupted; nothing was half-written", 130))
    except (ValueError, OSError, MemoryError) as error:
        sys.exit(_say(f"lineage: {_one_line(str(error)) or type(error).__name__}", 2))
    sys.exit(code if isinstance(code, int) else 0)


def _say(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


def _one_line(message: str) -> str:
    return " ".join(message.split())


def _bar(items: Iterable[T], what: str) -> Iterable[T]:
    """A progress bar on standard error, on a terminal only."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(items, what, console=console, transient=True, disable=not console.is_terminal)


def _numbers(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--scale takes numbers with commas between them, such as 2.0,0.5,0.5, not {text}") from None


def _settings(path: Path | None, **changes: Any) -> Settings:  # noqa: ANN401 - any setting
    settings = Settings.from_toml(path) if path else Settings()
    return settings.replaced({name: value for name, value in changes.items() if value is not None})


def _report(scores: dict[str, Any] | None, json_to: str | None, rows: dict[str, Any]) -> None:
    from .evaluation import summary
    from .provenance import finite, write_json

    if json_to == "-":
        print(json.dumps(finite([rows | (scores or {})])))
        return
    if json_to is not None:
        write_json([rows | (scores or {})], json_to)
    if scores is not None:
        print(summary(scores))


@app.callback(invoke_without_command=True)
def _root(context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        print(f"cytolineage {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def demo(
    out: Out = Path("demo"),
    seed: Annotated[int, typer.Option(help="Another seed makes another film.")] = 0,
    segment: Segment = None,
) -> None:
    """Simulate a film, track it, and score the result against the truth."""
    from . import pipeline

    done = pipeline.demo(out, settings=_settings(None, segment=segment), seed=seed, progress=_bar)
    _outcome(done)
    _report(done.scores, None, {})


@app.command()
def track(
    film: Annotated[Path | None, typer.Argument(help="TIFF stack, folder of TIFFs, NPY or OME-Zarr.", show_default=False)] = None,
    out: Out = Path("out"),
    labels: Annotated[Path | None, typer.Option(help="Label masks; the film is segmented when they are not given.")] = None,
    truth: Annotated[Path | None, typer.Option(help="Truth to score against, such as 01_GT.")] = None,
    scale: Scale = None,
    segment: Segment = None,
    solver: Annotated[str | None, typer.Option(help="auto, dual, highs, pulp, pulp:NAME or greedy.")] = None,
    gap: Annotated[float | None, typer.Option(help="Relative gap to the optimum that is good enough.")] = None,
    time_limit: Annotated[float | None, typer.Option(help="Seconds that a solver may take.")] = None,
    max_gap: Annotated[int | None, typer.Option(help="Most frames in a row that a cell may be missed.")] = None,
    score: Annotated[list[_Score] | None, typer.Option(help="Evidence to use; repeat for several.", show_default=False)] = None,
    settings: SettingsFile = None,
    json_to: Json = None,
) -> None:
    """Find the lineages of a film: segment, link, and write all results into one folder."""
    from . import pipeline

    chosen = tuple(score.value for score in score) if score else None
    wanted = _settings(settings, segment=segment, solver=solver, gap=gap, time_limit=time_limit, max_gap=max_gap, scores=chosen)
    command = " ".join(["lineage", *sys.argv[1:]])
    done = pipeline.run(film, out, labels=labels, truth=truth, scale=_numbers(scale), settings=wanted, command=command, progress=_bar)
    _outcome(done, to_stderr=json_to == "-")
    _report(done.scores, json_to, {"film": str(film or labels)})


def _outcome(done: Any, *, to_stderr: bool = False) -> None:  # noqa: ANN401 - a Run; importing its module here would be slow
    forest, certificate = done.forest, done.forest.certificate
    lines = [
        f"{int(forest.selected.sum())} cells in {forest.detections.n_frames} frames, "
        f"{len(forest.roots)} lineages, {len(forest.divisions)} divisions",
        f"cost {certificate.objective:.3f} nats, lower bound {certificate.bound:.3f}, gap {certificate.gap:.2g} "
        f"({certificate.status}, {certificate.solver}, {certificate.seconds:.1f} s)",
        f"results in {done.folder}: {', '.join(sorted(entry.name for entry in done.folder.iterdir()))}",
    ]
    print("\n".join(lines), file=sys.stderr if to_stderr else sys.stdout)


@app.command()
def segment(
    film: Annotated[Path, typer.Argument(help="TIFF stack, folder of TIFFs, NPY or OME-Zarr.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="TIFF stack for the label masks.")] = Path("labels.tif"),
    method: Annotated[str, typer.Option(help="auto, classical, nuclei-2d, or a weights file.")] = "auto",
) -> None:
    """Segment a film into label masks."""
    from . import pipeline

    count = pipeline.segment_to_file(film, out, method, progress=_bar)
    print(f"{count} cells, masks in {out}")


@app.command()
def evaluate(
    result: Annotated[Path, typer.Argument(help="Result folder, such as 01_RES or out/ctc.")],
    truth: Annotated[Path, typer.Argument(help="Truth folder, such as 01_GT.")],
    json_to: Json = None,
) -> None:
    """Score a result against the truth."""
    from .evaluation import evaluate as score

    _report(score(result, truth, progress=_bar), json_to, {"result": str(result), "truth": str(truth)})


@app.command()
def validate(path: Annotated[Path, typer.Argument(help="Folder of the Cell Tracking Challenge: 01_RES, 01_GT or 01_GT/TRA.")]) -> None:
    """Check a result or truth folder; every violation is named with file, frame and row. Exit code 1 when there are any."""
    from .formats import ctc_validate

    found = ctc_validate.validate(path, progress=_bar)
    for violation in found:
        print(violation)
    errors = sum(not violation.is_warning for violation in found)
    print(f"{path}: {errors} errors, {len(found) - errors} warnings")
    raise typer.Exit(1 if errors else 0)


@app.command()
def simulate(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for film.tif and truth/.")] = Path("simulated"),
    frames: Annotated[int, typer.Option(help="Length of the film.")] = 30,
    cells: Annotated[int, typer.Option(help="Cells in the first frame.")] = 20,
    size: Annotated[str, typer.Option(help="Pixels along y,x or z,y,x.")] = "256,256",
    seed: Annotated[int, typer.Option(help="Another seed makes another film.")] = 0,
    miss_rate: Annotated[float, typer.Option(help="Probability that a cell's mask is missing in a frame.")] = 0.0,
    false_rate: Annotated[float, typer.Option(help="False masks per true one.")] = 0.0,
) -> None:
    """Simulate a film of dividing nuclei with known lineages."""
    from . import pipeline
    from .simulation import simulate as make

    try:
        sides = tuple(int(part) for part in size.split(","))
    except ValueError:
        raise ValueError(f"--size takes whole numbers with commas between them, such as 256,256, not {size}") from None
    film = make(frames=frames, cells=cells, size=sides, seed=seed, miss_rate=miss_rate, false_rate=false_rate)
    pipeline.save_simulated(film.image, film.labels, film.truth, out, progress=_bar)
    print(f"{len(film.truth)} cells in {frames} frames, {len(film.truth.divisions)} divisions, in {out}")


@train_app.command("segmentation")
def train_segmentation(
    folders: Annotated[list[Path], typer.Argument(help="Folders with images/ and labels/, or CTC sequences such as 01.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Weights file, .safetensors.")] = Path("model.safetensors"),
    minutes: Annotated[float, typer.Option(help="How long to train.")] = 30.0,
    init: Annotated[str | None, typer.Option(help="Weights to go on from; new ones when not given.")] = None,
) -> None:
    """Train a segmenter on labelled pictures; scores and a training log appear beside the weights."""
    from segmentation.training import train_segmentation as train

    table = train(folders, out, minutes=minutes, init=init, progress=_bar)
    print(json.dumps(table, indent=1))
