"""Commands that make films: simulate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .shared import app, bar


@app.command()
def simulate(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for film.tif and truth/, or for images/ and labels/.")] = Path(
        "simulated"
    ),
    frames: Annotated[int, typer.Option(help="Length of the film.")] = 30,
    cells: Annotated[int, typer.Option(help="Cells in the first frame.")] = 20,
    size: Annotated[str, typer.Option(help="Pixels along y,x or z,y,x.")] = "256,256",
    seed: Annotated[int, typer.Option(help="Another seed makes another film.")] = 0,
    miss_rate: Annotated[float, typer.Option(help="Probability that a cell's mask is missing in a frame.")] = 0.0,
    false_rate: Annotated[float, typer.Option(help="False masks per true one.")] = 0.0,
    pictures: Annotated[
        int | None, typer.Option(help="So many pictures with labels instead of a film, each through another microscope, to train on.")
    ] = None,
) -> None:
    """Simulate a film of dividing nuclei with known lineages, or labelled pictures to train on."""
    from lineage import pipeline
    from lineage.simulation import save_pictures
    from lineage.simulation import simulate as make

    try:
        sides = tuple(int(part) for part in size.split(","))
    except ValueError:
        raise ValueError(f"--size takes whole numbers with commas between them, such as 256,256, not {size}") from None
    if pictures is not None:
        found = save_pictures(out, pictures, sides, seed=seed, progress=bar)
        print(f"{found} cells in {pictures} pictures, in {out}")
        return
    film = make(frames=frames, cells=cells, size=sides, seed=seed, miss_rate=miss_rate, false_rate=false_rate)
    pipeline.save_simulated(film.image, film.labels, film.truth, out, progress=bar)
    print(f"{len(film.truth)} cells in {frames} frames, {len(film.truth.divisions)} divisions, in {out}")
