"""Films of growing size, in pieces: time and memory against frames, cells and workers; and what is left after being killed.

    python benchmarks/scale.py labels [--frames 200,400] [--cells 500,2000] [--side 2048] [--memory 2GB] [--workers 0]
    python benchmarks/scale.py points [--cells 10000] [--frames 200] [--memory 2GB] [--workers 2]
    python benchmarks/scale.py film [--gigabytes 20] [--cells 300] [--side 2048] [--memory 2GB] [--workers 2]
    python benchmarks/scale.py stack [--gigabytes 1] [--frames 2] [--side 2048] [--memory 2GB] [--workers 0]
    python benchmarks/scale.py workers [--frames 24] [--cells 2000] [--side 2048]
    python benchmarks/scale.py kills [--times 30] [--frames 30] [--workers 2]

``--folder`` keeps the films there and finds them again. Memory is the sum of the resident memory of all processes of a run, looked at four
times a second, and the most that any one of them ever took. Films are made up: discs with light and noise at the places of simulated cells;
of `stack`, a small simulated stack, repeated until a frame has so many gigabytes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from conditions import conditions

from lineage.arrays import Array
from lineage.films.zarr_writing import chunk_places, create_image_zarr, create_labels_zarr, write_frame
from lineage.forest import Forest
from lineage.simulation import Simulation, simulate, simulated_points

RADIUS, LIGHT, GROUND, NOISE = 8, 400.0, 200.0, 12.0


def lineages(frames: int, cells: int, side: int, seed: int = 0) -> Forest:
    """The true lineages of a film with a steady number of cells."""
    how: dict[str, Any] = {"cycle": 80, "cycle_spread": 8, "steady": True, "radius": RADIUS, "seed": seed}
    return simulated_points(Simulation(frames=frames, cells=cells, size=(side, side), **how))


def masks_of(truth: Forest, t: int, side: int) -> Array:
    """Discs at the places of the cells of a frame, numbered from 1."""
    cells = truth.detections
    place = cells.position[cells.at(t)]
    reach = np.arange(-RADIUS, RADIUS + 1)
    disc = np.stack(np.nonzero(reach[:, None] ** 2 + reach**2 <= (RADIUS - 0.5) ** 2)) - RADIUS
    at = np.rint(place).astype(int)[:, :, None] + disc
    inside = ((at >= 0) & (at < side)).all(axis=1)
    masks = np.zeros((side, side), np.uint32)
    masks[at[:, 0][inside], at[:, 1][inside]] = (np.nonzero(inside)[0] + 1).astype(np.uint32)
    return masks


def picture_of(masks: Array, t: int) -> Array:
    """What a camera might see of them."""
    rng = np.random.default_rng([1, t])
    light = np.where(masks > 0, np.float32(LIGHT), np.float32(GROUND))
    return np.asarray(light + np.float32(NOISE) * rng.standard_normal(masks.shape, np.float32)).astype(np.uint16)


def made(folder: Path, frames: int, cells: int, side: int, *, images: bool) -> Path:
    """A film on disk, made once: labels, or images; in the folder of its name."""
    path = folder / f"{'images' if images else 'labels'}_{frames}x{side}x{side}_{cells}.zarr"
    if path.exists():
        return path
    began, truth, half = time.perf_counter(), lineages(frames, cells, side), path.with_suffix(".half")
    shutil.rmtree(half, ignore_errors=True)
    (create_image_zarr if images else create_labels_zarr)(half, (frames, side, side))
    for t in range(frames):
        masks = masks_of(truth, t, side)
        write_frame(half, t, picture_of(masks, t) if images else masks)
    half.rename(path)
    print(f"made {path.name}: {len(truth)} cells, {time.perf_counter() - began:.0f} s", flush=True)
    return path


@dataclass
class Watched:
    """A run that was watched.

    Attributes:
        seconds: How long it took.
        worked: Processor time of all its processes, seconds.
        peak: Most resident memory of all its processes together, bytes.
        highest: Most that one process took, bytes.
        said: What it printed.
    """

    seconds: float
    worked: float
    peak: int
    highest: int
    said: str = field(repr=False)


def watched(command: list[str]) -> Watched:
    """Run a command and watch its memory and that of its children; ends with its message if it goes wrong."""
    began, before, peak, highest = time.perf_counter(), processor_time(), 0, 0
    with tempfile.TemporaryFile("w+") as said:
        run = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env={**os.environ, "OMP_NUM_THREADS": "1"})
        while run.poll() is None:
            each = [resident(process) for process in family(run.pid)]
            peak, highest = max(peak, sum(each)), max(highest, *each, 0)
            time.sleep(0.25)
        said.seek(0)
        text = said.read()
    if run.returncode:
        sys.exit(text)
    return Watched(time.perf_counter() - began, processor_time() - before, peak, highest, text)


def processor_time() -> float:
    """What all processes that this one began and that have ended have worked, seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def family(process: int) -> list[int]:
    """A process and all that descend from it."""
    found, waiting = [], [process]
    while waiting:
        one = waiting.pop()
        found.append(one)
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                waiting += map(int, task.read_text().split())
            except OSError:
                continue
    return found


def resident(process: int) -> int:
    """Resident memory of a process, bytes; 0 when it is gone. Pages that processes share count for each."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def tracked(out: Path, *options: str) -> list[str]:
    """The command that tracks into a folder, from the beginning."""
    for folder in (out, out.with_name(out.name + ".pieces")):
        shutil.rmtree(folder, ignore_errors=True)
    return [sys.executable, "-m", "lineage", "track", *options, "-o", str(out)]


def told(name: str, run: Watched, out: Path) -> int:
    """A line of the table, and what the stages took; gives how many cells there are."""
    record, times = (json.loads((out / f"{what}.json").read_text()) for what in ("run", "times"))
    result, proof = record["result"], record["certificate"]
    stages = ", ".join(f"{stage} {seconds:.0f}" for stage, seconds in times["stages"].items())
    print(
        f"{name:>34} {result['frames']:>7} {result['detections']:>10} {run.seconds:>8.0f} {run.worked:>8.0f} "
        f"{run.peak / 1e6:>8.0f} {run.highest / 1e6:>8.0f} {proof['gap']:>8.1e} {proof['status']:>8}   {stages}",
        flush=True,
    )
    return int(result["detections"])


def slopes(found: list[tuple[int, Watched]]) -> None:
    """How time and memory grow with the cells of a film, from the smallest run to the largest: 1 is in proportion, 0 not at all."""
    (few, first), (many, last) = (pick(found, key=lambda row: row[0]) for pick in (min, max))
    grown = np.log(many / few)
    wall, worked, memory = (np.log(getattr(last, name) / getattr(first, name)) / grown for name in ("seconds", "worked", "peak"))
    print(
        f"from {few} to {many} cells seconds grow as cells^{wall:.2f}, processor time as cells^{worked:.2f}, memory as cells^{memory:.2f}"
    )


def heads() -> None:
    """The head of the table."""
    head = ("run", "frames", "cells", "seconds", "CPU s", "MB all", "MB most", "gap", "status")
    print("{:>34} {:>7} {:>10} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}   seconds of stages".format(*head))


def resources(given: argparse.Namespace) -> list[str]:
    """The options that say who works and in how much memory."""
    return ["--memory", given.memory, *(["--workers", str(given.workers)] if given.workers else [])]


def labels(given: argparse.Namespace, folder: Path) -> None:
    """Given masks to lineages and all outputs."""
    heads()
    many, found = (map(int, str(listed).split(",")) for listed in (given.frames or "200,400", given.cells or 2000)), []
    for frames, cells in itertools.product(*many):
        film, out = made(folder, frames, cells, given.side, images=False), folder / "out"
        run = watched(tracked(out, "--labels", str(film), *resources(given)))
        found.append((told(f"labels, {given.workers} workers", run, out), run))
    if len(found) > 1:
        slopes(found)


def film(given: argparse.Namespace, folder: Path) -> None:
    """Images to lineages, with the classical method."""
    size = given.gigabytes or 20.0
    frames = round(size * 1e9 / (2 * given.side**2))
    source, out = made(folder, frames, int(given.cells or 300), given.side, images=True), folder / "out_film"
    heads()
    run = watched(tracked(out, str(source), "--segment", "classical", *resources(given)))
    told(f"{size:g} GB of images, {given.workers} workers", run, out)


def stack(given: argparse.Namespace, folder: Path) -> None:
    """Stacks that need not fit in memory to lineages, with the classical method."""
    tile = (32, 256, 256)
    shape = [round((given.gigabytes or 1.0) * 1e9 / (2 * given.side**2 * tile[0])) * tile[0], *[given.side // tile[1] * tile[1]] * 2]
    frames, source, out = int(given.frames or 2), folder / f"stack_{'x'.join(map(str, shape))}.zarr", folder / "out_stack"
    if not source.exists():
        one = simulate(frames=frames, cells=int(given.cells or 45), size=tile, scale=(2.0, 0.5, 0.5), radius=6, cycle=20, seed=1).image
        create_image_zarr(source, (frames, *shape), (2.0, 0.5, 0.5))
        for t in range(frames):
            for place in chunk_places((frames, *shape)):
                rows = (np.arange(side.start, side.stop) % size for side, size in zip(place, tile, strict=True))
                write_frame(source, t, one[t][np.ix_(*rows)], place)
    heads()
    run = watched(tracked(out, str(source), "--segment", given.segment, *resources(given)))
    told(f"frames of {2 * np.prod(shape) / 1e9:.2f} GB", run, out)


def points(given: argparse.Namespace, folder: Path) -> None:
    """Points to certified lineages, through Python, in a process of its own that is watched."""
    frames, cells = int(given.frames or 200), int(given.cells or 10_000)
    run = watched([sys.executable, __file__, "linked", str(frames), str(cells), given.memory, str(given.workers), str(folder)])
    print(run.said.strip())
    print(f"peak of all processes {run.peak / 1e6:.0f} MB, of one {run.highest / 1e6:.0f} MB")


def linked(frames: int, cells: int, memory: str, workers: int, folder: Path) -> None:
    """Link points in this process; what is not linking (making the film, saving it) is not timed."""
    from lineage.pieces import Resources, Store, bytes_of, spreading
    from lineage.stretches import link_in_stretches, save_cells

    side = int(2048 * (cells / 2000) ** 0.5)
    truth = lineages(frames, cells, side)
    saved, place = save_cells(truth.detections, folder / "cells"), folder / "points.pieces"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    began, given, stages = time.perf_counter(), Resources(memory=bytes_of(memory), workers=workers), dict[str, float]()

    def timed(things: Iterable[Any], what: str) -> Iterable[Any]:
        start = time.perf_counter()
        yield from things
        stages[what] = time.perf_counter() - start

    with spreading(given, place) as spread:
        found = link_in_stretches(saved, Store(place), memory=given.memory, spread=spread, progress=timed)
    seconds, proof = time.perf_counter() - began, found.certificate
    right = (found.columns["parent"] == truth.parent).mean()
    print(f"{len(truth)} points in {frames} frames, {len(found.stretches)} stretches, {workers} workers, {memory} each: {seconds:.0f} s")
    print(", ".join(f"{what} {taken:.0f} s" for what, taken in stages.items()))
    print(f"cost {proof.objective:.1f}, bound {proof.bound:.1f}, gap {proof.gap:.1e} ({proof.status}); parents as in truth {right:.5f}")


def workers(given: argparse.Namespace, folder: Path) -> None:
    """The same film with one worker and with two."""
    source = made(folder, int(given.frames or 24), int(given.cells or 2000), given.side, images=True)
    heads()
    seconds = {}
    for count in (1, 2):
        out = folder / "out"
        run = watched(tracked(out, str(source), "--segment", given.segment, "--workers", str(count)))
        told(f"{given.segment}, {count} worker{'s' * (count > 1)}", run, out)
        seconds[count] = json.loads((out / "times.json").read_text())["stages"]["frames"]
    print(f"segmenting and measuring: two workers are {seconds[1] / seconds[2]:.2f} times as fast as one")


def kills(given: argparse.Namespace, folder: Path) -> None:
    """Kill a run again and again, or only a worker of it, and compare its files with those of an undisturbed run."""
    source = made(folder, int(given.frames or 30), int(given.cells or 150), 512, images=True)
    options = [str(source), "--segment", "classical", "--memory", "1GB", "--workers", str(given.workers or 2)]
    quiet = folder / "quiet"
    whole = watched(tracked(quiet, *options))
    lot, out, command = random.Random(0), folder / "killed", tracked(folder / "killed", *options)
    pieces, done, runs = folder / "killed.pieces", dict[str, int](), {"run": 0, "worker": 0}
    run = None
    while sum(runs.values()) < given.times or run is not None:
        run = run or subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(lot.uniform(0.2, 1.2) * whole.seconds / 3)
        over = run.poll() is not None
        if not over and sum(runs.values()) < given.times:
            victim = lot.choice(["run", "worker"])
            mine = family(run.pid)[1:]
            if victim == "run" or not mine:
                run.send_signal(signal.SIGKILL)
                victim = "run"
            else:
                os.kill(lot.choice(mine), signal.SIGKILL)
            runs[victim] += 1
            over = victim == "run"
        if over:
            run.wait()
            run = None
        now = {str(path): path.stat().st_mtime_ns for path in pieces.rglob("[0-9]*.npz")}
        again = [path for path, date in done.items() if now.get(path) != date]
        assert not again, f"done twice: {again}"
        done = now
        if out.exists() and sum(runs.values()) < given.times and run is None:  # finished between two kills: once more from the beginning
            tracked(out, *options)
            done = {}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    one, two = ({path.relative_to(place): path.read_bytes() for path in place.rglob("*") if path.is_file()} for place in (quiet, out))
    differ = sorted(str(path) for path in one.keys() | two.keys() if one.get(path) != two.get(path) and path.name != "times.json")
    print(
        f"{runs['run']} runs and {runs['worker']} workers killed, no piece written twice; "
        f"{len(one)} files, of which differ: {', '.join(differ) or 'none'}"
    )


def main() -> None:
    """Do what is asked for."""
    if sys.argv[1:2] == ["linked"]:
        linked(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], int(sys.argv[5]), Path(sys.argv[6]))
        return
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = {"labels": labels, "film": film, "stack": stack, "points": points, "workers": workers, "kills": kills}
    asked.add_argument("what", choices=[*what])
    asked.add_argument("--frames")
    asked.add_argument("--cells")
    asked.add_argument("--side", type=int, default=2048)
    asked.add_argument("--gigabytes", type=float)
    asked.add_argument("--memory", default="2GB")
    asked.add_argument("--workers", type=int, default=0)
    asked.add_argument("--segment", default="classical")
    asked.add_argument("--times", type=int, default=30)
    asked.add_argument("--folder", type=Path)
    given = asked.parse_args()
    print(conditions())
    with tempfile.TemporaryDirectory() as place:
        folder = given.folder or Path(place)
        folder.mkdir(parents=True, exist_ok=True)
        what[given.what](given, folder)


if __name__ == "__main__":
    main()
