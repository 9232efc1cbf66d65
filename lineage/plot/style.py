"""Style: colours, axes with units, and files of figures."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator

from lineage.arrays import Array, FloatArray
from lineage.detections import Detections

if TYPE_CHECKING:
    from matplotlib.axis import Axis

# Okabe and Ito's colours for all kinds of colour vision (2008), without yellow and black, which are lost on white and on dark frames;
# blue is a little lighter than theirs to be seen on dark frames. A second and third round are lighter and darker.
_COLOURS = np.array([[230, 159, 0], [58, 142, 214], [0, 158, 115], [213, 94, 0], [204, 121, 167], [86, 180, 233]]) / 255
_GREY = np.array([0.6, 0.6, 0.6])
_KINDS = (".png", ".svg", ".pdf")
_CROWD = 60  # with more cells than this in a picture, lines get thinner and marks smaller
INK, SOFT, FAINT = "0.2", "0.45", "0.93"
BLUE, ORANGE, GREEN = "#3a8ed6", "#d55e00", "#009e73"


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


def bright(colours: FloatArray) -> FloatArray:
    """Colours for a dark ground."""
    return 0.8 * colours + 0.2


def thin(n: int) -> float:
    """Part of the usual line width, when n things share the picture."""
    return float(np.clip((_CROWD / max(n, 1)) ** 0.5, 0.3, 1))


def segments(a: Array, b: Array, c: Array, d: Array) -> FloatArray:
    """Lines from (a, b) to (c, d); float (n, 2, 2)."""
    return np.stack([np.column_stack([a, b]), np.column_stack([c, d])], axis=1).astype(float)


def panel(ax: Axes | None, size: tuple[float, float] = (3.4, 2.6)) -> Axes:
    """The axes given, or those of a new figure of this size in inches, with nothing but the two lines that are read."""
    ax = Figure(figsize=size, layout="constrained").add_subplot() if ax is None else ax
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_axisbelow(True)
    return ax


def length_unit(cells: Detections, unit: str) -> str:
    """The name of the unit of positions: the one given, else pixels where the scale is one, else micrometres as film files have it."""
    return unit or ("px" if set(cells.scale) == {1.0} else "µm")


def time_unit(cells: Detections) -> tuple[float, str]:
    """How many units of time a frame takes, and their name: frames where the time between frames is not known."""
    if cells.interval is None:
        return 1.0, "frames"
    whole = cells.interval * max(cells.n_frames - 1, 1)
    seconds, name = (1.0, "s") if whole < 300 else (60.0, "min") if whole < 10 * 3600 else (3600.0, "h")
    return cells.interval / seconds, name


def time_axis(axis: Axis, cells: Detections) -> None:
    """Label an axis whose coordinate is the frame: with frames, or with round times where the time between frames is known."""
    step, name = time_unit(cells)
    if cells.interval is None:
        axis.set_label_text("frame")
        axis.set_major_locator(MaxNLocator(integer=True))
        return
    last = (cells.n_frames - 1) * step
    ticks = [tick for tick in MaxNLocator(nbins=7, steps=[1, 2, 3, 5, 6, 10]).tick_values(0, max(last, step)) if tick <= last * 1.001]
    axis.set_label_text(f"time ({name})")
    axis.set_major_locator(FixedLocator([tick / step for tick in ticks]))
    axis.set_major_formatter(FixedFormatter([f"{tick:g}" for tick in ticks]))


def empty(ax: Axes, words: str) -> None:
    """Say in the middle of a panel why it shows nothing."""
    ax.text(0.5, 0.5, words, transform=ax.transAxes, ha="center", va="center", color=SOFT)


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Save a figure as PNG, SVG or PDF by the ending of its name; the file is whole or not there, and the same figure gives the same bytes.

    Words in SVG and PDF stay words, so that a drawing program can edit them.

    Args:
        figure: The figure.
        path: Where to; the folder must exist, an older file is replaced.

    Returns:
        The path.

    Raises:
        ValueError: The name ends otherwise.
        FileNotFoundError: There is no such folder.
    """
    target = target_of(path)
    undated = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}[target.suffix.lower()]
    with tempfile.TemporaryDirectory(prefix=".figure", dir=target.parent) as folder:
        draft = Path(folder) / target.name
        with rc_context({"svg.hashsalt": "lineage", "svg.fonttype": "none", "pdf.fonttype": 42}):
            figure.savefig(draft, metadata=undated)
        draft.replace(target)
    return target


def target_of(path: str | os.PathLike[str]) -> Path:
    """Where a figure goes, or an error that says why it cannot go there."""
    target = Path(path)
    if target.suffix.lower() not in _KINDS:
        raise ValueError(f"cannot save a figure as {target.name}: the name must end in {', '.join(_KINDS)}")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot save {target.name}: there is no folder {target.parent}")
    return target
