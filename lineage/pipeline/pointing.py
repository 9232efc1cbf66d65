"""Pointing: a table of points on disk to lineages and all their files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lineage.arrays import Progress, silent
from lineage.detections import Detections, stretched
from lineage.evaluation import evaluate
from lineage.films import OpenedFilm, open_film
from lineage.films.atomic import new_folder
from lineage.formats import read
from lineage.formats.csv_text import header, load
from lineage.linking import link
from lineage.provenance import provenance, write_json
from lineage.report import report
from lineage.settings import Settings
from lineage.sides import side_of
from lineage.solvers import solver_named

from .running import OUTPUTS, Run, write_lineages, write_overview

_TEXT = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz")


def points_of(path: str | Path, scale: Sequence[float] | None = None, interval: float | None = None) -> Detections:
    """The cells of a file as points: a table of any separator with the columns ``t`` (or ``frame``), ``y``, ``x`` and, in 3D, ``z``; or
    lineages in any format that is read, whose links are forgotten.

    Args:
        path: The file.
        scale: Size of one coordinate step along ([z,] y, x), by which coordinates are multiplied; what the file says when not given.
        interval: Seconds between frames; likewise.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A column is missing, or a frame or a position is no finite number.
    """
    names, separator = header(path) if str(path).lower().endswith(_TEXT) and Path(path).is_file() else ([], ",")
    if {"y", "x"} <= set(names) and {"t", "frame"} & set(names) and not {"parent_id", "parent"} & set(names):
        try:
            table = {name: column.to_numpy() for name, column in load(path, separator=separator).items()}
            return Detections.from_points(table, scale, interval=interval)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    cells = replace(read(path).detections, conflicts=())
    cells = cells if scale is None else stretched(cells, scale)
    return cells if interval is None else replace(cells, interval=interval)


def run_points(  # noqa: PLR0913 - all but two by keyword only
    points: str | Path,
    out: str | Path,
    *,
    film: str | Path | None = None,
    truth: str | Path | None = None,
    distance: float | None = None,
    scale: Sequence[float] | None = None,
    interval: float | None = None,
    settings: Settings = Settings(),  # noqa: B008 - frozen
    command: str = "",
    progress: Progress[Any] = silent,
) -> Run:
    """Link the points of a file and write all results into one folder.

    The folder appears when everything is done: ``lineages.csv``, ``lineages.gexf``, ``lineages.geff``, ``report.html``, ``run.json``,
    ``overview.png`` when there is a film, and ``metrics.json`` when the truth is given. An older result there is replaced.

    Args:
        points: The cells; see ``points_of``.
        out: The folder.
        film: Images to show the lineages on; nothing is measured in them.
        truth: Lineages in any format, to score against by position.
        distance: How far apart cells of result and truth may be, physical units; see ``evaluate``.
        scale: Size of one coordinate step along ([z,] y, x).
        interval: Seconds between frames.
        settings: What to change of the defaults; what is said of segmentation does not matter.
        command: The command line, for the record.
        progress: Wraps the loops over frames.

    Raises:
        ValueError: Points, film or truth cannot be read or do not belong together, or settings that points cannot have.
        OSError: The folder cannot be written.
    """
    began = time.perf_counter()
    if settings.hypotheses or settings.denoise:
        raise ValueError("hypotheses and denoising are for films that are segmented here, but points were given: leave them out")
    solver_named(settings.solver)
    cells, pictures = points_of(points, scale, interval), None if film is None else open_film(film, **settings.reading)
    if pictures is not None:
        cells = _on_film(cells, pictures)
    known = None if truth is None else side_of(truth)
    Path(out).absolute().parent.mkdir(parents=True, exist_ok=True)
    with new_folder(out, OUTPUTS.__contains__) as folder:
        forest = link(cells, settings=settings, progress=progress)
        scores = None if known is None else evaluate((forest, None), known, distance=distance, progress=progress)
        write_lineages(forest, folder, image=pictures)
        if pictures is not None:
            write_overview(forest, pictures, None, folder)
        facts: dict[str, Any] = {
            "command": command,
            "seconds": time.perf_counter() - began,
            "scale": cells.scale,
            "interval": cells.interval,
        }
        record = provenance(forest, settings, {"points": points, "film": film, "truth": truth}, **facts)
        write_json(record, folder / "run.json")
        report(forest, pictures, None, folder / "report.html", scores=scores, record=record, title=Path(points).name, progress=progress)
        if scores is not None:
            write_json(scores, folder / "metrics.json")
    return Run(forest, scores, Path(out))


def _on_film(cells: Detections, film: OpenedFilm) -> Detections:
    """The cells of a film, which may go on when the last of them is gone.

    Raises:
        ValueError: The film has other axes, or is shorter.
    """
    if len(film.shape) - 1 != cells.n_axes:
        raise ValueError(f"the film has frames of shape {film.shape[1:]}, but the points have the axes {', '.join(cells.axes)}")
    if cells.n_frames > len(film):
        raise ValueError(f"the film has {len(film)} frames, but there is a point in frame {cells.n_frames - 1}")
    return replace(cells, n_frames=len(film))
