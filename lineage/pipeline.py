"""The whole way: film to label film to lineages to files. The one module that knows all three packages."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import Array, Film, Progress, silent
from .detections import checked_scale
from .evaluation import evaluate
from .films import OpenedFilm, known_sizes, open_film, save_labels
from .films.atomic import new_folder
from .films.ome_zarr import is_zarr
from .forest import Forest
from .formats import ctc, geff, write
from .linking import link
from .measure import compact
from .provenance import provenance, write_json
from .report import report
from .settings import Settings
from .simulation import Simulation, simulate
from .solvers import solver_named

Segment = Callable[[Array], Array]

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


def segmenter(name: str, *, n_axes: int = 2, scale: Sequence[float] = ()) -> Segment:
    """A function image -> labels: ``classical``, shipped weights (``nuclei-2d``), a weights file, or ``auto``.

    Args:
        name: Which of them.
        n_axes: Spatial axes of the film; ``auto`` takes ``nuclei-2d`` for 2 and ``classical`` for 3.
        scale: Size of a pixel along each axis, for the classical method on anisotropic stacks.

    Raises:
        ValueError: No such weights, or 2D weights for a 3D film.
    """
    import segmentation

    name = {2: "nuclei-2d", 3: "classical"}[n_axes] if name == "auto" else name
    if name == "classical":
        relative = tuple(size / min(scale) for size in scale) or None
        return lambda image: segmentation.classical(image, scale=relative)
    if n_axes != 2:
        raise ValueError(f"{name} segments 2D frames, but the film is 3D: take 'classical' or give label masks")
    model: Any = segmentation.load(name)  # type: ignore[operator]
    return model.predict


def segment(film: Any, method: str = "auto", *, progress: Progress[int] = silent) -> list[Array]:  # noqa: ANN401 - path or array
    """Segment a film frame by frame.

    Args:
        film: Path or array, (T, [Z,] Y, X).
        method: See ``segmenter``.
        progress: Wraps the loop over frames.

    Returns:
        One label image a frame, uint16 where its labels fit.

    Raises:
        ValueError: The film cannot be read, or holds NaN; the message names the frame.
    """
    opened = open_film(film)
    return list(_segmented(opened, segmenter(method, n_axes=len(opened.shape) - 1, scale=opened.scale), progress))


def segment_to_file(film: str | Path, out: str | Path, method: str = "auto", *, progress: Progress[int] = silent) -> int:
    """Segment a film on disk into a TIFF stack of label masks; memory does not grow with its length.

    Args:
        film: The images.
        out: The TIFF; it appears when it is complete.
        method: See ``segmenter``.
        progress: Wraps the loops over frames.

    Returns:
        How many cells were found, over all frames.

    Raises:
        ValueError: The film cannot be read, or holds NaN; the message names the frame.
    """
    opened = open_film(film)
    if not _folder_of(out).is_dir():
        raise FileNotFoundError(f"cannot write {out}: the folder {_folder_of(out)} does not exist")
    with tempfile.TemporaryDirectory(prefix=".labels", dir=_folder_of(out)) as place:
        masks = _segment_to_disk(opened, Settings(segment=method), opened.scale, Path(place), progress)
        save_labels(out, masks, scale=opened.scale, interval=opened.interval, progress=progress)
        return sum(len(compact(masks[t])[0]) for t in range(len(masks)))


def track(film: Any, settings: Settings = Settings(), *, progress: Progress[int] = silent) -> Forest:  # noqa: ANN401, B008
    """Find the lineages of a film: segment it, then link (see ``lineage.link``).

    Args:
        film: Path or array, (T, [Z,] Y, X).
        settings: ``settings.segment`` says how to segment.
        progress: Wraps the loops over frames.
    """
    opened = open_film(film)
    masks = segment(opened, settings.segment, progress=progress)
    return link(masks, opened, opened.scale, settings, interval=opened.interval, progress=progress)


def run(  # noqa: PLR0913 - all but two by keyword only
    film: str | Path | None,
    out: str | Path,
    *,
    labels: str | Path | None = None,
    truth: str | Path | None = None,
    scale: Sequence[float] | None = None,
    interval: float | None = None,
    settings: Settings = Settings(),  # noqa: B008 - frozen
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
    if truth is not None:
        _check_truth(truth, given)
    solver_named(settings.solver)  # what cannot work is said before the work begins
    known, seconds = known_sizes(opened, masks)
    sizes = checked_scale(scale if scale is not None else known, len(given.shape) - 1)
    seconds = interval if interval is not None else seconds
    _folder_of(out).mkdir(parents=True, exist_ok=True)
    with new_folder(out, OUTPUTS.__contains__) as folder:
        label_film = masks if masks is not None else _segment_to_disk(given, settings, sizes, folder, progress)
        forest = link(label_film, opened, sizes, settings, interval=seconds, progress=progress)
        scores = None if truth is None else evaluate((forest, label_film), truth, progress=progress)
        _write_results(forest, label_film, given, masks, folder, progress)
        facts = {"command": command, "seconds": time.perf_counter() - began, "scale": sizes, "interval": seconds}
        inputs = {"film": film, "labels": labels, "truth": truth}
        record = provenance(forest, settings, inputs, **facts)
        write_json(record, folder / "run.json")
        report(forest, opened, label_film, folder / "report.html", scores=scores, record=record, progress=progress)
        if scores is not None:
            write_json(scores, folder / "metrics.json")
        (folder / "labels.npy").unlink(missing_ok=True)
    return Run(forest, scores, Path(out))


def demo(out: str | Path, *, settings: Settings = Settings(), seed: int = 0, progress: Progress[Any] = silent) -> Run:  # noqa: B008
    """Simulate a film, track it, and score the result against the truth; all files go into one folder.

    Beside the results of ``run`` there are ``film.tif`` and ``truth/``, the film and its lineages as simulated.
    """
    simulated = simulate(Simulation(frames=40, cells=16, size=(360, 360), seed=seed, miss_rate=0.0))
    _folder_of(out).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        save_simulated(simulated.image, simulated.labels, simulated.truth, Path(place) / "simulated")
        there = Path(place) / "simulated"
        done = run(there / "film.tif", out, truth=there / "truth", settings=settings, command="lineage demo", progress=progress)
        for name in ("film.tif", "truth"):
            _bring(there / name, Path(out) / name)
    return done


def save_simulated(image: Array, labels: Array, truth: Forest, folder: str | Path, *, progress: Progress[Any] = silent) -> None:
    """Write a simulated film: ``film.tif`` and ``truth/`` (masks and table of the Cell Tracking Challenge), into one folder."""
    with new_folder(folder, OUTPUTS.__contains__) as place:
        _write_tiff(image, place / "film.tif", truth.detections.scale)
        ctc.write(truth, place / "truth", labels=labels, progress=progress)


def _write_tiff(image: Array, path: Path, scale: Sequence[float]) -> None:
    import tifffile

    axes = "TZYX" if image.ndim == 4 else "TYX"
    meta = {"axes": axes, "scale": [float(size) for size in scale]}
    tifffile.imwrite(path, image, compression="zlib", photometric="minisblack", metadata=meta)


def _folder_of(path: str | Path) -> Path:
    return Path(path).absolute().parent


def _bring(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.move(source, target)


def _segmented(film: OpenedFilm, how: Segment, progress: Progress[int]) -> Any:  # noqa: ANN401 - an iterator of arrays
    for t in progress(range(len(film)), "segmenting"):
        try:
            labels = how(film[t])
        except ValueError as error:
            raise ValueError(f"frame {t}: {error}") from error
        yield labels.astype(np.uint16) if labels.max(initial=0) <= np.iinfo(np.uint16).max else labels


def _segment_to_disk(film: OpenedFilm, settings: Settings, scale: Sequence[float], folder: Path, progress: Progress[int]) -> OpenedFilm:
    """The label film of a film, kept on disk while the run lasts so that memory does not grow with its length."""
    how = segmenter(settings.segment, n_axes=len(film.shape) - 1, scale=scale)
    store = np.lib.format.open_memmap(folder / "labels.npy", "w+", np.uint32, film.shape)
    for t, labels in enumerate(_segmented(film, how, progress)):
        store[t] = labels
    store.flush()
    return open_film(folder / "labels.npy", kind="labels")


def _check_truth(truth: str | Path, film: OpenedFilm) -> None:
    """Find out before the work, not after it, that the truth is of another film."""
    opened = ctc.open_folder(truth).labels
    there, here = (len(opened), *np.shape(opened[0])), film.shape
    if there != here:
        raise ValueError(f"{truth} is the truth of another film: it has shape {there}, the film has {here}")


def _zarr(film: OpenedFilm | None) -> Path | None:
    """Where a film lies that other readers of GEFF can open from there."""
    return film.path if film is not None and film.path is not None and is_zarr(film.path) else None


def _write_results(forest: Forest, labels: Film, film: OpenedFilm, masks: OpenedFilm | None, folder: Path, progress: Progress[Any]) -> None:
    from .plot import overview

    write(forest, folder / "lineages.csv")
    write(forest, folder / "lineages.gexf")
    geff.write(forest, folder / "lineages.geff", labels_path=_zarr(masks), image_path=_zarr(film))
    ctc.write(forest, folder / "ctc", labels=labels, progress=progress)
    overview(forest, film, labels, folder / "overview.png")
