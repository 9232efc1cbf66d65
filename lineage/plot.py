"""Figures: lineage trees, tracks drawn over frames, and both on one page."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from .arrays import Array, Film, FloatArray, IntArray
from .forest import Forest

# Okabe and Ito's colours for all kinds of colour vision (2008), without yellow and black, which are lost on white and on dark frames;
# blue is a little lighter than theirs to be seen on dark frames. A second and third round are lighter and darker.
_COLOURS = np.array([[230, 159, 0], [58, 142, 214], [0, 158, 115], [213, 94, 0], [204, 121, 167], [86, 180, 233]]) / 255
_GREY = np.array([0.6, 0.6, 0.6])
_KINDS = (".png", ".svg", ".pdf")
_CROWD = 60  # with more cells than this in a picture, lines get thinner and marks smaller


def lineage_colours(lineage_id: Array) -> FloatArray:
    """One colour a lineage, the same in every figure, told apart by all kinds of colour vision.

    Args:
        lineage_id: Numbers from 1; 0 (no lineage) is grey. Int (n,).

    Returns:
        Red, green, blue in 0..1; float (n, 3).
    """
    number = np.asarray(lineage_id, np.int64) - 1
    colour, turn = _COLOURS[number % len(_COLOURS)], (number // len(_COLOURS) % 3)[:, None]
    shade = np.select([turn == 1, turn == 2], [0.6 * colour + 0.4 * np.array([0.93, 0.93, 0.93]), 0.72 * colour], colour)
    return np.where(number[:, None] < 0, _GREY, shade)


def lineage_trees(
    forest: Forest,
    ax: Axes | None = None,
    *,
    time: Literal["right", "down"] = "right",
    legend: bool = True,
    linewidth: float | None = None,
) -> Axes:
    """Draw all lineages as trees: one line a cell, a fork a division, a dashed line where a cell was missed.

    Trees stand side by side and never cross. Lines that end before the film does carry a cross: the cell was lost, left or died.

    Args:
        forest: The lineages.
        ax: Where to draw; a new figure (``ax.figure``) that grows with the number of cells when not given.
        time: Whether time runs to the right or down.
        legend: Explain the marks.
        linewidth: Points; chosen by the number of cells when not given.

    Returns:
        The axes drawn into.
    """
    table = forest.tracklets()
    place = tree_layout(*_columns(table)[:3])
    n_leaves = int(place.max(initial=0)) + 1
    if ax is None:
        across = float(np.clip(1.2 + 0.11 * n_leaves, 2.5, 40))
        ax = Figure(figsize=(7, across) if time == "right" else (across, 7), layout="constrained").add_subplot()
    turned = slice(None, None, -1 if time == "down" else 1)
    late, lost = _draw_trees(ax, table, place, turned, linewidth or 2 * _thin(n_leaves))
    _tree_axes(ax, forest.detections.n_frames, n_leaves, time)
    if not len(table):
        ax.text(0.5, 0.5, "no cells", transform=ax.transAxes, ha="center", va="center", color="0.4")
    elif legend:
        _tree_legend(ax, {"missed": late, "lost": lost})
    return ax


def _draw_trees(ax: Axes, table: pd.DataFrame, place: FloatArray, turned: slice, width: float) -> tuple[bool, bool]:
    """Draw the tracklets at their places; tell whether some cells were missed, and whether some were lost."""
    start, end, parent, fate = _columns(table)
    colours = lineage_colours(table["lineage_id"].to_numpy(np.int64))
    child = np.flatnonzero(parent >= 0)
    mother = parent[child]
    fork, late = place[child] != place[mother], start[child] > end[mother] + 1
    hang = _segments(end[mother], place[child], start[child], place[child])
    for rows, segments, style in (
        (np.arange(len(table)), _segments(start, place, end, place), "solid"),
        (child[fork], _segments(end[mother], place[mother], end[mother], place[child])[fork], "solid"),
        (child[~late], hang[~late], "solid"),
        (child[late], hang[late], (0, (2, 1.5))),
    ):
        parts = list(segments[:, :, turned])
        ax.add_collection(
            LineCollection(parts, colors=colours[rows], linewidths=width, linestyles=[style], capstyle="round"), autolim=False
        )
    lost, dots = np.flatnonzero(fate == "lost"), np.flatnonzero((start == end) & (fate != "lost"))
    _mark(ax, np.column_stack([end[lost], place[lost]])[:, turned], colours[lost], "x", width)
    _mark(ax, np.column_stack([start[dots], place[dots]])[:, turned], colours[dots], "o", 0.6 * width)
    return bool(late.any()), bool(len(lost))


def _columns(table: pd.DataFrame) -> tuple[IntArray, IntArray, IntArray, Array]:
    """First frame, last frame, row of the parent or -1, and fate of every tracklet."""
    start, end, parent = (table[name].to_numpy(np.int64) for name in ("start", "end", "parent_tracklet_id"))
    return start, end, parent - 1, table["fate"].to_numpy()


def tree_layout(start: IntArray, end: IntArray, parent: IntArray) -> FloatArray:
    """Where each line of a forest stands across time, so that no two cross.

    A tree takes as many places as it has leaves; daughters' subtrees lie side by side and a mother stands in the middle of her
    daughters. Trees share places when one is over before the other begins.

    Args:
        start: First frame of every line, never falling; int (n,).
        end: Its last frame; int (n,).
        parent: Row of the line it comes from, always an earlier row, or -1; int (n,).

    Returns:
        Place of every line, from 0; float (n,).
    """
    n = len(start)
    leaves, last = np.zeros(n, np.int64), end.copy()
    children: list[list[int]] = [[] for _ in range(n)]
    # Loops over lines: a place depends on the places of the lines below (then above) it, which a vector cannot know at once.
    for i in range(n - 1, -1, -1):
        leaves[i] = max(leaves[i], 1)
        if parent[i] >= 0:
            leaves[parent[i]] += leaves[i]
            last[parent[i]] = max(last[parent[i]], last[i])
            children[parent[i]].insert(0, i)
    first = np.zeros(n, np.int64)
    free = np.full(int(leaves[parent < 0].sum()), -2)  # last frame in which each place is taken
    for i in range(n):
        if parent[i] < 0:
            first[i] = _gap_of(free < start[i] - 1, int(leaves[i]))
            free[first[i] : first[i] + leaves[i]] = last[i]
        at = int(first[i])
        for child in children[i]:
            first[child], at = at, at + int(leaves[child])
    place = first.astype(float)
    for i in range(n - 1, -1, -1):
        if children[i]:
            place[i] = place[children[i]].mean()
    return place


def _thin(n: int) -> float:
    """Part of the usual line width, when n things share the picture."""
    return float(np.clip((_CROWD / max(n, 1)) ** 0.5, 0.3, 1))


def _gap_of(free: Array, width: int) -> int:
    """First of ``width`` neighbouring free places."""
    taken = np.concatenate([[0], np.cumsum(~free)])
    return int(np.argmax(taken[width:] == taken[: len(taken) - width]))


def _segments(a: Array, b: Array, c: Array, d: Array) -> FloatArray:
    """Lines from (a, b) to (c, d); float (n, 2, 2)."""
    return np.stack([np.column_stack([a, b]), np.column_stack([c, d])], axis=1).astype(float)


def _mark(ax: Axes, points: FloatArray, colours: FloatArray, marker: str, width: float) -> None:
    if len(points):
        ax.scatter(points[:, 0], points[:, 1], c=colours, marker=marker, s=9 * width, linewidths=0.6 * width, zorder=3)


def _tree_axes(ax: Axes, n_frames: int, n_leaves: int, time: str) -> None:
    along, across = (ax.xaxis, ax.yaxis) if time == "right" else (ax.yaxis, ax.xaxis)
    span, wide = (-0.5 - 0.01 * n_frames, max(n_frames - 0.5, 0.5) + 0.01 * n_frames), (-1.0, n_leaves)
    ax.set(xlim=span if time == "right" else wide, ylim=wide[::-1] if time == "right" else span[::-1])
    along.set_label_text("frame")
    along.set_major_locator(MaxNLocator(integer=True))
    across.set_ticks([])
    for side in ("top", "right", "left") if time == "right" else ("top", "right", "bottom"):
        ax.spines[side].set_visible(False)
    along.grid(visible=True, color="0.93", linewidth=0.6)
    ax.set_axisbelow(True)


def _tree_legend(ax: Axes, shown: dict[str, bool]) -> None:
    marks = {
        "missed": Line2D([], [], color="0.35", linestyle=(0, (2, 1.5)), label="missed"),
        "lost": Line2D([], [], color="0.35", marker="x", linestyle="none", markersize=4, label="lost, left or died"),
    }
    if handles := [mark for name, mark in marks.items() if shown[name]]:
        ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize="small", borderaxespad=0.2)


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
        unit: Name of the physical unit, for the scale bar; "px" when the scale is 1.

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
        ax.scatter(x, y, s=8, c=_bright(lineage_colours(forest.lineage_id[rows])), linewidths=0)
    ax.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5), xticks=[], yticks=[])
    ax.set_title(f"frame {frame}", fontsize="medium", pad=3)
    ax.spines[:].set_visible(False)
    _scale_bar(ax, image.shape[1], image.shape[0], scale[1], unit)
    return ax


def _check_frame(forest: Forest, image: Array, labels: Array | None, frame: int) -> None:
    axes = forest.detections.axes
    if image.ndim != len(axes):
        raise ValueError(f"image frame {frame} has shape {image.shape}, but the detections have the axes ({', '.join(axes)})")
    if labels is not None and labels.shape != image.shape:
        raise ValueError(f"label frame {frame} has shape {labels.shape}, but its image has {image.shape}")


def _bright(colours: FloatArray) -> FloatArray:
    """Colours for a dark ground."""
    return 0.8 * colours + 0.2


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
    colours = np.column_stack([_bright(lineage_colours(forest.lineage_id[step[:, 0]])), 1 - 0.85 * age[first]])
    ax.add_collection(LineCollection(list(points), colors=colours, linewidths=1.3 * _thin(n), capstyle="round"), autolim=False)


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
        LineCollection(lines, colors=_bright(lineage_colours(lineage)), linewidths=_thin(len(values)), linestyles=styles), autolim=False
    )


def _scale_bar(ax: Axes, width: int, height: int, pixel: float, unit: str) -> None:
    """A bar of a round length, about a fifth of the frame, in physical units."""
    goal = 0.22 * width * pixel
    power = 10.0 ** np.floor(np.log10(goal))
    length = float(max(step * power for step in (1, 2, 5) if step * power <= goal))
    name = unit or ("px" if pixel == 1 else "")
    right, bottom = 0.96 * width, height - 1 - 0.05 * max(height, 0.3 * width)
    outline = [withStroke(linewidth=2.5, foreground="black", alpha=0.6)]
    ax.plot([right - length / pixel, right], [bottom, bottom], color="white", linewidth=2.5, solid_capstyle="butt")
    ax.annotate(
        f"{length:g} {name}".strip(),
        (right - length / pixel / 2, bottom),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        va="bottom",
        color="white",
        fontsize=7,
        path_effects=outline,
    )


def overview(  # noqa: PLR0913 - three of them by keyword only
    forest: Forest,
    film: Film,
    labels: Film | None = None,
    path: str | os.PathLike[str] | None = None,
    *,
    frames: Sequence[int] | None = None,
    tail: int = 10,
    unit: str = "",
) -> Figure:
    """Show a whole result on one page: frames with outlines and tails on the left, lineage trees on the right.

    Args:
        forest: The lineages.
        film: Images, (T, [Z,] Y, X), anything that can be indexed by frame.
        labels: Label film of the same shape, for outlines.
        path: Where to save the figure, ``.png``, ``.svg`` or ``.pdf``; not saved when not given.
        frames: Which frames to show; the first, the middle and the last when not given.
        tail: How many frames back the tails reach.
        unit: Name of the physical unit, for the scale bar.

    Returns:
        The figure.

    Raises:
        ValueError: A file name that ends otherwise, frames that the film does not have, or labels of another length.
        FileNotFoundError: There is no folder to save into.
    """
    target = None if path is None else _target(path)
    n = len(film)
    if labels is not None and len(labels) != n:
        raise ValueError(f"the film has {n} frames, but the labels have {len(labels)}")
    shown = sorted({0, (n - 1) // 2, n - 1} & set(range(n))) if frames is None else list(frames)
    if n == 0 or not shown or min(shown) < 0 or max(shown) >= n:
        raise ValueError(f"frames {shown} cannot be shown: the film has {n} frames")
    shape = np.shape(film[shown[0]])
    tall = float(np.clip(shape[-2] * forest.detections.scale[-2] / (shape[-1] * forest.detections.scale[-1]), 0.3, 3))
    side = min(3.0, 9 / len(shown) / tall)
    figure = Figure(figsize=(side + 6.0, max(len(shown) * (side * tall + 0.3), 4.5)), layout="constrained", dpi=150)
    grid = figure.add_gridspec(len(shown), 2, width_ratios=(side, 6.0))
    for place, t in enumerate(shown):
        outline = None if labels is None else labels[t]
        tracks_over_frame(forest, film[t], t, figure.add_subplot(grid[place, 0]), labels_frame=outline, tail=tail, unit=unit)
    trees = lineage_trees(forest, figure.add_subplot(grid[:, 1]))
    cells = len(forest.life_table())
    trees.set_title(f"{len(forest.roots)} lineages, {cells} cells, {len(forest.divisions)} divisions", fontsize="medium", loc="right")
    if target is not None:
        save_figure(figure, target)
    return figure


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Save a figure as PNG, SVG or PDF by the ending of its name; the file is whole or not there, and the same figure gives the same bytes.

    Args:
        figure: The figure.
        path: Where to; the folder must exist, an older file is replaced.

    Returns:
        The path.

    Raises:
        ValueError: The name ends otherwise.
        FileNotFoundError: There is no such folder.
    """
    target = _target(path)
    undated = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}[target.suffix.lower()]
    with tempfile.TemporaryDirectory(prefix=".figure", dir=target.parent) as folder:
        draft = Path(folder) / target.name
        with rc_context({"svg.hashsalt": "lineage", "svg.fonttype": "none"}):
            figure.savefig(draft, metadata=undated)
        draft.replace(target)
    return target


def _target(path: str | os.PathLike[str]) -> Path:
    """Where a figure goes, or an error that says why it cannot go there."""
    target = Path(path)
    if target.suffix.lower() not in _KINDS:
        raise ValueError(f"cannot save a figure as {target.name}: the name must end in {', '.join(_KINDS)}")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot save {target.name}: there is no folder {target.parent}")
    return target
