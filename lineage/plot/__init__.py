"""Figures: lineage trees, tracks over frames, charts of a result, and a whole result on one page.

Every figure is made without a screen, takes axes to draw into or makes a figure of its own, and is saved by ``save_figure``
as PNG, SVG or PDF. Time is in minutes where the time between frames is known, lengths in micrometres where the scale is.
"""

from .charts import cells_per_frame, displacements, division_timing, space_time, undivided
from .comparison import strategies
from .frames import tracks_over_frame
from .overview import overview
from .style import lineage_colours, save_figure
from .trees import lineage_trees, tree_layout

__all__ = [
    "cells_per_frame",
    "displacements",
    "division_timing",
    "lineage_colours",
    "lineage_trees",
    "overview",
    "save_figure",
    "space_time",
    "strategies",
    "tracks_over_frame",
    "tree_layout",
    "undivided",
]
