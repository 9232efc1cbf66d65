"""Case: masks or points, and for each of them which cell of the truth it is; what a linker is given and judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from lineage.arrays import Array, Film, IntArray, Progress, length, silent
from lineage.detections import Detections
from lineage.films import open_film
from lineage.forest import Forest
from lineage.formats.ctc import open_folder
from lineage.matching import Matching, Tracks, match_labels, match_points, relabelled, tracks_of
from lineage.metrics import Scores, measures

Truth = str | Path | Forest | tuple[Forest, Film | None]


@dataclass(frozen=True, eq=False)
class Case:
    """What is linked, and the truth about it.

    Masks are matched with the truth once; whatever is done to them later, each still knows which cell it is. So every linker is
    judged on the same cells, and nobody's score depends on how it draws them.

    Attributes:
        detections: The cells as a linker sees them; n rows.
        labels: Their masks, (T, [Z,] Y, X), None for points.
        image: The film itself, for linkers that look at it.
        truth: Tracklets of the truth.
        cell, row: Pairs of a cell of the truth and the detection it is matched to; int (p,) each.
    """

    detections: Detections
    labels: Film | None
    image: Film | None
    truth: Tracks
    cell: IntArray
    row: IntArray

    def matching(self, forest: Forest) -> Matching:
        """Truth and a result over these detections, side by side."""
        tracks, rows = tracks_of(forest)
        place = np.full(len(forest), -1)
        place[rows] = np.arange(len(rows))
        here = place[self.row] >= 0
        return Matching(self.truth, tracks, self.cell[here], place[self.row][here])

    def score(self, forest: Forest) -> Scores:
        """Every measure of a result over these detections, by name."""
        return measures(self.matching(forest))

    @cached_property
    def row_of(self) -> IntArray:
        """The detection of each cell of the truth, -1 where it has none or one shared with other cells; int (truth cells,)."""
        alone = np.bincount(self.row, minlength=len(self.detections))[self.row] == 1
        table = np.full(self.truth.n_cells, -1)
        table[self.cell[alone]] = self.row[alone]
        return table

    def oracle(self, *, bridges: bool = True) -> Forest:
        """The best that any linker can do on these detections: every cell linked as the truth has it, and what is no cell dropped.

        Args:
            bridges: Whether cells are linked over frames in which they have no detection. With bridges this is the ceiling of
                CHOTA, IDF1 and CT; without, of LNK and TRA, which count a bridge as a wrong link.
        """
        up = parents(self.truth)
        parent = np.full(len(self.detections), -1)
        seen = np.flatnonzero(self.row_of >= 0)
        mother = up[seen]
        while bridges and np.any(lost := (mother >= 0) & (np.append(self.row_of, -1)[mother] < 0)):
            mother = np.where(lost, np.append(up, -1)[mother], mother)
        known = mother >= 0
        parent[self.row_of[seen[known]]] = self.row_of[mother[known]]
        return Forest(self.detections, parent, np.bincount(self.row, minlength=len(parent)) > 0)


def parents(tracks: Tracks) -> IntArray:
    """The cell that each cell of a table comes from, or -1; int (n,)."""
    source, target, _ = tracks.edges
    up = np.full(tracks.n_cells, -1)
    up[target] = source
    return up


def case_of(
    labels: Film | Detections | str | Path,
    truth: Truth,
    *,
    image: Film | str | Path | None = None,
    scale: Sequence[float] | float | None = None,
    distance: float | None = None,
    progress: Progress[int] = silent,
) -> Case:
    """Match masks, or points, with the truth.

    Args:
        labels: Label film (or its path), or detections made from points.
        truth: A folder of the Cell Tracking Challenge such as ``01_GT``; lineages and the label film they are told on; or, for
            points and for masks of the truth itself, lineages alone.
        image: The film (or its path) that the masks were drawn on.
        scale: Size of a pixel, for label films.
        distance: For points: how far apart matched cells may be, physical units.
        progress: Wraps the loops over frames.

    Raises:
        ValueError: Labels and truth are not of the same film, or one has masks and the other has none.
    """
    forest, film = truth if isinstance(truth, tuple) else (truth if isinstance(truth, Forest) else None, None)
    if isinstance(labels, Detections):
        if forest is None or film is not None or image is not None or scale is not None:
            raise ValueError("detections are points: their truth is a forest, and image and scale are for label films")
        return _of_points(labels, forest, distance)
    if distance is not None:
        raise ValueError(f"distance={distance} is for points, but these are masks and are matched by overlap: leave it out")
    masks = open_film(labels, kind="labels") if isinstance(labels, str | Path) else labels
    pictures = open_film(image) if isinstance(image, str | Path) else image
    if pictures is not None and length(pictures) != length(masks):
        raise ValueError(f"the image has {length(pictures)} frames, but the masks have {length(masks)}: they are not of the same film")
    cells = Detections.from_labels(masks, scale=scale, progress=progress)
    there = _folder(truth) if isinstance(truth, str | Path) else _pair(forest, film if film is not None else masks)
    alone = Forest(cells, np.full(len(cells), -1))
    tracks, rows = tracks_of(alone, "the label film")
    matching = match_labels(there, (tracks, relabelled(alone, masks, "the label film")), lambda _: (), progress=progress)
    return Case(cells, masks, pictures, there[0], matching.truth_cell, rows[matching.result_cell])


def _folder(path: str | Path) -> tuple[Tracks, Film]:
    opened = open_folder(path)
    return Tracks(opened.table, f"the truth ({opened.path})"), opened.labels


def _pair(forest: Forest | None, film: Film) -> tuple[Tracks, Film]:
    assert forest is not None
    return tracks_of(forest, "the truth")[0], relabelled(forest, film, "the truth")


def _of_points(cells: Detections, truth: Forest, distance: float | None) -> Case:
    tracks, rows = tracks_of(truth, "the truth")
    others, other_rows = tracks_of(Forest(cells, np.full(len(cells), -1)), "the points")
    if truth.detections.n_frames != cells.n_frames:
        raise ValueError(
            f"the points have {cells.n_frames} frames, but the truth has {truth.detections.n_frames}: they are not of the same film"
        )
    matching = match_points((tracks, truth.detections.position[rows]), (others, cells.position[other_rows]), distance)
    kept: dict[str, Array] = {name: cells.columns[name] for name in ("area",) if name in cells.columns}
    plain = Detections(
        cells.frame, cells.position, np.zeros(len(cells), np.int64), kept, cells.scale, n_frames=cells.n_frames, interval=cells.interval
    )
    return Case(plain, None, None, tracks, matching.truth_cell, other_rows[matching.result_cell])
