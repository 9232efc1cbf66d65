"""Candidate links: who may have become whom."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.spatial import cKDTree

from .arrays import Array, Film, FloatArray, IntArray, Progress, length, silent
from .detections import Detections, Masks
from .graph import CandidateGraph
from .pixels import Pixels

Ahead = Callable[[int], FloatArray]  # frames -> where each cell is expected after so many; float (n, d), physical units


def nearest(
    detections: Detections, count: int = 8, *, radius: float | None = None, max_gap: int = 0, ahead: Ahead | None = None
) -> CandidateGraph:
    """Link each detection to the nearest ones of the following frames, and from the nearest ones of the preceding.

    Both directions are asked, so that a cell in a crowd keeps its candidates even when it is nobody's favourite.

    Args:
        detections: The cells.
        count: How many neighbours a detection may choose in each direction, in the next frame; half as many across a gap.
        radius: Farthest displacement between consecutive frames, physical units; it grows with the square root of the
            frames apart (diffusion). From the film's own displacements, and from how far apart cells lie in each frame, when
            not given (``usual_radius``, ``spacings``).
        max_gap: Most frames that an edge may leave out.
        ahead: Where cells are expected after so many frames, if not where they were.

    Returns:
        The graph, edges sorted by source, then target, with the column ``distance`` (m,), physical units: from where the source is
        expected to the target. With ``ahead``, ``lead_y``, ``lead_x`` (and so on) say how far it is carried.

    Raises:
        ValueError: ``count`` below 1, ``radius`` not positive, or ``max_gap`` negative.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")
    if max_gap < 0:
        raise ValueError(f"max_gap must not be negative, but is {max_gap}")
    if radius is not None and not radius > 0:
        raise ValueError(f"radius must be positive, not {radius}")
    reach = _reach(detections) if radius is None else np.full(detections.n_frames, float(radius))
    trees = _trees(detections)
    n, keys = len(detections), [np.zeros(0, np.int64)]
    for dt in range(1, max_gap + 2):
        k = count if dt == 1 else max(1, count // 2)
        moved = trees if ahead is None else _trees(detections, ahead(dt))
        for here, there, far in zip(moved, trees[dt:], np.maximum(reach[:-dt], reach[dt:]) * dt**0.5, strict=False):
            if here is not None and there is not None:
                (a, b), (c, d) = _ask(here, there, k, far), _ask(there, here, k, far)
                keys += [a * n + b, d * n + c]
    return _graph(detections, _distinct(np.concatenate(keys)), ahead)


def overlapping(
    detections: Detections, labels: Film | Masks, *, max_gap: int = 0, ahead: Ahead | None = None, progress: Progress[int] = silent
) -> CandidateGraph:
    """Link every two detections of nearby frames that share a pixel.

    The pixels common to each pair are counted exactly, by one joint histogram a pair of frames.

    Args:
        detections: The cells.
        labels: The label film that the detections were measured on, (T, [Z,] Y, X), or their masks, which may share pixels.
        max_gap: Most frames that an edge may leave out.
        ahead: Where cells are expected after so many frames, if not where they were; their masks are moved there, each as it is.
        progress: Wraps the loop over frames.

    Returns:
        The graph, edges sorted by source, then target, with the columns ``overlap`` (shared pixels, (m,)) and ``iou``
        (shared pixels over pixels of either, (m,)), and ``distance``.

    Raises:
        ValueError: A label of the film that is no detection of its frame, or the other way round; a film that is too short.
    """
    n_frames = labels.shape[0] if isinstance(labels, Masks) else length(labels)
    if len(detections) and n_frames <= detections.frame[-1]:
        raise ValueError(f"the label film has {n_frames} frames, but there are detections in frame {detections.frame[-1]}")
    frames, size = Pixels(detections, labels, max_gap + 2), np.zeros(len(detections), np.int64)
    keys, counts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    shift = {} if ahead is None else {dt: _pixels(detections, ahead(dt)) for dt in range(1, max_gap + 2)}
    for t in progress(range(n_frames), "overlaps"):
        for place in frames.slabs:
            pixels, rows = frames.at(t, place)
            here = detections.at(t)
            size[here] += np.bincount(rows - here.start, minlength=here.stop - here.start)
            span = frames.span(place)
            owners = _owners(pixels - span.start, rows, span.stop - span.start)
            for then in range(max(0, t - max_gap - 1), t):
                old_rows, old_pixels = frames.arriving(then, place, shift.get(t - then))
                key, count = _counted([_met(old_rows, owner[old_pixels - span.start], len(size)) for owner in owners])
                keys.append(key)
                counts.append(count)
        frames.check(t, size)
    key, overlap = _summed(np.concatenate(keys), np.concatenate(counts))
    graph = _graph(detections, key, ahead)
    either = size[graph.source] + size[graph.target] - overlap
    return graph.with_columns(overlap=overlap, iou=overlap / np.maximum(either, 1))


def union(graphs: Sequence[CandidateGraph]) -> CandidateGraph:
    """All edges of several graphs over the same detections; a fact that a graph does not know of an edge is 0.

    Distances are known for every edge. Edges are sorted by source, then target.
    """
    detections = graphs[0].detections
    n = max(len(detections), 1)
    keys = [graph.source * n + graph.target for graph in graphs]
    key = _distinct(np.concatenate(keys))
    result = _graph(detections, key)
    columns: dict[str, Array] = {"distance": result.columns["distance"].copy()}  # of graphs that do not say it
    for graph, own in zip(graphs, keys, strict=True):
        at = np.searchsorted(key, own)
        for name, column in graph.columns.items():
            columns.setdefault(name, np.zeros(len(key), column.dtype))[at] = column
    return result.with_columns(**columns)


def usual_radius(detections: Detections) -> float:
    """How far a cell may plausibly move between frames, from the film's own displacements; physical units.

    Cells that are each other's nearest neighbour in consecutive frames (the earlier one taken where it is expected) are nearly all
    true links. A link may be five times their median displacement or twice their 95 % quantile, and never less than one typical
    distance between neighbours, since daughters land farther from their mother than a cell moves.
    """
    steps, spacing = displacements(detections)
    if not len(steps):
        return float(spacing) if spacing > 0 else 1.0  # NaN where there is none, 0 where cells lie on each other
    usual = max(5 * float(np.median(steps)), 2 * float(np.quantile(steps, 0.95)))
    return max(usual, float(spacing) if np.isfinite(spacing) else 0.0) or 1.0


def spacings(detections: Detections) -> FloatArray:
    """How far apart cells lie in each frame: the median distance to the nearest neighbour; float (T,), physical units.

    Embryos and colonies crowd with time, so one number does not fit the whole film. Frames with few cells are drawn towards the
    median of the film, frames with none or one take it (NaN when no frame has two cells).
    """
    near = [_query(tree[1], tree[1].data, [2])[0][:, 0] if tree and tree[1].n > 1 else np.zeros(0) for tree in _trees(detections)]
    film = float(np.median(np.concatenate(near))) if any(map(len, near)) else float("nan")
    return np.array([(np.median(row) * len(row) + 2 * film) / (len(row) + 2) if len(row) else film for row in near])


def _reach(detections: Detections) -> FloatArray:
    """Farthest plausible displacement from or to each frame; float (T,), physical units."""
    return np.fmax(usual_radius(detections), spacings(detections))


def displacements(detections: Detections) -> tuple[FloatArray, float]:
    """Steps between mutual nearest neighbours of consecutive frames, and the typical spacing of cells in one frame.

    Returns:
        steps: Lengths of the steps, from where each cell was expected; physical units, float (s,).
        spacing: Median distance of a cell to its nearest neighbour in the same frame; NaN when no frame has two cells.
    """
    steps, spacings = [np.zeros(0)], [np.zeros(0)]
    trees, moved = _trees(detections), _trees(detections, expected(detections))
    for here, ahead, there in zip(trees, moved, [*trees[1:], None], strict=False):
        if here is not None and here[1].n > 1:
            spacings.append(_query(here[1], here[1].data, [2])[0][:, 0])
        if ahead is not None and there is not None:
            length, forth = (column[:, 0] for column in _query(there[1], ahead[1].data, [1]))
            back = _query(ahead[1], there[1].data, [1])[1][:, 0]
            steps.append(length[back[forth] == np.arange(len(forth))])
    near = np.concatenate(spacings)
    return np.concatenate(steps), float(np.median(near)) if len(near) else float("nan")


def expected(detections: Detections, name: str = "ahead") -> FloatArray:
    """Where each cell is expected in the next frame (``behind``: would have been in the last); float (n, d), physical units.

    It is where the columns ``ahead_y``, ``ahead_x`` (and so on) say, or where the cell is.
    """
    columns = [detections.columns.get(f"{name}_{axis}") for axis in detections.axes]
    known = [column for column in columns if column is not None]
    return np.stack(known, axis=1) if len(known) == len(columns) else detections.position


def _trees(detections: Detections, place: FloatArray | None = None) -> list[tuple[int, cKDTree] | None]:
    """First row and KD-tree of every frame, None for an empty frame; of other places than those of the detections if given."""
    place = detections.position if place is None else place
    return [(rows.start, cKDTree(place[rows])) if rows.stop > rows.start else None for rows in detections.frames()]


def _ask(here: tuple[int, cKDTree], there: tuple[int, cKDTree], k: int, reach: float) -> tuple[IntArray, IntArray]:
    """Rows here and rows there of each point here with its k nearest there; int (p,) each."""
    k = min(k, there[1].n)
    distance, near = _query(there[1], here[1].data, list(range(1, k + 1)), reach * (1 + 1e-12))
    row, rank = np.nonzero(np.isfinite(distance))
    return here[0] + row, there[0] + near[row, rank]


def _query(tree: cKDTree, points: FloatArray, ranks: list[int], reach: float = np.inf) -> tuple[FloatArray, IntArray]:
    """Distance to the points of these ranks of nearness (from 1) and their numbers; (n, len(ranks)) each, infinite if none is in reach."""
    distance, near = tree.query(points, k=ranks, distance_upper_bound=reach)
    return np.asarray(distance, float), np.asarray(near, np.int64)


def _distinct(key: IntArray) -> IntArray:
    """Numbers from 0 on, rising, each once."""
    key = np.sort(key)  # np.unique looks whole numbers up in a table, which takes ten times as long
    return key[np.diff(key, prepend=-1) > 0]


def _graph(detections: Detections, key: IntArray, ahead: Ahead | None = None) -> CandidateGraph:
    """The graph of pairs, given as ``source * n + target``, rising; with their distance from where the source is expected."""
    source, target = np.divmod(key, max(len(detections), 1))
    step = detections.position[target] - detections.position[source]
    columns: dict[str, Array] = {}
    if ahead is not None:
        dt, lead = detections.frame[target] - detections.frame[source], np.zeros(step.shape)
        for late in np.unique(dt).tolist():
            edges = np.flatnonzero(dt == late)
            lead[edges] = (ahead(late) - detections.position)[source[edges]]
        step -= lead
        columns = {f"lead_{axis}": lead[:, k] for k, axis in enumerate(detections.axes)}
    return CandidateGraph(detections, source, target, {"distance": np.sqrt((step**2).sum(1)), **columns})


def _pixels(detections: Detections, place: FloatArray) -> IntArray:
    """How many whole pixels each cell is away from a place; int (n, d)."""
    return np.rint((place - detections.position) / detections.scale).astype(np.int64)


def _owners(pixels: IntArray, rows: IntArray, size: int) -> list[IntArray]:
    """The detection at every pixel, -1 for none, in as many layers as detections share a pixel; int (size,) each."""
    layers: list[IntArray] = []
    while len(pixels) or not layers:
        owner = np.full(size, -1)
        owner[pixels] = rows
        layers.append(owner)
        left = owner[pixels] != rows
        pixels, rows = pixels[left], rows[left]
    return layers


def _met(here: IntArray, there: IntArray, n: int) -> IntArray:
    """What meets at each of some pixels, as ``here * n + there``; where there is nothing (-1), no number."""
    inside = there >= 0
    return here[inside] * n + there[inside]


def _counted(keys: Sequence[IntArray]) -> tuple[IntArray, IntArray]:
    """The distinct ones of some numbers from 0 on, rising, and how often each is there; int (k,) each."""
    key = np.concatenate(keys)
    start = np.flatnonzero(np.diff(key, prepend=-1))  # equal ones mostly follow each other, as the pixels of a row do
    distinct, which = np.unique(key[start], return_inverse=True)
    count = np.bincount(which, np.diff(start, append=len(key)), len(distinct))
    return distinct, count.astype(np.int64)


def _summed(key: IntArray, count: IntArray) -> tuple[IntArray, IntArray]:
    """The distinct ones of some numbers, rising, and the sum of the counts of each; int (k,) each."""
    order = np.argsort(key, kind="stable")
    key, count = key[order], count[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    return key[first], np.add.reduceat(count, first) if len(first) else count
