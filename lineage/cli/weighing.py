"""Commands that learn from corrected lineages: train edges."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .shared import Scale, SettingsFile, bar, numbers, settings_of, train_app


@train_app.command("edges")
def train_edges(
    labels: Annotated[Path, typer.Argument(help="Label film that was linked.")],
    corrections: Annotated[Path, typer.Option("--from", help="CSV of confirmed and rejected links: source, target (ids), right.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Settings file to write, .toml; give it to track --settings.")] = Path(
        "settings.toml"
    ),
    lineages: Annotated[Path | None, typer.Option(help="Also write the corrected lineages, in any format that convert knows.")] = None,
    scale: Scale = None,
    settings: SettingsFile = None,
) -> None:
    """Learn from confirmed and rejected links how much each kind of evidence should count, and say what that changes."""
    from lineage.films import open_film
    from lineage.films.atomic import new_file
    from lineage.fitting import fit, read_corrections
    from lineage.formats import write
    from lineage.linking import link

    known = settings_of(settings)
    masks = open_film(labels, kind="labels")
    if not out.absolute().parent.is_dir():
        raise FileNotFoundError(f"cannot write {out}: the folder {out.absolute().parent} does not exist")
    forest = link(masks, None, numbers(scale), known, progress=bar)
    learned = fit(forest, read_corrections(corrections, forest), masks, known)
    with new_file(out) as place:
        place.write_text(learned.settings.to_toml(), encoding="utf-8")
    if lineages is not None:
        write(learned.forest, lineages, labels=masks)
    print(learned)
    print(f"settings in {out}")
