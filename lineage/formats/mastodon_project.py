"""Mastodon's projects (``.mastodon``): a ZIP archive, of which the spots and links in ``model.raw`` and the units are read.

``model.raw`` is a Java object stream, of which only the blocks of plain data are looked at; nothing is ever made into an object. After the
number of spots (big-endian) come the spots as Mastodon has them in memory (little-endian): x, y, z, time point, the six values of the
covariance of the ellipsoid, the squared radius around it; then the number of links, and for each source, target and two positions in
lists of edges (big-endian). Labels, tags and features of the project are left aside.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.parsers import expat

import numpy as np

from lineage.arrays import Array
from lineage.forest import Forest

from .chains import Links, graph_forest
from .table import checked_frames

MODEL, PROJECT = "model.raw", "project.xml"
STREAM = bytes.fromhex("aced0005")  # how a Java object stream begins
SHORT, LONG = 0x77, 0x7A  # blocks of data with a length of one byte and of four
SPOT = np.dtype([("place", "<f8", 3), ("frame", "<i4"), ("covariance", "<f8", 6), ("reach", "<f8")])
LINK = np.dtype([("source", ">i4"), ("target", ">i4"), ("lists", ">i4", 2)])
SQUEEZED = 200  # times smaller than its content no honest model is, for it is mostly numbers of full precision


def recognises(path: Path) -> bool:
    """Whether a file is a ZIP archive with a project of Mastodon."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {MODEL, PROJECT} <= set(archive.namelist())
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def read(path: str | Path, *, merges: str = "refuse") -> Forest:
    """Read the spots and links of a project; positions are those of Mastodon, in its unit of space.

    Columns: ``radius``, that of a ball as large as the spot's ellipsoid, and the ``covariance`` of the ellipsoid, (n, 3, 3) in order
    z, y, x. The record holds the units; time points are frames.

    Args:
        path: The project.
        merges: What to do with a spot that has two parents: ``refuse``, or ``keep-nearest``.

    Raises:
        FileNotFoundError: No such file.
        ValueError: No project of Mastodon, a damaged one, or links that make no lineages.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            if missing := sorted({MODEL, PROJECT} - set(archive.namelist())):
                raise ValueError(f"it has no {', '.join(missing)}")
            raw, units = _unpacked(archive, MODEL), _units(_unpacked(archive, PROJECT))
        return _forest(b"".join(_blocks(raw)), merges).with_record(**units)
    except (ValueError, OSError, EOFError, LookupError, NotImplementedError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no readable project of Mastodon: {' '.join(str(error).split())}") from error


def _unpacked(archive: zipfile.ZipFile, name: str) -> bytes:
    entry = archive.getinfo(name)
    if entry.file_size > SQUEEZED * entry.compress_size + 2**20:
        raise ValueError(f"its {name} claims {entry.file_size} bytes out of {entry.compress_size}, which is not believed")
    return archive.read(entry)


def _units(text: bytes) -> dict[str, str]:
    """Units of space and time of the project."""
    said: dict[str, str] = {}
    names = {"SpaceUnits": "space_units", "TimeUnits": "time_units"}
    inside = [""]

    def start(tag: str, _given: dict[str, str]) -> None:
        inside[0] = names.get(tag, "")

    def words(part: str) -> None:
        if inside[0]:
            said[inside[0]] = said.get(inside[0], "") + part

    def refuse(*_: object) -> None:
        raise ValueError(f"its {PROJECT} declares a document type or entities, which are refused")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.CharacterDataHandler = start, words
    parser.EndElementHandler = lambda _tag: inside.__setitem__(0, "")
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise ValueError(f"its {PROJECT} is no XML: {error}") from error
    return {name: unit.strip() for name, unit in said.items()}


def _blocks(raw: bytes) -> Iterator[bytes]:
    """The plain data of a Java object stream, up to its first object; what follows are labels."""
    if not raw.startswith(STREAM):
        raise ValueError(f"its {MODEL} does not begin as a Java object stream")
    place = len(STREAM)
    while place < len(raw) and raw[place] in (SHORT, LONG):
        head = 2 if raw[place] == SHORT else 5
        size = int.from_bytes(raw[place + 1 : place + head], "big")
        place += head
        if place + size > len(raw):
            raise ValueError(f"its {MODEL} ends inside a block")
        yield raw[place : place + size]
        place += size


def _forest(data: bytes, merges: str) -> Forest:
    spots, place = _items(data, 0, SPOT, "spots")
    links, _ = _items(data, place, LINK, "links")
    for end in ("source", "target"):
        outside = np.flatnonzero((links[end] < 0) | (links[end] >= len(spots)))
        if outside.size:
            raise ValueError(f"link {outside[0]} has the {end} {links[end][outside[0]]}, but there are {len(spots)} spots")
    said = Links(links["source"].astype(np.int64), links["target"].astype(np.int64), np.full(len(links), np.nan))
    frame = checked_frames(spots["frame"].astype(np.int64))
    forest = graph_forest(np.arange(len(spots)), frame, spots["place"][:, ::-1].astype(float), said, merges=merges)
    order = np.argsort(frame, kind="stable")
    full = spots["covariance"][order][:, [[5, 4, 2], [4, 3, 1], [2, 1, 0]]]  # it comes as xx, xy, xz, yy, yz, zz
    with np.errstate(invalid="ignore"):
        radius = np.maximum(np.linalg.det(full), 0) ** (1 / 6)
    columns: dict[str, Array] = {"radius": radius, "covariance": full}
    return replace(forest, detections=forest.detections.with_columns(**columns))


def _items(data: bytes, place: int, kind: np.dtype[np.void], what: str) -> tuple[Array, int]:
    """A counted list of records; the count is believed when they are all there."""
    count = int.from_bytes(data[place : place + 4], "big", signed=True)
    end = place + 4 + max(count, 0) * kind.itemsize
    if len(data) < place + 4 or count < 0 or end > len(data):
        raise ValueError(f"its {MODEL} claims {count} {what}, but ends before them")
    return np.frombuffer(data, kind, count, place + 4), end
