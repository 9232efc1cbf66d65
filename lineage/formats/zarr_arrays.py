"""Arrays of zarr stores (2 and 3) that come from others: looked over before a byte of them is decoded.

A store is refused when something in it lies elsewhere (links) or is no plain file, when a codec could run code (pickled objects), and
when it asks for far more memory or chunks than it stores, so that a small file cannot fill the machine.
"""

from __future__ import annotations

import json
import math
import stat
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lineage.arrays import Array

from .graphs import text_column

MARKS = ("zarr.json", ".zarray", ".zgroup", ".zattrs")
MOST_JSON = 1 << 28  # bytes of metadata
FREE, RATIO = 1 << 27, 500  # bytes of memory that are free, and bytes for each that is stored
FREE_CHUNKS, CHUNKS_A_FILE = 10_000, 4
CODECS = frozenset(
    "blosc zstd gzip zlib lz4 bz2 lzma shuffle delta bytes endian transpose crc32c sharding_indexed vlen-utf8 vlen-bytes bytes-v2".split()
)
TEXT_BYTES = 64  # what a text of variable length is taken to need


@dataclass(frozen=True)
class Stored:
    """An array of a store, as its metadata declare it.

    Attributes:
        folder: Where it is.
        shape: Of the whole array.
        needs: Bytes of memory that reading it takes.
        chunks: How many pieces it is declared to have.
        piece: Bytes of one of them, unpacked.
        packing: The last codec that each has gone through.
    """

    folder: Path
    shape: tuple[int, ...]
    needs: int
    chunks: int
    piece: int
    packing: str


def arrays_below(folder: Path) -> dict[str, Stored]:
    """All arrays of a store, by their path inside it.

    Args:
        folder: A zarr group on disk.

    Raises:
        ValueError: Links, files that are no plain files, codecs that are not known to be harmless, or more declared than is plausible.
    """
    found: dict[str, Stored] = {}
    stored = files = 0
    for file, size in _files(folder):
        stored, files = stored + size, files + 1
        if file.name in ("zarr.json", ".zarray") and (array := _declared(file)) is not None:
            found[file.parent.relative_to(folder).as_posix()] = array
    needs, chunks = sum(array.needs for array in found.values()), sum(array.chunks for array in found.values())
    if needs > FREE + RATIO * stored:
        raise ValueError(f"its arrays are declared to hold {needs} bytes, but the store has {stored} bytes only")
    if chunks > FREE_CHUNKS + CHUNKS_A_FILE * files:
        raise ValueError(f"its arrays are declared to have {chunks} chunks, but the store has {files} files only")
    return dict(sorted(found.items()))


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    """All files below a folder and their sizes; stops at whatever is neither a folder nor a plain file."""
    pending = [folder]
    while pending:
        for entry in sorted(pending.pop().iterdir()):
            kind = entry.lstat()
            if stat.S_ISDIR(kind.st_mode):
                pending.append(entry)
            elif stat.S_ISREG(kind.st_mode):
                yield entry, kind.st_size
            else:
                raise ValueError(f"{entry.relative_to(folder).as_posix()} is a link or no plain file, which is refused")


def metadata(file: Path) -> dict[str, Any]:
    """A JSON object in a file.

    Raises:
        ValueError: It is too large, or none.
    """
    if file.stat().st_size > MOST_JSON:
        raise ValueError(f"{file.name} has {file.stat().st_size} bytes, which is too much for metadata")
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file.parent.name}/{file.name} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{file.parent.name}/{file.name} is no JSON object")
    return value


def attributes(folder: Path) -> dict[str, Any]:
    """The attributes of a zarr group or array; empty where there are none.

    Raises:
        ValueError: Metadata that cannot be read.
    """
    if (folder / "zarr.json").is_file():
        value = metadata(folder / "zarr.json").get("attributes", {})
        return value if isinstance(value, dict) else {}
    return metadata(folder / ".zattrs") if (folder / ".zattrs").is_file() else {}


def _declared(file: Path) -> Stored | None:
    """What the metadata of an array say; None for a group."""
    said = metadata(file)
    if file.name == "zarr.json" and said.get("node_type") != "array":
        return None
    place = file.parent.name
    try:
        shape = tuple(int(size) for size in said["shape"])
        if file.name == "zarr.json":
            pieces = tuple(int(size) for size in said["chunk_grid"]["configuration"]["chunk_shape"])
            size = _size_of(said["data_type"])
            names = list(_codecs(said["codecs"]))
        else:
            pieces = tuple(int(size) for size in said["chunks"])
            size, filters = _size_of(said["dtype"]), said.get("filters") or []
            names = [str(codec["id"]) for codec in [*filters, said.get("compressor")] if codec]
            if said["dtype"] == "|O" and names[:1] != ["vlen-utf8"]:
                raise ValueError(f"{place} holds Python objects, which are refused")
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"the metadata of {place} cannot be understood: {type(error).__name__} {error}") from error
    if unknown := sorted(set(names) - CODECS):
        raise ValueError(f"{place} is coded with {unknown[0]}, which is refused")
    if len(pieces) != len(shape) or min(pieces, default=1) < 1 or min(shape, default=0) < 0:
        raise ValueError(f"{place} has shape {shape} in chunks of {pieces}")
    count = math.prod(-(-whole // piece) for whole, piece in zip(shape, pieces, strict=True))
    piece = math.prod(pieces) * size
    return Stored(file.parent, shape, max(math.prod(shape) * size, piece), count, piece, names[-1] if names else "")


def _codecs(codecs: list[Mapping[str, Any]]) -> Iterator[str]:
    """Names of the codecs of zarr 3, those inside shards too."""
    for codec in codecs:
        yield str(codec["name"])
        settings = codec.get("configuration") or {}
        for inner in ("codecs", "index_codecs"):
            yield from _codecs(settings.get(inner, []))


def _size_of(kind: Any) -> int:  # noqa: ANN401 - whatever the file says
    """Bytes of one value."""
    if isinstance(kind, Mapping):
        settings = kind.get("configuration") or {}
        return int(settings.get("length_bytes", TEXT_BYTES))
    if not isinstance(kind, str):
        raise TypeError(f"type {kind}")
    return TEXT_BYTES if kind in ("|O", "string", "variable_length_utf8") else np.dtype(kind).itemsize


def _check_chunks(array: Stored) -> None:
    """Refuse chunks that would unpack to more than a chunk holds; only what packs most tightly is looked at, and says so itself."""
    if array.packing not in ("zstd", "blosc"):
        return
    for file, _ in _files(array.folder):
        if file.name in MARKS:
            continue
        with file.open("rb") as stream:
            size = unpacked_size(stream.read(18), array.packing)
        if size > max(2 * array.piece, 1 << 16):
            raise ValueError(f"a chunk of {array.folder.name} unpacks to {size} bytes, but its chunks hold {array.piece}")


def unpacked_size(head: bytes, packing: str) -> int:
    """Bytes that a chunk says it unpacks to; 0 when it does not say.

    Args:
        head: Its first 18 bytes.
        packing: ``zstd`` (RFC 8878, section 3.1.1.1) or ``blosc`` (the header of Blosc 1).
    """
    if packing == "blosc":
        return int.from_bytes(head[4:8], "little")
    if head[:4] != b"\x28\xb5\x2f\xfd" or len(head) < 6:
        return 0
    flags, single = head[4] >> 6, bool(head[4] & 32)
    start = 5 + (not single) + (0, 1, 2, 4)[head[4] & 3]
    length = (int(single), 2, 4, 8)[flags]
    return int.from_bytes(head[start : start + length], "little") + (256 if length == 2 else 0)


def values(array: Stored) -> Array:
    """Read an array that has been looked over; text becomes NumPy text.

    Raises:
        ValueError: Its chunks cannot be decoded.
    """
    import zarr

    _check_chunks(array)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that some types of text are not standardised yet
        try:
            given: Any = zarr.open_array(str(array.folder), mode="r")
            read = np.asarray(given[...])
        except Exception as error:  # zarr and its codecs raise a dozen types here
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(f"the array {array.folder.name} cannot be read: {reason}") from error
    if read.dtype.kind not in "biufU":  # text of varying length
        return np.reshape(text_column(list(map(str, read.ravel().tolist())), range(read.size), read.size), read.shape)
    return read if read.dtype.isnative else read.astype(read.dtype.newbyteorder("="))
