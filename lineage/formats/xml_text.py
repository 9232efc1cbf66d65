"""XML as text: values that may stand in attributes and elements, and a parser that expands nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape

from lineage.arrays import Array

ENTITIES = {'"': "&quot;", "\n": "&#10;", "\t": "&#9;", "\r": "&#13;"}
NO_XML = dict.fromkeys((*range(9), 11, 12, *range(14, 32), *range(55296, 57344), 65534, 65535), "�")
HEAD = 4096  # bytes that tell one XML format from another
PIECE = 2**20  # bytes that are parsed at a time, at least


def quoted(texts: Sequence[str]) -> list[str]:
    """Texts as they may stand between quotes or tags; characters that XML cannot hold are replaced."""
    return [escape(text.translate(NO_XML), ENTITIES) for text in texts]


def texts(column: Array, real: Callable[[float], str | None]) -> Sequence[str | None]:
    """The values of a column as XML text; None where there is none.

    Args:
        column: Values; (n,).
        real: How a floating-point number is written, None for NaN.
    """
    if column.dtype.kind == "b":
        return ["true" if value else "false" for value in column.tolist()]
    if column.dtype.kind in "iu":
        return [str(value) for value in column.tolist()]
    if column.dtype.kind == "f":
        return [real(value) for value in column.astype(float).tolist()]
    return quoted(["" if value is None else str(value) for value in column.tolist()])


def java(value: float) -> str | None:
    """A number as Java reads it, in full precision; None for NaN."""
    if value != value:
        return None
    return repr(value) if abs(value) != float("inf") else "Infinity" if value > 0 else "-Infinity"


def parse(
    path: Path,
    start: Callable[[str, dict[str, str]], None],
    end: Callable[[str], None] | None = None,
    text: Callable[[str], None] | None = None,
) -> None:
    """Read an XML file once, from its begin to its end, and hand over what its elements say.

    Args:
        path: The file.
        start: Gets the name and the attributes of every element.
        end: Gets its name when it ends.
        text: Gets the text between tags, in pieces.

    Raises:
        ValueError: It declares a document type or entities, which are refused.
        expat.ExpatError: It is not well-formed.
    """
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    with path.open("rb") as file:  # in growing pieces: older parsers look at a long attribute again with every piece
        while piece := file.read(max(PIECE, file.tell() // 4)):
            parser.Parse(piece, False)
    parser.Parse(b"", True)


def _refuse(*_: Any) -> None:  # noqa: ANN401 - expat passes what it likes
    raise ValueError("it declares a document type or entities, which are refused")


@contextmanager
def readable(path: Path, what: str) -> Iterator[None]:
    """Turn whatever goes wrong while a file is read into one line that names it.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Anything else.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{path}: an element lacks the attribute {error}") from error
    except (ValueError, expat.ExpatError, LookupError, OverflowError, RecursionError, MemoryError) as error:
        raise ValueError(f"{path} is no readable {what}: {' '.join(str(error).split()) or type(error).__name__}") from error


def mentions(path: Path, word: str) -> bool:
    """Whether the first few kilobytes of a file, in whatever encoding, hold a word; False when it cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return False
    return word.encode() in head.replace(b"\0", b"")
