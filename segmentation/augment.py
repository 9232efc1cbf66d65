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
        anisotropy: size of a voxel along z over its size along y and x; a stack bends so much less along z, in voxels.
    """

    zoom: tuple[float, float] = (0.5, 2.0)
    spread: float = 0.35
    bend: float = 2.0
    mesh: int = 32
    plain: float = 0.3
    anisotropy: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.zoom[0] <= self.zoom[1] or self.anisotropy <= 0 or self.mesh < 1:
            raise ValueError(
                f"zoom is {self.zoom}, anisotropy {self.anisotropy} and mesh {self.mesh}: "
                "give 0 < least <= most, a positive number and at least 1 pixel"
            )

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
            size: shape of the patch, pixels.
            rng: source of randomness.

        Returns:
            One patch of shape `size` per array; beyond the rim the arrays are mirrored.
        """
        places = self.places(centre=centre, size=size, rng=rng)
        return [look(array, places, order) for array, order in zip(arrays, orders, strict=True)]

    def places(self, *, centre: Sequence[int], size: Sequence[int], rng: np.random.Generator) -> FloatArray:
        """Say where in the picture each pixel of a randomly deformed patch lies.

        Args:
            centre: pixel in the middle of the patch, ([z,] y, x).
            size: shape of the patch, pixels.
            rng: source of randomness.

        Returns:
            float64 (d, *size), pixels; may lie beyond the picture.
        """
        dims = len(size)
        turn = _turn(dims, int(rng.integers(4)), flip=rng.random(dims) < 0.5)
        grid = np.indices(size).reshape(dims, -1) - (np.asarray(size)[:, None] - 1) // 2
        if rng.random() < self.plain:
            places = turn @ grid
        else:
            factor = float(np.clip(np.exp(rng.normal(0, self.spread)), *self.zoom))
            turn = _rotation(dims, rng.uniform(-np.pi / 4, np.pi / 4)) @ turn
            places = turn @ (grid / factor) + self._bending(size, rng) / factor
        return np.asarray(places + np.asarray(centre)[:, None], np.float64).reshape(dims, *size)

    def _bending(self, size: Sequence[int], rng: np.random.Generator) -> FloatArray:
        """A smooth random displacement in pixels, (d, pixels); z, the first of three axes, has larger voxels."""
        thick = np.array([self.anisotropy, 1, 1][-len(size) :])
        mesh = [max(1, round(self.mesh / t)) for t in thick]
        unit = np.stack([smooth_noise(size, mesh, rng).ravel() for _ in size])
        return np.asarray(self.bend * unit / thick[:, None])


def look(array: AnyArray, places: FloatArray, order: Literal[0, 1]) -> AnyArray:
    """Read an array at any places; beyond the rim it is mirrored.

    Args:
        array: ([Z,] Y, X).
        places: (d, ...), pixels.
        order: 1: interpolate between pixels, for pictures; 0: take the nearest, for labels.

    Returns:
        The shape of `places` without its first axis, the dtype of the array.
    """
    return np.asarray(ndimage.map_coordinates(array, places, order=order, mode="mirror", prefilter=False))


@dataclass(frozen=True)
class Shade:
    """Changes brightness, contrast, sharpness and noise of a normalised picture at random.

    Args:
        gain: smallest and largest factor, drawn log-uniformly.
        gamma: smallest and largest exponent, drawn log-uniformly.
        haze: amplitude of a smooth background.
        noise: largest standard deviation of pixel noise.
        blur: largest standard deviation of blur, pixels; half of the pictures stay sharp.
        anisotropy: size of a voxel along z over its size along y and x; a stack is blurred so much less along z, in voxels.
    """

    gain: tuple[float, float] = (0.6, 1.5)
    gamma: tuple[float, float] = (0.65, 1.6)
    haze: float = 0.05
    noise: float = 0.1
    blur: float = 1.5
    anisotropy: float = 1.0

    def __post_init__(self) -> None:
        if min(*self.gain, *self.gamma, self.anisotropy) <= 0 or min(self.haze, self.noise, self.blur) < 0:
            raise ValueError(f"{self} has a factor or exponent that is not positive, or a negative strength: give 0 for none")

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
            sigma = rng.uniform(0, self.blur)
            shaded = ndimage.gaussian_filter(shaded, [sigma / self.anisotropy, sigma, sigma][-image.ndim :])
        shaded = shaded + self.haze * rng.random() * smooth_noise(image.shape, 48, rng)
        shaded = shaded + rng.normal(0, self.noise * rng.random() ** 2, image.shape)
        return np.asarray(shaded, np.float32)


def smooth_noise(size: Sequence[int], mesh: int | Sequence[int], rng: np.random.Generator) -> FloatArray:
    """Random numbers of unit variance on a coarse mesh, interpolated to every pixel.

    Args:
        size: shape of the answer, pixels.
        mesh: distance of the control points, pixels; one for each axis or one for all.
        rng: source of randomness.
    """
    steps = [mesh] * len(size) if isinstance(mesh, int) else mesh
    field = rng.normal(size=[n // step + 2 for n, step in zip(size, steps, strict=True)])
    for axis, (n, step) in enumerate(zip(size, steps, strict=True)):  # one axis at a time: linear in the number of pixels
        at = np.arange(n) / step
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
