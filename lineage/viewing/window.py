"""Window: a result in napari, when napari is installed."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lineage.arrays import Film
from lineage.films import OpenedFilm, open_film
from lineage.forest import Forest
from lineage.formats import read

from .colours import dressed
from .layers import layers_of, lazy

INSTALL = "pip install 'cytolineage[napari]'"


def view(
    film: Any = None,  # noqa: ANN401 - a path or an array of any library
    labels: Any = None,  # noqa: ANN401
    forest: Forest | str | Path | None = None,
    *,
    block: bool = True,
) -> Any:  # noqa: ANN401 - a napari.Viewer
    """Look at a result in napari: the film, the masks coloured by lineage, and the tracks with their divisions.

    Args:
        film: The images, (T, [Z,] Y, X), or their path.
        labels: The label film that the lineages were linked from, or its path; it is only read.
        forest: The lineages, or their file.
        block: Wait until the window is closed.

    Returns:
        The ``napari.Viewer``.

    Raises:
        ModuleNotFoundError: napari is not installed; the message says how to install it.
        ValueError: There is nothing to look at or no screen, or film, labels and lineages do not belong together.
        FileNotFoundError: There is no such file.
    """
    if film is None and labels is None and forest is None:
        raise ValueError("there is nothing to look at: give a film, labels or lineages")
    napari = _napari()
    lineages = read(forest) if isinstance(forest, str | Path) else forest
    layers = shown(lineages, _opened(film, "image"), _opened(labels, "labels"))
    viewer = napari.Viewer(title="lineage", ndisplay=2)
    for data, facts, kind in layers:
        getattr(viewer, f"add_{kind}")(data, **facts)
    viewer.dims.set_current_step(0, 0)
    if block:
        napari.run()
    return viewer


def shown(forest: Forest | None, film: Film | None, labels: Film | None) -> list[Any]:
    """The layers of a result in their colours; of a film or masks alone, these as they are."""
    if forest is not None:
        laid = scaled(forest, film if labels is None else labels)
        return dressed(laid, layers_of(laid, film, labels))
    alone = []
    for given, kind in ((film, "image"), (labels, "labels")):
        if given is not None:
            alone.append((lazy(given), {"name": "film" if kind == "image" else "masks", "scale": (1.0, *open_film(given).scale)}, kind))
    return alone


def scaled(forest: Forest, film: Film | None) -> Forest:
    """The forest with the film's size of a pixel, when it was read from a table that does not say in which unit positions are.

    They are physical units, as everywhere, unless they would then lie outside the film, or lie inside it as pixels only.
    """
    cells = forest.detections
    if not isinstance(film, OpenedFilm) or set(cells.scale) != {1.0} or not len(cells) or len(film.scale) != cells.n_axes:
        return forest
    sizes, pixels, reach = np.array(film.scale), np.array(film.shape[1:]), cells.position.max(axis=0)
    physical = (reach <= pixels * sizes).all() and not ((sizes > 1) & (reach <= pixels)).all()
    return replace(forest, detections=replace(cells, scale=film.scale)) if physical else forest


def _opened(film: Any, kind: Any) -> Film | None:  # noqa: ANN401
    return None if film is None else open_film(film, kind=kind)


def _napari() -> Any:  # noqa: ANN401 - a module
    """The library, or an error that says what is missing."""
    try:
        import napari
    except ImportError as error:
        raise ModuleNotFoundError(f"napari is not installed ({error.name or error} is missing): {INSTALL}") from error
    screen = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"))
    if sys.platform.startswith("linux") and not screen:
        raise ValueError("there is no screen to open napari on: DISPLAY is not set; lineage report needs none")
    return napari
