"""Simulated films of any size, written to disk frame by frame."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from lineage.arrays import Array, BoolArray, FloatArray, Progress, silent
from lineage.detections import Detections
from lineage.films import open_film
from lineage.films.atomic import new_folder
from lineage.films.zarr_writing import create_image_zarr, create_labels_zarr, write_frame
from lineage.forest import Forest
from lineage.formats import geff
from lineage.measure import compact

from .film import relabelled
from .kinship import kinship
from .scenario import Simulation, changed
from .shot import Cast, shoot
from .tissue import Tissue, grow

LABELS, TRUTH = Path("labels", "truth"), "truth.geff"  # inside the film
AHEAD = 2  # frames under way for every worker


@dataclass(frozen=True, eq=False)
class Seen:
    """What is kept of a frame once it is written: its cast, and of every mask (k rows) place, size, and whether the frame cuts it.

    Attributes:
        cast: Who is there.
        position: Centre of the mask; float (k, d), physical units.
        area: Its size; float (k,), physical units.
        touches_border: Whether it is cut by the border of the field; bool (k,).
    """

    cast: Cast
    position: FloatArray
    area: FloatArray
    touches_border: BoolArray


def simulate_to(
    path: str | Path,
    settings: Simulation | None = None,
    /,
    *,
    workers: int = 1,
    progress: Progress[int] = silent,
    **overrides: Any,  # noqa: ANN401 - any setting
) -> Forest:
    """Make a film like ``simulate``, of any length, straight into an OME-Zarr: image, masks and true lineages.

    The image is the OME-Zarr itself, the masks are its labels ``truth``, and the lineages lie inside as ``truth.geff``:
    ``lineage.read(path / "truth.geff")``. One frame is in memory at a time, one for each worker; only the columns of the true lineages,
    about 200 bytes a cell and frame, stay there until the end.

    Args:
        path: The folder, usually ``*.zarr``; it appears when it is complete.
        settings: What the film shows; defaults when not given.
        workers: Processes that draw frames.
        progress: Wraps the loops over frames.
        overrides: Single settings by name, as for ``simulate``.

    Returns:
        The lineages, with a column ``area`` and one ``touches_border``. Pixels, labels and lineages are those of ``simulate``, whatever
        the number of workers.

    Raises:
        ValueError: A setting is out of range; the message names it.
        TypeError: There is no such setting.
        FileExistsError: There is something of that name.
        OSError: The film cannot be written, or a worker was killed.
    """
    settings, path = changed(settings, overrides), Path(path)
    if workers < 1:
        raise ValueError(f"workers must be 1 or more, not {workers}")
    if path.exists():
        raise FileExistsError(f"cannot write {path}: it is there already; remove it or choose another name")
    shape = (settings.frames, *settings.size)
    with new_folder(path, lambda _: False) as place:
        place.rmdir()  # the film is begun as a folder that appears whole
        create_image_zarr(place, shape, settings.pixel)
        create_labels_zarr(place / LABELS, shape, settings.pixel)
        jobs = ((place, cells, settings, t) for t, cells in enumerate(grow(settings)))
        with closing(_in_order(_filmed, jobs, workers)) as results:  # nobody writes any more when the folder is taken away
            frames = [seen for _, seen in zip(progress(range(settings.frames), "filming"), results, strict=True)]
        truth = _labelled(place, frames, settings, progress)
        geff.write(truth, place / TRUTH, labels_path=place / LABELS, image_path=place)
    return truth


def _filmed(place: Path, cells: Tissue, settings: Simulation, t: int) -> Seen:
    """Draw a frame and write it; its masks are numbered by the rows of its cast until all lineages are known."""
    shot = shoot(cells, settings, t)
    write_frame(place, t, shot.image)
    write_frame(place / LABELS, t, shot.mask)
    return _seen(shot.mask, shot.cast, settings)


def _seen(mask: Array, cast: Cast, settings: Simulation) -> Seen:
    shown, pixels, owner = compact(mask)
    count = np.bincount(owner, minlength=len(shown)).astype(float)
    where = np.unravel_index(pixels, mask.shape)
    centre = np.stack([np.bincount(owner, w, len(shown)) for w in where], axis=1) / count[:, None]
    edges = [np.unique(mask.take([0, -1], axis)) for axis in range(mask.ndim)]
    scale = np.array(settings.pixel)
    return Seen(cast, centre * scale, count * float(np.prod(scale)), np.isin(shown, np.concatenate(edges)))


def _labelled(place: Path, frames: list[Seen], settings: Simulation, progress: Progress[int]) -> Forest:
    """Give the masks on disk their labels, which take the whole film to know; the true lineages."""
    kin = kinship([seen.cast for seen in frames])
    label = kin.labels(settings)
    masks = open_film(place / LABELS, kind="labels")
    here = kin.by_frame(label)
    for t in progress(range(len(frames)), "labelling"):
        write_frame(place / LABELS, t, relabelled(masks[t], frames[t].cast, here[t], masks.dtype))
    order = np.lexsort((label, kin.frame))
    position = np.concatenate([seen.position for seen in frames])[order]
    columns = {name: np.concatenate([getattr(seen, name) for seen in frames])[order] for name in ("area", "touches_border")}
    cells = Detections(kin.frame[order], position, label[order], columns, settings.pixel, n_frames=settings.frames)
    return kin.take(order).forest(cells).with_record(simulation=asdict(settings))


def _in_order(work: Callable[..., Seen], jobs: Iterable[tuple[Any, ...]], workers: int) -> Generator[Seen]:
    """The results of jobs, in their order; no more jobs are taken than are under way."""
    if workers == 1:
        yield from (work(*job) for job in jobs)
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_let_the_parent_be_interrupted)
    try:
        under_way: deque[Future[Seen]] = deque()
        for job in jobs:
            under_way.append(pool.submit(work, *job))
            if len(under_way) >= AHEAD * workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    except BrokenProcessPool as error:
        raise ChildProcessError(
            "a process that draws frames was ended from outside, perhaps for want of memory: take fewer workers"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _let_the_parent_be_interrupted() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
