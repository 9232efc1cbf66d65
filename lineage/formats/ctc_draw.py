"""Small discs and balls for cells that have a position but no outline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lineage.arrays import Array, FloatArray, IntArray
from lineage.detections import Detections

RADIUS = 2  # pixels
LARGEST = 2**28  # pixels of a frame


@dataclass(frozen=True)
class Canvas:
    """Where the discs go.

    Attributes:
        shape: Of every frame, ([z,] y, x), pixels.
        corner: Pixel coordinates that become 0 (negative positions are shifted into the picture); int (d,).
    """

    shape: tuple[int, ...]
    corner: IntArray

    @classmethod
    def around(cls, cells: Detections) -> Canvas:
        """A canvas that holds all cells, with room for their discs.

        Raises:
            ValueError: A frame would have more pixels than memory should hold; give the scale of the pixels or the labels.
        """
        if not len(cells):
            return cls((2 * RADIUS + 1,) * cells.n_axes, np.zeros(cells.n_axes, np.int64))
        pixel = pixels(cells)
        corner = np.minimum(pixel.min(axis=0), 0)
        crowd = int(np.bincount(cells.frame).max())
        room = int(np.ceil(crowd ** (1 / cells.n_axes))) + 1  # even if all cells of a frame sit in one corner
        shape = tuple(int(size) for size in np.maximum(pixel.max(axis=0) - corner + RADIUS + 1, room))
        if np.prod(np.array(shape, float)) > LARGEST:
            raise ValueError(f"drawing the cells needs frames of {shape} pixels: give the labels, or detections with a larger scale")
        return cls(shape, corner)

    def draw(self, centre: IntArray, number: IntArray) -> Array:
        """One frame: a disc (ball) around each centre, cut where it is nearer to another cell; no cell is lost.

        Args:
            centre: Pixel coordinates; int (n, d).
            number: Value of each cell; int (n,).
        """
        frame = np.zeros(self.shape, np.uint16)
        if not len(centre):
            return frame
        centre = self._apart(centre - self.corner)
        ball = _offsets(RADIUS, len(self.shape))
        ball = ball[(ball**2).sum(1) <= RADIUS**2]
        places = (centre[:, None] + ball).reshape(-1, len(self.shape))
        distance = np.tile((ball**2).sum(1), len(centre))
        owner = np.repeat(number, len(ball))
        inside = ((places >= 0) & (places < self.shape)).all(1)
        order = np.flatnonzero(inside)[np.argsort(-distance[inside], kind="stable")]  # the nearest is written last and stays
        frame[tuple(places[order].T)] = owner[order]
        return frame

    def _apart(self, centre: IntArray) -> IntArray:
        """Centres that are all different: of cells in one pixel, all but the first move to the nearest free pixel."""
        flat = np.ravel_multi_index(tuple(centre.T), self.shape)
        first = np.zeros(len(flat), bool)
        first[np.unique(flat, return_index=True)[1]] = True
        if first.all():
            return centre
        taken, moved = set(flat.tolist()), centre.copy()
        reach = int(np.ceil(len(centre) ** (1 / centre.shape[1]))) + 1
        around = _offsets(reach, centre.shape[1])
        around = around[np.argsort((around**2).sum(1), kind="stable")]
        for i in np.flatnonzero(~first).tolist():  # over colliding cells only: each choice depends on those before
            near = moved[i] + around
            near = near[((near >= 0) & (near < self.shape)).all(1)]
            free = next(k for k, place in enumerate(np.ravel_multi_index(tuple(near.T), self.shape).tolist()) if place not in taken)
            moved[i] = near[free]
            taken.add(int(np.ravel_multi_index(tuple(moved[i]), self.shape)))
        return moved


def pixels(cells: Detections) -> IntArray:
    """The pixel of each cell's centre; int (n, d)."""
    position: FloatArray = cells.position / np.array(cells.scale)
    return np.rint(position).astype(np.int64)


def _offsets(reach: int, n_axes: int) -> IntArray:
    side = np.arange(-reach, reach + 1)
    return np.stack(np.meshgrid(*[side] * n_axes, indexing="ij"), axis=-1).reshape(-1, n_axes)


def painter(cells: Detections, number: IntArray) -> tuple[int, Callable[[int], Array]]:
    """The number of frames, and a function that draws one of them.

    Args:
        cells: What to draw.
        number: Value of each cell; 0 for those that are left out; int (n,).
    """
    canvas, pixel = Canvas.around(cells), pixels(cells)

    def draw(t: int) -> Array:
        rows = np.arange(len(cells))[cells.at(t)]
        rows = rows[number[rows] > 0]
        return canvas.draw(pixel[rows], number[rows])

    return max(cells.n_frames, 1), draw
