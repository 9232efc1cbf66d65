"""Holding: a folder of pieces that one run at a time works in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCK = "lock"


@contextmanager
def held(folder: str | Path) -> Iterator[Path]:
    """Keep a folder for this run while the block lasts; it is made if it is not there.

    A run that dies lets go of it, however it dies.

    Raises:
        BlockingIOError: Another run works in it.
        OSError: It cannot be made or written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / _LOCK).open("a")
    except OSError as error:
        raise type(error)(f"cannot write into {folder}: {error.strerror}") from error
    with lock:
        if os.name == "posix":
            import fcntl

            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BlockingIOError(f"another run is working in {folder}: wait for it, or choose another folder") from None
        yield folder
