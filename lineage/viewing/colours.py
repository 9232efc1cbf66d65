"""Colours: layers in the colours of the figures, with napari's own colour maps."""

from __future__ import annotations

import numpy as np

from lineage.arrays import FloatArray
from lineage.forest import Forest
from lineage.plot.style import lineage_colours

from .layers import LayerData

COLOUR = "lineage colour"  # the property that tracks are coloured by


def dressed(forest: Forest, layers: list[LayerData]) -> list[LayerData]:
    """The layers of a forest in the colours that its lineages have in the figures. It needs napari.

    Args:
        forest: The lineages.
        layers: What ``layers_of`` gave.
    """
    from napari.utils import Colormap, DirectLabelColormap

    count = int(forest.lineage_id.max(initial=0))
    colours = _rgba(count)
    table: dict[int | None, FloatArray] = {None: np.zeros(4), 0: np.zeros(4)}
    table |= {k + 1: colours[k] for k in range(count)}
    done: list[LayerData] = []
    for data, facts, kind in layers:
        extra: dict[str, object] = {}
        if kind == "labels":
            extra = {"colormap": DirectLabelColormap(color_dict=table)}
        if kind == "tracks":
            place = (np.asarray(facts["properties"]["lineage_id"]) - 0.5) / count  # napari looks colours up between 0 and 1
            extra = {
                "properties": {**facts["properties"], COLOUR: place},
                "color_by": COLOUR,
                "colormaps_dict": {COLOUR: Colormap(colours, np.linspace(0, 1, count + 1), name="lineages", interpolation="zero")},
            }
        done.append((data, {**facts, **extra}, kind))
    return done


def _rgba(count: int) -> FloatArray:
    """The colours of lineages 1 to ``count``; float (count, 4), 0..1."""
    return np.column_stack([lineage_colours(np.arange(1, count + 1)), np.ones(count)]).astype(float)
