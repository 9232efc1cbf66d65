"""What a lineage file can hold: the facets of a forest in words, and which of them a format would lose."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from lineage.arrays import Array, IntArray
from lineage.forest import Forest

FACETS = MappingProxyType(
    {
        "divisions": "cells with two children or more",
        "gaps": "links over missed frames",
        "isolated": "cells without any link",
        "positions": "where the cells are",
        "labels": "pixel values of the cells in their masks",
        "columns": "measured numbers and truth values",
        "text": "columns of text",
        "control": "control characters in text (other than tab and new lines)",
        "arrays": "columns with more than one value a cell",
        "other": "columns of other types: complex numbers, dates, bytes",
        "link_cost": "costs of the links",
        "unselected": "detections that are not believed",
        "conflicts": "sets of detections of which at most one is real",
        "scale": "size of a pixel",
        "interval": "seconds between frames",
        "length": "frames after the last cell",
        "certificate": "proof of optimality",
        "record": "settings and estimates",
        "slack": "what deciding otherwise would cost",
        "masks": "the label images",
    }
)
EVERYTHING = frozenset(FACETS)
OURS = frozenset("id parent_id t label z y x tracklet_id parent_tracklet_id lineage_id generation gap link_cost".split())  # names of facts
CONTROL = frozenset(map(chr, (*range(9), 11, 12, *range(14, 32), *range(55296, 57344), 65534, 65535)))  # what XML cannot hold


@dataclass(frozen=True)
class Loss:
    """Something that a forest has and a format cannot hold.

    Attributes:
        facet: Which kind of thing, a word of ``FACETS``.
        message: How much of it, and what becomes of it.
    """

    facet: str
    message: str

    def __str__(self) -> str:
        return f"{self.facet}: {self.message}"


def losses(forest: Forest, holds: Collection[str], *, masks: bool = False, instead: Mapping[str, str] = MappingProxyType({})) -> list[Loss]:
    """What this forest has that a format cannot hold, with counts; nothing when all of it comes back.

    Args:
        forest: Lineages.
        holds: What the format holds, words of ``FACETS``.
        masks: Whether there are label images beside the forest.
        instead: By facet, what the format does instead, in place of the usual words.

    Raises:
        ValueError: A word that is no facet.
    """
    if unknown := sorted(set(holds) - EVERYTHING):
        raise ValueError(f"{unknown[0]} is nothing that a format holds; there are {', '.join(FACETS)}")
    found = []
    for facet, (look, becomes) in _LOOKS.items():
        if facet not in holds and (what := look(_Kept(forest, holds))):
            found.append(Loss(facet, f"{what}; {instead.get(facet, becomes)}"))
    if masks and "masks" not in holds:
        found.append(Loss("masks", f"the label images; {instead.get('masks', 'keep them beside the file')}"))
    return found


@dataclass(frozen=True, eq=False)
class _Kept:
    """A forest, and the rows of it that a format keeps."""

    forest: Forest
    holds: Collection[str]

    @property
    def rows(self) -> IntArray:
        all_rows = np.arange(len(self.forest))
        return all_rows if "unselected" in self.holds else all_rows[self.forest.selected]


def _count(number: int, one: str, many: str = "") -> str:
    """A number with its noun, nothing for none."""
    return f"{number} {one if number == 1 else many or one + 's'}" if number else ""


def _some(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _divisions(kept: _Kept) -> str:
    return _count(len(kept.forest.divisions), "division")


def _gaps(kept: _Kept) -> str:
    number = int((kept.forest.gap > 0).sum())
    return _count(number, "link bridges missed frames", "links bridge missed frames")


def _isolated(kept: _Kept) -> str:
    forest = kept.forest
    return _count(
        int((forest.selected & (forest.parent < 0) & (forest.n_children == 0)).sum()), "cell without any link", "cells without any link"
    )


def _positions(kept: _Kept) -> str:
    return _count(len(kept.rows), "position")


def _labels(kept: _Kept) -> str:
    return _count(
        int((kept.forest.detections.label[kept.rows] != 0).sum()), "label of a cell in its mask", "labels of cells in their masks"
    )


def kind_of(column: Array) -> str:
    """The facet that a column belongs to: ``columns``, ``text``, ``arrays`` or ``other``."""
    if column.ndim != 1:
        return "arrays"
    if column.dtype.kind in "biuf":
        return "columns"
    words = column.dtype.kind == "U" or (column.dtype.kind == "O" and all(isinstance(value, str) for value in column.tolist()))
    return "text" if words else "other"


def named_away(forest: Forest, keeps: Callable[[str, int], bool], holds: Collection[str]) -> list[Loss]:
    """Columns that a format would hold under another name: it keeps theirs for itself.

    Args:
        forest: Lineages.
        keeps: Which names the format keeps, for so many spatial axes.
        holds: What the format holds.
    """
    found: dict[str, list[str]] = {}
    for name, column in forest.detections.columns.items():
        if keeps(name, forest.detections.n_axes) and kind_of(column) in holds:
            found.setdefault(kind_of(column), []).append(name)
    what = "with a name that the format keeps for itself; left out"
    return [Loss(kind, f"{_count(len(names), 'column')} ({_some(list(map(repr, names)))}) {what}") for kind, names in found.items()]


def _of_kind(kind: str) -> Callable[[_Kept], str]:
    def look(kept: _Kept) -> str:
        names = [name for name, column in kept.forest.detections.columns.items() if kind_of(column) == kind]
        return (names and f"{_count(len(names), 'column')} ({_some(names)})") or ""

    return look


def text_like_numbers(forest: Forest) -> list[Loss]:
    """What a table without types cannot hold beyond the usual: text that looks like numbers, truth values or nothing."""
    changed = []
    for name, column in forest.detections.columns.items():
        if kind_of(column) == "text":
            values = {str(value).strip() for value in column[forest.selected].tolist()}
            if values and (all(map(_like_number, values)) or values <= _TRUTHS | {""}):
                changed.append(name)
    what = _count(len(changed), "column of text that looks like numbers", "columns of text that look like numbers")
    return [Loss("text", f"{what} ({_some(changed)}); they read as numbers")] if changed else []


_TRUTHS = frozenset(("True", "TRUE", "true", "False", "FALSE", "false"))


def _like_number(text: str) -> bool:
    try:
        return not text or isinstance(float(text), float)
    except ValueError:
        return False


def _control(kept: _Kept) -> str:
    columns = [column for column in kept.forest.detections.columns.values() if kind_of(column) == "text"] if "text" in kept.holds else []
    number = sum(not CONTROL.isdisjoint(str(value)) for column in columns for value in column[kept.rows].tolist())
    return _count(number, "text with control characters", "texts with control characters")


def _link_cost(kept: _Kept) -> str:
    known = ~np.isnan(kept.forest.link_cost[kept.rows])
    return _count(int(known.sum()), "cost of a link", "costs of links")


def _unselected(kept: _Kept) -> str:
    return _count(int((~kept.forest.selected).sum()), "detection that is not selected", "detections that are not selected")


def _conflicts(kept: _Kept) -> str:
    return _count(len(kept.forest.detections.conflicts), "conflict set")


def _scale(kept: _Kept) -> str:
    cells = kept.forest.detections
    sizes = " x ".join(f"{size:g}" for size in cells.scale)
    return f"the size of a pixel, {sizes} ({', '.join(cells.axes)})" if set(cells.scale) != {1.0} else ""


def _interval(kept: _Kept) -> str:
    interval = kept.forest.detections.interval
    return "" if interval is None else f"{interval:g} seconds between frames"


def _length(kept: _Kept) -> str:
    cells = kept.forest.detections
    number = cells.n_frames - int(cells.frame[kept.rows].max(initial=-1)) - 1
    return _count(number, "frame after the last cell", "frames after the last cell")


def _certificate(kept: _Kept) -> str:
    return "the certificate of the solver" if kept.forest.certificate else ""


def _record(kept: _Kept) -> str:
    return f"the record of how it was made ({_some(list(map(str, kept.forest.record)))})" if kept.forest.record else ""


def _slack(kept: _Kept) -> str:
    return "the slack of every decision" if kept.forest.slack else ""


_Look = Callable[[_Kept], str]
_LOOKS: Mapping[str, tuple[_Look, str]] = {  # how much there is, and what usually becomes of it
    "divisions": (_divisions, "daughters begin lineages of their own"),
    "gaps": (_gaps, "a new lineage begins after each"),
    "isolated": (_isolated, "left out"),
    "positions": (_positions, "they read as 0"),
    "labels": (_labels, "they read as 0"),
    "columns": (_of_kind("columns"), "left out"),
    "text": (_of_kind("text"), "left out"),
    "control": (_control, "those are replaced"),
    "arrays": (_of_kind("arrays"), "left out"),
    "other": (_of_kind("other"), "left out"),
    "link_cost": (_link_cost, "left out"),
    "unselected": (_unselected, "left out"),
    "conflicts": (_conflicts, "left out"),
    "scale": (_scale, "it reads as 1"),
    "interval": (_interval, "left out"),
    "length": (_length, "the film ends with its last cell"),
    "certificate": (_certificate, "left out"),
    "record": (_record, "left out"),
    "slack": (_slack, "left out"),
}
