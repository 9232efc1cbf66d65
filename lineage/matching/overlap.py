"""Matching by overlap: two label films, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lineage.arrays import Array, Film, FloatArray, IntArray, Progress, silent
from lineage.measure import compact, label_image

from .field import near_border, without
from .pairs import Matching
from .tracks import Tracks

# Annotated images of a frame: which slice of the frame (None: all of it), and the labels there.
References = Callable[[int], Sequence[tuple[int | None, Array]]]


def match_labels(
    truth: tuple[Tracks, Film],
    result: tuple[Tracks, Film],
    references: References | None = None,
    *,
    border: float = 0,
    progress: Progress[int] = silent,
) -> Matching:
    """Match by overlap: a result cell is the partner of a truth cell when it covers more than half of its pixels.

    One pass over the films, one frame of each in memory.

    Args:
        truth: A table and the film of its labels.
        result: Likewise.
        references: Annotated images of each frame, for SEG. None: the truth labels themselves.
        border: Result cells that are nobody's partner and whose centre lies closer to the border of the picture are left out, pixels.
        progress: Wraps the loop over frames.

    Raises:
        ValueError: Films of another length or shape, or labels that do not agree with their table.

    Matula et al. 2015, "Cell tracking accuracy measurement based on comparison of acyclic oriented graphs".
    """
    (tracks, film), (others, masks) = truth, result
    if len(film) != len(masks):
        raise ValueError(f"{others.name} has {len(masks)} frames, but {tracks.name} has {len(film)}: they are not of the same film")
    for side, labels in (truth, result):
        if np.any(over := side.table[:, 2] >= len(labels)):
            raise ValueError(f"{side.name} has the tracklet {side.table[over.argmax()].tolist()}, but its film has {len(labels)} frames")
    pairs: list[tuple[IntArray, IntArray]] = [(np.zeros(0, np.int64),) * 2]
    jaccard: list[FloatArray] = [np.zeros(0)]
    outside = [np.zeros(0, np.int64)]
    for t in progress(range(len(film)), "matching"):
        image, mask = label_image(film[t], t), label_image(masks[t], t)
        _same_shape(image, mask, t, (tracks.name, others.name))
        overlap = Overlap.of(image, mask)
        cells = _cells_of(tracks, t, overlap.labels), _cells_of(others, t, overlap.others)
        pairs.append((cells[0][overlap.row], cells[1][overlap.column]))
        if border:
            alone = np.setdiff1d(near_border(mask, border), overlap.others[overlap.column])
            outside.append(cells[1][np.searchsorted(overlap.others, alone)])
        if references is None:
            jaccard.append(overlap.jaccard)
            continue
        for layer, reference in references(t):
            seen = mask if layer is None else mask[layer]
            _same_shape(reference, seen, t, ("the segmentation truth", others.name))
            jaccard.append(Overlap.of(label_image(reference, t), seen).jaccard)
    left, right = (np.concatenate(column) for column in zip(*pairs, strict=True))
    found = Matching(tracks, others, left, right, np.concatenate(jaccard))
    return without(found, np.concatenate(outside)) if border else found


@dataclass(frozen=True, eq=False)
class Overlap:
    """How the cells of two label images cover each other.

    Attributes:
        labels, others: Labels in the first and in the second image, rising; int (a,), (b,).
        row, column: Partners, positions in ``labels`` and ``others``: the second covers more than half of the first; int (p,).
        jaccard: Intersection over union of each label of the first image with its partner, 0 without one; float (a,).
    """

    labels: IntArray
    others: IntArray
    row: IntArray
    column: IntArray
    jaccard: FloatArray

    @classmethod
    def of(cls, image: Array, other: Array) -> Overlap:
        """Count common pixels, all cells at once."""
        labels, pixels, owner = compact(image)
        others, other_pixels, other_owner = compact(other)
        below = np.zeros(image.size, np.int64)
        below[other_pixels] = other_owner + 1
        width = len(others) + 1
        key = owner * width + below[pixels]
        area, other_area = np.bincount(owner, minlength=len(labels)), np.bincount(other_owner, minlength=len(others))
        if len(labels) * width <= 4 * image.size + 1000:  # a table of counts, unless most of it would be zeros
            counts = np.bincount(key)
            cell = np.flatnonzero(counts)
            common = counts[cell]
        else:
            cell, common = np.unique(key, return_counts=True)
        row, column = cell // width, cell % width - 1
        half = (column >= 0) & (2 * common > area[row])
        row, column, common = row[half], column[half], common[half]
        jaccard = np.zeros(len(labels))
        jaccard[row] = common / (area[row] + other_area[column] - common)
        return cls(labels, others, row, column, jaccard)


def _cells_of(tracks: Tracks, frame: int, labels: IntArray) -> IntArray:
    alive, cells = tracks.at(frame)
    if len(alive) == len(labels) and np.array_equal(alive, labels):
        return cells
    extra, missing = np.setdiff1d(labels, alive), np.setdiff1d(alive, labels)
    if len(extra):
        raise ValueError(f"{tracks.name} has the label {extra[0]} in frame {frame}, but its table has no such tracklet alive there")
    raise ValueError(f"{tracks.name} has the tracklet {missing[0]} alive in frame {frame}, but no pixel there has this label")


def _same_shape(truth: Array, result: Array, frame: int, names: tuple[str, str]) -> None:
    if truth.shape != result.shape:
        raise ValueError(
            f"frame {frame} of {names[1]} has shape {result.shape}, but that of {names[0]} has {truth.shape}: they are not of the same film"
        )
