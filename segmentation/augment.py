"""Make one training picture look like many: the same warp for picture and labels, new brightness for the picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage

from segmentation.arrays import AnyArray, FloatArray


@dataclass(frozen=True)
class Warp:
    """Cuts a patch, flipped, turned, zoomed and bent at random, alike from every array.

    Args:
        zoom: smallest and largest magnification; drawn log-normally about 1 and clipped.
        spread: standard deviation of the logarithm of the magnification.
        bend: amplitude of the elastic deformation, pixels.
        mesh: distance of its control points, pixels.
        plain: share of patches that are only flipped and turned by quarter turns (exact pixels).
    """

    zoom: tuple[float, float] = (0.5, 2.0)
    spread: float = 0.35
    bend: float = 2.0
    mesh: int = 32
    plain: float = 0.3

    def __call__(
        self,
        arrays: Sequence[AnyArray],
        orders: Sequence[Literal[0, 1]],
        *,
        centre: Sequence[int],
        size: Sequence[int],
        rng: np.random.Generator,
    ) -> list[AnyArray]:
        """Cut one patch from each array at the same, randomly deformed, place.

        Args:
            arrays: each ([Z,] Y, X), all of one shape.
            orders: interpolation per array: 1 for pictures, 0 for labels.
            centre: pixel in the middle of the patch, ([z,] y, x).
            size: shape of the patch, pixels; the last two equal.
            rng: source of randomness.

        Returns:
            One patch of shape `size` per array; beyond the rim the arrays are mirrored.
        """
        dims = len(size)
        turn = _turn(dims, int(rng.integers(4)), flip=rng.random(dims) < 0.5)
        grid = np.indices(size).reshape(dims, -1) - (np.asarray(size)[:, None] - 1) // 2
        if rng.random() < self.plain:
            places = turn @ grid
        else:
            factor = float(np.clip(np.exp(rng.normal(0, self.spread)), *self.zoom))
            turn = _rotation(dims, rng.uniform(-np.pi / 4, np.pi / 4)) @ turn
            places = turn @ (grid / factor) + self.bend / factor * self._bending(size, rng)
        places = np.asarray(places + np.asarray(centre)[:, None], np.float64).reshape(dims, *size)
        return [
            np.asarray(ndimage.map_coordinates(array, places, order=order, mode="mirror", prefilter=False))
            for array, order in zip(arrays, orders, strict=True)
        ]

    def _bending(self, size: Sequence[int], rng: np.random.Generator) -> FloatArray:
        """A smooth random displacement of unit amplitude, (d, pixels)."""
        return np.stack([smooth_noise(size, self.mesh, rng).ravel() for _ in size])


@dataclass(frozen=True)
class Shade:
    """Changes brightness, contrast, sharpness and noise of a normalised picture at random.

    Args:
        gain: smallest and largest factor, drawn log-uniformly.
        gamma: smallest and largest exponent, drawn log-uniformly.
        haze: amplitude of a smooth background.
        noise: largest standard deviation of pixel noise.
        blur: largest standard deviation of blur, pixels; half of the pictures stay sharp.
    """

    gain: tuple[float, float] = (0.6, 1.5)
    gamma: tuple[float, float] = (0.65, 1.6)
    haze: float = 0.05
    noise: float = 0.1
    blur: float = 1.5

    def __call__(self, image: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Shade one patch.

        Args:
            image: ([Z,] Y, X), about 0..1.
            rng: source of randomness.

        Returns:
            float32, same shape.
        """
        gain, gamma = (float(np.exp(rng.uniform(*np.log(r)))) for r in (self.gain, self.gamma))
        shaded = gain * np.sign(image) * np.abs(image) ** gamma
        if rng.random() < 0.5:
            shaded = ndimage.gaussian_filter(shaded, rng.uniform(0, self.blur))
        shaded = shaded + self.haze * rng.random() * smooth_noise(image.shape, 48, rng)
        shaded = shaded + rng.normal(0, self.noise * rng.random() ** 2, image.shape)
        return np.asarray(shaded, np.float32)


def smooth_noise(size: Sequence[int], mesh: int, rng: np.random.Generator) -> FloatArray:
    """Random numbers of unit variance on a coarse mesh, interpolated to every pixel.

    Args:
        size: shape of the answer, pixels.
        mesh: distance of the control points, pixels.
        rng: source of randomness.
    """
    field = rng.normal(size=[n // mesh + 2 for n in size])
    for axis, n in enumerate(size):  # one axis at a time: linear in the number of pixels
        at = np.arange(n) / mesh
        low = at.astype(int)
        part = (at - low).reshape([-1 if a == axis else 1 for a in range(len(size))])
        part = part * part * (3 - 2 * part)
        field = np.take(field, low, axis) * (1 - part) + np.take(field, low + 1, axis) * part
    return np.asarray(field, np.float32)


def _turn(dims: int, quarters: int, *, flip: AnyArray) -> AnyArray:
    """Exact matrix of flips of every axis followed by quarter turns of the last two."""
    matrix = np.eye(dims, dtype=int) * np.where(flip, -1, 1)
    cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarters]
    quarter = np.eye(dims, dtype=int)
    quarter[-2:, -2:] = [[cos, -sin], [sin, cos]]
    return quarter @ matrix


def _rotation(dims: int, angle: float) -> FloatArray:
    """Rotation of the last two axes by an angle in radians."""
    matrix = np.eye(dims)
    matrix[-2:, -2:] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return matrix
