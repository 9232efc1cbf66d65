"""Commands for looking at a result: check, report, view."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .shared import Axes, Channel, Holes, app, bar, reading_of

Result = Annotated[
    Path, typer.Argument(help="Folder that lineage track wrote; or lineages in any format, such as tracks.csv, 01_RES.", show_default=False)
]
Masks = Annotated[Path | None, typer.Option(help="Label masks that the result was linked from.")]


@app.command()
def check(
    result: Result,
    film: Annotated[Path | None, typer.Option(help="The film, for the brightness of the cells; with masks only.")] = None,
    labels: Masks = None,
    channel: Channel = None,
    axes: Axes = None,
    holes: Holes = None,
    csv: Annotated[Path | None, typer.Option(help="Write all warnings to this file.")] = None,
    most: Annotated[int, typer.Option(help="Warnings to print, the most suspicious ones.")] = 40,
) -> None:
    """List what looks wrong in a result, the most suspicious first; no truth is needed."""
    from lineage import health
    from lineage.films.atomic import new_file
    from lineage.report import open_result

    opened = open_result(result, film, labels, reading=reading_of(channel, axes, holes))
    image = opened.film if film is not None or opened.labels is not None else None
    found = health.check(opened.forest, labels=opened.labels, image=image)
    if csv is not None:
        with new_file(csv) as path:
            found.to_csv(path, index=False, float_format="%.6g")
    shown = found.head(max(most, 0))
    for rank, score, kind, message in zip(shown["rank"], shown["score"], shown["kind"], shown["message"], strict=True):
        print(f"{rank:>3} {score:7.1f}  {kind:<17}  {message}")
    likely = int((found["score"] > 0).sum())
    print(f"{len(found)} warnings; {likely} where an error is likelier than not" + (f"; all in {csv}" if csv else ""))


@app.command()
def report(
    result: Annotated[Path, typer.Argument(help="Folder that lineage track wrote; or lineages in any format, such as tracks.csv, 01_RES.")],
    film: Annotated[Path | None, typer.Option(help="The film; the one that the result was made from when not given.")] = None,
    labels: Masks = None,
    channel: Channel = None,
    axes: Axes = None,
    holes: Holes = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")] = Path("report.html"),
) -> None:
    """Write film, lineages and warning signs into one HTML file that any browser opens."""
    from lineage.report import open_result
    from lineage.report import report as write_report

    opened = open_result(result, film, labels, reading=reading_of(channel, axes, holes))
    title = None if opened.film or opened.labels else result.name
    write_report(opened.forest, opened.film, opened.labels, out, scores=opened.scores, record=opened.record, title=title, progress=bar)
    missing = [name for name, there in (("film (give --film)", opened.film), ("masks (give --labels)", opened.labels)) if there is None]
    print(
        f"{out}: {int(opened.forest.selected.sum())} cells, {out.stat().st_size / 1e6:.1f} MB"
        + (f"; without {' and '.join(missing)}" if missing else "")
    )


@app.command()
def view(
    result: Result,
    film: Annotated[Path | None, typer.Option(help="The film; the one that the result was made from when not given.")] = None,
    labels: Masks = None,
    channel: Channel = None,
    axes: Axes = None,
    holes: Holes = None,
) -> None:
    """Look at a result in napari: film, masks coloured by lineage, and tracks."""
    from lineage import viewing
    from lineage.report import open_result

    try:
        opened = open_result(result, film, labels, reading=reading_of(channel, axes, holes))
        viewing.view(opened.film, opened.labels, opened.forest)
    except ModuleNotFoundError as error:
        raise ValueError(str(error)) from error
