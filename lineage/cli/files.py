"""Commands about files of lineages: validate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .shared import app, bar


@app.command()
def validate(path: Annotated[Path, typer.Argument(help="Folder of the Cell Tracking Challenge: 01_RES, 01_GT or 01_GT/TRA.")]) -> None:
    """Check a result or truth folder; every violation is named with file, frame and row. Exit code 1 when there are any."""
    from lineage.formats import ctc_validate

    found = ctc_validate.validate(path, progress=bar)
    for violation in found:
        print(violation)
    errors = sum(not violation.is_warning for violation in found)
    print(f"{path}: {errors} errors, {len(found) - errors} warnings")
    raise typer.Exit(1 if errors else 0)
