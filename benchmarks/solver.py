"""Solve the same made-up films with every solver that is here, each in a process of its own.

    python benchmarks/solver.py [--kinds standard,hard] [--sizes 1e4,1e5] [--solvers dual,highs,scipy,pulp,greedy] [--figure solver.png]

``dual`` and ``highs`` are ours, once to the gap asked for (``--gap``, 1e-4) and, as ``dual0``, to a proof; ``scipy`` is its HiGHS
on the whole programme at once, ``pulp`` its CBC. Peak memory is that of the process above what stating the programme took.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from conditions import conditions
from instances import KINDS, instance

from lineage.certificate import relative_gap
from lineage.program import Program, state
from lineage.solvers import Limits, solver_named

COLUMNS = ("kind", "edges", "solver", "build", "solve", "cpu", "memory", "objective", "gap", "status")


def whole(program: Program, limits: Limits) -> tuple[float, float, str]:
    """SciPy's HiGHS on the whole programme: objective, gap and status."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    found = milp(
        program.cost,
        constraints=LinearConstraint(program.matrix, program.low, program.high),
        integrality=np.ones(len(program), np.int64),
        bounds=Bounds(program.lower, program.upper),
        options={"mip_rel_gap": limits.gap, "time_limit": limits.seconds},
    )
    return (np.nan, np.inf, "nothing found") if found.x is None else (found.fun, relative_gap(found.fun, found.mip_dual_bound), "")


def measured(kind: str, edges: int, solver: str, gap: float, seconds: float) -> dict[str, Any]:
    """One solver on one film, in this process."""
    limits = Limits(gap=0.0 if solver.endswith("0") else gap, seconds=seconds)
    name = solver.removesuffix("0")
    if name == "dual":  # its compiled code is loaded from the disk, or made, before the clock starts
        for warm in ("standard", "pairs", "conflicts"):
            solver_named(name)(state(*instance(warm, 500)), limits)
    began = time.perf_counter()
    program = state(*instance(kind, edges))
    built = time.perf_counter()
    memory, cpu = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    if name == "scipy":
        objective, reached, status = whole(program, limits)
    else:
        found = solver_named(name)(program, limits).certificate
        objective, reached, status = found.objective, found.gap, found.status
    solved = time.perf_counter()
    extra = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    values = (kind, len(program.graph), solver, built - began, solved - built, time.process_time() - cpu, extra, objective, reached, status)
    return dict(zip(COLUMNS, values, strict=True))


def apart(*arguments: str, seconds: float) -> dict[str, Any] | None:
    """One measurement in a process of its own; None when it does not come back."""
    command = [sys.executable, __file__, "--one", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=3 * seconds + 120, check=True)
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        return None
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def drawn(rows: list[dict[str, Any]], path: Path) -> None:
    """Seconds over edges, a line a solver."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
    for solver in sorted({row["solver"] for row in rows}):
        points = sorted((row["edges"], row["solve"]) for row in rows if row["solver"] == solver and row["kind"] == "standard")
        axes.loglog(*np.array(points).reshape(-1, 2).T, "o-", label=solver)
    axes.set(xlabel="candidate links", ylabel="seconds", title="standard films")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Print the table."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--kinds", default=",".join(KINDS))
    asked.add_argument("--sizes", default="1e4")
    asked.add_argument("--solvers", default="dual,dual0,highs0,scipy0,greedy")
    asked.add_argument("--gap", type=float, default=1e-4)
    asked.add_argument("--seconds", type=float, default=120)
    asked.add_argument("--figure", type=Path)
    asked.add_argument("--one", nargs=5)
    given = asked.parse_args()
    if given.one:
        kind, edges, solver, gap, seconds = given.one
        print(json.dumps(measured(kind, int(float(edges)), solver, float(gap), float(seconds))))
        return
    print(conditions())
    print("{:>10} {:>9} {:>8} {:>8} {:>8} {:>8} {:>9} {:>14} {:>8} {}".format(*COLUMNS))
    rows = []
    for size in given.sizes.split(","):
        for kind in given.kinds.split(","):
            for solver in given.solvers.split(","):
                row = apart(kind, size, solver, str(given.gap), str(given.seconds), seconds=given.seconds)
                if row is None:
                    print(f"{kind:>10} {float(size):>9.0f} {solver:>8} did not come back", flush=True)
                    continue
                rows.append(row)
                line = "{kind:>10} {edges:>9} {solver:>8} {build:>8.3f} {solve:>8.3f} {cpu:>8.3f} {memory:>9.0f} {objective:>14.4f}"
                print((line + " {gap:>8.1e} {status}").format(**row), flush=True)
    if given.figure:
        drawn(rows, given.figure)


if __name__ == "__main__":
    main()
