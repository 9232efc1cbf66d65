"""Flow: what the pictures themselves show of the movement of every place, read where the cells are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates, median_filter

from lineage.arrays import Array, Film, FloatArray, IntArray, Progress, frame_shape, length, part_of, silent, slabs
from lineage.detections import Detections

from .field import Motion, comparable, fit, usual_spacing

_SIDE = {2: 256, 3: 96}  # longest side of the pictures that are compared, by the number of axes; larger ones are shrunk
_RADIUS = 5  # of the window that moves as one, in pixels of the shrunken picture
_WARPS = 5
_REGION = 2.5  # side of the regions whose middle movement is taken, in distances between neighbours: what cells do alone is left to them
_TRIED = 6  # pairs of frames that decide whether it helps
_WORTH = 0.5  # nats a cell that it must bring; less is had from the cells' own steps, and with fewer mistakes around divisions


@dataclass(frozen=True, eq=False)
class Flow:
    """The movement of every place of the field from each frame to the next.

    Attributes:
        steps: Displacement on a grid of places, physical units; float32 (T, d, [gz,] gy, gx), the last frame's is 0.
        first: Where the first place of the grid lies, physical units; (d,).
        cell: How far apart its places are along each axis, physical units; (d,).
    """

    steps: Array
    first: FloatArray
    cell: FloatArray

    def at(self, place: FloatArray, frame: IntArray) -> FloatArray:
        """How far each place moves into the next frame; float (n, d), physical units.

        Args:
            place: Physical units; float (n, d).
            frame: Of each place; int (n,).
        """
        moved = np.zeros(place.shape)
        for t in np.unique(frame[frame < len(self.steps)]).tolist():
            rows = np.flatnonzero(frame == t)
            where = ((place[rows] - self.first) / self.cell).T
            for axis, part in enumerate(self.steps[t]):
                moved[rows, axis] = map_coordinates(part, where, order=1, mode="nearest")
        return moved

    def ahead(self, detections: Detections, dt: int = 1) -> FloatArray:
        """Where each cell is carried in so many frames; float (n, d), physical units."""
        place = detections.position
        for later in range(dt):
            place = place + self.at(place, detections.frame + later)
        return place

    def behind(self, detections: Detections) -> FloatArray:
        """Where each cell would have been in the frame before; float (n, d), physical units."""
        place = detections.position
        for _ in range(3):  # the place from where the movement leads here, by repeated correction
            place = detections.position - np.where((detections.frame > 0)[:, None], self.at(place, detections.frame - 1), 0.0)
        return place


def optical_flow(image: Film, detections: Detections, than: Motion | None = None, *, progress: Progress[int] = silent) -> Flow | None:
    """How every region of a film moves, seen in the pictures; None where it does not help to find the cells again.

    Movements are those of ``skimage.registration.optical_flow_ilk`` (Le Besnerais and Champagnat 2005) on shrunken pictures, of which
    each region takes the median. A few pairs of frames are tried first: the whole film is looked at only if the nearest detection to
    where a cell is expected is there more clearly than by ``than``.

    Args:
        image: The film, (T, [Z,] Y, X); it is only read.
        detections: The cells; n of them.
        than: The movement of the whole field, if one was found; rest when not given.
        progress: Wraps the loop over frames.
    """
    n_frames = min(length(image), detections.n_frames)
    pairs = [t for t in comparable(detections) if t + 1 < n_frames]
    if not pairs:
        return None
    see = _Sight.of(image, detections)
    tried = [pairs[k] for k in np.unique(np.linspace(0, len(pairs) - 1, _TRIED).astype(int))]
    known = {t: see.step(t) for t in tried}
    before = detections.position if than is None else than.ahead(detections)
    gain = fit(detections, see.flow(known, n_frames).ahead(detections), tried) - fit(detections, before, tried)
    if gain < _WORTH:
        return None
    known |= {t: see.step(t) for t in progress([t for t in pairs if t not in known], "optical flow")}
    return see.flow(known, n_frames)


@dataclass(frozen=True, eq=False)
class _Sight:
    """The shrunken pictures of a film.

    Attributes:
        image: The film.
        shrink: By how much each axis is shrunk; (d,).
        region: Side of a region along each axis, pixels of the shrunken picture; (d,).
        pixel: Size of a pixel of the shrunken picture, physical units; (d,).
    """

    image: Film
    shrink: tuple[int, ...]
    region: tuple[int, ...]
    pixel: FloatArray

    @classmethod
    def of(cls, image: Film, detections: Detections) -> _Sight:
        shape = frame_shape(image)
        shrink = tuple(-(-side // _SIDE[len(shape)]) for side in shape)
        pixel = np.array(detections.scale) * shrink
        wanted = _REGION * usual_spacing(detections) / pixel
        region = tuple(max(1, min(round(side), whole // step)) for side, whole, step in zip(wanted, shape, shrink, strict=True))
        return cls(image, shrink, region, pixel)

    def picture(self, t: int) -> FloatArray:
        """A frame, shrunk; median 0 and standard deviation 1."""
        from skimage.transform import downscale_local_mean

        planes = slabs(frame_shape(self.image), self.shrink[0])
        parts = [self.image[t]] if len(planes) == 1 else (part_of(self.image, t, place) for place in planes)
        small: FloatArray = np.concatenate([downscale_local_mean(np.asarray(part, float), self.shrink) for part in parts])
        return (small - float(np.median(small))) / (float(small.std()) or 1.0)

    def step(self, t: int) -> Array:
        """The movement of every region from a frame to the next, physical units; float32 (d, ...)."""
        from skimage.measure import block_reduce
        from skimage.registration import optical_flow_ilk

        one, two = self.picture(t), self.picture(t + 1)
        thick = [axis for axis, side in enumerate(one.shape) if side > 1]  # no gradient is seen along the others
        moved = np.zeros((one.ndim, *one.shape), np.float32)
        flat = optical_flow_ilk(one.squeeze(), two.squeeze(), radius=_RADIUS, num_warp=_WARPS, dtype=np.float32)
        moved[thick] = flat.reshape(len(thick), *one.shape)
        rest = [(0, -size % side) for size, side in zip(moved.shape[1:], self.region, strict=True)]
        whole = np.pad(moved, [(0, 0), *rest], mode="edge")
        middle = block_reduce(whole, (1, *self.region), np.median)
        smooth = median_filter(middle, (1, *(3,) * len(self.region)), mode="nearest")
        return np.asarray(smooth * self.pixel.reshape(-1, *(1,) * len(self.region)), np.float32)

    def flow(self, known: dict[int, Array], n_frames: int) -> Flow:
        """The flow of a film of which these steps are known."""
        steps = np.zeros((n_frames, *next(iter(known.values())).shape), np.float32)
        for t, step in known.items():
            steps[t] = step
        cell, one = self.pixel * self.region, self.pixel / self.shrink
        return Flow(steps, (cell - one) / 2, cell)
