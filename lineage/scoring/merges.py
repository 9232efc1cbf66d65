"""Merges: masks that hold two cells for some frames, as two detections in its place that the solver may believe.

Two cells that touch may get one mask until they part. Without a word for that, one of them ends and begins again, skips the frames, or
the parting is taken for a division. Here the frames between a meeting and a parting are a run of masks, each of them one cell or two.
Only where two cells without another future lie before a mask as large as both together is there a run; whether it is true, the solver
decides with all else. Two cells that touch already in the first frame are not told from a mother.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lineage.arrays import Array, BoolArray, FloatArray, IntArray
from lineage.candidates import expected
from lineage.certificate import Certificate
from lineage.detections import SHARED, Detections
from lineage.forest import Forest
from lineage.graph import CandidateGraph
from lineage.program import couples

from .confidence import CONFIDENCE
from .distance import log_step
from .film import FilmModel
from .likeness import FAILURE, Trait
from .ripening import without_parts
from .traits import log_size

FIRST_RATE = 0.01  # of meetings, per detection, before any is known
_SURE = 100.0  # nats; more than beginning and ending a lineage ever costs
_STAY = np.log(2.0)  # nats for every frame together, and for the parting: one is as likely as the other


@dataclass(frozen=True)
class Run:
    """Masks that follow each other and may hold two cells.

    Attributes:
        before: Links from the two cells to the first mask.
        masks: Rows.
        steps: Links between these.
        after: Links from the last mask to the two cells; empty where the film ends first.
        meet: What the two cells and their common mask cost together, nats, but for the rarity of meetings.
        part: What their parting costs, nats.
    """

    before: tuple[int, int]
    masks: tuple[int, ...]
    steps: tuple[int, ...]
    after: tuple[int, ...]
    meet: float
    part: float


def runs(graph: CandidateGraph, forest: Forest, model: FilmModel) -> list[Run]:
    """Where two cells may share a mask, no mask twice.

    Args:
        graph: The candidate links, as they were weighed; the detections have areas.
        forest: The lineages found without merges.
        model: What the costs of the links are made of.
    """
    frame, links = graph.detections.frame, np.arange(len(graph))
    size = model.likeness.trait("size") or Trait.guess("size", log_size(graph.detections))
    near = (graph.dt == 1) & forest.selected[graph.source] & forest.selected[graph.target]
    follows = forest.parent[graph.target] == graph.source
    next_child = np.full(len(forest), -1)  # the only child, in the next frame
    only = forest.child_rows[(forest.gap[forest.child_rows] == 0) & (forest.n_children[forest.parent[forest.child_rows]] == 1)]
    next_child[forest.parent[only]] = only
    going_on = np.bincount(forest.parent[forest.child_rows], forest.gap[forest.child_rows] == 0, len(forest)) > 0
    coming = near & np.where(follows, next_child[graph.source] == graph.target, ~going_on[graph.source])
    leaving = near & (follows | (forest.parent[graph.target] < 0) | (forest.gap[graph.target] > 0))
    meet = _best(graph.target, links[coming], lambda pairs: _meeting(graph, pairs, model, size))
    part = _best(graph.source, links[leaving], lambda pairs: _parting(graph, pairs, model, size))
    area, found = graph.detections.columns["area"], []
    step = np.full(len(forest), -1)
    step[graph.target[follows]] = links[follows]
    for first, (pair, cost) in meet.items():  # over meetings, which are few
        masks, one, two = [first], *(float(area[graph.source[e]]) for e in pair)
        double = np.sqrt((one + two) * max(one, two))  # nearer to both together than to one alone
        while area[masks[-1]] > double:
            here = masks[-1]
            if here in part or frame[here] == graph.detections.n_frames - 1:
                after, last = part.get(here, ((), 0.0))
                found.append(Run(pair, tuple(masks), tuple(step[masks[1:]].tolist()), after, cost, last))
                break
            if next_child[here] < 0:
                break
            masks.append(int(next_child[here]))
    taken: set[int] = set()
    apart = []
    for run in sorted(found, key=lambda run: run.meet + run.part):
        if taken.isdisjoint(run.masks):
            taken.update(run.masks)
            apart.append(run)
    return apart


def _best(end: IntArray, links: IntArray, cost: Any) -> dict[int, tuple[tuple[int, int], float]]:  # noqa: ANN401 - pairs -> costs
    """At every end the cheapest pair of these links; infinite ones are left out."""
    pairs = links[couples(end[links], np.unique(end[links]))]
    value = cost(pairs)
    best = {}
    for k in np.argsort(-value, kind="stable").tolist():  # over pairs of loose ends, which are few; the cheapest is written last
        if np.isfinite(value[k]):
            best[int(end[pairs[k, 0]])] = ((int(pairs[k, 0]), int(pairs[k, 1])), float(value[k]))
    return best


def _meeting(graph: CandidateGraph, pairs: IntArray, model: FilmModel, size: Trait) -> FloatArray:
    """Cost of two cells that become one mask, nats; (p,): the mask lies where their common centre was expected, and is as large as both."""
    cells, (a, b), mask = graph.detections, graph.source[pairs].T, graph.target[pairs[:, 0]]
    area, place = cells.columns["area"], expected(cells)
    both = area[a] + area[b]
    middle = (area[a, None] * place[a] + area[b, None] * place[b]) / both[:, None]
    moved = np.sqrt(((cells.position[mask] - middle) ** 2).sum(axis=1))
    step = np.log(model.distance.density) - log_step(moved, model.distance.step, model.distance.tail, cells.n_axes)
    known, now = np.log(both), log_size(cells)[mask]
    same, other = log_step(np.abs(now - known), size.step, size.tail, 1), size.any_cell(now)
    cost = step + other - np.logaddexp(same + np.log(1 - FAILURE), other + np.log(FAILURE))
    return np.where(_double(area[mask], area[a], area[b]), cost, np.inf)


def _parting(graph: CandidateGraph, pairs: IntArray, model: FilmModel, size: Trait) -> FloatArray:
    """Cost of one mask that becomes two cells, nats; (p,): they lie as sisters do, and are together as large as it was."""
    cells, (a, b), mask = graph.detections, graph.target[pairs].T, graph.source[pairs[:, 0]]
    area, log_area = cells.columns["area"], log_size(cells)
    step = model.daughters(graph, pairs, np.zeros(len(graph)))
    same = log_step(np.abs(np.log(area[a] + area[b]) - log_area[mask]), size.step, size.tail, 1)
    same += log_step(np.abs(log_area[a] - log_area[b]), size.spread * 2**0.5, 3.0, 1)
    other = size.any_cell(log_area[a]) + size.any_cell(log_area[b])
    cost = step + other - np.logaddexp(same + np.log(1 - FAILURE), other + np.log(FAILURE))
    return np.where(_double(area[mask], area[a], area[b]), cost, np.inf)


def _double(area: FloatArray, one: FloatArray, two: FloatArray) -> BoolArray:
    """Whether an area is nearer to that of two cells together than to that of the larger one."""
    return area**2 > (one + two) * np.maximum(one, two)


@dataclass(frozen=True, eq=False)
class Doubled:
    """A candidate graph in which the masks of some runs may hold two cells.

    Each of these masks has two further rows, its two cells, which exclude the mask as one cell. They come from the two cells before the
    run and become the two cells after it, and nothing else. One of the first two is dear and the other one saves as much, but excludes
    the mask as one cell too: so either both are chosen or none.

    Attributes:
        graph: Detections and the two cells of each mask, sorted by frame; of the links, those of the graph before come first.
        costs: Nats, all blocks.
        before: How many links there were.
        origin: Row of the mask of each row; int (n + 2 k,).
        rank: Where each detection is now, then the first cell of every mask, then the second; int (n + 2 k,).
        runs: What was doubled.
        worth: What it is worth that all these masks are believed, nats.
    """

    graph: CandidateGraph
    costs: dict[str, Any]
    before: int
    origin: IntArray
    rank: IntArray
    runs: list[Run]
    worth: float

    @classmethod
    def of(cls, graph: CandidateGraph, costs: dict[str, Any], found: list[Run], rate: float) -> Doubled:
        """The graph and its costs with the two cells of every mask of some runs; these masks must be believed, one way or the other.

        Args:
            graph: Candidate links; n detections, m links.
            costs: Nats, all blocks as columns, ``divide_pair`` three columns or None.
            found: Runs, no mask twice; at least one.
            rate: Of meetings, per detection.
        """
        n, cells = len(graph.detections), graph.detections
        masks = np.concatenate([run.masks for run in found]).astype(np.int64)
        k, starts = len(masks), np.cumsum([0, *(len(run.masks) for run in found[:-1])])
        origin = np.concatenate([np.arange(n), masks, masks])
        order = np.argsort(cells.frame[origin], kind="stable")
        rank = np.argsort(order)
        sets = [rank[rows] for rows in cells.conflicts] + rank[np.stack([masks, n + np.arange(k)], axis=1)].tolist()
        sets += rank[np.stack([masks[starts], n + k + starts], axis=1)].tolist()
        kept = origin[order]
        columns = {name: column[kept] for name, column in cells.columns.items()}
        wide = Detections(cells.frame[kept], cells.position[kept], cells.label[kept], columns, cells.scale, sets, cells.n_frames)
        begin, end, cost, owner = _links(graph, costs["link"], found, rate)
        wider = CandidateGraph(wide, rank[np.append(graph.source, begin)], rank[np.append(graph.target, end)])
        tie = _SURE + np.bincount(owner, np.abs(cost), len(found))  # more than could be saved by choosing one without the other
        alone = np.maximum((costs["appear"] + costs["disappear"])[masks], 0.0)
        worth, part = 1.0 + np.where(np.isfinite(alone), alone, _SURE), np.zeros(2 * k)
        worth[starts] += 2 * tie
        select = np.concatenate([costs["select"], -worth, np.zeros(k)])
        select[masks] = -worth
        part[starts], part[k + starts] = tie, -tie
        select[n:] += part
        new, last = np.arange(n + 2 * k) >= n, cells.frame[origin] == cells.n_frames - 1
        made: dict[str, Any] = {"select": select, "disappear": np.where(new & ~last, np.inf, costs["disappear"][origin])}
        made |= {name: np.where(new, np.inf, costs[name][origin]) for name in ("appear", "divide")}
        made = {name: column[order] for name, column in made.items()} | {"link": np.append(costs["link"], cost)}
        made["divide_pair"] = _pairs(wider, costs.get("divide_pair"), len(graph))
        made["other_pairs"] = costs.get("other_pairs", 0.0)
        return cls(wider, made, len(graph), kept, rank, found, float(worth.sum()))

    def believed(self, forest: Forest) -> BoolArray:
        """Which masks of the runs hold two cells, in a forest over all rows; bool (k,)."""
        k = sum(len(run.masks) for run in self.runs)
        first, second = forest.selected[self.rank[-2 * k : -k]], forest.selected[self.rank[-k:]]
        both: BoolArray = first & second
        return both

    def count(self, forest: Forest) -> int:
        """How many runs hold two cells, in a forest over all rows; none where a hasty solver broke one apart."""
        k = sum(len(run.masks) for run in self.runs)
        first, second = forest.selected[self.rank[-2 * k :]].reshape(2, k)
        starts = np.cumsum([0, *(len(run.masks) for run in self.runs[:-1])])
        whole = np.array_equal(first, second) and not (forest.selected[self.rank[: -2 * k]][self._masks] == first).any()
        return int(first[starts].sum()) if whole else 0

    @property
    def _masks(self) -> IntArray:
        return np.concatenate([run.masks for run in self.runs]).astype(np.int64)


def _links(graph: CandidateGraph, link: FloatArray, found: list[Run], rate: float) -> tuple[IntArray, IntArray, FloatArray, IntArray]:
    """Ends and costs of the links of the cells of masks, and the run of each: of what the two do together each pays half."""
    n, k, rows, first = len(graph.detections), sum(len(run.masks) for run in found), [], 0
    for r, run in enumerate(found):  # over runs, which are few
        last = first + len(run.masks) - 1
        for at in (n, n + k):
            rows += [(int(graph.source[e]), at + first, run.meet - np.log(rate), r) for e in run.before]
            rows += [(at + first + i, at + first + i + 1, link[e] + _STAY, r) for i, e in enumerate(run.steps)]
            rows += [(at + last, int(graph.target[e]), run.part + _STAY, r) for e in run.after]
        first = last + 1
    source, target, cost, owner = zip(*rows, strict=True)
    return np.array(source, np.int64), np.array(target, np.int64), np.array(cost, float) / 2, np.array(owner, np.int64)


def _pairs(wider: CandidateGraph, given: tuple[IntArray, IntArray, FloatArray] | None, m: int) -> tuple[IntArray, IntArray, FloatArray]:
    """The pairs of daughters; a cell in a shared mask is no daughter."""
    pairs = couples(wider.source, np.unique(wider.source[m:]))
    new = pairs[(pairs >= m).any(axis=1)]
    if given is None:
        return new[:, 0], new[:, 1], np.full(len(new), np.inf)
    a, b, cost = given
    return np.append(a, new[:, 0]), np.append(b, new[:, 1]), np.append(cost, np.full(len(new), np.inf))


def shared(doubled: Doubled, forest: Forest, before: Forest, model: FilmModel, *, gap: float = 1e-4) -> Forest:
    """The lineages with a row more for every mask that holds two cells, and the column ``cells``: how many each one's mask holds.

    Which of the two cells after a parting is which, the costs leave open: they are told apart by side and size, as before the meeting.

    Args:
        doubled: The graph with the two cells of masks.
        forest: Its cheapest forest, over all of its rows.
        before: The lineages found without merges, n rows; what is known of the cells is taken from here.
        model: What the costs are made of.
        gap: Relative gap between objective and bound that is good enough.
    """
    n, both = len(before), doubled.believed(forest)
    k = len(both)
    forest = _told_apart(doubled, forest, model)
    rank = doubled.rank[:n].copy()  # where each cell, or the first one of its mask, is
    masks = np.concatenate([run.masks for run in doubled.runs]).astype(np.int64)
    rank[masks[both]] = doubled.rank[n : n + k][both]
    rows = np.sort(np.append(rank, doubled.rank[n + k :][both]))
    number = np.full(len(forest) + 1, -1)
    number[rows] = np.arange(len(rows))
    origin, cells = doubled.origin[rows], before.detections
    holds = 1 + np.isin(origin, masks[both])
    parent = number[forest.parent[rows]]
    columns: dict[str, Array] = {name: column[origin] for name, column in cells.columns.items()} | {SHARED: holds}
    if CONFIDENCE in columns:  # it speaks of links as they were; of those to and from masks of two cells nothing is known
        same = np.where(parent >= 0, origin[parent], -1) == before.parent[origin]
        same &= (holds == 1) & (holds[parent] == 1)
        columns[CONFIDENCE] = np.where(same, columns[CONFIDENCE], np.nan)
    places = replace(
        cells,
        frame=cells.frame[origin],
        position=cells.position[origin],
        label=cells.label[origin],
        columns=columns,
        conflicts=[number[rank[members]] for members in cells.conflicts],
    )
    proof = forest.certificate
    assert proof is not None
    sums = [value + doubled.worth for value in (proof.objective, proof.bound)]
    proof = Certificate.of(*sums, solver=proof.solver, status=proof.status, seconds=proof.seconds)
    proof = replace(proof, status="stopped") if proof.status == "optimal" and proof.gap > max(gap, 1e-9) else proof
    slack = {name: values[: doubled.before] if name == "link" else values[rows] for name, values in forest.slack.items()}
    facts = {"parent": parent, "selected": forest.selected[rows], "link_cost": forest.link_cost[rows]}
    return replace(forest, detections=places, **facts, certificate=proof, slack=slack, record=without_parts(forest.record))


def _told_apart(doubled: Doubled, forest: Forest, model: FilmModel) -> Forest:
    """The forest with the cells after every parting given to the cells before the meeting that they resemble most."""
    parent, size = forest.parent.copy(), model.likeness.trait("size") or Trait.guess("size", log_size(doubled.graph.detections))
    k = sum(len(run.masks) for run in doubled.runs)
    own, first = doubled.rank[-2 * k :].reshape(2, k), 0
    for run in doubled.runs:  # over runs, which are few
        begin, end = own[:, first], own[:, first + len(run.masks) - 1]
        first += len(run.masks)
        if not forest.selected[begin].all():
            continue
        parent[begin] = np.sort(parent[begin])  # the first cell is that of the first row, whichever the solver chose
        if not run.after:
            continue
        old, new = parent[begin], np.array([int(np.flatnonzero(parent == row)[0]) for row in end])
        straight, crossed = (_likeness(doubled.graph.detections, old, some, model, size) for some in (new, new[::-1]))
        if crossed > straight:
            parent[new] = end[::-1]
    return replace(forest, parent=parent)


def _likeness(cells: Detections, old: IntArray, new: IntArray, model: FilmModel, size: Trait) -> float:
    """Log likelihood that two cells are these two later on, by how they lie to each other and by their sizes."""
    side = [cells.position[rows] - cells.position[rows].mean(axis=0) for rows in (old, new)]
    late = float(np.sqrt((cells.frame[new] - cells.frame[old]).max()))
    log_area = log_size(cells)
    moved = log_step(np.sqrt(((side[1] - side[0]) ** 2).sum(axis=1)), model.distance.step * late, model.distance.tail, cells.n_axes)
    grown = log_step(np.abs(log_area[new] - log_area[old]), size.step * late, size.tail, 1)
    return float((moved + grown).sum())
