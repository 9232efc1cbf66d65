"""Numbering: which number each cell of a label film has in the table of a result, so that corrections name the cells that were meant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lineage.arrays import Array, IntArray
from lineage.films import OpenedFilm, open_film
from lineage.forest import Forest
from lineage.formats import read
from lineage.sides import MADE, MASKS, TABLE


def linked_before(place: Path) -> tuple[Callable[[Forest], Forest], OpenedFilm, Callable[[Forest], Forest]]:
    """What was linked, and how the cells of a forest over it are to be numbered (column ``source_id``) as they were in the result.

    Args:
        place: A label film, whose cells are numbered frame by frame in the order of their labels, as in a table that was linked from
            it; or the folder of a result, whose table says their numbers.

    Returns:
        What numbers the cells of a forest; the label film; and what puts the cells of a forest over it into the order of the result, so
        that a table of it names each cell as that of the result did.

    Raises:
        ValueError: No label film; or, when the cells are numbered, masks that are not those of the table.
    """
    if not (place / TABLE).is_file():
        return _as_it_is, open_film(place, kind="labels"), _as_it_is
    table = read(place / TABLE)
    made = (place / MADE).is_dir()
    masks = open_film(place / (MADE if made else MASKS), kind="labels")
    label = table.detections.label if made else table.tracklet_id  # of the masks
    ids = table.detections.columns.get("source_id", np.arange(len(table)))
    number = {(t, k): i for t, k, i in zip(table.detections.frame.tolist(), label.tolist(), ids.tolist(), strict=True)}

    def before(forest: Forest) -> Forest:
        cells = forest.detections
        seen = list(zip(cells.frame.tolist(), cells.label.tolist(), strict=True))
        if len(number) != len(table) or set(seen) != set(number):
            raise ValueError(
                f"{place}: its masks are not one for each cell of {TABLE} (filled gaps, or two cells in one mask): "
                "give the label film that was linked"
            )
        return replace(forest, detections=cells.with_columns(source_id=np.array([number[cell] for cell in seen], np.int64)))

    row = {number: row for row, number in enumerate(ids.tolist())}

    def after(forest: Forest) -> Forest:
        forest = before(forest)
        columns = dict(forest.detections.columns)
        order = np.argsort([row[number] for number in columns.pop("source_id").tolist()])
        kept = {"source_id": ids} if "source_id" in table.detections.columns else {}
        return _ordered(replace(forest, detections=replace(forest.detections, columns=columns)), order, kept)

    return before, masks, after


def _as_it_is(forest: Forest) -> Forest:
    return forest


def _ordered(forest: Forest, order: IntArray, columns: dict[str, Array]) -> Forest:
    """A forest with its cells in another order, frame after frame as before, and further columns of them in that order."""
    number = np.full(len(forest) + 1, -1)
    number[order] = np.arange(len(order))
    facts: dict[str, Any] = {
        "parent": number[forest.parent[order]],
        "selected": forest.selected[order],
        "link_cost": forest.link_cost[order],
    }
    return replace(forest, detections=forest.detections.take(order).with_columns(**columns), **facts, slack={}, memory=None)
