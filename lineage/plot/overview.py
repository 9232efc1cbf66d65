"""Overview: a whole result on one page."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from lineage.arrays import Film, frame_shape
from lineage.forest import Forest

from .frames import tracks_over_frame
from .style import save_figure, target_of
from .trees import lineage_trees

LINES, FEW = 1000, 250  # of trees, that can be told apart on a page, and that are drawn of a forest with more


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

    Of a forest with more lines than a page can tell apart, the lineages that divide most often are drawn, and the title says so.

    Args:
        forest: The lineages.
        film: Images, (T, [Z,] Y, X), anything that can be indexed by frame.
        labels: Label film of the same shape, for outlines.
        path: Where to save the figure, ``.png``, ``.svg`` or ``.pdf``; not saved when not given.
        frames: Which frames to show; the first, the middle and the last when not given.
        tail: How many frames back the tails reach.
        unit: Name of the unit of positions, for the scale bar (see ``tracks_over_frame``).

    Returns:
        The figure.

    Raises:
        ValueError: A file name that ends otherwise, frames that the film does not have, or labels of another length.
        FileNotFoundError: There is no folder to save into.
    """
    target = None if path is None else target_of(path)
    n = len(film)
    if labels is not None and len(labels) != n:
        raise ValueError(f"the film has {n} frames, but the labels have {len(labels)}")
    shown = sorted({0, (n - 1) // 2, n - 1} & set(range(n))) if frames is None else list(frames)
    if n == 0 or not shown or min(shown) < 0 or max(shown) >= n:
        raise ValueError(f"frames {shown} cannot be shown: the film has {n} frames")
    shape = frame_shape(film)
    tall = float(np.clip(shape[-2] * forest.detections.scale[-2] / (shape[-1] * forest.detections.scale[-1]), 0.3, 3))
    side = min(3.0, 9 / len(shown) / tall)
    figure = Figure(figsize=(side + 6.0, max(len(shown) * (side * tall + 0.3), 4.5)), layout="constrained", dpi=150)
    grid = figure.add_gridspec(len(shown), 2, width_ratios=(side, 6.0))
    for place, t in enumerate(shown):
        outline = None if labels is None else labels[t]
        tracks_over_frame(forest, film[t], t, figure.add_subplot(grid[place, 0]), labels_frame=outline, tail=tail, unit=unit)
    crowd = int((forest.selected & (forest.n_children == 0)).sum()) > LINES
    drawn = forest.foremost(FEW, paths=True).tolist() if crowd else None
    trees = lineage_trees(forest, figure.add_subplot(grid[:, 1]), lineages=drawn)
    words = f"{len(forest.roots)} lineages, {len(forest.life_table())} cells, {len(forest.divisions)} divisions"
    chosen = (
        "" if drawn is None else "\ndrawn: the one that divides most" if len(drawn) == 1 else f"\ndrawn: the {len(drawn)} that divide most"
    )
    trees.set_title(words + chosen, fontsize="medium", loc="right")
    if target is not None:
        save_figure(figure, target)
    return figure
