"""Memory that is kept: large blocks are not handed back to the system between two layers of a network.

With glibc's defaults every feature map of a large frame is mapped anew, and touching its pages for the first time takes about a
third of the whole prediction. Keeping freed blocks (at most `KEPT` bytes) costs nothing that the peak did not cost already.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

KEPT = 1 << 30
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h


@cache
def keep_memory() -> bool:
    """Ask the C library to keep large freed blocks for the next one; once a process, and only where it is glibc.

    Returns:
        Whether it was done.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_MMAP_THRESHOLD, KEPT) and mallopt(_TRIM_THRESHOLD, KEPT))


@contextmanager
def one_thread() -> Iterator[None]:
    """Let networks compute on one thread while the block lasts: sums are then taken in one order, and give the same bits everywhere."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
