"""Outlines of cells, traced in their masks, as text."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from lineage.arrays import Array, Film, FloatArray, Progress, silent
from lineage.detections import Detections
from lineage.measure import compact, label_image

PIXELS = 0.25  # how far an outline may run beside the border of a mask, so that straight sides are two points


def outlines(cells: Detections, labels: Film, progress: Progress[int] = silent) -> Iterator[str]:
    """The outline of every cell of a 2D film, row by row; one frame of labels is in memory at a time.

    Args:
        cells: Detections; ``label`` says which pixels are whose.
        labels: Label film, (T, Y, X); it is only read.
        progress: Wraps the loop over frames.

    Returns:
        ``x y x y ...``, relative to the position of the cell, physical units; nothing for a cell that has no pixels. Of a cell
        in pieces it is the largest piece, and holes are filled.

    Raises:
        ValueError: Frames that are no label images of two axes.
    """
    for t in progress(range(int(cells.frame.max(initial=-1)) + 1), "tracing outlines"):
        rows = cells.at(t)
        if rows.start == rows.stop:
            continue
        image = label_image(labels[t], t)
        if image.ndim != 2:
            raise ValueError(f"label frame {t} has shape {image.shape}, but outlines are those of 2D cells")
        yield from _frame(image, cells, rows)


def _frame(image: Array, cells: Detections, rows: slice) -> Iterator[str]:
    present, pixels, owner = compact(image)
    numbered: Array = np.zeros(image.size, np.int32)
    numbered[pixels] = owner + 1
    numbered = numbered.reshape(image.shape)
    boxes = ndimage.find_objects(numbered)
    place = np.searchsorted(present, cells.label[rows])
    for row, k, label in zip(range(rows.start, rows.stop), place.tolist(), cells.label[rows].tolist(), strict=True):
        if k == len(present) or present[k] != label:
            yield ""
            continue
        box = boxes[k]
        outline = _trace(numbered[box] == k + 1) + [side.start for side in box]
        points = outline * np.array(cells.scale) - cells.position[row]
        yield " ".join(f"{value:.6g}" for value in points[:, ::-1].ravel().tolist())


def _trace(mask: Array) -> FloatArray:
    """The outer border of a mask, half a pixel around the centres of its pixels; float (k, 2), y x, not closed."""
    from skimage.measure import approximate_polygon, find_contours

    closed: FloatArray = max(find_contours(np.pad(mask, 1).astype(np.uint8), 0.5), key=_extent) - 1
    simple: FloatArray = approximate_polygon(closed, PIXELS)
    return (simple if len(simple) > 3 else closed)[:-1]


def _extent(points: FloatArray) -> float:
    """Area inside a closed line, pixels."""
    y, x = points.T
    return abs(float(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1]))) / 2
