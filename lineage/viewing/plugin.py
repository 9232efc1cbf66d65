"""Plugin: what napari loads through the manifest ``napari.yaml``: a reader, and a widget that links and shows.

No Qt is imported here: napari makes the widget from the function's signature.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lineage.arrays import Film
from lineage.films import open_film
from lineage.forest import Forest
from lineage.formats import read
from lineage.health import check
from lineage.linking import link
from lineage.settings import USUAL_GAP, Settings

from .colours import dressed
from .layers import LayerData, layers_of

if TYPE_CHECKING:
    import napari.layers
    import napari.types

TABLES = ("man_track.txt", "res_track.txt")
OURS = {"parent_id", "t", "y", "x"}  # columns that our tables have, and those of napari's trackers


def reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """A function that reads lineages into layers, or None when the path holds no lineages that we know.

    Args:
        path: A folder of the Cell Tracking Challenge, a GEFF, or one of our tables; of several paths, none.
    """
    if not isinstance(path, str | Path):
        return read_layers if len(path) == 1 and reader(path[0]) else None
    place = Path(path)
    if place.is_dir():
        known = any((folder / table).is_file() for folder in (place, place / "TRA") for table in TABLES)
        return read_layers if known or place.suffix.lower() == ".geff" else None
    return read_layers if place.name.lower().endswith((".csv", ".csv.gz")) and _has_columns(place) else None


def _has_columns(path: Path) -> bool:
    import gzip

    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig") as file:
            lines = (line for line in file if not line.startswith("#"))
            return set(next(lines, "").strip().split(",")) >= OURS
    except (OSError, UnicodeDecodeError):
        return False


def read_layers(path: str | Sequence[str]) -> list[LayerData]:
    """Lineages as layers: masks coloured by lineage where the path holds masks, and tracks."""
    place = Path(path if isinstance(path, str | Path) else path[0])
    forest = read(place)
    labels = open_film(place, kind="labels") if place.is_dir() and place.suffix.lower() != ".geff" else None
    return dressed(forest, layers_of(forest, labels=labels, name=place.name))


def link_layers(
    labels: napari.layers.Labels,
    image: napari.layers.Image | None = None,
    missed_frames: int = USUAL_GAP,
    divisions: bool = True,
    warnings: bool = True,
) -> list[napari.types.LayerDataTuple]:
    """Link the masks of a labels layer into lineages, and show them as tracks.

    Args:
        labels: Layer with the masks, (T, [Z,] Y, X).
        image: Layer with the film, for the brightness of cells; none is needed.
        missed_frames: Most frames in a row that a cell may be missed.
        divisions: Whether cells may divide.
        warnings: Show the places that look wrong as points.

    Returns:
        Layers: masks coloured by lineage, tracks, and the warnings.

    Raises:
        ValueError: A layer that is no film; masks and film of different shape.
    """
    masks: Film = labels.data
    scale = _scale(labels)
    settings = Settings(max_gap=None if missed_frames == USUAL_GAP else missed_frames, divisions=divisions)
    forest = link(masks, None if image is None else image.data, scale, settings)
    layers = dressed(forest, layers_of(forest, labels=masks, name=labels.name))
    return [*layers, warning_layer(forest, masks)] if warnings else layers


def _scale(layer: Any) -> tuple[float, ...]:  # noqa: ANN401 - a napari layer
    """Size of a pixel along the axes of space of a layer."""
    if layer.data.ndim not in (3, 4):
        raise ValueError(f"the layer {layer.name} has the shape {tuple(layer.data.shape)}, but a film is (T, Y, X) or (T, Z, Y, X)")
    return tuple(float(size) for size in layer.scale[1:])


def warning_layer(forest: Forest, labels: Film | None = None) -> LayerData:
    """The health check as points: where and when something is likelier wrong than right, and why."""
    found = check(forest, labels=labels)
    found = found[found["score"] > 0]
    place = found[["frame", *forest.detections.axes]].to_numpy(float)
    features = {name: found[name].to_numpy() for name in ("rank", "kind", "score", "message")}
    size = 0.04 * float(np.ptp(forest.detections.position, axis=0).max(initial=1.0)) if len(forest) else 1.0
    return (
        place,
        {
            "name": "warnings",
            "features": features,
            "size": size,
            "face_color": "transparent",
            "border_color": "red",
            "symbol": "ring",
            "text": {"string": "{kind}", "size": 8, "color": "red", "anchor": "upper_left"},
            "ndim": 1 + forest.detections.n_axes,
        },
        "points",
    )
