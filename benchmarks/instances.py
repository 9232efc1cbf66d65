"""Candidate graphs of made-up films, with costs, in seven kinds and any size; the same seed gives the same film.

Cells walk at random in a box that holds one cell per unit of area (volume), divide, die, are missed and mistaken. Links go to
the nearest detections of the next frame; their costs are half the squared displacement in standard deviations, plus noise.

    easy    cells move little                      hard      they move far, many are missed and many mistaken
    standard, 3d                                   gaps      links over a missed frame
    conflicts  each cell is segmented in several   cheap     a division costs much less than an appearance
               ways, of which one is right         pairs     standard, with a cost on every pair of daughters
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import KDTree

from lineage import CandidateGraph, Detections
from lineage.program import all_pairs


@dataclass(frozen=True)
class Kind:
    """What distinguishes one kind of film."""

    axes: int = 2
    step: float = 0.22
    neighbours: int = 8
    divides: float = 0.01
    mistaken: float = 0.08
    missed: float = 0.03
    event: float = 4.0
    division: float = 3.0
    bias: float = 0.0
    gaps: bool = False
    conflicts: bool = False
    pairs: bool = False


KINDS: Mapping[str, Kind] = {
    "easy": Kind(step=0.12),
    "standard": Kind(),
    "hard": Kind(step=0.35, divides=0.02, mistaken=0.15, missed=0.06),
    "3d": Kind(axes=3, neighbours=10),
    "gaps": Kind(gaps=True),
    "conflicts": Kind(conflicts=True, neighbours=18),
    "cheap": Kind(step=0.3, divides=0.03, event=8.0, division=1.5, bias=-1.0),
    "pairs": Kind(pairs=True),
}

DIES, NOISE, REACH = 0.003, 0.04, 1.6


def instance(kind: str, edges: int, seed: int = 0) -> tuple[CandidateGraph, dict[str, Any]]:
    """A candidate graph with about so many edges, and its costs, ready for ``state`` or ``solve``."""
    of = KINDS[kind]
    rng = np.random.default_rng([seed, *kind.encode()])
    n_frames = int(np.clip(round(edges ** (1 / 3)), 10, 100))
    per_cell = 0.93 * (of.neighbours + 4 * of.gaps) * (2.4 if of.conflicts else 1)
    cells = max(4.0, edges / per_cell / (n_frames - 1) / (1 + of.mistaken - of.missed))
    side = cells ** (1 / of.axes)
    frames = [_seen(of, x, divides, side, rng) for x, divides in _walk(of, cells, side, n_frames, rng)]
    frame = np.repeat(np.arange(n_frames), [len(f[0]) for f in frames])
    position, select, divide, size = (np.concatenate([f[i] for f in frames]) for i in range(4))
    starts = np.searchsorted(frame, np.arange(n_frames + 1))
    sets = [rows + start for f, start in zip(frames, starts, strict=False) for rows in f[4]]
    detections = Detections(frame, position, np.zeros(len(frame), int), conflicts=sets, n_frames=n_frames)
    source, target, link = _links(of, position, size, starts, rng)
    graph = CandidateGraph(detections, source, target)
    n = len(frame)
    appear, disappear = (of.event + rng.normal(0, 0.1, n) for _ in range(2))
    appear[frame == 0] = disappear[frame == n_frames - 1] = 0.0
    costs: dict[str, Any] = {"select": select, "link": link, "appear": appear, "disappear": disappear}
    costs["divide"] = np.maximum(of.division + divide, 0.1 - 0.9 * disappear)
    if of.pairs:
        costs["divide_pair"] = _daughters(graph, rng)
    return graph, costs


def packed(graph: CandidateGraph, costs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """A graph and its costs as plain arrays, for files and for processes that do not have this package."""
    cells = graph.detections
    one, two, pair_cost = costs.get("divide_pair", (np.zeros(0, int), np.zeros(0, int), np.zeros(0)))
    arrays = {"frame": cells.frame, "position": cells.position, "n_frames": np.array(cells.n_frames)}
    arrays |= {"source": graph.source, "target": graph.target, "pair_one": one, "pair_two": two, "pair_cost": pair_cost}
    arrays |= {"set_rows": np.concatenate([*cells.conflicts, np.zeros(0, int)]).astype(int)}
    arrays |= {"set_ends": np.cumsum([0, *map(len, cells.conflicts)])}
    return arrays | {name: np.asarray(costs[name]) for name in ("select", "link", "appear", "disappear", "divide")}


def unpacked(arrays: Mapping[str, np.ndarray]) -> tuple[CandidateGraph, dict[str, Any]]:
    """What ``packed`` made of a graph and its costs, undone."""
    sets = np.split(arrays["set_rows"], arrays["set_ends"][1:-1]) if len(arrays["set_ends"]) > 1 else []
    label = np.zeros(len(arrays["frame"]), int)
    cells = Detections(arrays["frame"], arrays["position"], label, conflicts=sets, n_frames=int(arrays["n_frames"]))
    costs: dict[str, Any] = {name: arrays[name] for name in ("select", "link", "appear", "disappear", "divide")}
    if len(arrays["pair_cost"]):
        costs["divide_pair"] = (arrays["pair_one"], arrays["pair_two"], arrays["pair_cost"])
    return CandidateGraph(cells, arrays["source"], arrays["target"]), costs


def _walk(of: Kind, cells: float, side: float, n_frames: int, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """Positions of the cells in every frame, and which are about to divide."""
    x = rng.uniform(0, side, (max(3, int(cells / np.exp((of.divides - DIES) * n_frames / 2))), of.axes))
    film = []
    for _ in range(n_frames):
        lot = rng.random(len(x))
        divides, lives = lot < of.divides, lot >= of.divides + DIES
        film.append((x, divides))
        axis = rng.normal(size=(int(divides.sum()), of.axes))
        axis *= 0.35 / np.maximum(np.linalg.norm(axis, axis=1, keepdims=True), 1e-9)
        moved = x[lives] + rng.normal(0, of.step, (int(lives.sum()), of.axes))
        born = [x[divides] + sign * axis + rng.normal(0, of.step / 2, axis.shape) for sign in (1, -1)]
        x = np.concatenate([moved, *born])
        x = side - np.abs(side - np.abs(x))
    return film


def _seen(of: Kind, x: np.ndarray, divides: np.ndarray, side: float, rng: np.random.Generator) -> tuple[Any, ...]:
    """What is detected in one frame: position, select cost, divide cost, size, and conflict sets."""
    true = rng.random(len(x)) >= of.missed
    n_false = int(rng.poisson(of.mistaken * len(x)))
    place = np.concatenate([x[true] + rng.normal(0, NOISE, (int(true.sum()), of.axes)), rng.uniform(0, side, (n_false, of.axes))])
    real = np.arange(len(place)) < true.sum()
    about = np.concatenate([divides[true], np.zeros(n_false, bool)])
    select = np.where(real, -2.2, 0.3) + rng.normal(size=len(place))
    divide = np.where(about, -3.0, 0.0) + 1.2 * rng.normal(size=len(place))
    size = rng.normal(1, 0.08, len(place))
    if not of.conflicts or len(place) < 2:
        return place, select, divide, size, []
    return _segmented(place, select, divide, size, rng)


def _segmented(place: np.ndarray, select: np.ndarray, divide: np.ndarray, size: np.ndarray, rng: np.random.Generator) -> tuple[Any, ...]:
    """Every cell also as a smaller one, and near pairs also as one large one; a cell's versions exclude each other."""
    m = len(place)
    apart, near = KDTree(place).query(place, k=2)
    partner = np.full(m, -1)
    for a in np.argsort(apart[:, 1]).tolist():  # a pair taken keeps others from being taken
        b = int(near[a, 1])
        if partner[a] < 0 and partner[b] < 0 and a != b and apart[a, 1] < 1.2:
            partner[a], partner[b] = b, a
    one = np.flatnonzero(partner > np.arange(m))
    two = partner[one]
    sets = [[a, m + a] for a in range(m)]
    for k, (a, b) in enumerate(zip(one.tolist(), two.tolist(), strict=True)):
        sets[a].append(2 * m + k)
        sets[b].append(2 * m + k)
    joined = 0.65 * (select[one] + select[two]) + rng.normal(0.5, 1, len(one))
    smaller = 0.8 * select + rng.normal(0.3, 0.7, m)
    return (
        np.concatenate([place, place + rng.normal(0, 0.08, place.shape), (place[one] + place[two]) / 2]),
        np.concatenate([select, smaller, joined]),
        np.concatenate([divide, divide + rng.normal(0, 0.5, m), 1.2 * rng.normal(size=len(one))]),
        np.concatenate([size, 0.7 * size, np.full(len(one), 2.0)]),
        [np.array(rows) for rows in sets],
    )


def _links(of: Kind, place: np.ndarray, size: np.ndarray, starts: np.ndarray, rng: np.random.Generator) -> tuple[Any, Any, Any]:
    """Source, target and cost of the links to the nearest detections one frame on (and two, with gaps)."""
    found = []
    for dt, k in ((1, of.neighbours), (2, 4)) if of.gaps else ((1, of.neighbours),):
        for t in range(len(starts) - 1 - dt):
            here, there = place[starts[t] : starts[t + 1]], place[starts[t + dt] : starts[t + dt + 1]]
            if len(here) == 0 or len(there) == 0:
                continue
            apart, near = KDTree(there).query(here, k=min(k, len(there)), distance_upper_bound=REACH * dt**0.5)
            apart, near = apart.reshape(len(here), -1), near.reshape(len(here), -1)
            row, column = np.nonzero(np.isfinite(apart))
            cost = apart[row, column] ** 2 / (4 * (max(of.step, 0.1) ** 2 * dt + NOISE**2)) + 2.5 * (dt - 1)
            found.append((starts[t] + row, starts[t + dt] + near[row, column], cost))
    source, target, cost = (np.concatenate([f[i] for f in found]) for i in range(3))
    cost += rng.normal(0, 0.35, len(cost)) + of.bias
    if of.conflicts:
        cost += 6 * np.abs(np.log(np.abs(size[source] / size[target])))
    order = np.lexsort((target, source))
    return source[order], target[order], cost[order]


def _daughters(graph: CandidateGraph, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A cost for every pair of links of one mother: daughters lie on either side of her."""
    pairs = all_pairs(graph, np.unique(graph.source))
    place = graph.detections.position
    one, two = (place[graph.target[pairs[:, i]]] - place[graph.source[pairs[:, 0]]] for i in range(2))
    cost = ((one + two) ** 2).sum(1) / 0.4 - 1 + rng.normal(0, 0.3, len(pairs))
    return pairs[:, 0], pairs[:, 1], cost
