"""Tiny random programmes with everything in them, their optimum by looking at every 0/1 point, and small films."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from lineage import CandidateGraph, Detections
from lineage.program import Program, state

NODES = ("select", "appear", "disappear", "divide")


def random_graph(rng, cells, links, frames=4):
    """Cells of a few frames (some empty), links of any span, now and then conflict sets."""
    frame = np.sort(rng.integers(0, frames, cells))
    ends = [(i, j) for i in range(cells) for j in range(cells) if frame[i] < frame[j]]
    rng.shuffle(ends)
    sets = [rng.choice(cells, min(cells, rng.integers(2, 4)), replace=False) for _ in range(rng.choice([0, 0, 1, 2]))]
    detections = Detections(frame, np.zeros((cells, 2)), np.zeros(cells, int), conflicts=sets, n_frames=frames)
    source, target = np.array(ends[:links], int).reshape(-1, 2).T
    return CandidateGraph(detections, source, target)


def random_costs(rng, graph, infinite=True):
    """Costs of either sign, sometimes with ties, pair costs and infinite ones."""
    n, m = len(graph.detections), len(graph)
    ties = rng.random() < 0.3

    def draw(mean, size):
        x = rng.normal(mean, 2, size)
        return np.round(x) if ties else x

    come = rng.choice([0, 2, -1])
    costs = {"select": draw(-1, n), "link": draw(0, m), "appear": draw(come, n), "disappear": draw(come, n)}
    costs["divide"] = draw(rng.choice([-2, 0, 2]), n)
    pairs = [(i, j) for i in range(m) for j in range(i + 1, m) if graph.source[i] == graph.source[j] and rng.random() < 0.7]
    if pairs and rng.random() < 0.5:
        cost = draw(0, len(pairs))
        cost[rng.random(len(pairs)) < 0.15] = np.inf
        costs["divide_pair"] = (*np.array(pairs).T, cost)
    if infinite:
        for name in (*NODES, "link"):
            lot, rate = rng.random(len(costs[name])), rng.choice([0, 0.1])
            costs[name] = np.where(lot < rate / 2, np.inf, np.where(lot > 1 - rate / 3, -np.inf, costs[name]))
    return costs


def random_pins(rng, graph, costs):
    """A few pins that agree with the infinite costs."""
    pins = {}
    for name in (*NODES, "link"):
        size = len(costs[name])
        if size and rng.random() < 0.2:
            row = int(rng.integers(size))
            cost = costs[name][row]
            pins[name] = {row: int(rng.random() < 0.5) if np.isfinite(cost) else int(cost < 0)}
    return pins


def random_program(seed, cells=None, links=None, frames=4):
    """A programme of one seed."""
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, cells or int(rng.integers(1, 6)), int(rng.integers(0, 8)) if links is None else links, frames)
    costs = random_costs(rng, graph)
    return state(graph, costs, pins=random_pins(rng, graph, costs))


def optimum(program: Program):
    """The least cost of all 0/1 points, or None when there is none; the links and selected cells say all the rest."""
    graph, n, m = program.graph, len(program.graph.detections), len(program.graph)
    bits = (np.arange(2 ** (n + m))[:, None] >> np.arange(n + m) & 1).astype(float)
    select, link = bits[:, :n], bits[:, n:]
    into, out = np.zeros_like(select), np.zeros_like(select)
    for e in range(m):
        into[:, graph.target[e]] += link[:, e]
        out[:, graph.source[e]] += link[:, e]
    divide = (out >= 2).astype(float)
    x = np.zeros((len(bits), len(program)))
    columns = {"select": select, "link": link, "divide": divide, "appear": select - into, "disappear": select + divide - out}
    for name, column in columns.items():
        x[:, program.blocks[name]] = column
    x[:, program.blocks["pair"]] = link[:, program.pairs].prod(axis=2)
    x = x[((x >= program.lower) & (x <= program.upper)).all(axis=1)]
    value = x @ program.matrix.T
    x = x[((value >= program.low - 1e-9) & (value <= program.high + 1e-9)).all(axis=1)]
    return float((x @ program.cost).min()) if len(x) else None


def walk(cells=300, seed=0, *, conflicts=False, pairs=False):
    """Cells that walk a little in ten frames, with the links to near ones, and costs that make the relaxation break now and then."""
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, cells, 0, 10)
    frame, place = graph.detections.frame, rng.random((cells, 2)) * (cells / 10) ** 0.5
    source, target = np.nonzero((frame[:, None] + 1 == frame) & (((place[:, None] - place) ** 2).sum(2) < 2))
    sets = [np.flatnonzero(frame == t)[:2] for t in range(10)] if conflicts else ()
    graph = CandidateGraph(Detections(frame, place, np.zeros(cells, int), conflicts=sets), source, target)
    costs = random_costs(np.random.default_rng(seed + 1), graph, infinite=False)
    costs |= {"appear": np.abs(costs["appear"]) + 2, "disappear": np.abs(costs["disappear"]) + 2}
    if not pairs:
        costs.pop("divide_pair", None)
    return graph, costs


def side_by_side(*films):
    """Films (graph, costs) as one film that shows all of them, and the rows of each in it."""
    graphs = [graph for graph, _ in films]
    frame = np.concatenate([graph.detections.frame for graph in graphs])
    order = np.argsort(frame, kind="stable")
    new = np.argsort(order)  # where each row of all, one film after the other, is now
    starts = np.cumsum([0, *(len(graph.detections) for graph in graphs)])
    rows = [new[a:b] for a, b in pairwise(starts)]
    place = np.concatenate([graph.detections.position for graph in graphs])[order]
    sets = [own[members] for graph, own in zip(graphs, rows, strict=True) for members in graph.detections.conflicts]
    source, target = (np.concatenate([own[end(graph)] for graph, own in zip(graphs, rows, strict=True)]) for end in (_source, _target))
    cells = Detections(frame[order], place, np.zeros(len(frame), int), conflicts=sets)
    costs = {name: np.concatenate([cost[name] for _, cost in films])[order] for name in NODES}
    costs["link"] = np.concatenate([cost["link"] for _, cost in films])
    return (CandidateGraph(cells, source, target), costs), rows


def _source(graph):
    return graph.source


def _target(graph):
    return graph.target


def _mothers(rng):
    """One or two mothers and all the daughters they could have, half of the pairs with a cost."""
    mothers, daughters = int(rng.integers(1, 3)), 3
    frame = np.repeat([0, 1], [mothers, daughters])
    source, target = np.indices((mothers, daughters)).reshape(2, -1)
    graph = CandidateGraph(Detections(frame, np.zeros((len(frame), 2)), np.zeros(len(frame), int)), source, target + mothers)
    costs = random_costs(rng, graph, infinite=False) | {"divide": rng.normal(-2, 1, len(frame))}
    one, two = np.nonzero(np.triu(source[:, None] == source, 1))
    some = rng.random(len(one)) < 0.7
    return graph, costs | {"divide_pair": (one[some], two[some], rng.normal(0, 2, some.sum()))}


def variant(name, seed):
    """A tiny graph, its costs and pins, in which one thing is as its name says; ready for ``solve``."""
    rng = np.random.default_rng([seed, *name.encode()])
    if name == "daughter pairs":
        return *_mothers(rng), {}
    cells, links = int(rng.integers(2, 6)), int(rng.integers(2, 8))
    frames = {"free divisions": 2, "divisions that pay": 2, "empty frames": 12}.get(name, 4)
    cells, links = (5, 7) if frames == 2 else (cells, links)
    graph = random_graph(rng, cells, 1 if name == "isolated cells" else links, frames)
    if name == "conflict sets":
        sets = [rng.choice(cells, min(cells, 3), replace=False), rng.choice(cells, 2, replace=False)]  # these may overlap
        nodes = Detections(graph.detections.frame, np.zeros((cells, 2)), [0] * cells, conflicts=sets, n_frames=frames)
        graph = CandidateGraph(nodes, graph.source, graph.target)
    costs = random_costs(rng, graph, infinite=name == "infinite costs")
    if name != "infinite costs":  # a film where it is worth linking
        ends = {key: np.abs(rng.normal(1.5, 1, cells)) for key in ("appear", "disappear")}
        costs |= ends | {"select": rng.normal(-2, 1, cells), "link": rng.normal(-1, 1.5, len(graph))}
    changed = {
        "gaps": {"link": np.where(graph.dt > 1, -3.0, 3.0) + rng.normal(size=len(graph))},
        "free divisions": {"divide": np.zeros(cells)},
        "divisions that pay": {"divide": rng.normal(-6, 1, cells)},
        "negative costs": {key: -np.abs(costs[key]) for key in (*NODES, "link")},
        "positive costs": {key: np.abs(costs[key]) for key in (*NODES, "link")},
        "ties": {key: rng.integers(-1, 2, len(costs[key])).astype(float) for key in (*NODES, "link")},
        "isolated cells": {"select": rng.normal(-4, 2, cells)},
    }.get(name, {})
    costs |= changed
    pins = random_pins(rng, graph, costs) if name in ("pins", "infinite costs") else {}
    if name == "pins":
        pins |= {"link": {0: int(rng.random() < 0.5)}} if len(graph) else {}
    return graph, costs, pins


VARIANTS = (
    "gaps",
    "daughter pairs",
    "conflict sets",
    "pins",
    "infinite costs",
    "free divisions",
    "divisions that pay",
    "negative costs",
    "positive costs",
    "ties",
    "empty frames",
    "isolated cells",
)
