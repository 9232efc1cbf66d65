"""Provenance: what a result was made of and with, for ``run.json`` beside it."""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .films.atomic import new_file
from .forest import Forest
from .settings import Settings

NONE: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
LIBRARIES = ("cytolineage", "numpy", "scipy", "pandas", "scikit-image", "torch", "tifffile", "zarr", "pulp")


def provenance(
    forest: Forest,
    settings: Settings,
    inputs: Mapping[str, str | Path | None],
    *,
    fingerprints: Mapping[str, Mapping[str, Any]] = NONE,
    **facts: Any,  # noqa: ANN401 - JSON-able
) -> dict[str, Any]:
    """Everything needed to say how good a result is and to make it again; JSON-able.

    Args:
        forest: The result; its certificate and record are taken.
        settings: What it was made with.
        inputs: Paths by their part in the run (``film``, ``labels``, ``truth``); each is hashed, unless it was.
        fingerprints: What is known of inputs already, by their part in the run, in place of ``fingerprint`` (a film of many gigabytes is
            read once, not twice).
        facts: Further entries (command, seconds, ...).
    """
    table = forest.tracklets()
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        **facts,
        "certificate": asdict(forest.certificate) if forest.certificate else None,
        "result": {
            "frames": forest.detections.n_frames,
            "detections": len(forest),
            "selected": int(forest.selected.sum()),
            "tracklets": len(table),
            "lineages": len(forest.roots),
            "divisions": len(forest.divisions),
            "links_over_gaps": int((forest.gap > 0).sum()),
        },
        "estimated": dict(forest.record),
        "settings": asdict(settings),
        "inputs": {
            name: dict(fingerprints[name]) if name in fingerprints else fingerprint(path)
            for name, path in inputs.items()
            if path is not None
        },
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in LIBRARIES}},
        "machine": {"system": platform.system(), "processor": platform.machine()},
    }


def fingerprint(path: str | Path) -> dict[str, Any]:
    """Name, size in bytes and SHA-256 of a file, or of all files of a folder, names included."""
    path = Path(path)
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    digest, size = hashlib.sha256(), 0
    for file in files:
        if path.is_dir():
            digest.update(file.relative_to(path).as_posix().encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
                size += len(block)
    return {"path": str(path), "files": len(files), "bytes": size, "sha256": digest.hexdigest()}


def write_json(value: object, path: str | Path) -> None:
    """Write a value as JSON, whole or not at all; numbers that are not finite become null."""
    with new_file(path) as temporary:
        temporary.write_text(json.dumps(finite(value), indent=1) + "\n", encoding="utf-8")


def finite(value: Any) -> Any:  # noqa: ANN401 - any JSON-able value
    """The value with NaN and infinities as None: JSON has no others."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list | tuple) else value


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
