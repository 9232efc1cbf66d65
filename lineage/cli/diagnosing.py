"""Commands that judge a film before and after denoising: diagnose."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .shared import Axes, Channel, Holes, app, reading_of


@app.command()
def diagnose(
    film: Annotated[Path, typer.Argument(help="TIFF stack, folder of TIFFs, NPY or OME-Zarr.")],
    denoised: Annotated[Path | None, typer.Option(help="The same film after denoising.")] = None,
    model: Annotated[str | None, typer.Option(help="A denoiser: shipped weights such as nuclei-denoise, or a weights file.")] = None,
    offset: Annotated[float | None, typer.Option(help="Grey level without any light, where it is known.")] = None,
    channel: Channel = None,
    axes: Axes = None,
    holes: Holes = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="One page (.png, .pdf, .svg), or all numbers (.json).")] = Path("diagnosis.png"),
) -> None:
    """Measure the noise of a film, and say whether its denoised version is to be believed."""
    from lineage.films import open_film
    from restoration.diagnosing import diagnose as examine
    from restoration.diagnosing import writable

    writable(out)  # what cannot be written is said before the work begins
    denoiser: Any = None
    if model is not None:
        import restoration

        denoiser = restoration.load(model).predict
    opened, other = open_film(film, **reading_of(channel, axes, holes)), None if denoised is None else open_film(denoised)
    found = examine(opened, denoised=other, denoiser=denoiser, offset=offset)
    found.save(out)
    for verdict in found.verdicts:
        print(f"{verdict.mark:<5} {verdict.title}: {verdict.words}" + (f" {verdict.advice}" if verdict.advice else ""))
    print(out)
