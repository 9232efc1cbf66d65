"""Drawing: a comparison as a figure, one table of coloured numbers a score."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lineage.arrays import Array
from lineage.films.atomic import new_file

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

CEILINGS = ("oracle", "oracle direct")
PANELS = (("CHOTA", "CHOTA"), ("division_f1", "division F1"), ("IDF1", "IDF1"), ("LNK", "LNK"))


def draw(table: pd.DataFrame, path: str | Path) -> None:
    """Draw a comparison: strategies down, stresses across, a panel a score, and how long each took.

    The first row of each panel is the ceiling of any linker on these masks; colours say what part of it was reached.

    Args:
        table: What ``benchmark`` gave.
        path: Picture, ``.png``, ``.svg`` or ``.pdf``; it appears when it is complete.
    """
    from matplotlib.figure import Figure

    stresses = list(dict.fromkeys(table["stress"]))
    strategies = ["ceiling", *(name for name in dict.fromkeys(table["strategy"]) if name not in CEILINGS)]
    wide = max(len(stresses) * 0.62, 1.6)
    size = (2.2 + len(PANELS) * (wide + 0.3) + 2.2, 1.3 + 0.3 * len(strategies))
    figure = Figure(figsize=size, layout="constrained")
    ratios = [wide] * len(PANELS) + [1.8]
    panels: list[Axes] = list(figure.subplots(1, len(PANELS) + 1, width_ratios=ratios, squeeze=False)[0])
    for ax, (name, title) in zip(panels, PANELS, strict=False):
        values = table.pivot(index="strategy", columns="stress", values=name).reindex(columns=stresses)
        highest = values.reindex(index=CEILINGS).to_numpy(float).max(axis=0)  # LNK and CHOTA cannot be reached together
        _panel(ax, np.vstack([highest, values.reindex(index=strategies[1:]).to_numpy(float)]), stresses, title)
    panels[0].set_yticks(range(len(strategies)), strategies)
    _seconds(panels[-1], table, strategies)
    with new_file(path) as temporary:
        kind = Path(path).suffix.lstrip(".")
        figure.savefig(temporary, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)


def _panel(ax: Axes, values: Array, stresses: list[str], title: str) -> None:
    part = np.clip(values / np.where(values[0] > 0, values[0], np.nan), 0, 1)
    ax.imshow(part**4, cmap="YlGn", vmin=0, vmax=1.5, aspect="auto")  # so that .95 and 1 can be told apart, and ink be read on both
    for (row, column), value in np.ndenumerate(values):
        text = "–" if np.isnan(value) else f"{value:.3f}".lstrip("0") if value < 1 else "1"
        weight: Any = "bold" if row and not np.isnan(value) and value >= np.nanmax(values[1:, column]) - 5e-4 else "normal"
        ax.text(column, row, text, ha="center", va="center", fontsize=8, weight=weight, color="0.1")
    ax.set_xticks(range(len(stresses)), stresses, rotation=40 if len(stresses) > 1 else 0, ha="right" if len(stresses) > 1 else "center")
    ax.set_yticks([])
    ax.axhline(0.5, color="white", linewidth=3)
    ax.set_title(title, fontsize=10)
    ax.tick_params(length=0, labelsize=8)
    ax.spines[:].set_visible(False)


def _seconds(ax: Axes, table: pd.DataFrame, strategies: list[str]) -> None:
    took = table.groupby("strategy")["seconds"].median().reindex(strategies).to_numpy(float)
    known = np.flatnonzero(took > 0)
    ax.barh(known, took[known], color=(0.35, 0.56, 0.78), height=0.6)
    for row in known.tolist():
        ax.text(took[row], row, f" {took[row]:.2g}", va="center", fontsize=8)
    if len(known):
        ax.set_xscale("log")
        ax.set_xlim(took[known].min() / 3, took[known].max() * 8)
    ax.set_ylim(len(strategies) - 0.5, -0.5)
    ax.set_yticks([])
    ax.set_title("seconds", fontsize=10)
    ax.tick_params(labelsize=8)
    ax.spines[["top", "right", "left"]].set_visible(False)
