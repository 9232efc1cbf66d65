"""Spreading: doing work here, one task after another, or on the workers of a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .cluster import connected
from .resources import Resources
from .tasks import Spread, here


@contextmanager
def spreading(resources: Resources, place: Path, tell: Callable[[str], None] = lambda _: None) -> Iterator[Spread]:
    """Give whatever does the work while the block lasts: this process, workers started for it, or those of a cluster that is there.

    Args:
        resources: Who is to do the work.
        place: A folder that all of them must see under this name.
        tell: Is told where the cluster's dashboard is.

    Raises:
        ValueError: Dask is needed and not installed; the message says how to install it.
        ConnectionError: The scheduler cannot be reached, or a worker cannot do this work: it has not this package, or in another
            version, or does not see the folder. The message names it.
    """
    if not (resources.workers or resources.scheduler or resources.client is not None):
        yield here
        return
    with connected(resources, place, tell) as spread:
        yield spread
