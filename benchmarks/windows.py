"""Solve made-up films window by window from columns on disk, and whole beside it, each in a process of its own.

    python benchmarks/windows.py [--kinds standard,gaps] [--sizes 1e5,1e6] [--windows 10+3,20+5,20+10] [--gap 1e-4] [--whole 1e6]

``20+5`` is windows of 20 frames that overlap by 5; ``cpu`` is the time of the processor, which other work moves less. Memory is the
peak of the process above what it takes to be ready to begin (libraries, compiled code); the columns are mapped from files, and of
the answer nothing is kept but the file it is written to.
``short`` is how far the bound stays below the optimum and ``loss`` how far the objective is above it, relative. The optimum is that
of the whole solve to a proof; for films of more than 2e5 links the objective of the whole solve to the gap asked for stands in, and
for films of more than ``--whole`` links there is none.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from conditions import conditions
from instances import KINDS, instance

from lineage import CandidateGraph, Detections, solve
from lineage.windows import Columns, Window, solve_windows

COSTS = ("select", "appear", "disappear", "divide", "link")


def stored(kind: str, edges: int, folder: Path) -> None:
    """Write the columns of a film to files."""
    graph, costs = instance(kind, edges)
    columns = {"frame": graph.detections.frame, "source": graph.source, "target": graph.target} | {name: costs[name] for name in COSTS}
    if "divide_pair" in costs:
        order = np.argsort(costs["divide_pair"][0], kind="stable")
        columns |= {f"pair{i}": column[order] for i, column in enumerate(costs["divide_pair"])}
    sets = graph.detections.conflicts
    columns |= {"rivals": np.concatenate([*sets, np.zeros(0, int)]), "sets": np.cumsum([0, *map(len, sets)])}
    for name, column in columns.items():
        np.save(folder / f"{name}.npy", column)


def mapped(folder: Path) -> Columns:
    """The film in these files."""
    column = {path.stem: np.load(path, mmap_mode="r") for path in folder.glob("*.npy")}
    costs: dict[str, Any] = {name: column[name] for name in COSTS}
    if "pair0" in column:
        costs["divide_pair"] = tuple(column[f"pair{i}"] for i in range(3))
    sets = np.split(np.array(column["rivals"]), column["sets"][1:-1]) if len(column["sets"]) > 1 else []
    return Columns(column["frame"], column["source"], column["target"], costs, sets)


def measured(folder: Path, length: int, overlap: int, gap: float) -> dict[str, Any]:
    """One film in this process: in windows, or whole if they have no length."""
    for warm in ("standard", "pairs", "conflicts"):  # compiled code is loaded, or made, before the clock starts
        solve(*instance(warm, 500), "dual")
    ready, began, cpu = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter(), time.process_time()
    film = mapped(folder)
    n_frames = int(film.frame[-1]) + 1
    if length == 0:
        detections = Detections(film.frame, np.zeros((len(film.frame), 2)), np.zeros(len(film.frame), int), conflicts=film.conflicts)
        proof = solve(CandidateGraph(detections, film.source, film.target), film.costs, "dual", gap).certificate
    else:
        with (folder / f"parents{length}").open("wb") as file:

            def written(window: Window) -> None:
                window.parent.tofile(file)

            proof = solve_windows(film, n_frames, written, length=length, overlap=overlap, solver="dual", gap=gap)
    assert proof is not None
    seconds, peak = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "links": len(film.source),
        "frames": n_frames,
        "seconds": seconds,
        "cpu": time.process_time() - cpu,
        "memory": (peak - ready) / 1024,
        "objective": proof.objective,
        "bound": proof.bound,
        "gap": proof.gap,
    }


def apart(*arguments: object) -> dict[str, Any]:
    """One measurement in a process of its own."""
    done = subprocess.run([sys.executable, __file__, "--one", *map(str, arguments)], capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def row(kind: str, name: str, found: dict[str, Any], optimum: float | None) -> str:
    """A line of the table."""
    line = f"{kind:>10} {found['links']:>9} {found['frames']:>7} {name:>8} {found['seconds']:>8.2f} {found['cpu']:>8.2f} "
    line += f"{found['memory']:>7.0f} "
    line += f"{found['objective']:>14.3f} {found['bound']:>14.3f} {found['gap']:>9.1e}"
    if optimum is not None:
        line += f" {(optimum - found['bound']) / abs(optimum):>9.1e} {(found['objective'] - optimum) / abs(optimum):>9.1e}"
    return line


def main() -> None:
    """Print the table."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--kinds", default="standard", help=f"of {', '.join(KINDS)}")
    asked.add_argument("--sizes", default="1e5")
    asked.add_argument("--windows", default="10+3,20+5,20+10")
    asked.add_argument("--gap", type=float, default=1e-4)
    asked.add_argument("--whole", type=float, default=1e6)
    asked.add_argument("--one", nargs=4)
    given = asked.parse_args()
    if given.one:
        folder, length, overlap, gap = given.one
        print(json.dumps(measured(Path(folder), int(length), int(overlap), float(gap))))
        return
    print(conditions())
    heads = ("kind", "links", "frames", "windows", "seconds", "cpu", "MB", "objective", "bound", "gap", "short", "loss")
    print("{:>10} {:>9} {:>7} {:>8} {:>8} {:>8} {:>7} {:>14} {:>14} {:>9} {:>9} {:>9}".format(*heads))
    for kind in given.kinds.split(","):
        for size in given.sizes.split(","):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                stored(kind, int(float(size)), folder)
                optimum = None
                if float(size) <= given.whole:
                    whole = apart(folder, 0, 0, given.gap)
                    optimum = (apart(folder, 0, 0, 0.0) if float(size) <= 2e5 else whole)["objective"]
                    print(row(kind, "whole", whole, optimum), flush=True)
                for window in given.windows.split(","):
                    length, overlap = window.split("+")
                    print(row(kind, window, apart(folder, length, overlap, given.gap), optimum), flush=True)


if __name__ == "__main__":
    main()
