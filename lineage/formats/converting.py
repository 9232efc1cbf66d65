"""From one format to another, saying before it writes what the other one cannot hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from lineage.arrays import Film, IntArray, Progress, silent
from lineage.films import OpenedFilm, known_sizes, open_film
from lineage.films.ome_zarr import is_zarr
from lineage.forest import Forest
from lineage.measure import label_image

from .ctc import Gaps, open_folder
from .filling import filled
from .graphs import CUT
from .holding import Loss, losses, named_away
from .known import Format, to_read, to_write
from .shared_masks import said, seconds

Merges = Literal["refuse", "keep-nearest"]


@dataclass(frozen=True, eq=False)
class Conversion:
    """Lineages that were read and are to be written, and what that costs.

    Attributes:
        source, target: Files or folders.
        read_as, write_as: Their formats.
        forest: The lineages, as they will be written.
        labels: The label images that go with them, where the target makes use of them; else None.
        losses: What the target cannot hold.
        gaps: Whether missed cells are put in, and masks of two cells cut.
    """

    source: Path
    target: Path
    read_as: Format
    write_as: Format
    forest: Forest
    labels: OpenedFilm | None
    losses: list[Loss]
    gaps: Gaps = "split"

    def write(self, *, overwrite: bool = False, progress: Progress[Any] = silent) -> None:
        """Write the target; it appears when it is complete.

        Args:
            overwrite: Replace an older file or folder of that name.
            progress: Wraps loops over frames.

        Raises:
            FileExistsError: There is one, and it is not to be replaced.
            ValueError: The lineages do not fit the format or the masks.
        """
        if self.target.exists() and not overwrite and not (self.target.is_dir() and not any(self.target.iterdir())):
            raise FileExistsError(f"{self.target} exists already: choose another name, or overwrite it (--overwrite)")
        beside = self.labels.path if self.labels is not None and self.labels.path is not None and is_zarr(self.labels.path) else None
        options: dict[str, Any] = {"labels": self.labels, "labels_path": beside, "gaps": self.gaps, "overwrite": overwrite}
        self.write_as.save(self.forest, self.target, **options, progress=progress)


def prepare(  # noqa: PLR0913 - all but two by keyword only
    source: str | Path,
    target: str | Path,
    *,
    labels: Any = None,  # noqa: ANN401 - a path or a film
    read_as: str = "",
    write_as: str = "",
    gaps: Gaps = "split",
    merges: Merges = "refuse",
    progress: Progress[Any] = silent,
) -> Conversion:
    """Read lineages that are to be converted, and find out what will be lost; nothing is written.

    Args:
        source: File or folder, never altered.
        target: File or folder; its ending says the format.
        labels: Label film of the cells, or its path, for formats with masks; that of the source, where it has one, when not given.
        read_as: Key of the format of the source, such as ``csv``; found out when not given.
        write_as: Key of the format of the target; chosen by its ending when not given.
        gaps: ``fill`` puts a cell into every missed frame; ``split`` leaves the lineages as they are.
        merges: What to do with a cell that has two parents: ``refuse`` the file, or ``keep-nearest`` parent.
        progress: Wraps loops over frames.

    Raises:
        FileNotFoundError: No such source.
        ValueError: Formats that are not known, a source that cannot be read, a target that is the source.
    """
    source, raw, target = Path(source), str(target), Path(target)
    chosen, written = to_read(source, read_as), to_write(raw, write_as)
    if gaps not in get_args(Gaps) or merges not in get_args(Merges):
        raise ValueError(f"gaps are split or filled (fill), merges refused (refuse) or cut (keep-nearest), not {gaps} and {merges}")
    _check_apart(source, target, None if labels is None or not isinstance(labels, str | Path) else Path(labels))
    forest = chosen.load(source, merges=merges, progress=progress)
    own = open_folder(source).labels if chosen.masks and labels is None else None
    film = own if labels is None else open_film(labels, kind="labels")
    found = _cut(forest, merges) + _lost(forest, written, film, measured=own is not None)
    if written.masks and (what := said(forest, cut=gaps == "fill")):
        found.append(Loss("masks", what))
    if film is not None and written.draws and own is None:
        forest = _sized(_labelled(forest, film, progress), film)
    forest = filled(forest) if gaps == "fill" else forest
    return Conversion(source, target, chosen, written, forest, film if written.draws else None, found, gaps)


def convert(
    source: str | Path,
    target: str | Path,
    *,
    strict: bool = False,
    overwrite: bool = False,
    progress: Progress[Any] = silent,
    **options: Any,  # noqa: ANN401 - those of prepare
) -> Conversion:
    """Convert lineages from one format to another.

    Args:
        source: File or folder, never altered.
        target: File or folder; it appears when it is complete.
        strict: Refuse when the target cannot hold all that the source has.
        overwrite: Replace an older file or folder of that name.
        progress: Wraps loops over frames.
        **options: See ``prepare``.

    Returns:
        What was done, with the ``losses``.

    Raises:
        FileExistsError: There is an older one, and it is not to be replaced.
        ValueError: As from ``prepare``; or something would be lost, and ``strict`` is set.
    """
    conversion = prepare(source, target, progress=progress, **options)
    if strict and conversion.losses:
        raise ValueError(refusal(conversion))
    conversion.write(overwrite=overwrite, progress=progress)
    return conversion


def refusal(conversion: Conversion) -> str:
    """Why a strict conversion is refused, in one line."""
    lost = ", ".join(loss.facet for loss in conversion.losses)
    return f"{conversion.target} was not written: its format ({conversion.write_as.name}) cannot hold all of {conversion.source} ({lost})"


def _cut(forest: Forest, merges: Merges) -> list[Loss]:
    """What was lost while reading, because a cell can have one parent only."""
    number = forest.record.get(CUT, 0) if merges == "keep-nearest" else 0
    links = "link of a cell" if number == 1 else "links of cells"
    return [Loss("merges", f"{number} {links} with two parents; the nearest parent is kept")] if number else []


def _check_apart(source: Path, target: Path, labels: Path | None) -> None:
    """Writing never touches what is read."""
    there = target.resolve()
    for given in (source, labels):
        if given is None or not given.exists():
            continue
        here = given.resolve()
        if here == there or there in here.parents or (target.exists() and target.samefile(given)):
            raise ValueError(f"{target} is, or holds, what is read ({given}): give the result another name")


def _lost(forest: Forest, written: Format, film: Film | None, *, measured: bool) -> list[Loss]:
    """What the target cannot hold; cells that are measured from masks are measured again when the masks are read."""
    holds = set(written.holds)
    if written.masks and film is not None:
        holds |= {"positions", "columns"} if measured else set()
    if written.masks and np.array_equal(forest.detections.label, forest.tracklet_id):
        holds.add("labels")
    instead = dict(written.instead)
    if written.masks and film is not None:
        instead["positions"] = "they are measured from the masks again"
    found = losses(forest, holds, masks=film is not None, instead=instead)
    known = {loss.facet for loss in found}
    more = (written.look(forest) if written.look else []) + named_away(forest, written.keeps, holds)
    return found + [loss for loss in more if loss.facet not in known]


def _sized(forest: Forest, film: OpenedFilm) -> Forest:
    """The forest with the interval that the masks know, where it knows none itself."""
    _, interval = known_sizes(film)
    if forest.detections.interval is not None or interval is None:
        return forest
    return replace(forest, detections=replace(forest.detections, interval=interval))


def _labelled(forest: Forest, film: OpenedFilm, progress: Progress[Any]) -> Forest:
    """The forest with the label of every cell in a film: its own, or that of the pixel where it lies.

    Raises:
        ValueError: A cell lies outside the picture or on the background, two cells on one label.
    """
    cells = forest.detections
    nameless = np.flatnonzero((cells.label == 0) & forest.selected)
    if not len(nameless):
        return forest
    if len(film) < cells.n_frames or len(film.shape) - 1 != cells.n_axes:
        raise ValueError(f"the label film has shape {film.shape}, but the lineages have {cells.n_frames} frames and {cells.n_axes} axes")
    label = cells.label.copy()
    place = np.rint(cells.position / np.array(cells.scale)).astype(np.int64)
    for t in progress(np.unique(cells.frame[nameless]).tolist(), "finding labels"):
        rows = nameless[cells.frame[nameless] == t]
        label[rows] = _labels_at(label_image(film[t], t), place[rows], rows, t)
    single = forest.selected & ~seconds(forest)
    key = cells.frame[single] * (int(label.max(initial=0)) + 1) + label[single]
    values, counts = np.unique(key, return_counts=True)
    if (counts > 1).any():
        t, value = divmod(int(values[counts > 1][0]), int(label.max(initial=0)) + 1)
        raise ValueError(f"two cells of frame {t} lie on the label {value} of the masks: these masks do not belong to these lineages")
    return replace(forest, detections=replace(cells, label=label))


def _labels_at(frame: Any, place: IntArray, rows: IntArray, t: int) -> IntArray:  # noqa: ANN401 - an integer array of any type
    outside = np.flatnonzero(((place < 0) | (place >= frame.shape)).any(1))
    if outside.size:
        k = outside[0]
        raise ValueError(f"row {rows[k]} (frame {t}) lies at pixel {place[k].tolist()}, outside the masks, which have shape {frame.shape}")
    found = frame[tuple(place.T)].astype(np.int64)
    empty = np.flatnonzero(found == 0)
    if empty.size:
        k = empty[0]
        raise ValueError(f"row {rows[k]} (frame {t}) lies at pixel {place[k].tolist()} on the background of the masks: it has no label")
    return found
