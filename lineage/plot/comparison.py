"""Comparison: linking strategies side by side, as dots."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from .style import FAINT, INK, SOFT, lineage_colours, panel


def strategies(table: pd.DataFrame, *, scores: tuple[str, ...] = ("CHOTA", "LNK", "division_f1"), by: str | None = None) -> Axes:
    """Draw how linking strategies compare: one panel a score, one line a strategy, one point a film (or a stress).

    Strategies are sorted by the first score. A bar marks each one's mean; a strategy whose name begins with ``oracle`` is the
    best that any linker could do, and is drawn as a grey line.

    Args:
        table: What ``benchmark`` gives, or several of them joined: ``strategy``, the scores, and what the points are.
        scores: Columns to draw.
        by: Column that tells the points apart; ``film`` or ``stress`` when not given, whichever there is.

    Returns:
        The first of the axes drawn into (``ax.figure`` has all).

    Raises:
        ValueError: The table has no such column, or no row.
    """
    lost = [name for name in ("strategy", *scores, *([by] if by else [])) if name not in table.columns]
    if lost or not len(table):
        raise ValueError(f"the table of strategies has no {'column ' + ', '.join(lost) if lost else 'rows'}")
    by = by or next((name for name in ("film", "stress") if name in table.columns), None)
    ceiling = table["strategy"].astype(str).str.startswith("oracle").to_numpy()
    mean = table[~ceiling].groupby("strategy", sort=False)[list(scores)].mean()
    order = list(mean.sort_values(scores[0], kind="stable", na_position="first").index)
    points = list(dict.fromkeys(table[by])) if by else ["all"]
    return _score_panels(table, scores, by, order, points, mean)


def _score_panels(
    table: pd.DataFrame, scores: tuple[str, ...], by: str | None, order: list[str], points: list[str], mean: pd.DataFrame
) -> Axes:
    figure = Figure(figsize=(1.4 + 2.0 * len(scores), 1.0 + 0.26 * len(order)), layout="constrained")
    axes = figure.subplots(1, len(scores), sharey=True, squeeze=False)[0]
    shades = lineage_colours(np.arange(1, len(points) + 1))
    ceiling = table["strategy"].astype(str).str.startswith("oracle")
    for ax, score in zip(axes, scores, strict=True):
        panel(ax)
        for k, point in enumerate(points):
            some = table[table[by] == point] if by else table
            best = some[ceiling.reindex(some.index)][score].max() if ceiling.reindex(some.index).any() else np.nan
            if np.isfinite(best):
                ax.axvline(best, color=shades[k], linewidth=0.8, linestyle=(0, (1, 1.5)), zorder=0)
            known = some[some["strategy"].isin(order)]
            height = [order.index(name) for name in known["strategy"]]
            ax.scatter(known[score], height, s=22, color=shades[k], marker="os^Dv"[k % 5], linewidths=0, label=str(point), zorder=3)
        if len(points) > 1:
            ax.scatter(mean.loc[order, score], range(len(order)), marker="|", s=130, color=INK, linewidths=1.2, zorder=4, label="mean")
        ax.margins(x=0.08)
        ax.set(xlabel=score.replace("_", " "), ylim=(-0.6, len(order) - 0.4))
        ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.grid(visible=True, axis="y", color=FAINT, linewidth=0.8)
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
    axes[0].set_yticks(range(len(order)), order)
    handles, names = axes[0].get_legend_handles_labels()
    if len(points) == 1:
        handles, names = [], []
    if ceiling.any():
        handles, names = [*handles, Line2D([], [], color=SOFT, linewidth=1, linestyle=(0, (1, 1.5)))], [*names, "best possible"]
    if names:
        figure.legend(
            handles, names, loc="outside upper center", ncols=min(len(names), 6), frameon=False, fontsize="small", handletextpad=0.4
        )
    return axes[0]
