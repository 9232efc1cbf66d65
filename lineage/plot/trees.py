"""Trees: lineages as lines that fork and never cross."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lineage.arrays import Array, FloatArray, IntArray
from lineage.detections import Detections
from lineage.forest import Forest

from .style import empty, lineage_colours, segments, thin, time_axis


def lineage_trees(
    forest: Forest,
    ax: Axes | None = None,
    *,
    lineages: Sequence[int] | None = None,
    time: Literal["right", "down"] = "right",
    legend: bool = True,
    linewidth: float | None = None,
) -> Axes:
    """Draw lineages as trees: one line a cell, a fork a division, a dashed line where a cell was missed.

    Trees stand side by side and never cross. Lines that end before the film does carry a cross: the cell was lost, left or died.

    Args:
        forest: The lineages.
        ax: Where to draw; a new figure (``ax.figure``) that grows with the number of cells when not given.
        lineages: Which to draw, by ``lineage_id``; all when not given. Their colours do not depend on it.
        time: Whether time runs to the right or down.
        legend: Explain the marks.
        linewidth: Points; chosen by the number of cells when not given.

    Returns:
        The axes drawn into.

    Raises:
        ValueError: There is no such lineage.
    """
    table = _chosen(forest.tracklets(), lineages)
    place = tree_layout(*_columns(table)[:3])
    n_leaves = int(place.max(initial=0)) + 1
    if ax is None:
        across = float(np.clip(1.2 + 0.11 * n_leaves, 2.5, 40))
        ax = Figure(figsize=(7, across) if time == "right" else (across, 7), layout="constrained").add_subplot()
    turned = slice(None, None, -1 if time == "down" else 1)
    late, lost = _draw_trees(ax, table, place, turned, linewidth or 2 * thin(n_leaves))
    _tree_axes(ax, forest.detections, n_leaves, time)
    if not len(table):
        empty(ax, "no cells")
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
    hang = segments(end[mother], place[child], start[child], place[child])
    for rows, drawn, style in (
        (np.arange(len(table)), segments(start, place, end, place), "solid"),
        (child[fork], segments(end[mother], place[mother], end[mother], place[child])[fork], "solid"),
        (child[~late], hang[~late], "solid"),
        (child[late], hang[late], (0, (2, 1.5))),
    ):
        parts = list(drawn[:, :, turned])
        ax.add_collection(
            LineCollection(parts, colors=colours[rows], linewidths=width, linestyles=[style], capstyle="round"), autolim=False
        )
    lost, dots = np.flatnonzero(fate == "lost"), np.flatnonzero((start == end) & (fate != "lost"))
    _mark(ax, np.column_stack([end[lost], place[lost]])[:, turned], colours[lost], "x", width)
    _mark(ax, np.column_stack([start[dots], place[dots]])[:, turned], colours[dots], "o", 0.6 * width)
    return bool(late.any()), bool(len(lost))


def _chosen(table: pd.DataFrame, lineages: Sequence[int] | None) -> pd.DataFrame:
    """The tracklets of some lineages, with ids and parents counted anew from 1."""
    if lineages is None:
        return table
    wanted = np.asarray(lineages, np.int64)
    if (lost := np.setdiff1d(wanted, table["lineage_id"].to_numpy())).size:
        raise ValueError(f"there is no lineage {lost[0]}: the forest has {table['lineage_id'].max() if len(table) else 0}, counted from 1")
    kept = table["lineage_id"].isin(wanted).to_numpy()
    number = np.concatenate([[0], np.where(kept, np.cumsum(kept), 0)])
    some = table[kept].reset_index(drop=True)
    return some.assign(tracklet_id=np.arange(1, len(some) + 1), parent_tracklet_id=number[some["parent_tracklet_id"].to_numpy()])


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


def _gap_of(free: Array, width: int) -> int:
    """First of ``width`` neighbouring free places."""
    taken = np.concatenate([[0], np.cumsum(~free)])
    return int(np.argmax(taken[width:] == taken[: len(taken) - width]))


def _mark(ax: Axes, points: FloatArray, colours: FloatArray, marker: str, width: float) -> None:
    if len(points):
        ax.scatter(points[:, 0], points[:, 1], c=colours, marker=marker, s=9 * width, linewidths=0.6 * width, zorder=3)


def _tree_axes(ax: Axes, cells: Detections, n_leaves: int, time: str) -> None:
    n_frames = cells.n_frames
    along, across = (ax.xaxis, ax.yaxis) if time == "right" else (ax.yaxis, ax.xaxis)
    span, wide = (-0.5 - 0.01 * n_frames, max(n_frames - 0.5, 0.5) + 0.01 * n_frames), (-1.0, n_leaves)
    ax.set(xlim=span if time == "right" else wide, ylim=wide[::-1] if time == "right" else span[::-1])
    time_axis(along, cells)
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
