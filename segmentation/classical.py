"""Segmentation without any training: threshold, distance, watershed. The floor that learned models must clear."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu

from segmentation.arrays import AnyArray, BoolArray, FloatArray, IntArray
from segmentation.blocks import PIXELS, Finite, Progress, divided, labels_for, silent, stitch, widened, within
from segmentation.flooding import distance_inside, drop_small, flood
from segmentation.normalise import Canvas, Picture, Place, check_finite, is_constant

OVERLAP = {2: 96.0, 3: 32.0}  # by axes, in the unit of `scale`; most nuclei, and heaps of a few, are smaller
BINS = 256  # of the histogram from which Otsu's threshold is taken


def classical(
    image: AnyArray,
    *,
    scale: Sequence[float] | None = None,
    sigma: float = 1.0,
    local: float | None = None,
    apart: float = 5.0,
    smallest: int = 20,
) -> IntArray:
    """Find bright cells on a dark background.

    Gaussian blur, Otsu's threshold, distance to the background (smoothed), its maxima as seeds, watershed.

    Args:
        image: (Y, X) or (Z, Y, X), any real dtype, finite; not altered.
        scale: size of a pixel along each axis, in units of the finest; default ones.
        sigma: blur of the picture and of the distance, in the unit of `scale`.
        local: width of a Gaussian whose blur is first taken off as background, in the unit of `scale`;
            choose several cell diameters. None: one threshold for the raw picture.
        apart: least distance of two cell centres, in the unit of `scale`.
        smallest: least size of a cell, pixels.

    Returns:
        int32 labels, same shape, 0 = background, cells 1..n; empty for a picture of equal pixels.
    """
    image = np.asarray(image)
    step = _steps(image.shape, scale, "image")
    check_finite(image)
    if is_constant(image):
        return np.zeros(image.shape, np.int32)
    way = _Way(step, sigma, local, apart, smallest)
    smooth = way.smooth(image)
    return way.cells(smooth > threshold_otsu(smooth))


def classical_in_blocks(  # noqa: PLR0913 (keyword-only)
    picture: Picture,
    out: Canvas | None = None,
    *,
    scale: Sequence[float] | None = None,
    sigma: float = 1.0,
    local: float | None = None,
    apart: float = 5.0,
    smallest: int = 20,
    overlap: float | None = None,
    tile: int | Sequence[int] = 0,
    pixels: int = PIXELS,
    progress: Progress = silent,
) -> Any:  # noqa: ANN401 (an array, or `out`)
    """Find the bright cells of a picture that may be larger than memory.

    The cells are those of `classical` on the whole picture wherever heaps are smaller than the overlap: cells that touch, or whose
    seeds lie nearer than `apart`. The threshold is that of the whole picture, which is read three times, block by block.

    Args:
        picture: (Y, X) or (Z, Y, X), any real dtype, finite; an array or anything that is sliced like one; not altered.
        out: receives the labels, same shape, an integer array of 32 or 64 bits or anything that is assigned to like one.
        scale: see `classical`.
        sigma: see `classical`.
        local: see `classical`.
        apart: see `classical`.
        smallest: see `classical`.
        overlap: how far blocks look beyond their sides, in the unit of `scale`; at least the largest heap. Default 96 in the plane,
            32 in space.
        tile: largest side of a block without its rim, pixels; one for all axes or one for each. 0: chosen by `pixels`.
        pixels: most pixels that are looked at together, about 35 bytes of memory each; more only where the rim leaves no block.
        progress: wraps the blocks, e.g. to draw a bar; silent by default.

    Returns:
        int32 labels, same shape, or `out` where it was given: 0 background, cells 1..n in the order of their first pixels; empty
        for a picture of equal pixels.
    """
    shape = tuple(picture.shape)
    step = _steps(shape, scale, "picture")
    overlap = OVERLAP[len(shape)] if overlap is None else overlap
    if not 0 <= overlap < math.inf:
        raise ValueError(f"overlap is {overlap}: give at least 0, better the size of the largest heap of cells")
    labels = labels_for(out, shape)
    way = _Way(step, sigma, local, apart, smallest)
    rim = [math.ceil(overlap / s) for s in step]
    total = [a + b + c for a, b, c in zip(rim, way.surround(), way.reach(), strict=True)]
    places = list(divided(shape, total, tile=tile, pixels=pixels))
    if 0 in shape:
        return labels
    look = _Look(Finite(picture), way)
    threshold = look.otsu(places, progress)
    if threshold is None:
        for place in places:
            labels[place] = 0
        return labels
    stitch(lambda place: look.cells(place, threshold), labels, places, rim, progress)
    return labels


@dataclass(frozen=True, eq=False)
class _Way:
    """What is done to a picture, and how far that looks; see `classical`.

    Args:
        step: (d,) size of a pixel along each axis.
        sigma: blur.
        local: width of the background, or None.
        apart: least distance of two centres.
        smallest: least size, pixels.
    """

    step: AnyArray
    sigma: float
    local: float | None
    apart: float
    smallest: int

    def smooth(self, image: AnyArray) -> FloatArray:
        """The picture without noise, and without background where that is asked for; float32, same shape."""
        smooth = ndimage.gaussian_filter(image.astype(np.float32), self.sigma / self.step)
        if self.local is not None:
            smooth = smooth - ndimage.gaussian_filter(smooth, self.local / self.step)
        return np.asarray(smooth)

    def cells(self, mask: BoolArray) -> IntArray:
        """The cells of a mask, numbered 1..n."""
        distance = ndimage.gaussian_filter(distance_inside(mask, tuple(self.step)), self.sigma / self.step)
        heaps = ndimage.label(mask)[0]
        return drop_small(_parted(heaps, _peaks(distance, heaps, apart=self.apart, step=self.step), distance), self.smallest)

    def reach(self) -> list[int]:
        """How far a smooth pixel sees along each axis, pixels."""
        return [int(a + b) for a, b in zip(self._blur(self.sigma), self._blur(self.local or 0.0), strict=True)]

    def surround(self) -> list[int]:
        """How far a cell depends on the mask around its heap along each axis, pixels.

        A seed of another heap suppresses one of this heap within `apart`. The height of that seed, or of one that is none but would
        seem to be, is a mean of distances to the background within the blur; and these are at most `apart` and the blur, as there is
        background between the heaps.
        """
        blur = self._blur(self.sigma)
        near = 2 * self.apart + float(np.linalg.norm(blur * self.step))
        return [int(b + math.ceil(near / s)) for b, s in zip(blur, self.step, strict=True)]

    def _blur(self, sigma: float) -> AnyArray:
        return np.asarray(4 * sigma / self.step + 0.5, int)  # where SciPy cuts a Gaussian off


@dataclass(frozen=True, eq=False)
class _Look:
    """A picture, looked at in parts.

    Args:
        picture: sliced like an array.
        way: what is done to it.
    """

    picture: Finite
    way: _Way

    def smooth(self, place: Place) -> FloatArray:
        """What the smooth picture is at a place, the same pixels as in one piece."""
        return self._read(place)[1]

    def cells(self, place: Place, threshold: float) -> IntArray:
        """The cells at a place."""
        wide = widened(place, self.way.surround(), self.picture.shape)
        return self.way.cells(self.smooth(wide) > threshold)[within(place, wide)]

    def otsu(self, places: Sequence[Place], progress: Progress) -> Any:  # noqa: ANN401 (a NumPy number, of the kind that was compared)
        """Otsu's threshold of the smooth picture in one piece; None where all pixels are equal."""
        ends = []
        for place in progress(places, "looking for the range"):
            raw, smooth = self._read(place)
            ends.append((raw.min(), raw.max(), smooth.min(), smooth.max()))
        darkest, brightest, low, high = (end(column) for end, column in zip((min, max, min, max), zip(*ends, strict=True), strict=True))
        if darkest == brightest or low == high:
            return None
        counts: AnyArray = np.zeros(BINS, np.int64)
        for place in progress(places, "looking for the threshold"):
            count, edges = np.histogram(self.smooth(place), BINS, (low, high))
            counts = counts + count
        return threshold_otsu(hist=(counts, (edges[:-1] + edges[1:]) / 2))

    def _read(self, place: Place) -> tuple[AnyArray, FloatArray]:
        """The picture around a place, and the smooth one at it."""
        wide = widened(place, self.way.reach(), self.picture.shape)
        raw = self.picture[wide]
        return raw, self.way.smooth(raw)[within(place, wide)]


def _steps(shape: Sequence[int], scale: Sequence[float] | None, name: str) -> AnyArray:
    """The size of a pixel along each axis, refused when it does not fit the picture."""
    step = np.ones(len(shape)) if scale is None else np.asarray(scale, float)
    if len(shape) not in (2, 3) or step.shape != (len(shape),) or not (step > 0).all():
        raise ValueError(
            f"{name} has shape {tuple(shape)} and scale {tuple(map(float, step))}: "
            "give a (Y, X) or (Z, Y, X) picture and one positive number per axis"
        )
    return step


def _parted(heaps: IntArray, seeds: IntArray, distance: FloatArray) -> IntArray:
    """Part each heap of touching cells between its seeds, whatever lies around it."""
    grown = seeds > 0
    counts = np.bincount(heaps[grown], minlength=int(heaps.max()) + 1)
    only = np.zeros(len(counts), np.int32)
    only[heaps[grown]] = seeds[grown]
    labels: IntArray = np.where(counts == 1, only, 0)[heaps]
    boxes = ndimage.find_objects(heaps)
    for heap in np.flatnonzero(counts > 1):  # one by one: in one flood, draws between two cells would hang on all other heaps
        box = boxes[heap - 1]
        here = heaps[box] == heap
        labels[box][here] = flood(-distance[box], np.where(here, seeds[box], 0), here)[here]
    return labels


def _peaks(distance: AnyArray, heaps: IntArray, *, apart: float, step: AnyArray) -> IntArray:
    """Number the pixels that lie deepest within `apart` in their heap; of equals the first."""
    reach = np.maximum(np.ceil(apart / step), 1).astype(int)
    grid = np.indices([2 * int(r) + 1 for r in reach]) - reach.reshape(-1, *[1] * len(step))
    ball = ((grid * step.reshape(-1, *[1] * len(step))) ** 2).sum(0) <= apart**2
    places = peak_local_max(distance, footprint=ball, labels=heaps, exclude_border=False)
    places = places[np.argsort(-distance[tuple(places.T)], kind="stable")]
    kept = np.ones(len(places), bool)
    near = cKDTree(places * step).query_pairs(apart, output_type="ndarray") if len(places) else np.empty((0, 2), int)
    for higher, lower in near[np.lexsort(near.T[::-1])]:  # in falling height: each verdict needs those before it
        kept[lower] &= not kept[higher]
    seeds = np.zeros(distance.shape, np.int32)
    seeds[tuple(places[kept].T)] = np.arange(1, kept.sum() + 1)
    return seeds
