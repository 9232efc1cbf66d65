"""Remembering: what a solver said of a programme is kept, so that a walk through a film that was stopped goes on where it was."""

from __future__ import annotations

import math
import shutil
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np

from lineage import __version__
from lineage.arrays import FloatArray, IntArray
from lineage.certificate import Certificate
from lineage.pieces import Store, digest, digest_of_columns
from lineage.program import Program
from lineage.solvers import Limits, Solution, solver_named

FOLDER = "windows"
_SHARES = ("into", "rivals", "rival", "sets")


class _Shares(NamedTuple):
    """What a window is asked of the solver's memory: how costs are split at its seams; see ``windows.factors.Split``."""

    into: FloatArray
    rivals: IntArray
    rival: FloatArray
    sets: IntArray


@dataclass(frozen=True, eq=False)
class Remembered:
    """A solver that writes down what it says, and reads it again when it is asked the same.

    Attributes:
        store: Where that is kept.
        name: The solver; see ``solver_named``.
    """

    store: Store
    name: str

    @property
    def __name__(self) -> str:
        return self.name

    def __call__(self, program: Program, limits: Limits) -> Solution:
        """Solve a programme, or recall it; what was stopped by the time is not kept."""
        key = digest(__version__, self.name, limits.gap, limits.seed, _digest_of(program))
        name = f"{FOLDER}/{key}"
        if (known := self.store.known(name, key)) is not None:
            columns = self.store.read(name)
            shares = _Shares(*(columns[share] for share in _SHARES)) if "into" in columns else None
            return Solution(columns["x"].astype(float), Certificate(**known.facts["certificate"]), memory=shares)
        found = solver_named(self.name)(program, limits)
        if math.isinf(limits.seconds) or found.certificate.status == "optimal":
            columns = {share: np.asarray(getattr(found.memory, share)) for share in _SHARES if hasattr(found.memory, share)}
            self.store.write(name, key, {"x": found.x.astype(np.uint8), **columns}, {"certificate": asdict(found.certificate)})
        return found

    def forget(self) -> None:
        """Remove what was kept, because all is said."""
        shutil.rmtree(self.store.folder / FOLDER, ignore_errors=True)


def _digest_of(program: Program) -> str:
    """Digest of all that a solver looks at."""
    graph, cells = program.graph, program.graph.detections
    columns = {"frame": cells.frame, "source": graph.source, "target": graph.target, "pairs": program.pairs, "mothers": program.mothers}
    columns |= {name: getattr(program, name) for name in ("cost", "lower", "upper")}
    columns |= {f"set{k}": np.asarray(rows) for k, rows in enumerate(cells.conflicts)}
    return digest_of_columns(columns)
