"""Camera: the tissue as masks and as a fluorescence image."""

from __future__ import annotations

import math
from dataclasses import dataclass

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
        offset: Place relative to the cell's centre, in units of its radius; float (p, d).
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
    window = np.stack(np.meshgrid(*(np.arange(-h, h + 1) for h in half), indexing="ij"), -1).reshape(-1, len(size))
    middle = np.round(tissue.position / spacing).astype(int)
    near = np.flatnonzero(((middle >= -half) & (middle < size + half)).all(1))
    pieces = [_inside(tissue, rows, middle[rows], window, settings) for rows in np.array_split(near, 1 + len(near) * len(window) // BATCH)]
    cell, pixel, depth, offset = (np.concatenate(column) for column in zip(*pieces, strict=True))
    order = np.argsort(-(depth + np.where(real[cell], 0, 2)), kind="stable")
    owner = np.full(int(size.prod()), -1)
    owner[pixel[order]] = order  # the last one written, the deepest, stays
    won = owner[owner >= 0]
    return Ink(cell[won], pixel[won], depth[won], offset[won])


def _inside(
    tissue: Tissue, rows: IntArray, middle: IntArray, window: IntArray, settings: Simulation
) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """The pixels of the frame that lie within the outline of some cells: cell, flat index, depth, offset.

    An outline is an ellipsoid times 1 + sum of a_k T_k(cos(angle to bump axis k)), k = 2, 3, 4, with Chebyshev's polynomials T_k:
    in the plane T_k(cos x) = cos(k x), so these are the low Fourier modes, and in space their like about an axis.
    """
    spacing, (along, across) = settings.spacing, tissue.semi_axes
    reach = 1.3 * np.maximum(along, across)[rows, None]
    near, square = np.ones((len(rows), len(window)), bool), np.zeros((len(rows), len(window)))
    for axis, size in enumerate(settings.size):  # most pixels of a window are far off: sort them out by cheap means
        place = middle[:, axis, None] + window[:, axis]
        near &= (place >= 0) & (place < size)
        square += (place * spacing[axis] - tissue.position[rows, axis, None]) ** 2
    which, slot = np.nonzero(near & (square < reach**2))
    cell, voxel = rows[which], middle[which] + window[slot]
    offset = voxel * spacing - tissue.position[cell]
    length = np.linalg.norm(offset, axis=1)
    rise = (offset * tissue.axis[cell]).sum(1)
    depth = np.sqrt((rise / along[cell]) ** 2 + np.maximum(length**2 - rise**2, 0) / across[cell] ** 2)
    keep = np.flatnonzero(depth < 1.3)
    cell, voxel, offset, depth, length = cell[keep], voxel[keep], offset[keep], depth[keep], length[keep]
    cosine = np.einsum("pd,pkd->pk", offset / np.maximum(length, 1e-9)[:, None], tissue.bump_axis[cell])
    one, two, three = cosine.T
    modes = np.column_stack([2 * one**2 - 1, (4 * two**2 - 3) * two, 8 * three**2 * (three**2 - 1) + 1])
    depth = depth / np.clip(1 + (tissue.bumps[cell] * modes).sum(1), 0.75, 1.3)
    keep = np.flatnonzero(depth < 1)
    pixel = np.ravel_multi_index(tuple(voxel[keep].T), settings.size)
    return cell[keep], pixel, depth[keep], offset[keep] / tissue.radius[cell[keep], None]


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
    grey = rng.poisson(light) + settings.offset + rng.normal(0, settings.read_noise, settings.size)
    return np.clip(np.rint(grey), 0, 65535).astype(np.uint16)


def _texture(tissue: Tissue, ink: Ink, settings: Simulation) -> FloatArray:
    """Chromatin: a few random ripples and dark nucleoli that move with the cell; float (p,), 1 on average."""
    angle = np.einsum("pd,pkd->pk", ink.offset, tissue.wave[ink.cell]) + tissue.phase[ink.cell]
    ripple = np.cos(angle).sum(1) / math.sqrt(angle.shape[1] / 2)
    away = ((ink.offset[:, None] - tissue.nucleolus[ink.cell]) ** 2).sum(2)
    dark = np.exp(-away / (2 * 0.16**2)).sum(1)
    return np.maximum(1 + settings.texture * (ripple - 2 * dark * (1 - tissue.mitosis[ink.cell])), 0.1)


def _background(settings: Simulation) -> FloatArray:
    """Light of the empty field: uneven along a random direction, and a little darker towards the corners; float (y, x)."""
    direction = np.random.default_rng([settings.seed, 2]).uniform(0, 2 * math.pi)
    y, x = (np.linspace(-1, 1, n) for n in settings.size[-2:])
    slope = math.sin(direction) * y[:, None] + math.cos(direction) * x
    return settings.background * np.maximum(1 + settings.gradient * (0.6 * slope - 0.3 * (y[:, None] ** 2 + x**2)), 0)
