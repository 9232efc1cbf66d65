"""Cells that were missed for some frames, put back where a straight line says: for tools that cannot follow a link over missed frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lineage.arrays import Array, Film, IntArray
from lineage.forest import Forest
from lineage.measure import label_image

FILLED = "interpolated"  # the column that says which cells were put in


def filled(forest: Forest) -> Forest:
    """The same lineages with a cell in every missed frame, so that no link bridges one.

    The new cells lie on the straight line between the two that were seen; they have no label, nothing measured (NaN, 0, nothing), and
    are true in the column ``interpolated``. The cost of a link stays with the cell that was seen; the slack of the solver, which is
    about the rows as they were, is left out.

    Args:
        forest: Lineages.
    """
    if not forest.gap.any():
        return forest
    cells, child = forest.detections, np.flatnonzero(forest.gap)
    missed, mother, n = forest.gap[child], forest.parent[child], len(forest)
    owner = np.repeat(np.arange(len(child)), missed)
    first = np.cumsum(missed) - missed
    step = np.arange(len(owner)) - first[owner] + 1
    part = (step / (missed[owner] + 1))[:, None]
    position = cells.position[mother[owner]] * (1 - part) + cells.position[child[owner]] * part
    parent = np.concatenate([forest.parent, np.where(step > 1, n + np.arange(len(owner)) - 1, mother[owner])])
    parent[child] = n + first + missed - 1
    frame = np.concatenate([cells.frame, cells.frame[mother[owner]] + step])
    order = np.argsort(frame, kind="stable")
    rank = np.full(len(order) + 1, -1)  # the last entry is the place of no parent
    rank[order] = np.arange(len(order))
    nothing = len(owner)
    columns = {name: _longer(column, nothing)[order] for name, column in cells.columns.items()}
    columns[FILLED] = np.concatenate([np.asarray(cells.columns.get(FILLED, np.zeros(n, bool)), bool), np.ones(nothing, bool)])[order]
    longer = replace(
        cells,
        frame=frame[order],
        position=np.concatenate([cells.position, position])[order],
        label=_longer(cells.label, nothing)[order],
        columns=columns,
        conflicts=tuple(np.sort(rank[rows]) for rows in cells.conflicts),
    )
    selected = np.concatenate([forest.selected, np.ones(nothing, bool)])[order]
    cost = _longer(forest.link_cost, nothing)[order]
    return replace(forest, detections=longer, parent=rank[parent[order]], selected=selected, link_cost=cost, slack={})


def _longer(column: Array, more: int) -> Array:
    """A column with rows that say nothing at its end."""
    empty = np.zeros((more, *column.shape[1:]), column.dtype)
    if column.dtype.kind == "f":
        empty[:] = np.nan
    elif column.dtype.kind == "O":
        empty[:] = ""
    return np.concatenate([column, empty])


def is_filled(forest: Forest) -> Array:
    """Which cells ``filled`` has put in; bool (n,)."""
    return np.asarray(forest.detections.columns.get(FILLED, np.zeros(len(forest), bool)), bool) & (forest.detections.label == 0)


def stamp(frame: Array, forest: Forest, rows: IntArray, labels: Film, number: IntArray) -> None:
    """Draw cells that were put in, with the outline of the last cell seen before, moved along; other cells are not touched.

    Args:
        frame: Mask that is being made, (Y, X) or (Z, Y, X); altered.
        forest: Lineages with such cells.
        rows: Which cells to draw, all of this frame; int (k,).
        labels: The label film that the seen cells were measured from; it is only read.
        number: Value of each of them in the mask; int (k,).

    Raises:
        ValueError: There is no free pixel for one of them.
    """
    cells, seen = forest.detections, rows.copy()
    drawn = is_filled(forest)
    while drawn[seen].any():  # once for every missed frame at most
        seen = np.where(drawn[seen], forest.parent[seen], seen)
    for t in np.unique(cells.frame[seen]).tolist():
        before = label_image(labels[t], t)
        for k in np.flatnonzero(cells.frame[seen] == t).tolist():  # over missed cells, of which a frame has few
            pixels = np.argwhere(before == cells.label[seen[k]])
            moved = np.rint((cells.position[rows[k]] - cells.position[seen[k]]) / np.array(cells.scale)).astype(np.int64)
            places = pixels + moved
            places = places[((places >= 0) & (places < frame.shape)).all(1)]
            places = places[frame[tuple(places.T)] == 0]
            if not len(places):
                places = _nearest_free(frame, cells.position[rows[k]] / np.array(cells.scale), int(cells.frame[rows[k]]))
            frame[tuple(places.T)] = number[k]


def _nearest_free(frame: Array, centre: Array, t: int) -> IntArray:
    free = np.argwhere(frame == 0)
    if not len(free):
        raise ValueError(f"frame {t} has no free pixel for a cell that was missed there: split the gaps instead of filling them")
    return free[[int(np.argmin(((free - centre) ** 2).sum(1)))]]
