"""Worker: run one strategy in a process of its own; ``python -m lineage.benchmarking.worker FOLDER``."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from lineage.detections import Detections
from lineage.settings import Settings

from .strategies import STRATEGIES, Strategy

HOUSE = "cytolineage"


def main(folder: Path) -> None:
    """Run the strategy that ``job.json`` names on the masks or points beside it; leave ``parent.npz`` and ``done.json``."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    strategy = STRATEGIES[job["strategy"]] if job["settings"] is None else Strategy.of("", Settings().replaced(job["settings"]))
    labels: Any = np.load(job["labels"], mmap_mode="r") if job["labels"] else None
    image: Any = np.load(job["image"], mmap_mode="r") if job["image"] else None
    points = _points(folder.parent / "points.npz") if labels is None else None
    began = time.perf_counter()
    try:
        seen = image if strategy.settings is not None else None  # what is measured of the pictures counts in our own programme
        cells = Detections.from_labels(labels, seen, scale=job["scale"]) if points is None else points
        forest = strategy.run(cells, labels, image)
        facts: dict[str, Any] = {"status": "ok"}
        np.savez(folder / "parent.npz", parent=forest.parent, selected=forest.selected)
        if forest.certificate is not None:
            facts["gap"] = asdict(forest.certificate)["gap"]
    except ModuleNotFoundError as error:
        facts = {"status": f"absent: {error}"}
    except Exception as error:
        facts = {"status": f"failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}"}
    facts |= {"seconds": time.perf_counter() - began, "memory_mb": peak_memory(), "version": _version(strategy.package or HOUSE)}
    (folder / "done.json").write_text(json.dumps(facts), encoding="utf-8")


def save_points(cells: Detections, path: Path) -> None:
    """Put detections without masks where the worker looks for them."""
    area = cells.columns.get("area", np.zeros(0))
    np.savez(path, frame=cells.frame, position=cells.position, area=area, scale=cells.scale, n_frames=cells.n_frames)


def _points(path: Path) -> Detections:
    with np.load(path) as saved:
        frame, area = saved["frame"], saved["area"]
        columns = {"area": area} if len(area) else {}
        scale, n_frames = tuple(saved["scale"].tolist()), int(saved["n_frames"])
        return Detections(frame, saved["position"], np.zeros(len(frame), np.int64), columns, scale, n_frames=n_frames)


def peak_memory() -> float | None:
    """Most memory that this process ever held, MB; None where the system does not say.

    Linux is asked for the peak of this process alone: what ``getrusage`` gives there may be the peak of the process that started it.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        peak = [line.split()[1] for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM")]
        if peak:
            return int(peak[0]) / 1024
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main(Path(sys.argv[1]))
