"""The conditions under which a benchmark ran; every benchmark prints them first."""

from __future__ import annotations

import os
import platform
from importlib import metadata


def conditions() -> str:
    """Processor, cores, system, versions, in one line."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("cytolineage", "numpy", "scipy"))
    load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{platform.machine()}, {os.cpu_count()} cores, {load}, {platform.system()}, Python {platform.python_version()}, {versions}"
