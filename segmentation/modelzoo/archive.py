"""Packages of others are opened with care: nothing is unpacked, nothing leaves the folder, nothing swells without bound."""

import hashlib
import stat
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from segmentation.whole import whole_file

MOST_FILES = 1000
MOST_BYTES = 4 * 1024**3  # of all files together, unpacked
DESCRIPTIONS = ("rdf.yaml", "bioimageio.yaml", "model.yaml")


@dataclass(frozen=True)
class Package:
    """The files of a model package, a zip archive or a folder; each is read only when it is asked for.

    Args:
        path: of the package, for messages.
        files: what reads each file, by its name inside the package.
    """

    path: Path
    files: Mapping[str, Callable[[], bytes]]

    @property
    def description(self) -> str:
        """The name of the file that describes the model."""
        for name in self.files:
            if name in DESCRIPTIONS or name.endswith(".bioimageio.yaml"):
                return name
        raise ValueError(f"{self.path} is no model package: it holds no {DESCRIPTIONS[0]}")

    def read(self, name: str, sha256: str | None = None) -> bytes:
        """Give the content of one file, refused when it is not the one that was described.

        Args:
            name: path inside the package.
            sha256: what its bytes must hash to; None: not said.

        Raises:
            ValueError: no such file, damaged, or other content than described.
        """
        plain = str(PurePosixPath(name))
        if plain not in self.files:
            raise ValueError(f"{self.path} lacks the file {name}: the package is not complete")
        try:
            content = self.files[plain]()
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise ValueError(f"{self.path}: file {name} is damaged: {' '.join(str(error).split())[:120]}") from None
        found = hashlib.sha256(content).hexdigest()
        if sha256 is not None and found != str(sha256).lower():
            raise ValueError(f"{self.path}: file {name} was changed: its sha256 is {found[:12]}..., described is {str(sha256)[:12]}...")
        return content


def open_package(path: str | Path) -> Package:
    """Look into a package without unpacking it.

    Args:
        path: a zip archive, a folder, or the rdf.yaml inside a folder.

    Raises:
        ValueError: no package, or one with links, with names that leave it, with too many files or too many bytes.
    """
    path = Path(path)
    if path.name in DESCRIPTIONS and path.is_file():
        path = path.parent
    if path.is_dir():
        return Package(path, _files_of_folder(path))
    if not path.is_file():
        raise ValueError(f"{path} is neither a file nor a folder: give a model package, a zip archive or a folder with {DESCRIPTIONS[0]}")
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as a zip archive: {' '.join(str(error).split())[:120]}") from None
    _check_size(path, [member.file_size for member in members])
    files: dict[str, Callable[[], bytes]] = {}
    for member in members:
        name = member.filename
        _check_name(path, name)
        if stat.S_ISLNK(member.external_attr >> 16):
            raise ValueError(f"{path}: {name} is a link: give a package of plain files")
        if str(PurePosixPath(name)) in files:
            raise ValueError(f"{path}: {name} is there twice: the package is ambiguous")
        files[str(PurePosixPath(name))] = partial(_member, path, member)
    return Package(path, files)


def write_archive(path: str | Path, files: Mapping[str, bytes]) -> None:
    """Write a zip archive; it appears only when complete, and equal files give equal archives.

    Args:
        path: archive to write.
        files: content by name inside the archive.
    """
    with whole_file(path) as scratch, zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = 0o644 << 16
            archive.writestr(member, content)


def _member(path: Path, member: zipfile.ZipInfo) -> bytes:
    """Read one member, never more than the archive said that it holds."""
    with zipfile.ZipFile(path) as archive, archive.open(member) as file:
        return file.read(member.file_size)


def _files_of_folder(folder: Path) -> dict[str, Callable[[], bytes]]:
    files: dict[str, Callable[[], bytes]] = {}
    sizes = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise ValueError(f"{folder}: {path.relative_to(folder).as_posix()} is a link: give a package of plain files")
        if path.is_file():
            files[path.relative_to(folder).as_posix()] = path.read_bytes
            sizes.append(path.stat().st_size)
            if len(sizes) > MOST_FILES:
                break
    _check_size(folder, sizes)
    return files


def _check_name(path: Path, name: str) -> None:
    parts = PurePosixPath(name).parts
    if "\\" in name or ":" in name or "\0" in name or name.startswith("/") or ".." in parts or not parts:
        raise ValueError(f"{path}: the name {name!r} leaves the package: such an archive is not opened")


def _check_size(path: Path, sizes: list[int]) -> None:
    if len(sizes) > MOST_FILES:
        raise ValueError(f"{path} holds more than {MOST_FILES} files: that is no model package")
    if sum(sizes) > MOST_BYTES:
        raise ValueError(f"{path} holds {sum(sizes) / 1024**3:.1f} GiB unpacked: at most {MOST_BYTES / 1024**3:.0f} GiB are read")
