"""Broken files for every reader: small sound ones, changed by chance, and what reading them does."""

from __future__ import annotations

import resource
import shutil
import signal
import sys
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rich_forests import rich
from zoo import ZOO

from lineage.formats import FORMATS, read
from lineage.formats.known import Format

SECONDS, BYTES = 10, 400 * 2**20  # what reading one small file may take
HOSTILE = (
    b"nan", b"inf", b"-inf", b"NaN", b"Infinity", b"1e999", b"-1e999", b"1000000000", b"-1", b"99999999999999999999999999", b"0", b"1.5",
    b"9223372036854775807", b"-9223372036854775808", b"4294967296", b"0x10", b"\xff\xfe", b"null", b"true", b"[]", b"{}", b'""', b"&amp;",
    b"&lol;", b"<!DOCTYPE x [<!ENTITY a 'b'>]>", b"<", b">", b'"', b"\x00", b"\n", b",", b";", b"(", b")", b"../../../etc/passwd",
)  # fmt: skip
DEEP = ((b"(", b")"), (b"[", b"]"), (b'{"a":', b"}"), (b"<a>", b"</a>"), (b"<g><graph>", b"</graph></g>"))
FOREIGN = {
    "a_spots.csv": "ID,FRAME,POSITION_X,POSITION_Y,POSITION_Z\n4,0,1.5,2,0\n5,1,1,2,0\n6,1,3,2,0\n",
    "a_edges.csv": "SPOT_SOURCE_ID,SPOT_TARGET_ID,LINK_COST\n4,5,0.5\n4,6,0.25\n",
    "track.csv": "frame,track_id,tree_id,y,x\n0,0,0,1.5,2\n1,1,0,1,2\n1,2,0,4,2\n",
    "split.csv": "parent_track_id,child_track_id\n0,1\n0,2\n",
    "btrack.txt": "ID t x y z parent root state generation dummy\n1 0 1.5 2 0 1 1 0 0 False\n1 1 1 2 0 1 1 0 0 False\n",
    "lbep.txt": "1 0 1 0\n2 2 3 1\n3 2 3 1\n",
    "edges.csv": "source_frame,source_label,target_frame,target_label,weight\n0,1,1,1,0.9\n0,1,1,2,0.8\n",
    "trackpy.csv": "particle,frame,y,x\n0,0,1.5,2\n0,1,1,2\n1,0,9,9\n",
}
BESIDE = {"a_spots.csv": ("a_edges.csv",), "track.csv": ("split.csv",)}  # tables that need another one


def samples(folder: Path, real: Path | None = None) -> list[tuple[Format, Path]]:
    """A few sound files or folders of every format that we read.

    Args:
        folder: Where to put them.
        real: Other tools' files, if there are any.
    """
    found = []
    for known in FORMATS:
        for k, forest in enumerate((rich(np.random.default_rng(3), n=14), ZOO["division with a past"], ZOO["three dimensions"])):
            if known.write:
                path = folder / f"{known.key}{k}{known.endings[0] if known.endings else ''}"
                known.write(forest, path)
                found.append((known, path))
    tables = next(known for known in FORMATS if known.key == "tables")
    for name, text in FOREIGN.items():
        (folder / name).write_text(text)
        if (name,) not in BESIDE.values():
            found.append((tables, folder / name))
    found += _btrack(folder)
    if real is not None:
        by_key = {known.key: known for known in FORMATS}
        found.append((by_key["trackmate"], real / "trackmate" / "trackmate_tracks_with_splitting.xml"))
        found.append((by_key["mastodon-project"], real / "mastodon" / "tgmm-mini.mastodon"))
    return found


def _btrack(folder: Path) -> list[tuple[Format, Path]]:
    try:
        import h5py
    except ImportError:
        return []
    path = folder / "btrack.h5"
    with h5py.File(path, "w") as file:
        file["objects/obj_type_1/coords"] = np.array([[0, 1.5, 2, 0], [1, 1, 2, 0], [1, 5, 2, 0]])
        file["tracks/obj_type_1/tracks"] = np.array([[0], [1], [2]])
        file["tracks/obj_type_1/map"] = np.array([[0, 1], [1, 2], [2, 3]])
        file["tracks/obj_type_1/LBEPR"] = np.array([[1, 0, 0, 1, 1, 0], [2, 1, 1, 1, 1, 1], [3, 1, 1, 1, 1, 1]])
    return [(next(known for known in FORMATS if known.key == "btrack"), path)]


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """The bytes, changed in one to three ways."""
    for _ in range(int(rng.integers(1, 4))):
        data = _changed(data, rng)
    return data


def _changed(data: bytes, rng: np.random.Generator) -> bytes:
    a, b, c = sorted(int(k) for k in rng.integers(0, len(data) + 1, 3))
    match int(rng.integers(0, 9)):
        case 0:  # flipped bits
            flipped = np.frombuffer(data, np.uint8).copy()
            if len(flipped):
                flipped[rng.integers(0, len(flipped), int(rng.integers(1, 9)))] ^= np.uint8(1 << rng.integers(0, 8))
            return flipped.tobytes()
        case 1:  # cut off
            return data[:b]
        case 2:  # a piece left out
            return data[:a] + data[min(b, a + 40) :]
        case 3:  # a piece twice
            piece = data[a : min(b, a + 2000)]
            return data[:b] + piece * int(rng.integers(1, 4)) + data[b:]
        case 4:  # two pieces swapped
            return data[:a] + data[b:c] + data[a:b] + data[c:]
        case 5 | 6:  # a number replaced
            return _renumbered(data, rng)
        case 7:  # something hostile put in
            return data[:b] + HOSTILE[rng.integers(0, len(HOSTILE))] + data[b:]
        case _:  # nested deeply
            begin, end = DEEP[rng.integers(0, len(DEEP))]
            depth = int(10 ** rng.uniform(1, 4.5))
            return data[:b] + begin * depth + end * depth + data[b:]


def _renumbered(data: bytes, rng: np.random.Generator) -> bytes:
    """One of the numbers of a text replaced by a hostile one."""
    if not data:
        return data
    start = int(rng.integers(0, len(data)))
    while start < len(data) and not data[start : start + 1].isdigit():
        start += 1
    end = start
    while end < len(data) and data[end : end + 1] in b"0123456789.-+e":
        end += 1
    return data[:start] + HOSTILE[rng.integers(0, len(HOSTILE))] + data[end:]


def broken(path: Path, target: Path, rng: np.random.Generator) -> None:
    """A changed copy of a file, or of a folder with one file changed; of a zip archive, a part may be changed and packed again."""
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file():
                copy = target / file.relative_to(path)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(file.read_bytes())
        files = sorted(file for file in target.rglob("*") if file.is_file())
        chosen = files[rng.integers(0, len(files))]
        chosen.write_bytes(mutated(chosen.read_bytes(), rng))
        return
    if zipfile.is_zipfile(path) and rng.random() < 0.7:
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as copy:
            names = archive.namelist()
            chosen = names[rng.integers(0, len(names))]
            for name in names:
                copy.writestr(name, mutated(archive.read(name), rng) if name == chosen else archive.read(name))
        return
    target.write_bytes(mutated(path.read_bytes(), rng))


def fuzz(sound: Sequence[tuple[Format, Path]], place: Path, seeds: Iterable[int]) -> Iterator[tuple[str, int, str]]:
    """Break sound files by chance and read them; give the format, the seed and the complaint where something is wrong.

    Args:
        sound: As from ``samples``.
        place: Folder for the broken ones.
        seeds: One a file.
    """
    for seed in seeds:
        rng = np.random.default_rng([0, seed])
        known, path = sound[rng.integers(0, len(sound))]
        folder = place / "broken"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name in BESIDE.get(path.name, ()):
            shutil.copy(path.with_name(name), folder / name)
        broken(path, folder / path.name, rng)
        if said := complaint(folder / path.name, known.key if rng.random() < 0.6 else ""):
            yield known.key, seed, said


@contextmanager
def _limited(seconds: int):
    """Stop what takes too long."""

    def stop(*_):
        raise TimeoutError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def complaint(path: Path, key: str = "") -> str:
    """What is wrong with how a file was read: nothing, when it was read, or refused in one line, in bounded time and memory."""
    before = _peak()
    try:
        with _limited(SECONDS), warnings.catch_warnings():
            warnings.simplefilter("error")
            read(path, format=key)
    except TimeoutError as error:
        return f"TimeoutError: {error}"
    except (ValueError, OSError) as error:
        text = str(error)
        if isinstance(error, UnicodeError) or not text or "\n" in text or len(text) > 2000:
            return f"{type(error).__name__} of {len(text)} characters: {text[:300]!r}"
        if str(path) not in text and str(path.parent) not in text:
            return f"{type(error).__name__} that does not name the file: {text[:300]}"
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:300]}"
    return f"{(_peak() - before) / 2**20:.0f} MB" if _peak() - before > BYTES else ""


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
