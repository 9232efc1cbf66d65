"""Renumbering: label images whose cells get other numbers, whole or plane by plane."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lineage.arrays import Array, BoolArray, Film, IntArray, in_slabs
from lineage.measure import label_image


@dataclass(frozen=True, eq=False)
class Planes:
    """A frame that is too large to be held whole: its planes, one after another."""

    shape: tuple[int, ...]
    planes: Iterator[Array]


def relabelled(image: Array, old: IntArray, new: IntArray, *, frame: int) -> Array:
    """A label image with other numbers, 0 where a label is not listed; the image itself is left alone.

    Args:
        image: Label image, (Y, X) or (Z, Y, X).
        old: Labels to keep; int (n,).
        new: Their new numbers, below 65536; int (n,).
        frame: Its number, for messages.

    Raises:
        ValueError: A label is listed twice or is not in the image.
    """
    old, new = _in_order(old, new, frame)
    fresh = _renumbered(image, old, new)
    there = np.zeros(int(new.max(initial=0)) + 1, bool)
    there[fresh.ravel()] = True
    _check_all(there, old, new, frame)
    return fresh


def relabelled_planes(labels: Film, t: int, old: IntArray, new: IntArray) -> Iterator[Array]:
    """The planes of ``relabelled``, one after another; only some of the frame is in memory."""
    old, new = _in_order(old, new, t)
    there = np.zeros(int(new.max(initial=0)) + 1, bool)
    for _, part in in_slabs(labels, t)[1]:
        fresh = _renumbered(label_image(part, t), old, new)
        there[fresh.ravel()] = True
        yield from fresh
    _check_all(there, old, new, t)


def _in_order(old: IntArray, new: IntArray, frame: int) -> tuple[IntArray, IntArray]:
    order = np.argsort(old, kind="stable")
    old, new = old[order], new[order]
    twice = np.flatnonzero(np.diff(old) == 0)
    if twice.size:
        raise ValueError(f"label {old[twice[0]]} stands for two cells of frame {frame}")
    return old, new


def _renumbered(image: Array, old: IntArray, new: IntArray) -> Array:
    """The image with the new numbers of rising old ones; uint16."""
    top = int(image.max(initial=0))
    if top <= 4 * image.size + 65536:  # a look-up table is faster than searching, unless labels are huge
        table = np.zeros(top + 1, np.uint16)
        table[old[old <= top]] = new[old <= top]
        return table[image]
    place = np.minimum(np.searchsorted(old, image), max(len(old) - 1, 0))
    return np.where(old[place] == image, new[place], 0).astype(np.uint16) if len(old) else np.zeros(image.shape, np.uint16)


def _check_all(there: BoolArray, old: IntArray, new: IntArray, frame: int) -> None:
    lost = np.flatnonzero(~there[new])
    if lost.size:
        raise ValueError(f"frame {frame} of the label film has no label {old[lost[0]]}, but the forest has a cell there")
