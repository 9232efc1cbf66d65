"""Tasks: the same work on many of them, done by whoever is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from lineage.arrays import Progress, silent

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


def all_done(
    spread: Spread, work: Callable[[Task], Made], tasks: Sequence[Task], *, progress: Progress[Any] = silent, what: str = ""
) -> list[Made]:
    """What was made of every task, in their order, once all are done.

    Args:
        spread: Who does the work.
        work: See ``Spread``.
        tasks: See ``Spread``.
        progress: Wraps the tasks as they become ready.
        what: The name of the work, for the progress.
    """
    made = dict[int, Made]()
    made.update(progress(_Counted(spread(work, tasks), len(tasks)), what))
    return [made[number] for number in range(len(tasks))]


@dataclass(frozen=True, eq=False)
class _Counted:
    """Things that come one by one and whose number is known, for a progress bar."""

    things: Iterator[Any]
    number: int

    def __len__(self) -> int:
        return self.number

    def __iter__(self) -> Iterator[Any]:
        return self.things


def here(work: Callable[[Task], Made], tasks: Sequence[Task]) -> Iterator[tuple[int, Made]]:
    """Do the work in this process, one task after another."""
    for number, task in enumerate(tasks):
        yield number, work(task)
