"""HDF5 files of btrack, read: objects and the tracks through them; needs h5py.

``objects/<type>/coords`` (t, x, y, z, ...), ``objects/<type>/labels``, ``objects/<type>/properties/<name>``; ``tracks/<type>/tracks`` (rows
of coords, negative ones of ``dummies``), ``tracks/<type>/map`` (where each track begins and ends in them), ``tracks/<type>/LBEPR`` (track,
first frame, last frame, parent, root, generation). Objects in no track are detections that are not selected.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from lineage.arrays import Array, FloatArray, IntArray
from lineage.detections import Detections
from lineage.forest import Forest

from .chains import parent_links, with_parent
from .table import checked_frames

MAGIC = b"\x89HDF\r\n\x1a\n"
SQUEEZED = 1000  # times larger than its file no honest array is


def recognises(path: Path) -> bool:
    """Whether a file is HDF5; what stands in it is seen when it is read."""
    try:
        with Path(path).open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def read(path: str | Path) -> Forest:
    """Read the tracks of a file of btrack; of several types of objects, the first that has tracks.

    Objects that btrack put into missed frames have ``dummy`` in the column of that name. A depth of 0 throughout is none.
    What btrack calls label, the state of a cell, is the column ``state``; pixel values are taken from the property ``class_id``.

    Raises:
        FileNotFoundError: No such file.
        ValueError: No such file of btrack, tracks that make no lineages, or the package h5py is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        h5py: Any = importlib.import_module("h5py")
    except ImportError as error:
        raise ValueError(f"{path}: HDF5 files need the package h5py ({error}): pip install h5py") from error
    try:
        with h5py.File(path, "r") as file:
            kind = _kind(h5py, file)
            read_array = _Reader(h5py, file, path.stat().st_size)
            return _forest(read_array, f"objects/{kind}", f"tracks/{kind}")
    except (ValueError, OSError, KeyError, TypeError, RuntimeError, IndexError, OverflowError) as error:
        raise ValueError(f"{path} is no readable file of btrack: {' '.join(str(error).split())}") from error


class _Reader:
    """Reads arrays of a file by their place, but none that lie elsewhere or claim more than the file can hold."""

    def __init__(self, h5py: Any, file: Any, size: int) -> None:  # noqa: ANN401 - h5py has no types
        self.h5py, self.file, self.size = h5py, file, size

    def names(self, place: str) -> list[str]:
        """The names in a group; none when there is no such group."""
        return sorted(self.file[place]) if place in self.file and isinstance(self.file[place], self.h5py.Group) else []

    def __call__(self, place: str, columns: int = 1) -> Array:
        """An array of numbers of two axes, with that many columns or more; of no rows when it is not there."""
        here = self.file
        for part in place.split("/"):
            if part not in here:
                return np.zeros((0, columns))
            if not isinstance(here.get(part, getlink=True), self.h5py.HardLink):
                raise ValueError(f"{place} is a link to somewhere else, which is not followed")
            here = here[part]
        if not isinstance(here, self.h5py.Dataset) or here.is_virtual or here.external or here.dtype.kind not in "iufb":
            raise ValueError(f"{place} is no array of numbers in this file")
        if here.nbytes > SQUEEZED * self.size + 2**20:
            raise ValueError(f"{place} claims {here.nbytes} bytes in a file of {self.size}, which is not believed")
        found = np.asarray(here[()])
        found = found.reshape(len(found), -1) if found.ndim else found.reshape(1, 1)
        if found.shape[1] < columns:
            raise ValueError(f"{place} has {found.shape[1]} columns, but {columns} are needed")
        return found


def _kind(h5py: Any, file: Any) -> str:  # noqa: ANN401 - h5py has no types
    tracks = file["tracks"] if "tracks" in file and isinstance(file.get("tracks", getlink=True), h5py.HardLink) else {}
    if not isinstance(tracks, h5py.Group) or not len(tracks):
        raise ValueError("it has no tracks")
    return str(sorted(tracks)[0])


def _forest(array: _Reader, objects: str, tracks: str) -> Forest:
    coords, dummies = array(f"{objects}/coords", 4), array(f"{tracks}/dummies", 4)
    table, ends = array(f"{tracks}/LBEPR", 4).astype(np.int64), array(f"{tracks}/map", 2).astype(np.int64)
    refs = array(f"{tracks}/tracks")[:, 0].astype(np.int64)
    if len(table) != len(ends):
        raise ValueError(f"{len(table)} tracks are named, but {len(ends)} have cells")
    row = np.where(refs < 0, len(coords) - refs - 1, refs)
    if (outside := np.flatnonzero((refs >= len(coords)) | (-refs > len(dummies)))).size:
        raise ValueError(f"a track names object {refs[outside[0]]}, but there are {len(coords)} objects and {len(dummies)} predicted ones")
    if len(ends) and not ((ends[:, 0] == np.append(0, ends[:-1, 1])) & (ends[:, 1] >= ends[:, 0])).all():
        raise ValueError("the tracks do not follow each other")
    if int(ends[-1, 1] if len(ends) else 0) != len(row):
        raise ValueError(f"the tracks have {ends[-1, 1] if len(ends) else 0} cells together, but {len(row)} are named")
    if (twice := np.flatnonzero(np.bincount(row, minlength=1) > 1)).size:
        raise ValueError(f"object {twice[0]} is in two tracks")
    n = len(coords) + len(dummies)
    place = np.concatenate([coords[:, :4], dummies[:, :4]]).astype(float)
    frame, position = _frames(place[:, 0]), _positions(place)
    track = np.repeat(table[:, 0], ends[:, 1] - ends[:, 0])
    has = with_parent(table[:, 0], table[:, 3])
    parent = np.full(n + 1, -1)
    parent[row] = np.append(row, -1)[parent_links(track, frame[row], table[has, 0], table[has, 3])]
    return _sorted(frame, position, parent[:n], np.isin(np.arange(n), row), _columns(array, objects, len(coords), n))


def _frames(time: FloatArray) -> IntArray:
    if (odd := np.flatnonzero(~(np.abs(time) < 2**53) | (time != np.floor(time)))).size:
        raise ValueError(f"object {odd[0]} is at time {time[odd[0]]}, which is no frame")
    return checked_frames(time.astype(np.int64))


def _positions(place: FloatArray) -> FloatArray:
    """Positions in order (z,) y, x from columns t, x, y, z."""
    return place[:, [3, 2, 1]] if place[:, 3].any() else place[:, [2, 1]]


def _columns(array: _Reader, objects: str, known: int, n: int) -> dict[str, Array]:
    """Properties of objects, NaN for predicted ones; their state; which are predicted."""
    columns: dict[str, Array] = {}
    places = {name: f"{objects}/properties/{name}" for name in array.names(f"{objects}/properties")}
    for name, place in {"state": f"{objects}/labels", **places}.items():
        values = array(place).astype(float)
        if len(values) == known and known:
            column = np.concatenate([values, np.full((n - known, values.shape[1]), np.nan)])
            columns[name] = column[:, 0] if column.shape[1] == 1 or name == "state" else column
    if n > known:
        columns["dummy"] = np.arange(n) >= known
    return columns


def _sorted(frame: IntArray, position: FloatArray, parent: IntArray, selected: Array, columns: dict[str, Array]) -> Forest:
    order = np.argsort(frame, kind="stable")
    rank = np.append(np.argsort(order, kind="stable"), -1)
    number = columns.pop("class_id", np.zeros(len(frame)))
    label = np.where(np.isfinite(number) & (number >= 0) & (number < 2**53), number, 0).astype(np.int64)
    kept = {name: column[order] for name, column in columns.items()}
    return Forest(Detections(frame[order], position[order], label[order], kept), rank[parent[order]], selected[order])
