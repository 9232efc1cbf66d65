"""Digest: a short name for what something is made of; equal values have equal digests, on every machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lineage.arrays import Array

_SIZE = 16  # bytes: by chance no two pieces of any film will ever share a name


def digest(*values: Any) -> str:  # noqa: ANN401 - plain values of any kind
    """The digest of plain values: numbers, text, None, and lists and tables of such.

    Raises:
        TypeError: A value is of another kind.
    """
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.blake2b(text.encode(), digest_size=_SIZE).hexdigest()


def digest_of_array(array: Array) -> str:
    """The digest of an array: its type, its shape and its values."""
    state = hashlib.blake2b(f"{array.dtype.str}{array.shape}".encode(), digest_size=_SIZE)
    state.update(np.ascontiguousarray(array).data if array.size else b"")
    return state.hexdigest()


def digest_of_columns(columns: Mapping[str, Array]) -> str:
    """The digest of arrays by their names, in whatever order they come."""
    return digest(sorted((name, digest_of_array(column)) for name, column in columns.items()))


def digest_of_file(path: str | Path) -> str:
    """The digest of the bytes of a file."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=_SIZE)).hexdigest()


def digest_of_weights(folder: str | Path, name: str) -> str:
    """The digest of the weights that a name stands for: shipped ones of a folder, or a file; empty where there are none.

    Args:
        folder: Holds ``NAME.safetensors`` for every name that is shipped.
        name: One of these, or a path.
    """
    shipped = Path(folder) / f"{name}.safetensors"
    file = shipped if shipped.is_file() else Path(name)
    return digest_of_file(file) if name and file.is_file() else ""


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a digest is of plain values, not of {type(value).__name__}")
