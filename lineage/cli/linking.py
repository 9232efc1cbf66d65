"""Commands from film to lineages: demo, track, link, segment, evaluate."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from lineage.settings import SCORES

from .shared import (
    Axes,
    Channel,
    Distance,
    Gaps,
    Holes,
    Json,
    Out,
    Scale,
    Segment,
    SettingsFile,
    app,
    bar,
    numbers,
    reading_of,
    report,
    settings_of,
)


class _Score(StrEnum):
    """Evidence that a user may choose."""

    distance = "distance"
    overlap = "overlap"
    size = "size"
    intensity = "intensity"
    shape = "shape"
    mothers = "mothers"


assert tuple(_Score) == SCORES


@app.command()
def demo(
    out: Out = Path("demo"),
    seed: Annotated[int, typer.Option(help="Another seed makes another film.")] = 0,
    segment: Segment = None,
) -> None:
    """Simulate a film, track it, and score the result against the truth."""
    from lineage import pipeline

    done = pipeline.demo(out, settings=settings_of(None, segment=segment), seed=seed, progress=bar)
    _outcome(done)
    report(done.scores, None, {})


@app.command()
def track(
    film: Annotated[Path | None, typer.Argument(help="TIFF stack, folder of TIFFs, NPY or OME-Zarr.", show_default=False)] = None,
    out: Out = Path("out"),
    labels: Annotated[Path | None, typer.Option(help="Label masks; the film is segmented when they are not given.")] = None,
    truth: Annotated[Path | None, typer.Option(help="Truth to score against, such as 01_GT.")] = None,
    scale: Scale = None,
    interval: Annotated[float | None, typer.Option(help="Seconds between frames; what the file says when not given.")] = None,
    segment: Segment = None,
    hypotheses: Annotated[
        bool | None, typer.Option("--hypotheses/--no-hypotheses", help="Let the solver choose among segmentations; shipped weights do.")
    ] = None,
    denoise: Annotated[str | None, typer.Option(help="Denoise the film first: a shipped denoiser or a weights file.")] = None,
    channel: Channel = None,
    axes: Axes = None,
    holes: Holes = None,
    edges: Annotated[str | None, typer.Option(help="Learned links: auto (the film decides), a name, a file, '' for none.")] = None,
    solver: Annotated[str | None, typer.Option(help="auto, dual, highs, pulp, pulp:NAME or greedy.")] = None,
    gap: Annotated[float | None, typer.Option(help="Relative gap to the optimum that is good enough.")] = None,
    time_limit: Annotated[float | None, typer.Option(help="Seconds that a solver may take.")] = None,
    max_gap: Annotated[int | None, typer.Option(help="Most frames in a row that a cell may be missed.")] = None,
    min_cycle: Annotated[int | None, typer.Option(help="Fewest frames between two divisions of a lineage.")] = None,
    merges: Annotated[
        bool | None, typer.Option("--merges/--no-merges", help="Let a mask hold two cells where two meet and part again.")
    ] = None,
    gaps: Annotated[
        Gaps, typer.Option(help="Masks of cells that were missed: begin a new track after them, or fill them in.")
    ] = Gaps.leave,
    score: Annotated[list[_Score] | None, typer.Option(help="Evidence to use; repeat for several.", show_default=False)] = None,
    settings: SettingsFile = None,
    memory: Annotated[
        str | None, typer.Option(help="For films larger than memory: what each process may take, such as 4GB; work is kept in OUT.pieces.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Work in so many processes on this machine (needs Dask).")] = None,
    scheduler: Annotated[str | None, typer.Option(help="Work on the cluster of this Dask scheduler, such as tcp://host:8786.")] = None,
    json_to: Json = None,
) -> None:
    """Find the lineages of a film: segment, link, and write all results into one folder.

    With --memory, --workers or --scheduler the film is worked on piece by piece, and the same command goes on where it was stopped.
    """
    from lineage import pipeline

    chosen = tuple(score.value for score in score) if score else None
    given: dict[str, Any] = {"segment": segment, "hypotheses": hypotheses, "denoise": denoise, "edges": edges, "solver": solver, "gap": gap}
    given |= {"time_limit": time_limit, "max_gap": max_gap, "min_cycle": min_cycle, "merges": merges}
    given |= {"channel": channel, "axes": axes, "holes": holes}
    wanted = settings_of(settings, **given, scores=chosen)
    command = " ".join(["lineage", *sys.argv[1:]])
    sizes: dict[str, Any] = {"scale": numbers(scale), "interval": interval}
    resources = _resources(memory, workers, scheduler)
    how: dict[str, Any] = {"settings": wanted, "command": command, "resources": resources, "tell": _tell, "progress": bar}
    done = pipeline.run(film, out, labels=labels, truth=truth, gaps=gaps.value, **how, **sizes)
    _outcome(done, gaps.value, to_stderr=json_to == "-")
    report(done.scores, json_to, {"film": str(film or labels)})


@app.command()
def link(
    points: Annotated[Path, typer.Argument(help="A table with t, (z), y, x; or lineages of any format, whose links are forgotten.")],
    out: Out = Path("out"),
    film: Annotated[Path | None, typer.Option(help="The images, to show the lineages on.")] = None,
    channel: Channel = None,
    axes: Axes = None,
    holes: Holes = None,
    truth: Annotated[Path | None, typer.Option(help="Truth to score against: a file of lineages of any format.")] = None,
    distance: Distance = None,
    scale: Scale = None,
    interval: Annotated[float | None, typer.Option(help="Seconds between frames; what the file says when not given.")] = None,
    solver: Annotated[str | None, typer.Option(help="auto, dual, highs, pulp, pulp:NAME or greedy.")] = None,
    gap: Annotated[float | None, typer.Option(help="Relative gap to the optimum that is good enough.")] = None,
    time_limit: Annotated[float | None, typer.Option(help="Seconds that a solver may take.")] = None,
    max_gap: Annotated[int | None, typer.Option(help="Most frames in a row that a cell may be missed.")] = None,
    min_cycle: Annotated[int | None, typer.Option(help="Fewest frames between two divisions of a lineage.")] = None,
    settings: SettingsFile = None,
    json_to: Json = None,
) -> None:
    """Find the lineages of cells that are points, such as spots of another program, and write all results into one folder."""
    from lineage import pipeline

    limits: dict[str, Any] = {"solver": solver, "gap": gap, "time_limit": time_limit, "max_gap": max_gap, "min_cycle": min_cycle}
    wanted = settings_of(settings, **limits, channel=channel, axes=axes, holes=holes)
    given: dict[str, Any] = {"film": film, "truth": truth, "distance": distance, "scale": numbers(scale), "interval": interval}
    done = pipeline.run_points(points, out, **given, settings=wanted, command=" ".join(["lineage", *sys.argv[1:]]), progress=bar)
    _outcome(done, masks=False, to_stderr=json_to == "-")
    report(done.scores, json_to, {"points": str(points)})


def _resources(memory: str | None, workers: int | None, scheduler: str | None) -> Any:  # noqa: ANN401 - Resources, or None
    """What a run may take and who does the work; None when nothing was said, and the film is worked on whole."""
    from lineage.pieces import Resources, bytes_of

    if memory is None and workers is None and scheduler is None:
        return None
    given: dict[str, Any] = {"workers": workers, "scheduler": scheduler, "memory": None if memory is None else bytes_of(memory)}
    return Resources(**{name: value for name, value in given.items() if value is not None})


def _tell(what: str) -> None:
    print(what, file=sys.stderr)


def _many(count: int, thing: str) -> str:
    return f"{count} {thing}{'s' * (count != 1)}"


def _outcome(done: Any, gaps: str = "split", *, masks: bool = True, to_stderr: bool = False) -> None:  # noqa: ANN401 - a Run; its module is slow to import
    from lineage.formats.shared_masks import said

    forest, certificate = done.forest, done.forest.certificate
    too_many = masks and not (done.folder / "ctc").exists()
    bridged, among = int((forest.gap > 0).sum()), forest.record.get("hypotheses")
    lines = [
        f"{int(forest.selected.sum())} cells in {_many(forest.detections.n_frames, 'frame')}, "
        f"{_many(len(forest.roots), 'lineage')}, {_many(len(forest.divisions), 'division')}"
        + (f", {_many(bridged, 'link')} over missed frames" if bridged else ""),
        *([f"chosen among {among['segments']} segments where there was doubt"] if among and among["segments"] > among["chosen"] else []),
        *([f"{together} (in the masks of ctc)"] if masks and (together := said(forest, cut=gaps == "fill")) else []),
        f"cost {certificate.objective:.3f} nats, lower bound {certificate.bound:.3f}, gap {certificate.gap:.2g} "
        f"({certificate.status}, {certificate.solver}{f', {certificate.seconds:.1f} s' if certificate.seconds else ''})",
        *([f"{len(forest.tracklets())} tracklets are more than ctc can hold: it is left out"] if too_many else []),
        f"results in {done.folder}: {', '.join(sorted(entry.name for entry in done.folder.iterdir()))}",
    ]
    print("\n".join(lines), file=sys.stderr if to_stderr else sys.stdout)


@app.command()
def segment(
    film: Annotated[Path, typer.Argument(help="TIFF stack, folder of TIFFs, NPY or OME-Zarr.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="TIFF (.tif) or OME-Zarr (.zarr) for the label masks.")] = Path("labels.tif"),
    method: Annotated[str, typer.Option(help="auto, classical, a shipped name such as cells-phase-2d, or a weights file.")] = "auto",
    views: Annotated[
        int, typer.Option(help="Look from so many sides, 1, 4 or 8, and take the mean: a little better, as many times slower.")
    ] = 1,
    channel: Channel = None,
    axes: Axes = None,
    holes: Holes = None,
) -> None:
    """Segment a film into label masks."""
    from lineage import pipeline

    reading = reading_of(channel, axes, holes)
    count = pipeline.segment_to_file(film, out, method, views=views, reading=reading, progress=bar)
    print(f"{count} cells, masks in {out}" if count is not None else f"classes of pixels, no cells, in {out}")


@app.command()
def evaluate(
    result: Annotated[Path, typer.Argument(help="Result: a folder such as 01_RES or out, or a file of lineages of any format.")],
    truth: Annotated[Path, typer.Argument(help="Truth: a folder such as 01_GT, a simulated film.zarr, or a file of lineages.")],
    border: Annotated[float, typer.Option(help="False cells with a centre so close to the border, in pixels, are left out.")] = 0,
    distance: Distance = None,
    json_to: Json = None,
) -> None:
    """Score a result against the truth: masks by their overlap; two files of lineages, of any format, by where their cells are."""
    from lineage.evaluation import evaluate as score

    scores = score(result, truth, border=border, distance=distance, progress=bar)
    report(scores, json_to, {"result": str(result), "truth": str(truth)})
