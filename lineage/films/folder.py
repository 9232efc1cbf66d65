"""Folders of TIFFs, one file a frame, and the sequence folders of the Cell Tracking Challenge."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from lineage.arrays import Array

from .opened import OpenedFilm, Place
from .tiff import open_tiff

TIFF = (".tif", ".tiff")
CTC_MASKS = re.compile(r"(mask|man_track|man_seg)(\d+)\.tif")
CTC_SLICE = re.compile(r"man_seg_(\d+)_(\d+)\.tif")


def tiff_files(folder: Path) -> list[Path]:
    """The TIFFs in a folder, hidden ones left out, by name."""
    return sorted(f for f in folder.iterdir() if f.suffix.lower() in TIFF and not f.name.startswith(".") and f.is_file())


def truth_folder(folder: Path) -> Path:
    """The folder with the masks: TRA (or SEG) inside ``01_GT``, SEG inside ``01_ST``; any other folder is itself."""
    if not tiff_files(folder):
        order = ("SEG", "TRA") if folder.name.endswith("_ST") else ("TRA", "SEG")
        for inside in order:
            if (folder / inside).is_dir():
                return folder / inside
    return folder


def open_folder(folder: Path, *, sparse: bool = False, channel: int | None = None) -> OpenedFilm:
    """A folder of TIFFs as a film, in the order of the numbers in their names.

    Args:
        folder: One file a frame, each (Y, X) or (Z, Y, X). ``01_GT`` and ``01_ST`` stand for TRA and SEG inside.
        sparse: Accept missing numbers; the film then has only the frames that are there, and ``numbers`` says which.
        channel: Which channel to take where there are several.

    Raises:
        FileNotFoundError: No TIFF in it, or a number is missing.
        ValueError: Names that do not follow one pattern, frames of different shape or type.
    """
    folder = truth_folder(folder)
    files = tiff_files(folder)
    if not files:
        raise FileNotFoundError(_nothing(folder))
    numbered = _numbered(folder, files)
    if not sparse:
        _check_complete(folder, numbered)
    return _film(folder, numbered, channel)


def _nothing(folder: Path) -> str:
    inside = sorted(f.name for f in folder.iterdir() if f.is_dir())
    hint = f"; it holds the folders {', '.join(inside[:6])}: name one of them" if inside else ""
    return f"no TIFF in the folder {folder}{hint}"


def _numbered(folder: Path, files: list[Path]) -> dict[int, Path]:
    """Files by frame number: the one number in the names that varies."""
    parts = [re.split(r"(\d+)", re.sub(r"(\.ome)?\.tiff?$", "", f.name, flags=re.IGNORECASE)) for f in files]
    for file, part in zip(files, parts, strict=True):
        if CTC_SLICE.fullmatch(file.name):
            raise ValueError(f"{file} is one slice of a 3D truth: only whole frames make a film")
        if part[::2] != parts[0][::2]:
            raise ValueError(f"{file} is not named like {files[0].name}: a film folder holds the frames of one film only")
    values = np.array([[int(number) for number in part[1::2]] for part in parts], dtype=object).reshape(len(files), -1)
    vary = [k for k in range(values.shape[1]) if len(set(values[:, k])) > 1] or list(range(values.shape[1]))[-1:]
    if len(vary) > 1 or (len(files) > 1 and not vary):
        raise ValueError(f"{folder}: more than one number varies in the names {files[0].name} ... {files[-1].name}")
    numbers = values[:, vary[0]].tolist() if vary else [0]
    numbered: dict[int, Path] = {}
    for number, file in sorted(zip(numbers, files, strict=True)):
        if number in numbered:
            raise ValueError(f"{folder}: {numbered[number].name} and {file.name} both are frame {number}")
        numbered[number] = file
    return numbered


def _check_complete(folder: Path, numbered: dict[int, Path]) -> None:
    numbers = list(numbered)
    start = 0 if CTC_MASKS.fullmatch(numbered[numbers[0]].name) else numbers[0]
    missing = next((k for k in range(start, numbers[-1]) if k not in numbered), None)
    if missing is not None:
        truth = "; a sparse truth opens with sparse=True" if CTC_MASKS.fullmatch(numbered[numbers[0]].name) else ""
        found = f"{numbered[numbers[0]].name} to {numbered[numbers[-1]].name}"
        raise FileNotFoundError(f"{folder}: frame {missing} is missing in {found}{truth}")


def _film(folder: Path, numbered: dict[int, Path], channel: int | None) -> OpenedFilm:
    files = list(numbered.values())
    first = open_tiff(files[0], channel=channel, one_frame=True)
    shape = first.shape[1:]
    for file in files[1:]:
        frame = open_tiff(file, channel=channel, one_frame=True, probe=False)
        if frame.shape[1:] != shape:
            raise ValueError(f"{file} has shape {frame.shape[1:]}, but {files[0].name} has {shape}")
        if frame.dtype != first.dtype:
            raise ValueError(f"{file} holds {frame.dtype}, but {files[0].name} holds {first.dtype}")
    if first.shape[0] != 1:
        raise ValueError(f"{files[0]} holds {first.shape[0]} frames, but in a folder each file is one frame")

    def read(t: int, place: Place) -> Array:
        return open_tiff(files[t], channel=channel, one_frame=True, probe=False).read(0, place)

    film = OpenedFilm((len(files), *shape), first.dtype, read, first.scale, first.interval, folder, tuple(numbered))
    return replace(film, sources=lambda t: (files[t],))
