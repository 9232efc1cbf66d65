"""Running: a film on disk to lineages and all their files."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lineage.arrays import Film, Progress, silent
from lineage.detections import checked_scale
from lineage.evaluation import evaluate
from lineage.films import OpenedFilm, known_sizes, open_film
from lineage.films.atomic import new_folder
from lineage.films.ome_zarr import is_zarr
from lineage.forest import Forest
from lineage.formats import ctc, geff, write
from lineage.linking import link
from lineage.provenance import provenance, write_json
from lineage.report import report
from lineage.settings import Settings
from lineage.solvers import solver_named

from .choosing import linked_hypotheses
from .restoring import denoised
from .segmenting import segment, segmented_to_disk

OUTPUTS = (
    "lineages.csv",
    "lineages.gexf",
    "lineages.geff",
    "ctc",
    "overview.png",
    "report.html",
    "run.json",
    "metrics.json",
    "film.tif",
    "truth",
)


@dataclass(frozen=True, eq=False)
class Run:
    """What one run made.

    Attributes:
        forest: The lineages.
        scores: Measures against the truth, or None.
        folder: Where the files are.
    """

    forest: Forest
    scores: dict[str, Any] | None
    folder: Path


def track(film: Any, settings: Settings = Settings(), *, progress: Progress[int] = silent) -> Forest:  # noqa: ANN401, B008
    """Find the lineages of a film: segment it, then link (see ``lineage.link``).

    Args:
        film: Path or array, (T, [Z,] Y, X).
        settings: ``settings.segment`` says how to segment; see also ``denoise`` and ``hypotheses`` there.
        progress: Wraps the loops over frames.
    """
    opened = open_film(film)
    seen = denoised(opened, settings.denoise)
    if settings.hypotheses:
        with tempfile.TemporaryDirectory() as place:
            sizes: dict[str, Any] = {"scale": opened.scale, "interval": opened.interval}
            return linked_hypotheses(seen, settings, **sizes, folder=Path(place), progress=progress)[0]
    masks = segment(seen, settings.segment, progress=progress)
    return link(masks, seen, opened.scale, settings, interval=opened.interval, progress=progress)


def run(  # noqa: PLR0913 - all but two by keyword only
    film: str | Path | None,
    out: str | Path,
    *,
    labels: str | Path | None = None,
    truth: str | Path | None = None,
    scale: Sequence[float] | None = None,
    interval: float | None = None,
    settings: Settings = Settings(),  # noqa: B008 - frozen
    gaps: ctc.Gaps = "split",
    command: str = "",
    progress: Progress[Any] = silent,
) -> Run:
    """Track a film on disk and write all results into one folder.

    The folder appears when everything is done: ``lineages.csv``, ``lineages.gexf``, ``lineages.geff``, ``ctc/`` (masks and table),
    ``overview.png``, ``report.html``, ``run.json``, and ``metrics.json`` when the truth is given. An older result there is replaced.

    Args:
        film: Images; may be left out when labels are given.
        out: The folder.
        labels: Label film; the film is segmented when not given.
        truth: Folder of the Cell Tracking Challenge (``01_GT``) or label masks with a table, to score against.
        scale: Size of a pixel along ([z,] y, x); the file's own when not given.
        interval: Seconds between frames; the file's own when not given.
        settings: What to change of the defaults.
        gaps: What the masks of ``ctc`` do with missed frames and with masks of two cells: ``split`` or ``fill`` (see ``ctc.write``).
        command: The command line, for the record.
        progress: Wraps the loops over frames.

    Raises:
        ValueError: Film, labels or truth cannot be read or do not belong together.
        OSError: The folder cannot be written.
    """
    began = time.perf_counter()
    if film is None and labels is None:
        raise ValueError("nothing to track: give a film, or label masks")
    opened = None if film is None else open_film(film)
    masks = None if labels is None else open_film(labels, kind="labels")
    given = opened or masks
    assert given is not None
    if opened is not None and masks is not None and opened.shape != masks.shape:
        raise ValueError(f"the film has shape {opened.shape}, but its labels have {masks.shape}")
    if settings.hypotheses and masks is not None:
        raise ValueError("hypotheses are for films that are segmented here, but label masks were given: leave one of the two out")
    if truth is not None:
        _check_truth(truth, given)
    solver_named(settings.solver)  # what cannot work is said before the work begins
    known, seconds = known_sizes(opened, masks)
    sizes = checked_scale(scale if scale is not None else known, len(given.shape) - 1)
    seconds = interval if interval is not None else seconds
    seen = None if opened is None else denoised(opened, settings.denoise)
    Path(out).absolute().parent.mkdir(parents=True, exist_ok=True)
    with new_folder(out, OUTPUTS.__contains__) as folder:
        forest, label_film = _linked(seen, masks, settings, scale=sizes, interval=seconds, folder=folder, progress=progress)
        scores = None if truth is None else evaluate((forest, label_film), truth, progress=progress)
        _write_results(forest, label_film, given, masks, folder, gaps=gaps, progress=progress)
        facts = {"command": command, "seconds": time.perf_counter() - began, "scale": sizes, "interval": seconds}
        inputs = {"film": film, "labels": labels, "truth": truth}
        record = provenance(forest, settings, inputs, **facts)
        write_json(record, folder / "run.json")
        report(forest, opened, label_film, folder / "report.html", scores=scores, record=record, progress=progress)
        if scores is not None:
            write_json(scores, folder / "metrics.json")
        (folder / "labels.npy").unlink(missing_ok=True)
    return Run(forest, scores, Path(out))


def _linked(  # noqa: PLR0913 - all but three by keyword only
    film: OpenedFilm | None,
    masks: OpenedFilm | None,
    settings: Settings,
    *,
    scale: Sequence[float],
    interval: float | None,
    folder: Path,
    progress: Progress[Any],
) -> tuple[Forest, OpenedFilm]:
    """The lineages and the label film that they speak of, by whichever way the settings ask for."""
    if masks is None:
        assert film is not None
        if settings.hypotheses:
            return linked_hypotheses(film, settings, scale=scale, interval=interval, folder=folder, progress=progress)
        masks = segmented_to_disk(film, settings.segment, scale, folder, progress)
    return link(masks, film, scale, settings, interval=interval, progress=progress), masks


def _check_truth(truth: str | Path, film: OpenedFilm) -> None:
    """Find out before the work, not after it, that the truth is of another film."""
    opened = ctc.open_folder(truth).labels
    there, here = (len(opened), *np.shape(opened[0])), film.shape
    if there != here:
        raise ValueError(f"{truth} is the truth of another film: it has shape {there}, the film has {here}")


def _zarr(film: OpenedFilm | None) -> Path | None:
    """Where a film lies that other readers of GEFF can open from there."""
    return film.path if film is not None and film.path is not None and is_zarr(film.path) else None


def _write_results(  # noqa: PLR0913 - all but five by keyword only
    forest: Forest, labels: Film, film: OpenedFilm, masks: OpenedFilm | None, folder: Path, *, gaps: ctc.Gaps, progress: Progress[Any]
) -> None:
    from lineage.plot import overview

    write(forest, folder / "lineages.csv")
    write(forest, folder / "lineages.gexf")
    geff.write(forest, folder / "lineages.geff", labels_path=_zarr(masks), image_path=_zarr(film))
    ctc.write(forest, folder / "ctc", labels=labels, gaps=gaps, progress=progress)
    overview(forest, film, labels, folder / "overview.png")
