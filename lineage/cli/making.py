"""Commands that make films and models: simulate, train."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .shared import app, bar, train_app


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
    from lineage import pipeline
    from lineage.simulation import simulate as make

    try:
        sides = tuple(int(part) for part in size.split(","))
    except ValueError:
        raise ValueError(f"--size takes whole numbers with commas between them, such as 256,256, not {size}") from None
    film = make(frames=frames, cells=cells, size=sides, seed=seed, miss_rate=miss_rate, false_rate=false_rate)
    pipeline.save_simulated(film.image, film.labels, film.truth, out, progress=bar)
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

    table = train(folders, out, minutes=minutes, init=init, progress=bar)
    print(json.dumps(table, indent=1))
