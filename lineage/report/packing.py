"""Packing: columns of numbers as text that a page can hold and a browser can open again."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lineage.arrays import Array

KINDS: dict[str, Any] = {"u1": np.uint8, "i2": np.int16, "u2": np.uint16, "i4": np.int32, "f4": np.float32, "f8": np.float64}
CATEGORIES = 1 << 16  # more different texts than this are not kept


@dataclass(frozen=True)
class Packed:
    """Columns that were packed.

    Attributes:
        columns: One entry a column: ``name``, ``kind`` (a NumPy type code), ``length``, ``delta`` (differences are stored);
            for texts also ``categories`` (the column holds positions in it), for truth values ``flag``.
        text: Base64 of the zlib stream of all columns, little-endian, the bytes of each column sorted by significance.
    """

    columns: list[dict[str, Any]]
    text: str


def pack(columns: Mapping[str, Array]) -> Packed:
    """Pack columns of any lengths.

    Whole numbers are stored as differences from row to row, which wrap around; then all lowest bytes of a column are written, then all
    second ones and so on: neighbours are alike in that order, so deflate finds more to share.

    Args:
        columns: Numbers, truth values or texts, each (n,) with its own n.
    """
    index: list[dict[str, Any]] = []
    stream = zlib.compressobj(6)
    parts: list[bytes] = []
    for name, column in columns.items():
        values, entry = _encoded(np.asarray(column))
        index.append({"name": name, **entry, "length": len(values)})
        parts.append(stream.compress(_planes(values, delta=entry["delta"])))
    parts.append(stream.flush())
    return Packed(index, base64.b64encode(b"".join(parts)).decode("ascii"))


def packable(column: Array) -> bool:
    """Whether a column can be packed: one value a row, a number, a truth value, or one of not too many texts."""
    if column.ndim != 1:
        return False
    return column.dtype.kind in "biuf" or (column.dtype.kind in "OUST" and len({_text(value) for value in column.tolist()}) <= CATEGORIES)


def _encoded(column: Array) -> tuple[Array, dict[str, Any]]:
    if column.dtype.kind in "OUST":
        texts = [_text(value) for value in column.tolist()]
        categories = sorted(set(texts))
        place = {text: k for k, text in enumerate(categories)}
        codes = np.array([place[text] for text in texts], np.int32)
        return codes, {"kind": "i4", "delta": False, "categories": categories}
    kind = _kind(column)
    entry: dict[str, Any] = {"kind": kind, "delta": kind not in ("f4", "f8")}
    return column.astype(KINDS[kind]), entry | ({"flag": True} if column.dtype.kind == "b" else {})


def _text(value: object) -> str:
    """A value as text; nothing (None, NaN) is empty."""
    return "" if value is None or value != value else str(value)


def _kind(column: Array) -> str:
    """The smallest type that holds a column; measurements lose what lies beyond seven digits."""
    if column.dtype.kind == "f":
        top = np.abs(column[np.isfinite(column)]).max(initial=0)
        return "f4" if top < np.finfo(np.float32).max else "f8"
    low, high = (int(column.min()), int(column.max())) if len(column) else (0, 0)
    for kind in ("u1", "i2", "u2", "i4"):
        if np.iinfo(KINDS[kind]).min <= low and high <= np.iinfo(KINDS[kind]).max:
            return kind
    return "f8"


def _planes(values: Array, *, delta: bool) -> bytes:
    if delta:
        values = np.diff(values, prepend=values.dtype.type(0))  # of whole numbers: wraps around, and back when they are summed
    raw = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False)).view(np.uint8)
    return np.ascontiguousarray(raw.reshape(len(values), values.itemsize).T).tobytes()
