"""Simulated films: image, masks and true lineages that agree to the pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lineage.arrays import Array, IntArray
from lineage.detections import Detections
from lineage.forest import Forest

from .kinship import Kinship, kinship
from .scenario import Simulation, changed
from .shot import Cast, Shot, shoot
from .tissue import grow


@dataclass(frozen=True, eq=False)
class SimulatedFilm:
    """A film and all that is true about it.

    Attributes:
        image: Fluorescence, uint16 (T, [Z,] Y, X).
        labels: Masks, uint16 (uint32 if there are more than 65535), same shape, 0 is background.
        truth: The lineages; one detection for every mask of ``labels``, measured from it. Masks that are no cells are not selected.
        scale: Size of a pixel along ([z,] y, x), physical units.
        settings: What the film was made from.
    """

    image: Array
    labels: Array
    truth: Forest
    scale: tuple[float, ...]
    settings: Simulation


def simulate(settings: Simulation | None = None, /, **overrides: Any) -> SimulatedFilm:  # noqa: ANN401 - any setting
    """Make a film of fluorescent nuclei that move, touch, grow and divide, with masks and true lineages.

    Cells are bumpy ellipses (ellipsoids) on a persistent random walk. They double their volume over a cycle of random length,
    round up, brighten and split along their long axis into daughters that share the volume; cells that press on each other give
    way. They come and go through the border; a cell that leaves and comes back is another one, for nobody could know.

    Args:
        settings: What the film shows; defaults when not given.
        overrides: Single settings by name, such as ``frames=30, cells=20, size=(256, 256), seed=0``; see ``Simulation``.
            A ``size`` of three numbers, (z, y, x), makes a 3D film.

    Returns:
        Film, masks and truth. The same settings give the same bytes.

    Raises:
        ValueError: A setting is out of range; the message names it.
        TypeError: There is no such setting.
    """
    settings = changed(settings, overrides)
    shots = [shoot(cells, settings, frame) for frame, cells in enumerate(grow(settings))]
    image = np.stack([shot.image for shot in shots])
    kin = kinship([shot.cast for shot in shots])
    labels, label = _labelled(shots, kin, settings)
    cells = Detections.from_labels(labels, image, settings.pixel)
    truth = kin.take(np.lexsort((label, kin.frame))).forest(cells)  # masks are measured by frame, then label
    return SimulatedFilm(image, labels, truth, settings.pixel, settings)


def _labelled(shots: Sequence[Shot], kin: Kinship, settings: Simulation) -> tuple[Array, IntArray]:
    """The label film, and the label of every mask in the order of the shots; int (n,)."""
    label = kin.labels(settings)
    dtype = np.uint16 if label.max(initial=0) < 2**16 else np.uint32
    frames = [relabelled(shot.mask, shot.cast, here, dtype) for shot, here in zip(shots, kin.by_frame(label), strict=True)]
    return np.stack(frames), label


def relabelled(mask: Array, cast: Cast, label: IntArray, dtype: Any) -> Array:  # noqa: ANN401 - what NumPy takes for a type
    """The masks of one frame with their labels.

    Args:
        mask: k + 1 where row k of the cast shows; int ([Z,] Y, X).
        cast: Who is there.
        label: The label of each row that shows; int (k,).
        dtype: Type of the result.
    """
    table = np.zeros(len(cast.uid) + 1, dtype)
    table[cast.shown + 1] = label
    return table[mask]
