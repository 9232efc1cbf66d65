"""NumPy archives: everything that a forest holds, as named arrays in one ``.npz``.

Arrays: ``frame``, ``position``, ``label``, ``parent``, ``selected``, ``link_cost``, ``scale``, ``n_frames``, ``interval`` (seconds, if
known), ``column/NAME`` for each measured column, ``slack/NAME`` for the slack of links and cells, ``conflict_rows`` and
``conflict_ends`` (conflict sets, end to end), ``certificate`` and ``record`` (JSON text), and for viewers ``tracks_data`` and
``tracks_graph`` (child id, parent id), which napari takes as a Tracks layer.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from lineage.arrays import Array
from lineage.certificate import Certificate
from lineage.detections import Detections
from lineage.films.atomic import new_file
from lineage.forest import Forest

from .holding import EVERYTHING

HOLDS = EVERYTHING - {"masks"}
SMALL, SQUEEZED = 2**26, 300  # bytes, and times smaller than its arrays: no honest archive is
COLUMN, SLACK = "column/", "slack/"
NEEDED = ("frame", "position", "label", "parent", "selected", "link_cost", "scale", "n_frames")


def write(forest: Forest, path: str | Path) -> None:
    """Write a forest with all its columns, unselected detections included.

    Args:
        forest: Lineages.
        path: The file; it appears when it is complete.

    Raises:
        ValueError: A column holds Python objects, which would have to be read back as code.
    """
    cells = forest.detections
    data, graph, _ = forest.to_napari()
    lengths = [len(rows) for rows in cells.conflicts]
    arrays: dict[str, Array] = {name: np.asarray(getattr(cells, name)) for name in ("frame", "position", "label", "scale", "n_frames")}
    arrays |= {name: getattr(forest, name) for name in ("parent", "selected", "link_cost")}
    arrays |= {COLUMN + name: _plain(name, column) for name, column in cells.columns.items()}
    arrays |= {SLACK + name: np.asarray(values, float) for name, values in forest.slack.items()}
    if cells.interval is not None:
        arrays["interval"] = np.array(cells.interval, float)
    arrays["conflict_rows"] = np.concatenate([np.zeros(0, np.int64), *cells.conflicts])
    arrays["conflict_ends"] = np.cumsum(lengths, dtype=np.int64)
    arrays["certificate"] = np.array(json.dumps(asdict(forest.certificate) if forest.certificate else None))
    arrays["record"] = np.array(json.dumps(dict(forest.record)))
    arrays["tracks_data"] = data
    arrays["tracks_graph"] = np.array([(child, parent) for child, parents in graph.items() for parent in parents], np.int64).reshape(-1, 2)
    with new_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def _plain(name: str, column: Array) -> Array:
    if column.dtype != object:
        return column
    if all(isinstance(value, str) for value in column.tolist()):
        return column.astype(np.str_)
    raise ValueError(f"column {name} holds Python objects, which are not saved: make it numbers or text")


def recognises(path: Path) -> bool:
    """Whether a file is a zip archive that could hold such arrays."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {"frame.npy", "parent.npy"} <= set(archive.namelist()[:4096])
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


def read(path: str | Path) -> Forest:
    """Read a forest back; nothing in the file is ever run as code.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not such a file, or a damaged one.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_sizes(archive, path.stat().st_size)
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            return _forest({name: content[name] for name in content.files})
    except Exception as error:  # damaged archives make NumPy and zlib raise whatever they like
        raise ValueError(f"{path} is no readable lineage archive: {' '.join(str(error).split()) or type(error).__name__}") from error


def _check_sizes(archive: zipfile.ZipFile, size: int) -> None:
    """What the arrays claim to be is what they unpack to, and that is no bomb."""
    total = sum(entry.file_size for entry in archive.infolist())
    if total > SMALL + SQUEEZED * size:
        raise ValueError(f"it unpacks to {total} bytes, which is not believed of a file of {size}")
    for entry in archive.infolist():  # over arrays
        with archive.open(entry) as file:
            version = np.lib.format.read_magic(file)
            read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read_header(file)
            if dtype.hasobject:
                continue  # refused when it is read
            if math.prod(shape) * dtype.itemsize != entry.file_size - file.tell():
                raise ValueError(f"{entry.filename} claims the shape {shape}, but has {entry.file_size - file.tell()} bytes")


def _forest(arrays: Mapping[str, Array]) -> Forest:
    if missing := [name for name in NEEDED if name not in arrays]:
        raise ValueError(f"there is no array {', '.join(missing)}")
    ends = arrays.get("conflict_ends", np.zeros(0, np.int64))
    cells = Detections(
        arrays["frame"],
        arrays["position"],
        arrays["label"],
        _named(arrays, COLUMN),
        tuple(arrays["scale"].tolist()),
        tuple(np.split(arrays["conflict_rows"], ends[:-1])) if len(ends) else (),
        int(arrays["n_frames"]),
        float(arrays["interval"]) if "interval" in arrays else None,
    )
    certificate = json.loads(str(arrays["certificate"])) if "certificate" in arrays else None
    return Forest(
        cells,
        arrays["parent"],
        arrays["selected"],
        arrays["link_cost"],
        Certificate(**certificate) if certificate else None,
        json.loads(str(arrays["record"])) if "record" in arrays else {},
        _named(arrays, SLACK),
    )


def _named(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
