"""Tables as text: columns written as CSV in full precision, tables of any separator read, headers looked at without reading on."""

from __future__ import annotations

import gzip
import io
import re
import warnings
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from lineage.arrays import Array
from lineage.films.atomic import new_file

if TYPE_CHECKING:
    import pandas as pd

Table = Mapping[str, "pd.Series[Any]"]

CHUNK = 4096  # rows a write
GLANCE = 16_384  # bytes that are looked at to recognise a table
TYPE = re.compile(r"\|b1|\|[iu]1|[<>=][iu][248]|[<>=]f(2|4|8|12|16)|[<>=]U\d{0,9}|\|O")
SPECIAL = re.compile(r'[",\r\n]|^\s|\s$')
EMPTY = ("", "nan", "NaN")
SMALL, SQUEEZED = 2**24, 200  # bytes, and times smaller than its text: no honest gzipped table is
PREFIX = "cell_"


def write_columns(columns: Mapping[str, Array], path: str | Path) -> None:
    """Write columns as CSV, a header first, numbers in full precision, NaN as nothing; an ending ``.gz`` compresses.

    Args:
        columns: Arrays of as many values as there are rows; int, float, bool or text.
        path: The file; it appears when it is complete.
    """
    n = len(next(iter(columns.values()), ()))
    write_blocks(({name: array[start : start + CHUNK] for name, array in columns.items()} for start in range(0, max(n, 1), CHUNK)), path)


def write_blocks(blocks: Iterable[Mapping[str, Array]], path: str | Path) -> None:
    """Write a table as ``write_columns`` does, some rows at a time.

    Args:
        blocks: The same columns in each; at least one, whose names are the header.
        path: The file; it appears when it is complete.
    """
    with new_file(path) as temporary, temporary.open("wb") as raw:
        file: Any = gzip.GzipFile("", "wb", 5, raw, mtime=0) if str(path).endswith(".gz") else raw
        with file:
            for k, block in enumerate(blocks):
                if k == 0:
                    file.write((",".join(quoted(list(block))) + "\n").encode("utf-8", "replace"))
                rows = zip(*map(texts, block.values()), strict=True)
                file.write("".join(f"{','.join(row)}\n" for row in rows).encode("utf-8", "replace"))


def texts(column: Array) -> list[str]:
    """Values as they stand in a CSV, floats in full precision, NaN as nothing."""
    if column.dtype.kind == "f":
        return ["" if value != value else repr(value) for value in column.astype(float).tolist()]
    if column.dtype.kind in "iub":
        return list(map(str, column.tolist()))
    return quoted(["" if value is None or value != value else str(value) for value in column.tolist()])


def quoted(words: Sequence[str]) -> list[str]:
    """Texts with quotation marks where a CSV needs them."""
    double = '""'
    return ['"' + word.replace('"', double) + '"' if SPECIAL.search(word) else word for word in words]


def words(texts: Sequence[str]) -> Array:
    """Texts as a column; where one is far longer than the others, rows are not made as long as it is."""
    longest = max(map(len, texts), default=1) or 1
    wide = len(texts) * longest > 4 * (sum(map(len, texts)) + 16 * len(texts))
    return np.array(texts, dtype=object if wide else f"U{longest}")


def load(
    path: str | Path,
    *,
    separator: str = ",",
    skip: Sequence[int] = (),
    as_text: Sequence[str] = (),
    names: Sequence[str] | None = None,
) -> Table:
    """Read a table as columns, plain or gzipped.

    Args:
        path: The file.
        separator: Between the values of a row; a space stands for any number of spaces and tabs.
        skip: Numbers of lines to leave out, the header being line 0.
        as_text: Columns that are not turned into numbers.
        names: Names of the columns, in place of those of the header.

    Raises:
        FileNotFoundError: No such file.
        ValueError: It is no table.
    """
    import pandas as pd

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such table: {path}")
    older = tuple(int(number) for number in pd.__version__.split(".")[:2]) < (3, 1)
    exact: Any = {"float_precision": "round_trip"} if older else {}  # from pandas 3.1 on, the only way there is
    options: dict[str, Any] = exact | {
        "sep": r"\s+" if separator == " " else separator,
        "names": names,
        "skiprows": list(skip),
        "dtype": dict.fromkeys(as_text, str),
        "na_values": list(EMPTY),
    }
    fixed: dict[str, Any] = {"header": 0, "index_col": False, "skipinitialspace": True, "keep_default_na": False, "low_memory": False}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header would be cut
            frame: pd.DataFrame = pd.read_csv(_content(path), encoding="utf-8-sig", **fixed, **options)
    except pd.errors.ParserWarning as error:
        raise ValueError(f"{path} is no readable table: rows have more values than the header has names") from error
    except (ValueError, EOFError, OSError, zlib.error, OverflowError) as error:  # pandas' own errors are ValueErrors
        raise ValueError(f"{path} is no readable table: {' '.join(str(error).split())}") from error
    return {str(name).strip(): frame[name] for name in frame}


def _content(path: Path) -> Path | IO[bytes]:
    """What to read: the file itself, or the content of a gzipped one, which is no bomb.

    Raises:
        ValueError: It unpacks to far more than a table does, or is damaged.
    """
    if not path.name.endswith(".gz"):
        return path
    most = SMALL + SQUEEZED * path.stat().st_size
    with gzip.open(path, "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it unpacks to more than {most} bytes, which is not believed of a file of {path.stat().st_size}")
    return io.BytesIO(content)


def glance(path: str | Path) -> list[str]:
    """The first lines of a text file, whole ones only; none when it is no text. At most some kilobytes are read."""
    path = Path(path)
    try:
        with gzip.open(path, "rb") if path.name.endswith(".gz") else path.open("rb") as file:
            start = file.read(GLANCE)
        text = start.decode("utf-8-sig", "strict" if len(start) < GLANCE else "ignore")
    except (OSError, EOFError, ValueError, zlib.error):
        return []
    lines = text.splitlines()
    return lines if len(start) < GLANCE else lines[:-1]


def header(path: str | Path) -> tuple[list[str], str]:
    """The names of the columns of a table and what separates them: comma, semicolon, tab or space; no names when it is none."""
    lines = glance(path)
    if not lines or "\x00" in lines[0]:
        return [], ","
    separator = next((mark for mark in ",;\t " if mark in lines[0].strip()), ",")
    return [name.strip().strip('"') for name in (lines[0].split() if separator == " " else lines[0].split(separator))], separator


def dtype_of(said: object, name: str) -> np.dtype[Any]:
    """The type of a column that a file names, such as ``<f8``; texts may be of any length.

    Raises:
        ValueError: None of those that we write: whole and real numbers, truth values, texts.
    """
    if not isinstance(said, str) or not TYPE.fullmatch(said):
        raise ValueError(f"the column {name} is of type {str(said)[:20]!r}, which is nothing that we write")
    return np.dtype("U") if said[-1] == "O" or "U" in said else np.dtype(said)


def shielded(name: str, kept: Collection[str]) -> str:
    """The name of a column in a file that keeps some names (in small letters) for itself: those get a prefix."""
    return PREFIX + name if name.lower().replace(PREFIX, "") in kept else name


def unshielded(name: str, kept: Collection[str]) -> str:
    """The column that ``shielded`` gave this name."""
    return name.removeprefix(PREFIX) if name.lower().replace(PREFIX, "") in kept else name
