"""Cluster: tasks on the workers of a Dask cluster (needs dask[distributed])."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .resources import Resources
from .tasks import Made, Spread, Task

_AHEAD = 3  # tasks a worker has before it, so that it never waits; more would only fill the scheduler
_DEATHS = 20  # workers that may die over one task before it is taken for the cause
_SECONDS = 20  # to wait for a scheduler
_ALIKE = ("cytolineage", "numpy", "scipy", "scikit-image", "torch", "numba", "zarr")  # what results depend on


@contextmanager
def connected(resources: Resources, place: Path, tell: Callable[[str], None]) -> Iterator[Spread]:
    """Connect to a cluster, or start one on this machine, for as long as the block lasts; see ``spreading``."""
    try:
        import dask
        from distributed import Client, LocalCluster
    except ModuleNotFoundError:
        raise ValueError("several workers need Dask: pip install 'cytolineage[dask]'") from None
    with dask.config.set({"distributed.scheduler.allowed-failures": _DEATHS}):
        if resources.client is not None:
            yield _checked(resources.client, place, tell)
            return
        if resources.scheduler:
            try:
                client = Client(resources.scheduler, timeout=_SECONDS)
            except (OSError, ValueError) as error:
                said = " ".join(str(error).split()) or type(error).__name__
                raise ConnectionError(f"the scheduler {resources.scheduler} cannot be reached: {said}") from None
            with client:
                yield _checked(client, place, tell)
            return
        quiet: dict[str, Any] = {"silence_logs": "ERROR", "dashboard_address": "127.0.0.1:0"}
        cluster = LocalCluster(n_workers=resources.workers, threads_per_worker=1, memory_limit=0, host="127.0.0.1", **quiet)
        with cluster, Client(cluster) as client:
            yield _checked(client, place, tell)


def _checked(client: Any, place: Path, tell: Callable[[str], None]) -> Spread:  # noqa: ANN401 - a distributed.Client
    """The spread of a client whose workers can do the work.

    Raises:
        ConnectionError: There is no worker, or one of them or the scheduler cannot.
    """
    workers = client.scheduler_info(n_workers=-1)["workers"]
    if not workers:
        raise ConnectionError(f"the scheduler {client.scheduler.address} has no workers: start some with 'dask worker'")
    ask = _question()
    mine, _ = ask(str(place))
    seen = str(place.absolute())
    answers = {f"the worker {address}": said for address, said in client.run(ask, seen).items()}
    versions, _ = client.run_on_scheduler(ask, seen)  # it reads what tasks are, so it must know the words, but it touches no file
    for who, (theirs, sees) in {f"the scheduler {client.scheduler.address}": (versions, True), **answers}.items():
        if theirs["cytolineage"] == "none":
            raise ConnectionError(f"{who} has no cytolineage: install {mine['cytolineage']} there")
        if other := [name for name in mine if theirs[name] != mine[name]]:
            name = other[0]
            raise ConnectionError(f"{who} has {name} {theirs[name]}, but here it is {mine[name]}: install the same version")
        if not sees:
            raise ConnectionError(f"{who} does not see {seen}: all must see the same files by the same names")
    tell(f"{len(workers)} worker{'s' * (len(workers) != 1)}, dashboard at {client.dashboard_link}")
    return Workers(client)


def _question() -> Callable[[str], tuple[dict[str, str], bool]]:
    """What a worker is asked: the versions of what results depend on (``none`` of what is not there), and whether it sees a folder.

    It is a function in a function, for those are sent by value: a worker that has not this package must be able to answer.
    """
    names = _ALIKE

    def answer(place: str) -> tuple[dict[str, str], bool]:
        import platform
        from importlib import metadata
        from pathlib import Path

        found = {"python": ".".join(platform.python_version_tuple()[:2])}
        for name in names:
            try:
                found[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                found[name] = "none"
        return found, Path(place).is_dir()

    return answer


@dataclass(frozen=True, eq=False)
class Workers:
    """The workers of a cluster.

    Attributes:
        client: A ``distributed.Client``.
    """

    client: Any

    def __call__(self, work: Callable[[Task], Made], tasks: Sequence[Task]) -> Iterator[tuple[int, Made]]:
        """See ``Spread``; a task whose worker dies is given to another one.

        Raises:
            ChildProcessError: Workers keep dying over one task.
            ConnectionError: The scheduler is gone.
        """
        from distributed import as_completed

        cores = sum(worker["nthreads"] for worker in self.client.scheduler_info(n_workers=-1)["workers"].values())
        number: dict[Any, int] = {}
        waiting = iter(range(len(tasks)))

        def submit(k: int) -> Any:  # noqa: ANN401 - a Future
            future = self.client.submit(work, tasks[k], pure=False)
            number[future] = k
            return future

        first = [submit(k) for _, k in zip(range(_AHEAD * max(cores, 1)), waiting, strict=False)]
        ready = as_completed(first, loop=self.client.loop)
        try:
            for future in ready:
                k = number.pop(future)
                made = _result(future, tasks[k])
                if (following := next(waiting, None)) is not None:
                    ready.add(submit(following))
                yield k, made
        finally:
            if number:
                self.client.cancel(list(number), force=True)


def _result(future: Any, task: object) -> Any:  # noqa: ANN401 - a Future and what it gives
    from distributed import KilledWorker
    from distributed.client import FutureCancelledError

    try:
        return future.result()
    except KilledWorker:
        raise ChildProcessError(f"workers keep dying over {task}: give them less to do at once with a smaller --memory") from None
    except FutureCancelledError:
        raise ConnectionError("the connection to the scheduler is lost: run the same command again, it goes on from here") from None
