"""Plant errors in a true forest: swapped links, lost divisions, broken tracks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lineage.forest import Forest

KINDS = ("swapped links", "lost division", "broken track")


@dataclass(frozen=True)
class Planted:
    """One error.

    Attributes:
        kind: Which of ``KINDS``.
        frame: The first frame after the error.
        rows: The detections whose links are wrong.
    """

    kind: str
    frame: int
    rows: frozenset[int]


def plant(forest: Forest, count: int, rng: np.random.Generator) -> tuple[Forest, list[Planted]]:
    """A forest with errors, as many of each kind as possible, and what they are; no two share a detection.

    Args:
        forest: The truth.
        count: Number of errors.
        rng: Draws where they are.
    """
    parent = forest.parent.copy()
    planted: list[Planted] = []
    used: set[int] = set()
    makers = {"swapped links": _swap, "lost division": _lose, "broken track": _break}
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        rows = makers[kind](forest, parent, used, rng)
        if rows is None:
            kind, rows = "broken track", _break(forest, parent, used, rng)
        assert rows is not None
        used |= rows
        planted.append(Planted(kind, int(forest.detections.frame[sorted(rows)[-1]]), frozenset(rows)))
    return replace(forest, parent=parent, slack={}, certificate=None), planted


def _steps(forest: Forest) -> np.ndarray:
    """Rows linked to the frame before by a cell that does not divide."""
    child = forest.child_rows
    return child[(forest.gap[child] == 0) & (forest.n_children[forest.parent[child]] == 1)]


def _swap(forest: Forest, parent: np.ndarray, used: set[int], rng: np.random.Generator) -> set[int] | None:
    """Exchange the children of two cells that are among each other's three nearest neighbours."""
    cells = forest.detections
    for child in rng.permutation(_steps(forest)):
        others = _steps_at(forest, int(cells.frame[child]))
        others = others[others != child]
        if not len(others):
            continue
        mothers = forest.parent[others]
        away = ((cells.position[mothers] - cells.position[forest.parent[child]]) ** 2).sum(1)
        other = int(others[np.argsort(away)[rng.integers(min(3, len(others)))]])
        rows = {int(child), other, int(forest.parent[child]), int(forest.parent[other])}
        if rows & used:
            continue
        parent[[child, other]] = parent[[other, child]]
        return rows
    return None


def _steps_at(forest: Forest, frame: int) -> np.ndarray:
    steps = _steps(forest)
    return steps[forest.detections.frame[steps] == frame]


def _lose(forest: Forest, parent: np.ndarray, used: set[int], rng: np.random.Generator) -> set[int] | None:
    """Take one of two daughters from her mother."""
    for mother in rng.permutation(forest.divisions):
        daughters = np.flatnonzero(forest.parent == mother)
        rows = {int(mother), *map(int, daughters)}
        if len(daughters) == 2 and not rows & used and (forest.gap[daughters] == 0).all():
            parent[rng.choice(daughters)] = -1
            return rows
    return None


def _break(forest: Forest, parent: np.ndarray, used: set[int], rng: np.random.Generator) -> set[int] | None:
    """Cut a track in two."""
    for child in rng.permutation(_steps(forest)):
        rows = {int(child), int(forest.parent[child])}
        if not rows & used:
            parent[child] = -1
            return rows
    return None
