"""How well a segmentation agrees with the truth: AP, PQ and F1 over IoU thresholds, SEG of the CTC, and Dice of classes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from segmentation.arrays import FloatArray, IntArray

THRESHOLDS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))


@dataclass(frozen=True, eq=False)
class Counts:
    """Hits and misses at each IoU threshold; counts of several pictures can be added.

    Args:
        thresholds: (k,) IoU needed for a hit.
        hits: (k,) true cells that were found (TP).
        wrong: (k,) found objects that are no true cell (FP).
        missed: (k,) true cells that were not found (FN).
        iou: (k,) sum of the IoU of the hits.
    """

    thresholds: tuple[float, ...]
    hits: FloatArray
    wrong: FloatArray
    missed: FloatArray
    iou: FloatArray

    def __add__(self, other: "Counts") -> "Counts":
        if self.thresholds != other.thresholds:
            raise ValueError(f"thresholds differ: {self.thresholds} and {other.thresholds}: count both alike")
        return Counts(
            self.thresholds,
            self.hits + other.hits,
            self.wrong + other.wrong,
            self.missed + other.missed,
            self.iou + other.iou,
        )

    @property
    def ap(self) -> FloatArray:
        """TP / (TP + FP + FN), (k,); 1 where there is nothing to find and nothing found."""
        return _ratio(self.hits, self.hits + self.wrong + self.missed)

    @property
    def f1(self) -> FloatArray:
        """2 TP / (2 TP + FP + FN), (k,)."""
        return _ratio(self.hits, self.hits + (self.wrong + self.missed) / 2)

    @property
    def pq(self) -> FloatArray:
        """Panoptic quality, sum of IoU / (TP + FP/2 + FN/2), (k,); Kirillov et al., 2019."""
        return _ratio(self.iou, self.hits + (self.wrong + self.missed) / 2)


def count(truth: IntArray, result: IntArray, thresholds: Sequence[float] = THRESHOLDS) -> Counts:
    """Match the objects of one picture one to one and count.

    Args:
        truth: ([Z,] Y, X); 0 background, pixels < 0 are unknown and left out of everything.
        result: same shape, 0 background.
        thresholds: IoU needed for a hit, each in 0.5..1 (below 0.5 a match would not be unique).
    """
    if not all(0.5 <= t <= 1 for t in thresholds):
        raise ValueError(f"thresholds are {tuple(thresholds)}: give numbers in 0.5..1")
    joint = overlaps(truth, result)
    true_size, found_size = joint.sum(1).ravel()[1:], joint.sum(0).ravel()[1:]
    pairs = sparse.coo_array(joint[1:, 1:])
    iou = pairs.data / (true_size[pairs.row] + found_size[pairs.col] - pairs.data)
    best = np.zeros(len(true_size))
    order = np.argsort(-iou, kind="stable")
    order = order[iou[order] >= 0.5]  # a match of 0.5 or more is unique, but for exact halves: take the first
    order = order[np.sort(np.unique(pairs.row[order], return_index=True)[1])]
    order = order[np.sort(np.unique(pairs.col[order], return_index=True)[1])]
    best[pairs.row[order]] = iou[order]
    hit = best[None] >= np.asarray(thresholds)[:, None] - 1e-12
    hits = hit.sum(1).astype(float)
    n, m = int((true_size > 0).sum()), int((found_size > 0).sum())
    return Counts(tuple(thresholds), hits, m - hits, n - hits, (hit * best).sum(1))


def overlaps(truth: IntArray, result: IntArray) -> sparse.csr_array:
    """Count the pixels that each pair of objects shares.

    Args:
        truth: ([Z,] Y, X); pixels < 0 are left out.
        result: same shape.

    Returns:
        (n + 1, m + 1) counts; row and column 0 are the background, the others the labels in rising order.
    """
    _check_pair(truth, result)
    known = truth >= 0
    whole = known.all()
    rows, n = _compact(truth.ravel() if whole else truth[known])
    columns, m = _compact(result.ravel() if whole else result[known])
    if (n + 1) * (m + 1) <= 4 * rows.size:  # a table that costs no more than the pictures: counted without sorting
        pairs = np.bincount(rows * (m + 1) + columns, minlength=(n + 1) * (m + 1))
        return sparse.csr_array(pairs.reshape(n + 1, m + 1))
    ones = np.ones(len(rows), np.int64)
    return sparse.csr_array(sparse.coo_array((ones, (rows, columns)), shape=(n + 1, m + 1)))


def scores(pairs: Iterable[tuple[IntArray, IntArray]], thresholds: Sequence[float] = THRESHOLDS) -> dict[str, float]:
    """Score many pictures, pooled over all objects and as the mean over pictures: the two differ, state both.

    Args:
        pairs: (truth, result) label pictures.
        thresholds: IoU thresholds in 0.5..1.

    Returns:
        `ap_pooled_0.50`, `ap_image_0.50`, ..., `f1_pooled_...`, `pq_pooled_...`, and the means
        `ap_pooled_mean`, `ap_image_mean` over the thresholds; empty without pairs.
    """
    each = [count(truth, result, thresholds) for truth, result in pairs]
    if not each:
        return {}
    pooled = sum(each[1:], each[0])
    per_image = np.mean([c.ap for c in each], axis=0)
    table: dict[str, float] = {}
    for k, t in enumerate(thresholds):
        table[f"ap_pooled_{t:.2f}"] = float(pooled.ap[k])
        table[f"ap_image_{t:.2f}"] = float(per_image[k])
        table[f"f1_pooled_{t:.2f}"] = float(pooled.f1[k])
        table[f"pq_pooled_{t:.2f}"] = float(pooled.pq[k])
    table["ap_pooled_mean"] = float(pooled.ap.mean())
    table["ap_image_mean"] = float(per_image.mean())
    return table


def seg(pairs: Iterable[tuple[IntArray, IntArray]]) -> float:
    """SEG of the Cell Tracking Challenge: mean Jaccard index over all true cells of all pictures.

    A true cell R is matched to the object S that covers more than half of it; unmatched cells count 0;
    false positives cost nothing. Ulman et al., Nature Methods, 2017.

    Args:
        pairs: (truth, result) label pictures; truth pixels < 0 are left out.

    Returns:
        0..1; NaN when there is no true cell at all.
    """
    total, cells = 0.0, 0
    for truth, result in pairs:
        joint = overlaps(truth, result)
        true_size, found_size = joint.sum(1).ravel()[1:], joint.sum(0).ravel()[1:]
        both = sparse.coo_array(joint[1:, 1:])
        matched = 2 * both.data > true_size[both.row]
        union = true_size[both.row] + found_size[both.col] - both.data
        total += float((both.data / union)[matched].sum())
        cells += int((true_size > 0).sum())
    return total / cells if cells else float("nan")


def dice(pairs: Iterable[tuple[IntArray, IntArray]], classes: Sequence[int] | None = None) -> dict[str, float]:
    """Score pictures of classes (semantic segmentation): Dice = 2 |A and B| / (|A| + |B|) of the pixels of each class.

    Args:
        pairs: (truth, result) pictures of class numbers; truth pixels < 0 are left out.
        classes: numbers to score; default all above 0 that occur in any of them.

    Returns:
        `dice_pooled_1`, `dice_image_1`, ..., over the pixels of all pictures and as the mean over pictures, where a picture that
        neither has nor is given the class counts 1; and `dice_pooled_mean`, `dice_image_mean` over the classes (1 when there is
        no class at all); empty without pairs.
    """
    each = [_class_sizes(truth, result) for truth, result in pairs]
    if not each:
        return {}
    numbers = sorted(set().union(*each) - {0}) if classes is None else list(classes)
    sizes = np.array([[counts.get(number, (0, 0)) for number in numbers] for counts in each], float).reshape(len(each), -1, 2)
    pooled = _ratio(2 * sizes[..., 0].sum(0), sizes[..., 1].sum(0))
    per_image = _ratio(2 * sizes[..., 0], sizes[..., 1]).mean(0)
    table: dict[str, float] = {}
    for k, number in enumerate(numbers):
        table[f"dice_pooled_{number}"] = float(pooled[k])
        table[f"dice_image_{number}"] = float(per_image[k])
    table["dice_pooled_mean"] = float(pooled.mean()) if numbers else 1.0
    table["dice_image_mean"] = float(per_image.mean()) if numbers else 1.0
    return table


def _class_sizes(truth: IntArray, result: IntArray) -> dict[int, tuple[int, int]]:
    """Of each class: pixels that have it in both pictures, and the sum of its pixels in either."""
    _check_pair(truth, result)
    known = truth >= 0
    truth, result = truth[known], result[known]
    both, in_both = np.unique(truth[truth == result], return_counts=True)
    either, in_either = np.unique(np.concatenate([truth, result]), return_counts=True)
    hits = dict(zip(both.tolist(), in_both.tolist(), strict=True))
    return {number: (hits.get(number, 0), size) for number, size in zip(either.tolist(), in_either.tolist(), strict=True)}


def _check_pair(truth: IntArray, result: IntArray) -> None:
    for name, labels in (("truth", truth), ("result", result)):
        if not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"{name} has dtype {labels.dtype}: give integer labels")
    if truth.shape != result.shape:
        raise ValueError(f"truth has shape {truth.shape} and result {result.shape}: give one shape")


def _compact(labels: IntArray) -> tuple[IntArray, int]:
    """Number the labels > 0 as 1..n in rising order."""
    if labels.size and labels.max() <= 4 * labels.size:  # low numbers: by a table, without sorting
        occurs = np.zeros(max(int(labels.max()), 0) + 1, bool)
        labels = np.maximum(labels, 0)
        occurs[labels] = True
        occurs[0] = False
        return np.where(occurs, np.cumsum(occurs), 0)[labels], int(occurs.sum())
    ids, place = np.unique(labels, return_inverse=True)
    background = int((ids <= 0).sum())
    return np.maximum(place - background + 1, 0), len(ids) - background


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    return np.where(whole > 0, part / np.maximum(whole, 1e-300), 1.0)
