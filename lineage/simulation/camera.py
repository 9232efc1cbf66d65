"""Camera: the tissue as masks and as a fluorescence image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage

from lineage.arrays import Array, FloatArray, IntArray

from .scenario import Simulation
from .tissue import Tissue

BATCH = 2_000_000  # pixels looked at in one go: bounds the memory of films with many large cells
HALO = 0.15  # part of the light that is out of focus


@dataclass(frozen=True, eq=False)
class Ink:
    """The pixels of the cells of one frame, each pixel once; p rows.

    Attributes:
        cell: Row of the cell it belongs to; int (p,).
        pixel: Flat index into the frame; int (p,).
        depth: 0 in the middle of the cell, 1 at its outline; float (p,).
        offset: Place relative to the cell's centre, in units of its radius; float (d, p).
    """

    cell: IntArray
    pixel: IntArray
    depth: FloatArray
    offset: FloatArray


def drawn(tissue: Tissue, settings: Simulation, real: Array) -> Ink:
    """Which pixel shows which cell; where cells overlap, the one whose middle is nearer.

    Args:
        tissue: The cells, m rows.
        settings: Size and spacing of the frame.
        real: Bool (m,); cells that are not real are only drawn where no real one is.
    """
    spacing, size = settings.spacing, np.array(settings.size)
    longest = 1.3 * float(np.maximum(*tissue.semi_axes).max(initial=0.0))
    half = np.ceil(longest / spacing).astype(int)
    middle = np.round(tissue.position / spacing).astype(int)
    near = np.flatnonzero(((middle >= -half) & (middle < size + half)).all(1))
    batches = np.array_split(near, 1 + len(near) * int(np.prod(2 * half + 1)) // BATCH)
    pieces = [_inside(tissue, rows, middle[rows], half, settings) for rows in batches]
    cell, pixel, depth, offset = (np.concatenate(column, axis=-1) for column in zip(*pieces, strict=True))
    owner = np.full(int(size.prod()), -1)
    owner[pixel] = np.arange(len(pixel))
    owner[pixel[owner[pixel] != np.arange(len(pixel))]] = -2  # claimed by another cell, too
    shared = np.flatnonzero(owner[pixel] == -2)
    order = shared[np.argsort(-(depth[shared] + np.where(real[cell[shared]], 0, 2)), kind="stable")]
    owner[pixel[order]] = order  # the last one written, the deepest, stays
    won = owner[owner >= 0]
    return Ink(cell[won], pixel[won], depth[won], offset[:, won])


def _inside(
    tissue: Tissue, rows: IntArray, middle: IntArray, half: IntArray, settings: Simulation
) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """The pixels of the frame that lie within the outline of some cells: cell, flat index, depth, offset.

    An outline is an ellipsoid times 1 + sum of a_k T_k(cos(angle to bump axis k)), k = 2, 3, 4, with Chebyshev's polynomials T_k:
    in the plane T_k(cos x) = cos(k x), so these are the low Fourier modes, and in space their like about an axis.
    """
    along, across = tissue.semi_axes
    which, voxel, offset, square = _around(tissue, rows, middle, half, settings)
    cell, length = rows[which], np.sqrt(square)
    rise = (offset * tissue.axis[cell].T).sum(0)
    depth = np.sqrt((rise / along[cell]) ** 2 + np.maximum(length**2 - rise**2, 0) / across[cell] ** 2)
    keep = np.flatnonzero(depth < 1.3)
    cell, depth, voxel, offset, length = cell[keep], depth[keep], voxel[:, keep], offset[:, keep], length[keep]
    toward = offset / np.maximum(length, 1e-9)
    one, two, three = (_dot(toward, tissue.bump_axis[:, k], cell) for k in range(tissue.bump_axis.shape[1]))
    modes = (2 * one**2 - 1, (4 * two**2 - 3) * two, 8 * three**2 * (three**2 - 1) + 1)
    depth = depth / np.clip(1 + sum(tissue.bumps[cell, k] * mode for k, mode in enumerate(modes)), 0.75, 1.3)
    keep = np.flatnonzero(depth < 1)
    cell = cell[keep]
    return cell, np.ravel_multi_index(tuple(voxel[:, keep]), settings.size), depth[keep], offset[:, keep] / tissue.radius[cell]


def _around(
    tissue: Tissue, rows: IntArray, middle: IntArray, half: IntArray, settings: Simulation
) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """The pixels of the frame that are near enough to some cells to lie within their outlines: which cell, voxel, offset, distance squared.

    Along each axis the pixels are on a line through the cell's middle, and squared distances along the axes add up.
    """
    d = len(settings.size)
    reach = 1.3 * np.maximum(*tissue.semi_axes)[rows]
    square = np.zeros((len(rows), *[1] * d))
    places, ways = [], []
    for axis, size in enumerate(settings.size):
        place = middle[:, axis, None] + np.arange(-half[axis], half[axis] + 1)
        way = place * settings.spacing[axis] - tissue.position[rows, axis, None]
        line = np.where((place >= 0) & (place < size), way**2, np.inf)
        square = square + np.expand_dims(line, [1 + a for a in range(d) if a != axis])
        places.append(place)
        ways.append(way)
    which, *slots = np.nonzero(square < np.expand_dims(reach**2, [1 + a for a in range(d)]))
    voxel = np.stack([place[which, slot] for place, slot in zip(places, slots, strict=True)])
    offset = np.stack([way[which, slot] for way, slot in zip(ways, slots, strict=True)])
    return which, voxel, offset, square[(which, *slots)]


def _dot(offset: FloatArray, vectors: FloatArray, cell: IntArray) -> FloatArray:
    """Inner product of offsets (d, p) with the vectors (m, d) of their cells; float (p,). A loop over axes reads memory in order."""
    total = offset[0] * vectors[cell, 0]
    for axis in (2, 1)[-len(offset) + 1 :]:  # z and x before y, as einsum adds: films of older versions are the same to the last byte
        total += offset[axis] * vectors[cell, axis]
    return total


def photographed(tissue: Tissue, ink: Ink, settings: Simulation, frame: int) -> Array:
    """The fluorescence image of one frame: texture, blur, background, shot noise and camera; uint16."""
    rng = np.random.default_rng([settings.seed, 1, frame])
    signal = np.zeros(math.prod(settings.size), np.float32)
    # A flattened dome: light falls towards the rim as the nucleus gets thinner.
    signal[ink.pixel] = tissue.glow[ink.cell] * np.sqrt(1 - 0.75 * ink.depth**3) * _texture(tissue, ink, settings)
    signal = signal.reshape(settings.size)
    width = settings.blur * np.where(np.arange(len(settings.size)) < len(settings.size) - 2, 2.5, 1.0) / settings.spacing
    sharp = ndimage.gaussian_filter(signal, width)
    haze = ndimage.gaussian_filter(signal, np.full(len(width), 0.9 * settings.radius) / settings.spacing, truncate=2.5)
    light = settings.photons * ((1 - HALO) * sharp + 1.5 * HALO * haze) + _background(settings)
    grey = rng.poisson(light) + settings.offset
    grey += rng.normal(0, settings.read_noise, settings.size)
    np.rint(grey, out=grey)
    return np.clip(grey, 0, 65535, out=grey).astype(np.uint16)


def _texture(tissue: Tissue, ink: Ink, settings: Simulation) -> FloatArray:
    """Chromatin: a few random ripples and dark nucleoli that move with the cell; float (p,), 1 on average."""
    ripple, dark = np.zeros(len(ink.cell)), np.zeros(len(ink.cell))
    for k in range(tissue.wave.shape[1]):
        ripple += np.cos(_dot(ink.offset, tissue.wave[:, k], ink.cell) + tissue.phase[ink.cell, k])
    for k in range(tissue.nucleolus.shape[1]):
        away = sum((ink.offset[axis] - tissue.nucleolus[ink.cell, k, axis]) ** 2 for axis in range(len(ink.offset)))
        dark += np.exp(-away / (2 * 0.16**2))
    ripple /= math.sqrt(tissue.wave.shape[1] / 2)
    return np.maximum(1 + settings.texture * (ripple - 2 * dark * (1 - tissue.mitosis[ink.cell])), 0.1)


@lru_cache(maxsize=1)
def _background(settings: Simulation) -> FloatArray:
    """Light of the empty field: uneven along a random direction, and a little darker towards the corners; float (y, x)."""
    direction = np.random.default_rng([settings.seed, 2]).uniform(0, 2 * math.pi)
    y, x = (np.linspace(-1, 1, n) for n in settings.size[-2:])
    slope = math.sin(direction) * y[:, None] + math.cos(direction) * x
    return settings.background * np.maximum(1 + settings.gradient * (0.6 * slope - 0.3 * (y[:, None] ** 2 + x**2)), 0)
