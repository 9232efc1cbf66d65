"""Resources: how much memory a run may take, and who does the work."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

MEMORY = 4 * 10**9  # bytes a process may take when nothing is said; the same everywhere, for it decides how a film is cut
_LEAST = 10**9
_UNITS = {"": 1, "B": 1, **{f"{letter}{end}": base**k for k, letter in enumerate("KMGT", 1) for end, base in (("B", 1000), ("IB", 1024))}}


@dataclass(frozen=True)
class Resources:
    """How a film that may be larger than memory is worked on.

    Attributes:
        memory: Bytes that a process may take, about. How the film is cut depends on it, and on nothing else here.
        workers: So many processes on this machine; 0 does the work in this one.
        scheduler: Address of a Dask scheduler, such as ``tcp://host:8786``; empty for none.
        client: A ``dask.distributed.Client`` to work through.

    Raises:
        ValueError: Too little memory, or more than one of ``workers``, ``scheduler`` and ``client``.
    """

    memory: int = MEMORY
    workers: int = 0
    scheduler: str = ""
    client: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.memory < _LEAST:
            raise ValueError(f"memory must be at least 1GB, not {self.memory} bytes: the libraries alone take half of that")
        if self.workers < 0:
            raise ValueError(f"workers must be 0 or more processes, not {self.workers}")
        if bool(self.workers) + bool(self.scheduler) + (self.client is not None) > 1:
            raise ValueError("workers, scheduler and client each say who does the work: give one of them")


def bytes_of(text: str) -> int:
    """A size such as ``4GB``, ``500 MB`` or ``2GiB`` in bytes.

    Raises:
        ValueError: It is no size.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if found is None or found[2].upper() not in _UNITS:
        raise ValueError(f"memory must be a size such as 4GB or 500MB, not {text!r}")
    return int(float(found[1]) * _UNITS[found[2].upper()])
