"""Writing: a comparison as CSV, Markdown, JSON and a figure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineage.films.atomic import new_file
from lineage.provenance import finite, write_json

from .drawing import draw
from .errors import FALSE, MISSED

if TYPE_CHECKING:
    import pandas as pd

SHOWN = ("LNK", "CHOTA", "IDF1", "CT", "TF", "BC1", "division_f1", "division_f1_1", "complete_lineages", "seconds", "memory_mb")
FILES = ("benchmark.csv", "benchmark.md", "benchmark.json", "benchmark.png")


def write_comparison(table: pd.DataFrame, folder: str | Path, **facts: Any) -> None:  # noqa: ANN401 - JSON-able values of any kind
    """Leave ``benchmark.csv``, ``.md``, ``.json`` and ``.png`` in a folder, each whole or not at all.

    Args:
        table: What ``benchmark`` gave.
        folder: Made when it is not there; older files of these names are replaced.
        facts: What else is to be known about the run (film, seed, versions), for the JSON.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"benchmark.csv": table.to_csv(index=False), "benchmark.md": markdown(table)}
    for name, text in texts.items():
        with new_file(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    write_json(rows_of(table, facts), folder / "benchmark.json")
    draw(table, folder / "benchmark.png")


def rows_of(table: pd.DataFrame, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows as JSON has them, each with the facts of the run."""
    return [finite({**facts, **row}) for row in table.to_dict("records")]


def read_rows(path: str | Path) -> list[dict[str, Any]]:
    """The rows of a comparison that was written as JSON.

    Raises:
        ValueError: The file holds something else.
    """
    try:
        rows = json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no JSON: {error}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) and {"stress", "strategy"} <= set(row) for row in rows):
        raise ValueError(f"{path} is no benchmark: rows with stress and strategy are needed, as lineage benchmark --json writes them")
    return rows


def markdown(table: pd.DataFrame) -> str:
    """The comparison as Markdown: a table of scores and a table of wrong links for each stress."""
    parts = []
    for stress, rows in table.groupby("stress", sort=False):
        parts += [f"## {stress}", _grid(rows, ("strategy", *SHOWN)), "Wrong links by kind:"]
        parts.append(_grid(rows[rows["status"] == "ok"], ("strategy", *MISSED, *FALSE, "bridges")))
        absent = rows[rows["status"] != "ok"]
        parts += ["\n".join(f"* {name}: {status}" for name, status in zip(absent["strategy"], absent["status"], strict=True))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _grid(rows: pd.DataFrame, columns: tuple[str, ...]) -> str:
    """Rows of text, columns flush: readable as it is, and a table in Markdown."""
    cells = [[name.replace("_", " ") for name in columns]]
    cells += [[_text(name, row[name]) for name in columns] for row in rows.to_dict("records")]
    width = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(_flush(text, w, k) for k, (text, w) in enumerate(zip(row, width, strict=True))) + " |" for row in cells]
    rule = "|" + "|".join("-" * (w + 2) if k == 0 else "-" * (w + 1) + ":" for k, w in enumerate(width)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _flush(text: str, width: int, column: int) -> str:
    return f"{text:<{width}}" if column == 0 else f"{text:>{width}}"


def _text(name: str, value: Any) -> str:  # noqa: ANN401 - a cell of a table
    if isinstance(value, str):
        return value
    if value is None or value != value:
        return "–"
    if name == "memory_mb" or name in (*MISSED, *FALSE, "bridges"):
        return f"{value:.0f}"
    return f"{value:.2f}" if name == "seconds" else f"{value:.4f}"
