"""Store: pieces of work on disk, each written once, whole or not at all, with a note of what it was made from."""

from __future__ import annotations

import json
import os
import shutil
import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lineage.arrays import Array

from .digest import digest_of_columns

_NOTE = "note.json"
_PARTIAL = ".partial"


@dataclass(frozen=True)
class Note:
    """What is known of a piece without reading it.

    Attributes:
        key: Digest of everything that it was made from and by.
        digest: Digest of what is in it.
        facts: Whatever its maker wants to say, JSON-able.
    """

    key: str
    digest: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Store:
    """A folder of pieces: columns by name, in one NumPy archive a piece, each with its checksum.

    A piece appears under its name when it is complete, by renaming: whatever dies while it is written, there is the whole piece or none,
    and several processes may make the same piece at the same time. Nothing else keeps books.

    Attributes:
        folder: Where the pieces are; they may have folders of their own in it (``frames/000017``).
    """

    folder: Path

    def path(self, name: str) -> Path:
        """Where a piece lies."""
        return self.folder / f"{name}.npz"

    def note(self, name: str) -> Note | None:
        """What a piece was made from and what it holds; None when there is no such piece.

        Raises:
            ValueError: The piece is damaged; the message names the file.
        """
        if not self.path(name).is_file():
            return None
        try:
            with self.path(name).open("rb") as file, zipfile.ZipFile(file) as archive:
                return Note(**json.loads(archive.read(_NOTE)))
        except FileNotFoundError:  # taken back by another process just now
            return None
        except (zipfile.BadZipFile, KeyError, TypeError, ValueError, EOFError) as error:
            raise self._damaged(name, error) from None

    def known(self, name: str, key: str) -> Note | None:
        """What a piece holds, if it is there and was made from just this.

        Raises:
            ValueError: The piece is damaged; the message names the file.
        """
        note = self.note(name)
        return note if note is not None and note.key == key else None

    def read(self, name: str) -> dict[str, Array]:
        """The columns of a piece; every checksum is looked at.

        Raises:
            FileNotFoundError: There is no such piece.
            ValueError: It is damaged; the message names the file.
        """
        try:
            with self.path(name).open("rb") as file, zipfile.ZipFile(file) as archive:
                note = Note(**json.loads(archive.read(_NOTE)))
                columns = {member.removesuffix(".npy"): _array(archive, member) for member in archive.namelist() if member != _NOTE}
        except FileNotFoundError:
            raise FileNotFoundError(f"{self.path(name)} is gone: run the same command again") from None
        except (zipfile.BadZipFile, KeyError, TypeError, ValueError, EOFError) as error:
            raise self._damaged(name, error) from None
        if digest_of_columns(columns) != note.digest:
            raise self._damaged(name, ValueError("its checksum is wrong"))
        return columns

    def write(self, name: str, key: str, columns: Mapping[str, Array], facts: Mapping[str, Any] | None = None) -> Note:
        """Write a piece; an older one of that name is replaced.

        Raises:
            OSError: It cannot be written; one line that names it. What was there before is left as it was.
        """
        note = Note(key, digest_of_columns(columns), dict(facts or {}))
        path = self.path(name)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}{_PARTIAL}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as stream:
                with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
                    archive.writestr(zipfile.ZipInfo(_NOTE), json.dumps(vars(note)))
                    for column, values in columns.items():
                        with archive.open(zipfile.ZipInfo(f"{column}.npy"), "w", force_zip64=True) as member:
                            np.lib.format.write_array(member, np.asarray(values), allow_pickle=False)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise type(error)(f"cannot write {path}: {error.strerror or error}") from error
        return note

    def drop(self, name: str) -> None:
        """Take a piece back, because something that belongs to it is about to change."""
        self.path(name).unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what writers that died have left."""
        for left in [*self.folder.rglob(f".*{_PARTIAL}")]:
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)

    def _damaged(self, name: str, error: Exception) -> ValueError:
        said = " ".join(str(error).split()) or type(error).__name__
        return ValueError(f"{self.path(name)} is damaged ({said}): delete it and run the same command again, only this piece is made anew")


def _array(archive: zipfile.ZipFile, member: str) -> Array:
    with archive.open(member) as file:
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
