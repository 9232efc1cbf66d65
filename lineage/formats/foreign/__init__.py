"""Tables that other trackers leave, told apart by their columns: TrackMate, laptrack, btrack, Trackastra, trackpy, ultrack, napari.

==========================  ========================================================================================================
TrackMate, CSV              ``..spots.csv`` (ID, FRAME, POSITION_X, ...) and ``..edges.csv`` (SPOT_SOURCE_ID, SPOT_TARGET_ID), beside each
                            other; three more lines of header, if there are any
laptrack                    ``..track..csv`` (frame, track_id, tree_id) and, when cells divide, ``..split..csv`` (parent_track_id,
                            child_track_id)
btrack, CSV                 ID t x y z parent root ..., separated by spaces; its predictions for missed frames have ``dummy``
LBEP (btrack, CTC)          four (or six) whole numbers a line: track, first frame, last frame, parent; no positions
Trackastra, edge table      source_frame, source_label, target_frame, target_label, weight; no positions
tracks without parents      track_id (ID, particle) and t (frame), y, x: trackpy, napari; each track is a lineage
==========================  ========================================================================================================

Tables with the columns id, parent_id, t, y, x (ultrack, napari-track-edit) are read by ``lineage.formats.table``, those with track_id and
parent_track_id by ``lineage.formats.intracktive``. Where a table has no positions, they are drawn (``record["positions"]`` says so): y is
the frame, x the place among the leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lineage.forest import Forest

from . import btrack_text, edge_table, laptrack_tables, track_columns, trackmate_csv

__all__ = ["read", "recognises"]

Reader = Callable[[Path, str], Forest]

READERS: tuple[tuple[Callable[[Path], bool], Reader], ...] = (
    (trackmate_csv.recognises, trackmate_csv.read),
    (laptrack_tables.recognises, laptrack_tables.read),
    (btrack_text.recognises, btrack_text.read),
    (edge_table.recognises, edge_table.read),
    (btrack_text.recognises_lbep, btrack_text.read_lbep),
    (track_columns.recognises, track_columns.read),
)


def recognises(path: Path) -> bool:
    """Whether a file is a table of one of these tools."""
    return any(fits(Path(path)) for fits, _ in READERS)


def read(path: str | Path, *, merges: str = "refuse") -> Forest:
    """Read the table of another tracker, whichever it is.

    Args:
        path: The table; where there are two (spots and edges, tracks and splits), either.
        merges: What to do with a cell that has two parents: ``refuse``, or ``keep-nearest``.

    Raises:
        FileNotFoundError: No such file, or the second table is missing.
        ValueError: None of these tables, or one that makes no lineages.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such table: {path}")
    for fits, reader in READERS:
        if fits(path):
            return reader(path, merges)
    raise ValueError(f"{path} is no table that is known: it has neither id, parent_id, t, y, x nor the columns of another tracker")
