"""Wording: each warning in one plain sentence with its numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lineage.arrays import FloatArray, IntArray
from lineage.detections import Detections
from lineage.forest import Forest

from .moves import Moves
from .surprises import Surprises


@dataclass(frozen=True, eq=False)
class Warnings:
    """Warning signs of all kinds, not yet ranked.

    Attributes:
        kind: What each is called.
        score: Nats; float (k,).
        row: Where to look; int (k,).
        rows: All detections that it speaks of.
        say: Makes the sentence, when it is wanted.
    """

    kind: list[str]
    score: FloatArray
    row: IntArray
    rows: list[tuple[int, ...]]
    say: list[Callable[[], str]]


@dataclass(frozen=True, eq=False)
class Words:
    """What sentences need to know: the forest, and the usual step in it (physical units)."""

    forest: Forest
    step: float

    def far(self, a: int, b: int) -> str:
        """The distance of two detections, in words."""
        cells = self.forest.detections
        return length(float(np.linalg.norm(cells.position[a] - cells.position[b])), cells)

    def at(self, row: int) -> str:
        """The frame of a detection, in words."""
        return f"frame {self.forest.detections.frame[row]}"

    def usual(self) -> str:
        """The usual step, in words."""
        return f"the usual step is {length(self.step, self.forest.detections)}" if np.isfinite(self.step) else "there is no usual step"

    def moved(self, moves: Moves, k: int) -> str:
        """A sentence about a move: what is there, and what else might have been."""
        child, old, new, other = (int(column[k]) for column in (moves.child, moves.old, moves.new, moves.other))
        n_children, likely = self.forest.n_children, odds(float(moves.gain[k]))
        if other >= 0:
            return (
                f"Two tracks may be swapped between {self.at(old)} and {self.at(child)}: steps of {self.far(old, child)} and "
                f"{self.far(new, other)}, exchanged {self.far(new, child)} and {self.far(old, other)}; the exchange is {likely}."
            )
        if new < 0 and n_children[old] >= 2:
            return f"A daughter in {self.at(child)} lies {self.far(old, child)} from her mother; no division at all is {likely}."
        if new < 0:
            missed = int(self.forest.gap[child])
            gap = f" over {missed} missed frame{'s' if missed > 1 else ''}" if missed else ""
            step = f"The step from {self.at(old)} to {self.at(child)}{gap} is {self.far(old, child)} ({self.usual()})"
            return f"{step}; two tracks are {likely}."
        if old >= 0:
            other_parent = f"{self.far(new, child)} from another cell, which is {likely}"
            return f"The cell in {self.at(child)} lies {self.far(old, child)} from its parent and {other_parent}."
        if n_children[new] == 0:
            gone = f"A track ends in {self.at(new)} and another begins in {self.at(child)}"
            return f"{gone}, {self.far(new, child)} away ({self.usual()}); one unbroken track is {likely}."
        born = f"A track begins in {self.at(child)}, {self.far(new, child)} from a cell of {self.at(new)} that goes on"
        return f"{born}; a division whose daughter was lost is {likely}."

    def odd(self, some: Surprises, k: int) -> str:
        """A sentence about a surprise."""
        row, other, number, usual = int(some.row[k]), int(some.other[k]), float(some.number[k]), float(some.usual[k])
        cells = self.forest.detections
        frames = f"{number:.0f} frame{'s' if number > 1 else ''}"
        sentences: dict[str, Callable[[], str]] = {
            "far jump": lambda: (
                f"The step from {self.at(other)} to {self.at(row)} is {length(number, cells)} long, the median is {length(usual, cells)}."
            ),
            "size change": lambda: _change("area", "size", cells, row, other, number, usual),
            "brightness change": lambda: _change("intensity_mean", "brightness", cells, row, other, number, usual),
            "begins inside": lambda: f"A lineage begins in {self.at(row)}, where {chance(number)} cells of the film begin.",
            "ends inside": lambda: f"A lineage ends in {self.at(row)}, where {chance(number)} cells of the film end.",
            "short track": lambda: f"A track of {frames} begins in {self.at(row)}, comes from nothing and becomes nothing.",
            "daughter lost": lambda: f"A daughter born in {self.at(row)} is lost after {frames}.",
            "division too soon": lambda: f"The division in {self.at(row)} comes {frames} after the last one, the median is {usual:.0f}.",
            "sisters apart": lambda: (
                f"The daughters of the cell in {self.at(row)} lie {length(number, cells)} apart, usually {length(usual, cells)}."
            ),
            "sisters away": lambda: (
                f"The middle of the daughters of the cell in {self.at(row)} lies {length(number, cells)} from it, "
                f"usually {length(usual, cells)}."
            ),
            "sisters' size": lambda: (
                f"The daughters of the cell in {self.at(row)} are together {number:.2g} times as large, usually {usual:.2g}."
            ),
            "unequal sisters": lambda: (
                f"A daughter of the cell in {self.at(row)} is {number:.2g} times as large as the other, usually {usual:.2g}."
            ),
            "divides in three": lambda: f"The cell in {self.at(row)} has {number:.0f} children.",
            "many end": lambda: f"{number:.0f} lineages end in {self.at(row)}, {usual:.2g} in the usual frame.",
            "many begin": lambda: f"{number:.0f} lineages begin in {self.at(row)}, {usual:.2g} in the usual frame.",
        }
        return sentences[some.kind]()


def _change(column: str, name: str, cells: Detections, row: int, other: int, number: float, usual: float) -> str:  # noqa: PLR0913
    before, after = (float(cells.columns[column][i]) for i in (other, row))
    here = f"{name} goes from {before:.4g} to {after:.4g} between frame {cells.frame[other]} and frame {cells.frame[row]}"
    return f"The cell's {here}; the usual change is {abs(usual - 1):.1%}." if usual >= 1 else f"The cell's {here}."


def length(value: float, cells: Detections) -> str:
    """A length, in words: pixels when the scale is one, else micrometres, as film files have it."""
    return f"{value:.3g} {'px' if set(cells.scale) == {1.0} else 'µm'}"


def odds(gain: float) -> str:
    """How likely an alternative is, in words."""
    if abs(gain) < np.log(1.5):
        return "about as likely"
    times = float(np.exp(min(abs(gain), 20.0)))
    amount = "over 1000" if times > 1000 else f"{float(f'{times:.1g}'):.0f}" if times >= 10 else f"{times:.1f}"
    return f"{amount} times {'likelier' if gain > 0 else 'less likely'}"


def chance(rate: float) -> str:
    """A small probability, in words."""
    return f"1 in {float(f'{1 / max(rate, 1e-9):.2g}'):.0f}"


def kind_of(moves: Moves, forest: Forest) -> list[str]:
    """What each move would mend."""
    n_children = forest.n_children
    free = n_children[np.maximum(moves.new, 0)] == 0
    divides = n_children[np.maximum(moves.old, 0)] >= 2
    names = np.select(
        [moves.other >= 0, (moves.new < 0) & divides, moves.new < 0, moves.old >= 0, free],
        ["swapped links", "doubtful division", "doubtful link", "other parent", "broken track"],
        "lost division",
    )
    return [str(name) for name in names]
