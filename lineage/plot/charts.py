"""Charts: how many cells there are, how far they move, when they divide, and where they went."""

from __future__ import annotations

from typing import Any, Literal, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter
from matplotlib.transforms import offset_copy

from lineage.arrays import Array, FloatArray, IntArray
from lineage.forest import Forest

from .style import BLUE, GREEN, INK, ORANGE, empty, length_unit, lineage_colours, panel, thin, time_axis, time_unit

_LANE = 9.0  # points between rows of marks


def cells_per_frame(forest: Forest, ax: Axes | None = None) -> Axes:
    """Draw how many cells there are in each frame, and mark below when cells divide, and when lineages begin and end in the film.

    Args:
        forest: The lineages.
        ax: Where to draw; a new figure (``ax.figure``) when not given.

    Returns:
        The axes drawn into.
    """
    ax = panel(ax, (3.8, 2.8))
    cells, n = forest.detections, forest.detections.n_frames
    count = np.bincount(cells.frame[forest.selected], minlength=n)
    ax.step(np.arange(n), count, where="mid", color=INK, linewidth=1.4)
    ends = np.flatnonzero(forest.selected & (forest.n_children == 0) & (cells.frame < n - 1))
    begins = forest.roots[cells.frame[forest.roots] > 0]
    marks = ((forest.divisions, BLUE, "divisions"), (begins, GREEN, "begin"), (ends, ORANGE, "end"))
    for lane, (rows, colour, name) in enumerate(marks):
        strength = np.bincount(cells.frame[rows], minlength=n)
        at, below = np.flatnonzero(strength), -_LANE * (lane + 0.8)
        spot = offset_copy(ax.get_xaxis_transform(), cast(Figure, ax.figure), y=below, units="points")
        ax.scatter(at, np.zeros(len(at)), s=4 + 5 * strength[at], color=colour, linewidths=0, transform=spot, clip_on=False)
        ax.annotate(name, (1, 0), xytext=(4, below), xycoords="axes fraction", textcoords="offset points", **_named(colour))
    ax.set(xlim=(-0.5, max(n - 0.5, 0.5)), ylim=(0, max(float(count.max(initial=0)) * 1.05, 1)), ylabel="cells")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    ax.tick_params(axis="x", pad=3 * _LANE + 2)
    time_axis(ax.xaxis, cells)
    return ax


def _named(colour: str) -> dict[str, Any]:
    return {"color": colour, "fontsize": "small", "va": "center"}


def displacements(forest: Forest, ax: Axes | None = None, *, unit: str = "") -> Axes:
    """Draw how far cells move from one frame to the next, and how far daughters lie from their mother.

    Args:
        forest: The lineages. Links over missed frames are left out.
        ax: Where to draw; a new figure (``ax.figure``) when not given.
        unit: Name of the unit of positions; "px" when the scale is 1, else "µm", when not given.

    Returns:
        The axes drawn into.
    """
    ax = panel(ax)
    child = forest.child_rows[forest.gap[forest.child_rows] == 0]
    mother = forest.parent[child]
    place = forest.detections.position
    length = np.sqrt(((place[child] - place[mother]) ** 2).sum(1))
    divides = forest.n_children[mother] >= 2
    unit = length_unit(forest.detections, unit)
    ax.set(xlabel=f"displacement per frame ({unit})", ylabel="share of links")
    if not len(length):
        empty(ax, "no links")
        return ax
    top = float(max(np.quantile(some, 0.995) for some in (length[~divides], length[divides]) if len(some))) or 1.0
    bins = np.linspace(0, top, 41).tolist()
    for some, colour, name in ((length[~divides], BLUE, "cells"), (length[divides], ORANGE, "daughters")):
        if len(some):
            share = np.full(len(some), 1 / len(some))
            ax.hist(some, bins, weights=share, color=colour, alpha=0.25, linewidth=0)
            ax.hist(
                some,
                bins,
                weights=share,
                color=colour,
                histtype="step",
                linewidth=1.3,
                label=f"{name} ({len(some)}), median {np.median(some):.3g} {unit}",
            )
    ax.set(xlim=(0, top))
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False, fontsize="small", handlelength=1.2, borderaxespad=0.2)
    return ax


def division_timing(forest: Forest, ax: Axes | None = None) -> Axes:
    """Draw how long cells live from their birth to their division.

    The line is the share of cells that have not divided yet at each age (Kaplan and Meier 1958): cells whose division was not
    seen, because the film ended or they were lost, count until then (ticks). Bars are the cycles that were seen whole.

    Args:
        forest: The lineages; only cells that were born by a division are asked.
        ax: Where to draw; a new figure (``ax.figure``) when not given.

    Returns:
        The axes drawn into.
    """
    ax = panel(ax)
    step, name = time_unit(forest.detections)
    ax.set(xlabel=f"age ({name})", ylabel="cells not yet divided", ylim=(0, 1.02))
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    table = forest.life_table()
    born = table[table["mother_cell_id"] > 0]
    age, whole = born["duration"].to_numpy(float) * step, born["complete"].to_numpy(bool)
    if not whole.any():
        empty(ax, "no cell was seen\nfrom birth to division")
        ax.set_xlim(0, max(float(age.max(initial=step)), step))
        return ax
    x, left = undivided(age, whole)
    top = float(age.max()) * 1.03
    wide = step * max(1, round(top / step / 30))
    cycles = age[whole]
    bins = np.arange(0.5 * step, top + wide, wide)
    ax.hist(cycles, bins.tolist(), weights=np.full(len(cycles), 1 / len(cycles)), color=BLUE, alpha=0.35, linewidth=0)
    ax.step(np.append(x, age.max()), np.append(left, left[-1]), where="post", color=INK, linewidth=1.4)
    lost = np.sort(age[~whole])
    ax.plot(lost, left[np.searchsorted(x, lost, side="right") - 1], "|", color=INK, markersize=4, markeredgewidth=0.7)
    ax.set_xlim(0, top)
    words = f"{len(cycles)} whole cycles, median {np.median(cycles):.3g} {name}\n{len(lost)} more not seen to divide"
    ax.set_title(words, fontsize="small", loc="left", color=INK)
    return ax


def undivided(age: FloatArray, whole: Array) -> tuple[FloatArray, FloatArray]:
    """The share of cells that have not divided at each age, by Kaplan and Meier (1958).

    Args:
        age: How long each cell was seen; float (n,), any unit.
        whole: Whether it divided then; bool (n,).

    Returns:
        Ages at which cells divided, with 0 before them, and the share left after each; float (k,) both.
    """
    times = np.unique(age[whole])
    at_risk = len(age) - np.searchsorted(np.sort(age), times)
    divided = np.searchsorted(np.sort(age[whole]), times, side="right") - np.searchsorted(np.sort(age[whole]), times)
    return np.concatenate([[0.0], times]), np.concatenate([[1.0], np.cumprod(1 - divided / at_risk)])


def space_time(forest: Forest, ax: Axes | None = None, *, axis: Literal["z", "y", "x"] = "x", unit: str = "") -> Axes:
    """Draw where all cells are along one axis against time, as a kymograph does: one line a cell, coloured by lineage.

    Args:
        forest: The lineages.
        ax: Where to draw; a new figure (``ax.figure``) when not given.
        axis: Which axis of space.
        unit: Name of the unit of positions; "px" when the scale is 1, else "µm", when not given.

    Returns:
        The axes drawn into.

    Raises:
        ValueError: Positions have no such axis.
    """
    cells = forest.detections
    if axis not in cells.axes:
        raise ValueError(f"there is no axis {axis}: positions have the axes {', '.join(cells.axes)}")
    ax = panel(ax, (4.2, 4.2))
    place = cells.position[:, cells.axes.index(axis)]
    child = forest.child_rows
    _paths(ax, forest, child, np.stack([place[forest.parent[child]], place[child]], axis=1))
    rows = np.flatnonzero(forest.selected)
    low, high = (float(place[rows].min()), float(place[rows].max())) if len(rows) else (0.0, 1.0)
    margin = 0.02 * (high - low) or 0.5
    ax.set(xlabel=f"{axis} ({length_unit(cells, unit)})", xlim=(low - margin, high + margin), ylim=(max(cells.n_frames - 0.5, 0.5), -0.5))
    time_axis(ax.yaxis, cells)
    divided = forest.divisions
    width = 9 * thin(len(forest.roots))
    ax.scatter(place[divided], cells.frame[divided], s=width, color="white", edgecolors=INK, linewidths=0.6, zorder=3)
    if len(divided):
        mark = Line2D([], [], marker="o", linestyle="none", markersize=3.5, markerfacecolor="white", markeredgecolor=INK, label="division")
        ax.legend(handles=[mark], loc="lower left", bbox_to_anchor=(0, 1), frameon=False, fontsize="small", borderaxespad=0.2)
    if not len(rows):
        empty(ax, "no cells")
    return ax


def _paths(ax: Axes, forest: Forest, child: IntArray, across: FloatArray) -> None:
    """One piece a link, dashed where frames were missed."""
    frame = forest.detections.frame
    pieces = np.stack([across, np.stack([frame[forest.parent[child]], frame[child]], axis=1)], axis=2).astype(float)
    colours = lineage_colours(forest.lineage_id[child])
    missed = forest.gap[child] > 0
    width = 1.4 * thin(len(forest.roots))
    for rows, style in ((~missed, "solid"), (missed, (0, (2, 1.5)))):
        ax.add_collection(LineCollection(list(pieces[rows]), colors=colours[rows], linewidths=width, linestyles=[style]), autolim=False)
