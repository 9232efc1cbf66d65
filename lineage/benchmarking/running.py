"""Running: a strategy on a case, in a process of its own and within a time limit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from lineage.forest import Forest

from .case import Case
from .strategies import STRATEGIES, Strategy
from .worker import save_points


def run(
    strategy: Strategy, case: Case, folder: Path, time_limit: float, python: str | Path | None = None
) -> tuple[Forest | None, dict[str, Any]]:
    """Let a strategy link a case.

    Args:
        strategy: Who links.
        case: What is linked; its masks, if it has any, lie in ``folder`` as ``labels.npy`` and ``image.npy``.
        folder: Of this case; a folder for this strategy is made in it.
        time_limit: Seconds, after which the process and its children are ended.
        python: The Python program that has the package; ours when not given.

    Returns:
        The forest, None without a result, and the facts: ``status`` (``ok``, ``absent: ...``, ``time limit``, ``failed: ...``),
        ``seconds`` from masks or points to lineages, ``memory_mb`` at most, ``version`` of the package.
    """
    if why := _hindrance(strategy, case, python):
        return None, {"status": why}
    place = folder / f"run{len(list(folder.iterdir()))}"
    place.mkdir()
    if case.labels is None:
        save_points(case.detections, folder / "points.npz")
    settings = None if STRATEGIES.get(strategy.name) is strategy else strategy.settings
    job = {
        "strategy": strategy.name,
        "settings": None if settings is None else {name: value for name, value in asdict(settings).items() if value is not None},
        "labels": None if case.labels is None else str(folder / "labels.npy"),
        "image": None if case.image is None else str(folder / "image.npy"),
        "scale": case.detections.scale,
    }
    (place / "job.json").write_text(json.dumps(job), encoding="utf-8")
    ended = _process(place, time_limit, str(python or sys.executable))
    if ended is None:
        return None, {"status": "time limit", "seconds": time_limit}
    if not (place / "done.json").is_file():
        said = (place / "said.txt").read_text(encoding="utf-8", errors="replace").split("\n")
        return None, {"status": f"failed: exit code {ended}: {' '.join(line.strip() for line in said if line.strip())[-200:]}"}
    facts = json.loads((place / "done.json").read_text(encoding="utf-8"))
    if facts["status"] != "ok":
        return None, facts
    with np.load(place / "parent.npz") as saved:
        return Forest(case.detections, saved["parent"], saved["selected"]), facts


def _hindrance(strategy: Strategy, case: Case, python: str | Path | None) -> str | None:
    """Why a strategy cannot run here, if so."""
    if strategy.package is not None and python is None and find_spec(strategy.package) is None:
        return f"absent: pip install {strategy.package}"
    if strategy.masks and case.labels is None:
        return "absent: it needs masks, and these are points"
    if strategy.image and case.image is None:
        return "absent: it needs the film beside the masks"
    return None


def _process(place: Path, time_limit: float, python: str) -> int | None:
    """Exit code of the worker, None when it ran out of time."""
    home = str(Path(__file__).parents[2])
    paths = os.pathsep.join([home, *([os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else [])])
    command = [python, "-W", "ignore", "-m", "lineage.benchmarking.worker", str(place)]
    with (place / "said.txt").open("wb") as said:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env={**os.environ, "PYTHONPATH": paths}, start_new_session=True
        )
        try:
            return process.wait(time_limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and those that it started, if any of them still runs."""
    if os.name == "posix":
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        finally:
            process.wait()
    else:
        process.kill()
        process.wait()
