"""Warming: the first compilation of the kernels, once after an installation, shared between two processes.

The compiler holds a lock, so that threads do not help; but what one process has compiled, another reads from the disk.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from lineage.detections import Detections
from lineage.graph import CandidateGraph
from lineage.program import state

from .deciding import Votes
from .desk import desk_for
from .net import net_of
from .patches import no_patches, patch
from .slack import flipped
from .sweeps import even_shares, regrets
from .trying import no_layers

PATIENCE = 120  # seconds to wait for the other process, at most
ONCE = f"from {__name__} import compile_half; compile_half()"


def compile_half() -> None:
    """Compile the kernels that a solution needs last, on a film of two cells."""
    detections = Detections(np.array([0, 1]), np.zeros((2, 2)), np.zeros(2, int))
    net, _, _ = net_of(state(CandidateGraph(detections, np.array([0]), np.array([1])), {}))
    shares = even_shares(net)
    votes = Votes(np.zeros(2, bool), np.zeros(1, bool), np.zeros(1, bool))
    patch(net, shares, votes, no_patches(2), desk_for(net, shares), no_layers(), np.array([0]), 0)
    regrets(net, shares)
    flipped(net, shares, votes.at_source, votes.there, np.zeros(1))


def other_half() -> subprocess.Popen[bytes] | None:
    """A process that compiles half of the kernels, if they have never been compiled here; None if they have."""
    folder = Path(patch.stats.cache_path)  # type: ignore[attr-defined]  # of the compiler's
    if not sys.executable or any(folder.glob("patches.patch-*.nbi")):
        return None
    try:
        return subprocess.Popen(
            [sys.executable, "-c", ONCE], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    except OSError:  # then this process compiles everything
        return None


def wait_for(process: subprocess.Popen[bytes] | None) -> None:
    """Wait until the other half is compiled; if that fails, this process does it when it comes to it."""
    if process is None:
        return
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
