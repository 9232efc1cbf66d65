"""Ctrl-C at a time that suits: a step that has begun is brought to its end first."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep Ctrl-C waiting until the block is done; in other threads than the main one it does not arrive anyway.

    Raises:
        KeyboardInterrupt: at the end of the block, when Ctrl-C came during it.
    """
    if threading.current_thread() is not threading.main_thread() or not callable(before := signal.getsignal(signal.SIGINT)):
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: came.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        before(*came[0])
