"""Random forests that have a bit of everything, and what differs between two forests, facet by facet."""

from __future__ import annotations

import numpy as np

from lineage.certificate import Certificate
from lineage.detections import Detections
from lineage.forest import Forest
from lineage.formats.holding import CONTROL, kind_of

WORDS = ("mère", "β cell", "a,b", 'say "so"', "<x & y>", " edge ", "", "two\nlines", "tab\there", "平", "🧬", "-", "nano")


def rich(rng, *, n=12, frames=7):
    """A forest: each kind of thing that one can have is there or not, by chance."""
    some = lambda: rng.random() < 0.6  # noqa: E731
    n, d = int(rng.integers(0, n)) if rng.random() < 0.9 else 0, int(rng.integers(2, 4))
    frame = np.sort(rng.integers(0, frames, n))
    selected = rng.random(n) < 0.8 if some() else np.ones(n, bool)
    parent, most, widest = np.full(n, -1), int(rng.integers(1, 4)), int(rng.integers(1, 4))
    for i in np.flatnonzero(selected):
        near = selected & (frame < frame[i]) & (frame >= frame[i] - widest)
        earlier = np.flatnonzero(near & (np.bincount(parent[parent >= 0], minlength=n) < most))
        if len(earlier) and rng.random() < 0.8:
            parent[i] = rng.choice(earlier)
    columns = {}
    if some():
        columns["area"] = np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n) * 10.0 ** rng.integers(-8, 9, n))
        columns["small"] = rng.normal(size=n).astype(np.float32)
        columns["touches_border"] = rng.random(n) < 0.5
        columns["byte"] = rng.integers(0, 256, n).astype(np.uint8)
        columns["big"] = rng.integers(-(2**62), 2**62, n)
    if some():
        columns["kind of <cell>"] = np.array([f"w{rng.choice(WORDS)}" for _ in range(n)], np.str_)
        if some():
            columns["note"] = np.array([f"n{rng.choice(WORDS)}\x07" for _ in range(n)], np.str_)
    if some():
        columns["box"] = rng.normal(size=(n, 2))
    if some():
        columns["phase"] = rng.normal(size=n) + 1j
    scale = tuple(rng.choice([0.5, 1.0, 2.0], d)) if some() else ()
    label = rng.permutation(1000)[:n] + 200 if some() else np.zeros(n, int)
    conflicts = [np.sort(rng.choice(n, 2, replace=False)) for _ in range(2)] if n > 3 and some() else []
    cells = Detections(
        frame,
        rng.uniform(3, 30, (n, d)),
        label,
        columns,
        scale,
        conflicts,
        int(rng.integers(0, frames + 3)) if some() else 0,
        float(rng.integers(1, 900)) if some() else None,
    )
    cost = np.where((parent >= 0) & (rng.random(n) < 0.9), rng.normal(size=n), np.nan) if some() else []
    certificate = Certificate(-3.5, -3.75, 0.25 / 3.5, "highs", "time limit", 0.25) if some() else None
    record = {"seed": 3, "note": "é", "nested": {"a": [1, 2.5, None]}} if some() else {}
    slack = {"link": rng.random(4), "select": np.append(rng.random(n), np.inf)[:n]} if some() else {}
    return Forest(cells, parent, selected, cost, certificate, record, slack)


def differing(one, other, *, by_tracklet=False):
    """The facets in which two forests differ, words of ``holding.FACETS``; ``other`` may have its rows in another order.

    Args:
        one: What was written.
        other: What was read.
        by_tracklet: Cells are known by frame and tracklet (which is the label of ``other``), not by frame and place.
    """
    a, b = one.detections, other.detections
    if by_tracklet:
        of_a, of_b = (
            list(zip(cells.frame.tolist(), number.tolist(), strict=True)) for cells, number in ((a, one.tracklet_id), (b, b.label))
        )
    else:
        of_a, of_b = ([(t, *place) for t, place in zip(cells.frame.tolist(), cells.position.tolist(), strict=True)] for cells in (a, b))
    there = {name: i for i, name in enumerate(of_b)}
    row = np.array([there.get(name, -1) for name in of_a], int)
    assert len(there) == len(of_b)
    found = set()
    if (row[~one.selected] < 0).any() or (len(a) and other.selected[row[~one.selected]].any()):
        found.add("unselected")
    alone = one.selected & (one.parent < 0) & (one.n_children == 0)
    if (row[alone] < 0).any():
        found.add("isolated")
    assert (row[one.selected & ~alone] >= 0).all()
    assert set(row[row >= 0].tolist()) == set(range(len(b))), "cells that nobody wrote"
    mine = np.flatnonzero(row >= 0)
    rank = row[mine]
    up = np.append(row, -1)[one.parent]
    wrong = other.parent[rank] != up[mine]
    divides = one.n_children[one.parent[mine]] >= 2
    gap = one.gap[mine] > 0
    found |= {name for name, here in (("divisions", divides), ("gaps", gap)) if (wrong & here).any()}
    assert not (wrong & ~divides & ~gap).any()
    facts = {"positions": (a.position, b.position), "labels": (a.label, b.label), "link_cost": (one.link_cost, other.link_cost)}
    for name, (left, right) in facts.items():
        has = mine if name != "labels" else mine[a.label[mine] != 0]
        if len(has) and not np.array_equal(left[has], right[row[has]], equal_nan=True):
            found.add(name)
    if [rows.tolist() for rows in a.conflicts] != [rows.tolist() for rows in b.conflicts]:
        found.add("conflicts")
    found |= _columns(a.columns, b.columns, mine, rank)
    pairs = {"interval": (a.interval, b.interval), "length": (a.n_frames, b.n_frames if a.n_frames else 0)}
    pairs["scale"] = (a.scale, b.scale) if set(a.scale) != {1.0} else (None, None)
    pairs |= {"certificate": (one.certificate, other.certificate), "record": (dict(one.record), dict(other.record))}
    pairs["slack"] = (
        {k: np.asarray(v).tolist() for k, v in one.slack.items()},
        {k: np.asarray(v).tolist() for k, v in other.slack.items()},
    )
    return found | {name for name, (left, right) in pairs.items() if left != right}


def _columns(left, right, mine, rank):
    found = set()
    for name, column in left.items():
        kind, other = kind_of(column), right.get(name)
        if other is None:
            found.add(kind)
            continue
        column, other = column[mine], other[rank]
        if kind == "other" and other.dtype != column.dtype:
            found.add(kind)
        if not len(column):
            continue
        if kind == "text":
            special = np.array([not CONTROL.isdisjoint(text) for text in column.tolist()], bool)
            found |= {"text"} if column[~special].tolist() != other[~special].tolist() else set()
            found |= {"control"} if column[special].tolist() != other[special].tolist() else set()
            continue
        same = column.dtype.kind.replace("u", "i") == other.dtype.kind.replace("u", "i")
        if not same or not np.array_equal(column, other, equal_nan=column.dtype.kind in "fc"):
            found.add(kind)
    return found
