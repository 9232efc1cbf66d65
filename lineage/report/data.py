"""Data: what a report knows of a forest and its film, as plain values and packed columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lineage.arrays import Array, IntArray, Progress
from lineage.films import OpenedFilm
from lineage.forest import Forest
from lineage.measure import label_image
from lineage.provenance import finite

from .outlines import Outlines, outlines
from .packing import packable

if TYPE_CHECKING:
    import pandas as pd

MOST_VALUES = 4_000_000  # of measured columns together; later columns are left out, and named
MOST_SIGNS = 2000  # rows of the table of warning signs
MOST_CELLS = 120_000  # with outlines and measured columns, what a browser opens at once
MOST_SUSPECTS = 150  # of the warning signs, whose lineages are shown before others
FINE = 4  # outlines are kept to a quarter of a pixel
OWN = ("frame", "parent", "label", "id", "tracklet_id", "lineage_id", "generation", "link_cost", "slack")


def cell_columns(forest: Forest, page: Forest) -> tuple[dict[str, Array], list[str]]:
    """The columns of the cells of the page, and the names of those that the page has no room for.

    Rows are those of the selected detections of ``page``, which may be fewer than those of ``forest``; ``id`` is the row in
    ``forest.detections``, ``parent`` a row of the page. Measured columns are called ``measured:NAME``.
    """
    rows = np.flatnonzero(page.selected)
    new = np.full(len(forest) + 1, -1)
    new[rows] = np.arange(len(rows))
    cells = forest.detections
    columns: dict[str, Array] = {"frame": cells.frame[rows], "parent": new[forest.parent[rows]], "label": cells.label[rows], "id": rows}
    for name in ("tracklet_id", "lineage_id", "generation", "link_cost"):
        columns[name] = getattr(forest, name)[rows]
    columns |= {f"position:{axis}": cells.position[rows, a] for a, axis in enumerate(cells.axes)}
    slack = forest.slack.get("select", np.zeros(0))
    if len(slack) == len(forest) and np.isfinite(slack[rows]).any():
        columns["slack"] = slack[rows]
    left_out: list[str] = []
    room = MOST_VALUES
    for name, column in cells.columns.items():
        if room >= len(rows) and packable(column):
            columns[f"measured:{name}"] = column[rows]
            room -= len(rows)
        else:
            left_out.append(str(name))
    return columns, left_out


def crowded(forest: Forest) -> bool:
    """Whether there are more cells than a page has room for."""
    return int(forest.selected.sum()) > MOST_CELLS


def shown_of(forest: Forest, suspects: IntArray) -> Forest:
    """The lineages that the page has room for, as a forest in which the others are not selected.

    Args:
        forest: Lineages.
        suspects: Rows with warning signs, the most suspicious first; the lineages of some of them are shown in any case.
    """
    first = np.unique(forest.lineage_id[suspects[:MOST_SUSPECTS]])
    kept = np.isin(forest.lineage_id, forest.foremost(MOST_CELLS, first=first[first > 0].tolist()))
    return replace(forest, selected=kept, parent=np.where(kept, forest.parent, -1))


def outline_columns(forest: Forest, labels: OpenedFilm, *, some: bool = False, progress: Progress[int]) -> dict[str, Array]:
    """The outlines of the selected cells: ``outline:row``, ``outline:length`` one a polygon, ``outline:y``, ``outline:x`` one a point.

    Coordinates are pixels times ``FINE`` (or less where the film is too large for that). Where the forest is only ``some`` of the
    cells of the film, the others are not traced.

    Raises:
        ValueError: A frame that is no label image, or no cell of the forest is found in the labels.
    """
    cells = forest.detections
    row_of = np.cumsum(forest.selected) - 1
    none, fine = np.zeros(0, np.int64), fineness(labels)
    found: list[tuple[Array, Array, Array]] = [(none, none, np.zeros((0, 2), np.int16))]
    for t in progress(range(min(len(labels), cells.n_frames)), "outlining"):
        here = np.arange(len(cells))[cells.at(t)]
        here = here[forest.selected[here]]
        image = label_image(labels[t], t)
        traced = _of_rows(outlines(_only(image, cells.label[here]) if some else image), cells.label[here], row_of[here])
        found.append((traced.label, traced.length, np.round(traced.point * fine).astype(np.int16)))
    row, length, point = (np.concatenate(parts) for parts in zip(*found, strict=True))
    if forest.selected.any() and not len(row):
        raise ValueError("no cell of the lineages is in the label masks: give the masks that the lineages were linked from")
    return {"outline:row": row, "outline:length": length, "outline:y": point[:, 0], "outline:x": point[:, 1]}


def _only(image: Array, label: IntArray) -> Array:
    """The label image with these cells only."""
    top = int(image.max(initial=0))
    if top > 4 * image.size + 65536:  # a look-up table is faster than searching, unless labels are huge
        return np.where(np.isin(image, label), image, 0)
    kept = np.zeros(top + 1, image.dtype)
    kept[label[label <= top]] = label[label <= top]
    return kept[image]


def fineness(film: OpenedFilm) -> float:
    """How many steps of outline coordinates a pixel has, so that they fit 16 bits."""
    return min(FINE, 32_000 / max(film.shape[-2:]))


def _of_rows(traced: Outlines, label: IntArray, row: IntArray) -> Outlines:
    """The outlines of cells that are known, with rows in place of labels."""
    order = np.argsort(label, kind="stable")
    known = label[order]
    if not len(known):
        return Outlines(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 2)))
    at = np.minimum(np.searchsorted(known, traced.label), len(known) - 1)
    keep = (known[at] == traced.label) & (traced.label > 0)
    return Outlines(row[order[at[keep]]], traced.length[keep], traced.point[np.repeat(keep, traced.length)])


def suspects(checks: pd.DataFrame, forest: Forest) -> IntArray:
    """The rows of ``forest.detections`` that warning signs speak of, in their order; int (k,).

    Raises:
        ValueError: A column is missing.
    """
    if missing := [name for name in ("kind", "frame", "row", "message") if name not in checks]:
        raise ValueError(f"the table of warning signs has no column {', '.join(missing)}; it has {', '.join(map(str, checks)) or 'none'}")
    row = checks["row"].to_numpy().astype(np.int64)
    return row[(row >= 0) & (row < len(forest))]


def signs(checks: pd.DataFrame, forest: Forest) -> list[dict[str, Any]]:
    """The table of warning signs as plain rows; ``row`` becomes a row of the page, -1 when it is not there."""
    row_of = np.where(forest.selected, np.cumsum(forest.selected) - 1, -1)
    table = checks.head(MOST_SIGNS)
    row = table["row"].to_numpy().astype(np.int64)
    known = (row >= 0) & (row < len(forest))
    page_row = np.where(known, row_of[np.where(known, row, 0)], -1) if len(forest) else np.full(len(row), -1)
    score = table["score"].to_numpy() if "score" in table else np.full(len(table), np.nan)
    columns = (table["kind"], table["frame"], page_row, score, table["message"])
    return [
        {"kind": str(kind), "frame": int(frame), "row": int(r), "score": float(s), "message": str(message)}
        for kind, frame, r, s, message in zip(*(list(column) for column in columns), strict=True)
    ]


def facts(forest: Forest, record: Mapping[str, Any] | None) -> dict[str, Any]:
    """What is said of the run: the content of ``run.json``, or what the forest itself knows."""
    if record is not None:
        return dict(finite(record))
    certificate = asdict(forest.certificate) if forest.certificate else None
    return dict(finite({"certificate": certificate, "estimated": dict(forest.record)}))
