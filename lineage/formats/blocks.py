"""Blocks: the table of a forest some thousand rows at a time, so that a file of any length is written in little memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from lineage.arrays import Array
from lineage.forest import Forest

ROWS = 4096  # of a block


def blocks(forest: Forest) -> Iterator[dict[str, Array]]:
    """What ``forest.to_dataframe()`` lists, ``ROWS`` rows at a time, in turn; one block without rows when no cell is selected."""
    rows = np.flatnonzero(forest.selected)
    forest = _plain(forest)
    for start in range(0, max(len(rows), 1), ROWS):
        yield forest.facts(rows[start : start + ROWS])


def _plain(forest: Forest) -> Forest:
    """The forest with its dates and objects as pandas has them, which looks at a whole column to say what it is."""
    odd = {name: column for name, column in forest.detections.columns.items() if column.ndim == 1 and column.dtype.kind not in "biufUS"}
    if not odd:
        return forest
    import pandas as pd

    settled = {name: pd.Series(column).to_numpy() for name, column in odd.items()}
    return replace(forest, detections=forest.detections.with_columns(**settled))
