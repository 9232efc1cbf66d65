"""Linking in stretches: every stretch is weighed, then the whole film is solved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from lineage import __version__
from lineage.arrays import Array, Progress, silent
from lineage.certificate import Certificate
from lineage.pieces import Note, Resources, Spread, Store, all_done, digest, here
from lineage.scoring.confidence import CONFIDENCE
from lineage.settings import Settings
from lineage.windows import Window, solve_windows

from .cells import Cells
from .plan import A_CELL, A_MASK, A_POINT, A_RIVAL, FREE, Stretch, cut
from .programme import Weighed
from .remembering import Remembered
from .weighing import Weighing, weigh

_LINEAGES = "lineages"
_A_SOLVED, _A_RIVAL_SOLVED = 4_000, 12_000  # bytes that solving takes a detection, at most: only links that are worth it are left


@dataclass(frozen=True, eq=False)
class Stretched:
    """Lineages that were found in stretches.

    Attributes:
        columns: ``parent``, ``selected``, ``link_cost`` and ``link_confidence`` of every detection; (n,).
        certificate: Of the whole film. It says no seconds: those are not part of the result.
        record: What was estimated, of a film in one piece as ``link`` says it, else by stretches.
        stretches: Where the film was cut.
    """

    columns: Mapping[str, Array]
    certificate: Certificate
    record: Mapping[str, Any]
    stretches: Sequence[Stretch]


def link_in_stretches(
    cells: Cells,
    store: Store,
    settings: Settings = Settings(),  # noqa: B008 - frozen
    *,
    memory: int = Resources.memory,
    spread: Spread = here,
    progress: Progress[Any] = silent,
) -> Stretched:
    """Find the lineages of a film that need not fit in memory.

    What was done before, in the same store and from the same cells and settings, is not done again.

    Args:
        cells: The cells of the film.
        store: Where the pieces go.
        settings: What to change of the defaults. Stretches and windows see ``settings.overlap`` frames beyond their own.
        memory: Bytes that a process may take. A film that fits is linked in one piece.
        spread: Who does the work.
        progress: Wraps the loops over stretches and windows.

    Raises:
        ValueError: Settings that need the whole film at once, cells that make no sense, or too little memory.
    """
    check(settings)
    count, a_cell = cells.count, _bytes_of(cells, settings)
    stretches = cut(count, memory, settings.overlap, a_cell)
    if len(stretches) > 1 and settings.min_cycle is not None:
        needed = (int(count.sum()) * a_cell + FREE) / 10**9
        raise ValueError(f"min_cycle needs the whole film in memory, about {needed:.1f} GB: allow that much, or leave it out")
    tasks = [Weighing(cells, stretch, len(stretches) == 1, settings, store) for stretch in stretches]
    known = all_done(spread, weigh, tasks, progress=progress, what="linking stretches")
    if len(stretches) == 1:
        facts = known[0].facts
        certificate = replace(Certificate(**facts["certificate"]), seconds=0.0)
        return Stretched(store.read(stretches[0].name), certificate, facts["record"], stretches)
    most = max((memory - FREE) // (_A_RIVAL_SOLVED if cells.rivals else _A_SOLVED), 1)
    return _solved(Weighed.of(store, stretches, count), known, store, settings, most=most, progress=progress)


def check(settings: Settings) -> None:
    """Refuse settings that cannot be used on a film in pieces, before any work.

    Raises:
        ValueError: One is set.
    """
    if settings.merges:
        raise ValueError("merges cannot be used on a film in pieces: leave the memory limit and the workers out, or merges")


def _bytes_of(cells: Cells, settings: Settings) -> int:
    """What linking takes a cell, at most."""
    if not cells.masks:
        return A_POINT
    return A_RIVAL if cells.rivals else A_CELL if settings.edges else A_MASK


def _solved(film: Weighed, notes: Sequence[Note], store: Store, settings: Settings, *, most: int, progress: Progress[Any]) -> Stretched:
    """The lineages of several stretches, solved in windows that see at most so many detections."""
    length = max(2 * settings.overlap, int(most // max(float(film.count.mean()), 1.0)) - 2 * settings.overlap)
    how: dict[str, Any] = {
        "length": length,
        "overlap": settings.overlap,
        "solver": settings.solver,
        "gap": settings.gap,
        "seed": settings.seed,
    }
    key = digest(__version__, how, [note.digest for note in notes])
    record = {"stretches": [note.facts["record"] for note in notes]}
    known, solver = store.known(_LINEAGES, key), Remembered(store, settings.solver)
    if known is None:
        windows: list[Window] = []
        limits: dict[str, Any] = {"time_limit": settings.time_limit, "threads": settings.threads, "progress": progress}
        certificate = solve_windows(film, len(film.count), windows.append, **how | {"solver": solver}, **limits)
        parent, selected, cost = (
            np.concatenate([getattr(window, name) for window in windows]) for name in ("parent", "selected", "link_cost")
        )
        columns = {
            "parent": parent,
            "selected": selected,
            "link_cost": cost,
            CONFIDENCE: film.confidence(parent, selected, settings.overlap),
        }
        parts = {"length": length, "overlap": settings.overlap, "parts": [window.record() for window in windows]}
        facts = {"certificate": asdict(replace(certificate, seconds=0.0)), "windows": parts}
        known = store.write(_LINEAGES, key, columns, facts)
    solver.forget()
    certificate = Certificate(**known.facts["certificate"])
    return Stretched(store.read(_LINEAGES), certificate, record | {"windows": known.facts["windows"]}, film.stretches)
