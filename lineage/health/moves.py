"""Moves: what else might have happened at one place of a forest, and how much likelier that would be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lineage.arrays import BoolArray, FloatArray, IntArray

from .likelihood import Likelihood


@dataclass(frozen=True, eq=False)
class Moves:
    """Alternatives to what a forest says, each about one child.

    Attributes:
        child: Row whose parent would be another; int (k,).
        old, new: Its parent row in the forest and in the alternative, or -1; int (k,).
        other: Row that would go to the old parent in exchange, or -1; int (k,).
        gain: Log-odds of the alternative against the forest; float (k,), nats.
    """

    child: IntArray
    old: IntArray
    new: IntArray
    other: IntArray
    gain: FloatArray

    def take(self, rows: IntArray | BoolArray) -> Moves:
        """Some of the moves."""
        return Moves(self.child[rows], self.old[rows], self.new[rows], self.other[rows], self.gain[rows])


def alternatives(film: Likelihood, least: float) -> Moves:
    """Every move of one child to another parent or to none, and every exchange of two children, that gains at least this.

    Args:
        film: The forest under its film's distributions; n detections.
        least: Smallest log-odds of interest, nats.
    """
    found = [_moved(film), _cut(film), _dissolved(film), _exchanged(film, 0), _exchanged(film, 1)]
    kept = [moves.take(moves.gain >= least) for moves in found]
    columns = ([getattr(moves, name) for moves in kept] for name in ("child", "old", "new", "other", "gain"))
    return Moves(*(np.concatenate(column) for column in columns))


def _moved(film: Likelihood) -> Moves:
    """Another parent for a child; the old one, if there is one, has one child less."""
    forest, graph = film.forest, film.graph
    other = (forest.parent[graph.target] != graph.source) & (forest.n_children[graph.source] < 2)
    new, child = graph.source[other], graph.target[other]
    old = forest.parent[child]
    gain = film.family(new, *film.children[new].T) - film.family(new, np.maximum(film.children[new, 0], -1), child)
    return Moves(child, old, new, np.full(len(child), -1), gain + _freed(film, child, old))


def _cut(film: Likelihood) -> Moves:
    """No parent for a child."""
    child = film.forest.child_rows
    child = child[film.forest.n_children[film.forest.parent[child]] <= 2]
    none = np.full(len(child), -1)
    return Moves(child, film.forest.parent[child], none, none, _freed(film, child, film.forest.parent[child]) - film.appear[child])


def _dissolved(film: Likelihood) -> Moves:
    """No parent for either daughter: the mother ends, both begin anew. Said of the daughter that lies farther from her."""
    mother = np.flatnonzero(film.forest.n_children == 2)
    first, second = film.children[mother].T
    gain = film.family(mother, first, second) - film.disappear[mother] - film.appear[first] - film.appear[second]
    place = film.forest.detections.position
    near = ((place[first] - place[mother]) ** 2).sum(1) < ((place[second] - place[mother]) ** 2).sum(1)
    none = np.full(len(mother), -1)
    return Moves(np.where(near, second, first), mother, none, none, gain)


def _freed(film: Likelihood, child: IntArray, old: IntArray) -> FloatArray:
    """What is saved when a child leaves its parent, or its beginning; float (k,), nats."""
    has = np.flatnonzero(old >= 0)
    saved = film.appear[child].copy()
    first, second = film.children[old[has]].T
    stays = np.where(first == child[has], second, first)
    saved[has] = film.family(old[has], first, second) - film.family(old[has], stays, np.full(len(has), -1))
    return saved


def _exchanged(film: Likelihood, which: int) -> Moves:
    """Two children of two parents exchanged: the child goes to a new parent, whose own child (the first or second) goes to the old one."""
    forest, graph = film.forest, film.graph
    old, other = forest.parent[graph.target], film.children[graph.source, which]
    apart = (old >= 0) & (old != graph.source) & (other >= 0)
    apart &= (forest.n_children[old] <= 2) & (forest.n_children[graph.source] <= 2)
    new, child, old, other = graph.source[apart], graph.target[apart], old[apart], other[apart]
    old_stays = _sibling(film, old, child)
    new_stays = _sibling(film, new, other)
    before = film.family(old, child, old_stays) + film.family(new, other, new_stays)
    return Moves(child, old, new, other, before - film.family(old, other, old_stays) - film.family(new, child, new_stays))


def _sibling(film: Likelihood, mother: IntArray, child: IntArray) -> IntArray:
    first, second = film.children[mother].T
    return np.where(first == child, second, first)
