"""The diary of a training: a table, its curves, and example pictures with outlines of truth and result."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from segmentation.arrays import AnyArray, BoolArray, FloatArray, IntArray
from segmentation.whole import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = ("step", "loss", "score", "seconds", "rate")
BLUE, ORANGE, TRUTH, FOUND = "#0072b2", "#d55e00", (0.0, 0.85, 1.0), (1.0, 0.55, 0.0)
SHOWN = 384  # pixels: of larger pictures the middle is shown


def write(folder: Path, history: Mapping[str, Sequence[float]], *, best: int) -> None:
    """Write `log.csv` and `curves.png`.

    Args:
        folder: exists.
        history: one row for each validation; step, loss, score, seconds, rate.
        best: row that was kept.
    """
    with whole_file(folder / "log.csv") as scratch, scratch.open("w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out)
        rows.writerow(COLUMNS)
        rows.writerows(zip(*(history[name] for name in COLUMNS), strict=True))
    curves(folder / "curves.png", history, best=best)


def curves(path: Path, history: Mapping[str, Sequence[float]], *, best: int) -> None:
    """Draw how the loss fell and the score rose.

    Args:
        path: PNG to write.
        history: one row for each validation; step, loss, score.
        best: row that was kept; marked.
    """
    from matplotlib.figure import Figure  # here, for only a training that keeps a log draws

    scored = not np.isnan(history["score"]).all()
    figure = Figure(figsize=(7 if scored else 3.5, 2.8), layout="constrained", dpi=100)
    panels = figure.subplots(1, 2 if scored else 1, squeeze=False)[0]
    for axes, name, colour in zip(panels, ("loss", "score"), (BLUE, ORANGE), strict=False):
        axes.plot(history["step"], history[name], ".-", color=colour, linewidth=1.2, markersize=4)
        axes.plot(history["step"][best], history[name][best], "o", color=colour, markersize=7, fillstyle="none")
        axes.set(xlabel="step", title=f"{'training loss' if name == 'loss' else 'validation score'}, kept: {history[name][best]:.4g}")
        axes.spines[["top", "right"]].set_visible(False)
    if min(history["loss"]) > 0 and max(history["loss"]) > 5 * min(history["loss"]):
        panels[0].set_yscale("log")
    with whole_file(path) as scratch:
        figure.savefig(scratch, format="png")


def examples(path: Path, pairs: Sequence[tuple[AnyArray, IntArray, IntArray]]) -> None:
    """Draw pictures with the outlines of the truth (blue) beside those of the result (orange).

    Args:
        path: PNG to write.
        pairs: picture ([C,] [Z,] Y, X), true labels and found labels ([Z,] Y, X); of a stack the middle plane is shown.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.3 * len(pairs)), layout="constrained", dpi=100)
    panels = figure.subplots(len(pairs), 2, squeeze=False)
    for row, (image, truth, found) in zip(panels, pairs, strict=True):
        for axes, labels, name, colour in zip(row, (truth, found), ("truth", "result"), (TRUTH, FOUND), strict=True):
            _draw(axes, image, labels, f"{name}: {len(np.unique(labels[labels > 0]))} cells", colour=colour)
    with whole_file(path) as scratch:
        figure.savefig(scratch, format="png")


def outlined(
    image: AnyArray,
    labels: IntArray,
    *,
    colour: tuple[float, float, float] = FOUND,
    limits: tuple[float, float] | None = None,
) -> FloatArray:
    """Give a picture as it is shown: grey, with the outlines of the cells in a colour.

    Args:
        image: (Y, X).
        labels: (Y, X).
        colour: red, green, blue, 0..1.
        limits: what is black and what is white; default: all but the extremes.

    Returns:
        float (Y, X, 3), 0..1.
    """
    low, high = np.percentile(image, [0.5, 99.5]) if limits is None else limits
    grey = np.clip((image - low) / max(float(high - low), 1e-12), 0, 1)
    shown = np.repeat(grey[..., None], 3, axis=-1).astype(np.float32)
    shown[_outline(labels)] = colour
    return shown


def _outline(labels: IntArray) -> BoolArray:
    """Pixels of cells that have a face neighbour of another label."""
    inner = np.pad(labels, 1, mode="edge")
    middle = inner[1:-1, 1:-1]
    others = (inner[:-2, 1:-1], inner[2:, 1:-1], inner[1:-1, :-2], inner[1:-1, 2:])
    return np.asarray((middle > 0) & np.any([middle != other for other in others], axis=0))


def _draw(axes: "Axes", image: AnyArray, labels: IntArray, title: str, *, colour: tuple[float, float, float]) -> None:
    """One panel: the middle plane of the first channel, with outlines."""
    plane = image[0] if image.ndim > labels.ndim else image
    if labels.ndim == 3:
        plane, labels = plane[len(plane) // 2], labels[len(labels) // 2]
    window = tuple(slice(max(0, (n - SHOWN) // 2), max(0, (n - SHOWN) // 2) + SHOWN) for n in labels.shape)
    axes.imshow(outlined(plane[window], labels[window], colour=colour), interpolation="nearest")
    axes.set_title(title, fontsize="small")
    axes.set_axis_off()
