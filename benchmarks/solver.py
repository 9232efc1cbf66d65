"""Solve the same made-up films with every solver that is here, each in a process of its own, and check what each answers.

    python benchmarks/solver.py [--kinds standard,hard] [--sizes 1e4,1e5] [--solvers dual,dual0,scipy0,pulp0,motile] [--repeat 3]
                                [--peer-python PATH] [--json solver.json] [--figure solver.png] [--first-use]

Ours are ``auto``, ``dual``, ``highs`` and ``greedy``; peers are ``scipy`` (its HiGHS on the whole programme at once), ``pulp`` (with
its CBC), ``motile`` (with Gurobi where there is a licence, otherwise SCIP), ``scip`` (PySCIPOpt) and ``ortools`` (its SCIP). The last
three run with the interpreter ``--peer-python``, where they are installed; without it they are tried with this one. A solver whose
name ends in 0 is asked for a proof, others for ``--gap``; motile cannot be told. ``--kinds resolve`` solves a standard film, pins ten
links and solves it again. ``--first-use`` measures what compiling costs on a machine that has never run the dual solver.

Of every cell the medians over ``--repeat`` runs are printed; runs of different solvers take turns. ``objective`` is worked out from
the detections and links that a solver returned, after a check that they obey the rules. ``memory`` (MB) is the peak of the process
above what it held before it began to build. ``times`` is how many times the build and solve time of ``dual0`` (or else ``dual``) it is.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from conditions import conditions
from contenders import CONTENDERS, OUTSIDE, ROWS
from instances import KINDS, instance, packed

from lineage import Forest
from lineage.certificate import relative_gap
from lineage.program import Program, state

HERE = Path(__file__).parent
NUMBERS = ("build", "solve", "total", "cpu", "memory")
SLOPE_FROM = 1e4  # links from which on the slope of time is fitted: below, what does not grow counts most
GRACE = 60.0  # seconds that a solver may take beyond its time limit before its process is ended


def written(kind: str, edges: int, seed: int, path: Path, *, rows: bool) -> Program:
    """Write an instance, and a small one of its kind beside it; its programme."""
    graph, costs = instance(kind, edges, seed)
    program = state(graph, costs)
    arrays = packed(graph, costs)
    arrays |= {f"small_{name}": column for name, column in packed(*instance(kind, 500, seed)).items()}
    if rows:
        arrays |= _rows(program) | {f"small_{name}": column for name, column in _rows(state(*instance(kind, 500, seed))).items()}
    np.savez(path, **arrays)
    return program


def _rows(program: Program) -> dict[str, np.ndarray]:
    matrix = program.matrix
    columns = {"indptr": matrix.indptr, "indices": matrix.indices, "data": matrix.data, "cost": program.cost}
    return columns | {"low": program.low, "high": program.high, "lower": program.lower, "upper": program.upper}


def apart(solver: str, given: argparse.Namespace, folder: Path, program: Program) -> dict[str, Any]:
    """One run of one solver in a process of its own."""
    name = solver.removesuffix("0")
    python = given.peer_python if name in OUTSIDE else sys.executable
    gap = 0.0 if solver.endswith("0") else given.gap
    answer = folder / "answer.npz"
    answer.unlink(missing_ok=True)
    numbers = [str(value) for value in (gap, given.seconds, given.threads, given.seed)]
    command = [python, str(HERE / "contenders.py"), name, str(folder / "instance.npz"), str(answer), *numbers]
    row: dict[str, Any] = {"solver": solver, "edges": len(program.graph), "detections": len(program.graph.detections)}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=given.seconds + GRACE, check=True, env=_paths())
    except subprocess.TimeoutExpired:
        return row | {"status": f"not finished in {given.seconds:g} s (ended)", "finished": False}
    except subprocess.CalledProcessError as error:
        return row | {"status": f"failed: {(error.stderr.strip().splitlines() or ['no word'])[-1]}", "finished": False}
    except OSError as error:
        return row | {"status": f"failed: {error}", "finished": False}
    row |= json.loads(done.stdout.splitlines()[-1])
    row["total"] = row["build"] + row["solve"]
    if not row["finished"] and row["solve"] >= 0.98 * given.seconds:
        row["by"] += f"; not finished in {given.seconds:g} s"
    return row | (_checked(program, answer, row["bound"]) if answer.exists() else {}) | {"status": row.pop("by")}


def _paths() -> dict[str, str]:
    """The environment, with this package to be found by our own interpreter however it was installed."""
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)}


def _checked(program: Program, answer: Path, bound: float) -> dict[str, Any]:
    """Objective and gap of the links that a solver returned, by our own account."""
    with np.load(answer) as file:
        select, link = file["select"], file["link"]
    graph = program.graph
    chosen = np.flatnonzero(link)
    if len(np.unique(graph.target[chosen])) < len(chosen):
        return {"objective": math.nan, "gap": math.inf, "lawful": False}
    parent = np.full(len(select), -1)
    parent[graph.target[chosen]] = graph.source[chosen]
    try:
        x = program.encode(Forest(graph.detections, parent, select))
    except ValueError:
        return {"objective": math.nan, "gap": math.inf, "lawful": False}
    objective = float(program.cost @ x)
    gap = relative_gap(objective, min(bound, objective)) if math.isfinite(bound) else math.inf
    return {"objective": objective, "gap": gap, "lawful": program.feasible(x), "bound_holds": bound <= objective + 1e-6 * abs(objective)}


def median(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What is shown of several runs of one solver on one instance: the medians, and the last run's answer."""
    times = {name: statistics.median(row[name] for row in rows if name in row) for name in NUMBERS if any(name in row for row in rows)}
    return rows[-1] | times | {"runs": len(rows)}


def shown(row: Mapping[str, Any], unit: float) -> str:
    """A row of the table; ``unit`` is the time that counts as once."""
    cells = [f"{row['kind']:>10} {row['edges']:>9,} {row['solver']:>8}"]
    for name, width, digits in (("build", 8, 3), ("solve", 9, 3), ("cpu", 9, 3), ("memory", 7, 0), ("objective", 15, 4)):
        cells.append(f"{row[name]:>{width}.{digits}f}" if name in row else f"{'-':>{width}}")
    cells.append(f"{row['gap']:>8.1e}" if math.isfinite(row.get("gap", math.inf)) else f"{'-':>8}")
    cells.append(f"{row['total'] / unit:>7.1f}" if "total" in row and unit == unit else f"{'-':>7}")
    wrong = "" if row.get("lawful", True) else " BREAKS THE RULES"
    wrong += "" if row.get("bound_holds", True) else " BOUND ABOVE OBJECTIVE"
    return " ".join(cells) + f" {row['status']}{wrong}"


def raced(kind: str, edges: int, given: argparse.Namespace) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """All solvers on one instance, taking turns: every run, and the medians."""
    solvers = given.solvers.split(",")
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = written(kind, edges, given.seed, folder / "instance.npz", rows=any(s.removesuffix("0") in ROWS for s in solvers))
        for turn in range(given.repeat):
            for solver in solvers:
                out = [row for row in runs if row["solver"] == solver and "total" not in row]
                if not out:  # what did not come back once will not the next time
                    runs.append(apart(solver, given, folder, program) | {"kind": kind, "turn": turn})
    return runs, [median([row for row in runs if row["solver"] == solver]) for solver in solvers]


def slopes(rows: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Slope of log time over log edges of every solver, from ``SLOPE_FROM`` links on; NaN with less than two sizes."""
    rows = [row for row in rows if row.get("finished") and "total" in row and row["edges"] > 0.8 * SLOPE_FROM]
    found = {}
    for solver in dict.fromkeys(row["solver"] for row in rows):
        points = np.log([(row["edges"], row["total"]) for row in rows if row["solver"] == solver])
        found[solver] = float(np.polyfit(points[:, 0], points[:, 1], 1)[0]) if len(points) > 1 else math.nan
    return found


def drawn(rows: list[dict[str, Any]], path: Path) -> None:
    """Build and solve time over edges, both logarithmic, a line a solver, a panel a kind; hollow where the time limit cut it."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import NullFormatter

    kinds = [k for k in dict.fromkeys(row["kind"] for row in rows) if len({row["edges"] for row in rows if row["kind"] == k}) > 1]
    figure, panels = plt.subplots(
        1, max(len(kinds), 1), figsize=(5 * max(len(kinds), 1), 4.2), layout="constrained", squeeze=False, sharey=True
    )
    for axes, kind in zip(panels[0], kinds, strict=False):
        here = [row for row in rows if row["kind"] == kind and "total" in row]
        steep = slopes(here)
        for k, solver in enumerate(dict.fromkeys(row["solver"] for row in here)):
            points = sorted((row["edges"], row["total"], row["finished"]) for row in here if row["solver"] == solver)
            x, y, done = np.array(points, float).T
            slope = steep.get(solver, math.nan)
            axes.plot(x, y, color=f"C{k}", label=f"{solver}, slope {slope:.2f}" if slope == slope else solver)
            axes.plot(x[done > 0], y[done > 0], "o", color=f"C{k}", markersize=5)
            axes.plot(x[done == 0], y[done == 0], "o", color=f"C{k}", markersize=5, markerfacecolor="white")
        axes.set(xscale="log", yscale="log", xlabel="candidate links", title=kind)
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.legend(frameon=False, fontsize="small")
    panels[0, 0].set_ylabel("seconds to build and solve")
    for axes in panels[0]:
        axes.grid(alpha=0.2, which="major")
    figure.savefig(path, dpi=150)


def scripted(name: str, *arguments: str) -> dict[str, Any]:
    """What a script of this folder prints last, as JSON; its own words where it fails."""
    done = subprocess.run([sys.executable, str(HERE / name), *arguments], capture_output=True, text=True, check=False, env=_paths())
    if done.returncode:
        sys.exit(f"{name}: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def resolved(edges: str, given: argparse.Namespace) -> dict[str, Any]:
    """Pin ten links of a solved film and solve it again; printed and returned."""
    row = scripted("resolving.py", edges, str(given.gap), str(given.seed), str(given.repeat))
    print(
        f"   resolve {row['edges']:>9,}: solved in {row['first']:.3f} s; {row['pins']} pins, from the start {1000 * row['again']:.0f} ms "
        f"(median of {len(row['draws'])}, most {1000 * row['most']:.0f} ms), anew {1000 * row['anew']:.0f} ms; "
        f"largest gap {row['gap']:.1e}, certificates {'agree' if row['agree'] else 'CONTRADICT EACH OTHER'}",
        flush=True,
    )
    return row


def first_use(runs: int) -> list[dict[str, Any]]:
    """Seconds of a first solution by the dual solver with an empty cache, and with the cache that it leaves; printed and returned."""
    rows = []
    command = [sys.executable, str(HERE / "compiling.py")]
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as cache:
            within = _paths() | {"NUMBA_CACHE_DIR": cache}
            words = [subprocess.run(command, capture_output=True, text=True, check=True, env=within).stdout for _ in range(2)]
            fresh, again = map(json.loads, words)
        rows.append({"fresh": fresh, "again": again})
    names = rows[0]["fresh"]
    print("first use  " + "".join(f"{name:>12}" for name in names))
    for cache, label in (("fresh", "compiled"), ("again", "from cache")):
        print(f"{label:>10} " + "".join(f"{statistics.median(row[cache][name] for row in rows):>11.2f}s" for name in names), flush=True)
    return rows


def asked() -> argparse.Namespace:
    """The options, checked."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kinds", default=",".join(KINDS), help=f"of {', '.join(KINDS)}, resolve")
    options.add_argument("--sizes", default="1e4", help="candidate links, 1e3 to 5e6")
    options.add_argument("--solvers", default="dual,dual0,highs0,scipy0,greedy", help=f"of {', '.join(CONTENDERS)}, each also with a 0")
    options.add_argument("--gap", type=float, default=1e-4)
    options.add_argument("--seconds", type=float, default=120, help="time limit of a solver")
    options.add_argument("--threads", type=int, default=0, help="for solvers that can be told; 0 leaves it to them")
    options.add_argument("--repeat", type=int, default=1)
    options.add_argument("--seed", type=int, default=0, help="of the film")
    options.add_argument("--peer-python", default=sys.executable, help=f"interpreter that has {', '.join(OUTSIDE)}")
    options.add_argument("--json", type=Path)
    options.add_argument("--figure", type=Path)
    options.add_argument("--first-use", action="store_true")
    given = options.parse_args()
    for kind in given.kinds.split(","):
        if kind not in (*KINDS, "resolve"):
            options.error(f"no such kind: {kind}; there are {', '.join(KINDS)}, resolve")
    for solver in given.solvers.split(","):
        if solver.removesuffix("0") not in CONTENDERS:
            options.error(f"no such solver: {solver}; there are {', '.join(CONTENDERS)}")
    return given


def main() -> None:
    """Print the table; write the file and the figure that were asked for."""
    given = asked()
    print(conditions(), flush=True)
    record: dict[str, Any] = {"conditions": conditions(), "runs": [], "medians": [], "resolve": [], "first_use": []}
    if given.first_use:
        record["first_use"] = first_use(given.repeat)
    heads = "{:>10} {:>9} {:>8} {:>8} {:>9} {:>9} {:>7} {:>15} {:>8} {:>7} {}"
    print(heads.format("kind", "edges", "solver", "build", "solve", "cpu", "memory", "objective", "gap", "times", "by"), flush=True)
    for size in given.sizes.split(","):
        for kind in given.kinds.split(","):
            if kind == "resolve":
                record["resolve"].append(resolved(size, given))
                continue
            runs, medians = raced(kind, int(float(size)), given)
            units = [row["total"] for name in ("dual", "dual0") for row in medians if row["solver"] == name and "total" in row]
            for row in medians:
                print(shown(row, units[-1] if units else math.nan), flush=True)
            record["runs"] += runs
            record["medians"] += medians
            if given.json:  # after every instance: a long run that is stopped leaves what it has
                given.json.write_text(json.dumps(record, indent=1), encoding="utf-8")
    for kind in dict.fromkeys(row["kind"] for row in record["medians"]):
        for solver, slope in slopes([row for row in record["medians"] if row["kind"] == kind]).items():
            if slope == slope:
                print(f"{kind}: {solver} grows as edges to the power {slope:.2f}")
    if given.json:
        given.json.write_text(json.dumps(record, indent=1), encoding="utf-8")
    if given.figure:
        drawn(record["medians"], given.figure)


if __name__ == "__main__":
    main()
