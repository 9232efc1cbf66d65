"""A zoo of tiny lineages; every module meets every animal."""

from __future__ import annotations

import numpy as np

from lineage.detections import Detections
from lineage.forest import Forest

RADIUS = 2  # of the discs that `paint` draws, pixels


def forest(frames, parent, *, place=None, selected=None, dims=2, n_frames=0):
    """A forest from its frames and its parent column; cells of one frame sit 8 pixels apart unless placed."""
    frames, parent = np.array(frames, int), np.array(parent, int)
    rank = np.array([np.sum(frames[:i] == t) for i, t in enumerate(frames)], int).reshape(-1)
    place = rank if place is None else np.array(place)
    position = np.column_stack([np.full(len(frames), 4.0)] * (dims - 1) + [4.0 + 8.0 * place]) if len(frames) else np.zeros((0, dims))
    return Forest(Detections(frames, position, rank + 1, n_frames=n_frames), parent, [] if selected is None else selected)


ZOO = {
    "empty": forest([], [], n_frames=2),
    "single": forest([0], [-1]),
    "single in a long film": forest([1], [-1], n_frames=3),
    "step": forest([0, 1], [-1, 0]),
    "two strangers": forest([0, 0, 1, 1], [-1, -1, 0, 1]),
    "crossing": forest([0, 0, 1, 1], [-1, -1, 1, 0]),
    "division": forest([0, 1, 1], [-1, 0, 0]),
    "division with a past": forest([0, 1, 2, 2, 3, 3], [-1, 0, 1, 1, 2, 3]),
    "two divisions in a row": forest([0, 1, 1, 2, 2, 2], [-1, 0, 0, 1, 1, 2]),
    "lost daughter": forest([0, 1, 1, 2], [-1, 0, 0, 1]),
    "gap": forest([0, 1, 3, 4], [-1, 0, 1, 2]),
    "gap over two frames": forest([0, 3], [-1, 0]),
    "division over a gap": forest([0, 1, 3, 3, 4], [-1, 0, 1, 1, 2]),
    "late daughter": forest([0, 1, 2, 2], [-1, 0, 0, 1]),
    "entry and exit": forest([0, 1, 1, 2], [-1, 0, -1, 2]),
    "empty frame between strangers": forest([0, 2], [-1, -1]),
    "unselected noise": forest([0, 0, 1], [-1, -1, 0], selected=[True, False, True]),
    "three dimensions": forest([0, 1, 1], [-1, 0, 0], dims=3),
}


def paint(animal, shape=None):
    """The label film of a zoo forest: a disc (ball) for every detection, its value the detection's label."""
    cells = animal.detections
    high = cells.position.max(axis=0, initial=8) + 5 if len(cells) else np.full(cells.n_axes, 12)
    shape = tuple(int(h) for h in high) if shape is None else shape
    film = np.zeros((max(cells.n_frames, 1), *shape), np.uint16)
    grid = np.indices(shape)
    for t, place, label in zip(cells.frame, cells.position, cells.label, strict=True):
        film[t][((grid - place.reshape(-1, *[1] * len(shape))) ** 2).sum(0) <= RADIUS**2] = label
    return film
