"""Cell Tracking Challenge folders: one mask a frame and a text table with one row a tracklet.

In the table, L is the label of a tracklet in the masks, B and E its first and last frame, P the label of its parent or 0. A tracklet
never skips a frame: after a gap, a new one begins whose parent is the old one. One child is a continuation, two are a division.
The size of a pixel and the time between frames stand in the description of every mask that we write, as tifffile keeps them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from lineage.arrays import Array, BoolArray, Film, IntArray, Progress, frame_shape, is_large, silent
from lineage.detections import Detections
from lineage.films import OpenedFilm, open_film
from lineage.films.atomic import new_folder
from lineage.forest import Forest
from lineage.measure import label_image

from .ctc_draw import painter
from .ctc_table import TABLES, check_rows, find_table, parse_table
from .filling import filled, is_filled, stamp
from .renumbering import Planes, relabelled, relabelled_planes
from .shared_masks import halved, one_a_mask, seconds

HOLDS = frozenset({"divisions", "gaps", "isolated", "scale", "interval", "length", "masks"})
INSTEAD = {
    "positions": "small discs are drawn, on whole pixels",
    "labels": "the masks are numbered by tracklet",
}
MOST_TRACKLETS = 65535
OURS = re.compile(r"mask\d+\.tif|res_track\.txt")

Gaps = Literal["split", "fill"]


@dataclass(frozen=True, eq=False)
class CtcFolder:
    """A Cell Tracking Challenge folder, opened.

    Attributes:
        path: The folder with the masks.
        table: Columns L B E P, one row a tracklet; int (k, 4).
        labels: Label film, (T, [Z,] Y, X); its values are the L of the table.
    """

    path: Path
    table: IntArray
    labels: OpenedFilm


def recognises(path: Path) -> bool:
    """Whether a path is such a folder, or the text table of one."""
    try:
        inside = path / "TRA" if find_table(path) is None else path
        return path.is_file() if path.name in TABLES else find_table(inside) is not None
    except OSError:
        return False


def masks_folder(path: str | Path) -> Path:
    """The folder that holds the masks: TRA inside ``01_GT``, the folder of a named text table, else ``path`` itself.

    Raises:
        FileNotFoundError: No such path.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no such folder: {path}")
    if path.name in TABLES:
        return path.parent
    return path / "TRA" if find_table(path) is None and (path / "TRA").is_dir() else path


def open_folder(path: str | Path) -> CtcFolder:
    """Open a folder such as ``01_RES``, ``01_GT`` or ``01_GT/TRA``; the masks are read when asked for.

    Raises:
        FileNotFoundError: No folder, no text table, no mask, or a missing one.
        ValueError: A row of the table is wrong; the message names its line.
    """
    folder = masks_folder(path)
    text = find_table(folder)
    if text is None:
        raise FileNotFoundError(f"{folder} holds neither {' nor '.join(TABLES)}: it is no Cell Tracking Challenge folder")
    table, line, wrong = parse_table(text)
    for violation in wrong + check_rows(text, table, line):
        raise ValueError(f"{text}, line {violation.row}: {violation.message}")
    labels = open_film(folder, kind="labels")
    beyond = np.flatnonzero(table[:, 2] >= len(labels))
    if beyond.size:
        k = beyond[0]
        raise ValueError(f"{text}, line {line[k]}: label {table[k, 0]} ends in frame {table[k, 2]}, but there are {len(labels)} masks")
    return CtcFolder(folder, table, labels)


def read(path: str | Path, *, scale: tuple[float, ...] | None = None, progress: Progress[int] = silent) -> Forest:
    """The lineages of a folder; the cells are measured from the masks.

    Args:
        path: ``01_RES``, ``01_GT`` or ``01_GT/TRA``.
        scale: Size of a pixel along ([z,] y, x), physical units; what the masks say, or ones, when not given.
        progress: Wraps the loop over frames.

    Raises:
        ValueError: Masks and table disagree; the message names the first label and frame.
    """
    folder = open_folder(path)
    film = folder.labels
    cells = Detections.from_labels(film, scale=scale or film.scale, interval=film.interval, progress=progress)
    _check_agreement(folder, cells)
    return Forest(cells, _parents(folder.table, cells))


def _check_agreement(folder: CtcFolder, cells: Detections) -> None:
    """Each tracklet is seen in every frame of its life, and nothing else is seen; work and memory are those of the cells that are seen."""
    table = folder.table[np.argsort(folder.table[:, 0])]
    label, begin, end, _ = table.T
    top = int(cells.label.max(initial=0))
    if top > MOST_TRACKLETS:
        raise ValueError(f"{folder.path} holds the label {top}, but labels are 16 bits: at most {MOST_TRACKLETS}")
    place = np.searchsorted(label, cells.label)
    row = np.minimum(place, max(len(label) - 1, 0))
    due = (label[row] == cells.label) & (begin[row] <= cells.frame) & (cells.frame <= end[row]) if len(label) else cells.label < 0
    seen = np.bincount(row[due], minlength=len(label)) if len(label) else np.zeros(0, np.int64)
    missing = int((end - begin + 1 - seen).sum())
    if missing:
        order = np.flatnonzero(due)[np.argsort(row[due], kind="stable")]  # by tracklet, then frame
        steady = cells.frame[order] == (begin - np.cumsum(seen) + seen)[row[order]] + np.arange(len(order))
        run = np.bincount(row[order], _unbroken(steady, seen), len(label))
        short = np.flatnonzero(seen < end - begin + 1)
        first = begin[short] + run[short].astype(np.int64)
        k = int(np.lexsort((label[short], first))[0])
        _disagree(folder.path, int(label[short][k]), "is in the table but not in the mask", int(first[k]), missing)
    extra = np.flatnonzero(~due)
    if extra.size:
        k = int(extra[0])
        _disagree(folder.path, int(cells.label[k]), "is in the mask but not in the table", int(cells.frame[k]), len(extra))


def _unbroken(steady: BoolArray, seen: IntArray) -> BoolArray:
    """Of rows side by side, ``seen`` of each tracklet: those before the first one of their tracklet that is not steady."""
    broken = np.cumsum(~steady)
    before = np.repeat(np.append(0, broken)[np.cumsum(seen) - seen], seen)
    return broken == before


def _disagree(folder: Path, label: int, say: str, frame: int, cases: int) -> None:
    more = f" ({cases} such cases; validate lists all)" if cases > 1 else ""
    raise ValueError(f"{folder}: label {label} {say} of frame {frame}{more}")


def _parents(table: IntArray, cells: Detections) -> IntArray:
    """Parent row of each detection: the one before in its tracklet, or the last one of the parent tracklet."""
    parent = np.full(len(cells), -1)
    order = np.lexsort((cells.frame, cells.label))
    label = cells.label[order]
    same = np.flatnonzero(np.diff(label) == 0)
    parent[order[same + 1]] = order[same]
    child = table[table[:, 3] > 0]
    first = order[np.searchsorted(label, child[:, 0])]
    last = order[np.searchsorted(label, child[:, 3], side="right") - 1]
    parent[first] = last
    return parent


def tracklet_table(forest: Forest) -> IntArray:
    """The rows L B E P of a forest, L rising from 1; int (k, 4)."""
    number, frame = forest.tracklet_id, forest.detections.frame
    count = int(number.max(initial=0))
    ends, begins = np.zeros(count + 1, np.int64), np.zeros(count + 1, np.int64)
    ends[number] = frame  # rows are sorted by frame: the last one written is the last one
    begins[number[::-1]] = frame[::-1]
    parent = np.zeros(count + 1, np.int64)
    parent[number] = forest.parent_tracklet_id
    return np.column_stack([np.arange(1, count + 1), begins[1:], ends[1:], parent[1:]])


def write(
    forest: Forest,
    path: str | Path,
    *,
    labels: Film | None = None,
    gaps: Gaps = "split",
    overwrite: bool = False,
    progress: Progress[int] = silent,
) -> None:
    """Write ``maskNNN.tif`` and ``res_track.txt``; tracklets end at divisions and gaps, what is not selected vanishes.

    Args:
        forest: Lineages; at most 65535 tracklets.
        path: The folder. An older result there is replaced as a whole.
        labels: The label film that the detections were measured from; it is only read. Without it, small discs (balls) are drawn.
        gaps: ``split`` begins a new tracklet after missed frames; ``fill`` puts the cell there (see ``filled``). Of two cells in one
            mask, ``split`` leaves the mask to the first and a gap to the other, ``fill`` cuts it in two (see ``halved``).
        overwrite: Write into a folder that holds other files too; they are kept.
        progress: Wraps the loop over frames.

    Raises:
        ValueError: Too many tracklets, or a label film that does not fit the forest.
        FileExistsError: The folder holds other files.
    """
    if gaps not in get_args(Gaps):
        raise ValueError(f"gaps must be {' or '.join(get_args(Gaps))}, not {gaps}")
    forest = filled(forest) if gaps == "fill" else one_a_mask(forest)
    table = tracklet_table(forest)
    if len(table) > MOST_TRACKLETS:
        raise ValueError(f"{len(table)} tracklets do not fit 16-bit masks: the Cell Tracking Challenge format holds {MOST_TRACKLETS}")
    n_frames, frame_of = painter(forest.detections, forest.tracklet_id) if labels is None else _relabelled(forest, labels)
    digits = max(3, len(str(n_frames)))
    with new_folder(path, lambda name: bool(OURS.fullmatch(name)), overwrite=overwrite) as folder:
        for t in progress(range(n_frames), "writing masks"):
            _write_mask(folder / f"mask{t:0{digits}d}.tif", frame_of(t), forest.detections)
        text = "".join(f"{a} {b} {e} {p}\n" for a, b, e, p in table.tolist())
        (folder / "res_track.txt").write_text(text, encoding="ascii", newline="\n")


def _write_mask(path: Path, frame: Array | Planes, cells: Detections) -> None:
    import tifffile

    meta: dict[str, Any] = {"axes": "ZYX" if len(frame.shape) == 3 else "YX"}
    if set(cells.scale) != {1.0}:
        meta["scale"] = list(cells.scale)
    if cells.interval is not None:
        meta["interval"] = float(cells.interval)
    if isinstance(frame, Planes):
        size = {"shape": frame.shape, "dtype": np.uint16, "bigtiff": 2 * math.prod(frame.shape) > 2**32}
        tifffile.imwrite(path, frame.planes, photometric="minisblack", compression="zlib", metadata=meta, **size)
    else:
        tifffile.imwrite(path, frame, photometric="minisblack", compression="zlib", metadata=meta)


def _relabelled(forest: Forest, labels: Film) -> tuple[int, Callable[[int], Array | Planes]]:
    cells = forest.detections
    if len(labels) < cells.n_frames:
        raise ValueError(f"the label film has {len(labels)} frames, but the forest has {cells.n_frames}")
    fresh, second = is_filled(forest), seconds(forest)
    first, added = forest.selected & ~fresh & ~second, forest.selected & fresh
    nameless = np.flatnonzero(first & (cells.label < 1))
    if nameless.size:
        raise ValueError(f"row {nameless[0]} (frame {cells.frame[nameless[0]]}) has no label: write without labels, discs are drawn")

    def relabel(t: int) -> Array | Planes:
        some = cells.at(t)
        here, new, beside = (np.flatnonzero(kind[some]) + some.start for kind in (first, added, second))
        shape = frame_shape(labels)
        if len(shape) == 3 and is_large(shape) and not len(new) and not len(beside):
            return Planes(shape, relabelled_planes(labels, t, cells.label[here], forest.tracklet_id[here]))
        image = label_image(labels[t], t)
        frame = relabelled(image, cells.label[here], forest.tracklet_id[here], frame=t)
        halved(frame, forest, beside, forest.tracklet_id[beside], image)
        stamp(frame, forest, new, labels, forest.tracklet_id[new])
        return frame

    return len(labels), relabel
