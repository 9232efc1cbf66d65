"""Running: a film on disk to lineages and all their files."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from lineage.arrays import Progress, is_large, silent
from lineage.detections import checked_scale
from lineage.evaluation import evaluate
from lineage.films import OpenedFilm, known_sizes, open_film, shadow
from lineage.films.atomic import new_folder
from lineage.films.ome_zarr import is_zarr
from lineage.forest import Forest
from lineage.formats import ctc, geff, write
from lineage.linking import link
from lineage.pieces import Resources
from lineage.provenance import provenance, write_json
from lineage.report import report
from lineage.settings import Settings
from lineage.sides import side_of
from lineage.solvers import solver_named

from .choosing import guess_wanted, linked_hypotheses
from .restoring import DENOISED, denoised
from .scaling import LABELS, hand_over, in_pieces, pieces_of
from .segmenting import segment, segmented_to_disk

OUTPUTS = (
    "lineages.csv",
    "lineages.gexf",
    "lineages.geff",
    "ctc",
    "overview.png",
    "report.html",
    "run.json",
    "times.json",
    "labels.zarr",
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
    opened = open_film(film, **settings.reading)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        seen = denoised(opened, settings.denoise, Path(place))
        if (guess := guess_wanted(settings, opened.shape)) is not None:
            how: dict[str, Any] = {"scale": opened.scale, "interval": opened.interval, "guess": guess}
            return linked_hypotheses(seen, settings, **how, folder=Path(place), progress=progress)[0]
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
    resources: Resources | None = None,
    tell: Callable[[str], None] = lambda _: None,
    progress: Progress[Any] = silent,
) -> Run:
    """Track a film on disk and write all results into one folder.

    The folder appears when everything is done: ``lineages.csv``, ``lineages.gexf``, ``lineages.geff``, ``ctc/`` (masks and table; left out
    of films with more tracklets than it can hold), ``overview.png``, ``report.html``, ``run.json``, and ``metrics.json`` when the truth is
    given. An older result there is replaced.

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
        resources: For films larger than memory, and for many processes: how much memory each may take, and who does the work. Pieces of
            work are then kept in a folder beside ``out``, so that the same call goes on where one was stopped; the masks that are
            made are among the results as ``labels.zarr``, and times are in ``times.json``, so that all else is the same to the byte
            whoever did the work.
        tell: Is told where the dashboard of the workers is.
        progress: Wraps the loops over frames.

    Raises:
        ValueError: Film, labels or truth cannot be read or do not belong together.
        OSError: The folder cannot be written.
    """
    began = time.perf_counter()
    job = _job(film, labels, truth, settings, scale=scale, interval=interval)
    Path(out).absolute().parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        pieces = None if resources is None else stack.enter_context(pieces_of(out))
        folder = stack.enter_context(new_folder(out, OUTPUTS.__contains__))
        if resources is None or pieces is None:
            found = _found(job, settings, folder, progress)
        else:
            found = _found_in_pieces(job, settings, folder, pieces, resources, tell=tell, progress=progress)
        scores = None if truth is None else evaluate((found.forest, found.labels), truth, progress=progress)
        _write_results(found, job.given, folder, gaps=gaps, progress=progress)
        facts: dict[str, Any] = {"command": command, "seconds": time.perf_counter() - began, "scale": job.scale, "interval": job.interval}
        inputs = {"film": film, "labels": labels, "truth": truth}
        record = provenance(found.forest, settings, inputs, fingerprints=found.inputs, **facts)
        if found.seconds is not None:
            write_json(
                {name: record.pop(name) for name in ("command", "made", "seconds")} | {"stages": found.seconds}, folder / "times.json"
            )
        write_json(record, folder / "run.json")
        report(found.forest, job.film, found.labels, folder / "report.html", scores=scores, record=record, progress=progress)
        if scores is not None:
            write_json(scores, folder / "metrics.json")
        for scratch in ("labels.npy", DENOISED):
            (folder / scratch).unlink(missing_ok=True)
    return Run(found.forest, scores, Path(out))


@dataclass(frozen=True, eq=False)
class _Job:
    """What is to be tracked, opened and checked.

    Attributes:
        film, masks: One of them may be None.
        scale: Size of a pixel along each axis, physical units.
        interval: Seconds between frames; None when not known.
    """

    film: OpenedFilm | None
    masks: OpenedFilm | None
    scale: tuple[float, ...]
    interval: float | None

    @property
    def given(self) -> OpenedFilm:
        """The film, or else the masks."""
        given = self.film or self.masks
        assert given is not None
        return given


@dataclass(frozen=True, eq=False)
class _Found:
    """What was found.

    Attributes:
        forest: The lineages.
        labels: The label film that they speak of.
        masks: The one that other readers of the results can open, if there is one.
        inputs: Fingerprints of the inputs that are known already.
        seconds: What the stages took, if that was kept.
    """

    forest: Forest
    labels: OpenedFilm
    masks: OpenedFilm | None
    inputs: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] | None = None


def _job(
    film: str | Path | None,
    labels: str | Path | None,
    truth: str | Path | None,
    settings: Settings,
    *,
    scale: Sequence[float] | None,
    interval: float | None,
) -> _Job:
    """Open what is given; what cannot work is said before the work begins."""
    if film is None and labels is None:
        raise ValueError("nothing to track: give a film, or label masks")
    opened = None if film is None else open_film(film, **settings.reading)
    masks = None if labels is None else open_film(labels, kind="labels")
    if opened is not None and masks is not None and opened.shape != masks.shape:
        raise ValueError(f"the film has shape {opened.shape}, but its labels have {masks.shape}")
    if settings.hypotheses and masks is not None:
        raise ValueError("hypotheses are for films that are segmented here, but label masks were given: leave one of the two out")
    known, seconds = known_sizes(opened, masks)
    job = _Job(opened, masks, (), interval if interval is not None else seconds)
    if truth is not None:
        _check_truth(truth, job.given)
    solver_named(settings.solver)
    return replace(job, scale=checked_scale(scale if scale is not None else known, len(job.given.shape) - 1))


def _found(job: _Job, settings: Settings, folder: Path, progress: Progress[Any]) -> _Found:
    """The lineages and the label film that they speak of, by whichever way the settings ask for."""
    how: dict[str, Any] = {"interval": job.interval, "progress": progress}
    film = None if job.film is None else denoised(job.film, settings.denoise, folder)
    masks = job.masks
    if masks is None:
        assert film is not None
        if (guess := guess_wanted(settings, film.shape)) is not None:
            return _Found(*linked_hypotheses(film, settings, scale=job.scale, folder=folder, guess=guess, **how), None)
        masks = segmented_to_disk(film, settings.segment, job.scale, folder, progress)
    return _Found(link(masks, film, job.scale, settings, **how), masks, job.masks)


def _found_in_pieces(  # noqa: PLR0913 - all but five by keyword only
    job: _Job,
    settings: Settings,
    folder: Path,
    pieces: Path,
    resources: Resources,
    *,
    tell: Callable[[str], None],
    progress: Progress[Any],
) -> _Found:
    """The same, piece by piece; masks that are made become one of the results."""
    how: dict[str, Any] = {"scale": job.scale, "interval": job.interval, "tell": tell, "progress": progress}
    done = in_pieces(job.film, job.masks, settings, pieces, resources, **how)
    masks = job.masks or open_film(hand_over(pieces / LABELS, folder), kind="labels")
    return _Found(done.forest, done.labels, masks, done.inputs, done.seconds)


def _check_truth(truth: str | Path, film: OpenedFilm) -> None:
    """Find out before the work, not after it, that the truth is of another film."""
    side = side_of(truth)
    opened = side[1] if isinstance(side, tuple) else ctc.open_folder(side).labels
    if opened is None:
        raise ValueError(
            f"{truth} has no masks, but the film is scored by masks: give a folder such as 01_GT, or score with lineage evaluate"
        )
    there, here = (len(opened), *np.shape(opened[0])), film.shape
    if there != here:
        raise ValueError(f"{truth} is the truth of another film: it has shape {there}, the film has {here}")


def _zarr(film: OpenedFilm | None) -> Path | None:
    """Where a film lies that other readers of GEFF can open from there."""
    return film.path if film is not None and film.path is not None and is_zarr(film.path) else None


def fits_ctc(forest: Forest) -> bool:
    """Whether the masks of the Cell Tracking Challenge can hold all tracklets; huge films are left without them."""
    return int(forest.tracklet_id.max(initial=0)) <= ctc.MOST_TRACKLETS


def _write_results(found: _Found, film: OpenedFilm, folder: Path, *, gaps: ctc.Gaps, progress: Progress[Any]) -> None:
    forest, labels = found.forest, found.labels
    write_lineages(forest, folder, masks=found.masks, image=film)
    if fits_ctc(forest):
        ctc.write(forest, folder / "ctc", labels=labels, gaps=gaps, progress=progress)
    write_overview(forest, film, labels, folder)


def write_lineages(forest: Forest, folder: Path, *, masks: OpenedFilm | None = None, image: OpenedFilm | None = None) -> None:
    """The tables and graphs of a result; of masks and images, GEFF names those that other readers can open."""
    write(forest, folder / "lineages.csv")
    write(forest, folder / "lineages.gexf")
    geff.write(forest, folder / "lineages.geff", labels_path=_zarr(masks), image_path=_zarr(image))


def write_overview(forest: Forest, film: OpenedFilm, labels: OpenedFilm | None, folder: Path) -> None:
    """The page with frames and trees."""
    from lineage.plot import overview

    overview(forest, shadow(film), None if is_large(film.shape[1:]) else labels, folder / "overview.png")
