"""Comparison: strategies and stresses to a table of scores, and the table against an older one."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineage.arrays import Film, Progress, silent
from lineage.detections import Detections
from lineage.forest import Forest
from lineage.settings import Settings

from .case import Case, Truth, case_of
from .errors import KINDS, errors
from .running import run
from .strategies import USUAL, Strategy, chosen
from .stress import parsed, stressed

if TYPE_CHECKING:
    import pandas as pd

SCORES = (
    "LNK", "TRA", "CHOTA", "IDF1", "CT", "TF", "BC0", "BC1", "edge_f1",
    "division_f1", "division_f1_1", "division_precision", "division_recall", "complete_lineages",
)  # fmt: skip
COST = ("seconds", "memory_mb", "gap")
COLUMNS = ("stress", "strategy", "status", *SCORES, *COST, *KINDS, "detections", "version")
GUARDED = ("LNK", "CHOTA", "IDF1", "division_f1", "complete_lineages")  # what must not fall from one version to the next


def benchmark(  # noqa: PLR0913 - what is linked, how, and under what
    labels: Film | Detections | str | Path,
    truth: Truth,
    strategies: Sequence[str | tuple[str, Settings]] = USUAL,
    stress: Sequence[str] = (),
    *,
    image: Film | str | Path | None = None,
    scale: Sequence[float] | float | None = None,
    distance: float | None = None,
    time_limit: float = 300.0,
    seed: int = 0,
    pythons: Mapping[str, str | Path] | None = None,
    progress: Progress[Any] = silent,
) -> pd.DataFrame:
    """Link a film in several ways and say how good each is, how fast, and how good any could be.

    Masks are numbered anew in every frame (points are shuffled), so that nothing can be learned from their numbers. Each strategy
    runs in a process of its own. Two rows are not strategies but ceilings: ``oracle`` links every detection as the truth has it,
    also over frames in which it was not detected (ceiling of CHOTA, IDF1, CT); ``oracle direct`` does without these (of LNK, TRA).

    Args:
        labels: Label film (T, [Z,] Y, X), or its path, or detections made from points. It is only read.
        truth: A folder of the Cell Tracking Challenge such as ``01_GT``, a pair (forest, labels), or a forest alone whose labels
            are ``labels``; for points, a forest.
        strategies: Names, see ``STRATEGIES``, or pairs (name, settings). Other packages are rows saying so when they are absent.
        stress: What to do to the film, beside leaving it as it is: ``frames/2``, ``frames/4``, ``drop5``, ``drop10``, ``extra5``,
            ``jitter``, ``drift``, ``jump``; see ``STRESSES``.
        image: The film, for strategies that look at it.
        scale: Size of a pixel along ([z,] y, x), with label films.
        distance: For points: how far apart matched cells may be, physical units (see ``evaluate``).
        time_limit: Seconds that each strategy may take.
        seed: Of everything that draws lots.
        pythons: Which Python runs a strategy, by name, for packages that cannot be installed side by side.
        progress: Wraps the loops.

    Returns:
        One row a stress and strategy: ``status``; the scores (see ``evaluate``), NaN where there are none; ``seconds`` from masks or points
        to lineages and ``memory_mb`` at most; counts of wrong links by kind (see ``errors``); ``version`` of the package.

    Raises:
        ValueError: There is no such strategy or stress, or labels and truth are not of the same film.
        FileNotFoundError: There is no such file.
    """
    import pandas as pd

    contestants = chosen(strategies)
    names = list(dict.fromkeys(["clean", *stress]))
    for name in names:
        parsed(name)
    if not time_limit > 0:
        raise ValueError(f"time_limit must be positive, not {time_limit}")
    if unknown := sorted(set(pythons or {}) - {item.name for item in contestants}):
        raise ValueError(f"pythons names {unknown[0]}, which is not among the strategies: {', '.join(item.name for item in contestants)}")
    case = case_of(labels, truth, image=image, scale=scale, distance=distance, progress=progress)
    rows: list[dict[str, Any]] = []
    for name in names:
        with tempfile.TemporaryDirectory(prefix="lineage-benchmark-") as folder:
            harmed = stressed(case, name, Path(folder), seed)
            rows += [{"stress": name} | row for row in _ceilings(harmed)]
            for item in progress(contestants, name):
                how = time_limit, (pythons or {}).get(item.name)
                rows.append({"stress": name} | _row(item, harmed, Path(folder), how))
    table = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    numbers = [*SCORES, *COST]
    return table.assign(**{name: pd.to_numeric(table[name]) for name in numbers})


def _ceilings(case: Case) -> Iterator[dict[str, Any]]:
    for name, bridges in (("oracle", True), ("oracle direct", False)):
        yield {"strategy": name, "status": "ok"} | _judged(case, case.oracle(bridges=bridges))


def _row(strategy: Strategy, case: Case, folder: Path, how: tuple[float, str | Path | None]) -> dict[str, Any]:
    forest, facts = run(strategy, case, folder, *how)
    if forest is None:
        return {"strategy": strategy.name, "status": facts["status"], "version": facts.get("version")}
    return {"strategy": strategy.name} | facts | _judged(case, forest)


def _judged(case: Case, forest: Forest) -> dict[str, Any]:
    scores = case.score(forest)
    return {name: scores[name] for name in SCORES} | errors(case, forest) | {"detections": len(forest)}


def worse(table: pd.DataFrame, before: Sequence[Mapping[str, Any]], tolerance: float = 0.005) -> list[str]:
    """What has become worse since an older run, a sentence each.

    Args:
        table: What ``benchmark`` gave.
        before: Rows of an older table, as its JSON has them.
        tolerance: How far a score may fall.
    """
    now = _by_name(table)
    found = []
    for row in before:
        key = row.get("stress"), row.get("strategy")
        if key not in now:
            continue  # see ``uncompared``
        for name in GUARDED:
            old, new = row.get(name), now[key][name]
            if old is None or not math.isfinite(old):
                continue
            if not new >= old - tolerance:
                found.append(f"{key[1]}, {key[0]}: {name} fell from {old:.4f} to {new:.4f} ({now[key]['status']})")
    return found


def uncompared(table: pd.DataFrame, before: Sequence[Mapping[str, Any]]) -> list[str]:
    """Which rows of an older run have none in this one, ``strategy, stress`` each: nobody knows whether they have become worse.

    Args:
        table: What ``benchmark`` gave.
        before: Rows of an older table, as its JSON has them.
    """
    now = _by_name(table)
    return [f"{row.get('strategy')}, {row.get('stress')}" for row in before if (row.get("stress"), row.get("strategy")) not in now]


def _by_name(table: pd.DataFrame) -> dict[tuple[Any, Any], Mapping[Any, Any]]:
    return {(row["stress"], row["strategy"]): row for row in table.to_dict("records")}
