"""Splitting: which labelled pictures are learned from, which choose, and which are only judged."""

import hashlib
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from segmentation.decoders.interface import Decoder
from segmentation.normalise import check_finite
from segmentation.patches import Pair, check_pair
from segmentation.sources import Files, Film, find_pairs

LOOKED_AT = 48  # blocks of large frames for validation, and so many for the test
WORDS = "a share such as 0.2, every n-th picture such as 5, or a folder"


@dataclass(frozen=True)
class Split:
    """Which pictures of one folder are for what.

    Args:
        name: the last two parts of the path of the folder.
        train: pictures to learn from.
        validation: pictures that choose checkpoint and thresholds.
        test: pictures that nothing was chosen on; only used for the report.
    """

    name: str
    train: Files | Film
    validation: Files | Film
    test: Files | Film


def split(folder: str | Path, validation: float | int | None = None, *, gold: bool = False) -> Split:
    """Split a folder for training.

    Args:
        folder: see `segmentation.sources.find_pairs`.
        validation: which pictures are for validation.
            None, for pictures with names (`images/ + labels/`): those for which int(sha1(name), 16) % 10 is 2 or 3; for a
            film: the first half in time is for training, every tenth frame of it for validation, and the second half for the test.
            A share below 1: so many pictures by the hash of their names, so that one stays where it is when others come or go;
            of a film the last frames, since neighbours are too much alike. 0: none.
            A whole number n of at least 2: every n-th picture.
            Of frames in blocks (see `segmentation.sources.Film`) each block is a picture; at most `LOOKED_AT` with cells validate,
            and so many for the test.
        gold: learn from gold cells where a Challenge sequence has them beside silver ones; the other parts stay as they are.

    Raises:
        ValueError: nothing is left to learn from, or no such way to split.
    """
    files = find_pairs(folder)
    rows, film = range(len(files)), isinstance(files, Film) or not (Path(folder) / "images").is_dir()
    early = [i for i in rows if validation is not None or i < (len(files) + 1) // 2 or not film]
    held = [i for i in early if _held(i, files, validation, film=film)]
    learn = [i for i in early if i not in set(held)]
    if not learn:
        raise ValueError(f"{folder} leaves no picture to learn from: {len(files)} pictures are too few")
    late = [i for i in rows if i not in set(early)]
    taught = find_pairs(folder, gold=True) if gold else files
    return Split("/".join(Path(folder).resolve().parts[-2:]), taught.only(learn), _some(files.only(held)), _some(files.only(late)))


def _some(files: Files | Film) -> Files | Film:
    """As many as can be judged in reasonable time: of a film in blocks, a few dozen from everywhere that hold cells.

    Of a block without any nothing is to be judged: brought to its range by itself, the noise in it looks like cells.
    """
    if not isinstance(files, Film) or len(files.blocks) == 1:
        return files
    order = np.random.default_rng(0).permutation(len(files))[: 10 * LOOKED_AT].tolist()
    some = itertools.islice((row for row in order if (files.labelled(row) > 0).any()), LOOKED_AT)
    return files.only(sorted(some) or sorted(order[:LOOKED_AT]))


def judged_later(parts: Sequence[Split], decoder: Decoder, channels: int) -> list[Pair]:
    """The pictures for validation; what is wrong with one of them, or with one of the test, is said now and not when all is trained.

    Args:
        parts: splits of folders.
        decoder: method to find the cells; may have a `check` of labels.
        channels: how many channels a picture must have.

    Raises:
        ValueError: pixels that are NaN or infinite, or labels that do not fit; names the file or frame.
    """
    pictures: list[Pair] = []
    for files, kept in [*((part.validation, pictures) for part in parts), *((part.test, None) for part in parts)]:
        for row in range(len(files)):
            (image, labels), where = files[row], files.place(row)
            check_pair(image, labels, where=where, channels=channels, check=getattr(decoder, "check", None))
            try:
                check_finite(image)
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from None
            if kept is not None:
                kept.append((image, labels))
    return pictures


def parts_of(folders: Sequence[str | Path], validation: str | float | None, *, gold: bool = False, binary: bool = False) -> list[Split]:
    """Split all folders; pictures of a folder for validation alone are those of the first.

    Args:
        folders: labelled pictures, see `split`.
        validation: see `split`; or the path of a folder with pictures for validation alone.
        gold: see `split`.
        binary: whatever is labelled is of one class, see `Files`.

    Raises:
        ValueError: a folder that cannot be learned from, or no such way to split.
    """
    parts = _parts(folders, validation, gold=gold)
    if not binary:
        return parts
    kinds = ("train", "validation", "test")
    return [replace(part, **{kind: replace(getattr(part, kind), binary=True) for kind in kinds}) for part in parts]


def _parts(folders: Sequence[str | Path], validation: str | float | None, *, gold: bool) -> list[Split]:
    """All folders split; pictures of a folder for validation alone are those of the first."""
    try:
        share = None if validation is None else float(validation)
    except ValueError:
        if not Path(str(validation)).exists():
            raise ValueError(f"validation is {validation}: give {WORDS}") from None
        first, *more = [split(folder, 0.0, gold=gold) for folder in folders]
        return [replace(first, validation=_some(find_pairs(str(validation)))), *more]
    return [split(folder, share, gold=gold) for folder in folders]


def _held(row: int, files: Files | Film, validation: float | int | None, *, film: bool) -> bool:
    """Whether a picture is for validation."""
    name = files.names[row]
    if validation is None:
        return row % 10 == 5 if film else _hash(name) % 10 in (2, 3)
    if 0 <= validation < 1:
        return row >= round(len(files) * (1 - validation)) if film else _hash(name) % 1000 < 1000 * validation
    if not math.isfinite(validation) or validation < 2 or validation != int(validation):
        raise ValueError(f"validation is {validation}: give {WORDS}")
    return row % int(validation) == int(validation) - 1


def _hash(name: str) -> int:
    """A number that depends on the name alone."""
    return int(hashlib.sha1(name.encode()).hexdigest(), 16)
