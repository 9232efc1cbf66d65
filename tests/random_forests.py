"""Random forests for round trips: gaps, divisions, single cells, 2D and 3D, scales, columns of every type, unselected rows."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from lineage.certificate import Certificate
from lineage.detections import Detections
from lineage.forest import Forest

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=64).filter(lambda x: abs(x) < 1e100)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=5).filter(lambda s: s.lower() != "nan")


@st.composite
def forests(draw, *, places=NUMBERS, dims=(2, 3), choosy=True, words=WORDS):
    """A forest; with ``choosy``, some detections are not selected."""
    frame = sorted(draw(st.lists(st.integers(0, 6), max_size=12)))
    n, d = len(frame), draw(st.sampled_from(dims))
    selected = [draw(st.booleans()) or draw(st.booleans()) if choosy else True for _ in range(n)]
    parent = []
    for i in range(n):
        earlier = [j for j in range(i) if frame[j] < frame[i] and selected[j] and parent.count(j) < 3]
        parent.append(draw(st.sampled_from([-1, *earlier])) if selected[i] else -1)
    column = lambda values: draw(st.lists(values, min_size=n, max_size=n))  # noqa: E731
    cost = [value if p >= 0 else np.nan for value, p in zip(column(st.floats(-50, 50) | st.just(np.nan)), parent, strict=True)]
    columns = {
        "area": np.array(column(NUMBERS | st.just(np.nan)), float),
        "touches_border": np.array(column(st.booleans()), bool),
        "bbox_min_y": np.array(column(st.integers(-(2**62), 2**62)), np.int64),
        "weight": np.array(column(st.integers(0, 5)), np.int64),
        'kind of <cell> & "so"': np.array(column(words), dtype=np.str_),
    }
    scale = tuple(draw(st.sampled_from([1.0, 0.5, 2.0])) for _ in range(d))
    position = np.array([[draw(places) for _ in range(d)] for _ in range(n)], float).reshape(n, d)
    label = np.array(column(st.integers(0, 70000)), np.int64)
    cells = Detections(frame, position, label, columns, scale, n_frames=draw(st.integers(0, 9)))
    certificate = draw(st.none() | st.just(Certificate(-3.5, -3.5, 0.0, "highs", "optimal", 0.25)))
    return Forest(cells, parent, selected, cost, certificate, {"seed": 3, "note": "é"})


def kept(forest, *, source_id=False):
    """What a table holds of a forest: selected rows, no scale, no empty frames at the end."""
    rows = np.flatnonzero(forest.selected)
    rank = np.full(len(forest) + 1, -1)
    rank[rows] = np.arange(len(rows))
    cells = forest.detections
    columns = {name: column[rows] for name, column in cells.columns.items()}
    if source_id and not np.array_equal(rows, np.arange(len(rows))):
        columns["source_id"] = rows
    some = Detections(cells.frame[rows], cells.position[rows], cells.label[rows], columns)
    return Forest(some, rank[forest.parent[rows]], link_cost=forest.link_cost[rows])


def assert_same(one, other):
    """Both forests hold the same, to the last bit; NaN equals NaN."""
    a, b = one.detections, other.detections
    for name in ("frame", "label", "position", "scale", "n_frames"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), name)
    for name in ("parent", "selected", "link_cost"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)
    assert sorted(a.columns) == sorted(b.columns)
    for name, column in a.columns.items():
        if len(column):
            assert column.dtype.kind == b.columns[name].dtype.kind, name
        np.testing.assert_array_equal(column, b.columns[name], name)
