"""The report: film, lineages, warning signs and figures of a result in one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineage import __version__
from lineage.arrays import Progress, is_large, silent
from lineage.films import OpenedFilm, open_film, shadow
from lineage.films.atomic import new_file
from lineage.forest import Forest
from lineage.formats.shared_masks import seconds
from lineage.health import check
from lineage.provenance import finite

from .data import cell_columns, crowded, facts, fineness, outline_columns, shown_of, signs, suspects
from .packing import pack
from .page import page_of
from .pictures import Pictures, pictures_of
from .result import Result, open_result
from .whole import whole

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Result", "open_result", "report"]


def report(  # noqa: PLR0913 - all but four by keyword only
    forest: Forest,
    film: Any = None,  # noqa: ANN401 - a path or an array of any library
    labels: Any = None,  # noqa: ANN401
    path: str | Path = "report.html",
    *,
    scores: Mapping[str, Any] | None = None,
    record: Mapping[str, Any] | None = None,
    checks: pd.DataFrame | None = None,
    title: str | None = None,
    unit: str = "",
    progress: Progress[Any] = silent,
) -> None:
    """Write an interactive report of lineages as one HTML file that any current browser opens, without server or network.

    Of a film with more cells than a browser opens at once, the page holds those lineages that have the strongest warning signs, and
    those that divide most often, and says so; its summary counts all of them. Of a film of very many frames, it holds pictures of some. In
    frames of more than 2^24 pixels cells are points, and stacks are shown as their maxima along z.

    Args:
        forest: The lineages.
        film: The images, path or array (T, [Z,] Y, X); without them the cells are drawn on an empty field.
        labels: Label masks that the detections were measured from, path or array, for outlines; cells are points without them.
        path: The file; it appears when it is complete.
        scores: Measures against the truth, as ``evaluate`` returns them.
        record: What ``run.json`` holds; without it, the forest's own certificate and record are shown.
        checks: Warning signs, one row each: ``kind, frame, row, message`` and ``score``, the most suspicious first; what
            ``lineage.health.check`` finds when not given.
        title: Headline; the name of the film when not given.
        unit: Name of the physical unit of positions, such as ``µm``.
        progress: Wraps the loops over frames.

    Raises:
        ValueError: Film or labels cannot be read, or do not belong to the lineages.
        OSError: The file cannot be written.
    """
    with new_file(path) as temporary:  # the place is checked before the work
        images = None if film is None else open_film(film)
        masks = None if labels is None else open_film(labels, kind="labels")
        _check_fit(forest, images, masks)
        traced = masks if masks is not None and not is_large(masks.shape[1:]) else None
        outlined = {} if traced is None or crowded(forest) else outline_columns(forest, traced, progress=progress)
        found = check(forest, labels=masks) if checks is None else checks
        suspected = suspects(found, forest)
        page = shown_of(forest, suspected) if crowded(forest) else forest
        if traced is not None and page is not forest:
            outlined = outline_columns(page, traced, some=True, progress=progress)
        columns, left_out = cell_columns(forest, page)
        packed = pack(columns | outlined)
        shown = None if images is None else pictures_of(shadow(images), progress=progress)
        meta = _meta(forest, images or masks, shown) | {
            "title": title or _title(images or masks),
            "unit": unit,
            "columns": packed.columns,
            "leftOut": left_out,
            "scores": None if scores is None else finite(scores),
            "record": facts(forest, record),
            "signs": signs(found, page),
            "whole": None if page is forest else whole(forest, images or masks),
        }
        with temporary.open("w", encoding="utf-8", errors="replace", newline="\n") as file:  # file names need not be Unicode
            file.writelines(page_of(meta["title"], finite(meta), packed.text, shown.texts if shown else ()))


def _title(film: OpenedFilm | None) -> str:
    """What to call the film; a folder with a short name, such as ``01``, is called by its parent's name too."""
    if film is None or film.path is None:
        return "Lineages"
    path = film.path.absolute()
    return f"{path.parent.name} {path.name}" if len(path.name) <= 3 and path.parent.name else path.name


def _check_fit(forest: Forest, film: OpenedFilm | None, labels: OpenedFilm | None) -> None:
    cells = forest.detections
    for what, opened in (("film", film), ("label film", labels)):
        if opened is None:
            continue
        if len(opened.shape) - 1 != cells.n_axes:
            axes = ", ".join(cells.axes)
            raise ValueError(
                f"{opened.path or f'the {what}'} has frames of shape {opened.shape[1:]}, but the lineages have the axes ({axes})"
            )
        if len(cells) and len(opened) <= cells.frame[-1]:
            raise ValueError(
                f"{opened.path or f'the {what}'} has {len(opened)} frames, but the lineages have a cell in frame {cells.frame[-1]}"
            )
    if film is not None and labels is not None and film.shape != labels.shape:
        raise ValueError(f"the film has shape {film.shape}, but its labels have {labels.shape}")


def _meta(forest: Forest, film: OpenedFilm | None, shown: Pictures | None) -> dict[str, Any]:
    cells = forest.detections
    return {
        "version": __version__,
        "axes": cells.axes,
        "scale": cells.scale,
        "interval": cells.interval,
        "frames": max(cells.n_frames, len(film) if film is not None else 0, 1),
        "shape": None if film is None else film.shape[1:],
        "fineness": None if film is None else fineness(film),
        "detections": len(forest),
        "shared": int(seconds(forest).sum()),
        "pictures": None
        if shown is None
        else {
            "format": shown.format,
            "size": shown.size,
            "layers": shown.layers,
            "every": shown.every,
            "low": shown.low,
            "high": shown.high,
        },
    }
