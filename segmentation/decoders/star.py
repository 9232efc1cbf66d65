"""A probability and the distances to the rim along rays -> cells: stars, of which the most probable stay."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor
from torch.nn import functional

from segmentation.arrays import FloatArray, IntArray
from segmentation.decoders.interface import Grid
from segmentation.flooding import drop_small, flood
from segmentation.losses import bce
from segmentation.stars.consensus import LEAST, consent
from segmentation.stars.drawing import draw
from segmentation.stars.rays import Directions, Rays, check_rays, finer, make_rays
from segmentation.stars.suppression import suppress
from segmentation.stars.walking import centrality, distances, radius

USUAL = {2: 32, 3: 96}  # rays
DISTANCE, QUIET = 2.0, 1e-3  # weights in the loss; at the usual unit of 10 pixels 0.2 and 0.0001 for each pixel, as published
ALIKE = 0.5  # shared area over united area from which on a star has a say in another one's outline
INNER = 0.6  # part of a star that is certainly its cell's
CROWDED = 8  # pixels for each star that is looked at, at least, in 3D


@dataclass(frozen=True, eq=False)
class Stars:
    """Cells as stars, the most probable first.

    Args:
        points: (n, d) middles, pixels, ([z,] y, x).
        probabilities: (n,) 0..1.
        distances: (n, rays) from the middle to the rim, in units of the finest pixel's side.
        rays: directions of the distances; more than the network was asked for, so that outlines are round.
    """

    points: IntArray
    probabilities: FloatArray
    distances: FloatArray
    rays: Rays

    def __len__(self) -> int:
        return len(self.points)

    @property
    def corners(self) -> FloatArray:
        """Where the rays end, pixels: (n, rays, d); `rays.facets` says which of them are joined."""
        return self.points[:, None] + self.distances[..., None] * self.rays.step

    def drawn(self, shape: Sequence[int], part: float = 1.0) -> IntArray:
        """Fill the stars; a pixel of several goes to the most probable one.

        Args:
            shape: of the picture, ([Z,] Y, X).
            part: factor on all distances.

        Returns:
            int32 labels: 1 + row of the star, 0 = background; a star behind others may be missing.
        """
        return draw(self.points, self.distances * part, self.rays, shape)


@dataclass(frozen=True)
class Star:
    """Cells as star-convex polygons or polyhedra: every pixel says how sure it is to be a middle, and how far the rim is.

    Schmidt, Weigert, Broaddus and Myers, "Cell Detection with Star-Convex Polygons", 2018; Weigert et al., "Star-convex
    Polyhedra for 3D Object Detection and Segmentation in Microscopy", 2020. Unlike there, cells may go on behind the rim of the
    picture, and an outline is what all pixels that mean the same cell agree on.

    Args:
        rays: number of rays (default 32 in 2D, 96 in 3D), or their directions in real space, ([z,] y, x).
        dims: number of spatial axes.
        spacing: size of a pixel along each axis, in any unit; default ones.
        unit: typical radius of a cell, in units of the finest pixel's side; the network says distances as multiples of it.
            `sized` finds it from labels.
        complete: a ray that leaves the picture or meets the unknown is at least as long as it was seen; False: a cell ends at the
            rim of the picture.
        probability: threshold that the probability of a star must exceed.
        overlap: greatest part of the smaller of two cells that both may cover.
        every: every so many pixels along each axis a star is looked for.
        border: stars whose middle is so close to the rim of the picture, in pixels, are left out.
        consensus: whether all stars of a cell have a say in its outline; False: only the most probable.
        smallest: least size of a cell, pixels; smaller ones vanish.
        rim: 0: cells are the drawn stars. Else pixels whose probability exceeds it are flooded from the inner parts
            of the stars, so that cells need not be star-shaped.
    """

    rays: int | Directions | None = None
    dims: int = 2
    spacing: tuple[float, ...] | None = None
    unit: float = 10.0
    complete: bool = True
    probability: float = 0.5
    overlap: float = 0.4
    every: int = 1
    border: int = 0
    consensus: bool = True
    smallest: int = 1
    rim: float = 0.0

    grid: ClassVar[Grid] = {
        "probability": (0.2, 0.3, 0.4, 0.5, 0.6, 0.7),
        "overlap": (0.2, 0.3, 0.4, 0.5),
        "smallest": (1, 10, 20, 40),
    }

    def __post_init__(self) -> None:
        if self.rays is None:
            object.__setattr__(self, "rays", USUAL.get(self.dims, 0))
        elif not isinstance(self.rays, int):  # lists when from a file
            object.__setattr__(self, "rays", tuple(tuple(float(part) for part in ray) for ray in self.rays))
        if self.spacing is not None:
            object.__setattr__(self, "spacing", tuple(float(s) for s in self.spacing))
        check_rays(self.rays or 0, self.dims, (1.0,) * self.dims if self.spacing is None else self.spacing)
        if not (0 <= self.probability < 1 and 0 <= self.overlap <= 1 and 0 <= self.rim < 1):
            raise ValueError(
                f"thresholds are probability {self.probability}, overlap {self.overlap}, rim {self.rim}: "
                "give probability and rim in 0..1 without 1, overlap in 0..1"
            )
        if not (self.unit > 0 and self.every >= 1 and self.border >= 0):
            raise ValueError(f"unit is {self.unit}, every {self.every}, border {self.border}: give unit > 0, every >= 1, border >= 0")

    @property
    def directions(self) -> tuple[tuple[float, ...] | None, ...]:
        """Where each channel's distance points, ([z,] y, x); the probability points nowhere."""
        return (None, *(tuple(ray) for ray in self.aims.unit.tolist()))

    @property
    def aims(self) -> Rays:
        """The rays along which the network says distances."""
        return make_rays(self.rays or 0, self.dims, self.spacing)

    @property
    def channels(self) -> tuple[str, ...]:
        """What the network must say of every pixel."""
        return ("probability", *(f"distance {k}" for k in range(len(self.aims))))

    def sized(self, pictures: Iterable[IntArray]) -> "Star":
        """Set `unit` to the median radius of cells.

        Args:
            pictures: labels ([Z,] Y, X), e.g. those of the training.
        """
        radii = [radius(labels, self.spacing) for labels in pictures]
        found = np.concatenate(radii) if radii else np.zeros(0)
        if not len(found):
            raise ValueError("the labels hold no cell: give pictures with at least one label above 0")
        return replace(self, unit=round(float(np.median(found)), 2))

    def targets(self, labels: IntArray) -> FloatArray:
        """Turn labels into the probability to be a middle and the distances along the rays.

        Args:
            labels: ([Z,] Y, X); > 0 cells, 0 background, < 0 unknown.

        Returns:
            float32 (1 + rays, [Z,] Y, X): probability, in 0..1, -1 where unknown; distances, 0 outside cells, and -d for
            "at least d".
        """
        if labels.ndim != self.dims or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"labels have shape {labels.shape} and dtype {labels.dtype}: give integers with {self.dims} axes")
        middle = centrality(labels, self.spacing)
        middle[labels < 0] = -1
        return np.concatenate([middle[None], distances(labels, self.aims, complete=self.complete)])

    def loss(self, answers: Tensor, wanted: Tensor) -> Tensor:
        """Cross-entropy of the probability plus the error of distances, weighted by the wanted probability.

        Where the distance is only known to be at least d, only shorter answers cost. A small cost on distances in the
        background keeps them quiet. Errors count in multiples of `unit`.

        Args:
            answers: (n, 1 + rays, [Z,] Y, X), raw.
            wanted: same shape, as `targets` gives it.
        """
        middle, far = wanted[:, :1], wanted[:, 1:] / self.unit
        said = functional.softplus(answers[:, 1:].float())
        short = far.abs() - said
        off = torch.where(far < 0, short.clamp(min=0), short.abs()).mean(1, keepdim=True)
        weight, empty = middle.clamp(min=0), (middle == 0).to(said.dtype)
        missed = (weight * off).sum() / weight.sum().clamp(min=1)
        idle = (empty * said.mean(1, keepdim=True)).sum() / empty.sum().clamp(min=1)
        return bce(answers[:, :1].float(), middle) + DISTANCE * missed + QUIET * idle

    def read(self, answers: FloatArray) -> FloatArray:
        """Turn raw answers into a probability and distances.

        Args:
            answers: (1 + rays, [Z,] Y, X), raw.

        Returns:
            float32, same shape: 0..1; distances in units of the finest pixel's side.
        """
        said = np.empty(answers.shape, np.float32)
        said[0] = expit(answers[0])
        np.multiply(np.logaddexp(answers[1:], 0), self.unit, out=said[1:], casting="same_kind")
        return said

    def objects(self, said: FloatArray) -> Stars:
        """Find the cells as stars, with their probabilities.

        In 3D no more than an eighth of all pixels are looked at, the most probable ones: in the densest tissue the inner parts of cells
        are less, and a network that has learned nothing yet, which finds a middle everywhere, would take minutes.

        Args:
            said: (1 + rays, [Z,] Y, X), as `read` gives it.
        """
        self._check(said)
        points = np.argwhere(said[0] > self.probability)
        inside = (points >= self.border) & (points < np.array(said.shape[1:]) - self.border) & (points % self.every == 0)
        points = points[inside.all(1)]
        probabilities = said[(0, *points.T)]
        order = np.argsort(-probabilities, kind="stable")  # of equals the first in the picture
        if self.dims == 3:
            order = order[: max(said[0].size // CROWDED, 1)]
        points, probabilities = points[order], probabilities[order]
        far = np.maximum(np.abs(said[1:][(slice(None), *points.T)].T), LEAST)
        owner, alike = suppress(points, far, self.aims, self.overlap)
        fine = finer(self.aims)
        stay = owner == np.arange(len(owner))
        voice = np.where(stay | ((alike >= ALIKE) & self.consensus), probabilities, 0)
        outline = consent(points, far, voice, owner, self.aims, fine)
        return Stars(points[stay], probabilities[stay], outline, fine.rays)

    def __call__(self, said: FloatArray) -> IntArray:
        """Decode one picture.

        Args:
            said: (1 + rays, [Z,] Y, X), as `read` gives it.

        Returns:
            int32 labels ([Z,] Y, X), numbered 1..n by falling probability, 0 = background.
        """
        stars = self.objects(said)
        labels = stars.drawn(said.shape[1:])
        if self.rim > 0:
            core = np.where(stars.drawn(said.shape[1:], INNER) == labels, labels, 0)
            labels = flood(-said[0], core, (core > 0) | (said[0] > self.rim))
        return drop_small(labels, self.smallest)

    def _check(self, said: FloatArray) -> None:
        """Refuse what no network with these channels said."""
        if said.ndim != self.dims + 1 or len(said) != len(self.channels):
            axes = "Y, X" if self.dims == 2 else "Z, Y, X"
            raise ValueError(f"what the network said has shape {said.shape}: give ({len(self.channels)}, {axes})")
        if not np.isfinite(said).all():
            raise ValueError(f"what the network said holds {int((~np.isfinite(said)).sum())} values that are not finite: give finite ones")
