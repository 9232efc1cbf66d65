"""What a forest is beside its cells and links, as one JSON value that any file with room for a text can carry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from lineage.arrays import IntArray
from lineage.certificate import Certificate
from lineage.forest import Forest

HEADER = frozenset(("scale", "interval", "length", "certificate", "record", "conflicts", "slack"))  # what it holds
KEY = "cytolineage"  # its name in a file
MOST_FRAMES = 2**31 - 1


def header_of(forest: Forest) -> dict[str, Any]:
    """Scale, interval, length, certificate, record, conflicts and slack of a forest; what is not known is left out.

    ``cells`` and ``links`` count what the file holds, so that a reader sees when another program has changed it since.
    """
    cells = forest.detections
    known: dict[str, Any] = {
        "cells": len(forest),
        "links": len(forest.child_rows),
        "axes": "".join(cells.axes),
        "scale": list(cells.scale),
        "n_frames": cells.n_frames,
        "interval": cells.interval,
        "record": dict(forest.record) or None,
        "certificate": asdict(forest.certificate) if forest.certificate else None,
        "conflicts": [rows.tolist() for rows in cells.conflicts] or None,
        "slack": {name: np.asarray(values).tolist() for name, values in forest.slack.items()} or None,
    }
    return {name: value for name, value in known.items() if value is not None}


def parsed(text: str) -> dict[str, Any]:
    """The header in a text; empty when it is none, because the rest of the file can be read without."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def headed(forest: Forest, header: Mapping[str, Any], order: IntArray) -> Forest:
    """A forest with what its header says.

    The certificate, the conflicts and the slack speak of all cells and links: they are dropped when these have been changed.

    Args:
        forest: What the cells and links of the file say.
        header: As from ``header_of``; entries may lack.
        order: Which node of the file became each row; int (n,).

    Raises:
        ValueError: An entry that is not what it should be.
    """
    if not header:
        return forest
    same = [header.get("cells"), header.get("links")] == [len(forest), len(forest.child_rows)]
    same = same and bool((order == np.arange(len(order))).all())
    try:
        cells = replace(
            forest.detections,
            scale=tuple(float(size) for size in header.get("scale", forest.detections.scale)),
            n_frames=_frames(header.get("n_frames", forest.detections.n_frames)),
            interval=float(header["interval"]) if "interval" in header else forest.detections.interval,
            conflicts=[np.array(rows, np.int64).ravel() for rows in header.get("conflicts", ())] if same else (),
        )
        record = dict(header.get("record", forest.record))
        if not same:
            return replace(forest, detections=cells, record=record)
        certificate = _certificate(header["certificate"]) if "certificate" in header else None
        slack = {str(name): np.array(values, float) for name, values in header.get("slack", {}).items()}
    except (TypeError, ValueError, AttributeError, OverflowError, KeyError) as error:
        raise ValueError(f"its header ({KEY}) cannot be understood: {error}") from error
    return replace(forest, detections=cells, record=record, certificate=certificate, slack=slack)


def _certificate(said: Mapping[str, Any]) -> Certificate:
    numbers = {name: float(said[name]) for name in ("objective", "bound", "gap", "seconds")}
    return Certificate(**numbers, solver=str(said["solver"]), status=str(said["status"]))


def _frames(value: Any) -> int:  # noqa: ANN401 - whatever the file says
    if not 0 <= int(value) <= MOST_FRAMES:
        raise ValueError(f"a film of {value} frames")
    return int(value)
