"""Whole or not at all: a file is written under a temporary name beside its place and renamed when it is complete."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside a file; what is written there takes its place when the block ends well, else it vanishes.

    Args:
        path: the file that is meant; an older one is replaced.

    Raises:
        OSError: it cannot be written.
    """
    path = Path(path)
    scratch = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield scratch
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
