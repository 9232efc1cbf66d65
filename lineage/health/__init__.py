"""Health: the warning signs that a careful person looks for in a result, without any truth."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lineage.arrays import Film, IntArray
from lineage.detections import Detections
from lineage.forest import Forest
from lineage.formats.shared_masks import one_a_mask, seconds

from .likelihood import believed, steps
from .moves import Moves
from .stretches import looked_at
from .surprises import Surprises
from .wording import Warnings, Words, kind_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "check"]

COLUMNS = ("rank", "kind", "frame", "row", "lineage_id", "tracklet_id", "score", "message", "other_row")


def check(forest: Forest, *, labels: Film | None = None, image: Film | None = None, least: float = -3.0) -> pd.DataFrame:
    """List what looks wrong in a result, the most suspicious first; no truth is needed.

    How cells of the film move, grow, divide, come and go is estimated from the result itself. Each warning is either something
    that would be likelier otherwise (a broken track, a lost division, swapped links), or something that a film like this hardly
    ever shows (a far jump, a sudden change of size, a division too soon). Of warnings about the same cells the strongest is kept.

    Args:
        forest: The lineages.
        labels: The label film that the detections were measured from; it adds how much cells overlap and, to a result made from
            points, their sizes. It is only read.
        image: The film, for the brightness of the cells; with labels only.
        least: Smallest score to list, nats.

    Returns:
        One row a warning, the highest score first. ``kind``; ``frame``; ``row`` of the detection to look at, and ``other_row``
        of the second one that is meant or -1; its ``lineage_id`` and ``tracklet_id``; ``message``, a sentence; ``(z,) y, x``,
        physical units. ``score`` in nats compares kinds: for what would be likelier otherwise it is the log-odds of that, for
        what is odd it is minus the log of how many things so odd a film like this shows by chance. Above 0 an error is likelier
        than not.

    Raises:
        ValueError: Labels that are not those of the detections, or an image without labels.
    """
    if image is not None and labels is None:
        raise ValueError("an image says nothing about cells without labels: give labels too")
    hidden = int(seconds(forest).sum())  # in the masks of others, which overlaps and sizes speak of once
    some, rows = believed(_measured(one_a_mask(forest), labels, image))
    moves, odd = looked_at(some, labels if len(rows) + hidden == len(forest) else None, least)
    moved = steps(some)
    words = Words(some, float(np.median(moved)) if len(moved) else np.nan)
    found = _joined(_of_moves(moves, words), *(_of_surprises(kind, words) for kind in odd))
    found = _joined(found, _of_slack(forest, rows, least))
    return _table(forest, rows, found, _distinct(found))


def _measured(forest: Forest, labels: Film | None, image: Film | None) -> Forest:
    """The forest, with sizes, shapes and brightness measured where the labels can tell and the detections do not know."""
    cells = forest.detections
    facts = ("area", "axis_major", "axis_minor", "touches_border", *(("intensity_mean",) if image is not None else ()))
    wanted = set(facts) - set(cells.columns)
    if labels is None or not wanted:
        return forest
    seen = Detections.from_labels(labels, image, cells.scale, properties=sorted(wanted))
    top = int(max(seen.label.max(initial=0), cells.label.max(initial=0))) + 1
    known, key = seen.frame * top + seen.label, cells.frame * top + cells.label
    at = np.minimum(np.searchsorted(known, key), max(len(known) - 1, 0))
    if len(key) and (not len(known) or (known[at] != key).any()):
        lost = int(np.argmax(known[at] != key)) if len(known) else 0
        raise ValueError(f"row {lost} has the label {cells.label[lost]} in frame {cells.frame[lost]}, but no pixel there has this label")
    return replace(forest, detections=cells.with_columns(**{name: seen.columns[name][at] for name in wanted}))


def _of_moves(moves: Moves, words: Words) -> Warnings:
    columns = np.stack([moves.child, moves.old, moves.new, moves.other], axis=1).tolist()
    rows = [tuple(i for i in some if i >= 0) for some in columns]
    second = [some[3] if some[3] >= 0 else some[2] if some[2] >= 0 else some[1] for some in columns]
    rows = [(some[0], two, *some[1:]) for some, two in zip(rows, second, strict=True)]
    say = [partial(words.moved, moves, k) for k in range(len(rows))]
    return Warnings(kind_of(moves, words.forest), moves.gain, moves.child, rows, list(say))


def _of_surprises(odd: Surprises, words: Words) -> Warnings:
    say = [partial(words.odd, odd, k) for k in range(len(odd.row))]
    if odd.kind in ("many end", "many begin"):  # speaks of a frame, not of a cell
        rows: list[tuple[int, ...]] = [()] * len(odd.row)
    else:
        rows = [(row, other) if other >= 0 else (row,) for row, other in zip(odd.row.tolist(), odd.other.tolist(), strict=True)]
    return Warnings([odd.kind] * len(rows), odd.score, odd.row, rows, list(say))


def _of_slack(forest: Forest, rows: IntArray, least: float) -> Warnings:
    """Detections that the solver chose by a narrow margin."""
    slack = forest.slack.get("select", np.zeros(0))
    slack = slack[rows] if len(slack) == len(forest) else np.full(len(rows), np.inf)
    near = np.flatnonzero(-slack >= least)
    frame = forest.detections.frame[rows]
    say = [partial(_narrow, int(frame[i]), float(slack[i])) for i in near.tolist()]
    return Warnings(["doubtful cell"] * len(near), -slack[near], near, [(i,) for i in near.tolist()], list(say))


def _narrow(frame: int, slack: float) -> str:
    return f"The cell in frame {frame} was believed by a margin of {slack:.2g} nats only."


def _joined(*some: Warnings) -> Warnings:
    return Warnings(
        [kind for part in some for kind in part.kind],
        np.concatenate([part.score for part in some]),
        np.concatenate([part.row for part in some]),
        [rows for part in some for rows in part.rows],
        [say for part in some for say in part.say],
    )


def _distinct(found: Warnings) -> list[int]:
    """The strongest warnings first, without those that speak of what a stronger one has said."""
    covered: set[int] = set()
    kept: list[int] = []
    order = np.lexsort((found.row, -np.round(found.score, 6)))  # an exchange has two sides, equal but for rounding
    for k in order.tolist():  # one by one: what is kept depends on all that was kept before
        rows = set(found.rows[k])
        if rows and (int(found.row[k]) in covered or len(rows & covered) >= 2):
            continue
        covered |= rows
        kept.append(k)
    return kept


def _table(forest: Forest, rows: IntArray, found: Warnings, kept: list[int]) -> pd.DataFrame:
    import pandas as pd

    row = rows[found.row[kept]] if kept else np.zeros(0, np.int64)
    others = [found.rows[k][1] if len(found.rows[k]) > 1 else -1 for k in kept]
    cells = forest.detections
    columns = {
        "rank": np.arange(1, len(kept) + 1),
        "kind": np.array([found.kind[k] for k in kept], object),
        "frame": cells.frame[row],
        "row": row,
        "lineage_id": forest.lineage_id[row],
        "tracklet_id": forest.tracklet_id[row],
        "score": found.score[kept] if kept else np.zeros(0),
        "message": np.array([found.say[k]() for k in kept], object),
        "other_row": np.array([rows[i] if i >= 0 else -1 for i in others], np.int64),
    }
    return pd.DataFrame({**columns, **{axis: cells.position[row, a] for a, axis in enumerate(cells.axes)}})
