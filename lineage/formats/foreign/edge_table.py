"""Trackastra's table of edges: links between labels in frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from lineage.forest import Forest
from lineage.formats.chains import Links, drawn, graph_forest
from lineage.formats.csv_text import header, load
from lineage.formats.table import frames, real, whole

ENDS = ("source_frame", "source_label", "target_frame", "target_label")


def recognises(path: Path) -> bool:
    """Whether a file is a table of edges between labels in frames."""
    return set(ENDS) <= set(header(path)[0])


def read(path: Path, merges: str = "refuse") -> Forest:
    """Read the cells that the edges name; ``weight`` (a probability) becomes a cost in nats, minus its log-odds.

    Cells without any edge are not in the table. Positions are drawn; labels find the cells in their masks again.

    Args:
        path: The table.
        merges: ``refuse``: positions that are drawn say nothing about who is nearer.

    Raises:
        ValueError: A missing column, a number that is none, links that make no lineages.
    """
    table = load(path)
    try:
        if missing := [name for name in ENDS if name not in table]:
            raise ValueError(f"there is no column {', '.join(missing)}; there are {', '.join(table)}")
        frame = np.concatenate([frames(table[name], name) for name in ENDS[::2]])
        both = np.column_stack([frame, np.concatenate([whole(table[name], name) for name in ENDS[1::2]])])
        cells, row = np.unique(both, axis=0, return_inverse=True)
        source, target = np.split(row.reshape(-1), 2)
        chance = real(table["weight"], "weight") if "weight" in table else np.full(len(source), np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            cost = np.where((chance >= 0) & (chance <= 1), np.log1p(-chance) - np.log(chance), np.nan)
        forest = graph_forest(np.arange(len(cells)), cells[:, 0], np.zeros((len(cells), 2)), Links(source, target, cost), merges="refuse")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return drawn(replace(forest, detections=replace(forest.detections, label=cells[:, 1])))
