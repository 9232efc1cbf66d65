"""Facts about every hypothesis, and how likely they make it: a small logistic model, fitted on labelled pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import expit, logit

from segmentation.arrays import FloatArray, IntArray

from .parts import Parts, membership

NAMES = (
    "foreground",  # log-odds of the mean foreground
    "rim",  # mean boundary on its rim
    "inner",  # mean boundary over all of it
    "dip",  # how deep the deepest pass inside lies under the lower of the two tops that it parts
    "rise",  # how far its top rises above the highest pass to a neighbour
    "crowd",  # share of its rim that touches other parts
    "neck",  # share of its inner contacts in its girth
    "seam",  # mean boundary on its inner contacts
    "fill",  # its size over that of the ellipse with its second moments
    "small",  # how much smaller than the usual segment: logarithm of the sizes' ratio, 0 where larger
    "large",  # how much larger
    "parts",  # logarithm of the number of its parts
    "border",  # whether it touches the border of the picture
)


def facts(parts: Parts, nodes: Sequence[tuple[int, ...]], foreground: FloatArray, boundary: FloatArray, *, usual: float) -> FloatArray:
    """What speaks for and against every node.

    All of it adds up over parts and over pairs of parts that touch, so that no node is looked at pixel by pixel.

    Args:
        parts: the finest pieces; m of them.
        nodes: unions of parts; n of them.
        foreground: ([Z,] Y, X) probability, 0..1.
        boundary: same shape.
        usual: size of a usual cell of the picture, pixels.

    Returns:
        (n, len(NAMES)), in the order of `NAMES`.
    """
    member = membership(nodes, len(parts))
    at = parts.labels.ravel()

    def of_parts(values: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(at, values.ravel(), len(parts) + 1)[1:], float)

    size = member @ of_parts(np.ones(at.size))
    mean = member @ of_parts(foreground) / size
    faces, seams = _faces(parts.labels, boundary)
    inner, rim = (_inside(member, table) for table in (faces[1:, 1:], seams[1:, 1:]))
    girth, edge = (member @ np.asarray(table.sum(1)).ravel()[1:] - inside for table, inside in ((faces, inner), (seams, rim)))
    free = member @ faces[1:, :1].toarray().ravel()
    relative = np.log(size / usual)
    dip, rise = _dynamics(parts, nodes)
    columns = (
        logit(np.clip(mean, 0.01, 0.99)),
        edge / np.maximum(girth, 1),
        member @ of_parts(boundary) / size,
        dip,
        rise,
        1 - free / np.maximum(girth, 1),
        inner / np.maximum(girth, 1),
        rim / np.maximum(inner, 1),
        _fill(member, parts.labels, size),
        np.minimum(relative, 0),
        np.maximum(relative, 0),
        np.log(np.diff(member.indptr)),
        (member @ of_parts(_frame(parts.labels.shape)) > 0).astype(float),
    )
    return np.stack(columns, axis=1)


def _faces(labels: IntArray, boundary: FloatArray) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Pixel faces between every two labels, and the boundary on them summed up; (m + 1, m + 1) each, symmetric."""
    m = int(labels.max(initial=0)) + 1
    pairs, weights = [], []
    for axis in range(labels.ndim):
        a, b = (np.moveaxis(labels, axis, 0)[cut] for cut in (slice(None, -1), slice(1, None)))
        met = a != b
        p, q = (np.moveaxis(boundary, axis, 0)[cut][met] for cut in (slice(None, -1), slice(1, None)))
        pairs.append(np.stack([a[met], b[met]]))
        weights.append(np.maximum(p, q).astype(float))
    one, two = np.concatenate(pairs, axis=1)
    rows, columns = np.concatenate([one, two]), np.concatenate([two, one])
    weight = np.tile(np.concatenate(weights), 2)
    faces, seams = (sparse.csr_array(sparse.coo_array((w, (rows, columns)), shape=(m, m))) for w in (np.ones(len(rows)), weight))
    return faces, seams


def _inside(member: sparse.csr_array, table: sparse.csr_array) -> FloatArray:
    """Sum of a symmetric table over all ordered pairs of parts of each node; (n,)."""
    return np.asarray((member @ table).multiply(member).sum(axis=1)).ravel()


def _fill(member: sparse.csr_array, labels: IntArray, size: FloatArray) -> FloatArray:
    """Size over that of the solid ellipse (ellipsoid) with the same second moments, 1 for an ellipse, less for what has a waist."""
    place = np.flatnonzero(labels)
    at = labels.ravel()[place] - 1
    where = [w - w.mean() if w.size else w for w in np.unravel_index(place, labels.shape)]
    m, d = member.shape[1], labels.ndim
    first = np.stack([member @ np.bincount(at, w, m) for w in where], axis=1) / size[:, None]
    second = np.empty((len(size), d, d))
    for a in range(d):
        for b in range(d):
            second[:, a, b] = member @ np.bincount(at, where[a] * where[b], m) / size - first[:, a] * first[:, b] + (a == b) / 12
    ball = np.pi * 4 if d == 2 else 4 / 3 * np.pi * 5**1.5
    return size / (ball * np.sqrt(np.maximum(np.linalg.det(second), 1e-12)))


def _frame(shape: tuple[int, ...]) -> FloatArray:
    """1 on the border of a picture, 0 inside; an axis of one pixel has no border."""
    inside = np.ones(shape, bool)
    for axis, length in enumerate(shape):
        if length > 1:
            np.moveaxis(inside, axis, 0)[[0, -1]] = False
    return (~inside).astype(float)


def _dynamics(parts: Parts, nodes: Sequence[tuple[int, ...]]) -> tuple[FloatArray, FloatArray]:
    """How deep the deepest pass inside each node lies, and how far its top rises above the highest pass out of it; (n,) each."""
    passes: list[dict[int, float]] = [{} for _ in range(len(parts))]
    for a, b, height in zip(parts.one.tolist(), parts.two.tolist(), parts.saddle.tolist(), strict=True):
        passes[a][b] = passes[b][a] = height
    floor = float(parts.height.min(initial=0.0))
    dip, rise = np.zeros(len(nodes)), np.zeros(len(nodes))
    for row, node in enumerate(nodes):  # node by node: each is the flowing together of its own few parts
        out = [height for k in node for j, height in passes[k].items() if j not in node]
        rise[row] = float(parts.peak[list(node)].max()) - max(out, default=floor)
        top = {k: float(parts.peak[k]) for k in node}
        home = {k: k for k in node}
        inside = sorted(((passes[k][j], k, j) for k in node for j in passes[k] if j in home and k < j), reverse=True)
        for height, k, j in inside:
            a, b = home[k], home[j]
            if a != b:
                dip[row] = max(dip[row], min(top[a], top[b]) - height)
                top[a] = max(top[a], top[b])
                home = {part: a if whose == b else whose for part, whose in home.items()}
    return dip, rise


@dataclass(frozen=True)
class Calibration:
    """A logistic model of the facts: how likely it is that a segment is a true cell and closer to it than its rivals.

    Args:
        weight: what one unit of each fact is worth, nats, by its name.
        bias: nats of a segment whose facts are all 0.
    """

    weight: Mapping[str, float]
    bias: float

    def __call__(self, known: FloatArray) -> FloatArray:
        """Probability of each segment, 0..1; (n,).

        Args:
            known: (n, len(NAMES)), as `facts` gives them.
        """
        return np.asarray(expit(known @ np.array([self.weight.get(name, 0.0) for name in NAMES]) + self.bias))

    @classmethod
    def fit(cls, known: FloatArray, true: FloatArray, *, stiffness: float = 1.0) -> "Calibration":
        """The likeliest weights, by Newton's method, drawn a little towards 0.

        Args:
            known: (n, len(NAMES)).
            true: (n,) 1 for segments that are cells, 0 for others.
            stiffness: nats that a weight costs which is 1 per standard deviation of its fact.

        Raises:
            ValueError: no true or no false segment to learn from.
        """
        if not 0 < true.sum() < len(true):
            raise ValueError(f"{int(true.sum())} of {len(true)} segments are cells: give pictures with both true and false ones")
        middle, spread = known.mean(0), np.maximum(known.std(0), 1e-9)
        x = np.column_stack([(known - middle) / spread, np.ones(len(known))])
        w, ridge = np.zeros(x.shape[1]), np.diag([2 * stiffness] * len(NAMES) + [1e-6])
        for _ in range(50):
            p = expit(x @ w)
            step = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + ridge, x.T @ (true - p) - ridge @ w)
            w = w + step / max(1.0, float(np.abs(step).max()))
        weight = w[:-1] / spread
        return cls(dict(zip(NAMES, weight.tolist(), strict=True)), float(w[-1] - weight @ middle))

    def described(self) -> dict[str, Any]:
        """The model in JSON-able values."""
        return {"weight": {name: round(value, 4) for name, value in self.weight.items()}, "bias": round(self.bias, 4)}
