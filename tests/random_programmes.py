"""Tiny random programmes with everything in them, and their optimum by looking at every 0/1 point."""

from __future__ import annotations

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
