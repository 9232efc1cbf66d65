"""Result: what ``lineage track`` left in a folder, opened again for a report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lineage.detections import checked_scale
from lineage.films import OpenedFilm, open_film
from lineage.forest import Forest
from lineage.formats import read
from lineage.settings import Settings


@dataclass(frozen=True, eq=False)
class Result:
    """A result on disk.

    Attributes:
        forest: The lineages.
        film: The images, if they were found.
        labels: The label masks, if they were found.
        record: What ``run.json`` holds, or None.
        scores: What ``metrics.json`` holds, or None.
    """

    forest: Forest
    film: OpenedFilm | None
    labels: OpenedFilm | None
    record: Mapping[str, Any] | None
    scores: Mapping[str, Any] | None


def open_result(
    result: str | Path, film: str | Path | None = None, labels: str | Path | None = None, *, reading: Mapping[str, Any] | None = None
) -> Result:
    """Open a result folder of ``lineage track``, or lineages in any format that can be read.

    Args:
        result: The folder; or a file of lineages, or a folder of the Cell Tracking Challenge.
        film: The images. When not given, those beside the result or those that ``run.json`` names are taken, if they are still there.
        labels: Label masks that the lineages were linked from. When not given, those of the result folder are taken.
        reading: How the images that are given are read (``channel``, ``axes``, ``holes`` of ``lineage.films.open_film``). The film that
            ``run.json`` names is read as it was for the result.

    Raises:
        FileNotFoundError: No such file or folder.
        ValueError: What is there cannot be read.
    """
    result = Path(result)
    whole = result.is_dir() and (result / "lineages.csv").is_file()
    forest = read(result / "lineages.csv" if whole else result)
    record = _json(result / "run.json") if whole else None
    images = open_film(film, **_reading(film, record, reading)) if film is not None else _film_of(result, record) if whole else None
    masks = None if labels is None else open_film(labels, kind="labels")
    if masks is None and whole and (result / "ctc").is_dir():
        masks = open_film(result / "ctc", kind="labels")  # numbered by tracklet
        forest = replace(forest, detections=replace(forest.detections, label=forest.tracklet_id))
    elif masks is None and not whole and result.is_dir() and not result.suffix:
        masks = open_film(result, kind="labels")
    return Result(_sized(forest, images or masks, record), images, masks, record, _json(result / "metrics.json") if whole else None)


def _json(path: Path) -> Mapping[str, Any] | None:
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no JSON object, but {type(content).__name__}")
    return content


def _film_of(folder: Path, record: Mapping[str, Any] | None) -> OpenedFilm | None:
    """The film beside the result, or the one that the record names, if it has the size that it had."""
    if (folder / "film.tif").is_file():
        return open_film(folder / "film.tif")
    inputs = (record or {}).get("inputs")
    named = inputs.get("film") if isinstance(inputs, dict) else None
    if not isinstance(named, dict) or not isinstance(named.get("path"), str) or not Path(named["path"]).exists():
        return None
    path = Path(named["path"])
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    if "bytes" in named and sum(file.stat().st_size for file in files) != named["bytes"]:
        return None
    film = open_film(path, **_reading(path, record, None))
    return film if "bytes" in named or named.get("frames") == len(film) else None  # in pieces, frames are known by their pixels


def _reading(film: str | Path, record: Mapping[str, Any] | None, given: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """How a film is to be read: as is said, or else as the record says of the film that it names."""
    inputs, settings = (record or {}).get("inputs"), (record or {}).get("settings")
    named = inputs.get("film") if isinstance(inputs, dict) else None
    known = isinstance(named, dict) and isinstance(settings, dict) and Path(str(named.get("path"))).absolute() == Path(film).absolute()
    wanted = Settings().reading | dict(given or {})
    if wanted != Settings().reading or not known or not isinstance(settings, dict):
        return wanted
    return Settings().replaced({name: settings[name] for name in wanted if settings.get(name) is not None}).reading


def _sized(forest: Forest, film: OpenedFilm | None, record: Mapping[str, Any] | None) -> Forest:
    """The forest with the size of a pixel, the time between frames and the length of the film, which a table does not hold."""
    cells, known = forest.detections, record or {}
    scale, interval, frames = cells.scale, cells.interval, cells.n_frames
    if set(scale) == {1.0}:
        there = known.get("scale") or (film.scale if film is not None else None)
        scale = checked_scale(there, cells.n_axes) if there is not None and len(there) == cells.n_axes else scale
    interval = interval or known.get("interval") or (film.interval if film is not None else None)
    frames = max(frames, len(film) if film is not None else 0)
    return replace(forest, detections=replace(cells, scale=scale, interval=interval, n_frames=frames))
