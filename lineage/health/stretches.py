"""Stretches: a long film looked at in parts, so that the memory that its candidate links take does not grow with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from lineage.arrays import Array, Film, frame_shape, length, part_of
from lineage.forest import Forest

from .likelihood import MOST_MISSED, Likelihood
from .moves import Moves, alternatives
from .surprises import Surprises, surprises

LONG, PART = 120_000, 80_000  # detections that are looked at together; of a film with more, stretches of so many are


@dataclass(frozen=True, eq=False)
class _Stretch:
    """Some frames of a film: ``begin`` to ``end``, which is excluded; not a copy."""

    film: Film
    begin: int
    end: int

    def __len__(self) -> int:
        return self.end - self.begin

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *frame_shape(self.film))

    def __getitem__(self, frame: int) -> Array:
        return np.asarray(self.film[self.begin + frame])

    def part(self, frame: int, place: tuple[slice, ...]) -> Array:
        return part_of(self.film, self.begin + frame, place)


def looked_at(forest: Forest, labels: Film | None, least: float) -> tuple[Moves, list[Surprises]]:
    """What else might have happened, and what is odd, in a film of any length.

    Of a long film the alternatives are looked for in stretches, each under its own distributions and with enough frames around that it
    sees all that its links can depend on. What is odd is told from the whole film, under those of its middle stretch.

    Args:
        forest: Lineages whose detections are all selected.
        labels: The label film, for the overlap of cells.
        least: Smallest score of interest, nats.
    """
    if len(forest) <= LONG:
        film = Likelihood.of(forest, labels)
        return alternatives(film, least), surprises(film, least)
    cells, model = forest.detections, None
    cuts = _cuts(forest)
    margin = max(MOST_MISSED, int(forest.gap.max(initial=0))) + 2
    found = []
    for k, (begin, end) in enumerate(pairwise(cuts)):
        first, last = max(begin - margin, 0), min(end + margin, cells.n_frames)
        part, offset = _part(forest, first, last)
        film = Likelihood.of(part, None if labels is None else _Stretch(labels, first, min(last, length(labels))))
        model = film.model if model is None or k == (len(cuts) - 1) // 2 else model
        found.append(_shifted(alternatives(film, least), offset, cells.frame, begin, end))
    assert model is not None
    columns = ([getattr(moves, name) for moves in found] for name in ("child", "old", "new", "other", "gain"))
    return Moves(*(np.concatenate(column) for column in columns)), surprises(Likelihood.alone(forest, model), least)


def _cuts(forest: Forest) -> list[int]:
    """Frames where stretches of about as many detections begin, and the end of the film."""
    cells = forest.detections
    count = -(-len(cells) // PART)
    inner = cells.frame[np.arange(1, count) * len(cells) // count]
    return np.unique(np.concatenate([[0], inner, [cells.n_frames]])).tolist()


def _part(forest: Forest, first: int, last: int) -> tuple[Forest, int]:
    """The forest of some frames, which are counted from 0 there, and the row that became its first."""
    cells = forest.detections
    low, high = np.searchsorted(cells.frame, [first, last]).tolist()
    some = cells.take(np.arange(low, high))
    some = replace(some, frame=some.frame - first, n_frames=last - first)
    parent = forest.parent[low:high]
    return Forest(some, np.where(parent >= low, parent - low, -1), link_cost=forest.link_cost[low:high]), low


def _shifted(moves: Moves, offset: int, frame: Array, begin: int, end: int) -> Moves:
    """Moves of a part, in rows of the whole, of those whose child is in a stretch of it."""
    child, old, new, other = (np.where(rows >= 0, rows + offset, -1) for rows in (moves.child, moves.old, moves.new, moves.other))
    here = (frame[child] >= begin) & (frame[child] < end)
    return Moves(child, old, new, other, moves.gain).take(here)
