"""Commands that make films: simulate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .shared import app, bar

if TYPE_CHECKING:
    from lineage.forest import Forest
    from lineage.simulation import Simulation

_POINTS = (".csv", ".csv.gz", ".geff", ".npz", ".parquet")
_OUT = (
    "Folder for film.tif and truth/, or for images/ and labels/; a name that ends in .zarr, for an OME-Zarr with masks and lineages, "
    "written frame by frame; or one that ends in .geff or .csv, for the true lineages alone, as points."
)


@app.command()
def simulate(
    out: Annotated[Path, typer.Option("--out", "-o", help=_OUT)] = Path("simulated"),
    frames: Annotated[int, typer.Option(help="Length of the film.")] = 30,
    cells: Annotated[int, typer.Option(help="Cells in the first frame.")] = 20,
    size: Annotated[str, typer.Option(help="Pixels along y,x or z,y,x.")] = "256,256",
    seed: Annotated[int, typer.Option(help="Another seed makes another film.")] = 0,
    radius: Annotated[float, typer.Option(help="Radius of a cell, pixels.")] = 10.0,
    speed: Annotated[float, typer.Option(help="How far a cell moves from frame to frame, pixels.")] = 2.0,
    cycle: Annotated[float, typer.Option(help="Frames from birth to division.")] = 24.0,
    death_rate: Annotated[float, typer.Option(help="Probability that a cell dies in a frame.")] = 0.0,
    steady: Annotated[bool, typer.Option("--steady", help="Let as many cells die as are born: for long films.")] = False,
    miss_rate: Annotated[float, typer.Option(help="Probability that a cell's mask is missing in a frame.")] = 0.0,
    false_rate: Annotated[float, typer.Option(help="False masks per true one.")] = 0.0,
    workers: Annotated[int, typer.Option(help="Processes that draw an OME-Zarr.")] = 1,
    pictures: Annotated[
        int | None, typer.Option(help="So many pictures with labels instead of a film, each through another microscope, to train on.")
    ] = None,
) -> None:
    """Simulate a film of dividing nuclei with known lineages, or labelled pictures to train on."""
    from lineage.simulation import Simulation, save_pictures

    try:
        sides = tuple(int(part) for part in size.split(","))
    except ValueError:
        raise ValueError(f"--size takes whole numbers with commas between them, such as 256,256, not {size}") from None
    if workers != 1 and out.suffix.lower() != ".zarr":
        raise ValueError(f"--workers {workers} is for films that are written to a name that ends in .zarr, not {out}")
    if pictures is not None:
        found = save_pictures(out, pictures, sides, seed=seed, progress=bar)
        print(f"{found} cells in {pictures} pictures, in {out}")
        return
    settings = Simulation(
        frames=frames, cells=cells, size=sides, seed=seed, radius=radius, speed=speed, death_rate=death_rate, steady=steady,
        cycle=cycle, cycle_spread=cycle / 6, min_cycle=max(cycle / 3, 1.0), miss_rate=miss_rate, false_rate=false_rate,
    )  # fmt: skip
    truth = _made(settings, out, workers)
    print(f"{len(truth)} cells in {frames} frames, {len(truth.divisions)} divisions, in {out}")


def _made(settings: Simulation, out: Path, workers: int) -> Forest:
    """Make and write what the ending of the name asks for; the true lineages."""
    from lineage.formats import write
    from lineage.pipeline import save_simulated
    from lineage.simulation import simulate, simulate_to, simulated_points

    if out.suffix.lower() == ".zarr":
        return simulate_to(out, settings, workers=workers, progress=bar)
    if out.name.lower().endswith(_POINTS):
        truth = simulated_points(settings, progress=bar)
        write(truth, out, progress=bar)
        return truth
    film = simulate(settings)
    save_simulated(film.image, film.labels, film.truth, out, progress=bar)
    return film.truth
