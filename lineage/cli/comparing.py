"""Commands that hold strategies against each other: benchmark."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage.settings import Settings

from .shared import Json, Scale, app, bar, numbers

if TYPE_CHECKING:
    from lineage.forest import Forest

_POINTS = (".csv", ".csv.gz")
_STRESS = "Also under stress: frames/2, frames/4, drop5, drop10, extra5, jitter, drift, jump. With commas between them."
_STRATEGIES = (  # spelled out here, so that `lineage --help` is quick
    "nearest, hungarian, hungarian+split, lap, overlap, sisters, distance, distance+motion, greedy, auto; learned+greedy, "
    "learned+ilp; other packages: laptrack, "
    "btrack, motile, tracksdata, trackastra; NAME=FILE.toml for settings of yours. With commas between them; all of the first when "
    "not given."
)


@app.command()
def benchmark(
    labels: Annotated[Path, typer.Argument(help="Label masks; or a lineage table (.csv), whose points are linked.")],
    truth: Annotated[Path | None, typer.Option(help="Truth, such as 01_GT; of points, the table itself when not given.")] = None,
    strategies: Annotated[str | None, typer.Option(help=_STRATEGIES)] = None,
    stress: Annotated[str | None, typer.Option(help=_STRESS)] = None,
    film: Annotated[Path | None, typer.Option(help="The film, for strategies that look at it.")] = None,
    scale: Scale = None,
    time_limit: Annotated[float, typer.Option(help="Seconds that each strategy may take.")] = 300.0,
    seed: Annotated[int, typer.Option(help="Another seed draws other lots.")] = 0,
    python: Annotated[list[str] | None, typer.Option(help="STRATEGY=PATH of the Python that has its package; repeat for several.")] = None,
    against: Annotated[Path | None, typer.Option(help="An older --json; exit code 1 when a score has fallen.")] = None,
    tolerance: Annotated[float, typer.Option(help="How far a score may fall.")] = 0.005,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for tables (CSV, Markdown, JSON) and a figure.")] = None,
    json_to: Json = None,
) -> None:
    """Link a film in several ways and say how good each is, beside the best that could be."""
    from lineage import __version__
    from lineage.benchmarking.comparison import benchmark as compare
    from lineage.benchmarking.comparison import uncompared, worse
    from lineage.benchmarking.strategies import USUAL
    from lineage.benchmarking.writing import markdown, read_rows, rows_of, write_comparison
    from lineage.provenance import fingerprint, write_json

    if out is not None and out.is_file():
        raise FileExistsError(f"cannot write the folder {out}: a file has this name")
    before = read_rows(against) if against is not None else []
    facts: dict[str, Any] = {"film": fingerprint(labels), "truth": None if truth is None else fingerprint(truth), "seed": seed}
    _check_same(before, facts, str(against))
    cells, known = _input(labels, truth, scale)
    wanted: list[str | tuple[str, Settings]] = [_strategy(name) for name in _names(strategies)] or [*USUAL]
    table = compare(
        cells, known, wanted, _names(stress), image=film, scale=numbers(scale) if isinstance(cells, Path) else None, time_limit=time_limit,
        seed=seed, pythons=dict(_pair(item) for item in python or ()), progress=bar,
    )  # fmt: skip
    facts["cytolineage"] = __version__
    if out is not None:
        write_comparison(table, out, **facts)
    if json_to == "-":
        print(json.dumps(rows_of(table, facts)))
    else:
        print(markdown(table), end="")
    if json_to not in (None, "-"):
        write_json(rows_of(table, facts), str(json_to))
    fallen = worse(table, before, tolerance)
    if missing := uncompared(table, before):
        print(f"not compared, for it was not run now: {'; '.join(missing)}", file=sys.stderr)
        if len(missing) == len(before):
            raise ValueError(f"nothing of {against} was run now, so nothing is compared")
    for sentence in fallen:
        print(sentence, file=sys.stderr)
    raise typer.Exit(1 if fallen else 0)


def _input(labels: Path, truth: Path | None, scale: str | None) -> tuple[Any, Any]:
    """What is linked and what it is held against: a path of masks and one of truth, or points, so large a step, and a forest."""
    from lineage.formats import read

    if not labels.name.lower().endswith(_POINTS):
        if truth is None:
            raise ValueError("--truth is needed: a folder of the Cell Tracking Challenge such as 01_GT")
        return labels, truth
    forest = _stretched(read(labels), numbers(scale))
    return forest.detections, forest if truth is None else _stretched(read(truth), numbers(scale))


def _check_same(before: list[dict[str, Any]], facts: dict[str, Any], against: str) -> None:
    """Refuse to hold a benchmark against one of another film, another truth or other lots."""
    for row in before:
        for name, now in facts.items():
            then = row.get(name)
            if name == "seed" and then is not None and then != now:
                raise ValueError(f"{against} was made with --seed {then}: other lots say nothing, give the same one")
            if isinstance(then, dict) and isinstance(now, dict) and then.get("sha256") != now["sha256"]:
                raise ValueError(f"{against} is a benchmark of another {name} than {now['path']}: {then.get('path')}")


def _stretched(forest: Forest, scale: tuple[float, ...] | None) -> Forest:
    """A lineage table whose coordinates count steps of this size along ([z,] y, x)."""
    if scale is None:
        return forest
    from lineage.detections import stretched

    return replace(forest, detections=stretched(forest.detections, scale))


def _names(text: str | None) -> list[str]:
    """Names with commas between them."""
    return [name.strip() for name in text.split(",")] if text else []


def _strategy(text: str) -> str | tuple[str, Settings]:
    name, equals, path = text.partition("=")
    return (name, Settings.from_toml(path)) if equals else name


def _pair(text: str) -> tuple[str, str]:
    name, equals, path = text.partition("=")
    if not equals or not Path(path).is_file():
        raise ValueError(f"--python takes STRATEGY=PATH of a Python program, such as btrack=venv/bin/python, not {text}")
    return name, path
