"""Finding hypotheses: from what a network says of every pixel to nested and alternative segments with their probabilities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np
from scipy import sparse

from segmentation.arrays import AnyArray, FloatArray, IntArray
from segmentation.normalise import is_constant

from .facts import NAMES, Calibration, facts
from .parts import Parts, agreement, covered, finest, membership, merge_tree, refined, touching
from .segments import Segments

DEPTH = ("distance", "depth")  # what decoders call the distance to the rim
KEY = "hypotheses"  # where the calibration lies in what a model remembers


class Model(Protocol):
    """What is needed of a segmenter: see `segmentation.Segmenter`."""

    @property
    def decoder(self) -> Any:  # noqa: ANN401 - any of the decoders
        """What turns probabilities into cells."""
        ...

    @property
    def about(self) -> Mapping[str, Any]:
        """What it remembers."""
        ...

    def probabilities(self, image: AnyArray) -> FloatArray:
        """What the network says, (c, [Z,] Y, X)."""
        ...


M = TypeVar("M", bound=Any)


@dataclass(frozen=True)
class Search:
    """How far hypotheses are looked for; the defaults are meant to be left alone.

    Args:
        dim: foreground of the dimmest pixels that may be a cell where the decoder sees none, 0..1.
        step: distance between the heights at which a cell may fall apart.
        speck: least size of a piece that a cell falls into, pixels.
        smallest: least size of a segment, pixels; the decoder's own when it has one.
        most: parts that a segment is made of at most.
        least: segments less likely than this are left out.
        sure: where a segment is at least as likely as this, its rivals are left out.
    """

    dim: float = 0.25
    step: float = 0.12
    speck: int = 5
    smallest: int = 20
    most: int = 6
    least: float = 0.04
    sure: float = 0.97


SEARCH = Search()
SHIPPED = Calibration(  # facts alone, for models that do not know: by the pictures of `benchmarks/hypotheses.py --fit` and nuclei-2d
    {
        "foreground": -0.5748,
        "rim": 4.1791,
        "inner": -2.375,
        "dip": -2.2779,
        "rise": 1.8841,
        "crowd": 2.7525,
        "neck": 0.3023,
        "seam": -2.9473,
        "fill": 7.5061,
        "small": 0.9135,
        "large": -1.5096,
        "parts": 0.1215,
        "border": 0.2748,
        "agreed": 1.9864,
    },
    -11.6435,
)


def hypotheses(model: Model, image: AnyArray, *, views: bool = False, others: Sequence[IntArray] = (), search: Search = SEARCH) -> Segments:
    """Find what may be a cell of a picture: where there is doubt, several answers with their probabilities.

    Three sources are joined: the tree of all thresholds of foreground less boundary, with its watersheds merged pass by pass; the
    model's own decoder; and, on request, what the decoder says of mirrored pictures, and any other segmentation of it.

    Args:
        model: a `Segmenter` whose decoder asks for the channel "foreground" and, better, "boundary" and "distance" or "depth".
        image: ([Z,] Y, X), as for `Segmenter.predict`; not altered.
        views: whether the picture is looked at in its mirror images, too (as many times slower).
        others: other segmentations of the picture, label pictures of its shape, such as those of other decoders or thresholds.
        search: how far to look.

    Raises:
        ValueError: the decoder asks for no foreground, or a segmentation has another shape.
    """
    image = np.asarray(image)
    channels = tuple(model.decoder.channels)
    _channel(channels, "foreground", model.decoder)
    said = np.asarray(model.probabilities(image))
    if all(is_constant(channel) for channel in image.reshape(-1, *said.shape[1:])):
        return Segments.of_labels(np.zeros(said.shape[1:], np.int32))
    labels = [model.decoder(said)]
    spatial = range(image.ndim - labels[0].ndim, image.ndim) if views else ()
    for axis in spatial:
        mirrored = model.decoder(np.asarray(model.probabilities(np.flip(image, axis))))
        labels.append(np.flip(mirrored, axis - image.ndim))
    return from_said(said, channels, [*labels, *others], calibration_of(model), search=fitting(search, model.decoder))


def from_said(
    said: FloatArray, channels: Sequence[str], labels: Sequence[IntArray], calibration: Calibration, *, search: Search = SEARCH
) -> Segments:
    """Find what may be a cell, from the answers of a network and at least one segmentation.

    Args:
        said: (c, [Z,] Y, X), what the network says.
        channels: names of the c answers; "foreground", "boundary" and "distance" (or "depth") are used.
        labels: segmentations of the picture, the most trusted first.
        calibration: says how likely a segment is.
        search: how far to look.
    """
    candidates = Candidates.of(said, channels, labels, search=search)
    return candidates.segments(calibration(candidates.known), search)


@dataclass(frozen=True, eq=False)
class Candidates:
    """All unions of parts that are looked at, before any is left out.

    Args:
        parts: the finest pieces.
        nodes: which parts make up each candidate.
        known: (n, k) facts about each candidate.
    """

    parts: Parts
    nodes: list[tuple[int, ...]]
    known: FloatArray

    @classmethod
    def of(cls, said: FloatArray, channels: Sequence[str], labels: Sequence[IntArray], *, search: Search = SEARCH) -> "Candidates":
        """Find the candidates of one picture; see `from_said`."""
        foreground = np.asarray(said[list(channels).index("foreground")], np.float32)
        boundary, depth = (
            next(
                (np.asarray(said[list(channels).index(name)], np.float32) for name in names if name in channels), np.zeros_like(foreground)
            )
            for names in (("boundary",), DEPTH)
        )
        for other in labels:
            if other.shape != foreground.shape:
                raise ValueError(f"a segmentation has shape {other.shape}, but the picture has {foreground.shape}: give one shape")
        height = foreground - boundary + depth / max(1.0, float(depth.max(initial=0.0)))  # in pixels for some decoders
        known = labels[0] > 0
        dim = finest(height, foreground > search.dim, (), speck=search.speck)  # what no decoder has seen, as wholes
        seen = np.zeros(int(dim.max(initial=0)) + 1, bool)
        seen[dim[known]] = True
        seen[0] = True
        mask = known | ~seen[dim]
        levels = np.arange(float(height.min(initial=0.0)), float(height.max(initial=0.0)), search.step)[1:].tolist()
        cut = refined(finest(height, mask, levels, speck=search.speck), labels, height, smallest=search.smallest)
        parts = touching(cut, height)
        nodes = merge_tree(parts, most=search.most) + [node for other in labels for node in covered(cut, other) if len(node) <= search.most]
        size = np.bincount(cut.ravel(), minlength=1)[1:]
        nodes = [node for node in dict.fromkeys(nodes) if size[list(node)].sum() >= search.smallest]
        cells = np.bincount(labels[0].ravel())[1:]
        usual = float(np.median(cells[cells > 0])) if (cells > 0).any() else float(search.smallest)
        return cls(parts, nodes, facts(parts, nodes, foreground, boundary, labels[0], usual=usual))

    def overlap(self, truth: IntArray) -> FloatArray:
        """The largest IoU of each candidate with a true cell, and 0 for those that are not the best of theirs; (n,).

        Args:
            truth: label picture; pixels < 0 are unknown, and candidates that lie there for the most part get NaN.
        """
        labels, n, m = self.parts.labels, len(self.nodes), len(self.parts)
        member = membership(self.nodes, m)
        size = member @ np.bincount(labels.ravel(), minlength=m + 1)[1:]
        lost = member @ np.bincount(labels.ravel(), (truth < 0).ravel(), m + 1)[1:]
        row, cell, iou = agreement(labels, member, truth)
        best = np.zeros(int(cell.max(initial=0)) + 1)
        np.maximum.at(best, cell, iou)
        found = np.zeros(n)
        mine = iou >= best[cell]
        np.maximum.at(found, row[mine], iou[mine])
        return np.where(2 * lost > size, np.nan, found)

    def segments(self, score: FloatArray, search: Search = SEARCH) -> Segments:
        """Leave out what is unlikely, and every rival of what is sure.

        Args:
            score: (n,) probability of each candidate.
            search: what is unlikely and what is sure.
        """
        kept = np.flatnonzero(score >= search.least)
        member = membership([self.nodes[k] for k in kept], len(self.parts))
        meet = sparse.coo_array(member @ member.T)
        beaten = (meet.row != meet.col) & (score[kept][meet.col] >= search.sure) & (score[kept][meet.row] < score[kept][meet.col])
        kept = np.delete(kept, np.unique(meet.row[beaten]))
        nodes = [self.nodes[k] for k in kept]
        flat = self.parts.labels.ravel()
        place = np.flatnonzero(flat)
        place = place[np.argsort(flat[place], kind="stable")]
        ends = np.concatenate([[0], np.cumsum(np.bincount(flat, minlength=len(self.parts) + 1)[1:])])
        pixels = [np.sort(np.concatenate([place[ends[k] : ends[k + 1]] for k in node])) for node in nodes]
        joined = np.concatenate([np.zeros(0, np.int64), *pixels])
        return Segments(
            self.parts.labels.shape, score[kept], joined, np.cumsum([0, *map(len, pixels)]).astype(np.int64), _parents(nodes, self.parts)
        )


def _parents(nodes: Sequence[tuple[int, ...]], parts: Parts) -> IntArray:
    """Row of the smallest node that holds each node and more; (n,), -1 where there is none."""
    member = membership(nodes, len(parts))
    size = np.diff(member.indptr)
    common = sparse.coo_array(member @ member.T)
    inside = (common.data == size[common.row]) & (size[common.col] > size[common.row])
    row, col = common.row[inside], common.col[inside]
    order = np.lexsort((size[col], row))
    parent = np.full(len(nodes), -1)
    first = np.unique(row[order], return_index=True)
    parent[first[0]] = col[order][first[1]]
    return parent


def calibration_of(model: Model) -> Calibration:
    """The calibration that a model carries, or the one that is fitted to the shipped nuclei."""
    kept = model.about.get(KEY)
    return Calibration.of(kept) if kept else SHIPPED


def is_calibrated(model: Model) -> bool:
    """Whether a model knows how probable its segments are: whether it carries a calibration of its own."""
    return bool(model.about.get(KEY)) and "foreground" in model.decoder.channels


def calibrated(model: M, pairs: Sequence[tuple[AnyArray, IntArray]], *, search: Search = SEARCH) -> M:
    """Fit the probabilities of hypotheses to labelled pictures; gives a model that carries them, and saves them with it.

    Args:
        model: a `Segmenter`.
        pairs: (picture, labels), labels < 0 unknown; not the pictures on which the probabilities are judged.
        search: how far hypotheses are looked for.

    Raises:
        ValueError: no true or no false segment to learn from.
    """
    search = fitting(search, model.decoder)
    known: list[FloatArray] = [np.zeros((0, len(NAMES)))]
    true: list[FloatArray] = [np.zeros(0)]
    for image, labels in pairs:
        said = np.asarray(model.probabilities(image))
        candidates = Candidates.of(said, model.decoder.channels, [model.decoder(said)], search=search)
        iou = candidates.overlap(labels)
        known.append(candidates.known[~np.isnan(iou)])
        true.append((iou[~np.isnan(iou)] >= 0.5).astype(float))
    fitted = Calibration.fit(np.concatenate(known), np.concatenate(true))
    return replace(model, about={**model.about, KEY: fitted.described()})


def calibration_error(score: FloatArray, true: FloatArray, *, bins: int = 10) -> float:
    """Expected calibration error: how far probabilities lie from the frequencies that they promise, on average; 0 is perfect.

    Naeini, Cooper and Hauskrecht, 2015.

    Args:
        score: (n,) promised, 0..1.
        true: (n,) 1 where it came true.
        bins: number of classes of equal width.
    """
    place = np.minimum((score * bins).astype(int), bins - 1)
    off = np.bincount(place, score - true, bins)
    return float(np.abs(off).sum() / max(len(score), 1))


def fitting(search: Search, decoder: Any) -> Search:  # noqa: ANN401 - any of the decoders
    """The search with the decoder's own smallest size, if it has one."""
    return replace(search, smallest=int(getattr(decoder, "smallest", search.smallest)))


def _channel(channels: Sequence[str], name: str, decoder: object) -> None:
    if name not in channels:
        raise ValueError(
            f"the decoder {type(decoder).__name__} asks for {', '.join(channels)}: hypotheses need the channel {name!r}, "
            "as boundary, components and distance have it"
        )
