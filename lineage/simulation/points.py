"""Simulated lineages as points: where cells are and who comes from whom, without a picture."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from lineage.arrays import Progress, silent
from lineage.detections import Detections
from lineage.forest import Forest

from .kinship import kinship
from .scenario import Simulation, changed
from .shot import surveyed
from .tissue import grow


def simulated_points(
    settings: Simulation | None = None,
    /,
    *,
    progress: Progress[int] = silent,
    **overrides: Any,  # noqa: ANN401 - any setting
) -> Forest:
    """The true lineages of a film that nobody draws, cells as points: millions of them in a minute.

    The cells are those of ``simulate`` with the same settings, but each is at its own centre, and is there while that is in the field.
    ``miss_rate`` leaves out points, ``false_rate`` adds false ones.

    Args:
        settings: What the film would show; defaults when not given.
        progress: Wraps the loop over frames.
        overrides: Single settings by name, as for ``simulate``.

    Returns:
        The lineages; one detection for every point, label 0. Points that are no cells are not selected.

    Raises:
        ValueError: A setting is out of range; the message names it.
        TypeError: There is no such setting.
    """
    settings = changed(settings, overrides)
    casts, positions = [], []
    for t, cells in zip(progress(range(settings.frames), "growing"), grow(settings), strict=True):
        tissue, cast = surveyed(cells, settings, t)
        casts.append(cast)
        positions.append(tissue.position[cast.shown] * settings.pixel[-1])
    kin = kinship(casts)
    none = np.zeros(len(kin.frame), np.int64)
    cells_seen = Detections(kin.frame, np.concatenate(positions), none, {}, settings.pixel, n_frames=settings.frames)
    return kin.forest(cells_seen).with_record(simulation=asdict(settings))
