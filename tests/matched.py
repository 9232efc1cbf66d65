"""Truth and result written down as tables, and who covers whom."""

from __future__ import annotations

import numpy as np

from lineage.matching import Matching, Tracks


def matched(truth, result, cover=None):
    """A matching of two tables. A truth cell is covered by the result cell of the same label, unless `cover` says otherwise.

    `cover`: {(frame, truth label): result label, or None for nobody}.
    """
    sides = Tracks(np.array(truth, int).reshape(-1, 4), "the truth"), Tracks(np.array(result, int).reshape(-1, 4), "the result")
    pairs = []
    for row, (label, begin, end, _) in enumerate(sides[0].table.tolist()):
        for t in range(begin, end + 1):
            other = (cover or {}).get((t, label), label)
            labels, cells = sides[1].at(t)
            if other in labels:
                pairs.append((sides[0].start[row] + t - begin, cells[labels.tolist().index(other)]))
    left, right = np.array(pairs, int).reshape(-1, 2).T
    return Matching(*sides, left, right)
