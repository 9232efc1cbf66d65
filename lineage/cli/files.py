"""Commands about files of lineages: convert, validate."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .shared import Gaps, app, bar


class _Merges(StrEnum):
    """What becomes of cells with two parents."""

    refuse = "refuse"
    keep_nearest = "keep-nearest"


def _list_formats(wanted: bool) -> None:
    if wanted:
        from lineage.formats.known import table_of_formats

        print(table_of_formats())
        raise typer.Exit


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Lineages: a file, or a folder of the Cell Tracking Challenge.")],
    target: Annotated[str, typer.Argument(metavar="OUT", help="File or folder; the ending says the format.")],
    labels: Annotated[Path | None, typer.Option(help="Label masks of the cells, for a target with masks.", show_default=False)] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse when something would be lost.")] = False,
    gaps: Annotated[Gaps, typer.Option(help="Links over missed frames: leave them, or fill in the missed cells.")] = Gaps.leave,
    merges: Annotated[_Merges, typer.Option(help="Cells with two parents: refuse the file, or keep the nearest parent.")] = _Merges.refuse,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an older file or folder of that name.")] = False,
    read_as: Annotated[str, typer.Option("--from", help="Key of the format of IN; found out when not given.", show_default=False)] = "",
    write_as: Annotated[str, typer.Option("--to", help="Key of the format of OUT; by its ending when not given.", show_default=False)] = "",
    _formats: Annotated[
        bool, typer.Option("--formats", help="List all formats and what they hold.", is_eager=True, callback=_list_formats)
    ] = False,
) -> None:
    """Convert lineages to another format; what that cannot hold is said before anything is written."""
    from lineage.formats import converting
    from lineage.formats.filling import is_filled

    plan = converting.prepare(
        source, target, labels=labels, read_as=read_as, write_as=write_as, gaps=gaps.value, merges=merges.value, progress=bar
    )
    forest = plan.forest
    print(
        f"{source} ({plan.read_as.name}): {int(forest.selected.sum())} cells in {forest.detections.n_frames} frames, "
        f"{len(forest.roots)} lineages, {len(forest.divisions)} divisions"
    )
    if put_in := int(is_filled(forest).sum()):
        print(f"{put_in} of them put into missed frames")
    if plan.losses:
        print(f"what the target ({plan.write_as.name}) cannot hold:")
        print("\n".join(f"  {loss}" for loss in plan.losses))
    if strict and plan.losses:
        raise ValueError(converting.refusal(plan))
    plan.write(overwrite=overwrite, progress=bar)
    print(f"written: {target} ({plan.write_as.name})")


@app.command()
def validate(
    path: Annotated[Path, typer.Argument(help="Lineages: a file, or a folder of the Cell Tracking Challenge (01_RES, 01_GT, 01_GT/TRA).")],
) -> None:
    """Check lineages; every violation is named with file, frame and row. Exit code 1 when there are any."""
    from lineage.formats import validating

    found = validating.validate(path, progress=bar)
    for violation in found:
        print(violation)
    errors = sum(not violation.is_warning for violation in found)
    warnings = len(found) - errors
    print(f"{path}: {errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}")
    raise typer.Exit(1 if errors else 0)
