"""Whole or not at all: outputs are written under a temporary name beside their place and renamed when complete."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def new_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; what is written there takes its place when the block ends well.

    Args:
        path: The file that is meant; an older one is replaced.

    Raises:
        FileNotFoundError: Its folder does not exist.
        OSError: It cannot be written; one line that names it.
    """
    path = Path(path)
    _check_folder(path)
    if path.is_dir():
        raise IsADirectoryError(f"cannot write {path}: it is a folder")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with _one_line(path, temporary):
            yield temporary
            temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: str | Path, ours: Callable[[str], bool], *, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary folder beside ``path`` that takes its place when the block ends well.

    Args:
        path: The folder that is meant.
        ours: Whether a file of that name belongs to such a folder. Files that do are replaced.
        overwrite: Accept a folder that holds other files; they are kept.

    Raises:
        FileExistsError: The folder holds other files and ``overwrite`` is not set, or a file has that name.
        OSError: It cannot be written; one line that names it.
    """
    path = Path(path)
    _check_folder(path)
    others = _others(path, ours, overwrite=overwrite)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with _one_line(path, temporary):
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            yield temporary
            _swap(temporary, path, others)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _others(path: Path, ours: Callable[[str], bool], *, overwrite: bool) -> list[str]:
    if not path.exists():
        return []
    if not path.is_dir():
        raise FileExistsError(f"cannot write the folder {path}: a file has this name")
    names = sorted(entry.name for entry in path.iterdir())
    others = [name for name in names if not ours(name)]
    if others and not overwrite:
        raise FileExistsError(f"{path} holds other files ({others[0]}): choose another folder, or overwrite=True to write into it")
    return others


def _swap(temporary: Path, path: Path, others: list[str]) -> None:
    """Put the new folder in the place of the old one; a folder cannot be replaced in one step, so the old one steps aside."""
    if not path.exists():
        temporary.rename(path)
        return
    aside = path.with_name(f".{path.name}.{os.getpid()}.old")
    path.rename(aside)
    try:
        temporary.rename(path)
    except OSError:
        aside.rename(path)
        raise
    for name in others:
        (aside / name).rename(path / name)
    shutil.rmtree(aside)


def _check_folder(path: Path) -> None:
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: the folder {path.parent} does not exist")


@contextmanager
def _one_line(path: Path, temporary: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno is None:  # one of ours, or a library's: it says enough, but may say it of a name that nobody knows
            if (said := str(error)) == (meant := said.replace(str(temporary), str(path))):
                raise
            raise type(error)(meant) from error
        raise type(error)(f"cannot write {path}: {error.strerror}") from error
