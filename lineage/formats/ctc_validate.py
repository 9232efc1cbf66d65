"""A strict look at a Cell Tracking Challenge folder: every rule, every violation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lineage.arrays import Array, IntArray, Progress, silent
from lineage.films.folder import tiff_files
from lineage.films.tiff import open_tiff

from .ctc import masks_folder
from .ctc_table import TABLES, Violation, check_rows, find_table, parse_table

MASK = re.compile(r"(mask|man_track)(\d{3,})\.tif")


def validate(path: str | Path, *, progress: Progress[int] = silent) -> list[Violation]:
    """All violations of a result or truth folder, in the order table, file names, masks; empty when it is valid.

    Frames without any cell are legal. The rules are those of the challenge, and what known validators miss: rows that end after the
    last mask, parents without a row, cycles, extra labels in any frame, missing masks.

    Args:
        path: ``01_RES``, ``01_GT`` or ``01_GT/TRA``.
        progress: Wraps the loop over masks.

    Raises:
        FileNotFoundError: No such folder.
    """
    folder = masks_folder(path)
    files, found = _mask_files(folder)
    text = find_table(folder)
    if text is None:
        found.insert(0, Violation("no table", str(folder), None, None, f"there is neither {' nor '.join(TABLES)}"))
        return found + _check_masks(files, None, progress)
    table, line, wrong = parse_table(text)
    wrong = wrong + check_rows(text, table, line) + _beyond(text, table, line, max(files, default=-1))
    return wrong + found + _check_masks(files, table, progress)


def _beyond(text: Path, table: IntArray, line: IntArray, last: int) -> list[Violation]:
    say = "label {} ends in frame {}, but the last mask is that of frame {}"
    rows = np.flatnonzero(table[:, 2] > last).tolist()
    return [Violation("after the last mask", str(text), None, int(line[k]), say.format(table[k, 0], table[k, 2], last)) for k in rows]


def _mask_files(folder: Path) -> tuple[dict[int, Path], list[Violation]]:
    """Masks by frame number, and what is wrong with the names and their count."""
    tiffs = tiff_files(folder)
    found: list[Violation] = []
    files: dict[int, Path] = {}
    width = 0
    for file in tiffs:
        match = MASK.fullmatch(file.name)
        if match is None:
            found.append(Violation("file name", str(file), None, None, "masks are named maskNNN.tif or man_trackNNN.tif"))
            continue
        width = width or len(match[2])
        if len(match[2]) != width or int(match[2]) in files:
            message = f"the number has {len(match[2])} digits, but others have {width}"
            found.append(Violation("file name", str(file), int(match[2]), None, message))
        files.setdefault(int(match[2]), file)
    if not files:
        found.append(Violation("no masks", str(folder), None, None, "there is no mask"))
    missing = sorted(set(range(max(files, default=-1) + 1)) - set(files))
    found += [Violation("missing mask", str(folder), t, None, f"there is no mask of frame {t}") for t in missing]
    return files, found + _raw_count(folder, files)


def _raw_count(folder: Path, files: dict[int, Path]) -> list[Violation]:
    sequence = folder.parent if folder.name == "TRA" else folder
    raw = sequence.with_name(re.sub(r"_(RES|GT|ST)$", "", sequence.name))
    images = len(tiff_files(raw)) if raw != sequence and raw.is_dir() else 0
    if not images or images == len(files):
        return []
    return [Violation("mask count", str(folder), None, None, f"there are {len(files)} masks, but {images} images in {raw.name}")]


def _check_masks(files: dict[int, Path], table: IntArray | None, progress: Progress[int]) -> list[Violation]:
    found: list[Violation] = []
    first: tuple[str, tuple[int, ...]] | None = None
    for t in progress(sorted(files), "checking masks"):
        name = str(files[t])
        try:
            film = open_tiff(files[t], one_frame=True, probe=False)
            frame = film[0]
        except (ValueError, OSError) as error:
            found.append(Violation("unreadable mask", name, t, None, str(error)))
            continue
        first = first or (files[t].name, frame.shape)
        if len(film) != 1 or frame.shape != first[1]:
            found.append(Violation("frame shape", name, t, None, f"the shape is {frame.shape}, but {first[0]} has {first[1]}"))
        if frame.dtype != np.uint16:
            found.append(Violation("pixel type", name, t, None, f"pixels are {frame.dtype}, but masks are 16-bit unsigned"))
        if frame.dtype.kind in "iu":
            found += [Violation(kind, name, t, None, message) for kind, message in _check_labels(frame, t, table)]
    return found


def _check_labels(frame: Array, t: int, table: IntArray | None) -> Iterator[tuple[str, str]]:
    from skimage.measure import label as components

    present = np.unique(frame[frame != 0]).astype(np.int64)
    if table is not None:
        due = np.unique(table[(table[:, 1] <= t) & (t <= table[:, 2]), 0])
        for value in np.setdiff1d(due, present).tolist():  # over wrong labels only
            yield "missing label", f"label {value} is in the table but not in the mask of frame {t}"
        for value in np.setdiff1d(present, due).tolist():
            yield "extra label", f"label {value} is in the mask but not in the table of frame {t}"
    parts, count = components(frame, connectivity=frame.ndim, return_num=True)  # regions of one value
    if count > len(present):
        first = np.unique(parts, return_index=True)[1]
        owner = frame.ravel()[first]
        values, pieces = np.unique(owner[owner != 0], return_counts=True)
        for value, n in zip(values[pieces > 1].tolist(), pieces[pieces > 1].tolist(), strict=True):
            yield "disconnected label", f"label {value} has {n} separate pieces in frame {t}"
