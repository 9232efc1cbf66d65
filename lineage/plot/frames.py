"""Frames: cells and the way they came, drawn over the film."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from lineage.arrays import Array, IntArray
from lineage.forest import Forest

from .style import bright, length_unit, lineage_colours, thin, time_unit


def tracks_over_frame(  # noqa: PLR0913 - three of them by keyword only
    forest: Forest,
    image_frame: object,
    frame: int,
    ax: Axes | None = None,
    *,
    labels_frame: object = None,
    tail: int = 10,
    unit: str = "",
) -> Axes:
    """Draw one frame with the cells' outlines and the way they came, coloured by lineage.

    Dark and bright are stretched between the 0.5th and the 99.8th percentile. A 3D frame is shown as its maximum along z.

    Args:
        forest: The lineages.
        image_frame: The frame's image, (Y, X) or (Z, Y, X).
        frame: Its number.
        ax: Where to draw; a new figure (``ax.figure``) when not given.
        labels_frame: The frame's label image, for outlines; dots at the centres when not given.
        tail: How many frames back the tails reach.
        unit: Name of the unit of positions, for the scale bar; "px" when the scale is 1, else "µm", when not given.

    Returns:
        The axes drawn into.

    Raises:
        ValueError: Image or labels do not have the axes of the detections, or differ in shape.
    """
    image = np.asarray(image_frame)
    labels = None if labels_frame is None else np.asarray(labels_frame)
    _check_frame(forest, image, labels, frame)
    image = image.max(0) if image.ndim == 3 else image
    if ax is None:
        ax = Figure(figsize=(5, max(5 * image.shape[0] / image.shape[1], 1.5)), layout="constrained").add_subplot()
    scale = forest.detections.scale[-2:]
    finite = image[np.isfinite(image)]
    low, high = np.percentile(finite, [0.5, 99.8]) if finite.size else (0.0, 1.0)
    ax.imshow(image, cmap="gray", vmin=float(low), vmax=float(max(high, low + 1e-9)), aspect=scale[0] / scale[1])
    rows = np.arange(len(forest))[forest.detections.at(frame)]
    _tails(ax, forest, rows, tail)
    if labels is not None:
        _outlines(ax, forest, rows, labels)
    else:
        y, x = forest.detections.position[rows, -2:].T / np.array(scale)[:, None]
        ax.scatter(x, y, s=8, c=bright(lineage_colours(forest.lineage_id[rows])), linewidths=0)
    ax.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5), xticks=[], yticks=[])
    step, name = time_unit(forest.detections)
    when = f"frame {frame}" if forest.detections.interval is None else f"frame {frame}, {frame * step:.3g} {name}"
    ax.set_title(when, fontsize="medium", pad=3)
    ax.spines[:].set_visible(False)
    _scale_bar(ax, image.shape[1], image.shape[0], scale[1], length_unit(forest.detections, unit))
    return ax


def _check_frame(forest: Forest, image: Array, labels: Array | None, frame: int) -> None:
    axes = forest.detections.axes
    if image.ndim != len(axes):
        raise ValueError(f"image frame {frame} has shape {image.shape}, but the detections have the axes ({', '.join(axes)})")
    if labels is not None and labels.shape != image.shape:
        raise ValueError(f"label frame {frame} has shape {labels.shape}, but its image has {image.shape}")


def _tails(ax: Axes, forest: Forest, rows: IntArray, tail: int) -> None:
    """The last steps of the cells in some rows, fading into the past; divisions join at the mother."""
    cells, n = forest.detections, len(rows)
    pieces, ages, ends = [np.zeros((0, 2), np.int64)], [np.zeros(0)], cells.frame[rows[:1]]
    for _ in range(tail):
        rows = np.unique(rows[forest.parent[rows] >= 0])
        rows = rows[(ends - cells.frame[rows]) < tail] if len(rows) else rows
        pieces.append(np.column_stack([rows, forest.parent[rows]]))
        ages.append((ends - cells.frame[rows]) / tail if len(rows) else np.zeros(0))
        rows = forest.parent[rows]
    step, age = np.concatenate(pieces), np.concatenate(ages)
    step, first = np.unique(step, axis=0, return_index=True)
    points = (cells.position[step][:, :, -2:] / np.array(cells.scale[-2:]))[:, :, ::-1]
    colours = np.column_stack([bright(lineage_colours(forest.lineage_id[step[:, 0]])), 1 - 0.85 * age[first]])
    ax.add_collection(LineCollection(list(points), colors=colours, linewidths=1.3 * thin(n), capstyle="round"), autolim=False)


def _outlines(ax: Axes, forest: Forest, rows: IntArray, labels: Array) -> None:
    """Outlines of the masks, in 3D of their shadows along z; those that are no cells are grey and dotted."""
    from scipy.ndimage import find_objects
    from skimage.measure import find_contours

    known = dict(zip(forest.detections.label[rows].tolist(), rows.tolist(), strict=True))
    values = np.unique(labels[labels > 0])
    ranked = np.searchsorted(values, labels, side="right")
    ranked[labels == 0] = 0
    lines: list[Array] = []
    owner: list[int] = []
    for value, box in zip(values.tolist(), find_objects(ranked, len(values)), strict=True):  # a contour is traced cell by cell
        mask = labels[box] == value
        mask = mask.any(0) if mask.ndim == 3 else mask
        corner = np.array([side.start for side in box[-2:]]) - 1
        contours = find_contours(np.pad(mask, 1).astype(float), 0.5)
        lines += [(contour + corner)[:, ::-1] for contour in contours]
        owner += [known.get(value, -1)] * len(contours)
    row = np.array(owner, np.int64)
    lineage = np.where(row >= 0, forest.lineage_id[row] if len(forest) else 0, 0)
    styles: list[object] = ["solid" if number else (0, (1, 1.5)) for number in lineage]
    ax.add_collection(
        LineCollection(lines, colors=bright(lineage_colours(lineage)), linewidths=thin(len(values)), linestyles=styles), autolim=False
    )


def _scale_bar(ax: Axes, width: int, height: int, pixel: float, unit: str) -> None:
    """A bar of a round length, about a fifth of the frame, in physical units."""
    goal = 0.22 * width * pixel
    power = 10.0 ** np.floor(np.log10(goal))
    length = float(max(step * power for step in (1, 2, 5) if step * power <= goal))
    right, bottom = 0.96 * width, height - 1 - 0.05 * max(height, 0.3 * width)
    outline = [withStroke(linewidth=2.5, foreground="black", alpha=0.6)]
    ax.plot([right - length / pixel, right], [bottom, bottom], color="white", linewidth=2.5, solid_capstyle="butt")
    ax.annotate(
        f"{length:g} {unit}",
        (right - length / pixel / 2, bottom),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        va="bottom",
        color="white",
        fontsize=7,
        path_effects=outline,
    )
