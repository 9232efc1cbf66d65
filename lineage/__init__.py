"""From label films or points to lineage trees, optimal and certified."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .benchmarking import benchmark as benchmark
    from .detections import Detections as Detections
    from .evaluation import evaluate as evaluate
    from .fitting import fit as fit
    from .forest import Forest as Forest
    from .formats import read as read
    from .formats import write as write
    from .graph import CandidateGraph as CandidateGraph
    from .health import check as check
    from .linking import link as link
    from .pipeline import track as track
    from .settings import Settings as Settings
    from .simulation import simulate as simulate
    from .solving import solve as solve

__version__ = "0.1.0"

_HOME = {  # each public name and the module that is loaded when it is first asked for: the doorstep stays light
    "CandidateGraph": "graph",
    "Detections": "detections",
    "Forest": "forest",
    "Settings": "settings",
    "benchmark": "benchmarking",
    "check": "health",
    "evaluate": "evaluation",
    "fit": "fitting",
    "link": "linking",
    "read": "formats",
    "simulate": "simulation",
    "solve": "solving",
    "track": "pipeline",
    "write": "formats",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any public name
    """Load a public name on first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'lineage' has no attribute '{name}'")
    value = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
