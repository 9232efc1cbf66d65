"""Parts: the finest pieces that a picture falls into, where they touch, and which of them belong together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from skimage.measure import label

from segmentation.arrays import BoolArray, FloatArray, IntArray
from segmentation.flooding import drop_small, flood

_LARGE = 0.2  # a piece cut off a part is one of its own from this share of it


@dataclass(frozen=True, eq=False)
class Parts:
    """The finest pieces of a picture; every hypothesis is a union of them.

    Args:
        labels: ([Z,] Y, X), parts 1..m, 0 = background.
        height: same shape; high inside cells, low on their rims.
        peak: (m,) the largest height of each part.
        one, two: (k,) pairs of parts that touch, numbered from 0, one < two.
        saddle: (k,) height of the highest pass between them.
        contact: (k,) number of pixel faces between them.
    """

    labels: IntArray
    height: FloatArray
    peak: FloatArray
    one: IntArray
    two: IntArray
    saddle: FloatArray
    contact: IntArray

    def __len__(self) -> int:
        return len(self.peak)


def touching(labels: IntArray, height: FloatArray) -> Parts:
    """Measure how the parts of a label picture touch.

    Args:
        labels: ([Z,] Y, X), parts 1..m.
        height: same shape.
    """
    m = int(labels.max(initial=0))
    peak = np.full(m + 1, -np.inf)
    np.maximum.at(peak, labels.ravel(), height.ravel())
    keys, passes = [np.zeros(0, np.int64)], [np.zeros(0)]
    for axis in range(labels.ndim):
        a, b = (np.moveaxis(labels, axis, 0)[cut] for cut in (slice(None, -1), slice(1, None)))
        met = (a != b) & (a > 0) & (b > 0)
        low = np.minimum(*(np.moveaxis(height, axis, 0)[cut][met] for cut in (slice(None, -1), slice(1, None))))
        keys.append((np.minimum(a[met], b[met]) - 1).astype(np.int64) * max(m, 1) + np.maximum(a[met], b[met]) - 1)
        passes.append(low.astype(float))
    key, at, count = np.unique(np.concatenate(keys), return_inverse=True, return_counts=True)
    saddle = np.full(len(key), -np.inf)
    np.maximum.at(saddle, at, np.concatenate(passes))
    one, two = np.divmod(key, max(m, 1))
    return Parts(labels, height, peak[1:], one, two, saddle, count)


def finest(height: FloatArray, mask: BoolArray, levels: Sequence[float], *, speck: int) -> IntArray:
    """Split a mask at every height where it falls apart: the leaves of its component tree, sampled at some levels.

    Args:
        height: ([Z,] Y, X), high inside cells, low on their rims.
        mask: same shape; no part reaches beyond it.
        levels: heights to look at, rising.
        speck: least size of a piece that counts, pixels.

    Returns:
        int32, same shape: parts 1..m that fill the mask (Meyer and Beucher's watershed from the leaves).
    """
    place = np.flatnonzero(mask)  # only there anything is looked at pixel by pixel
    tall, seeds = height.ravel()[place], _connected(mask).ravel()[place]
    picture = np.zeros(mask.size, bool)
    for level in levels:
        picture[place] = tall > level
        deep = drop_small(_connected(picture.reshape(mask.shape)).ravel()[place], speck)
        home = np.zeros(int(deep.max(initial=0)) + 1, np.int64)
        home[deep[deep > 0]] = seeds[deep > 0]
        several = np.bincount(home[1:], minlength=int(seeds.max(initial=0)) + 1) > 1
        several[0] = False
        seeds = _numbered(np.where(several[seeds], np.where(several[home[deep]], deep + seeds.max(initial=0), 0), seeds))
    marks = np.zeros(mask.shape, np.int32)
    marks.ravel()[place] = seeds
    return flood(-height, marks, mask)


def refined(parts: IntArray, others: Iterable[IntArray], height: FloatArray, *, smallest: int) -> IntArray:
    """Cut the parts further where another segmentation cuts them.

    Args:
        parts: ([Z,] Y, X), 0 = background.
        others: label pictures of the same shape.
        height: same shape; what is cut off grows back along it.
        smallest: least size of a piece, pixels.
    """
    for other in others:
        width = int(other.max(initial=0)) + 1
        joint = np.where((parts > 0) & (other > 0), parts.astype(np.int64) * width + other, 0)
        key, at, count = np.unique(joint, return_inverse=True, return_counts=True)
        home, whole = key // width, np.bincount(parts.ravel())
        large = (key > 0) & (count >= smallest) & (count >= _LARGE * whole[home])
        cut = np.bincount(home[large], minlength=len(whole)) > 1
        cut[0] = False
        if cut.any():
            fresh = np.where(large, np.arange(len(key)) + len(whole), 0)[at.reshape(parts.shape)]
            parts = flood(-height, _numbered(np.where(cut[parts], fresh, parts)), parts > 0)
    return parts


def merge_tree(parts: Parts, *, most: int) -> list[tuple[int, ...]]:
    """The nodes of the merge tree: each part, and each union that forms when the passes are crossed from the highest down.

    A union forms where two cells, or two halves of one cell, flow together: single linkage by saddle height, the hierarchy of
    watersheds by dynamics (Grimaud, 1992; Najman and Schmitt, 1996).

    Args:
        parts: the leaves, and where they touch.
        most: unions of more parts are left out.
    """
    nodes: list[tuple[int, ...]] = [(k,) for k in range(len(parts))]
    root, members = list(range(len(parts))), dict(enumerate(nodes))
    for k in np.argsort(-parts.saddle, kind="stable").tolist():  # pair by pair: each union needs those before it
        a, b = _root(root, int(parts.one[k])), _root(root, int(parts.two[k]))
        if a != b:
            root[b] = a
            members[a] = tuple(sorted((*members[a], *members.pop(b))))
            nodes += [members[a]] if len(members[a]) <= most else []
    return nodes


def covered(parts: IntArray, other: IntArray) -> list[tuple[int, ...]]:
    """The cells of another segmentation as unions of parts: those that it holds more than half of.

    Args:
        parts: ([Z,] Y, X), 1..m.
        other: label picture of the same shape.
    """
    width = int(other.max(initial=0)) + 1
    key, count = np.unique(parts.astype(np.int64) * width + other, return_counts=True)
    part, cell = np.divmod(key, width)
    mine = (part > 0) & (cell > 0) & (2 * count > np.bincount(parts.ravel(), minlength=1)[part])
    cells: dict[int, list[int]] = {}
    for one, whose in zip((part[mine] - 1).tolist(), cell[mine].tolist(), strict=True):
        cells.setdefault(whose, []).append(one)
    return [tuple(sorted(members)) for members in cells.values()]


def membership(nodes: Sequence[tuple[int, ...]], m: int) -> sparse.csr_array:
    """Which parts make up which node; (n, m), 0 or 1."""
    ends = np.cumsum([0, *map(len, nodes)])
    columns = np.fromiter((k for node in nodes for k in node), np.int64, int(ends[-1]))
    return sparse.csr_array((np.ones(len(columns)), columns, ends), (len(nodes), m))


def agreement(parts: IntArray, member: sparse.csr_array, other: IntArray) -> tuple[IntArray, IntArray, FloatArray]:
    """IoU of every node with every cell of another segmentation that it shares a pixel with.

    Args:
        parts: ([Z,] Y, X), 0 = background.
        member: (n, m), see `membership`.
        other: same shape; labels > 0 are cells.

    Returns:
        Node, place of the label among those that occur, and IoU of each such pair; (p,) each.
    """
    cell, inverse = np.unique(np.maximum(other, 0), return_inverse=True)
    shape = (member.shape[1] + 1, len(cell))
    joint = sparse.csr_array(sparse.coo_array((np.ones(parts.size), (parts.ravel(), inverse.ravel())), shape=shape))
    shared = sparse.coo_array(member @ joint[1:])
    real = cell[shared.col] > 0
    row, col, both = shared.row[real], shared.col[real], shared.data[real]
    size = member @ np.bincount(parts.ravel(), minlength=shape[0])[1:]
    return row, col, both / (size[row] + np.asarray(joint.sum(0)).ravel()[col] - both)


def _root(root: list[int], k: int) -> int:
    while root[k] != k:
        root[k] = root[root[k]]
        k = root[k]
    return k


def _connected(mask: BoolArray) -> IntArray:
    return np.asarray(label(mask, connectivity=1), np.int32)


def _numbered(labels: IntArray) -> IntArray:
    return drop_small(labels, 1)
