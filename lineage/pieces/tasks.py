"""Tasks: the same work on many of them, done by whoever is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

Task = TypeVar("Task")
Made = TypeVar("Made")


class Spread(Protocol):
    """Does the same work on many tasks."""

    def __call__(self, work: Callable[[Task], Made], tasks: Sequence[Task]) -> Iterator[tuple[int, Made]]:
        """The number of each task and what was made of it, as they become ready.

        Args:
            work: A function of a module, so that other processes know it.
            tasks: Values that can be sent to other processes; what is large goes through files.
        """
        ...


def here(work: Callable[[Task], Made], tasks: Sequence[Task]) -> Iterator[tuple[int, Made]]:
    """Do the work in this process, one task after another."""
    for number, task in enumerate(tasks):
        yield number, work(task)
