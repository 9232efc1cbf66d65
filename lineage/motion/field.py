"""Motion: how the whole field moves, turns and grows between frames, from the detections alone; undone before cells are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import gammaln

from lineage.arrays import BoolArray, FloatArray
from lineage.detections import Detections

_STRANGERS = 0.1  # part of the cells of a frame whose nearest neighbour in the next is another cell: divisions, entries, misses
_TAIL = 3.0  # degrees of freedom of the steps of cells: a few jump
_STRAIN = 0.02  # how much a field usually grows, shears or turns from frame to frame, as a part of its size
_RARE = 3.0  # nats that any movement of the field must bring beyond what its parameters are worth
_REACH = 6.0  # farthest jump that is looked for, in distances between neighbours
_SOURCES = 200  # cells that vote for a jump
_ROUNDS = 12
_MIDDLE = {2: 1.25, 3: 1.65}  # median length of a step along d axes, in units of its scale along each
_LEAST = 4  # cells in both frames; with fewer nothing can be said


@dataclass(frozen=True, eq=False)
class Motion:
    """The movement of the whole field from each frame to the next.

    A cell at p in frame t is expected at ``matrix[t] @ p + offset[t]`` in frame t + 1, but for its own movement.

    Attributes:
        matrix: Growth, shear and turn; float (T, d, d).
        offset: Displacement, physical units; float (T, d).
        moved: Where the evidence was for a movement; the others stand still. Bool (T,).
    """

    matrix: FloatArray
    offset: FloatArray
    moved: BoolArray

    def ahead(self, detections: Detections, dt: int = 1) -> FloatArray:
        """Where each cell is expected so many frames later, if it moves with the field; float (n, d), physical units."""
        place = detections.position
        for later in range(dt):
            frame = np.minimum(detections.frame + later, len(self.matrix) - 1)
            place = np.einsum("nij,nj->ni", self.matrix[frame], place) + self.offset[frame]
        return place

    def behind(self, detections: Detections) -> FloatArray:
        """Where each cell would have been in the frame before; float (n, d), physical units."""
        frame = np.maximum(detections.frame - 1, 0)
        before = np.linalg.solve(self.matrix[frame], (detections.position - self.offset[frame])[..., None])[..., 0]
        return np.where((detections.frame > 0)[:, None], before, detections.position)


class Moves(Protocol):
    """Anything that says where cells are carried."""

    def ahead(self, detections: Detections, dt: int = 1) -> FloatArray:
        """Where each cell is expected so many frames later; float (n, d), physical units."""
        ...

    def behind(self, detections: Detections) -> FloatArray:
        """Where each cell would have been in the frame before; float (n, d), physical units."""
        ...


def field_motion(detections: Detections) -> Motion | None:
    """How the field moves, turns and grows from frame to frame; None where nothing speaks for it.

    Each pair of frames is registered by its points: candidates for the displacement are the places where the differences between all
    cells of the two frames pile up, and rest; each is refined by iterated closest points with soft weights, as a displacement and as an
    affine map. Which of them holds, rest included, is decided by the likelihood of the distances between nearest
    neighbours less what the freedom of the parameters is worth (the Occam factor of a flat prior).

    Besl and McKay 1992, "A method for registration of 3-D shapes"; Chui and Rangarajan 2003 (soft weights).

    Args:
        detections: The cells; n of them.
    """
    n_frames, d = detections.n_frames, detections.n_axes
    pairs = comparable(detections)
    if not pairs:
        return None
    frames = {t: _Frame.of(detections.position[detections.at(t)]) for t in sorted({t + k for t in pairs for k in (0, 1)})}
    spacing = float(np.median([frame.spacing for frame in frames.values()]))
    step = 0.15 * spacing
    for _ in range(2):  # the size of a cell's own steps comes from the registered film
        motion = Motion(np.tile(np.eye(d), (n_frames, 1, 1)), np.zeros((n_frames, d)), np.zeros(n_frames, bool))
        rest = []
        last: _Map | None = None
        for t in pairs:
            best = _Registration(frames[t], frames[t + 1], step, max(spacing, step)).best(last)
            motion.matrix[t], motion.offset[t], motion.moved[t] = best.matrix, best.offset, best.parameters > 0
            rest.append(frames[t + 1].nearest(best(frames[t].place))[0])
            last = best
        # Of distances between nearest neighbours the larger ones may be to strangers; the middle one is not.
        step = max(float(np.median(np.concatenate(rest))) / _MIDDLE[d], 1e-3 * spacing)
    return motion if motion.moved.any() else None


def comparable(detections: Detections) -> list[int]:
    """The frames that have enough cells to be compared with the next one, which has too."""
    return [t for t, rows in enumerate(zip(detections.frames(), [*detections.frames()][1:], strict=False)) if _enough(*rows)]


def usual_spacing(detections: Detections) -> float:
    """Typical distance of a cell to the nearest other one of its frame, where frames can be compared; physical units."""
    return float(np.median([_Frame.of(detections.position[detections.at(t)]).spacing for t in comparable(detections)]))


def expecting(detections: Detections, motion: Moves) -> Detections:
    """Detections that know where each is expected a frame later (columns ``ahead_*``) and would have been a frame before (``behind_*``)."""
    places = {"ahead": motion.ahead(detections), "behind": motion.behind(detections)}
    columns = {f"{name}_{axis}": place[:, k] for name, place in places.items() for k, axis in enumerate(detections.axes)}
    return detections.with_columns(**columns)


def fit(detections: Detections, place: FloatArray, frames: Sequence[int]) -> float:
    """How clearly cells are found again where they are expected: the log-likelihood ratio of the nearest against strangers, nats a cell.

    Args:
        detections: The cells; n of them.
        place: Where each is expected in the next frame, physical units; float (n, d).
        frames: Those to look at; others, and those with too few cells, are left out.
    """
    rows = [*detections.frames(), slice(0, 0)]
    pairs = [(rows[t], _Frame.of(detections.position[rows[t + 1]])) for t in frames if _enough(rows[t], rows[t + 1])]
    if not pairs:
        return 0.0
    near = [there.nearest(place[here])[0] for here, there in pairs]
    d = detections.n_axes
    step = max(float(np.median(np.concatenate(near))) / _MIDDLE[d], 1e-3 * float(np.median([there.spacing for _, there in pairs])))
    return float(np.log(np.concatenate([_mixed(length, step, there) for length, (_, there) in zip(near, pairs, strict=True)])).mean())


def _enough(here: slice, there: slice) -> bool:
    return here.stop - here.start >= _LEAST and there.stop - there.start >= _LEAST


@dataclass(frozen=True, eq=False)
class _Frame:
    """The cells of one frame: places, (m, d), a tree of them, and how far apart they lie."""

    place: FloatArray
    tree: cKDTree
    spacing: float

    @classmethod
    def of(cls, place: FloatArray) -> _Frame:
        tree = cKDTree(place)
        near = np.asarray(tree.query(place, k=[2])[0])[:, 0]
        return cls(place, tree, max(float(np.median(near)), 1e-9))

    @property
    def density(self) -> float:
        """Cells per unit of area (volume) where they lie: a Poisson pattern's median nearest neighbour lies there."""
        ball = np.pi * self.spacing**2 if self.place.shape[1] == 2 else 4 / 3 * np.pi * self.spacing**3
        return float(np.log(2) / ball)

    def nearest(self, place: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Distance to the nearest cell from each of these places, and where it lies; (k,) and (k, d)."""
        length, which = self.tree.query(place)
        return np.asarray(length, float), self.place[which]


@dataclass(frozen=True, eq=False)
class _Map:
    """An affine map, and how many parameters it has: none (rest), d (displacement), or d + d^2."""

    matrix: FloatArray
    offset: FloatArray
    parameters: int

    def __call__(self, place: FloatArray) -> FloatArray:
        return place @ self.matrix.T + self.offset

    @classmethod
    def rest(cls, d: int) -> _Map:
        return cls(np.eye(d), np.zeros(d), 0)


@dataclass(frozen=True, eq=False)
class _Registration:
    """Two frames, the size of a cell's own steps, and the usual distance between neighbours; physical units."""

    here: _Frame
    there: _Frame
    step: float
    spacing: float

    def best(self, last: _Map | None) -> _Map:
        """The map with the best balance of likelihood and freedom; ``last`` is the map of the frames before."""
        rest = _Map.rest(self.here.place.shape[1])
        starts = [rest.offset]
        worth = self.likelihood(rest)
        if worth < 0.5 * self.limit:  # much is left unexplained by rest: the field may have jumped
            starts += self.jumps() + ([] if last is None or last.parameters == 0 else [self.drifted(last)])
        found = [(worth, rest)]
        for start in starts:
            shifted = self.refined(_Map(rest.matrix, start, len(start)))
            bent = self.refined(_Map(shifted.matrix, shifted.offset, len(start) * (len(start) + 1)))
            found += [(self.likelihood(some) - self.price(some), some) for some in (shifted, bent)]
        return max(found, key=lambda item: item[0])[1]

    def drifted(self, last: _Map) -> FloatArray:
        """The displacement of the frames before, at the middle of this one."""
        middle = self.here.place.mean(axis=0)
        return last(middle[None])[0] - middle

    @property
    def limit(self) -> float:
        """About the highest likelihood that there could be, nats: every cell steps as cells do."""
        usual = np.full(len(self.here.place), 1.5 * self.step)
        return float(np.log(_mixed(usual, self.step, self.there)).sum())

    def likelihood(self, some: _Map) -> float:
        """Log-likelihood ratio of the distances to the nearest neighbours, the map against strangers; nats."""
        return float(np.log(_mixed(self.there.nearest(some(self.here.place))[0], self.step, self.there)).sum())

    def price(self, some: _Map) -> float:
        """What the freedom of the parameters is worth, nats: how many maps could be told apart, and that fields seldom move."""
        n, d = self.here.place.shape
        if some.parameters == 0:
            return 0.0
        sharp = self.step / n**0.5
        cost = _RARE + d * np.log1p(_REACH * self.spacing / sharp)
        if some.parameters > d:
            size = float(np.sqrt(((self.here.place - self.here.place.mean(axis=0)) ** 2).mean()))
            cost += d * d * np.log1p(_STRAIN * size / sharp)
        return float(cost)

    def jumps(self) -> list[FloatArray]:
        """Displacements that many cells share: the fullest places of the histogram of all differences between the two frames."""
        here = self.here.place[:: max(1, len(self.here.place) // _SOURCES)]
        reach, d = _REACH * self.spacing, here.shape[1]
        pairs = cKDTree(here).sparse_distance_matrix(self.there.tree, reach, output_type="ndarray")
        if not len(pairs):
            return []
        votes = self.there.place[pairs["j"]] - here[pairs["i"]]
        width = max(2 * self.step, reach / 40)
        low = np.floor(votes.min(axis=0) / width)
        cell = (votes / width - low).astype(int)
        shape = tuple(cell.max(axis=0) + 3)
        heap = np.zeros(shape)
        np.add.at(heap, tuple(cell.T + 1), 1.0)
        for axis in range(d):
            heap = heap + np.roll(heap, 1, axis) + np.roll(heap, -1, axis)
        peaks = []
        for _ in range(3):
            top = np.array(np.unravel_index(heap.argmax(), shape))
            inside = (np.abs(cell + 1 - top) <= 1).all(axis=1)
            peaks.append(votes[inside].mean(axis=0) if inside.any() else (top - 0.5 + low) * width)
            heap[tuple(slice(max(k - 2, 0), k + 3) for k in top)] = 0
        return peaks

    def refined(self, start: _Map) -> _Map:
        """Iterated closest points: the map that brings the cells nearest to their neighbours, those that have one nearby counting most."""
        place, some = self.here.place, start
        d = place.shape[1]
        middle = place.mean(axis=0)
        size2 = float(((place - middle) ** 2).mean())
        for k in range(_ROUNDS):
            step = self.step * (1 + 2 * max(0, 3 - k))  # wide at first
            length, target = self.there.nearest(some(place))
            same = (1 - _STRANGERS) * np.exp(_log_step(length, step, d)) / self.there.density
            weight = same / (same + _STRANGERS) * (_TAIL + d) / (_TAIL + (length / step) ** 2)
            total = weight.sum()
            if total < 2:
                break
            centre, goal = weight @ place / total, weight @ target / total
            matrix = np.eye(d)
            if start.parameters > d:
                left, right = (place - centre) * weight[:, None], target - goal
                # A ridge keeps the strain near what is usual: a Gaussian prior of width _STRAIN on every entry.
                ridge = np.eye(d) * (self.step / _STRAIN) ** 2
                matrix = np.linalg.solve(left.T @ (place - centre) + ridge, left.T @ right + ridge).T
                matrix = matrix if np.linalg.det(matrix) > 0.3 and size2 > 0 else np.eye(d)
            new = _Map(matrix, goal - matrix @ centre, start.parameters)
            moved = np.abs(new(place) - some(place)).max(initial=0)
            some = new
            if k > 3 and moved < 1e-3 * self.step:
                break
        return some


def _mixed(length: FloatArray, step: float, there: _Frame) -> FloatArray:
    """Likelihood ratio of these distances to the nearest cell: steps of this scale, some of them to strangers, against strangers."""
    return _STRANGERS + (1 - _STRANGERS) * np.exp(_log_step(length, step, there.place.shape[1])) / there.density


def _log_step(length: FloatArray, scale: float, d: int) -> FloatArray:
    """Log density of an isotropic t step with three degrees of freedom; nats per physical unit of area or volume."""
    const = gammaln((_TAIL + d) / 2) - gammaln(_TAIL / 2) - d / 2 * np.log(_TAIL * np.pi)
    return const - d * np.log(scale) - (_TAIL + d) / 2 * np.log1p((length / scale) ** 2 / _TAIL)
