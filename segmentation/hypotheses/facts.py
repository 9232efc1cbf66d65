"""Facts about every hypothesis, and how likely they make it: a small logistic model, fitted on labelled pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import expit, logit

from segmentation.arrays import FloatArray, IntArray

from .parts import Parts, agreement, membership

FARTHEST = 4.0  # units from the middle, beyond which a fact says no more
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
    "agreed",  # IoU with the cell of the most trusted segmentation that it agrees with most
)


def facts(
    parts: Parts, nodes: Sequence[tuple[int, ...]], foreground: FloatArray, boundary: FloatArray, trusted: IntArray, *, usual: float
) -> FloatArray:
    """What speaks for and against every node.

    All of it adds up over parts and over pairs of parts that touch, so that no node is looked at pixel by pixel.

    Args:
        parts: the finest pieces; m of them.
        nodes: unions of parts; n of them.
        foreground: ([Z,] Y, X) probability, 0..1.
        boundary: same shape.
        trusted: same shape, the most trusted segmentation.
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
        _agreed(member, parts.labels, trusted),
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


def _agreed(member: sparse.csr_array, labels: IntArray, trusted: IntArray) -> FloatArray:
    """IoU of each node with the cell of another segmentation that it agrees with most, 0 where there is none; (n,)."""
    row, _, iou = agreement(labels, member, trusted)
    found = np.zeros(member.shape[0])
    np.maximum.at(found, row, iou)
    return found


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
    """A logistic model of the facts and of their products: how likely it is that a segment is a true cell and closer to it than its rivals.

    Args:
        weight: what one unit of each fact is worth, nats, by its name; by two names with a star between them, of their product.
        bias: nats of a segment whose facts are all in the middle.
        middle: the middle of each fact, by its name; where it is not given, 0.
        spread: its unit, by its name; where it is not given, 1. Facts that are given one count for no more than four units.
    """

    weight: Mapping[str, float]
    bias: float
    middle: Mapping[str, float] = field(default_factory=dict)
    spread: Mapping[str, float] = field(default_factory=dict)

    def __call__(self, known: FloatArray) -> FloatArray:
        """Probability of each segment, 0..1; (n,).

        Args:
            known: (n, len(NAMES)), as `facts` gives them.
        """
        middle, spread = (np.array([of.get(name, usual) for name in NAMES]) for of, usual in ((self.middle, 0.0), (self.spread, 1.0)))
        most = np.array([FARTHEST if name in self.spread else np.inf for name in NAMES])
        x = np.clip((known - middle) / spread, -most, most)
        column = {name: x[:, k] for k, name in enumerate(NAMES)}
        sums = [value * np.prod([column[part] for part in name.split("*")], axis=0) for name, value in self.weight.items()]
        return np.asarray(expit(sum(sums, np.full(len(x), self.bias))))

    @classmethod
    def fit(cls, known: FloatArray, true: FloatArray, *, stiffness: float = 1.0, stiffer: float = 10.0) -> "Calibration":
        """The likeliest weights, by Newton's method, drawn a little towards 0.

        Args:
            known: (n, len(NAMES)).
            true: (n,) 1 for segments that are cells, 0 for others.
            stiffness: nats that a weight costs which is 1 per standard deviation of its fact.
            stiffer: the same for products of facts.

        Raises:
            ValueError: no true or no false segment to learn from.
        """
        if not 0 < true.sum() < len(true):
            raise ValueError(f"{int(true.sum())} of {len(true)} segments are cells: give pictures with both true and false ones")
        middle, spread = known.mean(0), np.maximum(known.std(0), 1e-9)
        facts = np.clip((known - middle) / spread, -FARTHEST, FARTHEST)
        one, two = np.triu_indices(len(NAMES))
        x = np.column_stack([facts, facts[:, one] * facts[:, two], np.ones(len(facts))])
        w, ridge = np.zeros(x.shape[1]), np.diag([2 * stiffness] * len(NAMES) + [2 * stiffer] * len(one) + [1e-6])
        for _ in range(50):
            p = expit(x @ w)
            step = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + ridge, x.T @ (true - p) - ridge @ w)
            w = w + step / max(1.0, float(np.abs(step).max()))
        names = [*NAMES, *(f"{NAMES[i]}*{NAMES[j]}" for i, j in zip(one, two, strict=True))]
        weight = dict(zip(names, w[:-1].tolist(), strict=True))
        return cls(weight, float(w[-1]), *(dict(zip(NAMES, of.tolist(), strict=True)) for of in (middle, spread)))

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> "Calibration":
        """The model that `described` described.

        Raises:
            ValueError: it is damaged, or speaks of facts that are not known here.
        """
        tables = [described.get(name, {}) for name in ("weight", "middle", "spread")]
        if not all(isinstance(table, Mapping) for table in tables) or set(described) - {"weight", "bias", "middle", "spread"}:
            raise ValueError("the calibration of hypotheses is damaged: it is no tables of weight, middle and spread, and a bias")
        if unknown := sorted({part for table in tables for name in table for part in name.split("*")} - set(NAMES)):
            raise ValueError(f"the calibration of hypotheses speaks of {', '.join(unknown)}, but known are {', '.join(NAMES)}")
        numbers = [described.get("bias"), *(value for table in tables for value in table.values())]
        if not all(isinstance(value, (int, float)) and np.isfinite(value) for value in numbers) or min(tables[2].values(), default=1) <= 0:
            raise ValueError("the calibration of hypotheses is damaged: all of its numbers must be finite, and spreads positive")
        return cls(**described)

    def described(self) -> dict[str, Any]:
        """The model in JSON-able values."""
        tables = {"weight": self.weight, "middle": self.middle, "spread": self.spread}
        short = {name: {key: float(f"{value:.5g}") for key, value in table.items()} for name, table in tables.items()}
        return short | {"bias": round(self.bias, 4)}
